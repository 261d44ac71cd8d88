/* The streams of a blocking client.
 *
 * Whichever thread reads for the client puts a stream's messages into its queue; whoever
 * calls hawser_call_recv() takes them out, and only that lets the server send
 * more. Who sends waits until what it sent is on its way: as with write(2), a peer that does not
 * keep up slows its sender down. One thread may send while another receives. */

#include "net/fork.h"
#include "rpc/client_send.h"
#include "rpc/outgoing.h"
#include "rpc/stream.h"
#include "util/alloc.h"
#include "util/buffer.h"
#include "util/log.h"
#include <errno.h>
#include <string.h>

struct stream {
	struct hawser_client *client; /* NULL: freed */
	struct hawser__outgoing outgoing;
	struct hawser__waiter waiter; /* who receives */
	struct hawser__sender sender; /* who sends */
	struct hawser__list link;     /* the client's */
	bool has_ended, in_receive, in_send;
	bool has_reply; /* to a stream of requests: it was unpacked */
};

static struct stream *stream_of(struct hawser__outgoing *outgoing)
{
	return hawser__container_of(outgoing, struct stream, outgoing);
}

static int misuse(int code, const struct hawser__outgoing *outgoing, const char *what)
{
	hawser__log(HAWSER_LOG_WARNING, "%s: %s", outgoing->call.method->name, what);
	return code;
}

static bool is_the_parents(const struct hawser_client *client)
{
	return client->fork_generation != hawser__fork_generation();
}

/* ---- what the reader brings; with the lock ---- */

static void on_done(struct hawser__outgoing *outgoing)
{
	struct stream *stream = stream_of(outgoing);

	stream->has_ended = true;
	hawser__waiter_finish(&stream->waiter);
	hawser__waiter_finish(&stream->sender.waiter);
}

static void on_arrived(struct hawser__outgoing *outgoing)
{
	hawser__waiter_finish(&stream_of(outgoing)->waiter);
}

/* ---- sending ---- */

/* With the lock. */
static int send_now(struct stream *stream, const struct hawser__content *content,
		    struct hawser__bulk *bulk)
{
	struct hawser_client *client = stream->client;
	int r;

	hawser__loop_update_now(client->loop);
	if (stream->outgoing.call.stream && stream->outgoing.call.stream->has_sent_last)
		return misuse(-EALREADY, &stream->outgoing,
			      "send: hawser_call_end() has said that nothing follows");
	for (;;) {
		if (stream->has_ended)
			return -EPIPE;
		r = hawser__outgoing_send(&stream->outgoing, content,
					  client->options.max_request_bytes);
		if (r != -EAGAIN)
			break;
		hawser__sender_wait(client, &stream->sender, HAWSER__ROOM_TO_SEND, NULL);
	}
	if (r < 0)
		return r;
	hawser__bulk_send(bulk, &stream->sender, false, NULL);
	if (content->comes_later && stream->has_ended)
		return -EPIPE;
	hawser__sender_wait(client, &stream->sender, HAWSER__ROOM_GONE, NULL);
	return 0;
}

static int stream_send(struct hawser__outgoing *outgoing, const struct hawser__content *content)
{
	struct stream *stream = stream_of(outgoing);
	struct hawser_client *client = stream->client;
	struct hawser__content sent = *content;
	struct hawser__bulk bulk;
	int r;

	if (!client)
		return -EPIPE;
	if (is_the_parents(client))
		return -EPERM;
	hawser__bulk_prepare(client, &sent);
	hawser__client_lock(client);
	if (stream->in_send) {
		r = misuse(-EBUSY, outgoing, "send: another thread is sending on this call");
	} else {
		stream->in_send = true;
		hawser__bulk_init(&bulk, client, &sent);
		r = send_now(stream, &sent, &bulk);
		hawser__bulk_deinit(&bulk);
		stream->in_send = false;
	}
	hawser__client_unlock(client);
	if (!content->loan)
		hawser__loan_unref(sent.loan);
	return r;
}

static int stream_end(struct hawser__outgoing *outgoing)
{
	struct stream *stream = stream_of(outgoing);
	struct hawser_client *client = stream->client;
	int r;

	if (!client)
		return -EPIPE;
	if (is_the_parents(client))
		return -EPERM;
	hawser__client_lock(client);
	hawser__loop_update_now(client->loop);
	if (stream->in_send)
		r = misuse(-EBUSY, outgoing, "end: another thread is sending on this call");
	else
		r = hawser__outgoing_send_last(outgoing);
	hawser__client_unlock(client);
	return r;
}

/* ---- receiving ---- */

/* The next message; NULL: there is none any more. */
static struct hawser__arrival *wait_for_message(struct stream *stream)
{
	struct hawser_client *client = stream->client;
	struct hawser__stream *queue = stream->outgoing.call.stream;
	struct hawser__arrival *arrival = NULL;

	while (!(queue && queue->receives && (arrival = hawser__stream_take(queue))) &&
	       !stream->has_ended) {
		int r;

		hawser__loop_update_now(client->loop);
		stream->waiter.is_done = false;
		r = hawser__client_wait(client, &stream->waiter, stream->outgoing.call.deadline_ms,
					NULL);
		if (r < 0 && stream->outgoing.call.carrier)
			hawser__client_give_up(&stream->outgoing, r);
	}
	return arrival;
}

/* With the lock. As hawser_call_recv(), but that what came is still packed. */
static int receive_now(struct stream *stream, ProtobufCMessage **reply,
		       struct hawser__arrival **arrival)
{
	struct hawser__outgoing *outgoing = &stream->outgoing;

