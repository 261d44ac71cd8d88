/* The streams of a blocking client.
 *
 * Whichever thread reads for the client puts a stream's messages into its queue; whoever
 * calls hawser_call_recv() takes them out, and only that lets the server send
 * more, so the queue never holds more than the window. */

#include "net/fork.h"
#include "rpc/client_wait.h"
#include "rpc/outgoing.h"
#include "util/alloc.h"
#include <errno.h>
#include <string.h>

struct received {
	struct received *next;
	size_t length;
	uint8_t packed[];
};

struct stream {
	struct hawser_client *client; /* NULL: freed */
	struct hawser__outgoing outgoing;
	struct hawser__waiter waiter;
	struct hawser__list link; /* the client's */
	struct received *first, **end;
	bool has_ended, in_receive;
};

static struct stream *stream_of(struct hawser__outgoing *outgoing)
{
	return hawser__container_of(outgoing, struct stream, outgoing);
}

/* ---- what the reader brings; with the lock ---- */

static void on_done(struct hawser__outgoing *outgoing)
{
	struct stream *stream = stream_of(outgoing);

	stream->has_ended = true;
	hawser__waiter_finish(&stream->waiter);
}

static void on_message(struct hawser__outgoing *outgoing, const uint8_t *packed, size_t length)
{
	struct stream *stream = stream_of(outgoing);
	struct received *received = hawser__malloc(sizeof *received + length);

	if (!received) {
		hawser__outgoing_abandon(outgoing, HAWSER_RESOURCE_EXHAUSTED,
					 "%s: out of memory for a message of %zu bytes",
					 outgoing->call.method->name, length);
		return;
	}
	received->next = NULL;
	received->length = length;
	if (length)
		memcpy(received->packed, packed, length);
	*stream->end = received;
	stream->end = &received->next;
	hawser__waiter_finish(&stream->waiter);
}

/* ---- what its user asks ---- */

static struct received *take(struct stream *stream)
{
	struct received *received = stream->first;

	if (!received)
		return NULL;
	stream->first = received->next;
	if (!stream->first)
		stream->end = &stream->first;
	return received;
}

static struct received *wait_for_message(struct stream *stream)
{
	struct hawser_client *client = stream->client;
	struct received *received;

	while (!(received = take(stream)) && !stream->has_ended) {
		int r;

		hawser__loop_update_now(client->loop);
		stream->waiter.is_done = false;
		r = hawser__client_wait(client, &stream->waiter, stream->outgoing.call.deadline_ms,
					NULL);
		if (r < 0 && stream->outgoing.call.carrier)
			hawser__client_give_up(&stream->outgoing, r);
	}
	return received;
}

static int receive(struct hawser__outgoing *outgoing, ProtobufCMessage **message)
{
	struct stream *stream = stream_of(outgoing);
	struct hawser_client *client = stream->client;
	const struct hawser_method *method = outgoing->call.method;
	struct received *received;
	ProtobufCMessage *unpacked = NULL;
	int r;

	if (!client || client->fork_generation != hawser__fork_generation()) {
		errno = EINVAL;
		return -1;
	}
	pthread_mutex_lock(&client->lock);
	if (stream->in_receive) {
		pthread_mutex_unlock(&client->lock);
		errno = EBUSY;
		return -1;
	}
	stream->in_receive = true;
	received = wait_for_message(stream);
	if (received) {
		unpacked = protobuf_c_message_unpack(method->reply, NULL, received->length,
						     received->packed);
		if (unpacked)
			hawser__outgoing_consumed(outgoing, received->length);
		else if (outgoing->call.carrier)
			hawser__outgoing_abandon(outgoing, HAWSER_INTERNAL,
						 "%s: these %zu bytes are no valid %s, or there is "
						 "no memory for it",
						 method->name, received->length,
						 method->reply->name);
	}
	if (unpacked)
		r = 1;
	else
		r = received || outgoing->error.status ? -1 : 0;
	stream->in_receive = false;
	pthread_mutex_unlock(&client->lock);
	free(received);
	if (unpacked)
		*message = unpacked;
	return r;
}

static int cancel(struct hawser__outgoing *outgoing)
{
	struct stream *stream = stream_of(outgoing);
	struct hawser_client *client = stream->client;
	int r = -EALREADY;

	if (!client)
		return -EALREADY;
	if (client->fork_generation != hawser__fork_generation())
		return -EPERM;
	pthread_mutex_lock(&client->lock);
	if (!stream->has_ended) {
		hawser__loop_update_now(client->loop);
		hawser__client_give_up(outgoing, -ECANCELED);
		r = 0;
	}
	pthread_mutex_unlock(&client->lock);
	return r;
}

static void release(struct hawser__outgoing *outgoing)
{
	struct stream *stream = stream_of(outgoing);
	struct hawser_client *client = stream->client;

	if (client && client->fork_generation != hawser__fork_generation())
		return;
	if (client) {
		cancel(outgoing);
		pthread_mutex_lock(&client->lock);
		hawser__list_unlink(&stream->link);
		pthread_mutex_unlock(&client->lock);
	}
	while (stream->first)
		free(take(stream));
	hawser__waiter_deinit(&stream->waiter);
	hawser__outgoing_deinit(outgoing);
	free(stream);
}

static const struct hawser__outgoing_ops stream_ops = {
	.done = on_done,
	.message = on_message,
	.receive = receive,
	.cancel = cancel,
	.release = release,
};

struct hawser_call *hawser__client_stream_open(struct hawser_client *client,
					       const struct hawser_method *method,
					       const ProtobufCMessage *request,
					       const struct hawser_context *context)
{
	struct stream *stream = hawser__calloc(1, sizeof *stream);
	struct hawser__outgoing *outgoing;
	int r;

	if (!stream) {
		errno = ENOMEM;
		return NULL;
	}
	outgoing = &stream->outgoing;
	stream->client = client;
	stream->end = &stream->first;
	hawser__outgoing_init(outgoing, method, &stream_ops);
	hawser__waiter_init(&stream->waiter);
	pthread_mutex_lock(&client->lock);
	hawser__list_append(&client->calls, &stream->link);
	hawser__loop_update_now(client->loop);
	outgoing->call.deadline_ms = hawser__outgoing_deadline(
		method, context, client->options.timeout_ms, client->loop->now_ms);
	if (method->kind & HAWSER_CLIENT_STREAM) {
		hawser__client_refuse_stream(outgoing);
		r = -ENOSYS;
	} else {
		r = hawser__client_start(client, outgoing, &stream->waiter, request, context);
	}
	if (r < 0)
		stream->has_ended = true;
	pthread_mutex_unlock(&client->lock);
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
