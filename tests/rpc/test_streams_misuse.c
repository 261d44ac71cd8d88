/* Streams used wrongly: each mistake is an error code, and the call goes on as if nothing had been.
 */

#include "stream.h"
#include "support/suite.h"
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 500, WINDOW = 16 * 1024 };

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

static void ignore(struct hawser_call *call, void *data)
{
	(void)call;
	(void)data;
}

static void no_message(struct hawser_call *call, const Rpctest__Payload *message, void *data)
{
	(void)call;
	(void)message;
	(void)data;
}

/* ---- a client's ends ---- */

START_TEST(nothing_is_sent_after_the_end)
{
	enum method method = _i / BOTH_WAYS ? CHAT : GATHER;
	struct stream stream = {.n = 0};
	struct pair pair;

	pair_start(&pair, _i % BOTH_WAYS, NULL, NULL);
	stream_open(&stream, &pair.caller, method, NULL, NULL);
	ck_assert_int_eq(stream_send_samples(&stream, 3, MOST), 0);
	ck_assert_int_eq(hawser_call_end(stream.call), 0);
	ck_assert_int_eq(hawser_call_end(stream.call), -EALREADY);
	ck_assert_int_eq(stream_send(&stream, &empty), -EALREADY);
	if (pair.caller.base)
		ck_assert_int_eq(hawser_call_on_writable(stream.call, ignore, NULL), -EALREADY);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(method == CHAT ? stream.n : stream.result.id, 3);
	/* Nor when the call has ended. */
	ck_assert_int_eq(hawser_call_end(stream.call), -EALREADY);
	ck_assert_int_eq(stream_send(&stream, &empty), -EALREADY);
	ck_assert_int_eq(hawser_call_cancel(stream.call), -EALREADY);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

START_TEST(end_of_the_stream_comes_again_and_again)
{
	struct stream stream = {.n = 0};
	ProtobufCMessage *message = NULL;
	bool fails = _i & 1;
	struct pair pair;

	pair_start(&pair, blocking_stamp(_i / 2), NULL, NULL);
	stream_open(&stream, &pair.caller, CHAT, NULL, NULL);
	if (fails)
		ck_assert_int_eq(stream_send_order(&stream, "fail", HAWSER_ABORTED), 0);
	else
		ck_assert_int_eq(hawser_call_end(stream.call), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(hawser_call_recv(stream.call, method_of(CHAT), &message),
				 fails ? -1 : 0);
	ck_assert_ptr_null(message);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

/* ---- the wrong kind ---- */

START_TEST(unary_call_streams_nothing)
{
	struct async async = {.keeps = true};
	ProtobufCMessage *message = NULL;
	struct pair pair;

	pair_start(&pair, async_stamp(_i), NULL, NULL);
	async_open(&async, &pair.caller, HOLD, &empty, NULL);
	ck_assert_int_eq(hawser_call_send(async.call, method_of(HOLD), &empty.base), -EINVAL);
	ck_assert_int_eq(hawser_call_end(async.call), -EINVAL);
	ck_assert_int_eq(hawser_call_on_writable(async.call, ignore, NULL), -EINVAL);
	ck_assert_int_eq(hawser_call_read_stop(async.call), -EINVAL);
	ck_assert_int_eq(hawser_call_read_start(async.call), -EINVAL);
	errno = 0;
	ck_assert_int_eq(hawser_call_recv(async.call, method_of(HOLD), &message), -1);
	ck_assert_int_eq(errno, EINVAL);
	caller_echo(&pair.caller);
	ck_assert_int_eq(rpctest_tester_hold_reply(tester_held(&pair.tester, 0), &empty), 0);
	base_run_until(pair.caller.base, &async.result.n_ends, 1);
	assert_ok(&async.result);
	hawser_call_free(async.call);
	pair_stop(&pair);
}
END_TEST

START_TEST(stream_of_replies_sends_no_requests)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct stream stream = {.n = 0};
	struct pair pair;

	request.number = 3;
	pair_start(&pair, _i, NULL, NULL);
	stream_open(&stream, &pair.caller, WATCH, &request, NULL);
	ck_assert_int_eq(hawser_call_send(stream.call, method_of(WATCH), &empty.base), -EINVAL);
	ck_assert_int_eq(hawser_call_end(stream.call), -EINVAL);
	ck_assert_int_eq(hawser_call_on_writable(stream.call, ignore, NULL), -EINVAL);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.n, 3);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

/* Functions that are for the other kind of client, or for a handler. */
START_TEST(other_ends_functions_are_refused)
{
	struct stream stream = {.n = 0};
	ProtobufCMessage *message = NULL;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	stream_open(&stream, &pair.caller, CHAT, NULL, NULL);
	if (pair.caller.base) {
		errno = 0;
		ck_assert_int_eq(hawser_call_recv(stream.call, method_of(CHAT), &message), -1);
		ck_assert_int_eq(errno, EINVAL);
	} else {
		ck_assert_int_eq(hawser_call_on_writable(stream.call, ignore, NULL), -EINVAL);
		ck_assert_int_eq(hawser_call_read_stop(stream.call), -EINVAL);
		ck_assert_int_eq(hawser_call_read_start(stream.call), -EINVAL);
	}
	/* One that streams one way only. */
	ck_assert_int_lt(hawser_call_fail(stream.call, HAWSER_ABORTED, NULL), 0);
	ck_assert_int_lt(hawser_call_set_data(stream.call, &stream, NULL), 0);
	ck_assert_ptr_null(hawser_call_data(stream.call));
	ck_assert_int_lt(hawser_call_on_cancel(stream.call, ignore, NULL), 0);
	ck_assert_int_lt(hawser_call_add_metadata(stream.call, "a", "b", 1), 0);
	ck_assert_int_eq(hawser_call_send_raw(stream.call, method_of(CHAT), "", 0, NULL, NULL),
			 -EINVAL);
	ck_assert_int_eq(hawser_call_send(stream.call, method_of(GATHER), &empty.base), -EINVAL);
	if (!pair.caller.base) {
		errno = 0;
		ck_assert_int_eq(hawser_call_recv(stream.call, method_of(GATHER), &message), -1);
		ck_assert_int_eq(errno, EINVAL);
	}
	stream_pump(&stream, 10, MOST);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.n, 10);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

START_TEST(request_comes_where_it_belongs)
{
	struct hawser_client *client;
	struct pair pair;
	rpctest_tester_chat_cb *callback = no_message;
	hawser_any_fn *any;

	pair_start(&pair, _i, NULL, NULL);
	client = pair.caller.client;
	any = pair.caller.base ? (hawser_any_fn *)callback : NULL;
	errno = 0;
	ck_assert_ptr_null(hawser_client_open(client, method_of(WATCH), NULL, any, NULL, NULL));
	ck_assert_int_eq(errno, EINVAL);
	errno = 0;
	ck_assert_ptr_null(hawser_client_open(client, NULL, NULL, any, NULL, NULL));
	ck_assert_int_eq(errno, EINVAL);
	errno = 0;
	ck_assert_ptr_null(hawser_client_open(NULL, method_of(CHAT), NULL, any, NULL, NULL));
	ck_assert_int_eq(errno, EINVAL);
	caller_echo(&pair.caller);
	pair_stop(&pair);
}
END_TEST

/* ---- nothing at all ---- */

START_TEST(null_is_refused)
{
	struct stream stream = {.n = 0};
	ProtobufCMessage *message = NULL;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	stream_open(&stream, &pair.caller, CHAT, NULL, NULL);
	ck_assert_int_eq(hawser_call_send(NULL, method_of(CHAT), &empty.base), -EINVAL);
	ck_assert_int_eq(hawser_call_send(stream.call, NULL, &empty.base), -EINVAL);
	ck_assert_int_eq(hawser_call_send(stream.call, method_of(CHAT), NULL), -EINVAL);
	ck_assert_int_eq(hawser_call_send_raw(NULL, method_of(CHAT), "", 0, NULL, NULL), -EINVAL);
	ck_assert_int_lt(hawser_call_end(NULL), 0);
	ck_assert_int_lt(hawser_call_on_writable(NULL, ignore, NULL), 0);
	ck_assert_int_lt(hawser_call_read_stop(NULL), 0);
	ck_assert_int_lt(hawser_call_read_start(NULL), 0);
	ck_assert_int_lt(hawser_call_set_data(NULL, &stream, NULL), 0);
	ck_assert_ptr_null(hawser_call_data(NULL));
	ck_assert_int_lt(hawser_call_cancel(NULL), 0);
	errno = 0;
	ck_assert_int_eq(hawser_call_recv(NULL, method_of(CHAT), &message), -1);
	ck_assert_int_eq(errno, EINVAL);
	errno = 0;
	ck_assert_int_eq(hawser_call_recv(stream.call, NULL, &message), -1);
	ck_assert_int_eq(errno, EINVAL);
	errno = 0;
	ck_assert_int_eq(hawser_call_recv(stream.call, method_of(CHAT), NULL), -1);
	ck_assert_int_eq(errno, EINVAL);
	stream_pump(&stream, 10, MOST);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.n, 10);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

/* ---- two at once ---- */

struct user {
	struct hawser_call *call;
	pthread_t thread;
	atomic_bool is_done;
	int result, error; /* of the last call that did not return 0; its errno */
};

static void *receive(void *data)
{
	struct user *user = data;
	ProtobufCMessage *message = NULL;

	errno = 0;
	user->result = hawser_call_recv(user->call, method_of(CHAT), &message);
	user->error = errno;
	user->is_done = true;
	return NULL;
}

static void *send_all(void *data)
{
	struct user *user = data;

	do {
		Rpctest__Payload message = sample_of(1, MOST);

		user->result = hawser_call_send(user->call, method_of(CHAT), &message.base);
	} while (user->result == 0);
	user->is_done = true;
	return NULL;
}

/* The one that was refused, once it was; the other goes on. */
static struct user *run_two(struct user *users, struct hawser_call *call, void *(*run)(void *))
{
	memset(users, 0, 2 * sizeof *users);
	for (int i = 0; i < 2; i++) {
		users[i].call = call;
		ck_assert_int_eq(pthread_create(&users[i].thread, NULL, run, &users[i]), 0);
	}
	while (!users[0].is_done && !users[1].is_done)
		sched_yield();
	return users[0].is_done ? &users[0] : &users[1];
}

START_TEST(two_threads_do_not_receive_at_once)
{
	struct user users[2], *refused, *other;
	struct hawser_call *call;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	call = rpctest_tester_chat(pair.caller.client, NULL);
	ck_assert_ptr_nonnull(call);
	refused = run_two(users, call, receive);
	other = refused == &users[0] ? &users[1] : &users[0];
	ck_assert_int_eq(refused->result, -1);
	ck_assert_int_eq(refused->error, EBUSY);
	ck_assert_int_eq(hawser_call_error(call)->status, HAWSER_OK);
	ck_assert_int_eq(hawser_call_end(call), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(users[i].thread, NULL);
	ck_assert_int_eq(other->result, 0);
	hawser_call_free(call);
	pair_stop(&pair);
}
END_TEST

START_TEST(two_threads_do_not_send_at_once)
{
	struct hawser_server_options options = tester_options();
	struct user users[2], *refused, *other;
	Rpctest__Payload stop = RPCTEST__PAYLOAD__INIT;
	struct hawser_call *call;
	struct pair pair;

	options.stream_window_bytes = options.max_stream_window_bytes = WINDOW;
	pair_start(&pair, _i, &options, NULL);
	call = rpctest_tester_chat(pair.caller.client, NULL);
	ck_assert_ptr_nonnull(call);
	stop.text = (char *)"stop";
	ck_assert_int_eq(rpctest_tester_chat_send(call, &stop), 0);
	refused = run_two(users, call, send_all);
	other = refused == &users[0] ? &users[1] : &users[0];
	ck_assert_int_eq(refused->result, -EBUSY);
	pthread_join(refused->thread, NULL);
	ck_assert_int_eq(hawser_call_cancel(call), 0);
	pthread_join(other->thread, NULL);
	ck_assert_int_eq(other->result, -EPIPE);
	hawser_call_free(call);
	caller_echo(&pair.caller);
	pair_stop(&pair);
}
END_TEST

/* ---- the wrong thread ---- */

struct elsewhere {
	struct hawser_call *call;
	int results[3];
};

static void *ask_elsewhere(void *data)
{
	struct elsewhere *elsewhere = data;

	elsewhere->results[0] = hawser_call_on_writable(elsewhere->call, ignore, NULL);
	elsewhere->results[1] = hawser_call_read_stop(elsewhere->call);
	elsewhere->results[2] = hawser_call_read_start(elsewhere->call);
	return NULL;
}

START_TEST(streams_on_a_base_belong_to_its_thread)
{
	struct elsewhere elsewhere = {.call = NULL};
	struct hawser_call *held;
	pthread_t thread;
	struct stream stream = {.n = 0};
	struct pair pair;

	pair_start(&pair, async_stamp(_i), NULL, NULL);
	stream_open(&stream, &pair.caller, CHAT, NULL, NULL);
	ck_assert_int_eq(stream_send_order(&stream, "stop", 0), 0);
	caller_echo(&pair.caller);
	held = tester_held(&pair.tester, 0);
	/* This is not the server's. */
	ck_assert_int_eq(hawser_call_read_stop(held), -EINVAL);
	ck_assert_int_eq(hawser_call_read_start(held), -EINVAL);
	elsewhere.call = stream.call;
	ck_assert_int_eq(pthread_create(&thread, NULL, ask_elsewhere, &elsewhere), 0);
	pthread_join(thread, NULL);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(elsewhere.results[i], -EINVAL);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

/* ---- a handler's ---- */

enum { CODES = 24 };

struct codes {
	int got[CODES];
	unsigned n;
};

static void note(struct codes *codes, int code)
{
	if (codes->n < CODES)
		codes->got[codes->n++] = code;
}

#define assert_codes(codes, ...)                                                           \
	do {                                                                               \
		static const int expected[] = {__VA_ARGS__};                               \
		ck_assert_uint_eq((codes)->n, sizeof expected / sizeof *expected);         \
		for (unsigned at = 0; at < (codes)->n; at++)                               \
			ck_assert_msg((codes)->got[at] == expected[at],                    \
				      "code %u is %d instead of %d", at, (codes)->got[at], \
				      expected[at]);                                       \
	} while (0)

/* While its call goes on. */
static void misuse_gather(struct tester *tester, void *data)
{
	struct hawser_call *call = tester->held[0];
	struct codes *codes = data;

	note(codes, hawser_call_end(call));
	note(codes, hawser_call_on_writable(call, ignore, NULL));
	note(codes, rpctest_tester_chat_reply(call, &empty));
	note(codes, hawser_call_send(call, method_of(GATHER), NULL));
	note(codes, rpctest_tester_gather_reply(call, &empty));
	/* It is over. */
	note(codes, rpctest_tester_gather_reply(call, &empty));
	note(codes, hawser_call_fail(call, HAWSER_ABORTED, NULL));
	note(codes, hawser_call_set_data(call, tester, NULL));
	note(codes, hawser_call_read_stop(call));
	note(codes, hawser_call_read_start(call));
}

START_TEST(handler_of_requests_replies_once)
{
	struct codes codes = {.n = 0};
	struct stream stream = {.n = 0};
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	stream_open(&stream, &pair.caller, GATHER, NULL, NULL);
	ck_assert_int_eq(stream_send_order(&stream, "stop", 0), 0);
	turn_until(&pair.caller, atomic_load(&pair.tester.n_requests) == 1);
	caller_order(&pair.caller, &pair.tester, misuse_gather, &codes);
	assert_codes(&codes, -EINVAL, -EINVAL, -EINVAL, -EINVAL, 0, -EALREADY, -EALREADY, -EPIPE,
		     -EPIPE, -EPIPE);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.n, 1);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

static void misuse_chat(struct tester *tester, void *data)
{
	struct hawser_call *call = tester->held[0];
	Rpctest__Payload first = sample_of(1, MOST);
	struct codes *codes = data;

	note(codes, rpctest_tester_gather_reply(call, &empty));
	note(codes, rpctest_tester_chat_reply(call, &first));
	note(codes, hawser_call_fail(call, HAWSER_OK, NULL));
	note(codes, hawser_call_end(call));
	/* It is over. */
	note(codes, hawser_call_end(call));
	note(codes, rpctest_tester_chat_reply(call, &empty));
	note(codes, hawser_call_fail(call, HAWSER_ABORTED, NULL));
	note(codes, hawser_call_set_data(call, tester, NULL));
}

START_TEST(handler_of_both_ends_once)
{
	struct codes codes = {.n = 0};
	struct stream stream = {.n = 0};
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	stream_open(&stream, &pair.caller, CHAT, NULL, NULL);
	ck_assert_int_eq(stream_send_order(&stream, "stop", 0), 0);
	turn_until(&pair.caller, atomic_load(&pair.tester.n_requests) == 1);
	caller_order(&pair.caller, &pair.tester, misuse_chat, &codes);
	assert_codes(&codes, -EINVAL, 0, -EINVAL, 0, -EALREADY, -EALREADY, -EALREADY, -EPIPE);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.n, 1);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

static void misuse_hold(struct tester *tester, void *data)
{
	struct hawser_call *call = tester->held[0];
	struct codes *codes = data;

	note(codes, hawser_call_end(call));
	note(codes, hawser_call_on_writable(call, ignore, NULL));
	note(codes, hawser_call_read_stop(call));
	note(codes, hawser_call_read_start(call));
}

START_TEST(handler_of_a_unary_call_streams_nothing)
{
	struct codes codes = {.n = 0};
	struct pending call;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	pending_call(&call, &pair.caller, HOLD, &empty);
	turn_until(&pair.caller, server_stats(&pair.tester).calls_in_flight == 1);
	caller_order(&pair.caller, &pair.tester, misuse_hold, &codes);
	assert_codes(&codes, -EINVAL, -EINVAL, -EINVAL, -EINVAL);
	ck_assert_int_eq(rpctest_tester_hold_reply(tester_held(&pair.tester, 0), &empty), 0);
	pending_wait(&call);
	assert_ok(&call.result);
	pair_stop(&pair);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/streams/misuse");
	TCase *tcase = suite_case(suite, "ends");

	tcase_add_loop_test(tcase, nothing_is_sent_after_the_end, 0, 2 * BOTH_WAYS);
	tcase_add_loop_test(tcase, end_of_the_stream_comes_again_and_again, 0, 4 * TRANSPORTS);

	tcase = suite_case(suite, "kinds");
	tcase_add_loop_test(tcase, unary_call_streams_nothing, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, stream_of_replies_sends_no_requests, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, other_ends_functions_are_refused, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, request_comes_where_it_belongs, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, null_is_refused, 0, BOTH_WAYS);

	tcase = suite_case(suite, "threads");
	add_blocking(tcase, two_threads_do_not_receive_at_once);
	add_blocking(tcase, two_threads_do_not_send_at_once);
	tcase_add_loop_test(tcase, streams_on_a_base_belong_to_its_thread, 0, 2 * TRANSPORTS);

	tcase = suite_case(suite, "handlers");
	tcase_add_loop_test(tcase, handler_of_requests_replies_once, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, handler_of_both_ends_once, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, handler_of_a_unary_call_streams_nothing, 0, BOTH_WAYS);
	return suite_run(suite);
}
