/* The other end of a conversation: it speaks the protocol from the specification alone, by turns
 * rightly and wrongly, and judges what it hears.
 *
 * Of its own frames it keeps what a session needs to go on. Of those that come it knows for
 * each call what may still come: whether the window has anything left, how much is missing from a
 * message, and that nothing follows an end. */

#ifndef HAWSER_TESTS_FUZZ_PEER_H
#define HAWSER_TESTS_FUZZ_PEER_H

#include "service.h"
#include "wire/frame.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TALKS_MAX = 64, KEPT_MAX = 1024 };

/** One direction of a call. */
struct flow {
	long long window; /* bytes of messages that may be sent */
	size_t debt;      /* that came, and for which no window was given back */
	uint8_t *message; /* the one that is on its way; NULL: none */
	size_t size, done;
	uint64_t count; /* messages that have begun */
	bool is_over;   /* no more of them */
};

/** A call, as the peer knows it. */
struct talk {
	uint64_t id;
	const struct hawser_method *method;
	bool is_ours; /* the peer called */
	bool is_over;
	bool is_left; /* by the peer, while frames may be under way */
	struct flow in, out;
};

struct bytes {
	uint8_t *data;
	size_t length, capacity;
};

struct peer {
	bool is_server; /* what it plays */
	int fd;         /* -1: none */
	bool is_open;
	bool is_asked, is_asked_again; /* open has come, for a session that is known */
	bool is_over;                  /* close or rejected has come, or a wrong end */
	bool is_deaf;                  /* reads nothing for now */
	bool is_rude;                  /* has said something wrong: may be thrown out */
	bool is_blind;                 /* has said it knows not what: what comes is not judged */
	bool is_weak;                  /* memory is short at the other end: calls may fail */
	bool is_closing;               /* close was said: calls may fail */
	bool is_draining;              /* the other end lets calls end, and takes no more */
	bool has_gone;                 /* has closed its half: it may be cut off */
	bool has_waited;               /* so long that the other end may have lost patience */
	struct bytes in, out;
	/* The session. */
	bool wants_session, has_session;
	bool has_lost; /* one before */
	uint64_t id;
	uint8_t token[16];
	uint32_t attempt;
	struct bytes kept[KEPT_MAX]; /* counted frames, to be sent again */
	unsigned n_sent;
	uint64_t received, acked;
	bool rides; /* its frames acknowledge */
	/* What it says of itself in open and opened: bit 0: anything, 1: that it offers services,
	 * 2: and many. */
	unsigned hello;
	/* Windows with which calls begin: named by the peer, and to it. 0: the default. */
	uint64_t window_in, window_out;
	size_t max_message; /* that it may send */
	uint64_t max_reply_bytes;
	uint64_t next_call, last_call;
	struct talk talks[TALKS_MAX];
	unsigned n_talks;
};

void peer_init(struct peer *peer, bool is_server);
void peer_deinit(struct peer *peer);

/* ---- connections ---- */

/** Speaks on this socket from now on; what was under way on the last one is lost. -1: on none. */
void peer_connect(struct peer *peer, int fd);
/** Writes up to so many bytes of what it has said. */
void peer_write(struct peer *peer, size_t most);
/** Reads what there is, and judges it. Returns whether something came. */
bool peer_read(struct peer *peer);
/** All of it is forgotten. */
void peer_forget_session(struct peer *peer);

/* ---- saying ---- */

void peer_open(struct peer *peer);
void peer_opened(struct peer *peer, bool goes_on);
void peer_ping(struct peer *peer, uint64_t number);
void peer_pong(struct peer *peer, uint64_t number);
void peer_ack(struct peer *peer, uint64_t number);
void peer_close(struct peer *peer, unsigned reason, uint64_t last_call);
void peer_shutdown(struct peer *peer);
/** As bits of `hello` say; bit 3: without the mark that it may be skipped. */
void peer_hello(struct peer *peer, unsigned hello);
void peer_cancel(struct peer *peer, uint64_t id);
void peer_window(struct peer *peer, struct talk *talk, uint64_t bytes);

struct peer_call {
	const struct hawser_method *method;
	uint64_t timeout_ms;
	bool is_announced, is_announced_wrong, is_by_name, has_metadata;
	uint8_t *request; /* taken; NULL: none */
	size_t length;
	bool in_pieces;
};
/** NULL: no more calls are made. */
struct talk *peer_call(struct peer *peer, const struct peer_call *call);
/** Begins a message, which is taken, with a piece of at most so many bytes, or goes on. */
void peer_begin(struct peer *peer, struct talk *talk, uint8_t *message, size_t length,
		size_t piece);
void peer_go_on(struct peer *peer, struct talk *talk, size_t piece);
void peer_last(struct peer *peer, struct talk *talk);
/** `reply` is taken. */
void peer_end(struct peer *peer, struct talk *talk, unsigned status, uint8_t *reply, size_t length);

/** A message frame as it is told, whatever that means. */
void peer_message(struct peer *peer, uint64_t id, bool is_last, uint64_t size,
		  const uint8_t *payload, size_t length);
/** Any bytes, as a frame and without. */
void peer_frame(struct peer *peer, const uint8_t *bytes, size_t length);
void peer_raw(struct peer *peer, const uint8_t *bytes, size_t length);

/* ---- judging ---- */

struct talk *peer_talk(struct peer *peer, uint64_t id);
struct talk *peer_begin_talk(struct peer *peer, uint64_t id, const struct hawser_method *method,
			     bool is_ours);
void peer_end_talk(struct talk *talk);
/** A frame has come, `length` with its prefix. */
void peer_judge(struct peer *peer, const struct hawser__frame *frame);

/** The other end is done with the calls up to this one: was it? */
void peer_check_none_cut(const struct peer *peer, uint64_t last_call);

void bytes_add(struct bytes *bytes, const void *data, size_t length);
void bytes_free(struct bytes *bytes);

#endif /* HAWSER_TESTS_FUZZ_PEER_H */
