/* Ten million small messages through one stream: each is there once, in order, and right. */

#include "stream.h"
#include "support/suite.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 8 };

/* A blocking client writes each of its messages by itself; those on a base leave together. */
static uint64_t count(int stamp, enum method method)
{
	uint64_t all = 10000000;

	if (is_slow_build())
		all /= 100;
	if (method == CHAT || (method == GATHER && !is_async(stamp)))
		all /= 10;
	return suite_rounds(all);
}

START_TEST(millions_of_messages_come_in_order)
{
	enum method method = _i / STAMPS ? CHAT : GATHER;
	uint64_t n = count(_i % STAMPS, method);
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct stream stream = {.n = 0};
	struct pair pair;

	context.timeout_ms = HAWSER_NO_DEADLINE;
	pair_start(&pair, _i % STAMPS, NULL, NULL);
	stream_open(&stream, &pair.caller, method, NULL, &context);
	stream_pump(&stream, n, MOST);
	stream_finish(&stream, HAWSER_OK);
	if (method == GATHER) {
		ck_assert_str_eq(stream.text, "in order");
		ck_assert_uint_eq(stream.result.id, n);
	} else {
		ck_assert_uint_eq(stream.n, n);
	}
	stream_close(&stream);
	/* Nothing of it is left. */
	caller_echo(&pair.caller);
	turn_until(&pair.caller, server_stats(&pair.tester).log_bytes < 64 * 1024);
	pair_stop(&pair);
}
END_TEST

START_TEST(millions_of_replies_come_in_order)
{
	uint64_t n = count(_i, WATCH);
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct stream stream = {.n = 0};
	struct pair pair;

	request.number = (int64_t)n;
	context.timeout_ms = HAWSER_NO_DEADLINE;
	pair_start(&pair, _i, NULL, NULL);
	stream_open(&stream, &pair.caller, WATCH, &request, &context);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.n, n);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/streams/many");
	TCase *tcase = suite_case(suite, "many");

	tcase_set_timeout(tcase, 150);
	tcase_add_loop_test(tcase, millions_of_messages_come_in_order, 0, 2 * STAMPS);
	tcase_add_loop_test(tcase, millions_of_replies_come_in_order, 0, STAMPS);
	return suite_run(suite);
}
