/* Threads for work that may block, and a bounded queue in front of them.
 *
 * Threads are started when work comes and none is idle, up to a most; one that has had nothing to
 * do for a while ends, so a pool that is not used is a struct and no thread. Of those that are idle
 * the one that worked last works next: its caches are warm, and the others get to end. Work is
 * begun in the order in which it came. Knows nothing of calls or loops, and takes its clock from
 * whoever makes it. */

#ifndef HAWSER_UTIL_WORKER_POOL_H
#define HAWSER_UTIL_WORKER_POOL_H

#include "util/list.h"
#include <stdbool.h>
#include <stdint.h>

struct hawser__worker_pool;

/** One piece of work, its owner's. */
struct hawser__job {
	struct hawser__list link; /* the pool's */
	uint64_t queued_us;
	/** On a thread of the pool; may free the job, or submit it again. */
	void (*run)(struct hawser__job *job);
};

struct hawser__worker_pool_setup {
	/** Of the threads, a number behind it: "NAME-1". Linux shows 15 bytes of that. Copied. */
	const char *name;
	unsigned max_threads; /**< at least 1 */
	unsigned max_queued;  /**< jobs that wait for a thread */
	unsigned idle_ms;     /**< after which a thread ends */
	/** Microseconds of CLOCK_MONOTONIC. */
	uint64_t (*now_us)(void);
};

enum { HAWSER__POOL_NAME_MAX = 11 }; /* leaves room for the number */

/** What happened so far, and what is there now. */
struct hawser__worker_pool_stats {
	unsigned threads, idle; /**< now */
	unsigned queued;        /**< now */
	uint64_t begun;         /**< jobs that a thread took */
	uint64_t queue_us;      /**< that those waited, in all */
	uint64_t max_queue_us;  /**< the longest wait */
	uint64_t done;          /**< jobs that were through */
	uint64_t run_us;        /**< that those took, in all */
	uint64_t max_run_us;    /**< the longest of them */
};

/** Without a thread yet; NULL without memory. */
struct hawser__worker_pool *hawser__worker_pool_new(const struct hawser__worker_pool_setup *setup);
/** Does what waits, waits for what runs, ends the threads. Not on one of them. NULL is accepted. */
void hawser__worker_pool_free(struct hawser__worker_pool *pool);

/** Before the job is submitted first. */
void hawser__job_init(struct hawser__job *job, void (*run)(struct hawser__job *job));

/**
 * Hands in a job, which stays valid until it is run or taken back. With `is_owed` it is taken
 * however many wait: for the rest of work that has begun. Any thread. 0, -EBUSY (every thread works
 * and the queue is full) or -EAGAIN (no thread could be started, and there is none).
 */
int hawser__worker_pool_submit(struct hawser__worker_pool *pool, struct hawser__job *job,
			       bool is_owed);
/** Takes it out again. False: a thread has it, or has had it. Any thread. */
bool hawser__worker_pool_take_back(struct hawser__worker_pool *pool, struct hawser__job *job);

/** Any thread. */
void hawser__worker_pool_get_stats(struct hawser__worker_pool *pool,
				   struct hawser__worker_pool_stats *stats);

#endif /* HAWSER_UTIL_WORKER_POOL_H */
