/* Cancelling and freeing calls and clients, at every moment at which one can. */

#include "caller.h"
#include "raw.h"
#include "support/random.h"
#include "support/suite.h"
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

/* The kind of caller that does not block: 0 to 2 * TRANSPORTS, both ways. */
static void start(struct pair *pair, int i)
{
	pair_start(pair, async_stamp(i), NULL, NULL);
	caller_echo(&pair->caller);
}

/* A call of Hold that the server has taken. */
static void open_held(struct async *async, struct pair *pair)
{
	unsigned n = pair->tester.n_held;

	async_open(async, &pair->caller, HOLD, &empty, NULL);
	caller_echo(&pair->caller);
	tester_held(&pair->tester, n);
}

START_TEST(cancel_reaches_the_handler)
{
	struct async async = {.keeps = true};
	struct hawser_call *held;
	struct pair pair;

	start(&pair, _i);
	open_held(&async, &pair);
	held = tester_held(&pair.tester, 0);
	ck_assert(!hawser_call_cancelled(held));
	ck_assert_int_eq(hawser_call_cancel(async.call), 0);
	ck_assert_uint_eq(async.result.n_ends, 1);
	assert_failed(&async.result, HAWSER_CANCELLED, HAWSER_OUTCOME_UNKNOWN, "cancelled");
	ck_assert_int_eq(hawser_call_cancel(async.call), -EALREADY);
	ck_assert_uint_eq(async.result.n_ends, 1);
	caller_echo(&pair.caller);
	tester_wait_cancelled(&pair.tester, 1);
	ck_assert(hawser_call_cancelled(held));
	ck_assert_int_eq(rpctest_tester_hold_reply(held, &empty), -EPIPE);
	hawser_call_free(async.call);
	pair_stop(&pair);
}
END_TEST

START_TEST(cancel_after_the_end_is_too_late)
{
	struct async async = {.keeps = true};
	struct pair pair;

	start(&pair, _i);
	async_open(&async, &pair.caller, ECHO, &empty, NULL);
	async_wait(&async, &pair.caller);
	assert_ok(&async.result);
	ck_assert_int_eq(hawser_call_cancel(async.call), -EALREADY);
	ck_assert_int_eq(hawser_call_error(async.call)->status, HAWSER_OK);
	hawser_call_free(async.call);
	pair_stop(&pair);
}
END_TEST

START_TEST(free_cancels_without_a_callback)
{
	struct async async = {.keeps = true};
	struct pair pair;

	start(&pair, _i);
	open_held(&async, &pair);
	hawser_call_free(async.call);
	caller_echo(&pair.caller);
	tester_wait_cancelled(&pair.tester, 1);
	ck_assert_uint_eq(async.result.n_ends, 0);
	/* Before the server knew of it, too. */
	async_open(&async, &pair.caller, HOLD, &empty, NULL);
	hawser_call_free(async.call);
	caller_echo(&pair.caller);
	ck_assert_uint_eq(async.result.n_ends, 0);
	pair_stop(&pair);
}
END_TEST

START_TEST(free_of_a_refused_call_runs_no_callback)
{
	static uint8_t zeros[5 << 20];
	Rpctest__Payload large = RPCTEST__PAYLOAD__INIT;
	struct async async = {.keeps = true};
	struct pair pair;

	start(&pair, _i);
	large.data.data = zeros;
	large.data.len = sizeof zeros;
	async_open(&async, &pair.caller, ECHO, &large, NULL);
	/* Not before its stub has returned, and the loop runs. */
	ck_assert_uint_eq(async.result.n_ends, 0);
	hawser_call_free(async.call);
	caller_echo(&pair.caller);
	ck_assert_uint_eq(async.result.n_ends, 0);
	/* Cancelled instead, it keeps its first error. */
	async_open(&async, &pair.caller, ECHO, &large, NULL);
	ck_assert_int_eq(hawser_call_cancel(async.call), 0);
	ck_assert_int_eq(async.result.status, HAWSER_RESOURCE_EXHAUSTED);
	caller_echo(&pair.caller);
	ck_assert_uint_eq(async.result.n_ends, 1);
	hawser_call_free(async.call);
	pair_stop(&pair);
}
END_TEST

/* ---- in callbacks ---- */

static void cancel_other(struct async *async)
{
	struct async *other = async->data;

	if (other->call)
		hawser_call_cancel(other->call);
}

static void free_other(struct async *async)
{
	struct async *other = async->data;

	hawser_call_free(other->call);
	other->call = NULL;
}

