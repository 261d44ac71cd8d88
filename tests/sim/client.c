/* Connecting, calling, cancelling; client.h says when. */

#include "client.h"

#include "ghost.h"
#include "report.h"
#include "world.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PATIENCE_US = 1000000 };

static void on_connect(void *owner);
static void on_give_up(void *owner);
static void on_make(void *owner);
static const struct end_ops client_ops;

void client_init(struct client *client, struct world *world, unsigned number)
{
	memset(client, 0, sizeof *client);
	end_init(&client->end, world, &client_ops, false);
	client->number = number;
	timer_init(&client->connect, on_connect, client);
	timer_init(&client->give_up, on_give_up, client);
	timer_init(&client->make, on_make, client);
}

void client_deinit(struct client *client)
{
	must(client->is_over, "client %u is not over", client->number);
	free(client->by_id);
	end_deinit(&client->end);
}

static struct client *client_of(struct end *end)
{
	return hawser__container_of(end, struct client, end);
}

static struct chance *chance_of(struct client *client)
{
	return &client->end.world->chance;
}

/* ---- calls ---- */

static void enter(struct client *client, struct call *call)
{
	size_t place = (size_t)call->id / 2;

	if (place >= client->ids_room) {
		client->ids_room = 2 * place + 64;
		client->by_id = realloc(client->by_id, client->ids_room * sizeof *client->by_id);
		must(client->by_id, "out of memory");
	}
	client->by_id[place] = call;
	call->place = client->n_open;
	client->open[client->n_open++] = call;
}

static void end_call(struct client *client, struct call *call, enum call_ending ending)
{
	ledger_ended(call, ending);
	sender_free(&call->up);
	receiver_close(&call->down);
	client->open[call->place] = client->open[--client->n_open];
	client->open[call->place]->place = call->place;
}

/* Metadata `k: v`, as a field of a call. */
static const uint8_t metadata[] = {0x22, 6, 0x0a, 1, 'k', 0x12, 1, 'v'};

/* The rare fields of a call. Returns their length. */
static size_t rare_fields(struct client *client, const struct call *call, uint8_t *extra)
{
	size_t length = 0;

	if (chance_percent(chance_of(client), 10)) {
		memcpy(extra, metadata, sizeof metadata);
		length = sizeof metadata;
	}
	if (call_is_announced(call)) {
		extra[length++] = 6 << 3;
		for (size_t size = call->request_bytes; size; size >>= 7)
			extra[length++] = (uint8_t)(size & 0x7f) | (size >= 0x80 ? 0x80 : 0);
	}
	return length;
}

static void make_call(struct client *client)
{
	struct world *world = client->end.world;
	struct hawser__session *session = &client->end.session;
	struct call *call =
		ledger_call(&world->ledger, &world->chance, world->has_too_long, world->has_large);
	uint8_t extra[sizeof metadata + 8], *payload;
	size_t extra_length = rare_fields(client, call, extra), length;

	call->id = hawser__session_take_call(session);
	length = call_is_announced(call) ? 0 : payload_bytes(call, REQUEST, 0);
	payload = hawser__session_put_call(session, call->id, call->kind,
					   chance_below(&world->chance, 2) * 1000, extra,
					   extra_length, length, &call->frame);
	must(payload, "out of memory");
	if (length)
		payload_fill(payload, call, REQUEST, 0);
	call->number = session->log.last;
	enter(client, call);
	receiver_init(&call->down, &client->end, call,
		      call_streams_down(call) ? MESSAGE_DOWN : REPLY, world->window_down,
		      !call_streams_down(call));
	if (call_is_announced(call)) {
		sender_init(&call->up, &client->end, call, REQUEST);
		sender_put(&call->up, true);
	} else if (call_streams_up(call)) {
		sender_init(&call->up, &client->end, call, MESSAGE_UP);
	}
	world->tally->calls++;
	trace("client %u makes call %" PRIu64 " (id %" PRIu64 ", frame %" PRIu64 ")",
	      client->number, call->serial, call->id, call->number);
}

