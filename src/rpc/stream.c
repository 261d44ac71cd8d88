/* What comes in on calls, and who may send; stream.h gives the idea. */

#include "rpc/stream.h"

#include "rpc/connection.h"
#include "rpc/dispatch_pool.h"
#include "rpc/incoming.h"
#include "rpc/outgoing.h"
#include "util/alloc.h"
#include "wire/outbox.h"
#include <errno.h>
#include <stdio.h>

static void on_deliver(struct hawser__deferred *deferred);

static struct hawser__outgoing *outgoing_of(struct hawser_call *call)
{
	return hawser__container_of(call, struct hawser__outgoing, call);
}

static struct hawser__incoming *incoming_of(struct hawser_call *call)
{
	return hawser__container_of(call, struct hawser__incoming, call);
}

/* ---- life ---- */

int hawser__stream_new(struct hawser_call *call, struct hawser__connection *connection,
		       bool receives, bool sends)
{
	struct hawser__stream *stream = hawser__calloc(1, sizeof *stream);

	if (!stream)
		return -ENOMEM;
	stream->call = call;
	stream->connection = connection;
	stream->loop = connection->loop;
	stream->receives = receives;
	stream->sends = sends;
	stream->end = &stream->first;
	stream->deliver.run = on_deliver;
	hawser__window_init(&stream->window, connection->window);
	hawser__list_init(&stream->deliver.link);
	hawser__list_init(&stream->owing);
	hawser__list_init(&stream->blocked);
	connection->n_receiving += receives;
	call->stream = stream;
	return 0;
}

struct hawser__arrival *hawser__stream_take(struct hawser__stream *stream)
{
	struct hawser__arrival *arrival = stream->first;

	if (!arrival)
		return NULL;
	stream->first = arrival->next;
	if (!stream->first)
		stream->end = &stream->first;
	stream->unread -= arrival->cost;
	if (stream->connection)
		stream->connection->unread -= arrival->cost;
	return arrival;
}

void hawser__stream_put_back(struct hawser__stream *stream, struct hawser__arrival *arrivals)
{
	struct hawser__arrival **end = &arrivals;
	size_t cost = 0;

	for (; *end; end = &(*end)->next)
		cost += (*end)->cost;
	*end = stream->first;
	/* What was at the end still is, unless there was nothing. */
	if (!stream->first)
		stream->end = end;
	stream->first = arrivals;
	stream->unread += cost;
	if (stream->connection)
		stream->connection->unread += cost;
}

void hawser__stream_forget(struct hawser__stream *stream)
{
	struct hawser__arrival *arrival;

	while ((arrival = hawser__stream_take(stream)))
		hawser__arrival_free(arrival);
}

void hawser__stream_leave(struct hawser__stream *stream)
{
	struct hawser__connection *connection = stream ? stream->connection : NULL;

	if (!connection)
		return;
	hawser__list_unlink(&stream->owing);
	hawser__list_unlink(&stream->blocked);
	stream->on_writable = NULL;
	connection->unread -= stream->unread;
	connection->n_receiving -= stream->receives;
	stream->connection = NULL;
	if (stream->coming && stream->coming == connection->straight)
		/* Bytes may come into it at this moment. */
		stream->coming->is_orphan = true;
	else
		hawser__arrival_free(stream->coming);
	stream->coming = NULL;
}

void hawser__stream_free(struct hawser__stream *stream)
{
	if (!stream)
		return;
	hawser__stream_forget(stream);
	hawser__list_unlink(&stream->deliver.link);
	if (stream->is_gone)
		*stream->is_gone = true;
	free(stream);
}

/* ---- taking ---- */

/* What a window should be. All of a connection's together are not to be more than may be unread. */
static size_t wanted_window(const struct hawser__connection *connection)
{
	size_t share = connection->n_receiving ? connection->max_unread / connection->n_receiving
					       : connection->line.size;

	if (share < connection->line.size)
		return share > connection->window ? share : connection->window;
	return connection->line.size;
}

void hawser__stream_taken(struct hawser__stream *stream, size_t cost)
{
	struct hawser__connection *connection = stream->connection;
	struct hawser__carrier *carrier = stream->call->carrier;
	size_t bytes;

	if (!connection || !carrier || stream->has_last_come)
		return;
	if (!stream->first && stream->coming) {
		cost += stream->coming->cost;
		stream->coming->cost = 0;
	}
	bytes = hawser__window_take(&stream->window, cost, wanted_window(connection));
	if (!bytes)
		return;
	if (carrier->ops->send_window(carrier, stream->call, bytes) < 0) {
		/* The next message may never come, if that is what the peer waits for. */
		hawser__list_move(&connection->owing, &stream->owing);
		hawser__connection_flush_later(connection);
		return;
	}
	hawser__window_told(&stream->window, bytes);
	hawser__connection_flush_soon(connection);
}

