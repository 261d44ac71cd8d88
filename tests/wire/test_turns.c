/* Many calls that send at once: whose turn it is, one claim at a time; and everything that can
 * happen to outboxes, mixed, against a model that knows what must go next. */

#include "outgoing.h"
#include <stdlib.h>

/* ---- turns ---- */

START_TEST(calls_take_turns_piece_by_piece)
{
	start();
	for (uint64_t id = 1; id <= 9; id += 2)
		must_put(open_call(id, WIDE), id * PIECE);
	flow();
	ck_assert_uint_eq(n_went, 1 + 3 + 5 + 7 + 9);
	/* In each round everyone who has something left has one turn. */
	for (size_t i = 0, round = 0; i < n_went; round++)
		for (uint64_t id = 1; id <= 9; id += 2)
			if (id > round)
				ck_assert_uint_eq(went[i++].id, id);
	stop();
}
END_TEST

START_TEST(log_is_filled_no_further_ahead_than_needed)
{
	start();
	must_put(open_call(3, WIDE), 1000000);
	hawser__session_fill(&session);
	ck_assert_uint_ge(session.log.unwritten, HAWSER__AHEAD_BYTES);
	ck_assert_uint_lt(session.log.unwritten,
			  HAWSER__AHEAD_BYTES + PIECE + HAWSER__MESSAGE_HEAD);
	for (size_t before = session.log.unwritten; session.waiting_bytes;) {
		hawser__session_fill(&session);
		ck_assert_uint_eq(session.log.unwritten, before);
		write_out(10000, 4);
		hawser__session_fill(&session);
		before = session.log.unwritten;
		ck_assert(before >= HAWSER__AHEAD_BYTES || !session.waiting_bytes);
	}
	flow();
	ck_assert_uint_eq(n_went, (1000000 + PIECE - 1) / PIECE);
	stop();
}
END_TEST

START_TEST(small_frame_waits_for_no_more_than_what_is_ahead_and_a_piece)
{
	size_t before;

	start();
	for (uint64_t id = 1; id <= 19; id += 2)
		must_put(open_call(id, WIDE), 500000);
	for (int i = 0; i < 20; i++) {
		hawser__session_fill(&session);
		before = session.log.unwritten;
		ck_assert_ptr_nonnull(hawser__session_put_cancel(&session, 99, NULL));
		ck_assert_uint_le(before, HAWSER__AHEAD_BYTES + PIECE + HAWSER__MESSAGE_HEAD);
		n_went = 0;
		write_out(session.log.unwritten, 64);
		ck_assert_int_eq(went[n_went - 1].kind, HAWSER__FRAME_CANCEL);
	}
	stop();
}
END_TEST

START_TEST(large_message_goes_on_among_small_frames_that_never_cease)
{
	size_t small = 0;

	start();
	must_put(open_call(3, WIDE), 10 * PIECE);
	/* Nothing is written, so what is in the log would be enough for ever. */
	for (unsigned n = 0; session.waiting_bytes; n++) {
		uint8_t *payload = hawser__session_put_message(&session, 5, false, 1000, NULL);

		ck_assert_ptr_nonnull(payload);
		memset(payload, 0, 1000);
		small += 1000;
		hawser__session_fill(&session);
		ck_assert_uint_lt(n, 20 * PIECE / 1000);
	}
	/* As much of both, but for what was ahead. */
	ck_assert_uint_ge(small, 6 * PIECE);
	ck_assert_uint_le(small, 10 * PIECE);
	stop();
}
END_TEST

/* ---- everything mixed ---- */

enum { CALLS = 6, QUEUE_MAX = 512, FRAMES_MAX = 1 << 16 };

/* Bytes of a message, shared by its pieces; lent ones are gone with their loan. */
struct bytes_kept {
	uint8_t *data;
	unsigned references; /* the model's; a loan's are its own */
	bool is_lent;
};

/* What must go next on a call. */
struct expected {
	enum hawser__frame_kind kind;
	struct bytes_kept *kept;
	size_t begin, length, cost; /* of the payload; cost: what it counts while it waits */
	uint64_t size;
	bool last;
};

static struct call {
	struct hawser__outbox *outbox; /* NULL: none */
	uint64_t id;
	long long window;
	struct expected queue[QUEUE_MAX];
	size_t first, count, bytes;
	bool is_left;
	uint64_t since; /* it could go, or went last; 0: it cannot go */
} calls[CALLS];

