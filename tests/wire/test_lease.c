/* Who holds, who waits and who is next, one operation at a time. What many of them make of it is
 * the simulator's to find out (tests/sim). */

#include "support/failing_alloc.h"
#include "support/suite.h"
#include "wire/lease.h"
#include <errno.h>
#include <string.h>

enum { PARTIES = 6, FIRST = 100 };

static struct hawser__lease_table table;
static struct hawser__lease_resource *device;
static struct hawser__lease_party parties[PARTIES];
static struct hawser__lease leases[PARTIES];
static uint64_t now_ms;

static void start(unsigned max_holders, unsigned max_waiting)
{
	now_ms = 0;
	hawser__lease_table_init(&table);
	ck_assert_int_eq(
		hawser__lease_add(&table, "demo.Device", max_holders, max_waiting, FIRST, &device),
		0);
	for (size_t i = 0; i < PARTIES; i++) {
		hawser__lease_party_init(&parties[i]);
		hawser__lease_init(&leases[i]);
	}
}

static void stop(void)
{
	for (size_t i = 0; i < PARTIES; i++) {
		hawser__lease_leave(&leases[i], now_ms);
		while (leases[i].n_running)
			hawser__lease_end_call(&leases[i], now_ms);
		ck_assert_int_eq(leases[i].state, HAWSER__LEASE_OVER);
		ck_assert(hawser__list_empty(&parties[i].leases));
	}
	ck_assert_uint_eq(device->n_holders, 0);
	ck_assert_uint_eq(device->n_waiting, 0);
	ck_assert(hawser__list_empty(&device->holders));
	ck_assert(hawser__list_empty(&device->waiters));
	while (hawser__lease_news(&table))
		;
	hawser__lease_table_deinit(&table);
}

static int ask(size_t who)
{
	return hawser__lease_request(&leases[who], device, &parties[who], true, now_ms);
}

static void ask_all(size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		ck_assert_int_eq(ask(i), 0);
}

static void forget_news(void)
{
	while (hawser__lease_news(&table))
		;
}

#define assert_holds(who, number)                                         \
	do {                                                              \
		ck_assert_int_eq(leases[who].state, HAWSER__LEASE_HELD);  \
		ck_assert_uint_eq(leases[who].fencing, FIRST + (number)); \
		ck_assert_uint_eq(leases[who].position, 0);               \
	} while (0)

#define assert_waits(who, place)                                            \
	do {                                                                \
		ck_assert_int_eq(leases[who].state, HAWSER__LEASE_WAITING); \
		ck_assert_uint_eq(leases[who].position, place);             \
		ck_assert_uint_eq(leases[who].fencing, 0);                  \
	} while (0)

