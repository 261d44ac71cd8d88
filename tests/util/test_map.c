/* The hash map against a plain array, and what it promises about memory. */

#include "support/failing_alloc.h"
#include "support/random.h"
#include "support/suite.h"
#include "util/alloc.h"
#include "util/map.h"
#include <errno.h>

START_TEST(map_finds_what_was_inserted)
{
	struct hawser__map map = {0};
	int one, two;

	ck_assert_ptr_null(hawser__map_find(&map, 1));
	ck_assert_int_eq(hawser__map_insert(&map, 1, &one), 0);
	ck_assert_int_eq(hawser__map_insert(&map, UINT64_MAX, &two), 0);
	ck_assert_int_eq(hawser__map_insert(&map, 0, &one), 0);
	ck_assert_ptr_eq(hawser__map_find(&map, 1), &one);
	ck_assert_ptr_eq(hawser__map_find(&map, UINT64_MAX), &two);
	ck_assert_ptr_eq(hawser__map_find(&map, 0), &one);
	ck_assert_ptr_null(hawser__map_find(&map, 2));
	hawser__map_deinit(&map);
}
END_TEST

START_TEST(map_refuses_a_key_that_is_taken)
{
	struct hawser__map map = {0};
	int one, two;

	for (uint64_t key = 0; key < 100; key++) {
		ck_assert_int_eq(hawser__map_insert(&map, key, &one), 0);
		ck_assert_int_eq(hawser__map_insert(&map, key, &two), -EEXIST);
		ck_assert_ptr_eq(hawser__map_find(&map, key), &one);
		ck_assert_uint_eq(map.count, key + 1);
	}
	hawser__map_deinit(&map);
}
END_TEST

START_TEST(map_owns_no_memory_when_empty)
{
	struct hawser__map map = {0};
	int value;

	for (int round = 0; round < 3; round++) {
		for (uint64_t key = 0; key < 1000; key++)
			ck_assert_int_eq(hawser__map_insert(&map, key, &value), 0);
		for (uint64_t key = 0; key < 1000; key++)
			ck_assert_ptr_eq(hawser__map_remove(&map, key), &value);
		ck_assert_ptr_null(map.slots);
		ck_assert_uint_eq(map.mask, 0);
		ck_assert_ptr_null(hawser__map_remove(&map, 1));
	}
}
END_TEST

START_TEST(map_is_at_most_three_quarters_full)
{
	struct hawser__map map = {0};
	int value;

	for (uint64_t key = 0; key < 100000; key++) {
		quick_assert(hawser__map_insert(&map, key, &value) == 0);
		quick_assert((uint64_t)map.count * 4 <= ((uint64_t)map.mask + 1) * 3);
		/* And never bigger than that needs. */
		quick_assert(map.mask == 7 ||
			     (uint64_t)map.count * 8 > ((uint64_t)map.mask + 1) * 3);
	}
	hawser__map_deinit(&map);
}
END_TEST

/* The longest way from a key's own slot, over keys 0, step, 2 * step … */
static uint32_t longest_run(uint64_t step)
{
	struct hawser__map map = {0};
	uint32_t longest = 0, run = 0;
	int value;

	for (uint64_t i = 0; i < 49152; i++)
		quick_assert(hawser__map_insert(&map, i * step, &value) == 0);
	for (uint32_t i = 0; i <= map.mask; i++) {
		run = map.slots[i].value ? run + 1 : 0;
		if (run > longest)
			longest = run;
	}
	hawser__map_deinit(&map);
	return longest;
}

START_TEST(map_spreads_regular_keys)
{
	/* At three quarters full the longest run of a random table of 65,536 is near 250, and with
	 * some seeds of the hash 2,000; a pattern would make it tens of thousands. */
	for (unsigned shift = 0; shift < 48; shift += 3) {
		ck_assert_uint_lt(longest_run(UINT64_C(1) << shift), 6000);
		ck_assert_uint_lt(longest_run((UINT64_C(1) << shift) + 1), 6000);
	}
}
END_TEST

