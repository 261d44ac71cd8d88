/* Notes: a stream of requests and a stream of replies, which go their own ways.
 *
 * A visitor is a call. What is left at a place goes to its other visitors at once, as far as
 * each of them takes it. For one that does not, notes wait: numbers, as the guestbook keeps
 * the notes themselves. As long as any wait, no more is taken from that visitor either; so what it
 * does itself never makes more wait than one place has. What others do may: then its call fails. */

#include "service.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct visitor {
	struct service *service;
	struct hawser_call *call;
	struct visitor *next, **link; /* in the service's list; the pointer that points here */
	bool *has_visited;            /* for each place */
	uint32_t *waiting;            /* a ring of notes, the oldest at `first` */
	uint32_t first, n_waiting;
};

/* ---- visitors ---- */

/* When its call is over, however it ended. */
static void visitor_free(void *data)
{
	struct visitor *visitor = data;

	if (visitor->link) {
		*visitor->link = visitor->next;
		if (visitor->next)
			visitor->next->link = visitor->link;
		visitor->service->n_visitors--;
	}
	free(visitor->has_visited);
	free(visitor->waiting);
	free(visitor);
}

static struct visitor *visitor_new(struct service *service, struct hawser_call *call)
{
	struct visitor *visitor = calloc(1, sizeof *visitor);

	if (!visitor)
		return NULL;
	visitor->has_visited = calloc(service->places->n, sizeof *visitor->has_visited);
	visitor->waiting = calloc(service->limits.waiting, sizeof *visitor->waiting);
	if (!visitor->has_visited || !visitor->waiting ||
	    hawser_call_set_data(call, visitor, visitor_free) < 0) {
		visitor_free(visitor);
		return NULL;
	}
	visitor->service = service;
	visitor->call = call;
	visitor->next = service->visitors;
	visitor->link = &service->visitors;
	if (visitor->next)
		visitor->next->link = &visitor->next;
	service->visitors = visitor;
	service->n_visitors++;
	return visitor;
}

/* The visitor that the call is; NULL: it has failed. */
static struct visitor *visitor_of(struct hawser_call *call, struct service *service)
{
	struct visitor *visitor = hawser_call_data(call);

	if (visitor)
		return visitor;
	if (service->n_visitors == service->limits.visitors) {
		demo_places_notes_fail(call, HAWSER_RESOURCE_EXHAUSTED,
				       "there are %u visitors already", service->limits.visitors);
		return NULL;
	}
	visitor = visitor_new(service, call);
	if (!visitor)
		demo_places_notes_fail(call, HAWSER_RESOURCE_EXHAUSTED, "out of memory");
	return visitor;
}

/* ---- notes on their way to a visitor ---- */

static int send_note(const struct visitor *visitor, uint32_t number)
{
	const struct kept_note *kept = &visitor->service->book.notes[number];
	Demo__Note note = DEMO__NOTE__INIT;

	note.place = visitor->service->places->places[kept->place].name;
	note.text = kept->text;
	return demo_places_notes_reply(visitor->call, &note);
}

/* Sends what waits, as far as the visitor takes it, and goes on when it takes more. The visitor
 * may be gone afterwards. */
static void send_waiting(struct hawser_call *call, void *data)
{
	struct visitor *visitor = data;
	int r = 0;

	while (r == 0 && visitor->n_waiting > 0) {
		r = send_note(visitor, visitor->waiting[visitor->first]);
		if (r == 0) {
			visitor->first = (visitor->first + 1) % visitor->service->limits.waiting;
			visitor->n_waiting--;
		}
	}
	if (r == 0) {
		hawser_call_read_start(call);
		return;
	}
	if (r == -EAGAIN) {
		hawser_call_read_stop(call);
		r = hawser_call_on_writable(call, send_waiting, visitor);
	}
	if (r < 0)
		demo_places_notes_fail(call, HAWSER_INTERNAL, "a note could not be sent: %s",
				       strerror(-r));
}

