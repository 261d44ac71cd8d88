/* A call: one invocation of a method, at either end, and what goes with it.
 *
 * The same struct hawser_call is what a handler answers and what an
 * asynchronous client waits for. A handler's call frees itself when it has been
 * answered; a client frees each call that it opened with hawser_call_free().
 *
 * A handler must answer every call exactly once: with the generated reply, or
 * with hawser_call_fail(). It may do so before it returns or later, from any
 * thread. The request lives as long as its call; one of a stream of requests only until the
 * handler returns. A stream of requests that is cancelled before its last one came frees its call
 * by itself: the handler does not run again. What a handler does to a call that it has answered
 * already is an error code, never a crash; only after its place has served 256 more calls could the
 * pointer stand for another one. */

#ifndef HAWSER_CALL_H
#define HAWSER_CALL_H

#include <hawser/common.h>
#include <hawser/status.h>
#include <protobuf-c/protobuf-c.h>
#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hawser_call;
struct hawser_method;

/** One pair of metadata. Keys are ASCII letters, digits, '-', '_' and '.'; values are any bytes. */
struct hawser_metadata {
	const char *key;
	const void *value;
	size_t length; /**< bytes of value */
};

/** A typed message that explains a failure. */
struct hawser_detail {
	const char *type;    /**< full name of the message, "demo.Quota" */
	const uint8_t *data; /**< packed */
	size_t length;       /**< bytes of data */
};

/** timeout_ms of a call that may take for ever. */
#define HAWSER_NO_DEADLINE (-1)

/**
 * The optional last argument of every stub: options in, details out. Start from
 * HAWSER_CONTEXT_INIT; after use hawser_context_clear() releases what came out.
 * A context serves one call at a time and may be used again.
 */
struct hawser_context {
	/** sizeof(struct hawser_context); lets the struct grow. */
	size_t size;

	/* In. Everything is borrowed while the call starts. */

	/** 0: the method's default, or the client's; HAWSER_NO_DEADLINE: none. */
	int64_t timeout_ms;
	/** A handler's call on whose behalf this one is made: it ends no later. May be NULL. */
	struct hawser_call *parent;
	const struct hawser_metadata *metadata;
	size_t n_metadata;

	/* Out. Filled when a blocking call has ended; valid until hawser_context_clear(). */

	/** status, outcome and text; status is HAWSER_OK after a success. */
	struct hawser_error error;
	const struct hawser_metadata *reply_metadata;
	size_t n_reply_metadata;
	const struct hawser_detail *details;
	size_t n_details;

	/** The library's. */
	void *memory;
	/** The library's: what hawser_context_cancel() sets. */
	int cancelled;

	/* In, too. */

	/** Fail UNAVAILABLE at once, not sent, while there is no connection, instead of waiting for
	 * the next one within the deadline. */
	bool fail_if_away;
};

#ifdef __cplusplus
#define HAWSER_CONTEXT_INIT hawser_context_make()
#else
#define HAWSER_CONTEXT_INIT                           \
	{                                             \
		.size = sizeof(struct hawser_context) \
	}
#endif

/** Frees what a call left in the context and makes it ready for the next. NULL is accepted. */
HAWSER_EXPORT void hawser_context_clear(struct hawser_context *context);

/**
 * Cancels the blocking call that uses this context, from another thread. It ends
 * CANCELLED within about 20 ms. Without a running call, the next one is
 * cancelled at once; hawser_context_clear() takes that back. Any thread.
 */
HAWSER_EXPORT void hawser_context_cancel(struct hawser_context *context);

/**
 * Unpacks the first of `n` details that has the given type; the caller frees it
 * with protobuf_c_message_free_unpacked(). NULL: none, not valid, or no memory.
 */
HAWSER_EXPORT ProtobufCMessage *hawser_details_unpack(const struct hawser_detail *details, size_t n,
						      const ProtobufCMessageDescriptor *type);

/* ---- both ends ---- */

/** The call's method; static data. Any thread. NULL for a handler's call that is over. */
HAWSER_EXPORT const struct hawser_method *hawser_call_method(const struct hawser_call *call);

/** Milliseconds until the deadline, 0 when it has passed, INT64_MAX without one. Any thread. */
HAWSER_EXPORT int64_t hawser_call_time_left_ms(const struct hawser_call *call);

