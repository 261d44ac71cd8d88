/* The service hawser.Leases: how claims are made and given up, and who has which.
 *
 * A lease lasts as long as its call of Acquire, which is the session's as any other: so it outlives
 * the connection, ends with the session, and its holder hears of it on the same stream. */

#include "net/socket.h"
#include "rpc/connection.h"
#include "rpc/exclusive.h"
#include "rpc/lease.hawser.h"
#include "util/alloc.h"
#include "util/log.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { LISTED_MOST = 1000 };

static struct hawser__scope *find(struct hawser__exclusives *exclusives, struct hawser_call *call,
				  const char *name)
{
	struct hawser__scope *scope = hawser__scope_find(exclusives, name);
	char offered[160] = "";
	const struct hawser__list *link;
	size_t length = 0;

	if (scope)
		return scope;
	list_for_each (link, &exclusives->scopes) {
		const char *other = hawser__container_of(link, const struct hawser__scope, link)
					    ->resource->name;
		size_t size = sizeof offered - length;
		int n = snprintf(offered + length, size, "%s%s", length ? ", " : "", other);

		/* Whole names only. */
		if ((size_t)n >= size) {
			snprintf(offered + length, size, "%s", size > 4 ? ", …" : "");
			break;
		}
		length += (size_t)n;
	}
	hawser_call_fail(call, HAWSER_NOT_FOUND,
			 "\"%.64s\": nothing of that name is exclusive here; there is %s", name,
			 offered);
	return NULL;
}

/* The standing lease of the call's session. With the lock. */
static struct hawser__lease *own(const struct hawser__scope *scope, struct hawser_call *call)
{
	const struct hawser__connection *connection = hawser__incoming_of(call)->connection;

	return connection->party ? hawser__lease_of(scope->resource, connection->party) : NULL;
}

/* A call that could not be answered for want of memory fails, which needs none. */
static void answered(struct hawser_call *call, int r)
{
	if (r == -ENOMEM)
		hawser_call_fail(call, HAWSER_RESOURCE_EXHAUSTED, "out of memory");
}

/* What comes from a peer and goes to logs and to others: one line, and whole characters. */
static void take_text(char *to, size_t size, const char *from)
{
	size_t length = strnlen(from, size - 1);

	if (from[length])
		while (length && ((uint8_t)from[length] & 0xc0) == 0x80)
			length--;
	for (size_t i = 0; i < length; i++)
		to[i] = (uint8_t)from[i] < 0x20 || from[i] == 0x7f ? '?' : from[i];
	to[length] = 0;
}

/* ---- Acquire ---- */

static void on_over(void *data)
{
	struct hawser__claim *claim = data;
	struct hawser__exclusives *exclusives = claim->scope->exclusives;

	claim->call = NULL;
	pthread_mutex_lock(&exclusives->lock);
	hawser__lease_leave(&claim->lease, claim->loop->now_ms);
	hawser__exclusives_tell(exclusives);
	hawser__claim_settle(claim);
	hawser__claim_unref(claim);
	pthread_mutex_unlock(&exclusives->lock);
}

static void on_cancel(struct hawser_call *call, void *data)
{
	(void)data;
	hawser_call_fail(call, HAWSER_CANCELLED, NULL);
}

static void on_writable(struct hawser_call *call, void *data)
{
	(void)call;
	hawser__claim_tell(data);
}

/* The deadline was for the waiting. */
static void lift_deadline(const struct hawser__claim *claim)
{
	struct hawser__incoming *incoming = hawser__incoming_of(claim->call);

	incoming->call.deadline_ms = UINT64_MAX;
	hawser__loop_clear_alarm(claim->loop, &incoming->alarm);
	hawser__loop_clear_alarm(claim->loop, (struct hawser__alarm *)(uintptr_t)&claim->alarm);
}

