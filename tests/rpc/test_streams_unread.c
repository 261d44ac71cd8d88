/* What has come and waits to be read has a bound for each connection, and so has the memory. */

#include "stream.h"
#include "support/suite.h"
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum {
	WINDOW = 256 * 1024,
	STREAMS = 8,
	FIT = 4, /* windows in the limit, with what each may be overdrawn by */
	LIMIT = FIT * WINDOW + WINDOW / 2,
	MOST = 3000,
	MESSAGES = 400, /* more than fit into a window */
};

#define LIMIT_TEXT "1179648"

static void start_reading(struct tester *tester, void *data)
{
	(void)data;
	for (unsigned i = 0; i < tester->n_held; i++)
		hawser_call_read_start(tester->held[i]);
}

static unsigned count_cancelled(struct tester *tester)
{
	unsigned n;

	pthread_mutex_lock(&tester->lock);
	n = tester->n_cancelled;
	pthread_mutex_unlock(&tester->lock);
	return n;
}

/* ---- above the limit ---- */

/* How many of them have failed, as their senders see it. */
static unsigned count_failed(struct stream *streams)
{
	unsigned n = 0;

	for (int i = 0; i < STREAMS; i++)
		n += streams[i].caller->base ? streams[i].result.n_ends : streams[i].pump.is_done;
	return n;
}

START_TEST(servers_limit_fails_the_call_that_brings_more)
{
	struct hawser_server_options options = tester_options();
	struct stream streams[STREAMS];
	unsigned n_ok = 0;
	struct pair pair;

	options.stream_window_bytes = options.max_stream_window_bytes = WINDOW;
	options.max_unread_bytes = LIMIT;
	pair_start(&pair, _i, &options, NULL);
	caller_echo(&pair.caller);
	memset(streams, 0, sizeof streams);
	for (int i = 0; i < STREAMS; i++) {
		stream_open(&streams[i], &pair.caller, GATHER, NULL, NULL);
		ck_assert_int_eq(stream_send_order(&streams[i], "stop", 0), 0);
		stream_pump_start(&streams[i], MESSAGES, MOST);
	}
	turn_until(&pair.caller, count_failed(streams) == STREAMS - FIT);
	for (int i = 0; i < 20; i++)
		caller_echo(&pair.caller);
	ck_assert_uint_eq(count_failed(streams), STREAMS - FIT);
	tester_wait_streamed(&pair.tester, STREAMS - FIT);
	caller_order(&pair.caller, &pair.tester, start_reading, NULL);
	for (int i = 0; i < STREAMS; i++) {
		struct stream *stream = &streams[i];

		stream_await(stream, UINT64_MAX);
		stream_pump_join(stream);
		if (stream->result.status == HAWSER_OK) {
			n_ok++;
			ck_assert_uint_eq(stream->result.id, MESSAGES);
			ck_assert_str_eq(stream->text, "in order");
		} else {
			assert_failed(&stream->result, HAWSER_RESOURCE_EXHAUSTED,
				      HAWSER_OUTCOME_EXECUTED, LIMIT_TEXT);
		}
		stream_close(stream);
	}
	ck_assert_uint_eq(n_ok, FIT);
	caller_echo(&pair.caller);
	pair_stop(&pair);
}
END_TEST

START_TEST(clients_limit_fails_the_call_that_brings_more)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	static uint8_t zeros[MOST];
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct stream streams[STREAMS];
	unsigned n_ok = 0;
	struct pair pair;

	options.stream_window_bytes = options.max_stream_window_bytes = WINDOW;
	options.max_unread_bytes = LIMIT;
	request.number = MESSAGES;
	request.data.data = zeros;
	request.data.len = sizeof zeros;
	pair_start(&pair, _i, NULL, &options);
	memset(streams, 0, sizeof streams);
	for (int i = 0; i < STREAMS; i++) {
		stream_open(&streams[i], &pair.caller, WATCH, &request, NULL);
		if (pair.caller.base)
			ck_assert_int_eq(hawser_call_read_stop(streams[i].call), 0);
	}
	/* Their handlers are told. */
	while (count_cancelled(&pair.tester) < STREAMS - FIT)
		caller_echo(&pair.caller);
	for (int i = 0; i < 20; i++)
		caller_echo(&pair.caller);
	ck_assert_uint_eq(count_cancelled(&pair.tester), STREAMS - FIT);
	for (int i = 0; i < STREAMS; i++) {
		struct stream *stream = &streams[i];

		if (pair.caller.base && !stream->result.n_ends)
			ck_assert_int_eq(hawser_call_read_start(stream->call), 0);
		stream_await(stream, UINT64_MAX);
		ck_assert_uint_eq(stream->n_wrong, 0);
		if (stream->result.status == HAWSER_OK) {
			n_ok++;
			ck_assert_uint_eq(stream->n, MESSAGES);
		} else {
			ck_assert_int_eq(stream->result.status, HAWSER_RESOURCE_EXHAUSTED);
			ck_assert_msg(strstr(stream->result.error.message, LIMIT_TEXT), "%s",
				      stream->result.error.message);
		}
		stream_close(stream);
	}
	ck_assert_uint_eq(n_ok, FIT);
	caller_echo(&pair.caller);
	pair_stop(&pair);
}
END_TEST

