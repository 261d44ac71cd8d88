/* Notes: one thread takes lines from stdin and sends, the main one receives.
 *
 * Either may be over first. When it is stdin, the client ends its half of the call, and takes what
 * still comes. When it is the call, the thread that waits for stdin is woken. */

#include "ask.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Longer than any note that a server keeps; a line beyond it counts as two. */
#define LINE_MOST 4096

struct leaving {
	struct hawser_call *call;
	int over;         /* readable when the call is */
	bool has_skipped; /* a line that was none */

	/* What was read and not used yet. */
	char bytes[LINE_MOST + 1];
	size_t from, to;
	bool is_at_end;
};

/* ---- lines ---- */

/* Waits for more of stdin, or its end; false: the call is over. */
static bool read_more(struct leaving *leaving)
{
	struct pollfd fds[] = {
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = leaving->over, .events = POLLIN},
	};
	ssize_t n;

	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	if (fds[1].revents)
		return false;
	n = read(STDIN_FILENO, leaving->bytes + leaving->to, LINE_MOST - leaving->to);
	leaving->is_at_end = n <= 0;
	if (n > 0)
		leaving->to += (size_t)n;
	return true;
}

/* The next line, valid until the one after it; NULL: no more, or the call is over. */
static char *next_line(struct leaving *leaving)
{
	char *bytes = leaving->bytes, *line, *end;
	size_t left;

	for (;;) {
		line = bytes + leaving->from;
		left = leaving->to - leaving->from;
		end = memchr(line, '\n', left);
		if (end || left == LINE_MOST || leaving->is_at_end)
			break;
		memmove(bytes, line, left);
		leaving->from = 0;
		leaving->to = left;
		if (!read_more(leaving))
			return NULL;
	}
	if (!end && left == 0)
		return NULL;
	leaving->from += end ? (size_t)(end - line) + 1 : left;
	line[end ? (size_t)(end - line) : left] = '\0';
	return line;
}

/* ---- the sender ---- */

static int send_line(struct leaving *leaving, char *line)
{
	Demo__Note note = DEMO__NOTE__INIT;

	note.place = strsep(&line, " ");
	if (!line || !*line) {
		fprintf(stderr, "places-client: \"%s\": give a place, a space and a text\n",
			note.place);
		leaving->has_skipped = true;
		return 0;
	}
	note.text = line;
	return demo_places_notes_send(leaving->call, &note);
}

static void *leave(void *data)
{
	struct leaving *leaving = data;
	char *line;
	int r = 0;

	while (r == 0 && (line = next_line(leaving)))
		r = send_line(leaving, line);
	if (r == 0)
		r = hawser_call_end(leaving->call);
	/* Whoever receives is told why. */
	if (r < 0)
		hawser_call_cancel(leaving->call);
	return NULL;
}

/* ---- the receiver ---- */

/* Others wrote it; it must not play with the terminal. */
static void print_note(const Demo__Note *note)
{
	printf("%s ", note->place);
	for (const char *at = note->text; *at; at++)
		putchar(iscntrl((unsigned char)*at) ? '?' : *at);
	putchar('\n');
}

/* Takes notes until the call is over. */
static int take(struct hawser_call *call)
{
	Demo__Note *note;
	int r;

	while ((r = demo_places_notes_recv(call, &note)) == 1) {
		print_note(note);
		demo__note__free_unpacked(note, NULL);
	}
	return r < 0 ? tell_call(call) : 0;
}

int ask_notes(struct hawser_client *client, int64_t timeout_ms)
{
	static struct leaving leaving;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	pthread_t thread;
	int status;

	context.timeout_ms = timeout_ms ? timeout_ms : HAWSER_NO_DEADLINE;
	leaving.call = demo_places_notes(client, &context);
	if (!leaving.call)
		return tell_call(NULL);
	leaving.over = eventfd(0, EFD_CLOEXEC);
	if (leaving.over >= 0 && pthread_create(&thread, NULL, leave, &leaving) == 0) {
		status = take(leaving.call);
		eventfd_write(leaving.over, 1);
		pthread_join(thread, NULL);
	} else {
		fprintf(stderr, "places-client: no thread to be had\n");
		status = 1;
	}
	close(leaving.over);
	hawser_call_free(leaving.call);
	return status == 0 && leaving.has_skipped ? 2 : status;
}