static struct {
	uint64_t next_id, tick;
	size_t passed;               /* bytes of small frames since the last turn */
	uint32_t hashes[FRAMES_MAX]; /* of all frames, in the order of the log */
	size_t n_frames, n_received, n_loans, n_released;
	long long peer_window;
} model;

static uint32_t hash(const uint8_t *data, size_t length)
{
	uint32_t sum = 2166136261u;

	while (length--)
		sum = (sum ^ *data++) * 16777619;
	return sum;
}

static bool may_go(const struct call *call)
{
	return call->count && (call->window > 0 || !call->queue[call->first].kept);
}

/* Something has changed that may let it go, or not let it go any more. */
static void look(struct call *call)
{
	if (!may_go(call))
		call->since = 0;
	else if (!call->since)
		call->since = ++model.tick;
}

static void kept_unref(struct bytes_kept *kept)
{
	if (kept && !kept->is_lent && --kept->references == 0) {
		free(kept->data);
		free(kept);
	}
}

static void on_kept_release(void *data)
{
	struct bytes_kept *kept = data;

	model.n_released++;
	free(kept->data);
	free(kept);
}

static struct bytes_kept *keep(size_t length, bool is_lent)
{
	struct bytes_kept *kept = calloc(1, sizeof *kept);

	quick_assert(kept);
	/* Its end is its memory's, for the sanitizers. */
	kept->data = malloc(length ? length : 1);
	quick_assert(kept->data);
	memcpy(kept->data, content + random_below(CONTENT_BYTES - length + 1), length);
	kept->is_lent = is_lent;
	return kept;
}

static void expect(struct call *call, struct expected expected)
{
	quick_assert(call->count < QUEUE_MAX);
	call->queue[(call->first + call->count++) % QUEUE_MAX] = expected;
	call->bytes += expected.cost;
	if (expected.kept)
		expected.kept->references++;
	look(call);
}

static struct expected unexpect(struct call *call)
{
	struct expected expected = call->queue[call->first];

	call->first = (call->first + 1) % QUEUE_MAX;
	call->count--;
	call->bytes -= expected.cost;
	return expected;
}

static void expect_nothing(struct call *call)
{
	while (call->count)
		kept_unref(unexpect(call).kept);
	look(call);
}

/* A frame went to the log. */
static void note(const uint8_t *frame, size_t length)
{
	quick_assert(model.n_frames < FRAMES_MAX);
	model.hashes[model.n_frames++] = hash(frame, length);
}

static void note_small(size_t before)
{
	size_t length = session.log.frames.length - before;
	const struct hawser__chunk *last = session.log.frames.last;

	note(last->data + last->end - length, length);
	for (struct call *call = calls; call < calls + CALLS; call++)
		if (call->since) {
			model.passed += length;
			return;
		}
}

/* ---- steps ---- */

static void open_some(struct call *call)
{
	call->id = model.next_id += 2;
	call->outbox = hawser__outbox_new(&session, call->id);
	quick_assert(call->outbox);
	call->window = model.peer_window;
	call->is_left = false;
}

static size_t some_size(void)
{
	static const size_t edges[] = {0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 5};

	if (random_one_in(4))
		return edges[random_below(sizeof edges / sizeof *edges)];
	return (size_t)random_below(random_one_in(4) ? 300000 : 3000);
}

static void put_some(struct call *call)
{
	size_t length = some_size(), at = 0;
	bool is_lent = length && random_one_in(2), is_announced = !is_lent && random_one_in(10);
	struct bytes_kept *kept = keep(length, is_lent);
	uint64_t size = length > PIECE && !is_announced ? length : 0;

	if (call->count > QUEUE_MAX - 10) {
		free(kept->data);
		free(kept);
		return;
	}
	if (is_lent) {
		struct hawser__loan *loan = hawser__loan_new(on_kept_release, kept);

		quick_assert(loan);
		model.n_loans++;
		quick_assert(put_borrowed(call->outbox, loan, kept->data, length) == 0);
		hawser__loan_unref(loan);
	} else {
		quick_assert(put_packed(call->outbox, kept->data, length, is_announced) == 0);
	}
	do {
		size_t part = length - at < PIECE ? length - at : PIECE;

		expect(call,
		       (struct expected){HAWSER__FRAME_MESSAGE, kept, at, part, part, size, false});
		size = 0;
		at += part;
	} while (at < length);
}

