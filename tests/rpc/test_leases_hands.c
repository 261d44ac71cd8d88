/* Handing over, taking away, and who sees what; clients that wait. */

#include "guarded.h"
#include "rpc/lease.hawser.h"
#include "support/suite.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { USERS = 4 };

static struct guarded guarded;
static struct user users[USERS];
static const char *const names[USERS] = {"ada", "grace", "edith", "edith"};
/* One that waits, for what those on a base do not offer. */
static struct hawser_client *waiting;

static void start_with(int transport, const struct hawser_server_options *options)
{
	struct hawser_client_options own = HAWSER_CLIENT_OPTIONS_INIT;

	guarded_start(&guarded, (enum transport)transport, options, NULL);
	for (size_t i = 0; i < USERS; i++)
		user_init(&users[i], &guarded, NULL, names[i], NULL);
	own.name = "blocking";
	waiting = hawser_client_new(guarded.tester.address, &own, NULL);
	ck_assert_ptr_nonnull(waiting);
}

static void start(int transport)
{
	start_with(transport, NULL);
}

static void stop(void)
{
	for (size_t i = 0; i < USERS; i++)
		user_deinit(&users[i]);
	hawser_client_free(waiting);
	guarded_stop(&guarded);
}

#define assert_fails(call, context, expected, part)                                          \
	do {                                                                                 \
		enum hawser_status status_ = (call);                                         \
		ck_assert_msg(status_ == (expected), "%s: %s", hawser_status_name(status_),  \
			      (context)->error.message);                                     \
		ck_assert_msg(strstr((context)->error.message, part),                        \
			      "\"%s\" does not say \"%s\"", (context)->error.message, part); \
	} while (0)

static struct hawser_lease *acquire(void)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct hawser_lease *lease = NULL;

	ck_assert_msg(hawser_lease_acquire(waiting, GUARDED, &lease, &context) == HAWSER_OK, "%s",
		      context.error.message);
	ck_assert_int_eq(hawser_lease_get_state(lease), HAWSER_LEASE_HELD);
	ck_assert_int_eq(hawser_lease_error(lease)->status, HAWSER_OK);
	return lease;
}

/* ---- blocking ---- */

START_TEST(blocking_client_acquires_calls_and_releases)
{
	static const Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct hawser_lease *lease;
	Rpctest__Payload *reply;
	uint64_t fencing;

	start(_i);
	lease = acquire();
	fencing = hawser_lease_fencing(lease);
	ck_assert_uint_gt(hawser_lease_ticket(lease), 0);
	ck_assert_uint_eq(hawser_lease_position(lease), 0);
	ck_assert_int_eq(rpctest_guarded_move(waiting, &request, &reply, &context), HAWSER_OK);
	ck_assert_uint_eq((uint64_t)reply->number, fencing);
	rpctest__payload__free_unpacked(reply, NULL);
	assert_fails(hawser_lease_acquire(waiting, GUARDED, &lease, &context), &context,
		     HAWSER_ALREADY_EXISTS, "this session holds rpctest.Guarded already");
	ck_assert_int_eq(hawser_lease_release(lease, &context), HAWSER_OK);
	ck_assert_int_eq(hawser_lease_get_state(lease), HAWSER_LEASE_OVER);
	ck_assert_int_eq(hawser_lease_error(lease)->status, HAWSER_OK);
	/* Once more is harmless. */
	ck_assert_int_eq(hawser_lease_release(lease, &context), HAWSER_OK);
	ck_assert_int_eq(hawser_lease_wait(lease), HAWSER_OK);
	assert_fails(rpctest_guarded_move(waiting, &request, &reply, &context), &context,
		     HAWSER_FAILED_PRECONDITION, "acquire it first");
	hawser_lease_free(lease);
	/* Freed while it is held: the next call finds it given up. */
	hawser_lease_free(acquire());
	lease = acquire();
	ck_assert_uint_eq(hawser_lease_fencing(lease), fencing + 2);
	hawser_lease_free(lease);
	hawser_context_clear(&context);
	stop();
}
END_TEST

struct watcher {
	pthread_t thread;
	unsigned positions[8], n;
	struct hawser_lease *lease;
	enum hawser_status status;
	struct hawser_context context;
};

