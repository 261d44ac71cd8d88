/* What the peer hears, held against proto/hawser/protocol.md. */

#include "../fuzz.h"
#include "content.h"
#include "peer.h"
#include "wire/wire.pb-c.h"
#include <string.h>

/* A window of more is none. */
#define WINDOW_MOST (1ll << 40)
/* More is not kept. */
#define HELLO_MOST (16 * 1024)

static const struct hawser_method *method_of(uint32_t id)
{
	require(id >= 1 && id <= METHODS);
	return method_at(id - 1);
}

/* ---- messages ---- */

static void check_content(const struct peer *peer, struct flow *in, const uint8_t *message,
			  size_t length)
{
	in->count++;
	require(peer->is_rude || content_is_packed(message, length, in->count));
}

static void complete(const struct peer *peer, struct flow *in)
{
	check_content(peer, in, in->message, in->size);
	free(in->message);
	in->message = NULL;
}

static void begin(struct flow *in, size_t size)
{
	in->message = malloc(size + 1);
	require(in->message);
	in->size = size;
	in->done = 0;
}

static void gather(const struct peer *peer, struct flow *in, const struct hawser__frame *frame)
{
	require(frame->payload_length <= in->size - in->done);
	if (frame->payload_length)
		memcpy(in->message + in->done, frame->payload, frame->payload_length);
	in->done += frame->payload_length;
	if (in->done == in->size)
		complete(peer, in);
}

static void judge_message(struct peer *peer, const struct hawser__frame *frame)
{
	struct talk *talk = peer_talk(peer, frame->id);
	struct flow *in;

	/* It may belong to a call of a session that is over. */
	require(talk || peer->has_lost);
	if (!talk)
		return;
	if (talk->is_over) {
		require(talk->is_left);
		return;
	}
	in = &talk->in;
	require(!in->is_over);
	if (frame->last) {
		require(!talk->is_ours && streams_requests(talk->method));
		require(!in->message && !frame->payload_length && !frame->size);
		in->is_over = true;
		return;
	}
	require(in->window > 0);
	in->window -= (long long)frame->payload_length + 16;
	in->debt += frame->payload_length + 16;
	if (in->message) {
		require(!frame->size);
		gather(peer, in, frame);
		return;
	}
	/* A message that is no stream's is the only one. */
	require((talk->is_ours ? streams_replies(talk->method) : streams_requests(talk->method)) ||
		in->count == 0);
	if (!frame->size) {
		check_content(peer, in, frame->payload, frame->payload_length);
		return;
	}
	require(frame->size > frame->payload_length);
	begin(in, frame->size);
	gather(peer, in, frame);
}

/* ---- calls ---- */

static void judge_call(struct peer *peer, const struct hawser__frame *frame)
{
	const struct hawser_method *method = method_of(frame->method);
	struct talk *talk;

	require(peer->is_server && (frame->id & 1) && frame->id > peer->last_call);
	peer->last_call = frame->id;
	/* More than that are not followed. */
	if (peer->n_talks == TALKS_MAX) {
		peer->is_blind = true;
		return;
	}
	talk = peer_begin_talk(peer, frame->id, method, false);
	if (streams_requests(method)) {
		require(!frame->size && !frame->payload_length);
	} else if (frame->size) {
		require(!frame->payload_length);
		begin(&talk->in, frame->size);
	} else {
		check_content(peer, &talk->in, frame->payload, frame->payload_length);
	}
}

static void judge_end(struct peer *peer, const struct hawser__frame *frame)
{
	struct talk *talk = peer_talk(peer, frame->id);
	Hawser__End *end = hawser__end__unpack(NULL, frame->body_length, frame->body);

	require(end);
	require(end->status <= HAWSER_UNAUTHENTICATED && (unsigned)end->outcome <= 3);
	require(end->status || (!*end->text && !end->n_details && !end->outcome));
	require(!frame->payload_length || !end->status);
	hawser__end__free_unpacked(end, NULL);
	/* We do not serve those calls of which nothing was said. */
	require(talk || !peer->is_server);
	if (!talk || talk->is_over) {
		require(!talk || talk->is_left);
		return;
	}
	require(talk->is_ours);
	if (frame->status == 0) {
		require(!talk->in.message);
		if (streams_replies(talk->method) || talk->in.count)
			require(!frame->payload_length);
		else
			check_content(peer, &talk->in, frame->payload, frame->payload_length);
		/* Not before it has heard all. */
		require(streams_requests(talk->method) || peer->is_rude || !talk->out.message);
	}
	peer_end_talk(talk);
}

static void judge_cancel(struct peer *peer, const struct hawser__frame *frame)
{
	struct talk *talk = peer_talk(peer, frame->id);

	/* One that is taken back comes in place of its call, and pieces may be behind it. */
	if (!talk && peer->n_talks < TALKS_MAX)
		talk = peer_begin_talk(peer, frame->id, method_at(UNARY), false);
	if (!talk) {
		peer->is_blind = true;
		return;
	}
	require(!talk->is_ours);
	talk->is_left = true;
	peer_end_talk(talk);
}

static void judge_window(struct peer *peer, const struct hawser__frame *frame)
{
	struct talk *talk = peer_talk(peer, frame->id);

	require(frame->window && (talk || peer->has_lost));
	if (!talk)
		return;
	talk->out.window += (long long)frame->window;
	require(frame->window <= WINDOW_MOST && talk->out.window <= WINDOW_MOST);
}

/* ---- the connection ---- */

