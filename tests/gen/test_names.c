/* Names become what protoc-gen-c makes of them: the expected column was taken from
 * its output. */

#include "arena.h"
#include "names.h"

#include <check.h>
#include <stdlib.h>

static struct arena arena;

START_TEST(messages_are_named_as_by_protoc_gen_c)
{
	static const struct {
		const char *full_name, *type, *functions;
	} expected[] = {
		{"aB.cd_ef.X9.HTTPServer2Go", "AB__CdEf__X9__HTTPServer2Go",
		 "a_b__cd_ef__x9__httpserver2_go"},
		{"aB.cd_ef.X9.Foo_Bar", "AB__CdEf__X9__FooBar", "a_b__cd_ef__x9__foo__bar"},
		{"aB.cd_ef.X9.fooBar", "AB__CdEf__X9__FooBar", "a_b__cd_ef__x9__foo_bar"},
		{"aB.cd_ef.X9.foo_bar_", "AB__CdEf__X9__FooBar", "a_b__cd_ef__x9__foo_bar_"},
		{"aB.cd_ef.X9.ABC", "AB__CdEf__X9__ABC", "a_b__cd_ef__x9__abc"},
		{"aB.cd_ef.X9.aBC", "AB__CdEf__X9__ABC", "a_b__cd_ef__x9__a_bc"},
		{"aB.cd_ef.X9.A1B2c", "AB__CdEf__X9__A1B2c", "a_b__cd_ef__x9__a1_b2c"},
		{"aB.cd_ef.X9.__x", "AB__CdEf__X9__X", "a_b__cd_ef__x9____x"},
		{"aB.cd_ef.X9.__x.Y_", "AB__CdEf__X9__X__Y", "a_b__cd_ef__x9____x__y_"},
		{"aB.cd_ef.X9.foo__bar", "AB__CdEf__X9__FooBar", "a_b__cd_ef__x9__foo__bar"},
		{"aB.cd_ef.X9.V1Beta1", "AB__CdEf__X9__V1Beta1", "a_b__cd_ef__x9__v1_beta1"},
		{"aB.cd_ef.X9.IPv6Address", "AB__CdEf__X9__IPv6Address",
		 "a_b__cd_ef__x9__ipv6_address"},
		{"Alone", "Alone", "alone"},
		{".leading..dots", "Leading__Dots", "leading__dots"},
	};

	for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
		ck_assert_str_eq(name_type(&arena, expected[i].full_name), expected[i].type);
		ck_assert_str_eq(name_functions(&arena, expected[i].full_name),
				 expected[i].functions);
	}
}
END_TEST

START_TEST(a_c_package_takes_the_place_of_the_package)
{
	ck_assert_str_eq(name_override(&arena, "a.b.M.N", "a.b", NULL), "a.b.M.N");
	ck_assert_str_eq(name_override(&arena, "a.b.M.N", "a.b", "x.y"), "x.y.M.N");
	ck_assert_str_eq(name_override(&arena, "M", "", "x"), "x.M");
	ck_assert_str_eq(name_type(&arena, name_override(&arena, "a.b.M", "a.b", "")), "M");
}
END_TEST

START_TEST(services_get_single_underscores)
{
	ck_assert_str_eq(name_service(&arena, "demo.Greeter"), "demo_greeter");
	ck_assert_str_eq(name_service(&arena, "Greeter"), "greeter");
	ck_assert_str_eq(name_service(&arena, "a.b_c.HTTPApi"), "a_b_c_httpapi");
}
END_TEST

START_TEST(reserved_words_are_known)
{
	static const char *const words[] = {
		"alignas", "and",   "asm",    "class",    "delete",   "errno", "int",
		"linux",   "new",   "not_eq", "operator", "register", "this",  "typeof",
		"unix",    "while", "xor_eq", "assert",   "va_start", "bool",  "nullptr",
	};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		ck_assert_msg(name_is_reserved(words[i]), "%s", words[i]);
	ck_assert(!name_is_reserved("hello"));
	ck_assert(!name_is_reserved(""));
	ck_assert(!name_is_reserved("Class"));
}
END_TEST

START_TEST(only_identifiers_are_valid)
{
	ck_assert(name_is_valid("a", false));
	ck_assert(name_is_valid("_9", false));
	ck_assert(name_is_valid("a.b.c", true));
	ck_assert(!name_is_valid(NULL, false));
	ck_assert(!name_is_valid("", false));
	ck_assert(!name_is_valid("9a", false));
	ck_assert(!name_is_valid("a.b", false));
	ck_assert(!name_is_valid("a..b", true));
	ck_assert(!name_is_valid("a.", true));
	ck_assert(!name_is_valid(".a", true));
	ck_assert(!name_is_valid("a b", false));
	ck_assert(!name_is_valid("\xc3\xa9", false));
}
END_TEST

START_TEST(no_two_files_share_a_guard)
{
	static const char *const stems[] = {
		"a/b", "a_b", "a__b", "a-b", "A/b", "a/_b", "a_/b", "a_/_b", "a.b", "1", "x1", "ab",
	};
	const size_t n = sizeof stems / sizeof stems[0];

	ck_assert_str_eq(name_guard(&arena, "load_balancer"), "LOAD_BALANCER_HAWSER_H");
	ck_assert_str_eq(name_guard(&arena, "v1/api"), "V1__API_HAWSER_H");
	for (size_t i = 0; i < n; i++) {
		ck_assert(name_is_valid(name_guard(&arena, stems[i]), false));
		for (size_t j = 0; j < i; j++)
			ck_assert_str_ne(name_guard(&arena, stems[i]),
					 name_guard(&arena, stems[j]));
	}
}
END_TEST

START_TEST(hash_is_fnv1a)
{
	/* From the RFC's own list of test vectors. */
	ck_assert_uint_eq(name_hash(""), 0x811c9dc5);
	ck_assert_uint_eq(name_hash("a"), 0xe40c292c);
	ck_assert_uint_eq(name_hash("foobar"), 0xbf9cf968);
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("names");
	Suite *suite = suite_create("gen/names");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, messages_are_named_as_by_protoc_gen_c);
	tcase_add_test(tcase, a_c_package_takes_the_place_of_the_package);
	tcase_add_test(tcase, services_get_single_underscores);
	tcase_add_test(tcase, reserved_words_are_known);
	tcase_add_test(tcase, only_identifiers_are_valid);
	tcase_add_test(tcase, no_two_files_share_a_guard);
	tcase_add_test(tcase, hash_is_fnv1a);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	arena_deinit(&arena);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
