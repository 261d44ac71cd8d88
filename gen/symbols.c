/* Every name that the output defines, and that no two are the same.
 *
 * C has one flat space of names where a .proto has many. Within a file, a method
 * whose names are taken gets an underscore behind its own: "register_", because
 * each service has a _register(); "foo_async_", because rpc Foo has an _async().
 * The earlier one keeps its name, so that methods added at the end change
 * nothing. Only the file itself decides about it, never what else is generated in
 * the same run. Whatever else collides is an error. */

#include "symbols.h"

#include "comments.h"
#include "names.h"

#include <stdio.h>
#include <string.h>

/* Who took a name. */
struct claim {
	const char *what; /* "method demo.Greeter/Hello" */
	struct place place;
	bool refused; /* one error each is enough */
};

/* The words that follow "hawser_" in the runtime's own names. */
static const char *const runtime_words[] = {
	"any",     "call",   "cancel",  "client",   "context", "deliver", "detail",
	"details", "error",  "log",     "metadata", "method",  "outcome", "secret",
	"serve",   "server", "service", "status",   "trace",   "version",
};

#define REPEATED GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED
#define OPTIONAL GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_OPTIONAL
#define GROUP GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_GROUP
#define STRING GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_STRING
#define MESSAGE GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_MESSAGE

static const char *const helpers[] = {
	"init", "get_packed_size", "pack", "pack_to_buffer", "unpack", "free_unpacked",
};

static struct claim *new_claim(struct generator *generator, struct place place, const char *kind,
			       const char *name)
{
	struct claim *claim = arena_alloc(&generator->arena, sizeof *claim);

	claim->what = arena_printf(&generator->arena, "%s %s", kind, name);
	claim->place = place;
	return claim;
}

/* Takes a name, or says who has it. `name` lives in the arena. */
static void claim_name(struct generator *generator, struct table *taken, const char *name,
		       struct claim *claim)
{
	const struct claim *other = table_find(taken, name);

	if (!other) {
		table_add(taken, name, claim);
	} else if (other != claim && !claim->refused) {
		claim->refused = true;
		model_error(generator, claim->place,
			    "%s and %s (%s) would both be named %s in C; rename one of them",
			    claim->what, other->what, model_place(generator, other->place), name);
	}
}

/* protoc-gen-c's names of a message or an enum: `global` are those that other
 * files see too. */
static void claim_type(struct generator *generator, struct table *global, const char *type,
		       const char *functions, struct claim *claim)
{
	if (!name_is_valid(type, false))
		model_error(generator, claim->place,
			    "%s would be named \"%s\" in C, which is no name; rename it",
			    claim->what, type);
	claim_name(generator, global, type, claim);
	claim_name(generator, global, arena_printf(&generator->arena, "%s__descriptor", functions),
		   claim);
}

/* The members of a message's struct: protoc-gen-c makes all letters small, and adds
 * members that count or tell what is set. One called "base" is messages.c's care. */
static void check_fields(struct generator *generator, const struct file *file,
			 const struct message *message, const int32_t *path, size_t length)
{
	struct arena *arena = &generator->arena;
	int32_t field_path[MAX_PATH];
	struct table members = {0};
	bool is_proto3 = file->proto->syntax && strcmp(file->proto->syntax, "proto3") == 0;

	memcpy(field_path, path, length * sizeof *path);
	field_path[length] = MESSAGE_FIELD;
	for (size_t i = 0; i < message->proto->n_field; i++) {
		const FieldProto *field = message->proto->field[i];
		struct claim *claim;
		const char *lower;

		field_path[length + 1] = (int32_t)i;
		claim = new_claim(generator, comments_place(file, field_path, length + 2), "field",
				  field->name ? field->name : "?");
		if (!name_is_valid(field->name, false)) {
			model_error(generator, claim->place,
				    "a field without a valid name; run protoc again");
			continue;
		}
		if (field->type == GROUP)
			model_error(generator, claim->place,
				    "protobuf-c has no groups; make %s a field of a message type",
				    field->name);
		lower = name_small(arena, field->name);
		claim_name(generator, &members, lower, claim);
		if (field->label == REPEATED)
			claim_name(generator, &members, arena_printf(arena, "n_%s", lower), claim);
		else if (field->label == OPTIONAL && !is_proto3 && !field->has_oneof_index &&
			 field->type != STRING && field->type != MESSAGE)
			claim_name(generator, &members, arena_printf(arena, "has_%s", lower),
				   claim);
	}
	for (size_t i = 0; i < message->proto->n_oneof_decl; i++) {
		const char *name = message->proto->oneof_decl[i]->name;

		field_path[length] = MESSAGE_ONEOF;
		field_path[length + 1] = (int32_t)i;
		if (name_is_valid(name, false))
			claim_name(generator, &members,
				   arena_printf(arena, "%s_case", name_lower(arena, name)),
				   new_claim(generator,
					     comments_place(file, field_path, length + 2), "oneof",
					     name));
	}
	table_deinit(&members);
}

