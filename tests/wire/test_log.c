/* The log against one flat string of bytes and a few plain numbers, whatever comes in
 * whatever order; and what is refused. */

#include "frames.h"
#include "support/random.h"
#include "support/suite.h"
#include "wire/log.h"
#include <errno.h>
#include <string.h>

static struct hawser__pool pool;
static struct hawser__log tested;

/* ---- the model ---- */

enum { FRAMES_MAX = 4000, BYTES_MAX = 4 << 20 };

/* Everything that was ever appended, and where it was when. */
static struct {
	uint8_t bytes[BYTES_MAX];
	size_t ends[FRAMES_MAX + 1]; /* of each frame; frame 0 is none */
	uint64_t last, acked, claimed, sent, restarted;
	size_t front, cursor;
} model;

/* Frames that are wholly before the cursor. */
static uint64_t model_written(void)
{
	uint64_t number = model.acked;

	while (number < model.last && model.ends[number + 1] <= model.cursor)
		number++;
	return number;
}

static size_t model_partial(void)
{
	uint64_t written = model_written();

	return model.cursor > model.ends[written] ? model.ends[written + 1] - model.cursor : 0;
}

static void check_log(void)
{
	size_t end = model.ends[model.last];

	quick_assert(tested.last == model.last);
	quick_assert(tested.acked == model.acked);
	quick_assert(tested.claimed == model.claimed);
	quick_assert(tested.written == model_written());
	quick_assert(tested.sent == model.sent);
	quick_assert(tested.restarted == model.restarted);
	quick_assert(tested.frames.length == end - model.front);
	quick_assert(tested.unwritten == end - model.cursor);
	quick_assert(tested.partial == (tested.chunk || !tested.is_kept ? model_partial() : 0));
	quick_assert(tested.frames.length || !tested.frames.first);
}

static void start(bool is_kept)
{
	memset(&pool, 0, sizeof pool);
	hawser__log_init(&tested, &pool);
	tested.is_kept = is_kept;
	model.last = model.acked = model.claimed = model.sent = model.restarted = 0;
	model.front = model.cursor = model.ends[0] = 0;
	check_log();
}

static void stop(void)
{
	hawser__log_deinit(&tested);
	hawser__pool_deinit(&pool);
}

/* ---- what is done to both ---- */

static uint8_t *append(size_t payload_length)
{
	size_t before = tested.frames.length, length;
	uint8_t *room =
		hawser__frame_put_call(&tested.frames, random_one_in(2) ? 0 : random_number(),
				       model.last + 1, 7, 0, NULL, 0, payload_length);
	uint8_t *begin;

	quick_assert(room);
	random_fill(room, payload_length);
	length = tested.frames.length - before;
	begin = hawser__log_appended(&tested, length);
	quick_assert(hawser__frame_length(begin) == length - HAWSER__FRAME_PREFIX);
	memcpy(model.bytes + model.ends[model.last], begin, length);
	model.ends[model.last + 1] = model.ends[model.last] + length;
	model.last++;
	return begin;
}

/* A frame whose payload lies in a chunk of its own. */
static void append_borrowed(size_t payload_length)
{
	static uint8_t all[40000];
	const uint8_t *lent = all + random_below(sizeof all / 2);
	struct hawser__loan *loan = hawser__loan_new(NULL, NULL);
	uint64_t ack = random_one_in(2) ? 0 : random_number();
	uint8_t head[HAWSER__MESSAGE_HEAD], *end = model.bytes + model.ends[model.last], *room;
	size_t length = hawser__frame_message_head(head, ack, model.last + 1, 0, payload_length);

	room = hawser__buffer_reserve(&tested.frames, length);
	quick_assert(loan && room);
	if (!model.last)
		random_fill(all, sizeof all);
	memcpy(room, head, length);
	hawser__buffer_commit(&tested.frames, length);
	hawser__buffer_link(&tested.frames, hawser__chunk_borrow(loan, lent, payload_length));
	hawser__loan_unref(loan);
	hawser__log_grown(&tested, length + payload_length);
	memcpy(end, head, length);
	memcpy(end + length, lent, payload_length);
	model.ends[model.last + 1] = model.ends[model.last] + length + payload_length;
	model.last++;
}

