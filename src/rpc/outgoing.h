/* Calls that this end makes: from the stub to the carrier, and back. */

#ifndef HAWSER_RPC_OUTGOING_H
#define HAWSER_RPC_OUTGOING_H

#include "net/loop.h"
#include "rpc/call.h"
#include "rpc/pack.h"
#include "util/list.h"

struct hawser__arrival;
struct hawser__connection;
struct hawser__frame;

struct hawser__outgoing;

/** What its owner does: the client on a base, a blocking call, a blocking stream. */
struct hawser__outgoing_ops {
	/**
	 * The peer had no room for it, and says in `error` after which time it may have. True: it
	 * will be made again then, with hawser__outgoing_make_again(). May be NULL. Only for those
	 * that can be.
	 */
	bool (*put_off)(struct hawser__outgoing *outgoing);
	/** It has ended: `error` tells how, `reply` is the callee's. Runs once. */
	void (*done)(struct hawser__outgoing *outgoing);
	/** A message of a stream has come, to be freed. Tell hawser__stream_taken(). */
	void (*message)(struct hawser__outgoing *outgoing, struct hawser__arrival *arrival);
	/** The same for a stream whose messages are taken out of its queue. */
	void (*arrived)(struct hawser__outgoing *outgoing);
	/* What the user asks of it; NULL where there is no user. See hawser_call_recv() and so on.
	 */
	int (*send)(struct hawser__outgoing *outgoing, const struct hawser__content *content);
	int (*end)(struct hawser__outgoing *outgoing);
	int (*receive)(struct hawser__outgoing *outgoing, ProtobufCMessage **message);
	int (*cancel)(struct hawser__outgoing *outgoing);
	void (*release)(struct hawser__outgoing *outgoing);
};

struct hawser__outgoing {
	struct hawser_call call;
	const struct hawser__outgoing_ops *ops;
	/** Where the reply is unpacked; NULL: in memory of its own. */
	struct hawser__arena *replies;
	bool unpacks_later; /* a reply that came in pieces: its owner calls
			     * hawser__outgoing_unpack_reply() */
	ProtobufCMessage *reply;
	const struct hawser_detail *details;
	size_t n_details;
	struct hawser__arena arena; /* metadata and details that came */
	bool was_sent_before; /* in a session that was lost: may have run, whatever becomes of it */
	/* What to make an idempotent call again from; NULL: it is not, or is not to be. */
	struct hawser__again *again;
	struct hawser__list link;  /* the connection's calls */
	struct hawser_error error; /* last: its text, set only for failures, is large and cold */
};

void hawser__outgoing_init(struct hawser__outgoing *outgoing, const struct hawser_method *method,
			   const struct hawser__outgoing_ops *ops);
void hawser__outgoing_deinit(struct hawser__outgoing *outgoing);

/**
 * Works out the deadline from context, method and default: absolute, UINT64_MAX for none.
 */
uint64_t hawser__outgoing_deadline(const struct hawser_method *method,
				   const struct hawser_context *context, unsigned default_ms,
				   uint64_t now_ms);

/** What is to be sent; nothing is packed yet. */
struct hawser__content hawser__content_of(const ProtobufCMessage *message);
/**
 * Sends it; `request` is NULL for a stream of them. On failure `done` has not run, error is filled.
 * Returns 0 or a negative errno: -EINVAL (metadata), -EMSGSIZE, -ENOBUFS (too much unsent),
 * -ENOMEM, -ETIMEDOUT (the deadline has passed).
 */
int hawser__outgoing_start(struct hawser__outgoing *outgoing, struct hawser__connection *connection,
			   const struct hawser__content *request,
			   const struct hawser_context *context, size_t max_request_bytes,
			   uint64_t now_ms);

/** Unpacks a reply that came in pieces. `error` tells if that is not possible. */
void hawser__outgoing_unpack_reply(struct hawser__outgoing *outgoing);

/** The peer ended it: an end frame came. */
void hawser__outgoing_end(struct hawser__connection *connection, const struct hawser__frame *frame);
/** A connection is there: calls that waited for it have less time left than when they were made. */
void hawser__outgoing_retime(struct hawser__connection *connection);

/**
 * Sends the next message of a stream of requests. 0, -EALREADY (its last was sent), -EPIPE (it is
 * over), -EAGAIN (it has to wait), -EMSGSIZE (over a limit; the call has ended) or -ENOMEM.
 */
int hawser__outgoing_send(struct hawser__outgoing *outgoing, const struct hawser__content *content,
			  size_t max_request_bytes);
/** Says that no more follow. 0, -EALREADY, -EPIPE or -ENOMEM. */
int hawser__outgoing_send_last(struct hawser__outgoing *outgoing);
/** The reply was above our limit and was not received. */
void hawser__outgoing_oversized(struct hawser__connection *connection,
				const struct hawser__frame *frame);

/** Ends it here; the peer is told that nobody waits, if it was sent. `done` runs. */
void hawser__outgoing_abandon(struct hawser__outgoing *outgoing, enum hawser_status status,
			      const char *format, ...) HAWSER_PRINTF(3, 4);

/** A message that came for it did not unpack, for hawser__unpack()'s errno: ends it, or if it is
 * over already, as a failure. */
void hawser__outgoing_spoil(struct hawser__outgoing *outgoing, size_t size, int code);

/** Ends it for a reason that is not its own. `done` runs. */
void hawser__outgoing_fail(struct hawser__outgoing *outgoing, enum hawser_outcome outcome,
			   const struct hawser_error *why);

/** What is needed to make a call again. NULL without memory. */
struct hawser__again *hawser__again_new(const struct hawser__content *request,
					const struct hawser_context *context);
/** NULL is accepted. */
void hawser__again_free(struct hawser__again *again);
/** Its request, which can be borrowed for longer. */
struct hawser__content hawser__again_content(const struct hawser__again *again);
/** Its bytes. */
size_t hawser__again_size(const struct hawser__again *again);

/** Makes a call that was put off again, or ends it as it was refused. */
void hawser__outgoing_make_again(struct hawser__outgoing *outgoing);

/** The peer will not execute calls with higher ids: they end, as not executed. */
void hawser__outgoing_fail_above(struct hawser__connection *connection, uint64_t last_call,
				 const struct hawser_error *why);

/**
 * The session is over and another begins: calls that the peer may have seen end UNAVAILABLE with an
 * unknown outcome, but for up to `budget` idempotent ones, which are made again. Returns how many
 * those are.
 */
unsigned hawser__outgoing_restart(struct hawser__connection *connection,
				  const struct hawser_error *why, unsigned budget);

/**
 * A new session has begun, whose windows may be smaller: calls that never left, and whose messages
 * in the log are more than the peer takes now, end UNAVAILABLE, not sent.
 */
void hawser__outgoing_fail_overdrawn(struct hawser__connection *connection);

/** The connection is over: all its calls end. Not sent if it never opened, else nothing is known of
 * them. */
void hawser__outgoing_fail_all(struct hawser__connection *connection,
			       const struct hawser_error *why);

#endif /* HAWSER_RPC_OUTGOING_H */
