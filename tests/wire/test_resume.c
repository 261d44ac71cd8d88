/* A session across its connections: what is told to the peer and when, what dies with a
 * connection and what does not. The two ends are joined by hand, byte by byte where it matters;
 * tests/sim lets a whole world do that. */

#include "frames.h"
#include "support/failing_alloc.h"
#include "support/random.h"
#include "support/suite.h"
#include "wire/session.h"
#include <errno.h>
#include <string.h>

enum { MAX_PAYLOAD = 1000 };

static struct hawser__pool pool;
static struct hawser__session client, server;
static struct hawser__problem problem;

/* Both ends are open; the session is kept, or not. */
static void start(bool is_kept)
{
	memset(&pool, 0, sizeof pool);
	hawser__session_init(&client, false, MAX_PAYLOAD, &pool);
	hawser__session_init(&server, true, MAX_PAYLOAD, &pool);
	hawser__session_begin(&client, is_kept);
	hawser__session_begin(&server, is_kept);
}

static void stop(void)
{
	hawser__session_deinit(&client);
	hawser__session_deinit(&server);
	hawser__pool_deinit(&pool);
}

/* ---- between the ends ---- */

/* Takes up to `length` bytes of what is to be written. */
static struct bytes write_some(struct hawser__session *session, size_t length)
{
	struct bytes bytes = bytes_copy("", 0);

	while (bytes.length < length && hawser__session_unwritten(session)) {
		struct iovec pieces[3];
		int count = hawser__session_peek(session, pieces, 1 + (int)random_below(3));
		size_t part = 0;

		quick_assert(count > 0);
		for (int i = 0; i < count && bytes.length < length; i++) {
			size_t left = length - bytes.length;
			size_t taken = pieces[i].iov_len < left ? pieces[i].iov_len : left;

			bytes_append(&bytes, pieces[i].iov_base, taken);
			part += taken;
		}
		hawser__session_wrote(session, part);
	}
	return bytes;
}

/* How many frames came of each kind, and the sum of what they acknowledged. */
struct heard {
	unsigned kinds[HAWSER__FRAME_KINDS];
	unsigned acks;
	uint64_t last_id, last_ack;
};

static struct heard read_all(struct hawser__session *session, struct bytes bytes)
{
	struct heard heard = {0};
	struct hawser__frame frame;
	size_t at = 0, need;

	while (at < bytes.length) {
		ptrdiff_t taken = hawser__session_next(session, bytes.data + at, bytes.length - at,
						       &frame, &need, &problem);

		if (taken < 0)
			ck_abort_msg("%s", problem.text);
		if (taken == 0)
			break;
		at += (size_t)taken;
		heard.kinds[frame.kind]++;
		heard.acks += frame.ack != 0;
		heard.last_id = frame.id;
		if (frame.ack)
			heard.last_ack = frame.ack;
	}
	bytes_free(&bytes);
	return heard;
}

static struct heard pass(struct hawser__session *from, struct hawser__session *to)
{
	return read_all(to, write_some(from, SIZE_MAX));
}

static void put_calls(unsigned count, size_t length)
{
	while (count--) {
		uint8_t *room = hawser__session_put_call(
			&client, hawser__session_take_call(&client), 7, 0, NULL, 0, length, NULL);

		quick_assert(room);
		memset(room, 'r', length);
	}
}

static void put_end(uint64_t id)
{
	quick_assert(hawser__session_put_end(&server, id, 0, 0, NULL, 0, 0, NULL));
}

/* Both lose the connection and make another, as open and opened would have them. */
static void reconnect(void)
{
	hawser__session_lost(&client);
	hawser__session_lost(&server);
	ck_assert_int_eq(client.state, HAWSER__SESSION_AWAY);
	ck_assert_int_eq(hawser__session_resume(&server, client.received, &problem), 0);
	ck_assert_int_eq(hawser__session_resume(&client, server.received, &problem), 0);
	ck_assert_int_eq(client.state, HAWSER__SESSION_OPEN);
}

/* ---- acknowledgements ---- */

START_TEST(frames_of_a_session_are_counted_and_no_others)
{
	Hawser__Hello hello = HAWSER__HELLO__INIT;

	start(true);
	put_calls(1, 0);
	ck_assert_ptr_nonnull(hawser__session_put_message(&client, 1, true, 0, NULL));
	ck_assert_ptr_nonnull(hawser__session_put_window(&client, 1, 100, NULL));
	ck_assert_ptr_nonnull(hawser__session_put_cancel(&client, 1, NULL));
	ck_assert_ptr_nonnull(hawser__session_put_number(&client, HAWSER__FRAME_PING, 1));
	ck_assert_ptr_nonnull(hawser__session_put_number(&client, HAWSER__FRAME_PONG, 1));
	ck_assert_ptr_nonnull(hawser__session_put(&client, HAWSER__FRAME_HELLO, &hello.base));
	ck_assert_ptr_nonnull(hawser__session_put_ack(&client));
	pass(&client, &server);
	ck_assert_uint_eq(server.received, 4);
	ck_assert_uint_eq(client.log.last, 4);
	put_end(1);
	pass(&server, &client);
	ck_assert_uint_eq(client.received, 1);
	stop();
}
END_TEST