/* As a runtime does it: at once, if nothing of its call waits, and there is a window. */
static void put_small(struct call *call)
{
	size_t length = (size_t)random_below(2000), before = session.log.frames.length;
	uint8_t *payload;

	if (!hawser__outbox_is_open(call->outbox)) {
		quick_assert(call->count || call->window <= 0);
		return;
	}
	quick_assert(!call->count && call->window > 0);
	payload = hawser__session_put_message(&session, call->id, false, length, NULL);
	quick_assert(payload);
	memcpy(payload, content, length);
	call->outbox->window -= (long long)length + HAWSER__MESSAGE_COST;
	call->window -= (long long)length + HAWSER__MESSAGE_COST;
	note_small(before);
}

static void put_last(struct call *call, bool is_end)
{
	size_t before = call->outbox->bytes;

	if (call->count > QUEUE_MAX - 10)
		return;
	quick_assert(!put_frame(call->outbox,
				is_end ? hawser__outbox_make_end(&session, call->id, 3, 0, NULL, 0)
				       : hawser__outbox_make_last(&session, call->id)));
	expect(call, (struct expected){
			     .kind = is_end ? HAWSER__FRAME_END : HAWSER__FRAME_MESSAGE,
			     .cost = call->outbox->bytes - before,
			     .last = !is_end,
		     });
	if (!is_end)
		return;
	call->is_left = true;
	hawser__outbox_leave(&session, call->outbox);
}

static void gone(struct call *call)
{
	quick_assert(!hawser__outbox_find(&session, call->id));
	call->outbox = NULL;
}

static void open_some_window(struct call *call)
{
	uint64_t bytes = random_below(random_one_in(3) ? 1 << 20 : 30000);

	quick_assert(hawser__outbox_open_window(&session, call->outbox, bytes) == 0);
	call->window += (long long)bytes;
	look(call);
}

static void open_all_windows(void)
{
	size_t window = (size_t)random_below(200000);
	uint64_t tick = model.tick;

	hawser__outbox_set_windows(&session, window);
	/* Those that may go from now on may do so in any order. */
	for (struct call *call = calls; call < calls + CALLS; call++)
		if (call->outbox) {
			call->window += (long long)window - model.peer_window;
			look(call);
			if (call->since > tick)
				call->since = model.tick = tick + 1;
		}
	model.peer_window = (long long)window;
}

/* ---- what goes ---- */

static void check_turn(const uint8_t *bytes, size_t length, size_t unwritten)
{
	struct hawser__frame frame;
	struct expected expected;
	struct call *call = NULL;
	const char *why;

	quick_assert(unwritten < HAWSER__AHEAD_BYTES || model.passed >= PIECE);
	quick_assert(hawser__frame_decode(&frame, bytes + HAWSER__FRAME_PREFIX,
					  length - HAWSER__FRAME_PREFIX, &why) == 0);
	for (struct call *other = calls; other < calls + CALLS; other++)
		if (other->outbox && other->id == frame.id)
			call = other;
	/* Its turn has come, and nobody has waited for longer. */
	quick_assert(call && may_go(call));
	for (struct call *other = calls; other < calls + CALLS; other++)
		quick_assert(!other->since || other->since >= call->since);
	expected = unexpect(call);
	quick_assert(frame.kind == expected.kind && frame.last == expected.last);
	quick_assert(frame.size == expected.size && frame.payload_length == expected.length);
	if (expected.kept) {
		quick_assert(frame.payload);
		quick_assert(!memcmp(frame.payload, expected.kept->data + expected.begin,
				     expected.length));
		call->window -= (long long)expected.length + HAWSER__MESSAGE_COST;
		kept_unref(expected.kept);
	}
	note(bytes, length);
	model.passed = 0;
	call->since = 0;
	look(call);
	if (call->is_left && !call->count)
		gone(call);
}

/* What a fill added to the log is looked at frame by frame. */
static void fill(void)
{
	static uint8_t added[1 << 20];
	size_t before = session.log.frames.length, unwritten = session.log.unwritten, skip = before;
	size_t length = 0;
	bool can_go = false;

	hawser__session_fill(&session);
	for (struct hawser__chunk *chunk = session.log.frames.first; chunk; chunk = chunk->next) {
		size_t queued = chunk->end - chunk->start, begin = skip < queued ? skip : queued;

		quick_assert(length + queued - begin <= sizeof added);
		memcpy(added + length, chunk->data + chunk->start + begin, queued - begin);
		length += queued - begin;
		skip -= begin;
	}
	quick_assert(session.log_flows || !length);
	for (size_t at = 0, part; at < length; at += part) {
		part = HAWSER__FRAME_PREFIX + hawser__frame_length(added + at);
		check_turn(added + at, part, unwritten + at);
	}
	for (struct call *call = calls; call < calls + CALLS; call++)
		can_go |= call->since != 0;
	if (session.log_flows && can_go)
		quick_assert(session.log.unwritten >= HAWSER__AHEAD_BYTES && model.passed < PIECE);
}

