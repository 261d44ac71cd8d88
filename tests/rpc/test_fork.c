/* A process that forks, and one that writes to who is gone: neither harms anybody. */

#include "caller.h"
#include "raw.h"
#include "support/suite.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

/* What went wrong in the child is the number of its line. */
#define in_child(condition)                        \
	do {                                       \
		if (!(condition))                  \
			_exit(__LINE__ % 251 + 1); \
	} while (0)

static void join_child(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "the child was killed by signal %d", WTERMSIG(status));
	ck_assert_msg(WEXITSTATUS(status) == 0, "the child failed at line %d (modulo 251)",
		      WEXITSTATUS(status) - 1);
}

static void use_blocking(struct hawser_client *client)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct hawser_error error;
	ProtobufCMessage *reply = NULL;
	char name[16] = "x";

	in_child(hawser_client_call(client, method_of(ECHO), &empty.base, &reply, &context) ==
		 HAWSER_FAILED_PRECONDITION);
	in_child(context.error.status == HAWSER_FAILED_PRECONDITION);
	in_child(context.error.outcome == HAWSER_OUTCOME_NOT_SENT);
	in_child(strstr(context.error.message, "fork"));
	in_child(!reply);
	in_child(hawser_client_call(client, method_of(ECHO), &empty.base, &reply, NULL) ==
		 HAWSER_FAILED_PRECONDITION);
	in_child(hawser_client_connect(client, &error) < 0 && strstr(error.message, "fork"));
	in_child(hawser_client_ping(client, NULL, &error) < 0);
	in_child(hawser_client_shutdown(client, "no", &error) < 0);
	in_child(*hawser_client_server_name(client, name, sizeof name) == 0);
	hawser_client_free(client);
}

static void use_on_base(struct hawser_client *client, struct hawser_call *call)
{
	struct hawser_error error;

	errno = 0;
	in_child(!hawser_client_open(client, method_of(ECHO), &empty.base,
				     (hawser_any_fn *)(void (*)(void))abort, NULL, NULL));
	in_child(errno == EINVAL);
	in_child(hawser_client_connect(client, &error) < 0 && strstr(error.message, "fork"));
	/* The parent's call stays the parent's. */
	(void)call;
	hawser_client_free(client);
}

/* A client of the child's own, which starts no thread. */
static void use_own(const char *address)
{
	struct async async = {.keeps = false};
	struct caller own;

	caller_init(&own, address, true, NULL);
	async_open(&async, &own, ECHO, &empty, NULL);
	async_wait(&async, &own);
	in_child(async.result.status == HAWSER_OK);
	caller_deinit(&own);
}

START_TEST(child_cannot_use_the_parents_client)
{
	struct hawser_server_stats stats = {.size = sizeof stats};
	struct async held = {.keeps = false};
	struct pair pair;
	pid_t pid;

	pair_start(&pair, _i, NULL, NULL);
	caller_echo(&pair.caller);
	if (pair.caller.base) {
		async_open(&held, &pair.caller, HOLD, &empty, NULL);
		caller_echo(&pair.caller);
	}
	for (int i = 0; i < 3; i++) {
		pid = fork();
		ck_assert_int_ge(pid, 0);
		if (pid == 0) {
			if (pair.caller.base)
				use_on_base(pair.caller.client, held.call);
			else
				use_blocking(pair.caller.client);
			use_own(pair.tester.address);
			_exit(0);
		}
		/* While the child is at it, and afterwards. */
		caller_echo(&pair.caller);
		join_child(pid);
		caller_echo(&pair.caller);
	}
	if (pair.caller.base) {
		rpctest_tester_hold_reply(tester_held(&pair.tester, 0), &empty);
		async_wait(&held, &pair.caller);
		assert_ok(&held.result);
	}
	/* The parent's one connection, and three of children. */
	hawser_server_get_stats(pair.tester.server, &stats);
	ck_assert_uint_eq(stats.connections_accepted, 4);
	ck_assert_uint_eq(stats.protocol_errors, 0);
	pair_stop(&pair);
}
END_TEST

struct busy {
	pthread_t thread;
	struct caller *caller;
	int stop;
	unsigned n_failed;
};

