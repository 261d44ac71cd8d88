/* Custom options: hawser/options.proto and protobuf-c's own. They reach a
 * generator as fields that its descriptor.proto does not know. */

#ifndef GEN_OPTIONS_H
#define GEN_OPTIONS_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

/** Numbers of hawser/options.proto, by what they extend. */
enum {
	OPTION_SERVICE_EXCLUSIVE = 50700,

	OPTION_METHOD_ID = 50700,
	OPTION_TIMEOUT_MS = 50701,
	OPTION_IDEMPOTENT = 50702,
	OPTION_BLOCKING = 50703,
	OPTION_MAX_REQUEST_BYTES = 50704,
	OPTION_MAX_REPLY_BYTES = 50705,
	OPTION_EXCLUSIVE = 50706,

	OPTION_SECRET = 50700,
};

/** Numbers of protobuf-c/protobuf-c.proto: the extension, then fields of its messages. */
enum {
	OPTION_PB_C = 1019,

	PB_C_FILE_NO_GENERATE = 1,
	PB_C_FILE_GEN_PACK_HELPERS = 2,
	PB_C_FILE_C_PACKAGE = 6,

	PB_C_MESSAGE_GEN_PACK_HELPERS = 1,
	PB_C_MESSAGE_BASE_FIELD_NAME = 3,
};

/** Reads a number or a bool; false and *value untouched if it is not set. `options` may be NULL. */
bool option_number(const ProtobufCMessage *options, uint32_t field, uint64_t *value);

/** Reads a number or a bool in the message `field` of the options. */
bool option_nested_number(const ProtobufCMessage *options, uint32_t field, uint32_t inner,
			  uint64_t *value);

/** Reads a string in the message `field` of the options; borrowed from it. */
bool option_nested_string(const ProtobufCMessage *options, uint32_t field, uint32_t inner,
			  const char **string, size_t *length);

#endif
