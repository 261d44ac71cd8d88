/* A server: options, its workers, running, draining, stopping. */

#include "rpc/server.h"

#include "rpc/dispatch_pool.h"
#include "rpc/flow_options.h"
#include "rpc/hub.h"
#include "util/alloc.h"
#include "util/error.h"
#include "util/log.h"
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
	MAX_CONNECTIONS = 16384,
	MAX_CALLS = 1024,
	MESSAGE_BYTES_MOST = 256 << 20,
	UNSENT_BYTES = 1 << 20,
	LOG_BYTES = 16 << 20,
	TOTAL_LOG_BYTES = 256 << 20,
	SESSION_WINDOW_MS = 30000,
	MAX_SESSIONS = 65536,
	OPEN_TIMEOUT_MS = 5000,
	HEARTBEAT_MS = 15000,
	SILENT_HEARTBEATS = 3,
	DRAIN_TIMEOUT_MS = 10000,
	TIMEOUT_MS = 30000,
	UNIX_MODE = 0600,
	LOOPS_MOST = 256,
	NAME_MAX_BYTES = 128,
};

/* ---- options ---- */

static int check_options(struct hawser_server_options *checked,
			 const struct hawser_server_options *options, struct hawser_error *error)
{
	*checked = (struct hawser_server_options)HAWSER_SERVER_OPTIONS_INIT;
	if (options) {
		if (options->size < sizeof options->size || options->size > 4096)
			return hawser__error_set(error, -EINVAL,
						 "server options: size is %zu; start from "
						 "HAWSER_SERVER_OPTIONS_INIT",
						 options->size);
		/* An older program's struct is shorter, a newer one's longer. */
		memcpy(checked, options,
		       options->size < sizeof *checked ? options->size : sizeof *checked);
	}
	if (checked->loops > LOOPS_MOST || (checked->loops > 1 && checked->base))
		return hawser__error_set(error, -EINVAL,
					 "server options: %u loops; up to %d are possible, one on "
					 "a base of yours",
					 checked->loops, LOOPS_MOST);
	if (checked->max_request_bytes > MESSAGE_BYTES_MOST ||
	    checked->max_reply_bytes > MESSAGE_BYTES_MOST)
		return hawser__error_set(error, -EINVAL,
					 "server options: max_request_bytes and max_reply_bytes "
					 "can be at most %d",
					 MESSAGE_BYTES_MOST);
	if (checked->unix_mode & ~0777u)
		return hawser__error_set(error, -EINVAL,
					 "server options: unix_mode 0%o is no set of permissions, "
					 "such as 0660",
					 checked->unix_mode);
	if (checked->name && strlen(checked->name) > NAME_MAX_BYTES)
		return hawser__error_set(error, -EINVAL,
					 "server options: the name has more than %d bytes",
					 NAME_MAX_BYTES);
	if (checked->heartbeat_ms && checked->silence_timeout_ms &&
	    checked->silence_timeout_ms <= checked->heartbeat_ms)
		return hawser__error_set(
			error, -EINVAL,
			"server options: silence_timeout_ms %u would close clients "
			"that ping every heartbeat_ms %u; make it longer",
			checked->silence_timeout_ms, checked->heartbeat_ms);
#define DEFAULT(option, value) \
	if (!checked->option)  \
	checked->option = value
	DEFAULT(loops, 1);
	DEFAULT(max_connections, MAX_CONNECTIONS);
	DEFAULT(max_calls, MAX_CALLS);
	DEFAULT(max_request_bytes, HAWSER__DEFAULT_MESSAGE_BYTES);
	DEFAULT(max_reply_bytes, HAWSER__DEFAULT_MESSAGE_BYTES);
	DEFAULT(max_unsent_bytes, UNSENT_BYTES);
	DEFAULT(max_log_bytes, LOG_BYTES);
	DEFAULT(max_total_log_bytes, TOTAL_LOG_BYTES);
	DEFAULT(max_sessions, MAX_SESSIONS);
	DEFAULT(session_window_ms, SESSION_WINDOW_MS);
	DEFAULT(open_timeout_ms, OPEN_TIMEOUT_MS);
	DEFAULT(heartbeat_ms, checked->silence_timeout_ms
				      ? checked->silence_timeout_ms / SILENT_HEARTBEATS + 1
				      : HEARTBEAT_MS);
	DEFAULT(silence_timeout_ms, checked->heartbeat_ms < UINT_MAX / SILENT_HEARTBEATS
					    ? SILENT_HEARTBEATS * checked->heartbeat_ms
					    : UINT_MAX);
	DEFAULT(drain_timeout_ms, DRAIN_TIMEOUT_MS);
	DEFAULT(timeout_ms, TIMEOUT_MS);
	DEFAULT(unix_mode, UNIX_MODE);
	DEFAULT(name, program_invocation_short_name);
#undef DEFAULT
	if (hawser__server_check_pool(checked, error) < 0)
		return -EINVAL;
	return hawser__flow_options_check(
		"server",
		&(struct hawser__flow_options){
			&checked->stream_window_bytes, &checked->max_stream_window_bytes,
			&checked->max_unread_bytes, checked->slow_peer,
			checked->slow_peer_timeout_ms, checked->slow_peer_bytes},
		error);
}