#define assert_over(who, why)                                            \
	do {                                                             \
		ck_assert_int_eq(leases[who].state, HAWSER__LEASE_OVER); \
		ck_assert_int_eq(leases[who].end, HAWSER__LEASE_##why);  \
		ck_assert_ptr_null(leases[who].party);                   \
	} while (0)

/* ---- resources ---- */

START_TEST(resources_are_found_by_name)
{
	struct hawser__lease_resource *other = NULL;

	start(1, 1);
	ck_assert_int_eq(hawser__lease_add(&table, "demo.Other", 1, 1, 1, &other), 0);
	ck_assert_ptr_eq(hawser__lease_find(&table, "demo.Device"), device);
	ck_assert_ptr_eq(hawser__lease_find(&table, "demo.Other"), other);
	ck_assert_ptr_null(hawser__lease_find(&table, "demo.Devic"));
	ck_assert_ptr_null(hawser__lease_find(&table, ""));
	stop();
}
END_TEST

START_TEST(resource_that_exists_or_has_no_room_is_refused)
{
	struct hawser__lease_resource *other = NULL;

	start(1, 1);
	ck_assert_int_eq(hawser__lease_add(&table, "demo.Device", 1, 1, 1, &other), -EEXIST);
	ck_assert_int_eq(hawser__lease_add(&table, "demo.Other", 0, 1, 1, &other), -EINVAL);
	ck_assert_int_eq(hawser__lease_add(&table, "demo.Other", 1, 1, 0, &other), -EINVAL);
	ck_assert_ptr_null(other);
	stop();
}
END_TEST

static bool add_one(void *data)
{
	struct hawser__lease_table own;
	struct hawser__lease_resource *resource = NULL;
	int r;

	(void)data;
	hawser__lease_table_init(&own);
	r = hawser__lease_add(&own, "demo.Device", 1, 1, 1, &resource);
	ck_assert(r == 0 || (r == -ENOMEM && !resource));
	hawser__lease_table_deinit(&own);
	return r == 0;
}

START_TEST(resource_without_memory_is_refused)
{
	ck_assert_uint_eq(failing_alloc_each(add_one, NULL), 1);
}
END_TEST

/* ---- the line ---- */

START_TEST(first_holds_and_others_wait_in_order)
{
	start(1, PARTIES);
	now_ms = 7;
	ask_all(0, 4);
	assert_holds(0, 0);
	assert_waits(1, 1);
	assert_waits(2, 2);
	assert_waits(3, 3);
	ck_assert_uint_eq(leases[2].since_ms, 7);
	stop();
}
END_TEST

START_TEST(released_lease_goes_to_the_first_in_line)
{
	start(1, PARTIES);
	ask_all(0, 4);
	now_ms = 5;
	hawser__lease_release(&leases[0], now_ms);
	assert_over(0, RELEASED);
	assert_holds(1, 1);
	ck_assert_uint_eq(leases[1].since_ms, 5);
	assert_waits(2, 1);
	assert_waits(3, 2);
	hawser__lease_leave(&leases[1], now_ms);
	assert_over(1, LEFT);
	assert_holds(2, 2);
	/* Who asks again is the last. */
	ck_assert_int_eq(ask(0), 0);
	assert_waits(0, 2);
	stop();
}
END_TEST

START_TEST(who_leaves_the_line_lets_the_others_move_up)
{
	start(1, PARTIES);
	ask_all(0, 5);
	hawser__lease_leave(&leases[2], now_ms);
	assert_over(2, LEFT);
	assert_waits(1, 1);
	assert_waits(3, 2);
	assert_waits(4, 3);
	hawser__lease_release(&leases[1], now_ms);
	assert_over(1, RELEASED);
	assert_waits(3, 1);
	stop();
}
END_TEST

START_TEST(so_many_hold_as_there_is_room_for)
{
	start(3, PARTIES);
	ask_all(0, 5);
	for (size_t i = 0; i < 3; i++)
		assert_holds(i, i);
	assert_waits(3, 1);
	hawser__lease_leave(&leases[1], now_ms);
	assert_holds(3, 3);
	assert_waits(4, 1);
	stop();
}
END_TEST

START_TEST(line_that_is_full_is_not_joined)
{
	uint64_t tickets;

	start(1, 2);
	ask_all(0, 3);
	tickets = table.last_ticket;
	ck_assert_int_eq(ask(3), -EBUSY);
	ck_assert_int_eq(leases[3].state, HAWSER__LEASE_OVER);
	ck_assert(hawser__list_empty(&parties[3].leases));
	ck_assert_uint_eq(table.last_ticket, tickets);
	hawser__lease_leave(&leases[2], now_ms);
	ck_assert_int_eq(ask(3), 0);
	assert_waits(3, 2);
	stop();
}
END_TEST

START_TEST(without_a_line_a_free_place_is_had_all_the_same)
{
	start(1, 0);
	ask_all(0, 1);
	ck_assert_int_eq(ask(1), -EBUSY);
	hawser__lease_leave(&leases[0], now_ms);
	ck_assert_int_eq(ask(1), 0);
	assert_holds(1, 1);
	stop();
}
END_TEST

START_TEST(party_has_one_standing_lease_and_any_number_for_calls)
{
	struct hawser__lease again, calls[2];

	start(1, PARTIES);
	hawser__lease_init(&again);
	ask_all(0, 2);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(hawser__lease_request(&again, device, &parties[i], true, now_ms),
				 -EALREADY);
		ck_assert_ptr_eq(hawser__lease_of(device, &parties[i]), &leases[i]);
		hawser__lease_init(&calls[i]);
		ck_assert_int_eq(
			hawser__lease_request(&calls[i], device, &parties[2], false, now_ms), 0);
		ck_assert_uint_eq(calls[i].position, 2 + i);
	}
	ck_assert_ptr_null(hawser__lease_of(device, &parties[2]));
	for (size_t i = 0; i < 2; i++)
		hawser__lease_leave(&calls[i], now_ms);
	stop();
}
END_TEST

