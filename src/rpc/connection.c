/* A connection from its beginning to its end, and what its frames mean; connection.h
 * gives the idea. */

#include "rpc/connection.h"

#include "net/socket.h"
#include "rpc/agreement.h"
#include "rpc/incoming.h"
#include "rpc/metadata.h"
#include "rpc/outgoing.h"
#include "rpc/peer.h"
#include "rpc/stream.h"
#include "rpc/trace.h"
#include "util/alloc.h"
#include "util/error.h"
#include "util/log.h"
#include "util/unpack.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The number of a ping that measures the line. Heartbeats and hawser_client_ping() have others. */
#define PROBE (UINT64_C(1) << 62)

enum {
	/* How long a connection that said close waits for the peer to close, too. */
	LINGER_MS = 1000,
};

static void on_alarm(struct hawser__alarm *alarm);
static void on_ack_alarm(struct hawser__alarm *alarm);
static void on_slow_alarm(struct hawser__alarm *alarm);
static void on_flush(struct hawser__deferred *deferred);

/* ---- life ---- */

struct hawser__connection *hawser__connection_new(const struct hawser__connection_setup *setup)
{
	struct hawser__connection *connection = hawser__calloc(1, sizeof *connection);

	if (!connection)
		return NULL;
	connection->carrier.ops = &hawser__connection_carrier_ops;
	connection->ops = setup->ops;
	connection->owner = setup->owner;
	connection->loop = setup->loop;
	connection->name = setup->name;
	connection->serving = setup->serving;
	connection->keeps_requests = setup->keeps_requests;
	connection->fd = -1;
	connection->is_traced = hawser__trace_enabled();
	connection->max_unsent = setup->max_unsent;
	connection->max_log = setup->max_log;
	connection->max_reply = setup->max_reply;
	connection->window = setup->window;
	connection->max_unread = setup->max_unread;
	hawser__line_init(&connection->line, setup->window, setup->max_window);
	connection->patience = setup->patience;
	hawser__alarm_init(&connection->patience.alarm, on_slow_alarm);
	connection->log_total = setup->log_total;
	connection->max_peer_message = SIZE_MAX;
	connection->heard_ms = connection->sent_ms = connection->call_ms = setup->loop->now_ms;
	hawser__session_init(&connection->session, setup->is_server, setup->max_payload,
			     &setup->loop->pool);
	connection->session.push = hawser__connection_push;
	if (connection->is_traced)
		connection->session.moved = hawser__trace_moved;
	hawser__list_init(&connection->incoming);
	hawser__list_init(&connection->owing);
	hawser__list_init(&connection->blocked);
	hawser__list_init(&connection->outgoing);
	hawser__list_init(&connection->link);
	hawser__list_init(&connection->flush.link);
	connection->flush.run = on_flush;
	hawser__alarm_init(&connection->alarm, on_alarm);
	hawser__alarm_init(&connection->ack_alarm, on_ack_alarm);
	return connection;
}

/* The rest of the frame will not come, or is of no interest. */
static void forget_straight(struct hawser__connection *connection)
{
	struct hawser__arrival *straight = connection->straight;

	connection->straight = NULL;
	if (straight && straight->is_orphan)
		hawser__arrival_free(straight);
}

void hawser__connection_free(struct hawser__connection *connection)
{
	if (!connection)
		return;
	if (connection->is_gone)
		*connection->is_gone = true;
	hawser__connection_unwatch(connection);
	hawser__list_unlink(&connection->flush.link);
	hawser__list_unlink(&connection->link);
	hawser__loop_clear_alarm(connection->loop, &connection->alarm);
	hawser__loop_clear_alarm(connection->loop, &connection->ack_alarm);
	hawser__loop_clear_alarm(connection->loop, &connection->patience.alarm);
	forget_straight(connection);
	if (connection->fd >= 0)
		close(connection->fd);
	if (connection->log_total)
		atomic_fetch_sub_explicit(connection->log_total, connection->log_counted,
					  memory_order_relaxed);
	hawser__session_deinit(&connection->session);
	hawser__call_table_deinit(&connection->calls);
	hawser__map_deinit(&connection->announced);
	hawser__agreement_forget(&connection->refused);
	free(connection->in);
	free(connection->why);
	free(connection->peer_text);
	free(connection);
}

int hawser__connection_attach(struct hawser__connection *connection, int fd)
{
	connection->fd = fd;
	connection->heard_ms = connection->sent_ms = connection->loop->now_ms;
	return hawser__connection_watch(connection);
}

