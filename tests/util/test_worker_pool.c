/* Threads that come when there is work, take it in order, and go when there is none. */

#include "support/failing_alloc.h"
#include "support/suite.h"
#include "util/worker_pool.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { JOBS = 100 };

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static struct hawser__worker_pool *make(unsigned threads, unsigned queued, unsigned idle_ms)
{
	struct hawser__worker_pool *pool = hawser__worker_pool_new(
		&(struct hawser__worker_pool_setup){"test", threads, queued, idle_ms, now_us});

	ck_assert_ptr_nonnull(pool);
	return pool;
}

static struct hawser__worker_pool_stats stats_of(struct hawser__worker_pool *pool)
{
	struct hawser__worker_pool_stats stats;

	hawser__worker_pool_get_stats(pool, &stats);
	return stats;
}

/* ---- jobs that the test lets end ---- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned n_begun, n_allowed, n_done;
	unsigned order[JOBS];
} hall = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

struct task {
	struct hawser__job job;
	unsigned number;
	char thread[16];
	bool has_signals;
};

static struct task tasks[JOBS];

static void run_task(struct hawser__job *job)
{
	struct task *task = hawser__container_of(job, struct task, job);
	sigset_t blocked;

	pthread_getname_np(pthread_self(), task->thread, sizeof task->thread);
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	task->has_signals = !sigismember(&blocked, SIGTERM);
	pthread_mutex_lock(&hall.lock);
	hall.order[hall.n_begun++] = task->number;
	pthread_cond_broadcast(&hall.changed);
	while (hall.n_done >= hall.n_allowed)
		pthread_cond_wait(&hall.changed, &hall.lock);
	hall.n_done++;
	pthread_cond_broadcast(&hall.changed);
	pthread_mutex_unlock(&hall.lock);
}

static void start(void)
{
	hall.n_begun = hall.n_allowed = hall.n_done = 0;
	for (unsigned i = 0; i < JOBS; i++) {
		tasks[i].number = i;
		hawser__job_init(&tasks[i].job, run_task);
	}
}

static void await(const unsigned *counter, unsigned value)
{
	pthread_mutex_lock(&hall.lock);
	while (*counter < value)
		pthread_cond_wait(&hall.changed, &hall.lock);
	pthread_mutex_unlock(&hall.lock);
}

/* So many may end, in all. */
static void allow(unsigned count)
{
	pthread_mutex_lock(&hall.lock);
	hall.n_allowed = count;
	pthread_cond_broadcast(&hall.changed);
	pthread_mutex_unlock(&hall.lock);
}

/* ---- threads ---- */

START_TEST(pool_without_work_has_no_thread)
{
	struct hawser__worker_pool *pool = make(4, 10, 1000);

	ck_assert_uint_eq(stats_of(pool).threads, 0);
	hawser__worker_pool_free(pool);
	hawser__worker_pool_free(NULL);
}
END_TEST

START_TEST(threads_start_on_demand_up_to_the_most)
{
	struct hawser__worker_pool *pool = make(3, 10, 1000);

	start();
	for (unsigned i = 0; i < 5; i++) {
		ck_assert_int_eq(hawser__worker_pool_submit(pool, &tasks[i].job, false), 0);
		await(&hall.n_begun, i < 3 ? i + 1 : 3);
		ck_assert_uint_eq(stats_of(pool).threads, i < 3 ? i + 1 : 3);
	}
	ck_assert_uint_eq(stats_of(pool).queued, 2);
	allow(5);
	await(&hall.n_done, 5);
	hawser__worker_pool_free(pool);
}
END_TEST

START_TEST(idle_thread_works_before_another_is_started)
{
	struct hawser__worker_pool *pool = make(8, 10, 60000);

	start();
	allow(JOBS);
	for (unsigned i = 0; i < JOBS; i++) {
		ck_assert_int_eq(hawser__worker_pool_submit(pool, &tasks[i].job, false), 0);
		while (stats_of(pool).idle != 1)
			sched_yield();
	}
	ck_assert_uint_eq(stats_of(pool).threads, 1);
	hawser__worker_pool_free(pool);
}
END_TEST

