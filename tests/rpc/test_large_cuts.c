/* Large messages that are interrupted: by the network, and go on; by their caller, and leave
 * nothing behind. */

#include "stream.h"
#include "support/random.h"
#include "support/suite.h"
#include <stdlib.h>
#include <string.h>

enum {
	KIBIBYTE = 1024,
	MEBIBYTE = 1 << 20,
	LARGE = 3 * MEBIBYTE,
	LITTLE = 32 * KIBIBYTE, /* that logs may still hold when nothing is under way */
};

static uint8_t bytes[4 * MEBIBYTE];

static Rpctest__Payload payload_of(size_t length)
{
	Rpctest__Payload payload = RPCTEST__PAYLOAD__INIT;

	payload.data.data = bytes;
	payload.data.len = length;
	return payload;
}

/* ---- cut ---- */

START_TEST(large_message_survives_cuts_everywhere)
{
	enum { SIZE = 300 * KIBIBYTE, STEP = 7919 };
	enum relay_end end = (enum relay_end)(_i / BOTH_WAYS % 2);
	enum relay_cut how = (enum relay_cut)(_i / BOTH_WAYS / 2);
	Rpctest__Payload request = payload_of(SIZE);
	struct relayed relayed;
	struct result result;
	bool was_cut = true;
	uint64_t at = 1;

	random_fill(bytes, SIZE);
	relayed_start(&relayed, _i % BOTH_WAYS, NULL, NULL);
	caller_echo(&relayed.caller);
	for (; was_cut; at += suite_rounds(100) < 100 ? 10 * STEP : STEP) {
		relay_cut_after(&relayed.relay, end, at, how);
		caller_call(&relayed.caller, ECHO, &request, NULL, &result);
		assert_ok(&result);
		ck_assert(result.is_echo);
		was_cut = relay_was_cut(&relayed.relay);
	}
	ck_assert_uint_gt(at, SIZE);
	ck_assert_uint_eq(client_stats(&relayed.caller).sessions_lost, 0);
	relayed_stop(&relayed);
}
END_TEST

/* Cuts every so many bytes, as long as it is not told to stop. */
struct cutter {
	struct relay *relay;
	int stamp;
	pthread_t thread;
	atomic_bool is_told, has_stopped;
};

static void *cut_again(void *data)
{
	struct cutter *cutter = data;

	for (unsigned i = 0; i < 40 && !cutter->is_told; i++) {
		relay_wait_cut(cutter->relay);
		relay_cut_after(cutter->relay,
				i & 1 ? from_callee(cutter->stamp) : from_caller(cutter->stamp),
				1 + i * UINT64_C(1000003) % 300000, (enum relay_cut)(i % 3));
	}
	cutter->has_stopped = true;
	return NULL;
}

static void cutter_stop(struct cutter *cutter, struct caller *caller)
{
	cutter->is_told = true;
	turn_until(caller, (relay_was_cut(cutter->relay), cutter->has_stopped));
	pthread_join(cutter->thread, NULL);
}

/* Several are under way, and it is cut again before it has got far. */
START_TEST(large_messages_survive_many_cuts)
{
	enum { CALLS = 3 };
	struct hawser_client_options options = relayed_options();
	Rpctest__Payload requests[CALLS];
	struct cutter cutter = {.is_told = false};
	struct pending calls[CALLS];
	struct relayed relayed;

	options.max_log_bytes = 64 * MEBIBYTE;
	random_fill(bytes, sizeof bytes);
	relayed_start(&relayed, _i, NULL, &options);
	caller_echo(&relayed.caller);
	cutter.relay = &relayed.relay;
	cutter.stamp = _i;
	relay_cut_after(&relayed.relay, from_caller(_i), 30000, CUT_ORDERLY);
	ck_assert_int_eq(pthread_create(&cutter.thread, NULL, cut_again, &cutter), 0);
	for (int i = 0; i < CALLS; i++) {
		requests[i] = payload_of(LARGE);
		requests[i].data.data = bytes + i * 1000;
		pending_call(&calls[i], &relayed.caller, ECHO, &requests[i]);
	}
	for (int i = 0; i < CALLS; i++) {
		pending_wait(&calls[i]);
		assert_ok(&calls[i].result);
		ck_assert(calls[i].result.is_echo);
	}
	cutter_stop(&cutter, &relayed.caller);
	ck_assert_uint_gt(client_stats(&relayed.caller).sessions_resumed, 1);
	ck_assert_uint_eq(client_stats(&relayed.caller).sessions_lost, 0);
	ck_assert_uint_eq(tester_executed(&relayed.tester), 1 + CALLS);
	relayed_stop(&relayed);
}
END_TEST

START_TEST(half_a_request_without_a_session_runs_nothing)
{
	struct hawser_client_options options = relayed_options();
	Rpctest__Payload request = payload_of(LARGE);
	struct relayed relayed;
	struct result result;

	options.no_session = true;
	relayed_start(&relayed, _i, NULL, &options);
	caller_echo(&relayed.caller);
	relay_cut_after(&relayed.relay, FROM_CLIENT, MEBIBYTE, CUT_ORDERLY);
	caller_call(&relayed.caller, ECHO, &request, NULL, &result);
	assert_failed(&result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "");
	ck_assert(relay_was_cut(&relayed.relay));
	turn_until(&relayed.caller, server_stats(&relayed.tester).connections == 0);
	ck_assert_uint_eq(server_stats(&relayed.tester).calls_in_flight, 0);
	ck_assert_uint_eq(tester_executed(&relayed.tester), 1);
	caller_echo(&relayed.caller);
	relayed_stop(&relayed);
}
END_TEST

