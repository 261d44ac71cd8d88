/* From a request to the model. protoc has checked the .proto files, but nobody
 * has checked that the request comes from protoc: every name is looked at before
 * it is used as one. */

#include "model.h"

#include "comments.h"
#include "names.h"
#include "options.h"
#include "symbols.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More errors than anybody reads at once. */
#define MAX_ERRORS 20

void model_error(struct generator *generator, struct place place, const char *format, ...)
{
	va_list arguments;
	struct arena arena = {0};

	if (generator->n_errors++ == MAX_ERRORS)
		text_add_string(&generator->errors, "\n(more errors follow)");
	if (generator->n_errors > MAX_ERRORS)
		return;
	if (generator->errors.length > 0)
		text_add_char(&generator->errors, '\n');
	if (place.file && place.line > 0)
		text_printf(&generator->errors, "%s:%d: ", place.file, place.line);
	else if (place.file)
		text_printf(&generator->errors, "%s: ", place.file);
	va_start(arguments, format);
	text_add_string(&generator->errors, arena_vprintf(&arena, format, arguments));
	va_end(arguments);
	arena_deinit(&arena);
}

const char *model_place(struct generator *generator, struct place place)
{
	return place.line > 0 ? arena_printf(&generator->arena, "%s:%d", place.file, place.line)
			      : place.file;
}

void model_deinit(struct generator *generator)
{
	table_deinit(&generator->messages_by_name);
	text_deinit(&generator->errors);
	arena_deinit(&generator->arena);
}

/* The full name of what is declared in a scope: "demo" and "Greeter". */
static const char *join(struct arena *arena, const char *scope, const char *name)
{
	return scope[0] ? arena_printf(arena, "%s.%s", scope, name) : name;
}

/* Whether a path can be shown in a comment and an #include. */
static bool is_usable_path(const char *path)
{
	if (!path || !path[0])
		return false;
	for (; *path; path++)
		if ((unsigned char)*path < ' ' || *path == 0x7f || strchr("\"\\", *path))
			return false;
	return true;
}

/* A message and those nested in it. protoc-gen-c emits helper functions for a
 * nested message only if an option of the file or of the message around it says
 * so; `deep` and `helpers` carry that down. */
static void read_message(struct generator *generator, struct file *file, const MessageProto *proto,
			 const char *scope, int32_t *path, size_t length, bool deep, bool helpers)
{
	struct arena *arena = &generator->arena;
	struct message *message;
	struct place place =
		file->wanted ? comments_place(file, path, length) : (struct place){file->name, 0};
	const ProtobufCMessage *options = proto->options ? &proto->options->base : NULL;
	const char *key, *c_full_name;
	uint64_t own = 0;
	bool is_set;

	if (!name_is_valid(proto->name, false)) {
		model_error(generator, place, "a message without a valid name; run protoc again");
		return;
	}
	message = arena_alloc(arena, sizeof *message);
	message->full_name = join(arena, scope, proto->name);
	message->file = file;
	message->proto = proto;
	message->place = place;
	c_full_name = name_override(arena, message->full_name, file->package, file->c_package);
	message->type = name_type(arena, c_full_name);
	message->functions = name_functions(arena, c_full_name);

	is_set = option_nested_number(options, OPTION_PB_C, PB_C_MESSAGE_GEN_PACK_HELPERS, &own);
	message->has_helpers = is_set ? own : helpers;

	key = arena_printf(arena, ".%s", message->full_name);
	if (table_find(&generator->messages_by_name, key)) {
		model_error(generator, place, "message %s is defined twice; rename one",
			    message->full_name);
		return;
	}
	table_add(&generator->messages_by_name, key, message);

	for (size_t i = 0; i < proto->n_nested_type; i++) {
		path[length] = MESSAGE_MESSAGE;
		path[length + 1] = (int32_t)i;
		read_message(generator, file, proto->nested_type[i], message->full_name, path,
			     length + 2, true, deep ? message->has_helpers : is_set && own);
	}
}

