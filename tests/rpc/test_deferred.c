/* Handlers that answer later, from elsewhere, wrongly, or not at all. */

#include "caller.h"
#include "raw.h"
#include "support/suite.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEFERRED = 1000, ANSWERERS = 4 };

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

static Rpctest__Payload numbered(int64_t number)
{
	Rpctest__Payload payload = RPCTEST__PAYLOAD__INIT;

	payload.number = number;
	return payload;
}

/* A call that is held while the client's thread waits for it. */
struct waiting {
	pthread_t thread;
	struct caller *caller;
	Rpctest__Payload request;
	struct result result;
};

static void *wait_for_reply(void *data)
{
	struct waiting *waiting = data;

	caller_call(waiting->caller, HOLD, &waiting->request, NULL, &waiting->result);
	return NULL;
}

static void waiting_start(struct waiting *waiting, struct caller *caller)
{
	memset(waiting, 0, sizeof *waiting);
	rpctest__payload__init(&waiting->request);
	waiting->caller = caller;
	ck_assert_int_eq(pthread_create(&waiting->thread, NULL, wait_for_reply, waiting), 0);
}

START_TEST(reply_comes_from_another_thread)
{
	Rpctest__Payload reply = numbered(77);
	struct hawser_call *held;
	struct waiting waiting;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	waiting_start(&waiting, &pair.caller);
	held = tester_held(&pair.tester, 0);
	ck_assert_int_eq(rpctest_tester_hold_reply(held, &reply), 0);
	ck_assert_int_eq(rpctest_tester_hold_reply(held, &reply), -EALREADY);
	ck_assert_int_eq(hawser_call_fail(held, HAWSER_ABORTED, NULL), -EALREADY);
	pthread_join(waiting.thread, NULL);
	assert_ok(&waiting.result);
	ck_assert_int_eq(waiting.result.number, 77);
	ck_assert_int_eq(rpctest_tester_hold_reply(held, &reply), -EALREADY);
	pair_stop(&pair);
}
END_TEST

START_TEST(failure_comes_from_another_thread)
{
	Rpctest__Why why = RPCTEST__WHY__INIT;
	struct hawser_call *held;
	struct waiting waiting;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	waiting_start(&waiting, &pair.caller);
	held = tester_held(&pair.tester, 0);
	why.field = (char *)"later";
	why.code = 3;
	ck_assert_int_eq(hawser_call_add_detail(held, &why.base), 0);
	ck_assert_int_eq(hawser_call_add_metadata(held, "when", "later", 5), 0);
	ck_assert_int_eq(rpctest_tester_hold_fail(held, HAWSER_DATA_LOSS, "lost %d of %d", 3, 4),
			 0);
	ck_assert_int_eq(hawser_call_fail(held, HAWSER_ABORTED, NULL), -EALREADY);
	pthread_join(waiting.thread, NULL);
	assert_failed(&waiting.result, HAWSER_DATA_LOSS, HAWSER_OUTCOME_EXECUTED, "lost 3 of 4");
	ck_assert_str_eq(waiting.result.why, "later:3");
	ck_assert_str_eq(waiting.result.metadata, "when=later;");
	pair_stop(&pair);
}
END_TEST

START_TEST(reply_too_large_from_another_thread_fails_the_call)
{
	Rpctest__Payload reply = RPCTEST__PAYLOAD__INIT;
	struct waiting waiting;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	waiting_start(&waiting, &pair.caller);
	reply.data.len = 4 << 20;
	reply.data.data = calloc(1, reply.data.len);
	rpctest_tester_hold_reply(tester_held(&pair.tester, 0), &reply);
	pthread_join(waiting.thread, NULL);
	assert_failed(&waiting.result, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_EXECUTED,
		      "the reply has 4194309 bytes, the limit is 4194304");
	free(reply.data.data);
	pair_stop(&pair);
}
END_TEST

START_TEST(replies_come_from_the_loop)
{
	enum { CALLS = 50 };
	Rpctest__Payload release = RPCTEST__PAYLOAD__INIT;
	struct async calls[CALLS];
	struct tester tester;
	struct caller caller, other;
	struct result result;

	tester_start(&tester, transport_of(_i), NULL);
	caller_init(&caller, tester.address, true, NULL);
	caller_init(&other, tester.address, false, NULL);
	memset(calls, 0, sizeof calls);
	for (int i = 0; i < CALLS; i++)
		async_open(&calls[i], &caller, HOLD, &empty, NULL);
	caller_echo(&caller);
	/* One connection's call has those of another answered, from the loop. */
	release.text = (char *)"release";
	release.number = 5;
	caller_call(&other, HOLD, &release, NULL, &result);
	assert_ok(&result);
	for (int i = 0; i < CALLS; i++) {
		async_wait(&calls[i], &caller);
		assert_ok(&calls[i].result);
		ck_assert_int_eq(calls[i].result.number, 5);
	}
	caller_deinit(&caller);
	caller_deinit(&other);
	tester_stop(&tester);
}
END_TEST

