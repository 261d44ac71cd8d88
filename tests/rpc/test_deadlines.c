/* Deadlines: where they come from, where they are seen, and what they end. */

#include "caller.h"
#include "raw.h"
#include "support/suite.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

/* What the handler reads for a call made so. */
static int64_t left_at_the_handler(struct caller *caller, int64_t timeout_ms,
				   struct hawser_call *parent)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct result result;

	context.timeout_ms = timeout_ms;
	context.parent = parent;
	caller_call(caller, TIME_LEFT, &empty, &context, &result);
	assert_ok(&result);
	return result.number;
}

#define assert_about(ms, limit)                      \
	do {                                         \
		ck_assert_int_le(ms, limit);         \
		ck_assert_int_gt(ms, (limit)-20000); \
	} while (0)

START_TEST(handler_reads_what_is_left)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	assert_about(left_at_the_handler(&pair.caller, 0, NULL), 30000);
	assert_about(left_at_the_handler(&pair.caller, 70000, NULL), 70000);
	/* 30 years. */
	assert_about(left_at_the_handler(&pair.caller, INT64_C(946080000000), NULL),
		     INT64_C(946080000000));
	ck_assert_int_eq(left_at_the_handler(&pair.caller, HAWSER_NO_DEADLINE, NULL), INT64_MAX);
	ck_assert_int_eq(left_at_the_handler(&pair.caller, INT64_MAX, NULL), INT64_MAX);
	pair_stop(&pair);
	options.timeout_ms = 100000;
	pair_start(&pair, _i, NULL, &options);
	assert_about(left_at_the_handler(&pair.caller, 0, NULL), 100000);
	pair_stop(&pair);
}
END_TEST

START_TEST(parents_deadline_is_inherited)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct async parents[2];
	struct hawser_call *held;
	struct caller parents_caller;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	caller_init(&parents_caller, pair.tester.address, true, NULL);
	memset(parents, 0, sizeof parents);
	context.timeout_ms = 50000;
	async_open(&parents[0], &parents_caller, HOLD, &empty, &context);
	context.timeout_ms = HAWSER_NO_DEADLINE;
	async_open(&parents[1], &parents_caller, HOLD, &empty, &context);
	caller_echo(&parents_caller);
	held = tester_held(&pair.tester, 0);
	assert_about(left_at_the_handler(&pair.caller, 0, held), 30000);
	assert_about(left_at_the_handler(&pair.caller, 90000, held), 50000);
	assert_about(left_at_the_handler(&pair.caller, HAWSER_NO_DEADLINE, held), 50000);
	held = tester_held(&pair.tester, 1);
	assert_about(left_at_the_handler(&pair.caller, 90000, held), 90000);
	ck_assert_int_eq(left_at_the_handler(&pair.caller, HAWSER_NO_DEADLINE, held), INT64_MAX);
	/* One that is over gives nothing. */
	rpctest_tester_hold_reply(held, &empty);
	async_wait(&parents[1], &parents_caller);
	assert_about(left_at_the_handler(&pair.caller, 90000, held), 90000);
	caller_deinit(&parents_caller);
	pair_stop(&pair);
}
END_TEST

START_TEST(parent_whose_deadline_passed_sends_nothing)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct async parent = {.keeps = false};
	struct caller parents_caller;
	struct result result;
	unsigned executed;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	caller_echo(&pair.caller);
	caller_init(&parents_caller, pair.tester.address, true, NULL);
	async_open(&parent, &parents_caller, HOLD_SHORTLY, &empty, NULL);
	async_wait(&parent, &parents_caller);
	ck_assert_int_eq(parent.result.status, HAWSER_DEADLINE_EXCEEDED);
	tester_wait_cancelled(&pair.tester, 1);
	context.parent = tester_held(&pair.tester, 0);
	/* The client's cancel may have been a moment faster than the server's clock. */
	while (hawser_call_time_left_ms(context.parent))
		caller_echo(&pair.caller);
	executed = tester_executed(&pair.tester);
	caller_call(&pair.caller, ECHO, &empty, &context, &result);
	ck_assert_int_eq(result.status, HAWSER_DEADLINE_EXCEEDED);
	ck_assert_int_eq(result.error.outcome, HAWSER_OUTCOME_NOT_SENT);
	caller_echo(&pair.caller);
	ck_assert_uint_eq(tester_executed(&pair.tester), executed + 1);
	caller_deinit(&parents_caller);
	pair_stop(&pair);
}
END_TEST

