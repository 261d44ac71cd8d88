/* Connections that are dead without an end's knowing: frozen on the way, or closed at the other end
 * alone. Both ends find out, and the session goes on through another one. */

#include "raw.h"
#include "relayed.h"
#include "support/suite.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MEBIBYTE = 1 << 20 };

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

/* Neither end bears with silence for long. */
static void start_impatient(struct relayed *relayed, int stamp)
{
	struct hawser_server_options server = tester_options();
	struct hawser_client_options client = relayed_options();

	server.heartbeat_ms = client.heartbeat_ms = patient_ms(20);
	server.silence_timeout_ms = client.silence_timeout_ms = patient_ms(100);
	relayed_start(relayed, stamp, &server, &client);
}

/* ---- frozen ---- */

START_TEST(call_survives_a_frozen_connection)
{
	struct pending call;
	struct relayed relayed;

	start_impatient(&relayed, _i);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	relay_freeze(&relayed.relay);
	turn_until(&relayed.caller, server_stats(&relayed.tester).sessions_resumed >= 1);
	rpctest_tester_hold_reply(tester_held(&relayed.tester, 0), &empty);
	pending_wait(&call);
	assert_ok(&call.result);
	caller_echo(&relayed.caller);
	ck_assert_uint_eq(tester_executed(&relayed.tester), 1);
	relayed_stop(&relayed);
}
END_TEST

START_TEST(quiet_client_finds_a_frozen_connection)
{
	struct relayed relayed;

	start_impatient(&relayed, _i);
	caller_echo(&relayed.caller);
	for (unsigned i = 1; i <= 3; i++) {
		relay_freeze(&relayed.relay);
		turn_until(&relayed.caller, client_stats(&relayed.caller).sessions_resumed >= i);
	}
	caller_echo(&relayed.caller);
	ck_assert_uint_eq(server_stats(&relayed.tester).sessions, 1);
	relayed_stop(&relayed);
}
END_TEST

/* More is queued than sockets take: that must not count as a sign of life. */
START_TEST(large_request_survives_a_frozen_connection)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct pending call;
	struct relayed relayed;

	request.data.len = 4 * MEBIBYTE - 100;
	request.data.data = calloc(1, request.data.len);
	start_impatient(&relayed, _i);
	caller_echo(&relayed.caller);
	relay_freeze(&relayed.relay);
	pending_call(&call, &relayed.caller, ECHO, &request);
	pending_wait(&call);
	assert_ok(&call.result);
	ck_assert(call.result.is_echo);
	ck_assert_uint_ge(client_stats(&relayed.caller).sessions_resumed, 1);
	ck_assert_uint_eq(tester_executed(&relayed.tester), 2);
	free(request.data.data);
	relayed_stop(&relayed);
}
END_TEST

/* The server has so much to say that it listens no more, to a client that cannot hear it. */
START_TEST(large_replies_survive_a_frozen_connection)
{
	enum { CALLS = 8 };
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct pending calls[CALLS];
	struct relayed relayed;

	request.number = 2 * MEBIBYTE;
	start_impatient(&relayed, _i);
	caller_echo(&relayed.caller);
	/* The replies get stuck behind their first byte. */
	relay_cut_after(&relayed.relay, FROM_SERVER, 1, CUT_CLIENT);
	relay_set_door(&relayed.relay, DOOR_SHUT);
	for (unsigned i = 0; i < CALLS; i++)
		pending_call(&calls[i], &relayed.caller, GROW, &request);
	turn_until(&relayed.caller, server_stats(&relayed.tester).sessions_away == 1);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	for (unsigned i = 0; i < CALLS; i++) {
		pending_wait(&calls[i]);
		assert_ok(&calls[i].result);
		ck_assert_uint_eq(calls[i].result.data_length, 2 * MEBIBYTE);
	}
	ck_assert_uint_eq(tester_executed(&relayed.tester), CALLS + 1);
	relayed_stop(&relayed);
}
END_TEST

/* ---- slow ---- */

