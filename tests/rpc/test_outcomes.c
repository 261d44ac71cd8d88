/* What a failed call says: its status, whether it ran, and both sides' view of what
 * they do not agree on. */

#include "caller.h"
#include "lines.h"
#include "raw.h"
#include "support/suite.h"
#include "variant_client.hawser.h"
#include "variant_server.hawser.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

/* ---- not sent ---- */

START_TEST(nobody_listens)
{
	char directory[128] = "", address[ADDRESS_SIZE];
	struct caller caller;
	struct result result;
	int listener;

	/* An address that was free a moment ago. */
	if (transport_of(_i) == OVER_UNIX)
		directory_make(directory, sizeof directory);
	listener = raw_listen(transport_of(_i), directory, address);
	close(listener);
	caller_init(&caller, address, is_async(_i), NULL);
	for (int i = 0; i < 2; i++) {
		caller_call(&caller, ECHO, &empty, NULL, &result);
		assert_failed(&result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_NOT_SENT,
			      "connection refused");
		ck_assert_ptr_nonnull(strstr(result.error.message, address));
	}
	if (directory[0]) {
		unlink(address + strlen("unix:"));
		caller_call(&caller, ECHO, &empty, NULL, &result);
		assert_failed(&result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_NOT_SENT,
			      "no such file or directory");
		directory_remove(directory);
	}
	caller_deinit(&caller);
}
END_TEST

START_TEST(name_is_unknown)
{
	struct caller caller;
	struct result result;

	caller_init(&caller, "tcp:no-such-host.invalid:7", is_async(_i), NULL);
	caller_call(&caller, ECHO, &empty, NULL, &result);
	assert_failed(&result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_NOT_SENT,
		      "resolve tcp:no-such-host.invalid:7: ");
	caller_deinit(&caller);
}
END_TEST

START_TEST(server_that_does_not_answer_open_times_out)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	char directory[128] = "", address[ADDRESS_SIZE];
	struct caller caller;
	struct result result;
	int listener;

	options.connect_timeout_ms = 50;
	if (transport_of(_i) == OVER_UNIX)
		directory_make(directory, sizeof directory);
	listener = raw_listen(transport_of(_i), directory, address);
	caller_init(&caller, address, is_async(_i), &options);
	caller_call(&caller, ECHO, &empty, NULL, &result);
	assert_failed(&result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_NOT_SENT, "no answer");
	caller_deinit(&caller);
	close(listener);
	if (directory[0]) {
		unlink(address + strlen("unix:"));
		directory_remove(directory);
	}
}
END_TEST

START_TEST(deadline_ends_a_call_that_waits_for_the_connection)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	char directory[128] = "", address[ADDRESS_SIZE];
	struct caller caller;
	struct result result;
	int listener;

	context.timeout_ms = 50;
	if (transport_of(_i) == OVER_UNIX)
		directory_make(directory, sizeof directory);
	listener = raw_listen(transport_of(_i), directory, address);
	caller_init(&caller, address, is_async(_i), NULL);
	caller_call(&caller, ECHO, &empty, &context, &result);
	ck_assert_int_eq(result.status, HAWSER_DEADLINE_EXCEEDED);
	ck_assert_int_eq(result.error.status, HAWSER_DEADLINE_EXCEEDED);
	ck_assert_int_eq(result.error.outcome, HAWSER_OUTCOME_NOT_SENT);
	caller_deinit(&caller);
	close(listener);
	if (directory[0]) {
		unlink(address + strlen("unix:"));
		directory_remove(directory);
	}
}
END_TEST

/* "Not sent" must be the truth: a call that was cancelled before its connection opened
 * does not run when it opens after all. */
START_TEST(call_not_sent_never_runs)
{
	struct async cancelled = {.keeps = true}, other = {.keeps = false};
	struct tester tester;
	struct caller caller;

	tester_start(&tester, transport_of(_i), NULL);
	caller_init(&caller, tester.address, true, NULL);
	async_open(&cancelled, &caller, ECHO, &empty, NULL);
	ck_assert_int_eq(hawser_call_cancel(cancelled.call), 0);
	ck_assert_uint_eq(cancelled.result.n_ends, 1);
	ck_assert_int_eq(cancelled.result.status, HAWSER_CANCELLED);
	async_open(&other, &caller, ECHO, &empty, NULL);
	async_wait(&other, &caller);
	assert_ok(&other.result);
	if (cancelled.result.error.outcome == HAWSER_OUTCOME_NOT_SENT)
		ck_assert_uint_eq(tester_executed(&tester), 1);
	else
		ck_assert_int_eq(cancelled.result.error.outcome, HAWSER_OUTCOME_UNKNOWN);
	hawser_call_free(cancelled.call);
	caller_deinit(&caller);
	tester_stop(&tester);
}
END_TEST

