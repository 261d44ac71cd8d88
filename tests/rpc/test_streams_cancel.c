/* Whoever does not want a stream any more is heard at the other end, once, and nothing of that call
 * runs after it. */

#include "raw.h"
#include "stream.h"
#include "support/suite.h"
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 500, FEW = 3 };

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

static unsigned count_cancelled(struct tester *tester)
{
	unsigned n;

	pthread_mutex_lock(&tester->lock);
	n = tester->n_cancelled;
	pthread_mutex_unlock(&tester->lock);
	return n;
}

/* ---- every kind, every way ---- */

enum way { BY_CANCEL, BY_DEADLINE, BY_FREE, BY_LOSS, BY_CLIENT, WAYS };

static void open_kind(struct stream *stream, struct relayed *relayed, enum method method,
		      int64_t timeout_ms)
{
	static uint8_t zeros[MOST];
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;

	context.timeout_ms = timeout_ms;
	request.number = INT64_MAX;
	request.data.data = zeros;
	request.data.len = sizeof zeros;
	stream_open(stream, &relayed->caller, method, method == WATCH ? &request : NULL, &context);
	if (method == WATCH) {
		turn_until(&relayed->caller, tester_streams(&relayed->tester) == 1);
	} else {
		ck_assert_int_eq(stream_send_samples(stream, FEW, MOST), 0);
		turn_until(&relayed->caller, atomic_load(&relayed->tester.n_requests) == FEW);
	}
}

START_TEST(every_way_to_end_reaches_the_handler_of_every_kind)
{
	enum method method = (enum method)(WATCH + _i / BOTH_WAYS % 3);
	enum way way = (enum way)(_i / BOTH_WAYS / 3);
	struct hawser_server_options server = tester_options();
	struct stream stream = {.n = 0};
	struct relayed relayed;

	/* With its session a peer is gone: test_peers_away.c. */
	if (is_reversed(_i % BOTH_WAYS) && way >= BY_LOSS)
		return;
	server.session_window_ms = way == BY_LOSS ? patient_ms(50) : 0;
	relayed_start(&relayed, _i % BOTH_WAYS, &server, NULL);
	caller_echo(&relayed.caller);
	open_kind(&stream, &relayed, method, way == BY_DEADLINE ? patient_ms(300) : 0);
	ck_assert_uint_eq(count_cancelled(&relayed.tester), 0);
	switch (way) {
	case BY_CANCEL:
		ck_assert_int_eq(hawser_call_cancel(stream.call), 0);
		ck_assert_int_eq(hawser_call_cancel(stream.call), -EALREADY);
		stream_finish(&stream, HAWSER_CANCELLED);
		break;
	case BY_DEADLINE:
		stream_finish(&stream, HAWSER_DEADLINE_EXCEEDED);
		break;
	case BY_FREE:
		stream_close(&stream);
		break;
	case BY_LOSS:
		relay_set_door(&relayed.relay, DOOR_SHUT);
		relay_cut(&relayed.relay, CUT_ORDERLY);
		break;
	case BY_CLIENT:
	default:
		caller_deinit(&relayed.caller);
		ck_assert_int_eq(hawser_call_error(stream.call)->status, HAWSER_CANCELLED);
		stream_close(&stream);
		tester_wait_cancelled(&relayed.tester, 1);
		caller_init(&relayed.caller, relayed.relay.address, is_async(_i % BOTH_WAYS), NULL);
		break;
	}
	turn_until(&relayed.caller, count_cancelled(&relayed.tester) == 1);
	turn_until(&relayed.caller, tester_streamed(&relayed.tester) == 1);
	if (way == BY_LOSS) {
		relay_set_door(&relayed.relay, DOOR_OPEN);
		stream_finish(&stream, HAWSER_UNAVAILABLE);
	}
	stream_close(&stream);
	caller_echo(&relayed.caller);
	ck_assert_uint_eq(count_cancelled(&relayed.tester), 1);
	ck_assert_uint_eq(server_stats(&relayed.tester).calls_in_flight, 0);
	relayed_stop(&relayed);
}
END_TEST

