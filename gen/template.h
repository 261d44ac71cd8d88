/* Output from templates that look like it: $name$ stands for a value. */

#ifndef GEN_TEMPLATE_H
#define GEN_TEMPLATE_H

#include "arena.h"
#include "text.h"

struct variable {
	const char *name;
	const char *value;
};

/**
 * Appends a template with its variables filled in; the last variable has no
 * name. Lines that become longer than 100 columns are broken between arguments.
 */
void emit(struct text *out, const char *template, const struct variable *variables);

#define EMIT(out, template, ...) \
	emit((out), (template), (const struct variable[]){__VA_ARGS__, {NULL, NULL}})

/** Fills lines of 80 columns with words, each line behind `margin`. */
void template_fill(struct text *out, const char *margin, const char *words);

/**
 * A comment for documentation, behind `indent`: the lines of the .proto's
 * `comment` as they are (may be NULL), then `own` filled to 80 columns (may be "").
 */
char *template_doc(struct arena *arena, const char *indent, const char *comment, const char *own);

#endif
