/* What the peer says, and how; peer.h says what it is for. */

#include "peer.h"

#include "../fuzz.h"
#include "wire/wire.pb-c.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- bytes ---- */

void bytes_add(struct bytes *bytes, const void *data, size_t length)
{
	if (bytes->length + length > bytes->capacity) {
		bytes->capacity = 2 * bytes->capacity + length;
		bytes->data = realloc(bytes->data, bytes->capacity);
		require(bytes->data);
	}
	if (length)
		memcpy(bytes->data + bytes->length, data, length);
	bytes->length += length;
}

void bytes_free(struct bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct bytes){NULL};
}

static void add_varint(struct bytes *bytes, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		bytes_add(bytes, &(uint8_t){(uint8_t)(value | 0x80)}, 1);
	bytes_add(bytes, &(uint8_t){(uint8_t)value}, 1);
}

static void add_number(struct bytes *bytes, unsigned field, uint64_t value)
{
	if (!value)
		return;
	add_varint(bytes, field << 3);
	add_varint(bytes, value);
}

static void add_fixed32(struct bytes *bytes, unsigned field, uint32_t value)
{
	add_varint(bytes, field << 3 | 5);
	for (int i = 0; i < 4; i++, value >>= 8)
		bytes_add(bytes, &(uint8_t){(uint8_t)value}, 1);
}

static void add_fixed64(struct bytes *bytes, unsigned field, uint64_t value)
{
	add_varint(bytes, field << 3 | 1);
	for (int i = 0; i < 8; i++, value >>= 8)
		bytes_add(bytes, &(uint8_t){(uint8_t)value}, 1);
}

static void add_chunk(struct bytes *bytes, unsigned field, const void *data, size_t length)
{
	add_varint(bytes, field << 3 | 2);
	add_varint(bytes, length);
	bytes_add(bytes, data, length);
}

static void add_text(struct bytes *bytes, unsigned field, const char *text)
{
	add_chunk(bytes, field, text, strlen(text));
}

/* ---- life ---- */

void peer_init(struct peer *peer, bool is_server)
{
	memset(peer, 0, sizeof *peer);
	peer->is_server = is_server;
	peer->fd = -1;
	peer->next_call = is_server ? 2 : 1;
}

void peer_end_talk(struct talk *talk)
{
	talk->is_over = true;
	free(talk->in.message);
	free(talk->out.message);
	talk->in.message = talk->out.message = NULL;
}

void peer_forget_session(struct peer *peer)
{
	for (unsigned i = 0; i < peer->n_talks; i++)
		peer_end_talk(&peer->talks[i]);
	for (unsigned i = 0; i < peer->n_sent; i++)
		bytes_free(&peer->kept[i]);
	peer->n_talks = peer->n_sent = 0;
	peer->received = peer->acked = peer->last_call = 0;
	peer->id = peer->attempt = 0;
	peer->has_session = false;
	peer->next_call = peer->is_server ? 2 : 1;
}

void peer_connect(struct peer *peer, int fd)
{
	if (peer->fd >= 0)
		close(peer->fd);
	peer->fd = fd;
	peer->in.length = peer->out.length = 0;
	peer->is_open = peer->is_over = peer->is_deaf = false;
	peer->is_asked = peer->is_asked_again = false;
	peer->is_draining = peer->has_gone = false;
}

void peer_deinit(struct peer *peer)
{
	peer_connect(peer, -1);
	peer_forget_session(peer);
	bytes_free(&peer->in);
	bytes_free(&peer->out);
}

/* ---- moving bytes ---- */

static void lose(struct peer *peer)
{
	if (peer->is_draining && !peer->has_gone)
		peer_check_none_cut(peer, peer->last_call);
	close(peer->fd);
	peer->fd = -1;
	peer->is_open = false;
}

void peer_write(struct peer *peer, size_t most)
{
	struct bytes *out = &peer->out;
	size_t length = out->length < most ? out->length : most, done = 0;

	if (peer->fd < 0)
		return;
	while (done < length) {
		ssize_t n = send(peer->fd, out->data + done, length - done,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			/* What it said before it went is still to be heard. */
			done = out->length;
			break;
		}
		done += (size_t)n;
	}
	if (done)
		memmove(out->data, out->data + done, out->length - done);
	out->length -= done;
}

