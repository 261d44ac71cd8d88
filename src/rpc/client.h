/* What the two kinds of clients share: client.c makes and frees them and speaks
 * the opening of the protocol; client_loop.c is driven by the user's event_base,
 * client_blocking.c by the threads that wait for replies. */

#ifndef HAWSER_RPC_CLIENT_H
#define HAWSER_RPC_CLIENT_H

#include "net/address.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "rpc/connection.h"
#include "rpc/dispatch.h"
#include "rpc/incoming.h"
#include <hawser/client.h>
#include <hawser/service.h>

enum { HAWSER__SERVER_NAME_MAX = 160 };

/** Who receives at the moment. */
enum hawser__reader { HAWSER__READER_NOBODY, HAWSER__READER_CALLER, HAWSER__READER_KEEPER };

struct hawser_client {
	struct hawser_peer *peer; /* it only stands for this one, see peer.h; NULL: it connects */
	struct hawser__address address;
	struct hawser_client_options options; /* with the defaults filled in */
	char *name, *listens;
	struct hawser_label *labels;
	uint8_t *credentials;
	unsigned fork_generation;
	struct hawser__list calls; /* every call that its owner has not freed; blocking: streams */
	struct hawser__loop *loop; /* shared by all clients of a base; a blocking client's own */
	struct hawser__connection *connection; /* NULL: none */
	unsigned heartbeat_ms;                 /* as agreed with the server */
	uint64_t pinged_ms;                    /* the last heartbeat */
	struct hawser__retreat {        /* from a server that cannot be reached; client_session.c */
		uint64_t progress;      /* frames that had got through when it was opened */
		uint64_t opened_ms;     /* the connection that stands was opened; 0: none does */
		uint64_t since_ms;      /* without a connection */
		uint64_t next_ms;       /* the next try */
		bool is_urgent;         /* the next one is not to wait */
		unsigned tries;         /* since then */
		unsigned window_ms;     /* the server keeps the session for at least so long */
		unsigned budget_tenths; /* of retries that are left */
	} retreat;
	struct hawser__alarm again_alarm; /* on a base: to connect again, without a connection */
	uint64_t n_connections, n_resumed, n_sessions_lost, n_retried;
	char server_name[HAWSER__SERVER_NAME_MAX];
	/* What it offers to its server; client_serve.c. */
	struct hawser__registry registry;
	struct hawser__dispatch dispatch;
	struct hawser__serving serving; /* its loop is NULL: nothing is offered */
	bool has_said_hello;            /* in the open that was sent last */
	bool is_introduced;             /* the server knows from a hello who we are */
	bool is_replaced; /* the server wants it no more: it does not connect again by itself */

	/* ---- on an event_base ---- */
	struct hawser__deferred attempt; /* to connect */
	struct hawser__resolve *resolve;
	struct addrinfo *candidates, *candidate; /* all, and the next to try */
	int connecting_fd;                       /* -1: none */
	struct event connecting_event;
	struct hawser_error failure;  /* of the last candidate */
	struct hawser__arena replies; /* holds a reply while its callback runs */
	unsigned in_callback;
	bool is_doomed; /* freed inside a callback */
	struct hawser__list spare_calls;
	unsigned n_spare_calls;

	/* ---- blocking ---- */
	pthread_mutex_t lock;
	pthread_cond_t opened; /* an attempt to connect has ended */
	bool is_connecting;
	unsigned attempts;              /* that have ended */
	bool was_cut_short;             /* the last one, by its own call's end */
	struct hawser_error last_error; /* of the last one */
	enum hawser__reader reader;
	bool is_receiving;               /* the reader is in a system call, without the lock */
	struct hawser__connection *dead; /* lost meanwhile: the reader frees it */
	struct hawser__list waiters;     /* threads that wait and do not receive */
	struct hawser__list senders;     /* threads that wait for room; client_send.h */
	unsigned n_woken;                /* threads that were woken, and have not run since */
	atomic_uint n_locking;           /* threads that wait for the lock, to begin something */
	struct hawser__list pings;       /* that wait for a pong */
	struct hawser__shutdown_wait *shutdown_wait;
	uint64_t next_ping;
	pthread_t keeper;
	pthread_cond_t keeper_wake;
	bool has_keeper;
	atomic_bool is_stopping;
};

/** A blocking client's lock: whoever has it has entered the client's loop, and on the way out runs
 * what was put off. On a base both do nothing. client_wait.c */
void hawser__client_lock(struct hawser_client *client);
void hawser__client_unlock(struct hawser_client *client);

/** Fails if the client belongs to the parent process, or is NULL. 0 or a negative errno with the
 * error filled. */
int hawser__client_check(struct hawser_client *client, struct hawser_error *error);

/** A connection with open queued and everything else held back: a new one, or the one that is
 * away. client->connection is set. 0 or -ENOMEM. */
int hawser__client_prepare(struct hawser_client *client, const struct hawser__connection_ops *ops);
/** The server accepted: takes what it said. False: the connection was closed, for its version. */
bool hawser__client_opened(struct hawser__connection *connection, const Hawser__Opened *opened);
/** The server refused: loses the connection, or breaks it if a new session may be had. */
void hawser__client_rejected(struct hawser__connection *connection,
			     const Hawser__Rejected *rejected);

