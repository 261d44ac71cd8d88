/* Streams both ways through connections that break: every message once, in order, and an honest end
 * where there is no session. */

#include "stream.h"
#include "support/suite.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	MOST = 300,
	FEW = 12,
	MESSAGES = 600,
	WINDOW = 4096, /* so that both ends have something to say */
	KINDS = 3,     /* Watch, Gather, Chat */
};

static Rpctest__Payload watch_of(uint64_t count)
{
	static uint8_t zeros[MOST];
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;

	request.number = (int64_t)count;
	request.data.data = zeros;
	request.data.len = MOST / 2;
	return request;
}

static void open_kind(struct stream *stream, struct caller *caller, enum method method,
		      uint64_t count)
{
	Rpctest__Payload request = watch_of(count);

	stream_open(stream, caller, method, method == WATCH ? &request : NULL, NULL);
}

/* All of it, up to its end. */
static void run_kind(struct stream *stream, uint64_t count)
{
	if (stream->method == WATCH)
		stream_await(stream, UINT64_MAX);
	else
		stream_pump(stream, count, MOST);
	stream_finish(stream, HAWSER_OK);
	if (stream->method == GATHER) {
		ck_assert_str_eq(stream->text, "in order");
		ck_assert_uint_eq(stream->result.id, count);
	} else {
		ck_assert_uint_eq(stream->n, count);
	}
	stream_close(stream);
}

static void start(struct relayed *relayed, int stamp, struct hawser_client_options *client)
{
	struct hawser_server_options server = tester_options();

	server.stream_window_bytes = server.max_stream_window_bytes = WINDOW;
	client->stream_window_bytes = client->max_stream_window_bytes = WINDOW;
	relayed_start(relayed, stamp, &server, client);
	caller_echo(&relayed->caller);
}

/* ---- whole ---- */

START_TEST(every_kind_survives_a_cut_anywhere)
{
	enum { STEP = 37 };
	enum method method = (enum method)(WATCH + _i / BOTH_WAYS % KINDS);
	enum relay_end end = (enum relay_end)(_i / BOTH_WAYS / KINDS % 2);
	enum relay_cut how = (enum relay_cut)(_i / BOTH_WAYS / KINDS / 2);
	uint64_t step = STEP * (100 / suite_rounds(100)), bytes;
	struct hawser_client_options options = relayed_options();
	struct relayed relayed;
	bool was_cut = true;

	start(&relayed, _i % BOTH_WAYS, &options);
	for (bytes = 0; was_cut; bytes += step) {
		struct stream stream = {.n = 0};

		relay_cut_after(&relayed.relay, end, bytes, how);
		open_kind(&stream, &relayed.caller, method, FEW);
		run_kind(&stream, FEW);
		was_cut = relay_was_cut(&relayed.relay);
	}
	ck_assert_uint_gt(server_stats(&relayed.tester).sessions_resumed, 0);
	ck_assert_uint_eq(client_stats(&relayed.caller).sessions_lost, 0);
	relayed_stop(&relayed);
}
END_TEST

/* Cuts every so many bytes, as long as it is not told to stop. */
struct cutter {
	struct relay *relay;
	pthread_t thread;
	bool from_client, from_server; /* whose bytes are counted */
	atomic_bool is_told, has_stopped;
};

static void cut_later(struct cutter *cutter, unsigned i)
{
	bool alternates = cutter->from_client && cutter->from_server;

	relay_cut_after(cutter->relay,
			alternates            ? (enum relay_end)(i & 1)
			: cutter->from_client ? FROM_CLIENT
					      : FROM_SERVER,
			1 + i * UINT64_C(1000003) % 3000, (enum relay_cut)(i % 3));
}

static void *cut_again(void *data)
{
	struct cutter *cutter = data;

	for (unsigned i = 1; !cutter->is_told; i++) {
		relay_wait_cut(cutter->relay);
		cut_later(cutter, i);
	}
	cutter->has_stopped = true;
	return NULL;
}

/* Where there is much to cut. */
static void cutter_start(struct cutter *cutter, struct relay *relay, enum method method)
{
	memset(cutter, 0, sizeof *cutter);
	cutter->relay = relay;
	cutter->from_client = method != WATCH;
	cutter->from_server = method != GATHER;
	cut_later(cutter, 0);
	ck_assert_int_eq(pthread_create(&cutter->thread, NULL, cut_again, cutter), 0);
}

static void cutter_stop(struct cutter *cutter, struct caller *caller)
{
	cutter->is_told = true;
	turn_until(caller, (relay_was_cut(cutter->relay), cutter->has_stopped));
	pthread_join(cutter->thread, NULL);
}

