/* Reading, writing, acknowledging; end.h says for whom. */

#include "end.h"

#include "report.h"
#include "wire/outbox.h"
#include "world.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ACK_DELAY_US = 100000, PIECES_MAX = 8 };

static void on_writable(void *owner);
static void on_broken(void *owner);
static void on_ack(void *owner);
static void on_heart(void *owner);
static void on_moved(struct hawser__session *session, const uint8_t *head, size_t length);
static void on_push(struct hawser__session *session);

static const struct side_ops side_ops = {end_readable, on_writable, on_broken};

void end_init(struct end *end, struct world *world, const struct end_ops *ops, bool is_server)
{
	memset(end, 0, sizeof *end);
	end->world = world;
	end->ops = ops;
	hawser__session_init(&end->session, is_server, MAX_PAYLOAD, &end->pool);
	end->session.moved = on_moved;
	if (world->pushes)
		end->session.push = on_push;
	timer_init(&end->ack, on_ack, end);
	timer_init(&end->flush, on_writable, end);
	timer_init(&end->pause, end_readable, end);
	timer_init(&end->heart, on_heart, end);
}

void end_deinit(struct end *end)
{
	if (end->side)
		end_detach(end);
	hawser__session_deinit(&end->session);
	hawser__pool_deinit(&end->pool);
	free(end->inbox);
	free(end->straight_place);
}

static struct end *end_of(struct hawser__session *session)
{
	return hawser__container_of(session, struct end, session);
}

static void beat(struct end *end)
{
	agenda_set(&end->world->agenda, &end->heart, end->world->heartbeat_us);
}

void end_attach(struct end *end, struct side *side)
{
	end->side = side;
	side_give(side, &side_ops, end);
	end->length = end->skip = end->straight_left = 0;
	end->is_paused = false;
	end->heard_us = end->wrote_us = end->world->agenda.now_us;
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

void end_learn_windows(struct end *end, size_t window)
{
	hawser__outbox_set_windows(&end->session, window);
	end->knows_windows = true;
}

/* ---- writing ---- */

/* A piece goes, or what waited behind one. */
static void on_moved(struct hawser__session *session, const uint8_t *head, size_t length)
{
	struct end *end = end_of(session);
	struct hawser__frame frame;
	struct hawser__list *link;
	struct sender *sender;
	const char *why;

	must(hawser__frame_decode_head(&frame, head + HAWSER__FRAME_PREFIX,
				       length - HAWSER__FRAME_PREFIX, hawser__frame_length(head),
				       &why) == 0,
	     "the head of a piece: %s", why);
	end->turns++;
	end->world->tally->turns++;
	sender = end->ops->sender(end, frame.id);
	if (sender && frame.kind == HAWSER__FRAME_MESSAGE && !frame.last)
		sender_spent(sender, frame.payload_length + HAWSER__MESSAGE_COST);
	/* Nobody who waits is passed over more often than there were ever others. */
	if (session->outboxes.count > end->most_outboxes)
		end->most_outboxes = session->outboxes.count;
	list_for_each (link, &session->turns) {
		struct hawser__outbox *outbox =
			hawser__container_of(link, struct hawser__outbox, turn);

		must(outbox->id == frame.id || ++outbox->stuck_ms < end->most_outboxes,
		     "the outbox of call id %" PRIu64 " was passed over %" PRIu64 " times",
		     outbox->id, outbox->stuck_ms);
	}
}

/* What is small shall not wait long for what is large; and the line not for anything. */
static void fill(struct end *end)
{
	struct hawser__session *session = &end->session;
	size_t before = session->log.unwritten,
	       most = before > HAWSER__AHEAD_BYTES ? before : HAWSER__AHEAD_BYTES;
	bool is_full = before >= HAWSER__AHEAD_BYTES, has_passed;

	has_passed = session->passed_bytes >= HAWSER__PIECE_BYTES;
	end->turns = 0;
	hawser__session_fill(session);
	must(session->log_flows || !end->turns, "pieces go without a connection");
	must(!is_full || end->turns <= has_passed, "%u pieces go, and the log is full", end->turns);
	must(session->log.unwritten <= most + HAWSER__PIECE_BYTES + HAWSER__MESSAGE_HEAD,
	     "%zu bytes are before what is put now", session->log.unwritten);
	must(hawser__list_empty(&session->turns) || !session->log_flows ||
		     session->state == HAWSER__SESSION_OVER ||
		     session->log.unwritten >= HAWSER__AHEAD_BYTES,
	     "pieces wait, and the log has room");
}

/* Returns whether everything was written. */
static bool write_out(struct end *end)
{
	struct hawser__session *session = &end->session;

	for (fill(end); hawser__session_unwritten(session); fill(end)) {
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
			end->wrote_us = end->world->agenda.now_us;
			end_check(end);
		}
		if (part < total)
			return false;
	}
	return true;
}

/* While a large message is being put, its first pieces may go. */
static void on_push(struct hawser__session *session)
{
	struct end *end = end_of(session);

	if (end->side && !end->side->wants_write && !end->is_departing)
		write_out(end);
}

void end_flush(struct end *end)
{
	const struct world *world = end->world;
	bool is_through;

	agenda_clear(&end->world->agenda, &end->flush);
	is_through = end->side && write_out(end);
	if (end->is_paused && end->side &&
	    hawser__session_unwritten(&end->session) <= world->unsent_bytes / 2) {
		/* What had to wait goes on. */
		end->is_paused = false;
		agenda_set(&end->world->agenda, &end->pause, 0);
	}
	if (is_through && end->is_departing)
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

void end_grown(struct end *end)
{
	end_check(end);
	end->ops->grown(end);
	end_touch(end);
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

void end_acknowledge(struct end *end)
{
	if (end->session.state != HAWSER__SESSION_OPEN || !hawser__session_owes_ack(&end->session))
		return;
	if (hawser__session_must_ack(&end->session))
		put_ack(end);
	else if (!timer_is_set(&end->ack))
		agenda_set(&end->world->agenda, &end->ack, ACK_DELAY_US);
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

	/* Who does not listen can still tell that nobody does. */
	if (world->agenda.now_us - (end->is_paused ? end->wrote_us : end->heard_us) >=
	    world->silence_us) {
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
