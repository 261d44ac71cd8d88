/* The virtual network: lines between a client and the server, and all that can happen to them.
 *
 * A line has a pipe in each direction. A pipe holds so many bytes and no more, passes them on
 * late, in pieces and in order, like TCP. When a line is cut, a random part of what is on its way
 * still arrives, and the two ends notice by themselves: soon, late, or never but by silence. Most
 * cuts are made at a byte, not at a time, so that every byte of every frame has its turn. */

#ifndef HAWSER_TESTS_SIM_NETWORK_H
#define HAWSER_TESTS_SIM_NETWORK_H

#include "agenda.h"
#include "chance.h"
#include "util/list.h"
#include <stdint.h>
#include <sys/uio.h>

enum { PIPE_BYTES = 64 * 1024, PIPE_SEGMENTS = 64 };

/** How bad it is at present. Times in microseconds, chances in percent. */
struct weather {
	uint64_t latency_us, jitter_us;
	uint64_t life_us;   /* a line is cut at some time up to this one */
	uint64_t cut_bytes; /* or after so many bytes at most */
	uint64_t stall_us;
	uint32_t capacity;         /* of a pipe; a power of two */
	unsigned chop, stall, far; /* writes taken in part, that stand still; very slow lines */
	unsigned noticed;          /* ends that a cut is told to */
};

struct segment {
	uint64_t until, due_us;
};

struct pipe {
	uint8_t ring[PIPE_BYTES];
	struct segment segments[PIPE_SEGMENTS];
	unsigned first, count;
	uint64_t sent, arrived, taken; /* bytes since its beginning */
	uint64_t cut_after;            /* the line is cut with this byte */
	uint64_t lost_from;            /* from this byte on nothing arrives */
	uint64_t last_due_us;
	bool is_ended; /* its writer closed */
	struct timer arrival;
};

/** What an end of a line is told. Each may close its side. */
struct side_ops {
	void (*readable)(void *owner);
	void (*writable)(void *owner);
	/* The line is known to be cut. */
	void (*broken)(void *owner);
};

/** One end's view of a line: what a socket is to a program. */
struct side {
	struct line *line;
	const struct side_ops *ops;
	void *owner;
	bool is_closed, wants_write;
	struct pipe out;
	struct timer wake, notice;
};

enum { AT_CLIENT, AT_SERVER };

struct line {
	struct network *network;
	struct side sides[2];
	uint64_t latency_us;
	bool is_cut;
	bool was_open;     /* an end has begun a session on it, or gone on with one */
	bool is_ghost;     /* no client is behind it, only a copy of what one once sent */
	bool is_forged;    /* and the copy was tampered with, to be let in */
	bool is_lying;     /* or to claim what cannot be */
	unsigned identity; /* who the server takes the client for */
	struct timer end;
	struct hawser__list lines;
};

struct network {
	struct agenda *agenda;
	struct chance *chance;
	struct weather weather;
	bool is_calm;
	uint64_t down_until_us; /* no line comes about before */
	uint64_t disconnections, attempts;
	struct hawser__list lines, unused;
	/* The first bytes of a new line have come to the server. */
	void (*accept)(void *owner, struct side *side);
	void *owner;
};

void network_init(struct network *network, struct agenda *agenda, struct chance *chance);
/** All lines must be closed. */
void network_deinit(struct network *network);

/** A new line; returns the client's side, which is to be given to someone. */
struct side *network_connect(struct network *network);
/** Cuts all that there are. */
void network_cut_all(struct network *network);
/** From now on lines break, in the weather that is set. */
void network_storm(struct network *network);
/** From now on lines break no more, but those that did remain broken. */
void network_calm(struct network *network);

static inline struct side *side_other(struct side *side)
{
	return &side->line->sides[side == side->line->sides];
}

/** Takes as many of the bytes as it likes; calls `writable` later unless those were all. */
size_t side_write(struct side *side, const struct iovec *iov, int count);
size_t side_read(struct side *side, uint8_t *to, size_t max);
/** The other end closed, and all that it sent was read. */
bool side_is_finished(struct side *side);
/** The owner hears no more of it. What it sent still arrives, then the end. */
void side_close(struct side *side);
/** Another one reads from now on. */
void side_give(struct side *side, const struct side_ops *ops, void *owner);

void line_cut(struct line *line);

#endif /* HAWSER_TESTS_SIM_NETWORK_H */
