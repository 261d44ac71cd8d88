/* Log and trace lines: levels, sinks, stderr, the environment, threads, fork.
 *
 * The environment is read once per process; so each test of it runs in a child
 * of its own, this program started again with an argument, whose stderr is read. */

#include "support/suite.h"
#include "util/log.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char last_line[4096];
static enum hawser_log_level last_level;
static int lines;

static void keep_line(enum hawser_log_level level, const char *line, void *data)
{
	ck_assert_ptr_eq(data, &lines);
	snprintf(last_line, sizeof last_line, "%s", line);
	last_level = level;
	lines++;
}

static void keep_trace(const char *line, void *data)
{
	keep_line(HAWSER_LOG_NONE, line, data);
}

static void start(void)
{
	lines = 0;
	last_line[0] = '\0';
	hawser_log_set_sink(keep_line, &lines);
	hawser_log_set_level(HAWSER_LOG_WARNING);
}

static void stop(void)
{
	hawser_log_set_sink(NULL, NULL);
	hawser_trace_set_sink(NULL, NULL);
	hawser_log_set_level(HAWSER_LOG_WARNING);
	hawser_trace_enable(false, 0);
}

START_TEST(level_names_and_parse_agree)
{
	for (int level = HAWSER_LOG_DEBUG; level <= HAWSER_LOG_NONE; level++)
		ck_assert_int_eq(
			hawser_log_level_parse(hawser_log_level_name((enum hawser_log_level)level)),
			level);
	ck_assert_int_eq(hawser_log_level_parse("loud"), -1);
	ck_assert_int_eq(hawser_log_level_parse(""), -1);
	ck_assert_int_eq(hawser_log_level_parse(NULL), -1);
	ck_assert_str_eq(hawser_log_level_name((enum hawser_log_level)77), "none");
}
END_TEST

START_TEST(log_passes_lines_from_the_level_on)
{
	start();
	for (int threshold = HAWSER_LOG_DEBUG; threshold <= HAWSER_LOG_NONE; threshold++) {
		hawser_log_set_level((enum hawser_log_level)threshold);
		for (int i = HAWSER_LOG_DEBUG; i <= HAWSER_LOG_ERROR; i++) {
			enum hawser_log_level level = (enum hawser_log_level)i;

			lines = 0;
			hawser__log(level, "line %d", i);
			ck_assert_int_eq(lines, i >= threshold);
			ck_assert_int_eq(hawser__log_enabled(level), i >= threshold);
			if (lines)
				ck_assert_int_eq(last_level, level);
		}
	}
	stop();
}
END_TEST

START_TEST(log_hands_the_formatted_line_to_the_sink)
{
	start();
	hawser__log(HAWSER_LOG_ERROR, "tcp:%s:%d: closed: %s", "10.0.0.7", 51200, "idle for 60 s");
	ck_assert_str_eq(last_line, "tcp:10.0.0.7:51200: closed: idle for 60 s");
	stop();
}
END_TEST

START_TEST(log_line_stays_one_line)
{
	start();
	hawser__log(HAWSER_LOG_ERROR, "a\nb\x1b[31m\x7f\tü");
	ck_assert_str_eq(last_line, "a?b?[31m??ü");
	stop();
}
END_TEST

START_TEST(log_line_too_long_ends_in_an_ellipsis)
{
	char text[8000];

	memset(text, 'x', sizeof text);
	text[sizeof text - 1] = '\0';
	start();
	hawser__log(HAWSER_LOG_ERROR, "%s", text);
	ck_assert_uint_eq(strlen(last_line), 1023);
	ck_assert_str_eq(last_line + 1020, "…");
	stop();
}
END_TEST

START_TEST(log_keeps_errno)
{
	start();
	errno = EXFULL;
	hawser__log(HAWSER_LOG_ERROR, "x");
	hawser__trace_enabled();
	ck_assert_int_eq(errno, EXFULL);
	stop();
}
END_TEST

static void log_again(enum hawser_log_level level, const char *line, void *data)
{
	keep_line(level, line, data);
	hawser__log(HAWSER_LOG_ERROR, "from the sink");
	hawser_log_set_sink(NULL, NULL);
}

START_TEST(sink_that_calls_the_library_does_not_deadlock)
{
	start();
	hawser_log_set_sink(log_again, &lines);
	hawser__log(HAWSER_LOG_ERROR, "one");
	hawser__log(HAWSER_LOG_ERROR, "two");
	ck_assert_int_eq(lines, 2);
	ck_assert_str_eq(last_line, "two");
	stop();
}
END_TEST

