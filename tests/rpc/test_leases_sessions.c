/* Leases and places in line when connections break, sessions expire, servers drain. */

#include "guarded.h"
#include "relayed.h"
#include "support/suite.h"
#include <string.h>

enum { USERS = 4 };

static struct guarded guarded;
static struct user users[USERS];
/* Each its own. */
static struct relay relays[USERS];
static const char *const names[USERS] = {"ada", "grace", "edith", "emmy"};

static void start_with(int transport, const struct hawser_server_options *server,
		       const struct hawser_client_options *client)
{
	struct hawser_client_options quick = relayed_options();

	guarded_start(&guarded, (enum transport)transport, server, NULL);
	for (size_t i = 0; i < USERS; i++) {
		relay_start(&relays[i], (enum transport)transport, guarded.tester.address);
		user_init(&users[i], &guarded, relays[i].address, names[i],
			  client ? client : &quick);
	}
}

static void start(int transport)
{
	start_with(transport, NULL, NULL);
}

static void stop(void)
{
	for (size_t i = 0; i < USERS; i++) {
		user_deinit(&users[i]);
		relay_stop(&relays[i]);
	}
	guarded_stop(&guarded);
}

static struct hawser_server_stats stats(void)
{
	return server_stats(&guarded.tester);
}

/* Loses the connection, and cannot come back until the door is opened. */
static void go_away(unsigned who)
{
	uint64_t away = stats().sessions_away;

	relay_set_door(&relays[who], DOOR_SHUT);
	relay_cut(&relays[who], CUT_RESET);
	run_until(&guarded, stats().sessions_away == away + 1);
}

static void come_back(unsigned who)
{
	uint64_t away = stats().sessions_away;

	relay_set_door(&relays[who], DOOR_OPEN);
	run_until(&guarded, stats().sessions_away == away - 1);
}

START_TEST(holder_keeps_its_lease_when_its_connection_breaks)
{
	struct visit visit;
	uint64_t fencing;

	start(_i);
	for (unsigned i = 0; i < 2; i++)
		user_ask_for(&users[i], i);
	fencing = users[0].fencing;
	for (unsigned cut = 0; cut < CUT_SERVER; cut++) {
		relay_cut(&relays[0], (enum relay_cut)cut);
		visit_make(&visit, &users[0], GUARDED_MOVE);
		ck_assert_msg(visit.status == HAWSER_OK, "%s", visit.text);
		ck_assert_uint_eq(visit.fencing, fencing);
	}
	go_away(0);
	ck_assert_int_eq(users[0].state, HAWSER_LEASE_HELD);
	visit_make(&visit, &users[1], GUARDED_MOVE);
	assert_refused(&visit, HAWSER_FAILED_PRECONDITION, HAWSER_OUTCOME_NOT_EXECUTED,
		       "you are number 1 in line");
	come_back(0);
	visit_make(&visit, &users[0], GUARDED_MOVE);
	ck_assert_uint_eq(visit.fencing, fencing);
	ck_assert_uint_eq(users[0].n_told, 1);
	user_release(&users[0]);
	assert_held(&users[1]);
	stop();
}
END_TEST

START_TEST(lease_is_granted_once_wherever_the_connection_is_cut)
{
	bool was_cut = true;

	start(_i);
	/* A call first: until it was open once, a connection is not opened again. */
	visit_make(&(struct visit){0}, &users[1], GUARDED_LOOK);
	for (uint64_t bytes = 0; was_cut; bytes++) {
		uint64_t fencing;

		user_ask_for(&users[0], 0);
		fencing = users[0].fencing;
		relay_cut_after(&relays[1], bytes % 2 ? FROM_CLIENT : FROM_SERVER, bytes / 2,
				(enum relay_cut)(bytes / 2 % CUT_SERVER));
		user_ask(&users[1], GUARDED, NULL);
		user_release(&users[0]);
		assert_held(&users[1]);
		ck_assert_uint_eq(users[1].fencing, fencing + 1);
		user_release(&users[1]);
		was_cut = relay_was_cut(&relays[1]);
	}
	stop();
}
END_TEST

