/* A handler's stream of replies.
 *
 * Two things bound what it sends ahead: the window that the caller opens as it takes
 * messages, and the room in the connection's log. A handler that finds either of them used
 * up is told -EAGAIN, and can ask to be told when there is room again. */

#include "rpc/connection.h"
#include "rpc/incoming.h"
#include "util/alloc.h"
#include <errno.h>
#include <stdio.h>

/* No caller needs a window beyond this; sums stay far from the type's end. */
#define WINDOW_MOST (1ll << 40)

/* Bytes of one call that may be on their way from other threads. */
enum { POSTED_MOST = 256 * 1024 };

/* A message on its way from another thread. */
struct sending {
	struct hawser__post post;
	struct hawser__incoming *slot;
	const struct hawser_call *handle;
	size_t length;
	uint8_t packed[];
};

static int too_large(struct hawser__incoming *incoming, const struct hawser_call *handle,
		     size_t length, size_t limit)
{
	char text[HAWSER_ERROR_MESSAGE_SIZE];
	int r;

	snprintf(text, sizeof text, "%s: a message has %zu bytes, the limit is %zu",
		 incoming->call.method->name, length, limit);
	r = hawser__incoming_answer(incoming, handle, HAWSER_RESOURCE_EXHAUSTED,
				    HAWSER_OUTCOME_EXECUTED, text, NULL);
	return r < 0 ? r : -EMSGSIZE;
}

/* Other threads cannot look at the log, so they are told when it is full. */
static void sent_for_another(struct hawser__incoming *incoming)
{
	struct hawser__carrier *carrier = incoming->call.carrier;

	if (!carrier->ops->has_room(carrier)) {
		atomic_store_explicit(&incoming->is_stalled, true, memory_order_relaxed);
		incoming->connection->has_stalled = true;
	}
	hawser__connection_flush_soon(incoming->connection);
}

/* There is room again. */
static void let_others_send(struct hawser__connection *connection)
{
	struct hawser__list *link;

	connection->has_stalled = false;
	list_for_each (link, &connection->incoming)
		atomic_store_explicit(
			&hawser__container_of(link, struct hawser__incoming, link)->is_stalled,
			false, memory_order_relaxed);
}

static void sending_posted(struct hawser__loop *loop, struct hawser__post *post)
{
	struct sending *sending = hawser__container_of(post, struct sending, post);
	struct hawser__incoming *incoming = hawser__incoming_of(sending->handle);
	struct hawser__carrier *carrier = incoming ? incoming->call.carrier : NULL;
	int r = 0;

	(void)loop;
	/* The slot is there even if the call is not. */
	atomic_fetch_sub_explicit(&sending->slot->posted_bytes, sending->length,
				  memory_order_relaxed);
	atomic_fetch_sub_explicit(&sending->slot->posted, 1, memory_order_release);
	if (carrier && sending->length > hawser__incoming_reply_limit(incoming))
		r = too_large(incoming, sending->handle, sending->length,
			      hawser__incoming_reply_limit(incoming));
	else if (carrier)
		r = carrier->ops->send_message(carrier, &incoming->call, false, NULL,
					       sending->packed, sending->length);
	/* A gap in the stream is worse than its end. */
	if (r == -ENOMEM)
		hawser__incoming_answer(incoming, sending->handle, HAWSER_RESOURCE_EXHAUSTED,
					HAWSER_OUTCOME_EXECUTED, "out of memory", NULL);
	else if (carrier && r == 0)
		sent_for_another(incoming);
	free(sending);
}

static int send_from_elsewhere(struct hawser__incoming *incoming, const struct hawser_call *handle,
			       const ProtobufCMessage *message, size_t length)
{
	struct sending *sending;

	if (atomic_load_explicit(&incoming->is_stalled, memory_order_relaxed) ||
	    atomic_load_explicit(&incoming->posted_bytes, memory_order_relaxed) > POSTED_MOST)
		return -EAGAIN;
	sending = hawser__malloc(sizeof *sending + length);
	if (!sending)
		return -ENOMEM;
	sending->post.run = sending_posted;
	sending->slot = incoming;
	sending->handle = handle;
	sending->length = length;
	protobuf_c_message_pack(message, sending->packed);
	atomic_fetch_add_explicit(&incoming->posted_bytes, length, memory_order_relaxed);
	atomic_fetch_add_explicit(&incoming->posted, 1, memory_order_acq_rel);
	if (hawser__loop_post(incoming->serving->loop, &sending->post) == 0)
		return 0;
	atomic_fetch_sub_explicit(&incoming->posted_bytes, length, memory_order_relaxed);
	atomic_fetch_sub_explicit(&incoming->posted, 1, memory_order_release);
	free(sending);
	return -EPIPE;
}