START_TEST(callback_ends_another_call)
{
	struct async first = {.then = _i & 1 ? cancel_other : free_other};
	struct async second = {.keeps = true};
	struct pair pair;

	first.data = &second;
	start(&pair, _i / 2);
	open_held(&second, &pair);
	async_open(&first, &pair.caller, ECHO, &empty, NULL);
	async_wait(&first, &pair.caller);
	ck_assert_uint_eq(second.result.n_ends, _i & 1);
	tester_wait_cancelled(&pair.tester, 1);
	hawser_call_free(second.call);
	pair_stop(&pair);
}
END_TEST

/* The first call is cancelled by hand, its callback cancels the last one, and with it
 * the connection of a server that drains is over, under both of them. */
START_TEST(callback_ends_the_last_call_of_a_draining_connection)
{
	struct async first = {.then = _i & 1 ? cancel_other : free_other, .keeps = true};
	struct async second = {.keeps = true}, refused = {.keeps = false};
	struct pair pair;

	first.data = &second;
	start(&pair, _i / 2);
	open_held(&second, &pair);
	open_held(&first, &pair);
	hawser_server_drain(pair.tester.server);
	/* Until the client has heard of it. */
	do {
		async_open(&refused, &pair.caller, ECHO, &empty, NULL);
		async_wait(&refused, &pair.caller);
	} while (refused.result.status == HAWSER_OK);
	ck_assert_int_eq(refused.result.status, HAWSER_UNAVAILABLE);
	ck_assert_int_eq(hawser_call_cancel(first.call), 0);
	ck_assert_uint_eq(first.result.n_ends, 1);
	ck_assert_uint_eq(second.result.n_ends, _i & 1);
	hawser_call_free(first.call);
	hawser_call_free(second.call);
	tester_wait_cancelled(&pair.tester, 2);
	for (unsigned i = 0; i < 2; i++)
		hawser_call_fail(tester_held(&pair.tester, i), HAWSER_ABORTED, NULL);
	ck_assert_int_eq(tester_join(&pair.tester), 0);
	pair_stop(&pair);
}
END_TEST

static void free_client(struct async *async)
{
	struct pair *pair = async->data;

	hawser_client_free(pair->caller.client);
	pair->caller.client = NULL;
}

START_TEST(callback_frees_the_client)
{
	struct async last = {.then = free_client}, held[3], waiting[3];
	struct pair pair;

	start(&pair, _i);
	memset(held, 0, sizeof held);
	memset(waiting, 0, sizeof waiting);
	for (int i = 0; i < 3; i++) {
		held[i].keeps = true;
		open_held(&held[i], &pair);
	}
	last.data = &pair;
	async_open(&last, &pair.caller, ECHO, &empty, NULL);
	for (int i = 0; i < 3; i++)
		async_open(&waiting[i], &pair.caller, ECHO, &empty, NULL);
	async_wait(&last, &pair.caller);
	assert_ok(&last.result);
	for (int i = 0; i < 3; i++) {
		assert_failed(&held[i].result, HAWSER_CANCELLED, HAWSER_OUTCOME_UNKNOWN,
			      "the client was freed");
		ck_assert_uint_eq(waiting[i].result.n_ends, 1);
		hawser_call_free(held[i].call);
	}
	tester_wait_cancelled(&pair.tester, 3);
	/* What is left of the client goes when the callback has returned. */
	event_base_loop(pair.caller.base, EVLOOP_NONBLOCK);
	event_base_free(pair.caller.base);
	tester_stop(&pair.tester);
}
END_TEST

/* The same from a callback that a failure runs: the deadline, and a refusal. */
START_TEST(failing_callback_frees_the_client)
{
	static uint8_t zeros[5 << 20];
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct async last = {.then = free_client}, held = {.keeps = true};
	struct pair pair;

	start(&pair, _i / 2);
	open_held(&held, &pair);
	last.data = &pair;
	context.timeout_ms = 20;
	if (_i & 1) {
		request.data.data = zeros;
		request.data.len = sizeof zeros;
	}
	async_open(&last, &pair.caller, HOLD, &request, &context);
	async_wait(&last, &pair.caller);
	ck_assert_int_eq(last.result.status,
			 _i & 1 ? HAWSER_RESOURCE_EXHAUSTED : HAWSER_DEADLINE_EXCEEDED);
	ck_assert_uint_eq(held.result.n_ends, 1);
	event_base_loop(pair.caller.base, EVLOOP_NONBLOCK);
	hawser_call_free(held.call);
	event_base_free(pair.caller.base);
	tester_stop(&pair.tester);
}
END_TEST

