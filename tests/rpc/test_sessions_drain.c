/* A server that ends while sessions are away, and what its clients make of it. */

#include "relayed.h"
#include "support/suite.h"
#include <errno.h>
#include <string.h>

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

static void part(struct relayed *relayed)
{
	relay_set_door(&relayed->relay, DOOR_SHUT);
	relay_cut(&relayed->relay, CUT_ORDERLY);
	turn_until(&relayed->caller, !client_stats(&relayed->caller).is_connected);
	turn_until(&relayed->caller, server_stats(&relayed->tester).sessions_away == 1);
}

/* Nobody can come back to a server whose listeners are closed. */
START_TEST(drain_cuts_calls_of_sessions_that_are_away)
{
	struct relayed relayed;
	struct pending call;
	struct tester other;

	relayed_start(&relayed, _i, NULL, NULL);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	part(&relayed);
	hawser_server_drain(relayed.tester.server);
	ck_assert_int_eq(tester_join(&relayed.tester), 1);
	tester_wait_cancelled(&relayed.tester, 1);
	/* The client goes on trying, and learns from the next server that the session is gone. */
	tester_start(&other, transport_of(_i), NULL);
	relay_aim(&relayed.relay, other.address);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	pending_wait(&call);
	assert_failed(&call.result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "session expired");
	caller_echo(&relayed.caller);
	caller_deinit(&relayed.caller);
	relay_stop(&relayed.relay);
	tester_stop(&other);
	tester_stop(&relayed.tester);
}
END_TEST

START_TEST(drain_does_not_wait_for_idle_sessions_that_are_away)
{
	struct relayed relayed;

	relayed_start(&relayed, _i, NULL, NULL);
	caller_echo(&relayed.caller);
	part(&relayed);
	hawser_server_drain(relayed.tester.server);
	ck_assert_int_eq(tester_join(&relayed.tester), 0);
	ck_assert_uint_eq(server_stats(&relayed.tester).sessions, 0);
	relayed_stop(&relayed);
}
END_TEST

/* A call whose reply waits for its client has been finished, but nobody will hear of it. */
START_TEST(drain_ends_sessions_whose_replies_wait)
{
	struct relayed relayed;
	struct pending call;

	relayed_start(&relayed, _i, NULL, NULL);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	part(&relayed);
	rpctest_tester_hold_reply(tester_held(&relayed.tester, 0), &empty);
	turn_until(&relayed.caller, server_stats(&relayed.tester).calls_in_flight == 0);
	hawser_server_drain(relayed.tester.server);
	ck_assert_int_eq(tester_join(&relayed.tester), 0);
	pending_cancel(&call);
	pending_wait(&call);
	relayed_stop(&relayed);
}
END_TEST

/* The other clients' calls may still finish. */
START_TEST(drain_waits_for_those_that_are_there)
{
	struct relayed relayed;
	struct pending call, other_call;
	struct caller other;

	relayed_start(&relayed, _i, NULL, NULL);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	caller_init(&other, relayed.tester.address, is_async(_i), NULL);
	pending_call(&other_call, &other, HOLD, &empty);
	turn_until(&other, server_stats(&relayed.tester).calls_in_flight == 2);
	part(&relayed);
	hawser_server_drain(relayed.tester.server);
	tester_wait_cancelled(&relayed.tester, 1);
	rpctest_tester_hold_reply(tester_held(&relayed.tester, 1), &empty);
	pending_wait(&other_call);
	assert_ok(&other_call.result);
	/* One call was cut. */
	ck_assert_int_eq(tester_join(&relayed.tester), 1);
	pending_cancel(&call);
	pending_wait(&call);
	caller_deinit(&other);
	relayed_stop(&relayed);
}
END_TEST

/* While it drains, a connection that breaks is the end: there is no coming back. */
START_TEST(cut_during_a_drain_is_told)
{
	struct relayed relayed;
	struct pending call;

	relayed_start(&relayed, _i, NULL, NULL);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	hawser_server_drain(relayed.tester.server);
	/* The client has been told of the drain when new calls are refused. */
	for (;;) {
		struct result result;

		caller_call(&relayed.caller, ECHO, &empty, NULL, &result);
		if (result.status == HAWSER_UNAVAILABLE)
			break;
	}
	relay_cut(&relayed.relay, CUT_ORDERLY);
	pending_wait(&call);
	ck_assert_int_eq(call.result.status, HAWSER_UNAVAILABLE);
	ck_assert_int_eq(call.result.error.outcome, HAWSER_OUTCOME_UNKNOWN);
	tester_wait_cancelled(&relayed.tester, 1);
	/* Not all calls were finished. */
	ck_assert_int_eq(tester_join(&relayed.tester), 1);
	relayed_stop(&relayed);
}
END_TEST

START_TEST(stop_cuts_sessions_that_are_away)
{
	struct relayed relayed;
	struct pending call;

	relayed_start(&relayed, _i, NULL, NULL);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	part(&relayed);
	hawser_server_stop(relayed.tester.server);
	ck_assert_int_eq(tester_join(&relayed.tester), 1);
	tester_wait_cancelled(&relayed.tester, 1);
	ck_assert_int_eq(rpctest_tester_hold_reply(tester_held(&relayed.tester, 0), &empty),
			 -EPIPE);
	pending_cancel(&call);
	pending_wait(&call);
	relayed_stop(&relayed);
}
END_TEST

/* A server that stops says so: then there is no session to come back to. */
START_TEST(stopped_server_is_not_waited_for)
{
	struct relayed relayed;
	struct pending call;

	relayed_start(&relayed, _i, NULL, NULL);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	hawser_server_stop(relayed.tester.server);
	ck_assert_int_eq(tester_join(&relayed.tester), 1);
	pending_wait(&call);
	assert_failed(&call.result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "stopped");
	relayed_stop(&relayed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/sessions/drain");
	TCase *tcase = suite_case(suite, "drain");

	tcase_add_loop_test(tcase, drain_cuts_calls_of_sessions_that_are_away, 0, STAMPS);
	tcase_add_loop_test(tcase, drain_does_not_wait_for_idle_sessions_that_are_away, 0, STAMPS);
	tcase_add_loop_test(tcase, drain_ends_sessions_whose_replies_wait, 0, STAMPS);
	tcase_add_loop_test(tcase, drain_waits_for_those_that_are_there, 0, STAMPS);
	tcase_add_loop_test(tcase, cut_during_a_drain_is_told, 0, STAMPS);

	tcase = suite_case(suite, "stop");
	tcase_add_loop_test(tcase, stop_cuts_sessions_that_are_away, 0, STAMPS);
	tcase_add_loop_test(tcase, stopped_server_is_not_waited_for, 0, STAMPS);
	return suite_run(suite);
}
