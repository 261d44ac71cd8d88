/* The outgoing frames of a session, from when they are queued until the peer has them.
 *
 * The log is the send buffer: a frame is appended once and stays where it is. A
 * cursor says what went to the present connection; frames leave at the front when the peer
 * acknowledges them. When the connection is lost the cursor goes back to the
 * front, and all that the peer may not have is written once more. Frames are
 * numbered by their order alone, and tell their own length, so there is no index. A frame's head
 * lies in one chunk; its payload may go on in the next.
 *
 * A log that is not kept (the connection carries no session) forgets each frame as soon
 * as it is written. Its numbers still tell what was sent and what was not. */

#ifndef HAWSER_WIRE_LOG_H
#define HAWSER_WIRE_LOG_H

#include "util/buffer.h"
#include <stdbool.h>

struct hawser__log {
	struct hawser__buffer frames;
	uint64_t last;      /* number of the frame that was appended last */
	uint64_t acked;     /* the peer has those up to this one: they are gone from `frames` */
	uint64_t claimed;   /* it says so up to this one, which may still be on its way */
	uint64_t written;   /* up to this one they went to the present connection */
	uint64_t sent;      /* begun to be written, to any connection: may have arrived */
	uint64_t restarted; /* `sent` when the present session began: its frame 0 */
	struct hawser__chunk *chunk; /* the cursor; NULL: at the front */
	size_t at;                   /* offset in chunk->data */
	size_t unwritten;            /* bytes behind the cursor */
	size_t partial;              /* of those, the rest of a frame that is on its way */
	bool is_kept;
};

void hawser__log_init(struct hawser__log *log, struct hawser__pool *pool);
void hawser__log_deinit(struct hawser__log *log);

/** A frame was put at the end of `frames`, of so many bytes with its prefix. */
static inline void hawser__log_grown(struct hawser__log *log, size_t length)
{
	log->last++;
	log->unwritten += length;
}

/** The same for one that lies in one chunk. Returns where it begins. */
uint8_t *hawser__log_appended(struct hawser__log *log, size_t length);

/** Up to `max` pieces of what is to be written next, at most `limit` bytes; returns how many. */
int hawser__log_peek(const struct hawser__log *log, struct iovec *iov, int max, size_t limit);
/** So many bytes of that were written. */
void hawser__log_wrote(struct hawser__log *log, size_t length);

/**
 * The peer has the first `count` frames of this session. 0, or -EBADMSG: it cannot have so
 * many.
 */
int hawser__log_ack(struct hawser__log *log, uint64_t count);

/** The connection is gone: all that is not acknowledged is to be written again. */
void hawser__log_rewind(struct hawser__log *log);
/**
 * On a new connection the peer says what it has; the cursor goes behind that. Rewound logs only. 0,
 * or -EBADMSG: its count cannot be.
 */
int hawser__log_resume(struct hawser__log *log, uint64_t count);
/**
 * There is no session to go on with: what was ever sent is forgotten, and the frames that never
 * were are the first of a new one. Rewound logs only.
 */
void hawser__log_restart(struct hawser__log *log);

/** Whether the peer may have seen that frame. */
static inline bool hawser__log_was_sent(const struct hawser__log *log, uint64_t number)
{
	return number <= log->sent;
}

#endif /* HAWSER_WIRE_LOG_H */
