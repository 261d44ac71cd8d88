/* The state machine of the native protocol; session.h says how it is driven. */

#include "wire/session.h"

#include "util/alloc.h"
#include "wire/outbox.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void hawser__session_init(struct hawser__session *session, bool is_server, size_t max_payload,
			  struct hawser__pool *pool)
{
	memset(session, 0, sizeof *session);
	session->is_server = is_server;
	session->max_frame = (uint32_t)(max_payload + HAWSER__FRAME_OVERHEAD);
	session->next_call = is_server ? 2 : 1;
	hawser__buffer_init(&session->control, pool);
	hawser__log_init(&session->log, pool);
	hawser__list_init(&session->turns);
	session->peer_window = HAWSER__DEFAULT_WINDOW_BYTES;
}

void hawser__session_deinit(struct hawser__session *session)
{
	struct hawser__outbox *outbox;
	size_t at = 0;

	while ((outbox = hawser__outbox_next(session, &at))) {
		hawser__outbox_free(session, outbox);
		at = 0;
	}
	hawser__map_deinit(&session->outboxes);
	hawser__buffer_deinit(&session->control);
	hawser__log_deinit(&session->log);
	explicit_bzero(session->token, sizeof session->token);
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
		"taken over",   "session expired",
		"too slow",     "refused",
		"replaced",
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
	bool first =
		session->state == HAWSER__SESSION_NEW || session->state == HAWSER__SESSION_AWAY;

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
	} else if (hawser__frame_is_counted(frame->kind) && frame->id == 0) {
		return broken(problem, "it names no call", frame);
	}
	return 0;
}

/* The frame counts, and may tell what the peer has. */
static int take(struct hawser__session *session, const struct hawser__frame *frame, size_t length,
		struct hawser__problem *problem)
{
	int r = admit(session, frame, problem);

	if (r < 0)
		return r;
	if (hawser__frame_is_counted(frame->kind)) {
		session->received++;
		session->untold_bytes += length;
	}
	if (!frame->ack || !session->log.is_kept)
		return 0;
	if (hawser__log_ack(&session->log, frame->ack) == 0)
		return 0;
	hawser__problem_set(problem, HAWSER__REASON__REASON_PROTOCOL_ERROR,
			    "%s: it acknowledges %llu frames, %llu were sent",
			    hawser__frame_kind_name(frame->kind), (unsigned long long)frame->ack,
			    (unsigned long long)(session->log.sent - session->log.restarted));
	return -EBADMSG;
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
		r = take(session, frame, HAWSER__FRAME_PREFIX + size, problem);
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
	r = take(session, frame, HAWSER__FRAME_PREFIX + (size_t)size, problem);
	if (r < 0)
		return r;
	*need = HAWSER__FRAME_PREFIX + (size_t)size;
	return -EMSGSIZE;
}

bool hawser__session_begins_message(const struct hawser__session *session, const uint8_t *data,
				    size_t length, struct hawser__frame *frame)
{
	uint32_t size;
	const char *why;

	if (length <= HAWSER__FRAME_PREFIX + 1 || session->state != HAWSER__SESSION_OPEN ||
	    data[HAWSER__FRAME_PREFIX] >> 3 != HAWSER__FRAME_MESSAGE)
		return false;
	size = hawser__frame_length(data);
	data += HAWSER__FRAME_PREFIX;
	length -= HAWSER__FRAME_PREFIX;
	return size <= session->max_frame && length < size &&
	       hawser__frame_decode_head(frame, data, length, size, &why) == 0 &&
	       frame->kind == HAWSER__FRAME_MESSAGE && frame->payload &&
	       size - frame->payload_length <= HAWSER__FRAME_OVERHEAD &&
	       (size_t)(frame->payload - data) + frame->payload_length == size;
}

int hawser__session_took_message(struct hawser__session *session, const struct hawser__frame *frame,
				 size_t length, struct hawser__problem *problem)
{
	return take(session, frame, length, problem);
}

/* ---- connections ---- */

void hawser__session_begin(struct hawser__session *session, bool is_kept)
{
	session->state = HAWSER__SESSION_OPEN;
	session->log_flows = true;
	session->log.is_kept = is_kept;
}

void hawser__session_lost(struct hawser__session *session)
{
	hawser__buffer_deinit(&session->control);
	hawser__log_rewind(&session->log);
	session->log_flows = false;
	/* One that has not begun has nothing to be away from. */
	if (session->state != HAWSER__SESSION_NEW)
		session->state = HAWSER__SESSION_AWAY;
}

