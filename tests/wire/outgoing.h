/* A session that sends, and what goes from it: each frame is read off the wire as its peer would.
 * For suites that include it once; every name is the suite's own. */

#ifndef TESTS_WIRE_OUTGOING_H
#define TESTS_WIRE_OUTGOING_H

#include "frames.h"
#include "support/random.h"
#include "support/suite.h"
#include "wire/outbox.h"
#include <errno.h>
#include <string.h>

/* Each outbox's window at first, unless a test has something to say about it. */
#define WIDE ((long long)1 << 30)

enum {
	WIRE_BYTES = 16 << 20,
	WENT_MAX = 4096,
	CONTENT_BYTES = 1 << 20,
	PIECE = HAWSER__PIECE_BYTES
};

static struct hawser__pool pool;
static struct hawser__session session;

/* All that was written and its frames, whose payloads lie in it. */
static uint8_t wire[WIRE_BYTES];
static size_t wire_length, wire_read;
static struct hawser__frame went[WENT_MAX];
static size_t n_went;

/* What messages are made of. */
static uint8_t content[CONTENT_BYTES];

static inline void start(void)
{
	memset(&pool, 0, sizeof pool);
	hawser__session_init(&session, false, CONTENT_BYTES, &pool);
	hawser__session_begin(&session, true);
	session.peer_window = WIDE;
	wire_length = wire_read = n_went = 0;
	random_fill(content, sizeof content);
}

static inline void stop(void)
{
	hawser__session_deinit(&session);
	ck_assert_uint_eq(session.waiting_bytes, 0);
	ck_assert(hawser__list_empty(&session.turns));
	hawser__pool_deinit(&pool);
}

static inline void read_frames(void)
{
	while (wire_length - wire_read >= HAWSER__FRAME_PREFIX) {
		size_t length = hawser__frame_length(wire + wire_read);
		const char *why;

		if (wire_length - wire_read - HAWSER__FRAME_PREFIX < length)
			return;
		quick_assert(n_went < WENT_MAX);
		wire_read += HAWSER__FRAME_PREFIX;
		quick_assert(
			hawser__frame_decode(&went[n_went++], wire + wire_read, length, &why) == 0);
		wire_read += length;
	}
}

/* Writes what is in the log, at most so many bytes, and as many pieces at a time. */
static inline void write_out(size_t most, int pieces)
{
	struct iovec iov[64];

	while (most && hawser__session_unwritten(&session)) {
		int count = hawser__session_peek(&session, iov, pieces);
		size_t total = 0;

		quick_assert(count > 0);
		for (int i = 0; i < count && total < most; i++) {
			size_t part = iov[i].iov_len < most - total ? iov[i].iov_len : most - total;

			quick_assert(part && wire_length + part <= WIRE_BYTES);
			memcpy(wire + wire_length, iov[i].iov_base, part);
			wire_length += part;
			total += part;
		}
		hawser__session_wrote(&session, total);
		most -= total;
	}
	read_frames();
}

/* All that may go goes. */
static inline void flow(void)
{
	do {
		write_out(SIZE_MAX, 64);
		hawser__session_fill(&session);
	} while (hawser__session_unwritten(&session));
}

static inline struct hawser__outbox *open_call(uint64_t id, long long window)
{
	struct hawser__outbox *outbox = hawser__outbox_new(&session, id);

	ck_assert_ptr_nonnull(outbox);
	outbox->window = window;
	return outbox;
}

/* ---- putting ---- */

static inline int put_packed(struct hawser__outbox *outbox, const uint8_t *packed, size_t length,
			     bool is_announced)
{
	struct hawser__chunk *reserved = hawser__outbox_reserve(&session, length);

	if (!reserved)
		return -ENOMEM;
	hawser__outbox_put(&session, outbox, reserved, NULL, packed, length, is_announced);
	return 0;
}

static inline int put_borrowed(struct hawser__outbox *outbox, struct hawser__loan *loan,
			       const uint8_t *packed, size_t length)
{
	struct hawser__chunk *borrowed = hawser__outbox_borrow(&session, loan, packed, length);

	if (!borrowed)
		return -ENOMEM;
	hawser__outbox_put_borrowed(&session, outbox, borrowed, length, false);
	return 0;
}

static inline int put_frame(struct hawser__outbox *outbox, struct hawser__chunk *frame)
{
	if (!frame)
		return -ENOMEM;
	hawser__outbox_put_frame(&session, outbox, frame);
	return 0;
}

static inline void must_put(struct hawser__outbox *outbox, size_t length)
{
	ck_assert_int_eq(put_packed(outbox, content, length, false), 0);
}

/* ---- the ways to put a message ---- */

enum way { PACKED, MESSAGE, LOAN, WAYS };

static unsigned released; /* loans */

static inline void on_release(void *data)
{
	ck_assert_ptr_eq(data, content);
	released++;
}

/* One that, packed, is content[0..length) for two of the ways; a message's own bytes for the third.
 */
static inline int put_message(struct hawser__outbox *outbox, size_t length, bool is_announced)
{
	Hawser__Metadata message = HAWSER__METADATA__INIT;
	struct hawser__chunk *reserved;
	size_t rest = length;

	/* The key is an empty field at most; tag and length of the value take the rest. */
	message.value.data = content;
	for (message.value.len = length;
	     message.value.len &&
	     (rest = protobuf_c_message_get_packed_size(&message.base)) > length;)
		message.value.len--;
	ck_assert_uint_eq(rest, length);
	reserved = hawser__outbox_reserve(&session, length);
	if (!reserved)
		return -ENOMEM;
	hawser__outbox_put(&session, outbox, reserved, &message.base, NULL, length, is_announced);
	return 0;
}

static inline int put_loan(struct hawser__outbox *outbox, size_t length)
{
	struct hawser__loan *loan = hawser__loan_new(on_release, content);
	int r;

	if (!loan)
		return -ENOMEM;
	r = put_borrowed(outbox, loan, content, length);
	hawser__loan_unref(loan);
	return r;
}

static inline int put(struct hawser__outbox *outbox, enum way way, size_t length)
{
	if (way == MESSAGE)
		return put_message(outbox, length, false);
	if (way == LOAN)
		return put_loan(outbox, length);
	return put_packed(outbox, content, length, false);
}

#endif /* TESTS_WIRE_OUTGOING_H */
