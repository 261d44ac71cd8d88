/* The normalizer as a service: its calls, its options, its end. */

#include "normalizer.hawser.h"
#include "process.h"
#include "support/suite.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void start_normalizer(struct server_process *server)
{
	const char *const argv[] = {program("NORMALIZER"), NULL};

	server_start(server, 1, argv);
	ck_assert_msg(strncmp(server->addresses[0], "tcp:127.0.0.1:", 14) == 0, "%s",
		      server->addresses[0]);
}

static struct hawser_client *make_client(const char *address)
{
	struct hawser_error error;
	struct hawser_client *client = hawser_client_new(address, NULL, &error);

	ck_assert_msg(client, "%s", error.message);
	return client;
}

static void stop_cleanly(struct server_process *server, const char *summary)
{
	char rest[512];

	ck_assert_int_eq(server_stop(server, rest, sizeof rest), 0);
	ck_assert_str_eq(rest, summary);
}

static void replies_with(struct hawser_client *client, const Demo__NormalizeRequest *request,
			 const char *expected)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Demo__NormalizeReply *reply = NULL;

	ck_assert_msg(demo_normalizer_normalize(client, request, &reply, &context) == HAWSER_OK,
		      "%s", context.error.message);
	ck_assert_str_eq(reply->text, expected);
	demo__normalize_reply__free_unpacked(reply, NULL);
	hawser_context_clear(&context);
}

static void fails_with(struct hawser_client *client, const Demo__NormalizeRequest *request,
		       enum hawser_status status, const char *text)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Demo__NormalizeReply *reply = NULL;

	ck_assert_str_eq(
		hawser_status_name(demo_normalizer_normalize(client, request, &reply, &context)),
		hawser_status_name(status));
	ck_assert_msg(strstr(context.error.message, text), "\"%s\" is not in: %s", text,
		      context.error.message);
	ck_assert_int_eq(context.error.outcome, HAWSER_OUTCOME_EXECUTED);
	ck_assert_ptr_null(reply);
	hawser_context_clear(&context);
}

START_TEST(it_does_what_each_request_asks_for)
{
	Demo__NormalizeRequest request = DEMO__NORMALIZE_REQUEST__INIT;
	struct server_process server;
	struct hawser_client *client;

	start_normalizer(&server);
	client = make_client(server.addresses[0]);
	request.text = (char *)"";
	replies_with(client, &request, "");
	request.text = (char *)" U\u0308ber \uFB01n ";
	replies_with(client, &request, " \u00DCber \uFB01n ");
	request.trim = true;
	replies_with(client, &request, "\u00DCber \uFB01n");
	request.form = DEMO__FORM__FORM_NFKC;
	replies_with(client, &request, "\u00DCber fin");
	request.case_fold = true;
	replies_with(client, &request, "\u00FCber fin");
	request.form = DEMO__FORM__FORM_NFD;
	replies_with(client, &request, "u\u0308ber fin");
	hawser_client_free(client);
	stop_cleanly(&server, "served 6 calls, 0 failed, on 1 connections; all calls finished\n");
}
END_TEST

START_TEST(wrong_requests_are_told_what_is_wrong)
{
	Demo__NormalizeRequest request = DEMO__NORMALIZE_REQUEST__INIT;
	struct server_process server;
	struct hawser_client *client;

	start_normalizer(&server);
	client = make_client(server.addresses[0]);
	request.text = (char *)"caf\xc3\x28";
	fails_with(client, &request, HAWSER_INVALID_ARGUMENT, "byte 3 (0xc3)");
	request.text = (char *)"caf\u00E9";
	request.form = (Demo__Form)7;
	fails_with(client, &request, HAWSER_INVALID_ARGUMENT, "form 7 is unknown");
	/* The connection is none the worse for it. */
	request.form = DEMO__FORM__FORM_NFC;
	replies_with(client, &request, "caf\u00E9");
	hawser_client_free(client);
	stop_cleanly(&server, "served 3 calls, 2 failed, on 1 connections; all calls finished\n");
}
END_TEST

