/* The open loop's schedule in virtual time. */

#include "schedule.h"
#include "support/random.h"
#include "support/suite.h"

static const uint64_t start = 5000000000u, second = 1000000000u;

START_TEST(nothing_is_due_before_its_time)
{
	struct schedule schedule;
	uint64_t due;

	schedule_init(&schedule, start, start + second, 10);
	ck_assert(schedule_take(&schedule, start, &due));
	ck_assert_uint_eq(due, start);
	ck_assert(!schedule_take(&schedule, start + second / 10 - 1, &due));
	ck_assert(schedule_take(&schedule, start + second / 10, &due));
	ck_assert_uint_eq(due, start + second / 10);
}
END_TEST

START_TEST(stall_leaves_calls_due_at_their_own_times)
{
	struct schedule schedule;
	uint64_t due, now = start + second / 2;

	schedule_init(&schedule, start, start + second, 1000);
	for (unsigned k = 0; k <= 500; k++) {
		ck_assert_uint_eq(schedule_behind(&schedule, now + 1), 501 - k);
		ck_assert(schedule_take(&schedule, now, &due));
		ck_assert_uint_eq(due, start + k * (second / 1000));
	}
	ck_assert(!schedule_take(&schedule, now, &due));
	ck_assert_uint_eq(schedule_behind(&schedule, now + 1), 0);
}
END_TEST

START_TEST(nothing_is_due_at_the_end_or_later)
{
	struct schedule schedule;
	uint64_t due;
	unsigned taken = 0;

	schedule_init(&schedule, start, start + second, 100);
	while (schedule_take(&schedule, start + 10 * second, &due))
		taken++;
	ck_assert_uint_eq(taken, 100);
	ck_assert_uint_eq(schedule_behind(&schedule, start + 10 * second), 0);
}
END_TEST

START_TEST(taken_and_behind_are_always_all_that_was_due)
{
	for (unsigned round = 0; round < 200; round++) {
		double rate = 0.5 + (double)random_below(3000000) / 7;
		uint64_t end = start + 1 + random_below(second);
		struct schedule schedule;
		uint64_t now = start, due, all = 0;

		schedule_init(&schedule, start, end, rate);
		while (schedule_take(&schedule, end, &due))
			all++;
		schedule_init(&schedule, start, end, rate);
		while (now < end) {
			uint64_t most = random_below(1000);

			while (most-- && schedule_take(&schedule, now, &due))
				quick_assert(due <= now && due < end);
			now += random_below(second / 50);
		}
		ck_assert_uint_eq(schedule.taken + schedule_behind(&schedule, end), all);
	}
}
END_TEST

START_TEST(long_runs_do_not_drift)
{
	struct schedule schedule;
	uint64_t hour = 3600 * second;

	schedule_init(&schedule, start, start + 2 * hour, 300000);
	schedule.taken = UINT64_C(300000) * 3600;
	ck_assert_uint_le(schedule_next_ns(&schedule), start + hour + 1000);
	ck_assert_uint_ge(schedule_next_ns(&schedule), start + hour - 1000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("schedule");
	TCase *tcase = suite_case(suite, "schedule");

	tcase_add_test(tcase, nothing_is_due_before_its_time);
	tcase_add_test(tcase, stall_leaves_calls_due_at_their_own_times);
	tcase_add_test(tcase, nothing_is_due_at_the_end_or_later);
	tcase_add_test(tcase, taken_and_behind_are_always_all_that_was_due);
	tcase_add_test(tcase, long_runs_do_not_drift);
	return suite_run(suite);
}
