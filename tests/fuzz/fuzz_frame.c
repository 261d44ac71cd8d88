/* Any bytes as a frame: both readers agree, stay within, and mean what protobuf-c means. */

#include "fuzz.h"
#include "wire/frame.h"
#include "wire/wire.pb-c.h"
#include <errno.h>
#include <string.h>

static bool is_equal(const struct hawser__frame *a, const struct hawser__frame *b)
{
	return a->kind == b->kind && a->body == b->body && a->body_length == b->body_length &&
	       a->payload == b->payload && a->payload_length == b->payload_length &&
	       a->id == b->id && a->method == b->method && a->timeout_ms == b->timeout_ms &&
	       a->status == b->status && a->outcome == b->outcome && a->last == b->last &&
	       a->size == b->size && a->window == b->window && a->ack == b->ack &&
	       a->more == b->more;
}

static void check_piece(const uint8_t *piece, size_t length, const uint8_t *data, size_t size)
{
	require(piece || !length);
	require(!piece ||
		(piece >= data && piece <= data + size && length <= size - (size_t)(piece - data)));
}

static void check_protobuf_c(const struct hawser__frame *frame, const uint8_t *data, size_t size)
{
	Hawser__Frame *second = hawser__frame__unpack(NULL, size, data);

	/* It is stricter on wire types, and with memory. */
	if (!second)
		return;
	require((unsigned)second->kind_case == (unsigned)frame->kind);
	require(second->ack == frame->ack);
	require(second->payload.len == frame->payload_length);
	require(!frame->payload_length ||
		!memcmp(second->payload.data, frame->payload, frame->payload_length));
	if (frame->kind == HAWSER__FRAME_CALL) {
		require(second->call->id == frame->id);
		require(second->call->method == frame->method);
		require(second->call->timeout_ms == frame->timeout_ms);
		require(second->call->size == frame->size);
		require(frame->more || (!second->call->n_metadata && !second->call->announce));
	} else if (frame->kind == HAWSER__FRAME_END) {
		require(second->end->id == frame->id);
		require(second->end->status == frame->status);
		require((uint32_t)second->end->outcome == frame->outcome);
		require(frame->more || (!second->end->n_details && !second->end->n_metadata));
	} else if (frame->kind == HAWSER__FRAME_MESSAGE) {
		require(second->message->id == frame->id);
		/* It takes a boolean of any wire type. */
		require(frame->more || second->message->last == frame->last);
		require(second->message->size == frame->size);
	} else if (frame->kind == HAWSER__FRAME_WINDOW) {
		require(second->window->id == frame->id);
		require(second->window->bytes == frame->window);
	} else if (frame->kind == HAWSER__FRAME_PING) {
		require(second->ping->number == frame->id);
	}
	hawser__frame__free_unpacked(second, NULL);
}

static uint8_t *write_again(struct hawser__buffer *out, const struct hawser__frame *frame)
{
	switch (frame->kind) {
	case HAWSER__FRAME_CALL:
		return hawser__frame_put_call(out, frame->ack, frame->id, frame->method,
					      frame->timeout_ms, NULL, 0, frame->payload_length);
	case HAWSER__FRAME_END:
		return hawser__frame_put_end(out, frame->ack, frame->id, frame->status,
					     frame->outcome, NULL, 0, frame->payload_length);
	default:
		return hawser__frame_put_message(out, frame->ack, frame->id, frame->last,
						 frame->payload_length);
	}
}

/* What is changed in place stays a frame of the same length. */
static void check_changing(uint8_t *begin, const struct hawser__frame *frame)
{
	size_t length = hawser__frame_length(begin);
	struct hawser__frame again;
	const char *why;

	hawser__frame_set_timeout(begin, frame->timeout_ms / 2);
	require(hawser__frame_decode(&again, begin + HAWSER__FRAME_PREFIX, length, &why) == 0);
	require(again.ack == frame->ack && again.timeout_ms == frame->timeout_ms / 2);
	if (frame->kind == HAWSER__FRAME_CALL) {
		hawser__frame_take_back(begin, frame->id);
		require(hawser__frame_decode(&again, begin + HAWSER__FRAME_PREFIX, length, &why) ==
			0);
		require(again.kind == HAWSER__FRAME_CANCEL && again.id == frame->id);
		require(again.ack == frame->ack);
	}
	hawser__frame_clear_ack(begin);
	require(hawser__frame_decode(&again, begin + HAWSER__FRAME_PREFIX, length, &why) == 0);
	require(again.id == frame->id && again.ack == 0);
	require(hawser__frame_length(begin) == length);
}

