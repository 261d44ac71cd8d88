/* One end of a session with its socket: what the runtime does around both alike.
 *
 * It reads what came and hands on the frames, writes what is queued as the line takes it,
 * lets outboxes have their turns, acknowledges at the end of a batch or a little later, keeps the
 * heart beating and finds out when the other one's has stopped. After each step it looks into the
 * session: the numbers of its log must fit each other, and what lies there. */

#ifndef HAWSER_TESTS_SIM_END_H
#define HAWSER_TESTS_SIM_END_H

#include "agenda.h"
#include "network.h"
#include "wire/session.h"

enum { MAX_PAYLOAD = 21000 };

struct world;
struct end;
struct sender;

struct end_ops {
	/**
	 * Deals with a frame; it is of `too_long` bytes if that is not 0, and its payload not
	 * there. Returns whether `end` is still there, with the same connection.
	 */
	bool (*frame)(struct end *end, const struct hawser__frame *frame, size_t too_long);
	/** All that came has been dealt with. */
	void (*settled)(struct end *end);
	/** The next frame about a call takes an acknowledgement along. */
	void (*urged)(struct end *end);
	/** The connection is of no use any more; it is still attached. */
	void (*lost)(struct end *end);
	/** What a departing end had to say is written. */
	void (*departed)(struct end *end);
	/** Who sends the messages of this call; NULL: nobody any more. */
	struct sender *(*sender)(struct end *end, uint64_t id);
	/** The session, which may be away, holds more than before. */
	void (*grown)(struct end *end);
};

struct end {
	struct world *world;
	const struct end_ops *ops;
	struct hawser__session session;
	struct hawser__pool pool;
	struct side *side; /* NULL: away */
	uint8_t *inbox;    /* the beginning of a frame */
	size_t length, room;
	size_t skip; /* of a frame that is too long */
	/* A message frame that is taken by its beginning. */
	struct hawser__frame straight;
	size_t straight_length, straight_left;
	uint8_t *straight_place;
	unsigned turns; /* that outboxes had, in one fill */
	unsigned most_outboxes;
	uint64_t heard_us, wrote_us;
	bool knows_windows; /* of the peer */
	bool is_paused;     /* it has so much to write that it does not read on */
	bool is_departing;  /* it reads no more, writes what it has, and is gone */
	struct timer ack, flush, pause, heart;
};

void end_init(struct end *end, struct world *world, const struct end_ops *ops, bool is_server);
void end_deinit(struct end *end);

/** It reads from this side and writes there from now on. */
void end_attach(struct end *end, struct side *side);
/** Closes the side; the session is not told. */
void end_detach(struct end *end);
/** The side is another's from now on. */
struct side *end_release(struct end *end);

/** The peer has told the window with which each call begins. */
void end_learn_windows(struct end *end, size_t window);

/** Something was queued: it is written now or a little later. */
void end_touch(struct end *end);
/** It is written as far as the line takes it. May call departed(). */
void end_flush(struct end *end);
/** Something was queued by a timer: the same, also when there is nobody to write to. */
void end_grown(struct end *end);
/** Bytes have come, or it may go on with those that it has: `end` reads what it can. */
void end_readable(void *end);
/** At the end of what came: the peer is told, now or a little later. */
void end_acknowledge(struct end *end);
/** Whether the log is so full that nothing more is to be put there. */
bool end_is_full(const struct end *end);
/** Fails unless the session is sound. */
void end_check(const struct end *end);

#endif /* HAWSER_TESTS_SIM_END_H */
