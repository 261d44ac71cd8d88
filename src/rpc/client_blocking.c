/* The client of blocking stubs: a call from its start to its end. How its threads share the
 * one connection is told in client_wait.h. */

#include "net/socket.h"
#include "rpc/client_send.h"
#include "rpc/context.h"
#include "rpc/outgoing.h"
#include "rpc/stream.h"
#include "util/alloc.h"
#include "util/buffer.h"
#include "util/error.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct blocking_call {
	struct hawser__outgoing outgoing;
	struct hawser__waiter waiter;
	struct hawser__sender sender; /* of a large request */
};

/* ---- what the connection tells ---- */

static void on_opened(struct hawser__connection *connection, const Hawser__Opened *opened)
{
	hawser__client_opened(connection, opened);
}

/* What was asked of the connection itself gets no answer any more. */
static void fail_questions(struct hawser_client *client, const struct hawser_error *why)
{
	struct hawser__list *link;

	client->last_error = *why;
	if (!why->code)
		client->last_error.code = -ECONNRESET;
	list_for_each (link, &client->pings)
		hawser__waiter_finish(
			&hawser__container_of(link, struct hawser__ping, link)->waiter);
	if (client->shutdown_wait)
		hawser__waiter_finish(&client->shutdown_wait->waiter);
}

static void on_away(struct hawser__connection *connection, const struct hawser_error *why)
{
	struct hawser_client *client = connection->owner;

	fail_questions(client, why);
	if (hawser__client_away(connection, why))
		pthread_cond_signal(&client->keeper_wake);
}

static void on_lost(struct hawser__connection *connection, const struct hawser_error *why)
{
	struct hawser_client *client = connection->owner;

	fail_questions(client, why);
	client->connection = NULL;
	if (hawser__client_stays(client))
		pthread_cond_signal(&client->keeper_wake);
	if (client->is_receiving) {
		/* The reader is about to find out, and frees it. */
		client->dead = connection;
		shutdown(connection->fd, SHUT_RDWR);
		hawser__loop_wake(client->loop);
	} else {
		hawser__connection_free(connection);
	}
}

static void on_pong(struct hawser__connection *connection, uint64_t number)
{
	struct hawser_client *client = connection->owner;
	struct hawser__list *link;

	list_for_each (link, &client->pings) {
		struct hawser__ping *ping = hawser__container_of(link, struct hawser__ping, link);

		if (ping->number == number) {
			ping->has_answer = true;
			hawser__waiter_finish(&ping->waiter);
		}
	}
}

static void shutdown_answered(struct hawser_client *client, int result, const char *text)
{
	struct hawser__shutdown_wait *wait = client->shutdown_wait;

	if (!wait)
		return;
	wait->result = result;
	snprintf(wait->text, sizeof wait->text, "%s", text);
	hawser__waiter_finish(&wait->waiter);
}

static void on_shutdown(struct hawser__connection *connection, const Hawser__Shutdown *shutdown)
{
	if (*shutdown->refused)
		shutdown_answered(connection->owner, -EPERM, shutdown->refused);
}

static void on_close(struct hawser__connection *connection, const Hawser__Close *close)
{
	hawser__client_closed(connection, close);
	if (close->reason == HAWSER__REASON__REASON_DRAINING)
		shutdown_answered(connection->owner, 0, "");
}

const struct hawser__connection_ops hawser__client_blocking_ops = {
	.opened = on_opened,
	.rejected = hawser__client_rejected,
	.close = on_close,
	.shutdown = on_shutdown,
	.pong = on_pong,
	.calm = hawser__client_calm,
	.hello = hawser__client_hello,
	.written = hawser__client_written,
	.away = on_away,
	.lost = on_lost,
};

/* ---- calls ---- */

static void on_done(struct hawser__outgoing *outgoing)
{
	struct blocking_call *call = hawser__container_of(outgoing, struct blocking_call, outgoing);

	hawser__waiter_finish(&call->waiter);
	hawser__waiter_finish(&call->sender.waiter);
}

static const struct hawser__outgoing_ops blocking_ops = {.done = on_done};

