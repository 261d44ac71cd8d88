/* Hello: what is told of an end, when, and how much of it. */

#include "both.h"
#include "raw.h"
#include "support/suite.h"
#include "util/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LABELS_MOST = 64, LABEL_BYTES = 256, HELLO_BYTES = 16 * 1024 };

/* ---- options ---- */

static void expect_refused(const struct hawser_label *labels, size_t n, const char *part)
{
	struct hawser_client_options client = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_server_options server = tester_options();
	struct hawser_error error = {.message = ""};
	char text[128];

	client.labels = server.labels = labels;
	client.n_labels = server.n_labels = n;
	errno = 0;
	ck_assert_ptr_null(hawser_client_new("tcp:127.0.0.1:1", &client, &error));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(error.code, -EINVAL);
	snprintf(text, sizeof text, "client options: %s", part);
	ck_assert_msg(strncmp(error.message, text, strlen(text)) == 0, "\"%s\"", error.message);
	ck_assert_ptr_null(hawser_server_new(&server, &error));
	ck_assert_int_eq(errno, EINVAL);
	snprintf(text, sizeof text, "server options: %s", part);
	ck_assert_msg(strncmp(error.message, text, strlen(text)) == 0, "\"%s\"", error.message);
}

START_TEST(labels_that_cannot_be_are_refused_with_a_text)
{
	static char long_text[LABEL_BYTES + 2], longest[LABEL_BYTES + 1];
	struct hawser_label labels[LABELS_MOST + 1];
	struct hawser_client_options client = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_client *made;

	for (int i = 0; i <= LABELS_MOST; i++)
		labels[i] = (struct hawser_label){"key", "value"};
	expect_refused(labels, LABELS_MOST + 1, "65 labels, up to 64 are possible");
	expect_refused(NULL, 3, "3 labels");
	labels[1].key = NULL;
	expect_refused(labels, 2, "label 1 has no key");
	labels[1].key = "";
	expect_refused(labels, 2, "label 1 has no key");
	labels[1].key = "key";
	labels[1].value = NULL;
	expect_refused(labels, 2, "label 1 has no key or no value");
	memset(long_text, 'x', LABEL_BYTES + 1);
	labels[1].value = long_text;
	expect_refused(labels, 2, "label 1 has no key or no value, or one of more than 256 bytes");
	labels[1].value = "value";
	labels[0].key = long_text;
	expect_refused(labels, 2, "label 0 has");
	/* The limits themselves, and no value at all. */
	memset(longest, 'x', LABEL_BYTES);
	labels[0].key = labels[0].value = longest;
	labels[1].value = "";
	client.labels = labels;
	client.n_labels = LABELS_MOST;
	made = hawser_client_new("tcp:127.0.0.1:1", &client, NULL);
	ck_assert_ptr_nonnull(made);
	hawser_client_free(made);
}
END_TEST

START_TEST(what_cannot_be_offered_is_refused_with_a_text)
{
	static const struct hawser_service nameless = {.name = NULL};
	struct hawser_error error = {.message = ""};
	struct both both;

	both_start(&both, _i, NULL);
	ck_assert_int_eq(rpctest_tester_offer(both.client, &both_at_client, NULL, &error), -EEXIST);
	ck_assert_ptr_nonnull(strstr(error.message, "rpctest.Tester"));
	ck_assert_int_eq(hawser_client_add(both.client, NULL, &both_at_client, NULL, &error),
			 -EINVAL);
	ck_assert_int_eq(hawser_client_add(both.client, &nameless, &both_at_client, NULL, &error),
			 -EINVAL);
	ck_assert_int_eq(
		hawser_client_add(NULL, &rpctest_tester_descriptor, &both_at_client, NULL, &error),
		-EINVAL);
	ck_assert_str_eq(error.message, "the client is NULL");
	ck_assert_int_eq(hawser_client_remove(both.client, NULL, &error), -EINVAL);
	ck_assert_str_eq(error.message, "withdraw: the service is NULL");
	/* A peer's client is for calls. */
	both_meet(&both);
	ck_assert_int_eq(
		rpctest_tester_offer(hawser_peer_client(both.peer), &both_at_client, NULL, &error),
		-EPERM);
	ck_assert_ptr_nonnull(strstr(error.message, "hawser_server_add()"));
	ck_assert_int_eq(hawser_client_remove(hawser_peer_client(both.peer),
					      &rpctest_tester_descriptor, &error),
			 -EPERM);
	both_stop(&both);
}
END_TEST

