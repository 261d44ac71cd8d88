/* hawser shutdown: asks a server to finish its calls and stop. */

#include "command.h"
#include "server.h"
#include "text.h"
#include <errno.h>
#include <stdio.h>

struct settings {
	const char *reason;
	uint64_t timeout_ms;
};

static const struct settings defaults = {.timeout_ms = 5000};

static const struct option options[] = {
	{"reason", "TEXT", "why, for the server's log", OPTION_TEXT,
	 offsetof(struct settings, reason), 0, 0},
	{"timeout", "MS", "how long to wait for the answer (5000)", OPTION_COUNT,
	 offsetof(struct settings, timeout_ms), 1, 86400000},
	{.name = NULL},
};

static int shut_down(const void *data, size_t n_arguments, char **arguments)
{
	const struct settings *settings = data;
	const char *address = arguments[0];
	struct hawser_client *client;
	struct hawser_error error;
	char name[128], clean[128];
	int code;

	code = server_connect(&command_shutdown, address, (unsigned)settings->timeout_ms, &client);
	if (code != EXIT_DONE)
		return code;
	hawser_client_server_name(client, name, sizeof name);
	code = hawser_client_shutdown(client, settings->reason, &error);
	hawser_client_free(client);
	if (code == 0) {
		printf("%s (%s) finishes its calls and stops\n", address,
		       text_clean(clean, sizeof clean, name));
		return EXIT_DONE;
	}
	command_server_error(&command_shutdown, address, &error);
	if (code == -EPERM)
		fprintf(stderr,
			"A server takes this only if its options allow it (allow_shutdown: "
			"over a unix socket, from the same user); SIGTERM does the same.\n");
	return EXIT_FAILED;
}

const struct command command_shutdown = {
	.name = "shutdown",
	.arguments = "ADDR",
	.min_arguments = 1,
	.max_arguments = 1,
	.summary = "ask a server to finish its calls and stop",
	.description =
		"Asks the server at ADDR to drain: to take no more calls, finish those in flight,\n"
		"and stop. Says what the server answered; does not wait until it has ended.\n",
	.notes = "Exits 0 if the server will stop, 1 if it refuses or cannot be reached.\n",
	.options = options,
	.defaults = &defaults,
	.settings_size = sizeof defaults,
	.run = shut_down,
};
