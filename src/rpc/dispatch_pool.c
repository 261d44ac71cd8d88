/* The last stage: handlers that may block run on a thread of the pool, in turns.
 *
 * A turn is one piece of work for a thread: a request; or some messages of a stream of requests; or
 * that there are no more. The next turn of a call begins only when the loop has heard that the one
 * before is through, so no two threads are ever in the handler of one call, and a stream's messages
 * come in order. Nearly every call has one turn; its answer is posted to the loop as any answer
 * from another thread, and only if the loop has dealt with that before the handler returns, a
 * second post says so.
 *
 * While a thread is in a call's handler nothing else that belongs to the call runs, on_cancel,
 * on_writable and free_data included: what falls due is made up for when it has returned. And the
 * call's slot stays, whatever becomes of the call. */

#include "rpc/dispatch_pool.h"

#include "rpc/arrival.h"
#include "rpc/connection.h"
#include "rpc/stream.h"
#include "util/alloc.h"
#include "util/error.h"
#include <errno.h>
#include <stdio.h>

enum {
	/* Of a stream of requests in one turn, so that others get theirs. */
	TURN_MESSAGES = 32,
	TURN_BYTES = 64 * 1024,
	PEER_SIZE = 128,
};

/* Of a call with one turn; whoever comes second sees to the rest. */
enum {
	PHASE_RETURNED = 1, /* its handler has */
	PHASE_WATCHED = 2,  /* the loop wants to hear of that */
};

enum result {
	RAN,
	EXPIRED, /* did not, for its caller does not wait any more */
	INVALID, /* nor this one: see status and text */
};

struct hawser__turn {
	struct hawser__job job;
	struct hawser__ticket *ticket;
	/* The loop's. */ bool is_submitted; /* a thread has it, or will, or has had the only one */
	bool is_awaited;                     /* turn_done() comes */
	bool is_cancel_due, is_writable_due; /* to be told when the handler has returned */
	/* Whoever has the turn's. */
	bool is_end;  /* of a stream of requests */
	bool has_run; /* the handler has, for one of its messages */
	struct hawser__arrival *messages, **messages_end;
	size_t cost; /* of the messages that were handled */
	enum result result;
	enum hawser_status status;
	char *text;
	/* Everybody's. */
	atomic_uint phase;
	atomic_bool is_stopped; /* takes no messages */
	atomic_uint n_blocked;  /* the handler waits for room to send */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* With the lock. */
	hawser_cancel_fn *on_interrupt;
	void *on_interrupt_data;
	bool is_telling; /* it runs, on the loop */
	char peer[PEER_SIZE];
};

/* The call whose handler runs on this thread. */
static _Thread_local struct hawser__ticket *here;

bool hawser__pool_is_here(const struct hawser__incoming *incoming)
{
	return here && here->incoming == incoming;
}

static struct hawser__worker_pool *pool_of(const struct hawser__ticket *ticket)
{
	return ticket->incoming->serving->dispatch->pool;
}

/* ---- on a thread of the pool ---- */

static unsigned state_of(const struct hawser__incoming *incoming)
{
	return atomic_load_explicit(&incoming->state, memory_order_acquire);
}

static enum result run_request(struct hawser__turn *turn, struct hawser__incoming *incoming)
{
	struct hawser__arrival *request = turn->ticket->request;
	char text[HAWSER_ERROR_MESSAGE_SIZE];

	if (state_of(incoming) & HAWSER__SLOT_CANCELLED ||
	    incoming->call.deadline_ms <= hawser__now_ms())
		return EXPIRED;
	turn->status = hawser__incoming_unpack(incoming, request, text, sizeof text);
	if (turn->status != HAWSER_OK) {
		turn->text = hawser__strdup(text);
		return INVALID;
	}
	hawser__incoming_handle_request(incoming, incoming->request, request);
	return RAN;
}

/* Whether the handler gets the next message. */
static bool goes_on(struct hawser__turn *turn, const struct hawser__incoming *incoming)
{
	return !(state_of(incoming) & (HAWSER__SLOT_CANCELLED | HAWSER__SLOT_ANSWERED)) &&
	       !atomic_load_explicit(&turn->is_stopped, memory_order_relaxed);
}

static struct hawser__arrival *pop(struct hawser__turn *turn)
{
	struct hawser__arrival *arrival = turn->messages;

