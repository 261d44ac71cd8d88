/* Leases through real sockets: who may call, who waits where, and who is next. */

#include "guarded.h"
#include "support/suite.h"
#include <errno.h>
#include <string.h>

enum { USERS = 5 };

static struct guarded guarded;
static struct user users[USERS];
static const char *const names[USERS] = {"ada", "grace", "edith", "emmy", "mary"};

static void start(int transport, const struct hawser_exclusive *exclusive)
{
	guarded_start(&guarded, (enum transport)transport, NULL, exclusive);
	for (size_t i = 0; i < USERS; i++)
		user_init(&users[i], &guarded, NULL, names[i], NULL);
}

static void stop(void)
{
	for (size_t i = 0; i < USERS; i++)
		user_deinit(&users[i]);
	guarded_stop(&guarded);
}

/* ---- who may call ---- */

START_TEST(only_the_holder_calls)
{
	struct visit visit;

	start(_i, NULL);
	visit_make(&visit, &users[0], GUARDED_MOVE);
	assert_refused(&visit, HAWSER_FAILED_PRECONDITION, HAWSER_OUTCOME_NOT_EXECUTED,
		       "nobody holds rpctest.Guarded; acquire it first: "
		       "hawser_lease_acquire(client, \"rpctest.Guarded\"");
	user_ask_for(&users[0], 0);
	visit_make(&visit, &users[0], GUARDED_MOVE);
	ck_assert_msg(visit.status == HAWSER_OK, "%s", visit.text);
	ck_assert_uint_eq(visit.fencing, users[0].fencing);
	visit_make(&visit, &users[1], GUARDED_MOVE);
	assert_refused(&visit, HAWSER_FAILED_PRECONDITION, HAWSER_OUTCOME_NOT_EXECUTED,
		       "rpctest.Guarded is held by ada (");
	user_ask_for(&users[1], 1);
	user_ask_for(&users[2], 2);
	visit_make(&visit, &users[1], GUARDED_MOVE);
	assert_refused(&visit, HAWSER_FAILED_PRECONDITION, HAWSER_OUTCOME_NOT_EXECUTED,
		       "you are number 1 in line");
	visit_make(&visit, &users[3], GUARDED_MOVE);
	assert_refused(&visit, HAWSER_FAILED_PRECONDITION, HAWSER_OUTCOME_NOT_EXECUTED,
		       "2 wait; acquire it first");
	user_release(&users[0]);
	visit_make(&visit, &users[0], GUARDED_MOVE);
	assert_refused(&visit, HAWSER_FAILED_PRECONDITION, HAWSER_OUTCOME_NOT_EXECUTED,
		       "held by grace");
	stop();
}
END_TEST

START_TEST(method_of_its_own_and_one_for_everybody_are_not_the_services)
{
	struct visit visit;

	start(_i, NULL);
	user_ask_for(&users[0], 0);
	visit_make(&visit, &users[1], GUARDED_LOOK);
	ck_assert_int_eq(visit.status, HAWSER_OK);
	ck_assert_uint_eq(visit.fencing, 0);
	visit_make(&visit, &users[0], GUARDED_AIM);
	assert_refused(&visit, HAWSER_FAILED_PRECONDITION, HAWSER_OUTCOME_NOT_EXECUTED,
		       "nobody holds rpctest.Guarded/Aim");
	user_ask(&users[1], AIM, NULL);
	assert_held(&users[1]);
	visit_make(&visit, &users[1], GUARDED_AIM);
	ck_assert_int_eq(visit.status, HAWSER_OK);
	ck_assert_uint_eq(visit.fencing, users[1].fencing);
	visit_make(&visit, &users[1], GUARDED_MOVE);
	assert_refused(&visit, HAWSER_FAILED_PRECONDITION, HAWSER_OUTCOME_NOT_EXECUTED,
		       "held by ada");
	stop();
}
END_TEST

struct track {
	unsigned n_replies;
	bool has_ended;
	enum hawser_status status;
	uint64_t fencing;
};

static void on_track(struct hawser_call *call, const Rpctest__Payload *payload, void *data)
{
	struct track *track = data;

	if (payload) {
		track->n_replies++;
		track->fencing = (uint64_t)payload->number;
		return;
	}
	track->has_ended = true;
	track->status = hawser_call_error(call)->status;
	hawser_call_free(call);
}

static struct hawser_call *start_track(struct track *track, struct user *user, int n)
{
	static const Rpctest__Payload payload = RPCTEST__PAYLOAD__INIT;
	struct hawser_call *call;

