/* One run: some clients, a server, the network between them, and bad weather.
 *
 * Storms, in which lines break, the server restarts and old opens turn up again, are followed by
 * calms. In a calm the network is up, and within some time everything that is still open
 * must come to its end: every call once, nothing in a log, both ends with the same count. Which
 * seed it is decides everything else. */

#ifndef HAWSER_TESTS_SIM_WORLD_H
#define HAWSER_TESTS_SIM_WORLD_H

#include "agenda.h"
#include "chance.h"
#include "client.h"
#include "ledger.h"
#include "network.h"
#include "server.h"
#include <stdint.h>

enum { CLIENTS_MAX = 3 };

/** What has happened, over all runs. */
struct tally {
	uint64_t seeds, disconnections, attempts, calls, messages, restarts, expiries, takeovers,
		ghosts;
};

/* Times in microseconds, chances in percent. */
struct world {
	struct agenda agenda;
	struct chance chance;
	struct network network;
	struct server server;
	struct ledger ledger;
	struct client clients[CLIENTS_MAX];
	unsigned n_clients;
	struct tally *tally;
	struct timer disaster;
	/* What sort of world it is */
	bool keeps;                               /* the server keeps sessions */
	bool counts;                              /* clients count their attempts to go on */
	bool has_large;                           /* there are requests beyond the limit */
	uint64_t window_us;                       /* for which it keeps them */
	size_t most_away;                         /* and how many */
	size_t log_bytes;                         /* where a log is full */
	uint64_t heartbeat_us, silence_us;        /* of both ends */
	uint64_t attempt_us, backoff_us;          /* for which a client waits */
	uint64_t make_us, execution_us, pause_us; /* at most */
	unsigned burst;                           /* acts at a time, at most */
	unsigned cancels, lazy, slow;       /* acts that cancel; writes put off; reads that pause */
	unsigned restarts, outages, ghosts; /* that follow when a client is connected */
};

/** A client's session has begun or goes on: a good time for a disaster. */
void world_opened(struct world *world);

/** Lives through the world of this seed. Ends the program if something is wrong in it. */
void world_run(uint64_t seed, struct tally *tally);

#endif /* HAWSER_TESTS_SIM_WORLD_H */
