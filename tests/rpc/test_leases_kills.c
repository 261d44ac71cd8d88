/* Processes that hold a lease, or wait for one, and are killed: the next one gets it. */

#include "guarded.h"
#include "support/random.h"
#include "support/suite.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES = 6, WINDOW_MS = 200 };

/* What a process says. */
struct word {
	unsigned position; /* 0: it holds it */
	uint64_t fencing;
};

struct process {
	pid_t pid;
	int says;
	struct word last;
	bool is_alive;
};

static void say(int fd, struct word word)
{
	if (write(fd, &word, sizeof word) < 0)
		_exit(1);
}

static void on_position(unsigned position, void *data)
{
	say(*(int *)data, (struct word){position, 0});
}

/* Waits for the lease, holds it, and uses it until it is killed. */
static _Noreturn void live(const char *address, int fd, bool no_session)
{
	static const Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct hawser_client *client;
	struct hawser_lease *lease;
	Rpctest__Payload *reply;

	options.no_session = no_session;
	client = hawser_client_new(address, &options, NULL);
	context.timeout_ms = HAWSER_NO_DEADLINE;
	if (!client || hawser_lease_acquire_watched(client, GUARDED, on_position, &fd, &lease,
						    &context) != HAWSER_OK)
		_exit(2);
	say(fd, (struct word){0, hawser_lease_fencing(lease)});
	while (rpctest_guarded_move(client, &request, &reply, &context) == HAWSER_OK)
		rpctest__payload__free_unpacked(reply, NULL);
	_exit(3);
}

static void listen_to(struct process *process)
{
	size_t got = 0;

	while (got < sizeof process->last) {
		ssize_t n = read(process->says, (char *)&process->last + got,
				 sizeof process->last - got);

		ck_assert_msg(n > 0, "process %d has ended by itself", (int)process->pid);
		got += (size_t)n;
	}
}

static void start(struct process *process, const char *address, bool no_session)
{
	int pipes[2];

	ck_assert_int_eq(pipe(pipes), 0);
	process->pid = fork();
	ck_assert_int_ge(process->pid, 0);
	if (process->pid == 0) {
		close(pipes[0]);
		live(address, pipes[1], no_session);
	}
	close(pipes[1]);
	process->says = pipes[0];
	process->is_alive = true;
	/* Where in line it stands, so that the next one comes behind it. */
	listen_to(process);
}

static void end(struct process *process)
{
	int status;

	if (!process->is_alive)
		return;
	ck_assert_int_eq(kill(process->pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(process->pid, &status, 0), process->pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	close(process->says);
	process->is_alive = false;
}

/* The first one that is alive. */
static unsigned first(const struct process *processes)
{
	unsigned i = 0;

	while (!processes[i].is_alive)
		i++;
	return i;
}

/* Each of them is killed while it holds the lease, one now and then while it waits. */
static void kill_all(bool no_session)
{
	struct guarded_child server;
	struct process processes[PROCESSES];
	uint64_t fencing = 0;
	unsigned left = PROCESSES;

	guarded_child_start(&server, OVER_UNIX, patient_ms(WINDOW_MS));
	for (unsigned i = 0; i < PROCESSES; i++) {
		start(&processes[i], server.address, no_session);
		ck_assert_uint_eq(processes[i].last.position, i);
	}
	while (left) {
		struct process *holder = &processes[first(processes)];

		/* It is the next in order of arrival, whoever was killed before it. */
		while (holder->last.position)
			listen_to(holder);
		ck_assert_uint_gt(holder->last.fencing, fencing);
		fencing = holder->last.fencing;
		if (left > 2 && random_one_in(3)) {
			end(&processes[first(processes) + 1 + random_below(left - 2)]);
			/* Of those behind there may be more dead ones than were there. */
		}
		end(holder);
		left = 0;
		for (unsigned i = 0; i < PROCESSES; i++)
			left += processes[i].is_alive;
	}
	guarded_child_stop(&server);
}

START_TEST(next_in_line_gets_the_lease_of_a_process_that_is_killed)
{
	kill_all(_i);
}
END_TEST

/* The server is killed: a client learns it, and the next server's numbers are higher. */
START_TEST(leases_end_with_a_server_that_is_killed)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct guarded_child server;
	struct hawser_client *client;
	struct hawser_lease *lease;
	uint64_t fencing;

	guarded_child_start(&server, OVER_TCP, 0);
	options.reconnect_timeout_ms = 100;
	client = hawser_client_new(server.address, &options, NULL);
	ck_assert_int_eq(hawser_lease_acquire(client, GUARDED, &lease, &context), HAWSER_OK);
	fencing = hawser_lease_fencing(lease);
	ck_assert_int_eq(kill(server.pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(server.pid, NULL, 0), server.pid);
	ck_assert_int_eq(hawser_lease_wait(lease), HAWSER_UNAVAILABLE);
	ck_assert_int_eq(hawser_lease_get_state(lease), HAWSER_LEASE_OVER);
	hawser_lease_free(lease);
	hawser_client_free(client);
	guarded_child_start(&server, OVER_TCP, 0);
	client = hawser_client_new(server.address, NULL, NULL);
	ck_assert_int_eq(hawser_lease_acquire(client, GUARDED, &lease, &context), HAWSER_OK);
	ck_assert_uint_gt(hawser_lease_fencing(lease), fencing);
	hawser_lease_free(lease);
	hawser_client_free(client);
	hawser_context_clear(&context);
	guarded_child_stop(&server);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/leases/kills");
	TCase *tcase = suite_case(suite, "kills");

	/* With sessions and without. */
	tcase_add_loop_test(tcase, next_in_line_gets_the_lease_of_a_process_that_is_killed, 0, 2);
	tcase_add_test(tcase, leases_end_with_a_server_that_is_killed);
	return suite_run(suite);
}