/* Sends what is queued; a socket that is full takes it while the caller waits. */
static int start(struct hawser_client *client, struct hawser__outgoing *outgoing,
		 struct hawser__waiter *waiter, const struct hawser__content *request,
		 const struct hawser_context *context)
{
	int r;

	for (;;) {
		struct hawser__connection *connection = client->connection;

		if (hawser__context_is_cancelled(context)) {
			hawser__error_call(&outgoing->error, HAWSER_CANCELLED,
					   HAWSER_OUTCOME_NOT_SENT, "%s: cancelled by the caller",
					   outgoing->call.method->name);
			return -ECANCELED;
		}
		if (connection->is_draining) {
			hawser__error_call(&outgoing->error, HAWSER_UNAVAILABLE,
					   HAWSER_OUTCOME_NOT_SENT, "%s: the server is draining",
					   outgoing->call.method->name);
			return -ESHUTDOWN;
		}
		r = hawser__client_open_stream(outgoing, connection);
		if (r == 0)
			r = hawser__outgoing_start(outgoing, connection, request, context,
						   client->options.max_request_bytes,
						   client->loop->now_ms);
		if (r != -ENOBUFS) {
			if (r == 0)
				hawser__connection_flush(connection);
			else
				hawser__stream_leave(outgoing->call.stream);
			return r;
		}
		/* The connection may be another one afterwards. */
		hawser__stream_leave(outgoing->call.stream);
		hawser__stream_free(outgoing->call.stream);
		outgoing->call.stream = NULL;
		/* Too much waits: wait for room, like everyone before us. */
		outgoing->error = (struct hawser_error){.outcome = HAWSER_OUTCOME_UNKNOWN};
		hawser__client_wait_slice(client, waiter);
		if (!client->connection)
			return -ECONNRESET;
		hawser__connection_flush(client->connection);
		if (!client->connection)
			return -ECONNRESET;
	}
}

void hawser__client_give_up(struct hawser__outgoing *outgoing, int why)
{
	const char *name = outgoing->call.method->name;

	if (why == -ECANCELED)
		hawser__outgoing_abandon(outgoing, HAWSER_CANCELLED, "%s: cancelled by the caller",
					 name);
	else
		hawser__outgoing_abandon(outgoing, HAWSER_DEADLINE_EXCEEDED,
					 "%s: the deadline passed before the call ended", name);
}

int hawser__client_start(struct hawser_client *client, struct hawser__outgoing *outgoing,
			 struct hawser__waiter *waiter, const struct hawser__content *request,
			 const struct hawser_context *context)
{
	struct hawser_error error = {.status = HAWSER_OK};
	int r = 0;

	/* One that was open once opens again by itself, and takes calls meanwhile. */
	if (!client->connection || !client->connection->holds)
		r = hawser__client_ensure_open(client, outgoing->call.deadline_ms, context, &error);
	if (r < 0) {
		outgoing->error = error;
		outgoing->error.outcome = HAWSER_OUTCOME_NOT_SENT;
		if (r == -ECANCELED)
			hawser__error_call(&outgoing->error, HAWSER_CANCELLED,
					   HAWSER_OUTCOME_NOT_SENT, "%s: cancelled by the caller",
					   outgoing->call.method->name);
		else if (client->loop->now_ms >= outgoing->call.deadline_ms)
			outgoing->error.status = HAWSER_DEADLINE_EXCEEDED;
		else if (error.status == HAWSER_DEADLINE_EXCEEDED)
			outgoing->error.status = HAWSER_UNAVAILABLE;
		return -ENOTCONN;
	}
	r = start(client, outgoing, waiter, request, context);
	if (r == -ECONNRESET)
		hawser__error_call(&outgoing->error, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_NOT_SENT,
				   "%s: %.200s", outgoing->call.method->name,
				   client->last_error.message);
	return r;
}

static void init_call(struct blocking_call *call, const struct hawser_method *method,
		      uint64_t deadline_ms)
{
	hawser__outgoing_init(&call->outgoing, method, &blocking_ops);
	call->outgoing.unpacks_later = true;
	call->outgoing.call.deadline_ms = deadline_ms;
	call->waiter.is_done = false;
}

/* One try. Returns whether another one may help: the connection was an old one, and its end is
 * known to have kept this call from running. */
static bool try_call(struct hawser_client *client, struct blocking_call *call,
		     struct hawser__content *request, const struct hawser_context *context)
{
	struct hawser__outgoing *outgoing = &call->outgoing;
	bool was_open = hawser__client_is_open(client);
	struct hawser__bulk bulk;
	int r;

	hawser__bulk_init(&bulk, client, request);
	r = hawser__client_start(client, outgoing, &call->waiter, request, context);
	if (r < 0) {
		hawser__bulk_deinit(&bulk);
		return r == -ECONNRESET && was_open;
	}
	hawser__bulk_send(&bulk, &call->sender, true, context);
	r = hawser__client_wait(client, &call->waiter, outgoing->call.deadline_ms, context);
	if (r < 0 && outgoing->call.carrier)
		hawser__client_give_up(outgoing, r);
	return was_open && outgoing->error.status == HAWSER_UNAVAILABLE &&
	       outgoing->error.outcome == HAWSER_OUTCOME_NOT_EXECUTED &&
	       !hawser__client_is_open(client);
}

