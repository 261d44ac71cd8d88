/* What is exclusive on a server: from the .proto, and from the program. */

#include "rpc/server.h"
#include "util/error.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { MAX_WAITING_MOST = 65536, DEFAULT_MAX_WAITING = 64, DEFAULT_SETTLE_TIMEOUT_MS = 10000 };

/* The service that leases are asked for with is there as soon as there are any. */
static int offer(struct hawser_server *server, struct hawser_error *error)
{
	struct hawser__registry *registry = &server->registry;
	const struct hawser__entry *entry =
		hawser__registry_entry(registry, hawser__leases_service->methods[0].name);

	if (entry && entry->handlers == hawser__leases_handlers)
		return 0;
	server->dispatch.stages[HAWSER__STAGE_LEASE] = &hawser__exclusive_stage;
	return hawser__registry_add(registry, hawser__leases_service, hawser__leases_handlers,
				    &server->exclusives, error);
}

/* The name of the lease that a method's .proto asks for; NULL: none. */
static const char *wanted(const struct hawser_service *service, const struct hawser_method *method)
{
	if (!(method->flags & HAWSER_METHOD_EXCLUSIVE))
		return NULL;
	return method->flags & HAWSER_METHOD_SERVICE_LEASE ? service->name : method->name;
}

static void need(struct hawser__entry *entry, struct hawser__scope *scope)
{
	if (entry->scope)
		entry->scope->n_methods--;
	entry->scope = scope;
	entry->stages |= 1u << HAWSER__STAGE_LEASE;
	scope->n_methods++;
}

static bool has_own(const struct hawser__entry *entry)
{
	return entry->scope && strcmp(entry->scope->resource->name, entry->method->name) == 0;
}

static int no_memory(const char *name, struct hawser_error *error)
{
	return hawser__error_set(error, -ENOMEM, "exclusive %s: out of memory", name);
}

int hawser__server_add_exclusive(struct hawser_server *server, const struct hawser_service *service,
				 struct hawser_error *error)
{
	bool is_any = false;

	for (size_t i = 0; i < service->n_methods; i++) {
		const char *name = wanted(service, &service->methods[i]);

		/* What is wrong with the table is the registry's to say. */
		if (name && !hawser__scope_make(&server->exclusives, name)) {
			hawser__scopes_prune(&server->exclusives);
			return no_memory(name, error);
		}
		is_any |= name != NULL;
	}
	return is_any ? offer(server, error) : 0;
}

void hawser__server_bind_exclusive(struct hawser_server *server,
				   const struct hawser_service *service)
{
	for (size_t i = 0; i < service->n_methods; i++) {
		const char *name = wanted(service, &service->methods[i]);

		if (name)
			need(hawser__registry_entry(&server->registry, service->methods[i].name),
			     hawser__scope_find(&server->exclusives, name));
	}
	hawser__scopes_prune(&server->exclusives);
}

static int check(const struct hawser_exclusive *options, const char *name,
		 struct hawser_exclusive *checked, struct hawser_error *error)
{
	*checked = (struct hawser_exclusive)HAWSER_EXCLUSIVE_INIT;
	if (options) {
		if (options->size < sizeof options->size || options->size > 4096)
			return hawser__error_set(error, -EINVAL,
						 "exclusive %s: the options' size is %zu; start "
						 "from HAWSER_EXCLUSIVE_INIT",
						 name, options->size);
		memcpy(checked, options,
		       options->size < sizeof *checked ? options->size : sizeof *checked);
	}
	if (checked->max_waiting > MAX_WAITING_MOST)
		return hawser__error_set(error, -EINVAL,
					 "exclusive %s: max_waiting can be at most %d", name,
					 MAX_WAITING_MOST);
	if (checked->policy != HAWSER_EXCLUSIVE_REFUSE && checked->policy != HAWSER_EXCLUSIVE_QUEUE)
		return hawser__error_set(error, -EINVAL,
					 "exclusive %s: policy %d is neither "
					 "HAWSER_EXCLUSIVE_REFUSE nor HAWSER_EXCLUSIVE_QUEUE",
					 name, (int)checked->policy);
	if (!checked->max_holders)
		checked->max_holders = 1;
	if (!checked->max_waiting)
		checked->max_waiting = DEFAULT_MAX_WAITING;
	if (!checked->settle_timeout_ms)
		checked->settle_timeout_ms = DEFAULT_SETTLE_TIMEOUT_MS;
	return 0;
}

static void apply(struct hawser__scope *scope, const struct hawser_exclusive *options)
{
	scope->policy = options->policy;
	scope->max_wait_ms = options->max_wait_ms;
	scope->settle_timeout_ms = options->settle_timeout_ms;
	scope->resource->max_holders = options->max_holders;
	scope->resource->max_waiting = options->max_waiting;
	if (options->first_fencing)
		scope->resource->last_fencing = options->first_fencing - 1;
}

int hawser_server_set_exclusive(struct hawser_server *server, const char *name,
				const struct hawser_exclusive *options, struct hawser_error *error)
{
	bool is_method = name && strchr(name, '/'), is_known;
	struct hawser_exclusive checked;
	struct hawser__entry *entries;
	struct hawser__scope *scope;
	size_t count = 1;
	int r;

	if (!server || !name)
		return hawser__error_set(error, -EINVAL,
					 "exclusive: the server or the name is NULL");
	if (server->phase != HAWSER__SERVER_NEW)
		return hawser__error_set(error, -EBUSY,
					 "exclusive %s: the server runs; say so before that", name);
	entries = is_method ? hawser__registry_entry(&server->registry, name)
			    : hawser__registry_entries(&server->registry, name, &count);
	if (!entries || !count)
		return hawser__error_set(error, -ENOENT,
					 "exclusive %s: no such service or method is registered; "
					 "register it first, and name it as in \"demo.Device\" or "
					 "\"demo.Device/Move\"",
					 name);
	if (entries->handlers == hawser__leases_handlers)
		return hawser__error_set(error, -EINVAL,
					 "exclusive %s: nobody could acquire it then", name);
	r = check(options, name, &checked, error);
	if (r == 0)
		r = offer(server, error);
	if (r < 0)
		return r;
	is_known = hawser__scope_find(&server->exclusives, name);
	scope = hawser__scope_make(&server->exclusives, name);
	if (!scope)
		return no_memory(name, error);
	apply(scope, &checked);
	/* Which methods it is for has been said, then: perhaps not for all. */
	for (size_t i = 0; i < count && !is_known; i++)
		if (is_method || !has_own(&entries[i]))
			need(&entries[i], scope);
	hawser__scopes_prune(&server->exclusives);
	return 0;
}

int hawser_server_set_operator(struct hawser_server *server, hawser_operator_fn *is_operator,
			       void *data)
{
	if (!server)
		return -EINVAL;
	if (server->phase != HAWSER__SERVER_NEW)
		return -EBUSY;
	server->exclusives.is_operator = is_operator;
	server->exclusives.operator_data = data;
	return 0;
}
