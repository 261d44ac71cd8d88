/* Reads packed protobuf messages without knowing their type. */

#ifndef GEN_WIRE_H
#define GEN_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire_bytes {
	const uint8_t *at;
	size_t left;
};

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_LENGTH = 2, WIRE_FIXED32 = 5 };

struct wire_field {
	uint64_t number;
	unsigned type;
	uint64_t value;           /**< of a varint */
	struct wire_bytes string; /**< of WIRE_LENGTH */
};

/** Takes the next field of a message; false at its end or where it is malformed. */
bool wire_next(struct wire_bytes *message, struct wire_field *field);

/** Takes a varint. */
bool wire_varint(struct wire_bytes *bytes, uint64_t *value);

/**
 * Whether a CodeGeneratorRequest nests its messages no deeper than `levels`.
 * protobuf-c unpacks by recursion without a limit, so this comes first.
 */
bool wire_request_is_shallow(const uint8_t *data, size_t length, unsigned levels);

#endif