static void tell_state(struct hawser__claim *claim, const Hawser__LeaseAcquireReply *reply)
{
	struct hawser_call *call = claim->call;
	int r;

	if (reply->fencing)
		lift_deadline(claim);
	r = hawser_leases_acquire_reply(call, reply);
	if (r == -EAGAIN)
		r = hawser_call_on_writable(call, on_writable, claim);
	answered(call, r);
}

static void tell_end(struct hawser__claim *claim, enum hawser__lease_end end)
{
	const char *name = claim->scope->resource->name;

	if (end == HAWSER__LEASE_FORCED)
		hawser_call_fail(claim->call, HAWSER_ABORTED,
				 "the lease of %s was taken away by force: %s", name,
				 claim->reason ? claim->reason : "no reason was given");
	else
		answered(claim->call, hawser_call_end(claim->call));
}

void hawser__claim_tell(struct hawser__claim *claim)
{
	const struct hawser__incoming *incoming = hawser__incoming_of(claim->call);
	Hawser__LeaseAcquireReply reply = HAWSER__LEASE_ACQUIRE_REPLY__INIT;
	enum hawser__lease_end end;
	bool is_over;

	pthread_mutex_lock(&claim->scope->exclusives->lock);
	is_over = claim->lease.state >= HAWSER__LEASE_SETTLING;
	end = claim->lease.end;
	reply.ticket = claim->lease.ticket;
	reply.position = claim->lease.position;
	reply.fencing = claim->lease.fencing;
	pthread_mutex_unlock(&claim->scope->exclusives->lock);
	if (is_over)
		tell_end(claim, end);
	else if (incoming->serving->is_draining)
		hawser_call_fail(claim->call, HAWSER_UNAVAILABLE,
				 "the server is draining; the lease of %s ends",
				 claim->scope->resource->name);
	else
		tell_state(claim, &reply);
}

/* Why it is not to be had. With the lock. */
static enum hawser_status explain(const struct hawser__scope *scope, int r,
				  const struct hawser__lease *own, char *text, size_t size)
{
	int length;

	if (r == -EALREADY) {
		snprintf(text, size,
			 own->position ? "this session waits for %s already"
				       : "this session holds %s already; release it first",
			 scope->resource->name);
		return HAWSER_ALREADY_EXISTS;
	}
	if (r == -EBUSY) {
		length = hawser__scope_describe(scope, text, size);
		if ((size_t)length < size)
			snprintf(text + length, size - (size_t)length,
				 ", and more may not; try again later");
	} else {
		snprintf(text, size, "out of memory");
	}
	return HAWSER_RESOURCE_EXHAUSTED;
}

/* Asks for it. With the lock; the claim is the call's then. */
static int claim_it(struct hawser__claim *claim, struct hawser__lease_party *party,
		    struct hawser_call *call)
{
	int r = hawser__lease_request(&claim->lease, claim->scope->resource, party, true,
				      claim->loop->now_ms);

	if (r < 0)
		return r;
	claim->call = call;
	/* That is told here. */
	hawser__lease_hear(&claim->lease);
	if (claim->scope->max_wait_ms && claim->lease.state == HAWSER__LEASE_WAITING)
		hawser__loop_set_alarm(claim->loop, &claim->alarm,
				       claim->loop->now_ms + claim->scope->max_wait_ms);
	return 0;
}

static void on_acquire(struct hawser_call *call, const Hawser__LeaseAcquireRequest *request,
		       void *data)
{
	struct hawser__exclusives *exclusives = data;
	struct hawser__incoming *incoming = hawser__incoming_of(call);
	struct hawser__scope *scope = find(exclusives, call, request->resource);
	struct hawser__lease_party *party;
	struct hawser__claim *claim;
	enum hawser_status status = HAWSER_OK;
	char text[HAWSER_ERROR_MESSAGE_SIZE];
	int r = -ENOMEM;

	if (!scope)
		return;
	party = hawser__exclusive_party(incoming->connection);
	claim = party ? hawser__claim_new(scope, incoming) : NULL;
	pthread_mutex_lock(&exclusives->lock);
	if (claim) {
		take_text(claim->name, sizeof claim->name, request->name);
		r = claim_it(claim, party, call);
	}
	if (r < 0) {
		status = explain(scope, r, own(scope, call), text, sizeof text);
		if (claim)
			hawser__claim_unref(claim);
	}
	pthread_mutex_unlock(&exclusives->lock);
	if (r < 0) {
		hawser_call_fail(call, status, "%s", text);
		return;
	}
	hawser_call_set_data(call, claim, on_over);
	hawser_call_on_cancel(call, on_cancel, claim);
	hawser__claim_tell(claim);
}

