/* Waiting for room, and packing as it is there; client_send.h says why. */

#include "rpc/client_send.h"

#include "rpc/context.h"
#include "rpc/stream.h"
#include <errno.h>
#include <sched.h>
#include <string.h>

/* ---- waiting for room ---- */

void hawser__sender_init(struct hawser__sender *sender, struct hawser__outgoing *outgoing)
{
	sender->outgoing = outgoing;
	hawser__list_init(&sender->link);
	hawser__waiter_init(&sender->waiter);
}

void hawser__sender_deinit(struct hawser__sender *sender)
{
	hawser__list_unlink(&sender->link);
	hawser__waiter_deinit(&sender->waiter);
}

/* Whether it need not wait any longer. */
static bool has_room(const struct hawser_client *client, const struct hawser__sender *sender)
{
	const struct hawser_call *call = &sender->outgoing->call;
	const struct hawser__carrier *carrier = call->carrier;

	if (!carrier)
		return true;
	switch (sender->room) {
	case HAWSER__ROOM_TO_SEND:
		return carrier->ops->can_send(carrier, call);
	case HAWSER__ROOM_AHEAD:
		return call->outbox->bytes + HAWSER__PIECE_BYTES <= HAWSER__PACKED_AHEAD_BYTES;
	case HAWSER__ROOM_GONE:
		break;
	}
	/* Without a connection it waits in the log, as calls do. */
	return !carrier->ops->is_waiting(carrier, call) ||
	       (!hawser__client_is_open(client) && carrier->ops->can_send(carrier, call));
}

void hawser__client_written(struct hawser__connection *connection)
{
	struct hawser_client *client = connection->owner;
	struct hawser__list *link;

	list_for_each (link, &client->senders) {
		struct hawser__sender *sender =
			hawser__container_of(link, struct hawser__sender, link);

		if (!sender->waiter.is_done && has_room(client, sender))
			hawser__waiter_finish(&sender->waiter);
	}
}

void hawser__sender_wait(struct hawser_client *client, struct hawser__sender *sender,
			 enum hawser__room room, const struct hawser_context *context)
{
	struct hawser__outgoing *outgoing = sender->outgoing;
	int r = 0;

	sender->room = room;
	hawser__list_append(&client->senders, &sender->link);
	while (r == 0 && !has_room(client, sender)) {
		sender->waiter.is_done = false;
		r = hawser__client_wait(client, &sender->waiter, outgoing->call.deadline_ms,
					context);
	}
	hawser__list_unlink(&sender->link);
	if (r < 0 && outgoing->call.carrier)
		hawser__client_give_up(outgoing, r);
}

/* ---- large messages ---- */

/* Puts the piece that is full. With the lock. */
static void put_piece(struct hawser__bulk *bulk, bool is_last)
{
	struct hawser_call *call = &bulk->sender->outgoing->call;
	struct hawser__connection *connection = bulk->client->connection;
	struct hawser__chunk *piece = bulk->piece;

	bulk->piece = NULL;
	hawser__outbox_put_piece(&connection->session, call->outbox, piece, bulk->mark);
	bulk->mark = 0;
	hawser__connection_watch_slow(connection);
	/* Two at a time: half as many system calls. */
	if (is_last || call->outbox->bytes >= (size_t)2 * HAWSER__PIECE_BYTES)
		hawser__connection_flush(connection);
}

/* Its caller waits no more, or may not. */
static int look_up(const struct hawser__bulk *bulk)
{
	if (hawser__context_is_cancelled(bulk->context))
		return -ECANCELED;
	return bulk->client->loop->now_ms >= bulk->sender->outgoing->call.deadline_ms ? -ETIMEDOUT
										      : 0;
}