START_TEST(ack_rides_on_a_frame_when_enough_has_come)
{
	start(true);
	for (unsigned i = 0; i < HAWSER__ACK_FRAMES; i++) {
		ck_assert_int_eq(hawser__session_owes_ack(&server), i > 0);
		put_end(1);
		/* Not yet: it would cost more than it is worth. */
		ck_assert_uint_eq(pass(&server, &client).acks, 0);
		put_calls(1, 0);
		pass(&client, &server);
	}
	ck_assert_uint_gt(client.log.frames.length, 0);
	put_end(1);
	put_end(1);
	ck_assert(!hawser__session_owes_ack(&server));
	ck_assert_uint_eq(pass(&server, &client).acks, 1);
	ck_assert_ptr_null(client.log.frames.first);
	stop();
}
END_TEST

START_TEST(ack_rides_on_a_frame_when_it_is_urged)
{
	start(true);
	put_calls(1, 0);
	pass(&client, &server);
	ck_assert(!hawser__session_must_ack(&server));
	ck_assert(hawser__session_urge_ack(&server));
	put_end(1);
	ck_assert_uint_eq(pass(&server, &client).last_ack, 1);
	ck_assert_ptr_null(client.log.frames.first);
	ck_assert(!hawser__session_owes_ack(&server));
	/* Nothing went the second time: it is to go alone. */
	put_calls(1, 0);
	pass(&client, &server);
	ck_assert(hawser__session_urge_ack(&server));
	ck_assert(!hawser__session_urge_ack(&server));
	ck_assert_ptr_nonnull(hawser__session_put_ack(&server));
	ck_assert_uint_eq(pass(&server, &client).last_ack, 2);
	ck_assert_ptr_null(client.log.frames.first);
	stop();
}
END_TEST

START_TEST(ack_goes_alone_when_much_has_come)
{
	start(true);
	put_calls(2 * HAWSER__ACK_FRAMES - 1, 0);
	pass(&client, &server);
	ck_assert(!hawser__session_must_ack(&server));
	put_calls(1, 0);
	pass(&client, &server);
	ck_assert(hawser__session_must_ack(&server));
	ck_assert_ptr_nonnull(hawser__session_put_ack(&server));
	ck_assert(!hawser__session_must_ack(&server));
	ck_assert(!hawser__session_owes_ack(&server));
	ck_assert_uint_eq(pass(&server, &client).last_ack, 2 * HAWSER__ACK_FRAMES);
	/* Or few frames that are long. */
	put_calls(2 * HAWSER__ACK_BYTES / MAX_PAYLOAD + 1, MAX_PAYLOAD);
	pass(&client, &server);
	ck_assert(hawser__session_must_ack(&server));
	stop();
}
END_TEST

START_TEST(session_that_is_not_kept_owes_nothing)
{
	start(false);
	put_calls(100, MAX_PAYLOAD);
	pass(&client, &server);
	ck_assert_ptr_null(client.log.frames.first);
	ck_assert(!hawser__session_owes_ack(&server));
	ck_assert(!hawser__session_must_ack(&server));
	put_end(1);
	ck_assert_uint_eq(pass(&server, &client).acks, 0);
	stop();
}
END_TEST

START_TEST(ack_of_more_than_was_sent_breaks_the_protocol)
{
	struct bytes bytes;
	struct hawser__frame frame;
	size_t need;

	start(true);
	put_calls(3, 0);
	pass(&client, &server);
	server.received = 4;
	ck_assert_ptr_nonnull(hawser__session_put_ack(&server));
	bytes = write_some(&server, SIZE_MAX);
	ck_assert_int_eq(
		hawser__session_next(&client, bytes.data, bytes.length, &frame, &need, &problem),
		-EBADMSG);
	ck_assert_int_eq(problem.reason, HAWSER__REASON__REASON_PROTOCOL_ERROR);
	ck_assert_str_eq(problem.text, "ignored: it acknowledges 4 frames, 3 were sent");
	bytes_free(&bytes);
	stop();
}
END_TEST

/* ---- from one connection to the next ---- */

