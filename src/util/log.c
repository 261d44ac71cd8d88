/* Where log lines and trace lines go.
 *
 * A line that is not wanted costs one relaxed load. The environment is read by
 * whatever needs it first; until then both switches hold UNREAD, which is below
 * every level, so that the quick check lets everything through to the slow one.
 *
 * One lock serialises the sinks. It is held across fork(), so that a child
 * never inherits it from a thread that it does not have. */

#include "util/log.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { UNREAD = -1, LINE_SIZE = 1024, DEFAULT_TRACE_BYTES = 512 };

static atomic_int threshold = UNREAD;
static atomic_int tracing = UNREAD;
static _Atomic size_t trace_bytes = DEFAULT_TRACE_BYTES;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the four below */
static hawser_log_fn *log_sink;
static void *log_data;
static hawser_trace_fn *trace_sink;
static void *trace_data;

/* A sink that calls into the library gets silence instead of a deadlock. */
static _Thread_local bool inside_sink;

static const char *const level_names[] = {
	[HAWSER_LOG_DEBUG] = "debug", [HAWSER_LOG_INFO] = "info", [HAWSER_LOG_WARNING] = "warning",
	[HAWSER_LOG_ERROR] = "error", [HAWSER_LOG_NONE] = "none",
};

enum { N_LEVELS = sizeof level_names / sizeof *level_names };

const char *hawser_log_level_name(enum hawser_log_level level)
{
	return (unsigned)level < N_LEVELS ? level_names[level] : "none";
}

int hawser_log_level_parse(const char *name)
{
	for (int i = 0; name && i < N_LEVELS; i++)
		if (!strcmp(name, level_names[i]))
			return i;
	return -1;
}

static void before_fork(void)
{
	if (!inside_sink)
		pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
	if (!inside_sink)
		pthread_mutex_unlock(&lock);
}

/* One system call per line, so that lines of several processes do not mix. A
 * stderr whose reader is gone must not kill the program that logs. */
