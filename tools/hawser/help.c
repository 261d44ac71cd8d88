/* hawser help: what there is, and what each command does. */

#include "command.h"

static int help(const void *settings, size_t n_arguments, char **arguments)
{
	const struct command *command = NULL;

	if (n_arguments) {
		command = command_find(arguments[0]);
		if (!command)
			return EXIT_USAGE;
	}
	command_print_help(command);
	return EXIT_DONE;
}

static const struct option options[] = {{.name = NULL}};

const struct command command_help = {
	.name = "help",
	.arguments = "[COMMAND]",
	.max_arguments = 1,
	.summary = "explain a command",
	.description = "Explains a command, or lists them all.\n",
	.options = options,
	.run = help,
};
