/* Peers that stream by hand, and by no rules: what breaks the protocol closes the connection and
 * says why, what is only late or large ends its call at most. */

#include "lines.h"
#include "raw.h"
#include "relayed.h"
#include "samples.h"
#include "support/suite.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	WINDOW = 4096,
	COST = 16,
	LIMIT = 4 << 20,
};

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

/* ---- clients by hand ---- */

/* One, and another client that must not notice anything. */
struct culprit {
	struct tester tester;
	struct caller bystander;
	int fd;
};

static void culprit_start(struct culprit *culprit, int stamp)
{
	struct hawser_server_options options = tester_options();

	options.stream_window_bytes = options.max_stream_window_bytes = WINDOW;
	lines_start(HAWSER_LOG_WARNING);
	tester_start(&culprit->tester, transport_of(stamp), &options);
	caller_init(&culprit->bystander, culprit->tester.address, false, NULL);
	caller_echo(&culprit->bystander);
	culprit->fd = raw_connect(culprit->tester.address);
	raw_open(culprit->fd);
}

static void culprit_stop(struct culprit *culprit, unsigned protocol_errors)
{
	close(culprit->fd);
	caller_echo(&culprit->bystander);
	while (server_stats(&culprit->tester).connections > 1)
		caller_turn(&culprit->bystander);
	ck_assert_uint_eq(server_stats(&culprit->tester).protocol_errors, protocol_errors);
	ck_assert_uint_eq(server_stats(&culprit->tester).calls_in_flight, 0);
	caller_deinit(&culprit->bystander);
	tester_stop(&culprit->tester);
	lines_stop();
}

static void culprit_echo(struct culprit *culprit, uint64_t id)
{
	ck_assert(raw_call(culprit->fd, id, ECHO, &empty));
	raw_expect_end(culprit->fd, id, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
}

/* ---- what breaks the protocol ---- */

static const uint8_t bytes[2 * WINDOW];

/* Call 1 is a stream of requests whose handler has stopped reading; its window is not used. */
static void open_stopped(int fd, enum method method)
{
	Rpctest__Payload stop = RPCTEST__PAYLOAD__INIT;

	stop.text = (char *)"stop";
	ck_assert(raw_call_stream(fd, 1, method, 0));
	ck_assert(raw_payload(fd, 1, &stop));
}

static void overrun_window(int fd)
{
	open_stopped(fd, GATHER);
	/* The last one may overdraw it, and the next may not. */
	ck_assert(raw_message(fd, 1, 0, false, bytes, WINDOW / 2));
	ck_assert(raw_message(fd, 1, 0, false, bytes, WINDOW));
	ck_assert(raw_message(fd, 1, 0, false, bytes, 0));
}

static void send_to_unary(int fd)
{
	ck_assert(raw_call(fd, 1, HOLD, &empty));
	ck_assert(raw_message(fd, 1, 0, false, bytes, 5));
}

static void send_to_watch(int fd)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;

	request.number = INT64_MAX;
	ck_assert(raw_call(fd, 1, WATCH, &request));
	ck_assert(raw_message(fd, 1, 0, false, bytes, 5));
}

static void send_after_the_request(int fd)
{
	ck_assert(raw_call_stream(fd, 1, HOLD, 4));
	ck_assert(raw_message(fd, 1, 0, false, "\x08\x01\x18\x01", 4));
	ck_assert(raw_message(fd, 1, 0, false, bytes, 1));
}

static void exceed_size(int fd)
{
	ck_assert(raw_call_stream(fd, 1, CHAT, 0));
	ck_assert(raw_message(fd, 1, 10, false, bytes, 6));
	ck_assert(raw_message(fd, 1, 0, false, bytes, 5));
}

static void exceed_size_at_once(int fd)
{
	ck_assert(raw_call_stream(fd, 1, CHAT, 0));
	ck_assert(raw_message(fd, 1, 10, false, bytes, 11));
}