void hawser__stream_repay(struct hawser__connection *connection)
{
	struct hawser__list owed;

	hawser__list_init(&owed);
	while (!hawser__list_empty(&connection->owing))
		hawser__list_move(&owed, connection->owing.next);
	/* Each once: without memory it goes back to where it was. */
	while (!hawser__list_empty(&owed)) {
		struct hawser__stream *stream =
			hawser__container_of(owed.next, struct hawser__stream, owing);

		hawser__list_unlink(&stream->owing);
		hawser__stream_taken(stream, 0);
	}
}

/* ---- delivering ---- */

/* May free the stream. */
static void deliver(struct hawser__stream *stream, struct hawser__arrival *arrival)
{
	if (stream->call->is_outgoing)
		outgoing_of(stream->call)->ops->message(outgoing_of(stream->call), arrival);
	else
		hawser__incoming_message(incoming_of(stream->call), arrival);
}

static void deliver_end(struct hawser__stream *stream)
{
	stream->is_end_due = false;
	if (stream->call->is_outgoing)
		outgoing_of(stream->call)->ops->done(outgoing_of(stream->call));
	else
		hawser__incoming_message(incoming_of(stream->call), NULL);
}

static void on_deliver(struct hawser__deferred *deferred)
{
	struct hawser__stream *stream =
		hawser__container_of(deferred, struct hawser__stream, deliver);
	struct hawser__connection *connection = stream->connection;
	bool was_busy = connection && connection->is_busy, is_gone = false;
	struct hawser__arrival *arrival;

	/* What the receiver's callbacks do to the connection waits until they are through. */
	if (connection)
		connection->is_busy = true;
	stream->is_gone = &is_gone;
	while (!is_gone && !stream->is_stopped && (arrival = hawser__stream_take(stream)))
		deliver(stream, arrival);
	if (!is_gone)
		stream->is_gone = NULL;
	if (!is_gone && !stream->is_stopped && stream->is_end_due)
		deliver_end(stream);
	if (connection && !was_busy)
		hawser__connection_settle(connection);
}

void hawser__stream_deliver_soon(struct hawser__stream *stream)
{
	if (!stream->is_pulled && !stream->is_stopped && (stream->first || stream->is_end_due))
		hawser__loop_defer(stream->loop, &stream->deliver);
}

/* ---- what comes ---- */

static void fail(struct hawser__stream *stream, enum hawser_status status, const char *text)
{
	if (stream->call->is_outgoing)
		hawser__outgoing_abandon(outgoing_of(stream->call), status, "%s", text);
	else
		hawser__incoming_abort(incoming_of(stream->call), status, text);
}

static void fail_memory(struct hawser__stream *stream, size_t size)
{
	char text[HAWSER_ERROR_MESSAGE_SIZE];

	snprintf(text, sizeof text, "%s: out of memory for a message of %zu bytes",
		 stream->call->method->name, size);
	fail(stream, HAWSER_RESOURCE_EXHAUSTED, text);
}

/* Something has come for who takes it out by himself. May end the call. */
static void tell_arrived(struct hawser__stream *stream)
{
	if (stream->call->is_outgoing)
		outgoing_of(stream->call)->ops->arrived(outgoing_of(stream->call));
	else
		hawser__dispatch_arrived(incoming_of(stream->call));
}

static void queue(struct hawser__stream *stream, struct hawser__arrival *arrival)
{
	struct hawser__connection *connection = stream->connection;
	struct hawser__arrival *kept = hawser__arrival_keep(arrival);
	char text[HAWSER_ERROR_MESSAGE_SIZE];

	if (!kept) {
		fail_memory(stream, arrival->size);
		return;
	}
	/* The last message may overdraw it, as it may the window. */
	if (stream->receives && connection->unread > connection->max_unread) {
		snprintf(text, sizeof text,
			 "%s: %zu bytes of messages wait to be taken on this connection, the "
			 "limit is %zu; take them, or raise max_unread_bytes",
			 stream->call->method->name, connection->unread + kept->cost,
			 connection->max_unread);
		hawser__arrival_free(kept);
		fail(stream, HAWSER_RESOURCE_EXHAUSTED, text);
		return;
	}
	kept->next = NULL;
	*stream->end = kept;
	stream->end = &kept->next;
	stream->unread += kept->cost;
	connection->unread += kept->cost;
	if (stream->is_pulled)
		tell_arrived(stream);
}

