/* The hand-written half of the codec; frame.h says which half. */

#include "wire/frame.h"

#include <errno.h>
#include <string.h>

/* Protobuf's wire format: https://protobuf.dev/programming-guides/encoding/ */

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

enum { FIELD_ACK = 13, FIELD_IGNORABLE = 14, FIELD_PAYLOAD = 15 };

#define TAG(field, type) (uint8_t)((field) << 3 | (type))

const char *hawser__frame_kind_name(enum hawser__frame_kind kind)
{
	static const char *const names[HAWSER__FRAME_KINDS] = {
		"ignored", "open",
		"opened",  "rejected",
		"ping",    "pong",
		"close",   "shutdown",
		"call",    "message",
		"end",     "cancel",
		"window",  [HAWSER__FRAME_HELLO] = "hello",
	};

	return (unsigned)kind < HAWSER__FRAME_KINDS && names[kind] ? names[kind] : "unknown";
}

/* ---- reading ---- */

struct reader {
	const uint8_t *at, *end;
};

static bool read_varint_slow(struct reader *reader, uint64_t *value)
{
	uint64_t sum = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		if (reader->at == reader->end)
			return false;
		uint8_t byte = *reader->at++;
		if (shift == 63 && byte > 1)
			return false;
		sum |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*value = sum;
			return true;
		}
	}
	return false;
}

static inline bool read_varint(struct reader *reader, uint64_t *value)
{
	if (reader->at < reader->end && *reader->at < 0x80) {
		*value = *reader->at++;
		return true;
	}
	return read_varint_slow(reader, value);
}

static inline bool read_length(struct reader *reader, size_t *length)
{
	uint64_t value;

	if (!read_varint(reader, &value) || value > (size_t)(reader->end - reader->at))
		return false;
	*length = (size_t)value;
	return true;
}

static bool skip(struct reader *reader, unsigned type)
{
	uint64_t value;
	size_t length = 0;

	switch (type) {
	case WIRE_VARINT:
		return read_varint(reader, &value);
	case WIRE_FIXED64:
		length = 8;
		break;
	case WIRE_FIXED32:
		length = 4;
		break;
	case WIRE_BYTES:
		if (!read_length(reader, &length))
			return false;
		break;
	default:
		return false;
	}
	if (length > (size_t)(reader->end - reader->at))
		return false;
	reader->at += length;
	return true;
}

static uint32_t read_fixed32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The fields that every call needs; whatever else there is sets `more`. */
static bool decode_body(struct hawser__frame *frame)
{
	struct reader reader = {frame->body, frame->body + frame->body_length};
	enum hawser__frame_kind kind = frame->kind;
	uint64_t value;

	while (reader.at < reader.end) {
		uint64_t tag;

		if (!read_varint(&reader, &tag))
			return false;
		if (tag == TAG(1, WIRE_VARINT)) {
			if (!read_varint(&reader, &frame->id))
				return false;
		} else if (kind == HAWSER__FRAME_CALL && tag == TAG(2, WIRE_FIXED32)) {
			if (reader.end - reader.at < 4)
				return false;
			frame->method = read_fixed32(reader.at);
			reader.at += 4;
		} else if (kind == HAWSER__FRAME_CALL && tag == TAG(3, WIRE_VARINT)) {
			if (!read_varint(&reader, &frame->timeout_ms))
				return false;
		} else if (kind == HAWSER__FRAME_END && tag == TAG(2, WIRE_VARINT)) {
			if (!read_varint(&reader, &value))
				return false;
			frame->status = (uint32_t)value;
		} else if (kind == HAWSER__FRAME_END && tag == TAG(3, WIRE_VARINT)) {
			if (!read_varint(&reader, &value))
				return false;
			frame->outcome = (uint32_t)value;
		} else if (kind == HAWSER__FRAME_MESSAGE && tag == TAG(2, WIRE_VARINT)) {
			if (!read_varint(&reader, &value))
				return false;
			frame->last = value != 0;
		} else if (kind == HAWSER__FRAME_MESSAGE && tag == TAG(3, WIRE_VARINT)) {
			if (!read_varint(&reader, &frame->size))
				return false;
		} else if (kind == HAWSER__FRAME_CALL && tag == TAG(6, WIRE_VARINT)) {
			if (!read_varint(&reader, &frame->size))
				return false;
		} else if (kind == HAWSER__FRAME_WINDOW && tag == TAG(2, WIRE_VARINT)) {
			if (!read_varint(&reader, &frame->window))
				return false;
		} else {
			if (tag >> 3 == 0 || !skip(&reader, tag & 7))
				return false;
			frame->more = true;
		}
	}
	return true;
}

