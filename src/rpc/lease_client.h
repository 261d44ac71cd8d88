/* A client's lease: the call of Acquire, and what it has told.
 *
 * lease_client.c is what both kinds of clients have in common and the blocking one alone;
 * lease_async.c is for clients on an event_base; lease_list.c asks about other people's leases. */

#ifndef HAWSER_RPC_LEASE_CLIENT_H
#define HAWSER_RPC_LEASE_CLIENT_H

#include "net/loop.h"
#include "rpc/lease.hawser.h"
#include <hawser/lease.h>

struct hawser_client;

/* Of a blocking client it is guarded by the client's lock. */
struct hawser_lease {
	struct hawser_client *client;
	struct hawser_call *call; /* of Acquire */
	char *resource;
	uint64_t ticket, fencing;
	unsigned position;
	bool is_async;
	bool is_given_up; /* the server knows, and has perhaps not ended the call yet */
	struct hawser_error error;

	/* ---- on an event_base ---- */
	struct hawser_call *release; /* under way; NULL: none */
	hawser_lease_fn *callback;   /* NULL: has told all there is, or is not wanted any more */
	void *data;
	struct hawser__alarm alarm; /* the deadline of waiting */
	bool is_over, is_late;
	bool is_freed; /* inside its callback, which it waits for */
	unsigned in_callback;
};

/** Without a call yet. NULL without memory. */
struct hawser_lease *hawser__lease_new(struct hawser_client *client, const char *resource);
/** Its memory; the call is freed. */
void hawser__lease_delete(struct hawser_lease *lease);
/** Takes over what a reply says. Whether that is new. */
bool hawser__lease_take(struct hawser_lease *lease, const Hawser__LeaseAcquireReply *reply);
/** Why the call of Acquire ended; one that ends well before the lease was held was given up. */
void hawser__lease_take_error(struct hawser_lease *lease, struct hawser_error *error);

/** Whether blocking functions may be used with it; else the status and the error are set. */
enum hawser_status hawser__lease_check(struct hawser_client *client, const char *resource,
				       const char *function, struct hawser_context *context);

/* lease_async.c */
enum hawser_status hawser__lease_release_async(struct hawser_lease *lease,
					       const struct hawser_context *context);
void hawser__lease_free_async(struct hawser_lease *lease);

#endif /* HAWSER_RPC_LEASE_CLIENT_H */
