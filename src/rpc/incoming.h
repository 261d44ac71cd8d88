/* Calls that the peer makes and a handler here answers.
 *
 * A call that is answered before its handler returns, as most are, touches no
 * lock, no map and no timer. One that is answered later is entered where cancel,
 * deadline and the end of its connection find it. Answers from other threads
 * are packed there and posted to the loop.
 *
 * Call slots are never given back to the system while the server lives, and the
 * handler's pointer carries one of 256 generations of its slot: whoever uses one after the
 * end of its call never crashes, and gets an error unless the slot has gone
 * through all of them. */

#ifndef HAWSER_RPC_INCOMING_H
#define HAWSER_RPC_INCOMING_H

#include "net/loop.h"
#include "rpc/call.h"
#include "rpc/registry.h"
#include <stdatomic.h>

struct hawser__arrival;
struct hawser__connection;
struct hawser__dispatch;
struct hawser__frame;
struct hawser__slab;
struct hawser__ticket;

enum {
	HAWSER__SLOT_ALIGN = 512, /* the low nine bits of a handle are its generation, always odd */
	HAWSER__SLOTS_PER_SLAB = 32,
};

/* The state word: generation, and what became of the call. */
enum {
	HAWSER__SLOT_GENERATION = HAWSER__SLOT_ALIGN - 1,
	HAWSER__SLOT_ANSWERED = 1 << 9,
	HAWSER__SLOT_CANCELLED = 1 << 10,
};

struct hawser__incoming {
	struct hawser_call call;
	atomic_uint state;
	bool in_handler;
	bool is_linked; /* in the connection's list and map */
	bool is_over;   /* answered */
	bool has_run;   /* its handler has, at least once */
	bool is_handed; /* its handler has got all of it, and frees it with its answer */
	struct hawser__serving *serving;
	const struct hawser__entry *entry;
	struct hawser__ticket *ticket; /* NULL: there is nothing between it and its handler */
	struct hawser__connection *connection; /* NULL: gone */
	struct hawser_peer *peer; /* a reference, once it is kept beyond its handler; may be NULL */
	struct hawser__list link; /* the connection's calls; or the free slots */
	struct hawser__alarm alarm; /* the deadline */
	struct hawser__arena arena;
	ProtobufCMessage *request;
	struct hawser__arrival *arrival; /* what the request borrows from; NULL: nothing */
	struct hawser__extras *extras;   /* metadata and details to go; NULL: none */
	hawser_cancel_fn *on_cancel;
	void *on_cancel_data;
	void *data; /* the handler's */
	void (*free_data)(void *data);
	/* Messages of a stream of replies, on their way from other threads. */
	atomic_uint posted;
	atomic_size_t posted_bytes;
	atomic_bool is_stalled; /* the stream could not send when one of them came */
	/* An answer on its way from another thread. */
	struct hawser__post post;
	struct hawser__answer {
		enum hawser_status status;
		enum hawser_outcome outcome;
		char *text;
		uint8_t *packed; /* on the heap */
		struct hawser__content reply;
	} answer;
};

/** What the incoming calls of one loop share. */
struct hawser__serving {
	struct hawser__loop *loop;
	const struct hawser__registry *registry;
	struct hawser__dispatch *dispatch; /* for methods that have stages */
	size_t max_request_bytes, max_reply_bytes;
	unsigned max_calls;            /* per connection */
	bool is_draining;              /* refuse what is new */
	struct hawser__arena messages; /* holds a stream's request while its handler runs */
	struct hawser__slab *slabs;
	struct hawser__list free;
	size_t n_free;
	/* Work of theirs on the pool; see dispatch_pool.h. */
	atomic_uint n_turns;
	atomic_bool wants_calm, has_calm_post;
	struct hawser__post calm_post;
	void (*on_calm)(struct hawser__serving *serving);
	/* Read by other threads for statistics. */
	atomic_ullong calls, failed, refused, in_flight;
};

void hawser__serving_init(struct hawser__serving *serving, struct hawser__loop *loop,
			  const struct hawser__registry *registry,
			  struct hawser__dispatch *dispatch);
/** Every connection is gone; handles become invalid. */
void hawser__serving_deinit(struct hawser__serving *serving);

/**
 * A call frame came: checks it, unpacks the request and runs the handler. What is wrong with the
 * call is answered to the peer. Returns 0, or -ENOMEM when not even that was possible.
 */
int hawser__incoming_call(struct hawser__connection *connection, const struct hawser__frame *frame);

/** The same for a call whose request is above the limit and was not received. */
int hawser__incoming_oversized(struct hawser__connection *connection,
			       const struct hawser__frame *frame);

/** A request that came in pieces is there; it is the call's then. */
void hawser__incoming_request(struct hawser__incoming *incoming, struct hawser__arrival *arrival);
/** The next message of a stream of requests, which is freed; NULL: there are no more. */
void hawser__incoming_message(struct hawser__incoming *incoming, struct hawser__arrival *arrival);
/** Whether its requests are not to be unpacked. */
static inline bool hawser__incoming_is_raw(const struct hawser__incoming *incoming)
{
	return incoming->entry->raw != NULL;
}
/** Nothing stands between it and its handler any more: that gets the request, or if it is NULL the
 * stream of them. May free the slot. */
