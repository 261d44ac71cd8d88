/* Prints messages as JSON for test_json_python.py: reads "NAME LENGTH\n" and so many
 * packed bytes, again and again, and writes a line for each. */

#include "json.pb-c.h"
#include "util/json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ProtobufCMessageDescriptor *const types[] = {
	&hawser__test__scalars__descriptor,
	&hawser__test__lists__descriptor,
	&hawser__test__tree__descriptor,
	&hawser__test__names__descriptor,
};

static const ProtobufCMessageDescriptor *find_type(const char *name)
{
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (!strcmp(types[i]->short_name, name))
			return types[i];
	return NULL;
}

int main(void)
{
	enum { TEXT_SIZE = 1 << 20 };
	char *text = malloc(TEXT_SIZE);
	char name[32];
	size_t length;

	while (text && scanf("%31s %zu", name, &length) == 2 && getchar() == '\n') {
		const ProtobufCMessageDescriptor *type = find_type(name);
		uint8_t *packed = malloc(length + 1);

		if (!type || !packed || fread(packed, 1, length, stdin) != length) {
			fprintf(stderr, "json_print: cannot read a message of type %s\n", name);
			return EXIT_FAILURE;
		}
		hawser__json_render(text, TEXT_SIZE, type, packed, length, NULL);
		puts(text);
		free(packed);
	}
	free(text);
	return EXIT_SUCCESS;
}
