/* The hand-written codec against protobuf-c's: whole frames, in both directions. */

#include "frames.h"
#include "support/failing_alloc.h"
#include "support/random.h"
#include "support/suite.h"
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 3000 };

static struct hawser__pool pool;
static struct hawser__buffer out;

static void start(void)
{
	memset(&pool, 0, sizeof pool);
	hawser__buffer_init(&out, &pool);
}

static void stop(void)
{
	hawser__buffer_deinit(&out);
	hawser__pool_deinit(&pool);
}

/* ---- reading ---- */

static void check_reading(const Hawser__Frame *expected)
{
	struct bytes packed = frame_pack(expected), body = frame_pack(frame_body(expected));
	struct hawser__frame frame;
	const char *why = NULL;

	quick_assert(hawser__frame_decode(&frame, packed.data, packed.length, &why) == 0);
	check_within(&frame, packed.data, packed.length);
	check_same(&frame, expected);
	quick_assert(frame.body_length == body.length);
	quick_assert(!memcmp(frame.body, body.data, body.length));
	bytes_free(&body);
	bytes_free(&packed);
}

START_TEST(frames_of_every_kind_are_read_as_protobuf_c_wrote_them)
{
	enum hawser__frame_kind kind = (enum hawser__frame_kind)_i;

	for (unsigned long n = suite_rounds(ROUNDS); n--;) {
		Hawser__Frame *frame = random_frame(kind);

		check_reading(frame);
		protobuf_c_message_free_unpacked(&frame->base, NULL);
	}
}
END_TEST

START_TEST(empty_body_of_every_kind_is_read_as_all_zero)
{
	/* The tag of a kind beyond 15 takes two bytes. */
	uint8_t one[] = {(uint8_t)(_i << 3 | 2), 0};
	uint8_t two[] = {(uint8_t)(_i << 3 | 2 | 0x80), (uint8_t)(_i >> 4), 0};
	struct bytes bytes = _i > 15 ? bytes_copy(two, sizeof two) : bytes_copy(one, sizeof one);
	struct hawser__frame frame;
	const char *why;

	ck_assert_int_eq(hawser__frame_decode(&frame, bytes.data, bytes.length, &why), 0);
	ck_assert_int_eq(frame.kind, _i);
	ck_assert_uint_eq(frame.body_length, 0);
	ck_assert_uint_eq(frame.payload_length, 0);
	ck_assert_uint_eq(frame.id, 0);
	ck_assert(!frame.more);
	bytes_free(&bytes);
}
END_TEST

START_TEST(payload_is_handed_on_where_it_lies)
{
	struct bytes bytes = BYTES("\x42\x07\x08\x01\x15\x01\x02\x03\x04\x7a\x03"
				   "abc");
	struct hawser__frame frame;
	const char *why;

	ck_assert_int_eq(hawser__frame_decode(&frame, bytes.data, bytes.length, &why), 0);
	ck_assert_int_eq(frame.kind, HAWSER__FRAME_CALL);
	ck_assert_uint_eq(frame.id, 1);
	ck_assert_uint_eq(frame.method, 0x04030201);
	ck_assert_ptr_eq(frame.payload, bytes.data + 11);
	ck_assert_uint_eq(frame.payload_length, 3);
	bytes_free(&bytes);
}
END_TEST

/* ---- writing ---- */

/* Takes the one frame that was written; checks its prefix. */
static Hawser__Frame *written(struct bytes *bytes)
{
	Hawser__Frame *frame;

	*bytes = bytes_take(&out);
	quick_assert(bytes->length >= HAWSER__FRAME_PREFIX);
	quick_assert(hawser__frame_length(bytes->data) == bytes->length - HAWSER__FRAME_PREFIX);
	frame = hawser__frame__unpack(NULL, bytes->length - HAWSER__FRAME_PREFIX,
				      bytes->data + HAWSER__FRAME_PREFIX);
	quick_assert(frame);
	quick_assert(frame->base.n_unknown_fields == 0);
	return frame;
}

