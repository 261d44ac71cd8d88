/* The sending half of a connection: every frame but the session's own. */

#include "rpc/connection.h"
#include "rpc/metadata.h"
#include "rpc/trace.h"
#include "util/alloc.h"
#include "wire/outbox.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The packed fields of a header's rare part, for concatenation; on the stack if small. */
struct extra {
	uint8_t small[512];
	uint8_t *bytes;
	size_t length;
};

static int extra_pack(struct extra *extra, const ProtobufCMessage *message)
{
	extra->length = protobuf_c_message_get_packed_size(message);
	extra->bytes =
		extra->length <= sizeof extra->small ? extra->small : hawser__malloc(extra->length);
	if (!extra->bytes)
		return -ENOMEM;
	protobuf_c_message_pack(message, extra->bytes);
	return 0;
}

static void extra_free(struct extra *extra)
{
	if (extra->bytes != extra->small)
		free(extra->bytes);
}

static int traced(struct hawser__connection *connection, const uint8_t *start)
{
	if (!start)
		return -ENOMEM;
	if (connection->is_traced)
		hawser__trace_sent(connection, start, NULL);
	return 0;
}

int hawser__connection_put(struct hawser__connection *connection, enum hawser__frame_kind kind,
			   const ProtobufCMessage *message)
{
	return traced(connection, hawser__session_put(&connection->session, kind, message));
}

int hawser__connection_put_close(struct hawser__connection *connection,
				 const struct hawser__problem *problem)
{
	return traced(connection, hawser__session_put_close(&connection->session, problem));
}

int hawser__connection_put_number(struct hawser__connection *connection,
				  enum hawser__frame_kind kind, uint64_t number)
{
	return traced(connection, hawser__session_put_number(&connection->session, kind, number));
}

void hawser__connection_put_ack(struct hawser__connection *connection)
{
	/* Without memory the peer keeps its frames for a while longer. */
	traced(connection, hawser__session_put_ack(&connection->session));
}

/* The fields of an end that most ends do not have. */
static int pack_rare_end(struct extra *extra, const struct hawser__end *end)
{
	Hawser__End rare = HAWSER__END__INIT;
	struct hawser__metadata_wire metadata;
	struct hawser__details_wire details;

	rare.text = (char *)(end->text ? end->text : "");
	hawser__metadata_give(end->metadata, end->n_metadata, &metadata);
	rare.metadata = metadata.pointers;
	rare.n_metadata = end->n_metadata;
	hawser__details_give(end->details, end->n_details, &details);
	rare.details = details.pointers;
	rare.n_details = end->n_details;
	rare.retry_after_ms = end->retry_after_ms;
	return extra_pack(extra, &rare.base);
}

static bool is_rare_end(const struct hawser__end *end)
{
	return end->text || end->n_metadata || end->n_details || end->retry_after_ms;
}

static void pack(const struct hawser__content *content, uint8_t *payload)
{
	if (content->message)
		protobuf_c_message_pack(content->message, payload);
	else if (content->length)
		memcpy(payload, content->packed, content->length);
}

static const struct hawser__content nothing = {.length = 0};

static uint8_t *put_rare_end(struct hawser__session *session, uint64_t id,
			     const struct hawser__end *end, enum hawser_outcome outcome,
			     size_t length, uint8_t **start)
{
	struct extra extra;
	uint8_t *payload;

	if (pack_rare_end(&extra, end) < 0)
		return NULL;
	payload = hawser__session_put_end(session, id, end->status, outcome, extra.bytes,
					  extra.length, length, start);
	extra_free(&extra);
	return payload;
}

/* In one frame. */
static int put_end(struct hawser__connection *connection, uint64_t id,
		   const struct hawser_method *method, const struct hawser__end *end,
		   const struct hawser__content *reply)
{
	struct hawser__session *session = &connection->session;
	/* Only a failure leaves the question open. */
	enum hawser_outcome outcome = end->status ? end->outcome : HAWSER_OUTCOME_UNKNOWN;
	uint8_t *payload, *start;

	if (is_rare_end(end))
		payload = put_rare_end(session, id, end, outcome, reply->length, &start);
	else
		payload = hawser__session_put_end(session, id, end->status, outcome, NULL, 0,
						  reply->length, &start);
	if (!payload)
		return -ENOMEM;
	pack(reply, payload);
	if (connection->is_traced)
		hawser__trace_sent(connection, start, method);
	return 0;
}

void hawser__connection_fail(struct hawser__connection *connection, uint64_t id,
			     enum hawser_status status, enum hawser_outcome outcome,
			     const char *text)
{
	struct hawser__end end = {.status = status, .outcome = outcome, .text = text};

	if (put_end(connection, id, NULL, &end, &nothing) < 0)
		hawser__connection_lose(connection, HAWSER_RESOURCE_EXHAUSTED, -ENOMEM,
					"out of memory");
}

