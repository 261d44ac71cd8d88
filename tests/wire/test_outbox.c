/* Messages in pieces, turns and windows, one claim at a time; test_outbox_random.c mixes them all.
 */

#include "outgoing.h"

/* Frames `first` to the last that went are one message, and nothing else. */
static void check_message(size_t first, uint64_t id, enum way way, size_t length, uint64_t size)
{
	size_t at = 0, head = 0;

	for (size_t i = first; i < n_went; i++) {
		const struct hawser__frame *frame = &went[i];

		ck_assert_int_eq(frame->kind, HAWSER__FRAME_MESSAGE);
		ck_assert_uint_eq(frame->id, id);
		ck_assert(!frame->last && !frame->more && frame->payload);
		ck_assert_uint_eq(frame->size, i == first ? size : 0);
		/* All are full but the last. */
		ck_assert_uint_eq(frame->payload_length, length - at < PIECE ? length - at : PIECE);
		if (way == MESSAGE && i == first && length)
			head = 2 + (length >= 128 + 2) + (length >= 16384 + 3);
		ck_assert_mem_eq(frame->payload + (i == first ? head : 0),
				 content + at - (i == first ? 0 : head),
				 frame->payload_length - (i == first ? head : 0));
		at += frame->payload_length;
	}
	ck_assert_uint_gt(n_went, first);
	ck_assert_uint_eq(at, length);
}

/* ---- pieces ---- */

static const size_t lengths[] = {0,         3,         100,           PIECE - 1,     PIECE,
				 PIECE + 1, 2 * PIECE, 2 * PIECE + 1, 9 * PIECE - 1, 300000};

START_TEST(message_goes_in_full_pieces_of_which_the_first_tells_the_size)
{
	enum way way = (enum way)(_i % WAYS);
	size_t length = lengths[_i / WAYS];
	struct hawser__outbox *outbox;

	if (way == LOAN && length == 0)
		return;
	start();
	outbox = open_call(3, WIDE);
	ck_assert_int_eq(put(outbox, way, length), 0);
	ck_assert_uint_eq(outbox->bytes, length);
	ck_assert_uint_eq(session.waiting_bytes, length);
	ck_assert_uint_eq(hawser__session_backlog(&session), length);
	ck_assert(!hawser__outbox_is_open(outbox));
	flow();
	check_message(0, 3, way, length, length > PIECE ? length : 0);
	ck_assert_uint_eq(outbox->bytes, 0);
	ck_assert_uint_eq(session.waiting_bytes, 0);
	ck_assert(hawser__outbox_is_open(outbox));
	ck_assert_int_eq(outbox->window,
			 WIDE - (long long)(length + n_went * HAWSER__MESSAGE_COST));
	stop();
}
END_TEST

/* As by a sender that packs no more than may go soon. */
START_TEST(pieces_that_are_put_one_by_one_are_one_message)
{
	enum { LENGTH = 200000 };
	size_t announced = _i ? 0 : LENGTH;
	struct hawser__outbox *outbox;

	start();
	outbox = open_call(3, WIDE);
	for (size_t at = 0; at < LENGTH; at += PIECE) {
		struct hawser__chunk *piece = hawser__outbox_new_piece(&pool);
		size_t part = LENGTH - at < PIECE ? LENGTH - at : PIECE;

		ck_assert_ptr_nonnull(piece);
		ck_assert_uint_eq(piece->capacity - piece->end, PIECE);
		memcpy(piece->data + piece->end, content + at, part);
		piece->end += part;
		hawser__outbox_put_piece(&session, outbox, piece, at ? 0 : announced);
		ck_assert_uint_eq(outbox->bytes, part);
		flow();
	}
	check_message(0, 3, PACKED, LENGTH, announced);
	ck_assert_uint_eq(session.waiting_bytes, 0);
	stop();
}
END_TEST

START_TEST(announced_message_does_not_tell_its_size_again)
{
	start();
	ck_assert_int_eq(put_packed(open_call(3, WIDE), content, 200000, true), 0);
	flow();
	check_message(0, 3, PACKED, 200000, 0);
	n_went = 0;
	ck_assert_int_eq(put_message(open_call(5, WIDE), 200000, true), 0);
	flow();
	check_message(0, 5, MESSAGE, 200000, 0);
	stop();
}
END_TEST