START_TEST(who_waits_keeps_its_place_and_is_passed_meanwhile)
{
	start(_i);
	for (unsigned i = 0; i < USERS; i++)
		user_ask_for(&users[i], i);
	go_away(1);
	user_release(&users[0]);
	assert_held(&users[2]);
	/* One before it is away. */
	assert_waits_at(&users[3], 2);
	come_back(1);
	user_release(&users[2]);
	assert_held(&users[1]);
	ck_assert_uint_eq(users[1].fencing, users[2].fencing + 1);
	assert_waits_at(&users[3], 1);
	stop();
}
END_TEST

START_TEST(who_comes_back_to_a_free_place_holds_it)
{
	start(_i);
	for (unsigned i = 0; i < 2; i++)
		user_ask_for(&users[i], i);
	go_away(1);
	user_release(&users[0]);
	ck_assert_int_eq(users[1].state, HAWSER_LEASE_WAITING);
	come_back(1);
	assert_held(&users[1]);
	stop();
}
END_TEST

START_TEST(lease_passes_on_when_its_session_expires)
{
	struct hawser_server_options options = tester_options();
	struct visit visit, running;
	uint64_t fencing;

	options.session_window_ms = patient_ms(100);
	start_with(_i, &options, NULL);
	for (unsigned i = 0; i < 3; i++)
		user_ask_for(&users[i], i);
	fencing = users[0].fencing;
	visit_start(&running, &users[0], GUARDED_HOLD, NULL);
	guarded_held(&guarded, 0);
	go_away(0);
	/* Its handler is told, and has the place until it has answered. */
	run_until(&guarded, guarded_n_cancelled(&guarded) == 1);
	ck_assert_int_eq(users[1].state, HAWSER_LEASE_WAITING);
	guarded_answer(&guarded, 0);
	assert_held(&users[1]);
	ck_assert_uint_eq(users[1].fencing, fencing + 1);
	assert_waits_at(&users[2], 1);
	/* The one that was away learns it, at the latest when it is back. */
	relay_set_door(&relays[0], DOOR_OPEN);
	assert_lost(&users[0], HAWSER_UNAVAILABLE, "session");
	visit_wait(&running, &users[0]);
	ck_assert_int_eq(running.status, HAWSER_UNAVAILABLE);
	visit_make(&visit, &users[0], GUARDED_MOVE);
	assert_refused(&visit, HAWSER_FAILED_PRECONDITION, HAWSER_OUTCOME_NOT_EXECUTED,
		       "held by grace");
	user_ask_for(&users[0], 2);
	stop();
}
END_TEST

START_TEST(place_in_line_is_lost_with_its_session)
{
	struct hawser_server_options options = tester_options();

	options.session_window_ms = patient_ms(50);
	start_with(_i, &options, NULL);
	for (unsigned i = 0; i < 3; i++)
		user_ask_for(&users[i], i);
	go_away(1);
	assert_waits_at(&users[2], 1);
	relay_set_door(&relays[1], DOOR_OPEN);
	assert_lost(&users[1], HAWSER_UNAVAILABLE, "session");
	stop();
}
END_TEST

START_TEST(session_that_makes_room_for_others_loses_its_lease)
{
	struct hawser_server_options options = tester_options();

	options.max_sessions = 2;
	start_with(_i, &options, NULL);
	for (unsigned i = 0; i < 2; i++)
		user_ask_for(&users[i], i);
	go_away(0);
	/* One too many. */
	visit_make(&(struct visit){0}, &users[2], GUARDED_LOOK);
	assert_held(&users[1]);
	ck_assert_uint_eq(stats().sessions_evicted, 1);
	relay_set_door(&relays[0], DOOR_OPEN);
	stop();
}
END_TEST

