/* proto3 `optional` keeps its presence through protobuf-c, also where
 * protoc-gen-c does not know it: a set zero travels, an unset field does not, and
 * the bytes are those that every other protobuf library writes. */

#include "optional.pb-c.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(a_set_zero_travels)
{
	static const uint8_t expected[] = {
		0x08, 0x00,                      /* number */
		0x12, 0x00,                      /* text */
		0x1a, 0x00,                      /* data */
		0x20, 0x00,                      /* flag */
		0x2a, 0x00,                      /* thing */
		0x31, 0,    0, 0, 0, 0, 0, 0, 0, /* real */
		0x40, 0x05,                      /* code */
	};
	Presence__Thing thing = PRESENCE__THING__INIT;
	Presence__Maybe maybe = PRESENCE__MAYBE__INIT;
	Presence__Maybe *copy;
	uint8_t bytes[64];
	size_t size;

	maybe._number_case = PRESENCE__MAYBE___NUMBER_NUMBER;
	maybe._text_case = PRESENCE__MAYBE___TEXT_TEXT;
	maybe.text = (char *)"";
	maybe._data_case = PRESENCE__MAYBE___DATA_DATA;
	maybe._flag_case = PRESENCE__MAYBE___FLAG_FLAG;
	maybe._thing_case = PRESENCE__MAYBE___THING_THING;
	maybe.thing = &thing;
	maybe._real_case = PRESENCE__MAYBE___REAL_REAL;
	maybe.kind_case = PRESENCE__MAYBE__KIND_CODE;
	maybe.code = 5;

	size = presence__maybe__pack(&maybe, bytes);
	ck_assert_uint_eq(size, sizeof expected);
	ck_assert_mem_eq(bytes, expected, sizeof expected);

	copy = presence__maybe__unpack(NULL, size, bytes);
	ck_assert_ptr_nonnull(copy);
	ck_assert_int_eq(copy->_number_case, PRESENCE__MAYBE___NUMBER_NUMBER);
	ck_assert_int_eq(copy->number, 0);
	ck_assert_int_eq(copy->_text_case, PRESENCE__MAYBE___TEXT_TEXT);
	ck_assert_str_eq(copy->text, "");
	ck_assert_int_eq(copy->_data_case, PRESENCE__MAYBE___DATA_DATA);
	ck_assert_uint_eq(copy->data.len, 0);
	ck_assert_int_eq(copy->_flag_case, PRESENCE__MAYBE___FLAG_FLAG);
	ck_assert_int_eq(copy->_thing_case, PRESENCE__MAYBE___THING_THING);
	ck_assert_ptr_nonnull(copy->thing);
	ck_assert_int_eq(copy->_real_case, PRESENCE__MAYBE___REAL_REAL);
	ck_assert_int_eq(copy->kind_case, PRESENCE__MAYBE__KIND_CODE);
	ck_assert_int_eq(copy->code, 5);
	ck_assert_int_eq(copy->_unset_case, PRESENCE__MAYBE___UNSET__NOT_SET);
	presence__maybe__free_unpacked(copy, NULL);
}
END_TEST

START_TEST(what_is_unset_stays_so)
{
	Presence__Maybe maybe = PRESENCE__MAYBE__INIT;
	Presence__Maybe *copy;

	maybe.plain = 0;
	ck_assert_uint_eq(presence__maybe__get_packed_size(&maybe), 0);
	copy = presence__maybe__unpack(NULL, 0, (const uint8_t *)"");
	ck_assert_ptr_nonnull(copy);
	ck_assert_int_eq(copy->_number_case, PRESENCE__MAYBE___NUMBER__NOT_SET);
	ck_assert_int_eq(copy->_text_case, PRESENCE__MAYBE___TEXT__NOT_SET);
	ck_assert_int_eq(copy->_thing_case, PRESENCE__MAYBE___THING__NOT_SET);
	ck_assert_int_eq(copy->kind_case, PRESENCE__MAYBE__KIND__NOT_SET);
	presence__maybe__free_unpacked(copy, NULL);
}
END_TEST

START_TEST(fields_keep_their_names_and_numbers)
{
	static const char *const names[] = {"number", "text", "data", "flag",  "thing",
					    "real",   "name", "code", "plain", "unset"};

	ck_assert_uint_eq(presence__maybe__descriptor.n_fields, 10);
	for (unsigned i = 0; i < 10; i++) {
		ck_assert_str_eq(presence__maybe__descriptor.fields[i].name, names[i]);
		ck_assert_uint_eq(presence__maybe__descriptor.fields[i].id, i + 1);
	}
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("optional");
	Suite *suite = suite_create("gen/optional");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, a_set_zero_travels);
	tcase_add_test(tcase, what_is_unset_stays_so);
	tcase_add_test(tcase, fields_keep_their_names_and_numbers);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
