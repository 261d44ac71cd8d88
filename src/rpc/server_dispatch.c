/* What a server says of its methods before it runs, beyond their handlers: which of them may block.
 */

#include "rpc/dispatch_pool.h"
#include "rpc/server.h"
#include "util/error.h"
#include <errno.h>
#include <string.h>

static void set_stage(struct hawser__entry *entry, void *data)
{
	entry->stages |= *(const unsigned *)data;
}

int hawser_server_set_blocking(struct hawser_server *server, const char *scope,
			       struct hawser_error *error)
{
	unsigned stage = 1u << HAWSER__STAGE_POOL;

	if (!server || !scope)
		return hawser__error_set(error, -EINVAL,
					 "set_blocking: the server or the scope is NULL");
	if (server->phase != HAWSER__SERVER_NEW)
		return hawser__error_set(error, -EBUSY,
					 "set_blocking %s: the server runs; call it before that",
					 scope);
	if (hawser__registry_each(&server->registry, scope, set_stage, &stage))
		return 0;
	return hawser__error_set(error, -ENOENT,
				 "set_blocking %s: no such service or method is registered; "
				 "register it first, and name it as in \"demo.Greeter\" or "
				 "\"demo.Greeter/Hello\"",
				 scope);
}

int hawser__server_check_pool(struct hawser_server_options *options, struct hawser_error *error)
{
	if (options->worker_threads > HAWSER__WORKERS_MOST)
		return hawser__error_set(error, -EINVAL,
					 "server options: %u worker_threads; up to %d are possible",
					 options->worker_threads, HAWSER__WORKERS_MOST);
	if (options->worker_name && strlen(options->worker_name) > HAWSER__POOL_NAME_MAX)
		return hawser__error_set(
			error, -EINVAL, "server options: worker_name \"%s\" has more than %d bytes",
			options->worker_name, HAWSER__POOL_NAME_MAX);
	if (!options->worker_threads)
		options->worker_threads = hawser__default_pool.max_threads;
	if (!options->worker_queue)
		options->worker_queue = hawser__default_pool.max_queued;
	if (!options->worker_idle_ms)
		options->worker_idle_ms = hawser__default_pool.idle_ms;
	if (!options->worker_name)
		options->worker_name = hawser__default_pool.name;
	return 0;
}

int hawser__server_init_dispatch(struct hawser_server *server)
{
	const struct hawser_server_options *options = &server->options;

	return hawser__dispatch_init(
		&server->dispatch,
		&(struct hawser__worker_pool_setup){.name = options->worker_name,
						    .max_threads = options->worker_threads,
						    .max_queued = options->worker_queue,
						    .idle_ms = options->worker_idle_ms,
						    .now_us = hawser__now_us});
}

void hawser__server_add_stats(struct hawser_server *server, struct hawser_server_stats *stats)
{
	struct hawser__worker_pool_stats pool;

	hawser__worker_pool_get_stats(server->dispatch.pool, &pool);
	stats->worker_threads = pool.threads;
	stats->worker_queued = pool.queued;
	stats->worker_begun = pool.begun;
	stats->worker_queue_us = pool.queue_us;
	stats->worker_max_queue_us = pool.max_queue_us;
	stats->worker_done = pool.done;
	stats->worker_run_us = pool.run_us;
	stats->worker_max_run_us = pool.max_run_us;
}
