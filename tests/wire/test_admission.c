/* What a session lets in: the order of opening and call ids; and how it says no. */

#include "one_session.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ptrdiff_t next_of_kind(enum hawser__frame_kind kind, uint64_t id)
{
	Hawser__Frame message = HAWSER__FRAME__INIT;
	ProtobufCMessage *body;
	const ProtobufCMessageDescriptor *type = kind_type(kind);
	const ProtobufCFieldDescriptor *first = protobuf_c_message_descriptor_get_field(type, 1);
	ptrdiff_t taken;

	body = malloc(type->sizeof_message);
	ck_assert_ptr_nonnull(body);
	protobuf_c_message_init(type, body);
	if (first->type == PROTOBUF_C_TYPE_UINT64)
		*(uint64_t *)(void *)((char *)body + first->offset) = id;
	taken = next_frame(&message, kind, body);
	free(body);
	return taken;
}

/* ---- opening ---- */

START_TEST(server_takes_open_first)
{
	start(true, HAWSER__SESSION_NEW);
	ck_assert_int_gt(next_of_kind(HAWSER__FRAME_OPEN, 0), 0);
	ck_assert_int_eq(frame.kind, HAWSER__FRAME_OPEN);
	/* Whether it is open now, the server decides. */
	ck_assert_int_eq(session.state, HAWSER__SESSION_NEW);
	stop();
}
END_TEST

START_TEST(client_is_open_with_opened_and_over_with_rejected)
{
	start(false, HAWSER__SESSION_NEW);
	ck_assert_int_gt(next_of_kind(HAWSER__FRAME_OPENED, 0), 0);
	ck_assert_int_eq(session.state, HAWSER__SESSION_OPEN);
	stop();
	start(false, HAWSER__SESSION_NEW);
	ck_assert_int_gt(next_of_kind(HAWSER__FRAME_REJECTED, 0), 0);
	ck_assert_int_eq(session.state, HAWSER__SESSION_OVER);
	stop();
}
END_TEST

START_TEST(close_may_come_at_any_time)
{
	for (int is_server = 0; is_server < 2; is_server++) {
		start(is_server, HAWSER__SESSION_NEW);
		ck_assert_int_gt(next_of_kind(HAWSER__FRAME_CLOSE, 0), 0);
		stop();
		start(is_server, HAWSER__SESSION_OPEN);
		ck_assert_int_gt(next_of_kind(HAWSER__FRAME_CLOSE, 0), 0);
		stop();
	}
}
END_TEST

START_TEST(nothing_else_comes_first)
{
	for (enum hawser__frame_kind kind = HAWSER__FRAME_PING; kind < HAWSER__FRAME_KINDS;
	     kind++) {
		char text[160];

		if (!is_kind(kind) || kind == HAWSER__FRAME_CLOSE)
			continue;
		snprintf(text, sizeof text,
			 "the first frame is %s, not open: is this a Hawser client?",
			 hawser__frame_kind_name(kind));
		start(true, HAWSER__SESSION_NEW);
		REFUSED(next_of_kind(kind, 1), PROTOCOL_ERROR, text);
		stop();
		snprintf(text, sizeof text,
			 "the first frame is %s, not opened or rejected: is this a Hawser server?",
			 hawser__frame_kind_name(kind));
		start(false, HAWSER__SESSION_NEW);
		REFUSED(next_of_kind(kind, 2), PROTOCOL_ERROR, text);
		stop();
	}
}
END_TEST

START_TEST(unknown_kinds_do_not_come_first_either)
{
	Hawser__Frame message = HAWSER__FRAME__INIT;

	message.ignorable = true;
	start(true, HAWSER__SESSION_NEW);
	REFUSED(next_frame(&message, HAWSER__FRAME_IGNORED, NULL), PROTOCOL_ERROR,
		"the first frame is ignored, not open: is this a Hawser client?");
	session.state = HAWSER__SESSION_OPEN;
	ck_assert_int_gt(next_frame(&message, HAWSER__FRAME_IGNORED, NULL), 0);
	ck_assert_int_eq(frame.kind, HAWSER__FRAME_IGNORED);
	stop();
}
END_TEST

