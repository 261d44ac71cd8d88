/* The runtime that generated code is linked with here. */

#include "runtime.h"

#include <stdarg.h>
#include <stdio.h>

struct asked asked;
enum hawser_status answer_status;
ProtobufCMessage *answer_message;
int answer_number;

/* Any pointer that is not NULL. */
static char opened;

int hawser_server_add(struct hawser_server *server, const struct hawser_service *service,
		      const void *handlers, void *data, struct hawser_error *error)
{
	asked = (struct asked){.function = __func__,
			       .object = server,
			       .service = service,
			       .handlers = handlers,
			       .data = data,
			       .context = error};
	return answer_number;
}

int hawser_client_add(struct hawser_client *client, const struct hawser_service *service,
		      const void *handlers, void *data, struct hawser_error *error)
{
	asked = (struct asked){.function = __func__,
			       .object = client,
			       .service = service,
			       .handlers = handlers,
			       .data = data,
			       .context = error};
	return answer_number;
}

enum hawser_status hawser_client_call(struct hawser_client *client,
				      const struct hawser_method *method,
				      const ProtobufCMessage *request, ProtobufCMessage **reply,
				      struct hawser_context *context)
{
	asked = (struct asked){.function = __func__,
			       .object = client,
			       .method = method,
			       .message = request,
			       .context = context};
	if (answer_status == HAWSER_OK)
		*reply = answer_message;
	return answer_status;
}

struct hawser_call *hawser_client_open(struct hawser_client *client,
				       const struct hawser_method *method,
				       const ProtobufCMessage *request, hawser_any_fn *callback,
				       void *data, const struct hawser_context *context)
{
	asked = (struct asked){.function = __func__,
			       .object = client,
			       .method = method,
			       .message = request,
			       .callback = callback,
			       .data = data,
			       .context = context};
	return (struct hawser_call *)&opened;
}

int hawser_call_send(struct hawser_call *call, const struct hawser_method *method,
		     const ProtobufCMessage *message)
{
	asked = (struct asked){
		.function = __func__, .object = call, .method = method, .message = message};
	return answer_number;
}

int hawser_call_recv(struct hawser_call *call, const struct hawser_method *method,
		     ProtobufCMessage **message)
{
	asked = (struct asked){.function = __func__, .object = call, .method = method};
	if (answer_number == 1)
		*message = answer_message;
	return answer_number;
}

void hawser_call_no_handler(struct hawser_call *call)
{
	asked = (struct asked){.function = __func__, .object = call};
}

int hawser_call_fail_method(struct hawser_call *call, const struct hawser_method *method,
			    enum hawser_status status, const char *format, ...)
{
	va_list arguments;

	asked = (struct asked){
		.function = __func__, .object = call, .method = method, .status = status};
	va_start(arguments, format);
	vsnprintf(asked.text, sizeof asked.text, format, arguments);
	va_end(arguments);
	return answer_number;
}
