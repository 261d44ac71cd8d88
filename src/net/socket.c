/* System calls on sockets, each with its traps. */

#include "net/socket.h"

#include "util/error.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Small frames must not wait for an acknowledgement (RFC 896 is of no use to a
 * protocol that gathers its own writes). */
static void set_nodelay(int fd, int family)
{
	int one = 1;

	if (family == AF_INET || family == AF_INET6)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* ---- connecting ---- */

int hawser__socket_connect(const struct addrinfo *where, bool *done)
{
	int fd = socket(where->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	set_nodelay(fd, where->ai_family);
	*done = connect(fd, where->ai_addr, where->ai_addrlen) == 0;
	if (!*done && errno != EINPROGRESS) {
		int code = -errno;

		/* A unix listener whose queue is full says EAGAIN: nobody will tell when it is not.
		 */
		close(fd);
		return code == -EAGAIN ? -ECONNREFUSED : code;
	}
	return fd;
}

int hawser__socket_connect_result(int fd)
{
	int code = 0;
	socklen_t length = sizeof code;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length) < 0)
		return -errno;
	return -code;
}

/* ---- listening ---- */

/* A server that was killed leaves its socket file behind. It is stale if nobody answers there. */
static int remove_stale(const struct addrinfo *where)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)where->ai_addr;
	struct stat status;
	int fd, r;

	if (lstat(un->sun_path, &status) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(status.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = connect(fd, where->ai_addr, where->ai_addrlen) == 0 ? 0 : -errno;
	close(fd);
	if (r != -ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(un->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

static int bind_unix(int fd, const struct addrinfo *where, unsigned mode)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)where->ai_addr;

	/* fchmod before bind: the file must never stand there with wider permissions. */
	if (fchmod(fd, mode) < 0 || bind(fd, where->ai_addr, where->ai_addrlen) < 0)
		return -errno;
	/* What the umask took away comes back. */
	return chmod(un->sun_path, mode) < 0 ? -errno : 0;
}

int hawser__socket_listen(const struct hawser__address *address, const struct addrinfo *where,
			  unsigned mode, struct hawser_error *error)
{
	char text[128];
	int one = 1, r = 0;
	int fd = socket(where->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		r = -errno;
		goto fail;
	}
	if (where->ai_family == AF_UNIX) {
		r = remove_stale(where);
		if (r == -EEXIST) {
			close(fd);
			return hawser__error_set(
				error, r,
				"listen %s: a file that is no socket stands there; "
				"choose another path or remove it",
				address->text);
		}
		if (r == 0)
			r = bind_unix(fd, where, mode);
	} else {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
		/* "*" listens on IPv4 and IPv6 with one socket. */
		if (where->ai_family == AF_INET6) {
			int only = address->host[0] != 0;

			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
		}
		if (bind(fd, where->ai_addr, where->ai_addrlen) < 0)
			r = -errno;
	}
	if (r == 0 && listen(fd, SOMAXCONN) < 0)
		r = -errno;
	if (r == 0)
		return fd;
fail:
	if (fd >= 0)
		close(fd);
	return hawser__error_set(error, r, "listen %s: %s", address->text,
				 hawser__errno_text(r, text, sizeof text));
}

int hawser__socket_accept(int fd)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof peer;
	int accepted = accept4(fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (accepted < 0)
		return -errno;
	set_nodelay(accepted, peer.ss_family);
	return accepted;
}

/* ---- moving bytes ---- */

ssize_t hawser__socket_receive_into(int fd, struct iovec *rooms, int count)
{
	struct msghdr message = {.msg_iov = rooms, .msg_iovlen = (size_t)count};
	ssize_t n;

	if (count == 1)
		return hawser__socket_receive(fd, rooms[0].iov_base, rooms[0].iov_len);
	do
		n = recvmsg(fd, &message, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t hawser__socket_receive(int fd, void *buffer, size_t size)
{
	ssize_t n;

	do
		n = recv(fd, buffer, size, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t hawser__socket_send(int fd, struct iovec *pieces, int count)
{
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)count};
	ssize_t n;

	do
		n = count == 1 ? send(fd, pieces[0].iov_base, pieces[0].iov_len,
				      MSG_NOSIGNAL | MSG_DONTWAIT)
			       : sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

void hawser__socket_set_user_timeout(int fd, unsigned timeout_ms)
{
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
}

int hawser__socket_set_blocking(int fd, unsigned timeout_ms)
{
	struct timeval timeout = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) < 0)
		return -errno;
	return 0;
}

int hawser__socket_unread(int fd)
{
	int unread = 0, domain = 0;
	socklen_t length = sizeof domain;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0 || domain != AF_UNIX ||
	    ioctl(fd, SIOCOUTQ, &unread) < 0)
		return 0;
	return unread;
}

bool hawser__socket_peer_is_parallel(int fd, int unread)
{
	int cpu = -1;
	socklen_t length = sizeof cpu;

	/* TCP over loopback is received on the processor of whoever sends (socket(7)). What a
	 * unix peer has not read has not grown if it reads while we send. */
	if (getsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &cpu, &length) == 0 && cpu >= 0)
		return cpu != sched_getcpu();
	return hawser__socket_unread(fd) <= unread;
}

void hawser__socket_finish(int fd)
{
	shutdown(fd, SHUT_WR);
}

/* ---- who is there ---- */

const char *hawser__socket_peer(int fd, char *buffer, size_t size)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof peer;
	struct ucred credentials;
	socklen_t credentials_length = sizeof credentials;

	if (getpeername(fd, (struct sockaddr *)&peer, &length) < 0) {
		snprintf(buffer, size, "unknown:");
	} else if (peer.ss_family == AF_UNIX &&
		   getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &credentials_length) ==
			   0) {
		snprintf(buffer, size, "unix:pid=%d,uid=%u", (int)credentials.pid,
			 (unsigned)credentials.uid);
	} else {
		hawser__address_format((struct sockaddr *)&peer, length, buffer, size);
	}
	return buffer;
}

/* Only a unix socket tells the truth about its peer. */
static bool peer_credentials(int fd, struct ucred *credentials)
{
	socklen_t length = sizeof *credentials;
	int domain = 0;
	socklen_t domain_length = sizeof domain;

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_length) == 0 &&
	       domain == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, &length) == 0;
}

uint64_t hawser__socket_identity(int fd)
{
	struct ucred credentials;

	return peer_credentials(fd, &credentials) ? (uint64_t)credentials.uid + 1 : 0;
}

uint64_t hawser__socket_origin(int fd)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof address;
	uint64_t user = hawser__socket_identity(fd), prefix = 0;

	/* The kinds must not be taken for each other; a map's keys are hashed anyway. */
	if (user)
		return user << 2 | 1;
	if (getpeername(fd, (struct sockaddr *)&address, &length) < 0)
		return 0;
	if (address.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)&address;

		return (uint64_t)ntohl(in->sin_addr.s_addr) << 2 | 2;
	}
	if (address.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const void *)&address;

		/* A host may choose the lower half as it likes (RFC 4291, 2.5.1). */
		memcpy(&prefix, in->sin6_addr.s6_addr, sizeof prefix);
		if (IN6_IS_ADDR_V4MAPPED(&in->sin6_addr))
			memcpy(&prefix, in->sin6_addr.s6_addr + 8, sizeof prefix);
		return prefix | 3;
	}
	return 0;
}

bool hawser__socket_peer_is_same_user(int fd)
{
	struct ucred credentials;

	return peer_credentials(fd, &credentials) && credentials.uid == geteuid();
}
