/* Bytes on their way out: a queue of chunks.
 *
 * Frames are appended once, whole and in one piece, and leave as few writes as
 * possible: what is queued is handed to the kernel as an array of iovecs. Chunks
 * come from a pool that their loop shares, so that a connection with nothing to
 * send owns no memory. The first chunk of an empty buffer is a small one: the few
 * frames of a quiet connection may stay for a while.
 *
 * Large messages travel in pieces, a chunk each, which are filled apart and linked into a buffer
 * when their turn comes. A chunk may also borrow its bytes from whoever lent them. */

#ifndef HAWSER_UTIL_BUFFER_H
#define HAWSER_UTIL_BUFFER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
	HAWSER__CHUNK_BYTES = 16 * 1024,
	HAWSER__SMALL_CHUNK_BYTES = 960, /* with its head 1 KiB */
	HAWSER__PIECE_CHUNK_BYTES = 64 * 1024 + 64,
	HAWSER__POOL_BYTES = 1024 * 1024, /* kept of one size, and at most so many: */
	HAWSER__POOL_CHUNKS = 64,
};

/** Bytes that chunks borrow; whoever lent them is told when the last chunk is gone. Any thread. */
struct hawser__loan {
	atomic_uint references;
	void (*release)(void *data); /* may be NULL */
	void *data;
};

struct hawser__chunk {
	struct hawser__chunk *next;
	uint8_t *data;               /* its own storage, or borrowed */
	size_t start, end, capacity; /* the queued bytes are data[start..end) */
	uint64_t mark;               /* of whoever keeps it before it is linked */
	struct hawser__loan *loan;   /* NULL: data is its own */
	uint8_t storage[];
};

/** Free chunks of one size, at most HAWSER__POOL_CHUNKS. */
struct hawser__chunks {
	struct hawser__chunk *free;
	size_t count;
};

/** Free chunks of the usual sizes. A zeroed struct is empty. */
struct hawser__pool {
	struct hawser__chunks small, large, pieces;
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

/** A chunk that is in no buffer yet, empty, with data[0..capacity). NULL without memory. */
struct hawser__chunk *hawser__chunk_new(struct hawser__pool *pool, size_t capacity);
/** One that borrows `size` bytes, all of them queued. Takes a reference of the loan. NULL without
 * memory. */
struct hawser__chunk *hawser__chunk_borrow(struct hawser__loan *loan, const uint8_t *data,
					   size_t size);
/** One that is in no buffer. */
void hawser__chunk_free(struct hawser__pool *pool, struct hawser__chunk *chunk);
/** Queues what the chunk holds; it is the buffer's then. */
void hawser__buffer_link(struct hawser__buffer *buffer, struct hawser__chunk *chunk);

/** With one reference, the caller's. NULL without memory: then nobody is told. */
struct hawser__loan *hawser__loan_new(void (*release)(void *data), void *data);
/** One reference fewer; the last one gives the bytes back. NULL is accepted. */
void hawser__loan_unref(struct hawser__loan *loan);

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
