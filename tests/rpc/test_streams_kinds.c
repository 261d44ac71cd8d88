/* Streams of every kind: what is sent comes, in order, once, with its end; whoever ends first. */

#include "stream.h"
#include "support/suite.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGES = 500, MOST = 3000 };

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

static uint64_t bytes_of_samples(uint64_t count, size_t most)
{
	uint64_t bytes = 0;

	for (uint64_t id = 1; id <= count; id++)
		bytes += sample_length(id, most);
	return bytes;
}

static void assert_sums(const struct stream *stream, uint64_t count, size_t most)
{
	ck_assert_uint_eq(stream->n, 1);
	ck_assert_str_eq(stream->text, "in order");
	ck_assert_uint_eq(stream->result.id, count);
	ck_assert_uint_eq((uint64_t)stream->result.number, bytes_of_samples(count, most));
}

/* ---- one after the other ---- */

START_TEST(stream_of_requests_has_one_reply)
{
	struct stream stream = {.n = 0};
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	stream_open(&stream, &pair.caller, GATHER, NULL, NULL);
	ck_assert_int_eq(stream_send_samples(&stream, MESSAGES, MOST), 0);
	ck_assert_int_eq(hawser_call_end(stream.call), 0);
	stream_finish(&stream, HAWSER_OK);
	assert_sums(&stream, MESSAGES, MOST);
	stream_close(&stream);
	tester_wait_streamed(&pair.tester, 1);
	ck_assert_uint_eq(pair.tester.n_cancelled, 0);
	pair_stop(&pair);
}
END_TEST

START_TEST(stream_of_replies_is_counted_out)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct stream stream = {.n = 0};
	struct pair pair;

	request.number = MESSAGES;
	pair_start(&pair, _i, NULL, NULL);
	stream_open(&stream, &pair.caller, WATCH, &request, NULL);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.n, MESSAGES);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

START_TEST(ping_pong_takes_turns)
{
	struct stream stream = {.n = 0};
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	stream_open(&stream, &pair.caller, CHAT, NULL, NULL);
	for (uint64_t i = 1; i <= MESSAGES; i++) {
		ck_assert_int_eq(stream_send_samples(&stream, 1, MOST), 0);
		ck_assert(stream_await(&stream, i));
		ck_assert_uint_eq(stream.n, i);
	}
	ck_assert_int_eq(hawser_call_end(stream.call), 0);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.n, MESSAGES);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

/* More than the windows hold, in both directions. */
START_TEST(both_ends_stream_freely)
{
	struct stream stream = {.n = 0};
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	stream_open(&stream, &pair.caller, CHAT, NULL, NULL);
	stream_pump(&stream, 8 * MESSAGES, MOST);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.n, 8 * MESSAGES);
	ck_assert_uint_eq(stream.bytes, bytes_of_samples(8 * MESSAGES, MOST));
	ck_assert_int_eq(stream.last_send, 0);
	stream_close(&stream);
	caller_echo(&pair.caller);
	pair_stop(&pair);
}
END_TEST

START_TEST(streams_and_calls_share_a_connection)
{
	enum { STREAMS = 8, ROUNDS = 20, EACH = 10 };
	struct stream streams[STREAMS];
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	memset(streams, 0, sizeof streams);
	for (int i = 0; i < STREAMS; i++)
		stream_open(&streams[i], &pair.caller, i % 3 ? CHAT : GATHER, NULL, NULL);
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		for (int i = 0; i < STREAMS; i++)
			ck_assert_int_eq(stream_send_samples(&streams[i], EACH, MOST), 0);
		caller_echo(&pair.caller);
		for (int i = 0; i < STREAMS; i++)
			if (i % 3)
				ck_assert(stream_await(&streams[i], round * EACH));
	}
	for (int i = 0; i < STREAMS; i++) {
		ck_assert_int_eq(hawser_call_end(streams[i].call), 0);
		stream_finish(&streams[i], HAWSER_OK);
		if (i % 3)
			ck_assert_uint_eq(streams[i].n, ROUNDS * EACH);
		else
			assert_sums(&streams[i], ROUNDS * EACH, MOST);
		stream_close(&streams[i]);
	}
	ck_assert_uint_eq(tester_streamed(&pair.tester), STREAMS);
	pair_stop(&pair);
}
END_TEST