static void read_file(struct generator *generator, struct file *file)
{
	const FileProto *proto = file->proto;
	const ProtobufCMessage *options = proto->options ? &proto->options->base : NULL;
	int32_t path[MAX_PATH] = {FILE_OPTIONS, OPTION_PB_C, PB_C_FILE_C_PACKAGE};
	const char *c_package;
	size_t length;
	uint64_t number = 0;
	bool deep, helpers;

	file->package = proto->package ? proto->package : "";
	if (file->package[0] && !name_is_valid(file->package, true)) {
		model_error(generator, (struct place){file->name, 0},
			    "the package has no valid name; run protoc again");
		return;
	}
	for (size_t i = 0; i < proto->n_dependency; i++)
		if (!is_usable_path(proto->dependency[i]))
			model_error(generator, (struct place){file->name, 0},
				    "an imported file has no usable name; rename it without "
				    "quotes, backslashes and control characters");
	if (file->wanted)
		comments_index(&generator->arena, file);

	option_nested_number(options, OPTION_PB_C, PB_C_FILE_NO_GENERATE, &number);
	file->no_generate = number;
	number = true;
	deep = option_nested_number(options, OPTION_PB_C, PB_C_FILE_GEN_PACK_HELPERS, &number);
	helpers = number;
	if (option_nested_string(options, OPTION_PB_C, PB_C_FILE_C_PACKAGE, &c_package, &length)) {
		file->c_package = arena_strndup(&generator->arena, c_package, length);
		if (length > 0 && !name_is_valid(file->c_package, true)) {
			model_error(
				generator,
				comments_place(file, path, comments_find(file, path, 3) ? 3 : 0),
				"c_package \"%s\" is no package name; use letters, digits, "
				"underscores and dots",
				comments_clean(&generator->arena, file->c_package));
			return;
		}
	}
	for (size_t i = 0; i < proto->n_message_type; i++) {
		path[0] = FILE_MESSAGE;
		path[1] = (int32_t)i;
		read_message(generator, file, proto->message_type[i], file->package, path, 2, deep,
			     helpers);
	}
	if (strcmp(file->package, "hawser") == 0)
		for (size_t i = 0; i < proto->n_extension; i++)
			if (proto->extension[i]->number == OPTION_TIMEOUT_MS)
				generator->has_options = true;
}

static bool has_option(const struct generator *generator, const ProtobufCMessage *options,
		       uint32_t field, uint64_t *value)
{
	return generator->has_options && option_number(options, field, value);
}

static const struct message *find_message(struct generator *generator, struct place place,
					  const char *name)
{
	const struct message *message =
		name ? table_find(&generator->messages_by_name, name) : NULL;

	if (!message)
		model_error(generator, place,
			    "message %s is in no file of the request; run protoc again",
			    name && name_is_valid(name + (*name == '.'), true) ? name : "?");
	else if (message->file->no_generate)
		model_error(generator, place,
			    "message %s has no C code, because %s sets (pb_c_file).no_generate; "
			    "remove that option or use another message",
			    message->full_name, message->file->name);
	return message;
}

static void read_method(struct generator *generator, const struct file *file,
			const struct service *service, const MethodProto *proto,
			struct method *method, const int32_t *service_path, int32_t index)
{
	struct arena *arena = &generator->arena;
	int32_t path[6] = {service_path[0], service_path[1], SERVICE_METHOD, index};
	const ProtobufCMessage *options = proto->options ? &proto->options->base : NULL;
	uint64_t value = 0;

	method->place = comments_place(file, path, 4);
	if (!name_is_valid(proto->name, false)) {
		model_error(generator, method->place,
			    "a method without a valid name; run protoc again");
		return;
	}
	method->name = proto->name;
	method->full_name = arena_printf(arena, "%s/%s", service->full_name, proto->name);
	method->comment = comments_text(arena, file, path, 4);
	method->request = find_message(generator, method->place, proto->input_type);
	method->reply = method->request;
	if (!proto->input_type || !proto->output_type ||
	    strcmp(proto->input_type, proto->output_type) != 0)
		method->reply = find_message(generator, method->place, proto->output_type);
	method->request_stream = proto->client_streaming;
	method->reply_stream = proto->server_streaming;

