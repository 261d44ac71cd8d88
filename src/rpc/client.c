/* Making and freeing clients, their options, and the opening of the protocol. */

#include "rpc/client.h"

#include "net/fork.h"
#include "net/socket.h"
#include "rpc/context.h"
#include "rpc/flow_options.h"
#include "rpc/hello.h"
#include "rpc/outgoing.h"
#include "rpc/peer.h"
#include "rpc/peer_call.h"
#include "rpc/stream.h"
#include "util/alloc.h"
#include "util/error.h"
#include "util/log.h"
#include <errno.h>
#include <hawser/version.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	CONNECT_TIMEOUT_MS = 5000,
	TIMEOUT_MS = 30000,
	HEARTBEAT_MS = 15000,
	MESSAGE_BYTES_MOST = 256 << 20,
	LOG_BYTES = 8 << 20,
	MAX_BACKOFF_MS = 10000,
	RETRY_BUDGET = 100,
	UNSENT_BYTES = 1 << 20,
	RETRY_BUDGET_MOST = 1000000,
	CREDENTIALS_MAX = 2048,
	NAME_MAX_BYTES = 128,
	/* Heartbeats to wait for a sign of life when the server names no time. */
	SILENT_HEARTBEATS = 3,
};

/* ---- options ---- */

static int check_options(struct hawser_client_options *checked,
			 const struct hawser_client_options *options, struct hawser_error *error)
{
	*checked = (struct hawser_client_options)HAWSER_CLIENT_OPTIONS_INIT;
	if (options) {
		if (options->size < sizeof options->size || options->size > 4096)
			return hawser__error_set(error, -EINVAL,
						 "client options: size is %zu; start from "
						 "HAWSER_CLIENT_OPTIONS_INIT",
						 options->size);
		/* An older program's struct is shorter, a newer one's longer. */
		memcpy(checked, options,
		       options->size < sizeof *checked ? options->size : sizeof *checked);
	}
	if (checked->credentials_length > CREDENTIALS_MAX ||
	    (checked->credentials_length && !checked->credentials))
		return hawser__error_set(error, -EINVAL,
					 "client options: credentials of %zu bytes, up to %d are "
					 "possible",
					 checked->credentials_length, CREDENTIALS_MAX);
	if (checked->max_request_bytes > MESSAGE_BYTES_MOST ||
	    checked->max_reply_bytes > MESSAGE_BYTES_MOST)
		return hawser__error_set(error, -EINVAL,
					 "client options: max_request_bytes and max_reply_bytes "
					 "can be at most %d",
					 MESSAGE_BYTES_MOST);
	if (checked->name && strlen(checked->name) > NAME_MAX_BYTES)
		return hawser__error_set(error, -EINVAL,
					 "client options: the name has more than %d bytes",
					 NAME_MAX_BYTES);
	if (checked->worker_threads > HAWSER__WORKERS_MOST)
		return hawser__error_set(error, -EINVAL,
					 "client options: worker_threads can be at most %d",
					 HAWSER__WORKERS_MOST);
	if (checked->listens && strlen(checked->listens) >= HAWSER_PEER_ADDRESS_SIZE)
		return hawser__error_set(error, -EINVAL,
					 "client options: listens has more than %d bytes",
					 HAWSER_PEER_ADDRESS_SIZE - 1);
	if (checked->heartbeat_ms && checked->silence_timeout_ms &&
	    checked->silence_timeout_ms <= checked->heartbeat_ms)
		return hawser__error_set(error, -EINVAL,
					 "client options: silence_timeout_ms %u is no longer than "
					 "heartbeat_ms %u; make it about three times as long",
					 checked->silence_timeout_ms, checked->heartbeat_ms);
	if (checked->retry_budget > RETRY_BUDGET_MOST)
		return hawser__error_set(error, -EINVAL,
					 "client options: retry_budget can be at most %d",
					 RETRY_BUDGET_MOST);
#define DEFAULT(option, value) \
	if (!checked->option)  \
	checked->option = value
	DEFAULT(connect_timeout_ms, CONNECT_TIMEOUT_MS);
	DEFAULT(timeout_ms, TIMEOUT_MS);
	DEFAULT(heartbeat_ms, checked->silence_timeout_ms
				      ? checked->silence_timeout_ms / SILENT_HEARTBEATS + 1
				      : HEARTBEAT_MS);
	DEFAULT(silence_timeout_ms, checked->heartbeat_ms < UINT_MAX / SILENT_HEARTBEATS
					    ? SILENT_HEARTBEATS * checked->heartbeat_ms
					    : UINT_MAX);
	DEFAULT(max_request_bytes, HAWSER__DEFAULT_MESSAGE_BYTES);
	DEFAULT(max_reply_bytes, HAWSER__DEFAULT_MESSAGE_BYTES);
	DEFAULT(max_log_bytes, LOG_BYTES);
	DEFAULT(max_backoff_ms, MAX_BACKOFF_MS);
	DEFAULT(retry_budget, RETRY_BUDGET);
	DEFAULT(name, program_invocation_short_name);
#undef DEFAULT
	return hawser__flow_options_check(
		"client",
		&(struct hawser__flow_options){
			&checked->stream_window_bytes, &checked->max_stream_window_bytes,
			&checked->max_unread_bytes, checked->slow_peer,
			checked->slow_peer_timeout_ms, checked->slow_peer_bytes},
		error);
}

