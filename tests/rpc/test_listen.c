/* Listeners: every kind of address, several at once, and what becomes of socket files. */

#include "caller.h"
#include "raw.h"
#include "support/suite.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bool has_ipv6(void)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	bool has = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;

	if (fd >= 0)
		close(fd);
	return has;
}

static void listen_at(struct tester *tester, const char *address)
{
	int r = hawser_server_listen(tester->server, address, &tester->error);

	ck_assert_msg(r >= 0, "%s", tester->error.message);
}

static void echo_at(const char *address, bool async)
{
	struct caller caller;

	caller_init(&caller, address, async, NULL);
	caller_echo(&caller);
	caller_echo(&caller);
	caller_deinit(&caller);
}

static unsigned port_of(const char *address)
{
	const char *colon = strrchr(address, ':');

	ck_assert_ptr_nonnull(colon);
	return (unsigned)atoi(colon + 1);
}

START_TEST(several_listeners_serve_at_once)
{
	char address[ADDRESS_SIZE];
	struct tester tester;
	unsigned n = 3;

	tester_init(&tester, OVER_UNIX, NULL);
	ck_assert_int_eq(hawser_server_listen(tester.server, "tcp:127.0.0.1:0", NULL), 1);
	snprintf(address, sizeof address, "unix:%s/t", tester.directory);
	ck_assert_int_eq(hawser_server_listen(tester.server, address, NULL), 2);
	ck_assert_str_eq(hawser_server_address(tester.server, 2), address);
	if (has_ipv6()) {
		ck_assert_int_eq(hawser_server_listen(tester.server, "tcp:[::1]:0", NULL), 3);
		ck_assert_int_eq(strncmp(hawser_server_address(tester.server, 3), "tcp:[::1]:", 10),
				 0);
		n++;
	}
	ck_assert_ptr_null(hawser_server_address(tester.server, n));
	tester_run(&tester);
	for (unsigned i = 0; i < n; i++) {
		echo_at(hawser_server_address(tester.server, i), false);
		echo_at(hawser_server_address(tester.server, i), true);
	}
	tester_stop(&tester);
}
END_TEST

START_TEST(star_is_every_address)
{
	char address[ADDRESS_SIZE];
	const char *bound;
	struct tester tester;

	tester_init(&tester, OVER_UNIX, NULL);
	listen_at(&tester, "tcp:*:0");
	bound = hawser_server_address(tester.server, 1);
	ck_assert_uint_ne(port_of(bound), 0);
	tester_run(&tester);
	/* What it says is what a client can use. */
	echo_at(bound, _i);
	snprintf(address, sizeof address, "tcp:127.0.0.1:%u", port_of(bound));
	echo_at(address, _i);
	if (has_ipv6()) {
		snprintf(address, sizeof address, "tcp:[::1]:%u", port_of(bound));
		echo_at(address, _i);
	}
	tester_stop(&tester);
}
END_TEST

START_TEST(names_are_looked_up)
{
	char address[ADDRESS_SIZE];
	struct tester tester;

	tester_init(&tester, OVER_UNIX, NULL);
	listen_at(&tester, "tcp:localhost:0");
	/* Listening on 127.0.0.1 alone, a client must try all addresses of the name. */
	listen_at(&tester, "tcp:127.0.0.1:0");
	tester_run(&tester);
	for (unsigned i = 1; i <= 2; i++) {
		snprintf(address, sizeof address, "tcp:localhost:%u",
			 port_of(hawser_server_address(tester.server, i)));
		echo_at(address, _i);
	}
	tester_stop(&tester);
}
END_TEST

START_TEST(address_in_use_is_named)
{
	struct hawser_error error;
	struct tester tester, other;
	struct stat status;

	tester_start(&tester, transport_of(_i), NULL);
	tester_init(&other, OVER_TCP, NULL);
	ck_assert_int_eq(hawser_server_listen(other.server, tester.address, &error), -EADDRINUSE);
	ck_assert_msg(strstr(error.message, tester.address) &&
			      strstr(error.message, "address already in use"),
		      "%s", error.message);
	ck_assert_int_eq(error.status, HAWSER_ALREADY_EXISTS);
	/* The one whose address it is has lost nothing. */
	tester_stop(&other);
	if (transport_of(_i) == OVER_UNIX)
		ck_assert_int_eq(stat(tester.address + strlen("unix:"), &status), 0);
	echo_at(tester.address, false);
	tester_stop(&tester);
}
END_TEST

START_TEST(address_that_cannot_be_bound_is_named)
{
	struct hawser_server *server = hawser_server_new(NULL, NULL);
	struct hawser_error error;

	/* TEST-NET-1 (RFC 5737) is nobody's. */
	ck_assert_int_eq(hawser_server_listen(server, "tcp:192.0.2.1:0", &error), -EADDRNOTAVAIL);
	ck_assert_msg(strstr(error.message, "listen tcp:192.0.2.1:0: "), "%s", error.message);
	ck_assert_int_eq(hawser_server_listen(server, "unix:/nonexistent/directory/s", &error),
			 -ENOENT);
	ck_assert_msg(strstr(error.message, "no such file or directory"), "%s", error.message);
	ck_assert_int_lt(hawser_server_listen(server, "tcp:no-such-host.invalid:0", &error), 0);
	ck_assert_msg(strstr(error.message, "no-such-host.invalid"), "%s", error.message);
	ck_assert_ptr_null(hawser_server_address(server, 0));
	hawser_server_free(server);
}
END_TEST

