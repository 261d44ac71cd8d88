/* Streams of replies through connections that break: each message comes once, in order, and none is
 * missing; what was sent ahead stays within the window. */

#include "relayed.h"
#include "support/random.h"
#include "support/suite.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGES = 400 };

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

/* A stream that is taken by either kind of client. */
struct taking {
	struct caller *caller;
	struct hawser_call *call;
	uint64_t n, n_wrong; /* messages that came, and those that were not the next one */
	size_t data_length;
	unsigned n_ends;
	struct hawser_error error;
	void (*then)(struct taking *taking); /* after each message */
	void *data;
};

static void take(struct taking *taking, const Rpctest__Payload *message)
{
	taking->n++;
	if (message->id != taking->n || message->data.len != taking->data_length)
		taking->n_wrong++;
	if (taking->then)
		taking->then(taking);
}

static void on_message(struct hawser_call *call, const Rpctest__Payload *message, void *data)
{
	struct taking *taking = data;

	if (message) {
		take(taking, message);
		return;
	}
	taking->n_ends++;
	taking->error = *hawser_call_error(call);
}

static void open_stream(struct taking *taking, struct caller *caller,
			const Rpctest__Payload *request, const struct hawser_context *context)
{
	taking->caller = caller;
	taking->data_length = request->data.len;
	if (caller->base)
		taking->call = rpctest_tester_watch_async(caller->client, request, on_message,
							  taking, context);
	else
		taking->call = rpctest_tester_watch(caller->client, request, context);
	ck_assert_ptr_nonnull(taking->call);
}

/* A blocking client takes one message, one on a base what there is; false at the end. */
static bool go_on(struct taking *taking)
{
	Rpctest__Payload *message = NULL;
	int r;

	if (taking->caller->base) {
		event_base_loop(taking->caller->base, EVLOOP_ONCE);
		return !taking->n_ends;
	}
	r = rpctest_tester_watch_recv(taking->call, &message);
	if (r > 0) {
		take(taking, message);
		rpctest__payload__free_unpacked(message, NULL);
		return true;
	}
	taking->n_ends++;
	taking->error = *hawser_call_error(taking->call);
	ck_assert_int_eq(r == 0, taking->error.status == HAWSER_OK);
	return false;
}

static void finish(struct taking *taking, uint64_t count, enum hawser_status status)
{
	while (!taking->n_ends && go_on(taking))
		;
	ck_assert_uint_eq(taking->n_ends, 1);
	ck_assert_msg(taking->error.status == status, "%s instead of %s: %s",
		      hawser_status_name(taking->error.status), hawser_status_name(status),
		      taking->error.message);
	ck_assert_uint_eq(taking->n, count);
	ck_assert_uint_eq(taking->n_wrong, 0);
	hawser_call_free(taking->call);
}

static bool all_have_ended(struct tester *tester)
{
	bool have;

	pthread_mutex_lock(&tester->lock);
	have = tester->n_streamed == tester->n_streams;
	pthread_mutex_unlock(&tester->lock);
	return have;
}

static unsigned count_streamed(struct tester *tester)
{
	unsigned n;

	pthread_mutex_lock(&tester->lock);
	n = tester->n_streamed;
	pthread_mutex_unlock(&tester->lock);
	return n;
}

/* ---- whole ---- */

START_TEST(stream_survives_a_cut_at_every_byte)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	enum relay_end end = (enum relay_end)(_i / STAMPS % 2);
	enum relay_cut how = (enum relay_cut)(_i / STAMPS / 2);
	struct relayed relayed;
	bool was_cut = true;

	request.number = 5;
	relayed_start(&relayed, _i % STAMPS, NULL, NULL);
	caller_echo(&relayed.caller);
	for (uint64_t bytes = 0; was_cut; bytes++) {
		struct taking taking = {.n = 0};

		relay_cut_after(&relayed.relay, end, bytes, how);
		open_stream(&taking, &relayed.caller, &request, NULL);
		finish(&taking, 5, HAWSER_OK);
		was_cut = relay_was_cut(&relayed.relay);
	}
	ck_assert_uint_eq(client_stats(&relayed.caller).sessions_lost, 0);
	relayed_stop(&relayed);
}
END_TEST