void hawser__incoming_begin(struct hawser__incoming *incoming, struct hawser__arrival *request);
/* What a thread of the pool does for it; the loop does the same with one call of the handler. */
/** Unpacks its only request, which stays with the call. HAWSER_OK, or what is wrong with it, and a
 * text. */
enum hawser_status hawser__incoming_unpack(struct hawser__incoming *incoming,
					   struct hawser__arrival *arrival, char *text,
					   size_t size);
/** The same for a message of a stream of them, into an arena that is reset when it was handled. */
enum hawser_status hawser__incoming_unpack_message(const struct hawser__incoming *incoming,
						   struct hawser__arena *arena,
						   struct hawser__arrival *arrival,
						   ProtobufCMessage **message, char *text,
						   size_t size);
/** Calls the handler with the request, or the next of them; both NULL: there are no more. */
void hawser__incoming_handle_request(struct hawser__incoming *incoming,
				     const ProtobufCMessage *message,
				     const struct hawser__arrival *arrival);
/** Enters the call where others find it. May end it, without memory. */
void hawser__incoming_keep(struct hawser__incoming *incoming);
/** Its deadline has passed. */
void hawser__incoming_expire(struct hawser__incoming *incoming);
/** Ends it for a reason that is not its handler's; the handler is told that nobody waits. */
void hawser__incoming_abort(struct hawser__incoming *incoming, enum hawser_status status,
			    const char *text);
/** Ends one that did not run for want of room, RESOURCE_EXHAUSTED: there may be some after that
 * time. */
void hawser__incoming_put_off(struct hawser__incoming *incoming, const char *text,
			      unsigned retry_after_ms);
/** Its stream may send again. */
void hawser__incoming_unstall(struct hawser__incoming *incoming);
/** Whether messages from other threads are still on their way, which what comes later must not
 * overtake. */
static inline bool hawser__incoming_is_overtaking(struct hawser__incoming *incoming)
{
	return atomic_load_explicit(&incoming->posted, memory_order_acquire) != 0;
}
/** Sends one message of a stream of replies; see hawser_call_send. */
int hawser__incoming_send(struct hawser__incoming *incoming, const struct hawser_call *handle,
			  const struct hawser__content *message);
/** The largest reply that both ends and the method allow. Calls that have a carrier. */
size_t hawser__incoming_reply_limit(const struct hawser__incoming *incoming);

/** The peer does not wait for that call any more. */
void hawser__incoming_cancel(struct hawser__connection *connection, uint64_t id);

/** Calls of the connection whose callers still wait. */
uint32_t hawser__incoming_count_awaited(const struct hawser__connection *connection);
/** The connection is gone: its calls are cancelled, and live on until their handlers answer. */
void hawser__incoming_detach_all(struct hawser__connection *connection);

/** Whether a user's pointer is a handler's. A client's call is a plain pointer, and even. */
static inline bool hawser__is_incoming(const struct hawser_call *handle)
{
	return (uintptr_t)handle & 1;
}

/** Whether a handler's call was replied to or failed. */
bool hawser__incoming_is_answered(const struct hawser_call *handle);

/** The incoming call of a handle, or NULL when it is over. */
struct hawser__incoming *hawser__incoming_of(const struct hawser_call *handle);

/** What the user holds for it. */
struct hawser_call *hawser__incoming_handle(struct hawser__incoming *incoming);

/** A free slot, the one that was used last; NULL without memory. */
struct hawser__incoming *hawser__slot_take(struct hawser__serving *serving);
/** Its handles are stale from now on. */
void hawser__slot_release(struct hawser__incoming *incoming);

/** Sends the end of a call, with what the handler added. See hawser__carrier_ops. */
int hawser__incoming_send_end(struct hawser__incoming *incoming, enum hawser_status status,
			      enum hawser_outcome outcome, const char *text,
			      const struct hawser__content *reply);
/** Its peer will hear no more of it. */
void hawser__incoming_leave_wire(struct hawser__incoming *incoming);
/** Nobody waits for it any more: leaves the wire, and tells the handler. May free the slot. */
void hawser__incoming_cancelled(struct hawser__incoming *incoming);
/** The last part of that; for one whose handler ran on another thread just then. */
void hawser__incoming_tell_cancelled(struct hawser__incoming *incoming);

/** Changes a counter that only the loop writes and other threads may read. */
static inline void hawser__count(atomic_ullong *counter, long long change)
{
	atomic_store_explicit(counter,
			      atomic_load_explicit(counter, memory_order_relaxed) +
				      (unsigned long long)change,
			      memory_order_relaxed);
}

/** Ends a handler's call; see hawser_call_send and hawser_call_fail. */
int hawser__incoming_answer(struct hawser__incoming *incoming, const struct hawser_call *handle,
			    enum hawser_status status, enum hawser_outcome outcome,
			    const char *text, const struct hawser__content *reply);
/** Takes the right to answer, for that generation of the slot. False: it is gone. */
bool hawser__incoming_claim(struct hawser__incoming *incoming, unsigned generation,
			    unsigned *state);
/** It is answered, or nobody will. May free the slot. */
void hawser__incoming_finish(struct hawser__incoming *incoming, enum hawser_status status);

#endif /* HAWSER_RPC_INCOMING_H */