/* A message is there. */
static void complete(struct hawser__stream *stream, struct hawser__arrival *arrival)
{
	size_t cost = arrival->cost;

	if (!stream->receives) {
		/* The one of its call; nothing is gained by keeping the peer waiting. */
		arrival->cost = 0;
		hawser__stream_taken(stream, cost);
		if (!stream->call->is_outgoing)
			hawser__incoming_request(incoming_of(stream->call), arrival);
		else
			queue(stream, arrival);
	} else if (stream->is_pulled || stream->is_stopped || stream->first) {
		queue(stream, arrival);
	} else {
		deliver(stream, arrival);
	}
}

/* The limit on what comes, and what a message is called in texts. */
static size_t limit_of(const struct hawser__stream *stream, const char **what)
{
	const struct hawser__connection *connection = stream->connection;
	const struct hawser_method *method = stream->call->method;
	bool is_outgoing = stream->call->is_outgoing;
	uint32_t own = is_outgoing ? method->max_reply_bytes : method->max_request_bytes;
	size_t limit = connection->session.max_frame - HAWSER__FRAME_OVERHEAD;

	*what = stream->receives ? "a message" : is_outgoing ? "the reply" : "the request";
	return own && own < limit ? own : limit;
}

static void refuse_size(struct hawser__stream *stream, uint64_t size)
{
	char text[HAWSER_ERROR_MESSAGE_SIZE];
	const char *what;
	size_t limit = limit_of(stream, &what);

	snprintf(text, sizeof text, "%s: %s has %llu bytes, the limit is %zu",
		 stream->call->method->name, what, (unsigned long long)size, limit);
	fail(stream, HAWSER_RESOURCE_EXHAUSTED, text);
}

static const ProtobufCMessageDescriptor *type_of(const struct hawser__stream *stream)
{
	if (stream->call->is_outgoing)
		return stream->call->method->reply;
	return hawser__incoming_is_raw(incoming_of(stream->call)) ? NULL
								  : stream->call->method->request;
}

/* A part of the message that is on its way. */
static void gather(struct hawser__stream *stream, const struct hawser__frame *frame)
{
	struct hawser__arrival *coming = stream->coming;
	size_t length = frame->payload_length, cost = length + HAWSER__MESSAGE_COST;

	if (length && hawser__arrival_place(coming, length) == frame->payload)
		hawser__arrival_placed(coming, length);
	else if (length && hawser__arrival_add(coming, frame->payload, length) < 0) {
		fail_memory(stream, coming->size);
		return;
	}
	coming->cost += cost;
	if (hawser__arrival_is_whole(coming)) {
		stream->coming = NULL;
		complete(stream, coming);
	} else if (!stream->first) {
		hawser__stream_taken(stream, 0);
	}
}

static void begin(struct hawser__stream *stream, const struct hawser__frame *frame)
{
	const char *what;

	if (frame->size > limit_of(stream, &what)) {
		refuse_size(stream, frame->size);
		return;
	}
	stream->coming = hawser__arrival_new(stream->loop, type_of(stream), (size_t)frame->size);
	if (stream->coming)
		gather(stream, frame);
	else
		fail_memory(stream, (size_t)frame->size);
}

static void close_for(struct hawser__connection *connection, const struct hawser_call *call,
		      const char *why)
{
	hawser__connection_close(connection, HAWSER__REASON__REASON_PROTOCOL_ERROR,
				 "message: call %llu (%s) %s", (unsigned long long)call->id,
				 call->method->name, why);
}

/* What is wrong with a message frame for this call; NULL: nothing. */
static const char *check(const struct hawser__stream *stream, const struct hawser__frame *frame)
{
	const struct hawser__arrival *coming = stream->coming;

	if (stream->has_last_come)
		return "has ended its messages before";
	if (frame->last)
		return !stream->receives || stream->call->is_outgoing ? "is no stream of requests"
		       : coming || frame->payload_length || frame->size
			       ? "ends in the middle of a message"
			       : NULL;
	if (coming && frame->size)
		return "begins a message within another";
	if (coming && frame->payload_length > coming->size - coming->received)
		return "has more bytes than its message";
	if (!coming && !stream->receives && (stream->first || !stream->call->is_outgoing))
		return "has one message, not more";
	if (frame->size && frame->size < frame->payload_length)
		return "has more bytes than its message";
	return NULL;
}

