/* Windows that grow where the line is fast and long, and stay within their bounds. */

#include "stream.h"
#include "support/suite.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	KIBIBYTE = 1024,
	MEBIBYTE = 1 << 20,
	INITIAL = 256 * KIBIBYTE,
	MOST = 16 * KIBIBYTE,
	COST = 16,
	DELAY_MS = 10,
	STREAMS = 3,
};

/* Nothing but the windows holds anybody up. */
static void start(struct relayed *relayed, int stamp, struct hawser_server_options *server,
		  struct hawser_client_options *client)
{
	server->max_log_bytes = client->max_log_bytes = 64 * MEBIBYTE;
	server->max_unsent_bytes = 64 * MEBIBYTE;
	relayed_start(relayed, stamp, server, client);
	relay_set_delay(&relayed->relay, DELAY_MS);
	caller_echo(&relayed->caller);
}

/* ---- of a server ---- */

/* Much at full speed. */
static void load(struct relayed *relayed, struct stream *streams, unsigned n, uint64_t bytes)
{
	uint64_t each = bytes / MOST * 2, n_sent = 0;

	for (uint64_t sent = 0; sent < each; sent += 10)
		for (unsigned i = 0; i < n; i++)
			ck_assert_int_eq(stream_send_samples(&streams[i], 10, MOST), 0);
	for (unsigned i = 0; i < n; i++)
		n_sent += streams[i].n_sent;
	turn_until(&relayed->caller, atomic_load(&relayed->tester.n_requests) == n_sent);
}

/* Its handler reads no more; what can still be sent is the window, or more than half of it. */
static uint64_t measure(struct relayed *relayed, struct stream *stream)
{
	uint64_t n_requests = atomic_load(&relayed->tester.n_requests), bytes = 0, before;
	Rpctest__Payload message;
	int r;

	ck_assert_int_eq(stream_send_order(stream, "stop", 0), 0);
	turn_until(&relayed->caller, atomic_load(&relayed->tester.n_requests) > n_requests);
	/* Whatever the server has granted comes before its reply. */
	do {
		before = bytes;
		caller_echo(&relayed->caller);
		for (;;) {
			message = sample_of(stream->n_sent + 1, MOST);
			r = hawser_call_send(stream->call, method_of(GATHER), &message.base);
			if (r < 0)
				break;
			stream->n_sent++;
			bytes += rpctest__payload__get_packed_size(&message) + COST;
		}
		ck_assert_msg(r == -EAGAIN, "%d: %s", r, hawser_call_error(stream->call)->message);
	} while (bytes > before);
	return bytes;
}

static void open_streams(struct relayed *relayed, struct stream *streams, unsigned n)
{
	memset(streams, 0, n * sizeof *streams);
	for (unsigned i = 0; i < n; i++)
		stream_open(&streams[i], &relayed->caller, GATHER, NULL, NULL);
}

START_TEST(servers_window_grows_with_the_line)
{
	struct hawser_client_options client = relayed_options();
	struct hawser_server_options server = tester_options();
	struct relayed relayed;
	struct stream stream;
	uint64_t bytes;

	start(&relayed, TRANSPORTS + _i, &server, &client);
	open_streams(&relayed, &stream, 1);
	load(&relayed, &stream, 1, 32 * MEBIBYTE);
	bytes = measure(&relayed, &stream);
	ck_assert_uint_gt(bytes, 2 * INITIAL);
	ck_assert_uint_le(bytes, 4 * MEBIBYTE + MOST + 2 * COST);
	stream_close(&stream);
	relayed_stop(&relayed);
}
END_TEST

START_TEST(servers_window_does_not_grow_above_its_maximum)
{
	struct hawser_client_options client = relayed_options();
	struct hawser_server_options server = tester_options();
	struct relayed relayed;
	struct stream stream;

	server.max_stream_window_bytes = 512 * KIBIBYTE;
	start(&relayed, TRANSPORTS + _i, &server, &client);
	open_streams(&relayed, &stream, 1);
	load(&relayed, &stream, 1, 16 * MEBIBYTE);
	ck_assert_uint_le(measure(&relayed, &stream), 512 * KIBIBYTE + MOST + 2 * COST);
	stream_close(&stream);
	relayed_stop(&relayed);
}
END_TEST

static void start_reading(struct tester *tester, void *data)
{
	(void)data;
	hawser_call_read_start(tester->held[0]);
}

/* Who uses up what it was granted, and overdraws it with the last message, is within the limit. How
 * much is granted at a moment varies, so there are many. */
