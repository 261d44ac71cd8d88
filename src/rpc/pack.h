/* Packing what is large into one place, without keeping a CPU from others.
 *
 * To pack 256 MiB takes tens of milliseconds. A loop that is woken meanwhile on the same CPU, or
 * another thread, waits until the packing thread's time slice is over, again and again. So between
 * two parts it gives way (sched_yield(2)): with nobody there that costs next to nothing, and who is
 * there goes first. Where that turns out to be something that keeps the CPU for long, there is no
 * politeness for a while: each time would cost a time slice of its own. */

#ifndef HAWSER_RPC_PACK_H
#define HAWSER_RPC_PACK_H

#include "rpc/call.h"

struct hawser__loop;

/**
 * Packs a content that is a message, or bytes that are not lent, if it is large and not above the
 * limit: for who must not do that later, on a loop or with a lock held. It is lent then, and the
 * loan is the caller's, to be given back. `loop`: where the memory goes afterwards (block.h); NULL:
 * back to malloc. Without memory it stays as it is.
 */
void hawser__content_pack_for(struct hawser__content *content, size_t limit,
			      struct hawser__loop *loop);
static inline void hawser__content_pack_large(struct hawser__content *content, size_t limit)
{
	hawser__content_pack_for(content, limit, NULL);
}

#endif /* HAWSER_RPC_PACK_H */
