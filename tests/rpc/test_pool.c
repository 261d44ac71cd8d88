/* Handlers on the worker pool: how many at a time, in which order, and what becomes of their calls
 * when nobody waits for them any more, before they begin and while they run. */

#include "raw.h"
#include "stream.h"
#include "support/random.h"
#include "support/suite.h"
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 3, QUEUE = 5, LARGE = 300000, MESSAGES = 300, MOST = 2000 };

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

/* ---- handlers that stay until the test lets them go ---- */

static struct hall {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned n_in, n_out, n_allowed;
	unsigned n_interrupted, n_told;
	bool is_wrong;
	struct hawser_call *calls[64];
} hall = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void note(unsigned *counter)
{
	pthread_mutex_lock(&hall.lock);
	++*counter;
	pthread_cond_broadcast(&hall.changed);
	pthread_mutex_unlock(&hall.lock);
}

static void await(const unsigned *counter, unsigned value)
{
	pthread_mutex_lock(&hall.lock);
	while (*counter < value)
		pthread_cond_wait(&hall.changed, &hall.lock);
	pthread_mutex_unlock(&hall.lock);
}

static unsigned read_of(const unsigned *counter)
{
	unsigned value;

	pthread_mutex_lock(&hall.lock);
	value = *counter;
	pthread_mutex_unlock(&hall.lock);
	return value;
}

static void allow(unsigned count)
{
	pthread_mutex_lock(&hall.lock);
	hall.n_allowed = count;
	pthread_cond_broadcast(&hall.changed);
	pthread_mutex_unlock(&hall.lock);
}

static void stay(struct hawser_call *call)
{
	pthread_mutex_lock(&hall.lock);
	hall.calls[hall.n_in++ % 64] = call;
	pthread_cond_broadcast(&hall.changed);
	while (hall.n_out >= hall.n_allowed)
		pthread_cond_wait(&hall.changed, &hall.lock);
	hall.n_out++;
	pthread_cond_broadcast(&hall.changed);
	pthread_mutex_unlock(&hall.lock);
}

static void toil(struct hawser_call *call, const Rpctest__Payload *request, struct tester *tester)
{
	(void)tester;
	stay(call);
	rpctest_tester_toil_reply(call, request);
}

static void start(struct pair *pair, int stamp, tester_stream_fn *on_toil,
		  const struct hawser_server_options *given)
{
	struct hawser_server_options options = given ? *given : tester_options();
	struct hawser_error error;

	hall.n_in = hall.n_out = hall.n_allowed = hall.n_interrupted = hall.n_told = 0;
	hall.is_wrong = false;
	options.worker_threads = THREADS;
	options.worker_queue = QUEUE;
	tester_init(&pair->tester, transport_of(stamp), &options);
	atomic_store(&pair->tester.on_toil, on_toil);
	ck_assert_int_eq(
		hawser_server_set_blocking(pair->tester.server, "rpctest.Tester/Gather", &error),
		0);
	ck_assert_int_eq(
		hawser_server_set_blocking(pair->tester.server, "rpctest.Tester/Chat", &error), 0);
	ck_assert_int_eq(
		hawser_server_set_blocking(pair->tester.server, "rpctest.Tester/Watch", &error), 0);
	tester_run(&pair->tester);
	caller_init(&pair->caller, pair->tester.address, true, NULL);
}

static struct hawser_server_stats stats_of(struct pair *pair)
{
	struct hawser_server_stats stats = {.size = sizeof stats};

	hawser_server_get_stats(pair->tester.server, &stats);
	return stats;
}

/* What the loop learns from a thread of the pool it learns a moment later. */
static void await_calm(struct pair *pair)
{
	while (stats_of(pair).calls_in_flight)
		caller_echo(&pair->caller);
}

static void open_toils(struct async *calls, unsigned count, struct pair *pair)
{
	memset(calls, 0, count * sizeof *calls);
	for (unsigned i = 0; i < count; i++) {
		calls[i].keeps = true;
		async_open(&calls[i], &pair->caller, TOIL, &empty, NULL);
	}
	caller_echo(&pair->caller);
}

static void finish_toils(struct async *calls, unsigned count, struct pair *pair)
{
	for (unsigned i = 0; i < count; i++) {
		async_wait(&calls[i], &pair->caller);
		assert_ok(&calls[i].result);
		hawser_call_free(calls[i].call);
	}
}

/* ---- threads ---- */

