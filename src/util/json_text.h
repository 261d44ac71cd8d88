/* JSON tokens into a buffer of fixed size.
 *
 * What does not fit is cut, once, and everything after it is ignored; so callers
 * need not check each token. The text is valid UTF-8 whatever bytes go in, and
 * holds no control characters: it may end up on a terminal. */

#ifndef HAWSER_UTIL_JSON_TEXT_H
#define HAWSER_UTIL_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hawser__json_text {
	char *buffer;
	size_t length;
	size_t limit; /* most bytes of text; the buffer has room for a zero byte more */
	bool cut;
};

/** Valid UTF-8 as it is. */
void hawser__json_text_raw(struct hawser__json_text *text, const char *raw);
/** A string in quotes; bytes that are not UTF-8 become U+FFFD. */
void hawser__json_text_string(struct hawser__json_text *text, const uint8_t *bytes, size_t length);
/** Bytes as base64 in quotes. */
void hawser__json_text_base64(struct hawser__json_text *text, const uint8_t *bytes, size_t length);
/** In quotes, as ProtoJSON wants 64-bit integers, or without. */
void hawser__json_text_signed(struct hawser__json_text *text, int64_t number, bool quoted);
void hawser__json_text_unsigned(struct hawser__json_text *text, uint64_t number, bool quoted);
/** The shortest decimal that reads back as the same float (or double); "NaN", "Infinity". */
void hawser__json_text_float(struct hawser__json_text *text, float number);
void hawser__json_text_double(struct hawser__json_text *text, double number);
/** Ends the text with a zero byte, and with "…" if it was cut. Returns its length. */
size_t hawser__json_text_finish(struct hawser__json_text *text);

/** Whether the bytes are UTF-8 without control characters. */
bool hawser__json_text_is_plain(const uint8_t *bytes, size_t length);

#endif /* HAWSER_UTIL_JSON_TEXT_H */
