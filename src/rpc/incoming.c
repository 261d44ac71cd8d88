/* How a call comes in, is checked, and reaches its handler; and how it is cancelled. */

#include "rpc/incoming.h"

#include "rpc/agreement.h"
#include "rpc/connection.h"
#include "rpc/metadata.h"
#include "util/log.h"
#include <errno.h>
#include <hawser/version.h>
#include <string.h>

/* ---- cancellation and deadlines ---- */

void hawser__incoming_cancel(struct hawser__connection *connection, uint64_t id)
{
	struct hawser_call *call = hawser__call_table_find(&connection->calls, id);

	/* It may have ended while the cancel was under way. */
	if (call && !call->is_outgoing)
		hawser__incoming_cancelled(
			hawser__container_of(call, struct hawser__incoming, call));
}

static void on_deadline(struct hawser__alarm *alarm)
{
	/* Without what the handler may be adding at this moment, on another thread. */
	static const struct hawser__end end = {
		.status = HAWSER_DEADLINE_EXCEEDED,
		.outcome = HAWSER_OUTCOME_EXECUTED,
		.text = "the deadline passed before the handler answered",
	};
	struct hawser__incoming *incoming =
		hawser__container_of(alarm, struct hawser__incoming, alarm);
	struct hawser__carrier *carrier = incoming->call.carrier;

	if (!carrier)
		return;
	if (carrier->ops->send_end(carrier, &incoming->call, &end, NULL, NULL, 0) == 0)
		hawser__connection_flush_soon(incoming->connection);
	hawser__incoming_cancelled(incoming);
}

uint32_t hawser__incoming_count_awaited(const struct hawser__connection *connection)
{
	const struct hawser__list *link;
	uint32_t count = 0;

	list_for_each (link, &connection->incoming)
		count += hawser__container_of(link, const struct hawser__incoming, link)
				 ->call.carrier != NULL;
	return count;
}

void hawser__incoming_detach_all(struct hawser__connection *connection)
{
	while (!hawser__list_empty(&connection->incoming)) {
		struct hawser__incoming *incoming = hawser__container_of(
			connection->incoming.next, struct hawser__incoming, link);

		hawser__incoming_leave_wire(incoming);
		incoming->connection = NULL;
		incoming->is_linked = false;
		hawser__list_unlink(&incoming->link);
		hawser__loop_clear_alarm(incoming->serving->loop, &incoming->alarm);
		connection->n_incoming--;
		hawser__incoming_cancelled(incoming);
	}
}

/* ---- arrival ---- */

/* The rare part of a call: an announcement, metadata, a method by name or unknown. Returns 0 when
 * the call goes on; else the peer has been told. */
static int examine(struct hawser__connection *connection, const struct hawser__frame *frame,
		   const struct hawser__entry **entry, struct hawser__incoming *incoming)
{
	ProtobufCAllocator allocator = hawser__arena_allocator(&incoming->arena);
	Hawser__Call *call = hawser__call__unpack(&allocator, frame->body_length, frame->body);
	int r;

	if (!call) {
		hawser__connection_refuse(connection, frame->id, HAWSER_INVALID_ARGUMENT,
					  "the call's header is not valid");
		return -EINVAL;
	}
	*entry = hawser__agreement_check(connection, frame, call->announce);
	if (!*entry)
		return -EINVAL;
	if (call->n_metadata) {
		r = hawser__metadata_take(call->metadata, call->n_metadata, &incoming->arena,
					  &incoming->call.metadata);
		if (r == -EINVAL)
			hawser__connection_refuse(connection, frame->id, HAWSER_INVALID_ARGUMENT,
						  "%s: a key of its metadata is not valid",
						  (*entry)->method->name);
		else if (r < 0)
			hawser__connection_refuse(connection, frame->id, HAWSER_RESOURCE_EXHAUSTED,
						  "%s: more metadata than %d pairs or %d bytes",
						  (*entry)->method->name, HAWSER__METADATA_MAX,
						  HAWSER__METADATA_BYTES);
		if (r < 0)
			return r;
		incoming->call.n_metadata = call->n_metadata;
	}
	return 0;
}

static size_t request_limit(const struct hawser__serving *serving,
			    const struct hawser_method *method)
{
	return method->max_request_bytes && method->max_request_bytes < serving->max_request_bytes
		       ? method->max_request_bytes
		       : serving->max_request_bytes;
}

static int refuse_size(struct hawser__connection *connection, const struct hawser__frame *frame,
		       const struct hawser_method *method)
{
	return hawser__connection_refuse(connection, frame->id, HAWSER_RESOURCE_EXHAUSTED,
					 "%s: the request has %zu bytes, the limit is %zu",
					 method ? method->name : "the call", frame->payload_length,
					 method ? request_limit(connection->serving, method)
						: connection->serving->max_request_bytes);
}

