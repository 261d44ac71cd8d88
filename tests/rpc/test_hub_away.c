/* Members of a hub whose connections break: away, back, gone; who takes their places, and what
 * becomes of calls to them. */

#include "fleet.h"
#include "raw.h"
#include "support/suite.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct hawser_hub_filter all = {.includes_away = true};

static struct fleet_setup relayed(void)
{
	struct fleet_setup setup = fleet_setup();

	setup.has_relay = true;
	return setup;
}

/* All that go through the relay are away now, and cannot come back. */
static void cut_off(struct fleet *fleet, unsigned count)
{
	unsigned before = fleet->n_away;

	relay_set_door(&fleet->relay, DOOR_SHUT);
	relay_cut(&fleet->relay, CUT_RESET);
	fleet_run_until(fleet, &fleet->n_away, before + count);
}

static void let_back(struct fleet *fleet, unsigned count)
{
	unsigned before = fleet->n_back;

	relay_set_door(&fleet->relay, DOOR_OPEN);
	fleet_run_until(fleet, &fleet->n_back, before + count);
}

/* One that does not go through the relay. */
static struct remote *add_beside(struct fleet *fleet, const char *name)
{
	char through[ADDRESS_SIZE];
	struct remote *remote;

	memcpy(through, fleet->address, sizeof through);
	snprintf(fleet->address, sizeof fleet->address, "%s",
		 hawser_server_address(fleet->server, 0));
	remote = remote_add(fleet, name, NULL);
	memcpy(fleet->address, through, sizeof through);
	return remote;
}

/* A remote's own call has ended: *error says how. */
static void on_own_call_end(struct hawser_call *call, const Rpctest__Payload *reply_or_null,
			    void *data)
{
	struct hawser_error *error = data;

	(void)reply_or_null;
	*error = *hawser_call_error(call);
	hawser_call_free(call);
}

/* ---- away, back, gone ---- */

START_TEST(member_is_away_and_back)
{
	const struct fleet_setup setup = relayed();
	struct hawser_hub_filter here = {.label = "site"};
	struct hawser_peer *peer;
	struct fleet fleet;

	fleet_start(&fleet, _i, &setup);
	remotes_add(&fleet, 1);
	peer = member_of(&fleet, "remote-0");
	cut_off(&fleet, 1);
	ck_assert_int_eq(info_of(peer).state, HAWSER_PEER_AWAY);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, NULL), 0);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &here), 0);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &all), 1);
	ck_assert_ptr_null(hawser_hub_next(fleet.hub, NULL, NULL));
	hawser_peer_unref(member_of(&fleet, "remote-0"));
	let_back(&fleet, 1);
	ck_assert_int_eq(info_of(peer).state, HAWSER_PEER_HERE);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &here), 1);
	ck_assert_int_eq(broadcast(&fleet, NULL, NULL, NULL), 1);
	broadcast_wait(&fleet, 1);
	ck_assert_uint_eq(fleet.n_replies, 1);
	/* That it said hello again is no change. */
	fleet_settle(&fleet);
	ck_assert_str_eq(fleet.told, "joined remote-0;away remote-0;back remote-0;");
	hawser_peer_unref(peer);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(member_is_away_and_back_many_times)
{
	const struct fleet_setup setup = relayed();
	unsigned rounds = (unsigned)suite_rounds(20);
	struct fleet fleet;

	fleet_start(&fleet, _i, &setup);
	remotes_add(&fleet, 5);
	for (unsigned i = 0; i < rounds; i++) {
		cut_off(&fleet, 5);
		let_back(&fleet, 5);
	}
	ck_assert_uint_eq(fleet.n_joined, 5);
	ck_assert_uint_eq(fleet.n_gone, 0);
	ck_assert_uint_eq(fleet.n_changed, 0);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(member_is_gone_when_its_window_is_over)
{
	struct fleet_setup setup = relayed();
	struct hawser_peer *peer;
	struct fleet fleet;

	setup.server.session_window_ms = 50;
	fleet_start(&fleet, _i, &setup);
	remotes_add(&fleet, 1);
	peer = member_of(&fleet, "remote-0");
	cut_off(&fleet, 1);
	fleet_run_until(&fleet, &fleet.n_gone, 1);
	ck_assert_int_eq(info_of(peer).state, HAWSER_PEER_GONE);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &all), 0);
	ck_assert_ptr_null(hawser_hub_find(fleet.hub, "remote-0"));
	/* It comes as another one. */
	relay_set_door(&fleet.relay, DOOR_OPEN);
	fleet_run_until(&fleet, &fleet.n_joined, 2);
	ck_assert_str_eq(fleet.told,
			 "joined remote-0;away remote-0;gone remote-0;joined remote-0;");
	ck_assert_int_eq(info_of(peer).state, HAWSER_PEER_GONE);
	hawser_peer_unref(peer);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(member_without_a_session_is_never_away)
{
	const struct fleet_setup setup = relayed();
	struct hawser_client_options options = remote_options("fleeting");
	struct fleet fleet;

	fleet_start(&fleet, _i, &setup);
	options.no_session = true;
	remote_add_with(&fleet, options);
	fleet_run_until(&fleet, &fleet.n_joined, 1);
	relay_cut(&fleet.relay, CUT_RESET);
	fleet_run_until(&fleet, &fleet.n_joined, 2);
	ck_assert_str_eq(fleet.told, "joined fleeting;gone fleeting;joined fleeting;");
	fleet_stop(&fleet);
}
END_TEST