START_TEST(messages_of_a_call_keep_their_order)
{
	struct hawser__outbox *outbox;
	size_t first = 0;

	start();
	outbox = open_call(3, WIDE);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
		must_put(outbox, lengths[i]);
	flow();
	for (size_t i = 0, all = n_went; i < sizeof lengths / sizeof *lengths; i++) {
		n_went = first + (lengths[i] + PIECE - 1) / PIECE + !lengths[i];
		check_message(first, 3, PACKED, lengths[i], lengths[i] > PIECE ? lengths[i] : 0);
		first = n_went;
		n_went = all;
	}
	ck_assert_uint_eq(first, n_went);
	stop();
}
END_TEST

START_TEST(end_and_half_close_go_behind_what_was_put_before)
{
	static const uint8_t text[] = {0x22, 2, 'n', 'o'};
	struct hawser__outbox *outbox;

	start();
	/* They need no window; the message before them does. */
	outbox = open_call(3, 1);
	must_put(outbox, 10);
	ck_assert_int_eq(put_frame(outbox, hawser__outbox_make_last(&session, 3)), 0);
	ck_assert_int_eq(
		put_frame(outbox, hawser__outbox_make_end(&session, 3, 5, 3, text, sizeof text)),
		0);
	flow();
	ck_assert_uint_eq(n_went, 3);
	ck_assert_uint_eq(went[0].payload_length, 10);
	ck_assert(went[1].kind == HAWSER__FRAME_MESSAGE && went[1].last && !went[1].payload);
	ck_assert(went[2].kind == HAWSER__FRAME_END && went[2].status == 5);
	ck_assert(went[2].outcome == 3 && went[2].more);
	ck_assert_int_eq(outbox->window, 1 - 10 - HAWSER__MESSAGE_COST);
	stop();
}
END_TEST

START_TEST(piece_is_written_from_where_it_was_put)
{
	struct iovec iov[8];

	start();
	ck_assert_int_eq(put_loan(open_call(3, WIDE), 100000), 0);
	hawser__session_fill(&session);
	ck_assert_int_eq(hawser__session_peek(&session, iov, 8), 4);
	ck_assert_ptr_eq(iov[1].iov_base, content);
	ck_assert_ptr_eq(iov[3].iov_base, content + PIECE);
	ck_assert_uint_eq(iov[1].iov_len + iov[3].iov_len, 100000);
	flow();
	stop();
	start();
	must_put(open_call(3, WIDE), 100000);
	/* Head and payload are one piece. */
	hawser__session_fill(&session);
	ck_assert_int_eq(hawser__session_peek(&session, iov, 8), 2);
	flow();
	stop();
}
END_TEST

static size_t pushed[20], n_pushed;

static void on_push(struct hawser__session *pushing)
{
	ck_assert_ptr_eq(pushing, &session);
	flow();
	pushed[n_pushed++] = n_went;
}

START_TEST(first_pieces_may_go_while_the_rest_is_being_packed)
{
	enum way way = (enum way)_i;

	n_pushed = 0;
	start();
	session.push = on_push;
	ck_assert_int_eq(put(open_call(3, WIDE), way, 7 * PIECE + 1), 0);
	/* What is borrowed is there at once. */
	ck_assert_uint_eq(n_pushed, way == LOAN ? 0 : 3);
	for (size_t i = 0; i < n_pushed; i++)
		ck_assert_uint_eq(pushed[i], 2 * (i + 1));
	flow();
	check_message(0, 3, way, 7 * PIECE + 1, 7 * PIECE + 1);
	/* What is whole waits for its turn. */
	n_pushed = 0;
	must_put(hawser__outbox_find(&session, 3), 2 * PIECE);
	ck_assert_uint_eq(n_pushed, 0);
	stop();
}
END_TEST

static size_t n_moved;

static void on_moved(struct hawser__session *moving, const uint8_t *head, size_t length)
{
	struct hawser__frame frame;
	const char *why;

	ck_assert_ptr_eq(moving, &session);
	ck_assert_int_eq(hawser__frame_decode_head(&frame, head + HAWSER__FRAME_PREFIX,
						   length - HAWSER__FRAME_PREFIX,
						   hawser__frame_length(head), &why),
			 0);
	ck_assert_uint_eq(frame.id, 3);
	ck_assert_uint_eq(frame.size, n_moved == 0 ? 2 * PIECE : 0);
	ck_assert_uint_eq(frame.payload_length, n_moved < 2 ? PIECE : 0);
	ck_assert_int_eq(frame.kind, n_moved < 2 ? HAWSER__FRAME_MESSAGE : HAWSER__FRAME_END);
	n_moved++;
}