/* ---- below it ---- */

/* What is read makes room again: as much as one likes may pass. */
START_TEST(what_was_read_does_not_count)
{
	struct hawser_server_options server = tester_options();
	struct hawser_client_options client = HAWSER_CLIENT_OPTIONS_INIT;
	struct stream stream = {.n = 0};
	struct pair pair;

	server.stream_window_bytes = client.stream_window_bytes = WINDOW;
	server.max_stream_window_bytes = client.max_stream_window_bytes = WINDOW;
	server.max_unread_bytes = client.max_unread_bytes = WINDOW + 2 * MOST;
	pair_start(&pair, _i, &server, &client);
	stream_open(&stream, &pair.caller, CHAT, NULL, NULL);
	stream_pump(&stream, 10 * MESSAGES, MOST);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.n, 10 * MESSAGES);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

/* ---- memory ---- */

static size_t heap(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* Both ends are in this process. One window is at the reader's, and what the sender keeps until it
 * is acknowledged is less than another. */
START_TEST(never_reading_costs_a_window_and_no_more)
{
	enum { SLACK = 512 * 1024 };
	struct hawser_client_options client = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_server_options server = tester_options();
	static uint8_t zeros[MOST];
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct stream watch = {.n = 0}, gather = {.n = 0};
	uint64_t n_fit = samples_in_window(WINDOW, 6, 1, MOST);
	size_t before, after;
	struct pair pair;

	server.stream_window_bytes = client.stream_window_bytes = WINDOW;
	server.max_stream_window_bytes = client.max_stream_window_bytes = WINDOW;
	request.number = INT64_MAX;
	request.data.data = zeros;
	request.data.len = sizeof zeros;
	pair_start(&pair, _i, &server, &client);
	caller_echo(&pair.caller);
	before = heap();
	stream_open(&watch, &pair.caller, WATCH, &request, NULL);
	if (pair.caller.base)
		ck_assert_int_eq(hawser_call_read_stop(watch.call), 0);
	stream_open(&gather, &pair.caller, GATHER, NULL, NULL);
	ck_assert_int_eq(stream_send_order(&gather, "stop", 0), 0);
	stream_pump_start(&gather, MESSAGES, MOST);
	turn_until(&pair.caller, gather.n_sent == n_fit);
	turn_until(&pair.caller, atomic_load(&pair.tester.n_replies) >= WINDOW / (MOST + 24));
	for (int i = 0; i < 200; i++)
		caller_echo(&pair.caller);
	after = heap();
	if (!is_slow_build() && !is_under_valgrind())
		ck_assert_uint_lt(after - before, 2 * 2 * WINDOW + SLACK);
	ck_assert_uint_eq(gather.n_sent, n_fit);
	ck_assert_int_eq(hawser_call_cancel(gather.call), 0);
	stream_pump_join(&gather);
	stream_close(&gather);
	stream_close(&watch);
	pair_stop(&pair);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/streams/unread");
	TCase *tcase = suite_case(suite, "limits");

	tcase_add_loop_test(tcase, servers_limit_fails_the_call_that_brings_more, 0, STAMPS);
	tcase_add_loop_test(tcase, clients_limit_fails_the_call_that_brings_more, 0, STAMPS);
	tcase_add_loop_test(tcase, what_was_read_does_not_count, 0, STAMPS);

	tcase = suite_case(suite, "memory");
	tcase_add_loop_test(tcase, never_reading_costs_a_window_and_no_more, 0, STAMPS);
	return suite_run(suite);
}
