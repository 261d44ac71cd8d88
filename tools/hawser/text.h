/* Text that came from somebody else, on its way to a terminal or into JSON.
 *
 * A server chooses its name and the texts of its failures. It must not be able to
 * move the cursor, forge a line, or break whoever parses the output. */

#ifndef HAWSER_TOOL_TEXT_H
#define HAWSER_TOOL_TEXT_H

#include <stddef.h>

/**
 * Copies `text` for people to read, cut at `size`: each control character and
 * each byte that is not UTF-8 becomes "?". Returns `buffer`.
 */
const char *text_clean(char *buffer, size_t size, const char *text);

/** Prints `text` as a JSON string on stdout; what is not UTF-8 becomes U+FFFD. */
void text_print_json(const char *text);

#endif /* HAWSER_TOOL_TEXT_H */
