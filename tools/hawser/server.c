/* Connecting, with words for when it fails. */

#include "server.h"
#include <stdio.h>

int server_connect(const struct command *command, const char *address, unsigned timeout_ms,
		   struct hawser_client **client)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_client *made;
	struct hawser_error error;
	char name[32];

	snprintf(name, sizeof name, "hawser %s", command->name);
	/* Whether the server answers is the question: a broken connection is an answer. */
	options.no_session = true;
	options.name = name;
	options.connect_timeout_ms = options.timeout_ms = timeout_ms;

	made = hawser_client_new(address, &options, &error);
	if (!made)
		return command_server_error(command, address, &error);
	if (hawser_client_connect(made, &error) < 0) {
		hawser_client_free(made);
		return command_server_error(command, address, &error);
	}
	*client = made;
	return EXIT_DONE;
}
