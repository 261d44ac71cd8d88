/* Peers that are away: what waits for them, what does not, and what becomes of it when they come
 * back or do not. */

#include "both.h"
#include "relayed.h"
#include "reversed.h"
#include "support/suite.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

/* ---- by both kinds of callers ---- */

/* Until both ends have noticed. */
static void part(struct relayed *relayed)
{
	relay_set_door(&relayed->relay, DOOR_SHUT);
	relay_cut(&relayed->relay, CUT_ORDERLY);
	turn_until(&relayed->caller,
		   peer_state(reversed_peer(relayed->caller.reversed)) == HAWSER_PEER_AWAY);
	turn_until(&relayed->caller, !client_stats(&relayed->caller).is_connected);
}

static int reversed_stamp(int i)
{
	return STAMPS + i;
}

START_TEST(call_waits_until_the_peer_is_back)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct pending pending;
	struct relayed relayed;

	relayed_start(&relayed, reversed_stamp(_i), NULL, NULL);
	request.number = 4711;
	part(&relayed);
	pending_call(&pending, &relayed.caller, ECHO, &request);
	for (int i = 0; i < 20; i++)
		caller_turn(&relayed.caller);
	ck_assert_uint_eq(tester_executed(&relayed.tester), 0);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	pending_wait(&pending);
	assert_ok(&pending.result);
	ck_assert(pending.result.is_echo);
	ck_assert_uint_eq(tester_executed(&relayed.tester), 1);
	ck_assert_int_eq(peer_state(reversed_peer(relayed.caller.reversed)), HAWSER_PEER_HERE);
	caller_echo(&relayed.caller);
	relayed_stop(&relayed);
}
END_TEST

START_TEST(call_waits_no_longer_than_its_deadline)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct relayed relayed;
	struct result result;

	relayed_start(&relayed, reversed_stamp(_i), NULL, NULL);
	part(&relayed);
	context.timeout_ms = patient_ms(50);
	caller_call(&relayed.caller, ECHO, &empty, &context, &result);
	assert_failed(&result, HAWSER_DEADLINE_EXCEEDED, HAWSER_OUTCOME_NOT_SENT, "deadline");
	relay_set_door(&relayed.relay, DOOR_OPEN);
	caller_echo(&relayed.caller);
	/* It was taken back before it could leave. */
	ck_assert_uint_eq(tester_executed(&relayed.tester), 1);
	relayed_stop(&relayed);
}
END_TEST

START_TEST(call_that_must_not_wait_fails_at_once)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct relayed relayed;
	struct result result;

	relayed_start(&relayed, reversed_stamp(_i), NULL, NULL);
	context.fail_if_away = true;
	context.timeout_ms = HAWSER_NO_DEADLINE;
	caller_call(&relayed.caller, ECHO, &empty, &context, &result);
	assert_ok(&result);
	part(&relayed);
	caller_call(&relayed.caller, ECHO, &empty, &context, &result);
	assert_failed(&result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_NOT_SENT,
		      "rpctest.Tester/Echo: ");
	relay_set_door(&relayed.relay, DOOR_OPEN);
	turn_until(&relayed.caller, client_stats(&relayed.caller).is_connected);
	turn_until(&relayed.caller,
		   peer_state(reversed_peer(relayed.caller.reversed)) == HAWSER_PEER_HERE);
	caller_call(&relayed.caller, ECHO, &empty, &context, &result);
	assert_ok(&result);
	ck_assert_uint_eq(tester_executed(&relayed.tester), 2);
	relayed_stop(&relayed);
}
END_TEST

START_TEST(call_in_flight_goes_on_when_the_peer_is_back)
{
	struct pending pending;
	struct relayed relayed;

	relayed_start(&relayed, reversed_stamp(_i), NULL, NULL);
	for (unsigned i = 0; i < 5; i++) {
		pending_call(&pending, &relayed.caller, HOLD, &empty);
		relayed_held(&relayed, i);
		part(&relayed);
		/* Answered while nobody can hear it. */
		ck_assert_int_eq(rpctest_tester_hold_reply(tester_held(&relayed.tester, i), &empty),
				 0);
		relay_set_door(&relayed.relay, DOOR_OPEN);
		pending_wait(&pending);
		assert_ok(&pending.result);
	}
	ck_assert_uint_eq(server_stats(&relayed.tester).sessions_resumed, 5);
	relayed_stop(&relayed);
}
END_TEST

