/* The guestbook keeps what fits. */

#include "guestbook.h"
#include "support/suite.h"

#include <errno.h>

START_TEST(notes_are_kept_in_order)
{
	struct guestbook book;
	char text[] = "first";

	ck_assert_int_eq(guestbook_init(&book, 3, 10, 5), 0);
	ck_assert_int_eq(guestbook_add(&book, 2, text), 0);
	text[0] = 'F'; /* it has its own */
	ck_assert_int_eq(guestbook_add(&book, 0, "second"), 0);
	ck_assert_uint_eq(book.n, 2);
	ck_assert_uint_eq(book.notes[0].place, 2);
	ck_assert_str_eq(book.notes[0].text, "first");
	ck_assert_uint_eq(book.notes[1].place, 0);
	ck_assert_str_eq(book.notes[1].text, "second");
	guestbook_deinit(&book);
}
END_TEST

START_TEST(each_place_has_its_limit)
{
	struct guestbook book;

	ck_assert_int_eq(guestbook_init(&book, 2, 10, 3), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(guestbook_add(&book, 0, "note"), 0);
	ck_assert_int_eq(guestbook_add(&book, 0, "note"), -EDQUOT);
	ck_assert_uint_eq(book.n, 3);
	ck_assert_int_eq(guestbook_add(&book, 1, "note"), 0);
	guestbook_deinit(&book);
}
END_TEST

START_TEST(all_places_together_have_a_limit)
{
	struct guestbook book;

	ck_assert_int_eq(guestbook_init(&book, 8, 4, 3), 0);
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_int_eq(guestbook_add(&book, i, "note"), 0);
	ck_assert_int_eq(guestbook_add(&book, 4, "note"), -ENOSPC);
	ck_assert_uint_eq(book.n, 4);
	guestbook_deinit(&book);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("places guestbook");
	TCase *test_case = suite_case(suite, "guestbook");

	tcase_add_test(test_case, notes_are_kept_in_order);
	tcase_add_test(test_case, each_place_has_its_limit);
	tcase_add_test(test_case, all_places_together_have_a_limit);
	return suite_run(suite);
}