START_TEST(idle_threads_end)
{
	struct hawser__worker_pool *pool = make(8, 10, 1);

	for (unsigned round = 0; round < 3; round++) {
		start();
		for (unsigned i = 0; i < 8; i++)
			ck_assert_int_eq(hawser__worker_pool_submit(pool, &tasks[i].job, false), 0);
		await(&hall.n_begun, 8);
		ck_assert_uint_eq(stats_of(pool).threads, 8);
		allow(8);
		while (stats_of(pool).threads)
			sched_yield();
		ck_assert_uint_eq(hall.n_done, 8);
	}
	hawser__worker_pool_free(pool);
}
END_TEST

START_TEST(threads_are_named_and_take_no_signals)
{
	struct hawser__worker_pool *pool = make(2, 10, 1000);

	start();
	allow(1);
	ck_assert_int_eq(hawser__worker_pool_submit(pool, &tasks[0].job, false), 0);
	await(&hall.n_done, 1);
	ck_assert_str_eq(tasks[0].thread, "test-1");
	ck_assert(!tasks[0].has_signals);
	hawser__worker_pool_free(pool);
}
END_TEST

/* ---- the queue ---- */

START_TEST(work_begins_in_the_order_in_which_it_came)
{
	struct hawser__worker_pool *pool = make(1, JOBS, 1000);

	start();
	for (unsigned i = 0; i < JOBS; i++)
		ck_assert_int_eq(hawser__worker_pool_submit(pool, &tasks[i].job, false), 0);
	allow(JOBS);
	await(&hall.n_done, JOBS);
	for (unsigned i = 0; i < JOBS; i++)
		quick_assert(hall.order[i] == i);
	hawser__worker_pool_free(pool);
}
END_TEST

START_TEST(full_queue_refuses_but_what_is_owed)
{
	struct hawser__worker_pool *pool = make(2, 3, 1000);

	start();
	for (unsigned i = 0; i < 5; i++)
		ck_assert_int_eq(hawser__worker_pool_submit(pool, &tasks[i].job, false), 0);
	ck_assert_int_eq(hawser__worker_pool_submit(pool, &tasks[5].job, false), -EBUSY);
	ck_assert_int_eq(hawser__worker_pool_submit(pool, &tasks[6].job, true), 0);
	allow(6);
	await(&hall.n_done, 6);
	hawser__worker_pool_free(pool);
}
END_TEST

START_TEST(job_that_waits_can_be_taken_back)
{
	struct hawser__worker_pool *pool = make(1, 3, 1000);

	start();
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(hawser__worker_pool_submit(pool, &tasks[i].job, false), 0);
	await(&hall.n_begun, 1);
	ck_assert(!hawser__worker_pool_take_back(pool, &tasks[0].job));
	ck_assert(hawser__worker_pool_take_back(pool, &tasks[1].job));
	ck_assert(!hawser__worker_pool_take_back(pool, &tasks[1].job));
	ck_assert_uint_eq(stats_of(pool).queued, 1);
	allow(2);
	await(&hall.n_done, 2);
	ck_assert_uint_eq(hall.order[1], 2);
	ck_assert(!hawser__worker_pool_take_back(pool, &tasks[2].job));
	hawser__worker_pool_free(pool);
}
END_TEST

START_TEST(freeing_does_what_waits_first)
{
	struct hawser__worker_pool *pool = make(2, JOBS, 1000);

	start();
	for (unsigned i = 0; i < JOBS; i++)
		ck_assert_int_eq(hawser__worker_pool_submit(pool, &tasks[i].job, false), 0);
	allow(JOBS);
	hawser__worker_pool_free(pool);
	ck_assert_uint_eq(hall.n_done, JOBS);
}
END_TEST

/* ---- time ---- */

static atomic_ullong virtual_us;

static uint64_t virtual_now_us(void)
{
	return atomic_load(&virtual_us);
}

