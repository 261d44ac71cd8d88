/* What sessions may take: logs and sessions have bounds, the longest disconnected go first, and
 * what was acknowledged is kept no longer. */

#include "relayed.h"
#include "support/suite.h"
#include <stdlib.h>
#include <string.h>

enum { KIBIBYTE = 1024, MEBIBYTE = 1 << 20 };

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

static void part(struct relayed *relayed)
{
	relay_set_door(&relayed->relay, DOOR_SHUT);
	relay_cut(&relayed->relay, CUT_ORDERLY);
	turn_until(&relayed->caller, !client_stats(&relayed->caller).is_connected);
}

/* ---- the client's log ---- */

START_TEST(full_log_refuses_calls_on_a_base)
{
	enum { CALLS = 40 };
	struct hawser_client_options options = relayed_options();
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct pending calls[CALLS];
	unsigned n_ok = 0, n_refused = 0;
	struct relayed relayed;

	request.data.len = 64 * KIBIBYTE;
	request.data.data = calloc(1, request.data.len);
	options.max_log_bytes = MEBIBYTE;
	relayed_start(&relayed, _i, NULL, &options);
	caller_echo(&relayed.caller);
	part(&relayed);
	for (unsigned i = 0; i < CALLS; i++)
		pending_call(&calls[i], &relayed.caller, ECHO, &request);
	ck_assert_uint_gt(client_stats(&relayed.caller).log_bytes, MEBIBYTE);
	ck_assert_uint_lt(client_stats(&relayed.caller).log_bytes, MEBIBYTE + 2 * request.data.len);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	for (unsigned i = 0; i < CALLS; i++) {
		pending_wait(&calls[i]);
		n_ok += calls[i].result.status == HAWSER_OK;
		if (calls[i].result.status == HAWSER_OK)
			continue;
		n_refused++;
		assert_failed(&calls[i].result, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_NOT_SENT,
			      "the limit is 1048576");
	}
	ck_assert_uint_ge(n_ok, 16);
	ck_assert_uint_gt(n_refused, 0);
	ck_assert_uint_eq(tester_executed(&relayed.tester), 1 + n_ok);
	free(request.data.data);
	relayed_stop(&relayed);
}
END_TEST

START_TEST(full_log_makes_blocking_calls_wait)
{
	enum { CALLS = 40 };
	struct hawser_client_options options = relayed_options();
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct pending calls[CALLS], late;
	struct relayed relayed;

	request.data.len = 64 * KIBIBYTE;
	request.data.data = calloc(1, request.data.len);
	options.max_log_bytes = MEBIBYTE;
	relayed_start(&relayed, _i, NULL, &options);
	caller_echo(&relayed.caller);
	part(&relayed);
	for (unsigned i = 0; i < CALLS; i++)
		pending_call(&calls[i], &relayed.caller, ECHO, &request);
	turn_until(&relayed.caller, client_stats(&relayed.caller).log_bytes > MEBIBYTE);
	/* One whose time is over before there is room was not even sent. */
	pending_init(&late, &relayed.caller, ECHO, &request);
	late.context.timeout_ms = patient_ms(20);
	pending_start(&late);
	pending_wait(&late);
	assert_failed(&late.result, HAWSER_DEADLINE_EXCEEDED, HAWSER_OUTCOME_NOT_SENT, "deadline");
	ck_assert_uint_lt(client_stats(&relayed.caller).log_bytes, MEBIBYTE + 2 * request.data.len);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	for (unsigned i = 0; i < CALLS; i++) {
		pending_wait(&calls[i]);
		assert_ok(&calls[i].result);
		ck_assert(calls[i].result.is_echo);
	}
	ck_assert_uint_eq(tester_executed(&relayed.tester), 1 + CALLS);
	free(request.data.data);
	relayed_stop(&relayed);
}
END_TEST

/* ---- the server's sessions ---- */

enum { CLIENTS = 6 };

/* Clients that went away one after the other, each through a relay of its own. */
struct crowd {
	struct tester tester;
	struct relay relays[CLIENTS];
	struct caller callers[CLIENTS];
	unsigned n;
};