	method->idempotent =
		proto->options &&
		proto->options->idempotency_level !=
			GOOGLE__PROTOBUF__METHOD_OPTIONS__IDEMPOTENCY_LEVEL__IDEMPOTENCY_UNKNOWN;
	if (has_option(generator, options, OPTION_IDEMPOTENT, &value))
		method->idempotent |= value != 0;
	method->deprecated = service->deprecated || (proto->options && proto->options->deprecated);
	if (has_option(generator, options, OPTION_BLOCKING, &value))
		method->blocking = value;
	method->own_lease = has_option(generator, options, OPTION_EXCLUSIVE, &value);
	if (method->own_lease)
		method->exclusive = value;
	if (has_option(generator, options, OPTION_TIMEOUT_MS, &value))
		method->timeout_ms = (uint32_t)value;
	if (has_option(generator, options, OPTION_MAX_REQUEST_BYTES, &value))
		method->max_request_bytes = (uint32_t)value;
	if (has_option(generator, options, OPTION_MAX_REPLY_BYTES, &value))
		method->max_reply_bytes = (uint32_t)value;

	method->id = name_hash(method->full_name);
	if (method->id == 0)
		method->id = 1;
	if (has_option(generator, options, OPTION_METHOD_ID, &value)) {
		path[4] = METHOD_OPTIONS;
		path[5] = OPTION_METHOD_ID;
		method->place = comments_place(file, path, 6);
		method->id = (uint32_t)value;
		if (method->id == 0)
			model_error(generator, method->place,
				    "(hawser.method_id) of %s is 0, which no method can have; use "
				    "another number",
				    method->full_name);
		method->place = comments_place(file, path, 4);
	}
}

/* Collects the secret fields of a message and of those it can hold. Each message
 * is looked at once a service. A queue and no recursion, since messages may hold
 * one another in a long chain. */
static void read_secrets(struct generator *generator, struct service *service)
{
	struct message **open = NULL;
	size_t first = 0, n_open = 0, size = 0, n = 0, room = 0;
	struct secret *secrets = NULL;

	for (size_t i = 0; i < 2 * service->n_methods || first < n_open;) {
		struct message *message;

		if (first < n_open) {
			message = open[first++];
		} else {
			const struct method *method = &service->methods[i / 2];

			message = (struct message *)(i % 2 ? method->reply : method->request);
			i++;
		}
		if (!message || message->seen_by == service || message->file->no_generate)
			continue;
		message->seen_by = service;
		for (size_t j = 0; j < message->proto->n_field; j++) {
			const FieldProto *field = message->proto->field[j];
			uint64_t value = 0;

			if (has_option(generator, field->options ? &field->options->base : NULL,
				       OPTION_SECRET, &value) &&
			    value) {
				if (n == room) {
					room = 2 * room + 8;
					secrets = must_realloc(secrets, room * sizeof *secrets);
				}
				secrets[n++] = (struct secret){message, field};
			}
			if (!field->type_name)
				continue;
			if (n_open == size) {
				size = 2 * size + 16;
				open = must_realloc(open, size * sizeof(struct message *));
			}
			/* NULL when the field is an enum. */
			open[n_open] = table_find(&generator->messages_by_name, field->type_name);
			n_open += open[n_open] != NULL;
		}
	}
	service->n_secrets = n;
	service->secrets = arena_alloc(&generator->arena, n * sizeof *secrets);
	if (n > 0)
		memcpy(service->secrets, secrets, n * sizeof *secrets);
	free(secrets);
	free(open);
}

static void read_service(struct generator *generator, const struct file *file,
			 const ServiceProto *proto, struct service *service, int32_t index)
{
	struct arena *arena = &generator->arena;
	int32_t path[] = {FILE_SERVICE, index};
	const ProtobufCMessage *options = proto->options ? &proto->options->base : NULL;
	uint64_t exclusive = 0;

	service->place = comments_place(file, path, 2);
	if (!name_is_valid(proto->name, false)) {
		model_error(generator, service->place,
			    "a service without a valid name; run protoc again");
		return;
	}
	service->file = file;
	service->name = proto->name;
	service->full_name = join(arena, file->package, proto->name);
	service->symbol = name_service(
		arena, name_override(arena, service->full_name, file->package, file->c_package));
	service->deprecated = proto->options && proto->options->deprecated;
	service->comment = comments_text(arena, file, path, 2);
	service->n_methods = proto->n_method;
	service->methods = arena_alloc(arena, proto->n_method * sizeof *service->methods);
	for (size_t i = 0; i < proto->n_method; i++)
		read_method(generator, file, service, proto->method[i], &service->methods[i], path,
			    (int32_t)i);
	if (has_option(generator, options, OPTION_SERVICE_EXCLUSIVE, &exclusive) && exclusive)
		for (size_t i = 0; i < service->n_methods; i++)
			service->methods[i].exclusive |= !service->methods[i].own_lease;
	read_secrets(generator, service);
}

