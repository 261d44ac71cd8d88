/* The hub of a server: who joins, is found, called with others, and leaves. */

#include "caller.h"
#include "support/suite.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { REMOTES_MOST = 64 };

/* A server with a hub, and clients that serve: all on one base. */
struct fleet {
	struct event_base *base;
	struct hawser_server *server;
	struct hawser_hub *hub;
	char directory[128];
	struct remote {
		struct hawser_client *client;
		unsigned n_served;
	} remotes[REMOTES_MOST];
	unsigned n_remotes;
	/* What the hub told. */
	unsigned n_joined, n_away, n_back, n_changed, n_gone;
	char last[HAWSER_PEER_NAME_SIZE];
	/* What a broadcast brought. */
	unsigned n_ends, n_done;
	size_t n_replies, n_failed;
	int64_t sum;
	enum hawser_status status;
	char text[HAWSER_ERROR_MESSAGE_SIZE];
};

static void note(struct hawser_peer *peer, struct fleet *fleet, unsigned *count)
{
	struct hawser_peer_info info = {.size = sizeof info};

	hawser_peer_get_info(peer, &info);
	snprintf(fleet->last, sizeof fleet->last, "%s", info.name);
	(*count)++;
}

#define TOLD(what)                                                  \
	static void on_##what(struct hawser_peer *peer, void *data) \
	{                                                           \
		struct fleet *fleet = data;                         \
                                                                    \
		note(peer, fleet, &fleet->n_##what);                \
	}
TOLD(joined)
TOLD(away)
TOLD(back)
TOLD(changed)
TOLD(gone)

static void serve(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct remote *remote = data;
	Rpctest__Payload reply = *request;

	remote->n_served++;
	if (request->number < 0) {
		rpctest_tester_echo_fail(call, HAWSER_OUT_OF_RANGE, "%d", (int)request->number);
		return;
	}
	reply.number++;
	rpctest_tester_echo_reply(call, &reply);
}

static const struct rpctest_tester_service handlers = {.echo = serve};

static void fleet_start(struct fleet *fleet, int stamp, const struct hawser_hub_options *given)
{
	struct hawser_server_options options = tester_options();
	struct hawser_hub_options hub = HAWSER_HUB_OPTIONS_INIT;
	struct hawser_error error = {.message = ""};
	char address[ADDRESS_SIZE];

	memset(fleet, 0, sizeof *fleet);
	if (given)
		hub = *given;
	hub.on_joined = on_joined;
	hub.on_away = on_away;
	hub.on_back = on_back;
	hub.on_changed = on_changed;
	hub.on_gone = on_gone;
	hub.data = fleet;
	fleet->base = options.base = event_base_new();
	fleet->server = hawser_server_new(&options, &error);
	ck_assert_msg(fleet->server, "%s", error.message);
	fleet->hub = hawser_hub_new(fleet->server, &hub, &error);
	ck_assert_msg(fleet->hub, "%s", error.message);
	directory_make(fleet->directory, sizeof fleet->directory);
	address_make(address, transport_of(stamp), fleet->directory);
	ck_assert_msg(hawser_server_listen(fleet->server, address, &error) == 0, "%s",
		      error.message);
}

static void fleet_stop(struct fleet *fleet)
{
	for (unsigned i = 0; i < fleet->n_remotes; i++)
		hawser_client_free(fleet->remotes[i].client);
	hawser_server_free(fleet->server);
	ck_assert_uint_eq(fleet->n_gone, fleet->n_joined);
	event_base_free(fleet->base);
	directory_remove(fleet->directory);
}

/* It begins to connect. */
static struct remote *remote_add(struct fleet *fleet, const char *name, const char *site)
{
	struct remote *remote = &fleet->remotes[fleet->n_remotes++];
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_label label = {"site", site};

	options.base = fleet->base;
	options.name = name;
	options.labels = &label;
	options.n_labels = site != NULL;
	remote->client = hawser_client_new(hawser_server_address(fleet->server, 0), &options, NULL);
	ck_assert_ptr_nonnull(remote->client);
	ck_assert_int_eq(rpctest_tester_offer(remote->client, &handlers, remote, NULL), 0);
	ck_assert_int_eq(hawser_client_connect(remote->client, NULL), 0);
	return remote;
}

static void remotes_add(struct fleet *fleet, unsigned count)
{
	unsigned before = fleet->n_joined;

	for (unsigned i = 0; i < count; i++) {
		char name[32];

		snprintf(name, sizeof name, "remote-%u", fleet->n_remotes);
		remote_add(fleet, name, i % 2 ? "east" : "west");
	}
	base_run_until(fleet->base, &fleet->n_joined, before + count);
}

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
	filter.service = "rpctest.Other";
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &filter), 0);
	while ((peer = hawser_hub_next(fleet.hub, NULL, peer))) {
		struct hawser_peer_info info = {.size = sizeof info};
		char name[32];

		snprintf(name, sizeof name, "remote-%u", n++);
		hawser_peer_get_info(peer, &info);
		ck_assert_str_eq(info.name, name);
	}
	ck_assert_uint_eq(n, 9);
	peer = hawser_hub_find(fleet.hub, "remote-4");
	ck_assert_ptr_nonnull(peer);
	hawser_peer_unref(peer);
	ck_assert_ptr_null(hawser_hub_find(fleet.hub, "remote-9"));
	fleet_stop(&fleet);
}
END_TEST

