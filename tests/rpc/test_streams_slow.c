/* Peers that take too little: waited for, or done with as the options say, and told why. */

#include "raw.h"
#include "stream.h"
#include "support/suite.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	WINDOW = 16 * 1024,
	MOST = 1000,
	LARGE = 200 * 1024, /* comes in pieces */
	MESSAGES = 1000,
	REASON_BYTES = 256 * 1024,
};

static uint8_t zeros[LARGE];

static Rpctest__Payload watch_of(int64_t number, size_t length)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;

	request.number = number;
	request.data.data = zeros;
	request.data.len = length;
	return request;
}

static void start_reading(struct tester *tester, void *data)
{
	(void)data;
	for (unsigned i = 0; i < tester->n_held; i++)
		hawser_call_read_start(tester->held[i]);
}

/* ---- a client that takes too little ---- */

struct slow {
	struct pair pair;
	struct stream stream;
};

/* It reads nothing of a stream. */
static void slow_start(struct slow *slow, int stamp, enum hawser_slow_peer policy)
{
	struct hawser_client_options client = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_server_options server = tester_options();
	Rpctest__Payload request = watch_of(MESSAGES, MOST);

	client.stream_window_bytes = client.max_stream_window_bytes = WINDOW;
	server.slow_peer = policy;
	server.slow_peer_timeout_ms = patient_ms(100);
	memset(&slow->stream, 0, sizeof slow->stream);
	pair_start(&slow->pair, stamp, &server, &client);
	caller_echo(&slow->pair.caller);
	stream_open(&slow->stream, &slow->pair.caller, WATCH, &request, NULL);
	if (slow->pair.caller.base)
		ck_assert_int_eq(hawser_call_read_stop(slow->stream.call), 0);
}

static void slow_stop(struct slow *slow)
{
	stream_close(&slow->stream);
	pair_stop(&slow->pair);
}

START_TEST(slow_client_is_waited_for)
{
	struct slow slow;

	slow_start(&slow, _i, HAWSER_SLOW_PEER_WAIT);
	for (unsigned ms = 0; ms < 3 * patient_ms(100); ms++)
		caller_turn(&slow.pair.caller);
	if (slow.pair.caller.base)
		ck_assert_int_eq(hawser_call_read_start(slow.stream.call), 0);
	stream_finish(&slow.stream, HAWSER_OK);
	ck_assert_uint_eq(slow.stream.n, MESSAGES);
	ck_assert_uint_eq(server_stats(&slow.pair.tester).slow_peers, 0);
	slow_stop(&slow);
}
END_TEST

START_TEST(slow_clients_call_fails)
{
	struct slow slow;

	slow_start(&slow, _i, HAWSER_SLOW_PEER_FAIL_CALL);
	turn_until(&slow.pair.caller, tester_streamed(&slow.pair.tester) == 1);
	ck_assert_uint_eq(server_stats(&slow.pair.tester).slow_peers, 1);
	stream_finish(&slow.stream, HAWSER_RESOURCE_EXHAUSTED);
	assert_failed(&slow.stream.result, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_EXECUTED,
		      "slow_peer");
	ck_assert_ptr_nonnull(strstr(slow.stream.result.error.message, " ms"));
	caller_echo(&slow.pair.caller);
	ck_assert_uint_eq(server_stats(&slow.pair.tester).connections_accepted, 1);
	slow_stop(&slow);
}
END_TEST

START_TEST(slow_clients_connection_is_closed)
{
	struct slow slow;

	slow_start(&slow, _i, HAWSER_SLOW_PEER_CLOSE);
	turn_until(&slow.pair.caller, tester_streamed(&slow.pair.tester) == 1);
	ck_assert_uint_eq(server_stats(&slow.pair.tester).slow_peers, 1);
	stream_finish(&slow.stream, HAWSER_UNAVAILABLE);
	assert_failed(&slow.stream.result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "slow_peer");
	turn_until(&slow.pair.caller, server_stats(&slow.pair.tester).connections == 0);
	ck_assert_uint_eq(server_stats(&slow.pair.tester).sessions, 0);
	caller_echo(&slow.pair.caller);
	ck_assert_uint_eq(server_stats(&slow.pair.tester).connections_accepted, 2);
	slow_stop(&slow);
}
END_TEST

