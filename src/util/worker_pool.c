/* The threads and their queue; worker_pool.h gives the idea. */

#include "util/worker_pool.h"

#include "util/alloc.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { NAME_SIZE = 16 }; /* what the kernel keeps */

struct worker {
	struct hawser__list link; /* in the stack of those that are idle, or that have ended */
	struct hawser__worker_pool *pool;
	pthread_t thread;
	/* Work has come, or the end. It stays as long as the pool, for whoever signals late. */
	pthread_cond_t work;
	unsigned number;
};

struct hawser__worker_pool {
	struct hawser__worker_pool_setup setup;
	char name[HAWSER__POOL_NAME_MAX + 1];
	pthread_mutex_t lock;
	pthread_cond_t gone; /* a thread is */
	struct hawser__list queue;
	struct hawser__list idle;  /* who came last is first */
	struct worker *ended;      /* is ending, and to be joined by whoever comes next */
	struct hawser__list spare; /* joined: to be started again */
	unsigned n_running;        /* jobs */
	unsigned n_queued, n_idle, n_threads;
	bool is_waking; /* a thread has been called, and has not come yet */
	unsigned next_number;
	bool is_closed;
	struct hawser__worker_pool_stats stats;
};

/* ---- a thread ---- */

static int call_thread(struct hawser__worker_pool *pool, struct worker **called);
static void signal_thread(struct worker *called);

/* With the lock, which is given up meanwhile. */
static void work(struct hawser__worker_pool *pool)
{
	struct hawser__job *job = hawser__container_of(pool->queue.next, struct hawser__job, link);
	struct hawser__worker_pool_stats *stats = &pool->stats;
	uint64_t begun_us = pool->setup.now_us(), took_us;
	struct worker *called = NULL;

	hawser__list_unlink(&job->link);
	pool->n_queued--;
	pool->n_running++;
	/* Perhaps this job takes its time: somebody else is to see to the next. */
	if (pool->n_queued)
		call_thread(pool, &called);
	took_us = begun_us > job->queued_us ? begun_us - job->queued_us : 0;
	stats->begun++;
	stats->queue_us += took_us;
	if (took_us > stats->max_queue_us)
		stats->max_queue_us = took_us;
	pthread_mutex_unlock(&pool->lock);
	signal_thread(called);
	job->run(job);
	took_us = pool->setup.now_us() - begun_us;
	pthread_mutex_lock(&pool->lock);
	pool->n_running--;
	stats->done++;
	stats->run_us += took_us;
	if (took_us > stats->max_run_us)
		stats->max_run_us = took_us;
}

/* With the lock. False: nothing came for long enough. */
static bool wait_for_work(struct hawser__worker_pool *pool, struct worker *worker)
{
	uint64_t until_us = pool->setup.now_us() + pool->setup.idle_ms * 1000ull;
	struct timespec until = {(time_t)(until_us / 1000000), (long)(until_us % 1000000 * 1000)};
	int r = 0;

	hawser__list_append(pool->idle.next, &worker->link); /* to the front */
	pool->n_idle++;
	/* Whoever has work takes it off the list. */
	while (!hawser__list_empty(&worker->link) && !pool->is_closed && r == 0)
		r = pthread_cond_timedwait(&worker->work, &pool->lock, &until);
	if (hawser__list_empty(&worker->link)) {
		pool->is_waking = false;
		return true;
	}
	hawser__list_unlink(&worker->link);
	pool->n_idle--;
	return false;
}

/* Without the lock. */
static void join(struct hawser__worker_pool *pool, struct worker *worker)
{
	if (!worker)
		return;
	pthread_join(worker->thread, NULL);
	pthread_mutex_lock(&pool->lock);
	hawser__list_append(&pool->spare, &worker->link);
	pthread_mutex_unlock(&pool->lock);
}

static void *worker_main(void *data)
{
	struct worker *worker = data, *before;
	struct hawser__worker_pool *pool = worker->pool;
	char name[NAME_SIZE];

	snprintf(name, sizeof name, "%s-%u", pool->name, worker->number);
	pthread_setname_np(pthread_self(), name);
	pthread_mutex_lock(&pool->lock);
	pool->is_waking = false;
	for (;;) {
		while (!hawser__list_empty(&pool->queue))
			work(pool);
		/* Something may have come at the last moment. */
		if (!wait_for_work(pool, worker) && hawser__list_empty(&pool->queue))
			break;
	}
	/* Each joins the one that ended before it, and whoever frees the pool joins the last. */
	before = pool->ended;
	pool->ended = worker;
	pool->n_threads--;
	pthread_cond_signal(&pool->gone);
	pthread_mutex_unlock(&pool->lock);
	join(pool, before);
	return NULL;
}

static struct worker *worker_new(struct hawser__worker_pool *pool)
{
	struct worker *worker = hawser__malloc(sizeof *worker);
	pthread_condattr_t attributes;

	if (!worker)
		return NULL;
	hawser__list_init(&worker->link);
	worker->pool = pool;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&worker->work, &attributes);
	pthread_condattr_destroy(&attributes);
	return worker;
}

