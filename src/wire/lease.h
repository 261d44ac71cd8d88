/* Leases: who may use what only so many may use at a time, and who is next.
 *
 * A resource has a name, room for so many holders, and one line in which the others wait in the
 * order in which they came. A lease is one request for it, from the moment it is made: it
 * waits, is held, and is over. A free place goes to the first in line whose party is connected; one
 * that is away keeps its place in line, and is passed over meanwhile, so that nobody waits for
 * someone who may not come back.
 *
 * Each grant has a fencing number, which rises and is never used again. Whatever stands
 * behind the resource can refuse a number that is lower than one it has seen, and so is safe from a
 * holder that has not noticed yet that it is one no longer. (M. Kleppmann, "How to do distributed
 * locking", 2016. That a lease ends by itself when its holder is not heard of: C. Gray and D.
 * Cheriton, "Leases: an efficient fault-tolerant mechanism for distributed file cache consistency",
 * SOSP 1989.)
 *
 * A lease that is given up while calls still run under it keeps its place until they have ended, or
 * until its owner loses patience: two parties never run at once in one place.
 *
 * What an operation changes for others becomes news, which the owner takes with
 * hawser__lease_news() and tells. Every lease has at most one piece of news, which is its
 * state now; so nothing here allocates, but the resources themselves. Sans I/O, no clock and no
 * lock; the server guards a table with one. */

#ifndef HAWSER_WIRE_LEASE_H
#define HAWSER_WIRE_LEASE_H

#include "util/list.h"
#include <stdint.h>

enum hawser__lease_state {
	HAWSER__LEASE_WAITING,
	HAWSER__LEASE_HELD,
	HAWSER__LEASE_SETTLING, /* given up, and calls still run under it */
	HAWSER__LEASE_OVER,
};

/** Why it is settling or over. */
enum hawser__lease_end {
	HAWSER__LEASE_LEFT,        /* its owner's doing, who needs no telling */
	HAWSER__LEASE_RELEASED,    /* by its party */
	HAWSER__LEASE_HANDED_OVER, /* to another one */
	HAWSER__LEASE_FORCED,      /* taken away */
};

struct hawser__lease_table {
	struct hawser__list resources;
	struct hawser__list news;
	uint64_t last_ticket;
};

struct hawser__lease_resource {
	struct hawser__list link;
	struct hawser__lease_table *table;
	unsigned max_holders, max_waiting;
	uint64_t last_fencing;
	struct hawser__list holders, waiters; /* those that settle are among the holders */
	unsigned n_holders, n_waiting;
	char name[];
};

/** Whoever asks: a session, or a connection without one. Part of it. */
struct hawser__lease_party {
	struct hawser__list leases;
	bool is_away; /* without a connection at the moment */
};

/** Part of whatever the owner keeps of it. */
struct hawser__lease {
	struct hawser__lease_resource *resource;
	struct hawser__lease_party *party; /* NULL: settling or over */
	enum hawser__lease_state state;
	enum hawser__lease_end end;
	bool is_standing;           /* held until it is given up; else for one call alone */
	uint64_t ticket;            /* names it to others; never used again in this table */
	uint64_t fencing;           /* 0: not granted yet */
	uint64_t since_ms;          /* when it was asked for, then when it was granted */
	unsigned position;          /* in line, from 1; 0: does not wait */
	unsigned n_running;         /* calls under it */
	struct hawser__lease *heir; /* settling: who gets the place; NULL: the first in line */
	struct hawser__list line, of_party, news;
};

void hawser__lease_table_init(struct hawser__lease_table *table);
/** Frees the resources; all leases must be over. */
void hawser__lease_table_deinit(struct hawser__lease_table *table);

/**
 * Adds a resource; its first grant gets `first_fencing`. 0, -EINVAL (no holders or fencing number
 * 0), -EEXIST or -ENOMEM.
 */
int hawser__lease_add(struct hawser__lease_table *table, const char *name, unsigned max_holders,
		      unsigned max_waiting, uint64_t first_fencing,
		      struct hawser__lease_resource **resource);
/** Frees it; nobody holds it or waits. */
void hawser__lease_remove(struct hawser__lease_resource *resource);
/** NULL: there is none of that name. */
struct hawser__lease_resource *hawser__lease_find(const struct hawser__lease_table *table,
						  const char *name);

static inline void hawser__lease_party_init(struct hawser__lease_party *party)
{
	hawser__list_init(&party->leases);
	party->is_away = false;
}

/** A lease of nobody and over, which may be asked for. */
void hawser__lease_init(struct hawser__lease *lease);

/**
 * Asks for the resource: it is held then, or waits. 0, -EBUSY (the line is full), or -EALREADY (a
 * standing one, and the party has one already).
 */
int hawser__lease_request(struct hawser__lease *lease, struct hawser__lease_resource *resource,
			  struct hawser__lease_party *party, bool is_standing, uint64_t now_ms);

/** The standing lease that the party has or waits for; NULL: none. */
struct hawser__lease *hawser__lease_of(const struct hawser__lease_resource *resource,
				       const struct hawser__lease_party *party);
/** The one with that ticket, held or waiting; NULL: none. */
struct hawser__lease *hawser__lease_by_ticket(const struct hawser__lease_resource *resource,
					      uint64_t ticket);

/**
 * Its owner wants it no more: it waits no longer, or is given up. Makes no news of it, and takes
 * back what there is; harmless when it is over.
 */
void hawser__lease_leave(struct hawser__lease *lease, uint64_t now_ms);
/** Its party gives it up; news. Harmless unless it is held or waits. */
void hawser__lease_release(struct hawser__lease *lease, uint64_t now_ms);
/**
 * Gives a lease that is held to one that waits, past all before it. 0, or -EINVAL (one is not held,
 * the other does not wait, or not for the same).
 */
int hawser__lease_hand_over(struct hawser__lease *lease, struct hawser__lease *heir,
			    uint64_t now_ms);
/** Takes away a lease that is held or settles, whatever runs under it. Harmless else. */
void hawser__lease_force(struct hawser__lease *lease, uint64_t now_ms);

/** A call is about to run under a lease that is held. */
void hawser__lease_begin_call(struct hawser__lease *lease);
/** It has ended. */
void hawser__lease_end_call(struct hawser__lease *lease, uint64_t now_ms);

/** The party has lost its connection, or is back. */
void hawser__lease_set_away(struct hawser__lease_party *party, bool is_away, uint64_t now_ms);

/** One of whom there is something to tell: its state, and position or fencing number. NULL: none.
 */
struct hawser__lease *hawser__lease_news(struct hawser__lease_table *table);
/** It is known already, or there is something to tell of it in any case. */
void hawser__lease_hear(struct hawser__lease *lease);
void hawser__lease_repeat(struct hawser__lease *lease);

#endif /* HAWSER_WIRE_LEASE_H */