/* Returns whether there was something left to say that could be said. */
static bool stream_up(struct client *client, struct call *call)
{
	struct sender *up = &call->up;

	if (!call_streams_up(call) || up->has_said_last)
		return false;
	if (up->put == call->ups) {
		sender_put_last(up);
		return true;
	}
	/* Mostly it waits until it would go at once. */
	if (!sender_is_open(up) && !chance_percent(chance_of(client), 2))
		return false;
	sender_put(up, false);
	return true;
}

static void cancel(struct client *client, struct call *call)
{
	struct hawser__session *session = &client->end.session;
	bool was_sent = hawser__log_was_sent(&session->log, call->number);

	end_call(client, call, was_sent ? CANCELLED : NOT_SENT);
	if (was_sent)
		must(hawser__session_put_cancel(session, call->id, NULL), "out of memory");
	else
		hawser__frame_take_back(call->frame, call->id);
}

static struct call *some_call(struct client *client)
{
	/* Often a late one, which may still wait. */
	size_t back = chance_scaled(chance_of(client), client->n_open) - 1;

	return client->open[client->n_open - 1 - back];
}

/* Returns whether there was something to do. */
static bool act(struct client *client)
{
	struct world *world = client->end.world;
	unsigned which = (unsigned)chance_below(&world->chance, 100);

	if (client->n_open && which < world->cancels) {
		cancel(client, some_call(client));
		return true;
	}
	if (end_is_full(&client->end))
		return false;
	if (client->n_open && which < 60 && stream_up(client, some_call(client)))
		return true;
	if (client->n_open == OPEN_CALLS_MAX)
		return false;
	make_call(client);
	return true;
}

/* Streams that nobody cancels come to their end, also when no more calls are made. */
static void finish_streams(struct client *client)
{
	for (size_t i = 0; i < client->n_open; i++)
		while (!end_is_full(&client->end) && stream_up(client, client->open[i]))
			;
}

static void on_make(void *owner)
{
	struct client *client = owner;
	struct world *world = client->end.world;
	uint64_t acts = chance_scaled(&world->chance, world->burst), done = 0;

	while (done < acts && act(client))
		done++;
	/* Nobody tells it when there is room again; it asks less and less often. */
	client->patience_us = done ? world->make_us : client->patience_us * 2;
	if (client->patience_us > MOST_PATIENCE_US)
		client->patience_us = MOST_PATIENCE_US;
	agenda_set(&world->agenda, &client->make,
		   1 + chance_below(&world->chance, client->patience_us));
	if (!done)
		return;
	end_check(&client->end);
	end_touch(&client->end);
}

void client_start(struct client *client)
{
	struct agenda *agenda = &client->end.world->agenda;

	client->drops_at = 0;
	client->patience_us = client->end.world->make_us;
	agenda_set(agenda, &client->make, 0);
	if (!client->end.side && !timer_is_set(&client->connect))
		agenda_set(agenda, &client->connect, 0);
}

/* Whoever made the calls loses interest in all of them, some just made included. */
static void drop_calls(struct client *client)
{
	struct world *world = client->end.world;

	client->drops_at = 0;
	for (uint64_t acts = chance_scaled(&world->chance, world->burst); acts--;)
		act(client);
	while (client->n_open)
		cancel(client, client->open[0]);
}

void client_stop(struct client *client)
{
	struct world *world = client->end.world;

	agenda_clear(&world->agenda, &client->make);
	if (chance_percent(&world->chance, 30))
		client->drops_at = chance_between(&world->chance, 1, 2 * HAWSER__ACK_FRAMES);
	finish_streams(client);
	end_touch(&client->end);
}

/* ---- connections ---- */

static void connect_later(struct client *client)
{
	struct world *world = client->end.world;

	agenda_clear(&world->agenda, &client->give_up);
	agenda_set(&world->agenda, &client->connect,
		   chance_scaled(&world->chance, world->backoff_us));
}

