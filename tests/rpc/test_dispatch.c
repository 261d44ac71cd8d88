/* Calls that wait on their way to their handlers, in a stage that the test plays. */

#include "raw.h"
#include "rpc/dispatch.h"
#include "rpc/server.h"
#include "stream.h"
#include "support/suite.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WAITING_MOST = 64, REQUEST_BYTES = 200000 };

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

/* ---- a stage ---- */

/* What stands between calls and their handlers. */
static struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool is_open, refuses;
	bool is_late; /* whoever is withdrawn has been let go just before */
	struct hawser__ticket *waiting[WAITING_MOST];
	unsigned n_waiting, n_came, n_withdrawn, n_left;
	unsigned n_full, retry_after_ms; /* so many find it full, and are told to come back */
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static enum hawser__verdict gate_enter(struct hawser__ticket *ticket)
{
	enum hawser__verdict verdict = HAWSER__WAIT;
	bool is_full;

	pthread_mutex_lock(&gate.lock);
	gate.n_came++;
	is_full = gate.n_full > 0;
	if (is_full) {
		gate.n_full--;
		verdict = HAWSER__ENDED;
	} else if (gate.is_open)
		verdict = HAWSER__PASS;
	else if (gate.refuses)
		verdict = HAWSER__ENDED;
	else
		gate.waiting[gate.n_waiting++] = ticket;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
	if (is_full)
		hawser__dispatch_put_off(ticket, "the gate is full", gate.retry_after_ms);
	else if (verdict == HAWSER__ENDED)
		hawser__dispatch_refuse(ticket, HAWSER_PERMISSION_DENIED, "the gate is shut");
	return verdict;
}

static void gate_forget(unsigned index)
{
	gate.n_waiting--;
	for (unsigned i = index; i < gate.n_waiting; i++)
		gate.waiting[i] = gate.waiting[i + 1];
}

static enum hawser__withdrawal gate_withdraw(struct hawser__ticket *ticket)
{
	bool is_late;

	pthread_mutex_lock(&gate.lock);
	for (unsigned i = 0; i < gate.n_waiting; i++)
		if (gate.waiting[i] == ticket)
			gate_forget(i);
	gate.n_withdrawn++;
	is_late = gate.is_late;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
	if (is_late)
		hawser__dispatch_resume(ticket);
	return is_late ? HAWSER__PASSED : HAWSER__WITHDRAWN;
}

