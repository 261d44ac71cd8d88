/* One run: some parties, what they compete for, and how they behave.
 *
 * They ask, wait, hold, call, give back, hand over, go away and come back or not, while an operator
 * takes leases away and calls end late. The clock is virtual, and which seed it is decides
 * everything. In the end all give up, and nothing may be left. */

#ifndef HAWSER_TESTS_SIM_LEASE_WORLD_H
#define HAWSER_TESTS_SIM_LEASE_WORLD_H

#include "agenda.h"
#include "chance.h"
#include "wire/lease.h"

enum { ACTORS_MAX = 10, RESOURCES_MAX = 3, SLOTS = 5 };

/** What has happened, over all runs. */
struct lease_tally {
	uint64_t seeds, acts, requests, refusals, grants, handed_over, forced, absences, gone,
		passed, news;
};

/** A lease and what is known of it. */
struct slot {
	struct hawser__lease lease;
	struct actor *actor;
	unsigned resource;
	bool is_used;
	uint64_t order;          /* in which it was asked for */
	const struct slot *heir; /* settling, and handed over to that one, which still waits */
	struct timer call, patience;
	enum hawser__lease_state state; /* as it was after the operation before */
	/* What its owner knows: position 0 and fencing number 0 are nothing yet. */
	unsigned told_position;
	uint64_t told_fencing;
	bool is_told_end;
	bool is_forced;
	bool is_cut; /* forced while it settled: there are calls to be ended */
};

struct actor {
	struct lease_world *world;
	unsigned number;
	struct hawser__lease_party party;
	struct slot slots[SLOTS];
	struct timer act, back;
};

struct lease_world {
	struct agenda agenda;
	struct chance chance;
	struct hawser__lease_table table;
	struct hawser__lease_resource *resources[RESOURCES_MAX];
	uint64_t fencing[RESOURCES_MAX]; /* the last one that was seen */
	uint64_t order;
	struct actor actors[ACTORS_MAX];
	unsigned n_actors, n_resources;
	struct timer teller, operator_act;
	struct lease_tally *tally;
	/* What sort of world it is: times in microseconds, chances in percent. */
	uint64_t pause_us, call_us, patience_us, away_us, force_us, tell_us;
	unsigned away, expires, calls, hands;
	bool is_over;
};

static inline uint64_t lease_world_ms(const struct lease_world *world)
{
	return world->agenda.now_us / 1000;
}

/** Lives through the world of this seed. Ends the program if something is wrong in it. */
void lease_world_run(uint64_t seed, struct lease_tally *tally);

#endif /* HAWSER_TESTS_SIM_LEASE_WORLD_H */