/* Of what was sent nothing more will be heard. */
static void forget_session(struct client *client)
{
	struct hawser__session *session = &client->end.session;

	for (size_t i = client->n_open; i--;)
		if (hawser__log_was_sent(&session->log, client->open[i]->number))
			end_call(client, client->open[i], UNKNOWN);
	hawser__session_restart(session);
	client->end.knows_windows = false;
	trace("client %u begins anew behind frame %" PRIu64, client->number,
	      session->log.restarted);
}

static void on_connect(void *owner)
{
	struct client *client = owner;
	struct world *world = client->end.world;
	struct hawser__session *session = &client->end.session;
	Hawser__Open open = HAWSER__OPEN__INIT;
	Hawser__Session asked = HAWSER__SESSION__INIT;
	uint64_t forgotten_us = client->lost_us + world->window_us + world->silence_us;
	const uint8_t *frame;
	struct side *side;

	/* The server must have given it up, whether it can be asked or not. */
	if (session->id && world->agenda.now_us >= forgotten_us)
		forget_session(client);
	side = network_connect(&world->network);
	side->line->identity = client->number;
	end_attach(&client->end, side);
	open.version = HAWSER__PROTOCOL_VERSION;
	/* Who keeps nothing need not be asked. */
	if (world->keeps || client->number % 2)
		open.session = &asked;
	if (session->id) {
		asked.id = session->id;
		asked.token =
			(ProtobufCBinaryData){.data = session->token, .len = HAWSER__TOKEN_BYTES};
		asked.received = session->received;
		asked.attempt = world->counts ? ++session->attempt : 0;
	}
	frame = hawser__session_put(session, HAWSER__FRAME_OPEN, &open.base);
	must(frame, "out of memory");
	ghost_remember(client, frame);
	agenda_set(&world->agenda, &client->give_up, world->attempt_us);
	trace("client %u connects, has %" PRIu64 " frames", client->number, session->received);
	end_flush(&client->end);
}

static void client_lost(struct end *end)
{
	struct client *client = client_of(end);
	struct hawser__session *session = &end->session;
	bool was_begun = session->log_flows;

	trace("client %u loses its connection", client->number);
	if (client->is_over) {
		agenda_clear(&end->world->agenda, &client->give_up);
		end_detach(end);
		return;
	}
	end_detach(end);
	hawser__session_lost(session);
	if (was_begun)
		client->lost_us = end->world->agenda.now_us;
	if (was_begun && !session->id)
		forget_session(client);
	end_check(end);
	connect_later(client);
}

static void on_give_up(void *owner)
{
	struct client *client = owner;

	client_lost(&client->end);
}

/* Each call begins with that window. Those that wait may have filled a larger one. */
static void learn_windows(struct client *client, size_t window)
{
	end_learn_windows(&client->end, window);
	for (size_t i = client->n_open; i--;) {
		const struct hawser__outbox *outbox = client->open[i]->up.outbox;

		if (outbox && hawser__outbox_is_overdrawn(outbox))
			cancel(client, client->open[i]);
	}
}

/* The server has answered: the session begins, or goes on. */
static void opened(struct client *client, const struct hawser__frame *frame)
{
	struct hawser__session *session = &client->end.session;
	Hawser__Opened *answer = hawser__opened__unpack(NULL, frame->body_length, frame->body);
	const Hawser__Session *given;
	struct hawser__problem problem;

	must(answer, "opened cannot be unpacked");
	given = answer->session;
	agenda_clear(&client->end.world->agenda, &client->give_up);
	must(given || !session->id, "the server keeps no session, but kept one");
	if (session->id) {
		must(given->id == session->id, "the server goes on with another session");
		must(hawser__session_resume(session, given->received, &problem) == 0,
		     "client %u: %s", client->number, problem.text);
	} else {
		must(!given || (given->id && given->token.len == HAWSER__TOKEN_BYTES &&
				!given->received),
		     "the server gives a session that is none");
		session->id = given ? given->id : 0;
		if (given)
			memcpy(session->token, given->token.data, HAWSER__TOKEN_BYTES);
		hawser__session_begin(session, given);
		learn_windows(client, answer->stream_window_bytes);
	}
	client->end.side->line->was_open = true;
	world_opened(client->end.world);
	trace("client %u is open, goes on behind frame %" PRIu64, client->number,
	      session->log.acked);
	hawser__opened__free_unpacked(answer, NULL);
}