	*track = (struct track){0};
	call = rpctest_guarded_track_async(user->client, on_track, track, NULL);
	ck_assert_ptr_nonnull(call);
	for (int i = 0; i < n; i++)
		ck_assert_int_eq(rpctest_guarded_track_send(call, &payload), 0);
	ck_assert_int_eq(hawser_call_end(call), 0);
	return call;
}

START_TEST(streams_need_a_lease_too)
{
	struct track track;
	struct visit visit;

	start(_i, NULL);
	/* A stream sends when the connection is open. */
	visit_make(&visit, &users[0], GUARDED_LOOK);
	start_track(&track, &users[0], 3);
	run_until(&guarded, track.has_ended);
	ck_assert_int_eq(track.status, HAWSER_FAILED_PRECONDITION);
	user_ask_for(&users[0], 0);
	start_track(&track, &users[0], 3);
	run_until(&guarded, track.has_ended);
	ck_assert_int_eq(track.status, HAWSER_OK);
	ck_assert_uint_eq(track.n_replies, 3);
	ck_assert_uint_eq(track.fencing, users[0].fencing);
	stop();
}
END_TEST

/* ---- the line ---- */

START_TEST(line_moves_up_and_each_is_told)
{
	uint64_t fencing;

	start(_i, NULL);
	for (unsigned i = 0; i < USERS; i++)
		user_ask_for(&users[i], i);
	fencing = users[0].fencing;
	ck_assert_uint_gt(fencing, 0);
	/* One in the middle goes. */
	user_free_lease(&users[2]);
	assert_waits_at(&users[3], 2);
	assert_waits_at(&users[4], 3);
	assert_waits_at(&users[1], 1);
	user_release(&users[0]);
	assert_held(&users[1]);
	ck_assert_uint_eq(users[1].fencing, fencing + 1);
	assert_waits_at(&users[3], 1);
	/* Freed without a word to the server but that it is cancelled. */
	user_free_lease(&users[1]);
	assert_held(&users[3]);
	ck_assert_uint_eq(users[3].fencing, fencing + 2);
	/* One that is gone altogether. */
	hawser_client_free(users[3].client);
	assert_held(&users[4]);
	ck_assert_uint_eq(users[4].fencing, fencing + 3);
	ck_assert_uint_eq(users[4].n_positions, 4);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(users[4].positions[i], 4 - i);
	user_free_lease(&users[3]);
	user_init(&users[3], &guarded, NULL, "emmy again", NULL);
	stop();
}
END_TEST

START_TEST(waiter_gives_up_its_place_by_release)
{
	start(_i, NULL);
	for (unsigned i = 0; i < 3; i++)
		user_ask_for(&users[i], i);
	ck_assert_int_eq(hawser_lease_release(users[1].lease, NULL), HAWSER_OK);
	assert_lost(&users[1], HAWSER_CANCELLED, "given up");
	assert_waits_at(&users[2], 1);
	stop();
}
END_TEST

START_TEST(so_many_hold_as_are_allowed)
{
	struct hawser_exclusive three = HAWSER_EXCLUSIVE_INIT;
	struct visit visit;

	three.max_holders = 3;
	start(_i, &three);
	for (unsigned i = 0; i < USERS; i++)
		user_ask_for(&users[i], i < 3 ? 0 : i - 2);
	for (unsigned i = 0; i < 3; i++) {
		visit_make(&visit, &users[i], GUARDED_MOVE);
		ck_assert_int_eq(visit.status, HAWSER_OK);
		ck_assert_uint_eq(visit.fencing, users[0].fencing + i);
	}
	visit_make(&visit, &users[3], GUARDED_MOVE);
	ck_assert_int_eq(visit.status, HAWSER_FAILED_PRECONDITION);
	user_release(&users[1]);
	assert_held(&users[3]);
	assert_waits_at(&users[4], 1);
	stop();
}
END_TEST

