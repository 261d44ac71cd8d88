/* Finding addresses and listening on them.
 *
 * To refuse like a server that is down, a listener must close: as long as it
 * listens the system accepts for it. The port would then be anybody's; so a second
 * socket, which never listens, stays bound to it. Linux lets both have the port
 * because both say SO_REUSEADDR and only one listens. */

#include "proxy_socket.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { HOST_MAX = 256 };

HAWSER_PRINTF(3, 4) static int failed(struct hawser_error *error, int code, const char *format, ...)
{
	va_list arguments;

	*error = (struct hawser_error){.status = HAWSER_UNAVAILABLE, .code = code};
	va_start(arguments, format);
	vsnprintf(error->message, sizeof error->message, format, arguments);
	va_end(arguments);
	return code;
}

const char *errno_text(int code, char *buffer, size_t size)
{
	snprintf(buffer, size, "%s", strerror(code));
	/* "Connection refused", but "I/O error". */
	if (size > 1 && islower((unsigned char)buffer[1]))
		buffer[0] = (char)tolower((unsigned char)buffer[0]);
	return buffer;
}

/* ---- addresses ---- */

static int bad(struct hawser_error *error, const char *text, const char *why)
{
	return failed(error, -EINVAL, "address \"%.150s\": %s", text, why);
}

/* Splits "HOST:PORT"; returns NULL, or what is wrong. */
static const char *split(const char *text, char *host, const char **port)
{
	const char *end;
	size_t length, digits;

	if (*text == '[') {
		end = strchr(++text, ']');
		if (!end || end[1] != ':')
			return "an IPv6 address needs [brackets] and a port";
		*port = end + 2;
	} else {
		end = strrchr(text, ':');
		if (!end)
			return "the port is missing";
		if (memchr(text, ':', (size_t)(end - text)))
			return "an IPv6 address needs [brackets]";
		*port = end + 1;
	}
	length = (size_t)(end - text);
	if (!length)
		return "the host is missing";
	if (length >= HOST_MAX)
		return "the host is too long";
	memcpy(host, text, length);
	host[length] = '\0';
	digits = strspn(*port, "0123456789");
	if (!digits || digits > 5 || (*port)[digits] || atoi(*port) > 65535)
		return "the port is not a number from 0 to 65535";
	return NULL;
}

static int find_tcp(const char *text, bool to_listen, struct addrinfo **list,
		    struct hawser_error *error)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_NUMERICSERV | (to_listen ? AI_PASSIVE : 0)};
	char host[HOST_MAX];
	const char *port, *wrong = split(text + strlen("tcp:"), host, &port);
	int failure;

	if (wrong)
		return bad(error, text, wrong);
	failure = getaddrinfo(strcmp(host, "*") ? host : NULL, port, &hints, list);
	if (failure)
		return failed(error, -EHOSTUNREACH, "resolve %.150s: %s", text,
			      failure == EAI_SYSTEM ? strerror(errno) : gai_strerror(failure));
	return 0;
}

static int find_unix(const char *text, struct addrinfo **list, struct hawser_error *error)
{
	const char *path = text + strlen("unix:");
	struct {
		struct addrinfo info;
		struct sockaddr_un address;
	} * one;

	if (!*path)
		return bad(error, text, "the path is missing");
	if (strlen(path) >= sizeof one->address.sun_path)
		return bad(error, text, "the path is longer than the system's 107 bytes");
	one = calloc(1, sizeof *one);
	if (!one)
		return failed(error, -ENOMEM, "%s: out of memory", text);
	one->address.sun_family = AF_UNIX;
	strcpy(one->address.sun_path, path);
	one->info.ai_family = AF_UNIX;
	one->info.ai_addr = (struct sockaddr *)&one->address;
	one->info.ai_addrlen = sizeof one->address;
	*list = &one->info;
	return 0;
}

int address_find(const char *text, bool to_listen, struct addrinfo **list,
		 struct hawser_error *error)
{
	if (strlen(text) >= ADDRESS_MAX)
		return bad(error, text, "it is too long");
	if (!strncmp(text, "tcp:", 4))
		return find_tcp(text, to_listen, list, error);
	if (!strncmp(text, "unix:", 5))
		return find_unix(text, list, error);
	return bad(error, text, "it names no transport");
}

void address_free(struct addrinfo *list)
{
	if (list && list->ai_family == AF_UNIX)
		free(list);
	else if (list)
		freeaddrinfo(list);
}

static void format(const struct sockaddr_storage *address, char *buffer, size_t size)
{
	char host[INET6_ADDRSTRLEN];

	if (address->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)address;

		inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
		snprintf(buffer, size, "tcp:%s:%u", host, ntohs(in->sin_port));
	} else if (address->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const void *)address;

		inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof host);
		snprintf(buffer, size, "tcp:[%s]:%u", host, ntohs(in->sin6_port));
	} else {
		const struct sockaddr_un *un = (const void *)address;

		snprintf(buffer, size, "unix:%s", un->sun_path);
	}
}

