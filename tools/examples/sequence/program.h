/* What the two programs have in common: options that are numbers, and the log.
 *
 * The library's lines and the program's own go to one place, stderr or a file,
 * in one form: when, how important, what. */

#ifndef PROGRAM_H
#define PROGRAM_H

#include <hawser/log.h>
#include <stdint.h>

/** The most milliseconds that an option takes: a day. */
enum { DAY_MS = 86400000 };

/** The number that `text` is; else says what `name` has to be and ends the program with 2. */
uint32_t parse_number(const char *name, const char *text, uint32_t least, uint32_t most);

/**
 * Starts the log. `level` NULL: HAWSER_LOG from the environment, else warnings.
 * `path` NULL: stderr; a file that exists is appended to. What is wrong with either is
 * told, and ends the program.
 */
void log_start(const char *level, const char *path);

/** Logs a line of the program's own, if the level asks for it. The main thread. */
void note(enum hawser_log_level level, const char *format, ...) HAWSER_PRINTF(2, 3);

#endif /* PROGRAM_H */