START_TEST(long_streams_of_every_kind_survive_many_cuts)
{
	enum method method = (enum method)(WATCH + _i / BOTH_WAYS);
	struct hawser_client_options options = relayed_options();
	struct stream stream = {.n = 0};
	struct cutter cutter;
	struct relayed relayed;

	start(&relayed, _i % BOTH_WAYS, &options);
	cutter_start(&cutter, &relayed.relay, method);
	open_kind(&stream, &relayed.caller, method, MESSAGES);
	run_kind(&stream, MESSAGES);
	cutter_stop(&cutter, &relayed.caller);
	ck_assert_uint_gt(server_stats(&relayed.tester).sessions_resumed, 0);
	ck_assert_uint_eq(client_stats(&relayed.caller).sessions_lost, 0);
	caller_echo(&relayed.caller);
	relayed_stop(&relayed);
}
END_TEST

/* All kinds at once, with calls between. */
START_TEST(streams_of_all_kinds_share_what_breaks)
{
	enum { STREAMS = 6, EACH = 20, ROUNDS = 40 };
	struct hawser_client_options options = relayed_options();
	struct stream streams[STREAMS];
	struct cutter cutter;
	struct relayed relayed;

	start(&relayed, _i, &options);
	memset(streams, 0, sizeof streams);
	cutter_start(&cutter, &relayed.relay, CHAT);
	for (int i = 0; i < STREAMS; i++)
		open_kind(&streams[i], &relayed.caller, (enum method)(WATCH + i % KINDS),
			  EACH * ROUNDS);
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		for (int i = 0; i < STREAMS; i++) {
			if (i % KINDS != 0)
				ck_assert_int_eq(stream_send_samples(&streams[i], EACH, MOST / 3),
						 0);
			if (i % KINDS != 1)
				ck_assert(stream_await(&streams[i], round * EACH));
		}
		caller_echo(&relayed.caller);
	}
	for (int i = 0; i < STREAMS; i++) {
		if (i % KINDS != 0)
			ck_assert_int_eq(hawser_call_end(streams[i].call), 0);
		stream_finish(&streams[i], HAWSER_OK);
		if (i % KINDS == 1)
			ck_assert_str_eq(streams[i].text, "in order");
		else
			ck_assert_uint_eq(streams[i].n, EACH * ROUNDS);
		stream_close(&streams[i]);
	}
	cutter_stop(&cutter, &relayed.caller);
	ck_assert_uint_gt(server_stats(&relayed.tester).sessions_resumed, 0);
	ck_assert_uint_eq(client_stats(&relayed.caller).sessions_lost, 0);
	relayed_stop(&relayed);
}
END_TEST

/* ---- away ---- */

static void part(struct relayed *relayed)
{
	relay_set_door(&relayed->relay, DOOR_SHUT);
	relay_cut(&relayed->relay, CUT_ORDERLY);
	turn_until(&relayed->caller, !client_stats(&relayed->caller).is_connected);
	turn_until(&relayed->caller, server_stats(&relayed->tester).sessions_away == 1);
}

/* On a base it may send what the window lets it, then it waits. A blocking one waits for the
 * network as well. */
START_TEST(sender_waits_while_nobody_is_there)
{
	struct hawser_client_options options = relayed_options();
	struct stream stream = {.n = 0};
	uint64_t n_fit = samples_in_window(WINDOW, 0, 1, MOST);
	struct relayed relayed;

	start(&relayed, _i, &options);
	part(&relayed);
	stream_open(&stream, &relayed.caller, GATHER, NULL, NULL);
	stream_pump_start(&stream, MESSAGES, MOST);
	if (relayed.caller.base)
		turn_until(&relayed.caller, stream.n_sent == n_fit);
	for (int i = 0; i < 20; i++)
		caller_turn(&relayed.caller);
	ck_assert_uint_le(stream.n_sent, n_fit);
	ck_assert_uint_lt(caller_log_bytes(&relayed), 2 * WINDOW);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	stream_finish(&stream, HAWSER_OK);
	stream_pump_join(&stream);
	ck_assert_str_eq(stream.text, "in order");
	ck_assert_uint_eq(stream.result.id, MESSAGES);
	stream_close(&stream);
	relayed_stop(&relayed);
}
END_TEST

