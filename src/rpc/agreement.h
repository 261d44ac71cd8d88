/* Whether both ends mean the same method.
 *
 * A call carries only the method's id; with the first one of a method its caller
 * announces the name and the types behind it. What does not agree is refused
 * with both views in the text, and the refusal is kept: calls that were sent right behind
 * the announcement get the same answer, instead of running with messages of
 * another type. */

#ifndef HAWSER_RPC_AGREEMENT_H
#define HAWSER_RPC_AGREEMENT_H

#include "rpc/registry.h"
#include "wire/wire.pb-c.h"

struct hawser__connection;
struct hawser__frame;

/**
 * The entry that a call with an announcement (NULL: it has none) is for. NULL: there is none, or it
 * is not what the caller thinks; the peer has been told.
 */
const struct hawser__entry *hawser__agreement_check(struct hawser__connection *connection,
						    const struct hawser__frame *frame,
						    const Hawser__Method *announced);

/** True: calls of this method were refused on this connection, and this one has been, too. */
bool hawser__agreement_refused_before(struct hawser__connection *connection,
				      const struct hawser__frame *frame);

/** What is wrong with a method that a peer means to call, in a sentence. False: nothing. */
bool hawser__agreement_explain(const struct hawser__registry *registry,
			       const Hawser__Method *announced, char *text, size_t size);

/** Frees what was kept. */
void hawser__agreement_forget(struct hawser__map *refused);

#endif /* HAWSER_RPC_AGREEMENT_H */