/* A message that takes longer than silence is borne with is no silence, in either direction. */
static void be_slow(int stamp, enum method method)
{
	enum { BYTES_PER_MS = 2000 };
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct relayed relayed;
	struct result result;

	if (method == GROW) {
		request.number = MEBIBYTE;
	} else {
		request.data.len = MEBIBYTE;
		request.data.data = calloc(1, request.data.len);
	}
	start_impatient(&relayed, stamp);
	caller_echo(&relayed.caller);
	relay_set_rate(&relayed.relay, BYTES_PER_MS * 100 / patient_ms(100));
	context.timeout_ms = patient_ms(5000);
	caller_call(&relayed.caller, method, &request, &context, &result);
	/* Taken for silence, it would begin anew again and again until its deadline. */
	assert_ok(&result);
	free(request.data.data);
	relayed_stop(&relayed);
}

START_TEST(slow_request_is_no_silence)
{
	be_slow(_i, TIME_LEFT);
}
END_TEST

START_TEST(slow_reply_is_no_silence)
{
	be_slow(_i, GROW);
}
END_TEST

START_TEST(slow_request_and_reply_are_no_silence)
{
	be_slow(_i, ECHO);
}
END_TEST

/* ---- closed at one end ---- */

START_TEST(server_that_does_not_know_yet_is_taken_over)
{
	struct pending call;
	struct relayed relayed;

	relayed_start(&relayed, _i, NULL, NULL);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	for (unsigned i = 1; i <= 10; i++) {
		relay_cut(&relayed.relay, CUT_CLIENT);
		turn_until(&relayed.caller, client_stats(&relayed.caller).sessions_resumed >= i);
		ck_assert_uint_eq(server_stats(&relayed.tester).sessions_taken_over, i);
		ck_assert_uint_eq(server_stats(&relayed.tester).sessions_resumed, i);
		ck_assert_uint_eq(server_stats(&relayed.tester).connections, 1);
		ck_assert_uint_eq(server_stats(&relayed.tester).sessions_away, 0);
	}
	rpctest_tester_hold_reply(tester_held(&relayed.tester, 0), &empty);
	pending_wait(&call);
	assert_ok(&call.result);
	relayed_stop(&relayed);
}
END_TEST

START_TEST(client_that_does_not_know_yet_finds_out)
{
	struct hawser_client_options options = relayed_options();
	struct pending call;
	struct relayed relayed;

	options.heartbeat_ms = patient_ms(20);
	options.silence_timeout_ms = patient_ms(100);
	relayed_start(&relayed, _i, NULL, &options);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	relay_cut(&relayed.relay, CUT_SERVER);
	turn_until(&relayed.caller, server_stats(&relayed.tester).sessions_away == 1);
	rpctest_tester_hold_reply(tester_held(&relayed.tester, 0), &empty);
	pending_wait(&call);
	assert_ok(&call.result);
	ck_assert_uint_eq(server_stats(&relayed.tester).sessions_taken_over, 0);
	relayed_stop(&relayed);
}
END_TEST

/* ---- ghosts ---- */

/* The dead connection still counts on the server, which has no room for another. Its client tries
 * on until there is. */
START_TEST(client_is_not_locked_out_by_its_ghost)
{
	struct hawser_server_options server = tester_options();
	struct hawser_client_options client = relayed_options();
	struct pending call;
	struct relayed relayed;

	server.max_connections = 1;
	server.heartbeat_ms = client.heartbeat_ms = patient_ms(20);
	server.silence_timeout_ms = client.silence_timeout_ms = patient_ms(100);
	relayed_start(&relayed, _i, &server, &client);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	relay_cut(&relayed.relay, CUT_CLIENT);
	turn_until(&relayed.caller, relay_attempts(&relayed.relay) > 1);
	rpctest_tester_hold_reply(tester_held(&relayed.tester, 0), &empty);
	pending_wait(&call);
	assert_ok(&call.result);
	ck_assert_uint_ge(client_stats(&relayed.caller).sessions_resumed, 1);
	relayed_stop(&relayed);
}
END_TEST