/* ---- Release and HandOver ---- */

static int not_held(struct hawser_call *call, const struct hawser__scope *scope, bool waits)
{
	return hawser_call_fail(call, HAWSER_FAILED_PRECONDITION,
				waits ? "this session only waits for %s"
				      : "this session neither holds %s nor waits for it",
				scope->resource->name);
}

static void on_release(struct hawser_call *call, const Hawser__LeaseReleaseRequest *request,
		       void *data)
{
	struct hawser__exclusives *exclusives = data;
	struct hawser__scope *scope = find(exclusives, call, request->resource);
	Hawser__LeaseReleaseReply reply = HAWSER__LEASE_RELEASE_REPLY__INIT;
	struct hawser__lease *lease;

	if (!scope)
		return;
	pthread_mutex_lock(&exclusives->lock);
	lease = own(scope, call);
	if (lease) {
		hawser__lease_release(lease, hawser__claim_of(lease)->loop->now_ms);
		hawser__exclusives_tell(exclusives);
	}
	pthread_mutex_unlock(&exclusives->lock);
	if (lease)
		answered(call, hawser_leases_release_reply(call, &reply));
	else
		not_held(call, scope, false);
}

/* Who is meant: by ticket, or by a name of which there is one. With the lock. */
static struct hawser__lease *find_heir(const struct hawser__scope *scope,
				       const Hawser__LeaseHandOverRequest *request, unsigned *count)
{
	struct hawser__lease *found = NULL;
	const struct hawser__list *link;

	list_for_each (link, &scope->resource->waiters) {
		struct hawser__lease *lease = hawser__container_of(
			(struct hawser__list *)(uintptr_t)link, struct hawser__lease, line);

		if (!lease->is_standing ||
		    (request->ticket ? lease->ticket != request->ticket
				     : strcmp(hawser__claim_of(lease)->name, request->name) != 0))
			continue;
		++*count;
		found = lease;
	}
	return found;
}

static void on_hand_over(struct hawser_call *call, const Hawser__LeaseHandOverRequest *request,
			 void *data)
{
	struct hawser__exclusives *exclusives = data;
	struct hawser__scope *scope = find(exclusives, call, request->resource);
	Hawser__LeaseHandOverReply reply = HAWSER__LEASE_HAND_OVER_REPLY__INIT;
	struct hawser__lease *lease, *heir;
	bool is_held, waits;
	unsigned count = 0;

	if (!scope)
		return;
	pthread_mutex_lock(&exclusives->lock);
	lease = own(scope, call);
	waits = lease != NULL;
	is_held = lease && lease->state == HAWSER__LEASE_HELD;
	heir = find_heir(scope, request, &count);
	if (is_held && count == 1) {
		hawser__lease_hand_over(lease, heir, hawser__claim_of(lease)->loop->now_ms);
		hawser__exclusives_tell(exclusives);
	}
	pthread_mutex_unlock(&exclusives->lock);
	if (!is_held)
		not_held(call, scope, waits);
	else if (count > 1)
		hawser_call_fail(call, HAWSER_INVALID_ARGUMENT,
				 "%u wait for %s as \"%.64s\"; name one by its ticket, see Holders",
				 count, request->resource, request->name);
	else if (!count && request->ticket)
		hawser_call_fail(call, HAWSER_NOT_FOUND,
				 "nobody waits for %s with ticket %llu; see Holders",
				 request->resource, (unsigned long long)request->ticket);
	else if (!count)
		hawser_call_fail(call, HAWSER_NOT_FOUND,
				 "nobody waits for %s as \"%.64s\"; see Holders", request->resource,
				 request->name);
	else
		answered(call, hawser_leases_hand_over_reply(call, &reply));
}

