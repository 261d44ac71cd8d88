/* Notes: who gets which, and what is not kept. */

#include "support/suite.h"
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct hawser_call *enter(struct hawser_client *client)
{
	struct hawser_call *call = demo_places_notes(client, NULL);

	ck_assert_ptr_nonnull(call);
	return call;
}

static int leave(struct hawser_call *call, const char *place, const char *text)
{
	Demo__Note note = DEMO__NOTE__INIT;

	note.place = (char *)place;
	note.text = (char *)text;
	return demo_places_notes_send(call, &note);
}

/* The next note to come has to be this one. */
static void take(struct hawser_call *call, const char *place, const char *text)
{
	Demo__Note *note;

	ck_assert_msg(demo_places_notes_recv(call, &note) == 1, "%s",
		      hawser_call_error(call)->message);
	ck_assert_str_eq(note->place, place);
	ck_assert_str_eq(note->text, text);
	demo__note__free_unpacked(note, NULL);
}

/* No more may come. */
static void expect_end(struct hawser_call *call)
{
	Demo__Note *note;

	ck_assert_msg(demo_places_notes_recv(call, &note) == 0, "%s",
		      hawser_call_error(call)->message);
	hawser_call_free(call);
}

/* The client has no more to say, and has to get no more either. */
static void go(struct hawser_call *call)
{
	ck_assert_int_eq(hawser_call_end(call), 0);
	expect_end(call);
}

static void expect_failure(struct hawser_call *call, enum hawser_status status, const char *text)
{
	Demo__Note *note;

	ck_assert_int_eq(demo_places_notes_recv(call, &note), -1);
	expect_error(hawser_call_error(call), status, text);
}

static void expect_full(struct hawser_call *call, const char *place, uint32_t limit)
{
	size_t n_details;
	const struct hawser_detail *details = hawser_call_details(call, &n_details);
	ProtobufCMessage *message =
		hawser_details_unpack(details, n_details, &demo__full__descriptor);
	const Demo__Full *full = (const Demo__Full *)message;

	ck_assert_ptr_nonnull(full);
	ck_assert_str_eq(full->place, place);
	ck_assert_uint_eq(full->limit, limit);
	protobuf_c_message_free_unpacked(message, NULL);
}

/* ---- who gets which ---- */

START_TEST(notes_go_to_all_who_visited_but_their_author)
{
	struct hawser_client *clients[3];
	struct hawser_call *ada, *bob, *cyd;
	struct world world;

	world_start(&world, _i, NULL);
	for (unsigned i = 0; i < 3; i++)
		clients[i] = world_client(&world, 0);
	ada = enter(clients[0]);
	bob = enter(clients[1]);
	cyd = enter(clients[2]);

	ck_assert_int_eq(leave(ada, "Europe/Zurich", "Ada was here"), 0);
	ck_assert_int_eq(leave(ada, "Europe/Zurich", "and still is"), 0);
	world_settle(clients[0]);
	ck_assert_int_eq(leave(bob, "Europe/Zurich", "so is Bob"), 0);
	take(bob, "Europe/Zurich", "Ada was here");
	take(bob, "Europe/Zurich", "and still is");
	take(ada, "Europe/Zurich", "so is Bob");

	/* Who was elsewhere does not hear of it. */
	ck_assert_int_eq(leave(cyd, "Asia/Tokyo", "nobody here"), 0);
	ck_assert_int_eq(leave(bob, "Asia/Tokyo", "Bob again"), 0);
	take(bob, "Asia/Tokyo", "nobody here");
	take(cyd, "Asia/Tokyo", "Bob again");
	ck_assert_int_eq(leave(cyd, "Asia/Tokyo", "hello"), 0);
	take(bob, "Asia/Tokyo", "hello");

	go(ada);
	go(bob);
	go(cyd);
	for (unsigned i = 0; i < 3; i++)
		hawser_client_free(clients[i]);
	world_stop(&world);
}
END_TEST

