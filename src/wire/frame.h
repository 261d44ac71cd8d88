/* Frames: bytes to fields and back (proto/hawser/wire.proto is normative).
 *
 * A frame is a protobuf message, but calls and their ends pass by so often that
 * their few header fields are read and written by hand, in place, without an
 * allocation; a payload is never copied on its way in. What is rare (open,
 * metadata, a failure's text) is left to protobuf-c: `body` is the packed
 * message of the frame's kind. A test holds both codecs against each other. */

#ifndef HAWSER_WIRE_FRAME_H
#define HAWSER_WIRE_FRAME_H

#include "util/buffer.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The kinds; the numbers are those of the fields of Frame. */
enum hawser__frame_kind {
	HAWSER__FRAME_IGNORED = 0, /* a kind we do not know, and may skip */
	HAWSER__FRAME_OPEN = 1,
	HAWSER__FRAME_OPENED = 2,
	HAWSER__FRAME_REJECTED = 3,
	HAWSER__FRAME_PING = 4,
	HAWSER__FRAME_PONG = 5,
	HAWSER__FRAME_CLOSE = 6,
	HAWSER__FRAME_SHUTDOWN = 7,
	HAWSER__FRAME_CALL = 8,
	HAWSER__FRAME_MESSAGE = 9,
	HAWSER__FRAME_END = 10,
	HAWSER__FRAME_CANCEL = 11,
	HAWSER__FRAME_WINDOW = 12,
	/* Those between are the frame's other fields. */
	HAWSER__FRAME_HELLO = 16,
	HAWSER__FRAME_KINDS,
};

enum {
	/* The length that goes before a frame. */
	HAWSER__FRAME_PREFIX = 4,
	/* What a frame may need besides its payload, metadata and texts included. */
	HAWSER__FRAME_OVERHEAD = 64 * 1024,
	/* No frame is this long or longer: the first byte on a socket then tells
	 * frames from TLS (0x16) and HTTP (letters). */
	HAWSER__FRAME_LIMIT = 0x16000000,
	/* The longest frame before a connection is open. */
	HAWSER__FRAME_OPEN_LIMIT = 4096,
	/* The head of a frame that is too long to take stands within so many bytes:
	 * metadata, details, texts and their tags. Less than the overhead above. */
	HAWSER__FRAME_HEAD = 32 * 1024,
	/* Everything of a message frame that goes before its payload: prefix, kind, id, size, ack
	 * and the payload's tag, each as long as it can be. */
	HAWSER__MESSAGE_HEAD = 4 + 2 + 11 + 11 + 11 + 6,
};

struct hawser__frame {
	enum hawser__frame_kind kind;
	/* The packed message of this kind. */
	const uint8_t *body;
	size_t body_length;
	const uint8_t *payload;
	size_t payload_length;
	/* Call, message, end, cancel, window: the call's. Ping, pong: the number. */
	uint64_t id;
	/* Call */
	uint32_t method;
	uint64_t timeout_ms;
	/* End */
	uint32_t status;
	uint32_t outcome;
	/* Message */
	bool last;
	/* Call, message: how long the message is that comes in pieces; 0: it does not */
	uint64_t size;
	/* Window */
	uint64_t window;
	/* Any kind: how many session frames the peer has, if it says so; else 0 */
	uint64_t ack;
	/* The body has more fields than those above: unpack it to see them. */
	bool more;
};

/**
 * Reads one frame (without its prefix) of `length` bytes. Borrows the bytes.
 * Returns 0, or -EBADMSG and *why, a static sentence part.
 */
int hawser__frame_decode(struct hawser__frame *frame, const uint8_t *data, size_t length,
			 const char **why);

/**
 * The same for the first `available` bytes of a frame that is too long to be taken:
 * everything but the payload, whose length alone is set.
 */
int hawser__frame_decode_head(struct hawser__frame *frame, const uint8_t *data, size_t available,
			      size_t length, const char **why);

/** "call", "opened"; static. */
const char *hawser__frame_kind_name(enum hawser__frame_kind kind);

/* The writers append a whole frame to `out` and return where its payload goes, exactly
 * payload_length bytes that the caller must fill at once; NULL without memory.
 * `extra` are further packed fields of the body (metadata, texts): protobuf
 * messages may be concatenated. `ack` 0 is left out. */

uint8_t *hawser__frame_put_call(struct hawser__buffer *out, uint64_t ack, uint64_t id,
				uint32_t method, uint64_t timeout_ms, const uint8_t *extra,
				size_t extra_length, size_t payload_length);
uint8_t *hawser__frame_put_end(struct hawser__buffer *out, uint64_t ack, uint64_t id,
			       uint32_t status, uint32_t outcome, const uint8_t *extra,
			       size_t extra_length, size_t payload_length);
uint8_t *hawser__frame_put_message(struct hawser__buffer *out, uint64_t ack, uint64_t id, bool last,
				   size_t payload_length);
/**
 * What goes before the payload of a message frame, for one whose payload lies elsewhere. Returns
 * how many bytes of `head` that is.
 */
size_t hawser__frame_message_head(uint8_t head[HAWSER__MESSAGE_HEAD], uint64_t ack, uint64_t id,
				  uint64_t size, size_t payload_length);
uint8_t *hawser__frame_put_window(struct hawser__buffer *out, uint64_t ack, uint64_t id,
				  uint64_t bytes);
/** Nothing but how many session frames have come. */
uint8_t *hawser__frame_put_ack(struct hawser__buffer *out, uint64_t ack);
/** Ping, pong and cancel: a single number. */
uint8_t *hawser__frame_put_number(struct hawser__buffer *out, enum hawser__frame_kind kind,
				  uint64_t number);
/** Any kind from its packed body, without a payload. */
uint8_t *hawser__frame_put_body(struct hawser__buffer *out, enum hawser__frame_kind kind,
				const uint8_t *body, size_t body_length);

/**
 * Makes a queued call, in place, one that was cancelled before it was made, which its receiver
 * passes over. `frame` is where its prefix is.
 */
void hawser__frame_take_back(uint8_t *frame, uint64_t id);

/** Tells in a queued call that less time is left than when it was queued. */
void hawser__frame_set_timeout(uint8_t *frame, uint64_t timeout_ms);

/** Makes a queued frame of ours say nothing of what has come. */
void hawser__frame_clear_ack(uint8_t *frame);

/** Whether a frame of this kind belongs to the session: numbered, and sent again if need be. */
static inline bool hawser__frame_is_counted(enum hawser__frame_kind kind)
{
	return kind >= HAWSER__FRAME_CALL && kind <= HAWSER__FRAME_WINDOW;
}

/** The length in a prefix. */
static inline uint32_t hawser__frame_length(const uint8_t *prefix)
{
	return (uint32_t)prefix[0] << 24 | (uint32_t)prefix[1] << 16 | (uint32_t)prefix[2] << 8 |
	       prefix[3];
}

#endif /* HAWSER_WIRE_FRAME_H */
