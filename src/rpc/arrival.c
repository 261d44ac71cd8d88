/* Gathering messages; arrival.h says where.
 *
 * The wire format of messages: https://protobuf.dev/programming-guides/encoding/. Only the top
 * level is looked at, and only to find one field; the unpacking is protobuf-c's. */

#include "rpc/arrival.h"

#include "net/block.h"
#include "util/alloc.h"
#include <errno.h>
#include <string.h>

/* A field with fewer bytes than these is copied. */
enum { BODY_LEAST = 32 * 1024, LENGTH_BYTES_MOST = 5 };

/* A peer must send so much before memory is taken in larger steps than it sends. */
enum { EARNEST_BYTES = 4 << 20 };

/* ---- fields at the top level ---- */

struct scan {
	const uint8_t *at, *end;
	const uint8_t *length_at; /* of the last field that has one */
};

static bool scan_varint(struct scan *scan, uint64_t *value)
{
	*value = 0;
	for (unsigned shift = 0; shift < 64 && scan->at < scan->end; shift += 7) {
		uint8_t byte = *scan->at++;

		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return true;
	}
	return false;
}

/* The next field: its number, and for one with a length that. Its bytes are still to be skipped
 * then. False: the end, or nothing that could be told. */
static bool scan_field(struct scan *scan, uint64_t *number, bool *has_length, uint64_t *length)
{
	uint64_t tag, value;
	size_t fixed;

	if (!scan_varint(scan, &tag))
		return false;
	*number = tag >> 3;
	*has_length = (tag & 7) == 2;
	*length = 0;
	scan->length_at = scan->at;
	if (*has_length)
		return scan_varint(scan, length);
	if ((tag & 7) == 0)
		return scan_varint(scan, &value);
	fixed = (tag & 7) == 1 ? 8 : (tag & 7) == 5 ? 4 : SIZE_MAX;
	if (fixed > (size_t)(scan->end - scan->at))
		return false;
	scan->at += fixed;
	return true;
}

/* A field that can be received by itself. */
static const ProtobufCFieldDescriptor *body_field(const ProtobufCMessageDescriptor *type,
						  uint64_t number)
{
	const ProtobufCFieldDescriptor *field =
		number <= UINT32_MAX
			? protobuf_c_message_descriptor_get_field(type, (unsigned)number)
			: NULL;

	return field && field->type == PROTOBUF_C_TYPE_BYTES &&
			       field->label != PROTOBUF_C_LABEL_REPEATED
		       ? field
		       : NULL;
}

/* Looks at the beginning of a message for a field that is most of what follows. */
static void find_body(struct hawser__arrival *arrival, const uint8_t *data, size_t length)
{
	struct scan scan = {data, data + length, NULL};
	uint64_t number, bytes;
	bool has_length;

	while (scan_field(&scan, &number, &has_length, &bytes)) {
		size_t begin = (size_t)(scan.at - data);

		if (!has_length)
			continue;
		/* A length of more bytes than it can need is protobuf-c's to judge. */
		if (bytes >= BODY_LEAST && bytes <= arrival->size - begin &&
		    scan.at - scan.length_at <= LENGTH_BYTES_MOST)
			arrival->field = body_field(arrival->type, number);
		if (arrival->field) {
			arrival->body_begin = begin;
			arrival->length_at = (size_t)(scan.length_at - data);
			arrival->body_length = (size_t)bytes;
			return;
		}
		if (bytes > (size_t)(scan.end - scan.at))
			return;
		scan.at += bytes;
	}
}

/* ---- life ---- */

struct hawser__arrival *hawser__arrival_new(struct hawser__loop *loop,
					    const ProtobufCMessageDescriptor *type, size_t size)
{
	struct hawser__arrival *arrival = hawser__calloc(1, sizeof *arrival);

	if (!arrival)
		return NULL;
	arrival->loop = loop;
	arrival->type = type;
	arrival->size = size;
	return arrival;
}

void hawser__arrival_view(struct hawser__arrival *arrival, const ProtobufCMessageDescriptor *type,
			  const uint8_t *packed, size_t length)
{
	/* It is never received into: the fields for that stay as they are. */
	arrival->next = NULL;
	arrival->size = arrival->received = arrival->length = length;
	arrival->cost = 0;
	arrival->type = type;
	arrival->packed = (uint8_t *)(uintptr_t)packed;
	arrival->body = NULL;
	arrival->field = NULL;
	arrival->is_view = true;
	arrival->is_orphan = false;
}

struct hawser__arrival *hawser__arrival_keep(struct hawser__arrival *arrival)
{
	struct hawser__arrival *kept;

	if (!arrival->is_view)
		return arrival;
	kept = hawser__malloc(sizeof *kept + arrival->length);
	if (!kept)
		return NULL;
	hawser__arrival_view(kept, arrival->type, NULL, arrival->length);
	kept->cost = arrival->cost;
	kept->is_view = false;
	kept->loop = NULL;
	kept->packed = (uint8_t *)(kept + 1);
	if (arrival->length)
		memcpy(kept->packed, arrival->packed, arrival->length);
	return kept;
}

