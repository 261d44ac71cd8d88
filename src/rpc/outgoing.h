/* Calls that this end makes: from the stub to the carrier, and back. */

#ifndef HAWSER_RPC_OUTGOING_H
#define HAWSER_RPC_OUTGOING_H

#include "net/loop.h"
#include "rpc/call.h"
#include "util/list.h"

struct hawser__connection;
struct hawser__frame;

struct hawser__outgoing {
	struct hawser_call call;
	/** It has ended: `error` tells how, `reply` is the callee's. Runs once. */
	void (*done)(struct hawser__outgoing *outgoing);
	/** Where the reply is unpacked; NULL: in memory of its own. */
	struct hawser__arena *replies;
	ProtobufCMessage *reply;
	const struct hawser_detail *details;
	size_t n_details;
	struct hawser__arena arena; /* metadata and details that came */
	struct hawser__list link;   /* the connection's calls */
	struct hawser_error error;  /* last: its text, set only for failures, is large and cold */
};

void hawser__outgoing_init(struct hawser__outgoing *outgoing, const struct hawser_method *method,
			   void (*done)(struct hawser__outgoing *outgoing));
void hawser__outgoing_deinit(struct hawser__outgoing *outgoing);

/**
 * Works out the deadline from context, method and default: absolute, UINT64_MAX for none.
 */
uint64_t hawser__outgoing_deadline(const struct hawser_method *method,
				   const struct hawser_context *context, unsigned default_ms,
				   uint64_t now_ms);

/**
 * Sends it. On failure `done` has not run, error is filled. Returns 0 or a negative errno:
 * -EINVAL (metadata), -EMSGSIZE, -ENOBUFS (too much unsent), -ENOMEM, -ETIMEDOUT (the deadline has
 * passed).
 */
int hawser__outgoing_start(struct hawser__outgoing *outgoing, struct hawser__connection *connection,
			   const ProtobufCMessage *request, const struct hawser_context *context,
			   size_t max_request_bytes, uint64_t now_ms);

/** The peer ended it: an end frame came. */
void hawser__outgoing_end(struct hawser__connection *connection, const struct hawser__frame *frame);
/** The reply was above our limit and was not received. */
void hawser__outgoing_oversized(struct hawser__connection *connection,
				const struct hawser__frame *frame);

/** Ends it here; the peer is told that nobody waits, if it was sent. `done` runs. */
void hawser__outgoing_abandon(struct hawser__outgoing *outgoing, enum hawser_status status,
			      const char *format, ...) HAWSER_PRINTF(3, 4);

/** The peer will not execute calls with higher ids: they end, as not executed. */
void hawser__outgoing_fail_above(struct hawser__connection *connection, uint64_t last_call,
				 const struct hawser_error *why);

/** The connection is over: all its calls end. Not sent if it never opened, else nothing is known of
 * them. */
void hawser__outgoing_fail_all(struct hawser__connection *connection,
			       const struct hawser_error *why);

#endif /* HAWSER_RPC_OUTGOING_H */