/* The same bytes are read back by our own reader. */
static void check_rereading(const struct bytes *bytes, const Hawser__Frame *frame)
{
	struct bytes exact = bytes_copy(bytes->data + HAWSER__FRAME_PREFIX,
					bytes->length - HAWSER__FRAME_PREFIX);
	struct hawser__frame decoded;
	const char *why;

	quick_assert(hawser__frame_decode(&decoded, exact.data, exact.length, &why) == 0);
	check_within(&decoded, exact.data, exact.length);
	check_same(&decoded, frame);
	bytes_free(&exact);
}

/* Fills the room for the payload and returns what was put there. */
static uint8_t *fill(uint8_t *room, size_t length)
{
	uint8_t *payload = malloc(length + 1);

	quick_assert(payload);
	quick_assert(room);
	random_fill(payload, length);
	memcpy(room, payload, length);
	return payload;
}

static size_t random_payload_length(void)
{
	/* On both sides of where the length takes another byte, and of a chunk's size. */
	static const size_t edges[] = {0, 1, 127, 128, 16383, 16384, 16400, 70000};

	return random_one_in(4) ? edges[random_below(sizeof edges / sizeof *edges)]
				: (size_t)random_below(300);
}

START_TEST(calls_unpack_with_protobuf_c_as_they_were_written)
{
	start();
	for (unsigned long n = suite_rounds(ROUNDS); n--;) {
		Hawser__Call *call = (void *)random_message(&hawser__call__descriptor), *read;
		size_t length = random_payload_length();
		uint64_t id = call->id, timeout_ms = call->timeout_ms, ack = random_number();
		uint32_t method = call->method;
		struct bytes extra, bytes;
		Hawser__Frame *frame;
		uint8_t *payload;

		/* What is rare goes through protobuf-c, and is appended. */
		call->id = call->timeout_ms = call->method = 0;
		extra = frame_pack(call);
		payload = fill(hawser__frame_put_call(&out, ack, id, method, timeout_ms, extra.data,
						      extra.length, length),
			       length);
		frame = written(&bytes);
		quick_assert(frame->kind_case == HAWSER__FRAME__KIND_CALL);
		quick_assert(frame->ack == ack);
		read = frame->call;
		quick_assert(read->id == id);
		quick_assert(read->method == method);
		quick_assert(read->timeout_ms == timeout_ms);
		quick_assert(read->n_metadata == call->n_metadata);
		quick_assert(!read->announce == !call->announce);
		quick_assert(frame->payload.len == length);
		quick_assert(!length || !memcmp(frame->payload.data, payload, length));
		check_rereading(&bytes, frame);
		free(payload);
		bytes_free(&bytes);
		bytes_free(&extra);
		protobuf_c_message_free_unpacked(&frame->base, NULL);
		protobuf_c_message_free_unpacked(&call->base, NULL);
	}
	stop();
}
END_TEST

START_TEST(ends_unpack_with_protobuf_c_as_they_were_written)
{
	start();
	for (unsigned long n = suite_rounds(ROUNDS); n--;) {
		Hawser__End *end = (void *)random_message(&hawser__end__descriptor), *read;
		size_t length = random_payload_length();
		uint64_t id = end->id, ack = random_number();
		uint32_t status = end->status, outcome = (uint32_t)end->outcome;
		struct bytes extra, bytes;
		Hawser__Frame *frame;
		uint8_t *payload;

		end->id = end->status = 0;
		end->outcome = HAWSER__OUTCOME__OUTCOME_UNKNOWN;
		extra = frame_pack(end);
		payload = fill(hawser__frame_put_end(&out, ack, id, status, outcome, extra.data,
						     extra.length, length),
			       length);
		frame = written(&bytes);
		quick_assert(frame->kind_case == HAWSER__FRAME__KIND_END);
		quick_assert(frame->ack == ack);
		read = frame->end;
		quick_assert(read->id == id);
		quick_assert(read->status == status);
		quick_assert((uint32_t)read->outcome == outcome);
		quick_assert(!strcmp(read->text, end->text));
		quick_assert(read->n_details == end->n_details);
		quick_assert(read->n_metadata == end->n_metadata);
		quick_assert(frame->payload.len == length);
		quick_assert(!length || !memcmp(frame->payload.data, payload, length));
		check_rereading(&bytes, frame);
		free(payload);
		bytes_free(&bytes);
		bytes_free(&extra);
		protobuf_c_message_free_unpacked(&frame->base, NULL);
		protobuf_c_message_free_unpacked(&end->base, NULL);
	}
	stop();
}
END_TEST