/* Whether the connection is the first one makes no difference. */
START_TEST(session_that_is_away_begins_with_opening_frames_as_well)
{
	start(true, HAWSER__SESSION_AWAY);
	REFUSED(next_of_kind(HAWSER__FRAME_CALL, 1), PROTOCOL_ERROR,
		"the first frame is call, not open: is this a Hawser client?");
	ck_assert_int_gt(next_of_kind(HAWSER__FRAME_OPEN, 0), 0);
	ck_assert_int_eq(session.state, HAWSER__SESSION_AWAY);
	stop();
	start(false, HAWSER__SESSION_AWAY);
	REFUSED(next_of_kind(HAWSER__FRAME_END, 1), PROTOCOL_ERROR,
		"the first frame is end, not opened or rejected: is this a Hawser server?");
	ck_assert_uint_eq(session.received, 0);
	ck_assert_int_gt(next_of_kind(HAWSER__FRAME_OPENED, 0), 0);
	ck_assert_int_eq(session.state, HAWSER__SESSION_OPEN);
	stop();
	start(false, HAWSER__SESSION_AWAY);
	ck_assert_int_gt(next_of_kind(HAWSER__FRAME_REJECTED, 0), 0);
	ck_assert_int_eq(session.state, HAWSER__SESSION_OVER);
	stop();
}
END_TEST

/* At any time, from either end; and as it dies with its connection, it is not counted. */
START_TEST(hello_comes_while_open_and_is_not_counted)
{
	for (int is_server = 0; is_server < 2; is_server++) {
		Hawser__Frame message = HAWSER__FRAME__INIT;
		Hawser__Hello hello = HAWSER__HELLO__INIT;
		char *services[] = {(char *)"demo.Greeter"};

		hello.services = services;
		hello.n_services = 1;
		message.ignorable = true;
		start(is_server, HAWSER__SESSION_OPEN);
		for (unsigned i = 0; i < 3; i++) {
			ck_assert_int_gt(next_frame(&message, HAWSER__FRAME_HELLO, &hello), 0);
			ck_assert_int_eq(frame.kind, HAWSER__FRAME_HELLO);
		}
		/* Also without the mark: it is known here. */
		message.ignorable = false;
		ck_assert_int_gt(next_frame(&message, HAWSER__FRAME_HELLO, &hello), 0);
		ck_assert_int_eq(frame.kind, HAWSER__FRAME_HELLO);
		ck_assert_uint_eq(session.received, 0);
		stop();
		start(is_server, HAWSER__SESSION_AWAY);
		ck_assert_int_eq(next_frame(&message, HAWSER__FRAME_HELLO, &hello), -EBADMSG);
		stop();
	}
}
END_TEST

START_TEST(opening_frames_come_from_their_end_only)
{
	start(true, HAWSER__SESSION_NEW);
	REFUSED(next_of_kind(HAWSER__FRAME_OPENED, 0), PROTOCOL_ERROR,
		"opened: only whoever accepts sends it");
	REFUSED(next_of_kind(HAWSER__FRAME_REJECTED, 0), PROTOCOL_ERROR,
		"rejected: it only answers an open");
	stop();
	start(false, HAWSER__SESSION_NEW);
	REFUSED(next_of_kind(HAWSER__FRAME_OPEN, 0), PROTOCOL_ERROR,
		"open: only whoever connects sends it");
	ck_assert_int_eq(session.state, HAWSER__SESSION_NEW);
	stop();
}
END_TEST

START_TEST(opening_frames_come_once)
{
	start(true, HAWSER__SESSION_OPEN);
	REFUSED(next_of_kind(HAWSER__FRAME_OPEN, 0), PROTOCOL_ERROR,
		"open: the connection is open already");
	stop();
	start(false, HAWSER__SESSION_OPEN);
	REFUSED(next_of_kind(HAWSER__FRAME_OPENED, 0), PROTOCOL_ERROR,
		"opened: the connection is open already");
	REFUSED(next_of_kind(HAWSER__FRAME_REJECTED, 0), PROTOCOL_ERROR,
		"rejected: it only answers an open");
	stop();
}
END_TEST

/* ---- call ids ---- */