static void claim_enum(struct generator *generator, struct table *global, const struct file *file,
		       const Google__Protobuf__EnumDescriptorProto *proto, const char *scope,
		       const int32_t *path, size_t length)
{
	struct arena *arena = &generator->arena;
	struct place place = comments_place(file, path, length);
	const char *full_name, *c_full_name;

	if (!name_is_valid(proto->name, false)) {
		model_error(generator, place, "an enum without a valid name; run protoc again");
		return;
	}
	full_name = arena_printf(arena, "%s%s%s", scope, scope[0] ? "." : "", proto->name);
	c_full_name = name_override(arena, full_name, file->package, file->c_package);
	claim_type(generator, global, name_type(arena, c_full_name),
		   name_functions(arena, c_full_name),
		   new_claim(generator, place, "enum", full_name));
}

static void claim_message(struct generator *generator, struct table *global, struct table *taken,
			  const struct file *file, const MessageProto *proto, const char *scope,
			  int32_t *path, size_t length)
{
	struct arena *arena = &generator->arena;
	const char *full_name =
		arena_printf(arena, "%s%s%s", scope, scope[0] ? "." : "", proto->name);
	const struct message *message =
		table_find(&generator->messages_by_name, arena_printf(arena, ".%s", full_name));
	struct claim *claim = new_claim(generator, message->place, "message", full_name);

	claim_type(generator, global, message->type, message->functions, claim);
	for (size_t i = 0; i < sizeof helpers / sizeof helpers[0]; i++) {
		const char *name = arena_printf(arena, "%s__%s", message->functions, helpers[i]);

		if (!table_find(taken, name))
			table_add(taken, name, claim);
	}
	check_fields(generator, file, message, path, length);
	for (size_t i = 0; i < proto->n_nested_type; i++) {
		path[length] = MESSAGE_MESSAGE;
		path[length + 1] = (int32_t)i;
		claim_message(generator, global, taken, file, proto->nested_type[i], full_name,
			      path, length + 2);
	}
	for (size_t i = 0; i < proto->n_enum_type; i++) {
		path[length] = MESSAGE_ENUM;
		path[length + 1] = (int32_t)i;
		claim_enum(generator, global, file, proto->enum_type[i], full_name, path,
			   length + 2);
	}
}

static void claim_types(struct generator *generator, struct table *global, struct table *taken,
			const struct file *file)
{
	int32_t path[MAX_PATH];

	for (size_t i = 0; i < file->proto->n_message_type; i++) {
		path[0] = FILE_MESSAGE;
		path[1] = (int32_t)i;
		claim_message(generator, global, taken, file, file->proto->message_type[i],
			      file->package, path, 2);
	}
	for (size_t i = 0; i < file->proto->n_enum_type; i++) {
		path[0] = FILE_ENUM;
		path[1] = (int32_t)i;
		claim_enum(generator, global, file, file->proto->enum_type[i], file->package, path,
			   2);
	}
}

static bool is_runtime_name(const char *symbol)
{
	size_t length;

	if (strncmp(symbol, "hawser_", 7) != 0)
		return false;
	symbol += 7;
	length = strcspn(symbol, "_");
	for (size_t i = 0; i < sizeof runtime_words / sizeof runtime_words[0]; i++)
		if (strlen(runtime_words[i]) == length &&
		    memcmp(runtime_words[i], symbol, length) == 0)
			return true;
	return false;
}

static void claim_service(struct generator *generator, struct table *global, struct table *taken,
			  struct service *service)
{
	static const char *const suffixes[] = {"service", "register", "offer", "descriptor"};
	struct arena *arena = &generator->arena;
	struct claim *claim = new_claim(generator, service->place, "service", service->full_name);

