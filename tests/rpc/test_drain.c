/* The end of a server: draining, stopping, signals, and clients that ask for it. */

#include "caller.h"
#include "lines.h"
#include "raw.h"
#include "support/suite.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

static void expect_draining(int fd)
{
	Hawser__Frame *frame = raw_receive(fd);

	ck_assert_ptr_nonnull(frame);
	ck_assert_int_eq(frame->kind_case, HAWSER__FRAME__KIND_CLOSE);
	ck_assert_int_eq(frame->close->reason, HAWSER__REASON__REASON_DRAINING);
	hawser__frame__free_unpacked(frame, NULL);
}

static void assert_nobody_listens(const char *address, bool async)
{
	struct caller late;
	struct result result;

	caller_init(&late, address, async, NULL);
	caller_call(&late, ECHO, &empty, NULL, &result);
	ck_assert_int_eq(result.status, HAWSER_UNAVAILABLE);
	ck_assert_int_eq(result.error.outcome, HAWSER_OUTCOME_NOT_SENT);
	caller_deinit(&late);
}

/* ---- draining ---- */

START_TEST(calls_in_flight_finish)
{
	struct hawser_server_options options = tester_options();
	struct async held = {.keeps = false};
	struct tester tester;
	struct caller caller;
	struct result result;
	int fd;

	options.loops = _i & 4 ? 4 : 1;
	tester_start(&tester, transport_of(_i & 3), &options);
	caller_init(&caller, tester.address, true, NULL);
	async_open(&held, &caller, HOLD, &empty, NULL);
	caller_echo(&caller);
	fd = raw_connect(tester.address);
	raw_open(fd);
	ck_assert(raw_call(fd, 1, HOLD, &empty));
	tester_held(&tester, 1);
	hawser_server_drain(tester.server);
	hawser_server_drain(tester.server);
	expect_draining(fd);
	assert_nobody_listens(tester.address, is_async(_i & 3));
	/* What is new is refused, by the server … */
	ck_assert(raw_call(fd, 3, ECHO, &empty));
	raw_expect_end(fd, 3, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_NOT_EXECUTED);
	/* … or by the client, when it knows. */
	do
		caller_call(&caller, ECHO, &empty, NULL, &result);
	while (result.error.outcome == HAWSER_OUTCOME_NOT_EXECUTED);
	assert_failed(&result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_NOT_SENT, "draining");
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(rpctest_tester_hold_reply(tester_held(&tester, i), &empty), 0);
	async_wait(&held, &caller);
	assert_ok(&held.result);
	raw_expect_end(fd, 1, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	raw_expect_refusal(fd, HAWSER__REASON__REASON_DONE, "drained");
	close(fd);
	event_base_loop(caller.base, EVLOOP_NONBLOCK);
	ck_assert_int_eq(tester_join(&tester), 0);
	caller_deinit(&caller);
	tester_stop(&tester);
}
END_TEST

struct busy {
	pthread_t thread;
	struct caller *caller;
	unsigned n_ok, n_dishonest;
	struct hawser_error last;
};

static void *call_until_refused(void *data)
{
	struct busy *busy = data;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Rpctest__Payload *reply;

	while (rpctest_tester_echo(busy->caller->client, &empty, &reply, &context) == HAWSER_OK) {
		rpctest__payload__free_unpacked(reply, NULL);
		__atomic_add_fetch(&busy->n_ok, 1, __ATOMIC_RELAXED);
	}
	busy->last = context.error;
	hawser_context_clear(&context);
	return NULL;
}

/* Under load each call has either run and said so, or has not run and says that. */
START_TEST(no_call_is_lost_by_a_drain)
{
	enum { THREADS = 6, CLIENTS = 3 };
	struct hawser_server_options options = tester_options();
	struct busy busy[THREADS];
	struct caller callers[CLIENTS];
	struct tester tester;
	unsigned n_ok = 0;

	options.loops = _i & 2 ? 3 : 1;
	tester_start(&tester, transport_of(_i & 1), &options);
	memset(busy, 0, sizeof busy);
	for (int i = 0; i < CLIENTS; i++)
		caller_init(&callers[i], tester.address, false, NULL);
	for (int i = 0; i < THREADS; i++) {
		busy[i].caller = &callers[i % CLIENTS];
		ck_assert_int_eq(
			pthread_create(&busy[i].thread, NULL, call_until_refused, &busy[i]), 0);
	}
	pthread_mutex_lock(&tester.lock);
	while (tester.n_executed < suite_rounds(1000))
		pthread_cond_wait(&tester.changed, &tester.lock);
	pthread_mutex_unlock(&tester.lock);
	hawser_server_drain(tester.server);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(busy[i].thread, NULL);
		n_ok += busy[i].n_ok;
		ck_assert_int_eq(busy[i].last.status, HAWSER_UNAVAILABLE);
		ck_assert_msg(busy[i].last.outcome == HAWSER_OUTCOME_NOT_SENT ||
				      busy[i].last.outcome == HAWSER_OUTCOME_NOT_EXECUTED,
			      "outcome \"%s\": %s", hawser_outcome_name(busy[i].last.outcome),
			      busy[i].last.message);
	}
	ck_assert_int_eq(tester_join(&tester), 0);
	ck_assert_uint_eq(n_ok, tester_executed(&tester));
	for (int i = 0; i < CLIENTS; i++)
		caller_deinit(&callers[i]);
	tester_stop(&tester);
}
END_TEST

