/* Addresses and listening sockets, for programs that relay bytes and so cannot
 * have them from the library, whose sockets speak its protocol. */

#ifndef HAWSER_TOOL_PROXY_SOCKET_H
#define HAWSER_TOOL_PROXY_SOCKET_H

#include <hawser/status.h>
#include <netdb.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { ADDRESS_MAX = 320 };

/**
 * Looks up "tcp:HOST:PORT" or "unix:PATH"; waits for the resolver. The list is the
 * caller's: address_free(). Returns 0 or a negative errno, -EINVAL for what is no address.
 */
int address_find(const char *text, bool to_listen, struct addrinfo **list,
		 struct hawser_error *error);
void address_free(struct addrinfo *list);

/** What an errno means, in lower case. Returns `buffer`. */
const char *errno_text(int code, char *buffer, size_t size);

/** Small pieces leave at once. No effect on what is not TCP. */
void socket_set_nodelay(int fd, int family);

/** A listening socket that can stop for a while without giving its address away. */
struct listener {
	char text[ADDRESS_MAX];  /* as it was asked for */
	char bound[ADDRESS_MAX]; /* with the port that it got */
	int fd;                  /* -1 while it refuses */
	int holder;              /* tcp: bound to the same port, and never listens */
	struct sockaddr_storage address;
	socklen_t address_length;
	bool both_families; /* tcp:*:PORT */
	dev_t device;       /* unix: of the file */
	ino_t inode;
};

#define LISTENER_INIT                   \
	{                               \
		.fd = -1, .holder = -1, \
	}

/** Listens; a unix socket's file is for its user alone. Returns 0 or a negative errno. */
int listener_open(struct listener *listener, const char *text, struct hawser_error *error);

/** From here on the system refuses who connects, and who has and was not accepted. */
void listener_stop(struct listener *listener);

/** Listens again. Returns 0 or a negative errno. */
int listener_start(struct listener *listener, struct hawser_error *error);

/** Closes it and removes its file. One that was never opened is left alone. */
void listener_close(struct listener *listener);

#endif /* HAWSER_TOOL_PROXY_SOCKET_H */