static void write_stderr(const struct iovec *iov, int n)
{
	sigset_t pipe_signal, pending, old;
	ssize_t written;

	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &pipe_signal, &old);
	do
		written = writev(STDERR_FILENO, iov, n);
	while (written < 0 && errno == EINTR);
	if (written < 0 && errno == EPIPE && !sigismember(&pending, SIGPIPE)) {
		const struct timespec at_once = {0};

		while (sigtimedwait(&pipe_signal, NULL, &at_once) < 0 && errno == EINTR)
			;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void emit_log(enum hawser_log_level level, const char *line)
{
	int saved = errno;

	if (inside_sink)
		return;
	pthread_mutex_lock(&lock);
	inside_sink = true;
	if (log_sink) {
		log_sink(level, line, log_data);
	} else {
		char prefix[32];
		int length = snprintf(prefix, sizeof prefix,
				      "hawser: %s: ", hawser_log_level_name(level));
		const struct iovec iov[] = {
			{prefix, (size_t)length},
			{(char *)line, strlen(line)},
			{(char *)"\n", 1},
		};

		write_stderr(iov, 3);
	}
	inside_sink = false;
	pthread_mutex_unlock(&lock);
	errno = saved;
}

/* A line stays one line, and a peer's name cannot steer a terminal. */
static void mask_control_characters(char *line)
{
	for (; *line; line++)
		if ((unsigned char)*line < 0x20 || *line == 0x7f)
			*line = '?';
}

static void format_and_emit(enum hawser_log_level level, const char *format, va_list arguments)
{
	static const char ellipsis[] = "…";
	char line[LINE_SIZE];
	int saved = errno;
	int length = vsnprintf(line, sizeof line, format, arguments);

	if (length < 0)
		line[0] = '\0';
	if (length >= (int)sizeof line) {
		size_t end = sizeof line - sizeof ellipsis;

		while (end && ((unsigned char)line[end] & 0xc0) == 0x80)
			end--;
		memcpy(line + end, ellipsis, sizeof ellipsis);
	}
	mask_control_characters(line);
	emit_log(level, line);
	errno = saved;
}

static void warn_of_environment(const char *format, ...) HAWSER_PRINTF(1, 2);

/* hawser__log() would wait for the very initialisation that calls this. */
static void warn_of_environment(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	format_and_emit(HAWSER_LOG_WARNING, format, arguments);
	va_end(arguments);
}

static int level_from_environment(void)
{
	const char *value = secure_getenv("HAWSER_LOG");
	int level;

	if (!value || !*value)
		return HAWSER_LOG_WARNING;
	level = hawser_log_level_parse(value);
	if (level >= 0)
		return level;
	warn_of_environment("HAWSER_LOG=%s: no such level; use debug, info, warning, error or none",
			    value);
	return HAWSER_LOG_WARNING;
}

static bool trace_from_environment(size_t *max_message_bytes)
{
	const char *value = secure_getenv("HAWSER_TRACE");
	unsigned long long number;
	char *end;

	if (!value || !*value)
		return false;
	errno = 0;
	number = strtoull(value, &end, 10);
	if (*end || value[0] < '0' || value[0] > '9' || errno || number > SIZE_MAX) {
		warn_of_environment("HAWSER_TRACE=%s: use 1, or how many bytes of each message "
				    "to show; tracing is off",
				    value);
		return false;
	}
	if (number > 1)
		*max_message_bytes = (size_t)number;
	return number > 0;
}

static void read_environment(void)
{
	size_t max_message_bytes = DEFAULT_TRACE_BYTES;
	int level = level_from_environment();
	bool trace = trace_from_environment(&max_message_bytes);

	pthread_atfork(before_fork, after_fork, after_fork);
	atomic_store_explicit(&trace_bytes, max_message_bytes, memory_order_relaxed);
	atomic_store_explicit(&threshold, level, memory_order_relaxed);
	atomic_store_explicit(&tracing, trace, memory_order_release);
}

static void need_environment(void)
{
	int saved = errno;

	/* The sink may be hearing a warning about the environment right now. */
	if (!inside_sink)
		pthread_once(&once, read_environment);
	errno = saved;
}

bool hawser__log_enabled(enum hawser_log_level level)
{
	int least = atomic_load_explicit(&threshold, memory_order_relaxed);

	if (__builtin_expect(least == UNREAD, 0)) {
		need_environment();
		least = atomic_load_explicit(&threshold, memory_order_relaxed);
	}
	return (int)level >= least;
}

void hawser__log(enum hawser_log_level level, const char *format, ...)
{
	va_list arguments;

	if (!hawser__log_enabled(level))
		return;
	va_start(arguments, format);
	format_and_emit(level, format, arguments);
	va_end(arguments);
}

void hawser_log_set_level(enum hawser_log_level level)
{
	need_environment();
	if ((unsigned)level < N_LEVELS)
		atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

void hawser_log_set_sink(hawser_log_fn *sink, void *data)
{
	if (inside_sink)
		return;
	pthread_mutex_lock(&lock);
	log_sink = sink;
	log_data = data;
	pthread_mutex_unlock(&lock);
}

bool hawser__trace_enabled(void)
{
	int on = atomic_load_explicit(&tracing, memory_order_acquire);

	if (__builtin_expect(on == UNREAD, 0)) {
		need_environment();
		on = atomic_load_explicit(&tracing, memory_order_acquire);
	}
	return on > 0;
}

size_t hawser__trace_max_message_bytes(void)
{
	return atomic_load_explicit(&trace_bytes, memory_order_relaxed);
}

void hawser_trace_enable(bool on, size_t max_message_bytes)
{
	need_environment();
	atomic_store_explicit(&trace_bytes,
			      max_message_bytes ? max_message_bytes : DEFAULT_TRACE_BYTES,
			      memory_order_relaxed);
	atomic_store_explicit(&tracing, on, memory_order_release);
}

void hawser_trace_set_sink(hawser_trace_fn *sink, void *data)
{
	if (inside_sink)
		return;
	pthread_mutex_lock(&lock);
	trace_sink = sink;
	trace_data = data;
	pthread_mutex_unlock(&lock);
}

void hawser__trace_emit(const char *line)
{
	int saved = errno;

	if (inside_sink)
		return;
	pthread_mutex_lock(&lock);
	inside_sink = true;
	if (trace_sink) {
		trace_sink(line, trace_data);
	} else {
		const struct iovec iov[] = {{(char *)line, strlen(line)}, {(char *)"\n", 1}};

		write_stderr(iov, 2);
	}
	inside_sink = false;
	pthread_mutex_unlock(&lock);
	errno = saved;
}
