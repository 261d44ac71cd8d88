/* Options and the log of both programs. */

#include "program.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static FILE *log_file;
static enum hawser_log_level log_level = HAWSER_LOG_WARNING;

uint32_t parse_number(const char *name, const char *text, uint32_t least, uint32_t most)
{
	unsigned long long number;
	char *end = NULL;

	errno = 0;
	number = strtoull(text, &end, 10);
	/* strtoull() takes signs and spaces. */
	if (!isdigit((unsigned char)*text) || *end || errno || number < least || number > most) {
		fprintf(stderr, "%s: %s \"%s\": give a whole number from %u to %u\n",
			program_invocation_short_name, name, text, least, most);
		exit(2);
	}
	return (uint32_t)number;
}

/* The library calls it from one thread at a time; stdio keeps our own lines apart from its. */
static void write_line(enum hawser_log_level level, const char *line, void *data)
{
	struct timespec now;
	struct tm local;
	char clock[16];

	(void)data;
	clock_gettime(CLOCK_REALTIME, &now);
	strftime(clock, sizeof clock, "%H:%M:%S", localtime_r(&now.tv_sec, &local));
	fprintf(log_file, "%s.%06ld %s: %s\n", clock, now.tv_nsec / 1000,
		hawser_log_level_name(level), line);
}

void log_start(const char *level, const char *path)
{
	const char *from_environment = getenv("HAWSER_LOG");
	int parsed = hawser_log_level_parse(level ? level : from_environment);

	log_file = stderr;
	if (path)
		log_file = fopen(path, "ae");
	if (!log_file) {
		fprintf(stderr, "%s: --log-file %s: %s; give a file that can be written\n",
			program_invocation_short_name, path, strerror(errno));
		exit(1);
	}
	setvbuf(log_file, NULL, _IOLBF, 0);
	hawser_log_set_sink(write_line, NULL);
	if (level && parsed < 0) {
		fprintf(stderr,
			"%s: --log-level %s: there is no such level; use debug, info, warning, "
			"error or none\n",
			program_invocation_short_name, level);
		exit(2);
	}
	/* What is wrong in the environment the library itself complains about. */
	if (parsed >= 0)
		log_level = (enum hawser_log_level)parsed;
	if (level)
		hawser_log_set_level(log_level);
}

void note(enum hawser_log_level level, const char *format, ...)
{
	va_list arguments;
	char line[512];

	if (level < log_level)
		return;
	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	write_line(level, line, NULL);
}
