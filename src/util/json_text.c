/* Writing JSON tokens; json_text.h says what it promises. */

#include "util/json_text.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(struct hawser__json_text *text, const char *bytes, size_t length)
{
	size_t room = text->limit - text->length;

	if (text->cut)
		return;
	if (length > room) {
		length = room;
		text->cut = true;
	}
	memcpy(text->buffer + text->length, bytes, length);
	text->length += length;
}

void hawser__json_text_raw(struct hawser__json_text *text, const char *raw)
{
	put(text, raw, strlen(raw));
}

/* Decodes one character as Unicode's table 3-7 has it: nothing overlong, no
 * surrogate, nothing above U+10FFFF. Returns its length, or 0 and in *bad how many
 * bytes make one U+FFFD (the longest beginning of a character, or one byte). */
static size_t decode(const uint8_t *at, size_t left, uint32_t *character, size_t *bad)
{
	uint8_t lowest = 0x80, highest = 0xbf;
	size_t length;

	*bad = 1;
	if (at[0] < 0x80) {
		*character = at[0];
		return 1;
	}
	if (at[0] < 0xc2 || at[0] > 0xf4)
		return 0;
	length = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
	if (at[0] == 0xe0)
		lowest = 0xa0;
	else if (at[0] == 0xed)
		highest = 0x9f;
	else if (at[0] == 0xf0)
		lowest = 0x90;
	else if (at[0] == 0xf4)
		highest = 0x8f;
	*character = at[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		*bad = i;
		if (i >= left || at[i] < lowest || at[i] > highest)
			return 0;
		*character = *character << 6 | (at[i] & 0x3f);
		lowest = 0x80;
		highest = 0xbf;
	}
	return length;
}

/* C1 too: U+009B steers a terminal as ESC [ does. */
static bool is_control(uint32_t character)
{
	return character < 0x20 || (character >= 0x7f && character < 0xa0);
}

bool hawser__json_text_is_plain(const uint8_t *bytes, size_t length)
{
	for (size_t at = 0; at < length;) {
		uint32_t character;
		size_t bad, n = decode(bytes + at, length - at, &character, &bad);

		if (!n || is_control(character))
			return false;
		at += n;
	}
	return true;
}

static void put_escaped(struct hawser__json_text *text, uint32_t character)
{
	static const char short_forms[] = "\bb\ff\nn\rr\tt\"\"\\\\";
	char escape[8] = "\\";

	for (const char *form = short_forms; *form; form += 2) {
		if ((uint32_t)*form == character) {
			escape[1] = form[1];
			put(text, escape, 2);
			return;
		}
	}
	snprintf(escape, sizeof escape, "\\u%04x", (unsigned)character & 0xffff);
	put(text, escape, 6);
}

void hawser__json_text_string(struct hawser__json_text *text, const uint8_t *bytes, size_t length)
{
	size_t plain = 0, at = 0; /* bytes[plain..at) are to be copied as they are */

	put(text, "\"", 1);
	while (at < length && !text->cut) {
		uint32_t character;
		size_t bad, n = decode(bytes + at, length - at, &character, &bad);

		/* U+2028 and U+2029 end lines in some viewers. */
		if (n && !is_control(character) && character != '"' && character != '\\' &&
		    character != 0x2028 && character != 0x2029) {
			at += n;
			/* Cutting early saves reading megabytes that are not shown. */
			if (at - plain <= text->limit)
				continue;
			n = 0;
			bad = 0;
		}
		if (at > plain)
			put(text, (const char *)bytes + plain, at - plain);
		if (n)
			put_escaped(text, character);
		else if (bad)
			put(text, "\xef\xbf\xbd", 3);
		at += n ? n : bad;
		plain = at;
	}
	if (at > plain)
		put(text, (const char *)bytes + plain, at - plain);
	put(text, "\"", 1);
}

void hawser__json_text_base64(struct hawser__json_text *text, const uint8_t *bytes, size_t length)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	put(text, "\"", 1);
	for (size_t at = 0; at < length && !text->cut; at += 3) {
		size_t left = length - at;
		uint32_t three = (uint32_t)bytes[at] << 16;
		char four[4];

		if (left > 1)
			three |= (uint32_t)bytes[at + 1] << 8;
		if (left > 2)
			three |= bytes[at + 2];
		four[0] = digits[three >> 18];
		four[1] = digits[three >> 12 & 63];
		four[2] = left > 1 ? digits[three >> 6 & 63] : '=';
		four[3] = left > 2 ? digits[three & 63] : '=';
		put(text, four, sizeof four);
	}
	put(text, "\"", 1);
}

void hawser__json_text_signed(struct hawser__json_text *text, int64_t number, bool quoted)
{
	char digits[32];

	snprintf(digits, sizeof digits, quoted ? "\"%" PRId64 "\"" : "%" PRId64, number);
	hawser__json_text_raw(text, digits);
}

void hawser__json_text_unsigned(struct hawser__json_text *text, uint64_t number, bool quoted)
{
	char digits[32];

	snprintf(digits, sizeof digits, quoted ? "\"%" PRIu64 "\"" : "%" PRIu64, number);
	hawser__json_text_raw(text, digits);
}

static bool put_special(struct hawser__json_text *text, double number)
{
	if (isnan(number))
		hawser__json_text_raw(text, "\"NaN\"");
	else if (isinf(number))
		hawser__json_text_raw(text, number < 0 ? "\"-Infinity\"" : "\"Infinity\"");
	else
		return false;
	return true;
}

/* What %g printed, with a point whatever the locale's separator is. */
static void put_decimal(struct hawser__json_text *text, const char *printed)
{
	static const char allowed[] = "0123456789+-eE";
	size_t n = strspn(printed, allowed);

	put(text, printed, n);
	printed += n;
	if (!*printed)
		return;
	put(text, ".", 1);
	hawser__json_text_raw(text, printed + strcspn(printed, allowed));
}

void hawser__json_text_float(struct hawser__json_text *text, float number)
{
	char printed[48];

	if (put_special(text, (double)number))
		return;
	for (int precision = 6; precision <= 9; precision++) {
		snprintf(printed, sizeof printed, "%.*g", precision, (double)number);
		if (strtof(printed, NULL) == number)
			break;
	}
	put_decimal(text, printed);
}

void hawser__json_text_double(struct hawser__json_text *text, double number)
{
	char printed[48];

	if (put_special(text, number))
		return;
	for (int precision = 15; precision <= 17; precision++) {
		snprintf(printed, sizeof printed, "%.*g", precision, number);
		if (strtod(printed, NULL) == number)
			break;
	}
	put_decimal(text, printed);
}

size_t hawser__json_text_finish(struct hawser__json_text *text)
{
	static const char ellipsis[] = "…";
	const size_t mark = sizeof ellipsis - 1;

	if (text->cut && text->limit < mark) {
		text->length = 0;
	} else if (text->cut) {
		if (text->length > text->limit - mark) {
			text->length = text->limit - mark;
			while (text->length &&
			       ((unsigned char)text->buffer[text->length] & 0xc0) == 0x80)
				text->length--;
		}
		memcpy(text->buffer + text->length, ellipsis, mark);
		text->length += mark;
	}
	text->buffer[text->length] = '\0';
	return text->length;
}