/* ---- given up ---- */

/* An upload of which a part is under way. */
static void start_upload(struct relayed *relayed, struct pending *call, int stamp,
			 Rpctest__Payload *request, int64_t timeout_ms)
{
	relayed_start(relayed, stamp, NULL, NULL);
	caller_echo(&relayed->caller);
	relay_set_rate(&relayed->relay, 500);
	pending_init(call, &relayed->caller, ECHO, request);
	call->context.timeout_ms = timeout_ms;
	pending_start(call);
	turn_until(&relayed->caller,
		   relay_bytes(&relayed->relay, from_caller(stamp)) > 100 * KIBIBYTE);
	ck_assert_uint_gt(caller_log_bytes(relayed), LITTLE);
}

static void assert_nothing_left(struct relayed *relayed)
{
	relay_set_rate(&relayed->relay, 0);
	caller_echo(&relayed->caller);
	turn_until(&relayed->caller, client_stats(&relayed->caller).log_bytes < LITTLE);
	turn_until(&relayed->caller, server_stats(&relayed->tester).log_bytes < LITTLE);
	ck_assert_uint_eq(server_stats(&relayed->tester).calls_in_flight, 0);
	ck_assert_uint_eq(client_stats(&relayed->caller).calls_in_flight, 0);
	ck_assert_uint_eq(client_stats(&relayed->caller).sessions_lost, 0);
	ck_assert_uint_eq(server_stats(&relayed->tester).connections_accepted, 1);
}

START_TEST(cancelled_upload_leaves_nothing)
{
	Rpctest__Payload request = payload_of(LARGE);
	struct relayed relayed;
	struct pending call;

	start_upload(&relayed, &call, _i, &request, 0);
	pending_cancel(&call);
	pending_wait(&call);
	assert_failed(&call.result, HAWSER_CANCELLED, HAWSER_OUTCOME_UNKNOWN, "");
	/* What was not sent yet never will be. */
	ck_assert_uint_lt(relay_bytes(&relayed.relay, from_caller(_i)), LARGE);
	assert_nothing_left(&relayed);
	ck_assert_uint_eq(tester_executed(&relayed.tester), 2);
	relayed_stop(&relayed);
}
END_TEST

START_TEST(upload_whose_deadline_passes_leaves_nothing)
{
	Rpctest__Payload request = payload_of(LARGE);
	struct relayed relayed;
	struct pending call;

	start_upload(&relayed, &call, _i, &request, patient_ms(500));
	pending_wait(&call);
	ck_assert_int_eq(call.result.status, HAWSER_DEADLINE_EXCEEDED);
	assert_nothing_left(&relayed);
	ck_assert_uint_eq(tester_executed(&relayed.tester), 2);
	relayed_stop(&relayed);
}
END_TEST

START_TEST(cancelled_download_leaves_nothing)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct relayed relayed;
	struct pending call;

	request.number = LARGE;
	relayed_start(&relayed, _i, NULL, NULL);
	caller_echo(&relayed.caller);
	relay_set_rate(&relayed.relay, 500);
	pending_call(&call, &relayed.caller, GROW, &request);
	turn_until(&relayed.caller, relay_bytes(&relayed.relay, from_callee(_i)) > 100 * KIBIBYTE);
	ck_assert_uint_gt(callee_log_bytes(&relayed), LITTLE);
	pending_cancel(&call);
	pending_wait(&call);
	assert_failed(&call.result, HAWSER_CANCELLED, HAWSER_OUTCOME_UNKNOWN, "");
	assert_nothing_left(&relayed);
	relayed_stop(&relayed);
}
END_TEST

/* A stream's, of which one message is half on its way. */
START_TEST(freed_stream_leaves_nothing)
{
	struct stream stream = {.n = 0};
	struct relayed relayed;

	relayed_start(&relayed, _i % BOTH_WAYS, NULL, NULL);
	caller_echo(&relayed.caller);
	relay_set_rate(&relayed.relay, 500);
	stream_open(&stream, &relayed.caller, _i / BOTH_WAYS ? CHAT : GATHER, NULL, NULL);
	stream_pump_start(&stream, 20, SAMPLE_MOST);
	turn_until(&relayed.caller,
		   relay_bytes(&relayed.relay, from_caller(_i % BOTH_WAYS)) > 100 * KIBIBYTE);
	if (!relayed.caller.base) {
		ck_assert_int_eq(hawser_call_cancel(stream.call), 0);
		stream_pump_join(&stream);
	}
	stream_close(&stream);
	assert_nothing_left(&relayed);
	relayed_stop(&relayed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/large/cuts");
	TCase *tcase = suite_case(suite, "cut");

	tcase_add_loop_test(tcase, large_message_survives_cuts_everywhere, 0,
			    BOTH_WAYS * 2 * CUT_SERVER);
	tcase_add_loop_test(tcase, large_messages_survive_many_cuts, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, half_a_request_without_a_session_runs_nothing, 0, STAMPS);

	tcase = suite_case(suite, "given up");
	tcase_add_loop_test(tcase, cancelled_upload_leaves_nothing, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, upload_whose_deadline_passes_leaves_nothing, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, cancelled_download_leaves_nothing, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, freed_stream_leaves_nothing, 0, 2 * BOTH_WAYS);
	return suite_run(suite);
}
