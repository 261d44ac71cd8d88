/* Clients whose server streams by hand: what is right comes in whole, what breaks the protocol ends
 * the connection, and its calls hear why. */

#include "raw.h"
#include "stream.h"
#include "support/suite.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WINDOW = 64 * 1024, PIECE = 10 * 1024, LIMIT = 4 << 20 };

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

/* A client with a thread of its own, and its server here, which has taken its call. */
struct host {
	char address[ADDRESS_SIZE], directory[128];
	enum method method;
	bool is_async;
	pthread_t thread;
	int listener, fd;
	uint64_t id;
	atomic_bool may_read, may_leave;
	struct stream stream;
};

/* Takes all there is, when it may. Without a session, so that what breaks is over. */
static void *take_all(void *data)
{
	struct host *host = data;
	struct stream *stream = &host->stream;
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct caller caller;

	options.no_session = true;
	options.stream_window_bytes = options.max_stream_window_bytes = WINDOW;
	caller_init(&caller, host->address, host->is_async, &options);
	stream_open(stream, &caller, host->method, host->method == WATCH ? &empty : NULL, NULL);
	if (caller.base && host->method != GATHER && !host->may_read)
		hawser_call_read_stop(stream->call);
	while (!host->may_read && !stream->result.n_ends)
		caller_turn(&caller);
	if (caller.base && host->method != GATHER)
		hawser_call_read_start(stream->call);
	stream_await(stream, UINT64_MAX);
	while (!host->may_leave)
		caller_turn(&caller);
	stream_close(stream);
	caller_deinit(&caller);
	return NULL;
}

static void host_start(struct host *host, int stamp, enum method method, bool reads)
{
	Hawser__Frame *frame;

	memset(host, 0, sizeof *host);
	host->method = method;
	host->is_async = is_async(stamp);
	host->may_read = reads;
	directory_make(host->directory, sizeof host->directory);
	host->listener = raw_listen(transport_of(stamp), host->directory, host->address);
	ck_assert_int_eq(pthread_create(&host->thread, NULL, take_all, host), 0);
	host->fd = raw_accept(host->listener);
	raw_opened(host->fd);
	frame = raw_expect(host->fd, HAWSER__FRAME__KIND_CALL);
	host->id = frame->call->id;
	hawser__frame__free_unpacked(frame, NULL);
}

static void host_join(struct host *host)
{
	host->may_read = host->may_leave = true;
	pthread_join(host->thread, NULL);
	close(host->fd);
	close(host->listener);
	if (strncmp(host->address, "unix:", 5) == 0)
		unlink(host->address + 5);
	directory_remove(host->directory);
	ck_assert_uint_eq(host->stream.result.n_ends, 1);
}

static bool host_end(struct host *host, enum hawser_status status, const Rpctest__Payload *reply)
{
	return raw_end(host->fd, host->id, status, HAWSER_OUTCOME_EXECUTED, reply);
}

/* A sample in pieces; their number. */
static unsigned send_in_pieces(struct host *host, uint64_t sample, size_t most, size_t piece)
{
	Rpctest__Payload message = sample_of(sample, most);
	size_t length = rpctest__payload__get_packed_size(&message), at = 0;
	uint8_t *packed = malloc(length);
	unsigned n = 0;

	ck_assert_ptr_nonnull(packed);
	rpctest__payload__pack(&message, packed);
	while (at < length) {
		size_t part = length - at < piece ? length - at : piece;

		ck_assert(raw_message(host->fd, host->id, at || part == length ? 0 : length, false,
				      packed + at, part));
		at += part;
		n++;
	}
	free(packed);
	return n;
}

/* ---- what is right ---- */

START_TEST(replies_may_come_in_any_pieces)
{
	static const size_t pieces[] = {1, 2, 7, 100, 1000, PIECE};
	struct host host;

	host_start(&host, _i, CHAT, true);
	for (uint64_t id = 1; id <= 24; id++)
		send_in_pieces(&host, id, 1000, pieces[id % 6]);
	ck_assert(host_end(&host, HAWSER_OK, NULL));
	host_join(&host);
	assert_ok(&host.stream.result);
	ck_assert_uint_eq(host.stream.n, 24);
	ck_assert_uint_eq(host.stream.n_wrong, 0);
}
END_TEST

