/* Unary calls that succeed, in every way in which they can be made. */

#include "caller.h"
#include "support/random.h"
#include "support/suite.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 8, IN_FLIGHT = 64 };

START_TEST(call_comes_back)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct result result;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	request.id = UINT64_MAX;
	request.number = INT64_MIN;
	request.text = (char *)"žluťoučký kůň";
	request.data.data = (uint8_t *)"\0\1\2";
	request.data.len = 3;
	caller_call(&pair.caller, ECHO, &request, NULL, &result);
	assert_ok(&result);
	ck_assert(result.is_echo);
	ck_assert_str_eq(result.error.message, "");
	pair_stop(&pair);
}
END_TEST

START_TEST(empty_message_comes_back)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct result result;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	for (int i = 0; i < 3; i++) {
		caller_call(&pair.caller, ECHO, &request, NULL, &result);
		assert_ok(&result);
		ck_assert(result.is_echo);
	}
	pair_stop(&pair);
}
END_TEST

/* Around every size at which the ways through the buffers part. */
START_TEST(any_size_comes_back)
{
	static const size_t edges[] = {1,        126,       127,      128,      129,
				       2048,     16000,     16 << 10, 32 << 10, 64 << 10,
				       65 << 10, 128 << 10, 1 << 20};
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct result result;
	struct pair pair;

	request.data.data = malloc((1 << 20) + 64);
	random_fill(request.data.data, (1 << 20) + 64);
	pair_start(&pair, _i, NULL, NULL);
	for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
		for (size_t more = 0; more < 40; more += 13) {
			request.data.len = edges[i] + more;
			caller_call(&pair.caller, ECHO, &request, NULL, &result);
			assert_ok(&result);
			quick_assert(result.is_echo);
		}
	}
	pair_stop(&pair);
	free(request.data.data);
}
END_TEST

START_TEST(generated_stubs_call)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT, *reply = NULL;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	request.number = 5;
	ck_assert_int_eq(rpctest_tester_echo(pair.caller.client, &request, &reply, NULL),
			 HAWSER_OK);
	ck_assert_int_eq(reply->number, 5);
	rpctest__payload__free_unpacked(reply, NULL);
	reply = NULL;
	request.number = HAWSER_NOT_FOUND;
	request.text = (char *)"no such thing";
	ck_assert_int_eq(rpctest_tester_fail(pair.caller.client, &request, &reply, &context),
			 HAWSER_NOT_FOUND);
	ck_assert_ptr_null(reply);
	ck_assert_str_eq(context.error.message, "no such thing");
	hawser_context_clear(&context);
	pair_stop(&pair);
}
END_TEST

static void count_echo(struct hawser_call *call, const Rpctest__Payload *reply, void *data)
{
	unsigned *n = data;

	*n += reply && reply->number == 6 ? 1 : 100;
	hawser_call_free(call);
}

START_TEST(generated_asynchronous_stubs_call)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct pair pair;
	unsigned n = 0;

	pair_start(&pair, _i, NULL, NULL);
	request.number = 6;
	ck_assert_ptr_nonnull(
		rpctest_tester_echo_async(pair.caller.client, &request, count_echo, &n, NULL));
	base_run_until(pair.caller.base, &n, 1);
	ck_assert_uint_eq(n, 1);
	pair_stop(&pair);
}
END_TEST

/* ---- many at a time ---- */

struct worker {
	pthread_t thread;
	struct caller *caller;
	uint64_t first_id;
	unsigned long rounds;
	char failure[HAWSER_ERROR_MESSAGE_SIZE];
};

/* Each call is unlike any other, so that a reply to somebody else would show. */
static void *call_often(void *data)
{
	struct worker *worker = data;
	static const size_t sizes[] = {0, 10, 100, 3000, 70000};
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct hawser_context context = HAWSER_CONTEXT_INIT;

	request.data.data = malloc(70000);
	memset(request.data.data, (int)worker->first_id, 70000);
	for (unsigned long i = 0; i < worker->rounds && !worker->failure[0]; i++) {
		Rpctest__Payload *reply;

		request.id = worker->first_id + i;
		request.data.len = sizes[i % (i % 16 ? 3 : 5)];
		if (rpctest_tester_echo(worker->caller->client, &request, &reply,
					i % 2 ? &context : NULL)) {
			snprintf(worker->failure, sizeof worker->failure, "%.200s",
				 i % 2 ? context.error.message : "a call failed");
			break;
		}
		if (reply->id != request.id || reply->data.len != request.data.len ||
		    (request.data.len &&
		     memcmp(reply->data.data, request.data.data, request.data.len) != 0))
			snprintf(worker->failure, sizeof worker->failure,
				 "the reply to call %llu is not its own",
				 (unsigned long long)request.id);
		rpctest__payload__free_unpacked(reply, NULL);
	}
	hawser_context_clear(&context);
	free(request.data.data);
	return NULL;
}

