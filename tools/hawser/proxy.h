/* The proxy as a whole: what its parts share.
 *
 *     proxy.c           command line, accepting, beginning and end
 *     proxy_relay.c     one connection: connecting on, its plan, its cuts
 *     proxy_end.c       one socket of a connection, and the ways to part with it
 *     proxy_flow.c      one direction of a connection: bytes, and what befalls them
 *     proxy_faults.c    what is to befall them, and when
 *     proxy_control.c   lines from standard input and the control socket
 *     proxy_commands.c  what the lines may say
 *
 * All of it runs on one thread and one event_base. */

#ifndef HAWSER_TOOL_PROXY_H
#define HAWSER_TOOL_PROXY_H

#include "proxy_faults.h"
#include "proxy_socket.h"
#include <event2/event.h>
#include <stdio.h>

enum { PROXY_SCRATCH_BYTES = 65536 };

struct relay;

struct statistics {
	uint64_t accepted, black_holed, refused_by_target, over_limit;
	uint64_t bytes[DIRECTIONS]; /* that were forwarded */
	uint64_t cuts[CUT_KINDS], mid_frame;
	uint64_t stalls, corrupted;
};

struct proxy {
	struct event_base *base;
	struct faults faults;
	struct statistics statistics;
	struct listener listener;
	struct event *acceptor; /* NULL while it refuses */
	struct addrinfo *target;
	const char *target_text;
	size_t buffer_bytes, max_connections;
	bool limit_is_of_files; /* lowered to what the system lets this process open */
	bool black_hole, quiet, verbose;
	uint64_t stalled_until_ns[DIRECTIONS]; /* by command, for all connections */
	struct relay *relays;
	size_t n_relays;
	uint64_t warned_ns;
	uint8_t *scratch; /* what every socket is read into */
};

/** Stops listening, or listens again. Returns 0 or a negative errno; then nothing has changed. */
int proxy_refuse(struct proxy *proxy, bool refuse, struct hawser_error *error);

/** Prints one figure a line. */
void proxy_print_statistics(const struct proxy *proxy, FILE *file);

/** Says on stderr what stands in the way; at most once a second, and not with --quiet. */
void proxy_warn(struct proxy *proxy, const char *format, ...) HAWSER_PRINTF(2, 3);

#endif /* HAWSER_TOOL_PROXY_H */
