/* One socket of a connection: the client's or the target's.
 *
 * As long as bytes are relayed the two belong together. When the connection is
 * cut, each goes its own way: it is reset, or says goodbye and waits for the
 * answer, or falls silent until its peer gives up. */

#ifndef HAWSER_TOOL_PROXY_END_H
#define HAWSER_TOOL_PROXY_END_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>

struct relay;

struct end {
	struct relay *relay;
	int fd; /* -1: not open yet, or closed */
	struct event readable, writable;
	bool has_ended; /* the peer has, in its direction */
	bool is_reset;  /* a send found out; the next read takes the end for what it is */
};

/** Takes over the socket. The events are not added. */
void end_open(struct end *end, struct relay *relay, int fd);

/** Closes it, if it is open. */
void end_close(struct end *end);

/** Closes it so that the peer sees a reset. */
void end_reset(struct end *end);

/** Tells the peer that this is the end, drops what it still says, closes when it ends too. */
void end_finish(struct end *end);

/** Neither reads nor writes any more; closes when the peer has gone. */
void end_silence(struct end *end);

#endif /* HAWSER_TOOL_PROXY_END_H */
