/* Lines from standard input and from control connections.
 *
 * Standard input is shared with whoever started us, so it must not be made
 * non-blocking; it is read when it is readable, and no more than that. Some kinds
 * of it, /dev/null and files, epoll does not take; they never block. */

#include "proxy_control.h"
#include <errno.h>
#include <event2/buffer.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	MAX_CONNECTIONS = 16,
	MAX_LINE = 1000,
};

struct source {
	struct control *control;
	struct source *next, **previous;
	int fd; /* 0: standard input */
	struct event *readable;
	struct evbuffer *input;
	bool skips; /* the rest of a line that was too long */
};

struct control {
	struct proxy *proxy;
	struct listener listener;
	struct event *acceptor;
	struct source *sources;
	unsigned n_connections;
};

static void source_free(struct source *source)
{
	if (source->readable)
		event_free(source->readable);
	if (source->input)
		evbuffer_free(source->input);
	if (source->fd != STDIN_FILENO) {
		close(source->fd);
		source->control->n_connections--;
	}
	*source->previous = source->next;
	if (source->next)
		source->next->previous = source->previous;
	free(source);
}

/* Returns whether the answer could be given. A connection has room for many; one that does
 * not read them is not waited for. */
static bool answer(struct source *source, char *line, const char *error)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = source->fd == STDIN_FILENO ? stdout : open_memstream(&text, &size);
	bool is_sent = true;

	if (!out)
		return false;
	if (error)
		fprintf(out, "error: %s\n", error);
	else
		control_run(source->control->proxy, line, out);
	if (out == stdout) {
		fflush(stdout);
		return true;
	}
	if (fclose(out) != 0 ||
	    send(source->fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size)
		is_sent = false;
	free(text);
	return is_sent;
}

static bool run_line(struct source *source, char *line, size_t length)
{
	bool skip = source->skips;

	source->skips = false;
	if (skip)
		return true;
	if (length > MAX_LINE)
		return answer(source, NULL, "the line is too long");
	if (strlen(line) < length)
		return answer(source, NULL, "the line has a zero byte in it");
	return answer(source, line, NULL);
}

/* Runs the lines that are whole; at the end of the input, the last one too. */
static bool run_lines(struct source *source, bool at_end)
{
	bool good = true;
	size_t length;
	char *line;

	while (good && (line = evbuffer_readln(source->input, &length, EVBUFFER_EOL_CRLF))) {
		good = run_line(source, line, length);
		free(line);
	}
	if (!good)
		return false;
	length = evbuffer_get_length(source->input);
	if (length > MAX_LINE) {
		evbuffer_drain(source->input, length);
		good = source->skips || answer(source, NULL, "the line is too long");
		source->skips = true;
	} else if (at_end && length) {
		evbuffer_add(source->input, "\n", 1);
		good = run_lines(source, false);
	}
	return good;
}

static void on_readable(evutil_socket_t fd, short what, void *data)
{
	struct source *source = data;
	char bytes[4096];
	ssize_t n = read(fd, bytes, sizeof bytes);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0)
		evbuffer_add(source->input, bytes, (size_t)n);
	if (!run_lines(source, n <= 0) || n <= 0)
		source_free(source);
}

static void on_ready_file(evutil_socket_t fd, short what, void *data)
{
	static const struct timeval at_once;
	struct source *source = data;

	event_add(source->readable, &at_once); /* after the others' turn */
	on_readable(STDIN_FILENO, what, data);
}

static int source_new(struct control *control, int fd, bool can_be_polled)
{
	static const struct timeval at_once;
	struct source *source = calloc(1, sizeof *source);

	if (!source)
		return -ENOMEM;
	source->control = control;
	source->fd = fd;
	source->next = control->sources;
	source->previous = &control->sources;
	if (source->next)
		source->next->previous = &source->next;
	control->sources = source;
	if (fd != STDIN_FILENO)
		control->n_connections++;

	source->input = evbuffer_new();
	if (can_be_polled)
		source->readable = event_new(control->proxy->base, fd, EV_READ | EV_PERSIST,
					     on_readable, source);
	else
		source->readable = event_new(control->proxy->base, -1, 0, on_ready_file, source);
	if (source->input && source->readable &&
	    event_add(source->readable, can_be_polled ? NULL : &at_once) == 0)
		return 0;
	source_free(source);
	return -ENOMEM;
}

static void on_accept(evutil_socket_t listener, short what, void *data)
{
	static const char full[] = "error: there are too many control connections\n";
	struct control *control = data;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (control->n_connections < MAX_CONNECTIONS) {
		source_new(control, fd, true);
		return;
	}
	send(fd, full, sizeof full - 1, MSG_NOSIGNAL);
	close(fd);
}

static int watch_standard_input(struct control *control)
{
	struct stat status;

	if (fstat(STDIN_FILENO, &status) < 0)
		return 0; /* somebody closed it */
	/* In the background of a terminal a read fails, instead of stopping us. */
	signal(SIGTTIN, SIG_IGN);
	return source_new(control, STDIN_FILENO,
			  S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) ||
				  isatty(STDIN_FILENO));
}

static int listen_for_connections(struct control *control, const char *address,
				  struct hawser_error *error)
{
	int code = listener_open(&control->listener, address, error);

	if (code < 0)
		return code;
	control->acceptor = event_new(control->proxy->base, control->listener.fd,
				      EV_READ | EV_PERSIST, on_accept, control);
	return control->acceptor ? event_add(control->acceptor, NULL) : -ENOMEM;
}

struct control *control_new(struct proxy *proxy, const char *address, struct hawser_error *error)
{
	struct control *control = calloc(1, sizeof *control);

	*error = (struct hawser_error){.code = -ENOMEM, .message = "out of memory"};
	if (!control)
		return NULL;
	control->proxy = proxy;
	control->listener = (struct listener)LISTENER_INIT;
	if (watch_standard_input(control) == 0 &&
	    (!address || listen_for_connections(control, address, error) == 0))
		return control;
	control_free(control);
	return NULL;
}

void control_free(struct control *control)
{
	if (!control)
		return;
	while (control->sources)
		source_free(control->sources);
	if (control->acceptor)
		event_free(control->acceptor);
	listener_close(&control->listener);
	free(control);
}
