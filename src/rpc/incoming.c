/* How a call comes in, is checked, and reaches its handler; and how it is cancelled. */

#include "rpc/incoming.h"

#include "rpc/agreement.h"
#include "rpc/connection.h"
#include "rpc/dispatch.h"
#include "rpc/metadata.h"
#include "rpc/stream.h"
#include "util/log.h"
#include "util/unpack.h"
#include "wire/outbox.h"
#include <errno.h>
#include <hawser/peer.h>
#include <stdio.h>
#include <string.h>

/* ---- cancellation and deadlines ---- */

void hawser__incoming_cancel(struct hawser__connection *connection, uint64_t id)
{
	struct hawser_call *call = hawser__call_table_find(&connection->calls, id);
	struct hawser__outbox *outbox;

	if (call && !call->is_outgoing) {
		hawser__incoming_cancelled(
			hawser__container_of(call, struct hawser__incoming, call));
		return;
	}
	/* It has ended, while the cancel was under way; but perhaps its reply is still to be sent.
	 */
	outbox = hawser__outbox_find(&connection->session, id);
	if (outbox && outbox->is_left)
		hawser__outbox_free(&connection->session, outbox);
}

static const struct hawser__content nothing = {.length = 0};

/* Without what the handler may be adding at this moment, on another thread. */
static void abort_call(struct hawser__incoming *incoming, const struct hawser__end *end)
{
	struct hawser__carrier *carrier = incoming->call.carrier;
	struct hawser__connection *connection = incoming->connection;
	bool was_busy, is_told;

	if (!carrier)
		return;
	/* Whatever the end of the call does to its connection waits until that is looked at. */
	was_busy = connection->is_busy;
	connection->is_busy = true;
	/* Nor with what it said that has not left yet. */
	carrier->ops->drop(carrier, &incoming->call, false);
	is_told = carrier->ops->send_end(carrier, &incoming->call, end, &nothing) == 0;
	hawser__incoming_cancelled(incoming);
	/* Else the peer learns it from the end of the connection. */
	if (!is_told)
		hawser__connection_lose(connection, HAWSER_RESOURCE_EXHAUSTED, -ENOMEM,
					"out of memory");
	connection->is_busy = was_busy;
	if (!was_busy)
		hawser__connection_settle(connection);
}

/* Whether its handler has run, or runs. One that waits for that does so no longer. */
static bool has_begun(struct hawser__incoming *incoming)
{
	if (incoming->ticket)
		hawser__dispatch_withdraw(incoming);
	return incoming->is_handed || incoming->has_run;
}

void hawser__incoming_expire(struct hawser__incoming *incoming)
{
	bool had_ticket = incoming->ticket, has_run = has_begun(incoming);
	struct hawser__end end = {
		.status = HAWSER_DEADLINE_EXCEEDED,
		.outcome = has_run ? HAWSER_OUTCOME_EXECUTED : HAWSER_OUTCOME_NOT_EXECUTED,
		.text = has_run      ? "the deadline passed before the handler answered"
			: had_ticket ? "the deadline passed before it was the call's turn"
				     : "the deadline passed before the request was there",
	};

	abort_call(incoming, &end);
}

static void on_deadline(struct hawser__alarm *alarm)
{
	hawser__incoming_expire(hawser__container_of(alarm, struct hawser__incoming, alarm));
}

void hawser__incoming_abort(struct hawser__incoming *incoming, enum hawser_status status,
			    const char *text)
{
	struct hawser__end end = {
		.status = status,
		.outcome =
			has_begun(incoming) ? HAWSER_OUTCOME_EXECUTED : HAWSER_OUTCOME_NOT_EXECUTED,
		.text = text,
	};

	abort_call(incoming, &end);
}

