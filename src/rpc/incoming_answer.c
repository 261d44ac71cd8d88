/* How an incoming call ends: the answer, from whichever thread, and what a handler
 * may add to it. */

#include "rpc/connection.h"
#include "rpc/dispatch_pool.h"
#include "rpc/incoming.h"
#include "rpc/metadata.h"
#include "rpc/pack.h"
#include "rpc/stream.h"
#include "util/alloc.h"
#include "util/buffer.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/** Metadata and details that a handler adds to its answer; in the call's arena. */
struct hawser__extras {
	struct hawser_metadata metadata[HAWSER__METADATA_MAX];
	struct hawser_detail details[HAWSER__DETAILS_MAX];
	size_t n_metadata, n_details, metadata_bytes, detail_bytes;
};

static const struct hawser__content nothing = {.length = 0};

/* ---- the end of a call ---- */

/* Its peer will hear no more of it. */
void hawser__incoming_leave_wire(struct hawser__incoming *incoming)
{
	struct hawser__carrier *carrier = incoming->call.carrier;

	if (!carrier)
		return;
	if (incoming->is_linked)
		hawser__call_table_remove(&incoming->connection->calls, incoming->call.id);
	if (incoming->call.outbox)
		carrier->ops->drop(carrier, &incoming->call, true);
	hawser__stream_leave(incoming->call.stream);
	incoming->call.carrier = NULL;
}

void hawser__incoming_finish(struct hawser__incoming *incoming, enum hawser_status status)
{
	struct hawser__connection *connection = incoming->connection;
	bool is_in_use = incoming->in_handler;

	hawser__incoming_leave_wire(incoming);
	if (incoming->ticket)
		is_in_use |= hawser__dispatch_leave(incoming);
	incoming->connection = NULL;
	if (incoming->is_linked) {
		incoming->is_linked = false;
		hawser__list_unlink(&incoming->link);
		hawser__loop_clear_alarm(incoming->serving->loop, &incoming->alarm);
	}
	hawser__count(&incoming->serving->in_flight, -1);
	if (status != HAWSER_OK)
		hawser__count(&incoming->serving->failed, 1);
	incoming->is_over = true;
	if (!is_in_use)
		hawser__slot_release(incoming);
	if (connection) {
		connection->n_incoming--;
		hawser__connection_call_ended(connection);
	}
}

void hawser__incoming_tell_cancelled(struct hawser__incoming *incoming)
{
	hawser_cancel_fn *callback = incoming->on_cancel;
	unsigned state = atomic_load_explicit(&incoming->state, memory_order_acquire);

	incoming->on_cancel = NULL;
	/* Who has answered may have freed what the callback would be given. */
	if (callback && !(state & HAWSER__SLOT_ANSWERED))
		callback(hawser__incoming_handle(incoming), incoming->on_cancel_data);
	/* A handler that waits for more of it would wait for ever. */
	if (!incoming->is_handed &&
	    hawser__incoming_claim(incoming, state & HAWSER__SLOT_GENERATION, &state))
		hawser__incoming_finish(incoming, HAWSER_CANCELLED);
}

void hawser__incoming_cancelled(struct hawser__incoming *incoming)
{
	if (incoming->ticket)
		hawser__dispatch_withdraw(incoming);
	hawser__incoming_leave_wire(incoming);
	atomic_fetch_or_explicit(&incoming->state, HAWSER__SLOT_CANCELLED, memory_order_acq_rel);
	if (incoming->ticket && incoming->ticket->turn) {
		hawser__pool_interrupt(incoming);
		/* One thing of a call at a time. */
		if (!incoming->ticket || hawser__pool_puts_off_cancel(incoming->ticket))
			return;
	}
	hawser__incoming_tell_cancelled(incoming);
}

/* ---- answering ---- */

