/* Frames that our own writer would not make: from other libraries, later versions,
 * or nobody's. Every input is an exact copy on the heap, so that the sanitizers
 * and valgrind see a read beyond its end. */

#include "frames.h"
#include "support/random.h"
#include "support/suite.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct hawser__frame frame;
static const char *why;

/* Decodes an exact copy; pointers into it are checked, and stale afterwards. */
static int decode(const void *data, size_t length)
{
	struct bytes bytes = bytes_copy(data, length);
	int r;

	why = NULL;
	r = hawser__frame_decode(&frame, bytes.data, bytes.length, &why);
	if (r == 0)
		check_within(&frame, bytes.data, bytes.length);
	else
		quick_assert(r == -EBADMSG && why && *why);
	bytes_free(&bytes);
	return r;
}

/* Of a string literal. */
#define DECODE(literal) decode(literal, sizeof(literal) - 1)

#define CALL "\x42\x07\x08\x05\x15\x01\x02\x03\x04"
#define PAYLOAD "\x7a\x03xyz"

#define REFUSED(literal, text)                               \
	do {                                                 \
		ck_assert_int_eq(DECODE(literal), -EBADMSG); \
		ck_assert_str_eq(why, text);                 \
	} while (0)

/* ---- a protocol that grows ---- */

START_TEST(unknown_fields_of_a_frame_are_skipped)
{
	static const char *const unknown[] = {
		"\x88\x01\x07", /* 17, varint */
		"\x89\x01"
		"12345678", /* 17, 64 bits */
		"\x8a\x01\x03"
		"abc", /* 17, bytes */
		"\x8d\x01"
		"1234",                     /* 17, 32 bits */
		"\xf8\xff\xff\xff\x0f\x01", /* the highest field number */
		"\x58\x09",                 /* a kind, as a number */
		"\x80\x01\x07",             /* and the last one */
	};

	for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
		for (unsigned place = 0; place < 3; place++) {
			struct bytes bytes =
				bytes_copy(unknown[i], place == 0 ? strlen(unknown[i]) : 0);

			bytes_append(&bytes, CALL, sizeof CALL - 1);
			bytes_append(&bytes, unknown[i], place == 1 ? strlen(unknown[i]) : 0);
			bytes_append(&bytes, PAYLOAD, sizeof PAYLOAD - 1);
			bytes_append(&bytes, unknown[i], place == 2 ? strlen(unknown[i]) : 0);
			ck_assert_int_eq(decode(bytes.data, bytes.length), 0);
			ck_assert_int_eq(frame.kind, HAWSER__FRAME_CALL);
			ck_assert_uint_eq(frame.id, 5);
			ck_assert_uint_eq(frame.payload_length, 3);
			ck_assert(!frame.more);
			bytes_free(&bytes);
		}
	}
}
END_TEST

START_TEST(unknown_fields_of_a_call_are_skipped_and_told)
{
	ck_assert_int_eq(DECODE("\x42\x09\x38\x01\x08\x05\x15\x01\x02\x03\x04" PAYLOAD), 0);
	ck_assert(frame.more);
	ck_assert_uint_eq(frame.id, 5);
	ck_assert_uint_eq(frame.method, 0x04030201);
	/* End's status as bytes, not as a number: also nothing that we know. */
	ck_assert_int_eq(DECODE("\x52\x05\x08\x07\x12\x01\x09"), 0);
	ck_assert(frame.more);
	ck_assert_uint_eq(frame.id, 7);
	ck_assert_uint_eq(frame.status, 0);
}
END_TEST

