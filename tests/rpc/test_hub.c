/* The hub of a server: who joins, is found, changes and leaves; names, and limits. */

#include "fleet.h"
#include "support/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- members ---- */

START_TEST(members_are_found)
{
	struct hawser_hub_filter filter = {.label = "site", .value = "west"};
	struct hawser_peer *peer = NULL;
	struct fleet fleet;
	unsigned n = 0;

	fleet_start(&fleet, _i, NULL);
	remotes_add(&fleet, 9);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, NULL), 9);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &filter), 5);
	filter.service = "rpctest.Tester";
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &filter), 5);
	filter.name = "remote-3";
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &filter), 0);
	filter.name = "remote-4";
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &filter), 1);
	filter.service = "rpctest.Other";
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &filter), 0);
	filter = (struct hawser_hub_filter){.label = "site"};
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &filter), 9);
	filter.label = "rack";
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &filter), 0);
	while ((peer = hawser_hub_next(fleet.hub, NULL, peer))) {
		char name[32];

		snprintf(name, sizeof name, "remote-%u", n++);
		ck_assert_str_eq(info_of(peer).name, name);
	}
	ck_assert_uint_eq(n, 9);
	hawser_peer_unref(member_of(&fleet, "remote-4"));
	ck_assert_ptr_null(hawser_hub_find(fleet.hub, "remote-9"));
	fleet_stop(&fleet);
}
END_TEST

START_TEST(member_leaves)
{
	struct hawser_peer *peer;
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	remotes_add(&fleet, 3);
	peer = member_of(&fleet, "remote-1");
	remote_end(&fleet.remotes[1]);
	fleet_run_until(&fleet, &fleet.n_gone, 1);
	ck_assert_str_eq(fleet.last, "remote-1");
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, NULL), 2);
	ck_assert_ptr_null(hawser_hub_find(fleet.hub, "remote-1"));
	/* A reference is good for as long as one likes. */
	ck_assert_int_eq(info_of(peer).state, HAWSER_PEER_GONE);
	fleet_end_server(&fleet);
	ck_assert_str_eq(info_of(peer).name, "remote-1");
	hawser_peer_unref(peer);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(who_says_no_hello_is_no_member)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct hawser_client_options options = remote_options("nobody");
	struct caller caller;
	struct async async = {.then = NULL};
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	remotes_add(&fleet, 1);
	options.base = caller.base = fleet.base;
	caller.client = hawser_client_new(fleet.address, &options, NULL);
	ck_assert_ptr_nonnull(caller.client);
	async_open(&async, &caller, ECHO, &request, NULL);
	async_wait(&async, &caller);
	assert_ok(&async.result);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, NULL), 1);
	ck_assert_ptr_null(hawser_hub_find(fleet.hub, "nobody"));
	hawser_client_free(caller.client);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(labels_are_told)
{
	const struct hawser_label labels[] = {{"site", "lab-2"}, {"empty", ""}, {"rack", "7"}};
	struct hawser_client_options options = remote_options("labelled");
	struct hawser_peer *peer;
	char text[64];
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	options.labels = labels;
	options.n_labels = 3;
	remote_add_with(&fleet, options);
	remote_add(&fleet, "bare", NULL);
	fleet_run_until(&fleet, &fleet.n_joined, 2);
	peer = member_of(&fleet, "labelled");
	ck_assert_str_eq(hawser_peer_labels(peer, text, sizeof text), "site=lab-2, empty=, rack=7");
	ck_assert_str_eq(hawser_peer_labels(peer, text, 8), "site=la");
	ck_assert_str_eq(hawser_peer_labels(peer, text, 1), "");
	ck_assert_str_eq(hawser_peer_labels(peer, NULL, 8), "");
	ck_assert_str_eq(hawser_peer_labels(peer, text, 0), "");
	ck_assert_str_eq(hawser_peer_labels(NULL, text, sizeof text), "");
	ck_assert_str_eq(hawser_peer_label(peer, "empty", text, sizeof text), "");
	hawser_peer_unref(peer);
	peer = member_of(&fleet, "bare");
	ck_assert_str_eq(hawser_peer_labels(peer, text, sizeof text), "");
	hawser_peer_unref(peer);
	fleet_stop(&fleet);
}
END_TEST

/* ---- what changes ---- */

