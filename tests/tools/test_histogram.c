/* The histogram against a sorted list of the same values. */

#include "histogram.h"
#include "support/random.h"
#include "support/suite.h"
#include <math.h>
#include <stdlib.h>

static struct histogram histogram, other;

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static uint64_t exact_percentile(const uint64_t *sorted, size_t n, double percent)
{
	size_t rank = (size_t)ceil(percent / 100 * (double)n);

	return sorted[rank ? rank - 1 : 0];
}

/* Values of every magnitude, not only large ones. */
static uint64_t random_value(void)
{
	return random_next() >> random_below(64);
}

START_TEST(empty_histogram_answers_zero)
{
	histogram_reset(&histogram);
	ck_assert_uint_eq(histogram_percentile(&histogram, 50), 0);
	ck_assert_uint_eq(histogram_percentile(&histogram, 100), 0);
	ck_assert_double_eq(histogram_mean(&histogram), 0);
}
END_TEST

START_TEST(single_value_is_every_percentile)
{
	const uint64_t values[] = {0,         1, 127, 128, 129, 255, 256, 1000003, UINT64_MAX - 1,
				   UINT64_MAX};

	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		histogram_reset(&histogram);
		histogram_record(&histogram, values[i]);
		for (double percent = 0; percent <= 100; percent += 12.5)
			ck_assert_uint_eq(histogram_percentile(&histogram, percent), values[i]);
		ck_assert_uint_eq(histogram.min, values[i]);
		ck_assert_uint_eq(histogram.max, values[i]);
	}
}
END_TEST

START_TEST(small_values_are_exact)
{
	histogram_reset(&histogram);
	for (uint64_t value = 0; value < 256; value++)
		histogram_record(&histogram, value);
	for (unsigned rank = 1; rank <= 256; rank++)
		ck_assert_uint_eq(histogram_percentile(&histogram, rank * 100.0 / 256), rank - 1);
}
END_TEST

START_TEST(percentile_is_never_low_and_at_most_a_128th_high)
{
	enum { N = 20000 };
	static uint64_t values[N];
	const double percents[] = {0, 0.01, 1, 25, 50, 75, 90, 99, 99.9, 99.99, 100};

	for (unsigned round = 0; round < 20; round++) {
		size_t n = 1 + random_below(N);

		histogram_reset(&histogram);
		for (size_t i = 0; i < n; i++) {
			values[i] = random_value();
			histogram_record(&histogram, values[i]);
		}
		qsort(values, n, sizeof values[0], compare);
		for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
			uint64_t exact = exact_percentile(values, n, percents[i]);
			uint64_t told = histogram_percentile(&histogram, percents[i]);

			ck_assert_uint_ge(told, exact);
			ck_assert_uint_le(told - exact, exact / HISTOGRAM_PARTS);
		}
		ck_assert_uint_eq(histogram_percentile(&histogram, 100), values[n - 1]);
		ck_assert_uint_eq(histogram.min, values[0]);
		ck_assert_uint_eq(histogram.max, values[n - 1]);
	}
}
END_TEST

START_TEST(bucket_edges_fall_on_their_own_side)
{
	for (unsigned bit = 8; bit < 64; bit++) {
		uint64_t edge = UINT64_C(1) << bit;

		histogram_reset(&histogram);
		histogram_record(&histogram, edge - 1);
		histogram_record(&histogram, edge);
		ck_assert_uint_eq(histogram_percentile(&histogram, 50), edge - 1);
		ck_assert_uint_eq(histogram_percentile(&histogram, 100), edge);
	}
}
END_TEST

START_TEST(merged_histograms_are_one_that_saw_all_values)
{
	static struct histogram all;

	histogram_reset(&all);
	histogram_reset(&histogram);
	histogram_reset(&other);
	histogram_merge(&histogram, &other); /* an empty one changes nothing */
	ck_assert_uint_eq(histogram.min, UINT64_MAX);
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t value = random_value() >> 20;

		histogram_record(&all, value);
		histogram_record(random_one_in(3) ? &histogram : &other, value);
	}
	histogram_merge(&histogram, &other);
	ck_assert_uint_eq(histogram.count, all.count);
	ck_assert_uint_eq(histogram.min, all.min);
	ck_assert_uint_eq(histogram.max, all.max);
	ck_assert_double_eq_tol(histogram_mean(&histogram), histogram_mean(&all),
				histogram_mean(&all) * 1e-9);
	for (double percent = 0; percent <= 100; percent += 0.5)
		ck_assert_uint_eq(histogram_percentile(&histogram, percent),
				  histogram_percentile(&all, percent));
}
END_TEST

START_TEST(mean_is_exact_for_sums_that_fit)
{
	histogram_reset(&histogram);
	histogram_record(&histogram, 1000001);
	histogram_record(&histogram, 3);
	ck_assert_double_eq(histogram_mean(&histogram), 500002);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("histogram");
	TCase *tcase = suite_case(suite, "histogram");

	tcase_add_test(tcase, empty_histogram_answers_zero);
	tcase_add_test(tcase, single_value_is_every_percentile);
	tcase_add_test(tcase, small_values_are_exact);
	tcase_add_test(tcase, percentile_is_never_low_and_at_most_a_128th_high);
	tcase_add_test(tcase, bucket_edges_fall_on_their_own_side);
	tcase_add_test(tcase, merged_histograms_are_one_that_saw_all_values);
	tcase_add_test(tcase, mean_is_exact_for_sums_that_fit);
	return suite_run(suite);
}
