/* Where incoming calls live: slabs of slots, and the handles that stand for them. */

#include "rpc/incoming.h"
#include "rpc/stream.h"
#include "util/alloc.h"
#include <errno.h>
#include <hawser/peer.h>
#include <string.h>

/* Arenas of free slots beyond so many give their memory back. */
enum { WARM_SLOTS = 64 };

/* An arena may grow to this many times the largest request: protobuf-c's structs
 * are larger than what they are made from. */
enum { ARENA_FACTOR = 8, ARENA_LEAST = 256 * 1024 };

struct hawser__slab {
	struct hawser__slab *next;
	void *slots;
};

/* A slot is as large as it is aligned, so that a handle's low bits are free. */
_Static_assert(sizeof(struct hawser__incoming) <= HAWSER__SLOT_ALIGN, "a slot holds a call");

/* ---- slots and handles ---- */

struct hawser_call *hawser__incoming_handle(struct hawser__incoming *incoming)
{
	unsigned generation = atomic_load_explicit(&incoming->state, memory_order_relaxed) &
			      HAWSER__SLOT_GENERATION;

	return (struct hawser_call *)(void *)((char *)incoming + generation);
}

struct hawser__incoming *hawser__incoming_of(const struct hawser_call *handle)
{
	uintptr_t generation = (uintptr_t)handle & HAWSER__SLOT_GENERATION;
	struct hawser__incoming *incoming;

	if (!hawser__is_incoming(handle))
		return NULL;
	incoming = (struct hawser__incoming *)(void *)((char *)(uintptr_t)handle - generation);
	unsigned state = atomic_load_explicit(&incoming->state, memory_order_acquire);
	return (state & HAWSER__SLOT_GENERATION) == generation ? incoming : NULL;
}

static int add_slab(struct hawser__serving *serving)
{
	struct hawser__slab *slab = hawser__malloc(sizeof *slab);
	size_t limit = serving->max_request_bytes * ARENA_FACTOR + ARENA_LEAST;

	if (!slab)
		return -ENOMEM;
	slab->slots = hawser__aligned_alloc(HAWSER__SLOT_ALIGN,
					    (size_t)HAWSER__SLOT_ALIGN * HAWSER__SLOTS_PER_SLAB);
	if (!slab->slots) {
		free(slab);
		return -ENOMEM;
	}
	memset(slab->slots, 0, (size_t)HAWSER__SLOT_ALIGN * HAWSER__SLOTS_PER_SLAB);
	/* The limits are known by now. */
	serving->messages.limit = limit;
	slab->next = serving->slabs;
	serving->slabs = slab;
	for (size_t i = 0; i < HAWSER__SLOTS_PER_SLAB; i++) {
		struct hawser__incoming *incoming =
			(void *)((char *)slab->slots + i * HAWSER__SLOT_ALIGN);

		atomic_init(&incoming->state, 1);
		incoming->serving = serving;
		atomic_init(&incoming->posted, 0);
		atomic_init(&incoming->posted_bytes, 0);
		hawser__arena_init(&incoming->arena, limit);
		hawser__list_append(&serving->free, &incoming->link);
		serving->n_free++;
	}
	return 0;
}

struct hawser__incoming *hawser__slot_take(struct hawser__serving *serving)
{
	struct hawser__incoming *incoming;

	if (hawser__list_empty(&serving->free) && add_slab(serving) < 0)
		return NULL;
	/* The one that was used last is the one in the cache. */
	incoming = hawser__container_of(serving->free.next, struct hawser__incoming, link);
	hawser__list_unlink(&incoming->link);
	serving->n_free--;
	return incoming;
}

/* What few calls have. */
static void release_more(struct hawser__incoming *incoming)
{
	void (*free_data)(void *data) = incoming->free_data;
	void *data = incoming->data;

	hawser__stream_free(incoming->call.stream);
	incoming->call.stream = NULL;
	hawser__arrival_free(incoming->arrival);
	incoming->arrival = NULL;
	incoming->data = NULL;
	incoming->free_data = NULL;
	hawser_peer_unref(incoming->peer);
	incoming->peer = NULL;
	if (free_data)
		free_data(data);
}

void hawser__slot_release(struct hawser__incoming *incoming)
{
	struct hawser__serving *serving = incoming->serving;
	unsigned generation = atomic_load_explicit(&incoming->state, memory_order_relaxed) &
			      HAWSER__SLOT_GENERATION;

	if (incoming->call.stream || incoming->arrival || incoming->data || incoming->peer)
		release_more(incoming);
	/* From here on, handles of the old generation are recognised as stale. */
	generation = (generation + 2) & HAWSER__SLOT_GENERATION;
	atomic_store_explicit(&incoming->state, generation, memory_order_release);
	if (serving->n_free < WARM_SLOTS)
		hawser__arena_reset(&incoming->arena);
	else
		hawser__arena_deinit(&incoming->arena);
	hawser__list_append(serving->free.next, &incoming->link); /* to the front */
	serving->n_free++;
}

void hawser__serving_init(struct hawser__serving *serving, struct hawser__loop *loop,
			  const struct hawser__registry *registry,
			  struct hawser__dispatch *dispatch)
{
	memset(serving, 0, sizeof *serving);
	serving->loop = loop;
	serving->registry = registry;
	serving->dispatch = dispatch;
	hawser__arena_init(&serving->messages, ARENA_LEAST);
	hawser__list_init(&serving->free);
}

void hawser__serving_deinit(struct hawser__serving *serving)
{
	while (serving->slabs) {
		struct hawser__slab *slab = serving->slabs;

		for (size_t i = 0; i < HAWSER__SLOTS_PER_SLAB; i++) {
			struct hawser__incoming *incoming =
				(void *)((char *)slab->slots + i * HAWSER__SLOT_ALIGN);

			hawser__stream_free(incoming->call.stream);
			hawser__arrival_free(incoming->arrival);
			hawser_peer_unref(incoming->peer);
			hawser__arena_deinit(&incoming->arena);
			if (incoming->free_data)
				incoming->free_data(incoming->data);
		}
		serving->slabs = slab->next;
		free(slab->slots);
		free(slab);
	}
	hawser__arena_deinit(&serving->messages);
	hawser__list_init(&serving->free);
}