/* What belonged to the socket. */
static void forget_socket(struct hawser__connection *connection)
{
	hawser__connection_unwatch(connection);
	hawser__list_unlink(&connection->flush.link);
	hawser__loop_clear_alarm(connection->loop, &connection->ack_alarm);
	free(connection->in);
	connection->in = NULL;
	connection->in_length = connection->in_capacity = 0;
	connection->skip = 0;
	free(connection->peer_text);
	connection->peer_text = NULL;
	forget_straight(connection);
	hawser__line_lost(&connection->line);
	connection->wants_write = connection->is_mute = connection->is_paused = false;
	connection->is_eager = connection->is_broken = false;
}

int hawser__connection_detach(struct hawser__connection *connection)
{
	int fd = connection->fd;

	forget_socket(connection);
	connection->fd = -1;
	hawser__session_lost(&connection->session);
	return fd;
}

const char *hawser__connection_peer(struct hawser__connection *connection, char *buffer,
				    size_t size)
{
	if (!connection->name && connection->fd >= 0)
		return hawser__socket_peer(connection->fd, buffer, size);
	snprintf(buffer, size, "%s", connection->name ? connection->name : "");
	return buffer;
}

const char *hawser__connection_known_peer(struct hawser__connection *connection)
{
	char peer[128];

	if (!connection->peer_text)
		connection->peer_text =
			hawser__strdup(hawser__connection_peer(connection, peer, sizeof peer));
	return connection->peer_text ? connection->peer_text : "";
}

/* ---- the end ---- */

/* Tells everyone who depends on the connection, once. The owner frees it. */
static void finish(struct hawser__connection *connection)
{
	struct hawser_error unknown = {.status = HAWSER_UNAVAILABLE, .message = "connection lost"};
	const struct hawser_error *why = connection->why ? connection->why : &unknown;

	hawser__connection_unwatch(connection);
	hawser__list_unlink(&connection->flush.link);
	hawser__loop_clear_alarm(connection->loop, &connection->alarm);
	hawser__loop_clear_alarm(connection->loop, &connection->ack_alarm);
	hawser__loop_clear_alarm(connection->loop, &connection->patience.alarm);
	/* What they answer or start meanwhile must not come back here. */
	connection->is_busy = true;
	hawser__incoming_detach_all(connection);
	hawser__outgoing_fail_all(connection, why);
	hawser__peer_gone(connection);
	connection->ops->lost(connection, why);
}

/* The socket goes, the session waits for the next one. The owner may end it now. */
static void go_away(struct hawser__connection *connection)
{
	struct hawser_error unknown = {.status = HAWSER_UNAVAILABLE, .message = "connection lost"};
	struct hawser_error *why = connection->why;
	int fd = hawser__connection_detach(connection);

	if (fd >= 0)
		close(fd);
	connection->why = NULL;
	hawser__peer_set_state(connection, HAWSER_PEER_AWAY);
	connection->ops->away(connection, why ? why : &unknown);
	free(why);
}

static void note_why(struct hawser__connection *connection, enum hawser_status status, int code,
		     const char *format, va_list arguments) HAWSER_PRINTF(4, 0);

static void note_why(struct hawser__connection *connection, enum hawser_status status, int code,
		     const char *format, va_list arguments)
{
	struct hawser_error *why = connection->why;

	/* Broken first, and then lost before it was away: the end counts. */
	if (!why)
		connection->why = why = hawser__malloc(sizeof *why);
	if (!why)
		return;
	why->status = status;
	why->outcome = HAWSER_OUTCOME_UNKNOWN;
	why->code = code;
	why->retry_after_ms = 0;
	vsnprintf(why->message, sizeof why->message, format, arguments);
}

void hawser__connection_lose(struct hawser__connection *connection, enum hawser_status status,
			     int code, const char *format, ...)
{
	va_list arguments;

	/* The first reason counts. */
	if (connection->is_lost)
		return;
	va_start(arguments, format);
	note_why(connection, status, code, format, arguments);
	va_end(arguments);
	connection->is_lost = true;
	if (!connection->is_busy)
		finish(connection);
}

