/* Weather, disasters, and what must be true when they are over; world.h says what happens. */

#include "world.h"

#include "ghost.h"
#include "heap.h"
#include "report.h"
#include <inttypes.h>
#include <string.h>

enum {
	MILLISECOND = 1000,
	SECOND = 1000 * 1000,
	/* Within this time all must come to its end once the network is up, also where a log holds
	 * one frame at a time. */
	PATIENCE_US = 1000 * SECOND,
	/* And within this time something must move: a silence and some attempts to connect, the
	 * longest execution, those who do not take for a while. */
	STANDSTILL_US = 30 * SECOND,
	/* A storm that breaks nothing for so long is over. */
	STORM_US = 3600LL * SECOND / 2,
};

/* ---- what sort of world ---- */

/* The latency is the unit: what takes much less or much more time shows nothing new. */
static void draw_weather(struct world *world)
{
	struct chance *chance = &world->chance;
	struct weather *weather = &world->network.weather;
	uint64_t latency_us = 50 + chance_scaled(chance, 50 * MILLISECOND);
	/* What is large needs more time between two cuts, or none of it would get through. */
	bool large = world->has_large;

	*weather = (struct weather){
		.latency_us = latency_us,
		.jitter_us = chance_below(chance, latency_us),
		.life_us = latency_us * chance_between(chance, 10, 200),
		.cut_bytes =
			chance_between(chance, 100, 1000 << chance_below(chance, large ? 12 : 5)),
		.stall_us = latency_us * chance_between(chance, 1, 100),
		.capacity = (large ? UINT32_C(8192) : UINT32_C(128))
			    << chance_below(chance, large ? 4 : 10),
		.chop = (unsigned)chance_below(chance, 60),
		.stall = (unsigned)chance_scaled(chance, 10) - 1,
		.far = (unsigned)chance_scaled(chance, 20) - 1,
		.noticed = (unsigned)chance_between(chance, 20, 100),
	};
	world->make_us = latency_us * chance_scaled(chance, 60);
	world->backoff_us = latency_us * chance_between(chance, 1, 20);
	world->execution_us = latency_us * chance_between(chance, 1, 100);
}

static void draw_world(struct world *world)
{
	struct chance *chance = &world->chance;

	world->n_clients = chance_percent(chance, 70) ? 1 : (unsigned)chance_between(chance, 2, 3);
	world->keeps = !chance_percent(chance, 8);
	world->counts = !chance_percent(chance, 15);
	world->has_too_long = chance_percent(chance, 3);
	world->has_large = chance_percent(chance, 20);
	world->pushes = chance_percent(chance, 50);
	world->window_up = chance_scaled(chance, 256 * 1024);
	world->window_down = chance_scaled(chance, 256 * 1024);
	world->unsent_bytes = chance_scaled(chance, 512 * 1024);
	world->window_us = chance_percent(chance, 50) ? 30 * SECOND : 2 * SECOND;
	world->most_away = chance_percent(chance, 80) ? 100 : chance_below(chance, 3);
	world->log_bytes =
		chance_percent(chance, 50) ? 64 * 1024 : chance_scaled(chance, 32 * 1024);
	world->silence_us = chance_between(chance, 300 * MILLISECOND, 4 * SECOND);
	world->heartbeat_us = world->silence_us / 3;
	world->attempt_us = chance_between(chance, 200 * MILLISECOND, 4 * SECOND);
	world->pause_us = chance_scaled(chance, world->silence_us / 2);
	world->stop_us = chance_between(chance, MILLISECOND, SECOND);
	world->stops = (unsigned)chance_scaled(chance, 40) - 1;
	world->straight = (unsigned)chance_below(chance, 100);
	world->burst = (unsigned)chance_scaled(chance, 60);
	world->cancels = (unsigned)chance_scaled(chance, 30) - 1;
	world->lazy = (unsigned)chance_below(chance, 60);
	world->slow = (unsigned)chance_scaled(chance, 20) - 1;
	world->restarts = (unsigned)chance_scaled(chance, 30) - 1;
	world->outages = (unsigned)chance_scaled(chance, 6) - 1;
	world->ghosts = (unsigned)chance_scaled(chance, 40) - 1;
}

/* ---- storms ---- */

static void on_disaster(void *owner)
{
	struct world *world = owner;
	struct chance *chance = &world->chance;
	unsigned which =
		(unsigned)chance_below(chance, world->restarts + world->outages + world->ghosts);

	if (which < world->ghosts) {
		ghost_appear(world);
	} else if (which < world->ghosts + world->restarts) {
		server_restart(&world->server);
	} else {
		uint64_t time_us = chance_scaled(chance, 2 * world->window_us);

		trace("the network is down for %" PRIu64 " us", time_us);
		world->network.down_until_us = world->agenda.now_us + time_us;
		network_cut_all(&world->network);
	}
}

void world_opened(struct world *world)
{
	if (!world->network.is_calm &&
	    chance_percent(&world->chance, world->restarts + world->outages + world->ghosts))
		agenda_set(&world->agenda, &world->disaster,
			   chance_below(&world->chance, world->network.weather.latency_us * 20));
}

static void storm(struct world *world, uint64_t disconnections)
{
	uint64_t until = world->network.disconnections + disconnections;
	uint64_t until_us = world->agenda.now_us + STORM_US;

	draw_weather(world);
	trace("a storm begins");
	network_storm(&world->network);
	for (unsigned i = 0; i < world->n_clients; i++)
		client_start(&world->clients[i]);
	while (world->network.disconnections < until && world->agenda.now_us < until_us)
		must(agenda_step(&world->agenda), "nothing happens any more");
}

