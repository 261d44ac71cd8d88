/* Limits on messages, and on what one connection may take up. */

#include "caller.h"
#include "lines.h"
#include "raw.h"
#include "support/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	LIMIT = 4 << 20,
	FIELD = 5, /* tag and length of a `data` of about that size */
};

/* Zeros; every request that is large shares them. */
static uint8_t zeros[LIMIT + (2 << 20)];

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

static Rpctest__Payload payload_of(size_t packed)
{
	Rpctest__Payload payload = RPCTEST__PAYLOAD__INIT;

	payload.data.data = zeros;
	payload.data.len = packed - FIELD;
	ck_assert_uint_eq(rpctest__payload__get_packed_size(&payload), packed);
	return payload;
}

static Rpctest__Payload number(int64_t number)
{
	Rpctest__Payload payload = RPCTEST__PAYLOAD__INIT;

	payload.number = number;
	return payload;
}

static uint64_t accepted(struct tester *tester)
{
	struct hawser_server_stats stats = {.size = sizeof stats};

	hawser_server_get_stats(tester->server, &stats);
	return stats.connections_accepted;
}

/* ---- messages ---- */

START_TEST(request_may_have_four_mebibytes_and_no_more)
{
	Rpctest__Payload largest = payload_of(LIMIT), larger = payload_of(LIMIT + 1);
	struct result result;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	caller_call(&pair.caller, ECHO, &largest, NULL, &result);
	assert_ok(&result);
	ck_assert(result.is_echo);
	caller_call(&pair.caller, ECHO, &larger, NULL, &result);
	assert_failed(&result, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_NOT_SENT, "4194305");
	ck_assert_ptr_nonnull(strstr(result.error.message, "4194304"));
	caller_echo(&pair.caller);
	ck_assert_uint_eq(accepted(&pair.tester), 1);
	pair_stop(&pair);
}
END_TEST

START_TEST(reply_may_have_four_mebibytes_and_no_more)
{
	Rpctest__Payload largest = number(LIMIT - FIELD), larger = number(LIMIT - FIELD + 1);
	struct result result;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	caller_call(&pair.caller, GROW, &largest, NULL, &result);
	assert_ok(&result);
	ck_assert_uint_eq(result.data_length, LIMIT - FIELD);
	ck_assert_int_eq(pair.tester.last_send, 0);
	caller_call(&pair.caller, GROW, &larger, NULL, &result);
	assert_failed(&result, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_EXECUTED, "4194305");
	ck_assert_ptr_nonnull(strstr(result.error.message, "4194304"));
	caller_echo(&pair.caller);
	ck_assert_uint_eq(accepted(&pair.tester), 1);
	pair_stop(&pair);
}
END_TEST

START_TEST(clients_own_limits_count)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	Rpctest__Payload large = number(3000), request = RPCTEST__PAYLOAD__INIT;
	struct result result;
	struct pair pair;

	options.max_request_bytes = 1000;
	options.max_reply_bytes = 2000;
	pair_start(&pair, _i, NULL, &options);
	request.data.data = zeros;
	request.data.len = 998;
	caller_call(&pair.caller, ECHO, &request, NULL, &result);
	assert_failed(&result, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_NOT_SENT,
		      "the request has 1001 bytes, the limit is 1000");
	request.data.len = 997;
	caller_call(&pair.caller, ECHO, &request, NULL, &result);
	assert_ok(&result);
	caller_call(&pair.caller, GROW, &large, NULL, &result);
	assert_failed(&result, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_EXECUTED,
		      "the reply has 3003 bytes, the limit is 2000");
	pair_stop(&pair);
}
END_TEST

START_TEST(methods_own_limits_count)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct result result;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	request.data.data = zeros;
	request.data.len = 497;
	caller_call(&pair.caller, LIMITED, &request, NULL, &result);
	assert_ok(&result);
	request.data.len = 498;
	caller_call(&pair.caller, LIMITED, &request, NULL, &result);
	assert_failed(&result, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_EXECUTED,
		      "the reply has 501 bytes, the limit is 500");
	request.data.len = 998;
	caller_call(&pair.caller, LIMITED, &request, NULL, &result);
	assert_failed(&result, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_NOT_SENT,
		      "the request has 1001 bytes, the limit is 1000");
	caller_echo(&pair.caller);
	pair_stop(&pair);
}
END_TEST