void hawser__connection_break(struct hawser__connection *connection, int code, const char *format,
			      ...)
{
	va_list arguments;

	if (connection->is_lost || connection->is_broken)
		return;
	va_start(arguments, format);
	note_why(connection, HAWSER_UNAVAILABLE, code, format, arguments);
	va_end(arguments);
	/* A draining peer does not let anyone in again. */
	if (!connection->holds || connection->is_draining || connection->is_closing) {
		connection->is_lost = true;
		connection->n_cut = hawser__incoming_count_awaited(connection);
		if (!connection->is_busy)
			finish(connection);
		return;
	}
	connection->is_broken = true;
	if (connection->has_reader) {
		/* It is about to find out, and goes on from there. */
		shutdown(connection->fd, SHUT_RDWR);
		hawser__loop_wake(connection->loop);
	} else if (!connection->is_busy) {
		go_away(connection);
	}
}

/* Writes a last frame on the socket, past everything that is queued; in the middle
 * of a frame it would be taken for that frame's rest. */
static void say_farewell(struct hawser__connection *connection,
			 const struct hawser__problem *problem)
{
	struct hawser__pool pool = {.small.free = NULL};
	struct hawser__session last;
	struct iovec piece[1];

	if (connection->fd < 0 || connection->session.log.partial ||
	    connection->session.control.length)
		return;
	hawser__session_init(&last, true, 0, &pool);
	last.state = HAWSER__SESSION_OPEN;
	last.last_call = connection->session.last_call;
	if (hawser__session_put_close(&last, problem) && hawser__session_peek(&last, piece, 1))
		hawser__socket_send(connection->fd, piece, 1);
	hawser__session_deinit(&last);
	hawser__pool_deinit(&pool);
}

void hawser__connection_give_up(struct hawser__connection *connection, Hawser__Reason reason,
				const char *format, ...)
{
	struct hawser__problem problem = {.reason = reason};
	char peer[128];
	va_list arguments;

	if (connection->is_lost || connection->is_broken)
		return;
	va_start(arguments, format);
	vsnprintf(problem.text, sizeof problem.text, format, arguments);
	va_end(arguments);
	if (!connection->holds) {
		hawser__connection_close(connection, reason, "%s", problem.text);
		return;
	}
	hawser__log(HAWSER_LOG_INFO, "%s: %s",
		    hawser__connection_peer(connection, peer, sizeof peer), problem.text);
	say_farewell(connection, &problem);
	if (connection->fd >= 0)
		hawser__socket_finish(connection->fd);
	hawser__connection_break(connection, 0, "%s", problem.text);
}

void hawser__connection_close(struct hawser__connection *connection, Hawser__Reason reason,
			      const char *format, ...)
{
	struct hawser__problem problem = {.reason = reason};
	char peer[128];
	va_list arguments;
	bool is_error = reason == HAWSER__REASON__REASON_PROTOCOL_ERROR ||
			reason == HAWSER__REASON__REASON_TOO_LARGE;

	if (connection->is_lost || connection->is_closing)
		return;
	va_start(arguments, format);
	vsnprintf(problem.text, sizeof problem.text, format, arguments);
	va_end(arguments);
	hawser__log(is_error ? HAWSER_LOG_WARNING : HAWSER_LOG_INFO, "%s: closed: %s",
		    hawser__connection_peer(connection, peer, sizeof peer), problem.text);

	if (connection->fd < 0) {
		hawser__connection_lose(connection, HAWSER_UNAVAILABLE, 0, "%s", problem.text);
		return;
	}
	if (connection->ops->closing)
		connection->ops->closing(connection, reason);
	if (hawser__connection_put_close(connection, &problem) < 0) {
		hawser__connection_lose(connection, HAWSER_UNAVAILABLE, -ENOMEM, "%s",
					problem.text);
		return;
	}
	if (!connection->session.is_server) {
		/* A server has nothing to say to this that could get lost. */
		hawser__connection_send_out(connection);
		hawser__connection_lose(connection, HAWSER_UNAVAILABLE, -EPROTO, "%s: %s", peer,
					problem.text);
		return;
	}
	hawser__incoming_detach_all(connection);
	connection->is_closing = true;
	connection->is_paused = false;
	connection->skip = 0;
	forget_straight(connection);
	free(connection->in);
	connection->in = NULL;
	connection->in_length = connection->in_capacity = 0;
	/* To close the socket now could destroy, in the peer's receive queue, the very frame
	 * that says why: wait a moment for the peer to close. */
	hawser__loop_set_alarm(connection->loop, &connection->alarm,
			       connection->loop->now_ms + LINGER_MS);
	hawser__connection_flush_soon(connection);
}

