/* Servers with several loops: a client that comes back is accepted on any of them, and its session
 * goes on on its own. */

#include "relayed.h"
#include "support/random.h"
#include "support/suite.h"
#include <string.h>

enum { LOOPS = 4, CLIENTS = 8, CUTS_EACH = 25 };

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

/* On which thread the handlers of each client ran. */
struct places {
	pthread_mutex_t lock;
	pthread_t threads[CLIENTS];
	bool is_known[CLIENTS];
	unsigned n_elsewhere, n_calls[CLIENTS];
};

static void on_echo(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct places *places = data;
	uint64_t client = request->id % CLIENTS;

	pthread_mutex_lock(&places->lock);
	if (!places->is_known[client])
		places->threads[client] = pthread_self();
	else if (!pthread_equal(places->threads[client], pthread_self()))
		places->n_elsewhere++;
	places->is_known[client] = true;
	places->n_calls[client]++;
	pthread_mutex_unlock(&places->lock);
	rpctest_tester_echo_reply(call, request);
}

static const struct rpctest_tester_service handlers = {.echo = on_echo};

/* A server whose handlers note where they run; the rest is the tester's. */
static void start_places(struct tester *tester, struct places *places, enum transport transport)
{
	struct hawser_server_options options = tester_options();

	memset(places, 0, sizeof *places);
	pthread_mutex_init(&places->lock, NULL);
	memset(tester, 0, sizeof *tester);
	pthread_mutex_init(&tester->lock, NULL);
	pthread_cond_init(&tester->changed, NULL);
	options.loops = LOOPS;
	tester->server = hawser_server_new(&options, &tester->error);
	ck_assert_msg(tester->server, "%s", tester->error.message);
	ck_assert_int_eq(rpctest_tester_register(tester->server, &handlers, places, &tester->error),
			 0);
	if (transport == OVER_UNIX)
		directory_make(tester->directory, sizeof tester->directory);
	address_make(tester->address, transport, tester->directory);
	ck_assert_int_eq(hawser_server_listen(tester->server, tester->address, &tester->error), 0);
	strcpy(tester->address, hawser_server_address(tester->server, 0));
	tester_run(tester);
}

struct busy {
	struct caller caller;
	struct relay relay;
	pthread_t thread;
	unsigned index, n_wrong;
};

static void *call_and_cut(void *data)
{
	struct busy *busy = data;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct result result;

	for (unsigned i = 0; i < CUTS_EACH; i++) {
		/* The place in the bytes differs from client to client. */
		relay_cut_after(&busy->relay, i % 2 ? FROM_CLIENT : FROM_SERVER,
				(busy->index * 7 + i) % 60, (enum relay_cut)(i % CUT_SERVER));
		for (unsigned call = 0; call < 4; call++) {
			request.id = busy->index + CLIENTS * (4 * i + call);
			caller_call(&busy->caller, ECHO, &request, NULL, &result);
			if (result.status != HAWSER_OK || !result.is_echo)
				busy->n_wrong++;
		}
	}
	return NULL;
}

