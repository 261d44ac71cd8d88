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
	chunks_free(&pool->pieces);
}

/* Where chunks of this capacity are kept; NULL: nowhere. */
static struct hawser__chunks *chunks_of(struct hawser__pool *pool, size_t capacity)
{
	if (capacity == HAWSER__CHUNK_BYTES)
		return &pool->large;
	if (capacity == HAWSER__PIECE_CHUNK_BYTES)
		return &pool->pieces;
	return capacity == HAWSER__SMALL_CHUNK_BYTES ? &pool->small : NULL;
}

/* ---- loans ---- */

struct hawser__loan *hawser__loan_new(void (*release)(void *data), void *data)
{
	struct hawser__loan *loan = hawser__malloc(sizeof *loan);

	if (!loan)
		return NULL;
	atomic_init(&loan->references, 1);
	loan->release = release;
	loan->data = data;
	return loan;
}

void hawser__loan_unref(struct hawser__loan *loan)
{
	if (!loan || atomic_fetch_sub_explicit(&loan->references, 1, memory_order_acq_rel) > 1)
		return;
	if (loan->release)
		loan->release(loan->data);
	free(loan);
}

/* ---- chunks ---- */

struct hawser__chunk *hawser__chunk_new(struct hawser__pool *pool, size_t capacity)
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
		chunk->loan = NULL;
		chunk->data = chunk->storage;
	}
	chunk->next = NULL;
	chunk->start = chunk->end = 0;
	chunk->mark = 0;
	return chunk;
}

struct hawser__chunk *hawser__chunk_borrow(struct hawser__loan *loan, const uint8_t *data,
					   size_t size)
{
	struct hawser__chunk *chunk = hawser__malloc(sizeof *chunk);

	if (!chunk)
		return NULL;
	loan->references++;
	*chunk = (struct hawser__chunk){
		.data = (uint8_t *)(uintptr_t)data, .end = size, .capacity = size, .loan = loan};
	return chunk;
}

void hawser__chunk_free(struct hawser__pool *pool, struct hawser__chunk *chunk)
{
	struct hawser__loan *loan = chunk->loan;
	struct hawser__chunks *chunks = loan ? NULL : chunks_of(pool, chunk->capacity);

	if (!chunks || chunks->count >= HAWSER__POOL_CHUNKS ||
	    chunks->count * chunk->capacity >= HAWSER__POOL_BYTES) {
		free(chunk);
		hawser__loan_unref(loan);
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
	hawser__chunk_free(buffer->pool, chunk);
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

static void append(struct hawser__buffer *buffer, struct hawser__chunk *chunk)
{
	/* Room that was reserved and not committed may have left one empty chunk. */
	if (buffer->first && !buffer->length)
		drop_first(buffer);
	chunk->next = NULL;
	if (buffer->last)
		buffer->last->next = chunk;
	else
		buffer->first = chunk;
	buffer->last = chunk;
}

uint8_t *hawser__buffer_reserve_slow(struct hawser__buffer *buffer, size_t size)
{
	size_t capacity = buffer->length ? HAWSER__CHUNK_BYTES : HAWSER__SMALL_CHUNK_BYTES;
	struct hawser__chunk *chunk;

	if (size > capacity)
		capacity = size > HAWSER__CHUNK_BYTES ? size : HAWSER__CHUNK_BYTES;
	chunk = hawser__chunk_new(buffer->pool, capacity);
	if (!chunk)
		return NULL;
	append(buffer, chunk);
	return chunk->data;
}

void hawser__buffer_link(struct hawser__buffer *buffer, struct hawser__chunk *chunk)
{
	append(buffer, chunk);
	buffer->length += chunk->end - chunk->start;
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