START_TEST(kinds_of_a_later_version_are_ignored_if_marked_so)
{
	/* 17, with and without `ignorable` on either side */
	ck_assert_int_eq(DECODE("\x8a\x01\x02\x08\x01\x70\x01"), 0);
	ck_assert_int_eq(frame.kind, HAWSER__FRAME_IGNORED);
	ck_assert_int_eq(DECODE("\x70\x01\x8a\x01\x02\x08\x01" PAYLOAD), 0);
	ck_assert_int_eq(frame.kind, HAWSER__FRAME_IGNORED);
	REFUSED("\x8a\x01\x02\x08\x01", "its kind is not known and it is not marked ignorable");
	REFUSED("\x8a\x01\x02\x08\x01\x70\x00",
		"its kind is not known and it is not marked ignorable");
	REFUSED("", "its kind is not known and it is not marked ignorable");
	REFUSED(PAYLOAD, "its kind is not known and it is not marked ignorable");
}
END_TEST

START_TEST(ignorable_changes_nothing_for_a_known_kind)
{
	ck_assert_int_eq(DECODE(CALL "\x70\x01" PAYLOAD), 0);
	ck_assert_int_eq(frame.kind, HAWSER__FRAME_CALL);
	ck_assert_uint_eq(frame.payload_length, 3);
}
END_TEST

START_TEST(fields_may_come_in_any_order)
{
	ck_assert_int_eq(DECODE(PAYLOAD CALL), 0);
	ck_assert_int_eq(frame.kind, HAWSER__FRAME_CALL);
	ck_assert_uint_eq(frame.id, 5);
	ck_assert_uint_eq(frame.payload_length, 3);
	/* Call: timeout, method, id. End: outcome, status, id. */
	ck_assert_int_eq(DECODE("\x42\x09\x18\x64\x15\x01\x02\x03\x04\x08\x05"), 0);
	ck_assert_uint_eq(frame.id, 5);
	ck_assert_uint_eq(frame.method, 0x04030201);
	ck_assert_uint_eq(frame.timeout_ms, 100);
	ck_assert_int_eq(DECODE("\x52\x06\x18\x03\x10\x0d\x08\x05"), 0);
	ck_assert_uint_eq(frame.id, 5);
	ck_assert_uint_eq(frame.status, 13);
	ck_assert_uint_eq(frame.outcome, 3);
}
END_TEST

START_TEST(acks_are_read_wherever_they_stand)
{
	static const char *const frames[] = {
		CALL "\x68\xac\x02" PAYLOAD, /* where our writer puts it */
		"\x68\xac\x02" CALL PAYLOAD,
		CALL PAYLOAD "\x68\xac\x02",
		CALL "\x68\x05\x68\xac\x02" PAYLOAD,            /* the last one counts */
		CALL "\x68\xac\x82\x80\x80\x80\x80\x80\x80\x80" /* ten bytes, with the next */
		     "\x01" PAYLOAD,
		CALL "\x6d\x01\x02\x03\x04\x68\xac\x02" PAYLOAD, /* not that one: 32 bits */
	};

	for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
		ck_assert_int_eq(decode(frames[i], strlen(frames[i])), 0);
		ck_assert_int_eq(frame.kind, HAWSER__FRAME_CALL);
		ck_assert_uint_eq(frame.payload_length, 3);
		ck_assert_uint_eq(frame.ack, i == 4 ? UINT64_C(1) << 63 | 300 : 300);
	}
	/* Alone, and marked so that whoever keeps no session may skip it. */
	ck_assert_int_eq(DECODE("\x68\xac\x02\x70\x01"), 0);
	ck_assert_int_eq(frame.kind, HAWSER__FRAME_IGNORED);
	ck_assert_uint_eq(frame.ack, 300);
	REFUSED("\x68\xac\x02", "its kind is not known and it is not marked ignorable");
	REFUSED(CALL "\x68\xac", "a field is not valid");
	/* As long as a zero may be. */
	ck_assert_int_eq(DECODE(CALL "\x68\x80\x80\x00" PAYLOAD), 0);
	ck_assert_uint_eq(frame.ack, 0);
	ck_assert_uint_eq(frame.payload_length, 3);
}
END_TEST

