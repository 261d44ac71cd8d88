/* hawser version: the versions that matter in a bug report. */

#include "command.h"
#include <event2/event.h>
#include <protobuf-c/protobuf-c.h>
#include <stdio.h>

static int version(const void *settings, size_t n_arguments, char **arguments)
{
	printf("hawser %s\n", HAWSER_VERSION);
	printf("libhawser %s, libevent %s, protobuf-c %s\n", hawser_version(), event_get_version(),
	       protobuf_c_version());
	return EXIT_DONE;
}

static const struct option options[] = {{.name = NULL}};

const struct command command_version = {
	.name = "version",
	.summary = "print the version",
	.description =
		"Prints the version of this command, and of the libraries that it runs on.\n",
	.options = options,
	.run = version,
};
