/* A call that this end makes: checked, sent, ended. */

#include "rpc/outgoing.h"

#include "rpc/connection.h"
#include "rpc/context.h"
#include "rpc/metadata.h"
#include "rpc/peer.h"
#include "rpc/stream.h"
#include "util/alloc.h"
#include "util/buffer.h"
#include "util/error.h"
#include "util/unpack.h"
#include "wire/outbox.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What metadata and details of one reply may take: both limits and their arrays. */
enum { EXTRAS_BYTES = 64 * 1024 };

void hawser__outgoing_init(struct hawser__outgoing *outgoing, const struct hawser_method *method,
			   const struct hawser__outgoing_ops *ops)
{
	outgoing->call = (struct hawser_call){
		.method = method, .deadline_ms = UINT64_MAX, .is_outgoing = true};
	outgoing->ops = ops;
	outgoing->replies = NULL;
	outgoing->unpacks_later = false;
	outgoing->reply = NULL;
	outgoing->error.status = HAWSER_OK;
	outgoing->error.outcome = HAWSER_OUTCOME_UNKNOWN;
	outgoing->error.code = 0;
	outgoing->error.retry_after_ms = 0;
	outgoing->error.message[0] = 0;
	outgoing->details = NULL;
	outgoing->n_details = 0;
	outgoing->again = NULL;
	outgoing->was_sent_before = false;
	hawser__arena_init(&outgoing->arena, EXTRAS_BYTES);
	hawser__list_init(&outgoing->link);
}

void hawser__outgoing_deinit(struct hawser__outgoing *outgoing)
{
	hawser__stream_free(outgoing->call.stream);
	outgoing->call.stream = NULL;
	hawser__arena_deinit(&outgoing->arena);
}

uint64_t hawser__outgoing_deadline(const struct hawser_method *method,
				   const struct hawser_context *context, unsigned default_ms,
				   uint64_t now_ms)
{
	uint64_t timeout_ms = method->timeout_ms ? method->timeout_ms : default_ms;
	uint64_t deadline_ms = UINT64_MAX;
	const struct hawser_call *parent = context ? hawser__call_of(context->parent) : NULL;

	if (context && context->timeout_ms)
		timeout_ms = context->timeout_ms < 0 ? UINT64_MAX : (uint64_t)context->timeout_ms;
	/* Beyond a thousand years there is no deadline, and no overflow. */
	if (timeout_ms < UINT32_MAX * 10000ull)
		deadline_ms = now_ms + timeout_ms;
	if (parent && parent->deadline_ms < deadline_ms)
		deadline_ms = parent->deadline_ms;
	return deadline_ms;
}

static struct hawser__connection *connection_of(struct hawser__outgoing *outgoing)
{
	return hawser__container_of(outgoing->call.carrier, struct hawser__connection, carrier);
}

static int refuse(struct hawser__outgoing *outgoing, enum hawser_status status, int code,
		  const char *format, ...) HAWSER_PRINTF(4, 5);

static int refuse(struct hawser__outgoing *outgoing, enum hawser_status status, int code,
		  const char *format, ...)
{
	va_list arguments;

	outgoing->error.status = status;
	outgoing->error.outcome = HAWSER_OUTCOME_NOT_SENT;
	outgoing->error.code = code;
	va_start(arguments, format);
	vsnprintf(outgoing->error.message, sizeof outgoing->error.message, format, arguments);
	va_end(arguments);
	return code;
}

/* The largest message that both ends and the method allow. */
static size_t request_limit(const struct hawser__outgoing *outgoing,
			    const struct hawser__carrier *carrier, size_t max_request_bytes)
{
	const struct hawser_method *method = outgoing->call.method;
	size_t limit = carrier->ops->max_message(carrier);

	if (max_request_bytes < limit)
		limit = max_request_bytes;
	return method->max_request_bytes && method->max_request_bytes < limit
		       ? method->max_request_bytes
		       : limit;
}

/* Whether so much waits already that the call has to wait, too. What is small does not wait for
 * what is large. */
