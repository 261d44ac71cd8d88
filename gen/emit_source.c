/* x.hawser.c: tables as data, and functions of a few lines each. */

#include "comments.h"
#include "emit.h"
#include "template.h"

#include <hawser/version.h>
#include <string.h>

static const char *const kinds[2][2] = {
	{"HAWSER_UNARY", "HAWSER_SERVER_STREAM"},
	{"HAWSER_CLIENT_STREAM", "HAWSER_BIDI"},
};

static void emit_constants(struct text *out, const struct service *service)
{
	text_add_string(out, "enum {\n");
	for (size_t i = 0; i < service->n_methods; i++)
		text_printf(out, "\t%s,\n", service->methods[i].constant);
	text_add_string(out, "};\n\n");
}

static void emit_thunks(struct text *out, const struct service *service,
			const struct method *method)
{
	EMIT(out,
	     "static void $local$_serve(const void *handlers, struct hawser_call *call, const "
	     "ProtobufCMessage *message, void *data)\n"
	     "{\n"
	     "\tconst struct $service$_service *service = handlers;\n"
	     "\n"
	     "\tif (service->$member$)\n"
	     "\t\tservice->$member$(call, (const $request_type$ *)message, data);\n"
	     "\telse\n"
	     "\t\thawser_call_no_handler(call);\n"
	     "}\n"
	     "\n"
	     "static void $local$_deliver(hawser_any_fn *cb, struct hawser_call *call, const "
	     "ProtobufCMessage *message, void *data)\n"
	     "{\n"
	     "\t(($symbol$_cb *)cb)(call, (const $reply_type$ *)message, data);\n"
	     "}\n\n",
	     {"local", method->local}, {"service", service->symbol}, {"member", method->member},
	     {"symbol", method->symbol}, {"request_type", method->request->type},
	     {"reply_type", method->reply->type});
}

static const char *method_flags(struct arena *arena, const struct method *method)
{
	const char *flags = "";

	if (method->idempotent)
		flags = "HAWSER_METHOD_IDEMPOTENT";
	if (method->blocking)
		flags = arena_printf(arena, "%s%sHAWSER_METHOD_BLOCKING", flags,
				     flags[0] ? " | " : "");
	if (method->exclusive)
		flags = arena_printf(arena, "%s%sHAWSER_METHOD_EXCLUSIVE%s", flags,
				     flags[0] ? " | " : "",
				     method->own_lease ? "" : " | HAWSER_METHOD_SERVICE_LEASE");
	return flags;
}

static void emit_number(struct text *out, const char *member, uint32_t value)
{
	if (value > 0)
		text_printf(out, "\t\t.%s = %u,\n", member, value);
}

static void emit_row(struct text *out, struct arena *arena, const struct service *service,
		     const struct method *method)
{
	const char *flags = method_flags(arena, method);

	text_printf(out, "\t[%s] = {\n", method->constant);
	text_printf(out, "\t\t.id = 0x%08x,\n", method->id);
	text_printf(out, "\t\t.kind = %s,\n", kinds[method->request_stream][method->reply_stream]);
	if (flags[0])
		text_printf(out, "\t\t.flags = %s,\n", flags);
	emit_number(out, "timeout_ms", method->timeout_ms);
	emit_number(out, "max_request_bytes", method->max_request_bytes);
	emit_number(out, "max_reply_bytes", method->max_reply_bytes);
	EMIT(out,
	     "\t\t.name = \"$name$\",\n"
	     "\t\t.request = &$request$__descriptor,\n"
	     "\t\t.reply = &$reply$__descriptor,\n"
	     "\t\t.serve = $local$_serve,\n"
	     "\t\t.deliver = $local$_deliver,\n"
	     "\t\t.service = &$symbol$_descriptor,\n"
	     "\t},\n",
	     {"name", method->full_name}, {"request", method->request->functions},
	     {"reply", method->reply->functions}, {"local", method->local},
	     {"symbol", service->symbol});
}

static void emit_tables(struct text *out, struct arena *arena, const struct service *service)
{
	text_printf(out, "static const struct hawser_method %smethods[] = {\n", service->local);
	for (size_t i = 0; i < service->n_methods; i++)
		emit_row(out, arena, service, &service->methods[i]);
	text_add_string(out, "};\n\n");
	if (service->n_secrets == 0)
		return;
	text_printf(out, "static const struct hawser_secret %ssecrets[] = {\n", service->local);
	for (size_t i = 0; i < service->n_secrets; i++)
		text_printf(out, "\t{&%s__descriptor, %d}, /* %s */\n",
			    service->secrets[i].message->functions,
			    service->secrets[i].field->number, service->secrets[i].field->name);
	text_add_string(out, "};\n\n");
}

static void emit_descriptor(struct text *out, const struct service *service)
{
	EMIT(out,
	     "const struct hawser_service $symbol$_descriptor = {\n"
	     "\t.name = \"$name$\",\n",
	     {"symbol", service->symbol}, {"name", service->full_name});
	if (service->n_methods > 0)
		EMIT(out,
		     "\t.methods = $local$methods,\n"
		     "\t.n_methods = sizeof $local$methods / sizeof $local$methods[0],\n",
		     {"local", service->local});
	if (service->n_secrets > 0)
		EMIT(out,
		     "\t.secrets = $local$secrets,\n"
		     "\t.n_secrets = sizeof $local$secrets / sizeof $local$secrets[0],\n",
		     {"local", service->local});
	text_add_string(out, "};\n");
}