int hawser__connection_refuse(struct hawser__connection *connection, uint64_t id,
			      enum hawser_status status, const char *format, ...)
{
	char text[HAWSER_ERROR_MESSAGE_SIZE];
	struct hawser__end end = {status, HAWSER_OUTCOME_NOT_EXECUTED, text, NULL, 0, NULL, 0};
	const struct hawser__log *log = &connection->session.log;
	va_list arguments;
	size_t before;
	int r;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	before = log->frames.length;
	r = put_end(connection, id, NULL, &end, &nothing);
	/* Even refusals add up with a peer that takes them and says nothing of it. */
	if (log->acked >= connection->refused_number)
		connection->refused_bytes = 0;
	connection->refused_bytes += log->frames.length - before;
	connection->refused_number = log->last;
	if (connection->refused_bytes > connection->max_log)
		hawser__connection_close(connection, HAWSER__REASON__REASON_PROTOCOL_ERROR,
					 "%zu bytes of refusals were sent, and none acknowledged",
					 connection->refused_bytes);
	if (r == -ENOMEM)
		hawser__connection_lose(connection, HAWSER_RESOURCE_EXHAUSTED, -ENOMEM,
					"out of memory");
	return r;
}

/* ---- as a carrier of calls ---- */

static struct hawser__connection *connection_of(struct hawser__carrier *carrier)
{
	return hawser__container_of(carrier, struct hawser__connection, carrier);
}

/* ---- what waits for its turn ---- */

static struct hawser__outbox *outbox_of(struct hawser__connection *connection,
					struct hawser_call *call)
{
	if (!call->outbox)
		call->outbox = hawser__outbox_new(&connection->session, call->id);
	return call->outbox;
}

static bool is_large(const struct hawser__content *content)
{
	return content->length > HAWSER__PIECE_BYTES;
}

/* Whether it must wait: behind what waits already, or because one frame would not do. */
static bool must_wait(const struct hawser_call *call, const struct hawser__content *content)
{
	return is_large(content) || (call->outbox && call->outbox->first);
}

static bool is_borrowed(const struct hawser__content *content)
{
	return content->loan && is_large(content);
}

/* What a message needs to wait for its turn. NULL without memory. */
static struct hawser__chunk *reserve(struct hawser__connection *connection,
				     struct hawser_call *call,
				     const struct hawser__content *content)
{
	struct hawser__session *session = &connection->session;

	if (!outbox_of(connection, call))
		return NULL;
	return is_borrowed(content) ? hawser__outbox_borrow(session, content->loan, content->packed,
							    content->length)
				    : hawser__outbox_reserve(session, content->length);
}

static void wait_in_turn(struct hawser__connection *connection, struct hawser_call *call,
			 struct hawser__chunk *reserved, const struct hawser__content *content,
			 bool is_announced)
{
	struct hawser__session *session = &connection->session;

	if (is_borrowed(content))
		hawser__outbox_put_borrowed(session, call->outbox, reserved, content->length,
					    is_announced);
	else
		hawser__outbox_put(session, call->outbox, reserved, content->message,
				   content->packed, content->length, is_announced);
	hawser__connection_watch_slow(connection);
}

static struct hawser__chunk *make_end(struct hawser__session *session, uint64_t id,
				      const struct hawser__end *end)
{
	enum hawser_outcome outcome = end->status ? end->outcome : HAWSER_OUTCOME_UNKNOWN;
	struct hawser__chunk *frame;
	struct extra extra;

	if (!is_rare_end(end))
		return hawser__outbox_make_end(session, id, end->status, outcome, NULL, 0);
	if (pack_rare_end(&extra, end) < 0)
		return NULL;
	frame = hawser__outbox_make_end(session, id, end->status, outcome, extra.bytes,
					extra.length);
	extra_free(&extra);
	return frame;
}

/* A reply without an end must not begin. */
static int end_in_turn(struct hawser__connection *connection, struct hawser_call *call,
		       const struct hawser__end *end, const struct hawser__content *reply)
{
	struct hawser__session *session = &connection->session;
	struct hawser__chunk *frame = make_end(session, call->id, end), *reserved = NULL;

	if (frame && reply->length)
		reserved = reserve(connection, call, reply);
	if (!frame || (reply->length && !reserved)) {
		hawser__outbox_return(session, frame);
		return -ENOMEM;
	}
	if (reserved)
		wait_in_turn(connection, call, reserved, reply, false);
	hawser__outbox_put_frame(session, call->outbox, frame);
	return 0;
}

