/* The client of blocking stubs: connecting, and a call from its start to its end. How
 * its threads share the one connection is told in client_wait.h. */

#include "net/socket.h"
#include "rpc/client_wait.h"
#include "rpc/context.h"
#include "rpc/outgoing.h"
#include "util/alloc.h"
#include "util/error.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct blocking_call {
	struct hawser__outgoing outgoing;
	struct hawser__waiter waiter;
};

static const struct hawser__connection_ops ops;

/* ---- connecting ---- */

/* How long a thread may try to connect, and for whom. */
struct patience {
	uint64_t until_ms;
	const struct hawser_context *context; /* may cancel it; NULL: nobody does */
};

/* 0 while there is time; else -ETIMEDOUT or -ECANCELED. */
static int exhausted(const struct patience *patience)
{
	if (hawser__context_is_cancelled(patience->context))
		return -ECANCELED;
	return hawser__now_ms() >= patience->until_ms ? -ETIMEDOUT : 0;
}

/* When to look up from waiting: who can be cancelled does so from time to time. */
static uint64_t slice(const struct patience *patience)
{
	uint64_t soon_ms = hawser__now_ms() + HAWSER__RECEIVE_MS;

	return patience->context && soon_ms < patience->until_ms ? soon_ms : patience->until_ms;
}

struct look_up {
	struct hawser__resolve *resolve;
	bool has_ended;
	struct addrinfo *list;
	struct hawser_error *error;
};

static void on_resolved(void *data, struct addrinfo *list, const struct hawser_error *error)
{
	struct look_up *look_up = data;

	look_up->has_ended = true;
	look_up->list = list;
	if (!list)
		*look_up->error = *error;
}

/* What is posted touches what the lock guards. */
static void run_posts(struct hawser_client *client)
{
	pthread_mutex_lock(&client->lock);
	hawser__loop_run_posts(client->loop);
	pthread_mutex_unlock(&client->lock);
}

static int resolve(struct hawser_client *client, const struct patience *patience,
		   struct addrinfo **list, struct hawser_error *error)
{
	struct look_up look_up = {.error = error};
	int r = hawser__resolve_start(client->loop, &client->address, on_resolved, &look_up,
				      &look_up.resolve);

	if (r < 0)
		return hawser__error_set(error, r, "connect %s: the look-up could not be started",
					 client->address.text);
	while (!look_up.has_ended) {
		r = exhausted(patience);
		if (r < 0) {
			hawser__resolve_cancel(look_up.resolve);
			return hawser__error_set(
				error, r, "connect %s: the name was not resolved %s",
				client->address.text,
				r == -ECANCELED ? "before the call was cancelled" : "in time");
		}
		hawser__client_poll(client, -1, false, slice(patience));
		run_posts(client);
	}
	*list = look_up.list;
	return look_up.list ? 0 : error->code;
}

/* A socket that is connected, or the error of the last address. Without the lock. */
static int connect_socket(struct hawser_client *client, const struct patience *patience,
			  struct hawser_error *error)
{
	struct addrinfo *list = NULL;
	char text[128];
	int fd = -1, r = resolve(client, patience, &list, error);

	if (r < 0)
		return r;
	for (const struct addrinfo *at = list; at && fd < 0; at = at->ai_next) {
		bool done = false;

		fd = hawser__socket_connect(at, &done);
		r = fd < 0 ? fd : 0;
		while (fd >= 0 && !done) {
			int found = hawser__client_poll(client, fd, true, slice(patience));

			done = found & (POLLOUT | POLLERR | POLLHUP);
			r = done ? hawser__socket_connect_result(fd) : exhausted(patience);
			if (!done && r == 0)
				run_posts(client);
			done = done || r < 0;
		}
		if (r == 0)
			r = hawser__socket_set_blocking(fd, HAWSER__RECEIVE_MS);
		if (r < 0 && fd >= 0) {
			close(fd);
			fd = -1;
		}
	}
	hawser__address_free(list);
	if (fd >= 0)
		return fd;
	return hawser__error_set(error, r, "connect %s: %s", client->address.text,
				 hawser__errno_text(r, text, sizeof text));
}

