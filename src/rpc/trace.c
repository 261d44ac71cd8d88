/* The lines of the trace: the frame, and what it carries as JSON. */

#include "rpc/trace.h"

#include "rpc/connection.h"
#include "util/alloc.h"
#include "util/json.h"
#include "util/log.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Everything of a line but the message. */
enum { LINE_HEAD = 512 };

struct line {
	char *text;
	size_t size, length;
};

static void add(struct line *line, const char *format, ...) HAWSER_PRINTF(2, 3);

static void add(struct line *line, const char *format, ...)
{
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(line->text + line->length, line->size - line->length, format, arguments);
	va_end(arguments);
	if (n > 0)
		line->length += (size_t)n < line->size - line->length
					? (size_t)n
					: line->size - line->length - 1;
}

/* A secret of the user's messages, or one of our own frames. */
static bool is_secret(const ProtobufCMessageDescriptor *message, uint32_t field, void *data)
{
	const struct hawser_method *method = data;
	const struct hawser_service *service = method ? method->service : NULL;

	/* Credentials are open's fourth field; metadata often are credentials, so their
	 * values are not shown. */
	if (message == &hawser__open__descriptor)
		return field == 4;
	if (message == &hawser__metadata__descriptor)
		return field == 2;
	/* Whoever has the token has the session. */
	if (message == &hawser__session__descriptor)
		return field == 2;
	for (size_t i = 0; service && i < service->n_secrets; i++)
		if (service->secrets[i].message == message && service->secrets[i].field == field)
			return true;
	return false;
}

static void add_json(struct line *line, const ProtobufCMessageDescriptor *type,
		     const uint8_t *packed, size_t length, const struct hawser_method *method)
{
	struct hawser__json_options options = {
		.max_bytes = hawser__trace_max_message_bytes(),
		.is_secret = is_secret,
		.data = (void *)(uintptr_t)method,
	};

	add(line, " ");
	line->length += hawser__json_render(line->text + line->length, line->size - line->length,
					    type, packed, length, &options);
}

static const ProtobufCMessageDescriptor *body_type(enum hawser__frame_kind kind)
{
	static const ProtobufCMessageDescriptor *const types[HAWSER__FRAME_KINDS] = {
		[HAWSER__FRAME_OPEN] = &hawser__open__descriptor,
		[HAWSER__FRAME_OPENED] = &hawser__opened__descriptor,
		[HAWSER__FRAME_REJECTED] = &hawser__rejected__descriptor,
		[HAWSER__FRAME_PING] = &hawser__ping__descriptor,
		[HAWSER__FRAME_PONG] = &hawser__pong__descriptor,
		[HAWSER__FRAME_CLOSE] = &hawser__close__descriptor,
		[HAWSER__FRAME_SHUTDOWN] = &hawser__shutdown__descriptor,
		[HAWSER__FRAME_CALL] = &hawser__call__descriptor,
		[HAWSER__FRAME_MESSAGE] = &hawser__message__descriptor,
		[HAWSER__FRAME_END] = &hawser__end__descriptor,
		[HAWSER__FRAME_CANCEL] = &hawser__cancel__descriptor,
		[HAWSER__FRAME_WINDOW] = &hawser__window__descriptor,
		[HAWSER__FRAME_HELLO] = &hawser__hello__descriptor,
	};

	return types[kind];
}

static void add_call(struct line *line, const struct hawser__frame *frame,
		     const struct hawser_method *method)
{
	add(line, " #%llu", (unsigned long long)frame->id);
	if (method)
		add(line, " %s", method->name);
	else if (frame->kind == HAWSER__FRAME_CALL && frame->method)
		add(line, " method 0x%08x", frame->method);
	if (frame->kind == HAWSER__FRAME_WINDOW)
		add(line, " %llu bytes", (unsigned long long)frame->window);
	if (frame->timeout_ms)
		add(line, " timeout %llu ms", (unsigned long long)frame->timeout_ms);
	if (frame->kind == HAWSER__FRAME_END)
		add(line, " %s", hawser_status_name((enum hawser_status)frame->status));
}