static int send_end(struct hawser__carrier *carrier, struct hawser_call *call,
		    const struct hawser__end *end, const struct hawser__content *reply)
{
	struct hawser__connection *connection = connection_of(carrier);
	int r = must_wait(call, reply) ? end_in_turn(connection, call, end, reply)
				       : put_end(connection, call->id, call->method, end, reply);

	if (r == 0) {
		/* It goes when it is empty. */
		hawser__outbox_leave(&connection->session, call->outbox);
		call->outbox = NULL;
	}
	return r;
}

/* What the peer must be told with the first call of a method: how we understand it. */
static int pack_rare_call(struct extra *extra, const struct hawser_method *method, bool announce,
			  const struct hawser_metadata *metadata, size_t n_metadata, size_t size)
{
	Hawser__Call rare = HAWSER__CALL__INIT;
	Hawser__Method announced = HAWSER__METHOD__INIT;
	struct hawser__metadata_wire wire;

	if (announce) {
		announced.id = method->id;
		announced.name = (char *)method->name;
		announced.request = (char *)method->request->name;
		announced.reply = (char *)method->reply->name;
		rare.announce = &announced;
	}
	hawser__metadata_give(metadata, n_metadata, &wire);
	rare.metadata = wire.pointers;
	rare.n_metadata = n_metadata;
	rare.size = size;
	return extra_pack(extra, &rare.base);
}

static uint8_t *put_rare_call(struct hawser__connection *connection, const struct hawser_call *call,
			      bool announce, uint64_t timeout_ms,
			      const struct hawser_metadata *metadata, size_t n_metadata,
			      size_t size, size_t length, uint8_t **start)
{
	const struct hawser_method *method = call->method;
	struct extra extra;
	uint8_t *payload;

	if (pack_rare_call(&extra, method, announce, metadata, n_metadata, size) < 0)
		return NULL;
	payload = hawser__session_put_call(&connection->session, call->id, method->id, timeout_ms,
					   extra.bytes, extra.length, length, start);
	extra_free(&extra);
	/* A call that waits may be taken back, and its announcement with it: until the
	 * connection is open, each call announces. Without memory it is done again. */
	if (payload && announce && connection->session.log_flows &&
	    hawser__map_insert(&connection->announced, (uintptr_t)method,
			       (void *)(uintptr_t)method) == 0)
		connection->last_method = method;
	return payload;
}

/* Whether the peer has been told what this method is. Mostly it is the last call's. */
static bool is_announced(struct hawser__connection *connection, const struct hawser_method *method)
{
	if (connection->last_method == method)
		return true;
	if (!hawser__map_find(&connection->announced, (uintptr_t)method))
		return false;
	connection->last_method = method;
	return true;
}

static int send_call(struct hawser__carrier *carrier, struct hawser_call *call, uint64_t timeout_ms,
		     const struct hawser_metadata *metadata, size_t n_metadata,
		     const struct hawser__content *request)
{
	struct hawser__connection *connection = connection_of(carrier);
	const struct hawser_method *method = call->method;
	bool announce = !is_announced(connection, method), goes_on = request && is_large(request);
	bool is_here = goes_on && !request->comes_later,
	     is_later = !request || (goes_on && !is_here);
	size_t length = request && !goes_on ? request->length : 0;
	struct hawser__chunk *reserved = is_here ? reserve(connection, call, request) : NULL;
	uint8_t *payload, *start;

	if ((is_here && !reserved) || (is_later && !outbox_of(connection, call)))
		goto no_memory;
	if (announce || n_metadata || goes_on)
		payload = put_rare_call(connection, call, announce, timeout_ms, metadata,
					n_metadata, goes_on ? request->length : 0, length, &start);
	else
		payload = hawser__session_put_call(&connection->session, call->id, method->id,
						   timeout_ms, NULL, 0, length, &start);
	if (!payload)
		goto no_memory;
	if (length)
		pack(request, payload);
	call->number = connection->session.log.last;
	call->queued = start;
	if (connection->is_traced)
		hawser__trace_sent(connection, start, method);
	if (reserved)
		wait_in_turn(connection, call, reserved, request, true);
	return 0;

no_memory:
	hawser__outbox_return(&connection->session, reserved);
	hawser__outbox_free(&connection->session, call->outbox);
	call->outbox = NULL;
	return -ENOMEM;
}