START_TEST(handlers_block_side_by_side_and_the_loop_goes_on)
{
	struct async calls[THREADS];
	struct pair pair;

	start(&pair, _i, toil, NULL);
	open_toils(calls, THREADS, &pair);
	await(&hall.n_in, THREADS);
	for (int i = 0; i < 100; i++)
		caller_echo(&pair.caller);
	allow(THREADS);
	finish_toils(calls, THREADS, &pair);
	await_calm(&pair);
	pair_stop(&pair);
}
END_TEST

START_TEST(call_above_threads_and_queue_is_refused_at_once)
{
	struct async calls[THREADS + QUEUE + 2];
	struct pair pair;

	start(&pair, _i, toil, NULL);
	open_toils(calls, THREADS + QUEUE + 2, &pair);
	for (unsigned i = 0; i < 2; i++) {
		struct async *late = &calls[THREADS + QUEUE + i];

		async_wait(late, &pair.caller);
		assert_failed(&late->result, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_NOT_EXECUTED,
			      "rpctest.Tester/Toil: 3 threads are busy and 5 calls wait for one");
		hawser_call_free(late->call);
	}
	await(&hall.n_in, THREADS);
	ck_assert_uint_eq(stats_of(&pair).worker_threads, THREADS);
	ck_assert_uint_eq(stats_of(&pair).calls_refused, 2);
	allow(THREADS + QUEUE);
	finish_toils(calls, THREADS + QUEUE, &pair);
	await_calm(&pair);
	ck_assert_uint_eq(hall.n_in, THREADS + QUEUE);
	pair_stop(&pair);
}
END_TEST

START_TEST(waiting_and_working_are_counted_apart)
{
	struct async calls[THREADS + 2];
	struct hawser_server_stats stats;
	struct pair pair;

	start(&pair, _i, toil, NULL);
	ck_assert_uint_eq(stats_of(&pair).worker_threads, 0);
	open_toils(calls, THREADS + 2, &pair);
	await(&hall.n_in, THREADS);
	stats = stats_of(&pair);
	ck_assert_uint_eq(stats.worker_queued, 2);
	ck_assert_uint_eq(stats.worker_begun, THREADS);
	ck_assert_uint_eq(stats.worker_done, 0);
	allow(THREADS + 2);
	finish_toils(calls, THREADS + 2, &pair);
	await_calm(&pair);
	while ((stats = stats_of(&pair)).worker_done < THREADS + 2)
		sched_yield();
	ck_assert_uint_eq(stats.worker_begun, THREADS + 2);
	ck_assert_uint_eq(stats.worker_queued, 0);
	ck_assert_uint_le(stats.worker_max_run_us, stats.worker_run_us);
	ck_assert_uint_le(stats.worker_max_queue_us, stats.worker_queue_us);
	ck_assert_uint_gt(stats.worker_run_us, 0);
	pair_stop(&pair);
}
END_TEST

static void answer_later(struct hawser_call *call, const Rpctest__Payload *request,
			 struct tester *tester)
{
	(void)request;
	tester_hold(tester, call);
}

START_TEST(handler_may_return_and_answer_later)
{
	struct async calls[20];
	struct pair pair;

	start(&pair, _i, answer_later, NULL);
	memset(calls, 0, sizeof calls);
	for (unsigned i = 0; i < 20; i++) {
		async_open(&calls[i], &pair.caller, TOIL, &empty, NULL);
		caller_echo(&pair.caller);
		tester_held(&pair.tester, i);
	}
	for (unsigned i = 0; i < 20; i++)
		ck_assert_int_eq(rpctest_tester_toil_reply(tester_held(&pair.tester, i), &empty),
				 0);
	for (unsigned i = 0; i < 20; i++) {
		async_wait(&calls[i], &pair.caller);
		assert_ok(&calls[i].result);
	}
	await_calm(&pair);
	pair_stop(&pair);
}
END_TEST

static void tell_peer(struct hawser_call *call, const Rpctest__Payload *request,
		      struct tester *tester)
{
	Rpctest__Payload reply = *request;
	char peer[128];

	(void)tester;
	reply.text = (char *)hawser_call_peer(call, peer, sizeof peer);
	if (hawser_call_method(call) != method_of(TOIL) || hawser_call_cancelled(call) ||
	    hawser_call_time_left_ms(call) < 1000 || !*peer)
		reply.text = (char *)"wrong";
	hawser_call_add_metadata(call, "peer", reply.text, strlen(reply.text));
	rpctest_tester_toil_reply(call, &reply);
}

START_TEST(handler_knows_its_call)
{
	struct result result;
	struct pair pair;

	start(&pair, _i, tell_peer, NULL);
	caller_call(&pair.caller, TOIL, &empty, NULL, &result);
	assert_ok(&result);
	ck_assert_ptr_nonnull(strstr(result.metadata, transport_of(_i) == OVER_TCP
							      ? "peer=tcp:127.0.0.1:"
							      : "peer=unix:"));
	pair_stop(&pair);
}
END_TEST

