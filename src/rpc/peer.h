/* The other end of a session, for whoever holds a reference.
 *
 * A connection has one as soon as its peer has said hello. What a reference gives is good on any
 * thread and for any time: when the session ends the peer is gone, and stays to say so. Calls to
 * it go through a client of the kind that runs on a loop, whose connection the other end has
 * opened. */

#ifndef HAWSER_RPC_PEER_H
#define HAWSER_RPC_PEER_H

#include "rpc/connection.h"
#include "rpc/hello.h"
#include <hawser/peer.h>

struct hawser__hub_member;

struct hawser_peer {
	atomic_uint references;
	atomic_int state; /* enum hawser_peer_state */
	atomic_ullong heard_ms, rtt_us;
	uint64_t begun_ms;
	struct hawser__list link; /* the peers of its loop */
	/* What any thread may look at, with the lock. */
	pthread_mutex_t lock;
	struct hawser__loop *loop; /* NULL: ended */
	Hawser__Hello *hello;
	char name[HAWSER_PEER_NAME_SIZE];
	char address[HAWSER_PEER_ADDRESS_SIZE];
	/* With its hub's lock: where it stands there; NULL: nowhere, or not any more. */
	struct hawser__list *hub_link;
	uint64_t hub_number;
	/* The loop's thread alone. */
	struct hawser__connection *connection; /* NULL: the session has ended */
	struct hawser__hub_member *member;     /* NULL: of no hub */
	struct hawser_client *client;
	bool owns_client;
};

/** Its limits on calls to peers. */
struct hawser__peer_limits {
	unsigned timeout_ms;
	size_t max_request_bytes, max_reply_bytes;
};

/** The peers of a loop. A zeroed struct with its list set up is empty. */
struct hawser__peers {
	struct hawser__list list;
	struct hawser__peer_limits limits;
};

/**
 * The peer said hello: keeps it, in place of what it said before. `peers` is where a server keeps
 * its peers; a client has one, whose client it is itself. 0 or -ENOMEM.
 */
int hawser__peer_hello(struct hawser__connection *connection, const char *name,
		       const Hawser__Hello *hello, struct hawser__peers *peers,
		       struct hawser_client *client);
/** It is here, or away. Nothing without a peer. */
void hawser__peer_set_state(struct hawser__connection *connection, enum hawser_peer_state state);
/** The session has ended. Nothing without a peer. */
void hawser__peer_gone(struct hawser__connection *connection);
/** The loop ends: calls that have not ended do so now, and nobody will post to it any more. */
void hawser__peers_end(struct hawser__peers *peers);

/** Says what is wrong with calling this method there. False: nothing, or nothing is known. */
bool hawser__peer_lacks(struct hawser_peer *peer, const struct hawser_method *method, char *text,
			size_t size);

/** Posts to its loop. 0, or -EPIPE: that has ended. */
int hawser__peer_post(struct hawser_peer *peer, struct hawser__post *post);

/** Asks for a pong, to measure the round trip. */
void hawser__peer_probe(struct hawser__connection *connection);
/** A pong came. True: it was the answer to that. */
bool hawser__peer_ponged(struct hawser__connection *connection, uint64_t number);

#endif /* HAWSER_RPC_PEER_H */