/* ---- large ones ---- */

/* Labels with so many bytes of values, and about as many more with their keys. */
static struct hawser_label *many_labels(size_t n, size_t length)
{
	struct hawser_label *labels = calloc(n, sizeof *labels);
	char *text = malloc(n * 8 + length + 1), *at = text + length + 1;

	memset(text, 'v', length);
	text[length] = 0;
	for (size_t i = 0; i < n; i++) {
		snprintf(at, 8, "key-%02zu", i);
		labels[i] = (struct hawser_label){at, text};
		at += 8;
	}
	return labels;
}

static void free_labels(struct hawser_label *labels)
{
	free((char *)(uintptr_t)labels[0].value);
	free(labels);
}

/* Open has room for 4,096 bytes. */
START_TEST(hello_that_does_not_fit_into_open_comes_behind_it)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct both_setup setup = {.client = &options};
	struct hawser_label *labels = many_labels(60, 200);
	struct hawser_peer *peer;
	struct both both;
	char text[LABEL_BYTES];

	options.labels = labels;
	options.n_labels = 60;
	both_start(&both, _i, &setup);
	/* It is known at once, by whoever it calls. */
	peer = both_meet(&both);
	both_until(&both, hawser_peer_label(peer, "key-59", text, sizeof text));
	ck_assert_uint_eq(strlen(text), 200);
	ck_assert(hawser_peer_offers(peer, "rpctest.Tester"));
	both_call_and_wait(&both, hawser_peer_client(peer), ECHO, 1, NULL);
	both_assert_ok(&both);
	both_stop(&both);
	free_labels(labels);
}
END_TEST

/* Opened has no such limit. */
START_TEST(servers_hello_may_be_longer)
{
	struct hawser_server_options options = tester_options();
	struct both_setup setup = {.server = &options};
	struct hawser_label *labels = many_labels(60, 250);
	struct hawser_peer *server;
	struct both both;
	char text[LABEL_BYTES];

	options.labels = labels;
	options.n_labels = 60;
	both_start(&both, _i, &setup);
	both_meet(&both);
	server = hawser_client_peer(both.client);
	ck_assert_ptr_nonnull(hawser_peer_label(server, "key-59", text, sizeof text));
	hawser_peer_unref(server);
	both_stop(&both);
	free_labels(labels);
}
END_TEST

static void count_warnings(enum hawser_log_level level, const char *line, void *data)
{
	unsigned *count = data;

	if (level == HAWSER_LOG_WARNING && strstr(line, "hello"))
		(*count)++;
}

/* Together they are more than a hello has room for. What it offers is more important. */
START_TEST(labels_that_are_too_long_together_are_not_told)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct both_setup setup = {.client = &options};
	struct hawser_label *labels = many_labels(LABELS_MOST, LABEL_BYTES);
	unsigned warnings = 0;
	struct both both;
	char text[64];

	hawser_log_set_sink(count_warnings, &warnings);
	options.labels = labels;
	options.n_labels = LABELS_MOST;
	both_start(&both, _i, &setup);
	both_meet(&both);
	ck_assert_uint_ge(warnings, 1);
	ck_assert_str_eq(hawser_peer_labels(both.peer, text, sizeof text), "");
	both_call_and_wait(&both, hawser_peer_client(both.peer), ECHO, 1, NULL);
	both_assert_ok(&both);
	both_stop(&both);
	free_labels(labels);
}
END_TEST

