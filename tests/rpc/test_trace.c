/* The trace and the log of what happens on connections. */

#include "caller.h"
#include "lines.h"
#include "raw.h"
#include "support/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *line(const char *part, const char *other)
{
	const char *found = lines_find(part, other, 0);

	ck_assert_msg(found, "no line has both \"%s\" and \"%s\"", part, other);
	return found;
}

/* Each frame is seen twice: as it goes, as it comes. */
START_TEST(both_ends_see_every_frame)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct result result;
	struct pair pair;

	lines_start_trace(0);
	pair_start(&pair, _i, NULL, NULL);
	request.id = 4711;
	request.text = (char *)"hello \"you\"";
	for (int i = 0; i < 2; i++) {
		caller_call(&pair.caller, ECHO, &request, NULL, &result);
		assert_ok(&result);
	}
	pair_stop(&pair);
	line(" -> ", " open ");
	line(" <- ", " open ");
	line(" -> ", " opened ");
	line(" <- ", " opened ");
	for (unsigned i = 0; i < 2; i++) {
		static const char *const frames[] = {
			" call #1 rpctest.Tester/Echo", " call #3 rpctest.Tester/Echo",
			" end #1 rpctest.Tester/Echo OK", " end #3 rpctest.Tester/Echo OK"};

		for (int frame = 0; frame < 4; frame++) {
			const char *found = line(frames[frame], i ? " <- " : " -> ");

			ck_assert_msg(strstr(found, "4711"), "%s", found);
			ck_assert_msg(strstr(found, "hello \\\"you\\\""), "%s", found);
			ck_assert_msg(strstr(found, pair.tester.address) ||
					      strstr(found, "tcp:127.0.0.1:") ||
					      strstr(found, "unix:pid="),
				      "%s", found);
		}
	}
	line(" -> ", " close ");
	lines_stop();
}
END_TEST

START_TEST(failures_and_deadlines_are_seen)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct result result;
	struct pair pair;

	lines_start_trace(0);
	pair_start(&pair, _i, NULL, NULL);
	request.number = HAWSER_NOT_FOUND;
	request.text = (char *)"no such ship";
	context.timeout_ms = 12345;
	caller_call(&pair.caller, FAIL, &request, &context, &result);
	pair_stop(&pair);
	for (int i = 0; i < 2; i++) {
		const char *found = line(" end #1 ", i ? " <- " : " -> ");

		ck_assert_msg(strstr(found, "NOT_FOUND"), "%s", found);
		ck_assert_msg(strstr(found, "no such ship"), "%s", found);
		found = line(" call #1 ", i ? " <- " : " -> ");
		ck_assert_msg(strstr(found, "timeout 12"), "%s", found);
	}
	lines_stop();
}
END_TEST

START_TEST(secrets_are_masked)
{
	struct hawser_metadata metadata[] = {{"authorization", "Bearer hunter2", 14},
					     {"colour", "blue", 4}};
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct result result;
	struct pair pair;

	lines_start_trace(0);
	options.credentials = "hunter2 is my name";
	options.credentials_length = 18;
	pair_start(&pair, _i, NULL, &options);
	request.text = (char *)"visible";
	request.password = (char *)"hunter2";
	context.metadata = metadata;
	context.n_metadata = 2;
	caller_call(&pair.caller, REFLECT, &request, &context, &result);
	assert_ok(&result);
	ck_assert(result.is_echo);
	pair_stop(&pair);
	ck_assert_uint_ge(lines_count("visible"), 4);
	ck_assert_uint_ge(lines_count("password"), 4);
	ck_assert_uint_ge(lines_count("authorization"), 4);
	ck_assert_msg(lines_count("hunter2") == 0, "%s", lines_find("hunter2", "", 0));
	/* Bytes are shown as base64. */
	ck_assert_uint_eq(lines_count("aHVudGVyM"), 0);
	ck_assert_uint_eq(lines_count("QmVhcmVyIGh1bnRlcjI"), 0);
	lines_stop();
}
END_TEST

