/* What the suites of src/wire share: random messages, frames by protobuf-c, exact copies.
 *
 * protobuf-c, with the code that protoc-gen-c made of wire.proto, is the second
 * opinion on everything that the hand-written codec reads and writes. */

#ifndef HAWSER_TESTS_WIRE_FRAMES_H
#define HAWSER_TESTS_WIRE_FRAMES_H

#include "util/buffer.h"
#include "wire/frame.h"
#include "wire/wire.pb-c.h"

/** Bytes that end where their memory does, so that the sanitizers see any read beyond. */
struct bytes {
	uint8_t *data;
	size_t length;
};

struct bytes bytes_copy(const void *data, size_t length);
void bytes_free(struct bytes *bytes);
/** Takes all that is queued out of the buffer. */
struct bytes bytes_take(struct hawser__buffer *buffer);
/** Grows it by these. */
void bytes_append(struct bytes *bytes, const void *data, size_t length);

/** A string literal, zero bytes inside included. */
#define BYTES(literal) bytes_copy(literal, sizeof(literal) - 1)

/** Fills a message's fields, some and at random; free it with protobuf_c_message_free_unpacked().
 */
ProtobufCMessage *random_message(const ProtobufCMessageDescriptor *type);

/** A number of any width from 0 to 64 bits, each as likely. */
uint64_t random_number(void);

/** Whether it is the number of a kind: those between window and hello are other fields'. */
static inline bool is_kind(int number)
{
	return (number >= HAWSER__FRAME_OPEN && number <= HAWSER__FRAME_WINDOW) ||
	       number == HAWSER__FRAME_HELLO;
}
/** A test that is run for each kind, its _i. */
#define add_for_each_kind(tcase, test)                                                          \
	do {                                                                                    \
		tcase_add_loop_test(tcase, test, HAWSER__FRAME_OPEN, HAWSER__FRAME_WINDOW + 1); \
		tcase_add_loop_test(tcase, test, HAWSER__FRAME_HELLO, HAWSER__FRAME_HELLO + 1); \
	} while (0)
/** One of the kinds, each as likely. */
enum hawser__frame_kind random_kind(void);

/** The descriptor of a kind's body. */
const ProtobufCMessageDescriptor *kind_type(enum hawser__frame_kind kind);

/** A random frame of a kind, ack, ignorable and payload included. */
Hawser__Frame *random_frame(enum hawser__frame_kind kind);
/** The body of a frame; its kind is set. */
ProtobufCMessage *frame_body(const Hawser__Frame *frame);

/** Packed; with the prefix before it or without. */
struct bytes frame_pack(const void *message);
struct bytes frame_pack_prefixed(const Hawser__Frame *frame);

/** Fails the test unless both say the same. */
void check_same(const struct hawser__frame *decoded, const Hawser__Frame *expected);
/** Fails the test unless every pointer lies within the bytes. */
void check_within(const struct hawser__frame *decoded, const uint8_t *data, size_t length);

/** Whether two decoded frames are equal to the last pointer. */
bool frames_equal(const struct hawser__frame *a, const struct hawser__frame *b);

#endif /* HAWSER_TESTS_WIRE_FRAMES_H */
