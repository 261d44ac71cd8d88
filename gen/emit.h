/* The two files that come out of one .proto. */

#ifndef GEN_EMIT_H
#define GEN_EMIT_H

#include "model.h"
#include "text.h"

/** The oldest runtime that generated code works with, as in hawser/version.h. */
#define EMIT_NEEDS_NUMBER "0x000100"
#define EMIT_NEEDS_TEXT "0.1.0"

void emit_header(struct generator *generator, const struct file *file, struct text *out);
void emit_source(struct generator *generator, const struct file *file, struct text *out);

#endif