/* ---- life ---- */

struct hawser_client *hawser_client_new(const char *address,
					const struct hawser_client_options *options,
					struct hawser_error *error)
{
	struct hawser_client_options checked;
	struct hawser__address parsed;
	struct hawser_client *client;
	int r;

	if (hawser__address_parse(&parsed, address, error) < 0 ||
	    check_options(&checked, options, error) < 0)
		return NULL;
	client = hawser__calloc(1, sizeof *client);
	if (!client)
		goto no_memory;
	client->address = parsed;
	client->options = checked;
	client->fork_generation = hawser__fork_generation();
	client->heartbeat_ms = checked.heartbeat_ms;
	client->retreat.budget_tenths = 10 * checked.retry_budget;
	client->connecting_fd = -1;
	hawser__list_init(&client->calls);
	hawser__list_init(&client->waiters);
	hawser__list_init(&client->senders);
	hawser__list_init(&client->pings);
	client->options.labels = NULL;
	client->options.listens = NULL;
	if (hawser__labels_copy(checked.labels, checked.n_labels, "client", &client->labels,
				error) < 0)
		goto failed;
	client->options.labels = client->labels;
	client->name = hawser__strdup(checked.name);
	if (!client->name)
		goto no_memory;
	client->options.name = client->name;
	if (checked.listens) {
		client->listens = hawser__strdup(checked.listens);
		if (!client->listens)
			goto no_memory;
		client->options.listens = client->listens;
	}
	if (checked.credentials_length) {
		client->credentials = hawser__malloc(checked.credentials_length);
		if (!client->credentials)
			goto no_memory;
		memcpy(client->credentials, checked.credentials, checked.credentials_length);
	}
	client->options.credentials = client->credentials;
	if (checked.base) {
		r = hawser__client_loop_init(client);
	} else {
		r = hawser__client_blocking_init(client);
	}
	if (r == 0)
		return client;
	hawser__client_release(client);
	hawser__error_set(error, r, "client %s: no event or lock could be made", parsed.text);
	return NULL;

no_memory:
	hawser__error_set(error, -ENOMEM, "client %s: out of memory", parsed.text);
failed:
	hawser__client_release(client);
	return NULL;
}

void hawser__client_release(struct hawser_client *client)
{
	if (!client)
		return;
	free(client->name);
	free(client->labels);
	free(client->listens);
	if (client->credentials) {
		explicit_bzero(client->credentials, client->options.credentials_length);
		free(client->credentials);
	}
	free(client);
}

void hawser__client_leave(struct hawser_client *client)
{
	struct hawser__connection *connection = client->connection;
	struct hawser__problem done = {.reason = HAWSER__REASON__REASON_DONE};

	/* Also behind an open that was not answered yet, of a session that goes on as well. */
	if (connection && connection->fd >= 0 && !connection->is_lost &&
	    connection->session.state != HAWSER__SESSION_OVER) {
		hawser__connection_put_close(connection, &done);
		hawser__connection_flush(connection);
	}
	if (client->connection)
		hawser__connection_lose(client->connection, HAWSER_CANCELLED, -ECANCELED,
					"the client was freed");
}

/* In a forked child: the connection, the epoll instance behind an event_base and
 * the locks are still the parent's. Let go of the descriptors, touch nothing else. */
static void free_in_child(struct hawser_client *client)
{
	if (client->connection && client->connection->fd >= 0)
		close(client->connection->fd);
	if (client->connecting_fd >= 0)
		close(client->connecting_fd);
	if (!client->options.base)
		close(client->loop->wake_fd);
	if (client->credentials)
		explicit_bzero(client->credentials, client->options.credentials_length);
}