START_TEST(each_frame_that_takes_its_turn_is_told)
{
	struct hawser__outbox *outbox;

	n_moved = 0;
	start();
	session.moved = on_moved;
	outbox = open_call(3, WIDE);
	ck_assert_int_eq(put(outbox, (enum way)_i, 2 * PIECE), 0);
	ck_assert_int_eq(put_frame(outbox, hawser__outbox_make_end(&session, 3, 0, 0, NULL, 0)), 0);
	ck_assert_uint_eq(n_moved, 0);
	flow();
	ck_assert_uint_eq(n_moved, 3);
	stop();
}
END_TEST

START_TEST(acknowledgement_that_is_due_rides_on_a_piece)
{
	enum way way = (enum way)_i;

	start();
	session.received = HAWSER__ACK_FRAMES;
	ck_assert_int_eq(put(open_call(3, WIDE), way, 200000), 0);
	ck_assert_uint_eq(session.told, 0);
	flow();
	ck_assert_uint_eq(went[0].ack, HAWSER__ACK_FRAMES);
	ck_assert_uint_eq(went[1].ack, 0);
	ck_assert_uint_eq(session.told, HAWSER__ACK_FRAMES);
	stop();
}
END_TEST

/* ---- windows ---- */

START_TEST(piece_goes_while_any_window_is_left)
{
	struct hawser__outbox *outbox;

	start();
	outbox = open_call(3, 1);
	must_put(outbox, 300000);
	flow();
	ck_assert_uint_eq(n_went, 1);
	ck_assert_int_eq(outbox->window, 1 - PIECE - HAWSER__MESSAGE_COST);
	ck_assert_uint_eq(outbox->bytes, 300000 - PIECE);
	/* Up to 0 is not enough. */
	ck_assert_int_eq(
		hawser__outbox_open_window(&session, outbox, PIECE + HAWSER__MESSAGE_COST - 1), 0);
	flow();
	ck_assert_uint_eq(n_went, 1);
	ck_assert_int_eq(hawser__outbox_open_window(&session, outbox, 1), 0);
	flow();
	ck_assert_uint_eq(n_went, 2);
	ck_assert_int_eq(hawser__outbox_open_window(&session, outbox, 1 << 20), 0);
	flow();
	check_message(0, 3, PACKED, 300000, 300000);
	stop();
}
END_TEST

START_TEST(call_without_window_holds_up_no_other)
{
	struct hawser__outbox *stuck, *other;

	start();
	stuck = open_call(3, 0);
	other = open_call(5, WIDE);
	must_put(stuck, 200000);
	must_put(other, 200000);
	flow();
	check_message(0, 5, PACKED, 200000, 200000);
	ck_assert_uint_eq(session.waiting_bytes, 200000);
	ck_assert(!hawser__outbox_is_open(stuck) && hawser__outbox_is_open(other));
	stop();
}
END_TEST

START_TEST(window_opens_no_further_than_the_most)
{
	struct hawser__outbox *outbox;

	start();
	outbox = open_call(3, -100);
	ck_assert_int_eq(hawser__outbox_open_window(&session, outbox, HAWSER__WINDOW_MOST + 101),
			 -EBADMSG);
	ck_assert_int_eq(hawser__outbox_open_window(&session, outbox, UINT64_MAX), -EBADMSG);
	ck_assert_int_eq(outbox->window, -100);
	ck_assert_int_eq(hawser__outbox_open_window(&session, outbox, HAWSER__WINDOW_MOST + 100),
			 0);
	ck_assert_int_eq(outbox->window, HAWSER__WINDOW_MOST);
	ck_assert_int_eq(hawser__outbox_open_window(&session, outbox, 1), -EBADMSG);
	ck_assert_int_eq(hawser__outbox_open_window(&session, outbox, 0), 0);
	stop();
}
END_TEST