START_TEST(without_a_session_a_lease_ends_with_its_connection)
{
	struct hawser_client_options options = relayed_options();

	options.no_session = true;
	start_with(_i, NULL, &options);
	for (unsigned i = 0; i < 3; i++)
		user_ask_for(&users[i], i);
	relay_cut(&relays[0], CUT_ORDERLY);
	assert_held(&users[1]);
	assert_lost(&users[0], HAWSER_UNAVAILABLE, "");
	relay_cut(&relays[1], CUT_RESET);
	assert_held(&users[2]);
	stop();
}
END_TEST

START_TEST(draining_server_ends_leases_and_waits_for_calls)
{
	struct hawser_server_options options = tester_options();
	struct visit visit;

	options.drain_timeout_ms = 60000;
	start_with(_i, &options, NULL);
	for (unsigned i = 0; i < 3; i++)
		user_ask_for(&users[i], i);
	visit_start(&visit, &users[0], GUARDED_HOLD, NULL);
	guarded_held(&guarded, 0);
	hawser_server_drain(guarded.tester.server);
	for (unsigned i = 0; i < 3; i++)
		assert_lost(&users[i], HAWSER_UNAVAILABLE, "draining");
	guarded_answer(&guarded, 0);
	visit_wait(&visit, &users[0]);
	ck_assert_msg(visit.status == HAWSER_OK, "%s", visit.text);
	for (unsigned i = 0; i < USERS; i++)
		user_deinit(&users[i]);
	/* Long before the drain's own time is over. */
	ck_assert_int_eq(tester_join(&guarded.tester), 0);
	for (unsigned i = 0; i < USERS; i++)
		relay_stop(&relays[i]);
	guarded_stop(&guarded);
}
END_TEST

START_TEST(stopped_server_lets_go_of_everything)
{
	struct visit visit;

	start(_i);
	for (unsigned i = 0; i < 3; i++)
		user_ask_for(&users[i], i);
	visit_start(&visit, &users[0], GUARDED_HOLD, NULL);
	guarded_held(&guarded, 0);
	go_away(1);
	hawser_server_stop(guarded.tester.server);
	ck_assert_int_ge(tester_join(&guarded.tester), 0);
	guarded_answer(&guarded, 0);
	hawser_call_cancel(visit.call);
	relay_set_door(&relays[1], DOOR_OPEN);
	stop();
}
END_TEST

START_TEST(lease_is_freed_before_and_after_its_client)
{
	start(_i);
	for (unsigned i = 0; i < 2; i++)
		user_ask_for(&users[i], i);
	for (unsigned i = 0; i < 2; i++) {
		hawser_client_free(users[i].client);
		ck_assert_int_eq(users[i].state, HAWSER_LEASE_OVER);
		ck_assert_int_eq(users[i].status, HAWSER_CANCELLED);
		user_free_lease(&users[i]);
		user_init(&users[i], &guarded, NULL, "again", NULL);
	}
	user_ask_for(&users[2], 0);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/leases/sessions");
	TCase *tcase = suite_case(suite, "sessions");

	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, holder_keeps_its_lease_when_its_connection_breaks, 0,
			    TRANSPORTS);
	tcase_add_loop_test(tcase, lease_is_granted_once_wherever_the_connection_is_cut, 0,
			    TRANSPORTS);
	tcase_add_loop_test(tcase, who_waits_keeps_its_place_and_is_passed_meanwhile, 0,
			    TRANSPORTS);
	tcase_add_loop_test(tcase, who_comes_back_to_a_free_place_holds_it, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, lease_passes_on_when_its_session_expires, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, place_in_line_is_lost_with_its_session, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, session_that_makes_room_for_others_loses_its_lease, 0,
			    TRANSPORTS);
	tcase_add_loop_test(tcase, without_a_session_a_lease_ends_with_its_connection, 0,
			    TRANSPORTS);

	tcase = suite_case(suite, "ends");
	tcase_add_loop_test(tcase, draining_server_ends_leases_and_waits_for_calls, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, stopped_server_lets_go_of_everything, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, lease_is_freed_before_and_after_its_client, 0, TRANSPORTS);
	return suite_run(suite);
}