/* Its last word comes behind an open that nobody has answered. */
START_TEST(member_that_ends_while_it_comes_back_is_gone_at_once)
{
	struct fleet_setup setup = relayed();
	unsigned attempts;
	struct fleet fleet;

	setup.server.session_window_ms = 3600000;
	fleet_start(&fleet, _i, &setup);
	remotes_add(&fleet, 1);
	cut_off(&fleet, 1);
	relay_set_door(&fleet.relay, DOOR_HELD);
	attempts = relay_attempts(&fleet.relay);
	fleet_until(&fleet, relay_attempts(&fleet.relay) > attempts);
	/* It has been accepted; its open is on the way a moment later. */
	for (unsigned i = 0; i < 20; i++)
		fleet_turn(&fleet);
	remote_end(&fleet.remotes[0]);
	relay_set_door(&fleet.relay, DOOR_OPEN);
	relay_thaw(&fleet.relay);
	fleet_run_until(&fleet, &fleet.n_gone, 1);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(change_while_away_is_told_after_back)
{
	static const struct rpctest_second_service second = {.echo = NULL};
	const struct fleet_setup setup = relayed();
	struct hawser_hub_filter filter = {.service = "rpctest.Second", .includes_away = true};
	struct fleet fleet;

	fleet_start(&fleet, _i, &setup);
	remotes_add(&fleet, 1);
	cut_off(&fleet, 1);
	ck_assert_int_eq(rpctest_second_offer(fleet.remotes[0].client, &second, NULL, NULL), 0);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &filter), 0);
	let_back(&fleet, 1);
	fleet_run_until(&fleet, &fleet.n_changed, 1);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &filter), 1);
	fleet_settle(&fleet);
	ck_assert_str_eq(fleet.told,
			 "joined remote-0;away remote-0;back remote-0;changed remote-0;");
	fleet_stop(&fleet);
}
END_TEST

/* ---- names of those that are away ---- */

