/* The arena: pieces that never overlap, one block kept, a limit that holds. */

#include "support/failing_alloc.h"
#include "support/random.h"
#include "support/suite.h"
#include "util/alloc.h"
#include "util/arena.h"
#include <string.h>

static struct hawser__arena arena;

static unsigned blocks_allocated;

static bool count_blocks(size_t size)
{
	blocks_allocated++;
	return true;
}

START_TEST(arena_allocates_nothing_before_it_is_used)
{
	hawser__alloc_hook = count_blocks;
	blocks_allocated = 0;
	hawser__arena_init(&arena, 1000);
	hawser__arena_reset(&arena);
	hawser__arena_deinit(&arena);
	hawser__alloc_hook = NULL;
	ck_assert_uint_eq(blocks_allocated, 0);
}
END_TEST

START_TEST(arena_reset_keeps_one_block)
{
	hawser__arena_init(&arena, 1 << 20);
	for (int i = 0; i < 1000; i++)
		ck_assert_ptr_nonnull(hawser__arena_alloc(&arena, 100));
	hawser__arena_reset(&arena);
	ck_assert_uint_eq(arena.used, 0);

	hawser__alloc_hook = count_blocks;
	blocks_allocated = 0;
	for (int i = 0; i < 15; i++)
		ck_assert_ptr_nonnull(hawser__arena_alloc(&arena, 100));
	ck_assert_uint_eq(blocks_allocated, 0);
	for (int i = 0; i < 15; i++)
		ck_assert_ptr_nonnull(hawser__arena_alloc(&arena, 100));
	hawser__alloc_hook = NULL;
	ck_assert_uint_eq(blocks_allocated, 1);
	hawser__arena_deinit(&arena);
}
END_TEST

START_TEST(arena_reset_frees_a_large_first_block)
{
	hawser__arena_init(&arena, 1 << 20);
	ck_assert_ptr_nonnull(hawser__arena_alloc(&arena, 100000));
	hawser__arena_reset(&arena);
	ck_assert_ptr_null(arena.current);
	hawser__arena_deinit(&arena);
}
END_TEST

START_TEST(arena_pieces_are_aligned_and_apart)
{
	struct piece {
		uint8_t *at;
		size_t size;
		uint8_t filler;
	} pieces[400];
	unsigned long rounds = suite_rounds(200);

	hawser__arena_init(&arena, 64 << 20);
	for (unsigned long round = 0; round < rounds; round++) {
		for (int i = 0; i < 400; i++) {
			size_t size = random_below(random_one_in(20) ? 50000 : 100);

			pieces[i] = (struct piece){hawser__arena_alloc(&arena, size), size,
						   (uint8_t)random_next()};
			quick_assert(pieces[i].at);
			quick_assert((uintptr_t)pieces[i].at % 16 == 0);
			memset(pieces[i].at, pieces[i].filler, size);
		}
		for (int i = 0; i < 400; i++)
			for (size_t j = 0; j < pieces[i].size; j++)
				quick_assert(pieces[i].at[j] == pieces[i].filler);
		hawser__arena_reset(&arena);
	}
	hawser__arena_deinit(&arena);
}
END_TEST

START_TEST(arena_gives_different_addresses_for_empty_pieces)
{
	void *first;

	hawser__arena_init(&arena, 1000);
	first = hawser__arena_alloc(&arena, 0);
	ck_assert_ptr_nonnull(first);
	ck_assert_ptr_ne(first, hawser__arena_alloc(&arena, 0));
	hawser__arena_deinit(&arena);
}
END_TEST