void hawser__session_told(struct hawser__session *session)
{
	session->told = session->received;
	session->untold_bytes = 0;
	session->must_tell = false;
}

int hawser__session_resume(struct hawser__session *session, uint64_t received,
			   struct hawser__problem *problem)
{
	const struct hawser__log *log = &session->log;

	if (hawser__log_resume(&session->log, received) < 0) {
		hawser__problem_set(
			problem, HAWSER__REASON__REASON_SESSION_EXPIRED,
			"the ends disagree: %llu frames are said to have come, but %llu "
			"to %llu could have",
			(unsigned long long)received,
			(unsigned long long)(log->acked - log->restarted),
			(unsigned long long)(log->sent - log->restarted));
		return -EBADMSG;
	}
	/* What has come is told in the same breath. */
	hawser__session_told(session);
	hawser__session_begin(session, true);
	return 0;
}

void hawser__session_restart(struct hawser__session *session)
{
	hawser__session_lost(session);
	hawser__log_restart(&session->log);
	session->state = HAWSER__SESSION_NEW;
	session->last_call = session->received = 0;
	hawser__session_told(session);
	session->id = session->attempt = 0;
	explicit_bzero(session->token, sizeof session->token);
}

/* ---- writing ---- */

/* What is on its way goes on; then control, which does not wait for a long log. */
int hawser__session_peek(const struct hawser__session *session, struct iovec *iov, int max)
{
	const struct hawser__log *log = &session->log;
	int n = 0;

	if (session->log_flows && (log->partial || !session->control.length)) {
		bool is_all = !session->control.length;

		n = hawser__log_peek(log, iov, max, is_all ? SIZE_MAX : log->partial);
		if (is_all)
			return n;
	}
	n += hawser__buffer_peek(&session->control, iov + n, max - n);
	/* Behind control frames the log may wait for the next write, unless it had not begun. */
	if (session->log_flows && !log->partial)
		n += hawser__log_peek(log, iov + n, max - n, SIZE_MAX);
	return n;
}

static size_t part_of(size_t *length, size_t most)
{
	size_t part = *length < most ? *length : most;

	*length -= part;
	return part;
}

void hawser__session_wrote(struct hawser__session *session, size_t length)
{
	if (session->log_flows && session->log.partial)
		hawser__log_wrote(&session->log, part_of(&length, session->log.partial));
	if (length && session->control.length)
		hawser__buffer_consume(&session->control,
				       part_of(&length, session->control.length));
	if (length)
		hawser__log_wrote(&session->log, length);
}

/* ---- frames out ---- */

static const uint8_t *last_control(const struct hawser__session *session, size_t before)
{
	const struct hawser__chunk *last = session->control.last;

	return last->data + last->end - (session->control.length - before);
}

const uint8_t *hawser__session_put(struct hawser__session *session, enum hawser__frame_kind kind,
				   const ProtobufCMessage *message)
{
	size_t length = protobuf_c_message_get_packed_size(message);
	uint8_t small[512], *body = length <= sizeof small ? small : hawser__malloc(length);
	size_t before = session->control.length;
	bool is_put;

	if (!body)
		return NULL;
	protobuf_c_message_pack(message, body);
	is_put = hawser__frame_put_body(&session->control, kind, body, length);
	if (body != small)
		free(body);
	return is_put ? last_control(session, before) : NULL;
}

const uint8_t *hawser__session_put_number(struct hawser__session *session,
					  enum hawser__frame_kind kind, uint64_t number)
{
	size_t before = session->control.length;

	if (!hawser__frame_put_number(&session->control, kind, number))
		return NULL;
	return last_control(session, before);
}

bool hawser__session_urge_ack(struct hawser__session *session)
{
	bool is_first = !session->must_tell;

	session->must_tell = true;
	return is_first;
}

const uint8_t *hawser__session_put_ack(struct hawser__session *session)
{
	size_t before = session->control.length;

	if (!hawser__frame_put_ack(&session->control, session->received))
		return NULL;
	hawser__session_told(session);
	return last_control(session, before);
}

