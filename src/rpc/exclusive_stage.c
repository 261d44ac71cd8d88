/* Claims, and the stage that calls of exclusive methods go through; exclusive.h gives the idea. */

#include "rpc/exclusive.h"

#include "rpc/connection.h"
#include "util/alloc.h"
#include "util/log.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- claims ---- */

static void on_alarm(struct hawser__alarm *alarm);
static void on_told(struct hawser__loop *loop, struct hawser__post *post);

struct hawser__claim *hawser__claim_new(struct hawser__scope *scope,
					struct hawser__incoming *incoming)
{
	struct hawser__claim *claim = hawser__calloc(1, sizeof *claim);

	if (!claim)
		return NULL;
	hawser__lease_init(&claim->lease);
	claim->scope = scope;
	claim->loop = incoming->serving->loop;
	claim->references = 1;
	claim->overdue_ms = UINT64_MAX;
	hawser__list_init(&claim->running);
	hawser__alarm_init(&claim->alarm, on_alarm);
	claim->post.run = on_told;
	if (incoming->call.carrier)
		incoming->call.carrier->ops->peer(incoming->call.carrier, claim->peer,
						  sizeof claim->peer);
	return claim;
}

void hawser__claim_unref(struct hawser__claim *claim)
{
	if (--claim->references)
		return;
	/* Only a loop that has ended lets go of one from elsewhere. */
	hawser__loop_clear_alarm(claim->loop, &claim->alarm);
	free(claim->reason);
	free(claim);
}

static void post(struct hawser__claim *claim)
{
	if (claim->is_posted)
		return;
	claim->references++;
	claim->is_posted = hawser__loop_post(claim->loop, &claim->post) == 0;
	if (!claim->is_posted)
		hawser__claim_unref(claim);
}

/* A call that waits need not know where in line; that it may run is told in another way. */
static void tell_call(struct hawser__claim *claim)
{
	if (claim->lease.state == HAWSER__LEASE_HELD && !claim->is_resumed) {
		claim->is_resumed = true;
		hawser__lease_begin_call(&claim->lease);
		hawser__dispatch_resume(claim->ticket);
	} else if (claim->lease.state == HAWSER__LEASE_OVER) {
		post(claim);
	}
}

void hawser__exclusives_tell(struct hawser__exclusives *exclusives)
{
	struct hawser__lease *lease;

	while ((lease = hawser__lease_news(&exclusives->table))) {
		struct hawser__claim *claim = hawser__claim_of(lease);

		if (lease->is_standing)
			post(claim);
		else
			tell_call(claim);
	}
}

/* ---- the end of what runs under a claim; its loop, without the lock ---- */

static void cut_call(struct hawser__ticket *ticket, const struct hawser__claim *claim)
{
	const char *name = claim->scope->resource->name;
	char text[HAWSER_ERROR_MESSAGE_SIZE];

	if (claim->lease.end == HAWSER__LEASE_FORCED || claim->reason)
		snprintf(text, sizeof text, "the lease of %s was taken away by force: %s", name,
			 claim->reason ? claim->reason : "no reason was given");
	else
		snprintf(text, sizeof text,
			 "the lease of %s was given up %u ms ago, and the call still ran under it",
			 name, claim->scope->settle_timeout_ms);
	hawser__incoming_abort(ticket->incoming, HAWSER_ABORTED, text);
}

/* The place is another's: whatever is still at work there is told that nobody waits for it. */
static void cut(struct hawser__claim *claim)
{
	while (!hawser__list_empty(&claim->running)) {
		struct hawser__ticket *ticket =
			hawser__container_of(claim->running.next, struct hawser__ticket, under);

		hawser__list_unlink(&ticket->under);
		cut_call(ticket, claim);
	}
	if (claim->ticket)
		cut_call(claim->ticket, claim);
}

static void on_told(struct hawser__loop *loop, struct hawser__post *post)
{
	struct hawser__claim *claim = hawser__container_of(post, struct hawser__claim, post);
	struct hawser__exclusives *exclusives = claim->scope->exclusives;
	enum hawser__lease_state state;

	(void)loop;
	pthread_mutex_lock(&exclusives->lock);
	claim->is_posted = false;
	state = claim->lease.state;
	hawser__claim_settle(claim);
	pthread_mutex_unlock(&exclusives->lock);
	if (state == HAWSER__LEASE_OVER)
		cut(claim);
	if (claim->call)
		hawser__claim_tell(claim);
	pthread_mutex_lock(&exclusives->lock);
	hawser__claim_unref(claim);
	pthread_mutex_unlock(&exclusives->lock);
}