/* A directory for a socket; the path goes to `address`. */
static void make_unix_address(char *dir, size_t dir_size, char *address, size_t size)
{
	snprintf(dir, dir_size, "/tmp/hawser-service-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(address, size, "unix:%s/socket", dir);
}

START_TEST(it_listens_on_tcp_and_unix_at_once)
{
	Demo__NormalizeRequest request = DEMO__NORMALIZE_REQUEST__INIT;
	char dir[64], address[96];
	struct server_process server;

	make_unix_address(dir, sizeof dir, address, sizeof address);
	server_start(&server, 3,
		     (const char *const[]){program("NORMALIZER"), "-l", "tcp:127.0.0.1:0", "-l",
					   address, "--listen=tcp:[::1]:0", "--loops", "2", NULL});
	ck_assert_str_eq(server.addresses[1], address);
	request.text = (char *)"name";
	for (unsigned i = 0; i < server.n_addresses; i++) {
		struct hawser_client *client = make_client(server.addresses[i]);

		replies_with(client, &request, "name");
		hawser_client_free(client);
	}
	stop_cleanly(&server, "served 3 calls, 0 failed, on 3 connections; all calls finished\n");
	/* The socket file is gone, so the directory is empty. */
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(it_can_be_shut_down_through_its_unix_socket)
{
	char dir[64], address[96], rest[256];
	struct server_process server;
	struct hawser_client *client;
	struct hawser_error error;

	make_unix_address(dir, sizeof dir, address, sizeof address);
	server_start(&server, 1,
		     (const char *const[]){program("NORMALIZER"), "--listen", address,
					   "--allow-shutdown", NULL});
	client = make_client(address);
	ck_assert_msg(hawser_client_shutdown(client, "the test is over", &error) == 0, "%s",
		      error.message);
	ck_assert_int_eq(server_wait(&server, rest, sizeof rest), 0);
	hawser_client_free(client);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(nobody_can_shut_it_down_unless_allowed)
{
	struct server_process server;
	struct hawser_client *client;
	struct hawser_error error;

	start_normalizer(&server);
	client = make_client(server.addresses[0]);
	ck_assert_int_lt(hawser_client_shutdown(client, "please", &error), 0);
	ck_assert_int_eq(hawser_client_ping(client, NULL, &error), 0);
	hawser_client_free(client);
	stop_cleanly(&server, "served 0 calls, 0 failed, on 1 connections; all calls finished\n");
}
END_TEST

static void prints(int status, const char *text, const char *const *arguments)
{
	const char *argv[8] = {program("NORMALIZER")};
	char output[4096];

	for (int i = 0; arguments[i]; i++)
		argv[i + 1] = arguments[i];
	ck_assert_int_eq(run_program(argv, output, sizeof output), status);
	ck_assert_msg(strstr(output, text), "\"%s\" is not in: %s", text, output);
}

START_TEST(wrong_options_are_told_what_is_wrong)
{
	prints(0, "Usage: hawser-normalizer", (const char *const[]){"--help", NULL});
	prints(0, "(Unicode ", (const char *const[]){"--version", NULL});
	prints(2, "--help", (const char *const[]){"--lisen", "tcp:127.0.0.1:0", NULL});
	prints(2, "addresses follow --listen", (const char *const[]){"tcp:127.0.0.1:0", NULL});
	prints(2, "from 1 to 256", (const char *const[]){"--loops", "many", NULL});
	prints(2, "from 1 to 256", (const char *const[]){"--loops=0", NULL});
	prints(1, "nonsense", (const char *const[]){"--listen", "nonsense", NULL});
}
END_TEST

/* Whoever has read "listening on" may send the signal at once. */
START_TEST(sigterm_counts_from_the_first_listener_on)
{
	for (unsigned round = 0; round < 30; round++) {
		struct server_process server;

		start_normalizer(&server);
		stop_cleanly(&server,
			     "served 0 calls, 0 failed, on 0 connections; all calls finished\n");
	}
}
END_TEST

START_TEST(an_address_in_use_is_refused)
{
	struct server_process server;

	start_normalizer(&server);
	prints(1, "address already in use",
	       (const char *const[]){"--listen", server.addresses[0], NULL});
	stop_cleanly(&server, "served 0 calls, 0 failed, on 0 connections; all calls finished\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("service");
	TCase *tcase = suite_case(suite, "service");

	tcase_add_test(tcase, it_does_what_each_request_asks_for);
	tcase_add_test(tcase, wrong_requests_are_told_what_is_wrong);
	tcase_add_test(tcase, it_listens_on_tcp_and_unix_at_once);
	tcase_add_test(tcase, it_can_be_shut_down_through_its_unix_socket);
	tcase_add_test(tcase, nobody_can_shut_it_down_unless_allowed);
	tcase_add_test(tcase, wrong_options_are_told_what_is_wrong);
	tcase_add_test(tcase, sigterm_counts_from_the_first_listener_on);
	tcase_add_test(tcase, an_address_in_use_is_refused);
	return suite_run(suite);
}
