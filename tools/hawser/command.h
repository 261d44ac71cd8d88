/* What a subcommand is, and how one is chosen.
 *
 * A command is a row of data: its words for --help, its options with their
 * defaults, and a function. Parsing, help, misspelt names and exit codes are the
 * same for all of them and live in command.c and options.c. */

#ifndef HAWSER_TOOL_COMMAND_H
#define HAWSER_TOOL_COMMAND_H

#include "options.h"
#include <hawser/hawser.h>

/** Exit codes of every subcommand; documented in hawser(1). */
enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1, /* the server, the network or the system */
	EXIT_USAGE = 2,  /* the command line */
};

struct command {
	const char *name;
	/** "ADDR", as the usage line shows them. */
	const char *arguments;
	size_t min_arguments, max_arguments;
	/** Half a line for `hawser help`. */
	const char *summary;
	/** What `hawser NAME --help` says under its usage line, and after the options. */
	const char *description, *notes;
	/** Ends with a row without name. */
	const struct option *options;
	/** A struct that the options point into; each run gets a copy of it. */
	const void *defaults;
	size_t settings_size;
	/** Returns the exit code. */
	int (*run)(const void *settings, size_t n_arguments, char **arguments);
};

extern const struct command *const commands[]; /* ends with NULL; main.c */
extern const struct command command_bench, command_echo, command_help, command_lease, command_ping,
	command_proxy, command_shutdown, command_version;

/** The whole program: finds the command, parses, runs. Returns the exit code. */
int command_main(int argc, char **argv);

/** The command of that name, or NULL after saying on stderr that there is none. */
const struct command *command_find(const char *name);

/** Prints a command's help on stdout; NULL: the program's. */
void command_print_help(const struct command *command);

/** Says "hawser NAME: text" on stderr and where to find help. Returns EXIT_USAGE. */
int command_usage_error(const struct command *command, const char *format, ...) HAWSER_PRINTF(2, 3);

/**
 * Says on stderr why `address` could not be used, and what to do about it.
 * Returns the exit code: EXIT_USAGE for an address that is none, else EXIT_FAILED.
 */
int command_server_error(const struct command *command, const char *address,
			 const struct hawser_error *error);

#endif /* HAWSER_TOOL_COMMAND_H */