/* ---- requests ---- */

START_TEST(requests_of_every_size_come_whole)
{
	static uint8_t data[LARGE];
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct result result;
	struct pair pair;

	start(&pair, _i, NULL, NULL);
	random_fill(data, sizeof data);
	request.data.data = data;
	for (size_t length = 0; length < sizeof data; length = 3 * length + 1) {
		request.data.len = length;
		request.id = length;
		caller_call(&pair.caller, TOIL, &request, NULL, &result);
		assert_ok(&result);
		ck_assert(result.is_echo);
	}
	await_calm(&pair);
	pair_stop(&pair);
}
END_TEST

static void give_back_raw(struct hawser_call *call, const void *packed, size_t length, void *data)
{
	uint8_t *copy = malloc(length + 1);

	(void)data;
	if (length)
		memcpy(copy, packed, length);
	hawser_call_send_raw(call, hawser_call_method(call), copy, length, free, copy);
}

START_TEST(raw_handlers_run_on_the_pool)
{
	static uint8_t bytes[LARGE];
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct hawser_error error;
	struct result result;
	struct pair pair;

	tester_init(&pair.tester, transport_of(_i), NULL);
	ck_assert_int_eq(hawser_server_set_raw(pair.tester.server, "rpctest.Tester/Toil",
					       give_back_raw, NULL, &error),
			 0);
	tester_run(&pair.tester);
	caller_init(&pair.caller, pair.tester.address, true, NULL);
	request.data.data = bytes;
	for (size_t length = 0; length <= LARGE; length += LARGE / 2) {
		request.data.len = length;
		caller_call(&pair.caller, TOIL, &request, NULL, &result);
		assert_ok(&result);
		ck_assert(result.is_echo);
	}
	ck_assert_uint_eq(stats_of(&pair).worker_begun, 3);
	pair_stop(&pair);
}
END_TEST

START_TEST(invalid_request_does_not_run)
{
	struct pair pair;
	int fd;

	start(&pair, _i, toil, NULL);
	fd = raw_connect(pair.tester.address);
	raw_open(fd);
	ck_assert(raw_call_stream(fd, 1, TOIL, 4));
	ck_assert(raw_message(fd, 1, 0, false, "\xff\xff\xff\xff", 4));
	raw_expect_end(fd, 1, HAWSER_INVALID_ARGUMENT, HAWSER_OUTCOME_NOT_EXECUTED);
	ck_assert(raw_call_stream(fd, 3, GATHER, 0));
	ck_assert(raw_message(fd, 3, 0, false, "\xff\xff\xff\xff", 4));
	raw_expect_end(fd, 3, HAWSER_INVALID_ARGUMENT, HAWSER_OUTCOME_NOT_EXECUTED);
	close(fd);
	await_calm(&pair);
	ck_assert_uint_eq(hall.n_in, 0);
	pair_stop(&pair);
}
END_TEST

/* ---- before it begins ---- */

START_TEST(call_that_waits_may_be_cancelled)
{
	struct async calls[THREADS + 2];
	struct pair pair;

	start(&pair, _i, toil, NULL);
	open_toils(calls, THREADS + 2, &pair);
	await(&hall.n_in, THREADS);
	ck_assert_int_eq(hawser_call_cancel(calls[THREADS].call), 0);
	hawser_call_free(calls[THREADS].call);
	caller_echo(&pair.caller);
	ck_assert_uint_eq(stats_of(&pair).worker_queued, 1);
	ck_assert_uint_eq(stats_of(&pair).calls_in_flight, THREADS + 1);
	calls[THREADS] = calls[THREADS + 1];
	calls[THREADS].call = calls[THREADS + 1].call;
	allow(THREADS + 1);
	async_wait(&calls[THREADS + 1], &pair.caller);
	hawser_call_free(calls[THREADS + 1].call);
	finish_toils(calls, THREADS, &pair);
	await_calm(&pair);
	ck_assert_uint_eq(hall.n_in, THREADS + 1);
	pair_stop(&pair);
}
END_TEST

START_TEST(call_that_waits_past_its_deadline_is_not_begun)
{
	struct async calls[THREADS];
	struct pair pair;
	int fd;

	start(&pair, _i, toil, NULL);
	open_toils(calls, THREADS, &pair);
	await(&hall.n_in, THREADS);
	fd = raw_connect(pair.tester.address);
	raw_open(fd);
	ck_assert(raw_call_within(fd, 1, TOIL, &empty, 20));
	raw_expect_end(fd, 1, HAWSER_DEADLINE_EXCEEDED, HAWSER_OUTCOME_NOT_EXECUTED);
	close(fd);
	ck_assert_uint_eq(stats_of(&pair).worker_queued, 0);
	allow(THREADS);
	finish_toils(calls, THREADS, &pair);
	await_calm(&pair);
	ck_assert_uint_eq(hall.n_in, THREADS);
	pair_stop(&pair);
}
END_TEST