START_TEST(leases_are_found_by_ticket)
{
	start(1, PARTIES);
	ask_all(0, 3);
	for (size_t i = 0; i < 3; i++) {
		ck_assert_uint_eq(leases[i].ticket, i + 1);
		ck_assert_ptr_eq(hawser__lease_by_ticket(device, i + 1), &leases[i]);
	}
	ck_assert_ptr_null(hawser__lease_by_ticket(device, 4));
	hawser__lease_leave(&leases[1], now_ms);
	ck_assert_ptr_null(hawser__lease_by_ticket(device, 2));
	stop();
}
END_TEST

/* ---- away ---- */

START_TEST(holder_that_is_away_stays_holder)
{
	start(1, PARTIES);
	ask_all(0, 2);
	hawser__lease_set_away(&parties[0], true, now_ms);
	assert_holds(0, 0);
	assert_waits(1, 1);
	hawser__lease_set_away(&parties[0], false, now_ms);
	assert_holds(0, 0);
	stop();
}
END_TEST

START_TEST(waiter_that_is_away_is_passed_over_and_keeps_its_place)
{
	start(1, PARTIES);
	ask_all(0, 4);
	hawser__lease_set_away(&parties[1], true, now_ms);
	assert_waits(1, 1);
	hawser__lease_leave(&leases[0], now_ms);
	assert_holds(2, 1);
	assert_waits(1, 1);
	assert_waits(3, 2);
	hawser__lease_set_away(&parties[1], false, now_ms);
	hawser__lease_leave(&leases[2], now_ms);
	assert_holds(1, 2);
	stop();
}
END_TEST

START_TEST(who_comes_back_to_a_free_place_has_it)
{
	start(1, PARTIES);
	ask_all(0, 2);
	hawser__lease_set_away(&parties[1], true, now_ms);
	hawser__lease_leave(&leases[0], now_ms);
	assert_waits(1, 1);
	ck_assert_uint_eq(device->n_holders, 0);
	hawser__lease_set_away(&parties[1], false, now_ms);
	assert_holds(1, 1);
	stop();
}
END_TEST

START_TEST(newcomer_passes_those_who_are_away)
{
	start(1, 1);
	ask_all(0, 2);
	hawser__lease_set_away(&parties[1], true, now_ms);
	hawser__lease_leave(&leases[0], now_ms);
	/* Although the line is full. */
	ck_assert_int_eq(ask(2), 0);
	assert_holds(2, 1);
	assert_waits(1, 1);
	stop();
}
END_TEST

START_TEST(who_asks_while_away_waits)
{
	start(1, 1);
	hawser__lease_set_away(&parties[0], true, now_ms);
	hawser__lease_set_away(&parties[1], true, now_ms);
	ck_assert_int_eq(ask(0), 0);
	assert_waits(0, 1);
	ck_assert_int_eq(ask(1), -EBUSY);
	hawser__lease_set_away(&parties[0], false, now_ms);
	assert_holds(0, 0);
	stop();
}
END_TEST

/* ---- handing over, and by force ---- */

START_TEST(handed_over_lease_passes_the_line)
{
	start(1, PARTIES);
	ask_all(0, 4);
	ck_assert_int_eq(hawser__lease_hand_over(&leases[0], &leases[2], now_ms), 0);
	assert_over(0, HANDED_OVER);
	assert_holds(2, 1);
	assert_waits(1, 1);
	assert_waits(3, 2);
	stop();
}
END_TEST

START_TEST(only_a_lease_that_is_held_goes_to_one_that_waits)
{
	struct hawser__lease_resource *other = NULL;
	struct hawser__lease elsewhere;

	start(2, PARTIES);
	ask_all(0, 4);
	ck_assert_int_eq(hawser__lease_add(&table, "demo.Other", 1, 1, 1, &other), 0);
	hawser__lease_init(&elsewhere);
	ck_assert_int_eq(hawser__lease_request(&elsewhere, other, &parties[0], true, now_ms), 0);
	ck_assert_int_eq(hawser__lease_hand_over(&leases[0], &leases[1], now_ms), -EINVAL);
	ck_assert_int_eq(hawser__lease_hand_over(&leases[2], &leases[3], now_ms), -EINVAL);
	ck_assert_int_eq(hawser__lease_hand_over(&leases[0], &leases[4], now_ms), -EINVAL);
	ck_assert_int_eq(hawser__lease_hand_over(&elsewhere, &leases[2], now_ms), -EINVAL);
	hawser__lease_leave(&elsewhere, now_ms);
	stop();
}
END_TEST

