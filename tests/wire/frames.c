/* Random messages by way of their descriptors; frames.h says what for. */

#include "frames.h"
#include "support/random.h"
#include "support/suite.h"
#include <stdlib.h>
#include <string.h>

/* ---- bytes ---- */

static void *must_alloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	ck_assert_ptr_nonnull(p);
	return p;
}

struct bytes bytes_copy(const void *data, size_t length)
{
	struct bytes bytes = {must_alloc(length), length};

	if (length)
		memcpy(bytes.data, data, length);
	return bytes;
}

void bytes_free(struct bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct bytes){0};
}

struct bytes bytes_take(struct hawser__buffer *buffer)
{
	struct bytes bytes = {must_alloc(buffer->length), buffer->length};
	size_t at = 0;

	while (buffer->length) {
		struct iovec piece;

		ck_assert_int_eq(hawser__buffer_peek(buffer, &piece, 1), 1);
		memcpy(bytes.data + at, piece.iov_base, piece.iov_len);
		at += piece.iov_len;
		hawser__buffer_consume(buffer, piece.iov_len);
	}
	return bytes;
}

void bytes_append(struct bytes *bytes, const void *data, size_t length)
{
	struct bytes longer = {must_alloc(bytes->length + length), bytes->length + length};

	if (bytes->length)
		memcpy(longer.data, bytes->data, bytes->length);
	if (length)
		memcpy(longer.data + bytes->length, data, length);
	bytes_free(bytes);
	*bytes = longer;
}

/* ---- random messages ---- */

uint64_t random_number(void)
{
	uint64_t width = random_below(65);

	return width ? random_next() >> (64 - width) : 0;
}

static uint8_t *random_bytes(size_t *length)
{
	uint8_t *data;

	*length = (size_t)(random_one_in(8) ? random_below(700) : random_below(12));
	data = must_alloc(*length);
	random_fill(data, *length);
	return data;
}

/* Text in three scripts, no zero byte. */
static char *random_string(void)
{
	static const char *const characters[] = {"a", "B", " ", "\"", "é", "船", "\n"};
	size_t count = (size_t)(random_one_in(8) ? random_below(200) : random_below(12));
	char *text = must_alloc(count * 4 + 1);

	*text = '\0';
	for (size_t i = 0; i < count; i++)
		strcat(text, characters[random_below(sizeof characters / sizeof *characters)]);
	return text;
}

/* Writes one value of the field's type to where it belongs. */
static void fill_value(const ProtobufCFieldDescriptor *field, void *value)
{
	ProtobufCBinaryData *bytes;

	switch (field->type) {
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_ENUM:
		*(uint32_t *)value = (uint32_t)random_number();
		break;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		*(uint64_t *)value = random_number();
		break;
	case PROTOBUF_C_TYPE_BOOL:
		*(protobuf_c_boolean *)value = random_one_in(2);
		break;
	case PROTOBUF_C_TYPE_STRING:
		*(char **)value = random_string();
		break;
	case PROTOBUF_C_TYPE_BYTES:
		bytes = value;
		bytes->data = random_bytes(&bytes->len);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		*(ProtobufCMessage **)value = random_message(field->descriptor);
		break;
	default:
		ck_abort_msg("wire.proto has a field of a type that this test cannot fill: %s",
			     field->name);
	}
}

static size_t size_of(const ProtobufCFieldDescriptor *field)
{
	return field->type == PROTOBUF_C_TYPE_MESSAGE || field->type == PROTOBUF_C_TYPE_STRING
		       ? sizeof(void *)
		       : sizeof(ProtobufCBinaryData);
}

static void fill_list(const ProtobufCFieldDescriptor *field, ProtobufCMessage *message)
{
	size_t count = (size_t)random_below(5), size = size_of(field);
	uint8_t *values;

	if (!count)
		return;
	values = must_alloc(count * size);
	for (size_t i = 0; i < count; i++)
		fill_value(field, values + i * size);
	*(size_t *)((char *)message + field->quantifier_offset) = count;
	*(void **)((char *)message + field->offset) = values;
}

ProtobufCMessage *random_message(const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *message = must_alloc(type->sizeof_message);

	protobuf_c_message_init(type, message);
	for (unsigned i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &type->fields[i];

		if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF || random_one_in(3))
			continue;
		if (field->label == PROTOBUF_C_LABEL_REPEATED)
			fill_list(field, message);
		else
			fill_value(field, (char *)message + field->offset);
	}
	return message;
}

/* ---- frames ---- */

enum hawser__frame_kind random_kind(void)
{
	int kind = 1 + (int)random_below(HAWSER__FRAME_WINDOW + 1);

	return kind > HAWSER__FRAME_WINDOW ? HAWSER__FRAME_HELLO : (enum hawser__frame_kind)kind;
}

const ProtobufCMessageDescriptor *kind_type(enum hawser__frame_kind kind)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field(&hawser__frame__descriptor, kind);

	ck_assert_ptr_nonnull(field);
	return field->descriptor;
}