START_TEST(trace_is_switched_by_the_api)
{
	start();
	hawser_trace_set_sink(keep_trace, &lines);
	hawser_trace_enable(true, 0);
	ck_assert(hawser__trace_enabled());
	ck_assert_uint_eq(hawser__trace_max_message_bytes(), 512);
	hawser_trace_enable(true, 77);
	ck_assert_uint_eq(hawser__trace_max_message_bytes(), 77);
	hawser__trace_emit("→ demo.Greeter/Hello {}");
	ck_assert_str_eq(last_line, "→ demo.Greeter/Hello {}");
	hawser_trace_enable(false, 0);
	ck_assert(!hawser__trace_enabled());
	stop();
}
END_TEST

/* ---- threads ---- */

enum { THREADS = 4, LINES = 2000 };

static atomic_int inside;
static int counts[THREADS]; /* no lock: the log's must do */

static void count_line(enum hawser_log_level level, const char *line, void *data)
{
	int thread, number;

	ck_assert_int_eq(atomic_fetch_add(&inside, 1), 0);
	ck_assert_int_eq(sscanf(line, "thread %d line %d", &thread, &number), 2);
	ck_assert_int_eq(counts[thread]++, number);
	atomic_fetch_sub(&inside, 1);
}

static void *log_lines(void *data)
{
	int thread = *(int *)data;

	for (int i = 0; i < LINES; i++) {
		hawser__log(HAWSER_LOG_ERROR, "thread %d line %d", thread, i);
		hawser__log(HAWSER_LOG_DEBUG, "not this one");
		if (i % 100 == 0)
			hawser_log_set_level(HAWSER_LOG_WARNING);
	}
	return NULL;
}

