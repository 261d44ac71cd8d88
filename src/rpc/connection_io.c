/* The socket of a connection: bytes in, cut into frames, and bytes out. */

#include "net/socket.h"
#include "rpc/connection.h"
#include "rpc/incoming.h"
#include "rpc/peer.h"
#include "rpc/stream.h"
#include "util/alloc.h"
#include "util/error.h"
#include "wire/outbox.h"
#include <errno.h>
#include <string.h>

enum {
	/* An unfinished frame's buffer grows by this at least: a peer must send bytes
	 * before it can make us hold memory for them. */
	GROW_BYTES = 64 * 1024,
	/* What an eager connection sends at once: about a segment of Ethernet. */
	EAGER_BYTES = 1460,
	/* What one write is given at most. */
	PIECES_MAX = 64,
	/* After this long an acknowledgement goes with the next frame; after as long again, alone.
	 */
	ACK_MS = 100,
	/* A log's size is added to the server's total in steps of this. */
	COUNT_BYTES = 64 * 1024,
	/* Received beyond a frame whose payload goes straight to its place: the next one's head,
	 * and little of its payload, which would have to be copied. */
	BEYOND_BYTES = 4 * 1024,
	/* Receives in a row for such frames before others have their turn. */
	STRAIGHT_TURNS = 8,
};

/* ---- the event ---- */

static void on_event(evutil_socket_t fd, short what, void *data)
{
	struct hawser__connection *connection = data;

	(void)fd;
	hawser__loop_update_now(connection->loop);
	if (what & EV_WRITE && !hawser__connection_flush(connection))
		return;
	if (what & EV_READ && connection->fd >= 0)
		hawser__connection_receive(connection);
}

void hawser__connection_unwatch(struct hawser__connection *connection)
{
	if (connection->is_watched)
		event_del(&connection->event);
	connection->is_watched = connection->is_reading = false;
}

int hawser__connection_watch(struct hawser__connection *connection)
{
	short what = EV_PERSIST;

	if (!connection->loop->base)
		return 0;
	hawser__connection_unwatch(connection);
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

static bool is_over(const struct hawser__connection *connection)
{
	return connection->is_lost || connection->is_broken || connection->is_closing ||
	       connection->is_moving;
}

static bool is_full(const struct hawser__connection *connection)
{
	/* Only what makes us answer has to wait for room; a client's replies do not. And only one
	 * end may wait for the other to read, or both would. */
	return connection->serving && connection->session.is_server &&
	       hawser__session_unwritten(&connection->session) > connection->max_unsent;
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
	if (!*is_eager || hawser__session_unwritten(&connection->session) < EAGER_BYTES ||
	    connection->wants_write || is_over(connection))
		return false;
	*is_eager = !hawser__connection_send_out(connection);
	return *is_eager;
}

/* Another connection goes on from here, with all that came. */
static void move(struct hawser__connection *connection, uint8_t *data, size_t length,
		 size_t open_length)
{
	int fd = connection->fd;

	hawser__connection_unwatch(connection);
	connection->fd = -1;
	hawser__connection_lose(connection, HAWSER_OK, 0, "moved");
	connection->ops->move(connection, fd, data, length, open_length);
}

/* What has come ends within a piece of a large message, whose rest may be received where it stays.
 * False: it may not. */
static bool go_straight(struct hawser__connection *connection, const uint8_t *data, size_t length)
{
	struct hawser__arrival *arrival;
	struct hawser__frame frame;
	size_t head, here;

	if (!hawser__session_begins_message(&connection->session, data, length, &frame))
		return false;
	arrival = hawser__stream_place(connection, &frame);
	if (!arrival)
		return false;
	head = (size_t)(frame.payload - data);
	here = length - head;
	memcpy(arrival->at, frame.payload, here);
	arrival->frame = frame;
	arrival->frame.payload = arrival->at;
	/* Is not there any more when the rest has come, but there was one. */
	arrival->frame.body = arrival->at;
	arrival->frame.body_length = 0;
	arrival->frame_length = head + frame.payload_length;
	arrival->at += here;
	arrival->left = frame.payload_length - here;
	connection->straight = arrival;
	return true;
}

/* The rest of such a frame has come. */
static void straight_came(struct hawser__connection *connection)
{
	struct hawser__arrival *arrival = connection->straight;
	struct hawser__problem problem;
	int r = hawser__session_took_message(&connection->session, &arrival->frame,
					     arrival->frame_length, &problem);

	connection->straight = NULL;
	if (r < 0) {
		hawser__connection_close(connection, problem.reason, "%s", problem.text);
		if (arrival->is_orphan)
			hawser__arrival_free(arrival);
	} else if (arrival->is_orphan) {
		/* Its call is over. */
		hawser__arrival_free(arrival);
	} else {
		hawser__connection_on_frame(connection, &arrival->frame);
	}
}

static void process(struct hawser__connection *connection, uint8_t *data, size_t length)
{
	struct hawser__problem problem;
	struct hawser__frame frame;
	bool is_try = begin_batch(connection, length);
	bool is_eager = connection->is_eager || is_try;
	int n_sends = 0, unread = 0;
	size_t need = 0;

	while (length && !is_over(connection)) {
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
			hawser__connection_on_frame(connection, &frame);
			if (connection->is_moving) {
				move(connection, data, length, (size_t)taken);
				return;
			}
			data += taken;
			length -= (size_t)taken;
			if (send_early(connection, &is_eager) && is_try && n_sends++ == 0)
				unread = hawser__socket_unread(connection->fd);
		} else if (taken == -EMSGSIZE) {
			connection->skip = need;
			need = 0;
			hawser__connection_on_oversized(connection, &frame);
		} else if (taken < 0) {
			hawser__connection_close(connection, problem.reason, "%s", problem.text);
			return;
		} else {
			break;
		}
	}
	if (is_over(connection))
		return;
	if (n_sends > 1)
		connection->is_eager = hawser__socket_peer_is_parallel(connection->fd, unread);
	if (length == 0 && !connection->in)
		return;
	if (length < need && go_straight(connection, data, length))
		length = 0;
	if (keep_rest(connection, data, length, need) < 0)
		hawser__connection_lose(connection, HAWSER_RESOURCE_EXHAUSTED, -ENOMEM,
					"out of memory for a frame of %zu bytes", need);
}