void hawser_client_free(struct hawser_client *client)
{
	if (!client)
		return;
	if (client->peer) {
		hawser__log(HAWSER_LOG_WARNING,
			    "hawser_client_free: a peer's client is the peer's; give the peer back "
			    "with hawser_peer_unref()");
		return;
	}
	if (client->fork_generation != hawser__fork_generation()) {
		free_in_child(client);
		return;
	}
	if (client->options.base) {
		if (hawser__client_loop_deinit(client))
			return;
	} else {
		hawser__client_blocking_deinit(client);
	}
	hawser__client_release(client);
}

int hawser__client_check(struct hawser_client *client, struct hawser_error *error)
{
	if (!client)
		return hawser__error_set(error, -EINVAL, "the client is NULL");
	if (client->fork_generation != hawser__fork_generation())
		return hawser__error_set(error, -EPERM,
					 "%s: the client was made before fork(); make another one "
					 "in the child",
					 client->address.text);
	return 0;
}

/* ---- opening ---- */

int hawser__client_prepare(struct hawser_client *client, const struct hawser__connection_ops *ops)
{
	struct hawser__connection_setup setup = {
		.loop = client->loop,
		.ops = ops,
		.owner = client,
		.name = client->address.text,
		.serving = hawser__client_serves(client) ? &client->serving : NULL,
		.keeps_requests = !client->options.no_session,
		.max_payload = client->options.max_reply_bytes,
		.max_unsent = UNSENT_BYTES,
		.max_log = client->options.max_log_bytes,
		.max_reply = client->options.max_reply_bytes,
		.window = client->options.stream_window_bytes,
		.max_window = client->options.max_stream_window_bytes,
		.max_unread = client->options.max_unread_bytes,
		.patience = {.policy = client->options.slow_peer,
			     .timeout_ms = client->options.slow_peer_timeout_ms,
			     .bytes = client->options.slow_peer_bytes},
	};
	Hawser__Open open = HAWSER__OPEN__INIT;
	Hawser__Hello hello = HAWSER__HELLO__INIT;
	Hawser__Session session;
	bool is_new = !client->connection;
	int r;

	client->is_replaced = false;
	if (is_new)
		client->connection = hawser__connection_new(&setup);
	if (!client->connection)
		return -ENOMEM;
	if (is_new)
		client->connection->silence_timeout_ms = client->options.silence_timeout_ms;
	else
		/* What an earlier try left. */
		hawser__session_lost(&client->connection->session);
	open.version = HAWSER__PROTOCOL_VERSION;
	open.name = client->name;
	open.software = (char *)"hawser " HAWSER_VERSION;
	open.credentials.data = client->credentials;
	open.credentials.len = client->options.credentials_length;
	open.max_reply_bytes = client->options.max_reply_bytes;
	open.heartbeat_ms = client->options.heartbeat_ms;
	open.silence_timeout_ms = client->options.silence_timeout_ms;
	open.stream_window_bytes = client->options.stream_window_bytes;
	open.session = hawser__client_ask_session(client, &session);
	hawser__client_add_hello(client, &open, &hello);
	r = hawser__connection_put(client->connection, HAWSER__FRAME_OPEN, &open.base);
	hawser__hello_unmake(&hello);
	if (r == 0)
		return 0;
	if (is_new) {
		hawser__connection_free(client->connection);
		client->connection = NULL;
	}
	return -ENOMEM;
}

bool hawser__client_opened(struct hawser__connection *connection, const Hawser__Opened *opened)
{
	struct hawser_client *client = connection->owner;
	unsigned silence_ms = client->options.silence_timeout_ms;

	if (opened->version != HAWSER__PROTOCOL_VERSION) {
		hawser__connection_lose(connection, HAWSER_FAILED_PRECONDITION, -EPROTO,
					"connect %s: the server speaks protocol version %u, this "
					"client version %d",
					client->address.text, opened->version,
					HAWSER__PROTOCOL_VERSION);
		return false;
	}
	snprintf(client->server_name, sizeof client->server_name, "%.100s%s%.50s", opened->name,
		 *opened->name && *opened->software ? ", " : "", opened->software);
	for (size_t i = 0; i < opened->n_problems; i++)
		hawser__log(HAWSER_LOG_WARNING, "%s: %s", client->address.text,
			    opened->problems[i]);
	connection->max_peer_message = opened->max_request_bytes ? (size_t)opened->max_request_bytes
								 : HAWSER__DEFAULT_MESSAGE_BYTES;
	client->heartbeat_ms = client->options.heartbeat_ms;
	if (opened->heartbeat_ms && opened->heartbeat_ms < client->heartbeat_ms)
		client->heartbeat_ms = opened->heartbeat_ms;
	if (opened->silence_timeout_ms && opened->silence_timeout_ms < silence_ms)
		silence_ms = opened->silence_timeout_ms;
	if (silence_ms / SILENT_HEARTBEATS < client->heartbeat_ms)
		client->heartbeat_ms = silence_ms / SILENT_HEARTBEATS + 1;
	connection->heartbeat_ms = client->heartbeat_ms;
	connection->silence_timeout_ms = silence_ms;
	hawser__socket_set_user_timeout(connection->fd, silence_ms);
	/* Without memory it is as if the server had not said it. */
	if (opened->hello)
		hawser__peer_hello(connection, opened->name, opened->hello, NULL, client);
	if (!hawser__client_take_session(connection, opened))
		return false;
	hawser__peer_set_state(connection, HAWSER_PEER_HERE);
	if (!client->has_said_hello)
		hawser__client_say_hello(client);
	return true;
}