START_TEST(service_that_comes_and_goes_is_told)
{
	struct hawser_hub_filter filter = {.service = "rpctest.Tester"};
	struct hawser_client *client;
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	remotes_add(&fleet, 2);
	client = fleet.remotes[1].client;
	ck_assert_int_eq(hawser_client_remove(client, &rpctest_tester_descriptor, NULL), 0);
	fleet_run_until(&fleet, &fleet.n_changed, 1);
	ck_assert_str_eq(fleet.last, "remote-1");
	/* It is a member all the same. */
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, NULL), 2);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &filter), 1);
	ck_assert_int_eq(broadcast(&fleet, &filter, NULL, NULL), 1);
	broadcast_wait(&fleet, 1);
	ck_assert_uint_eq(fleet.n_replies, 1);
	ck_assert_int_eq(broadcast(&fleet, NULL, NULL, NULL), 2);
	broadcast_wait(&fleet, 2);
	ck_assert_uint_eq(fleet.n_failed, 1);
	ck_assert_int_eq(fleet.status, HAWSER_UNIMPLEMENTED);
	ck_assert_int_eq(fleet.outcome, HAWSER_OUTCOME_NOT_SENT);
	ck_assert_uint_eq(fleet.remotes[1].n_served, 0);
	static const struct rpctest_tester_service none = {.echo = NULL};

	ck_assert_int_eq(rpctest_tester_offer(client, &none, NULL, NULL), 0);
	fleet_run_until(&fleet, &fleet.n_changed, 2);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &filter), 2);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(member_of_a_service_joins_when_it_offers_it)
{
	struct fleet_setup setup = fleet_setup();
	struct hawser_client_options options = remote_options("other");
	const struct hawser_label label = {"site", "east"};
	struct hawser_client *client;
	struct fleet fleet;

	setup.hub.service = "rpctest.Second";
	fleet_start(&fleet, _i, &setup);
	options.labels = &label;
	options.n_labels = 1;
	client = remote_add_with(&fleet, options)->client;
	fleet_until(&fleet, remote_is_connected(&fleet.remotes[0]));
	fleet_settle(&fleet);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, NULL), 0);
	static const struct rpctest_second_service second = {.echo = NULL};

	ck_assert_int_eq(rpctest_second_offer(client, &second, NULL, NULL), 0);
	fleet_run_until(&fleet, &fleet.n_joined, 1);
	ck_assert_str_eq(fleet.last, "other");
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, NULL), 1);
	/* And stays, whatever becomes of that. */
	ck_assert_int_eq(hawser_client_remove(client, &rpctest_second_descriptor, NULL), 0);
	fleet_run_until(&fleet, &fleet.n_changed, 1);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, NULL), 1);
	fleet_stop(&fleet);
}
END_TEST

/* In open it had nothing to say. */
START_TEST(member_that_offers_something_later_has_its_name)
{
	static const struct rpctest_tester_service none = {.echo = NULL};
	static const char *const names[] = {"late", "later"};
	struct hawser_client *clients[2];
	struct hawser_client_stats stats = {.size = sizeof stats};
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	for (unsigned i = 0; i < 2; i++) {
		struct hawser_client_options options = remote_options(names[i]);

		options.base = fleet.base;
		clients[i] = hawser_client_new(fleet.address, &options, NULL);
		ck_assert_int_eq(hawser_client_connect(clients[i], NULL), 0);
		do {
			fleet_turn(&fleet);
			hawser_client_get_stats(clients[i], &stats);
		} while (!stats.is_connected);
		ck_assert_int_eq(rpctest_tester_offer(clients[i], &none, NULL, NULL), 0);
	}
	fleet_run_until(&fleet, &fleet.n_joined, 2);
	ck_assert_str_eq(fleet.told, "joined late;joined later;");
	hawser_peer_unref(member_of(&fleet, "late"));
	for (unsigned i = 0; i < 2; i++)
		hawser_client_free(clients[i]);
	fleet_stop(&fleet);
}
END_TEST

/* ---- names ---- */

START_TEST(second_of_a_name_is_refused)
{
	struct hawser_client_stats stats = {.size = sizeof stats};
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	remote_add(&fleet, "twin", NULL);
	fleet_run_until(&fleet, &fleet.n_joined, 1);
	remote_add(&fleet, "twin", NULL);
	remote_add(&fleet, "other", NULL);
	fleet_run_until(&fleet, &fleet.n_joined, 2);
	ck_assert_str_eq(fleet.last, "other");
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, NULL), 2);
	hawser_client_get_stats(fleet.remotes[1].client, &stats);
	ck_assert_uint_eq(stats.connections, 0);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(second_of_a_name_replaces_the_first)
{
	struct fleet_setup setup = fleet_setup();
	struct hawser_peer *second;
	struct fleet fleet;

	setup.hub.duplicates = HAWSER_DUPLICATE_REPLACE;
	fleet_start(&fleet, _i, &setup);
	remote_add(&fleet, "twin", "west");
	fleet_run_until(&fleet, &fleet.n_joined, 1);
	remote_add(&fleet, "twin", "east");
	fleet_run_until(&fleet, &fleet.n_gone, 1);
	fleet_run_until(&fleet, &fleet.n_joined, 2);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, NULL), 1);
	second = member_of(&fleet, "twin");
	char site[8];

	ck_assert_str_eq(hawser_peer_label(second, "site", site, sizeof site), "east");
	hawser_peer_unref(second);
	/* The first does not come again to throw out the second. */
	fleet_until(&fleet, !remote_is_connected(&fleet.remotes[0]));
	fleet_settle(&fleet);
	ck_assert_uint_eq(fleet.n_joined, 2);
	ck_assert(remote_is_connected(&fleet.remotes[1]));
	fleet_stop(&fleet);
}
END_TEST