/* ---- not executed ---- */

START_TEST(handler_is_missing)
{
	struct result result;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	caller_call(&pair.caller, MISSING, &empty, NULL, &result);
	assert_failed(&result, HAWSER_UNIMPLEMENTED, HAWSER_OUTCOME_NOT_EXECUTED,
		      "rpctest.Tester/Missing");
	caller_echo(&pair.caller);
	pair_stop(&pair);
}
END_TEST

/* A method that only the client has, or that the client has otherwise. */
static struct hawser_method altered(enum method base, const char *name,
				    const ProtobufCMessageDescriptor *reply)
{
	struct hawser_method method = *method_of(base);

	if (name) {
		method.name = name;
		method.id = hawser_method_id(name);
	}
	if (reply)
		method.reply = reply;
	return method;
}

struct raw_result {
	unsigned n_ends;
	struct hawser_error error;
};

static void on_raw_end(struct hawser_call *call, const Rpctest__Payload *reply, void *data)
{
	struct raw_result *result = data;

	(void)reply;
	result->error = *hawser_call_error(call);
	result->n_ends++;
	hawser_call_free(call);
}

static void open_method(struct caller *caller, const struct hawser_method *method,
			const ProtobufCMessage *request, struct raw_result *result)
{
	rpctest_tester_echo_cb *callback = on_raw_end;

	result->n_ends = 0;
	ck_assert_ptr_nonnull(hawser_client_open(caller->client, method, request,
						 (hawser_any_fn *)callback, result, NULL));
}

static void call_method(struct caller *caller, const struct hawser_method *method,
			const ProtobufCMessage *request, struct hawser_error *error)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct raw_result result;
	ProtobufCMessage *reply = NULL;

	if (caller->base) {
		open_method(caller, method, request, &result);
		base_run_until(caller->base, &result.n_ends, 1);
		*error = result.error;
		return;
	}
	ck_assert_int_ne(hawser_client_call(caller->client, method, request, &reply, &context),
			 HAWSER_OK);
	*error = context.error;
	hawser_context_clear(&context);
}

static void assert_error(const struct hawser_error *error, enum hawser_status status,
			 const char *one, const char *other)
{
	ck_assert_msg(error->status == status, "%s instead of %s: %s",
		      hawser_status_name(error->status), hawser_status_name(status),
		      error->message);
	/* Refused here already, where it is known what the server offers. */
	ck_assert(error->outcome == HAWSER_OUTCOME_NOT_EXECUTED ||
		  (error->outcome == HAWSER_OUTCOME_NOT_SENT && status == HAWSER_UNIMPLEMENTED));
	ck_assert_msg(strstr(error->message, one), "\"%s\" does not say \"%s\"", error->message,
		      one);
	ck_assert_msg(strstr(error->message, other), "\"%s\" does not say \"%s\"", error->message,
		      other);
}

START_TEST(method_is_unknown)
{
	struct hawser_method method = altered(ECHO, "rpctest.Tester/Ehco", NULL);
	struct hawser_error error;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	for (int i = 0; i < 2; i++) {
		call_method(&pair.caller, &method, &empty.base, &error);
		assert_error(&error, HAWSER_UNIMPLEMENTED, "rpctest.Tester/Ehco: no such method",
			     "rpctest.Tester has Echo, Fail");
	}
	caller_echo(&pair.caller);
	pair_stop(&pair);
}
END_TEST

START_TEST(service_is_unknown)
{
	struct hawser_method method = altered(ECHO, "rpctest.Texter/Echo", NULL);
	struct hawser_error error;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	call_method(&pair.caller, &method, &empty.base, &error);
	assert_error(&error, HAWSER_UNIMPLEMENTED,
		     "rpctest.Texter/Echo: ", "; it offers rpctest.Tester");
	pair_stop(&pair);
}
END_TEST

START_TEST(messages_do_not_match)
{
	struct hawser_method method = altered(ECHO, NULL, &rpctest__other__descriptor);
	struct hawser_error error;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	for (int i = 0; i < 3; i++) {
		call_method(&pair.caller, &method, &empty.base, &error);
		assert_error(&error, HAWSER_FAILED_PRECONDITION, "expects rpctest.Other",
			     "answers rpctest.Payload");
	}
	/* Who has it right afterwards is not harmed by who had not. */
	caller_echo(&pair.caller);
	caller_echo(&pair.caller);
	pair_stop(&pair);
}
END_TEST

