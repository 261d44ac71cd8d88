/* A server's connections: opening them, watching over them, letting them go. */

#include "net/socket.h"
#include "rpc/agreement.h"
#include "rpc/hub.h"
#include "rpc/server.h"
#include "util/log.h"
#include "wire/outbox.h"
#include <errno.h>
#include <hawser/version.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	/* Of Open.methods; more are not checked in advance. */
	ANNOUNCED_MAX = 1024,
	PROBLEMS_MAX = 16,
	/* No client may make the server's timers run faster than this. */
	HEARTBEAT_LEAST_MS = 10,
	/* A window to begin with; more would be no bound. */
};

static const struct hawser__connection_ops ops;

static struct hawser__worker *worker_of(struct hawser__connection *connection)
{
	return connection->owner;
}

/* ---- time ---- */

/* One alarm per connection, for whatever may be due first. It looks at when things
 * happened; nothing is moved while they happen. */
static void set_alarm(struct hawser__connection *connection)
{
	const struct hawser_server_options *options = &worker_of(connection)->server->options;
	uint64_t due_ms = connection->heard_ms + connection->silence_timeout_ms;

	if (connection->session.state == HAWSER__SESSION_NEW)
		due_ms = connection->call_ms + options->open_timeout_ms;
	else if (options->idle_timeout_ms) {
		uint64_t idle_ms = connection->call_ms + options->idle_timeout_ms;

		/* With calls in flight the idle time has not even begun. */
		if (!hawser__connection_is_calm(connection))
			idle_ms = connection->loop->now_ms + options->idle_timeout_ms;
		if (idle_ms < due_ms)
			due_ms = idle_ms;
	}
	hawser__loop_set_alarm(connection->loop, &connection->alarm, due_ms);
}

static void on_alarm(struct hawser__connection *connection)
{
	const struct hawser_server_options *options = &worker_of(connection)->server->options;
	uint64_t now_ms = connection->loop->now_ms;

	if (connection->session.state == HAWSER__SESSION_AWAY) {
		hawser__server_expire(connection);
		return;
	}
	if (connection->session.state == HAWSER__SESSION_NEW) {
		hawser__connection_close(connection, HAWSER__REASON__REASON_OPEN_TIMEOUT,
					 "no open within %u ms", options->open_timeout_ms);
		return;
	}
	if (now_ms - connection->heard_ms >= connection->silence_timeout_ms &&
	    !connection->is_paused) {
		hawser__connection_give_up(connection, HAWSER__REASON__REASON_SILENT,
					   "nothing was heard for %u ms",
					   connection->silence_timeout_ms);
		return;
	}
	/* Paused means that it does not take its replies; that must not go on for ever. */
	if (connection->is_paused &&
	    now_ms - connection->sent_ms >= connection->silence_timeout_ms) {
		hawser__connection_give_up(connection, HAWSER__REASON__REASON_SILENT,
					   "no reply was taken for %u ms",
					   connection->silence_timeout_ms);
		return;
	}
	if (options->idle_timeout_ms && hawser__connection_is_calm(connection) &&
	    now_ms - connection->call_ms >= options->idle_timeout_ms) {
		hawser__connection_close(connection, HAWSER__REASON__REASON_IDLE, "idle for %u ms",
					 options->idle_timeout_ms);
		return;
	}
	if (connection->is_paused) {
		hawser__loop_set_alarm(connection->loop, &connection->alarm,
				       connection->sent_ms + connection->silence_timeout_ms);
		return;
	}
	set_alarm(connection);
}

/* ---- opening ---- */

