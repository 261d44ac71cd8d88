/* Any bytes as a message of any type: a line of clean text, never longer than asked for.
 *
 * The first byte chooses the type and whether fields are secret, the next two the limit. */

#include "fuzz.h"
#include "json.pb-c.h"
#include "util/json.h"
#include "wire/wire.pb-c.h"
#include <string.h>

static const ProtobufCMessageDescriptor *const types[] = {
	NULL, /* not known */
	&hawser__test__scalars__descriptor,
	&hawser__test__lists__descriptor,
	&hawser__test__tree__descriptor,
	&hawser__test__names__descriptor,
	&hawser__test__login__descriptor,
	&hawser__test__maps__descriptor,
	&hawser__frame__descriptor,
	&hawser__open__descriptor,
	&hawser__end__descriptor,
};

enum { TYPES = sizeof types / sizeof *types, FULL = 1 << 20, SECRET = 0x80 };

static const char ellipsis[] = "…";

static bool is_third(const ProtobufCMessageDescriptor *message, uint32_t field, void *data)
{
	(void)data;
	require(message);
	return field % 3 == 0;
}

/* UTF-8 (Unicode, table 3-7) without control characters. */
static void check_clean(const char *text, size_t length)
{
	const uint8_t *at = (const uint8_t *)text, *end = at + length;

	while (at < end) {
		uint32_t character = *at++;
		unsigned more = character < 0x80   ? 0
				: character < 0xe0 ? 1
				: character < 0xf0 ? 2
						   : 3;

		if (more) {
			require(character >= 0xc2 && character <= 0xf4);
			character &= 0x3fu >> more;
		}
		for (unsigned i = 0; i < more; i++) {
			require(at < end && (*at & 0xc0) == 0x80);
			character = character << 6 | (*at++ & 0x3f);
		}
		require(more != 2 || character >= 0x800);
		require(more != 3 || (character >= 0x10000 && character <= 0x10ffff));
		require(character < 0xd800 || character > 0xdfff);
		require(character >= 0x20 && (character < 0x7f || character >= 0xa0));
	}
}

/* A text without the mark of its cut. */
static size_t uncut(const char *text, size_t length)
{
	const size_t mark = sizeof ellipsis - 1;

	return length >= mark && !memcmp(text + length - mark, ellipsis, mark) ? length - mark
									       : length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char full[FULL];
	struct hawser__json_options options = {.max_bytes = FULL};
	const ProtobufCMessageDescriptor *type;
	size_t limit, length, full_length;
	char *text;

	if (size < 3)
		return 0;
	type = types[(data[0] & ~SECRET) % TYPES];
	options.is_secret = data[0] & SECRET ? is_third : NULL;
	limit = (size_t)data[1] << 8 | data[2];
	data += 3;
	size -= 3;

	full_length = hawser__json_render(full, sizeof full, type, data, size, &options);
	require(full_length < sizeof full && full[full_length] == '\0');
	require(strlen(full) == full_length);
	check_clean(full, full_length);

	/* Into a buffer of exactly that size: cut, but the same as far as it goes. */
	text = malloc(limit + 1);
	require(text);
	length = hawser__json_render(text, limit + 1, type, data, size, &options);
	require(length <= limit && strlen(text) == length);
	check_clean(text, length);
	require(uncut(text, length) <= full_length);
	require(!memcmp(text, full, uncut(text, length)));
	/* max_bytes cuts as the buffer's size does. */
	if (limit < FULL) {
		char *same = malloc(limit + 100);

		require(same);
		options.max_bytes = limit;
		require(hawser__json_render(same, limit + 100, type, data, size, &options) ==
			length);
		require(!memcmp(same, text, length + 1));
		free(same);
	}
	free(text);
	return 0;
}
