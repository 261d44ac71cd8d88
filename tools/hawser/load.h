/* The load generator: many calls of hawser.bench.Echo on one event loop.
 *
 * Closed loop (rate 0): each connection keeps `depth` calls in flight. Open
 * loop: calls are sent when they are due (schedule.h), `depth` only bounds how
 * many may be in flight. Every reply is compared with its request. */

#ifndef HAWSER_TOOL_LOAD_H
#define HAWSER_TOOL_LOAD_H

#include "histogram.h"
#include <hawser/hawser.h>

enum { LOAD_STATUSES = HAWSER_UNAUTHENTICATED + 1 };

/** What happened so far, each second. */
struct load_progress {
	unsigned opened;            /* connections that are ready */
	double elapsed_s;           /* since all of them are; 0 before */
	double calls_per_s, p99_ns; /* of the last second */
	uint64_t failed;
};

typedef void load_progress_fn(const struct load_progress *progress, void *data);

struct load_options {
	const char *address;
	unsigned connections, depth;
	size_t size_bytes;
	double rate;
	double duration_s;
	unsigned timeout_ms;
	load_progress_fn *progress; /* may be NULL */
	void *data;
};

struct load_failures {
	uint64_t calls;
	char first[HAWSER_ERROR_MESSAGE_SIZE];
};

struct load_result {
	double elapsed_s;       /* the time in which calls were started */
	uint64_t calls;         /* that succeeded */
	uint64_t calls_in_time; /* of those, before elapsed_s was over */
	uint64_t failed;
	struct load_failures failures[LOAD_STATUSES]; /* by status */
	uint64_t unsent; /* due in the open loop, but every connection had `depth` in flight */
	bool interrupted;
	char server[128];
	struct histogram latency_ns; /* of the calls that succeeded */
};

/**
 * Opens the connections, runs the load, waits for the calls in flight. SIGINT or
 * SIGTERM end it early. Returns 0 and the result, also when calls failed; or a
 * negative errno when it could not begin: the first call on a connection failed.
 */
int load_run(const struct load_options *options, struct load_result *result,
	     struct hawser_error *error);

#endif /* HAWSER_TOOL_LOAD_H */