START_TEST(one_reply_may_come_in_pieces_or_with_the_end)
{
	Rpctest__Payload reply = sample_of(9, 30000);
	bool in_pieces = _i / STAMPS;
	struct host host;

	host_start(&host, _i % STAMPS, GATHER, true);
	if (in_pieces)
		ck_assert_uint_gt(send_in_pieces(&host, 9, 30000, 1000), 1);
	ck_assert(host_end(&host, HAWSER_OK, in_pieces ? NULL : &reply));
	host_join(&host);
	assert_ok(&host.stream.result);
	ck_assert_uint_eq(host.stream.n, 1);
	ck_assert_uint_eq(host.stream.result.id, 9);
	ck_assert_uint_eq(host.stream.bytes, reply.data.len);
}
END_TEST

/* A failure comes in the place of what was on its way. */
START_TEST(failure_drops_half_a_reply)
{
	enum method method = (enum method)(WATCH + _i / STAMPS);
	struct host host;

	host_start(&host, _i % STAMPS, method, true);
	ck_assert(raw_message(host.fd, host.id, 1000, false, "x", 1));
	ck_assert(host_end(&host, HAWSER_DATA_LOSS, NULL));
	host_join(&host);
	assert_failed(&host.stream.result, HAWSER_DATA_LOSS, HAWSER_OUTCOME_EXECUTED, "");
	ck_assert_uint_eq(host.stream.n, 0);
}
END_TEST

START_TEST(what_comes_after_the_end_is_ignored)
{
	struct host host;

	host_start(&host, _i, CHAT, true);
	send_in_pieces(&host, 1, 100, 100);
	ck_assert(host_end(&host, HAWSER_OK, NULL));
	ck_assert(raw_message(host.fd, host.id, 0, false, "x", 1));
	ck_assert(raw_message(host.fd, host.id, 9, false, "x", 1));
	ck_assert(raw_message(host.fd, host.id, 0, true, "", 0));
	ck_assert(raw_window(host.fd, host.id, UINT64_MAX));
	host_join(&host);
	assert_ok(&host.stream.result);
	ck_assert_uint_eq(host.stream.n, 1);
}
END_TEST

/* ---- what ends the call ---- */

START_TEST(end_in_the_middle_of_a_message_is_a_failure)
{
	enum method method = (enum method)(WATCH + _i / STAMPS);
	struct host host;

	host_start(&host, _i % STAMPS, method, true);
	ck_assert(raw_message(host.fd, host.id, 1000, false, "x", 1));
	ck_assert(host_end(&host, HAWSER_OK, NULL));
	host_join(&host);
	assert_failed(&host.stream.result, HAWSER_INTERNAL, HAWSER_OUTCOME_EXECUTED, "middle");
	ck_assert_uint_eq(host.stream.n, 0);
}
END_TEST

/* The server is told that nobody waits any more. */
static void expect_cancel(struct host *host)
{
	Hawser__Frame *frame = raw_expect(host->fd, HAWSER__FRAME__KIND_CANCEL);

	ck_assert_uint_eq(frame->cancel->id, host->id);
	hawser__frame__free_unpacked(frame, NULL);
}

START_TEST(message_above_the_limit_is_not_waited_for)
{
	enum method method = (enum method)(WATCH + _i / STAMPS);
	struct host host;

	host_start(&host, _i % STAMPS, method, true);
	ck_assert(raw_message(host.fd, host.id, LIMIT + 1, false, "x", 1));
	expect_cancel(&host);
	ck_assert(raw_message(host.fd, host.id, 0, false, "x", 1));
	host_join(&host);
	ck_assert_int_eq(host.stream.result.status, HAWSER_RESOURCE_EXHAUSTED);
	ck_assert_ptr_nonnull(strstr(host.stream.result.error.message, "4194305"));
	ck_assert_ptr_nonnull(strstr(host.stream.result.error.message, "limit is 4194304"));
}
END_TEST

START_TEST(invalid_message_is_an_internal_error)
{
	enum method method = (enum method)(WATCH + _i / STAMPS % 3);
	bool in_pieces = _i / STAMPS / 3;
	struct host host;

	host_start(&host, _i % STAMPS, method, true);
	if (in_pieces) {
		ck_assert(raw_message(host.fd, host.id, 4, false, "\xff\xff", 2));
		ck_assert(raw_message(host.fd, host.id, 0, false, "\xff\xff", 2));
	} else {
		ck_assert(raw_message(host.fd, host.id, 0, false, "\xff\xff", 2));
	}
	if (method == GATHER)
		ck_assert(host_end(&host, HAWSER_OK, NULL));
	else
		expect_cancel(&host);
	host_join(&host);
	ck_assert_int_eq(host.stream.result.status, HAWSER_INTERNAL);
	ck_assert_ptr_nonnull(strstr(host.stream.result.error.message, "no valid"));
	ck_assert_uint_eq(host.stream.n, 0);
}
END_TEST

