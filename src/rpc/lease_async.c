/* Leases of a client on an event_base: everything happens on its thread; lease_client.h. */

#include "rpc/lease_client.h"

#include "rpc/client.h"
#include "rpc/context.h"
#include "rpc/outgoing.h"
#include "util/error.h"
#include <errno.h>

static void tell(struct hawser_lease *lease, enum hawser_lease_state state)
{
	hawser_lease_fn *callback = lease->callback;

	if (state == HAWSER_LEASE_OVER)
		lease->callback = NULL;
	if (!callback)
		return;
	lease->in_callback++;
	callback(lease, state, lease->data);
	lease->in_callback--;
	if (lease->is_freed && !lease->in_callback)
		hawser__lease_delete(lease);
}

static void on_reply(struct hawser_call *call, const Hawser__LeaseAcquireReply *reply, void *data)
{
	struct hawser_lease *lease = data;

	/* Also if it is called before the stub has returned. */
	lease->call = call;
	if (!reply) {
		lease->is_over = true;
		lease->position = 0;
		hawser__loop_clear_alarm(lease->client->loop, &lease->alarm);
		if (lease->is_late)
			hawser__error_call(&lease->error, HAWSER_DEADLINE_EXCEEDED,
					   HAWSER_OUTCOME_NOT_EXECUTED,
					   "%s: the deadline passed while it waited in line",
					   lease->resource);
		else if (!lease->is_given_up || !lease->fencing)
			hawser__lease_take_error(lease, &lease->error);
		tell(lease, HAWSER_LEASE_OVER);
	} else if (hawser__lease_take(lease, reply)) {
		if (lease->fencing)
			hawser__loop_clear_alarm(lease->client->loop, &lease->alarm);
		tell(lease, lease->fencing ? HAWSER_LEASE_HELD : HAWSER_LEASE_WAITING);
	}
}

static void on_alarm(struct hawser__alarm *alarm)
{
	struct hawser_lease *lease = hawser__container_of(alarm, struct hawser_lease, alarm);

	lease->is_late = true;
	hawser_call_cancel(lease->call);
}

struct hawser_lease *hawser_lease_acquire_async(struct hawser_client *client, const char *resource,
						hawser_lease_fn *callback, void *data,
						const struct hawser_context *context)
{
	Hawser__LeaseAcquireRequest request = HAWSER__LEASE_ACQUIRE_REQUEST__INIT;
	struct hawser_context own = HAWSER_CONTEXT_INIT;
	struct hawser_lease *lease;
	uint64_t deadline_ms;

	if (hawser__client_check(client, NULL) < 0 || !resource || !callback ||
	    !client->options.base || !hawser__context_is_valid(context)) {
		errno = EINVAL;
		return NULL;
	}
	lease = hawser__lease_new(client, resource);
	if (!lease) {
		errno = ENOMEM;
		return NULL;
	}
	lease->is_async = true;
	lease->callback = callback;
	lease->data = data;
	hawser__alarm_init(&lease->alarm, on_alarm);
	/* The call lasts as long as the lease; only the waiting has a deadline. */
	own.timeout_ms = HAWSER_NO_DEADLINE;
	if (context) {
		own.metadata = context->metadata;
		own.n_metadata = context->n_metadata;
	}
	deadline_ms = hawser__outgoing_deadline(&hawser_leases_descriptor.methods[0], context,
						client->options.timeout_ms,
						hawser__loop_update_now(client->loop));
	request.resource = lease->resource;
	request.name = client->name;
	lease->call = hawser_leases_acquire_async(client, &request, on_reply, lease, &own);
	if (!lease->call) {
		int saved = errno;

		hawser__lease_delete(lease);
		errno = saved;
		return NULL;
	}
	if (deadline_ms != UINT64_MAX)
		hawser__loop_set_alarm(client->loop, &lease->alarm, deadline_ms);
	return lease;
}

/* What becomes of the lease shows on its own call, which may have ended. If the server could not
 * even be asked, that call is given up. */
static void on_released(struct hawser_call *call, const Hawser__LeaseReleaseReply *reply,
			void *data)
{
	struct hawser_lease *lease = data;

	lease->release = NULL;
	hawser_call_free(call);
	if (!reply && !lease->is_over)
		hawser_call_cancel(lease->call);
}

enum hawser_status hawser__lease_release_async(struct hawser_lease *lease,
					       const struct hawser_context *context)
{
	Hawser__LeaseReleaseRequest request = HAWSER__LEASE_RELEASE_REQUEST__INIT;

	if (!hawser__context_is_valid(context))
		return HAWSER_INVALID_ARGUMENT;
	if (lease->is_over || lease->release)
		return HAWSER_OK;
	request.resource = lease->resource;
	lease->release =
		hawser_leases_release_async(lease->client, &request, on_released, lease, context);
	if (!lease->release)
		return errno == ENOMEM ? HAWSER_RESOURCE_EXHAUSTED : HAWSER_UNAVAILABLE;
	lease->is_given_up = true;
	return HAWSER_OK;
}

void hawser__lease_free_async(struct hawser_lease *lease)
{
	lease->callback = NULL;
	if (lease->in_callback) {
		lease->is_freed = true;
		return;
	}
	hawser__loop_clear_alarm(lease->client->loop, &lease->alarm);
	hawser__lease_delete(lease);
}