START_TEST(full_line_and_second_lease_and_unknown_name_are_refused)
{
	struct hawser_exclusive two = HAWSER_EXCLUSIVE_INIT;
	struct hawser_lease *first;

	two.max_waiting = 2;
	start(_i, &two);
	for (unsigned i = 0; i < 3; i++)
		user_ask_for(&users[i], i);
	user_ask(&users[3], GUARDED, NULL);
	assert_lost(&users[3], HAWSER_RESOURCE_EXHAUSTED, "is held by ada (");
	assert_lost(&users[3], HAWSER_RESOURCE_EXHAUSTED, "2 wait, and more may not; try again");
	user_ask(&users[3], "rpctest.Gadget", NULL);
	assert_lost(&users[3], HAWSER_NOT_FOUND,
		    "\"rpctest.Gadget\": nothing of that name is exclusive here; there is ");
	assert_lost(&users[3], HAWSER_NOT_FOUND, "rpctest.Guarded/Aim");
	for (unsigned i = 0; i < 2; i++) {
		first = users[i].lease;
		users[i].lease = NULL;
		user_ask(&users[i], GUARDED, NULL);
		assert_lost(&users[i], HAWSER_ALREADY_EXISTS, i ? "waits for" : "holds");
		user_free_lease(&users[i]);
		users[i].lease = first;
	}
	/* The first ones stand. */
	assert_waits_at(&users[2], 2);
	stop();
}
END_TEST

START_TEST(nothing_exclusive_says_so)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct hawser_lease *lease = NULL;
	struct hawser_client *client;
	struct tester tester;

	tester_start(&tester, (enum transport)_i, NULL);
	client = hawser_client_new(tester.address, &options, NULL);
	ck_assert_int_eq(hawser_lease_acquire(client, GUARDED, &lease, &context),
			 HAWSER_UNIMPLEMENTED);
	ck_assert_ptr_null(lease);
	ck_assert_ptr_nonnull(strstr(context.error.message, "nothing is exclusive on this server"));
	hawser_context_clear(&context);
	hawser_client_free(client);
	tester_stop(&tester);
}
END_TEST

/* ---- time ---- */

START_TEST(deadline_is_for_the_waiting_alone)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct visit visit;

	start(_i, NULL);
	context.timeout_ms = 20;
	user_ask(&users[0], GUARDED, &context);
	assert_held(&users[0]);
	user_ask(&users[1], GUARDED, &context);
	assert_lost(&users[1], HAWSER_DEADLINE_EXCEEDED, "deadline passed while it waited in line");
	/* That one waited as long as the first one would have had. */
	ck_assert_int_eq(users[0].state, HAWSER_LEASE_HELD);
	visit_make(&visit, &users[0], GUARDED_MOVE);
	ck_assert_int_eq(visit.status, HAWSER_OK);
	user_ask_for(&users[2], 1);
	stop();
}
END_TEST

START_TEST(nobody_waits_longer_than_is_allowed)
{
	struct hawser_exclusive shortly = HAWSER_EXCLUSIVE_INIT;

	shortly.max_wait_ms = 20;
	start(_i, &shortly);
	user_ask_for(&users[0], 0);
	user_ask_for(&users[1], 1);
	assert_lost(
		&users[1], HAWSER_DEADLINE_EXCEEDED,
		"waited 20 ms in line, the longest that is allowed here: rpctest.Guarded is held "
		"by ada");
	ck_assert_int_eq(users[0].state, HAWSER_LEASE_HELD);
	stop();
}
END_TEST

/* ---- calls under way ---- */

START_TEST(lease_passes_on_when_the_calls_under_it_have_ended)
{
	struct visit first, second;

	start(_i, NULL);
	user_ask_for(&users[0], 0);
	user_ask_for(&users[1], 1);
	visit_start(&first, &users[0], GUARDED_HOLD, NULL);
	visit_start(&second, &users[0], GUARDED_HOLD, NULL);
	guarded_held(&guarded, 1);
	user_release(&users[0]);
	guarded_answer(&guarded, 0);
	visit_wait(&first, &users[0]);
	ck_assert_int_eq(first.status, HAWSER_OK);
	/* One still runs. */
	ck_assert_int_eq(users[1].state, HAWSER_LEASE_WAITING);
	visit_make(&first, &users[0], GUARDED_MOVE);
	assert_refused(&first, HAWSER_FAILED_PRECONDITION, HAWSER_OUTCOME_NOT_EXECUTED,
		       "acquire it first");
	ck_assert_int_eq(users[1].state, HAWSER_LEASE_WAITING);
	guarded_answer(&guarded, 1);
	assert_held(&users[1]);
	visit_wait(&second, &users[0]);
	ck_assert_int_eq(second.status, HAWSER_OK);
	ck_assert_uint_eq(second.fencing, users[0].fencing);
	stop();
}
END_TEST

