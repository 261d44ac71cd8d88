/* Pipes, segments and cuts; network.h says what they stand for. */

#include "network.h"

#include "report.h"
#include <stdlib.h>
#include <string.h>

enum { FAR_US = 3000000 };

static void on_arrival(void *owner);
static void on_wake(void *owner);
static void on_notice(void *owner);
static void on_end(void *owner);

void network_init(struct network *network, struct agenda *agenda, struct chance *chance)
{
	*network = (struct network){.agenda = agenda, .chance = chance};
	hawser__list_init(&network->lines);
	hawser__list_init(&network->unused);
}

static struct line *line_of(struct hawser__list *link)
{
	return hawser__container_of(link, struct line, lines);
}

void network_deinit(struct network *network)
{
	must(hawser__list_empty(&network->lines), "a line was left open");
	while (!hawser__list_empty(&network->unused)) {
		struct line *line = line_of(network->unused.next);

		hawser__list_unlink(&line->lines);
		free(line);
	}
}

/* ---- lines ---- */

static void pipe_init(struct side *side, uint64_t cut_after)
{
	struct pipe *pipe = &side->out;

	pipe->first = pipe->count = 0;
	pipe->sent = pipe->arrived = pipe->taken = pipe->last_due_us = 0;
	pipe->cut_after = cut_after;
	pipe->lost_from = UINT64_MAX;
	pipe->is_ended = false;
	timer_init(&pipe->arrival, on_arrival, side);
}

static uint64_t some_bytes(struct network *network)
{
	uint64_t most = network->weather.cut_bytes;

	if (network->is_calm)
		return UINT64_MAX;
	/* Now and then among the first frames. */
	return 1 + chance_below(network->chance, chance_percent(network->chance, 10) ? 100 : most);
}

static struct line *line_new(struct network *network)
{
	struct line *line;

	if (hawser__list_empty(&network->unused)) {
		line = malloc(sizeof *line);
		must(line, "out of memory");
		hawser__list_init(&line->lines);
	} else {
		line = line_of(network->unused.next);
	}
	hawser__list_move(&network->lines, &line->lines);
	line->network = network;
	line->is_cut = line->was_open = line->is_ghost = line->is_forged = line->is_lying = false;
	line->identity = 0;
	for (int i = 0; i < 2; i++) {
		struct side *side = &line->sides[i];

		side->line = line;
		side->ops = NULL;
		side->owner = NULL;
		side->is_closed = side->wants_write = false;
		/* One direction is enough to cut both. */
		pipe_init(side, i == AT_CLIENT ? some_bytes(network) : UINT64_MAX);
		timer_init(&side->wake, on_wake, side);
		timer_init(&side->notice, on_notice, side);
	}
	if (chance_percent(network->chance, 50)) {
		line->sides[AT_SERVER].out.cut_after = line->sides[AT_CLIENT].out.cut_after;
		line->sides[AT_CLIENT].out.cut_after = UINT64_MAX;
	}
	timer_init(&line->end, on_end, line);
	return line;
}

static void line_free(struct line *line)
{
	struct network *network = line->network;

	if (line->was_open && !line->is_ghost && !network->is_calm)
		network->disconnections++;
	for (int i = 0; i < 2; i++) {
		agenda_clear(network->agenda, &line->sides[i].out.arrival);
		agenda_clear(network->agenda, &line->sides[i].wake);
		agenda_clear(network->agenda, &line->sides[i].notice);
	}
	agenda_clear(network->agenda, &line->end);
	hawser__list_move(&network->unused, &line->lines);
}

static void on_end(void *owner)
{
	line_cut(owner);
}

struct side *network_connect(struct network *network)
{
	struct line *line = line_new(network);
	const struct weather *weather = &network->weather;
	uint64_t life_us = 1 + chance_below(network->chance, weather->life_us);

	network->attempts++;
	line->latency_us = weather->latency_us + chance_below(network->chance, weather->latency_us);
	if (network->is_calm)
		return &line->sides[AT_CLIENT];
	if (chance_percent(network->chance, weather->far))
		line->latency_us = chance_below(network->chance, FAR_US);
	if (network->agenda->now_us < network->down_until_us) {
		line->sides[AT_CLIENT].out.lost_from = line->sides[AT_SERVER].out.lost_from = 0;
		life_us = line->latency_us;
	}
	agenda_set(network->agenda, &line->end, life_us);
	return &line->sides[AT_CLIENT];
}