/* What the client would like, as far as the server's own limits let it. */
static void agree_on_time(struct hawser__connection *connection, const Hawser__Open *open,
			  Hawser__Opened *opened)
{
	const struct hawser_server_options *options = &worker_of(connection)->server->options;
	unsigned heartbeat_ms = options->heartbeat_ms, silence_ms = options->silence_timeout_ms;

	if (open->heartbeat_ms && open->heartbeat_ms < heartbeat_ms)
		heartbeat_ms = open->heartbeat_ms > HEARTBEAT_LEAST_MS ? open->heartbeat_ms
								       : HEARTBEAT_LEAST_MS;
	if (open->silence_timeout_ms && open->silence_timeout_ms < silence_ms)
		silence_ms = open->silence_timeout_ms;
	if (silence_ms <= heartbeat_ms)
		silence_ms = heartbeat_ms < UINT_MAX ? heartbeat_ms + 1 : UINT_MAX;
	connection->heartbeat_ms = heartbeat_ms;
	connection->silence_timeout_ms = silence_ms;
	opened->heartbeat_ms = heartbeat_ms;
	opened->silence_timeout_ms = silence_ms;
}

/* Of messages to the client. */
static size_t window_of(const Hawser__Open *open)
{
	uint64_t bytes = open->stream_window_bytes ? open->stream_window_bytes
						   : HAWSER__DEFAULT_WINDOW_BYTES;

	return bytes < HAWSER__WINDOW_MOST ? (size_t)bytes : HAWSER__WINDOW_MOST;
}

void hawser__server_answer(struct hawser__connection *connection, const Hawser__Open *open)
{
	struct hawser_server *server = worker_of(connection)->server;
	const struct hawser_server_options *options = &server->options;
	const struct hawser__session *session = &connection->session;
	Hawser__Opened opened = HAWSER__OPENED__INIT;
	Hawser__Session told = HAWSER__SESSION__INIT;
	Hawser__Hello hello;
	char problems[PROBLEMS_MAX][HAWSER_ERROR_MESSAGE_SIZE], *pointers[PROBLEMS_MAX];
	int r;

	connection->call_ms = connection->loop->now_ms;
	connection->max_peer_message = open->max_reply_bytes ? (size_t)open->max_reply_bytes
							     : HAWSER__DEFAULT_MESSAGE_BYTES;
	opened.version = HAWSER__PROTOCOL_VERSION;
	opened.name = server->name;
	opened.software = (char *)"hawser " HAWSER_VERSION;
	opened.max_request_bytes = options->max_request_bytes;
	opened.max_calls = options->max_calls;
	/* A session that goes on has its windows already. */
	if (!open->session || !open->session->id)
		hawser__outbox_set_windows(&connection->session, window_of(open));
	opened.stream_window_bytes = connection->window;
	agree_on_time(connection, open, &opened);
	if (connection->holds) {
		told.id = session->id;
		told.token.data = (uint8_t *)(uintptr_t)session->token;
		told.token.len = sizeof session->token;
		told.received = session->received;
		told.window_ms = options->session_window_ms;
		opened.session = &told;
	}
	opened.problems = pointers;
	for (size_t i = 0; i < open->n_methods && i < ANNOUNCED_MAX; i++) {
		if (opened.n_problems == PROBLEMS_MAX)
			break;
		if (hawser__agreement_explain(&server->registry, open->methods[i],
					      problems[opened.n_problems], sizeof *problems)) {
			pointers[opened.n_problems] = problems[opened.n_problems];
			opened.n_problems++;
		}
	}
	if (hawser__hello_make(&hello, &server->registry, options->labels, options->n_labels, NULL))
		opened.hello = &hello;
	r = hawser__connection_put(connection, HAWSER__FRAME_OPENED, &opened.base);
	hawser__hello_unmake(&hello);
	if (r == 0 && open->hello)
		r = hawser__peer_hello(connection, open->name, open->hello,
				       &worker_of(connection)->peers, NULL);
	if (r < 0) {
		hawser__connection_lose(connection, HAWSER_RESOURCE_EXHAUSTED, -ENOMEM,
					"out of memory");
		return;
	}
	set_alarm(connection);
	hawser__peer_set_state(connection, HAWSER_PEER_HERE);
	hawser__hub_join(connection);
	hawser__peer_probe(connection);
}

