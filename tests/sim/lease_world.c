/* How parties behave; lease_world.h gives the idea. */

#include "lease_world.h"

#include "heap.h"
#include "lease_check.h"
#include "report.h"
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

enum { ACTS_MOST = 3000, RUNNING_MOST = 3 };

#define chance(world) (&(world)->chance)

static uint64_t later(struct lease_world *world, uint64_t most_us)
{
	return chance_scaled(chance(world), most_us);
}

/* ---- one lease ---- */

static struct slot *slot_of(struct hawser__lease *lease)
{
	return hawser__container_of(lease, struct slot, lease);
}

static bool is_wanted(const struct slot *slot)
{
	return slot->is_used && (slot->lease.state == HAWSER__LEASE_WAITING ||
				 slot->lease.state == HAWSER__LEASE_HELD);
}

/* Its owner does it, and needs no telling. */
static void leave(struct slot *slot, const struct actor *party)
{
	struct lease_world *world = slot->actor->world;

	trace("party %u leaves ticket %" PRIu64, slot->actor->number, slot->lease.ticket);
	hawser__lease_leave(&slot->lease, lease_world_ms(world));
	slot->is_told_end = true;
	agenda_clear(&world->agenda, &slot->patience);
	lease_check(world, slot, party);
}

static void on_patience(void *owner)
{
	struct slot *slot = owner;

	if (is_wanted(slot) && slot->lease.state == HAWSER__LEASE_WAITING)
		leave(slot, NULL);
}

static void on_call(void *owner)
{
	struct slot *slot = owner;
	struct lease_world *world = slot->actor->world;

	hawser__lease_end_call(&slot->lease, lease_world_ms(world));
	trace("party %u: a call under ticket %" PRIu64 " ends, %u run", slot->actor->number,
	      slot->lease.ticket, slot->lease.n_running);
	if (slot->lease.n_running)
		agenda_set(&world->agenda, &slot->call, later(world, world->call_us));
	lease_check(world, slot, NULL);
}

static void request(struct actor *actor, bool is_standing)
{
	struct lease_world *world = actor->world;
	unsigned number = (unsigned)chance_below(chance(world), world->n_resources);
	struct hawser__lease_resource *resource = world->resources[number];
	bool has_one = false;
	struct slot *slot = NULL;
	unsigned n_waiting = resource->n_waiting;
	int r;

	for (unsigned i = 0; i < SLOTS; i++) {
		struct slot *at = &actor->slots[i];

		has_one |= is_wanted(at) && at->resource == number && at->lease.is_standing;
		if (!at->is_used)
			slot = at;
	}
	if (!slot)
		return;
	hawser__lease_init(&slot->lease);
	r = hawser__lease_request(&slot->lease, resource, &actor->party, is_standing,
				  lease_world_ms(world));
	must((r == -EALREADY) == (is_standing && has_one),
	     "party %u asks for resource %u: %d, and has %s already", actor->number, number, r,
	     has_one ? "one" : "none");
	world->tally->requests++;
	if (r < 0) {
		world->tally->refusals++;
		must(r == -EALREADY || (r == -EBUSY && n_waiting == resource->max_waiting),
		     "party %u asks for resource %u: %d, and %u wait", actor->number, number, r,
		     n_waiting);
		/* Those who wait in spite of that are away. */
		must(r == -EALREADY || actor->party.is_away ||
			     resource->n_holders == resource->max_holders,
		     "party %u is refused, and resource %u has a free place", actor->number,
		     number);
		return;
	}
	slot->is_used = true;
	slot->is_told_end = false;
	slot->resource = number;
	slot->order = ++world->order;
	must(slot->lease.ticket == slot->order, "ticket %" PRIu64 " is not the next",
	     slot->lease.ticket);
	slot->heir = NULL;
	slot->is_cut = slot->is_forced = false;
	slot->told_position = 0;
	slot->told_fencing = 0;
	slot->state = HAWSER__LEASE_WAITING;
	trace("party %u asks for resource %u, ticket %" PRIu64, actor->number, number,
	      slot->lease.ticket);
	if (chance_percent(chance(world), 50))
		agenda_set(&world->agenda, &slot->patience, later(world, world->patience_us));
	lease_check(world, slot, NULL);
}

static void begin_call(struct slot *slot)
{
	struct lease_world *world = slot->actor->world;

	if (slot->lease.n_running == RUNNING_MOST)
		return;
	hawser__lease_begin_call(&slot->lease);
	if (slot->lease.n_running == 1)
		agenda_set(&world->agenda, &slot->call, later(world, world->call_us));
}

