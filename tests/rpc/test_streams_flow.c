/* Flow control: who does not read stops its own sender and nobody else, as long as it likes. */

#include "stream.h"
#include "support/suite.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	WINDOW = 64 * 1024,
	MOST = 1000,
	ORDER_BYTES = 6, /* of a message with the text "stop" */
	MESSAGES = 1000, /* more than fit */
};

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

/* Both ends' windows, and what they may grow to. */
static void start(struct pair *pair, int stamp, size_t window)
{
	struct hawser_client_options client = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_server_options server = tester_options();

	client.stream_window_bytes = client.max_stream_window_bytes = window;
	server.stream_window_bytes = server.max_stream_window_bytes = window;
	pair_start(pair, stamp, &server, &client);
	/* Only now the client knows the server's. */
	caller_echo(&pair->caller);
}

static void start_reading(struct tester *tester, void *data)
{
	(void)data;
	for (unsigned i = 0; i < tester->n_held; i++)
		hawser_call_read_start(tester->held[i]);
}

static void stop_reading(struct tester *tester, void *data)
{
	(void)data;
	for (unsigned i = 0; i < tester->n_held; i++)
		hawser_call_read_stop(tester->held[i]);
}

/* Its handler reads nothing behind the first message. */
static void open_stopped(struct stream *stream, struct pair *pair, enum method method,
			 const struct hawser_context *context)
{
	stream_open(stream, &pair->caller, method, NULL, context);
	ck_assert_int_eq(stream_send_order(stream, "stop", 0), 0);
}

static uint64_t fitting(void)
{
	return samples_in_window(WINDOW, ORDER_BYTES, 1, MOST);
}

/* ---- a server that does not read ---- */

START_TEST(server_that_stops_reading_stops_only_that_sender)
{
	struct stream stopped = {.n = 0}, other = {.n = 0};
	struct pair pair;

	start(&pair, _i, WINDOW);
	open_stopped(&stopped, &pair, GATHER, NULL);
	stream_pump_start(&stopped, MESSAGES, MOST);
	turn_until(&pair.caller, stopped.n_sent == fitting());
	for (int i = 0; i < 20; i++)
		caller_echo(&pair.caller);
	if (!is_async(_i) && !is_reversed(_i))
		ck_assert_int_eq(hawser_client_ping(pair.caller.client, NULL, NULL), 0);
	stream_open(&other, &pair.caller, CHAT, NULL, NULL);
	stream_pump(&other, MESSAGES, MOST);
	stream_finish(&other, HAWSER_OK);
	ck_assert_uint_eq(other.n, MESSAGES);
	ck_assert_uint_eq(stopped.n_sent, fitting());
	ck_assert_uint_eq(atomic_load(&pair.tester.n_requests), 1 + MESSAGES);
	caller_order(&pair.caller, &pair.tester, start_reading, NULL);
	stream_finish(&stopped, HAWSER_OK);
	stream_pump_join(&stopped);
	ck_assert_str_eq(stopped.text, "in order");
	ck_assert_uint_eq(stopped.result.id, MESSAGES);
	stream_close(&stopped);
	stream_close(&other);
	pair_stop(&pair);
}
END_TEST