/* ---- Holders ---- */

/* A copy of what is to be told, which lives until it was packed. */
struct listing {
	struct hawser__arena *arena;
	uint64_t now_ms;
	bool is_short; /* of memory */
};

static Hawser__LeaseHolder *list_one(struct listing *listing, const struct hawser__lease *lease)
{
	const struct hawser__claim *claim =
		hawser__claim_of((struct hawser__lease *)(uintptr_t)lease);
	Hawser__LeaseHolder *holder = hawser__arena_alloc(listing->arena, sizeof *holder);

	if (!holder)
		return NULL;
	hawser__lease_holder__init(holder);
	holder->name = hawser__arena_copy(listing->arena, claim->name, strlen(claim->name));
	holder->peer = hawser__arena_copy(listing->arena, claim->peer, strlen(claim->peer));
	if (!holder->name || !holder->peer)
		return NULL;
	holder->ticket = lease->ticket;
	holder->fencing = lease->fencing;
	/* Another loop's clock may be a little ahead. */
	holder->age_ms = listing->now_ms > lease->since_ms ? listing->now_ms - lease->since_ms : 0;
	holder->away = lease->party && lease->party->is_away;
	holder->calls = lease->n_running;
	holder->is_call = !lease->is_standing;
	holder->settling = lease->state == HAWSER__LEASE_SETTLING;
	return holder;
}

static Hawser__LeaseHolder **list_leases(struct listing *listing, const struct hawser__list *leases,
					 unsigned count, size_t *n)
{
	Hawser__LeaseHolder **holders;
	const struct hawser__list *link;

	*n = 0;
	if (count > LISTED_MOST)
		count = LISTED_MOST;
	holders = hawser__arena_alloc(listing->arena, (count + 1) * sizeof(void *));
	list_for_each (link, leases) {
		if (!holders || *n == count)
			break;
		holders[*n] = list_one(
			listing, hawser__container_of(link, const struct hawser__lease, line));
		if (!holders[*n])
			break;
		++*n;
	}
	listing->is_short |= *n < count;
	return holders;
}

static Hawser__LeaseResource *list_resource(struct listing *listing,
					    const struct hawser__scope *scope)
{
	const struct hawser__lease_resource *from = scope->resource;
	Hawser__LeaseResource *to = hawser__arena_alloc(listing->arena, sizeof *to);

	if (!to) {
		listing->is_short = true;
		return NULL;
	}
	hawser__lease_resource__init(to);
	to->name = (char *)(uintptr_t)from->name;
	to->max_holders = from->max_holders;
	to->max_waiting = from->max_waiting;
	to->holding = from->n_holders;
	to->waiting = from->n_waiting;
	to->holders = list_leases(listing, &from->holders, from->n_holders, &to->n_holders);
	to->waiters = list_leases(listing, &from->waiters, from->n_waiting, &to->n_waiters);
	return to;
}

static void on_holders(struct hawser_call *call, const Hawser__LeaseHoldersRequest *request,
		       void *data)
{
	struct hawser__exclusives *exclusives = data;
	struct hawser__incoming *incoming = hawser__incoming_of(call);
	bool is_one = request->resource[0];
	struct hawser__scope *one = is_one ? find(exclusives, call, request->resource) : NULL;
	Hawser__LeaseHoldersReply reply = HAWSER__LEASE_HOLDERS_REPLY__INIT;
	struct listing listing = {&incoming->arena, hawser__now_ms(), false};
	const struct hawser__list *link;
	size_t count = 0;

	if (is_one && !one)
		return;
	list_for_each (link, &exclusives->scopes)
		count++;
	reply.resources = hawser__arena_alloc(listing.arena, (count + 1) * sizeof(void *));
	listing.is_short = !reply.resources;
	pthread_mutex_lock(&exclusives->lock);
	list_for_each (link, &exclusives->scopes) {
		const struct hawser__scope *scope =
			hawser__container_of(link, const struct hawser__scope, link);

		if (!listing.is_short && (!one || scope == one))
			reply.resources[reply.n_resources++] = list_resource(&listing, scope);
	}
	pthread_mutex_unlock(&exclusives->lock);
	if (listing.is_short)
		hawser_call_fail(call, HAWSER_RESOURCE_EXHAUSTED, "out of memory for the list");
	else
		answered(call, hawser_leases_holders_reply(call, &reply));
}

