/* store.h says what is kept, and why. */

#include "wire/store.h"

#include <errno.h>
#include <string.h>

void hawser__store_init(struct hawser__store *store)
{
	memset(store, 0, sizeof *store);
	hawser__list_init(&store->away);
}

void hawser__store_deinit(struct hawser__store *store)
{
	hawser__map_deinit(&store->by_id);
}

int hawser__store_enter(struct hawser__store *store, struct hawser__kept *kept,
			const uint8_t random[HAWSER__STORE_RANDOM_BYTES])
{
	struct hawser__session *session = kept->session;
	uint64_t id;
	int r;

	memcpy(&id, random, sizeof id);
	if (id == 0)
		return -EEXIST;
	r = hawser__map_insert(&store->by_id, id, kept);
	if (r < 0)
		return r;
	session->id = id;
	memcpy(session->token, random + sizeof id, sizeof session->token);
	hawser__list_init(&kept->away);
	return 0;
}

void hawser__store_remove(struct hawser__store *store, struct hawser__kept *kept)
{
	if (!kept->session || !kept->session->id)
		return;
	hawser__store_return(store, kept);
	hawser__map_remove(&store->by_id, kept->session->id);
	kept->session->id = 0;
}

/* Looks at every byte, whatever the first ones are. */
static bool is_same(const uint8_t *left, const uint8_t *right, size_t length)
{
	volatile uint8_t difference = 0;

	for (size_t i = 0; i < length; i++)
		difference |= left[i] ^ right[i];
	return difference == 0;
}

struct hawser__kept *hawser__store_find(const struct hawser__store *store,
					const Hawser__Session *asked, uint64_t identity)
{
	struct hawser__kept *kept = asked->id ? hawser__map_find(&store->by_id, asked->id) : NULL;

	if (!kept || asked->token.len != HAWSER__TOKEN_BYTES ||
	    !is_same(asked->token.data, kept->session->token, HAWSER__TOKEN_BYTES) ||
	    kept->identity != identity)
		return NULL;
	return kept;
}

bool hawser__store_is_stale(struct hawser__kept *kept, const Hawser__Session *asked)
{
	/* A client that does not count has only itself to fear. */
	if (!asked->attempt)
		return false;
	if (asked->attempt <= kept->session->attempt)
		return true;
	kept->session->attempt = asked->attempt;
	return false;
}

void hawser__store_leave(struct hawser__store *store, struct hawser__kept *kept)
{
	if (!hawser__list_empty(&kept->away))
		return;
	kept->log_bytes = hawser__session_backlog(kept->session);
	hawser__list_append(&store->away, &kept->away);
	store->n_away++;
	store->away_bytes += kept->log_bytes;
}

void hawser__store_resize(struct hawser__store *store, struct hawser__kept *kept)
{
	size_t now = hawser__session_backlog(kept->session);

	if (hawser__list_empty(&kept->away))
		return;
	store->away_bytes += now - kept->log_bytes;
	kept->log_bytes = now;
}

void hawser__store_return(struct hawser__store *store, struct hawser__kept *kept)
{
	if (hawser__list_empty(&kept->away))
		return;
	hawser__list_unlink(&kept->away);
	store->n_away--;
	store->away_bytes -= kept->log_bytes;
}

struct hawser__kept *hawser__store_oldest(const struct hawser__store *store)
{
	if (hawser__list_empty(&store->away))
		return NULL;
	return hawser__container_of(store->away.next, struct hawser__kept, away);
}

struct hawser__kept *hawser__store_next(const struct hawser__store *store,
					const struct hawser__kept *kept)
{
	if (kept->away.next == &store->away)
		return NULL;
	return hawser__container_of(kept->away.next, struct hawser__kept, away);
}