/* Now and then, in the middle of a stream. */
START_TEST(server_stops_and_starts_reading)
{
	enum { TIMES = 20, EACH = 100 };
	struct stream stream = {.n = 0};
	uint64_t n_requests;
	struct pair pair;

	start(&pair, _i, WINDOW);
	open_stopped(&stream, &pair, GATHER, NULL);
	stream_pump_start(&stream, TIMES * EACH, MOST);
	for (int i = 1; i < TIMES; i++) {
		caller_order(&pair.caller, &pair.tester, start_reading, NULL);
		turn_until(&pair.caller, atomic_load(&pair.tester.n_requests) > (uint64_t)i * EACH);
		caller_order(&pair.caller, &pair.tester, stop_reading, NULL);
		n_requests = atomic_load(&pair.tester.n_requests);
		caller_echo(&pair.caller);
		ck_assert_uint_eq(atomic_load(&pair.tester.n_requests), n_requests);
	}
	caller_order(&pair.caller, &pair.tester, start_reading, NULL);
	stream_finish(&stream, HAWSER_OK);
	stream_pump_join(&stream);
	ck_assert_uint_eq(stream.result.id, TIMES * EACH);
	ck_assert_str_eq(stream.text, "in order");
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

/* The last of the requests has to wait, too. */
START_TEST(end_of_requests_comes_when_reading_starts)
{
	struct stream stream = {.n = 0};
	struct pair pair;

	start(&pair, _i, WINDOW);
	open_stopped(&stream, &pair, CHAT, NULL);
	ck_assert_int_eq(stream_send_samples(&stream, 5, MOST), 0);
	ck_assert_int_eq(hawser_call_end(stream.call), 0);
	for (int i = 0; i < 5; i++)
		caller_echo(&pair.caller);
	ck_assert_uint_eq(tester_streamed(&pair.tester), 0);
	ck_assert_uint_eq(stream.result.n_ends, 0);
	caller_order(&pair.caller, &pair.tester, start_reading, NULL);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.n, 5);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

/* ---- what a sender is told ---- */

static void count_run(struct hawser_call *call, void *data)
{
	(void)call;
	++*(unsigned *)data;
}

START_TEST(full_window_is_told_and_so_is_its_end)
{
	unsigned n_runs = 0, n_at_once = 0;
	struct stream stream = {.n = 0};
	Rpctest__Payload message;
	struct pair pair;
	uint64_t n = 0;
	int r;

	start(&pair, async_stamp(_i), WINDOW);
	open_stopped(&stream, &pair, GATHER, NULL);
	/* At once where there is room, though not before the loop runs. */
	ck_assert_int_eq(hawser_call_on_writable(stream.call, count_run, &n_at_once), 0);
	ck_assert_uint_eq(n_at_once, 0);
	base_run_until(pair.caller.base, &n_at_once, 1);
	do {
		message = sample_of(++n, MOST);
		r = rpctest_tester_gather_send(stream.call, &message);
	} while (r == 0);
	ck_assert_int_eq(r, -EAGAIN);
	ck_assert_uint_eq(n - 1, fitting());
	ck_assert_int_eq(hawser_call_on_writable(stream.call, count_run, &n_at_once), 0);
	ck_assert_int_eq(hawser_call_on_writable(stream.call, NULL, NULL), 0);
	ck_assert_int_eq(hawser_call_on_writable(stream.call, count_run, &n_runs), 0);
	for (int i = 0; i < 10; i++)
		caller_echo(&pair.caller);
	ck_assert_uint_eq(n_runs, 0);
	ck_assert_int_eq(rpctest_tester_gather_send(stream.call, &message), -EAGAIN);
	caller_order(&pair.caller, &pair.tester, start_reading, NULL);
	base_run_until(pair.caller.base, &n_runs, 1);
	ck_assert_int_eq(rpctest_tester_gather_send(stream.call, &message), 0);
	for (int i = 0; i < 10; i++)
		caller_echo(&pair.caller);
	ck_assert_uint_eq(n_runs, 1);
	ck_assert_uint_eq(n_at_once, 1);
	/* The end needs no window. */
	ck_assert_int_eq(hawser_call_end(stream.call), 0);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.result.id, n);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

/* A blocking client waits in send, one on a base for its callback. */
START_TEST(sender_that_waits_is_ended_by_its_deadline)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct stream stream = {.n = 0};
	struct pair pair;

	context.timeout_ms = patient_ms(200);
	start(&pair, _i, WINDOW);
	open_stopped(&stream, &pair, GATHER, &context);
	ck_assert_int_eq(stream_send_samples(&stream, MESSAGES, MOST), -EPIPE);
	ck_assert_uint_eq(stream.n_sent, fitting());
	ck_assert_int_eq(hawser_call_error(stream.call)->status, HAWSER_DEADLINE_EXCEEDED);
	stream_finish(&stream, HAWSER_DEADLINE_EXCEEDED);
	stream_close(&stream);
	tester_wait_cancelled(&pair.tester, 1);
	tester_wait_streamed(&pair.tester, 1);
	caller_echo(&pair.caller);
	pair_stop(&pair);
}
END_TEST