static void call_from_threads(struct caller *callers, int n_callers, unsigned long rounds)
{
	struct worker workers[THREADS];

	memset(workers, 0, sizeof workers);
	for (int i = 0; i < THREADS; i++) {
		workers[i].caller = &callers[i % n_callers];
		workers[i].first_id = (uint64_t)(i + 1) << 32 | (uint64_t)i;
		workers[i].rounds = rounds;
		ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, call_often, &workers[i]),
				 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	for (int i = 0; i < THREADS; i++)
		ck_assert_msg(!workers[i].failure[0], "thread %d: %s", i, workers[i].failure);
}

START_TEST(threads_share_a_client)
{
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	call_from_threads(&pair.caller, 1, suite_rounds(2000));
	pair_stop(&pair);
}
END_TEST

START_TEST(server_with_four_loops_serves)
{
	struct hawser_server_options options = tester_options();
	struct hawser_server_stats stats = {.size = sizeof stats};
	struct caller callers[THREADS];
	struct tester tester;

	options.loops = 4;
	tester_start(&tester, transport_of(_i), &options);
	for (int i = 0; i < THREADS; i++)
		caller_init(&callers[i], tester.address, false, NULL);
	call_from_threads(callers, THREADS, suite_rounds(500));
	hawser_server_get_stats(tester.server, &stats);
	ck_assert_uint_eq(stats.connections, THREADS);
	ck_assert_uint_eq(stats.calls, THREADS * suite_rounds(500));
	ck_assert_uint_eq(stats.calls_failed, 0);
	for (int i = 0; i < THREADS; i++)
		caller_deinit(&callers[i]);
	tester_stop(&tester);
}
END_TEST

/* One that goes on for as long as there is something to do. */
struct flow {
	struct async async;
	Rpctest__Payload request;
	struct caller *caller;
	unsigned long left;
	unsigned *n_done, *n_wrong;
};

static void flow_on(struct async *async)
{
	struct flow *flow = async->data;

	if (async->result.status != HAWSER_OK || !async->result.is_echo)
		++*flow->n_wrong;
	if (--flow->left == 0) {
		++*flow->n_done;
		return;
	}
	flow->request.id++;
	async_open(async, flow->caller, ECHO, &flow->request, NULL);
}

static void flow_start(struct flow *flow, struct caller *caller, uint64_t id, unsigned long rounds,
		       unsigned *n_done, unsigned *n_wrong)
{
	memset(flow, 0, sizeof *flow);
	rpctest__payload__init(&flow->request);
	flow->request.id = id;
	flow->caller = caller;
	flow->left = rounds;
	flow->n_done = n_done;
	flow->n_wrong = n_wrong;
	flow->async.then = flow_on;
	flow->async.data = flow;
	async_open(&flow->async, caller, ECHO, &flow->request, NULL);
}

START_TEST(sixty_four_are_in_flight)
{
	struct flow flows[IN_FLIGHT];
	unsigned n_done = 0, n_wrong = 0;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	for (uint64_t i = 0; i < IN_FLIGHT; i++)
		flow_start(&flows[i], &pair.caller, i << 32, suite_rounds(500), &n_done, &n_wrong);
	base_run_until(pair.caller.base, &n_done, IN_FLIGHT);
	ck_assert_uint_eq(n_wrong, 0);
	pair_stop(&pair);
}
END_TEST

START_TEST(clients_share_a_base_with_the_server)
{
	struct hawser_server_options options = tester_options();
	struct hawser_client_options client_options = HAWSER_CLIENT_OPTIONS_INIT;
	struct flow flows[IN_FLIGHT];
	struct caller callers[4];
	unsigned n_done = 0, n_wrong = 0;
	struct tester tester;

	options.base = client_options.base = event_base_new();
	tester_init(&tester, transport_of(_i), &options);
	for (int i = 0; i < 4; i++) {
		callers[i].base = options.base;
		callers[i].client = hawser_client_new(tester.address, &client_options, NULL);
		ck_assert_ptr_nonnull(callers[i].client);
	}
	for (uint64_t i = 0; i < IN_FLIGHT; i++)
		flow_start(&flows[i], &callers[i % 4], i << 32, suite_rounds(200), &n_done,
			   &n_wrong);
	base_run_until(options.base, &n_done, IN_FLIGHT);
	ck_assert_uint_eq(n_wrong, 0);
	for (int i = 0; i < 4; i++)
		hawser_client_free(callers[i].client);
	tester_stop(&tester);
	event_base_free(options.base);
}
END_TEST