START_TEST(notes_outlive_their_authors)
{
	struct hawser_client *client;
	struct hawser_call *call;
	struct world world;

	world_start(&world, _i, NULL);
	client = world_client(&world, 0);
	call = enter(client);
	ck_assert_int_eq(leave(call, "Europe/Zurich", "first"), 0);
	ck_assert_int_eq(leave(call, "Europe/Zurich", "second"), 0);
	go(call);
	/* One that is given up, too. */
	call = enter(client);
	ck_assert_int_eq(leave(call, "Europe/Zurich", "third"), 0);
	take(call, "Europe/Zurich", "first");
	take(call, "Europe/Zurich", "second");
	hawser_call_free(call);
	call = enter(client);
	ck_assert_int_eq(leave(call, "Europe/Zurich", "fourth"), 0);
	take(call, "Europe/Zurich", "first");
	take(call, "Europe/Zurich", "second");
	take(call, "Europe/Zurich", "third");
	ck_assert_int_eq(leave(call, "Europe/Zurich", "fifth"), 0);
	go(call);
	hawser_client_free(client);
	world_stop(&world);
}
END_TEST

START_TEST(visitor_may_say_nothing)
{
	struct hawser_client *client;
	struct world world;

	world_start(&world, _i, NULL);
	client = world_client(&world, 0);
	go(enter(client));
	hawser_client_free(client);
	world_stop(&world);
}
END_TEST

START_TEST(visitors_that_are_gone_are_forgotten)
{
	struct hawser_client *client, *other;
	struct hawser_call *calls[5], *call;
	struct world world;

	world_start(&world, _i, NULL);
	client = world_client(&world, 0);
	other = world_client(&world, 0);
	for (unsigned i = 0; i < 5; i++) {
		calls[i] = enter(client);
		ck_assert_int_eq(leave(calls[i], "Europe/Zurich", "hello"), 0);
	}
	world_settle(client);
	/* The first, the last and one between; the rest get what comes. */
	hawser_call_free(calls[0]);
	hawser_call_free(calls[2]);
	hawser_call_free(calls[4]);
	ck_assert_uint_eq(world_calls(&world, client), 2);
	call = enter(other);
	ck_assert_int_eq(leave(call, "Europe/Zurich", "anybody?"), 0);
	for (unsigned i = 0; i < 5; i++)
		take(call, "Europe/Zurich", "hello");
	for (unsigned i = 1; i < 5; i += 2) {
		for (unsigned before = 0; before < 4; before++)
			take(calls[i], "Europe/Zurich", "hello");
		take(calls[i], "Europe/Zurich", "anybody?");
	}
	/* These end with the server. */
	world_stop(&world);
	hawser_call_free(calls[1]);
	hawser_call_free(calls[3]);
	hawser_call_free(call);
	hawser_client_free(client);
	hawser_client_free(other);
}
END_TEST

/* ---- what is not kept ---- */

START_TEST(wrong_notes_are_told)
{
	char text[NOTE_MOST_BYTES + 2];
	struct hawser_client *client;
	struct hawser_call *call;
	struct world world;

	world_start(&world, _i, NULL);
	client = world_client(&world, 0);
	memset(text, 'x', sizeof text);
	text[NOTE_MOST_BYTES + 1] = '\0';

	call = enter(client);
	ck_assert_int_eq(leave(call, "tokyo", "hello"), 0);
	expect_failure(call, HAWSER_NOT_FOUND, "\"tokyo\" is no place; is Asia/Tokyo meant?");
	hawser_call_free(call);
	call = enter(client);
	ck_assert_int_eq(leave(call, "Asia/Tokyo", ""), 0);
	expect_failure(call, HAWSER_INVALID_ARGUMENT,
		       "the text has 0 bytes; it has to have 1 to 1000");
	hawser_call_free(call);
	call = enter(client);
	ck_assert_int_eq(leave(call, "Asia/Tokyo", text), 0);
	expect_failure(call, HAWSER_INVALID_ARGUMENT, "the text has 1001 bytes");
	hawser_call_free(call);

	/* None of these was kept. */
	text[NOTE_MOST_BYTES] = '\0';
	call = enter(client);
	ck_assert_int_eq(leave(call, "Asia/Tokyo", text), 0);
	go(call);
	call = enter(client);
	ck_assert_int_eq(leave(call, "Asia/Tokyo", "y"), 0);
	take(call, "Asia/Tokyo", text);
	go(call);
	hawser_client_free(client);
	world_stop(&world);
}
END_TEST

