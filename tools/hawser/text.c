/* The two ways out of text.h. */

#include "text.h"
#include <stdio.h>
#include <string.h>

/* The bytes of the character that `text` begins with, and its code point; 0: not UTF-8
 * (also not what encodes it too long, a surrogate, or beyond Unicode). */
static size_t decode(const char *text, unsigned long *code)
{
	static const unsigned long least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *byte = (const unsigned char *)text;
	size_t length;

	if (byte[0] < 0x80)
		length = 1;
	else if (byte[0] >= 0xc2 && byte[0] < 0xe0)
		length = 2;
	else if (byte[0] >= 0xe0 && byte[0] < 0xf0)
		length = 3;
	else if (byte[0] >= 0xf0 && byte[0] < 0xf5)
		length = 4;
	else
		return 0;
	*code = length == 1 ? byte[0] : byte[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((byte[i] & 0xc0) != 0x80) /* also at the end of the text */
			return 0;
		*code = *code << 6 | (byte[i] & 0x3f);
	}
	if (*code < least[length] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff))
		return 0;
	return length;
}

const char *text_clean(char *buffer, size_t size, const char *text)
{
	unsigned long code;
	size_t length, out = 0;

	while (*text) {
		length = decode(text, &code);
		if (out + (length ? length : 1) >= size)
			break;
		if (!length || code < 0x20 || (code >= 0x7f && code < 0xa0)) {
			buffer[out++] = '?';
			text += length ? length : 1;
			continue;
		}
		memcpy(buffer + out, text, length);
		out += length;
		text += length;
	}
	buffer[out] = '\0';
	return buffer;
}

void text_print_json(const char *text)
{
	unsigned long code;
	size_t length;

	putchar('"');
	while (*text) {
		length = decode(text, &code);
		if (!length)
			printf("\\ufffd");
		else if (code < 0x20 || (code >= 0x7f && code < 0xa0))
			printf("\\u%04lx", code);
		else if (code == '"' || code == '\\')
			printf("\\%c", (char)code);
		else
			fwrite(text, 1, length, stdout);
		text += length ? length : 1;
	}
	putchar('"');
}