START_TEST(calls_that_go_on_after_a_release_have_so_much_time)
{
	struct hawser_exclusive shortly = HAWSER_EXCLUSIVE_INIT;
	struct visit visit;

	shortly.settle_timeout_ms = 20;
	start(_i, &shortly);
	user_ask_for(&users[0], 0);
	user_ask_for(&users[1], 1);
	visit_start(&visit, &users[0], GUARDED_HOLD, NULL);
	guarded_held(&guarded, 0);
	user_release(&users[0]);
	assert_held(&users[1]);
	visit_wait(&visit, &users[0]);
	assert_refused(&visit, HAWSER_ABORTED, HAWSER_OUTCOME_EXECUTED, "was given up 20 ms ago");
	run_until(&guarded, guarded_n_cancelled(&guarded) == 1);
	stop();
}
END_TEST

/* ---- set-up ---- */

static bool says(const struct hawser_error *error, const char *part)
{
	return strstr(error->message, part);
}

START_TEST(what_cannot_be_exclusive_says_why)
{
	struct hawser_server_options options = tester_options();
	struct hawser_exclusive exclusive = HAWSER_EXCLUSIVE_INIT;
	struct hawser_error error;
	struct hawser_server *server = hawser_server_new(&options, &error);
	static const struct rpctest_second_service second = {.echo = NULL};

	ck_assert_int_eq(hawser_server_set_exclusive(NULL, GUARDED, NULL, &error), -EINVAL);
	ck_assert_int_eq(hawser_server_set_exclusive(server, NULL, NULL, &error), -EINVAL);
	ck_assert_int_eq(hawser_server_set_exclusive(server, "rpctest.Second", NULL, &error),
			 -ENOENT);
	ck_assert(
		says(&error, "exclusive rpctest.Second: no such service or method is registered"));
	ck_assert_int_eq(rpctest_second_register(server, &second, NULL, &error), 0);
	ck_assert_int_eq(hawser_server_set_exclusive(server, "rpctest.Second/Ech", NULL, &error),
			 -ENOENT);
	exclusive.size = 3;
	ck_assert_int_eq(hawser_server_set_exclusive(server, "rpctest.Second", &exclusive, &error),
			 -EINVAL);
	ck_assert(says(&error, "HAWSER_EXCLUSIVE_INIT"));
	exclusive = (struct hawser_exclusive)HAWSER_EXCLUSIVE_INIT;
	exclusive.max_waiting = 65537;
	ck_assert_int_eq(hawser_server_set_exclusive(server, "rpctest.Second", &exclusive, &error),
			 -EINVAL);
	ck_assert(says(&error, "65536"));
	exclusive.max_waiting = 0;
	exclusive.policy = (enum hawser_exclusive_policy)7;
	ck_assert_int_eq(hawser_server_set_exclusive(server, "rpctest.Second", &exclusive, &error),
			 -EINVAL);
	ck_assert(says(&error, "policy 7"));
	ck_assert_int_eq(hawser_server_set_exclusive(server, "rpctest.Second/Echo", NULL, &error),
			 0);
	ck_assert_int_eq(hawser_server_set_exclusive(server, "rpctest.Second", NULL, &error), 0);
	ck_assert_int_eq(hawser_server_set_exclusive(server, "hawser.Leases", NULL, &error),
			 -EINVAL);
	ck_assert_int_eq(hawser_server_set_operator(NULL, NULL, NULL), -EINVAL);
	ck_assert_int_eq(hawser_server_set_operator(server, NULL, NULL), 0);
	hawser_server_free(server);
}
END_TEST

START_TEST(exclusive_is_said_before_the_server_runs)
{
	struct hawser_error error;
	struct visit visit;

	start(_i, NULL);
	visit_make(&visit, &users[0], GUARDED_LOOK);
	ck_assert_int_eq(hawser_server_set_exclusive(guarded.tester.server, GUARDED, NULL, &error),
			 -EBUSY);
	ck_assert_int_eq(hawser_server_set_operator(guarded.tester.server, NULL, NULL), -EBUSY);
	stop();
}
END_TEST

START_TEST(fencing_begins_where_it_is_told_to)
{
	struct hawser_exclusive exclusive = HAWSER_EXCLUSIVE_INIT;

	exclusive.first_fencing = 42;
	start(_i, &exclusive);
	user_ask_for(&users[0], 0);
	ck_assert_uint_eq(users[0].fencing, 42);
	user_release(&users[0]);
	user_ask_for(&users[1], 0);
	ck_assert_uint_eq(users[1].fencing, 43);
	stop();
}
END_TEST

START_TEST(fencing_rises_from_one_server_to_the_next)
{
	uint64_t fencing;

	start(_i, NULL);
	user_ask_for(&users[0], 0);
	fencing = users[0].fencing;
	stop();
	start(_i, NULL);
	user_ask_for(&users[0], 0);
	ck_assert_uint_gt(users[0].fencing, fencing);
	stop();
}
END_TEST