START_TEST(wrong_answers_leave_the_call_open)
{
	Rpctest__Other other = RPCTEST__OTHER__INIT;
	struct hawser_call *held;
	struct waiting waiting;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	waiting_start(&waiting, &pair.caller);
	held = tester_held(&pair.tester, 0);
	ck_assert_int_eq(rpctest_tester_echo_reply(held, &empty), -EINVAL);
	ck_assert_int_eq(rpctest_tester_echo_fail(held, HAWSER_ABORTED, NULL), -EINVAL);
	ck_assert_int_eq(hawser_call_send(held, method_of(HOLD), &other.base), -EINVAL);
	ck_assert_int_eq(hawser_call_send(held, method_of(HOLD), NULL), -EINVAL);
	ck_assert_int_eq(hawser_call_send(held, NULL, &empty.base), -EINVAL);
	ck_assert_int_eq(hawser_call_fail(held, HAWSER_OK, NULL), -EINVAL);
	ck_assert_int_eq(hawser_call_fail(held, (enum hawser_status)17, NULL), -EINVAL);
	ck_assert_int_eq(hawser_call_fail(held, (enum hawser_status) - 1, NULL), -EINVAL);
	ck_assert_int_eq(hawser_call_cancel(held), -EINVAL);
	hawser_call_free(held);
	ck_assert_int_lt(hawser_call_end(held), 0);
	ck_assert_int_eq(hawser_call_add_detail(held, NULL), -EINVAL);
	ck_assert_ptr_eq(hawser_call_method(held), method_of(HOLD));
	ck_assert_int_eq(hawser_call_fail(held, HAWSER_ABORTED, NULL), 0);
	pthread_join(waiting.thread, NULL);
	assert_failed(&waiting.result, HAWSER_ABORTED, HAWSER_OUTCOME_EXECUTED,
		      hawser_status_text(HAWSER_ABORTED));
	pair_stop(&pair);
}
END_TEST

static void never(struct hawser_call *call, void *data)
{
	(void)call;
	(void)data;
	abort();
}

/* A handle that is kept for too long stands for nothing, also when its slot has a new
 * call in it. */
START_TEST(stale_handle_is_recognised)
{
	struct hawser_call *stale, *fresh;
	struct waiting waiting;
	struct pair pair;
	char peer[64];
	size_t n = 7;

	pair_start(&pair, _i, NULL, NULL);
	waiting_start(&waiting, &pair.caller);
	stale = tester_held(&pair.tester, 0);
	ck_assert_int_eq(rpctest_tester_hold_reply(stale, &empty), 0);
	pthread_join(waiting.thread, NULL);
	caller_echo(&pair.caller);
	waiting_start(&waiting, &pair.caller);
	fresh = tester_held(&pair.tester, 1);
	ck_assert_ptr_ne(stale, fresh);
	ck_assert_ptr_null(hawser_call_method(stale));
	ck_assert_int_eq(hawser_call_time_left_ms(stale), 0);
	ck_assert_ptr_null(hawser_call_metadata(stale, &n));
	ck_assert_uint_eq(n, 0);
	ck_assert_ptr_null(hawser_call_find_metadata(stale, "x"));
	ck_assert(hawser_call_cancelled(stale));
	ck_assert_int_eq(hawser_call_on_cancel(stale, never, NULL), -EPIPE);
	ck_assert_int_lt(hawser_call_add_metadata(stale, "x", "y", 1), 0);
	ck_assert_int_lt(hawser_call_add_detail(stale, &empty.base), 0);
	ck_assert_str_eq(hawser_call_peer(stale, peer, sizeof peer), "");
	ck_assert_int_eq(rpctest_tester_hold_reply(stale, &empty), -EALREADY);
	ck_assert_int_eq(hawser_call_fail(stale, HAWSER_ABORTED, NULL), -EALREADY);
	ck_assert_int_lt(hawser_call_end(stale), 0);
	/* The new call knows nothing of that. */
	ck_assert(!hawser_call_cancelled(fresh));
	ck_assert_int_eq(rpctest_tester_hold_reply(fresh, &empty), 0);
	pthread_join(waiting.thread, NULL);
	assert_ok(&waiting.result);
	pair_stop(&pair);
}
END_TEST

struct answerer {
	pthread_t thread;
	struct tester *tester;
	unsigned first;
	unsigned n_failed;
};

static void *answer_every_fourth(void *data)
{
	struct answerer *answerer = data;

	for (unsigned i = answerer->first; i < DEFERRED; i += ANSWERERS) {
		Rpctest__Payload reply = numbered(i);

		/* The last ones first. */
		if (rpctest_tester_hold_reply(tester_held(answerer->tester, DEFERRED - 1 - i),
					      &reply) != 0)
			answerer->n_failed++;
	}
	return NULL;
}

