/* Calls that wait in line by themselves, and hold the lease while they run. */

#include "guarded.h"
#include "relayed.h"
#include "support/suite.h"
#include <string.h>

enum { USERS = 4 };

static struct guarded guarded;
static struct user users[USERS];
static const char *const names[USERS] = {"ada", "grace", "edith", "emmy"};

static void start_with(int transport, struct hawser_exclusive exclusive)
{
	exclusive.policy = HAWSER_EXCLUSIVE_QUEUE;
	guarded_start(&guarded, (enum transport)transport, NULL, &exclusive);
	for (size_t i = 0; i < USERS; i++)
		user_init(&users[i], &guarded, NULL, names[i], NULL);
}

static void start(int transport)
{
	start_with(transport, (struct hawser_exclusive)HAWSER_EXCLUSIVE_INIT);
}

static void stop(void)
{
	for (size_t i = 0; i < USERS; i++)
		user_deinit(&users[i]);
	guarded_stop(&guarded);
	ck_assert_uint_le(guarded.n_inside_most, 1);
}

/* How many wait, as the server sees it. */
static void count(const struct hawser_lease_resource *resource, void *data)
{
	*(unsigned *)data = resource->n_waiting;
}

static unsigned n_waiting(struct hawser_client *client)
{
	unsigned n = 0;

	ck_assert_int_eq(hawser_lease_holders(client, GUARDED, count, &n, NULL), HAWSER_OK);
	return n;
}

/* Makes calls of Hold one after the other: so they stand in line in that order. */
static void line_up(struct visit *visits, unsigned n)
{
	struct hawser_client *client = hawser_client_new(guarded.tester.address, NULL, NULL);

	for (unsigned i = 0; i < n; i++) {
		visit_start(&visits[i], &users[i % USERS], GUARDED_HOLD, NULL);
		if (i)
			run_until(&guarded, n_waiting(client) == i);
		else
			guarded_held(&guarded, 0);
	}
	hawser_client_free(client);
}

START_TEST(calls_run_one_at_a_time_in_the_order_in_which_they_came)
{
	enum { N = 2 * USERS };
	struct visit visits[N];

	start(_i);
	line_up(visits, N);
	for (unsigned i = 0; i < N; i++) {
		guarded_held(&guarded, i);
		ck_assert_uint_eq(guarded_n_held(&guarded), i + 1);
		guarded_answer(&guarded, i);
		visit_wait(&visits[i], &users[i % USERS]);
		ck_assert_msg(visits[i].status == HAWSER_OK, "%s", visits[i].text);
		ck_assert_uint_eq(visits[i].fencing, visits[0].fencing + i);
	}
	stop();
}
END_TEST

START_TEST(holder_passes_and_calls_of_others_wait_for_it)
{
	struct visit own, other;

	start(_i);
	user_ask_for(&users[0], 0);
	visit_start(&other, &users[1], GUARDED_MOVE, NULL);
	visit_make(&own, &users[0], GUARDED_MOVE);
	ck_assert_int_eq(own.status, HAWSER_OK);
	ck_assert_uint_eq(own.fencing, users[0].fencing);
	/* Behind the call, in one line. */
	user_ask_for(&users[2], 2);
	ck_assert(!other.has_ended);
	user_release(&users[0]);
	visit_wait(&other, &users[1]);
	ck_assert_int_eq(other.status, HAWSER_OK);
	ck_assert_uint_eq(other.fencing, own.fencing + 1);
	assert_held(&users[2]);
	ck_assert_uint_eq(users[2].fencing, own.fencing + 2);
	stop();
}
END_TEST

START_TEST(waiting_call_that_ends_leaves_the_line)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct visit late, cancelled, last;

	start(_i);
	user_ask_for(&users[0], 0);
	context.timeout_ms = 20;
	visit_start(&late, &users[1], GUARDED_MOVE, &context);
	visit_wait(&late, &users[1]);
	assert_refused(&late, HAWSER_DEADLINE_EXCEEDED, late.outcome, "deadline");
	visit_start(&cancelled, &users[2], GUARDED_MOVE, NULL);
	user_ask_for(&users[3], 2);
	ck_assert_int_eq(hawser_call_cancel(cancelled.call), 0);
	assert_waits_at(&users[3], 1);
	/* And one whose client goes. */
	visit_start(&last, &users[1], GUARDED_MOVE, NULL);
	visit_make(&cancelled, &users[1], GUARDED_LOOK);
	hawser_client_free(users[1].client);
	user_release(&users[0]);
	assert_held(&users[3]);
	ck_assert_uint_eq(guarded.n_moved, 0);
	user_init(&users[1], &guarded, NULL, "grace again", NULL);
	stop();
}
END_TEST

