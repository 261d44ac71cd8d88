/* What the two kinds of clients share: client.c makes and frees them and speaks
 * the opening of the protocol; client_loop.c is driven by the user's event_base,
 * client_blocking.c by the threads that wait for replies. */

#ifndef HAWSER_RPC_CLIENT_H
#define HAWSER_RPC_CLIENT_H

#include "net/address.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "rpc/connection.h"
#include <hawser/client.h>
#include <hawser/service.h>

enum { HAWSER__SERVER_NAME_MAX = 160 };

/** Who receives at the moment. */
enum hawser__reader { HAWSER__READER_NOBODY, HAWSER__READER_CALLER, HAWSER__READER_KEEPER };

struct hawser_client {
	struct hawser__address address;
	struct hawser_client_options options; /* with the defaults filled in */
	char *name;
	uint8_t *credentials;
	unsigned fork_generation;
	struct hawser__loop *loop; /* shared by all clients of a base; a blocking client's own */
	struct hawser__connection *connection;     /* NULL: none */
	unsigned heartbeat_ms, silence_timeout_ms; /* as agreed with the server */
	uint64_t pinged_ms;                        /* the last heartbeat */
	char server_name[HAWSER__SERVER_NAME_MAX];

	/* ---- on an event_base ---- */
	struct hawser__deferred attempt; /* to connect */
	struct hawser__resolve *resolve;
	struct addrinfo *candidates, *candidate; /* all, and the next to try */
	int connecting_fd;                       /* -1: none */
	struct event connecting_event;
	struct hawser_error failure;  /* of the last candidate */
	struct hawser__arena replies; /* holds a reply while its callback runs */
	unsigned in_callback;
	bool is_doomed;            /* freed inside a callback */
	struct hawser__list calls; /* every call that its owner has not freed */
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
	struct hawser__list pings;       /* that wait for a pong */
	struct hawser__shutdown_wait *shutdown_wait;
	uint64_t next_ping;
	pthread_t keeper;
	pthread_cond_t keeper_wake;
	bool has_keeper;
	bool is_stopping;
};

/** Fails if the client belongs to the parent process, or is NULL. 0 or a negative errno with the
 * error filled. */
int hawser__client_check(struct hawser_client *client, struct hawser_error *error);

/** A new connection with open queued and everything else held back; client->connection. 0 or
 * -ENOMEM. */
int hawser__client_prepare(struct hawser_client *client, const struct hawser__connection_ops *ops);
/** The server accepted: takes what it said. False: the connection was closed, for its version. */
bool hawser__client_opened(struct hawser__connection *connection, const Hawser__Opened *opened);
/** The server refused: loses the connection. */
void hawser__client_rejected(struct hawser__connection *connection,
			     const Hawser__Rejected *rejected);
/** Pings if it is time, and notices silence (the connection is lost then). Returns when to look
 * again. */
uint64_t hawser__client_heartbeat(struct hawser_client *client);

/* client_loop.c */
int hawser__client_loop_init(struct hawser_client *client);
void hawser__client_loop_connect(struct hawser_client *client);
/** True: put off until the running callback has returned. */
bool hawser__client_loop_deinit(struct hawser_client *client);
struct hawser_call *hawser__client_loop_open(struct hawser_client *client,
					     const struct hawser_method *method,
					     const ProtobufCMessage *request,
					     hawser_any_fn *callback, void *data,
					     const struct hawser_context *context);

/** A call of a blocking client's stream stub, which has failed already; NULL and errno without
 * memory. */
struct hawser_call *hawser__client_refused_stream(const struct hawser_method *method);

/* client_blocking.c */
int hawser__client_blocking_init(struct hawser_client *client);
void hawser__client_blocking_deinit(struct hawser_client *client);
int hawser__client_blocking_connect(struct hawser_client *client, struct hawser_error *error);
enum hawser_status hawser__client_blocking_call(struct hawser_client *client,
						const struct hawser_method *method,
						const ProtobufCMessage *request,
						ProtobufCMessage **reply,
						struct hawser_context *context);

/** Frees what client.c made; the last step. */
void hawser__client_release(struct hawser_client *client);

#endif /* HAWSER_RPC_CLIENT_H */
