/* Calls from a server to its clients, on the connections that these have opened. */

#include "both.h"
#include "support/suite.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* ---- handlers that ask back ---- */

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

/* Of either end: for a number below 100 it asks its caller, and gives what that says. */
static void ask_back(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct side *side = data;
	struct hawser_peer *peer = hawser_call_from(call);
	Rpctest__Payload other = *request;

	side->n_served++;
	other.number += 100;
	if (request->number >= 100)
		rpctest_tester_echo_reply(call, request);
	else if (!rpctest_tester_echo_async(hawser_peer_client(peer), &other, on_asked, call, NULL))
		hawser_call_fail(call, HAWSER_INTERNAL, "errno %d", errno);
	/* The call keeps it as long as it needs it. */
	if (side == &side->both->at_server && !side->both->peer)
		side->both->peer = peer;
	else
		hawser_peer_unref(peer);
}

static const struct rpctest_tester_service askers = {.echo = ask_back};

START_TEST(handler_calls_its_caller)
{
	struct both_setup setup = {.of_server = &askers, .of_client = &askers};
	struct both both;

	both_start(&both, _i, &setup);
	both_call_and_wait(&both, both.client, ECHO, 41, NULL);
	both_assert_ok(&both);
	ck_assert_int_eq(both.number, 141);
	ck_assert_uint_eq(both.at_client.n_served, 1);
	/* So does the client's. */
	both_call_and_wait(&both, hawser_peer_client(both.peer), ECHO, 42, NULL);
	both_assert_ok(&both);
	ck_assert_int_eq(both.number, 142);
	ck_assert_uint_eq(both.at_server.n_served, 2);
	ck_assert_uint_eq(both.at_client.n_served, 2);
	both_stop(&both);
}
END_TEST

/* ---- who it is ---- */

START_TEST(server_knows_its_peer)
{
	struct hawser_peer_info info = {.size = sizeof info};
	struct hawser_peer *peer;
	struct both both;
	char text[64];

	both_start(&both, _i, NULL);
	peer = both_meet(&both);
	hawser_peer_get_info(peer, &info);
	ck_assert_str_eq(info.name, "remote-7");
	ck_assert_str_eq(info.listens, "tcp:10.0.0.7:7000");
	ck_assert_int_eq(info.state, HAWSER_PEER_HERE);
	ck_assert(strncmp(info.address,
			  transport_of(_i) == OVER_TCP ? "tcp:127.0.0.1:" : "unix:", 5) == 0);
	ck_assert_uint_lt(info.age_ms, 60000);
	ck_assert_uint_le(info.quiet_ms, info.age_ms);
	ck_assert(hawser_peer_offers(peer, "rpctest.Tester"));
	ck_assert(!hawser_peer_offers(peer, "rpctest.Teste"));
	ck_assert(!hawser_peer_offers(peer, "rpctest.Tester2"));
	ck_assert(!hawser_peer_offers(peer, ""));
	ck_assert_str_eq(hawser_peer_label(peer, "rack", text, sizeof text), "7");
	ck_assert_ptr_null(hawser_peer_label(peer, "row", text, sizeof text));
	ck_assert_str_eq(hawser_peer_labels(peer, text, sizeof text), "site=lab-2, rack=7");
	ck_assert_str_eq(hawser_peer_services(peer, text, sizeof text), "rpctest.Tester");
	/* Cut. */
	ck_assert_str_eq(hawser_peer_label(peer, "site", text, 4), "lab");
	ck_assert_str_eq(hawser_peer_labels(peer, text, 7), "site=l");
	ck_assert_str_eq(hawser_peer_services(peer, text, 3), "rp");
	both_stop(&both);
}
END_TEST

