/* How many connections a server takes, how long it bears with each, and how both
 * ends notice that nobody is there. */

#include "caller.h"
#include "lines.h"
#include "raw.h"
#include "support/suite.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

static struct hawser_server_stats stats_of(struct tester *tester)
{
	struct hawser_server_stats stats = {.size = sizeof stats};

	hawser_server_get_stats(tester->server, &stats);
	return stats;
}

/* ---- how many ---- */

/* A client that is one too many learns why, each time, however its open and the
 * server's refusal cross. */
START_TEST(client_over_the_limit_is_told)
{
	struct hawser_server_options options = tester_options();
	unsigned rounds = (unsigned)suite_rounds(50);
	struct caller two[2], third;
	struct tester tester;
	struct result result;
	int fd;

	lines_start(HAWSER_LOG_WARNING);
	options.max_connections = 2;
	tester_start(&tester, transport_of(_i), &options);
	for (int i = 0; i < 2; i++) {
		caller_init(&two[i], tester.address, false, NULL);
		caller_echo(&two[i]);
	}
	fd = raw_connect(tester.address);
	raw_expect_refusal(fd, HAWSER__REASON__REASON_TOO_MANY_CONNECTIONS, "its 2 connections");
	close(fd);
	for (unsigned i = 0; i < rounds; i++) {
		caller_init(&third, tester.address, is_async(_i), NULL);
		caller_call(&third, ECHO, &empty, NULL, &result);
		assert_failed(&result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_NOT_SENT,
			      "its 2 connections");
		caller_deinit(&third);
	}
	ck_assert_uint_eq(stats_of(&tester).connections, 2);
	ck_assert_uint_eq(stats_of(&tester).connections_accepted, 2);
	ck_assert_uint_eq(stats_of(&tester).connections_refused, rounds + 1);
	caller_echo(&two[0]);
	/* When one goes, another may come. */
	hawser_log_set_level(HAWSER_LOG_DEBUG);
	caller_deinit(&two[1]);
	lines_wait("the peer closed the connection");
	while (stats_of(&tester).connections == 2)
		caller_echo(&two[0]);
	caller_init(&third, tester.address, is_async(_i), NULL);
	caller_echo(&third);
	caller_deinit(&third);
	caller_deinit(&two[0]);
	tester_stop(&tester);
	lines_stop();
}
END_TEST

/* Every descriptor of this process is taken until release_descriptors(). */
static struct rlimit limit_before;
static int hoard[512];
static int n_hoard;

static void take_descriptors(void)
{
	struct rlimit low;
	int fd;

	getrlimit(RLIMIT_NOFILE, &limit_before);
	low = limit_before;
	low.rlim_cur = 256;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	n_hoard = 0;
	while ((fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)) >= 0 && n_hoard < 512)
		hoard[n_hoard++] = fd;
	ck_assert_int_eq(errno, EMFILE);
}

static void release_descriptors(void)
{
	while (n_hoard)
		close(hoard[--n_hoard]);
	setrlimit(RLIMIT_NOFILE, &limit_before);
}

