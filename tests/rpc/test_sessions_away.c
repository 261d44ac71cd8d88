/* What is done while there is no connection: calls are made, answered, cancelled, and run out of
 * time, and each end hears of it when there is one again. */

#include "relayed.h"
#include "support/suite.h"
#include <stdlib.h>
#include <string.h>

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

/* Both ends have noticed, and the client cannot come back until the door is opened. */
static void part(struct relayed *relayed)
{
	relay_set_door(&relayed->relay, DOOR_SHUT);
	relay_cut(&relayed->relay, CUT_ORDERLY);
	turn_until(&relayed->caller, !client_stats(&relayed->caller).is_connected);
	turn_until(&relayed->caller, server_stats(&relayed->tester).sessions_away == 1);
}

/* Opened once, so that it is opened again. */
static void start_apart(struct relayed *relayed, int stamp)
{
	relayed_start(relayed, stamp, NULL, NULL);
	caller_echo(&relayed->caller);
	part(relayed);
}

static void meet(struct relayed *relayed)
{
	relay_set_door(&relayed->relay, DOOR_OPEN);
}

START_TEST(calls_made_while_away_are_delivered)
{
	enum { CALLS = 10 };
	struct pending calls[CALLS];
	struct relayed relayed;

	start_apart(&relayed, _i);
	for (unsigned i = 0; i < CALLS; i++) {
		pending_call(&calls[i], &relayed.caller, ECHO, &empty);
		turn_until(&relayed.caller, client_stats(&relayed.caller).calls_in_flight == i + 1);
	}
	ck_assert_uint_gt(client_stats(&relayed.caller).log_bytes, 0);
	meet(&relayed);
	for (unsigned i = 0; i < CALLS; i++) {
		pending_wait(&calls[i]);
		assert_ok(&calls[i].result);
	}
	ck_assert_uint_eq(tester_executed(&relayed.tester), CALLS + 1);
	relayed_stop(&relayed);
}
END_TEST

/* Answered by the test's thread, from elsewhere than the loop, and by the loop itself. */
START_TEST(replies_made_while_away_arrive)
{
	enum { CALLS = 4 };
	Rpctest__Payload requests[CALLS];
	struct pending calls[CALLS];
	struct relayed relayed;

	relayed_start(&relayed, _i, NULL, NULL);
	for (unsigned i = 0; i < CALLS; i++) {
		requests[i] = empty;
		requests[i].id = i + 1;
		pending_call(&calls[i], &relayed.caller, HOLD, &requests[i]);
		relayed_held(&relayed, i);
	}
	part(&relayed);
	for (unsigned i = 0; i < CALLS; i++) {
		struct hawser_call *call = tester_held(&relayed.tester, i);

		ck_assert(!hawser_call_cancelled(call));
		ck_assert_int_eq(rpctest_tester_hold_reply(call, &requests[i]), 0);
	}
	turn_until(&relayed.caller, server_stats(&relayed.tester).calls_in_flight == 0);
	meet(&relayed);
	for (unsigned i = 0; i < CALLS; i++) {
		pending_wait(&calls[i]);
		assert_ok(&calls[i].result);
		ck_assert(calls[i].result.is_echo);
	}
	ck_assert_uint_eq(client_stats(&relayed.caller).sessions_resumed, 1);
	relayed_stop(&relayed);
}
END_TEST

START_TEST(failure_made_while_away_arrives)
{
	struct pending call;
	struct relayed relayed;

	relayed_start(&relayed, _i, NULL, NULL);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	part(&relayed);
	hawser_call_fail(tester_held(&relayed.tester, 0), HAWSER_ABORTED, "changed my mind");
	turn_until(&relayed.caller, server_stats(&relayed.tester).calls_in_flight == 0);
	meet(&relayed);
	pending_wait(&call);
	assert_failed(&call.result, HAWSER_ABORTED, HAWSER_OUTCOME_EXECUTED, "changed my mind");
	relayed_stop(&relayed);
}
END_TEST

