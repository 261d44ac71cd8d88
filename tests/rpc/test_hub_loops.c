/* The hub of a server with four loops, looked at and used by other threads while its members come
 * and go. */

#include "fleet.h"
#include "support/suite.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { LOOPS = 4, MEMBERS = 24, THREADS = 3 };

static const struct hawser_hub_filter all = {.includes_away = true};

static struct fleet_setup looped(void)
{
	struct fleet_setup setup = fleet_setup();

	setup.loops = LOOPS;
	return setup;
}

/* ---- from another thread ---- */

struct other {
	struct fleet *fleet;
	pthread_t thread;
	atomic_bool has_returned, is_to_stop;
	void (*run)(struct other *other);
	unsigned count;
};

static void *run_other(void *data)
{
	struct other *other = data;

	other->run(other);
	other->has_returned = true;
	return NULL;
}

static void other_start(struct other *other, struct fleet *fleet, void (*run)(struct other *other))
{
	memset(other, 0, sizeof *other);
	other->fleet = fleet;
	other->run = run;
	ck_assert_int_eq(pthread_create(&other->thread, NULL, run_other, other), 0);
}

/* The remotes live on the test's thread, which has to go on meanwhile. */
static void other_join(struct other *other)
{
	fleet_until(other->fleet, other->has_returned);
	pthread_join(other->thread, NULL);
}

START_TEST(all_are_called_on_all_loops)
{
	struct hawser_broadcast_options options = HAWSER_BROADCAST_OPTIONS_INIT;
	const struct fleet_setup setup = looped();
	struct fleet fleet;

	options.max_concurrent = _i / TRANSPORTS ? 3 : 0;
	fleet_start(&fleet, _i, &setup);
	remotes_add(&fleet, MEMBERS);
	for (unsigned i = 1; i <= 5; i++) {
		ck_assert_int_eq(broadcast(&fleet, NULL, NULL, &options), MEMBERS);
		broadcast_wait(&fleet, i);
		ck_assert_uint_eq(fleet.n_replies, MEMBERS);
	}
	for (unsigned i = 0; i < MEMBERS; i++)
		ck_assert_uint_eq(fleet.remotes[i].n_served, 5);
	fleet_stop(&fleet);
}
END_TEST

/* A user's own counting, which relies on it that two never run at a time. */
struct tally {
	unsigned n_ends, n_inside, n_overlaps, n_done;
	atomic_bool is_done;
};

static void tally_end(struct hawser_peer *peer, const ProtobufCMessage *reply_or_null,
		      const struct hawser_error *error, void *data)
{
	struct tally *tally = data;

	(void)peer;
	(void)reply_or_null;
	(void)error;
	tally->n_overlaps += tally->n_inside++ != 0;
	poll(NULL, 0, 1);
	tally->n_ends++;
	tally->n_inside--;
}

static void tally_done(size_t n_replies, size_t n_failed, void *data)
{
	struct tally *tally = data;

	tally->n_overlaps += tally->n_inside != 0;
	tally->n_done += n_replies + n_failed == tally->n_ends;
	tally->is_done = true;
}

START_TEST(callbacks_never_run_two_at_a_time)
{
	const Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	const struct fleet_setup setup = looped();
	struct tally tally = {0};
	struct fleet fleet;

	fleet_start(&fleet, _i, &setup);
	remotes_add(&fleet, MEMBERS);
	ck_assert_int_eq(hawser_hub_broadcast(fleet.hub, NULL, method_of(ECHO), &request.base, NULL,
					      tally_end, tally_done, &tally, NULL),
			 MEMBERS);
	fleet_until(&fleet, tally.is_done);
	ck_assert_uint_eq(tally.n_ends, MEMBERS);
	ck_assert_uint_eq(tally.n_overlaps, 0);
	ck_assert_uint_eq(tally.n_done, 1);
	fleet_stop(&fleet);
}
END_TEST

static void call_all(struct other *other)
{
	for (unsigned i = 0; i < 10; i++) {
		int n = broadcast(other->fleet, NULL, NULL, NULL);

		if (n >= 0)
			other->count += (unsigned)n;
	}
}