START_TEST(client_is_freed_with_calls_in_flight)
{
	struct async held[3];
	struct pair pair;

	start(&pair, _i);
	memset(held, 0, sizeof held);
	for (int i = 0; i < 3; i++) {
		held[i].keeps = i != 1;
		open_held(&held[i], &pair);
	}
	hawser_client_free(pair.caller.client);
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(held[i].result.n_ends, 1);
		assert_failed(&held[i].result, HAWSER_CANCELLED, HAWSER_OUTCOME_UNKNOWN,
			      "the client was freed");
	}
	/* The calls are their owner's still. */
	ck_assert_int_eq(hawser_call_cancel(held[0].call), -EALREADY);
	ck_assert_int_eq(hawser_call_error(held[0].call)->status, HAWSER_CANCELLED);
	hawser_call_free(held[0].call);
	hawser_call_free(held[2].call);
	tester_wait_cancelled(&pair.tester, 3);
	event_base_free(pair.caller.base);
	tester_stop(&pair.tester);
}
END_TEST

static void open_again(struct async *async)
{
	struct pair *pair = async->data;

	/* Once the client is being freed, no new call can be opened. */
	errno = 0;
	if (hawser_client_open(pair->caller.client, method_of(ECHO), &empty.base,
			       (hawser_any_fn *)(void (*)(void))abort, NULL, NULL) ||
	    errno == 0)
		async->result.n_ends += 100;
}

START_TEST(nothing_is_opened_while_the_client_is_freed)
{
	struct async held = {.then = open_again};
	struct pair pair;

	start(&pair, _i);
	held.data = &pair;
	open_held(&held, &pair);
	hawser_client_free(pair.caller.client);
	ck_assert_uint_eq(held.result.n_ends, 1);
	event_base_free(pair.caller.base);
	tester_stop(&pair.tester);
}
END_TEST

static unsigned count_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned n = 0;

	ck_assert_ptr_nonnull(tasks);
	while ((entry = readdir(tasks)))
		n += entry->d_name[0] != '.';
	closedir(tasks);
	return n;
}

static void *wait_for_unlock(void *data)
{
	pthread_mutex_lock(data);
	pthread_mutex_unlock(data);
	return NULL;
}

START_TEST(client_that_never_connected_is_freed)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	char address[ADDRESS_SIZE], name[ADDRESS_SIZE];
	struct async waiting[2];
	struct caller caller;
	pthread_t thread;
	unsigned threads;
	int listener;

	listener = raw_listen(OVER_TCP, "", address);
	snprintf(name, sizeof name, "tcp:localhost%s", strrchr(address, ':'));

	/* With the first thread a sanitizer may start one of its own; then the count is firm. */
	pthread_mutex_lock(&lock);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_unlock, &lock), 0);
	threads = count_threads();

	memset(waiting, 0, sizeof waiting);
	for (int i = 0; i < 3; i++) {
		/* At a name, which is being looked up when the client goes. */
		caller_init(&caller, i == 1 ? name : address, true, NULL);
		if (i) {
			async_open(&waiting[0], &caller, ECHO, &empty, NULL);
			async_open(&waiting[1], &caller, ECHO, &empty, NULL);
			if (i == 1)
				event_base_loop(caller.base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
		}
		caller_deinit(&caller);
		if (i)
			ck_assert_uint_eq(waiting[0].result.n_ends + waiting[1].result.n_ends, 2);
	}
	/* The look-up goes on by itself, with descriptors of its own. */
	while (count_threads() > threads)
		sched_yield();
	pthread_mutex_unlock(&lock);
	pthread_join(thread, NULL);
	close(listener);
}
END_TEST

/* ---- blocking ---- */

struct canceller {
	struct tester *tester;
	struct hawser_context *context;
};

static void *cancel_when_held(void *data)
{
	struct canceller *canceller = data;

	tester_held(canceller->tester, 0);
	hawser_context_cancel(canceller->context);
	return NULL;
}

START_TEST(context_cancels_from_another_thread)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct canceller canceller;
	struct result result;
	pthread_t thread;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	canceller.tester = &pair.tester;
	canceller.context = &context;
	ck_assert_int_eq(pthread_create(&thread, NULL, cancel_when_held, &canceller), 0);
	caller_call(&pair.caller, HOLD, &empty, &context, &result);
	assert_failed(&result, HAWSER_CANCELLED, HAWSER_OUTCOME_UNKNOWN, "cancelled");
	pthread_join(thread, NULL);
	tester_wait_cancelled(&pair.tester, 1);
	ck_assert(hawser_call_cancelled(tester_held(&pair.tester, 0)));
	caller_echo(&pair.caller);
	pair_stop(&pair);
}
END_TEST

