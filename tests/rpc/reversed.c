/* A server that calls, and a client that serves; reversed.h tells what for. */

#include "reversed.h"

#include "rpc/client.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct reversed {
	/* The server's end. */
	struct hawser_server *server;
	char directory[128];
	pthread_t server_thread;
	bool has_server_thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct hawser_peer *peer;
	/* The client's end, which is its thread's. */
	struct hawser_client_options options;
	char address[ADDRESS_SIZE];
	struct tester *tester;
	struct hawser_client *client;
	struct event_base *base;
	int wake_fd;
	pthread_t client_thread;
	void (*task)(struct hawser_client *client, void *data); /* under the lock */
	void *task_data;
	bool is_stopping;
};

/* ---- the server ---- */

/* A server is given no peer but that of a call. */
static void on_meeting(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct reversed *reversed = data;

	pthread_mutex_lock(&reversed->lock);
	hawser_peer_unref(reversed->peer);
	reversed->peer = hawser_call_from(call);
	pthread_cond_broadcast(&reversed->changed);
	pthread_mutex_unlock(&reversed->lock);
	rpctest_tester_echo_reply(call, request);
}

static const struct rpctest_tester_service server_handlers = {.echo = on_meeting};

static struct hawser_server_options server_options(const struct hawser_client_options *client)
{
	struct hawser_server_options options = tester_options();

	if (!client)
		return options;
	options.name = client->name;
	options.timeout_ms = client->timeout_ms;
	options.heartbeat_ms = client->heartbeat_ms;
	options.silence_timeout_ms = client->silence_timeout_ms;
	/* Whatever comes has the one limit, whatever goes the other. */
	options.max_request_bytes = client->max_reply_bytes;
	options.max_reply_bytes = client->max_request_bytes;
	options.max_log_bytes = client->max_log_bytes;
	options.no_sessions = client->no_session;
	options.stream_window_bytes = client->stream_window_bytes;
	options.max_stream_window_bytes = client->max_stream_window_bytes;
	options.max_unread_bytes = client->max_unread_bytes;
	options.slow_peer = client->slow_peer;
	options.slow_peer_timeout_ms = client->slow_peer_timeout_ms;
	options.slow_peer_bytes = client->slow_peer_bytes;
	return options;
}

static void *run_server(void *data)
{
	hawser_server_run(data, NULL);
	return NULL;
}

static void start_server(struct reversed *reversed, struct caller *caller, int stamp,
			 const struct hawser_server_options *asked,
			 const struct hawser_client_options *client)
{
	struct hawser_server_options options = server_options(client);
	struct hawser_error error = {.message = ""};
	char address[ADDRESS_SIZE];

	/* What only a server can be told. */
	if (asked) {
		options.session_window_ms = asked->session_window_ms;
		options.idle_timeout_ms = asked->idle_timeout_ms;
	}
	if (is_async(stamp)) {
		caller->base = options.base = event_base_new();
		ck_assert_ptr_nonnull(caller->base);
	}
	reversed->server = hawser_server_new(&options, &error);
	ck_assert_msg(reversed->server, "%s", error.message);
	ck_assert_int_eq(
		rpctest_tester_register(reversed->server, &server_handlers, reversed, &error), 0);
	if (transport_of(stamp) == OVER_UNIX)
		directory_make(reversed->directory, sizeof reversed->directory);
	address_make(address, transport_of(stamp), reversed->directory);
	ck_assert_msg(hawser_server_listen(reversed->server, address, &error) == 0, "%s",
		      error.message);
	if (caller->base)
		return;
	ck_assert_int_eq(
		pthread_create(&reversed->server_thread, NULL, run_server, reversed->server), 0);
	reversed->has_server_thread = true;
}

static bool has_met(struct reversed *reversed)
{
	bool has;

	pthread_mutex_lock(&reversed->lock);
	has = reversed->peer != NULL;
	pthread_mutex_unlock(&reversed->lock);
	return has;
}

