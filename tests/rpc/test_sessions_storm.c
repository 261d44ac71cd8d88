/* Many clients of both kinds, on many threads, with calls that are cancelled, run out of time and
 * are answered late, through connections that break all the time in every way. Afterwards the
 * server's own count of what it executed has to agree with what each caller was told. */

#include "relayed.h"
#include "support/random.h"
#include "support/suite.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	BLOCKING_CLIENTS = 2,
	THREADS_EACH = 3,
	ASYNC_CLIENTS = 2,
	CLIENTS = BLOCKING_CLIENTS + ASYNC_CLIENTS,
	WORKERS = BLOCKING_CLIENTS * THREADS_EACH + ASYNC_CLIENTS,
	CALLS_BLOCKING = 300,
	CALLS_ASYNC = 1500,
	IN_FLIGHT = 24,
	CALLS_MOST = WORKERS * CALLS_ASYNC,
	LARGEST = 40000,
};

/* ---- the server ---- */

struct storm {
	struct tester tester; /* its server has handlers of ours */
	struct relay relays[CLIENTS];
	struct caller callers[CLIENTS];
	atomic_uchar executed[CALLS_MOST];
	bool loses_sessions;
	atomic_bool is_over;

	/* What is to be answered later, by a thread of its own. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct hawser_call *late[WORKERS * IN_FLIGHT * 64];
	uint64_t late_ids[WORKERS * IN_FLIGHT * 64];
	unsigned n_late;
};

static void on_echo(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct storm *storm = data;

	storm->executed[request->id]++;
	rpctest_tester_echo_reply(call, request);
}

static void on_hold(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct storm *storm = data;

	storm->executed[request->id]++;
	pthread_mutex_lock(&storm->lock);
	storm->late[storm->n_late] = call;
	storm->late_ids[storm->n_late++] = request->id;
	pthread_cond_signal(&storm->changed);
	pthread_mutex_unlock(&storm->lock);
}

static const struct rpctest_tester_service handlers = {.echo = on_echo, .hold = on_hold};

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* In any order, each with the number that it came with. */
static void *answer_late(void *data)
{
	struct storm *storm = data;
	Rpctest__Payload reply = RPCTEST__PAYLOAD__INIT;
	uint64_t random = 88172645463325252ull;

	pthread_mutex_lock(&storm->lock);
	while (!storm->is_over || storm->n_late) {
		struct hawser_call *call;
		unsigned i;

		if (!storm->n_late) {
			pthread_cond_wait(&storm->changed, &storm->lock);
			continue;
		}
		i = (unsigned)(next(&random) % storm->n_late);
		call = storm->late[i];
		reply.id = storm->late_ids[i];
		storm->n_late--;
		storm->late[i] = storm->late[storm->n_late];
		storm->late_ids[i] = storm->late_ids[storm->n_late];
		pthread_mutex_unlock(&storm->lock);
		rpctest_tester_hold_reply(call, &reply);
		pthread_mutex_lock(&storm->lock);
	}
	pthread_mutex_unlock(&storm->lock);
	return NULL;
}

static void start_server(struct storm *storm, enum transport transport, unsigned loops,
			 unsigned window_ms)
{
	struct hawser_server_options options = tester_options();
	struct tester *tester = &storm->tester;

	pthread_mutex_init(&tester->lock, NULL);
	pthread_cond_init(&tester->changed, NULL);
	options.loops = loops;
	options.heartbeat_ms = patient_ms(20);
	options.silence_timeout_ms = patient_ms(80);
	options.session_window_ms = window_ms;
	tester->server = hawser_server_new(&options, &tester->error);
	ck_assert_msg(tester->server, "%s", tester->error.message);
	ck_assert_int_eq(rpctest_tester_register(tester->server, &handlers, storm, &tester->error),
			 0);
	if (transport == OVER_UNIX)
		directory_make(tester->directory, sizeof tester->directory);
	address_make(tester->address, transport, tester->directory);
	ck_assert_int_eq(hawser_server_listen(tester->server, tester->address, &tester->error), 0);
	strcpy(tester->address, hawser_server_address(tester->server, 0));
	tester_run(tester);
}

/* ---- the weather ---- */

struct weather {
	struct relay *relay;
	pthread_t thread;
	uint64_t random;
	atomic_bool is_over;
};

/* Each cut is set when the one before has come. */
static void *blow(void *data)
{
	struct weather *weather = data;

	while (!atomic_load(&weather->is_over)) {
		uint64_t dice = next(&weather->random);

		/* What only silence tells of is rarer, because it takes longer. */
		if (dice % 64 == 0)
			relay_freeze(weather->relay);
		relay_cut_after(weather->relay, (enum relay_end)(dice >> 20 & 1),
				(dice >> 24) % 20000,
				(enum relay_cut)((dice >> 44) % (dice % 8 ? CUT_SERVER : CUTS)));
		if (atomic_load(&weather->is_over))
			relay_was_cut(weather->relay);
		relay_wait_cut(weather->relay);
	}
	return NULL;
}

static void start_weather(struct weather *weather, struct relay *relay)
{
	weather->relay = relay;
	weather->random = random_next() | 1;
	atomic_init(&weather->is_over, false);
	ck_assert_int_eq(pthread_create(&weather->thread, NULL, blow, weather), 0);
}

static void calm(struct weather *weather)
{
	atomic_store(&weather->is_over, true);
	relay_was_cut(weather->relay);
	pthread_join(weather->thread, NULL);
}

/* ---- the callers ---- */

struct worker {
	struct storm *storm;
	struct caller *caller;
	pthread_t thread;
	uint64_t random;
	uint64_t first_id, n_calls;
	enum hawser_status *statuses;
	enum hawser_outcome *outcomes;
	unsigned n_wrong;
	char wrong[HAWSER_ERROR_MESSAGE_SIZE + 64];
};

static enum method choose(struct worker *worker, uint64_t i, Rpctest__Payload *request,
			  struct hawser_context *context)
{
	static uint8_t bytes[LARGEST];
	uint64_t dice = next(&worker->random);

