/* The messages' own C code: made by protoc-gen-c, as a child process. */

#ifndef GEN_MESSAGES_H
#define GEN_MESSAGES_H

#include "model.h"

/**
 * Runs protoc-gen-c on the request and returns its response, to be freed by the
 * caller; NULL after noting an error.
 */
CodeGeneratorResponse *messages_generate(struct generator *generator);

#endif
