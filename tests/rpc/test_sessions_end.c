/* Sessions that end: their window is over, or their server has been started anew. What was in
 * flight is told the truth, or is made again. */

#include "relayed.h"
#include "support/suite.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

/* Another server with the same service, as if the first had been started anew: from now on clients
 * come to this one. */
static void replace(struct relayed *relayed, struct tester *other, int stamp,
		    const struct hawser_server_options *options)
{
	tester_start(other, transport_of(stamp), options);
	relay_aim(&relayed->relay, other->address);
	relay_cut(&relayed->relay, CUT_RESET);
}

/* The second one is the last one's. */
static void stop_both(struct relayed *relayed, struct tester *other)
{
	caller_deinit(&relayed->caller);
	relay_stop(&relayed->relay);
	tester_stop(other);
	tester_stop(&relayed->tester);
}

/* ---- the window ---- */

START_TEST(calls_are_cancelled_when_the_window_is_over)
{
	struct hawser_server_options options = tester_options();
	struct pending call;
	struct relayed relayed;

	options.session_window_ms = patient_ms(50);
	relayed_start(&relayed, _i, &options, NULL);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	relay_set_door(&relayed.relay, DOOR_SHUT);
	relay_cut(&relayed.relay, CUT_ORDERLY);
	tester_wait_cancelled(&relayed.tester, 1);
	turn_until(&relayed.caller, server_stats(&relayed.tester).sessions == 0);
	ck_assert_uint_eq(server_stats(&relayed.tester).sessions_away, 0);
	ck_assert_uint_eq(server_stats(&relayed.tester).sessions_expired, 1);
	ck_assert_int_eq(rpctest_tester_hold_reply(tester_held(&relayed.tester, 0), &empty),
			 -EPIPE);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	pending_wait(&call);
	assert_failed(&call.result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "session expired");
	/* And on it goes. */
	caller_echo(&relayed.caller);
	ck_assert_uint_eq(client_stats(&relayed.caller).sessions_lost, 1);
	ck_assert_uint_eq(server_stats(&relayed.tester).sessions, 1);
	relayed_stop(&relayed);
}
END_TEST

/* The client does not wait for a server that must have given the session up. */
START_TEST(client_knows_when_the_window_must_be_over)
{
	struct hawser_server_options server = tester_options();
	struct hawser_client_options client = relayed_options();
	struct pending call;
	struct relayed relayed;

	server.session_window_ms = patient_ms(50);
	client.heartbeat_ms = patient_ms(10);
	client.silence_timeout_ms = patient_ms(50);
	relayed_start(&relayed, _i, &server, &client);
	pending_init(&call, &relayed.caller, HOLD, &empty);
	call.context.timeout_ms = HAWSER_NO_DEADLINE;
	pending_start(&call);
	relayed_held(&relayed, 0);
	relay_set_door(&relayed.relay, DOOR_SHUT);
	relay_cut(&relayed.relay, CUT_ORDERLY);
	pending_wait(&call);
	assert_failed(&call.result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "session expired");
	ck_assert(!client_stats(&relayed.caller).is_connected);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	caller_echo(&relayed.caller);
	relayed_stop(&relayed);
}
END_TEST

START_TEST(window_begins_anew_with_each_cut)
{
	struct hawser_server_options options = tester_options();
	struct relayed relayed;
	struct pending call;

	options.session_window_ms = patient_ms(500);
	relayed_start(&relayed, _i, &options, NULL);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	/* Together these are longer than the window. */
	for (unsigned i = 1; i <= 8; i++) {
		struct pending waits;

		relay_set_door(&relayed.relay, DOOR_SHUT);
		relay_cut(&relayed.relay, CUT_ORDERLY);
		turn_until(&relayed.caller, server_stats(&relayed.tester).sessions_away == 1);
		pending_init(&waits, &relayed.caller, ECHO, &empty);
		waits.context.timeout_ms = patient_ms(80);
		pending_start(&waits);
		pending_wait(&waits);
		ck_assert_int_eq(waits.result.status, HAWSER_DEADLINE_EXCEEDED);
		relay_set_door(&relayed.relay, DOOR_OPEN);
		turn_until(&relayed.caller, server_stats(&relayed.tester).sessions_resumed == i);
	}
	rpctest_tester_hold_reply(tester_held(&relayed.tester, 0), &empty);
	pending_wait(&call);
	assert_ok(&call.result);
	ck_assert_uint_eq(server_stats(&relayed.tester).sessions_expired, 0);
	relayed_stop(&relayed);
}
END_TEST

