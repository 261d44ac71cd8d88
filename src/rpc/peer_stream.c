/* Blocking streams of calls to a peer.
 *
 * What comes waits in the stream's queue on the loop until it is asked for; only that lets the
 * peer send more. A send that the peer has no room for is tried again when there is. Deadline and
 * cancellation end the call on the loop, and with it whatever waits. One thread may send while
 * another receives. */

#include "rpc/client.h"
#include "rpc/peer_call.h"
#include "rpc/stream.h"
#include "util/alloc.h"
#include "util/buffer.h"
#include "util/log.h"
#include <errno.h>

struct remote_stream {
	struct hawser_peer *peer; /* a reference */
	struct hawser__outgoing outgoing;
	struct hawser__alarm alarm; /* the deadline */
	/* On the loop: who waits for room, and who for a message; NULL: nobody. */
	struct sending *sending;
	struct receiving *receiving;
	bool has_ended;
	/* Of the threads. */
	atomic_bool in_send, in_receive;
	bool has_reply;
};

struct starting {
	struct hawser__ask ask;
	struct remote_stream *stream;
	const struct hawser__content *request;
	const struct hawser_context *context;
};

struct sending {
	struct hawser__ask ask;
	struct remote_stream *stream;
	const struct hawser__content *content;
};

struct receiving {
	struct hawser__ask ask;
	struct remote_stream *stream;
	struct hawser__arrival *arrival;
};

struct telling {
	struct hawser__ask ask;
	struct remote_stream *stream;
	size_t size; /* of a message that did not unpack … */
	int code;    /* … for hawser__unpack()'s errno */
};

static struct remote_stream *stream_of(struct hawser__outgoing *outgoing)
{
	return hawser__container_of(outgoing, struct remote_stream, outgoing);
}

static int misuse(int code, const struct hawser__outgoing *outgoing, const char *what)
{
	hawser__log(HAWSER_LOG_WARNING, "%s: %s", outgoing->call.method->name, what);
	return code;
}

/* ---- on the loop ---- */

/* Answers who waits for a message, if there is one or will be none any more. */
static void answer_receiver(struct remote_stream *stream)
{
	struct receiving *receiving = stream->receiving;
	struct hawser__stream *queue = stream->outgoing.call.stream;

	if (!receiving)
		return;
	if (queue && queue->receives)
		receiving->arrival = hawser__stream_take(queue);
	if (!receiving->arrival && !stream->has_ended)
		return;
	stream->receiving = NULL;
	if (receiving->arrival)
		hawser__stream_taken(queue, receiving->arrival->cost);
	hawser__ask_answer(&receiving->ask, receiving->arrival ? 1 : 0);
}

static void on_done(struct hawser__outgoing *outgoing)
{
	struct remote_stream *stream = stream_of(outgoing);
	struct sending *sending = stream->sending;

	stream->has_ended = true;
	if (stream->peer->client->loop)
		hawser__loop_clear_alarm(stream->peer->client->loop, &stream->alarm);
	stream->sending = NULL;
	if (sending)
		hawser__ask_answer(&sending->ask, -EPIPE);
	answer_receiver(stream);
}

static void on_arrived(struct hawser__outgoing *outgoing)
{
	answer_receiver(stream_of(outgoing));
}

static void on_deadline(struct hawser__alarm *alarm)
{
	struct remote_stream *stream = hawser__container_of(alarm, struct remote_stream, alarm);

	hawser__outgoing_abandon(&stream->outgoing, HAWSER_DEADLINE_EXCEEDED,
				 "%s: the deadline passed before the call ended",
				 stream->outgoing.call.method->name);
}

static void on_room(struct hawser_call *call, void *data);

static int send_now(struct remote_stream *stream, const struct hawser__content *content)
{
	struct hawser__outgoing *outgoing = &stream->outgoing;

	if (outgoing->call.stream && outgoing->call.stream->has_sent_last)
		return misuse(-EALREADY, outgoing,
			      "send: hawser_call_end() has said that nothing follows");
	if (stream->has_ended)
		return -EPIPE;
	return hawser__outgoing_send(outgoing, content,
				     stream->peer->client->options.max_request_bytes);
}

