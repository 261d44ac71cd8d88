/* Text that grows at its end. */

#ifndef GEN_TEXT_H
#define GEN_TEXT_H

#include <stddef.h>

/** Starts as {0}; `bytes` ends with a zero byte once anything was added. */
struct text {
	char *bytes;
	size_t length;
	size_t size;
};

void text_deinit(struct text *text);
void text_add(struct text *text, const char *bytes, size_t length);
void text_add_string(struct text *text, const char *string);
void text_add_char(struct text *text, char c);
void text_printf(struct text *text, const char *format, ...)
	__attribute__((__format__(__printf__, 2, 3)));

#endif