/* Calls that follow before the first answer is there carry only the method's id; their
 * errors must help as well. */
START_TEST(messages_do_not_match_in_a_burst)
{
	struct hawser_method method = altered(ECHO, NULL, &rpctest__other__descriptor);
	struct hawser_method unknown = altered(ECHO, "rpctest.Tester/Ehco", NULL);
	struct raw_result wrong[3], none[3];
	struct tester tester;
	struct caller caller;

	tester_start(&tester, transport_of(_i), NULL);
	caller_init(&caller, tester.address, true, NULL);
	for (int i = 0; i < 3; i++) {
		open_method(&caller, &method, &empty.base, &wrong[i]);
		open_method(&caller, &unknown, &empty.base, &none[i]);
	}
	for (int i = 0; i < 3; i++) {
		base_run_until(caller.base, &wrong[i].n_ends, 1);
		base_run_until(caller.base, &none[i].n_ends, 1);
		assert_error(&wrong[i].error, HAWSER_FAILED_PRECONDITION, "rpctest.Other",
			     "rpctest.Payload");
		assert_error(&none[i].error, HAWSER_UNIMPLEMENTED, "rpctest.Tester/Ehco",
			     "no such method");
	}
	caller_deinit(&caller);
	tester_stop(&tester);
}
END_TEST

static void post(struct hawser_call *call, const Rpctest__New__Posting *request, void *data)
{
	(void)data;
	rpctest_new_ledger_post_reply(call, request);
}

START_TEST(id_is_another_method)
{
	static const struct rpctest_new_ledger_service ledger = {.post = post};
	struct hawser_service journal = rpctest_old_journal_descriptor;
	Rpctest__Old__Entry entry = RPCTEST__OLD__ENTRY__INIT;
	struct tester tester;
	struct caller caller;
	struct hawser_error error;

	tester_init(&tester, transport_of(_i), NULL);
	ck_assert_int_eq(rpctest_new_ledger_register(tester.server, &ledger, NULL, NULL), 0);
	/* The service is there, its method is another. */
	journal.methods = NULL;
	journal.n_methods = 0;
	ck_assert_int_eq(hawser_server_add(tester.server, &journal, &ledger, NULL, NULL), 0);
	tester_run(&tester);
	/* The reply's type does not matter here, no reply comes; but the callback's does. */
	caller_init(&caller, tester.address, false, NULL);
	for (int i = 0; i < 3; i++) {
		call_method(&caller, &rpctest_old_journal_descriptor.methods[0], &entry.base,
			    &error);
		assert_error(&error, HAWSER_UNIMPLEMENTED,
			     "rpctest.old.Journal/Write at the client",
			     "rpctest.new.Ledger/Post at the server");
		ck_assert_ptr_nonnull(strstr(error.message, "0x11223344"));
	}
	caller_echo(&caller);
	caller_deinit(&caller);
	tester_stop(&tester);
}
END_TEST

/* ---- executed ---- */

START_TEST(handler_fails_with_all_it_has)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct result result;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	request.text = (char *)"the name is too short";
	for (int status = HAWSER_CANCELLED; status <= HAWSER_UNAUTHENTICATED; status++) {
		request.number = status;
		caller_call(&pair.caller, FAIL, &request, NULL, &result);
		assert_failed(&result, (enum hawser_status)status, HAWSER_OUTCOME_EXECUTED,
			      "the name is too short");
		ck_assert_uint_eq(result.n_details, 1);
		ck_assert_str_eq(result.why, "name:7");
		ck_assert_str_eq(result.metadata, "hint=why;");
	}
	caller_echo(&pair.caller);
	pair_stop(&pair);
}
END_TEST

START_TEST(text_is_cut_not_overrun)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	char text[1000];
	struct result result;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = 0;
	request.text = text;
	request.number = HAWSER_ABORTED;
	caller_call(&pair.caller, FAIL, &request, NULL, &result);
	assert_failed(&result, HAWSER_ABORTED, HAWSER_OUTCOME_EXECUTED, "xxxxxxxx");
	ck_assert_uint_ge(strlen(result.error.message), HAWSER_ERROR_MESSAGE_SIZE - 8);
	pair_stop(&pair);
}
END_TEST

/* ---- unknown ---- */

