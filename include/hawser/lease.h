/* Exclusive access: methods that only so many may use at a time, and the leases of them.
 *
 * A service or a method is made exclusive in its .proto, with (hawser.service_exclusive) or
 * (hawser.exclusive), or with hawser_server_set_exclusive(). Its name is that of a resource then,
 * "demo.Device" or "demo.Device/Move". A client acquires a lease of the resource and holds it until
 * it gives it up; others wait in line, in the order in which they came.
 *
 *     struct hawser_lease *lease = NULL;
 *
 *     if (hawser_lease_acquire(client, "demo.Device", &lease, &context) == HAWSER_OK) {
 *             demo_device_move(client, &request, &reply, &context);
 *             hawser_lease_release(lease, NULL);
 *     }
 *     hawser_lease_free(lease);
 *
 * A lease belongs to the client's session: whatever thread calls with that client calls under it.
 * There is nothing to renew, since the session's heartbeats do that: a lease survives a connection
 * that breaks, and passes on when the session does not go on within the time that the server
 * keeps it (session_window_ms), or is lost otherwise. Without a session it ends with the
 * connection. Who waits keeps their place in line in the same way; while they are away, those
 * behind them may pass. Neither is idle (idle_timeout_ms). (Leases: C. Gray and D. Cheriton, SOSP
 * 1989.)
 *
 * The server lets no call pass that has no lease. It cannot keep a client from acting elsewhere on
 * a lease that it has lost and does not know it, such as on the device behind the server; nor a
 * handler from going on for a client that is gone. For that each grant has a fencing number, higher
 * than all before it. Handlers find theirs with hawser_call_fencing() and hand it to the device,
 * which refuses a number that is lower than one it has seen. (M. Kleppmann, "How to do distributed
 * locking", 2016.)
 *
 * All this is for services of a server. Those that a client offers only its server can call, so
 * that exclusive means nothing there. The protocol is an ordinary service,
 * proto/hawser/lease.proto. */

#ifndef HAWSER_LEASE_H
#define HAWSER_LEASE_H

#include <hawser/call.h>
#include <hawser/common.h>
#include <hawser/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hawser_client;
struct hawser_server;

/* ---- servers ---- */

/** What becomes of a call whose session holds no lease. */
enum hawser_exclusive_policy {
	/** It fails FAILED_PRECONDITION; the text says who holds it, and how to acquire it. */
	HAWSER_EXCLUSIVE_REFUSE = 0,
	/** It waits in line, within its deadline, and holds a lease of its own while it runs. */
	HAWSER_EXCLUSIVE_QUEUE = 1,
};

/** How exclusive; start from HAWSER_EXCLUSIVE_INIT. A 0 means the default that is named. */
struct hawser_exclusive {
	/** sizeof(struct hawser_exclusive); lets the struct grow. */
	size_t size;
	/** How many may hold it at the same time; 1. */
	unsigned max_holders;
	/** How many may wait in line; more are refused RESOURCE_EXHAUSTED; 64. At most 65,536. */
	unsigned max_waiting;
	/** The longest that anybody waits, whatever their own deadline; 0: no such limit. */
	unsigned max_wait_ms;
	/** How long a lease that was given up waits for the calls that still run under it, before
	 * they are cancelled and it passes on all the same; and so a call that waited in line by
	 * itself, when its client is gone or its deadline has passed; 10,000 ms. */
	unsigned settle_timeout_ms;
	/** What becomes of calls without a lease; HAWSER_EXCLUSIVE_REFUSE. */
	enum hawser_exclusive_policy policy;
	/** The fencing number of the first grant; the microseconds since 1970 when this is set, so
	 * that numbers also rise from one run of the server to the next, if its clock does. Who
	 * keeps them in a file begins here with the last one and 1. */
	uint64_t first_fencing;
};

#ifdef __cplusplus
#define HAWSER_EXCLUSIVE_INIT hawser_exclusive_make()
#else
#define HAWSER_EXCLUSIVE_INIT                           \
	{                                               \
		.size = sizeof(struct hawser_exclusive) \
	}
#endif

/**
 * Makes a registered service, "demo.Device", or one of its methods, "demo.Device/Move", exclusive,
 * or says how exclusive it is if its .proto has made it so; methods with (hawser.exclusive) = false
 * stay open then. A method that is named itself has a lease of its own, apart from its service's.
 * `options` NULL: the defaults. Before hawser_server_run() or on the thread of the server's base.
 * Returns 0, -EINVAL (NULL, or an option that is none), -ENOENT (nothing of that name is
 * registered), -EBUSY (the server runs), -EEXIST (a service hawser.Leases that is not the library's
 * is registered) or -ENOMEM.
 */
