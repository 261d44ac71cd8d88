/* A connection that is cut costs a delay: each call is executed once, and its reply comes, wherever
 * the cut was. */

#include "relayed.h"
#include "support/random.h"
#include "support/suite.h"
#include <stdlib.h>
#include <string.h>

enum { MEBIBYTE = 1 << 20 };

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

/* ---- at each byte ---- */

/* The stamp, the direction and the kind of cut of a loop test's number. */
enum { ENDS = 2, CUTS_NOTICED = CUT_SERVER, BYTE_STAMPS = BOTH_WAYS * ENDS * CUTS_NOTICED };

static enum relay_end end_of(int i)
{
	return (enum relay_end)(i / BOTH_WAYS % ENDS);
}

static enum relay_cut cut_of(int i)
{
	return (enum relay_cut)(i / BOTH_WAYS / ENDS);
}

START_TEST(call_survives_a_cut_at_every_byte)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	unsigned n_cuts = 0, n_executed;
	uint64_t n_resumed;
	struct relayed relayed;
	struct result result;

	request.text = (char *)"a small request, all the same";
	relayed_start(&relayed, _i % BOTH_WAYS, NULL, NULL);
	caller_echo(&relayed.caller);
	for (uint64_t bytes = 0;; bytes++) {
		n_executed = tester_executed(&relayed.tester);
		relay_cut_after(&relayed.relay, end_of(_i), bytes, cut_of(_i));
		request.number++;
		caller_call(&relayed.caller, ECHO, &request, NULL, &result);
		assert_ok(&result);
		ck_assert(result.is_echo);
		ck_assert_uint_eq(tester_executed(&relayed.tester), n_executed + 1);
		if (!relay_was_cut(&relayed.relay))
			break;
		n_cuts++;
	}
	/* Request and reply have more bytes than their text. */
	ck_assert_uint_gt(n_cuts, strlen(request.text));
	caller_echo(&relayed.caller);
	turn_until(&relayed.caller, client_stats(&relayed.caller).is_connected);
	/* A cut behind the last byte of a reply is noticed with the next call, whose resume then
	 * runs into the next cut. A client that serves notices it at any time. */
	n_resumed = client_stats(&relayed.caller).sessions_resumed;
	ck_assert_uint_ge(n_resumed, is_reversed(_i % BOTH_WAYS) ? n_cuts / 2 : n_cuts - 1);
	ck_assert_uint_le(n_resumed, n_cuts);
	ck_assert_uint_eq(client_stats(&relayed.caller).sessions_lost, 0);
	ck_assert_uint_ge(server_stats(&relayed.tester).sessions_resumed, n_resumed);
	ck_assert_uint_eq(server_stats(&relayed.tester).sessions, 1);
	relayed_stop(&relayed);
}
END_TEST

/* The opening itself is cut; until it has been open once, a connection is not opened again. */
START_TEST(resume_survives_a_cut_at_every_byte)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct pending pending;
	struct relayed relayed;
	bool was_cut = true;

	relayed_start(&relayed, _i % BOTH_WAYS, NULL, NULL);
	caller_echo(&relayed.caller);
	for (uint64_t bytes = 0; was_cut; bytes++) {
		request.number++;
		pending_call(&pending, &relayed.caller, HOLD, &request);
		relayed_held(&relayed, (unsigned)bytes);
		relay_cut_after(&relayed.relay, end_of(_i), bytes, cut_of(_i));
		relay_cut(&relayed.relay, cut_of(_i));
		rpctest_tester_hold_reply(tester_held(&relayed.tester, (unsigned)bytes), &request);
		pending_wait(&pending);
		assert_ok(&pending.result);
		ck_assert(pending.result.is_echo);
		was_cut = relay_was_cut(&relayed.relay);
	}
	relayed_stop(&relayed);
}
END_TEST

/* ---- many ---- */

enum { MANY = 16, EACH = 20 };

struct many {
	struct caller *caller;
	pthread_t thread;
	unsigned n_wrong;
};

static void *call_each(void *data)
{
	struct many *many = data;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct result result;

	for (int i = 0; i < EACH; i++) {
		request.number++;
		caller_call(many->caller, ECHO, &request, NULL, &result);
		if (result.status != HAWSER_OK || !result.is_echo)
			many->n_wrong++;
	}
	return NULL;
}

static void *cut_often(void *data)
{
	struct relay *relay = data;

	for (unsigned cuts = 0; cuts < 20; cuts++) {
		unsigned attempts = relay_attempts(relay);

		relay_cut(relay, (enum relay_cut)random_below(CUT_SERVER));
		relay_wait_attempts(relay, attempts + 1);
	}
	return NULL;
}