	if (!arrival)
		return NULL;
	turn->messages = arrival->next;
	if (!turn->messages)
		turn->messages_end = &turn->messages;
	return arrival;
}

static enum result run_messages(struct hawser__turn *turn, struct hawser__incoming *incoming)
{
	struct hawser__arena arena;
	enum result result = RAN;

	if (turn->is_end) {
		hawser__incoming_handle_request(incoming, NULL, NULL);
		return RAN;
	}
	hawser__arena_init(&arena, incoming->arena.limit);
	while (turn->messages && result == RAN && goes_on(turn, incoming)) {
		struct hawser__arrival *arrival = pop(turn);
		ProtobufCMessage *message = NULL;
		char text[HAWSER_ERROR_MESSAGE_SIZE];

		turn->status = hawser__incoming_unpack_message(incoming, &arena, arrival, &message,
							       text, sizeof text);
		if (turn->status == HAWSER_OK) {
			turn->has_run = true;
			hawser__incoming_handle_request(incoming, message, arrival);
		} else {
			turn->text = hawser__strdup(text);
			result = INVALID;
		}
		turn->cost += arrival->cost;
		hawser__arrival_free(arrival);
		hawser__arena_reset(&arena);
	}
	hawser__arena_deinit(&arena);
	return result;
}

static void turn_done(struct hawser__loop *loop, struct hawser__post *post);

static void run(struct hawser__job *job)
{
	struct hawser__turn *turn = hawser__container_of(job, struct hawser__turn, job);
	struct hawser__ticket *ticket = turn->ticket;
	struct hawser__incoming *incoming = ticket->incoming;
	bool is_one = ticket->request;

	here = ticket;
	turn->result = is_one ? run_request(turn, incoming) : run_messages(turn, incoming);
	here = NULL;
	hawser__pool_count_down(incoming->serving);
	/* From then on they are the loop's. */
	if (is_one && turn->result == RAN &&
	    !(atomic_fetch_or_explicit(&turn->phase, PHASE_RETURNED, memory_order_acq_rel) &
	      PHASE_WATCHED))
		return;
	ticket->post.run = turn_done;
	hawser__loop_post(ticket->loop, &ticket->post);
}

/* ---- on the loop ---- */

static void turn_free(struct hawser__turn *turn)
{
	struct hawser__arrival *arrival;

	while ((arrival = pop(turn)))
		hawser__arrival_free(arrival);
	free(turn->text);
	pthread_mutex_destroy(&turn->lock);
	pthread_cond_destroy(&turn->changed);
	free(turn);
}

static int submit(struct hawser__turn *turn, bool is_owed)
{
	struct hawser__serving *serving = turn->ticket->incoming->serving;
	int r;

	turn->is_submitted = true;
	turn->is_awaited = !turn->ticket->request;
	atomic_fetch_add(&serving->n_turns, 1);
	r = hawser__worker_pool_submit(serving->dispatch->pool, &turn->job, is_owed);
	if (r < 0) {
		turn->is_submitted = false;
		atomic_fetch_sub(&serving->n_turns, 1);
	}
	return r;
}

/* Takes what has come of a stream. 0, also if that is nothing, or as hawser__worker_pool_submit().
 */
static int next_turn(struct hawser__ticket *ticket, bool is_owed)
{
	struct hawser__stream *stream = ticket->incoming->call.stream;
	struct hawser__turn *turn = ticket->turn;
	size_t bytes = 0;

	if (turn->is_submitted || atomic_load_explicit(&turn->is_stopped, memory_order_relaxed))
		return 0;
	for (int i = 0; i < TURN_MESSAGES && bytes < TURN_BYTES; i++) {
		struct hawser__arrival *arrival = hawser__stream_take(stream);

		if (!arrival)
			break;
		arrival->next = NULL;
		*turn->messages_end = arrival;
		turn->messages_end = &arrival->next;
		bytes += arrival->size;
	}
	if (!turn->messages) {
		if (!stream->is_end_due)
			return 0;
		stream->is_end_due = false;
		turn->is_end = true;
	}
	turn->cost = 0;
	return submit(turn, is_owed);
}

