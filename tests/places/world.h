/* Debian's places, and a server of them that runs on a thread of its own. */

#ifndef TESTS_PLACES_WORLD_H
#define TESTS_PLACES_WORLD_H

#include "service.h"

#include <pthread.h>

enum transport { OVER_TCP, OVER_UNIX, TRANSPORTS };

struct world {
	struct places places;
	struct service service;
	struct hawser_server *server;
	pthread_t thread;
	int result;         /* of hawser_server_run() */
	char directory[64]; /* of the socket; empty: none */
	char address[128];
};

/** Starts it; limits NULL: the usual ones. */
void world_start(struct world *world, enum transport transport,
		 const struct service_limits *limits);

/** Stops it. Calls that run are cut. */
void world_stop(struct world *world);

/** A client for blocking stubs, that takes so many bytes of a stream at once; 0: as many as usual.
 */
struct hawser_client *world_client(const struct world *world, size_t window_bytes);

/** Returns when the server has dealt with what the client sent before. */
void world_settle(struct hawser_client *client);

/** How many calls the server has, once it has dealt with what the client sent before. */
unsigned world_calls(struct world *world, struct hawser_client *client);

/** Aborts unless the error has that status, and a sentence with that in it. */
void expect_error(const struct hawser_error *error, enum hawser_status status, const char *part);

#endif /* TESTS_PLACES_WORLD_H */
