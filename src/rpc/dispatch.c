/* Calls on their way through the stages; dispatch.h gives the idea. */

#include "rpc/dispatch.h"

#include "rpc/arrival.h"
#include "rpc/connection.h"
#include "util/alloc.h"

static const struct hawser__stage_ops *ops_of(const struct hawser__ticket *ticket)
{
	return ticket->incoming->serving->dispatch->stages[ticket->stage];
}

/* ---- the way ---- */

/* What lies in a frame does not stay there. */
static bool keep_request(struct hawser__ticket *ticket)
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
	if (!keep_request(ticket))
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
	advance(ticket);
}

void hawser__dispatch_arrived(struct hawser__incoming *incoming)
{
	if (!incoming->ticket)
		hawser__dispatch_call(incoming, NULL);
}

/* ---- going on ---- */

static void resumed(struct hawser__loop *loop, struct hawser__post *post)
{
	struct hawser__ticket *ticket = hawser__container_of(post, struct hawser__ticket, post);
	struct hawser__incoming *incoming = ticket->incoming;
	struct hawser__connection *connection;
	bool was_busy;

	if (!incoming) {
		free(ticket);
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
		free(ticket);
}

/* ---- the end ---- */

void hawser__dispatch_refuse(struct hawser__ticket *ticket, enum hawser_status status,
			     const char *text)
{
	struct hawser__incoming *incoming = ticket->incoming;

	hawser__count(&incoming->serving->refused, 1);
	hawser__incoming_abort(incoming, status, text);
}

void hawser__dispatch_withdraw(struct hawser__incoming *incoming)
{
	struct hawser__ticket *ticket = incoming->ticket;

	if (!ticket->is_waiting)
		return;
	ticket->is_waiting = false;
	switch (ops_of(ticket)->withdraw(ticket)) {
	case HAWSER__WITHDRAWN:
		break;
	case HAWSER__PASSED:
		/* It has to give back what it was just given. */
		ticket->passed |= 1u << ticket->stage;
		ticket->is_posted = true;
		break;
	case HAWSER__BEGUN:
		incoming->is_handed = incoming->has_run = true;
		break;
	}
}

void hawser__dispatch_leave(struct hawser__incoming *incoming)
{
	struct hawser__ticket *ticket = incoming->ticket;
	const struct hawser__dispatch *dispatch = incoming->serving->dispatch;

	incoming->ticket = NULL;
	for (unsigned stage = 0; stage < HAWSER__STAGES; stage++)
		if (ticket->passed & 1u << stage && dispatch->stages[stage]->leave)
			dispatch->stages[stage]->leave(ticket);
	if (ticket->is_posted)
		ticket->incoming = NULL;
	else
		free(ticket);
}