START_TEST(forced_lease_passes_on_whatever_runs_under_it)
{
	start(1, PARTIES);
	ask_all(0, 2);
	hawser__lease_begin_call(&leases[0]);
	hawser__lease_force(&leases[0], now_ms);
	assert_over(0, FORCED);
	assert_holds(1, 1);
	hawser__lease_end_call(&leases[0], now_ms);
	assert_holds(1, 1);
	/* Who waits has nothing that could be taken away. */
	ck_assert_int_eq(ask(2), 0);
	hawser__lease_force(&leases[2], now_ms);
	assert_waits(2, 1);
	stop();
}
END_TEST

/* ---- calls ---- */

START_TEST(place_is_free_when_the_last_call_under_it_has_ended)
{
	start(1, PARTIES);
	ask_all(0, 2);
	hawser__lease_begin_call(&leases[0]);
	hawser__lease_begin_call(&leases[0]);
	hawser__lease_release(&leases[0], now_ms);
	ck_assert_int_eq(leases[0].state, HAWSER__LEASE_SETTLING);
	ck_assert_ptr_null(hawser__lease_of(device, &parties[0]));
	assert_waits(1, 1);
	hawser__lease_end_call(&leases[0], now_ms);
	assert_waits(1, 1);
	hawser__lease_end_call(&leases[0], now_ms);
	assert_over(0, RELEASED);
	assert_holds(1, 1);
	stop();
}
END_TEST

START_TEST(lease_that_settles_can_be_forced)
{
	start(1, PARTIES);
	ask_all(0, 2);
	hawser__lease_begin_call(&leases[0]);
	hawser__lease_leave(&leases[0], now_ms);
	forget_news();
	hawser__lease_force(&leases[0], now_ms);
	assert_over(0, LEFT);
	assert_holds(1, 1);
	/* Its calls are news. */
	ck_assert_ptr_eq(hawser__lease_news(&table), &leases[0]);
	ck_assert_uint_eq(leases[0].n_running, 1);
	stop();
}
END_TEST

START_TEST(heir_waits_for_the_calls_and_then_is_the_next)
{
	start(1, PARTIES);
	ask_all(0, 3);
	hawser__lease_begin_call(&leases[0]);
	ck_assert_int_eq(hawser__lease_hand_over(&leases[0], &leases[2], now_ms), 0);
	assert_waits(2, 2);
	hawser__lease_end_call(&leases[0], now_ms);
	assert_holds(2, 1);
	assert_waits(1, 1);
	stop();
}
END_TEST

START_TEST(heir_that_leaves_makes_room_for_the_first_in_line)
{
	start(1, PARTIES);
	ask_all(0, 3);
	hawser__lease_begin_call(&leases[0]);
	ck_assert_int_eq(hawser__lease_hand_over(&leases[0], &leases[2], now_ms), 0);
	hawser__lease_leave(&leases[2], now_ms);
	hawser__lease_end_call(&leases[0], now_ms);
	assert_holds(1, 1);
	stop();
}
END_TEST

START_TEST(heir_that_got_another_place_leaves_its_own_to_the_line)
{
	start(2, PARTIES);
	ask_all(0, 4);
	hawser__lease_begin_call(&leases[0]);
	hawser__lease_begin_call(&leases[1]);
	/* Twice the same one; the first place that is free is its. */
	ck_assert_int_eq(hawser__lease_hand_over(&leases[0], &leases[3], now_ms), 0);
	ck_assert_int_eq(hawser__lease_hand_over(&leases[1], &leases[3], now_ms), 0);
	hawser__lease_end_call(&leases[1], now_ms);
	assert_holds(3, 2);
	assert_waits(2, 1);
	hawser__lease_end_call(&leases[0], now_ms);
	assert_holds(2, 3);
	stop();
}
END_TEST

/* ---- news ---- */