static void exceed_size_of_a_request(int fd)
{
	ck_assert(raw_call_stream(fd, 1, ECHO, 10));
	ck_assert(raw_message(fd, 1, 0, false, bytes, 6));
	ck_assert(raw_message(fd, 1, 0, false, bytes, 6));
}

static void begin_within(int fd)
{
	ck_assert(raw_call_stream(fd, 1, CHAT, 0));
	ck_assert(raw_message(fd, 1, 10, false, bytes, 6));
	ck_assert(raw_message(fd, 1, 4, false, bytes, 2));
}

static void begin_within_a_request(int fd)
{
	ck_assert(raw_call_stream(fd, 1, ECHO, 10));
	ck_assert(raw_message(fd, 1, 10, false, bytes, 6));
}

static void end_with_payload(int fd)
{
	ck_assert(raw_call_stream(fd, 1, CHAT, 0));
	ck_assert(raw_message(fd, 1, 0, true, bytes, 5));
}

static void end_with_size(int fd)
{
	ck_assert(raw_call_stream(fd, 1, CHAT, 0));
	ck_assert(raw_message(fd, 1, 10, true, bytes, 0));
}

static void end_in_the_middle(int fd)
{
	ck_assert(raw_call_stream(fd, 1, CHAT, 0));
	ck_assert(raw_message(fd, 1, 10, false, bytes, 6));
	ck_assert(raw_message(fd, 1, 0, true, bytes, 0));
}

static void end_a_unary_request(int fd)
{
	ck_assert(raw_call(fd, 1, HOLD, &empty));
	ck_assert(raw_message(fd, 1, 0, true, bytes, 0));
}

/* Its handler does not end it then. */
static void send_after_the_end(int fd)
{
	open_stopped(fd, GATHER);
	ck_assert(raw_message(fd, 1, 0, true, bytes, 0));
	ck_assert(raw_message(fd, 1, 0, false, bytes, 0));
}

static void end_twice(int fd)
{
	open_stopped(fd, GATHER);
	ck_assert(raw_message(fd, 1, 0, true, bytes, 0));
	ck_assert(raw_message(fd, 1, 0, true, bytes, 0));
}

static void open_window_too_far(int fd)
{
	open_stopped(fd, CHAT);
	ck_assert(raw_window(fd, 1, UINT64_C(1) << 40));
}

static void open_window_far_too_far(int fd)
{
	open_stopped(fd, CHAT);
	ck_assert(raw_window(fd, 1, UINT64_MAX));
}

static void open_window_of_nothing(int fd)
{
	ck_assert(raw_window(fd, 0, 1));
}

static void send_to_nothing(int fd)
{
	ck_assert(raw_message(fd, 0, 0, false, bytes, 1));
}

struct breach {
	void (*commit)(int fd);
	const char *part; /* of what is said about it */
};

static const struct breach breaches[] = {
	{overrun_window, "window"},
	{send_to_unary, "no stream"},
	{send_to_watch, "no stream"},
	{send_after_the_request, "message: call 1"},
	{exceed_size, "more bytes than its message"},
	{exceed_size_at_once, "more bytes than its message"},
	{exceed_size_of_a_request, "more bytes than its message"},
	{begin_within, "within another"},
	{begin_within_a_request, "within another"},
	{end_with_payload, "ends in the middle"},
	{end_with_size, "ends in the middle"},
	{end_in_the_middle, "ends in the middle"},
	{end_a_unary_request, "no stream"},
	{send_after_the_end, "has ended its messages"},
	{end_twice, "has ended its messages"},
	{open_window_too_far, "window: call 1"},
	{open_window_far_too_far, "window: call 1"},
	{open_window_of_nothing, "window"},
	{send_to_nothing, "message"},
};

enum { BREACHES = sizeof breaches / sizeof *breaches };

