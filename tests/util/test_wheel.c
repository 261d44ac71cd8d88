/* The timing wheel against a plain array of deadlines, in virtual time. */

#include "support/random.h"
#include "support/suite.h"
#include "util/wheel.h"

enum { TIMERS = 150 };

static struct hawser__wheel wheel;
static struct hawser__timer timers[TIMERS];

static void start(uint64_t now_ms)
{
	hawser__wheel_init(&wheel, now_ms);
	for (int i = 0; i < TIMERS; i++)
		hawser__timer_init(&timers[i]);
}

START_TEST(wheel_without_timers_has_nothing_due)
{
	start(12345);
	ck_assert_uint_eq(hawser__wheel_next_ms(&wheel), UINT64_MAX);
	ck_assert_ptr_null(hawser__wheel_due(&wheel, 12345));
	ck_assert_ptr_null(hawser__wheel_due(&wheel, UINT64_MAX));
}
END_TEST

START_TEST(wheel_serves_at_the_millisecond)
{
	start(1000);
	for (uint64_t after = 1; after < 5000; after += 3) {
		uint64_t now = wheel.now_tick * HAWSER__WHEEL_TICK_MS + 3;

		hawser__wheel_set(&wheel, &timers[0], now + after);
		quick_assert(hawser__wheel_next_ms(&wheel) == now + after);
		quick_assert(!hawser__wheel_due(&wheel, now + after - 1));
		quick_assert(hawser__wheel_due(&wheel, now + after) == &timers[0]);
		quick_assert(!hawser__timer_is_set(&timers[0]));
		quick_assert(!hawser__wheel_due(&wheel, now + after));
	}
}
END_TEST

START_TEST(wheel_serves_the_past_at_once)
{
	start(1003);
	hawser__wheel_set(&wheel, &timers[0], 0);
	hawser__wheel_set(&wheel, &timers[1], 1003);
	ck_assert_uint_le(hawser__wheel_next_ms(&wheel), 1003);
	ck_assert_ptr_nonnull(hawser__wheel_due(&wheel, 1003));
	ck_assert_ptr_nonnull(hawser__wheel_due(&wheel, 1003));
	ck_assert_ptr_null(hawser__wheel_due(&wheel, 1003));
}
END_TEST

START_TEST(wheel_serves_deadlines_many_turns_away)
{
	const uint64_t turn = HAWSER__WHEEL_SLOTS * HAWSER__WHEEL_TICK_MS;

	start(0);
	hawser__wheel_set(&wheel, &timers[0], 100 * turn + 5);
	hawser__wheel_set(&wheel, &timers[1], UINT64_MAX);
	for (uint64_t now = 0; now < 100 * turn + 5; now += turn / 3)
		ck_assert_ptr_null(hawser__wheel_due(&wheel, now));
	ck_assert_uint_eq(hawser__wheel_next_ms(&wheel), 100 * turn + 5);
	ck_assert_ptr_eq(hawser__wheel_due(&wheel, 100 * turn + 5), &timers[0]);
	ck_assert_uint_eq(hawser__wheel_next_ms(&wheel), UINT64_MAX);
	ck_assert(hawser__timer_is_set(&timers[1]));
	ck_assert_ptr_eq(hawser__wheel_due(&wheel, UINT64_MAX), &timers[1]);
}
END_TEST

START_TEST(wheel_ignores_time_that_goes_back)
{
	start(10000);
	hawser__wheel_set(&wheel, &timers[0], 10050);
	ck_assert_ptr_null(hawser__wheel_due(&wheel, 9000));
	ck_assert_ptr_null(hawser__wheel_due(&wheel, 10049));
	ck_assert_ptr_null(hawser__wheel_due(&wheel, 0));
	ck_assert_ptr_eq(hawser__wheel_due(&wheel, 10050), &timers[0]);
}
END_TEST

START_TEST(wheel_moves_a_timer_that_is_set_again)
{
	start(0);
	hawser__wheel_set(&wheel, &timers[0], 100);
	hawser__wheel_set(&wheel, &timers[0], 300);
	ck_assert_uint_eq(wheel.count, 1);
	ck_assert_ptr_null(hawser__wheel_due(&wheel, 299));
	ck_assert_ptr_eq(hawser__wheel_due(&wheel, 300), &timers[0]);
	ck_assert_uint_eq(wheel.count, 0);
}
END_TEST

