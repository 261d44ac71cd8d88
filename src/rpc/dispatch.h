/* What lies between a call that has been checked and its handler.
 *
 * A call whose request is there goes through stages, in this order: may it run at all (a lease), is
 * there room for it (limits), and where does it run (here, on its loop, or on a thread of the
 * pool). Each stage lets it pass, ends it, or keeps it waiting. A call that waits is an incoming
 * call like any other: cancellation, its deadline and the end of its connection find it and take it
 * out of whatever it waits in, and it ends as one that was not executed. What was let go from
 * another thread goes on, on the call's own loop.
 *
 * Which stages a method needs is a set of bits in its entry of the registry, fixed before anything
 * runs. A method that needs none pays for one test of that, and its calls have no ticket.
 *
 * To add a stage: a row in the enum below, where its turn is; its operations in
 * hawser__dispatch.stages; its bit in the entries of the methods that need it; and what it has to
 * remember of a call in struct hawser__ticket. */

#ifndef HAWSER_RPC_DISPATCH_H
#define HAWSER_RPC_DISPATCH_H

#include "net/loop.h"
#include "rpc/incoming.h"
#include "util/worker_pool.h"

struct hawser__arrival;
struct hawser__claim;
struct hawser__turn;

/** In the order in which a call goes through them. */
enum hawser__stage {
	HAWSER__STAGE_LEASE, /* does its session hold what the method needs? */
	HAWSER__STAGE_LIMIT, /* is there room for one more? */
	HAWSER__STAGE_POOL,  /* a thread, if its handler may block */
	HAWSER__STAGES,
};

enum hawser__verdict {
	HAWSER__PASS,
	HAWSER__WAIT, /* hawser__dispatch_resume() follows, unless the stage is told to forget it */
	HAWSER__ENDED, /* by hawser__dispatch_refuse() */
};

enum hawser__withdrawal {
	HAWSER__WITHDRAWN, /* it will not go on */
	HAWSER__PASSED, /* too late: hawser__dispatch_resume() has been called, or is just then */
	HAWSER__BEGUN,  /* too late: its handler runs or has run; is_handed tells now */
};

/** What must be remembered of a call that has stages to go through. It lives as long as the call,
 * or until what another thread does with it is through. */
struct hawser__ticket {
	struct hawser__incoming *incoming; /* NULL: the call is over */
	struct hawser__loop *loop;         /* the call's */
	enum hawser__stage stage;          /* the one that it is in, or enters next */
	bool is_waiting;                   /* in that stage */
	bool is_posted;                    /* a post has it, and frees it */
	unsigned passed;                   /* a bit for each stage that let it pass */
	struct hawser__arrival *request;   /* NULL: a stream of them, which waits by itself */
	struct hawser__turn *turn;         /* on the pool; NULL: not yet, or never */
	struct hawser__post post;          /* on its way back to its loop */
	/* HAWSER__STAGE_LEASE: under which it runs, or with which it waits in line. */
	struct hawser__claim *claim;
	struct hawser__list under;
};

/** What a stage does. All but hawser__dispatch_resume() is on the call's loop. */
struct hawser__stage_ops {
	/** A call comes. */
	enum hawser__verdict (*enter)(struct hawser__ticket *ticket);
	/** One that waits here is over: forgets it, if it is not too late for that. */
	enum hawser__withdrawal (*withdraw)(struct hawser__ticket *ticket);
	/** One that was let pass is answered, or over. NULL: of no interest. */
	void (*leave)(struct hawser__ticket *ticket);
};

/** What all loops of one server share. */
struct hawser__dispatch {
	const struct hawser__stage_ops *stages[HAWSER__STAGES];
	struct hawser__worker_pool *pool;
	unsigned worker_threads, worker_queue; /* its bounds */
};

/** What a pool is like unless somebody says otherwise. */
extern const struct hawser__worker_pool_setup hawser__default_pool;
enum { HAWSER__WORKERS_MOST = 1024 };

/** With a pool that has no thread yet. 0 or -ENOMEM. */
int hawser__dispatch_init(struct hawser__dispatch *dispatch,
			  const struct hawser__worker_pool_setup *pool);
/** Waits for the handlers that run on the pool. The loops must still take posts. A zeroed struct is
 * accepted. */
void hawser__dispatch_stop(struct hawser__dispatch *dispatch);
/** After that, and after the loops are gone. */
void hawser__dispatch_deinit(struct hawser__dispatch *dispatch);

/**
 * A call's request is there; NULL: the first of a stream of them, or the end of none. It may be the
 * view of a frame, which is copied if the call has to wait. The call goes as far as it can now, may
 * have ended afterwards, and its slot be free.
 */
void hawser__dispatch_call(struct hawser__incoming *incoming, struct hawser__arrival *request);
/** More has come for a stream of requests that its stages have not let pass yet. */
void hawser__dispatch_arrived(struct hawser__incoming *incoming);
/**
 * A stage lets a call that waits in it pass: once for each time that it waits, and after the stage
 * has forgotten it, so that it will not be withdrawn as well. Any thread.
 */
void hawser__dispatch_resume(struct hawser__ticket *ticket);
/** A stage ends a call that did not run. */
void hawser__dispatch_refuse(struct hawser__ticket *ticket, enum hawser_status status,
			     const char *text);
/** The same for want of room, RESOURCE_EXHAUSTED: the caller is asked to wait so long before it
 * tries again. */
void hawser__dispatch_put_off(struct hawser__ticket *ticket, const char *text,
			      unsigned retry_after_ms);
/** The call is about to end: takes it out of whatever it waits in. Whether its handler has begun
 * is known afterwards. */
void hawser__dispatch_withdraw(struct hawser__incoming *incoming);
/** The call has ended: what it holds is given back. True: a thread of the pool is in its handler,
 * and its slot stays. */
bool hawser__dispatch_leave(struct hawser__incoming *incoming);

/* For stages. */

/** Copies a request that lies in a frame. False without memory. */
bool hawser__ticket_keep_request(struct hawser__ticket *ticket);
/** When all is through. */
void hawser__ticket_free(struct hawser__ticket *ticket);

#endif /* HAWSER_RPC_DISPATCH_H */