/* Any lease of the resource in that state; NULL: there is none. */
static struct slot *any(struct lease_world *world, unsigned resource,
			enum hawser__lease_state state)
{
	struct slot *found = NULL;
	uint64_t seen = 0;

	for (unsigned a = 0; a < world->n_actors; a++)
		for (unsigned i = 0; i < SLOTS; i++) {
			struct slot *slot = &world->actors[a].slots[i];

			if (slot->is_used && slot->resource == resource &&
			    slot->lease.state == state && chance_below(chance(world), ++seen) == 0)
				found = slot;
		}
	return found;
}

static void hand_over(struct slot *slot)
{
	struct lease_world *world = slot->actor->world;
	struct slot *heir = any(world, slot->resource, HAWSER__LEASE_WAITING);
	int r;

	if (!heir)
		return;
	trace("party %u hands ticket %" PRIu64 " over to %" PRIu64, slot->actor->number,
	      slot->lease.ticket, heir->lease.ticket);
	slot->heir = heir;
	r = hawser__lease_hand_over(&slot->lease, &heir->lease, lease_world_ms(world));
	must(r == 0, "ticket %" PRIu64 " could not be handed over: %d", slot->lease.ticket, r);
	lease_check(world, slot, NULL);
}

static void release(struct slot *slot)
{
	struct lease_world *world = slot->actor->world;

	trace("party %u releases ticket %" PRIu64, slot->actor->number, slot->lease.ticket);
	hawser__lease_release(&slot->lease, lease_world_ms(world));
	lease_check(world, slot, NULL);
}

/* ---- a party ---- */

static void go_away(struct actor *actor)
{
	struct lease_world *world = actor->world;

	trace("party %u goes away", actor->number);
	world->tally->absences++;
	hawser__lease_set_away(&actor->party, true, lease_world_ms(world));
	agenda_set(&world->agenda, &actor->back, later(world, world->away_us));
	lease_check(world, NULL, NULL);
}

/* Its session is over: whatever it has goes, one by one. Calls end late. */
static void end_session(struct actor *actor)
{
	struct lease_world *world = actor->world;

	trace("party %u does not come back", actor->number);
	world->tally->gone++;
	for (unsigned i = 0; i < SLOTS; i++)
		if (is_wanted(&actor->slots[i]))
			leave(&actor->slots[i], NULL);
	must(hawser__list_empty(&actor->party.leases), "party %u is gone, and has leases",
	     actor->number);
}

static void on_back(void *owner)
{
	struct actor *actor = owner;
	struct lease_world *world = actor->world;

	if (chance_percent(chance(world), world->expires))
		end_session(actor);
	trace("party %u is back", actor->number);
	hawser__lease_set_away(&actor->party, false, lease_world_ms(world));
	lease_check(world, NULL, NULL);
}

static void act_on(struct slot *slot)
{
	struct lease_world *world = slot->actor->world;
	uint64_t dice = chance_below(chance(world), 100);

	if (!is_wanted(slot))
		return;
	if (slot->lease.state == HAWSER__LEASE_WAITING) {
		if (dice < 10)
			leave(slot, NULL);
		else if (dice < 15)
			release(slot);
	} else if (dice < world->calls) {
		begin_call(slot);
	} else if (dice < world->calls + world->hands) {
		hand_over(slot);
	} else if (dice % 2) {
		release(slot);
	} else {
		leave(slot, NULL);
	}
}

static void on_act(void *owner)
{
	struct actor *actor = owner;
	struct lease_world *world = actor->world;
	uint64_t dice = chance_below(chance(world), 100);

	if (world->is_over)
		return;
	world->tally->acts++;
	if (dice < 40)
		request(actor, chance_percent(chance(world), 70));
	else if (dice >= 100 - world->away && !actor->party.is_away)
		go_away(actor);
	else
		act_on(&actor->slots[chance_below(chance(world), SLOTS)]);
	agenda_set(&world->agenda, &actor->act, later(world, world->pause_us));
}

/* ---- the operator, and who tells ---- */

static void on_operator(void *owner)
{
	struct lease_world *world = owner;
	unsigned number = (unsigned)chance_below(chance(world), world->n_resources);
	struct slot *slot = any(world, number,
				chance_percent(chance(world), 50) ? HAWSER__LEASE_HELD
								  : HAWSER__LEASE_SETTLING);

	if (slot) {
		trace("ticket %" PRIu64 " is forced", slot->lease.ticket);
		world->tally->forced++;
		slot->is_forced = true;
		slot->is_cut = slot->lease.state == HAWSER__LEASE_SETTLING;
		hawser__lease_force(&slot->lease, lease_world_ms(world));
		lease_check(world, slot, NULL);
	}
	if (!world->is_over)
		agenda_set(&world->agenda, &world->operator_act, later(world, world->force_us));
}