START_TEST(every_byte_may_be_the_last_of_a_connection)
{
	size_t length;

	start(true);
	put_calls(20, 30);
	length = client.log.frames.length;
	stop();
	for (size_t cut = 0; cut <= length; cut++) {
		struct heard before, after;

		start(true);
		put_calls(20, 30);
		before = read_all(&server, write_some(&client, cut));
		reconnect();
		after = pass(&client, &server);
		ck_assert_uint_eq(
			before.kinds[HAWSER__FRAME_CALL] + after.kinds[HAWSER__FRAME_CALL], 20);
		ck_assert_uint_eq(server.received, 20);
		ck_assert_uint_eq(server.last_call, 39);
		stop();
	}
}
END_TEST

START_TEST(control_frames_die_with_their_connection)
{
	Hawser__Hello hello = HAWSER__HELLO__INIT;
	struct heard heard;

	start(true);
	ck_assert_ptr_nonnull(hawser__session_put_number(&client, HAWSER__FRAME_PING, 1));
	ck_assert_ptr_nonnull(hawser__session_put(&client, HAWSER__FRAME_HELLO, &hello.base));
	put_calls(1, 0);
	reconnect();
	heard = pass(&client, &server);
	ck_assert_uint_eq(heard.kinds[HAWSER__FRAME_PING], 0);
	ck_assert_uint_eq(heard.kinds[HAWSER__FRAME_HELLO], 0);
	ck_assert_uint_eq(heard.kinds[HAWSER__FRAME_CALL], 1);
	stop();
}
END_TEST

START_TEST(control_frames_go_first_but_not_into_the_middle_of_a_frame)
{
	size_t length;

	start(true);
	put_calls(3, 100);
	length = client.log.frames.length;
	stop();
	for (size_t cut = 0; cut < length; cut++) {
		struct bytes bytes, rest;
		struct heard heard;

		start(true);
		put_calls(3, 100);
		bytes = write_some(&client, cut);
		ck_assert_ptr_nonnull(hawser__session_put_number(&client, HAWSER__FRAME_PING, 1));
		rest = write_some(&client, SIZE_MAX);
		bytes_append(&bytes, rest.data, rest.length);
		bytes_free(&rest);
		heard = read_all(&server, bytes);
		ck_assert_uint_eq(heard.kinds[HAWSER__FRAME_CALL], 3);
		ck_assert_uint_eq(heard.kinds[HAWSER__FRAME_PING], 1);
		/* Only a call that was on its way went before it. */
		ck_assert(heard.last_id == 5 || cut > 2 * length / 3);
		stop();
	}
}
END_TEST

START_TEST(what_is_put_while_away_waits)
{
	start(true);
	hawser__session_lost(&client);
	hawser__session_lost(&server);
	put_calls(2, 0);
	ck_assert_uint_eq(hawser__session_unwritten(&client), 0);
	ck_assert(!hawser__log_was_sent(&client.log, client.log.last));
	ck_assert_int_eq(hawser__session_resume(&server, 0, &problem), 0);
	ck_assert_int_eq(hawser__session_resume(&client, 0, &problem), 0);
	ck_assert_uint_eq(pass(&client, &server).kinds[HAWSER__FRAME_CALL], 2);
	stop();
}
END_TEST

START_TEST(connection_tells_all_that_has_come_at_its_beginning)
{
	start(true);
	put_calls(5, 0);
	pass(&client, &server);
	ck_assert(hawser__session_owes_ack(&server));
	reconnect();
	ck_assert(!hawser__session_owes_ack(&server));
	ck_assert_ptr_null(client.log.frames.first);
	stop();
}
END_TEST

START_TEST(count_that_cannot_be_is_refused_with_the_numbers)
{
	start(true);
	put_calls(10, 0);
	pass(&client, &server);
	ck_assert_ptr_nonnull(hawser__session_put_ack(&server));
	pass(&server, &client);
	put_calls(5, 0);
	pass(&client, &server);
	hawser__session_lost(&client);
	ck_assert_int_eq(hawser__session_resume(&client, 9, &problem), -EBADMSG);
	ck_assert_int_eq(problem.reason, HAWSER__REASON__REASON_SESSION_EXPIRED);
	ck_assert_str_eq(problem.text, "the ends disagree: 9 frames are said to have come, but 10 "
				       "to 15 could have");
	ck_assert_int_eq(hawser__session_resume(&client, 16, &problem), -EBADMSG);
	ck_assert_int_eq(client.state, HAWSER__SESSION_AWAY);
	ck_assert_uint_eq(hawser__session_unwritten(&client), 0);
	ck_assert_int_eq(hawser__session_resume(&client, 15, &problem), 0);
	stop();
}
END_TEST

