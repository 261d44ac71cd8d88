/* Leases on servers with several loops: what one loop's clients give up goes to another's. */

#include "guarded.h"
#include "relayed.h"
#include "support/random.h"
#include "support/suite.h"
#include <stdlib.h>
#include <string.h>

enum { LOOPS = 4, CLIENTS = 8, ROUNDS = 40, CALLS = 3 };

static struct guarded guarded;
static atomic_ullong last_fencing;

static void start(int transport, struct hawser_exclusive exclusive)
{
	struct hawser_server_options options = tester_options();

	options.loops = LOOPS;
	guarded_start(&guarded, (enum transport)transport, &options, &exclusive);
	atomic_store(&last_fencing, 0);
}

/* One who competes, on a thread with a client that waits. */
struct rival {
	pthread_t thread;
	struct relay relay;
	struct hawser_client *client;
	unsigned index, n_wrong, n_held;
	char text[HAWSER_ERROR_MESSAGE_SIZE];
	unsigned rounds;
	bool is_cut; /* its connection is, now and then */
};

static void wrong(struct rival *rival, const char *what, const struct hawser_error *error)
{
	if (!rival->n_wrong++)
		snprintf(rival->text, sizeof rival->text, "%s: %.200s", what, error->message);
}

static void use(struct rival *rival, uint64_t fencing)
{
	static const Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Rpctest__Payload *reply;

	for (int i = 0; i < CALLS; i++) {
		if (rpctest_guarded_move(rival->client, &request, &reply, &context) != HAWSER_OK) {
			wrong(rival, "move", &context.error);
			continue;
		}
		if ((uint64_t)reply->number != fencing)
			wrong(rival, "another fencing number", &context.error);
		rpctest__payload__free_unpacked(reply, NULL);
	}
	hawser_context_clear(&context);
}

static void *compete(void *data)
{
	struct rival *rival = data;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct hawser_lease *lease;

	context.timeout_ms = HAWSER_NO_DEADLINE;
	for (unsigned round = 0; round < rival->rounds; round++) {
		uint64_t fencing;

		if (rival->is_cut && round % 4 == 0)
			relay_cut_after(&rival->relay, round % 8 ? FROM_CLIENT : FROM_SERVER,
					rival->index * 13 + round,
					(enum relay_cut)(round / 4 % CUT_SERVER));
		if (hawser_lease_acquire(rival->client, GUARDED, &lease, &context) != HAWSER_OK) {
			wrong(rival, "acquire", &context.error);
			continue;
		}
		fencing = hawser_lease_fencing(lease);
		if (atomic_exchange(&last_fencing, fencing) >= fencing)
			wrong(rival, "a fencing number that is no higher", &context.error);
		use(rival, fencing);
		rival->n_held++;
		if (round % 2 && hawser_lease_release(lease, &context) != HAWSER_OK)
			wrong(rival, "release", &context.error);
		hawser_lease_free(lease);
	}
	hawser_context_clear(&context);
	return NULL;
}

static void compete_all(bool is_cut)
{
	struct hawser_client_options options = relayed_options();
	static struct rival rivals[CLIENTS];

	memset(rivals, 0, sizeof rivals);
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct rival *rival = &rivals[i];

		rival->index = i;
		rival->is_cut = is_cut;
		rival->rounds = (unsigned)suite_rounds(ROUNDS);
		relay_start(&rival->relay, guarded.tester.directory[0] ? OVER_UNIX : OVER_TCP,
			    guarded.tester.address);
		rival->client = hawser_client_new(rival->relay.address, &options, NULL);
		ck_assert_int_eq(hawser_client_connect(rival->client, NULL), 0);
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		ck_assert_int_eq(pthread_create(&rivals[i].thread, NULL, compete, &rivals[i]), 0);
	for (unsigned i = 0; i < CLIENTS; i++) {
		pthread_join(rivals[i].thread, NULL);
		ck_assert_msg(rivals[i].n_wrong == 0, "%u wrong, the first: %s", rivals[i].n_wrong,
			      rivals[i].text);
		ck_assert_uint_eq(rivals[i].n_held, rivals[i].rounds);
		hawser_client_free(rivals[i].client);
		relay_stop(&rivals[i].relay);
	}
	ck_assert_uint_eq(guarded.n_moved, CLIENTS * CALLS * rivals[0].rounds);
	ck_assert_uint_eq(guarded.n_inside_most, 1);
}

