/* Messages of any size up to the limits, of every kind of method. */

#include "stream.h"
#include "support/suite.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	KIBIBYTE = 1024,
	MEBIBYTE = 1 << 20,
	PIECE = 64 * KIBIBYTE,
	AROUND = 12,
	LIMIT = MEBIBYTE,
	ENOUGH = 256 * MEBIBYTE, /* the largest limit that there may be */
};

static uint8_t *bytes; /* what is in large messages */

static size_t largest(void)
{
	return (is_slow_build() || is_under_valgrind() ? 8 : 64) * MEBIBYTE;
}

static void setup_bytes(void)
{
	size_t length = largest();

	bytes = malloc(length);
	for (size_t i = 0; bytes && i < length; i += 8) {
		uint64_t word = (i + 8) * UINT64_C(0x9e3779b97f4a7c15);

		memcpy(bytes + i, &word, 8);
	}
}

static void teardown_bytes(void)
{
	free(bytes);
}

/* A message that is so long when it is packed, or one byte shorter where no such one exists. */
static Rpctest__Payload payload_of(size_t packed)
{
	Rpctest__Payload payload = RPCTEST__PAYLOAD__INIT;

	payload.data.data = bytes;
	payload.data.len = packed;
	while (payload.data.len && rpctest__payload__get_packed_size(&payload) > packed)
		payload.data.len--;
	return payload;
}

static Rpctest__Payload number(int64_t number)
{
	Rpctest__Payload payload = RPCTEST__PAYLOAD__INIT;

	payload.number = number;
	return payload;
}

static void start_with_limits(struct pair *pair, int stamp, size_t limit)
{
	struct hawser_client_options client = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_server_options server = tester_options();

	server.max_request_bytes = server.max_reply_bytes = limit;
	client.max_request_bytes = client.max_reply_bytes = limit;
	pair_start(pair, stamp, &server, &client);
	caller_echo(&pair->caller);
}

/* ---- sizes ---- */

START_TEST(sizes_around_a_piece_come_whole)
{
	struct result result;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	for (size_t pieces = 0; pieces <= 3; pieces++)
		for (size_t off = 0; off < 2 * AROUND; off++) {
			size_t size = pieces * PIECE + off - (pieces ? AROUND : 0);
			Rpctest__Payload request = payload_of(size);

			caller_call(&pair.caller, ECHO, &request, NULL, &result);
			assert_ok(&result);
			ck_assert(result.is_echo);
		}
	pair_stop(&pair);
}
END_TEST

START_TEST(large_messages_go_both_ways)
{
	struct result result;
	struct pair pair;

	start_with_limits(&pair, _i, ENOUGH);
	for (size_t size = MEBIBYTE; size <= largest(); size *= 4) {
		Rpctest__Payload request = payload_of(size), order = number((int64_t)size - 5);

		caller_call(&pair.caller, ECHO, &request, NULL, &result);
		assert_ok(&result);
		ck_assert(result.is_echo);
		caller_call(&pair.caller, GROW, &order, NULL, &result);
		assert_ok(&result);
		ck_assert_uint_eq(result.data_length, size - 5);
	}
	pair_stop(&pair);
}
END_TEST

/* Sizes that a stream may have one behind the other. */
static size_t size_in_stream(uint64_t n)
{
	static const size_t sizes[] = {0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * MEBIBYTE, 10};
	size_t count = sizeof sizes / sizeof *sizes;

	return n % (count + 1) < count ? sizes[n % (count + 1)] : largest() / 4;
}

static void check_size(struct stream *stream, const Rpctest__Payload *message)
{
	Rpctest__Payload expected = payload_of(size_in_stream(stream->n - 1));

	if (message->data.len != expected.data.len ||
	    (message->data.len && memcmp(message->data.data, bytes, message->data.len) != 0))
		stream->n_wrong++;
}

static void *send_sizes(void *data)
{
	struct stream *stream = data;

	for (uint64_t i = 0; i < 16 && stream->last_send == 0; i++) {
		Rpctest__Payload message = payload_of(size_in_stream(i));

		stream_send(stream, &message);
	}
	if (stream->last_send == 0)
		stream->last_send = hawser_call_end(stream->call);
	return NULL;
}

