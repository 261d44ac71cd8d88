/* How outboxes end: dropped, freed, left, without memory; and that nothing is left behind. */

#include "outgoing.h"
#include "support/failing_alloc.h"

START_TEST(dropped_message_does_not_go_and_the_next_one_does)
{
	struct hawser__outbox *outbox, *other;

	start();
	outbox = open_call(3, WIDE);
	other = open_call(5, WIDE);
	must_put(outbox, 500000);
	must_put(other, 100);
	hawser__outbox_drop(&session, outbox);
	ck_assert_uint_eq(session.waiting_bytes, 100);
	ck_assert(hawser__outbox_is_open(outbox));
	must_put(outbox, 7);
	flow();
	ck_assert_uint_eq(n_went, 2);
	ck_assert(went[0].id == 5 && went[1].id == 3 && went[1].payload_length == 7);
	hawser__outbox_drop(&session, outbox);
	stop();
}
END_TEST

START_TEST(outbox_that_is_left_goes_when_it_is_empty)
{
	struct hawser__outbox *full, *empty;

	start();
	full = open_call(3, 1);
	empty = open_call(5, WIDE);
	hawser__outbox_leave(&session, empty);
	ck_assert_ptr_null(hawser__outbox_find(&session, 5));
	must_put(full, 200000);
	ck_assert_int_eq(put_frame(full, hawser__outbox_make_end(&session, 3, 0, 0, NULL, 0)), 0);
	hawser__outbox_leave(&session, full);
	flow();
	/* It still takes windows. */
	ck_assert_ptr_eq(hawser__outbox_find(&session, 3), full);
	ck_assert_int_eq(hawser__outbox_open_window(&session, full, 1 << 20), 0);
	flow();
	ck_assert_ptr_null(hawser__outbox_find(&session, 3));
	ck_assert_int_eq(went[n_went - 1].kind, HAWSER__FRAME_END);
	hawser__outbox_leave(&session, NULL);
	hawser__outbox_free(&session, NULL);
	stop();
}
END_TEST

START_TEST(outboxes_are_found_by_their_calls_and_one_by_one)
{
	struct hawser__outbox *outbox;
	uint64_t sum = 0;
	size_t at = 0;

	start();
	for (uint64_t id = 1; id <= 99; id += 2)
		open_call(id, WIDE);
	hawser__outbox_free(&session, hawser__outbox_find(&session, 51));
	ck_assert_ptr_null(hawser__outbox_find(&session, 51));
	while ((outbox = hawser__outbox_next(&session, &at)))
		sum += outbox->id;
	ck_assert_uint_eq(sum, 50 * 50 - 51);
	stop();
}
END_TEST

START_TEST(loan_is_given_back_once_when_nothing_needs_it_any_more)
{
	struct hawser__outbox *outbox;

	released = 0;
	start();
	outbox = open_call(3, 1);
	ck_assert_int_eq(put_loan(outbox, 200000), 0);
	flow();
	hawser__outbox_open_window(&session, outbox, 1 << 20);
	flow();
	/* They may be asked for again until the peer has them. */
	ck_assert_uint_eq(n_went, 4);
	ck_assert_int_eq(hawser__log_ack(&session.log, 3), 0);
	ck_assert_uint_eq(released, 0);
	ck_assert_int_eq(hawser__log_ack(&session.log, 4), 0);
	ck_assert_uint_eq(released, 1);

	/* Taken back, all or a part. */
	ck_assert_int_eq(put_loan(outbox, 200000), 0);
	hawser__outbox_drop(&session, outbox);
	ck_assert_uint_eq(released, 2);
	outbox->window = 1;
	ck_assert_int_eq(put_loan(outbox, 200000), 0);
	flow();
	hawser__outbox_free(&session, outbox);
	ck_assert_uint_eq(released, 2);
	ck_assert_int_eq(hawser__log_ack(&session.log, 5), 0);
	ck_assert_uint_eq(released, 3);

	/* With the session, wherever it is. */
	ck_assert_int_eq(put_loan(open_call(5, 1), 200000), 0);
	flow();
	ck_assert_int_eq(put_loan(open_call(7, WIDE), 200000), 0);
	stop();
	ck_assert_uint_eq(released, 5);
}
END_TEST