static void *call_until_stopped(void *data)
{
	struct busy *busy = data;
	Rpctest__Payload *reply;

	while (!__atomic_load_n(&busy->stop, __ATOMIC_ACQUIRE)) {
		if (rpctest_tester_echo(busy->caller->client, &empty, &reply, NULL) == HAWSER_OK)
			rpctest__payload__free_unpacked(reply, NULL);
		else
			busy->n_failed++;
	}
	return NULL;
}

/* At any moment: the lock may be taken, the thread that has it is not in the child. */
START_TEST(fork_while_threads_call)
{
	enum { THREADS = 4 };
	struct busy busy[THREADS];
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	memset(busy, 0, sizeof busy);
	for (int i = 0; i < THREADS; i++) {
		busy[i].caller = &pair.caller;
		ck_assert_int_eq(
			pthread_create(&busy[i].thread, NULL, call_until_stopped, &busy[i]), 0);
	}
	for (unsigned long i = 0; i < suite_rounds(30); i++) {
		pid_t pid = fork();

		ck_assert_int_ge(pid, 0);
		if (pid == 0) {
			use_blocking(pair.caller.client);
			/* Not exit: what the other threads held is nobody's here, and a leak
			 * checker would say so. */
			execl("/bin/true", "true", (char *)NULL);
			_exit(1);
		}
		join_child(pid);
	}
	for (int i = 0; i < THREADS; i++)
		__atomic_store_n(&busy[i].stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(busy[i].thread, NULL);
		ck_assert_uint_eq(busy[i].n_failed, 0);
	}
	pair_stop(&pair);
}
END_TEST

START_TEST(client_that_has_not_connected_is_freed_in_the_child)
{
	struct pair pair;
	pid_t pid;

	pair_start(&pair, _i, NULL, NULL);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		hawser_client_free(pair.caller.client);
		_exit(0);
	}
	join_child(pid);
	caller_echo(&pair.caller);
	pair_stop(&pair);
}
END_TEST

/* ---- SIGPIPE ---- */

static volatile sig_atomic_t n_pipe_signals;

static void on_pipe(int number)
{
	(void)number;
	n_pipe_signals++;
}

START_TEST(sigpipe_is_never_raised)
{
	struct sigaction action = {.sa_handler = on_pipe}, before;
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct child_server child;
	struct caller caller;
	struct result result;
	struct tester tester;
	int fd;

	n_pipe_signals = 0;
	sigaction(SIGPIPE, &action, &before);
	/* A server whose clients do not wait for their replies. */
	tester_start(&tester, transport_of(_i), NULL);
	for (int i = 0; i < 20; i++) {
		Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;

		request.number = 300000;
		fd = raw_connect(tester.address);
		raw_open(fd);
		for (uint64_t id = 1; id < 20; id += 2)
			raw_call(fd, id, GROW, &request);
		close(fd);
	}
	caller_init(&caller, tester.address, is_async(_i), NULL);
	caller_echo(&caller);
	caller_deinit(&caller);
	tester_stop(&tester);
	/* A client whose server is gone. */
	child_server_start(&child, transport_of(_i), NULL);
	options.no_session = true;
	caller_init(&caller, child.address, is_async(_i), &options);
	caller_echo(&caller);
	kill(child.pid, SIGKILL);
	ck_assert_int_eq(child_server_wait(&child), 128 + SIGKILL);
	for (int i = 0; i < 3; i++) {
		caller_call(&caller, ECHO, &empty, NULL, &result);
		ck_assert_int_eq(result.status, HAWSER_UNAVAILABLE);
	}
	caller_deinit(&caller);
	ck_assert_int_eq(n_pipe_signals, 0);
	sigaction(SIGPIPE, &before, NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/fork");
	TCase *tcase = suite_case(suite, "fork");

	tcase_add_loop_test(tcase, child_cannot_use_the_parents_client, 0, STAMPS);
	tcase_add_loop_test(tcase, fork_while_threads_call, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, client_that_has_not_connected_is_freed_in_the_child, 0, STAMPS);

	tcase = suite_case(suite, "signals");
	tcase_add_loop_test(tcase, sigpipe_is_never_raised, 0, STAMPS);
	return suite_run(suite);
}
