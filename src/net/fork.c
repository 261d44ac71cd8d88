/* A counter that pthread_atfork(3) keeps. */

#include "net/fork.h"

#include <pthread.h>
#include <stdatomic.h>

static atomic_uint generation;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void in_child(void)
{
	atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
}

static void install(void)
{
	/* Without memory for the handler forks go unnoticed, as if never asked. */
	pthread_atfork(NULL, NULL, in_child);
}

unsigned hawser__fork_generation(void)
{
	pthread_once(&once, install);
	return atomic_load_explicit(&generation, memory_order_relaxed);
}