/* Writes a frame of this kind by hand, and fills `frame` with the same for protobuf-c. */
static uint8_t *put_random(enum hawser__frame_kind kind, Hawser__Frame *frame, size_t length)
{
	static Hawser__Call call;
	static Hawser__End end;
	static Hawser__Message message;

	frame->kind_case = (Hawser__Frame__KindCase)kind;
	frame->ack = random_one_in(2) ? 0 : random_number();
	switch (kind) {
	case HAWSER__FRAME_CALL:
		hawser__call__init(&call);
		call.id = random_number();
		/* Zero, which no method has, is written, though protobuf-c would not. */
		call.method = (uint32_t)random_next() | 1;
		call.timeout_ms = random_number();
		frame->call = &call;
		return hawser__frame_put_call(&out, frame->ack, call.id, call.method,
					      call.timeout_ms, NULL, 0, length);
	case HAWSER__FRAME_END:
		hawser__end__init(&end);
		end.id = random_number();
		end.status = (uint32_t)random_number();
		/* A negative enum takes ten bytes, a uint32 five: this end sends none. */
		end.outcome = (Hawser__Outcome)(random_next() >> 33);
		frame->end = &end;
		return hawser__frame_put_end(&out, frame->ack, end.id, end.status,
					     (uint32_t)end.outcome, NULL, 0, length);
	default:
		hawser__message__init(&message);
		message.id = random_number();
		message.last = random_one_in(2);
		frame->message = &message;
		return hawser__frame_put_message(&out, frame->ack, message.id, message.last,
						 length);
	}
}

START_TEST(frames_with_a_payload_are_written_byte_for_byte_as_protobuf_c_does)
{
	start();
	for (unsigned long n = suite_rounds(ROUNDS); n--;) {
		Hawser__Frame frame = HAWSER__FRAME__INIT;
		struct bytes expected, bytes;
		size_t length = random_payload_length();
		uint8_t *payload =
			fill(put_random((enum hawser__frame_kind)_i, &frame, length), length);

		frame.payload = (ProtobufCBinaryData){length, payload};
		expected = frame_pack_prefixed(&frame);
		bytes = bytes_take(&out);
		quick_assert(bytes.length == expected.length);
		quick_assert(!memcmp(bytes.data, expected.data, bytes.length));
		free(payload);
		bytes_free(&bytes);
		bytes_free(&expected);
	}
	stop();
}
END_TEST

START_TEST(windows_and_acks_are_written_byte_for_byte_as_protobuf_c_does)
{
	start();
	for (unsigned long n = suite_rounds(ROUNDS); n--;) {
		Hawser__Frame frame = HAWSER__FRAME__INIT;
		Hawser__Window window = HAWSER__WINDOW__INIT;
		struct bytes expected, bytes;

		if (random_one_in(2)) {
			window.id = random_number();
			window.bytes = random_number();
			frame.kind_case = HAWSER__FRAME__KIND_WINDOW;
			frame.window = &window;
			quick_assert(hawser__frame_put_window(&out, 0, window.id, window.bytes));
		} else {
			/* Of no kind, so that it is to be marked ignorable. */
			frame.ack = random_number() | 1;
			frame.ignorable = true;
			quick_assert(hawser__frame_put_ack(&out, frame.ack));
		}
		expected = frame_pack_prefixed(&frame);
		bytes = bytes_take(&out);
		quick_assert(bytes.length == expected.length);
		quick_assert(!memcmp(bytes.data, expected.data, bytes.length));
		check_rereading(&bytes, &frame);
		bytes_free(&bytes);
		bytes_free(&expected);
	}
	stop();
}
END_TEST