START_TEST(newcomer_takes_the_place_of_one_that_is_away)
{
	struct fleet_setup setup = relayed();
	struct hawser_peer *peer, *other;
	struct fleet fleet;

	setup.hub.duplicates = _i % 2 ? HAWSER_DUPLICATE_REPLACE : HAWSER_DUPLICATE_REFUSE;
	/* It needs no room of its own. */
	setup.hub.max_peers = 1;
	fleet_start(&fleet, _i / 2, &setup);
	remote_add(&fleet, "twin", "west");
	fleet_run_until(&fleet, &fleet.n_joined, 1);
	peer = member_of(&fleet, "twin");
	cut_off(&fleet, 1);
	add_beside(&fleet, "twin");
	fleet_run_until(&fleet, &fleet.n_joined, 2);
	fleet_run_until(&fleet, &fleet.n_gone, 1);
	ck_assert_int_eq(info_of(peer).state, HAWSER_PEER_GONE);
	other = member_of(&fleet, "twin");
	ck_assert_ptr_ne(other, peer);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &all), 1);
	hawser_peer_unref(other);
	hawser_peer_unref(peer);
	if (setup.hub.duplicates == HAWSER_DUPLICATE_REFUSE) {
		/* When the old one finds its way back, it is refused, again and again … */
		relay_set_door(&fleet.relay, DOOR_OPEN);
		unsigned attempts = relay_attempts(&fleet.relay) + 3;

		fleet_until(&fleet, relay_attempts(&fleet.relay) >= attempts);
		ck_assert_uint_eq(fleet.n_joined, 2);
		/* … until the other leaves. */
		remote_end(&fleet.remotes[1]);
		fleet_run_until(&fleet, &fleet.n_joined, 3);
	}
	fleet_stop(&fleet);
}
END_TEST

START_TEST(twins_may_be_away)
{
	struct fleet_setup setup = relayed();
	struct hawser_hub_filter filter = {.name = "twin"};
	struct fleet fleet;

	setup.hub.duplicates = HAWSER_DUPLICATE_ALLOW;
	fleet_start(&fleet, _i, &setup);
	remote_add(&fleet, "twin", "west");
	fleet_run_until(&fleet, &fleet.n_joined, 1);
	cut_off(&fleet, 1);
	add_beside(&fleet, "twin");
	fleet_run_until(&fleet, &fleet.n_joined, 2);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &filter), 1);
	let_back(&fleet, 1);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &filter), 2);
	ck_assert_uint_eq(fleet.n_gone, 0);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(those_that_are_away_count)
{
	const Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct hawser_error error = {.status = HAWSER_OK};
	struct fleet_setup setup = relayed();
	struct hawser_peer *peer;
	struct remote *late;
	struct fleet fleet;

	setup.hub.max_peers = 2;
	fleet_start(&fleet, _i, &setup);
	remotes_add(&fleet, 2);
	cut_off(&fleet, 2);
	late = add_beside(&fleet, "late");
	rpctest_tester_echo_async(late->client, &request, on_own_call_end, &error, NULL);
	fleet_until(&fleet, error.status);
	ck_assert_msg(strstr(error.message, "the limit is 2"), "%s", error.message);
	peer = member_of(&fleet, "remote-1");
	ck_assert_int_eq(hawser_hub_close(fleet.hub, peer, NULL), 0);
	hawser_peer_unref(peer);
	fleet_run_until(&fleet, &fleet.n_gone, 1);
	ck_assert_int_eq(hawser_client_connect(late->client, NULL), 0);
	fleet_run_until(&fleet, &fleet.n_joined, 3);
	fleet_stop(&fleet);
}
END_TEST

