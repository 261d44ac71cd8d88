/* Limits on and conversions of metadata and details. */

#include "rpc/metadata.h"

#include <errno.h>
#include <string.h>

enum { KEY_MAX = 128 };

static bool is_key(const char *key)
{
	size_t length = key ? strlen(key) : 0;

	if (length == 0 || length > KEY_MAX)
		return false;
	for (size_t i = 0; i < length; i++) {
		char c = key[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '-' || c == '_' || c == '.'))
			return false;
	}
	return true;
}

int hawser__metadata_check(const struct hawser_metadata *metadata, size_t count)
{
	size_t bytes = 0;

	if (count > HAWSER__METADATA_MAX)
		return -EMSGSIZE;
	if (count && !metadata)
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		if (!is_key(metadata[i].key) || (metadata[i].length && !metadata[i].value))
			return -EINVAL;
		if (metadata[i].length > HAWSER__METADATA_BYTES)
			return -EMSGSIZE;
		bytes += strlen(metadata[i].key) + metadata[i].length;
	}
	return bytes > HAWSER__METADATA_BYTES ? -EMSGSIZE : 0;
}

int hawser__metadata_take(Hawser__Metadata *const *wire, size_t count, struct hawser__arena *arena,
			  const struct hawser_metadata **metadata)
{
	struct hawser_metadata *taken;
	size_t bytes = 0;

	if (count > HAWSER__METADATA_MAX)
		return -EMSGSIZE;
	taken = hawser__arena_alloc(arena, (count + !count) * sizeof *taken);
	if (!taken)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		if (!is_key(wire[i]->key))
			return -EINVAL;
		bytes += strlen(wire[i]->key) + wire[i]->value.len;
		taken[i].key = hawser__arena_copy(arena, wire[i]->key, strlen(wire[i]->key));
		taken[i].value = hawser__arena_copy(arena, wire[i]->value.data, wire[i]->value.len);
		taken[i].length = wire[i]->value.len;
		if (!taken[i].key || !taken[i].value)
			return -ENOMEM;
	}
	if (bytes > HAWSER__METADATA_BYTES)
		return -EMSGSIZE;
	*metadata = taken;
	return 0;
}

int hawser__details_take(Hawser__Detail *const *wire, size_t count, struct hawser__arena *arena,
			 const struct hawser_detail **details)
{
	struct hawser_detail *taken;

	if (count > HAWSER__DETAILS_MAX)
		return -EMSGSIZE;
	taken = hawser__arena_alloc(arena, (count + !count) * sizeof *taken);
	if (!taken)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		taken[i].type = hawser__arena_copy(arena, wire[i]->type, strlen(wire[i]->type));
		taken[i].data = (const uint8_t *)hawser__arena_copy(arena, wire[i]->value.data,
								    wire[i]->value.len);
		taken[i].length = wire[i]->value.len;
		if (!taken[i].type || !taken[i].data)
			return -ENOMEM;
	}
	*details = taken;
	return 0;
}

void hawser__metadata_give(const struct hawser_metadata *metadata, size_t count,
			   struct hawser__metadata_wire *wire)
{
	for (size_t i = 0; i < count; i++) {
		hawser__metadata__init(&wire->items[i]);
		wire->items[i].key = (char *)metadata[i].key;
		wire->items[i].value.data = (uint8_t *)metadata[i].value;
		wire->items[i].value.len = metadata[i].length;
		wire->pointers[i] = &wire->items[i];
	}
}

void hawser__details_give(const struct hawser_detail *details, size_t count,
			  struct hawser__details_wire *wire)
{
	for (size_t i = 0; i < count; i++) {
		hawser__detail__init(&wire->items[i]);
		wire->items[i].type = (char *)details[i].type;
		wire->items[i].value.data = (uint8_t *)details[i].data;
		wire->items[i].value.len = details[i].length;
		wire->pointers[i] = &wire->items[i];
	}
}

ProtobufCMessage *hawser_details_unpack(const struct hawser_detail *details, size_t n,
					const ProtobufCMessageDescriptor *type)
{
	if (!details || !type)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(details[i].type, type->name) == 0)
			return protobuf_c_message_unpack(type, NULL, details[i].length,
							 details[i].data);
	}
	return NULL;
}