static void send_hello(int fd, Hawser__Hello *hello)
{
	Hawser__Frame frame = HAWSER__FRAME__INIT;

	frame.kind_case = HAWSER__FRAME__KIND_HELLO;
	frame.hello = hello;
	frame.ignorable = true;
	ck_assert(raw_send_frame(fd, &frame));
}

/* From a peer that does not keep to it: nothing is known then, so it may be called. */
START_TEST(hello_that_is_too_long_is_as_good_as_none)
{
	Hawser__Hello hello = HAWSER__HELLO__INIT;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	char *services[] = {(char *)"rpctest.Tester"};
	static char address[HELLO_BYTES + 1];
	unsigned warnings = 0;
	Hawser__Frame *frame;
	struct both both;
	int fd;

	hawser_log_set_sink(count_warnings, &warnings);
	both_start(&both, _i, NULL);
	fd = raw_connect(hawser_server_address(both.server, 0));
	{
		Hawser__Frame open = HAWSER__FRAME__INIT;
		Hawser__Open body = HAWSER__OPEN__INIT;

		body.version = 1;
		body.name = (char *)"talker";
		open.kind_case = HAWSER__FRAME__KIND_OPEN;
		open.open = &body;
		ck_assert(raw_send_frame(fd, &open));
	}
	hello.services = services;
	hello.n_services = 1;
	send_hello(fd, &hello);
	ck_assert(raw_call(fd, 1, ECHO, &request));
	both_until(&both, both.peer);
	ck_assert(hawser_peer_offers(both.peer, "rpctest.Tester"));
	ck_assert_uint_eq(warnings, 0);
	/* What was said before does not stand. */
	memset(address, 'a', HELLO_BYTES);
	hello.address = address;
	send_hello(fd, &hello);
	both_until(&both, warnings == 1);
	ck_assert(!hawser_peer_offers(both.peer, "rpctest.Tester"));
	both_call(&both, hawser_peer_client(both.peer), ECHO, 5, NULL);
	do
		event_base_loop(both.base, EVLOOP_NONBLOCK);
	while (0);
	do {
		frame = raw_receive(fd);
		ck_assert_ptr_nonnull(frame);
		if (frame->kind_case == HAWSER__FRAME__KIND_CALL)
			break;
		hawser__frame__free_unpacked(frame, NULL);
	} while (1);
	ck_assert_uint_eq(frame->call->id, 2);
	hawser__frame__free_unpacked(frame, NULL);
	ck_assert(raw_end(fd, 2, HAWSER_UNIMPLEMENTED, HAWSER_OUTCOME_NOT_EXECUTED, NULL));
	both_until(&both, both.n_done == 1);
	ck_assert_int_eq(both.status, HAWSER_UNIMPLEMENTED);
	ck_assert_int_eq(both.outcome, HAWSER_OUTCOME_NOT_EXECUTED);
	close(fd);
	both_stop(&both);
}
END_TEST

/* ---- changes ---- */

