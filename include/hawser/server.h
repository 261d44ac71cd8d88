/* A server: services, listeners, and the loops that bring them together.
 *
 *     struct hawser_server *server = hawser_server_new(NULL, &error);
 *     demo_greeter_register(server, &greeter, NULL, &error);
 *     hawser_server_listen(server, "tcp:127.0.0.1:7000", &error);
 *     hawser_server_run(server, &error);
 *     hawser_server_free(server);
 *
 * By default it runs one loop, on the thread that calls hawser_server_run(): no two
 * handlers ever run at the same time. With more loops each connection belongs to
 * one of them, and handlers run on as many threads. */

#ifndef HAWSER_SERVER_H
#define HAWSER_SERVER_H

#include <hawser/common.h>
#include <hawser/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct event_base;
struct hawser_server;

/** Options; start from HAWSER_SERVER_OPTIONS_INIT. A 0 means the default that is named. */
struct hawser_server_options {
	/** sizeof(struct hawser_server_options); lets the struct grow. */
	size_t size;
	/** Run on this base, whose thread is then the server's; borrowed. NULL: the server's own.
	 */
	struct event_base *base;
	/** Threads with a loop each; 1. More than 1 needs base to be NULL. At most 256. */
	unsigned loops;
	/** The name told to clients; copied. NULL: the program's name. */
	const char *name;
	/** Open connections; more are refused with a reason; 16,384. */
	unsigned max_connections;
	/** Calls in flight per connection; more fail RESOURCE_EXHAUSTED; 1,024. */
	unsigned max_calls;
	/** Limit on a packed request; 4 MiB. At most 256 MiB. */
	size_t max_request_bytes;
	/** Limit on a packed reply; 4 MiB. At most 256 MiB. */
	size_t max_reply_bytes;
	/** Bytes waiting for one connection's socket before no more of its requests are read; 1
	 * MiB. */
	size_t max_unsent_bytes;
	/** For a client to send open; 5,000 ms. */
	unsigned open_timeout_ms;
	/** A connection without a call in flight for this long is closed; 0: never. */
	unsigned idle_timeout_ms;
	/** How often clients are told to ping, at the latest; 15,000 ms. They may ask for less. */
	unsigned heartbeat_ms;
	/** A connection from which nothing came for this long is given up; 3 heartbeats. */
	unsigned silence_timeout_ms;
	/** How long a drain waits for calls in flight; 10,000 ms. */
	unsigned drain_timeout_ms;
	/** Permissions of unix sockets, such as 0660; 0600. */
	unsigned unix_mode;
	/** Accept the shutdown frame from peers on unix sockets that run as the same user. */
	bool allow_shutdown;
	/** Accept the shutdown frame from anyone who can connect. */
	bool allow_shutdown_from_anyone;
	/**
	 * Leave SIGTERM and SIGINT alone. Else, from the first hawser_server_listen() on (with a
	 * base of the user's: while hawser_server_run() runs), the first one drains the server
	 * and the second stops it.
	 */
	bool ignore_signals;
	/** Give no client a session: what is in flight ends with its connection. */
	bool no_sessions;
	/** How long a session is kept without a connection; 30,000 ms. Told to clients. */
	unsigned session_window_ms;
	/** Sessions, with a connection or without; above it those without go, the longest
	 * disconnected first; 65,536. */
	unsigned max_sessions;
	/** Bytes of one session that wait to be sent or acknowledged, before its calls fail
	 * RESOURCE_EXHAUSTED; 16 MiB. */
	size_t max_log_bytes;
	/** The same for all sessions together; above it disconnected ones go, the longest
	 * disconnected first; 256 MiB. */
	size_t max_total_log_bytes;
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
	/** Told to clients in hello, n_labels of them; copied. Up to 64, each key and value of up
	 * to 256 bytes, and 16 KiB in all with the names of services. */
	const struct hawser_label *labels;
	size_t n_labels;
	/** Deadline of a call to a client that names none; 30,000 ms. */
	unsigned timeout_ms;
	/** Let peers on unix sockets that run as the same user take leases away; see lease.h. */
	bool allow_force_release;
	/** Threads for handlers that may block, see hawser_server_set_blocking(); they start on
	 * demand; 8. At most 1,024. */
	unsigned worker_threads;
	/** Calls that wait for such a thread; more fail RESOURCE_EXHAUSTED at once; 1,024. */
	unsigned worker_queue;
	/** A thread without work for this long ends; 10,000 ms. */
	unsigned worker_idle_ms;
	/** What these threads are called, a number behind it: "hawser-1"; copied; at most 11 bytes.
	 * NULL: "hawser". */
	const char *worker_name;
};

#ifdef __cplusplus
#define HAWSER_SERVER_OPTIONS_INIT hawser_server_options_make()
#else
#define HAWSER_SERVER_OPTIONS_INIT                           \
	{                                                    \
		.size = sizeof(struct hawser_server_options) \
	}
