/* Memory that lives as long as the run: the generator builds a model, writes
 * text from it and ends, so that everything is freed at once. Running out of
 * memory ends the process with a message; there is nothing to save. */

#ifndef GEN_ARENA_H
#define GEN_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena_block;

/** Starts as {0}. */
struct arena {
	struct arena_block *blocks;
};

/** Frees everything that came out of the arena. */
void arena_deinit(struct arena *arena);

/** `size` zeroed bytes. */
void *arena_alloc(struct arena *arena, size_t size);

char *arena_strndup(struct arena *arena, const char *string, size_t length);
char *arena_printf(struct arena *arena, const char *format, ...)
	__attribute__((__format__(__printf__, 2, 3)));
/* gcc's sanitizers would follow a NULL format into it, and warn. */
char *arena_vprintf(struct arena *arena, const char *format, va_list arguments)
	__attribute__((__nonnull__(2), __format__(__printf__, 2, 0)));

/** realloc() that does not fail, for what grows outside of an arena. */
void *must_realloc(void *memory, size_t size);

#endif
