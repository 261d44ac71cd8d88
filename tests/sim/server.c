/* Hosts, take-overs, expiry; server.h says how they hang together. */

#include "server.h"

#include "report.h"
#include "world.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct end_ops host_ops;

static struct host *host_of(struct end *end)
{
	return hawser__container_of(end, struct host, end);
}

static struct host *host_at(struct hawser__list *link)
{
	return hawser__container_of(link, struct host, hosts);
}

static struct server *server_of(struct host *host)
{
	return &host->end.world->server;
}

struct host *server_host(const struct server *server, const struct hawser__session *session)
{
	struct hawser__list *link;

	list_for_each (link, &server->hosts) {
		struct host *host = host_at(link);

		if (session->id && host->end.session.id == session->id &&
		    !memcmp(host->end.session.token, session->token, HAWSER__TOKEN_BYTES))
			return host;
	}
	return NULL;
}

/* ---- the store ---- */

/* It must agree with what the hosts say. */
static void check_store(const struct server *server)
{
	const struct hawser__store *store = &server->store;
	const struct hawser__kept *oldest = hawser__store_oldest(store);
	size_t n_kept = 0, n_away = 0, bytes = 0;
	struct hawser__list *link;

	list_for_each (link, &server->hosts) {
		const struct host *host = host_at(link);

		n_kept += host->is_kept;
		if (!host->is_kept || host->end.side)
			continue;
		n_away++;
		bytes += hawser__session_backlog(&host->end.session);
		must(oldest && ((struct host *)oldest->owner)->left_us <= host->left_us,
		     "the oldest session of the store is not the oldest");
	}
	must(hawser__store_count(store) == n_kept, "the store has %zu sessions, not %zu",
	     hawser__store_count(store), n_kept);
	must(store->n_away == n_away && store->away_bytes == bytes && !oldest == !n_away,
	     "the store has %zu sessions away of %zu bytes, not %zu of %zu", store->n_away,
	     store->away_bytes, n_away, bytes);
}

void server_grown(struct host *host)
{
	if (!host->is_kept)
		return;
	hawser__store_resize(&server_of(host)->store, &host->kept);
	check_store(server_of(host));
}

static void host_free(struct host *host)
{
	struct server *server = server_of(host);

	if (host->is_kept)
		hawser__store_remove(&server->store, &host->kept);
	jobs_drop(host);
	hawser__list_unlink(&host->hosts);
	end_deinit(&host->end);
	free(host);
	check_store(server);
}

static void expire(struct server *server)
{
	struct hawser__kept *oldest = hawser__store_oldest(&server->store);
	struct host *host = oldest->owner;

	trace("session %016" PRIx64 " expires", host->end.session.id);
	server->world->tally->expiries++;
	host_free(host);
}

/* Sessions that have waited too long go, and those that are too many. */
static void on_expiry(void *owner)
{
	struct server *server = owner;
	struct world *world = server->world;
	struct hawser__kept *oldest;

	while ((oldest = hawser__store_oldest(&server->store))) {
		uint64_t due_us = ((struct host *)oldest->owner)->left_us + world->window_us;

		if (due_us > world->agenda.now_us && server->store.n_away <= world->most_away) {
			agenda_set(&world->agenda, &server->expiry, due_us - world->agenda.now_us);
			return;
		}
		expire(server);
	}
}

static void go_away(struct host *host)
{
	struct server *server = server_of(host);

	host->left_us = host->end.world->agenda.now_us;
	hawser__store_leave(&server->store, &host->kept);
	check_store(server);
	agenda_set(&host->end.world->agenda, &server->expiry, 0);
}

static void host_lost(struct end *end)
{
	struct host *host = host_of(end);

	if (!host->is_kept) {
		host_free(host);
		return;
	}
	trace("session %016" PRIx64 " loses its connection", end->session.id);
	end_detach(end);
	hawser__session_lost(&end->session);
	end_check(end);
	go_away(host);
}

/* ---- opening ---- */

static void put_opened(struct host *host)
{
	struct hawser__session *session = &host->end.session;
	Hawser__Opened opened = HAWSER__OPENED__INIT;
	Hawser__Session given = HAWSER__SESSION__INIT;

	opened.version = HAWSER__PROTOCOL_VERSION;
	opened.stream_window_bytes = host->end.world->window_up;
	if (host->is_kept) {
		given.id = session->id;
		given.token =
			(ProtobufCBinaryData){.data = session->token, .len = HAWSER__TOKEN_BYTES};
		given.received = session->received;
		given.window_ms = (uint32_t)(host->end.world->window_us / 1000);
		opened.session = &given;
	}
	must(hawser__session_put(session, HAWSER__FRAME_OPENED, &opened.base), "out of memory");
	host->end.side->line->was_open = true;
	end_check(&host->end);
	end_flush(&host->end);
}

