/* Bytes on their way out: a queue of chunks.
 *
 * Frames are appended once, whole and in one piece, and leave as few writes as
 * possible: what is queued is handed to the kernel as an array of iovecs. Chunks
 * come from a pool that their loop shares, so that a connection with nothing to
 * send owns no memory. The first chunk of an empty buffer is a small one: the few
 * frames of a quiet connection may stay for a while. */

#ifndef HAWSER_UTIL_BUFFER_H
#define HAWSER_UTIL_BUFFER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
	HAWSER__CHUNK_BYTES = 16 * 1024,
	HAWSER__SMALL_CHUNK_BYTES = 992, /* with its head about 1 KiB */
	HAWSER__POOL_CHUNKS = 64,
};

struct hawser__chunk {
	struct hawser__chunk *next;
	size_t start, end, capacity; /* the queued bytes are data[start..end) */
	uint8_t data[];
};

/** Free chunks of one size, at most HAWSER__POOL_CHUNKS. */
struct hawser__chunks {
	struct hawser__chunk *free;
	size_t count;
};

/** Free chunks of the two usual sizes. A zeroed struct is empty. */
struct hawser__pool {
	struct hawser__chunks small, large;
};

struct hawser__buffer {
	struct hawser__chunk *first, *last;
	size_t length; /* bytes queued */
	struct hawser__pool *pool;
};

void hawser__pool_deinit(struct hawser__pool *pool);

void hawser__buffer_init(struct hawser__buffer *buffer, struct hawser__pool *pool);
/** Drops what is queued. */
void hawser__buffer_deinit(struct hawser__buffer *buffer);

uint8_t *hawser__buffer_reserve_slow(struct hawser__buffer *buffer, size_t size);

/**
 * Room for `size` bytes in one piece at the end, to be filled and committed before
 * anything else happens to the buffer; NULL without memory.
 */
static inline uint8_t *hawser__buffer_reserve(struct hawser__buffer *buffer, size_t size)
{
	struct hawser__chunk *last = buffer->last;

	if (last && size <= last->capacity - last->end)
		return last->data + last->end;
	return hawser__buffer_reserve_slow(buffer, size);
}

/** The first `size` of the reserved bytes are queued. */
static inline void hawser__buffer_commit(struct hawser__buffer *buffer, size_t size)
{
	buffer->last->end += size;
	buffer->length += size;
}

/** Up to `max` pieces of what is queued, front first; returns how many. */
int hawser__buffer_peek(const struct hawser__buffer *buffer, struct iovec *iov, int max);
/** The same for what lies from data[at] of `chunk` on. */
int hawser__buffer_peek_from(const struct hawser__chunk *chunk, size_t at, struct iovec *iov,
			     int max);
/** Removes bytes from the front, at most what is queued. An empty buffer owns no chunk. */
void hawser__buffer_consume(struct hawser__buffer *buffer, size_t size);

#endif /* HAWSER_UTIL_BUFFER_H */
