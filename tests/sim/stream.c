/* Senders with their outboxes, receivers with their windows; stream.h says how they behave. */

#include "stream.h"

#include "report.h"
#include "wire/outbox.h"
#include "world.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct chance *chance_of(struct end *end)
{
	return &end->world->chance;
}

/* ---- loans ---- */

struct lent {
	struct world *world;
	size_t length;
	uint8_t bytes[];
};

static void on_release(void *data)
{
	struct lent *lent = data;

	lent->world->loans--;
	/* Whoever still sends it is found out. */
	memset(lent->bytes, 0xdd, lent->length);
	free(lent);
}

static void put_lent(struct sender *sender, size_t length, bool is_announced)
{
	struct world *world = sender->end->world;
	struct hawser__session *session = &sender->end->session;
	struct lent *lent = malloc(sizeof *lent + length);
	struct hawser__loan *loan = hawser__loan_new(on_release, lent);
	struct hawser__chunk *borrowed;

	must(lent && loan, "out of memory");
	lent->world = world;
	lent->length = length;
	payload_fill(lent->bytes, sender->call, sender->part, sender->put);
	world->loans++;
	world->tally->loans++;
	borrowed = hawser__outbox_borrow(session, loan, lent->bytes, length);
	must(borrowed, "out of memory");
	if (chance_percent(&world->chance, 3)) {
		/* Something else was missing; it is tried once more. */
		hawser__outbox_return(session, borrowed);
		borrowed = hawser__outbox_borrow(session, loan, lent->bytes, length);
		must(borrowed, "out of memory");
	}
	hawser__outbox_put_borrowed(session, sender->outbox, borrowed, length, is_announced);
	hawser__loan_unref(loan);
}

/* ---- senders ---- */

void sender_init(struct sender *sender, struct end *end, struct call *call, enum part part)
{
	*sender = (struct sender){.end = end, .call = call, .part = part};
	sender->outbox = hawser__outbox_new(&end->session, call->id);
	must(sender->outbox, "out of memory");
}

void sender_free(struct sender *sender)
{
	if (sender->outbox)
		hawser__outbox_free(&sender->end->session, sender->outbox);
	sender->outbox = NULL;
}

static void check_window(const struct sender *sender)
{
	long long window = sender->end->session.peer_window + (long long)sender->opened -
			   (long long)sender->spent;

	must(sender->outbox->window == window,
	     "call %" PRIu64 ": a window of %lld, it should be %lld", sender->call->serial,
	     sender->outbox->window, window);
}

bool sender_is_open(const struct sender *sender)
{
	/* How large the peer's windows are shows when it has answered. */
	return hawser__outbox_is_open(sender->outbox) && sender->end->knows_windows;
}

static void put_at_once(struct sender *sender, size_t length)
{
	uint8_t *payload = hawser__session_put_message(&sender->end->session, sender->call->id,
						       false, length, NULL);

	must(payload, "out of memory");
	payload_fill(payload, sender->call, sender->part, sender->put);
	hawser__outbox_spend(sender->outbox, &sender->end->session, length);
	sender->spent += length + HAWSER__MESSAGE_COST;
}

static void put_copied(struct sender *sender, size_t length, bool is_announced)
{
	struct hawser__session *session = &sender->end->session;
	struct hawser__chunk *reserved = hawser__outbox_reserve(session, length);
	uint8_t *bytes = malloc(length + !length);

	must(reserved && bytes, "out of memory");
	payload_fill(bytes, sender->call, sender->part, sender->put);
	hawser__outbox_put(session, sender->outbox, reserved, NULL, bytes, length, is_announced);
	free(bytes);
}

void sender_put(struct sender *sender, bool is_announced)
{
	size_t length = payload_bytes(sender->call, sender->part, sender->put);

	must(!sender->has_said_last, "a message behind the last one");
	check_window(sender);
	if (length <= HAWSER__PIECE_BYTES && sender_is_open(sender))
		put_at_once(sender, length);
	else if (length && chance_percent(chance_of(sender->end), 50))
		put_lent(sender, length, is_announced);
	else
		put_copied(sender, length, is_announced);
	sender->put++;
}

