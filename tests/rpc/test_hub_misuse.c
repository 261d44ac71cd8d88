/* A hub that is used wrongly: error codes and texts that say what to do. */

#include "fleet.h"
#include "support/suite.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- making one ---- */

static void expect_no_hub(struct hawser_server *server, const struct hawser_hub_options *options,
			  int code, const char *part)
{
	struct hawser_error error = {.message = ""};

	errno = 0;
	ck_assert_ptr_null(hawser_hub_new(server, options, &error));
	ck_assert_int_eq(errno, -code);
	ck_assert_int_eq(error.code, code);
	ck_assert_msg(strstr(error.message, part), "\"%s\" does not say \"%s\"", error.message,
		      part);
	errno = 0;
	ck_assert_ptr_null(hawser_hub_new(server, options, NULL));
	ck_assert_int_eq(errno, -code);
}

START_TEST(hub_needs_a_server_and_options_that_are_right)
{
	struct hawser_hub_options options = HAWSER_HUB_OPTIONS_INIT;
	struct hawser_server_options server_options = tester_options();
	struct hawser_server *server = hawser_server_new(&server_options, NULL);

	expect_no_hub(NULL, NULL, -EINVAL, "NULL");
	options.size = 0;
	expect_no_hub(server, &options, -EINVAL, "start from HAWSER_HUB_OPTIONS_INIT");
	options.size = 5000;
	expect_no_hub(server, &options, -EINVAL, "size is 5000");
	options.size = sizeof options;
	options.duplicates = (enum hawser_duplicate)3;
	expect_no_hub(server, &options, -EINVAL, "_ALLOW");
	options.duplicates = (enum hawser_duplicate) - 1;
	expect_no_hub(server, &options, -EINVAL, "_ALLOW");
	/* An older program's struct ends earlier. */
	options.duplicates = HAWSER_DUPLICATE_REFUSE;
	options.size = offsetof(struct hawser_hub_options, service);
	options.service = (const char *)8;
	ck_assert_ptr_nonnull(hawser_hub_new(server, &options, NULL));
	expect_no_hub(server, NULL, -EEXIST, "has one already");
	hawser_server_free(server);
}
END_TEST

START_TEST(hub_is_made_before_the_server_runs)
{
	struct tester tester;

	tester_start(&tester, transport_of(_i), NULL);
	/* Once it answers, it runs for sure. */
	struct caller caller;

	caller_init(&caller, tester.address, false, NULL);
	caller_echo(&caller);
	expect_no_hub(tester.server, NULL, -EBUSY, "make it before that");
	caller_deinit(&caller);
	tester_stop(&tester);
}
END_TEST

START_TEST(defaults_do)
{
	struct hawser_server_options options = tester_options();
	struct hawser_server *server = hawser_server_new(&options, NULL);
	struct hawser_hub *hub = hawser_hub_new(server, NULL, NULL);

	ck_assert_ptr_nonnull(hub);
	ck_assert_uint_eq(hawser_hub_count(hub, NULL), 0);
	hawser_server_free(server);
}
END_TEST

/* ---- finding and closing ---- */

START_TEST(nothing_is_found_where_nothing_is)
{
	struct hawser_hub_filter odd = {.value = "west"};
	struct hawser_peer *peer;
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	remotes_add(&fleet, 2);
	ck_assert_ptr_null(hawser_hub_find(NULL, "remote-0"));
	ck_assert_ptr_null(hawser_hub_find(fleet.hub, NULL));
	ck_assert_ptr_null(hawser_hub_find(fleet.hub, ""));
	ck_assert_uint_eq(hawser_hub_count(NULL, NULL), 0);
	ck_assert_ptr_null(hawser_hub_next(NULL, NULL, NULL));
	/* It is given back also here; else the leak would show. */
	ck_assert_ptr_null(hawser_hub_next(NULL, NULL, member_of(&fleet, "remote-0")));
	/* A value without a key means nothing. */
	ck_assert_uint_eq(hawser_hub_count(fleet.hub, &odd), 2);
	/* Behind the last. */
	ck_assert_ptr_null(hawser_hub_next(fleet.hub, NULL, member_of(&fleet, "remote-1")));
	/* Behind one that has left. */
	peer = member_of(&fleet, "remote-0");
	remote_end(&fleet.remotes[0]);
	fleet_run_until(&fleet, &fleet.n_gone, 1);
	peer = hawser_hub_next(fleet.hub, NULL, peer);
	ck_assert_str_eq(info_of(peer).name, "remote-1");
	hawser_peer_unref(peer);
	fleet_stop(&fleet);
}
END_TEST