static void assert_late(struct tester *tester, unsigned index)
{
	struct hawser_call *held = tester_held(tester, index);

	tester_wait_cancelled(tester, index + 1);
	ck_assert(hawser_call_cancelled(held));
	ck_assert_int_eq(hawser_call_send(held, hawser_call_method(held), &empty.base), -EPIPE);
	ck_assert_int_eq(hawser_call_fail(held, HAWSER_ABORTED, NULL), -EALREADY);
}

START_TEST(methods_own_deadline_ends_the_call)
{
	struct result result;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	caller_echo(&pair.caller);
	caller_call(&pair.caller, HOLD_SHORTLY, &empty, NULL, &result);
	ck_assert_int_eq(result.status, HAWSER_DEADLINE_EXCEEDED);
	/* Whoever was first, the client (unknown) or the server (executed). */
	ck_assert_int_ne(result.error.outcome, HAWSER_OUTCOME_NOT_SENT);
	ck_assert_int_ne(result.error.outcome, HAWSER_OUTCOME_NOT_EXECUTED);
	ck_assert_ptr_nonnull(strstr(result.error.message, "deadline"));
	assert_late(&pair.tester, 0);
	caller_echo(&pair.caller);
	pair_stop(&pair);
}
END_TEST

START_TEST(contexts_deadline_ends_the_call)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct result result;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	for (unsigned i = 0; i < 3; i++) {
		context.timeout_ms = 20 + 20 * (int)i;
		caller_call(&pair.caller, HOLD, &empty, &context, &result);
		ck_assert_int_eq(result.status, HAWSER_DEADLINE_EXCEEDED);
		ck_assert_int_eq(result.error.status, HAWSER_DEADLINE_EXCEEDED);
		if (result.error.outcome == HAWSER_OUTCOME_NOT_SENT)
			break; /* a slow machine: the connection took that long */
		assert_late(&pair.tester, i);
	}
	caller_echo(&pair.caller);
	pair_stop(&pair);
}
END_TEST

START_TEST(clients_deadline_ends_the_call)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct result result;
	struct pair pair;

	options.timeout_ms = patient_ms(50);
	pair_start(&pair, _i, NULL, &options);
	caller_echo(&pair.caller);
	caller_call(&pair.caller, HOLD, &empty, NULL, &result);
	ck_assert_int_eq(result.status, HAWSER_DEADLINE_EXCEEDED);
	assert_late(&pair.tester, 0);
	pair_stop(&pair);
}
END_TEST

/* A client that does not watch the time itself is told by the server. */
START_TEST(server_watches_the_deadline_as_well)
{
	struct tester tester;
	int fd;

	tester_start(&tester, transport_of(_i), NULL);
	fd = raw_connect(tester.address);
	raw_open(fd);
	ck_assert(raw_call_within(fd, 1, HOLD, &empty, 30));
	raw_expect_end(fd, 1, HAWSER_DEADLINE_EXCEEDED, HAWSER_OUTCOME_EXECUTED);
	ck_assert_int_eq(hawser_call_time_left_ms(tester_held(&tester, 0)), 0);
	assert_late(&tester, 0);
	/* The late answer went nowhere. */
	ck_assert(raw_call(fd, 3, ECHO, &empty));
	raw_expect_end(fd, 3, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	close(fd);
	tester_stop(&tester);
}
END_TEST

START_TEST(deadlines_end_in_their_order)
{
	enum { CALLS = 20 };
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct async calls[CALLS];
	struct pair pair;

	pair_start(&pair, async_stamp(_i), NULL, NULL);
	caller_echo(&pair.caller);
	memset(calls, 0, sizeof calls);
	/* The one that was opened first ends last. */
	for (int i = 0; i < CALLS; i++) {
		context.timeout_ms = 300 - 10 * i;
		async_open(&calls[i], &pair.caller, HOLD, &empty, &context);
	}
	for (int i = CALLS - 1; i >= 0; i--) {
		async_wait(&calls[i], &pair.caller);
		ck_assert_int_eq(calls[i].result.status, HAWSER_DEADLINE_EXCEEDED);
		caller_echo(&pair.caller);
	}
	tester_wait_cancelled(&pair.tester, CALLS);
	pair_stop(&pair);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/deadlines");
	TCase *tcase = suite_case(suite, "where from");

	tcase_add_loop_test(tcase, handler_reads_what_is_left, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, parents_deadline_is_inherited, 0, STAMPS);
	tcase_add_loop_test(tcase, parent_whose_deadline_passed_sends_nothing, 0, STAMPS);

	tcase = suite_case(suite, "passing");
	tcase_add_loop_test(tcase, methods_own_deadline_ends_the_call, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, contexts_deadline_ends_the_call, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, clients_deadline_ends_the_call, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, server_watches_the_deadline_as_well, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, deadlines_end_in_their_order, 0, 2 * TRANSPORTS);
	return suite_run(suite);
}