/* Whoever comes back under another name may have the one of somebody else in mind. */
START_TEST(member_keeps_the_name_that_it_came_with)
{
	Hawser__Frame frame = HAWSER__FRAME__INIT, *answer;
	Hawser__Open open = HAWSER__OPEN__INIT;
	Hawser__Hello hello = HAWSER__HELLO__INIT;
	Hawser__Session session = HAWSER__SESSION__INIT;
	struct fleet_setup setup = fleet_setup();
	struct hawser_peer *peer;
	struct fleet fleet;
	int fd;

	setup.loops = 1;
	fleet_start(&fleet, _i, &setup);
	frame.kind_case = HAWSER__FRAME__KIND_OPEN;
	frame.open = &open;
	open.version = 1;
	open.name = (char *)"first";
	open.hello = &hello;
	open.session = &session;
	fd = raw_connect(fleet.address);
	ck_assert(raw_send_frame(fd, &frame));
	answer = raw_expect(fd, HAWSER__FRAME__KIND_OPENED);
	fleet_run_until(&fleet, &fleet.n_joined, 1);
	peer = member_of(&fleet, "first");
	close(fd);
	fleet_run_until(&fleet, &fleet.n_away, 1);

	session.id = answer->opened->session->id;
	session.token = answer->opened->session->token;
	open.name = (char *)"second";
	fd = raw_connect(fleet.address);
	ck_assert(raw_send_frame(fd, &frame));
	hawser__frame__free_unpacked(raw_expect(fd, HAWSER__FRAME__KIND_OPENED), NULL);
	hawser__frame__free_unpacked(answer, NULL);
	fleet_run_until(&fleet, &fleet.n_back, 1);
	ck_assert_str_eq(info_of(peer).name, "first");
	ck_assert_ptr_null(hawser_hub_find(fleet.hub, "second"));
	hawser_peer_unref(peer);
	peer = member_of(&fleet, "first");
	hawser_peer_unref(peer);
	close(fd);
	fleet_stop(&fleet);
}
END_TEST

/* ---- calls to those that are away ---- */

