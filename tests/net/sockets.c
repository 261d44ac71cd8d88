/* Listeners and connections for tests; sockets.h says which. */

#include "sockets.h"
#include "net/socket.h"
#include "support/suite.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- socket files ---- */

/* P_tmpdir, not TMPDIR: a socket's path must be short. */
static char folder[] = P_tmpdir "/hawser-net-XXXXXX";

void folder_make(void)
{
	strcpy(folder + sizeof folder - sizeof "XXXXXX", "XXXXXX");
	ck_assert_msg(mkdtemp(folder), "%s: %s", folder, strerror(errno));
}

void folder_remove(void)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name,
				 entry->d_type == DT_DIR ? AT_REMOVEDIR : 0);
	closedir(dir);
	ck_assert_int_eq(rmdir(folder), 0);
}

static const char *next_text(const char *before, const char *name)
{
	static char texts[4][HAWSER__ADDRESS_MAX];
	static unsigned next;
	char *text = texts[next++ % 4];

	snprintf(text, sizeof texts[0], "%s%s/%s", before, folder, name);
	return text;
}

const char *folder_path(const char *name)
{
	return next_text("", name);
}

const char *folder_address(const char *name)
{
	return next_text("unix:", name);
}

/* ---- addresses ---- */

struct hawser__address parse(const char *text)
{
	struct hawser__address address;
	struct hawser_error error;

	ck_assert_msg(hawser__address_parse(&address, text, &error) == 0, "%s", error.message);
	return address;
}

struct addrinfo *resolve(const char *text, bool for_listening)
{
	struct hawser__address address = parse(text);
	struct hawser_error error;
	struct addrinfo *list;
	int r = hawser__address_resolve(&address, for_listening, false, &list, &error);

	ck_assert_msg(r == 0, "%s", error.message);
	return list;
}

bool have_transport(enum transport transport)
{
	struct addrinfo *where;
	int fd, r;

	if (transport != TRANSPORT_TCP6)
		return true;
	where = resolve("tcp:[::1]:0", true);
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	r = fd < 0 ? -1 : bind(fd, where->ai_addr, where->ai_addrlen);
	if (fd >= 0)
		close(fd);
	hawser__address_free(where);
	if (r < 0)
		printf("skipped: this machine has no IPv6 loopback\n");
	return r == 0;
}

/* ---- listening and connecting ---- */

int try_listen(const char *text, unsigned mode, struct hawser_error *error)
{
	struct hawser__address address = parse(text);
	struct addrinfo *where = resolve(text, true);
	int fd = hawser__socket_listen(&address, where, mode, error);

	hawser__address_free(where);
	return fd;
}

int listen_on(const char *text)
{
	struct hawser_error error;
	int fd = try_listen(text, 0600, &error);

	ck_assert_msg(fd >= 0, "%s", error.message);
	return fd;
}

int listen_over(enum transport transport)
{
	switch (transport) {
	case TRANSPORT_TCP4:
		return listen_on("tcp:127.0.0.1:0");
	case TRANSPORT_TCP6:
		return listen_on("tcp:[::1]:0");
	default:
		return listen_on(folder_address("socket"));
	}
}

const char *address_of(int fd, char *buffer)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof address;

	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	return hawser__address_format((struct sockaddr *)&address, length, buffer,
				      HAWSER__ADDRESS_MAX);
}

void wait_for(int fd, short events)
{
	struct pollfd waiting = {.fd = fd, .events = events};

	while (poll(&waiting, 1, -1) < 0)
		ck_assert_int_eq(errno, EINTR);
}

int try_connect(const char *text)
{
	struct addrinfo *where = resolve(text, false);
	bool done = false;
	int fd = hawser__socket_connect(where, &done), r;

	hawser__address_free(where);
	if (fd < 0)
		return fd;
	if (!done)
		wait_for(fd, POLLOUT);
	r = hawser__socket_connect_result(fd);
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

struct connection connection_over(enum transport transport)
{
	int listener = listen_over(transport);
	char buffer[HAWSER__ADDRESS_MAX];
	struct connection connection;

	connection.client = try_connect(address_of(listener, buffer));
	ck_assert_int_ge(connection.client, 0);
	wait_for(listener, POLLIN);
	connection.server = hawser__socket_accept(listener);
	ck_assert_int_ge(connection.server, 0);
	close(listener);
	return connection;
}

void connection_close(struct connection *connection)
{
	close(connection->client);
	close(connection->server);
}

/* ---- descriptors ---- */

void use_up_descriptors(bool on)
{
	static struct rlimit before;
	struct rlimit none;
	int next;

	if (!on) {
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
		return;
	}
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	/* The lowest number that is free: with that as the limit there is none. */
	next = fcntl(0, F_DUPFD_CLOEXEC, 0);
	ck_assert_int_ge(next, 0);
	close(next);
	none = before;
	none.rlim_cur = (rlim_t)next;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
}