static void on_teller(void *owner)
{
	struct lease_world *world = owner;
	struct hawser__lease *lease;

	while ((lease = hawser__lease_news(&world->table)))
		lease_check_news(world, slot_of(lease));
	lease_check_told(world);
	lease_check(world, NULL, NULL);
	if (!world->is_over)
		agenda_set(&world->agenda, &world->teller, world->tell_us);
}

/* ---- the world ---- */

static void begin(struct lease_world *world, uint64_t seed)
{
	struct chance *dice = chance(world);
	static const char *const names[RESOURCES_MAX] = {"demo.Device", "demo.Device/Move", "x"};

	dice->state = chance_mix(seed);
	hawser__lease_table_init(&world->table);
	world->n_actors = (unsigned)chance_between(dice, 1, ACTORS_MAX);
	world->n_resources = (unsigned)chance_between(dice, 1, RESOURCES_MAX);
	for (unsigned i = 0; i < world->n_resources; i++) {
		uint64_t first = 1 + chance_below(dice, 1000);
		unsigned max_holders = (unsigned)chance_scaled(dice, 4);
		unsigned max_waiting = (unsigned)chance_below(dice, 16);
		int r = hawser__lease_add(&world->table, names[i], max_holders, max_waiting, first,
					  &world->resources[i]);

		must(r == 0, "%s could not be added: %d", names[i], r);
		world->fencing[i] = first - 1;
	}
	world->pause_us = chance_scaled(dice, 1000000);
	world->call_us = chance_scaled(dice, 2000000);
	world->patience_us = 1000 + chance_scaled(dice, 10000000);
	world->away_us = chance_scaled(dice, 3000000);
	world->force_us = 4 * world->pause_us + chance_scaled(dice, 20000000);
	world->tell_us = world->pause_us / 8 + chance_scaled(dice, 300000);
	world->away = (unsigned)chance_below(dice, 15);
	world->expires = (unsigned)chance_below(dice, 60);
	world->calls = (unsigned)chance_below(dice, 70);
	world->hands = (unsigned)chance_below(dice, 30);
	timer_init(&world->teller, on_teller, world);
	timer_init(&world->operator_act, on_operator, world);
	agenda_set(&world->agenda, &world->teller, world->tell_us);
	agenda_set(&world->agenda, &world->operator_act, world->force_us);
	for (unsigned a = 0; a < world->n_actors; a++) {
		struct actor *actor = &world->actors[a];

		actor->world = world;
		actor->number = a;
		hawser__lease_party_init(&actor->party);
		timer_init(&actor->act, on_act, actor);
		timer_init(&actor->back, on_back, actor);
		agenda_set(&world->agenda, &actor->act, later(world, world->pause_us));
		for (unsigned i = 0; i < SLOTS; i++) {
			actor->slots[i].actor = actor;
			timer_init(&actor->slots[i].call, on_call, &actor->slots[i]);
			timer_init(&actor->slots[i].patience, on_patience, &actor->slots[i]);
		}
	}
}

/* Everybody gives up what they have; calls end; nothing is left. */
static void end(struct lease_world *world)
{
	world->is_over = true;
	for (unsigned a = 0; a < world->n_actors; a++)
		end_session(&world->actors[a]);
	while (agenda_step(&world->agenda))
		;
	on_teller(world);
	for (unsigned i = 0; i < world->n_resources; i++)
		must(!world->resources[i]->n_holders && !world->resources[i]->n_waiting &&
			     hawser__list_empty(&world->resources[i]->holders) &&
			     hawser__list_empty(&world->resources[i]->waiters),
		     "resource %u is not empty in the end", i);
	for (unsigned a = 0; a < world->n_actors; a++)
		for (unsigned i = 0; i < SLOTS; i++)
			must(!world->actors[a].slots[i].is_used, "party %u has a lease in the end",
			     a);
	hawser__lease_table_deinit(&world->table);
	agenda_deinit(&world->agenda);
}

void lease_world_run(uint64_t seed, struct lease_tally *tally)
{
	static struct lease_world world;
	int64_t alive = heap_alive();
	uint64_t last = tally->acts + ACTS_MOST;

	memset(&world, 0, sizeof world);
	report_begin(seed, &world.agenda.now_us);
	world.tally = tally;
	tally->seeds++;
	begin(&world, seed);
	while (tally->acts < last)
		must(agenda_step(&world.agenda), "nothing happens any more");
	end(&world);
	must(heap_alive() == alive, "%" PRIi64 " allocations are left", heap_alive() - alive);
}