/* One of the kinds that consist of numbers, which decode_body understands. */
static bool is_numeric(enum hawser__frame_kind kind)
{
	return kind == HAWSER__FRAME_PING || kind == HAWSER__FRAME_PONG ||
	       (kind >= HAWSER__FRAME_CALL && kind <= HAWSER__FRAME_WINDOW);
}

static int malformed(const char **why, const char *text)
{
	*why = text;
	return -EBADMSG;
}

static bool is_kind(uint64_t field)
{
	return field <= HAWSER__FRAME_WINDOW || field == HAWSER__FRAME_HELLO;
}

int hawser__frame_decode_head(struct hawser__frame *frame, const uint8_t *data, size_t available,
			      size_t length, const char **why)
{
	struct reader reader = {data, data + available};
	bool ignorable = false, known = false;

	memset(frame, 0, sizeof *frame);
	while (reader.at < reader.end) {
		uint64_t tag;
		size_t size;

		if (!read_varint(&reader, &tag) || tag >> 3 == 0)
			return malformed(why, "a field tag is not valid");
		unsigned type = tag & 7;
		uint64_t field = tag >> 3;

		if (field == FIELD_PAYLOAD && type == WIRE_BYTES) {
			uint64_t value;

			if (!read_varint(&reader, &value) ||
			    value > length - (size_t)(reader.at - data))
				return malformed(why, "the payload is longer than its frame");
			frame->payload = reader.at;
			frame->payload_length = (size_t)value;
			if (value >= (size_t)(reader.end - reader.at))
				break;
			reader.at += value;
		} else if (is_kind(field) && type == WIRE_BYTES) {
			if (known)
				return malformed(why, "it is of two kinds at once");
			if (!read_length(&reader, &size))
				return malformed(why, "a field is longer than its frame");
			known = true;
			frame->kind = (enum hawser__frame_kind)field;
			frame->body = reader.at;
			frame->body_length = size;
			reader.at += size;
			if (is_numeric(frame->kind) && !decode_body(frame))
				return malformed(why, "its fields are not valid");
		} else if (field == FIELD_IGNORABLE && type == WIRE_VARINT) {
			uint64_t value;

			if (!read_varint(&reader, &value))
				return malformed(why, "a field is not valid");
			ignorable = value != 0;
		} else if (field == FIELD_ACK && type == WIRE_VARINT) {
			if (!read_varint(&reader, &frame->ack))
				return malformed(why, "a field is not valid");
		} else if (!skip(&reader, type)) {
			return malformed(why, "a field is not valid");
		}
	}
	if (!known && !ignorable)
		return malformed(why, "its kind is not known and it is not marked ignorable");
	return 0;
}

static inline const uint8_t *quick_varint(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
	uint64_t sum = 0;

	for (unsigned shift = 0; at < end && shift < 56; shift += 7) {
		uint8_t byte = *at++;

		sum |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*value = sum;
			return at;
		}
	}
	return NULL;
}

/* Nearly every frame is a call, a message or an end as our own writer makes them: the fields
 * in order, the payload last, nothing rare. Everything else is left to the full reader. */