/* The next piece, when there is room for it; or none, if the call is over. With the lock. */
static void begin_piece(struct hawser__bulk *bulk)
{
	struct hawser__outgoing *outgoing = bulk->sender->outgoing;
	int r = look_up(bulk);

	if (r < 0 && outgoing->call.carrier)
		hawser__client_give_up(outgoing, r);
	hawser__sender_wait(bulk->client, bulk->sender, HAWSER__ROOM_AHEAD, bulk->context);
	if (!outgoing->call.carrier)
		return;
	bulk->piece = hawser__outbox_new_piece(&bulk->client->loop->pool);
	if (!bulk->piece)
		hawser__outgoing_abandon(
			outgoing, HAWSER_RESOURCE_EXHAUSTED,
			"%s: out of memory in the middle of a message of %zu bytes",
			outgoing->call.method->name, bulk->size);
}

/* One piece is full, and not the last. Without the lock. */
static void next_piece(struct hawser__bulk *bulk)
{
	struct hawser_client *client = bulk->client;
	bool is_wanted;

	hawser__client_lock(client);
	hawser__loop_update_now(client->loop);
	if (bulk->sender->outgoing->call.carrier) {
		put_piece(bulk, false);
		begin_piece(bulk);
	} else {
		hawser__bulk_deinit(bulk);
	}
	is_wanted = hawser__client_is_wanted(client);
	hawser__client_unlock(client);
	/* Who was woken while we were at it would have to wait until our time slice is over. */
	if (is_wanted)
		sched_yield();
}

static void add_packed(ProtobufCBuffer *buffer, size_t length, const uint8_t *data)
{
	struct hawser__bulk *bulk = (struct hawser__bulk *)(void *)buffer;

	size_t missing = bulk->packed < bulk->size ? bulk->size - bulk->packed : 0;

	bulk->packed += length;
	/* More than was announced is wrong, and would be so for the peer. */
	if (length > missing)
		length = missing;
	while (length && bulk->piece) {
		struct hawser__chunk *piece = bulk->piece;
		size_t part = piece->capacity - piece->end;

		if (part == 0) {
			next_piece(bulk);
			continue;
		}
		if (part > length)
			part = length;
		memcpy(piece->data + piece->end, data, part);
		piece->end += part;
		data += part;
		length -= part;
	}
}

void hawser__bulk_prepare(const struct hawser_client *client, struct hawser__content *content)
{
	size_t limit = client->options.max_request_bytes;

	hawser__content_pack_large(content,
				   limit < HAWSER__BULK_BYTES ? limit : HAWSER__BULK_BYTES);
}

void hawser__bulk_init(struct hawser__bulk *bulk, struct hawser_client *client,
		       struct hawser__content *content)
{
	*bulk = (struct hawser__bulk){.base = {add_packed},
				      .client = client,
				      .message = content->message,
				      .size = content->length};
	if (content->message && content->length > HAWSER__BULK_BYTES &&
	    content->length <= client->options.max_request_bytes)
		bulk->piece = hawser__outbox_new_piece(&client->loop->pool);
	content->comes_later = bulk->piece != NULL;
}

void hawser__bulk_deinit(struct hawser__bulk *bulk)
{
	if (bulk->piece)
		hawser__chunk_free(&bulk->client->loop->pool, bulk->piece);
	bulk->piece = NULL;
}

void hawser__bulk_send(struct hawser__bulk *bulk, struct hawser__sender *sender, bool is_announced,
		       const struct hawser_context *context)
{
	struct hawser_client *client = bulk->client;
	struct hawser__outgoing *outgoing = sender->outgoing;

	if (!bulk->piece)
		return;
	bulk->sender = sender;
	bulk->context = context;
	bulk->mark = is_announced ? 0 : bulk->size;
	hawser__client_unlock(client);
	protobuf_c_message_pack_to_buffer(bulk->message, &bulk->base);
	hawser__client_lock(client);
	hawser__loop_update_now(client->loop);
	/* The last piece waits for this: a message that is not what was announced must not be one.
	 */
	if (outgoing->call.carrier && bulk->packed == bulk->size)
		put_piece(bulk, true);
	else if (outgoing->call.carrier)
		hawser__outgoing_abandon(
			outgoing, HAWSER_INVALID_ARGUMENT,
			"%s: the message was changed while it was sent: it had %zu "
			"bytes and then %zu; leave it alone until the call returns",
			outgoing->call.method->name, bulk->size, bulk->packed);
	hawser__bulk_deinit(bulk);
}