/* Little by little is enough, and so is a stream that waits for nothing. */
START_TEST(steady_client_is_spared)
{
	struct stream idle = {.n = 0};
	struct slow slow;

	slow_start(&slow, _i, HAWSER_SLOW_PEER_FAIL_CALL);
	stream_open(&idle, &slow.pair.caller, CHAT, NULL, NULL);
	ck_assert_int_eq(stream_send_samples(&idle, 1, MOST), 0);
	ck_assert(stream_await(&idle, 1));
	while (slow.stream.n < MESSAGES && !slow.stream.result.n_ends) {
		if (slow.pair.caller.base)
			ck_assert_int_eq(hawser_call_read_start(slow.stream.call), 0);
		stream_await(&slow.stream, slow.stream.n + 10);
		if (slow.pair.caller.base && !slow.stream.result.n_ends)
			ck_assert_int_eq(hawser_call_read_stop(slow.stream.call), 0);
		for (int i = 0; i < 4; i++)
			caller_turn(&slow.pair.caller);
	}
	stream_finish(&slow.stream, HAWSER_OK);
	ck_assert_uint_eq(server_stats(&slow.pair.tester).slow_peers, 0);
	ck_assert_int_eq(hawser_call_end(idle.call), 0);
	stream_finish(&idle, HAWSER_OK);
	stream_close(&idle);
	slow_stop(&slow);
}
END_TEST

/* ---- a server that takes too little ---- */

/* A handler reads nothing of a stream. */
static void slow_server_start_with(struct slow *slow, int stamp, enum hawser_slow_peer policy,
				   unsigned timeout_ms)
{
	struct hawser_client_options client = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_server_options server = tester_options();

	server.stream_window_bytes = server.max_stream_window_bytes = WINDOW;
	client.slow_peer = policy;
	client.slow_peer_timeout_ms = timeout_ms;
	memset(&slow->stream, 0, sizeof slow->stream);
	pair_start(&slow->pair, stamp, &server, &client);
	caller_echo(&slow->pair.caller);
	stream_open(&slow->stream, &slow->pair.caller, GATHER, NULL, NULL);
	ck_assert_int_eq(stream_send_order(&slow->stream, "stop", 0), 0);
}

static void slow_server_start(struct slow *slow, int stamp, enum hawser_slow_peer policy)
{
	slow_server_start_with(slow, stamp, policy, patient_ms(100));
}

START_TEST(slow_server_is_waited_for)
{
	struct slow slow;

	slow_server_start(&slow, _i, HAWSER_SLOW_PEER_WAIT);
	stream_pump_start(&slow.stream, MESSAGES, MOST);
	for (unsigned ms = 0; ms < 3 * patient_ms(100); ms++)
		caller_turn(&slow.pair.caller);
	caller_order(&slow.pair.caller, &slow.pair.tester, start_reading, NULL);
	stream_finish(&slow.stream, HAWSER_OK);
	stream_pump_join(&slow.stream);
	ck_assert_uint_eq(slow.stream.result.id, MESSAGES);
	slow_stop(&slow);
}
END_TEST

START_TEST(slow_servers_call_fails)
{
	struct slow slow;

	slow_server_start(&slow, _i, HAWSER_SLOW_PEER_FAIL_CALL);
	ck_assert_int_eq(stream_send_samples(&slow.stream, MESSAGES, MOST), -EPIPE);
	stream_finish(&slow.stream, HAWSER_RESOURCE_EXHAUSTED);
	ck_assert_ptr_nonnull(strstr(slow.stream.result.error.message, "slow_peer"));
	turn_until(&slow.pair.caller, tester_streamed(&slow.pair.tester) == 1);
	caller_echo(&slow.pair.caller);
	ck_assert_uint_eq(server_stats(&slow.pair.tester).connections_accepted, 1);
	slow_stop(&slow);
}
END_TEST

/* Not at the second look of somebody who looks once a second. */
START_TEST(slow_server_is_noticed_in_time)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct slow slow;

	slow_server_start_with(&slow, _i, HAWSER_SLOW_PEER_FAIL_CALL, 20);
	stream_close(&slow.stream);
	memset(&slow.stream, 0, sizeof slow.stream);
	context.timeout_ms = is_slow_build() ? 60000 : 1500;
	stream_open(&slow.stream, &slow.pair.caller, GATHER, NULL, &context);
	ck_assert_int_eq(stream_send_order(&slow.stream, "stop", 0), 0);
	ck_assert_int_eq(stream_send_samples(&slow.stream, MESSAGES, MOST), -EPIPE);
	stream_finish(&slow.stream, HAWSER_RESOURCE_EXHAUSTED);
	slow_stop(&slow);
}
END_TEST

START_TEST(slow_servers_connection_is_closed)
{
	struct slow slow;

	slow_server_start(&slow, _i, HAWSER_SLOW_PEER_CLOSE);
	ck_assert_int_eq(stream_send_samples(&slow.stream, MESSAGES, MOST), -EPIPE);
	stream_await(&slow.stream, UINT64_MAX);
	ck_assert_int_ne(slow.stream.result.status, HAWSER_OK);
	ck_assert_msg(strstr(slow.stream.result.error.message, "slow_peer"), "%s",
		      slow.stream.result.error.message);
	turn_until(&slow.pair.caller, tester_streamed(&slow.pair.tester) == 1);
	caller_echo(&slow.pair.caller);
	ck_assert_uint_eq(server_stats(&slow.pair.tester).connections_accepted, 2);
	slow_stop(&slow);
}
END_TEST

