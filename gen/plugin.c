/* The plugin itself: parameters, model, output, response. Apart from running
 * protoc-gen-c it touches nothing outside, so that a fuzzer can call it. */

#include "plugin.h"

#include "comments.h"
#include "emit.h"
#include "messages.h"
#include "model.h"
#include "wire.h"

#include <stdlib.h>
#include <string.h>

/* CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL. */
#define PROTO3_OPTIONAL 1

/* Takes one "name=value". */
static void read_parameter(struct generator *generator, char *parameter)
{
	char *value = strchr(parameter, '=');

	if (value)
		*value++ = '\0';
	if (strcmp(parameter, "messages") == 0) {
		generator->messages = value && strcmp(value, "on") == 0;
		if (!generator->messages && (!value || strcmp(value, "off") != 0))
			model_error(generator, (struct place){0},
				    "parameter messages is \"%s\"; use messages=on or messages=off",
				    value ? value : "");
	} else if (strcmp(parameter, "protoc_gen_c") == 0) {
		if (value && value[0])
			generator->protoc_gen_c = value;
		else
			model_error(generator, (struct place){0},
				    "parameter protoc_gen_c needs the path of protobuf-c's "
				    "generator: protoc_gen_c=PATH");
	} else {
		model_error(generator, (struct place){0},
			    "unknown parameter \"%s\"; known are messages=on|off and "
			    "protoc_gen_c=PATH",
			    parameter);
	}
}

static void read_parameters(struct generator *generator)
{
	const char *all = generator->request->parameter;

	generator->messages = true;
	generator->protoc_gen_c = "protoc-gen-c";
	while (all && *all) {
		size_t length = strcspn(all, ",");

		if (length > 0)
			read_parameter(generator, arena_strndup(&generator->arena, all, length));
		all += length;
		all += *all == ',';
	}
}

static OutputFile *new_output(struct arena *arena, const struct file *file, const char *end,
			      struct text *content)
{
	OutputFile *output = arena_alloc(arena, sizeof *output);

	google__protobuf__compiler__code_generator_response__file__init(output);
	output->name = arena_printf(arena, "%s%s", file->stem, end);
	output->content = arena_strndup(arena, content->bytes, content->length);
	text_deinit(content);
	return output;
}

/* Fills the response with our files and then those of protoc-gen-c. */
static void generate(struct generator *generator, const CodeGeneratorResponse *messages,
		     CodeGeneratorResponse *response)
{
	struct arena *arena = &generator->arena;
	size_t room = 2 * generator->n_files + (messages ? messages->n_file : 0);

	response->file = arena_alloc(arena, room * sizeof(OutputFile *));
	for (size_t i = 0; i < generator->n_files; i++) {
		const struct file *file = &generator->files[i];
		struct text header = {0}, source = {0};

		if (!file->wanted)
			continue;
		emit_header(generator, file, &header);
		emit_source(generator, file, &source);
		response->file[response->n_file++] = new_output(arena, file, ".hawser.h", &header);
		response->file[response->n_file++] = new_output(arena, file, ".hawser.c", &source);
	}
	for (size_t i = 0; messages && i < messages->n_file; i++)
		response->file[response->n_file++] = messages->file[i];
}

static void pack(const CodeGeneratorResponse *response, struct text *out)
{
	size_t size = protobuf_c_message_get_packed_size(&response->base);
	uint8_t *bytes = must_realloc(NULL, size + 1);

	protobuf_c_message_pack(&response->base, bytes);
	text_add(out, (const char *)bytes, size);
	free(bytes);
}

bool plugin_answer(const uint8_t *request, size_t length, struct text *out)
{
	struct generator generator = {0};
	CodeGeneratorResponse response = GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__INIT;
	CodeGeneratorResponse *messages = NULL;

	if (length == 0 || !wire_request_is_shallow(request, length, MAX_DEPTH))
		return false;
	generator.request =
		google__protobuf__compiler__code_generator_request__unpack(NULL, length, request);
	if (!generator.request)
		return false;
	response.has_supported_features = true;
	response.supported_features = PROTO3_OPTIONAL;
	read_parameters(&generator);
	if (generator.n_errors == 0)
		model_read(&generator);
	if (generator.n_errors == 0 && generator.messages)
		messages = messages_generate(&generator);
	if (generator.n_errors == 0)
		generate(&generator, messages, &response);
	else
		response.error = generator.errors.bytes;
	pack(&response, out);
	google__protobuf__compiler__code_generator_response__free_unpacked(messages, NULL);
	google__protobuf__compiler__code_generator_request__free_unpacked(generator.request, NULL);
	model_deinit(&generator);
	return true;
}