/* Takes the frames that have come in full. */
static void take(struct peer *peer)
{
	struct bytes *in = &peer->in;
	size_t at = 0;

	while (in->length - at >= HAWSER__FRAME_PREFIX && peer->fd >= 0) {
		uint32_t length = hawser__frame_length(in->data + at);
		struct hawser__frame frame;
		const char *why;

		require(length < HAWSER__FRAME_LIMIT);
		if (in->length - at - HAWSER__FRAME_PREFIX < length)
			break;
		require(hawser__frame_decode(&frame, in->data + at + HAWSER__FRAME_PREFIX, length,
					     &why) == 0);
		peer_judge(peer, &frame);
		at += HAWSER__FRAME_PREFIX + length;
	}
	if (at)
		memmove(in->data, in->data + at, in->length - at);
	in->length -= at;
}

bool peer_read(struct peer *peer)
{
	static uint8_t room[64 * 1024];
	bool has_come = false;

	while (peer->fd >= 0 && !peer->is_deaf) {
		ssize_t n = recv(peer->fd, room, sizeof room, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			break;
		has_come = true;
		if (n <= 0) {
			lose(peer);
			break;
		}
		bytes_add(&peer->in, room, (size_t)n);
		take(peer);
	}
	return has_come;
}

/* ---- frames ---- */

void peer_raw(struct peer *peer, const uint8_t *bytes, size_t length)
{
	if (peer->fd >= 0)
		bytes_add(&peer->out, bytes, length);
}

void peer_frame(struct peer *peer, const uint8_t *bytes, size_t length)
{
	uint8_t prefix[4] = {(uint8_t)(length >> 24), (uint8_t)(length >> 16),
			     (uint8_t)(length >> 8), (uint8_t)length};

	peer_raw(peer, prefix, sizeof prefix);
	peer_raw(peer, bytes, length);
}

/* A frame about a call is kept, and goes now if there is a connection that is open. */
static void say_counted(struct peer *peer, struct bytes *frame)
{
	uint8_t prefix[4] = {(uint8_t)(frame->length >> 24), (uint8_t)(frame->length >> 16),
			     (uint8_t)(frame->length >> 8), (uint8_t)frame->length};
	struct bytes *kept = &peer->kept[peer->n_sent];

	require(peer->n_sent < KEPT_MAX);
	peer->n_sent++;
	bytes_add(kept, prefix, sizeof prefix);
	bytes_add(kept, frame->data, frame->length);
	if (peer->is_open)
		peer_raw(peer, kept->data, kept->length);
}

static void say(struct peer *peer, enum hawser__frame_kind kind, const struct bytes *body,
		const uint8_t *payload, size_t length)
{
	struct bytes frame = {NULL};
	bool is_counted = hawser__frame_is_counted(kind);

	if (is_counted && peer->n_sent == KEPT_MAX)
		return;
	/* What is not kept is lost without a connection. */
	if (!is_counted && !peer->is_open && kind != HAWSER__FRAME_OPEN &&
	    kind != HAWSER__FRAME_OPENED)
		return;
	add_chunk(&frame, kind, body->data, body->length);
	if (is_counted && peer->rides && peer->has_session)
		add_number(&frame, 13, peer->received);
	if (length)
		add_chunk(&frame, 15, payload, length);
	if (is_counted)
		say_counted(peer, &frame);
	else
		peer_frame(peer, frame.data, frame.length);
	bytes_free(&frame);
}

static void say_and_free(struct peer *peer, enum hawser__frame_kind kind, struct bytes *body)
{
	say(peer, kind, body, NULL, 0);
	bytes_free(body);
}

static void say_number(struct peer *peer, enum hawser__frame_kind kind, uint64_t number)
{
	struct bytes body = {NULL};

	add_number(&body, 1, number);
	say_and_free(peer, kind, &body);
}

/* ---- the connection ---- */

static void add_session(struct peer *peer, struct bytes *body, unsigned field)
{
	struct bytes session = {NULL};

	if (peer->id)
		add_fixed64(&session, 1, peer->id);
	if (peer->id)
		add_chunk(&session, 2, peer->token, sizeof peer->token);
	add_number(&session, 3, peer->received);
	if (peer->id && !peer->is_server)
		add_number(&session, 5, ++peer->attempt);
	if (peer->is_server)
		add_number(&session, 4, 30000);
	add_chunk(body, field, session.data, session.length);
	bytes_free(&session);
}

/* ---- hello ---- */

static void add_hello(struct bytes *body, unsigned field, unsigned how)
{
	struct bytes hello = {NULL}, label = {NULL};

	if (how & 2)
		add_text(&hello, 1, "fuzz.All");
	/* More than what is kept. */
	for (unsigned i = 0; how & 4 && i < 2000; i++)
		add_text(&hello, 1, "fuzz.Many");
	add_text(&label, 1, "key");
	add_text(&label, 2, "value");
	add_chunk(&hello, 2, label.data, label.length);
	add_text(&hello, 3, "tcp:192.0.2.7:7000");
	add_chunk(body, field, hello.data, hello.length);
	bytes_free(&label);
	bytes_free(&hello);
}

void peer_hello(struct peer *peer, unsigned hello)
{
	struct bytes frame = {NULL};

	if (!peer->is_open)
		return;
	if (!(hello & 8))
		add_number(&frame, 14, 1);
	add_hello(&frame, HAWSER__FRAME_HELLO, hello);
	peer_frame(peer, frame.data, frame.length);
	bytes_free(&frame);
}

/* ---- opening ---- */

void peer_open(struct peer *peer)
{
	struct bytes body = {NULL};

	add_number(&body, 1, 1);
	add_text(&body, 2, "fuzz");
	add_number(&body, 6, peer->max_reply_bytes);
	if (peer->wants_session)
		add_session(peer, &body, 8);
	add_number(&body, 11, peer->window_in);
	/* The first frame has no room for many. */
	if (peer->hello & 1)
		add_hello(&body, 12, peer->hello & 3);
	say_and_free(peer, HAWSER__FRAME_OPEN, &body);
}

/* The other end says that it has so many: what is behind them goes again. */
static void say_again(struct peer *peer, uint64_t has)
{
	for (uint64_t i = has; i < peer->n_sent; i++)
		peer_raw(peer, peer->kept[i].data, peer->kept[i].length);
}

void peer_opened(struct peer *peer, bool goes_on)
{
	struct bytes body = {NULL};

	if (!goes_on || !peer->is_asked_again) {
		peer->has_lost |= peer->id != 0;
		peer_forget_session(peer);
		peer->has_session = peer->wants_session;
		if (peer->wants_session) {
			static uint64_t next_id = 4711;

			peer->id = next_id++;
			memset(peer->token, (int)peer->id, sizeof peer->token);
		}
	}
	add_number(&body, 1, 1);
	add_text(&body, 2, "fuzz");
	add_number(&body, 5, peer->max_reply_bytes);
	if (peer->has_session)
		add_session(peer, &body, 10);
	add_number(&body, 11, peer->window_in);
	if (peer->hello & 1)
		add_hello(&body, 12, peer->hello);
	say_and_free(peer, HAWSER__FRAME_OPENED, &body);
	peer->is_open = true;
	say_again(peer, peer->acked);
}

void peer_ping(struct peer *peer, uint64_t number)
{
	say_number(peer, HAWSER__FRAME_PING, number);
}

void peer_pong(struct peer *peer, uint64_t number)
{
	say_number(peer, HAWSER__FRAME_PONG, number);
}

void peer_ack(struct peer *peer, uint64_t number)
{
	struct bytes frame = {NULL};

	if (!peer->is_open)
		return;
	add_number(&frame, 13, number);
	add_number(&frame, 14, 1);
	peer_frame(peer, frame.data, frame.length);
	bytes_free(&frame);
}

void peer_close(struct peer *peer, unsigned reason, uint64_t last_call)
{
	struct bytes body = {NULL};

	add_number(&body, 1, reason);
	add_number(&body, 3, last_call);
	say_and_free(peer, HAWSER__FRAME_CLOSE, &body);
	peer->is_closing = true;
	peer->is_rude |=
		reason != HAWSER__REASON__REASON_DONE && reason != HAWSER__REASON__REASON_DRAINING;
}

void peer_shutdown(struct peer *peer)
{
	struct bytes body = {NULL};

	add_text(&body, 1, "enough");
	say_and_free(peer, HAWSER__FRAME_SHUTDOWN, &body);
}

/* ---- calls ---- */

struct talk *peer_talk(struct peer *peer, uint64_t id)
{
	for (unsigned i = 0; i < peer->n_talks; i++)
		if (peer->talks[i].id == id)
			return &peer->talks[i];
	return NULL;
}

struct talk *peer_begin_talk(struct peer *peer, uint64_t id, const struct hawser_method *method,
			     bool is_ours)
{
	struct talk *talk = &peer->talks[peer->n_talks++];

	require(peer->n_talks <= TALKS_MAX);
	*talk = (struct talk){.id = id, .method = method, .is_ours = is_ours};
	talk->in.window = (long long)(peer->window_in ? peer->window_in : 65536);
	talk->out.window = (long long)(peer->window_out ? peer->window_out : 65536);
	return talk;
}

static void add_announcement(struct bytes *body, const struct peer_call *call)
{
	struct bytes announce = {NULL};

	if (!call->is_by_name)
		add_fixed32(&announce, 1, call->method->id);
	add_text(&announce, 2, call->method->name);
	add_text(&announce, 3, call->is_announced_wrong ? "fuzz.Other" : "rpctest.Payload");
	add_chunk(body, 5, announce.data, announce.length);
	bytes_free(&announce);
}

static void add_metadata(struct bytes *body)
{
	struct bytes pair = {NULL};

	add_text(&pair, 1, "key");
	add_text(&pair, 2, "value");
	add_chunk(body, 4, pair.data, pair.length);
	bytes_free(&pair);
}

struct talk *peer_call(struct peer *peer, const struct peer_call *call)
{
	struct bytes body = {NULL};
	struct talk *talk;

	if (peer->n_talks == TALKS_MAX || peer->n_sent + 2 > KEPT_MAX) {
		free(call->request);
		return NULL;
	}
	talk = peer_begin_talk(peer, peer->next_call, call->method, true);
	peer->next_call += 2;
	add_number(&body, 1, talk->id);
	add_fixed32(&body, 2, call->is_by_name ? 0 : call->method->id);
	add_number(&body, 3, call->timeout_ms);
	if (call->has_metadata)
		add_metadata(&body);
	if (call->is_announced || call->is_by_name)
		add_announcement(&body, call);
	if (call->request && call->in_pieces && call->length) {
		add_number(&body, 6, call->length);
		talk->out.message = call->request;
		talk->out.size = call->length;
		talk->out.done = 0;
	}
	talk->out.count += call->request != NULL;
	say(peer, HAWSER__FRAME_CALL, &body, call->request,
	    talk->out.message || !call->request ? 0 : call->length);
	if (!talk->out.message)
		free(call->request);
	bytes_free(&body);
	return talk;
}

void peer_message(struct peer *peer, uint64_t id, bool is_last, uint64_t size,
		  const uint8_t *payload, size_t length)
{
	struct bytes body = {NULL};

	add_number(&body, 1, id);
	add_number(&body, 2, is_last);
	add_number(&body, 3, size);
	say(peer, HAWSER__FRAME_MESSAGE, &body, payload, length);
	bytes_free(&body);
}

void peer_go_on(struct peer *peer, struct talk *talk, size_t piece)
{
	struct flow *out = &talk->out;
	size_t rest = out->size - out->done;

	if (piece > rest)
		piece = rest;
	peer_message(peer, talk->id, false, 0, out->message + out->done, piece);
	out->window -= (long long)piece + 16;
	out->done += piece;
	if (out->done == out->size) {
		free(out->message);
		out->message = NULL;
	}
}

void peer_begin(struct peer *peer, struct talk *talk, uint8_t *message, size_t length, size_t piece)
{
	struct flow *out = &talk->out;
	bool is_whole = piece >= length;

	if (is_whole)
		piece = length;
	peer_message(peer, talk->id, false, is_whole ? 0 : length, message, piece);
	out->window -= (long long)piece + 16;
	out->count++;
	if (is_whole) {
		free(message);
		return;
	}
	out->message = message;
	out->size = length;
	out->done = piece;
}

void peer_last(struct peer *peer, struct talk *talk)
{
	peer_message(peer, talk->id, true, 0, NULL, 0);
	talk->out.is_over = true;
}

void peer_end(struct peer *peer, struct talk *talk, unsigned status, uint8_t *reply, size_t length)
{
	struct bytes body = {NULL};

	add_number(&body, 1, talk->id);
	add_number(&body, 2, status);
	add_number(&body, 3, status ? 3 : 0);
	if (status)
		add_text(&body, 4, "as it was told");
	say(peer, HAWSER__FRAME_END, &body, reply, length);
	bytes_free(&body);
	free(reply);
	talk->is_left = true;
	peer_end_talk(talk);
}

void peer_cancel(struct peer *peer, uint64_t id)
{
	struct talk *talk = peer_talk(peer, id);

	say_number(peer, HAWSER__FRAME_CANCEL, id);
	if (talk && talk->is_ours) {
		talk->is_left = true;
		peer_end_talk(talk);
	}
}

void peer_window(struct peer *peer, struct talk *talk, uint64_t bytes)
{
	struct bytes body = {NULL};

	add_number(&body, 1, talk->id);
	add_number(&body, 2, bytes);
	say_and_free(peer, HAWSER__FRAME_WINDOW, &body);
	talk->in.window += (long long)bytes;
	talk->in.debt -= bytes < talk->in.debt ? (size_t)bytes : talk->in.debt;
}