/* ---- cancelled ---- */

START_TEST(cancel_of_an_unsent_call_keeps_it_from_running)
{
	struct pending call;
	struct relayed relayed;

	start_apart(&relayed, _i);
	pending_call(&call, &relayed.caller, ECHO, &empty);
	turn_until(&relayed.caller, client_stats(&relayed.caller).calls_in_flight == 1);
	pending_cancel(&call);
	pending_wait(&call);
	assert_failed(&call.result, HAWSER_CANCELLED, HAWSER_OUTCOME_NOT_SENT, "cancelled");
	meet(&relayed);
	caller_echo(&relayed.caller);
	/* The one before and the one after. */
	ck_assert_uint_eq(tester_executed(&relayed.tester), 2);
	ck_assert_uint_eq(server_stats(&relayed.tester).calls, 2);
	relayed_stop(&relayed);
}
END_TEST

/* Its bytes are in the log; they go as something that is skipped. */
START_TEST(cancel_of_a_large_unsent_call_leaves_the_others_alone)
{
	Rpctest__Payload large = RPCTEST__PAYLOAD__INIT;
	struct pending calls[3];
	struct relayed relayed;

	large.data.len = 1 << 20;
	large.data.data = calloc(1, large.data.len);
	start_apart(&relayed, _i);
	for (unsigned i = 0; i < 3; i++) {
		pending_call(&calls[i], &relayed.caller, ECHO, i == 1 ? &large : &empty);
		turn_until(&relayed.caller, client_stats(&relayed.caller).calls_in_flight == i + 1);
	}
	pending_cancel(&calls[1]);
	pending_wait(&calls[1]);
	assert_failed(&calls[1].result, HAWSER_CANCELLED, HAWSER_OUTCOME_NOT_SENT, "cancelled");
	meet(&relayed);
	for (unsigned i = 0; i < 3; i += 2) {
		pending_wait(&calls[i]);
		assert_ok(&calls[i].result);
	}
	ck_assert_uint_eq(tester_executed(&relayed.tester), 3);
	free(large.data.data);
	relayed_stop(&relayed);
}
END_TEST

START_TEST(cancel_of_a_sent_call_reaches_its_handler_later)
{
	struct pending call;
	struct relayed relayed;

	relayed_start(&relayed, _i, NULL, NULL);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	part(&relayed);
	pending_cancel(&call);
	pending_wait(&call);
	assert_failed(&call.result, HAWSER_CANCELLED, HAWSER_OUTCOME_UNKNOWN, "cancelled");
	ck_assert(!hawser_call_cancelled(tester_held(&relayed.tester, 0)));
	meet(&relayed);
	turn_until(&relayed.caller, hawser_call_cancelled(tester_held(&relayed.tester, 0)));
	tester_wait_cancelled(&relayed.tester, 1);
	caller_echo(&relayed.caller);
	relayed_stop(&relayed);
}
END_TEST

/* The reply was under way when the call was cancelled: nobody is told of it twice. */
START_TEST(reply_to_a_call_that_was_cancelled_while_away_is_dropped)
{
	struct pending call;
	struct relayed relayed;

	relayed_start(&relayed, _i, NULL, NULL);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	part(&relayed);
	rpctest_tester_hold_reply(tester_held(&relayed.tester, 0), &empty);
	turn_until(&relayed.caller, server_stats(&relayed.tester).calls_in_flight == 0);
	pending_cancel(&call);
	pending_wait(&call);
	assert_failed(&call.result, HAWSER_CANCELLED, HAWSER_OUTCOME_UNKNOWN, "cancelled");
	meet(&relayed);
	for (int i = 0; i < 3; i++)
		caller_echo(&relayed.caller);
	ck_assert_uint_eq(client_stats(&relayed.caller).sessions_resumed, 1);
	relayed_stop(&relayed);
}
END_TEST

/* ---- out of time ---- */