static void explain(const struct hawser__ticket *ticket, int r, char *text, size_t size)
{
	const struct hawser__dispatch *dispatch = ticket->incoming->serving->dispatch;
	const char *name = ticket->incoming->call.method->name;

	if (r == -EBUSY)
		snprintf(text, size,
			 "%s: %u threads are busy and %u calls wait for one, which is the limit "
			 "(worker_threads, worker_queue)",
			 name, dispatch->worker_threads, dispatch->worker_queue);
	else
		snprintf(text, size, "%s: %s", name,
			 r == -EAGAIN ? "no thread could be started for it" : "out of memory");
}

static int begin(struct hawser__ticket *ticket)
{
	struct hawser__incoming *incoming = ticket->incoming;
	struct hawser__turn *turn = pool_of(ticket) ? hawser__calloc(1, sizeof *turn) : NULL;

	if (!turn)
		return -ENOMEM;
	turn->ticket = ticket;
	turn->messages_end = &turn->messages;
	hawser__job_init(&turn->job, run);
	pthread_mutex_init(&turn->lock, NULL);
	pthread_cond_init(&turn->changed, NULL);
	snprintf(turn->peer, sizeof turn->peer, "%s",
		 hawser__connection_known_peer(incoming->connection));
	ticket->turn = turn;
	if (!ticket->request)
		return next_turn(ticket, false);
	return hawser__ticket_keep_request(ticket) ? submit(turn, false) : -ENOMEM;
}

static enum hawser__verdict enter(struct hawser__ticket *ticket)
{
	char text[HAWSER_ERROR_MESSAGE_SIZE];
	int r = begin(ticket);

	if (r == 0)
		return HAWSER__WAIT;
	explain(ticket, r, text, sizeof text);
	hawser__dispatch_refuse(ticket, HAWSER_RESOURCE_EXHAUSTED, text);
	return HAWSER__ENDED;
}

static enum hawser__withdrawal withdraw(struct hawser__ticket *ticket)
{
	struct hawser__incoming *incoming = ticket->incoming;
	struct hawser__turn *turn = ticket->turn;

	if (!turn->is_submitted)
		return HAWSER__WITHDRAWN;
	if (hawser__worker_pool_take_back(pool_of(ticket), &turn->job)) {
		turn->is_submitted = false;
		hawser__pool_count_down(incoming->serving);
		return HAWSER__WITHDRAWN;
	}
	incoming->has_run = true;
	incoming->is_handed |= ticket->request || turn->is_end;
	return HAWSER__BEGUN;
}

const struct hawser__stage_ops hawser__pool_stage = {enter, withdraw, NULL};

void hawser__pool_arrived(struct hawser__ticket *ticket)
{
	char text[HAWSER_ERROR_MESSAGE_SIZE];
	int r = next_turn(ticket, true);

	if (r == 0)
		return;
	explain(ticket, r, text, sizeof text);
	hawser__incoming_abort(ticket->incoming, HAWSER_RESOURCE_EXHAUSTED, text);
}

/* ---- after a turn ---- */

/* It did not run, or not on. */
static void end(struct hawser__incoming *incoming, const struct hawser__turn *turn)
{
	bool is_first = incoming->ticket->request;

	/* If it was cancelled meanwhile, that was taken for its handler's to answer. */
	if (is_first)
		incoming->is_handed = false;
	incoming->has_run = turn->has_run;
	incoming->ticket->is_waiting = false;
	if (!incoming->call.carrier) {
		hawser__incoming_cancelled(incoming);
		return;
	}
	if (turn->result == EXPIRED) {
		hawser__incoming_expire(incoming);
		return;
	}
	if (is_first)
		hawser__count(&incoming->serving->refused, 1);
	hawser__incoming_abort(incoming, turn->status, turn->text);
}

/* Messages of a stream have been handled, or that there are no more. */
static void go_on(struct hawser__ticket *ticket)
{
	struct hawser__incoming *incoming = ticket->incoming;
	struct hawser__stream *stream = incoming->call.stream;
	struct hawser__turn *turn = ticket->turn;

	incoming->has_run = true;
	if (turn->is_end) {
		incoming->is_handed = true;
		return;
	}
	if (turn->messages) {
		hawser__stream_put_back(stream, turn->messages);
		turn->messages = NULL;
		turn->messages_end = &turn->messages;
	}
	hawser__stream_taken(stream, turn->cost);
	hawser__pool_arrived(ticket);
}