static void cut_now_and_then(struct taking *taking)
{
	struct relay *relay = taking->data;

	if (taking->n % 16 == 0)
		relay_cut_after(relay, (enum relay_end)random_below(2), random_below(2000),
				(enum relay_cut)random_below(CUT_SERVER));
}

/* Longer than its window, so that both ends have something to say. */
START_TEST(long_stream_survives_cuts)
{
	struct hawser_client_options options = relayed_options();
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct taking taking = {.then = cut_now_and_then};
	struct relayed relayed;
	static uint8_t bytes[300];

	options.stream_window_bytes = 4096;
	request.number = MESSAGES;
	request.data.data = bytes;
	request.data.len = sizeof bytes;
	relayed_start(&relayed, _i, NULL, &options);
	caller_echo(&relayed.caller);
	taking.data = &relayed.relay;
	open_stream(&taking, &relayed.caller, &request, NULL);
	finish(&taking, MESSAGES, HAWSER_OK);
	relay_was_cut(&relayed.relay);
	ck_assert_uint_gt(server_stats(&relayed.tester).sessions_resumed, 5);
	ck_assert_uint_eq(client_stats(&relayed.caller).sessions_lost, 0);
	caller_echo(&relayed.caller);
	relayed_stop(&relayed);
}
END_TEST

/* With calls between its messages, over the same connection. */
START_TEST(streams_and_calls_share_what_breaks)
{
	enum { STREAMS = 8 };
	struct hawser_client_options options = relayed_options();
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct taking takings[STREAMS];
	struct relayed relayed;
	unsigned n_open = STREAMS;
	static uint8_t bytes[100];

	options.stream_window_bytes = 2000;
	request.number = MESSAGES;
	request.data.data = bytes;
	request.data.len = sizeof bytes;
	relayed_start(&relayed, _i, NULL, &options);
	caller_echo(&relayed.caller);
	memset(takings, 0, sizeof takings);
	takings[0].then = cut_now_and_then;
	takings[0].data = &relayed.relay;
	for (unsigned i = 0; i < STREAMS; i++)
		open_stream(&takings[i], &relayed.caller, &request, NULL);
	while (n_open) {
		n_open = 0;
		for (unsigned i = 0; i < STREAMS; i++) {
			if (takings[i].n == MESSAGES || takings[i].n_ends)
				continue;
			go_on(&takings[i]);
			n_open++;
		}
		if (random_one_in(20))
			caller_echo(&relayed.caller);
	}
	for (unsigned i = 0; i < STREAMS; i++)
		finish(&takings[i], MESSAGES, HAWSER_OK);
	ck_assert_uint_gt(server_stats(&relayed.tester).sessions_resumed, 5);
	relayed_stop(&relayed);
}
END_TEST

struct taker {
	struct caller *caller;
	pthread_t thread;
	unsigned index, n_wrong;
};

/* One stream after the other; some are given up half-way. */
static void *take_streams(void *data)
{
	enum { STREAMS = 6, LENGTH = 150 };
	struct taker *taker = data;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	static uint8_t bytes[100];

	request.number = LENGTH;
	request.data.data = bytes;
	request.data.len = sizeof bytes;
	for (unsigned i = 0; i < STREAMS; i++) {
		struct taking taking = {.n = 0};
		bool gives_up = (i + taker->index) % 3 == 0;

		open_stream(&taking, taker->caller, &request, NULL);
		while (!(gives_up && taking.n == LENGTH / 2) && go_on(&taking))
			;
		if (taking.n_wrong || taking.n != (gives_up ? LENGTH / 2 : LENGTH) ||
		    taking.error.status != HAWSER_OK)
			taker->n_wrong++;
		hawser_call_free(taking.call);
	}
	return NULL;
}

static void *cut_while_they_take(void *data)
{
	struct relay *relay = data;

	for (unsigned i = 0; i < 40; i++) {
		relay_cut_after(relay, FROM_SERVER, 1 + i * 37 % 1500, (enum relay_cut)(i % 3));
		relay_wait_cut(relay);
	}
	return NULL;
}

