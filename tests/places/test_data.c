/* Debian's table of places, and tables that are wrong. */

#include "data.h"
#include "support/suite.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads a table that consists of these bytes. The error begins with the file's name, and is left
 * without it. */
static int read_bytes(struct places *places, const char *bytes, size_t length, char *error,
		      size_t error_size)
{
	char path[] = "/tmp/hawser-places-XXXXXX", said[1024] = "";
	int fd = mkstemp(path), r;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, length), length);
	close(fd);
	r = places_read(places, path, said, sizeof said);
	unlink(path);
	if (r < 0) {
		ck_assert_msg(strncmp(said, path, strlen(path)) == 0, "%s", said);
		snprintf(error, error_size, "%s", said + strlen(path));
	}
	return r;
}

static void expect_error(const char *table, const char *expected)
{
	char error[512];
	struct places places;

	ck_assert_int_eq(read_bytes(&places, table, strlen(table), error, sizeof error), -EBADMSG);
	ck_assert_str_eq(error, expected);
}

/* The coordinates of the only place of a table. */
static struct point point_of(const char *coordinates)
{
	char table[128], error[512];
	struct places places;
	struct point point;

	snprintf(table, sizeof table, "CH\t%s\tEurope/Zurich\n", coordinates);
	ck_assert_msg(read_bytes(&places, table, strlen(table), error, sizeof error) == 0, "%s",
		      error);
	point = places.places[0].point;
	places_deinit(&places);
	return point;
}

/* ---- the true table ---- */

static void read_debian(struct places *places)
{
	char error[512];

	ck_assert_msg(places_read(places, PLACES_FILE, error, sizeof error) == 0, "%s", error);
}

START_TEST(debian_has_some_300_places)
{
	struct places places;

	read_debian(&places);
	ck_assert_uint_ge(places.n, 290);
	ck_assert_uint_le(places.n, 400);
	for (size_t i = 0; i < places.n; i++) {
		const struct place *place = &places.places[i];

		/* In order, and so no two alike. */
		quick_assert(i == 0 || strcmp(places.places[i - 1].name, place->name) < 0);
		quick_assert(strchr(place->name, '/'));
		quick_assert(place->n_countries >= 1);
		quick_assert(places_find(&places, place->name) == place);
	}
	places_deinit(&places);
}
END_TEST

START_TEST(places_are_where_they_are)
{
	static const struct {
		const char *name, *country;
		double latitude, longitude;
	} known[] = {
		{"Europe/Zurich", "LI", 47 + 23 / 60.0, 8 + 32 / 60.0},
		{"America/New_York", "US", 40 + 42 / 60.0 + 51 / 3600.0,
		 -(74 + 0 / 60.0 + 23 / 3600.0)},
		{"Australia/Sydney", "AU", -(33 + 52 / 60.0), 151 + 13 / 60.0},
		{"America/Argentina/Ushuaia", "AR", -(54 + 48 / 60.0), -(68 + 18 / 60.0)},
	};
	struct places places;

	read_debian(&places);
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		const struct place *place = places_find(&places, known[i].name);
		bool has_country = false;

		ck_assert_ptr_nonnull(place);
		ck_assert_double_eq_tol(place->point.latitude, known[i].latitude, 1e-9);
		ck_assert_double_eq_tol(place->point.longitude, known[i].longitude, 1e-9);
		for (size_t j = 0; j < place->n_countries; j++)
			has_country |= strcmp(place->countries[j], known[i].country) == 0;
		ck_assert(has_country);
	}
	places_deinit(&places);
}
END_TEST

START_TEST(each_place_is_the_nearest_to_itself)
{
	struct places places;
	double km;

	read_debian(&places);
	for (size_t i = 0; i < places.n; i++) {
		const struct place *place = &places.places[i];

		quick_assert(places_nearest(&places, &place->point, &km) == place);
		quick_assert(km == 0);
	}
	places_deinit(&places);
}
END_TEST