static void on_position(unsigned position, void *data)
{
	struct watcher *watcher = data;

	pthread_mutex_lock(&guarded.tester.lock);
	if (watcher->n < 8)
		watcher->positions[watcher->n++] = position;
	pthread_mutex_unlock(&guarded.tester.lock);
}

static unsigned n_positions(struct watcher *watcher)
{
	unsigned n;

	pthread_mutex_lock(&guarded.tester.lock);
	n = watcher->n;
	pthread_mutex_unlock(&guarded.tester.lock);
	return n;
}

static void *watch(void *data)
{
	struct watcher *watcher = data;

	watcher->status = hawser_lease_acquire_watched(waiting, GUARDED, on_position, watcher,
						       &watcher->lease, &watcher->context);
	return NULL;
}

static void watcher_start(struct watcher *watcher)
{
	*watcher = (struct watcher){.context = HAWSER_CONTEXT_INIT};
	ck_assert_int_eq(pthread_create(&watcher->thread, NULL, watch, watcher), 0);
}

START_TEST(blocking_client_is_told_its_position)
{
	struct watcher watcher;

	start(_i);
	user_ask_for(&users[0], 0);
	user_ask_for(&users[1], 1);
	watcher_start(&watcher);
	run_until(&guarded, n_positions(&watcher) == 1);
	user_release(&users[0]);
	run_until(&guarded, n_positions(&watcher) == 2);
	user_release(&users[1]);
	pthread_join(watcher.thread, NULL);
	ck_assert_int_eq(watcher.status, HAWSER_OK);
	ck_assert_uint_eq(watcher.positions[0], 2);
	ck_assert_uint_eq(watcher.positions[1], 1);
	ck_assert_uint_eq(watcher.n, 2);
	hawser_lease_free(watcher.lease);
	stop();
}
END_TEST

START_TEST(blocking_client_waits_no_longer_than_its_deadline)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct hawser_lease *lease = NULL;

	start(_i);
	user_ask_for(&users[0], 0);
	context.timeout_ms = 20;
	assert_fails(hawser_lease_acquire(waiting, GUARDED, &lease, &context), &context,
		     HAWSER_DEADLINE_EXCEEDED, "deadline");
	ck_assert_ptr_null(lease);
	/* It has no place in line any more. */
	user_ask_for(&users[1], 1);
	hawser_context_clear(&context);
	stop();
}
END_TEST

struct waiter {
	pthread_t thread;
	struct hawser_lease *lease;
	enum hawser_status status;
};

static void *wait_for_end(void *data)
{
	struct waiter *waiter = data;

	waiter->status = hawser_lease_wait(waiter->lease);
	return NULL;
}

START_TEST(thread_can_wait_for_the_end_of_a_lease)
{
	struct hawser_server_options options = tester_options();
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct waiter waiter = {.status = HAWSER_OK};

	options.allow_force_release = true;
	start_with(OVER_UNIX, &options);
	waiter.lease = acquire();
	ck_assert_int_eq(pthread_create(&waiter.thread, NULL, wait_for_end, &waiter), 0);
	ck_assert_int_eq(hawser_lease_force_release(waiting, GUARDED, 0, "maintenance", &context),
			 HAWSER_OK);
	pthread_join(waiter.thread, NULL);
	ck_assert_int_eq(waiter.status, HAWSER_ABORTED);
	ck_assert_int_eq(hawser_lease_get_state(waiter.lease), HAWSER_LEASE_OVER);
	ck_assert_ptr_nonnull(strstr(hawser_lease_error(waiter.lease)->message,
				     "the lease of rpctest.Guarded was taken away by force: "
				     "maintenance"));
	ck_assert_int_eq(hawser_lease_release(waiter.lease, &context), HAWSER_OK);
	hawser_lease_free(waiter.lease);
	hawser_context_clear(&context);
	stop();
}
END_TEST

START_TEST(loss_is_seen_without_a_call)
{
	struct hawser_server_options options = tester_options();
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct hawser_client *operator_client;
	struct hawser_lease *lease;

	options.allow_force_release = true;
	start_with(OVER_UNIX, &options);
	lease = acquire();
	operator_client = hawser_client_new(guarded.tester.address, NULL, NULL);
	ck_assert_int_eq(hawser_lease_force_release(operator_client, GUARDED, 0, NULL, &context),
			 HAWSER_OK);
	/* Its keeper reads. */
	run_until(&guarded, hawser_lease_get_state(lease) == HAWSER_LEASE_OVER);
	ck_assert_int_eq(hawser_lease_error(lease)->status, HAWSER_ABORTED);
	ck_assert_ptr_nonnull(strstr(hawser_lease_error(lease)->message, "no reason was given"));
	hawser_lease_free(lease);
	hawser_client_free(operator_client);
	hawser_context_clear(&context);
	stop();
}
END_TEST

