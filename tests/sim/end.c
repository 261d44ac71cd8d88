/* Reading, writing, acknowledging; end.h says for whom. */

#include "end.h"

#include "report.h"
#include "world.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ACK_DELAY_US = 100000, READ_BYTES = 16 * 1024, PIECES_MAX = 8 };

static void on_readable(void *owner);
static void on_writable(void *owner);
static void on_broken(void *owner);
static void on_ack(void *owner);
static void on_heart(void *owner);

static const struct side_ops side_ops = {on_readable, on_writable, on_broken};

void end_init(struct end *end, struct world *world, const struct end_ops *ops, bool is_server)
{
	memset(end, 0, sizeof *end);
	end->world = world;
	end->ops = ops;
	hawser__session_init(&end->session, is_server, MAX_PAYLOAD, &end->pool);
	timer_init(&end->ack, on_ack, end);
	timer_init(&end->flush, on_writable, end);
	timer_init(&end->pause, on_readable, end);
	timer_init(&end->heart, on_heart, end);
}

void end_deinit(struct end *end)
{
	if (end->side)
		end_detach(end);
	hawser__session_deinit(&end->session);
	hawser__pool_deinit(&end->pool);
	free(end->inbox);
}

static void beat(struct end *end)
{
	agenda_set(&end->world->agenda, &end->heart, end->world->heartbeat_us);
}

void end_attach(struct end *end, struct side *side)
{
	end->side = side;
	side_give(side, &side_ops, end);
	end->length = end->skip = 0;
	end->heard_us = end->world->agenda.now_us;
	beat(end);
}

struct side *end_release(struct end *end)
{
	struct agenda *agenda = &end->world->agenda;
	struct side *side = end->side;

	agenda_clear(agenda, &end->ack);
	agenda_clear(agenda, &end->flush);
	agenda_clear(agenda, &end->pause);
	agenda_clear(agenda, &end->heart);
	end->side = NULL;
	return side;
}

void end_detach(struct end *end)
{
	side_close(end_release(end));
}

bool end_is_full(const struct end *end)
{
	return end->session.log.frames.length >= end->world->log_bytes;
}

/* ---- the state of the session ---- */

/* Counts frame by frame what the log holds. */
static void check_frames(const struct hawser__log *log)
{
	uint64_t number = log->acked;
	size_t length = 0, behind = 0;

	for (const struct hawser__chunk *chunk = log->frames.first; chunk; chunk = chunk->next) {
		for (size_t at = chunk->start; at < chunk->end; number++) {
			size_t size = HAWSER__FRAME_PREFIX + hawser__frame_length(chunk->data + at);

			must(size <= chunk->end - at, "frame %" PRIu64 " of the log is cut off",
			     number + 1);
			at += size;
			length += size;
			if (number >= log->written)
				behind += size;
			if (number == log->written && log->partial) {
				must(log->partial < size && log->chunk == chunk &&
					     log->at == at - log->partial,
				     "the log's cursor is not where it says");
				behind -= size - log->partial;
			}
		}
	}
	must(number == log->last, "the log holds up to %" PRIu64 ", not %" PRIu64, number,
	     log->last);
	must(length == log->frames.length, "the log holds %zu bytes, not %zu", length,
	     log->frames.length);
	must(behind == log->unwritten, "%zu bytes of the log are unwritten, not %zu", behind,
	     log->unwritten);
}

void end_check(const struct end *end)
{
	const struct hawser__session *session = &end->session;
	const struct hawser__log *log = &session->log;
	uint64_t begun = log->written + (log->partial != 0);

	must(log->acked <= log->claimed && log->acked <= log->written && begun <= log->sent &&
		     log->sent <= log->last && log->restarted <= log->acked,
	     "the log's numbers: restarted %" PRIu64 ", acked %" PRIu64 ", claimed %" PRIu64
	     ", written %" PRIu64 ", sent %" PRIu64 ", last %" PRIu64,
	     log->restarted, log->acked, log->claimed, log->written, log->sent, log->last);
	must(log->partial <= log->unwritten && log->unwritten <= log->frames.length,
	     "the log's bytes: partial %zu, unwritten %zu of %zu", log->partial, log->unwritten,
	     log->frames.length);
	must(session->told <= session->received, "%" PRIu64 " frames were told, %" PRIu64 " came",
	     session->told, session->received);
	must(log->frames.length || !log->frames.first, "an empty log owns memory");
	must(end->side || !session->log_flows, "the log flows without a connection");
	if (log->is_kept && chance_percent(&end->world->chance, 5))
		check_frames(log);
}