/**
 * The metadata that came from the other end: a handler sees the request's, a
 * client's callback the reply's. Borrowed from the call. Sets *count.
 */
HAWSER_EXPORT const struct hawser_metadata *hawser_call_metadata(const struct hawser_call *call,
								 size_t *count);

/** The first received pair with that key (letter case ignored), or NULL. Borrowed from the call. */
HAWSER_EXPORT const struct hawser_metadata *hawser_call_find_metadata(
	const struct hawser_call *call, const char *key);

/* ---- a handler's call ---- */

/**
 * Ends the call with a status other than HAWSER_OK and a text (printf; NULL: the
 * status's own). Any thread. Returns 0, -EINVAL (HAWSER_OK or no status), -EALREADY (replied
 * or failed already), -EPIPE (over: cancelled, past its deadline, or its peer is
 * gone; it is freed all the same) or -ENOMEM (the status goes without text).
 */
HAWSER_EXPORT int hawser_call_fail(struct hawser_call *call, enum hawser_status status,
				   const char *format, ...) HAWSER_PRINTF(3, 4);

/** hawser_call_fail() with a va_list. */
HAWSER_EXPORT int hawser_call_vfail(struct hawser_call *call, enum hawser_status status,
				    const char *format, va_list arguments) HAWSER_PRINTF(3, 0);

/**
 * Adds a typed message to a failure to come: call this, then hawser_call_fail().
 * Packed before this returns. The thread that is going to answer. Returns 0, -EINVAL, -EALREADY,
 * -EPIPE, -EMSGSIZE (more than 16 details or 8 KiB in all) or -ENOMEM.
 */
HAWSER_EXPORT int hawser_call_add_detail(struct hawser_call *call, const ProtobufCMessage *detail);

/**
 * Adds a pair to the metadata that goes with the reply or failure to come.
 * Copied. The thread that is going to answer. Returns 0, -EINVAL (bad key), -EALREADY, -EPIPE,
 * -EMSGSIZE (more than 64 pairs or 8 KiB in all) or -ENOMEM.
 */
HAWSER_EXPORT int hawser_call_add_metadata(struct hawser_call *call, const char *key,
					   const void *value, size_t length);

/**
 * Keeps a pointer of the handler's with its call, such as what a stream of requests has added up to
 * so far. `free_data` (may be NULL) is given the pointer when the call is over, however it ends, on
 * the call's loop; or now, if another pointer takes its place. From the handler, on whichever
 * thread that runs, or the loop's thread, before the call is answered. Returns 0 or -EPIPE (the
 * call has been answered or is over: `data` stays yours, and what was kept before stays kept).
 */
HAWSER_EXPORT int hawser_call_set_data(struct hawser_call *call, void *data,
				       void (*free_data)(void *data));

/** What hawser_call_set_data() was given; NULL: nothing, or the call is over. The same threads. */
HAWSER_EXPORT void *hawser_call_data(const struct hawser_call *call);

/**
 * Whether nobody waits for the answer any more: the client cancelled, the
 * deadline passed, or the client is gone. The handler should stop, and must
 * still answer: that frees the call. Any thread.
 */
HAWSER_EXPORT bool hawser_call_cancelled(const struct hawser_call *call);

/** Runs once, on the call's loop, when the call is cancelled. */
typedef void hawser_cancel_fn(struct hawser_call *call, void *data);

/**
 * Asks to be told of cancellation; NULL takes it back. From the handler, on whichever thread that
 * runs, or the loop's thread, before the call is answered. At once if it is cancelled
 * already; never any more once an answer has returned 0. While a thread of the worker pool is in
 * the call's handler it waits until that has returned, see hawser_call_on_interrupt(). Returns 0 or
 * -EPIPE (the call is over).
 */
HAWSER_EXPORT int hawser_call_on_cancel(struct hawser_call *call, hawser_cancel_fn *callback,
					void *data);

/**
 * For a handler on the worker pool that waits for something else than room to send: asks to be told
 * of cancellation while it does. The callback runs on the call's loop at once, beside the handler,
 * and is to wake it; it must not block, and what both use needs a lock. NULL takes it back, as the
 * return of the handler does: afterwards it does not run, but to wait for one that runs just then
 * take it back before what it uses goes, without a lock that it takes. If the call is
 * cancelled already it runs before this returns. Only from the call's handler on the pool. Returns
 * 0, -EPIPE (the call is over) or -EINVAL (this is no such handler).
 */
