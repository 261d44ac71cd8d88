/* One call to many members of a hub. */

#include "fleet.h"
#include "support/suite.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct hawser_broadcast_options at_most(unsigned max_concurrent)
{
	struct hawser_broadcast_options options = HAWSER_BROADCAST_OPTIONS_INIT;

	options.max_concurrent = max_concurrent;
	return options;
}

/* ---- all of them, once ---- */

START_TEST(all_are_called)
{
	const struct hawser_broadcast_options options = at_most(_i % 2 ? 3 : 0);
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct fleet fleet;

	fleet_start(&fleet, _i / 2, NULL);
	remotes_add(&fleet, 20);
	request.number = 6;
	ck_assert_int_eq(broadcast(&fleet, NULL, &request, &options), 20);
	broadcast_wait(&fleet, 1);
	ck_assert_uint_eq(fleet.n_ends, 20);
	ck_assert_uint_eq(fleet.n_replies, 20);
	ck_assert_uint_eq(fleet.n_failed, 0);
	ck_assert_int_eq(fleet.sum, 20 * 7);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_uint_eq(fleet.remotes[i].n_served, 1);
	request.number = -6;
	ck_assert_int_eq(broadcast(&fleet, NULL, &request, &options), 20);
	broadcast_wait(&fleet, 2);
	ck_assert_uint_eq(fleet.n_failed, 20);
	ck_assert_int_eq(fleet.status, HAWSER_OUT_OF_RANGE);
	ck_assert_int_eq(fleet.outcome, HAWSER_OUTCOME_EXECUTED);
	ck_assert_str_eq(fleet.text, "-6");
	fleet_stop(&fleet);
}
END_TEST

