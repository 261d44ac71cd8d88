/* Streams by either kind of client; stream.h tells what for. */

#include "stream.h"
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- what comes ---- */

static bool is_next(const struct stream *stream, const Rpctest__Payload *message)
{
	switch (stream->method) {
	case WATCH:
		return message->id == stream->n;
	case CHAT:
		return message->id == stream->n && sample_is_whole(message);
	default:
		return true;
	}
}

static void take(struct stream *stream, const Rpctest__Payload *message)
{
	stream->n++;
	stream->bytes += message->data.len;
	stream->result.id = message->id;
	stream->result.number = message->number;
	stream->result.data_length = message->data.len;
	snprintf(stream->text, sizeof stream->text, "%s", message->text);
	if (stream->then)
		stream->then(stream, message);
	else if (!is_next(stream, message))
		stream->n_wrong++;
}

static bool is_one_reply(const struct stream *stream)
{
	return !(method_of(stream->method)->kind & HAWSER_SERVER_STREAM);
}

static void on_message(struct hawser_call *call, const Rpctest__Payload *message, void *data)
{
	struct stream *stream = data;

	if (message)
		take(stream, message);
	if (!message || is_one_reply(stream))
		result_take(&stream->result, call);
}

/* A blocking client's; false: that was the end. */
static bool receive(struct stream *stream)
{
	ProtobufCMessage *message = NULL;
	int r = hawser_call_recv(stream->call, method_of(stream->method), &message);

	if (r > 0) {
		take(stream, (const Rpctest__Payload *)message);
		protobuf_c_message_free_unpacked(message, NULL);
		return true;
	}
	result_take(&stream->result, stream->call);
	if ((r == 0) != (stream->result.status == HAWSER_OK))
		stream->result.n_ends += 100;
	return false;
}

void stream_open(struct stream *stream, struct caller *caller, enum method method,
		 const Rpctest__Payload *request, const struct hawser_context *context)
{
	rpctest_tester_chat_cb *callback = on_message;

	stream->caller = caller;
	stream->method = method;
	stream->call = hawser_client_open(
		caller->client, method_of(method), request ? &request->base : NULL,
		caller->base ? (hawser_any_fn *)callback : NULL, stream, context);
	ck_assert_ptr_nonnull(stream->call);
}

bool stream_await(struct stream *stream, uint64_t n)
{
	while (stream->n < n && !stream->result.n_ends) {
		if (!stream->caller->base)
			receive(stream);
		else
			ck_assert_int_eq(event_base_loop(stream->caller->base, EVLOOP_ONCE), 0);
	}
	return stream->n >= n;
}

void stream_finish(struct stream *stream, enum hawser_status status)
{
	stream_await(stream, UINT64_MAX);
	ck_assert_uint_eq(stream->result.n_ends, 1);
	ck_assert_msg(stream->result.status == status, "%s instead of %s: %s",
		      hawser_status_name(stream->result.status), hawser_status_name(status),
		      stream->result.error.message);
	ck_assert_uint_eq(stream->n_wrong, 0);
}

void stream_close(struct stream *stream)
{
	hawser_call_free(stream->call);
	stream->call = NULL;
}

/* ---- what goes ---- */

static void on_writable(struct hawser_call *call, void *data)
{
	(void)call;
	*(bool *)data = true;
}

int stream_send(struct stream *stream, const Rpctest__Payload *message)
{
	const struct hawser_method *method = method_of(stream->method);
	int r = hawser_call_send(stream->call, method, &message->base);

	while (r == -EAGAIN && stream->caller->base) {
		bool is_writable = false;

		r = hawser_call_on_writable(stream->call, on_writable, &is_writable);
		while (r == 0 && !is_writable && !stream->result.n_ends)
			ck_assert_int_eq(event_base_loop(stream->caller->base, EVLOOP_ONCE), 0);
		if (r == 0)
			r = hawser_call_send(stream->call, method, &message->base);
	}
	stream->last_send = r;
	stream->n_sent += r == 0 && !*message->text;
	return r;
}

int stream_send_samples(struct stream *stream, uint64_t count, size_t most)
{
	int r = 0;

	while (count-- && r == 0) {
		Rpctest__Payload message = sample_of(stream->n_sent + 1, most);

		r = stream_send(stream, &message);
	}
	return r;
}

int stream_send_order(struct stream *stream, const char *text, int64_t number)
{
	Rpctest__Payload message = RPCTEST__PAYLOAD__INIT;

	message.text = (char *)text;
	message.number = number;
	return stream_send(stream, &message);
}

/* ---- beside others ---- */

static void *pump_blocking(void *data)
{
	struct stream *stream = data;

	if (stream_send_samples(stream, stream->pump.until - stream->n_sent, stream->pump.most) ==
	    0)
		stream->last_send = hawser_call_end(stream->call);
	stream->pump.is_done = true;
	return NULL;
}

static void pump_async(struct hawser_call *call, void *data)
{
	struct stream *stream = data;
	int r = 0;

	while (stream->n_sent < stream->pump.until && r == 0) {
		Rpctest__Payload message = sample_of(stream->n_sent + 1, stream->pump.most);

		r = hawser_call_send(call, method_of(stream->method), &message.base);
		stream->n_sent += r == 0;
	}
	if (r == 0)
		r = hawser_call_end(call);
	stream->last_send = r;
	if (r == -EAGAIN)
		r = hawser_call_on_writable(call, pump_async, stream);
	else
		stream->pump.is_done = true;
}

void stream_pump_start(struct stream *stream, uint64_t count, size_t most)
{
	stream->pump.until = stream->n_sent + count;
	stream->pump.most = most;
	if (stream->caller->base)
		pump_async(stream->call, stream);
	else
		ck_assert_int_eq(pthread_create(&stream->pump.thread, NULL, pump_blocking, stream),
				 0);
}

void stream_pump_join(struct stream *stream)
{
	if (!stream->caller->base)
		pthread_join(stream->pump.thread, NULL);
	while (stream->caller->base && !stream->pump.is_done && !stream->result.n_ends)
		ck_assert_int_eq(event_base_loop(stream->caller->base, EVLOOP_ONCE), 0);
}

void stream_pump(struct stream *stream, uint64_t count, size_t most)
{
	stream_pump_start(stream, count, most);
	stream_await(stream, UINT64_MAX);
	stream_pump_join(stream);
}

uint64_t samples_in_window(uint64_t window, size_t ahead, uint64_t id, size_t most)
{
	enum { MESSAGE_COST = 16 };
	uint64_t n = 0, used = ahead ? ahead + MESSAGE_COST : 0;

	while (used < window) {
		Rpctest__Payload message = sample_of(id + n++, most);

		used += rpctest__payload__get_packed_size(&message) + MESSAGE_COST;
	}
	return n;
}