START_TEST(only_a_member_can_be_closed)
{
	struct hawser_peer *peer, *server;
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	remotes_add(&fleet, 1);
	peer = member_of(&fleet, "remote-0");
	ck_assert_int_eq(hawser_hub_close(NULL, peer, "x"), -EINVAL);
	ck_assert_int_eq(hawser_hub_close(fleet.hub, NULL, "x"), -EINVAL);
	/* The client's own peer is the server. */
	fleet_until(&fleet, remote_is_connected(&fleet.remotes[0]));
	server = hawser_client_peer(fleet.remotes[0].client);
	ck_assert_ptr_nonnull(server);
	ck_assert_int_eq(hawser_hub_close(fleet.hub, server, "x"), -EINVAL);
	hawser_peer_unref(server);
	fleet_settle(&fleet);
	ck_assert(remote_is_connected(&fleet.remotes[0]));
	/* Twice at once is once. */
	ck_assert_int_eq(hawser_hub_close(fleet.hub, peer, NULL), 0);
	ck_assert_int_eq(hawser_hub_close(fleet.hub, peer, NULL), 0);
	fleet_run_until(&fleet, &fleet.n_gone, 1);
	ck_assert_int_eq(hawser_hub_close(fleet.hub, peer, NULL), -EPIPE);
	hawser_peer_unref(peer);
	fleet_stop(&fleet);
}
END_TEST

/* ---- broadcasts ---- */

static void expect_refused(struct fleet *fleet, struct hawser_hub *hub,
			   const struct hawser_method *method, const ProtobufCMessage *request,
			   const struct hawser_broadcast_options *options, int code,
			   const char *part)
{
	struct hawser_error error = {.message = ""};

	ck_assert_int_eq(
		hawser_hub_broadcast(hub, NULL, method, request, options, NULL, NULL, NULL, &error),
		code);
	ck_assert_int_eq(error.code, code);
	ck_assert_msg(strstr(error.message, part), "\"%s\" does not say \"%s\"", error.message,
		      part);
	ck_assert_int_eq(
		hawser_hub_broadcast(hub, NULL, method, request, options, NULL, NULL, NULL, NULL),
		code);
	fleet_settle(fleet);
	ck_assert_uint_eq(fleet->remotes[0].n_served, 0);
}

START_TEST(broadcast_needs_a_unary_method_and_its_request)
{
	struct hawser_broadcast_options options = HAWSER_BROADCAST_OPTIONS_INIT;
	struct fleet_setup setup = fleet_setup();
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	Rpctest__Why why = RPCTEST__WHY__INIT;
	ProtobufCMessage nothing = {.descriptor = NULL};
	const struct hawser_method *echo = method_of(ECHO);
	uint8_t bytes[2000] = {0};
	struct fleet fleet;

	setup.server.max_reply_bytes = 1000;
	fleet_start(&fleet, _i, &setup);
	remotes_add(&fleet, 1);
	expect_refused(&fleet, NULL, echo, &request.base, NULL, -EINVAL, "is NULL");
	expect_refused(&fleet, fleet.hub, NULL, &request.base, NULL, -EINVAL, "is NULL");
	expect_refused(&fleet, fleet.hub, echo, NULL, NULL, -EINVAL, "is NULL");
	expect_refused(&fleet, fleet.hub, method_of(WATCH), &request.base, NULL, -EINVAL,
		       "only unary methods");
	expect_refused(&fleet, fleet.hub, method_of(CHAT), &request.base, NULL, -EINVAL,
		       "only unary methods");
	expect_refused(&fleet, fleet.hub, echo, &why.base, NULL, -EINVAL,
		       "the request is a rpctest.Why, not a rpctest.Payload");
	expect_refused(&fleet, fleet.hub, echo, &nothing, NULL, -EINVAL, "start from its __INIT");
	options.size = 0;
	expect_refused(&fleet, fleet.hub, echo, &request.base, &options, -EINVAL,
		       "start from HAWSER_BROADCAST_OPTIONS_INIT");
	options.size = 5000;
	expect_refused(&fleet, fleet.hub, echo, &request.base, &options, -EINVAL, "size is 5000");
	request.data.data = bytes;
	request.data.len = sizeof bytes;
	expect_refused(&fleet, fleet.hub, echo, &request.base, NULL, -EMSGSIZE,
		       "the limit is 1000");
	fleet_stop(&fleet);
}
END_TEST

START_TEST(nobody_needs_to_be_told_how_a_broadcast_ends)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct fleet fleet;

	fleet_start(&fleet, _i, NULL);
	ck_assert_int_eq(hawser_hub_broadcast(fleet.hub, NULL, method_of(ECHO), &request.base, NULL,
					      NULL, NULL, NULL, NULL),
			 0);
	remotes_add(&fleet, 3);
	ck_assert_int_eq(hawser_hub_broadcast(fleet.hub, NULL, method_of(ECHO), &request.base, NULL,
					      NULL, NULL, NULL, NULL),
			 3);
	for (unsigned i = 0; i < 3; i++)
		fleet_until(&fleet, fleet.remotes[i].n_served == 1);
	fleet_stop(&fleet);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/hub-misuse");
	TCase *tcase = suite_case(suite, "hub");

	tcase_add_test(tcase, hub_needs_a_server_and_options_that_are_right);
	tcase_add_loop_test(tcase, hub_is_made_before_the_server_runs, 0, TRANSPORTS);
	tcase_add_test(tcase, defaults_do);
	tcase = suite_case(suite, "members");
	tcase_add_loop_test(tcase, nothing_is_found_where_nothing_is, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, only_a_member_can_be_closed, 0, TRANSPORTS);
	tcase = suite_case(suite, "broadcasts");
	tcase_add_loop_test(tcase, broadcast_needs_a_unary_method_and_its_request, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, nobody_needs_to_be_told_how_a_broadcast_ends, 0, TRANSPORTS);
	return suite_run(suite);
}
