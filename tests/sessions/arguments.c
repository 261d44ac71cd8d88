/* A table of options, walked through. */

#include "arguments.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

static _Noreturn void wrong(const char *format, ...) __attribute__((__format__(__printf__, 1, 2)));

static _Noreturn void wrong(const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(2);
}

static void take(const struct argument *argument, const char *value)
{
	unsigned long long number;
	char *end = NULL;

	if (argument->text) {
		*argument->text = value;
		return;
	}
	errno = 0;
	number = strtoull(value, &end, 10);
	if (!isdigit((unsigned char)*value) || *end || errno || number < argument->least ||
	    number > argument->most)
		wrong("--%s \"%s\": give a whole number from %u to %u", argument->name, value,
		      argument->least, argument->most);
	*argument->number = (unsigned)number;
}

const char *arguments_parse(int argc, char **argv, const struct argument *arguments, size_t n)
{
	const char *address = NULL;

	/* Whatever becomes of the test that started it, this program does not outlive it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 1; i < argc; i++) {
		const struct argument *argument = NULL;

		if (strncmp(argv[i], "--", 2) != 0) {
			if (address)
				wrong("%s: give one address; %s is one already", argv[i], address);
			address = argv[i];
			continue;
		}
		for (size_t j = 0; j < n; j++) {
			if (strcmp(argv[i] + 2, arguments[j].name) == 0)
				argument = &arguments[j];
		}
		if (!argument)
			wrong("%s: there is no such option; the source tells which there are",
			      argv[i]);
		if (++i == argc)
			wrong("--%s: give a value", argument->name);
		take(argument, argv[i]);
	}
	if (!address)
		wrong("give an address, such as tcp:127.0.0.1:0 or unix:PATH");
	return address;
}
