/* Blocks of an arena: they double up to a bound, and a piece that is large
 * compared with the next block gets one of its own size, linked behind the
 * current one, whose rest stays in use. `end` is never set beyond what the limit
 * still allows; so the inline path that only compares with `end` keeps the limit. */

#include "util/arena.h"
#include "util/alloc.h"
#include <stdalign.h>
#include <string.h>

struct hawser__arena_block {
	struct hawser__arena_block *older;
	size_t capacity;
	alignas(16) uint8_t data[];
};

enum {
	HEADER = sizeof(struct hawser__arena_block),
	FIRST_CAPACITY = HAWSER__ARENA_FIRST_BLOCK - HEADER,
	/* below malloc's threshold for mmap, which would fault in every page anew */
	LARGEST_CAPACITY = 64 * 1024 - HEADER,
};

static struct hawser__arena_block *block_new(struct hawser__arena *arena, size_t capacity)
{
	struct hawser__arena_block *block = NULL;

	if (capacity <= SIZE_MAX - HEADER)
		block = hawser__aligned_alloc(16, HEADER + capacity);
	if (block)
		block->capacity = capacity;
	else
		arena->starved = true;
	return block;
}

static size_t allowed(const struct hawser__arena *arena)
{
	return (arena->limit - arena->used) & ~(size_t)15;
}

/* Hands the inline path the free part from `at` on, as far as the limit allows. */
static void open_part(struct hawser__arena *arena, uint8_t *at, size_t size)
{
	arena->at = at;
	arena->end = at + (size < allowed(arena) ? size : allowed(arena));
}

void hawser__arena_init(struct hawser__arena *arena, size_t limit_bytes)
{
	*arena = (struct hawser__arena){.limit = limit_bytes};
}

static void free_blocks(struct hawser__arena_block *block, const struct hawser__arena_block *until)
{
	while (block != until) {
		struct hawser__arena_block *older = block->older;

		free(block);
		block = older;
	}
}

void hawser__arena_deinit(struct hawser__arena *arena)
{
	free_blocks(arena->current, NULL);
	hawser__arena_init(arena, arena->limit);
}

void hawser__arena_reset(struct hawser__arena *arena)
{
	struct hawser__arena_block *oldest = arena->current;

	while (oldest && oldest->older)
		oldest = oldest->older;
	if (oldest && oldest->capacity > FIRST_CAPACITY)
		oldest = NULL;
	free_blocks(arena->current, oldest);
	hawser__arena_init(arena, arena->limit);
	arena->current = oldest;
	if (oldest)
		open_part(arena, oldest->data, oldest->capacity);
}

void *hawser__arena_alloc_slow(struct hawser__arena *arena, size_t size)
{
	struct hawser__arena_block *current = arena->current, *block;
	size_t rounded = size ? (size + 15) & ~(size_t)15 : 16;
	size_t capacity = FIRST_CAPACITY;

	if (rounded < size || rounded > allowed(arena)) {
		arena->exhausted = true;
		return NULL;
	}
	if (rounded <= (size_t)(arena->end - arena->at)) { /* size is 0 */
		block = current;
	} else {
		if (current && current->capacity < LARGEST_CAPACITY / 2)
			capacity = 2 * current->capacity + HEADER;
		else if (current)
			capacity = LARGEST_CAPACITY;
		if (current && rounded > capacity / 4) {
			block = block_new(arena, rounded);
			if (!block)
				return NULL;
			block->older = current->older;
			current->older = block;
			arena->used += rounded;
			open_part(arena, arena->at, (size_t)(arena->end - arena->at));
			return block->data;
		}
		block = block_new(arena, rounded > capacity ? rounded : capacity);
		if (!block)
			return NULL;
		block->older = current;
		arena->current = block;
		open_part(arena, block->data, block->capacity);
	}
	arena->at += rounded;
	arena->used += rounded;
	return arena->at - rounded;
}

char *hawser__arena_copy(struct hawser__arena *arena, const void *data, size_t length)
{
	char *copy;

	if (length == SIZE_MAX) {
		arena->exhausted = true;
		return NULL;
	}
	copy = hawser__arena_alloc(arena, length + 1);
	if (!copy)
		return NULL;
	if (length)
		memcpy(copy, data, length);
	copy[length] = '\0';
	return copy;
}

static void *allocator_alloc(void *arena, size_t size)
{
	return hawser__arena_alloc(arena, size);
}

static void allocator_free(void *arena, void *pointer)
{
}

ProtobufCAllocator hawser__arena_allocator(struct hawser__arena *arena)
{
	return (ProtobufCAllocator){
		.alloc = allocator_alloc, .free = allocator_free, .allocator_data = arena};
}
