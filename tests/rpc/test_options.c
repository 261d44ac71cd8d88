/* Options and arguments that are wrong: an error and a sentence, never a crash. */

#include "caller.h"
#include "support/suite.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;
static char long_name[130];

static void assert_says(const struct hawser_error *error, const char *part)
{
	ck_assert_int_eq(error->status, HAWSER_INVALID_ARGUMENT);
	ck_assert_int_eq(error->code, -EINVAL);
	ck_assert_msg(strstr(error->message, part), "\"%s\" does not say \"%s\"", error->message,
		      part);
}

static void refuse_server(const struct hawser_server_options *options, const char *part)
{
	struct hawser_error error = {.status = HAWSER_OK};

	errno = 0;
	ck_assert_ptr_null(hawser_server_new(options, &error));
	ck_assert_int_eq(errno, EINVAL);
	assert_says(&error, part);
	ck_assert_ptr_null(hawser_server_new(options, NULL));
}

START_TEST(wrong_server_options_are_named)
{
	struct hawser_server_options options = {.size = 0};
	struct hawser_server *server;

	refuse_server(&options, "HAWSER_SERVER_OPTIONS_INIT");
	options.size = SIZE_MAX;
	refuse_server(&options, "HAWSER_SERVER_OPTIONS_INIT");
	options = tester_options();
	options.loops = 257;
	refuse_server(&options, "257 loops");
	options.base = event_base_new();
	options.loops = 2;
	refuse_server(&options, "2 loops");
	event_base_free(options.base);
	options = tester_options();
	options.max_request_bytes = (256 << 20) + 1;
	refuse_server(&options, "268435456");
	options = tester_options();
	options.max_reply_bytes = SIZE_MAX;
	refuse_server(&options, "268435456");
	options = tester_options();
	options.unix_mode = 01777;
	refuse_server(&options, "unix_mode");
	options = tester_options();
	options.name = long_name;
	refuse_server(&options, "name");
	options = tester_options();
	options.heartbeat_ms = options.silence_timeout_ms = 100;
	refuse_server(&options, "silence_timeout_ms 100");
	options = tester_options();
	options.max_request_bytes = options.max_reply_bytes = 256 << 20;
	options.unix_mode = 0777;
	server = hawser_server_new(&options, NULL);
	ck_assert_ptr_nonnull(server);
	hawser_server_free(server);
}
END_TEST

static void refuse_client(const struct hawser_client_options *options, const char *part)
{
	struct hawser_error error = {.status = HAWSER_OK};

	errno = 0;
	ck_assert_ptr_null(hawser_client_new("tcp:127.0.0.1:7", options, &error));
	ck_assert_int_eq(errno, EINVAL);
	assert_says(&error, part);
	ck_assert_ptr_null(hawser_client_new("tcp:127.0.0.1:7", options, NULL));
}

START_TEST(wrong_client_options_are_named)
{
	struct hawser_client_options options = {.size = 0}, good = HAWSER_CLIENT_OPTIONS_INIT;
	static uint8_t credentials[2049];
	struct hawser_client *client;

	refuse_client(&options, "HAWSER_CLIENT_OPTIONS_INIT");
	options.size = SIZE_MAX;
	refuse_client(&options, "HAWSER_CLIENT_OPTIONS_INIT");
	options = good;
	options.max_request_bytes = (256 << 20) + 1;
	refuse_client(&options, "268435456");
	options = good;
	options.max_reply_bytes = SIZE_MAX;
	refuse_client(&options, "268435456");
	options = good;
	options.credentials = credentials;
	options.credentials_length = sizeof credentials;
	refuse_client(&options, "2049");
	options.credentials = NULL;
	options.credentials_length = 5;
	refuse_client(&options, "credentials");
	options = good;
	options.name = long_name;
	refuse_client(&options, "name");
	options = good;
	options.heartbeat_ms = options.silence_timeout_ms = 100;
	refuse_client(&options, "silence_timeout_ms 100");
	options = good;
	options.stream_window_bytes = (1 << 30) + 1;
	refuse_client(&options, "stream_window_bytes");
	options = good;
	options.retry_budget = 1000001;
	refuse_client(&options, "retry_budget");
	options = good;
	options.credentials = credentials;
	options.credentials_length = 2048;
	client = hawser_client_new("tcp:127.0.0.1:7", &options, NULL);
	ck_assert_ptr_nonnull(client);
	hawser_client_free(client);
}
END_TEST