/* ---- what breaks the protocol ---- */

static void overrun_window(struct host *host)
{
	static uint8_t bytes[WINDOW];
	Rpctest__Payload half = RPCTEST__PAYLOAD__INIT;

	/* The last one may overdraw it, and the next may not. */
	half.data.data = bytes;
	half.data.len = WINDOW / 2;
	ck_assert(raw_payload(host->fd, host->id, &half));
	ck_assert(raw_payload(host->fd, host->id, &half));
	ck_assert(raw_payload(host->fd, host->id, &half));
}

static void exceed_size(struct host *host)
{
	ck_assert(raw_message(host->fd, host->id, 10, false, "123456", 6));
	ck_assert(raw_message(host->fd, host->id, 0, false, "123456", 6));
}

static void begin_within(struct host *host)
{
	ck_assert(raw_message(host->fd, host->id, 10, false, "123456", 6));
	ck_assert(raw_message(host->fd, host->id, 2, false, "1", 1));
}

static void half_close(struct host *host)
{
	ck_assert(raw_message(host->fd, host->id, 0, true, "", 0));
}

static void open_window_too_far(struct host *host)
{
	ck_assert(raw_window(host->fd, host->id, UINT64_C(1) << 40));
}

static void reply_twice(struct host *host)
{
	ck_assert(raw_message(host->fd, host->id, 0, false, "", 0));
	ck_assert(raw_message(host->fd, host->id, 0, false, "", 0));
}

struct breach {
	enum method method;
	bool reads;
	void (*commit)(struct host *host);
	const char *part;
};

static const struct breach breaches[] = {
	{WATCH, false, overrun_window, "window"},
	{CHAT, false, overrun_window, "window"},
	{WATCH, true, exceed_size, "more bytes than its message"},
	{GATHER, true, exceed_size, "more bytes than its message"},
	{CHAT, true, begin_within, "within another"},
	{GATHER, true, begin_within, "within another"},
	{WATCH, true, half_close, "no stream of requests"},
	{GATHER, true, half_close, "no stream of requests"},
	{CHAT, true, half_close, "no stream of requests"},
	{CHAT, true, open_window_too_far, "window: call 1"},
	{GATHER, true, reply_twice, "one message, not more"},
};

enum { BREACHES = sizeof breaches / sizeof *breaches };

START_TEST(breach_of_the_protocol_ends_the_connection)
{
	const struct breach *breach = &breaches[_i / STAMPS];
	struct host host;
	Hawser__Frame *frame;

	host_start(&host, _i % STAMPS, breach->method, breach->reads);
	breach->commit(&host);
	frame = raw_expect(host.fd, HAWSER__FRAME__KIND_CLOSE);
	ck_assert_int_eq(frame->close->reason, HAWSER__REASON__REASON_PROTOCOL_ERROR);
	ck_assert_msg(strstr(frame->close->text, breach->part), "\"%s\" does not say \"%s\"",
		      frame->close->text, breach->part);
	hawser__frame__free_unpacked(frame, NULL);
	host_join(&host);
	assert_failed(&host.stream.result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN,
		      breach->part);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/streams/peer");
	TCase *tcase = suite_case(suite, "right");

	tcase_add_loop_test(tcase, replies_may_come_in_any_pieces, 0, STAMPS);
	tcase_add_loop_test(tcase, one_reply_may_come_in_pieces_or_with_the_end, 0, 2 * STAMPS);
	tcase_add_loop_test(tcase, failure_drops_half_a_reply, 0, 3 * STAMPS);
	tcase_add_loop_test(tcase, what_comes_after_the_end_is_ignored, 0, STAMPS);

	tcase = suite_case(suite, "calls");
	tcase_add_loop_test(tcase, end_in_the_middle_of_a_message_is_a_failure, 0, 3 * STAMPS);
	tcase_add_loop_test(tcase, message_above_the_limit_is_not_waited_for, 0, 3 * STAMPS);
	tcase_add_loop_test(tcase, invalid_message_is_an_internal_error, 0, 6 * STAMPS);

	tcase = suite_case(suite, "breaches");
	tcase_add_loop_test(tcase, breach_of_the_protocol_ends_the_connection, 0,
			    BREACHES * STAMPS);
	return suite_run(suite);
}