struct stuck {
	struct caller *caller;
	struct result result;
};

static void *call_stuck(void *data)
{
	struct stuck *stuck = data;

	caller_call(stuck->caller, HOLD, &empty, NULL, &stuck->result);
	return NULL;
}

START_TEST(stuck_handler_is_cut)
{
	struct hawser_server_options options = tester_options();
	struct stuck stuck;
	struct pair pair;
	pthread_t thread;

	lines_start(HAWSER_LOG_WARNING);
	options.drain_timeout_ms = patient_ms(50);
	pair_start(&pair, _i, &options, NULL);
	stuck.caller = &pair.caller;
	ck_assert_int_eq(pthread_create(&thread, NULL, call_stuck, &stuck), 0);
	tester_held(&pair.tester, 0);
	hawser_server_drain(pair.tester.server);
	ck_assert_int_eq(tester_join(&pair.tester), 1);
	pthread_join(thread, NULL);
	assert_failed(&stuck.result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "stopped");
	ck_assert_uint_eq(lines_count("calls in flight are cut"), 1);
	tester_wait_cancelled(&pair.tester, 1);
	pair_stop(&pair);
	lines_stop();
}
END_TEST

START_TEST(drain_and_stop_before_run)
{
	struct tester tester;

	tester_init(&tester, transport_of(_i / 2), NULL);
	if (_i & 1)
		hawser_server_drain(tester.server);
	else
		hawser_server_stop(tester.server);
	ck_assert_int_eq(hawser_server_run(tester.server, &tester.error), 0);
	ck_assert_int_eq(hawser_server_run(tester.server, &tester.error), -EBUSY);
	tester_stop(&tester);
}
END_TEST

START_TEST(stop_cuts_at_once)
{
	struct hawser_server_options options = tester_options();
	struct async held = {.keeps = false};
	struct tester tester;
	struct caller caller;

	options.loops = _i & 2 ? 4 : 1;
	tester_start(&tester, transport_of(_i & 1), &options);
	caller_init(&caller, tester.address, true, NULL);
	async_open(&held, &caller, HOLD, &empty, NULL);
	caller_echo(&caller);
	hawser_server_stop(tester.server);
	async_wait(&held, &caller);
	assert_failed(&held.result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "stopped");
	ck_assert_int_eq(tester_join(&tester), 1);
	tester_wait_cancelled(&tester, 1);
	caller_deinit(&caller);
	tester_stop(&tester);
}
END_TEST

static struct hawser_server *stopped_by_signal;

static void on_signal(int number)
{
	(void)number;
	hawser_server_stop(stopped_by_signal);
}