static void crowd_start(struct crowd *crowd, int stamp, unsigned n,
			const struct hawser_server_options *options)
{
	struct hawser_client_options quick = relayed_options();

	crowd->n = n;
	tester_start(&crowd->tester, transport_of(stamp), options);
	for (unsigned i = 0; i < n; i++) {
		relay_start(&crowd->relays[i], transport_of(stamp), crowd->tester.address);
		caller_init(&crowd->callers[i], crowd->relays[i].address, true, &quick);
		caller_echo(&crowd->callers[i]);
	}
}

static void crowd_leave(struct crowd *crowd, unsigned i)
{
	uint64_t connections = server_stats(&crowd->tester).connections;

	relay_set_door(&crowd->relays[i], DOOR_SHUT);
	relay_cut(&crowd->relays[i], CUT_ORDERLY);
	turn_until(&crowd->callers[i], server_stats(&crowd->tester).connections == connections - 1);
	turn_until(&crowd->callers[i], !client_stats(&crowd->callers[i]).is_connected);
}

/* Whether it could go on. */
static bool crowd_return(struct crowd *crowd, unsigned i)
{
	relay_set_door(&crowd->relays[i], DOOR_OPEN);
	caller_echo(&crowd->callers[i]);
	return client_stats(&crowd->callers[i]).sessions_lost == 0;
}

static void crowd_stop(struct crowd *crowd)
{
	for (unsigned i = 0; i < crowd->n; i++) {
		caller_deinit(&crowd->callers[i]);
		relay_stop(&crowd->relays[i]);
	}
	tester_stop(&crowd->tester);
}

/* New clients are let in at the cost of those that have been away for the longest time. */
START_TEST(too_many_sessions_cost_the_longest_away)
{
	struct hawser_server_options options = tester_options();
	struct crowd crowd;
	struct caller more[2];

	options.max_sessions = CLIENTS;
	crowd_start(&crowd, _i, CLIENTS, &options);
	for (unsigned i = 0; i < 3; i++)
		crowd_leave(&crowd, i);
	ck_assert_uint_eq(server_stats(&crowd.tester).sessions, CLIENTS);
	ck_assert_uint_eq(server_stats(&crowd.tester).sessions_away, 3);
	ck_assert_uint_eq(server_stats(&crowd.tester).sessions_evicted, 0);
	for (unsigned i = 0; i < 2; i++) {
		caller_init(&more[i], crowd.tester.address, false, NULL);
		caller_echo(&more[i]);
	}
	turn_until(&crowd.callers[0], server_stats(&crowd.tester).sessions_evicted == 2);
	ck_assert_uint_eq(server_stats(&crowd.tester).sessions, CLIENTS);
	ck_assert_uint_eq(server_stats(&crowd.tester).sessions_away, 1);
	ck_assert(crowd_return(&crowd, 2));
	ck_assert(!crowd_return(&crowd, 1));
	ck_assert(!crowd_return(&crowd, 0));
	for (unsigned i = 0; i < 2; i++)
		caller_deinit(&more[i]);
	crowd_stop(&crowd);
}
END_TEST

/* Connected ones stay, however many; when they go away together, only as many as are too many end.
 */
START_TEST(no_more_sessions_are_given_up_than_need_be)
{
	enum { MOST = 2 };
	struct hawser_server_options options = tester_options();
	unsigned n_resumed = 0;
	struct crowd crowd;

	options.max_sessions = MOST;
	crowd_start(&crowd, _i, CLIENTS, &options);
	ck_assert_uint_eq(server_stats(&crowd.tester).sessions, CLIENTS);
	for (unsigned i = 0; i < CLIENTS; i++)
		relay_set_door(&crowd.relays[i], DOOR_SHUT);
	for (unsigned i = 0; i < CLIENTS; i++)
		relay_cut(&crowd.relays[i], CUT_ORDERLY);
	turn_until(&crowd.callers[0], server_stats(&crowd.tester).connections == 0);
	turn_until(&crowd.callers[0], server_stats(&crowd.tester).sessions <= MOST);
	ck_assert_uint_eq(server_stats(&crowd.tester).sessions, MOST);
	ck_assert_uint_eq(server_stats(&crowd.tester).sessions_evicted, CLIENTS - MOST);
	for (unsigned i = CLIENTS; i-- > CLIENTS - MOST;)
		n_resumed += crowd_return(&crowd, i);
	ck_assert_uint_eq(n_resumed, MOST);
	crowd_stop(&crowd);
}
END_TEST

