/* A hub: the peers that are connected to a server, to be found, watched and called.
 *
 *     struct hawser_hub_options options = HAWSER_HUB_OPTIONS_INIT;
 *     options.on_joined = joined;
 *     struct hawser_hub *hub = hawser_hub_new(server, &options, &error);
 *
 * Every client that says hello (see peer.h) is a member, from when it joins until its session
 * has ended; while it is disconnected it is away. Names should be unique, and what happens
 * when they are not is an option. */

#ifndef HAWSER_HUB_H
#define HAWSER_HUB_H

#include <hawser/call.h>
#include <hawser/peer.h>
#include <hawser/service.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hawser_hub;
struct hawser_server;

/** What to do about a peer that joins under the name of another one. */
enum hawser_duplicate {
	/** It is refused, unless the other one is away: then it takes its place, because a program
	 * that was started anew should get in. */
	HAWSER_DUPLICATE_REFUSE = 0,
	/** The other one's session is closed. */
	HAWSER_DUPLICATE_REPLACE = 1,
	/** Both are members; who is found by name is the one that joined last. */
	HAWSER_DUPLICATE_ALLOW = 2,
};

/** Runs on the peer's loop. The peer is borrowed. */
typedef void hawser_hub_fn(struct hawser_peer *peer, void *data);

/** Options; start from HAWSER_HUB_OPTIONS_INIT. A 0 means the default that is named. */
struct hawser_hub_options {
	/** sizeof(struct hawser_hub_options); lets the struct grow. */
	size_t size;
	/** Members; more are refused; 65,536. */
	unsigned max_peers;
	/** Members of one identity (a user on a unix socket, an address on tcp); more are refused;
	 * max_peers. */
	unsigned max_peers_per_identity;
	/** HAWSER_DUPLICATE_REFUSE. */
	enum hawser_duplicate duplicates;
	/** Only who offers this service when it joins, "fleet.Worker", is a member; copied. NULL:
	 * everyone who says hello. */
	const char *service;
	/* Each may be NULL. What changes more than once in a turn of the loop is told as it is in
	 * the end. */
	hawser_hub_fn *on_joined;
	hawser_hub_fn *on_away;    /**< its connection is gone, its session waits */
	hawser_hub_fn *on_back;    /**< connected again */
	hawser_hub_fn *on_changed; /**< it offers other services, or has other labels */
	hawser_hub_fn *on_gone;    /**< its session has ended: the last one for this peer */
	void *data;                /**< goes to each of them */
};

#ifdef __cplusplus
#define HAWSER_HUB_OPTIONS_INIT hawser_hub_options_make()
#else
#define HAWSER_HUB_OPTIONS_INIT                           \
	{                                                 \
		.size = sizeof(struct hawser_hub_options) \
	}
#endif

/**
 * Makes the hub of a server, which owns it: it goes with the server. Before the server runs. On
 * failure NULL; the error and errno say EINVAL (options, NULL), EBUSY (the server runs), EEXIST (it
 * has a hub) or ENOMEM.
 */
HAWSER_EXPORT struct hawser_hub *hawser_hub_new(struct hawser_server *server,
						const struct hawser_hub_options *options,
						struct hawser_error *error);

/** Which members are meant: all conditions that are set must hold. A zeroed struct means all that
 * are connected. Everything is borrowed. */
struct hawser_hub_filter {
	const char *name;    /**< NULL: any */
	const char *service; /**< that it offers now; NULL: any */
	const char *label;   /**< the key of a label that it has; NULL: any */
	const char *value;   /**< and that label's value; NULL: any */
	bool includes_away;  /**< those that are disconnected, too */
};

/** The member of that name, here or away: a reference. NULL: there is none. Any thread. */
HAWSER_EXPORT struct hawser_peer *hawser_hub_find(struct hawser_hub *hub, const char *name);

/**
 * The next member, in the order in which they joined: a reference. `previous` is given back; NULL:
 * the first. `filter` NULL: all that are connected. Returns NULL behind the last. So, without a
 * break in it, gives back all references:
 *
 *     for (peer = NULL; (peer = hawser_hub_next(hub, NULL, peer));)
 *
 * Members may join and leave meanwhile. Any thread.
 */
HAWSER_EXPORT struct hawser_peer *hawser_hub_next(struct hawser_hub *hub,
						  const struct hawser_hub_filter *filter,
						  struct hawser_peer *previous);

/** How many members the filter means. Any thread. */
HAWSER_EXPORT size_t hawser_hub_count(struct hawser_hub *hub,
				      const struct hawser_hub_filter *filter);

/**
 * Closes a member's session; it is told the reason `text`, and will not be gone on with. Returns 0,
 * -EINVAL, -EPIPE (it has ended) or -ENOMEM. Any thread.
 */
HAWSER_EXPORT int hawser_hub_close(struct hawser_hub *hub, struct hawser_peer *peer,
				   const char *text);

/* ---- to many at once ---- */

/** Options; start from HAWSER_BROADCAST_OPTIONS_INIT. A 0 means the default that is named. */
struct hawser_broadcast_options {
	/** sizeof(struct hawser_broadcast_options); lets the struct grow. */
	size_t size;
	/** For all of it; the server's timeout_ms. */
	unsigned timeout_ms;
	/** Calls in flight at a time; 64. */
	unsigned max_concurrent;
	/** Wait for members that are away, within the time, instead of failing them at once; the
	 * filter must include them. */
	bool waits_for_away;
};

#ifdef __cplusplus
#define HAWSER_BROADCAST_OPTIONS_INIT hawser_broadcast_options_make()
#else
#define HAWSER_BROADCAST_OPTIONS_INIT                           \
	{                                                       \
		.size = sizeof(struct hawser_broadcast_options) \
	}
#endif

/** How one of the calls ended: with a reply, borrowed while this runs, or an error. */
typedef void hawser_broadcast_fn(struct hawser_peer *peer, const ProtobufCMessage *reply_or_null,
				 const struct hawser_error *error, void *data);

/** All have ended. */
typedef void hawser_broadcast_done_fn(size_t n_replies, size_t n_failed, void *data);

/**
 * Calls a unary method of every member that the filter means at this moment, with the same request,
 * which is packed once. `on_end` runs once for each of them, then `on_done` (each may be NULL);
 * never two at a time, on the loop of some peer, or here if nobody is meant; not after the server
 * was freed. Both must not free the server, nor wait for a peer: others of its loop wait for them.
 * Returns how many are called, or -EINVAL, -EMSGSIZE (the request is over the server's
 * max_reply_bytes) or -ENOMEM: then nothing is called. Any thread.
 */
HAWSER_EXPORT int hawser_hub_broadcast(
	struct hawser_hub *hub, const struct hawser_hub_filter *filter,
	const struct hawser_method *method, const ProtobufCMessage *request,
	const struct hawser_broadcast_options *options, hawser_broadcast_fn *on_end,
	hawser_broadcast_done_fn *on_done, void *data, struct hawser_error *error);

#ifdef __cplusplus
}

static inline struct hawser_hub_options hawser_hub_options_make(void)
{
	struct hawser_hub_options options = hawser_hub_options();
	options.size = sizeof options;
	return options;
}

static inline struct hawser_broadcast_options hawser_broadcast_options_make(void)
{
	struct hawser_broadcast_options options = hawser_broadcast_options();
	options.size = sizeof options;
	return options;
}
#endif

#endif /* HAWSER_HUB_H */
