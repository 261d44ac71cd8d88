/* Large blocks of memory on a loop: used again, or given back bit by bit.
 *
 * To clear the pages of 256 MiB takes 15 ms at best, and to give them back 1 to 16; on a loop that
 * is a time in which nobody is answered. So the block that was freed last waits a while for the
 * next message of its size, and what is freed for good goes a slice at a time, with a turn of the
 * loop between two of them.
 *
 * A block comes from malloc, and free() is always right for it, too. */

#ifndef HAWSER_NET_BLOCK_H
#define HAWSER_NET_BLOCK_H

#include "net/loop.h"

enum {
	/* A block waits so long for its next use. */
	HAWSER__SPARE_MS = 1000,
	/* Is given back in one turn. */
	HAWSER__SLICE_BYTES = 2 << 20,
};

/** `size` bytes, which may have been used before; NULL without memory. `loop` may be NULL; so for
 * a loop that has no base, or is another thread's, this is malloc. */
void *hawser__block_take(struct hawser__loop *loop, size_t size);
/** Frees one. NULL is accepted. As above: also free(). */
void hawser__block_give(struct hawser__loop *loop, void *block);

/** The loop ends: what it still has is freed. */
void hawser__blocks_end(struct hawser__loop *loop);

#endif /* HAWSER_NET_BLOCK_H */
