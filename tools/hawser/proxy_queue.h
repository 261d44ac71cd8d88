/* Bytes on their way through the proxy, each with the time before which it may not
 * leave.
 *
 * No byte overtakes another: an early time behind a late one has to wait for it. So
 * a delay that varies does not change the order of a stream. */

#ifndef HAWSER_TOOL_PROXY_QUEUE_H
#define HAWSER_TOOL_PROXY_QUEUE_H

#include <stddef.h>
#include <stdint.h>

struct chunk;

struct queue {
	struct chunk *first, *last;
	size_t bytes;
};

/** Appends a copy of the bytes. Returns 0 or -ENOMEM. */
int queue_append(struct queue *queue, uint64_t due_ns, const uint8_t *bytes, size_t size);

/** When the first byte may leave; the queue must not be empty. */
uint64_t queue_due_ns(const struct queue *queue);

/** The first bytes that lie in one piece and are due together, borrowed until the queue changes. */
size_t queue_peek(const struct queue *queue, const uint8_t **bytes);

/** Copies the first `size` bytes, whenever they are due; returns how many there were. */
size_t queue_copy(const struct queue *queue, uint8_t *bytes, size_t size);

/** Removes the first `size` bytes, of those that queue_peek() gave. */
void queue_drop(struct queue *queue, size_t size);

/** Removes all. */
void queue_clear(struct queue *queue);

#endif /* HAWSER_TOOL_PROXY_QUEUE_H */