START_TEST(sender_that_waits_is_ended_by_cancel)
{
	struct stream stream = {.n = 0};
	struct pair pair;

	start(&pair, _i, WINDOW);
	open_stopped(&stream, &pair, _i / BOTH_WAYS ? CHAT : GATHER, NULL);
	stream_pump_start(&stream, MESSAGES, MOST);
	turn_until(&pair.caller, stream.n_sent == fitting());
	caller_echo(&pair.caller);
	ck_assert_int_eq(hawser_call_cancel(stream.call), 0);
	stream_pump_join(&stream);
	ck_assert_uint_eq(stream.n_sent, fitting());
	ck_assert_int_eq(stream_send(&stream, &empty), -EPIPE);
	stream_finish(&stream, HAWSER_CANCELLED);
	caller_echo(&pair.caller);
	tester_wait_cancelled(&pair.tester, 1);
	tester_wait_streamed(&pair.tester, 1);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

/* ---- a client that does not read ---- */

static Rpctest__Payload watch_of(int64_t number, size_t length)
{
	static uint8_t zeros[WINDOW];
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;

	request.number = number;
	request.data.data = zeros;
	request.data.len = length;
	return request;
}

/* A blocking client does not receive. */
static void open_unread(struct stream *stream, struct caller *caller,
			const Rpctest__Payload *request)
{
	stream_open(stream, caller, WATCH, request, NULL);
	if (caller->base)
		ck_assert_int_eq(hawser_call_read_stop(stream->call), 0);
}

static void read_again(struct stream *stream)
{
	uint64_t n = stream->n;

	if (!stream->caller->base)
		return;
	ck_assert_int_eq(hawser_call_read_start(stream->call), 0);
	/* Not before the loop runs. */
	ck_assert_uint_eq(stream->n, n);
}

START_TEST(client_that_does_not_read_stops_only_that_handler)
{
	enum { LENGTH = 500, HEAD = 3 + 2 + 16 };
	Rpctest__Payload request = watch_of(MESSAGES, LENGTH), few = watch_of(20, 0);
	struct stream stopped = {.n = 0}, other = {.n = 0};
	struct pair pair;
	uint64_t n_fit;

	start(&pair, _i, WINDOW);
	open_unread(&stopped, &pair.caller, &request);
	/* The first message has an id of one byte more. */
	turn_until(&pair.caller,
		   atomic_load(&pair.tester.n_replies) >= WINDOW / (LENGTH + HEAD + 2));
	for (int i = 0; i < 20; i++)
		caller_echo(&pair.caller);
	n_fit = atomic_load(&pair.tester.n_replies);
	ck_assert_uint_le(n_fit, 1 + WINDOW / (LENGTH + HEAD));
	if (!is_async(_i) && !is_reversed(_i))
		ck_assert_int_eq(hawser_client_ping(pair.caller.client, NULL, NULL), 0);
	stream_open(&other, &pair.caller, WATCH, &few, NULL);
	stream_finish(&other, HAWSER_OK);
	ck_assert_uint_eq(other.n, 20);
	ck_assert_uint_eq(atomic_load(&pair.tester.n_replies), n_fit + 20);
	ck_assert_uint_eq(stopped.n, 0);
	read_again(&stopped);
	stream_finish(&stopped, HAWSER_OK);
	ck_assert_uint_eq(stopped.n, MESSAGES);
	stream_close(&stopped);
	stream_close(&other);
	pair_stop(&pair);
}
END_TEST

static void stop_at_five(struct stream *stream, const Rpctest__Payload *message)
{
	if (stream->n == 5)
		hawser_call_read_stop(stream->call);
	stream->n_wrong += message->id != stream->n;
}

START_TEST(reading_stops_in_the_callback_and_starts_again)
{
	struct stream stream = {.then = stop_at_five};
	Rpctest__Payload request = watch_of(MESSAGES, 100);
	struct pair pair;

	start(&pair, async_stamp(_i), WINDOW);
	stream_open(&stream, &pair.caller, WATCH, &request, NULL);
	for (int i = 0; i < 10; i++)
		caller_echo(&pair.caller);
	ck_assert_uint_eq(stream.n, 5);
	/* Stopped once more before anything could come. */
	read_again(&stream);
	ck_assert_int_eq(hawser_call_read_stop(stream.call), 0);
	for (int i = 0; i < 10; i++)
		caller_echo(&pair.caller);
	ck_assert_uint_eq(stream.n, 5);
	read_again(&stream);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.n, MESSAGES);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

START_TEST(success_waits_for_who_does_not_read_and_failure_does_not)
{
	struct stream ends = {.n = 0}, fails = {.n = 0};
	Rpctest__Payload request = watch_of(20, 100);
	struct pair pair;

	start(&pair, async_stamp(_i), WINDOW);
	open_unread(&ends, &pair.caller, &request);
	request.text = (char *)"no more";
	open_unread(&fails, &pair.caller, &request);
	for (int i = 0; i < 10; i++)
		caller_echo(&pair.caller);
	ck_assert_uint_eq(fails.result.n_ends, 1);
	ck_assert_int_eq(fails.result.status, HAWSER_ABORTED);
	ck_assert_uint_eq(fails.n, 0);
	ck_assert_int_eq(hawser_call_read_start(fails.call), -EPIPE);
	ck_assert_uint_eq(ends.result.n_ends, 0);
	read_again(&ends);
	stream_finish(&ends, HAWSER_OK);
	ck_assert_uint_eq(ends.n, 20);
	ck_assert_int_eq(hawser_call_read_stop(ends.call), -EPIPE);
	stream_close(&ends);
	stream_close(&fails);
	pair_stop(&pair);
}
END_TEST

/* It may be cancelled and freed while messages wait. */
START_TEST(who_does_not_read_may_leave)
{
	struct stream streams[3] = {{.n = 0}};
	Rpctest__Payload request = watch_of(MESSAGES, 500);
	struct pair pair;

	start(&pair, _i, WINDOW);
	for (int i = 0; i < 3; i++)
		open_unread(&streams[i], &pair.caller, &request);
	for (int i = 0; i < 10; i++)
		caller_echo(&pair.caller);
	ck_assert_int_eq(hawser_call_cancel(streams[0].call), 0);
	stream_close(&streams[0]);
	stream_close(&streams[1]);
	for (int i = 0; i < 10; i++)
		caller_echo(&pair.caller);
	tester_wait_cancelled(&pair.tester, 2);
	ck_assert_uint_eq(streams[1].n + streams[1].result.n_ends, 0);
	/* The third is still there when its client goes, or the server that has called. */
	caller_deinit(&pair.caller);
	ck_assert_int_eq(hawser_call_error(streams[2].call)->status,
			 is_reversed(_i) ? HAWSER_UNAVAILABLE : HAWSER_CANCELLED);
	stream_close(&streams[2]);
	tester_wait_cancelled(&pair.tester, 3);
	tester_stop(&pair.tester);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/streams/flow");
	TCase *tcase = suite_case(suite, "servers");

	tcase_add_loop_test(tcase, server_that_stops_reading_stops_only_that_sender, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, server_stops_and_starts_reading, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, end_of_requests_comes_when_reading_starts, 0, BOTH_WAYS);

	tcase = suite_case(suite, "senders");
	tcase_add_loop_test(tcase, full_window_is_told_and_so_is_its_end, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, sender_that_waits_is_ended_by_its_deadline, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, sender_that_waits_is_ended_by_cancel, 0, 2 * BOTH_WAYS);

	tcase = suite_case(suite, "clients");
	tcase_add_loop_test(tcase, client_that_does_not_read_stops_only_that_handler, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, reading_stops_in_the_callback_and_starts_again, 0,
			    2 * TRANSPORTS);
	tcase_add_loop_test(tcase, success_waits_for_who_does_not_read_and_failure_does_not, 0,
			    2 * TRANSPORTS);
	tcase_add_loop_test(tcase, who_does_not_read_may_leave, 0, BOTH_WAYS);
	return suite_run(suite);
}