START_TEST(arena_never_hands_out_more_than_its_limit)
{
	unsigned long rounds = suite_rounds(5000);

	for (unsigned long round = 0; round < rounds; round++) {
		size_t limit = random_below(random_one_in(2) ? 500 : 200000), sum = 0;

		hawser__arena_init(&arena, limit);
		while (!arena.exhausted) {
			size_t size = random_below(random_one_in(5) ? limit + 100 : 300);
			size_t rounded = size ? (size + 15) / 16 * 16 : 16;

			if (hawser__arena_alloc(&arena, size))
				sum += rounded;
			else
				quick_assert(sum + rounded > limit);
			quick_assert(sum <= limit);
			quick_assert(sum == arena.used);
		}
		/* What still fits is still given. */
		if (limit - sum >= 16)
			quick_assert(hawser__arena_alloc(&arena, 1));
		hawser__arena_reset(&arena);
		quick_assert(!arena.exhausted);
		hawser__arena_deinit(&arena);
	}
}
END_TEST

START_TEST(arena_refuses_sizes_that_overflow)
{
	hawser__arena_init(&arena, SIZE_MAX);
	ck_assert_ptr_nonnull(hawser__arena_alloc(&arena, 1));
	for (size_t i = 0; i < 64; i++) {
		ck_assert_ptr_null(hawser__arena_alloc(&arena, SIZE_MAX - i));
		ck_assert_ptr_null(hawser__arena_copy(&arena, "", SIZE_MAX - i));
	}
	ck_assert_ptr_nonnull(hawser__arena_alloc(&arena, 1));
	hawser__arena_deinit(&arena);
}
END_TEST

START_TEST(arena_copy_ends_with_a_zero_byte)
{
	hawser__arena_init(&arena, 1000);
	ck_assert_mem_eq(hawser__arena_copy(&arena, "abc", 2), "ab\0", 3);
	ck_assert_str_eq(hawser__arena_copy(&arena, NULL, 0), "");
	hawser__arena_deinit(&arena);
}
END_TEST

START_TEST(arena_allocator_serves_protobuf_c)
{
	ProtobufCAllocator allocator;
	void *first, *second;

	hawser__arena_init(&arena, 100);
	allocator = hawser__arena_allocator(&arena);
	first = allocator.alloc(allocator.allocator_data, 30);
	ck_assert_ptr_nonnull(first);
	allocator.free(allocator.allocator_data, first);
	second = allocator.alloc(allocator.allocator_data, 30);
	ck_assert_ptr_ne(first, second);
	ck_assert_ptr_null(allocator.alloc(allocator.allocator_data, 60));
	ck_assert(arena.exhausted);
	hawser__arena_deinit(&arena);
}
END_TEST

static bool fill_arena(void *data)
{
	static const size_t sizes[] = {100, 1500, 0, 3000, 100, 20, 40000, 9000, 9000, 70000, 100};
	bool success = true;

	hawser__arena_init(&arena, 1 << 20);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		uint8_t *piece = hawser__arena_alloc(&arena, sizes[i]);

		if (piece)
			memset(piece, 1, sizes[i]);
		else
			success = false;
	}
	/* No memory is not the limit. */
	ck_assert(!arena.exhausted);
	ck_assert(arena.starved == !success);
	hawser__arena_deinit(&arena);
	return success;
}

START_TEST(arena_survives_every_allocation_failing)
{
	ck_assert_uint_ge(failing_alloc_each(fill_arena, NULL), 5);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("util/arena");
	TCase *tcase = suite_case(suite, "arena");

	tcase_add_test(tcase, arena_allocates_nothing_before_it_is_used);
	tcase_add_test(tcase, arena_reset_keeps_one_block);
	tcase_add_test(tcase, arena_reset_frees_a_large_first_block);
	tcase_add_test(tcase, arena_pieces_are_aligned_and_apart);
	tcase_add_test(tcase, arena_gives_different_addresses_for_empty_pieces);
	tcase_add_test(tcase, arena_never_hands_out_more_than_its_limit);
	tcase_add_test(tcase, arena_refuses_sizes_that_overflow);
	tcase_add_test(tcase, arena_copy_ends_with_a_zero_byte);
	tcase_add_test(tcase, arena_allocator_serves_protobuf_c);
	tcase_add_test(tcase, arena_survives_every_allocation_failing);
	return suite_run(suite);
}
