/* What becomes of a peer that takes too little of what is sent to it: of one call's messages for
 * too long, or so little of everything that too much waits for it. */

#include "rpc/connection.h"
#include "rpc/incoming.h"
#include "rpc/outgoing.h"
#include "wire/outbox.h"
#include <limits.h>
#include <stdio.h>

/* Looks so often within the time that a peer has, or without one so often for what waits. */
enum { LOOKS = 4, LOOK_LEAST_MS = 10, BYTES_LOOK_MS = 100 };

static bool is_impatient(const struct hawser__connection *connection)
{
	return connection->patience.policy != HAWSER_SLOW_PEER_WAIT;
}

unsigned hawser__connection_look_ms(const struct hawser__connection *connection)
{
	unsigned timeout_ms = connection->patience.timeout_ms;
	unsigned look_ms = timeout_ms ? timeout_ms / LOOKS : BYTES_LOOK_MS;

	if (!is_impatient(connection))
		return UINT_MAX;
	return look_ms > LOOK_LEAST_MS ? look_ms : LOOK_LEAST_MS;
}

void hawser__connection_watch_slow(struct hawser__connection *connection)
{
	struct hawser__patience *patience = &connection->patience;

	if (!is_impatient(connection) || hawser__timer_is_set(&patience->alarm.timer))
		return;
	hawser__loop_set_alarm(connection->loop, &patience->alarm,
			       connection->loop->now_ms + hawser__connection_look_ms(connection));
}

static void count(struct hawser__connection *connection)
{
	if (connection->patience.count)
		atomic_fetch_add_explicit(connection->patience.count, 1, memory_order_relaxed);
}

/* Whether the call waits for the peer, and nothing has moved for too long. With `has_moved` the log
 * has, which was perhaps all that it waits for. */
static bool is_stuck(struct hawser__connection *connection, struct hawser__outbox *outbox,
		     bool has_moved)
{
	uint64_t now_ms = connection->loop->now_ms;

	if (!outbox->first && !outbox->is_wanted) {
		outbox->stuck_ms = 0;
		return false;
	}
	if (!outbox->stuck_ms || (has_moved && hawser__outbox_is_open(outbox)))
		outbox->stuck_ms = now_ms;
	return connection->patience.timeout_ms &&
	       now_ms - outbox->stuck_ms >= connection->patience.timeout_ms;
}

/* The one that has waited longest. */
static struct hawser__outbox *find_stuck(struct hawser__connection *connection, bool *is_waiting)
{
	const struct hawser__log *log = &connection->session.log;
	uint64_t progress = log->written + log->acked;
	bool has_moved = progress != connection->patience.progress;
	struct hawser__outbox *outbox, *found = NULL;
	size_t at = 0;

	connection->patience.progress = progress;
	while ((outbox = hawser__outbox_next(&connection->session, &at))) {
		bool is_late = is_stuck(connection, outbox, has_moved);

		*is_waiting |= outbox->stuck_ms != 0;
		if (is_late && (!found || outbox->stuck_ms < found->stuck_ms))
			found = outbox;
	}
	return found;
}

/* The one that keeps the most waiting. */
static struct hawser__outbox *find_largest(struct hawser__connection *connection)
{
	struct hawser__outbox *outbox, *found = NULL;
	size_t at = 0;

	while ((outbox = hawser__outbox_next(&connection->session, &at)))
		if ((outbox->first || outbox->is_wanted) &&
		    (!found || outbox->bytes > found->bytes))
			found = outbox;
	return found;
}

static void fail_call(struct hawser__connection *connection, struct hawser__outbox *outbox,
		      const char *text)
{
	struct hawser_call *call = hawser__call_table_find(&connection->calls, outbox->id);
	uint64_t id = outbox->id;

	/* One that could not be entered for want of memory is its handler's alone. */
	if (!call && !outbox->is_left) {
		outbox->stuck_ms = 0;
		return;
	}
	count(connection);
	if (call && call->is_outgoing) {
		hawser__outgoing_abandon(hawser__container_of(call, struct hawser__outgoing, call),
					 HAWSER_RESOURCE_EXHAUSTED, "%s: %s", call->method->name,
					 text);
		return;
	}
	if (call) {
		hawser__incoming_abort(hawser__container_of(call, struct hawser__incoming, call),
				       HAWSER_RESOURCE_EXHAUSTED, text);
		return;
	}
	/* A reply that is being sent: its handler is through. */
	hawser__outbox_free(&connection->session, outbox);
	hawser__connection_fail(connection, id, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_EXECUTED,
				text);
	hawser__connection_flush_soon(connection);
}

void hawser__connection_check_slow(struct hawser__connection *connection)
{
	const struct hawser__patience *patience = &connection->patience;
	size_t backlog = hawser__session_backlog(&connection->session);
	bool is_waiting = false, is_too_much = patience->bytes && backlog > patience->bytes;
	struct hawser__outbox *outbox;
	char text[HAWSER_ERROR_MESSAGE_SIZE];
	bool was_busy;

	if (!is_impatient(connection) || connection->is_lost || connection->is_closing)
		return;
	outbox = find_stuck(connection, &is_waiting);
	if (outbox) {
		snprintf(text, sizeof text,
			 "the peer took nothing of this call's messages for %u ms (slow_peer)",
			 patience->timeout_ms);
	} else if (is_too_much) {
		outbox = find_largest(connection);
		snprintf(text, sizeof text,
			 "%zu bytes wait for the peer, the limit is %zu (slow_peer)", backlog,
			 patience->bytes);
	}
	if ((outbox || is_too_much) && patience->policy == HAWSER_SLOW_PEER_CLOSE) {
		count(connection);
		hawser__connection_close(connection, HAWSER__REASON__REASON_TOO_SLOW, "%s", text);
		return;
	}
	/* A call's end may be the connection's, which stays until it has been looked at. */
	was_busy = connection->is_busy;
	connection->is_busy = true;
	if (outbox)
		fail_call(connection, outbox, text);
	if (!connection->is_lost && (is_waiting || hawser__session_backlog(&connection->session)))
		hawser__connection_watch_slow(connection);
	connection->is_busy = was_busy;
	if (!was_busy && outbox)
		hawser__connection_settle(connection);
}