/* A small beginning moves to the shared buffer, so that one receive can take
 * many frames; a large frame is received where it stays. */
static bool uses_scratch(const struct hawser__connection *connection)
{
	return connection->in_capacity <= HAWSER__READ_BYTES / 2;
}

int hawser__connection_room(struct hawser__connection *connection,
			    struct iovec rooms[HAWSER__ROOMS])
{
	uint8_t *scratch = connection->loop->scratch;

	if (connection->straight) {
		rooms[0] = (struct iovec){connection->straight->at, connection->straight->left};
		rooms[1] = (struct iovec){scratch, BEYOND_BYTES};
		return 2;
	}
	if (uses_scratch(connection)) {
		if (connection->in_length)
			memcpy(scratch, connection->in, connection->in_length);
		rooms[0] = (struct iovec){scratch + connection->in_length,
					  HAWSER__READ_BYTES - connection->in_length};
		return 1;
	}
	if (connection->in_capacity == connection->in_length) {
		uint8_t *grown =
			hawser__realloc(connection->in, connection->in_capacity + GROW_BYTES);

		if (!grown)
			return -ENOMEM;
		connection->in = grown;
		connection->in_capacity += GROW_BYTES;
	}
	rooms[0] = (struct iovec){connection->in + connection->in_length,
				  connection->in_capacity - connection->in_length};
	return 1;
}

/* A frame that takes long to come leaves us with nothing to say, and keeps the peer's pings
 * waiting behind it. The peer must not take that for silence. */
static void give_sign_of_life(struct hawser__connection *connection)
{
	if ((connection->in_length || connection->straight || connection->skip) &&
	    hawser__connection_is_open(connection) &&
	    connection->loop->now_ms - connection->sent_ms >= connection->heartbeat_ms)
		hawser__connection_put_ack(connection);
}

