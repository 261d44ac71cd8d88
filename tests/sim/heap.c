/* Counting on the way to the heap; heap.h says why. */

#include "heap.h"

#include <stddef.h>

/* The names are the linker's. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *memory);

static int64_t alive;

int64_t heap_alive(void)
{
	return alive;
}

static void *counted(void *memory)
{
	alive += memory != NULL;
	return memory;
}

void *__wrap_malloc(size_t size)
{
	return counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
	return counted(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size)
{
	void *memory = __real_realloc(old, size);

	return old ? memory : counted(memory);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return counted(__real_aligned_alloc(alignment, size));
}

void __wrap_free(void *memory)
{
	alive -= memory != NULL;
	__real_free(memory);
}