/* ---- another server ---- */

START_TEST(sent_call_is_unknown_after_a_restart)
{
	struct pending call;
	struct relayed relayed;
	struct tester other;

	relayed_start(&relayed, _i, NULL, NULL);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	replace(&relayed, &other, _i, NULL);
	pending_wait(&call);
	assert_failed(&call.result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "session expired");
	caller_echo(&relayed.caller);
	ck_assert_uint_eq(other.n_held, 0);
	ck_assert_uint_eq(client_stats(&relayed.caller).sessions_lost, 1);
	ck_assert_uint_eq(client_stats(&relayed.caller).calls_retried, 0);
	stop_both(&relayed, &other);
}
END_TEST

/* What was never sent goes to the next server, behind nothing of the first one's. */
START_TEST(unsent_calls_go_on_in_the_next_session)
{
	enum { CALLS = 20 };
	struct pending sent, calls[CALLS];
	struct relayed relayed;
	struct tester other;

	relayed_start(&relayed, _i, NULL, NULL);
	caller_echo(&relayed.caller);
	pending_call(&sent, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	relay_set_door(&relayed.relay, DOOR_SHUT);
	relay_cut(&relayed.relay, CUT_ORDERLY);
	turn_until(&relayed.caller, !client_stats(&relayed.caller).is_connected);
	for (unsigned i = 0; i < CALLS; i++)
		pending_call(&calls[i], &relayed.caller, i % 2 ? ECHO : REFLECT, &empty);
	turn_until(&relayed.caller, client_stats(&relayed.caller).calls_in_flight == CALLS + 1);
	replace(&relayed, &other, _i, NULL);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	pending_wait(&sent);
	assert_failed(&sent.result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "session expired");
	for (unsigned i = 0; i < CALLS; i++) {
		pending_wait(&calls[i]);
		assert_ok(&calls[i].result);
	}
	ck_assert_uint_eq(tester_executed(&other), CALLS);
	stop_both(&relayed, &other);
}
END_TEST

/* Acknowledgements belong to a session: those of the old one must not ride into the new one. */
START_TEST(new_session_begins_with_nothing_of_the_old_one)
{
	enum { CALLS = 30 };
	struct pending calls[CALLS], last;
	struct relayed relayed;
	struct tester other;

	relayed_start(&relayed, _i, NULL, NULL);
	caller_echo(&relayed.caller);
	/* Replies that nobody has acknowledged yet, and the next frame would. */
	for (unsigned i = 0; i < CALLS; i++)
		pending_call(&calls[i], &relayed.caller, ECHO, &empty);
	for (unsigned i = 0; i < CALLS; i++)
		pending_wait(&calls[i]);
	relay_set_door(&relayed.relay, DOOR_SHUT);
	relay_cut(&relayed.relay, CUT_ORDERLY);
	turn_until(&relayed.caller, !client_stats(&relayed.caller).is_connected);
	pending_call(&last, &relayed.caller, ECHO, &empty);
	turn_until(&relayed.caller, client_stats(&relayed.caller).calls_in_flight == 1);
	replace(&relayed, &other, _i, NULL);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	pending_wait(&last);
	assert_ok(&last.result);
	ck_assert_uint_eq(tester_executed(&other), 1);
	ck_assert_uint_eq(server_stats(&other).protocol_errors, 0);
	stop_both(&relayed, &other);
}
END_TEST

/* In a process of its own, killed without a word. */
START_TEST(killed_server_leaves_honest_outcomes)
{
	struct hawser_client_options options = relayed_options();
	struct child_server child;
	struct pending call;
	struct tester other;
	struct caller caller;
	struct relay relay;

	child_server_start(&child, transport_of(_i), NULL);
	relay_start(&relay, transport_of(_i), child.address);
	caller_init(&caller, relay.address, is_async(_i), &options);
	caller_echo(&caller);
	pending_call(&call, &caller, HOLD, &empty);
	caller_echo(&caller);
	kill(child.pid, SIGKILL);
	ck_assert_int_eq(child_server_wait(&child), 128 + SIGKILL);
	tester_start(&other, transport_of(_i), NULL);
	relay_aim(&relay, other.address);
	pending_wait(&call);
	assert_failed(&call.result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "session expired");
	caller_echo(&caller);
	caller_deinit(&caller);
	relay_stop(&relay);
	tester_stop(&other);
}
END_TEST

/* ---- made again ---- */

START_TEST(idempotent_call_is_made_again)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct hawser_metadata metadata[] = {{"key", "value", 5}, {"empty", NULL, 0}};
	struct pending call;
	struct relayed relayed;
	struct tester other;
	size_t n;

	request.text = (char *)"once more";
	relayed_start(&relayed, _i, NULL, NULL);
	pending_init(&call, &relayed.caller, HOLD_AGAIN, &request);
	call.context.metadata = metadata;
	call.context.n_metadata = 2;
	pending_start(&call);
	relayed_held(&relayed, 0);
	replace(&relayed, &other, _i, NULL);
	turn_until(&relayed.caller, server_stats(&other).calls_in_flight == 1);
	/* With all that belongs to it. */
	hawser_call_metadata(tester_held(&other, 0), &n);
	ck_assert_uint_eq(n, 2);
	ck_assert_uint_eq(hawser_call_find_metadata(tester_held(&other, 0), "key")->length, 5);
	hawser_call_send(tester_held(&other, 0), method_of(HOLD_AGAIN), &request.base);
	pending_wait(&call);
	assert_ok(&call.result);
	ck_assert(call.result.is_echo);
	ck_assert_uint_eq(client_stats(&relayed.caller).calls_retried, 1);
	ck_assert_uint_eq(client_stats(&relayed.caller).sessions_lost, 1);
	stop_both(&relayed, &other);
}
END_TEST

