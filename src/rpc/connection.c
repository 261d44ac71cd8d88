/* A connection from its first byte to its last; connection.h gives the idea. */

#include "rpc/connection.h"

#include "net/socket.h"
#include "rpc/agreement.h"
#include "rpc/incoming.h"
#include "rpc/metadata.h"
#include "rpc/outgoing.h"
#include "rpc/trace.h"
#include "util/alloc.h"
#include "util/error.h"
#include "util/log.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	/* An unfinished frame's buffer grows by this at least: a peer must send bytes
	 * before it can make us hold memory for them. */
	GROW_BYTES = 64 * 1024,
	/* What an eager connection sends at once: about a segment of Ethernet. */
	EAGER_BYTES = 1460,
	/* How long a connection that said close waits for the peer to close, too. */
	LINGER_MS = 1000,
};

static void on_event(evutil_socket_t fd, short what, void *data);
static void on_alarm(struct hawser__alarm *alarm);
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
	connection->fd = -1;
	connection->is_traced = hawser__trace_enabled();
	connection->held = SIZE_MAX;
	connection->max_unsent = setup->max_unsent;
	connection->max_peer_message = SIZE_MAX;
	connection->heard_ms = connection->sent_ms = connection->call_ms = setup->loop->now_ms;
	hawser__session_init(&connection->session, setup->is_server, setup->max_payload,
			     &setup->loop->pool);
	hawser__list_init(&connection->incoming);
	hawser__list_init(&connection->outgoing);
	hawser__list_init(&connection->link);
	hawser__list_init(&connection->flush.link);
	connection->flush.run = on_flush;
	hawser__alarm_init(&connection->alarm, on_alarm);
	return connection;
}

static void unwatch(struct hawser__connection *connection)
{
	if (connection->is_watched)
		event_del(&connection->event);
	connection->is_watched = connection->is_reading = false;
}

void hawser__connection_free(struct hawser__connection *connection)
{
	if (!connection)
		return;
	unwatch(connection);
	hawser__list_unlink(&connection->flush.link);
	hawser__list_unlink(&connection->link);
	hawser__loop_clear_alarm(connection->loop, &connection->alarm);
	if (connection->fd >= 0)
		close(connection->fd);
	hawser__session_deinit(&connection->session);
	hawser__call_table_deinit(&connection->calls);
	hawser__map_deinit(&connection->announced);
	hawser__agreement_forget(&connection->refused);
	free(connection->in);
	free(connection->why);
	free(connection);
}

/* Makes the event ask for what the state needs. */
static int watch(struct hawser__connection *connection)
{
	short what = EV_PERSIST;

	if (!connection->loop->base)
		return 0;
	unwatch(connection);
	if (!connection->is_paused)
		what |= EV_READ;
	if (connection->wants_write)
		what |= EV_WRITE;
	if (what == EV_PERSIST)
		return 0;
	event_assign(&connection->event, connection->loop->base, connection->fd, what, on_event,
		     connection);
	if (event_add(&connection->event, NULL) < 0)
		return -ENOMEM;
	connection->is_watched = true;
	connection->is_reading = !connection->is_paused;
	return 0;
}

int hawser__connection_attach(struct hawser__connection *connection, int fd)
{
	connection->fd = fd;
	return watch(connection);
}

const char *hawser__connection_peer(struct hawser__connection *connection, char *buffer,
				    size_t size)
{
	if (!connection->name)
		return hawser__socket_peer(connection->fd, buffer, size);
	snprintf(buffer, size, "%s", connection->name);
	return buffer;
}

/* ---- the end ---- */

/* Tells everyone who depends on the connection, once. The owner frees it. */
static void finish(struct hawser__connection *connection)
{
	struct hawser_error unknown = {.status = HAWSER_UNAVAILABLE, .message = "connection lost"};
	const struct hawser_error *why = connection->why ? connection->why : &unknown;

	unwatch(connection);
	hawser__list_unlink(&connection->flush.link);
	hawser__loop_clear_alarm(connection->loop, &connection->alarm);
	/* What they answer or start meanwhile must not come back here. */
	connection->is_busy = true;
	hawser__incoming_detach_all(connection);
	hawser__outgoing_fail_all(connection, why);
	connection->ops->lost(connection, why);
}

void hawser__connection_lose(struct hawser__connection *connection, enum hawser_status status,
			     int code, const char *format, ...)
{
	struct hawser_error *why;
	va_list arguments;

	/* The first reason counts. */
	if (connection->is_lost)
		return;
	connection->is_lost = true;
	connection->why = why = hawser__malloc(sizeof *why);
	if (why) {
		why->status = status;
		why->outcome = HAWSER_OUTCOME_UNKNOWN;
		why->code = code;
		va_start(arguments, format);
		vsnprintf(why->message, sizeof why->message, format, arguments);
		va_end(arguments);
	}
	if (!connection->is_busy)
		finish(connection);
}

