/* Who makes the calls: asynchronous clients on one base, and threads that wait. */

#ifndef TESTS_SESSIONS_WORKERS_H
#define TESTS_SESSIONS_WORKERS_H

#include "task.h"
#include <event2/event.h>

struct work {
	const char *address;
	struct hawser_client_options options; /* without a base */
	struct mix mix;
	unsigned looped;    /* clients on the base … */
	unsigned in_flight; /* … each with so many calls at a time */
	unsigned threads;   /* two on a client */
	unsigned pause_ms;  /* after a call, on average */
	uint64_t seed;
	unsigned first; /* number of the first client */
	struct event_base *base;
	void (*ended)(void); /* on the base: a call has ended, or a thread */
};

/** Sums over clients. */
struct figures {
	unsigned long clients, connections, resumed, lost, retried, log_bytes, connected;
};

/* On the base. stop lets calls that run end by themselves; free when is_idle. Both may end the
 * program when something is missing that a test cannot do without. */

void looped_start(const struct work *work);
void looped_stop(void);
/** Every client has had an answer. */
bool looped_is_warm(void);
bool looped_is_idle(void);
void looped_free(struct figures *figures);

void threads_start(const struct work *work);
void threads_stop(void);
bool threads_are_warm(void);
bool threads_are_idle(void);
/** Cancels a call of some thread whose calls may be cancelled. */
void threads_disturb(struct chance *chance);
void threads_free(struct figures *figures);

/** Adds a client's numbers. */
void figures_add(struct figures *figures, struct hawser_client *client);

/** Ids of the calls of one of them begin here; no two use the same. */
static inline uint64_t worker_ids(unsigned number)
{
	return (uint64_t)(number + 1) << 24;
}

#endif /* TESTS_SESSIONS_WORKERS_H */
