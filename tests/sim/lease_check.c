/* Looking at every lease; lease_check.h says what for. */

#include "lease_check.h"

#include "report.h"
#include <inttypes.h>
#include <stddef.h>

#define NAME "party %u, resource %u, ticket %" PRIu64
#define NAMED(slot) (slot)->actor->number, (slot)->resource, (slot)->lease.ticket

static const char *const states[] = {"waits", "is held", "settles", "is over"};

#define each_slot(slot, world)                                         \
	for (unsigned a_ = 0; a_ < (world)->n_actors; a_++)            \
		for (struct slot *slot = (world)->actors[a_].slots;    \
		     slot < (world)->actors[a_].slots + SLOTS; slot++) \
			if (slot->is_used)

static bool is_present(const struct slot *slot)
{
	return !slot->actor->party.is_away;
}

static bool has_place(const struct slot *slot)
{
	return slot->lease.state == HAWSER__LEASE_HELD ||
	       slot->lease.state == HAWSER__LEASE_SETTLING;
}

/* ---- one lease ---- */

/* Whether a lease may be there now, after what it was before. */
static void check_step(const struct slot *slot, const struct slot *by, const struct actor *party)
{
	enum hawser__lease_state now = slot->lease.state;
	bool is_caused = slot == by || slot->actor == party;

	if (now == slot->state)
		return;
	trace(NAME " %s", NAMED(slot), states[now]);
	if (slot->state == HAWSER__LEASE_WAITING && now == HAWSER__LEASE_HELD)
		return;
	must(now > slot->state, NAME " %s, and %s before", NAMED(slot), states[now],
	     states[slot->state]);
	must(is_caused, NAME " %s without cause, and %s before", NAMED(slot), states[now],
	     states[slot->state]);
}

static void check_fields(const struct lease_world *world, const struct slot *slot)
{
	const struct hawser__lease *lease = &slot->lease;
	bool is_wanted =
		lease->state == HAWSER__LEASE_WAITING || lease->state == HAWSER__LEASE_HELD;

	must(lease->party == (is_wanted ? &slot->actor->party : NULL),
	     NAME " %s, and its party is not right", NAMED(slot), states[lease->state]);
	must(lease->state != HAWSER__LEASE_SETTLING || lease->n_running,
	     NAME " settles, and nothing runs", NAMED(slot));
	must(lease->state != HAWSER__LEASE_OVER || !lease->n_running || slot->is_forced,
	     NAME " is over, and %u calls run", NAMED(slot), lease->n_running);
	must(lease->resource == world->resources[slot->resource], NAME " is of another resource",
	     NAMED(slot));
	must((lease->position != 0) == (lease->state == HAWSER__LEASE_WAITING),
	     NAME " %s at position %u", NAMED(slot), states[lease->state], lease->position);
}

/* ---- one resource ---- */

static void check_counts(struct lease_world *world, unsigned number)
{
	const struct hawser__lease_resource *resource = world->resources[number];
	unsigned n_places = 0, n_waiting = 0;
	const struct slot *ready = NULL;

	each_slot(slot, world)
	{
		if (slot->resource != number)
			continue;
		n_places += has_place(slot);
		if (slot->lease.state != HAWSER__LEASE_WAITING)
			continue;
		n_waiting++;
		if (is_present(slot))
			ready = slot;
	}
	must(n_places <= resource->max_holders, "resource %u: %u have a place, there are %u",
	     number, n_places, resource->max_holders);
	must(n_waiting <= resource->max_waiting, "resource %u: %u wait, the most is %u", number,
	     n_waiting, resource->max_waiting);
	must(n_places == resource->n_holders && n_waiting == resource->n_waiting,
	     "resource %u: counts %u places and %u in line, there are %u and %u", number,
	     resource->n_holders, resource->n_waiting, n_places, n_waiting);
	must(!ready || n_places == resource->max_holders,
	     NAME " waits for a place that is free, %u of %u", NAMED(ready), n_places,
	     resource->max_holders);
}

static void check_positions(struct lease_world *world, unsigned number)
{
	const struct slot *waiting[ACTORS_MAX * SLOTS];
	unsigned n_waiting = 0;

	each_slot(slot,
		  world) if (slot->resource == number && slot->lease.state == HAWSER__LEASE_WAITING)
		waiting[n_waiting++] = slot;
	for (unsigned i = 0; i < n_waiting; i++) {
		unsigned position = 1;

		for (unsigned k = 0; k < n_waiting; k++)
			position += waiting[k]->order < waiting[i]->order;
		must(waiting[i]->lease.position == position,
		     NAME " is told position %u, and has %u", NAMED(waiting[i]),
		     waiting[i]->lease.position, position);
	}
}