START_TEST(call_waits_no_longer_than_is_allowed)
{
	struct hawser_exclusive exclusive = HAWSER_EXCLUSIVE_INIT;
	struct visit visit;

	exclusive.max_wait_ms = 20;
	start_with(_i, exclusive);
	user_ask_for(&users[0], 0);
	visit_make(&visit, &users[1], GUARDED_MOVE);
	assert_refused(&visit, HAWSER_DEADLINE_EXCEEDED, HAWSER_OUTCOME_NOT_EXECUTED,
		       "waited 20 ms in line");
	ck_assert_uint_eq(guarded.n_moved, 0);
	stop();
}
END_TEST

START_TEST(full_line_refuses_calls)
{
	struct hawser_exclusive exclusive = HAWSER_EXCLUSIVE_INIT;
	struct visit visit;

	exclusive.max_waiting = 1;
	start_with(_i, exclusive);
	user_ask_for(&users[0], 0);
	user_ask_for(&users[1], 1);
	visit_make(&visit, &users[2], GUARDED_MOVE);
	assert_refused(&visit, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_NOT_EXECUTED,
		       "1 waits, and more may not; try again later");
	stop();
}
END_TEST

struct track {
	unsigned n_replies;
	bool has_ended;
	enum hawser_status status;
};

static void on_track(struct hawser_call *call, const Rpctest__Payload *payload, void *data)
{
	struct track *track = data;

	if (payload) {
		track->n_replies++;
		return;
	}
	track->has_ended = true;
	track->status = hawser_call_error(call)->status;
	hawser_call_free(call);
}

START_TEST(stream_waits_with_what_it_has_sent)
{
	static const Rpctest__Payload payload = RPCTEST__PAYLOAD__INIT;
	struct track track = {0};
	struct hawser_call *call;
	struct visit visit;

	start(_i);
	visit_make(&visit, &users[1], GUARDED_LOOK);
	user_ask_for(&users[0], 0);
	call = rpctest_guarded_track_async(users[1].client, on_track, &track, NULL);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(rpctest_guarded_track_send(call, &payload), 0);
	ck_assert_int_eq(hawser_call_end(call), 0);
	user_ask_for(&users[2], 2);
	ck_assert_uint_eq(track.n_replies, 0);
	user_release(&users[0]);
	run_until(&guarded, track.has_ended);
	ck_assert_int_eq(track.status, HAWSER_OK);
	ck_assert_uint_eq(track.n_replies, 3);
	assert_held(&users[2]);
	stop();
}
END_TEST

static bool anyone(struct hawser_call *call, const char *resource, void *data)
{
	(void)call;
	(void)resource;
	(void)data;
	return true;
}

START_TEST(running_call_can_be_taken_away)
{
	struct hawser_exclusive exclusive = HAWSER_EXCLUSIVE_INIT;
	struct hawser_client *client;
	struct visit visits[2];

	exclusive.policy = HAWSER_EXCLUSIVE_QUEUE;
	guarded_prepare(&guarded, (enum transport)_i, NULL, &exclusive);
	ck_assert_int_eq(hawser_server_set_operator(guarded.tester.server, anyone, NULL), 0);
	guarded_run(&guarded);
	for (size_t i = 0; i < USERS; i++)
		user_init(&users[i], &guarded, NULL, names[i], NULL);
	line_up(visits, 2);
	client = hawser_client_new(guarded.tester.address, NULL, NULL);
	ck_assert_int_eq(hawser_lease_force_release(client, GUARDED, 0, "enough", NULL), HAWSER_OK);
	visit_wait(&visits[0], &users[0]);
	assert_refused(&visits[0], HAWSER_ABORTED, HAWSER_OUTCOME_EXECUTED, "by force: enough");
	/* At once, although that handler has not answered. */
	guarded_held(&guarded, 1);
	ck_assert_uint_eq(guarded.fencing[1], guarded.fencing[0] + 1);
	guarded_answer(&guarded, 1);
	visit_wait(&visits[1], &users[1]);
	ck_assert_int_eq(visits[1].status, HAWSER_OK);
	hawser_client_free(client);
	guarded.n_inside_most = 1;
	stop();
}
END_TEST