/* With the lock. 0 or -EAGAIN. */
static int start_thread(struct hawser__worker_pool *pool)
{
	struct worker *worker;
	sigset_t all, before;
	int r;

	if (hawser__list_empty(&pool->spare)) {
		worker = worker_new(pool);
		if (!worker)
			return -EAGAIN;
	} else {
		worker = hawser__container_of(pool->spare.next, struct worker, link);
		hawser__list_unlink(&worker->link);
	}
	worker->number = ++pool->next_number;
	/* Signals are for the program's own threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&worker->thread, NULL, worker_main, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r != 0) {
		hawser__list_append(&pool->spare, &worker->link);
		return -EAGAIN;
	}
	pool->n_threads++;
	return 0;
}

/* With the lock: somebody to take what waits; *called is to be signalled without it. One at a time,
 * for each that comes calls the next if there is need: so work that is short does not wake more
 * threads than it keeps busy. 0 or -EAGAIN. */
static int call_thread(struct hawser__worker_pool *pool, struct worker **called)
{
	struct worker *worker;

	if (pool->is_waking)
		return 0;
	if (!hawser__list_empty(&pool->idle)) {
		worker = hawser__container_of(pool->idle.next, struct worker, link);
		hawser__list_unlink(&worker->link);
		pool->n_idle--;
		pool->is_waking = true;
		*called = worker;
		return 0;
	}
	if (pool->n_threads == pool->setup.max_threads)
		return 0;
	if (start_thread(pool) == 0)
		pool->is_waking = true;
	return pool->n_threads ? 0 : -EAGAIN;
}

static void signal_thread(struct worker *called)
{
	if (called)
		pthread_cond_signal(&called->work);
}

/* ---- the pool ---- */

struct hawser__worker_pool *hawser__worker_pool_new(const struct hawser__worker_pool_setup *setup)
{
	struct hawser__worker_pool *pool = hawser__calloc(1, sizeof *pool);

	if (!pool)
		return NULL;
	pool->setup = *setup;
	snprintf(pool->name, sizeof pool->name, "%s", setup->name);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->gone, NULL);
	hawser__list_init(&pool->queue);
	hawser__list_init(&pool->idle);
	hawser__list_init(&pool->spare);
	return pool;
}

void hawser__worker_pool_free(struct hawser__worker_pool *pool)
{
	struct hawser__list *link;
	struct worker *worker;

	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->is_closed = true;
	list_for_each (link, &pool->idle)
		pthread_cond_signal(&hawser__container_of(link, struct worker, link)->work);
	/* Each joins the one before it, and has let go of the lock for good when it is joined. */
	while (pool->n_threads || pool->ended) {
		worker = pool->ended;
		pool->ended = NULL;
		if (worker) {
			pthread_mutex_unlock(&pool->lock);
			join(pool, worker);
			pthread_mutex_lock(&pool->lock);
		} else {
			pthread_cond_wait(&pool->gone, &pool->lock);
		}
	}
	pthread_mutex_unlock(&pool->lock);
	while (!hawser__list_empty(&pool->spare)) {
		worker = hawser__container_of(pool->spare.next, struct worker, link);
		hawser__list_unlink(&worker->link);
		pthread_cond_destroy(&worker->work);
		free(worker);
	}
	pthread_mutex_destroy(&pool->lock);
	pthread_cond_destroy(&pool->gone);
	free(pool);
}

void hawser__job_init(struct hawser__job *job, void (*run)(struct hawser__job *job))
{
	hawser__list_init(&job->link);
	job->run = run;
}

int hawser__worker_pool_submit(struct hawser__worker_pool *pool, struct hawser__job *job,
			       bool is_owed)
{
	const struct hawser__worker_pool_setup *setup = &pool->setup;
	struct worker *called = NULL;
	int r = 0;

	job->queued_us = setup->now_us();
	pthread_mutex_lock(&pool->lock);
	/* As if every job that a thread could take had one already. */
	if (!is_owed && (uint64_t)pool->n_running + pool->n_queued >=
				(uint64_t)setup->max_threads + setup->max_queued)
		r = -EBUSY;
	if (r == 0) {
		hawser__list_append(&pool->queue, &job->link);
		pool->n_queued++;
		r = call_thread(pool, &called);
		if (r < 0) {
			hawser__list_unlink(&job->link);
			pool->n_queued--;
		}
	}
	pthread_mutex_unlock(&pool->lock);
	signal_thread(called);
	return r;
}

bool hawser__worker_pool_take_back(struct hawser__worker_pool *pool, struct hawser__job *job)
{
	bool is_there;

	pthread_mutex_lock(&pool->lock);
	is_there = !hawser__list_empty(&job->link);
	if (is_there) {
		hawser__list_unlink(&job->link);
		pool->n_queued--;
	}
	pthread_mutex_unlock(&pool->lock);
	return is_there;
}

void hawser__worker_pool_get_stats(struct hawser__worker_pool *pool,
				   struct hawser__worker_pool_stats *stats)
{
	pthread_mutex_lock(&pool->lock);
	*stats = pool->stats;
	stats->threads = pool->n_threads;
	stats->idle = pool->n_idle;
	stats->queued = pool->n_queued;
	pthread_mutex_unlock(&pool->lock);
}