void hawser__arrival_free(struct hawser__arrival *arrival)
{
	if (!arrival || arrival->is_view)
		return;
	/* Of a kept view they lie behind it. */
	if (arrival->packed != (uint8_t *)(arrival + 1))
		hawser__block_give(arrival->loop, arrival->packed);
	hawser__block_give(arrival->loop, arrival->body);
	free(arrival);
}

/* ---- gathering ---- */

/* At the first bytes it shows what the message is like. */
static int begin(struct hawser__arrival *arrival, const uint8_t *data, size_t length)
{
	if (arrival->type)
		find_body(arrival, data, length);
	/* The field stays, with a length of 0. */
	if (arrival->field) {
		arrival->body = hawser__block_take(arrival->body_length);
		arrival->packed =
			arrival->body ? hawser__malloc(arrival->size - arrival->body_length) : NULL;
	} else {
		arrival->packed = hawser__block_take(arrival->size + !arrival->size);
	}
	return arrival->packed ? 0 : -ENOMEM;
}

/* The length in front of the body becomes 0, which takes one byte. */
static void close_gap(struct hawser__arrival *arrival)
{
	arrival->length = arrival->length_at;
	arrival->packed[arrival->length++] = 0;
	arrival->packed_gap = arrival->length;
}

/* Bytes that go to `packed` until the body begins or the message ends. */
static size_t to_packed(const struct hawser__arrival *arrival)
{
	return arrival->field && arrival->received < arrival->body_begin
		       ? arrival->body_begin - arrival->received
		       : arrival->size - arrival->received;
}

static bool is_in_body(const struct hawser__arrival *arrival)
{
	return arrival->field && arrival->received >= arrival->body_begin &&
	       arrival->received - arrival->body_begin < arrival->body_length;
}

int hawser__arrival_add(struct hawser__arrival *arrival, const uint8_t *data, size_t length)
{
	if (!arrival->packed && begin(arrival, data, length) < 0)
		return -ENOMEM;
	while (length) {
		bool is_body = is_in_body(arrival);
		size_t part =
			is_body ? arrival->body_length - (arrival->received - arrival->body_begin)
				: to_packed(arrival);

		if (part > length)
			part = length;
		memcpy(is_body ? arrival->body + (arrival->received - arrival->body_begin)
			       : arrival->packed + arrival->length,
		       data, part);
		hawser__arrival_placed(arrival, part);
		data += part;
		length -= part;
	}
	return 0;
}

uint8_t *hawser__arrival_place(const struct hawser__arrival *arrival, size_t length)
{
	if (!arrival->packed)
		return NULL;
	if (is_in_body(arrival)) {
		size_t at = arrival->received - arrival->body_begin;

		return length <= arrival->body_length - at ? arrival->body + at : NULL;
	}
	return length <= to_packed(arrival) ? arrival->packed + arrival->length : NULL;
}

/* The rest comes, too, most likely. */
static void expect_rest(struct hawser__arrival *arrival)
{
	if (arrival->field)
		hawser__expect_use(arrival->body, arrival->body_length);
	else
		hawser__expect_use(arrival->packed, arrival->size);
}

void hawser__arrival_placed(struct hawser__arrival *arrival, size_t length)
{
	if (!is_in_body(arrival))
		arrival->length += length;
	if (arrival->received < EARNEST_BYTES && arrival->received + length >= EARNEST_BYTES)
		expect_rest(arrival);
	arrival->received += length;
	if (arrival->field && arrival->received == arrival->body_begin)
		close_gap(arrival);
}

/* ---- unpacking ---- */

/* Whether the field comes once more behind the body. The last one counts. */
static bool is_superseded(const struct hawser__arrival *arrival)
{
	struct scan scan = {arrival->packed + arrival->packed_gap,
			    arrival->packed + arrival->length, NULL};
	uint64_t number, bytes;
	bool has_length;

	while (scan_field(&scan, &number, &has_length, &bytes)) {
		if (number == arrival->field->id)
			return true;
		if (bytes > (size_t)(scan.end - scan.at))
			return false;
		scan.at += bytes;
	}
	return false;
}

/* Whether the message, as unpacked, holds that field, and not another one of its oneof. */
static bool holds(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
		return true;
	return *(const uint32_t *)(const void *)((const char *)message +
						 field->quantifier_offset) == field->id;
}

ProtobufCMessage *hawser__arrival_unpack(struct hawser__arrival *arrival,
					 struct hawser__arena *arena)
{
	ProtobufCMessage *message =
		hawser__unpack(arrival->type, arena, arrival->packed, arrival->length);
	ProtobufCBinaryData *data;

	if (!message || !arrival->field || is_superseded(arrival) ||
	    !holds(message, arrival->field))
		return message;
	data = (ProtobufCBinaryData *)(void *)((char *)message + arrival->field->offset);
	/* An empty one came before, perhaps a default: whatever it is, it is protobuf-c's. */
	data->len = arrival->body_length;
	data->data = arrival->body;
	if (!arena)
		arrival->body = NULL;
	return message;
}