void sender_put_last(struct sender *sender)
{
	struct hawser__session *session = &sender->end->session;

	sender->has_said_last = true;
	if (sender->outbox->first) {
		struct hawser__chunk *last = hawser__outbox_make_last(session, sender->call->id);

		must(last, "out of memory");
		hawser__outbox_put_frame(session, sender->outbox, last);
	} else {
		must(hawser__session_put_message(session, sender->call->id, true, 0, NULL),
		     "out of memory");
	}
}

void sender_put_end(struct sender *sender, uint32_t status, uint32_t outcome, const uint8_t *extra,
		    size_t extra_length)
{
	struct hawser__session *session = &sender->end->session;
	uint64_t id = sender->call->id;

	if (sender->outbox && sender->outbox->first) {
		struct hawser__chunk *frame =
			hawser__outbox_make_end(session, id, status, outcome, extra, extra_length);

		must(frame, "out of memory");
		hawser__outbox_put_frame(session, sender->outbox, frame);
	} else {
		must(hawser__session_put_end(session, id, status, outcome, extra, extra_length, 0,
					     NULL),
		     "out of memory");
	}
	hawser__outbox_leave(session, sender->outbox);
	sender->outbox = NULL;
}

void sender_window(struct sender *sender, uint64_t bytes)
{
	if (!sender->outbox)
		return;
	sender->opened += bytes;
	must(hawser__outbox_open_window(&sender->end->session, sender->outbox, bytes) == 0,
	     "call %" PRIu64 ": a window of %" PRIu64 " is too much", sender->call->serial, bytes);
	check_window(sender);
}

void sender_spent(struct sender *sender, size_t bytes)
{
	sender->spent += bytes;
}

/* ---- receivers ---- */

static void on_go_on(void *owner);

void receiver_init(struct receiver *receiver, struct end *end, struct call *call, enum part part,
		   size_t window, bool is_single)
{
	memset(receiver, 0, sizeof *receiver);
	receiver->end = end;
	receiver->call = call;
	receiver->part = part;
	receiver->is_single = is_single;
	receiver->told = window;
	hawser__window_init(&receiver->window, window);
	timer_init(&receiver->go_on, on_go_on, receiver);
}

void receiver_close(struct receiver *receiver)
{
	receiver->is_closed = true;
	if (receiver->end)
		agenda_clear(&receiver->end->world->agenda, &receiver->go_on);
}

void receiver_announce(struct receiver *receiver, size_t size)
{
	receiver->is_coming = true;
	receiver->size = size;
}

/* What a window should be, as far as anyone knows. */
static size_t wanted_window(struct receiver *receiver)
{
	size_t size = receiver->window.size;

	if (chance_percent(chance_of(receiver->end), 97))
		return size;
	size += size / 2 + 1;
	if (chance_percent(chance_of(receiver->end), 40))
		size /= 3;
	return size > 300000 ? 300000 : size + 1;
}

/* What the peer may still send, what has come and is not taken, and what was taken and is not told
 * yet, make the window. */
static void check_books(const struct receiver *receiver)
{
	const struct hawser__window *window = &receiver->window;
	size_t held = receiver->is_coming ? receiver->cost : 0;

	for (unsigned i = 0; i < receiver->n_waiting; i++)
		held += receiver->waiting[i];
	must(window->left == (long long)(receiver->told - receiver->came),
	     "call %" PRIu64 ": a window of %lld is left, not %lld", receiver->call->serial,
	     window->left, (long long)(receiver->told - receiver->came));
	must(window->left + (long long)(held + window->taken) == (long long)window->size,
	     "call %" PRIu64 ": %lld left, %zu held and %zu taken of a window of %zu",
	     receiver->call->serial, window->left, held, window->taken, window->size);
}