START_TEST(news_of_each_change_is_told_once_and_says_what_is_now)
{
	start(1, PARTIES);
	ask_all(0, 4);
	for (size_t i = 0; i < 4; i++)
		ck_assert_ptr_eq(hawser__lease_news(&table), &leases[i]);
	ck_assert_ptr_null(hawser__lease_news(&table));
	hawser__lease_release(&leases[0], now_ms);
	hawser__lease_release(&leases[1], now_ms);
	/* Three changes of the last one are one piece of news. */
	ck_assert_ptr_eq(hawser__lease_news(&table), &leases[0]);
	ck_assert_ptr_eq(hawser__lease_news(&table), &leases[1]);
	ck_assert_ptr_eq(hawser__lease_news(&table), &leases[2]);
	ck_assert_ptr_eq(hawser__lease_news(&table), &leases[3]);
	ck_assert_ptr_null(hawser__lease_news(&table));
	assert_holds(2, 2);
	assert_waits(3, 1);
	hawser__lease_repeat(&leases[3]);
	hawser__lease_repeat(&leases[3]);
	ck_assert_ptr_eq(hawser__lease_news(&table), &leases[3]);
	ck_assert_ptr_null(hawser__lease_news(&table));
	stop();
}
END_TEST

START_TEST(who_leaves_is_told_nothing)
{
	start(1, PARTIES);
	ask_all(0, 3);
	hawser__lease_leave(&leases[0], now_ms);
	hawser__lease_leave(&leases[2], now_ms);
	hawser__lease_leave(&leases[2], now_ms);
	ck_assert_ptr_eq(hawser__lease_news(&table), &leases[1]);
	ck_assert_ptr_null(hawser__lease_news(&table));
	hawser__lease_repeat(&leases[1]);
	hawser__lease_hear(&leases[1]);
	ck_assert_ptr_null(hawser__lease_news(&table));
	stop();
}
END_TEST

START_TEST(what_is_over_is_not_changed_any_more)
{
	start(1, PARTIES);
	ask_all(0, 2);
	hawser__lease_force(&leases[0], now_ms);
	hawser__lease_release(&leases[0], now_ms);
	hawser__lease_force(&leases[0], now_ms);
	ck_assert_int_eq(hawser__lease_hand_over(&leases[0], &leases[1], now_ms), -EINVAL);
	assert_over(0, FORCED);
	assert_holds(1, 1);
	ck_assert_uint_eq(device->n_holders, 1);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire/lease");
	TCase *tcase = suite_case(suite, "resources");

	tcase_add_test(tcase, resources_are_found_by_name);
	tcase_add_test(tcase, resource_that_exists_or_has_no_room_is_refused);
	tcase_add_test(tcase, resource_without_memory_is_refused);

	tcase = suite_case(suite, "line");
	tcase_add_test(tcase, first_holds_and_others_wait_in_order);
	tcase_add_test(tcase, released_lease_goes_to_the_first_in_line);
	tcase_add_test(tcase, who_leaves_the_line_lets_the_others_move_up);
	tcase_add_test(tcase, so_many_hold_as_there_is_room_for);
	tcase_add_test(tcase, line_that_is_full_is_not_joined);
	tcase_add_test(tcase, without_a_line_a_free_place_is_had_all_the_same);
	tcase_add_test(tcase, party_has_one_standing_lease_and_any_number_for_calls);
	tcase_add_test(tcase, leases_are_found_by_ticket);

	tcase = suite_case(suite, "away");
	tcase_add_test(tcase, holder_that_is_away_stays_holder);
	tcase_add_test(tcase, waiter_that_is_away_is_passed_over_and_keeps_its_place);
	tcase_add_test(tcase, who_comes_back_to_a_free_place_has_it);
	tcase_add_test(tcase, newcomer_passes_those_who_are_away);
	tcase_add_test(tcase, who_asks_while_away_waits);

	tcase = suite_case(suite, "hand over and force");
	tcase_add_test(tcase, handed_over_lease_passes_the_line);
	tcase_add_test(tcase, only_a_lease_that_is_held_goes_to_one_that_waits);
	tcase_add_test(tcase, forced_lease_passes_on_whatever_runs_under_it);

	tcase = suite_case(suite, "calls");
	tcase_add_test(tcase, place_is_free_when_the_last_call_under_it_has_ended);
	tcase_add_test(tcase, lease_that_settles_can_be_forced);
	tcase_add_test(tcase, heir_waits_for_the_calls_and_then_is_the_next);
	tcase_add_test(tcase, heir_that_leaves_makes_room_for_the_first_in_line);
	tcase_add_test(tcase, heir_that_got_another_place_leaves_its_own_to_the_line);

	tcase = suite_case(suite, "news");
	tcase_add_test(tcase, news_of_each_change_is_told_once_and_says_what_is_now);
	tcase_add_test(tcase, who_leaves_is_told_nothing);
	tcase_add_test(tcase, what_is_over_is_not_changed_any_more);
	return suite_run(suite);
}