	*request = (Rpctest__Payload)RPCTEST__PAYLOAD__INIT;
	request->id = worker->first_id + i;
	request->data.data = bytes;
	request->data.len = dice % 8 ? dice / 8 % 100 : dice / 8 % LARGEST;
	*context = (struct hawser_context)HAWSER_CONTEXT_INIT;
	context->timeout_ms = dice / 1000 % 16 ? 60000 : 1 + (int64_t)(dice / 16000 % 20);
	return dice >> 40 & 1 ? ECHO : HOLD;
}

static void note(struct worker *worker, uint64_t i, enum method method, const struct result *result)
{
	bool is_right = result->id == worker->first_id + i && (method == HOLD || result->is_echo);

	worker->statuses[i] = result->status;
	worker->outcomes[i] = result->error.outcome;
	if (result->status == HAWSER_OK ? is_right
					: result->status == HAWSER_DEADLINE_EXCEEDED ||
						  result->status == HAWSER_CANCELLED ||
						  (result->status == HAWSER_UNAVAILABLE &&
						   worker->storm->loses_sessions))
		return;
	worker->n_wrong++;
	snprintf(worker->wrong, sizeof worker->wrong, "%s: %s", hawser_status_name(result->status),
		 result->error.message);
}

static void *call_blocking(void *data)
{
	struct worker *worker = data;

	for (uint64_t i = 0; i < worker->n_calls; i++) {
		struct hawser_context context;
		Rpctest__Payload request;
		struct result result;
		enum method method = choose(worker, i, &request, &context);

		caller_call(worker->caller, method, &request, &context, &result);
		note(worker, i, method, &result);
	}
	return NULL;
}

/* Asks what a client can be asked beside calls, and does not mind the answers. */
static void *ask_often(void *data)
{
	struct worker *worker = data;
	struct hawser_client *client = worker->caller->client;
	char name[64];

	while (!atomic_load(&worker->storm->is_over)) {
		struct hawser_error error;

		client_stats(worker->caller);
		hawser_client_server_name(client, name, sizeof name);
		if (hawser_client_ping(client, NULL, &error) < 0 && !*error.message)
			worker->n_wrong++;
		if (hawser_client_connect(client, &error) < 0 && !*error.message)
			worker->n_wrong++;
	}
	return NULL;
}

struct flight {
	struct async async;
	Rpctest__Payload request;
	enum method method;
	uint64_t i;
	bool is_open;
};

static void land(struct worker *worker, struct flight *flight)
{
	note(worker, flight->i, flight->method, &flight->async.result);
	if (flight->async.result.n_ends != 1)
		worker->n_wrong++;
	flight->is_open = false;
}

static void *call_async(void *data)
{
	struct worker *worker = data;
	struct flight *flights = calloc(IN_FLIGHT, sizeof *flights);
	uint64_t n_made = 0, n_landed = 0;

	while (n_landed < worker->n_calls) {
		for (unsigned f = 0; f < IN_FLIGHT; f++) {
			struct flight *flight = &flights[f];
			struct hawser_context context;

			if (flight->is_open && flight->async.result.n_ends) {
				land(worker, flight);
				n_landed++;
			} else if (!flight->is_open && n_made < worker->n_calls) {
				flight->i = n_made++;
				flight->method =
					choose(worker, flight->i, &flight->request, &context);
				async_open(&flight->async, worker->caller, flight->method,
					   &flight->request, &context);
				flight->is_open = true;
			} else if (flight->is_open && next(&worker->random) % 256 == 0) {
				hawser_call_cancel(flight->async.call);
			}
		}
		event_base_loop(worker->caller->base, EVLOOP_ONCE);
	}
	free(flights);
	return NULL;
}

/* What the caller was told is what the server did. */
static void check(struct worker *worker)
{
	ck_assert_msg(worker->n_wrong == 0, "%u calls ended as they must not: %s", worker->n_wrong,
		      worker->wrong);
	for (uint64_t i = 0; i < worker->n_calls; i++) {
		unsigned times = worker->storm->executed[worker->first_id + i];
		enum hawser_status status = worker->statuses[i];
		enum hawser_outcome outcome = worker->outcomes[i];
		bool has_run = status == HAWSER_OK || outcome == HAWSER_OUTCOME_EXECUTED;
		bool has_not = status != HAWSER_OK && (outcome == HAWSER_OUTCOME_NOT_SENT ||
						       outcome == HAWSER_OUTCOME_NOT_EXECUTED);

		if (times > 1 || (has_run && times != 1) || (has_not && times))
			ck_abort_msg("call %llu: %s, %s, but it was executed %u times",
				     (unsigned long long)worker->first_id + i,
				     hawser_status_name(status), hawser_outcome_name(outcome),
				     times);
	}
	free(worker->statuses);
	free(worker->outcomes);
}

static void start_worker(struct storm *storm, struct worker *worker, unsigned index)
{
	bool is_async = index >= BLOCKING_CLIENTS * THREADS_EACH;
	unsigned client = is_async ? index - BLOCKING_CLIENTS * THREADS_EACH + BLOCKING_CLIENTS
				   : index / THREADS_EACH;

	worker->storm = storm;
	worker->caller = &storm->callers[client];
	worker->random = random_next() | 1;
	worker->first_id = (uint64_t)index * CALLS_ASYNC;
	worker->n_calls = suite_rounds(is_async ? CALLS_ASYNC : CALLS_BLOCKING);
	worker->statuses = calloc(worker->n_calls, sizeof *worker->statuses);
	worker->outcomes = calloc(worker->n_calls, sizeof *worker->outcomes);
	ck_assert_int_eq(pthread_create(&worker->thread, NULL,
					is_async ? call_async : call_blocking, worker),
			 0);
}

static void rage(enum transport transport, unsigned loops, unsigned window_ms, bool loses)
{
	struct hawser_client_options options = relayed_options();
	struct storm *storm = calloc(1, sizeof *storm);
	struct worker workers[WORKERS], askers[BLOCKING_CLIENTS];
	struct weather weather[CLIENTS];
	pthread_t answerer;
	uint64_t n_resumed = 0;

	pthread_mutex_init(&storm->lock, NULL);
	pthread_cond_init(&storm->changed, NULL);
	storm->loses_sessions = loses;
	start_server(storm, transport, loops, window_ms);
	options.heartbeat_ms = patient_ms(20);
	options.silence_timeout_ms = patient_ms(80);
	options.connect_timeout_ms = patient_ms(200);
	memset(workers, 0, sizeof workers);
	for (unsigned i = 0; i < CLIENTS; i++) {
		relay_start(&storm->relays[i], transport, storm->tester.address);
		caller_init(&storm->callers[i], storm->relays[i].address, i >= BLOCKING_CLIENTS,
			    &options);
		hawser_client_connect(storm->callers[i].client, NULL);
		turn_until(&storm->callers[i], client_stats(&storm->callers[i]).is_connected);
	}
	ck_assert_int_eq(pthread_create(&answerer, NULL, answer_late, storm), 0);
	for (unsigned i = 0; i < CLIENTS; i++)
		start_weather(&weather[i], &storm->relays[i]);
	for (unsigned i = 0; i < WORKERS; i++)
		start_worker(storm, &workers[i], i);
	for (unsigned i = 0; i < BLOCKING_CLIENTS; i++) {
		askers[i] = (struct worker){.storm = storm, .caller = &storm->callers[i]};
		ck_assert_int_eq(pthread_create(&askers[i].thread, NULL, ask_often, &askers[i]), 0);
	}
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(workers[i].thread, NULL);
	atomic_store(&storm->is_over, true);
	for (unsigned i = 0; i < CLIENTS; i++)
		calm(&weather[i]);
	for (unsigned i = 0; i < BLOCKING_CLIENTS; i++) {
		pthread_join(askers[i].thread, NULL);
		ck_assert_uint_eq(askers[i].n_wrong, 0);
	}
	/* In calm weather everything comes to rest. */
	for (unsigned i = 0; i < CLIENTS; i++) {
		turn_until(&storm->callers[i],
			   client_stats(&storm->callers[i]).is_connected &&
				   client_stats(&storm->callers[i]).log_bytes == 0);
		n_resumed += client_stats(&storm->callers[i]).sessions_resumed;
		if (!loses)
			ck_assert_uint_eq(client_stats(&storm->callers[i]).sessions_lost, 0);
	}
	pthread_mutex_lock(&storm->lock);
	pthread_cond_signal(&storm->changed);
	pthread_mutex_unlock(&storm->lock);
	pthread_join(answerer, NULL);
	turn_until(&storm->callers[BLOCKING_CLIENTS],
		   server_stats(&storm->tester).calls_in_flight == 0);
	for (unsigned i = 0; i < WORKERS; i++)
		check(&workers[i]);
	if (!loses) {
		ck_assert_uint_eq(server_stats(&storm->tester).sessions, CLIENTS);
		ck_assert_uint_eq(server_stats(&storm->tester).sessions_expired, 0);
		ck_assert_uint_gt(n_resumed, 0);
	}
	ck_assert_uint_eq(server_stats(&storm->tester).protocol_errors, 0);
	for (unsigned i = 0; i < CLIENTS; i++) {
		caller_deinit(&storm->callers[i]);
		relay_stop(&storm->relays[i]);
	}
	tester_stop(&storm->tester);
	pthread_mutex_destroy(&storm->lock);
	pthread_cond_destroy(&storm->changed);
	free(storm);
}

START_TEST(each_call_runs_once_whatever_breaks)
{
	rage(transport_of(_i), _i < TRANSPORTS ? 1 : 3, 60000, false);
}
END_TEST

/* With a window so short that some sessions expire. */
START_TEST(outcomes_are_true_whatever_breaks)
{
	rage(transport_of(_i), _i < TRANSPORTS ? 1 : 3, patient_ms(3), true);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/sessions/storm");
	TCase *tcase = suite_case(suite, "storm");

	tcase_add_loop_test(tcase, each_call_runs_once_whatever_breaks, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, outcomes_are_true_whatever_breaks, 0, 2 * TRANSPORTS);
	return suite_run(suite);
}
