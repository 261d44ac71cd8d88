/* The native protocol as a state machine without a socket and without a clock.
 *
 * It takes the bytes that came and gives back frames, checked for what may come
 * when: open first, call ids rising and of the right parity, nothing above
 * the limits. What is to be sent it appends to `out`, the one buffer between the
 * calls and the socket. Whoever owns the socket moves the bytes. */

#ifndef HAWSER_WIRE_SESSION_H
#define HAWSER_WIRE_SESSION_H

#include <hawser/common.h>

#include "util/buffer.h"
#include "wire/frame.h"
#include "wire/wire.pb-c.h"

enum {
	HAWSER__PROTOCOL_VERSION = 1,
	/* The largest message of an end that names no limit. */
	HAWSER__DEFAULT_MESSAGE_BYTES = 4 << 20,
};

enum hawser__session_state {
	HAWSER__SESSION_NEW,  /* server: no open yet; client: open not yet answered */
	HAWSER__SESSION_OPEN, /* opened was sent or has come */
	HAWSER__SESSION_OVER, /* close or rejected was sent, or rejected has come */
};

struct hawser__session {
	bool is_server;
	enum hawser__session_state state;
	uint32_t max_frame; /* longest frame taken, without its prefix */
	uint64_t next_call; /* id of our next call */
	uint64_t last_call; /* highest id among the peer's calls */
	struct hawser__buffer out;
};

/** Why a session ends: what goes into close or rejected, and into the log. */
struct hawser__problem {
	Hawser__Reason reason;
	char text[160];
};

/** max_payload: the limit on messages that come. */
void hawser__session_init(struct hawser__session *session, bool is_server, size_t max_payload,
			  struct hawser__pool *pool);
void hawser__session_deinit(struct hawser__session *session);

/**
 * The next frame of `length` bytes. Returns how many bytes it took, prefix
 * included; 0 when it is not complete yet, and then *need is how much there must be of
 * it before anything can be said, if that is known, else 0; or
 *   -EBADMSG  the peer broke the protocol, *problem tells how: send close, stop;
 *   -EMSGSIZE the frame is above max_frame; `frame` is valid but for its payload, and
 *             the next *need bytes (this frame) are to be skipped.
 * The frame borrows `data`.
 */
ptrdiff_t hawser__session_next(struct hawser__session *session, const uint8_t *data, size_t length,
			       struct hawser__frame *frame, size_t *need,
			       struct hawser__problem *problem);

/** Appends a frame whose body is `message`. 0 or -ENOMEM. */
int hawser__session_put(struct hawser__session *session, enum hawser__frame_kind kind,
			const ProtobufCMessage *message);

/** Appends close, or rejected before the session was open; the session is then over. 0 or -ENOMEM.
 */
int hawser__session_put_close(struct hawser__session *session,
			      const struct hawser__problem *problem);

/**
 * Takes back a call that is still queued: its frame becomes one that the peer skips. The first
 * `skip` bytes of `out` are the rest of a frame that is on its way. False: it is not there.
 */
bool hawser__session_unsend_call(struct hawser__session *session, uint64_t id, size_t skip);

/** The id of our next call. */
static inline uint64_t hawser__session_take_call(struct hawser__session *session)
{
	uint64_t id = session->next_call;

	session->next_call += 2;
	return id;
}

/** "draining", "protocol error"; static. */
const char *hawser__reason_name(unsigned reason);

/** Sets a problem (printf). */
void hawser__problem_set(struct hawser__problem *problem, Hawser__Reason reason, const char *format,
			 ...) HAWSER_PRINTF(3, 4);

#endif /* HAWSER_WIRE_SESSION_H */
