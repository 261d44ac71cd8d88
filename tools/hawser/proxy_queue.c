/* A list of chunks. Bytes with the same time share them, so that a stream of single
 * bytes does not cost a chunk each. */

#include "proxy_queue.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 4096 };

struct chunk {
	struct chunk *next;
	uint64_t due_ns;
	size_t start, end, size;
	uint8_t bytes[];
};

static struct chunk *chunk_new(uint64_t due_ns, size_t size)
{
	struct chunk *chunk;

	if (size < CHUNK_BYTES)
		size = CHUNK_BYTES;
	chunk = malloc(sizeof *chunk + size);
	if (!chunk)
		return NULL;
	chunk->next = NULL;
	chunk->due_ns = due_ns;
	chunk->start = chunk->end = 0;
	chunk->size = size;
	return chunk;
}

int queue_append(struct queue *queue, uint64_t due_ns, const uint8_t *bytes, size_t size)
{
	struct chunk *chunk = queue->last;

	if (!chunk || chunk->due_ns != due_ns || chunk->size - chunk->end < size) {
		chunk = chunk_new(due_ns, size);
		if (!chunk)
			return -ENOMEM;
		if (queue->last)
			queue->last->next = chunk;
		else
			queue->first = chunk;
		queue->last = chunk;
	}
	memcpy(chunk->bytes + chunk->end, bytes, size);
	chunk->end += size;
	queue->bytes += size;
	return 0;
}

uint64_t queue_due_ns(const struct queue *queue)
{
	return queue->first->due_ns;
}

size_t queue_peek(const struct queue *queue, const uint8_t **bytes)
{
	const struct chunk *chunk = queue->first;

	if (!chunk)
		return 0;
	*bytes = chunk->bytes + chunk->start;
	return chunk->end - chunk->start;
}

size_t queue_copy(const struct queue *queue, uint8_t *bytes, size_t size)
{
	size_t copied = 0;

	for (const struct chunk *at = queue->first; at && copied < size; at = at->next) {
		size_t n = at->end - at->start;

		if (n > size - copied)
			n = size - copied;
		memcpy(bytes + copied, at->bytes + at->start, n);
		copied += n;
	}
	return copied;
}

void queue_drop(struct queue *queue, size_t size)
{
	struct chunk *chunk = queue->first;

	if (!size)
		return;
	chunk->start += size;
	queue->bytes -= size;
	if (chunk->start < chunk->end)
		return;
	queue->first = chunk->next;
	if (!queue->first)
		queue->last = NULL;
	free(chunk);
}

void queue_clear(struct queue *queue)
{
	for (struct chunk *chunk = queue->first, *next; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	*queue = (struct queue){.first = NULL};
}
