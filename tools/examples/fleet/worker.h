/* One remote: a client that serves.
 *
 * It opens the connection, and from then on either end calls the other on it. The library opens it
 * again when it breaks, and when central was started anew. What is left to the worker is to
 * work, to report, to finish its jobs before it goes, and to end when central is not heard of any
 * more. All of its life is on one event_base, which many workers may share. */

#ifndef WORKER_H
#define WORKER_H

#include <event2/event.h>
#include <hawser/hawser.h>

/** How a worker ends; the program's exit status. */
enum worker_end {
	ENDED_WELL = 0,  /**< it was told to go, and has finished its jobs */
	ENDED_ALONE = 3, /**< nothing was heard of central for too long */
};

struct worker;

struct worker_settings {
	struct event_base *base;
	const char *central; /* its address */
	const char *listens; /* an address to listen on as well; NULL: none */
	const struct hawser_label *labels;
	size_t n_labels;
	unsigned work_ms;      /* how long a job takes */
	unsigned jobs_most;    /* at a time */
	unsigned report_ms;    /* how often to report; 0: only once */
	unsigned heartbeat_ms; /* how often central is asked whether it is there */
	unsigned alone_ms;     /* without a sign of life of central */
};

/** A worker has ended. It frees itself when this returns. */
typedef void worker_ended_fn(struct worker *worker, enum worker_end how, void *data);

/**
 * Starts one. The settings are borrowed until it has ended. On failure NULL, and the error tells
 * why.
 */
struct worker *worker_start(const struct worker_settings *settings, const char *name,
			    worker_ended_fn *ended, void *data, struct hawser_error *error);

/** It takes no more jobs, finishes those that it has, and ends. */
void worker_leave(struct worker *worker);

/** Ends it here and now, without `ended`; jobs that run are given up. */
void worker_free(struct worker *worker);

#endif /* WORKER_H */