START_TEST(threads_take_streams_through_cuts)
{
	enum { TAKERS = 6 };
	struct hawser_client_options options = relayed_options();
	struct taker takers[TAKERS];
	struct relayed relayed;
	pthread_t cutter;

	options.stream_window_bytes = 3000;
	relayed_start(&relayed, _i, NULL, &options);
	caller_echo(&relayed.caller);
	ck_assert_int_eq(pthread_create(&cutter, NULL, cut_while_they_take, &relayed.relay), 0);
	memset(takers, 0, sizeof takers);
	for (unsigned i = 0; i < TAKERS; i++) {
		takers[i].caller = &relayed.caller;
		takers[i].index = i;
		ck_assert_int_eq(pthread_create(&takers[i].thread, NULL, take_streams, &takers[i]),
				 0);
	}
	for (unsigned i = 0; i < TAKERS; i++) {
		pthread_join(takers[i].thread, NULL);
		ck_assert_uint_eq(takers[i].n_wrong, 0);
	}
	pthread_join(cutter, NULL);
	caller_echo(&relayed.caller);
	ck_assert_uint_eq(client_stats(&relayed.caller).sessions_lost, 0);
	/* Handlers of streams that were given up are told. */
	turn_until(&relayed.caller, all_have_ended(&relayed.tester));
	relayed_stop(&relayed);
}
END_TEST

START_TEST(failure_comes_behind_the_messages)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct taking taking = {.n = 0};
	struct relayed relayed;

	request.number = 10;
	request.text = (char *)"no more";
	relayed_start(&relayed, _i, NULL, NULL);
	caller_echo(&relayed.caller);
	relay_cut_after(&relayed.relay, FROM_SERVER, 40, CUT_RESET);
	open_stream(&taking, &relayed.caller, &request, NULL);
	finish(&taking, 10, HAWSER_ABORTED);
	ck_assert(relay_was_cut(&relayed.relay));
	ck_assert_str_eq(taking.error.message, "no more");
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

static void stop_turning(struct taking *taking)
{
	if (taking->n == 1 && taking->caller->base)
		event_base_loopbreak(taking->caller->base);
}

/* What is sent while nobody is there is bounded by the window, and by the log. */
START_TEST(stream_waits_while_its_client_is_away)
{
	enum { WINDOW = 64 * 1024 };
	struct hawser_client_options options = relayed_options();
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct taking taking = {.then = stop_turning};
	struct relayed relayed;
	static uint8_t bytes[1000];

	options.stream_window_bytes = WINDOW;
	request.number = 1000;
	request.data.data = bytes;
	request.data.len = sizeof bytes;
	relayed_start(&relayed, _i, NULL, &options);
	caller_echo(&relayed.caller);
	relay_cut_after(&relayed.relay, FROM_SERVER, 5000, CUT_ORDERLY);
	relay_set_door(&relayed.relay, DOOR_SHUT);
	open_stream(&taking, &relayed.caller, &request, NULL);
	turn_until(&relayed.caller, server_stats(&relayed.tester).sessions_away == 1);
	ck_assert_uint_le(server_stats(&relayed.tester).log_bytes, WINDOW + 8 * 1024);
	ck_assert_uint_eq(count_streamed(&relayed.tester), 0);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	finish(&taking, 1000, HAWSER_OK);
	relayed_stop(&relayed);
}
END_TEST

START_TEST(stream_opened_while_away_is_delivered)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct taking taking = {.n = 0};
	struct relayed relayed;

	request.number = 100;
	relayed_start(&relayed, _i, NULL, NULL);
	caller_echo(&relayed.caller);
	part(&relayed);
	open_stream(&taking, &relayed.caller, &request, NULL);
	ck_assert_uint_eq(client_stats(&relayed.caller).calls_in_flight, 1);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	finish(&taking, 100, HAWSER_OK);
	relayed_stop(&relayed);
}
END_TEST