/* ---- handing over ---- */

START_TEST(lease_is_handed_to_whom_it_is_meant_for)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct hawser_lease *lease;
	uint64_t fencing;

	start(_i);
	lease = acquire();
	fencing = hawser_lease_fencing(lease);
	for (unsigned i = 0; i < USERS; i++)
		user_ask_for(&users[i], i + 1);
	assert_fails(hawser_lease_hand_over(lease, 0, "hedy", &context), &context, HAWSER_NOT_FOUND,
		     "nobody waits for rpctest.Guarded as \"hedy\"; see Holders");
	assert_fails(hawser_lease_hand_over(lease, 999, NULL, &context), &context, HAWSER_NOT_FOUND,
		     "nobody waits for rpctest.Guarded with ticket 999");
	assert_fails(hawser_lease_hand_over(lease, 0, "edith", &context), &context,
		     HAWSER_INVALID_ARGUMENT, "2 wait for rpctest.Guarded as \"edith\"");
	ck_assert_int_eq(hawser_lease_get_state(lease), HAWSER_LEASE_HELD);
	ck_assert_int_eq(hawser_lease_hand_over(lease, 0, "grace", &context), HAWSER_OK);
	ck_assert_int_eq(hawser_lease_get_state(lease), HAWSER_LEASE_OVER);
	ck_assert_int_eq(hawser_lease_error(lease)->status, HAWSER_OK);
	assert_held(&users[1]);
	ck_assert_uint_eq(users[1].fencing, fencing + 1);
	assert_waits_at(&users[0], 1);
	assert_waits_at(&users[2], 2);
	assert_waits_at(&users[3], 3);
	assert_fails(hawser_lease_hand_over(lease, 0, "ada", &context), &context,
		     HAWSER_FAILED_PRECONDITION, "neither holds rpctest.Guarded nor waits");
	hawser_lease_free(lease);
	hawser_context_clear(&context);
	stop();
}
END_TEST

START_TEST(lease_is_handed_to_a_ticket)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct hawser_lease *lease;

	start(_i);
	lease = acquire();
	for (unsigned i = 0; i < USERS; i++)
		user_ask_for(&users[i], i + 1);
	ck_assert_int_eq(
		hawser_lease_hand_over(lease, hawser_lease_ticket(users[3].lease), NULL, &context),
		HAWSER_OK);
	assert_held(&users[3]);
	assert_waits_at(&users[2], 3);
	hawser_lease_free(lease);
	hawser_context_clear(&context);
	stop();
}
END_TEST

/* ---- by force ---- */

START_TEST(nobody_takes_a_lease_away_unless_the_server_lets)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;

	start(_i);
	user_ask_for(&users[0], 0);
	assert_fails(hawser_lease_force_release(waiting, GUARDED, 0, "mine", &context), &context,
		     HAWSER_PERMISSION_DENIED, "started with allow_force_release");
	ck_assert_int_eq(users[0].state, HAWSER_LEASE_HELD);
	hawser_context_clear(&context);
	stop();
}
END_TEST

START_TEST(option_lets_the_same_user_on_a_unix_socket)
{
	struct hawser_server_options options = tester_options();
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	enum hawser_status status;

	options.allow_force_release = true;
	start_with(_i, &options);
	user_ask_for(&users[0], 0);
	user_ask_for(&users[1], 1);
	status = hawser_lease_force_release(waiting, GUARDED, 0, "mine", &context);
	if (_i == OVER_UNIX) {
		ck_assert_int_eq(status, HAWSER_OK);
		assert_lost(&users[0], HAWSER_ABORTED, "taken away by force: mine");
		assert_held(&users[1]);
	} else {
		ck_assert_int_eq(status, HAWSER_PERMISSION_DENIED);
	}
	hawser_context_clear(&context);
	stop();
}
END_TEST

