/* Blocking calls to a peer, from threads other than its loop's.
 *
 * The connection belongs to the loop. What the thread wants is posted there, and the thread
 * waits until it is told what came of it. What takes long, to pack and to unpack, is done on the
 * thread. */

#ifndef HAWSER_RPC_PEER_CALL_H
#define HAWSER_RPC_PEER_CALL_H

#include "rpc/outgoing.h"
#include "rpc/peer.h"
#include <pthread.h>

/** A question to the loop, on the stack of the thread that waits for the answer. */
struct hawser__ask {
	struct hawser__post post;
	/** On the loop's thread. Answers now, or later. */
	void (*run)(struct hawser__ask *ask);
	pthread_mutex_t lock;
	pthread_cond_t answered;
	bool is_answered;
	int result;
};

/** Asks, and waits for the answer: for as long as it takes. Returns it; -EPIPE: the loop has ended;
 * -EDEADLK: this is the loop's thread, and there is no answer yet. */
int hawser__ask_peer(struct hawser_peer *peer, struct hawser__ask *ask,
		     void (*run)(struct hawser__ask *ask));
/** The answer. The loop's thread; the ask is gone afterwards. */
void hawser__ask_answer(struct hawser__ask *ask, int result);

/** Whether this thread runs the peer's loop. */
bool hawser__peer_is_here(struct hawser_peer *peer);

/** Begins a call on the peer's connection, if there is one that takes it. The loop's thread. 0 or a
 * negative errno, with the call's error filled. */
int hawser__peer_start(struct hawser_peer *peer, struct hawser__outgoing *outgoing,
		       const struct hawser__content *request, const struct hawser_context *context);

/** hawser_client_call() for a peer. */
enum hawser_status hawser__peer_call(struct hawser_peer *peer, const struct hawser_method *method,
				     const ProtobufCMessage *request, ProtobufCMessage **reply,
				     struct hawser_context *context);

/** A blocking stream, as hawser_client_open() for a client of its own. peer_stream.c */
struct hawser_call *hawser__peer_stream_open(struct hawser_peer *peer,
					     const struct hawser_method *method,
					     const ProtobufCMessage *request,
					     const struct hawser_context *context);

#endif /* HAWSER_RPC_PEER_CALL_H */
