/* The inside of a hub, for the server and its connections. */

#ifndef HAWSER_RPC_HUB_H
#define HAWSER_RPC_HUB_H

#include "rpc/peer.h"
#include "rpc/server.h"
#include <hawser/hub.h>

/**
 * Whether who sent this open may become a member; without a hello, or where there is no hub, it
 * need not. False: `text` says why not.
 */
bool hawser__hub_admits(struct hawser__connection *connection, const Hawser__Open *open, char *text,
			size_t size);
/** A connection that was admitted is open, and its peer known. */
void hawser__hub_join(struct hawser__connection *connection);
/** Its state or its hello is another: those who asked to be told are, soon. Nothing for who is no
 * member. */
void hawser__hub_note(struct hawser_peer *peer, bool is_changed);
/** Tells at once what was to be told soon. */
void hawser__hub_settle(struct hawser_peer *peer);
/** Every member has left. NULL is accepted. */
void hawser__hub_free(struct hawser_hub *hub);

/** Looks whether a filter means a peer. */
bool hawser__hub_matches(const struct hawser_hub_filter *filter, struct hawser_peer *peer);
/** The hub's server. */
struct hawser_server *hawser__hub_server(const struct hawser_hub *hub);

#endif /* HAWSER_RPC_HUB_H */