int hawser__incoming_send_end(struct hawser__incoming *incoming, enum hawser_status status,
			      enum hawser_outcome outcome, const char *text,
			      const struct hawser__content *reply)
{
	const struct hawser__extras *extras = incoming->extras;
	struct hawser__carrier *carrier = incoming->call.carrier;
	struct hawser__end end = {.status = status, .outcome = outcome, .text = text};

	if (extras) {
		end.metadata = extras->metadata;
		end.n_metadata = extras->n_metadata;
		end.details = extras->details;
		end.n_details = status == HAWSER_OK ? 0 : extras->n_details;
	}
	return carrier->ops->send_end(carrier, &incoming->call, &end, reply ? reply : &nothing);
}

size_t hawser__incoming_reply_limit(const struct hawser__incoming *incoming)
{
	const struct hawser__carrier *carrier = incoming->call.carrier;
	size_t limit = incoming->serving->max_reply_bytes,
	       other = carrier->ops->max_message(carrier);
	uint32_t methods = incoming->call.method->max_reply_bytes;

	if (other < limit)
		limit = other;
	return methods && methods < limit ? methods : limit;
}

/* On the loop's thread, with the right to answer. The status that the peer gets is *status. */
static int answer_here(struct hawser__incoming *incoming, enum hawser_status *status,
		       enum hawser_outcome outcome, const char *text,
		       const struct hawser__content *reply)
{
	int r;

	if (!incoming->call.carrier) {
		*status = HAWSER_CANCELLED;
		return -EPIPE;
	}
	if (*status == HAWSER_OK) {
		size_t limit = hawser__incoming_reply_limit(incoming);
		char sentence[HAWSER_ERROR_MESSAGE_SIZE];

		if (!reply || reply->length <= limit)
			return hawser__incoming_send_end(incoming, *status, outcome, NULL, reply);
		snprintf(sentence, sizeof sentence, "%s: the reply has %zu bytes, the limit is %zu",
			 incoming->call.method->name, reply->length, limit);
		*status = HAWSER_RESOURCE_EXHAUSTED;
		r = hawser__incoming_send_end(incoming, *status, HAWSER_OUTCOME_EXECUTED, sentence,
					      NULL);
		return r < 0 ? r : -EMSGSIZE;
	}
	r = hawser__incoming_send_end(incoming, *status, outcome, text, NULL);
	if (r == -ENOMEM) {
		incoming->extras = NULL;
		/* The bare status needs next to nothing; if even that is not to be had, the
		 * peer learns it from the end of the connection. */
		if (hawser__incoming_send_end(incoming, *status, outcome, NULL, NULL) < 0)
			hawser__connection_lose(incoming->connection, HAWSER_RESOURCE_EXHAUSTED,
						-ENOMEM, "out of memory");
	}
	return r;
}

static void answer_posted(struct hawser__loop *loop, struct hawser__post *post)
{
	struct hawser__incoming *incoming =
		hawser__container_of(post, struct hawser__incoming, post);
	struct hawser__answer answer = incoming->answer;
	int r;

	(void)loop;
	r = answer_here(incoming, &answer.status, answer.outcome, answer.text, &answer.reply);
	if (r == -ENOMEM && answer.status == HAWSER_OK) {
		/* Nobody is left to be told -ENOMEM: the caller is. */
		answer.status = HAWSER_RESOURCE_EXHAUSTED;
		answer_here(incoming, &answer.status, HAWSER_OUTCOME_EXECUTED, "out of memory",
			    NULL);
	}
	if (incoming->connection)
		hawser__connection_flush_soon(incoming->connection);
	hawser__incoming_finish(incoming, answer.status);
	free(answer.text);
	free(answer.packed);
	hawser__loan_unref(answer.reply.loan);
}

/* What is to be sent later, on another thread: packed here, unless it is borrowed. 0 or -ENOMEM. */
static int take_along(const struct hawser__content *reply, struct hawser__answer *answer,
		      struct hawser__loop *loop)
{
	answer->reply = *reply;
	if (reply->loan) {
		reply->loan->references++;
		return 0;
	}
	hawser__content_pack_for(&answer->reply, SIZE_MAX, loop);
	if (answer->reply.loan)
		return 0;
	answer->packed = hawser__malloc(reply->length + 1);
	if (!answer->packed)
		return -ENOMEM;
	if (reply->message)
		protobuf_c_message_pack(reply->message, answer->packed);
	else if (reply->length)
		memcpy(answer->packed, reply->packed, reply->length);
	answer->reply.message = NULL;
	answer->reply.packed = answer->packed;
	return 0;
}

