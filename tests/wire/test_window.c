/* Windows between a sender and a receiver, and what they grow to on a line of a known bandwidth and
 * delay. */

#include "support/random.h"
#include "support/suite.h"
#include "wire/window.h"
#include <stdlib.h>
#include <string.h>

enum { COST = 16 };

/* ---- windows ---- */

START_TEST(window_is_used_until_nothing_is_left_of_it)
{
	struct hawser__window window;

	hawser__window_init(&window, 1000);
	ck_assert(hawser__window_use(&window, 999));
	/* The last one may overdraw it. */
	ck_assert(hawser__window_use(&window, 5000));
	ck_assert_int_eq(window.left, 1000 - 999 - 5000);
	ck_assert(!hawser__window_use(&window, 1));
	ck_assert(!hawser__window_use(&window, 0));
	ck_assert_int_eq(window.left, 1000 - 999 - 5000);
	hawser__window_told(&window, 4999);
	ck_assert(!hawser__window_use(&window, 1));
	hawser__window_told(&window, 1);
	ck_assert(hawser__window_use(&window, 1));
}
END_TEST

START_TEST(window_is_given_back_in_parts_that_are_not_small)
{
	struct hawser__window window;
	size_t taken = 0, bytes, n = 0;

	hawser__window_init(&window, 100000);
	for (int i = 0; i < 1000; i++) {
		ck_assert(hawser__window_use(&window, 100));
		bytes = hawser__window_take(&window, 100, 100000);
		taken += 100;
		if (taken < 100000 / 8)
			ck_assert_uint_eq(bytes, 0);
		if (taken >= 100000 / 2)
			ck_assert_uint_eq(bytes, taken);
		if (!bytes)
			continue;
		ck_assert_uint_eq(bytes, taken);
		hawser__window_told(&window, bytes);
		taken = 0;
		n++;
	}
	ck_assert_uint_ge(n, 2);
	ck_assert_uint_le(n, 8);
}
END_TEST

/* A frame for each part; on a short line, where windows are small, also a wake-up of the sender. */
START_TEST(large_window_is_given_back_in_smaller_parts)
{
	static const struct {
		size_t size, part;
	} cases[] = {
		{100000, 50000},      {400000, 200000},   {600000, 256 << 10},
		{1 << 20, 256 << 10}, {4 << 20, 1 << 20}, {16 << 20, 4 << 20},
	};
	struct hawser__window window;
	size_t size = cases[_i].size, part = cases[_i].part;

	hawser__window_init(&window, size);
	ck_assert(hawser__window_use(&window, size));
	ck_assert_uint_eq(hawser__window_take(&window, part - 1, size), 0);
	ck_assert_uint_eq(hawser__window_take(&window, 1, size), part);
}
END_TEST

START_TEST(what_could_not_be_told_is_told_with_the_next)
{
	struct hawser__window window;

	hawser__window_init(&window, 1000);
	ck_assert(hawser__window_use(&window, 600));
	ck_assert_uint_eq(hawser__window_take(&window, 600, 1000), 600);
	/* Nobody could be told. */
	ck_assert(hawser__window_use(&window, 10));
	ck_assert_uint_eq(hawser__window_take(&window, 10, 1000), 610);
	hawser__window_told(&window, 610);
	ck_assert_int_eq(window.left, 1000);
	ck_assert_uint_eq(hawser__window_take(&window, 0, 1000), 0);
}
END_TEST

START_TEST(window_that_grows_is_given_back_with_its_growth)
{
	struct hawser__window window;
	size_t bytes;

	hawser__window_init(&window, 1000);
	ck_assert(hawser__window_use(&window, 10));
	bytes = hawser__window_take(&window, 10, 5000);
	ck_assert_uint_eq(bytes, 4010);
	hawser__window_told(&window, bytes);
	ck_assert_int_eq(window.left, 5000);
}
END_TEST

START_TEST(window_shrinks_by_what_is_not_given_back)
{
	struct hawser__window window;

	hawser__window_init(&window, 5000);
	ck_assert(hawser__window_use(&window, 1000));
	/* What the peer was allowed once stays allowed. */
	ck_assert_uint_eq(hawser__window_take(&window, 1000, 2000), 0);
	ck_assert_uint_eq(window.size, 4000);
	ck_assert_int_eq(window.left, 4000);
	ck_assert(hawser__window_use(&window, 3000));
	ck_assert_uint_eq(hawser__window_take(&window, 3000, 2000), 1000);
	ck_assert_uint_eq(window.size, 2000);
	hawser__window_told(&window, 1000);
	ck_assert_int_eq(window.left, 2000);
}
END_TEST

