/* Any stream of bytes into a session, whole and cut to pieces: both see the same frames.
 *
 * The first byte says which end, which limit, and whether it is open or has sent something that
 * can be acknowledged, the second where to cut. */

#include "fuzz.h"
#include "wire/session.h"
#include <errno.h>
#include <string.h>

struct end {
	struct hawser__pool pool;
	struct hawser__session session;
	uint8_t *pending;
	size_t length;
	uint64_t skip;
	uint64_t seen; /* a hash of all events */
	bool is_broken;
};

static void note(struct end *end, const void *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		end->seen = (end->seen ^ ((const uint8_t *)bytes)[i]) * UINT64_C(1099511628211);
}

#define NOTE(end, value) note(end, &(value), sizeof(value))

static void note_frame(struct end *end, const struct hawser__frame *frame)
{
	NOTE(end, frame->kind);
	NOTE(end, frame->id);
	NOTE(end, frame->method);
	NOTE(end, frame->timeout_ms);
	NOTE(end, frame->status);
	NOTE(end, frame->outcome);
	NOTE(end, frame->last);
	NOTE(end, frame->size);
	NOTE(end, frame->window);
	NOTE(end, frame->ack);
	NOTE(end, frame->more);
	NOTE(end, frame->payload_length);
	note(end, frame->body, frame->body_length);
}

/* What is pending moves to memory of its own size. */
static void keep(struct end *end, const uint8_t *rest, size_t rest_length, const uint8_t *more,
		 size_t more_length)
{
	uint8_t *pending = malloc(rest_length + more_length + 1);

	require(pending);
	/* One byte before, so that an empty one can be freed, none after. */
	if (rest_length)
		memcpy(pending + 1, rest, rest_length);
	if (more_length)
		memcpy(pending + 1 + rest_length, more, more_length);
	free(end->pending);
	end->pending = pending;
	end->length = rest_length + more_length;
}

static bool step(struct end *end)
{
	struct hawser__problem problem;
	struct hawser__frame frame;
	size_t need;
	ptrdiff_t taken;

	if (!end->length || end->is_broken)
		return false;
	if (end->skip) {
		size_t part = end->skip < end->length ? (size_t)end->skip : end->length;

		end->skip -= part;
		keep(end, end->pending + 1 + part, end->length - part, NULL, 0);
		return true;
	}
	taken = hawser__session_next(&end->session, end->pending + 1, end->length, &frame, &need,
				     &problem);
	if (taken > 0) {
		require((size_t)taken <= end->length);
		require(need == 0);
		note_frame(end, &frame);
		note(end, frame.payload, frame.payload_length);
		if (frame.kind == HAWSER__FRAME_OPEN)
			hawser__session_begin(&end->session, false);
		keep(end, end->pending + 1 + taken, end->length - (size_t)taken, NULL, 0);
		return true;
	}
	if (taken == -EMSGSIZE) {
		note_frame(end, &frame);
		NOTE(end, need);
		require(need > frame.payload_length);
		end->skip = need;
		return true;
	}
	if (taken < 0) {
		require(taken == -EBADMSG);
		require(problem.reason == HAWSER__REASON__REASON_PROTOCOL_ERROR ||
			problem.reason == HAWSER__REASON__REASON_TOO_LARGE);
		require(memchr(problem.text, 0, sizeof problem.text) && *problem.text);
		note(end, problem.text, strlen(problem.text));
		end->is_broken = true;
		return true;
	}
	require(need == 0 || need > end->length);
	return false;
}

static void receive(struct end *end, const uint8_t *data, size_t length)
{
	keep(end, end->pending + 1, end->length, data, length);
	while (step(end))
		;
}

/* Frames that the other end may acknowledge; the last one is still on its way. */
static void send_some(struct hawser__session *session)
{
	hawser__session_begin(session, true);
	for (uint64_t i = 1; i <= 300; i++)
		require(hawser__session_put_cancel(session, i, NULL));
	hawser__session_wrote(session, hawser__session_unwritten(session) - 1);
}

static void end_init(struct end *end, uint8_t flags)
{
	static const size_t limits[] = {0, 1, 1000, 100000};

	memset(end, 0, sizeof *end);
	hawser__session_init(&end->session, flags & 1, limits[flags >> 1 & 3], &end->pool);
	if (flags & 8)
		hawser__session_begin(&end->session, false);
	if (flags & 16)
		send_some(&end->session);
	end->pending = malloc(1);
	require(end->pending);
}

static void end_deinit(struct end *end)
{
	free(end->pending);
	hawser__session_deinit(&end->session);
	hawser__pool_deinit(&end->pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct end whole, cut;
	size_t longest;
	uint32_t random;

	if (size < 2)
		return 0;
	end_init(&whole, data[0]);
	end_init(&cut, data[0]);
	random = data[1];
	data += 2;
	size -= 2;
	receive(&whole, data, size);
	/* A long stream in longer parts, so that it takes no longer. */
	longest = 16 + size / 8;
	while (size) {
		/* Numerical Recipes' generator: any will do, if it is always the same. */
		size_t part;

		random = random * 1664525 + 1013904223;
		part = 1 + random / 65536 % longest;

		if (part > size)
			part = size;
		receive(&cut, data, part);
		data += part;
		size -= part;
	}
	require(whole.is_broken == cut.is_broken);
	require(whole.seen == cut.seen);
	require(whole.session.state == cut.session.state);
	require(whole.session.last_call == cut.session.last_call);
	require(whole.session.received == cut.session.received);
	require(whole.session.log.acked == cut.session.log.acked);
	require(whole.session.log.acked <= whole.session.log.sent);
	end_deinit(&whole);
	end_deinit(&cut);
	return 0;
}
