/* The public functions on calls of either direction. */

#include "rpc/call.h"

#include "net/loop.h"
#include "rpc/dispatch_pool.h"
#include "rpc/outgoing.h"
#include "rpc/stream.h"
#include "util/alloc.h"
#include "util/buffer.h"
#include "util/log.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct hawser_call *hawser__call_of(const struct hawser_call *handle)
{
	struct hawser__incoming *incoming;

	if (!hawser__is_incoming(handle))
		return (struct hawser_call *)(uintptr_t)handle;
	incoming = hawser__incoming_of(handle);
	return incoming ? &incoming->call : NULL;
}

static const struct hawser__outgoing *outgoing_of(const struct hawser_call *handle)
{
	return handle && !hawser__is_incoming(handle)
		       ? hawser__container_of(handle, const struct hawser__outgoing, call)
		       : NULL;
}

static struct hawser__outgoing *own_outgoing(struct hawser_call *handle)
{
	return (struct hawser__outgoing *)(uintptr_t)outgoing_of(handle);
}

/* Tells who uses the API wrongly what is wrong, besides the code. */
static int misuse(int code, const struct hawser_method *method, const char *what)
{
	hawser__log(HAWSER_LOG_WARNING, "%s: %s", method ? method->name : "call", what);
	return code;
}

/* ---- both ends ---- */

const struct hawser_method *hawser_call_method(const struct hawser_call *call)
{
	const struct hawser_call *known = hawser__call_of(call);

	return known ? known->method : NULL;
}

int64_t hawser_call_time_left_ms(const struct hawser_call *call)
{
	const struct hawser_call *known = hawser__call_of(call);
	uint64_t now_ms;

	if (!known)
		return 0;
	if (known->deadline_ms == UINT64_MAX)
		return INT64_MAX;
	now_ms = hawser__now_ms();
	return known->deadline_ms > now_ms ? (int64_t)(known->deadline_ms - now_ms) : 0;
}

const struct hawser_metadata *hawser_call_metadata(const struct hawser_call *call, size_t *count)
{
	const struct hawser_call *known = hawser__call_of(call);

	if (count)
		*count = known ? known->n_metadata : 0;
	return known ? known->metadata : NULL;
}

const struct hawser_metadata *hawser_call_find_metadata(const struct hawser_call *call,
							const char *key)
{
	size_t count;
	const struct hawser_metadata *metadata = hawser_call_metadata(call, &count);

	for (size_t i = 0; key && i < count; i++)
		if (strcasecmp(metadata[i].key, key) == 0)
			return &metadata[i];
	return NULL;
}

/* ---- a handler's call ---- */

static int send_reply(struct hawser_call *call, const struct hawser_method *method,
		      const struct hawser__content *content)
{
	struct hawser__incoming *incoming = hawser__incoming_of(call);

	if (!incoming)
		return misuse(-EALREADY, method, "reply: the call is over already");
	if (incoming->call.method != method)
		return misuse(-EINVAL, method, "reply: the call is of another method");
	if (method->kind & HAWSER_SERVER_STREAM)
		return hawser__incoming_send(incoming, call, content);
	return hawser__incoming_answer(incoming, call, HAWSER_OK, HAWSER_OUTCOME_EXECUTED, NULL,
				       content);
}

static int send_request(struct hawser_call *call, const struct hawser_method *method,
			const struct hawser__content *content)
{
	struct hawser__outgoing *outgoing = own_outgoing(call);

	if (call->method != method)
		return misuse(-EINVAL, method, "send: the call is of another method");
	if (!(method->kind & HAWSER_CLIENT_STREAM) || !outgoing->ops->send)
		return misuse(-EINVAL, method, "send: its request is no stream");
	return outgoing->ops->send(outgoing, content);
}

int hawser_call_send(struct hawser_call *call, const struct hawser_method *method,
		     const ProtobufCMessage *message)
{
	struct hawser__content content = {.message = message};
	const ProtobufCMessageDescriptor *type;

	if (!call || !method || !message)
		return misuse(-EINVAL, method, "send: the call or the message is NULL");
	type = hawser__is_incoming(call) ? method->reply : method->request;
	if (message->descriptor != type)
		return misuse(-EINVAL, method,
			      "send: the message is of another type; start from its "
			      "__INIT");
	content.length = protobuf_c_message_get_packed_size(message);
	return hawser__is_incoming(call) ? send_reply(call, method, &content)
					 : send_request(call, method, &content);
}

int hawser_call_send_raw(struct hawser_call *call, const struct hawser_method *method,
			 const void *packed, size_t length, hawser_release_fn *release, void *data)
{
	struct hawser__content content = {.packed = packed, .length = length};
	int r = -EINVAL;

	if (call && hawser__is_incoming(call) && method && (packed || !length)) {
		content.loan = hawser__loan_new(release, data);
		r = content.loan ? send_reply(call, method, &content) : -ENOMEM;
	}
	if (content.loan)
		hawser__loan_unref(content.loan);
	else if (release)
		release(data);
	return r;
}

