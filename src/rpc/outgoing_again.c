/* Making calls again when their session was lost.
 *
 * Nothing is known then of calls that the peer may have seen. Those of idempotent methods
 * may run twice, so they are sent once more, from a copy that was kept for that. Calls that
 * never left are still in the log, and go as they are. */

#include "rpc/connection.h"
#include "rpc/outgoing.h"
#include "rpc/stream.h"
#include "util/alloc.h"
#include "util/buffer.h"
#include "wire/outbox.h"
#include <string.h>

/* A request that brings its server down must not be brought to it for ever. */
enum { TIMES_MOST = 3 };

struct hawser__again {
	struct hawser__loan *loan; /* of the request: pieces on their way borrow from it, too */
	unsigned times;            /* made again so far */
	size_t size;               /* of all this */
	size_t length, n_metadata;
	const uint8_t *request;            /* packed */
	struct hawser_metadata metadata[]; /* and behind it the bytes of all */
};

static void copy_metadata(struct hawser__again *again, const struct hawser_context *context)
{
	uint8_t *at = (uint8_t *)&again->metadata[again->n_metadata];

	for (size_t i = 0; i < again->n_metadata; i++) {
		const struct hawser_metadata *pair = &context->metadata[i];
		size_t key_length = strlen(pair->key) + 1;

		again->metadata[i] =
			(struct hawser_metadata){(char *)at, at + key_length, pair->length};
		memcpy(at, pair->key, key_length);
		at += key_length;
		if (pair->length)
			memcpy(at, pair->value, pair->length);
		at += pair->length;
	}
}

/* The request as it is lent, or packed. False without memory. */
static bool keep_request(struct hawser__again *again, const struct hawser__content *request)
{
	uint8_t *packed;

	again->length = request->length;
	again->loan = request->loan;
	again->request = request->packed;
	if (again->loan) {
		again->loan->references++;
		return true;
	}
	packed = hawser__malloc(request->length + 1);
	again->loan = packed ? hawser__loan_new(free, packed) : NULL;
	again->request = packed;
	if (!again->loan) {
		free(packed);
		return false;
	}
	hawser__expect_use(packed, request->length);
	if (request->message)
		protobuf_c_message_pack(request->message, packed);
	else if (request->length)
		memcpy(packed, request->packed, request->length);
	return true;
}

struct hawser__again *hawser__again_new(const struct hawser__content *request,
					const struct hawser_context *context)
{
	size_t n = context ? context->n_metadata : 0, bytes = 0;
	struct hawser__again *again;

	for (size_t i = 0; i < n; i++)
		bytes += strlen(context->metadata[i].key) + 1 + context->metadata[i].length;
	bytes += sizeof *again + n * sizeof *again->metadata;
	again = hawser__malloc(bytes);
	if (!again)
		return NULL;
	again->size = bytes + request->length;
	again->times = 0;
	again->n_metadata = n;
	if (!keep_request(again, request)) {
		free(again);
		return NULL;
	}
	copy_metadata(again, context);
	return again;
}

void hawser__again_free(struct hawser__again *again)
{
	if (!again)
		return;
	hawser__loan_unref(again->loan);
	free(again);
}

size_t hawser__again_size(const struct hawser__again *again)
{
	return again->size;
}

struct hawser__content hawser__again_content(const struct hawser__again *again)
{
	return (struct hawser__content){
		.packed = again->request, .length = again->length, .loan = again->loan};
}

