/* A caller and the connections that it makes: the model of a client.
 *
 * It makes calls, streams messages to them and takes theirs, cancels some; it ends each of them
 * once, by what the session knows. When its connection is lost it makes another and goes on with
 * the session; when that is gone, calls that were sent end unknown and the others begin the next
 * one. */

#ifndef HAWSER_TESTS_SIM_CLIENT_H
#define HAWSER_TESTS_SIM_CLIENT_H

#include "end.h"
#include "ledger.h"

enum { OPEN_CALLS_MAX = 64, OPENS_KEPT = 8, OPEN_BYTES_MAX = 96 };

/** An open that was sent once, for the network to say again. */
struct old_open {
	uint8_t bytes[OPEN_BYTES_MAX];
	size_t length;
};

struct client {
	struct end end;
	unsigned number; /* from 1 on: its identity */
	struct call *open[OPEN_CALLS_MAX];
	size_t n_open;
	struct call **by_id; /* id / 2 */
	size_t ids_room;
	struct old_open opens[OPENS_KEPT];
	unsigned n_opens;
	uint64_t patience_us; /* between its acts */
	uint64_t lost_us;     /* when its last connection was */
	uint64_t drops_at;    /* so many frames that are not acknowledged, all calls; 0: never */
	bool is_over;         /* it has closed its session, or gone without a word */
	struct timer connect, give_up, make;
};

void client_init(struct client *client, struct world *world, unsigned number);
/** It must be over. */
void client_deinit(struct client *client);

/** It makes calls from now on. */
void client_start(struct client *client);
/** It makes no more, but goes on with those that it made. */
void client_stop(struct client *client);
/** Nothing is left to do: no call, no frame. Says what there is, if asked. */
bool client_is_done(const struct client *client, bool says_why);
/** The call of this id; NULL: it never made it. */
struct call *client_call(const struct client *client, uint64_t id);
/** It says that the session is over, or just goes. */
void client_leave(struct client *client, bool says_so);

#endif /* HAWSER_TESTS_SIM_CLIENT_H */
