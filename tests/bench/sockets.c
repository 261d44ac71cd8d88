/* Listening and connecting of sockets.h. */

#include "sockets.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static union address {
	struct sockaddr any;
	struct sockaddr_in tcp;
	struct sockaddr_un local;
} make_address(const struct bench *bench, socklen_t *length)
{
	union address address;

	memset(&address, 0, sizeof address);
	if (bench->path) {
		address.local.sun_family = AF_UNIX;
		snprintf(address.local.sun_path, sizeof address.local.sun_path, "%s", bench->path);
		*length = sizeof address.local;
	} else {
		address.tcp.sin_family = AF_INET;
		address.tcp.sin_port = htons((uint16_t)bench->port);
		address.tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		*length = sizeof address.tcp;
	}
	return address;
}

void bench_no_delay(const struct bench *bench, int fd)
{
	int one = 1;

	if (!bench->path)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static int make_socket(const struct bench *bench)
{
	int fd = socket(bench->path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		bench_die("socket");
	bench_no_delay(bench, fd);
	return fd;
}

int bench_listen(const struct bench *bench, int *port)
{
	socklen_t length;
	union address address = make_address(bench, &length);
	int one = 1, fd = make_socket(bench);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bench->path)
		unlink(bench->path);
	if (bind(fd, &address.any, length) < 0 || listen(fd, 4096) < 0 ||
	    getsockname(fd, &address.any, &length) < 0)
		bench_die("listen");
	*port = bench->path ? 0 : ntohs(address.tcp.sin_port);
	return fd;
}

int bench_connect(const struct bench *bench)
{
	socklen_t length;
	union address address = make_address(bench, &length);
	int fd = make_socket(bench);

	if (connect(fd, &address.any, length) < 0)
		bench_die("connect");
	return fd;
}
