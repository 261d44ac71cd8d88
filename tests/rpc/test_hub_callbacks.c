/* What callbacks of a hub may do: look around, call, close, free, and begin more of the same. */

#include "fleet.h"
#include "support/suite.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct hawser_hub_filter all = {.includes_away = true};

static bool is(const char *one, const char *other)
{
	return strcmp(one, other) == 0;
}

/* ---- looking around ---- */

static void look_around(struct fleet *fleet, const char *what, struct hawser_peer *peer)
{
	const struct hawser_peer_info info = info_of(peer);
	struct hawser_peer *other = NULL, *found = hawser_hub_find(fleet->hub, info.name);
	size_t n = 0;
	char text[128];

	/* Who is gone is found no more, and who is not is one of all. */
	ck_assert_int_eq(is(what, "gone"), info.state == HAWSER_PEER_GONE);
	ck_assert_ptr_eq(found, is(what, "gone") ? NULL : peer);
	hawser_peer_unref(found);
	while ((other = hawser_hub_next(fleet->hub, &all, other)))
		n++;
	ck_assert_uint_eq(n, hawser_hub_count(fleet->hub, &all));
	ck_assert_str_eq(hawser_peer_services(peer, text, sizeof text), "rpctest.Tester");
	ck_assert_ptr_nonnull(hawser_peer_label(peer, "site", text, sizeof text));
}

START_TEST(callbacks_may_look_around)
{
	struct fleet_setup setup = fleet_setup();
	struct fleet fleet;

	setup.has_relay = true;
	fleet_start(&fleet, _i, &setup);
	fleet.on_told = look_around;
	remotes_add(&fleet, 5);
	relay_cut(&fleet.relay, CUT_RESET);
	fleet_run_until(&fleet, &fleet.n_back, 5);
	for (unsigned i = 0; i < 5; i++)
		remote_end(&fleet.remotes[i]);
	fleet_run_until(&fleet, &fleet.n_gone, 5);
	fleet_stop(&fleet);
}
END_TEST

/* ---- calling ---- */

static void on_answer(struct hawser_call *call, const Rpctest__Payload *reply_or_null, void *data)
{
	struct fleet *fleet = data;

	if (reply_or_null)
		fleet->sum += reply_or_null->number;
	atomic_fetch_add(&fleet->n_ends, 1);
	hawser_call_free(call);
}

static void call_it(struct fleet *fleet, const char *what, struct hawser_peer *peer)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct hawser_call *call;

	request.number = 10;
	call = rpctest_tester_echo_async(hawser_peer_client(peer), &request, on_answer, fleet,
					 NULL);
	if (is(what, "gone")) {
		ck_assert_ptr_null(call);
		ck_assert_int_eq(errno, EPIPE);
	} else {
		ck_assert_ptr_nonnull(call);
	}
}

START_TEST(callbacks_may_call_their_peer)
{
	struct fleet_setup setup = fleet_setup();
	struct fleet fleet;

	setup.has_relay = true;
	fleet_start(&fleet, _i, &setup);
	fleet.on_told = call_it;
	remotes_add(&fleet, 3);
	fleet_run_until(&fleet, &fleet.n_ends, 3);
	/* Once while it is away, once when it is back. */
	relay_cut(&fleet.relay, CUT_RESET);
	fleet_run_until(&fleet, &fleet.n_back, 3);
	fleet_run_until(&fleet, &fleet.n_ends, 3 + fleet.n_away + fleet.n_back);
	ck_assert_int_eq(fleet.sum, 11 * (int64_t)fleet.n_ends);
	remote_end(&fleet.remotes[0]);
	fleet_run_until(&fleet, &fleet.n_gone, 1);
	fleet_stop(&fleet);
}
END_TEST

static void call_all(struct fleet *fleet, const char *what, struct hawser_peer *peer)
{
	(void)what;
	(void)peer;
	if (fleet->hub)
		ck_assert_int_ge(broadcast(fleet, NULL, NULL, NULL), 0);
}

START_TEST(callbacks_may_call_all)
{
	enum { N = 10 };
	struct fleet fleet;
	unsigned n_calls = 0;

	fleet_start(&fleet, _i, NULL);
	fleet.on_told = call_all;
	remotes_add(&fleet, N);
	broadcast_wait(&fleet, N);
	for (unsigned i = 0; i < N; i++)
		n_calls += fleet.remotes[i].n_served;
	/* Who is called by the broadcast of its own joining, or of others', is called once each. */
	ck_assert_uint_eq(n_calls, fleet.n_ends);
	for (unsigned i = 0; i < N; i++)
		remote_end(&fleet.remotes[i]);
	fleet_run_until(&fleet, &fleet.n_gone, N);
	broadcast_wait(&fleet, 2 * N);
	fleet_stop(&fleet);
}
END_TEST