static void on_hello(struct hawser__connection *connection, const Hawser__Hello *hello)
{
	/* Without memory what it said before stands. */
	if (hawser__peer_hello(connection, connection->peer ? NULL : hello->name, hello,
			       &worker_of(connection)->peers, NULL) == 0)
		hawser__hub_join(connection);
}

static void on_open(struct hawser__connection *connection, const Hawser__Open *open)
{
	struct hawser_server *server = worker_of(connection)->server;
	char peer[128], text[HAWSER_ERROR_MESSAGE_SIZE];

	if (open->version != HAWSER__PROTOCOL_VERSION) {
		hawser__connection_close(connection, HAWSER__REASON__REASON_VERSION,
					 "the client speaks protocol version %u, this server "
					 "version %d",
					 open->version, HAWSER__PROTOCOL_VERSION);
		return;
	}
	if (hawser__log_enabled(HAWSER_LOG_DEBUG))
		hawser__log(HAWSER_LOG_DEBUG, "%s: opened by \"%.128s\" (%.64s)",
			    hawser__connection_peer(connection, peer, sizeof peer), open->name,
			    open->software);
	if (open->session && open->session->id) {
		hawser__server_resume(connection, open);
		return;
	}
	if (!hawser__hub_admits(connection, open, text, sizeof text)) {
		hawser__connection_close(connection, HAWSER__REASON__REASON_REFUSED, "%s", text);
		return;
	}
	if (open->session && !server->options.no_sessions)
		hawser__server_begin_session(connection);
	hawser__session_begin(&connection->session, connection->holds);
	hawser__server_answer(connection, open);
	if (!connection->is_lost)
		hawser__socket_set_user_timeout(connection->fd, connection->silence_timeout_ms);
}

void hawser__server_refuse(struct hawser_server *server, int fd)
{
	struct hawser__problem problem;
	struct hawser__session session;
	struct hawser__pool pool = {.small.free = NULL};
	struct iovec pieces[2];
	char peer[128];

	atomic_fetch_add_explicit(&server->refused, 1, memory_order_relaxed);
	hawser__problem_set(&problem, HAWSER__REASON__REASON_TOO_MANY_CONNECTIONS,
			    "the server has its %u connections; try again later",
			    server->options.max_connections);
	hawser__log(HAWSER_LOG_WARNING, "%s: refused: %s",
		    hawser__socket_peer(fd, peer, sizeof peer), problem.text);
	hawser__session_init(&session, true, 0, &pool);
	if (hawser__session_put_close(&session, &problem))
		hawser__socket_send(fd, pieces, hawser__session_peek(&session, pieces, 2));
	hawser__session_deinit(&session);
	hawser__pool_deinit(&pool);
	/* What the client has sent already is read first: closing over it would
	 * destroy the refusal on its way. */
	hawser__socket_finish(fd);
	char rest[4096];

	hawser__socket_receive(fd, rest, sizeof rest);
	close(fd);
}

void hawser__server_count(struct hawser__connection *connection, bool is_open)
{
	struct hawser__worker *worker = worker_of(connection);

	if (connection->is_counted == is_open)
		return;
	connection->is_counted = is_open;
	if (is_open) {
		worker->n_connections++;
		atomic_fetch_add_explicit(&worker->server->n_connections, 1, memory_order_relaxed);
	} else {
		worker->n_connections--;
		atomic_fetch_sub_explicit(&worker->server->n_connections, 1, memory_order_relaxed);
	}
}

