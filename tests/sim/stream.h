/* The messages of a call in one direction: whoever sends them, and whoever takes them. The same for
 * callers and callees, for streams and for a single large request or reply.
 *
 * A sender does what the runtime does: what is small, and has nothing of its call before it, goes
 * into the log; all else into the outbox. A receiver puts messages together, may stop taking them
 * for a while, and lets its peer send more as it takes them. Both keep books of their own about
 * the window, which the real ones must agree with. */

#ifndef HAWSER_TESTS_SIM_STREAM_H
#define HAWSER_TESTS_SIM_STREAM_H

#include "agenda.h"
#include "payload.h"
#include "wire/frame.h"
#include "wire/window.h"
#include <stdbool.h>

struct call;
struct end;
struct hawser__outbox;

enum { MESSAGES_MAX = 64 };

struct sender {
	struct end *end;
	struct call *call;
	enum part part;
	struct hawser__outbox *outbox; /* NULL: none, or not its own any more */
	unsigned put;                  /* messages */
	bool has_said_last;
	uint64_t opened, spent; /* the peer opened the window by this much; this much was used */
};

/** Of a call that sends messages of this part, none so far. */
void sender_init(struct sender *sender, struct end *end, struct call *call, enum part part);
/** Drops what waits. */
void sender_free(struct sender *sender);
/** Whether a message would go into the log now. */
bool sender_is_open(const struct sender *sender);
/** The next message; `is_announced`: the call told its size. */
void sender_put(struct sender *sender, bool is_announced);
/** No message follows. */
void sender_put_last(struct sender *sender);
/** The end of the call, behind all messages; the outbox is left. */
void sender_put_end(struct sender *sender, uint32_t status, uint32_t outcome, const uint8_t *extra,
		    size_t extra_length);
/** The peer takes more. */
void sender_window(struct sender *sender, uint64_t bytes);
/** So much of the window was used by what waited. */
void sender_spent(struct sender *sender, size_t bytes);

struct receiver {
	struct end *end;
	struct call *call;
	enum part part;
	bool is_single; /* one message, which is taken as it comes */
	bool is_closed; /* nobody wants it any more */
	bool has_last_come;
	struct hawser__window window;
	uint64_t came, told; /* bytes of window */
	unsigned index;      /* of the message that comes, or comes next */
	bool is_coming;
	size_t size, received, cost;  /* of that */
	size_t waiting[MESSAGES_MAX]; /* what messages cost that have come and were not taken */
	unsigned n_waiting;
	struct timer go_on;                       /* set: it takes nothing until then */
	void (*taken)(struct receiver *receiver); /* what had waited was taken; may be NULL */
};

void receiver_init(struct receiver *receiver, struct end *end, struct call *call, enum part part,
		   size_t window, bool is_single);
/** It takes nothing any more; what still comes is checked all the same. */
void receiver_close(struct receiver *receiver);
/** The call told the size of its one message. */
void receiver_announce(struct receiver *receiver, size_t size);
/** A message frame came. */
void receiver_take(struct receiver *receiver, const struct hawser__frame *frame);
/** All that came was taken. */
static inline bool receiver_is_idle(const struct receiver *receiver)
{
	return !receiver->is_coming && !receiver->n_waiting;
}

#endif /* HAWSER_TESTS_SIM_STREAM_H */
