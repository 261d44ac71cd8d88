/* Frames of messages that come in pieces: how the first tells the size, the head of one whose
 * payload lies elsewhere, and one of which only the beginning has come. */

#include "one_session.h"
#include "support/random.h"
#include <stdlib.h>

enum { ROUNDS = 3000 };

/* ---- heads ---- */

/* A head with its payload behind it, as two chunks of a log would be sent. */
static struct bytes with_head(uint64_t ack, uint64_t id, uint64_t size, size_t payload_length)
{
	uint8_t head[HAWSER__MESSAGE_HEAD];
	size_t length = hawser__frame_message_head(head, ack, id, size, payload_length);
	struct bytes bytes;

	quick_assert(length <= sizeof head);
	bytes.length = length + payload_length;
	bytes.data = malloc(bytes.length);
	quick_assert(bytes.data);
	memcpy(bytes.data, head, length);
	random_fill(bytes.data + length, payload_length);
	return bytes;
}

static void check_head(uint64_t ack, uint64_t id, uint64_t size, size_t payload_length)
{
	struct bytes bytes = with_head(ack, id, size, payload_length);
	size_t length = bytes.length - HAWSER__FRAME_PREFIX;
	const uint8_t *data = bytes.data + HAWSER__FRAME_PREFIX;
	Hawser__Frame *unpacked = hawser__frame__unpack(NULL, length, data);
	struct hawser__frame decoded;
	const char *why;

	quick_assert(hawser__frame_length(bytes.data) == length);
	quick_assert(unpacked && unpacked->kind_case == HAWSER__FRAME__KIND_MESSAGE);
	quick_assert(unpacked->base.n_unknown_fields == 0 &&
		     unpacked->message->base.n_unknown_fields == 0);
	quick_assert(unpacked->ack == ack && unpacked->message->id == id);
	quick_assert(unpacked->message->size == size && !unpacked->message->last);
	quick_assert(unpacked->payload.len == payload_length);
	quick_assert(!payload_length || !memcmp(unpacked->payload.data,
						data + length - payload_length, payload_length));
	quick_assert(hawser__frame_decode(&decoded, data, length, &why) == 0);
	check_within(&decoded, data, length);
	check_same(&decoded, unpacked);
	/* A piece of nothing is an empty message, not none. */
	quick_assert(decoded.payload == data + length - payload_length);
	protobuf_c_message_free_unpacked(&unpacked->base, NULL);
	bytes_free(&bytes);
}

START_TEST(head_of_a_piece_unpacks_with_protobuf_c_as_it_was_written)
{
	static const size_t edges[] = {0, 1, 127, 128, 16383, 16384, 65472, 65536};

	for (unsigned long n = suite_rounds(ROUNDS); n--;)
		check_head(random_one_in(2) ? 0 : random_number(), random_number(),
			   random_one_in(2) ? 0 : random_number(),
			   random_one_in(4) ? edges[random_below(sizeof edges / sizeof *edges)]
					    : (size_t)random_below(300));
}
END_TEST

START_TEST(longest_head_fits_in_the_room_for_one)
{
	uint8_t head[2 * HAWSER__MESSAGE_HEAD];

	memset(head, 0xee, sizeof head);
	ck_assert_uint_le(hawser__frame_message_head(head, UINT64_MAX, UINT64_MAX, UINT64_MAX,
						     HAWSER__FRAME_LIMIT),
			  HAWSER__MESSAGE_HEAD);
	for (size_t i = HAWSER__MESSAGE_HEAD; i < sizeof head; i++)
		ck_assert_uint_eq(head[i], 0xee);
}
END_TEST