/* ---- nothing ---- */

static void count_empty(struct stream *stream, const Rpctest__Payload *message)
{
	stream->n_wrong += rpctest__payload__get_packed_size(message) != 0;
}

START_TEST(empty_messages_are_messages)
{
	struct stream chat = {.then = count_empty}, gather = {.n = 0};
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	stream_open(&chat, &pair.caller, CHAT, NULL, NULL);
	stream_open(&gather, &pair.caller, GATHER, NULL, NULL);
	for (int i = 0; i < MESSAGES; i++) {
		ck_assert_int_eq(stream_send(&chat, &empty), 0);
		ck_assert_int_eq(stream_send(&gather, &empty), 0);
	}
	ck_assert_int_eq(hawser_call_end(chat.call), 0);
	ck_assert_int_eq(hawser_call_end(gather.call), 0);
	stream_finish(&chat, HAWSER_OK);
	stream_finish(&gather, HAWSER_OK);
	ck_assert_uint_eq(chat.n, MESSAGES);
	ck_assert_uint_eq(gather.result.id, MESSAGES);
	ck_assert_int_eq(gather.result.number, 0);
	stream_close(&chat);
	stream_close(&gather);
	pair_stop(&pair);
}
END_TEST

START_TEST(empty_stream_has_an_end)
{
	struct stream streams[3] = {{.n = 0}};
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	for (int i = 0; i < 3; i++) {
		enum method method = (enum method)(WATCH + i);

		stream_open(&streams[i], &pair.caller, method, method == WATCH ? &empty : NULL,
			    NULL);
		if (method != WATCH)
			ck_assert_int_eq(hawser_call_end(streams[i].call), 0);
	}
	for (int i = 0; i < 3; i++) {
		stream_finish(&streams[i], HAWSER_OK);
		ck_assert_uint_eq(streams[i].n, i == GATHER - WATCH);
		stream_close(&streams[i]);
	}
	ck_assert_uint_eq(tester_streamed(&pair.tester), 3);
	pair_stop(&pair);
}
END_TEST

/* ---- ends ---- */

/* Says nothing before the last request came, then much. */
static void send_samples(struct hawser_call *call, void *data)
{
	uint64_t *n_sent = data;
	int r = 0;

	while (*n_sent < MESSAGES && r == 0) {
		Rpctest__Payload message = sample_of(*n_sent + 1, MOST);

		r = rpctest_tester_chat_reply(call, &message);
		*n_sent += r == 0;
	}
	if (r == 0)
		hawser_call_end(call);
	else if (r == -EAGAIN)
		hawser_call_on_writable(call, send_samples, n_sent);
}

static void answer_after_the_last(struct hawser_call *call, const Rpctest__Payload *request,
				  struct tester *tester)
{
	uint64_t *n_sent;

	atomic_fetch_add(&tester->n_requests, request != NULL);
	if (request)
		return;
	n_sent = calloc(1, sizeof *n_sent);
	hawser_call_set_data(call, n_sent, free);
	send_samples(call, n_sent);
}

START_TEST(half_closed_stream_still_brings_replies)
{
	struct stream stream = {.n = 0};
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	atomic_store(&pair.tester.on_stream, answer_after_the_last);
	stream_open(&stream, &pair.caller, CHAT, NULL, NULL);
	ck_assert_int_eq(stream_send_samples(&stream, MESSAGES, MOST), 0);
	caller_echo(&pair.caller);
	ck_assert_uint_eq(stream.n, 0);
	ck_assert_int_eq(hawser_call_end(stream.call), 0);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.n, MESSAGES);
	ck_assert_uint_eq(atomic_load(&pair.tester.n_requests), MESSAGES);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