/** The server said close. */
void hawser__client_closed(struct hawser__connection *connection, const Hawser__Close *close);

/** The last call has ended: that is what a draining server waits for. */
void hawser__client_calm(struct hawser__connection *connection);

/* client_serve.c */
/** Puts what it offers into an open, as far as there is room: free with hawser__hello_unmake(). */
void hawser__client_add_hello(struct hawser_client *client, Hawser__Open *open,
			      Hawser__Hello *hello);
/** Tells the server, once the connection is open. */
void hawser__client_say_hello(struct hawser_client *client);
/** Whether it stays connected although nobody calls. */
static inline bool hawser__client_serves(const struct hawser_client *client)
{
	return client->serving.loop != NULL;
}
/** It is freed. */
void hawser__client_end_serving(struct hawser_client *client);
/** The server said hello, later than in opened. */
void hawser__client_hello(struct hawser__connection *connection, const Hawser__Hello *hello);

/* client_session.c */
/** The session part of open, in `session`; NULL: none is wanted. */
Hawser__Session *hawser__client_ask_session(struct hawser_client *client, Hawser__Session *session);
/** What opened says of it. False: the connection was closed, for what it says. */
bool hawser__client_take_session(struct hawser__connection *connection,
				 const Hawser__Opened *opened);
/** The session is over, its connection tries on: calls that the server may have seen end, or are
 * made again. */
void hawser__client_lose_session(struct hawser__connection *connection, const char *why);
/** The connection is away, for this reason: when to try is in retreat.next_ms. False: it is not to
 * be tried, and the connection is lost. */
bool hawser__client_away(struct hawser__connection *connection, const struct hawser_error *why);
/** A try to connect failed. False: that was the last one, and the connection is lost. */
bool hawser__client_try_failed(struct hawser_client *client, const struct hawser_error *why);
/** There is no connection any more. A client that serves is to open another: true, and when is in
 * retreat.next_ms. */
bool hawser__client_stays(struct hawser_client *client);
/**
 * Whether a call that ended so is to be made again, and after how long: the server had no room for
 * it, and says when it may have. 0: it is not. Takes from the budget.
 */
unsigned hawser__client_retry_after(struct hawser_client *client,
				    const struct hawser__outgoing *outgoing);
/** While it is away: gives up a session that the server must have given up. */
void hawser__client_check_window(struct hawser_client *client);

/** Pings if it is time, and notices silence (the connection is lost then). Returns when to look
 * again. */
uint64_t hawser__client_heartbeat(struct hawser_client *client);

/* client_loop_connect.c */
/** Starts to connect, from the loop: nothing is told before this has returned. client->connection
 * is set, or NULL without memory. */
void hawser__client_loop_connect(struct hawser_client *client);
/** Without a connection, it is time to open one again. */
void hawser__client_loop_again(struct hawser__alarm *alarm);

/* client_loop.c */
struct hawser__peer_limits;
/** What a peer is called with, on its connection's loop. NULL without memory. */
struct hawser_client *hawser__client_of_peer_new(struct hawser_peer *peer,
						 struct hawser__connection *connection,
						 const struct hawser__peer_limits *limits);
/** The loop ends: what has not ended does so now. */
void hawser__client_of_peer_end(struct hawser_client *client);
/** Every call is gone. Any thread. */
void hawser__client_of_peer_free(struct hawser_client *client);
int hawser__client_loop_init(struct hawser_client *client);
/** True: put off until the running callback has returned. */
bool hawser__client_loop_deinit(struct hawser_client *client);
struct hawser_call *hawser__client_loop_open(struct hawser_client *client,
					     const struct hawser_method *method,
					     const ProtobufCMessage *request,
					     hawser_any_fn *callback, void *data,
					     const struct hawser_context *context);

/* client_stream.c */
/** A blocking stream. Waits for the connection and for room; a call that could not be made has
 * failed already. NULL and errno without
 * memory. */
struct hawser_call *hawser__client_stream_open(struct hawser_client *client,
					       const struct hawser_method *method,
					       const ProtobufCMessage *request,
					       const struct hawser_context *context);
/** The client is freed: its streams stay, for their owners to free. */
void hawser__client_stream_orphan_all(struct hawser_client *client);

/** Gives a call that is about to start what its streams need. 0, or -ENOMEM with the error. */
int hawser__client_open_stream(struct hawser__outgoing *outgoing,
			       struct hawser__connection *connection);

/* client_blocking.c */
int hawser__client_blocking_init(struct hawser_client *client);
void hawser__client_blocking_deinit(struct hawser_client *client);
int hawser__client_blocking_connect(struct hawser_client *client, struct hawser_error *error);
enum hawser_status hawser__client_blocking_call(struct hawser_client *client,
						const struct hawser_method *method,
						const ProtobufCMessage *request,
						ProtobufCMessage **reply,
						struct hawser_context *context);

/** Ends the connection, if there is one, because the client is freed; the server is told, so that
 * it need not keep the session. */
void hawser__client_leave(struct hawser_client *client);
/** Frees what client.c made; the last step. */
void hawser__client_release(struct hawser_client *client);

#endif /* HAWSER_RPC_CLIENT_H */