static int answer_from_elsewhere(struct hawser__incoming *incoming, enum hawser_status status,
				 enum hawser_outcome outcome, const char *text,
				 const struct hawser__content *reply, unsigned state)
{
	struct hawser__answer *answer = &incoming->answer;
	int r = state & HAWSER__SLOT_CANCELLED ? -EPIPE : 0;

	*answer = (struct hawser__answer){.status = status, .outcome = outcome};
	if (reply && r == 0 && take_along(reply, answer, incoming->serving->loop) < 0) {
		/* The right to answer goes back to the handler. */
		atomic_fetch_and_explicit(&incoming->state, ~(unsigned)HAWSER__SLOT_ANSWERED,
					  memory_order_release);
		return -ENOMEM;
	}
	if (text && r == 0) {
		answer->text = hawser__strdup(text);
		if (!answer->text)
			r = -ENOMEM;
	}
	incoming->post.run = answer_posted;
	if (hawser__loop_post(incoming->serving->loop, &incoming->post) < 0) {
		/* The server is being freed; its slots go with it. */
		free(answer->packed);
		free(answer->text);
		hawser__loan_unref(answer->reply.loan);
		return -EPIPE;
	}
	return r;
}

bool hawser__incoming_claim(struct hawser__incoming *incoming, unsigned generation, unsigned *state)
{
	*state = atomic_load_explicit(&incoming->state, memory_order_relaxed);
	/* Who sets the flag answers; everyone else is too late. */
	do {
		if ((*state & HAWSER__SLOT_GENERATION) != generation ||
		    *state & HAWSER__SLOT_ANSWERED)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&incoming->state, state, *state | HAWSER__SLOT_ANSWERED, memory_order_acq_rel,
		memory_order_relaxed));
	return true;
}

int hawser__incoming_answer(struct hawser__incoming *incoming, const struct hawser_call *handle,
			    enum hawser_status status, enum hawser_outcome outcome,
			    const char *text, const struct hawser__content *reply)
{
	unsigned generation = (unsigned)((uintptr_t)handle & HAWSER__SLOT_GENERATION), state;
	int r;

	if (!hawser__incoming_claim(incoming, generation, &state))
		return -EALREADY;
	if (!hawser__loop_is_here(incoming->serving->loop) ||
	    hawser__incoming_is_overtaking(incoming))
		return answer_from_elsewhere(incoming, status, outcome, text, reply, state);

	r = answer_here(incoming, &status, outcome, text, reply);
	if (r == -ENOMEM && status == HAWSER_OK) {
		atomic_fetch_and_explicit(&incoming->state, ~(unsigned)HAWSER__SLOT_ANSWERED,
					  memory_order_release);
		return r;
	}
	/* Gone, if the answer lost it. */
	if (incoming->connection)
		hawser__connection_flush_soon(incoming->connection);
	hawser__incoming_finish(incoming, status);
	return r;
}

/* ---- what a handler may add and ask ---- */

static int extras_of(const struct hawser_call *handle, struct hawser__incoming **incoming,
		     struct hawser__extras **extras)
{
	*incoming = hawser__incoming_of(handle);
	if (!*incoming)
		return -EPIPE;
	if (atomic_load_explicit(&(*incoming)->state, memory_order_acquire) & HAWSER__SLOT_ANSWERED)
		return -EALREADY;
	if (!(*incoming)->extras) {
		(*incoming)->extras =
			hawser__arena_alloc(&(*incoming)->arena, sizeof *(*incoming)->extras);
		if (!(*incoming)->extras)
			return -ENOMEM;
		memset((*incoming)->extras, 0, sizeof *(*incoming)->extras);
	}
	*extras = (*incoming)->extras;
	return 0;
}

