/* x.hawser.h: what a user reads. Per service a synopsis, the server's side, and
 * the client's side by method. */

#include "comments.h"
#include "emit.h"
#include "names.h"
#include "template.h"

#include <hawser/version.h>
#include <stdio.h>
#include <string.h>

/* Adds a sentence to those before it. */
static const char *add_sentence(struct arena *arena, const char *text, const char *sentence)
{
	return text[0] ? arena_printf(arena, "%s %s", text, sentence) : sentence;
}

/* The name of a message as the .proto's author would write it in this file. */
static const char *short_name(const struct file *file, const struct message *message)
{
	size_t length = strlen(file->package);

	if (length > 0 && strncmp(message->full_name, file->package, length) == 0 &&
	    message->full_name[length] == '.')
		return message->full_name + length + 1;
	return message->full_name;
}

/* The table of methods in the synopsis: "Count   CountRequest -> stream CountReply". */
static void emit_synopsis(struct text *out, struct arena *arena, const struct service *service)
{
	size_t name_width = 0, request_width = 0;

	for (size_t i = 0; i < service->n_methods; i++) {
		const struct method *method = &service->methods[i];
		size_t width = strlen(short_name(service->file, method->request)) +
			       (method->request_stream ? strlen("stream ") : 0);

		if (strlen(method->name) > name_width)
			name_width = strlen(method->name);
		if (width > request_width)
			request_width = width;
	}
	for (size_t i = 0; i < service->n_methods; i++) {
		const struct method *method = &service->methods[i];
		const char *request =
			arena_printf(arena, "%s%s", method->request_stream ? "stream " : "",
				     short_name(service->file, method->request));

		text_printf(out, " *   %-*s  %-*s  -> %s%s\n", (int)name_width, method->name,
			    (int)request_width, request, method->reply_stream ? "stream " : "",
			    short_name(service->file, method->reply));
	}
}

static void emit_service_comment(struct text *out, struct arena *arena,
				 const struct service *service)
{
	text_printf(out, "\n/**\n * service %s\n", service->full_name);
	for (const char *line = service->comment; line && *line;) {
		int length = (int)strcspn(line, "\n");

		text_printf(out, "%s *%s%.*s\n", line == service->comment ? " *\n" : "",
			    length ? " " : "", length, line);
		line += length;
		line += *line == '\n';
	}
	if (service->n_methods == 0) {
		text_add_string(
			out,
			" *\n * It has no methods, so there is nothing to serve or call.\n */\n\n");
		return;
	}
	text_add_string(out, " *\n");
	emit_synopsis(out, arena, service);
	text_add_string(out, " *\n");
	template_fill(
		out, " *",
		arena_printf(arena,
			     "A server fills in a struct %s_service and replies; a client "
			     "calls. A message passed to a function or a callback stays the "
			     "caller's. A server's call frees itself when it has been answered; "
			     "a client frees each call that it opened with hawser_call_free().",
			     service->symbol));
	text_add_string(out, " */\n\n");
}

static const char *handler_doc(struct arena *arena, const struct method *method)
{
	const char *own = "";

	if (method->request_stream)
		own = add_sentence(arena, own, "Runs for each request, then once with NULL.");
	if (method->blocking)
		own = add_sentence(arena, own, "Runs on the worker pool: it may block.");
	if (method->exclusive)
		own = add_sentence(arena, own, "Runs only for the session that holds the lease.");
	if (strcmp(method->c_name, name_lower(arena, method->name)) != 0)
		own = add_sentence(arena, own,
				   arena_printf(arena, "%s in C, because %s is taken.",
						method->c_name, name_lower(arena, method->name)));
	if (!own[0] && !method->comment)
		return "";
	return template_doc(arena, "\t", method->comment, own);
}