START_TEST(deadline_passes_while_nobody_is_there)
{
	struct hawser_client_options options = relayed_options();
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct stream stream = {.n = 0};
	struct relayed relayed;

	context.timeout_ms = patient_ms(200);
	start(&relayed, _i, &options);
	part(&relayed);
	stream_open(&stream, &relayed.caller, CHAT, NULL, &context);
	ck_assert_int_eq(stream_send_samples(&stream, MESSAGES, MOST), -EPIPE);
	stream_finish(&stream, HAWSER_DEADLINE_EXCEEDED);
	assert_failed(&stream.result, HAWSER_DEADLINE_EXCEEDED, HAWSER_OUTCOME_NOT_SENT, "");
	stream_close(&stream);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	caller_echo(&relayed.caller);
	ck_assert_uint_eq(tester_streams(&relayed.tester), 0);
	relayed_stop(&relayed);
}
END_TEST

/* ---- the end of it ---- */

/* What came before is right, the outcome is not known, the handler is told. */
static void expect_lost(struct relayed *relayed, struct stream *stream, uint64_t limit)
{
	stream_await(stream, UINT64_MAX);
	ck_assert_uint_eq(stream->n_wrong, 0);
	ck_assert_uint_lt(stream->n, limit);
	assert_failed(&stream->result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "");
	if (stream->method != WATCH)
		ck_assert_int_eq(stream_send_samples(stream, 1, MOST), -EPIPE);
	stream_close(stream);
	turn_until(&relayed->caller, tester_streamed(&relayed->tester) == 1);
	tester_wait_cancelled(&relayed->tester, 1);
}

START_TEST(stream_without_a_session_fails_with_its_connection)
{
	enum method method = (enum method)(WATCH + _i / STAMPS);
	struct hawser_client_options options = relayed_options();
	struct stream stream = {.n = 0};
	struct relayed relayed;

	options.no_session = true;
	start(&relayed, _i % STAMPS, &options);
	relay_cut_after(&relayed.relay, method == GATHER ? FROM_CLIENT : FROM_SERVER, 20000,
			CUT_ORDERLY);
	open_kind(&stream, &relayed.caller, method, MESSAGES);
	if (method != WATCH)
		stream_pump(&stream, MESSAGES, MOST);
	expect_lost(&relayed, &stream, MESSAGES);
	ck_assert(relay_was_cut(&relayed.relay));
	caller_echo(&relayed.caller);
	relayed_stop(&relayed);
}
END_TEST

START_TEST(stream_fails_with_its_session)
{
	enum method method = (enum method)(WATCH + _i / STAMPS);
	struct hawser_client_options client = relayed_options();
	struct hawser_server_options server = tester_options();
	struct stream stream = {.n = 0};
	struct relayed relayed;

	server.session_window_ms = patient_ms(50);
	client.stream_window_bytes = server.stream_window_bytes = WINDOW;
	client.max_stream_window_bytes = server.max_stream_window_bytes = WINDOW;
	relayed_start(&relayed, _i % STAMPS, &server, &client);
	caller_echo(&relayed.caller);
	open_kind(&stream, &relayed.caller, method, 1000000);
	if (method == WATCH) {
		ck_assert(stream_await(&stream, 20));
	} else {
		ck_assert_int_eq(stream_send_samples(&stream, 20, MOST / 5), 0);
		turn_until(&relayed.caller, atomic_load(&relayed.tester.n_requests) == 20);
	}
	relay_set_door(&relayed.relay, DOOR_SHUT);
	relay_cut(&relayed.relay, CUT_ORDERLY);
	turn_until(&relayed.caller, server_stats(&relayed.tester).sessions_expired == 1);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	expect_lost(&relayed, &stream, 1000000);
	caller_echo(&relayed.caller);
	relayed_stop(&relayed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/streams/cuts");
	TCase *tcase = suite_case(suite, "whole");

	tcase_add_loop_test(tcase, every_kind_survives_a_cut_anywhere, 0,
			    BOTH_WAYS * KINDS * 2 * CUT_SERVER);
	tcase_add_loop_test(tcase, long_streams_of_every_kind_survive_many_cuts, 0,
			    BOTH_WAYS * KINDS);
	tcase_add_loop_test(tcase, streams_of_all_kinds_share_what_breaks, 0, BOTH_WAYS);

	tcase = suite_case(suite, "away");
	tcase_add_loop_test(tcase, sender_waits_while_nobody_is_there, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, deadline_passes_while_nobody_is_there, 0, BOTH_WAYS);

	/* In the other direction a peer is gone then: test_peers_away.c. */
	tcase = suite_case(suite, "ends");
	tcase_add_loop_test(tcase, stream_without_a_session_fails_with_its_connection, 0,
			    STAMPS * KINDS);
	tcase_add_loop_test(tcase, stream_fails_with_its_session, 0, STAMPS * KINDS);
	return suite_run(suite);
}
