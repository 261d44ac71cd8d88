/* Reads packed protobuf messages without knowing their type. */

#include "wire.h"

bool wire_varint(struct wire_bytes *bytes, uint64_t *value)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && bytes->left > 0; shift += 7) {
		uint8_t byte = *bytes->at++;

		bytes->left--;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*value = v;
			return true;
		}
	}
	return false;
}

static bool skip(struct wire_bytes *bytes, uint64_t n)
{
	if (n > bytes->left)
		return false;
	bytes->at += n;
	bytes->left -= n;
	return true;
}

bool wire_next(struct wire_bytes *message, struct wire_field *field)
{
	uint64_t tag, length;

	if (message->left == 0 || !wire_varint(message, &tag))
		return false;
	*field = (struct wire_field){.number = tag >> 3, .type = tag & 7};
	switch (field->type) {
	case WIRE_VARINT:
		return wire_varint(message, &field->value);
	case WIRE_FIXED64:
		return skip(message, 8);
	case WIRE_LENGTH:
		if (!wire_varint(message, &length) || length > message->left)
			return false;
		field->string = (struct wire_bytes){message->at, length};
		return skip(message, length);
	case WIRE_FIXED32:
		return skip(message, 4);
	default:
		return false;
	}
}

/* request.proto_file(15).message_type(4).nested_type(3).nested_type(3)... */
static bool is_shallow(struct wire_bytes message, unsigned level, unsigned levels)
{
	static const uint64_t inner[] = {15, 4, 3};
	struct wire_field field;

	while (wire_next(&message, &field))
		if (field.type == WIRE_LENGTH && field.number == inner[level < 2 ? level : 2] &&
		    (level == levels + 1 || !is_shallow(field.string, level + 1, levels)))
			return false;
	return true;
}

bool wire_request_is_shallow(const uint8_t *data, size_t length, unsigned levels)
{
	return is_shallow((struct wire_bytes){data, length}, 0, levels);
}