static void after_turn(struct hawser__ticket *ticket)
{
	struct hawser__incoming *incoming = ticket->incoming;
	struct hawser__turn *turn = ticket->turn;

	if (turn->is_writable_due) {
		turn->is_writable_due = false;
		hawser__stream_block(incoming->call.stream);
	}
	if (turn->result != RAN) {
		end(incoming, turn);
	} else if (turn->is_cancel_due) {
		turn->is_cancel_due = false;
		incoming->has_run = true;
		incoming->is_handed |= ticket->request || turn->is_end;
		hawser__incoming_tell_cancelled(incoming);
	} else if (!ticket->request) {
		go_on(ticket);
	}
}

static void turn_done(struct hawser__loop *loop, struct hawser__post *post)
{
	struct hawser__ticket *ticket = hawser__container_of(post, struct hawser__ticket, post);
	struct hawser__incoming *incoming = ticket->incoming;
	struct hawser__connection *connection = incoming->connection;
	bool was_busy = connection && connection->is_busy;

	(void)loop;
	ticket->turn->is_submitted = false;
	if (incoming->is_over) {
		hawser__ticket_free(ticket);
		hawser__slot_release(incoming);
		return;
	}
	/* What becomes of it waits until the call is through. */
	if (connection)
		connection->is_busy = true;
	after_turn(ticket);
	if (connection && !was_busy)
		hawser__connection_settle(connection);
}

/* Whether a thread is in its handler. Then turn_done() comes, and sees to what is due. */
static bool is_running(struct hawser__turn *turn)
{
	if (turn->is_submitted && !turn->is_awaited)
		turn->is_awaited = !(atomic_fetch_or_explicit(&turn->phase, PHASE_WATCHED,
							      memory_order_acq_rel) &
				     PHASE_RETURNED);
	return turn->is_submitted && turn->is_awaited;
}

bool hawser__pool_finish(struct hawser__ticket *ticket)
{
	return is_running(ticket->turn);
}

bool hawser__pool_puts_off_cancel(struct hawser__ticket *ticket)
{
	struct hawser__turn *turn = ticket->turn;

	return turn->is_cancel_due = is_running(turn);
}

bool hawser__pool_puts_off_writable(const struct hawser__incoming *incoming)
{
	struct hawser__turn *turn = incoming->ticket ? incoming->ticket->turn : NULL;

	return turn && (turn->is_writable_due = is_running(turn));
}

void hawser__pool_forget(struct hawser__ticket *ticket)
{
	turn_free(ticket->turn);
	ticket->turn = NULL;
}

/* ---- the end of all ---- */

static void calm_posted(struct hawser__loop *loop, struct hawser__post *post)
{
	struct hawser__serving *serving =
		hawser__container_of(post, struct hawser__serving, calm_post);

	atomic_store(&serving->has_calm_post, false);
	if (!loop->closed)
		serving->on_calm(serving);
}

void hawser__pool_count_down(struct hawser__serving *serving)
{
	if (atomic_fetch_sub(&serving->n_turns, 1) != 1 || !atomic_load(&serving->wants_calm))
		return;
	/* Once is enough. */
	if (!atomic_exchange(&serving->has_calm_post, true)) {
		serving->calm_post.run = calm_posted;
		hawser__loop_post(serving->loop, &serving->calm_post);
	}
}

bool hawser__pool_await_calm(struct hawser__serving *serving,
			     void (*on_calm)(struct hawser__serving *serving))
{
	serving->on_calm = on_calm;
	atomic_store(&serving->wants_calm, true);
	return atomic_load(&serving->n_turns) == 0;
}

/* ---- what handlers may do meanwhile ---- */

/* The turn of a call whose handler runs here, or that belongs to this loop; NULL: neither. */
static struct hawser__turn *turn_of(const struct hawser__incoming *incoming)
{
	if (!hawser__pool_is_here(incoming) && !hawser__loop_is_here(incoming->serving->loop))
		return NULL;
	return incoming->ticket ? incoming->ticket->turn : NULL;
}

const char *hawser__pool_peer(const struct hawser__incoming *incoming)
{
	const struct hawser__turn *turn = turn_of(incoming);

	return turn ? turn->peer : "";
}