/* Its handler hears of it when there is a connection again. */
START_TEST(stream_is_cancelled_while_away)
{
	struct hawser_client_options options = relayed_options();
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct taking taking = {.n = 0};
	struct relayed relayed;
	static uint8_t bytes[1000];

	options.stream_window_bytes = 4096;
	request.number = 1000000;
	request.data.data = bytes;
	request.data.len = sizeof bytes;
	relayed_start(&relayed, _i, NULL, &options);
	open_stream(&taking, &relayed.caller, &request, NULL);
	while (taking.n < 20)
		ck_assert(go_on(&taking));
	part(&relayed);
	ck_assert_int_eq(hawser_call_cancel(taking.call), 0);
	ck_assert_int_eq(hawser_call_error(taking.call)->status, HAWSER_CANCELLED);
	ck_assert_int_eq(hawser_call_error(taking.call)->outcome, HAWSER_OUTCOME_UNKNOWN);
	ck_assert_uint_eq(count_streamed(&relayed.tester), 0);
	hawser_call_free(taking.call);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	turn_until(&relayed.caller, count_streamed(&relayed.tester) == 1);
	tester_wait_cancelled(&relayed.tester, 1);
	caller_echo(&relayed.caller);
	ck_assert_uint_eq(taking.n_wrong, 0);
	relayed_stop(&relayed);
}
END_TEST

/* ---- the end of its session ---- */

START_TEST(stream_ends_with_its_session)
{
	struct hawser_client_options client = relayed_options();
	struct hawser_server_options server = tester_options();
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct taking taking = {.n = 0};
	struct relayed relayed;
	static uint8_t bytes[1000];

	client.stream_window_bytes = 4096;
	server.session_window_ms = patient_ms(50);
	request.number = 1000000;
	request.data.data = bytes;
	request.data.len = sizeof bytes;
	relayed_start(&relayed, _i, &server, &client);
	open_stream(&taking, &relayed.caller, &request, NULL);
	while (taking.n < 20)
		ck_assert(go_on(&taking));
	relay_set_door(&relayed.relay, DOOR_SHUT);
	relay_cut(&relayed.relay, CUT_ORDERLY);
	/* The handler is told by the server, and the client when it comes back. */
	tester_wait_cancelled(&relayed.tester, 1);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	while (go_on(&taking))
		;
	ck_assert_int_eq(taking.error.status, HAWSER_UNAVAILABLE);
	ck_assert_int_eq(taking.error.outcome, HAWSER_OUTCOME_UNKNOWN);
	ck_assert_msg(strstr(taking.error.message, "session expired"), "%s", taking.error.message);
	ck_assert_uint_eq(taking.n_wrong, 0);
	hawser_call_free(taking.call);
	caller_echo(&relayed.caller);
	relayed_stop(&relayed);
}
END_TEST

START_TEST(client_with_streams_is_freed_while_away)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct taking takings[2] = {{.n = 0}};
	struct relayed relayed;

	request.number = 1000000;
	relayed_start(&relayed, _i, NULL, NULL);
	open_stream(&takings[0], &relayed.caller, &request, NULL);
	while (takings[0].n < 20)
		ck_assert(go_on(&takings[0]));
	part(&relayed);
	open_stream(&takings[1], &relayed.caller, &empty, NULL);
	caller_deinit(&relayed.caller);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(hawser_call_error(takings[i].call)->status, HAWSER_CANCELLED);
		hawser_call_free(takings[i].call);
	}
	relay_stop(&relayed.relay);
	tester_stop(&relayed.tester);
	ck_assert_uint_eq(relayed.tester.n_streamed, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/sessions/streams");
	TCase *tcase = suite_case(suite, "whole");

	tcase_add_loop_test(tcase, stream_survives_a_cut_at_every_byte, 0, STAMPS * 2 * CUT_SERVER);
	tcase_add_loop_test(tcase, long_stream_survives_cuts, 0, STAMPS);
	tcase_add_loop_test(tcase, streams_and_calls_share_what_breaks, 0, STAMPS);
	tcase_add_loop_test(tcase, threads_take_streams_through_cuts, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, failure_comes_behind_the_messages, 0, STAMPS);

	tcase = suite_case(suite, "away");
	tcase_add_loop_test(tcase, stream_waits_while_its_client_is_away, 0, STAMPS);
	tcase_add_loop_test(tcase, stream_opened_while_away_is_delivered, 0, STAMPS);
	tcase_add_loop_test(tcase, stream_is_cancelled_while_away, 0, STAMPS);

	tcase = suite_case(suite, "the end of its session");
	tcase_add_loop_test(tcase, stream_ends_with_its_session, 0, STAMPS);
	tcase_add_loop_test(tcase, client_with_streams_is_freed_while_away, 0, STAMPS);
	return suite_run(suite);
}
