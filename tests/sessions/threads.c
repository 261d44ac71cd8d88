/* Threads that make blocking calls, two on a client. The calls of every fourth thread are
 * cancelled now and then, by another. */

#include "workers.h"

#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { THREADS_A_CLIENT = 2, DISTURBED = 4 };

struct worker {
	pthread_t thread;
	struct hawser_client *client;
	struct chance chance;
	uint64_t next_id;
	bool is_disturbed;
	bool had_answer;               /* with the lock */
	struct hawser_context context; /* cancelled with the lock, in_call */
	bool in_call;
};

static const struct work *work;
static struct worker *workers;
static struct hawser_client **clients;
static unsigned n_clients, n_warm, n_running;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stopping;
static bool is_stopping;

/* Whether to go on. */
static bool pause_between(struct worker *worker)
{
	uint64_t ms = chance_below(&worker->chance, 2 * work->pause_ms + 1);
	uint64_t until_ms = task_now_ms() + ms;
	struct timespec until = {(time_t)(until_ms / 1000), (long)(until_ms % 1000) * 1000000};
	int r = 0;

	pthread_mutex_lock(&lock);
	while (!is_stopping && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&stopping, &lock, &until);
	pthread_mutex_unlock(&lock);
	return r == ETIMEDOUT;
}

static void enter(struct worker *worker, struct task *task)
{
	Ledger__Receipt *receipt;
	Ledger__Entry entry;
	enum hawser_status status;

	task_entry(task, &entry);
	if (task->method == REPEAT)
		status = ledger_ledger_repeat(worker->client, &entry, &receipt, &worker->context);
	else
		status = ledger_ledger_enter(worker->client, &entry, &receipt, &worker->context);
	free(entry.data.data);
	if (status != worker->context.error.status)
		errx(1, "a call returned %d, its context says %d", status,
		     worker->context.error.status);
	if (status == HAWSER_OK) {
		task_take_receipt(task, receipt);
		ledger__receipt__free_unpacked(receipt, NULL);
	}
	task_end(task, &worker->context.error);
}

static void list(struct worker *worker, struct task *task)
{
	struct hawser_call *call;
	Ledger__Order order;
	Ledger__Item *item;
	int r;

	task_order(task, &order);
	call = ledger_ledger_list(worker->client, &order, &worker->context);
	if (!call)
		err(1, "a stream could not be opened");
	while ((r = ledger_ledger_list_recv(call, &item)) == 1) {
		task_take_item(task, item);
		ledger__item__free_unpacked(item, NULL);
	}
	if ((r == 0) != (hawser_call_error(call)->status == HAWSER_OK))
		errx(1, "a stream ended with %d, its status is %d", r,
		     hawser_call_error(call)->status);
	task_end(task, hawser_call_error(call));
	hawser_call_free(call);
}

static void *run(void *data)
{
	struct worker *worker = data;

	while (pause_between(worker)) {
		struct task task;

		task_draw(&task, &work->mix, &worker->chance, worker->next_id++);
		task.is_hurried |= worker->is_disturbed;
		worker->context.timeout_ms = task.timeout_ms;
		pthread_mutex_lock(&lock);
		worker->in_call = task.method != LIST;
		pthread_mutex_unlock(&lock);
		if (task.method == LIST)
			list(worker, &task);
		else
			enter(worker, &task);
		pthread_mutex_lock(&lock);
		worker->in_call = false;
		hawser_context_clear(&worker->context);
		n_warm += !worker->had_answer;
		worker->had_answer = true;
		pthread_mutex_unlock(&lock);
	}
	pthread_mutex_lock(&lock);
	n_running--;
	pthread_mutex_unlock(&lock);
	return NULL;
}

void threads_start(const struct work *orders)
{
	pthread_condattr_t attributes;
	struct hawser_error error;

	work = orders;
	n_clients = (work->threads + THREADS_A_CLIENT - 1) / THREADS_A_CLIENT;
	clients = calloc(n_clients + 1, sizeof *clients);
	workers = calloc(work->threads + 1, sizeof *workers);
	if (!clients || !workers)
		errx(1, "out of memory");
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&stopping, &attributes);
	pthread_condattr_destroy(&attributes);
	for (unsigned i = 0; i < n_clients; i++) {
		clients[i] = hawser_client_new(work->address, &work->options, &error);
		if (!clients[i])
			errx(2, "%s", error.message);
	}
	n_running = work->threads;
	for (unsigned i = 0; i < work->threads; i++) {
		struct worker *worker = &workers[i];
		unsigned number = work->first + work->looped + i;

		worker->client = clients[i / THREADS_A_CLIENT];
		worker->chance.state = work->seed ^ chance_mix(number + 1);
		worker->next_id = worker_ids(number);
		worker->is_disturbed = work->mix.hurried_percent && i % DISTURBED == 0;
		worker->context = (struct hawser_context)HAWSER_CONTEXT_INIT;
		errno = pthread_create(&worker->thread, NULL, run, worker);
		if (errno)
			err(1, "a thread");
	}
}

void threads_stop(void)
{
	pthread_mutex_lock(&lock);
	is_stopping = true;
	pthread_cond_broadcast(&stopping);
	pthread_mutex_unlock(&lock);
}

bool threads_are_warm(void)
{
	bool are;

	pthread_mutex_lock(&lock);
	are = n_warm == work->threads;
	pthread_mutex_unlock(&lock);
	return are;
}

bool threads_are_idle(void)
{
	bool are;

	pthread_mutex_lock(&lock);
	are = n_running == 0;
	pthread_mutex_unlock(&lock);
	return are;
}

void threads_disturb(struct chance *chance)
{
	struct worker *worker;

	if (!work->threads)
		return;
	worker = &workers[chance_below(chance, work->threads) / DISTURBED * DISTURBED];
	if (!worker->is_disturbed)
		return;
	pthread_mutex_lock(&lock);
	if (worker->in_call)
		hawser_context_cancel(&worker->context);
	pthread_mutex_unlock(&lock);
}

void threads_free(struct figures *figures)
{
	for (unsigned i = 0; i < work->threads; i++)
		pthread_join(workers[i].thread, NULL);
	for (unsigned i = 0; i < n_clients; i++) {
		figures_add(figures, clients[i]);
		hawser_client_free(clients[i]);
	}
	pthread_cond_destroy(&stopping);
	free(workers);
	free(clients);
}