static bool decode_usual(struct hawser__frame *frame, const uint8_t *data, size_t length)
{
	const uint8_t *at = data + 2, *end = data + length, *body_end;
	uint64_t payload_length = 0;

	if (length < 4 || (data[0] != TAG(HAWSER__FRAME_CALL, WIRE_BYTES) &&
			   data[0] != TAG(HAWSER__FRAME_END, WIRE_BYTES) &&
			   data[0] != TAG(HAWSER__FRAME_MESSAGE, WIRE_BYTES)))
		return false;
	/* One byte of length, so the body ends within the frame or not at all. */
	if (data[1] > length - 2 || data[1] >= 0x80 || *at != TAG(1, WIRE_VARINT))
		return false;
	body_end = at + data[1];
	*frame = (struct hawser__frame){
		.kind = (enum hawser__frame_kind)(data[0] >> 3),
		.body = at,
		.body_length = data[1],
	};
	at = quick_varint(at + 1, body_end, &frame->id);
	if (!at)
		return false;
	if (frame->kind == HAWSER__FRAME_CALL) {
		if (body_end - at < 5 || *at != TAG(2, WIRE_FIXED32))
			return false;
		frame->method = read_fixed32(at + 1);
		at += 5;
		if (at < body_end && *at == TAG(3, WIRE_VARINT)) {
			at = quick_varint(at + 1, body_end, &frame->timeout_ms);
			if (!at)
				return false;
		}
	}
	if (at != body_end)
		return false;
	if (at < end && *at == TAG(FIELD_ACK, WIRE_VARINT)) {
		at = quick_varint(at + 1, end, &frame->ack);
		if (!at)
			return false;
	}
	if (at == end)
		return true;
	if (*at != TAG(FIELD_PAYLOAD, WIRE_BYTES))
		return false;
	at = quick_varint(at + 1, end, &payload_length);
	if (!at || payload_length != (uint64_t)(end - at))
		return false;
	frame->payload = at;
	frame->payload_length = (size_t)payload_length;
	return true;
}

int hawser__frame_decode(struct hawser__frame *frame, const uint8_t *data, size_t length,
			 const char **why)
{
	if (decode_usual(frame, data, length))
		return 0;
	return hawser__frame_decode_head(frame, data, length, length, why);
}

/* ---- writing ---- */

static inline uint8_t *put_varint(uint8_t *at, uint64_t value)
{
	while (value >= 0x80) {
		*at++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*at++ = (uint8_t)value;
	return at;
}

static inline size_t varint_length(uint64_t value)
{
	/* Seven bits a byte, rounded up, without a division: exact for 1 to 64 bits. */
	unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);

	return (bits * 9 + 64) / 64;
}

static inline uint8_t *put_field(uint8_t *at, unsigned field, uint64_t value)
{
	if (value == 0)
		return at;
	*at++ = TAG(field, WIRE_VARINT);
	return put_varint(at, value);
}

static inline uint8_t *put_prefix(uint8_t *at, size_t length)
{
	*at++ = (uint8_t)(length >> 24);
	*at++ = (uint8_t)(length >> 16);
	*at++ = (uint8_t)(length >> 8);
	*at++ = (uint8_t)length;
	return at;
}

/* Appends prefix, kind, body (the fields, then the extra ones) and the payload's tag. */
static inline uint8_t *put_frame(struct hawser__buffer *out, enum hawser__frame_kind kind,
				 uint64_t ack, const uint8_t *fields, size_t fields_length,
				 const uint8_t *extra, size_t extra_length, size_t payload_length)
{
	size_t body_length = fields_length + extra_length;
	size_t length = 1 + varint_length(body_length) + body_length;

	if (ack)
		length += 1 + varint_length(ack);
	if (payload_length)
		length += 1 + varint_length(payload_length) + payload_length;

	uint8_t *at = hawser__buffer_reserve(out, HAWSER__FRAME_PREFIX + length);

	if (!at)
		return NULL;
	at = put_prefix(at, length);
	*at++ = TAG(kind, WIRE_BYTES);
	at = put_varint(at, body_length);
	memcpy(at, fields, fields_length);
	at += fields_length;
	if (extra_length) {
		memcpy(at, extra, extra_length);
		at += extra_length;
	}
	at = put_field(at, FIELD_ACK, ack);
	if (payload_length) {
		*at++ = TAG(FIELD_PAYLOAD, WIRE_BYTES);
		at = put_varint(at, payload_length);
	}
	hawser__buffer_commit(out, HAWSER__FRAME_PREFIX + length);
	return at;
}

/* Tag and value of the fields written by hand: 11 + 5 + 11 bytes at most. */
enum { FIELDS_MAX = 32 };