void hawser__client_rejected(struct hawser__connection *connection,
			     const Hawser__Rejected *rejected)
{
	struct hawser_client *client = connection->owner;
	enum hawser_status status = HAWSER_UNAVAILABLE;

	if (rejected->reason == HAWSER__REASON__REASON_SESSION_EXPIRED && connection->session.id) {
		hawser__client_lose_session(connection, rejected->text);
		/* The next one begins at once. */
		client->retreat.is_urgent = true;
		hawser__connection_break(connection, -ECONNREFUSED, "%.150s", rejected->text);
		return;
	}
	if (rejected->reason == HAWSER__REASON__REASON_UNAUTHENTICATED)
		status = HAWSER_UNAUTHENTICATED;
	else if (rejected->reason == HAWSER__REASON__REASON_VERSION)
		status = HAWSER_FAILED_PRECONDITION;
	else if (connection->holds) {
		/* It may have room again soon; the session waits for that. */
		hawser__connection_break(
			connection, -ECONNREFUSED, "connect %s: the server refused: %.150s",
			client->address.text,
			*rejected->text ? rejected->text : hawser__reason_name(rejected->reason));
		return;
	}
	hawser__connection_lose(connection, status, -ECONNREFUSED,
				"connect %s: the server refused: %.150s", client->address.text,
				*rejected->text ? rejected->text
						: hawser__reason_name(rejected->reason));
}

void hawser__client_closed(struct hawser__connection *connection, const Hawser__Close *close)
{
	struct hawser_client *client = connection->owner;

	if (close->reason != HAWSER__REASON__REASON_REPLACED)
		return;
	client->is_replaced = true;
	hawser__log(HAWSER_LOG_WARNING,
		    "%s: the server closed the session for good: %s; the next call opens another",
		    client->address.text, close->text);
}

void hawser__client_calm(struct hawser__connection *connection)
{
	if (!connection->is_draining)
		return;
	/* Perhaps it ended by a cancel that the server still has to be told of. */
	if (connection->fd >= 0)
		hawser__connection_send_out(connection);
	hawser__connection_lose(connection, HAWSER_UNAVAILABLE, 0, "the server drained");
}

uint64_t hawser__client_heartbeat(struct hawser_client *client)
{
	struct hawser__connection *connection = client->connection;
	uint64_t now_ms = client->loop->now_ms, quiet_since_ms;

	if (!connection || !hawser__connection_is_open(connection))
		return now_ms + client->heartbeat_ms;
	if (now_ms - connection->heard_ms >= connection->silence_timeout_ms) {
		hawser__connection_break(connection, -ETIMEDOUT, "nothing was heard for %u ms",
					 connection->silence_timeout_ms);
		return now_ms + client->heartbeat_ms;
	}
	/* The server wants to hear from us, and we from it. */
	quiet_since_ms = connection->sent_ms < connection->heard_ms ? connection->sent_ms
								    : connection->heard_ms;
	if (quiet_since_ms < client->pinged_ms)
		quiet_since_ms = client->pinged_ms;
	if (now_ms - quiet_since_ms >= client->heartbeat_ms) {
		client->pinged_ms = quiet_since_ms = now_ms;
		if (connection->peer)
			hawser__peer_probe(connection);
		else
			hawser__connection_put_number(connection, HAWSER__FRAME_PING, 0);
		hawser__connection_flush_soon(connection);
	}
	return quiet_since_ms + client->heartbeat_ms;
}

/* ---- the public functions that choose between the two kinds ---- */

enum hawser_status hawser_client_call(struct hawser_client *client,
				      const struct hawser_method *method,
				      const ProtobufCMessage *request, ProtobufCMessage **reply,
				      struct hawser_context *context)
{
	struct hawser_error *error = NULL;