/* Who was waiting by name for a place that is free now. */
static const struct slot *heir_of(struct lease_world *world, unsigned number)
{
	const struct slot *heir = NULL;

	each_slot(slot, world) if (slot->resource == number &&
				   slot->lease.state == HAWSER__LEASE_OVER && slot->heir) heir =
		slot->heir;
	return heir;
}

static bool is_new(const struct slot *slot)
{
	return slot->state == HAWSER__LEASE_WAITING && slot->lease.state == HAWSER__LEASE_HELD;
}

static void check_grant(struct lease_world *world, const struct slot *granted,
			const struct slot *heir)
{
	const struct hawser__lease *lease = &granted->lease;

	must(lease->fencing > world->fencing[granted->resource],
	     NAME " has fencing number %" PRIu64 ", and there was %" PRIu64 " before",
	     NAMED(granted), lease->fencing, world->fencing[granted->resource]);
	must(lease->since_ms == lease_world_ms(world), NAME " is held since %" PRIu64 " ms",
	     NAMED(granted), lease->since_ms);
	world->tally->grants++;
	if (granted == heir) {
		world->tally->handed_over++;
		return;
	}
	must(is_present(granted), NAME " is granted to a party that is away", NAMED(granted));
	each_slot(slot, world)
	{
		if (slot == granted || slot->resource != granted->resource)
			continue;
		if (is_new(slot) && slot != heir)
			must((slot->order < granted->order) ==
				     (slot->lease.fencing < lease->fencing),
			     NAME " came in another order than it was granted", NAMED(slot));
		if (slot->lease.state != HAWSER__LEASE_WAITING || slot->order > granted->order)
			continue;
		must(!is_present(slot),
		     NAME " was there before ticket %" PRIu64 ", and is not granted", NAMED(slot),
		     lease->ticket);
		world->tally->passed++;
	}
}

static void check_grants(struct lease_world *world, unsigned number)
{
	const struct slot *heir = heir_of(world, number);
	uint64_t fencing = world->fencing[number];

	must(!heir || heir->lease.state == HAWSER__LEASE_HELD,
	     NAME " was handed the place, and does not have it", NAMED(heir));
	each_slot(slot, world)
	{
		if (slot->resource != number || !is_new(slot))
			continue;
		check_grant(world, slot, heir);
		if (slot->lease.fencing > fencing)
			fencing = slot->lease.fencing;
	}
	world->fencing[number] = fencing;
}

/* ---- all ---- */

void lease_check(struct lease_world *world, const struct slot *by, const struct actor *party)
{
	each_slot(slot, world)
	{
		check_step(slot, by, party);
		check_fields(world, slot);
	}
	for (unsigned number = 0; number < world->n_resources; number++) {
		check_counts(world, number);
		check_positions(world, number);
		check_grants(world, number);
	}
	each_slot(slot, world)
	{
		slot->state = slot->lease.state;
		if (slot->heir && (slot->state == HAWSER__LEASE_OVER ||
				   slot->heir->lease.state != HAWSER__LEASE_WAITING))
			slot->heir = NULL;
	}
	each_slot(slot, world) if (slot->state == HAWSER__LEASE_OVER && !slot->lease.n_running &&
				   slot->is_told_end && !slot->is_cut) slot->is_used = false;
}

void lease_check_news(struct lease_world *world, struct slot *slot)
{
	const struct hawser__lease *lease = &slot->lease;
	bool is_over = lease->state >= HAWSER__LEASE_SETTLING;

	must(slot->is_used, "there is news of nobody");
	trace(NAME " is told that it %s, position %u, fencing number %" PRIu64, NAMED(slot),
	      states[lease->state], lease->position, lease->fencing);
	must(!slot->is_told_end || slot->is_cut, NAME " is told again that it %s", NAMED(slot),
	     states[lease->state]);
	must(is_over || lease->position != slot->told_position ||
		     lease->fencing != slot->told_fencing,
	     NAME " is told what it knows", NAMED(slot));
	slot->told_position = lease->position;
	slot->told_fencing = lease->fencing;
	slot->is_told_end = is_over;
	slot->is_cut = false;
	world->tally->news++;
}

void lease_check_told(struct lease_world *world)
{
	each_slot(slot, world)
	{
		const struct hawser__lease *lease = &slot->lease;

		must(slot->is_told_end == (lease->state >= HAWSER__LEASE_SETTLING),
		     NAME " %s, and was not told", NAMED(slot), states[lease->state]);
		must(slot->is_told_end || (slot->told_position == lease->position &&
					   slot->told_fencing == lease->fencing),
		     NAME " was not told position %u, fencing number %" PRIu64, NAMED(slot),
		     lease->position, lease->fencing);
	}
}