/* ---- workers ---- */

static void on_drain_timeout(struct hawser__alarm *alarm)
{
	struct hawser__worker *worker =
		hawser__container_of(alarm, struct hawser__worker, drain_alarm);

	hawser__log(HAWSER_LOG_WARNING,
		    "drain: %u connections and %u blocking handlers are left after %u ms; calls in "
		    "flight are cut",
		    worker->n_connections, atomic_load(&worker->serving.n_turns),
		    worker->server->options.drain_timeout_ms);
	if (atomic_load(&worker->serving.n_turns))
		atomic_store_explicit(&worker->server->was_cut, true, memory_order_relaxed);
	worker->is_late = true;
	hawser__worker_cut(worker);
	hawser__worker_check_drained(worker);
}

static void drain_posted(struct hawser__loop *loop, struct hawser__post *post)
{
	struct hawser__worker *worker =
		hawser__container_of(post, struct hawser__worker, drain_post);
	struct hawser_server *server = worker->server;

	if (loop->closed)
		return;
	if (worker == server->workers) {
		server->phase = HAWSER__SERVER_DRAINING;
		hawser__log(HAWSER_LOG_INFO, "draining");
		hawser__server_close_listeners(server);
		/* The others only after the listeners are closed: nothing new comes. */
		for (unsigned i = 1; i < server->n_workers; i++)
			hawser__loop_post(&server->workers[i].loop, &server->workers[i].drain_post);
	}
	hawser__worker_drain(worker);
}

void hawser_server_drain(struct hawser_server *server)
{
	struct hawser__worker *first = server ? server->workers : NULL;

	if (first && !atomic_exchange(&first->has_drain_post, true))
		hawser__loop_post(&first->loop, &first->drain_post);
}

/* May run in a signal handler: it only writes to a descriptor. */
void hawser_server_stop(struct hawser_server *server)
{
	static const uint64_t one = 1;
	int saved = errno;

	if (server && write(server->stop_fd, &one, sizeof one) < 0)
		errno = saved;
}

static void break_loop(struct hawser_server *server)
{
	/* A base that the user runs is the user's to stop. */
	if (server->is_in_run)
		event_base_loopbreak(server->workers[0].loop.base);
}

static void on_stop(evutil_socket_t fd, short what, void *data)
{
	struct hawser_server *server = data;
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof count) < 0)
		return;
	server->phase = HAWSER__SERVER_STOPPED;
	hawser__server_close_listeners(server);
	hawser__worker_cut(&server->workers[0]);
	break_loop(server);
}

static int init_stop(struct hawser_server *server)
{
	server->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (server->stop_fd < 0)
		return -errno;
	event_assign(&server->stop_event, server->workers[0].loop.base, server->stop_fd,
		     EV_READ | EV_PERSIST, on_stop, server);
	return event_add(&server->stop_event, NULL) < 0 ? -ENOMEM : 0;
}

