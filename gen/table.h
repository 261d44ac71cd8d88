/* A table from strings to pointers; keys are borrowed. */

#ifndef GEN_TABLE_H
#define GEN_TABLE_H

#include <stddef.h>

struct table_slot;

/** Starts as {0}. */
struct table {
	struct table_slot *slots;
	size_t n_used;
	size_t n_slots;
};

void table_deinit(struct table *table);

/** The value of a key, or NULL. */
void *table_find(const struct table *table, const char *key);

/** Adds a value (not NULL) under a key that is not there yet. */
void table_add(struct table *table, const char *key, void *value);

#endif