void hawser__claim_settle(struct hawser__claim *claim)
{
	if (claim->lease.state != HAWSER__LEASE_SETTLING)
		return;
	hawser__loop_set_alarm(claim->loop, &claim->alarm,
			       claim->loop->now_ms + claim->scope->settle_timeout_ms);
}

/* Its calls have gone on for too long; with the lock. */
static void give_up_waiting_for(struct hawser__claim *claim)
{
	hawser__log(HAWSER_LOG_WARNING,
		    "%s: %u calls still run %u ms after %s (%s) gave up or lost interest; they are "
		    "cancelled, and it passes on",
		    claim->lease.resource->name, claim->lease.n_running,
		    claim->scope->settle_timeout_ms, claim->name[0] ? claim->name : "a caller",
		    claim->peer);
	hawser__lease_force(&claim->lease, claim->loop->now_ms);
	hawser__exclusives_tell(claim->scope->exclusives);
}

/* The claim has waited for too long; without the lock. */
static void refuse_late(struct hawser__claim *claim, const char *holders)
{
	char text[HAWSER_ERROR_MESSAGE_SIZE];

	snprintf(text, sizeof text,
		 "waited %u ms in line, the longest that is allowed here: %.180s",
		 claim->scope->max_wait_ms, holders);
	if (claim->ticket)
		hawser__dispatch_refuse(claim->ticket, HAWSER_DEADLINE_EXCEEDED, text);
	else if (claim->call)
		hawser_call_fail(claim->call, HAWSER_DEADLINE_EXCEEDED, "%s", text);
}

static void on_alarm(struct hawser__alarm *alarm)
{
	struct hawser__claim *claim = hawser__container_of(alarm, struct hawser__claim, alarm);
	struct hawser__exclusives *exclusives = claim->scope->exclusives;
	char holders[HAWSER_ERROR_MESSAGE_SIZE];
	enum hawser__lease_state state;

	pthread_mutex_lock(&exclusives->lock);
	state = claim->lease.state;
	if (state == HAWSER__LEASE_WAITING)
		hawser__scope_describe(claim->scope, holders, sizeof holders);
	else if (state == HAWSER__LEASE_SETTLING || claim->loop->now_ms >= claim->overdue_ms)
		give_up_waiting_for(claim);
	else if (claim->overdue_ms != UINT64_MAX)
		hawser__loop_set_alarm(claim->loop, alarm, claim->overdue_ms);
	pthread_mutex_unlock(&exclusives->lock);
	if (state == HAWSER__LEASE_WAITING)
		refuse_late(claim, holders);
}

/* ---- the stage ---- */

/* Under a lease that the session holds. */
static enum hawser__verdict join(struct hawser__claim *claim, struct hawser__ticket *ticket)
{
	hawser__lease_begin_call(&claim->lease);
	claim->references++;
	hawser__list_append(&claim->running, &ticket->under);
	ticket->claim = claim;
	return HAWSER__PASS;
}

/* As a call that has a lease for itself. With -ENOMEM and -EBUSY it has not. */
static int stand_in_line(struct hawser__scope *scope, struct hawser__ticket *ticket)
{
	struct hawser__incoming *incoming = ticket->incoming;
	struct hawser__lease_party *party = hawser__exclusive_party(incoming->connection);
	struct hawser__claim *claim = party ? hawser__claim_new(scope, incoming) : NULL;
	uint64_t due_ms = UINT64_MAX;
	int r = -ENOMEM;

	if (claim)
		r = hawser__lease_request(&claim->lease, scope->resource, party, false,
					  ticket->loop->now_ms);
	if (r < 0) {
		if (claim)
			hawser__claim_unref(claim);
		return r;
	}
	ticket->claim = claim;
	claim->ticket = ticket;
	hawser__lease_hear(&claim->lease);
	if (incoming->call.deadline_ms != UINT64_MAX)
		claim->overdue_ms = incoming->call.deadline_ms + scope->settle_timeout_ms;
	if (claim->lease.state == HAWSER__LEASE_HELD) {
		claim->is_resumed = true;
		hawser__lease_begin_call(&claim->lease);
	} else if (scope->max_wait_ms) {
		due_ms = claim->loop->now_ms + scope->max_wait_ms;
	}
	if (claim->overdue_ms < due_ms)
		due_ms = claim->overdue_ms;
	if (due_ms != UINT64_MAX)
		hawser__loop_set_alarm(claim->loop, &claim->alarm, due_ms);
	return 0;
}