HAWSER_EXPORT int hawser_server_set_exclusive(struct hawser_server *server, const char *name,
					      const struct hawser_exclusive *options,
					      struct hawser_error *error);

/** Whether who makes this call may take away leases of that resource. The call's loop. */
typedef bool hawser_operator_fn(struct hawser_call *call, const char *resource, void *data);

/**
 * Asks this callback who may take leases away (hawser_lease_force_release()), besides those that
 * the server's option allow_force_release lets. NULL: nobody, which is the default. With more than
 * one loop it runs on all their threads. Before hawser_server_run(). Returns 0, -EINVAL (NULL) or
 * -EBUSY (the server runs).
 */
HAWSER_EXPORT int hawser_server_set_operator(struct hawser_server *server,
					     hawser_operator_fn *is_operator, void *data);

/**
 * For handlers: the fencing number of the lease under which the call runs, to be handed to whatever
 * must not listen to a former holder any more. 0: the method is not exclusive, or the call is over.
 * Any thread, before the call is answered.
 */
HAWSER_EXPORT uint64_t hawser_call_fencing(const struct hawser_call *call);

/* ---- clients ---- */

/** A lease of a client's, or its place in line. */
struct hawser_lease;

enum hawser_lease_state {
	HAWSER_LEASE_WAITING,
	HAWSER_LEASE_HELD,
	HAWSER_LEASE_OVER, /**< given up or lost; hawser_lease_error() says which and why */
};

/** Tells the position in line, 1 for the next: at first, and whenever it has changed. */
typedef void hawser_lease_position_fn(unsigned position, void *data);

/**
 * Waits until a lease of the resource is held; on HAWSER_OK *lease is the caller's, to be freed
 * with hawser_lease_free(), else untouched. Blocking clients. context->timeout_ms (0: the client's)
 * is for the waiting alone; hawser_context_cancel() is not heeded.
 *
 * Fails ALREADY_EXISTS (this client has or waits for one already: threads that share a client share
 * its lease), NOT_FOUND (nothing of that name is exclusive there), RESOURCE_EXHAUSTED (the
 * line is full), DEADLINE_EXCEEDED, UNAVAILABLE (no connection, the session was lost meanwhile, or
 * the server drains), UNIMPLEMENTED (nothing is exclusive on that server), FAILED_PRECONDITION
 * (a client on an event_base), INVALID_ARGUMENT (NULL).
 */
HAWSER_EXPORT enum hawser_status hawser_lease_acquire(struct hawser_client *client,
						      const char *resource,
						      struct hawser_lease **lease,
						      struct hawser_context *context);

/** The same; `on_position` (may be NULL) runs on the calling thread meanwhile. */
HAWSER_EXPORT enum hawser_status hawser_lease_acquire_watched(
	struct hawser_client *client, const char *resource, hawser_lease_position_fn *on_position,
	void *data, struct hawser_lease **lease, struct hawser_context *context);

/** Tells of a lease on a base: waiting at another position, held, over. Over is the last one. The
 * lease may be freed inside. */
typedef void hawser_lease_fn(struct hawser_lease *lease, enum hawser_lease_state state, void *data);

/**
 * Asks for a lease without waiting; the callback tells what becomes of it, from the base, also if
 * it could not even be asked for. The lease is the caller's, to be freed with hawser_lease_free().
 * Clients on an event_base, on its thread. NULL with errno EINVAL (NULL, or a blocking client),
 * ECANCELED (the client is being freed) or ENOMEM.
 */
HAWSER_EXPORT struct hawser_lease *hawser_lease_acquire_async(struct hawser_client *client,
							      const char *resource,
							      hawser_lease_fn *callback, void *data,
							      const struct hawser_context *context);

/* The lease's own thread may ask the following, and any other as long as nobody frees it and the
 * client is there; on a base, only the base's. */

/**
 * How it stands, as far as this client knows: that it is over may have happened and not have been
 * heard of yet. While there is no connection a lease counts as held, until the time that the server
 * keeps the session is over.
 */
HAWSER_EXPORT enum hawser_lease_state hawser_lease_get_state(struct hawser_lease *lease);

/** Its fencing number, for whatever the client does by itself; 0: it never was held. */
HAWSER_EXPORT uint64_t hawser_lease_fencing(const struct hawser_lease *lease);

/** What names it to others, for hawser_lease_hand_over(); 0: not known yet. */
HAWSER_EXPORT uint64_t hawser_lease_ticket(const struct hawser_lease *lease);

/** The position in line; 0: it does not wait, or is not known yet. */
HAWSER_EXPORT unsigned hawser_lease_position(const struct hawser_lease *lease);