/* Its client is gone; its handler is told, and goes on. */
START_TEST(call_that_runs_keeps_its_place_until_it_is_answered)
{
	struct hawser_exclusive shortly = HAWSER_EXCLUSIVE_INIT;
	struct visit holds, visit;

	for (int is_answered = 0; is_answered < 2; is_answered++) {
		shortly.settle_timeout_ms = is_answered ? 0 : 20;
		start_with(_i, shortly);
		visit_start(&holds, &users[0], GUARDED_HOLD, NULL);
		guarded_held(&guarded, 0);
		hawser_client_free(users[0].client);
		user_init(&users[0], &guarded, NULL, "ada again", NULL);
		run_until(&guarded, guarded_n_cancelled(&guarded) == 1);
		visit_start(&visit, &users[1], GUARDED_MOVE, NULL);
		if (is_answered) {
			user_ask_for(&users[2], 2);
			ck_assert(!visit.has_ended);
			guarded_answer(&guarded, 0);
		}
		visit_wait(&visit, &users[1]);
		ck_assert_msg(visit.status == HAWSER_OK, "%s", visit.text);
		ck_assert_uint_eq(visit.fencing, guarded.fencing[0] + 1);
		guarded.n_inside_most = 1;
		stop();
	}
}
END_TEST

START_TEST(call_whose_deadline_has_passed_does_not_keep_its_place_for_ever)
{
	struct hawser_exclusive shortly = HAWSER_EXCLUSIVE_INIT;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct visit holds[2], visit;

	shortly.settle_timeout_ms = 20;
	start_with(_i, shortly);
	context.timeout_ms = 20;
	visit_start(&holds[0], &users[0], GUARDED_HOLD, &context);
	guarded_held(&guarded, 0);
	context.timeout_ms = patient_ms(500);
	visit_start(&holds[1], &users[1], GUARDED_HOLD, &context);
	/* One that began at once, and one that waited. */
	guarded_held(&guarded, 1);
	ck_assert_int_eq(holds[0].status, HAWSER_DEADLINE_EXCEEDED);
	visit_start(&visit, &users[2], GUARDED_MOVE, NULL);
	visit_wait(&visit, &users[2]);
	ck_assert_msg(visit.status == HAWSER_OK, "%s", visit.text);
	ck_assert_uint_eq(visit.fencing, guarded.fencing[0] + 2);
	ck_assert_int_eq(holds[1].status, HAWSER_DEADLINE_EXCEEDED);
	guarded.n_inside_most = 1;
	stop();
}
END_TEST

START_TEST(call_keeps_its_place_when_its_connection_breaks)
{
	struct hawser_client_options options = relayed_options();
	struct visit holds, visit;
	struct relay relay;

	start(_i);
	user_deinit(&users[1]);
	relay_start(&relay, (enum transport)_i, guarded.tester.address);
	user_init(&users[1], &guarded, relay.address, "grace", &options);
	visit_start(&holds, &users[0], GUARDED_HOLD, NULL);
	guarded_held(&guarded, 0);
	visit_start(&visit, &users[1], GUARDED_MOVE, NULL);
	visit_make(&(struct visit){0}, &users[1], GUARDED_LOOK);
	user_ask_for(&users[2], 2);
	relay_cut(&relay, CUT_RESET);
	relay_wait_attempts(&relay, 1);
	visit_make(&(struct visit){0}, &users[1], GUARDED_LOOK);
	guarded_answer(&guarded, 0);
	visit_wait(&visit, &users[1]);
	ck_assert_msg(visit.status == HAWSER_OK, "%s", visit.text);
	assert_held(&users[2]);
	ck_assert_uint_eq(users[2].fencing, visit.fencing + 1);
	visit_wait(&holds, &users[0]);
	user_deinit(&users[1]);
	relay_stop(&relay);
	user_init(&users[1], &guarded, NULL, "grace", NULL);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/leases/queue");
	TCase *tcase = suite_case(suite, "queue");

	tcase_add_loop_test(tcase, calls_run_one_at_a_time_in_the_order_in_which_they_came, 0,
			    TRANSPORTS);
	tcase_add_loop_test(tcase, holder_passes_and_calls_of_others_wait_for_it, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, waiting_call_that_ends_leaves_the_line, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, call_waits_no_longer_than_is_allowed, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, full_line_refuses_calls, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, stream_waits_with_what_it_has_sent, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, running_call_can_be_taken_away, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, call_that_runs_keeps_its_place_until_it_is_answered, 0,
			    TRANSPORTS);
	tcase_add_loop_test(tcase, call_whose_deadline_has_passed_does_not_keep_its_place_for_ever,
			    0, TRANSPORTS);
	tcase_add_loop_test(tcase, call_keeps_its_place_when_its_connection_breaks, 0, TRANSPORTS);
	return suite_run(suite);
}