/* So many bytes came where there was room for them. */
static void take_in(struct hawser__connection *connection, size_t n)
{
	struct hawser__arrival *straight = connection->straight;
	size_t length = connection->in_length + n;

	connection->in_length = 0;
	if (connection->is_closing) {
		/* Whatever still comes is of no interest. */
	} else if (straight) {
		size_t part = n < straight->left ? n : straight->left;

		straight->at += part;
		straight->left -= part;
		if (straight->left)
			return;
		straight_came(connection);
		if (n > part && !is_over(connection))
			process(connection, connection->loop->scratch, n - part);
	} else if (uses_scratch(connection)) {
		process(connection, connection->loop->scratch, length);
	} else {
		connection->in_length = length;
		process(connection, connection->in, length);
	}
}

void hawser__connection_received(struct hawser__connection *connection, ssize_t n)
{
	char text[128];

	if (connection->is_broken) {
		/* While the thread that brings this was away. */
		if (!connection->is_busy)
			hawser__connection_settle(connection);
		return;
	}
	if (n == -EAGAIN || n == -EINTR)
		return;
	connection->is_busy = true;
	connection->heard_ms = connection->loop->now_ms;
	if (connection->peer)
		atomic_store_explicit(&connection->peer->heard_ms, connection->heard_ms,
				      memory_order_relaxed);
	if (n > 0) {
		take_in(connection, (size_t)n);
	} else if (n == 0) {
		hawser__connection_break(connection, 0, "%s",
					 connection->is_closing ? "closed"
								: "the peer closed the connection");
	} else {
		hawser__connection_break(connection, (int)n, "the connection broke: %s",
					 hawser__errno_text((int)n, text, sizeof text));
	}
	give_sign_of_life(connection);
	hawser__connection_settle(connection);
}

void hawser__connection_feed(struct hawser__connection *connection, uint8_t *data, size_t length)
{
	connection->is_busy = true;
	connection->heard_ms = connection->loop->now_ms;
	process(connection, data, length);
	hawser__connection_settle(connection);
}

void hawser__connection_receive(struct hawser__connection *connection)
{
	struct iovec rooms[HAWSER__ROOMS];
	int turns = 0;

	/* More of a large message is there, most likely; the event would only cost time. */
	do {
		int count = hawser__connection_room(connection, rooms);
		ssize_t n = count < 0 ? count
				      : hawser__socket_receive_into(connection->fd, rooms, count);
		bool is_gone = false;

		connection->is_gone = &is_gone;
		hawser__connection_received(connection, n);
		if (is_gone)
			return;
		connection->is_gone = NULL;
		if (n <= 0)
			return;
	} while (connection->straight && connection->fd >= 0 && !connection->is_paused &&
		 ++turns < STRAIGHT_TURNS);
}

/* ---- bytes out ---- */

bool hawser__connection_send_out(struct hawser__connection *connection)
{
	struct hawser__session *session = &connection->session;
	struct iovec pieces[PIECES_MAX];
	char text[128];

	while (!connection->is_mute) {
		int count;
		ssize_t n;

		hawser__session_fill(session);
		if (!hawser__session_unwritten(session))
			break;
		count = hawser__session_peek(session, pieces, PIECES_MAX);
		n = hawser__socket_send(connection->fd, pieces, count);

		if (n == -EAGAIN)
			return true;
		if (n == -EPIPE && !connection->is_paused) {
			/* What the peer said before it went is still to be read, and tells
			 * more than a broken pipe. */
			connection->is_mute = true;
			return false;
		}
		if (n < 0) {
			hawser__connection_break(connection, (int)n, "the connection broke: %s",
						 hawser__errno_text((int)n, text, sizeof text));
			return false;
		}
		connection->sent_ms = connection->loop->now_ms;
		hawser__session_wrote(session, (size_t)n);
	}
	return false;
}

void hawser__connection_push(struct hawser__session *session)
{
	struct hawser__connection *connection =
		hawser__container_of(session, struct hawser__connection, session);
	struct iovec pieces[PIECES_MAX];

	/* Whatever is wrong with the socket shows when it is written to the next time. */
	while (connection->fd >= 0 && !connection->wants_write && !connection->is_mute &&
	       !is_over(connection)) {
		ssize_t n;

		hawser__session_fill(session);
		if (!hawser__session_unwritten(session))
			return;
		n = hawser__socket_send(connection->fd, pieces,
					hawser__session_peek(session, pieces, PIECES_MAX));
		if (n <= 0)
			return;
		connection->sent_ms = connection->loop->now_ms;
		hawser__session_wrote(session, (size_t)n);
	}
}