START_TEST(server_without_descriptors_goes_on_and_recovers)
{
	struct tester tester;
	struct caller caller;
	int fd;

	/* It takes what the kernel has accepted, closes it, and says EMFILE. */
	if (is_under_valgrind())
		return;
	lines_start(HAWSER_LOG_WARNING);
	tester_start(&tester, transport_of(_i), NULL);
	caller_init(&caller, tester.address, false, NULL);
	caller_echo(&caller);
	/* One is left for our end of the connection, and none for the server's. */
	take_descriptors();
	close(hoard[--n_hoard]);
	fd = raw_connect(tester.address);
	lines_wait("accept: too many open files");
	for (int i = 0; i < 10; i++)
		caller_echo(&caller);
	release_descriptors();
	raw_open(fd);
	ck_assert(raw_call(fd, 1, ECHO, &empty));
	raw_expect_end(fd, 1, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	close(fd);
	caller_deinit(&caller);
	tester_stop(&tester);
	lines_stop();
}
END_TEST

START_TEST(server_on_a_base_without_descriptors_recovers)
{
	struct hawser_client_options client_options = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_server_options options = tester_options();
	struct async async = {.keeps = false};
	struct tester tester;
	struct caller caller;
	int fd;

	/* It takes what the kernel has accepted, closes it, and says EMFILE. */
	if (is_under_valgrind())
		return;
	lines_start(HAWSER_LOG_WARNING);
	options.base = event_base_new();
	tester_init(&tester, transport_of(_i), &options);
	take_descriptors();
	close(hoard[--n_hoard]);
	fd = raw_connect(tester.address);
	while (lines_count("accept: too many open files") == 0)
		ck_assert_int_eq(event_base_loop(options.base, EVLOOP_ONCE), 0);
	release_descriptors();
	close(fd);
	client_options.base = caller.base = options.base;
	caller.client = hawser_client_new(tester.address, &client_options, NULL);
	ck_assert_ptr_nonnull(caller.client);
	async_open(&async, &caller, ECHO, &empty, NULL);
	async_wait(&async, &caller);
	assert_ok(&async.result);
	hawser_client_free(caller.client);
	tester_stop(&tester);
	event_base_free(options.base);
	lines_stop();
}
END_TEST

/* ---- how long ---- */

START_TEST(client_that_never_opens_is_refused)
{
	struct hawser_server_options options = tester_options();
	struct tester tester;
	int silent, slow;

	options.open_timeout_ms = patient_ms(50);
	tester_start(&tester, transport_of(_i), &options);
	silent = raw_connect(tester.address);
	slow = raw_connect(tester.address);
	/* Half an open is none. */
	ck_assert(raw_send(slow, "\0\0\0\4\x0a\2", 6));
	raw_expect_refusal(silent, HAWSER__REASON__REASON_OPEN_TIMEOUT, "no open within");
	raw_expect_refusal(slow, HAWSER__REASON__REASON_OPEN_TIMEOUT, "no open within");
	ck_assert_uint_eq(stats_of(&tester).connections_refused, 2);
	ck_assert_uint_eq(stats_of(&tester).protocol_errors, 0);
	close(silent);
	close(slow);
	tester_stop(&tester);
}
END_TEST

START_TEST(idle_connection_is_closed_with_a_reason)
{
	struct hawser_server_options options = tester_options();
	struct tester tester;
	int fd;

	options.idle_timeout_ms = patient_ms(50);
	tester_start(&tester, transport_of(_i), &options);
	fd = raw_connect(tester.address);
	raw_open(fd);
	/* A ping is no use of the connection. */
	ck_assert(raw_ping(fd, 1));
	hawser__frame__free_unpacked(raw_receive(fd), NULL);
	raw_expect_refusal(fd, HAWSER__REASON__REASON_IDLE, "idle for");
	close(fd);
	tester_stop(&tester);
}
END_TEST

START_TEST(next_call_reconnects_after_idleness)
{
	struct hawser_server_options options = tester_options();
	struct pair pair;

	lines_start(HAWSER_LOG_INFO);
	options.idle_timeout_ms = patient_ms(50);
	pair_start(&pair, _i, &options, NULL);
	for (unsigned round = 1; round <= 3; round++) {
		caller_echo(&pair.caller);
		ck_assert_uint_ge(stats_of(&pair.tester).connections_accepted, round);
		/* The blocking client sleeps through it, which must not cost it the next call.
		 * One on a base must run the base to hear of it. */
		lines_wait("closed: idle for");
		while (pair.caller.base && stats_of(&pair.tester).connections)
			event_base_loop(pair.caller.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		lines_start(HAWSER_LOG_INFO);
	}
	pair_stop(&pair);
	lines_stop();
}
END_TEST

START_TEST(call_in_flight_is_not_idle)
{
	struct hawser_server_options options = tester_options();
	struct async held = {.keeps = false};
	struct tester tester;
	struct caller caller;
	int fd;

	options.idle_timeout_ms = patient_ms(50);
	tester_start(&tester, transport_of(_i), &options);
	caller_init(&caller, tester.address, true, NULL);
	async_open(&held, &caller, HOLD, &empty, NULL);
	while (stats_of(&tester).calls_in_flight == 0)
		event_base_loop(caller.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	/* Others that have nothing to do go meanwhile, one after the other. */
	for (int i = 0; i < 3; i++) {
		fd = raw_connect(tester.address);
		raw_open(fd);
		raw_expect_refusal(fd, HAWSER__REASON__REASON_IDLE, "idle");
		close(fd);
	}
	rpctest_tester_hold_reply(tester_held(&tester, 0), &empty);
	async_wait(&held, &caller);
	assert_ok(&held.result);
	caller_deinit(&caller);
	tester_stop(&tester);
}
END_TEST

/* ---- who is there ---- */

START_TEST(silent_client_is_closed)
{
	struct hawser_server_options options = tester_options();
	struct tester tester;
	int fd;

	options.silence_timeout_ms = patient_ms(60);
	tester_start(&tester, transport_of(_i), &options);
	fd = raw_connect(tester.address);
	raw_open(fd);
	ck_assert(raw_call(fd, 1, HOLD, &empty));
	tester_held(&tester, 0);
	raw_expect_refusal(fd, HAWSER__REASON__REASON_SILENT, "nothing was heard for");
	tester_wait_cancelled(&tester, 1);
	close(fd);
	tester_stop(&tester);
}
END_TEST

struct silences {
	const char *address;
	unsigned n;
};

/* Twice as long as the server bears with silence. */
static void *be_silent(void *data)
{
	struct silences *silences = data;

	for (int i = 0; i < 2; i++) {
		int fd = raw_connect(silences->address);

		raw_open(fd);
		raw_expect_refusal(fd, HAWSER__REASON__REASON_SILENT, "nothing was heard for");
		close(fd);
	}
	__atomic_store_n(&silences->n, 2, __ATOMIC_RELEASE);
	return NULL;
}

/* A client that has nothing to say, or waits for a slow reply, is not silent. */
START_TEST(heartbeats_keep_a_quiet_client)
{
	struct hawser_server_options options = tester_options();
	struct silences silences = {.n = 0};
	struct pair pair;
	pthread_t thread;

	options.heartbeat_ms = patient_ms(20);
	options.silence_timeout_ms = patient_ms(200);
	pair_start(&pair, _i, &options, NULL);
	caller_echo(&pair.caller);
	silences.address = pair.tester.address;
	ck_assert_int_eq(pthread_create(&thread, NULL, be_silent, &silences), 0);
	while (pair.caller.base && !__atomic_load_n(&silences.n, __ATOMIC_ACQUIRE))
		event_base_loop(pair.caller.base, EVLOOP_ONCE);
	pthread_join(thread, NULL);
	caller_echo(&pair.caller);
	ck_assert_uint_eq(stats_of(&pair.tester).connections_accepted, 3);
	pair_stop(&pair);
}
END_TEST

static void *answer_after_silences(void *data)
{
	struct pair *pair = data;
	struct silences silences = {.address = pair->tester.address};

	tester_held(&pair->tester, 0);
	be_silent(&silences);
	rpctest_tester_hold_reply(tester_held(&pair->tester, 0), &empty);
	return NULL;
}

START_TEST(heartbeats_keep_a_client_that_waits)
{
	struct hawser_server_options options = tester_options();
	struct result result;
	struct pair pair;
	pthread_t thread;

	options.heartbeat_ms = patient_ms(20);
	options.silence_timeout_ms = patient_ms(200);
	pair_start(&pair, _i, &options, NULL);
	ck_assert_int_eq(pthread_create(&thread, NULL, answer_after_silences, &pair), 0);
	caller_call(&pair.caller, HOLD, &empty, NULL, &result);
	assert_ok(&result);
	pthread_join(thread, NULL);
	pair_stop(&pair);
}
END_TEST

struct mute {
	int listener, fd;
};

/* Opens, and never says anything again. */
static void *be_mute(void *data)
{
	struct mute *mute = data;

	mute->fd = raw_accept(mute->listener);
	raw_opened_with(mute->fd, patient_ms(20), patient_ms(100));
	return NULL;
}

START_TEST(silent_server_is_noticed)
{
	char directory[128] = "", address[ADDRESS_SIZE];
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct mute mute;
	struct caller caller;
	struct result result;
	pthread_t thread;

	if (transport_of(_i) == OVER_UNIX)
		directory_make(directory, sizeof directory);
	mute.listener = raw_listen(transport_of(_i), directory, address);
	ck_assert_int_eq(pthread_create(&thread, NULL, be_mute, &mute), 0);
	caller_init(&caller, address, is_async(_i), NULL);
	context.timeout_ms = 50000;
	caller_call(&caller, ECHO, &empty, &context, &result);
	assert_failed(&result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "nothing was heard for");
	caller_deinit(&caller);
	pthread_join(thread, NULL);
	close(mute.fd);
	close(mute.listener);
	if (directory[0]) {
		unlink(address + strlen("unix:"));
		directory_remove(directory);
	}
}
END_TEST

/* ---- coming back ---- */

START_TEST(client_finds_a_server_that_was_started_again)
{
	struct hawser_server_options options = tester_options();
	struct hawser_server *again;
	struct tester tester;
	struct caller caller;
	struct result result;
	char address[ADDRESS_SIZE];

	tester_start(&tester, transport_of(_i), NULL);
	snprintf(address, sizeof address, "%s", tester.address);
	caller_init(&caller, address, is_async(_i), NULL);
	caller_echo(&caller);
	hawser_server_stop(tester.server);
	tester_join(&tester);
	hawser_server_free(tester.server);
	/* One that knows of the end says so, one that does not finds out. */
	caller_call(&caller, ECHO, &empty, NULL, &result);
	ck_assert_int_eq(result.status, HAWSER_UNAVAILABLE);
	again = hawser_server_new(&options, NULL);
	ck_assert_int_eq(rpctest_tester_register(again, &tester_handlers, &tester, NULL), 0);
	ck_assert_int_eq(hawser_server_listen(again, address, &tester.error), 0);
	tester.server = again;
	tester_run(&tester);
	caller_echo(&caller);
	caller_deinit(&caller);
	tester_stop(&tester);
}
END_TEST

/* ---- connections that break under many threads ---- */

struct breaker {
	int listener;
	int stop;
};

/* Answers a few calls on each connection, then resets it. */
static void *break_often(void *data)
{
	struct breaker *breaker = data;

	while (!__atomic_load_n(&breaker->stop, __ATOMIC_ACQUIRE)) {
		struct linger at_once = {1, 0};
		int fd = accept4(breaker->listener, NULL, NULL, SOCK_CLOEXEC);
		Hawser__Frame *frame;

		if (fd < 0)
			break;
		frame = raw_receive(fd);
		if (frame) {
			static const uint8_t opened[] = {0, 0, 0, 4, 0x12, 2, 8, 1};

			hawser__frame__free_unpacked(frame, NULL);
			raw_send(fd, opened, sizeof opened);
		}
		for (int i = 0; i < 5 && (frame = raw_receive(fd)); i++) {
			if (frame->kind_case == HAWSER__FRAME__KIND_CALL)
				raw_end(fd, frame->call->id, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN,
					&empty);
			hawser__frame__free_unpacked(frame, NULL);
		}
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
		close(fd);
	}
	return NULL;
}

struct stubborn {
	pthread_t thread;
	struct caller *caller;
	unsigned long rounds;
	unsigned n_ok, n_unavailable, n_other;
	char other[HAWSER_ERROR_MESSAGE_SIZE];
};

static void *call_stubbornly(void *data)
{
	struct stubborn *stubborn = data;
	struct hawser_context context = HAWSER_CONTEXT_INIT;

	for (unsigned long i = 0; i < stubborn->rounds; i++) {
		Rpctest__Payload *reply = NULL;

		switch (rpctest_tester_echo(stubborn->caller->client, &empty, &reply, &context)) {
		case HAWSER_OK:
			stubborn->n_ok++;
			rpctest__payload__free_unpacked(reply, NULL);
			break;
		case HAWSER_UNAVAILABLE:
			stubborn->n_unavailable++;
			break;
		default:
			stubborn->n_other++;
			memcpy(stubborn->other, context.error.message, sizeof stubborn->other);
			break;
		}
	}
	hawser_context_clear(&context);
	return NULL;
}

START_TEST(threads_survive_connections_that_break)
{
	enum { THREADS = 8 };
	char directory[128] = "", address[ADDRESS_SIZE];
	struct stubborn stubborn[THREADS];
	struct breaker breaker = {.stop = 0};
	struct caller caller;
	unsigned n_ok = 0;
	pthread_t thread;
	int fd;

	if (transport_of(_i) == OVER_UNIX)
		directory_make(directory, sizeof directory);
	breaker.listener = raw_listen(transport_of(_i), directory, address);
	ck_assert_int_eq(pthread_create(&thread, NULL, break_often, &breaker), 0);
	caller_init(&caller, address, false, NULL);
	memset(stubborn, 0, sizeof stubborn);
	for (int i = 0; i < THREADS; i++) {
		stubborn[i].caller = &caller;
		stubborn[i].rounds = suite_rounds(500);
		ck_assert_int_eq(
			pthread_create(&stubborn[i].thread, NULL, call_stubbornly, &stubborn[i]),
			0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(stubborn[i].thread, NULL);
	for (int i = 0; i < THREADS; i++) {
		ck_assert_msg(stubborn[i].n_other == 0, "%s", stubborn[i].other);
		n_ok += stubborn[i].n_ok;
	}
	ck_assert_uint_gt(n_ok, 0);
	caller_deinit(&caller);
	__atomic_store_n(&breaker.stop, 1, __ATOMIC_RELEASE);
	fd = raw_connect(address);
	close(fd);
	pthread_join(thread, NULL);
	close(breaker.listener);
	if (directory[0]) {
		unlink(address + strlen("unix:"));
		directory_remove(directory);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/connections");
	TCase *tcase = suite_case(suite, "how many");

	tcase_add_loop_test(tcase, client_over_the_limit_is_told, 0, STAMPS);
	tcase_add_loop_test(tcase, server_without_descriptors_goes_on_and_recovers, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, server_on_a_base_without_descriptors_recovers, 0, TRANSPORTS);

	tcase = suite_case(suite, "how long");
	tcase_add_loop_test(tcase, client_that_never_opens_is_refused, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, idle_connection_is_closed_with_a_reason, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, next_call_reconnects_after_idleness, 0, STAMPS);
	tcase_add_loop_test(tcase, call_in_flight_is_not_idle, 0, TRANSPORTS);

	tcase = suite_case(suite, "who is there");
	tcase_add_loop_test(tcase, silent_client_is_closed, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, heartbeats_keep_a_quiet_client, 0, STAMPS);
	tcase_add_loop_test(tcase, heartbeats_keep_a_client_that_waits, 0, STAMPS);
	tcase_add_loop_test(tcase, silent_server_is_noticed, 0, STAMPS);

	tcase = suite_case(suite, "coming back");
	tcase_add_loop_test(tcase, client_finds_a_server_that_was_started_again, 0, STAMPS);
	tcase_add_loop_test(tcase, threads_survive_connections_that_break, 0, TRANSPORTS);
	return suite_run(suite);
}