void hawser__stream_message(struct hawser__connection *connection,
			    const struct hawser__frame *frame)
{
	struct hawser_call *call = hawser__call_table_find(&connection->calls, frame->id);
	struct hawser__stream *stream;
	struct hawser__arrival view;
	const char *why, *what;

	/* Over, while it was under way. */
	if (!call)
		return;
	/* A reply that comes in pieces. */
	if (!call->stream && call->is_outgoing &&
	    hawser__stream_new(call, connection, false, false) < 0) {
		hawser__outgoing_abandon(outgoing_of(call), HAWSER_RESOURCE_EXHAUSTED,
					 "%s: out of memory", call->method->name);
		return;
	}
	stream = call->stream;
	if (!stream || (!stream->receives && !call->is_outgoing && !stream->coming)) {
		close_for(connection, call, "is no stream of requests");
		return;
	}
	why = check(stream, frame);
	if (why) {
		close_for(connection, call, why);
		return;
	}
	if (frame->last) {
		stream->has_last_come = stream->is_end_due = true;
		if (stream->is_pulled)
			tell_arrived(stream);
		else if (!stream->is_stopped && !stream->first)
			deliver_end(stream);
		return;
	}
	if (!hawser__window_use(&stream->window, frame->payload_length + HAWSER__MESSAGE_COST)) {
		close_for(connection, call, "has used up its window");
		return;
	}
	hawser__connection_measure(connection, frame->payload_length);
	if (stream->coming) {
		gather(stream, frame);
	} else if (frame->size > frame->payload_length) {
		begin(stream, frame);
	} else if (frame->payload_length > limit_of(stream, &what)) {
		refuse_size(stream, frame->payload_length);
	} else {
		hawser__arrival_view(&view, type_of(stream), frame->payload, frame->payload_length);
		view.cost = frame->payload_length + HAWSER__MESSAGE_COST;
		complete(stream, &view);
	}
}

struct hawser__arrival *hawser__stream_place(struct hawser__connection *connection,
					     const struct hawser__frame *frame)
{
	const struct hawser_call *call = hawser__call_table_find(&connection->calls, frame->id);
	struct hawser__arrival *coming = call && call->stream ? call->stream->coming : NULL;
	uint8_t *place;

	if (!coming || frame->size || frame->last || call->stream->window.left <= 0 ||
	    frame->payload_length > coming->size - coming->received)
		return NULL;
	place = hawser__arrival_place(coming, frame->payload_length);
	if (!place)
		return NULL;
	coming->at = place;
	return coming;
}

/* ---- room ---- */

void hawser__stream_window(struct hawser__connection *connection, uint64_t id, uint64_t bytes)
{
	struct hawser__outbox *outbox = hawser__outbox_find(&connection->session, id);

	/* It may be over, while the frame was under way. */
	if (outbox && hawser__outbox_open_window(&connection->session, outbox, bytes) < 0)
		hawser__connection_close(connection, HAWSER__REASON__REASON_PROTOCOL_ERROR,
					 "window: call %llu would have more than %lld bytes",
					 (unsigned long long)id, (long long)HAWSER__WINDOW_MOST);
	/* The flush at the end of what was received tells who waits. */
}

static bool can_send(const struct hawser__stream *stream)
{
	const struct hawser__carrier *carrier = stream->call->carrier;

	return carrier && carrier->ops->can_send(carrier, stream->call);
}

void hawser__stream_block(struct hawser__stream *stream)
{
	if (!stream->connection)
		return;
	hawser__list_move(&stream->connection->blocked, &stream->blocked);
	hawser__connection_flush_soon(stream->connection);
}

static void tell(struct hawser__stream *stream)
{
	hawser_writable_fn *callback = stream->on_writable;
	void *data = stream->on_writable_data;
	struct hawser_call *call = stream->call;

	hawser__list_unlink(&stream->blocked);
	if (!call->is_outgoing)
		hawser__incoming_unstall(incoming_of(call));
	/* One thing of a call at a time: it is blocked again when its handler has returned. */
	if (callback && !call->is_outgoing && hawser__pool_puts_off_writable(incoming_of(call)))
		return;
	stream->on_writable = NULL;
	if (callback)
		callback(call->is_outgoing ? call : hawser__incoming_handle(incoming_of(call)),
			 data);
}

void hawser__stream_unblock(struct hawser__connection *connection)
{
	struct hawser__list todo;

	if (hawser__list_empty(&connection->blocked))
		return;
	hawser__list_init(&todo);
	while (!hawser__list_empty(&connection->blocked))
		hawser__list_move(&todo, connection->blocked.next);
	/* Each once: who asks again waits for the next turn of the loop. */
	while (!hawser__list_empty(&todo)) {
		struct hawser__stream *stream =
			hawser__container_of(todo.next, struct hawser__stream, blocked);

		if (can_send(stream))
			tell(stream);
		else
			hawser__list_move(&connection->blocked, &stream->blocked);
	}
	hawser__stream_unblock_soon(connection);
}

void hawser__stream_unblock_soon(struct hawser__connection *connection)
{
	struct hawser__list *link;

	list_for_each (link, &connection->blocked)
		if (can_send(hawser__container_of(link, struct hawser__stream, blocked))) {
			hawser__loop_defer(connection->loop, &connection->flush);
			return;
		}
}
