/* Unpacking: what fails says why, wherever the message was to go. */

#include "util/unpack.h"

#include "support/failing_alloc.h"
#include "support/suite.h"
#include "wire/wire.pb-c.h"
#include <errno.h>
#include <string.h>

enum { PAIRS = 40, LARGE = 5000 };

static uint8_t packed[1 << 16];
static size_t length;

/* A message with messages, strings and bytes in it, of which one is `large` bytes. */
static void pack(size_t large)
{
	static uint8_t bytes[1 << 15];
	Hawser__Call call = HAWSER__CALL__INIT;
	Hawser__Metadata pairs[PAIRS], *pointers[PAIRS];

	for (int i = 0; i < PAIRS; i++) {
		hawser__metadata__init(&pairs[i]);
		pairs[i].key = (char *)"key";
		pairs[i].value.data = bytes;
		pairs[i].value.len = i ? 3 : large;
		pointers[i] = &pairs[i];
	}
	call.id = 77;
	call.metadata = pointers;
	call.n_metadata = PAIRS;
	length = hawser__call__pack(&call, packed);
}

static Hawser__Call *unpack(struct hawser__arena *arena)
{
	return (Hawser__Call *)(void *)hawser__unpack(&hawser__call__descriptor, arena, packed,
						      length);
}

static void check_call(const Hawser__Call *call, size_t large)
{
	ck_assert_uint_eq(call->id, 77);
	ck_assert_uint_eq(call->n_metadata, PAIRS);
	ck_assert_uint_eq(call->metadata[0]->value.len, large);
	ck_assert_str_eq(call->metadata[PAIRS - 1]->key, "key");
}

START_TEST(message_on_the_heap_is_freed_as_any)
{
	Hawser__Call *call;

	pack(LARGE);
	call = unpack(NULL);
	ck_assert_ptr_nonnull(call);
	check_call(call, LARGE);
	hawser__call__free_unpacked(call, NULL);
}
END_TEST

START_TEST(message_that_is_not_valid_is_told)
{
	struct hawser__arena arena;

	pack(LARGE);
	length--;
	hawser__arena_init(&arena, SIZE_MAX);
	for (int in_arena = 0; in_arena < 2; in_arena++) {
		errno = 0;
		ck_assert_ptr_null(unpack(in_arena ? &arena : NULL));
		ck_assert_int_eq(errno, EBADMSG);
	}
	hawser__arena_deinit(&arena);
}
END_TEST

START_TEST(message_above_the_limit_is_told_each_time)
{
	struct hawser__arena arena;
	Hawser__Call *call;

	hawser__arena_init(&arena, 30000);
	for (int i = 0; i < 3; i++) {
		pack(1 << 15);
		errno = 0;
		ck_assert_ptr_null(unpack(&arena));
		ck_assert_int_eq(errno, EMSGSIZE);
		hawser__arena_reset(&arena);
	}
	/* The reason is not the next one's. */
	pack(10);
	length--;
	ck_assert_ptr_null(unpack(&arena));
	ck_assert_int_eq(errno, EBADMSG);
	length++;
	call = unpack(&arena);
	ck_assert_ptr_nonnull(call);
	check_call(call, 10);
	hawser__arena_deinit(&arena);
}
END_TEST

static bool unpack_somehow(void *data)
{
	struct hawser__arena arena;
	bool in_arena = *(const bool *)data;
	Hawser__Call *call, *next;

	hawser__arena_init(&arena, SIZE_MAX);
	errno = 0;
	call = unpack(in_arena ? &arena : NULL);
	if (call)
		check_call(call, LARGE);
	else
		ck_assert_int_eq(errno, ENOMEM);
	/* The reason is not the next one's. */
	length--;
	next = unpack(in_arena ? &arena : NULL);
	ck_assert_ptr_null(next);
	ck_assert(errno == EBADMSG || (call && errno == ENOMEM));
	length++;
	if (!in_arena)
		hawser__call__free_unpacked(call, NULL);
	hawser__arena_deinit(&arena);
	return call != NULL;
}

START_TEST(want_of_memory_is_told)
{
	bool in_arena = _i;

	pack(LARGE);
	ck_assert_uint_ge(failing_alloc_each(unpack_somehow, &in_arena), 3);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("util/unpack");
	TCase *tcase = suite_case(suite, "unpack");

	tcase_add_test(tcase, message_on_the_heap_is_freed_as_any);
	tcase_add_test(tcase, message_that_is_not_valid_is_told);
	tcase_add_test(tcase, message_above_the_limit_is_told_each_time);
	tcase_add_loop_test(tcase, want_of_memory_is_told, 0, 2);
	return suite_run(suite);
}
