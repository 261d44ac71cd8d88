/* A connection: the native session, the socket it has at the moment, and its calls both
 * ways.
 *
 * It is the carrier of its calls. It receives into the loop's shared buffer and
 * keeps only what is left of an unfinished frame, so that an idle connection owns
 * no buffer at all; it writes when everything that was received has been dealt
 * with. What differs between the two ends (who opens, who may stop whom)
 * is left to its owner, the server or the client, through a table of operations.
 *
 * With a session it outlives its socket. When that breaks the connection is away: calls can
 * still be made and answered, and wait in the session's log, until the owner attaches the next
 * socket or gives up. Without one, a broken socket is the end. */

#ifndef HAWSER_RPC_CONNECTION_H
#define HAWSER_RPC_CONNECTION_H

#include "net/loop.h"
#include "rpc/call_table.h"
#include "util/map.h"
#include "wire/store.h"
#include "wire/window.h"
#include <stdatomic.h>

struct hawser__connection;
struct hawser__lease_party;
struct hawser__serving;
struct hawser__outgoing;
struct hawser_peer;

/** What the owner does. None may free the connection but lost and finished. */
struct hawser__connection_ops {
	/** Server: the first frame. Answer with opened, or close the connection. */
	void (*open)(struct hawser__connection *connection, const Hawser__Open *open);
	/** Client: the answer to open; the calls that were held go now. */
	void (*opened)(struct hawser__connection *connection, const Hawser__Opened *opened);
	/** Client: the answer was no. Loses the connection, or breaks it to try anew. */
	void (*rejected)(struct hawser__connection *connection, const Hawser__Rejected *rejected);
	/** The peer said close. `lost` follows, unless it drains. */
	void (*close)(struct hawser__connection *connection, const Hawser__Close *close);
	/** The peer asks us to stop, or refuses to. */
	void (*shutdown)(struct hawser__connection *connection, const Hawser__Shutdown *shutdown);
	void (*pong)(struct hawser__connection *connection, uint64_t number);
	/** What the peer offers has changed. */
	void (*hello)(struct hawser__connection *connection, const Hawser__Hello *hello);
	/** We are about to say close, for this reason. */
	void (*closing)(struct hawser__connection *connection, Hawser__Reason reason);
	/** The last call in flight has ended. */
	void (*calm)(struct hawser__connection *connection);
	/** Its alarm rang. */
	void (*alarm)(struct hawser__connection *connection);
	/** Server: its log has grown the total. */
	void (*grown)(struct hawser__connection *connection);
	/** Something was written, or may be put where nothing could. */
	void (*written)(struct hawser__connection *connection);
	/** The socket is gone, the session stays. The owner may lose it now. */
	void (*away)(struct hawser__connection *connection, const struct hawser_error *why);
	/**
	 * Server: what came is for another connection, see is_moving; the bytes are borrowed. The
	 * socket is the operation's.
	 */
	void (*move)(struct hawser__connection *connection, int fd, uint8_t *data, size_t length,
		     size_t open_length);
	/**
	 * It is over: the peer is gone, broke the protocol, or we closed. Its calls have
	 * been dealt with. The owner frees it now, with hawser__connection_free().
	 */
	void (*lost)(struct hawser__connection *connection, const struct hawser_error *why);
};

/** What to do about a peer that takes too little; slow_peer.c. */
struct hawser__patience {
	enum hawser_slow_peer policy;
	unsigned timeout_ms;
	size_t bytes;
	atomic_ullong *count; /* of the owner; may be NULL */
	uint64_t progress;    /* of the log, when it was looked at last */
	struct hawser__alarm alarm;
};