START_TEST(last_of_a_repeated_field_counts)
{
	ck_assert_int_eq(DECODE("\x42\x04\x08\x05\x08\x09" PAYLOAD "\x7a\x01q"), 0);
	ck_assert_uint_eq(frame.id, 9);
	ck_assert_uint_eq(frame.payload_length, 1);
	ck_assert_int_eq(DECODE("\x52\x06\x08\x05\x10\x05\x10\x00"), 0);
	ck_assert_uint_eq(frame.status, 0);
	ck_assert_int_eq(DECODE("\x4a\x06\x08\x05\x10\x01\x10\x00"), 0);
	ck_assert(!frame.last);
}
END_TEST

START_TEST(two_kinds_at_once_are_refused)
{
	REFUSED(CALL CALL, "it is of two kinds at once");
	REFUSED(CALL "\x22\x00", "it is of two kinds at once");
	REFUSED("\x22\x00" PAYLOAD CALL, "it is of two kinds at once");
}
END_TEST

START_TEST(kind_of_another_wire_type_is_an_unknown_field)
{
	REFUSED("\x40\x05", "its kind is not known and it is not marked ignorable");
	ck_assert_int_eq(DECODE("\x40\x05\x22\x02\x08\x07"), 0);
	ck_assert_int_eq(frame.kind, HAWSER__FRAME_PING);
	ck_assert_uint_eq(frame.id, 7);
}
END_TEST

START_TEST(empty_payload_is_as_good_as_none)
{
	ck_assert_int_eq(DECODE(CALL), 0);
	ck_assert_uint_eq(frame.payload_length, 0);
	ck_assert_int_eq(DECODE(CALL "\x7a\x00"), 0);
	ck_assert_uint_eq(frame.payload_length, 0);
	ck_assert_uint_eq(frame.id, 5);
}
END_TEST

/* ---- what is not protobuf ---- */

START_TEST(varints_may_be_longer_than_needed_but_not_than_ten_bytes)
{
	/* 5, in 2, 8 and 10 bytes */
	ck_assert_int_eq(DECODE("\x42\x03\x08\x85\x00"), 0);
	ck_assert_uint_eq(frame.id, 5);
	ck_assert_int_eq(DECODE("\x42\x09\x08\x85\x80\x80\x80\x80\x80\x80\x00"), 0);
	ck_assert_uint_eq(frame.id, 5);
	ck_assert_int_eq(DECODE("\x42\x0b\x08\x85\x80\x80\x80\x80\x80\x80\x80\x80\x00"), 0);
	ck_assert_uint_eq(frame.id, 5);
	REFUSED("\x42\x0c\x08\x85\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00",
		"its fields are not valid");
	/* Lengths and tags as well. */
	ck_assert_int_eq(DECODE("\xc2\x00\x82\x00\x08\x05\xfa\x80\x00\x81\x80\x00q"), 0);
	ck_assert_int_eq(frame.kind, HAWSER__FRAME_CALL);
	ck_assert_uint_eq(frame.id, 5);
	ck_assert_uint_eq(frame.payload_length, 1);
}
END_TEST

