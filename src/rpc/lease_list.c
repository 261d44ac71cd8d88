/* Who has which lease, and taking one away; lease_client.h. */

#include "rpc/client.h"
#include "rpc/lease_client.h"
#include "util/alloc.h"
#include "util/error.h"
#include <string.h>

static void take(struct hawser_lease_holder *to, const Hawser__LeaseHolder *from)
{
	*to = (struct hawser_lease_holder){
		.name = from->name,
		.peer = from->peer,
		.ticket = from->ticket,
		.fencing = from->fencing,
		.age_ms = from->age_ms,
		.calls = from->calls,
		.is_away = from->away,
		.is_call = from->is_call,
		.is_settling = from->settling,
	};
}

static bool hand_on(const Hawser__LeaseResource *from, hawser_lease_holders_fn *callback,
		    void *data)
{
	size_t n = from->n_holders + from->n_waiters;
	struct hawser_lease_holder *listed = hawser__calloc(n + 1, sizeof *listed);
	struct hawser_lease_resource resource = {
		.name = from->name,
		.max_holders = from->max_holders,
		.max_waiting = from->max_waiting,
		.n_holders = from->holding,
		.n_waiting = from->waiting,
		.n_listed_holders = (unsigned)from->n_holders,
		.n_listed_waiting = (unsigned)from->n_waiters,
	};

	if (!listed)
		return false;
	for (size_t i = 0; i < n; i++)
		take(&listed[i],
		     i < from->n_holders ? from->holders[i] : from->waiters[i - from->n_holders]);
	resource.holders = listed;
	resource.waiting = listed + from->n_holders;
	callback(&resource, data);
	free(listed);
	return true;
}

enum hawser_status hawser_lease_holders(struct hawser_client *client, const char *resource,
					hawser_lease_holders_fn *callback, void *data,
					struct hawser_context *context)
{
	Hawser__LeaseHoldersRequest request = HAWSER__LEASE_HOLDERS_REQUEST__INIT;
	Hawser__LeaseHoldersReply *reply;
	enum hawser_status status =
		hawser__lease_check(client, callback ? "" : NULL, "hawser_lease_holders", context);
	bool is_short = false;

	if (status)
		return status;
	request.resource = (char *)(uintptr_t)(resource ? resource : "");
	status = hawser_leases_holders(client, &request, &reply, context);
	if (status)
		return status;
	for (size_t i = 0; i < reply->n_resources && !is_short; i++)
		is_short = !hand_on(reply->resources[i], callback, data);
	hawser__lease_holders_reply__free_unpacked(reply, NULL);
	if (!is_short)
		return HAWSER_OK;
	if (context)
		hawser__error_call(&context->error, HAWSER_RESOURCE_EXHAUSTED,
				   HAWSER_OUTCOME_EXECUTED, "hawser_lease_holders: out of memory");
	return HAWSER_RESOURCE_EXHAUSTED;
}

enum hawser_status hawser_lease_force_release(struct hawser_client *client, const char *resource,
					      uint64_t ticket, const char *reason,
					      struct hawser_context *context)
{
	Hawser__LeaseForceReleaseRequest request = HAWSER__LEASE_FORCE_RELEASE_REQUEST__INIT;
	Hawser__LeaseForceReleaseReply *reply;
	enum hawser_status status =
		hawser__lease_check(client, resource, "hawser_lease_force_release", context);

	if (status)
		return status;
	request.resource = (char *)(uintptr_t)resource;
	request.ticket = ticket;
	request.reason = (char *)(uintptr_t)(reason ? reason : "");
	status = hawser_leases_force_release(client, &request, &reply, context);
	if (status == HAWSER_OK)
		hawser__lease_force_release_reply__free_unpacked(reply, NULL);
	return status;
}