static void drained(struct hawser__worker *worker)
{
	struct hawser_server *server = worker->server;
	bool is_last;

	/* A connection that another worker handed over may have come too late. */
	if (worker->has_drained)
		return;
	worker->has_drained = true;
	is_last = atomic_fetch_sub(&server->busy_workers, 1) == 1;
	hawser__loop_clear_alarm(&worker->loop, &worker->drain_alarm);
	if (worker != server->workers) {
		event_base_loopbreak(worker->loop.base);
		/* The last of them lets the first one end. */
		if (is_last)
			hawser_server_stop(server);
	} else if (is_last) {
		break_loop(server);
	}
}

static void on_calm(struct hawser__serving *serving)
{
	hawser__worker_check_drained(hawser__container_of(serving, struct hawser__worker, serving));
}

void hawser__worker_check_drained(struct hawser__worker *worker)
{
	if (worker->n_connections == 0 &&
	    (worker->is_late || hawser__pool_await_calm(&worker->serving, on_calm)))
		drained(worker);
}

static void stop_posted(struct hawser__loop *loop, struct hawser__post *post)
{
	struct hawser__worker *worker =
		hawser__container_of(post, struct hawser__worker, stop_post);

	if (!loop->closed)
		event_base_loopbreak(worker->loop.base);
}

static void *worker_main(void *data)
{
	struct hawser__worker *worker = data;

	hawser__loop_adopt(&worker->loop);
	event_base_loop(worker->loop.base, EVLOOP_NO_EXIT_ON_EMPTY);
	hawser__worker_cut(worker);
	return NULL;
}