START_TEST(broadcast_passes_over_those_that_are_away)
{
	const struct fleet_setup setup = relayed();
	struct fleet fleet;

	fleet_start(&fleet, _i, &setup);
	remotes_add(&fleet, 3);
	cut_off(&fleet, 3);
	add_beside(&fleet, "beside");
	fleet_run_until(&fleet, &fleet.n_joined, 4);
	ck_assert_int_eq(broadcast(&fleet, NULL, NULL, NULL), 1);
	broadcast_wait(&fleet, 1);
	ck_assert_uint_eq(fleet.n_replies, 1);
	/* Or fails with them at once. */
	ck_assert_int_eq(broadcast(&fleet, &all, NULL, NULL), 4);
	broadcast_wait(&fleet, 2);
	ck_assert_uint_eq(fleet.n_replies, 1);
	ck_assert_uint_eq(fleet.n_failed, 3);
	ck_assert_int_eq(fleet.status, HAWSER_UNAVAILABLE);
	ck_assert_int_eq(fleet.outcome, HAWSER_OUTCOME_NOT_SENT);
	let_back(&fleet, 3);
	fleet_settle(&fleet);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(fleet.remotes[i].n_served, 0);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(broadcast_waits_for_those_that_are_away)
{
	struct hawser_broadcast_options options = HAWSER_BROADCAST_OPTIONS_INIT;
	const struct fleet_setup setup = relayed();
	struct fleet fleet;

	options.waits_for_away = true;
	fleet_start(&fleet, _i, &setup);
	remotes_add(&fleet, 3);
	cut_off(&fleet, 3);
	add_beside(&fleet, "beside");
	fleet_run_until(&fleet, &fleet.n_joined, 4);
	ck_assert_int_eq(broadcast(&fleet, &all, NULL, &options), 4);
	fleet_run_until(&fleet, &fleet.n_ends, 1);
	fleet_settle(&fleet);
	ck_assert_uint_eq(fleet.n_ends, 1);
	let_back(&fleet, 3);
	broadcast_wait(&fleet, 1);
	ck_assert_uint_eq(fleet.n_replies, 4);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(fleet.remotes[i].n_served, 1);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(broadcast_waits_no_longer_than_its_deadline)
{
	struct hawser_broadcast_options options = HAWSER_BROADCAST_OPTIONS_INIT;
	const struct fleet_setup setup = relayed();
	struct fleet fleet;

	options.waits_for_away = true;
	options.timeout_ms = 50;
	options.max_concurrent = 2;
	fleet_start(&fleet, _i, &setup);
	remotes_add(&fleet, 5);
	cut_off(&fleet, 5);
	ck_assert_int_eq(broadcast(&fleet, &all, NULL, &options), 5);
	broadcast_wait(&fleet, 1);
	ck_assert_uint_eq(fleet.n_failed, 5);
	ck_assert_int_eq(fleet.status, HAWSER_DEADLINE_EXCEEDED);
	ck_assert_int_eq(fleet.outcome, HAWSER_OUTCOME_NOT_SENT);
	/* What was given up does not come afterwards. */
	let_back(&fleet, 5);
	fleet_settle(&fleet);
	for (unsigned i = 0; i < 5; i++)
		ck_assert_uint_eq(fleet.remotes[i].n_served, 0);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(broadcast_waits_no_longer_than_the_window)
{
	struct hawser_broadcast_options options = HAWSER_BROADCAST_OPTIONS_INIT;
	struct fleet_setup setup = relayed();
	struct fleet fleet;

	options.waits_for_away = true;
	setup.server.session_window_ms = patient_ms(100);
	fleet_start(&fleet, _i, &setup);
	remotes_add(&fleet, 3);
	cut_off(&fleet, 3);
	ck_assert_int_eq(broadcast(&fleet, &all, NULL, &options), 3);
	broadcast_wait(&fleet, 1);
	ck_assert_uint_eq(fleet.n_failed, 3);
	ck_assert_int_eq(fleet.status, HAWSER_UNAVAILABLE);
	ck_assert_int_eq(fleet.outcome, HAWSER_OUTCOME_NOT_SENT);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(broadcast_goes_on_where_connections_break)
{
	const struct fleet_setup setup = relayed();
	struct fleet fleet;

	fleet_start(&fleet, _i, &setup);
	remotes_add(&fleet, 8);
	fleet.holds = true;
	ck_assert_int_eq(broadcast(&fleet, NULL, NULL, NULL), 8);
	fleet_until(&fleet, fleet.n_running == 8);
	/* Four answer before they are back, the others behind it. */
	cut_off(&fleet, 8);
	for (unsigned i = 0; i < 4; i++)
		remote_answer(&fleet.remotes[i]);
	let_back(&fleet, 8);
	for (unsigned i = 4; i < 8; i++)
		remote_answer(&fleet.remotes[i]);
	broadcast_wait(&fleet, 1);
	ck_assert_uint_eq(fleet.n_replies, 8);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_uint_eq(fleet.remotes[i].n_served, 1);
	fleet_stop(&fleet);
}
END_TEST

/* ---- closed by the hub ---- */

START_TEST(member_that_is_closed_does_not_come_back_by_itself)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	const struct fleet_setup setup = relayed();
	struct hawser_error error = {.status = HAWSER_INTERNAL};
	struct hawser_peer *peer;
	struct fleet fleet;
	unsigned attempts;

	fleet_start(&fleet, _i, &setup);
	remotes_add(&fleet, 2);
	fleet.holds = true;
	ck_assert_int_eq(broadcast(&fleet, NULL, NULL, NULL), 2);
	fleet_until(&fleet, fleet.n_running == 2);
	peer = member_of(&fleet, "remote-0");
	attempts = relay_attempts(&fleet.relay);
	ck_assert_int_eq(hawser_hub_close(fleet.hub, peer, "not needed any more"), 0);
	fleet_run_until(&fleet, &fleet.n_gone, 1);
	ck_assert_str_eq(fleet.last, "remote-0");
	fleet_until(&fleet, !remote_is_connected(&fleet.remotes[0]));
	/* Its calls have ended at both ends, those of others go on. */
	fleet_run_until(&fleet, &fleet.n_ends, 1);
	ck_assert_int_eq(fleet.status, HAWSER_UNAVAILABLE);
	fleet_until(&fleet, fleet.remotes[0].n_given_up == 1);
	fleet_settle(&fleet);
	remote_answer(&fleet.remotes[1]);
	broadcast_wait(&fleet, 1);
	ck_assert_uint_eq(fleet.n_replies, 1);
	ck_assert_uint_eq(relay_attempts(&fleet.relay), attempts);
	ck_assert_int_eq(hawser_hub_close(fleet.hub, peer, "again"), -EPIPE);
	hawser_peer_unref(peer);
	/* Until it wants something itself. */
	rpctest_tester_echo_async(fleet.remotes[0].client, &request, on_own_call_end, &error, NULL);
	fleet_until(&fleet, error.status == HAWSER_OK);
	fleet_run_until(&fleet, &fleet.n_joined, 3);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(member_that_is_closed_while_away_is_gone_at_once)
{
	const struct fleet_setup setup = relayed();
	struct hawser_peer *peer;
	struct fleet fleet;

	fleet_start(&fleet, _i, &setup);
	remotes_add(&fleet, 1);
	peer = member_of(&fleet, "remote-0");
	cut_off(&fleet, 1);
	ck_assert_int_eq(hawser_hub_close(fleet.hub, peer, NULL), 0);
	fleet_run_until(&fleet, &fleet.n_gone, 1);
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &all), 0);
	hawser_peer_unref(peer);
	/* It could not be told, so it comes, as another one. */
	relay_set_door(&fleet.relay, DOOR_OPEN);
	fleet_run_until(&fleet, &fleet.n_joined, 2);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(member_is_told_why_it_is_closed)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct hawser_error error = {.status = HAWSER_OK};
	struct hawser_peer *peer;
	char text[300];
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	remotes_add(&fleet, 1);
	peer = member_of(&fleet, "remote-0");
	memset(text, 'x', sizeof text - 1);
	memcpy(text, "disk full", strlen("disk full"));
	text[sizeof text - 1] = 0;
	ck_assert_int_eq(hawser_hub_close(fleet.hub, peer, text), 0);
	/* Is under way when it hears of it. */
	rpctest_tester_echo_async(fleet.remotes[0].client, &request, on_own_call_end, &error, NULL);
	fleet_run_until(&fleet, &fleet.n_gone, 1);
	fleet_until(&fleet, error.status || !remote_is_connected(&fleet.remotes[0]));
	if (error.status)
		ck_assert_msg(strstr(error.message, "disk full"), "%s", error.message);
	hawser_peer_unref(peer);
	fleet_stop(&fleet);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/hub-away");
	TCase *tcase = suite_case(suite, "away");

	tcase_add_loop_test(tcase, member_is_away_and_back, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, member_is_away_and_back_many_times, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, member_is_gone_when_its_window_is_over, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, member_without_a_session_is_never_away, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, member_that_ends_while_it_comes_back_is_gone_at_once, 0,
			    TRANSPORTS);
	tcase_add_loop_test(tcase, change_while_away_is_told_after_back, 0, TRANSPORTS);
	tcase = suite_case(suite, "names");
	tcase_add_loop_test(tcase, newcomer_takes_the_place_of_one_that_is_away, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, twins_may_be_away, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, those_that_are_away_count, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, member_keeps_the_name_that_it_came_with, 0, TRANSPORTS);
	tcase = suite_case(suite, "calls");
	tcase_add_loop_test(tcase, broadcast_passes_over_those_that_are_away, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, broadcast_waits_for_those_that_are_away, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, broadcast_waits_no_longer_than_its_deadline, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, broadcast_waits_no_longer_than_the_window, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, broadcast_goes_on_where_connections_break, 0, TRANSPORTS);
	tcase = suite_case(suite, "closed");
	tcase_add_loop_test(tcase, member_that_is_closed_does_not_come_back_by_itself, 0,
			    TRANSPORTS);
	tcase_add_loop_test(tcase, member_that_is_closed_while_away_is_gone_at_once, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, member_is_told_why_it_is_closed, 0, TRANSPORTS);
	return suite_run(suite);
}