START_TEST(grown_window_may_be_used_up)
{
	enum { UNREAD = 2 * INITIAL };
	struct hawser_client_options client = relayed_options();
	struct hawser_server_options server = tester_options();
	struct relayed relayed;
	struct stream stream;

	server.max_unread_bytes = UNREAD;
	start(&relayed, TRANSPORTS + _i, &server, &client);
	open_streams(&relayed, &stream, 1);
	load(&relayed, &stream, 1, 16 * MEBIBYTE);
	relay_set_delay(&relayed.relay, 0);
	for (unsigned long i = 1; i <= suite_rounds(100); i++) {
		ck_assert_uint_le(measure(&relayed, &stream), UNREAD + MOST + 2 * COST);
		caller_echo(&relayed.caller);
		ck_assert_msg(!stream.result.n_ends, "%s", stream.result.error.message);
		caller_order(&relayed.caller, &relayed.tester, start_reading, NULL);
		turn_until(&relayed.caller,
			   atomic_load(&relayed.tester.n_requests) == stream.n_sent + i);
	}
	stream_close(&stream);
	relayed_stop(&relayed);
}
END_TEST

/* All may be used up together, and none of the calls is too much. */
START_TEST(servers_windows_grow_within_what_may_be_unread)
{
	enum { UNREAD = STREAMS * 2 * INITIAL };
	struct hawser_client_options client = relayed_options();
	struct hawser_server_options server = tester_options();
	struct stream streams[STREAMS];
	struct relayed relayed;
	uint64_t bytes = 0;

	server.max_unread_bytes = UNREAD;
	start(&relayed, TRANSPORTS + _i, &server, &client);
	open_streams(&relayed, streams, STREAMS);
	load(&relayed, streams, STREAMS, 16 * MEBIBYTE);
	for (unsigned i = 0; i < STREAMS; i++)
		bytes += measure(&relayed, &streams[i]);
	ck_assert_uint_le(bytes, UNREAD + STREAMS * (MOST + 2 * COST));
	for (unsigned i = 0; i < STREAMS; i++) {
		caller_echo(&relayed.caller);
		ck_assert_uint_eq(streams[i].result.n_ends, 0);
		stream_close(&streams[i]);
	}
	relayed_stop(&relayed);
}
END_TEST

/* ---- of a client ---- */

/* Takes much, then nothing; what the handler can still send is the window. */
static uint64_t measure_watch(struct relayed *relayed, struct stream *stream, uint64_t count)
{
	uint64_t n_replies;

	ck_assert(stream_await(stream, count));
	if (relayed->caller.base)
		ck_assert_int_eq(hawser_call_read_stop(stream->call), 0);
	count = stream->n;
	do {
		n_replies = atomic_load(&relayed->tester.n_replies);
		caller_echo(&relayed->caller);
		caller_echo(&relayed->caller);
	} while (atomic_load(&relayed->tester.n_replies) != n_replies);
	return (n_replies - count) * (MOST + COST + 8);
}

START_TEST(clients_window_grows_with_the_line)
{
	static uint8_t zeros[MOST];
	uint64_t maximum = (uint64_t)(_i / STAMPS ? 512 * KIBIBYTE : 4 * MEBIBYTE), bytes;
	struct hawser_client_options client = relayed_options();
	struct hawser_server_options server = tester_options();
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct stream stream = {.n = 0};
	struct relayed relayed;

	client.max_stream_window_bytes = maximum;
	request.number = INT64_MAX;
	request.data.data = zeros;
	request.data.len = sizeof zeros;
	start(&relayed, _i % STAMPS, &server, &client);
	stream_open(&stream, &relayed.caller, WATCH, &request, NULL);
	bytes = measure_watch(&relayed, &stream, 2000);
	ck_assert_uint_gt(bytes, _i / STAMPS ? INITIAL : 2 * INITIAL);
	ck_assert_uint_le(bytes, maximum + 2 * MOST);
	stream_close(&stream);
	relayed_stop(&relayed);
}
END_TEST

/* A short line has no use for it. */
START_TEST(window_is_what_was_asked_for_where_nothing_lets_it_grow)
{
	struct hawser_client_options client = relayed_options();
	struct hawser_server_options server = tester_options();
	struct relayed relayed;
	struct stream stream;

	server.stream_window_bytes = server.max_stream_window_bytes = 100 * KIBIBYTE;
	start(&relayed, TRANSPORTS + _i, &server, &client);
	open_streams(&relayed, &stream, 1);
	load(&relayed, &stream, 1, MEBIBYTE);
	ck_assert_uint_le(measure(&relayed, &stream), 100 * KIBIBYTE + MOST + 2 * COST);
	stream_close(&stream);
	relayed_stop(&relayed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/streams/window");
	TCase *tcase = suite_case(suite, "servers");

	tcase_add_loop_test(tcase, servers_window_grows_with_the_line, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, servers_window_does_not_grow_above_its_maximum, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, grown_window_may_be_used_up, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, servers_windows_grow_within_what_may_be_unread, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, window_is_what_was_asked_for_where_nothing_lets_it_grow, 0,
			    TRANSPORTS);

	tcase = suite_case(suite, "clients");
	tcase_add_loop_test(tcase, clients_window_grows_with_the_line, 0, 2 * STAMPS);
	return suite_run(suite);
}