void hawser__connection_call_ended(struct hawser__connection *connection)
{
	connection->call_ms = connection->loop->now_ms;
	if (hawser__connection_is_calm(connection) && connection->ops->calm && !connection->is_lost)
		connection->ops->calm(connection);
}

static void on_alarm(struct hawser__alarm *alarm)
{
	struct hawser__connection *connection =
		hawser__container_of(alarm, struct hawser__connection, alarm);

	if (connection->is_closing)
		hawser__connection_lose(connection, HAWSER_UNAVAILABLE, 0, "closed");
	else if (connection->ops->alarm)
		connection->ops->alarm(connection);
}

static void on_ack_alarm(struct hawser__alarm *alarm)
{
	struct hawser__connection *connection =
		hawser__container_of(alarm, struct hawser__connection, ack_alarm);

	bool owes_ack = hawser__session_owes_ack(&connection->session);

	if (!hawser__connection_is_open(connection) ||
	    (!owes_ack && !hawser__connection_is_owing(connection)))
		return;
	/* A connection that is in use has a frame to send soon. */
	if (owes_ack && !hawser__session_urge_ack(&connection->session))
		hawser__connection_put_ack(connection);
	hawser__connection_flush(connection);
}

static void on_slow_alarm(struct hawser__alarm *alarm)
{
	hawser__connection_check_slow(
		hawser__container_of(alarm, struct hawser__connection, patience.alarm));
}

static void on_flush(struct hawser__deferred *deferred)
{
	hawser__connection_flush(hawser__container_of(deferred, struct hawser__connection, flush));
}

void hawser__connection_settle(struct hawser__connection *connection)
{
	connection->is_busy = false;
	if (connection->is_lost)
		finish(connection);
	else if (connection->is_broken && !connection->has_reader)
		go_away(connection);
	else
		hawser__connection_flush(connection);
}

/* ---- what the line holds ---- */

void hawser__connection_measure(struct hawser__connection *connection, size_t bytes)
{
	if (!hawser__line_came(&connection->line, bytes) ||
	    !hawser__line_probe(&connection->line, hawser__now_us()))
		return;
	if (hawser__connection_put_number(connection, HAWSER__FRAME_PING, PROBE) < 0)
		hawser__line_lost(&connection->line);
}

/* ---- frames in ---- */

/* It did not unpack, for hawser__unpack()'s errno. */
static void refuse_frame(struct hawser__connection *connection, const char *name)
{
	if (errno == ENOMEM)
		hawser__connection_lose(connection, HAWSER_RESOURCE_EXHAUSTED, -ENOMEM,
					"out of memory");
	else
		hawser__connection_close(connection, HAWSER__REASON__REASON_PROTOCOL_ERROR,
					 "%s: its fields are not valid", name);
}