struct hawser__connection {
	struct hawser__carrier carrier;
	const struct hawser__connection_ops *ops;
	void *owner;
	struct hawser__loop *loop;
	const char *name;         /* what its peer is called; NULL: ask the socket */
	char *peer_text;          /* what that said; NULL: was not asked */
	struct hawser_peer *peer; /* NULL: it said no hello */
	struct hawser__session session;
	struct hawser__kept kept;          /* server: its session in the store */
	struct hawser__lease_party *party; /* server: who may hold leases; NULL: never asked */
	void *moves_to; /* server: the connection of this loop that goes on, or another worker */
	struct hawser__serving *serving; /* NULL: this end offers nothing */
	int fd;
	bool is_traced;
	bool is_watched;     /* the event is added … */
	bool is_reading;     /* … also for what comes */
	bool wants_write;    /* the socket was full: the event waits for room, too */
	bool is_mute;        /* the peer reads no more: only what it said is of interest */
	bool is_paused;      /* too much unsent: nothing is received until it is */
	bool is_closing;     /* close was sent: what comes is dropped until the peer closes */
	bool is_draining;    /* close(draining) was sent or came: ends with the last call */
	bool is_busy;        /* in the middle of received frames: lost has to wait */
	bool is_lost;        /* lost is due, or has been */
	bool is_broken;      /* its socket is of no use any more; away is due */
	bool is_moving;      /* open was for another connection: ops->move is due */
	bool has_reader;     /* a thread is in a receive, without the lock: the socket stays */
	bool holds;          /* a broken socket is not the end */
	bool is_counted;     /* server: among its open connections */
	bool is_eager;       /* the peer works while we do: it gets its frames early */
	uint8_t batches;     /* received; now and then one is a try whether that is so */
	uint32_t n_incoming; /* calls in flight, by direction */
	uint32_t n_outgoing;
	uint32_t n_cut; /* of those that came: in flight when it broke, and that was its end */
	uint64_t n_succeeded; /* of ours, since whoever counts them looked last */
	bool keeps_requests;  /* idempotent calls of ours may have to be made again */
	uint8_t *in;          /* the beginning of a frame */
	size_t in_length, in_capacity;
	uint64_t skip;                    /* bytes of an oversized frame still to drop */
	struct hawser__arrival *straight; /* what the rest of this frame is received into */
	size_t max_unsent;       /* above this nothing more is received, and streams wait */
	size_t max_log;          /* above this no call is taken or made */
	size_t max_reply;        /* server: the largest of its own */
	size_t max_peer_message; /* the largest payload that the peer takes */
	size_t window;           /* with which a call begins whose messages come here */
	struct hawser__line line;
	size_t unread, max_unread;        /* bytes of messages that wait to be taken */
	uint32_t n_receiving;             /* streams whose messages come here */
	struct hawser__patience patience; /* with a peer that takes too little */
	atomic_ullong *log_total;         /* bytes in all logs of the owner; NULL: not counted */
	size_t log_counted;               /* what this one has in it */
	size_t refused_bytes; /* in ends of refused calls, up to refused_number, that wait for the
				 peer */
	uint64_t refused_number;
	/* Copies of idempotent requests, kept besides the log; of the large ones apart. */
	size_t again_bytes, again_large_bytes;
	struct hawser__call_table calls;
	struct hawser__map announced;            /* methods of ours, by address */
	const struct hawser_method *last_method; /* announced; a shortcut past the map */
	struct hawser__map refused; /* methods that the peer has wrong; see agreement.h */
	struct hawser__list incoming;
	struct hawser__list owing;   /* streams whose peer could not be told of its window */
	struct hawser__list blocked; /* streams that wait for room */
	struct hawser__list outgoing;
	struct hawser__deferred flush;
	struct hawser__alarm alarm;
	struct hawser__alarm ack_alarm;
	uint64_t heard_ms;     /* when bytes last came */
	uint64_t sent_ms;      /* when bytes last went */
	uint64_t call_ms;      /* when a call last came or ended */
	unsigned heartbeat_ms; /* as agreed with the peer: it wants to hear from us so often */
	unsigned silence_timeout_ms; /* as agreed with the peer */
	struct hawser_error *why;    /* lost or broken for this reason; NULL: no memory to say */
	bool *is_gone;               /* told when it is freed */
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
	bool keeps_requests;
	size_t max_payload; /* largest message taken */
	size_t max_unsent;
	size_t max_log;
	size_t max_reply;          /* of a server's */
	size_t window, max_window; /* of messages that come */
	size_t max_unread;
	struct hawser__patience patience; /* its alarm is not looked at */
	atomic_ullong *log_total;         /* may be NULL */
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
/** The two halves of it, for who waits in the receive itself: where the bytes should go, one place
 * or two (-ENOMEM: nowhere) … */
enum { HAWSER__ROOMS = 2 };
int hawser__connection_room(struct hawser__connection *connection,
			    struct iovec rooms[HAWSER__ROOMS]);
/** … and how many came there, or the negative errno. */
void hawser__connection_received(struct hawser__connection *connection, ssize_t n);

/** Bytes that came on its socket before it was attached, and were read already. */
void hawser__connection_feed(struct hawser__connection *connection, uint8_t *data, size_t length);

/** Makes the event ask for what the state needs. 0 or -ENOMEM. */
int hawser__connection_watch(struct hawser__connection *connection);
void hawser__connection_unwatch(struct hawser__connection *connection);

/** Writes what is queued, as far as the socket takes it. False: that ended in lost. */
bool hawser__connection_flush(struct hawser__connection *connection);
/** Only writes; for a last word. True: the socket is full. */
bool hawser__connection_send_out(struct hawser__connection *connection);
/** The session's push: only writes, and lets nothing else happen. */
void hawser__connection_push(struct hawser__session *session);
/** Writes before the loop sleeps; on a bare loop at once. */
void hawser__connection_flush_soon(struct hawser__connection *connection);
/** Does so in a while, for who had no memory just now; on a bare loop its reader does. */
void hawser__connection_flush_later(struct hawser__connection *connection);

/** The end of being busy: what was put off is done now, lost or a write. May free the connection.
 */
void hawser__connection_settle(struct hawser__connection *connection);

/** What came in one frame, or too much for one. */
void hawser__connection_on_frame(struct hawser__connection *connection,
				 const struct hawser__frame *frame);
void hawser__connection_on_oversized(struct hawser__connection *connection,
				     const struct hawser__frame *frame);

/** Queues close (or rejected), and nothing else. 0 or -ENOMEM. */
int hawser__connection_put_close(struct hawser__connection *connection,
				 const struct hawser__problem *problem);
/** Queues a frame that is not about a call. 0 or -ENOMEM. */
int hawser__connection_put(struct hawser__connection *connection, enum hawser__frame_kind kind,
			   const ProtobufCMessage *message);
int hawser__connection_put_number(struct hawser__connection *connection,
				  enum hawser__frame_kind kind, uint64_t number);
/** Queues an acknowledgement of all that has come. */
void hawser__connection_put_ack(struct hawser__connection *connection);
/** Ends the incoming call `id` that has no call of ours. 0 or -ENOMEM. */
int hawser__connection_refuse(struct hawser__connection *connection, uint64_t id,
			      enum hawser_status status, const char *format, ...)
	HAWSER_PRINTF(4, 5);

/** Ends the incoming call `id` that ran, and has no struct any more. */
void hawser__connection_fail(struct hawser__connection *connection, uint64_t id,
			     enum hawser_status status, enum hawser_outcome outcome,
			     const char *text);

/** Tells the peer why, and ends the connection once it knows (or does not listen). */
void hawser__connection_close(struct hawser__connection *connection, Hawser__Reason reason,
			      const char *format, ...) HAWSER_PRINTF(3, 4);
/**
 * The socket is of no use any more. With a session the connection is away then, else it is lost.
 * UNAVAILABLE is the status.
 */
void hawser__connection_break(struct hawser__connection *connection, int code, const char *format,
			      ...) HAWSER_PRINTF(3, 4);
/** The same, and tells the peer why if that is possible. */
void hawser__connection_give_up(struct hawser__connection *connection, Hawser__Reason reason,
				const char *format, ...) HAWSER_PRINTF(3, 4);
/** Lets go of the socket, which the caller now owns; the session is away. Returns it, or -1. */
int hawser__connection_detach(struct hawser__connection *connection);
/** Ends it at once, without a word. */
void hawser__connection_lose(struct hawser__connection *connection, enum hawser_status status,
			     int code, const char *format, ...) HAWSER_PRINTF(4, 5);

/** So many bytes of messages came: how large should windows be? */
void hawser__connection_measure(struct hawser__connection *connection, size_t bytes);
/** Something waits for the peer: looks after it from now on. */
void hawser__connection_watch_slow(struct hawser__connection *connection);
/** Looks whether the peer has taken too little. A bare loop's user calls it as often … */
void hawser__connection_check_slow(struct hawser__connection *connection);
/** … as this. UINT_MAX: it need not. */
unsigned hawser__connection_look_ms(const struct hawser__connection *connection);

/** One call fewer is in flight. */
void hawser__connection_call_ended(struct hawser__connection *connection);

/** Who is at the other end. Returns buffer. */
const char *hawser__connection_peer(struct hawser__connection *connection, char *buffer,
				    size_t size);

/** The same, for who asks with every call: it is asked once, and kept. */
const char *hawser__connection_known_peer(struct hawser__connection *connection);

/** Whether it has a socket and its log flows. */
static inline bool hawser__connection_is_open(const struct hawser__connection *connection)
{
	return connection->session.state == HAWSER__SESSION_OPEN && connection->fd >= 0;
}

/** Whether it had no memory for something that a flush tries again. */
static inline bool hawser__connection_is_owing(const struct hawser__connection *connection)
{
	return !hawser__list_empty(&connection->owing);
}

/** Calls in flight. */
static inline uint32_t hawser__connection_calls(const struct hawser__connection *connection)
{
	return connection->n_incoming + connection->n_outgoing;
}

/** Whether no call is in flight, and no reply of one that has ended still waits for its turn. */
static inline bool hawser__connection_is_calm(const struct hawser__connection *connection)
{
	return !hawser__connection_calls(connection) && !connection->session.outboxes.count;
}

#endif /* HAWSER_RPC_CONNECTION_H */
