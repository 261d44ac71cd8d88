/* The one door to malloc: what it refuses, and that the hook sees everything. */

#include "support/failing_alloc.h"
#include "support/suite.h"
#include "util/alloc.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

START_TEST(calloc_refuses_a_product_that_overflows)
{
	errno = 0;
	ck_assert_ptr_null(hawser__calloc(SIZE_MAX / 2, 3));
	ck_assert_int_eq(errno, ENOMEM);
}
END_TEST

START_TEST(calloc_gives_zeros)
{
	uint8_t *bytes = hawser__calloc(10, 100), zeros[1000] = {0};

	ck_assert_mem_eq(bytes, zeros, sizeof zeros);
	free(bytes);
}
END_TEST

START_TEST(aligned_alloc_aligns)
{
	for (size_t alignment = sizeof(void *); alignment <= 4096; alignment *= 2) {
		void *p = hawser__aligned_alloc(alignment, 100);

		ck_assert_ptr_nonnull(p);
		ck_assert_uint_eq((uintptr_t)p % alignment, 0);
		free(p);
	}
}
END_TEST

START_TEST(strdup_copies_and_passes_null_through)
{
	char *copy = hawser__strdup("rope");

	ck_assert_str_eq(copy, "rope");
	free(copy);
	ck_assert_ptr_null(hawser__strdup(NULL));
}
END_TEST

START_TEST(realloc_keeps_the_old_block_on_failure)
{
	char *block = hawser__strdup("rope");

	failing_alloc_after(0);
	errno = 0;
	ck_assert_ptr_null(hawser__realloc(block, 1 << 20));
	ck_assert(failing_alloc_stop());
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_str_eq(block, "rope");
	free(block);
}
END_TEST

START_TEST(hook_refuses_each_kind_of_allocation)
{
	char *kept = malloc(1);
	void *p;

	for (int kind = 0; kind < 5; kind++) {
		failing_alloc_after(0);
		switch (kind) {
		case 0:
			p = hawser__malloc(1);
			break;
		case 1:
			p = hawser__calloc(1, 1);
			break;
		case 2:
			p = hawser__realloc(kept, 2);
			break;
		case 3:
			p = hawser__aligned_alloc(64, 1);
			break;
		default:
			p = hawser__strdup("x");
			break;
		}
		ck_assert(failing_alloc_stop());
		ck_assert_msg(!p, "allocation of kind %d did not fail", kind);
	}
	free(kept);
}
END_TEST

/* Whether the system was asked for large pages there; false also if there is no such thing. */
static bool is_large(const void *where)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	uintptr_t at = (uintptr_t)where, begin = 0, end = 0;
	bool is_here = false, found = false;
	char line[512];

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof line, maps)) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &begin, &end) == 2)
			is_here = at >= begin && at < end;
		else if (is_here && !strncmp(line, "VmFlags:", 8))
			found = strstr(line, " hg") != NULL;
	}
	fclose(maps);
	return found;
}

START_TEST(what_will_be_used_is_asked_for_in_large_pages_if_it_is_much)
{
	size_t size = HAWSER__LARGE_BYTES;
	bool can = access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK) == 0;
	char *much = hawser__malloc(size), *little = hawser__malloc(1 << 20);

	hawser__expect_use(little, 1 << 20);
	ck_assert(!is_large(little + (1 << 19)));
	errno = 0;
	hawser__expect_use(much, size);
	ck_assert_int_eq(errno, 0);
	ck_assert_int_eq(is_large(much + size / 2), can);
	/* Nothing beside it. */
	memset(much, 1, size);
	free(much);
	free(little);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("util/alloc");
	TCase *tcase = suite_case(suite, "alloc");

	tcase_add_test(tcase, calloc_refuses_a_product_that_overflows);
	tcase_add_test(tcase, calloc_gives_zeros);
	tcase_add_test(tcase, aligned_alloc_aligns);
	tcase_add_test(tcase, strdup_copies_and_passes_null_through);
	tcase_add_test(tcase, realloc_keeps_the_old_block_on_failure);
	tcase_add_test(tcase, hook_refuses_each_kind_of_allocation);
	tcase_add_test(tcase, what_will_be_used_is_asked_for_in_large_pages_if_it_is_much);
	return suite_run(suite);
}
