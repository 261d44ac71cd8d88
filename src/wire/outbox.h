/* What a call has to send and may not send yet.
 *
 * Small frames go into the log at once. A message that is too large for one frame, and all
 * that its call says behind it, waits here, cut into pieces. When there is room in the log, each
 * outbox in turn gives it one piece: so the frames of many calls interleave, whatever the size
 * of their messages, and what is small never waits behind more than a few pieces. A piece is
 * linked into the log, not copied.
 *
 * An outbox also holds the call's window: how many bytes of messages the peer still takes. Without
 * any left it sits out its turns, and nothing else waits for it.
 *
 * One that has said its last, an end or a half-close, may be left alone: it goes when it is empty.
 */

#ifndef HAWSER_WIRE_OUTBOX_H
#define HAWSER_WIRE_OUTBOX_H

#include "util/list.h"
#include "wire/session.h"

enum {
	/* The largest payload in one frame of ours. Two of them take the fastest network no
	 * longer than a wake-up. */
	HAWSER__PIECE_BYTES = 64 * 1024 - 64,
	/* Pieces are added to the log while less than this waits there to be written. */
	HAWSER__AHEAD_BYTES = 128 * 1024,
};

/* No window grows beyond this; sums stay far from the type's end. */
#define HAWSER__WINDOW_MOST (1ll << 40)

struct hawser__outbox {
	uint64_t id;              /* the call's */
	struct hawser__list turn; /* the session's, while it has something that may go */
	long long window;         /* bytes of messages that the peer still takes */
	struct hawser__chunk *first, *last;
	size_t bytes;      /* that wait */
	uint64_t number;   /* of its call's last message frame in the log … */
	size_t last_cost;  /* … and what that took of the window; 0: there is none */
	uint64_t stuck_ms; /* its owner's: since when nothing has moved; 0: something has */
	bool is_wanted;    /* its owner's: a message was refused, and nothing was put since */
	bool is_left;      /* goes when it is empty */
};

/** An empty one for call `id`, with the window that each call begins with. NULL without memory. */
struct hawser__outbox *hawser__outbox_new(struct hawser__session *session, uint64_t id);
/** Drops what waits; NULL is accepted. */
void hawser__outbox_free(struct hawser__session *session, struct hawser__outbox *outbox);
/** Nobody will put anything more into it; NULL is accepted. */
void hawser__outbox_leave(struct hawser__session *session, struct hawser__outbox *outbox);
/** That of a call; NULL: it has none. */
struct hawser__outbox *hawser__outbox_find(const struct hawser__session *session, uint64_t id);
/** The next of all; *at starts at 0. None may be made or freed meanwhile. */
struct hawser__outbox *hawser__outbox_next(const struct hawser__session *session, size_t *at);

/** Whether a message may be put now without making it wait for an earlier one, or for the peer. */
static inline bool hawser__outbox_is_open(const struct hawser__outbox *outbox)
{
	return outbox->window > 0 && !outbox->first;
}

/** A message frame with so much payload is the last in the log. */
static inline void hawser__outbox_spend(struct hawser__outbox *outbox,
					const struct hawser__session *session, size_t length)
{
	outbox->last_cost = length + HAWSER__MESSAGE_COST;
	outbox->window -= (long long)outbox->last_cost;
	outbox->number = session->log.last;
}

/** Whether so much of it is in the log that the peer will not take it: there was a larger window
 * when it was put there. */
static inline bool hawser__outbox_is_overdrawn(const struct hawser__outbox *outbox)
{
	return outbox->last_cost && outbox->window + (long long)outbox->last_cost <= 0;
}

/* What is put waits for its turn, behind what was put before. Putting cannot fail: what it needs is
 * reserved before, and is put, or returned. */

/** For a message of `length` bytes. NULL without memory. */
struct hawser__chunk *hawser__outbox_reserve(struct hawser__session *session, size_t length);
/** The same for bytes that are borrowed; takes references of the loan. At least one byte. */
struct hawser__chunk *hawser__outbox_borrow(struct hawser__session *session,
					    struct hawser__loan *loan, const uint8_t *packed,
					    size_t length);
/** For the next bytes of a message, to be filled up to its capacity. NULL without memory. */
struct hawser__chunk *hawser__outbox_new_piece(struct hawser__pool *pool);
/** NULL is accepted. */
void hawser__outbox_return(struct hawser__session *session, struct hawser__chunk *reserved);

/** A message: `message`, to be packed, or else `packed`, to be copied. `is_announced`: the call
 * frame told its size. */
void hawser__outbox_put(struct hawser__session *session, struct hawser__outbox *outbox,
			struct hawser__chunk *reserved, const ProtobufCMessage *message,
			const uint8_t *packed, size_t length, bool is_announced);
/**
 * One piece, which is not empty, and full unless it is the message's last. `size`: of all, with the
 * first piece if the call frame did not tell; else 0. Nothing else may be put before the message is
 * complete.
 */
void hawser__outbox_put_piece(struct hawser__session *session, struct hawser__outbox *outbox,
			      struct hawser__chunk *piece, uint64_t size);
/** One that is borrowed. */
void hawser__outbox_put_borrowed(struct hawser__session *session, struct hawser__outbox *outbox,
				 struct hawser__chunk *borrowed, size_t length, bool is_announced);

/** The end of a call, without a payload. NULL without memory. */
struct hawser__chunk *hawser__outbox_make_end(struct hawser__session *session, uint64_t id,
					      uint32_t status, uint32_t outcome,
					      const uint8_t *extra, size_t extra_length);
/** The word that no message follows. NULL without memory. */
struct hawser__chunk *hawser__outbox_make_last(struct hawser__session *session, uint64_t id);
/** One of those two. */
void hawser__outbox_put_frame(struct hawser__session *session, struct hawser__outbox *outbox,
			      struct hawser__chunk *frame);

/** Takes back what waits: the next thing that is put goes first. */
void hawser__outbox_drop(struct hawser__session *session, struct hawser__outbox *outbox);

/** The peer takes so many bytes more. 0, or -EBADMSG: too many. */
int hawser__outbox_open_window(struct hawser__session *session, struct hawser__outbox *outbox,
			       uint64_t bytes);
/** The window with which each call of this session begins is known now. Those whose calls have
 * filled a larger one are overdrawn. */
void hawser__outbox_set_windows(struct hawser__session *session, size_t window);

/** Gives pieces their turn, while the log has room. */
void hawser__session_fill_slow(struct hawser__session *session);
static inline void hawser__session_fill(struct hawser__session *session)
{
	if (!hawser__list_empty(&session->turns))
		hawser__session_fill_slow(session);
}

#endif /* HAWSER_WIRE_OUTBOX_H */