static int fail(struct hawser_call *call, enum hawser_status status, enum hawser_outcome outcome,
		const char *format, va_list arguments) HAWSER_PRINTF(4, 0);

static int fail(struct hawser_call *call, enum hawser_status status, enum hawser_outcome outcome,
		const char *format, va_list arguments)
{
	char text[HAWSER_ERROR_MESSAGE_SIZE];
	struct hawser__incoming *incoming;

	if (!call || !hawser__is_incoming(call) || status <= HAWSER_OK ||
	    status > HAWSER_UNAUTHENTICATED)
		return -EINVAL;
	incoming = hawser__incoming_of(call);
	if (!incoming)
		return -EALREADY;
	if (format)
		vsnprintf(text, sizeof text, format, arguments);
	return hawser__incoming_answer(incoming, call, status, outcome,
				       format ? text : hawser_status_text(status), NULL);
}

int hawser_call_vfail(struct hawser_call *call, enum hawser_status status, const char *format,
		      va_list arguments)
{
	return fail(call, status, HAWSER_OUTCOME_EXECUTED, format, arguments);
}

int hawser_call_fail(struct hawser_call *call, enum hawser_status status, const char *format, ...)
{
	va_list arguments;
	int r;

	va_start(arguments, format);
	r = fail(call, status, HAWSER_OUTCOME_EXECUTED, format, arguments);
	va_end(arguments);
	return r;
}

int hawser_call_fail_method(struct hawser_call *call, const struct hawser_method *method,
			    enum hawser_status status, const char *format, ...)
{
	const struct hawser_call *known = hawser__call_of(call);
	va_list arguments;
	int r;

	if (known && known->method != method)
		return -EINVAL;
	va_start(arguments, format);
	r = fail(call, status, HAWSER_OUTCOME_EXECUTED, format, arguments);
	va_end(arguments);
	return r;
}

static int fail_unexecuted(struct hawser_call *call, enum hawser_status status, const char *format,
			   ...) HAWSER_PRINTF(3, 4);

static int fail_unexecuted(struct hawser_call *call, enum hawser_status status, const char *format,
			   ...)
{
	va_list arguments;
	int r;

	va_start(arguments, format);
	r = fail(call, status, HAWSER_OUTCOME_NOT_EXECUTED, format, arguments);
	va_end(arguments);
	return r;
}

void hawser_call_no_handler(struct hawser_call *call)
{
	const struct hawser_call *known = hawser__call_of(call);

	if (known)
		fail_unexecuted(call, HAWSER_UNIMPLEMENTED, "%s: the server has no handler for it",
				known->method->name);
}

const char *hawser_call_peer(const struct hawser_call *call, char *buffer, size_t size)
{
	const struct hawser_call *known = hawser__call_of(call);
	const struct hawser__incoming *incoming = hawser__incoming_of(call);

	if (!buffer || size == 0)
		return "";
	buffer[0] = 0;
	if (incoming && hawser__is_pooled(incoming)) {
		snprintf(buffer, size, "%s", hawser__pool_peer(incoming));
		return buffer;
	}
	if (known && known->carrier)
		known->carrier->ops->peer(known->carrier, buffer, size);
	return buffer;
}

int hawser_call_end(struct hawser_call *call)
{
	struct hawser__outgoing *outgoing = own_outgoing(call);
	struct hawser__incoming *incoming;

	if (!call)
		return misuse(-EINVAL, NULL, "hawser_call_end: the call is NULL");
	if (outgoing) {
		if (!(call->method->kind & HAWSER_CLIENT_STREAM) || !outgoing->ops->end)
			return misuse(-EINVAL, call->method,
				      "hawser_call_end: its request is no stream");
		return outgoing->ops->end(outgoing);
	}
	incoming = hawser__incoming_of(call);
	if (!incoming)
		return misuse(-EALREADY, NULL, "hawser_call_end: the call is over already");
	if (!(incoming->call.method->kind & HAWSER_SERVER_STREAM))
		return misuse(-EINVAL, incoming->call.method,
			      "hawser_call_end: its reply is no stream; send the reply");
	return hawser__incoming_answer(incoming, call, HAWSER_OK, HAWSER_OUTCOME_EXECUTED, NULL,
				       NULL);
}

/* ---- streams on a loop ---- */

/* The stream of a call on this thread's loop. 0, or the code for who may not use it here. */
static int stream_here(struct hawser_call *handle, struct hawser__stream **stream)
{
	struct hawser_call *call = handle ? hawser__call_of(handle) : NULL;
	struct hawser__outgoing *outgoing = own_outgoing(handle);

	if (!handle)
		return misuse(-EINVAL, NULL, "the call is NULL");
	if (!call)
		return -EPIPE;
	if (outgoing && (!outgoing->ops->message || outgoing->ops->receive))
		return misuse(-EINVAL, call->method,
			      "a blocking client's call has no callbacks to wait for");
	*stream = call->stream;
	if (!*stream)
		return call->carrier ? misuse(-EINVAL, call->method, "the call is no stream")
				     : -EPIPE;
	if (!hawser__loop_is_here((*stream)->loop))
		return misuse(-EINVAL, call->method, "this is not the thread of the call's loop");
	return 0;
}