/* ---- closing ---- */

static void close_it(struct fleet *fleet, const char *what, struct hawser_peer *peer)
{
	const char *when = fleet->data;

	if (is(what, when))
		ck_assert_int_eq(hawser_hub_close(fleet->hub, peer, "as soon as that"), 0);
	else if (is(what, "gone"))
		ck_assert_int_eq(hawser_hub_close(fleet->hub, peer, "too late"), -EPIPE);
}

START_TEST(member_may_be_closed_as_soon_as_it_joins)
{
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	fleet.on_told = close_it;
	fleet.data = (void *)(uintptr_t) "joined";
	remotes_add(&fleet, 5);
	fleet_run_until(&fleet, &fleet.n_gone, 5);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &all), 0);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(member_may_be_closed_as_soon_as_it_is_away)
{
	struct fleet_setup setup = fleet_setup();
	struct fleet fleet;

	setup.has_relay = true;
	fleet_start(&fleet, _i, &setup);
	remotes_add(&fleet, 5);
	fleet.on_told = close_it;
	fleet.data = (void *)(uintptr_t) "away";
	relay_set_door(&fleet.relay, DOOR_SHUT);
	relay_cut(&fleet.relay, CUT_RESET);
	fleet_run_until(&fleet, &fleet.n_gone, 5);
	ck_assert_uint_eq(fleet.n_back, 0);
	fleet_stop(&fleet);
}
END_TEST

static void free_a_client(struct fleet *fleet, const char *what, struct hawser_peer *peer)
{
	(void)peer;
	/* Of one that has not told yet that it is there, and of one that has. */
	if (is(what, "joined") && fleet->n_joined < 3)
		for (unsigned i = 0; i < 3; i++)
			if (fleet->remotes[i].client) {
				remote_end(&fleet->remotes[i]);
				return;
			}
}

START_TEST(other_ends_may_be_freed)
{
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	fleet.on_told = free_a_client;
	remote_add(&fleet, "a", NULL);
	remote_add(&fleet, "b", NULL);
	remote_add(&fleet, "c", NULL);
	remote_add(&fleet, "d", NULL);
	remote_add(&fleet, "e", NULL);
	fleet_until(&fleet, fleet.n_joined >= 2 && fleet.n_joined - fleet.n_gone == 2);
	fleet_stop(&fleet);
}
END_TEST

static void drain(struct fleet *fleet, const char *what, struct hawser_peer *peer)
{
	(void)peer;
	if (is(what, "joined") && fleet->n_joined == 2)
		hawser_server_drain(fleet->server);
}

START_TEST(callback_may_drain_the_server)
{
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	fleet.on_told = drain;
	remotes_add(&fleet, 3);
	fleet_run_until(&fleet, &fleet.n_gone, 3);
	fleet_stop(&fleet);
}
END_TEST

/* ---- in the middle of a broadcast ---- */

static void close_on_end(struct fleet *fleet, struct hawser_peer *peer_or_null)
{
	if (peer_or_null)
		ck_assert_int_eq(hawser_hub_close(fleet->hub, peer_or_null, "that was all"), 0);
}

START_TEST(members_may_be_closed_as_they_answer)
{
	struct hawser_broadcast_options options = HAWSER_BROADCAST_OPTIONS_INIT;
	struct fleet fleet;

	options.max_concurrent = 3;
	fleet_start(&fleet, _i, NULL);
	remotes_add(&fleet, 10);
	fleet.on_end = close_on_end;
	ck_assert_int_eq(broadcast(&fleet, NULL, NULL, &options), 10);
	broadcast_wait(&fleet, 1);
	ck_assert_uint_eq(fleet.n_replies, 10);
	fleet_run_until(&fleet, &fleet.n_gone, 10);
	fleet_stop(&fleet);
}
END_TEST

static void close_all_on_first_end(struct fleet *fleet, struct hawser_peer *peer_or_null)
{
	struct hawser_peer *peer = NULL;

	(void)peer_or_null;
	if (fleet->n_ends)
		return;
	while ((peer = hawser_hub_next(fleet->hub, NULL, peer)))
		ck_assert_int_eq(hawser_hub_close(fleet->hub, peer, "all of you"), 0);
}

START_TEST(all_members_may_be_closed_in_the_middle)
{
	struct hawser_broadcast_options options = HAWSER_BROADCAST_OPTIONS_INIT;
	struct fleet fleet;

	options.max_concurrent = 1;
	fleet_start(&fleet, _i, NULL);
	remotes_add(&fleet, 10);
	fleet.on_end = close_all_on_first_end;
	ck_assert_int_eq(broadcast(&fleet, NULL, NULL, &options), 10);
	broadcast_wait(&fleet, 1);
	ck_assert_uint_eq(fleet.n_ends, 10);
	ck_assert_uint_eq(fleet.n_replies + fleet.n_failed, 10);
	ck_assert_uint_ge(fleet.n_failed, 1);
	ck_assert_int_eq(fleet.status, HAWSER_UNAVAILABLE);
	fleet_run_until(&fleet, &fleet.n_gone, 10);
	fleet_stop(&fleet);
}
END_TEST