/* Goes on sending until it is told that it is in vain. */
static void send_in_vain(struct stream *stream)
{
	while (stream_send(stream, &empty) == 0)
		;
	ck_assert_int_eq(stream->last_send, -EPIPE);
	ck_assert_int_eq(hawser_call_end(stream->call), -EPIPE);
}

START_TEST(server_ends_while_the_client_sends)
{
	struct stream chat = {.n = 0}, gather = {.n = 0};
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	stream_open(&chat, &pair.caller, CHAT, NULL, NULL);
	ck_assert_int_eq(stream_send_samples(&chat, 10, MOST), 0);
	ck_assert_int_eq(stream_send_order(&chat, "end", 0), 0);
	send_in_vain(&chat);
	ck_assert_int_eq(hawser_call_error(chat.call)->status, HAWSER_OK);
	stream_finish(&chat, HAWSER_OK);
	ck_assert_uint_eq(chat.n, 10);
	stream_close(&chat);

	stream_open(&gather, &pair.caller, GATHER, NULL, NULL);
	ck_assert_int_eq(stream_send_samples(&gather, 10, MOST), 0);
	ck_assert_int_eq(stream_send_order(&gather, "reply", 0), 0);
	send_in_vain(&gather);
	ck_assert_int_eq(hawser_call_error(gather.call)->status, HAWSER_OK);
	stream_finish(&gather, HAWSER_OK);
	ck_assert_uint_eq(gather.n, 1);
	ck_assert_uint_eq(gather.result.id, 10);
	stream_close(&gather);
	caller_echo(&pair.caller);
	ck_assert_uint_eq(tester_streamed(&pair.tester), 2);
	pair_stop(&pair);
}
END_TEST

START_TEST(server_fails_while_the_client_sends)
{
	enum method method = _i / BOTH_WAYS ? CHAT : GATHER;
	struct pair pair;

	pair_start(&pair, _i % BOTH_WAYS, NULL, NULL);
	for (int status = 1; status <= HAWSER_UNAUTHENTICATED; status++) {
		struct stream stream = {.n = 0};

		stream_open(&stream, &pair.caller, method, NULL, NULL);
		ck_assert_int_eq(stream_send_samples(&stream, 10, MOST), 0);
		ck_assert_int_eq(stream_send_order(&stream, "fail", status), 0);
		send_in_vain(&stream);
		ck_assert_int_eq((int)hawser_call_error(stream.call)->status, status);
		stream_finish(&stream, (enum hawser_status)status);
		assert_failed(&stream.result, (enum hawser_status)status, HAWSER_OUTCOME_EXECUTED,
			      "fail");
		ck_assert_str_eq(stream.result.why, "name:7");
		ck_assert_str_eq(stream.result.metadata, "hint=why;");
		ck_assert_uint_eq(stream.n, method == CHAT ? 10 : 0);
		stream_close(&stream);
	}
	caller_echo(&pair.caller);
	pair_stop(&pair);
}
END_TEST

/* ---- what goes with the end ---- */

