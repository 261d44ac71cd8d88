/* The command lines of ledger-server and ledger-client: whole numbers, texts, an address. */

#ifndef TESTS_SESSIONS_ARGUMENTS_H
#define TESTS_SESSIONS_ARGUMENTS_H

#include <stddef.h>

/** `--name VALUE`. One of number and text is set, and holds the default. */
struct argument {
	const char *name;
	unsigned *number; /* from least to most */
	unsigned least, most;
	const char **text;
};

/**
 * Takes the options out of the command line and gives back the one argument that is
 * left, the address. Whatever is wrong is said on stderr, and ends the program with 2.
 */
const char *arguments_parse(int argc, char **argv, const struct argument *arguments, size_t n);

#endif /* TESTS_SESSIONS_ARGUMENTS_H */