/* What the server had said before is not of interest. */
static void expect_close(int fd, const char *part)
{
	bool is_closed = false;

	while (!is_closed) {
		Hawser__Frame *frame = raw_receive(fd);

		ck_assert_msg(frame, "the connection ended without a word of why");
		is_closed = frame->kind_case == HAWSER__FRAME__KIND_CLOSE;
		if (is_closed) {
			ck_assert_int_eq(frame->close->reason,
					 HAWSER__REASON__REASON_PROTOCOL_ERROR);
			ck_assert_msg(strstr(frame->close->text, part),
				      "\"%s\" does not say \"%s\"", frame->close->text, part);
		}
		hawser__frame__free_unpacked(frame, NULL);
	}
	ck_assert_ptr_null(raw_receive(fd));
}

START_TEST(breach_of_the_protocol_closes_the_connection)
{
	const struct breach *breach = &breaches[_i / TRANSPORTS];
	struct culprit culprit;

	culprit_start(&culprit, _i % TRANSPORTS);
	breach->commit(culprit.fd);
	expect_close(culprit.fd, breach->part);
	ck_assert_uint_eq(lines_count("closed: "), 1);
	/* A call that is held has to be answered. */
	for (unsigned i = 0; i < culprit.tester.n_held; i++)
		hawser_call_fail(culprit.tester.held[i], HAWSER_ABORTED, NULL);
	culprit_stop(&culprit, 1);
}
END_TEST

/* ---- what does not ---- */

START_TEST(frames_of_calls_that_are_not_there_are_ignored)
{
	struct culprit culprit;

	culprit_start(&culprit, _i);
	culprit_echo(&culprit, 7);
	for (uint64_t id = 1; id < 12; id++) {
		ck_assert(raw_message(culprit.fd, id, 0, false, bytes, 10));
		ck_assert(raw_message(culprit.fd, id, 100, false, bytes, 10));
		ck_assert(raw_message(culprit.fd, id, 0, true, bytes, 0));
		ck_assert(raw_window(culprit.fd, id, UINT64_MAX));
		ck_assert(raw_cancel(culprit.fd, id));
	}
	culprit_echo(&culprit, 13);
	ck_assert_uint_eq(tester_streams(&culprit.tester), 0);
	culprit_stop(&culprit, 0);
}
END_TEST