static void rejected(struct client *client, const struct hawser__frame *frame)
{
	Hawser__Rejected *answer = hawser__rejected__unpack(NULL, frame->body_length, frame->body);

	must(answer, "rejected cannot be unpacked");
	must(client->end.session.id, "client %u is rejected: %s", client->number, answer->text);
	if (answer->reason == HAWSER__REASON__REASON_TAKEN_OVER) {
		/* A copy of the same open was there first. */
		client_lost(&client->end);
	} else {
		must(answer->reason == HAWSER__REASON__REASON_SESSION_EXPIRED,
		     "client %u is rejected: %s", client->number, answer->text);
		trace("client %u is told that its session is gone", client->number);
		end_detach(&client->end);
		forget_session(client);
		end_check(&client->end);
		connect_later(client);
	}
	hawser__rejected__free_unpacked(answer, NULL);
}

/* ---- frames ---- */

struct call *client_call(const struct client *client, uint64_t id)
{
	return id & 1 && id < client->end.session.next_call ? client->by_id[id / 2] : NULL;
}

static struct call *call_of(const struct client *client, const struct hawser__frame *frame)
{
	struct call *call = client_call(client, frame->id);

	must(call, "client %u: %s of call id %" PRIu64 ", which it never made", client->number,
	     hawser__frame_kind_name(frame->kind), frame->id);
	must(call->ending == NOTHING_YET || call->ending == CANCELLED,
	     "client %u: %s of call %" PRIu64 ", which has ended", client->number,
	     hawser__frame_kind_name(frame->kind), call->serial);
	return call;
}

static void take_message(struct client *client, const struct hawser__frame *frame)
{
	struct call *call = call_of(client, frame);
	unsigned most = call_streams_down(call)                               ? call->downs
			: payload_bytes(call, REPLY, 0) > HAWSER__PIECE_BYTES ? 1
									      : 0;

	must(!frame->last, "call %" PRIu64 ": its callee says that it has said its last",
	     call->serial);
	must(call->down.index < most, "client %u: message %u of call %" PRIu64 " is too much",
	     client->number, call->down.index + 1, call->serial);
	receiver_take(&call->down, frame);
}

static void take_window(struct client *client, const struct hawser__frame *frame)
{
	struct call *call = call_of(client, frame);

	must(call->up.call, "call %" PRIu64 " sends no messages, but may send more", call->serial);
	sender_window(&call->up, frame->window);
}

/* All that the callee had to say is there. */
static void check_reply(const struct call *call, const struct hawser__frame *frame)
{
	size_t length = payload_bytes(call, REPLY, 0);

	must(!call->down.is_coming, "call %" PRIu64 " ends within a message", call->serial);
	if (call_streams_down(call)) {
		must(call->down.index == call->downs && !frame->payload_length,
		     "call %" PRIu64 " ends after %u of %u messages", call->serial,
		     call->down.index, call->downs);
	} else if (call->down.index) {
		must(!frame->payload_length, "call %" PRIu64 " has two replies", call->serial);
	} else {
		must(frame->payload_length == length,
		     "call %" PRIu64 ": a reply of %zu bytes, not %zu", call->serial,
		     frame->payload_length, length);
		payload_check(frame->payload, length, 0, call, REPLY, 0);
	}
	must(!call_streams_up(call) || call->up.has_said_last,
	     "call %" PRIu64 " ends before it has said its last", call->serial);
}

static void take_end(struct client *client, const struct hawser__frame *frame)
{
	struct call *call = call_of(client, frame);

	if (call->ending == CANCELLED)
		return;
	if (frame->status == 0) {
		check_reply(call, frame);
		end_call(client, call, OK);
	} else if (frame->outcome == HAWSER__OUTCOME__OUTCOME_EXECUTED) {
		end_call(client, call, EXECUTED);
	} else {
		must(frame->outcome == HAWSER__OUTCOME__OUTCOME_NOT_EXECUTED,
		     "call %" PRIu64 " ends with outcome %u", call->serial, frame->outcome);
		end_call(client, call, NOT_EXECUTED);
	}
}

