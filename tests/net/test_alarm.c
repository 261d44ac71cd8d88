/* Alarms: in order, never early, and whatever else the loop has to do. */

#include "net/loop.h"
#include "support/random.h"
#include "support/suite.h"
#include <string.h>

static struct hawser__loop loop;
static char story[64];

static void start(void)
{
	ck_assert_int_eq(hawser__loop_init(&loop, NULL), 0);
}

static void stop(void)
{
	hawser__loop_deinit(&loop);
}

/* Runs the loop until someone ends it. */
static void run(void)
{
	ck_assert_int_ge(event_base_loop(loop.base, EVLOOP_NO_EXIT_ON_EMPTY), 0);
}

static void end_run(void)
{
	event_base_loopbreak(loop.base);
}

static void tell(const char *event)
{
	strcat(story, event);
}

struct named_alarm {
	struct hawser__alarm alarm;
	const char *name;
	uint64_t due_ms;
	unsigned again; /* how often it sets itself */
};

static unsigned alarms_left;

static void on_alarm(struct hawser__alarm *alarm)
{
	struct named_alarm *named = (struct named_alarm *)alarm;

	ck_assert_uint_ge(hawser__now_ms(), named->due_ms);
	ck_assert_uint_ge(loop.now_ms, named->due_ms);
	tell(named->name);
	if (named->again) {
		named->again--;
		named->due_ms = loop.now_ms + 1;
		hawser__loop_set_alarm(&loop, alarm, named->due_ms);
	} else if (--alarms_left == 0) {
		end_run();
	}
}

static void set(struct named_alarm *named, const char *name, uint64_t after_ms)
{
	hawser__alarm_init(&named->alarm, on_alarm);
	named->name = name;
	named->again = 0;
	named->due_ms = hawser__now_ms() + after_ms;
	hawser__loop_set_alarm(&loop, &named->alarm, named->due_ms);
	alarms_left++;
}

static void start_alarms(void)
{
	*story = '\0';
	alarms_left = 0;
	hawser__loop_update_now(&loop);
}

START_TEST(alarms_ring_in_order_and_not_early)
{
	struct named_alarm alarms[5];

	start_alarms();
	set(&alarms[0], "D", 60);
	set(&alarms[1], "A", 10);
	set(&alarms[2], "C", 40);
	set(&alarms[3], "B", 25);
	set(&alarms[4], "E", 75);
	run();
	ck_assert_str_eq(story, "ABCDE");
}
END_TEST

START_TEST(alarms_of_every_millisecond_are_not_early)
{
	enum { COUNT = 60 };
	struct named_alarm alarms[COUNT];

	start_alarms();
	for (size_t i = 0; i < COUNT; i++)
		set(&alarms[i], "", random_below(COUNT));
	run();
	ck_assert_uint_eq(alarms_left, 0);
}
END_TEST

START_TEST(alarm_of_the_past_rings_at_once)
{
	struct named_alarm alarm;

	start_alarms();
	set(&alarm, "A", 0);
	alarm.due_ms = 0;
	hawser__loop_set_alarm(&loop, &alarm.alarm, 0);
	run();
	ck_assert_str_eq(story, "A");
}
END_TEST

START_TEST(early_alarm_does_not_wait_for_one_that_was_set_before)
{
	struct named_alarm alarms[2];

	start_alarms();
	set(&alarms[0], "late", 3600 * 1000);
	set(&alarms[1], "early", 5);
	alarms_left = 1;
	run();
	ck_assert_str_eq(story, "early");
	hawser__loop_clear_alarm(&loop, &alarms[0].alarm);
}
END_TEST

START_TEST(alarm_that_is_cleared_does_not_ring)
{
	struct named_alarm alarms[3];

	start_alarms();
	set(&alarms[0], "A", 5);
	set(&alarms[1], "B", 15);
	set(&alarms[2], "C", 30);
	hawser__loop_clear_alarm(&loop, &alarms[0].alarm);
	hawser__loop_clear_alarm(&loop, &alarms[1].alarm);
	hawser__loop_clear_alarm(&loop, &alarms[1].alarm);
	alarms_left -= 2;
	run();
	ck_assert_str_eq(story, "C");
}
END_TEST

START_TEST(alarm_can_be_moved_both_ways)
{
	struct named_alarm alarms[3];

	start_alarms();
	set(&alarms[0], "A", 10);
	set(&alarms[1], "B", 30);
	set(&alarms[2], "C", 50);
	alarms[0].due_ms += 60;
	hawser__loop_set_alarm(&loop, &alarms[0].alarm, alarms[0].due_ms);
	alarms[2].due_ms -= 45;
	hawser__loop_set_alarm(&loop, &alarms[2].alarm, alarms[2].due_ms);
	run();
	ck_assert_str_eq(story, "CBA");
}
END_TEST

START_TEST(alarm_may_set_itself_and_others_while_it_rings)
{
	struct named_alarm alarm;

	start_alarms();
	set(&alarm, "A", 1);
	alarm.again = 4;
	run();
	ck_assert_str_eq(story, "AAAAA");
}
END_TEST

static void on_last(struct hawser__loop *where, struct hawser__post *post)
{
	(void)where;
	(void)post;
	end_run();
}

static struct hawser__post last_post = {.run = on_last};

static void on_endless(struct hawser__deferred *deferred)
{
	hawser__loop_defer(&loop, deferred);
}

START_TEST(work_that_defers_itself_for_ever_does_not_stop_posts_and_alarms)
{
	struct hawser__deferred endless = {.run = on_endless};
	struct named_alarm alarm;

	hawser__list_init(&endless.link);
	hawser__loop_defer(&loop, &endless);
	start_alarms();
	set(&alarm, "A", 5);
	run();
	ck_assert_str_eq(story, "A");
	ck_assert_int_eq(hawser__loop_post(&loop, &last_post), 0);
	run();
	hawser__list_unlink(&endless.link);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net-alarm");
	TCase *alarms = suite_case(suite, "alarms");

	tcase_add_checked_fixture(alarms, start, stop);
	tcase_add_test(alarms, alarms_ring_in_order_and_not_early);
	tcase_add_test(alarms, alarms_of_every_millisecond_are_not_early);
	tcase_add_test(alarms, alarm_of_the_past_rings_at_once);
	tcase_add_test(alarms, early_alarm_does_not_wait_for_one_that_was_set_before);
	tcase_add_test(alarms, alarm_that_is_cleared_does_not_ring);
	tcase_add_test(alarms, alarm_can_be_moved_both_ways);
	tcase_add_test(alarms, alarm_may_set_itself_and_others_while_it_rings);
	tcase_add_test(alarms, work_that_defers_itself_for_ever_does_not_stop_posts_and_alarms);
	return suite_run(suite);
}