/* A cancel is said when it is back. */
START_TEST(call_may_be_cancelled_while_the_peer_is_away)
{
	struct pending pending;
	struct relayed relayed;

	relayed_start(&relayed, reversed_stamp(_i), NULL, NULL);
	pending_call(&pending, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	part(&relayed);
	pending_cancel(&pending);
	pending_wait(&pending);
	assert_failed(&pending.result, HAWSER_CANCELLED, HAWSER_OUTCOME_UNKNOWN, "cancelled");
	ck_assert(!hawser_call_cancelled(tester_held(&relayed.tester, 0)));
	relay_set_door(&relayed.relay, DOOR_OPEN);
	caller_echo(&relayed.caller);
	tester_wait_cancelled(&relayed.tester, 1);
	relayed_stop(&relayed);
}
END_TEST

/* ---- the session ends ---- */

START_TEST(calls_of_a_session_that_expires_end_honestly)
{
	struct hawser_server_options server = tester_options();
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct pending sent, waiting;
	struct relayed relayed;
	struct result result;

	server.session_window_ms = patient_ms(50);
	relayed_start(&relayed, reversed_stamp(_i), &server, NULL);
	pending_init(&sent, &relayed.caller, HOLD, &empty);
	pending_init(&waiting, &relayed.caller, ECHO, &empty);
	sent.context.timeout_ms = waiting.context.timeout_ms = HAWSER_NO_DEADLINE;
	pending_start(&sent);
	relayed_held(&relayed, 0);
	part(&relayed);
	pending_start(&waiting);
	pending_wait(&sent);
	assert_failed(&sent.result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "expired");
	pending_wait(&waiting);
	assert_failed(&waiting.result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_NOT_SENT, "");
	ck_assert_int_eq(peer_state(reversed_peer(relayed.caller.reversed)), HAWSER_PEER_GONE);
	/* It stays so: what comes back is another session, and another peer. */
	if (!relayed.caller.base) {
		context.timeout_ms = HAWSER_NO_DEADLINE;
		caller_call(&relayed.caller, ECHO, &empty, &context, &result);
		assert_failed(&result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_NOT_SENT,
			      "the peer is gone");
	}
	relay_set_door(&relayed.relay, DOOR_OPEN);
	/* The handler hears that nobody waits any more. */
	turn_until(&relayed.caller, hawser_call_cancelled(tester_held(&relayed.tester, 0)));
	reversed_meet(&relayed.caller);
	caller_echo(&relayed.caller);
	ck_assert_uint_eq(tester_executed(&relayed.tester), 1);
	ck_assert_uint_eq(client_stats(&relayed.caller).sessions_lost, 1);
	relayed_stop(&relayed);
}
END_TEST

/* The serving client does without: each connection is another peer. */
START_TEST(peer_without_a_session_is_gone_with_its_connection)
{
	struct hawser_client_options options = relayed_options();
	struct pending pending;
	struct relayed relayed;

	options.no_session = true;
	relayed_start(&relayed, reversed_stamp(_i), NULL, &options);
	pending_call(&pending, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	relay_cut(&relayed.relay, CUT_ORDERLY);
	pending_wait(&pending);
	assert_failed(&pending.result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "");
	turn_until(&relayed.caller,
		   peer_state(reversed_peer(relayed.caller.reversed)) == HAWSER_PEER_GONE);
	turn_until(&relayed.caller, hawser_call_cancelled(tester_held(&relayed.tester, 0)));
	reversed_meet(&relayed.caller);
	caller_echo(&relayed.caller);
	relayed_stop(&relayed);
}
END_TEST

/* ---- who serves stays ---- */

/* Nobody calls: it is there again all the same. */
START_TEST(client_that_serves_connects_again_by_itself)
{
	struct both_setup setup = {.is_relayed = true};
	struct hawser_server_stats stats = {.size = sizeof stats};
	struct hawser_peer *peer;
	struct both both;

	both_start(&both, _i, &setup);
	peer = both_meet(&both);
	for (unsigned i = 1; i <= 10; i++) {
		relay_cut(&both.relay, (enum relay_cut)(i % CUT_SERVER));
		do {
			both_turn(&both);
			hawser_server_get_stats(both.server, &stats);
		} while (stats.sessions_resumed < i);
		ck_assert_int_eq(peer_state(peer), HAWSER_PEER_HERE);
		both_call_and_wait(&both, hawser_peer_client(peer), ECHO, i, NULL);
		both_assert_ok(&both);
	}
	both_stop(&both);
}
END_TEST

struct watch {
	unsigned n_joined, n_gone;
	struct hawser_peer *peer;
};

static void on_joined(struct hawser_peer *peer, void *data)
{
	struct watch *watch = data;

	watch->n_joined++;
	hawser_peer_unref(watch->peer);
	watch->peer = hawser_peer_ref(peer);
}

static void on_gone(struct hawser_peer *peer, void *data)
{
	struct watch *watch = data;

	(void)peer;
	watch->n_gone++;
}

/* A server with a hub on the same base, where the first one was. */
static struct hawser_server *another_server(struct both *both, const char *address,
					    struct watch *watch)
{
	struct hawser_server_options options = tester_options();
	struct hawser_hub_options hub = HAWSER_HUB_OPTIONS_INIT;
	struct hawser_error error = {.message = ""};
	struct hawser_server *server;

	options.base = both->base;
	hub.on_joined = on_joined;
	hub.on_gone = on_gone;
	hub.data = watch;
	server = hawser_server_new(&options, &error);
	ck_assert_msg(server, "%s", error.message);
	ck_assert_ptr_nonnull(hawser_hub_new(server, &hub, &error));
	ck_assert_msg(hawser_server_listen(server, address, &error) == 0, "%s", error.message);
	return server;
}

/* However the first one ended. Nobody has called meanwhile, nor does anybody. */
START_TEST(client_that_serves_finds_a_server_that_was_restarted)
{
	enum { DRAINED, STOPPED, GONE };
	struct watch watch = {.peer = NULL};
	struct hawser_server *second;
	char address[ADDRESS_SIZE];
	struct both both;

	both_start(&both, _i % TRANSPORTS, NULL);
	both_meet(&both);
	strcpy(address, hawser_server_address(both.server, 0));
	switch (_i / TRANSPORTS) {
	case DRAINED:
		hawser_server_drain(both.server);
		both_until(&both, peer_state(both.peer) == HAWSER_PEER_GONE);
		break;
	case STOPPED:
		hawser_server_stop(both.server);
		both_until(&both, peer_state(both.peer) == HAWSER_PEER_GONE);
		break;
	default:
		break;
	}
	both_free_server(&both);
	/* It is not there for some time. */
	for (int i = 0; i < 3; i++)
		both_turn(&both);
	second = another_server(&both, address, &watch);
	both_until(&both, watch.n_joined == 1);
	both_call_and_wait(&both, hawser_peer_client(watch.peer), ECHO, 7, NULL);
	both_assert_ok(&both);
	ck_assert_int_eq(both.number, 8);
	ck_assert(watch.peer != both.peer);
	both_free_client(&both);
	both_until(&both, watch.n_gone == 1);
	hawser_server_free(second);
	hawser_peer_unref(watch.peer);
	both_stop(&both);
}
END_TEST

/* One that is closed because it is idle comes back as well, though not at once. */
START_TEST(client_that_serves_comes_back_when_it_was_idle)
{
	struct hawser_server_options options = tester_options();
	struct both_setup setup = {.server = &options};
	struct hawser_client_stats stats = {.size = sizeof stats};
	struct both both;

	options.idle_timeout_ms = 10;
	both_start(&both, _i, &setup);
	both_meet(&both);
	do {
		both_turn(&both);
		hawser_client_get_stats(both.client, &stats);
	} while (stats.connections < 3);
	both_meet(&both);
	both_call_and_wait(&both, hawser_peer_client(both.peer), ECHO, 1, NULL);
	both_assert_ok(&both);
	both_stop(&both);
}
END_TEST

/* A call of the server's is one in flight, too. */
START_TEST(call_to_a_peer_keeps_its_connection_from_being_idle)
{
	struct hawser_server_options options = tester_options();
	struct both_setup setup = {.server = &options};
	struct hawser_client_stats stats = {.size = sizeof stats};
	struct hawser_peer_info info = {.size = sizeof info}, begun = {.size = sizeof begun};
	Rpctest__Payload reply = RPCTEST__PAYLOAD__INIT;
	struct both both;

	options.idle_timeout_ms = patient_ms(50);
	both_start(&both, _i, &setup);
	both_meet(&both);
	both_call(&both, hawser_peer_client(both.peer), HOLD, 0, NULL);
	both_until(&both, both.at_client.n_held == 1);
	both.n_done = 0;
	hawser_peer_get_info(both.peer, &begun);
	do {
		event_base_loop(both.base, EVLOOP_NONBLOCK);
		hawser_peer_get_info(both.peer, &info);
	} while (info.age_ms < begun.age_ms + 3 * options.idle_timeout_ms);
	ck_assert_int_eq(info.state, HAWSER_PEER_HERE);
	ck_assert_int_eq(rpctest_tester_hold_reply(both.at_client.held[0], &reply), 0);
	both.at_client.n_held = 0;
	both_until(&both, both.n_done == 1);
	both_assert_ok(&both);
	hawser_client_get_stats(both.client, &stats);
	ck_assert_uint_eq(stats.connections, 1);
	both_stop(&both);
}
END_TEST

/* ---- draining ---- */

/* What the server has asked for may be answered; nothing new is asked for. */
START_TEST(drain_waits_for_calls_to_peers)
{
	Rpctest__Payload reply = RPCTEST__PAYLOAD__INIT;
	struct hawser_client *client;
	struct both both;

	both_start(&both, _i, NULL);
	client = hawser_peer_client(both_meet(&both));
	both_call(&both, client, HOLD, 0, NULL);
	both_until(&both, both.at_client.n_held == 1);
	hawser_server_drain(both.server);
	do {
		both_call_and_wait(&both, client, ECHO, 1, NULL);
	} while (both.status == HAWSER_OK);
	both_assert_failed(&both, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_NOT_SENT, "draining");
	ck_assert_int_eq(peer_state(both.peer), HAWSER_PEER_HERE);
	both.n_done = 0;
	ck_assert_int_eq(rpctest_tester_hold_reply(both.at_client.held[0], &reply), 0);
	both.at_client.n_held = 0;
	both_until(&both, both.n_done == 1);
	both_assert_ok(&both);
	both_until(&both, peer_state(both.peer) == HAWSER_PEER_GONE);
	both_stop(&both);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/peers/away");
	TCase *tcase = suite_case(suite, "away");

	tcase_add_loop_test(tcase, call_waits_until_the_peer_is_back, 0, STAMPS);
	tcase_add_loop_test(tcase, call_waits_no_longer_than_its_deadline, 0, STAMPS);
	tcase_add_loop_test(tcase, call_that_must_not_wait_fails_at_once, 0, STAMPS);
	tcase_add_loop_test(tcase, call_in_flight_goes_on_when_the_peer_is_back, 0, STAMPS);
	tcase_add_loop_test(tcase, call_may_be_cancelled_while_the_peer_is_away, 0, STAMPS);

	tcase = suite_case(suite, "gone");
	tcase_add_loop_test(tcase, calls_of_a_session_that_expires_end_honestly, 0, STAMPS);
	tcase_add_loop_test(tcase, peer_without_a_session_is_gone_with_its_connection, 0, STAMPS);

	tcase = suite_case(suite, "stays");
	tcase_add_loop_test(tcase, client_that_serves_connects_again_by_itself, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, client_that_serves_finds_a_server_that_was_restarted, 0,
			    3 * TRANSPORTS);
	tcase_add_loop_test(tcase, client_that_serves_comes_back_when_it_was_idle, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, call_to_a_peer_keeps_its_connection_from_being_idle, 0,
			    TRANSPORTS);

	tcase = suite_case(suite, "draining");
	tcase_add_loop_test(tcase, drain_waits_for_calls_to_peers, 0, TRANSPORTS);
	return suite_run(suite);
}
