/* The receiver's half of flow control: how much each call's peer may send, and how much that
 * should be.
 *
 * A window is what the peer may still send on a call before some of it is taken. It is given back
 * in quarters, or a small one in halves, so that a frame about it is rare. How large it should be
 * the line itself tells: no smaller than what fits on it (bandwidth times round trip), or the
 * sender stands still; not much larger, or what is urgent waits behind what is queued. A ping among
 * the messages measures the rate, as in gRPC ("BDP estimation and dynamic flow control", 2017): the
 * bytes that come between it and its pong. A round trip tells nothing here, for behind a queue it
 * is the queue's. So a window twice as large is tried, and kept only if more comes through by it.
 */

#ifndef HAWSER_WIRE_WINDOW_H
#define HAWSER_WIRE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hawser__window {
	long long left; /* bytes that the peer may still send */
	size_t size;    /* what it may send at most when nothing of it is taken */
	size_t taken;   /* since it was last told */
};

void hawser__window_init(struct hawser__window *window, size_t size);
/** A frame came that takes so much of it. False: there was none left. */
bool hawser__window_use(struct hawser__window *window, size_t bytes);
/**
 * So much was taken, and the window should be `size` now; it shrinks by what is not given back.
 * Returns what to tell the peer; 0: nothing yet. Once it is told, call hawser__window_told().
 */
size_t hawser__window_take(struct hawser__window *window, size_t bytes, size_t size);
void hawser__window_told(struct hawser__window *window, size_t bytes);

/** What a line holds. */
struct hawser__line {
	size_t size, most;    /* what a window should be, and may be */
	uint64_t sent_us;     /* when the probe went; 0: none is on its way */
	uint64_t next_us;     /* not before this another one */
	uint64_t bytes;       /* that came since */
	unsigned n_samples;   /* with this size */
	uint64_t rate;        /* bytes a second: the highest of them */
	size_t size_before;   /* this one is a try; 0: it is not */
	uint64_t rate_before; /* with that size */
	uint64_t pause_us;    /* before the next try */
};

void hawser__line_init(struct hawser__line *line, size_t least, size_t most);
/** Bytes of messages came. Returns whether to probe now; then hawser__line_probe() says when. */
bool hawser__line_came(struct hawser__line *line, size_t bytes);
/** False: it is too early for another one. */
bool hawser__line_probe(struct hawser__line *line, uint64_t now_us);
/** The probe's pong came. */
void hawser__line_answered(struct hawser__line *line, uint64_t now_us);
/** The connection is gone, and a probe with it. */
void hawser__line_lost(struct hawser__line *line);

#endif /* HAWSER_WIRE_WINDOW_H */
