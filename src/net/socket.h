/* Sockets: making, connecting, listening, and the two calls that move bytes. */

#ifndef HAWSER_NET_SOCKET_H
#define HAWSER_NET_SOCKET_H

#include "net/address.h"
#include <sys/types.h>
#include <sys/uio.h>

/**
 * Starts to connect without blocking; the socket is close-on-exec, and sends small frames at once
 * (TCP_NODELAY). Returns the descriptor, with *done set if the connection stands
 * already, or a negative errno.
 */
int hawser__socket_connect(const struct addrinfo *where, bool *done);

/** What became of a connect once the socket is writable: 0 or a negative errno. */
int hawser__socket_connect_result(int fd);

/**
 * Listens on one resolved address, without blocking. A unix socket file that nobody
 * listens on is removed first; the new one has the permissions `mode`.
 * Returns the descriptor or a negative errno with the reason.
 */
int hawser__socket_listen(const struct hawser__address *address, const struct addrinfo *where,
			  unsigned mode, struct hawser_error *error);

/** Accepts a connection: the descriptor, -EAGAIN when there is none, or another negative errno. */
int hawser__socket_accept(int fd);

/** Receives up to `size` bytes: how many, 0 at the end, or a negative errno (-EAGAIN: nothing now).
 */
ssize_t hawser__socket_receive(int fd, void *buffer, size_t size);
/** The same into one place or several, in turn. */
ssize_t hawser__socket_receive_into(int fd, struct iovec *rooms, int count);

/** Sends as much of the pieces as the socket takes now: how much, or a negative errno. Never raises
 * SIGPIPE, never blocks. */
ssize_t hawser__socket_send(int fd, struct iovec *pieces, int count);

/** TCP gives a connection up whose peer acknowledges nothing for so long (TCP_USER_TIMEOUT,
 * RFC 5482). Does nothing on other sockets. */
void hawser__socket_set_user_timeout(int fd, unsigned timeout_ms);

/** Sets blocking receives with a time-out, for a caller that waits in the receive itself. 0 or a
 * negative errno. */
int hawser__socket_set_blocking(int fd, unsigned timeout_ms);

/** What the peer of a unix socket has not read yet, in the kernel's own measure; else 0. */
int hawser__socket_unread(int fd);

/**
 * Whether the peer works while we do, on another processor or machine. A guess, cheap but not
 * free, to be asked after several sends; `unread` is what there was after the first of them.
 */
bool hawser__socket_peer_is_parallel(int fd, int unread);

/** Says that no more will be sent; what was sent still arrives. */
void hawser__socket_finish(int fd);

/** Who is at the other end: address, or for unix the pid and uid. Returns buffer. */
const char *hawser__socket_peer(int fd, char *buffer, size_t size);

/** From where the peer comes, for limits: its user on a unix socket, its address without the port
 * on tcp, of IPv6 the network. 0: not known. */
uint64_t hawser__socket_origin(int fd);
/** Tells peers apart that the system tells apart: a number for each user behind a unix socket, 0
 * for all who come over the network. */
uint64_t hawser__socket_identity(int fd);

/** Whether the peer is on this machine over a unix socket and runs as the same user as this
 * process. */
bool hawser__socket_peer_is_same_user(int fd);

#endif /* HAWSER_NET_SOCKET_H */
