/* Methods that only so many may use at a time, on a server.
 *
 * A scope is a service or a method with a resource of its name (wire/lease.h). Calls of its methods
 * go through a stage (dispatch.h): the session that holds a lease of it passes, under that lease;
 * by policy others are refused, or wait in line as calls and hold the lease as long as they run.
 *
 * A claim is a lease and whoever it is to be told to: the call of Acquire that asked for it
 * (lease_service.c), or the call that waits by itself. It belongs to that call's loop. The table of
 * leases is shared by all loops, behind one lock; what an operation on one loop means for claims of
 * another goes there by post. */

#ifndef HAWSER_RPC_EXCLUSIVE_H
#define HAWSER_RPC_EXCLUSIVE_H

#include "rpc/dispatch.h"
#include "wire/lease.h"
#include <hawser/lease.h>
#include <pthread.h>

struct hawser__connection;

enum { HAWSER__LEASE_NAME_BYTES = 128, HAWSER__LEASE_REASON_BYTES = 256 };

/** What the loops of a server share. */
struct hawser__exclusives {
	pthread_mutex_t lock;
	struct hawser__lease_table table;
	struct hawser__list scopes;
	/* Who may take leases away. */
	bool allows_same_user;
	hawser_operator_fn *is_operator; /* NULL: nobody else */
	void *operator_data;
};

struct hawser__scope {
	struct hawser__list link;
	struct hawser__exclusives *exclusives;
	struct hawser__lease_resource *resource;
	enum hawser_exclusive_policy policy;
	unsigned max_wait_ms, settle_timeout_ms;
	unsigned n_methods; /* that need it */
};

struct hawser__claim {
	struct hawser__lease lease;
	struct hawser__scope *scope;
	struct hawser__loop *loop;
	unsigned references; /* the call's, the calls' that run under it, the post's */
	bool is_posted;      /* something is to be told, and on its way to the loop */
	bool is_resumed;     /* its call waits no more */
	/* The loop's */
	struct hawser_call *call;      /* of Acquire; NULL: over, or it is a call's own */
	struct hawser__ticket *ticket; /* the call whose own it is; NULL: over, or there is none */
	struct hawser__list running;   /* tickets of the calls under it, if it is no call's own */
	struct hawser__alarm alarm;    /* for waiting, for settling, for a call that is overdue */
	uint64_t overdue_ms;           /* if its own call still runs then; UINT64_MAX: never */
	struct hawser__post post;
	char *reason; /* by force; NULL: none */
	char peer[96];
	char name[HAWSER__LEASE_NAME_BYTES + 1];
};

extern const struct hawser__stage_ops hawser__exclusive_stage;

void hawser__exclusives_init(struct hawser__exclusives *exclusives);
/** Every call is over. */
void hawser__exclusives_deinit(struct hawser__exclusives *exclusives);

/**
 * The scope of that name, made with the defaults if there is none. NULL without memory. It may be
 * changed until the server runs.
 */
struct hawser__scope *hawser__scope_make(struct hawser__exclusives *exclusives, const char *name);
/** NULL: there is none. Any thread once the server runs. */
struct hawser__scope *hawser__scope_find(const struct hawser__exclusives *exclusives,
					 const char *name);
/** Frees those that no method needs. */
void hawser__scopes_prune(struct hawser__exclusives *exclusives);

/** The session, or the connection without one, as a party; made if need be. NULL without memory. */
struct hawser__lease_party *hawser__exclusive_party(struct hawser__connection *connection);
/** It has lost its socket, or has another. */
void hawser__exclusive_set_away(struct hawser__exclusives *exclusives,
				struct hawser__connection *connection, bool is_away);
/** It is over, and so are its calls. */
void hawser__exclusive_forget(struct hawser__exclusives *exclusives,
			      struct hawser__connection *connection);
/** This loop drains: leases that its clients hold or wait for end. */
void hawser__exclusive_drain(struct hawser__exclusives *exclusives, struct hawser__loop *loop);

/** A claim with one reference, of a call on this thread's loop. NULL without memory. */
struct hawser__claim *hawser__claim_new(struct hawser__scope *scope,
					struct hawser__incoming *incoming);
static inline struct hawser__claim *hawser__claim_of(struct hawser__lease *lease)
{
	return hawser__container_of(lease, struct hawser__claim, lease);
}

/* The lock is held from here on. */

void hawser__claim_unref(struct hawser__claim *claim);
/** If it was given up, there is only so much time for the calls under it. Its loop. */
void hawser__claim_settle(struct hawser__claim *claim);
/** What an operation has changed is told to whomever it concerns. */
void hawser__exclusives_tell(struct hawser__exclusives *exclusives);
/** Says who holds it and how many wait, in half a sentence. Returns the length. */
int hawser__scope_describe(const struct hawser__scope *scope, char *buffer, size_t size);

/* And here it is not: lease_service.c. */

/** Tells the call of Acquire how its claim stands. */
void hawser__claim_tell(struct hawser__claim *claim);
extern const struct hawser_service *const hawser__leases_service;
extern const void *const hawser__leases_handlers;

#endif /* HAWSER_RPC_EXCLUSIVE_H */