static bool client_frame(struct end *end, const struct hawser__frame *frame, size_t too_long)
{
	struct client *client = client_of(end);

	must(!too_long, "client %u: a frame of %zu bytes", client->number, too_long);
	switch (frame->kind) {
	case HAWSER__FRAME_OPENED:
		opened(client, frame);
		return true;
	case HAWSER__FRAME_REJECTED:
		rejected(client, frame);
		return false;
	case HAWSER__FRAME_CLOSE:
		/* Another connection goes on with the session, as the server sees it. */
		client_lost(end);
		return false;
	case HAWSER__FRAME_PING:
		must(hawser__session_put_number(&end->session, HAWSER__FRAME_PONG, frame->id),
		     "out of memory");
		return true;
	case HAWSER__FRAME_MESSAGE:
		take_message(client, frame);
		return true;
	case HAWSER__FRAME_END:
		take_end(client, frame);
		return true;
	case HAWSER__FRAME_WINDOW:
		take_window(client, frame);
		return true;
	case HAWSER__FRAME_PONG:
	case HAWSER__FRAME_IGNORED:
		return true;
	default:
		report_failure("client %u: %s from the server", client->number,
			       hawser__frame_kind_name(frame->kind));
	}
}

static void client_settled(struct end *end)
{
	struct client *client = client_of(end);

	if (!timer_is_set(&client->make))
		finish_streams(client);
	if (client->drops_at && end->session.received - end->session.told >= client->drops_at)
		drop_calls(client);
	end_touch(end);
}

/* Calls that are made now and taken back at once have the only acknowledgement with them. */
static void client_urged(struct end *end)
{
	struct client *client = client_of(end);

	if (!client->drops_at)
		return;
	drop_calls(client);
	end_touch(end);
}

/* ---- the end ---- */

bool client_is_done(const struct client *client, bool says_why)
{
	const struct hawser__session *session = &client->end.session;
	bool is_done = !client->n_open && session->state == HAWSER__SESSION_OPEN &&
		       !hawser__session_backlog(session) && !session->outboxes.count &&
		       !hawser__session_owes_ack(session);

	if (!is_done && says_why)
		report_line("client %u: state %d, %zu calls open, the first %" PRIu64
			    "; log of %zu bytes, written %" PRIu64 " of %" PRIu64
			    ", %u outboxes of %zu bytes, owes an ack: %d",
			    client->number, session->state, client->n_open,
			    client->n_open ? client->open[0]->serial : 0,
			    session->log.frames.length, session->log.written, session->log.last,
			    session->outboxes.count, session->waiting_bytes,
			    hawser__session_owes_ack(session));
	return is_done;
}

static void client_departed(struct end *end)
{
	trace("client %u is over", client_of(end)->number);
	end_detach(end);
}

void client_leave(struct client *client, bool says_so)
{
	struct end *end = &client->end;
	struct hawser__problem problem;

	client->is_over = true;
	agenda_clear(&end->world->agenda, &client->connect);
	agenda_clear(&end->world->agenda, &client->give_up);
	if (!end->side)
		return;
	if (!says_so || end->session.state != HAWSER__SESSION_OPEN) {
		end_detach(end);
		return;
	}
	hawser__problem_set(&problem, HAWSER__REASON__REASON_DONE, "that is all");
	must(hawser__session_put_close(&end->session, &problem), "out of memory");
	end->is_departing = true;
	end_flush(end);
}

static struct sender *client_sender(struct end *end, uint64_t id)
{
	struct call *call = client_call(client_of(end), id);

	return call && call->up.outbox ? &call->up : NULL;
}

/* Nobody but the client itself wants to know. */
static void client_grown(struct end *end)
{
}

static const struct end_ops client_ops = {
	client_frame,    client_settled, client_urged, client_lost,
	client_departed, client_sender,  client_grown,
};
