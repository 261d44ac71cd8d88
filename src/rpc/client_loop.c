/* The client on the user's event_base: no thread, no lock. Its calls, and its life;
 * how it connects is client_loop_connect.c. */

#include "net/fork.h"
#include "rpc/client.h"
#include "rpc/outgoing.h"
#include "rpc/peer.h"
#include "rpc/stream.h"
#include "util/alloc.h"
#include "util/error.h"
#include <errno.h>

enum {
	/* A reply's arena may grow to this many times the largest reply. */
	ARENA_FACTOR = 8,
	ARENA_LEAST = 256 * 1024,
	/* Freed calls that are kept for the next ones. */
	SPARE_CALLS = 128,
};

/** A call that a user holds. */
struct async_call {
	struct hawser_client *client; /* NULL: freed */
	hawser_any_fn *callback;      /* NULL: has run, or is not wanted any more */
	void *data;
	struct hawser__alarm alarm;      /* the deadline */
	struct hawser__alarm again;      /* to make it again, once the server may have room */
	struct hawser__deferred refused; /* tells of a failure to start, not before open returned */
	struct hawser__list link;        /* the client's */
	unsigned in_callback;            /* a stream's end may come inside its message's */
	bool has_ended, is_freed;
	struct hawser__outgoing outgoing; /* last, because its end is cold */
};

static const struct hawser__outgoing_ops async_ops;

static struct async_call *async_of(struct hawser__outgoing *outgoing)
{
	return hawser__container_of(outgoing, struct async_call, outgoing);
}

/* ---- calls ---- */

static struct async_call *call_take(struct hawser_client *client)
{
	/* The one that was freed last is the one in the cache. */
	struct hawser__list *spare = client->spare_calls.previous;

	if (hawser__list_empty(&client->spare_calls))
		return hawser__malloc(sizeof(struct async_call));
	hawser__list_unlink(spare);
	client->n_spare_calls--;
	return hawser__container_of(spare, struct async_call, link);
}

static void call_release(struct async_call *call)
{
	struct hawser_client *client = call->client;
	struct hawser_peer *peer = client ? client->peer : NULL;

	hawser__list_unlink(&call->link);
	hawser__outgoing_deinit(&call->outgoing);
	if (!client || client->n_spare_calls == SPARE_CALLS) {
		free(call);
		hawser_peer_unref(peer);
		return;
	}
	hawser__list_append(&client->spare_calls, &call->link);
	client->n_spare_calls++;
	/* With the last one the client goes, too. */
	hawser_peer_unref(peer);
}

static void call_back(struct async_call *call, hawser_any_fn *callback,
		      const ProtobufCMessage *message)
{
	struct hawser_client *client = call->client;

	call->in_callback++;
	client->in_callback++;
	call->outgoing.call.method->deliver(callback, &call->outgoing.call, message, call->data);
	client->in_callback--;
	call->in_callback--;
	/* Also after a reply that did not unpack, but not under a callback that still
	 * reads its own. */
	if (client->replies.used && !client->in_callback)
		hawser__arena_reset(&client->replies);
}

/* It has ended: the callback runs, for the last time. */
static void deliver(struct async_call *call)
{
	struct hawser__outgoing *outgoing = &call->outgoing;
	struct hawser_client *client = call->client;
	hawser_any_fn *callback = call->callback;

	call->has_ended = true;
	call->callback = NULL;
	hawser__loop_clear_alarm(client->loop, &call->alarm);
	hawser__loop_clear_alarm(client->loop, &call->again);
	hawser__list_unlink(&call->refused.link);
	if (callback)
		call_back(call, callback, outgoing->reply);
	else if (client->replies.used && !client->in_callback)
		hawser__arena_reset(&client->replies);
	outgoing->reply = NULL;
	if (call->is_freed && !call->in_callback)
		call_release(call);
}

static void cancel(struct async_call *call, const char *why);

static void on_message(struct hawser__outgoing *outgoing, struct hawser__arrival *arrival)
{
	struct async_call *call = async_of(outgoing);
	ProtobufCMessage *message = hawser__arrival_unpack(arrival, outgoing->replies);
	size_t cost = arrival->cost;

	if (!message) {
		size_t size = arrival->size;
		int code = errno;

		hawser__arrival_free(arrival);
		hawser__outgoing_spoil(outgoing, size, code);
		return;
	}
	/* Held by the callback, whatever it does to the call. */
	call->in_callback++;
	if (call->callback)
		call_back(call, call->callback, message);
	call->in_callback--;
	hawser__arrival_free(arrival);
	if (!call->has_ended && call->is_freed) {
		call->callback = NULL;
		cancel(call, "freed by the caller");
	} else if (!call->has_ended) {
		hawser__stream_taken(outgoing->call.stream, cost);
	} else if (call->is_freed && !call->in_callback) {
		call_release(call);
	}
}

