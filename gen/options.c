/* Custom options, out of the fields that protobuf-c kept unread. An option that was set in pieces
 * arrives as several fields with one number: the last value wins, as when protobuf merges them.
 * What is malformed counts as absent. */

#include "options.h"

#include "wire.h"

/* Finds the last field `number` of a packed message that has the wire type. */
static bool find(struct wire_bytes message, uint32_t number, unsigned type,
		 struct wire_field *found)
{
	struct wire_field field;
	bool is_found = false;

	while (wire_next(&message, &field))
		if (field.number == number && field.type == type) {
			*found = field;
			is_found = true;
		}
	return is_found;
}

bool option_number(const ProtobufCMessage *options, uint32_t field, uint64_t *value)
{
	bool found = false;

	for (unsigned i = 0; options && i < options->n_unknown_fields; i++) {
		const ProtobufCMessageUnknownField *unknown = &options->unknown_fields[i];
		struct wire_bytes bytes = {unknown->data, unknown->len};

		if (unknown->tag == field && unknown->wire_type == PROTOBUF_C_WIRE_TYPE_VARINT)
			found |= wire_varint(&bytes, value);
	}
	return found;
}

static bool find_nested(const ProtobufCMessage *options, uint32_t field, uint32_t inner,
			unsigned type, struct wire_field *found)
{
	bool is_found = false;

	for (unsigned i = 0; options && i < options->n_unknown_fields; i++) {
		const ProtobufCMessageUnknownField *unknown = &options->unknown_fields[i];
		struct wire_bytes bytes = {unknown->data, unknown->len};
		uint64_t length;

		/* protobuf-c keeps the length in front of the bytes. */
		if (unknown->tag != field ||
		    unknown->wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED ||
		    !wire_varint(&bytes, &length) || length > bytes.left)
			continue;
		bytes.left = length;
		is_found |= find(bytes, inner, type, found);
	}
	return is_found;
}

bool option_nested_number(const ProtobufCMessage *options, uint32_t field, uint32_t inner,
			  uint64_t *value)
{
	struct wire_field found;

	if (!find_nested(options, field, inner, WIRE_VARINT, &found))
		return false;
	*value = found.value;
	return true;
}

bool option_nested_string(const ProtobufCMessage *options, uint32_t field, uint32_t inner,
			  const char **string, size_t *length)
{
	struct wire_field found;

	if (!find_nested(options, field, inner, WIRE_LENGTH, &found))
		return false;
	*string = (const char *)found.string.at;
	*length = found.string.left;
	return true;
}
