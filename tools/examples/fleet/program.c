/* Numbers, text and time of both programs. */

#include "program.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

unsigned parse_number(const char *name, const char *text, unsigned least, unsigned most)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	/* strtoul() takes signs and spaces. */
	if (!isdigit((unsigned char)*text) || *end || errno || number < least || number > most) {
		fprintf(stderr, "%s: %s \"%s\": give a whole number from %u to %u\n",
			program_invocation_short_name, name, text, least, most);
		exit(2);
	}
	return (unsigned)number;
}

char *clean(char *buffer, size_t size, const char *text)
{
	size_t length = 0;

	for (; text[length] && length + 1 < size; length++)
		buffer[length] = iscntrl((unsigned char)text[length]) ? '?' : text[length];
	buffer[length] = 0;
	return buffer;
}

uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