/* Many that leave in the same instant: their server's loop hears of all at once. */
START_TEST(sessions_that_leave_at_once_are_counted_once)
{
	enum { MANY = 40, MOST = 30 };
	struct hawser_server_options options = tester_options();
	struct caller callers[MANY], last;
	struct tester tester;
	struct relay relay;

	options.max_sessions = MOST;
	options.session_window_ms = 60000;
	tester_start(&tester, transport_of(_i), &options);
	relay_start(&relay, transport_of(_i), tester.address);
	for (unsigned i = 0; i < MANY; i++) {
		caller_init(&callers[i], relay.address, true, NULL);
		caller_echo(&callers[i]);
	}
	relay_set_door(&relay, DOOR_SHUT);
	relay_cut(&relay, CUT_ORDERLY);
	turn_until(&callers[0], server_stats(&tester).connections == 0);
	turn_until(&callers[0], server_stats(&tester).sessions <= MOST);
	/* Whatever else was to be given up is by the time that another connection is served. */
	caller_init(&last, tester.address, false, NULL);
	caller_echo(&last);
	turn_until(&last, server_stats(&tester).sessions_evicted >= MANY - MOST + 1);
	caller_echo(&last);
	ck_assert_uint_eq(server_stats(&tester).sessions, MOST);
	ck_assert_uint_eq(server_stats(&tester).sessions_evicted, MANY - MOST + 1);
	caller_deinit(&last);
	for (unsigned i = 0; i < MANY; i++)
		caller_deinit(&callers[i]);
	relay_stop(&relay);
	tester_stop(&tester);
}
END_TEST

