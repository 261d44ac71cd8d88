/* The calls in flight on a connection, by id.
 *
 * Our own ids rise by two, so the last few hundred calls have a place each in a
 * ring that an id indexes: finding one is a comparison. A call that outlives its
 * turn of the ring keeps its place; whoever comes to it meanwhile, and calls
 * whose ids the peer chose, go to a hash map. */

#ifndef HAWSER_RPC_CALL_TABLE_H
#define HAWSER_RPC_CALL_TABLE_H

#include "rpc/call.h"
#include "util/alloc.h"
#include "util/map.h"
#include <errno.h>

enum { HAWSER__CALL_RING = 256 };

/** A zeroed struct is an empty table. */
struct hawser__call_table {
	struct hawser_call **ring; /* NULL: no call was made yet */
	struct hawser__map others;
};

static inline struct hawser_call **hawser__call_table_place(const struct hawser__call_table *table,
							    uint64_t id)
{
	return &table->ring[id / 2 % HAWSER__CALL_RING];
}

/** Enters a call of ours under its id. 0 or -ENOMEM. */
static inline int hawser__call_table_insert(struct hawser__call_table *table,
					    struct hawser_call *call)
{
	struct hawser_call **place;

	if (!table->ring) {
		table->ring = hawser__calloc(HAWSER__CALL_RING, sizeof *table->ring);
		if (!table->ring)
			return -ENOMEM;
	}
	place = hawser__call_table_place(table, call->id);
	if (*place)
		return hawser__map_insert(&table->others, call->id, call);
	*place = call;
	return 0;
}

/** Enters a call of the peer's. 0 or -ENOMEM. */
static inline int hawser__call_table_insert_peers(struct hawser__call_table *table,
						  struct hawser_call *call)
{
	return hawser__map_insert(&table->others, call->id, call);
}

/** NULL: there is none. */
static inline struct hawser_call *hawser__call_table_find(const struct hawser__call_table *table,
							  uint64_t id)
{
	if (table->ring) {
		struct hawser_call *call = *hawser__call_table_place(table, id);

		if (call && call->id == id)
			return call;
	}
	return hawser__map_find(&table->others, id);
}

static inline void hawser__call_table_remove(struct hawser__call_table *table, uint64_t id)
{
	if (table->ring) {
		struct hawser_call **place = hawser__call_table_place(table, id);

		if (*place && (*place)->id == id) {
			*place = NULL;
			return;
		}
	}
	hawser__map_remove(&table->others, id);
}

static inline void hawser__call_table_deinit(struct hawser__call_table *table)
{
	free(table->ring);
	table->ring = NULL;
	hawser__map_deinit(&table->others);
}

#endif /* HAWSER_RPC_CALL_TABLE_H */