static void took(struct receiver *receiver, size_t cost)
{
	size_t bytes;

	if (receiver->is_closed || receiver->has_last_come)
		return;
	if (!receiver->n_waiting && receiver->is_coming) {
		cost += receiver->cost;
		receiver->cost = 0;
	}
	bytes = hawser__window_take(&receiver->window, cost, wanted_window(receiver));
	check_books(receiver);
	if (!bytes)
		return;
	must(hawser__session_put_window(&receiver->end->session, receiver->call->id, bytes, NULL),
	     "out of memory");
	hawser__window_told(&receiver->window, bytes);
	receiver->told += bytes;
	check_books(receiver);
}

static void on_go_on(void *owner)
{
	struct receiver *receiver = owner;
	struct end *end = receiver->end;
	struct world *world = end->world;
	unsigned n = (unsigned)chance_between(&world->chance, 1, receiver->n_waiting);

	for (unsigned i = 0; i < n; i++) {
		size_t cost = receiver->waiting[0];

		receiver->n_waiting--;
		memmove(receiver->waiting, receiver->waiting + 1,
			receiver->n_waiting * sizeof *receiver->waiting);
		took(receiver, cost);
	}
	if (receiver->n_waiting)
		agenda_set(&world->agenda, &receiver->go_on,
			   chance_scaled(&world->chance, world->stop_us));
	if (receiver->taken)
		receiver->taken(receiver);
	end_grown(end);
}

/* A message is there. */
static void complete(struct receiver *receiver)
{
	struct world *world = receiver->end->world;
	size_t cost = receiver->cost;

	receiver->is_coming = false;
	receiver->received = receiver->cost = 0;
	receiver->index++;
	world->ledger.messages++;
	world->tally->bytes += receiver->size;
	if (receiver->is_closed)
		return;
	if (receiver->is_single ||
	    (!receiver->n_waiting && !chance_percent(&world->chance, world->stops))) {
		took(receiver, cost);
		return;
	}
	must(receiver->n_waiting < MESSAGES_MAX, "call %" PRIu64 ": %u messages wait",
	     receiver->call->serial, receiver->n_waiting);
	receiver->waiting[receiver->n_waiting++] = cost;
	if (!timer_is_set(&receiver->go_on))
		agenda_set(&world->agenda, &receiver->go_on,
			   chance_scaled(&world->chance, world->stop_us));
}

/* The size is told where it should be, and is what was sent. */
static void begin(struct receiver *receiver, const struct hawser__frame *frame)
{
	size_t size = payload_bytes(receiver->call, receiver->part, receiver->index);

	must(frame->size == (size > HAWSER__PIECE_BYTES ? size : 0),
	     "call %" PRIu64 ", index %u: a message of %zu bytes tells a size of %" PRIu64,
	     receiver->call->serial, receiver->index, size, frame->size);
	receiver->is_coming = true;
	receiver->size = size;
}

void receiver_take(struct receiver *receiver, const struct hawser__frame *frame)
{
	size_t length = frame->payload_length, left, cost = length + HAWSER__MESSAGE_COST;

	must(!receiver->has_last_come, "call %" PRIu64 ": a message behind the last one",
	     receiver->call->serial);
	must(receiver->came < receiver->told && hawser__window_use(&receiver->window, cost),
	     "call %" PRIu64 ", part %d, index %u: no window is left", receiver->call->serial,
	     receiver->part, receiver->index);
	receiver->came += cost;
	if (receiver->is_coming)
		must(!frame->size, "call %" PRIu64 ": a size within a message",
		     receiver->call->serial);
	else
		begin(receiver, frame);
	left = receiver->size - receiver->received;
	must(length == (left < HAWSER__PIECE_BYTES ? left : HAWSER__PIECE_BYTES),
	     "call %" PRIu64 ", part %d, index %u: a piece of %zu bytes, %zu are missing",
	     receiver->call->serial, receiver->part, receiver->index, length, left);
	payload_check(frame->payload, length, receiver->received, receiver->call, receiver->part,
		      receiver->index);
	receiver->received += length;
	receiver->cost += cost;
	if (receiver->received == receiver->size)
		complete(receiver);
	else if (!receiver->n_waiting)
		took(receiver, 0);
}