	if (!hawser__context_is_valid(context))
		return HAWSER_INVALID_ARGUMENT;
	hawser__context_reset(context);
	error = context ? &context->error : NULL;
	if (!client) {
		hawser__error_call(error, HAWSER_INVALID_ARGUMENT, HAWSER_OUTCOME_NOT_SENT,
				   "the client is NULL");
		return HAWSER_INVALID_ARGUMENT;
	}
	if (hawser__client_check(client, error) < 0) {
		if (error)
			error->status = HAWSER_FAILED_PRECONDITION;
		return HAWSER_FAILED_PRECONDITION;
	}
	if (!method || !request || !reply) {
		hawser__error_set(error, -EINVAL, "call: method, request or reply is NULL");
		return HAWSER_INVALID_ARGUMENT;
	}
	if (request->descriptor != method->request) {
		hawser__error_set(error, -EINVAL,
				  "%s: the request is a %s, not a %s; start from "
				  "its __INIT",
				  method->name,
				  request->descriptor ? request->descriptor->name : "nothing",
				  method->request->name);
		return HAWSER_INVALID_ARGUMENT;
	}
	if (client->peer)
		return hawser__peer_call(client->peer, method, request, reply, context);
	if (client->options.base) {
		hawser__error_call(error, HAWSER_FAILED_PRECONDITION, HAWSER_OUTCOME_NOT_SENT,
				   "%s: this client runs on an event_base; use the _async stub, or "
				   "a client without a base",
				   method->name);
		return HAWSER_FAILED_PRECONDITION;
	}
	return hawser__client_blocking_call(client, method, request, reply, context);
}

static struct hawser_call *open_to_peer(struct hawser_peer *peer,
					const struct hawser_method *method,
					const ProtobufCMessage *request, hawser_any_fn *callback,
					void *data, const struct hawser_context *context)
{
	if (!callback)
		return hawser__peer_stream_open(peer, method, request, context);
	if (!hawser__peer_is_here(peer)) {
		bool is_gone = atomic_load_explicit(&peer->state, memory_order_relaxed) ==
			       HAWSER_PEER_GONE;

		if (!is_gone)
			hawser__log(HAWSER_LOG_WARNING,
				    "%s: only the thread of the peer's loop may call it without "
				    "waiting",
				    method->name);
		errno = is_gone ? EPIPE : EINVAL;
		return NULL;
	}
	if (!peer->connection) {
		errno = EPIPE;
		return NULL;
	}
	return hawser__client_loop_open(peer->client, method, request, callback, data, context);
}

struct hawser_call *hawser_client_open(struct hawser_client *client,
				       const struct hawser_method *method,
				       const ProtobufCMessage *request, hawser_any_fn *callback,
				       void *data, const struct hawser_context *context)
{
	bool streams = method && method->kind != HAWSER_UNARY;

	if (hawser__client_check(client, NULL) < 0 || !method ||
	    !hawser__context_is_valid(context) ||
	    (!callback && (!streams || (client->options.base && !client->peer))) ||
	    (!request && !(method->kind & HAWSER_CLIENT_STREAM)) ||
	    (request && request->descriptor != method->request) ||
	    (callback && !client->options.base)) {
		errno = EINVAL;
		return NULL;
	}
	if (client->peer)
		return open_to_peer(client->peer, method, request, callback, data, context);
	if (!client->options.base)
		return hawser__client_stream_open(client, method, request, context);
	return hawser__client_loop_open(client, method, request, callback, data, context);
}

int hawser__client_open_stream(struct hawser__outgoing *outgoing,
			       struct hawser__connection *connection)
{
	enum hawser_method_kind kind = outgoing->call.method->kind;

	if (kind == HAWSER_UNARY || outgoing->call.stream)
		return 0;
	if (hawser__stream_new(&outgoing->call, connection, kind & HAWSER_SERVER_STREAM,
			       kind & HAWSER_CLIENT_STREAM) == 0) {
		outgoing->call.stream->is_pulled = outgoing->ops->receive != NULL;
		return 0;
	}
	hawser__error_call(&outgoing->error, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_NOT_SENT,
			   "%s: out of memory", outgoing->call.method->name);
	return -ENOMEM;
}

int hawser_client_connect(struct hawser_client *client, struct hawser_error *error)
{
	int r = hawser__client_check(client, error);

	if (r < 0)
		return r;
	if (client->peer)
		return hawser__error_set(error, -EINVAL,
					 "connect: a peer's client is connected by the peer");
	if (!client->options.base)
		return hawser__client_blocking_connect(client, error);
	if (!client->connection)
		hawser__client_loop_connect(client);
	if (!client->connection)
		return hawser__error_set(error, -ENOMEM, "connect %s: out of memory",
					 client->address.text);
	return 0;
}
