/* A client: one address, one session, many calls.
 *
 * Made without an event_base it is for blocking stubs and thread-safe: any
 * number of threads share it. The connection is opened by the first call; if it cannot be, that
 * call fails at once. A thread that is alone on the client reads its own reply from the socket; a
 * quiet background thread keeps the connection alive between calls.
 *
 * A connection that was open and breaks is opened again by itself, at once and then at growing
 * random intervals, for as long as it takes. Calls in flight go on where they were, each
 * executed once; new ones wait; each within its deadline. If the server meanwhile restarted, or
 * kept the session no longer, calls that it may have seen end UNAVAILABLE with an unknown outcome,
 * unless their method is idempotent: those are made again, as are all that it cannot have seen.
 * A server that closes the connection itself (it drained or stopped, or the connection was idle)
 * ends the session with it; the next call opens another, or fails at once.
 *
 * Made on an event_base it is for asynchronous stubs: its calls need no other
 * thread and no lock, and everything about it happens on the thread that runs that
 * base. (A host name is looked up on a thread of its own, so that the base never waits.)
 *
 * A client does not survive fork(): in the child its calls fail
 * FAILED_PRECONDITION, and hawser_client_free() releases the child's copy without touching the
 * parent's connection. */

#ifndef HAWSER_CLIENT_H
#define HAWSER_CLIENT_H

#include <hawser/common.h>
#include <hawser/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct event_base;
struct hawser_client;

/** Options; start from HAWSER_CLIENT_OPTIONS_INIT. A 0 means the default that is named. */
struct hawser_client_options {
	/** sizeof(struct hawser_client_options); lets the struct grow. */
	size_t size;
	/** Run on this base, for asynchronous stubs; borrowed. NULL: blocking stubs. */
	struct event_base *base;
	/** The name told to the server, for its logs; copied. NULL: the program's name. */
	const char *name;
	/** Told to the server in open; copied, masked in traces. Up to 2,048 bytes. */
	const void *credentials;
	size_t credentials_length;
	/** To resolve, connect and open; 5,000 ms. */
	unsigned connect_timeout_ms;
	/** Deadline of a call that names none; 30,000 ms. */
	unsigned timeout_ms;
	/** Ping after this long without traffic; 15,000 ms, or less if the server asks. */
	unsigned heartbeat_ms;
	/** Limit on a packed request; 4 MiB. At most 256 MiB. */
	size_t max_request_bytes;
	/** Limit on a packed reply; 4 MiB. At most 256 MiB. */
	size_t max_reply_bytes;
	/** Bytes of calls that wait to be sent or acknowledged before further calls wait (blocking)
	 * or fail RESOURCE_EXHAUSTED; 8 MiB. */
	size_t max_log_bytes;
	/** Give the connection up after this long without a sign of life; 3 heartbeats, or less
	 * if the server says so. */
	unsigned silence_timeout_ms;
	/** Do without a session: calls in flight fail when the connection breaks. */
	bool no_session;
	/** Stop trying to open a broken connection again after this long, and fail its calls;
	 * 0: never. */
	unsigned reconnect_timeout_ms;
	/** The longest pause between two tries to open it again; 10,000 ms. Each pause is random,
	 * up to a bound that doubles from 100 ms to this. */
	unsigned max_backoff_ms;
	/** How many idempotent calls may be made again before as many times ten others must have
	 * succeeded; 100. Keeps a server that is in trouble from more of it. */
	unsigned retry_budget;
	/** Bytes of messages that a peer may send on one call before they are taken, to begin with;
	 * 256 KiB. */
	size_t stream_window_bytes;
	/** What that may grow to, on a line that is fast and long (measured: the bandwidth-delay
	 * product), while all such calls together keep within max_unread_bytes; 4 MiB. */
	size_t max_stream_window_bytes;
	/** Bytes of messages that have come on one connection and wait to be taken; above it the
	 * call that brings more fails RESOURCE_EXHAUSTED; 64 MiB. */
	size_t max_unread_bytes;
	/** What to do about a peer that takes too little of what is sent to it, by
	 * slow_peer_timeout_ms or slow_peer_bytes; HAWSER_SLOW_PEER_WAIT. */
	enum hawser_slow_peer slow_peer;
	/** Nothing was taken for so long of a call's messages that wait; 0: no such limit. */
	unsigned slow_peer_timeout_ms;
	/** So many bytes wait on one connection, to be sent or acknowledged; 0: no such limit. */
	size_t slow_peer_bytes;
	/** Told to the server in hello, n_labels of them; copied. Up to 64, each key and value of
	 * up to 256 bytes, and 16 KiB in all with the names of services. */
	const struct hawser_label *labels;
	size_t n_labels;
	/** Where this program listens itself, "tcp:10.0.0.7:7000"; told to the server; copied. */
	const char *listens;
	/** Calls of the server's in flight, for a client that serves; more fail RESOURCE_EXHAUSTED;
	 * 1,024. */
	unsigned max_calls;
	/** Threads for the handlers of a client that serves without a base; they start on
	 * demand; 8. At most 1,024. */
	unsigned worker_threads;
	/** Calls that wait for such a thread; more fail RESOURCE_EXHAUSTED at once; 1,024. */
	unsigned worker_queue;
	/** Leave it to the program to make calls again that the server had no room for. Else a call
	 * of a unary method that was refused with a time to wait (hawser_error.retry_after_ms), and
	 * did not run, is made again by itself after that, if its deadline allows and retry_budget
	 * has some left; on a base, if its method is idempotent. */
	bool no_retry_after;
};

