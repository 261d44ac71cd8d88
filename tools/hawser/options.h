/* Options of a subcommand: a table of what there is, and one parser for all.
 *
 * getopt_long() would print its own texts, know no ranges and suggest nothing.
 * This one names the option, the value, and what would have been right. */

#ifndef HAWSER_TOOL_OPTIONS_H
#define HAWSER_TOOL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind {
	OPTION_FLAG,    /* bool, takes no value */
	OPTION_TEXT,    /* const char * */
	OPTION_COUNT,   /* uint64_t from min to max */
	OPTION_BYTES,   /* the same; 64K and 16M are understood */
	OPTION_DECIMAL, /* double from min to max, without 0 */
};

struct option {
	const char *name;  /* without the dashes */
	const char *value; /* what the help calls its value, "N" */
	const char *help;
	enum option_kind kind;
	size_t offset; /* into the command's settings */
	uint64_t min, max;
};

/** Where parsing stopped. */
enum options_result {
	OPTIONS_OK,
	OPTIONS_HELP,  /* --help or -h came first */
	OPTIONS_WRONG, /* `error` says what is wrong */
};

struct options_error {
	char text[400];
};

/**
 * Parses "--name VALUE" and "--name=VALUE" anywhere among the arguments ("--" ends them) and
 * stores them in `settings`. What is left is moved to the front of `argv`, its number to
 * *n_arguments.
 */
enum options_result options_parse(const struct option *options, void *settings, int argc,
				  char **argv, size_t *n_arguments, struct options_error *error);

/** Reads a whole number as OPTION_COUNT and OPTION_BYTES do. Returns whether it is one. */
bool options_parse_whole(enum option_kind kind, const char *text, uint64_t *value);

/** Prints the table for --help on stdout. */
void options_print(const struct option *options);

#endif /* HAWSER_TOOL_OPTIONS_H */