START_TEST(nobody_is_called)
{
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	ck_assert_int_eq(broadcast(&fleet, NULL, NULL, NULL), 0);
	ck_assert_uint_eq(fleet.n_done, 1);
	ck_assert_uint_eq(fleet.n_ends, 0);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(those_are_called_that_are_meant)
{
	struct hawser_hub_filter filter = {.label = "site", .value = "east"};
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	remotes_add(&fleet, 7);
	ck_assert_int_eq(broadcast(&fleet, &filter, NULL, NULL), 3);
	/* At this moment: who joins later is not. */
	remote_add(&fleet, "late", "east");
	broadcast_wait(&fleet, 1);
	fleet_run_until(&fleet, &fleet.n_joined, 8);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_uint_eq(fleet.remotes[i].n_served, i % 2 && i < 7);
	filter = (struct hawser_hub_filter){.name = "remote-2"};
	ck_assert_int_eq(broadcast(&fleet, &filter, NULL, NULL), 1);
	broadcast_wait(&fleet, 2);
	ck_assert_uint_eq(fleet.remotes[2].n_served, 1);
	fleet_stop(&fleet);
}
END_TEST

/* ---- bounds ---- */

static unsigned count_holding(const struct fleet *fleet)
{
	unsigned n = 0;

	for (unsigned i = 0; i < fleet->n_remotes; i++)
		n += fleet->remotes[i].held != NULL;
	return n;
}

START_TEST(no_more_calls_are_in_flight_than_allowed)
{
	static const unsigned bounds[] = {1, 5, 0, 1000};
	const unsigned bound = bounds[_i % 4], n = 80;
	/* The default is 64. */
	const unsigned wanted = bound == 0 ? 64 : bound > n ? n : bound;
	const struct hawser_broadcast_options options = at_most(bound);
	struct fleet fleet;
	unsigned n_answered = 0;

	fleet_start(&fleet, _i / 4, NULL);
	remotes_add(&fleet, n);
	fleet.holds = true;
	ck_assert_int_eq(broadcast(&fleet, NULL, NULL, &options), (int)n);
	while (n_answered < n) {
		unsigned due = n - n_answered < wanted ? n - n_answered : wanted;

		fleet_until(&fleet, fleet.n_running == due);
		/* Nothing else comes. */
		fleet_settle(&fleet);
		ck_assert_uint_eq(fleet.n_running, due);
		ck_assert_uint_eq(count_holding(&fleet), due);
		for (unsigned i = 0; i < n; i++) {
			if (fleet.remotes[i].held) {
				remote_answer(&fleet.remotes[i]);
				n_answered++;
			}
		}
	}
	broadcast_wait(&fleet, 1);
	ck_assert_uint_eq(fleet.n_running_most, wanted);
	ck_assert_uint_eq(fleet.n_replies, n);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(slow_one_does_not_keep_the_others)
{
	const struct hawser_broadcast_options options = at_most(2);
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	remotes_add(&fleet, 20);
	fleet.holds = true;
	ck_assert_int_eq(broadcast(&fleet, NULL, NULL, &options), 20);
	fleet_until(&fleet, fleet.remotes[0].held);
	fleet.holds = false;
	fleet_until(&fleet, fleet.remotes[1].held || fleet.n_ends > 0);
	if (fleet.remotes[1].held)
		remote_answer(&fleet.remotes[1]);
	fleet_run_until(&fleet, &fleet.n_ends, 19);
	ck_assert_uint_eq(fleet.n_done, 0);
	remote_answer(&fleet.remotes[0]);
	broadcast_wait(&fleet, 1);
	ck_assert_uint_eq(fleet.n_replies, 20);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(deadline_is_for_all_of_it)
{
	struct hawser_broadcast_options options = at_most(4);
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	remotes_add(&fleet, 10);
	fleet.holds = true;
	options.timeout_ms = patient_ms(100);
	ck_assert_int_eq(broadcast(&fleet, NULL, NULL, &options), 10);
	broadcast_wait(&fleet, 1);
	ck_assert_uint_eq(fleet.n_ends, 10);
	ck_assert_uint_eq(fleet.n_failed, 10);
	ck_assert_int_eq(fleet.status, HAWSER_DEADLINE_EXCEEDED);
	/* Those that had begun were told; the others never heard of it. */
	fleet_until(&fleet, fleet.n_running == 0);
	ck_assert_uint_le(fleet.n_running_most, 4);
	for (unsigned i = 0; i < 10; i++)
		ck_assert_uint_eq(fleet.remotes[i].n_given_up, fleet.remotes[i].n_served);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(servers_deadline_is_the_default)
{
	struct fleet_setup setup = fleet_setup();
	struct fleet fleet;

	setup.server.timeout_ms = patient_ms(50);
	fleet_start(&fleet, _i, &setup);
	remotes_add(&fleet, 3);
	fleet.holds = true;
	ck_assert_int_eq(broadcast(&fleet, NULL, NULL, NULL), 3);
	broadcast_wait(&fleet, 1);
	ck_assert_uint_eq(fleet.n_failed, 3);
	ck_assert_int_eq(fleet.status, HAWSER_DEADLINE_EXCEEDED);
	fleet_stop(&fleet);
}
END_TEST

/* ---- large ---- */

START_TEST(large_request_goes_to_all)
{
	enum { N = 12, LENGTH = 1 << 20 };
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	remotes_add(&fleet, N);
	request.id = 42;
	request.data.data = malloc(LENGTH);
	request.data.len = LENGTH;
	memset(request.data.data, 'x', LENGTH);
	ck_assert_int_eq(broadcast(&fleet, NULL, &request, NULL), N);
	/* It was packed before this returned. */
	memset(request.data.data, 0, LENGTH);
	free(request.data.data);
	broadcast_wait(&fleet, 1);
	ck_assert_uint_eq(fleet.n_replies, N);
	for (unsigned i = 0; i < N; i++) {
		ck_assert_uint_eq(fleet.remotes[i].n_served, 1);
		ck_assert_uint_eq(fleet.remotes[i].id, 42);
		ck_assert_uint_eq(fleet.remotes[i].length, LENGTH);
	}
	fleet_stop(&fleet);
}
END_TEST

START_TEST(request_that_is_too_large_for_one_fails_there)
{
	struct hawser_client_options small = remote_options("small");
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	uint8_t bytes[2000] = {0};
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	remotes_add(&fleet, 2);
	small.max_reply_bytes = 1000;
	remote_add_with(&fleet, small);
	fleet_run_until(&fleet, &fleet.n_joined, 3);
	request.data.data = bytes;
	request.data.len = sizeof bytes;
	ck_assert_int_eq(broadcast(&fleet, NULL, &request, NULL), 3);
	broadcast_wait(&fleet, 1);
	ck_assert_uint_eq(fleet.n_replies, 2);
	ck_assert_uint_eq(fleet.n_failed, 1);
	ck_assert_int_eq(fleet.status, HAWSER_RESOURCE_EXHAUSTED);
	ck_assert_int_eq(fleet.outcome, HAWSER_OUTCOME_NOT_SENT);
	fleet_stop(&fleet);
}
END_TEST

/* ---- members that leave ---- */

START_TEST(members_that_leave_meanwhile_fail)
{
	const struct hawser_broadcast_options options = at_most(3);
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	remotes_add(&fleet, 10);
	fleet.holds = true;
	ck_assert_int_eq(broadcast(&fleet, NULL, NULL, &options), 10);
	fleet_until(&fleet, fleet.n_running == 3);
	/* One that has its call, and one whose turn has not come. */
	hawser_call_fail(fleet.remotes[0].held, HAWSER_CANCELLED, NULL);
	fleet.remotes[0].held = NULL;
	remote_end(&fleet.remotes[0]);
	remote_end(&fleet.remotes[9]);
	fleet_run_until(&fleet, &fleet.n_gone, 2);
	while (!fleet.n_done) {
		for (unsigned i = 1; i < 9; i++)
			if (fleet.remotes[i].held)
				remote_answer(&fleet.remotes[i]);
		fleet_turn(&fleet);
	}
	ck_assert_uint_eq(fleet.n_ends, 10);
	ck_assert_uint_eq(fleet.n_replies, 8);
	ck_assert_uint_eq(fleet.n_failed, 2);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(broadcast_ends_with_its_server)
{
	const struct hawser_broadcast_options options = at_most(_i % 2 ? 3 : 0);
	struct fleet fleet;

	fleet_start(&fleet, _i / 2, NULL);
	remotes_add(&fleet, 20);
	fleet.holds = true;
	ck_assert_int_eq(broadcast(&fleet, NULL, NULL, &options), 20);
	/* In the first half of the rounds nothing has begun. */
	if (_i >= 2 * TRANSPORTS)
		fleet_until(&fleet, fleet.n_running > 0);
	fleet_end_server(&fleet);
	ck_assert_uint_eq(fleet.n_done, 1);
	ck_assert_uint_eq(fleet.n_ends, 20);
	ck_assert_int_eq(fleet.status, HAWSER_UNAVAILABLE);
	fleet_stop(&fleet);
}
END_TEST

/* ---- replies that are wrong ---- */

static void answer_wrongly(struct remote *remote, struct hawser_call *call)
{
	const Rpctest__Payload reply = RPCTEST__PAYLOAD__INIT;

	/* Every other one: a field of 100 bytes, of which none is there. */
	if ((remote - remote->fleet->remotes) % 2)
		ck_assert_int_eq(
			hawser_call_send_raw(call, method_of(ECHO), "\x12\x64", 2, NULL, NULL), 0);
	else
		rpctest_tester_echo_reply(call, &reply);
}

START_TEST(reply_that_does_not_unpack_fails)
{
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	remotes_add(&fleet, 5);
	fleet.serves = answer_wrongly;
	ck_assert_int_eq(broadcast(&fleet, NULL, NULL, NULL), 5);
	broadcast_wait(&fleet, 1);
	ck_assert_uint_eq(fleet.n_replies, 3);
	ck_assert_uint_eq(fleet.n_failed, 2);
	ck_assert_int_eq(fleet.status, HAWSER_INTERNAL);
	ck_assert_int_eq(fleet.outcome, HAWSER_OUTCOME_EXECUTED);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, NULL), 5);
	fleet_stop(&fleet);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/hub-broadcast");
	TCase *tcase = suite_case(suite, "all");

	tcase_add_loop_test(tcase, all_are_called, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, nobody_is_called, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, those_are_called_that_are_meant, 0, TRANSPORTS);
	tcase = suite_case(suite, "bounds");
	tcase_add_loop_test(tcase, no_more_calls_are_in_flight_than_allowed, 0, 4 * TRANSPORTS);
	tcase_add_loop_test(tcase, slow_one_does_not_keep_the_others, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, deadline_is_for_all_of_it, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, servers_deadline_is_the_default, 0, TRANSPORTS);
	tcase = suite_case(suite, "large");
	tcase_add_loop_test(tcase, large_request_goes_to_all, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, request_that_is_too_large_for_one_fails_there, 0, TRANSPORTS);
	tcase = suite_case(suite, "ends");
	tcase_add_loop_test(tcase, members_that_leave_meanwhile_fail, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, broadcast_ends_with_its_server, 0, 4 * TRANSPORTS);
	tcase_add_loop_test(tcase, reply_that_does_not_unpack_fails, 0, TRANSPORTS);
	return suite_run(suite);
}
