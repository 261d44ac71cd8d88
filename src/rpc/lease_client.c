/* Leases of a client that waits, and what all have in common; lease_client.h. */

#include "rpc/lease_client.h"

#include "rpc/client.h"
#include "rpc/context.h"
#include "util/alloc.h"
#include "util/error.h"
#include <errno.h>
#include <string.h>

/* ---- both kinds ---- */

struct hawser_lease *hawser__lease_new(struct hawser_client *client, const char *resource)
{
	struct hawser_lease *lease = hawser__calloc(1, sizeof *lease);

	if (!lease)
		return NULL;
	lease->client = client;
	lease->resource = hawser__strdup(resource);
	if (!lease->resource) {
		free(lease);
		return NULL;
	}
	return lease;
}

void hawser__lease_delete(struct hawser_lease *lease)
{
	hawser_call_free(lease->release);
	hawser_call_free(lease->call);
	free(lease->resource);
	free(lease);
}

bool hawser__lease_take(struct hawser_lease *lease, const Hawser__LeaseAcquireReply *reply)
{
	bool is_new = lease->fencing != reply->fencing || lease->position != reply->position;

	lease->ticket = reply->ticket;
	lease->fencing = reply->fencing;
	lease->position = reply->position;
	return is_new;
}

void hawser__lease_take_error(struct hawser_lease *lease, struct hawser_error *error)
{
	*error = *hawser_call_error(lease->call);
	if (error->status == HAWSER_UNIMPLEMENTED)
		hawser__error_call(error, HAWSER_UNIMPLEMENTED, error->outcome,
				   "%s: nothing is exclusive on this server, so it needs no lease",
				   lease->resource);
	else if (error->status == HAWSER_OK && !lease->fencing)
		hawser__error_call(error, HAWSER_CANCELLED, HAWSER_OUTCOME_EXECUTED,
				   "%s: its place in line was given up", lease->resource);
}

enum hawser_status hawser__lease_check(struct hawser_client *client, const char *resource,
				       const char *function, struct hawser_context *context)
{
	struct hawser_error own, *error = &own;
	int r;

	if (!hawser__context_is_valid(context))
		return HAWSER_INVALID_ARGUMENT;
	hawser__context_reset(context);
	if (context)
		error = &context->error;
	if (!client || !resource) {
		hawser__error_call(error, HAWSER_INVALID_ARGUMENT, HAWSER_OUTCOME_NOT_SENT,
				   "%s: the client, the lease or a name is NULL", function);
		return HAWSER_INVALID_ARGUMENT;
	}
	r = hawser__client_check(client, error);
	if (r < 0)
		return r == -EPERM ? HAWSER_FAILED_PRECONDITION : HAWSER_INVALID_ARGUMENT;
	if (client->options.base || client->peer) {
		hawser__error_call(
			error, HAWSER_FAILED_PRECONDITION, HAWSER_OUTCOME_NOT_SENT,
			"%s: this client runs on an event_base, or is a peer's, and must not wait; "
			"use a client without one, or call hawser.Leases through stubs of "
			"lease.proto",
			function);
		return HAWSER_FAILED_PRECONDITION;
	}
	return HAWSER_OK;
}

uint64_t hawser_lease_fencing(const struct hawser_lease *lease)
{
	return lease ? lease->fencing : 0;
}

uint64_t hawser_lease_ticket(const struct hawser_lease *lease)
{
	return lease ? lease->ticket : 0;
}

unsigned hawser_lease_position(const struct hawser_lease *lease)
{
	return lease ? lease->position : 0;
}

static bool is_blocking(const struct hawser_lease *lease)
{
	return !lease->is_async;
}

/* With the lock. */
static bool is_over(const struct hawser_lease *lease)
{
	return is_blocking(lease) ? lease->is_given_up || !hawser__call_of(lease->call)->carrier
				  : lease->is_over;
}

enum hawser_lease_state hawser_lease_get_state(struct hawser_lease *lease)
{
	bool over;

	if (!lease)
		return HAWSER_LEASE_OVER;
	if (is_blocking(lease))
		pthread_mutex_lock(&lease->client->lock);
	over = is_over(lease);
	if (is_blocking(lease))
		pthread_mutex_unlock(&lease->client->lock);
	if (over)
		return HAWSER_LEASE_OVER;
	return lease->fencing ? HAWSER_LEASE_HELD : HAWSER_LEASE_WAITING;
}

const struct hawser_error *hawser_lease_error(struct hawser_lease *lease)
{
	static const struct hawser_error none = {.status = HAWSER_INVALID_ARGUMENT,
						 .message = "hawser_lease_error: it is NULL"};

	if (!lease)
		return &none;
	if (!is_blocking(lease))
		return &lease->error;
	pthread_mutex_lock(&lease->client->lock);
	/* Once, for others may be reading it. */
	if (!lease->error.status && !lease->is_given_up && is_over(lease))
		hawser__lease_take_error(lease, &lease->error);
	pthread_mutex_unlock(&lease->client->lock);
	return &lease->error;
}

void hawser_lease_free(struct hawser_lease *lease)
{
	if (!lease)
		return;
	if (lease->callback || lease->in_callback)
		hawser__lease_free_async(lease);
	else
		hawser__lease_delete(lease);
}

/* ---- waiting for it ---- */

