/* The hash map; map.h says what it promises. */

#include "util/map.h"
#include "util/alloc.h"
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>

enum { FIRST_SLOTS = 8 };

/* 0 until the first map gets slots. */
static _Atomic uint64_t process_seed;

static void seed_once(void)
{
	uint64_t seed = 0, unset = 0;

	if (atomic_load_explicit(&process_seed, memory_order_relaxed))
		return;
	if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed) {
		/* Before the system has entropy, or under a strict seccomp filter: the 16
		 * random bytes that the kernel gave the process when it started. */
		const void *random = (const void *)getauxval(AT_RANDOM);

		if (random)
			memcpy(&seed, random, sizeof seed);
	}
	/* Odd, because it is a factor as well; and so never 0. */
	atomic_compare_exchange_strong_explicit(&process_seed, &unset, seed | 1,
						memory_order_relaxed, memory_order_relaxed);
}

/* The last step is multiply-shift with a secret odd factor (Dietzfelbinger et al.,
 * 1997): no two keys collide more often than by chance, whoever chose them. The
 * steps before it keep ascending keys from falling into a pattern. */
static uint32_t hash(uint64_t key)
{
	uint64_t seed = atomic_load_explicit(&process_seed, memory_order_relaxed);

	key = (key ^ seed) * UINT64_C(0x9e3779b97f4a7c15);
	key ^= key >> 32;
	return (uint32_t)(key * seed >> 32);
}

/* The slot of the key, or the free one where it belongs. There is always a free one. */
static struct hawser__map_slot *probe(const struct hawser__map *map, uint64_t key)
{
	uint32_t at = hash(key) & map->mask;

	while (map->slots[at].value && map->slots[at].key != key)
		at = (at + 1) & map->mask;
	return &map->slots[at];
}

static int grow(struct hawser__map *map)
{
	size_t old_slots = map->slots ? (size_t)map->mask + 1 : 0;
	size_t n_slots = old_slots ? 2 * old_slots : FIRST_SLOTS;
	struct hawser__map larger = {.count = map->count};

	if (n_slots > (size_t)1 << 31 || n_slots > SIZE_MAX / sizeof *map->slots)
		return -ENOMEM;
	/* Not calloc: glibc's goes past the thread's cache, and a map that empties
	 * and fills with every call comes here each time. */
	larger.slots = hawser__malloc(n_slots * sizeof *map->slots);
	if (!larger.slots)
		return -ENOMEM;
	memset(larger.slots, 0, n_slots * sizeof *map->slots);
	larger.mask = (uint32_t)(n_slots - 1);
	seed_once();
	for (size_t i = 0; i < old_slots; i++)
		if (map->slots[i].value)
			*probe(&larger, map->slots[i].key) = map->slots[i];
	free(map->slots);
	*map = larger;
	return 0;
}

void hawser__map_deinit(struct hawser__map *map)
{
	free(map->slots);
	*map = (struct hawser__map){0};
}

int hawser__map_insert(struct hawser__map *map, uint64_t key, void *value)
{
	struct hawser__map_slot *slot = map->slots ? probe(map, key) : NULL;

	if (slot && slot->value)
		return -EEXIST;
	if (!slot || map->count >= map->mask / 4 * 3 + 3) {
		int r = grow(map);

		if (r < 0)
			return r;
		slot = probe(map, key);
	}
	slot->key = key;
	slot->value = value;
	map->count++;
	return 0;
}

void *hawser__map_find(const struct hawser__map *map, uint64_t key)
{
	return map->slots ? probe(map, key)->value : NULL;
}

/* Closes the gap that a removal leaves: whatever was pushed past the gap by its
 * collisions moves back into it, until a free slot ends the run. */
static void close_gap(struct hawser__map *map, uint32_t gap)
{
	uint32_t at = gap;

	for (;;) {
		uint32_t home;

		at = (at + 1) & map->mask;
		if (!map->slots[at].value)
			break;
		home = hash(map->slots[at].key) & map->mask;
		if (((at - home) & map->mask) >= ((at - gap) & map->mask)) {
			map->slots[gap] = map->slots[at];
			gap = at;
		}
	}
	map->slots[gap].value = NULL;
}

void *hawser__map_remove(struct hawser__map *map, uint64_t key)
{
	struct hawser__map_slot *slot;
	void *value;

	if (!map->slots)
		return NULL;
	slot = probe(map, key);
	value = slot->value;
	if (!value)
		return NULL;
	if (--map->count == 0)
		hawser__map_deinit(map);
	else
		close_gap(map, (uint32_t)(slot - map->slots));
	return value;
}

void *hawser__map_next(const struct hawser__map *map, size_t *at)
{
	while (map->slots && *at <= map->mask) {
		void *value = map->slots[(*at)++].value;

		if (value)
			return value;
	}
	return NULL;
}