START_TEST(misuse_is_an_error_code)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct hawser_client *client;
	struct hawser_lease *lease = NULL;

	start(_i, NULL);
	client = hawser_client_new(guarded.tester.address, &options, NULL);
	ck_assert_int_eq(hawser_lease_acquire(NULL, GUARDED, &lease, &context),
			 HAWSER_INVALID_ARGUMENT);
	ck_assert_int_eq(hawser_lease_acquire(client, NULL, &lease, &context),
			 HAWSER_INVALID_ARGUMENT);
	ck_assert_int_eq(hawser_lease_acquire(client, GUARDED, NULL, &context),
			 HAWSER_INVALID_ARGUMENT);
	ck_assert_int_eq(hawser_lease_acquire(users[0].client, GUARDED, &lease, &context),
			 HAWSER_FAILED_PRECONDITION);
	ck_assert(says(&context.error, "runs on an event_base"));
	ck_assert_ptr_null(
		hawser_lease_acquire_async(client, GUARDED, (hawser_lease_fn *)1, NULL, NULL));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_null(hawser_lease_acquire_async(users[0].client, GUARDED, NULL, NULL, NULL));
	ck_assert_int_eq(hawser_lease_release(NULL, &context), HAWSER_INVALID_ARGUMENT);
	ck_assert_int_eq(hawser_lease_hand_over(NULL, 1, NULL, &context), HAWSER_INVALID_ARGUMENT);
	ck_assert_int_eq(hawser_lease_wait(NULL), HAWSER_INVALID_ARGUMENT);
	ck_assert_int_eq(hawser_lease_get_state(NULL), HAWSER_LEASE_OVER);
	ck_assert_int_eq(hawser_lease_error(NULL)->status, HAWSER_INVALID_ARGUMENT);
	ck_assert_uint_eq(hawser_lease_fencing(NULL) + hawser_lease_ticket(NULL) +
				  hawser_lease_position(NULL),
			  0);
	ck_assert_int_eq(hawser_lease_holders(client, NULL, NULL, NULL, &context),
			 HAWSER_INVALID_ARGUMENT);
	ck_assert_int_eq(hawser_lease_force_release(client, NULL, 0, NULL, &context),
			 HAWSER_INVALID_ARGUMENT);
	hawser_lease_free(NULL);
	ck_assert_uint_eq(hawser_call_fencing(NULL), 0);
	ck_assert_int_eq(hawser_lease_acquire(client, GUARDED, &lease, &context), HAWSER_OK);
	ck_assert_int_eq(hawser_lease_hand_over(lease, 0, NULL, &context), HAWSER_INVALID_ARGUMENT);
	hawser_lease_free(lease);
	hawser_context_clear(&context);
	hawser_client_free(client);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/leases");
	TCase *tcase = suite_case(suite, "who may call");

	tcase_add_loop_test(tcase, only_the_holder_calls, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, method_of_its_own_and_one_for_everybody_are_not_the_services, 0,
			    TRANSPORTS);
	tcase_add_loop_test(tcase, streams_need_a_lease_too, 0, TRANSPORTS);

	tcase = suite_case(suite, "line");
	tcase_add_loop_test(tcase, line_moves_up_and_each_is_told, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, waiter_gives_up_its_place_by_release, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, so_many_hold_as_are_allowed, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, full_line_and_second_lease_and_unknown_name_are_refused, 0,
			    TRANSPORTS);
	tcase_add_loop_test(tcase, nothing_exclusive_says_so, 0, TRANSPORTS);

	tcase = suite_case(suite, "time");
	tcase_add_loop_test(tcase, deadline_is_for_the_waiting_alone, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, nobody_waits_longer_than_is_allowed, 0, TRANSPORTS);

	tcase = suite_case(suite, "calls under way");
	tcase_add_loop_test(tcase, lease_passes_on_when_the_calls_under_it_have_ended, 0,
			    TRANSPORTS);
	tcase_add_loop_test(tcase, calls_that_go_on_after_a_release_have_so_much_time, 0,
			    TRANSPORTS);

	tcase = suite_case(suite, "set-up");
	tcase_add_test(tcase, what_cannot_be_exclusive_says_why);
	tcase_add_loop_test(tcase, exclusive_is_said_before_the_server_runs, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, fencing_begins_where_it_is_told_to, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, fencing_rises_from_one_server_to_the_next, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, misuse_is_an_error_code, 0, TRANSPORTS);
	return suite_run(suite);
}