START_TEST(place_that_is_full_takes_no_more)
{
	const struct service_limits limits = {
		.notes = 5, .notes_at_place = 3, .waiting = 3, .visitors = 10};
	struct hawser_client *client;
	struct hawser_call *call;
	struct world world;

	world_start(&world, _i, &limits);
	client = world_client(&world, 0);
	call = enter(client);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(leave(call, "Europe/Zurich", "note"), 0);
	expect_failure(call, HAWSER_RESOURCE_EXHAUSTED,
		       "there are 3 notes at Europe/Zurich, and no more may be");
	expect_full(call, "Europe/Zurich", 3);
	hawser_call_free(call);

	call = enter(client);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(leave(call, "Asia/Tokyo", "note"), 0);
	expect_failure(call, HAWSER_RESOURCE_EXHAUSTED, "there are 5 notes, and no more may be");
	expect_full(call, "", 5);
	hawser_call_free(call);
	hawser_client_free(client);
	world_stop(&world);
}
END_TEST

START_TEST(visitors_above_the_limit_are_refused)
{
	const struct service_limits limits = {
		.notes = 5, .notes_at_place = 3, .waiting = 3, .visitors = 2};
	struct hawser_call *calls[3];
	struct hawser_client *client;
	struct world world;

	world_start(&world, _i, &limits);
	client = world_client(&world, 0);
	for (unsigned i = 0; i < 3; i++) {
		calls[i] = enter(client);
		ck_assert_int_eq(leave(calls[i], "Europe/Zurich", "note"), 0);
	}
	expect_failure(calls[2], HAWSER_RESOURCE_EXHAUSTED, "there are 2 visitors already");
	hawser_call_free(calls[2]);
	hawser_call_free(calls[1]);
	/* Now there is room. */
	calls[1] = enter(client);
	ck_assert_int_eq(leave(calls[1], "Europe/Zurich", "note"), 0);
	take(calls[1], "Europe/Zurich", "note");
	hawser_call_free(calls[0]);
	hawser_call_free(calls[1]);
	hawser_client_free(client);
	world_stop(&world);
}
END_TEST

/* ---- visitors that take slowly ---- */

enum { SMALL_WINDOW = 64 };

START_TEST(notes_wait_for_a_visitor_that_takes_slowly)
{
	struct hawser_client *slow, *fast;
	struct hawser_call *taking, *leaving;
	struct world world;
	char text[32];

	world_start(&world, _i, NULL);
	slow = world_client(&world, SMALL_WINDOW);
	fast = world_client(&world, 0);
	taking = enter(slow);
	ck_assert_int_eq(leave(taking, "Europe/Zurich", "begin"), 0);
	world_settle(slow);
	leaving = enter(fast);
	for (unsigned i = 0; i < 90; i++) {
		snprintf(text, sizeof text, "note %u", i);
		ck_assert_int_eq(leave(leaving, "Europe/Zurich", text), 0);
	}
	world_settle(fast);
	for (unsigned i = 0; i < 90; i++) {
		snprintf(text, sizeof text, "note %u", i);
		take(taking, "Europe/Zurich", text);
	}
	take(leaving, "Europe/Zurich", "begin");
	go(leaving);
	go(taking);
	hawser_client_free(slow);
	hawser_client_free(fast);
	world_stop(&world);
}
END_TEST