/* Refuses what this generator or protoc-gen-c cannot do. */
static void check_syntax(struct generator *generator, const struct file *file)
{
	const char *syntax = file->proto->syntax;
	int32_t path[] = {FILE_SYNTAX};

	if (syntax && syntax[0] && strcmp(syntax, "proto2") != 0 && strcmp(syntax, "proto3") != 0)
		model_error(generator, comments_place(file, path, 1),
			    "syntax \"%s\" is not supported; use \"proto2\" or \"proto3\"",
			    comments_clean(&generator->arena, syntax));
}

static void check_ids(struct generator *generator)
{
	struct table ids = {0};

	for (size_t f = 0; f < generator->n_files; f++)
		for (size_t s = 0; s < generator->files[f].n_services; s++)
			for (size_t m = 0; m < generator->files[f].services[s].n_methods; m++) {
				struct method *method = &generator->files[f].services[s].methods[m];
				const char *key =
					arena_printf(&generator->arena, "%08x", method->id);
				const struct method *other = table_find(&ids, key);

				if (!other)
					table_add(&ids, key, method);
				else
					model_error(generator, method->place,
						    "%s has the id 0x%s, and so has %s (%s); give "
						    "one of them another with (hawser.method_id)",
						    method->full_name, key, other->full_name,
						    model_place(generator, other->place));
			}
	table_deinit(&ids);
}

/* Matches the files of the request with those that the user wants. */
static void list_files(struct generator *generator)
{
	const CodeGeneratorRequest *request = generator->request;
	struct table files = {0};

	generator->n_files = request->n_proto_file;
	generator->files =
		arena_alloc(&generator->arena, generator->n_files * sizeof *generator->files);
	for (size_t i = 0; i < generator->n_files; i++) {
		struct file *file = &generator->files[i];

		file->proto = request->proto_file[i];
		file->name = file->proto->name;
		file->package = "";
		if (!is_usable_path(file->name)) {
			model_error(generator, (struct place){0},
				    "a file of the request has no usable name; rename it without "
				    "quotes, backslashes and control characters");
			continue;
		}
		file->stem = name_stem(&generator->arena, file->name);
		if (table_find(&files, file->name))
			model_error(generator, (struct place){file->name, 0},
				    "the request holds this file twice; run protoc again");
		else
			table_add(&files, file->name, file);
	}
	for (size_t i = 0; i < request->n_file_to_generate && generator->n_errors == 0; i++) {
		struct file *file = table_find(&files, request->file_to_generate[i]);

		if (file)
			file->wanted = true;
		else
			model_error(
				generator, (struct place){0},
				"file %s is not in the request; run protoc again",
				comments_clean(&generator->arena, request->file_to_generate[i]));
	}
	table_deinit(&files);
}

void model_read(struct generator *generator)
{
	list_files(generator);
	if (generator->n_errors > 0)
		return;
	for (size_t i = 0; i < generator->n_files; i++)
		read_file(generator, &generator->files[i]);
	if (generator->n_errors > 0)
		return;
	for (size_t i = 0; i < generator->n_files; i++) {
		struct file *file = &generator->files[i];

		if (!file->wanted)
			continue;
		check_syntax(generator, file);
		file->n_services = file->proto->n_service;
		file->services =
			arena_alloc(&generator->arena, file->n_services * sizeof *file->services);
		for (size_t j = 0; j < file->n_services; j++)
			read_service(generator, file, file->proto->service[j], &file->services[j],
				     (int32_t)j);
	}
	if (generator->n_errors > 0)
		return;
	check_ids(generator);
	symbols_assign(generator);
}
