/* Choosing and running a subcommand; the words that all of them share. */

#include "command.h"
#include "suggest.h"
#include "text.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct command *command_find(const char *name)
{
	struct suggestion suggestion = SUGGESTION_INIT;

	for (size_t i = 0; commands[i]; i++) {
		if (!strcmp(commands[i]->name, name))
			return commands[i];
		suggestion_consider(&suggestion, name, commands[i]->name);
	}
	fprintf(stderr, "hawser: there is no command \"%.100s\"", name);
	if (suggestion.name)
		fprintf(stderr, "; did you mean \"%s\"?", suggestion.name);
	fprintf(stderr, "\nTry \"hawser help\" for what there is.\n");
	return NULL;
}

static void print_program_help(FILE *file)
{
	fprintf(file, "Usage: hawser COMMAND [OPTION]... [ADDR]\n"
		      "Talks to servers that are made with Hawser.\n"
		      "\n"
		      "Commands:\n");
	for (size_t i = 0; commands[i]; i++)
		fprintf(file, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(file,
		"\n"
		"ADDR is tcp:HOST:PORT (a name, IPv4, or IPv6 in brackets) or unix:PATH.\n"
		"\n"
		"Environment:\n"
		"  HAWSER_LOG=debug|info|warning|error|none  what is logged to stderr\n"
		"  HAWSER_TRACE=1                            print every frame to stderr\n"
		"\n"
		"\"hawser help COMMAND\" tells more of each; so does the manual, hawser(1).\n");
}

void command_print_help(const struct command *command)
{
	if (!command) {
		print_program_help(stdout);
		return;
	}
	printf("Usage: hawser %s [OPTION]...%s%s\n%s\n", command->name,
	       command->arguments ? " " : "", command->arguments ? command->arguments : "",
	       command->description);
	options_print(command->options);
	if (command->notes)
		printf("\n%s", command->notes);
}

int command_usage_error(const struct command *command, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "hawser %s: ", command->name);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\nTry \"hawser %s --help\".\n", command->name);
	return EXIT_USAGE;
}

/* What a person can do about it; NULL: the library's text says it all. */
static const char *advice(const struct hawser_error *error)
{
	/* The error of a call has no code. */
	if (strstr(error->message, "too many open files"))
		return "Raise \"ulimit -n\", or ask for fewer connections.";
	switch (-error->code) {
	case ECONNREFUSED:
		/* A server that rejects open refuses too, and gives its own reason. */
		if (strstr(error->message, "connection refused"))
			return "Nothing listens there: start the server, or correct the address.";
		return NULL;
	case ENOENT:
		return "No server has made this socket: start the server, or correct the path.";
	case EACCES:
		return "The system does not let this user connect: ask for permission on the "
		       "socket file, or run as the server's user.";
	case ETIMEDOUT:
		return "Check host, port and firewalls, and that the server is alive; --timeout "
		       "waits longer.";
	case EHOSTUNREACH:
	case ENETUNREACH:
		return "There is no route to this host: check the address and the network.";
	case EMFILE:
	case ENFILE:
		return "Too many files are open: raise \"ulimit -n\", or ask for fewer "
		       "connections.";
	}
	return NULL;
}

int command_server_error(const struct command *command, const char *address,
			 const struct hawser_error *error)
{
	const char *todo = advice(error);
	char message[HAWSER_ERROR_MESSAGE_SIZE];

	text_clean(message, sizeof message, error->message);
	/* Most texts of the library name the address already. */
	if (strstr(message, address))
		fprintf(stderr, "hawser %s: %s\n", command->name, message);
	else
		fprintf(stderr, "hawser %s: %s: %s\n", command->name, address, message);
	if (error->code == -EINVAL) {
		fprintf(stderr, "An address is tcp:HOST:PORT or unix:PATH.\n");
		return EXIT_USAGE;
	}
	if (todo)
		fprintf(stderr, "%s\n", todo);
	return EXIT_FAILED;
}

static int check_arguments(const struct command *command, size_t n, char **arguments)
{
	if (n < command->min_arguments)
		return command_usage_error(command, "%s is missing: hawser %s %s",
					   command->arguments, command->name, command->arguments);
	if (n > command->max_arguments)
		return command_usage_error(command, "unexpected argument \"%.100s\"",
					   arguments[command->max_arguments]);
	return EXIT_DONE;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct options_error error;
	size_t n_arguments;
	void *settings;
	int code = EXIT_FAILED;

	/* One byte more, so that a command without settings is no special case. */
	settings = calloc(1, command->settings_size + 1);
	if (!settings) {
		fprintf(stderr, "hawser %s: out of memory\n", command->name);
		return EXIT_FAILED;
	}
	if (command->settings_size)
		memcpy(settings, command->defaults, command->settings_size);

	switch (options_parse(command->options, settings, argc, argv, &n_arguments, &error)) {
	case OPTIONS_HELP:
		command_print_help(command);
		code = EXIT_DONE;
		break;
	case OPTIONS_WRONG:
		code = command_usage_error(command, "%s", error.text);
		break;
	case OPTIONS_OK:
		code = check_arguments(command, n_arguments, argv);
		if (code == EXIT_DONE)
			code = command->run(settings, n_arguments, argv);
		break;
	}
	free(settings);
	return code;
}

/* A result that could not be written was not given. */
static int finish_output(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	fprintf(stderr, "hawser: cannot write to standard output: %s\n", strerror(errno));
	return code == EXIT_DONE ? EXIT_FAILED : code;
}

int command_main(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		print_program_help(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		command_print_help(NULL);
		return finish_output(EXIT_DONE);
	}
	if (!strcmp(argv[1], "--version"))
		return finish_output(run(&command_version, 0, argv + 2));
	if (argv[1][0] == '-') {
		fprintf(stderr,
			"hawser: unknown option %.100s; options come after the command\n"
			"Try \"hawser help\".\n",
			argv[1]);
		return EXIT_USAGE;
	}
	command = command_find(argv[1]);
	if (!command)
		return EXIT_USAGE;
	return finish_output(run(command, argc - 2, argv + 2));
}
