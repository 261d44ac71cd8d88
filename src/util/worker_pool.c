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
	struct hawser__list link; /* in the stack of those that are idle */
	struct hawser__worker_pool *pool;
	pthread_t thread;
	pthread_cond_t work; /* has come, or the end */
	unsigned number;
};

struct hawser__worker_pool {
	struct hawser__worker_pool_setup setup;
	char name[HAWSER__POOL_NAME_MAX + 1];
	pthread_mutex_t lock;
	pthread_cond_t gone; /* a thread is */
	struct hawser__list queue;
	struct hawser__list idle; /* who came last is first */
	struct worker *ended;     /* is ending, and to be joined by whoever comes next */
	unsigned n_running;       /* jobs */
	unsigned n_queued, n_idle, n_threads;
	unsigned next_number;
	bool is_closed;
	struct hawser__worker_pool_stats stats;
};

/* ---- a thread ---- */

/* With the lock, which is given up meanwhile. */
static void work(struct hawser__worker_pool *pool)
{
	struct hawser__job *job = hawser__container_of(pool->queue.next, struct hawser__job, link);
	struct hawser__worker_pool_stats *stats = &pool->stats;
	uint64_t begun_us = pool->setup.now_us(), took_us;

	hawser__list_unlink(&job->link);
	pool->n_queued--;
	pool->n_running++;
	took_us = begun_us > job->queued_us ? begun_us - job->queued_us : 0;
	stats->begun++;
	stats->queue_us += took_us;
	if (took_us > stats->max_queue_us)
		stats->max_queue_us = took_us;
	pthread_mutex_unlock(&pool->lock);
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
	if (!hawser__list_empty(&worker->link)) {
		hawser__list_unlink(&worker->link);
		pool->n_idle--;
	}
	return !pool->is_closed && r == 0;
}

static void join(struct worker *worker)
{
	if (!worker)
		return;
	pthread_join(worker->thread, NULL);
	pthread_cond_destroy(&worker->work);
	free(worker);
}

static void *worker_main(void *data)
{
	struct worker *worker = data, *before;
	struct hawser__worker_pool *pool = worker->pool;
	char name[NAME_SIZE];

	snprintf(name, sizeof name, "%s-%u", pool->name, worker->number);
	pthread_setname_np(pthread_self(), name);
	pthread_mutex_lock(&pool->lock);
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
	join(before);
	return NULL;
}

/* With the lock. 0 or -EAGAIN. */
static int start_thread(struct hawser__worker_pool *pool)
{
	struct worker *worker = hawser__malloc(sizeof *worker);
	pthread_condattr_t attributes;
	sigset_t all, before;
	int r;

	if (!worker)
		return -EAGAIN;
	hawser__list_init(&worker->link);
	worker->pool = pool;
	worker->number = ++pool->next_number;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&worker->work, &attributes);
	pthread_condattr_destroy(&attributes);
	/* Signals are for the program's own threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&worker->thread, NULL, worker_main, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0) {
		pool->n_threads++;
		return 0;
	}
	pthread_cond_destroy(&worker->work);
	free(worker);
	return -EAGAIN;
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
	return pool;
}

void hawser__worker_pool_free(struct hawser__worker_pool *pool)
{
	struct hawser__list *link;

	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->is_closed = true;
	list_for_each (link, &pool->idle)
		pthread_cond_signal(&hawser__container_of(link, struct worker, link)->work);
	while (pool->n_threads)
		pthread_cond_wait(&pool->gone, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
	join(pool->ended);
	pthread_mutex_destroy(&pool->lock);
	pthread_cond_destroy(&pool->gone);
	free(pool);
}

void hawser__job_init(struct hawser__job *job, void (*run)(struct hawser__job *job))
{
	hawser__list_init(&job->link);
	job->run = run;
}

/* With the lock: somebody who will take what was just queued. */
static int find_hand(struct hawser__worker_pool *pool)
{
	struct worker *worker;

	if (!hawser__list_empty(&pool->idle)) {
		worker = hawser__container_of(pool->idle.next, struct worker, link);
		hawser__list_unlink(&worker->link);
		pool->n_idle--;
		pthread_cond_signal(&worker->work);
		return 0;
	}
	if (pool->n_threads < pool->setup.max_threads && start_thread(pool) < 0)
		return pool->n_threads ? 0 : -EAGAIN;
	return 0;
}

int hawser__worker_pool_submit(struct hawser__worker_pool *pool, struct hawser__job *job,
			       bool is_owed)
{
	const struct hawser__worker_pool_setup *setup = &pool->setup;
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
		r = find_hand(pool);
		if (r < 0) {
			hawser__list_unlink(&job->link);
			pool->n_queued--;
		}
	}
	pthread_mutex_unlock(&pool->lock);
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