/* Who has connected knows the server's limit; who has not yet is told by the server. */
START_TEST(servers_limit_counts_for_a_client_with_a_larger_one)
{
	static const size_t sizes[] = {LIMIT + 1, LIMIT + 70000, LIMIT + (1 << 20)};
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct async early = {.keeps = false}, other = {.keeps = false};
	struct tester tester;
	struct caller caller;
	struct result result;

	options.max_request_bytes = 16 << 20;
	tester_start(&tester, transport_of(_i), NULL);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		Rpctest__Payload request = payload_of(sizes[i]);
		char size[32];

		snprintf(size, sizeof size, "%zu bytes", sizes[i]);
		caller_init(&caller, tester.address, is_async(_i), &options);
		if (caller.base) {
			async_open(&early, &caller, ECHO, &request, NULL);
			async_open(&other, &caller, ECHO, &empty, NULL);
			async_wait(&early, &caller);
			async_wait(&other, &caller);
			assert_failed(&early.result, HAWSER_RESOURCE_EXHAUSTED,
				      HAWSER_OUTCOME_NOT_EXECUTED, size);
			ck_assert_ptr_nonnull(strstr(early.result.error.message, "4194304"));
			assert_ok(&other.result);
		} else {
			caller_call(&caller, ECHO, &request, NULL, &result);
			assert_failed(&result, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_NOT_SENT,
				      size);
		}
		caller_call(&caller, ECHO, &request, NULL, &result);
		assert_failed(&result, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_NOT_SENT, size);
		caller_echo(&caller);
		caller_deinit(&caller);
		ck_assert_uint_eq(accepted(&tester), i + 1);
	}
	tester_stop(&tester);
}
END_TEST

/* Metadata stand before the payload, so the head of such a frame is long. */
START_TEST(too_large_request_with_much_metadata_fails_alone)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_metadata metadata = {"filler", zeros, 8000};
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct async early = {.keeps = false}, other = {.keeps = false};
	Rpctest__Payload request = payload_of(LIMIT + (1 << 20));
	struct tester tester;
	struct caller caller;

	options.max_request_bytes = 16 << 20;
	context.metadata = &metadata;
	context.n_metadata = 1;
	tester_start(&tester, transport_of(_i), NULL);
	caller_init(&caller, tester.address, true, &options);
	async_open(&early, &caller, ECHO, &request, &context);
	async_open(&other, &caller, ECHO, &empty, NULL);
	async_wait(&early, &caller);
	async_wait(&other, &caller);
	assert_failed(&early.result, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_NOT_EXECUTED,
		      "5242880 bytes");
	assert_ok(&other.result);
	caller_deinit(&caller);
	tester_stop(&tester);
}
END_TEST

struct giver {
	int listener;
	size_t size;
};

/* A server that does not care what its client can take. */
static void *give(void *data)
{
	struct giver *giver = data;
	Rpctest__Payload reply = payload_of(giver->size);
	int fd = raw_accept(giver->listener);
	Hawser__Frame *call;
	unsigned n = 0;

	raw_opened(fd);
	while ((call = raw_receive(fd)) && call->kind_case == HAWSER__FRAME__KIND_CALL) {
		/* Every other reply is too large. */
		raw_end(fd, call->call->id, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN,
			n++ % 2 ? &empty : &reply);
		hawser__frame__free_unpacked(call, NULL);
	}
	if (call)
		hawser__frame__free_unpacked(call, NULL);
	close(fd);
	return NULL;
}