static void append_some(void)
{
	static const size_t longest[] = {10, 10, 100, 300, 20000};
	size_t most = longest[random_below(sizeof longest / sizeof *longest)];

	if (model.last == FRAMES_MAX || model.ends[model.last] + most + 100 >= BYTES_MAX)
		return;
	if (random_one_in(4))
		append_borrowed(1 + (size_t)random_below(most));
	else
		append((size_t)random_below(most + 1));
}

static void trim_model(void)
{
	uint64_t written = model_written();

	if (model.sent < written + (model_partial() != 0))
		model.sent = written + (model_partial() != 0);
	if (tested.is_kept) {
		uint64_t up_to = model.claimed < written ? model.claimed : written;

		if (up_to > model.acked)
			model.acked = up_to;
		model.front = model.ends[model.acked];
	} else {
		model.acked = model.claimed = written;
		model.front = model.cursor;
	}
}

/* Peeks with some bounds, compares, and writes some of that. */
static void write_some(void)
{
	struct iovec pieces[5];
	int max = 1 + (int)random_below(5), count;
	size_t limit = random_one_in(3) ? (size_t)random_below(500) : SIZE_MAX, total = 0, part;

	count = hawser__log_peek(&tested, pieces, max, limit);
	quick_assert(count >= 0 && count <= max);
	quick_assert(count || !tested.unwritten || !limit);
	for (int i = 0; i < count; i++) {
		quick_assert(pieces[i].iov_len);
		quick_assert(!memcmp(pieces[i].iov_base, model.bytes + model.cursor + total,
				     pieces[i].iov_len));
		total += pieces[i].iov_len;
	}
	quick_assert(total <= limit && total <= tested.unwritten);
	part = random_one_in(2) ? total : (size_t)random_below(total + 1);
	hawser__log_wrote(&tested, part);
	model.cursor += part;
	trim_model();
}

static void ack_some(void)
{
	uint64_t sent = model.sent - model.restarted;
	uint64_t count = random_one_in(10) ? random_number() : random_below(sent + 2);
	int r = hawser__log_ack(&tested, count);

	quick_assert(r == (count > sent ? -EBADMSG : 0));
	if (r < 0)
		return;
	if (model.restarted + count > model.claimed)
		model.claimed = model.restarted + count;
	trim_model();
}

static void rewind_model(void)
{
	if (!tested.is_kept && model_partial()) {
		model.acked = model_written() + 1;
		model.front = model.ends[model.acked];
	}
	model.claimed = model.acked;
	model.cursor = model.front;
}

static void lose_connection(void)
{
	hawser__log_rewind(&tested);
	rewind_model();
}

static void go_on(void)
{
	uint64_t sent = model.sent - model.restarted, acked;
	uint64_t count = random_one_in(4) ? random_number() : random_below(sent + 2);
	int r;

	lose_connection();
	check_log();
	acked = model.acked - model.restarted;
	r = hawser__log_resume(&tested, count);
	quick_assert(r == (count > sent || count < acked ? -EBADMSG : 0));
	if (r < 0)
		return;
	model.acked = model.claimed = model.restarted + count;
	model.front = model.cursor = model.ends[model.acked];
}

static void begin_anew(void)
{
	lose_connection();
	hawser__log_restart(&tested);
	model.acked = model.claimed = model.restarted = model.sent;
	model.front = model.cursor = model.ends[model.acked];
	for (uint64_t number = model.acked; number < model.last; number++)
		hawser__frame_clear_ack(model.bytes + model.ends[number]);
}

/* Some of everything, as it comes. */
static void live(unsigned steps)
{
	while (steps--) {
		switch (random_below(20)) {
		case 0:
			go_on();
			break;
		case 1:
			if (random_one_in(5)) {
				begin_anew();
				/* The next server may keep sessions, or not. */
				tested.is_kept = random_one_in(2);
			} else if (!tested.is_kept) {
				lose_connection();
			}
			break;
		case 2:
		case 3:
		case 4:
			if (tested.is_kept)
				ack_some();
			break;
		case 5:
		case 6:
		case 7:
		case 8:
		case 9:
		case 10:
			append_some();
			break;
		default:
			write_some();
			break;
		}
		check_log();
	}
}

START_TEST(log_agrees_with_a_flat_string)
{
	for (unsigned long n = suite_rounds(300); n--;) {
		start(_i);
		live(500);
		stop();
	}
}
END_TEST