/* ---- calms ---- */

static const struct host *host_of(const struct world *world, const struct client *client)
{
	struct hawser__list *link;

	if (!client->end.side)
		return NULL;
	list_for_each (link, &world->server.hosts) {
		const struct host *host = hawser__container_of(link, struct host, hosts);

		if (host->end.side && host->end.side->line == client->end.side->line)
			return host;
	}
	return NULL;
}

/* Changes whenever something has come through, or was acknowledged, in either direction. */
static uint64_t progress_of(const struct world *world, const struct client *client)
{
	const struct hawser__session *ours = &client->end.session;
	const struct host *host = host_of(world, client);
	uint64_t sum = ours->received + ours->log.acked + client->n_open;

	return host ? sum + host->end.session.received + host->end.session.log.acked : sum;
}

/* Both ends have the same count of what was said, and nothing left to say. */
static bool is_settled(struct world *world, const struct client *client, bool says_why)
{
	const struct hawser__session *session = &client->end.session;
	const struct host *host = host_of(world, client);
	uint64_t sent = session->log.last - session->log.restarted;

	if (!client_is_done(client, says_why))
		return false;
	if (!host || hawser__session_backlog(&host->end.session) ||
	    host->end.session.outboxes.count || host->end.session.received != sent ||
	    session->received != host->end.session.log.last ||
	    hawser__session_owes_ack(&host->end.session)) {
		if (says_why && !host)
			report_line("client %u has no host", client->number);
		else if (says_why)
			report_line(
				"client %u has sent %" PRIu64 " and has %" PRIu64
				" frames; its host has sent %" PRIu64 " and has %" PRIu64
				", its log has %zu bytes, its %u outboxes %zu, owes an ack: %d",
				client->number, sent, session->received, host->end.session.log.last,
				host->end.session.received, host->end.session.log.frames.length,
				host->end.session.outboxes.count, host->end.session.waiting_bytes,
				hawser__session_owes_ack(&host->end.session));
		return false;
	}
	return true;
}

/* Nothing may stand still for long, and all must come to its end. */
static void settle(struct world *world, const struct client *client)
{
	uint64_t until_us = world->agenda.now_us + PATIENCE_US, moved_us = world->agenda.now_us;
	uint64_t before = progress_of(world, client), now;

	while (!is_settled(world, client, false)) {
		must(agenda_step(&world->agenda), "nothing happens any more");
		now = progress_of(world, client);
		if (now != before)
			moved_us = world->agenda.now_us;
		before = now;
		if (world->agenda.now_us < until_us &&
		    world->agenda.now_us - moved_us < STANDSTILL_US)
			continue;
		is_settled(world, client, true);
		if (world->agenda.now_us >= until_us)
			report_failure("no end after %d s with the network up",
				       PATIENCE_US / SECOND);
		report_failure("nothing has moved for %d s with the network up",
			       STANDSTILL_US / SECOND);
	}
}

static void calm(struct world *world)
{
	trace("a calm begins");
	network_calm(&world->network);
	agenda_clear(&world->agenda, &world->disaster);
	for (unsigned i = 0; i < world->n_clients; i++)
		client_stop(&world->clients[i]);
	for (unsigned i = 0; i < world->n_clients; i++)
		settle(world, &world->clients[i]);
}

/* ---- the whole ---- */

/* The clients go; in time the server has forgotten everyone. */
static void part(struct world *world)
{
	uint64_t until_us = world->agenda.now_us + world->window_us + PATIENCE_US;

	for (unsigned i = 0; i < world->n_clients; i++)
		client_leave(&world->clients[i], chance_percent(&world->chance, 70));
	while (!hawser__list_empty(&world->server.hosts) ||
	       !hawser__list_empty(&world->network.lines)) {
		must(agenda_step(&world->agenda), "nothing happens any more");
		must(world->agenda.now_us < until_us, "the server does not forget its clients");
	}
}

static void world_init(struct world *world, uint64_t seed, struct tally *tally)
{
	memset(world, 0, sizeof *world);
	world->chance.state = seed;
	world->tally = tally;
	report_begin(seed, &world->agenda.now_us);
	draw_world(world);
	timer_init(&world->disaster, on_disaster, world);
	network_init(&world->network, &world->agenda, &world->chance);
	world->network.accept = server_accept;
	world->network.owner = &world->server;
	server_init(&world->server, world);
	for (unsigned i = 0; i < world->n_clients; i++)
		client_init(&world->clients[i], world, i + 1);
}

static void world_deinit(struct world *world)
{
	for (unsigned i = 0; i < world->n_clients; i++)
		client_deinit(&world->clients[i]);
	server_deinit(&world->server);
	network_deinit(&world->network);
	ledger_deinit(&world->ledger);
	must(!world->agenda.count, "%zu timers are still set", world->agenda.count);
	must(!world->loans, "%u loans were not given back", world->loans);
	agenda_deinit(&world->agenda);
}

void world_run(uint64_t seed, struct tally *tally)
{
	static struct world world;
	int64_t alive = heap_alive();
	unsigned storms;

	world_init(&world, seed, tally);
	storms = (unsigned)chance_between(&world.chance, 1, 3);
	while (storms--) {
		storm(&world, chance_between(&world.chance, 1, 200));
		calm(&world);
	}
	part(&world);
	ledger_check(&world.ledger);
	tally->seeds++;
	tally->disconnections += world.network.disconnections;
	tally->attempts += world.network.attempts;
	tally->messages += world.ledger.messages;
	world_deinit(&world);
	must(heap_alive() == alive, "%" PRId64 " allocations were left", heap_alive() - alive);
}
