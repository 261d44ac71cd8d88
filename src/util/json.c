/* Walking packed bytes beside their descriptor; json.h says what comes out.
 *
 * Fields are shown in the order of the wire. Nothing is unpacked or remembered:
 * a repeated field collects its later elements by looking ahead, and a singular
 * one looks whether a later value, or a later member of its oneof, replaces it.
 * So that a hostile message cannot make that quadratic, the steps are counted,
 * and a message that needs too many is cut like one that is too long. */

#include "util/json.h"
#include "util/json_text.h"
#include <endian.h>
#include <string.h>

enum { MAX_DEPTH = 32, MAX_GROUPS = 64, SEEN_WORDS = 8, DEFAULT_STEPS = 64 * 1024 };

enum wire_type {
	VARINT = 0,
	FIXED64 = 1,
	DELIMITED = 2,
	GROUP = 3,
	GROUP_END = 4,
	FIXED32 = 5,
};

struct reader {
	const uint8_t *at, *end;
};

/* One field on the wire: a number, or bytes (a group's are what is between its tags). */
struct field {
	uint32_t number;
	enum wire_type wire_type;
	uint64_t value;
	const uint8_t *bytes;
	size_t length;
};

struct json {
	struct hawser__json_text text;
	const struct hawser__json_options *options;
	const uint8_t *invalid; /* the first field that cannot be read */
	uint64_t steps_left;
	unsigned depth;
};

static bool read_varint(struct reader *reader, uint64_t *value)
{
	uint64_t result = 0;

	for (unsigned shift = 0; shift < 70 && reader->at < reader->end; shift += 7) {
		uint8_t byte = *reader->at++;

		result |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*value = result;
			return true;
		}
	}
	return false;
}

static bool read_fixed(struct reader *reader, size_t size, uint64_t *value)
{
	uint64_t little = 0;

	if ((size_t)(reader->end - reader->at) < size)
		return false;
	memcpy(&little, reader->at, size);
	reader->at += size;
	*value = size == 8 ? le64toh(little) : le32toh((uint32_t)little);
	return true;
}

static bool read_tag(struct reader *reader, struct field *field)
{
	uint64_t tag;

	if (!read_varint(reader, &tag) || tag > UINT32_MAX || tag < 8)
		return false;
	field->number = (uint32_t)(tag >> 3);
	field->wire_type = (enum wire_type)(tag & 7);
	return true;
}

static bool read_value(struct reader *reader, struct field *field)
{
	uint64_t length;

	switch (field->wire_type) {
	case VARINT:
		return read_varint(reader, &field->value);
	case FIXED64:
		return read_fixed(reader, 8, &field->value);
	case FIXED32:
		return read_fixed(reader, 4, &field->value);
	case DELIMITED:
		if (!read_varint(reader, &length) || length > (size_t)(reader->end - reader->at))
			return false;
		field->bytes = reader->at;
		field->length = (size_t)length;
		reader->at += length;
		return true;
	case GROUP:
	case GROUP_END:
		break;
	}
	return false;
}

static bool read_group(struct reader *reader, struct field *group)
{
	uint32_t open[MAX_GROUPS];
	unsigned n_open = 0;

	open[n_open++] = group->number;
	group->bytes = reader->at;
	while (n_open) {
		struct field inner;

		group->length = (size_t)(reader->at - group->bytes);
		if (!read_tag(reader, &inner))
			return false;
		if (inner.wire_type == GROUP) {
			if (n_open == MAX_GROUPS)
				return false;
			open[n_open++] = inner.number;
		} else if (inner.wire_type == GROUP_END) {
			if (open[--n_open] != inner.number)
				return false;
		} else if (!read_value(reader, &inner)) {
			return false;
		}
	}
	return true;
}

/* The next field; false at the end, and where a field cannot be read: `at` then
 * stays before it. */
static bool read_field(struct reader *reader, struct field *field)
{
	const uint8_t *start = reader->at;

	*field = (struct field){0};
	if (start == reader->end)
		return false;
	if (read_tag(reader, field) &&
	    (field->wire_type == GROUP ? read_group(reader, field) : read_value(reader, field)))
		return true;
	reader->at = start;
	return false;
}

