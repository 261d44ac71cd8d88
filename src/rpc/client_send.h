/* What a blocking client sends: waiting for room, and messages that are very large.
 *
 * Such a message is packed by the thread that sends it, piece by piece, as they leave: without
 * the client's lock, which is taken for a moment to hand a full piece on. So however large it is,
 * not more of it than HAWSER__PACKED_AHEAD_BYTES waits here, in memory that is used again and
 * again; and the threads whose calls are small find lock and CPU free after each piece. What is
 * not so large is packed as a whole before the lock is taken, for that is a little faster.
 *
 * Once the peer has been told how large a message is, it has to come. Whatever ends the call
 * before that (its deadline, a cancellation, the server's answer, the loss of its session) only
 * makes the rest go nowhere. */

#ifndef HAWSER_RPC_CLIENT_SEND_H
#define HAWSER_RPC_CLIENT_SEND_H

#include "rpc/client_wait.h"
#include "rpc/outgoing.h"
#include "wire/outbox.h"

enum {
	/* Above this a message is very large. */
	HAWSER__BULK_BYTES = 2 << 20,
	HAWSER__PACKED_AHEAD_BYTES = 8 * HAWSER__PIECE_BYTES,
};

/** What a sender waits for. */
enum hawser__room {
	HAWSER__ROOM_TO_SEND, /* a message of a stream may be put */
	HAWSER__ROOM_AHEAD,   /* another piece may be packed */
	HAWSER__ROOM_GONE,    /* what was put is on its way */
};

/** A thread that sends on a call. */
struct hawser__sender {
	struct hawser__outgoing *outgoing;
	struct hawser__list link;     /* client->senders, while it waits */
	struct hawser__waiter waiter; /* to be finished when the call ends, too */
	enum hawser__room room;
};

void hawser__sender_init(struct hawser__sender *sender, struct hawser__outgoing *outgoing);
void hawser__sender_deinit(struct hawser__sender *sender);
/**
 * Waits for room, or until the call has ended; ends it when its time is over or the context (may be
 * NULL) cancelled.
 */
void hawser__sender_wait(struct hawser_client *client, struct hawser__sender *sender,
			 enum hawser__room room, const struct hawser_context *context);
/** Something was written, or may be: those that wait for that look again. */
void hawser__client_written(struct hawser__connection *connection);

/** A very large message on its way out. */
struct hawser__bulk {
	ProtobufCBuffer base;
	struct hawser_client *client;
	struct hawser__sender *sender;
	const struct hawser_context *context;
	const ProtobufCMessage *message;
	struct hawser__chunk *piece; /* is being filled; NULL: nothing is sent this way */
	size_t size, packed;         /* in all, and so far */
	uint64_t mark;               /* of the next piece */
};

/** Packs a message that is large, but not very large; its loan is the caller's. Without the lock.
 */
void hawser__bulk_prepare(const struct hawser_client *client, struct hawser__content *content);
/**
 * Makes the content one that goes that way, if it is a message and very large, but not above the
 * limit. Else, or without memory, it stays as it is. With the lock, as the next two.
 */
void hawser__bulk_init(struct hawser__bulk *bulk, struct hawser_client *client,
		       struct hawser__content *content);
void hawser__bulk_deinit(struct hawser__bulk *bulk);
/**
 * When the call has been told of the content: sends the message, on `sender`'s call, and lets go of
 * the lock meanwhile. `is_announced`: the call frame has told its size. Nothing is done for a
 * content that stayed as it was.
 */
void hawser__bulk_send(struct hawser__bulk *bulk, struct hawser__sender *sender, bool is_announced,
		       const struct hawser_context *context);

#endif /* HAWSER_RPC_CLIENT_SEND_H */
