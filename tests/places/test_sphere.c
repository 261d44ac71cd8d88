/* Distances against another way to work them out, and rectangles. */

#include "sphere.h"
#include "support/random.h"
#include "support/suite.h"

#include <math.h>
#include <stdlib.h>

#define RADIUS_KM 6371.0088

static const struct point north_pole = {90, 0}, south_pole = {-90, 0}, origin = {0, 0};

START_TEST(distances_are_those_of_great_circles)
{
	/* From Nashville to Los Angeles, as often computed with a radius of 6,372.8 km. */
	const struct point nashville = {36.12, -86.67}, los_angeles = {33.94, -118.40};

	ck_assert_double_eq_tol(distance_km(&nashville, &los_angeles),
				2887.2599506071106 / 6372.8 * RADIUS_KM, 1e-9);
	ck_assert_double_eq_tol(distance_km(&origin, &north_pole), RADIUS_KM * M_PI / 2, 1e-9);
	ck_assert_double_eq_tol(distance_km(&south_pole, &north_pole), RADIUS_KM * M_PI, 1e-9);
	for (int degrees = -180; degrees <= 180; degrees++) {
		const struct point point = {0, degrees};

		ck_assert_double_eq_tol(distance_km(&origin, &point),
					RADIUS_KM * M_PI / 180 * abs(degrees), 1e-4);
	}
}
END_TEST

/* Half the chord between the ends of two unit vectors is the sine of half the angle. */
static double by_chord(const struct point *one, const struct point *other)
{
	double a = one->latitude * M_PI / 180, b = one->longitude * M_PI / 180;
	double c = other->latitude * M_PI / 180, d = other->longitude * M_PI / 180;
	double x = cos(a) * cos(b) - cos(c) * cos(d), y = cos(a) * sin(b) - cos(c) * sin(d);
	double z = sin(a) - sin(c);

	return 2 * RADIUS_KM * asin(fmin(sqrt(x * x + y * y + z * z) / 2, 1));
}

static double random_degrees(unsigned most)
{
	return (double)random_below(2000001) / 1000000 * most - most;
}

START_TEST(distances_anywhere_are_those_of_the_chord)
{
	for (unsigned long i = 0; i < suite_rounds(100000); i++) {
		const struct point one = {random_degrees(90), random_degrees(180)};
		const struct point other = {random_degrees(90), random_degrees(180)};
		double km = distance_km(&one, &other);

		/* Both are at their worst for opposite ends. */
		quick_assert(fabs(km - by_chord(&one, &other)) < 1e-3);
		quick_assert(km == distance_km(&other, &one));
	}
}
END_TEST

START_TEST(neighbours_are_told_apart)
{
	/* A millimetre. */
	const struct point zurich = {47.3833333, 8.5333333}, beside = {47.383333309, 8.5333333};

	ck_assert_double_eq_tol(distance_km(&zurich, &beside), 1e-6, 1e-8);
	ck_assert(distance_km(&zurich, &zurich) == 0);
}
END_TEST

static bool contains(double south, double west, double north, double east, double latitude,
		     double longitude)
{
	const struct rectangle rectangle = {{south, west}, {north, east}};

	return rectangle_contains(&rectangle, &(struct point){latitude, longitude});
}

START_TEST(rectangles_contain_their_edges)
{
	ck_assert(contains(40, 5, 50, 10, 45, 7));
	ck_assert(contains(40, 5, 50, 10, 40, 5));
	ck_assert(contains(40, 5, 50, 10, 50, 10));
	ck_assert(contains(45, 7, 45, 7, 45, 7));
	ck_assert(contains(-90, -180, 90, 180, 0, 0));
	ck_assert(!contains(40, 5, 50, 10, 39.999, 7));
	ck_assert(!contains(40, 5, 50, 10, 50.001, 7));
	ck_assert(!contains(40, 5, 50, 10, 45, 4.999));
	ck_assert(!contains(40, 5, 50, 10, 45, 10.001));
	/* Nothing is both north of the north and south of the south. */
	ck_assert(!contains(50, 5, 40, 10, 45, 7));
}
END_TEST

START_TEST(rectangles_may_cross_the_180th_meridian)
{
	ck_assert(contains(-20, 170, -10, -170, -15, 175));
	ck_assert(contains(-20, 170, -10, -170, -15, -175));
	ck_assert(contains(-20, 170, -10, -170, -15, 180));
	ck_assert(contains(-20, 170, -10, -170, -15, -180));
	ck_assert(contains(-20, 170, -10, -170, -15, 170));
	ck_assert(contains(-20, 170, -10, -170, -15, -170));
	ck_assert(!contains(-20, 170, -10, -170, -15, 169));
	ck_assert(!contains(-20, 170, -10, -170, -15, -169));
	ck_assert(!contains(-20, 170, -10, -170, -15, 0));
	ck_assert(!contains(-20, 170, -10, -170, -21, 175));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sphere");
	TCase *test_case = suite_case(suite, "sphere");

	tcase_add_test(test_case, distances_are_those_of_great_circles);
	tcase_add_test(test_case, distances_anywhere_are_those_of_the_chord);
	tcase_add_test(test_case, neighbours_are_told_apart);
	tcase_add_test(test_case, rectangles_contain_their_edges);
	tcase_add_test(test_case, rectangles_may_cross_the_180th_meridian);
	return suite_run(suite);
}