struct slow_call {
	struct caller *caller;
	enum hawser_status status;
};

static void *call_hold(void *data)
{
	struct slow_call *slow = data;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT, *reply = NULL;

	/* No context: this thread then has no reason to look up while it waits. */
	slow->status = rpctest_tester_hold(slow->caller->client, &request, &reply, NULL);
	if (reply)
		rpctest__payload__free_unpacked(reply, NULL);
	return NULL;
}

/* More than a socket takes at once goes out although the thread that receives for all
 * has nothing to send. */
START_TEST(large_request_goes_out_beside_a_slow_call)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct slow_call slow;
	struct result result;
	pthread_t thread;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	caller_echo(&pair.caller);
	slow.caller = &pair.caller;
	ck_assert_int_eq(pthread_create(&thread, NULL, call_hold, &slow), 0);
	tester_held(&pair.tester, 0);
	request.data.len = 4000000;
	request.data.data = calloc(1, request.data.len);
	context.timeout_ms = 10000;
	for (int i = 0; i < 3; i++) {
		caller_call(&pair.caller, ECHO, &request, &context, &result);
		assert_ok(&result);
		ck_assert(result.is_echo);
	}
	rpctest_tester_hold_reply(tester_held(&pair.tester, 0), &request);
	pthread_join(thread, NULL);
	ck_assert_int_eq(slow.status, HAWSER_OK);
	free(request.data.data);
	pair_stop(&pair);
}
END_TEST

START_TEST(peer_is_named)
{
	/* A client's peer is where it has connected to. */
	const char *at_socket = is_reversed(_i) ? "unix:/" : "unix:pid=";
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	caller_echo(&pair.caller);
	if (transport_of(_i) == OVER_TCP)
		ck_assert_msg(strncmp(pair.tester.peer, "tcp:127.0.0.1:", 14) == 0, "%s",
			      pair.tester.peer);
	else
		ck_assert_msg(strncmp(pair.tester.peer, at_socket, strlen(at_socket)) == 0, "%s",
			      pair.tester.peer);
	pair_stop(&pair);
}
END_TEST

START_TEST(ping_connect_and_server_name)
{
	struct hawser_server_options options = tester_options();
	uint64_t rtt_us = UINT64_MAX;
	struct hawser_error error;
	char name[128];
	struct pair pair;

	options.name = "the tester";
	pair_start(&pair, _i, &options, NULL);
	ck_assert_str_eq(hawser_client_server_name(pair.caller.client, name, sizeof name), "");
	ck_assert_int_eq(hawser_client_connect(pair.caller.client, &error), 0);
	hawser_client_server_name(pair.caller.client, name, sizeof name);
	ck_assert_msg(strncmp(name, "the tester, hawser ", 19) == 0, "%s", name);
	ck_assert_int_eq(hawser_client_ping(pair.caller.client, &rtt_us, &error), 0);
	ck_assert_uint_lt(rtt_us, 30000000);
	ck_assert_int_eq(hawser_client_ping(pair.caller.client, NULL, NULL), 0);
	ck_assert_int_eq(hawser_client_connect(pair.caller.client, NULL), 0);
	pair_stop(&pair);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/calls");
	TCase *tcase = suite_case(suite, "one");

	tcase_add_loop_test(tcase, call_comes_back, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, empty_message_comes_back, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, any_size_comes_back, 0, BOTH_WAYS);
	add_blocking(tcase, generated_stubs_call);
	add_async(tcase, generated_asynchronous_stubs_call);
	tcase_add_loop_test(tcase, peer_is_named, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, ping_connect_and_server_name, 0, TRANSPORTS);

	tcase = suite_case(suite, "many");
	add_blocking(tcase, threads_share_a_client);
	tcase_add_loop_test(tcase, server_with_four_loops_serves, 0, TRANSPORTS);
	add_async(tcase, sixty_four_are_in_flight);
	tcase_add_loop_test(tcase, clients_share_a_base_with_the_server, 0, TRANSPORTS);
	add_blocking(tcase, large_request_goes_out_beside_a_slow_call);
	return suite_run(suite);
}
