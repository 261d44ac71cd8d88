/* How long a frame may be, and what is told to whoever sends something else. */

#include "one_session.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* An open frame of exactly `size` bytes. */
static ptrdiff_t next_open(size_t size)
{
	Hawser__Frame message = HAWSER__FRAME__INIT;
	Hawser__Open open = HAWSER__OPEN__INIT;
	uint8_t *credentials = calloc(1, size);
	ptrdiff_t taken;

	ck_assert_ptr_nonnull(credentials);
	/* Two tags and two lengths of two bytes each */
	open.credentials = (ProtobufCBinaryData){size - 6, credentials};
	taken = next_frame(&message, HAWSER__FRAME_OPEN, &open);
	free(credentials);
	return taken;
}

START_TEST(first_frame_is_limited)
{
	start(true, HAWSER__SESSION_NEW);
	ck_assert_int_eq(next_open(HAWSER__FRAME_OPEN_LIMIT),
			 HAWSER__FRAME_PREFIX + HAWSER__FRAME_OPEN_LIMIT);
	REFUSED(next_open(HAWSER__FRAME_OPEN_LIMIT + 1), TOO_LARGE,
		"a first frame of 4097 bytes, the limit is 4096");
	/* The prefix is enough to know. */
	REFUSED(next("\x00\x00\x10\x01", 4), TOO_LARGE,
		"a first frame of 4097 bytes, the limit is 4096");
	stop();
}
END_TEST