int hawser__pool_on_interrupt(struct hawser__incoming *incoming, struct hawser_call *handle,
			      hawser_cancel_fn *callback, void *data)
{
	struct hawser__turn *turn = here->turn;
	bool is_cancelled;

	pthread_mutex_lock(&turn->lock);
	while (turn->is_telling)
		pthread_cond_wait(&turn->changed, &turn->lock);
	/* Whoever cancels says so before he takes the lock. */
	is_cancelled = state_of(incoming) & HAWSER__SLOT_CANCELLED;
	turn->on_interrupt = is_cancelled ? NULL : callback;
	turn->on_interrupt_data = data;
	pthread_mutex_unlock(&turn->lock);
	if (callback && is_cancelled)
		callback(handle, data);
	return 0;
}

void hawser__pool_interrupt(struct hawser__incoming *incoming)
{
	struct hawser__turn *turn = incoming->ticket->turn;
	hawser_cancel_fn *callback;

	pthread_mutex_lock(&turn->lock);
	callback = is_running(turn) ? turn->on_interrupt : NULL;
	turn->on_interrupt = NULL;
	turn->is_telling = callback;
	/* A handler that waits for room is one of those that this concerns. */
	pthread_cond_broadcast(&turn->changed);
	pthread_mutex_unlock(&turn->lock);
	if (!callback)
		return;
	callback(hawser__incoming_handle(incoming), turn->on_interrupt_data);
	pthread_mutex_lock(&turn->lock);
	turn->is_telling = false;
	pthread_cond_broadcast(&turn->changed);
	pthread_mutex_unlock(&turn->lock);
}

/* ---- reading ---- */

/* From a thread that may not touch the call. */
struct stopping {
	struct hawser__post post;
	struct hawser_call *handle;
	bool is_stopped;
};

static void stop_posted(struct hawser__loop *loop, struct hawser__post *post)
{
	struct stopping *stopping = hawser__container_of(post, struct stopping, post);
	struct hawser__incoming *incoming = hawser__incoming_of(stopping->handle);

	(void)loop;
	if (incoming && incoming->ticket && incoming->ticket->turn)
		hawser__pool_set_stopped(incoming, stopping->handle, stopping->is_stopped);
	free(stopping);
}

int hawser__pool_set_stopped(struct hawser__incoming *incoming, struct hawser_call *handle,
			     bool is_stopped)
{
	struct hawser__turn *turn = turn_of(incoming);
	struct stopping *stopping;

	if (state_of(incoming) & (HAWSER__SLOT_CANCELLED | HAWSER__SLOT_ANSWERED))
		return -EPIPE;
	if (turn)
		atomic_store_explicit(&turn->is_stopped, is_stopped, memory_order_relaxed);
	/* After its handler's turn the loop looks at that anyway. */
	if (hawser__pool_is_here(incoming))
		return 0;
	if (turn) {
		if (!is_stopped && incoming->ticket->is_waiting)
			hawser__pool_arrived(incoming->ticket);
		return 0;
	}
	stopping = hawser__malloc(sizeof *stopping);
	if (!stopping)
		return -ENOMEM;
	*stopping = (struct stopping){{NULL, stop_posted}, handle, is_stopped};
	if (hawser__loop_post(incoming->serving->loop, &stopping->post) == 0)
		return 0;
	free(stopping);
	return -EPIPE;
}

/* ---- sending ---- */

void hawser__pool_wait_for_room(struct hawser__incoming *incoming,
				bool (*has_room)(struct hawser__incoming *incoming))
{
	struct hawser__turn *turn = here->turn;

	atomic_fetch_add(&turn->n_blocked, 1);
	pthread_mutex_lock(&turn->lock);
	while (!has_room(incoming) &&
	       !(state_of(incoming) & (HAWSER__SLOT_CANCELLED | HAWSER__SLOT_ANSWERED)))
		pthread_cond_wait(&turn->changed, &turn->lock);
	pthread_mutex_unlock(&turn->lock);
	atomic_fetch_sub(&turn->n_blocked, 1);
}

void hawser__pool_tell_room(const struct hawser__incoming *incoming)
{
	struct hawser__turn *turn = incoming->ticket ? incoming->ticket->turn : NULL;

	if (!turn)
		return;
	/* What it waits for has been changed before this. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!atomic_load(&turn->n_blocked))
		return;
	pthread_mutex_lock(&turn->lock);
	pthread_cond_broadcast(&turn->changed);
	pthread_mutex_unlock(&turn->lock);
}
