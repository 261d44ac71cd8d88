/* Calls the other way round: a server calls what a client offers.
 *
 * The two ends of a test that is stamped for this direction: the caller is a server, on the test's
 * own event_base or on a thread, that calls through the peer of the one client that has connected
 * to it; the tester's handlers are offered by that client, which has a base and a thread of its
 * own. Options are said as for the usual direction: the tester's are a server's, the
 * caller's a client's. */

#ifndef HAWSER_TESTS_RPC_REVERSED_H
#define HAWSER_TESTS_RPC_REVERSED_H

#include "caller.h"
#include "relay.h"

/** Starts both, with a relay between them unless that is NULL, and waits until they have met. The
 * options may be NULL. */
void reversed_start(struct tester *tester, struct caller *caller, int stamp, struct relay *relay,
		    const struct hawser_server_options *server,
		    const struct hawser_client_options *client);

/** The caller's end: what caller_deinit() does. */
void reversed_end_caller(struct caller *caller);
/** The tester's end, which is the last to go: what tester_stop() does. */
void reversed_end_tester(struct tester *tester);

/** They meet again, in another session: the caller calls its peer from now on. */
void reversed_meet(struct caller *caller);

/** Has that done on the thread of the client that serves, and waits until it is done. */
void reversed_do(struct reversed *reversed, void (*task)(struct hawser_client *client, void *data),
		 void *data);

/** Ends the server's run on its thread; it is still to be freed. */
void reversed_stop_server(struct reversed *reversed);
/** Frees the server, in whatever state; the peer is held on to. */
void reversed_free_server(struct reversed *reversed);

/** The server's, but for what the client counts of the calls that it serves. */
void reversed_get_stats(struct reversed *reversed, struct hawser_server_stats *stats);
/** The server that calls. */
struct hawser_server *reversed_server(struct reversed *reversed);
/** How the server's end sees the other. */
struct hawser_peer *reversed_peer(struct reversed *reversed);

#endif /* HAWSER_TESTS_RPC_REVERSED_H */