START_TEST(next_session_begins_from_nothing_with_what_was_not_sent)
{
	start(true);
	client.id = 77;
	client.attempt = 3;
	memset(client.token, 1, sizeof client.token);
	put_calls(3, 0);
	pass(&client, &server);
	put_end(1);
	pass(&server, &client);
	hawser__session_lost(&client);
	put_calls(2, 0);
	hawser__session_restart(&client);
	ck_assert_int_eq(client.state, HAWSER__SESSION_NEW);
	ck_assert_uint_eq(client.id, 0);
	ck_assert_uint_eq(client.attempt, 0);
	ck_assert_uint_eq(client.token[0], 0);
	ck_assert_uint_eq(client.received, 0);
	ck_assert(!hawser__session_owes_ack(&client));
	ck_assert(hawser__log_was_sent(&client.log, 3));
	ck_assert(!hawser__log_was_sent(&client.log, 4));
	ck_assert_uint_eq(hawser__session_unwritten(&client), 0);

	hawser__session_deinit(&server);
	hawser__session_init(&server, true, MAX_PAYLOAD, &pool);
	hawser__session_begin(&server, true);
	hawser__session_begin(&client, true);
	ck_assert_uint_eq(pass(&client, &server).kinds[HAWSER__FRAME_CALL], 2);
	ck_assert_uint_eq(server.received, 2);
	ck_assert_uint_eq(server.last_call, 9);
	ck_assert_ptr_nonnull(hawser__session_put_ack(&server));
	pass(&server, &client);
	ck_assert_ptr_null(client.log.frames.first);
	stop();
}
END_TEST

/* Calls queued while away carry what the old session's peer was to be told. */
START_TEST(next_session_is_not_told_what_came_in_the_one_before)
{
	start(true);
	for (unsigned i = 0; i < HAWSER__ACK_FRAMES; i++)
		put_end(1);
	pass(&server, &client);
	hawser__session_lost(&client);
	put_calls(2, 0);
	ck_assert(!hawser__session_owes_ack(&client));
	hawser__session_restart(&client);
	hawser__session_deinit(&server);
	hawser__session_init(&server, true, MAX_PAYLOAD, &pool);
	hawser__session_begin(&server, true);
	hawser__session_begin(&client, true);
	ck_assert_uint_eq(pass(&client, &server).acks, 0);
	stop();
}
END_TEST

/* ---- without memory ---- */

START_TEST(ack_that_has_no_memory_to_go_is_still_owed)
{
	uint64_t told;

	start(true);
	put_calls(HAWSER__ACK_FRAMES, 0);
	pass(&client, &server);
	told = server.told;
	hawser__pool_deinit(&pool);
	failing_alloc_after(0);
	ck_assert_ptr_null(hawser__session_put_end(&server, 1, 0, 0, NULL, 0, 0, NULL));
	ck_assert(failing_alloc_stop());
	ck_assert_uint_eq(server.told, told);
	ck_assert_uint_eq(server.log.last, 0);
	failing_alloc_after(0);
	ck_assert_ptr_null(hawser__session_put_ack(&server));
	ck_assert(failing_alloc_stop());
	ck_assert(hawser__session_owes_ack(&server));
	put_end(1);
	ck_assert_uint_eq(pass(&server, &client).last_ack, HAWSER__ACK_FRAMES);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire-resume");
	TCase *acks = suite_case(suite, "acks"), *connections = suite_case(suite, "connections");
	TCase *memory = suite_case(suite, "memory");

	tcase_add_test(acks, frames_of_a_session_are_counted_and_no_others);
	tcase_add_test(acks, ack_rides_on_a_frame_when_enough_has_come);
	tcase_add_test(acks, ack_rides_on_a_frame_when_it_is_urged);
	tcase_add_test(acks, ack_goes_alone_when_much_has_come);
	tcase_add_test(acks, session_that_is_not_kept_owes_nothing);
	tcase_add_test(acks, ack_of_more_than_was_sent_breaks_the_protocol);

	tcase_add_test(connections, every_byte_may_be_the_last_of_a_connection);
	tcase_add_test(connections, control_frames_die_with_their_connection);
	tcase_add_test(connections, control_frames_go_first_but_not_into_the_middle_of_a_frame);
	tcase_add_test(connections, what_is_put_while_away_waits);
	tcase_add_test(connections, connection_tells_all_that_has_come_at_its_beginning);
	tcase_add_test(connections, count_that_cannot_be_is_refused_with_the_numbers);
	tcase_add_test(connections, next_session_begins_from_nothing_with_what_was_not_sent);
	tcase_add_test(connections, next_session_is_not_told_what_came_in_the_one_before);

	tcase_add_test(memory, ack_that_has_no_memory_to_go_is_still_owed);
	return suite_run(suite);
}
