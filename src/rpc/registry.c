/* Services by id and by name, and texts for who asks for the wrong one. */

#include "rpc/registry.h"

#include "rpc/dispatch.h"
#include "util/alloc.h"
#include "util/error.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct hawser__registered {
	struct hawser__registered *next;
	const struct hawser_service *service;
	bool is_withdrawn; /* stays for the calls that it serves */
	struct hawser__entry entries[];
};

/* RFC 9923: FNV-1a, 32 bits. */
uint32_t hawser_method_id(const char *name)
{
	uint32_t hash = 0x811c9dc5;

	for (; name && *name; name++)
		hash = (hash ^ (uint8_t)*name) * 0x01000193;
	return hash ? hash : 1;
}

/* Names live beyond the ids, in the same map. */
static uint64_t name_key(const char *name)
{
	return 1ull << 32 | hawser_method_id(name);
}

void hawser__registry_deinit(struct hawser__registry *registry)
{
	while (registry->first) {
		struct hawser__registered *next = registry->first->next;

		free(registry->first);
		registry->first = next;
	}
	hawser__map_deinit(&registry->methods);
	memset(registry, 0, sizeof *registry);
}

static int check(const struct hawser_service *service, struct hawser_error *error)
{
	if (!service || !service->name || (service->n_methods && !service->methods))
		return hawser__error_set(error, -EINVAL,
					 "register: the service is NULL or has no name");
	for (size_t i = 0; i < service->n_methods; i++) {
		const struct hawser_method *method = &service->methods[i];
		size_t length = strlen(service->name);

		if (!method->name || strncmp(method->name, service->name, length) != 0 ||
		    method->name[length] != '/')
			return hawser__error_set(error, -EINVAL,
						 "register %s: method %zu is not named %s/…",
						 service->name, i, service->name);
		if (method->id == 0 || !method->request || !method->reply || !method->serve)
			return hawser__error_set(
				error, -EINVAL,
				"register %s: it has no id, type or thunk; generate "
				"the service with protoc-gen-hawser",
				method->name);
	}
	return 0;
}

static int insert(struct hawser__registry *registry, uint64_t key, struct hawser__entry *entry,
		  struct hawser_error *error)
{
	const struct hawser__entry *taken;
	int r = hawser__map_insert(&registry->methods, key, entry);

	if (r == 0)
		return 0;
	if (r == -ENOMEM)
		return hawser__error_set(error, r, "register %s: out of memory",
					 entry->method->name);
	taken = hawser__map_find(&registry->methods, key);
	if (strcmp(taken->method->name, entry->method->name) == 0)
		return hawser__error_set(error, r, "register %s: it is registered already",
					 entry->method->name);
	return hawser__error_set(error, r,
				 "register %s: its id 0x%08x is that of %s; give one of them "
				 "another with option (hawser.method_id)",
				 entry->method->name, entry->method->id, taken->method->name);
}

/* Withdrawn before, and the same: it serves again, in the same place. */
static struct hawser__registered *find_again(const struct hawser__registry *registry,
					     const struct hawser_service *service,
					     const void *handlers, const void *data)
{
	struct hawser__registered *at = registry->first;

	while (at && !(at->is_withdrawn && at->service == service && service->n_methods &&
		       at->entries[0].handlers == handlers && at->entries[0].data == data))
		at = at->next;
	return at;
}

int hawser__registry_add(struct hawser__registry *registry, const struct hawser_service *service,
			 const void *handlers, void *data, struct hawser_error *error)
{
	struct hawser__registered *registered, *again;
	size_t n = 0;
	int r = check(service, error);

	if (r < 0)
		return r;
	if (!handlers)
		return hawser__error_set(error, -EINVAL, "register %s: the handlers are NULL",
					 service->name);
	registered = again = find_again(registry, service, handlers, data);
	if (!registered)
		registered = hawser__malloc(sizeof *registered +
					    service->n_methods * sizeof *registered->entries);
	if (!registered)
		return hawser__error_set(error, -ENOMEM, "register %s: out of memory",
					 service->name);
	registered->service = service;
	for (; n < service->n_methods && r == 0; n++) {
		struct hawser__entry *entry = &registered->entries[n];

		*entry = (struct hawser__entry){
			&service->methods[n], service, handlers, data, NULL, NULL, NULL, 0};
		if (service->methods[n].flags & HAWSER_METHOD_BLOCKING)
			entry->stages |= 1u << HAWSER__STAGE_POOL;
		r = insert(registry, entry->method->id, entry, error);
		if (r < 0)
			break;
		r = insert(registry, name_key(entry->method->name), entry, error);
		if (r < 0)
			hawser__map_remove(&registry->methods, entry->method->id);
	}
	if (r < 0) {
		/* All or nothing: take back what came before the one that failed. */
		for (size_t i = 0; i < service->n_methods && i < n; i++) {
			const struct hawser_method *method = &service->methods[i];

			if (hawser__map_find(&registry->methods, method->id) !=
			    &registered->entries[i])
				continue;
			hawser__map_remove(&registry->methods, method->id);
			hawser__map_remove(&registry->methods, name_key(method->name));
		}
		if (!again)
			free(registered);
		return r;
	}
	registered->is_withdrawn = false;
	if (again)
		return 0;
	registered->next = NULL;
	if (registry->last)
		registry->last->next = registered;
	else
		registry->first = registered;
	registry->last = registered;
	return 0;
}