START_TEST(log_that_is_written_and_acknowledged_is_empty)
{
	for (unsigned long n = suite_rounds(100); n--;) {
		start(true);
		live(200);
		begin_anew();
		tested.is_kept = true;
		while (tested.unwritten) {
			write_some();
			check_log();
		}
		ck_assert_int_eq(hawser__log_ack(&tested, tested.last - tested.restarted), 0);
		ck_assert_uint_eq(tested.acked, tested.last);
		ck_assert_uint_eq(tested.frames.length, 0);
		ck_assert_ptr_null(tested.frames.first);
		stop();
	}
}
END_TEST

/* ---- one thing at a time ---- */

static void write_frames(unsigned count)
{
	size_t length = model.ends[model_written() + count] - model.cursor;

	hawser__log_wrote(&tested, length);
	model.cursor += length;
	trim_model();
	check_log();
}

START_TEST(frame_stays_where_it_is_until_it_is_acknowledged)
{
	uint8_t *begins[100];

	start(true);
	for (unsigned i = 0; i < 100; i++)
		begins[i] = append(700);
	write_frames(60);
	for (unsigned count = 0; count <= 60; count++) {
		ck_assert_int_eq(hawser__log_ack(&tested, count), 0);
		model.claimed = count;
		trim_model();
		check_log();
		for (unsigned i = count; i < 100; i++)
			quick_assert(!memcmp(begins[i], model.bytes + model.ends[i],
					     model.ends[i + 1] - model.ends[i]));
	}
	stop();
}
END_TEST

START_TEST(ack_of_more_than_was_sent_is_refused_and_changes_nothing)
{
	start(true);
	for (unsigned i = 0; i < 10; i++)
		append(20);
	ck_assert_int_eq(hawser__log_ack(&tested, 1), -EBADMSG);
	write_frames(4);
	ck_assert_int_eq(hawser__log_ack(&tested, 5), -EBADMSG);
	ck_assert_int_eq(hawser__log_ack(&tested, UINT64_MAX), -EBADMSG);
	check_log();
	/* From its first byte on it may have arrived, as far as this end can tell. */
	hawser__log_wrote(&tested, 1);
	ck_assert_int_eq(hawser__log_ack(&tested, 5), 0);
	ck_assert_uint_eq(tested.acked, 4);
	ck_assert_uint_eq(tested.claimed, 5);
	stop();
}
END_TEST

START_TEST(frame_on_its_way_stays_though_the_peer_has_it)
{
	start(true);
	for (unsigned i = 0; i < 3; i++)
		append(1000);
	write_frames(3);
	lose_connection();
	/* Once more, as nothing is known yet. */
	hawser__log_wrote(&tested, 500);
	model.cursor += 500;
	check_log();
	ck_assert_int_eq(hawser__log_ack(&tested, 2), 0);
	ck_assert_uint_eq(tested.acked, 0);
	ck_assert_uint_eq(tested.frames.length, model.ends[3]);
	/* It goes when it is through. */
	hawser__log_wrote(&tested, model.ends[1] - 500);
	ck_assert_uint_eq(tested.acked, 1);
	ck_assert_uint_eq(tested.frames.length, model.ends[3] - model.ends[1]);
	hawser__log_wrote(&tested, tested.unwritten);
	ck_assert_uint_eq(tested.acked, 2);
	stop();
}
END_TEST

START_TEST(log_goes_on_behind_what_the_peer_has)
{
	for (unsigned has = 2; has <= 6; has++) {
		start(true);
		for (unsigned i = 0; i < 10; i++)
			append(300);
		write_frames(5);
		/* Half of the sixth. */
		hawser__log_wrote(&tested, 150);
		model.cursor += 150;
		trim_model();
		ck_assert_int_eq(hawser__log_ack(&tested, 2), 0);
		model.claimed = 2;
		trim_model();
		check_log();
		lose_connection();
		check_log();
		ck_assert_int_eq(hawser__log_resume(&tested, 1), -EBADMSG);
		ck_assert_int_eq(hawser__log_resume(&tested, 7), -EBADMSG);
		ck_assert_int_eq(hawser__log_resume(&tested, UINT64_MAX), -EBADMSG);
		check_log();
		ck_assert_int_eq(hawser__log_resume(&tested, has), 0);
		model.acked = model.claimed = has;
		model.front = model.cursor = model.ends[has];
		check_log();
		while (tested.unwritten) {
			write_some();
			check_log();
		}
		stop();
	}
}
END_TEST

