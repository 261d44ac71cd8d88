/* The well-known types link without the user generating them, and work. */

#include "wkt.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
	Google__Protobuf__Timestamp timestamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	Google__Protobuf__StringValue string = GOOGLE__PROTOBUF__STRING_VALUE__INIT;
	Google__Protobuf__Value value = GOOGLE__PROTOBUF__VALUE__INIT;
	Google__Protobuf__Value *values[] = {&value};
	Google__Protobuf__ListValue list = GOOGLE__PROTOBUF__LIST_VALUE__INIT;
	Wkt__All all = WKT__ALL__INIT;
	Wkt__All *copy;
	uint8_t bytes[256];
	size_t size;
	int wrong;

	timestamp.seconds = 1234567890;
	string.value = (char *)"text";
	value.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
	value.number_value = 0.5;
	list.n_values = 1;
	list.values = values;
	all.timestamp = &timestamp;
	all.string_value = &string;
	all.list = &list;

	size = wkt__all__get_packed_size(&all);
	if (size > sizeof bytes || wkt__all__pack(&all, bytes) != size)
		return EXIT_FAILURE;
	copy = wkt__all__unpack(NULL, size, bytes);
	if (!copy || !copy->timestamp || !copy->string_value || !copy->list)
		return EXIT_FAILURE;
	wrong = copy->timestamp->seconds != 1234567890 ||
		strcmp(copy->string_value->value, "text") != 0 || copy->list->n_values != 1 ||
		copy->list->values[0]->number_value != 0.5 || copy->any != NULL;
	/* Each field's type is there to be followed. */
	for (unsigned i = 0; i < wkt__all__descriptor.n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &wkt__all__descriptor.fields[i];

		if (field->type == PROTOBUF_C_TYPE_MESSAGE &&
		    ((const ProtobufCMessageDescriptor *)field->descriptor)->magic !=
			    PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC) {
			printf("%s has no descriptor\n", field->name);
			wrong = 1;
		}
	}
	wkt__all__free_unpacked(copy, NULL);
	return wrong ? EXIT_FAILURE : EXIT_SUCCESS;
}