/* Connects and waits for opened, as the only one. Fills client->last_error on failure. */
static int attempt(struct hawser_client *client, const struct patience *patience)
{
	struct hawser_error *error = &client->last_error, failure = {.status = HAWSER_OK};
	int fd, r;

	pthread_mutex_unlock(&client->lock);
	fd = connect_socket(client, patience, &failure);
	pthread_mutex_lock(&client->lock);
	hawser__loop_update_now(client->loop);
	if (fd < 0) {
		*error = failure;
		return fd;
	}
	if (hawser__client_prepare(client, &ops) < 0) {
		close(fd);
		return hawser__error_set(error, -ENOMEM, "connect %s: out of memory",
					 client->address.text);
	}
	hawser__connection_attach(client->connection, fd);
	client->reader = HAWSER__READER_CALLER;
	hawser__connection_flush(client->connection);
	while (client->connection && client->connection->session.state == HAWSER__SESSION_NEW) {
		r = exhausted(patience);
		if (r < 0)
			hawser__connection_lose(client->connection, HAWSER_UNAVAILABLE, r,
						"connect %s: connected, but no answer to open%s",
						client->address.text,
						r == -ECANCELED ? " before the call was cancelled"
								: "; is it a Hawser server?");
		else
			hawser__client_receive(client, slice(patience), true);
	}
	hawser__client_hand_over(client);
	if (client->connection) {
		hawser__client_start_keeper(client);
		return 0;
	}
	/* on_lost has kept the reason. */
	return error->code ? error->code : -ECONNRESET;
}

int hawser__client_ensure_open(struct hawser_client *client, uint64_t deadline_ms,
			       const struct hawser_context *context, struct hawser_error *error)
{
	while (!hawser__client_is_open(client)) {
		struct patience patience = {
			client->loop->now_ms + client->options.connect_timeout_ms, context};
		unsigned attempts = client->attempts;
		int r;

		if (hawser__context_is_cancelled(context))
			return hawser__error_set(error, -ECANCELED, "connect %s: cancelled",
						 client->address.text);
		if (patience.until_ms > deadline_ms)
			patience.until_ms = deadline_ms;
		/* Who still receives from a connection that was lost must be back first:
		 * there is one reader, and one buffer to read into. */
		if (!client->is_connecting && !client->connection && !client->is_receiving) {
			client->is_connecting = true;
			r = attempt(client, &patience);
			client->is_connecting = false;
			client->was_cut_short =
				r == -ECANCELED ||
				(r == -ETIMEDOUT && patience.until_ms == deadline_ms);
			client->attempts++;
			pthread_cond_broadcast(&client->opened);
			if (r < 0) {
				*error = client->last_error;
				return r;
			}
			return 0;
		}
		if (client->loop->now_ms >= deadline_ms)
			return hawser__error_set(error, -ETIMEDOUT,
						 "connect %s: not connected before the deadline",
						 client->address.text);
		patience.until_ms = deadline_ms;
		hawser__client_cond_wait(client, &client->opened, slice(&patience));
		/* That attempt was ours as well, unless its own call's end cut it short. */
		if (client->attempts != attempts && !hawser__client_is_open(client) &&
		    !client->was_cut_short) {
			*error = client->last_error;
			return error->code ? error->code : -ECONNRESET;
		}
	}
	return 0;
}

/* ---- what the connection tells ---- */

static void on_opened(struct hawser__connection *connection, const Hawser__Opened *opened)
{
	hawser__client_opened(connection, opened);
}

static void on_lost(struct hawser__connection *connection, const struct hawser_error *why)
{
	struct hawser_client *client = connection->owner;
	struct hawser__list *link;

	client->last_error = *why;
	if (!why->code)
		client->last_error.code = -ECONNRESET;
	client->connection = NULL;
	list_for_each (link, &client->pings)
		hawser__waiter_finish(
			&hawser__container_of(link, struct hawser__ping, link)->waiter);
	if (client->shutdown_wait)
		hawser__waiter_finish(&client->shutdown_wait->waiter);
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
	if (close->reason == HAWSER__REASON__REASON_DRAINING)
		shutdown_answered(connection->owner, 0, "");
}

static void on_calm(struct hawser__connection *connection)
{
	if (connection->is_draining)
		hawser__connection_lose(connection, HAWSER_UNAVAILABLE, 0, "the server drained");
}

static const struct hawser__connection_ops ops = {
	.opened = on_opened,
	.rejected = hawser__client_rejected,
	.close = on_close,
	.shutdown = on_shutdown,
	.pong = on_pong,
	.calm = on_calm,
	.lost = on_lost,
};

/* ---- calls ---- */

static void on_done(struct hawser__outgoing *outgoing)
{
	hawser__waiter_finish(
		&hawser__container_of(outgoing, struct blocking_call, outgoing)->waiter);
}

