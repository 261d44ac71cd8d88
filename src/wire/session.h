/* The native protocol as a state machine without a socket and without a clock.
 *
 * It takes the bytes that came and gives back frames, checked for what may come
 * when: open first, call ids rising and of the right parity, nothing above
 * the limits. What is to be sent it keeps in two places. Frames about calls go to the log,
 * numbered, until the peer has acknowledged them, across connections. All others
 * (open, ping, close …) go to `control`, which is written first and dies with its
 * connection. Whoever owns the socket moves the bytes.
 *
 * When a connection is lost the session is away: hawser__session_lost(). On the next one
 * each end tells in open and opened how many session frames it has
 * (`received`), and the other goes on behind them: hawser__session_resume(). So a frame is
 * taken exactly once, without a comparison: what was taken is counted, and what is
 * counted is not asked for again. */

#ifndef HAWSER_WIRE_SESSION_H
#define HAWSER_WIRE_SESSION_H

#include <hawser/common.h>

#include "util/list.h"
#include "util/map.h"
#include "wire/frame.h"
#include "wire/log.h"
#include "wire/wire.pb-c.h"

enum {
	HAWSER__PROTOCOL_VERSION = 1,
	/* The largest message of an end that names no limit. */
	HAWSER__DEFAULT_MESSAGE_BYTES = 4 << 20,
	/* The window of a call whose receiver names none, and what a message frame takes from it
	 * besides its payload: empty messages must not be for nothing. */
	HAWSER__DEFAULT_WINDOW_BYTES = 64 << 10,
	HAWSER__MESSAGE_COST = 16,
};

enum {
	/* An acknowledgement rides on the next frame when this much has come since the last one;
	 * at twice as much it goes alone. */
	HAWSER__ACK_FRAMES = 16,
	HAWSER__ACK_BYTES = 64 * 1024,
	HAWSER__TOKEN_BYTES = 16,
};

enum hawser__session_state {
	HAWSER__SESSION_NEW,  /* server: no open yet; client: open not yet answered */
	HAWSER__SESSION_OPEN, /* opened was sent or has come */
	HAWSER__SESSION_AWAY, /* without a connection; what is put waits for the next one */
	HAWSER__SESSION_OVER, /* close or rejected was sent, or rejected has come */
};