/* Behind all that is queued about calls. */
static const uint8_t *put_last(struct hawser__session *session, const Hawser__Close *close)
{
	uint8_t body[512];
	size_t before = session->log.frames.length;
	size_t length = protobuf_c_message_get_packed_size(&close->base);

	if (length > sizeof body)
		return NULL;
	protobuf_c_message_pack(&close->base, body);
	if (!hawser__frame_put_body(&session->log.frames, HAWSER__FRAME_CLOSE, body, length))
		return NULL;
	return hawser__log_appended(&session->log, session->log.frames.length - before);
}

const uint8_t *hawser__session_put_close(struct hawser__session *session,
					 const struct hawser__problem *problem)
{
	bool is_new = session->state == HAWSER__SESSION_NEW;
	bool is_end = is_new || problem->reason != HAWSER__REASON__REASON_DRAINING;
	Hawser__Close close = HAWSER__CLOSE__INIT;

	if (is_end)
		session->state = HAWSER__SESSION_OVER;
	if (is_new && session->is_server) {
		Hawser__Rejected rejected = HAWSER__REJECTED__INIT;

		rejected.reason = problem->reason;
		rejected.text = (char *)problem->text;
		rejected.min_version = rejected.max_version = HAWSER__PROTOCOL_VERSION;
		return hawser__session_put(session, HAWSER__FRAME_REJECTED, &rejected.base);
	}
	close.reason = problem->reason;
	close.text = (char *)problem->text;
	close.last_call = session->last_call;
	return is_end && session->log_flows
		       ? put_last(session, &close)
		       : hawser__session_put(session, HAWSER__FRAME_CLOSE, &close.base);
}

uint64_t hawser__session_riding_ack(const struct hawser__session *session)
{
	bool is_due = session->must_tell ||
		      session->received - session->told >= HAWSER__ACK_FRAMES ||
		      session->untold_bytes >= HAWSER__ACK_BYTES;

	return hawser__session_owes_ack(session) && is_due ? session->received : 0;
}

static uint8_t *logged(struct hawser__session *session, size_t before, uint64_t ack,
		       uint8_t *payload, uint8_t **start)
{
	uint8_t *begin;

	if (!payload)
		return NULL;
	if (ack)
		hawser__session_told(session);
	begin = hawser__log_appended(&session->log, session->log.frames.length - before);
	if (!hawser__list_empty(&session->turns))
		session->passed_bytes += session->log.frames.length - before;
	if (start)
		*start = begin;
	return payload;
}

uint8_t *hawser__session_put_call(struct hawser__session *session, uint64_t id, uint32_t method,
				  uint64_t timeout_ms, const uint8_t *extra, size_t extra_length,
				  size_t payload_length, uint8_t **start)
{
	struct hawser__buffer *out = &session->log.frames;
	uint64_t ack = hawser__session_riding_ack(session);
	size_t before = out->length;

	return logged(session, before, ack,
		      hawser__frame_put_call(out, ack, id, method, timeout_ms, extra, extra_length,
					     payload_length),
		      start);
}

uint8_t *hawser__session_put_end(struct hawser__session *session, uint64_t id, uint32_t status,
				 uint32_t outcome, const uint8_t *extra, size_t extra_length,
				 size_t payload_length, uint8_t **start)
{
	struct hawser__buffer *out = &session->log.frames;
	uint64_t ack = hawser__session_riding_ack(session);
	size_t before = out->length;

	return logged(session, before, ack,
		      hawser__frame_put_end(out, ack, id, status, outcome, extra, extra_length,
					    payload_length),
		      start);
}

uint8_t *hawser__session_put_message(struct hawser__session *session, uint64_t id, bool last,
				     size_t payload_length, uint8_t **start)
{
	struct hawser__buffer *out = &session->log.frames;
	uint64_t ack = hawser__session_riding_ack(session);
	size_t before = out->length;

	return logged(session, before, ack,
		      hawser__frame_put_message(out, ack, id, last, payload_length), start);
}

uint8_t *hawser__session_put_cancel(struct hawser__session *session, uint64_t id, uint8_t **start)
{
	struct hawser__buffer *out = &session->log.frames;
	size_t before = out->length;

	return logged(session, before, 0, hawser__frame_put_number(out, HAWSER__FRAME_CANCEL, id),
		      start);
}

uint8_t *hawser__session_put_window(struct hawser__session *session, uint64_t id, uint64_t bytes,
				    uint8_t **start)
{
	struct hawser__buffer *out = &session->log.frames;
	uint64_t ack = hawser__session_riding_ack(session);
	size_t before = out->length;

	return logged(session, before, ack, hawser__frame_put_window(out, ack, id, bytes), start);
}
