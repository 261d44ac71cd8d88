/* Comparing announcements with what is served; agreement.h says why. */

#include "rpc/agreement.h"

#include "rpc/connection.h"
#include "rpc/incoming.h"
#include "util/alloc.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Refusals kept per connection; whoever disagrees about more has the wrong server. */
enum { REFUSED_MAX = 64 };

struct refusal {
	enum hawser_status status;
	char text[HAWSER_ERROR_MESSAGE_SIZE];
};

/* Where the two ends' views of a method differ, if at all. */
static bool differs(const struct hawser_method *method, const Hawser__Method *announced,
		    struct refusal *refusal)
{
	if (*announced->name && strcmp(announced->name, method->name) != 0) {
		refusal->status = HAWSER_UNIMPLEMENTED;
		snprintf(refusal->text, sizeof refusal->text,
			 "method id 0x%08x is %s at the client and %s at the server; generate both "
			 "ends from the same .proto",
			 method->id, announced->name, method->name);
		return true;
	}
	if (announced->id && announced->id != method->id) {
		refusal->status = HAWSER_UNIMPLEMENTED;
		snprintf(refusal->text, sizeof refusal->text,
			 "%s: its id is 0x%08x at the client and 0x%08x at the server; generate "
			 "both ends from the same .proto",
			 method->name, announced->id, method->id);
		return true;
	}
	if ((*announced->request && strcmp(announced->request, method->request->name) != 0) ||
	    (*announced->reply && strcmp(announced->reply, method->reply->name) != 0)) {
		refusal->status = HAWSER_FAILED_PRECONDITION;
		snprintf(refusal->text, sizeof refusal->text,
			 "%s: the client sends %s and expects %s, the server takes %s and answers "
			 "%s; generate both ends from the same .proto",
			 method->name, announced->request, announced->reply, method->request->name,
			 method->reply->name);
		return true;
	}
	return false;
}

static const struct hawser__entry *find(const struct hawser__registry *registry, uint32_t id,
					const char *name)
{
	const struct hawser__entry *entry = id ? hawser__registry_find(registry, id) : NULL;

	if (!entry && name && *name)
		entry = hawser__registry_find_name(registry, name);
	return entry;
}

static void tell(struct hawser__connection *connection, const struct hawser__frame *frame,
		 const struct refusal *refusal)
{
	hawser__connection_refuse(connection, frame->id, refusal->status, "%s", refusal->text);
}

/* What cannot be kept would let the calls behind this one run, so the connection ends. */
static void keep(struct hawser__connection *connection, uint32_t method,
		 const struct refusal *refusal)
{
	struct refusal *kept;

	if (!method || hawser__map_find(&connection->refused, method))
		return;
	kept = connection->refused.count < REFUSED_MAX ? hawser__malloc(sizeof *kept) : NULL;
	if (kept)
		*kept = *refusal;
	if (!kept || hawser__map_insert(&connection->refused, method, kept) < 0) {
		free(kept);
		hawser__connection_close(connection, HAWSER__REASON__REASON_PROTOCOL_ERROR,
					 "more than %d methods are not what this end serves",
					 REFUSED_MAX);
	}
}

bool hawser__agreement_refused_before(struct hawser__connection *connection,
				      const struct hawser__frame *frame)
{
	const struct refusal *refusal;

	if (!connection->refused.count)
		return false;
	refusal = hawser__map_find(&connection->refused, frame->method);
	if (!refusal)
		return false;
	tell(connection, frame, refusal);
	return true;
}

const struct hawser__entry *hawser__agreement_check(struct hawser__connection *connection,
						    const struct hawser__frame *frame,
						    const Hawser__Method *announced)
{
	const struct hawser__registry *registry = connection->serving->registry;
	const char *name = announced ? announced->name : NULL;
	const struct hawser__entry *entry = find(registry, frame->method, name);
	Hawser__Method seen = HAWSER__METHOD__INIT;
	struct refusal refusal = {.status = HAWSER_UNIMPLEMENTED};

	if (!announced && hawser__agreement_refused_before(connection, frame))
		return NULL;
	if (entry) {
		if (!announced)
			return entry;
		/* The id that counts is the one that the call carries. */
		seen = *announced;
		seen.id = frame->method;
		if (!differs(entry->method, &seen, &refusal)) {
			free(hawser__map_remove(&connection->refused, frame->method));
			return entry;
		}
	} else {
		hawser__registry_explain(registry, name, frame->method, refusal.text,
					 sizeof refusal.text);
	}
	tell(connection, frame, &refusal);
	if (announced)
		keep(connection, frame->method, &refusal);
	return NULL;
}

bool hawser__agreement_explain(const struct hawser__registry *registry,
			       const Hawser__Method *announced, char *text, size_t size)
{
	const struct hawser__entry *entry = find(registry, announced->id, announced->name);
	struct refusal refusal;

	if (!entry) {
		hawser__registry_explain(registry, announced->name, announced->id, text, size);
		return true;
	}
	if (!differs(entry->method, announced, &refusal))
		return false;
	snprintf(text, size, "%s", refusal.text);
	return true;
}

void hawser__agreement_forget(struct hawser__map *refused)
{
	struct refusal *refusal;
	size_t at = 0;

	while ((refusal = hawser__map_next(refused, &at)))
		free(refusal);
	hawser__map_deinit(refused);
}