/* Under a new id, behind the calls that wait already. */
static bool send_again(struct hawser__connection *connection, struct hawser__outgoing *outgoing)
{
	struct hawser__carrier *carrier = &connection->carrier;
	struct hawser_call *call = &outgoing->call;
	struct hawser__again *again = outgoing->again;
	uint64_t now_ms = connection->loop->now_ms, old_id = call->id, timeout_ms = 0;

	if (!again || again->times >= TIMES_MOST || call->deadline_ms <= now_ms)
		return false;
	struct hawser__content content = hawser__again_content(again);

	if (call->deadline_ms != UINT64_MAX)
		timeout_ms = call->deadline_ms - now_ms;
	hawser__call_table_remove(&connection->calls, old_id);
	/* What waits of the request, and came of the reply, belongs to the old one. */
	carrier->ops->drop(carrier, call, true);
	hawser__stream_leave(call->stream);
	hawser__stream_free(call->stream);
	call->stream = NULL;
	call->id = connection->session.next_call;
	if (hawser__call_table_insert(&connection->calls, call) == 0) {
		if (carrier->ops->send_call(carrier, call, timeout_ms, again->metadata,
					    again->n_metadata, &content) == 0) {
			hawser__session_take_call(&connection->session);
			hawser__list_move(&connection->outgoing, &outgoing->link);
			again->times++;
			outgoing->was_sent_before = true;
			return true;
		}
		hawser__call_table_remove(&connection->calls, call->id);
	}
	/* It has just been taken out, so there is room for it. */
	call->id = old_id;
	hawser__call_table_insert(&connection->calls, call);
	return false;
}

void hawser__outgoing_make_again(struct hawser__outgoing *outgoing)
{
	struct hawser__connection *connection =
		hawser__container_of(outgoing->call.carrier, struct hawser__connection, carrier);
	struct hawser_error refusal = outgoing->error;
	bool was_sent_before = outgoing->was_sent_before;

	outgoing->error = (struct hawser_error){.outcome = HAWSER_OUTCOME_UNKNOWN};
	if (send_again(connection, outgoing)) {
		/* It has not run, whatever send_again() has to assume. */
		outgoing->was_sent_before = was_sent_before;
		hawser__connection_flush_soon(connection);
		return;
	}
	hawser__outgoing_fail(outgoing, refusal.outcome, &refusal);
}

unsigned hawser__outgoing_restart(struct hawser__connection *connection,
				  const struct hawser_error *why, unsigned budget)
{
	const struct hawser__carrier *carrier = &connection->carrier;
	bool was_busy = connection->is_busy;
	struct hawser__list seen, failed;
	unsigned count = 0;

	/* Ids and frames rise along the list: those that were sent are at its beginning. */
	hawser__list_init(&seen);
	hawser__list_init(&failed);
	while (!hawser__list_empty(&connection->outgoing)) {
		struct hawser__outgoing *outgoing = hawser__container_of(
			connection->outgoing.next, struct hawser__outgoing, link);

		if (!carrier->ops->was_sent(carrier, &outgoing->call))
			break;
		hawser__list_move(&seen, &outgoing->link);
	}
	hawser__session_restart(&connection->session);
	/* The next server may be another one, and is to be told everything anew. */
	hawser__map_deinit(&connection->announced);
	connection->last_method = NULL;
	while (!hawser__list_empty(&seen)) {
		struct hawser__outgoing *outgoing =
			hawser__container_of(seen.next, struct hawser__outgoing, link);

		if (count < budget && send_again(connection, outgoing))
			count++;
		else
			hawser__list_move(&failed, &outgoing->link);
	}
	/* Only now their owners, who may do anything. */
	connection->is_busy = true;
	while (!hawser__list_empty(&failed))
		hawser__outgoing_fail(
			hawser__container_of(failed.next, struct hawser__outgoing, link),
			HAWSER_OUTCOME_UNKNOWN, why);
	if (!was_busy)
		hawser__connection_settle(connection);
	return count;
}

static struct hawser__outgoing *find_overdrawn(const struct hawser__connection *connection)
{
	struct hawser__list *link;

	list_for_each (link, &connection->outgoing) {
		struct hawser__outgoing *outgoing =
			hawser__container_of(link, struct hawser__outgoing, link);

		if (outgoing->call.outbox && hawser__outbox_is_overdrawn(outgoing->call.outbox))
			return outgoing;
	}
	return NULL;
}

void hawser__outgoing_fail_overdrawn(struct hawser__connection *connection)
{
	struct hawser__outgoing *outgoing;

	/* Its owner may do anything to the list. */
	while ((outgoing = find_overdrawn(connection))) {
		long long window = connection->session.peer_window;

		hawser__outgoing_abandon(outgoing, HAWSER_UNAVAILABLE,
					 "%s: %lld bytes of its messages waited when the session "
					 "was lost, and the next one takes %lld at first; make "
					 "the call again",
					 outgoing->call.method->name,
					 window - outgoing->call.outbox->window, window);
	}
}