static void emit_server(struct text *out, struct arena *arena, const struct service *service)
{
	bool streams = false, had_doc = false;

	EMIT(out,
	     "/* ---- server ---- */\n\n"
	     "struct $symbol$_service {\n",
	     {"symbol", service->symbol});
	for (size_t i = 0; i < service->n_methods; i++) {
		const struct method *method = &service->methods[i];
		const char *doc = handler_doc(arena, method);

		streams |= method->reply_stream;
		/* Members with a comment stand apart. */
		had_doc |= doc[0];
		EMIT(out,
		     "$gap$$doc$\tvoid (*$member$)(struct hawser_call *call, const $type$ "
		     "*$request$, "
		     "void *data);\n",
		     {"gap", i > 0 && had_doc ? "\n" : ""}, {"doc", doc},
		     {"member", method->member}, {"type", method->request->type},
		     {"request", method->request_stream ? "request_or_null" : "request"});
		had_doc = doc[0];
	}
	EMIT(out,
	     "};\n\n"
	     "/** Serves `service`; a handler left NULL answers UNIMPLEMENTED. As "
	     "hawser_server_add(). */\n"
	     "int $symbol$_register(struct hawser_server *server, const struct $symbol$_service "
	     "*service, void *data, struct hawser_error *error);\n\n"
	     "/** Lets the client's server call `service` as well. As hawser_client_add(). */\n"
	     "int $symbol$_offer(struct hawser_client *client, const struct $symbol$_service "
	     "*service, void *data, struct hawser_error *error);\n\n",
	     {"symbol", service->symbol});
	text_add_string(
		out,
		streams ? "/* _reply sends a reply; hawser_call_end() ends a stream of them. "
			  "_fail(call,\n"
			  " * status, format, ...) ends the call without one. They return as\n"
			  " * hawser_call_send() and hawser_call_fail(). */\n"
			: "/* _reply ends the call with its reply, _fail(call, status, format, "
			  "...) without\n"
			  " * one. They return as hawser_call_send() and hawser_call_fail(). */\n");
	for (size_t i = 0; i < service->n_methods; i++) {
		const struct method *method = &service->methods[i];

		EMIT(out,
		     "$gap$int $symbol$_reply(struct hawser_call *call, const $type$ *reply);\n"
		     "#define $symbol$_fail(call, ...) \\\n"
		     "\thawser_call_fail_method((call), &$service$_descriptor.methods[$index$], "
		     "__VA_ARGS__)\n",
		     {"gap", i > 0 ? "\n" : ""}, {"symbol", method->symbol},
		     {"type", method->reply->type}, {"service", service->symbol},
		     {"index", arena_printf(arena, "%zu", i)});
	}
}

/* How to free a reply, in words. */
static const char *free_function(struct arena *arena, const struct method *method)
{
	return method->reply->has_helpers
		       ? arena_printf(arena, "%s__free_unpacked()", method->reply->functions)
		       : "protobuf_c_message_free_unpacked()";
}

/* What options say about every call of the method. */
static const char *add_options(struct arena *arena, const struct method *method, const char *own)
{
	if (method->timeout_ms > 0)
		own = add_sentence(arena, own,
				   arena_printf(arena,
						"Deadline: %u ms unless `context` says otherwise.",
						method->timeout_ms));
	if (method->idempotent)
		own = add_sentence(arena, own, "May safely run twice.");
	if (method->exclusive)
		own = add_sentence(arena, own, "Only for the session that holds the lease.");
	return own;
}

static void emit_unary(struct text *out, struct arena *arena, const struct method *method,
		       const struct variable *variables)
{
	const char *own = arena_printf(
		arena, "Waits for the reply: on HAWSER_OK *reply is yours, to be freed with %s.",
		free_function(arena, method));

	text_add_string(out,
			template_doc(arena, "", method->comment, add_options(arena, method, own)));
	emit(out,
	     "$deprecated$enum hawser_status $symbol$(struct hawser_client *client, const "
	     "$request_type$ *request, $reply_type$ **reply, struct hawser_context *context);\n\n"
	     "/** The same without waiting: `cb` runs once. Returns as hawser_client_open(). */\n"
	     "$deprecated$struct hawser_call *$symbol$_async(struct hawser_client *client, const "
	     "$request_type$ *request, $symbol$_cb *cb, void *data, const struct hawser_context "
	     "*context);\n",
	     variables);
}

static void emit_stream(struct text *out, struct arena *arena, const struct method *method,
			const struct variable *variables)
{
	const char *symbol = method->symbol;
	const char *own;

	if (!method->request_stream)
		own = arena_printf(arena, "Take the replies with %s_recv().", symbol);
	else if (!method->reply_stream)
		own = arena_printf(arena,
				   "Send with %s_send(), then hawser_call_end(), then %s_recv().",
				   symbol, symbol);
	else
		own = arena_printf(arena,
				   "Use %s_send() and %s_recv() in any order, hawser_call_end() "
				   "when all is sent.",
				   symbol, symbol);
	text_add_string(out,
			template_doc(arena, "", method->comment, add_options(arena, method, own)));
	emit(out,
	     "$deprecated$struct hawser_call *$symbol$(struct hawser_client *client, "
	     "$request_parameter$const struct hawser_context *context);\n",
	     variables);
	if (method->request_stream)
		emit(out,
		     "\n/** Sends a request. Returns as hawser_call_send(). */\n"
		     "$deprecated$int $symbol$_send(struct hawser_call *call, const $request_type$ "
		     "*request);\n",
		     variables);
	own = arena_printf(arena,
			   "Waits for %s: 1 and *reply, yours to be freed with %s; 0 at the end; "
			   "-1 if the call failed, see hawser_call_error().",
			   method->reply_stream ? "a reply" : "the reply",
			   free_function(arena, method));
	text_printf(out, "\n%s", template_doc(arena, "", NULL, own));
	emit(out,
	     "$deprecated$int $symbol$_recv(struct hawser_call *call, $reply_type$ **reply);\n\n",
	     variables);
	text_add_string(out, method->reply_stream
				     ? "/** Opens it without waiting: `cb` runs for each reply, "
				       "then once with NULL. */\n"
				     : "/** Opens it without waiting: `cb` runs once. */\n");
	emit(out,
	     "$deprecated$struct hawser_call *$symbol$_async(struct hawser_client *client, "
	     "$request_parameter$$symbol$_cb *cb, void *data, const struct hawser_context "
	     "*context);\n",
	     variables);
}

