/* malloc and its kin behind one hook; alloc.h says why. */

#include "util/alloc.h"
#include <errno.h>
#include <stdalign.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

bool (*hawser__alloc_hook)(size_t size);

static bool refused(size_t size)
{
	/* malloc refuses such sizes itself; a sanitizer's takes them for a bug and ends. */
	if (size <= PTRDIFF_MAX && (!hawser__alloc_hook || hawser__alloc_hook(size)))
		return false;
	errno = ENOMEM;
	return true;
}

void *hawser__malloc(size_t size)
{
	return refused(size) ? NULL : malloc(size);
}

void *hawser__calloc(size_t count, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(count, size, &total)) {
		errno = ENOMEM;
		return NULL;
	}
	return refused(total) ? NULL : calloc(count, size);
}

void *hawser__realloc(void *old, size_t size)
{
	return refused(size) ? NULL : realloc(old, size);
}

void *hawser__aligned_alloc(size_t alignment, size_t size)
{
	void *p;
	int error;

	if (alignment <= alignof(max_align_t))
		return hawser__malloc(size);
	if (refused(size))
		return NULL;
	error = posix_memalign(&p, alignment, size);
	if (error) {
		errno = error;
		return NULL;
	}
	return p;
}

void hawser__expect_use(void *memory, size_t size)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t begin = ((uintptr_t)memory + page - 1) / page * page;
	uintptr_t end = ((uintptr_t)memory + size) / page * page;
	int error = errno;

	if (size < HAWSER__LARGE_BYTES)
		return;
	madvise((void *)begin, end - begin, MADV_HUGEPAGE);
	errno = error;
}

char *hawser__strdup(const char *string)
{
	size_t size;
	char *copy;

	if (!string)
		return NULL;
	size = strlen(string) + 1;
	copy = hawser__malloc(size);
	if (copy)
		memcpy(copy, string, size);
	return copy;
}
