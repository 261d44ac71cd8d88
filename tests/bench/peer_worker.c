/* A thread for what would keep the server's loop busy for too long.
 *
 * To pack a reply of 256 MiB takes tens of milliseconds. A handler that did so on the loop would
 * keep everyone else waiting, and that would be its own doing, not the library's: README says
 * under "Threads" that such work belongs to another thread, and here it is. */

#include "peer.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct job {
	struct job *next;
	struct hawser_call *call;
	const void *request;
	peer_job_fn *run;
	void *data;
};

struct peer_worker {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct job *first, **end;
	bool is_over;
};

static void *work(void *data)
{
	struct peer_worker *worker = data;

	pthread_mutex_lock(&worker->lock);
	for (;;) {
		struct job *job = worker->first;

		if (!job) {
			if (worker->is_over)
				break;
			pthread_cond_wait(&worker->changed, &worker->lock);
			continue;
		}
		worker->first = job->next;
		if (!worker->first)
			worker->end = &worker->first;
		pthread_mutex_unlock(&worker->lock);
		job->run(job->call, job->request, job->data);
		free(job);
		pthread_mutex_lock(&worker->lock);
	}
	pthread_mutex_unlock(&worker->lock);
	return NULL;
}

static struct peer_worker *worker_new(void)
{
	struct peer_worker *worker = calloc(1, sizeof *worker);

	if (!worker)
		bench_die("worker");
	worker->end = &worker->first;
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->changed, NULL);
	errno = pthread_create(&worker->thread, NULL, work, worker);
	if (errno)
		bench_die("thread");
	return worker;
}

void peer_worker_free(struct peer_worker *worker)
{
	if (!worker)
		return;
	pthread_mutex_lock(&worker->lock);
	worker->is_over = true;
	pthread_cond_signal(&worker->changed);
	pthread_mutex_unlock(&worker->lock);
	pthread_join(worker->thread, NULL);
	pthread_cond_destroy(&worker->changed);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}

void peer_worker_add(struct peer_worker **begun, peer_job_fn *run, struct hawser_call *call,
		     const void *request, void *data)
{
	struct peer_worker *worker = *begun ? *begun : worker_new();
	struct job *job = malloc(sizeof *job);

	if (!job)
		bench_die("job");
	*begun = worker;
	*job = (struct job){NULL, call, request, run, data};
	pthread_mutex_lock(&worker->lock);
	*worker->end = job;
	worker->end = &job->next;
	pthread_cond_signal(&worker->changed);
	pthread_mutex_unlock(&worker->lock);
}