START_TEST(calls_from_whoever_connected_are_odd_and_rise)
{
	start(true, HAWSER__SESSION_OPEN);
	REFUSED(next_of_kind(HAWSER__FRAME_CALL, 2), PROTOCOL_ERROR,
		"call: its id is the other end's to choose");
	REFUSED(next_of_kind(HAWSER__FRAME_CALL, 0), PROTOCOL_ERROR,
		"call: its id is the other end's to choose");
	ck_assert_int_gt(next_of_kind(HAWSER__FRAME_CALL, 1), 0);
	ck_assert_uint_eq(session.last_call, 1);
	REFUSED(next_of_kind(HAWSER__FRAME_CALL, 1), PROTOCOL_ERROR,
		"call: its id is not above that of the last call");
	/* Gaps are allowed, a way back is not. */
	ck_assert_int_gt(next_of_kind(HAWSER__FRAME_CALL, 9), 0);
	REFUSED(next_of_kind(HAWSER__FRAME_CALL, 7), PROTOCOL_ERROR,
		"call: its id is not above that of the last call");
	ck_assert_uint_eq(session.last_call, 9);
	ck_assert_int_gt(next_of_kind(HAWSER__FRAME_CALL, UINT64_MAX), 0);
	REFUSED(next_of_kind(HAWSER__FRAME_CALL, UINT64_MAX), PROTOCOL_ERROR,
		"call: its id is not above that of the last call");
	stop();
}
END_TEST

START_TEST(calls_from_whoever_accepted_are_even_and_rise)
{
	start(false, HAWSER__SESSION_OPEN);
	REFUSED(next_of_kind(HAWSER__FRAME_CALL, 1), PROTOCOL_ERROR,
		"call: its id is the other end's to choose");
	REFUSED(next_of_kind(HAWSER__FRAME_CALL, 0), PROTOCOL_ERROR,
		"call: its id is not above that of the last call");
	ck_assert_int_gt(next_of_kind(HAWSER__FRAME_CALL, 2), 0);
	REFUSED(next_of_kind(HAWSER__FRAME_CALL, 2), PROTOCOL_ERROR,
		"call: its id is not above that of the last call");
	ck_assert_int_gt(next_of_kind(HAWSER__FRAME_CALL, UINT64_MAX - 1), 0);
	stop();
}
END_TEST

START_TEST(our_calls_have_the_other_parity)
{
	start(true, HAWSER__SESSION_OPEN);
	ck_assert_uint_eq(hawser__session_take_call(&session), 2);
	ck_assert_uint_eq(hawser__session_take_call(&session), 4);
	stop();
	start(false, HAWSER__SESSION_OPEN);
	ck_assert_uint_eq(hawser__session_take_call(&session), 1);
	ck_assert_uint_eq(hawser__session_take_call(&session), 3);
	stop();
}
END_TEST

START_TEST(frames_of_a_call_name_one)
{
	start(true, HAWSER__SESSION_OPEN);
	REFUSED(next_of_kind(HAWSER__FRAME_MESSAGE, 0), PROTOCOL_ERROR,
		"message: it names no call");
	REFUSED(next_of_kind(HAWSER__FRAME_END, 0), PROTOCOL_ERROR, "end: it names no call");
	REFUSED(next_of_kind(HAWSER__FRAME_CANCEL, 0), PROTOCOL_ERROR, "cancel: it names no call");
	REFUSED(next_of_kind(HAWSER__FRAME_WINDOW, 0), PROTOCOL_ERROR, "window: it names no call");
	/* Of either end; whether it still runs is not for the session to know. */
	for (uint64_t id = 1; id < 5; id++) {
		ck_assert_int_gt(next_of_kind(HAWSER__FRAME_MESSAGE, id), 0);
		ck_assert_int_gt(next_of_kind(HAWSER__FRAME_END, id), 0);
		ck_assert_int_gt(next_of_kind(HAWSER__FRAME_CANCEL, id), 0);
		ck_assert_int_gt(next_of_kind(HAWSER__FRAME_WINDOW, id), 0);
	}
	/* A number, not a call's id. */
	ck_assert_int_gt(next_of_kind(HAWSER__FRAME_PING, 0), 0);
	stop();
}
END_TEST

/* ---- saying no ---- */