/** Counters since the client was made, and what is there now. */
struct hawser_client_stats {
	/** sizeof(struct hawser_client_stats); set by the caller. */
	size_t size;
	uint64_t connections;      /**< opened, the first one included */
	uint64_t sessions_resumed; /**< of those, the ones that went on with a session */
	uint64_t sessions_lost;    /**< ended while there was no connection, or found expired */
	uint64_t calls_retried;    /**< idempotent calls that were made again */
	uint64_t calls_in_flight;  /**< now */
	uint64_t log_bytes;        /**< that wait to be sent or acknowledged, now */
	bool is_connected;         /**< now */
};

#ifdef __cplusplus
#define HAWSER_CLIENT_OPTIONS_INIT hawser_client_options_make()
#else
#define HAWSER_CLIENT_OPTIONS_INIT                           \
	{                                                    \
		.size = sizeof(struct hawser_client_options) \
	}
#endif

/**
 * Makes a client of `address`: "tcp:HOST:PORT" (name, IPv4, or IPv6 in brackets)
 * or "unix:PATH"; copied. Does not connect yet. `options` NULL: the defaults.
 * The client is the caller's, to be freed with hawser_client_free(). On failure
 * NULL; the error and errno say EINVAL (address or options) or ENOMEM.
 */
HAWSER_EXPORT struct hawser_client *hawser_client_new(const char *address,
						      const struct hawser_client_options *options,
						      struct hawser_error *error);

/**
 * Closes the connection and frees the client. Calls in flight end CANCELLED, their
 * callbacks run first; calls opened on a base are still to be freed by their owner,
 * before or after. Inside a callback of its own it is freed when the base runs
 * the next time. No other thread may be in a call. NULL is accepted.
 */
HAWSER_EXPORT void hawser_client_free(struct hawser_client *client);

/**
 * Connects now instead of with the first call. A blocking client waits until the
 * server has answered open; on a base it only starts. Returns 0 or a negative
 * errno: what connect(2) or the resolver said, -ETIMEDOUT, -ECONNREFUSED also
 * when the server rejected open (the text gives its reason), -EPROTO (what answers
 * is no Hawser server), -EPERM (in a forked child), -EINVAL (NULL) or -ENOMEM. Any
 * thread; on a base, the base's.
 */
HAWSER_EXPORT int hawser_client_connect(struct hawser_client *client, struct hawser_error *error);

/**
 * Sends a ping and waits for its pong; *rtt_us (may be NULL) gets the round trip
 * in microseconds. Blocking clients only. Returns 0, -EINVAL (client on a base),
 * -ETIMEDOUT, or as hawser_client_connect().
 */
HAWSER_EXPORT int hawser_client_ping(struct hawser_client *client, uint64_t *rtt_us,
				     struct hawser_error *error);

/**
 * Asks the server to drain and stop, and waits until it has said whether it
 * will. Blocking clients only. Returns 0, -EINVAL (client on a base), -EPERM
 * (the server does not allow it to this client), -EALREADY (another thread asks
 * already), -ETIMEDOUT, or as hawser_client_connect(). `reason` may be NULL, has at
 * most 256 bytes (else -EINVAL), and goes to the server's log. Any thread.
 */
HAWSER_EXPORT int hawser_client_shutdown(struct hawser_client *client, const char *reason,
					 struct hawser_error *error);

/** Fills *stats, whose size is set. Any thread; on a base, the base's. */
HAWSER_EXPORT void hawser_client_get_stats(struct hawser_client *client,
					   struct hawser_client_stats *stats);

/**
 * What the server called itself in opened and which version it runs, empty before
 * the first connection. Copied to `buffer`, cut at `size`; returns `buffer`. Any
 * thread; on a base, the base's.
 */
HAWSER_EXPORT const char *hawser_client_server_name(struct hawser_client *client, char *buffer,
						    size_t size);

#ifdef __cplusplus
}

static inline struct hawser_client_options hawser_client_options_make(void)
{
	struct hawser_client_options options = hawser_client_options();
	options.size = sizeof options;
	return options;
}
#endif

#endif /* HAWSER_CLIENT_H */