static bool send_out(struct hawser__connection *connection);

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

	if (!connection->session.is_server && !connection->has_opened && !connection->held)
		/* Calls that were held back until it opens stay unsent. */
		hawser__buffer_consume(&connection->session.out, connection->session.out.length);
	if (connection->ops->closing)
		connection->ops->closing(connection, reason);
	if (hawser__connection_put_close(connection, &problem) < 0) {
		hawser__connection_lose(connection, HAWSER_UNAVAILABLE, -ENOMEM, "%s",
					problem.text);
		return;
	}
	if (!connection->session.is_server) {
		/* A server has nothing to say to this that could get lost. */
		connection->held = connection->held ? connection->held : SIZE_MAX;
		send_out(connection);
		hawser__connection_lose(connection, HAWSER_UNAVAILABLE, -EPROTO, "%s: %s", peer,
					problem.text);
		return;
	}
	hawser__incoming_detach_all(connection);
	connection->held = SIZE_MAX;
	connection->is_closing = true;
	connection->is_paused = false;
	connection->skip = 0;
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
	if (hawser__connection_calls(connection) == 0 && connection->ops->calm &&
	    !connection->is_lost)
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

/* ---- frames in ---- */

/* Unpacks the body of a rare frame, hands it to the owner, frees it. */
#define HAND_ON(connection, frame, name, type)                                               \
	do {                                                                                 \
		Hawser__##type *message =                                                    \
			hawser__##name##__unpack(NULL, (frame)->body_length, (frame)->body); \
		if (!message) {                                                              \
			hawser__connection_close(connection,                                 \
						 HAWSER__REASON__REASON_PROTOCOL_ERROR,      \
						 "%s: its fields are not valid", #name);     \
			return;                                                              \
		}                                                                            \
		if ((connection)->ops->name)                                                 \
			(connection)->ops->name(connection, message);                        \
		hawser__##name##__free_unpacked(message, NULL);                              \
	} while (0)

static void on_close(struct hawser__connection *connection, const struct hawser__frame *frame)
{
	Hawser__Close *close = hawser__close__unpack(NULL, frame->body_length, frame->body);
	struct hawser_error why = {.status = HAWSER_UNAVAILABLE};

	if (!close) {
		hawser__connection_close(connection, HAWSER__REASON__REASON_PROTOCOL_ERROR,
					 "close: its fields are not valid");
		return;
	}
	snprintf(why.message, sizeof why.message, "the peer closed the connection: %s",
		 *close->text ? close->text : hawser__reason_name(close->reason));
	if (connection->ops->close)
		connection->ops->close(connection, close);
	/* Before any callback runs: what it calls in turn must not go to this connection. */
	if (close->reason == HAWSER__REASON__REASON_DRAINING)
		connection->is_draining = true;
	else
		hawser__connection_lose(connection, HAWSER_UNAVAILABLE, 0, "%s", why.message);
	/* Those have not run and never will: their callers may try elsewhere. */
	hawser__outgoing_fail_above(connection, close->last_call, &why);
	if (connection->is_draining && hawser__connection_calls(connection) == 0)
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
	call = frame->kind >= HAWSER__FRAME_MESSAGE
		       ? hawser__call_table_find(&connection->calls, frame->id)
		       : NULL;
	return call ? call->method : NULL;
}

static void on_frame(struct hawser__connection *connection, const struct hawser__frame *frame)
{
	if (connection->is_traced)
		hawser__trace_frame(connection, false, frame, method_of(connection, frame));

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
			hawser__connection_lose(connection, HAWSER_RESOURCE_EXHAUSTED, -ENOMEM,
						"out of memory");
		break;
	case HAWSER__FRAME_PONG:
		if (connection->ops->pong)
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
	case HAWSER__FRAME_WINDOW:
		/* Only streams have them, and a stream's call was refused: these were on
		 * their way before its caller knew. */
	case HAWSER__FRAME_IGNORED:
	case HAWSER__FRAME_KINDS:
		break;
	}
}

static void on_oversized(struct hawser__connection *connection, const struct hawser__frame *frame)
{
	if (connection->is_traced)
		hawser__trace_frame(connection, false, frame, NULL);
	if (frame->kind == HAWSER__FRAME_CALL)
		hawser__incoming_oversized(connection, frame);
	else if (frame->kind == HAWSER__FRAME_END)
		hawser__outgoing_oversized(connection, frame);
}

/* ---- bytes in ---- */

