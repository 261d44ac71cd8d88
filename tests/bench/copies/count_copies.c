/* Counts the bytes that a program copies, for LD_PRELOAD: what memcpy() and memmove()
 * move, and realloc() where it moves a block. Small copies are left out; they are
 * the price of everything.
 *
 *     COPIES=FILE LD_PRELOAD=libcount_copies.so PROGRAM
 *
 * adds a line to FILE when the program exits: the bytes of each. Copies that the compiler made
 * without a call, and the kernel's, are not seen.
 *
 * The bytes are moved by functions of the C library that are not counted, and compiled with
 * -fno-builtin, so that they stay those. */

#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	SMALL = 4096,
	/* The C library's mark, in the size before a block that has pages of its own. */
	IS_MAPPED = 2,
};

static atomic_ullong copied, moved, reallocated;

/* What is interposed has no other header than the C library's. */
void *__libc_realloc(void *block, size_t size);
void *__memcpy_chk(void *to, const void *from, size_t n, size_t room);
void *__memmove_chk(void *to, const void *from, size_t n, size_t room);

static void count(atomic_ullong *sum, size_t n)
{
	if (n >= SMALL)
		atomic_fetch_add_explicit(sum, n, memory_order_relaxed);
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	count(&copied, n);
	mempcpy(to, from, n);
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	/* Where they are already, the C library does nothing. */
	if (to != from)
		count(&moved, n);
	bcopy(from, to, n);
	return to;
}

/* With _FORTIFY_SOURCE they are called by these names. */
void *__memcpy_chk(void *to, const void *from, size_t n, size_t room)
{
	if (n > room)
		abort();
	return memcpy(to, from, n);
}

void *__memmove_chk(void *to, const void *from, size_t n, size_t room)
{
	if (n > room)
		abort();
	return memmove(to, from, n);
}

/* A block with pages of its own moves without being copied. */
void *realloc(void *block, size_t size)
{
	size_t before = block ? ((size_t *)block)[-1] : 0;
	void *after = __libc_realloc(block, size);

	before &= ~(size_t)7 | IS_MAPPED;
	if (block && after && after != block && !(before & IS_MAPPED))
		count(&reallocated, before < size ? before : size);
	return after;
}

__attribute__((destructor)) static void tell(void)
{
	const char *path = getenv("COPIES");
	FILE *file = path ? fopen(path, "ae") : NULL;

	if (!file)
		return;
	fprintf(file, "%llu %llu %llu\n", atomic_load(&copied), atomic_load(&moved),
		atomic_load(&reallocated));
	fclose(file);
}