START_TEST(hello_changes_while_it_is_away)
{
	static const struct rpctest_second_service second = {.echo = NULL};
	struct both_setup setup = {.is_relayed = true};
	struct hawser_peer *peer;
	struct both both;

	both_start(&both, _i, &setup);
	peer = both_meet(&both);
	for (int round = 0; round < 3; round++) {
		relay_set_door(&both.relay, DOOR_SHUT);
		relay_cut(&both.relay, CUT_ORDERLY);
		both_until(&both, peer_state(peer) == HAWSER_PEER_AWAY);
		if (round == 0)
			ck_assert_int_eq(rpctest_second_offer(both.client, &second, NULL, NULL), 0);
		else if (round == 1)
			ck_assert_int_eq(
				hawser_client_remove(both.client, &rpctest_tester_descriptor, NULL),
				0);
		else
			ck_assert_int_eq(
				hawser_client_remove(both.client, &rpctest_second_descriptor, NULL),
				0);
		relay_set_door(&both.relay, DOOR_OPEN);
		both_until(&both, peer_state(peer) == HAWSER_PEER_HERE);
		/* The session is the same, and so is the peer. */
		ck_assert_ptr_eq(both_meet(&both), peer);
		ck_assert_int_eq(hawser_peer_offers(peer, "rpctest.Second"), round < 2);
		ck_assert_int_eq(hawser_peer_offers(peer, "rpctest.Tester"), round < 1);
		both_call_and_wait(&both, hawser_peer_client(peer), ECHO, 1, NULL);
		if (round)
			both_assert_failed(&both, HAWSER_UNIMPLEMENTED, HAWSER_OUTCOME_NOT_SENT,
					   round == 1 ? "it offers rpctest.Second"
						      : "offers no services");
		else
			both_assert_ok(&both);
	}
	both_stop(&both);
}
END_TEST

/* A call that was made when it was not known yet: the callee has the last word. */
START_TEST(call_that_crosses_a_change_is_refused_there)
{
	struct both_setup setup = {.is_relayed = true};
	struct hawser_peer *peer;
	struct both both;

	both_start(&both, _i, &setup);
	peer = both_meet(&both);
	relay_set_door(&both.relay, DOOR_SHUT);
	relay_cut(&both.relay, CUT_ORDERLY);
	both_until(&both, peer_state(peer) == HAWSER_PEER_AWAY);
	both.n_done = 0;
	both_call(&both, hawser_peer_client(peer), ECHO, 1, NULL);
	ck_assert_int_eq(hawser_client_remove(both.client, &rpctest_tester_descriptor, NULL), 0);
	relay_set_door(&both.relay, DOOR_OPEN);
	both_until(&both, both.n_done == 1);
	both_assert_failed(&both, HAWSER_UNIMPLEMENTED, HAWSER_OUTCOME_NOT_EXECUTED,
			   "it offers no service");
	both_stop(&both);
}
END_TEST

/* Offered before it has ever connected, after, and in between. */
START_TEST(services_come_and_go_at_any_time)
{
	struct both_setup setup = {.offers_nothing = true};
	struct hawser_client *client;
	struct both both;

	both_start(&both, _i, &setup);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(
			rpctest_tester_offer(both.client, &both_at_client, &both.at_client, NULL),
			0);
		client = hawser_peer_client(both_meet(&both));
		both_until(&both, hawser_peer_offers(both.peer, "rpctest.Tester"));
		both_call_and_wait(&both, client, ECHO, i, NULL);
		both_assert_ok(&both);
		ck_assert_int_eq(both.number, i + 1);
		ck_assert_int_eq(
			hawser_client_remove(both.client, &rpctest_tester_descriptor, NULL), 0);
		both_until(&both, !hawser_peer_offers(both.peer, "rpctest.Tester"));
	}
	both_stop(&both);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/peers/hello");
	TCase *tcase = suite_case(suite, "options");

	tcase_add_test(tcase, labels_that_cannot_be_are_refused_with_a_text);
	tcase_add_loop_test(tcase, what_cannot_be_offered_is_refused_with_a_text, 0, TRANSPORTS);

	tcase = suite_case(suite, "large");
	tcase_add_loop_test(tcase, hello_that_does_not_fit_into_open_comes_behind_it, 0,
			    TRANSPORTS);
	tcase_add_loop_test(tcase, servers_hello_may_be_longer, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, labels_that_are_too_long_together_are_not_told, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, hello_that_is_too_long_is_as_good_as_none, 0, TRANSPORTS);

	tcase = suite_case(suite, "changes");
	tcase_add_loop_test(tcase, hello_changes_while_it_is_away, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, call_that_crosses_a_change_is_refused_there, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, services_come_and_go_at_any_time, 0, TRANSPORTS);
	return suite_run(suite);
}