static bool step(struct json *json)
{
	if (json->text.cut || json->invalid)
		return false;
	if (json->steps_left--)
		return true;
	json->steps_left = 0;
	json->text.cut = true;
	return false;
}

/* ---- what the descriptor says ---- */

static enum wire_type wire_type_of(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
		return FIXED32;
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return FIXED64;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		return DELIMITED;
	default:
		return VARINT;
	}
}

static bool is_packed(const ProtobufCFieldDescriptor *known, const struct field *field)
{
	return field->wire_type == DELIMITED && wire_type_of(known->type) != DELIMITED;
}

/* Parsers take a field of another wire type for an unknown one. */
static bool matches(const ProtobufCFieldDescriptor *known, const struct field *field)
{
	return field->wire_type == wire_type_of(known->type) ||
	       (known->label == PROTOBUF_C_LABEL_REPEATED && is_packed(known, field));
}

static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *type,
						  uint32_t number)
{
	return type ? protobuf_c_message_descriptor_get_field(type, number) : NULL;
}

static bool same_oneof(const ProtobufCFieldDescriptor *a, const ProtobufCFieldDescriptor *b)
{
	return (a->flags & b->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
	       a->quantifier_offset == b->quantifier_offset;
}

static bool is_secret(struct json *json, const ProtobufCMessageDescriptor *type, uint32_t number)
{
	const struct hawser__json_options *options = json->options;

	return type && options && options->is_secret &&
	       options->is_secret(type, number, options->data);
}

/* ---- showing ---- */

static void show_message(struct json *json, const ProtobufCMessageDescriptor *type,
			 const uint8_t *packed, size_t length);

static void show_enum(struct json *json, const ProtobufCEnumDescriptor *type, int number)
{
	const ProtobufCEnumValue *value =
		type ? protobuf_c_enum_descriptor_get_value(type, number) : NULL;

	if (!value) {
		hawser__json_text_signed(&json->text, number, false);
		return;
	}
	hawser__json_text_raw(&json->text, "\"");
	hawser__json_text_raw(&json->text, value->name);
	hawser__json_text_raw(&json->text, "\"");
}

static void show_number(struct json *json, const ProtobufCFieldDescriptor *known, uint64_t value)
{
	struct hawser__json_text *text = &json->text;
	uint32_t low = (uint32_t)value;
	float as_float;
	double as_double;

	switch (known->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		hawser__json_text_signed(text, (int32_t)low, false);
		break;
	case PROTOBUF_C_TYPE_SINT32:
		hawser__json_text_signed(text, (int32_t)(low >> 1 ^ -(low & 1)), false);
		break;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		hawser__json_text_unsigned(text, low, false);
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		hawser__json_text_signed(text, (int64_t)value, true);
		break;
	case PROTOBUF_C_TYPE_SINT64:
		hawser__json_text_signed(text, (int64_t)(value >> 1 ^ -(value & 1)), true);
		break;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		hawser__json_text_unsigned(text, value, true);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		hawser__json_text_raw(text, value ? "true" : "false");
		break;
	case PROTOBUF_C_TYPE_ENUM:
		show_enum(json, known->descriptor, (int32_t)low);
		break;
	case PROTOBUF_C_TYPE_FLOAT:
		memcpy(&as_float, &low, sizeof as_float);
		hawser__json_text_float(text, as_float);
		break;
	case PROTOBUF_C_TYPE_DOUBLE:
		memcpy(&as_double, &value, sizeof as_double);
		hawser__json_text_double(text, as_double);
		break;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		break; /* no numbers */
	}
}

static void show_value(struct json *json, const ProtobufCFieldDescriptor *known,
		       const struct field *field)
{
	switch (known->type) {
	case PROTOBUF_C_TYPE_STRING:
		hawser__json_text_string(&json->text, field->bytes, field->length);
		break;
	case PROTOBUF_C_TYPE_BYTES:
		hawser__json_text_base64(&json->text, field->bytes, field->length);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		show_message(json, known->descriptor, field->bytes, field->length);
		break;
	default:
		show_number(json, known, field->value);
		break;
	}
}

static void show_unknown(struct json *json, const struct field *field)
{
	/* Beyond this, JSON readers round. */
	const uint64_t exact = UINT64_C(1) << 53;

	if (field->wire_type == GROUP)
		show_message(json, NULL, field->bytes, field->length);
	else if (field->wire_type != DELIMITED)
		hawser__json_text_unsigned(&json->text, field->value, field->value > exact);
	else if (hawser__json_text_is_plain(field->bytes, field->length))
		hawser__json_text_string(&json->text, field->bytes, field->length);
	else
		hawser__json_text_base64(&json->text, field->bytes, field->length);
}

static void separate(struct json *json, bool *first)
{
	if (!*first)
		hawser__json_text_raw(&json->text, ",");
	*first = false;
}

static void show_packed(struct json *json, const ProtobufCFieldDescriptor *known,
			const struct field *field, bool *first)
{
	struct reader reader = {field->bytes, field->bytes + field->length};
	struct field element = {.wire_type = wire_type_of(known->type)};

	while (reader.at < reader.end && step(json)) {
		const uint8_t *start = reader.at;

		if (!read_value(&reader, &element)) {
			json->invalid = start;
			return;
		}
		separate(json, first);
		show_number(json, known, element.value);
	}
}

/* All elements of a field: the one in hand and those that follow in `reader`, a copy. */
static void show_repeated(struct json *json, const ProtobufCFieldDescriptor *known,
			  struct field field, struct reader reader)
{
	bool first = true;

	hawser__json_text_raw(&json->text, "[");
	do {
		if (field.number != known->id || !matches(known, &field))
			continue;
		if (is_packed(known, &field)) {
			show_packed(json, known, &field, &first);
		} else {
			separate(json, &first);
			show_value(json, known, &field);
		}
	} while (step(json) && read_field(&reader, &field));
	hawser__json_text_raw(&json->text, "]");
}

/* Fields that the descriptor does not know become an array only when they are
 * neighbours, as a sender's repeated ones are. */
static void show_unknown_run(struct json *json, struct field field, struct reader *reader)
{
	struct reader ahead = *reader;
	struct field next;
	bool array = read_field(&ahead, &next) && next.number == field.number &&
		     next.wire_type == field.wire_type;

	if (array)
		hawser__json_text_raw(&json->text, "[");
	show_unknown(json, &field);
	while (array && step(json)) {
		*reader = ahead;
		hawser__json_text_raw(&json->text, ",");
		show_unknown(json, &next);
		if (!read_field(&ahead, &next) || next.number != field.number ||
		    next.wire_type != field.wire_type)
			break;
	}
	if (array)
		hawser__json_text_raw(&json->text, "]");
}

/* Whether the rest of the message has a value that replaces this field's. */
static bool is_replaced(struct json *json, const ProtobufCMessageDescriptor *type,
			const ProtobufCFieldDescriptor *known, struct reader rest)
{
	struct field field;

	while (step(json) && read_field(&rest, &field)) {
		const ProtobufCFieldDescriptor *other = known;

		if (field.number != known->id) {
			if (!(known->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
				continue;
			other = find_field(type, field.number);
			if (!other || !same_oneof(known, other))
				continue;
		}
		if (matches(other, &field))
			return true;
	}
	return false;
}

/* protobuf_c does not keep json_name; this is how protoc makes it. */
static void show_name(struct json *json, const char *name)
{
	char camel[2] = "";
	bool upper = false;

	hawser__json_text_raw(&json->text, "\"");
	for (; *name; name++) {
		if (*name == '_') {
			upper = true;
			continue;
		}
		camel[0] = *name;
		if (upper && *name >= 'a' && *name <= 'z')
			camel[0] = (char)(*name - 'a' + 'A');
		upper = false;
		hawser__json_text_raw(&json->text, camel);
	}
	hawser__json_text_raw(&json->text, "\":");
}

static void show_key(struct json *json, const ProtobufCFieldDescriptor *known, uint32_t number,
		     bool *first)
{
	separate(json, first);
	if (known) {
		show_name(json, known->name);
	} else {
		hawser__json_text_unsigned(&json->text, number, true);
		hawser__json_text_raw(&json->text, ":");
	}
}

/* Whether an earlier pass over this message has shown the field; notes that it will be. */
static bool seen_before(struct json *json, uint64_t seen[SEEN_WORDS],
			const ProtobufCMessageDescriptor *type,
			const ProtobufCFieldDescriptor *known, struct reader reader,
			const uint8_t *before)
{
	size_t index = (size_t)(known - type->fields);
	struct field field;

	if (index < SEEN_WORDS * 64) {
		uint64_t bit = UINT64_C(1) << index % 64;
		bool result = seen[index / 64] & bit;

		seen[index / 64] |= bit;
		return result;
	}
	/* A message of that many fields is searched from its beginning. */
	while (reader.at < before && step(json) && read_field(&reader, &field))
		if (field.number == known->id && matches(known, &field))
			return reader.at < before;
	return false;
}

static void show_fields(struct json *json, const ProtobufCMessageDescriptor *type,
			struct reader whole)
{
	uint64_t seen[SEEN_WORDS] = {0};
	struct reader reader = whole;
	struct field field;
	bool first = true;

	while (reader.at < reader.end && step(json)) {
		const ProtobufCFieldDescriptor *known;

		if (!read_field(&reader, &field)) {
			json->invalid = reader.at;
			return;
		}
		known = find_field(type, field.number);
		if (is_secret(json, type, field.number)) {
			if (known && seen_before(json, seen, type, known, whole, reader.at))
				continue;
			show_key(json, known, field.number, &first);
			hawser__json_text_raw(&json->text, "\"***\"");
		} else if (!known || !matches(known, &field)) {
			show_key(json, NULL, field.number, &first);
			show_unknown_run(json, field, &reader);
		} else if (known->label == PROTOBUF_C_LABEL_REPEATED) {
			if (seen_before(json, seen, type, known, whole, reader.at))
				continue;
			show_key(json, known, field.number, &first);
			show_repeated(json, known, field, reader);
		} else if (!is_replaced(json, type, known, reader)) {
			show_key(json, known, field.number, &first);
			show_value(json, known, &field);
		}
	}
}

static void show_message(struct json *json, const ProtobufCMessageDescriptor *type,
			 const uint8_t *packed, size_t length)
{
	if (json->depth == MAX_DEPTH) {
		hawser__json_text_raw(&json->text, "\"…\"");
		return;
	}
	json->depth++;
	hawser__json_text_raw(&json->text, "{");
	show_fields(json, type, (struct reader){packed, packed + length});
	hawser__json_text_raw(&json->text, "}");
	json->depth--;
}

size_t hawser__json_render(char *buffer, size_t size, const ProtobufCMessageDescriptor *type,
			   const uint8_t *packed, size_t packed_length,
			   const struct hawser__json_options *options)
{
	struct json json = {.text = {.buffer = buffer}, .options = options};

	if (!size)
		return 0;
	json.text.limit = size - 1;
	if (options && options->max_bytes < json.text.limit)
		json.text.limit = options->max_bytes;
	/* Each step that shows something writes a few bytes; the rest is for looking ahead. */
	json.steps_left = DEFAULT_STEPS + (uint64_t)json.text.limit * 4;
	if (packed_length) {
		show_message(&json, type, packed, packed_length);
	} else {
		hawser__json_text_raw(&json.text, "{}");
	}
	if (json.invalid) {
		hawser__json_text_raw(&json.text, " !invalid at ");
		hawser__json_text_unsigned(&json.text, (uint64_t)(json.invalid - packed), false);
	}
	return hawser__json_text_finish(&json.text);
}