uint8_t *hawser__frame_put_call(struct hawser__buffer *out, uint64_t ack, uint64_t id,
				uint32_t method, uint64_t timeout_ms, const uint8_t *extra,
				size_t extra_length, size_t payload_length)
{
	uint8_t fields[FIELDS_MAX], *at = put_field(fields, 1, id);

	*at++ = TAG(2, WIRE_FIXED32);
	*at++ = (uint8_t)method;
	*at++ = (uint8_t)(method >> 8);
	*at++ = (uint8_t)(method >> 16);
	*at++ = (uint8_t)(method >> 24);
	at = put_field(at, 3, timeout_ms);
	return put_frame(out, HAWSER__FRAME_CALL, ack, fields, (size_t)(at - fields), extra,
			 extra_length, payload_length);
}

uint8_t *hawser__frame_put_end(struct hawser__buffer *out, uint64_t ack, uint64_t id,
			       uint32_t status, uint32_t outcome, const uint8_t *extra,
			       size_t extra_length, size_t payload_length)
{
	uint8_t fields[FIELDS_MAX], *at = put_field(fields, 1, id);

	at = put_field(at, 2, status);
	at = put_field(at, 3, outcome);
	return put_frame(out, HAWSER__FRAME_END, ack, fields, (size_t)(at - fields), extra,
			 extra_length, payload_length);
}

uint8_t *hawser__frame_put_message(struct hawser__buffer *out, uint64_t ack, uint64_t id, bool last,
				   size_t payload_length)
{
	uint8_t fields[FIELDS_MAX], *at = put_field(fields, 1, id);

	at = put_field(at, 2, last);
	return put_frame(out, HAWSER__FRAME_MESSAGE, ack, fields, (size_t)(at - fields), NULL, 0,
			 payload_length);
}

size_t hawser__frame_message_head(uint8_t head[HAWSER__MESSAGE_HEAD], uint64_t ack, uint64_t id,
				  uint64_t size, size_t payload_length)
{
	uint8_t fields[FIELDS_MAX], *end = put_field(fields, 1, id);
	size_t fields_length = (size_t)((end = put_field(end, 3, size)) - fields);
	size_t length = 2 + fields_length + 1 + varint_length(payload_length) + payload_length;
	uint8_t *at;

	if (ack)
		length += 1 + varint_length(ack);
	at = put_prefix(head, length);
	*at++ = TAG(HAWSER__FRAME_MESSAGE, WIRE_BYTES);
	*at++ = (uint8_t)fields_length;
	memcpy(at, fields, fields_length);
	at = put_field(at + fields_length, FIELD_ACK, ack);
	*at++ = TAG(FIELD_PAYLOAD, WIRE_BYTES);
	at = put_varint(at, payload_length);
	return (size_t)(at - head);
}

uint8_t *hawser__frame_put_window(struct hawser__buffer *out, uint64_t ack, uint64_t id,
				  uint64_t bytes)
{
	uint8_t fields[FIELDS_MAX], *at = put_field(fields, 1, id);

	at = put_field(at, 2, bytes);
	return put_frame(out, HAWSER__FRAME_WINDOW, ack, fields, (size_t)(at - fields), NULL, 0, 0);
}

uint8_t *hawser__frame_put_ack(struct hawser__buffer *out, uint64_t ack)
{
	size_t length = 1 + varint_length(ack) + 2;
	uint8_t *at = hawser__buffer_reserve(out, HAWSER__FRAME_PREFIX + length);

	if (!at)
		return NULL;
	at = put_prefix(at, length);
	*at++ = TAG(FIELD_ACK, WIRE_VARINT);
	at = put_varint(at, ack);
	*at++ = TAG(FIELD_IGNORABLE, WIRE_VARINT);
	*at++ = 1;
	hawser__buffer_commit(out, HAWSER__FRAME_PREFIX + length);
	return at;
}

uint8_t *hawser__frame_put_number(struct hawser__buffer *out, enum hawser__frame_kind kind,
				  uint64_t number)
{
	uint8_t fields[FIELDS_MAX], *at = put_field(fields, 1, number);

	return put_frame(out, kind, 0, fields, (size_t)(at - fields), NULL, 0, 0);
}