HAWSER_EXPORT int hawser_call_on_interrupt(struct hawser_call *call, hawser_cancel_fn *callback,
					   void *data);

/**
 * Writes who called: "tcp:10.0.0.7:51200", "unix:" (pid and uid follow where the
 * system tells them). From the handler, or on the call's loop. Returns `buffer`, empty when the
 * peer is gone.
 */
HAWSER_EXPORT const char *hawser_call_peer(const struct hawser_call *call, char *buffer,
					   size_t size);

/* ---- a client's call ---- */

/**
 * How the call ended: status, outcome, text. HAWSER_OK before the end and after
 * a success. Borrowed from the call. The thread that owns the call.
 */
HAWSER_EXPORT const struct hawser_error *hawser_call_error(const struct hawser_call *call);

/** The details that came with a failure. Borrowed from the call. Sets *count. */
HAWSER_EXPORT const struct hawser_detail *hawser_call_details(const struct hawser_call *call,
							      size_t *count);

/**
 * Cancels the call: its callback runs with status CANCELLED before this returns,
 * the peer is told. Returns 0, -EALREADY when it has ended, -EPERM in a forked
 * child, or -EINVAL (no client's call). The thread of the client's base; a blocking
 * stream's may be any, and ends the receive that waits.
 */
HAWSER_EXPORT int hawser_call_cancel(struct hawser_call *call);

/**
 * Frees a call that this client opened; one that still runs is cancelled and
 * its callback does not run any more. Allowed inside its own callback. NULL is
 * accepted. The thread of the client's base; a blocking stream's is the one that receives.
 */
HAWSER_EXPORT void hawser_call_free(struct hawser_call *call);

/* ---- streams ---- */

/** Runs once, on the call's loop, when a stream may send again. */
typedef void hawser_writable_fn(struct hawser_call *call, void *data);

/**
 * Asks to be told when hawser_call_send() will not return -EAGAIN: the peer has taken enough of
 * what was sent, and the connection has room. At once, from the loop, if that is so already. One
 * callback at a time; NULL takes it back. Not any more once the call is over: a thread that waits
 * for it asks for cancellation, too. For a handler's stream of replies, from any thread; and for an
 * asynchronous client's stream of requests, from the call's loop.
 * Returns 0, -EINVAL (this end does not stream, a blocking client's call, or a client's on another
 * thread), -EALREADY (this end has ended already), -EPIPE (the call is over) or -ENOMEM.
 */
HAWSER_EXPORT int hawser_call_on_writable(struct hawser_call *call, hawser_writable_fn *callback,
					  void *data);

/**
 * Says that this end sends no more messages: a handler's stream of replies ends
 * HAWSER_OK, a client's stream of requests is complete (half-closed: replies still come). A
 * handler's: any thread; a client's: as hawser_call_send(). Returns 0, -EINVAL (this end does not
 * stream), -EALREADY, -EPIPE (the call is over) or -ENOMEM.
 */
HAWSER_EXPORT int hawser_call_end(struct hawser_call *call);

/**
 * Takes no more messages for now: a handler's or an asynchronous client's callback does not run
 * until hawser_call_read_start(). What has come meanwhile is kept, up to the window; then the peer
 * has to wait. The end of an asynchronous client's call is still told at once when it failed, after
 * the messages before it when it succeeded. The call's loop; of a handler that runs on the worker
 * pool, any thread, and its own stops with the next message. Returns 0, -EINVAL (no stream comes to
 * this end, a blocking client's call, or another thread) or -EPIPE (the call is over).
 */
HAWSER_EXPORT int hawser_call_read_stop(struct hawser_call *call);

/** Takes messages again: those that were kept come first, from the loop. As
 * hawser_call_read_stop(). */
HAWSER_EXPORT int hawser_call_read_start(struct hawser_call *call);

#ifdef __cplusplus
}

static inline struct hawser_context hawser_context_make(void)
{
	struct hawser_context context = hawser_context();
	context.size = sizeof context;
	return context;
}
#endif

#endif /* HAWSER_CALL_H */