/* The largest of everything still fits into an open. */
START_TEST(longest_open_is_taken)
{
	static uint8_t credentials[2048];
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	char name[129];
	struct pair pair;

	memset(name, 'n', 128);
	name[128] = 0;
	memset(credentials, 0xff, sizeof credentials);
	options.name = name;
	options.credentials = credentials;
	options.credentials_length = sizeof credentials;
	pair_start(&pair, _i, NULL, &options);
	caller_echo(&pair.caller);
	pair_stop(&pair);
}
END_TEST

START_TEST(wrong_addresses_are_named)
{
	static const char *const wrong[] = {"",
					    "tcp:",
					    "tcp:localhost",
					    "tcp:localhost:",
					    "tcp:localhost:http",
					    "tcp:localhost:65536",
					    "tcp:localhost:-1",
					    "tcp::7",
					    "tcp:::1:7",
					    "tcp:[::1:7",
					    "tcp:[::1]",
					    "unix:",
					    "udp:localhost:7",
					    "localhost:7",
					    "/run/socket",
					    NULL};
	struct hawser_server *server = hawser_server_new(NULL, NULL);
	struct hawser_error error;
	char path[200] = "unix:/";

	memset(path + 6, 'p', sizeof path - 7);
	for (size_t i = 0; i <= sizeof wrong / sizeof *wrong; i++) {
		const char *address = i < sizeof wrong / sizeof *wrong ? wrong[i] : path;

		memset(&error, 0, sizeof error);
		ck_assert_ptr_null(hawser_client_new(address, NULL, &error));
		assert_says(&error, "tcp:HOST:PORT or unix:PATH");
		memset(&error, 0, sizeof error);
		ck_assert_int_eq(hawser_server_listen(server, address, &error), -EINVAL);
		assert_says(&error, "tcp:HOST:PORT or unix:PATH");
		ck_assert_int_eq(hawser_server_listen(server, address, NULL), -EINVAL);
	}
	hawser_server_free(server);
}
END_TEST

START_TEST(null_is_an_error_not_a_crash)
{
	struct hawser_server_stats stats = {.size = sizeof stats};
	struct hawser_error error;
	ProtobufCMessage *reply = NULL;
	char buffer[8];
	size_t n = 5;

	ck_assert_int_eq(hawser_server_listen(NULL, "tcp:127.0.0.1:0", &error), -EINVAL);
	ck_assert_ptr_null(hawser_server_address(NULL, 0));
	ck_assert_int_eq(hawser_server_run(NULL, &error), -EINVAL);
	ck_assert_int_eq(hawser_server_run(NULL, NULL), -EINVAL);
	hawser_server_drain(NULL);
	hawser_server_stop(NULL);
	hawser_server_get_stats(NULL, &stats);
	hawser_server_free(NULL);

	hawser_client_free(NULL);
	ck_assert_int_eq(hawser_client_connect(NULL, &error), -EINVAL);
	ck_assert_int_eq(hawser_client_ping(NULL, NULL, &error), -EINVAL);
	ck_assert_int_eq(hawser_client_shutdown(NULL, NULL, &error), -EINVAL);
	ck_assert_str_eq(hawser_client_server_name(NULL, buffer, sizeof buffer), "");
	ck_assert_str_eq(hawser_client_server_name(NULL, NULL, 0), "");
	ck_assert_int_eq(hawser_client_call(NULL, method_of(ECHO), &empty.base, &reply, NULL),
			 HAWSER_INVALID_ARGUMENT);
	errno = 0;
	ck_assert_ptr_null(hawser_client_open(NULL, method_of(ECHO), &empty.base,
					      (hawser_any_fn *)(void (*)(void))abort, NULL, NULL));
	ck_assert_int_eq(errno, EINVAL);

	ck_assert_ptr_null(hawser_call_method(NULL));
	ck_assert_int_eq(hawser_call_time_left_ms(NULL), 0);
	ck_assert_ptr_null(hawser_call_metadata(NULL, &n));
	ck_assert_uint_eq(n, 0);
	ck_assert_ptr_null(hawser_call_metadata(NULL, NULL));
	ck_assert_ptr_null(hawser_call_details(NULL, &n));
	ck_assert_ptr_null(hawser_call_find_metadata(NULL, "k"));
	ck_assert_int_eq(hawser_call_send(NULL, method_of(ECHO), &empty.base), -EINVAL);
	ck_assert_int_lt(hawser_call_fail(NULL, HAWSER_ABORTED, NULL), 0);
	ck_assert_int_lt(hawser_call_fail_method(NULL, method_of(ECHO), HAWSER_ABORTED, NULL), 0);
	ck_assert_int_lt(hawser_call_add_detail(NULL, &empty.base), 0);
	ck_assert_int_lt(hawser_call_add_metadata(NULL, "k", "v", 1), 0);
	ck_assert(hawser_call_cancelled(NULL));
	ck_assert_int_lt(hawser_call_on_cancel(NULL, NULL, NULL), 0);
	ck_assert_str_eq(hawser_call_peer(NULL, buffer, sizeof buffer), "");
	ck_assert_str_eq(hawser_call_peer(NULL, NULL, 0), "");
	ck_assert_int_ne(hawser_call_error(NULL)->status, HAWSER_OK);
	ck_assert_int_lt(hawser_call_cancel(NULL), 0);
	hawser_call_free(NULL);
	ck_assert_int_lt(hawser_call_end(NULL), 0);
	hawser_call_no_handler(NULL);
	hawser_context_clear(NULL);
	hawser_context_cancel(NULL);
}
END_TEST

