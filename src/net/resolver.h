/* Name resolution that never blocks a loop.
 *
 * Numbers and paths are resolved on the spot; a name goes to getaddrinfo(3) on a
 * thread of its own, which posts the answer to the loop. */

#ifndef HAWSER_NET_RESOLVER_H
#define HAWSER_NET_RESOLVER_H

#include "net/address.h"
#include "net/loop.h"

struct hawser__resolve;

/**
 * Runs on the loop's thread with the list, now the callee's, or with NULL and the error.
 */
typedef void hawser__resolve_fn(void *data, struct addrinfo *list,
				const struct hawser_error *error);

/**
 * Starts a look-up. Returns 0 with *resolve to cancel it by, which stays valid until the
 * callback has run; 0 with *resolve NULL when the callback has run already;
 * or -ENOMEM or -EAGAIN (no thread), and the callback will not run.
 */
int hawser__resolve_start(struct hawser__loop *loop, const struct hawser__address *address,
			  hawser__resolve_fn *callback, void *data,
			  struct hawser__resolve **resolve);

/** The callback will not run any more. The loop's thread. NULL is accepted. */
void hawser__resolve_cancel(struct hawser__resolve *resolve);

#endif /* HAWSER_NET_RESOLVER_H */