/* Sends what is queued; a socket that is full takes it while the caller waits. */
static int start(struct hawser_client *client, struct blocking_call *call,
		 const ProtobufCMessage *request, const struct hawser_context *context)
{
	struct hawser__outgoing *outgoing = &call->outgoing;
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
		r = hawser__outgoing_start(outgoing, connection, request, context,
					   client->options.max_request_bytes, client->loop->now_ms);
		if (r != -ENOBUFS) {
			/* Whoever receives for all must watch for room as well, now. */
			if (r == 0 && hawser__connection_flush(connection) &&
			    connection->session.out.length && client->is_receiving)
				hawser__loop_wake(client->loop);
			return r;
		}
		/* Too much is unsent: wait for room, like everyone before us. */
		hawser__client_wait_slice(client, &call->waiter);
		if (!hawser__client_is_open(client))
			return -ECONNRESET;
		hawser__connection_flush(client->connection);
		if (!hawser__client_is_open(client))
			return -ECONNRESET;
	}
}

static void give_up(struct blocking_call *call, int why)
{
	const char *name = call->outgoing.call.method->name;

	if (why == -ECANCELED)
		hawser__outgoing_abandon(&call->outgoing, HAWSER_CANCELLED,
					 "%s: cancelled by the caller", name);
	else
		hawser__outgoing_abandon(&call->outgoing, HAWSER_DEADLINE_EXCEEDED,
					 "%s: the deadline passed before the call ended", name);
}

/* One try. Returns whether another one may help: the connection was an old one, and its end is
 * known to have kept this call from running. */
static bool try_call(struct hawser_client *client, struct blocking_call *call,
		     const ProtobufCMessage *request, const struct hawser_context *context)
{
	struct hawser__outgoing *outgoing = &call->outgoing;
	bool was_open = hawser__client_is_open(client);
	struct hawser_error error = {.status = HAWSER_OK};
	int r = hawser__client_ensure_open(client, outgoing->call.deadline_ms, context, &error);

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
		return false;
	}
	r = start(client, call, request, context);
	if (r == -ECONNRESET) {
		hawser__error_call(&outgoing->error, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_NOT_SENT,
				   "%s: %.200s", outgoing->call.method->name,
				   client->last_error.message);
		return was_open;
	}
	if (r < 0)
		return false;
	r = hawser__client_wait(client, &call->waiter, outgoing->call.deadline_ms, context);
	if (r < 0 && outgoing->call.carrier)
		give_up(call, r);
	return was_open && outgoing->error.status == HAWSER_UNAVAILABLE &&
	       outgoing->error.outcome == HAWSER_OUTCOME_NOT_EXECUTED &&
	       !hawser__client_is_open(client);
}

enum hawser_status hawser__client_blocking_call(struct hawser_client *client,
						const struct hawser_method *method,
						const ProtobufCMessage *request,
						ProtobufCMessage **reply,
						struct hawser_context *context)
{
	struct blocking_call call;
	enum hawser_status status;
	uint64_t deadline_ms;
	bool again;

	hawser__outgoing_init(&call.outgoing, method, on_done);
	hawser__waiter_init(&call.waiter);
	pthread_mutex_lock(&client->lock);
	hawser__loop_update_now(client->loop);
	deadline_ms = hawser__outgoing_deadline(method, context, client->options.timeout_ms,
						client->loop->now_ms);
	call.outgoing.call.deadline_ms = deadline_ms;
	again = try_call(client, &call, request, context);
	if (again) {
		/* The server had closed the idle connection just before the call. */
		hawser__outgoing_deinit(&call.outgoing);
		hawser__outgoing_init(&call.outgoing, method, on_done);
		call.outgoing.call.deadline_ms = deadline_ms;
		call.waiter.is_done = false;
		try_call(client, &call, request, context);
	}
	pthread_mutex_unlock(&client->lock);

	status = call.outgoing.error.status;
	if (status == HAWSER_OK)
		*reply = call.outgoing.reply;
	hawser__context_fill(context, &call.outgoing);
	hawser__waiter_deinit(&call.waiter);
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
	pthread_mutex_lock(&client->lock);
	client->is_stopping = true;
	pthread_cond_signal(&client->keeper_wake);
	hawser__loop_wake(client->loop);
	pthread_mutex_unlock(&client->lock);
	if (client->has_keeper)
		pthread_join(client->keeper, NULL);
	pthread_mutex_lock(&client->lock);
	if (hawser__client_is_open(client)) {
		struct hawser__problem done = {.reason = HAWSER__REASON__REASON_DONE};

		hawser__connection_put_close(client->connection, &done);
		hawser__connection_flush(client->connection);
	}
	if (client->connection)
		hawser__connection_lose(client->connection, HAWSER_CANCELLED, -ECANCELED,
					"the client was freed");
	pthread_mutex_unlock(&client->lock);
	pthread_cond_destroy(&client->opened);
	pthread_cond_destroy(&client->keeper_wake);
	pthread_mutex_destroy(&client->lock);
	hawser__loop_deinit(client->loop);
	free(client->loop);
}