int hawser_call_add_metadata(struct hawser_call *call, const char *key, const void *value,
			     size_t length)
{
	struct hawser_metadata pair = {key, value, length};
	struct hawser__incoming *incoming = NULL;
	struct hawser__extras *extras = NULL;
	int r = hawser__metadata_check(&pair, 1);

	if (r == 0)
		r = extras_of(call, &incoming, &extras);
	if (r < 0)
		return r;
	if (extras->n_metadata == HAWSER__METADATA_MAX ||
	    extras->metadata_bytes + strlen(key) + length > HAWSER__METADATA_BYTES)
		return -EMSGSIZE;
	pair.key = hawser__arena_copy(&incoming->arena, key, strlen(key));
	pair.value = hawser__arena_copy(&incoming->arena, value, length);
	if (!pair.key || !pair.value)
		return -ENOMEM;
	extras->metadata[extras->n_metadata++] = pair;
	extras->metadata_bytes += strlen(key) + length;
	return 0;
}

int hawser_call_add_detail(struct hawser_call *call, const ProtobufCMessage *detail)
{
	struct hawser__incoming *incoming = NULL;
	struct hawser__extras *extras = NULL;
	uint8_t *data;
	size_t length;
	int r;

	if (!detail || !detail->descriptor)
		return -EINVAL;
	r = extras_of(call, &incoming, &extras);
	if (r < 0)
		return r;
	length = protobuf_c_message_get_packed_size(detail);
	if (extras->n_details == HAWSER__DETAILS_MAX ||
	    extras->detail_bytes + length > HAWSER__DETAILS_BYTES)
		return -EMSGSIZE;
	data = hawser__arena_alloc(&incoming->arena, length + 1);
	if (!data)
		return -ENOMEM;
	protobuf_c_message_pack(detail, data);
	extras->details[extras->n_details++] =
		(struct hawser_detail){detail->descriptor->name, data, length};
	extras->detail_bytes += length;
	return 0;
}

bool hawser__incoming_is_answered(const struct hawser_call *handle)
{
	const struct hawser__incoming *incoming = hawser__incoming_of(handle);

	return !incoming ||
	       atomic_load_explicit(&incoming->state, memory_order_acquire) & HAWSER__SLOT_ANSWERED;
}

bool hawser_call_cancelled(const struct hawser_call *call)
{
	struct hawser__incoming *incoming = hawser__incoming_of(call);

	return !incoming || atomic_load_explicit(&incoming->state, memory_order_acquire) &
				    HAWSER__SLOT_CANCELLED;
}

int hawser_call_on_cancel(struct hawser_call *call, hawser_cancel_fn *callback, void *data)
{
	struct hawser__incoming *incoming = hawser__incoming_of(call);

	if (!incoming)
		return -EPIPE;
	if (callback && hawser_call_cancelled(call)) {
		callback(call, data);
		return 0;
	}
	incoming->on_cancel = callback;
	incoming->on_cancel_data = data;
	return 0;
}

int hawser_call_on_interrupt(struct hawser_call *call, hawser_cancel_fn *callback, void *data)
{
	struct hawser__incoming *incoming = hawser__incoming_of(call);

	if (!incoming)
		return -EPIPE;
	return hawser__pool_is_here(incoming)
		       ? hawser__pool_on_interrupt(incoming, call, callback, data)
		       : -EINVAL;
}

int hawser_call_set_data(struct hawser_call *call, void *data, void (*free_data)(void *data))
{
	struct hawser__incoming *incoming = hawser__incoming_of(call);
	void (*free_old)(void *data);
	void *old;

	/* Of an answered call nobody would ask for it, and its end may be past already. */
	if (hawser__incoming_is_answered(call))
		return -EPIPE;
	free_old = incoming->free_data;
	old = incoming->data;
	incoming->data = data;
	incoming->free_data = data ? free_data : NULL;
	if (free_old && old != data)
		free_old(old);
	return 0;
}

void *hawser_call_data(const struct hawser_call *call)
{
	const struct hawser__incoming *incoming = hawser__incoming_of(call);

	return incoming ? incoming->data : NULL;
}
