/* Numbers from the command line, and how long it takes; options.h. */

#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

double options_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

uint64_t options_number(const char *option, const char *text)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || value == 0) {
		fprintf(stderr, "%s: --%s %s: give a whole number from 1 on\n",
			program_invocation_short_name, option, text);
		exit(2);
	}
	return value;
}

/* As suite_rounds() in tests/support, which comes with Check. */
uint64_t options_divided(uint64_t count)
{
	const char *value = getenv("HAWSER_TEST_DIVISOR");
	uint64_t divisor = value ? strtoull(value, NULL, 10) : 1;

	return divisor > 1 && count > divisor ? count / divisor : count;
}