START_TEST(lease_goes_from_loop_to_loop)
{
	start(_i, (struct hawser_exclusive)HAWSER_EXCLUSIVE_INIT);
	compete_all(false);
	guarded_stop(&guarded);
}
END_TEST

START_TEST(lease_goes_from_loop_to_loop_while_connections_break)
{
	start(_i, (struct hawser_exclusive)HAWSER_EXCLUSIVE_INIT);
	compete_all(true);
	guarded_stop(&guarded);
}
END_TEST

/* Handlers may block: they run on threads of the pool, of which there are enough for all. */
static void start_pool(int transport, enum hawser_exclusive_policy policy)
{
	struct hawser_exclusive exclusive = HAWSER_EXCLUSIVE_INIT;
	struct hawser_server_options options = tester_options();

	options.loops = LOOPS;
	options.worker_threads = CLIENTS;
	exclusive.policy = policy;
	guarded_prepare(&guarded, (enum transport)transport, &options, &exclusive);
	ck_assert_int_eq(hawser_server_set_blocking(guarded.tester.server, GUARDED, NULL), 0);
	guarded_run(&guarded);
	atomic_store(&last_fencing, 0);
}

START_TEST(lease_goes_from_thread_to_thread_of_the_pool)
{
	start_pool(_i, HAWSER_EXCLUSIVE_REFUSE);
	compete_all(true);
	guarded_stop(&guarded);
}
END_TEST

START_TEST(calls_that_wait_by_themselves_run_one_at_a_time_in_the_pool)
{
	enum { EACH = 8 };
	static struct user users[CLIENTS];
	static struct visit visits[CLIENTS][EACH];

	start_pool(_i, HAWSER_EXCLUSIVE_QUEUE);
	for (unsigned i = 0; i < CLIENTS; i++)
		user_init(&users[i], &guarded, NULL, "many", NULL);
	for (unsigned call = 0; call < EACH; call++)
		for (unsigned i = 0; i < CLIENTS; i++)
			visit_start(&visits[i][call], &users[i], GUARDED_MOVE, NULL);
	for (unsigned i = 0; i < CLIENTS; i++)
		for (unsigned call = 0; call < EACH; call++) {
			visit_wait(&visits[i][call], &users[i]);
			ck_assert_msg(visits[i][call].status == HAWSER_OK, "%s",
				      visits[i][call].text);
			ck_assert_uint_gt(visits[i][call].fencing, 0);
		}
	ck_assert_uint_eq(guarded.n_moved, CLIENTS * EACH);
	ck_assert_uint_eq(guarded.n_inside_most, 1);
	for (unsigned i = 0; i < CLIENTS; i++)
		user_deinit(&users[i]);
	guarded_stop(&guarded);
}
END_TEST

/* ---- calls that wait by themselves ---- */

/* Answers what is held, one after the other, from its own thread. */
static void *answer(void *data)
{
	unsigned total = *(unsigned *)data;

	for (unsigned i = 0; i < total; i++) {
		Rpctest__Payload payload = RPCTEST__PAYLOAD__INIT;
		struct hawser_call *call;

		pthread_mutex_lock(&guarded.tester.lock);
		while (guarded.n_held <= i)
			pthread_cond_wait(&guarded.tester.changed, &guarded.tester.lock);
		call = guarded.held[i];
		guarded.n_inside--;
		pthread_mutex_unlock(&guarded.tester.lock);
		payload.number = (int64_t)hawser_call_fencing(call);
		hawser_call_send(call, &rpctest_guarded_descriptor.methods[GUARDED_HOLD],
				 &payload.base);
	}
	return NULL;
}

START_TEST(calls_of_many_loops_run_one_at_a_time)
{
	enum { EACH = GUARDED_HELD_MAX / CLIENTS };
	struct hawser_exclusive exclusive = HAWSER_EXCLUSIVE_INIT;
	static struct user users[CLIENTS];
	static struct visit visits[CLIENTS][EACH];
	unsigned total = CLIENTS * EACH;
	uint64_t least = UINT64_MAX, most = 0;
	pthread_t thread;

	exclusive.policy = HAWSER_EXCLUSIVE_QUEUE;
	exclusive.max_waiting = total;
	start(_i, exclusive);
	ck_assert_int_eq(pthread_create(&thread, NULL, answer, &total), 0);
	for (unsigned i = 0; i < CLIENTS; i++)
		user_init(&users[i], &guarded, NULL, "many", NULL);
	for (unsigned call = 0; call < EACH; call++)
		for (unsigned i = 0; i < CLIENTS; i++)
			visit_start(&visits[i][call], &users[i], GUARDED_HOLD, NULL);
	for (unsigned i = 0; i < CLIENTS; i++)
		for (unsigned call = 0; call < EACH; call++) {
			struct visit *visit = &visits[i][call];

			visit_wait(visit, &users[i]);
			ck_assert_msg(visit->status == HAWSER_OK, "%s", visit->text);
			/* Those of one client in the order in which it made them. */
			if (call)
				ck_assert_uint_gt(visit->fencing, visits[i][call - 1].fencing);
			least = visit->fencing < least ? visit->fencing : least;
			most = visit->fencing > most ? visit->fencing : most;
		}
	pthread_join(thread, NULL);
	ck_assert_uint_eq(most - least, total - 1);
	ck_assert_uint_eq(guarded.n_inside_most, 1);
	for (unsigned i = 0; i < CLIENTS; i++)
		user_deinit(&users[i]);
	guarded_stop(&guarded);
}
END_TEST

