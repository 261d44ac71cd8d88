/* names_read(): good data, and data that is damaged. */

#include "data.h"
#include "names.h"
#include "support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const welt[] = {"Welt"};

static int read_all(const struct data *data, struct names *names, char *error, size_t size)
{
	*names = (struct names)NAMES_INIT;
	return names_read(names, data->json, data->locale, error, size);
}

static const char world[] = "{\"1\": [{\"name\": \"World\", \"code\": \"W\"},"
			    " {\"official_name\": \"The Sea\", \"rename\": \"x\", \"name\": 7}]}";

START_TEST(every_member_that_is_a_name_is_read)
{
	struct names names;
	struct data data;
	char error[256];

	data_make(&data, world);
	ck_assert_int_eq(read_all(&data, &names, error, sizeof error), 0);
	ck_assert_uint_eq(names.n, 2);
	ck_assert_uint_eq(names.n_json, 2);
	ck_assert_str_eq(names.names[0].text, "World");
	ck_assert_ptr_null(names.names[0].language);
	ck_assert_str_eq(names.names[1].text, "The Sea");
	ck_assert_uint_eq(names.n_sources, 1);
	ck_assert_str_eq(names.sources[0].title, "iso_1");
	ck_assert_uint_eq(names.sources[0].n_names, 2);
	names_deinit(&names);
	data_remove(&data);
}
END_TEST

START_TEST(translations_are_read_in_either_byte_order)
{
	for (int swapped = 0; swapped < 2; swapped++) {
		unsigned char bytes[CATALOG_ROOM];
		size_t size = catalog_make(bytes, swapped, welt, 1);
		struct names names;
		struct data data;
		char error[256];

		data_make(&data, world);
		data_write_catalog(&data, bytes, size);
		ck_assert_msg(read_all(&data, &names, error, sizeof error) == 0, "%s", error);
		ck_assert_uint_eq(names.n_json, 2);
		ck_assert_uint_eq(names.n, 3);
		ck_assert_str_eq(names.names[2].text, "Welt");
		ck_assert_str_eq(names.names[2].language, "de");
		ck_assert_uint_eq(names.n_languages, 1);
		ck_assert_uint_eq(names.sources[0].n_translations, 1);
		names_deinit(&names);
		data_remove(&data);
	}
}
END_TEST

START_TEST(a_catalog_cut_off_anywhere_is_an_error)
{
	unsigned char bytes[CATALOG_ROOM];
	size_t size = catalog_make(bytes, false, welt, 1);
	struct data data;

	data_make(&data, world);
	for (size_t cut = 0; cut < size; cut++) {
		struct names names;
		char error[256] = "";

		data_write_catalog(&data, bytes, cut);
		ck_assert_int_eq(read_all(&data, &names, error, sizeof error), -EBADMSG);
		ck_assert_msg(strncmp(error, data.catalog, strlen(data.catalog)) == 0,
			      "the file is not named: %s", error);
		names_deinit(&names);
	}
	data_remove(&data);
}
END_TEST

START_TEST(offsets_outside_the_catalog_are_an_error)
{
	struct data data;

	data_make(&data, world);
	/* Every word but magic, revision and the hash table's size and place. */
	for (size_t word = 2; word < 19; word++) {
		unsigned char bytes[CATALOG_ROOM];
		size_t size = catalog_make(bytes, false, welt, 1);
		struct names names;
		char error[256] = "";

		if (word == 5 || word == 6)
			continue;
		memset(bytes + 4 * word, 0xff, 4);
		data_write_catalog(&data, bytes, size);
		ck_assert_int_eq(read_all(&data, &names, error, sizeof error), -EBADMSG);
		names_deinit(&names);
	}
	data_remove(&data);
}
END_TEST

START_TEST(broken_json_is_told_with_file_and_line)
{
	struct names names;
	struct data data;
	char error[256] = "", expected[256];

	data_make(&data, "{\n \"1\": [\n  {\"name\": }\n ]\n}\n");
	ck_assert_int_eq(read_all(&data, &names, error, sizeof error), -EBADMSG);
	snprintf(expected, sizeof expected, "%s:3: ", data.json_file);
	ck_assert_msg(strncmp(error, expected, strlen(expected)) == 0, "%s", error);
	names_deinit(&names);
	data_remove(&data);
}
END_TEST

START_TEST(missing_data_is_told_with_the_package_to_install)
{
	struct names names;
	struct data data;
	char error[256] = "";

	data_make(&data, NULL);
	ck_assert_int_eq(read_all(&data, &names, error, sizeof error), -ENOENT);
	ck_assert_ptr_nonnull(strstr(error, "iso-codes"));
	names_deinit(&names);
	data_remove(&data);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("names");
	TCase *tcase = suite_case(suite, "names");

	tcase_add_test(tcase, every_member_that_is_a_name_is_read);
	tcase_add_test(tcase, translations_are_read_in_either_byte_order);
	tcase_add_test(tcase, a_catalog_cut_off_anywhere_is_an_error);
	tcase_add_test(tcase, offsets_outside_the_catalog_are_an_error);
	tcase_add_test(tcase, broken_json_is_told_with_file_and_line);
	tcase_add_test(tcase, missing_data_is_told_with_the_package_to_install);
	return suite_run(suite);
}