static void emit_client(struct text *out, struct arena *arena, const struct method *method)
{
	const char *request_parameter =
		method->request_stream
			? ""
			: arena_printf(arena, "const %s *request, ", method->request->type);
	const struct variable variables[] = {
		{"symbol", method->symbol},
		{"name", method->name},
		{"request_type", method->request->type},
		{"reply_type", method->reply->type},
		{"request_parameter", request_parameter},
		{"deprecated", method->deprecated ? "HAWSER_DEPRECATED " : ""},
		{NULL, NULL},
	};

	emit(out,
	     "\n/* ---- client: $name$ ---- */\n\n"
	     "typedef void $symbol$_cb(struct hawser_call *call, const $reply_type$ "
	     "*reply_or_null, void *data);\n\n",
	     variables);
	if (method->request_stream || method->reply_stream)
		emit_stream(out, arena, method, variables);
	else
		emit_unary(out, arena, method, variables);
}

/* A file without C of its own takes the messages of the files that it imports. */
static void emit_includes(struct text *out, const struct generator *generator,
			  const struct file *file)
{
	text_add_string(out, "#include <hawser/hawser.h>\n");
	if (!file->no_generate) {
		text_printf(out, "#include \"%s.pb-c.h\"\n", file->stem);
		return;
	}
	for (size_t i = 0; i < file->proto->n_dependency; i++)
		for (size_t j = 0; j < generator->n_files; j++)
			if (strcmp(generator->files[j].name, file->proto->dependency[i]) == 0 &&
			    !generator->files[j].no_generate)
				text_printf(out, "#include \"%s.pb-c.h\"\n",
					    generator->files[j].stem);
}

void emit_header(struct generator *generator, const struct file *file, struct text *out)
{
	struct arena *arena = &generator->arena;

	EMIT(out,
	     "/* Generated by protoc-gen-hawser $version$ from $file$. Do not edit. */\n\n"
	     "#ifndef $guard$\n"
	     "#define $guard$\n\n",
	     {"version", HAWSER_VERSION}, {"file", comments_clean(arena, file->name)},
	     {"guard", name_guard(arena, file->stem)});
	emit_includes(out, generator, file);
	EMIT(out,
	     "\n"
	     "#if HAWSER_VERSION_NUMBER < $number$\n"
	     "#error \"$stem$.hawser.h needs Hawser $text$ or newer\"\n"
	     "#endif\n\n",
	     {"number", EMIT_NEEDS_NUMBER}, {"text", EMIT_NEEDS_TEXT}, {"stem", file->stem});
	if (file->n_services > 0)
		text_add_string(out, "#ifdef __cplusplus\n"
				     "extern \"C\" {\n"
				     "#endif\n");
	for (size_t i = 0; i < file->n_services; i++) {
		const struct service *service = &file->services[i];

		emit_service_comment(out, arena, service);
		EMIT(out,
		     "/** What the runtime knows of $name$; for proxies and reflection. */\n"
		     "extern const struct hawser_service $symbol$_descriptor;\n",
		     {"name", service->full_name}, {"symbol", service->symbol});
		if (service->n_methods == 0)
			continue;
		text_add_char(out, '\n');
		emit_server(out, arena, service);
		for (size_t j = 0; j < service->n_methods; j++)
			emit_client(out, arena, &service->methods[j]);
	}
	if (file->n_services > 0)
		text_add_string(out, "\n#ifdef __cplusplus\n"
				     "}\n"
				     "#endif\n\n");
	EMIT(out, "#endif /* $guard$ */\n", {"guard", name_guard(arena, file->stem)});
}