START_TEST(waiting_is_counted_apart_from_working)
{
	struct hawser__worker_pool *pool = hawser__worker_pool_new(
		&(struct hawser__worker_pool_setup){"test", 1, 10, 1000000000, virtual_now_us});
	struct hawser__worker_pool_stats stats;

	start();
	atomic_store(&virtual_us, 1000);
	ck_assert_int_eq(hawser__worker_pool_submit(pool, &tasks[0].job, false), 0);
	ck_assert_int_eq(hawser__worker_pool_submit(pool, &tasks[1].job, false), 0);
	await(&hall.n_begun, 1);
	atomic_store(&virtual_us, 1700);
	allow(1);
	/* The second begins when the first has ended, at the same time of that clock. */
	await(&hall.n_begun, 2);
	atomic_store(&virtual_us, 1750);
	allow(2);
	while (stats_of(pool).done < 2)
		sched_yield();
	stats = stats_of(pool);
	ck_assert_uint_eq(stats.begun, 2);
	ck_assert_uint_eq(stats.queue_us, 700);
	ck_assert_uint_eq(stats.max_queue_us, 700);
	ck_assert_uint_eq(stats.run_us, 750);
	ck_assert_uint_eq(stats.max_run_us, 700);
	hawser__worker_pool_free(pool);
}
END_TEST

/* ---- many ---- */

static struct hawser__worker_pool *busy_pool;
static atomic_uint n_counted;

static void count(struct hawser__job *job)
{
	(void)job;
	atomic_fetch_add(&n_counted, 1);
}

static void *submit_and_take_back(void *data)
{
	struct hawser__job jobs[JOBS];
	unsigned *n_taken = data;

	for (unsigned round = 0; round < suite_rounds(50); round++) {
		for (unsigned i = 0; i < JOBS; i++) {
			hawser__job_init(&jobs[i], count);
			quick_assert(hawser__worker_pool_submit(busy_pool, &jobs[i], true) == 0);
		}
		for (unsigned i = JOBS; i-- > 0;)
			*n_taken += hawser__worker_pool_take_back(busy_pool, &jobs[i]);
		/* What a thread has must be through before its memory is used again. */
		for (struct hawser__worker_pool_stats stats = stats_of(busy_pool);
		     stats.begun != stats.done; stats = stats_of(busy_pool))
			sched_yield();
	}
	return NULL;
}

START_TEST(every_job_runs_once_or_is_taken_back)
{
	pthread_t threads[3];
	unsigned taken[3] = {0}, n = 0;

	busy_pool = make(3, 0, 1);
	atomic_store(&n_counted, 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, submit_and_take_back, &taken[i]),
				 0);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		n += taken[i];
	}
	hawser__worker_pool_free(busy_pool);
	ck_assert_uint_eq(atomic_load(&n_counted) + n, 3 * JOBS * suite_rounds(50));
}
END_TEST

static bool submit_one(void *data)
{
	struct hawser__worker_pool *pool = hawser__worker_pool_new(
		&(struct hawser__worker_pool_setup){"test", 1, 1, 1000, now_us});
	struct hawser__job job;
	int r;

	(void)data;
	if (!pool)
		return false;
	hawser__job_init(&job, count);
	r = hawser__worker_pool_submit(pool, &job, false);
	ck_assert(r == 0 || r == -EAGAIN);
	hawser__worker_pool_free(pool);
	return r == 0;
}

START_TEST(pool_survives_every_failed_allocation)
{
	ck_assert_uint_gt(failing_alloc_each(submit_one, NULL), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("util/worker_pool");
	TCase *tcase = suite_case(suite, "threads");

	tcase_add_test(tcase, pool_without_work_has_no_thread);
	tcase_add_test(tcase, threads_start_on_demand_up_to_the_most);
	tcase_add_test(tcase, idle_thread_works_before_another_is_started);
	tcase_add_test(tcase, idle_threads_end);
	tcase_add_test(tcase, threads_are_named_and_take_no_signals);

	tcase = suite_case(suite, "queue");
	tcase_add_test(tcase, work_begins_in_the_order_in_which_it_came);
	tcase_add_test(tcase, full_queue_refuses_but_what_is_owed);
	tcase_add_test(tcase, job_that_waits_can_be_taken_back);
	tcase_add_test(tcase, freeing_does_what_waits_first);

	tcase = suite_case(suite, "time");
	tcase_add_test(tcase, waiting_is_counted_apart_from_working);

	tcase = suite_case(suite, "many");
	tcase_add_test(tcase, every_job_runs_once_or_is_taken_back);
	tcase_add_test(tcase, pool_survives_every_failed_allocation);
	return suite_run(suite);
}