/* ---- ForceRelease ---- */

static bool is_operator(const struct hawser__exclusives *exclusives, struct hawser_call *call,
			const char *resource)
{
	const struct hawser__connection *connection = hawser__incoming_of(call)->connection;

	if (exclusives->allows_same_user && connection->fd >= 0 &&
	    hawser__socket_peer_is_same_user(connection->fd))
		return true;
	return exclusives->is_operator &&
	       exclusives->is_operator(call, resource, exclusives->operator_data);
}

/* With the lock. */
static void force(struct hawser__claim *claim, const char *reason, const char *peer)
{
	char text[HAWSER__LEASE_REASON_BYTES + 1];

	take_text(text, sizeof text, reason);
	hawser__log(HAWSER_LOG_WARNING, "%s: the lease of %s (%s) is taken away by %s: %s",
		    claim->scope->resource->name, claim->name[0] ? claim->name : "a call",
		    claim->peer, peer, text[0] ? text : "no reason was given");
	free(claim->reason);
	claim->reason = text[0] ? hawser__strdup(text) : NULL;
	hawser__lease_force(&claim->lease, hawser__now_ms());
}

static void on_force_release(struct hawser_call *call,
			     const Hawser__LeaseForceReleaseRequest *request, void *data)
{
	struct hawser__exclusives *exclusives = data;
	struct hawser__scope *scope = find(exclusives, call, request->resource);
	Hawser__LeaseForceReleaseReply reply = HAWSER__LEASE_FORCE_RELEASE_REPLY__INIT;
	struct hawser__list *link, *following;
	uint64_t last;
	char peer[128];

	if (!scope)
		return;
	if (!is_operator(exclusives, call, request->resource)) {
		hawser_call_fail(
			call, HAWSER_PERMISSION_DENIED,
			"the server does not let you take leases away; it would have to be "
			"started with allow_force_release, or say so in "
			"hawser_server_set_operator()");
		return;
	}
	hawser_call_peer(call, peer, sizeof peer);
	pthread_mutex_lock(&exclusives->lock);
	/* Not those who get what is taken away. */
	last = scope->resource->last_fencing;
	list_for_each_safe (link, following, &scope->resource->holders) {
		struct hawser__lease *lease =
			hawser__container_of(link, struct hawser__lease, line);

		if (request->ticket ? lease->ticket != request->ticket : lease->fencing > last)
			continue;
		reply.released++;
		force(hawser__claim_of(lease), request->reason, peer);
	}
	hawser__exclusives_tell(exclusives);
	pthread_mutex_unlock(&exclusives->lock);
	if (reply.released)
		answered(call, hawser_leases_force_release_reply(call, &reply));
	else if (request->ticket)
		hawser_call_fail(call, HAWSER_NOT_FOUND,
				 "nobody holds %s with ticket %llu; see Holders", request->resource,
				 (unsigned long long)request->ticket);
	else
		hawser_call_fail(call, HAWSER_NOT_FOUND, "nobody holds %s", request->resource);
}

static const struct hawser_leases_service handlers = {
	.acquire = on_acquire,
	.release = on_release,
	.hand_over = on_hand_over,
	.holders = on_holders,
	.force_release = on_force_release,
};

const void *const hawser__leases_handlers = &handlers;
const struct hawser_service *const hawser__leases_service = &hawser_leases_descriptor;
