/* Open addressing with linear probing, at most half full. */

#include "table.h"

#include "arena.h"
#include "names.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct table_slot {
	const char *key;
	void *value;
};

void table_deinit(struct table *table)
{
	free(table->slots);
	*table = (struct table){0};
}

/* The slot of the key, or the free one where it would go. */
static struct table_slot *find_slot(const struct table *table, const char *key)
{
	size_t i = name_hash(key) & (table->n_slots - 1);

	while (table->slots[i].key && strcmp(table->slots[i].key, key) != 0)
		i = (i + 1) & (table->n_slots - 1);
	return &table->slots[i];
}

void *table_find(const struct table *table, const char *key)
{
	return table->n_slots ? find_slot(table, key)->value : NULL;
}

void table_add(struct table *table, const char *key, void *value)
{
	struct table_slot *slot;

	if (2 * (table->n_used + 1) > table->n_slots) {
		struct table larger = {.n_slots = table->n_slots ? 2 * table->n_slots : 64};

		larger.slots = must_realloc(NULL, larger.n_slots * sizeof *larger.slots);
		memset(larger.slots, 0, larger.n_slots * sizeof *larger.slots);
		for (size_t i = 0; i < table->n_slots; i++)
			if (table->slots[i].key)
				*find_slot(&larger, table->slots[i].key) = table->slots[i];
		larger.n_used = table->n_used;
		table_deinit(table);
		*table = larger;
	}
	slot = find_slot(table, key);
	slot->key = key;
	slot->value = value;
	table->n_used++;
}