START_TEST(stop_works_in_a_signal_handler)
{
	struct sigaction action = {.sa_handler = on_signal}, before;
	struct tester tester;

	tester_start(&tester, transport_of(_i), NULL);
	stopped_by_signal = tester.server;
	sigaction(SIGUSR1, &action, &before);
	raise(SIGUSR1);
	ck_assert_int_eq(tester_join(&tester), 0);
	sigaction(SIGUSR1, &before, NULL);
	tester_stop(&tester);
}
END_TEST

START_TEST(server_on_a_base_drains)
{
	struct hawser_server_options options = tester_options();
	struct hawser_client_options client_options = HAWSER_CLIENT_OPTIONS_INIT;
	struct async held = {.keeps = false};
	struct tester tester;
	struct caller caller;

	options.base = client_options.base = caller.base = event_base_new();
	tester_init(&tester, transport_of(_i), &options);
	caller.client = hawser_client_new(tester.address, &client_options, NULL);
	async_open(&held, &caller, HOLD, &empty, NULL);
	caller_echo(&caller);
	hawser_server_drain(tester.server);
	while (event_base_loop(caller.base, EVLOOP_NONBLOCK | EVLOOP_ONCE) == 0 &&
	       hawser_client_connect(caller.client, NULL) == 0 && held.result.n_ends == 0) {
		ck_assert_int_eq(rpctest_tester_hold_reply(tester_held(&tester, 0), &empty), 0);
		async_wait(&held, &caller);
	}
	assert_ok(&held.result);
	hawser_client_free(caller.client);
	event_base_loop(caller.base, EVLOOP_NONBLOCK);
	assert_nobody_listens(tester.address, false);
	tester_stop(&tester);
	event_base_free(caller.base);
}
END_TEST

/* ---- signals ---- */

START_TEST(signal_drains)
{
	struct child_server child;
	struct caller caller;
	struct result result;

	child_server_start(&child, transport_of(_i % STAMPS), NULL);
	caller_init(&caller, child.address, is_async(_i % STAMPS), NULL);
	caller_echo(&caller);
	kill(child.pid, _i < STAMPS ? SIGTERM : SIGINT);
	if (caller.base) {
		/* It closes as soon as it hears of it. */
		do
			caller_call(&caller, ECHO, &empty, NULL, &result);
		while (result.status == HAWSER_OK);
		ck_assert_int_eq(result.status, HAWSER_UNAVAILABLE);
	}
	ck_assert_int_eq(child_server_wait(&child), 0);
	caller_call(&caller, ECHO, &empty, NULL, &result);
	ck_assert_int_eq(result.status, HAWSER_UNAVAILABLE);
	ck_assert_int_eq(result.error.outcome, HAWSER_OUTCOME_NOT_SENT);
	caller_deinit(&caller);
}
END_TEST

