/* Which slips are understood. */

#include "suggest.h"
#include "support/suite.h"

static const char *nearest(const char *typed)
{
	static const char *const names[] = {"connections", "depth", "duration", "max-connections",
					    "rate",        "size",  "quiet"};
	struct suggestion suggestion = SUGGESTION_INIT;

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		suggestion_consider(&suggestion, typed, names[i]);
	return suggestion.name;
}

START_TEST(one_slip_is_understood)
{
	ck_assert_pstr_eq(nearest("dept"), "depth");
	ck_assert_pstr_eq(nearest("depthh"), "depth");
	ck_assert_pstr_eq(nearest("debth"), "depth");
	ck_assert_pstr_eq(nearest("detph"), "depth");
	ck_assert_pstr_eq(nearest("epth"), "depth");
	ck_assert_pstr_eq(nearest("raet"), "rate");
}
END_TEST

START_TEST(beginning_of_a_name_is_understood)
{
	ck_assert_pstr_eq(nearest("conn"), "connections");
	ck_assert_pstr_eq(nearest("dur"), "duration");
	ck_assert_pstr_eq(nearest("m"), "max-connections");
}
END_TEST

START_TEST(longer_names_allow_more_slips)
{
	ck_assert_pstr_eq(nearest("conectoins"), "connections");
	ck_assert_pstr_eq(nearest("max-conectoin"), "max-connections");
}
END_TEST

START_TEST(nearest_of_two_wins)
{
	ck_assert_pstr_eq(nearest("connection"), "connections");
	ck_assert_pstr_eq(nearest("max-connection"), "max-connections");
}
END_TEST

START_TEST(what_is_far_from_all_is_left_alone)
{
	ck_assert_ptr_null(nearest(""));
	ck_assert_ptr_null(nearest("z"));
	ck_assert_ptr_null(nearest("xyzzy"));
	ck_assert_ptr_null(nearest("tear"));
	ck_assert_ptr_null(nearest("a-name-that-is-longer-than-any-there-could-be-in-here"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("suggest");
	TCase *tcase = suite_case(suite, "suggest");

	tcase_add_test(tcase, one_slip_is_understood);
	tcase_add_test(tcase, beginning_of_a_name_is_understood);
	tcase_add_test(tcase, longer_names_allow_more_slips);
	tcase_add_test(tcase, nearest_of_two_wins);
	tcase_add_test(tcase, what_is_far_from_all_is_left_alone);
	return suite_run(suite);
}
