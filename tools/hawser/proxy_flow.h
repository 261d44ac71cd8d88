/* One direction of a connection: bytes come from one end, wait in a queue, and go
 * to the other. All that is done to bytes is done here.
 *
 * Reading stops while the queue is full, which the sender's system sees as a peer
 * that does not read. The end of the stream waits in line behind the bytes. */

#ifndef HAWSER_TOOL_PROXY_FLOW_H
#define HAWSER_TOOL_PROXY_FLOW_H

#include "proxy_end.h"
#include "proxy_faults.h"
#include "proxy_frames.h"
#include "proxy_queue.h"

struct flow {
	struct relay *relay;
	enum direction direction;
	struct end *from, *to;
	struct queue queue;
	struct event wake;    /* for what is due later */
	struct frames frames; /* of what was forwarded */
	struct dice delays, corruption, points;
	uint64_t corrupt_gap; /* bytes to read until the next that is changed */
	uint64_t due_ns;      /* of the bytes that were read last, or of the end */
	uint64_t stalled_until_ns, paced_until_ns;
	uint64_t forwarded;
	uint64_t part_left; /* of a frame that is to be cut */
	bool has_ended, by_reset;
	bool is_shut; /* nothing more is sent to `to` */
};

/** Sets up the flow between the ends of `relay`, which need not be open yet. */
void flow_init(struct flow *flow, struct relay *relay, enum direction direction);

/** Reads from its source, which is readable. */
void flow_read(struct flow *flow);

/** Forwards what may leave now, and sees to it that it is called again for the rest. */
void flow_pump(struct flow *flow);

/** The shape of its direction has changed. */
void flow_reshape(struct flow *flow);

/** Drops what waits; nothing comes or goes any more. */
void flow_stop(struct flow *flow);

#endif /* HAWSER_TOOL_PROXY_FLOW_H */
