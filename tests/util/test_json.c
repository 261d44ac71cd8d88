/* Messages as JSON text: the mapping, what is cut, what is masked, what is damaged.
 * test_json_python.py compares random messages with protobuf's own json_format. */

#include "json.pb-c.h"
#include "support/random.h"
#include "support/suite.h"
#include "util/json.h"
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCALARS (&hawser__test__scalars__descriptor)
#define LISTS (&hawser__test__lists__descriptor)
#define TREE (&hawser__test__tree__descriptor)
#define NAMES (&hawser__test__names__descriptor)
#define LOGIN (&hawser__test__login__descriptor)
#define MAPS (&hawser__test__maps__descriptor)

static char text[100000];

static const char *render(const ProtobufCMessageDescriptor *type, const void *packed, size_t length)
{
	size_t written = hawser__json_render(text, sizeof text, type, packed, length, NULL);

	ck_assert_uint_eq(written, strlen(text));
	return text;
}

/* Of packed bytes written as a string literal. */
#define RENDER(type, literal) render(type, literal, sizeof(literal) - 1)

START_TEST(empty_message_is_an_empty_object)
{
	ck_assert_str_eq(RENDER(SCALARS, ""), "{}");
	ck_assert_str_eq(render(SCALARS, NULL, 0), "{}");
}
END_TEST

