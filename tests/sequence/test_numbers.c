/* The numbers and the checksum against what others have computed. */

#include "numbers.h"
#include "support/suite.h"

#include <stddef.h>

START_TEST(numbers_are_the_upper_halves_of_splitmix64)
{
	/* The first of the reference implementation with the seed 1234567, whole. */
	static const uint64_t expected[] = {
		UINT64_C(6457827717110365317),  UINT64_C(3203168211198807973),
		UINT64_C(9817491932198370423),  UINT64_C(4593380528125082431),
		UINT64_C(16408922859458223821),
	};

	for (uint32_t i = 0; i < sizeof expected / sizeof *expected; i++)
		ck_assert_uint_eq(numbers_at(1234567, i), expected[i] >> 32);
}
END_TEST

START_TEST(any_number_can_be_had_by_itself)
{
	uint32_t last = numbers_at(7, NUMBERS_MOST - 1), first = numbers_at(7, 0);

	for (uint32_t i = 0; i < NUMBERS_MOST; i++)
		numbers_at(7, i);
	ck_assert_uint_eq(numbers_at(7, 0), first);
	ck_assert_uint_eq(numbers_at(7, NUMBERS_MOST - 1), last);
	ck_assert_uint_ne(first, last);
}
END_TEST

START_TEST(each_client_and_each_secret_has_another_seed)
{
	/* One bit more or less anywhere is another client. */
	for (unsigned i = 0; i < 64; i++) {
		uint64_t bit = UINT64_C(1) << i;

		ck_assert_uint_ne(numbers_seed(4711, bit), numbers_seed(4711, 0));
		ck_assert_uint_ne(numbers_seed(4711 ^ bit, 0), numbers_seed(4711, 0));
		ck_assert_uint_ne(numbers_at(numbers_seed(4711, bit), 0),
				  numbers_at(numbers_seed(4711, 0), 0));
	}
}
END_TEST

START_TEST(checksum_is_fnv_1a)
{
	/* "" and "foob" of the authors' own test program; 'f' is the lowest byte. */
	ck_assert_uint_eq(CHECKSUM_INIT, UINT64_C(0xcbf29ce484222325));
	ck_assert_uint_eq(checksum_add(CHECKSUM_INIT, 0x626f6f66), UINT64_C(0xdd120e790c2512af));
}
END_TEST

START_TEST(checksum_notices_order)
{
	uint64_t one = checksum_add(checksum_add(CHECKSUM_INIT, 1), 2);
	uint64_t other = checksum_add(checksum_add(CHECKSUM_INIT, 2), 1);

	ck_assert_uint_ne(one, other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sequence numbers");
	TCase *test_case = suite_case(suite, "numbers");

	tcase_add_test(test_case, numbers_are_the_upper_halves_of_splitmix64);
	tcase_add_test(test_case, any_number_can_be_had_by_itself);
	tcase_add_test(test_case, each_client_and_each_secret_has_another_seed);
	tcase_add_test(test_case, checksum_is_fnv_1a);
	tcase_add_test(test_case, checksum_notices_order);
	return suite_run(suite);
}
