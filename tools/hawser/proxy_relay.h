/* One connection through the proxy: two ends, two flows between them, a plan of
 * what is to go wrong.
 *
 * A relay is freed in one place only, relay_settle(), which each event's callback
 * calls last. So whatever happens inside one, it can look at its relay. */

#ifndef HAWSER_TOOL_PROXY_RELAY_H
#define HAWSER_TOOL_PROXY_RELAY_H

#include "proxy.h"
#include "proxy_end.h"
#include "proxy_flow.h"

enum relay_state {
	RELAY_CONNECTING,
	RELAY_OPEN,
	RELAY_PARTED, /* nothing is relayed any more; each end goes its way */
};

enum { CLIENT, TARGET, ENDS };

struct relay {
	struct proxy *proxy;
	struct relay *next, **previous;
	uint64_t number; /* of the accepted ones, from 1 */
	uint64_t opened_ns;
	enum relay_state state;
	bool is_silent; /* PARTED, and without a word */
	struct end ends[ENDS];
	struct flow flows[DIRECTIONS];
	const struct addrinfo *untried; /* addresses of the target */
	struct plan plan;
	struct event timer;       /* for the plan; when PARTED, for the end of patience */
	bool is_to_be_cut_inside; /* the next frame that comes by, as `cut_inside_how` */
	enum cut cut_inside_how;
};

/** Relays between `fd`, which it takes over, and the target. */
void relay_start(struct proxy *proxy, int fd);

/** Takes over `fd` and never says a word. */
void relay_start_black_hole(struct proxy *proxy, int fd);

/** Cuts as it is told, and counts it. No effect on what has ended already. */
void relay_cut(struct relay *relay, enum cut how);

/** Cuts as the flags say. */
void relay_cut_as_planned(struct relay *relay);

/** Stops relaying and parts with both ends; counts nothing. */
void relay_part(struct relay *relay, enum cut how);

/** A flow is shut; when both are, all is said. */
void relay_flow_is_shut(struct relay *relay);

/** With --verbose, says on stderr what happens to it. */
void relay_say(const struct relay *relay, const char *format, ...) HAWSER_PRINTF(2, 3);

/** Frees it if both its ends are closed. */
void relay_settle(struct relay *relay);

/** Callbacks of an end, which is their data. */
void relay_on_readable(evutil_socket_t fd, short what, void *data);
void relay_on_writable(evutil_socket_t fd, short what, void *data);

/* ---- all of them ---- */

/** Cuts all; NULL: how the flags say. `inside`: in the middle of the next frame. */
void relays_cut(struct proxy *proxy, const enum cut *how, bool inside);

/**
 * Stalls these directions of all, and of those to come, until then, or if that is
 * FAULTS_NEVER until relays_go().
 */
void relays_stall(struct proxy *proxy, unsigned directions, uint64_t until_ns);

/** Ends every stall. */
void relays_go(struct proxy *proxy);

/** The shapes in proxy->faults have changed. */
void relays_reshape(struct proxy *proxy);

/** faults.cut_every_ms, or stall_every_ms, has changed: all draw anew. */
void relays_replan_cuts(struct proxy *proxy);
void relays_replan_stalls(struct proxy *proxy);

/** Closes and frees all. */
void relays_free(struct proxy *proxy);

#endif /* HAWSER_TOOL_PROXY_RELAY_H */