#endif

/** Counters since the start, and what is there now. */
struct hawser_server_stats {
	/** sizeof(struct hawser_server_stats); set by the caller. */
	size_t size;
	uint64_t connections;          /**< open now */
	uint64_t connections_accepted; /**< since the start */
	uint64_t connections_refused;  /**< over max_connections, or not opened properly */
	uint64_t calls_in_flight;      /**< now */
	uint64_t calls;                /**< requests taken, since the start */
	uint64_t calls_failed;         /**< ended with another status than HAWSER_OK */
	uint64_t calls_refused;        /**< of those, the ones that no handler saw */
	uint64_t protocol_errors;      /**< connections closed for what they sent */
	uint64_t sessions;             /**< now, with a connection or without */
	uint64_t sessions_away;        /**< of those, the ones without */
	uint64_t sessions_resumed;     /**< went on with another connection, since the start */
	uint64_t sessions_taken_over;  /**< of those, while the old connection still stood */
	uint64_t sessions_expired;     /**< ended after session_window_ms without a connection */
	uint64_t sessions_evicted;     /**< ended before that, for the limits on sessions */
	uint64_t log_bytes;            /**< in all logs, to be sent or acknowledged; about */
	uint64_t slow_peers;           /**< calls failed or connections closed by slow_peer */
	uint64_t worker_threads;       /**< for handlers that may block, now */
	uint64_t worker_queued;        /**< requests that wait for one of them, now */
	uint64_t worker_begun;         /**< requests that waited, however shortly, and began … */
	uint64_t worker_queue_us;      /**< … for so long in all, in microseconds … */
	uint64_t worker_max_queue_us;  /**< … and at most */
	uint64_t worker_done;       /**< requests from whose handlers the threads came back … */
	uint64_t worker_run_us;     /**< … after so long in all, in microseconds … */
	uint64_t worker_max_run_us; /**< … and at most */
};

/**
 * Makes a server. `options` NULL: the defaults. It is the caller's, to be freed
 * with hawser_server_free(). On failure NULL; the error and errno say EINVAL
 * (options) or ENOMEM, or what the system refused.
 */
HAWSER_EXPORT struct hawser_server *hawser_server_new(const struct hawser_server_options *options,
						      struct hawser_error *error);

/**
 * Stops if need be, closes all connections and listeners, removes unix sockets
 * and frees the server. Not inside a handler, nor while hawser_server_run() runs. Waits for
 * handlers that run on the worker pool, whose calls are cancelled. Handlers that still hold a call
 * must have answered it before. NULL is accepted.
 */
HAWSER_EXPORT void hawser_server_free(struct hawser_server *server);

/**
 * Listens on "tcp:HOST:PORT" (a name, IPv4, IPv6 in brackets, or * for all
 * addresses; port 0: the system chooses) or "unix:PATH" (a socket file that nobody
 * listens on any more is replaced). May be called several times, before run. Returns the
 * listener's index (0, 1, …) or a negative errno: -EINVAL (address), what the resolver, bind(2) or
 * listen(2) said, -EBUSY (the server runs), -ENOMEM.
 */
HAWSER_EXPORT int hawser_server_listen(struct hawser_server *server, const char *address,
				       struct hawser_error *error);

/**
 * The address that listener `index` is bound to, "tcp:127.0.0.1:40123"; what to
 * hand to hawser_client_new(). Borrowed until the server is freed; NULL: no such listener.
 */
HAWSER_EXPORT const char *hawser_server_address(const struct hawser_server *server, unsigned index);

/**
 * Serves until the server is stopped or has drained. Returns 0 when all calls
 * were finished and no handler runs any more, 1 when the drain's time was over and calls were cut,
 * or handlers still ran, or a negative errno: -EINVAL (NULL, or no listener), -EBUSY (it runs or
 * has run; a server runs once), -EAGAIN (no thread for a loop), -EIO (the event loop failed). The
 * calling thread becomes the server's first.
 */
HAWSER_EXPORT int hawser_server_run(struct hawser_server *server, struct hawser_error *error);

/**
 * Starts to drain: listeners close, clients are told `close`, calls in flight
 * may finish within drain_timeout_ms, then run ends. Any thread.
 */
HAWSER_EXPORT void hawser_server_drain(struct hawser_server *server);

/** Ends run at once; calls in flight are cut. Any thread, and from a signal handler. */
HAWSER_EXPORT void hawser_server_stop(struct hawser_server *server);

/** Fills *stats, whose size is set. Any thread. */
HAWSER_EXPORT void hawser_server_get_stats(struct hawser_server *server,
					   struct hawser_server_stats *stats);

#ifdef __cplusplus
}

static inline struct hawser_server_options hawser_server_options_make(void)
{
	struct hawser_server_options options = hawser_server_options();
	options.size = sizeof options;
	return options;
}
#endif

#endif /* HAWSER_SERVER_H */