START_TEST(numbers_are_written_in_every_width)
{
	start();
	for (unsigned width = 0; width <= 64; width++) {
		uint64_t highest = width ? UINT64_MAX >> (64 - width) : 0;
		uint64_t lowest = width ? UINT64_C(1) << (width - 1) : 0;

		for (unsigned i = 0; i < 2; i++) {
			uint64_t number = i ? lowest : highest;
			struct bytes bytes;
			Hawser__Frame *frame;

			ck_assert_ptr_nonnull(
				hawser__frame_put_number(&out, HAWSER__FRAME_PING, number));
			frame = written(&bytes);
			quick_assert(frame->kind_case == HAWSER__FRAME__KIND_PING);
			quick_assert(frame->ping->number == number);
			check_rereading(&bytes, frame);
			protobuf_c_message_free_unpacked(&frame->base, NULL);
			bytes_free(&bytes);

			ck_assert_ptr_nonnull(
				hawser__frame_put_number(&out, HAWSER__FRAME_CANCEL, number));
			frame = written(&bytes);
			quick_assert(frame->kind_case == HAWSER__FRAME__KIND_CANCEL);
			quick_assert(frame->cancel->id == number);
			check_rereading(&bytes, frame);
			protobuf_c_message_free_unpacked(&frame->base, NULL);
			bytes_free(&bytes);
		}
	}
	stop();
}
END_TEST

START_TEST(bodies_of_every_kind_unpack_with_protobuf_c_as_they_were_written)
{
	enum hawser__frame_kind kind = (enum hawser__frame_kind)_i;

	start();
	for (unsigned long n = suite_rounds(ROUNDS / 4); n--;) {
		ProtobufCMessage *message = random_message(kind_type(kind));
		struct bytes body = frame_pack(message), bytes, again;
		Hawser__Frame *frame;

		quick_assert(hawser__frame_put_body(&out, kind, body.data, body.length));
		frame = written(&bytes);
		quick_assert((unsigned)frame->kind_case == (unsigned)kind);
		quick_assert(frame->payload.len == 0);
		again = frame_pack(frame_body(frame));
		quick_assert(again.length == body.length);
		quick_assert(!memcmp(again.data, body.data, body.length));
		check_rereading(&bytes, frame);
		bytes_free(&again);
		bytes_free(&bytes);
		bytes_free(&body);
		protobuf_c_message_free_unpacked(&frame->base, NULL);
		protobuf_c_message_free_unpacked(message, NULL);
	}
	stop();
}
END_TEST

START_TEST(hello_is_written_byte_for_byte_as_protobuf_c_does)
{
	start();
	for (unsigned long n = suite_rounds(ROUNDS / 4); n--;) {
		ProtobufCMessage *hello = random_message(&hawser__hello__descriptor);
		struct bytes body = frame_pack(hello), bytes, expected;
		Hawser__Frame frame = HAWSER__FRAME__INIT;
		uint8_t *end =
			hawser__frame_put_body(&out, HAWSER__FRAME_HELLO, body.data, body.length);

		quick_assert(end == out.last->data + out.last->end);
		frame.kind_case = HAWSER__FRAME__KIND_HELLO;
		frame.hello = (Hawser__Hello *)(void *)hello;
		/* Whoever does not know it may skip it. */
		frame.ignorable = true;
		expected = frame_pack_prefixed(&frame);
		bytes = bytes_take(&out);
		quick_assert(bytes.length == expected.length);
		quick_assert(!memcmp(bytes.data, expected.data, bytes.length));
		bytes_free(&expected);
		bytes_free(&bytes);
		bytes_free(&body);
		protobuf_c_message_free_unpacked(hello, NULL);
	}
	stop();
}
END_TEST