static void begin(struct host *host, bool is_wanted)
{
	struct world *world = host->end.world;
	uint8_t random[HAWSER__STORE_RANDOM_BYTES];

	if (is_wanted && world->keeps) {
		for (size_t i = 0; i < sizeof random; i++)
			random[i] = (uint8_t)chance_next(&world->chance);
		must(hawser__store_enter(&world->server.store, &host->kept, random) == 0,
		     "a session cannot be entered");
		host->is_kept = true;
		check_store(&world->server);
	}
	hawser__session_begin(&host->end.session, host->is_kept);
	end_learn_windows(&host->end, world->window_down);
	trace("session %016" PRIx64 " begins with client %u", host->end.session.id,
	      host->end.side->line->identity);
	put_opened(host);
}

static void reject(struct host *host, Hawser__Reason reason)
{
	struct hawser__problem problem;

	trace("client %u is rejected: %s", host->end.side->line->identity,
	      hawser__reason_name(reason));
	hawser__problem_set(&problem, reason, "not this session");
	must(hawser__session_put_close(&host->end.session, &problem), "out of memory");
	host->end.is_departing = true;
	end_flush(&host->end);
}

/* A last word to a client whose session goes on elsewhere, unless it would be taken for the rest of
 * a frame. */
static void say_farewell(struct host *host)
{
	const struct hawser__session *session = &host->end.session;
	struct hawser__pool pool = {.small.free = NULL};
	struct hawser__problem problem;
	struct hawser__session last;
	struct iovec piece;

	if (session->log.partial || session->control.length)
		return;
	hawser__session_init(&last, true, 0, &pool);
	last.state = HAWSER__SESSION_OPEN;
	hawser__problem_set(&problem, HAWSER__REASON__REASON_TAKEN_OVER, "taken over");
	must(hawser__session_put_close(&last, &problem), "out of memory");
	if (hawser__session_peek(&last, &piece, 1))
		side_write(host->end.side, &piece, 1);
	hawser__session_deinit(&last);
	hawser__pool_deinit(&pool);
}

/* Whether the client itself has sent this open, and still waits for the answer. */
static bool is_genuine(const struct side *side)
{
	return !side->line->is_ghost && !side->line->sides[AT_CLIENT].is_closed;
}

/* The session goes on with the newcomer's line. Returns false if it cannot, and is then no more. */
static bool go_on(struct host *host, struct host *newcomer, uint64_t received)
{
	struct world *world = host->end.world;
	struct hawser__problem problem;
	struct side *side;

	if (host->end.side) {
		trace("session %016" PRIx64 " is taken over", host->end.session.id);
		world->tally->takeovers++;
		say_farewell(host);
		host_lost(&host->end);
	}
	if (hawser__session_resume(&host->end.session, received, &problem) < 0) {
		const struct line *line = newcomer->end.side->line;

		/* Only an old copy of a client that does not count may be so wrong. */
		must(line->is_lying || (!world->counts && !is_genuine(newcomer->end.side)),
		     "server: client %u is refused: %s", line->identity, problem.text);
		host_free(host);
		return false;
	}
	trace("session %016" PRIx64 " goes on, its peer has %" PRIu64 " frames",
	      host->end.session.id, received);
	hawser__store_return(&world->server.store, &host->kept);
	side = end_release(&newcomer->end);
	end_attach(&host->end, side);
	host_free(newcomer);
	put_opened(host);
	return true;
}

static struct host *find(struct host *newcomer, const Hawser__Session *asked)
{
	const struct line *line = newcomer->end.side->line;
	struct hawser__kept *kept =
		hawser__store_find(&server_of(newcomer)->store, asked, line->identity);
	struct hawser__session same = {.id = asked->id};
	struct host *host;

	if (asked->token.len == sizeof same.token)
		memcpy(same.token, asked->token.data, sizeof same.token);
	host = server_host(server_of(newcomer), &same);
	must(!line->is_forged || !kept, "a session is given to someone else than its client");
	must(!kept || kept->owner == host, "the store finds another session");
	must(kept || !host || line->is_forged, "the store does not find a session that it has");
	return kept ? host : NULL;
}

