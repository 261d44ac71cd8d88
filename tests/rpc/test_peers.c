/* Calls from a server to its clients, on the connections that these have opened. */

#include "caller.h"
#include "support/suite.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* A server and a client that serves, on one base: everything on one thread. */
struct both {
	struct event_base *base;
	struct hawser_server *server;
	struct hawser_client *client;
	struct hawser_peer *peer; /* as the server saw it last */
	struct hawser_call *held; /* by either end's handlers */
	char directory[128];
	unsigned n_done, n_served;
	enum hawser_status status;
	char text[HAWSER_ERROR_MESSAGE_SIZE];
	int64_t number;
};

/* The client's. */
static void client_echo(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct both *both = data;
	Rpctest__Payload reply = *request;

	both->n_served++;
	reply.number++;
	rpctest_tester_echo_reply(call, &reply);
}

static void client_hold(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct both *both = data;

	(void)request;
	both->n_served++;
	both->held = call;
}

static const struct rpctest_tester_service client_handlers = {.echo = client_echo,
							      .hold = client_hold};

/* The server's: remembers who called, and for a number below 100 asks its caller first. */
static void on_asked(struct hawser_call *call, const Rpctest__Payload *reply_or_null, void *data)
{
	struct hawser_call *first = data;

	if (reply_or_null)
		rpctest_tester_echo_reply(first, reply_or_null);
	else
		hawser_call_fail(first, hawser_call_error(call)->status, "%s",
				 hawser_call_error(call)->message);
	hawser_call_free(call);
}

static void server_echo(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct both *both = data;

	hawser_peer_unref(both->peer);
	both->peer = hawser_call_from(call);
	if (request->number >= 100) {
		rpctest_tester_echo_reply(call, request);
		return;
	}
	if (!rpctest_tester_echo_async(hawser_peer_client(both->peer), request, on_asked, call,
				       NULL))
		hawser_call_fail(call, HAWSER_INTERNAL, "errno %d", errno);
}

static const struct rpctest_tester_service server_handlers = {.echo = server_echo};

static void on_done(struct hawser_call *call, const Rpctest__Payload *reply_or_null, void *data)
{
	struct both *both = data;

	both->n_done++;
	both->status = hawser_call_error(call)->status;
	snprintf(both->text, sizeof both->text, "%s", hawser_call_error(call)->message);
	if (reply_or_null)
		both->number = reply_or_null->number;
	hawser_call_free(call);
}

static void both_start(struct both *both, int stamp, bool serves)
{
	struct hawser_server_options options = tester_options();
	struct hawser_client_options client = HAWSER_CLIENT_OPTIONS_INIT;
	static const struct hawser_label labels[] = {{"site", "lab-2"}, {"rack", "7"}};
	struct hawser_error error = {.message = ""};
	char address[ADDRESS_SIZE];

	memset(both, 0, sizeof *both);
	both->base = event_base_new();
	options.base = client.base = both->base;
	options.name = "central";
	client.name = "remote-7";
	client.labels = labels;
	client.n_labels = 2;
	client.listens = "tcp:10.0.0.7:7000";
	both->server = hawser_server_new(&options, &error);
	ck_assert_msg(both->server, "%s", error.message);
	directory_make(both->directory, sizeof both->directory);
	address_make(address, transport_of(stamp), both->directory);
	ck_assert_int_eq(rpctest_tester_register(both->server, &server_handlers, both, &error), 0);
	ck_assert_msg(hawser_server_listen(both->server, address, &error) == 0, "%s",
		      error.message);
	both->client = hawser_client_new(hawser_server_address(both->server, 0), &client, &error);
	ck_assert_msg(both->client, "%s", error.message);
	if (serves)
		ck_assert_msg(rpctest_tester_offer(both->client, &client_handlers, both, &error) ==
				      0,
			      "%s", error.message);
}

static void both_stop(struct both *both)
{
	hawser_client_free(both->client);
	hawser_server_free(both->server);
	hawser_peer_unref(both->peer);
	event_base_free(both->base);
	directory_remove(both->directory);
}

/* The client calls the server, which gets to know it so. */
static void meet(struct both *both)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;

	request.number = 100;
	both->n_done = 0;
	ck_assert_ptr_nonnull(
		rpctest_tester_echo_async(both->client, &request, on_done, both, NULL));
	base_run_until(both->base, &both->n_done, 1);
	ck_assert_msg(both->status == HAWSER_OK, "%s", both->text);
	ck_assert_int_eq(both->number, 100);
}

START_TEST(handler_calls_its_caller)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct both both;

	both_start(&both, _i, true);
	request.number = 41;
	rpctest_tester_echo_async(both.client, &request, on_done, &both, NULL);
	base_run_until(both.base, &both.n_done, 1);
	ck_assert_msg(both.status == HAWSER_OK, "%s", both.text);
	ck_assert_int_eq(both.number, 42);
	ck_assert_uint_eq(both.n_served, 1);
	both_stop(&both);
}
END_TEST