/* It was for the waiting. */
static void lift_deadline(struct hawser_lease *lease)
{
	pthread_mutex_lock(&lease->client->lock);
	hawser__call_of(lease->call)->deadline_ms = UINT64_MAX;
	pthread_mutex_unlock(&lease->client->lock);
}

/* Until it is held, or over. */
static bool wait_for_grant(struct hawser_lease *lease, hawser_lease_position_fn *on_position,
			   void *data)
{
	Hawser__LeaseAcquireReply *reply;

	while (hawser_leases_acquire_recv(lease->call, &reply) == 1) {
		bool is_new = hawser__lease_take(lease, reply);

		hawser__lease_acquire_reply__free_unpacked(reply, NULL);
		if (lease->fencing) {
			lift_deadline(lease);
			return true;
		}
		if (is_new && on_position)
			on_position(lease->position, data);
	}
	return false;
}

static enum hawser_status no_memory(const char *resource, struct hawser_context *context)
{
	if (context)
		hawser__error_call(&context->error, HAWSER_RESOURCE_EXHAUSTED,
				   HAWSER_OUTCOME_NOT_SENT, "%s: out of memory", resource);
	return HAWSER_RESOURCE_EXHAUSTED;
}

enum hawser_status hawser_lease_acquire_watched(struct hawser_client *client, const char *resource,
						hawser_lease_position_fn *on_position, void *data,
						struct hawser_lease **lease,
						struct hawser_context *context)
{
	Hawser__LeaseAcquireRequest request = HAWSER__LEASE_ACQUIRE_REQUEST__INIT;
	enum hawser_status status = hawser__lease_check(client, lease ? resource : NULL,
							"hawser_lease_acquire", context);
	struct hawser_lease *made;

	if (status)
		return status;
	made = hawser__lease_new(client, resource);
	if (!made)
		return no_memory(resource, context);
	request.resource = made->resource;
	request.name = client->name;
	made->call = hawser_leases_acquire(client, &request, context);
	if (!made->call) {
		hawser__lease_delete(made);
		return no_memory(resource, context);
	}
	if (wait_for_grant(made, on_position, data)) {
		*lease = made;
		return HAWSER_OK;
	}
	hawser__lease_take_error(made, &made->error);
	status = made->error.status;
	if (context)
		context->error = made->error;
	hawser__lease_delete(made);
	return status;
}

enum hawser_status hawser_lease_acquire(struct hawser_client *client, const char *resource,
					struct hawser_lease **lease, struct hawser_context *context)
{
	return hawser_lease_acquire_watched(client, resource, NULL, NULL, lease, context);
}

/* ---- when it is held ---- */

enum hawser_status hawser_lease_wait(struct hawser_lease *lease)
{
	Hawser__LeaseAcquireReply *reply;
	int r;

	if (!lease || !is_blocking(lease))
		return HAWSER_INVALID_ARGUMENT;
	errno = 0;
	while ((r = hawser_leases_acquire_recv(lease->call, &reply)) == 1)
		hawser__lease_acquire_reply__free_unpacked(reply, NULL);
	if (r < 0 && (errno == EINVAL || errno == EBUSY))
		return HAWSER_INVALID_ARGUMENT;
	return hawser_lease_error(lease)->status;
}

static void note_given_up(struct hawser_lease *lease)
{
	pthread_mutex_lock(&lease->client->lock);
	lease->is_given_up = true;
	pthread_mutex_unlock(&lease->client->lock);
}

enum hawser_status hawser_lease_release(struct hawser_lease *lease, struct hawser_context *context)
{
	Hawser__LeaseReleaseRequest request = HAWSER__LEASE_RELEASE_REQUEST__INIT;
	Hawser__LeaseReleaseReply *reply;
	enum hawser_status status;

	if (lease && !is_blocking(lease))
		return hawser__lease_release_async(lease, context);
	status = hawser__lease_check(lease ? lease->client : NULL, lease ? lease->resource : NULL,
				     "hawser_lease_release", context);
	if (status || hawser_lease_get_state(lease) == HAWSER_LEASE_OVER)
		return status;
	request.resource = lease->resource;
	status = hawser_leases_release(lease->client, &request, &reply, context);
	if (status == HAWSER_OK) {
		hawser__lease_release_reply__free_unpacked(reply, NULL);
		note_given_up(lease);
	} else if (hawser_lease_get_state(lease) == HAWSER_LEASE_OVER) {
		/* It was taken away, or the session is lost: what was to be done is done. */
		hawser__context_reset(context);
		return HAWSER_OK;
	}
	return status;
}

enum hawser_status hawser_lease_hand_over(struct hawser_lease *lease, uint64_t ticket,
					  const char *name, struct hawser_context *context)
{
	Hawser__LeaseHandOverRequest request = HAWSER__LEASE_HAND_OVER_REQUEST__INIT;
	Hawser__LeaseHandOverReply *reply;
	enum hawser_status status =
		hawser__lease_check(lease ? lease->client : NULL, ticket || name ? "" : NULL,
				    "hawser_lease_hand_over", context);

	if (status)
		return status;
	request.resource = lease->resource;
	request.ticket = ticket;
	request.name = (char *)(uintptr_t)(name ? name : "");
	status = hawser_leases_hand_over(lease->client, &request, &reply, context);
	if (status == HAWSER_OK) {
		hawser__lease_hand_over_reply__free_unpacked(reply, NULL);
		note_given_up(lease);
	}
	return status;
}
