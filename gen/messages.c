/* The messages' own C code: made by protoc-gen-c, as a child process.
 *
 * The child sees the user's request with three changes. Services are left out: for
 * them protobuf-c would emit the stubs of its own RPC, which nobody calls here and
 * whose names collide where ours do not. A proto3 `optional` field, which protoc
 * puts into a oneof of its own ("synthetic"), is shown as what it is on the wire,
 * the only field of a oneof, unless the child says that it knows better. And a
 * message with a field `base` gets another name for the member that protobuf-c
 * calls so. */

#include "messages.h"

#include "names.h"
#include "options.h"
#include "process.h"

#include <stdlib.h>
#include <string.h>

/* CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL. */
#define PROTO3_OPTIONAL 1

static struct place nowhere;

/* Calls the child with a request. */
static CodeGeneratorResponse *ask(struct generator *generator, const CodeGeneratorRequest *request)
{
	const ProtobufCMessage *message = &request->base;
	struct text in = {0}, out = {0};
	CodeGeneratorResponse *response = NULL;
	char *problem;

	in.length = protobuf_c_message_get_packed_size(message);
	in.bytes = must_realloc(NULL, in.length + 1);
	protobuf_c_message_pack(message, (uint8_t *)in.bytes);
	problem = process_filter(&generator->arena, generator->protoc_gen_c, &in, &out);
	if (problem)
		model_error(generator, nowhere, "%s", problem);
	else
		response = google__protobuf__compiler__code_generator_response__unpack(
			NULL, out.length, (const uint8_t *)(out.bytes ? out.bytes : ""));
	if (!problem && !response)
		model_error(generator, nowhere,
			    "%s answered with something that is no CodeGeneratorResponse; is it "
			    "protobuf-c's generator?",
			    generator->protoc_gen_c);
	text_deinit(&in);
	text_deinit(&out);
	return response;
}

/* Whether any field of the message or those in it is proto3 optional. */
static bool has_optional(const MessageProto *message)
{
	bool found = false;

	for (size_t i = 0; i < message->n_field; i++)
		found |= message->field[i]->proto3_optional;
	for (size_t i = 0; i < message->n_nested_type; i++)
		found |= has_optional(message->nested_type[i]);
	return found;
}

/* Shows optional fields as fields of the oneof that protoc made for them. */
static void plain_oneofs(MessageProto *message)
{
	for (size_t i = 0; i < message->n_field; i++) {
		message->field[i]->has_proto3_optional = false;
		message->field[i]->proto3_optional = false;
	}
	for (size_t i = 0; i < message->n_nested_type; i++)
		plain_oneofs(message->nested_type[i]);
}

static bool has_member(struct arena *arena, const MessageProto *message, const char *name)
{
	for (size_t i = 0; i < message->n_field; i++)
		if (message->field[i]->name &&
		    strcmp(name_small(arena, message->field[i]->name), name) == 0)
			return true;
	return false;
}

/* Sets (pb_c_msg).base_field_name where a field takes the usual name "base". */
static void rename_base(struct arena *arena, MessageProto *message)
{
	const char *name = "base", *own;
	ProtobufCMessageUnknownField *unknown;
	ProtobufCMessage *options;
	size_t length;

	for (size_t i = 0; i < message->n_nested_type; i++)
		rename_base(arena, message->nested_type[i]);
	if (!has_member(arena, message, name) ||
	    (message->options && option_nested_string(&message->options->base, OPTION_PB_C,
						      PB_C_MESSAGE_BASE_FIELD_NAME, &own, &length)))
		return;
	while (has_member(arena, message, name) && strlen(name) < 100)
		name = arena_printf(arena, "%s_", name);
	length = strlen(name);

	/* All of it is freed with the request. */
	if (!message->options) {
		message->options = must_realloc(NULL, sizeof *message->options);
		google__protobuf__message_options__init(message->options);
	}
	options = &message->options->base;
	options->unknown_fields = must_realloc(options->unknown_fields,
					       (options->n_unknown_fields + 1) * sizeof *unknown);
	unknown = &options->unknown_fields[options->n_unknown_fields++];
	unknown->tag = OPTION_PB_C;
	unknown->wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
	unknown->len = 3 + length;
	unknown->data = must_realloc(NULL, unknown->len);
	unknown->data[0] = (uint8_t)(2 + length);
	unknown->data[1] = PB_C_MESSAGE_BASE_FIELD_NAME << 3 | 2;
	unknown->data[2] = (uint8_t)length;
	memcpy(unknown->data + 3, name, length);
}

/* Whether the child sets FEATURE_PROTO3_OPTIONAL: asked with a request for nothing. */
static bool knows_optional(struct generator *generator)
{
	CodeGeneratorRequest request = GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_REQUEST__INIT;
	CodeGeneratorResponse *response = ask(generator, &request);
	bool knows = response && (response->supported_features & PROTO3_OPTIONAL);

	google__protobuf__compiler__code_generator_response__free_unpacked(response, NULL);
	return knows;
}

/* How many files get C code for their messages. */
static size_t count_wanted(const struct generator *generator)
{
	size_t n = 0;

	for (size_t i = 0; i < generator->n_files; i++)
		n += generator->files[i].wanted && !generator->files[i].no_generate;
	return n;
}

CodeGeneratorResponse *messages_generate(struct generator *generator)
{
	CodeGeneratorRequest *request = generator->request;
	CodeGeneratorResponse *response = NULL;
	CodeGeneratorRequest child = *request;
	FileProto *files, **pointers;
	bool optional = false;

	for (size_t i = 0; i < request->n_proto_file; i++)
		for (size_t j = 0; j < request->proto_file[i]->n_message_type; j++) {
			MessageProto *message = request->proto_file[i]->message_type[j];

			optional |= has_optional(message);
			rename_base(&generator->arena, message);
		}
	if (optional && !knows_optional(generator))
		for (size_t i = 0; i < request->n_proto_file; i++)
			for (size_t j = 0; j < request->proto_file[i]->n_message_type; j++)
				plain_oneofs(request->proto_file[i]->message_type[j]);
	if (generator->n_errors > 0)
		return NULL;

	/* Shallow copies: the request itself keeps its services. */
	files = arena_alloc(&generator->arena, request->n_proto_file * sizeof *files);
	pointers = arena_alloc(&generator->arena, request->n_proto_file * sizeof(FileProto *));
	for (size_t i = 0; i < request->n_proto_file; i++) {
		files[i] = *request->proto_file[i];
		files[i].n_service = 0;
		pointers[i] = &files[i];
	}
	child.proto_file = pointers;
	child.parameter = NULL;

	response = ask(generator, &child);
	if (response && response->error && response->error[0])
		model_error(generator, nowhere, "%s: %s", generator->protoc_gen_c, response->error);
	else if (response && response->n_file < 2 * count_wanted(generator))
		model_error(generator, nowhere,
			    "%s wrote %zu files where %zu were due; is it protobuf-c's generator?",
			    generator->protoc_gen_c, response->n_file, 2 * count_wanted(generator));
	return response;
}