/* Unpacks the body of a rare frame, hands it to the owner, frees it. */
#define HAND_ON(connection, frame, name, type)                                                     \
	do {                                                                                       \
		Hawser__##type *message = (Hawser__##type *)(void *)hawser__unpack(                \
			&hawser__##name##__descriptor, NULL, (frame)->body, (frame)->body_length); \
		if (!message) {                                                                    \
			refuse_frame(connection, #name);                                           \
			return;                                                                    \
		}                                                                                  \
		if ((connection)->ops->name)                                                       \
			(connection)->ops->name(connection, message);                              \
		hawser__##name##__free_unpacked(message, NULL);                                    \
	} while (0)

static void on_close(struct hawser__connection *connection, const struct hawser__frame *frame)
{
	Hawser__Close *close = (Hawser__Close *)(void *)hawser__unpack(
		&hawser__close__descriptor, NULL, frame->body, frame->body_length);
	struct hawser_error why = {.status = HAWSER_UNAVAILABLE};

	if (!close) {
		refuse_frame(connection, "close");
		return;
	}
	snprintf(why.message, sizeof why.message, "the peer closed the connection: %s",
		 *close->text ? close->text : hawser__reason_name(close->reason));
	if (connection->ops->close)
		connection->ops->close(connection, close);
	/* Before any callback runs: what it calls in turn must not go to this connection. */
	if (close->reason == HAWSER__REASON__REASON_DRAINING) {
		connection->is_draining = true;
	} else if (close->reason == HAWSER__REASON__REASON_SILENT && connection->holds) {
		/* The connection alone: the session goes on with the next one. */
		hawser__connection_break(connection, 0, "%s", why.message);
		hawser__close__free_unpacked(close, NULL);
		return;
	} else {
		hawser__connection_lose(connection, HAWSER_UNAVAILABLE, 0, "%s", why.message);
	}
	/* Those have not run and never will: their callers may try elsewhere. */
	hawser__outgoing_fail_above(connection, close->last_call, &why);
	if (connection->is_draining && hawser__connection_is_calm(connection))
		hawser__connection_lose(connection, HAWSER_UNAVAILABLE, 0, "%s", why.message);
	hawser__close__free_unpacked(close, NULL);
}

static const struct hawser_method *method_of(struct hawser__connection *connection,
					     const struct hawser__frame *frame)
{
	const struct hawser__entry *entry;
	const struct hawser_call *call;

	if (frame->kind == HAWSER__FRAME_CALL) {
		entry = connection->serving ? hawser__registry_find(connection->serving->registry,
								    frame->method)
					    : NULL;
		return entry ? entry->method : NULL;
	}
	call = hawser__frame_is_counted(frame->kind)
		       ? hawser__call_table_find(&connection->calls, frame->id)
		       : NULL;
	return call ? call->method : NULL;
}

static void trace(struct hawser__connection *connection, const struct hawser__frame *frame)
{
	const struct hawser_call *call =
		frame->kind == HAWSER__FRAME_MESSAGE
			? hawser__call_table_find(&connection->calls, frame->id)
			: NULL;

	if (frame->size > frame->payload_length || (call && call->stream && call->stream->coming))
		hawser__trace_piece(connection, false, frame, method_of(connection, frame));
	else
		hawser__trace_frame(connection, false, frame, method_of(connection, frame));
}

void hawser__connection_on_frame(struct hawser__connection *connection,
				 const struct hawser__frame *frame)
{
	if (connection->is_traced)
		trace(connection, frame);

	switch (frame->kind) {
	case HAWSER__FRAME_CALL:
		connection->call_ms = connection->loop->now_ms;
		if (hawser__incoming_call(connection, frame) < 0)
			hawser__connection_lose(connection, HAWSER_RESOURCE_EXHAUSTED, -ENOMEM,
						"out of memory");
		break;
	case HAWSER__FRAME_END:
		hawser__outgoing_end(connection, frame);
		break;
	case HAWSER__FRAME_CANCEL:
		hawser__incoming_cancel(connection, frame->id);
		break;
	case HAWSER__FRAME_PING:
		if (hawser__connection_put_number(connection, HAWSER__FRAME_PONG, frame->id) < 0)
			hawser__connection_break(connection, -ENOMEM, "out of memory");
		else if (connection->session.is_server)
			/* The client's heartbeat; ours goes along. */
			hawser__peer_probe(connection);
		break;
	case HAWSER__FRAME_PONG:
		if (frame->id == PROBE)
			hawser__line_answered(&connection->line, hawser__now_us());
		else if (!hawser__peer_ponged(connection, frame->id) && connection->ops->pong)
			connection->ops->pong(connection, frame->id);
		break;
	case HAWSER__FRAME_OPEN:
		HAND_ON(connection, frame, open, Open);
		break;
	case HAWSER__FRAME_OPENED:
		HAND_ON(connection, frame, opened, Opened);
		break;
	case HAWSER__FRAME_REJECTED:
		HAND_ON(connection, frame, rejected, Rejected);
		break;
	case HAWSER__FRAME_SHUTDOWN:
		HAND_ON(connection, frame, shutdown, Shutdown);
		break;
	case HAWSER__FRAME_CLOSE:
		on_close(connection, frame);
		break;
	case HAWSER__FRAME_MESSAGE:
		hawser__stream_message(connection, frame);
		break;
	case HAWSER__FRAME_WINDOW:
		hawser__stream_window(connection, frame->id, frame->window);
		break;
	case HAWSER__FRAME_HELLO:
		HAND_ON(connection, frame, hello, Hello);
		break;
	case HAWSER__FRAME_IGNORED:
	case HAWSER__FRAME_KINDS:
		break;
	}
}

void hawser__connection_on_oversized(struct hawser__connection *connection,
				     const struct hawser__frame *frame)
{
	if (connection->is_traced)
		hawser__trace_frame(connection, false, frame, NULL);
	if (frame->kind == HAWSER__FRAME_CALL)
		hawser__incoming_oversized(connection, frame);
	else if (frame->kind == HAWSER__FRAME_MESSAGE)
		hawser__stream_message(connection, frame);
	else if (frame->kind == HAWSER__FRAME_END)
		hawser__outgoing_oversized(connection, frame);
}