/* Their sessions expire, on their loops, in the moment in which they are granted. */
START_TEST(sessions_expire_while_they_are_granted)
{
	struct hawser_server_options options = tester_options();
	struct hawser_client_options client = relayed_options();
	struct hawser_exclusive exclusive = HAWSER_EXCLUSIVE_INIT;
	static struct user users[CLIENTS];
	struct relay relay;
	unsigned rounds = (unsigned)suite_rounds(30);
	struct user last;

	options.loops = LOOPS;
	options.session_window_ms = 1;
	exclusive.max_holders = 2;
	guarded_start(&guarded, (enum transport)_i, &options, &exclusive);
	relay_start(&relay, (enum transport)_i, guarded.tester.address);
	for (unsigned i = 0; i < CLIENTS; i++)
		user_init(&users[i], &guarded, relay.address, "short-lived", &client);
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < CLIENTS; i++)
			user_ask(&users[i], GUARDED, NULL);
		relay_cut(&relay, (enum relay_cut)random_below(CUT_SERVER));
		/* All are over, or hold it again. */
		for (unsigned i = 0; i < CLIENTS; i += 2)
			user_free_lease(&users[i]);
		for (unsigned i = 1; i < CLIENTS; i += 2) {
			run_until(&guarded, users[i].state != HAWSER_LEASE_WAITING);
			user_free_lease(&users[i]);
		}
	}
	user_init(&last, &guarded, NULL, "last", NULL);
	user_ask(&last, GUARDED, NULL);
	assert_held(&last);
	user_deinit(&last);
	for (unsigned i = 0; i < CLIENTS; i++)
		user_deinit(&users[i]);
	relay_stop(&relay);
	guarded_stop(&guarded);
}
END_TEST

START_TEST(server_drains_while_leases_pass_on)
{
	unsigned rounds = (unsigned)suite_rounds(10);

	for (unsigned round = 0; round < rounds; round++) {
		struct hawser_server_options options = tester_options();
		static struct user users[CLIENTS];

		options.loops = LOOPS;
		options.drain_timeout_ms = 60000;
		guarded_start(&guarded, (enum transport)_i, &options, NULL);
		for (unsigned i = 0; i < CLIENTS; i++) {
			user_init(&users[i], &guarded, NULL, "drained", NULL);
			user_ask_for(&users[i], i);
		}
		hawser_server_drain(guarded.tester.server);
		hawser_lease_release(users[0].lease, NULL);
		for (unsigned i = 0; i < CLIENTS; i++)
			run_until(&guarded, users[i].state == HAWSER_LEASE_OVER);
		for (unsigned i = 0; i < CLIENTS; i++)
			user_deinit(&users[i]);
		ck_assert_int_eq(tester_join(&guarded.tester), 0);
		guarded_stop(&guarded);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/leases/loops");
	TCase *tcase = suite_case(suite, "loops");

	tcase_set_timeout(tcase, 170);
	tcase_add_loop_test(tcase, lease_goes_from_loop_to_loop, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, lease_goes_from_loop_to_loop_while_connections_break, 0,
			    TRANSPORTS);
	tcase_add_loop_test(tcase, lease_goes_from_thread_to_thread_of_the_pool, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, calls_that_wait_by_themselves_run_one_at_a_time_in_the_pool, 0,
			    TRANSPORTS);
	tcase_add_loop_test(tcase, calls_of_many_loops_run_one_at_a_time, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, sessions_expire_while_they_are_granted, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, server_drains_while_leases_pass_on, 0, TRANSPORTS);
	return suite_run(suite);
}
