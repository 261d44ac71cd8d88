/* The sessions of a server: beginning, going on with another connection, and their end.
 *
 * A session stays with its loop. A client that comes back is accepted wherever the listener puts
 * it; if that is another loop, its socket and what was read from it move over, open first, as if it
 * had been accepted there. */

#include "net/socket.h"
#include "rpc/server.h"
#include "util/alloc.h"
#include "util/log.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static struct hawser__worker *worker_of(struct hawser__connection *connection)
{
	return connection->owner;
}

static struct hawser_server *server_of(struct hawser__connection *connection)
{
	return worker_of(connection)->server;
}

static void add(atomic_ullong *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- too many, too much ---- */

struct eviction {
	struct hawser__post post;
	struct hawser__worker *worker;
	uint64_t id;
	size_t bytes;
};

static void evict(struct hawser__loop *loop, struct hawser__post *post)
{
	struct eviction *eviction = hawser__container_of(post, struct eviction, post);
	struct hawser_server *server = eviction->worker->server;
	struct hawser__connection *connection;
	struct hawser__kept *kept;

	(void)loop;
	pthread_mutex_lock(&server->sessions_lock);
	kept = hawser__map_find(&server->sessions.by_id, eviction->id);
	server->n_going--;
	server->going_bytes -= eviction->bytes;
	pthread_mutex_unlock(&server->sessions_lock);
	free(eviction);
	/* Gone, or back, meanwhile. Nobody but this thread can end it. */
	connection = kept ? kept->owner : NULL;
	if (!connection || connection->fd >= 0)
		return;
	add(&server->evicted);
	hawser__log(
		HAWSER_LOG_WARNING,
		"a disconnected session was given up: the sessions are above max_sessions %u or "
		"max_total_log_bytes %zu",
		server->options.max_sessions, server->options.max_total_log_bytes);
	hawser__connection_lose(connection, HAWSER_UNAVAILABLE, 0,
				"its session was given up for others");
}

/* The one to go next; NULL: all is within the limits, or nobody is away. With the lock. */
static struct hawser__kept *surplus(const struct hawser_server *server)
{
	size_t bytes = atomic_load_explicit(&server->log_bytes, memory_order_relaxed);

	size_t count = hawser__store_count(&server->sessions);
	struct hawser__kept *oldest = hawser__store_oldest(&server->sessions);

	if (count > server->n_going && count - server->n_going > server->options.max_sessions)
		return oldest;
	if (bytes <= server->going_bytes ||
	    bytes - server->going_bytes <= server->options.max_total_log_bytes)
		return NULL;
	/* One whose log is empty would go for nothing. */
	while (oldest && !oldest->log_bytes)
		oldest = hawser__store_next(&server->sessions, oldest);
	return oldest;
}

/* Those that are away go, the longest first, until the rest is within the limits. */
static void relieve(struct hawser_server *server)
{
	for (;;) {
		struct eviction *eviction = NULL;
		struct hawser__kept *kept;

		pthread_mutex_lock(&server->sessions_lock);
		kept = surplus(server);
		if (kept)
			eviction = hawser__malloc(sizeof *eviction);
		if (eviction) {
			struct hawser__connection *connection = kept->owner;

			hawser__store_return(&server->sessions, kept);
			eviction->post.run = evict;
			eviction->worker = worker_of(connection);
			eviction->id = kept->session->id;
			eviction->bytes = kept->log_bytes;
			server->n_going++;
			server->going_bytes += eviction->bytes;
		}
		pthread_mutex_unlock(&server->sessions_lock);
		if (!eviction)
			return;
		/* A loop that takes no posts has ended, and its sessions with it. */
		if (hawser__loop_post(&eviction->worker->loop, &eviction->post) < 0) {
			free(eviction);
			return;
		}
	}
}

void hawser__server_grown(struct hawser__connection *connection)
{
	struct hawser_server *server = server_of(connection);

	if (connection->kept.session && connection->fd < 0) {
		pthread_mutex_lock(&server->sessions_lock);
		hawser__store_resize(&server->sessions, &connection->kept);
		pthread_mutex_unlock(&server->sessions_lock);
	}
	if (atomic_load_explicit(&server->log_bytes, memory_order_relaxed) >
	    server->options.max_total_log_bytes)
		relieve(server);
}

/* ---- beginning and end ---- */

void hawser__server_begin_session(struct hawser__connection *connection)
{
	struct hawser_server *server = server_of(connection);
	uint8_t random[HAWSER__STORE_RANDOM_BYTES];
	int r = -EEXIST;

	connection->kept.session = &connection->session;
	connection->kept.owner = connection;
	connection->kept.identity = hawser__socket_identity(connection->fd);
	while (r == -EEXIST) {
		if (getrandom(random, sizeof random, 0) != sizeof random)
			break;
		pthread_mutex_lock(&server->sessions_lock);
		r = hawser__store_enter(&server->sessions, &connection->kept, random);
		pthread_mutex_unlock(&server->sessions_lock);
	}
	explicit_bzero(random, sizeof random);
	if (r < 0)
		connection->kept.session = NULL;
	connection->holds = r == 0;
	relieve(server);
}

void hawser__server_end_session(struct hawser__connection *connection)
{
	struct hawser_server *server = server_of(connection);

	if (!connection->kept.session)
		return;
	pthread_mutex_lock(&server->sessions_lock);
	hawser__store_remove(&server->sessions, &connection->kept);
	pthread_mutex_unlock(&server->sessions_lock);
	connection->kept.session = NULL;
}

/* ---- away ---- */

void hawser__server_away(struct hawser__connection *connection, const struct hawser_error *why)
{
	struct hawser_server *server = server_of(connection);

	if (hawser__log_enabled(HAWSER_LOG_DEBUG))
		hawser__log(HAWSER_LOG_DEBUG, "session %016llx: away, %u calls in flight: %s",
			    (unsigned long long)connection->session.id,
			    hawser__connection_calls(connection), why->message);
	hawser__server_count(connection, false);
	hawser__exclusive_set_away(&server->exclusives, connection, true);
	pthread_mutex_lock(&server->sessions_lock);
	hawser__store_leave(&server->sessions, &connection->kept);
	pthread_mutex_unlock(&server->sessions_lock);
	hawser__loop_set_alarm(connection->loop, &connection->alarm,
			       connection->loop->now_ms + server->options.session_window_ms);
	/* Counts what is in the log. */
	if (!hawser__connection_flush(connection))
		return;
	relieve(server);
}

void hawser__server_expire(struct hawser__connection *connection)
{
	struct hawser_server *server = server_of(connection);

	add(&server->expired);
	hawser__log(hawser__connection_calls(connection) ? HAWSER_LOG_WARNING : HAWSER_LOG_INFO,
		    "session %016llx: expired after %u ms without a connection, %u calls are "
		    "cancelled",
		    (unsigned long long)connection->session.id, server->options.session_window_ms,
		    hawser__connection_calls(connection));
	hawser__connection_lose(connection, HAWSER_UNAVAILABLE, 0, "session expired");
}

/* ---- back ---- */

/* Which worker has the session; *target is set if that is the connection's own, for others' may go
 * at any moment. NULL: nobody has it. */
static struct hawser__worker *find(struct hawser__connection *connection,
				   const Hawser__Session *asked, struct hawser__connection **target)
{
	struct hawser_server *server = server_of(connection);
	uint64_t identity = hawser__socket_identity(connection->fd);
	struct hawser__worker *worker = NULL;
	struct hawser__kept *kept;

	pthread_mutex_lock(&server->sessions_lock);
	kept = hawser__store_find(&server->sessions, asked, identity);
	if (kept)
		worker = worker_of(kept->owner);
	if (worker == worker_of(connection))
		*target = kept->owner;
	pthread_mutex_unlock(&server->sessions_lock);
	return worker;
}

static void refuse(struct hawser__connection *connection, const char *why)
{
	hawser__connection_close(connection, HAWSER__REASON__REASON_SESSION_EXPIRED,
				 "session expired: %s", why);
}

/* The session's next socket is the one that `connection` came with. */
static void take_socket(struct hawser__connection *target, struct hawser__connection *connection)
{
	struct hawser_server *server = server_of(target);
	int fd = connection->fd;

	hawser__connection_unwatch(connection);
	connection->fd = -1;
	hawser__server_count(connection, false);
	hawser__server_count(target, true);
	hawser__exclusive_set_away(&server->exclusives, target, false);
	pthread_mutex_lock(&server->sessions_lock);
	hawser__store_return(&server->sessions, &target->kept);
	pthread_mutex_unlock(&server->sessions_lock);
	hawser__socket_set_user_timeout(fd, target->silence_timeout_ms);
	/* What becomes of it shows when it is fed: till then it stays. */
	target->is_busy = true;
	if (hawser__connection_attach(target, fd) < 0)
		hawser__connection_lose(target, HAWSER_RESOURCE_EXHAUSTED, -ENOMEM,
					"out of memory");
}

void hawser__server_resume(struct hawser__connection *connection, const Hawser__Open *open)
{
	struct hawser_server *server = server_of(connection);
	struct hawser__connection *target = NULL;
	struct hawser__worker *worker = find(connection, open->session, &target);
	struct hawser__problem problem;
	char peer[128];

	if (!worker) {
		refuse(connection, "this server does not know it, or not any more");
		return;
	}
	connection->moves_to = target ? (void *)target : (void *)worker;
	if (!target) {
		connection->is_moving = true;
		return;
	}
	if (hawser__store_is_stale(&target->kept, open->session)) {
		hawser__connection_close(connection, HAWSER__REASON__REASON_TAKEN_OVER,
					 "a later attempt of the same client has the session");
		return;
	}
	if (target->is_lost || target->is_busy || target->is_closing || target->is_draining) {
		refuse(connection, "it is about to end");
		return;
	}
	hawser__connection_peer(connection, peer, sizeof peer);
	if (target->fd >= 0) {
		/* Its client has another address, or noticed first that the old one is dead. */
		add(&server->taken_over);
		hawser__connection_give_up(target, HAWSER__REASON__REASON_TAKEN_OVER,
					   "taken over by %s", peer);
	}
	if (hawser__session_resume(&target->session, open->session->received, &problem) < 0) {
		refuse(connection, problem.text);
		hawser__log(HAWSER_LOG_WARNING, "session %016llx: %s",
			    (unsigned long long)target->session.id, problem.text);
		hawser__connection_lose(target, HAWSER_UNAVAILABLE, -EPROTO, "%s", problem.text);
		return;
	}
	add(&server->resumed);
	if (hawser__log_enabled(HAWSER_LOG_DEBUG))
		hawser__log(HAWSER_LOG_DEBUG, "session %016llx: goes on with %s",
			    (unsigned long long)target->session.id, peer);
	connection->is_moving = true;
	take_socket(target, connection);
	/* Is written when all that came with open has been dealt with. */
	if (!target->is_lost)
		hawser__server_answer(target, open);
}

void hawser__server_move(struct hawser__connection *connection, int fd, uint8_t *data,
			 size_t length, size_t open_length)
{
	struct hawser__connection *target = connection->moves_to;
	struct hawser__worker *worker = connection->moves_to;

	/* On its own loop the socket has been taken already. */
	if (fd >= 0) {
		hawser__server_count(connection, false);
		atomic_fetch_add_explicit(&worker->server->n_connections, 1, memory_order_relaxed);
		hawser__server_hand_out(worker, fd, data, length);
		return;
	}
	hawser__connection_feed(target, data + open_length, length - open_length);
}
