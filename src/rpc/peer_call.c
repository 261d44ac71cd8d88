/* A blocking call to a peer; peer_call.h gives the idea. */

#include "rpc/peer_call.h"

#include "rpc/client.h"
#include "rpc/context.h"
#include "rpc/stream.h"
#include "util/buffer.h"
#include "util/error.h"
#include <errno.h>
#include <time.h>

/* Who can be cancelled looks up so often. */
enum { LOOK_UP_MS = 20 };

/* ---- asking the loop ---- */

static void cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attributes);
	pthread_condattr_destroy(&attributes);
}

static void ask_init(struct hawser__ask *ask)
{
	pthread_mutex_init(&ask->lock, NULL);
	cond_init(&ask->answered);
	ask->is_answered = false;
}

static void ask_deinit(struct hawser__ask *ask)
{
	pthread_cond_destroy(&ask->answered);
	pthread_mutex_destroy(&ask->lock);
}

void hawser__ask_answer(struct hawser__ask *ask, int result)
{
	pthread_mutex_lock(&ask->lock);
	ask->result = result;
	ask->is_answered = true;
	pthread_cond_signal(&ask->answered);
	pthread_mutex_unlock(&ask->lock);
}

static void run_ask(struct hawser__loop *loop, struct hawser__post *post)
{
	struct hawser__ask *ask = hawser__container_of(post, struct hawser__ask, post);

	(void)loop;
	ask->run(ask);
}

/* Until it is answered, or the time has come (UINT64_MAX: never). */
static bool await(struct hawser__ask *ask, uint64_t until_ms)
{
	struct timespec until = {(time_t)(until_ms / 1000), (long)(until_ms % 1000 * 1000000)};
	bool is_answered;
	int r = 0;

	pthread_mutex_lock(&ask->lock);
	while (!ask->is_answered && r == 0)
		r = until_ms == UINT64_MAX
			    ? pthread_cond_wait(&ask->answered, &ask->lock)
			    : pthread_cond_timedwait(&ask->answered, &ask->lock, &until);
	is_answered = ask->is_answered;
	pthread_mutex_unlock(&ask->lock);
	return is_answered;
}

bool hawser__peer_is_here(struct hawser_peer *peer)
{
	bool is_here;

	pthread_mutex_lock(&peer->lock);
	is_here = peer->loop && hawser__loop_is_here(peer->loop);
	pthread_mutex_unlock(&peer->lock);
	return is_here;
}

int hawser__ask_peer(struct hawser_peer *peer, struct hawser__ask *ask,
		     void (*run)(struct hawser__ask *ask))
{
	int r;

	ask_init(ask);
	ask->run = run;
	ask->post.run = run_ask;
	if (hawser__peer_is_here(peer)) {
		run(ask);
		r = ask->is_answered ? ask->result : -EDEADLK;
	} else {
		r = hawser__peer_post(peer, &ask->post);
		if (r == 0) {
			await(ask, UINT64_MAX);
			r = ask->result;
		}
	}
	ask_deinit(ask);
	return r;
}

/* ---- starting ---- */

static int refuse(struct hawser__outgoing *outgoing, int code, const char *why)
{
	hawser__error_call(&outgoing->error, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_NOT_SENT, "%s: %s",
			   outgoing->call.method->name, why);
	return code;
}

int hawser__peer_start(struct hawser_peer *peer, struct hawser__outgoing *outgoing,
		       const struct hawser__content *request, const struct hawser_context *context)
{
	struct hawser__connection *connection = peer->connection;
	int r;

	if (!connection || connection->is_lost)
		return refuse(outgoing, -EPIPE, "the peer is gone: its session has ended");
	if (connection->is_draining || connection->is_closing)
		return refuse(outgoing, -ESHUTDOWN, "the connection to the peer is draining");
	hawser__loop_update_now(connection->loop);
	r = hawser__client_open_stream(outgoing, connection);
	if (r == 0)
		r = hawser__outgoing_start(outgoing, connection, request, context,
					   peer->client->options.max_request_bytes,
					   connection->loop->now_ms);
	if (r < 0)
		hawser__stream_leave(outgoing->call.stream);
	else
		hawser__connection_flush_soon(connection);
	return r;
}

/* ---- a call ---- */

