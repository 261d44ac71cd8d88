/* The inner side of struct hawser_context. */

#ifndef HAWSER_RPC_CONTEXT_H
#define HAWSER_RPC_CONTEXT_H

#include <hawser/call.h>

struct hawser__outgoing;

/** Whether it was made with HAWSER_CONTEXT_INIT of this or an earlier version, or is NULL. */
bool hawser__context_is_valid(const struct hawser_context *context);

/** Whether the call is not to wait for a connection. */
static inline bool hawser__context_fails_if_away(const struct hawser_context *context)
{
	return context &&
	       context->size >= offsetof(struct hawser_context, fail_if_away) + sizeof(bool) &&
	       context->fail_if_away;
}

/** Whether hawser_context_cancel() was called. NULL: no. Any thread. */
bool hawser__context_is_cancelled(const struct hawser_context *context);

/** Forgets what the last call brought; a cancellation stays. NULL is accepted. */
void hawser__context_reset(struct hawser_context *context);

/** Moves what an ended call brought (error, metadata, details) into the context, if there is one.
 */
void hawser__context_fill(struct hawser_context *context, struct hawser__outgoing *outgoing);

#endif /* HAWSER_RPC_CONTEXT_H */