START_TEST(server_knows_its_peer)
{
	struct hawser_peer_info info = {.size = sizeof info};
	struct both both;
	char text[64];

	both_start(&both, _i, true);
	meet(&both);
	ck_assert_ptr_nonnull(both.peer);
	hawser_peer_get_info(both.peer, &info);
	ck_assert_str_eq(info.name, "remote-7");
	ck_assert_str_eq(info.listens, "tcp:10.0.0.7:7000");
	ck_assert_int_eq(info.state, HAWSER_PEER_HERE);
	ck_assert(strncmp(info.address,
			  transport_of(_i) == OVER_TCP ? "tcp:127.0.0.1:" : "unix:", 5) == 0);
	ck_assert(hawser_peer_offers(both.peer, "rpctest.Tester"));
	ck_assert(!hawser_peer_offers(both.peer, "rpctest.Other"));
	ck_assert_str_eq(hawser_peer_label(both.peer, "rack", text, sizeof text), "7");
	ck_assert_ptr_null(hawser_peer_label(both.peer, "row", text, sizeof text));
	ck_assert_str_eq(hawser_peer_services(both.peer, text, sizeof text), "rpctest.Tester");
	both_stop(&both);
}
END_TEST

START_TEST(peer_that_is_gone_says_so)
{
	struct hawser_peer_info info = {.size = sizeof info};
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT, *reply = NULL;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct both both;

	both_start(&both, _i, true);
	meet(&both);
	hawser_client_free(both.client);
	both.client = NULL;
	do {
		event_base_loop(both.base, EVLOOP_ONCE);
		hawser_peer_get_info(both.peer, &info);
	} while (info.state != HAWSER_PEER_GONE);
	ck_assert_ptr_null(rpctest_tester_echo_async(hawser_peer_client(both.peer), &request,
						     on_done, &both, NULL));
	ck_assert_int_eq(errno, EPIPE);
	ck_assert_int_eq(
		rpctest_tester_echo(hawser_peer_client(both.peer), &request, &reply, &context),
		HAWSER_FAILED_PRECONDITION);
	hawser_context_clear(&context);
	both_stop(&both);
}
END_TEST

/* ---- what is offered ---- */

START_TEST(service_that_is_not_offered_fails_at_once)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct hawser_error error = {.message = ""};
	struct both both;

	both_start(&both, _i, false);
	meet(&both);
	rpctest_tester_echo_async(hawser_peer_client(both.peer), &request, on_done, &both, NULL);
	base_run_until(both.base, &both.n_done, 2);
	ck_assert_int_eq(both.status, HAWSER_UNIMPLEMENTED);
	ck_assert_str_eq(both.text,
			 "rpctest.Tester/Echo: the peer \"remote-7\" offers no services");
	/* Offered later, and withdrawn again. */
	ck_assert_int_eq(rpctest_tester_offer(both.client, &client_handlers, &both, &error), 0);
	while (!hawser_peer_offers(both.peer, "rpctest.Tester"))
		event_base_loop(both.base, EVLOOP_ONCE);
	rpctest_tester_echo_async(hawser_peer_client(both.peer), &request, on_done, &both, NULL);
	base_run_until(both.base, &both.n_done, 3);
	ck_assert_msg(both.status == HAWSER_OK, "%s", both.text);
	ck_assert_int_eq(hawser_client_remove(both.client, &rpctest_tester_descriptor, &error), 0);
	ck_assert_int_eq(hawser_client_remove(both.client, &rpctest_tester_descriptor, &error),
			 -ENOENT);
	while (hawser_peer_offers(both.peer, "rpctest.Tester"))
		event_base_loop(both.base, EVLOOP_ONCE);
	both_stop(&both);
}
END_TEST

/* ---- a client without a base ---- */

/* The server runs on its own thread, and its handler waits for its caller's answer. */
struct blocking {
	struct hawser_server *server;
	pthread_t thread;
	char directory[128];
	struct hawser_client *client;
	struct hawser_peer *peer;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned n_served;
};

static void deep_client_echo(struct hawser_call *call, const Rpctest__Payload *request, void *data);
static void deep_server_echo(struct hawser_call *call, const Rpctest__Payload *request, void *data);

/* Asks the other end with a number that is less by one, and waits. */
static void ask_deeper(struct hawser_call *call, struct hawser_client *client,
		       const Rpctest__Payload *request)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Rpctest__Payload deeper = *request, *reply = NULL;

	deeper.number--;
	context.parent = call;
	if (rpctest_tester_echo(client, &deeper, &reply, &context) == HAWSER_OK) {
		reply->number++;
		rpctest_tester_echo_reply(call, reply);
		rpctest__payload__free_unpacked(reply, NULL);
	} else {
		hawser_call_fail(call, context.error.status, "%s", context.error.message);
	}
	hawser_context_clear(&context);
}

static void deep_client_echo(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct blocking *blocking = data;

	pthread_mutex_lock(&blocking->lock);
	blocking->n_served++;
	pthread_mutex_unlock(&blocking->lock);
	if (request->number <= 0)
		rpctest_tester_echo_reply(call, request);
	else
		ask_deeper(call, blocking->client, request);
}

