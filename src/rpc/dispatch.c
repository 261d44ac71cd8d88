/* Calls on their way through the stages; dispatch.h gives the idea. */

#include "rpc/dispatch.h"

#include "rpc/arrival.h"
#include "rpc/connection.h"
#include "rpc/dispatch_pool.h"
#include "util/alloc.h"
#include <errno.h>
#include <hawser/peer.h>

static const struct hawser__stage_ops *ops_of(const struct hawser__ticket *ticket)
{
	return ticket->incoming->serving->dispatch->stages[ticket->stage];
}

/* ---- the way ---- */

/* What lies in a frame does not stay there. */
bool hawser__ticket_keep_request(struct hawser__ticket *ticket)
{
	struct hawser__arrival *kept;

	if (!ticket->request || !ticket->request->is_view)
		return true;
	kept = hawser__arrival_keep(ticket->request);
	if (!kept)
		return false;
	ticket->request = ticket->incoming->arrival = kept;
	return true;
}

static void wait(struct hawser__ticket *ticket)
{
	struct hawser__incoming *incoming = ticket->incoming;

	ticket->is_waiting = true;
	if (!hawser__ticket_keep_request(ticket))
		hawser__dispatch_refuse(ticket, HAWSER_RESOURCE_EXHAUSTED, "out of memory");
	else if (!incoming->is_linked)
		hawser__incoming_keep(incoming);
}

/* As far as it can go now. May free the ticket. */
static void advance(struct hawser__ticket *ticket)
{
	unsigned stages = ticket->incoming->entry->stages;

	for (; ticket->stage < HAWSER__STAGES; ticket->stage++) {
		if (!(stages & 1u << ticket->stage))
			continue;
		switch (ops_of(ticket)->enter(ticket)) {
		case HAWSER__PASS:
			ticket->passed |= 1u << ticket->stage;
			break;
		case HAWSER__WAIT:
			wait(ticket);
			return;
		case HAWSER__ENDED:
			return;
		}
	}
	hawser__incoming_begin(ticket->incoming, ticket->request);
}

void hawser__dispatch_call(struct hawser__incoming *incoming, struct hawser__arrival *request)
{
	struct hawser__ticket *ticket = hawser__calloc(1, sizeof *ticket);

	if (!ticket) {
		hawser__count(&incoming->serving->refused, 1);
		hawser__incoming_abort(incoming, HAWSER_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	ticket->incoming = incoming;
	ticket->loop = incoming->serving->loop;
	ticket->request = request;
	incoming->ticket = ticket;
	/* Its handler may ask for it on another thread. */
	if (!incoming->peer)
		incoming->peer = hawser_peer_ref(incoming->connection->peer);
	advance(ticket);
}

void hawser__dispatch_arrived(struct hawser__incoming *incoming)
{
	if (!incoming->ticket)
		hawser__dispatch_call(incoming, NULL);
	else if (incoming->ticket->turn)
		hawser__pool_arrived(incoming->ticket);
}

/* ---- going on ---- */

static void resumed(struct hawser__loop *loop, struct hawser__post *post)
{
	struct hawser__ticket *ticket = hawser__container_of(post, struct hawser__ticket, post);
	struct hawser__incoming *incoming = ticket->incoming;
	struct hawser__connection *connection;
	bool was_busy;

	if (!incoming) {
		hawser__ticket_free(ticket);
		return;
	}
	/* A call that waits ends with its connection, so that is there. */
	connection = incoming->connection;
	was_busy = connection->is_busy;
	/* What the handler does to it waits until that is through. */
	connection->is_busy = true;
	ticket->is_waiting = false;
	ticket->passed |= 1u << ticket->stage++;
	if (incoming->call.deadline_ms <= loop->now_ms)
		hawser__incoming_expire(incoming);
	else
		advance(ticket);
	if (!was_busy)
		hawser__connection_settle(connection);
}

void hawser__dispatch_resume(struct hawser__ticket *ticket)
{
	ticket->post.run = resumed;
	/* A loop that takes none has ended, and all its calls with it. */
	if (hawser__loop_post(ticket->loop, &ticket->post) < 0)
		hawser__ticket_free(ticket);
}

/* ---- the end ---- */

void hawser__dispatch_refuse(struct hawser__ticket *ticket, enum hawser_status status,
			     const char *text)
{
	struct hawser__incoming *incoming = ticket->incoming;

	hawser__count(&incoming->serving->refused, 1);
	hawser__incoming_abort(incoming, status, text);
}

void hawser__dispatch_put_off(struct hawser__ticket *ticket, const char *text,
			      unsigned retry_after_ms)
{
	struct hawser__incoming *incoming = ticket->incoming;

	hawser__count(&incoming->serving->refused, 1);
	hawser__incoming_put_off(incoming, text, retry_after_ms);
}

void hawser__dispatch_withdraw(struct hawser__incoming *incoming)
{
	struct hawser__ticket *ticket = incoming->ticket;

	if (!ticket->is_waiting)
		return;
	ticket->is_waiting = false;
	if (ops_of(ticket)->withdraw(ticket) == HAWSER__PASSED) {
		/* It has to give back what it was just given. */
		ticket->passed |= 1u << ticket->stage;
		ticket->is_posted = true;
	}
}

void hawser__ticket_free(struct hawser__ticket *ticket)
{
	if (ticket->turn)
		hawser__pool_forget(ticket);
	free(ticket);
}

bool hawser__dispatch_leave(struct hawser__incoming *incoming)
{
	struct hawser__ticket *ticket = incoming->ticket;
	const struct hawser__dispatch *dispatch = incoming->serving->dispatch;

	for (unsigned stage = 0; stage < HAWSER__STAGES; stage++)
		if (ticket->passed & 1u << stage && dispatch->stages[stage]->leave)
			dispatch->stages[stage]->leave(ticket);
	if (ticket->turn && hawser__pool_finish(ticket))
		return true;
	incoming->ticket = NULL;
	if (ticket->is_posted)
		ticket->incoming = NULL;
	else
		hawser__ticket_free(ticket);
	return false;
}

/* ---- what loops share ---- */

const struct hawser__worker_pool_setup hawser__default_pool = {
	.name = "hawser",
	.max_threads = 8,
	.max_queued = 1024,
	.idle_ms = 10000,
	.now_us = hawser__now_us,
};

int hawser__dispatch_init(struct hawser__dispatch *dispatch,
			  const struct hawser__worker_pool_setup *pool)
{
	dispatch->stages[HAWSER__STAGE_POOL] = &hawser__pool_stage;
	dispatch->worker_threads = pool->max_threads;
	dispatch->worker_queue = pool->max_queued;
	dispatch->pool = hawser__worker_pool_new(pool);
	return dispatch->pool ? 0 : -ENOMEM;
}

void hawser__dispatch_stop(struct hawser__dispatch *dispatch)
{
	hawser__worker_pool_free(dispatch->pool);
	dispatch->pool = NULL;
}

void hawser__dispatch_deinit(struct hawser__dispatch *dispatch)
{
	(void)dispatch;
}
