/* Child processes. All of them die with the test that started them. */

#include "process.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

const char *program(const char *variable)
{
	const char *path = getenv(variable);

	ck_assert_msg(path, "%s is not set: run this test with meson test", variable);
	return path;
}

/* Returns the end to read from. */
static FILE *start(const char *const *argv, bool with_stderr, pid_t *pid)
{
	int ends[2];
	FILE *output;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	*pid = fork();
	ck_assert_int_ge(*pid, 0);
	if (*pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ends[1], STDOUT_FILENO);
		if (with_stderr)
			dup2(ends[1], STDERR_FILENO);
		execv(argv[0], (char *const *)argv);
		perror(argv[0]);
		_exit(127);
	}
	close(ends[1]);
	output = fdopen(ends[0], "r");
	ck_assert_ptr_nonnull(output);
	return output;
}

static int finish(pid_t pid, FILE *output, char *rest, size_t size)
{
	size_t length = fread(rest, 1, size - 1, output);
	char ignored[256];
	int status;

	rest[length] = '\0';
	while (fread(ignored, 1, sizeof ignored, output) > 0)
		;
	fclose(output);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void server_start(struct server_process *server, unsigned listeners, const char *const *argv)
{
	static const char prefix[] = "listening on ";
	char line[256];

	ck_assert_uint_le(listeners, MAX_ADDRESSES);
	server->output = start(argv, false, &server->pid);
	for (server->n_addresses = 0; server->n_addresses < listeners; server->n_addresses++) {
		ck_assert_msg(fgets(line, sizeof line, server->output),
			      "%s ended before it listened", argv[0]);
		line[strcspn(line, "\n")] = '\0';
		ck_assert_msg(strncmp(line, prefix, strlen(prefix)) == 0, "unexpected line: %s",
			      line);
		snprintf(server->addresses[server->n_addresses],
			 sizeof server->addresses[server->n_addresses], "%s",
			 line + strlen(prefix));
	}
}

int server_stop(struct server_process *server, char *rest, size_t size)
{
	kill(server->pid, SIGTERM);
	return server_wait(server, rest, size);
}

int server_wait(struct server_process *server, char *rest, size_t size)
{
	return finish(server->pid, server->output, rest, size);
}

int run_program(const char *const *argv, char *output, size_t size)
{
	pid_t pid;
	FILE *from = start(argv, true, &pid);

	return finish(pid, from, output, size);
}