/* ---- sockets ---- */

void socket_set_nodelay(int fd, int family)
{
	int one = 1;

	if (family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* What was killed leaves its socket file behind. It is stale if nobody answers there. */
static int remove_stale(const struct sockaddr_un *un)
{
	struct stat status;
	int fd, code = 0;

	if (lstat(un->sun_path, &status) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(status.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)un, sizeof *un) < 0)
		code = -errno;
	close(fd);
	if (code != -ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(un->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

/* A socket that is bound to the listener's address. Returns it or a negative errno. */
static int bind_socket(const struct listener *listener)
{
	const struct sockaddr *address = (const struct sockaddr *)&listener->address;
	int one = 1, only = !listener->both_families, code;
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (address->sa_family == AF_UNIX)
		fchmod(fd, 0600); /* before bind: the file must never be open to others */
	else
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (address->sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
	if (bind(fd, address, listener->address_length) == 0)
		return fd;
	code = -errno;
	close(fd);
	return code;
}

static int start(struct listener *listener)
{
	const struct sockaddr_un *un = (const void *)&listener->address;
	bool is_unix = un->sun_family == AF_UNIX;
	struct stat status;
	int code;

	if (is_unix) {
		code = remove_stale(un);
		if (code < 0)
			return code;
	}
	listener->fd = bind_socket(listener);
	if (listener->fd < 0) {
		code = listener->fd;
		listener->fd = -1;
		return code;
	}
	if (listen(listener->fd, SOMAXCONN) < 0) {
		code = -errno;
		listener_stop(listener);
		return code;
	}
	if (is_unix && stat(un->sun_path, &status) == 0) {
		listener->device = status.st_dev;
		listener->inode = status.st_ino;
	}
	return 0;
}

/* Takes the address, and for tcp the port. */
static int hold(struct listener *listener, const struct addrinfo *where)
{
	socklen_t length = sizeof listener->address;

	memcpy(&listener->address, where->ai_addr, where->ai_addrlen);
	listener->address_length = where->ai_addrlen;
	if (where->ai_family == AF_UNIX)
		return 0;
	listener->holder = bind_socket(listener);
	if (listener->holder < 0)
		return listener->holder;
	getsockname(listener->holder, (struct sockaddr *)&listener->address, &length);
	return 0;
}

static int hold_any(struct listener *listener, const struct addrinfo *list, int family)
{
	int code = -EADDRNOTAVAIL;

	for (const struct addrinfo *at = list; at && code < 0; at = at->ai_next)
		if (family == AF_UNSPEC || at->ai_family == family)
			code = hold(listener, at);
	return code;
}

static int explain(const struct listener *listener, int code, struct hawser_error *error)
{
	char text[128];

	if (code == -EEXIST)
		return failed(error, code,
			      "listen %.150s: a file that is no socket stands there; choose "
			      "another path or remove it",
			      listener->text);
	return failed(error, code, "listen %.150s: %s", listener->text,
		      errno_text(-code, text, sizeof text));
}

int listener_open(struct listener *listener, const char *text, struct hawser_error *error)
{
	struct addrinfo *list = NULL;
	int code = address_find(text, true, &list, error);

	if (code < 0)
		return code;
	*listener = (struct listener)LISTENER_INIT;
	snprintf(listener->text, sizeof listener->text, "%s", text);
	listener->both_families = !strncmp(text, "tcp:*:", 6);
	/* For "*" the IPv6 address goes first: its socket takes IPv4 as well. */
	code = listener->both_families ? hold_any(listener, list, AF_INET6) : -EADDRNOTAVAIL;
	if (code < 0)
		code = hold_any(listener, list, AF_UNSPEC);
	address_free(list);
	if (code == 0)
		code = start(listener);
	if (code < 0) {
		listener_close(listener);
		return explain(listener, code, error);
	}
	format(&listener->address, listener->bound, sizeof listener->bound);
	return 0;
}

void listener_stop(struct listener *listener)
{
	if (listener->fd >= 0)
		close(listener->fd);
	listener->fd = -1;
}

int listener_start(struct listener *listener, struct hawser_error *error)
{
	int code = listener->fd < 0 ? start(listener) : 0;

	return code < 0 ? explain(listener, code, error) : 0;
}

void listener_close(struct listener *listener)
{
	const struct sockaddr_un *un = (const void *)&listener->address;
	struct stat status;

	listener_stop(listener);
	if (listener->holder >= 0)
		close(listener->holder);
	listener->holder = -1;
	/* Perhaps another program has put its own in the same place since. */
	if (listener->inode && stat(un->sun_path, &status) == 0 &&
	    status.st_dev == listener->device && status.st_ino == listener->inode)
		unlink(un->sun_path);
	listener->inode = 0;
}