static void deep_server_echo(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct blocking *blocking = data;
	struct hawser_peer *peer = hawser_call_from(call);

	pthread_mutex_lock(&blocking->lock);
	hawser_peer_unref(blocking->peer);
	blocking->peer = hawser_peer_ref(peer);
	pthread_cond_signal(&blocking->changed);
	pthread_mutex_unlock(&blocking->lock);
	if (request->number <= 0)
		rpctest_tester_echo_reply(call, request);
	else
		ask_deeper(call, hawser_peer_client(peer), request);
	hawser_peer_unref(peer);
}

static const struct rpctest_tester_service deep_client = {.echo = deep_client_echo};
static const struct rpctest_tester_service deep_server = {.echo = deep_server_echo};

static void *run_server(void *data)
{
	hawser_server_run(data, NULL);
	return NULL;
}

static void blocking_start(struct blocking *blocking, int stamp)
{
	char address[ADDRESS_SIZE];
	struct hawser_server_options server = tester_options();
	struct hawser_client_options client = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_error error = {.message = ""};

	memset(blocking, 0, sizeof *blocking);
	pthread_mutex_init(&blocking->lock, NULL);
	pthread_cond_init(&blocking->changed, NULL);
	server.worker_threads = 32;
	client.worker_threads = 32;
	client.name = "remote-7";
	blocking->server = hawser_server_new(&server, &error);
	ck_assert_msg(blocking->server, "%s", error.message);
	directory_make(blocking->directory, sizeof blocking->directory);
	address_make(address, transport_of(stamp), blocking->directory);
	ck_assert_int_eq(rpctest_tester_register(blocking->server, &deep_server, blocking, &error),
			 0);
	ck_assert_int_eq(hawser_server_set_blocking(blocking->server, "rpctest.Tester", &error), 0);
	ck_assert_int_eq(hawser_server_listen(blocking->server, address, &error), 0);
	ck_assert_int_eq(pthread_create(&blocking->thread, NULL, run_server, blocking->server), 0);
	blocking->client =
		hawser_client_new(hawser_server_address(blocking->server, 0), &client, &error);
	ck_assert_msg(blocking->client, "%s", error.message);
	ck_assert_msg(rpctest_tester_offer(blocking->client, &deep_client, blocking, &error) == 0,
		      "%s", error.message);
}

static void blocking_stop(struct blocking *blocking)
{
	hawser_client_free(blocking->client);
	hawser_peer_unref(blocking->peer);
	hawser_server_stop(blocking->server);
	pthread_join(blocking->thread, NULL);
	hawser_server_free(blocking->server);
	directory_remove(blocking->directory);
	pthread_cond_destroy(&blocking->changed);
	pthread_mutex_destroy(&blocking->lock);
}

START_TEST(both_ends_wait_for_each_other_in_depth)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT, *reply = NULL;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct blocking blocking;

	blocking_start(&blocking, _i);
	for (int depth = 0; depth <= 20; depth += 4) {
		request.number = depth;
		ck_assert_msg(rpctest_tester_echo(blocking.client, &request, &reply, &context) ==
				      HAWSER_OK,
			      "%s", context.error.message);
		ck_assert_int_eq(reply->number, depth);
		rpctest__payload__free_unpacked(reply, NULL);
	}
	hawser_context_clear(&context);
	blocking_stop(&blocking);
}
END_TEST

/* Nobody calls at the client, which is to serve all the same. */
START_TEST(quiet_client_serves)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT, *reply = NULL;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct blocking blocking;

	blocking_start(&blocking, _i);
	ck_assert_int_eq(rpctest_tester_echo(blocking.client, &request, &reply, NULL), HAWSER_OK);
	rpctest__payload__free_unpacked(reply, NULL);
	for (unsigned i = 0; i < 200; i++) {
		request.id = i;
		ck_assert_msg(rpctest_tester_echo(hawser_peer_client(blocking.peer), &request,
						  &reply, &context) == HAWSER_OK,
			      "%s", context.error.message);
		ck_assert_uint_eq(reply->id, i);
		rpctest__payload__free_unpacked(reply, NULL);
	}
	hawser_context_clear(&context);
	ck_assert_uint_eq(blocking.n_served, 200);
	blocking_stop(&blocking);
}
END_TEST

static Suite *suite(void)
{
	Suite *made = suite_create("rpc/peers");
	TCase *tcase = suite_case(made, "calls back");

	tcase_add_loop_test(tcase, handler_calls_its_caller, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, server_knows_its_peer, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, peer_that_is_gone_says_so, 0, TRANSPORTS);
	tcase = suite_case(made, "what is offered");
	tcase_add_loop_test(tcase, service_that_is_not_offered_fails_at_once, 0, TRANSPORTS);
	tcase = suite_case(made, "without a base");
	tcase_add_loop_test(tcase, both_ends_wait_for_each_other_in_depth, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, quiet_client_serves, 0, TRANSPORTS);
	return made;
}

int main(void)
{
	return suite_run(suite());
}
