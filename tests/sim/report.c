/* Lines with the run's own time; report.h says what for. */

#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool report_is_verbose;

static uint64_t seed;
static const uint64_t *now_us;

void report_begin(uint64_t new_seed, const uint64_t *new_now_us)
{
	seed = new_seed;
	now_us = new_now_us;
}

static void say(FILE *out, const char *format, va_list arguments)
{
	uint64_t now = now_us ? *now_us : 0;

	fprintf(out, "%5" PRIu64 ".%06" PRIu64 " s  ", now / 1000000, now % 1000000);
	vfprintf(out, format, arguments);
	fputc('\n', out);
}

void report_line(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(stdout, format, arguments);
	va_end(arguments);
}

void report_failure(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fprintf(stderr, "seed %" PRIu64 " failed:\n", seed);
	va_start(arguments, format);
	say(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "to see it again: %s --seed %" PRIu64 " --verbose\n",
		program_invocation_short_name, seed);
	exit(EXIT_FAILURE);
}