static Hawser__Frame *sent(struct bytes *bytes)
{
	Hawser__Frame *message;

	*bytes = bytes_take(session.control.length ? &session.control : &session.log.frames);
	ck_assert_uint_gt(bytes->length, HAWSER__FRAME_PREFIX);
	ck_assert_uint_eq(hawser__frame_length(bytes->data), bytes->length - HAWSER__FRAME_PREFIX);
	message = hawser__frame__unpack(NULL, bytes->length - HAWSER__FRAME_PREFIX,
					bytes->data + HAWSER__FRAME_PREFIX);
	ck_assert_ptr_nonnull(message);
	bytes_free(bytes);
	return message;
}

START_TEST(server_rejects_before_it_is_open)
{
	struct bytes bytes;
	Hawser__Frame *message;

	start(true, HAWSER__SESSION_NEW);
	hawser__problem_set(&problem, HAWSER__REASON__REASON_VERSION, "version %d", 9);
	ck_assert_ptr_nonnull(hawser__session_put_close(&session, &problem));
	ck_assert_int_eq(session.state, HAWSER__SESSION_OVER);
	message = sent(&bytes);
	ck_assert_int_eq(message->kind_case, HAWSER__FRAME__KIND_REJECTED);
	ck_assert_int_eq(message->rejected->reason, HAWSER__REASON__REASON_VERSION);
	ck_assert_str_eq(message->rejected->text, "version 9");
	ck_assert_uint_eq(message->rejected->min_version, HAWSER__PROTOCOL_VERSION);
	ck_assert_uint_eq(message->rejected->max_version, HAWSER__PROTOCOL_VERSION);
	hawser__frame__free_unpacked(message, NULL);
	stop();
}
END_TEST

START_TEST(close_tells_the_last_call_that_was_taken)
{
	for (int is_server = 0; is_server < 2; is_server++) {
		struct bytes bytes;
		Hawser__Frame *message;
		uint64_t id = is_server ? 11 : 12;

		start(is_server, HAWSER__SESSION_OPEN);
		ck_assert_int_gt(next_of_kind(HAWSER__FRAME_CALL, id), 0);
		hawser__problem_set(&problem, HAWSER__REASON__REASON_IDLE, "idle for %d ms", 5);
		ck_assert_ptr_nonnull(hawser__session_put_close(&session, &problem));
		ck_assert_int_eq(session.state, HAWSER__SESSION_OVER);
		message = sent(&bytes);
		ck_assert_int_eq(message->kind_case, HAWSER__FRAME__KIND_CLOSE);
		ck_assert_int_eq(message->close->reason, HAWSER__REASON__REASON_IDLE);
		ck_assert_str_eq(message->close->text, "idle for 5 ms");
		ck_assert_uint_eq(message->close->last_call, id);
		hawser__frame__free_unpacked(message, NULL);
		stop();
	}
}
END_TEST

START_TEST(close_goes_behind_the_calls_that_are_queued)
{
	struct hawser__frame first, second;
	struct bytes bytes;
	size_t length;
	const char *why;

	start(true, HAWSER__SESSION_NEW);
	hawser__session_begin(&session, true);
	ck_assert_ptr_nonnull(hawser__session_put_end(&session, 1, 0, 0, NULL, 0, 0, NULL));
	hawser__problem_set(&problem, HAWSER__REASON__REASON_DONE, "that was all");
	ck_assert_ptr_nonnull(hawser__session_put_close(&session, &problem));
	ck_assert_uint_eq(session.control.length, 0);
	bytes = bytes_take(&session.log.frames);
	length = hawser__frame_length(bytes.data);
	ck_assert_int_eq(
		hawser__frame_decode(&first, bytes.data + HAWSER__FRAME_PREFIX, length, &why), 0);
	ck_assert_int_eq(first.kind, HAWSER__FRAME_END);
	length += (size_t)2 * HAWSER__FRAME_PREFIX;
	ck_assert_int_eq(
		hawser__frame_decode(&second, bytes.data + length, bytes.length - length, &why), 0);
	ck_assert_int_eq(second.kind, HAWSER__FRAME_CLOSE);
	bytes_free(&bytes);
	stop();
}
END_TEST