/* Tries to come back that were held up on the way arrive after a later one has succeeded. */
START_TEST(late_tries_do_no_harm)
{
	enum { LATE = 3 };
	struct hawser_client_options options = relayed_options();
	struct pending call;
	struct relayed relayed;

	options.connect_timeout_ms = patient_ms(100);
	relayed_start(&relayed, _i, NULL, &options);
	caller_echo(&relayed.caller);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	relay_set_door(&relayed.relay, DOOR_HELD);
	relay_cut(&relayed.relay, CUT_ORDERLY);
	/* Each is held, and given up by the client. */
	turn_until(&relayed.caller, relay_attempts(&relayed.relay) >= 1 + LATE);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	turn_until(&relayed.caller, client_stats(&relayed.caller).sessions_resumed >= 1);
	for (int i = 0; i < 50; i++)
		caller_echo(&relayed.caller);
	turn_until(&relayed.caller, client_stats(&relayed.caller).log_bytes == 0);
	relay_thaw(&relayed.relay);
	turn_until(&relayed.caller, server_stats(&relayed.tester).connections_accepted >= 2 + LATE);
	for (int i = 0; i < 50; i++)
		caller_echo(&relayed.caller);
	rpctest_tester_hold_reply(tester_held(&relayed.tester, 0), &empty);
	pending_wait(&call);
	assert_ok(&call.result);
	ck_assert_uint_eq(client_stats(&relayed.caller).sessions_lost, 0);
	ck_assert_uint_eq(tester_executed(&relayed.tester), 101);
	relayed_stop(&relayed);
}
END_TEST

/* ---- what the ends agree on ---- */

START_TEST(client_that_asks_for_less_gets_it)
{
	struct {
		unsigned asked_heartbeat_ms, asked_silence_ms, heartbeat_ms, silence_ms;
	} cases[] = {
		{0, 0, 15000, 45000},         {100, 0, 100, 45000},     {100, 350, 100, 350},
		{60000, 90000, 15000, 45000}, {0, 20000, 15000, 20000},
	};
	struct tester tester;

	tester_start(&tester, transport_of(_i), NULL);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		Hawser__Frame frame = HAWSER__FRAME__INIT, *answer;
		Hawser__Open open = HAWSER__OPEN__INIT;
		int fd = raw_connect(tester.address);

		open.version = 1;
		open.heartbeat_ms = cases[i].asked_heartbeat_ms;
		open.silence_timeout_ms = cases[i].asked_silence_ms;
		frame.kind_case = HAWSER__FRAME__KIND_OPEN;
		frame.open = &open;
		ck_assert(raw_send_frame(fd, &frame));
		answer = raw_receive(fd);
		ck_assert_ptr_nonnull(answer);
		ck_assert_int_eq(answer->kind_case, HAWSER__FRAME__KIND_OPENED);
		ck_assert_uint_eq(answer->opened->heartbeat_ms, cases[i].heartbeat_ms);
		ck_assert_uint_eq(answer->opened->silence_timeout_ms, cases[i].silence_ms);
		hawser__frame__free_unpacked(answer, NULL);
		close(fd);
	}
	tester_stop(&tester);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/sessions/silence");
	TCase *tcase = suite_case(suite, "frozen");

	tcase_add_loop_test(tcase, call_survives_a_frozen_connection, 0, STAMPS);
	tcase_add_loop_test(tcase, quiet_client_finds_a_frozen_connection, 0, STAMPS);
	tcase_add_loop_test(tcase, large_request_survives_a_frozen_connection, 0, STAMPS);
	tcase_add_loop_test(tcase, large_replies_survive_a_frozen_connection, 0, STAMPS);

	tcase = suite_case(suite, "slow");
	tcase_add_loop_test(tcase, slow_request_is_no_silence, 0, STAMPS);
	tcase_add_loop_test(tcase, slow_reply_is_no_silence, 0, STAMPS);
	tcase_add_loop_test(tcase, slow_request_and_reply_are_no_silence, 0, STAMPS);

	tcase = suite_case(suite, "closed at one end");
	tcase_add_loop_test(tcase, server_that_does_not_know_yet_is_taken_over, 0, STAMPS);
	tcase_add_loop_test(tcase, client_that_does_not_know_yet_finds_out, 0, STAMPS);

	tcase = suite_case(suite, "ghosts");
	tcase_add_loop_test(tcase, client_is_not_locked_out_by_its_ghost, 0, STAMPS);
	tcase_add_loop_test(tcase, late_tries_do_no_harm, 0, STAMPS);

	tcase = suite_case(suite, "what the ends agree on");
	tcase_add_loop_test(tcase, client_that_asks_for_less_gets_it, 0, TRANSPORTS);
	return suite_run(suite);
}