START_TEST(null_arguments_of_a_call_are_refused)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT, sizeless = {.size = 0};
	Rpctest__Other other = RPCTEST__OTHER__INIT;
	hawser_any_fn *callback = (hawser_any_fn *)(void (*)(void))abort;
	ProtobufCMessage *reply = NULL;
	struct hawser_client *client;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	client = pair.caller.client;
	if (pair.caller.base) {
		ck_assert_ptr_null(
			hawser_client_open(client, NULL, &empty.base, callback, NULL, NULL));
		ck_assert_ptr_null(
			hawser_client_open(client, method_of(ECHO), NULL, callback, NULL, NULL));
		ck_assert_ptr_null(
			hawser_client_open(client, method_of(ECHO), &empty.base, NULL, NULL, NULL));
		ck_assert_ptr_null(hawser_client_open(client, method_of(ECHO), &other.base,
						      callback, NULL, NULL));
		errno = 0;
		ck_assert_ptr_null(hawser_client_open(client, method_of(ECHO), &empty.base,
						      callback, NULL, &sizeless));
		ck_assert_int_eq(errno, EINVAL);
	} else {
		ck_assert_int_eq(hawser_client_call(client, NULL, &empty.base, &reply, &context),
				 HAWSER_INVALID_ARGUMENT);
		ck_assert_int_eq(context.error.status, HAWSER_INVALID_ARGUMENT);
		ck_assert_int_eq(hawser_client_call(client, method_of(ECHO), NULL, &reply, NULL),
				 HAWSER_INVALID_ARGUMENT);
		ck_assert_int_eq(
			hawser_client_call(client, method_of(ECHO), &empty.base, NULL, &context),
			HAWSER_INVALID_ARGUMENT);
		ck_assert_int_eq(
			hawser_client_call(client, method_of(ECHO), &other.base, &reply, &context),
			HAWSER_INVALID_ARGUMENT);
		ck_assert_msg(strstr(context.error.message, "rpctest.Other") &&
				      strstr(context.error.message, "rpctest.Payload"),
			      "%s", context.error.message);
		ck_assert_int_eq(
			hawser_client_call(client, method_of(ECHO), &empty.base, &reply, &sizeless),
			HAWSER_INVALID_ARGUMENT);
		ck_assert_ptr_null(reply);
	}
	caller_echo(&pair.caller);
	pair_stop(&pair);
}
END_TEST

START_TEST(stub_of_the_other_kind_is_refused)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct hawser_error error = {.status = HAWSER_OK};
	Rpctest__Payload *reply = NULL;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	if (pair.caller.base) {
		ck_assert_int_eq(rpctest_tester_echo(pair.caller.client, &empty, &reply, &context),
				 HAWSER_FAILED_PRECONDITION);
		ck_assert_int_eq(context.error.status, HAWSER_FAILED_PRECONDITION);
		ck_assert_int_eq(context.error.outcome, HAWSER_OUTCOME_NOT_SENT);
		ck_assert_msg(strstr(context.error.message, "event_base") &&
				      strstr(context.error.message, "_async"),
			      "%s", context.error.message);
		ck_assert_int_eq(rpctest_tester_echo(pair.caller.client, &empty, &reply, NULL),
				 HAWSER_FAILED_PRECONDITION);
		ck_assert_int_eq(hawser_client_ping(pair.caller.client, NULL, &error), -EINVAL);
		ck_assert_int_eq(hawser_client_shutdown(pair.caller.client, NULL, &error), -EINVAL);
		ck_assert_msg(strstr(error.message, "event_base"), "%s", error.message);
	} else {
		errno = 0;
		ck_assert_ptr_null(rpctest_tester_echo_async(
			pair.caller.client, &empty, (rpctest_tester_echo_cb *)(void (*)(void))abort,
			NULL, NULL));
		ck_assert_int_eq(errno, EINVAL);
	}
	caller_echo(&pair.caller);
	pair_stop(&pair);
}
END_TEST