static void gate_leave(struct hawser__ticket *ticket)
{
	(void)ticket;
	pthread_mutex_lock(&gate.lock);
	gate.n_left++;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

static const struct hawser__stage_ops gate_ops = {gate_enter, gate_withdraw, gate_leave};

static void gate_await(const unsigned *counter, unsigned value)
{
	pthread_mutex_lock(&gate.lock);
	while (*counter < value)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

/* Lets the oldest one go, from the test's thread. */
static void gate_let_go(void)
{
	struct hawser__ticket *ticket;

	pthread_mutex_lock(&gate.lock);
	while (!gate.n_waiting)
		pthread_cond_wait(&gate.changed, &gate.lock);
	ticket = gate.waiting[0];
	gate_forget(0);
	pthread_mutex_unlock(&gate.lock);
	hawser__dispatch_resume(ticket);
}

/* Every method but Order, by which the tests find out that something has come, has the stage. */
static void start(struct pair *pair, int stamp)
{
	struct hawser_server *server;

	gate.is_open = gate.refuses = gate.is_late = false;
	gate.n_full = gate.retry_after_ms = 0;
	gate.n_waiting = gate.n_came = gate.n_withdrawn = gate.n_left = 0;
	tester_init(&pair->tester, transport_of(stamp), NULL);
	server = pair->tester.server;
	server->dispatch.stages[HAWSER__STAGE_LEASE] = &gate_ops;
	for (size_t i = 0; i < rpctest_tester_descriptor.n_methods; i++) {
		const char *name = rpctest_tester_descriptor.methods[i].name;
		const struct hawser__entry *entry =
			hawser__registry_find_name(&server->registry, name);

		if (i != ORDER)
			((struct hawser__entry *)(uintptr_t)entry)->stages = 1u
									     << HAWSER__STAGE_LEASE;
	}
	tester_run(&pair->tester);
	caller_init(&pair->caller, pair->tester.address, true, NULL);
}

static void nothing(struct tester *tester, void *data)
{
	(void)tester;
	(void)data;
}

/* Everything that was sent before has been dealt with. */
static void settle(struct pair *pair)
{
	caller_order(&pair->caller, &pair->tester, nothing, NULL);
}

static uint64_t in_flight(struct pair *pair)
{
	struct hawser_server_stats stats = {.size = sizeof stats};

	hawser_server_get_stats(pair->tester.server, &stats);
	return stats.calls_in_flight;
}

/* ---- going on ---- */

START_TEST(call_waits_until_it_is_let_go)
{
	static uint8_t data[REQUEST_BYTES];
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct async async = {.call = NULL};
	struct pair pair;

	start(&pair, _i);
	request.number = 7;
	request.data.data = data;
	/* In its frame, and in pieces. */
	for (size_t length = 10; length <= sizeof data; length += sizeof data - 10) {
		request.data.len = length;
		async_open(&async, &pair.caller, ECHO, &request, NULL);
		settle(&pair);
		ck_assert_uint_eq(tester_executed(&pair.tester), length > 10);
		ck_assert_uint_eq(gate.n_left, length > 10);
		gate_let_go();
		async_wait(&async, &pair.caller);
		assert_ok(&async.result);
		ck_assert(async.result.is_echo);
	}
	ck_assert_uint_eq(gate.n_came, 2);
	ck_assert_uint_eq(gate.n_withdrawn, 0);
	gate_await(&gate.n_left, 2);
	pair_stop(&pair);
}
END_TEST

START_TEST(calls_go_on_in_the_order_in_which_they_are_let_go)
{
	struct async async[WAITING_MOST];
	Rpctest__Payload requests[WAITING_MOST];
	struct pair pair;

	start(&pair, _i);
	memset(async, 0, sizeof async);
	for (unsigned i = 0; i < WAITING_MOST; i++) {
		requests[i] = empty;
		requests[i].id = i + 1;
		async_open(&async[i], &pair.caller, ECHO, &requests[i], NULL);
	}
	settle(&pair);
	for (unsigned i = 0; i < WAITING_MOST; i++)
		gate_let_go();
	for (unsigned i = 0; i < WAITING_MOST; i++) {
		async_wait(&async[i], &pair.caller);
		assert_ok(&async[i].result);
	}
	ck_assert_uint_eq(pair.tester.n_disordered, 0);
	pair_stop(&pair);
}
END_TEST

START_TEST(call_that_passes_is_served_at_once)
{
	struct pair pair;

	start(&pair, _i);
	gate.is_open = true;
	for (int i = 0; i < 10; i++)
		caller_echo(&pair.caller);
	ck_assert_uint_eq(gate.n_came, 10);
	gate_await(&gate.n_left, 10);
	pair_stop(&pair);
}
END_TEST

START_TEST(stream_of_replies_waits)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct stream stream = {.n = 0};
	struct pair pair;

	start(&pair, _i);
	request.number = 100;
	stream_open(&stream, &pair.caller, WATCH, &request, NULL);
	settle(&pair);
	ck_assert_uint_eq(stream.n, 0);
	gate_let_go();
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.n, 100);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

/* What comes meanwhile is kept, and given in order. */
START_TEST(stream_of_requests_waits)
{
	struct stream stream = {.n = 0};
	struct pair pair;

	start(&pair, _i);
	stream_open(&stream, &pair.caller, GATHER, NULL, NULL);
	ck_assert_int_eq(stream_send_samples(&stream, 20, 1000), 0);
	settle(&pair);
	ck_assert_uint_eq(tester_streams(&pair.tester), 0);
	gate_let_go();
	ck_assert_int_eq(stream_send_samples(&stream, 500, 1000), 0);
	ck_assert_int_eq(hawser_call_end(stream.call), 0);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_str_eq(stream.text, "in order");
	ck_assert_uint_eq(stream.result.id, 520);
	stream_close(&stream);
	ck_assert_uint_eq(gate.n_came, 1);
	pair_stop(&pair);
}
END_TEST

START_TEST(stream_that_ends_while_it_waits_has_all_its_messages)
{
	struct stream stream = {.n = 0};
	struct pair pair;

	start(&pair, _i);
	for (uint64_t count = 0; count < 6; count += 5) {
		memset(&stream, 0, sizeof stream);
		stream_open(&stream, &pair.caller, CHAT, NULL, NULL);
		ck_assert_int_eq(stream_send_samples(&stream, count, 1000), 0);
		ck_assert_int_eq(hawser_call_end(stream.call), 0);
		settle(&pair);
		gate_let_go();
		stream_finish(&stream, HAWSER_OK);
		ck_assert_uint_eq(stream.n, count);
		stream_close(&stream);
	}
	pair_stop(&pair);
}
END_TEST

/* ---- not going on ---- */

START_TEST(refused_call_has_not_run)
{
	struct async async = {.call = NULL};
	struct stream stream = {.n = 0};
	struct pair pair;

	start(&pair, _i);
	gate.refuses = true;
	async_open(&async, &pair.caller, ECHO, &empty, NULL);
	async_wait(&async, &pair.caller);
	assert_failed(&async.result, HAWSER_PERMISSION_DENIED, HAWSER_OUTCOME_NOT_EXECUTED,
		      "the gate is shut");
	stream_open(&stream, &pair.caller, GATHER, NULL, NULL);
	ck_assert_int_eq(stream_send_samples(&stream, 1, 1000), 0);
	stream_finish(&stream, HAWSER_PERMISSION_DENIED);
	stream_close(&stream);
	ck_assert_uint_eq(tester_executed(&pair.tester), 0);
	ck_assert_uint_eq(gate.n_left, 0);
	ck_assert_uint_eq(in_flight(&pair), 0);
	pair_stop(&pair);
}
END_TEST

/* ---- coming back ---- */

/* The same with a client of the test's own. */
static void start_client(struct pair *pair, int stamp, const struct hawser_client_options *options)
{
	start(pair, stamp);
	caller_deinit(&pair->caller);
	caller_init(&pair->caller, pair->tester.address, is_async(stamp), options);
	gate.is_open = true;
}

/* On a base only an idempotent method's. */
START_TEST(call_that_found_no_room_is_made_again)
{
	struct hawser_client_stats stats = {.size = sizeof stats};
	enum method method = is_async(_i) ? REFLECT : ECHO;
	struct result result;
	struct pair pair;

	start_client(&pair, _i, NULL);
	gate.n_full = 3;
	gate.retry_after_ms = 20;
	caller_call(&pair.caller, method, &empty, NULL, &result);
	assert_ok(&result);
	ck_assert_uint_eq(gate.n_came, 4);
	hawser_client_get_stats(pair.caller.client, &stats);
	ck_assert_uint_eq(stats.calls_retried, 3);
	pair_stop(&pair);
}
END_TEST

START_TEST(deadline_leaves_no_time_to_come_back)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct result result;
	struct pair pair;

	start_client(&pair, _i, NULL);
	gate.n_full = 3;
	gate.retry_after_ms = 60000;
	context.timeout_ms = 30000;
	caller_call(&pair.caller, is_async(_i) ? REFLECT : ECHO, &empty, &context, &result);
	ck_assert_int_eq(result.status, HAWSER_RESOURCE_EXHAUSTED);
	ck_assert_int_eq(result.error.outcome, HAWSER_OUTCOME_NOT_EXECUTED);
	ck_assert_uint_eq(result.error.retry_after_ms, 60000);
	ck_assert_str_eq(result.error.message, "the gate is full");
	ck_assert_uint_eq(gate.n_came, 1);
	pair_stop(&pair);
}
END_TEST