static void try_to_send(struct sending *sending)
{
	struct remote_stream *stream = sending->stream;
	struct hawser__outgoing *outgoing = &stream->outgoing;
	int r = send_now(stream, sending->content);

	if (r != -EAGAIN) {
		if (stream->sending == sending)
			stream->sending = NULL;
		hawser__ask_answer(&sending->ask, r);
		return;
	}
	stream->sending = sending;
	outgoing->call.stream->on_writable = on_room;
	outgoing->call.stream->on_writable_data = stream;
	hawser__stream_block(outgoing->call.stream);
}

static void on_room(struct hawser_call *call, void *data)
{
	struct remote_stream *stream = data;

	(void)call;
	if (stream->sending)
		try_to_send(stream->sending);
}

static void run_send(struct hawser__ask *ask)
{
	try_to_send(hawser__container_of(ask, struct sending, ask));
}

static void run_receive(struct hawser__ask *ask)
{
	struct receiving *receiving = hawser__container_of(ask, struct receiving, ask);

	receiving->stream->receiving = receiving;
	answer_receiver(receiving->stream);
}

static void run_end(struct hawser__ask *ask)
{
	struct telling *telling = hawser__container_of(ask, struct telling, ask);

	hawser__ask_answer(ask, hawser__outgoing_send_last(&telling->stream->outgoing));
}

static void run_cancel(struct hawser__ask *ask)
{
	struct telling *telling = hawser__container_of(ask, struct telling, ask);
	struct hawser__outgoing *outgoing = &telling->stream->outgoing;
	int r = -EALREADY;

	if (outgoing->call.carrier) {
		hawser__outgoing_abandon(outgoing, HAWSER_CANCELLED, "%s: cancelled by the caller",
					 outgoing->call.method->name);
		r = 0;
	}
	hawser__ask_answer(ask, r);
}

static void run_spoil(struct hawser__ask *ask)
{
	struct telling *telling = hawser__container_of(ask, struct telling, ask);

	hawser__outgoing_spoil(&telling->stream->outgoing, telling->size, telling->code);
	hawser__ask_answer(ask, 0);
}

static void run_start(struct hawser__ask *ask)
{
	struct starting *starting = hawser__container_of(ask, struct starting, ask);
	struct remote_stream *stream = starting->stream;
	struct hawser__outgoing *outgoing = &stream->outgoing;
	int r = hawser__peer_start(stream->peer, outgoing, starting->request, starting->context);

	if (r < 0)
		stream->has_ended = true;
	else if (outgoing->call.deadline_ms != UINT64_MAX)
		hawser__loop_set_alarm(stream->peer->client->loop, &stream->alarm,
				       outgoing->call.deadline_ms);
	hawser__ask_answer(ask, r);
}

/* ---- on the user's threads ---- */

static int stream_send(struct hawser__outgoing *outgoing, const struct hawser__content *content)
{
	struct remote_stream *stream = stream_of(outgoing);
	struct hawser__content packed = *content;
	struct sending sending = {.stream = stream, .content = &packed};
	int r;

	if (atomic_exchange(&stream->in_send, true))
		return misuse(-EBUSY, outgoing, "send: another thread is sending on this call");
	hawser__content_pack_large(&packed, stream->peer->client->options.max_request_bytes);
	r = hawser__ask_peer(stream->peer, &sending.ask, run_send);
	if (r == -EDEADLK) {
		stream->sending = NULL;
		misuse(r, outgoing,
		       "send: this thread runs the peer's loop, and must not wait for it");
	}
	hawser__loan_unref(packed.loan);
	atomic_store(&stream->in_send, false);
	return r;
}

static int stream_end(struct hawser__outgoing *outgoing)
{
	struct telling telling = {.stream = stream_of(outgoing)};

	return hawser__ask_peer(telling.stream->peer, &telling.ask, run_end);
}

/* There is no message any more: the end, or the reply to a stream of requests. */
static int receive_end(struct remote_stream *stream, ProtobufCMessage **message)
{
	struct hawser__outgoing *outgoing = &stream->outgoing;

	if (outgoing->error.status)
		return -1;
	if (!stream->has_reply && outgoing->call.stream && outgoing->call.stream->first)
		hawser__outgoing_unpack_reply(outgoing);
	stream->has_reply = true;
	if (outgoing->error.status)
		return -1;
	if (!outgoing->reply)
		return 0;
	*message = outgoing->reply;
	outgoing->reply = NULL;
	return 1;
}