START_TEST(deadline_of_an_unsent_call_passes_while_away)
{
	struct pending call;
	struct relayed relayed;

	start_apart(&relayed, _i);
	pending_init(&call, &relayed.caller, ECHO, &empty);
	call.context.timeout_ms = patient_ms(20);
	pending_start(&call);
	pending_wait(&call);
	assert_failed(&call.result, HAWSER_DEADLINE_EXCEEDED, HAWSER_OUTCOME_NOT_SENT,
		      "the deadline passed");
	meet(&relayed);
	caller_echo(&relayed.caller);
	ck_assert_uint_eq(tester_executed(&relayed.tester), 2);
	relayed_stop(&relayed);
}
END_TEST

/* Each end sees to it, with a clock of its own. */
START_TEST(deadline_of_a_sent_call_passes_while_away)
{
	struct pending call;
	struct relayed relayed;

	relayed_start(&relayed, _i, NULL, NULL);
	pending_init(&call, &relayed.caller, HOLD, &empty);
	call.context.timeout_ms = patient_ms(200);
	pending_start(&call);
	relayed_held(&relayed, 0);
	part(&relayed);
	pending_wait(&call);
	assert_failed(&call.result, HAWSER_DEADLINE_EXCEEDED, HAWSER_OUTCOME_UNKNOWN,
		      "the deadline passed");
	tester_wait_cancelled(&relayed.tester, 1);
	meet(&relayed);
	caller_echo(&relayed.caller);
	relayed_stop(&relayed);
}
END_TEST

/* A call that was delayed tells its handler how much time there is now, not when it was made. */
START_TEST(time_left_counts_from_when_a_call_was_made)
{
	struct pending call;
	struct relayed relayed;
	unsigned timeout_ms = patient_ms(2000);

	start_apart(&relayed, _i);
	pending_init(&call, &relayed.caller, TIME_LEFT, &empty);
	call.context.timeout_ms = timeout_ms;
	pending_start(&call);
	turn_until(&relayed.caller, client_stats(&relayed.caller).calls_in_flight == 1);
	/* What another one takes to run out of time is gone for this one, too. */
	{
		struct pending other;

		pending_init(&other, &relayed.caller, ECHO, &empty);
		other.context.timeout_ms = patient_ms(100);
		pending_start(&other);
		pending_wait(&other);
		ck_assert_int_eq(other.result.status, HAWSER_DEADLINE_EXCEEDED);
	}
	meet(&relayed);
	pending_wait(&call);
	assert_ok(&call.result);
	ck_assert_int_le(call.result.number, timeout_ms - patient_ms(100));
	relayed_stop(&relayed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/sessions/away");
	TCase *tcase = suite_case(suite, "delivered");

	tcase_add_loop_test(tcase, calls_made_while_away_are_delivered, 0, STAMPS);
	tcase_add_loop_test(tcase, replies_made_while_away_arrive, 0, STAMPS);
	tcase_add_loop_test(tcase, failure_made_while_away_arrives, 0, STAMPS);

	tcase = suite_case(suite, "cancelled");
	tcase_add_loop_test(tcase, cancel_of_an_unsent_call_keeps_it_from_running, 0, STAMPS);
	tcase_add_loop_test(tcase, cancel_of_a_large_unsent_call_leaves_the_others_alone, 0,
			    STAMPS);
	tcase_add_loop_test(tcase, cancel_of_a_sent_call_reaches_its_handler_later, 0, STAMPS);
	tcase_add_loop_test(tcase, reply_to_a_call_that_was_cancelled_while_away_is_dropped, 0,
			    STAMPS);

	tcase = suite_case(suite, "out of time");
	tcase_add_loop_test(tcase, deadline_of_an_unsent_call_passes_while_away, 0, STAMPS);
	tcase_add_loop_test(tcase, deadline_of_a_sent_call_passes_while_away, 0, STAMPS);
	tcase_add_loop_test(tcase, time_left_counts_from_when_a_call_was_made, 0, STAMPS);
	return suite_run(suite);
}