struct hawser__session {
	bool is_server;
	bool log_flows; /* what is in the log may be written */
	enum hawser__session_state state;
	uint32_t max_frame; /* longest frame taken, without its prefix */
	uint64_t next_call; /* id of our next call */
	uint64_t last_call; /* highest id among the peer's calls */
	uint64_t received;  /* session frames of the peer that were taken */
	uint64_t told;      /* as the peer knows, or will from what is queued */
	size_t untold_bytes;
	bool must_tell; /* with the next frame, however little it is */
	struct hawser__buffer control;
	struct hawser__log log;
	/* What waits for its turn in the log; outbox.h. */
	struct hawser__list turns;   /* outboxes that have something that may go */
	struct hawser__map outboxes; /* all, by call */
	size_t waiting_bytes;        /* in them */
	size_t passed_bytes;         /* of small frames that went to the log since the last turn */
	long long peer_window;       /* with which each call begins whose messages the peer takes */
	/* Told of each frame that goes to the log from there, by its head; NULL: nobody wants to
	 * know. */
	void (*moved)(struct hawser__session *session, const uint8_t *head, size_t length);
	/* Writes what may go, while a large message is being packed; may be NULL, and must not do
	 * anything else. */
	void (*push)(struct hawser__session *session);
	/* What the peer asks for to let a new connection go on with this session. */
	uint64_t id; /* 0: it cannot be gone on with */
	uint8_t token[HAWSER__TOKEN_BYTES];
	uint32_t attempt; /* to go on with it: the last one that was made, or let in */
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

/**
 * Whether the first `length` bytes, which end within a frame, begin a message frame whose payload
 * is its rest: then `frame` is valid but for the payload, which is not all there.
 */
bool hawser__session_begins_message(const struct hawser__session *session, const uint8_t *data,
				    size_t length, struct hawser__frame *frame);
/** Such a frame has come, from its first byte to its last, `length` with the prefix. 0, or -EBADMSG
 * and the problem, as hawser__session_next(). */
int hawser__session_took_message(struct hawser__session *session, const struct hawser__frame *frame,
				 size_t length, struct hawser__problem *problem);

/* ---- connections ---- */

/** Open and opened were exchanged: the log may flow, and is kept if the peer keeps its own. */
void hawser__session_begin(struct hawser__session *session, bool is_kept);
/** The connection is gone. The state is then away. */
void hawser__session_lost(struct hawser__session *session);
/**
 * A new connection goes on with the session, whose peer has `received` of our frames. 0, or
 * -EBADMSG and the problem: that number cannot be.
 */
int hawser__session_resume(struct hawser__session *session, uint64_t received,
			   struct hawser__problem *problem);
/**
 * The peer does not know the session any more, or never did: whatever it was sent is forgotten.
 * What was never sent waits for the next connection, which begins a new one. For clients.
 */
void hawser__session_restart(struct hawser__session *session);

/* ---- sending ---- */

/** Up to `max` pieces of what is to be written now, and returns how many. */
int hawser__session_peek(const struct hawser__session *session, struct iovec *iov, int max);
/** So many of those bytes were written. */
void hawser__session_wrote(struct hawser__session *session, size_t length);
/** Bytes that can be written now. */
static inline size_t hawser__session_unwritten(const struct hawser__session *session)
{
	return session->control.length + (session->log_flows ? session->log.unwritten : 0);
}

/** Whether the peer waits for an acknowledgement. */
static inline bool hawser__session_owes_ack(const struct hawser__session *session)
{
	return session->log.is_kept && session->received != session->told;
}
/** So much has come that it should not wait for a frame to ride on. */
static inline bool hawser__session_must_ack(const struct hawser__session *session)
{
	return session->log.is_kept &&
	       (session->received - session->told >= (uint64_t)2 * HAWSER__ACK_FRAMES ||
		session->untold_bytes >= (size_t)2 * HAWSER__ACK_BYTES);
}
/**
 * Some time has passed, and the peer still waits: the next frame takes the acknowledgement along.
 * False: none went since the last time this was said, so it should go alone.
 */
bool hawser__session_urge_ack(struct hawser__session *session);
/** Queues one. Returns where it begins; NULL without memory. */
const uint8_t *hawser__session_put_ack(struct hawser__session *session);
/** What the next frame about a call is to acknowledge; 0: nothing. */
uint64_t hawser__session_riding_ack(const struct hawser__session *session);
/** All that has come was acknowledged. */
void hawser__session_told(struct hawser__session *session);

/** Bytes that wait for anything: their turn, the socket, or the peer's acknowledgement. */
static inline size_t hawser__session_backlog(const struct hawser__session *session)
{
	return session->log.frames.length + session->waiting_bytes;
}

/** Queues a frame that is not about a call. Returns where it begins; NULL without memory. */
const uint8_t *hawser__session_put(struct hawser__session *session, enum hawser__frame_kind kind,
				   const ProtobufCMessage *message);
const uint8_t *hawser__session_put_number(struct hawser__session *session,
					  enum hawser__frame_kind kind, uint64_t number);

/**
 * Queues close, or rejected before the session was open; the session is then over, unless it only
 * drains. Returns as above.
 */
const uint8_t *hawser__session_put_close(struct hawser__session *session,
					 const struct hawser__problem *problem);

/* The frames about calls. Each returns where its payload goes, to be filled at once, or
 * NULL without memory; *start (may be NULL) is where the frame begins. See frame.h. */

uint8_t *hawser__session_put_call(struct hawser__session *session, uint64_t id, uint32_t method,
				  uint64_t timeout_ms, const uint8_t *extra, size_t extra_length,
				  size_t payload_length, uint8_t **start);
uint8_t *hawser__session_put_end(struct hawser__session *session, uint64_t id, uint32_t status,
				 uint32_t outcome, const uint8_t *extra, size_t extra_length,
				 size_t payload_length, uint8_t **start);
uint8_t *hawser__session_put_message(struct hawser__session *session, uint64_t id, bool last,
				     size_t payload_length, uint8_t **start);
uint8_t *hawser__session_put_cancel(struct hawser__session *session, uint64_t id, uint8_t **start);
uint8_t *hawser__session_put_window(struct hawser__session *session, uint64_t id, uint64_t bytes,
				    uint8_t **start);

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