/* They were under way when it ended. */
START_TEST(frames_of_a_call_that_has_ended_are_ignored)
{
	Rpctest__Payload end = RPCTEST__PAYLOAD__INIT, sample = sample_of(1, 100);
	struct culprit culprit;

	end.text = (char *)"end";
	culprit_start(&culprit, _i);
	ck_assert(raw_call_stream(culprit.fd, 1, CHAT, 0));
	ck_assert(raw_payload(culprit.fd, 1, &end));
	raw_expect_end(culprit.fd, 1, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	ck_assert(raw_payload(culprit.fd, 1, &sample));
	ck_assert(raw_message(culprit.fd, 1, 100, false, bytes, 10));
	ck_assert(raw_message(culprit.fd, 1, 0, true, bytes, 0));
	ck_assert(raw_window(culprit.fd, 1, 100));
	culprit_echo(&culprit, 3);
	ck_assert_uint_eq(atomic_load(&culprit.tester.n_requests), 1);
	culprit_stop(&culprit, 0);
}
END_TEST

/* Down to pieces of nothing, which cost their 16 bytes each. */
START_TEST(pieces_may_be_small)
{
	Rpctest__Payload sample = sample_of(1, 200);
	uint8_t packed[300];
	struct culprit culprit;
	size_t length = rpctest__payload__pack(&sample, packed), got;
	Hawser__Frame *frame;
	uint8_t *reply;

	culprit_start(&culprit, _i);
	ck_assert(raw_call_stream(culprit.fd, 1, CHAT, 0));
	ck_assert(raw_message(culprit.fd, 1, length, false, packed, 0));
	for (size_t i = 0; i < length; i++) {
		ck_assert(raw_message(culprit.fd, 1, 0, false, packed + i, 1));
		if (i % 16 == 0)
			ck_assert(raw_message(culprit.fd, 1, 0, false, packed, 0));
	}
	frame = raw_expect(culprit.fd, HAWSER__FRAME__KIND_MESSAGE);
	ck_assert_uint_eq(frame->payload.len, length);
	ck_assert_int_eq(memcmp(frame->payload.data, packed, length), 0);
	hawser__frame__free_unpacked(frame, NULL);
	/* The same as the request of a unary call. */
	ck_assert(raw_call_stream(culprit.fd, 3, ECHO, length));
	for (size_t i = 0; i < length; i++)
		ck_assert(raw_message(culprit.fd, 3, 0, false, packed + i, 1));
	reply = raw_expect_reply(culprit.fd, 3, &got);
	ck_assert_uint_eq(got, length);
	ck_assert_int_eq(memcmp(reply, packed, length), 0);
	free(reply);
	/* A size that says no more than the payload does. */
	ck_assert(raw_message(culprit.fd, 1, length, false, packed, length));
	frame = raw_expect(culprit.fd, HAWSER__FRAME__KIND_MESSAGE);
	ck_assert_uint_eq(frame->payload.len, length);
	hawser__frame__free_unpacked(frame, NULL);
	ck_assert(raw_message(culprit.fd, 1, 0, true, packed, 0));
	raw_expect_end(culprit.fd, 1, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	culprit_stop(&culprit, 0);
}
END_TEST

/* ---- sessions ---- */

static int come_back(struct tester *tester, struct raw_session *session, int fd)
{
	close(fd);
	while (server_stats(tester).sessions_away != 1)
		poll(NULL, 0, 1);
	fd = raw_connect(tester->address);
	raw_open_session(fd, session);
	return fd;
}

/* Each of a reply's frames is counted; those that have not come are sent again. */
START_TEST(pieces_are_sent_again_from_where_the_client_says)
{
	enum { SIZE = 300 * 1024 };
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct raw_session session = {.id = 0};
	struct tester tester;
	size_t ends[16] = {0}; /* bytes of the reply that the first so many frames brought */
	unsigned n = 0;
	int fd;

	request.number = SIZE;
	tester_start(&tester, transport_of(_i), NULL);
	fd = raw_connect(tester.address);
	raw_open_session(fd, &session);
	ck_assert(raw_call(fd, 1, GROW, &request));
	ck_assert(raw_window(fd, 1, 1 << 30));
	for (bool has_ended = false; !has_ended;) {
		Hawser__Frame *frame = raw_receive(fd);

		ck_assert_ptr_nonnull(frame);
		has_ended = frame->kind_case == HAWSER__FRAME__KIND_END;
		if (has_ended || frame->kind_case == HAWSER__FRAME__KIND_MESSAGE) {
			n++;
			ck_assert_uint_lt(n, 16);
			ends[n] = ends[n - 1] + frame->payload.len;
		}
		hawser__frame__free_unpacked(frame, NULL);
	}
	ck_assert_uint_gt(n, SIZE / (64 * 1024));
	for (unsigned had = 0; had < n; had++) {
		size_t length;

		session.received = had;
		fd = come_back(&tester, &session, fd);
		for (unsigned i = had + 1; i < n; i++) {
			Hawser__Frame *frame = raw_expect(fd, HAWSER__FRAME__KIND_MESSAGE);

			length = frame->payload.len;
			ck_assert_uint_eq(frame->message->size != 0, i == 1);
			ck_assert_uint_eq(length, ends[i] - ends[i - 1]);
			hawser__frame__free_unpacked(frame, NULL);
		}
		raw_expect_end(fd, 1, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	}
	close(fd);
	tester_stop(&tester);
}
END_TEST

/* A message of which one half came over one connection and the other over the next. */
START_TEST(message_goes_on_over_another_connection)
{
	Rpctest__Payload sample = sample_of(1, 1000);
	struct raw_session session = {.id = 0};
	uint8_t packed[1100];
	size_t length = rpctest__payload__pack(&sample, packed), got;
	struct tester tester;
	uint8_t *reply;
	int fd;

	tester_start(&tester, transport_of(_i), NULL);
	fd = raw_connect(tester.address);
	raw_open_session(fd, &session);
	ck_assert(raw_call_stream(fd, 1, ECHO, length));
	ck_assert(raw_message(fd, 1, 0, false, packed, 100));
	/* What it has taken, it says. */
	while (session.peer_received < 2) {
		ck_assert_uint_le(session.peer_received, 2);
		fd = come_back(&tester, &session, fd);
	}
	ck_assert(raw_message(fd, 1, 0, false, packed + 100, length - 100));
	reply = raw_expect_reply(fd, 1, &got);
	ck_assert_uint_eq(got, length);
	ck_assert_int_eq(memcmp(reply, packed, length), 0);
	free(reply);
	ck_assert_uint_eq(tester_executed(&tester), 1);
	close(fd);
	tester_stop(&tester);
}
END_TEST

/* ---- what ends its call ---- */

static void expect_refused_size(int fd, uint64_t id, enum hawser_outcome outcome, const char *size)
{
	Hawser__Frame *frame = raw_expect(fd, HAWSER__FRAME__KIND_END);

	ck_assert_uint_eq(frame->end->id, id);
	ck_assert_uint_eq(frame->end->status, HAWSER_RESOURCE_EXHAUSTED);
	ck_assert_int_eq(frame->end->outcome, (Hawser__Outcome)outcome);
	ck_assert_ptr_nonnull(strstr(frame->end->text, size));
	ck_assert_ptr_nonnull(strstr(frame->end->text, "4194304"));
	hawser__frame__free_unpacked(frame, NULL);
}

START_TEST(size_above_the_limit_ends_the_call)
{
	struct culprit culprit;

	culprit_start(&culprit, _i);
	ck_assert(raw_call_stream(culprit.fd, 1, CHAT, 0));
	ck_assert(raw_message(culprit.fd, 1, LIMIT + 1, false, bytes, 100));
	expect_refused_size(culprit.fd, 1, HAWSER_OUTCOME_NOT_EXECUTED, "4194305");
	ck_assert(raw_message(culprit.fd, 1, 0, false, bytes, 100));
	ck_assert(raw_call_stream(culprit.fd, 3, ECHO, UINT64_MAX));
	expect_refused_size(culprit.fd, 3, HAWSER_OUTCOME_NOT_EXECUTED, "18446744073709551615");
	ck_assert(raw_message(culprit.fd, 3, 0, false, bytes, 100));
	culprit_echo(&culprit, 5);
	culprit_stop(&culprit, 0);
}
END_TEST

START_TEST(request_where_none_belongs_ends_the_call)
{
	Rpctest__Payload sample = sample_of(1, 100);
	Hawser__Frame frame = HAWSER__FRAME__INIT;
	Hawser__Call call = HAWSER__CALL__INIT;
	struct culprit culprit;

	culprit_start(&culprit, _i);
	ck_assert(raw_call(culprit.fd, 1, GATHER, &sample));
	raw_expect_end(culprit.fd, 1, HAWSER_INVALID_ARGUMENT, HAWSER_OUTCOME_NOT_EXECUTED);
	ck_assert(raw_call_stream(culprit.fd, 3, CHAT, 10));
	raw_expect_end(culprit.fd, 3, HAWSER_INVALID_ARGUMENT, HAWSER_OUTCOME_NOT_EXECUTED);
	/* A part of a request in its call, and the rest to come. */
	call.id = 5;
	call.method = method_of(ECHO)->id;
	call.size = 10;
	frame.kind_case = HAWSER__FRAME__KIND_CALL;
	frame.call = &call;
	frame.payload.data = (uint8_t *)(uintptr_t)bytes;
	frame.payload.len = 5;
	ck_assert(raw_send_frame(culprit.fd, &frame));
	raw_expect_end(culprit.fd, 5, HAWSER_INVALID_ARGUMENT, HAWSER_OUTCOME_NOT_EXECUTED);
	culprit_echo(&culprit, 7);
	ck_assert_uint_eq(tester_streams(&culprit.tester), 0);
	culprit_stop(&culprit, 0);
}
END_TEST

START_TEST(invalid_message_ends_the_call)
{
	Rpctest__Payload sample = sample_of(1, 100);
	struct culprit culprit;

	culprit_start(&culprit, _i);
	/* Before the handler ran, and when it has run already. */
	ck_assert(raw_call_stream(culprit.fd, 1, GATHER, 0));
	ck_assert(raw_message(culprit.fd, 1, 0, false, "\xff\xff\xff", 3));
	raw_expect_end(culprit.fd, 1, HAWSER_INVALID_ARGUMENT, HAWSER_OUTCOME_NOT_EXECUTED);
	ck_assert(raw_call_stream(culprit.fd, 3, GATHER, 0));
	ck_assert(raw_payload(culprit.fd, 3, &sample));
	ck_assert(raw_message(culprit.fd, 3, 4, false, "\xff\xff", 2));
	ck_assert(raw_message(culprit.fd, 3, 0, false, "\xff\xff", 2));
	raw_expect_end(culprit.fd, 3, HAWSER_INVALID_ARGUMENT, HAWSER_OUTCOME_EXECUTED);
	tester_wait_cancelled(&culprit.tester, 1);
	ck_assert_uint_eq(tester_streamed(&culprit.tester), 1);
	culprit_echo(&culprit, 5);
	culprit_stop(&culprit, 0);
}
END_TEST

/* Whatever has come of it is dropped; a sanitizer would tell. */
START_TEST(half_a_message_is_dropped_with_its_connection)
{
	struct culprit culprit;

	culprit_start(&culprit, _i);
	ck_assert(raw_call_stream(culprit.fd, 1, CHAT, 0));
	ck_assert(raw_message(culprit.fd, 1, LIMIT, false, bytes, WINDOW / 2));
	ck_assert(raw_call_stream(culprit.fd, 3, ECHO, LIMIT));
	ck_assert(raw_message(culprit.fd, 3, 0, false, bytes, WINDOW / 2));
	ck_assert(raw_call_stream(culprit.fd, 5, ECHO, LIMIT));
	ck_assert(raw_message(culprit.fd, 5, 0, false, bytes, WINDOW / 2));
	ck_assert(raw_cancel(culprit.fd, 5));
	culprit_echo(&culprit, 7);
	ck_assert_uint_eq(tester_executed(&culprit.tester), 2);
	culprit_stop(&culprit, 0);
	ck_assert_uint_eq(culprit.tester.n_streams, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/streams/raw");
	TCase *tcase = suite_case(suite, "breaches");

	tcase_add_loop_test(tcase, breach_of_the_protocol_closes_the_connection, 0,
			    BREACHES * TRANSPORTS);

	tcase = suite_case(suite, "late");
	tcase_add_loop_test(tcase, frames_of_calls_that_are_not_there_are_ignored, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, frames_of_a_call_that_has_ended_are_ignored, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, pieces_may_be_small, 0, TRANSPORTS);

	tcase = suite_case(suite, "sessions");
	tcase_add_loop_test(tcase, pieces_are_sent_again_from_where_the_client_says, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, message_goes_on_over_another_connection, 0, TRANSPORTS);

	tcase = suite_case(suite, "calls");
	tcase_add_loop_test(tcase, size_above_the_limit_ends_the_call, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, request_where_none_belongs_ends_the_call, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, invalid_message_ends_the_call, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, half_a_message_is_dropped_with_its_connection, 0, TRANSPORTS);
	return suite_run(suite);
}
