/* The one door to malloc.
 *
 * Everything in the library allocates through here, so that a test can make any
 * single allocation fail. Without a test it costs one branch. */

#ifndef HAWSER_UTIL_ALLOC_H
#define HAWSER_UTIL_ALLOC_H

#include <hawser/common.h>
#include <stdlib.h>

/**
 * For tests: called before each allocation of `size` bytes, on its thread; when it returns false
 * the allocation fails. NULL: no test.
 */
extern bool (*hawser__alloc_hook)(size_t size);

/** NULL on failure. The bytes are undefined. */
void *hawser__malloc(size_t size);
/** NULL on failure or overflow of count * size. The bytes are zero. */
void *hawser__calloc(size_t count, size_t size);
/** NULL on failure; `old` then stays. */
void *hawser__realloc(void *old, size_t size);
/** NULL on failure. `alignment` is a power of two of at least sizeof(void *); free with free(). */
void *hawser__aligned_alloc(size_t alignment, size_t size);
/** A copy of a string, NULL on failure; NULL gives NULL. */
char *hawser__strdup(const char *string);

#endif /* HAWSER_UTIL_ALLOC_H */
