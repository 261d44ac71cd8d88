/* Scopes, claims, and the stage that calls of exclusive methods go through; exclusive.h gives the
 * idea. */

#include "rpc/exclusive.h"

#include "rpc/connection.h"
#include "util/alloc.h"
#include "util/log.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MAX_WAITING = 64, SETTLE_TIMEOUT_MS = 10000 };

/* ---- scopes ---- */

void hawser__exclusives_init(struct hawser__exclusives *exclusives)
{
	pthread_mutex_init(&exclusives->lock, NULL);
	hawser__lease_table_init(&exclusives->table);
	hawser__list_init(&exclusives->scopes);
}

static void free_scope(struct hawser__scope *scope)
{
	hawser__list_unlink(&scope->link);
	hawser__lease_remove(scope->resource);
	free(scope);
}

void hawser__exclusives_deinit(struct hawser__exclusives *exclusives)
{
	while (!hawser__list_empty(&exclusives->scopes))
		free_scope(
			hawser__container_of(exclusives->scopes.next, struct hawser__scope, link));
	hawser__lease_table_deinit(&exclusives->table);
	pthread_mutex_destroy(&exclusives->lock);
}

/* Microseconds since 1970: nothing is granted so often that the next run could begin below. */
static uint64_t first_fencing(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec > 0 ? (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000 : 1;
}

struct hawser__scope *hawser__scope_find(const struct hawser__exclusives *exclusives,
					 const char *name)
{
	const struct hawser__list *link;

	list_for_each (link, &exclusives->scopes) {
		struct hawser__scope *scope = hawser__container_of(
			(struct hawser__list *)(uintptr_t)link, struct hawser__scope, link);

		if (strcmp(scope->resource->name, name) == 0)
			return scope;
	}
	return NULL;
}

struct hawser__scope *hawser__scope_make(struct hawser__exclusives *exclusives, const char *name)
{
	struct hawser__scope *scope = hawser__scope_find(exclusives, name);

	if (scope)
		return scope;
	scope = hawser__calloc(1, sizeof *scope);
	if (!scope || hawser__lease_add(&exclusives->table, name, 1, MAX_WAITING, first_fencing(),
					&scope->resource) < 0) {
		free(scope);
		return NULL;
	}
	scope->exclusives = exclusives;
	scope->policy = HAWSER_EXCLUSIVE_REFUSE;
	scope->settle_timeout_ms = SETTLE_TIMEOUT_MS;
	hawser__list_append(&exclusives->scopes, &scope->link);
	return scope;
}

void hawser__scopes_prune(struct hawser__exclusives *exclusives)
{
	struct hawser__list *link, *following;

	list_for_each_safe (link, following, &exclusives->scopes) {
		struct hawser__scope *scope =
			hawser__container_of(link, struct hawser__scope, link);

		if (!scope->n_methods && !scope->resource->n_holders && !scope->resource->n_waiting)
			free_scope(scope);
	}
}

int hawser__scope_describe(const struct hawser__scope *scope, char *buffer, size_t size)
{
	const struct hawser__lease_resource *resource = scope->resource;
	const struct hawser__claim *first;
	char others[32] = "", waiting[48] = "";
	const char *name;

	if (hawser__list_empty(&resource->holders))
		return snprintf(buffer, size, "nobody holds %s", resource->name);
	first = hawser__claim_of(
		hawser__container_of(resource->holders.next, struct hawser__lease, line));
	name = first->name[0] ? first->name : "a call of";
	if (resource->n_holders > 1)
		snprintf(others, sizeof others, " and %u more", resource->n_holders - 1);
	if (resource->n_waiting)
		snprintf(waiting, sizeof waiting, ", %u wait%s", resource->n_waiting,
			 resource->n_waiting == 1 ? "s" : "");
	return snprintf(buffer, size, "%s is held by %.64s (%s)%s%s", resource->name, name,
			first->peer, others, waiting);
}

/* ---- parties ---- */

struct hawser__lease_party *hawser__exclusive_party(struct hawser__connection *connection)
{
	if (!connection->party) {
		connection->party = hawser__malloc(sizeof *connection->party);
		if (!connection->party)
			return NULL;
		hawser__lease_party_init(connection->party);
		connection->party->is_away = connection->fd < 0;
	}
	return connection->party;
}

void hawser__exclusive_set_away(struct hawser__exclusives *exclusives,
				struct hawser__connection *connection, bool is_away)
{
	if (!connection->party)
		return;
	pthread_mutex_lock(&exclusives->lock);
	hawser__lease_set_away(connection->party, is_away, connection->loop->now_ms);
	hawser__exclusives_tell(exclusives);
	pthread_mutex_unlock(&exclusives->lock);
}

void hawser__exclusive_forget(struct hawser__exclusives *exclusives,
			      struct hawser__connection *connection)
{
	struct hawser__lease_party *party = connection->party;

	if (!party)
		return;
	/* What was asked for has ended with its call. Calls that have a lease to themselves may
	 * still be with their handlers. */
	pthread_mutex_lock(&exclusives->lock);
	while (!hawser__list_empty(&party->leases)) {
		struct hawser__lease *lease =
			hawser__container_of(party->leases.next, struct hawser__lease, of_party);

		hawser__lease_leave(lease, connection->loop->now_ms);
		hawser__claim_settle(hawser__claim_of(lease));
	}
	hawser__exclusives_tell(exclusives);
	pthread_mutex_unlock(&exclusives->lock);
	connection->party = NULL;
	free(party);
}

/* ---- draining ---- */

static void repeat(const struct hawser__list *leases, const struct hawser__loop *loop)
{
	const struct hawser__list *link;

	list_for_each (link, leases) {
		struct hawser__lease *lease = hawser__container_of(
			(struct hawser__list *)(uintptr_t)link, struct hawser__lease, line);

		if (lease->is_standing && lease->party && hawser__claim_of(lease)->loop == loop)
			hawser__lease_repeat(lease);
	}
}

void hawser__exclusive_drain(struct hawser__exclusives *exclusives, struct hawser__loop *loop)
{
	const struct hawser__list *link;

	pthread_mutex_lock(&exclusives->lock);
	list_for_each (link, &exclusives->scopes) {
		const struct hawser__lease_resource *resource =
			hawser__container_of(link, const struct hawser__scope, link)->resource;

		repeat(&resource->holders, loop);
		repeat(&resource->waiters, loop);
	}
	hawser__exclusives_tell(exclusives);
	pthread_mutex_unlock(&exclusives->lock);
}
