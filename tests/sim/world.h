/* One run: some clients, a server, the network between them, and bad weather.
 *
 * Storms, in which lines break, the server restarts and old opens turn up again, are followed by
 * calms. In a calm the network is up, nothing may stand still for long, and within some time
 * everything that is still open must come to its end: every call once, nothing in a log or an
 * outbox, both ends with the same count. In the end nothing is left in memory, and all that was
 * lent is given back. Which seed it is decides everything else. */

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
	uint64_t seeds, disconnections, attempts, calls, messages, bytes, turns, loans, restarts,
		expiries, takeovers, ghosts;
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
	unsigned loans; /* that were not given back yet */
	struct tally *tally;
	struct timer disaster;
	/* What sort of world it is */
	bool keeps;                               /* the server keeps sessions */
	bool counts;                              /* clients count their attempts to go on */
	bool has_too_long;                        /* there are requests beyond the limit */
	bool has_large;                           /* messages may need pieces */
	bool pushes;                              /* those go while more are being packed */
	uint64_t window_us;                       /* for which it keeps them */
	size_t most_away;                         /* and how many */
	size_t log_bytes;                         /* where a log is full */
	size_t unsent_bytes;                      /* and where a server reads no further */
	size_t window_up, window_down;            /* with which calls begin */
	uint64_t heartbeat_us, silence_us;        /* of both ends */
	uint64_t attempt_us, backoff_us;          /* for which a client waits */
	uint64_t make_us, execution_us, pause_us; /* at most … */
	uint64_t stop_us;                         /* … for which messages are not taken */
	unsigned burst;                           /* acts at a time, at most */
	unsigned cancels, lazy, slow;       /* acts that cancel; writes put off; reads that pause */
	unsigned stops, straight;           /* messages not taken; those taken by their beginning */
	unsigned restarts, outages, ghosts; /* that follow when a client is connected */
};

/** A client's session has begun or goes on: a good time for a disaster. */
void world_opened(struct world *world);

/** Lives through the world of this seed. Ends the program if something is wrong in it. */
void world_run(uint64_t seed, struct tally *tally);

#endif /* HAWSER_TESTS_SIM_WORLD_H */