START_TEST(next_session_begins_with_what_was_never_sent)
{
	start(true);
	for (unsigned i = 0; i < 10; i++)
		append(300);
	write_frames(5);
	hawser__log_wrote(&tested, 1);
	model.cursor++;
	trim_model();
	begin_anew();
	check_log();
	/* The seventh frame is the first one there. */
	ck_assert_uint_eq(tested.restarted, 6);
	ck_assert(hawser__log_was_sent(&tested, 6));
	ck_assert(!hawser__log_was_sent(&tested, 7));
	ck_assert_int_eq(hawser__log_ack(&tested, 1), -EBADMSG);
	write_frames(1);
	ck_assert_int_eq(hawser__log_ack(&tested, 1), 0);
	ck_assert_uint_eq(tested.acked, 7);
	stop();
}
END_TEST

START_TEST(next_session_hears_nothing_of_what_came_in_the_one_before)
{
	struct hawser__frame frame;
	const char *why;
	struct iovec piece;

	start(true);
	ck_assert_ptr_nonnull(
		hawser__frame_put_call(&tested.frames, UINT64_C(1) << 40, 1, 7, 0, NULL, 0, 0));
	hawser__log_appended(&tested, tested.frames.length);
	hawser__log_restart(&tested);
	ck_assert_int_eq(hawser__log_peek(&tested, &piece, 1, SIZE_MAX), 1);
	ck_assert_int_eq(hawser__frame_decode(&frame,
					      (uint8_t *)piece.iov_base + HAWSER__FRAME_PREFIX,
					      piece.iov_len - HAWSER__FRAME_PREFIX, &why),
			 0);
	ck_assert_uint_eq(frame.id, 1);
	ck_assert_uint_eq(frame.ack, 0);
	stop();
}
END_TEST

START_TEST(log_that_is_not_kept_forgets_what_is_written)
{
	start(false);
	for (unsigned i = 0; i < 3; i++)
		append(300);
	hawser__log_wrote(&tested, 100);
	ck_assert_uint_eq(tested.frames.length, model.ends[3] - 100);
	ck_assert_uint_eq(tested.sent, 1);
	ck_assert_uint_eq(tested.acked, 0);
	/* The rest of half a frame goes with its connection; the others wait for the next. */
	hawser__log_rewind(&tested);
	ck_assert_uint_eq(tested.frames.length, model.ends[3] - model.ends[1]);
	ck_assert_uint_eq(tested.unwritten, tested.frames.length);
	ck_assert_uint_eq(tested.written, 1);
	ck_assert(hawser__log_was_sent(&tested, 1));
	ck_assert(!hawser__log_was_sent(&tested, 2));
	hawser__log_wrote(&tested, tested.unwritten);
	ck_assert_ptr_null(tested.frames.first);
	ck_assert_uint_eq(tested.acked, 3);
	stop();
}
END_TEST

START_TEST(log_of_many_chunks_gives_them_back_as_they_are_acknowledged)
{
	start(true);
	for (unsigned i = 0; i < 100; i++)
		append(1000);
	write_frames(100);
	ck_assert_uint_eq(pool.large.count, 0);
	ck_assert_int_eq(hawser__log_ack(&tested, 50), 0);
	ck_assert_uint_ge(pool.large.count, 2);
	ck_assert_int_eq(hawser__log_ack(&tested, 100), 0);
	ck_assert_ptr_null(tested.frames.first);
	ck_assert_uint_ge(pool.large.count, 6);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire-log");
	TCase *random = suite_case(suite, "random"), *acks = suite_case(suite, "acks");
	TCase *connections = suite_case(suite, "connections");

	tcase_add_loop_test(random, log_agrees_with_a_flat_string, 0, 2);
	tcase_add_test(random, log_that_is_written_and_acknowledged_is_empty);

	tcase_add_test(acks, frame_stays_where_it_is_until_it_is_acknowledged);
	tcase_add_test(acks, ack_of_more_than_was_sent_is_refused_and_changes_nothing);
	tcase_add_test(acks, frame_on_its_way_stays_though_the_peer_has_it);
	tcase_add_test(acks, log_of_many_chunks_gives_them_back_as_they_are_acknowledged);

	tcase_add_test(connections, log_goes_on_behind_what_the_peer_has);
	tcase_add_test(connections, next_session_begins_with_what_was_never_sent);
	tcase_add_test(connections, next_session_hears_nothing_of_what_came_in_the_one_before);
	tcase_add_test(connections, log_that_is_not_kept_forgets_what_is_written);
	return suite_run(suite);
}