static size_t crowd(const struct hawser__connection *connection, size_t length)
{
	const struct hawser__session *session = &connection->session;

	return length > HAWSER__PIECE_BYTES ? session->waiting_bytes + connection->again_large_bytes
					    : session->log.frames.length + connection->again_bytes;
}

static size_t *again_counter(struct hawser__connection *connection, size_t size)
{
	return size > HAWSER__PIECE_BYTES ? &connection->again_large_bytes
					  : &connection->again_bytes;
}

/* What is wrong with the call before it is made. 0, or the code and the error. */
static int check(struct hawser__outgoing *outgoing, struct hawser__connection *connection,
		 size_t length, const struct hawser_context *context, size_t max_request_bytes,
		 uint64_t now_ms)
{
	const struct hawser_method *method = outgoing->call.method;
	size_t limit = request_limit(outgoing, &connection->carrier, max_request_bytes);
	size_t waiting = crowd(connection, length);
	int r;

	if (connection->peer && method != connection->last_method) {
		char text[HAWSER_ERROR_MESSAGE_SIZE];

		if (hawser__peer_lacks(connection->peer, method, text, sizeof text))
			return refuse(outgoing, HAWSER_UNIMPLEMENTED, -ENOENT, "%s", text);
	}
	if (hawser__context_fails_if_away(context) && !hawser__connection_is_open(connection))
		return refuse(outgoing, HAWSER_UNAVAILABLE, -ENOTCONN,
			      "%s: there is no connection at the moment, and the call is not to "
			      "wait for one (fail_if_away)",
			      method->name);
	if (outgoing->call.deadline_ms <= now_ms)
		return refuse(outgoing, HAWSER_DEADLINE_EXCEEDED, -ETIMEDOUT,
			      "%s: the deadline passed before the call was sent", method->name);
	if (length > limit)
		return refuse(outgoing, HAWSER_RESOURCE_EXHAUSTED, -EMSGSIZE,
			      "%s: the request has %zu bytes, the limit is %zu", method->name,
			      length, limit);
	if (waiting > connection->max_log)
		return refuse(outgoing, HAWSER_RESOURCE_EXHAUSTED, -ENOBUFS,
			      "%s: %zu bytes wait to be sent or acknowledged, the limit is %zu",
			      method->name, waiting, connection->max_log);
	if (!context || !context->n_metadata)
		return 0;
	r = hawser__metadata_check(context->metadata, context->n_metadata);
	if (r == -EMSGSIZE)
		return refuse(outgoing, HAWSER_RESOURCE_EXHAUSTED, r,
			      "%s: more metadata than %d pairs or %d bytes", method->name,
			      HAWSER__METADATA_MAX, HAWSER__METADATA_BYTES);
	if (r < 0)
		return refuse(outgoing, HAWSER_INVALID_ARGUMENT, r,
			      "%s: a metadata key is empty, too long, or has other "
			      "characters than letters, digits, '-', '_' and '.'",
			      method->name);
	return 0;
}

struct hawser__content hawser__content_of(const ProtobufCMessage *message)
{
	return (struct hawser__content){.message = message,
					.length = protobuf_c_message_get_packed_size(message)};
}