/* The head that is written apart from its payload. */
static void check_head(const struct hawser__frame *frame)
{
	uint8_t head[HAWSER__MESSAGE_HEAD];
	size_t length = hawser__frame_message_head(head, frame->ack, frame->id, frame->size,
						   frame->payload_length),
	       whole = hawser__frame_length(head);
	struct hawser__frame again;
	const char *why;

	require(length <= sizeof head);
	require(whole == length - HAWSER__FRAME_PREFIX + frame->payload_length);
	require(hawser__frame_decode_head(&again, head + HAWSER__FRAME_PREFIX,
					  length - HAWSER__FRAME_PREFIX, whole, &why) == 0);
	require(again.kind == HAWSER__FRAME_MESSAGE && again.id == frame->id && !again.last);
	require(again.size == frame->size && again.ack == frame->ack && !again.more);
	require(again.payload_length == frame->payload_length);
}

/* Written again, a frame without rare fields reads the same. */
static void check_writing(const struct hawser__frame *frame)
{
	struct hawser__pool pool = {0};
	struct hawser__buffer out;
	struct hawser__frame again;
	struct iovec piece;
	const char *why;
	uint8_t *room;

	hawser__buffer_init(&out, &pool);
	room = write_again(&out, frame);
	require(room);
	if (frame->payload_length)
		memcpy(room, frame->payload, frame->payload_length);
	require(hawser__buffer_peek(&out, &piece, 1) == 1);
	require(hawser__frame_length(piece.iov_base) == piece.iov_len - HAWSER__FRAME_PREFIX);
	require(hawser__frame_decode(&again, (uint8_t *)piece.iov_base + HAWSER__FRAME_PREFIX,
				     piece.iov_len - HAWSER__FRAME_PREFIX, &why) == 0);
	require(again.kind == frame->kind && again.id == frame->id && !again.more);
	require(again.method == frame->method && again.timeout_ms == frame->timeout_ms);
	require(again.status == frame->status && again.outcome == frame->outcome);
	require(again.last == frame->last && again.ack == frame->ack);
	require(again.payload_length == frame->payload_length);
	require(!again.payload_length ||
		!memcmp(again.payload, frame->payload, frame->payload_length));
	/* A call that we make has an id. */
	if (frame->id)
		check_changing(piece.iov_base, frame);
	hawser__buffer_deinit(&out);
	hawser__pool_deinit(&pool);
}

/* One that is passed on says the same, and may be skipped. */
static void check_hello(const struct hawser__frame *frame)
{
	struct hawser__pool pool = {0};
	struct hawser__buffer out;
	struct hawser__frame again;
	struct iovec piece;
	const uint8_t *at;
	const char *why;

	hawser__buffer_init(&out, &pool);
	require(hawser__frame_put_body(&out, frame->kind, frame->body, frame->body_length));
	require(hawser__buffer_peek(&out, &piece, 1) == 1);
	at = (const uint8_t *)piece.iov_base + HAWSER__FRAME_PREFIX;
	require(hawser__frame_length(piece.iov_base) == piece.iov_len - HAWSER__FRAME_PREFIX);
	require(at[0] == 0x70 && at[1] == 1); /* ignorable */
	require(hawser__frame_decode(&again, at, piece.iov_len - HAWSER__FRAME_PREFIX, &why) == 0);
	require(again.kind == frame->kind && again.body_length == frame->body_length);
	require(!again.body_length || !memcmp(again.body, frame->body, again.body_length));
	require(!again.ack && !again.payload_length);
	hawser__buffer_deinit(&out);
	hawser__pool_deinit(&pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hawser__frame frame, full, head;
	const char *why = NULL, *full_why = NULL;
	int r = hawser__frame_decode(&frame, data, size, &why);

	require(hawser__frame_decode_head(&full, data, size, size, &full_why) == r);
	/* The same bytes as the head of a frame that is twice as long. */
	if (hawser__frame_decode_head(&head, data, size, size * 2, &full_why) == 0)
		check_piece(head.body, head.body_length, data, size);
	if (r < 0) {
		require(r == -EBADMSG && why && *why);
		return 0;
	}
	require(is_equal(&frame, &full));
	require((unsigned)frame.kind < HAWSER__FRAME_KINDS);
	check_piece(frame.body, frame.body_length, data, size);
	check_piece(frame.payload, frame.payload_length, data, size);
	check_protobuf_c(&frame, data, size);
	if (frame.kind == HAWSER__FRAME_MESSAGE)
		check_head(&frame);
	if (frame.kind == HAWSER__FRAME_HELLO)
		check_hello(&frame);
	/* Sizes are written apart. */
	if (!frame.more && !frame.size &&
	    (frame.kind == HAWSER__FRAME_CALL || frame.kind == HAWSER__FRAME_END ||
	     frame.kind == HAWSER__FRAME_MESSAGE))
		check_writing(&frame);
	return 0;
}