/* Replies that wait for clients that are away. */
START_TEST(too_much_in_logs_costs_the_longest_away)
{
	struct hawser_server_options options = tester_options();
	Rpctest__Payload reply = RPCTEST__PAYLOAD__INIT;
	struct pending calls[CLIENTS];
	struct crowd crowd;

	reply.data.len = MEBIBYTE;
	reply.data.data = calloc(1, reply.data.len);
	options.max_total_log_bytes = 4 * MEBIBYTE + MEBIBYTE / 2;
	crowd_start(&crowd, _i, CLIENTS, &options);
	for (unsigned i = 0; i < CLIENTS; i++) {
		pending_call(&calls[i], &crowd.callers[i], HOLD, &empty);
		while (server_stats(&crowd.tester).calls_in_flight <= i)
			caller_turn(&crowd.callers[i]);
		crowd_leave(&crowd, i);
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		rpctest_tester_hold_reply(tester_held(&crowd.tester, i), &reply);
	turn_until(&crowd.callers[0], server_stats(&crowd.tester).calls_in_flight == 0);
	turn_until(&crowd.callers[0], server_stats(&crowd.tester).sessions_evicted >= 2);
	turn_until(&crowd.callers[0],
		   server_stats(&crowd.tester).log_bytes <= options.max_total_log_bytes);
	for (unsigned i = 0; i < CLIENTS; i++) {
		relay_set_door(&crowd.relays[i], DOOR_OPEN);
		pending_wait(&calls[i]);
		if (i < 2) {
			assert_failed(&calls[i].result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN,
				      "session expired");
		} else {
			assert_ok(&calls[i].result);
			ck_assert_uint_eq(calls[i].result.data_length, MEBIBYTE);
		}
	}
	ck_assert_uint_eq(server_stats(&crowd.tester).sessions_evicted, 2);
	free(reply.data.data);
	crowd_stop(&crowd);
}
END_TEST

/* ---- acknowledgements ---- */

/* Everything that either end keeps for the other is gone soon after the last call. */
START_TEST(logs_are_empty_soon_after_the_last_call)
{
	static const unsigned counts[] = {1, 15, 16, 17, 100};
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct relayed relayed;
	struct result result;

	request.data.len = 3000;
	request.data.data = calloc(1, request.data.len);
	relayed_start(&relayed, _i, NULL, NULL);
	for (size_t round = 0; round < sizeof counts / sizeof *counts; round++) {
		for (unsigned i = 0; i < counts[round]; i++) {
			caller_call(&relayed.caller, ECHO, &request, NULL, &result);
			assert_ok(&result);
		}
		turn_until(&relayed.caller, client_stats(&relayed.caller).log_bytes == 0 &&
						    server_stats(&relayed.tester).log_bytes == 0);
		ck_assert_uint_eq(client_stats(&relayed.caller).calls_in_flight, 0);
	}
	free(request.data.data);
	relayed_stop(&relayed);
}
END_TEST

/* Also while a call is in flight for long, and after a resume. */
START_TEST(logs_are_empty_while_a_call_waits)
{
	struct pending held;
	struct relayed relayed;

	relayed_start(&relayed, _i, NULL, NULL);
	pending_call(&held, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	for (unsigned i = 0; i < 3; i++) {
		for (int call = 0; call < 5; call++)
			caller_echo(&relayed.caller);
		turn_until(&relayed.caller, client_stats(&relayed.caller).log_bytes == 0 &&
						    server_stats(&relayed.tester).log_bytes == 0);
		relay_cut(&relayed.relay, CUT_ORDERLY);
		turn_until(&relayed.caller,
			   client_stats(&relayed.caller).sessions_resumed == i + 1);
	}
	rpctest_tester_hold_reply(tester_held(&relayed.tester, 0), &empty);
	pending_wait(&held);
	assert_ok(&held.result);
	relayed_stop(&relayed);
}
END_TEST

/* A long run of calls in both directions does not pile up. */
START_TEST(logs_stay_small_under_load)
{
	enum { WAVES = 100, CALLS = 64 };
	struct pending *calls = calloc(CALLS, sizeof *calls);
	uint64_t most = 0;
	struct relayed relayed;

	relayed_start(&relayed, _i, NULL, NULL);
	for (unsigned wave = 0; wave < suite_rounds(WAVES); wave++) {
		for (unsigned i = 0; i < CALLS; i++)
			pending_call(&calls[i], &relayed.caller, ECHO, &empty);
		for (unsigned i = 0; i < CALLS; i++)
			pending_wait(&calls[i]);
		if (client_stats(&relayed.caller).log_bytes > most)
			most = client_stats(&relayed.caller).log_bytes;
	}
	/* 6,400 calls of about 30 bytes, of which a few waves may be under way. */
	ck_assert_uint_lt(most, 16 * KIBIBYTE);
	ck_assert_uint_lt(server_stats(&relayed.tester).log_bytes, 128 * KIBIBYTE);
	free(calls);
	relayed_stop(&relayed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/sessions/limits");
	TCase *tcase = suite_case(suite, "the client's log");

	tcase_add_loop_test(tcase, full_log_refuses_calls_on_a_base, TRANSPORTS, STAMPS);
	tcase_add_loop_test(tcase, full_log_makes_blocking_calls_wait, 0, TRANSPORTS);

	tcase = suite_case(suite, "the server's sessions");
	tcase_add_loop_test(tcase, too_many_sessions_cost_the_longest_away, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, no_more_sessions_are_given_up_than_need_be, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, sessions_that_leave_at_once_are_counted_once, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, too_much_in_logs_costs_the_longest_away, 0, TRANSPORTS);

	tcase = suite_case(suite, "acknowledgements");
	tcase_add_loop_test(tcase, logs_are_empty_soon_after_the_last_call, 0, STAMPS);
	tcase_add_loop_test(tcase, logs_are_empty_while_a_call_waits, 0, STAMPS);
	tcase_add_loop_test(tcase, logs_stay_small_under_load, 0, STAMPS);
	return suite_run(suite);
}