START_TEST(cancelled_context_ends_the_next_call)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	ProtobufCMessage *reply = NULL;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	hawser_context_cancel(&context);
	ck_assert_int_eq(hawser_client_call(pair.caller.client, method_of(HOLD), &empty.base,
					    &reply, &context),
			 HAWSER_CANCELLED);
	ck_assert_int_eq(context.error.status, HAWSER_CANCELLED);
	hawser_context_clear(&context);
	ck_assert_int_eq(hawser_client_call(pair.caller.client, method_of(ECHO), &empty.base,
					    &reply, &context),
			 HAWSER_OK);
	protobuf_c_message_free_unpacked(reply, NULL);
	hawser_context_clear(&context);
	pair_stop(&pair);
}
END_TEST

/* ---- the client goes ---- */

START_TEST(lost_client_cancels_its_calls)
{
	struct tester tester;
	int fd;

	tester_start(&tester, transport_of(_i), NULL);
	fd = raw_connect(tester.address);
	raw_open(fd);
	for (uint64_t i = 0; i < 5; i++)
		ck_assert(raw_call(fd, 2 * i + 1, HOLD, &empty));
	tester_held(&tester, 4);
	close(fd);
	tester_wait_cancelled(&tester, 5);
	for (unsigned i = 0; i < 5; i++) {
		struct hawser_call *held = tester_held(&tester, i);
		char peer[64];

		ck_assert(hawser_call_cancelled(held));
		ck_assert_str_eq(hawser_call_peer(held, peer, sizeof peer), "");
		ck_assert_int_eq(rpctest_tester_hold_reply(held, &empty), -EPIPE);
	}
	tester_stop(&tester);
}
END_TEST

/* Answers from another thread and cancels from the client meet at every moment. */
struct answerer {
	struct tester *tester;
	unsigned n;
};

static void *answer_all(void *data)
{
	struct answerer *answerer = data;

	for (unsigned i = 0; i < answerer->n; i++)
		hawser_call_send(tester_held(answerer->tester, i), method_of(HOLD), &empty.base);
	return NULL;
}

START_TEST(cancel_and_answer_may_cross)
{
	enum { CALLS = 64 };
	struct answerer answerer = {.n = 0};
	struct async calls[CALLS];
	struct pair pair;
	pthread_t thread;
	unsigned rounds = (unsigned)suite_rounds(HELD_MAX / CALLS);

	start(&pair, _i);
	answerer.tester = &pair.tester;
	answerer.n = rounds * CALLS;
	ck_assert_int_eq(pthread_create(&thread, NULL, answer_all, &answerer), 0);
	for (unsigned round = 0; round < rounds; round++) {
		memset(calls, 0, sizeof calls);
		for (int i = 0; i < CALLS; i++) {
			calls[i].keeps = true;
			async_open(&calls[i], &pair.caller, HOLD, &empty, NULL);
		}
		caller_echo(&pair.caller);
		for (int i = 0; i < CALLS; i++) {
			if (random_one_in(2))
				hawser_call_cancel(calls[i].call);
			else
				async_wait(&calls[i], &pair.caller);
			quick_assert(calls[i].result.n_ends == 1);
			quick_assert(calls[i].result.status == HAWSER_OK ||
				     calls[i].result.status == HAWSER_CANCELLED);
			hawser_call_free(calls[i].call);
		}
	}
	pthread_join(thread, NULL);
	caller_echo(&pair.caller);
	pair_stop(&pair);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/cancel");
	TCase *tcase = suite_case(suite, "calls");

	tcase_add_loop_test(tcase, cancel_reaches_the_handler, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, cancel_after_the_end_is_too_late, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, free_cancels_without_a_callback, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, free_of_a_refused_call_runs_no_callback, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, cancel_and_answer_may_cross, 0, 2 * TRANSPORTS);

	tcase = suite_case(suite, "callbacks");
	tcase_add_loop_test(tcase, callback_ends_another_call, 0, 4 * TRANSPORTS);
	tcase_add_loop_test(tcase, callback_ends_the_last_call_of_a_draining_connection, 0,
			    2 * TRANSPORTS);
	tcase_add_loop_test(tcase, callback_frees_the_client, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, failing_callback_frees_the_client, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, nothing_is_opened_while_the_client_is_freed, 0, TRANSPORTS);

	tcase = suite_case(suite, "clients");
	tcase_add_loop_test(tcase, client_is_freed_with_calls_in_flight, 0, TRANSPORTS);
	tcase_add_test(tcase, client_that_never_connected_is_freed);
	tcase_add_loop_test(tcase, lost_client_cancels_its_calls, 0, TRANSPORTS);

	tcase = suite_case(suite, "contexts");
	add_blocking(tcase, context_cancels_from_another_thread);
	add_blocking(tcase, cancelled_context_ends_the_next_call);
	return suite_run(suite);
}