void network_cut_all(struct network *network)
{
	struct hawser__list *link;

	/* The lines themselves stay until their ends have noticed. */
	list_for_each (link, &network->lines)
		agenda_set(network->agenda, &line_of(link)->end, 0);
}

void network_storm(struct network *network)
{
	struct hawser__list *link;

	network->is_calm = false;
	list_for_each (link, &network->lines) {
		struct line *line = line_of(link);
		struct pipe *pipe = &line->sides[chance_below(network->chance, 2)].out;

		pipe->cut_after = pipe->sent + some_bytes(network);
		agenda_set(network->agenda, &line->end,
			   1 + chance_below(network->chance, network->weather.life_us));
	}
}

void network_calm(struct network *network)
{
	struct hawser__list *link;

	network->is_calm = true;
	network->weather.capacity = PIPE_BYTES;
	network->down_until_us = 0;
	list_for_each (link, &network->lines) {
		struct line *line = line_of(link);

		agenda_clear(network->agenda, &line->end);
		if (line->latency_us > 2 * network->weather.latency_us)
			line->latency_us = 2 * network->weather.latency_us;
		for (int i = 0; i < 2; i++)
			line->sides[i].out.cut_after = UINT64_MAX;
	}
}

/* ---- the way there ---- */

static void schedule(struct side *from)
{
	struct pipe *pipe = &from->out;
	struct agenda *agenda = from->line->network->agenda;

	if (pipe->count && !timer_is_set(&pipe->arrival)) {
		uint64_t due_us = pipe->segments[pipe->first].due_us;

		agenda_set(agenda, &pipe->arrival,
			   due_us > agenda->now_us ? due_us - agenda->now_us : 0);
	}
}

/* What was sent so far arrives in its time, not before what was sent earlier. */
static void push(struct side *from)
{
	struct network *network = from->line->network;
	struct pipe *pipe = &from->out;
	uint64_t due_us = network->agenda->now_us + from->line->latency_us +
			  chance_below(network->chance, network->weather.jitter_us + 1);

	if (!network->is_calm && chance_percent(network->chance, network->weather.stall))
		due_us += chance_below(network->chance, network->weather.stall_us);
	if (due_us < pipe->last_due_us)
		due_us = pipe->last_due_us;
	pipe->last_due_us = due_us;
	pipe->segments[(pipe->first + pipe->count++) % PIPE_SEGMENTS] =
		(struct segment){pipe->sent, due_us};
	schedule(from);
}

static void on_arrival(void *owner)
{
	struct side *from = owner, *to = side_other(from);
	struct network *network = from->line->network;
	struct pipe *pipe = &from->out;

	while (pipe->count && pipe->segments[pipe->first].due_us <= network->agenda->now_us) {
		uint64_t until = pipe->segments[pipe->first].until;

		pipe->arrived = until < pipe->lost_from ? until : pipe->lost_from;
		pipe->first = (pipe->first + 1) % PIPE_SEGMENTS;
		pipe->count--;
	}
	schedule(from);
	if (to->is_closed)
		return;
	if (!to->ops) {
		/* The server hears of it with its first byte. */
		if (pipe->arrived)
			network->accept(network->owner, to);
		else if (!pipe->count)
			side_close(to);
		return;
	}
	to->ops->readable(to->owner);
}

bool side_is_finished(struct side *side)
{
	const struct pipe *in = &side_other(side)->out;

	return in->is_ended && !in->count && in->lost_from == UINT64_MAX && in->taken == in->sent;
}

/* ---- cuts ---- */

static void on_notice(void *owner)
{
	struct side *side = owner;

	side->ops->broken(side->owner);
}