START_TEST(second_signal_stops)
{
	struct hawser_server_options options = HAWSER_SERVER_OPTIONS_INIT;
	struct child_server child;
	int fd;

	options.drain_timeout_ms = 3600000;
	child_server_start(&child, transport_of(_i), &options);
	fd = raw_connect(child.address);
	raw_open(fd);
	ck_assert(raw_call(fd, 1, HOLD, &empty));
	ck_assert(raw_call(fd, 3, ECHO, &empty));
	raw_expect_end(fd, 3, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	kill(child.pid, SIGTERM);
	expect_draining(fd);
	kill(child.pid, SIGTERM);
	ck_assert_int_eq(child_server_wait(&child), 1);
	raw_expect_refusal(fd, HAWSER__REASON__REASON_DONE, "stopped");
	close(fd);
}
END_TEST

START_TEST(stuck_handler_gives_status_one)
{
	struct hawser_server_options options = HAWSER_SERVER_OPTIONS_INIT;
	struct child_server child;
	int fd;

	options.drain_timeout_ms = patient_ms(50);
	child_server_start(&child, transport_of(_i), &options);
	fd = raw_connect(child.address);
	raw_open(fd);
	ck_assert(raw_call(fd, 1, HOLD, &empty));
	ck_assert(raw_call(fd, 3, ECHO, &empty));
	raw_expect_end(fd, 3, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	kill(child.pid, SIGTERM);
	ck_assert_int_eq(child_server_wait(&child), 1);
	close(fd);
}
END_TEST

START_TEST(signals_may_be_left_alone)
{
	struct hawser_server_options options = tester_options();
	struct child_server child;

	child_server_start(&child, transport_of(_i), &options);
	kill(child.pid, SIGTERM);
	ck_assert_int_eq(child_server_wait(&child), 128 + SIGTERM);
}
END_TEST

/* ---- asked by a client ---- */

enum permission { NOBODY, SAME_USER, ANYONE };

START_TEST(client_may_or_may_not_shut_down)
{
	enum permission permission = (enum permission)(_i / TRANSPORTS);
	enum transport transport = transport_of(_i % TRANSPORTS);
	bool may = permission == ANYONE || (permission == SAME_USER && transport == OVER_UNIX);
	struct hawser_server_options options = tester_options();
	struct hawser_error error = {.status = HAWSER_OK};
	struct tester tester;
	struct caller caller;
	int r;

	lines_start(HAWSER_LOG_INFO);
	options.allow_shutdown = permission == SAME_USER;
	options.allow_shutdown_from_anyone = permission == ANYONE;
	tester_start(&tester, transport, &options);
	caller_init(&caller, tester.address, false, NULL);
	r = hawser_client_shutdown(caller.client, "the test wants it", &error);
	if (may) {
		ck_assert_msg(r == 0, "%s", error.message);
		ck_assert_int_eq(tester_join(&tester), 0);
		ck_assert_uint_eq(lines_count("the test wants it"), 1);
	} else {
		ck_assert_int_eq(r, -EPERM);
		ck_assert_int_eq(error.status, HAWSER_PERMISSION_DENIED);
		ck_assert_msg(strstr(error.message, permission == SAME_USER ? "unix" : "allow"),
			      "%s", error.message);
		ck_assert_uint_eq(lines_count("may not shut the server down"), 1);
		caller_echo(&caller);
	}
	caller_deinit(&caller);
	tester_stop(&tester);
	lines_stop();
}
END_TEST

START_TEST(shutdown_waits_for_calls_in_flight)
{
	struct hawser_server_options options = tester_options();
	struct async held = {.keeps = false};
	struct tester tester;
	struct caller caller, other;

	options.allow_shutdown_from_anyone = true;
	tester_start(&tester, transport_of(_i), &options);
	caller_init(&caller, tester.address, false, NULL);
	caller_init(&other, tester.address, true, NULL);
	async_open(&held, &other, HOLD, &empty, NULL);
	caller_echo(&other);
	ck_assert_int_eq(hawser_client_shutdown(caller.client, NULL, NULL), 0);
	assert_nobody_listens(tester.address, false);
	rpctest_tester_hold_reply(tester_held(&tester, 0), &empty);
	async_wait(&held, &other);
	assert_ok(&held.result);
	caller_deinit(&caller);
	caller_deinit(&other);
	ck_assert_int_eq(tester_join(&tester), 0);
	tester_stop(&tester);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/drain");
	TCase *tcase = suite_case(suite, "drain");

	tcase_add_loop_test(tcase, calls_in_flight_finish, 0, 2 * STAMPS);
	tcase_add_loop_test(tcase, no_call_is_lost_by_a_drain, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, stuck_handler_is_cut, 0, STAMPS);
	tcase_add_loop_test(tcase, drain_and_stop_before_run, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, server_on_a_base_drains, 0, TRANSPORTS);

	tcase = suite_case(suite, "stop");
	tcase_add_loop_test(tcase, stop_cuts_at_once, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, stop_works_in_a_signal_handler, 0, TRANSPORTS);

	tcase = suite_case(suite, "signals");
	tcase_add_loop_test(tcase, signal_drains, 0, 2 * STAMPS);
	tcase_add_loop_test(tcase, second_signal_stops, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, stuck_handler_gives_status_one, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, signals_may_be_left_alone, 0, TRANSPORTS);

	tcase = suite_case(suite, "shutdown");
	tcase_add_loop_test(tcase, client_may_or_may_not_shut_down, 0, 3 * TRANSPORTS);
	tcase_add_loop_test(tcase, shutdown_waits_for_calls_in_flight, 0, TRANSPORTS);
	return suite_run(suite);
}