START_TEST(map_iterates_each_value_once)
{
	struct hawser__map map = {0};
	char values[500];
	unsigned visited[500] = {0}, total = 0;
	size_t at = 0;

	ck_assert_ptr_null(hawser__map_next(&map, &at));
	for (uint64_t key = 0; key < 500; key++)
		ck_assert_int_eq(hawser__map_insert(&map, key * 7, &values[key]), 0);
	for (char *value; (value = hawser__map_next(&map, &at)); total++)
		visited[value - values]++;
	ck_assert_uint_eq(total, 500);
	for (int i = 0; i < 500; i++)
		ck_assert_uint_eq(visited[i], 1);
	hawser__map_deinit(&map);
}
END_TEST

enum { KEYS = 3000 };

/* Random insertions and removals; every answer must be the array's. The balance
 * drifts, so that the map is full at times and empty at others. */
START_TEST(map_agrees_with_an_array)
{
	static char values[KEYS];
	static bool present[KEYS];
	struct hawser__map map = {0};
	unsigned long rounds = suite_rounds(2000000);
	unsigned count = 0;

	for (unsigned long round = 0; round < rounds; round++) {
		uint64_t key = random_below(KEYS);
		bool fill = round / 20000 % 2 ? random_one_in(4) : !random_one_in(4);
		uint64_t wide = key * UINT64_C(0x100000001);

		quick_assert(hawser__map_find(&map, wide) == (present[key] ? &values[key] : NULL));
		if (fill) {
			quick_assert(hawser__map_insert(&map, wide, &values[key]) ==
				     (present[key] ? -EEXIST : 0));
			count += !present[key];
			present[key] = true;
		} else {
			quick_assert(hawser__map_remove(&map, wide) ==
				     (present[key] ? &values[key] : NULL));
			count -= present[key];
			present[key] = false;
		}
		quick_assert(map.count == count);
		if (round % 50000 == 0) {
			size_t at = 0;
			unsigned seen = 0;

			while (hawser__map_next(&map, &at))
				seen++;
			quick_assert(seen == count);
			for (uint64_t i = 0; i < KEYS; i++)
				quick_assert(hawser__map_find(&map, i * UINT64_C(0x100000001)) ==
					     (present[i] ? &values[i] : NULL));
		}
	}
	hawser__map_deinit(&map);
}
END_TEST

static bool insert_many(void *data)
{
	struct hawser__map map = {0};
	bool success = true;
	uint64_t key;

	for (key = 0; key < 500; key++) {
		int r = hawser__map_insert(&map, key, data);

		if (r < 0) {
			ck_assert_int_eq(r, -ENOMEM);
			success = false;
			break;
		}
	}
	/* What is in stays in, and the refused key can be tried again. */
	ck_assert_uint_eq(map.count, key);
	for (uint64_t i = 0; i < 500; i++)
		ck_assert_ptr_eq(hawser__map_find(&map, i), i < key ? data : NULL);
	if (!success)
		ck_assert_int_eq(hawser__map_insert(&map, key, data), 0);
	hawser__map_deinit(&map);
	return success;
}

START_TEST(map_survives_every_allocation_failing)
{
	int value;

	/* 8, 16 … 1,024 slots */
	ck_assert_uint_eq(failing_alloc_each(insert_many, &value), 8);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("util/map");
	TCase *tcase = suite_case(suite, "map");

	tcase_add_test(tcase, map_finds_what_was_inserted);
	tcase_add_test(tcase, map_refuses_a_key_that_is_taken);
	tcase_add_test(tcase, map_owns_no_memory_when_empty);
	tcase_add_test(tcase, map_is_at_most_three_quarters_full);
	tcase_add_test(tcase, map_spreads_regular_keys);
	tcase_add_test(tcase, map_iterates_each_value_once);
	tcase_add_test(tcase, map_agrees_with_an_array);
	tcase_add_test(tcase, map_survives_every_allocation_failing);
	return suite_run(suite);
}
