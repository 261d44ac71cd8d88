/* Protobuf messages as JSON text, for people to read in traces.
 *
 * The mapping is protobuf's own (protobuf.dev, "ProtoJSON Format"): lowerCamelCase
 * names, 64-bit integers as strings, bytes as base64, enums by name. What only a
 * reader in a hurry would miss is left out: map fields are lists of their
 * entries, well-known types look like any other message, and of an embedded
 * message that comes in several parts the last part is shown. One line, cut at
 * a length, fields that are secret masked. Works from the packed bytes and the
 * descriptor, so that also what does not unpack can be shown in part. */

#ifndef HAWSER_UTIL_JSON_H
#define HAWSER_UTIL_JSON_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

struct hawser__json_options {
	size_t max_bytes; /* of text, "…" included */
	/* whether a field is secret; NULL: none is */
	bool (*is_secret)(const ProtobufCMessageDescriptor *message, uint32_t field, void *data);
	void *data;
};

/**
 * Writes `packed`, a message of type `type` (NULL: not known), to buffer as one
 * line of JSON with a zero byte, cut to fit both `size` and max_bytes (always
 * valid UTF-8 without control characters; "…" marks the cut). A secret is "***".
 * Fields that the descriptor does not know are shown by number, bytes that are
 * text as text, others as base64. Bytes that are no valid message: what could be
 * read, then `!invalid at N`. `options` NULL: the buffer is the only limit, no secrets.
 * Allocates nothing; the time it takes is bounded by packed_length and the text's.
 * Returns the length of the text.
 */
size_t hawser__json_render(char *buffer, size_t size, const ProtobufCMessageDescriptor *type,
			   const uint8_t *packed, size_t packed_length,
			   const struct hawser__json_options *options);

#endif /* HAWSER_UTIL_JSON_H */
