/* A list of lines behind a lock; lines.h tells what for. */

#include "lines.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t came = PTHREAD_COND_INITIALIZER;
static char *lines[LINES_MAX];
static unsigned n_lines;

static void keep(const char *line)
{
	pthread_mutex_lock(&lock);
	if (n_lines < LINES_MAX)
		lines[n_lines++] = strdup(line);
	pthread_cond_broadcast(&came);
	pthread_mutex_unlock(&lock);
}

static void on_log(enum hawser_log_level level, const char *line, void *data)
{
	(void)level;
	(void)data;
	keep(line);
}

static void on_trace(const char *line, void *data)
{
	(void)data;
	keep(line);
}

static void forget(void)
{
	pthread_mutex_lock(&lock);
	while (n_lines)
		free(lines[--n_lines]);
	pthread_mutex_unlock(&lock);
}

void lines_start(enum hawser_log_level level)
{
	forget();
	hawser_log_set_sink(on_log, NULL);
	hawser_log_set_level(level);
}

void lines_start_trace(size_t max_message_bytes)
{
	forget();
	hawser_trace_set_sink(on_trace, NULL);
	hawser_trace_enable(true, max_message_bytes);
}

void lines_stop(void)
{
	hawser_log_set_sink(NULL, NULL);
	hawser_log_set_level(HAWSER_LOG_WARNING);
	hawser_trace_enable(false, 0);
	hawser_trace_set_sink(NULL, NULL);
	forget();
}

static unsigned count(const char *part)
{
	unsigned n = 0;

	for (unsigned i = 0; i < n_lines; i++)
		n += strstr(lines[i], part) != NULL;
	return n;
}

void lines_wait(const char *part)
{
	pthread_mutex_lock(&lock);
	while (count(part) == 0)
		pthread_cond_wait(&came, &lock);
	pthread_mutex_unlock(&lock);
}

unsigned lines_count(const char *part)
{
	unsigned n;

	pthread_mutex_lock(&lock);
	n = count(part);
	pthread_mutex_unlock(&lock);
	return n;
}

const char *lines_find(const char *part, const char *other, unsigned n)
{
	const char *found = NULL;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < n_lines && !found; i++)
		if (strstr(lines[i], part) && strstr(lines[i], other) && n-- == 0)
			found = lines[i];
	pthread_mutex_unlock(&lock);
	return found;
}