START_TEST(client_closes_even_before_it_is_open)
{
	struct bytes bytes;
	Hawser__Frame *message;

	start(false, HAWSER__SESSION_NEW);
	hawser__problem_set(&problem, HAWSER__REASON__REASON_DONE, "enough");
	ck_assert_ptr_nonnull(hawser__session_put_close(&session, &problem));
	ck_assert_int_eq(session.state, HAWSER__SESSION_OVER);
	message = sent(&bytes);
	ck_assert_int_eq(message->kind_case, HAWSER__FRAME__KIND_CLOSE);
	hawser__frame__free_unpacked(message, NULL);
	stop();
}
END_TEST

START_TEST(draining_leaves_an_open_session_open)
{
	struct bytes bytes;
	Hawser__Frame *message;

	start(true, HAWSER__SESSION_OPEN);
	hawser__problem_set(&problem, HAWSER__REASON__REASON_DRAINING, "draining");
	ck_assert_ptr_nonnull(hawser__session_put_close(&session, &problem));
	ck_assert_int_eq(session.state, HAWSER__SESSION_OPEN);
	message = sent(&bytes);
	ck_assert_int_eq(message->kind_case, HAWSER__FRAME__KIND_CLOSE);
	ck_assert_int_eq(message->close->reason, HAWSER__REASON__REASON_DRAINING);
	hawser__frame__free_unpacked(message, NULL);
	ck_assert_int_gt(next_of_kind(HAWSER__FRAME_PING, 1), 0);
	stop();
}
END_TEST

START_TEST(problem_that_is_too_long_is_cut)
{
	hawser__problem_set(&problem, HAWSER__REASON__REASON_INTERNAL, "%0500d", 1);
	ck_assert_uint_eq(strlen(problem.text), sizeof problem.text - 1);
}
END_TEST

START_TEST(every_reason_has_its_name_from_wire_proto)
{
	for (unsigned i = 0; i < hawser__reason__descriptor.n_values; i++) {
		const ProtobufCEnumValue *value = &hawser__reason__descriptor.values[i];
		const char *name = hawser__reason_name((unsigned)value->value);
		const char *in_proto = value->name + strlen("REASON_");

		ck_assert_uint_eq(strlen(name), strlen(in_proto));
		for (size_t k = 0; name[k]; k++)
			ck_assert_int_eq(name[k] == ' ' ? '_' : name[k] - 'a' + 'A', in_proto[k]);
	}
	ck_assert_str_eq(hawser__reason_name(hawser__reason__descriptor.n_values), "unknown");
	ck_assert_str_eq(hawser__reason_name(UINT32_MAX), "unknown");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire-admission");
	TCase *opening = suite_case(suite, "opening"), *ids = suite_case(suite, "ids");
	TCase *closing = suite_case(suite, "closing");

	tcase_add_test(opening, server_takes_open_first);
	tcase_add_test(opening, client_is_open_with_opened_and_over_with_rejected);
	tcase_add_test(opening, close_may_come_at_any_time);
	tcase_add_test(opening, nothing_else_comes_first);
	tcase_add_test(opening, unknown_kinds_do_not_come_first_either);
	tcase_add_test(opening, session_that_is_away_begins_with_opening_frames_as_well);
	tcase_add_test(opening, hello_comes_while_open_and_is_not_counted);
	tcase_add_test(opening, opening_frames_come_from_their_end_only);
	tcase_add_test(opening, opening_frames_come_once);

	tcase_add_test(ids, calls_from_whoever_connected_are_odd_and_rise);
	tcase_add_test(ids, calls_from_whoever_accepted_are_even_and_rise);
	tcase_add_test(ids, our_calls_have_the_other_parity);
	tcase_add_test(ids, frames_of_a_call_name_one);

	tcase_add_test(closing, server_rejects_before_it_is_open);
	tcase_add_test(closing, close_tells_the_last_call_that_was_taken);
	tcase_add_test(closing, close_goes_behind_the_calls_that_are_queued);
	tcase_add_test(closing, client_closes_even_before_it_is_open);
	tcase_add_test(closing, draining_leaves_an_open_session_open);
	tcase_add_test(closing, problem_that_is_too_long_is_cut);
	tcase_add_test(closing, every_reason_has_its_name_from_wire_proto);
	return suite_run(suite);
}
