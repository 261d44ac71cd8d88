/* Peers: who is at the other end of a session, and how to call them.
 *
 * Either end of a connection may offer services. A client that does registers handlers with
 * hawser_client_add() (the generated _offer()), on the connection that it opens
 * itself, so that it can be called behind a NAT or a firewall as well. In open each end says
 * hello: its name, the services that it offers, its labels, and where it listens, if it does.
 *
 *     static void join(struct hawser_call *call, const Fleet__JoinRequest *request, void *data)
 *     {
 *             struct hawser_peer *peer = hawser_call_from(call);
 *             ...
 *             fleet_worker_run_async(hawser_peer_client(peer), &job, on_done, peer, NULL);
 *
 * A peer lives as long as someone holds a reference; its session may end long before, and then
 * calls to it fail. */

#ifndef HAWSER_PEER_H
#define HAWSER_PEER_H

#include <hawser/common.h>
#include <hawser/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hawser_call;
struct hawser_client;
struct hawser_peer;

enum hawser_peer_state {
	HAWSER_PEER_HERE = 0, /**< connected */
	HAWSER_PEER_AWAY = 1, /**< disconnected; its session waits for it */
	HAWSER_PEER_GONE = 2, /**< its session has ended */
};

/** Room for a peer's name, its zero byte included. */
#define HAWSER_PEER_NAME_SIZE 129
/** Room for an address in text, its zero byte included. */
#define HAWSER_PEER_ADDRESS_SIZE 128

/** What is known of a peer. */
struct hawser_peer_info {
	/** sizeof(struct hawser_peer_info); set by the caller. */
	size_t size;
	enum hawser_peer_state state;
	/** As it calls itself: hawser_client_options.name, hawser_server_options.name. */
	char name[HAWSER_PEER_NAME_SIZE];
	/** Where its connection comes from, or went to: "tcp:10.0.0.7:51200". */
	char address[HAWSER_PEER_ADDRESS_SIZE];
	/** Where it listens itself, as it says; empty: nowhere. */
	char listens[HAWSER_PEER_ADDRESS_SIZE];
	uint64_t age_ms;   /**< since its session began */
	uint64_t quiet_ms; /**< since something was heard of it */
	uint64_t rtt_us;   /**< a round trip, as measured last; 0: not yet */
};

/**
 * The peer that made a handler's call: a reference, to be given back with hawser_peer_unref().
 * NULL: the call is over, its session has ended, or the caller said no hello (a client does if it
 * offers a service, has labels or listens). Any thread.
 */
HAWSER_EXPORT struct hawser_peer *hawser_call_from(const struct hawser_call *call);

/**
 * The server that a client is connected to, or is about to be again with the same session: a
 * reference. NULL: there is no connection, nor a session to go on with, or the server said no
 * hello. Any thread; on a base, the base's.
 */
HAWSER_EXPORT struct hawser_peer *hawser_client_peer(struct hawser_client *client);

/** One reference more. Returns the peer; NULL is accepted. Any thread. */
HAWSER_EXPORT struct hawser_peer *hawser_peer_ref(struct hawser_peer *peer);
/** One reference less. NULL is accepted. Any thread. */
HAWSER_EXPORT void hawser_peer_unref(struct hawser_peer *peer);

/**
 * What the stubs of the peer's services are called with. Borrowed: valid while a reference is held,
 * and never to be freed.
 *
 * On a server, asynchronous stubs are called on the thread of the peer's loop (that of its
 * handlers' calls, and of hub callbacks), where their callbacks run; blocking stubs on any
 * other thread, such as that of a blocking handler: on the loop itself they fail
 * FAILED_PRECONDITION. A call to a peer that is away waits for it within its deadline, or fails
 * UNAVAILABLE at once if its context says fail_if_away. When the session has ended, calls fail
 * UNAVAILABLE, not sent; an asynchronous stub then returns NULL with errno EPIPE. A service that
 * the peer does not offer is UNIMPLEMENTED, not sent, and the text says what it does offer.
 *
 * For a client's server it is the client itself.
 */
HAWSER_EXPORT struct hawser_client *hawser_peer_client(struct hawser_peer *peer);

/** Fills *info, whose size is set. Any thread. */
HAWSER_EXPORT void hawser_peer_get_info(struct hawser_peer *peer, struct hawser_peer_info *info);

/** Whether it offers a service, "demo.Greeter". Any thread. */
HAWSER_EXPORT bool hawser_peer_offers(struct hawser_peer *peer, const char *service);

/**
 * Copies a label's value to `buffer`, cut at `size`. Returns `buffer`, or NULL: no such label.
 * Any thread.
 */
HAWSER_EXPORT const char *hawser_peer_label(struct hawser_peer *peer, const char *key, char *buffer,
					    size_t size);

/** Writes its labels, "site=lab-2, rack=7", in its own order, cut at `size`. Returns `buffer`. Any
 * thread. */
HAWSER_EXPORT const char *hawser_peer_labels(struct hawser_peer *peer, char *buffer, size_t size);

/** Writes the services that it offers, "demo.Greeter, demo.Files", cut at `size`. Returns `buffer`.
 * Any thread. */
HAWSER_EXPORT const char *hawser_peer_services(struct hawser_peer *peer, char *buffer, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* HAWSER_PEER_H */