/* Why a call does not pass. */
static enum hawser_status explain(const struct hawser__scope *scope,
				  const struct hawser__incoming *incoming,
				  const struct hawser__lease *own, int r, char *text, size_t size)
{
	const char *method = incoming->entry->method->name;
	int length = snprintf(text, size, "%s: ", method);

	if (r == -ENOMEM) {
		snprintf(text + length, size - (size_t)length, "out of memory");
		return HAWSER_RESOURCE_EXHAUSTED;
	}
	if (own) {
		snprintf(text + length, size - (size_t)length,
			 "you are number %u in line for %s; call when the lease is held",
			 own->position, scope->resource->name);
		return HAWSER_FAILED_PRECONDITION;
	}
	length += hawser__scope_describe(scope, text + length, size - (size_t)length);
	if ((size_t)length >= size)
		length = (int)size - 1;
	if (r == -EBUSY) {
		snprintf(text + length, size - (size_t)length,
			 ", and more may not; try again later");
		return HAWSER_RESOURCE_EXHAUSTED;
	}
	snprintf(text + length, size - (size_t)length,
		 "; acquire it first: hawser_lease_acquire(client, \"%s\", …)",
		 scope->resource->name);
	return HAWSER_FAILED_PRECONDITION;
}

static enum hawser__verdict enter(struct hawser__ticket *ticket)
{
	struct hawser__incoming *incoming = ticket->incoming;
	struct hawser__scope *scope = incoming->entry->scope;
	struct hawser__lease_party *party = incoming->connection->party;
	struct hawser__lease *own;
	char text[HAWSER_ERROR_MESSAGE_SIZE];
	enum hawser_status status = HAWSER_OK;
	enum hawser__verdict verdict;
	int r = 0;

	hawser__list_init(&ticket->under);
	pthread_mutex_lock(&scope->exclusives->lock);
	own = party ? hawser__lease_of(scope->resource, party) : NULL;
	if (own && own->state == HAWSER__LEASE_HELD) {
		verdict = join(hawser__claim_of(own), ticket);
	} else if (scope->policy == HAWSER_EXCLUSIVE_QUEUE &&
		   (r = stand_in_line(scope, ticket)) == 0) {
		verdict = ticket->claim->is_resumed ? HAWSER__PASS : HAWSER__WAIT;
	} else {
		status = explain(scope, incoming, r ? NULL : own, r, text, sizeof text);
		verdict = HAWSER__ENDED;
	}
	pthread_mutex_unlock(&scope->exclusives->lock);
	if (status)
		hawser__dispatch_refuse(ticket, status, text);
	return verdict;
}

/* It is over, or was never allowed to run. */
static void let_go(struct hawser__ticket *ticket)
{
	struct hawser__claim *claim = ticket->claim;

	hawser__list_unlink(&ticket->under);
	ticket->claim = NULL;
	if (claim->ticket == ticket) {
		claim->ticket = NULL;
		hawser__lease_leave(&claim->lease, claim->loop->now_ms);
	}
	hawser__exclusives_tell(claim->scope->exclusives);
	hawser__claim_unref(claim);
}

static enum hawser__withdrawal withdraw(struct hawser__ticket *ticket)
{
	struct hawser__exclusives *exclusives = ticket->claim->scope->exclusives;
	bool is_late;

	pthread_mutex_lock(&exclusives->lock);
	is_late = ticket->claim->is_resumed;
	if (!is_late)
		let_go(ticket);
	pthread_mutex_unlock(&exclusives->lock);
	return is_late ? HAWSER__PASSED : HAWSER__WITHDRAWN;
}

static void leave(struct hawser__ticket *ticket)
{
	struct hawser__claim *claim = ticket->claim;
	struct hawser__exclusives *exclusives = claim->scope->exclusives;

	pthread_mutex_lock(&exclusives->lock);
	hawser__lease_end_call(&claim->lease, claim->loop->now_ms);
	let_go(ticket);
	pthread_mutex_unlock(&exclusives->lock);
}

const struct hawser__stage_ops hawser__exclusive_stage = {
	.enter = enter,
	.withdraw = withdraw,
	.leave = leave,
};

uint64_t hawser_call_fencing(const struct hawser_call *call)
{
	const struct hawser__incoming *incoming = hawser__incoming_of(call);
	const struct hawser__ticket *ticket = incoming ? incoming->ticket : NULL;

	return ticket && ticket->claim ? ticket->claim->lease.fencing : 0;
}