START_TEST(server_is_killed_in_mid_call)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct child_server child;
	struct caller caller;
	struct async async = {.keeps = false};
	struct result result;

	/* With one, the call would wait for the server to come back. */
	options.no_session = true;
	child_server_start(&child, transport_of(_i), NULL);
	caller_init(&caller, child.address, true, &options);
	caller_echo(&caller);
	async_open(&async, &caller, HOLD, &empty, NULL);
	/* The echo comes back after the call before it has been taken. */
	caller_echo(&caller);
	kill(child.pid, SIGKILL);
	ck_assert_int_eq(child_server_wait(&child), 128 + SIGKILL);
	async_wait(&async, &caller);
	result = async.result;
	assert_failed(&result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "rpctest.Tester/Hold");
	caller_call(&caller, ECHO, &empty, NULL, &result);
	ck_assert_int_eq(result.status, HAWSER_UNAVAILABLE);
	ck_assert_int_eq(result.error.outcome, HAWSER_OUTCOME_NOT_SENT);
	caller_deinit(&caller);
}
END_TEST

enum farewell { CLOSES, RESETS, SAYS_CLOSE_BELOW, SAYS_CLOSE_ABOVE, N_FAREWELLS };

struct leaver {
	int listener;
	enum farewell farewell;
	int rounds;
};

/* Takes a call and goes without an answer. */
static void *leave(void *data)
{
	struct leaver *leaver = data;

	for (int i = 0; i < leaver->rounds; i++) {
		int fd = raw_accept(leaver->listener);
		struct linger at_once = {1, 0};
		Hawser__Frame frame = HAWSER__FRAME__INIT, *call;
		Hawser__Close close_frame = HAWSER__CLOSE__INIT;

		raw_opened(fd);
		call = raw_receive(fd);
		if (call)
			hawser__frame__free_unpacked(call, NULL);
		close_frame.reason = HAWSER__REASON__REASON_INTERNAL;
		close_frame.text = (char *)"I have to go";
		frame.kind_case = HAWSER__FRAME__KIND_CLOSE;
		frame.close = &close_frame;
		if (leaver->farewell == SAYS_CLOSE_ABOVE)
			close_frame.last_call = 1;
		if (leaver->farewell >= SAYS_CLOSE_BELOW)
			raw_send_frame(fd, &frame);
		if (leaver->farewell == RESETS)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
		close(fd);
	}
	return NULL;
}

START_TEST(server_leaves_in_mid_call)
{
	enum farewell farewell = (enum farewell)(_i / BOTH_WAYS);
	struct leaver leaver = {.farewell = farewell, .rounds = 2};
	char directory[128] = "", address[ADDRESS_SIZE];
	struct caller caller;
	struct result result;
	pthread_t thread;

	if (transport_of(_i) == OVER_UNIX)
		directory_make(directory, sizeof directory);
	leaver.listener = raw_listen(transport_of(_i), directory, address);
	ck_assert_int_eq(pthread_create(&thread, NULL, leave, &leaver), 0);
	caller_init(&caller, address, is_async(_i % BOTH_WAYS), NULL);
	/* The second time on a connection of its own. */
	for (int i = 0; i < 2; i++) {
		caller_call(&caller, ECHO, &empty, NULL, &result);
		assert_failed(&result, HAWSER_UNAVAILABLE,
			      farewell == SAYS_CLOSE_BELOW ? HAWSER_OUTCOME_NOT_EXECUTED
							   : HAWSER_OUTCOME_UNKNOWN,
			      farewell >= SAYS_CLOSE_BELOW ? "I have to go" : "connection");
	}
	pthread_join(thread, NULL);
	caller_deinit(&caller);
	close(leaver.listener);
	if (directory[0]) {
		unlink(address + strlen("unix:"));
		directory_remove(directory);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/outcomes");
	TCase *tcase = suite_case(suite, "not sent");

	tcase_add_loop_test(tcase, nobody_listens, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, name_is_unknown, 1, 3);
	tcase_add_loop_test(tcase, server_that_does_not_answer_open_times_out, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, deadline_ends_a_call_that_waits_for_the_connection, 0,
			    BOTH_WAYS);
	tcase_add_loop_test(tcase, call_not_sent_never_runs, 0, TRANSPORTS);

	tcase = suite_case(suite, "not executed");
	tcase_add_loop_test(tcase, handler_is_missing, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, method_is_unknown, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, service_is_unknown, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, messages_do_not_match, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, messages_do_not_match_in_a_burst, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, id_is_another_method, 0, TRANSPORTS);

	tcase = suite_case(suite, "executed");
	tcase_add_loop_test(tcase, handler_fails_with_all_it_has, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, text_is_cut_not_overrun, 0, BOTH_WAYS);

	tcase = suite_case(suite, "unknown");
	tcase_add_loop_test(tcase, server_is_killed_in_mid_call, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, server_leaves_in_mid_call, 0, N_FAREWELLS * BOTH_WAYS);
	return suite_run(suite);
}