START_TEST(what_a_visitor_does_itself_waits_for_what_it_takes)
{
	static const char *const visited[] = {"Europe/Zurich", "Asia/Tokyo", "America/New_York",
					      "Africa/Cairo"};
	const struct service_limits limits = {
		.notes = 100, .notes_at_place = 20, .waiting = 20, .visitors = 10};
	struct hawser_client *slow, *fast;
	struct hawser_call *call;
	struct world world;

	world_start(&world, _i, &limits);
	fast = world_client(&world, 0);
	call = enter(fast);
	for (unsigned i = 0; i < 4; i++) {
		for (unsigned note = 0; note < 19; note++)
			ck_assert_int_eq(leave(call, visited[i], "note"), 0);
	}
	go(call);
	/* At each of these places as many notes wait as may. */
	slow = world_client(&world, SMALL_WINDOW);
	call = enter(slow);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(leave(call, visited[i], "hello"), 0);
	ck_assert_int_eq(hawser_call_end(call), 0);
	world_settle(slow);
	for (unsigned i = 0; i < 4; i++) {
		for (unsigned note = 0; note < 19; note++)
			take(call, visited[i], "note");
	}
	expect_end(call);
	hawser_client_free(slow);
	hawser_client_free(fast);
	world_stop(&world);
}
END_TEST

START_TEST(visitor_that_takes_nothing_is_sent_away)
{
	const struct service_limits limits = {
		.notes = 200, .notes_at_place = 100, .waiting = 100, .visitors = 10};
	struct hawser_client *slow, *fast;
	struct hawser_call *taking, *leaving[2];
	Demo__Note *note;
	struct world world;
	int r;

	world_start(&world, _i, &limits);
	slow = world_client(&world, SMALL_WINDOW);
	fast = world_client(&world, 0);
	taking = enter(slow);
	ck_assert_int_eq(leave(taking, "Europe/Zurich", "begin"), 0);
	ck_assert_int_eq(leave(taking, "Asia/Tokyo", "begin"), 0);
	world_settle(slow);
	leaving[0] = enter(fast);
	leaving[1] = enter(fast);
	for (unsigned i = 0; i < 90; i++) {
		ck_assert_int_eq(leave(leaving[0], "Europe/Zurich", "note"), 0);
		ck_assert_int_eq(leave(leaving[1], "Asia/Tokyo", "note"), 0);
	}
	take(leaving[0], "Europe/Zurich", "begin");
	take(leaving[1], "Asia/Tokyo", "begin");
	go(leaving[1]);
	go(leaving[0]);
	/* What was on the way may come before. */
	while ((r = demo_places_notes_recv(taking, &note)) == 1)
		demo__note__free_unpacked(note, NULL);
	ck_assert_int_eq(r, -1);
	expect_error(hawser_call_error(taking), HAWSER_RESOURCE_EXHAUSTED,
		     "100 notes wait to be taken, and no more may");
	hawser_call_free(taking);
	hawser_client_free(slow);
	hawser_client_free(fast);
	world_stop(&world);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("places notes");
	TCase *test_case = suite_case(suite, "notes");

	tcase_add_loop_test(test_case, notes_go_to_all_who_visited_but_their_author, 0, TRANSPORTS);
	tcase_add_loop_test(test_case, notes_outlive_their_authors, 0, TRANSPORTS);
	tcase_add_loop_test(test_case, visitor_may_say_nothing, 0, TRANSPORTS);
	tcase_add_loop_test(test_case, visitors_that_are_gone_are_forgotten, 0, TRANSPORTS);
	tcase_add_loop_test(test_case, wrong_notes_are_told, 0, TRANSPORTS);
	tcase_add_loop_test(test_case, place_that_is_full_takes_no_more, 0, TRANSPORTS);
	tcase_add_loop_test(test_case, visitors_above_the_limit_are_refused, 0, TRANSPORTS);
	tcase_add_loop_test(test_case, notes_wait_for_a_visitor_that_takes_slowly, 0, TRANSPORTS);
	tcase_add_loop_test(test_case, what_a_visitor_does_itself_waits_for_what_it_takes, 0,
			    TRANSPORTS);
	tcase_add_loop_test(test_case, visitor_that_takes_nothing_is_sent_away, 0, TRANSPORTS);
	return suite_run(suite);
}