static int start_workers(struct hawser_server *server, struct hawser_error *error)
{
	sigset_t all, before;
	int r = 0;

	/* Signals are for the thread that called run. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned i = 1; i < server->n_workers && r == 0; i++) {
		struct hawser__worker *worker = &server->workers[i];

		r = -pthread_create(&worker->thread, NULL, worker_main, worker);
		worker->has_thread = r == 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r < 0 ? hawser__error_set(error, r, "run: no thread for a loop could be started")
		     : 0;
}

static void stop_workers(struct hawser_server *server)
{
	for (unsigned i = 1; i < server->n_workers; i++) {
		struct hawser__worker *worker = &server->workers[i];

		if (!worker->has_thread)
			continue;
		hawser__loop_post(&worker->loop, &worker->stop_post);
		pthread_join(worker->thread, NULL);
		worker->has_thread = false;
	}
}

/* ---- running ---- */

static void on_signal(evutil_socket_t number, short what, void *data)
{
	struct hawser_server *server = data;

	(void)what;
	if (server->phase == HAWSER__SERVER_RUNNING) {
		hawser__log(HAWSER_LOG_INFO, "signal %d: draining", (int)number);
		hawser_server_drain(server);
	} else {
		hawser__log(HAWSER_LOG_WARNING, "signal %d again: stopping at once", (int)number);
		hawser_server_stop(server);
	}
}

void hawser__server_watch_signals(struct hawser_server *server)
{
	struct event_base *base = server->workers[0].loop.base;

	if (server->options.ignore_signals || server->sigterm)
		return;
	server->sigterm = evsignal_new(base, SIGTERM, on_signal, server);
	server->sigint = evsignal_new(base, SIGINT, on_signal, server);
	if (server->sigterm)
		event_add(server->sigterm, NULL);
	if (server->sigint)
		event_add(server->sigint, NULL);
}

static void forget_signals(struct hawser_server *server)
{
	if (server->sigterm)
		event_free(server->sigterm);
	if (server->sigint)
		event_free(server->sigint);
	server->sigterm = server->sigint = NULL;
}

int hawser_server_run(struct hawser_server *server, struct hawser_error *error)
{
	struct hawser__loop *loop;
	int r;

	if (!server)
		return hawser__error_set(error, -EINVAL, "run: the server is NULL");
	if (server->phase != HAWSER__SERVER_NEW)
		return hawser__error_set(error, -EBUSY, "run: the server runs or has run");
	if (!server->listeners)
		return hawser__error_set(error, -EINVAL,
					 "run: there is no listener; call hawser_server_listen() "
					 "first");
	loop = &server->workers[0].loop;
	hawser__loop_adopt(loop);
	server->phase = HAWSER__SERVER_RUNNING;
	r = start_workers(server, error);
	server->is_in_run = true;
	if (r == 0) {
		hawser__server_watch_signals(server);
		hawser__server_watch_listeners(server, true);
		if (event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0)
			r = hawser__error_set(error, -EIO, "run: the event loop failed");
		forget_signals(server);
	}
	server->is_in_run = false;
	server->phase = HAWSER__SERVER_STOPPED;
	hawser__server_close_listeners(server);
	hawser__worker_cut(&server->workers[0]);
	stop_workers(server);
	if (r < 0)
		return r;
	return atomic_load(&server->was_cut) ? 1 : 0;
}

/* ---- life ---- */

static int worker_init(struct hawser__worker *worker, struct hawser_server *server)
{
	int r = hawser__loop_init(&worker->loop, server->options.base);

	if (r < 0)
		return r;
	worker->server = server;
	worker->drain_post.run = drain_posted;
	worker->stop_post.run = stop_posted;
	hawser__list_init(&worker->connections);
	hawser__alarm_init(&worker->drain_alarm, on_drain_timeout);
	hawser__serving_init(&worker->serving, &worker->loop, &server->registry, &server->dispatch);
	worker->serving.max_request_bytes = server->options.max_request_bytes;
	worker->serving.max_reply_bytes = server->options.max_reply_bytes;
	worker->serving.max_calls = server->options.max_calls;
	hawser__list_init(&worker->peers.list);
	worker->peers.limits = (struct hawser__peer_limits){server->options.timeout_ms,
							    server->options.max_reply_bytes,
							    server->options.max_request_bytes};
	return 0;
}

struct hawser_server *hawser_server_new(const struct hawser_server_options *options,
					struct hawser_error *error)
{
	struct hawser_server_options checked;
	struct hawser_server *server;
	int r = 0;

	if (check_options(&checked, options, error) < 0)
		return NULL;
	server = hawser__calloc(1, sizeof *server);
	if (server) {
		server->options = checked;
		server->options.labels = NULL;
		server->listeners_end = &server->listeners;
		server->stop_fd = -1;
		pthread_mutex_init(&server->sessions_lock, NULL);
		hawser__store_init(&server->sessions);
		hawser__exclusives_init(&server->exclusives);
		server->exclusives.allows_same_user = checked.allow_force_release;
		atomic_init(&server->busy_workers, checked.loops);
		server->name = hawser__strdup(checked.name);
		server->workers = hawser__calloc(checked.loops, sizeof *server->workers);
	}
	if (!server || !server->name || !server->workers) {
		hawser_server_free(server);
		hawser__error_set(error, -ENOMEM, "server: out of memory");
		return NULL;
	}
	if (hawser__labels_copy(checked.labels, checked.n_labels, "server", &server->labels,
				error) < 0) {
		hawser_server_free(server);
		return NULL;
	}
	server->options.labels = server->labels;
	r = hawser__server_init_dispatch(server);
	for (; r == 0 && server->n_workers < checked.loops; server->n_workers++) {
		r = worker_init(&server->workers[server->n_workers], server);
		if (r < 0)
			break;
	}
	if (r == 0)
		r = init_stop(server);
	if (r < 0) {
		hawser_server_free(server);
		hawser__error_set(error, r, "server: its loop could not be made");
		return NULL;
	}
	return server;
}

void hawser_server_free(struct hawser_server *server)
{
	if (!server)
		return;
	forget_signals(server);
	hawser__server_close_listeners(server);
	for (unsigned i = 0; i < server->n_workers; i++) {
		struct hawser__worker *worker = &server->workers[i];

		hawser__loop_adopt(&worker->loop);
		hawser__worker_cut(worker);
		hawser__peers_end(&worker->peers);
		/* Who waits on the pool for an answer from here gets it now. */
		hawser__loop_run_posts(&worker->loop);
	}
	/* Their calls are cancelled by now, and what they answer is still to be posted. */
	hawser__dispatch_stop(&server->dispatch);
	for (unsigned i = 0; i < server->n_workers; i++) {
		struct hawser__worker *worker = &server->workers[i];

		if (i == 0 && server->stop_fd >= 0) {
			event_del(&server->stop_event);
			close(server->stop_fd);
		}
		hawser__loop_deinit(&worker->loop);
		hawser__serving_deinit(&worker->serving);
	}
	while (server->listeners) {
		struct hawser__listener *next = server->listeners->next;

		free(server->listeners);
		server->listeners = next;
	}
	hawser__hub_free(server->hub);
	hawser__dispatch_deinit(&server->dispatch);
	hawser__registry_deinit(&server->registry);
	hawser__exclusives_deinit(&server->exclusives);
	hawser__store_deinit(&server->sessions);
	pthread_mutex_destroy(&server->sessions_lock);
	free(server->workers);
	free(server->labels);
	free(server->name);
	free(server);
}

int hawser_server_add(struct hawser_server *server, const struct hawser_service *service,
		      const void *handlers, void *data, struct hawser_error *error)
{
	int r;

	if (!server)
		return hawser__error_set(error, -EINVAL, "register: the server is NULL");
	if (server->phase != HAWSER__SERVER_NEW)
		return hawser__error_set(error, -EBUSY,
					 "register %s: the server runs; register before that",
					 service && service->name ? service->name : "");
	if (service && service->name && service->methods) {
		r = hawser__server_add_exclusive(server, service, error);
		if (r < 0)
			return r;
	}
	r = hawser__registry_add(&server->registry, service, handlers, data, error);
	if (r == 0)
		hawser__server_bind_exclusive(server, service);
	else
		hawser__scopes_prune(&server->exclusives);
	return r;
}

int hawser_server_set_raw(struct hawser_server *server, const char *method, hawser_raw_fn *handler,
			  void *data, struct hawser_error *error)
{
	int r;

	if (!server || !method || !handler)
		return hawser__error_set(error, -EINVAL,
					 "set_raw: the server, the method or the handler is NULL");
	if (server->phase != HAWSER__SERVER_NEW)
		return hawser__error_set(
			error, -EBUSY, "set_raw %s: the server runs; call it before that", method);
	r = hawser__registry_set_raw(&server->registry, method, handler, data);
	if (r < 0)
		return hawser__error_set(error, r,
					 "set_raw %s: no such method is registered; register its "
					 "service first, and name it as in \"demo.Greeter/Hello\"",
					 method);
	return 0;
}

void hawser_server_get_stats(struct hawser_server *server, struct hawser_server_stats *stats)
{
	struct hawser_server_stats now = {.size = sizeof now};

	if (!server || !stats || stats->size < sizeof stats->size)
		return;
	now.connections = atomic_load_explicit(&server->n_connections, memory_order_relaxed);
	now.connections_accepted = atomic_load_explicit(&server->accepted, memory_order_relaxed);
	now.connections_refused = atomic_load_explicit(&server->refused, memory_order_relaxed);
	now.protocol_errors = atomic_load_explicit(&server->protocol_errors, memory_order_relaxed);
	now.slow_peers = atomic_load_explicit(&server->slow_peers, memory_order_relaxed);
	now.sessions_resumed = atomic_load_explicit(&server->resumed, memory_order_relaxed);
	now.sessions_taken_over = atomic_load_explicit(&server->taken_over, memory_order_relaxed);
	now.sessions_expired = atomic_load_explicit(&server->expired, memory_order_relaxed);
	now.sessions_evicted = atomic_load_explicit(&server->evicted, memory_order_relaxed);
	now.log_bytes = atomic_load_explicit(&server->log_bytes, memory_order_relaxed);
	pthread_mutex_lock(&server->sessions_lock);
	now.sessions = hawser__store_count(&server->sessions);
	now.sessions_away = server->sessions.n_away;
	pthread_mutex_unlock(&server->sessions_lock);
	for (unsigned i = 0; i < server->n_workers; i++) {
		struct hawser__serving *serving = &server->workers[i].serving;

		now.calls_in_flight +=
			atomic_load_explicit(&serving->in_flight, memory_order_relaxed);
		now.calls += atomic_load_explicit(&serving->calls, memory_order_relaxed);
		now.calls_failed += atomic_load_explicit(&serving->failed, memory_order_relaxed);
		now.calls_refused += atomic_load_explicit(&serving->refused, memory_order_relaxed);
	}
	hawser__server_add_stats(server, &now);
	now.size = stats->size < sizeof now ? stats->size : sizeof now;
	memcpy(stats, &now, now.size);
}
