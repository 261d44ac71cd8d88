/* The model of a server: it takes lines, finds or begins the session of each, and hosts it.
 *
 * What comes first on a line is an open, read by a host of its own. If that goes on with a
 * session that another host has, the line moves there and whatever that host read from before is
 * dropped unread: what was not taken from there will be sent again. An attempt that
 * comes after a later one of the same client is refused, and the session hears nothing of it.
 * Sessions whose connection is lost wait in the store; the world ends those that have waited too
 * long. */

#ifndef HAWSER_TESTS_SIM_SERVER_H
#define HAWSER_TESTS_SIM_SERVER_H

#include "end.h"
#include "jobs.h"
#include "util/list.h"
#include "wire/store.h"

struct host {
	struct end end;
	struct hawser__kept kept;
	bool is_kept; /* it is in the store */
	uint64_t left_us;
	uint32_t latest; /* attempt to go on */
	struct hawser__list jobs;
	struct hawser__list hosts;
};

struct server {
	struct world *world;
	struct hawser__store store;
	struct hawser__list hosts;
	struct timer expiry;
};

void server_init(struct server *server, struct world *world);
/** No host may be left. */
void server_deinit(struct server *server);
/** The first bytes of a line have come. */
void server_accept(void *server, struct side *side);
/** The log of a host, which may be away, holds more than before. */
void server_grown(struct host *host);
/** It begins anew and knows of nothing. */
void server_restart(struct server *server);

/** The host of a session; NULL: it is gone. For those who know everything. */
struct host *server_host(const struct server *server, const struct hawser__session *session);

#endif /* HAWSER_TESTS_SIM_SERVER_H */