START_TEST(call_that_waits_ends_with_its_connection)
{
	struct async calls[THREADS];
	struct pair pair;
	int fd;

	start(&pair, _i, toil, NULL);
	open_toils(calls, THREADS, &pair);
	await(&hall.n_in, THREADS);
	fd = raw_connect(pair.tester.address);
	raw_open(fd);
	ck_assert(raw_call(fd, 1, TOIL, &empty));
	ck_assert(raw_call_stream(fd, 3, CHAT, 0));
	ck_assert(raw_payload(fd, 3, &empty));
	while (stats_of(&pair).worker_queued < 2)
		caller_echo(&pair.caller);
	close(fd);
	while (stats_of(&pair).worker_queued)
		caller_echo(&pair.caller);
	ck_assert_uint_eq(stats_of(&pair).calls_in_flight, THREADS);
	allow(THREADS);
	finish_toils(calls, THREADS, &pair);
	await_calm(&pair);
	ck_assert_uint_eq(hall.n_in, THREADS);
	pair_stop(&pair);
}
END_TEST

/* ---- while it runs ---- */

static void told(struct hawser_call *call, void *data)
{
	/* The handler has returned: nothing of one call runs beside it. */
	if (read_of(&hall.n_out) != hall.n_allowed)
		hall.is_wrong = true;
	note(&hall.n_told);
	(void)data;
	hawser_call_fail(call, HAWSER_ABORTED, NULL);
}

static void wake(struct hawser_call *call, void *data)
{
	(void)call;
	note(data);
}

/* Until it is interrupted; then it returns, and is told. */
static void toil_until_interrupted(struct hawser_call *call, const Rpctest__Payload *request,
				   struct tester *tester)
{
	(void)tester;
	hawser_call_on_cancel(call, told, NULL);
	ck_assert_int_eq(hawser_call_on_interrupt(call, wake, &hall.n_interrupted), 0);
	note(&hall.n_in);
	await(&hall.n_interrupted, 1);
	hall.is_wrong |= !hawser_call_cancelled(call);
	if (*request->text)
		rpctest_tester_toil_reply(call, request);
	/* Once is enough, and it is cancelled already. */
	hawser_call_on_interrupt(call, wake, &hall.n_interrupted);
	hawser_call_on_interrupt(call, NULL, NULL);
	stay(call);
}

enum way { BY_CANCEL, BY_DEADLINE, BY_END, WAYS };

START_TEST(handler_that_runs_is_interrupted_and_then_told)
{
	enum way way = (enum way)(_i / TRANSPORTS % WAYS);
	bool answers = _i / TRANSPORTS / WAYS;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct pair pair;
	int fd;

	start(&pair, _i, toil_until_interrupted, NULL);
	request.text = (char *)(answers ? "answer" : "");
	fd = raw_connect(pair.tester.address);
	raw_open(fd);
	ck_assert(raw_call_within(fd, 1, TOIL, &request, way == BY_DEADLINE ? 20 : 0));
	await(&hall.n_in, 1);
	if (way == BY_CANCEL)
		ck_assert(raw_cancel(fd, 1));
	else if (way == BY_DEADLINE)
		raw_expect_end(fd, 1, HAWSER_DEADLINE_EXCEEDED, HAWSER_OUTCOME_EXECUTED);
	else
		close(fd);
	await(&hall.n_in, 2);
	caller_echo(&pair.caller);
	ck_assert_uint_eq(read_of(&hall.n_told), 0);
	ck_assert_uint_eq(read_of(&hall.n_interrupted), 2);
	allow(1);
	if (!answers)
		await(&hall.n_told, 1);
	await_calm(&pair);
	ck_assert_uint_eq(hall.n_told, !answers);
	ck_assert(!hall.is_wrong);
	if (way != BY_END)
		close(fd);
	pair_stop(&pair);
}
END_TEST

