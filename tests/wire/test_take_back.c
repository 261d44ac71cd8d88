/* Frames that are changed where they are queued: calls that are taken back, acknowledgements
 * that are not true any more, time that has run out meanwhile. Nothing else may change, not even
 * a length. */

#include "frames.h"
#include "support/random.h"
#include "support/suite.h"
#include "wire/session.h"
#include <string.h>

enum { CALLS = 60, LONGEST = 9000 };

static struct hawser__pool pool;
static struct hawser__session session;

static void start(void)
{
	memset(&pool, 0, sizeof pool);
	hawser__session_init(&session, false, LONGEST, &pool);
	hawser__session_begin(&session, true);
}

static void stop(void)
{
	hawser__session_deinit(&session);
	hawser__pool_deinit(&pool);
}

/* The next frame of some bytes. */
static struct hawser__frame next_frame(const struct bytes *bytes, size_t *at)
{
	struct hawser__frame frame;
	const char *why = NULL;
	size_t length;

	quick_assert(bytes->length - *at >= HAWSER__FRAME_PREFIX);
	length = hawser__frame_length(bytes->data + *at);
	*at += HAWSER__FRAME_PREFIX;
	quick_assert(length <= bytes->length - *at);
	if (hawser__frame_decode(&frame, bytes->data + *at, length, &why) < 0)
		ck_abort_msg("a frame of %zu bytes is damaged: %s", length, why);
	*at += length;
	return frame;
}

/* ---- calls of a session ---- */

struct queued {
	uint64_t id, number;
	uint8_t *start;
	bool is_taken_back;
};

static struct queued queued[CALLS];

/* Each call with a message behind it; a chunk holds some of them. */
static void queue_calls(size_t longest)
{
	for (unsigned i = 0; i < CALLS; i++) {
		size_t length = (size_t)random_below(longest + 1);
		uint64_t id = hawser__session_take_call(&session);
		uint8_t *room;

		queued[i] = (struct queued){.id = id};
		room = hawser__session_put_call(&session, id, 7, 0, NULL, 0, length,
						&queued[i].start);
		quick_assert(room);
		memset(room, 's', length);
		queued[i].number = session.log.last;
		quick_assert(queued[i].number == 2 * i + 1);
		quick_assert(hawser__session_put_message(&session, id, true, 0, NULL));
	}
}

/* Writes up to so many bytes, as a socket that takes no more. */
static void write_some(struct bytes *sent, size_t length)
{
	while (length) {
		struct iovec piece;

		quick_assert(hawser__session_peek(&session, &piece, 1) == 1);
		if (piece.iov_len > length)
			piece.iov_len = length;
		bytes_append(sent, piece.iov_base, piece.iov_len);
		hawser__session_wrote(&session, piece.iov_len);
		length -= piece.iov_len;
	}
}

START_TEST(call_taken_back_is_a_cancel_to_the_peer_and_nothing_else_changes)
{
	for (unsigned long n = suite_rounds(300); n--;) {
		struct bytes sent = bytes_copy("", 0);
		size_t at = 0;

		start();
		queue_calls(random_one_in(2) ? 40 : LONGEST);
		write_some(&sent, (size_t)random_below(session.log.unwritten + 1));
		for (unsigned k = 0; k < CALLS; k++) {
			struct queued *call = &queued[random_below(CALLS)];

			if (call->is_taken_back || hawser__log_was_sent(&session.log, call->number))
				continue;
			hawser__frame_take_back(call->start, call->id);
			call->is_taken_back = true;
		}
		write_some(&sent, session.log.unwritten);
		for (unsigned i = 0; i < CALLS; i++) {
			struct hawser__frame frame = next_frame(&sent, &at);

			quick_assert(frame.id == queued[i].id);
			quick_assert(frame.kind == (queued[i].is_taken_back ? HAWSER__FRAME_CANCEL
									    : HAWSER__FRAME_CALL));
			frame = next_frame(&sent, &at);
			quick_assert(frame.kind == HAWSER__FRAME_MESSAGE);
			quick_assert(frame.id == queued[i].id);
		}
		ck_assert_uint_eq(at, sent.length);
		bytes_free(&sent);
		stop();
	}
}
END_TEST

START_TEST(call_counts_as_sent_from_its_first_byte_on)
{
	struct bytes sent = bytes_copy("", 0);
	size_t first;

	start();
	queue_calls(40);
	first = HAWSER__FRAME_PREFIX + hawser__frame_length(queued[0].start);
	ck_assert(!hawser__log_was_sent(&session.log, queued[0].number));
	write_some(&sent, 1);
	ck_assert(hawser__log_was_sent(&session.log, queued[0].number));
	ck_assert(!hawser__log_was_sent(&session.log, queued[0].number + 1));
	write_some(&sent, first - 1);
	ck_assert(!hawser__log_was_sent(&session.log, queued[0].number + 1));
	/* It may have arrived, whatever becomes of the connection. */
	hawser__session_lost(&session);
	ck_assert(hawser__log_was_sent(&session.log, queued[0].number));
	ck_assert(!hawser__log_was_sent(&session.log, queued[0].number + 1));
	bytes_free(&sent);
	stop();
}
END_TEST