static void on_done(struct hawser__outgoing *outgoing)
{
	struct hawser__stream *stream = outgoing->call.stream;

	/* What was kept comes before the end, but a failure does not wait for it. */
	if (stream && stream->receives && !outgoing->error.status &&
	    (stream->first || stream->is_stopped)) {
		hawser__loop_clear_alarm(async_of(outgoing)->client->loop,
					 &async_of(outgoing)->alarm);
		stream->is_end_due = true;
		return;
	}
	if (stream && stream->receives)
		hawser__stream_forget(stream);
	deliver(async_of(outgoing));
}

static void on_refused(struct hawser__deferred *deferred)
{
	deliver(hawser__container_of(deferred, struct async_call, refused));
}

static void on_deadline(struct hawser__alarm *alarm)
{
	struct async_call *call = hawser__container_of(alarm, struct async_call, alarm);

	hawser__outgoing_abandon(&call->outgoing, HAWSER_DEADLINE_EXCEEDED,
				 "%s: the deadline passed before the call ended",
				 call->outgoing.call.method->name);
}

static void on_again(struct hawser__alarm *alarm)
{
	struct async_call *call = hawser__container_of(alarm, struct async_call, again);

	hawser__outgoing_make_again(&call->outgoing);
}

static bool on_put_off(struct hawser__outgoing *outgoing)
{
	struct async_call *call = async_of(outgoing);
	struct hawser_client *client = call->client;
	unsigned wait_ms = client->peer ? 0 : hawser__client_retry_after(client, outgoing);

	if (wait_ms)
		hawser__loop_set_alarm(client->loop, &call->again, client->loop->now_ms + wait_ms);
	return wait_ms != 0;
}

static void refuse_later(struct async_call *call)
{
	hawser__loop_defer(call->client->loop, &call->refused);
}

struct hawser_call *hawser__client_loop_open(struct hawser_client *client,
					     const struct hawser_method *method,
					     const ProtobufCMessage *request,
					     hawser_any_fn *callback, void *data,
					     const struct hawser_context *context)
{
	struct hawser__content content;
	struct async_call *call;
	struct hawser__outgoing *outgoing;
	uint64_t now_ms;

	if (client->is_doomed) {
		errno = ECANCELED;
		return NULL;
	}
	call = call_take(client);
	if (!call) {
		errno = ENOMEM;
		return NULL;
	}
	outgoing = &call->outgoing;
	hawser__outgoing_init(outgoing, method, &async_ops);
	outgoing->replies = &client->replies;
	call->client = client;
	call->callback = callback;
	call->data = data;
	hawser__alarm_init(&call->alarm, on_deadline);
	hawser__alarm_init(&call->again, on_again);
	hawser__list_init(&call->refused.link);
	call->refused.run = on_refused;
	call->has_ended = call->is_freed = false;
	call->in_callback = 0;
	hawser__list_append(&client->calls, &call->link);
	hawser_peer_ref(client->peer);

	/* The wake-up may be long ago, by the work of other callbacks. */
	now_ms = hawser__loop_update_now(client->loop);
	if (!client->connection)
		hawser__client_loop_connect(client);
	if (!client->connection) {
		call_release(call);
		errno = ENOMEM;
		return NULL;
	}
	if (client->connection->is_draining || client->connection->is_lost) {
		hawser__error_call(&outgoing->error, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_NOT_SENT,
				   "%s: %s", method->name,
				   client->connection->is_lost
					   ? "the connection has just been lost; try again"
					   : "the server is draining");
		refuse_later(call);
		return &outgoing->call;
	}
	outgoing->call.deadline_ms =
		hawser__outgoing_deadline(method, context, client->options.timeout_ms, now_ms);
	if (request)
		content = hawser__content_of(request);
	if (hawser__client_open_stream(outgoing, client->connection) < 0 ||
	    hawser__outgoing_start(outgoing, client->connection, request ? &content : NULL, context,
				   client->options.max_request_bytes, now_ms) < 0) {
		hawser__stream_leave(outgoing->call.stream);
		refuse_later(call);
		return &outgoing->call;
	}
	if (outgoing->call.deadline_ms != UINT64_MAX)
		hawser__loop_set_alarm(client->loop, &call->alarm, outgoing->call.deadline_ms);
	hawser__connection_flush_soon(client->connection);
	return &outgoing->call;
}

static void cancel(struct async_call *call, const char *why)
{
	const char *name = call->outgoing.call.method->name;
	struct hawser__stream *stream = call->outgoing.call.stream;

	if (stream)
		hawser__stream_forget(stream);
	if (call->outgoing.call.carrier) {
		hawser__outgoing_abandon(&call->outgoing, HAWSER_CANCELLED, "%s: %s", name, why);
		return;
	}
	/* What was forgotten makes a success less than that. */
	if (stream && stream->is_end_due)
		hawser__error_call(&call->outgoing.error, HAWSER_CANCELLED, HAWSER_OUTCOME_EXECUTED,
				   "%s: %s", name, why);
	/* Else it was refused, and its callback has not run yet: that error stands. */
	deliver(call);
}

/* In a forked child a call and everything around it are still the parent's. */
static bool is_the_parents(const struct async_call *call)
{
	return call->client && call->client->fork_generation != hawser__fork_generation();
}

