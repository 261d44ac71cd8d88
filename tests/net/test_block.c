/* Large blocks of a loop: which are used again, and how the others go. */

#include "net/block.h"
#include "support/suite.h"
#include "util/alloc.h"
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	MEBIBYTE = 1 << 20,
	LARGE = 2 * HAWSER__LARGE_BYTES,
	PAGE = 4096,
};

static struct hawser__loop loop;

static void setup(void)
{
	ck_assert_int_eq(hawser__loop_init(&loop, NULL), 0);
}

static void teardown(void)
{
	hawser__loop_deinit(&loop);
}

/* One that is all there. */
static uint8_t *take(size_t size)
{
	uint8_t *block = hawser__block_take(size);

	ck_assert_ptr_nonnull(block);
	memset(block, 1, size);
	return block;
}

/* Bytes of the inside of that many that are in memory; none are if it is not mapped. */
static size_t resident(const uint8_t *block, size_t size)
{
	static unsigned char pages[LARGE / PAGE];
	uintptr_t begin = ((uintptr_t)block + 2 * PAGE) / PAGE * PAGE;
	size_t n = size / PAGE - 3, count = 0;

	if (mincore((void *)begin, n * PAGE, pages) < 0) {
		ck_assert_int_eq(errno, ENOMEM);
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		count += pages[i] & 1;
	return count * PAGE;
}

static void turn(void)
{
	ck_assert_int_ge(event_base_loop(loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK), 0);
}

START_TEST(block_is_used_again)
{
	uint8_t *first = take(LARGE), *again, *other;

	hawser__block_give(&loop, first);
	for (int i = 0; i < 10; i++)
		turn();
	ck_assert_uint_gt(resident(first, LARGE), LARGE - MEBIBYTE);
	again = hawser__block_take(LARGE - 1000);
	ck_assert_ptr_eq(again, first);
	/* There is no other. */
	other = take(LARGE);
	ck_assert_ptr_ne(other, first);
	hawser__block_give(&loop, again);
	hawser__block_give(&loop, other);
}
END_TEST

static void *take_here(void *data)
{
	*(void **)data = hawser__block_take(LARGE);
	return NULL;
}

START_TEST(block_is_used_again_by_any_thread)
{
	uint8_t *block = take(LARGE);
	void *again = NULL;
	pthread_t thread;

	hawser__block_give(&loop, block);
	ck_assert_int_eq(pthread_create(&thread, NULL, take_here, &again), 0);
	pthread_join(thread, NULL);
	ck_assert_ptr_eq(again, block);
	free(again);
}
END_TEST

START_TEST(block_is_used_for_what_is_about_as_large)
{
	uint8_t *spare = take(LARGE), *smaller, *larger;

	hawser__block_give(&loop, spare);
	smaller = take(LARGE / 2 - MEBIBYTE);
	larger = take(LARGE + MEBIBYTE);
	ck_assert_ptr_ne(smaller, spare);
	ck_assert_ptr_ne(larger, spare);
	ck_assert_uint_gt(resident(spare, LARGE), LARGE - MEBIBYTE);
	free(smaller);
	free(larger);
}
END_TEST

START_TEST(small_blocks_are_mallocs_own)
{
	uint8_t *small = take(MEBIBYTE);

	hawser__block_give(&loop, small);
	ck_assert_ptr_null(loop.blocks);
	hawser__block_give(&loop, NULL);
}
END_TEST

/* Looks after each turn of the loop how much is left of it. */
static void check_that_it_goes_in_slices(const uint8_t *block)
{
	size_t before = resident(block, LARGE), after;
	unsigned turns = 0;

	while (before) {
		turn();
		after = resident(block, LARGE);
		/* A large page goes as a whole, when the last of it does. */
		ck_assert_uint_le(before - after, 2 * HAWSER__SLICE_BYTES);
		turns += after < before;
		before = after;
	}
	ck_assert_uint_ge(turns, LARGE / HAWSER__SLICE_BYTES / 2);
}

START_TEST(oldest_of_too_many_goes_in_slices)
{
	uint8_t *blocks[HAWSER__SPARES + 1];

	for (int i = 0; i <= HAWSER__SPARES; i++)
		blocks[i] = take(LARGE);
	for (int i = 0; i <= HAWSER__SPARES; i++) {
		ck_assert_uint_gt(resident(blocks[0], LARGE), LARGE - MEBIBYTE);
		hawser__block_give(&loop, blocks[i]);
	}
	check_that_it_goes_in_slices(blocks[0]);
	for (int i = 1; i <= HAWSER__SPARES; i++)
		ck_assert_uint_gt(resident(blocks[i], LARGE), LARGE - MEBIBYTE);
}
END_TEST

START_TEST(block_that_nobody_wants_goes_after_a_while)
{
	uint8_t *block = take(LARGE);
	uint64_t since_ms;

	since_ms = hawser__loop_update_now(&loop);
	hawser__block_give(&loop, block);
	while (resident(block, LARGE) > LARGE - MEBIBYTE)
		ck_assert_int_ge(event_base_loop(loop.base, EVLOOP_ONCE), 0);
	ck_assert_uint_ge(hawser__now_ms() - since_ms, HAWSER__SPARE_MS);
	check_that_it_goes_in_slices(block);
}
END_TEST

START_TEST(loop_frees_what_it_has_when_it_ends)
{
	uint8_t *blocks[HAWSER__SPARES + 2], *block;

	for (int i = 0; i < HAWSER__SPARES + 2; i++)
		blocks[i] = take(LARGE);
	for (int i = 0; i < HAWSER__SPARES + 2; i++)
		hawser__block_give(&loop, blocks[i]);
	turn();
	/* The leak checkers see to those that are leaving. */
	hawser__loop_deinit(&loop);
	block = hawser__block_take(LARGE);
	/* With a sanitizer this would tell of a spare that was forgotten. */
	memset(block, 1, LARGE);
	free(block);
	setup();
}
END_TEST

static void *give(void *block)
{
	hawser__block_give(&loop, block);
	return NULL;
}

START_TEST(elsewhere_a_block_is_freed_at_once)
{
	uint8_t *block = take(LARGE);
	struct hawser__loop bare;
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, give, block), 0);
	pthread_join(thread, NULL);
	ck_assert_ptr_null(loop.blocks);

	ck_assert_int_eq(hawser__loop_init_bare(&bare), 0);
	block = hawser__block_take(LARGE);
	ck_assert_ptr_nonnull(block);
	hawser__block_give(&bare, block);
	ck_assert_ptr_null(bare.blocks);
	hawser__loop_deinit(&bare);

	block = hawser__block_take(LARGE);
	ck_assert_ptr_nonnull(block);
	hawser__block_give(NULL, block);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net/block");
	TCase *tcase = suite_case(suite, "blocks");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, block_is_used_again);
	tcase_add_test(tcase, block_is_used_again_by_any_thread);
	tcase_add_test(tcase, block_is_used_for_what_is_about_as_large);
	tcase_add_test(tcase, small_blocks_are_mallocs_own);
	tcase_add_test(tcase, oldest_of_too_many_goes_in_slices);
	tcase_add_test(tcase, block_that_nobody_wants_goes_after_a_while);
	tcase_add_test(tcase, loop_frees_what_it_has_when_it_ends);
	tcase_add_test(tcase, elsewhere_a_block_is_freed_at_once);
	return suite_run(suite);
}
