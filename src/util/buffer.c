/* Chunks of a buffer and the pool that they come from; buffer.h says why. */

#include "util/buffer.h"
#include "util/alloc.h"

static void chunks_free(struct hawser__chunks *chunks)
{
	while (chunks->free) {
		struct hawser__chunk *chunk = chunks->free;

		chunks->free = chunk->next;
		free(chunk);
	}
	chunks->count = 0;
}

void hawser__pool_deinit(struct hawser__pool *pool)
{
	chunks_free(&pool->small);
	chunks_free(&pool->large);
}

/* Where chunks of this capacity are kept; NULL: nowhere. */
static struct hawser__chunks *chunks_of(struct hawser__pool *pool, size_t capacity)
{
	if (capacity == HAWSER__CHUNK_BYTES)
		return &pool->large;
	return capacity == HAWSER__SMALL_CHUNK_BYTES ? &pool->small : NULL;
}

static struct hawser__chunk *chunk_get(struct hawser__pool *pool, size_t capacity)
{
	struct hawser__chunks *chunks = chunks_of(pool, capacity);
	struct hawser__chunk *chunk = chunks ? chunks->free : NULL;

	if (chunk) {
		chunks->free = chunk->next;
		chunks->count--;
	} else {
		if (capacity > SIZE_MAX - sizeof *chunk)
			return NULL;
		chunk = hawser__malloc(sizeof *chunk + capacity);
		if (!chunk)
			return NULL;
		chunk->capacity = capacity;
	}
	chunk->next = NULL;
	chunk->start = chunk->end = 0;
	return chunk;
}

static void chunk_put(struct hawser__pool *pool, struct hawser__chunk *chunk)
{
	struct hawser__chunks *chunks = chunks_of(pool, chunk->capacity);

	if (!chunks || chunks->count >= HAWSER__POOL_CHUNKS) {
		free(chunk);
		return;
	}
	chunk->next = chunks->free;
	chunks->free = chunk;
	chunks->count++;
}

static void drop_first(struct hawser__buffer *buffer)
{
	struct hawser__chunk *chunk = buffer->first;

	buffer->first = chunk->next;
	if (!buffer->first)
		buffer->last = NULL;
	chunk_put(buffer->pool, chunk);
}

void hawser__buffer_init(struct hawser__buffer *buffer, struct hawser__pool *pool)
{
	*buffer = (struct hawser__buffer){.pool = pool};
}

void hawser__buffer_deinit(struct hawser__buffer *buffer)
{
	while (buffer->first)
		drop_first(buffer);
	buffer->length = 0;
}

uint8_t *hawser__buffer_reserve_slow(struct hawser__buffer *buffer, size_t size)
{
	size_t capacity = buffer->length ? HAWSER__CHUNK_BYTES : HAWSER__SMALL_CHUNK_BYTES;
	struct hawser__chunk *chunk;

	if (size > capacity)
		capacity = size > HAWSER__CHUNK_BYTES ? size : HAWSER__CHUNK_BYTES;
	chunk = chunk_get(buffer->pool, capacity);
	if (!chunk)
		return NULL;
	/* Room that was reserved and not committed may have left one empty chunk. */
	if (buffer->first && !buffer->length)
		drop_first(buffer);
	if (buffer->last)
		buffer->last->next = chunk;
	else
		buffer->first = chunk;
	buffer->last = chunk;
	return chunk->data;
}

int hawser__buffer_peek_from(const struct hawser__chunk *chunk, size_t at, struct iovec *iov,
			     int max)
{
	int n = 0;

	while (chunk && n < max) {
		if (at < chunk->end) {
			iov[n].iov_base = (uint8_t *)(uintptr_t)chunk->data + at;
			iov[n].iov_len = chunk->end - at;
			n++;
		}
		chunk = chunk->next;
		at = chunk ? chunk->start : 0;
	}
	return n;
}

int hawser__buffer_peek(const struct hawser__buffer *buffer, struct iovec *iov, int max)
{
	const struct hawser__chunk *first = buffer->first;

	return first ? hawser__buffer_peek_from(first, first->start, iov, max) : 0;
}

void hawser__buffer_consume(struct hawser__buffer *buffer, size_t size)
{
	if (size >= buffer->length) {
		hawser__buffer_deinit(buffer);
		return;
	}
	buffer->length -= size;
	for (;;) {
		struct hawser__chunk *chunk = buffer->first;

		if (size < chunk->end - chunk->start) {
			chunk->start += size;
			return;
		}
		size -= chunk->end - chunk->start;
		drop_first(buffer);
	}
}