START_TEST(log_serialises_its_sink)
{
	pthread_t threads[THREADS];
	int numbers[THREADS];

	memset(counts, 0, sizeof counts);
	hawser_log_set_sink(count_line, NULL);
	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		ck_assert_int_eq(pthread_create(&threads[i], NULL, log_lines, &numbers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(counts[i], LINES);
	stop();
}
END_TEST

static atomic_bool enough;

static void ignore_line(enum hawser_log_level level, const char *line, void *data)
{
}

static void *log_until_enough(void *data)
{
	while (!enough)
		hawser__log(HAWSER_LOG_ERROR, "busy");
	return NULL;
}

/* The lock is nearly always taken by the other thread when fork() is called. */
START_TEST(log_works_in_a_child_forked_while_another_thread_logs)
{
	pthread_t thread;

	enough = false;
	hawser_log_set_sink(ignore_line, NULL);
	ck_assert_int_eq(pthread_create(&thread, NULL, log_until_enough, NULL), 0);
	for (int i = 0; i < 100; i++) {
		int status;
		pid_t child = fork();

		ck_assert_int_ge(child, 0);
		if (!child) {
			alarm(10);
			hawser__log(HAWSER_LOG_ERROR, "child");
			_exit(0);
		}
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		ck_assert_msg(status == 0, "the child hung or died: status %#x", (unsigned)status);
	}
	enough = true;
	pthread_join(thread, NULL);
	stop();
}
END_TEST

/* ---- stderr and the environment ---- */

/* Not /proc/self/exe, which under valgrind is valgrind. */
static char *program;

/* What the program does when it is started again with an argument. */
static int say(const char *what)
{
	if (!strcmp(what, "levels")) {
		for (int level = HAWSER_LOG_DEBUG; level <= HAWSER_LOG_ERROR; level++)
			hawser__log((enum hawser_log_level)level, "line");
	} else if (!strcmp(what, "set")) {
		hawser_log_set_level(HAWSER_LOG_ERROR);
		hawser__log(HAWSER_LOG_WARNING, "line");
		hawser__log(HAWSER_LOG_ERROR, "line");
	} else if (!strcmp(what, "trace")) {
		if (hawser__trace_enabled()) {
			char line[32];

			snprintf(line, sizeof line, "trace %zu", hawser__trace_max_message_bytes());
			hawser__trace_emit(line);
		}
	} else if (!strcmp(what, "broken pipe")) {
		/* stderr's reader is gone; exit status 7 says that this was survived. */
		hawser__log(HAWSER_LOG_ERROR, "to nobody");
		return 7;
	}
	return 0;
}

/* Runs this program with an argument and one more environment variable. Returns
 * its stderr; *status gets what wait() said. `reader` false: its stderr is a broken pipe. */
static const char *run_say(const char *what, const char *variable, const char *value, bool reader,
			   int *status)
{
	static char output[4096];
	size_t length = 0;
	int ends[2];
	pid_t child;

	ck_assert_int_eq(pipe(ends), 0);
	if (!reader)
		close(ends[0]);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (!child) {
		dup2(ends[1], STDERR_FILENO);
		close(ends[1]);
		unsetenv("HAWSER_LOG");
		unsetenv("HAWSER_TRACE");
		if (variable)
			setenv(variable, value, 1);
		signal(SIGPIPE, SIG_DFL);
		execl(program, program, what, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	while (reader && length < sizeof output - 1) {
		ssize_t n = read(ends[0], output + length, sizeof output - 1 - length);

		if (n <= 0)
			break;
		length += (size_t)n;
	}
	if (reader)
		close(ends[0]);
	output[length] = '\0';
	ck_assert_int_eq(waitpid(child, status, 0), child);
	return output;
}

static const char *say_with(const char *what, const char *variable, const char *value)
{
	int status;
	const char *output = run_say(what, variable, value, true, &status);

	ck_assert_msg(status == 0, "the child failed: status %#x: %s", (unsigned)status, output);
	return output;
}

START_TEST(warnings_and_errors_go_to_stderr_by_default)
{
	ck_assert_str_eq(say_with("levels", NULL, NULL),
			 "hawser: warning: line\nhawser: error: line\n");
	ck_assert_str_eq(say_with("levels", "HAWSER_LOG", ""),
			 "hawser: warning: line\nhawser: error: line\n");
}
END_TEST

START_TEST(environment_sets_the_level)
{
	ck_assert_str_eq(say_with("levels", "HAWSER_LOG", "debug"),
			 "hawser: debug: line\nhawser: info: line\n"
			 "hawser: warning: line\nhawser: error: line\n");
	ck_assert_str_eq(say_with("levels", "HAWSER_LOG", "none"), "");
}
END_TEST

START_TEST(program_overrides_the_environment)
{
	ck_assert_str_eq(say_with("set", "HAWSER_LOG", "debug"), "hawser: error: line\n");
}
END_TEST

START_TEST(environment_that_makes_no_sense_is_told)
{
	ck_assert_str_eq(say_with("set", "HAWSER_LOG", "loud"),
			 "hawser: warning: HAWSER_LOG=loud: no such level; use debug, info, "
			 "warning, error or none\nhawser: error: line\n");
	ck_assert_ptr_nonnull(
		strstr(say_with("trace", "HAWSER_TRACE", "yes"), "HAWSER_TRACE=yes: use 1"));
	ck_assert_ptr_nonnull(
		strstr(say_with("trace", "HAWSER_TRACE", "99999999999999999999"), "use 1"));
	ck_assert_ptr_nonnull(strstr(say_with("trace", "HAWSER_TRACE", "-1"), "use 1"));
}
END_TEST

START_TEST(environment_switches_the_trace)
{
	ck_assert_str_eq(say_with("trace", NULL, NULL), "");
	ck_assert_str_eq(say_with("trace", "HAWSER_TRACE", "0"), "");
	ck_assert_str_eq(say_with("trace", "HAWSER_TRACE", ""), "");
	ck_assert_str_eq(say_with("trace", "HAWSER_TRACE", "1"), "trace 512\n");
	ck_assert_str_eq(say_with("trace", "HAWSER_TRACE", "4096"), "trace 4096\n");
}
END_TEST

START_TEST(broken_stderr_does_not_kill_the_program)
{
	int status;

	run_say("broken pipe", NULL, NULL, false, &status);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 7, "status %#x",
		      (unsigned)status);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite;
	TCase *tcase;
	int result;

	if (argc > 1)
		return say(argv[1]);
	program = realpath(argv[0], NULL);
	if (!program) {
		perror(argv[0]);
		return EXIT_FAILURE;
	}
	suite = suite_create("util/log");
	tcase = suite_case(suite, "log");
	tcase_add_test(tcase, level_names_and_parse_agree);
	tcase_add_test(tcase, log_passes_lines_from_the_level_on);
	tcase_add_test(tcase, log_hands_the_formatted_line_to_the_sink);
	tcase_add_test(tcase, log_line_stays_one_line);
	tcase_add_test(tcase, log_line_too_long_ends_in_an_ellipsis);
	tcase_add_test(tcase, log_keeps_errno);
	tcase_add_test(tcase, sink_that_calls_the_library_does_not_deadlock);
	tcase_add_test(tcase, trace_is_switched_by_the_api);
	tcase = suite_case(suite, "threads");
	tcase_add_test(tcase, log_serialises_its_sink);
	tcase_add_test(tcase, log_works_in_a_child_forked_while_another_thread_logs);
	tcase = suite_case(suite, "environment");
	tcase_add_test(tcase, warnings_and_errors_go_to_stderr_by_default);
	tcase_add_test(tcase, environment_sets_the_level);
	tcase_add_test(tcase, program_overrides_the_environment);
	tcase_add_test(tcase, environment_that_makes_no_sense_is_told);
	tcase_add_test(tcase, environment_switches_the_trace);
	tcase_add_test(tcase, broken_stderr_does_not_kill_the_program);
	result = suite_run(suite);
	free(program);
	return result;
}