START_TEST(member_leaves)
{
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	remotes_add(&fleet, 3);
	hawser_client_free(fleet.remotes[1].client);
	fleet.remotes[1].client = NULL;
	base_run_until(fleet.base, &fleet.n_gone, 1);
	ck_assert_str_eq(fleet.last, "remote-1");
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, NULL), 2);
	ck_assert_ptr_null(hawser_hub_find(fleet.hub, "remote-1"));
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
	base_run_until(fleet.base, &fleet.n_joined, 1);
	remote_add(&fleet, "twin", NULL);
	remote_add(&fleet, "other", NULL);
	base_run_until(fleet.base, &fleet.n_joined, 2);
	ck_assert_str_eq(fleet.last, "other");
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, NULL), 2);
	hawser_client_get_stats(fleet.remotes[1].client, &stats);
	ck_assert_uint_eq(stats.connections, 0);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(second_of_a_name_replaces_the_first)
{
	struct hawser_hub_options options = HAWSER_HUB_OPTIONS_INIT;
	struct fleet fleet;

	options.duplicates = HAWSER_DUPLICATE_REPLACE;
	fleet_start(&fleet, _i, &options);
	remote_add(&fleet, "twin", NULL);
	base_run_until(fleet.base, &fleet.n_joined, 1);
	remote_add(&fleet, "twin", NULL);
	base_run_until(fleet.base, &fleet.n_gone, 1);
	ck_assert_uint_eq(fleet.n_joined, 2);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, NULL), 1);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(twins_are_allowed)
{
	struct hawser_hub_options options = HAWSER_HUB_OPTIONS_INIT;
	struct hawser_hub_filter filter = {.name = "twin"};
	struct fleet fleet;

	options.duplicates = HAWSER_DUPLICATE_ALLOW;
	fleet_start(&fleet, _i, &options);
	for (unsigned i = 0; i < 5; i++)
		remote_add(&fleet, "twin", NULL);
	base_run_until(fleet.base, &fleet.n_joined, 5);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &filter), 5);
	hawser_client_free(fleet.remotes[2].client);
	hawser_client_free(fleet.remotes[4].client);
	fleet.remotes[2].client = fleet.remotes[4].client = NULL;
	base_run_until(fleet.base, &fleet.n_gone, 2);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &filter), 3);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(limits_hold)
{
	struct hawser_hub_options options = HAWSER_HUB_OPTIONS_INIT;
	struct hawser_client_stats stats = {.size = sizeof stats};
	struct fleet fleet;

	if (_i % 2)
		options.max_peers = 4;
	else
		options.max_peers_per_identity = 4;
	fleet_start(&fleet, _i / 2, &options);
	remotes_add(&fleet, 4);
	remote_add(&fleet, "one-too-many", NULL);
	hawser_client_free(fleet.remotes[0].client);
	fleet.remotes[0].client = NULL;
	base_run_until(fleet.base, &fleet.n_gone, 1);
	hawser_client_get_stats(fleet.remotes[4].client, &stats);
	if (!stats.connections)
		ck_assert_uint_eq(hawser_hub_count(fleet.hub, NULL), 3);
	fleet_stop(&fleet);
}
END_TEST