int hawser__outgoing_start(struct hawser__outgoing *outgoing, struct hawser__connection *connection,
			   const struct hawser__content *request,
			   const struct hawser_context *context, size_t max_request_bytes,
			   uint64_t now_ms)
{
	const struct hawser_method *method = outgoing->call.method;
	struct hawser__carrier *carrier = &connection->carrier;
	uint64_t deadline_ms = outgoing->call.deadline_ms;
	bool is_kept = method->kind == HAWSER_UNARY && method->flags & HAWSER_METHOD_IDEMPOTENT &&
		       connection->keeps_requests && !request->comes_later;
	struct hawser__content kept;
	struct hawser__again *again = NULL;
	int r = check(outgoing, connection, request ? request->length : 0, context,
		      max_request_bytes, now_ms);

	if (r < 0)
		return r;
	/* Without memory it is not made again; that is all. What is large is packed only once. */
	if (is_kept)
		again = hawser__again_new(request, context);
	if (again && request->length > HAWSER__PIECE_BYTES) {
		kept = hawser__again_content(again);
		request = &kept;
	}
	/* Entered first: a call that was sent must be found when it ends. */
	outgoing->call.id = connection->session.next_call;
	if (hawser__call_table_insert(&connection->calls, &outgoing->call) < 0) {
		hawser__again_free(again);
		return refuse(outgoing, HAWSER_RESOURCE_EXHAUSTED, -ENOMEM, "%s: out of memory",
			      method->name);
	}
	r = carrier->ops->send_call(
		carrier, &outgoing->call, deadline_ms == UINT64_MAX ? 0 : deadline_ms - now_ms,
		context ? context->metadata : NULL, context ? context->n_metadata : 0, request);
	if (r < 0) {
		hawser__call_table_remove(&connection->calls, outgoing->call.id);
		hawser__again_free(again);
		return refuse(outgoing, HAWSER_RESOURCE_EXHAUSTED, r, "%s: out of memory",
			      method->name);
	}
	hawser__session_take_call(&connection->session);
	outgoing->call.carrier = carrier;
	outgoing->again = again;
	if (again)
		*again_counter(connection, hawser__again_size(again)) += hawser__again_size(again);
	hawser__list_append(&connection->outgoing, &outgoing->link);
	connection->n_outgoing++;
	connection->call_ms = now_ms;
	return 0;
}

/* ---- streams of requests ---- */

int hawser__outgoing_send(struct hawser__outgoing *outgoing, const struct hawser__content *content,
			  size_t max_request_bytes)
{
	struct hawser_call *call = &outgoing->call;
	struct hawser__carrier *carrier = call->carrier;
	size_t limit;
	int r;

	if (call->stream && call->stream->has_sent_last)
		return -EALREADY;
	if (!carrier)
		return -EPIPE;
	limit = request_limit(outgoing, carrier, max_request_bytes);
	if (content->length > limit) {
		hawser__outgoing_abandon(outgoing, HAWSER_RESOURCE_EXHAUSTED,
					 "%s: a message has %zu bytes, the limit is %zu",
					 call->method->name, content->length, limit);
		return -EMSGSIZE;
	}
	if (!carrier->ops->can_send(carrier, call)) {
		carrier->ops->note_refusal(carrier, call);
		return -EAGAIN;
	}
	r = carrier->ops->send_message(carrier, call, content);
	if (r == 0)
		hawser__connection_flush_soon(connection_of(outgoing));
	return r;
}

int hawser__outgoing_send_last(struct hawser__outgoing *outgoing)
{
	struct hawser_call *call = &outgoing->call;
	int r;

	if (call->stream && call->stream->has_sent_last)
		return -EALREADY;
	if (!call->carrier)
		return -EPIPE;
	r = call->carrier->ops->send_last(call->carrier, call);
	if (r < 0)
		return r;
	call->stream->has_sent_last = true;
	hawser__connection_flush_soon(connection_of(outgoing));
	return 0;
}

/* ---- the end ---- */

void hawser__outgoing_retime(struct hawser__connection *connection)
{
	const struct hawser__carrier *carrier = &connection->carrier;
	uint64_t now_ms = connection->loop->now_ms;

	/* Those that were never sent are at the list's end. */
	for (struct hawser__list *link = connection->outgoing.previous;
	     link != &connection->outgoing; link = link->previous) {
		struct hawser_call *call =
			&hawser__container_of(link, struct hawser__outgoing, link)->call;

		if (carrier->ops->was_sent(carrier, call))
			return;
		if (call->deadline_ms != UINT64_MAX)
			hawser__frame_set_timeout(call->queued, call->deadline_ms > now_ms
									? call->deadline_ms - now_ms
									: 1);
	}
}