/* A request that brings its server down must not be brought to it for ever. */
START_TEST(call_is_made_again_three_times_at_most)
{
	enum { SERVERS = 4 };
	struct tester others[SERVERS];
	struct pending call;
	struct relayed relayed;

	relayed_start(&relayed, _i, NULL, NULL);
	pending_call(&call, &relayed.caller, HOLD_AGAIN, &empty);
	relayed_held(&relayed, 0);
	for (unsigned i = 0; i < SERVERS; i++) {
		replace(&relayed, &others[i], _i, NULL);
		if (i + 1 < SERVERS)
			turn_until(&relayed.caller, server_stats(&others[i]).calls == 1);
	}
	pending_wait(&call);
	assert_failed(&call.result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "session expired");
	ck_assert_uint_eq(client_stats(&relayed.caller).calls_retried, 3);
	caller_echo(&relayed.caller);
	ck_assert_uint_eq(server_stats(&others[SERVERS - 1]).calls, 1);
	caller_deinit(&relayed.caller);
	relay_stop(&relayed.relay);
	for (unsigned i = 0; i < SERVERS; i++)
		tester_stop(&others[i]);
	tester_stop(&relayed.tester);
}
END_TEST

START_TEST(budget_bounds_how_many_are_made_again)
{
	enum { CALLS = 5, BUDGET = 2 };
	struct hawser_client_options options = relayed_options();
	struct pending calls[CALLS];
	unsigned n_ok = 0, n_failed = 0;
	struct relayed relayed;
	struct tester other;

	options.retry_budget = BUDGET;
	relayed_start(&relayed, _i, NULL, &options);
	for (unsigned i = 0; i < CALLS; i++) {
		pending_call(&calls[i], &relayed.caller, HOLD_AGAIN, &empty);
		relayed_held(&relayed, i);
	}
	replace(&relayed, &other, _i, NULL);
	for (unsigned i = 0; i < BUDGET; i++) {
		turn_until(&relayed.caller, server_stats(&other).calls > i);
		hawser_call_send(tester_held(&other, i), method_of(HOLD_AGAIN), &empty.base);
	}
	for (unsigned i = 0; i < CALLS; i++) {
		pending_wait(&calls[i]);
		n_ok += calls[i].result.status == HAWSER_OK;
		if (calls[i].result.status == HAWSER_OK)
			continue;
		n_failed++;
		assert_failed(&calls[i].result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN,
			      "session expired");
	}
	ck_assert_uint_eq(n_ok, BUDGET);
	ck_assert_uint_eq(n_failed, CALLS - BUDGET);
	ck_assert_uint_eq(client_stats(&relayed.caller).calls_retried, BUDGET);
	stop_both(&relayed, &other);
}
END_TEST