static int async_cancel(struct hawser__outgoing *outgoing)
{
	struct async_call *call = async_of(outgoing);

	if (call->has_ended)
		return -EALREADY;
	if (is_the_parents(call))
		return -EPERM;
	cancel(call, "cancelled by the caller");
	return 0;
}

static void async_release(struct hawser__outgoing *outgoing)
{
	struct async_call *call = async_of(outgoing);

	if (call->is_freed || is_the_parents(call))
		return;
	call->is_freed = true;
	if (call->in_callback)
		return; /* released when it returns */
	if (call->has_ended) {
		call_release(call);
		return;
	}
	call->callback = NULL;
	cancel(call, "freed by the caller");
}

static int async_send(struct hawser__outgoing *outgoing, const struct hawser__content *content)
{
	struct async_call *call = async_of(outgoing);

	if (is_the_parents(call))
		return -EPERM;
	if (!call->client)
		return -EPIPE;
	return hawser__outgoing_send(outgoing, content, call->client->options.max_request_bytes);
}

static int async_end(struct hawser__outgoing *outgoing)
{
	if (is_the_parents(async_of(outgoing)))
		return -EPERM;
	return hawser__outgoing_send_last(outgoing);
}

static const struct hawser__outgoing_ops async_ops = {
	.put_off = on_put_off,
	.done = on_done,
	.message = on_message,
	.send = async_send,
	.end = async_end,
	.cancel = async_cancel,
	.release = async_release,
};

/* ---- life ---- */

static void init(struct hawser_client *client)
{
	size_t limit = client->options.max_reply_bytes * ARENA_FACTOR + ARENA_LEAST;

	hawser__arena_init(&client->replies, limit);
	hawser__list_init(&client->attempt.link);
	hawser__list_init(&client->spare_calls);
}

int hawser__client_loop_init(struct hawser_client *client)
{
	client->loop = hawser__loop_share(client->options.base);
	if (!client->loop)
		return -errno;
	init(client);
	hawser__alarm_init(&client->again_alarm, hawser__client_loop_again);
	return 0;
}

/* A callback may free any call, so each round starts anew. */
static void end_all_calls(struct hawser_client *client)
{
	struct hawser__list *link;

again:
	list_for_each (link, &client->calls) {
		struct async_call *call = hawser__container_of(link, struct async_call, link);

		if (!call->has_ended) {
			cancel(call, "the client was freed");
			goto again;
		}
	}
}

static void free_spare(struct hawser_client *client)
{
	while (!hawser__list_empty(&client->spare_calls)) {
		struct hawser__list *spare = client->spare_calls.next;

		hawser__list_unlink(spare);
		free(hawser__container_of(spare, struct async_call, link));
	}
}

static void free_later(evutil_socket_t fd, short what, void *data)
{
	(void)fd;
	(void)what;
	hawser_client_free(data);
}

/* Whether, up the stack, the loop is at work with what is to be freed: in a callback of one of its
 * calls, or in the middle of what came for a handler. */
static bool is_in_use(const struct hawser_client *client)
{
	return client->in_callback || (client->connection && client->connection->is_busy);
}

bool hawser__client_loop_deinit(struct hawser_client *client)
{
	static const struct timeval now = {0, 0};

	if (!client->is_doomed) {
		client->is_doomed = true;
		/* What comes in the same breath finds no handlers any more. */
		client->serving.is_draining = true;
		end_all_calls(client);
		if (is_in_use(client))
			event_base_once(client->loop->base, -1, EV_TIMEOUT, free_later, client,
					&now);
	}
	if (is_in_use(client))
		return true;
	hawser__loop_clear_alarm(client->loop, &client->again_alarm);
	hawser__client_leave(client);
	/* The calls that are left are their owners', who may free them later. */
	while (!hawser__list_empty(&client->calls)) {
		struct hawser__list *left = client->calls.next;

		hawser__list_unlink(left);
		hawser__container_of(left, struct async_call, link)->client = NULL;
	}
	free_spare(client);
	hawser__client_end_serving(client);
	hawser__arena_deinit(&client->replies);
	hawser__loop_unshare(client->loop);
	return false;
}

/* ---- of a peer ---- */

struct hawser_client *hawser__client_of_peer_new(struct hawser_peer *peer,
						 struct hawser__connection *connection,
						 const struct hawser__peer_limits *limits)
{
	struct hawser_client *client = hawser__calloc(1, sizeof *client);

	if (!client)
		return NULL;
	client->peer = peer;
	client->loop = connection->loop;
	client->connection = connection;
	client->fork_generation = hawser__fork_generation();
	client->options.size = sizeof client->options;
	client->options.base = connection->loop->base;
	client->options.timeout_ms = limits->timeout_ms;
	client->options.max_request_bytes = limits->max_request_bytes;
	client->options.max_reply_bytes = limits->max_reply_bytes;
	hawser__list_init(&client->calls);
	init(client);
	return client;
}

void hawser__client_of_peer_end(struct hawser_client *client)
{
	client->is_doomed = true;
	end_all_calls(client);
}

void hawser__client_of_peer_free(struct hawser_client *client)
{
	free_spare(client);
	hawser__arena_deinit(&client->replies);
	free(client);
}