static void take_session(struct peer *peer, const Hawser__Session *session)
{
	require(session->token.len == sizeof peer->token || peer->is_server);
	if (peer->id && peer->attempt) {
		require(session->id == peer->id);
		require(!memcmp(session->token.data, peer->token, sizeof peer->token));
	}
	require(session->received <= peer->n_sent && session->received >= peer->acked);
	peer->has_session = true;
	peer->id = session->id;
	memcpy(peer->token, session->token.data, sizeof peer->token);
	peer->acked = session->received;
}

static void judge_opened(struct peer *peer, const struct hawser__frame *frame)
{
	Hawser__Opened *opened = hawser__opened__unpack(NULL, frame->body_length, frame->body);

	require(opened && !peer->is_server && !peer->is_open);
	require(opened->version == 1);
	require(!opened->session == !peer->wants_session || peer->is_weak);
	if (opened->session)
		take_session(peer, opened->session);
	peer->window_out = opened->stream_window_bytes;
	peer->max_message = (size_t)opened->max_request_bytes;
	peer->is_open = true;
	for (uint64_t i = peer->acked; i < peer->n_sent; i++)
		peer_raw(peer, peer->kept[i].data, peer->kept[i].length);
	hawser__opened__free_unpacked(opened, NULL);
}

/* The peer that plays the server answers when the input says so. */
static void judge_open(struct peer *peer, const struct hawser__frame *frame)
{
	Hawser__Open *open = hawser__open__unpack(NULL, frame->body_length, frame->body);

	require(open && peer->is_server && !peer->is_open);
	peer->wants_session = open->session != NULL;
	peer->is_asked = true;
	peer->is_asked_again = false;
	peer->window_out = open->stream_window_bytes;
	peer->max_message = (size_t)open->max_reply_bytes;
	if (open->session && open->session->id && open->session->id == peer->id) {
		require(open->session->token.len == sizeof peer->token);
		require(open->session->received <= peer->n_sent);
		require(open->session->received >= peer->acked);
		peer->acked = open->session->received;
		peer->attempt = open->session->attempt;
		peer->is_asked_again = true;
	}
	hawser__open__free_unpacked(open, NULL);
}

void peer_check_none_cut(const struct peer *peer, uint64_t last_call)
{
	if (peer->is_server || peer->is_rude || peer->is_weak || peer->is_closing ||
	    peer->has_waited)
		return;
	for (unsigned i = 0; i < peer->n_talks; i++)
		require(peer->talks[i].id > last_call || peer->talks[i].is_over);
}

static void judge_close(struct peer *peer, const struct hawser__frame *frame)
{
	Hawser__Close *close = hawser__close__unpack(NULL, frame->body_length, frame->body);
	uint64_t last_call;
	unsigned reason;

	require(close);
	reason = close->reason;
	last_call = close->last_call;
	hawser__close__free_unpacked(close, NULL);
	if (reason == HAWSER__REASON__REASON_DRAINING) {
		require(!peer->is_server);
		peer->is_draining = true;
		peer->last_call = last_call;
		return;
	}
	if (reason == HAWSER__REASON__REASON_DONE || reason == HAWSER__REASON__REASON_IDLE)
		peer_check_none_cut(peer, last_call);
	peer->is_over = true;
	if (reason != HAWSER__REASON__REASON_SILENT && reason != HAWSER__REASON__REASON_TAKEN_OVER)
		peer->has_session = false;
	/* Who has done nothing wrong is not told so. */
	require(peer->is_rude || peer->is_weak ||
		(reason != HAWSER__REASON__REASON_PROTOCOL_ERROR &&
		 reason != HAWSER__REASON__REASON_TOO_LARGE &&
		 reason != HAWSER__REASON__REASON_INTERNAL));
}

static void judge_hello(const struct hawser__frame *frame)
{
	Hawser__Hello *hello = hawser__hello__unpack(NULL, frame->body_length, frame->body);

	require(hello && frame->body_length <= HELLO_MOST);
	require(!frame->ack && !frame->payload_length);
	hawser__hello__free_unpacked(hello, NULL);
}

void peer_judge(struct peer *peer, const struct hawser__frame *frame)
{
	/* Close is the last frame. */
	require(!peer->is_over);
	if (frame->ack) {
		require(frame->ack <= peer->n_sent || peer->is_blind);
		if (frame->ack > peer->acked)
			peer->acked = frame->ack;
	}
	peer->received += hawser__frame_is_counted(frame->kind);
	if (peer->is_blind && frame->kind >= HAWSER__FRAME_CALL)
		return;
	switch (frame->kind) {
	case HAWSER__FRAME_OPEN:
		judge_open(peer, frame);
		break;
	case HAWSER__FRAME_OPENED:
		judge_opened(peer, frame);
		break;
	case HAWSER__FRAME_REJECTED:
		peer->is_over = true;
		peer->has_session = false;
		break;
	case HAWSER__FRAME_PING:
		if (peer->is_open)
			peer_pong(peer, frame->id);
		break;
	case HAWSER__FRAME_CLOSE:
		judge_close(peer, frame);
		break;
	case HAWSER__FRAME_CALL:
		judge_call(peer, frame);
		break;
	case HAWSER__FRAME_MESSAGE:
		judge_message(peer, frame);
		break;
	case HAWSER__FRAME_END:
		judge_end(peer, frame);
		break;
	case HAWSER__FRAME_CANCEL:
		judge_cancel(peer, frame);
		break;
	case HAWSER__FRAME_WINDOW:
		judge_window(peer, frame);
		break;
	case HAWSER__FRAME_HELLO:
		judge_hello(frame);
		break;
	case HAWSER__FRAME_IGNORED:
	case HAWSER__FRAME_PONG:
	case HAWSER__FRAME_SHUTDOWN:
	case HAWSER__FRAME_KINDS:
		break;
	}
}