/* Ten successes for one more. */
START_TEST(successes_refill_the_budget)
{
	struct hawser_client_options options = relayed_options();
	struct tester others[3];
	struct pending call;
	struct relayed relayed;

	options.retry_budget = 1;
	relayed_start(&relayed, _i, NULL, &options);
	pending_call(&call, &relayed.caller, HOLD_AGAIN, &empty);
	relayed_held(&relayed, 0);
	replace(&relayed, &others[0], _i, NULL);
	turn_until(&relayed.caller, server_stats(&others[0]).calls == 1);
	for (int i = 0; i < 10; i++)
		caller_echo(&relayed.caller);
	replace(&relayed, &others[1], _i, NULL);
	turn_until(&relayed.caller, server_stats(&others[1]).calls == 1);
	for (int i = 0; i < 9; i++)
		caller_echo(&relayed.caller);
	replace(&relayed, &others[2], _i, NULL);
	pending_wait(&call);
	assert_failed(&call.result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "session expired");
	ck_assert_uint_eq(client_stats(&relayed.caller).calls_retried, 2);
	caller_deinit(&relayed.caller);
	relay_stop(&relayed.relay);
	for (int i = 0; i < 3; i++)
		tester_stop(&others[i]);
	tester_stop(&relayed.tester);
}
END_TEST

/* Its deadline goes on meanwhile, and the second server is told what is left. */
START_TEST(call_that_is_made_again_keeps_its_deadline)
{
	struct pending call;
	struct relayed relayed;
	struct tester other;
	int64_t left_ms;

	relayed_start(&relayed, _i, NULL, NULL);
	pending_init(&call, &relayed.caller, HOLD_AGAIN, &empty);
	call.context.timeout_ms = patient_ms(300);
	pending_start(&call);
	relayed_held(&relayed, 0);
	left_ms = hawser_call_time_left_ms(tester_held(&relayed.tester, 0));
	replace(&relayed, &other, _i, NULL);
	turn_until(&relayed.caller, server_stats(&other).calls == 1);
	ck_assert_int_le(hawser_call_time_left_ms(tester_held(&other, 0)), left_ms);
	pending_wait(&call);
	/* Either end may notice first, and the second server knows more. */
	ck_assert_int_eq(call.result.status, HAWSER_DEADLINE_EXCEEDED);
	ck_assert_int_ne(call.result.error.outcome, HAWSER_OUTCOME_NOT_SENT);
	ck_assert_int_ne(call.result.error.outcome, HAWSER_OUTCOME_NOT_EXECUTED);
	stop_both(&relayed, &other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/sessions/end");
	TCase *tcase = suite_case(suite, "the window");

	tcase_add_loop_test(tcase, calls_are_cancelled_when_the_window_is_over, 0, STAMPS);
	tcase_add_loop_test(tcase, client_knows_when_the_window_must_be_over, 0, STAMPS);
	tcase_add_loop_test(tcase, window_begins_anew_with_each_cut, 0, STAMPS);

	tcase = suite_case(suite, "another server");
	tcase_add_loop_test(tcase, sent_call_is_unknown_after_a_restart, 0, STAMPS);
	tcase_add_loop_test(tcase, unsent_calls_go_on_in_the_next_session, 0, STAMPS);
	tcase_add_loop_test(tcase, new_session_begins_with_nothing_of_the_old_one, 0, STAMPS);
	tcase_add_loop_test(tcase, killed_server_leaves_honest_outcomes, 0, STAMPS);

	tcase = suite_case(suite, "made again");
	tcase_add_loop_test(tcase, idempotent_call_is_made_again, 0, STAMPS);
	tcase_add_loop_test(tcase, call_is_made_again_three_times_at_most, 0, STAMPS);
	tcase_add_loop_test(tcase, budget_bounds_how_many_are_made_again, 0, STAMPS);
	tcase_add_loop_test(tcase, successes_refill_the_budget, 0, STAMPS);
	tcase_add_loop_test(tcase, call_that_is_made_again_keeps_its_deadline, 0, STAMPS);
	return suite_run(suite);
}