static bool only_blocking(struct hawser_call *call, const char *resource, void *data)
{
	const struct hawser_metadata *secret = hawser_call_find_metadata(call, "operator");

	return secret && strcmp(resource, data) == 0;
}

START_TEST(callback_says_who_is_an_operator)
{
	static const struct hawser_metadata metadata[] = {{"operator", "yes", 3}};
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct visit visit;
	static char resource[] = GUARDED;

	memset(&guarded, 0, sizeof guarded);
	guarded_prepare(&guarded, (enum transport)_i, NULL, NULL);
	ck_assert_int_eq(hawser_server_set_operator(guarded.tester.server, only_blocking, resource),
			 0);
	guarded_run(&guarded);
	for (size_t i = 0; i < USERS; i++)
		user_init(&users[i], &guarded, NULL, names[i], NULL);
	waiting = hawser_client_new(guarded.tester.address, NULL, NULL);

	user_ask_for(&users[0], 0);
	user_ask_for(&users[1], 1);
	visit_start(&visit, &users[0], GUARDED_HOLD, NULL);
	guarded_held(&guarded, 0);
	assert_fails(hawser_lease_force_release(waiting, GUARDED, 0, "mine", &context), &context,
		     HAWSER_PERMISSION_DENIED, "hawser_server_set_operator()");
	context.metadata = metadata;
	context.n_metadata = 1;
	assert_fails(hawser_lease_force_release(waiting, GUARDED,
						hawser_lease_ticket(users[1].lease), "mine",
						&context),
		     &context, HAWSER_NOT_FOUND, "nobody holds rpctest.Guarded with ticket");
	ck_assert_int_eq(hawser_lease_force_release(waiting, GUARDED,
						    hawser_lease_ticket(users[0].lease), "mine",
						    &context),
			 HAWSER_OK);
	/* At once, although a call runs; that is told, and its handler. */
	assert_held(&users[1]);
	assert_lost(&users[0], HAWSER_ABORTED, "by force: mine");
	visit_wait(&visit, &users[0]);
	assert_refused(&visit, HAWSER_ABORTED, HAWSER_OUTCOME_EXECUTED,
		       "the lease of rpctest.Guarded was taken away by force: mine");
	run_until(&guarded, guarded_n_cancelled(&guarded) == 1);
	ck_assert_uint_gt(users[1].fencing, guarded.fencing[0]);
	ck_assert_int_eq(hawser_lease_force_release(waiting, GUARDED, 0, NULL, &context),
			 HAWSER_OK);
	assert_lost(&users[1], HAWSER_ABORTED, "no reason");
	assert_fails(hawser_lease_force_release(waiting, GUARDED, 0, NULL, &context), &context,
		     HAWSER_NOT_FOUND, "nobody holds rpctest.Guarded");
	assert_fails(hawser_lease_force_release(waiting, "x", 0, NULL, &context), &context,
		     HAWSER_NOT_FOUND, "\"x\": nothing of that name");
	hawser_context_clear(&context);
	stop();
}
END_TEST

/* ---- who sees what ---- */

struct seen {
	char text[2048];
	size_t length;
};

static void see_each(struct seen *seen, const struct hawser_lease_holder *holders, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct hawser_lease_holder *holder = &holders[i];

		ck_assert_ptr_nonnull(strstr(holder->peer, ":"));
		seen->length += (size_t)snprintf(
			seen->text + seen->length, sizeof seen->text - seen->length,
			" %s#%u%s%s%s%s/%u", holder->name, (unsigned)holder->ticket,
			holder->fencing ? "+" : "", holder->is_away ? " away" : "",
			holder->is_call ? " call" : "", holder->is_settling ? " settling" : "",
			holder->calls);
	}
}

static void see(const struct hawser_lease_resource *resource, void *data)
{
	struct seen *seen = data;

	ck_assert_uint_eq(resource->n_holders, resource->n_listed_holders);
	ck_assert_uint_eq(resource->n_waiting, resource->n_listed_waiting);
	seen->length += (size_t)snprintf(
		seen->text + seen->length, sizeof seen->text - seen->length,
		"%s %u %u:", resource->name, resource->max_holders, resource->max_waiting);
	see_each(seen, resource->holders, resource->n_listed_holders);
	seen->length +=
		(size_t)snprintf(seen->text + seen->length, sizeof seen->text - seen->length, ";");
	see_each(seen, resource->waiting, resource->n_listed_waiting);
	seen->length +=
		(size_t)snprintf(seen->text + seen->length, sizeof seen->text - seen->length, "\n");
}