/* The frame as it is, of a kind that this version does not know either. */
START_TEST(hello_is_skipped_by_who_does_not_know_it)
{
	static const uint8_t body[] = "\x0a\x0c"
				      "demo.Greeter";
	struct hawser__frame frame;
	struct bytes bytes;
	const char *why;

	start();
	ck_assert_ptr_nonnull(
		hawser__frame_put_body(&out, HAWSER__FRAME_HELLO, body, sizeof body - 1));
	bytes = bytes_take(&out);
	ck_assert_int_eq(hawser__frame_decode(&frame, bytes.data + HAWSER__FRAME_PREFIX,
					      bytes.length - HAWSER__FRAME_PREFIX, &why),
			 0);
	ck_assert_int_eq(frame.kind, HAWSER__FRAME_HELLO);
	ck_assert_uint_eq(frame.body_length, sizeof body - 1);
	ck_assert(!hawser__frame_is_counted(frame.kind));
	bytes.data[HAWSER__FRAME_PREFIX + 2] += 8;
	ck_assert_int_eq(hawser__frame_decode(&frame, bytes.data + HAWSER__FRAME_PREFIX,
					      bytes.length - HAWSER__FRAME_PREFIX, &why),
			 0);
	ck_assert_int_eq(frame.kind, HAWSER__FRAME_IGNORED);
	ck_assert_uint_eq(frame.body_length, 0);
	bytes_free(&bytes);
	stop();
}
END_TEST

START_TEST(frames_follow_each_other_without_a_gap)
{
	struct bytes bytes;
	size_t at = 0;

	start();
	for (uint64_t i = 0; i < 5000; i++) {
		uint8_t *room =
			hawser__frame_put_call(&out, i / 2, i, (uint32_t)i, 0, NULL, 0, i % 50);

		quick_assert(room);
		memset(room, (int)i, i % 50);
	}
	bytes = bytes_take(&out);
	for (uint64_t i = 0; i < 5000; i++) {
		uint32_t length = hawser__frame_length(bytes.data + at);
		struct hawser__frame frame;
		const char *why;

		at += HAWSER__FRAME_PREFIX;
		quick_assert(hawser__frame_decode(&frame, bytes.data + at, length, &why) == 0);
		quick_assert(frame.id == i && frame.method == i && frame.payload_length == i % 50);
		quick_assert(frame.ack == i / 2);
		for (size_t k = 0; k < frame.payload_length; k++)
			quick_assert(frame.payload[k] == (uint8_t)i);
		at += length;
	}
	ck_assert_uint_eq(at, bytes.length);
	bytes_free(&bytes);
	stop();
}
END_TEST

/* One byte below the limit that tells frames from TLS by their first byte. */
START_TEST(longest_frame_starts_with_the_byte_before_that_of_tls)
{
	/* kind and its length; id and method; the payload's tag and length */
	enum { HEADER = 2 + 7 + 6 };
	size_t length = HAWSER__FRAME_LIMIT - 1 - HEADER;
	struct hawser__frame frame;
	struct iovec piece;
	const char *why;
	uint8_t *room;

	start();
	room = hawser__frame_put_call(&out, 0, 1, 0xffffffff, 0, NULL, 0, length);
	ck_assert_ptr_nonnull(room);
	room[0] = 'f';
	room[length - 1] = 'l';
	ck_assert_int_eq(hawser__buffer_peek(&out, &piece, 1), 1);
	ck_assert_uint_eq(((uint8_t *)piece.iov_base)[0], 0x15);
	ck_assert_uint_eq(hawser__frame_length(piece.iov_base), HAWSER__FRAME_LIMIT - 1);
	ck_assert_uint_eq(piece.iov_len, HAWSER__FRAME_PREFIX + HAWSER__FRAME_LIMIT - 1);
	ck_assert_int_eq(hawser__frame_decode(&frame,
					      (uint8_t *)piece.iov_base + HAWSER__FRAME_PREFIX,
					      HAWSER__FRAME_LIMIT - 1, &why),
			 0);
	ck_assert_uint_eq(frame.payload_length, length);
	ck_assert_uint_eq(frame.payload[0], 'f');
	ck_assert_uint_eq(frame.payload[length - 1], 'l');
	stop();
}
END_TEST