START_TEST(nothing_is_nearer_than_the_nearest)
{
	struct places places;

	read_debian(&places);
	for (int latitude = -90; latitude <= 90; latitude += 10) {
		for (int longitude = -180; longitude <= 180; longitude += 10) {
			const struct point point = {latitude, longitude};
			double km;
			const struct place *nearest = places_nearest(&places, &point, &km);

			quick_assert(distance_km(&point, &nearest->point) == km);
			for (size_t i = 0; i < places.n; i++)
				quick_assert(distance_km(&point, &places.places[i].point) >= km);
		}
	}
	places_deinit(&places);
}
END_TEST

START_TEST(names_that_are_none_are_understood)
{
	struct places places;

	read_debian(&places);
	ck_assert_ptr_null(places_find(&places, "Zurich"));
	ck_assert_ptr_null(places_find(&places, "europe/zurich"));
	ck_assert_ptr_null(places_find(&places, ""));
	ck_assert_str_eq(places_suggest(&places, "zurich")->name, "Europe/Zurich");
	ck_assert_str_eq(places_suggest(&places, "NEW_york")->name, "America/New_York");
	ck_assert_ptr_null(places_suggest(&places, "Atlantis"));
	ck_assert_ptr_null(places_suggest(&places, ""));
	places_deinit(&places);
}
END_TEST

/* ---- other tables ---- */

START_TEST(coordinates_have_minutes_or_seconds)
{
	ck_assert_double_eq_tol(point_of("+4730+00815").latitude, 47.5, 1e-12);
	ck_assert_double_eq_tol(point_of("+4730+00815").longitude, 8.25, 1e-12);
	ck_assert_double_eq_tol(point_of("-473000-0081530").latitude, -47.5, 1e-12);
	ck_assert_double_eq_tol(point_of("-473000-0081530").longitude, -8 - 15.5 / 60, 1e-12);
	/* Half a degree south is not half a degree north. */
	ck_assert_double_eq_tol(point_of("-0030-00030").latitude, -0.5, 1e-12);
	ck_assert_double_eq_tol(point_of("+9000-18000").latitude, 90, 1e-12);
	ck_assert_double_eq_tol(point_of("+9000-18000").longitude, -180, 1e-12);
}
END_TEST

START_TEST(comments_empty_lines_and_further_columns_are_passed_over)
{
	static const char table[] = "# A comment\n\nCH,DE\t+4723+00832\tEurope/Zurich\tof all\n#\n"
				    "AD\t+4230+00131\tEurope/Andorra";
	struct places places;
	char error[512];

	ck_assert_int_eq(read_bytes(&places, table, strlen(table), error, sizeof error), 0);
	ck_assert_uint_eq(places.n, 2);
	ck_assert_str_eq(places.places[0].name, "Europe/Andorra");
	ck_assert_uint_eq(places.places[0].n_countries, 1);
	ck_assert_str_eq(places.places[0].countries[0], "AD");
	ck_assert_str_eq(places.places[1].name, "Europe/Zurich");
	ck_assert_uint_eq(places.places[1].n_countries, 2);
	ck_assert_str_eq(places.places[1].countries[0], "CH");
	ck_assert_str_eq(places.places[1].countries[1], "DE");
	places_deinit(&places);
}
END_TEST

START_TEST(wrong_coordinates_are_told_with_their_line)
{
	static const char *const wrong[] = {
		"",
		"+4723",
		"4723+00832",
		"+4723 00832",
		"+47x3+00832",
		"+4723+0083x",
		"+4760+00832",
		"+4723+00860",
		"+472360+0083200",
		"+472300+0083260",
		"+4723+0083200",
		"+472300+00832",
		"+472300+008320",
		"++723+00832",
		"+4723+0083200000",
	};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		char table[128], expected[256];

		snprintf(table, sizeof table, "# first\nCH\t%s\tEurope/Zurich\n", wrong[i]);
		snprintf(expected, sizeof expected,
			 ":2: coordinates \"%s\"; they have to be ±DDMM±DDDMM or "
			 "±DDMMSS±DDDMMSS",
			 wrong[i]);
		expect_error(table, expected);
	}
}
END_TEST