START_TEST(head_is_what_the_writer_of_whole_frames_writes)
{
	for (unsigned long n = suite_rounds(ROUNDS); n--;) {
		uint64_t ack = random_one_in(2) ? 0 : random_number(), id = random_number();
		size_t payload_length = 1 + (size_t)random_below(70000), length;
		uint8_t head[HAWSER__MESSAGE_HEAD], *payload;
		struct hawser__buffer out;
		struct iovec piece;

		memset(&pool, 0, sizeof pool);
		hawser__buffer_init(&out, &pool);
		payload = hawser__frame_put_message(&out, ack, id, false, payload_length);
		quick_assert(payload && hawser__buffer_peek(&out, &piece, 1) == 1);
		length = hawser__frame_message_head(head, ack, id, 0, payload_length);
		quick_assert(payload == (uint8_t *)piece.iov_base + length);
		quick_assert(!memcmp(piece.iov_base, head, length));
		hawser__buffer_deinit(&out);
		hawser__pool_deinit(&pool);
	}
}
END_TEST

/* ---- sizes ---- */

START_TEST(size_of_a_call_is_read_without_unpacking_it)
{
	Hawser__Call call = HAWSER__CALL__INIT;
	Hawser__Frame whole = HAWSER__FRAME__INIT;
	struct hawser__frame decoded;
	struct bytes bytes;
	const char *why;

	call.id = 3;
	call.method = 7;
	call.size = 300000;
	whole.kind_case = HAWSER__FRAME__KIND_CALL;
	whole.call = &call;
	bytes = frame_pack(&whole);
	ck_assert_int_eq(hawser__frame_decode(&decoded, bytes.data, bytes.length, &why), 0);
	ck_assert_uint_eq(decoded.size, 300000);
	ck_assert(!decoded.more);
	bytes_free(&bytes);
}
END_TEST

START_TEST(size_is_a_field_of_calls_and_messages_alone)
{
	/* An end and a window with what would be the size of a message, or of a call. */
	struct bytes all[] = {BYTES("\x52\x04\x08\x01\x30\x05"), BYTES("\x62\x04\x08\x01\x18\x05")};
	struct hawser__frame decoded;
	const char *why;

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		ck_assert_int_eq(hawser__frame_decode(&decoded, all[i].data, all[i].length, &why),
				 0);
		ck_assert_uint_eq(decoded.size, 0);
		ck_assert(decoded.more);
		bytes_free(&all[i]);
	}
}
END_TEST

/* ---- beginnings ---- */

/* Whether the first bytes of a frame, and no more than those, begin a message. */
static bool begins(const struct bytes *whole, size_t length, struct hawser__frame *begun,
		   struct bytes *beginning)
{
	*beginning = bytes_copy(whole->data, length);
	return hawser__session_begins_message(&session, beginning->data, length, begun);
}

static void check_beginnings(const Hawser__Frame *message)
{
	struct bytes whole = frame_pack_prefixed(message), beginning;
	size_t head = whole.length - message->payload.len;
	struct hawser__frame decoded, begun;
	const char *why;

	quick_assert(hawser__frame_decode(&decoded, whole.data + HAWSER__FRAME_PREFIX,
					  whole.length - HAWSER__FRAME_PREFIX, &why) == 0);
	for (size_t length = 0; length <= whole.length; length++) {
		bool is_there = message->payload.len && length >= head && length < whole.length;

		quick_assert(begins(&whole, length, &begun, &beginning) == is_there);
		if (is_there) {
			quick_assert(begun.payload == beginning.data + head);
			quick_assert(begun.payload_length == message->payload.len);
			begun.payload = decoded.payload;
			begun.body = decoded.body;
			quick_assert(frames_equal(&begun, &decoded));
		}
		bytes_free(&beginning);
	}
	bytes_free(&whole);
}

START_TEST(message_is_known_by_its_beginning_once_its_head_is_there)
{
	start(_i, HAWSER__SESSION_OPEN);
	for (unsigned long n = suite_rounds(300); n--;) {
		Hawser__Frame *message = random_frame(HAWSER__FRAME_MESSAGE);

		check_beginnings(message);
		protobuf_c_message_free_unpacked(&message->base, NULL);
	}
	stop();
}
END_TEST