START_TEST(a_thousand_calls_wait_for_their_replies)
{
	struct answerer answerers[ANSWERERS];
	struct async *calls = calloc(DEFERRED, sizeof *calls);
	struct hawser_server_stats stats = {.size = sizeof stats};
	struct tester tester;
	struct caller caller;

	tester_start(&tester, transport_of(_i), NULL);
	caller_init(&caller, tester.address, true, NULL);
	for (int i = 0; i < DEFERRED; i++)
		async_open(&calls[i], &caller, HOLD, &empty, NULL);
	caller_echo(&caller);
	hawser_server_get_stats(tester.server, &stats);
	ck_assert_uint_eq(stats.calls_in_flight, DEFERRED);
	memset(answerers, 0, sizeof answerers);
	for (unsigned i = 0; i < ANSWERERS; i++) {
		answerers[i].tester = &tester;
		answerers[i].first = i;
		ck_assert_int_eq(pthread_create(&answerers[i].thread, NULL, answer_every_fourth,
						&answerers[i]),
				 0);
	}
	for (int i = 0; i < DEFERRED; i++) {
		async_wait(&calls[i], &caller);
		quick_assert(calls[i].result.status == HAWSER_OK);
		quick_assert(calls[i].result.n_ends == 1);
		quick_assert(calls[i].result.number == DEFERRED - 1 - i);
	}
	for (int i = 0; i < ANSWERERS; i++) {
		pthread_join(answerers[i].thread, NULL);
		ck_assert_uint_eq(answerers[i].n_failed, 0);
	}
	caller_echo(&caller);
	hawser_server_get_stats(tester.server, &stats);
	ck_assert_uint_eq(stats.calls_in_flight, 0);
	caller_deinit(&caller);
	tester_stop(&tester);
	free(calls);
}
END_TEST

/* ---- on a base of the user's, run by a thread of the user's ---- */

static void *dispatch(void *data)
{
	event_base_loop(data, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

static void break_base(evutil_socket_t fd, short what, void *data)
{
	char byte;

	(void)what;
	if (read(fd, &byte, 1) == 1)
		event_base_loopbreak(data);
}

/* The thread that made the server is not the loop's; it answers as any other does. */
START_TEST(base_may_run_on_another_thread)
{
	struct hawser_server_options options = tester_options();
	struct async calls[32];
	struct tester tester;
	struct caller caller;
	struct event *stop;
	pthread_t thread;
	int pipes[2];

	options.base = event_base_new();
	tester_init(&tester, transport_of(_i), &options);
	ck_assert_int_eq(pipe(pipes), 0);
	stop = event_new(options.base, pipes[0], EV_READ, break_base, options.base);
	event_add(stop, NULL);
	ck_assert_int_eq(pthread_create(&thread, NULL, dispatch, options.base), 0);
	caller_init(&caller, tester.address, true, NULL);
	for (unsigned round = 0; round < suite_rounds(50); round++) {
		memset(calls, 0, sizeof calls);
		for (int i = 0; i < 32; i++)
			async_open(&calls[i], &caller, HOLD, &empty, NULL);
		/* Answered while the server's thread is at work with it. */
		for (unsigned i = 0; i < 32; i++) {
			caller_echo(&caller);
			ck_assert_int_eq(rpctest_tester_hold_reply(
						 tester_held(&tester, 32 * round + i), &empty),
					 0);
		}
		for (int i = 0; i < 32; i++) {
			async_wait(&calls[i], &caller);
			assert_ok(&calls[i].result);
		}
	}
	caller_deinit(&caller);
	ck_assert_int_eq(write(pipes[1], "", 1), 1);
	pthread_join(thread, NULL);
	event_free(stop);
	tester_stop(&tester);
	event_base_free(options.base);
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/deferred");
	TCase *tcase = suite_case(suite, "later");

	tcase_add_loop_test(tcase, reply_comes_from_another_thread, 0, STAMPS);
	tcase_add_loop_test(tcase, failure_comes_from_another_thread, 0, STAMPS);
	tcase_add_loop_test(tcase, reply_too_large_from_another_thread_fails_the_call, 0, STAMPS);
	tcase_add_loop_test(tcase, replies_come_from_the_loop, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, a_thousand_calls_wait_for_their_replies, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, base_may_run_on_another_thread, 0, TRANSPORTS);

	tcase = suite_case(suite, "wrongly");
	tcase_add_loop_test(tcase, wrong_answers_leave_the_call_open, 0, STAMPS);
	tcase_add_loop_test(tcase, stale_handle_is_recognised, 0, STAMPS);
	return suite_run(suite);
}
