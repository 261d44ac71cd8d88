/* The services that a process offers: from a method's id or name to its handler.
 *
 * One hash look-up per call, however many methods there are. A server's is filled before it
 * runs and only read afterwards, so that all loops share it without a lock. A client's may
 * change at any time, on its one loop. */

#ifndef HAWSER_RPC_REGISTRY_H
#define HAWSER_RPC_REGISTRY_H

#include "util/map.h"
#include <hawser/service.h>

/** A method that is served. */
struct hawser__entry {
	const struct hawser_method *method;
	const struct hawser_service *service;
	const void *handlers;
	void *data;
	hawser_raw_fn *raw; /* gets the requests as they came; NULL: the handlers get them */
	void *raw_data;
	struct hawser__scope *scope; /* whose lease it needs; NULL: none */
	unsigned stages;             /* a bit for each that its calls go through; see dispatch.h */
};

struct hawser__registered; /* one service */
struct hawser__scope;

struct hawser__registry {
	struct hawser__map methods; /* by id, and by the hash of the name beyond 2^32 */
	struct hawser__registered *first, *last;
};

/** A zeroed struct is an empty registry. */
void hawser__registry_deinit(struct hawser__registry *registry);

/** 0, -EINVAL, -EEXIST or -ENOMEM; all of the service or nothing. */
int hawser__registry_add(struct hawser__registry *registry, const struct hawser_service *service,
			 const void *handlers, void *data, struct hawser_error *error);

/** Takes a service out again; calls that it has begun to serve go on. 0 or -ENOENT. */
int hawser__registry_remove(struct hawser__registry *registry,
			    const struct hawser_service *service);

/** How many services are served. */
size_t hawser__registry_count(const struct hawser__registry *registry);
/** The names of the first `max` of them, in the order of their registration. Returns how many. */
size_t hawser__registry_list(const struct hawser__registry *registry, const char **names,
			     size_t max);

/** Gives a method's requests to `handler`. 0 or -ENOENT. */
int hawser__registry_set_raw(struct hawser__registry *registry, const char *name,
			     hawser_raw_fn *handler, void *data);

/** The entry of a method by its name; NULL: there is none. To be changed before anything runs. */
struct hawser__entry *hawser__registry_entry(struct hawser__registry *registry, const char *name);
/** The entries of a service and how many; NULL: there is none of that name. */
struct hawser__entry *hawser__registry_entries(struct hawser__registry *registry,
					       const char *service, size_t *count);
/** Runs it for each method of the service "demo.Greeter", for the method "demo.Greeter/Hello", or
 * with NULL for all. Returns how many those are. */
size_t hawser__registry_each(struct hawser__registry *registry, const char *scope,
			     void (*run)(struct hawser__entry *entry, void *data), void *data);

/** NULL: not served. */
static inline const struct hawser__entry *hawser__registry_find(
	const struct hawser__registry *registry, uint32_t id)
{
	return (const struct hawser__entry *)hawser__map_find(&registry->methods, id);
}
const struct hawser__entry *hawser__registry_find_name(const struct hawser__registry *registry,
						       const char *name);

/**
 * Says what a caller of an unknown method should know: whether the service is
 * there, and what it or the server offers instead. Returns buffer.
 */
const char *hawser__registry_explain(const struct hawser__registry *registry, const char *name,
				     uint32_t id, char *buffer, size_t size);

#endif /* HAWSER_RPC_REGISTRY_H */
