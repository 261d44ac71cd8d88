/* A child process as a filter. Reading and writing take turns by poll(), since
 * either end may fill its pipe while the other one waits. */

#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int process_read_all(int fd, struct text *out)
{
	char bytes[65536];

	for (;;) {
		ssize_t n = read(fd, bytes, sizeof bytes);

		if (n == 0)
			return 0;
		if (n > 0)
			text_add(out, bytes, (size_t)n);
		else if (errno != EINTR)
			return -errno;
	}
}

/* Starts the program with its ends of the pipes; ours become *to and *from. */
static int start(const char *program, pid_t *pid, int *to, int *from)
{
	char *const arguments[] = {(char *)program, NULL};
	posix_spawn_file_actions_t actions;
	int in[2], out[2];
	int r;

	if (pipe2(in, O_CLOEXEC) < 0)
		return errno;
	if (pipe2(out, O_CLOEXEC) < 0) {
		r = errno;
		close(in[0]);
		close(in[1]);
		return r;
	}
	r = posix_spawn_file_actions_init(&actions);
	if (r == 0) {
		r = posix_spawn_file_actions_adddup2(&actions, in[0], 0);
		if (r == 0)
			r = posix_spawn_file_actions_adddup2(&actions, out[1], 1);
		if (r == 0)
			r = posix_spawnp(pid, program, &actions, NULL, arguments, environ);
		posix_spawn_file_actions_destroy(&actions);
	}
	close(in[0]);
	close(out[1]);
	if (r != 0) {
		close(in[1]);
		close(out[0]);
		return r;
	}
	*to = in[1];
	*from = out[0];
	return 0;
}

static void exchange(int to, int from, const struct text *in, struct text *out)
{
	size_t sent = 0;
	char bytes[65536];

	fcntl(to, F_SETFL, O_NONBLOCK);
	while (from >= 0) {
		struct pollfd fds[] = {{from, POLLIN, 0}, {to, POLLOUT, 0}};
		ssize_t n;

		if (to >= 0 && sent == in->length) {
			close(to);
			to = -1;
			continue;
		}
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (to >= 0 && fds[1].revents) {
			n = write(to, in->bytes + sent, in->length - sent);
			if (n > 0)
				sent += (size_t)n;
			else if (errno != EAGAIN && errno != EINTR)
				sent = in->length; /* it reads no more: its status will tell */
		}
		if (fds[0].revents) {
			n = read(from, bytes, sizeof bytes);
			if (n > 0)
				text_add(out, bytes, (size_t)n);
			else if (n == 0 || errno != EINTR)
				break;
		}
	}
	if (to >= 0)
		close(to);
	close(from);
}

char *process_filter(struct arena *arena, const char *program, const struct text *in,
		     struct text *out)
{
	int to = -1, from = -1, status;
	pid_t pid = -1;
	int r = start(program, &pid, &to, &from);

	if (r != 0)
		return arena_printf(
			arena,
			"cannot run %s: %s; install protobuf-c's compiler, name it with "
			"protoc_gen_c=PATH, or switch messages off with messages=off",
			program, strerror(r));
	exchange(to, from, in, out);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return arena_printf(arena, "cannot wait for %s: %s", program,
					    strerror(errno));
	if (WIFSIGNALED(status))
		return arena_printf(arena,
				    "%s was ended by signal %d; it cannot cope with something in "
				    "these files",
				    program, WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return arena_printf(arena, "%s failed with status %d; what it said is above",
				    program, WEXITSTATUS(status));
	return NULL;
}
