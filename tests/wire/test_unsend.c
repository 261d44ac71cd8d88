/* Taking back calls that are still queued, while one of them is on its way. */

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
}

static void stop(void)
{
	hawser__session_deinit(&session);
	hawser__pool_deinit(&pool);
}

static uint64_t id_of(unsigned call)
{
	return 2 * call + 1;
}

/* Each call with a ping behind it; a chunk holds some of them. */
static void queue_calls(size_t longest)
{
	for (unsigned i = 0; i < CALLS; i++) {
		size_t length = (size_t)random_below(longest + 1);
		uint8_t *room =
			hawser__frame_put_call(&session.out, id_of(i), 7, 0, NULL, 0, length);

		quick_assert(room);
		memset(room, 's', length);
		quick_assert(hawser__frame_put_number(&session.out, HAWSER__FRAME_PING, id_of(i)));
	}
}

/* Writes the first `length` bytes to nowhere, as a socket that takes no more. */
static struct bytes send_first(size_t length)
{
	struct bytes bytes = bytes_copy(session.out.first->data, length);

	hawser__buffer_consume(&session.out, length);
	return bytes;
}

/* The next frame of what was sent. */
static struct hawser__frame next_frame(const struct bytes *sent, size_t *at)
{
	struct hawser__frame frame;
	const char *why = NULL;
	size_t length;

	quick_assert(sent->length - *at >= HAWSER__FRAME_PREFIX);
	length = hawser__frame_length(sent->data + *at);
	*at += HAWSER__FRAME_PREFIX;
	quick_assert(length <= sent->length - *at);
	if (hawser__frame_decode(&frame, sent->data + *at, length, &why) < 0)
		ck_abort_msg("a frame of %zu bytes is damaged: %s", length, why);
	*at += length;
	return frame;
}

START_TEST(call_taken_back_is_ignored_by_the_peer_and_nothing_else_is)
{
	for (unsigned long n = suite_rounds(300); n--;) {
		bool is_unsent[CALLS] = {false};
		size_t first, part, at = 0;
		struct bytes sent, rest;

		start();
		queue_calls(random_one_in(2) ? 40 : LONGEST);
		/* None, some or all of the first frame has left. */
		first = HAWSER__FRAME_PREFIX + hawser__frame_length(session.out.first->data);
		part = (size_t)random_below(first + 1);
		sent = send_first(part);
		for (unsigned k = 0; k < CALLS; k++) {
			unsigned i = (unsigned)random_below(CALLS);
			bool can = !is_unsent[i] && (i > 0 || part == 0);

			quick_assert(hawser__session_unsend_call(&session, id_of(i),
								 part ? first - part : 0) == can);
			is_unsent[i] |= can;
		}
		rest = bytes_take(&session.out);
		bytes_append(&sent, rest.data, rest.length);
		for (unsigned i = 0; i < CALLS; i++) {
			struct hawser__frame frame = next_frame(&sent, &at);

			if (is_unsent[i])
				quick_assert(frame.kind == HAWSER__FRAME_IGNORED);
			else
				quick_assert(frame.kind == HAWSER__FRAME_CALL &&
					     frame.id == id_of(i));
			frame = next_frame(&sent, &at);
			quick_assert(frame.kind == HAWSER__FRAME_PING && frame.id == id_of(i));
		}
		ck_assert_uint_eq(at, sent.length);
		bytes_free(&rest);
		bytes_free(&sent);
		stop();
	}
}
END_TEST

START_TEST(what_is_not_a_queued_call_cannot_be_taken_back)
{
	start();
	ck_assert(!hawser__session_unsend_call(&session, 1, 0));
	ck_assert_ptr_nonnull(hawser__frame_put_end(&session.out, 2, 0, 0, NULL, 0, 0));
	ck_assert_ptr_nonnull(hawser__frame_put_number(&session.out, HAWSER__FRAME_CANCEL, 3));
	ck_assert(!hawser__session_unsend_call(&session, 2, 0));
	ck_assert(!hawser__session_unsend_call(&session, 3, 0));
	stop();
}
END_TEST

START_TEST(shortest_and_longest_calls_can_be_taken_back)
{
	static const size_t lengths[] = {0, 1, 127, 128, 16383, 16384, 3000000};

	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		struct bytes sent;
		size_t at = 0;
		uint8_t *room;

		start();
		room = hawser__frame_put_call(&session.out, 1, 7, 0, NULL, 0, lengths[i]);
		ck_assert_ptr_nonnull(room);
		memset(room, 's', lengths[i]);
		ck_assert(hawser__session_unsend_call(&session, 1, 0));
		sent = bytes_take(&session.out);
		ck_assert_int_eq(next_frame(&sent, &at).kind, HAWSER__FRAME_IGNORED);
		ck_assert_uint_eq(at, sent.length);
		bytes_free(&sent);
		stop();
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire-unsend");
	TCase *unsend = suite_case(suite, "unsend");

	tcase_add_test(unsend, call_taken_back_is_ignored_by_the_peer_and_nothing_else_is);
	tcase_add_test(unsend, what_is_not_a_queued_call_cannot_be_taken_back);
	tcase_add_test(unsend, shortest_and_longest_calls_can_be_taken_back);
	return suite_run(suite);
}