/* Takes it from its connection, which may be gone afterwards. */
static void leave(struct hawser__outgoing *outgoing)
{
	struct hawser__connection *connection = connection_of(outgoing);

	if (outgoing->was_sent_before && (outgoing->error.outcome == HAWSER_OUTCOME_NOT_SENT ||
					  outgoing->error.outcome == HAWSER_OUTCOME_NOT_EXECUTED))
		outgoing->error.outcome = HAWSER_OUTCOME_UNKNOWN;
	if (outgoing->again) {
		*again_counter(connection, hawser__again_size(outgoing->again)) -=
			hawser__again_size(outgoing->again);
		hawser__again_free(outgoing->again);
		outgoing->again = NULL;
	}
	hawser__call_table_remove(&connection->calls, outgoing->call.id);
	hawser__list_unlink(&outgoing->link);
	if (outgoing->call.outbox)
		outgoing->call.carrier->ops->drop(outgoing->call.carrier, &outgoing->call, true);
	hawser__stream_leave(outgoing->call.stream);
	outgoing->call.carrier = NULL;
	connection->n_outgoing--;
	hawser__connection_call_ended(connection);
}

/* Its owner may free it, and much else. */
static void finish(struct hawser__outgoing *outgoing)
{
	leave(outgoing);
	outgoing->ops->done(outgoing);
}

static void set_error(struct hawser__outgoing *outgoing, enum hawser_status status,
		      enum hawser_outcome outcome, const char *text)
{
	outgoing->error.status = status;
	outgoing->error.outcome = outcome;
	snprintf(outgoing->error.message, sizeof outgoing->error.message, "%s",
		 text && *text ? text : hawser_status_text(status));
}

/* Numbers that a later version may have are what the first one calls unknown. */
static enum hawser_status status_of(const struct hawser__frame *frame)
{
	return frame->status <= HAWSER_UNAUTHENTICATED ? (enum hawser_status)frame->status
						       : HAWSER_UNKNOWN;
}

static enum hawser_outcome outcome_of(const struct hawser__frame *frame)
{
	return frame->outcome <= HAWSER_OUTCOME_EXECUTED ? (enum hawser_outcome)frame->outcome
							 : HAWSER_OUTCOME_UNKNOWN;
}

/* The rare part of an end: texts, details, metadata. */
static void take_rare(struct hawser__outgoing *outgoing, const struct hawser__frame *frame)
{
	Hawser__End *end = (Hawser__End *)(void *)hawser__unpack(&hawser__end__descriptor, NULL,
								 frame->body, frame->body_length);

	/* What cannot be taken is left out: the status counts. */
	if (!end && errno == ENOMEM)
		return;
	if (!end) {
		set_error(outgoing, HAWSER_INTERNAL, HAWSER_OUTCOME_UNKNOWN,
			  "the end of the call is not valid");
		return;
	}
	if (frame->status)
		set_error(outgoing, status_of(frame), outcome_of(frame), end->text);
	outgoing->error.retry_after_ms = end->retry_after_ms;
	if (end->n_metadata &&
	    hawser__metadata_take(end->metadata, end->n_metadata, &outgoing->arena,
				  &outgoing->call.metadata) == 0)
		outgoing->call.n_metadata = end->n_metadata;
	if (end->n_details && hawser__details_take(end->details, end->n_details, &outgoing->arena,
						   &outgoing->details) == 0)
		outgoing->n_details = end->n_details;
	hawser__end__free_unpacked(end, NULL);
}

static size_t reply_limit(const struct hawser__connection *connection,
			  const struct hawser_method *method)
{
	size_t limit = connection->session.max_frame - HAWSER__FRAME_OVERHEAD;

	return method->max_reply_bytes && method->max_reply_bytes < limit ? method->max_reply_bytes
									  : limit;
}

static void refuse_reply(struct hawser__outgoing *outgoing, const struct hawser__frame *frame,
			 size_t limit)
{
	char text[HAWSER_ERROR_MESSAGE_SIZE];

	snprintf(text, sizeof text, "%s: the reply has %zu bytes, the limit is %zu",
		 outgoing->call.method->name, frame->payload_length, limit);
	set_error(outgoing, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_EXECUTED, text);
}