/* ---- frames of every size ---- */

static struct hawser__buffer out;

static uint8_t *front(void)
{
	return out.first->data + out.first->start;
}

static void check_taken_back(uint64_t id, uint64_t ack, size_t length)
{
	uint8_t *room = hawser__frame_put_call(&out, ack, id, 0xffffffff, 0, NULL, 0, length);
	struct hawser__frame frame;
	size_t whole = out.length;
	const char *why;

	quick_assert(room);
	quick_assert(hawser__frame_put_number(&out, HAWSER__FRAME_PING, 77));
	hawser__frame_take_back(front(), id);
	quick_assert(hawser__frame_length(front()) == whole - HAWSER__FRAME_PREFIX);
	quick_assert(hawser__frame_decode(&frame, front() + HAWSER__FRAME_PREFIX,
					  whole - HAWSER__FRAME_PREFIX, &why) == 0);
	quick_assert(frame.kind == HAWSER__FRAME_CANCEL);
	quick_assert(frame.id == id);
	quick_assert(frame.ack == ack);
	quick_assert(!frame.more);
	hawser__buffer_consume(&out, whole);
	quick_assert(hawser__frame_decode(&frame, front() + HAWSER__FRAME_PREFIX,
					  out.length - HAWSER__FRAME_PREFIX, &why) == 0);
	quick_assert(frame.kind == HAWSER__FRAME_PING && frame.id == 77);
	hawser__buffer_deinit(&out);
}

START_TEST(calls_of_every_size_can_be_taken_back)
{
	/* On both sides of where a length, or the padded one, takes another byte. */
	static const size_t lengths[] = {0,       1,         126,       127,      128,
					 16382,   16383,     16384,     2097151,  2097152,
					 3000000, 268435440, 268435456, 300000000};

	memset(&pool, 0, sizeof pool);
	hawser__buffer_init(&out, &pool);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
		for (unsigned width = 1; width <= 64; width += lengths[i] < 1 << 24 ? 7 : 60)
			check_taken_back(UINT64_MAX >> (64 - width),
					 random_one_in(2) ? 0 : random_number(), lengths[i]);
	for (unsigned long n = suite_rounds(20000); n--;)
		check_taken_back(random_number() | 1, random_number(), (size_t)random_below(300));
	hawser__pool_deinit(&pool);
}
END_TEST

/* ---- acknowledgements ---- */

/* A frame as this end queues it, of any kind and with any payload. */
static void put_any(uint64_t ack)
{
	/* Metadata or a text: a field of bytes. */
	uint8_t extra[200] = {0x22};
	size_t extra_length = random_one_in(2) ? sizeof extra : 0;
	size_t length = (size_t)random_below(300);
	uint8_t *room = NULL;

	extra[1] = (uint8_t)((sizeof extra - 3) | 0x80);
	extra[2] = (uint8_t)((sizeof extra - 3) >> 7);
	switch (random_below(5)) {
	case 0:
		room = hawser__frame_put_call(&out, ack, random_number(), 7, random_number(), extra,
					      extra_length, length);
		break;
	case 1:
		room = hawser__frame_put_end(&out, ack, random_number(), 5, 3, extra, extra_length,
					     length);
		break;
	case 2:
		room = hawser__frame_put_message(&out, ack, random_number(), random_one_in(2),
						 length);
		break;
	case 3:
		quick_assert(hawser__frame_put_window(&out, 0, random_number(), random_number()));
		return;
	default:
		quick_assert(hawser__frame_put_number(&out, HAWSER__FRAME_CANCEL, random_number()));
		return;
	}
	quick_assert(room);
	/* Whatever the payload says, it acknowledges nothing. */
	memset(room, 0x68, length);
}

START_TEST(acknowledgement_is_cleared_and_nothing_else)
{
	memset(&pool, 0, sizeof pool);
	hawser__buffer_init(&out, &pool);
	for (unsigned long n = suite_rounds(20000); n--;) {
		struct hawser__frame before, after;
		size_t length, at = 0;
		struct bytes bytes;

		put_any(random_one_in(3) ? 0 : random_number());
		length = out.length;
		bytes = bytes_take(&out);
		before = next_frame(&bytes, &at);
		hawser__frame_clear_ack(bytes.data);
		quick_assert(hawser__frame_length(bytes.data) == length - HAWSER__FRAME_PREFIX);
		at = 0;
		after = next_frame(&bytes, &at);
		quick_assert(after.ack == 0);
		before.ack = 0;
		quick_assert(frames_equal(&before, &after));
		bytes_free(&bytes);
	}
	hawser__pool_deinit(&pool);
}
END_TEST

