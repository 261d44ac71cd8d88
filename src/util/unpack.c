/* protobuf-c's unpacking with an allocator that remembers; unpack.h says why. */

#include "util/unpack.h"
#include "util/alloc.h"
#include <errno.h>

static void *heap_alloc(void *is_starved, size_t size)
{
	void *p = hawser__malloc(size);

	if (!p)
		*(bool *)is_starved = true;
	return p;
}

static void heap_free(void *is_starved, void *pointer)
{
	(void)is_starved;
	free(pointer);
}

static ProtobufCMessage *unpack_on_heap(const ProtobufCMessageDescriptor *type,
					const uint8_t *packed, size_t length)
{
	bool is_starved = false;
	ProtobufCAllocator heap = {heap_alloc, heap_free, &is_starved};
	ProtobufCMessage *message = protobuf_c_message_unpack(type, &heap, length, packed);

	if (!message)
		errno = is_starved ? ENOMEM : EBADMSG;
	return message;
}

ProtobufCMessage *hawser__unpack(const ProtobufCMessageDescriptor *type,
				 struct hawser__arena *arena, const uint8_t *packed, size_t length)
{
	ProtobufCAllocator allocator;
	ProtobufCMessage *message;

	if (!arena)
		return unpack_on_heap(type, packed, length);
	allocator = hawser__arena_allocator(arena);
	message = protobuf_c_message_unpack(type, &allocator, length, packed);
	if (!message) {
		errno = arena->exhausted ? EMSGSIZE : arena->starved ? ENOMEM : EBADMSG;
		/* The next one may fail for another reason, or fit. */
		arena->exhausted = arena->starved = false;
	}
	return message;
}