/* Before anything of it was sent, and before it could be connected. */
START_TEST(stream_is_cancelled_before_it_leaves)
{
	struct stream streams[2] = {{.n = 0}};
	struct relayed relayed;

	relayed_start(&relayed, _i, NULL, NULL);
	caller_echo(&relayed.caller);
	relay_set_door(&relayed.relay, DOOR_SHUT);
	relay_cut(&relayed.relay, CUT_ORDERLY);
	turn_until(&relayed.caller, !client_stats(&relayed.caller).is_connected);
	for (int i = 0; i < 2; i++) {
		stream_open(&streams[i], &relayed.caller, CHAT, NULL, NULL);
		ck_assert_int_eq(stream_send_samples(&streams[i], FEW, MOST), 0);
	}
	ck_assert_int_eq(hawser_call_end(streams[1].call), 0);
	ck_assert_int_eq(hawser_call_cancel(streams[0].call), 0);
	stream_finish(&streams[0], HAWSER_CANCELLED);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	stream_finish(&streams[1], HAWSER_OK);
	ck_assert_uint_eq(streams[1].n, FEW);
	ck_assert_uint_eq(tester_streams(&relayed.tester), 1);
	ck_assert_uint_eq(count_cancelled(&relayed.tester), 0);
	for (int i = 0; i < 2; i++)
		stream_close(&streams[i]);
	relayed_stop(&relayed);
}
END_TEST

/* ---- nothing runs any more ---- */

/* What a client by hand still sends behind its cancel, and what was kept before it. */
START_TEST(handler_does_not_run_after_cancel)
{
	enum method method = _i / TRANSPORTS % 2 ? CHAT : GATHER;
	bool is_stopped = _i / TRANSPORTS / 2;
	Rpctest__Payload sample = sample_of(1, MOST), stop = RPCTEST__PAYLOAD__INIT;
	struct tester tester;
	int fd;

	stop.text = (char *)"stop";
	tester_start(&tester, transport_of(_i % TRANSPORTS), NULL);
	fd = raw_connect(tester.address);
	raw_open(fd);
	ck_assert(raw_call_stream(fd, 1, method, 0));
	ck_assert(raw_payload(fd, 1, is_stopped ? &stop : &sample));
	for (int i = 0; i < 10; i++)
		ck_assert(raw_payload(fd, 1, &sample));
	ck_assert(raw_cancel(fd, 1));
	for (int i = 0; i < 10; i++)
		ck_assert(raw_payload(fd, 1, &sample));
	ck_assert(raw_message(fd, 1, 0, true, NULL, 0));
	ck_assert(raw_call(fd, 3, ECHO, &empty));
	for (;;) {
		Hawser__Frame *frame = raw_receive(fd);
		bool is_last;

		ck_assert_ptr_nonnull(frame);
		is_last = frame->kind_case == HAWSER__FRAME__KIND_END;
		if (is_last)
			ck_assert_uint_eq(frame->end->id, 3);
		hawser__frame__free_unpacked(frame, NULL);
		if (is_last)
			break;
	}
	ck_assert_uint_eq(atomic_load(&tester.n_requests), is_stopped ? 1 : 11);
	ck_assert_uint_eq(count_cancelled(&tester), 1);
	ck_assert_uint_eq(tester_streamed(&tester), 1);
	close(fd);
	tester_stop(&tester);
}
END_TEST

static void cancel_at_five(struct stream *stream, const Rpctest__Payload *message)
{
	(void)message;
	if (stream->n == 5)
		ck_assert_int_eq(hawser_call_cancel(stream->call), 0);
}

static void free_at_five(struct stream *stream, const Rpctest__Payload *message)
{
	(void)message;
	if (stream->n == 5)
		stream_close(stream);
}