START_TEST(run_without_a_listener_is_refused)
{
	struct hawser_server *server = hawser_server_new(NULL, NULL);
	struct hawser_error error;

	ck_assert_int_eq(hawser_server_run(server, &error), -EINVAL);
	assert_says(&error, "hawser_server_listen()");
	hawser_server_free(server);
}
END_TEST

START_TEST(stats_of_another_size_are_left_alone)
{
	struct hawser_server_stats stats;
	struct tester tester;

	tester_start(&tester, OVER_TCP, NULL);
	memset(&stats, 0x55, sizeof stats);
	stats.size = 0;
	hawser_server_get_stats(tester.server, &stats);
	ck_assert_uint_eq(stats.connections, UINT64_C(0x5555555555555555));
	/* An older program's struct is shorter. */
	stats.size = offsetof(struct hawser_server_stats, connections_accepted);
	hawser_server_get_stats(tester.server, &stats);
	ck_assert_uint_eq(stats.connections, 0);
	ck_assert_uint_eq(stats.connections_accepted, UINT64_C(0x5555555555555555));
	hawser_server_get_stats(tester.server, NULL);
	tester_stop(&tester);
}
END_TEST

/* A program that was compiled when there were no sessions has them all the same. */
START_TEST(shorter_options_have_the_defaults)
{
	struct hawser_client_options client = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_server_options server = tester_options();
	struct hawser_server_stats stats = {.size = sizeof stats};
	struct pair pair;

	server.size = offsetof(struct hawser_server_options, no_sessions);
	client.size = offsetof(struct hawser_client_options, no_session);
	server.no_sessions = client.no_session = true;
	pair_start(&pair, _i, &server, &client);
	caller_echo(&pair.caller);
	hawser_server_get_stats(pair.tester.server, &stats);
	ck_assert_uint_eq(stats.sessions, 1);
	pair_stop(&pair);
}
END_TEST

START_TEST(clients_stats_of_another_size_are_left_alone)
{
	struct hawser_client_stats stats;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	caller_echo(&pair.caller);
	memset(&stats, 0x55, sizeof stats);
	stats.size = 0;
	hawser_client_get_stats(pair.caller.client, &stats);
	ck_assert_uint_eq(stats.connections, UINT64_C(0x5555555555555555));
	stats.size = offsetof(struct hawser_client_stats, sessions_resumed);
	hawser_client_get_stats(pair.caller.client, &stats);
	ck_assert_uint_eq(stats.connections, 1);
	ck_assert_uint_eq(stats.sessions_resumed, UINT64_C(0x5555555555555555));
	hawser_client_get_stats(pair.caller.client, NULL);
	stats.size = sizeof stats;
	hawser_client_get_stats(NULL, &stats);
	ck_assert_uint_eq(stats.connections, 1);
	pair_stop(&pair);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/options");
	TCase *tcase = suite_case(suite, "options");

	memset(long_name, 'n', sizeof long_name - 1);
	tcase_add_test(tcase, wrong_server_options_are_named);
	tcase_add_test(tcase, wrong_client_options_are_named);
	tcase_add_loop_test(tcase, longest_open_is_taken, 0, STAMPS);
	tcase_add_test(tcase, wrong_addresses_are_named);
	tcase_add_test(tcase, run_without_a_listener_is_refused);

	tcase = suite_case(suite, "arguments");
	tcase_add_test(tcase, null_is_an_error_not_a_crash);
	tcase_add_loop_test(tcase, null_arguments_of_a_call_are_refused, 0, STAMPS);
	tcase_add_loop_test(tcase, stub_of_the_other_kind_is_refused, 0, STAMPS);
	tcase_add_test(tcase, stats_of_another_size_are_left_alone);
	tcase_add_loop_test(tcase, shorter_options_have_the_defaults, 0, STAMPS);
	tcase_add_loop_test(tcase, clients_stats_of_another_size_are_left_alone, 0, STAMPS);
	return suite_run(suite);
}