/* Its client has made a later attempt, which has come already. */
static bool is_late(struct host *host, const Hawser__Session *asked)
{
	bool is_late = asked->attempt && asked->attempt <= host->latest;

	must(hawser__store_is_stale(&host->kept, asked) == is_late,
	     "attempt %u after attempt %u is late, or is not", asked->attempt, host->latest);
	if (asked->attempt > host->latest)
		host->latest = asked->attempt;
	return is_late;
}

static void resume(struct host *newcomer, const Hawser__Session *asked)
{
	struct host *host = find(newcomer, asked);

	if (host && is_late(host, asked))
		reject(newcomer, HAWSER__REASON__REASON_TAKEN_OVER);
	else if (!host || !go_on(host, newcomer, asked->received))
		reject(newcomer, HAWSER__REASON__REASON_SESSION_EXPIRED);
}

/* Returns whether the newcomer is still there, to be read from. */
static bool take_open(struct host *newcomer, const struct hawser__frame *frame)
{
	Hawser__Open *open = hawser__open__unpack(NULL, frame->body_length, frame->body);
	bool is_new;

	must(open, "open cannot be unpacked");
	is_new = !open->session || !open->session->id;
	newcomer->kept.identity = newcomer->end.side->line->identity;
	if (is_new)
		begin(newcomer, open->session);
	else
		resume(newcomer, open->session);
	hawser__open__free_unpacked(open, NULL);
	return is_new;
}

/* ---- frames ---- */

static bool host_frame(struct end *end, const struct hawser__frame *frame, size_t too_long)
{
	struct host *host = host_of(end);

	switch (frame->kind) {
	case HAWSER__FRAME_OPEN:
		return take_open(host, frame);
	case HAWSER__FRAME_CLOSE:
		trace("session %016" PRIx64 " is closed", end->session.id);
		host_free(host);
		return false;
	case HAWSER__FRAME_PING:
		must(hawser__session_put_number(&end->session, HAWSER__FRAME_PONG, frame->id),
		     "out of memory");
		return true;
	case HAWSER__FRAME_PONG:
	case HAWSER__FRAME_IGNORED:
		return true;
	default:
		jobs_frame(host, frame, too_long);
		return true;
	}
}

static void host_settled(struct end *end)
{
	jobs_go_on(host_of(end));
	end_touch(end);
}

static void host_urged(struct end *end)
{
}

static void host_departed(struct end *end)
{
	host_free(host_of(end));
}

static struct sender *host_sender(struct end *end, uint64_t id)
{
	return jobs_sender(host_of(end), id);
}

static void host_grown(struct end *end)
{
	server_grown(host_of(end));
}

static const struct end_ops host_ops = {
	host_frame, host_settled, host_urged, host_lost, host_departed, host_sender, host_grown,
};

/* ---- the server ---- */

void server_accept(void *owner, struct side *side)
{
	struct server *server = owner;
	struct host *host = calloc(1, sizeof *host);

	must(host, "out of memory");
	end_init(&host->end, server->world, &host_ops, true);
	host->kept.session = &host->end.session;
	host->kept.owner = host;
	hawser__list_init(&host->jobs);
	hawser__list_append(&server->hosts, &host->hosts);
	end_attach(&host->end, side);
	side->ops->readable(side->owner);
}

void server_init(struct server *server, struct world *world)
{
	server->world = world;
	hawser__store_init(&server->store);
	hawser__list_init(&server->hosts);
	timer_init(&server->expiry, on_expiry, server);
}

void server_deinit(struct server *server)
{
	must(hawser__list_empty(&server->hosts), "the server still has a session");
	must(!hawser__store_count(&server->store) && !server->store.n_away &&
		     !server->store.away_bytes,
	     "the store is not empty");
	hawser__store_deinit(&server->store);
	agenda_clear(&server->world->agenda, &server->expiry);
}

void server_restart(struct server *server)
{
	trace("the server restarts");
	server->world->tally->restarts++;
	while (!hawser__list_empty(&server->hosts)) {
		struct host *host = host_at(server->hosts.next);

		/* Its clients hear of it, or do not. */
		if (host->end.side && chance_percent(&server->world->chance, 50))
			line_cut(host->end.side->line);
		host_free(host);
	}
	server_deinit(server);
	/* Another one may take its place. */
	if (chance_percent(&server->world->chance, 50))
		server->world->window_up = chance_scaled(&server->world->chance, 256 * 1024);
	server_init(server, server->world);
}