/* ---- to many at once ---- */

static void on_end(struct hawser_peer *peer, const ProtobufCMessage *reply_or_null,
		   const struct hawser_error *error, void *data)
{
	struct fleet *fleet = data;

	ck_assert_ptr_nonnull(peer);
	fleet->n_ends++;
	if (reply_or_null) {
		fleet->sum += ((const Rpctest__Payload *)reply_or_null)->number;
	} else {
		fleet->status = error->status;
		snprintf(fleet->text, sizeof fleet->text, "%s", error->message);
	}
}

static void on_done(size_t n_replies, size_t n_failed, void *data)
{
	struct fleet *fleet = data;

	fleet->n_done++;
	fleet->n_replies = n_replies;
	fleet->n_failed = n_failed;
}

static int broadcast(struct fleet *fleet, int64_t number,
		     const struct hawser_broadcast_options *options)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;

	request.number = number;
	return hawser_hub_broadcast(fleet->hub, NULL, method_of(ECHO), &request.base, options,
				    on_end, on_done, fleet, NULL);
}

START_TEST(all_are_called)
{
	struct hawser_broadcast_options options = HAWSER_BROADCAST_OPTIONS_INIT;
	struct fleet fleet;

	options.max_concurrent = _i % 2 ? 3 : 0;
	fleet_start(&fleet, _i / 2, NULL);
	remotes_add(&fleet, 20);
	ck_assert_int_eq(broadcast(&fleet, 6, &options), 20);
	base_run_until(fleet.base, &fleet.n_done, 1);
	ck_assert_uint_eq(fleet.n_ends, 20);
	ck_assert_uint_eq(fleet.n_replies, 20);
	ck_assert_uint_eq(fleet.n_failed, 0);
	ck_assert_int_eq(fleet.sum, 20 * 7);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_uint_eq(fleet.remotes[i].n_served, 1);
	ck_assert_int_eq(broadcast(&fleet, -6, NULL), 20);
	base_run_until(fleet.base, &fleet.n_done, 2);
	ck_assert_uint_eq(fleet.n_failed, 20);
	ck_assert_int_eq(fleet.status, HAWSER_OUT_OF_RANGE);
	ck_assert_str_eq(fleet.text, "-6");
	fleet_stop(&fleet);
}
END_TEST

START_TEST(nobody_is_called)
{
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	ck_assert_int_eq(broadcast(&fleet, 6, NULL), 0);
	ck_assert_uint_eq(fleet.n_done, 1);
	ck_assert_uint_eq(fleet.n_ends, 0);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(broadcast_ends_with_its_server)
{
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	remotes_add(&fleet, 20);
	ck_assert_int_eq(broadcast(&fleet, 6, NULL), 20);
	hawser_server_free(fleet.server);
	fleet.server = NULL;
	ck_assert_uint_eq(fleet.n_done, 1);
	ck_assert_uint_eq(fleet.n_ends, 20);
	ck_assert_int_eq(fleet.status, HAWSER_UNAVAILABLE);
	fleet_stop(&fleet);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/hub");
	TCase *tcase = suite_case(suite, "members");

	tcase_add_loop_test(tcase, members_are_found, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, member_leaves, 0, TRANSPORTS);
	tcase = suite_case(suite, "names and limits");
	tcase_add_loop_test(tcase, second_of_a_name_is_refused, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, second_of_a_name_replaces_the_first, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, twins_are_allowed, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, limits_hold, 0, 2 * TRANSPORTS);
	tcase = suite_case(suite, "to many");
	tcase_add_loop_test(tcase, all_are_called, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, nobody_is_called, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, broadcast_ends_with_its_server, 0, TRANSPORTS);
	return suite_run(suite);
}
