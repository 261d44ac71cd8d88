/* The sessions that a server can go on with: found by id, proved by token.
 *
 * A session is entered when it begins and stays until it ends. While it is away, without a
 * connection, it waits here in the order in which it went, so that the one that has waited longest
 * goes first when there are too many or their logs are too large.
 *
 * This is the seam for sessions that survive a restart of their server: whoever
 * writes down what is entered here, with the log and the numbers of each session, and
 * enters it again, has all that hawser__session_resume() needs. Sans I/O, no
 * clock and no lock; the server guards it with one. */

#ifndef HAWSER_WIRE_STORE_H
#define HAWSER_WIRE_STORE_H

#include "util/list.h"
#include "util/map.h"
#include "wire/session.h"

/** A session in the store; part of whatever owns the session. */
struct hawser__kept {
	struct hawser__session *session;
	/** Who opened it, as far as is known; only the same may go on with it. 0: anyone. */
	uint64_t identity;
	void *owner;
	size_t log_bytes;         /* what its log held when it was last looked at */
	struct hawser__list away; /* the store's, while it is */
};

/** A zeroed struct needs hawser__store_init(). */
struct hawser__store {
	struct hawser__map by_id;
	struct hawser__list away; /* the longest first */
	size_t n_away, away_bytes;
};

/* What hawser__store_enter() needs: the id, and the token that is compared. */
enum { HAWSER__STORE_RANDOM_BYTES = 8 + HAWSER__TOKEN_BYTES };

void hawser__store_init(struct hawser__store *store);
/** It must be empty. */
void hawser__store_deinit(struct hawser__store *store);

static inline size_t hawser__store_count(const struct hawser__store *store)
{
	return store->by_id.count;
}

/**
 * Enters a session, and gives it id and token from these random bytes. 0, -EEXIST (try other ones)
 * or -ENOMEM.
 */
int hawser__store_enter(struct hawser__store *store, struct hawser__kept *kept,
			const uint8_t random[HAWSER__STORE_RANDOM_BYTES]);
/** It has ended. Harmless when it is not in the store. */
void hawser__store_remove(struct hawser__store *store, struct hawser__kept *kept);

/**
 * The session that `asked` means, connected or away; NULL: there is none, or the token or the
 * identity is another's. The time this takes tells nothing about the token.
 */
struct hawser__kept *hawser__store_find(const struct hawser__store *store,
					const Hawser__Session *asked, uint64_t identity);

/**
 * Whether this attempt to go on with the session is a late one: its client has made another since,
 * and may be connected by that. If not, it is the latest from now on.
 */
bool hawser__store_is_stale(struct hawser__kept *kept, const Hawser__Session *asked);

/** Its connection was lost. */
void hawser__store_leave(struct hawser__store *store, struct hawser__kept *kept);
/** Its log holds more or less than when it left. */
void hawser__store_resize(struct hawser__store *store, struct hawser__kept *kept);
/** It has one again. */
void hawser__store_return(struct hawser__store *store, struct hawser__kept *kept);
/** The one that is away for the longest time; NULL: none is. */
struct hawser__kept *hawser__store_oldest(const struct hawser__store *store);

/** The one that went after it; NULL: it was the last. */
struct hawser__kept *hawser__store_next(const struct hawser__store *store,
					const struct hawser__kept *kept);

#endif /* HAWSER_WIRE_STORE_H */