START_TEST(reply_above_the_clients_limit_fails_alone)
{
	static const size_t sizes[] = {LIMIT + 70000, LIMIT + (1 << 20)};
	char directory[128] = "", address[ADDRESS_SIZE], size[32];
	struct giver giver = {.size = sizes[_i / STAMPS]};
	struct caller caller;
	struct result result;
	pthread_t thread;

	if (transport_of(_i) == OVER_UNIX)
		directory_make(directory, sizeof directory);
	giver.listener = raw_listen(transport_of(_i), directory, address);
	ck_assert_int_eq(pthread_create(&thread, NULL, give, &giver), 0);
	caller_init(&caller, address, is_async(_i % STAMPS), NULL);
	snprintf(size, sizeof size, "%zu", giver.size);
	/* All on the one connection that the server accepts. */
	for (int i = 0; i < 3; i++) {
		caller_call(&caller, ECHO, &empty, NULL, &result);
		assert_failed(&result, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_EXECUTED, size);
		ck_assert_ptr_nonnull(strstr(result.error.message, "4194304"));
		caller_call(&caller, ECHO, &empty, NULL, &result);
		assert_ok(&result);
	}
	caller_deinit(&caller);
	pthread_join(thread, NULL);
	close(giver.listener);
	if (directory[0]) {
		unlink(address + strlen("unix:"));
		directory_remove(directory);
	}
}
END_TEST

/* ---- calls ---- */

START_TEST(calls_in_flight_are_limited)
{
	struct hawser_server_options options = tester_options();
	struct hawser_server_stats stats = {.size = sizeof stats};
	struct async held[4], more = {.keeps = false};
	struct tester tester;
	struct caller caller, other;

	options.max_calls = 4;
	tester_start(&tester, transport_of(_i), &options);
	caller_init(&caller, tester.address, true, NULL);
	caller_init(&other, tester.address, false, NULL);
	memset(held, 0, sizeof held);
	for (int i = 0; i < 4; i++)
		async_open(&held[i], &caller, HOLD, &empty, NULL);
	async_open(&more, &caller, ECHO, &empty, NULL);
	async_wait(&more, &caller);
	assert_failed(&more.result, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_NOT_EXECUTED,
		      "4 calls are in flight on this connection, the limit is 4");
	hawser_server_get_stats(tester.server, &stats);
	ck_assert_uint_eq(stats.calls_in_flight, 4);
	ck_assert_uint_eq(stats.calls, 5);
	ck_assert_uint_eq(stats.calls_refused, 1);
	ck_assert_uint_eq(stats.calls_failed, 1);
	/* The limit is each connection's own. */
	caller_echo(&other);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(rpctest_tester_hold_reply(tester_held(&tester, i), &empty), 0);
	for (int i = 0; i < 4; i++) {
		async_wait(&held[i], &caller);
		assert_ok(&held[i].result);
	}
	caller_echo(&caller);
	caller_deinit(&caller);
	caller_deinit(&other);
	tester_stop(&tester);
}
END_TEST

/* ---- who does not take its replies ---- */

enum { CHUNK = 65000, CHUNKS = 2000 };

START_TEST(client_that_does_not_read_is_let_go)
{
	struct hawser_server_options options = tester_options();
	Rpctest__Payload request = number(CHUNK);
	struct tester tester;
	struct caller other;
	unsigned executed;
	int fd;

	lines_start(HAWSER_LOG_INFO);
	options.silence_timeout_ms = patient_ms(300);
	options.heartbeat_ms = patient_ms(50);
	tester_start(&tester, transport_of(_i), &options);
	caller_init(&other, tester.address, false, NULL);
	fd = raw_connect(tester.address);
	raw_open(fd);
	/* What the server does not take any more stays in the sockets. */
	for (uint64_t i = 0; i < CHUNKS; i++) {
		if (!raw_call(fd, 2 * i + 1, GROW, &request))
			break;
	}
	caller_echo(&other);
	lines_wait("no reply was taken for");
	executed = tester_executed(&tester);
	ck_assert_uint_gt(executed, 8);
	/* A mebibyte in the server, and what the sockets hold. */
	ck_assert_uint_lt((uint64_t)executed * CHUNK, 20 << 20);
	for (int i = 0; i < 10; i++)
		caller_echo(&other);
	caller_deinit(&other);
	close(fd);
	tester_stop(&tester);
	lines_stop();
}
END_TEST