START_TEST(long_messages_are_cut)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct result result;
	const char *found;
	struct pair pair;
	size_t length;

	request.text = malloc(60001);
	memset(request.text, 'x', 60000);
	request.text[60000] = 0;
	lines_start_trace(_i & 1 ? 100 : 0);
	pair_start(&pair, _i / 2, NULL, NULL);
	caller_call(&pair.caller, ECHO, &request, NULL, &result);
	assert_ok(&result);
	pair_stop(&pair);
	found = line(" call #1 ", "xxxxxxxx");
	length = strspn(strstr(found, "xxxxxxxx"), "x");
	ck_assert_uint_le(length, _i & 1 ? 100 : 512);
	ck_assert_uint_ge(length, _i & 1 ? 50 : 400);
	ck_assert_uint_lt(strlen(found), 2000);
	lines_stop();
	free(request.text);
}
END_TEST

/* Whatever comes is shown without harm, also when it is nothing that anybody knows. */
START_TEST(strange_frames_are_traced)
{
	static uint8_t head[40000];
	Hawser__Frame frame = HAWSER__FRAME__INIT;
	Hawser__Call call = HAWSER__CALL__INIT;
	struct tester tester;
	int fd;

	lines_start_trace(0);
	tester_start(&tester, transport_of(_i), NULL);
	fd = raw_connect(tester.address);
	raw_open(fd);
	call.id = 1;
	call.method = 12345;
	frame.kind_case = HAWSER__FRAME__KIND_CALL;
	frame.call = &call;
	frame.payload.data = (uint8_t *)"\xff\xff\xff\xff";
	frame.payload.len = 4;
	ck_assert(raw_send_frame(fd, &frame));
	raw_expect_end(fd, 1, HAWSER_UNIMPLEMENTED, HAWSER_OUTCOME_NOT_EXECUTED);
	call.id = 3;
	call.method = method_of(ECHO)->id;
	ck_assert(raw_send_frame(fd, &frame));
	raw_expect_end(fd, 3, HAWSER_INVALID_ARGUMENT, HAWSER_OUTCOME_NOT_EXECUTED);
	/* A call of 5 MiB, of which only the head comes. */
	memcpy(head, "\0\x50\0\x0e\x42\7\x08\5\x15\1\2\3\4\x7a\x80\x80\xc0\2", 18);
	ck_assert(raw_send(fd, head, sizeof head));
	raw_expect_end(fd, 5, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_NOT_EXECUTED);
	close(fd);
	tester_stop(&tester);
	line(" <- ", " call #1 method 0x00003039");
	line(" <- ", " call #3 rpctest.Tester/Echo");
	line(" <- ", " call #5 ");
	line(" -> ", " end #5 RESOURCE_EXHAUSTED");
	lines_stop();
}
END_TEST

START_TEST(untraced_connections_stay_so)
{
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	caller_echo(&pair.caller);
	lines_start_trace(0);
	caller_echo(&pair.caller);
	ck_assert_uint_eq(lines_count(""), 0);
	pair_stop(&pair);
	lines_stop();
}
END_TEST

START_TEST(log_names_the_connection)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	const char *peer = transport_of(_i) == OVER_TCP ? "tcp:127.0.0.1:" : "unix:pid=";
	struct pair pair;
	int fd;

	lines_start(HAWSER_LOG_DEBUG);
	options.name = "loud\nclient";
	pair_start(&pair, _i, NULL, &options);
	caller_echo(&pair.caller);
	line("listening on ", pair.tester.address);
	line("opened by", peer);
	/* Nobody else's bytes steer a terminal. */
	line("opened by", "loud?client");
	ck_assert_uint_eq(lines_count("\n"), 0);
	fd = raw_connect(pair.tester.address);
	ck_assert(raw_send(fd, "GET / HTTP/1.1\r\n\r\n", 18));
	raw_drain(fd);
	close(fd);
	line("HTTP", peer);
	pair_stop(&pair);
	lines_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/trace");
	TCase *tcase = suite_case(suite, "trace");

	tcase_add_loop_test(tcase, both_ends_see_every_frame, 0, STAMPS);
	tcase_add_loop_test(tcase, failures_and_deadlines_are_seen, 0, STAMPS);
	tcase_add_loop_test(tcase, secrets_are_masked, 0, STAMPS);
	tcase_add_loop_test(tcase, long_messages_are_cut, 0, 2 * STAMPS);
	tcase_add_loop_test(tcase, strange_frames_are_traced, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, untraced_connections_stay_so, 0, STAMPS);

	tcase = suite_case(suite, "log");
	tcase_add_loop_test(tcase, log_names_the_connection, 0, STAMPS);
	return suite_run(suite);
}
