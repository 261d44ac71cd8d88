/* The state machine of the native protocol; session.h says how it is driven. */

#include "wire/session.h"

#include "util/alloc.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void hawser__session_init(struct hawser__session *session, bool is_server, size_t max_payload,
			  struct hawser__pool *pool)
{
	session->is_server = is_server;
	session->state = HAWSER__SESSION_NEW;
	session->max_frame = (uint32_t)(max_payload + HAWSER__FRAME_OVERHEAD);
	session->next_call = is_server ? 2 : 1;
	session->last_call = 0;
	hawser__buffer_init(&session->out, pool);
}

void hawser__session_deinit(struct hawser__session *session)
{
	hawser__buffer_deinit(&session->out);
}

const char *hawser__reason_name(unsigned reason)
{
	static const char *const names[] = {
		"unspecified",  "done",
		"draining",     "idle",
		"silent",       "protocol error",
		"version",      "too many connections",
		"open timeout", "unauthenticated",
		"too large",    "internal",
	};

	return reason < sizeof names / sizeof *names ? names[reason] : "unknown";
}

void hawser__problem_set(struct hawser__problem *problem, Hawser__Reason reason, const char *format,
			 ...)
{
	va_list arguments;

	problem->reason = reason;
	va_start(arguments, format);
	vsnprintf(problem->text, sizeof problem->text, format, arguments);
	va_end(arguments);
}

/* ---- receiving ---- */

static int broken(struct hawser__problem *problem, const char *text,
		  const struct hawser__frame *frame)
{
	hawser__problem_set(problem, HAWSER__REASON__REASON_PROTOCOL_ERROR, "%s: %s",
			    hawser__frame_kind_name(frame->kind), text);
	return -EBADMSG;
}

/* Whether the frame may come now. */
static int admit(struct hawser__session *session, const struct hawser__frame *frame,
		 struct hawser__problem *problem)
{
	bool first = session->state == HAWSER__SESSION_NEW;

	switch (frame->kind) {
	case HAWSER__FRAME_OPEN:
		if (!session->is_server)
			return broken(problem, "only whoever connects sends it", frame);
		if (!first)
			return broken(problem, "the connection is open already", frame);
		return 0;
	case HAWSER__FRAME_OPENED:
		if (session->is_server)
			return broken(problem, "only whoever accepts sends it", frame);
		if (!first)
			return broken(problem, "the connection is open already", frame);
		session->state = HAWSER__SESSION_OPEN;
		return 0;
	case HAWSER__FRAME_REJECTED:
		if (session->is_server || !first)
			return broken(problem, "it only answers an open", frame);
		session->state = HAWSER__SESSION_OVER;
		return 0;
	case HAWSER__FRAME_CLOSE:
		return 0;
	default:
		break;
	}
	if (first) {
		hawser__problem_set(problem, HAWSER__REASON__REASON_PROTOCOL_ERROR,
				    "the first frame is %s, not %s: is this a Hawser %s?",
				    hawser__frame_kind_name(frame->kind),
				    session->is_server ? "open" : "opened or rejected",
				    session->is_server ? "client" : "server");
		return -EBADMSG;
	}
	if (frame->kind == HAWSER__FRAME_CALL) {
		/* The two ends number their calls apart: odd for whoever connected. */
		if ((frame->id & 1) != session->is_server)
			return broken(problem, "its id is the other end's to choose", frame);
		if (frame->id <= session->last_call)
			return broken(problem, "its id is not above that of the last call", frame);
		session->last_call = frame->id;
	} else if (frame->kind >= HAWSER__FRAME_MESSAGE && frame->id == 0) {
		return broken(problem, "it names no call", frame);
	}
	return 0;
}

/* Who knocks at the wrong port is told so. `data` has at least a prefix's bytes. */
static int malformed(struct hawser__problem *problem, const uint8_t *data, const char *why)
{
	static const char *const http[] = {"HTTP", "GET ", "POST", "PUT ", "HEAD",
					   "DELE", "OPTI", "CONN", "PATC", "PRI "};

	/* A hello, or the alert that answers ours. */
	if (data[0] == 0x16 || (data[0] == 0x15 && data[1] == 3))
		why = "this looks like TLS, which is not spoken here";
	else if (memcmp(data, "SSH-", 4) == 0)
		why = "this looks like SSH, which is not spoken here";
	for (size_t i = 0; i < sizeof http / sizeof *http; i++)
		if (memcmp(data, http[i], 4) == 0)
			why = "this looks like HTTP, which is not spoken here";
	hawser__problem_set(problem, HAWSER__REASON__REASON_PROTOCOL_ERROR, "not a frame: %s", why);
	return -EBADMSG;
}

static int too_large_head(struct hawser__problem *problem, uint32_t size)
{
	hawser__problem_set(problem, HAWSER__REASON__REASON_TOO_LARGE,
			    "a frame of %u bytes besides its payload, the limit is %u", size,
			    HAWSER__FRAME_OVERHEAD);
	return -EBADMSG;
}

static int too_large(struct hawser__problem *problem, uint32_t size, uint32_t limit)
{
	hawser__problem_set(problem, HAWSER__REASON__REASON_TOO_LARGE,
			    "a frame of %u bytes, the limit is %u", size, limit);
	return -EBADMSG;
}

ptrdiff_t hawser__session_next(struct hawser__session *session, const uint8_t *data, size_t length,
			       struct hawser__frame *frame, size_t *need,
			       struct hawser__problem *problem)
{
	const char *why = NULL;
	int r;

