/* Memory that is freed all at once.
 *
 * A request is unpacked into its call's arena: protobuf-c asks for many small
 * pieces, the arena bumps a pointer, and the end of the call is one reset.
 * Blocks beyond the first are freed by a reset, so that one large message does
 * not make an arena large for ever. The limit bounds what a hostile message can
 * unfold to. */

#ifndef HAWSER_UTIL_ARENA_H
#define HAWSER_UTIL_ARENA_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hawser__arena_block;

struct hawser__arena {
	uint8_t *at, *end;                   /* the free part of the current block */
	struct hawser__arena_block *current; /* newest first; the last one stays */
	size_t used;                         /* bytes handed out since the reset */
	size_t limit;                        /* most bytes between two resets */
	bool exhausted;                      /* an allocation was refused for the limit */
	bool starved;                        /* one found no memory */
};

enum { HAWSER__ARENA_FIRST_BLOCK = 2048 };

/** Allocates nothing yet. */
void hawser__arena_init(struct hawser__arena *arena, size_t limit_bytes);
void hawser__arena_deinit(struct hawser__arena *arena);
/** Everything handed out becomes invalid; keeps one block of the first size at most. */
void hawser__arena_reset(struct hawser__arena *arena);

void *hawser__arena_alloc_slow(struct hawser__arena *arena, size_t size);

/**
 * Aligned to 16, never shared, also for a size of 0; NULL without memory or over
 * the limit (then `starved` or `exhausted` is set).
 */
static inline void *hawser__arena_alloc(struct hawser__arena *arena, size_t size)
{
	size_t rounded = (size + 15) & ~(size_t)15;

	/* One comparison; 0, from a size of 0 or by overflow, becomes the largest number. */
	if (rounded - 1 < (size_t)(arena->end - arena->at)) {
		void *p = arena->at;

		arena->at += rounded;
		arena->used += rounded;
		return p;
	}
	return hawser__arena_alloc_slow(arena, size);
}

/** A copy of `length` bytes with a zero byte after them; NULL as above. */
char *hawser__arena_copy(struct hawser__arena *arena, const void *data, size_t length);

/** A protobuf-c allocator over the arena; its free does nothing. */
ProtobufCAllocator hawser__arena_allocator(struct hawser__arena *arena);

#endif /* HAWSER_UTIL_ARENA_H */