static void misuse(struct hawser_call *call, const Rpctest__Payload *request, struct tester *tester)
{
	(void)tester;
	rpctest_tester_toil_reply(call, request);
	/* Answered, and still its own as long as the handler runs. */
	hall.is_wrong |= rpctest_tester_toil_reply(call, request) != -EALREADY;
	hall.is_wrong |= hawser_call_fail(call, HAWSER_ABORTED, NULL) != -EALREADY;
	hall.is_wrong |= hawser_call_end(call) >= 0;
	hall.is_wrong |= hawser_call_read_stop(call) >= 0;
	hawser_call_set_data(call, NULL, NULL);
	stay(call);
	hall.is_wrong |= rpctest_tester_toil_reply(call, request) != -EALREADY;
	hall.is_wrong |= hawser_call_method(call) != method_of(TOIL);
	note(&hall.n_told);
}

START_TEST(handler_may_go_on_after_its_answer)
{
	struct result result;
	struct pair pair;

	start(&pair, _i, misuse, NULL);
	caller_call(&pair.caller, TOIL, &empty, NULL, &result);
	assert_ok(&result);
	/* Other calls come and go meanwhile, also in slots that are free. */
	for (int i = 0; i < 1000; i++)
		caller_echo(&pair.caller);
	ck_assert_uint_eq(stats_of(&pair).calls_in_flight, 0);
	allow(1);
	await(&hall.n_told, 1);
	ck_assert(!hall.is_wrong);
	pair_stop(&pair);
}
END_TEST

START_TEST(interrupt_is_for_handlers_on_the_pool)
{
	struct async async = {.call = NULL};
	struct pair pair;

	start(&pair, _i, NULL, NULL);
	async_open(&async, &pair.caller, HOLD, &empty, NULL);
	caller_echo(&pair.caller);
	ck_assert_int_eq(
		hawser_call_on_interrupt(tester_held(&pair.tester, 0), wake, &hall.n_interrupted),
		-EINVAL);
	ck_assert_int_eq(hawser_call_on_interrupt(NULL, wake, NULL), -EPIPE);
	rpctest_tester_hold_reply(tester_held(&pair.tester, 0), &empty);
	async_wait(&async, &pair.caller);
	pair_stop(&pair);
}
END_TEST

/* ---- streams ---- */

/* Counts how many are in the handler of one call. */
static void watch_order(struct hawser_call *call, const Rpctest__Payload *request,
			struct tester *tester)
{
	static atomic_int n_inside;
	Rpctest__Payload reply = RPCTEST__PAYLOAD__INIT;
	uint64_t *last = hawser_call_data(call);

	if (!last) {
		last = calloc(1, sizeof *last);
		hawser_call_set_data(call, last, free);
	}
	if (atomic_fetch_add(&n_inside, 1))
		hall.is_wrong = true;
	if (request && request->id != ++*last)
		hall.is_wrong = true;
	/* Give another thread the chance to be wrong. */
	sched_yield();
	atomic_fetch_sub(&n_inside, 1);
	atomic_fetch_add(&tester->n_requests, 1);
	if (request)
		return;
	reply.id = *last;
	rpctest_tester_gather_reply(call, &reply);
}

START_TEST(messages_come_one_at_a_time_and_in_order)
{
	struct stream stream = {.n = 0};
	struct pair pair;

	start(&pair, _i, NULL, NULL);
	atomic_store(&pair.tester.on_stream, watch_order);
	stream_open(&stream, &pair.caller, GATHER, NULL, NULL);
	ck_assert_int_eq(stream_send_samples(&stream, MESSAGES, MOST), 0);
	ck_assert_int_eq(hawser_call_end(stream.call), 0);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.result.id, MESSAGES);
	ck_assert(!hall.is_wrong);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

START_TEST(all_kinds_of_streams_run_on_the_pool)
{
	static const enum method methods[] = {WATCH, GATHER, CHAT};
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct stream streams[9];
	struct pair pair;

	start(&pair, _i, NULL, NULL);
	memset(streams, 0, sizeof streams);
	request.number = MESSAGES;
	for (int i = 0; i < 9; i++)
		stream_open(&streams[i], &pair.caller, methods[i % 3], i % 3 == 0 ? &request : NULL,
			    NULL);
	for (int i = 0; i < 9; i++) {
		if (i % 3 == 0)
			stream_finish(&streams[i], HAWSER_OK);
		else
			stream_pump(&streams[i], MESSAGES, MOST);
	}
	for (int i = 0; i < 9; i++) {
		stream_finish(&streams[i], HAWSER_OK);
		if (i % 3 != 1)
			ck_assert_uint_eq(streams[i].n, MESSAGES);
		else
			ck_assert_uint_eq(streams[i].result.id, MESSAGES);
		stream_close(&streams[i]);
	}
	tester_wait_streamed(&pair.tester, 9);
	await_calm(&pair);
	ck_assert_uint_gt(stats_of(&pair).worker_begun, 9);
	pair_stop(&pair);
}
END_TEST