/* ---- socket files ---- */

START_TEST(socket_file_goes_with_its_server)
{
	struct stat status;
	struct tester tester;
	char path[ADDRESS_SIZE];

	/* Never run; run and stopped; drained. */
	for (int i = 0; i < 3; i++) {
		tester_init(&tester, OVER_UNIX, NULL);
		strcpy(path, tester.address + strlen("unix:"));
		ck_assert_int_eq(stat(path, &status), 0);
		ck_assert(S_ISSOCK(status.st_mode));
		if (i)
			tester_run(&tester);
		if (i == 2) {
			hawser_server_drain(tester.server);
			ck_assert_int_eq(tester_join(&tester), 0);
			ck_assert_int_eq(stat(path, &status), -1);
		}
		/* This removes the directory, which must be empty. */
		tester_stop(&tester);
		ck_assert_int_eq(stat(path, &status), -1);
	}
}
END_TEST

START_TEST(socket_file_has_the_permissions)
{
	static const unsigned modes[] = {0, 0600, 0660, 0777, 0400};
	struct hawser_server_options options = tester_options();
	mode_t mask = umask(0027);
	struct stat status;
	struct tester tester;

	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		options.unix_mode = modes[i];
		tester_init(&tester, OVER_UNIX, &options);
		ck_assert_int_eq(stat(tester.address + strlen("unix:"), &status), 0);
		ck_assert_uint_eq(status.st_mode & 07777, modes[i] ? modes[i] : 0600);
		tester_stop(&tester);
	}
	umask(mask);
}
END_TEST

START_TEST(stale_socket_file_is_replaced)
{
	char directory[128], address[ADDRESS_SIZE];
	struct hawser_server_options options = tester_options();
	struct hawser_server *server;
	struct hawser_error error;
	int listener;

	/* As a server that was killed leaves it. */
	directory_make(directory, sizeof directory);
	listener = raw_listen(OVER_UNIX, directory, address);
	close(listener);
	server = hawser_server_new(&options, NULL);
	ck_assert_msg(hawser_server_listen(server, address, &error) == 0, "%s", error.message);
	hawser_server_free(server);
	directory_remove(directory);
}
END_TEST

START_TEST(file_that_is_no_socket_is_left_alone)
{
	char directory[128], address[ADDRESS_SIZE];
	struct hawser_server *server = hawser_server_new(NULL, NULL);
	struct hawser_error error;
	struct stat status;
	int fd;

	directory_make(directory, sizeof directory);
	address_make(address, OVER_UNIX, directory);
	fd = open(address + strlen("unix:"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(hawser_server_listen(server, address, &error), -EEXIST);
	ck_assert_msg(strstr(error.message, "no socket"), "%s", error.message);
	hawser_server_free(server);
	ck_assert_int_eq(stat(address + strlen("unix:"), &status), 0);
	unlink(address + strlen("unix:"));
	directory_remove(directory);
}
END_TEST

START_TEST(file_of_another_server_is_left_alone)
{
	struct hawser_server_options options = tester_options();
	struct hawser_server *other = hawser_server_new(&options, NULL);
	struct tester tester;
	struct stat status;
	const char *path;

	tester_start(&tester, OVER_UNIX, NULL);
	path = tester.address + strlen("unix:");
	/* Somebody moved it away and put another server in its place. */
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(hawser_server_listen(other, tester.address, NULL), 0);
	hawser_server_stop(tester.server);
	tester_join(&tester);
	ck_assert_int_eq(stat(path, &status), 0);
	hawser_server_free(other);
	ck_assert_int_eq(stat(path, &status), -1);
	tester_stop(&tester);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/listen");
	TCase *tcase = suite_case(suite, "addresses");

	tcase_add_test(tcase, several_listeners_serve_at_once);
	tcase_add_loop_test(tcase, star_is_every_address, 0, 2);
	tcase_add_loop_test(tcase, names_are_looked_up, 0, 2);
	tcase_add_loop_test(tcase, address_in_use_is_named, 0, TRANSPORTS);
	tcase_add_test(tcase, address_that_cannot_be_bound_is_named);

	tcase = suite_case(suite, "socket files");
	tcase_add_test(tcase, socket_file_goes_with_its_server);
	tcase_add_test(tcase, socket_file_has_the_permissions);
	tcase_add_test(tcase, stale_socket_file_is_replaced);
	tcase_add_test(tcase, file_that_is_no_socket_is_left_alone);
	tcase_add_test(tcase, file_of_another_server_is_left_alone);
	return suite_run(suite);
}
