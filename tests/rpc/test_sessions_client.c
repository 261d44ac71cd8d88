/* What a client does while it has no connection, beside calls: options that bound it, the pauses
 * between its tries, what can be asked of it, and its end. */

#include "raw.h"
#include "relayed.h"
#include "support/suite.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void part(struct relayed *relayed, enum relay_door door)
{
	relay_set_door(&relayed->relay, door);
	relay_cut(&relayed->relay, CUT_ORDERLY);
	turn_until(&relayed->caller, !client_stats(&relayed->caller).is_connected);
}

/* As long as a call takes that cannot be sent. */
static void let_pass(struct caller *caller, unsigned ms)
{
	struct pending call;

	pending_init(&call, caller, ECHO, &empty);
	call.context.timeout_ms = ms;
	pending_start(&call);
	pending_wait(&call);
	ck_assert_int_eq(call.result.status, HAWSER_DEADLINE_EXCEEDED);
}

/* ---- without a session ---- */

START_TEST(client_may_do_without_a_session)
{
	struct hawser_client_options options = relayed_options();
	struct pending call;
	struct relayed relayed;

	options.no_session = true;
	relayed_start(&relayed, _i, NULL, &options);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	ck_assert_uint_eq(server_stats(&relayed.tester).sessions, 0);
	relay_cut(&relayed.relay, CUT_ORDERLY);
	pending_wait(&call);
	assert_failed(&call.result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "closed");
	tester_wait_cancelled(&relayed.tester, 1);
	/* It does not come back by itself. */
	ck_assert_uint_eq(relay_attempts(&relayed.relay), 1);
	caller_echo(&relayed.caller);
	ck_assert_uint_eq(relay_attempts(&relayed.relay), 2);
	ck_assert_uint_eq(client_stats(&relayed.caller).connections, 2);
	ck_assert_uint_eq(client_stats(&relayed.caller).sessions_resumed, 0);
	relayed_stop(&relayed);
}
END_TEST

START_TEST(server_may_do_without_sessions)
{
	struct hawser_server_options options = tester_options();
	struct pending call;
	struct relayed relayed;

	options.no_sessions = true;
	relayed_start(&relayed, _i, &options, NULL);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	relay_cut(&relayed.relay, CUT_ORDERLY);
	pending_wait(&call);
	assert_failed(&call.result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "closed");
	tester_wait_cancelled(&relayed.tester, 1);
	ck_assert_uint_eq(relay_attempts(&relayed.relay), 1);
	caller_echo(&relayed.caller);
	ck_assert_uint_eq(server_stats(&relayed.tester).sessions, 0);
	relayed_stop(&relayed);
}
END_TEST

/* Nothing was open before, so nothing is opened again. */
START_TEST(first_connection_is_tried_once)
{
	struct relayed relayed;
	struct result result;

	relayed_start(&relayed, _i, NULL, NULL);
	relay_set_door(&relayed.relay, DOOR_SHUT);
	for (unsigned i = 1; i <= 3; i++) {
		caller_call(&relayed.caller, ECHO, &empty, NULL, &result);
		ck_assert_int_eq(result.status, HAWSER_UNAVAILABLE);
		ck_assert_int_eq(result.error.outcome, HAWSER_OUTCOME_NOT_SENT);
		ck_assert_uint_eq(relay_attempts(&relayed.relay), i);
	}
	relay_set_door(&relayed.relay, DOOR_OPEN);
	caller_echo(&relayed.caller);
	relayed_stop(&relayed);
}
END_TEST

/* ---- how long, how often ---- */

