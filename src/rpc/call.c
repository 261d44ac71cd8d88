/* The public functions on calls of either direction. */

#include "rpc/call.h"

#include "net/loop.h"
#include "rpc/incoming.h"
#include "rpc/outgoing.h"
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

int hawser_call_send(struct hawser_call *call, const struct hawser_method *method,
		     const ProtobufCMessage *message)
{
	struct hawser__incoming *incoming;

	if (!call || !method || !message)
		return -EINVAL;
	if (!hawser__is_incoming(call))
		return -EPIPE; /* a client's stream: it failed when it was opened */
	incoming = hawser__incoming_of(call);
	if (!incoming)
		return -EALREADY;
	if (incoming->call.method != method || message->descriptor != method->reply)
		return -EINVAL;
	if (method->kind & HAWSER_SERVER_STREAM)
		return hawser__incoming_send(incoming, call, message);
	return hawser__incoming_answer(incoming, call, HAWSER_OK, HAWSER_OUTCOME_EXECUTED, NULL,
				       message);
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

	if (!buffer || size == 0)
		return "";
	buffer[0] = 0;
	if (known && known->carrier)
		known->carrier->ops->peer(known->carrier, buffer, size);
	return buffer;
}

int hawser_call_end(struct hawser_call *call)
{
	struct hawser__incoming *incoming;

	if (!call)
		return -EINVAL;
	/* A client's stream of requests: it failed when it was opened. */
	if (!hawser__is_incoming(call))
		return -EPIPE;
	incoming = hawser__incoming_of(call);
	if (!incoming)
		return -EALREADY;
	if (!(incoming->call.method->kind & HAWSER_SERVER_STREAM))
		return -EINVAL;
	return hawser__incoming_answer(incoming, call, HAWSER_OK, HAWSER_OUTCOME_EXECUTED, NULL,
				       NULL);
}

/* ---- a client's call ---- */

static struct hawser__outgoing *own_outgoing(struct hawser_call *handle)
{
	return (struct hawser__outgoing *)(uintptr_t)outgoing_of(handle);
}

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
