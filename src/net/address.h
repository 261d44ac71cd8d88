/* Addresses as people write them: "tcp:HOST:PORT" and "unix:PATH". */

#ifndef HAWSER_NET_ADDRESS_H
#define HAWSER_NET_ADDRESS_H

#include <hawser/status.h>
#include <netdb.h>
#include <sys/socket.h>

enum hawser__address_kind { HAWSER__ADDRESS_TCP, HAWSER__ADDRESS_UNIX };

enum {
	HAWSER__HOST_MAX = 256, /* RFC 1035, 2.3.4: names have at most 255 bytes */
	HAWSER__ADDRESS_MAX = 320,
};

struct hawser__address {
	enum hawser__address_kind kind;
	char text[HAWSER__ADDRESS_MAX]; /* as it was given */
	char host[HAWSER__HOST_MAX];    /* tcp; without brackets; "" for * */
	char port[6];                   /* tcp; digits */
	char path[108];                 /* unix; fits sockaddr_un */
};

/** Parses an address. Returns 0 or -EINVAL with a text that shows the right form. */
int hawser__address_parse(struct hawser__address *address, const char *text,
			  struct hawser_error *error);

/**
 * Resolves an address into what connect(2) or bind(2) takes; blocks unless
 * `numeric_only`, which gives -EAGAIN for a name that needs a look-up. The list is the
 * caller's: hawser__address_free(). A unix address gives one element.
 * Returns 0 or a negative errno with the resolver's reason.
 */
int hawser__address_resolve(const struct hawser__address *address, bool for_listening,
			    bool numeric_only, struct addrinfo **list, struct hawser_error *error);
void hawser__address_free(struct addrinfo *list);

/** Writes a socket address as text, "tcp:127.0.0.1:7000", "tcp:[::1]:7000", "unix:/run/x". Returns
 * buffer. */
const char *hawser__address_format(const struct sockaddr *address, socklen_t length, char *buffer,
				   size_t size);

#endif /* HAWSER_NET_ADDRESS_H */