/* Why one of its messages did not unpack, by hawser__unpack()'s errno. */
static enum hawser_status explain(const struct hawser__outgoing *outgoing, size_t length, int code,
				  char *text, size_t size)
{
	const struct hawser_method *method = outgoing->call.method;
	const char *what = method->kind & HAWSER_SERVER_STREAM ? "a message" : "the reply";

	if (code == EMSGSIZE)
		snprintf(text, size, "%s: %s of %zu bytes unpacks to more than %zu", method->name,
			 what, length, outgoing->replies->limit);
	else if (code == ENOMEM)
		snprintf(text, size, "%s: out of memory to unpack %s of %zu bytes", method->name,
			 what, length);
	else
		snprintf(text, size, "%s: these %zu bytes are no valid %s", method->name, length,
			 method->reply->name);
	return code == EBADMSG ? HAWSER_INTERNAL : HAWSER_RESOURCE_EXHAUSTED;
}

static void refuse_unpacked(struct hawser__outgoing *outgoing, size_t length, int code)
{
	char text[HAWSER_ERROR_MESSAGE_SIZE];
	enum hawser_status status = explain(outgoing, length, code, text, sizeof text);

	set_error(outgoing, status, HAWSER_OUTCOME_EXECUTED, text);
}

/* The reply in the frame. */
static void take_reply(struct hawser__outgoing *outgoing, const struct hawser__frame *frame)
{
	outgoing->reply = hawser__unpack(outgoing->call.method->reply, outgoing->replies,
					 frame->payload, frame->payload_length);
	if (!outgoing->reply)
		refuse_unpacked(outgoing, frame->payload_length, errno);
}

void hawser__outgoing_unpack_reply(struct hawser__outgoing *outgoing)
{
	/* It stays there until the call is freed: the reply may borrow from it. */
	struct hawser__arrival *arrival = outgoing->call.stream->first;

	outgoing->reply = hawser__arrival_unpack(arrival, outgoing->replies);
	if (!outgoing->reply)
		refuse_unpacked(outgoing, arrival->size, errno);
}

/* What came of a call that succeeded: a reply, unless replies are a stream. */
static void succeed(struct hawser__connection *connection, struct hawser__outgoing *outgoing,
		    const struct hawser__frame *frame)
{
	const struct hawser_method *method = outgoing->call.method;

	if (outgoing->call.stream && outgoing->call.stream->coming) {
		set_error(outgoing, HAWSER_INTERNAL, HAWSER_OUTCOME_EXECUTED,
			  "the call ended in the middle of a message");
	} else if (method->kind & HAWSER_SERVER_STREAM) {
		/* Its messages came before. */
	} else if (frame->payload_length > reply_limit(connection, method)) {
		refuse_reply(outgoing, frame, reply_limit(connection, method));
	} else if (!outgoing->call.stream || !outgoing->call.stream->first) {
		take_reply(outgoing, frame);
	} else if (!outgoing->unpacks_later) {
		hawser__outgoing_unpack_reply(outgoing);
	}
	if (outgoing->error.status == HAWSER_OK)
		connection->n_succeeded++;
}

void hawser__outgoing_end(struct hawser__connection *connection, const struct hawser__frame *frame)
{
	struct hawser_call *call = hawser__call_table_find(&connection->calls, frame->id);
	struct hawser__outgoing *outgoing;

	/* Abandoned while its end was under way. */
	if (!call || !call->is_outgoing)
		return;
	outgoing = hawser__container_of(call, struct hawser__outgoing, call);
	if (frame->status)
		set_error(outgoing, status_of(frame), outcome_of(frame), NULL);
	if (frame->more)
		take_rare(outgoing, frame);
	if (outgoing->error.status == HAWSER_OK) {
		succeed(connection, outgoing, frame);
	} else if (outgoing->error.outcome == HAWSER_OUTCOME_NOT_EXECUTED) {
		/* Perhaps the peer did not understand the method: name it again next time. */
		hawser__map_remove(&connection->announced, (uintptr_t)call->method);
		connection->last_method = NULL;
		if (outgoing->again && outgoing->error.retry_after_ms && outgoing->ops->put_off &&
		    outgoing->ops->put_off(outgoing))
			return;
	}
	finish(outgoing);
}

