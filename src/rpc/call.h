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
struct hawser__loan;
struct hawser__outbox;
struct hawser__stream;

/** How a call ends, besides its message. Everything is borrowed. */
struct hawser__end {
	enum hawser_status status;
	enum hawser_outcome outcome;
	const char *text; /* NULL: none */
	const struct hawser_metadata *metadata;
	size_t n_metadata;
	const struct hawser_detail *details;
	size_t n_details;
	unsigned retry_after_ms; /* 0: not told */
};

/** A message that is to be sent. Everything is borrowed. */
struct hawser__content {
	const ProtobufCMessage *message; /* to be packed; or … */
	const uint8_t *packed;
	size_t length;    /* packed */
	bool comes_later; /* it is put by whoever sends it, piece by piece; client_send.h */
	/* What `packed` is borrowed from for longer than the call of the function; may be NULL. */
	struct hawser__loan *loan;
};

/** What a protocol must be able to do for a call. The loop's thread, or the client's lock. */
struct hawser__carrier_ops {
	/**
	 * Ends an incoming call, with a reply if there is one, behind all that was sent on it.
	 * Returns 0, or -ENOMEM (nothing was sent).
	 */
	int (*send_end)(struct hawser__carrier *carrier, struct hawser_call *call,
			const struct hawser__end *end, const struct hawser__content *reply);
	/**
	 * Starts an outgoing call, whose id is set. `request` is NULL for a stream of them. 0, or
	 * -ENOMEM (nothing was sent).
	 */
	int (*send_call)(struct hawser__carrier *carrier, struct hawser_call *call,
			 uint64_t timeout_ms, const struct hawser_metadata *metadata,
			 size_t n_metadata, const struct hawser__content *request);
	/** Sends a message of a stream. 0, or -ENOMEM (nothing was sent). */
	int (*send_message)(struct hawser__carrier *carrier, struct hawser_call *call,
			    const struct hawser__content *message);
	/** Says that no message follows. 0 or -ENOMEM. */
	int (*send_last)(struct hawser__carrier *carrier, struct hawser_call *call);
	/** Lets the peer send so many more bytes of messages. 0 or -ENOMEM. */
	int (*send_window)(struct hawser__carrier *carrier, struct hawser_call *call,
			   uint64_t bytes);
	/** Whether a stream may send: the peer takes more, and not too much waits already. */
	bool (*can_send)(const struct hawser__carrier *carrier, const struct hawser_call *call);
	/** It could not, and was told so. */
	void (*note_refusal)(struct hawser__carrier *carrier, struct hawser_call *call);
	/** Whether a message that was sent on the call still waits here. */
	bool (*is_waiting)(const struct hawser__carrier *carrier, const struct hawser_call *call);
	/** Drops what waits. With `is_over` nothing will be sent on the call any more. */
	void (*drop)(struct hawser__carrier *carrier, struct hawser_call *call, bool is_over);
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
	struct hawser__carrier *carrier; /* NULL: gone, or the call has ended there */
	uint64_t id;                     /* on the carrier */
	uint64_t number;                 /* the carrier's: of the frame that began it */
	uint8_t *queued;                 /* that frame, as long as it was never sent */
	uint64_t deadline_ms;            /* CLOCK_MONOTONIC; UINT64_MAX: none */
	struct hawser__outbox
		*outbox; /* the carrier's: what waits to be sent; NULL: nothing ever */
	struct hawser__stream *stream;          /* NULL: one frame each way is all, so far */
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