START_TEST(no_other_kind_begins_a_message)
{
	start(true, HAWSER__SESSION_OPEN);
	for (int kind = HAWSER__FRAME_OPEN; kind < HAWSER__FRAME_KINDS; kind++) {
		bool is_other = is_kind(kind) && kind != HAWSER__FRAME_MESSAGE;

		for (unsigned long n = suite_rounds(30); n-- && is_other;) {
			Hawser__Frame *other = random_frame((enum hawser__frame_kind)kind);
			struct bytes whole = frame_pack_prefixed(other), beginning;
			struct hawser__frame begun;

			for (size_t length = 0; length <= whole.length; length++) {
				quick_assert(!begins(&whole, length, &begun, &beginning));
				bytes_free(&beginning);
			}
			bytes_free(&whole);
			protobuf_c_message_free_unpacked(&other->base, NULL);
		}
	}
	stop();
}
END_TEST

START_TEST(message_with_something_behind_its_payload_is_waited_for)
{
	/* An ack of 5; the payload first, and a payload that is there twice. */
	struct bytes late = BYTES("\0\0\0\x0d\x4a\x02\x08\x01\x7a\x05"
				  "abcde\x68\x05");
	struct bytes twice = BYTES("\0\0\0\x10\x4a\x02\x08\x01\x7a\x02"
				   "ab\x7a\x06"
				   "abcdef");
	struct hawser__frame begun;
	struct bytes beginning;

	start(true, HAWSER__SESSION_OPEN);
	for (size_t length = 0; length <= late.length; length++) {
		ck_assert(!begins(&late, length, &begun, &beginning));
		bytes_free(&beginning);
	}
	/* The last one counts, and is the rest. */
	for (size_t length = 0; length < twice.length; length++) {
		ck_assert_int_eq(begins(&twice, length, &begun, &beginning), length >= 14);
		if (length >= 14)
			ck_assert_uint_eq(begun.payload_length, 6);
		bytes_free(&beginning);
	}
	bytes_free(&late);
	bytes_free(&twice);
	stop();
}
END_TEST

START_TEST(message_begins_only_while_the_session_is_open_and_within_the_limit)
{
	static const enum hawser__session_state others[] = {
		HAWSER__SESSION_NEW, HAWSER__SESSION_AWAY, HAWSER__SESSION_OVER};
	struct bytes small = with_head(0, 1, 0, 100), beginning;
	struct bytes large = with_head(0, 1, 0, MAX_PAYLOAD + HAWSER__FRAME_OVERHEAD);
	struct hawser__frame begun;

	start(true, HAWSER__SESSION_OPEN);
	ck_assert(begins(&small, 50, &begun, &beginning));
	bytes_free(&beginning);
	/* With its head it is above the limit. */
	ck_assert(!begins(&large, 50, &begun, &beginning));
	bytes_free(&beginning);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		session.state = others[i];
		ck_assert(!begins(&small, 50, &begun, &beginning));
		bytes_free(&beginning);
	}
	bytes_free(&small);
	bytes_free(&large);
	stop();
}
END_TEST

START_TEST(beginnings_of_any_bytes_are_survived)
{
	start(true, HAWSER__SESSION_OPEN);
	for (unsigned long n = suite_rounds(20000); n--;) {
		uint8_t noise[64];
		struct bytes bytes;
		struct hawser__frame begun;

		random_fill(noise, sizeof noise);
		noise[0] = noise[1] = 0;
		noise[4] = HAWSER__FRAME_MESSAGE << 3 | 2;
		noise[5] &= 15;
		bytes = bytes_copy(noise, (size_t)random_below(sizeof noise + 1));
		if (hawser__session_begins_message(&session, bytes.data, bytes.length, &begun)) {
			quick_assert(begun.payload >= bytes.data &&
				     begun.payload <= bytes.data + bytes.length);
			quick_assert((size_t)(begun.payload - bytes.data) + begun.payload_length ==
				     HAWSER__FRAME_PREFIX + hawser__frame_length(bytes.data));
		}
		bytes_free(&bytes);
	}
	stop();
}
END_TEST