START_TEST(several_threads_call_all)
{
	const struct fleet_setup setup = looped();
	struct other others[THREADS];
	unsigned n_served = 0, n_called = 0;
	struct fleet fleet;

	fleet_start(&fleet, _i, &setup);
	remotes_add(&fleet, MEMBERS);
	for (unsigned i = 0; i < THREADS; i++)
		other_start(&others[i], &fleet, call_all);
	for (unsigned i = 0; i < THREADS; i++) {
		other_join(&others[i]);
		n_called += others[i].count;
	}
	broadcast_wait(&fleet, 10 * THREADS);
	for (unsigned i = 0; i < MEMBERS; i++)
		n_served += fleet.remotes[i].n_served;
	ck_assert_uint_eq(n_called, 10 * THREADS * MEMBERS);
	ck_assert_uint_eq(n_served, n_called);
	ck_assert_uint_eq(fleet.n_ends, n_called);
	fleet_stop(&fleet);
}
END_TEST

static void call_each(struct other *other)
{
	struct hawser_peer *peer = NULL;

	while ((peer = hawser_hub_next(other->fleet->hub, NULL, peer))) {
		Rpctest__Payload request = RPCTEST__PAYLOAD__INIT, *reply;

		if (rpctest_tester_echo(hawser_peer_client(peer), &request, &reply, NULL) ==
		    HAWSER_OK) {
			other->count++;
			rpctest__payload__free_unpacked(reply, NULL);
		}
	}
}

START_TEST(other_thread_calls_one_after_the_other)
{
	const struct fleet_setup setup = looped();
	struct other other;
	struct fleet fleet;

	fleet_start(&fleet, _i, &setup);
	remotes_add(&fleet, MEMBERS);
	other_start(&other, &fleet, call_each);
	other_join(&other);
	ck_assert_uint_eq(other.count, MEMBERS);
	fleet_stop(&fleet);
}
END_TEST

/* ---- while members come and go ---- */

static void look(struct other *other)
{
	struct hawser_hub_filter filter = {.label = "site", .value = "west"};
	struct hawser_hub *hub = other->fleet->hub;
	char text[64];

	while (!other->is_to_stop) {
		struct hawser_peer *peer = NULL;
		uint64_t n = 0;

		while ((peer = hawser_hub_next(hub, n % 2 ? &filter : &all, peer))) {
			const struct hawser_peer_info info = info_of(peer);
			struct hawser_peer *found = hawser_hub_find(hub, info.name);

			/* It may have gone, and another may have come. */
			if (found)
				hawser_peer_services(found, text, sizeof text);
			hawser_peer_unref(found);
			hawser_peer_label(peer, "site", text, sizeof text);
			hawser_peer_labels(peer, text, sizeof text);
			n++;
		}
		hawser_hub_count(hub, NULL);
		hawser_hub_count(hub, &filter);
		other->count++;
		poll(NULL, 0, 1);
	}
}

static void call_all_on(struct other *other)
{
	struct hawser_broadcast_options options = HAWSER_BROADCAST_OPTIONS_INIT;

	options.max_concurrent = 3;
	while (!other->is_to_stop) {
		if (broadcast(other->fleet, NULL, NULL, &options) >= 0)
			other->count++;
		poll(NULL, 0, 2);
	}
}

static void close_some(struct other *other)
{
	struct hawser_peer *peer = NULL;
	unsigned n = 0;

	while (!other->is_to_stop) {
		peer = hawser_hub_next(other->fleet->hub, NULL, peer);
		if (peer && ++n % 7 == 0)
			hawser_hub_close(other->fleet->hub, peer, "you are the seventh");
		poll(NULL, 0, 1);
	}
	hawser_peer_unref(peer);
}

