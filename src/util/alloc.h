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
/**
 * `size` bytes at `memory` are about to be used, all of them. If they are many, large pages are
 * asked for: clearing and giving back 256 MiB page by page keeps a CPU busy for about 100 ms, and
 * whoever has to wait for that CPU waits. See madvise(2), MADV_HUGEPAGE. The system may not have
 * any, and that is all right. Below HAWSER__LARGE_BYTES it does nothing: malloc uses such memory
 * again by itself (M_MMAP_THRESHOLD in mallopt(3)).
 */
void hawser__expect_use(void *memory, size_t size);
enum { HAWSER__LARGE_BYTES = 32 << 20 };
/** A copy of a string, NULL on failure; NULL gives NULL. */
char *hawser__strdup(const char *string);

#endif /* HAWSER_UTIL_ALLOC_H */