	*arrival = wait_for_message(stream);
	if (*arrival)
		return 1;
	if (outgoing->error.status)
		return -1;
	/* The one reply to a stream of requests. */
	if (!stream->has_reply && outgoing->unpacks_later && outgoing->call.stream->first)
		hawser__outgoing_unpack_reply(outgoing);
	stream->has_reply = true;
	if (outgoing->error.status)
		return -1;
	*reply = outgoing->reply;
	outgoing->reply = NULL;
	return *reply ? 1 : 0;
}

/* It was taken, or did not unpack, for hawser__unpack()'s errno. */
static int received(struct stream *stream, struct hawser__arrival *arrival,
		    const ProtobufCMessage *message, int code)
{
	struct hawser__outgoing *outgoing = &stream->outgoing;

	hawser__client_lock(stream->client);
	if (message)
		hawser__stream_taken(outgoing->call.stream, arrival->cost);
	else
		hawser__outgoing_spoil(outgoing, arrival->size, code);
	stream->in_receive = false;
	hawser__client_unlock(stream->client);
	hawser__arrival_free(arrival);
	return message ? 1 : -1;
}

static int stream_receive(struct hawser__outgoing *outgoing, ProtobufCMessage **message)
{
	struct stream *stream = stream_of(outgoing);
	struct hawser_client *client = stream->client;
	struct hawser__arrival *arrival = NULL;
	ProtobufCMessage *reply = NULL;
	int r;

	if (!client || is_the_parents(client)) {
		misuse(-1, outgoing,
		       client ? "receive: the client was made before fork()"
			      : "receive: its client was freed");
		errno = EINVAL;
		return -1;
	}
	hawser__client_lock(client);
	if (stream->in_receive) {
		hawser__client_unlock(client);
		misuse(-1, outgoing, "receive: another thread is receiving from this call");
		errno = EBUSY;
		return -1;
	}
	stream->in_receive = true;
	r = receive_now(stream, &reply, &arrival);
	if (!arrival)
		stream->in_receive = false;
	hawser__client_unlock(client);
	/* What takes long is done without the lock. */
	if (arrival) {
		reply = hawser__arrival_unpack(arrival, NULL);
		r = received(stream, arrival, reply, errno);
	}
	if (r == 1)
		*message = reply;
	return r;
}

/* ---- its end ---- */

static int stream_cancel(struct hawser__outgoing *outgoing)
{
	struct stream *stream = stream_of(outgoing);
	struct hawser_client *client = stream->client;
	int r = -EALREADY;

	if (!client)
		return -EALREADY;
	if (is_the_parents(client))
		return -EPERM;
	hawser__client_lock(client);
	if (!stream->has_ended) {
		hawser__loop_update_now(client->loop);
		hawser__client_give_up(outgoing, -ECANCELED);
		r = 0;
	}
	hawser__client_unlock(client);
	return r;
}

static void stream_release(struct hawser__outgoing *outgoing)
{
	struct stream *stream = stream_of(outgoing);
	struct hawser_client *client = stream->client;

	if (client && is_the_parents(client))
		return;
	if (client) {
		stream_cancel(outgoing);
		hawser__client_lock(client);
		hawser__list_unlink(&stream->link);
		hawser__client_unlock(client);
	}
	if (outgoing->reply)
		protobuf_c_message_free_unpacked(outgoing->reply, NULL);
	hawser__waiter_deinit(&stream->waiter);
	hawser__sender_deinit(&stream->sender);
	hawser__outgoing_deinit(outgoing);
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

struct hawser_call *hawser__client_stream_open(struct hawser_client *client,
					       const struct hawser_method *method,
					       const ProtobufCMessage *request,
					       const struct hawser_context *context)
{
	struct stream *stream = hawser__calloc(1, sizeof *stream);
	struct hawser__outgoing *outgoing;
	struct hawser__content content = {.length = 0};
	struct hawser__bulk bulk;

	if (!stream) {
		errno = ENOMEM;
		return NULL;
	}
	if (request) {
		content = hawser__content_of(request);
		hawser__bulk_prepare(client, &content);
	}
	outgoing = &stream->outgoing;
	stream->client = client;
	hawser__outgoing_init(outgoing, method, &stream_ops);
	outgoing->unpacks_later = true;
	hawser__waiter_init(&stream->waiter);
	hawser__sender_init(&stream->sender, outgoing);
	hawser__client_lock(client);
	hawser__list_append(&client->calls, &stream->link);
	hawser__loop_update_now(client->loop);
	hawser__bulk_init(&bulk, client, &content);
	outgoing->call.deadline_ms = hawser__outgoing_deadline(
		method, context, client->options.timeout_ms, client->loop->now_ms);
	if (hawser__client_start(client, outgoing, &stream->waiter, request ? &content : NULL,
				 context) < 0)
		stream->has_ended = true;
	else
		hawser__bulk_send(&bulk, &stream->sender, true, context);
	hawser__bulk_deinit(&bulk);
	hawser__client_unlock(client);
	hawser__loan_unref(content.loan);
	return &outgoing->call;
}

void hawser__client_stream_orphan_all(struct hawser_client *client)
{
	while (!hawser__list_empty(&client->calls)) {
		struct stream *stream =
			hawser__container_of(client->calls.next, struct stream, link);

		hawser__list_unlink(&stream->link);
		stream->client = NULL;
	}
}