START_TEST(metadata_and_details_come_with_the_end)
{
	static const struct hawser_metadata metadata[] = {{"trace-id", "4711", 4}};
	enum method method = (enum method)(WATCH + _i / BOTH_WAYS / 2);
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct stream stream = {.n = 0};
	bool fails = _i / BOTH_WAYS % 2;
	struct pair pair;

	context.metadata = metadata;
	context.n_metadata = 1;
	request.number = 10;
	request.text = (char *)(fails ? "fail" : "");
	pair_start(&pair, _i % BOTH_WAYS, NULL, NULL);
	stream_open(&stream, &pair.caller, method, method == WATCH ? &request : NULL, &context);
	if (method != WATCH)
		ck_assert_int_eq(stream_send_samples(&stream, 10, MOST), 0);
	if (method != WATCH && fails)
		ck_assert_int_eq(stream_send_order(&stream, "fail", HAWSER_ABORTED), 0);
	else if (method != WATCH)
		ck_assert_int_eq(hawser_call_end(stream.call), 0);
	stream_finish(&stream, fails ? HAWSER_ABORTED : HAWSER_OK);
	ck_assert_str_eq(stream.result.metadata,
			 fails ? "trace-id=4711;hint=why;" : "trace-id=4711;");
	ck_assert_str_eq(stream.result.why, fails ? "name:7" : "");
	ck_assert_uint_eq(stream.result.n_details, fails);
	ck_assert_uint_eq(stream.n, method == GATHER ? !fails : 10);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

/* ---- threads ---- */

static void *send_with_stubs(void *data)
{
	struct hawser_call *call = data;
	int r = 0;

	for (uint64_t id = 1; id <= 4 * MESSAGES && r == 0; id++) {
		Rpctest__Payload message = sample_of(id, MOST);

		r = rpctest_tester_chat_send(call, &message);
	}
	if (r == 0)
		r = hawser_call_end(call);
	return r == 0 ? data : NULL;
}

START_TEST(one_thread_sends_and_another_receives)
{
	Rpctest__Payload *message = NULL;
	struct hawser_call *call;
	void *result = NULL;
	struct pair pair;
	pthread_t sender;
	uint64_t n = 0;
	int r;

	pair_start(&pair, _i, NULL, NULL);
	call = rpctest_tester_chat(pair.caller.client, NULL);
	ck_assert_ptr_nonnull(call);
	ck_assert_int_eq(pthread_create(&sender, NULL, send_with_stubs, call), 0);
	while ((r = rpctest_tester_chat_recv(call, &message)) > 0) {
		quick_assert(message->id == ++n);
		quick_assert(sample_is_whole(message));
		rpctest__payload__free_unpacked(message, NULL);
	}
	ck_assert_int_eq(r, 0);
	ck_assert_uint_eq(n, 4 * MESSAGES);
	pthread_join(sender, &result);
	ck_assert_ptr_nonnull(result);
	hawser_call_free(call);
	pair_stop(&pair);
}
END_TEST

/* A thread that answers what handlers have left to it. */
struct worker {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct hawser_call *call; /* NULL: not yet */
	uint64_t n_asked, n_sent;
	bool is_last;
	bool is_writable;
	unsigned n_waits;
	int result;
};

static struct worker worker;

static void leave_to_the_worker(struct hawser_call *call, const Rpctest__Payload *request,
				struct tester *tester)
{
	(void)tester;
	pthread_mutex_lock(&worker.lock);
	worker.call = call;
	worker.n_asked += request != NULL;
	worker.is_last = request == NULL;
	pthread_cond_broadcast(&worker.changed);
	pthread_mutex_unlock(&worker.lock);
}

static void on_writable(struct hawser_call *call, void *data)
{
	(void)call;
	(void)data;
	pthread_mutex_lock(&worker.lock);
	worker.is_writable = true;
	pthread_cond_broadcast(&worker.changed);
	pthread_mutex_unlock(&worker.lock);
}

static int reply_patiently(struct hawser_call *call, const Rpctest__Payload *reply)
{
	int r;

	while ((r = hawser_call_send(call, hawser_call_method(call), &reply->base)) == -EAGAIN) {
		pthread_mutex_lock(&worker.lock);
		worker.is_writable = false;
		pthread_mutex_unlock(&worker.lock);
		r = hawser_call_on_writable(call, on_writable, NULL);
		if (r < 0)
			break;
		pthread_mutex_lock(&worker.lock);
		while (!worker.is_writable)
			pthread_cond_wait(&worker.changed, &worker.lock);
		pthread_mutex_unlock(&worker.lock);
		worker.n_waits++;
	}
	return r;
}

/* Streams go on while it works, and end when it has caught up. */
static void *work(void *data)
{
	struct hawser_call *call = NULL;
	bool is_last = false;

	while (!is_last && worker.result == 0) {
		uint64_t n_asked;

		pthread_mutex_lock(&worker.lock);
		while (worker.n_sent == worker.n_asked && !worker.is_last)
			pthread_cond_wait(&worker.changed, &worker.lock);
		n_asked = worker.n_asked;
		is_last = worker.is_last;
		call = worker.call;
		pthread_mutex_unlock(&worker.lock);
		while (data && worker.n_sent < n_asked && worker.result == 0) {
			Rpctest__Payload reply = sample_of(worker.n_sent + 1, MOST);

			worker.result = reply_patiently(call, &reply);
			worker.n_sent++;
		}
		worker.n_sent = n_asked;
	}
	if (worker.result == 0 && data)
		worker.result = hawser_call_end(call);
	else if (worker.result == 0)
		worker.result = rpctest_tester_gather_reply(call, &empty);
	return NULL;
}

static void worker_start(bool is_chat)
{
	memset(&worker, 0, sizeof worker);
	pthread_mutex_init(&worker.lock, NULL);
	pthread_cond_init(&worker.changed, NULL);
	ck_assert_int_eq(
		pthread_create(&worker.thread, NULL, work, is_chat ? (void *)&worker : NULL), 0);
}

static void worker_stop(void)
{
	pthread_join(worker.thread, NULL);
	pthread_mutex_destroy(&worker.lock);
	pthread_cond_destroy(&worker.changed);
	ck_assert_int_eq(worker.result, 0);
}

START_TEST(handler_leaves_replies_to_another_thread)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct stream stream = {.n = 0};
	struct pair pair;

	options.stream_window_bytes = options.max_stream_window_bytes = 8 * MOST;
	pair_start(&pair, _i, NULL, &options);
	atomic_store(&pair.tester.on_stream, leave_to_the_worker);
	worker_start(true);
	stream_open(&stream, &pair.caller, CHAT, NULL, NULL);
	stream_pump(&stream, 4 * MESSAGES, MOST);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.n, 4 * MESSAGES);
	stream_close(&stream);
	worker_stop();
	ck_assert_uint_gt(worker.n_waits, 0);
	pair_stop(&pair);
}
END_TEST