	*need = 0;
	if (length < HAWSER__FRAME_PREFIX)
		return 0;

	uint32_t size = hawser__frame_length(data);

	if (size >= HAWSER__FRAME_LIMIT)
		return malformed(problem, data, "its length is beyond every limit");
	if (session->state == HAWSER__SESSION_NEW && session->is_server &&
	    size > HAWSER__FRAME_OPEN_LIMIT) {
		hawser__problem_set(problem, HAWSER__REASON__REASON_TOO_LARGE,
				    "a first frame of %u bytes, the limit is %u", size,
				    HAWSER__FRAME_OPEN_LIMIT);
		return -EBADMSG;
	}
	data += HAWSER__FRAME_PREFIX;
	length -= HAWSER__FRAME_PREFIX;

	if (size <= session->max_frame) {
		if (length < size) {
			*need = HAWSER__FRAME_PREFIX + size;
			return 0;
		}
		if (hawser__frame_decode(frame, data, size, &why) < 0)
			return malformed(problem, data - HAWSER__FRAME_PREFIX, why);
		if (size - frame->payload_length > HAWSER__FRAME_OVERHEAD)
			return too_large_head(problem, (uint32_t)(size - frame->payload_length));
		r = admit(session, frame, problem);
		return r < 0 ? r : (ptrdiff_t)(HAWSER__FRAME_PREFIX + size);
	}

	if (size >> 16 == 0x1503)
		return malformed(problem, data - HAWSER__FRAME_PREFIX, "it is too long");
	/* Too long to take, but not to answer: its head tells which call it is about. */
	if (length && data[0] < (HAWSER__FRAME_CALL << 3))
		return too_large(problem, size, session->max_frame); /* of a kind without payload */
	if (length < HAWSER__FRAME_HEAD) {
		*need = HAWSER__FRAME_PREFIX + HAWSER__FRAME_HEAD;
		return 0;
	}
	if (hawser__frame_decode_head(frame, data, HAWSER__FRAME_HEAD, size, &why) < 0 ||
	    !frame->payload ||
	    frame->payload_length <= session->max_frame - HAWSER__FRAME_OVERHEAD ||
	    (frame->kind != HAWSER__FRAME_IGNORED && frame->kind < HAWSER__FRAME_CALL))
		return too_large(problem, size, session->max_frame);
	r = admit(session, frame, problem);
	if (r < 0)
		return r;
	*need = HAWSER__FRAME_PREFIX + (size_t)size;
	return -EMSGSIZE;
}

/* ---- sending ---- */

int hawser__session_put(struct hawser__session *session, enum hawser__frame_kind kind,
			const ProtobufCMessage *message)
{
	size_t length = protobuf_c_message_get_packed_size(message);
	uint8_t small[512], *body = length <= sizeof small ? small : hawser__malloc(length);
	int r = 0;

	if (!body)
		return -ENOMEM;
	protobuf_c_message_pack(message, body);
	if (!hawser__frame_put_body(&session->out, kind, body, length))
		r = -ENOMEM;
	if (body != small)
		free(body);
	return r;
}

int hawser__session_put_close(struct hawser__session *session,
			      const struct hawser__problem *problem)
{
	bool is_new = session->state == HAWSER__SESSION_NEW;

	if (is_new || problem->reason != HAWSER__REASON__REASON_DRAINING)
		session->state = HAWSER__SESSION_OVER;
	if (is_new && session->is_server) {
		Hawser__Rejected rejected = HAWSER__REJECTED__INIT;

		rejected.reason = problem->reason;
		rejected.text = (char *)problem->text;
		rejected.min_version = rejected.max_version = HAWSER__PROTOCOL_VERSION;
		return hawser__session_put(session, HAWSER__FRAME_REJECTED, &rejected.base);
	}

	Hawser__Close close = HAWSER__CLOSE__INIT;

	close.reason = problem->reason;
	close.text = (char *)problem->text;
	close.last_call = session->last_call;
	return hawser__session_put(session, HAWSER__FRAME_CLOSE, &close.base);
}

/* A frame of the same length that says nothing: ignorable, and the rest is a payload.
 * Its length takes five bytes, so that every size fits; protobuf allows that. */
static void blank(uint8_t *frame, uint32_t length)
{
	uint32_t rest = length - 8;

	*frame++ = 14 << 3;
	*frame++ = 1;
	*frame++ = 15 << 3 | 2;
	for (int i = 0; i < 4; i++, rest >>= 7)
		*frame++ = (uint8_t)(rest | 0x80);
	*frame = (uint8_t)rest;
}

bool hawser__session_unsend_call(struct hawser__session *session, uint64_t id, size_t skip)
{
	struct hawser__frame frame;
	const char *why;

	for (struct hawser__chunk *chunk = session->out.first; chunk; chunk = chunk->next) {
		/* Frames are queued in one piece each. */
		uint8_t *at = chunk->data + chunk->start + skip;

		skip = 0;
		while (at < chunk->data + chunk->end) {
			uint32_t length = hawser__frame_length(at);

			at += HAWSER__FRAME_PREFIX;
			if (hawser__frame_decode(&frame, at, length, &why) == 0 &&
			    frame.kind == HAWSER__FRAME_CALL && frame.id == id) {
				blank(at, length);
				return true;
			}
			at += length;
		}
	}
	return false;
}