/* Waits before the call is made again. False: it was cancelled meanwhile. */
static bool pause_call(struct hawser_client *client, struct blocking_call *call, unsigned wait_ms,
		       const struct hawser_context *context)
{
	uint64_t until_ms = client->loop->now_ms + wait_ms;

	while (client->loop->now_ms < until_ms && !client->is_stopping) {
		uint64_t slice_ms = client->loop->now_ms + HAWSER__RECEIVE_MS;

		if (hawser__context_is_cancelled(context))
			return false;
		hawser__client_cond_wait(client, &call->waiter.wake,
					 context && slice_ms < until_ms ? slice_ms : until_ms);
	}
	return !client->is_stopping;
}

/* One that may have to be made again must be there as a whole. */
static bool is_kept(const struct hawser_client *client, const struct hawser_method *method)
{
	return !client->options.no_session && method->flags & HAWSER_METHOD_IDEMPOTENT;
}

enum hawser_status hawser__client_blocking_call(struct hawser_client *client,
						const struct hawser_method *method,
						const ProtobufCMessage *request,
						ProtobufCMessage **reply,
						struct hawser_context *context)
{
	struct hawser__content content = hawser__content_of(request);
	struct blocking_call call;
	enum hawser_status status;
	uint64_t deadline_ms;
	unsigned wait_ms;

	/* What takes long is done without the lock. */
	if (is_kept(client, method))
		hawser__content_pack_large(&content, client->options.max_request_bytes);
	else
		hawser__bulk_prepare(client, &content);
	hawser__waiter_init(&call.waiter);
	hawser__sender_init(&call.sender, &call.outgoing);
	hawser__client_lock(client);
	hawser__loop_update_now(client->loop);
	deadline_ms = hawser__outgoing_deadline(method, context, client->options.timeout_ms,
						client->loop->now_ms);
	init_call(&call, method, deadline_ms);
	if (try_call(client, &call, &content, context)) {
		/* The server had closed the idle connection just before the call. */
		hawser__outgoing_deinit(&call.outgoing);
		init_call(&call, method, deadline_ms);
		try_call(client, &call, &content, context);
	}
	while ((wait_ms = hawser__client_retry_after(client, &call.outgoing)) &&
	       pause_call(client, &call, wait_ms, context)) {
		hawser__outgoing_deinit(&call.outgoing);
		init_call(&call, method, deadline_ms);
		try_call(client, &call, &content, context);
	}
	hawser__client_unlock(client);

	hawser__loan_unref(content.loan);
	if (!call.outgoing.error.status && !call.outgoing.reply)
		hawser__outgoing_unpack_reply(&call.outgoing);
	status = call.outgoing.error.status;
	if (status == HAWSER_OK)
		*reply = call.outgoing.reply;
	hawser__context_fill(context, &call.outgoing);
	hawser__waiter_deinit(&call.waiter);
	hawser__sender_deinit(&call.sender);
	hawser__outgoing_deinit(&call.outgoing);
	return status;
}

/* ---- life ---- */

int hawser__client_blocking_init(struct hawser_client *client)
{
	int r;

	client->loop = hawser__malloc(sizeof *client->loop);
	if (!client->loop)
		return -ENOMEM;
	r = hawser__loop_init_bare(client->loop);
	if (r < 0) {
		free(client->loop);
		return r;
	}
	pthread_mutex_init(&client->lock, NULL);
	hawser__client_cond_init(&client->opened);
	hawser__client_cond_init(&client->keeper_wake);
	return 0;
}

void hawser__client_blocking_deinit(struct hawser_client *client)
{
	hawser__client_lock(client);
	client->is_stopping = true;
	pthread_cond_signal(&client->keeper_wake);
	hawser__loop_wake(client->loop);
	hawser__client_unlock(client);
	if (client->has_keeper)
		pthread_join(client->keeper, NULL);
	hawser__client_lock(client);
	hawser__client_leave(client);
	hawser__client_stream_orphan_all(client);
	hawser__client_unlock(client);
	/* Handlers that still run have to answer before anything goes that they need for that. */
	hawser__client_end_serving(client);
	pthread_cond_destroy(&client->opened);
	pthread_cond_destroy(&client->keeper_wake);
	pthread_mutex_destroy(&client->lock);
	hawser__loop_deinit(client->loop);
	free(client->loop);
}