START_TEST(integers_of_32_bits_are_numbers)
{
	ck_assert_str_eq(RENDER(SCALARS, "\x08\x96\x01"), "{\"int32Value\":150}");
	ck_assert_str_eq(RENDER(SCALARS, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
			 "{\"int32Value\":-1}");
	ck_assert_str_eq(RENDER(SCALARS, "\x10\x03"), "{\"sint32Value\":-2}");
	ck_assert_str_eq(RENDER(SCALARS, "\x10\xff\xff\xff\xff\x0f"),
			 "{\"sint32Value\":-2147483648}");
	ck_assert_str_eq(RENDER(SCALARS, "\x1d\xfe\xff\xff\xff"), "{\"sfixed32Value\":-2}");
	ck_assert_str_eq(RENDER(SCALARS, "\x38\xff\xff\xff\xff\x0f"),
			 "{\"uint32Value\":4294967295}");
	ck_assert_str_eq(RENDER(SCALARS, "\x45\xff\xff\xff\xff"), "{\"fixed32Value\":4294967295}");
}
END_TEST

START_TEST(integers_of_64_bits_are_strings)
{
	ck_assert_str_eq(RENDER(SCALARS, "\x20\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
			 "{\"int64Value\":\"-9223372036854775808\"}");
	ck_assert_str_eq(RENDER(SCALARS, "\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
			 "{\"sint64Value\":\"-9223372036854775808\"}");
	ck_assert_str_eq(RENDER(SCALARS, "\x31\xff\xff\xff\xff\xff\xff\xff\xff"),
			 "{\"sfixed64Value\":\"-1\"}");
	ck_assert_str_eq(RENDER(SCALARS, "\x48\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
			 "{\"uint64Value\":\"18446744073709551615\"}");
	ck_assert_str_eq(RENDER(SCALARS, "\x51\x01\x00\x00\x00\x00\x00\x00\x80"),
			 "{\"fixed64Value\":\"9223372036854775809\"}");
}
END_TEST

START_TEST(floats_are_the_shortest_that_read_back)
{
	ck_assert_str_eq(RENDER(SCALARS, "\x5d\xcd\xcc\xcc\x3d"), "{\"floatValue\":0.1}");
	ck_assert_str_eq(RENDER(SCALARS, "\x5d\xff\xff\x7f\x7f"), "{\"floatValue\":3.4028235e+38}");
	ck_assert_str_eq(RENDER(SCALARS, "\x61\x9a\x99\x99\x99\x99\x99\xb9\x3f"),
			 "{\"doubleValue\":0.1}");
	ck_assert_str_eq(RENDER(SCALARS, "\x61\x34\x33\x33\x33\x33\x33\xd3\x3f"),
			 "{\"doubleValue\":0.30000000000000004}");
}
END_TEST

START_TEST(floats_that_are_no_numbers_are_strings)
{
	ck_assert_str_eq(RENDER(SCALARS, "\x5d\x00\x00\xc0\x7f"), "{\"floatValue\":\"NaN\"}");
	ck_assert_str_eq(RENDER(SCALARS, "\x5d\x00\x00\x80\xff"), "{\"floatValue\":\"-Infinity\"}");
	ck_assert_str_eq(RENDER(SCALARS, "\x61\x00\x00\x00\x00\x00\x00\xf0\x7f"),
			 "{\"doubleValue\":\"Infinity\"}");
}
END_TEST

/* Where the locale is installed; without it there is nothing to disturb. */
START_TEST(floats_have_a_point_in_every_locale)
{
	static const char *const with_comma[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "ru_RU.UTF-8"};

	for (size_t i = 0; i < sizeof with_comma / sizeof *with_comma; i++) {
		if (!setlocale(LC_NUMERIC, with_comma[i]))
			continue;
		ck_assert_str_eq(RENDER(SCALARS, "\x5d\x00\x00\xc0\x3f"), "{\"floatValue\":1.5}");
		setlocale(LC_NUMERIC, "C");
	}
	ck_assert_str_eq(RENDER(SCALARS, "\x5d\x00\x00\xc0\x3f"), "{\"floatValue\":1.5}");
}
END_TEST

START_TEST(bools_and_enums_are_words)
{
	ck_assert_str_eq(RENDER(SCALARS, "\x68\x01\x70\x02"),
			 "{\"boolValue\":true,\"colour\":\"GREEN\"}");
	ck_assert_str_eq(RENDER(SCALARS, "\x68\x00\x70\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
			 "{\"boolValue\":false,\"colour\":\"INFRARED\"}");
	ck_assert_str_eq(RENDER(SCALARS, "\x70\x4d"), "{\"colour\":77}");
}
END_TEST

START_TEST(strings_are_escaped)
{
	ck_assert_str_eq(RENDER(SCALARS, "\x7a\x07\"\\\n\r\t\b\f"),
			 "{\"stringValue\":\"\\\"\\\\\\n\\r\\t\\b\\f\"}");
	ck_assert_str_eq(RENDER(SCALARS, "\x7a\x05"
					 "a\0\x1b\x7f"
					 "b"),
			 "{\"stringValue\":\"a\\u0000\\u001b\\u007fb\"}");
	/* C1 controls, line and paragraph separators */
	ck_assert_str_eq(RENDER(SCALARS, "\x7a\x08\xc2\x9b\xe2\x80\xa8\xe2\x80\xa9"),
			 "{\"stringValue\":\"\\u009b\\u2028\\u2029\"}");
	ck_assert_str_eq(RENDER(SCALARS, "\x7a\x0c\xc3\xbc\xe4\xb8\xad\xf0\x9f\x9c\x81/</"),
			 "{\"stringValue\":\"ü中🜁/</\"}");
}
END_TEST

START_TEST(invalid_utf8_becomes_replacement_characters)
{
	static const struct {
		const char *bytes, *expected;
	} cases[] = {
		{"a\xff"
		 "b",
		 "a\xef\xbf\xbd"
		 "b"},
		{"\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd"},
		/* overlong */
		{"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xe0\x80\xaf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xf0\x80\x80\xaf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		/* a surrogate */
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		/* above U+10FFFF */
		{"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xf5", "\xef\xbf\xbd"},
		/* characters that break off: one replacement each (Unicode, table 3-8) */
		{"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf"
		 "A",
		 "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
		 "A"},
		{"x\xe4\xb8", "x\xef\xbf\xbd"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char packed[32], expected[64];
		size_t length = strlen(cases[i].bytes);

		packed[0] = 0x7a;
		packed[1] = (char)length;
		memcpy(packed + 2, cases[i].bytes, length);
		snprintf(expected, sizeof expected, "{\"stringValue\":\"%s\"}", cases[i].expected);
		ck_assert_str_eq(render(SCALARS, packed, length + 2), expected);
	}
}
END_TEST

START_TEST(bytes_are_base64)
{
	/* RFC 4648, section 10 */
	ck_assert_str_eq(RENDER(SCALARS, "\x82\x01\x00"), "{\"bytesValue\":\"\"}");
	ck_assert_str_eq(RENDER(SCALARS, "\x82\x01\x01"
					 "f"),
			 "{\"bytesValue\":\"Zg==\"}");
	ck_assert_str_eq(RENDER(SCALARS, "\x82\x01\x02"
					 "fo"),
			 "{\"bytesValue\":\"Zm8=\"}");
	ck_assert_str_eq(RENDER(SCALARS, "\x82\x01\x06"
					 "foobar"),
			 "{\"bytesValue\":\"Zm9vYmFy\"}");
	ck_assert_str_eq(RENDER(SCALARS, "\x82\x01\x03\xff\xef\xbe"), "{\"bytesValue\":\"/+++\"}");
}
END_TEST

START_TEST(names_are_lower_camel_case_as_protoc_makes_them)
{
	ck_assert_str_eq(
		RENDER(NAMES, "\x08\x01\x10\x01\x18\x01\x20\x01\x28\x01\x30\x01\x38\x01\x40\x01\x48"
			      "\x01"),
		"{\"plain\":1,\"snakeCaseName\":1,\"camelCase\":1,\"Upper\":1,\"trailing\":1,"
		"\"Leading\":1,\"withTwo\":1,\"digit12a\":1,\"MIXEDCaseX\":1}");
}
END_TEST

START_TEST(messages_nest)
{
	ck_assert_str_eq(RENDER(TREE, "\x0a\x01"
				      "a\x12\x05\x0a\x03"
				      "abc\x1a\x00"),
			 "{\"name\":\"a\",\"left\":{\"name\":\"abc\"},\"right\":{}}");
}
END_TEST

START_TEST(repeated_fields_become_one_array)
{
	ck_assert_str_eq(RENDER(LISTS, "\x42\x01"
				       "a\x42\x00\x42\x01"
				       "b"),
			 "{\"stringValue\":[\"a\",\"\",\"b\"]}");
	/* also when other fields stand between the elements */
	ck_assert_str_eq(RENDER(LISTS, "\x42\x01"
				       "a\x4a\x01"
				       "f\x42\x01"
				       "b\x4a\x00"),
			 "{\"stringValue\":[\"a\",\"b\"],\"bytesValue\":[\"Zg==\",\"\"]}");
	/* or one of another wire type, which is shown apart */
	ck_assert_str_eq(RENDER(LISTS, "\x42\x01"
				       "a\x45\x05\x00\x00\x00\x42\x01"
				       "b"),
			 "{\"stringValue\":[\"a\",\"b\"],\"8\":5}");
	ck_assert_str_eq(RENDER(LISTS, "\x52\x00\x52\x02\x68\x01"),
			 "{\"scalars\":[{},{\"boolValue\":true}]}");
}
END_TEST

START_TEST(packed_and_unpacked_elements_mix)
{
	ck_assert_str_eq(RENDER(LISTS, "\x0a\x03\x01\x96\x01\x08\x07\x0a\x00\x0a\x01\x08"),
			 "{\"int32Value\":[1,150,7,8]}");
	ck_assert_str_eq(RENDER(LISTS, "\x58\x01\x5a\x02\x02\x03"), "{\"unpacked\":[1,2,3]}");
	ck_assert_str_eq(RENDER(LISTS, "\x0a\x00"), "{\"int32Value\":[]}");
	ck_assert_str_eq(RENDER(LISTS, "\x1a\x08\x01\x00\x00\x00\x02\x00\x00\x00"
				       "\x12\x02\x01\x02\x32\x02\x01\x00\x3a\x02\x01\x4d"),
			 "{\"fixed32Value\":[1,2],\"sint64Value\":[\"-1\",\"1\"],"
			 "\"boolValue\":[true,false],\"colour\":[\"RED\",77]}");
}
END_TEST

START_TEST(the_last_value_of_a_field_counts)
{
	ck_assert_str_eq(RENDER(SCALARS, "\x08\x01\x68\x01\x08\x02"),
			 "{\"boolValue\":true,\"int32Value\":2}");
}
END_TEST

START_TEST(the_last_member_of_a_oneof_counts)
{
	ck_assert_str_eq(RENDER(TREE, "\x20\x05\x0a\x01"
				      "n\x2a\x01t"),
			 "{\"name\":\"n\",\"text\":\"t\"}");
	ck_assert_str_eq(RENDER(TREE, "\x2a\x01t\x32\x00"), "{\"scalars\":{}}");
}
END_TEST

START_TEST(maps_are_the_entries_they_are)
{
	ck_assert_str_eq(RENDER(MAPS, "\x0a\x05\x0a\x01"
				      "a\x10\x01\x0a\x05\x0a\x01"
				      "b\x10\x02"),
			 "{\"counts\":[{\"key\":\"a\",\"value\":1},{\"key\":\"b\",\"value\":2}]}");
}
END_TEST

START_TEST(unknown_fields_are_shown_by_number)
{
	ck_assert_str_eq(RENDER(TREE, "\x0a\x01n\xd0\x3e\x96\x01"),
			 "{\"name\":\"n\",\"1002\":150}");
	ck_assert_str_eq(RENDER(NULL, "\x08\x01\x12\x04rope\x1a\x02\xff\x00\x25\x07\x00\x00\x00"
				      "\x29\x09\x00\x00\x00\x00\x00\x00\x00"),
			 "{\"1\":1,\"2\":\"rope\",\"3\":\"/wA=\",\"4\":7,\"5\":9}");
	/* not to be rounded by who reads it */
	ck_assert_str_eq(RENDER(NULL, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
			 "{\"1\":\"18446744073709551615\"}");
	ck_assert_str_eq(RENDER(NULL, "\x08\x01\x08\x02\x10\x03"), "{\"1\":[1,2],\"2\":3}");
	ck_assert_str_eq(RENDER(TREE, "\x83\x7d\x08\x01\x13\x18\x02\x14\x84\x7d\x0a\x01n"),
			 "{\"2000\":{\"1\":1,\"2\":{\"3\":2}},\"name\":\"n\"}");
}
END_TEST

START_TEST(field_of_another_wire_type_is_unknown)
{
	ck_assert_str_eq(RENDER(SCALARS, "\x0a\x01x"), "{\"1\":\"x\"}");
	ck_assert_str_eq(RENDER(SCALARS, "\x0d\x01\x00\x00\x00"), "{\"1\":1}");
	ck_assert_str_eq(RENDER(TREE, "\x10\x05"), "{\"2\":5}");
	ck_assert_str_eq(RENDER(LISTS, "\x45\x05\x00\x00\x00"), "{\"8\":5}");
}
END_TEST

START_TEST(field_numbers_may_be_large)
{
	ck_assert_str_eq(RENDER(TREE, "\x80\x97\x22\x05"), "{\"afterAll\":5}");
	ck_assert_str_eq(RENDER(TREE, "\xf8\xff\xff\xff\x0f\x05"), "{\"536870911\":5}");
}
END_TEST

START_TEST(what_cannot_be_read_is_told)
{
	/* the tag, its value, a length beyond the end, in a nested message, in a packed field */
	ck_assert_str_eq(RENDER(SCALARS, "\x08\x01\x80"), "{\"int32Value\":1} !invalid at 2");
	ck_assert_str_eq(RENDER(SCALARS, "\x68\x01\x08"), "{\"boolValue\":true} !invalid at 2");
	ck_assert_str_eq(RENDER(SCALARS, "\x7a\x05rope"), "{} !invalid at 0");
	ck_assert_str_eq(RENDER(TREE, "\x12\x04\x20\x01\x0a\x05\x0a\x00"),
			 "{\"left\":{\"number\":\"1\"}} !invalid at 4");
	ck_assert_str_eq(RENDER(LISTS, "\x0a\x03\x01\x02\x80\x42\x00"),
			 "{\"int32Value\":[1,2]} !invalid at 4");
	/* a value cut short, a varint of 11 bytes, field number 0, wire types 6 and 7 */
	ck_assert_str_eq(RENDER(SCALARS, "\x5d\x00\x00\x00"), "{} !invalid at 0");
	ck_assert_str_eq(RENDER(SCALARS, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
			 "{} !invalid at 0");
	ck_assert_str_eq(RENDER(SCALARS, "\x00\x01"), "{} !invalid at 0");
	ck_assert_str_eq(RENDER(SCALARS, "\x0e\x01"), "{} !invalid at 0");
	ck_assert_str_eq(RENDER(SCALARS, "\x0f\x01"), "{} !invalid at 0");
	/* a tag of more than 32 bits */
	ck_assert_str_eq(RENDER(SCALARS, "\x88\x80\x80\x80\x10\x01"), "{} !invalid at 0");
	/* groups: not ended, ended by another number, ended without a beginning */
	ck_assert_str_eq(RENDER(NULL, "\x0b\x10\x01"), "{} !invalid at 0");
	ck_assert_str_eq(RENDER(NULL, "\x0b\x10\x01\x14"), "{} !invalid at 0");
	ck_assert_str_eq(RENDER(NULL, "\x08\x01\x0c"), "{\"1\":1} !invalid at 2");
}
END_TEST

START_TEST(nesting_is_shown_to_a_bound)
{
	uint8_t packed[400];
	size_t at = sizeof packed, levels = 0;

	/* From the innermost outwards: 0x12, how much there is already. */
	while (sizeof packed - at < 120) {
		packed[at - 1] = (uint8_t)(sizeof packed - at);
		packed[at - 2] = 0x12;
		at -= 2;
		levels++;
	}
	render(TREE, packed + at, sizeof packed - at);
	ck_assert_uint_eq(levels, 60);
	ck_assert_ptr_nonnull(strstr(text, "{\"left\":{\"left\":\"…\"}}"));
	ck_assert_ptr_null(strstr(text, "!invalid"));

	/* A group in a group in … is skipped to a bound as well. */
	memset(packed, 0x0b, 200);
	memset(packed + 200, 0x0c, 200);
	ck_assert_str_eq(render(NULL, packed, sizeof packed), "{} !invalid at 0");
}
END_TEST

static bool password_is_secret(const ProtobufCMessageDescriptor *message, uint32_t field,
			       void *data)
{
	ck_assert_ptr_eq(data, text);
	return message == LOGIN && (field == 2 || field == 3 || field == 9);
}

START_TEST(secrets_are_masked)
{
	const struct hawser__json_options options = {
		.max_bytes = 1000, .is_secret = password_is_secret, .data = text};
	/* user, password, keys twice, a newer secret field, and the same in `nested` */
	static const char packed[] =
		"\x0a\x01u\x12\x02pw\x1a\x01k\x1a\x01l\x48\x05\x22\x07\x12\x02pw\x1a\x01k";

	hawser__json_render(text, sizeof text, LOGIN, (const uint8_t *)packed, sizeof packed - 1,
			    &options);
	ck_assert_str_eq(text,
			 "{\"user\":\"u\",\"password\":\"***\",\"keys\":\"***\",\"9\":\"***\","
			 "\"nested\":{\"password\":\"***\",\"keys\":\"***\"}}");
	/* of the wrong wire type, or in a message that is damaged further on */
	hawser__json_render(text, sizeof text, LOGIN, (const uint8_t *)"\x10\x05\x18\x07\x0f", 5,
			    &options);
	ck_assert_str_eq(text, "{\"password\":\"***\",\"keys\":\"***\"} !invalid at 4");
}
END_TEST

/* Whether every byte belongs to a whole character; the texts here are at most three bytes long. */
static bool is_utf8(const char *string)
{
	const unsigned char *at = (const unsigned char *)string;

	while (*at) {
		int more = *at < 0x80    ? 0
			   : *at >= 0xf0 ? 3
			   : *at >= 0xe0 ? 2
			   : *at >= 0xc2 ? 1
					 : -1;

		if (more < 0)
			return false;
		for (at++; more; more--, at++)
			if ((*at & 0xc0) != 0x80)
				return false;
	}
	return true;
}

static const char umlauts[] = "\x7a\x16"
			      "aü中🜁ü中🜁b\n\"";

START_TEST(text_is_cut_at_every_length)
{
	static const char whole[] = "{\"stringValue\":\"aü中🜁ü中🜁b\\n\\\"\"}";
	const uint8_t *packed = (const uint8_t *)umlauts;
	const size_t length = sizeof umlauts - 1, mark = strlen("…");
	char buffer[sizeof whole + 10];

	ck_assert_str_eq(RENDER(SCALARS, umlauts), whole);
	for (size_t size = 0; size < sizeof buffer; size++) {
		size_t written;

		memset(buffer, 0x55, sizeof buffer);
		written = hawser__json_render(buffer, size, SCALARS, packed, length, NULL);
		for (size_t i = size; i < sizeof buffer; i++)
			ck_assert_uint_eq((uint8_t)buffer[i], 0x55);
		if (!size) {
			ck_assert_uint_eq(written, 0);
			continue;
		}
		ck_assert_uint_eq(written, strlen(buffer));
		ck_assert_uint_lt(written, size);
		ck_assert(is_utf8(buffer));
		if (size >= sizeof whole) {
			ck_assert_str_eq(buffer, whole);
		} else if (size > mark) {
			/* At most the rest of one character is given away. */
			ck_assert_uint_ge(written + 4, size);
			ck_assert_str_eq(buffer + written - mark, "…");
			ck_assert(!strncmp(buffer, whole, written - mark));
		} else {
			ck_assert_uint_eq(written, 0);
		}
	}
}
END_TEST

START_TEST(max_bytes_cuts_as_the_buffer_does)
{
	struct hawser__json_options options = {0};
	char buffer[100];

	for (size_t most = 0; most < sizeof buffer - 1; most++) {
		options.max_bytes = most;
		hawser__json_render(buffer, sizeof buffer, SCALARS, (const uint8_t *)umlauts,
				    sizeof umlauts - 1, &options);
		hawser__json_render(text, most + 1, SCALARS, (const uint8_t *)umlauts,
				    sizeof umlauts - 1, NULL);
		ck_assert_str_eq(buffer, text);
	}
}
END_TEST

/* Fields of few bytes, most of which the descriptor of Lists or Tree knows. */
static size_t random_message(uint8_t *packed, size_t room)
{
	size_t at = 0;

	while (room - at > 40 && !random_one_in(12)) {
		size_t n = random_below(9);

		packed[at++] = (uint8_t)(random_below(13) << 3 | random_below(6));
		if (random_one_in(2))
			packed[at++] = (uint8_t)n;
		random_fill(packed + at, n);
		at += n;
	}
	return at;
}

/* Under a sanitizer this shows that nothing is read or written beyond its end. */
START_TEST(random_bytes_give_one_line_of_text)
{
	static const ProtobufCMessageDescriptor *const types[] = {
		&hawser__test__scalars__descriptor, &hawser__test__lists__descriptor,
		&hawser__test__tree__descriptor, NULL};
	unsigned long rounds = suite_rounds(200000);

	for (unsigned long round = 0; round < rounds; round++) {
		uint8_t bytes[300];
		size_t length = random_message(bytes, sizeof bytes), size = random_below(400);
		uint8_t *packed = malloc(length ? length : 1);
		char *buffer = malloc(size ? size : 1);
		size_t written;

		memcpy(packed, bytes, length);
		written = hawser__json_render(buffer, size, types[random_below(4)], packed, length,
					      NULL);
		if (size) {
			quick_assert(strlen(buffer) == written);
			quick_assert(written < size);
			quick_assert(is_utf8(buffer));
			for (size_t i = 0; i < written; i++)
				quick_assert((unsigned char)buffer[i] >= 0x20);
		}
		free(packed);
		free(buffer);
	}
}
END_TEST

/* Elements of two repeated fields in turn, and a field that is replaced again and
 * again: without a bound on looking ahead this is quadratic and takes minutes. */
START_TEST(hostile_messages_take_bounded_time)
{
	static uint8_t packed[4 << 20];
	size_t length = sizeof packed;

	for (size_t i = 0; i < length; i += 4)
		memcpy(packed + i, i / 4 % 2 ? "\x42\x00\x4a\x00" : "\x58\x01\x08\x01", 4);
	hawser__json_render(text, 600, LISTS, packed, length, NULL);
	ck_assert_str_eq(text + strlen(text) - strlen("…"), "…");
	for (size_t i = 0; i < length; i += 2)
		memcpy(packed + i, i / 2 % 2 ? "\x08\x01" : "\x68\x01", 2);
	hawser__json_render(text, 600, SCALARS, packed, length, NULL);
	ck_assert_str_eq(text + strlen(text) - strlen("…"), "…");
	/* Groups in groups, many of them. */
	for (size_t i = 0; i < length; i += 64) {
		memset(packed + i, 0x0b, 32);
		memset(packed + i + 32, 0x0c, 32);
	}
	hawser__json_render(text, 600, NULL, packed, length, NULL);
	ck_assert_str_eq(text + strlen(text) - strlen("…"), "…");
	/* One long string. */
	memset(packed, 'x', length);
	memcpy(packed, "\x7a\xfa\xff\xff\x01", 5);
	hawser__json_render(text, 600, SCALARS, packed, length, NULL);
	ck_assert_uint_eq(strlen(text), 599);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("util/json");
	TCase *tcase = suite_case(suite, "mapping");

	tcase_add_test(tcase, empty_message_is_an_empty_object);
	tcase_add_test(tcase, integers_of_32_bits_are_numbers);
	tcase_add_test(tcase, integers_of_64_bits_are_strings);
	tcase_add_test(tcase, floats_are_the_shortest_that_read_back);
	tcase_add_test(tcase, floats_that_are_no_numbers_are_strings);
	tcase_add_test(tcase, floats_have_a_point_in_every_locale);
	tcase_add_test(tcase, bools_and_enums_are_words);
	tcase_add_test(tcase, strings_are_escaped);
	tcase_add_test(tcase, invalid_utf8_becomes_replacement_characters);
	tcase_add_test(tcase, bytes_are_base64);
	tcase_add_test(tcase, names_are_lower_camel_case_as_protoc_makes_them);
	tcase_add_test(tcase, messages_nest);
	tcase_add_test(tcase, repeated_fields_become_one_array);
	tcase_add_test(tcase, packed_and_unpacked_elements_mix);
	tcase_add_test(tcase, the_last_value_of_a_field_counts);
	tcase_add_test(tcase, the_last_member_of_a_oneof_counts);
	tcase_add_test(tcase, maps_are_the_entries_they_are);
	tcase = suite_case(suite, "foreign bytes");
	tcase_add_test(tcase, unknown_fields_are_shown_by_number);
	tcase_add_test(tcase, field_of_another_wire_type_is_unknown);
	tcase_add_test(tcase, field_numbers_may_be_large);
	tcase_add_test(tcase, what_cannot_be_read_is_told);
	tcase_add_test(tcase, nesting_is_shown_to_a_bound);
	tcase_add_test(tcase, random_bytes_give_one_line_of_text);
	tcase_add_test(tcase, hostile_messages_take_bounded_time);
	tcase = suite_case(suite, "text");
	tcase_add_test(tcase, secrets_are_masked);
	tcase_add_test(tcase, text_is_cut_at_every_length);
	tcase_add_test(tcase, max_bytes_cuts_as_the_buffer_does);
	return suite_run(suite);
}
