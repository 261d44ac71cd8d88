/* Chunks of a buffer and the pool that they come from; buffer.h says why. */

#include "util/buffer.h"
#include "util/alloc.h"

void hawser__pool_deinit(struct hawser__pool *pool)
{
	while (pool->free) {
		struct hawser__chunk *chunk = pool->free;

		pool->free = chunk->next;
		free(chunk);
	}
	pool->count = 0;
}

static struct hawser__chunk *chunk_get(struct hawser__pool *pool, size_t size)
{
	struct hawser__chunk *chunk = pool->free;
	size_t capacity = size > HAWSER__CHUNK_BYTES ? size : HAWSER__CHUNK_BYTES;

	if (chunk && capacity == HAWSER__CHUNK_BYTES) {
		pool->free = chunk->next;
		pool->count--;
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
	if (chunk->capacity != HAWSER__CHUNK_BYTES || pool->count >= HAWSER__POOL_CHUNKS) {
		free(chunk);
		return;
	}
	chunk->next = pool->free;
	pool->free = chunk;
	pool->count++;
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
	struct hawser__chunk *chunk = chunk_get(buffer->pool, size);

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

int hawser__buffer_peek(const struct hawser__buffer *buffer, struct iovec *iov, int max)
{
	int n = 0;

	for (struct hawser__chunk *chunk = buffer->first; chunk && n < max; chunk = chunk->next) {
		if (chunk->start == chunk->end)
			continue;
		iov[n].iov_base = chunk->data + chunk->start;
		iov[n].iov_len = chunk->end - chunk->start;
		n++;
	}
	return n;
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