START_TEST(client_knows_its_server)
{
	static const struct hawser_label labels[] = {{"role", "central"}};
	struct hawser_server_options options = tester_options();
	struct both_setup setup = {.server = &options};
	struct hawser_peer_info info = {.size = sizeof info};
	struct hawser_peer *server, *same;
	struct both both;
	char text[64];

	options.name = "the centre";
	options.labels = labels;
	options.n_labels = 1;
	both_start(&both, _i, &setup);
	ck_assert_ptr_null(hawser_client_peer(both.client));
	both_meet(&both);
	server = hawser_client_peer(both.client);
	ck_assert_ptr_nonnull(server);
	ck_assert_ptr_eq(hawser_peer_client(server), both.client);
	hawser_peer_get_info(server, &info);
	ck_assert_str_eq(info.name, "the centre");
	ck_assert_str_eq(info.listens, "");
	ck_assert_int_eq(info.state, HAWSER_PEER_HERE);
	ck_assert_str_eq(info.address, hawser_server_address(both.server, 0));
	ck_assert(hawser_peer_offers(server, "rpctest.Tester"));
	ck_assert_str_eq(hawser_peer_label(server, "role", text, sizeof text), "central");
	same = hawser_client_peer(both.client);
	ck_assert_ptr_eq(same, server);
	hawser_peer_unref(same);
	/* It may be held for longer than there is a client. */
	both_free_client(&both);
	hawser_peer_get_info(server, &info);
	ck_assert_int_eq(info.state, HAWSER_PEER_GONE);
	ck_assert_str_eq(info.name, "the centre");
	hawser_peer_unref(server);
	both_stop(&both);
}
END_TEST

static uint64_t rtt_us(struct hawser_peer *peer)
{
	struct hawser_peer_info info = {.size = sizeof info};

	hawser_peer_get_info(peer, &info);
	return info.rtt_us;
}

START_TEST(round_trip_is_measured_at_both_ends)
{
	enum { DELAY_MS = 20 };
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct both_setup setup = {.client = &options, .is_relayed = true};
	struct hawser_peer *server;
	uint64_t first, second;
	struct both both;

	options.heartbeat_ms = 20;
	options.silence_timeout_ms = 60000;
	both_start(&both, _i, &setup);
	both_meet(&both);
	server = hawser_client_peer(both.client);
	/* Once when they have met. */
	both_until(&both, rtt_us(both.peer) && rtt_us(server));
	first = rtt_us(both.peer);
	second = rtt_us(server);
	ck_assert_uint_lt(first, 60000000);
	ck_assert_uint_lt(second, 60000000);
	/* And again with each heartbeat: when it changes, it is told. */
	relay_set_delay(&both.relay, DELAY_MS);
	both_until(&both, rtt_us(both.peer) >= 2 * DELAY_MS * 1000 &&
				  rtt_us(server) >= 2 * DELAY_MS * 1000);
	hawser_peer_unref(server);
	both_stop(&both);
}
END_TEST

START_TEST(quiet_is_how_long_nothing_was_heard)
{
	struct hawser_peer_info before = {.size = sizeof before}, info = {.size = sizeof info};
	struct both both;

	both_start(&both, _i, NULL);
	both_meet(&both);
	hawser_peer_get_info(both.peer, &before);
	do {
		hawser_peer_get_info(both.peer, &info);
	} while (info.age_ms < before.age_ms + 20);
	ck_assert_uint_ge(info.quiet_ms, 20);
	both_call_and_wait(&both, hawser_peer_client(both.peer), ECHO, 1, NULL);
	both_assert_ok(&both);
	hawser_peer_get_info(both.peer, &before);
	ck_assert_uint_lt(before.quiet_ms, info.quiet_ms);
	both_stop(&both);
}
END_TEST

START_TEST(who_says_nothing_of_itself_is_no_peer)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_client *client;
	struct both both;

	both_start(&both, _i, NULL);
	/* No labels, no address, nothing offered. */
	options.base = both.base;
	client = hawser_client_new(hawser_server_address(both.server, 0), &options, NULL);
	both_call_and_wait(&both, client, ECHO, 1, NULL);
	both_assert_ok(&both);
	ck_assert_ptr_null(both.peer);
	hawser_client_free(client);
	both_stop(&both);
}
END_TEST

/* ---- gone ---- */

START_TEST(peer_that_is_gone_says_so)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT, *reply = NULL;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct hawser_client *client;
	struct both both;
	char text[64];

	both_start(&both, _i, NULL);
	client = hawser_peer_client(both_meet(&both));
	both_free_client(&both);
	both_until(&both, peer_state(both.peer) == HAWSER_PEER_GONE);
	errno = 0;
	ck_assert_ptr_null(rpctest_tester_echo_async(client, &request, both_on_done, &both, NULL));
	ck_assert_int_eq(errno, EPIPE);
	ck_assert_int_eq(rpctest_tester_echo(client, &request, &reply, &context),
			 HAWSER_FAILED_PRECONDITION);
	hawser_context_clear(&context);
	/* What was known of it still is. */
	ck_assert_str_eq(hawser_peer_label(both.peer, "site", text, sizeof text), "lab-2");
	ck_assert(hawser_peer_offers(both.peer, "rpctest.Tester"));
	both_stop(&both);
}
END_TEST

