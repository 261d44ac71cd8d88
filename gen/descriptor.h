/* Short names for what protobuf-c calls the messages of a generator request. */

#ifndef GEN_DESCRIPTOR_H
#define GEN_DESCRIPTOR_H

#include "google/protobuf/compiler/plugin.pb-c.h"
#include "google/protobuf/descriptor.pb-c.h"

typedef Google__Protobuf__Compiler__CodeGeneratorRequest CodeGeneratorRequest;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse CodeGeneratorResponse;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse__File OutputFile;
typedef Google__Protobuf__FileDescriptorProto FileProto;
typedef Google__Protobuf__DescriptorProto MessageProto;
typedef Google__Protobuf__FieldDescriptorProto FieldProto;
typedef Google__Protobuf__ServiceDescriptorProto ServiceProto;
typedef Google__Protobuf__MethodDescriptorProto MethodProto;
typedef Google__Protobuf__SourceCodeInfo__Location Location;

/* The numbers of the fields that make up the path of a Location. */
enum {
	FILE_MESSAGE = 4,
	FILE_ENUM = 5,
	FILE_SERVICE = 6,
	FILE_OPTIONS = 8,
	FILE_SYNTAX = 12,
	MESSAGE_FIELD = 2,
	MESSAGE_MESSAGE = 3,
	MESSAGE_ENUM = 4,
	MESSAGE_ONEOF = 8,
	SERVICE_METHOD = 2,
	METHOD_OPTIONS = 4,
};

#endif
