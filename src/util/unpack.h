/* Unpacking that tells why it failed.
 *
 * protobuf-c says only that it did. Whether the message is not valid, unfolds to more than it may,
 * or found no memory makes a different status for whoever sent it; so the allocator that it is
 * unpacked with notes the last two. */

#ifndef HAWSER_UTIL_UNPACK_H
#define HAWSER_UTIL_UNPACK_H

#include "util/arena.h"

/**
 * A message of `type` in the arena; with NULL on the heap, as those are that users free. NULL and
 * errno: EBADMSG (it is not valid), EMSGSIZE (it is larger than the arena's limit) or ENOMEM.
 */
ProtobufCMessage *hawser__unpack(const ProtobufCMessageDescriptor *type,
				 struct hawser__arena *arena, const uint8_t *packed, size_t length);

#endif /* HAWSER_UTIL_UNPACK_H */