START_TEST(budget_ends_the_coming_back)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct result result;
	struct pair pair;

	options.retry_budget = 2;
	start_client(&pair, _i, &options);
	gate.n_full = 9;
	gate.retry_after_ms = 1;
	caller_call(&pair.caller, is_async(_i) ? REFLECT : ECHO, &empty, NULL, &result);
	ck_assert_int_eq(result.status, HAWSER_RESOURCE_EXHAUSTED);
	ck_assert_uint_eq(gate.n_came, 3);
	pair_stop(&pair);
}
END_TEST

START_TEST(program_may_come_back_by_itself)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct result result;
	struct pair pair;

	options.no_retry_after = true;
	start_client(&pair, _i, &options);
	gate.n_full = 1;
	gate.retry_after_ms = 1;
	caller_call(&pair.caller, is_async(_i) ? REFLECT : ECHO, &empty, NULL, &result);
	ck_assert_int_eq(result.status, HAWSER_RESOURCE_EXHAUSTED);
	ck_assert_uint_eq(result.error.retry_after_ms, 1);
	caller_call(&pair.caller, ECHO, &empty, NULL, &result);
	assert_ok(&result);
	pair_stop(&pair);
}
END_TEST

START_TEST(cancelled_call_waits_no_longer)
{
	struct async async = {.keeps = true};
	struct stream stream = {.n = 0};
	struct pair pair;

	start(&pair, _i);
	for (unsigned late = 0; late < 2; late++) {
		gate.is_late = late;
		async_open(&async, &pair.caller, ECHO, &empty, NULL);
		settle(&pair);
		ck_assert_int_eq(hawser_call_cancel(async.call), 0);
		hawser_call_free(async.call);
		memset(&stream, 0, sizeof stream);
		stream_open(&stream, &pair.caller, CHAT, NULL, NULL);
		ck_assert_int_eq(stream_send_samples(&stream, 3, 1000), 0);
		settle(&pair);
		stream_close(&stream);
		settle(&pair);
		ck_assert_uint_eq(gate.n_withdrawn, 2 * late + 2);
		/* What was let go at that moment gives back what it got. */
		ck_assert_uint_eq(gate.n_left, 2 * late);
		ck_assert_uint_eq(in_flight(&pair), 0);
	}
	ck_assert_uint_eq(tester_executed(&pair.tester), 0);
	ck_assert_uint_eq(tester_streams(&pair.tester), 0);
	pair_stop(&pair);
}
END_TEST

