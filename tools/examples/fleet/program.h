/* What the two programs have in common: options that are numbers, text that came from elsewhere. */

#ifndef PROGRAM_H
#define PROGRAM_H

#include <stddef.h>
#include <stdint.h>

/** The most milliseconds that an option takes: a day. */
enum { DAY_MS = 86400000 };

/** The number that `text` is; else says what `name` has to be and ends the program with 2. */
unsigned parse_number(const char *name, const char *text, unsigned least, unsigned most);

/** Copies text, cut at `size`, for a line on a terminal: with a '?' for each control character.
 * Returns `buffer`. */
char *clean(char *buffer, size_t size, const char *text);

/** Milliseconds of a clock that nobody sets. */
uint64_t now_ms(void);

#endif /* PROGRAM_H */