/* ---- writing ---- */

void end_flush(struct end *end)
{
	struct hawser__session *session = &end->session;

	agenda_clear(&end->world->agenda, &end->flush);
	while (end->side && hawser__session_unwritten(session)) {
		struct iovec pieces[PIECES_MAX];
		int count = (int)chance_between(&end->world->chance, 1, PIECES_MAX);
		size_t total = 0, part;

		count = hawser__session_peek(session, pieces, count);
		must(count > 0, "nothing to write, though %zu bytes are unwritten",
		     hawser__session_unwritten(session));
		for (int i = 0; i < count; i++) {
			must(pieces[i].iov_len, "an empty piece to write");
			total += pieces[i].iov_len;
		}
		must(total <= hawser__session_unwritten(session), "%zu bytes to write of %zu",
		     total, hawser__session_unwritten(session));
		part = side_write(end->side, pieces, count);
		if (part) {
			hawser__session_wrote(session, part);
			end_check(end);
		}
		if (part < total)
			return;
	}
	if (end->side && end->is_departing)
		end->ops->departed(end);
}

static void on_writable(void *owner)
{
	end_flush(owner);
}

void end_touch(struct end *end)
{
	struct world *world = end->world;

	if (!end->side || end->side->wants_write || timer_is_set(&end->flush))
		return;
	if (chance_percent(&world->chance, world->lazy))
		agenda_set(&world->agenda, &end->flush, chance_below(&world->chance, 3000));
	else
		end_flush(end);
}

/* ---- acknowledging ---- */

static void put_ack(struct end *end)
{
	must(hawser__session_put_ack(&end->session), "out of memory");
	end_touch(end);
}

static void on_ack(void *owner)
{
	struct end *end = owner;

	if (end->session.state != HAWSER__SESSION_OPEN || !hawser__session_owes_ack(&end->session))
		return;
	/* The first time it may still ride on a frame. */
	if (hawser__session_urge_ack(&end->session)) {
		agenda_set(&end->world->agenda, &end->ack, ACK_DELAY_US);
		end->ops->urged(end);
	} else {
		put_ack(end);
	}
}

static void end_batch(struct end *end)
{
	if (end->session.state != HAWSER__SESSION_OPEN || !hawser__session_owes_ack(&end->session))
		return;
	if (hawser__session_must_ack(&end->session))
		put_ack(end);
	else if (!timer_is_set(&end->ack))
		agenda_set(&end->world->agenda, &end->ack, ACK_DELAY_US);
}

/* ---- reading ---- */

/* Returns whether there is someone to go on reading. */
static bool take_frames(struct end *end)
{
	size_t at = 0;

	while (at < end->length) {
		size_t left = end->length - at, need;
		struct hawser__problem problem;
		struct hawser__frame frame;
		ptrdiff_t taken;

		if (end->skip) {
			size_t part = end->skip < left ? end->skip : left;

			end->skip -= part;
			at += part;
			continue;
		}
		taken = hawser__session_next(&end->session, end->inbox + at, left, &frame, &need,
					     &problem);
		if (taken == 0)
			break;
		if (taken == -EMSGSIZE)
			end->skip = need;
		else if (taken < 0)
			report_failure("%s: %s", end->session.is_server ? "server" : "client",
				       problem.text);
		else
			at += (size_t)taken;
		end_check(end);
		if (!end->ops->frame(end, &frame, taken < 0 ? need : 0))
			return false;
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

static void on_readable(void *owner)
{
	struct end *end = owner;
	struct world *world = end->world;

	if (end->is_departing || timer_is_set(&end->pause))
		return;
	for (;;) {
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
	end_batch(end);
	end->ops->settled(end);
	if (end->side && !timer_is_set(&end->pause) && side_is_finished(end->side))
		end->ops->lost(end);
}

/* ---- the end of a connection ---- */

static void on_broken(void *owner)
{
	struct end *end = owner;

	end->ops->lost(end);
}

static void on_heart(void *owner)
{
	struct end *end = owner;
	struct world *world = end->world;

	if (world->agenda.now_us - end->heard_us >= world->silence_us) {
		end->ops->lost(end);
		return;
	}
	beat(end);
	if (end->session.state != HAWSER__SESSION_OPEN)
		return;
	must(hawser__session_put_number(&end->session, HAWSER__FRAME_PING, world->agenda.now_us),
	     "out of memory");
	end_touch(end);
}