enum { GENERATIONS = 30 };

static void go_on(struct fleet *fleet, struct hawser_peer *peer_or_null)
{
	if (!peer_or_null && fleet->n_done < GENERATIONS)
		ck_assert_int_eq(broadcast(fleet, NULL, NULL, NULL), 4);
}

START_TEST(end_of_one_may_begin_the_next)
{
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	remotes_add(&fleet, 4);
	fleet.on_end = go_on;
	ck_assert_int_eq(broadcast(&fleet, NULL, NULL, NULL), 4);
	broadcast_wait(&fleet, GENERATIONS + 1);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(fleet.remotes[i].n_served, GENERATIONS + 1);
	fleet_stop(&fleet);
}
END_TEST

static void branch(struct fleet *fleet, struct hawser_peer *peer_or_null)
{
	const struct hawser_peer_info info =
		peer_or_null ? info_of(peer_or_null) : (struct hawser_peer_info){.size = 0};
	const struct hawser_hub_filter filter = {.name = info.name};
	unsigned *n_left = fleet->data;

	if (peer_or_null && *n_left) {
		--*n_left;
		ck_assert_int_eq(broadcast(fleet, &filter, NULL, NULL), 1);
	}
}

START_TEST(each_end_may_begin_another)
{
	unsigned n_left = 50;
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	remotes_add(&fleet, 4);
	fleet.on_end = branch;
	fleet.data = &n_left;
	ck_assert_int_eq(broadcast(&fleet, NULL, NULL, NULL), 4);
	broadcast_wait(&fleet, 51);
	ck_assert_uint_eq(fleet.n_ends, 54);
	fleet_stop(&fleet);
}
END_TEST

/* The server ends, its members go, and everything that is tried all the same fails, now or later.
 */
struct attempts {
	unsigned n_begun, n_ended;
};

static void on_failed(struct hawser_call *call, const Rpctest__Payload *reply_or_null, void *data)
{
	struct attempts *attempts = data;

	ck_assert_ptr_null(reply_or_null);
	ck_assert_int_eq(hawser_call_error(call)->status, HAWSER_UNAVAILABLE);
	ck_assert_int_eq(hawser_call_error(call)->outcome, HAWSER_OUTCOME_NOT_SENT);
	attempts->n_ended++;
	hawser_call_free(call);
}

static void try_again(struct fleet *fleet, struct hawser_peer *peer_or_null)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct attempts *attempts = fleet->data;
	int r;

	if (!peer_or_null)
		return;
	if (rpctest_tester_echo_async(hawser_peer_client(peer_or_null), &request, on_failed,
				      attempts, NULL))
		attempts->n_begun++;
	else
		ck_assert_int_eq(errno, EPIPE);
	r = hawser_hub_close(fleet->hub, peer_or_null, "too late");
	ck_assert(r == 0 || r == -EPIPE);
}

START_TEST(server_ends_under_a_broadcast)
{
	struct hawser_broadcast_options options = HAWSER_BROADCAST_OPTIONS_INIT;
	struct attempts attempts = {0};
	struct fleet fleet;

	options.max_concurrent = 4;
	fleet_start(&fleet, _i, NULL);
	remotes_add(&fleet, 10);
	fleet.holds = true;
	ck_assert_int_eq(broadcast(&fleet, NULL, NULL, &options), 10);
	fleet_until(&fleet, fleet.n_running == 4);
	fleet.on_end = try_again;
	fleet.data = &attempts;
	fleet_end_server(&fleet);
	ck_assert_uint_eq(attempts.n_ended, attempts.n_begun);
	ck_assert_uint_eq(fleet.n_done, 1);
	ck_assert_uint_eq(fleet.n_failed, 10);
	fleet_stop(&fleet);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/hub-callbacks");
	TCase *tcase = suite_case(suite, "told");

	tcase_add_loop_test(tcase, callbacks_may_look_around, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, callbacks_may_call_their_peer, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, callbacks_may_call_all, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, member_may_be_closed_as_soon_as_it_joins, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, member_may_be_closed_as_soon_as_it_is_away, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, other_ends_may_be_freed, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, callback_may_drain_the_server, 0, TRANSPORTS);
	tcase = suite_case(suite, "broadcasts");
	tcase_add_loop_test(tcase, members_may_be_closed_as_they_answer, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, all_members_may_be_closed_in_the_middle, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, end_of_one_may_begin_the_next, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, each_end_may_begin_another, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, server_ends_under_a_broadcast, 0, TRANSPORTS);
	return suite_run(suite);
}
