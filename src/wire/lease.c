/* Holders, lines and what is new of them; lease.h gives the idea. */

#include "wire/lease.h"

#include "util/alloc.h"
#include <errno.h>
#include <string.h>

/* ---- tables and resources ---- */

void hawser__lease_table_init(struct hawser__lease_table *table)
{
	hawser__list_init(&table->resources);
	hawser__list_init(&table->news);
	table->last_ticket = 0;
}

void hawser__lease_remove(struct hawser__lease_resource *resource)
{
	hawser__list_unlink(&resource->link);
	free(resource);
}

void hawser__lease_table_deinit(struct hawser__lease_table *table)
{
	while (!hawser__list_empty(&table->resources))
		hawser__lease_remove(hawser__container_of(table->resources.next,
							  struct hawser__lease_resource, link));
}

struct hawser__lease_resource *hawser__lease_find(const struct hawser__lease_table *table,
						  const char *name)
{
	const struct hawser__list *link;

	list_for_each (link, &table->resources) {
		struct hawser__lease_resource *resource =
			hawser__container_of((struct hawser__list *)(uintptr_t)link,
					     struct hawser__lease_resource, link);

		if (strcmp(resource->name, name) == 0)
			return resource;
	}
	return NULL;
}

int hawser__lease_add(struct hawser__lease_table *table, const char *name, unsigned max_holders,
		      unsigned max_waiting, uint64_t first_fencing,
		      struct hawser__lease_resource **resource)
{
	struct hawser__lease_resource *added;
	size_t size = strlen(name) + 1;

	if (!max_holders || !first_fencing)
		return -EINVAL;
	if (hawser__lease_find(table, name))
		return -EEXIST;
	added = hawser__calloc(1, sizeof *added + size);
	if (!added)
		return -ENOMEM;
	added->table = table;
	added->max_holders = max_holders;
	added->max_waiting = max_waiting;
	added->last_fencing = first_fencing - 1;
	hawser__list_init(&added->holders);
	hawser__list_init(&added->waiters);
	memcpy(added->name, name, size);
	hawser__list_append(&table->resources, &added->link);
	*resource = added;
	return 0;
}

/* ---- news ---- */

void hawser__lease_repeat(struct hawser__lease *lease)
{
	if (hawser__list_empty(&lease->news))
		hawser__list_append(&lease->resource->table->news, &lease->news);
}

void hawser__lease_hear(struct hawser__lease *lease)
{
	hawser__list_unlink(&lease->news);
}

struct hawser__lease *hawser__lease_news(struct hawser__lease_table *table)
{
	struct hawser__lease *lease;

	if (hawser__list_empty(&table->news))
		return NULL;
	lease = hawser__container_of(table->news.next, struct hawser__lease, news);
	hawser__list_unlink(&lease->news);
	return lease;
}

/* ---- the line ---- */

static struct hawser__lease *in_line(const struct hawser__list *link)
{
	return hawser__container_of((struct hawser__list *)(uintptr_t)link, struct hawser__lease,
				    line);
}

static void renumber(struct hawser__lease_resource *resource)
{
	const struct hawser__list *link;
	unsigned position = 0;

	list_for_each (link, &resource->waiters) {
		struct hawser__lease *lease = in_line(link);

		position++;
		if (lease->position == position)
			continue;
		lease->position = position;
		hawser__lease_repeat(lease);
	}
}

/* Nobody will give it a place any more. */
static void disinherit(struct hawser__lease *lease)
{
	const struct hawser__list *link;

	list_for_each (link, &lease->resource->holders) {
		struct hawser__lease *holder = in_line(link);

		if (holder->heir == lease)
			holder->heir = NULL;
	}
}

static void stop_waiting(struct hawser__lease *lease)
{
	hawser__list_unlink(&lease->line);
	lease->resource->n_waiting--;
	lease->position = 0;
	disinherit(lease);
}

static void grant(struct hawser__lease *lease, uint64_t now_ms)
{
	struct hawser__lease_resource *resource = lease->resource;

	stop_waiting(lease);
	hawser__list_append(&resource->holders, &lease->line);
	resource->n_holders++;
	lease->state = HAWSER__LEASE_HELD;
	lease->fencing = ++resource->last_fencing;
	lease->since_ms = now_ms;
	hawser__lease_repeat(lease);
}

static struct hawser__lease *next_in_line(const struct hawser__lease_resource *resource)
{
	const struct hawser__list *link;

	list_for_each (link, &resource->waiters) {
		struct hawser__lease *lease = in_line(link);

		if (!lease->party->is_away)
			return lease;
	}
	return NULL;
}

/* Free places find who waits for them, and the others move up. */
static void fill(struct hawser__lease_resource *resource, uint64_t now_ms)
{
	struct hawser__lease *next;

	while (resource->n_holders < resource->max_holders && (next = next_in_line(resource)))
		grant(next, now_ms);
	renumber(resource);
}

/* ---- the end of a lease ---- */

static void leave_party(struct hawser__lease *lease)
{
	hawser__list_unlink(&lease->of_party);
	lease->party = NULL;
}

/* The place is free. */
static void vacate(struct hawser__lease *lease, uint64_t now_ms)
{
	struct hawser__lease_resource *resource = lease->resource;
	struct hawser__lease *heir = lease->heir;

	lease->heir = NULL;
	hawser__list_unlink(&lease->line);
	resource->n_holders--;
	lease->state = HAWSER__LEASE_OVER;
	if (heir)
		grant(heir, now_ms);
	fill(resource, now_ms);
}

