/* What a server's connections cost: 10,000 that are idle, at most 1.5 KiB each. */

#include "caller.h"
#include "raw.h"
#include "support/suite.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { CONNECTIONS = 10000, MOST_BYTES_EACH = 1536, SPARE_DESCRIPTORS = 100 };

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

/* As the kernel sees it. */
static int64_t resident_bytes(pid_t pid)
{
	char path[64];
	long pages = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
	file = fopen(path, "r");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%*d %ld", &pages), 1);
	fclose(file);
	return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

/* As malloc sees it, in the server's process. */
static int64_t heap_bytes(struct caller *caller)
{
	struct result result;

	caller_call(caller, HEAP, &empty, NULL, &result);
	assert_ok(&result);
	return result.number;
}

/* Valgrind and the sanitizers add their own to every allocation. */
static bool is_measurable(void)
{
	return !is_under_valgrind() && !is_slow_build();
}

START_TEST(idle_connections_are_small)
{
	struct hawser_server_options options = HAWSER_SERVER_OPTIONS_INIT;
	struct rlimit limit;
	struct child_server child;
	int64_t heap, resident;
	struct caller caller;
	int n = CONNECTIONS, warm = 500, *fds;

	if (!is_measurable())
		return;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	/* The server has as many descriptors as we. */
	if (limit.rlim_cur < CONNECTIONS + SPARE_DESCRIPTORS) {
		n = (int)limit.rlim_cur - SPARE_DESCRIPTORS;
		fprintf(stderr, "only %d connections: the hard limit on open files is %llu\n", n,
			(unsigned long long)limit.rlim_max);
	}
	ck_assert_int_gt(n, 2 * warm);
	options.silence_timeout_ms = 600000;
	child_server_start(&child, transport_of(_i), &options);
	caller_init(&caller, child.address, false, NULL);
	fds = calloc((size_t)n, sizeof *fds);
	/* The first ones pay for what all share. */
	for (int i = 0; i < warm; i++) {
		fds[i] = raw_connect(child.address);
		raw_open(fds[i]);
		ck_assert(raw_call(fds[i], 1, ECHO, &empty));
		raw_expect_end(fds[i], 1, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	}
	heap = heap_bytes(&caller);
	resident = resident_bytes(child.pid);
	for (int i = warm; i < n; i++) {
		fds[i] = raw_connect(child.address);
		raw_open(fds[i]);
		/* An idle connection is one that was used before. */
		ck_assert(raw_call(fds[i], 1, ECHO, &empty));
		raw_expect_end(fds[i], 1, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	}
	heap = heap_bytes(&caller) - heap;
	resident = resident_bytes(child.pid) - resident;
	printf("%s: %d idle connections: %lld bytes of heap, %lld resident, each\n",
	       _i == OVER_TCP ? "tcp" : "unix", n, (long long)heap / (n - warm),
	       (long long)resident / (n - warm));
	ck_assert_int_le(heap / (n - warm), MOST_BYTES_EACH);
	ck_assert_int_le(resident / (n - warm), MOST_BYTES_EACH);
	for (int i = 0; i < n; i++)
		close(fds[i]);
	free(fds);
	caller_deinit(&caller);
	kill(child.pid, SIGTERM);
	ck_assert_int_eq(child_server_wait(&child), 0);
}
END_TEST

/* What was needed for a large message is given back. */
START_TEST(large_messages_leave_nothing_behind)
{
	enum { CLIENTS = 20 };
	struct hawser_server_options options = HAWSER_SERVER_OPTIONS_INIT;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct caller callers[CLIENTS];
	struct child_server child;
	struct result result;
	int64_t heap;

	if (!is_measurable())
		return;
	child_server_start(&child, transport_of(_i % STAMPS), &options);
	for (int i = 0; i < CLIENTS; i++) {
		caller_init(&callers[i], child.address, is_async(_i), NULL);
		caller_echo(&callers[i]);
	}
	heap = heap_bytes(&callers[0]);
	request.data.len = 2 << 20;
	request.data.data = calloc(1, request.data.len);
	for (int i = 0; i < CLIENTS; i++) {
		caller_call(&callers[i], ECHO, &request, NULL, &result);
		assert_ok(&result);
	}
	free(request.data.data);
	heap = heap_bytes(&callers[0]) - heap;
	/* The loop may keep a pool of chunks, 64 of 16 KiB. */
	ck_assert_int_le(heap, 1100000);
	for (int i = 0; i < CLIENTS; i++)
		caller_deinit(&callers[i]);
	kill(child.pid, SIGTERM);
	ck_assert_int_eq(child_server_wait(&child), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/memory");
	TCase *tcase = suite_case(suite, "memory");

	tcase_add_loop_test(tcase, idle_connections_are_small, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, large_messages_leave_nothing_behind, 0, STAMPS);
	return suite_run(suite);
}
