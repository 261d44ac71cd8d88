/* Bytes in, cut into frames; some frames are taken by their beginning, some by nobody for a while.
 */

#include "end.h"

#include "report.h"
#include "world.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { READ_BYTES = 16 * 1024 };

/* What it has to say keeps it from hearing more. */
static bool is_full(const struct end *end)
{
	return end->session.is_server && end->session.state == HAWSER__SESSION_OPEN &&
	       hawser__session_unwritten(&end->session) > end->world->unsent_bytes;
}

/* What is left of the inbox may be the beginning of a message frame, whose payload has a place. */
static bool begin_straight(struct end *end, const uint8_t *data, size_t length)
{
	size_t head;

	if (!chance_percent(&end->world->chance, end->world->straight) ||
	    !hawser__session_begins_message(&end->session, data, length, &end->straight))
		return false;
	head = (size_t)(end->straight.payload - data);
	must(end->straight.payload_length > length - head, "what has come is no beginning");
	free(end->straight_place);
	end->straight_place = malloc(end->straight.payload_length);
	must(end->straight_place, "out of memory");
	memcpy(end->straight_place, data + head, length - head);
	end->straight.payload = end->straight_place;
	end->straight.body = NULL;
	end->straight_length = head + end->straight.payload_length;
	end->straight_left = end->straight_length - length;
	return true;
}

/* Returns how much of what came belongs there. */
static size_t go_straight(struct end *end, const uint8_t *data, size_t length)
{
	size_t part = length < end->straight_left ? length : end->straight_left;

	memcpy(end->straight_place + end->straight.payload_length - end->straight_left, data, part);
	end->straight_left -= part;
	return part;
}

static bool took_straight(struct end *end)
{
	struct hawser__problem problem;

	must(hawser__session_took_message(&end->session, &end->straight, end->straight_length,
					  &problem) == 0,
	     "%s: %s", end->session.is_server ? "server" : "client", problem.text);
	end_check(end);
	return end->ops->frame(end, &end->straight, 0);
}

/* Takes the next frame, or a part of one. Returns the bytes; 0: there must be more; -1: there is
 * nobody to go on reading. */
static ptrdiff_t take_next(struct end *end, const uint8_t *data, size_t left)
{
	struct hawser__problem problem;
	struct hawser__frame frame;
	ptrdiff_t taken;
	size_t need;

	taken = hawser__session_next(&end->session, data, left, &frame, &need, &problem);
	if (taken == 0)
		return begin_straight(end, data, left) ? (ptrdiff_t)left : 0;
	if (taken == -EMSGSIZE)
		end->skip = need;
	else if (taken < 0)
		report_failure("%s: %s", end->session.is_server ? "server" : "client",
			       problem.text);
	end_check(end);
	if (!end->ops->frame(end, &frame, taken < 0 ? need : 0))
		return -1;
	return taken < 0 ? 0 : taken;
}

/* Returns whether there is someone to go on reading. */
static bool take_frames(struct end *end)
{
	size_t at = 0;

	while (at < end->length) {
		size_t left = end->length - at;
		ptrdiff_t taken;

		if (end->skip) {
			size_t part = end->skip < left ? end->skip : left;

			end->skip -= part;
			at += part;
			continue;
		}
		if (end->straight_left) {
			at += go_straight(end, end->inbox + at, left);
			if (!end->straight_left && !took_straight(end))
				return false;
			continue;
		}
		end->is_paused = is_full(end);
		if (end->is_paused)
			break;
		taken = take_next(end, end->inbox + at, left);
		if (taken < 0)
			return false;
		if (taken == 0 && !end->skip)
			break;
		at += (size_t)taken;
	}
	memmove(end->inbox, end->inbox + at, end->length - at);
	end->length -= at;
	return true;
}

static void make_room(struct end *end)
{
	if (end->room - end->length >= READ_BYTES)
		return;
	end->room = end->length + 2 * READ_BYTES;
	end->inbox = realloc(end->inbox, end->room);
	must(end->inbox, "out of memory");
}

void end_readable(void *owner)
{
	struct end *end = owner;
	struct world *world = end->world;

	if (end->is_departing || end->is_paused || timer_is_set(&end->pause))
		return;
	/* What was left when it paused. */
	if (end->length && !take_frames(end))
		return;
	while (!end->is_paused) {
		bool is_slow =
			!world->network.is_calm && chance_percent(&world->chance, world->slow);
		size_t most = is_slow ? chance_scaled(&world->chance, 2000) : READ_BYTES;
		size_t length;

		make_room(end);
		length = side_read(end->side, end->inbox + end->length, most);
		if (!length)
			break;
		end->heard_us = world->agenda.now_us;
		end->length += length;
		if (!take_frames(end))
			return;
		if (is_slow) {
			agenda_set(&world->agenda, &end->pause,
				   chance_below(&world->chance, world->pause_us));
			break;
		}
	}
	end_acknowledge(end);
	end->ops->settled(end);
	if (end->side && !end->is_paused && !timer_is_set(&end->pause) &&
	    side_is_finished(end->side))
		end->ops->lost(end);
}