static const char *look(const char *resource)
{
	static struct seen seen;
	struct hawser_context context = HAWSER_CONTEXT_INIT;

	seen.length = 0;
	ck_assert_msg(hawser_lease_holders(waiting, resource, see, &seen, &context) == HAWSER_OK,
		      "%s", context.error.message);
	hawser_context_clear(&context);
	return seen.text;
}

START_TEST(everybody_sees_who_holds_and_who_waits)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct visit visit;

	start(_i);
	ck_assert_str_eq(look(GUARDED), "rpctest.Guarded 1 64:;\n");
	user_ask_for(&users[0], 0);
	user_ask_for(&users[1], 1);
	user_ask_for(&users[2], 2);
	visit_start(&visit, &users[0], GUARDED_HOLD, NULL);
	guarded_held(&guarded, 0);
	ck_assert_str_eq(look(GUARDED), "rpctest.Guarded 1 64: ada#1+/1; grace#2/0 edith#3/0\n");
	user_release(&users[0]);
	ck_assert_str_eq(look(GUARDED),
			 "rpctest.Guarded 1 64: ada#1+ settling/1; grace#2/0 edith#3/0\n");
	guarded_answer(&guarded, 0);
	assert_held(&users[1]);
	user_ask(&users[3], AIM, NULL);
	ck_assert_str_eq(look(NULL), "rpctest.Guarded 1 64: grace#2+/0; edith#3/0\n"
				     "rpctest.Guarded/Aim 1 64: edith#4+/0;\n");
	assert_fails(hawser_lease_holders(waiting, "x", see, NULL, &context), &context,
		     HAWSER_NOT_FOUND, "there is rpctest.Guarded, rpctest.Guarded/Aim");
	visit_wait(&visit, &users[0]);
	hawser_context_clear(&context);
	stop();
}
END_TEST

START_TEST(names_are_one_short_line)
{
	Hawser__LeaseAcquireRequest request = HAWSER__LEASE_ACQUIRE_REQUEST__INIT;
	Hawser__LeaseAcquireReply *reply;
	struct hawser_call *call;
	char name[300];

	start(_i);
	memset(name, 'x', sizeof name);
	name[sizeof name - 1] = 0;
	memcpy(name, "a\nb\x7f", 4);
	/* A character of two bytes would be cut in the middle. */
	memcpy(name + 127, "\xc3\xa9", 2);
	request.resource = (char *)(uintptr_t)GUARDED;
	request.name = name;
	call = hawser_leases_acquire(waiting, &request, NULL);
	ck_assert_int_eq(hawser_leases_acquire_recv(call, &reply), 1);
	hawser__lease_acquire_reply__free_unpacked(reply, NULL);
	name[1] = name[3] = '?';
	name[127] = 0;
	ck_assert_ptr_nonnull(strstr(look(GUARDED), name));
	ck_assert_ptr_null(strstr(look(GUARDED), "\xc3"));
	hawser_call_free(call);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/leases/hands");
	TCase *tcase = suite_case(suite, "blocking");

	tcase_add_loop_test(tcase, blocking_client_acquires_calls_and_releases, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, blocking_client_is_told_its_position, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, blocking_client_waits_no_longer_than_its_deadline, 0,
			    TRANSPORTS);
	tcase_add_test(tcase, thread_can_wait_for_the_end_of_a_lease);
	tcase_add_test(tcase, loss_is_seen_without_a_call);

	tcase = suite_case(suite, "hand over");
	tcase_add_loop_test(tcase, lease_is_handed_to_whom_it_is_meant_for, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, lease_is_handed_to_a_ticket, 0, TRANSPORTS);

	tcase = suite_case(suite, "force");
	tcase_add_loop_test(tcase, nobody_takes_a_lease_away_unless_the_server_lets, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, option_lets_the_same_user_on_a_unix_socket, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, callback_says_who_is_an_operator, 0, TRANSPORTS);

	tcase = suite_case(suite, "see");
	tcase_add_loop_test(tcase, everybody_sees_who_holds_and_who_waits, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, names_are_one_short_line, 0, TRANSPORTS);
	return suite_run(suite);
}