START_TEST(deadline_passes_while_a_call_waits)
{
	struct pair pair;
	int fd;

	start(&pair, _i);
	fd = raw_connect(pair.tester.address);
	raw_open(fd);
	ck_assert(raw_call_within(fd, 1, ECHO, &empty, 20));
	raw_expect_end(fd, 1, HAWSER_DEADLINE_EXCEEDED, HAWSER_OUTCOME_NOT_EXECUTED);
	ck_assert_uint_eq(gate.n_withdrawn, 1);
	close(fd);
	ck_assert_uint_eq(tester_executed(&pair.tester), 0);
	settle(&pair);
	ck_assert_uint_eq(in_flight(&pair), 0);
	pair_stop(&pair);
}
END_TEST

START_TEST(end_of_the_connection_ends_the_wait)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct caller other;
	struct async async = {.keeps = true};
	struct pair pair;

	start(&pair, _i);
	for (unsigned late = 0; late < 2; late++) {
		gate.is_late = late;
		options.no_session = true;
		caller_init(&other, pair.tester.address, true, &options);
		async_open(&async, &other, ECHO, &empty, NULL);
		caller_order(&other, &pair.tester, nothing, NULL);
		caller_deinit(&other);
		gate_await(&gate.n_withdrawn, late + 1);
		hawser_call_free(async.call);
	}
	settle(&pair);
	ck_assert_uint_eq(in_flight(&pair), 0);
	ck_assert_uint_eq(tester_executed(&pair.tester), 0);
	pair_stop(&pair);
}
END_TEST

START_TEST(server_stops_with_calls_that_wait)
{
	struct async async[3];
	struct pair pair;

	start(&pair, _i);
	memset(async, 0, sizeof async);
	for (int i = 0; i < 3; i++)
		async_open(&async[i], &pair.caller, ECHO, &empty, NULL);
	settle(&pair);
	gate.is_late = true;
	tester_stop(&pair.tester);
	ck_assert_uint_eq(gate.n_withdrawn, 3);
	ck_assert_uint_eq(gate.n_left, 3);
	caller_deinit(&pair.caller);
}
END_TEST

START_TEST(bad_request_is_found_out_after_the_wait)
{
	struct pair pair;
	int fd;

	start(&pair, _i);
	fd = raw_connect(pair.tester.address);
	raw_open(fd);
	ck_assert(raw_call_stream(fd, 1, ECHO, 4));
	ck_assert(raw_message(fd, 1, 0, false, "\xff\xff\xff\xff", 4));
	gate_let_go();
	raw_expect_end(fd, 1, HAWSER_INVALID_ARGUMENT, HAWSER_OUTCOME_NOT_EXECUTED);
	close(fd);
	gate_await(&gate.n_left, 1);
	ck_assert_uint_eq(tester_executed(&pair.tester), 0);
	pair_stop(&pair);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/dispatch");
	TCase *tcase = suite_case(suite, "going on");

	tcase_add_loop_test(tcase, call_waits_until_it_is_let_go, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, calls_go_on_in_the_order_in_which_they_are_let_go, 0,
			    TRANSPORTS);
	tcase_add_loop_test(tcase, call_that_passes_is_served_at_once, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, stream_of_replies_waits, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, stream_of_requests_waits, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, stream_that_ends_while_it_waits_has_all_its_messages, 0,
			    TRANSPORTS);

	tcase = suite_case(suite, "coming back");
	tcase_add_loop_test(tcase, call_that_found_no_room_is_made_again, 0, STAMPS);
	tcase_add_loop_test(tcase, deadline_leaves_no_time_to_come_back, 0, STAMPS);
	tcase_add_loop_test(tcase, budget_ends_the_coming_back, 0, STAMPS);
	tcase_add_loop_test(tcase, program_may_come_back_by_itself, 0, STAMPS);
	tcase = suite_case(suite, "not going on");
	tcase_add_loop_test(tcase, refused_call_has_not_run, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, cancelled_call_waits_no_longer, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, deadline_passes_while_a_call_waits, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, end_of_the_connection_ends_the_wait, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, server_stops_with_calls_that_wait, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, bad_request_is_found_out_after_the_wait, 0, TRANSPORTS);
	return suite_run(suite);
}
