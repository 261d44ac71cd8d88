/* A call with more than one message in a direction, or with one that comes in pieces.
 *
 * The same for both ends and both directions: a handler's stream of requests and a client's of
 * replies come in here, and whoever is told when a stream may send waits here.
 *
 * What comes is gathered, checked against the window, and delivered: at once, or from a queue
 * while its receiver has stopped taking or takes it out itself. Only what was taken lets the peer
 * send more; so a queue never holds more than the window, and one message. Of a message that is
 * on its way, and that nothing is in front of, the pieces are given back as they come: else one
 * that is larger than the window could never be whole. */

#ifndef HAWSER_RPC_STREAM_H
#define HAWSER_RPC_STREAM_H

#include "net/loop.h"
#include "rpc/arrival.h"
#include "rpc/call.h"
#include "util/list.h"
#include "wire/window.h"

struct hawser__connection;

struct hawser__stream {
	struct hawser_call *call;
	struct hawser__connection *connection; /* NULL: gone, or the call has ended there */
	struct hawser__loop *loop;
	struct hawser__window window;
	struct hawser__arrival *coming;       /* of which pieces have come */
	struct hawser__arrival *first, **end; /* whole, and not taken */
	size_t unread;                        /* what those cost */
	bool receives;                        /* any number of messages; else it is one */
	bool sends;                           /* this end does */
	bool is_pulled;     /* its receiver takes them out; else they are delivered */
	bool is_stopped;    /* its receiver takes none for now */
	bool has_sent_last; /* this end has nothing more to say */
	bool has_last_come; /* nor has the peer */
	bool is_end_due;    /* which is to be delivered */
	bool *is_gone;      /* told to whoever is in the middle of delivering */
	struct hawser__deferred deliver;
	struct hawser__list owing; /* the connection's, while its peer is owed a window */
	/* Waits for room to send. */
	struct hawser__list blocked; /* the connection's */
	hawser_writable_fn *on_writable;
	void *on_writable_data;
};

/** Makes the call's. 0 or -ENOMEM. */
int hawser__stream_new(struct hawser_call *call, struct hawser__connection *connection,
		       bool receives, bool sends);
/** The call has ended on its connection, or that is gone. What was received stays. NULL is
 * accepted.
 */
void hawser__stream_leave(struct hawser__stream *stream);
/** After it has left. NULL is accepted. */
void hawser__stream_free(struct hawser__stream *stream);

/** A message frame came. */
void hawser__stream_message(struct hawser__connection *connection,
			    const struct hawser__frame *frame);
/** A message frame is about to come, whose payload may be received where it stays; that is set.
 * NULL: it may not. */
struct hawser__arrival *hawser__stream_place(struct hawser__connection *connection,
					     const struct hawser__frame *frame);
/** The peer takes more of a call's messages. */
void hawser__stream_window(struct hawser__connection *connection, uint64_t id, uint64_t bytes);

/** Of a pulled stream: the next whole message, which is the caller's then, or NULL. */
struct hawser__arrival *hawser__stream_take(struct hawser__stream *stream);
/** Messages that were taken, and are to be the next ones again. */
void hawser__stream_put_back(struct hawser__stream *stream, struct hawser__arrival *arrivals);
/** So much was taken off its receiver's hands: the peer may send more. Without memory to say so it
 * is owed that, and told later. */
void hawser__stream_taken(struct hawser__stream *stream, size_t cost);
/** Tells what peers are owed. */
void hawser__stream_repay(struct hawser__connection *connection);
/** Drops what was not taken. */
void hawser__stream_forget(struct hawser__stream *stream);
/** What is due is delivered from the loop. */
void hawser__stream_deliver_soon(struct hawser__stream *stream);

/** Tells those that wait for room, if there is some. */
void hawser__stream_unblock(struct hawser__connection *connection);
/** The same from the loop, if there is room now. */
void hawser__stream_unblock_soon(struct hawser__connection *connection);
/** Waits to be told. */
void hawser__stream_block(struct hawser__stream *stream);

#endif /* HAWSER_RPC_STREAM_H */