START_TEST(answer_to_open_may_be_longer_than_open)
{
	Hawser__Frame message = HAWSER__FRAME__INIT;
	Hawser__Opened opened = HAWSER__OPENED__INIT;
	char *problems[1], text[10000];

	memset(text, 'p', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	problems[0] = text;
	opened.problems = problems;
	opened.n_problems = 1;
	start(false, HAWSER__SESSION_NEW);
	ck_assert_int_gt(next_frame(&message, HAWSER__FRAME_OPENED, &opened), 10000);
	stop();
}
END_TEST

/* Bytes that are not ours, from whoever took this port for another. */
START_TEST(tls_http_and_ssh_are_recognised)
{
	static const char tls[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
	static const char *const http[] = {"GET / HTTP/1.1\r\n",
					   "HEAD / HTTP/1.1\r\n",
					   "POST / HTTP/1.1\r\n",
					   "PUT / HTTP/1.1\r\n",
					   "DELETE / HTTP/1.1\r\n",
					   "OPTIONS * HTTP/1.1\r\n",
					   "CONNECT h:1 HTTP/1.1\r\n",
					   "PATCH / HTTP/1.1\r\n",
					   "PRI * HTTP/2.0\r\n",
					   "HTTP/1.1 400 Bad Request\r\n",
					   "GET "};

	start(true, HAWSER__SESSION_NEW);
	REFUSED(next(tls, sizeof tls - 1), PROTOCOL_ERROR,
		"not a frame: this looks like TLS, which is not spoken here");
	for (size_t i = 0; i < sizeof http / sizeof *http; i++)
		REFUSED(next(http[i], strlen(http[i])), PROTOCOL_ERROR,
			"not a frame: this looks like HTTP, which is not spoken here");
	REFUSED(next("SSH-2.0-OpenSSH_9.2\r\n", 21), PROTOCOL_ERROR,
		"not a frame: this looks like SSH, which is not spoken here");
	REFUSED(next("\xff\xff\xff\xff", 4), PROTOCOL_ERROR,
		"not a frame: its length is beyond every limit");
	REFUSED(next("hello", 5), PROTOCOL_ERROR, "not a frame: its length is beyond every limit");
	stop();
}
END_TEST

START_TEST(every_first_byte_from_0x16_on_is_refused_with_four_bytes)
{
	start(true, HAWSER__SESSION_OPEN);
	for (unsigned first = 0; first < 256; first++) {
		uint8_t prefix[] = {(uint8_t)first, 0, 0, 0};

		ck_assert_int_eq(next(prefix, 3), 0);
		ck_assert_int_eq(next(prefix, 4), first < 0x16 && first ? 0 : -EBADMSG);
	}
	stop();
}
END_TEST

START_TEST(what_a_frame_is_not_is_told)
{
	start(true, HAWSER__SESSION_OPEN);
	REFUSED(next("\0\0\0\0", 4), PROTOCOL_ERROR,
		"not a frame: its kind is not known and it is not marked ignorable");
	REFUSED(next("\0\0\0\2\x42\x05", 6), PROTOCOL_ERROR,
		"not a frame: a field is longer than its frame");
	stop();
}
END_TEST

/* A call whose frame has exactly `size` bytes, its payload all but the rest. */
static struct bytes call_of(size_t size, uint64_t id, size_t metadata_bytes)
{
	Hawser__Frame message = HAWSER__FRAME__INIT;
	Hawser__Call call = HAWSER__CALL__INIT;
	Hawser__Metadata item = HAWSER__METADATA__INIT, *items = &item;
	uint8_t *payload = calloc(1, size), *value = calloc(1, metadata_bytes + 1);
	struct bytes bytes;
	size_t without;

	ck_assert(payload && value);
	call.id = id;
	call.method = 1;
	item.key = "k";
	item.value = (ProtobufCBinaryData){metadata_bytes, value};
	call.metadata = &items;
	call.n_metadata = metadata_bytes ? 1 : 0;
	message.kind_case = HAWSER__FRAME__KIND_CALL;
	message.call = &call;
	without = hawser__frame__get_packed_size(&message);
	/* The payload's tag, and a length of three bytes (16 KiB to 2 MiB). */
	message.payload = (ProtobufCBinaryData){size - without - 4, payload};
	bytes = frame_pack_prefixed(&message);
	ck_assert_uint_eq(bytes.length, HAWSER__FRAME_PREFIX + size);
	free(payload);
	free(value);
	return bytes;
}

START_TEST(frame_at_the_limit_is_taken_and_one_byte_more_is_not)
{
	size_t limit = MAX_PAYLOAD + HAWSER__FRAME_OVERHEAD;
	struct bytes bytes;

	start(true, HAWSER__SESSION_OPEN);
	bytes = call_of(limit, 1, 0);
	ck_assert_int_eq(next(bytes.data, bytes.length), (ptrdiff_t)bytes.length);
	bytes_free(&bytes);
	bytes = call_of(limit + 1, 3, 0);
	ck_assert_int_eq(next(bytes.data, bytes.length), -EMSGSIZE);
	bytes_free(&bytes);
	stop();
}
END_TEST

START_TEST(oversized_call_can_be_answered_and_skipped)
{
	size_t size = MAX_PAYLOAD + HAWSER__FRAME_OVERHEAD + 500;
	size_t head = HAWSER__FRAME_PREFIX + HAWSER__FRAME_HEAD;
	struct bytes bytes = call_of(size, 7, 0);

	start(true, HAWSER__SESSION_OPEN);
	/* Nothing is decided before the head is there; the rest is not waited for. */
	for (size_t length = HAWSER__FRAME_PREFIX; length < head; length++) {
		if (length == 600)
			length = head - 100;
		ck_assert_int_eq(next(bytes.data, length), 0);
		ck_assert_uint_eq(need, head);
	}
	ck_assert_uint_eq(session.last_call, 0);
	ck_assert_int_eq(next(bytes.data, head), -EMSGSIZE);
	ck_assert_int_eq(frame.kind, HAWSER__FRAME_CALL);
	ck_assert_uint_eq(frame.id, 7);
	ck_assert_uint_eq(frame.method, 1);
	ck_assert_uint_gt(frame.payload_length, MAX_PAYLOAD);
	ck_assert_uint_eq(need, HAWSER__FRAME_PREFIX + size);
	ck_assert_uint_eq(session.last_call, 7);
	bytes_free(&bytes);
	stop();
}
END_TEST

START_TEST(oversized_call_keeps_the_rules_of_ids)
{
	struct bytes bytes = call_of(MAX_PAYLOAD + HAWSER__FRAME_OVERHEAD + 500, 4, 0);

	start(true, HAWSER__SESSION_OPEN);
	REFUSED(next(bytes.data, bytes.length), PROTOCOL_ERROR,
		"call: its id is the other end's to choose");
	bytes_free(&bytes);
	stop();
}
END_TEST

START_TEST(frame_of_more_than_a_payload_is_refused_with_both_numbers)
{
	Hawser__Frame message = HAWSER__FRAME__INIT;
	Hawser__Shutdown shutdown = HAWSER__SHUTDOWN__INIT;
	size_t length = MAX_PAYLOAD + HAWSER__FRAME_OVERHEAD;
	char *text = malloc(length);

	ck_assert_ptr_nonnull(text);
	memset(text, 's', length - 1);
	text[length - 1] = '\0';
	shutdown.text = text;
	start(true, HAWSER__SESSION_OPEN);
	REFUSED(next_frame(&message, HAWSER__FRAME_SHUTDOWN, &shutdown), TOO_LARGE,
		"a frame of 66543 bytes, the limit is 66536");
	free(text);
	stop();
}
END_TEST

/* As any frame without a payload: how much of it is kept is for others to say. */
START_TEST(hello_has_no_limit_of_its_own)
{
	Hawser__Frame message = HAWSER__FRAME__INIT;
	Hawser__Hello hello = HAWSER__HELLO__INIT;
	/* Besides it: its own tag and length, that of the frame, and the mark. */
	size_t length = HAWSER__FRAME_OVERHEAD - 2 - 3 - 1 - 3 - 2;
	char *text = malloc(length + 2);

	ck_assert_ptr_nonnull(text);
	memset(text, 'a', length);
	text[length] = '\0';
	hello.address = text;
	message.ignorable = true;
	start(true, HAWSER__SESSION_OPEN);
	ck_assert_int_gt(next_frame(&message, HAWSER__FRAME_HELLO, &hello), 0);
	ck_assert_int_eq(frame.kind, HAWSER__FRAME_HELLO);
	memcpy(text + length, "a", 2);
	REFUSED(next_frame(&message, HAWSER__FRAME_HELLO, &hello), TOO_LARGE,
		"a frame of 65537 bytes besides its payload, the limit is 65536");
	free(text);
	stop();
}
END_TEST

/* All the metadata that a call may have does not hide its payload. */
START_TEST(oversized_call_with_much_metadata_can_be_answered)
{
	size_t size = MAX_PAYLOAD + 2 * HAWSER__FRAME_OVERHEAD;
	struct bytes bytes = call_of(size, 7, HAWSER__FRAME_HEAD - 40);

	start(true, HAWSER__SESSION_OPEN);
	ck_assert_int_eq(next(bytes.data, bytes.length), -EMSGSIZE);
	ck_assert_uint_eq(frame.id, 7);
	ck_assert(frame.more);
	ck_assert_uint_gt(frame.body_length, HAWSER__FRAME_HEAD - 40);
	bytes_free(&bytes);
	stop();
}
END_TEST

/* More than that hides it. The frame is no damage all the same. */
START_TEST(oversized_call_with_a_longer_head_is_called_too_large)
{
	size_t size = MAX_PAYLOAD + 2 * HAWSER__FRAME_OVERHEAD;
	struct bytes bytes = call_of(size, 7, HAWSER__FRAME_HEAD);

	start(true, HAWSER__SESSION_OPEN);
	REFUSED(next(bytes.data, bytes.length), TOO_LARGE,
		"a frame of 132072 bytes, the limit is 66536");
	bytes_free(&bytes);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire-limits");
	TCase *limits = suite_case(suite, "limits");

	tcase_add_test(limits, first_frame_is_limited);
	tcase_add_test(limits, answer_to_open_may_be_longer_than_open);
	tcase_add_test(limits, tls_http_and_ssh_are_recognised);
	tcase_add_test(limits, every_first_byte_from_0x16_on_is_refused_with_four_bytes);
	tcase_add_test(limits, what_a_frame_is_not_is_told);
	tcase_add_test(limits, frame_at_the_limit_is_taken_and_one_byte_more_is_not);
	tcase_add_test(limits, oversized_call_can_be_answered_and_skipped);
	tcase_add_test(limits, oversized_call_keeps_the_rules_of_ids);
	tcase_add_test(limits, frame_of_more_than_a_payload_is_refused_with_both_numbers);
	tcase_add_test(limits, hello_has_no_limit_of_its_own);
	tcase_add_test(limits, oversized_call_with_much_metadata_can_be_answered);
	tcase_add_test(limits, oversized_call_with_a_longer_head_is_called_too_large);
	return suite_run(suite);
}