/* The one kind whose tag takes two bytes, and that every receiver may skip. */
static uint8_t *put_hello(struct hawser__buffer *out, const uint8_t *body, size_t body_length)
{
	size_t length = 2 + varint_length(body_length) + body_length + 2;
	uint8_t *at = hawser__buffer_reserve(out, HAWSER__FRAME_PREFIX + length);

	if (!at)
		return NULL;
	at = put_prefix(at, length);
	*at++ = TAG(FIELD_IGNORABLE, WIRE_VARINT);
	*at++ = 1;
	at = put_varint(at, HAWSER__FRAME_HELLO << 3 | WIRE_BYTES);
	at = put_varint(at, body_length);
	memcpy(at, body, body_length);
	hawser__buffer_commit(out, HAWSER__FRAME_PREFIX + length);
	return at + body_length;
}

uint8_t *hawser__frame_put_body(struct hawser__buffer *out, enum hawser__frame_kind kind,
				const uint8_t *body, size_t body_length)
{
	if (kind == HAWSER__FRAME_HELLO)
		return put_hello(out, body, body_length);
	return put_frame(out, kind, 0, body, body_length, NULL, 0, 0);
}

/* Where a frame of ours tells what has come, behind the body of its kind; NULL: it does not. */
static uint8_t *find_ack(uint8_t *frame)
{
	uint8_t *begin = frame + HAWSER__FRAME_PREFIX, *end = begin + hawser__frame_length(frame);
	struct reader reader = {begin + 1, end};
	size_t body_length;
	uint8_t *at;

	if (!read_length(&reader, &body_length))
		return NULL;
	at = begin + (reader.at - begin) + body_length;
	return at < end && *at == TAG(FIELD_ACK, WIRE_VARINT) ? at : NULL;
}

/* It becomes a cancel of the same length, so that nothing behind it moves or is numbered
 * anew: what is too much turns into a payload. Its length is padded to four bytes or five, so that
 * every size fits; protobuf allows that, and a call's method alone needs five. What it
 * acknowledges stays, for no other frame may say so again. */
void hawser__frame_take_back(uint8_t *frame, uint64_t id)
{
	uint32_t length = hawser__frame_length(frame);
	uint8_t *at = frame + HAWSER__FRAME_PREFIX, *end = at + length, *told = find_ack(frame);
	uint64_t ack = 0;
	uint32_t rest;
	int more;

	if (told)
		read_varint(&(struct reader){told + 1, end}, &ack);
	*at++ = TAG(HAWSER__FRAME_CANCEL, WIRE_BYTES);
	*at++ = (uint8_t)(1 + varint_length(id));
	*at++ = TAG(1, WIRE_VARINT);
	at = put_varint(at, id);
	at = put_field(at, FIELD_ACK, ack);
	*at++ = TAG(FIELD_PAYLOAD, WIRE_BYTES);
	more = end - at > 1 << 28 ? 4 : 3;
	rest = (uint32_t)(end - at) - (uint32_t)more - 1;
	for (int i = 0; i < more; i++, rest >>= 7)
		*at++ = (uint8_t)(rest | 0x80);
	*at = (uint8_t)rest;
}

/* A number in place of one that is not smaller: it may be as long as that. */
static void overwrite_varint(uint8_t *at, uint64_t value)
{
	for (; *at & 0x80; at++, value >>= 7)
		*at = (uint8_t)(value | 0x80);
	*at = (uint8_t)(value & 0x7f);
}

void hawser__frame_set_timeout(uint8_t *frame, uint64_t timeout_ms)
{
	uint8_t *begin = frame + HAWSER__FRAME_PREFIX, *at;
	struct reader reader = {begin + 1, begin + hawser__frame_length(frame)};
	size_t body_length;
	uint64_t id;

	/* Our writer's order: kind, length, id, method, time-out. */
	if (*begin != TAG(HAWSER__FRAME_CALL, WIRE_BYTES) || !read_length(&reader, &body_length))
		return;
	reader.at++;
	if (!read_varint(&reader, &id) || reader.end - reader.at < 7)
		return;
	at = begin + (reader.at - begin) + 5;
	if (*at == TAG(3, WIRE_VARINT))
		overwrite_varint(at + 1, timeout_ms);
}

void hawser__frame_clear_ack(uint8_t *frame)
{
	uint8_t *at = find_ack(frame);

	if (at)
		overwrite_varint(at + 1, 0);
}
