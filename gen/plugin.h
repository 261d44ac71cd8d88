/* The plugin itself: a request in, a response out. */

#ifndef GEN_PLUGIN_H
#define GEN_PLUGIN_H

#include "text.h"

#include <stdbool.h>
#include <stdint.h>

/**
 * Answers a packed CodeGeneratorRequest with a packed CodeGeneratorResponse,
 * appended to `response`; what is wrong with the .proto files is in there. False if
 * the request is none.
 */
bool plugin_answer(const uint8_t *request, size_t length, struct text *response);

#endif
