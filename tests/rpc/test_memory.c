/* What a server's connections cost: 10,000 that are idle, at most 1.5 KiB each, with a session as
 * well as without. */

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

/* An idle connection is one that was used before. */
static int use_once(const char *address, bool with_session)
{
	struct raw_session session = {.id = 0};
	int fd = raw_connect(address);

	if (with_session)
		raw_open_session(fd, &session);
	else
		raw_open(fd);
	ck_assert(raw_call(fd, 1, ECHO, &empty));
	raw_expect_end(fd, 1, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	if (with_session) {
		Hawser__Frame *frame;
		bool is_pong;

		/* When the pong comes the acknowledgement has been taken, too. */
		ck_assert(raw_ack(fd, 1));
		ck_assert(raw_ping(fd, 1));
		do {
			frame = raw_receive(fd);
			ck_assert_ptr_nonnull(frame);
			is_pong = frame->kind_case == HAWSER__FRAME__KIND_PONG;
			hawser__frame__free_unpacked(frame, NULL);
		} while (!is_pong);
	}
	return fd;
}

START_TEST(idle_connections_are_small)
{
	bool with_session = _i >= TRANSPORTS;
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
	for (int i = 0; i < warm; i++)
		fds[i] = use_once(child.address, with_session);
	heap = heap_bytes(&caller);
	resident = resident_bytes(child.pid);
	for (int i = warm; i < n; i++)
		fds[i] = use_once(child.address, with_session);
	heap = heap_bytes(&caller) - heap;
	resident = resident_bytes(child.pid) - resident;
	printf("%s: %d idle %s: %lld bytes of heap, %lld resident, each\n",
	       transport_of(_i) == OVER_TCP ? "tcp" : "unix", n,
	       with_session ? "sessions" : "connections", (long long)heap / (n - warm),
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

/* Going on with a session costs no more the thousandth time than the first. */
START_TEST(resumes_leave_nothing_behind)
{
	enum { RESUMES = 2000 };
	struct hawser_server_options options = HAWSER_SERVER_OPTIONS_INIT;
	struct raw_session session = {.id = 0};
	struct child_server child;
	struct caller caller;
	int64_t heap = 0;
	int fd;

	if (!is_measurable())
		return;
	options.loops = _i < TRANSPORTS ? 1 : 3;
	child_server_start(&child, transport_of(_i), &options);
	caller_init(&caller, child.address, false, NULL);
	fd = raw_connect(child.address);
	raw_open_session(fd, &session);
	for (unsigned i = 0; i < RESUMES; i++) {
		int other = raw_connect(child.address);

		if (i == RESUMES / 10)
			heap = heap_bytes(&caller);
		session.attempt = i + 1;
		raw_open_session(other, &session);
		ck_assert(raw_call(other, 2 * i + 1, ECHO, &empty));
		raw_expect_end(other, 2 * i + 1, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
		session.received++;
		close(fd);
		fd = other;
	}
	heap = heap_bytes(&caller) - heap;
	/* Its log, of replies that we never acknowledge but by coming back, and pools. */
	ck_assert_int_le(heap, 100000);
	close(fd);
	caller_deinit(&caller);
	kill(child.pid, SIGTERM);
	ck_assert_int_eq(child_server_wait(&child), 0);
}
END_TEST

/* What was needed for a large message is given back. */
START_TEST(large_messages_leave_nothing_behind)
{
	enum { CLIENTS = 20, MOST_HEAP = 2600000 };
	struct hawser_server_options options = HAWSER_SERVER_OPTIONS_INIT;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct caller callers[CLIENTS];
	struct child_server child;
	struct result result;
	int64_t heap, before;

	if (!is_measurable())
		return;
	child_server_start(&child, transport_of(_i % STAMPS), &options);
	for (int i = 0; i < CLIENTS; i++) {
		caller_init(&callers[i], child.address, is_async(_i), NULL);
		caller_echo(&callers[i]);
	}
	heap = before = heap_bytes(&callers[0]);
	request.data.len = 2 << 20;
	request.data.data = calloc(1, request.data.len);
	for (int i = 0; i < CLIENTS; i++) {
		caller_call(&callers[i], ECHO, &request, NULL, &result);
		assert_ok(&result);
	}
	free(request.data.data);
	/* The loop may keep a pool of chunks, 64 of 16 KiB. What the last clients have not
	 * acknowledged yet goes a little later. */
	heap = heap_bytes(&callers[0]);
	for (int i = 0; i < 1000 && heap > before + MOST_HEAP; i++)
		heap = heap_bytes(&callers[0]);
	ck_assert_int_le(heap - before, MOST_HEAP);
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

	tcase_add_loop_test(tcase, idle_connections_are_small, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, resumes_leave_nothing_behind, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, large_messages_leave_nothing_behind, 0, STAMPS);
	return suite_run(suite);
}