static void give_up(struct hawser__lease *lease, enum hawser__lease_end end, uint64_t now_ms)
{
	bool was_waiting = lease->state == HAWSER__LEASE_WAITING;

	lease->end = end;
	leave_party(lease);
	if (end == HAWSER__LEASE_LEFT)
		hawser__lease_hear(lease);
	else
		hawser__lease_repeat(lease);
	if (was_waiting) {
		lease->state = HAWSER__LEASE_OVER;
		stop_waiting(lease);
		renumber(lease->resource);
	} else if (lease->n_running) {
		lease->state = HAWSER__LEASE_SETTLING;
	} else {
		vacate(lease, now_ms);
	}
}

static bool is_wanted(const struct hawser__lease *lease)
{
	return lease->state == HAWSER__LEASE_WAITING || lease->state == HAWSER__LEASE_HELD;
}

void hawser__lease_leave(struct hawser__lease *lease, uint64_t now_ms)
{
	if (is_wanted(lease))
		give_up(lease, HAWSER__LEASE_LEFT, now_ms);
	else
		hawser__lease_hear(lease);
}

void hawser__lease_release(struct hawser__lease *lease, uint64_t now_ms)
{
	if (is_wanted(lease))
		give_up(lease, HAWSER__LEASE_RELEASED, now_ms);
}

int hawser__lease_hand_over(struct hawser__lease *lease, struct hawser__lease *heir,
			    uint64_t now_ms)
{
	if (lease->state != HAWSER__LEASE_HELD || heir->state != HAWSER__LEASE_WAITING ||
	    lease->resource != heir->resource)
		return -EINVAL;
	lease->heir = heir;
	give_up(lease, HAWSER__LEASE_HANDED_OVER, now_ms);
	return 0;
}

void hawser__lease_force(struct hawser__lease *lease, uint64_t now_ms)
{
	if (lease->state == HAWSER__LEASE_HELD) {
		lease->end = HAWSER__LEASE_FORCED;
		leave_party(lease);
	} else if (lease->state != HAWSER__LEASE_SETTLING) {
		return;
	}
	hawser__lease_repeat(lease);
	vacate(lease, now_ms);
}

/* ---- life ---- */

void hawser__lease_init(struct hawser__lease *lease)
{
	memset(lease, 0, sizeof *lease);
	lease->state = HAWSER__LEASE_OVER;
	hawser__list_init(&lease->line);
	hawser__list_init(&lease->of_party);
	hawser__list_init(&lease->news);
}

int hawser__lease_request(struct hawser__lease *lease, struct hawser__lease_resource *resource,
			  struct hawser__lease_party *party, bool is_standing, uint64_t now_ms)
{
	bool is_free = resource->n_holders < resource->max_holders && !party->is_away &&
		       !next_in_line(resource);

	if (is_standing && hawser__lease_of(resource, party))
		return -EALREADY;
	if (!is_free && resource->n_waiting >= resource->max_waiting)
		return -EBUSY;
	lease->resource = resource;
	lease->party = party;
	lease->state = HAWSER__LEASE_WAITING;
	lease->end = HAWSER__LEASE_LEFT;
	lease->is_standing = is_standing;
	lease->ticket = ++resource->table->last_ticket;
	lease->fencing = 0;
	lease->since_ms = now_ms;
	lease->position = 0;
	lease->n_running = 0;
	lease->heir = NULL;
	hawser__list_append(&party->leases, &lease->of_party);
	hawser__list_append(&resource->waiters, &lease->line);
	resource->n_waiting++;
	fill(resource, now_ms);
	return 0;
}

struct hawser__lease *hawser__lease_of(const struct hawser__lease_resource *resource,
				       const struct hawser__lease_party *party)
{
	const struct hawser__list *link;

	list_for_each (link, &party->leases) {
		struct hawser__lease *lease = hawser__container_of(
			(struct hawser__list *)(uintptr_t)link, struct hawser__lease, of_party);

		if (lease->resource == resource && lease->is_standing)
			return lease;
	}
	return NULL;
}

struct hawser__lease *hawser__lease_by_ticket(const struct hawser__lease_resource *resource,
					      uint64_t ticket)
{
	const struct hawser__list *lists[] = {&resource->holders, &resource->waiters}, *link;

	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
		list_for_each (link, lists[i])
			if (in_line(link)->ticket == ticket)
				return in_line(link);
	return NULL;
}

void hawser__lease_begin_call(struct hawser__lease *lease)
{
	lease->n_running++;
}

void hawser__lease_end_call(struct hawser__lease *lease, uint64_t now_ms)
{
	if (--lease->n_running == 0 && lease->state == HAWSER__LEASE_SETTLING)
		vacate(lease, now_ms);
}

void hawser__lease_set_away(struct hawser__lease_party *party, bool is_away, uint64_t now_ms)
{
	struct hawser__list *link;

	party->is_away = is_away;
	if (is_away)
		return;
	/* Grants change lines, and no party's list. */
	list_for_each (link, &party->leases) {
		struct hawser__lease *lease =
			hawser__container_of(link, struct hawser__lease, of_party);

		if (lease->state == HAWSER__LEASE_WAITING)
			fill(lease->resource, now_ms);
	}
}
