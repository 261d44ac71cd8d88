/* Packing what is large ahead of its sending: the same bytes, lent once, or left alone. */

#include "rpc/pack.h"

#include "net/block.h"
#include "support/failing_alloc.h"
#include "support/random.h"
#include "support/suite.h"
#include "test.hawser.h"
#include "util/alloc.h"
#include "util/buffer.h"
#include "wire/outbox.h"
#include <stdlib.h>
#include <string.h>

enum { MEBIBYTE = 1 << 20, DATA = 3 * MEBIBYTE };

static uint8_t bytes[DATA];

static Rpctest__Payload payload_of(size_t length)
{
	Rpctest__Payload payload = RPCTEST__PAYLOAD__INIT;

	payload.data.data = bytes;
	payload.data.len = length;
	payload.text = (char *)"behind it";
	return payload;
}

static struct hawser__content content_of(const Rpctest__Payload *payload)
{
	return (struct hawser__content){.message = &payload->base,
					.length = rpctest__payload__get_packed_size(payload)};
}

START_TEST(large_message_is_packed_and_lent)
{
	Rpctest__Payload payload = payload_of(DATA);
	struct hawser__content content = content_of(&payload);
	uint8_t *expected = malloc(content.length);

	random_fill(bytes, sizeof bytes);
	rpctest__payload__pack(&payload, expected);
	hawser__content_pack_large(&content, SIZE_MAX);
	ck_assert_ptr_null(content.message);
	ck_assert_ptr_nonnull(content.loan);
	ck_assert_mem_eq(content.packed, expected, content.length);
	hawser__loan_unref(content.loan);
	free(expected);
}
END_TEST

/* As many small parts as large ones end a part in the middle of something. */
START_TEST(message_of_many_parts_is_packed_the_same)
{
	enum { ITEMS = 5000 };
	Rpctest__Large large;
	Rpctest__Item *items = calloc(ITEMS, sizeof *items),
		      **pointers = calloc(ITEMS, sizeof *pointers);
	struct hawser__content content;
	uint8_t *expected;

	random_fill(bytes, sizeof bytes);
	rpctest__large__init(&large);
	for (int i = 0; i < ITEMS; i++) {
		rpctest__item__init(&items[i]);
		items[i].id = (uint64_t)i;
		items[i].data.data = bytes + i;
		items[i].data.len = (size_t)(i % 997);
		pointers[i] = &items[i];
	}
	large.items = pointers;
	large.n_items = ITEMS;
	content = (struct hawser__content){.message = &large.base,
					   .length = rpctest__large__get_packed_size(&large)};
	expected = malloc(content.length);
	rpctest__large__pack(&large, expected);
	hawser__content_pack_large(&content, SIZE_MAX);
	ck_assert_mem_eq(content.packed, expected, content.length);
	hawser__loan_unref(content.loan);
	free(expected);
	free(items);
	free(pointers);
}
END_TEST

START_TEST(large_bytes_that_are_not_lent_are_copied)
{
	struct hawser__content content = {.packed = bytes, .length = DATA};

	random_fill(bytes, sizeof bytes);
	hawser__content_pack_large(&content, SIZE_MAX);
	ck_assert_ptr_nonnull(content.loan);
	ck_assert_ptr_ne(content.packed, bytes);
	ck_assert_mem_eq(content.packed, bytes, DATA);
	hawser__loan_unref(content.loan);
}
END_TEST

static void check_untouched(const struct hawser__content *before, size_t limit)
{
	struct hawser__content after = *before;

	hawser__content_pack_large(&after, limit);
	ck_assert_mem_eq(&after, before, sizeof after);
}

START_TEST(what_is_small_or_too_large_or_lent_stays_as_it_is)
{
	Rpctest__Payload small = payload_of(100), large = payload_of(DATA);
	struct hawser__content content = content_of(&small);
	struct hawser__loan *loan = hawser__loan_new(NULL, NULL);

	check_untouched(&content, SIZE_MAX);
	content = content_of(&large);
	check_untouched(&content, content.length - 1);
	memset(&content, 0, sizeof content);
	content.packed = bytes;
	content.length = DATA;
	content.loan = loan;
	check_untouched(&content, SIZE_MAX);
	hawser__loan_unref(loan);
}
END_TEST

START_TEST(without_memory_it_stays_as_it_is)
{
	Rpctest__Payload large = payload_of(DATA);
	struct hawser__content content = content_of(&large);

	failing_alloc_after((unsigned)_i);
	check_untouched(&content, SIZE_MAX);
	ck_assert(failing_alloc_stop());
}
END_TEST

/* So that the loop need not unmap it in one go. */
START_TEST(memory_goes_back_to_the_loop)
{
	Rpctest__Payload large = payload_of(DATA);
	struct hawser__content content = content_of(&large);
	size_t size = HAWSER__LARGE_BYTES;
	uint8_t *much = calloc(1, size);
	struct hawser__loop loop;
	void *block;

	ck_assert_int_eq(hawser__loop_init(&loop, NULL), 0);
	large.data.data = much;
	large.data.len = size;
	content = content_of(&large);
	hawser__content_pack_for(&content, SIZE_MAX, &loop);
	ck_assert_ptr_nonnull(content.loan);
	hawser__loan_unref(content.loan);
	/* There it is. */
	ck_assert_ptr_nonnull(loop.blocks);
	block = hawser__block_take(size);
	ck_assert(content.packed > (uint8_t *)block && content.packed < (uint8_t *)block + 100);
	hawser__block_give(&loop, block);
	hawser__loop_deinit(&loop);
	free(much);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/pack");
	TCase *tcase = suite_case(suite, "pack");

	tcase_add_test(tcase, large_message_is_packed_and_lent);
	tcase_add_test(tcase, message_of_many_parts_is_packed_the_same);
	tcase_add_test(tcase, large_bytes_that_are_not_lent_are_copied);
	tcase_add_test(tcase, what_is_small_or_too_large_or_lent_stays_as_it_is);
	tcase_add_loop_test(tcase, without_memory_it_stays_as_it_is, 0, 2);
	tcase_add_test(tcase, memory_goes_back_to_the_loop);
	return suite_run(suite);
}