/* Lets a note wait. There has to be room. */
static void add_waiting(struct visitor *visitor, uint32_t number)
{
	uint32_t most = visitor->service->limits.waiting;

	visitor->waiting[(visitor->first + visitor->n_waiting++) % most] = number;
}

static void tell(struct visitor *visitor, uint32_t number)
{
	if (visitor->n_waiting == visitor->service->limits.waiting) {
		demo_places_notes_fail(visitor->call, HAWSER_RESOURCE_EXHAUSTED,
				       "%u notes wait to be taken, and no more may",
				       visitor->n_waiting);
		return;
	}
	add_waiting(visitor, number);
	/* Otherwise it is told already when it goes on. */
	if (visitor->n_waiting == 1)
		send_waiting(visitor->call, visitor);
}

static void tell_others(const struct visitor *author, uint32_t number)
{
	const struct service *service = author->service;
	uint32_t place = service->book.notes[number].place;
	struct visitor *visitor, *next;

	for (visitor = service->visitors; visitor; visitor = next) {
		next = visitor->next;
		if (visitor != author && visitor->has_visited[place])
			tell(visitor, number);
	}
}

/* ---- notes that come ---- */

/* Where a note is to be left; NULL: there is no such place or note, and the call has failed. */
static const struct place *place_of(struct hawser_call *call, const struct service *service,
				    const Demo__Note *note)
{
	const struct place *place = places_find(service->places, note->place);
	size_t length = strlen(note->text);

	if (!place) {
		service_fail_unknown(call, service->places, note->place);
		return NULL;
	}
	if (length < 1 || length > NOTE_MOST_BYTES) {
		demo_places_notes_fail(call, HAWSER_INVALID_ARGUMENT,
				       "the text has %zu bytes; it has to have 1 to %d", length,
				       NOTE_MOST_BYTES);
		return NULL;
	}
	return place;
}

static void fail_full(struct hawser_call *call, const char *place, uint32_t limit)
{
	Demo__Full detail = DEMO__FULL__INIT;

	detail.place = (char *)place;
	detail.limit = limit;
	hawser_call_add_detail(call, &detail.base);
	demo_places_notes_fail(call, HAWSER_RESOURCE_EXHAUSTED,
			       "there are %u notes%s%s, and no more may be", limit,
			       *place ? " at " : "", place);
}

/* Keeps a note, as the last in the book. Returns whether it could; if not, the call has failed. */
static bool keep(struct hawser_call *call, struct service *service, uint32_t place,
		 const char *text)
{
	switch (guestbook_add(&service->book, place, text)) {
	case 0:
		return true;
	case -EDQUOT:
		fail_full(call, service->places->places[place].name,
			  service->limits.notes_at_place);
		return false;
	case -ENOSPC:
		fail_full(call, "", service->limits.notes);
		return false;
	default:
		demo_places_notes_fail(call, HAWSER_RESOURCE_EXHAUSTED, "out of memory");
		return false;
	}
}

/* What was left there before waits for a visitor that has not been there yet. */
static void enter(struct visitor *visitor, uint32_t place)
{
	const struct guestbook *book = &visitor->service->book;

	if (visitor->has_visited[place])
		return;
	visitor->has_visited[place] = true;
	for (uint32_t number = 0; number < book->n; number++) {
		if (book->notes[number].place == place)
			add_waiting(visitor, number);
	}
}

void service_notes(struct hawser_call *call, const Demo__Note *note_or_null, void *data)
{
	struct service *service = data;
	struct visitor *visitor = visitor_of(call, service);
	const struct place *place;
	uint32_t number;

	if (!visitor)
		return;
	/* Here nothing waits, or nothing would have been taken. */
	if (!note_or_null) {
		hawser_call_end(call);
		return;
	}
	place = place_of(call, service, note_or_null);
	if (!place)
		return;
	number = (uint32_t)(place - service->places->places);
	enter(visitor, number);
	if (!keep(call, service, number, note_or_null->text))
		return;
	tell_others(visitor, service->book.n - 1);
	send_waiting(call, visitor);
}