START_TEST(threads_survive_cuts)
{
	struct many many[MANY];
	struct relayed relayed;
	pthread_t cutter;

	relayed_start(&relayed, _i, NULL, NULL);
	caller_echo(&relayed.caller);
	memset(many, 0, sizeof many);
	ck_assert_int_eq(pthread_create(&cutter, NULL, cut_often, &relayed.relay), 0);
	for (int i = 0; i < MANY; i++) {
		many[i].caller = &relayed.caller;
		ck_assert_int_eq(pthread_create(&many[i].thread, NULL, call_each, &many[i]), 0);
	}
	for (int i = 0; i < MANY; i++) {
		pthread_join(many[i].thread, NULL);
		ck_assert_uint_eq(many[i].n_wrong, 0);
	}
	pthread_join(cutter, NULL);
	ck_assert_uint_eq(tester_executed(&relayed.tester), MANY * EACH + 1);
	relayed_stop(&relayed);
}
END_TEST

struct order {
	uint64_t last_id;
	unsigned n_wrong;
};

static void note_order(struct async *async)
{
	struct order *order = async->data;

	if (async->result.id <= order->last_id)
		order->n_wrong++;
	order->last_id = async->result.id;
}

/* Asynchronous calls are sent, executed and answered in the order in which they were made. */
START_TEST(order_is_kept_through_cuts)
{
	enum { CALLS = 500 };
	struct async *calls = calloc(CALLS, sizeof *calls);
	Rpctest__Payload *requests = calloc(CALLS, sizeof *requests);
	struct order order = {.n_wrong = 0};
	struct relayed relayed;

	relayed_start(&relayed, _i, NULL, NULL);
	caller_echo(&relayed.caller);
	for (unsigned i = 0; i < CALLS; i++) {
		requests[i] = empty;
		requests[i].id = 1000000 + i;
		calls[i].then = note_order;
		calls[i].data = &order;
		async_open(&calls[i], &relayed.caller, ECHO, &requests[i], NULL);
		if (i % 25 == 0)
			relay_cut_after(&relayed.relay, (enum relay_end)random_below(2),
					random_below(500),
					(enum relay_cut)random_below(CUT_SERVER));
		if (i % 5 == 0)
			event_base_loop(relayed.caller.base, EVLOOP_NONBLOCK);
	}
	for (unsigned i = 0; i < CALLS; i++) {
		async_wait(&calls[i], &relayed.caller);
		assert_ok(&calls[i].result);
		ck_assert(calls[i].result.is_echo);
	}
	ck_assert_uint_eq(order.n_wrong, 0);
	ck_assert_uint_eq(relayed.tester.n_disordered, 0);
	ck_assert_uint_eq(tester_executed(&relayed.tester), CALLS + 1);
	ck_assert_uint_gt(client_stats(&relayed.caller).sessions_resumed, 0);
	free(calls);
	free(requests);
	relayed_stop(&relayed);
}
END_TEST

/* ---- large ---- */

/* Somewhere in the middle, several times for one message. */
START_TEST(large_messages_survive_cuts)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct relayed relayed;
	struct result result;

	request.data.len = MEBIBYTE;
	request.data.data = malloc(MEBIBYTE);
	random_fill(request.data.data, MEBIBYTE);
	relayed_start(&relayed, _i % BOTH_WAYS, NULL, NULL);
	caller_echo(&relayed.caller);
	for (unsigned i = 1; i <= 10; i++) {
		relay_cut_after(&relayed.relay, end_of(_i), 1 + random_below(MEBIBYTE), cut_of(_i));
		caller_call(&relayed.caller, ECHO, &request, NULL, &result);
		assert_ok(&result);
		ck_assert(result.is_echo);
		ck_assert(relay_was_cut(&relayed.relay));
		ck_assert_uint_eq(tester_executed(&relayed.tester), i + 1);
	}
	free(request.data.data);
	relayed_stop(&relayed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/sessions/cuts");
	TCase *tcase = suite_case(suite, "at each byte");

	tcase_add_loop_test(tcase, call_survives_a_cut_at_every_byte, 0, BYTE_STAMPS);
	tcase_add_loop_test(tcase, resume_survives_a_cut_at_every_byte, 0, BYTE_STAMPS);

	tcase = suite_case(suite, "many");
	add_blocking(tcase, threads_survive_cuts);
	add_async(tcase, order_is_kept_through_cuts);

	tcase = suite_case(suite, "large");
	tcase_add_loop_test(tcase, large_messages_survive_cuts, 0, BYTE_STAMPS);
	return suite_run(suite);
}