void hawser__outgoing_oversized(struct hawser__connection *connection,
				const struct hawser__frame *frame)
{
	struct hawser_call *call = hawser__call_table_find(&connection->calls, frame->id);
	struct hawser__outgoing *outgoing;

	if (!call || !call->is_outgoing)
		return;
	outgoing = hawser__container_of(call, struct hawser__outgoing, call);
	refuse_reply(outgoing, frame, reply_limit(connection, call->method));
	finish(outgoing);
}

/* What this end alone knows of a call that has no end yet. */
static enum hawser_outcome outcome_here(const struct hawser__outgoing *outgoing)
{
	const struct hawser__carrier *carrier = outgoing->call.carrier;

	return carrier->ops->was_sent(carrier, &outgoing->call) ? HAWSER_OUTCOME_UNKNOWN
								: HAWSER_OUTCOME_NOT_SENT;
}

void hawser__outgoing_abandon(struct hawser__outgoing *outgoing, enum hawser_status status,
			      const char *format, ...)
{
	struct hawser__connection *connection = connection_of(outgoing);
	bool was_busy = connection->is_busy;
	va_list arguments;

	outgoing->error.status = status;
	outgoing->error.outcome = outcome_here(outgoing);
	va_start(arguments, format);
	vsnprintf(outgoing->error.message, sizeof outgoing->error.message, format, arguments);
	va_end(arguments);
	/* Whatever this does to the connection waits until the call is out of it. */
	connection->is_busy = true;
	outgoing->call.carrier->ops->send_cancel(outgoing->call.carrier, &outgoing->call);
	leave(outgoing);
	/* Its owner may free it; and once the connection is settled so may others, whose calls
	 * end with it. */
	outgoing->ops->done(outgoing);
	if (!was_busy)
		hawser__connection_settle(connection);
}

void hawser__outgoing_spoil(struct hawser__outgoing *outgoing, size_t size, int code)
{
	char text[HAWSER_ERROR_MESSAGE_SIZE];
	enum hawser_status status = explain(outgoing, size, code, text, sizeof text);

	hawser__stream_forget(outgoing->call.stream);
	if (outgoing->call.carrier)
		hawser__outgoing_abandon(outgoing, status, "%s", text);
	else
		set_error(outgoing, status, HAWSER_OUTCOME_EXECUTED, text);
}

/* ---- the end of the connection ---- */

void hawser__outgoing_fail(struct hawser__outgoing *outgoing, enum hawser_outcome outcome,
			   const struct hawser_error *why)
{
	char text[HAWSER_ERROR_MESSAGE_SIZE];

	snprintf(text, sizeof text, "%s: %.200s", outgoing->call.method->name, why->message);
	set_error(outgoing, why->status, outcome, text);
	finish(outgoing);
}

void hawser__outgoing_fail_above(struct hawser__connection *connection, uint64_t last_call,
				 const struct hawser_error *why)
{
	/* Ids rise along the list: those to fail are at its end. */
	while (!hawser__list_empty(&connection->outgoing)) {
		struct hawser__outgoing *outgoing = hawser__container_of(
			connection->outgoing.previous, struct hawser__outgoing, link);

		if (outgoing->call.id <= last_call)
			return;
		hawser__outgoing_fail(outgoing, HAWSER_OUTCOME_NOT_EXECUTED, why);
	}
}

void hawser__outgoing_fail_all(struct hawser__connection *connection,
			       const struct hawser_error *why)
{
	while (!hawser__list_empty(&connection->outgoing)) {
		struct hawser__outgoing *outgoing = hawser__container_of(
			connection->outgoing.next, struct hawser__outgoing, link);

		hawser__outgoing_fail(outgoing, outcome_here(outgoing), why);
	}
}