int hawser__registry_remove(struct hawser__registry *registry, const struct hawser_service *service)
{
	struct hawser__registered *at = registry->first;

	while (at && (at->service != service || at->is_withdrawn))
		at = at->next;
	if (!at)
		return -ENOENT;
	at->is_withdrawn = true;
	for (size_t i = 0; i < service->n_methods; i++) {
		hawser__map_remove(&registry->methods, service->methods[i].id);
		hawser__map_remove(&registry->methods, name_key(service->methods[i].name));
	}
	return 0;
}

static const struct hawser__registered *next_served(const struct hawser__registered *at)
{
	while (at && at->is_withdrawn)
		at = at->next;
	return at;
}

size_t hawser__registry_count(const struct hawser__registry *registry)
{
	size_t count = 0;

	for (const struct hawser__registered *at = next_served(registry->first); at;
	     at = next_served(at->next))
		count++;
	return count;
}

size_t hawser__registry_list(const struct hawser__registry *registry, const char **names,
			     size_t max)
{
	const struct hawser__registered *at = next_served(registry->first);
	size_t n = 0;

	for (; at && n < max; at = next_served(at->next))
		names[n++] = at->service->name;
	return n;
}

struct hawser__entry *hawser__registry_entry(struct hawser__registry *registry, const char *name)
{
	struct hawser__entry *entry = hawser__map_find(&registry->methods, name_key(name));

	return entry && strcmp(entry->method->name, name) == 0 ? entry : NULL;
}

struct hawser__entry *hawser__registry_entries(struct hawser__registry *registry,
					       const char *service, size_t *count)
{
	for (struct hawser__registered *at = registry->first; at; at = at->next) {
		if (at->is_withdrawn || strcmp(at->service->name, service) != 0)
			continue;
		*count = at->service->n_methods;
		return at->entries;
	}
	return NULL;
}

const struct hawser__entry *hawser__registry_find_name(const struct hawser__registry *registry,
						       const char *name)
{
	const struct hawser__entry *entry = hawser__map_find(&registry->methods, name_key(name));

	return entry && strcmp(entry->method->name, name) == 0 ? entry : NULL;
}

int hawser__registry_set_raw(struct hawser__registry *registry, const char *name,
			     hawser_raw_fn *handler, void *data)
{
	struct hawser__entry *entry = hawser__registry_entry(registry, name);

	if (!entry)
		return -ENOENT;
	entry->raw = handler;
	entry->raw_data = data;
	return 0;
}

size_t hawser__registry_each(struct hawser__registry *registry, const char *scope,
			     void (*run)(struct hawser__entry *entry, void *data), void *data)
{
	size_t count = 0;

	for (struct hawser__registered *at = registry->first; at; at = at->next) {
		bool is_all = !scope || strcmp(scope, at->service->name) == 0;

		for (size_t i = 0; i < at->service->n_methods; i++) {
			if (!is_all && strcmp(scope, at->entries[i].method->name) != 0)
				continue;
			run(&at->entries[i], data);
			count++;
		}
	}
	return count;
}

/* ---- explaining ---- */

struct text {
	char *buffer;
	size_t size, length;
};

static void add(struct text *text, const char *part)
{
	size_t length = strlen(part);

	if (text->length + length + 4 > text->size) {
		/* No room for it and the dots of a later one: end here. */
		if (text->length + 4 <= text->size && text->length >= 3 &&
		    strcmp(text->buffer + text->length - 3, "…") != 0) {
			strcpy(text->buffer + text->length, "…");
			text->length += 3;
		}
		text->size = 0;
		return;
	}
	memcpy(text->buffer + text->length, part, length + 1);
	text->length += length;
}

const char *hawser__registry_explain(const struct hawser__registry *registry, const char *name,
				     uint32_t id, char *buffer, size_t size)
{
	struct text text = {buffer, size, 0};
	const char *slash = name && *name ? strchr(name, '/') : NULL;
	char number[32];

	if (size)
		buffer[0] = 0;
	if (name && *name) {
		add(&text, name);
		add(&text, ": no such method");
	} else {
		snprintf(number, sizeof number, "0x%08x", id);
		add(&text, "no method has the id ");
		add(&text, number);
	}
	for (const struct hawser__registered *at = next_served(registry->first); at && slash;
	     at = next_served(at->next)) {
		const struct hawser_service *service = at->service;
		size_t length = (size_t)(slash - name);

		if (strlen(service->name) != length || memcmp(service->name, name, length) != 0)
			continue;
		add(&text, "; ");
		add(&text, service->name);
		add(&text, service->n_methods ? " has " : " has no methods");
		for (size_t i = 0; i < service->n_methods; i++) {
			add(&text, i ? ", " : "");
			add(&text, service->methods[i].name + length + 1);
		}
		return buffer;
	}
	const struct hawser__registered *first = next_served(registry->first);

	add(&text, first ? "; it offers " : "; it offers no service");
	for (const struct hawser__registered *at = first; at; at = next_served(at->next)) {
		add(&text, at == first ? "" : ", ");
		add(&text, at->service->name);
	}
	return buffer;
}
