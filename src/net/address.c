/* Parsing, resolving and showing addresses; address.h says in which form. */

#include "net/address.h"

#include "util/alloc.h"
#include "util/error.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

/* ---- parsing ---- */

static int bad(struct hawser_error *error, const char *text, const char *why)
{
	return hawser__error_set(error, -EINVAL,
				 "address \"%.150s\": %s (write tcp:HOST:PORT or unix:PATH)", text,
				 why);
}

static int parse_tcp(struct hawser__address *address, const char *text, struct hawser_error *error)
{
	const char *host = text + strlen("tcp:"), *end, *port;

	if (*host == '[') {
		host++;
		end = strchr(host, ']');
		if (!end || end[1] != ':')
			return bad(error, text, "an IPv6 address needs [brackets] and a port");
		port = end + 2;
	} else {
		end = strrchr(host, ':');
		if (!end)
			return bad(error, text, "the port is missing");
		if (memchr(host, ':', (size_t)(end - host)))
			return bad(error, text, "an IPv6 address needs [brackets]");
		port = end + 1;
	}

	size_t length = (size_t)(end - host), digits = strlen(port);
	unsigned number = 0;

	if (length == 0)
		return bad(error, text, "the host is missing");
	if (length >= sizeof address->host)
		return bad(error, text, "the host is too long");
	for (size_t i = 0; i < digits && i < 6; i++) {
		if (port[i] < '0' || port[i] > '9')
			return bad(error, text, "the port is not a number");
		number = number * 10 + (unsigned)(port[i] - '0');
	}
	if (digits == 0 || digits > 5 || number > 65535)
		return bad(error, text, "the port is not a number from 0 to 65535");

	address->kind = HAWSER__ADDRESS_TCP;
	memcpy(address->host, host, length);
	address->host[length] = 0;
	if (strcmp(address->host, "*") == 0)
		address->host[0] = 0;
	memcpy(address->port, port, digits + 1);
	return 0;
}

static int parse_unix(struct hawser__address *address, const char *text, struct hawser_error *error)
{
	const char *path = text + strlen("unix:");
	size_t length = strlen(path);

	if (length == 0)
		return bad(error, text, "the path is missing");
	if (length >= sizeof address->path)
		return bad(error, text, "the path is longer than the system's 107 bytes");
	address->kind = HAWSER__ADDRESS_UNIX;
	memcpy(address->path, path, length + 1);
	return 0;
}

int hawser__address_parse(struct hawser__address *address, const char *text,
			  struct hawser_error *error)
{
	struct hawser__address parsed = {.kind = HAWSER__ADDRESS_TCP};
	int r;

	if (!text)
		return hawser__error_set(error, -EINVAL,
					 "address: it is NULL (write tcp:HOST:PORT or unix:PATH)");
	if (strlen(text) >= sizeof parsed.text)
		return bad(error, text, "it is too long");
	if (strncmp(text, "tcp:", 4) == 0)
		r = parse_tcp(&parsed, text, error);
	else if (strncmp(text, "unix:", 5) == 0)
		r = parse_unix(&parsed, text, error);
	else
		r = bad(error, text, "it names no transport");
	if (r < 0)
		return r;
	strcpy(parsed.text, text);
	*address = parsed;
	return 0;
}

/* ---- resolving ---- */

static int resolve_unix(const struct hawser__address *address, struct addrinfo **list,
			struct hawser_error *error)
{
	struct {
		struct addrinfo info;
		struct sockaddr_un path;
	} *one = hawser__calloc(1, sizeof *one);

	if (!one)
		return hawser__error_set(error, -ENOMEM, "%s: out of memory", address->text);
	one->path.sun_family = AF_UNIX;
	strcpy(one->path.sun_path, address->path);
	one->info.ai_family = AF_UNIX;
	one->info.ai_socktype = SOCK_STREAM;
	one->info.ai_addr = (struct sockaddr *)&one->path;
	one->info.ai_addrlen = sizeof one->path;
	*list = &one->info;
	return 0;
}

static int code_of(int failure)
{
	switch (failure) {
	case EAI_SYSTEM:
		return errno ? -errno : -EIO;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_AGAIN:
		return -ETIMEDOUT;
	default:
		return -EHOSTUNREACH;
	}
}

int hawser__address_resolve(const struct hawser__address *address, bool for_listening,
			    bool numeric_only, struct addrinfo **list, struct hawser_error *error)
{
	if (address->kind == HAWSER__ADDRESS_UNIX)
		return resolve_unix(address, list, error);

	struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	const char *host = address->host[0] ? address->host : NULL;
	char text[128];
	int failure, code;

	if (for_listening)
		hints.ai_flags |= AI_PASSIVE;
	if (numeric_only)
		hints.ai_flags |= AI_NUMERICHOST;
	failure = getaddrinfo(host, address->port, &hints, list);
	if (failure == 0)
		return 0;
	if (numeric_only && failure == EAI_NONAME)
		return -EAGAIN;
	code = code_of(failure);
	return hawser__error_set(error, code, "resolve %s: %s", address->text,
				 failure == EAI_SYSTEM ? hawser__errno_text(code, text, sizeof text)
						       : gai_strerror(failure));
}

void hawser__address_free(struct addrinfo *list)
{
	if (!list)
		return;
	if (list->ai_family == AF_UNIX)
		free(list);
	else
		freeaddrinfo(list);
}

/* ---- showing ---- */

const char *hawser__address_format(const struct sockaddr *address, socklen_t length, char *buffer,
				   size_t size)
{
	char host[INET6_ADDRSTRLEN];

	if (address->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;

		inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
		snprintf(buffer, size, "tcp:%s:%u", host, ntohs(in->sin_port));
	} else if (address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)address;

		inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof host);
		snprintf(buffer, size, "tcp:[%s]:%u", host, ntohs(in->sin6_port));
	} else if (address->sa_family == AF_UNIX) {
		const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)address;
		size_t offset = offsetof(struct sockaddr_un, sun_path);
		int path = length > offset ? (int)strnlen(un->sun_path, length - offset) : 0;

		snprintf(buffer, size, "unix:%.*s", path, un->sun_path);
	} else {
		snprintf(buffer, size, "unknown:");
	}
	return buffer;
}