/* Keeps what is left: the beginning of a frame whose whole length is `need` (0: not known yet), or
 * frames that have to wait. */
static int keep_rest(struct hawser__connection *connection, const uint8_t *data, size_t length,
		     size_t need)
{
	size_t capacity = connection->in_capacity;

	if (length == 0) {
		free(connection->in);
		connection->in = NULL;
		connection->in_length = connection->in_capacity = 0;
		return 0;
	}
	if (connection->in && data >= connection->in &&
	    data <= connection->in + connection->in_length) {
		memmove(connection->in, data, length);
		connection->in_length = length;
		data = NULL;
	}
	if (need > length + GROW_BYTES && need > 2 * length)
		need = length + (length > GROW_BYTES ? length : GROW_BYTES);
	if (need < length)
		need = length;
	if (need > capacity) {
		uint8_t *grown = hawser__realloc(connection->in, need);

		if (!grown)
			return -ENOMEM;
		connection->in = grown;
		connection->in_capacity = need;
	}
	if (data) {
		memcpy(connection->in, data, length);
		connection->in_length = length;
	}
	return 0;
}

static bool is_full(const struct hawser__connection *connection)
{
	/* Only what makes us answer has to wait for room; a client's replies do not. */
	return connection->serving && connection->session.out.length > connection->max_unsent;
}

/* A peer on another processor can work on the first frames while we deal with the rest: with
 * 64 calls in flight on two processors that is the difference between taking turns and working side
 * by side. On the same processor it would only cost system calls. So one batch in 256
 * is sent piece by piece, as a try. */
static bool begin_batch(struct hawser__connection *connection, size_t length)
{
	return length >= (size_t)2 * EAGER_BYTES && connection->batches++ == 0;
}

/* Whether something was sent. A socket that is full ends the eagerness for this batch. */
static bool send_early(struct hawser__connection *connection, bool *is_eager)
{
	if (!*is_eager || connection->session.out.length < EAGER_BYTES ||
	    connection->held != SIZE_MAX || connection->wants_write || connection->is_lost)
		return false;
	*is_eager = !send_out(connection);
	return *is_eager;
}

static void process(struct hawser__connection *connection, uint8_t *data, size_t length)
{
	struct hawser__problem problem;
	struct hawser__frame frame;
	bool is_try = begin_batch(connection, length);
	bool is_eager = connection->is_eager || is_try;
	int n_sends = 0, unread = 0;
	size_t need = 0;

	while (length && !connection->is_lost && !connection->is_closing) {
		ptrdiff_t taken;

		if (connection->skip) {
			size_t part = connection->skip < length ? (size_t)connection->skip : length;

			connection->skip -= part;
			data += part;
			length -= part;
			continue;
		}
		if (is_full(connection)) {
			connection->is_paused = true;
			need = 0;
			break;
		}
		taken = hawser__session_next(&connection->session, data, length, &frame, &need,
					     &problem);
		if (taken > 0) {
			on_frame(connection, &frame);
			data += taken;
			length -= (size_t)taken;
			if (send_early(connection, &is_eager) && is_try && n_sends++ == 0)
				unread = hawser__socket_unread(connection->fd);
		} else if (taken == -EMSGSIZE) {
			connection->skip = need;
			need = 0;
			on_oversized(connection, &frame);
		} else if (taken < 0) {
			hawser__connection_close(connection, problem.reason, "%s", problem.text);
			return;
		} else {
			break;
		}
	}
	if (connection->is_lost || connection->is_closing)
		return;
	if (n_sends > 1)
		connection->is_eager = hawser__socket_peer_is_parallel(connection->fd, unread);
	if (length == 0 && !connection->in)
		return;
	if (keep_rest(connection, data, length, need) < 0)
		hawser__connection_lose(connection, HAWSER_RESOURCE_EXHAUSTED, -ENOMEM,
					"out of memory for a frame of %zu bytes", need);
}

uint8_t *hawser__connection_room(struct hawser__connection *connection, size_t *size)
{
	uint8_t *scratch = connection->loop->scratch;

	/* A small beginning moves to the shared buffer, so that one receive can take
	 * many frames; a large frame is received where it stays. */
	if (connection->in_capacity <= HAWSER__READ_BYTES / 2) {
		if (connection->in_length)
			memcpy(scratch, connection->in, connection->in_length);
		*size = HAWSER__READ_BYTES - connection->in_length;
		return scratch + connection->in_length;
	}
	if (connection->in_capacity == connection->in_length) {
		uint8_t *grown =
			hawser__realloc(connection->in, connection->in_capacity + GROW_BYTES);

		if (!grown)
			return NULL;
		connection->in = grown;
		connection->in_capacity += GROW_BYTES;
	}
	*size = connection->in_capacity - connection->in_length;
	return connection->in + connection->in_length;
}