START_TEST(session_that_is_lost_forgets_pieces_that_were_sent)
{
	struct hawser__outbox *outbox;

	released = 0;
	start();
	outbox = open_call(3, WIDE);
	ck_assert_int_eq(put_loan(outbox, 100000), 0);
	hawser__session_fill(&session);
	write_out(PIECE + 1000, 4);
	hawser__outbox_free(&session, outbox);
	hawser__session_lost(&session);
	hawser__session_restart(&session);
	/* Both had begun to be sent. */
	ck_assert_uint_eq(released, 1);
	ck_assert_uint_eq(session.log.frames.length, 0);
	stop();
}
END_TEST

START_TEST(what_was_reserved_and_is_not_needed_is_returned)
{
	static const uint8_t text[] = {0x22, 2, 'n', 'o'};
	static const size_t lengths[] = {0, 1, PIECE, PIECE + 1, 300000};
	struct hawser__loan *loan;

	released = 0;
	start();
	loan = hawser__loan_new(on_release, content);
	ck_assert_ptr_nonnull(loan);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		hawser__outbox_return(&session, hawser__outbox_reserve(&session, lengths[i]));
		if (lengths[i])
			hawser__outbox_return(&session, hawser__outbox_borrow(&session, loan,
									      content, lengths[i]));
	}
	hawser__outbox_return(&session, hawser__outbox_make_last(&session, 3));
	hawser__outbox_return(&session,
			      hawser__outbox_make_end(&session, 3, 1, 0, text, sizeof text));
	hawser__outbox_return(&session, NULL);
	ck_assert_uint_eq(hawser__session_backlog(&session), 0);
	ck_assert_uint_eq(released, 0);
	hawser__loan_unref(loan);
	ck_assert_uint_eq(released, 1);
	stop();
}
END_TEST

/* ---- without memory ---- */

/* Puts everything there is, and sends it; what could not be put leaves no trace. */
static bool put_everything(void *data)
{
	/* A text that needs a large chunk. */
	static const uint8_t extra[2000] = {0x22, 0xcd, 0x0f};
	struct hawser__outbox *outbox;
	bool success = true;
	size_t before = 0;

	released = 0;
	start();
	outbox = hawser__outbox_new(&session, 3);
	if (!outbox) {
		stop();
		return false;
	}
	for (int i = 0; i < 8; i++) {
		static const size_t sizes[] = {200000, 200000, 0, 100, 200000, 1};
		int r;

		if (i == 6)
			r = put_frame(outbox, hawser__outbox_make_last(&session, 3));
		else if (i == 7)
			r = put_frame(outbox, hawser__outbox_make_end(&session, 3, 2, 0, extra,
								      sizeof extra));
		else
			r = put(outbox, (enum way)(i % WAYS), sizes[i] + (i == 2));
		ck_assert(r == 0 || r == -ENOMEM);
		if (r < 0) {
			ck_assert_uint_eq(outbox->bytes, before);
			success = false;
		}
		ck_assert_uint_eq(session.waiting_bytes, outbox->bytes);
		before = outbox->bytes;
	}
	/* Without memory for a head it stays where it is, and goes later. */
	for (int i = 0; outbox->first; i++) {
		ck_assert_int_lt(i, 100);
		write_out(SIZE_MAX, 64);
		hawser__session_fill(&session);
	}
	write_out(SIZE_MAX, 64);
	ck_assert_uint_eq(session.waiting_bytes, 0);
	if (success)
		ck_assert_uint_eq(wire_read, wire_length);
	stop();
	return success;
}

START_TEST(outbox_survives_every_allocation_failing)
{
	ck_assert_uint_gt(failing_alloc_each(put_everything, NULL), 10);
	ck_assert_uint_eq(released, 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire-outbox-ends");
	TCase *ends = suite_case(suite, "ends");

	tcase_add_test(ends, dropped_message_does_not_go_and_the_next_one_does);
	tcase_add_test(ends, outbox_that_is_left_goes_when_it_is_empty);
	tcase_add_test(ends, outboxes_are_found_by_their_calls_and_one_by_one);
	tcase_add_test(ends, loan_is_given_back_once_when_nothing_needs_it_any_more);
	tcase_add_test(ends, session_that_is_lost_forgets_pieces_that_were_sent);
	tcase_add_test(ends, what_was_reserved_and_is_not_needed_is_returned);
	tcase_add_test(ends, outbox_survives_every_allocation_failing);
	return suite_run(suite);
}