static void set_ack_alarm(struct hawser__connection *connection)
{
	if (!hawser__timer_is_set(&connection->ack_alarm.timer))
		hawser__loop_set_alarm(connection->loop, &connection->ack_alarm,
				       connection->loop->now_ms + ACK_MS);
}

/* Tells the peer what has come, at once if it is much, else soon. */
static void acknowledge(struct hawser__connection *connection)
{
	struct hawser__session *session = &connection->session;

	if (!hawser__session_owes_ack(session))
		return;
	if (hawser__session_must_ack(session))
		hawser__connection_put_ack(connection);
	else
		set_ack_alarm(connection);
}

/* Adds what the log has grown by to the total, or takes away what it has shrunk by. */
static void count_log(struct hawser__connection *connection)
{
	size_t length = hawser__session_backlog(&connection->session),
	       counted = connection->log_counted;
	size_t change = length > counted ? length - counted : counted - length;

	if (!connection->log_total || change == 0 ||
	    (change < COUNT_BYTES && connection->fd >= 0 && length))
		return;
	if (length > counted)
		atomic_fetch_add_explicit(connection->log_total, change, memory_order_relaxed);
	else
		atomic_fetch_sub_explicit(connection->log_total, change, memory_order_relaxed);
	connection->log_counted = length;
	if (length > counted && connection->ops->grown)
		connection->ops->grown(connection);
}

bool hawser__connection_flush(struct hawser__connection *connection)
{
	const struct hawser__session *session = &connection->session;
	bool wants_write, was_paused = connection->is_paused;

	if (connection->is_lost || connection->is_broken || connection->is_busy)
		return !connection->is_lost;
	connection->is_busy = true;
	if (hawser__connection_is_owing(connection))
		hawser__stream_repay(connection);
	hawser__stream_unblock(connection);
	if (connection->fd < 0) {
		count_log(connection);
		connection->is_busy = false;
		if (!connection->is_lost)
			return true;
		hawser__connection_settle(connection);
		return false;
	}
	for (;;) {
		acknowledge(connection);
		wants_write = hawser__connection_send_out(connection);
		/* The last thing that waited was the end of a call that is long over here. */
		if (connection->is_draining && hawser__connection_is_calm(connection) &&
		    !is_over(connection)) {
			connection->ops->calm(connection);
			continue;
		}
		if (!connection->is_paused || is_over(connection) ||
		    hawser__session_unwritten(&connection->session) > connection->max_unsent / 2)
			break;
		/* There is room again: what had to wait goes on. */
		connection->is_paused = false;
		process(connection, connection->in, connection->in_length);
	}
	if (connection->is_closing &&
	    (connection->is_mute || !hawser__session_unwritten(&connection->session)))
		hawser__socket_finish(connection->fd);
	if (!connection->is_lost && !connection->is_broken &&
	    (wants_write != connection->wants_write || was_paused != connection->is_paused ||
	     (connection->is_paused && connection->is_reading))) {
		connection->wants_write = wants_write;
		if (hawser__connection_watch(connection) < 0)
			hawser__connection_lose(connection, HAWSER_RESOURCE_EXHAUSTED, -ENOMEM,
						"out of memory");
	}
	count_log(connection);
	/* What left may have been all that others waited for. */
	hawser__stream_unblock_soon(connection);
	if (connection->patience.policy != HAWSER_SLOW_PEER_WAIT &&
	    hawser__session_backlog(session))
		hawser__connection_watch_slow(connection);
	if (connection->ops->written)
		connection->ops->written(connection);
	connection->is_busy = false;
	/* Who receives for all must watch for room as well, now. */
	if (wants_write && connection->has_reader)
		hawser__loop_wake(connection->loop);
	if (!connection->is_lost && !connection->is_broken)
		return true;
	hawser__connection_settle(connection);
	return false;
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

void hawser__connection_flush_later(struct hawser__connection *connection)
{
	if (!connection->loop->base)
		hawser__loop_wake(connection->loop);
	else
		set_ack_alarm(connection);
}