START_TEST(sessions_stay_on_their_loops)
{
	struct busy busy[CLIENTS];
	struct places places;
	struct tester tester;
	struct hawser_client_options options = relayed_options();
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	unsigned n_resumed = 0;
	struct result result;

	start_places(&tester, &places, transport_of(_i));
	memset(busy, 0, sizeof busy);
	for (unsigned i = 0; i < CLIENTS; i++) {
		busy[i].index = i;
		relay_start(&busy[i].relay, transport_of(_i), tester.address);
		caller_init(&busy[i].caller, busy[i].relay.address, is_async(_i), &options);
		request.id = i;
		caller_call(&busy[i].caller, ECHO, &request, NULL, &result);
		assert_ok(&result);
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		ck_assert_int_eq(pthread_create(&busy[i].thread, NULL, call_and_cut, &busy[i]), 0);
	for (unsigned i = 0; i < CLIENTS; i++)
		pthread_join(busy[i].thread, NULL);
	for (unsigned i = 0; i < CLIENTS; i++) {
		ck_assert_uint_eq(busy[i].n_wrong, 0);
		ck_assert_uint_eq(places.n_calls[i], 1 + 4 * CUTS_EACH);
		ck_assert_uint_eq(client_stats(&busy[i].caller).sessions_lost, 0);
		n_resumed += (unsigned)client_stats(&busy[i].caller).sessions_resumed;
	}
	ck_assert_uint_gt(n_resumed, CLIENTS * CUTS_EACH / 2);
	ck_assert_uint_eq(places.n_elsewhere, 0);
	ck_assert_uint_eq(server_stats(&tester).sessions, CLIENTS);
	for (unsigned i = 0; i < CLIENTS; i++) {
		caller_deinit(&busy[i].caller);
		relay_stop(&busy[i].relay);
	}
	tester_stop(&tester);
	pthread_mutex_destroy(&places.lock);
}
END_TEST

/* Calls in flight are answered by any thread while their sessions go from socket to socket. */
START_TEST(deferred_replies_find_their_sessions)
{
	enum { ROUNDS = 40 };
	struct hawser_server_options options = tester_options();
	struct relayed relayed;
	unsigned rounds = (unsigned)suite_rounds(ROUNDS);

	options.loops = LOOPS;
	relayed_start(&relayed, _i, &options, NULL);
	for (unsigned i = 0; i < rounds; i++) {
		struct pending call;

		pending_call(&call, &relayed.caller, HOLD, &empty);
		relayed_held(&relayed, i);
		relay_cut(&relayed.relay, (enum relay_cut)random_below(CUT_SERVER));
		rpctest_tester_hold_reply(tester_held(&relayed.tester, i), &empty);
		pending_wait(&call);
		assert_ok(&call.result);
	}
	ck_assert_uint_eq(server_stats(&relayed.tester).sessions, 1);
	relayed_stop(&relayed);
}
END_TEST

/* Sessions expire on their loops in the very moment in which their clients come back on others. */
START_TEST(sessions_expire_while_their_clients_come_back)
{
	enum { ROUNDS = 60 };
	struct hawser_server_options options = tester_options();
	struct hawser_client_options client = relayed_options();
	struct busy busy[CLIENTS];
	struct tester tester;
	unsigned rounds = (unsigned)suite_rounds(ROUNDS);

	options.loops = LOOPS;
	options.session_window_ms = 1;
	tester_start(&tester, transport_of(_i), &options);
	memset(busy, 0, sizeof busy);
	for (unsigned i = 0; i < CLIENTS; i++) {
		relay_start(&busy[i].relay, transport_of(_i), tester.address);
		caller_init(&busy[i].caller, busy[i].relay.address, true, &client);
		caller_echo(&busy[i].caller);
	}
	for (unsigned round = 0; round < rounds; round++) {
		struct async calls[CLIENTS];

		memset(calls, 0, sizeof calls);
		for (unsigned i = 0; i < CLIENTS; i++) {
			relay_cut(&busy[i].relay, CUT_ORDERLY);
			async_open(&calls[i], &busy[i].caller, ECHO, &empty, NULL);
		}
		for (unsigned i = 0; i < CLIENTS; i++) {
			async_wait(&calls[i], &busy[i].caller);
			/* It may have been sent to the connection that was cut. */
			if (calls[i].result.status != HAWSER_OK)
				assert_failed(&calls[i].result, HAWSER_UNAVAILABLE,
					      HAWSER_OUTCOME_UNKNOWN, "session expired");
		}
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		turn_until(&busy[i].caller, client_stats(&busy[i].caller).is_connected);
		caller_echo(&busy[i].caller);
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		caller_deinit(&busy[i].caller);
		relay_stop(&busy[i].relay);
	}
	tester_stop(&tester);
}
END_TEST

/* Those that are away are given up from whichever loop notices that there are too many, while their
 * clients come back. */
START_TEST(sessions_are_given_up_while_their_clients_come_back)
{
	enum { ROUNDS = 40 };
	struct hawser_server_options options = tester_options();
	struct hawser_client_options client = relayed_options();
	unsigned rounds = (unsigned)suite_rounds(ROUNDS);
	struct caller callers[CLIENTS];
	struct tester tester;
	struct relay relay;

	options.loops = LOOPS;
	options.max_sessions = CLIENTS / 2;
	tester_start(&tester, transport_of(_i), &options);
	relay_start(&relay, transport_of(_i), tester.address);
	for (unsigned i = 0; i < CLIENTS; i++) {
		caller_init(&callers[i], relay.address, true, &client);
		caller_echo(&callers[i]);
	}
	for (unsigned round = 0; round < rounds; round++) {
		struct async calls[CLIENTS];

		memset(calls, 0, sizeof calls);
		relay_cut(&relay, (enum relay_cut)random_below(CUT_SERVER));
		for (unsigned i = 0; i < CLIENTS; i++)
			async_open(&calls[i], &callers[i], ECHO, &empty, NULL);
		for (unsigned i = 0; i < CLIENTS; i++) {
			async_wait(&calls[i], &callers[i]);
			if (calls[i].result.status != HAWSER_OK)
				assert_failed(&calls[i].result, HAWSER_UNAVAILABLE,
					      HAWSER_OUTCOME_UNKNOWN, "session expired");
		}
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		turn_until(&callers[i], client_stats(&callers[i]).is_connected);
		caller_echo(&callers[i]);
	}
	turn_until(&callers[0], server_stats(&tester).sessions_away == 0);
	ck_assert_uint_gt(server_stats(&tester).sessions_evicted, 0);
	ck_assert_uint_eq(server_stats(&tester).sessions, CLIENTS);
	for (unsigned i = 0; i < CLIENTS; i++)
		caller_deinit(&callers[i]);
	relay_stop(&relay);
	tester_stop(&tester);
}
END_TEST

/* It ends although sessions go from loop to loop. */
START_TEST(server_drains_while_clients_come_back)
{
	enum { ROUNDS = 10 };
	unsigned rounds = (unsigned)suite_rounds(ROUNDS);

	for (unsigned round = 0; round < rounds; round++) {
		struct hawser_server_options options = tester_options();
		struct hawser_client_options client = relayed_options();
		struct caller callers[CLIENTS];
		struct tester tester;
		struct relay relay;
		int result;

		options.loops = LOOPS;
		options.drain_timeout_ms = 60000;
		tester_start(&tester, transport_of(_i), &options);
		relay_start(&relay, transport_of(_i), tester.address);
		for (unsigned i = 0; i < CLIENTS; i++) {
			caller_init(&callers[i], relay.address, false, &client);
			caller_echo(&callers[i]);
		}
		relay_cut(&relay, CUT_RESET);
		relay_wait_attempts(&relay, CLIENTS + 1 + round % CLIENTS);
		hawser_server_drain(tester.server);
		/* Long before the drain's own time is over. */
		result = tester_join(&tester);
		ck_assert_int_eq(result, 0);
		for (unsigned i = 0; i < CLIENTS; i++)
			caller_deinit(&callers[i]);
		relay_stop(&relay);
		tester_stop(&tester);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/sessions/loops");
	TCase *tcase = suite_case(suite, "loops");

	tcase_add_loop_test(tcase, sessions_stay_on_their_loops, 0, STAMPS);
	tcase_add_loop_test(tcase, deferred_replies_find_their_sessions, 0, STAMPS);
	tcase_add_loop_test(tcase, sessions_expire_while_their_clients_come_back, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, sessions_are_given_up_while_their_clients_come_back, 0,
			    TRANSPORTS);
	tcase_add_loop_test(tcase, server_drains_while_clients_come_back, 0, TRANSPORTS);
	return suite_run(suite);
}