/* Whether the server can take any call now; if not, the peer has been told. */
static bool admit(struct hawser__connection *connection, const struct hawser__frame *frame,
		  const struct hawser_method *method)
{
	struct hawser__serving *serving = connection->serving;

	if (serving->is_draining || connection->is_draining) {
		hawser__connection_refuse(connection, frame->id, HAWSER_UNAVAILABLE,
					  "%s: the server is draining", method->name);
		return false;
	}
	if (connection->n_incoming >= serving->max_calls) {
		hawser__connection_refuse(connection, frame->id, HAWSER_RESOURCE_EXHAUSTED,
					  "%s: %u calls are in flight on this connection, the "
					  "limit is %u",
					  method->name, connection->n_incoming, serving->max_calls);
		return false;
	}
	if (connection->session.log.frames.length > connection->max_log) {
		hawser__connection_refuse(
			connection, frame->id, HAWSER_RESOURCE_EXHAUSTED,
			"%s: %zu bytes wait for the client to take or acknowledge "
			"them, the limit is %zu",
			method->name, connection->session.log.frames.length, connection->max_log);
		return false;
	}
	if (method->kind & HAWSER_CLIENT_STREAM) {
		hawser__connection_refuse(connection, frame->id, HAWSER_UNIMPLEMENTED,
					  "%s: this version of Hawser (" HAWSER_VERSION
					  ") does not run streams of requests yet",
					  method->name);
		return false;
	}
	if (frame->payload_length > request_limit(serving, method)) {
		refuse_size(connection, frame, method);
		return false;
	}
	return true;
}

/* The handler returned without an answer: enter the call where others find it. */
static void keep(struct hawser__incoming *incoming)
{
	struct hawser__connection *connection = incoming->connection;

	if (!connection)
		return;
	if (hawser__call_table_insert_peers(&connection->calls, &incoming->call) < 0) {
		/* It cannot be cancelled, then; everything else works. */
		hawser__log(HAWSER_LOG_WARNING, "%s: out of memory: a call cannot be cancelled",
			    incoming->call.method->name);
	}
	hawser__list_append(&connection->incoming, &incoming->link);
	incoming->is_linked = true;
	if (incoming->call.deadline_ms != UINT64_MAX)
		hawser__loop_set_alarm(connection->loop, &incoming->alarm,
				       incoming->call.deadline_ms);
}

static void serve(struct hawser__incoming *incoming, const struct hawser__entry *entry)
{
	incoming->in_handler = true;
	entry->method->serve(entry->handlers, hawser__incoming_handle(incoming), incoming->request,
			     entry->data);
	incoming->in_handler = false;
	/* finish() has taken the request away if the answer has gone. */
	if (!incoming->request)
		hawser__slot_release(incoming);
	else
		keep(incoming);
}

int hawser__incoming_call(struct hawser__connection *connection, const struct hawser__frame *frame)
{
	struct hawser__serving *serving = connection->serving;
	const struct hawser__entry *entry;
	struct hawser__incoming *incoming;
	ProtobufCAllocator allocator;

	if (!serving)
		return hawser__connection_refuse(connection, frame->id, HAWSER_UNIMPLEMENTED,
						 "this peer offers no services");
	hawser__count(&serving->calls, 1);
	entry = hawser__registry_find(serving->registry, frame->method);
	incoming = hawser__slot_take(serving);
	if (!incoming)
		return hawser__connection_refuse(connection, frame->id, HAWSER_RESOURCE_EXHAUSTED,
						 "out of memory");
	incoming->call.metadata = NULL;
	incoming->call.n_metadata = 0;
	if (frame->more || !entry) {
		if (examine(connection, frame, &entry, incoming) < 0)
			goto refused;
	} else if (hawser__agreement_refused_before(connection, frame)) {
		goto refused;
	}
	if (!admit(connection, frame, entry->method))
		goto refused;

	allocator = hawser__arena_allocator(&incoming->arena);
	incoming->request = protobuf_c_message_unpack(entry->method->request, &allocator,
						      frame->payload_length, frame->payload);
	if (!incoming->request) {
		if (incoming->arena.exhausted)
			hawser__connection_refuse(connection, frame->id, HAWSER_RESOURCE_EXHAUSTED,
						  "%s: the request of %zu bytes unpacks to more "
						  "than %zu",
						  entry->method->name, frame->payload_length,
						  incoming->arena.limit);
		else
			hawser__connection_refuse(connection, frame->id, HAWSER_INVALID_ARGUMENT,
						  "%s: these %zu bytes are no valid %s",
						  entry->method->name, frame->payload_length,
						  entry->method->request->name);
		goto refused;
	}

	incoming->call.method = entry->method;
	incoming->call.carrier = &connection->carrier;
	incoming->call.id = frame->id;
	incoming->call.deadline_ms = frame->timeout_ms && frame->timeout_ms < UINT32_MAX * 1000ull
					     ? connection->loop->now_ms + frame->timeout_ms
					     : UINT64_MAX;
	incoming->call.is_outgoing = false;
	incoming->is_linked = false;
	incoming->entry = entry;
	incoming->connection = connection;
	hawser__alarm_init(&incoming->alarm, on_deadline);
	incoming->extras = NULL;
	incoming->on_cancel = NULL;
	if (entry->method->kind & HAWSER_SERVER_STREAM) {
		atomic_store_explicit(&incoming->window, (long long)connection->peer_window,
				      memory_order_relaxed);
		atomic_store_explicit(&incoming->is_stalled, false, memory_order_relaxed);
		incoming->on_writable = NULL;
	}
	connection->n_incoming++;
	hawser__count(&serving->in_flight, 1);
	serve(incoming, entry);
	return 0;

refused:
	hawser__count(&serving->refused, 1);
	hawser__count(&serving->failed, 1);
	hawser__slot_release(incoming);
	return 0;
}

int hawser__incoming_oversized(struct hawser__connection *connection,
			       const struct hawser__frame *frame)
{
	const struct hawser__entry *entry;

	if (!connection->serving)
		return hawser__incoming_call(connection, frame);
	hawser__count(&connection->serving->calls, 1);
	hawser__count(&connection->serving->refused, 1);
	hawser__count(&connection->serving->failed, 1);
	entry = hawser__registry_find(connection->serving->registry, frame->method);
	return refuse_size(connection, frame, entry ? entry->method : NULL);
}