static int send_message(struct hawser__carrier *carrier, struct hawser_call *call,
			const struct hawser__content *message)
{
	struct hawser__connection *connection = connection_of(carrier);
	struct hawser__outbox *outbox = outbox_of(connection, call);
	uint8_t *start, *payload;

	if (!outbox)
		return -ENOMEM;
	outbox->is_wanted = false;
	if (message->comes_later)
		return 0;
	/* One from another thread may come when the window has just been used up; and before
	 * the connection is open nobody knows how large it is. */
	if (must_wait(call, message) || outbox->window <= 0 ||
	    connection->session.state == HAWSER__SESSION_NEW) {
		struct hawser__chunk *reserved = reserve(connection, call, message);

		if (!reserved)
			return -ENOMEM;
		wait_in_turn(connection, call, reserved, message, false);
		return 0;
	}
	payload = hawser__session_put_message(&connection->session, call->id, false,
					      message->length, &start);
	if (!payload)
		return -ENOMEM;
	pack(message, payload);
	hawser__outbox_spend(outbox, &connection->session, message->length);
	if (connection->is_traced)
		hawser__trace_sent(connection, start, call->method);
	return 0;
}

static int send_last(struct hawser__carrier *carrier, struct hawser_call *call)
{
	struct hawser__connection *connection = connection_of(carrier);
	uint8_t *start;

	if (call->outbox && call->outbox->first) {
		struct hawser__chunk *last =
			hawser__outbox_make_last(&connection->session, call->id);

		if (!last)
			return -ENOMEM;
		hawser__outbox_put_frame(&connection->session, call->outbox, last);
		return 0;
	}
	if (!hawser__session_put_message(&connection->session, call->id, true, 0, &start))
		return -ENOMEM;
	if (connection->is_traced)
		hawser__trace_sent(connection, start, call->method);
	return 0;
}

static int send_window(struct hawser__carrier *carrier, struct hawser_call *call, uint64_t bytes)
{
	struct hawser__connection *connection = connection_of(carrier);
	uint8_t *start;

	if (!hawser__session_put_window(&connection->session, call->id, bytes, &start))
		return -ENOMEM;
	if (connection->is_traced)
		hawser__trace_sent(connection, start, call->method);
	return 0;
}

static const struct hawser__connection *of_connection(const struct hawser__carrier *carrier)
{
	return hawser__container_of(carrier, const struct hawser__connection, carrier);
}

static bool can_send(const struct hawser__carrier *carrier, const struct hawser_call *call)
{
	const struct hawser__connection *connection = of_connection(carrier);

	/* What waits for other calls' peers is no reason to wait. */
	return (!call->outbox || hawser__outbox_is_open(call->outbox)) &&
	       connection->session.log.frames.length <= connection->max_unsent;
}

/* For who looks whether the peer takes enough. */
static void note_refusal(struct hawser__carrier *carrier, struct hawser_call *call)
{
	if (!call->outbox)
		return;
	call->outbox->is_wanted = true;
	hawser__connection_watch_slow(connection_of(carrier));
}

static bool is_waiting(const struct hawser__carrier *carrier, const struct hawser_call *call)
{
	return call->outbox && (call->outbox->first ||
				call->outbox->number > of_connection(carrier)->session.log.written);
}

static void drop(struct hawser__carrier *carrier, struct hawser_call *call, bool is_over)
{
	struct hawser__session *session = &connection_of(carrier)->session;

	if (is_over) {
		hawser__outbox_free(session, call->outbox);
		call->outbox = NULL;
	} else if (call->outbox) {
		hawser__outbox_drop(session, call->outbox);
	}
}

static bool was_sent(const struct hawser__carrier *carrier, const struct hawser_call *call)
{
	return hawser__log_was_sent(&of_connection(carrier)->session.log, call->number);
}

static void send_cancel(struct hawser__carrier *carrier, struct hawser_call *call)
{
	struct hawser__connection *connection = connection_of(carrier);

	uint8_t *start;

	drop(carrier, call, true);
	/* What still waits for a connection need not be executed at all. */
	if (!was_sent(carrier, call)) {
		hawser__frame_take_back(call->queued, call->id);
		/* Perhaps with the announcement of its method. */
		hawser__map_remove(&connection->announced, (uintptr_t)call->method);
		connection->last_method = NULL;
		return;
	}
	/* Without memory the peer works in vain; that is all. */
	if (hawser__session_put_cancel(&connection->session, call->id, &start) &&
	    connection->is_traced)
		hawser__trace_sent(connection, start, call->method);
}

static size_t max_message(const struct hawser__carrier *carrier)
{
	return of_connection(carrier)->max_peer_message;
}

static const char *peer(struct hawser__carrier *carrier, char *buffer, size_t size)
{
	return hawser__connection_peer(connection_of(carrier), buffer, size);
}

const struct hawser__carrier_ops hawser__connection_carrier_ops = {
	.send_end = send_end,
	.send_call = send_call,
	.send_message = send_message,
	.send_last = send_last,
	.send_window = send_window,
	.can_send = can_send,
	.note_refusal = note_refusal,
	.is_waiting = is_waiting,
	.drop = drop,
	.send_cancel = send_cancel,
	.was_sent = was_sent,
	.max_message = max_message,
	.peer = peer,
};