START_TEST(coordinates_beyond_the_earth_are_told)
{
	static const char *const beyond[] = {"+9001+00832", "-9100+00832", "+4723+18001",
					     "+900001+0083200"};

	for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
		char table[128], expected[256];

		snprintf(table, sizeof table, "CH\t%s\tEurope/Zurich", beyond[i]);
		snprintf(expected, sizeof expected,
			 ":1: coordinates \"%s\"; there are 90 degrees of latitude and 180 of "
			 "longitude",
			 beyond[i]);
		expect_error(table, expected);
	}
}
END_TEST

START_TEST(missing_columns_are_told)
{
	static const char *const lines[] = {"CH", "CH\t+4723+00832", "CH\t+4723+00832\t",
					    "CH\t+4723+00832\t\tcomment", "CH +4723+00832 Zurich"};

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		expect_error(lines[i], ":1: countries, coordinates and name are needed, with tabs "
				       "between them");
}
END_TEST

START_TEST(wrong_countries_are_told)
{
	expect_error("\t+4723+00832\tEurope/Zurich",
		     ":1: \"\" is no country; it needs two capitals");
	expect_error("CH,\t+4723+00832\tEurope/Zurich",
		     ":1: \"\" is no country; it needs two capitals");
	expect_error("CH,DEU\t+4723+00832\tEurope/Zurich",
		     ":1: \"DEU\" is no country; it needs two capitals");
	expect_error("ch\t+4723+00832\tEurope/Zurich",
		     ":1: \"ch\" is no country; it needs two capitals");
}
END_TEST

START_TEST(places_are_there_once)
{
	expect_error("CH\t+4723+00832\tEurope/Zurich\nAD\t+4230+00131\tEurope/Andorra\n"
		     "LI\t+4723+00832\tEurope/Zurich\n",
		     ": Europe/Zurich is in it twice");
}
END_TEST

START_TEST(what_is_no_table_is_told)
{
	size_t much = (1 << 20) + 1;
	char *bytes = malloc(much);
	struct places places;
	char error[512];

	expect_error("", ": no place is in it");
	expect_error("# Nothing\n", ": no place is in it");
	ck_assert_int_eq(read_bytes(&places, "# \0\n", 4, error, sizeof error), -EBADMSG);
	ck_assert_str_eq(error, ": not a table of time zones");
	ck_assert_ptr_nonnull(bytes);
	memset(bytes, '#', much);
	ck_assert_int_eq(read_bytes(&places, bytes, much, error, sizeof error), -EBADMSG);
	ck_assert_str_eq(error, ": not a table of time zones");
	free(bytes);
}
END_TEST

START_TEST(files_that_cannot_be_read_are_told)
{
	struct places places;
	char error[512];

	ck_assert_int_eq(places_read(&places, "/nowhere/zone.tab", error, sizeof error), -ENOENT);
	ck_assert_str_eq(error, "/nowhere/zone.tab: no such file; Debian's package tzdata has it");
	ck_assert_int_eq(places_read(&places, "/tmp", error, sizeof error), -EISDIR);
	ck_assert_str_eq(error, "/tmp: Is a directory");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("places data");
	TCase *debian = suite_case(suite, "Debian's table");
	TCase *others = suite_case(suite, "other tables");

	tcase_add_test(debian, debian_has_some_300_places);
	tcase_add_test(debian, places_are_where_they_are);
	tcase_add_test(debian, each_place_is_the_nearest_to_itself);
	tcase_add_test(debian, nothing_is_nearer_than_the_nearest);
	tcase_add_test(debian, names_that_are_none_are_understood);
	tcase_add_test(others, coordinates_have_minutes_or_seconds);
	tcase_add_test(others, comments_empty_lines_and_further_columns_are_passed_over);
	tcase_add_test(others, wrong_coordinates_are_told_with_their_line);
	tcase_add_test(others, coordinates_beyond_the_earth_are_told);
	tcase_add_test(others, missing_columns_are_told);
	tcase_add_test(others, wrong_countries_are_told);
	tcase_add_test(others, places_are_there_once);
	tcase_add_test(others, what_is_no_table_is_told);
	tcase_add_test(others, files_that_cannot_be_read_are_told);
	return suite_run(suite);
}