START_TEST(large_messages_stream_both_ways)
{
	struct stream chat = {.then = check_size}, gather = {.n = 0};
	uint64_t expected = 0;
	struct pair pair;
	pthread_t sender;

	start_with_limits(&pair, _i, ENOUGH);
	stream_open(&chat, &pair.caller, CHAT, NULL, NULL);
	/* A blocking client has to read meanwhile: the handler waits for that. */
	if (!pair.caller.base)
		ck_assert_int_eq(pthread_create(&sender, NULL, send_sizes, &chat), 0);
	else
		send_sizes(&chat);
	stream_finish(&chat, HAWSER_OK);
	if (!pair.caller.base)
		pthread_join(sender, NULL);
	ck_assert_int_eq(chat.last_send, 0);
	ck_assert_uint_eq(chat.n, 16);
	stream_close(&chat);

	stream_open(&gather, &pair.caller, GATHER, NULL, NULL);
	send_sizes(&gather);
	stream_finish(&gather, HAWSER_OK);
	for (uint64_t i = 0; i < 16; i++)
		expected += payload_of(size_in_stream(i)).data.len;
	ck_assert_uint_eq((uint64_t)gather.result.number, expected);
	stream_close(&gather);
	pair_stop(&pair);
}
END_TEST

START_TEST(large_replies_stream)
{
	Rpctest__Payload request = payload_of(3 * MEBIBYTE);
	struct stream stream = {.n = 0};
	struct pair pair;

	request.number = 10;
	start_with_limits(&pair, _i, ENOUGH);
	stream_open(&stream, &pair.caller, WATCH, &request, NULL);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.n, 10);
	ck_assert_uint_eq(stream.bytes, 10 * request.data.len);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

/* A window smaller than a piece lets one piece pass at a time. */
START_TEST(small_windows_let_large_messages_pass)
{
	Rpctest__Payload request = payload_of(3 * MEBIBYTE);
	struct hawser_client_options client = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_server_options server = tester_options();
	struct stream chat = {.then = check_size};
	struct result result;
	struct pair pair;
	pthread_t sender;

	server.max_request_bytes = server.max_reply_bytes = ENOUGH;
	client.max_request_bytes = client.max_reply_bytes = ENOUGH;
	server.stream_window_bytes = server.max_stream_window_bytes = 1000;
	client.stream_window_bytes = client.max_stream_window_bytes = 1000;
	pair_start(&pair, _i, &server, &client);
	caller_call(&pair.caller, ECHO, &request, NULL, &result);
	assert_ok(&result);
	ck_assert(result.is_echo);
	stream_open(&chat, &pair.caller, CHAT, NULL, NULL);
	if (!pair.caller.base)
		ck_assert_int_eq(pthread_create(&sender, NULL, send_sizes, &chat), 0);
	else
		send_sizes(&chat);
	stream_finish(&chat, HAWSER_OK);
	if (!pair.caller.base)
		pthread_join(sender, NULL);
	ck_assert_uint_eq(chat.n, 16);
	stream_close(&chat);
	pair_stop(&pair);
}
END_TEST

/* ---- limits ---- */

static uint64_t count_calls(struct tester *tester)
{
	return server_stats(tester).calls;
}

#define assert_numbers(result)                                                              \
	do {                                                                                \
		ck_assert_ptr_nonnull(strstr((result)->error.message, "1048577"));          \
		ck_assert_ptr_nonnull(strstr((result)->error.message, "limit is 1048576")); \
	} while (0)

START_TEST(request_above_the_limit_is_not_sent)
{
	Rpctest__Payload largest = payload_of(LIMIT), larger = payload_of(LIMIT + 1);
	struct result result;
	struct pair pair;
	uint64_t calls;

	start_with_limits(&pair, _i, LIMIT);
	caller_call(&pair.caller, ECHO, &largest, NULL, &result);
	assert_ok(&result);
	ck_assert(result.is_echo);
	calls = count_calls(&pair.tester);
	caller_call(&pair.caller, ECHO, &larger, NULL, &result);
	assert_failed(&result, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_NOT_SENT, "request");
	assert_numbers(&result);
	caller_echo(&pair.caller);
	ck_assert_uint_eq(count_calls(&pair.tester), calls + 1);
	pair_stop(&pair);
}
END_TEST

START_TEST(reply_above_the_limit_is_not_sent)
{
	Rpctest__Payload largest = number(LIMIT - 4), larger = number(LIMIT - 3);
	struct result result;
	struct pair pair;

	start_with_limits(&pair, _i, LIMIT);
	caller_call(&pair.caller, GROW, &largest, NULL, &result);
	assert_ok(&result);
	ck_assert_uint_eq(result.data_length, LIMIT - 4);
	caller_call(&pair.caller, GROW, &larger, NULL, &result);
	assert_failed(&result, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_EXECUTED, "reply");
	assert_numbers(&result);
	caller_echo(&pair.caller);
	pair_stop(&pair);
}
END_TEST