START_TEST(sender_whose_bytes_were_all_taken_may_send_again)
{
	for (unsigned long n = suite_rounds(2000); n--;) {
		size_t size = 1 + (size_t)random_below(random_one_in(2) ? 100 : 100000);
		size_t held = 0, bytes;
		struct hawser__window window;
		long long sender = (long long)size;

		hawser__window_init(&window, size);
		for (int i = 0; i < 200; i++) {
			size_t part = COST + (size_t)random_below(random_one_in(5) ? 70000 : 500);

			if (sender > 0 && random_one_in(2)) {
				quick_assert(hawser__window_use(&window, part));
				sender -= (long long)part;
				held += part;
			} else {
				part = random_one_in(2) ? held : (size_t)random_below(held + 1);
				if (random_one_in(20))
					size = 1 + (size_t)random_below(2 * size);
				bytes = hawser__window_take(&window, part, size);
				held -= part;
				if (bytes && !random_one_in(10)) {
					hawser__window_told(&window, bytes);
					sender += (long long)bytes;
				}
			}
			/* Nothing is lost between the two. */
			quick_assert(window.left == sender);
			quick_assert(window.left + (long long)(held + window.taken) ==
				     (long long)window.size);
		}
		bytes = hawser__window_take(&window, held, size);
		if (bytes)
			hawser__window_told(&window, bytes);
		quick_assert(window.left > 0);
	}
}
END_TEST

/* ---- a line ---- */

enum { LEAST = 256 << 10, MOST = 64 << 20, EVENTS = 1 << 16 };

struct event {
	uint64_t at_us;
	size_t bytes; /* of a message, or of the window that is given back; 0: a ping, or its pong
		       */
};

/* What is under way in one direction arrives in order. */
struct way {
	struct event events[EVENTS];
	size_t first, next;
};

/* A sender that always has something to say, and a receiver with one call and the line's window. */
static struct sim {
	double bytes_per_us;
	uint64_t delay_us, now_us;
	double free_us; /* when the line has passed on what was given to it */
	size_t message;
	struct way down, up;
	long long allowed;
	struct hawser__line line;
	struct hawser__window window;
	uint64_t came;
	size_t largest; /* of windows */
} sim;

static void add_event(struct way *way, uint64_t at_us, size_t bytes)
{
	quick_assert(way->next - way->first < EVENTS);
	way->events[way->next++ % EVENTS] = (struct event){at_us, bytes};
}

static void send_down(size_t bytes)
{
	if (sim.free_us < (double)sim.now_us)
		sim.free_us = (double)sim.now_us;
	sim.free_us += (double)(bytes ? bytes : 20) / sim.bytes_per_us;
	add_event(&sim.down, (uint64_t)sim.free_us + sim.delay_us, bytes);
}

static void send_messages(void)
{
	while (sim.allowed > 0) {
		send_down(sim.message);
		sim.allowed -= (long long)sim.message + COST;
	}
}

static void take_message(size_t length)
{
	size_t bytes;

	sim.came += length;
	quick_assert(hawser__window_use(&sim.window, length + COST));
	if (hawser__line_came(&sim.line, length) && hawser__line_probe(&sim.line, sim.now_us))
		add_event(&sim.up, sim.now_us + sim.delay_us, 0);
	bytes = hawser__window_take(&sim.window, length + COST, sim.line.size);
	if (!bytes)
		return;
	hawser__window_told(&sim.window, bytes);
	add_event(&sim.up, sim.now_us + sim.delay_us, bytes);
}

static bool is_next(const struct way *way, const struct way *other)
{
	return way->first != way->next &&
	       (other->first == other->next || way->events[way->first % EVENTS].at_us <=
						       other->events[other->first % EVENTS].at_us);
}

static void step(void)
{
	bool is_down = is_next(&sim.down, &sim.up);
	struct way *way = is_down ? &sim.down : &sim.up;
	struct event event = way->events[way->first % EVENTS];
	/* Else nothing happens any more. */
	quick_assert(way->first != way->next);
	way->first++;
	sim.now_us = event.at_us;
	if (is_down && event.bytes)
		take_message(event.bytes);
	else if (is_down)
		hawser__line_answered(&sim.line, sim.now_us);
	else if (event.bytes)
		sim.allowed += (long long)event.bytes;
	else
		send_down(0);
	quick_assert(sim.line.size <= sim.line.most);
	if (sim.line.size > sim.largest)
		sim.largest = sim.line.size;
}

