/* What the suites of src/net share: listeners on loopback and unix, and connections to them. */

#ifndef HAWSER_TESTS_NET_SOCKETS_H
#define HAWSER_TESTS_NET_SOCKETS_H

#include "net/address.h"
#include <stdbool.h>

/** The transports that every test of bytes runs over; the port is the system's choice. */
enum transport { TRANSPORT_TCP4, TRANSPORT_TCP6, TRANSPORT_UNIX, TRANSPORTS };

/** Whether this machine has it; says so if not. */
bool have_transport(enum transport transport);

/** Makes an empty folder for socket files; folder_remove() takes it away with all in it. */
void folder_make(void);
void folder_remove(void);
/** "FOLDER/name", in one of a few buffers used in turn. */
const char *folder_path(const char *name);
/** "unix:FOLDER/name", the same way. */
const char *folder_address(const char *name);

/** Parses; the test fails if it is no address. */
struct hawser__address parse(const char *text);
/** Parses and resolves; free it with hawser__address_free(). */
struct addrinfo *resolve(const char *text, bool for_listening);

/** Listens, or the test fails. */
int listen_on(const char *text);
int listen_over(enum transport transport);
/** Tries to listen; a failure fills the error. */
int try_listen(const char *text, unsigned mode, struct hawser_error *error);
/** Where a listener can be reached; its `buffer` has HAWSER__ADDRESS_MAX bytes. */
const char *address_of(int fd, char *buffer);

/** Connects and waits until it stands: the descriptor or a negative errno. */
int try_connect(const char *text);
/** Both ends of a connection over a transport. */
struct connection {
	int client, server;
};
struct connection connection_over(enum transport transport);
void connection_close(struct connection *connection);

/** Waits for `events` of poll(2). */
void wait_for(int fd, short events);

/** Lowers the limit of descriptors so far that none is left; 0: gives it back. */
void use_up_descriptors(bool on);

#endif /* HAWSER_TESTS_NET_SOCKETS_H */