START_TEST(call_taken_back_can_be_cleared_as_well)
{
	struct hawser__frame frame;
	struct bytes bytes;
	size_t at = 0;

	memset(&pool, 0, sizeof pool);
	hawser__buffer_init(&out, &pool);
	ck_assert_ptr_nonnull(hawser__frame_put_call(&out, 1000, 5, 7, 0, NULL, 0, 0));
	hawser__frame_take_back(front(), 5);
	hawser__frame_clear_ack(front());
	bytes = bytes_take(&out);
	frame = next_frame(&bytes, &at);
	ck_assert_int_eq(frame.kind, HAWSER__FRAME_CANCEL);
	ck_assert_uint_eq(frame.id, 5);
	ck_assert_uint_eq(frame.ack, 0);
	bytes_free(&bytes);
	hawser__pool_deinit(&pool);
}
END_TEST

/* ---- time-outs ---- */

/* The call at the front, decoded. */
static struct hawser__frame decode_front(void)
{
	struct hawser__frame frame;
	const char *why;

	quick_assert(hawser__frame_decode(&frame, front() + HAWSER__FRAME_PREFIX,
					  out.length - HAWSER__FRAME_PREFIX, &why) == 0);
	return frame;
}

START_TEST(time_out_of_a_call_can_be_lowered_and_nothing_else)
{
	memset(&pool, 0, sizeof pool);
	hawser__buffer_init(&out, &pool);
	for (unsigned long n = suite_rounds(20000); n--;) {
		uint64_t timeout_ms = random_number(), left_ms = 0;
		/* A payload or metadata that begins as a time-out does. */
		static const uint8_t extra[] = {0x22, 3, 0x18, 1, 1};
		size_t extra_length = random_one_in(2) ? sizeof extra : 0;
		size_t length = (size_t)random_below(30);
		struct hawser__frame before, after;
		uint8_t *room = hawser__frame_put_call(&out, random_one_in(2) ? 0 : random_number(),
						       random_number() | 1, (uint32_t)random_next(),
						       timeout_ms, extra, extra_length, length);

		quick_assert(room);
		memset(room, 0x18, length);
		if (timeout_ms)
			left_ms = random_number() % (timeout_ms + (timeout_ms != UINT64_MAX));
		before = decode_front();
		hawser__frame_set_timeout(front(), left_ms);
		after = decode_front();
		/* A call that waits for ever goes on to do so. */
		quick_assert(after.timeout_ms == left_ms);
		before.timeout_ms = left_ms;
		quick_assert(frames_equal(&before, &after));
		hawser__buffer_deinit(&out);
	}
	hawser__pool_deinit(&pool);
}
END_TEST

START_TEST(frames_without_a_time_out_stay_as_they_are)
{
	memset(&pool, 0, sizeof pool);
	hawser__buffer_init(&out, &pool);
	for (unsigned long n = suite_rounds(20000); n--;) {
		struct bytes before, after;

		if (random_one_in(3)) {
			uint8_t *room =
				hawser__frame_put_call(&out, random_number(), random_number() | 1,
						       0x18181818, 0, NULL, 0, 0);

			quick_assert(room);
			if (random_one_in(2))
				hawser__frame_take_back(front(), 1);
		} else {
			put_any(random_number());
		}
		if (decode_front().kind == HAWSER__FRAME_CALL && decode_front().timeout_ms) {
			hawser__buffer_deinit(&out);
			continue;
		}
		before = bytes_copy(front(), out.length);
		hawser__frame_set_timeout(front(), 0);
		after = bytes_take(&out);
		quick_assert(before.length == after.length);
		quick_assert(!memcmp(before.data, after.data, after.length));
		bytes_free(&before);
		bytes_free(&after);
	}
	hawser__pool_deinit(&pool);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire-take-back");
	TCase *calls = suite_case(suite, "calls"), *acks = suite_case(suite, "acks");
	TCase *times = suite_case(suite, "times");

	tcase_add_test(calls, call_taken_back_is_a_cancel_to_the_peer_and_nothing_else_changes);
	tcase_add_test(calls, call_counts_as_sent_from_its_first_byte_on);
	tcase_add_test(calls, calls_of_every_size_can_be_taken_back);
	tcase_add_test(acks, acknowledgement_is_cleared_and_nothing_else);
	tcase_add_test(acks, call_taken_back_can_be_cleared_as_well);
	tcase_add_test(times, time_out_of_a_call_can_be_lowered_and_nothing_else);
	tcase_add_test(times, frames_without_a_time_out_stay_as_they_are);
	return suite_run(suite);
}