static void wait_for_peer(struct reversed *reversed, struct caller *caller)
{
	while (caller->base && !has_met(reversed))
		ck_assert_int_eq(event_base_loop(caller->base, EVLOOP_ONCE), 0);
	pthread_mutex_lock(&reversed->lock);
	while (!reversed->peer)
		pthread_cond_wait(&reversed->changed, &reversed->lock);
	caller->client = hawser_peer_client(reversed->peer);
	pthread_mutex_unlock(&reversed->lock);
}

void reversed_stop_server(struct reversed *reversed)
{
	if (!reversed->has_server_thread)
		return;
	hawser_server_stop(reversed->server);
	pthread_join(reversed->server_thread, NULL);
	reversed->has_server_thread = false;
}

void reversed_free_server(struct reversed *reversed)
{
	reversed_stop_server(reversed);
	hawser_server_free(reversed->server);
	reversed->server = NULL;
}

void reversed_end_caller(struct caller *caller)
{
	struct reversed *reversed = caller->reversed;

	/* Before the server or after it: both are allowed. */
	if (caller->base)
		hawser_peer_unref(reversed->peer);
	reversed_free_server(reversed);
	if (!caller->base)
		hawser_peer_unref(reversed->peer);
	else
		event_base_free(caller->base);
	if (reversed->directory[0])
		directory_remove(reversed->directory);
	reversed->peer = NULL;
}

/* ---- the client ---- */

static struct hawser_client_options client_options(const struct hawser_server_options *server,
						   const struct hawser_client_options *client)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;

	if (client) {
		options.max_backoff_ms = client->max_backoff_ms;
		options.heartbeat_ms = client->heartbeat_ms;
		options.silence_timeout_ms = client->silence_timeout_ms;
		options.no_session = client->no_session;
	}
	if (!server)
		return options;
	options.name = server->name;
	options.max_calls = server->max_calls;
	options.max_reply_bytes = server->max_request_bytes;
	options.max_request_bytes = server->max_reply_bytes;
	options.max_log_bytes = server->max_log_bytes;
	options.stream_window_bytes = server->stream_window_bytes;
	options.max_stream_window_bytes = server->max_stream_window_bytes;
	options.max_unread_bytes = server->max_unread_bytes;
	options.slow_peer = server->slow_peer;
	options.slow_peer_timeout_ms = server->slow_peer_timeout_ms;
	options.slow_peer_bytes = server->slow_peer_bytes;
	return options;
}

static void on_met(struct hawser_call *call, const Rpctest__Payload *reply_or_null, void *data)
{
	(void)reply_or_null;
	(void)data;
	hawser_call_free(call);
}

static void on_wake(evutil_socket_t fd, short what, void *data)
{
	struct reversed *reversed = data;
	uint64_t count;
	bool is_stopping;

	(void)what;
	if (read(fd, &count, sizeof count) < 0)
		return;
	pthread_mutex_lock(&reversed->lock);
	if (reversed->task)
		reversed->task(reversed->client, reversed->task_data);
	reversed->task = NULL;
	pthread_cond_broadcast(&reversed->changed);
	is_stopping = reversed->is_stopping;
	pthread_mutex_unlock(&reversed->lock);
	if (!is_stopping)
		return;
	/* Its handlers must have answered before it goes. */
	for (unsigned i = 0; i < reversed->tester->n_held; i++)
		hawser_call_fail(reversed->tester->held[i], HAWSER_ABORTED, "the test is over");
	hawser_client_free(reversed->client);
	event_base_loopbreak(reversed->base);
}

/* Nothing asserts on this thread; without a client the test waits until its time is over. */
static void *serve(void *data)
{
	struct reversed *reversed = data;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct event *wake = event_new(reversed->base, reversed->wake_fd, EV_READ | EV_PERSIST,
				       on_wake, reversed);

	reversed->options.base = reversed->base;
	reversed->client = hawser_client_new(reversed->address, &reversed->options, NULL);
	if (!wake || event_add(wake, NULL) < 0 || !reversed->client ||
	    rpctest_tester_offer(reversed->client, &tester_handlers, reversed->tester, NULL) < 0 ||
	    !rpctest_tester_echo_async(reversed->client, &request, on_met, NULL, NULL))
		abort();
	event_base_dispatch(reversed->base);
	event_free(wake);
	return NULL;
}