START_TEST(window_that_becomes_known_counts_for_calls_that_began_before)
{
	struct hawser__outbox *begun;

	start();
	session.peer_window = 1000;
	begun = hawser__outbox_new(&session, 3);
	ck_assert_int_eq(begun->window, 1000);
	must_put(begun, 1000);
	must_put(begun, 1000);
	flow();
	ck_assert_uint_eq(n_went, 1);
	hawser__outbox_set_windows(&session, 5000);
	ck_assert_int_eq(begun->window, 5000 - 1000 - HAWSER__MESSAGE_COST);
	ck_assert_int_eq(hawser__outbox_new(&session, 5)->window, 5000);
	flow();
	ck_assert_uint_eq(n_went, 2);
	/* The same once more changes nothing. */
	hawser__outbox_set_windows(&session, 5000);
	ck_assert_int_eq(begun->window, 5000 - 2000 - 2 * HAWSER__MESSAGE_COST);
	stop();
}
END_TEST

START_TEST(window_that_turns_out_smaller_takes_a_call_out_of_turn)
{
	struct hawser__outbox *outbox;

	start();
	outbox = hawser__outbox_new(&session, 3);
	outbox->window -= WIDE / 2;
	must_put(outbox, 1000);
	hawser__outbox_set_windows(&session, WIDE / 2);
	ck_assert_int_eq(outbox->window, 0);
	flow();
	ck_assert_uint_eq(n_went, 0);
	stop();
}
END_TEST

/* ---- connections ---- */

START_TEST(nothing_goes_while_there_is_no_connection)
{
	struct hawser__outbox *outbox;

	start();
	outbox = open_call(3, WIDE);
	hawser__session_lost(&session);
	must_put(outbox, 200000);
	hawser__session_fill(&session);
	ck_assert_uint_eq(session.log.frames.length, 0);
	ck_assert_uint_eq(hawser__session_backlog(&session), 200000);
	stop();
}
END_TEST

START_TEST(pieces_that_were_on_their_way_are_sent_again)
{
	enum way way = (enum way)_i;
	struct hawser__problem problem;

	start();
	ck_assert_int_eq(put(open_call(3, WIDE), way, 300000), 0);
	for (int i = 0; i < 20; i++) {
		/* In the middle of pieces, and now and then of a head. */
		for (unsigned n = (unsigned)random_below(4); n--;) {
			hawser__session_fill(&session);
			write_out((size_t)random_below(2) * PIECE + (size_t)random_below(100),
				  1 + i % 4);
		}
		hawser__session_lost(&session);
		wire_length = wire_read;
		ck_assert_int_eq(hawser__session_resume(&session, n_went, &problem), 0);
	}
	flow();
	check_message(0, 3, way, 300000, 300000);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire-outbox");
	TCase *pieces = suite_case(suite, "pieces"), *windows = suite_case(suite, "windows");
	TCase *connections = suite_case(suite, "connections");

	tcase_add_loop_test(pieces, message_goes_in_full_pieces_of_which_the_first_tells_the_size,
			    0, WAYS * (int)(sizeof lengths / sizeof *lengths));
	tcase_add_test(pieces, announced_message_does_not_tell_its_size_again);
	tcase_add_test(pieces, messages_of_a_call_keep_their_order);
	tcase_add_test(pieces, end_and_half_close_go_behind_what_was_put_before);
	tcase_add_test(pieces, piece_is_written_from_where_it_was_put);
	tcase_add_loop_test(pieces, pieces_that_are_put_one_by_one_are_one_message, 0, 2);
	tcase_add_loop_test(pieces, first_pieces_may_go_while_the_rest_is_being_packed, 0, WAYS);
	tcase_add_loop_test(pieces, each_frame_that_takes_its_turn_is_told, 0, WAYS);
	tcase_add_loop_test(pieces, acknowledgement_that_is_due_rides_on_a_piece, 0, WAYS);

	tcase_add_test(windows, piece_goes_while_any_window_is_left);
	tcase_add_test(windows, call_without_window_holds_up_no_other);
	tcase_add_test(windows, window_opens_no_further_than_the_most);
	tcase_add_test(windows, window_that_becomes_known_counts_for_calls_that_began_before);
	tcase_add_test(windows, window_that_turns_out_smaller_takes_a_call_out_of_turn);

	tcase_add_test(connections, nothing_goes_while_there_is_no_connection);
	tcase_add_loop_test(connections, pieces_that_were_on_their_way_are_sent_again, 0, WAYS);
	return suite_run(suite);
}