START_TEST(handler_leaves_the_reply_to_another_thread)
{
	struct stream stream = {.n = 0};
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	atomic_store(&pair.tester.on_stream, leave_to_the_worker);
	worker_start(false);
	stream_open(&stream, &pair.caller, GATHER, NULL, NULL);
	stream_pump(&stream, MESSAGES, MOST);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.n, 1);
	stream_close(&stream);
	worker_stop();
	ck_assert_uint_eq(worker.n_asked, MESSAGES);
	pair_stop(&pair);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/streams/kinds");
	TCase *tcase = suite_case(suite, "order");

	tcase_add_loop_test(tcase, stream_of_requests_has_one_reply, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, stream_of_replies_is_counted_out, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, ping_pong_takes_turns, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, both_ends_stream_freely, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, streams_and_calls_share_a_connection, 0, BOTH_WAYS);

	tcase = suite_case(suite, "nothing");
	tcase_add_loop_test(tcase, empty_messages_are_messages, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, empty_stream_has_an_end, 0, BOTH_WAYS);

	tcase = suite_case(suite, "ends");
	tcase_add_loop_test(tcase, half_closed_stream_still_brings_replies, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, server_ends_while_the_client_sends, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, server_fails_while_the_client_sends, 0, 2 * BOTH_WAYS);
	tcase_add_loop_test(tcase, metadata_and_details_come_with_the_end, 0, 6 * BOTH_WAYS);

	tcase = suite_case(suite, "threads");
	add_blocking(tcase, one_thread_sends_and_another_receives);
	tcase_add_loop_test(tcase, handler_leaves_replies_to_another_thread, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, handler_leaves_the_reply_to_another_thread, 0, BOTH_WAYS);
	return suite_run(suite);
}
