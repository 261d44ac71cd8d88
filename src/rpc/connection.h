/* A connection: one socket, the native session on it, and its calls both ways.
 *
 * It is the carrier of its calls. It receives into the loop's shared buffer and
 * keeps only what is left of an unfinished frame, so that an idle connection owns
 * no buffer at all; it writes when everything that was received has been dealt
 * with. What differs between the two ends (who opens, who may stop whom)
 * is left to its owner, the server or the client, through a table of operations. */

#ifndef HAWSER_RPC_CONNECTION_H
#define HAWSER_RPC_CONNECTION_H

#include "net/loop.h"
#include "rpc/call_table.h"
#include "util/map.h"
#include "wire/session.h"

struct hawser__connection;
struct hawser__serving;
struct hawser__outgoing;

/** What the owner does. None may free the connection but lost and finished. */
struct hawser__connection_ops {
	/** Server: the first frame. Answer with opened, or close the connection. */
	void (*open)(struct hawser__connection *connection, const Hawser__Open *open);
	/** Client: the answer to open; the calls that were held go now. */
	void (*opened)(struct hawser__connection *connection, const Hawser__Opened *opened);
	/** Client: the answer was no. `lost` follows. */
	void (*rejected)(struct hawser__connection *connection, const Hawser__Rejected *rejected);
	/** The peer said close. `lost` follows, unless it drains. */
	void (*close)(struct hawser__connection *connection, const Hawser__Close *close);
	/** The peer asks us to stop, or refuses to. */
	void (*shutdown)(struct hawser__connection *connection, const Hawser__Shutdown *shutdown);
	void (*pong)(struct hawser__connection *connection, uint64_t number);
	/** We are about to say close, for this reason. */
	void (*closing)(struct hawser__connection *connection, Hawser__Reason reason);
	/** The last call in flight has ended. */
	void (*calm)(struct hawser__connection *connection);
	/** Its alarm rang. */
	void (*alarm)(struct hawser__connection *connection);
	/**
	 * It is over: the peer is gone, broke the protocol, or we closed. Its calls have
	 * been dealt with. The owner frees it now, with hawser__connection_free().
	 */
	void (*lost)(struct hawser__connection *connection, const struct hawser_error *why);
};

struct hawser__connection {
	struct hawser__carrier carrier;
	const struct hawser__connection_ops *ops;
	void *owner;
	struct hawser__loop *loop;
	const char *name; /* what its peer is called; NULL: ask the socket */
	struct hawser__session session;
	struct hawser__serving *serving; /* NULL: this end offers nothing */
	int fd;
	bool is_traced;
	bool is_watched;     /* the event is added … */
	bool is_reading;     /* … also for what comes */
	bool wants_write;    /* the socket was full: the event waits for room, too */
	bool is_paused;      /* too much unsent: nothing is received until it is */
	bool is_closing;     /* close was sent: what comes is dropped until the peer closes */
	bool is_draining;    /* close(draining) was sent or came: ends with the last call */
	bool is_busy;        /* in the middle of received frames: lost has to wait */
	bool is_lost;        /* lost is due, or has been */
	bool has_opened;     /* calls of ours could go out */
	bool is_eager;       /* the peer works while we do: it gets its frames early */
	uint8_t batches;     /* received; now and then one is a try whether that is so */
	uint32_t n_incoming; /* calls in flight, by direction */
	uint32_t n_outgoing;
	uint8_t *in; /* the beginning of a frame */
	size_t in_length, in_capacity;
	uint64_t skip;           /* bytes of an oversized frame still to drop */
	size_t held;             /* bytes of out that may go before opened; SIZE_MAX: all */
	size_t max_unsent;       /* above this nothing more is received */
	size_t max_peer_message; /* the largest payload that the peer takes */
	struct hawser__call_table calls;
	struct hawser__map announced;            /* methods of ours, by address */
	const struct hawser_method *last_method; /* announced; a shortcut past the map */
	struct hawser__map refused; /* methods that the peer has wrong; see agreement.h */
	struct hawser__list incoming;
	struct hawser__list outgoing;
	struct hawser__deferred flush;
	struct hawser__alarm alarm;
	uint64_t heard_ms;        /* when bytes last came */
	uint64_t sent_ms;         /* when bytes last went */
	uint64_t call_ms;         /* when a call last came or ended */
	struct hawser_error *why; /* lost for this reason; NULL: not lost, or no memory to say */
	struct event event;
	struct hawser__list link; /* the owner's */
};