struct remote_call {
	struct hawser__outgoing outgoing;
	struct hawser_peer *peer;
	const struct hawser__content *request;
	const struct hawser_context *context;
	struct hawser__ask ask; /* answered when it has ended */
};

struct giving_up {
	struct hawser__ask ask;
	struct hawser__outgoing *outgoing;
	int why;
};

static void on_done(struct hawser__outgoing *outgoing)
{
	hawser__ask_answer(&hawser__container_of(outgoing, struct remote_call, outgoing)->ask, 0);
}

static const struct hawser__outgoing_ops call_ops = {.done = on_done};

static void start(struct hawser__ask *ask)
{
	struct remote_call *call = hawser__container_of(ask, struct remote_call, ask);

	if (hawser__peer_start(call->peer, &call->outgoing, call->request, call->context) < 0)
		hawser__ask_answer(ask, 0);
}

static void give_up(struct hawser__ask *ask)
{
	struct giving_up *giving_up = hawser__container_of(ask, struct giving_up, ask);
	struct hawser__outgoing *outgoing = giving_up->outgoing;
	const char *name = outgoing->call.method->name;

	/* It may have ended just now. */
	if (outgoing->call.carrier && giving_up->why == -ECANCELED)
		hawser__outgoing_abandon(outgoing, HAWSER_CANCELLED, "%s: cancelled by the caller",
					 name);
	else if (outgoing->call.carrier)
		hawser__outgoing_abandon(outgoing, HAWSER_DEADLINE_EXCEEDED,
					 "%s: the deadline passed before the call ended", name);
	hawser__ask_answer(ask, 0);
}

/* Until the call has ended. */
static void wait_for_end(struct remote_call *call)
{
	uint64_t deadline_ms = call->outgoing.call.deadline_ms;
	struct giving_up giving_up = {.outgoing = &call->outgoing};

	for (;;) {
		uint64_t now_ms = hawser__now_ms(), until_ms = deadline_ms;

		if (hawser__context_is_cancelled(call->context)) {
			giving_up.why = -ECANCELED;
			break;
		}
		if (now_ms >= deadline_ms) {
			giving_up.why = -ETIMEDOUT;
			break;
		}
		if (call->context && until_ms > now_ms + LOOK_UP_MS)
			until_ms = now_ms + LOOK_UP_MS;
		if (await(&call->ask, until_ms))
			return;
	}
	/* A loop that has ended has ended its calls as well. */
	hawser__ask_peer(call->peer, &giving_up.ask, give_up);
	await(&call->ask, UINT64_MAX);
}

enum hawser_status hawser__peer_call(struct hawser_peer *peer, const struct hawser_method *method,
				     const ProtobufCMessage *request, ProtobufCMessage **reply,
				     struct hawser_context *context)
{
	struct hawser__content content = hawser__content_of(request);
	struct remote_call call = {.peer = peer, .request = &content, .context = context};
	struct hawser__outgoing *outgoing = &call.outgoing;
	enum hawser_status status;

	hawser__content_pack_large(&content, peer->client->options.max_request_bytes);
	hawser__outgoing_init(outgoing, method, &call_ops);
	outgoing->unpacks_later = true;
	outgoing->call.deadline_ms = hawser__outgoing_deadline(
		method, context, peer->client->options.timeout_ms, hawser__now_ms());
	ask_init(&call.ask);
	call.ask.run = start;
	call.ask.post.run = run_ask;
	if (hawser__peer_is_here(peer)) {
		hawser__error_call(
			&outgoing->error, HAWSER_FAILED_PRECONDITION, HAWSER_OUTCOME_NOT_SENT,
			"%s: this thread runs the peer's loop, and must not wait for it; use "
			"the _async stub, or a blocking handler",
			method->name);
	} else if (hawser__peer_post(peer, &call.ask.post) < 0) {
		refuse(outgoing, -EPIPE, "the peer is gone: its server has ended");
	} else {
		wait_for_end(&call);
	}
	hawser__loan_unref(content.loan);
	if (!outgoing->error.status && !outgoing->reply)
		hawser__outgoing_unpack_reply(outgoing);
	status = outgoing->error.status;
	if (status == HAWSER_OK)
		*reply = outgoing->reply;
	hawser__context_fill(context, outgoing);
	ask_deinit(&call.ask);
	hawser__outgoing_deinit(outgoing);
	return status;
}
