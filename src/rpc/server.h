/* The inside of a server.
 *
 * Shared by all loops and only read once it runs: the options, the registry. Each
 * worker, a loop on its thread, owns its connections and their calls. The first
 * worker also accepts, and hands connections out in turn. The sessions of all are found
 * in one store, behind a lock; a client that comes back is handed to the worker that has
 * its session. */

#ifndef HAWSER_RPC_SERVER_H
#define HAWSER_RPC_SERVER_H

#include "net/address.h"
#include "net/loop.h"
#include "rpc/connection.h"
#include "rpc/dispatch.h"
#include "rpc/exclusive.h"
#include "rpc/incoming.h"
#include "rpc/peer.h"
#include "wire/store.h"
#include <hawser/server.h>

enum hawser__server_phase {
	HAWSER__SERVER_NEW,
	HAWSER__SERVER_RUNNING,
	HAWSER__SERVER_DRAINING,
	HAWSER__SERVER_STOPPED,
};

struct hawser__worker {
	struct hawser_server *server;
	struct hawser__loop loop;
	struct hawser__serving serving;
	struct hawser__peers peers; /* those of its sessions, and those that someone still holds */
	struct hawser__list connections;
	uint32_t n_connections;
	bool is_draining, has_drained;
	bool is_late; /* the drain's time is over: no handler is waited for any more */
	struct hawser__alarm drain_alarm;
	pthread_t thread;
	bool has_thread;
	struct hawser__post drain_post, stop_post;
	atomic_bool has_drain_post;
};

struct hawser__listener {
	struct hawser__listener *next;
	struct hawser_server *server;
	int fd;
	struct event event;
	bool is_watched;
	struct hawser__address address;
	char bound[HAWSER__ADDRESS_MAX];
	dev_t device; /* of the unix socket file, so that only ours is removed */
	ino_t inode;
};

struct hawser_server {
	struct hawser_server_options options; /* with the defaults filled in */
	char *name;
	struct hawser_label *labels;
	struct hawser__registry registry;
	struct hawser_hub *hub; /* NULL: none */
	struct hawser__dispatch dispatch;
	struct hawser__exclusives exclusives;
	struct hawser__worker *workers;
	unsigned n_workers, next_worker;
	struct hawser__listener *listeners, **listeners_end;
	enum hawser__server_phase phase; /* the first worker's thread */
	atomic_uint busy_workers;        /* that still have connections to drain */
	bool is_in_run;
	int stop_fd; /* hawser_server_stop() writes here */
	struct event stop_event;
	atomic_bool was_cut; /* calls were cut when the drain's time was over */
	atomic_uint n_connections;
	atomic_ullong accepted, refused, protocol_errors, slow_peers;
	pthread_mutex_t sessions_lock;
	struct hawser__store sessions;
	size_t n_going, going_bytes; /* evicted, and about to end on their workers */
	atomic_ullong log_bytes;     /* of all sessions, about */
	atomic_ullong resumed, taken_over, expired, evicted;
	struct event *sigterm, *sigint;
	struct event accept_pause; /* too many descriptors are open */
	bool has_accept_pause;
};

/* server_listen.c */
void hawser__server_watch_listeners(struct hawser_server *server, bool on);
void hawser__server_close_listeners(struct hawser_server *server);

/* server.c */
/** From now on SIGTERM and SIGINT drain, unless the options say otherwise. */
void hawser__server_watch_signals(struct hawser_server *server);

/* server_exclusive.c */
/** Makes the leases that a service's methods need, and offers them. 0 or a negative errno. */
int hawser__server_add_exclusive(struct hawser_server *server, const struct hawser_service *service,
				 struct hawser_error *error);
/** It is registered: its methods need them from now on. */
void hawser__server_bind_exclusive(struct hawser_server *server,
				   const struct hawser_service *service);
/* server_dispatch.c */
/** Checks the options of the pool and fills in their defaults. */
int hawser__server_check_pool(struct hawser_server_options *options, struct hawser_error *error);
/** 0 or -ENOMEM. */
int hawser__server_init_dispatch(struct hawser_server *server);
/** What the pool has counted. */
void hawser__server_add_stats(struct hawser_server *server, struct hawser_server_stats *stats);

/* server_connection.c */
/** A connection that was accepted, and what has been read from it; the worker's thread. */
void hawser__server_adopt(struct hawser__worker *worker, int fd, uint8_t *data, size_t length);
/** The connection's socket is one more, or no more, among those that are open. */
void hawser__server_count(struct hawser__connection *connection, bool is_open);
/** Answers open, with the session if there is one; sets the alarm. */
void hawser__server_answer(struct hawser__connection *connection, const Hawser__Open *open);
/** Refuses one that was accepted, with a reason; any thread. */
void hawser__server_refuse(struct hawser_server *server, int fd);
/** Tells every peer and lets the calls in flight end. */
void hawser__worker_drain(struct hawser__worker *worker);
/** Ends all connections now. */
void hawser__worker_cut(struct hawser__worker *worker);
/** While it drains: perhaps its last connection is gone, and no handler of its runs. */
void hawser__worker_check_drained(struct hawser__worker *worker);

/* server_listen.c */
/** Gives a socket to a worker. False: it was closed, and is not counted any more. */
bool hawser__server_hand_out(struct hawser__worker *worker, int fd, const uint8_t *data,
			     size_t length);

/* server_session.c */
/** A new client wants a session. Without memory it gets none. */
void hawser__server_begin_session(struct hawser__connection *connection);
/** A client comes back: its session goes on here, or on the loop that has it, or the client
 * is refused. */
void hawser__server_resume(struct hawser__connection *connection, const Hawser__Open *open);
/** Connection operations; see there. */
void hawser__server_move(struct hawser__connection *connection, int fd, uint8_t *data,
			 size_t length, size_t open_length);
void hawser__server_away(struct hawser__connection *connection, const struct hawser_error *why);
void hawser__server_grown(struct hawser__connection *connection);
/** It was away for too long. */
void hawser__server_expire(struct hawser__connection *connection);
/** Its session has ended. */
void hawser__server_end_session(struct hawser__connection *connection);

#endif /* HAWSER_RPC_SERVER_H */