static void start_client(struct reversed *reversed, struct tester *tester)
{
	memset(tester, 0, sizeof *tester);
	pthread_mutex_init(&tester->lock, NULL);
	pthread_cond_init(&tester->changed, NULL);
	tester->reversed = reversed;
	reversed->tester = tester;
	reversed->base = event_base_new();
	ck_assert_ptr_nonnull(reversed->base);
	reversed->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_ge(reversed->wake_fd, 0);
	ck_assert_int_eq(pthread_create(&reversed->client_thread, NULL, serve, reversed), 0);
}

static void wake(struct reversed *reversed)
{
	static const uint64_t one = 1;

	ck_assert_int_eq(write(reversed->wake_fd, &one, sizeof one), sizeof one);
}

void reversed_end_tester(struct tester *tester)
{
	struct reversed *reversed = tester->reversed;

	pthread_mutex_lock(&reversed->lock);
	reversed->is_stopping = true;
	pthread_mutex_unlock(&reversed->lock);
	wake(reversed);
	pthread_join(reversed->client_thread, NULL);
	event_base_free(reversed->base);
	close(reversed->wake_fd);
	pthread_mutex_destroy(&tester->lock);
	pthread_cond_destroy(&tester->changed);
	pthread_mutex_destroy(&reversed->lock);
	pthread_cond_destroy(&reversed->changed);
	free(reversed);
}

void reversed_do(struct reversed *reversed, void (*task)(struct hawser_client *client, void *data),
		 void *data)
{
	pthread_mutex_lock(&reversed->lock);
	reversed->task = task;
	reversed->task_data = data;
	wake(reversed);
	while (reversed->task)
		pthread_cond_wait(&reversed->changed, &reversed->lock);
	pthread_mutex_unlock(&reversed->lock);
}

/* ---- both ---- */

static void greet(struct hawser_client *client, void *data)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;

	rpctest_tester_echo_async(client, &request, on_met, data, NULL);
}

void reversed_meet(struct caller *caller)
{
	struct reversed *reversed = caller->reversed;

	pthread_mutex_lock(&reversed->lock);
	hawser_peer_unref(reversed->peer);
	reversed->peer = NULL;
	pthread_mutex_unlock(&reversed->lock);
	reversed_do(reversed, greet, NULL);
	wait_for_peer(reversed, caller);
}

void reversed_start(struct tester *tester, struct caller *caller, int stamp, struct relay *relay,
		    const struct hawser_server_options *server,
		    const struct hawser_client_options *client)
{
	struct reversed *reversed = calloc(1, sizeof *reversed);
	const char *address;

	ck_assert_ptr_nonnull(reversed);
	pthread_mutex_init(&reversed->lock, NULL);
	pthread_cond_init(&reversed->changed, NULL);
	memset(caller, 0, sizeof *caller);
	caller->reversed = reversed;
	start_server(reversed, caller, stamp, server, client);
	address = hawser_server_address(reversed->server, 0);
	if (relay)
		relay_start(relay, transport_of(stamp), address);
	strcpy(reversed->address, relay ? relay->address : address);
	reversed->options = client_options(server, client);
	start_client(reversed, tester);
	wait_for_peer(reversed, caller);
}

void reversed_get_stats(struct reversed *reversed, struct hawser_server_stats *stats)
{
	/* The client is there since the two have met. */
	struct hawser__serving *serving = &reversed->client->serving;

	hawser_server_get_stats(reversed->server, stats);
	stats->calls = atomic_load(&serving->calls);
	stats->calls_in_flight = atomic_load(&serving->in_flight);
	stats->calls_failed = atomic_load(&serving->failed);
	stats->calls_refused = atomic_load(&serving->refused);
}

struct hawser_server *reversed_server(struct reversed *reversed)
{
	return reversed->server;
}

struct hawser_peer *reversed_peer(struct reversed *reversed)
{
	return reversed->peer;
}