/* A handler's question from another thread. */
struct asking {
	struct hawser__post post;
	struct hawser_call *call;
	hawser_writable_fn *callback;
	void *data;
};

static void asked(struct hawser__loop *loop, struct hawser__post *post)
{
	struct asking *asking = hawser__container_of(post, struct asking, post);

	/* A call that is over meanwhile has nobody to tell. */
	hawser_call_on_writable(asking->call, asking->callback, asking->data);
	free(asking);
}

static int ask_from_elsewhere(struct hawser__loop *loop, struct hawser_call *call,
			      hawser_writable_fn *callback, void *data)
{
	struct asking *asking = hawser__malloc(sizeof *asking);

	if (!asking)
		return -ENOMEM;
	*asking = (struct asking){{NULL, asked}, call, callback, data};
	if (hawser__loop_post(loop, &asking->post) == 0)
		return 0;
	free(asking);
	return -EPIPE;
}

int hawser_call_on_writable(struct hawser_call *call, hawser_writable_fn *callback, void *data)
{
	struct hawser__incoming *incoming = hawser__incoming_of(call);
	struct hawser__stream *stream;
	int r;

	if (incoming && !hawser__loop_is_here(incoming->serving->loop))
		return ask_from_elsewhere(incoming->serving->loop, call, callback, data);
	r = stream_here(call, &stream);

	if (r < 0)
		return r;
	if (!stream->sends)
		return misuse(-EINVAL, stream->call->method,
			      "hawser_call_on_writable: this end does not stream");
	if (!stream->connection)
		return -EPIPE;
	if (stream->has_sent_last ||
	    (!stream->call->is_outgoing && hawser__incoming_is_answered(call)))
		return -EALREADY;
	hawser__list_unlink(&stream->blocked);
	stream->on_writable = callback;
	stream->on_writable_data = data;
	if (callback)
		hawser__stream_block(stream);
	return 0;
}

static int set_stopped(struct hawser_call *call, bool is_stopped)
{
	struct hawser__incoming *incoming = hawser__incoming_of(call);
	struct hawser__stream *stream;
	int r;

	if (incoming && hawser__is_pooled(incoming))
		return incoming->call.method->kind & HAWSER_CLIENT_STREAM
			       ? hawser__pool_set_stopped(incoming, call, is_stopped)
			       : misuse(-EINVAL, incoming->call.method,
					"no stream of messages comes to this end");
	r = stream_here(call, &stream);
	if (r < 0)
		return r;
	if (!stream->receives)
		return misuse(-EINVAL, stream->call->method,
			      "no stream of messages comes to this end");
	if (!stream->connection && !stream->first && !stream->is_end_due)
		return -EPIPE;
	stream->is_stopped = is_stopped;
	hawser__stream_deliver_soon(stream);
	return 0;
}

int hawser_call_read_stop(struct hawser_call *call)
{
	return set_stopped(call, true);
}

int hawser_call_read_start(struct hawser_call *call)
{
	return set_stopped(call, false);
}

/* ---- a client's call ---- */

int hawser_call_cancel(struct hawser_call *call)
{
	struct hawser__outgoing *outgoing = own_outgoing(call);

	return outgoing ? outgoing->ops->cancel(outgoing) : -EINVAL;
}

void hawser_call_free(struct hawser_call *call)
{
	struct hawser__outgoing *outgoing = own_outgoing(call);

	if (outgoing)
		outgoing->ops->release(outgoing);
}

int hawser_call_recv(struct hawser_call *call, const struct hawser_method *method,
		     ProtobufCMessage **message)
{
	struct hawser__outgoing *outgoing = own_outgoing(call);

	if (!outgoing || !message || call->method != method || !outgoing->ops->receive) {
		misuse(-1, method, "receive: no stream of a blocking client");
		errno = EINVAL;
		return -1;
	}
	return outgoing->ops->receive(outgoing, message);
}

const struct hawser_error *hawser_call_error(const struct hawser_call *call)
{
	static const struct hawser_error none = {
		.status = HAWSER_INTERNAL, .message = "hawser_call_error: not a call of a client"};
	const struct hawser__outgoing *outgoing = outgoing_of(call);

	return outgoing ? &outgoing->error : &none;
}

const struct hawser_detail *hawser_call_details(const struct hawser_call *call, size_t *count)
{
	const struct hawser__outgoing *outgoing = outgoing_of(call);

	if (count)
		*count = outgoing ? outgoing->n_details : 0;
	return outgoing ? outgoing->details : NULL;
}