START_TEST(reconnect_timeout_ends_the_calls)
{
	struct hawser_client_options options = relayed_options();
	struct pending sent, unsent;
	struct relayed relayed;

	options.reconnect_timeout_ms = patient_ms(100);
	relayed_start(&relayed, _i, NULL, &options);
	pending_call(&sent, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	part(&relayed, DOOR_SHUT);
	pending_call(&unsent, &relayed.caller, ECHO, &empty);
	pending_wait(&sent);
	ck_assert_int_eq(sent.result.status, HAWSER_UNAVAILABLE);
	ck_assert_int_eq(sent.result.error.outcome, HAWSER_OUTCOME_UNKNOWN);
	pending_wait(&unsent);
	ck_assert_int_eq(unsent.result.status, HAWSER_UNAVAILABLE);
	ck_assert_int_eq(unsent.result.error.outcome, HAWSER_OUTCOME_NOT_SENT);
	ck_assert_uint_eq(client_stats(&relayed.caller).sessions_lost, 1);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	caller_echo(&relayed.caller);
	ck_assert_uint_eq(tester_executed(&relayed.tester), 1);
	/* The next time it has as long again. */
	part(&relayed, DOOR_SHUT);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	turn_until(&relayed.caller, client_stats(&relayed.caller).sessions_resumed == 1);
	relayed_stop(&relayed);
}
END_TEST

/* With the default the pauses are up to 100, 200, 400 ms, and so on. */
START_TEST(tries_become_rare)
{
	struct hawser_client_options options = relayed_options();
	struct relayed relayed;
	unsigned before;

	options.max_backoff_ms = 0;
	relayed_start(&relayed, _i, NULL, &options);
	caller_echo(&relayed.caller);
	before = relay_attempts(&relayed.relay);
	part(&relayed, DOOR_SHUT);
	let_pass(&relayed.caller, 600);
	ck_assert_uint_ge(relay_attempts(&relayed.relay) - before, 2);
	/* About five; that fifty random pauses fit into it does not happen. */
	ck_assert_uint_le(relay_attempts(&relayed.relay) - before, 50);
	relayed_stop(&relayed);
}
END_TEST

struct doorman {
	int listener;
	unsigned n;
	bool is_stopping;
};

/* Lets everyone in, and out again at once. */
static void *let_in_and_out(void *data)
{
	struct doorman *doorman = data;
	struct raw_session session = {.id = 7, .token_length = 16, .window_ms = 60000};

	for (;;) {
		int fd = raw_accept(doorman->listener);

		if (__atomic_load_n(&doorman->is_stopping, __ATOMIC_ACQUIRE)) {
			close(fd);
			return NULL;
		}
		__atomic_add_fetch(&doorman->n, 1, __ATOMIC_ACQ_REL);
		if (raw_take_open(fd, NULL))
			raw_send_opened(fd, &session);
		close(fd);
	}
}

/* A server that drops whom it has just let in is not asked ever faster. */
START_TEST(tries_become_rare_also_when_they_succeed)
{
	struct hawser_client_options options = relayed_options();
	char directory[128] = "", address[ADDRESS_SIZE];
	struct doorman doorman = {.n = 0};
	struct caller caller;
	pthread_t thread;

	options.max_backoff_ms = 0;
	if (transport_of(_i) == OVER_UNIX)
		directory_make(directory, sizeof directory);
	doorman.listener = raw_listen(transport_of(_i), directory, address);
	ck_assert_int_eq(pthread_create(&thread, NULL, let_in_and_out, &doorman), 0);
	caller_init(&caller, address, is_async(_i), &options);
	hawser_client_connect(caller.client, NULL);
	turn_until(&caller, __atomic_load_n(&doorman.n, __ATOMIC_ACQUIRE) >= 2);
	let_pass(&caller, 600);
	ck_assert_uint_le(__atomic_load_n(&doorman.n, __ATOMIC_ACQUIRE), 50);
	caller_deinit(&caller);
	__atomic_store_n(&doorman.is_stopping, true, __ATOMIC_RELEASE);
	close(raw_connect(address));
	pthread_join(thread, NULL);
	close(doorman.listener);
	if (directory[0]) {
		unlink(address + strlen("unix:"));
		directory_remove(directory);
	}
}
END_TEST

/* A server that accepts and does not answer is given up, and tried again. */
START_TEST(try_without_an_answer_is_given_up)
{
	struct hawser_client_options options = relayed_options();
	struct pending call;
	struct relayed relayed;

	options.connect_timeout_ms = patient_ms(50);
	relayed_start(&relayed, _i, NULL, &options);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	part(&relayed, DOOR_HELD);
	turn_until(&relayed.caller, relay_attempts(&relayed.relay) >= 4);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	turn_until(&relayed.caller, client_stats(&relayed.caller).sessions_resumed == 1);
	rpctest_tester_hold_reply(tester_held(&relayed.tester, 0), &empty);
	pending_wait(&call);
	assert_ok(&call.result);
	relayed_stop(&relayed);
}
END_TEST

/* Nor does anybody wait longer for it than for anything else. */
START_TEST(calls_end_in_time_while_a_try_hangs)
{
	struct pending call;
	struct relayed relayed;

	relayed_start(&relayed, _i, NULL, NULL);
	caller_echo(&relayed.caller);
	part(&relayed, DOOR_HELD);
	turn_until(&relayed.caller, relay_attempts(&relayed.relay) == 2);
	let_pass(&relayed.caller, patient_ms(20));
	pending_call(&call, &relayed.caller, ECHO, &empty);
	turn_until(&relayed.caller, client_stats(&relayed.caller).calls_in_flight == 1);
	pending_cancel(&call);
	pending_wait(&call);
	assert_failed(&call.result, HAWSER_CANCELLED, HAWSER_OUTCOME_NOT_SENT, "cancelled");
	ck_assert_uint_eq(relay_attempts(&relayed.relay), 2);
	relayed_stop(&relayed);
}
END_TEST

/* ---- asked ---- */

START_TEST(connect_waits_for_the_session)
{
	struct hawser_client_options options = relayed_options();
	struct hawser_error error = {.status = HAWSER_OK};
	struct relayed relayed;

	options.connect_timeout_ms = patient_ms(100);
	relayed_start(&relayed, _i, NULL, &options);
	ck_assert_int_eq(hawser_client_connect(relayed.caller.client, &error), 0);
	caller_echo(&relayed.caller);
	part(&relayed, DOOR_SHUT);
	ck_assert_int_eq(hawser_client_connect(relayed.caller.client, &error), -ETIMEDOUT);
	ck_assert_str_ne(error.message, "");
	relay_set_door(&relayed.relay, DOOR_OPEN);
	ck_assert_int_eq(hawser_client_connect(relayed.caller.client, &error), 0);
	ck_assert_uint_eq(client_stats(&relayed.caller).sessions_resumed, 1);
	relayed_stop(&relayed);
}
END_TEST

START_TEST(ping_waits_for_the_session)
{
	struct hawser_client_options options = relayed_options();
	struct hawser_error error = {.status = HAWSER_OK};
	struct relayed relayed;

	options.connect_timeout_ms = patient_ms(100);
	relayed_start(&relayed, _i, NULL, &options);
	caller_echo(&relayed.caller);
	part(&relayed, DOOR_SHUT);
	ck_assert_int_eq(hawser_client_ping(relayed.caller.client, NULL, &error), -ETIMEDOUT);
	ck_assert_str_ne(error.message, "");
	relay_set_door(&relayed.relay, DOOR_OPEN);
	ck_assert_int_eq(hawser_client_ping(relayed.caller.client, NULL, &error), 0);
	relayed_stop(&relayed);
}
END_TEST

struct asking {
	pthread_t thread;
	struct hawser_client *client;
	int (*ask)(struct hawser_client *client, struct hawser_error *error);
	int result;
	struct hawser_error error;
};

static int ask_ping(struct hawser_client *client, struct hawser_error *error)
{
	return hawser_client_ping(client, NULL, error);
}

static int ask_shutdown(struct hawser_client *client, struct hawser_error *error)
{
	return hawser_client_shutdown(client, "over", error);
}

static void *ask(void *data)
{
	struct asking *asking = data;

	asking->result = asking->ask(asking->client, &asking->error);
	return NULL;
}

/* Neither goes with the session: whoever asked hears that there is no answer. */
START_TEST(questions_end_with_their_connection)
{
	struct asking asking = {.ask = _i / TRANSPORTS ? ask_ping : ask_shutdown};
	struct relayed relayed;

	relayed_start(&relayed, _i % TRANSPORTS, NULL, NULL);
	caller_echo(&relayed.caller);
	relay_cut_after(&relayed.relay, FROM_CLIENT, 0, CUT_ORDERLY);
	asking.client = relayed.caller.client;
	ck_assert_int_eq(pthread_create(&asking.thread, NULL, ask, &asking), 0);
	pthread_join(asking.thread, NULL);
	ck_assert_int_lt(asking.result, 0);
	ck_assert_int_eq(asking.error.code, asking.result);
	ck_assert_str_ne(asking.error.message, "");
	turn_until(&relayed.caller, client_stats(&relayed.caller).sessions_resumed == 1);
	caller_echo(&relayed.caller);
	relayed_stop(&relayed);
}
END_TEST

START_TEST(shutdown_waits_for_the_session)
{
	struct hawser_server_options options = tester_options();
	struct hawser_error error;
	struct relayed relayed;

	options.allow_shutdown_from_anyone = true;
	relayed_start(&relayed, _i, &options, NULL);
	caller_echo(&relayed.caller);
	part(&relayed, DOOR_SHUT);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	ck_assert_int_eq(hawser_client_shutdown(relayed.caller.client, "over", &error), 0);
	ck_assert_int_eq(tester_join(&relayed.tester), 0);
	relayed_stop(&relayed);
}
END_TEST

/* ---- freed ---- */

/* With no connection, or in the middle of getting one, and with calls that are not through. */
static void free_apart(int stamp, enum relay_door door, bool waits)
{
	enum { CALLS = 3 };
	struct async calls[CALLS];
	struct relayed relayed;
	uint64_t before_ms;

	relayed_start(&relayed, stamp, NULL, NULL);
	caller_echo(&relayed.caller);
	memset(calls, 0, sizeof calls);
	if (is_async(stamp)) {
		async_open(&calls[0], &relayed.caller, HOLD, &empty, NULL);
		relayed_held(&relayed, 0);
	}
	part(&relayed, door);
	if (waits)
		turn_until(&relayed.caller, relay_attempts(&relayed.relay) >= 2);
	for (int i = 1; i < CALLS && is_async(stamp); i++)
		async_open(&calls[i], &relayed.caller, ECHO, &empty, NULL);
	before_ms = now_ms();
	caller_deinit(&relayed.caller);
	/* Not after the five seconds that a try may take. */
	ck_assert_uint_lt(now_ms() - before_ms, patient_ms(900));
	for (int i = 0; i < CALLS && is_async(stamp); i++) {
		ck_assert_uint_eq(calls[i].result.n_ends, 1);
		assert_failed(&calls[i].result, HAWSER_CANCELLED,
			      i ? HAWSER_OUTCOME_NOT_SENT : HAWSER_OUTCOME_UNKNOWN,
			      "the client was freed");
	}
	relay_stop(&relayed.relay);
	tester_stop(&relayed.tester);
}

START_TEST(client_is_freed_while_away)
{
	free_apart(_i, DOOR_SHUT, false);
}
END_TEST

START_TEST(client_is_freed_while_it_tries)
{
	free_apart(_i, DOOR_HELD, true);
}
END_TEST

START_TEST(client_is_freed_between_two_tries)
{
	free_apart(_i, DOOR_SHUT, true);
}
END_TEST

/* A name is looked up on a thread, each time anew. */
START_TEST(client_of_a_name_is_freed_while_away)
{
	char address[ADDRESS_SIZE];
	struct hawser_client_options options = relayed_options();
	struct relayed relayed;
	unsigned rounds = (unsigned)suite_rounds(30);

	relayed_start(&relayed, _i, NULL, NULL);
	snprintf(address, sizeof address, "tcp:localhost:%s",
		 strrchr(relayed.relay.address, ':') + 1);
	for (unsigned i = 0; i < rounds; i++) {
		struct caller caller;

		relay_set_door(&relayed.relay, DOOR_OPEN);
		caller_init(&caller, address, is_async(_i), &options);
		caller_echo(&caller);
		relay_set_door(&relayed.relay, i % 2 ? DOOR_SHUT : DOOR_OPEN);
		relay_cut(&relayed.relay, CUT_ORDERLY);
		turn_until(&caller, !client_stats(&caller).is_connected ||
					    client_stats(&caller).sessions_resumed);
		caller_deinit(&caller);
	}
	relayed_stop(&relayed);
}
END_TEST

static void free_client(struct async *async)
{
	struct caller *caller = async->data;

	hawser_client_free(caller->client);
	caller->client = NULL;
}

/* Inside the callback of a call that ends: with the reply after a resume, with the deadline while
 * away, with the session. */
START_TEST(client_is_freed_inside_a_callback)
{
	enum { AFTER_RESUME, BY_DEADLINE, BY_RESTART };
	int how = _i / TRANSPORTS;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct async calls[3];
	struct relayed relayed;
	struct tester other;

	relayed_start(&relayed, TRANSPORTS + _i % TRANSPORTS, NULL, NULL);
	memset(calls, 0, sizeof calls);
	calls[0].then = free_client;
	calls[0].data = &relayed.caller;
	if (how == BY_DEADLINE)
		context.timeout_ms = patient_ms(200);
	for (unsigned i = 0; i < 3; i++) {
		async_open(&calls[i], &relayed.caller, HOLD, &empty, i ? NULL : &context);
		relayed_held(&relayed, i);
	}
	part(&relayed, DOOR_SHUT);
	tester_start(&other, transport_of(_i), NULL);
	if (how == AFTER_RESUME)
		rpctest_tester_hold_reply(tester_held(&relayed.tester, 0), &empty);
	if (how == BY_RESTART)
		relay_aim(&relayed.relay, other.address);
	if (how != BY_DEADLINE)
		relay_set_door(&relayed.relay, DOOR_OPEN);
	base_run_until(relayed.caller.base, &calls[0].result.n_ends, 1);
	ck_assert_int_eq(calls[0].result.status, how == AFTER_RESUME  ? HAWSER_OK
						 : how == BY_DEADLINE ? HAWSER_DEADLINE_EXCEEDED
								      : HAWSER_UNAVAILABLE);
	for (unsigned i = 1; i < 3; i++) {
		ck_assert_uint_eq(calls[i].result.n_ends, 1);
		assert_failed(&calls[i].result, HAWSER_CANCELLED, HAWSER_OUTCOME_UNKNOWN,
			      "the client was freed");
	}
	/* The rest of it goes when the base runs the next time. */
	event_base_loop(relayed.caller.base, EVLOOP_NONBLOCK);
	event_base_free(relayed.caller.base);
	relay_stop(&relayed.relay);
	tester_stop(&other);
	tester_stop(&relayed.tester);
}
END_TEST

/* A forked child lets go of its copy; the parent's session goes on. */
START_TEST(client_is_freed_in_a_child_while_away)
{
	struct pending call;
	struct relayed relayed;
	int status;
	pid_t pid;

	relayed_start(&relayed, _i, NULL, NULL);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	part(&relayed, DOOR_SHUT);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct hawser_client_stats stats = {.size = sizeof stats, .connections = 77};
		int r = hawser_client_connect(relayed.caller.client, NULL);

		hawser_client_get_stats(relayed.caller.client, &stats);
		hawser_client_free(relayed.caller.client);
		/* By exec, past the leak checker: what is left is the parent's. */
		if (r == -EPERM && stats.connections == 77)
			execl("/bin/true", "true", (char *)NULL);
		execl("/bin/false", "false", (char *)NULL);
		_exit(1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	turn_until(&relayed.caller, client_stats(&relayed.caller).sessions_resumed == 1);
	rpctest_tester_hold_reply(tester_held(&relayed.tester, 0), &empty);
	pending_wait(&call);
	assert_ok(&call.result);
	relayed_stop(&relayed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/sessions/client");
	TCase *tcase = suite_case(suite, "without a session");

	tcase_add_loop_test(tcase, client_may_do_without_a_session, 0, STAMPS);
	tcase_add_loop_test(tcase, server_may_do_without_sessions, 0, STAMPS);
	tcase_add_loop_test(tcase, first_connection_is_tried_once, 0, STAMPS);

	tcase = suite_case(suite, "how long, how often");
	tcase_add_loop_test(tcase, reconnect_timeout_ends_the_calls, 0, STAMPS);
	tcase_add_loop_test(tcase, tries_become_rare, 0, STAMPS);
	tcase_add_loop_test(tcase, tries_become_rare_also_when_they_succeed, 0, STAMPS);
	tcase_add_loop_test(tcase, try_without_an_answer_is_given_up, 0, STAMPS);

	tcase_add_loop_test(tcase, calls_end_in_time_while_a_try_hangs, 0, STAMPS);

	tcase = suite_case(suite, "asked");
	tcase_add_loop_test(tcase, connect_waits_for_the_session, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, ping_waits_for_the_session, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, questions_end_with_their_connection, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, shutdown_waits_for_the_session, 0, TRANSPORTS);

	tcase = suite_case(suite, "freed");
	tcase_add_loop_test(tcase, client_is_freed_while_away, 0, STAMPS);
	tcase_add_loop_test(tcase, client_is_freed_while_it_tries, 0, STAMPS);
	tcase_add_loop_test(tcase, client_is_freed_between_two_tries, 0, STAMPS);
	tcase_add_loop_test(tcase, client_of_a_name_is_freed_while_away, OVER_TCP, OVER_TCP + 1);
	tcase_add_loop_test(tcase, client_of_a_name_is_freed_while_away, TRANSPORTS + OVER_TCP,
			    TRANSPORTS + OVER_TCP + 1);
	tcase_add_loop_test(tcase, client_is_freed_in_a_child_while_away, 0, STAMPS);
	tcase_add_loop_test(tcase, client_is_freed_inside_a_callback, 0, 3 * TRANSPORTS);
	return suite_run(suite);
}