extern const struct hawser__carrier_ops hawser__connection_carrier_ops;

struct hawser__connection_setup {
	struct hawser__loop *loop;
	const struct hawser__connection_ops *ops;
	void *owner;
	struct hawser__serving *serving;
	const char *name; /* borrowed; may be NULL */
	bool is_server;
	size_t max_payload; /* largest message taken */
	size_t max_unsent;
};

/** A connection without a socket yet; calls may be queued on it. NULL without memory. */
struct hawser__connection *hawser__connection_new(const struct hawser__connection_setup *setup);
/** Frees it and closes its socket; calls must be gone. NULL is accepted. */
void hawser__connection_free(struct hawser__connection *connection);

/** Gives it its socket and, on a loop with a base, watches it. 0 or -ENOMEM; the descriptor is the
 * connection's either way. */
int hawser__connection_attach(struct hawser__connection *connection, int fd);

/** Receives once and deals with it; then writes. The event does this; on a bare loop its user does.
 * May end in lost. */
void hawser__connection_receive(struct hawser__connection *connection);
/** The two halves of it, for who waits in the receive itself: where the bytes should go (NULL
 * without memory) … */
uint8_t *hawser__connection_room(struct hawser__connection *connection, size_t *size);
/** … and how many came there, or the negative errno. */
void hawser__connection_received(struct hawser__connection *connection, ssize_t n);

/** Writes what is queued, as far as the socket takes it. False: that ended in lost. */
bool hawser__connection_flush(struct hawser__connection *connection);
/** Writes before the loop sleeps; on a bare loop at once. */
void hawser__connection_flush_soon(struct hawser__connection *connection);

/** The end of being busy: what was put off is done now, lost or a write. May free the connection.
 */
void hawser__connection_settle(struct hawser__connection *connection);

/** Queues close (or rejected), and nothing else. 0 or -ENOMEM. */
int hawser__connection_put_close(struct hawser__connection *connection,
				 const struct hawser__problem *problem);
/** Queues a frame of any kind but calls. 0 or -ENOMEM. */
int hawser__connection_put(struct hawser__connection *connection, enum hawser__frame_kind kind,
			   const ProtobufCMessage *message);
int hawser__connection_put_number(struct hawser__connection *connection,
				  enum hawser__frame_kind kind, uint64_t number);
/** Ends the incoming call `id` that has no call of ours. 0 or -ENOMEM. */
int hawser__connection_refuse(struct hawser__connection *connection, uint64_t id,
			      enum hawser_status status, const char *format, ...)
	HAWSER_PRINTF(4, 5);

/** Tells the peer why, and ends the connection once it knows (or does not listen). */
void hawser__connection_close(struct hawser__connection *connection, Hawser__Reason reason,
			      const char *format, ...) HAWSER_PRINTF(3, 4);
/** Ends it at once, without a word. */
void hawser__connection_lose(struct hawser__connection *connection, enum hawser_status status,
			     int code, const char *format, ...) HAWSER_PRINTF(4, 5);

/** One call fewer is in flight. */
void hawser__connection_call_ended(struct hawser__connection *connection);

/** Who is at the other end. Returns buffer. */
const char *hawser__connection_peer(struct hawser__connection *connection, char *buffer,
				    size_t size);

/** Calls in flight. */
static inline uint32_t hawser__connection_calls(const struct hawser__connection *connection)
{
	return connection->n_incoming + connection->n_outgoing;
}

#endif /* HAWSER_RPC_CONNECTION_H */