START_TEST(members_come_and_go_while_others_look_and_call)
{
	struct fleet_setup setup = looped();
	struct other others[THREADS];
	unsigned n_broadcasts, rounds = (unsigned)suite_rounds(40);
	struct fleet fleet;

	setup.hub.duplicates = HAWSER_DUPLICATE_ALLOW;
	setup.has_relay = true;
	fleet_start(&fleet, _i, &setup);
	remotes_add(&fleet, MEMBERS);
	other_start(&others[0], &fleet, look);
	other_start(&others[1], &fleet, call_all_on);
	other_start(&others[2], &fleet, close_some);
	for (unsigned i = 0; i < rounds; i++) {
		struct remote *remote = &fleet.remotes[i % MEMBERS];
		unsigned before = fleet.n_joined;

		remote_end(remote);
		if (i % 5 == 0)
			relay_cut(&fleet.relay, CUT_RESET);
		/* Its place is taken by another one of its name. */
		fleet.n_remotes = i % MEMBERS;
		remote_add(&fleet, i % 3 ? "some" : "other", i % 2 ? "west" : NULL);
		fleet.n_remotes = MEMBERS;
		fleet_run_until(&fleet, &fleet.n_joined, before + 1);
	}
	for (unsigned i = 0; i < THREADS; i++)
		others[i].is_to_stop = true;
	for (unsigned i = 0; i < THREADS; i++)
		other_join(&others[i]);
	n_broadcasts = others[1].count;
	broadcast_wait(&fleet, n_broadcasts);
	ck_assert_uint_eq(fleet.n_done, n_broadcasts);
	ck_assert_uint_gt(others[0].count, 0);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(broadcast_ends_with_a_server_of_several_loops)
{
	struct hawser_broadcast_options options = HAWSER_BROADCAST_OPTIONS_INIT;
	const struct fleet_setup setup = looped();
	struct fleet fleet;

	options.max_concurrent = _i / TRANSPORTS ? 3 : 0;
	fleet_start(&fleet, _i, &setup);
	remotes_add(&fleet, MEMBERS);
	fleet.holds = true;
	ck_assert_int_eq(broadcast(&fleet, NULL, NULL, &options), MEMBERS);
	fleet_until(&fleet, fleet.n_running > 2);
	fleet_end_server(&fleet);
	ck_assert_uint_eq(fleet.n_done, 1);
	ck_assert_uint_eq(fleet.n_ends, MEMBERS);
	ck_assert_uint_eq(fleet.n_failed, MEMBERS);
	fleet_stop(&fleet);
}
END_TEST

/* The same name several times at the same moment, on several loops. */
START_TEST(name_is_given_once)
{
	struct fleet_setup setup = looped();
	unsigned rounds = (unsigned)suite_rounds(20);
	struct fleet fleet;
	size_t most = 0;

	fleet_start(&fleet, _i, &setup);
	for (unsigned i = 0; i < rounds; i++) {
		unsigned before = fleet.n_joined;

		fleet.n_remotes = 0;
		for (unsigned j = 0; j < LOOPS; j++)
			remote_add(&fleet, "twin", NULL);
		while (fleet.n_joined == before || !hawser_hub_count(fleet.hub, &all)) {
			size_t count = hawser_hub_count(fleet.hub, &all);

			most = count > most ? count : most;
			fleet_turn(&fleet);
		}
		fleet_settle(&fleet);
		ck_assert_uint_eq(hawser_hub_count(fleet.hub, &all), 1);
		/* Another may be in as soon as the one that was in has left. */
		for (unsigned j = 0; j < LOOPS; j++)
			remote_end(&fleet.remotes[j]);
		fleet_until(&fleet, fleet.n_gone == fleet.n_joined);
	}
	ck_assert_uint_le(most, 1);
	fleet_stop(&fleet);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/hub-loops");
	TCase *tcase = suite_case(suite, "loops");

	tcase_add_loop_test(tcase, all_are_called_on_all_loops, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, callbacks_never_run_two_at_a_time, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, broadcast_ends_with_a_server_of_several_loops, 0,
			    2 * TRANSPORTS);
	tcase_add_loop_test(tcase, name_is_given_once, 0, TRANSPORTS);
	tcase = suite_case(suite, "threads");
	tcase_add_loop_test(tcase, several_threads_call_all, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, other_thread_calls_one_after_the_other, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, members_come_and_go_while_others_look_and_call, 0, TRANSPORTS);
	return suite_run(suite);
}