static void emit_open(struct text *out, const struct method *method,
		      const struct variable *variables)
{
	if (method->request_stream || method->reply_stream)
		emit(out,
		     "\nstruct hawser_call *$symbol$(struct hawser_client *client, "
		     "$request_parameter$const struct hawser_context *context)\n"
		     "{\n"
		     "\treturn hawser_client_open(client, $method$, $request_argument$, NULL, "
		     "NULL, context);\n"
		     "}\n",
		     variables);
	else
		emit(out,
		     "\nenum hawser_status $symbol$(struct hawser_client *client, "
		     "$request_parameter$$reply_type$ **reply, struct hawser_context *context)\n"
		     "{\n"
		     "\tProtobufCMessage *message = NULL;\n"
		     "\tenum hawser_status status = hawser_client_call(client, $method$, "
		     "$request_argument$, &message, context);\n"
		     "\n"
		     "\tif (status == HAWSER_OK)\n"
		     "\t\t*reply = ($reply_type$ *)message;\n"
		     "\treturn status;\n"
		     "}\n",
		     variables);
	emit(out,
	     "\nstruct hawser_call *$symbol$_async(struct hawser_client *client, "
	     "$request_parameter$$symbol$_cb *cb, void *data, const struct hawser_context "
	     "*context)\n"
	     "{\n"
	     "\treturn hawser_client_open(client, $method$, $request_argument$, "
	     "(hawser_any_fn *)cb, data, context);\n"
	     "}\n",
	     variables);
}

static void emit_stubs(struct text *out, struct arena *arena, const struct service *service,
		       const struct method *method)
{
	const struct variable variables[] = {
		{"symbol", method->symbol},
		{"method", arena_printf(arena, "&%smethods[%s]", service->local, method->constant)},
		{"request_type", method->request->type},
		{"reply_type", method->reply->type},
		{"request_parameter",
		 method->request_stream
			 ? ""
			 : arena_printf(arena, "const %s *request, ", method->request->type)},
		{"request_argument",
		 method->request_stream ? "NULL" : "(const ProtobufCMessage *)request"},
		{NULL, NULL},
	};

	emit(out,
	     "\nint $symbol$_reply(struct hawser_call *call, const $reply_type$ *reply)\n"
	     "{\n"
	     "\treturn hawser_call_send(call, $method$, (const ProtobufCMessage *)reply);\n"
	     "}\n",
	     variables);
	emit_open(out, method, variables);
	if (method->request_stream)
		emit(out,
		     "\nint $symbol$_send(struct hawser_call *call, const $request_type$ "
		     "*request)\n"
		     "{\n"
		     "\treturn hawser_call_send(call, $method$, (const ProtobufCMessage "
		     "*)request);\n"
		     "}\n",
		     variables);
	if (method->request_stream || method->reply_stream)
		emit(out,
		     "\nint $symbol$_recv(struct hawser_call *call, $reply_type$ **reply)\n"
		     "{\n"
		     "\tProtobufCMessage *message = NULL;\n"
		     "\tint r = hawser_call_recv(call, $method$, &message);\n"
		     "\n"
		     "\tif (r == 1)\n"
		     "\t\t*reply = ($reply_type$ *)message;\n"
		     "\treturn r;\n"
		     "}\n",
		     variables);
}

static void emit_service(struct text *out, struct arena *arena, const struct service *service)
{
	text_printf(out, "\n/* ---- %s ---- */\n\n", service->full_name);
	if (service->n_methods == 0) {
		emit_descriptor(out, service);
		return;
	}
	emit_constants(out, service);
	text_add_string(
		out,
		"/* From the runtime's types to yours, so that every function is called through\n"
		" * its true type. */\n\n");
	for (size_t i = 0; i < service->n_methods; i++)
		emit_thunks(out, service, &service->methods[i]);
	emit_tables(out, arena, service);
	emit_descriptor(out, service);
	EMIT(out,
	     "\nint $symbol$_register(struct hawser_server *server, const struct $symbol$_service "
	     "*service, void *data, struct hawser_error *error)\n"
	     "{\n"
	     "\treturn hawser_server_add(server, &$symbol$_descriptor, service, data, error);\n"
	     "}\n"
	     "\nint $symbol$_offer(struct hawser_client *client, const struct $symbol$_service "
	     "*service, void *data, struct hawser_error *error)\n"
	     "{\n"
	     "\treturn hawser_client_add(client, &$symbol$_descriptor, service, data, error);\n"
	     "}\n",
	     {"symbol", service->symbol});
	for (size_t i = 0; i < service->n_methods; i++)
		emit_stubs(out, arena, service, &service->methods[i]);
}

void emit_source(struct generator *generator, const struct file *file, struct text *out)
{
	EMIT(out,
	     "/* Generated by protoc-gen-hawser $version$ from $file$. Do not edit. */\n\n"
	     "#include \"$stem$.hawser.h\"\n",
	     {"version", HAWSER_VERSION}, {"file", comments_clean(&generator->arena, file->name)},
	     {"stem", file->stem});
	for (size_t i = 0; i < file->n_services; i++)
		emit_service(out, &generator->arena, &file->services[i]);
}