START_TEST(numbers_beyond_64_bits_are_refused)
{
	ck_assert_int_eq(DECODE("\x42\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 0);
	ck_assert_uint_eq(frame.id, UINT64_MAX);
	REFUSED("\x42\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "its fields are not valid");
	REFUSED("\x68\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x22\x00", "a field is not valid");
}
END_TEST

START_TEST(statuses_are_cut_to_32_bits_as_protobuf_does)
{
	ck_assert_int_eq(DECODE("\x52\x08\x08\x05\x10\x82\x80\x80\x80\x10"), 0);
	ck_assert_uint_eq(frame.status, 2);
}
END_TEST

START_TEST(groups_and_unknown_wire_types_are_refused)
{
	REFUSED("\x83\x01\x84\x01" CALL, "a field is not valid");
	REFUSED("\x84\x01" CALL, "a field is not valid");
	REFUSED(CALL "\x86\x01", "a field is not valid");
	REFUSED(CALL "\x87\x01", "a field is not valid");
	REFUSED("\x42\x02\x0b\x0c", "its fields are not valid");
}
END_TEST

START_TEST(fields_without_a_number_are_refused)
{
	REFUSED("\x00\x01" CALL, "a field tag is not valid");
	REFUSED("\x02\x00" CALL, "a field tag is not valid");
	REFUSED("\x42\x02\x00\x01", "its fields are not valid");
}
END_TEST

START_TEST(lengths_beyond_the_frame_are_refused)
{
	REFUSED("\x42\x08\x08\x05\x15\x01\x02\x03\x04", "a field is longer than its frame");
	REFUSED("\x42\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x08\x05",
		"a field is longer than its frame");
	REFUSED(CALL "\x7a\x04xyz", "the payload is longer than its frame");
	REFUSED(CALL "\x7a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01xyz",
		"the payload is longer than its frame");
	REFUSED("\x7a\x04xyz", "the payload is longer than its frame");
	REFUSED(CALL "\x8a\x01\x04xyz", "a field is not valid");
	REFUSED("\x42\x04\x08\x05\x22\x09", "its fields are not valid");
	REFUSED("\x42\x04\x15\x01\x02\x03\x04", "its fields are not valid");
	REFUSED(CALL "\x85\x01xyz", "a field is not valid");
	REFUSED(CALL "\x81\x01xyz1234", "a field is not valid");
}
END_TEST

/* ---- at random ---- */

START_TEST(cut_frames_are_refused_where_protobuf_c_refuses_them)
{
	enum hawser__frame_kind kind = (enum hawser__frame_kind)_i;

	for (unsigned long n = suite_rounds(30); n--;) {
		Hawser__Frame *whole = random_frame(kind);
		struct bytes packed = frame_pack(whole);

		for (size_t length = 0; length < packed.length; length++) {
			struct bytes cut = bytes_copy(packed.data, length);
			Hawser__Frame *part = hawser__frame__unpack(NULL, length, cut.data);
			bool valid = part && (part->kind_case || part->ignorable);

			quick_assert((decode(packed.data, length) == 0) == valid);
			if (part)
				protobuf_c_message_free_unpacked(&part->base, NULL);
			bytes_free(&cut);
		}
		bytes_free(&packed);
		protobuf_c_message_free_unpacked(&whole->base, NULL);
	}
}
END_TEST

static struct bytes damage(const struct bytes *good)
{
	struct bytes bytes = bytes_copy(good->data, good->length);
	uint64_t times = 1 + random_below(4);

	while (times--) {
		size_t at = (size_t)random_below(bytes.length + 1);
		size_t span = (size_t)random_below(bytes.length - at + 1);
		struct bytes changed;

		if (span > 16)
			span = 1 + span % 16;
		switch (random_below(4)) {
		case 0: /* a bit */
			if (at < bytes.length)
				bytes.data[at] ^= (uint8_t)(1 << random_below(8));
			break;
		case 1: /* a byte, often of those that end or extend numbers */
			if (at < bytes.length)
				bytes.data[at] = (uint8_t)(random_one_in(2) ? 0xff : random_next());
			break;
		case 2: /* something is missing */
			changed = bytes_copy(bytes.data, at);
			bytes_append(&changed, bytes.data + at + span, bytes.length - at - span);
			bytes_free(&bytes);
			bytes = changed;
			break;
		default: /* something is there twice */
			changed = bytes_copy(bytes.data, at + span);
			bytes_append(&changed, bytes.data + at, bytes.length - at);
			bytes_free(&bytes);
			bytes = changed;
			break;
		}
	}
	return bytes;
}

/* What both codecs accept must mean the same to both; returns whether that was so. */
static bool check_damaged(const struct bytes *bytes)
{
	struct hawser__frame quick, full;
	const char *quick_why = NULL, *full_why = NULL;
	int r = hawser__frame_decode(&quick, bytes->data, bytes->length, &quick_why);
	Hawser__Frame *second;
	bool both;

	/* The reader for the usual frames takes what the full one takes. */
	quick_assert(hawser__frame_decode_head(&full, bytes->data, bytes->length, bytes->length,
					       &full_why) == r);
	if (r < 0) {
		quick_assert(r == -EBADMSG && quick_why && quick_why == full_why);
		return false;
	}
	quick_assert(frames_equal(&quick, &full));
	check_within(&quick, bytes->data, bytes->length);
	second = hawser__frame__unpack(NULL, bytes->length, bytes->data);
	both = second != NULL;
	if (second) {
		check_same(&quick, second);
		protobuf_c_message_free_unpacked(&second->base, NULL);
	}
	return both;
}

START_TEST(damaged_frames_mean_the_same_to_protobuf_c_or_are_refused)
{
	enum hawser__frame_kind kind = (enum hawser__frame_kind)_i;
	unsigned long rounds = suite_rounds(20000), accepted = 0, left = rounds;

	while (left) {
		Hawser__Frame *good = random_frame(kind);
		struct bytes packed = frame_pack(good);

		for (unsigned i = 0; i < 10 && left; i++, left--) {
			struct bytes bad = damage(&packed);

			accepted += check_damaged(&bad);
			bytes_free(&bad);
		}
		bytes_free(&packed);
		protobuf_c_message_free_unpacked(&good->base, NULL);
	}
	/* Else the comparison has compared nothing. */
	ck_assert_uint_gt(accepted, 0);
}
END_TEST

START_TEST(noise_never_makes_a_reader_leave_its_bytes)
{
	for (unsigned long n = suite_rounds(100000); n--;) {
		uint8_t noise[40];
		size_t length = (size_t)random_below(sizeof noise + 1);
		struct bytes bytes;

		random_fill(noise, length);
		/* Half of them begin like a frame. */
		if (length > 2 && random_one_in(16)) {
			noise[0] = 0x82;
			noise[1] = 0x01; /* hello */
			noise[2] = (uint8_t)random_below(length);
		} else if (length > 1 && random_one_in(2)) {
			noise[0] = (uint8_t)((1 + random_below(15)) << 3 | 2);
			noise[1] = (uint8_t)random_below(length);
		}
		bytes = bytes_copy(noise, length);
		check_damaged(&bytes);
		bytes_free(&bytes);
	}
}
END_TEST

/* ---- the head of a frame that is not taken ---- */

START_TEST(head_tells_all_but_the_payload)
{
	enum hawser__frame_kind kind = (enum hawser__frame_kind)_i;

	for (unsigned long n = suite_rounds(30); n--;) {
		Hawser__Frame *whole = random_frame(kind);
		struct bytes packed;
		struct hawser__frame full;
		size_t header;

		free(whole->payload.data);
		whole->payload.len = 1 + (size_t)random_below(300);
		whole->payload.data = malloc(whole->payload.len);
		ck_assert_ptr_nonnull(whole->payload.data);
		random_fill(whole->payload.data, whole->payload.len);
		packed = frame_pack(whole);
		ck_assert_int_eq(hawser__frame_decode(&full, packed.data, packed.length, &why), 0);
		header = (size_t)(full.payload - packed.data);
		for (size_t available = header; available <= packed.length; available++) {
			struct bytes head = bytes_copy(packed.data, available);

			quick_assert(hawser__frame_decode_head(&frame, head.data, available,
							       packed.length, &why) == 0);
			quick_assert(frame.body == head.data + (full.body - packed.data));
			quick_assert(frame.payload == head.data + header);
			frame.body = full.body;
			frame.payload = full.payload;
			quick_assert(frames_equal(&frame, &full));
			bytes_free(&head);
		}
		bytes_free(&packed);
		protobuf_c_message_free_unpacked(&whole->base, NULL);
	}
}
END_TEST

START_TEST(head_never_reads_beyond_what_is_there)
{
	for (unsigned long n = suite_rounds(20000); n--;) {
		Hawser__Frame *good = random_frame(random_kind());
		struct bytes packed = frame_pack(good), bad = damage(&packed);
		size_t available = (size_t)random_below(bad.length + 1);
		struct bytes head = bytes_copy(bad.data, available);

		if (hawser__frame_decode_head(&frame, head.data, available, bad.length, &why) ==
		    0) {
			quick_assert(!frame.body || frame.body_length <= available);
			/* The payload begins in the head, and ends in the frame. */
			quick_assert(!frame.payload ||
				     (frame.payload >= head.data &&
				      frame.payload <= head.data + available &&
				      frame.payload_length <=
					      bad.length - (size_t)(frame.payload - head.data)));
		}
		bytes_free(&head);
		bytes_free(&bad);
		bytes_free(&packed);
		protobuf_c_message_free_unpacked(&good->base, NULL);
	}
}
END_TEST

START_TEST(head_with_a_payload_beyond_its_frame_is_refused)
{
	struct bytes head = BYTES(CALL "\x7a\x80\x08");

	ck_assert_int_eq(
		hawser__frame_decode_head(&frame, head.data, head.length, head.length + 1024, &why),
		0);
	ck_assert_uint_eq(frame.payload_length, 1024);
	ck_assert_uint_eq(frame.id, 5);
	ck_assert_int_eq(
		hawser__frame_decode_head(&frame, head.data, head.length, head.length + 1023, &why),
		-EBADMSG);
	ck_assert_str_eq(why, "the payload is longer than its frame");
	bytes_free(&head);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire-damage");
	TCase *growth = suite_case(suite, "growth"), *invalid = suite_case(suite, "invalid");
	TCase *random = suite_case(suite, "random"), *head = suite_case(suite, "head");

	tcase_add_test(growth, unknown_fields_of_a_frame_are_skipped);
	tcase_add_test(growth, unknown_fields_of_a_call_are_skipped_and_told);
	tcase_add_test(growth, kinds_of_a_later_version_are_ignored_if_marked_so);
	tcase_add_test(growth, ignorable_changes_nothing_for_a_known_kind);
	tcase_add_test(growth, fields_may_come_in_any_order);
	tcase_add_test(growth, acks_are_read_wherever_they_stand);
	tcase_add_test(growth, last_of_a_repeated_field_counts);
	tcase_add_test(growth, two_kinds_at_once_are_refused);
	tcase_add_test(growth, kind_of_another_wire_type_is_an_unknown_field);
	tcase_add_test(growth, empty_payload_is_as_good_as_none);

	tcase_add_test(invalid, varints_may_be_longer_than_needed_but_not_than_ten_bytes);
	tcase_add_test(invalid, numbers_beyond_64_bits_are_refused);
	tcase_add_test(invalid, statuses_are_cut_to_32_bits_as_protobuf_does);
	tcase_add_test(invalid, groups_and_unknown_wire_types_are_refused);
	tcase_add_test(invalid, fields_without_a_number_are_refused);
	tcase_add_test(invalid, lengths_beyond_the_frame_are_refused);

	add_for_each_kind(random, cut_frames_are_refused_where_protobuf_c_refuses_them);
	add_for_each_kind(random, damaged_frames_mean_the_same_to_protobuf_c_or_are_refused);
	tcase_add_test(random, noise_never_makes_a_reader_leave_its_bytes);

	/* Hello has none, nor has its number a place before it. */
	tcase_add_loop_test(head, head_tells_all_but_the_payload, HAWSER__FRAME_OPEN,
			    HAWSER__FRAME_WINDOW + 1);
	tcase_add_test(head, head_never_reads_beyond_what_is_there);
	tcase_add_test(head, head_with_a_payload_beyond_its_frame_is_refused);
	return suite_run(suite);
}