int hawser__incoming_send(struct hawser__incoming *incoming, const struct hawser_call *handle,
			  const ProtobufCMessage *message)
{
	unsigned state = atomic_load_explicit(&incoming->state, memory_order_acquire);
	struct hawser__carrier *carrier;
	size_t length, limit;
	int r;

	if (state & HAWSER__SLOT_ANSWERED)
		return -EALREADY;
	if (state & HAWSER__SLOT_CANCELLED)
		return -EPIPE;
	if (atomic_load_explicit(&incoming->window, memory_order_relaxed) <= 0)
		return -EAGAIN;
	length = protobuf_c_message_get_packed_size(message);
	if (!hawser__loop_is_here(incoming->serving->loop) ||
	    hawser__incoming_is_overtaking(incoming)) {
		r = send_from_elsewhere(incoming, handle, message, length);
	} else {
		carrier = incoming->call.carrier;
		if (!carrier)
			return -EPIPE;
		limit = hawser__incoming_reply_limit(incoming);
		if (length > limit)
			return too_large(incoming, handle, length, limit);
		if (!carrier->ops->has_room(carrier))
			return -EAGAIN;
		r = carrier->ops->send_message(carrier, &incoming->call, false, message, NULL,
					       length);
		if (r == 0)
			hawser__connection_flush_soon(incoming->connection);
	}
	if (r == 0)
		atomic_fetch_sub_explicit(&incoming->window,
					  (long long)length + HAWSER__MESSAGE_COST,
					  memory_order_relaxed);
	return r;
}

/* ---- room ---- */

void hawser__incoming_window(struct hawser__connection *connection, uint64_t id, uint64_t bytes)
{
	struct hawser_call *call = hawser__call_table_find(&connection->calls, id);
	struct hawser__incoming *incoming;
	long long window;

	/* It may have ended while the frame was under way. */
	if (!call || call->is_outgoing)
		return;
	incoming = hawser__container_of(call, struct hawser__incoming, call);
	window = atomic_load_explicit(&incoming->window, memory_order_relaxed);
	if (bytes > (uint64_t)(WINDOW_MOST - window)) {
		hawser__connection_close(connection, HAWSER__REASON__REASON_PROTOCOL_ERROR,
					 "window: call %llu would have more than %lld bytes",
					 (unsigned long long)id, (long long)WINDOW_MOST);
		return;
	}
	atomic_fetch_add_explicit(&incoming->window, (long long)bytes, memory_order_relaxed);
	/* The flush at the end of what was received tells the handler. */
}

static bool can_send(const struct hawser__incoming *incoming)
{
	const struct hawser__carrier *carrier = incoming->call.carrier;

	return atomic_load_explicit(&incoming->window, memory_order_relaxed) > 0 &&
	       carrier->ops->has_room(carrier);
}

void hawser__incoming_unblock(struct hawser__connection *connection)
{
	const struct hawser__carrier *carrier = &connection->carrier;
	struct hawser__list todo, *link;

	if (connection->has_stalled && carrier->ops->has_room(carrier))
		let_others_send(connection);
	if (hawser__list_empty(&connection->blocked))
		return;
	hawser__list_init(&todo);
	while (!hawser__list_empty(&connection->blocked))
		hawser__list_move(&todo, connection->blocked.next);
	/* Each once: who asks again waits for the next turn of the loop. */
	while (!hawser__list_empty(&todo)) {
		struct hawser__incoming *incoming =
			hawser__container_of(todo.next, struct hawser__incoming, blocked);
		hawser_writable_fn *callback = incoming->on_writable;

		if (can_send(incoming)) {
			hawser__list_unlink(&incoming->blocked);
			incoming->on_writable = NULL;
			callback(hawser__incoming_handle(incoming), incoming->on_writable_data);
		} else {
			hawser__list_move(&connection->blocked, &incoming->blocked);
		}
	}
	list_for_each (link, &connection->blocked)
		if (can_send(hawser__container_of(link, struct hawser__incoming, blocked))) {
			hawser__loop_defer(connection->loop, &connection->flush);
			return;
		}
}

int hawser_call_on_writable(struct hawser_call *call, hawser_writable_fn *callback, void *data)
{
	struct hawser__incoming *incoming = hawser__incoming_of(call);

	if (!incoming || !incoming->call.carrier)
		return -EPIPE;
	if (!(incoming->call.method->kind & HAWSER_SERVER_STREAM) ||
	    !hawser__loop_is_here(incoming->serving->loop))
		return -EINVAL;
	if (atomic_load_explicit(&incoming->state, memory_order_acquire) & HAWSER__SLOT_ANSWERED)
		return -EALREADY;
	hawser__list_unlink(&incoming->blocked);
	incoming->on_writable = callback;
	incoming->on_writable_data = data;
	if (callback) {
		hawser__list_append(&incoming->connection->blocked, &incoming->blocked);
		hawser__connection_flush_soon(incoming->connection);
	}
	return 0;
}