static ProtobufCMessage **body_of(const Hawser__Frame *frame)
{
	const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(
		&hawser__frame__descriptor, frame->kind_case);

	ck_assert_ptr_nonnull(field);
	return (ProtobufCMessage **)(void *)((char *)frame + field->offset);
}

ProtobufCMessage *frame_body(const Hawser__Frame *frame)
{
	return *body_of(frame);
}

Hawser__Frame *random_frame(enum hawser__frame_kind kind)
{
	Hawser__Frame *frame = (Hawser__Frame *)(void *)random_message(&hawser__frame__descriptor);

	frame->kind_case = (Hawser__Frame__KindCase)kind;
	*body_of(frame) = random_message(kind_type(kind));
	return frame;
}

struct bytes frame_pack(const void *message)
{
	struct bytes bytes = {.length = protobuf_c_message_get_packed_size(message)};

	bytes.data = must_alloc(bytes.length);
	ck_assert_uint_eq(protobuf_c_message_pack(message, bytes.data), bytes.length);
	return bytes;
}

struct bytes frame_pack_prefixed(const Hawser__Frame *frame)
{
	struct bytes packed = frame_pack(frame), whole;
	uint8_t prefix[] = {(uint8_t)(packed.length >> 24), (uint8_t)(packed.length >> 16),
			    (uint8_t)(packed.length >> 8), (uint8_t)packed.length};

	whole = bytes_copy(prefix, sizeof prefix);
	bytes_append(&whole, packed.data, packed.length);
	bytes_free(&packed);
	return whole;
}

/* ---- comparing ---- */

static void check_fields(const struct hawser__frame *decoded, const Hawser__Frame *expected)
{
	struct hawser__frame fields = {.kind = HAWSER__FRAME_IGNORED};

	switch (decoded->kind) {
	case HAWSER__FRAME_PING:
		fields.id = expected->ping->number;
		break;
	case HAWSER__FRAME_PONG:
		fields.id = expected->pong->number;
		break;
	case HAWSER__FRAME_CALL:
		fields.id = expected->call->id;
		fields.method = expected->call->method;
		fields.timeout_ms = expected->call->timeout_ms;
		fields.size = expected->call->size;
		fields.more = expected->call->n_metadata || expected->call->announce;
		break;
	case HAWSER__FRAME_MESSAGE:
		fields.id = expected->message->id;
		fields.last = expected->message->last;
		fields.size = expected->message->size;
		break;
	case HAWSER__FRAME_END:
		fields.id = expected->end->id;
		fields.status = expected->end->status;
		fields.outcome = (uint32_t)expected->end->outcome;
		fields.more = *expected->end->text || expected->end->n_details ||
			      expected->end->n_metadata;
		break;
	case HAWSER__FRAME_CANCEL:
		fields.id = expected->cancel->id;
		break;
	case HAWSER__FRAME_WINDOW:
		fields.id = expected->window->id;
		fields.window = expected->window->bytes;
		break;
	default:
		break; /* left to protobuf-c */
	}
	quick_assert(decoded->id == fields.id);
	quick_assert(decoded->method == fields.method);
	quick_assert(decoded->timeout_ms == fields.timeout_ms);
	quick_assert(decoded->status == fields.status);
	quick_assert(decoded->outcome == fields.outcome);
	quick_assert(decoded->window == fields.window);
	quick_assert(decoded->size == fields.size);
	/* protobuf-c takes a bool of any wire type; by our reading, that is another field. */
	quick_assert(decoded->more || decoded->last == fields.last);
	/* Fields unknown to protobuf-c, or there with their default, make more of it. */
	quick_assert(decoded->more || !fields.more);
}

void check_same(const struct hawser__frame *decoded, const Hawser__Frame *expected)
{
	quick_assert((unsigned)decoded->kind == (unsigned)expected->kind_case);
	quick_assert(decoded->ack == expected->ack);
	quick_assert(decoded->payload_length == expected->payload.len);
	quick_assert(!decoded->payload_length ||
		     !memcmp(decoded->payload, expected->payload.data, expected->payload.len));
	check_fields(decoded, expected);
}

static void check_piece(const uint8_t *piece, size_t piece_length, const uint8_t *data,
			size_t length)
{
	if (!piece) {
		quick_assert(piece_length == 0);
		return;
	}
	quick_assert(piece >= data && piece <= data + length);
	quick_assert(piece_length <= length - (size_t)(piece - data));
}

void check_within(const struct hawser__frame *decoded, const uint8_t *data, size_t length)
{
	check_piece(decoded->body, decoded->body_length, data, length);
	check_piece(decoded->payload, decoded->payload_length, data, length);
}

bool frames_equal(const struct hawser__frame *a, const struct hawser__frame *b)
{
	return a->kind == b->kind && a->body == b->body && a->body_length == b->body_length &&
	       a->payload == b->payload && a->payload_length == b->payload_length &&
	       a->id == b->id && a->method == b->method && a->timeout_ms == b->timeout_ms &&
	       a->status == b->status && a->outcome == b->outcome && a->last == b->last &&
	       a->size == b->size && a->window == b->window && a->ack == b->ack &&
	       a->more == b->more;
}