START_TEST(calls_end_when_their_peer_goes)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct hawser_client *client;
	struct both both;

	both_start(&both, _i, NULL);
	client = hawser_peer_client(both_meet(&both));
	context.timeout_ms = HAWSER_NO_DEADLINE;
	both_call(&both, client, HOLD, 0, &context);
	both_until(&both, both.at_client.n_held == 1);
	both.n_done = 0;
	both_free_client(&both);
	both_until(&both, both.n_done == 1);
	/* Its handler answered in the last moment, or it did not. */
	if (both.status != HAWSER_ABORTED)
		both_assert_failed(&both, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "closed");
	both_stop(&both);
}
END_TEST

/* ---- what is offered ---- */

START_TEST(service_that_is_not_offered_fails_at_once)
{
	struct both_setup setup = {.offers_nothing = true};
	struct hawser_error error = {.message = ""};
	struct hawser_client *client;
	struct both both;

	both_start(&both, _i, &setup);
	client = hawser_peer_client(both_meet(&both));
	both_call_and_wait(&both, client, ECHO, 1, NULL);
	both_assert_failed(&both, HAWSER_UNIMPLEMENTED, HAWSER_OUTCOME_NOT_SENT,
			   "rpctest.Tester/Echo: the peer \"remote-7\" offers no services");
	/* Offered later, and withdrawn again. */
	ck_assert_int_eq(
		rpctest_tester_offer(both.client, &both_at_client, &both.at_client, &error), 0);
	both_until(&both, hawser_peer_offers(both.peer, "rpctest.Tester"));
	both_call_and_wait(&both, client, ECHO, 1, NULL);
	both_assert_ok(&both);
	ck_assert_int_eq(hawser_client_remove(both.client, &rpctest_tester_descriptor, &error), 0);
	ck_assert_int_eq(hawser_client_remove(both.client, &rpctest_tester_descriptor, &error),
			 -ENOENT);
	ck_assert_str_eq(error.message, "withdraw rpctest.Tester: the client does not offer it");
	both_until(&both, !hawser_peer_offers(both.peer, "rpctest.Tester"));
	both_call_and_wait(&both, client, ECHO, 1, NULL);
	both_assert_failed(&both, HAWSER_UNIMPLEMENTED, HAWSER_OUTCOME_NOT_SENT, "no services");
	both_stop(&both);
}
END_TEST

START_TEST(text_tells_what_is_offered_instead)
{
	static const struct rpctest_second_service second = {.echo = NULL};
	struct both_setup setup = {.offers_nothing = true};
	struct hawser_client *client;
	struct both both;

	both_start(&both, _i, &setup);
	ck_assert_int_eq(rpctest_second_offer(both.client, &second, NULL, NULL), 0);
	client = hawser_peer_client(both_meet(&both));
	both_call_and_wait(&both, client, ECHO, 1, NULL);
	both_assert_failed(&both, HAWSER_UNIMPLEMENTED, HAWSER_OUTCOME_NOT_SENT,
			   "does not offer rpctest.Tester; it offers rpctest.Second");
	both_stop(&both);
}
END_TEST

/* It goes on, though its service is not offered any more. */
START_TEST(call_outlives_its_service)
{
	Rpctest__Payload reply = RPCTEST__PAYLOAD__INIT;
	struct hawser_client *client;
	struct both both;

	both_start(&both, _i, NULL);
	client = hawser_peer_client(both_meet(&both));
	both_call(&both, client, HOLD, 0, NULL);
	both_until(&both, both.at_client.n_held == 1);
	ck_assert_int_eq(hawser_client_remove(both.client, &rpctest_tester_descriptor, NULL), 0);
	both_until(&both, !hawser_peer_offers(both.peer, "rpctest.Tester"));
	both.n_done = 0;
	reply.number = 8;
	ck_assert_int_eq(rpctest_tester_hold_reply(both.at_client.held[0], &reply), 0);
	both.at_client.n_held = 0;
	both_until(&both, both.n_done == 1);
	both_assert_ok(&both);
	ck_assert_int_eq(both.number, 8);
	both_stop(&both);
}
END_TEST