	service->local = service->file->n_services > 1
				 ? arena_printf(arena, "%s_", name_lower(arena, service->name))
				 : "";
	if (is_runtime_name(service->symbol))
		model_error(generator, service->place,
			    "the C names of service %s would begin with %s_ like those of Hawser "
			    "itself; use another package or (pb_c_file).c_package",
			    service->full_name, service->symbol);
	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		const char *name = arena_printf(arena, "%s_%s", service->symbol, suffixes[i]);

		if (table_find(taken, name) || table_find(global, name)) {
			claim_name(generator, table_find(taken, name) ? taken : global, name,
				   claim);
			return; /* one error is enough for two services of one name */
		}
	}
	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		const char *name = arena_printf(arena, "%s_%s", service->symbol, suffixes[i]);

		table_add(taken, name, claim);
		table_add(global, name, claim);
	}
	table_add(taken, arena_printf(arena, "%smethods", service->local), claim);
	table_add(taken, arena_printf(arena, "%ssecrets", service->local), claim);
}

#define MAX_NAMES 16

/* The names that a method called `c_name` in C defines: first those that other
 * files see, then those of this file. Returns how many of the former. */
static size_t list_names(struct arena *arena, const struct service *service,
			 const struct method *method, const char *c_name,
			 const char *names[MAX_NAMES], size_t *n_names)
{
	const char *symbol = arena_printf(arena, "%s_%s", service->symbol, c_name);
	size_t n = 0, n_global;

	names[n++] = symbol;
	names[n++] = arena_printf(arena, "%s_cb", symbol);
	names[n++] = arena_printf(arena, "%s_async", symbol);
	names[n++] = arena_printf(arena, "%s_reply", symbol);
	names[n++] = arena_printf(arena, "%s_fail", symbol);
	if (method->request_stream)
		names[n++] = arena_printf(arena, "%s_send", symbol);
	if (method->request_stream || method->reply_stream)
		names[n++] = arena_printf(arena, "%s_recv", symbol);
	n_global = n;
	names[n++] = arena_printf(arena, "%s%s_serve", service->local, c_name);
	names[n++] = arena_printf(arena, "%s%s_deliver", service->local, c_name);
	names[n++] = arena_printf(arena, "METHOD_%s%s", name_capitals(arena, service->local),
				  name_capitals(arena, c_name));
	names[n++] = arena_printf(arena, "%s.%s%s", service->symbol, c_name,
				  name_is_reserved(c_name) ? "_" : "");
	*n_names = n;
	return n_global;
}

static void claim_method(struct generator *generator, struct table *global, struct table *taken,
			 const struct service *service, struct method *method)
{
	struct arena *arena = &generator->arena;
	struct claim *claim = new_claim(generator, method->place, "method", method->full_name);
	const char *c_name = name_lower(arena, method->name);
	const char *names[MAX_NAMES];
	size_t n, n_global;
	bool is_free = false;

	while (!is_free) {
		n_global = list_names(arena, service, method, c_name, names, &n);
		is_free = true;
		for (size_t i = 0; i < n; i++)
			is_free = is_free && !table_find(taken, names[i]);
		if (!is_free)
			c_name = arena_printf(arena, "%s_", c_name);
	}
	for (size_t i = 0; i < n; i++)
		table_add(taken, names[i], claim);
	for (size_t i = 0; i < n_global; i++)
		claim_name(generator, global, names[i], claim);

	method->c_name = c_name;
	method->symbol = names[0];
	method->constant = names[n - 2];
	method->member = names[n - 1] + strlen(service->symbol) + 1;
	method->local = arena_printf(arena, "%s%s", service->local, c_name);
}

void symbols_assign(struct generator *generator)
{
	struct table global = {0};

	for (size_t f = 0; f < generator->n_files; f++) {
		struct file *file = &generator->files[f];
		struct table taken = {0};

		if (!file->wanted)
			continue;
		if (!file->no_generate)
			claim_types(generator, &global, &taken, file);
		for (size_t s = 0; s < file->n_services; s++)
			claim_service(generator, &global, &taken, &file->services[s]);
		for (size_t s = 0; s < file->n_services && generator->n_errors == 0; s++)
			for (size_t m = 0; m < file->services[s].n_methods; m++)
				claim_method(generator, &global, &taken, &file->services[s],
					     &file->services[s].methods[m]);
		table_deinit(&taken);
	}
	table_deinit(&global);
}