static void sim_init(double megabytes_a_second, uint64_t rtt_us, size_t message, size_t least,
		     size_t most)
{
	memset(&sim, 0, sizeof sim);
	sim.bytes_per_us = megabytes_a_second;
	sim.delay_us = rtt_us / 2;
	sim.now_us = 1;
	sim.message = message;
	sim.allowed = (long long)least;
	hawser__line_init(&sim.line, least, most);
	hawser__window_init(&sim.window, least);
}

static void live(uint64_t until_us)
{
	while (sim.now_us < until_us) {
		send_messages();
		step();
	}
}

static double product(void)
{
	return sim.bytes_per_us * 2 * (double)sim.delay_us;
}

static const struct {
	double megabytes_a_second;
	uint64_t rtt_us;
} lines[] = {
	{1000, 1000},  {1000, 20000}, {125, 5000},    {125, 10000},
	{125, 100000}, {12.5, 50000}, {12.5, 200000}, {2.5, 300000},
};

static const size_t messages[] = {1000, 20000, 65472};

START_TEST(window_grows_to_a_few_times_what_the_line_holds_and_stops)
{
	uint64_t seconds = 1000000, came;

	sim_init(lines[_i / 3].megabytes_a_second, lines[_i / 3].rtt_us, messages[_i % 3], LEAST,
		 MOST);
	live(15 * seconds);
	came = sim.came;
	sim.largest = 0;
	live(20 * seconds);
	/* The sender hardly ever stands still, and what is urgent meets no long queue, not even
	 * while a larger window is tried. */
	ck_assert_msg((double)(sim.came - came) >= 0.7 * sim.bytes_per_us * 5 * (double)seconds,
		      "%.0f MB/s, %llu us, messages of %zu bytes: with a window of %zu bytes "
		      "for a product of %.0f, %.1f %% of the line are used",
		      sim.bytes_per_us, (unsigned long long)(2 * sim.delay_us), sim.message,
		      sim.line.size, product(),
		      (double)(sim.came - came) / sim.bytes_per_us / 5e6 * 100);
	ck_assert_msg((double)sim.largest <= 6 * product() || sim.largest <= 2 * LEAST,
		      "%.0f MB/s, %llu us, messages of %zu bytes: a window of %zu bytes is %.1f "
		      "times the product",
		      sim.bytes_per_us, (unsigned long long)(2 * sim.delay_us), sim.message,
		      sim.largest, (double)sim.largest / product());
}
END_TEST

/* Of what is taken the sender hears early enough to go on. */
START_TEST(lines_are_used_to_more_than_nine_tenths_on_the_whole)
{
	double used = 0, n = 0;

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		for (size_t k = 0; k < sizeof messages / sizeof *messages; k++, n++) {
			uint64_t came;

			sim_init(lines[i].megabytes_a_second, lines[i].rtt_us, messages[k], LEAST,
				 MOST);
			live(15 * 1000000);
			came = sim.came;
			live(20 * 1000000);
			used += (double)(sim.came - came) / sim.bytes_per_us / 5e6;
		}
	ck_assert_msg(used / n > 0.93, "it is %.1f %%", used / n * 100);
}
END_TEST

START_TEST(window_never_grows_above_the_most)
{
	static const size_t most[] = {LEAST, LEAST + 1, 1000000, 5000000};

	sim_init(125, 100000, 10000, LEAST, most[_i]);
	live(10 * 1000000);
	ck_assert_uint_eq(sim.line.size, most[_i]);
}
END_TEST

START_TEST(window_of_a_sender_with_little_to_say_stays)
{
	struct hawser__line line;
	uint64_t now_us = 1;

	hawser__line_init(&line, LEAST, MOST);
	for (int i = 0; i < 10000; i++) {
		/* A third of a window in each round trip. */
		now_us += 5000;
		if (hawser__line_came(&line, LEAST / 6) && hawser__line_probe(&line, now_us)) {
			hawser__line_came(&line, LEAST / 3);
			hawser__line_answered(&line, now_us += 10000);
		}
	}
	ck_assert_uint_eq(line.size, LEAST);
}
END_TEST

START_TEST(few_bytes_are_not_worth_a_probe)
{
	struct hawser__line line;

	hawser__line_init(&line, LEAST, MOST);
	ck_assert(!hawser__line_came(&line, 1000));
	for (size_t came = 1000; !hawser__line_came(&line, 1000); came += 1000)
		ck_assert_uint_lt(came, LEAST);
}
END_TEST