/* In its own callback, with more messages there already. */
START_TEST(callback_does_not_run_after_cancel)
{
	bool frees = _i & 1;
	struct stream stream = {.then = frees ? free_at_five : cancel_at_five};
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct pair pair;

	request.number = 1000;
	pair_start(&pair, async_stamp(_i / 2), NULL, NULL);
	stream_open(&stream, &pair.caller, WATCH, &request, NULL);
	turn_until(&pair.caller, stream.n >= 5);
	for (int i = 0; i < 5; i++)
		caller_echo(&pair.caller);
	ck_assert_uint_eq(stream.n, 5);
	/* Freed ones are not told of their end. */
	ck_assert_uint_eq(stream.result.n_ends, !frees);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

/* ---- what a handler keeps with its call ---- */

enum { FIRST, SECOND, LATE, POINTERS };

static atomic_uint n_freed[POINTERS];
static atomic_int n_bad; /* what the handler did not like */

static void count_free(void *data)
{
	atomic_fetch_add((atomic_uint *)data, 1);
}

/* The second takes the place of the first. Once the call has been answered, also from within this
 * handler, nothing takes the place of that. */
static void keep_data(struct hawser_call *call, const Rpctest__Payload *request,
		      struct tester *tester)
{
	uint64_t n = atomic_load(&tester->n_requests);

	if (n < LATE) {
		n_bad += hawser_call_data(call) != (n == FIRST ? NULL : &n_freed[FIRST]);
	} else if (request) {
		tester_fail(call, request);
	} else {
		hawser_call_end(call);
	}
	n_bad += hawser_call_set_data(call, &n_freed[n], count_free) != (n < LATE ? 0 : -EPIPE);
	n_bad += n < LATE && hawser_call_data(call) != &n_freed[n];
	n_bad += atomic_load(&n_freed[SECOND]) != 0;
	atomic_fetch_add(&tester->n_requests, 1);
}

enum data_end { END_IT, FAIL_IT, CANCEL_IT, LOSE_IT, STOP_SERVER, DATA_ENDS };

START_TEST(kept_data_is_freed_once)
{
	enum data_end end = (enum data_end)(_i / TRANSPORTS);
	Rpctest__Payload fail = RPCTEST__PAYLOAD__INIT;
	struct tester tester;
	int fd;

	memset(n_freed, 0, sizeof n_freed);
	n_bad = 0;
	fail.text = (char *)"fail";
	fail.number = HAWSER_ABORTED;
	tester_start(&tester, transport_of(_i % TRANSPORTS), NULL);
	atomic_store(&tester.on_stream, keep_data);
	fd = raw_connect(tester.address);
	raw_open(fd);
	ck_assert(raw_call_stream(fd, 1, CHAT, 0));
	for (int i = 0; i < LATE; i++)
		ck_assert(raw_payload(fd, 1, &empty));
	while (atomic_load(&tester.n_requests) < LATE)
		sched_yield();
	ck_assert_uint_eq(n_freed[FIRST], 1);
	ck_assert_uint_eq(n_freed[SECOND], 0);
	if (end == END_IT)
		ck_assert(raw_message(fd, 1, 0, true, NULL, 0));
	else if (end == FAIL_IT)
		ck_assert(raw_payload(fd, 1, &fail));
	else if (end == CANCEL_IT)
		ck_assert(raw_cancel(fd, 1));
	else if (end == LOSE_IT)
		shutdown(fd, SHUT_RDWR);
	while (end != STOP_SERVER && !atomic_load(&n_freed[SECOND]))
		sched_yield();
	tester_stop(&tester);
	ck_assert_uint_eq(n_freed[FIRST], 1);
	ck_assert_uint_eq(n_freed[SECOND], 1);
	ck_assert_uint_eq(n_freed[LATE], 0);
	ck_assert_int_eq(n_bad, 0);
	close(fd);
}
END_TEST

/* ---- work on another thread ---- */

struct worker {
	struct tester *tester;
	pthread_t thread;
	struct hawser_call *call;
	int answer;
};

/* Works until nobody waits any more. */
static void *work(void *data)
{
	struct worker *worker = data;

	worker->call = tester_held(worker->tester, 0);
	while (!hawser_call_cancelled(worker->call))
		sched_yield();
	worker->answer = hawser_call_send(worker->call, method_of(GATHER), &empty.base);
	return NULL;
}

static void hold_the_last(struct hawser_call *call, const Rpctest__Payload *request,
			  struct tester *tester)
{
	hawser_call_on_cancel(call, tester_on_cancel, tester);
	if (!request)
		tester_hold(tester, call);
}

static void hold_the_first(struct hawser_call *call, const Rpctest__Payload *request,
			   struct tester *tester)
{
	(void)request;
	hawser_call_on_cancel(call, tester_on_cancel, tester);
	tester_hold(tester, call);
}

/* The call is the worker's to answer once the last request came, and frees itself before. */
START_TEST(work_on_another_thread_hears_of_cancel)
{
	bool is_last = _i / BOTH_WAYS % 2;
	int64_t timeout_ms = _i / BOTH_WAYS / 2 ? patient_ms(200) : 0;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct stream stream = {.n = 0};
	struct worker worker;
	struct relayed relayed;

	context.timeout_ms = timeout_ms;
	relayed_start(&relayed, _i % BOTH_WAYS, NULL, NULL);
	caller_echo(&relayed.caller);
	atomic_store(&relayed.tester.on_stream, is_last ? hold_the_last : hold_the_first);
	worker.tester = &relayed.tester;
	ck_assert_int_eq(pthread_create(&worker.thread, NULL, work, &worker), 0);
	stream_open(&stream, &relayed.caller, GATHER, NULL, &context);
	ck_assert_int_eq(stream_send_samples(&stream, 1, MOST), 0);
	if (is_last)
		ck_assert_int_eq(hawser_call_end(stream.call), 0);
	relayed_held(&relayed, 0);
	if (!timeout_ms)
		ck_assert_int_eq(hawser_call_cancel(stream.call), 0);
	stream_finish(&stream, timeout_ms ? HAWSER_DEADLINE_EXCEEDED : HAWSER_CANCELLED);
	turn_until(&relayed.caller, count_cancelled(&relayed.tester) == 1);
	pthread_join(worker.thread, NULL);
	if (is_last)
		ck_assert_int_eq(worker.answer, -EPIPE);
	else
		ck_assert(worker.answer == -EPIPE || worker.answer == -EALREADY);
	stream_close(&stream);
	caller_echo(&relayed.caller);
	turn_until(&relayed.caller, server_stats(&relayed.tester).calls_in_flight == 0);
	relayed_stop(&relayed);
}
END_TEST

/* ---- calls on behalf of a call ---- */

START_TEST(calls_of_a_handler_inherit_what_time_is_left)
{
	enum { TIMEOUT_MS = 50000, SLACK_MS = 20000 };
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct stream parent = {.n = 0}, child = {.n = 0};
	struct hawser_call *held;
	struct result result;
	struct pair pair;

	context.timeout_ms = TIMEOUT_MS;
	pair_start(&pair, _i, NULL, NULL);
	stream_open(&parent, &pair.caller, CHAT, NULL, &context);
	ck_assert_int_eq(stream_send_order(&parent, "stop", 0), 0);
	caller_echo(&pair.caller);
	held = tester_held(&pair.tester, 0);
	ck_assert_int_le(hawser_call_time_left_ms(held), TIMEOUT_MS);

	context.timeout_ms = HAWSER_NO_DEADLINE;
	context.parent = held;
	caller_call(&pair.caller, TIME_LEFT, &empty, &context, &result);
	assert_ok(&result);
	ck_assert_int_le(result.number, TIMEOUT_MS);
	ck_assert_int_gt(result.number, TIMEOUT_MS - SLACK_MS);
	stream_open(&child, &pair.caller, CHAT, NULL, &context);
	ck_assert_int_eq(stream_send_order(&child, "stop", 0), 0);
	caller_echo(&pair.caller);
	ck_assert_int_le(hawser_call_time_left_ms(tester_held(&pair.tester, 1)), TIMEOUT_MS);
	/* The client keeps to it as well. */
	ck_assert_int_le(hawser_call_time_left_ms(child.call), TIMEOUT_MS);
	stream_close(&child);
	stream_close(&parent);
	pair_stop(&pair);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/streams/cancel");
	TCase *tcase = suite_case(suite, "handlers");

	tcase_add_loop_test(tcase, every_way_to_end_reaches_the_handler_of_every_kind, 0,
			    BOTH_WAYS * 3 * WAYS);
	tcase_add_loop_test(tcase, stream_is_cancelled_before_it_leaves, 0, BOTH_WAYS);

	tcase = suite_case(suite, "after");
	tcase_add_loop_test(tcase, handler_does_not_run_after_cancel, 0, 4 * TRANSPORTS);
	tcase_add_loop_test(tcase, callback_does_not_run_after_cancel, 0, 4 * TRANSPORTS);

	tcase = suite_case(suite, "data");
	tcase_add_loop_test(tcase, kept_data_is_freed_once, 0, DATA_ENDS * TRANSPORTS);

	tcase = suite_case(suite, "threads");
	tcase_add_loop_test(tcase, work_on_another_thread_hears_of_cancel, 0, 4 * BOTH_WAYS);
	tcase_add_loop_test(tcase, calls_of_a_handler_inherit_what_time_is_left, 0, BOTH_WAYS);
	return suite_run(suite);
}