/* All frames go in the order of the log, each once, whatever happens to connections. */
static void check_received(void)
{
	for (size_t at = 0; at < wire_read; model.n_received++) {
		size_t length = HAWSER__FRAME_PREFIX + hawser__frame_length(wire + at);

		quick_assert(model.n_received < model.n_frames);
		quick_assert(hash(wire + at, length) == model.hashes[model.n_received]);
		at += length;
	}
	wire_length -= wire_read;
	memmove(wire, wire + wire_read, wire_length);
	wire_read = n_went = 0;
}

static void write_some(void)
{
	if (random_one_in(2))
		fill();
	write_out((size_t)random_below(random_one_in(2) ? 200000 : 2000), 1 + (int)random_below(4));
	check_received();
	if (random_one_in(2))
		quick_assert(!hawser__log_ack(&session.log,
					      model.n_received - (size_t)random_below(2) *
									 (model.n_received != 0)));
}

static void lose_connection(void)
{
	struct hawser__problem problem;

	if (session.log_flows) {
		hawser__session_lost(&session);
		wire_length = 0;
	} else {
		quick_assert(!hawser__session_resume(&session, model.n_received, &problem));
	}
}

static void check_all(void)
{
	size_t bytes = 0, at = 0, n = 0;

	for (struct call *call = calls; call < calls + CALLS; call++) {
		if (!call->outbox)
			continue;
		n++;
		quick_assert(call->outbox == hawser__outbox_find(&session, call->id));
		quick_assert(call->outbox->window == call->window);
		quick_assert(call->outbox->bytes == call->bytes);
		quick_assert(!call->outbox->first == !call->count);
		quick_assert(hawser__list_empty(&call->outbox->turn) == !call->since);
		bytes += call->bytes;
	}
	quick_assert(session.waiting_bytes == bytes);
	while (hawser__outbox_next(&session, &at))
		n--;
	quick_assert(n == 0);
}

static void step(struct call *call)
{
	switch (random_below(40)) {
	case 0:
		lose_connection();
		break;
	case 1:
		open_all_windows();
		break;
	case 2:
		if (call->outbox && !call->is_left) {
			expect_nothing(call);
			hawser__outbox_free(&session, call->outbox);
			gone(call);
		}
		break;
	case 3:
		if (call->outbox && !call->is_left) {
			expect_nothing(call);
			hawser__outbox_drop(&session, call->outbox);
		}
		break;
	case 4:
	case 5:
		if (call->outbox && !call->is_left)
			put_last(call, random_one_in(2));
		break;
	case 6:
	case 7:
	case 8:
	case 9:
		if (call->outbox)
			open_some_window(call);
		break;
	case 10:
	case 11:
	case 12:
	case 13:
	case 14:
		if (call->outbox && !call->is_left)
			put_some(call);
		break;
	case 15:
	case 16:
	case 17:
	case 18:
	case 19:
		if (call->outbox && !call->is_left)
			put_small(call);
		else if (!call->outbox)
			open_some(call);
		break;
	default:
		write_some();
		break;
	}
	check_all();
}

START_TEST(outboxes_agree_with_a_model_of_them)
{
	for (unsigned long n = suite_rounds(100); n--;) {
		start();
		memset(calls, 0, sizeof calls);
		memset(&model, 0, sizeof model);
		model.peer_window = WIDE;
		for (int i = 0; i < 3000; i++)
			step(&calls[random_below(CALLS)]);
		for (struct call *call = calls; call < calls + CALLS; call++)
			expect_nothing(call);
		stop();
		quick_assert(model.n_released == model.n_loans);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire-turns");
	TCase *turns = suite_case(suite, "turns"), *mixed = suite_case(suite, "mixed");

	tcase_add_test(turns, calls_take_turns_piece_by_piece);
	tcase_add_test(turns, log_is_filled_no_further_ahead_than_needed);
	tcase_add_test(turns, small_frame_waits_for_no_more_than_what_is_ahead_and_a_piece);
	tcase_add_test(turns, large_message_goes_on_among_small_frames_that_never_cease);

	tcase_add_test(mixed, outboxes_agree_with_a_model_of_them);
	return suite_run(suite);
}