/* Each writer once; what failed must have left no trace. */
static bool write_all(void *data)
{
	static const uint8_t extra[20000] = {0};
	unsigned written_frames = 0, found = 0;
	struct bytes bytes;

	(void)data;
	start();
	if (hawser__frame_put_number(&out, HAWSER__FRAME_PING, 1))
		written_frames++;
	if (hawser__frame_put_call(&out, 7, 1, 1, 1, NULL, 0, 0))
		written_frames++;
	if (hawser__frame_put_window(&out, 0, 1, 1))
		written_frames++;
	if (hawser__frame_put_ack(&out, 7))
		written_frames++;
	/* Larger than a chunk each, so that each allocates. */
	if (hawser__frame_put_call(&out, 7, 3, 1, 1, extra, sizeof extra, 0))
		written_frames++;
	if (hawser__frame_put_end(&out, 7, 3, 1, 1, extra, sizeof extra, 0))
		written_frames++;
	if (hawser__frame_put_message(&out, 7, 3, true, sizeof extra)) {
		memset(out.last->data + out.last->end - sizeof extra, 0, sizeof extra);
		written_frames++;
	}
	if (hawser__frame_put_body(&out, HAWSER__FRAME_OPEN, extra, sizeof extra))
		written_frames++;
	if (hawser__frame_put_body(&out, HAWSER__FRAME_HELLO, extra, sizeof extra))
		written_frames++;

	bytes = bytes_take(&out);
	for (size_t at = 0; at < bytes.length; found++)
		at += HAWSER__FRAME_PREFIX + hawser__frame_length(bytes.data + at);
	ck_assert_uint_eq(found, written_frames);
	bytes_free(&bytes);
	stop();
	return written_frames == 9;
}

START_TEST(writers_without_memory_leave_only_whole_frames)
{
	ck_assert_uint_eq(failing_alloc_each(write_all, NULL), 6);
}
END_TEST

START_TEST(every_kind_has_its_name_from_wire_proto)
{
	for (int kind = HAWSER__FRAME_OPEN; kind < HAWSER__FRAME_KINDS; kind++) {
		const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(
			&hawser__frame__descriptor, (unsigned)kind);

		/* Between them are the frame's other fields. */
		ck_assert_str_eq(hawser__frame_kind_name((enum hawser__frame_kind)kind),
				 is_kind(kind) ? field->name : "unknown");
	}
	ck_assert_str_eq(hawser__frame_kind_name(HAWSER__FRAME_HELLO), "hello");
	ck_assert_str_eq(hawser__frame_kind_name(HAWSER__FRAME_IGNORED), "ignored");
	ck_assert_str_eq(hawser__frame_kind_name(HAWSER__FRAME_KINDS), "unknown");
	ck_assert_str_eq(hawser__frame_kind_name((enum hawser__frame_kind) - 1), "unknown");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire-frame");
	TCase *reading = suite_case(suite, "reading"), *writing = suite_case(suite, "writing");

	add_for_each_kind(reading, frames_of_every_kind_are_read_as_protobuf_c_wrote_them);
	add_for_each_kind(reading, empty_body_of_every_kind_is_read_as_all_zero);
	tcase_add_test(reading, payload_is_handed_on_where_it_lies);
	tcase_add_test(reading, every_kind_has_its_name_from_wire_proto);
	tcase_add_test(writing, calls_unpack_with_protobuf_c_as_they_were_written);
	tcase_add_test(writing, ends_unpack_with_protobuf_c_as_they_were_written);
	tcase_add_loop_test(writing,
			    frames_with_a_payload_are_written_byte_for_byte_as_protobuf_c_does,
			    HAWSER__FRAME_CALL, HAWSER__FRAME_END + 1);
	tcase_add_test(writing, windows_and_acks_are_written_byte_for_byte_as_protobuf_c_does);
	tcase_add_test(writing, numbers_are_written_in_every_width);
	add_for_each_kind(writing,
			  bodies_of_every_kind_unpack_with_protobuf_c_as_they_were_written);
	tcase_add_test(writing, hello_is_written_byte_for_byte_as_protobuf_c_does);
	tcase_add_test(writing, hello_is_skipped_by_who_does_not_know_it);
	tcase_add_test(writing, frames_follow_each_other_without_a_gap);
	tcase_add_test(writing, longest_frame_starts_with_the_byte_before_that_of_tls);
	tcase_add_test(writing, writers_without_memory_leave_only_whole_frames);
	return suite_run(suite);
}