START_TEST(twins_are_allowed)
{
	struct fleet_setup setup = fleet_setup();
	struct hawser_hub_filter filter = {.name = "twin"};
	struct hawser_peer *peer;
	char site[8];
	struct fleet fleet;

	setup.hub.duplicates = HAWSER_DUPLICATE_ALLOW;
	fleet_start(&fleet, _i, &setup);
	for (unsigned i = 0; i < 5; i++) {
		snprintf(site, sizeof site, "%u", i);
		remote_add(&fleet, "twin", site);
		fleet_run_until(&fleet, &fleet.n_joined, i + 1);
	}
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &filter), 5);
	/* Found is the one that joined last, of those that are left. */
	static const unsigned leave[] = {2, 4, 0, 3, 1}, found[] = {4, 3, 3, 1};

	for (unsigned i = 0; i < 5; i++) {
		remote_end(&fleet.remotes[leave[i]]);
		fleet_run_until(&fleet, &fleet.n_gone, i + 1);
		ck_assert_uint_eq(hawser_hub_count(fleet.hub, &filter), 4 - i);
		if (i == 4)
			break;
		peer = member_of(&fleet, "twin");
		ck_assert_int_eq(atoi(hawser_peer_label(peer, "site", site, sizeof site)),
				 found[i]);
		hawser_peer_unref(peer);
	}
	ck_assert_ptr_null(hawser_hub_find(fleet.hub, "twin"));
	fleet_stop(&fleet);
}
END_TEST

/* ---- limits ---- */

static struct fleet_setup limited(int stamp)
{
	struct fleet_setup setup = fleet_setup();

	if (stamp % 2)
		setup.hub.max_peers = 4;
	else
		setup.hub.max_peers_per_identity = 4;
	return setup;
}

static void on_refused(struct hawser_call *call, const Rpctest__Payload *reply_or_null, void *data)
{
	struct hawser_error *error = data;

	ck_assert_ptr_null(reply_or_null);
	*error = *hawser_call_error(call);
	hawser_call_free(call);
}

START_TEST(limits_hold)
{
	const struct fleet_setup setup = limited(_i);
	const Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct hawser_error error = {.status = HAWSER_OK};
	struct remote *late;
	struct fleet fleet;

	fleet_start(&fleet, _i / 2, &setup);
	remotes_add(&fleet, 4);
	late = remote_add(&fleet, "one-too-many", NULL);
	ck_assert_ptr_nonnull(
		rpctest_tester_echo_async(late->client, &request, on_refused, &error, NULL));
	fleet_until(&fleet, error.status);
	ck_assert_int_eq(error.status, HAWSER_UNAVAILABLE);
	ck_assert_int_eq(error.outcome, HAWSER_OUTCOME_NOT_SENT);
	ck_assert_msg(strstr(error.message, _i % 2 ? "4 peers are connected, the limit is 4"
						   : "4 peers of this user or address are "
						     "connected, the limit is 4"),
		      "%s", error.message);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, NULL), 4);
	/* When one leaves, there is room. */
	remote_end(&fleet.remotes[0]);
	fleet_run_until(&fleet, &fleet.n_gone, 1);
	ck_assert_int_eq(hawser_client_connect(late->client, NULL), 0);
	fleet_run_until(&fleet, &fleet.n_joined, 5);
	ck_assert_str_eq(fleet.last, "one-too-many");
	fleet_stop(&fleet);
}
END_TEST

/* Who takes another one's place needs no room. */
START_TEST(full_hub_lets_one_in_that_replaces_another)
{
	struct fleet_setup setup = limited(_i);
	struct fleet fleet;

	setup.hub.duplicates = HAWSER_DUPLICATE_REPLACE;
	fleet_start(&fleet, _i / 2, &setup);
	remotes_add(&fleet, 4);
	remote_add(&fleet, "remote-2", NULL);
	fleet_run_until(&fleet, &fleet.n_joined, 5);
	fleet_run_until(&fleet, &fleet.n_gone, 1);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, NULL), 4);
	fleet_stop(&fleet);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/hub");
	TCase *tcase = suite_case(suite, "members");

	tcase_add_loop_test(tcase, members_are_found, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, member_leaves, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, who_says_no_hello_is_no_member, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, labels_are_told, 0, TRANSPORTS);
	tcase = suite_case(suite, "changes");
	tcase_add_loop_test(tcase, service_that_comes_and_goes_is_told, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, member_of_a_service_joins_when_it_offers_it, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, member_that_offers_something_later_has_its_name, 0, TRANSPORTS);
	tcase = suite_case(suite, "names");
	tcase_add_loop_test(tcase, second_of_a_name_is_refused, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, second_of_a_name_replaces_the_first, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, twins_are_allowed, 0, TRANSPORTS);
	tcase = suite_case(suite, "limits");
	tcase_add_loop_test(tcase, limits_hold, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, full_hub_lets_one_in_that_replaces_another, 0, 2 * TRANSPORTS);
	return suite_run(suite);
}