static int unpack(struct remote_stream *stream, struct hawser__arrival *arrival,
		  ProtobufCMessage **message)
{
	struct telling telling = {.stream = stream, .size = arrival->size};
	ProtobufCMessage *unpacked = hawser__arrival_unpack(arrival, NULL);

	telling.code = errno;
	hawser__arrival_free(arrival);
	if (unpacked) {
		*message = unpacked;
		return 1;
	}
	hawser__ask_peer(stream->peer, &telling.ask, run_spoil);
	return -1;
}

static int stream_receive(struct hawser__outgoing *outgoing, ProtobufCMessage **message)
{
	struct remote_stream *stream = stream_of(outgoing);
	struct receiving receiving = {.stream = stream};
	int r;

	if (atomic_exchange(&stream->in_receive, true)) {
		misuse(-1, outgoing, "receive: another thread is receiving from this call");
		errno = EBUSY;
		return -1;
	}
	r = hawser__ask_peer(stream->peer, &receiving.ask, run_receive);
	if (r == -EDEADLK) {
		stream->receiving = NULL;
		misuse(r, outgoing,
		       "receive: this thread runs the peer's loop, and must not wait for it");
		errno = EDEADLK;
		r = -1;
	} else if (r == 1) {
		r = unpack(stream, receiving.arrival, message);
	} else {
		/* Also when the loop has ended, and the call with it. */
		r = receive_end(stream, message);
	}
	atomic_store(&stream->in_receive, false);
	return r;
}

static int stream_cancel(struct hawser__outgoing *outgoing)
{
	struct telling telling = {.stream = stream_of(outgoing)};
	int r = hawser__ask_peer(telling.stream->peer, &telling.ask, run_cancel);

	return r == -EPIPE ? -EALREADY : r;
}

static void stream_release(struct hawser__outgoing *outgoing)
{
	struct remote_stream *stream = stream_of(outgoing);

	/* Ends it on the loop, which then has forgotten it. */
	stream_cancel(outgoing);
	if (outgoing->reply)
		protobuf_c_message_free_unpacked(outgoing->reply, NULL);
	hawser__outgoing_deinit(outgoing);
	hawser_peer_unref(stream->peer);
	free(stream);
}

static const struct hawser__outgoing_ops stream_ops = {
	.done = on_done,
	.arrived = on_arrived,
	.send = stream_send,
	.end = stream_end,
	.receive = stream_receive,
	.cancel = stream_cancel,
	.release = stream_release,
};

struct hawser_call *hawser__peer_stream_open(struct hawser_peer *peer,
					     const struct hawser_method *method,
					     const ProtobufCMessage *request,
					     const struct hawser_context *context)
{
	struct remote_stream *stream;
	struct hawser__outgoing *outgoing;
	struct hawser__content content;
	struct starting starting = {.context = context};
	int r;

	if (hawser__peer_is_here(peer)) {
		hawser__log(
			HAWSER_LOG_WARNING,
			"%s: this thread runs the peer's loop, and must not wait for it; use the "
			"_async stub, or a blocking handler",
			method->name);
		errno = EDEADLK;
		return NULL;
	}
	stream = hawser__calloc(1, sizeof *stream);
	if (!stream) {
		errno = ENOMEM;
		return NULL;
	}
	outgoing = &stream->outgoing;
	stream->peer = hawser_peer_ref(peer);
	hawser__outgoing_init(outgoing, method, &stream_ops);
	outgoing->unpacks_later = true;
	hawser__alarm_init(&stream->alarm, on_deadline);
	outgoing->call.deadline_ms = hawser__outgoing_deadline(
		method, context, peer->client->options.timeout_ms, hawser__now_ms());
	if (request) {
		content = hawser__content_of(request);
		hawser__content_pack_large(&content, peer->client->options.max_request_bytes);
		starting.request = &content;
	}
	starting.stream = stream;
	r = hawser__ask_peer(peer, &starting.ask, run_start);
	if (r == -EPIPE && !outgoing->error.status) {
		stream->has_ended = true;
		outgoing->error.status = HAWSER_UNAVAILABLE;
		outgoing->error.outcome = HAWSER_OUTCOME_NOT_SENT;
		snprintf(outgoing->error.message, sizeof outgoing->error.message,
			 "%s: the peer is gone: its server has ended", method->name);
	}
	if (request)
		hawser__loan_unref(content.loan);
	return &outgoing->call;
}
