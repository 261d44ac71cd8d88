/* A child process as a filter: bytes in, bytes out. */

#ifndef GEN_PROCESS_H
#define GEN_PROCESS_H

#include "arena.h"
#include "text.h"

/**
 * Runs `program` (looked up in PATH) without arguments, feeds it `in` and
 * collects what it writes. Returns NULL, or what went wrong and what to do.
 */
char *process_filter(struct arena *arena, const char *program, const struct text *in,
		     struct text *out);

/** Reads a file descriptor to its end. Returns 0 or a negative errno. */
int process_read_all(int fd, struct text *out);

#endif
