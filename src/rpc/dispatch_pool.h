/* Handlers on threads of a pool; dispatch_pool.c tells how.
 *
 * What the rest of the call layer must know of it: when a call ends while a thread is in its
 * handler, and what that handler may ask for from there. */

#ifndef HAWSER_RPC_DISPATCH_POOL_H
#define HAWSER_RPC_DISPATCH_POOL_H

#include "rpc/dispatch.h"

extern const struct hawser__stage_ops hawser__pool_stage;

/** Whether the calling thread is in that call's handler. */
bool hawser__pool_is_here(const struct hawser__incoming *incoming);

/* The loop. */

/** More has come for a stream of requests. May end the call. */
void hawser__pool_arrived(struct hawser__ticket *ticket);
/** The call has ended. True: a thread is still in its handler, and its slot stays for that. */
bool hawser__pool_finish(struct hawser__ticket *ticket);
/** Frees what the ticket has of this stage. */
void hawser__pool_forget(struct hawser__ticket *ticket);
/** Nobody waits for the call any more: tells a handler that asked to be told at once. */
void hawser__pool_interrupt(struct hawser__incoming *incoming);
/** Whether its handler runs, so that what is due now has to wait:
 * hawser__incoming_tell_cancelled(), or on_writable. It is done after the turn. */
bool hawser__pool_puts_off_cancel(struct hawser__ticket *ticket);
bool hawser__pool_puts_off_writable(const struct hawser__incoming *incoming);
/** There may be room for what a handler has to send. */
void hawser__pool_tell_room(const struct hawser__incoming *incoming);
/** True: no handler of these calls has a turn, or waits for one. Else `on_calm` runs, on the loop,
 * when that is so. */
bool hawser__pool_await_calm(struct hawser__serving *serving,
			     void (*on_calm)(struct hawser__serving *serving));
/** One turn fewer. Any thread. */
void hawser__pool_count_down(struct hawser__serving *serving);

/* A handler of such a call, or its loop. */

/** See hawser_call_peer(). */
const char *hawser__pool_peer(const struct hawser__incoming *incoming);
/** See hawser_call_on_interrupt(). The handler's thread. */
int hawser__pool_on_interrupt(struct hawser__incoming *incoming, struct hawser_call *handle,
			      hawser_cancel_fn *callback, void *data);
/** See hawser_call_read_stop(). Any thread. */
int hawser__pool_set_stopped(struct hawser__incoming *incoming, struct hawser_call *handle,
			     bool is_stopped);
/** Waits until there is room, or the call is over. The handler's thread. */
void hawser__pool_wait_for_room(struct hawser__incoming *incoming,
				bool (*has_room)(struct hawser__incoming *incoming));

/** Whether the handlers of that method run on the pool. */
static inline bool hawser__is_pooled(const struct hawser__incoming *incoming)
{
	return incoming->entry->stages & 1u << HAWSER__STAGE_POOL;
}

#endif /* HAWSER_RPC_DISPATCH_POOL_H */