/* Whether this end made the call: the one that accepted made those with even ids. */
static bool is_callers(const struct hawser__connection *connection, uint64_t id)
{
	return (id & 1) != connection->session.is_server;
}

static void trace(struct hawser__connection *connection, bool is_sent,
		  const struct hawser__frame *frame, const struct hawser_method *method,
		  bool is_piece)
{
	size_t size = LINE_HEAD + 2 * (hawser__trace_max_message_bytes() + 64);
	struct line line = {hawser__malloc(size), size, 0};
	bool is_call = hawser__frame_is_counted(frame->kind);
	const ProtobufCMessageDescriptor *type = NULL;
	struct timespec now;
	struct tm local;
	char peer[128];

	if (!line.text)
		return;
	line.text[0] = 0;
	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &local);
	add(&line, "%02d:%02d:%02d.%06ld %s %s %s", local.tm_hour, local.tm_min, local.tm_sec,
	    now.tv_nsec / 1000, is_sent ? "->" : "<-",
	    hawser__connection_peer(connection, peer, sizeof peer),
	    frame->ack && !frame->body ? "ack" : hawser__frame_kind_name(frame->kind));
	if (frame->ack)
		add(&line, frame->body ? " (ack %llu)" : " %llu", (unsigned long long)frame->ack);
	if (is_call)
		add_call(&line, frame, method);
	/* The header's rare part, and the whole of frames that are not about a call. */
	if (frame->body && (!is_call || frame->more))
		add_json(&line, body_type(frame->kind), frame->body, frame->body_length, NULL);
	if (frame->size)
		add(&line, " of %llu bytes", (unsigned long long)frame->size);
	if (is_piece || frame->last)
		type = NULL;
	else if (method && frame->kind == HAWSER__FRAME_CALL)
		type = frame->size ? NULL : method->request;
	else if (method && frame->kind == HAWSER__FRAME_END && frame->status == HAWSER_OK)
		type = method->reply;
	else if (method && frame->kind == HAWSER__FRAME_MESSAGE)
		type = is_sent == is_callers(connection, frame->id) ? method->request
								    : method->reply;
	if (frame->last)
		add(&line, " last");
	if (type)
		add_json(&line, type, frame->payload, frame->payload_length, method);
	else if (frame->payload_length)
		add(&line, " %zu bytes", frame->payload_length);
	hawser__trace_emit(line.text);
	free(line.text);
}

void hawser__trace_frame(struct hawser__connection *connection, bool is_sent,
			 const struct hawser__frame *frame, const struct hawser_method *method)
{
	trace(connection, is_sent, frame, method, false);
}

void hawser__trace_piece(struct hawser__connection *connection, bool is_sent,
			 const struct hawser__frame *frame, const struct hawser_method *method)
{
	trace(connection, is_sent, frame, method, true);
}

void hawser__trace_moved(struct hawser__session *session, const uint8_t *head, size_t length)
{
	struct hawser__connection *connection =
		hawser__container_of(session, struct hawser__connection, session);
	const struct hawser_call *call;
	struct hawser__frame frame;
	const char *why;

	if (hawser__frame_decode_head(&frame, head + HAWSER__FRAME_PREFIX,
				      length - HAWSER__FRAME_PREFIX, hawser__frame_length(head),
				      &why) < 0)
		return;
	call = hawser__call_table_find(&connection->calls, frame.id);
	hawser__trace_piece(connection, true, &frame, call ? call->method : NULL);
}

void hawser__trace_sent(struct hawser__connection *connection, const uint8_t *bytes,
			const struct hawser_method *method)
{
	struct hawser__frame frame;
	const char *why;

	if (hawser__frame_decode(&frame, bytes + HAWSER__FRAME_PREFIX, hawser__frame_length(bytes),
				 &why) == 0)
		hawser__trace_frame(connection, true, &frame, method);
}