static void ignore(struct stream *stream, const Rpctest__Payload *message)
{
	(void)stream;
	(void)message;
}

START_TEST(message_above_the_limit_ends_its_call_at_the_sender)
{
	enum method method = _i / BOTH_WAYS ? CHAT : GATHER;
	Rpctest__Payload largest = payload_of(LIMIT), larger = payload_of(LIMIT + 1);
	struct stream stream = {.then = ignore};
	struct pair pair;

	start_with_limits(&pair, _i % BOTH_WAYS, LIMIT);
	stream_open(&stream, &pair.caller, method, NULL, NULL);
	ck_assert_int_eq(stream_send(&stream, &largest), 0);
	turn_until(&pair.caller, atomic_load(&pair.tester.n_requests) == 1);
	ck_assert_int_eq(stream_send(&stream, &larger), -EMSGSIZE);
	ck_assert_int_eq(stream_send(&stream, &larger), -EPIPE);
	stream_finish(&stream, HAWSER_RESOURCE_EXHAUSTED);
	assert_numbers(&stream.result);
	stream_close(&stream);
	caller_echo(&pair.caller);
	tester_wait_cancelled(&pair.tester, 1);
	tester_wait_streamed(&pair.tester, 1);
	ck_assert_uint_eq(atomic_load(&pair.tester.n_requests), 1);
	pair_stop(&pair);
}
END_TEST

START_TEST(streamed_reply_above_the_limit_fails_the_call)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct stream stream = {.n = 0};
	struct pair pair;

	/* Two bytes for the message's number. */
	options.max_reply_bytes = LIMIT;
	request.number = 3;
	request.data.data = bytes;
	request.data.len = LIMIT - 4 - 2;
	pair_start(&pair, _i, NULL, &options);
	stream_open(&stream, &pair.caller, WATCH, &request, NULL);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.n, 3);
	stream_close(&stream);
	request.data.len++;
	stream = (struct stream){.n = 0};
	stream_open(&stream, &pair.caller, WATCH, &request, NULL);
	stream_finish(&stream, HAWSER_RESOURCE_EXHAUSTED);
	ck_assert_uint_eq(stream.n, 0);
	assert_failed(&stream.result, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_EXECUTED, "");
	assert_numbers(&stream.result);
	stream_close(&stream);
	caller_echo(&pair.caller);
	ck_assert_uint_eq(tester_streamed(&pair.tester), 2);
	pair_stop(&pair);
}
END_TEST

/* The client knows the server's limit, too. */
START_TEST(message_above_the_servers_limit_ends_its_call_at_the_sender)
{
	struct hawser_server_options options = tester_options();
	Rpctest__Payload larger = payload_of(LIMIT + 1);
	struct stream stream = {.n = 0};
	struct pair pair;

	options.max_request_bytes = LIMIT;
	pair_start(&pair, _i, &options, NULL);
	caller_echo(&pair.caller);
	stream_open(&stream, &pair.caller, GATHER, NULL, NULL);
	ck_assert_int_eq(stream_send(&stream, &larger), -EMSGSIZE);
	stream_finish(&stream, HAWSER_RESOURCE_EXHAUSTED);
	assert_numbers(&stream.result);
	stream_close(&stream);
	caller_echo(&pair.caller);
	ck_assert_uint_eq(server_stats(&pair.tester).connections_accepted, 1);
	pair_stop(&pair);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/large");
	TCase *tcase = suite_case(suite, "sizes");

	tcase_add_unchecked_fixture(tcase, setup_bytes, teardown_bytes);
	tcase_add_loop_test(tcase, sizes_around_a_piece_come_whole, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, large_messages_go_both_ways, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, large_messages_stream_both_ways, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, large_replies_stream, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, small_windows_let_large_messages_pass, 0, BOTH_WAYS);

	tcase = suite_case(suite, "limits");
	tcase_add_unchecked_fixture(tcase, setup_bytes, teardown_bytes);
	tcase_add_loop_test(tcase, request_above_the_limit_is_not_sent, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, reply_above_the_limit_is_not_sent, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, message_above_the_limit_ends_its_call_at_the_sender, 0,
			    2 * BOTH_WAYS);
	tcase_add_loop_test(tcase, streamed_reply_above_the_limit_fails_the_call, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, message_above_the_servers_limit_ends_its_call_at_the_sender, 0,
			    BOTH_WAYS);
	return suite_run(suite);
}
