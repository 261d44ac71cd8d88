/* Large blocks of memory: used again, or given back bit by bit.
 *
 * To clear the pages of 256 MiB takes 15 ms at best, and to give them back 1 to 16; on a loop that
 * is a time in which nobody is answered. So the blocks that were freed last wait a while for
 * messages of their size, and what is freed for good goes a slice at a time, with a turn of the
 * loop between two of them.
 *
 * Loops free blocks, and any thread may use them again. A block comes from malloc, and free() is
 * always right for it, too. */

#ifndef HAWSER_NET_BLOCK_H
#define HAWSER_NET_BLOCK_H

#include "net/loop.h"

enum {
	/* So many wait in the whole process: one that comes, and one that goes. */
	HAWSER__SPARES = 2,
	/* And so long. */
	HAWSER__SPARE_MS = 1000,
	/* Is given back in one turn. */
	HAWSER__SLICE_BYTES = 2 << 20,
};

/** `size` bytes, which may have been used before; NULL without memory. Any thread. */
void *hawser__block_take(size_t size);
/** Frees one, or keeps it for a while. NULL is accepted. Where the loop is NULL, has no base, or is
 * another thread's, this is free(). */
void hawser__block_give(struct hawser__loop *loop, void *block);

/** The loop ends: what it still has is freed. */
void hawser__blocks_end(struct hawser__loop *loop);

#endif /* HAWSER_NET_BLOCK_H */