void line_cut(struct line *line)
{
	struct network *network = line->network;

	if (line->is_cut)
		return;
	line->is_cut = true;
	agenda_clear(network->agenda, &line->end);
	for (int i = 0; i < 2; i++) {
		struct side *side = &line->sides[i];
		struct pipe *pipe = &side->out;
		uint64_t under_way = pipe->sent - pipe->arrived;

		pipe->cut_after = UINT64_MAX;
		if (pipe->lost_from == UINT64_MAX)
			pipe->lost_from =
				pipe->arrived + chance_below(network->chance, under_way + 1);
		if (!side->is_closed && side->ops &&
		    chance_percent(network->chance, network->weather.noticed))
			agenda_set(network->agenda, &side->notice,
				   chance_below(network->chance, 3 * line->latency_us + 1));
	}
	/* Nothing will ever come there. */
	if (!line->sides[AT_SERVER].ops && !line->sides[AT_SERVER].is_closed &&
	    (line->sides[AT_CLIENT].out.lost_from == 0 || !line->sides[AT_CLIENT].out.count))
		side_close(&line->sides[AT_SERVER]);
}

/* ---- what the ends do ---- */

static void on_wake(void *owner)
{
	struct side *side = owner;

	if (!side->wants_write || side->is_closed)
		return;
	side->wants_write = false;
	side->ops->writable(side->owner);
}

static void wake_later(struct side *side)
{
	struct network *network = side->line->network;

	if (!timer_is_set(&side->wake))
		agenda_set(network->agenda, &side->wake,
			   1 + chance_below(network->chance, side->line->latency_us + 1));
}

static void copy_in(struct pipe *pipe, const struct iovec *iov, size_t length)
{
	uint64_t at = pipe->sent;

	for (; length; iov++) {
		const uint8_t *data = iov->iov_base;
		size_t left = iov->iov_len < length ? iov->iov_len : length;

		length -= left;
		while (left) {
			size_t place = at % PIPE_BYTES, part = PIPE_BYTES - place;

			if (part > left)
				part = left;
			memcpy(pipe->ring + place, data, part);
			data += part;
			at += part;
			left -= part;
		}
	}
}

size_t side_write(struct side *side, const struct iovec *iov, int count)
{
	struct line *line = side->line;
	struct network *network = line->network;
	struct pipe *pipe = &side->out;
	size_t room = network->weather.capacity, used = (size_t)(pipe->sent - pipe->taken);
	size_t total = 0, part;

	/* A pipe may be fuller than what new weather allows. */
	room = room > used ? room - used : 0;
	for (int i = 0; i < count; i++)
		total += iov[i].iov_len;
	part = total < room ? total : room;
	/* One place is for the end. */
	if (pipe->count == PIPE_SEGMENTS - 1)
		part = 0;
	else if (part > 1 && chance_percent(network->chance, network->weather.chop))
		part = (size_t)chance_between(network->chance, 1, part);
	if (part < total) {
		side->wants_write = true;
		if (part < room)
			wake_later(side);
	}
	if (!part)
		return 0;
	if (line->is_cut) {
		pipe->sent += part;
		return part;
	}
	copy_in(pipe, iov, part);
	pipe->sent += part;
	push(side);
	if (pipe->sent >= pipe->cut_after) {
		pipe->lost_from = pipe->cut_after;
		line_cut(line);
	}
	return part;
}

size_t side_read(struct side *side, uint8_t *to, size_t max)
{
	struct side *from = side_other(side);
	struct pipe *in = &from->out;
	size_t length = (size_t)(in->arrived - in->taken), done = 0;

	if (length > max)
		length = max;
	while (done < length) {
		size_t place = (in->taken + done) % PIPE_BYTES, part = PIPE_BYTES - place;

		if (part > length - done)
			part = length - done;
		memcpy(to + done, in->ring + place, part);
		done += part;
	}
	in->taken += length;
	if (length && from->wants_write && !from->is_closed)
		wake_later(from);
	return length;
}

void side_give(struct side *side, const struct side_ops *ops, void *owner)
{
	side->ops = ops;
	side->owner = owner;
}

void side_close(struct side *side)
{
	struct line *line = side->line;
	struct agenda *agenda = line->network->agenda;

	side->is_closed = true;
	side->ops = NULL;
	agenda_clear(agenda, &side->notice);
	agenda_clear(agenda, &side->wake);
	if (side_other(side)->is_closed) {
		line_free(line);
		return;
	}
	side->out.is_ended = true;
	if (!line->is_cut)
		push(side);
}