START_TEST(client_that_reads_late_gets_everything)
{
	enum { LATE = 200 };
	Rpctest__Payload request = number(CHUNK);
	struct tester tester;
	struct caller other;
	int fd;

	tester_start(&tester, transport_of(_i), NULL);
	caller_init(&other, tester.address, false, NULL);
	fd = raw_connect(tester.address);
	raw_open(fd);
	for (uint64_t i = 0; i < LATE; i++)
		ck_assert(raw_call(fd, 2 * i + 1, GROW, &request));
	caller_echo(&other);
	ck_assert_uint_lt(tester_executed(&tester), LATE);
	for (uint64_t i = 0; i < LATE; i++)
		raw_expect_end(fd, 2 * i + 1, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	close(fd);
	caller_echo(&other);
	caller_deinit(&other);
	tester_stop(&tester);
}
END_TEST

struct taker {
	int listener, fd;
};

static void *take_nothing(void *data)
{
	struct taker *taker = data;

	taker->fd = raw_accept(taker->listener);
	raw_opened(taker->fd);
	return NULL;
}

/* The client's own bound: a server that does not read. */
START_TEST(unsent_requests_are_bounded)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	char directory[128] = "", address[ADDRESS_SIZE];
	Rpctest__Payload request = payload_of(3 << 20);
	struct taker taker;
	struct async calls[8];
	struct caller caller;
	struct result result;
	pthread_t thread;

	if (transport_of(_i) == OVER_UNIX)
		directory_make(directory, sizeof directory);
	taker.listener = raw_listen(transport_of(_i), directory, address);
	ck_assert_int_eq(pthread_create(&thread, NULL, take_nothing, &taker), 0);
	options.max_log_bytes = 1 << 20;
	caller_init(&caller, address, is_async(_i), &options);
	context.timeout_ms = patient_ms(300);
	memset(calls, 0, sizeof calls);
	if (caller.base) {
		unsigned n_refused = 0;

		for (int i = 0; i < 8; i++)
			async_open(&calls[i], &caller, ECHO, &request, &context);
		for (int i = 0; i < 8; i++) {
			async_wait(&calls[i], &caller);
			if (calls[i].result.status == HAWSER_RESOURCE_EXHAUSTED) {
				assert_failed(&calls[i].result, HAWSER_RESOURCE_EXHAUSTED,
					      HAWSER_OUTCOME_NOT_SENT, "the limit is 1048576");
				n_refused++;
			} else {
				ck_assert_int_eq(calls[i].result.status, HAWSER_DEADLINE_EXCEEDED);
			}
		}
		ck_assert_uint_ge(n_refused, 6);
	} else {
		/* Each is given up at its deadline, and what waits of it goes with it. */
		for (int i = 0; i < 8; i++) {
			struct hawser_client_stats stats = {.size = sizeof stats};

			caller_call(&caller, ECHO, &request, &context, &result);
			ck_assert_int_eq(result.status, HAWSER_DEADLINE_EXCEEDED);
			hawser_client_get_stats(caller.client, &stats);
			ck_assert_uint_lt(stats.log_bytes, 1 << 20);
		}
	}
	caller_deinit(&caller);
	pthread_join(thread, NULL);
	close(taker.fd);
	close(taker.listener);
	if (directory[0]) {
		unlink(address + strlen("unix:"));
		directory_remove(directory);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/limits");
	TCase *tcase = suite_case(suite, "messages");

	tcase_add_loop_test(tcase, request_may_have_four_mebibytes_and_no_more, 0, STAMPS);
	tcase_add_loop_test(tcase, reply_may_have_four_mebibytes_and_no_more, 0, STAMPS);
	tcase_add_loop_test(tcase, clients_own_limits_count, 0, STAMPS);
	tcase_add_loop_test(tcase, methods_own_limits_count, 0, STAMPS);
	tcase_add_loop_test(tcase, servers_limit_counts_for_a_client_with_a_larger_one, 0, STAMPS);
	tcase_add_loop_test(tcase, too_large_request_with_much_metadata_fails_alone, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, reply_above_the_clients_limit_fails_alone, 0, 2 * STAMPS);

	tcase = suite_case(suite, "calls");
	tcase_add_loop_test(tcase, calls_in_flight_are_limited, 0, TRANSPORTS);

	tcase = suite_case(suite, "unsent");
	tcase_add_loop_test(tcase, client_that_does_not_read_is_let_go, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, client_that_reads_late_gets_everything, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, unsent_requests_are_bounded, 0, STAMPS);
	return suite_run(suite);
}
