/* What both ends of a call have in common, and what carries it.
 *
 * struct hawser_call is the head of two larger structs: an incoming call is
 * answered by a handler here (incoming.h), an outgoing one by the peer
 * (outgoing.h). Either end of a connection may have both. A call knows only its
 * carrier's operations, never the protocol behind them: the native connection is
 * the first carrier, others may follow on the same port. */

#ifndef HAWSER_RPC_CALL_H
#define HAWSER_RPC_CALL_H

#include "util/arena.h"
#include <hawser/call.h>
#include <hawser/service.h>

struct hawser__carrier;

/** How a call ends, besides its message. Everything is borrowed. */
struct hawser__end {
	enum hawser_status status;
	enum hawser_outcome outcome;
	const char *text; /* NULL: none */
	const struct hawser_metadata *metadata;
	size_t n_metadata;
	const struct hawser_detail *details;
	size_t n_details;
};

/** What a protocol must be able to do for a call. The loop's thread, or the client's lock. */
struct hawser__carrier_ops {
	/**
	 * Ends an incoming call. The reply is `message` to be packed, or `packed`, or
	 * none. Returns 0, -EMSGSIZE (nothing was sent) or -ENOMEM (nothing was sent).
	 */
	int (*send_end)(struct hawser__carrier *carrier, struct hawser_call *call,
			const struct hawser__end *end, const ProtobufCMessage *message,
			const uint8_t *packed, size_t packed_length);
	/**
	 * Starts an outgoing call, whose id is set. The request is `message` to be packed, or
	 * `packed`; `length` is its own when packed. 0, or -ENOMEM (nothing was sent).
	 */
	int (*send_call)(struct hawser__carrier *carrier, struct hawser_call *call,
			 uint64_t timeout_ms, const struct hawser_metadata *metadata,
			 size_t n_metadata, const ProtobufCMessage *message, const uint8_t *packed,
			 size_t length);
	/**
	 * Sends a message of a stream: `message` to be packed, or `packed`. 0, or -ENOMEM (nothing
	 * was sent).
	 */
	int (*send_message)(struct hawser__carrier *carrier, struct hawser_call *call, bool last,
			    const ProtobufCMessage *message, const uint8_t *packed, size_t length);
	/** Lets the peer send so many more bytes of messages. 0 or -ENOMEM. */
	int (*send_window)(struct hawser__carrier *carrier, struct hawser_call *call,
			   uint64_t bytes);
	/** Whether there is room for messages, or so much waits that streams should pause. */
	bool (*has_room)(const struct hawser__carrier *carrier);
	/** The caller does not wait any more. Queues only; takes back what was not sent yet. */
	void (*send_cancel)(struct hawser__carrier *carrier, struct hawser_call *call);
	/** Whether the peer may have seen an outgoing call. */
	bool (*was_sent)(const struct hawser__carrier *carrier, const struct hawser_call *call);
	/** The largest packed message that the peer takes. */
	size_t (*max_message)(const struct hawser__carrier *carrier);
	const char *(*peer)(struct hawser__carrier *carrier, char *buffer, size_t size);
};

struct hawser__carrier {
	const struct hawser__carrier_ops *ops;
};

struct hawser_call {
	const struct hawser_method *method;
	struct hawser__carrier *carrier;        /* NULL: gone, or the call has ended there */
	uint64_t id;                            /* on the carrier */
	uint64_t number;                        /* the carrier's: of the frame that began it */
	uint8_t *queued;                        /* that frame, as long as it was never sent */
	uint64_t deadline_ms;                   /* CLOCK_MONOTONIC; UINT64_MAX: none */
	const struct hawser_metadata *metadata; /* that came */
	size_t n_metadata;
	bool is_outgoing;
};

/**
 * What a user's pointer stands for. A handler's pointer carries a generation in its
 * low bits, so that one kept beyond the end of its call is recognised: NULL then.
 */
struct hawser_call *hawser__call_of(const struct hawser_call *handle);

#endif /* HAWSER_RPC_CALL_H */