/* A method that its handlers leave out. */
START_TEST(method_without_a_handler_is_not_executed)
{
	struct hawser_client *client;
	struct both both;

	both_start(&both, _i, NULL);
	client = hawser_peer_client(both_meet(&both));
	both_call_and_wait(&both, client, MISSING, 1, NULL);
	both_assert_failed(&both, HAWSER_UNIMPLEMENTED, HAWSER_OUTCOME_NOT_EXECUTED, "Missing");
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
	struct hawser_hub *hub; /* NULL: none */
	unsigned n_served, n_joined, n_gone;
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

static void dropped(struct hawser_peer *peer, void *data);

/* With `on_joined` the server has a hub that tells it. */
static void blocking_start(struct blocking *blocking, int stamp, hawser_hub_fn *on_joined)
{
	struct hawser_hub_options hub = HAWSER_HUB_OPTIONS_INIT;
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
	hub.on_joined = on_joined;
	hub.on_gone = dropped;
	hub.data = blocking;
	if (on_joined)
		blocking->hub = hawser_hub_new(blocking->server, &hub, &error);
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

	blocking_start(&blocking, _i, NULL);
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

	blocking_start(&blocking, _i, NULL);
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

/* Its own handlers are done; it only has to stay away. */
static void drop(struct hawser_peer *peer, void *data)
{
	struct blocking *blocking = data;

	pthread_mutex_lock(&blocking->lock);
	blocking->n_joined++;
	pthread_cond_signal(&blocking->changed);
	pthread_mutex_unlock(&blocking->lock);
	hawser_hub_close(blocking->hub, peer, "not wanted");
}

static void dropped(struct hawser_peer *peer, void *data)
{
	struct blocking *blocking = data;

	(void)peer;
	pthread_mutex_lock(&blocking->lock);
	blocking->n_gone++;
	pthread_cond_signal(&blocking->changed);
	pthread_mutex_unlock(&blocking->lock);
}

/* Others come and go, and the server has time for whoever is there. */
static void look_around(struct blocking *blocking)
{
	for (unsigned i = 0; i < 20; i++) {
		struct hawser_client *client =
			hawser_client_new(hawser_server_address(blocking->server, 0), NULL, NULL);

		ck_assert_int_eq(hawser_client_ping(client, NULL, NULL), 0);
		hawser_client_free(client);
	}
}

START_TEST(client_that_is_not_wanted_comes_back_only_to_call)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT, *reply = NULL;
	struct blocking blocking;

	blocking_start(&blocking, _i, drop);
	for (unsigned round = 1; round <= 2; round++) {
		/* The call may be cut off by that. */
		if (rpctest_tester_echo(blocking.client, &request, &reply, NULL) == HAWSER_OK)
			rpctest__payload__free_unpacked(reply, NULL);
		pthread_mutex_lock(&blocking.lock);
		while (blocking.n_gone < round)
			pthread_cond_wait(&blocking.changed, &blocking.lock);
		pthread_mutex_unlock(&blocking.lock);
		/* If it came by itself, it would do so at once. */
		look_around(&blocking);
		pthread_mutex_lock(&blocking.lock);
		ck_assert_uint_eq(blocking.n_joined, round);
		pthread_mutex_unlock(&blocking.lock);
	}
	blocking_stop(&blocking);
}
END_TEST

static Suite *suite(void)
{
	Suite *made = suite_create("rpc/peers");
	TCase *tcase = suite_case(made, "calls back");

	tcase_add_loop_test(tcase, handler_calls_its_caller, 0, TRANSPORTS);
	tcase = suite_case(made, "who it is");
	tcase_add_loop_test(tcase, server_knows_its_peer, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, client_knows_its_server, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, round_trip_is_measured_at_both_ends, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, quiet_is_how_long_nothing_was_heard, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, who_says_nothing_of_itself_is_no_peer, 0, TRANSPORTS);
	tcase = suite_case(made, "gone");
	tcase_add_loop_test(tcase, peer_that_is_gone_says_so, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, calls_end_when_their_peer_goes, 0, TRANSPORTS);
	tcase = suite_case(made, "what is offered");
	tcase_add_loop_test(tcase, service_that_is_not_offered_fails_at_once, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, text_tells_what_is_offered_instead, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, call_outlives_its_service, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, method_without_a_handler_is_not_executed, 0, TRANSPORTS);
	tcase = suite_case(made, "without a base");
	tcase_add_loop_test(tcase, both_ends_wait_for_each_other_in_depth, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, quiet_client_serves, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, client_that_is_not_wanted_comes_back_only_to_call, 0,
			    TRANSPORTS);
	return made;
}

int main(void)
{
	return suite_run(suite());
}
