/* A hash map from 64-bit keys to pointers.
 *
 * Open addressing with linear probing over a power of two, at most three
 * quarters full; removal shifts back, so there are no tombstones and a map that was once
 * full stays fast. The hash is seeded per process (a peer chooses some of
 * the keys). An empty map owns no memory. */

#ifndef HAWSER_UTIL_MAP_H
#define HAWSER_UTIL_MAP_H

#include <stddef.h>
#include <stdint.h>

struct hawser__map_slot {
	uint64_t key;
	void *value; /* NULL: the slot is free */
};

struct hawser__map {
	struct hawser__map_slot *slots;
	uint32_t mask; /* slots - 1; 0 without memory */
	uint32_t count;
};

/** A zeroed struct is an empty map. */
void hawser__map_deinit(struct hawser__map *map);
/** Inserts a value that is not NULL. 0, -EEXIST, or -ENOMEM. */
int hawser__map_insert(struct hawser__map *map, uint64_t key, void *value);
/** The value, or NULL. */
void *hawser__map_find(const struct hawser__map *map, uint64_t key);
/** The removed value, or NULL. Frees the slots when the map becomes empty. */
void *hawser__map_remove(struct hawser__map *map, uint64_t key);
/** Iterates: *at starts at 0; the next value, or NULL at the end. The map must not change
 * meanwhile. */
void *hawser__map_next(const struct hawser__map *map, size_t *at);

#endif /* HAWSER_UTIL_MAP_H */