/* Stops at every tenth message. */
static void stop_at_tenth(struct hawser_call *call, const Rpctest__Payload *request,
			  struct tester *tester)
{
	if (request && request->id % 10 == 0) {
		ck_assert_int_eq(hawser_call_read_stop(call), 0);
		tester_hold(tester, call);
	}
	if (hall.n_told && read_of(&hall.n_told) % 2)
		hall.is_wrong = true;
	atomic_fetch_add(&tester->n_requests, 1);
	if (!request)
		rpctest_tester_gather_reply(call, &empty);
}

START_TEST(handler_stops_and_any_thread_starts_it_again)
{
	struct stream stream = {.n = 0};
	struct pair pair;

	start(&pair, _i, NULL, NULL);
	atomic_store(&pair.tester.on_stream, stop_at_tenth);
	stream_open(&stream, &pair.caller, GATHER, NULL, NULL);
	ck_assert_int_eq(stream_send_samples(&stream, 30, 100), 0);
	ck_assert_int_eq(hawser_call_end(stream.call), 0);
	caller_echo(&pair.caller);
	for (unsigned i = 0; i < 3; i++) {
		struct hawser_call *call = tester_held(&pair.tester, i);

		/* Nothing behind the tenth one comes, however much is there. */
		for (int echo = 0; echo < 5; echo++)
			caller_echo(&pair.caller);
		ck_assert_uint_le(atomic_load(&pair.tester.n_requests), 10 * (i + 1));
		ck_assert_int_eq(hawser_call_read_start(call), 0);
	}
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(atomic_load(&pair.tester.n_requests), 31);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

/* Sends without asking whether there is room. */
static void pour(struct hawser_call *call, const Rpctest__Payload *request, struct tester *tester)
{
	int r = 0;

	if (!request)
		return;
	note(&hall.n_in);
	for (uint64_t id = 1; id <= (uint64_t)request->number && r == 0; id++) {
		Rpctest__Payload sample = sample_of(id, MOST);

		r = rpctest_tester_chat_reply(call, &sample);
		atomic_fetch_add(&tester->n_replies, r == 0);
	}
	if (r == 0)
		r = hawser_call_end(call);
	else
		hawser_call_fail(call, HAWSER_ABORTED, "send: %d", r);
	if (r != 0 && r != -EPIPE)
		hall.is_wrong = true;
	note(&hall.n_out);
}

START_TEST(handler_that_sends_waits_for_room)
{
	Rpctest__Payload order = RPCTEST__PAYLOAD__INIT;
	struct stream stream = {.n = 0};
	struct pair pair;

	start(&pair, _i, NULL, NULL);
	atomic_store(&pair.tester.on_stream, pour);
	stream_open(&stream, &pair.caller, CHAT, NULL, NULL);
	order.number = 3000;
	ck_assert_int_eq(stream_send(&stream, &order), 0);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.n, 3000);
	ck_assert(!hall.is_wrong);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

START_TEST(handler_that_waits_for_room_hears_of_the_end)
{
	enum way way = (enum way)(_i / TRANSPORTS);
	Rpctest__Payload order = RPCTEST__PAYLOAD__INIT;
	struct pair pair;
	int fd;

	start(&pair, _i, NULL, NULL);
	atomic_store(&pair.tester.on_stream, pour);
	fd = raw_connect(pair.tester.address);
	raw_open(fd);
	order.number = INT64_MAX;
	if (way == BY_DEADLINE) {
		close(fd);
		struct hawser_context context = HAWSER_CONTEXT_INIT;
		struct stream stream = {.n = 0};

		context.timeout_ms = 100;
		stream_open(&stream, &pair.caller, CHAT, NULL, &context);
		ck_assert_int_eq(hawser_call_read_stop(stream.call), 0);
		ck_assert_int_eq(stream_send(&stream, &order), 0);
		stream_finish(&stream, HAWSER_DEADLINE_EXCEEDED);
		stream_close(&stream);
	} else {
		/* It never opens the window any further. */
		ck_assert(raw_call_stream(fd, 1, CHAT, 0));
		ck_assert(raw_payload(fd, 1, &order));
		await(&hall.n_in, 1);
		if (way == BY_CANCEL)
			ck_assert(raw_cancel(fd, 1));
		else
			close(fd);
	}
	await(&hall.n_out, 1);
	await_calm(&pair);
	if (way == BY_CANCEL)
		close(fd);
	ck_assert(!hall.is_wrong);
	pair_stop(&pair);
}
END_TEST

/* ---- the end ---- */

/* Answers at once, and takes its time. */
static void linger(struct hawser_call *call, const Rpctest__Payload *request, struct tester *tester)
{
	(void)tester;
	rpctest_tester_toil_reply(call, request);
	stay(call);
}

static void *let_go(void *data)
{
	(void)data;
	await(&hall.n_in, 1);
	note(&hall.n_told);
	allow(64);
	return NULL;
}

START_TEST(drain_waits_for_handlers)
{
	struct result result;
	pthread_t thread;
	struct pair pair;
	int fd;

	start(&pair, _i, linger, NULL);
	caller_call(&pair.caller, TOIL, &empty, NULL, &result);
	assert_ok(&result);
	await(&hall.n_in, 1);
	caller_deinit(&pair.caller);
	hawser_server_drain(pair.tester.server);
	/* It is let go only when the listener is closed, and its client gone. */
	while ((fd = raw_try_connect(pair.tester.address)) >= 0)
		close(fd);
	while (stats_of(&pair).connections)
		sched_yield();
	ck_assert_int_eq(pthread_create(&thread, NULL, let_go, NULL), 0);
	ck_assert_int_eq(tester_join(&pair.tester), 0);
	ck_assert_uint_eq(read_of(&hall.n_out), 1);
	pthread_join(thread, NULL);
	tester_stop(&pair.tester);
}
END_TEST

START_TEST(drain_does_not_wait_for_ever)
{
	struct hawser_server_options options = tester_options();
	struct async async;
	pthread_t thread;
	struct pair pair;

	options.drain_timeout_ms = 30;
	start(&pair, _i, _i / TRANSPORTS ? toil : linger, &options);
	open_toils(&async, 1, &pair);
	await(&hall.n_in, 1);
	hawser_server_drain(pair.tester.server);
	ck_assert_int_eq(tester_join(&pair.tester), 1);
	ck_assert_uint_eq(read_of(&hall.n_out), 0);
	async_wait(&async, &pair.caller);
	hawser_call_free(async.call);
	ck_assert_int_eq(pthread_create(&thread, NULL, let_go, NULL), 0);
	/* Freeing it waits. */
	tester_stop(&pair.tester);
	ck_assert_uint_eq(read_of(&hall.n_out), 1);
	pthread_join(thread, NULL);
	caller_deinit(&pair.caller);
}
END_TEST

START_TEST(server_is_freed_with_handlers_running_and_waiting)
{
	struct async calls[THREADS + QUEUE];
	struct stream stream = {.n = 0};
	pthread_t thread;
	struct pair pair;

	start(&pair, _i, toil, NULL);
	atomic_store(&pair.tester.on_stream, pour);
	stream_open(&stream, &pair.caller, CHAT, NULL, NULL);
	ck_assert_int_eq(stream_send_samples(&stream, 1, 10), 0);
	open_toils(calls, THREADS + QUEUE - 1, &pair);
	await(&hall.n_in, THREADS);
	hawser_server_stop(pair.tester.server);
	tester_join(&pair.tester);
	ck_assert_int_eq(pthread_create(&thread, NULL, let_go, NULL), 0);
	tester_stop(&pair.tester);
	pthread_join(thread, NULL);
	for (int i = 0; i < THREADS + QUEUE - 1; i++) {
		async_wait(&calls[i], &pair.caller);
		hawser_call_free(calls[i].call);
	}
	stream_close(&stream);
	caller_deinit(&pair.caller);
}
END_TEST

/* ---- many at once ---- */

static void toil_at_random(struct hawser_call *call, const Rpctest__Payload *request,
			   struct tester *tester)
{
	(void)tester;
	hawser_call_on_interrupt(call, wake, &hall.n_interrupted);
	hawser_call_on_cancel(call, tester_on_cancel, tester);
	for (uint64_t i = 0; i < request->id % 7; i++)
		sched_yield();
	if (request->id % 5 == 0)
		hawser_call_on_interrupt(call, NULL, NULL);
	rpctest_tester_toil_reply(call, request);
	for (uint64_t i = 0; i < request->id % 3; i++)
		sched_yield();
}

START_TEST(calls_cross_their_ends_everywhere)
{
	enum { CALLS = 40 };
	struct hawser_server_options options = tester_options();
	struct async calls[CALLS];
	Rpctest__Payload requests[CALLS];
	struct pair pair;

	options.loops = 2;
	start(&pair, _i, toil_at_random, &options);
	for (unsigned round = 0; round < suite_rounds(60); round++) {
		struct caller caller;
		struct hawser_context context = HAWSER_CONTEXT_INIT;

		caller_init(&caller, pair.tester.address, true, NULL);
		memset(calls, 0, sizeof calls);
		for (int i = 0; i < CALLS; i++) {
			requests[i] = empty;
			requests[i].id = random_next();
			calls[i].keeps = true;
			context.timeout_ms = random_one_in(4) ? 1 + (int)random_below(3) : 5000;
			async_open(&calls[i], &caller, TOIL, &requests[i], &context);
		}
		for (int i = 0; i < CALLS; i++) {
			if (random_one_in(3))
				hawser_call_cancel(calls[i].call);
			else if (random_one_in(2))
				async_wait(&calls[i], &caller);
			hawser_call_free(calls[i].call);
		}
		caller_deinit(&caller);
	}
	await_calm(&pair);
	pair_stop(&pair);
}
END_TEST

/* ---- setting up ---- */

START_TEST(wrong_set_up_is_an_error)
{
	struct hawser_server_options options = tester_options();
	struct hawser_error error;
	struct tester tester;

	tester_init(&tester, OVER_TCP, NULL);
	ck_assert_int_eq(hawser_server_set_blocking(NULL, "rpctest.Tester", &error), -EINVAL);
	ck_assert_int_eq(hawser_server_set_blocking(tester.server, NULL, &error), -EINVAL);
	ck_assert_int_eq(hawser_server_set_blocking(tester.server, "rpctest.Teste", &error),
			 -ENOENT);
	ck_assert_ptr_nonnull(strstr(error.message, "set_blocking rpctest.Teste: no such service"));
	ck_assert_int_eq(hawser_server_set_blocking(tester.server, "rpctest.Tester/", NULL),
			 -ENOENT);
	ck_assert_int_eq(hawser_server_set_blocking(tester.server, "rpctest.Tester", NULL), 0);
	tester_run(&tester);
	struct caller caller;

	caller_init(&caller, tester.address, false, NULL);
	caller_echo(&caller);
	ck_assert_int_eq(hawser_server_set_blocking(tester.server, "rpctest.Tester", &error),
			 -EBUSY);
	caller_deinit(&caller);
	tester_stop(&tester);
	options.worker_threads = 1025;
	ck_assert_ptr_null(hawser_server_new(&options, &error));
	ck_assert_ptr_nonnull(strstr(error.message, "1025 worker_threads; up to 1024"));
	options.worker_threads = 0;
	options.worker_name = "twelve-bytes";
	ck_assert_ptr_null(hawser_server_new(&options, &error));
	ck_assert_ptr_nonnull(strstr(error.message, "worker_name \"twelve-bytes\" has more than"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/pool");
	TCase *tcase = suite_case(suite, "threads");

	tcase_add_loop_test(tcase, handlers_block_side_by_side_and_the_loop_goes_on, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, call_above_threads_and_queue_is_refused_at_once, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, waiting_and_working_are_counted_apart, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, handler_may_return_and_answer_later, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, handler_knows_its_call, 0, TRANSPORTS);

	tcase = suite_case(suite, "requests");
	tcase_add_loop_test(tcase, requests_of_every_size_come_whole, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, raw_handlers_run_on_the_pool, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, invalid_request_does_not_run, 0, TRANSPORTS);

	tcase = suite_case(suite, "before it begins");
	tcase_add_loop_test(tcase, call_that_waits_may_be_cancelled, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, call_that_waits_past_its_deadline_is_not_begun, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, call_that_waits_ends_with_its_connection, 0, TRANSPORTS);

	tcase = suite_case(suite, "while it runs");
	tcase_add_loop_test(tcase, handler_that_runs_is_interrupted_and_then_told, 0,
			    2 * WAYS * TRANSPORTS);
	tcase_add_loop_test(tcase, handler_may_go_on_after_its_answer, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, interrupt_is_for_handlers_on_the_pool, 0, TRANSPORTS);

	tcase = suite_case(suite, "streams");
	tcase_add_loop_test(tcase, messages_come_one_at_a_time_and_in_order, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, all_kinds_of_streams_run_on_the_pool, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, handler_stops_and_any_thread_starts_it_again, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, handler_that_sends_waits_for_room, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, handler_that_waits_for_room_hears_of_the_end, 0,
			    WAYS * TRANSPORTS);

	tcase = suite_case(suite, "the end");
	tcase_add_loop_test(tcase, drain_waits_for_handlers, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, drain_does_not_wait_for_ever, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, server_is_freed_with_handlers_running_and_waiting, 0,
			    TRANSPORTS);

	tcase = suite_case(suite, "many");
	tcase_add_loop_test(tcase, calls_cross_their_ends_everywhere, 0, TRANSPORTS);
	tcase_add_test(tcase, wrong_set_up_is_an_error);
	return suite_run(suite);
}
