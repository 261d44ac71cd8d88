/* Copies of old opens; ghost.h says what for. A ghost reads what it gets, or never does, and is
 * gone when its line is. */

#include "ghost.h"

#include "report.h"
#include "world.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { STAY_US = 3000000 };

struct ghost {
	struct world *world;
	struct side *side;
	bool is_deaf;
	struct timer leave;
};

void ghost_remember(struct client *client, const uint8_t *frame)
{
	struct old_open *old = &client->opens[client->n_opens++ % OPENS_KEPT];

	old->length = HAWSER__FRAME_PREFIX + hawser__frame_length(frame);
	must(old->length <= sizeof old->bytes, "an open of %zu bytes", old->length);
	memcpy(old->bytes, frame, old->length);
}

static void ghost_free(void *owner)
{
	struct ghost *ghost = owner;

	agenda_clear(&ghost->world->agenda, &ghost->leave);
	side_close(ghost->side);
	free(ghost);
}

static void on_readable(void *owner)
{
	struct ghost *ghost = owner;
	uint8_t bytes[4096];

	if (ghost->is_deaf)
		return;
	while (side_read(ghost->side, bytes, sizeof bytes))
		;
	if (side_is_finished(ghost->side))
		ghost_free(ghost);
}

static void on_writable(void *owner)
{
}

static const struct side_ops ghost_ops = {on_readable, on_writable, ghost_free};

/* What is sent is not quite what was. */
static size_t tamper(struct line *line, struct chance *chance, uint8_t *bytes, size_t size)
{
	Hawser__Frame *frame = hawser__frame__unpack(NULL, hawser__frame_length(bytes),
						     bytes + HAWSER__FRAME_PREFIX);
	Hawser__Session *asked;
	size_t length;

	must(frame && frame->kind_case == HAWSER__FRAME__KIND_OPEN, "an old open is none");
	asked = frame->open->session;
	line->is_forged = asked && asked->id;
	switch (line->is_forged ? chance_below(chance, 5) : 5) {
	case 0:
		asked->token.data[chance_below(chance, asked->token.len)] ^=
			(uint8_t)(1 << chance_below(chance, 8));
		break;
	case 1:
		asked->token.len = (size_t)chance_below(chance, asked->token.len);
		break;
	case 2:
		asked->id ^= UINT64_C(1) << chance_below(chance, 64);
		break;
	case 3:
		line->identity += CLIENTS_MAX;
		break;
	case 4:
		/* The right one, who has never been sent so much. */
		asked->received += UINT64_C(1) << chance_between(chance, 40, 63);
		line->is_forged = false;
		line->is_lying = true;
		break;
	}
	length = hawser__frame__get_packed_size(frame);
	must(HAWSER__FRAME_PREFIX + length <= size, "a tampered open of %zu bytes", length);
	hawser__frame__pack(frame, bytes + HAWSER__FRAME_PREFIX);
	bytes[2] = (uint8_t)(length >> 8);
	bytes[3] = (uint8_t)length;
	hawser__frame__free_unpacked(frame, NULL);
	return HAWSER__FRAME_PREFIX + length;
}

void ghost_appear(struct world *world)
{
	struct client *client = &world->clients[chance_below(&world->chance, world->n_clients)];
	unsigned kept = client->n_opens < OPENS_KEPT ? client->n_opens : OPENS_KEPT;
	struct ghost *ghost;
	const struct old_open *old;
	uint8_t bytes[OPEN_BYTES_MAX + 32];
	struct iovec piece = {bytes, 0};
	struct line *line;

	if (!kept)
		return;
	old = &client->opens[chance_below(&world->chance, kept)];
	ghost = calloc(1, sizeof *ghost);
	must(ghost, "out of memory");
	ghost->world = world;
	ghost->is_deaf = chance_percent(&world->chance, 30);
	timer_init(&ghost->leave, ghost_free, ghost);
	ghost->side = network_connect(&world->network);
	line = ghost->side->line;
	side_give(ghost->side, &ghost_ops, ghost);
	line->is_ghost = true;
	line->identity = client->number;
	memcpy(bytes, old->bytes, old->length);
	piece.iov_len = chance_percent(&world->chance, 30)
				? tamper(line, &world->chance, bytes, sizeof bytes)
				: old->length;
	trace("a%s open of client %u comes again", line->is_forged ? " forged" : "n old",
	      client->number);
	world->tally->ghosts++;
	agenda_set(&world->agenda, &ghost->leave, chance_scaled(&world->chance, STAY_US));
	side_write(ghost->side, &piece, 1);
}