/* ---- and the rest of them ---- */

/* Two sessions, of which one takes the frame whole and one by its beginning; they must agree. */
static void check_taken(Hawser__Frame *message, bool is_kept, uint64_t sent)
{
	struct bytes whole = frame_pack_prefixed(message);
	struct hawser__session *twins[2], other;
	struct hawser__problem other_problem = {0};
	struct hawser__frame begun;
	int r;

	start(true, HAWSER__SESSION_OPEN);
	hawser__session_init(&other, true, MAX_PAYLOAD, &pool);
	twins[0] = &session;
	twins[1] = &other;
	for (int i = 0; i < 2; i++) {
		hawser__session_begin(twins[i], is_kept);
		for (uint64_t n = 0; n < sent; n++)
			quick_assert(hawser__session_put_cancel(twins[i], 2, NULL));
		hawser__session_wrote(twins[i], hawser__session_unwritten(twins[i]));
	}
	quick_assert(hawser__session_begins_message(&other, whole.data, whole.length - 1, &begun));
	r = hawser__session_took_message(&other, &begun, whole.length, &other_problem);
	if (next_frame(message, HAWSER__FRAME_MESSAGE, message->message) > 0) {
		quick_assert(r == 0);
	} else {
		quick_assert(r == -EBADMSG && problem.reason == other_problem.reason);
		quick_assert(!strcmp(problem.text, other_problem.text));
	}
	quick_assert(session.received == other.received && session.told == other.told);
	quick_assert(session.untold_bytes == other.untold_bytes);
	quick_assert(session.log.acked == other.log.acked);
	hawser__session_deinit(&other);
	stop();
	bytes_free(&whole);
}

START_TEST(message_taken_by_its_beginning_counts_like_one_taken_whole)
{
	for (unsigned long n = suite_rounds(2000); n--;) {
		Hawser__Message message = HAWSER__MESSAGE__INIT;
		Hawser__Frame whole = HAWSER__FRAME__INIT;
		uint8_t payload[100] = {0};

		message.id = random_below(3);
		message.size = random_one_in(2) ? 0 : 1000;
		whole.kind_case = HAWSER__FRAME__KIND_MESSAGE;
		whole.message = &message;
		whole.ack = random_below(5);
		whole.payload = (ProtobufCBinaryData){1 + (size_t)random_below(100), payload};
		check_taken(&whole, random_one_in(2), random_below(5));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire-pieces");
	TCase *heads = suite_case(suite, "heads"), *sizes = suite_case(suite, "sizes");
	TCase *beginnings = suite_case(suite, "beginnings");

	tcase_add_test(heads, head_of_a_piece_unpacks_with_protobuf_c_as_it_was_written);
	tcase_add_test(heads, longest_head_fits_in_the_room_for_one);
	tcase_add_test(heads, head_is_what_the_writer_of_whole_frames_writes);

	tcase_add_test(sizes, size_of_a_call_is_read_without_unpacking_it);
	tcase_add_test(sizes, size_is_a_field_of_calls_and_messages_alone);

	tcase_add_loop_test(beginnings, message_is_known_by_its_beginning_once_its_head_is_there, 0,
			    2);
	tcase_add_test(beginnings, no_other_kind_begins_a_message);
	tcase_add_test(beginnings, message_with_something_behind_its_payload_is_waited_for);
	tcase_add_test(beginnings,
		       message_begins_only_while_the_session_is_open_and_within_the_limit);
	tcase_add_test(beginnings, beginnings_of_any_bytes_are_survived);
	tcase_add_test(beginnings, message_taken_by_its_beginning_counts_like_one_taken_whole);
	return suite_run(suite);
}
