/* A relay between clients and a server, on a thread of its own, that breaks connections to order.
 *
 * A test tells it what to do next: cut all that stand, or the one over which a certain byte goes;
 * freeze them, so that both ends have a socket over which nothing comes any more; let nobody in,
 * or keep whoever comes waiting. Every order has been carried out when its function
 * returns, and what happens by itself can be waited for; nothing here sleeps. */

#ifndef HAWSER_TESTS_RPC_RELAY_H
#define HAWSER_TESTS_RPC_RELAY_H

#include "tester.h"

/* The two ends of a connection through the relay; a direction is named by where it begins. */
enum relay_end { FROM_CLIENT, FROM_SERVER };

enum relay_cut {
	CUT_ORDERLY, /* both sockets are closed */
	CUT_RESET,   /* with a reset, where the transport has one */
	CUT_CLIENT,  /* the client's is; the server's stays, and nothing comes over it */
	CUT_SERVER,  /* the other way round */
	CUTS,
};

/* What becomes of a new connection. */
enum relay_door {
	DOOR_OPEN,
	DOOR_SHUT, /* it is reset */
	DOOR_HELD, /* it is accepted, and nothing else happens until relay_thaw() */
};

struct relay_pair;

struct relay {
	char address[ADDRESS_SIZE]; /* what clients connect to */
	char directory[128];
	pthread_t thread;
	int listener, wake_fd;

	/* Under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	void (*order)(struct relay *relay); /* to be run by the thread */
	enum relay_cut how;
	enum relay_door door;
	char target[ADDRESS_SIZE];
	bool is_stopping;
	unsigned n_attempts;   /* connections that were accepted, whatever became of them */
	unsigned n_cuts;       /* connections that were cut, to order or by their bytes */
	uint64_t n_relayed[2]; /* bytes, by direction */
	bool has_bound;        /* a connection is cut when so many bytes have passed */
	enum relay_end bound_end;
	uint64_t bound_left;
	unsigned delay_ms;     /* of each byte, in each direction */
	unsigned bytes_per_ms; /* 0: as many as there are */
	uint64_t allowance[2], allowed_ms;

	/* The thread's. */
	struct relay_pair *pairs;
};

/** Relays to `target`, an address that a server listens on. */
void relay_start(struct relay *relay, enum transport transport, const char *target);
/** Ends it and everything that goes through it. */
void relay_stop(struct relay *relay);

/** New connections go there from now on. */
void relay_aim(struct relay *relay, const char *target);
void relay_set_door(struct relay *relay, enum relay_door door);

/** Cuts all connections that stand. */
void relay_cut(struct relay *relay, enum relay_cut how);
/** Cuts the connection over which byte `bytes` from now on goes, behind it; 0: before any byte. */
void relay_cut_after(struct relay *relay, enum relay_end end, uint64_t bytes, enum relay_cut how);
/** Takes that back; returns whether it was reached. */
bool relay_was_cut(struct relay *relay);

/** Waits until it is reached, or taken back. */
void relay_wait_cut(struct relay *relay);

/** Nothing goes over the connections that stand any more, and their ends are not told. */
void relay_freeze(struct relay *relay);
/** What is frozen or held goes on, with all that was sent meanwhile. */
void relay_thaw(struct relay *relay);

/** From now on no more bytes pass in either direction; 0: there is no such limit. */
void relay_set_rate(struct relay *relay, unsigned bytes_per_ms);

/** What is read from now on arrives so much later, in either direction. To be changed when nothing
 * is under way. */
void relay_set_delay(struct relay *relay, unsigned ms);

/** How many connections were tried. */
unsigned relay_attempts(struct relay *relay);
/** Waits until so many were. */
void relay_wait_attempts(struct relay *relay, unsigned count);
/** Bytes that have passed. */
uint64_t relay_bytes(struct relay *relay, enum relay_end end);

#endif /* HAWSER_TESTS_RPC_RELAY_H */