START_TEST(wheel_clears_a_timer_that_is_due_already)
{
	start(0);
	for (int i = 0; i < 3; i++)
		hawser__wheel_set(&wheel, &timers[i], 100);
	ck_assert_ptr_eq(hawser__wheel_due(&wheel, 100), &timers[0]);
	hawser__wheel_clear(&wheel, &timers[1]);
	hawser__wheel_clear(&wheel, &timers[1]);
	ck_assert_uint_le(hawser__wheel_next_ms(&wheel), 100);
	ck_assert_ptr_eq(hawser__wheel_due(&wheel, 100), &timers[2]);
	ck_assert_ptr_null(hawser__wheel_due(&wheel, 100));
	ck_assert_uint_eq(wheel.count, 0);
}
END_TEST

/* UINT64_MAX: not set. */
static uint64_t model[TIMERS];

static uint64_t model_next(void)
{
	uint64_t earliest = UINT64_MAX;

	for (int i = 0; i < TIMERS; i++)
		if (model[i] < earliest)
			earliest = model[i];
	return earliest;
}

static uint64_t random_delay(void)
{
	switch (random_below(6)) {
	case 0:
		return random_below(10);
	case 1:
		return random_below(100);
	case 2:
		return random_below(HAWSER__WHEEL_SLOTS * HAWSER__WHEEL_TICK_MS);
	case 3:
		return random_below(60000);
	case 4:
		return HAWSER__WHEEL_SLOTS * HAWSER__WHEEL_TICK_MS * random_below(3);
	default:
		return random_below(10000000);
	}
}

static void set_or_clear(uint64_t now)
{
	uint64_t i = random_below(TIMERS);

	if (random_one_in(3)) {
		hawser__wheel_clear(&wheel, &timers[i]);
		model[i] = UINT64_MAX;
	} else {
		model[i] = now + random_delay();
		if (random_one_in(10))
			model[i] = now - random_below(now);
		hawser__wheel_set(&wheel, &timers[i], model[i]);
	}
	quick_assert(hawser__timer_is_set(&timers[i]) == (model[i] != UINT64_MAX));
}

/* Serves what is due; on the way timers are set and cleared, as callbacks do. */
static void serve(uint64_t now)
{
	struct hawser__timer *timer;

	while ((timer = hawser__wheel_due(&wheel, now))) {
		ptrdiff_t i = timer - timers;

		if (model[i] == UINT64_MAX)
			ck_abort_msg("a timer that is not set was served");
		if (model[i] > now)
			ck_abort_msg("a timer was served early");
		quick_assert(!hawser__timer_is_set(timer));
		model[i] = UINT64_MAX;
		if (random_one_in(4))
			set_or_clear(now);
	}
	if (model_next() <= now)
		ck_abort_msg("a timer was served late or lost");
}

START_TEST(wheel_is_never_early_nor_late_and_loses_none)
{
	unsigned long steps = suite_rounds(3000000);
	uint64_t now = 1000000 + random_below(1000);

	start(now);
	for (int i = 0; i < TIMERS; i++)
		model[i] = UINT64_MAX;
	for (unsigned long step = 0; step < steps; step++) {
		uint64_t next, expected;
		unsigned set = 0;

		if (!random_one_in(8)) {
			set_or_clear(now);
			continue;
		}
		next = hawser__wheel_next_ms(&wheel);
		expected = model_next();
		if (expected > now || expected == UINT64_MAX)
			quick_assert(next == expected);
		else
			quick_assert(next <= now);
		/* As a loop does: sleep until the next one, or wake up for something else. */
		if (random_one_in(2) && next != UINT64_MAX)
			now = next > now ? next : now;
		else
			now += random_delay();
		serve(now);
		for (int i = 0; i < TIMERS; i++)
			set += model[i] != UINT64_MAX;
		quick_assert(wheel.count == set);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("util/wheel");
	TCase *tcase = suite_case(suite, "wheel");

	tcase_add_test(tcase, wheel_without_timers_has_nothing_due);
	tcase_add_test(tcase, wheel_serves_at_the_millisecond);
	tcase_add_test(tcase, wheel_serves_the_past_at_once);
	tcase_add_test(tcase, wheel_serves_deadlines_many_turns_away);
	tcase_add_test(tcase, wheel_ignores_time_that_goes_back);
	tcase_add_test(tcase, wheel_moves_a_timer_that_is_set_again);
	tcase_add_test(tcase, wheel_clears_a_timer_that_is_due_already);
	tcase_add_test(tcase, wheel_is_never_early_nor_late_and_loses_none);
	return suite_run(suite);
}