START_TEST(one_probe_is_on_its_way_at_a_time_and_few_when_nothing_is_new)
{
	struct hawser__line line;
	uint64_t now_us = 1;
	unsigned n = 0;

	hawser__line_init(&line, LEAST, MOST);
	/* A window in each millisecond, whatever the window, for a minute. */
	for (int i = 0; i < 60000; i++, now_us += 1000) {
		if (!hawser__line_came(&line, LEAST) || !hawser__line_probe(&line, now_us))
			continue;
		ck_assert(!hawser__line_came(&line, LEAST));
		hawser__line_answered(&line, now_us += 1000);
		n++;
	}
	ck_assert_uint_ge(n, 10);
	ck_assert_uint_le(n, 25 * 60);
	ck_assert_uint_le(line.size, 2 * LEAST);
}
END_TEST

START_TEST(pong_that_was_not_asked_for_changes_nothing)
{
	struct hawser__line line, before;

	hawser__line_init(&line, LEAST, MOST);
	hawser__line_came(&line, 10 * LEAST);
	before = line;
	hawser__line_answered(&line, 1000);
	ck_assert_mem_eq(&line, &before, sizeof line);
	ck_assert(hawser__line_probe(&line, 5000));
	hawser__line_came(&line, 10 * LEAST);
	hawser__line_lost(&line);
	/* It belonged to the connection before. */
	hawser__line_answered(&line, 6000);
	ck_assert_uint_eq(line.size, LEAST);
}
END_TEST

START_TEST(answer_in_no_time_is_survived)
{
	struct hawser__line line;

	hawser__line_init(&line, LEAST, MOST);
	/* A clock may stand still, or go back. */
	for (uint64_t now_us = 1000; now_us > 100; now_us -= 100) {
		hawser__line_came(&line, LEAST);
		if (!hawser__line_probe(&line, now_us))
			continue;
		hawser__line_came(&line, LEAST);
		hawser__line_answered(&line, now_us - 50);
	}
	ck_assert_uint_le(line.size, MOST);
}
END_TEST

START_TEST(window_stays_with_the_next_connection_and_may_grow_there)
{
	size_t before;

	sim_init(12.5, 50000, 10000, LEAST, MOST);
	live(5 * 1000000);
	before = sim.line.size;
	ck_assert_uint_gt(before, LEAST);
	/* Everything that was under way is lost; the next line is ten times as fast. */
	hawser__line_lost(&sim.line);
	sim.down.first = sim.down.next;
	sim.up.first = sim.up.next;
	sim.bytes_per_us *= 10;
	sim.free_us = 0;
	sim.allowed = (long long)before;
	hawser__window_init(&sim.window, before);
	live(15 * 1000000);
	ck_assert_uint_gt(sim.line.size, 2 * before);
	ck_assert_uint_ge(sim.line.size, (size_t)product());
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire-window");
	TCase *windows = suite_case(suite, "windows"), *line = suite_case(suite, "line");

	tcase_add_test(windows, window_is_used_until_nothing_is_left_of_it);
	tcase_add_test(windows, window_is_given_back_in_parts_that_are_not_small);
	tcase_add_loop_test(windows, large_window_is_given_back_in_smaller_parts, 0, 6);
	tcase_add_test(windows, what_could_not_be_told_is_told_with_the_next);
	tcase_add_test(windows, window_that_grows_is_given_back_with_its_growth);
	tcase_add_test(windows, window_shrinks_by_what_is_not_given_back);
	tcase_add_test(windows, sender_whose_bytes_were_all_taken_may_send_again);

	tcase_add_loop_test(line, window_grows_to_a_few_times_what_the_line_holds_and_stops, 0,
			    3 * (int)(sizeof lines / sizeof *lines));
	tcase_add_test(line, lines_are_used_to_more_than_nine_tenths_on_the_whole);
	tcase_add_loop_test(line, window_never_grows_above_the_most, 0, 4);
	tcase_add_test(line, window_of_a_sender_with_little_to_say_stays);
	tcase_add_test(line, few_bytes_are_not_worth_a_probe);
	tcase_add_test(line, one_probe_is_on_its_way_at_a_time_and_few_when_nothing_is_new);
	tcase_add_test(line, pong_that_was_not_asked_for_changes_nothing);
	tcase_add_test(line, answer_in_no_time_is_survived);
	tcase_add_test(line, window_stays_with_the_next_connection_and_may_grow_there);
	return suite_run(suite);
}