/* ---- so much that too much waits ---- */

/* Clients by hand whose windows are wide open, and that acknowledge nothing of their session. */

/* It reads nothing, either, before its call has failed. */
START_TEST(too_much_for_a_client_fails_its_largest_call)
{
	struct hawser_server_options options = tester_options();
	Rpctest__Payload request = watch_of(INT64_MAX, _i / TRANSPORTS ? MOST : LARGE);
	struct raw_session session = {.id = 0};
	struct tester tester;
	bool has_ended = false;
	int fd;

	options.slow_peer = HAWSER_SLOW_PEER_FAIL_CALL;
	options.slow_peer_bytes = REASON_BYTES;
	tester_start(&tester, transport_of(_i % TRANSPORTS), &options);
	fd = raw_connect(tester.address);
	raw_open_session(fd, &session);
	ck_assert(raw_call(fd, 1, WATCH, &request));
	ck_assert(raw_window(fd, 1, 1 << 30));
	tester_wait_cancelled(&tester, 1);
	ck_assert_uint_eq(server_stats(&tester).slow_peers, 1);
	while (!has_ended) {
		Hawser__Frame *frame = raw_receive(fd);

		ck_assert_ptr_nonnull(frame);
		has_ended = frame->kind_case == HAWSER__FRAME__KIND_END;
		if (has_ended) {
			ck_assert_uint_eq(frame->end->id, 1);
			ck_assert_uint_eq(frame->end->status, HAWSER_RESOURCE_EXHAUSTED);
			ck_assert_ptr_nonnull(strstr(frame->end->text, "262144"));
		}
		hawser__frame__free_unpacked(frame, NULL);
	}
	close(fd);
	tester_stop(&tester);
}
END_TEST

START_TEST(client_for_whom_too_much_waits_is_let_go)
{
	bool reads = _i / TRANSPORTS % 2;
	struct hawser_server_options options = tester_options();
	Rpctest__Payload request = watch_of(INT64_MAX, _i / TRANSPORTS / 2 ? MOST : LARGE);
	struct raw_session session = {.id = 0};
	struct tester tester;
	struct caller other;
	int fd;

	options.slow_peer = HAWSER_SLOW_PEER_CLOSE;
	options.slow_peer_bytes = REASON_BYTES;
	tester_start(&tester, transport_of(_i % TRANSPORTS), &options);
	caller_init(&other, tester.address, false, NULL);
	fd = raw_connect(tester.address);
	raw_open_session(fd, &session);
	ck_assert(raw_call(fd, 1, WATCH, &request));
	ck_assert(raw_window(fd, 1, 1 << 30));
	while (reads) {
		Hawser__Frame *frame = raw_receive(fd);

		ck_assert_ptr_nonnull(frame);
		if (frame->kind_case == HAWSER__FRAME__KIND_CLOSE) {
			ck_assert_int_eq(frame->close->reason, HAWSER__REASON__REASON_TOO_SLOW);
			ck_assert_ptr_nonnull(strstr(frame->close->text, "262144"));
			reads = false;
		}
		hawser__frame__free_unpacked(frame, NULL);
	}
	tester_wait_cancelled(&tester, 1);
	ck_assert_uint_eq(server_stats(&tester).slow_peers, 1);
	raw_drain(fd);
	while (server_stats(&tester).sessions != 0)
		poll(NULL, 0, 1);
	caller_echo(&other);
	caller_deinit(&other);
	close(fd);
	tester_stop(&tester);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/streams/slow");
	TCase *tcase = suite_case(suite, "clients");

	tcase_add_loop_test(tcase, slow_client_is_waited_for, 0, STAMPS);
	tcase_add_loop_test(tcase, slow_clients_call_fails, 0, STAMPS);
	tcase_add_loop_test(tcase, slow_clients_connection_is_closed, 0, STAMPS);
	tcase_add_loop_test(tcase, steady_client_is_spared, 0, STAMPS);

	tcase = suite_case(suite, "servers");
	tcase_add_loop_test(tcase, slow_server_is_waited_for, 0, STAMPS);
	tcase_add_loop_test(tcase, slow_servers_call_fails, 0, STAMPS);
	tcase_add_loop_test(tcase, slow_server_is_noticed_in_time, 0, STAMPS);
	tcase_add_loop_test(tcase, slow_servers_connection_is_closed, 0, STAMPS);

	tcase = suite_case(suite, "bytes");
	tcase_add_loop_test(tcase, too_much_for_a_client_fails_its_largest_call, 0, 2 * TRANSPORTS);

	tcase = suite_case(suite, "closed");
	tcase_add_loop_test(tcase, client_for_whom_too_much_waits_is_let_go, 0, 4 * TRANSPORTS);
	return suite_run(suite);
}
