/* A loop: one thread's event_base and what all its connections share.
 *
 * Sharing is what keeps a connection small and a call cheap: one read buffer,
 * one pool of chunks, one wheel of deadlines behind one timer, one clock reading
 * per wake-up. Work from other threads comes in through posts, the only part
 * with a lock. Writes are put off until the loop has nothing else to do, so that
 * many replies leave in one system call.
 *
 * A blocking client has no event_base: its loop is bare, and its threads
 * receive, watch the time and run the posts themselves. Whoever holds the client's lock has entered
 * the loop, and is for that time its thread. */

#ifndef HAWSER_NET_LOOP_H
#define HAWSER_NET_LOOP_H

#include "util/buffer.h"
#include "util/list.h"
#include "util/wheel.h"
#include <event2/event.h>
#include <event2/event_struct.h>
#include <hawser/status.h>
#include <pthread.h>

/* What one receive takes at most; larger messages are received where they stay. */
enum { HAWSER__READ_BYTES = 64 * 1024 };

struct hawser__blocks;
struct hawser__loop;

/** Work for the loop's thread. `run` may free the post. */
struct hawser__post {
	struct hawser__post *next;
	void (*run)(struct hawser__loop *loop, struct hawser__post *post);
};

/** Something that wants to write before the loop sleeps. */
struct hawser__deferred {
	struct hawser__list link;
	void (*run)(struct hawser__deferred *deferred);
};

/** A deadline in the loop's wheel. */
struct hawser__alarm {
	struct hawser__timer timer;
	void (*run)(struct hawser__alarm *alarm);
};

struct hawser__loop {
	struct hawser__list link; /* the shared loops */
	unsigned shares, fork_generation;
	struct event_base *base; /* NULL: bare */
	bool owns_base;
	pthread_t thread;              /* whoever runs the base */
	_Atomic(const void *) entered; /* bare: the thread that has entered it; NULL: none */
	/* Bare, and watched: something was posted, or an alarm set that is due before the others.
	 */
	void (*stir)(void *data);
	void *stir_data;
	uint64_t now_ms;  /* CLOCK_MONOTONIC at the last wake-up */
	uint8_t *scratch; /* HAWSER__READ_BYTES, for one receive at a time */
	struct hawser__pool pool;
	struct hawser__blocks *blocks; /* block.h; NULL: none yet */

	struct hawser__wheel *wheel;
	struct event alarm_event;
	uint64_t armed_ms; /* when alarm_event fires; UINT64_MAX: it does not */

	struct hawser__list deferred;
	struct event deferred_event;
	bool deferred_active;

	pthread_mutex_t post_lock;
	struct hawser__post *posts, **posts_end;
	bool closed; /* takes no more posts */
	int wake_fd;
	struct event wake_event;
};

/** On `base`, borrowed; or NULL: on a base of its own. 0 or a negative errno. */
int hawser__loop_init(struct hawser__loop *loop, struct event_base *base);
/**
 * The one loop that all clients on `base` share, made by the first; NULL without memory or
 * descriptors, with errno set. Each must be given back with hawser__loop_unshare().
 */
struct hawser__loop *hawser__loop_share(struct event_base *base);
void hawser__loop_unshare(struct hawser__loop *loop);
/** Without an event_base: only the clock, the buffers and the pool. 0 or -ENOMEM. */
int hawser__loop_init_bare(struct hawser__loop *loop);
/**
 * Gives a bare loop alarms, and someone who is told of posts and alarms: `stir` may run on any
 * thread, for alarms on the one that has entered. 0 or -ENOMEM.
 */
int hawser__loop_watch_bare(struct hawser__loop *loop, void (*stir)(void *data), void *data);
/** The calling thread runs a bare loop from now on, or not any more. */
void hawser__loop_enter(struct hawser__loop *loop);
void hawser__loop_leave(struct hawser__loop *loop);
/** Runs what was put off, and posts, until there is nothing left. On a bare loop its user does. */
void hawser__loop_run_deferred(struct hawser__loop *loop);
/** Runs the alarms that are due; returns when the next one is, UINT64_MAX: never. On a bare loop
 * its user does. */
uint64_t hawser__loop_run_alarms(struct hawser__loop *loop);
/** Runs the posts that are left, then frees everything. */
void hawser__loop_deinit(struct hawser__loop *loop);

/** Whether the calling thread is the one that runs this loop. */
bool hawser__loop_is_here(const struct hawser__loop *loop);
/** The calling thread runs it from now on. */
void hawser__loop_adopt(struct hawser__loop *loop);

/** Reads the clock into now_ms, once per wake-up. */
uint64_t hawser__loop_update_now(struct hawser__loop *loop);
/** Milliseconds of CLOCK_MONOTONIC, read now. */
uint64_t hawser__now_ms(void);
/** Microseconds of the same. */
uint64_t hawser__now_us(void);

/** Any thread. The post must stay valid until it has run. Returns 0, or -EPIPE when the loop has
 * ended. */
int hawser__loop_post(struct hawser__loop *loop, struct hawser__post *post);

/** Wakes whoever waits for wake_fd. Any thread, while the loop lives. */
void hawser__loop_wake(struct hawser__loop *loop);
/** Resets wake_fd and runs what was posted. On a bare loop its user calls it. */
void hawser__loop_run_posts(struct hawser__loop *loop);

/** Runs it once before the loop sleeps. The loop's thread. */
void hawser__loop_defer(struct hawser__loop *loop, struct hawser__deferred *deferred);

/** Sets or moves an alarm. The loop's thread; on a bare loop that nobody watches it does nothing.
 */
void hawser__loop_set_alarm(struct hawser__loop *loop, struct hawser__alarm *alarm,
			    uint64_t due_ms);
void hawser__loop_clear_alarm(struct hawser__loop *loop, struct hawser__alarm *alarm);
static inline void hawser__alarm_init(struct hawser__alarm *alarm,
				      void (*run)(struct hawser__alarm *alarm))
{
	hawser__timer_init(&alarm->timer);
	alarm->run = run;
}

#endif /* HAWSER_NET_LOOP_H */