/**
 * How it ended: HAWSER_OK as long as it has not, and when it was given up; ABORTED: it was taken
 * away; UNAVAILABLE: the session was lost, or the server drains; or why it was never granted.
 * Borrowed from the lease.
 */
HAWSER_EXPORT const struct hawser_error *hawser_lease_error(struct hawser_lease *lease);

/**
 * Waits until the lease is over; for a thread that does nothing else. Blocking clients. Returns the
 * status of hawser_lease_error(), or INVALID_ARGUMENT (NULL, on a base, or another thread waits
 * already). Not while another thread frees the lease; that gives it up with hawser_lease_release(),
 * and waits for this one.
 */
HAWSER_EXPORT enum hawser_status hawser_lease_wait(struct hawser_lease *lease);

/**
 * Gives the lease up. A blocking client waits until the server knows; on a base this only asks
 * for it, and the callback tells that it is over. Calls that still run under it may end before it
 * passes on. Then it is still to be freed. Returns HAWSER_OK, also when it was over already, or how
 * the call failed: DEADLINE_EXCEEDED, UNAVAILABLE …, RESOURCE_EXHAUSTED (no memory),
 * INVALID_ARGUMENT (NULL).
 */
HAWSER_EXPORT enum hawser_status hawser_lease_release(struct hawser_lease *lease,
						      struct hawser_context *context);

/**
 * Gives the lease to one who waits for it, past all others in line: by ticket, or if that is 0 by
 * name (hawser_client_options.name). Fails NOT_FOUND (nobody of that ticket or name waits),
 * INVALID_ARGUMENT (several of that name do; or NULL), FAILED_PRECONDITION (this lease is not held;
 * or a client on an event_base), or as hawser_lease_release(). Blocking clients.
 */
HAWSER_EXPORT enum hawser_status hawser_lease_hand_over(struct hawser_lease *lease, uint64_t ticket,
							const char *name,
							struct hawser_context *context);

/**
 * Frees it; one that is held, or waits, is given up without waiting for the server. NULL is
 * accepted. Inside its callback too. Before or after its client is freed.
 */
HAWSER_EXPORT void hawser_lease_free(struct hawser_lease *lease);

/** One who holds a resource or waits for it. */
struct hawser_lease_holder {
	const char *name; /**< as it calls itself; empty for a call that waits by itself */
	const char *peer; /**< "tcp:10.0.0.7:51200" */
	uint64_t ticket;  /**< for hawser_lease_hand_over() and hawser_lease_force_release() */
	uint64_t fencing; /**< 0: it waits */
	uint64_t age_ms;  /**< held it, or waited, for so long */
	unsigned calls;   /**< that run under it */
	bool is_away;     /**< without a connection; its session is kept for a while */
	bool is_call;     /**< a call that waits or runs by itself */
	bool is_settling; /**< given up; calls still run under it */
};

/** A resource. */
struct hawser_lease_resource {
	const char *name;
	unsigned max_holders, max_waiting;
	unsigned n_holders, n_waiting;               /**< how many there are … */
	unsigned n_listed_holders, n_listed_waiting; /**< … and are listed: a thousand at most */
	const struct hawser_lease_holder *holders;   /**< in the order in which they got it */
	const struct hawser_lease_holder *waiting;   /**< the next one first */
};

/** Gets each resource; everything is borrowed for the time of the callback. */
typedef void hawser_lease_holders_fn(const struct hawser_lease_resource *resource, void *data);

/**
 * Asks who holds a resource and who waits, NULL: all of them; `callback` runs for each on the
 * calling thread. Blocking clients. Fails NOT_FOUND (nothing of that name is exclusive there),
 * UNIMPLEMENTED (nothing at all), or as any call.
 */
HAWSER_EXPORT enum hawser_status hawser_lease_holders(struct hawser_client *client,
						      const char *resource,
						      hawser_lease_holders_fn *callback, void *data,
						      struct hawser_context *context);

/**
 * Takes a lease away, for operators: the one with that ticket, or all of the resource if it is 0.
 * Calls that run under it are cancelled, and it passes on at once. `reason` (may be NULL; up to 256
 * bytes) is for who loses it. Blocking clients. Fails PERMISSION_DENIED (the server does not take
 * this client for an operator), NOT_FOUND (nobody holds it, or nothing of that name is exclusive),
 * or as any call.
 */
HAWSER_EXPORT enum hawser_status hawser_lease_force_release(struct hawser_client *client,
							    const char *resource, uint64_t ticket,
							    const char *reason,
							    struct hawser_context *context);

#ifdef __cplusplus
}

static inline struct hawser_exclusive hawser_exclusive_make(void)
{
	struct hawser_exclusive options = hawser_exclusive();
	options.size = sizeof options;
	return options;
}
#endif

#endif /* HAWSER_LEASE_H */