void hawser__incoming_put_off(struct hawser__incoming *incoming, const char *text,
			      unsigned retry_after_ms)
{
	struct hawser__end end = {
		.status = HAWSER_RESOURCE_EXHAUSTED,
		.outcome = HAWSER_OUTCOME_NOT_EXECUTED,
		.text = text,
		.retry_after_ms = retry_after_ms,
	};

	abort_call(incoming, &end);
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
	Hawser__Call *call = (Hawser__Call *)(void *)hawser__unpack(
		&hawser__call__descriptor, &incoming->arena, frame->body, frame->body_length);
	int r;

	if (!call && errno == EBADMSG) {
		hawser__connection_refuse(connection, frame->id, HAWSER_INVALID_ARGUMENT,
					  "the call's header is not valid");
		return -EINVAL;
	}
	if (!call) {
		hawser__connection_refuse(connection, frame->id, HAWSER_RESOURCE_EXHAUSTED,
					  "%s to unpack the call's header of %zu bytes",
					  errno == ENOMEM ? "out of memory" : "it takes too much",
					  frame->body_length);
		return -ENOMEM;
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
		else if (r == -ENOMEM)
			hawser__connection_refuse(connection, frame->id, HAWSER_RESOURCE_EXHAUSTED,
						  "%s: out of memory for its metadata",
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

/* Of the whole request, also if it is still to come. */
static size_t request_length(const struct hawser__frame *frame)
{
	return frame->size > frame->payload_length ? (size_t)frame->size : frame->payload_length;
}

static int refuse_size(struct hawser__connection *connection, const struct hawser__frame *frame,
		       const struct hawser_method *method)
{
	return hawser__connection_refuse(connection, frame->id, HAWSER_RESOURCE_EXHAUSTED,
					 "%s: the request has %zu bytes, the limit is %zu",
					 method ? method->name : "the call", request_length(frame),
					 method ? request_limit(connection->serving, method)
						: connection->serving->max_request_bytes);
}

/* Whether the server can take any call now; if not, the peer has been told. */
static bool admit(struct hawser__connection *connection, const struct hawser__frame *frame,
		  const struct hawser_method *method)
{
	struct hawser__serving *serving = connection->serving;

	if (serving->is_draining || connection->is_draining) {
		hawser__connection_refuse(connection, frame->id, HAWSER_UNAVAILABLE, "%s: the %s",
					  method->name,
					  serving->is_draining && !connection->session.is_server
						  ? "client is being freed"
						  : "server is draining");
		return false;
	}
	if (connection->n_incoming >= serving->max_calls) {
		hawser__connection_refuse(connection, frame->id, HAWSER_RESOURCE_EXHAUSTED,
					  "%s: %u calls are in flight on this connection, the "
					  "limit is %u",
					  method->name, connection->n_incoming, serving->max_calls);
		return false;
	}
	/* One reply that takes its time is no reason to refuse others. */
	if (connection->session.log.frames.length > connection->max_log ||
	    connection->session.waiting_bytes > connection->max_log + connection->max_reply) {
		hawser__connection_refuse(
			connection, frame->id, HAWSER_RESOURCE_EXHAUSTED,
			"%s: %zu bytes wait for the client to take or acknowledge "
			"them, the limit is %zu",
			method->name, hawser__session_backlog(&connection->session),
			connection->max_log);
		return false;
	}
	if (method->kind & HAWSER_CLIENT_STREAM && (frame->payload_length || frame->size)) {
		hawser__connection_refuse(connection, frame->id, HAWSER_INVALID_ARGUMENT,
					  "%s: its requests are a stream, and come behind the call",
					  method->name);
		return false;
	}
	if (request_length(frame) > request_limit(serving, method)) {
		refuse_size(connection, frame, method);
		return false;
	}
	if (frame->size && frame->payload_length) {
		hawser__connection_refuse(
			connection, frame->id, HAWSER_INVALID_ARGUMENT,
			"%s: a request that comes in pieces begins behind the call", method->name);
		return false;
	}
	return true;
}

void hawser__incoming_keep(struct hawser__incoming *incoming)
{
	struct hawser__connection *connection = incoming->connection;
	bool is_found;

	if (!connection)
		return;
	is_found = hawser__call_table_insert_peers(&connection->calls, &incoming->call) == 0;
	hawser__list_append(&connection->incoming, &incoming->link);
	incoming->is_linked = true;
	if (!incoming->peer)
		incoming->peer = hawser_peer_ref(connection->peer);
	if (incoming->call.deadline_ms != UINT64_MAX)
		hawser__loop_set_alarm(connection->loop, &incoming->alarm,
				       incoming->call.deadline_ms);
	if (is_found)
		return;
	/* Its messages and windows would not reach it. */
	if (incoming->call.stream)
		hawser__incoming_abort(incoming, HAWSER_RESOURCE_EXHAUSTED, "out of memory");
	else
		/* It cannot be cancelled, then; everything else works. */
		hawser__log(HAWSER_LOG_WARNING, "%s: out of memory: a call cannot be cancelled",
			    incoming->call.method->name);
}

void hawser__incoming_handle_request(struct hawser__incoming *incoming,
				     const ProtobufCMessage *message,
				     const struct hawser__arrival *arrival)
{
	const struct hawser__entry *entry = incoming->entry;
	struct hawser_call *handle = hawser__incoming_handle(incoming);

	if (entry->raw && arrival)
		/* NULL is not the empty request, but the end of them. */
		entry->raw(handle, arrival->packed ? arrival->packed : (const uint8_t *)"",
			   arrival->length, entry->raw_data);
	else if (entry->raw)
		entry->raw(handle, NULL, 0, entry->raw_data);
	else
		entry->method->serve(entry->handlers, handle, message, entry->data);
}

static void run_handler(struct hawser__incoming *incoming, const ProtobufCMessage *message,
			const struct hawser__arrival *arrival)
{
	incoming->in_handler = incoming->has_run = true;
	hawser__incoming_handle_request(incoming, message, arrival);
	incoming->in_handler = false;
}

/* What is wrong with a request that does not unpack, by hawser__unpack()'s errno. */
static enum hawser_status explain(const struct hawser__incoming *incoming,
				  const struct hawser__arena *arena,
				  const struct hawser__arrival *arrival, char *text, size_t size)
{
	const struct hawser_method *method = incoming->entry->method;

	if (errno == EMSGSIZE) {
		snprintf(text, size, "%s: the request of %zu bytes unpacks to more than %zu",
			 method->name, arrival->size, arena->limit);
		return HAWSER_RESOURCE_EXHAUSTED;
	}
	if (errno == ENOMEM) {
		snprintf(text, size, "%s: out of memory to unpack the request of %zu bytes",
			 method->name, arrival->size);
		return HAWSER_RESOURCE_EXHAUSTED;
	}
	snprintf(text, size, "%s: these %zu bytes are no valid %s", method->name, arrival->size,
		 method->request->name);
	return HAWSER_INVALID_ARGUMENT;
}

enum hawser_status hawser__incoming_unpack(struct hawser__incoming *incoming,
					   struct hawser__arrival *arrival, char *text, size_t size)
{
	if (!arrival->type) {
		/* What lies in a frame does not stay there. */
		if (arrival->is_view)
			arrival->packed = (uint8_t *)hawser__arena_copy(
				&incoming->arena, arrival->packed, arrival->length);
		if (arrival->packed)
			return HAWSER_OK;
		snprintf(text, size, "out of memory");
		return HAWSER_RESOURCE_EXHAUSTED;
	}
	incoming->request = hawser__arrival_unpack(arrival, &incoming->arena);
	if (incoming->request)
		return HAWSER_OK;
	return explain(incoming, &incoming->arena, arrival, text, size);
}

enum hawser_status hawser__incoming_unpack_message(const struct hawser__incoming *incoming,
						   struct hawser__arena *arena,
						   struct hawser__arrival *arrival,
						   ProtobufCMessage **message, char *text,
						   size_t size)
{
	if (!arrival->type)
		return HAWSER_OK;
	*message = hawser__arrival_unpack(arrival, arena);
	return *message ? HAWSER_OK : explain(incoming, arena, arrival, text, size);
}

static void serve(struct hawser__incoming *incoming, const struct hawser__arrival *arrival)
{
	incoming->is_handed = true;
	run_handler(incoming, incoming->request, arrival);
	if (incoming->is_over)
		hawser__slot_release(incoming);
	else if (!incoming->is_linked)
		hawser__incoming_keep(incoming);
}

void hawser__incoming_begin(struct hawser__incoming *incoming, struct hawser__arrival *request)
{
	struct hawser__stream *stream = incoming->call.stream;
	char text[HAWSER_ERROR_MESSAGE_SIZE];
	enum hawser_status status;

	if (!request) {
		/* What came while it waited, and from now on at once. */
		stream->is_pulled = false;
		hawser__stream_deliver_soon(stream);
		return;
	}
	status = hawser__incoming_unpack(incoming, request, text, sizeof text);
	if (status == HAWSER_OK) {
		serve(incoming, request);
		return;
	}
	hawser__count(&incoming->serving->refused, 1);
	hawser__incoming_abort(incoming, status, text);
}

void hawser__incoming_request(struct hawser__incoming *incoming, struct hawser__arrival *arrival)
{
	incoming->arrival = arrival;
	if (incoming->entry->stages)
		hawser__dispatch_call(incoming, arrival);
	else
		hawser__incoming_begin(incoming, arrival);
}

void hawser__incoming_message(struct hawser__incoming *incoming, struct hawser__arrival *arrival)
{
	struct hawser__arena *arena = &incoming->serving->messages;
	enum hawser_status status = HAWSER_OK;
	ProtobufCMessage *message = NULL;
	char text[HAWSER_ERROR_MESSAGE_SIZE];
	size_t cost = arrival ? arrival->cost : 0;

	if (arrival)
		status = hawser__incoming_unpack_message(incoming, arena, arrival, &message, text,
							 sizeof text);
	if (status != HAWSER_OK) {
		hawser__arrival_free(arrival);
		hawser__arena_reset(arena);
		hawser__incoming_abort(incoming, status, text);
		return;
	}
	if (!arrival)
		incoming->is_handed = true;
	run_handler(incoming, message, arrival);
	hawser__arrival_free(arrival);
	hawser__arena_reset(arena);
	if (incoming->is_over)
		hawser__slot_release(incoming);
	else if (arrival)
		hawser__stream_taken(incoming->call.stream, cost);
}

/* The request in the frame of its call, as nearly all are. False: the peer has been told what is
 * wrong with it. */
static bool unpack_in_frame(struct hawser__incoming *incoming, const struct hawser__frame *frame,
			    struct hawser__arrival *view)
{
	const struct hawser__entry *entry = incoming->entry;
	char text[HAWSER_ERROR_MESSAGE_SIZE];
	enum hawser_status status;

	if (!entry->raw) {
		incoming->request = hawser__unpack(entry->method->request, &incoming->arena,
						   frame->payload, frame->payload_length);
		if (incoming->request)
			return true;
	}
	hawser__arrival_view(view, entry->raw ? NULL : entry->method->request, frame->payload,
			     frame->payload_length);
	status = entry->raw ? hawser__incoming_unpack(incoming, view, text, sizeof text)
			    : explain(incoming, &incoming->arena, view, text, sizeof text);
	if (status != HAWSER_OK)
		hawser__connection_refuse(incoming->connection, frame->id, status, "%s", text);
	return status == HAWSER_OK;
}

/* Fills a slot for a call that is going to be served. */
static void init(struct hawser__incoming *incoming, struct hawser__connection *connection,
		 const struct hawser__frame *frame, const struct hawser__entry *entry)
{
	incoming->call.method = entry->method;
	incoming->call.carrier = &connection->carrier;
	incoming->call.id = frame->id;
	incoming->call.deadline_ms = frame->timeout_ms && frame->timeout_ms < UINT32_MAX * 1000ull
					     ? connection->loop->now_ms + frame->timeout_ms
					     : UINT64_MAX;
	incoming->call.is_outgoing = false;
	incoming->is_linked = incoming->is_over = incoming->is_handed = incoming->has_run = false;
	incoming->entry = entry;
	incoming->connection = connection;
	hawser__alarm_init(&incoming->alarm, on_deadline);
	incoming->peer = NULL;
	incoming->request = NULL;
	incoming->extras = NULL;
	incoming->on_cancel = NULL;
	incoming->ticket = NULL;
}

/* Gives the call what it needs for more than a frame each way. False: the peer has been told. */
static bool prepare_stream(struct hawser__incoming *incoming, const struct hawser__frame *frame)
{
	struct hawser__connection *connection = incoming->connection;
	struct hawser_call *call = &incoming->call;
	bool receives = call->method->kind & HAWSER_CLIENT_STREAM;
	bool sends = call->method->kind & HAWSER_SERVER_STREAM;

	if (hawser__stream_new(call, connection, receives, sends) < 0)
		goto no_memory;
	/* Its messages wait until the stages have let it pass. */
	call->stream->is_pulled = receives && incoming->entry->stages;
	if (sends) {
		atomic_store_explicit(&incoming->is_stalled, false, memory_order_relaxed);
		call->outbox = hawser__outbox_new(&connection->session, call->id);
		if (!call->outbox)
			goto no_memory;
	}
	if (frame->size) {
		call->stream->coming = hawser__arrival_new(
			connection->loop, incoming->entry->raw ? NULL : call->method->request,
			(size_t)frame->size);
		if (!call->stream->coming)
			goto no_memory;
	}
	return true;
no_memory:
	hawser__outbox_free(&connection->session, call->outbox);
	call->outbox = NULL;
	hawser__stream_leave(call->stream);
	hawser__connection_refuse(connection, frame->id, HAWSER_RESOURCE_EXHAUSTED,
				  "out of memory");
	return false;
}

int hawser__incoming_call(struct hawser__connection *connection, const struct hawser__frame *frame)
{
	struct hawser__serving *serving = connection->serving;
	const struct hawser__entry *entry;
	struct hawser__incoming *incoming;
	struct hawser__arrival view;
	bool is_whole;

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

	init(incoming, connection, frame, entry);
	is_whole = !frame->size && !(entry->method->kind & HAWSER_CLIENT_STREAM);
	/* What may have to wait is unpacked when its turn has come. */
	if (is_whole && entry->stages)
		hawser__arrival_view(&view, entry->raw ? NULL : entry->method->request,
				     frame->payload, frame->payload_length);
	else if (is_whole && !unpack_in_frame(incoming, frame, &view))
		goto refused;
	if ((entry->method->kind != HAWSER_UNARY || frame->size) &&
	    !prepare_stream(incoming, frame))
		goto refused;
	connection->n_incoming++;
	hawser__count(&serving->in_flight, 1);
	if (is_whole && entry->stages)
		hawser__dispatch_call(incoming, &view);
	else if (is_whole)
		serve(incoming, &view);
	else
		hawser__incoming_keep(incoming);
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
