/* What the generator knows of a request: its files, messages and services, with
 * every name, option and comment worked out. Everything lives in the arena. */

#ifndef GEN_MODEL_H
#define GEN_MODEL_H

#include "arena.h"
#include "descriptor.h"
#include "table.h"
#include "text.h"

#include <stdbool.h>
#include <stdint.h>

/** Messages nest no deeper: twice as deep as protoc lets them. */
#define MAX_DEPTH 64

/** Room for the path of a location, which takes two numbers for each level. */
#define MAX_PATH (2 * MAX_DEPTH + 6)

/** A line of a .proto; line 0: not known. */
struct place {
	const char *file;
	int line;
};

struct file {
	const FileProto *proto;
	const char *name;      /**< "a/b.proto" */
	const char *stem;      /**< "a/b" */
	const char *package;   /**< "" without one */
	const char *c_package; /**< (pb_c_file).c_package, or NULL */
	bool no_generate;      /**< (pb_c_file).no_generate: its messages have no C */
	bool wanted; /**< the user asked for this file, not only for one that imports it */
	const Location **locations; /**< sorted by path */
	size_t n_locations;
	struct service *services; /**< of a wanted file */
	size_t n_services;
};

struct message {
	const char *full_name;
	const struct file *file;
	const MessageProto *proto;
	const char *type;      /**< "Demo__HelloReply" */
	const char *functions; /**< "demo__hello_reply" */
	bool has_helpers;      /**< protoc-gen-c emits its __pack, __free_unpacked, ... */
	struct place place;
	const struct service *seen_by; /**< the last service whose secrets were collected here */
};

/** A row of hawser_service.secrets. */
struct secret {
	const struct message *message;
	const FieldProto *field;
};

struct method {
	const char *name;      /**< "Hello" */
	const char *full_name; /**< "demo.Greeter/Hello" */
	const struct message *request;
	const struct message *reply;
	bool request_stream;
	bool reply_stream;
	uint32_t id;
	bool idempotent;
	bool blocking;
	bool exclusive;
	bool own_lease; /* it says itself whether it is exclusive */
	bool deprecated;
	uint32_t timeout_ms;
	uint32_t max_request_bytes;
	uint32_t max_reply_bytes;
	const char *comment; /**< lines without comment marks, or NULL */
	struct place place;

	/* symbols.c: */
	const char *c_name;   /**< "hello", with underscores behind if that is taken */
	const char *symbol;   /**< "demo_greeter_hello" */
	const char *member;   /**< "hello", of the struct of handlers */
	const char *local;    /**< "hello", or "greeter_hello" in a file of several services */
	const char *constant; /**< "METHOD_HELLO", its row in the table */
};

struct service {
	const struct file *file;
	const char *name;      /**< "Greeter" */
	const char *full_name; /**< "demo.Greeter" */
	const char *symbol;    /**< "demo_greeter" */
	struct method *methods;
	size_t n_methods;
	struct secret *secrets;
	size_t n_secrets;
	bool deprecated;
	const char *comment;
	struct place place;

	/* symbols.c: */
	const char *local; /**< "", or "greeter_" in a file of several services */
};

struct generator {
	struct arena arena;
	CodeGeneratorRequest *request;

	/* Parameters. */
	bool messages;
	const char *protoc_gen_c;

	struct file *files; /**< as in request->proto_file */
	size_t n_files;
	struct table messages_by_name; /**< ".demo.HelloReply" */
	bool has_options;              /**< hawser/options.proto is among the files */

	struct text errors;
	size_t n_errors;
};

/** Notes an error; what comes out is "file:line: text", a line each. */
void model_error(struct generator *generator, struct place place, const char *format, ...)
	__attribute__((__format__(__printf__, 3, 4)));

/** "a/b.proto:12", or only the file when the line is not known. */
const char *model_place(struct generator *generator, struct place place);

/** Fills the generator from its request; what is wrong with that goes to `errors`. */
void model_read(struct generator *generator);

void model_deinit(struct generator *generator);

#endif