void hawser__server_adopt(struct hawser__worker *worker, int fd, uint8_t *data, size_t length)
{
	struct hawser_server *server = worker->server;
	struct hawser__connection_setup setup = {
		.loop = &worker->loop,
		.ops = &ops,
		.owner = worker,
		.serving = &worker->serving,
		.is_server = true,
		.max_payload = server->options.max_request_bytes,
		.max_unsent = server->options.max_unsent_bytes,
		.max_log = server->options.max_log_bytes,
		.max_reply = server->options.max_reply_bytes,
		.window = server->options.stream_window_bytes,
		.max_window = server->options.max_stream_window_bytes,
		.max_unread = server->options.max_unread_bytes,
		.patience = {.policy = server->options.slow_peer,
			     .timeout_ms = server->options.slow_peer_timeout_ms,
			     .bytes = server->options.slow_peer_bytes,
			     .count = &server->slow_peers},
		.log_total = &server->log_bytes,
	};
	struct hawser__connection *connection = hawser__connection_new(&setup);

	if (!connection) {
		close(fd);
		atomic_fetch_sub_explicit(&server->n_connections, 1, memory_order_relaxed);
		return;
	}
	/* Where it was accepted it was counted already. */
	connection->is_counted = true;
	connection->silence_timeout_ms = server->options.silence_timeout_ms;
	hawser__list_append(&worker->connections, &connection->link);
	worker->n_connections++;
	if (hawser__connection_attach(connection, fd) < 0) {
		hawser__connection_lose(connection, HAWSER_RESOURCE_EXHAUSTED, -ENOMEM,
					"out of memory");
		return;
	}
	set_alarm(connection);
	if (worker->is_draining)
		hawser__connection_close(connection, HAWSER__REASON__REASON_DRAINING,
					 "the server is draining");
	else if (length)
		hawser__connection_feed(connection, data, length);
}

/* ---- asked to stop ---- */

static void on_shutdown(struct hawser__connection *connection, const Hawser__Shutdown *shutdown)
{
	struct hawser_server *server = worker_of(connection)->server;
	Hawser__Shutdown refusal = HAWSER__SHUTDOWN__INIT;
	char peer[128];

	hawser__connection_peer(connection, peer, sizeof peer);
	if (server->options.allow_shutdown_from_anyone ||
	    (server->options.allow_shutdown && hawser__socket_peer_is_same_user(connection->fd))) {
		hawser__log(HAWSER_LOG_INFO, "%s: asks to shut down: %.200s", peer, shutdown->text);
		hawser_server_drain(server);
		return;
	}
	hawser__log(HAWSER_LOG_WARNING, "%s: may not shut the server down", peer);
	refusal.refused =
		(char *)(server->options.allow_shutdown
				 ? "only peers on a unix socket that run as the server's user may "
				   "shut it down"
				 : "the server does not allow it; it would have to be started with "
				   "allow_shutdown");
	hawser__connection_put(connection, HAWSER__FRAME_SHUTDOWN, &refusal.base);
}

/* ---- letting go ---- */

static void on_calm(struct hawser__connection *connection)
{
	/* Its last call has ended: the peer closes when it has the reply, or the
	 * linger alarm does. */
	if (connection->is_draining && !connection->is_closing)
		hawser__connection_close(connection, HAWSER__REASON__REASON_DONE,
					 "the server has drained");
}

static void on_closing(struct hawser__connection *connection, Hawser__Reason reason)
{
	struct hawser_server *server = worker_of(connection)->server;

	if (reason == HAWSER__REASON__REASON_PROTOCOL_ERROR ||
	    reason == HAWSER__REASON__REASON_TOO_LARGE)
		atomic_fetch_add_explicit(&server->protocol_errors, 1, memory_order_relaxed);
	if (connection->session.state == HAWSER__SESSION_NEW)
		atomic_fetch_add_explicit(&server->refused, 1, memory_order_relaxed);
}

static void on_lost(struct hawser__connection *connection, const struct hawser_error *why)
{
	struct hawser__worker *worker = worker_of(connection);
	bool was_counted = connection->is_counted;
	char peer[128];

	if (hawser__log_enabled(HAWSER_LOG_DEBUG) && connection->fd >= 0)
		hawser__log(HAWSER_LOG_DEBUG, "%s: %s",
			    hawser__connection_peer(connection, peer, sizeof peer), why->message);
	/* Its client would have come back, but is not let in any more. */
	if (worker->is_draining && connection->kept.session && connection->n_cut)
		atomic_store_explicit(&worker->server->was_cut, true, memory_order_relaxed);
	hawser__server_count(connection, false);
	hawser__server_end_session(connection);
	hawser__exclusive_forget(&worker->server->exclusives, connection);
	hawser__connection_free(connection);
	if (was_counted && worker->is_draining)
		hawser__worker_check_drained(worker);
}

