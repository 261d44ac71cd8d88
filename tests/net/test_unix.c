/* Listening on a path: what may stand there already, and who may connect. */

#include "net/socket.h"
#include "sockets.h"
#include "support/suite.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A socket bound to "socket" in the folder, not listening. */
static int bind_raw(int type)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	snprintf(un.sun_path, sizeof un.sun_path, "%s", folder_path("socket"));
	ck_assert_int_eq(bind(fd, (void *)&un, sizeof un), 0);
	return fd;
}

static void check_refused(int expected_code, const char *expected_text)
{
	const char *address = folder_address("socket");
	char expected[HAWSER_ERROR_MESSAGE_SIZE];
	struct hawser_error error;

	ck_assert_int_eq(try_listen(address, 0600, &error), expected_code);
	snprintf(expected, sizeof expected, "listen %s: %s", address, expected_text);
	ck_assert_str_eq(error.message, expected);
	ck_assert_int_eq(error.code, expected_code);
}

static const char no_socket[] =
	"a file that is no socket stands there; choose another path or remove it";

START_TEST(socket_file_of_a_server_that_died_is_replaced)
{
	int listener, client;

	close(listen_on(folder_address("socket")));
	ck_assert_int_eq(access(folder_path("socket"), F_OK), 0);
	ck_assert_int_eq(try_connect(folder_address("socket")), -ECONNREFUSED);
	listener = listen_on(folder_address("socket"));
	client = try_connect(folder_address("socket"));
	ck_assert_int_ge(client, 0);
	close(client);
	close(listener);
}
END_TEST

START_TEST(socket_file_of_a_living_server_is_left_alone)
{
	int listener = listen_on(folder_address("socket")), client;

	check_refused(-EADDRINUSE, "address already in use");
	client = try_connect(folder_address("socket"));
	ck_assert_int_ge(client, 0);
	close(client);
	close(listener);
}
END_TEST

START_TEST(server_too_busy_to_answer_is_a_living_one)
{
	int waiting[8], n = 0, listener = bind_raw(SOCK_STREAM);

	ck_assert_int_eq(listen(listener, 0), 0);
	/* Fill its queue; nobody accepts. */
	while (n < 8 && (waiting[n] = try_connect(folder_address("socket"))) >= 0)
		n++;
	ck_assert_int_gt(n, 0);
	ck_assert_int_lt(n, 8);
	ck_assert_int_eq(waiting[n], -ECONNREFUSED);
	check_refused(-EADDRINUSE, "address already in use");
	while (n--)
		close(waiting[n]);
	close(listener);
}
END_TEST

START_TEST(socket_of_another_type_is_left_alone)
{
	int other = bind_raw(SOCK_DGRAM);

	check_refused(-EADDRINUSE, "address already in use");
	ck_assert_int_eq(access(folder_path("socket"), F_OK), 0);
	close(other);
}
END_TEST

START_TEST(regular_file_is_left_alone)
{
	int fd = open(folder_path("socket"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct stat status;

	ck_assert_int_eq(write(fd, "dear", 4), 4);
	close(fd);
	check_refused(-EEXIST, no_socket);
	ck_assert_int_eq(stat(folder_path("socket"), &status), 0);
	ck_assert(S_ISREG(status.st_mode));
	ck_assert_int_eq(status.st_size, 4);
}
END_TEST

START_TEST(directory_is_left_alone)
{
	ck_assert_int_eq(mkdir(folder_path("socket"), 0700), 0);
	check_refused(-EEXIST, no_socket);
}
END_TEST

/* Not even to a stale socket: whoever made the link chose what is removed. */
START_TEST(symbolic_link_is_left_alone)
{
	struct stat status;

	close(listen_on(folder_address("target")));
	ck_assert_int_eq(symlink(folder_path("target"), folder_path("socket")), 0);
	check_refused(-EEXIST, no_socket);
	ck_assert_int_eq(unlink(folder_path("target")), 0);
	check_refused(-EEXIST, no_socket);
	ck_assert_int_eq(lstat(folder_path("socket"), &status), 0);
	ck_assert(S_ISLNK(status.st_mode));
}
END_TEST

START_TEST(folder_that_is_missing_is_told)
{
	const char *address = folder_address("missing/socket");
	char expected[HAWSER_ERROR_MESSAGE_SIZE];
	struct hawser_error error;

	ck_assert_int_eq(try_listen(address, 0600, &error), -ENOENT);
	snprintf(expected, sizeof expected, "listen %s: no such file or directory", address);
	ck_assert_str_eq(error.message, expected);
	ck_assert_int_eq(try_connect(address), -ENOENT);
}
END_TEST

START_TEST(permissions_are_as_asked_under_any_umask)
{
	static const mode_t masks[] = {0, 022, 077, 0777}, modes[] = {0600, 0660, 0666, 0777};

	for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
		for (size_t k = 0; k < sizeof modes / sizeof *modes; k++) {
			mode_t before = umask(masks[i]);
			struct hawser_error error = {.message = ""};
			int listener = try_listen(folder_address("socket"), modes[k], &error);
			struct stat status;

			umask(before);
			ck_assert_msg(listener >= 0, "%s", error.message);
			ck_assert_int_eq(stat(folder_path("socket"), &status), 0);
			ck_assert_msg((status.st_mode & 07777) == modes[k],
				      "%o under umask %o instead of %o",
				      (unsigned)status.st_mode & 07777, (unsigned)masks[i],
				      (unsigned)modes[k]);
			close(listener);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net-unix");
	TCase *paths = suite_case(suite, "paths");

	tcase_add_checked_fixture(paths, folder_make, folder_remove);
	tcase_add_test(paths, socket_file_of_a_server_that_died_is_replaced);
	tcase_add_test(paths, socket_file_of_a_living_server_is_left_alone);
	tcase_add_test(paths, server_too_busy_to_answer_is_a_living_one);
	tcase_add_test(paths, socket_of_another_type_is_left_alone);
	tcase_add_test(paths, regular_file_is_left_alone);
	tcase_add_test(paths, directory_is_left_alone);
	tcase_add_test(paths, symbolic_link_is_left_alone);
	tcase_add_test(paths, folder_that_is_missing_is_told);
	tcase_add_test(paths, permissions_are_as_asked_under_any_umask);
	return suite_run(suite);
}
