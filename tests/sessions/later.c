/* One delay for all, so that a queue is enough. */

#include "later.h"

#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static pthread_t thread;
static struct later *first, **end = &first;
static unsigned delay_ms;
static bool is_stopping;

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Waits for the first one to be due, and takes it. NULL: there is none, nor will be. */
static struct later *take(void)
{
	struct later *later;

	for (;;) {
		struct timespec until;

		if (!first && is_stopping)
			return NULL;
		if (!first) {
			pthread_cond_wait(&changed, &lock);
			continue;
		}
		if (is_stopping || first->due_ms <= now_ms())
			break;
		until.tv_sec = (time_t)(first->due_ms / 1000);
		until.tv_nsec = (long)(first->due_ms % 1000) * 1000000;
		pthread_cond_timedwait(&changed, &lock, &until);
	}
	later = first;
	first = later->next;
	if (!first)
		end = &first;
	return later;
}

static void *run(void *data)
{
	struct later *later;

	(void)data;
	pthread_mutex_lock(&lock);
	while ((later = take())) {
		pthread_mutex_unlock(&lock);
		later->run(later);
		pthread_mutex_lock(&lock);
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

void later_start(unsigned delay)
{
	pthread_condattr_t attributes;

	delay_ms = delay;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &attributes);
	pthread_condattr_destroy(&attributes);
	errno = pthread_create(&thread, NULL, run, NULL);
	if (errno)
		err(1, "a thread");
}

void later_add(struct later *later)
{
	later->next = NULL;
	later->due_ms = now_ms() + delay_ms;
	pthread_mutex_lock(&lock);
	*end = later;
	end = &later->next;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
}

void later_stop(void)
{
	pthread_mutex_lock(&lock);
	is_stopping = true;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	pthread_join(thread, NULL);
	pthread_cond_destroy(&changed);
}