static const struct hawser__connection_ops ops = {
	.open = on_open,
	.shutdown = on_shutdown,
	.hello = on_hello,
	.closing = on_closing,
	.calm = on_calm,
	.alarm = on_alarm,
	.away = hawser__server_away,
	.move = hawser__server_move,
	.grown = hawser__server_grown,
	.lost = on_lost,
};

static void drain(struct hawser__connection *connection)
{
	struct hawser__problem problem = {.reason = HAWSER__REASON__REASON_DRAINING,
					  .text = "the server is draining"};

	if (connection->is_closing || connection->is_draining)
		return;
	if (hawser__connection_is_calm(connection) ||
	    connection->session.state != HAWSER__SESSION_OPEN) {
		hawser__connection_close(connection, HAWSER__REASON__REASON_DRAINING,
					 "the server is draining");
		return;
	}
	connection->is_draining = true;
	if (hawser__connection_put_close(connection, &problem) < 0)
		hawser__connection_lose(connection, HAWSER_UNAVAILABLE, -ENOMEM, "out of memory");
	else
		hawser__connection_flush_soon(connection);
}

/* Nobody can come back to it once the listeners are closed. */
static void end_if_away(struct hawser__connection *connection)
{
	if (connection->fd >= 0)
		return;
	if (connection->n_incoming)
		atomic_store_explicit(&worker_of(connection)->server->was_cut, true,
				      memory_order_relaxed);
	hawser__connection_lose(connection, HAWSER_UNAVAILABLE, 0, "the server is draining");
}

/* Each connection once, also when the operation ends it. */
static void for_each(struct hawser__worker *worker, void (*run)(struct hawser__connection *))
{
	struct hawser__list todo;

	hawser__list_init(&todo);
	while (!hawser__list_empty(&worker->connections))
		hawser__list_move(&todo, worker->connections.next);
	while (!hawser__list_empty(&todo)) {
		struct hawser__list *link = todo.next;

		hawser__list_move(&worker->connections, link);
		run(hawser__container_of(link, struct hawser__connection, link));
	}
}

void hawser__worker_drain(struct hawser__worker *worker)
{
	if (worker->is_draining)
		return;
	for_each(worker, end_if_away);
	worker->is_draining = true;
	worker->serving.is_draining = true;
	hawser__exclusive_drain(&worker->server->exclusives, &worker->loop);
	for_each(worker, drain);
	hawser__worker_check_drained(worker);
	if (!worker->has_drained)
		hawser__loop_set_alarm(&worker->loop, &worker->drain_alarm,
				       worker->loop.now_ms +
					       worker->server->options.drain_timeout_ms);
}

static void cut(struct hawser__connection *connection)
{
	if (connection->n_incoming)
		atomic_store_explicit(&worker_of(connection)->server->was_cut, true,
				      memory_order_relaxed);
	if (hawser__connection_is_open(connection) && !connection->is_closing) {
		struct hawser__problem problem = {.reason = HAWSER__REASON__REASON_DONE,
						  .text = "the server has stopped"};

		hawser__connection_put_close(connection, &problem);
		/* What is still unread must not run: the peer is told that it will not. */
		connection->is_closing = true;
		connection->is_paused = false;
		if (!hawser__connection_flush(connection))
			return;
	}
	hawser__connection_lose(connection, HAWSER_UNAVAILABLE, 0, "the server has stopped");
}

void hawser__worker_cut(struct hawser__worker *worker)
{
	for_each(worker, cut);
}