void hawser__connection_settle(struct hawser__connection *connection)
{
	connection->is_busy = false;
	if (connection->is_lost)
		finish(connection);
	else
		hawser__connection_flush(connection);
}

void hawser__connection_received(struct hawser__connection *connection, ssize_t n)
{
	char text[128];

	if (n == -EAGAIN || n == -EINTR)
		return;
	connection->is_busy = true;
	connection->heard_ms = connection->loop->now_ms;
	if (n > 0) {
		size_t length = connection->in_length + (size_t)n;

		connection->in_length = 0;
		if (connection->is_closing) {
			/* Whatever still comes is of no interest. */
		} else if (connection->in_capacity <= HAWSER__READ_BYTES / 2) {
			process(connection, connection->loop->scratch, length);
		} else {
			connection->in_length = length;
			process(connection, connection->in, length);
		}
	} else if (n == 0) {
		hawser__connection_lose(connection, HAWSER_UNAVAILABLE, 0, "%s",
					connection->is_closing ? "closed"
							       : "the peer closed the connection");
	} else {
		hawser__connection_lose(connection, HAWSER_UNAVAILABLE, (int)n,
					"the connection broke: %s",
					hawser__errno_text((int)n, text, sizeof text));
	}
	hawser__connection_settle(connection);
}

void hawser__connection_receive(struct hawser__connection *connection)
{
	size_t size;
	uint8_t *room = hawser__connection_room(connection, &size);
	ssize_t n = room ? hawser__socket_receive(connection->fd, room, size) : -ENOMEM;

	hawser__connection_received(connection, n);
}

static void on_event(evutil_socket_t fd, short what, void *data)
{
	struct hawser__connection *connection = data;

	(void)fd;
	hawser__loop_update_now(connection->loop);
	if (what & EV_WRITE && !hawser__connection_flush(connection))
		return;
	if (what & EV_READ)
		hawser__connection_receive(connection);
}

/* ---- bytes out ---- */

/* Sends what may go. True: the socket is full. */
static bool send_out(struct hawser__connection *connection)
{
	struct hawser__buffer *out = &connection->session.out;
	char text[128];

	while (out->length && connection->held) {
		ssize_t n = hawser__socket_send(connection->fd, out, connection->held);

		if (n == -EAGAIN)
			return true;
		if (n == -EPIPE && !connection->is_paused) {
			/* What the peer said before it went is still to be read, and tells
			 * more than a broken pipe. */
			hawser__buffer_consume(out, out->length);
			return false;
		}
		if (n < 0) {
			hawser__connection_lose(connection, HAWSER_UNAVAILABLE, (int)n,
						"the connection broke: %s",
						hawser__errno_text((int)n, text, sizeof text));
			return false;
		}
		connection->sent_ms = connection->loop->now_ms;
		if (connection->held != SIZE_MAX)
			connection->held -= (size_t)n;
	}
	return false;
}

bool hawser__connection_flush(struct hawser__connection *connection)
{
	bool wants_write, was_paused = connection->is_paused;

	if (connection->is_lost || connection->fd < 0 || connection->is_busy)
		return !connection->is_lost;
	connection->is_busy = true;
	for (;;) {
		wants_write = send_out(connection);
		if (!connection->is_paused || connection->is_lost ||
		    connection->session.out.length > connection->max_unsent / 2)
			break;
		/* There is room again: what had to wait goes on. */
		connection->is_paused = false;
		process(connection, connection->in, connection->in_length);
	}
	if (connection->is_closing && !connection->session.out.length)
		hawser__socket_finish(connection->fd);
	if (!connection->is_lost &&
	    (wants_write != connection->wants_write || was_paused != connection->is_paused ||
	     (connection->is_paused && connection->is_reading))) {
		connection->wants_write = wants_write;
		if (watch(connection) < 0)
			hawser__connection_lose(connection, HAWSER_RESOURCE_EXHAUSTED, -ENOMEM,
						"out of memory");
	}
	connection->is_busy = false;
	if (connection->is_lost) {
		finish(connection);
		return false;
	}
	return true;
}

static void on_flush(struct hawser__deferred *deferred)
{
	hawser__connection_flush(hawser__container_of(deferred, struct hawser__connection, flush));
}

void hawser__connection_flush_soon(struct hawser__connection *connection)
{
	/* In the middle of received frames the end of them flushes. */
	if (connection->is_busy)
		return;
	if (connection->loop->base)
		hawser__loop_defer(connection->loop, &connection->flush);
	else
		hawser__connection_flush(connection);
}
