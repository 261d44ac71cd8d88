/* A handler's stream of replies.
 *
 * Two things bound what it sends ahead: the window that the caller opens as it takes
 * messages, and the room in the connection's log. A handler that finds either of them used
 * up is told -EAGAIN, and can ask to be told when there is room again. */

#include "rpc/connection.h"
#include "rpc/dispatch_pool.h"
#include "rpc/incoming.h"
#include "rpc/pack.h"
#include "rpc/stream.h"
#include "util/alloc.h"
#include "util/buffer.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Bytes of one call that may be on their way from other threads. */
enum { POSTED_MOST = 256 * 1024 };

/* A message on its way from another thread. */
struct sending {
	struct hawser__post post;
	struct hawser__incoming *slot;
	const struct hawser_call *handle;
	struct hawser__content content;
	uint8_t packed[]; /* unless it is borrowed */
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

/* Other threads cannot look at the windows and the log, so they are told when they have to wait. */
static void sent_for_another(struct hawser__incoming *incoming)
{
	struct hawser__carrier *carrier = incoming->call.carrier;

	if (!carrier->ops->can_send(carrier, &incoming->call)) {
		atomic_store_explicit(&incoming->is_stalled, true, memory_order_relaxed);
		carrier->ops->note_refusal(carrier, &incoming->call);
		hawser__stream_block(incoming->call.stream);
	}
	hawser__connection_flush_soon(incoming->connection);
}

void hawser__incoming_unstall(struct hawser__incoming *incoming)
{
	atomic_store_explicit(&incoming->is_stalled, false, memory_order_relaxed);
	hawser__pool_tell_room(incoming);
}

static void sending_posted(struct hawser__loop *loop, struct hawser__post *post)
{
	struct sending *sending = hawser__container_of(post, struct sending, post);
	struct hawser__incoming *incoming = hawser__incoming_of(sending->handle);
	struct hawser__carrier *carrier = incoming ? incoming->call.carrier : NULL;
	int r = 0;

	(void)loop;
	/* The slot is there even if the call is not. */
	atomic_fetch_sub_explicit(&sending->slot->posted_bytes, sending->content.length,
				  memory_order_relaxed);
	atomic_fetch_sub_explicit(&sending->slot->posted, 1, memory_order_release);
	if (carrier && sending->content.length > hawser__incoming_reply_limit(incoming))
		r = too_large(incoming, sending->handle, sending->content.length,
			      hawser__incoming_reply_limit(incoming));
	else if (carrier)
		r = carrier->ops->send_message(carrier, &incoming->call, &sending->content);
	/* A gap in the stream is worse than its end. */
	if (r == -ENOMEM)
		hawser__incoming_answer(incoming, sending->handle, HAWSER_RESOURCE_EXHAUSTED,
					HAWSER_OUTCOME_EXECUTED, "out of memory", NULL);
	else if (carrier && r == 0)
		sent_for_another(incoming);
	/* Asked again: the call may be over, and another one's. */
	incoming = hawser__incoming_of(sending->handle);
	if (incoming)
		hawser__pool_tell_room(incoming);
	hawser__loan_unref(sending->content.loan);
	free(sending);
}

/* For other threads. */
static bool has_room(struct hawser__incoming *incoming)
{
	return !atomic_load_explicit(&incoming->is_stalled, memory_order_relaxed) &&
	       atomic_load_explicit(&incoming->posted_bytes, memory_order_relaxed) <= POSTED_MOST;
}

static int send_from_elsewhere(struct hawser__incoming *incoming, const struct hawser_call *handle,
			       const struct hawser__content *content)
{
	size_t length = content->length;
	struct hawser__content sent = *content;
	struct sending *sending;

	/* Asked once: the loop may change it meanwhile. */
	if (!has_room(incoming)) {
		if (!hawser__pool_is_here(incoming))
			return -EAGAIN;
		/* A handler that may block does. */
		hawser__pool_wait_for_room(incoming, has_room);
		if (atomic_load_explicit(&incoming->state, memory_order_acquire) &
		    (HAWSER__SLOT_CANCELLED | HAWSER__SLOT_ANSWERED))
			return -EPIPE;
	}
	if (sent.loan)
		sent.loan->references++;
	else
		hawser__content_pack_for(&sent, SIZE_MAX, incoming->serving->loop);
	sending = hawser__malloc(sizeof *sending + (sent.loan ? 0 : length));
	if (!sending) {
		hawser__loan_unref(sent.loan);
		return -ENOMEM;
	}
	sending->post.run = sending_posted;
	sending->slot = incoming;
	sending->handle = handle;
	sending->content = sent;
	if (!sent.loan) {
		if (content->message)
			protobuf_c_message_pack(content->message, sending->packed);
		else if (length)
			memcpy(sending->packed, content->packed, length);
		sending->content.message = NULL;
		sending->content.packed = sending->packed;
	}
	atomic_fetch_add_explicit(&incoming->posted_bytes, length, memory_order_relaxed);
	atomic_fetch_add_explicit(&incoming->posted, 1, memory_order_acq_rel);
	if (hawser__loop_post(incoming->serving->loop, &sending->post) == 0)
		return 0;
	atomic_fetch_sub_explicit(&incoming->posted_bytes, length, memory_order_relaxed);
	atomic_fetch_sub_explicit(&incoming->posted, 1, memory_order_release);
	hawser__loan_unref(sending->content.loan);
	free(sending);
	return -EPIPE;
}

int hawser__incoming_send(struct hawser__incoming *incoming, const struct hawser_call *handle,
			  const struct hawser__content *message)
{
	unsigned state = atomic_load_explicit(&incoming->state, memory_order_acquire);
	struct hawser__carrier *carrier;
	size_t limit;
	int r;

	if (state & HAWSER__SLOT_ANSWERED)
		return -EALREADY;
	if (state & HAWSER__SLOT_CANCELLED)
		return -EPIPE;
	if (!hawser__loop_is_here(incoming->serving->loop) ||
	    hawser__incoming_is_overtaking(incoming))
		return send_from_elsewhere(incoming, handle, message);
	carrier = incoming->call.carrier;
	if (!carrier)
		return -EPIPE;
	limit = hawser__incoming_reply_limit(incoming);
	if (message->length > limit)
		return too_large(incoming, handle, message->length, limit);
	if (!carrier->ops->can_send(carrier, &incoming->call)) {
		carrier->ops->note_refusal(carrier, &incoming->call);
		return -EAGAIN;
	}
	r = carrier->ops->send_message(carrier, &incoming->call, message);
	if (r == 0)
		hawser__connection_flush_soon(incoming->connection);
	return r;
}
