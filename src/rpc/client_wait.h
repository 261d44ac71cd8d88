/* How the threads of a blocking client wait.
 *
 * There is no thread that does the work: of the threads that wait for replies,
 * one receives for all (the reader) and hands the part on when its own reply has
 * come, the way XCB and libwayland do. A caller that is alone sends and
 * receives itself, two system calls and no thread switch. While nobody calls, a
 * quiet keeper thread receives, so that pings, close and the end of the
 * connection are noticed; it wakes up about once a second and steps aside when a
 * caller comes. When the connection breaks the keeper opens it again; callers wait for their
 * replies all the same, and one of them is the reader again when there is something to
 * read.
 *
 * Everything here is called with the client's lock. The reader is the only one in a system
 * call without it; whoever loses the connection meanwhile leaves it to the
 * reader to free. */

#ifndef HAWSER_RPC_CLIENT_WAIT_H
#define HAWSER_RPC_CLIENT_WAIT_H

#include "rpc/client.h"

extern const struct hawser__connection_ops hawser__client_blocking_ops;

/* How long a caller waits in recv(2) itself, before it asks poll(2) to watch for
 * other things, too. Bounds how late a cancellation is noticed. */
enum { HAWSER__RECEIVE_MS = 20 };

/** A thread that waits. */
struct hawser__waiter {
	struct hawser__list link; /* client->waiters, while it does not receive itself */
	pthread_cond_t wake;
	bool is_done;
	bool was_woken;    /* and has not run since */
	unsigned *n_woken; /* the client's, while it sleeps; else NULL */
};

/** One that waits for a pong. */
struct hawser__ping {
	struct hawser__list link; /* client->pings */
	uint64_t number;
	struct hawser__waiter waiter;
	bool has_answer;
};

/** The one that asked the server to stop. */
struct hawser__shutdown_wait {
	struct hawser__waiter waiter;
	int result; /* 1: none yet */
	char text[160];
};

/** On CLOCK_MONOTONIC. */
void hawser__client_cond_init(pthread_cond_t *cond);
/** Until it is signalled or the time has come (UINT64_MAX: never). */
void hawser__client_cond_wait(struct hawser_client *client, pthread_cond_t *cond,
			      uint64_t until_ms);

void hawser__waiter_init(struct hawser__waiter *waiter);
void hawser__waiter_deinit(struct hawser__waiter *waiter);
/** What it waits for has come. */
void hawser__waiter_finish(struct hawser__waiter *waiter);

/**
 * Waits until the waiter is done, the time is over or the context cancelled: receives if
 * nobody else does. Returns 0, -ETIMEDOUT or -ECANCELED.
 */
int hawser__client_wait(struct hawser_client *client, struct hawser__waiter *waiter,
			uint64_t deadline_ms, const struct hawser_context *context);

/** One slice of waiting for something that nobody finishes, such as room to write. */
void hawser__client_wait_slice(struct hawser_client *client, struct hawser__waiter *waiter);

/**
 * As the reader: one receive, and what came is dealt with. `patiently` watches for
 * wake-ups and for room to write as well.
 */
void hawser__client_receive(struct hawser_client *client, uint64_t until_ms, bool patiently);

/**
 * Whether another thread could go on if it had lock and CPU. Who keeps both busy for long gives way
 * then, with sched_yield(2) and without the lock: else that thread waits until the time slice is
 * over, for milliseconds, however short its own work is.
 */
static inline bool hawser__client_is_wanted(const struct hawser_client *client)
{
	return client->n_woken || atomic_load_explicit(&client->n_locking, memory_order_relaxed);
}

/** The next thread that waits becomes the reader. */
void hawser__client_hand_over(struct hawser_client *client);

/**
 * Waits for the socket (-1: none), and for a wake-up, as long as it takes or until the
 * time. Without the lock. Returns what poll(2) found; POLLPRI is a wake-up.
 */
int hawser__client_poll(struct hawser_client *client, int fd, bool wants_write, uint64_t until_ms);

/** Starts the keeper, or lets it know that there is a connection again. False: it cannot be
 * started. */
bool hawser__client_start_keeper(struct hawser_client *client);

/** As the keeper: tries to open the connection that is away again, if it is time. */
void hawser__client_reconnect(struct hawser_client *client);

/** An open connection, made by this thread or another. Returns 0, or a negative errno and the
 * error. */
int hawser__client_ensure_open(struct hawser_client *client, uint64_t deadline_ms,
			       const struct hawser_context *context, struct hawser_error *error);

struct hawser__outgoing;

/**
 * Starts a blocking call: connects if need be, waits for room. Returns 0 or, with the call's error
 * filled, a negative errno; -ECONNRESET: the connection was lost meanwhile.
 */
int hawser__client_start(struct hawser_client *client, struct hawser__outgoing *outgoing,
			 struct hawser__waiter *waiter, const struct hawser__content *request,
			 const struct hawser_context *context);
/** Its caller waits no more, because of -ECANCELED or -ETIMEDOUT. */
void hawser__client_give_up(struct hawser__outgoing *outgoing, int why);

static inline bool hawser__client_is_open(const struct hawser_client *client)
{
	return client->connection && hawser__connection_is_open(client->connection);
}

#endif /* HAWSER_RPC_CLIENT_WAIT_H */
