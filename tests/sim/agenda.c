/* A binary heap of appointments; agenda.h says what for. */

#include "agenda.h"

#include "report.h"
#include <stdlib.h>

void agenda_deinit(struct agenda *agenda)
{
	free(agenda->heap);
	*agenda = (struct agenda){0};
}

void timer_init(struct timer *timer, void (*fire)(void *owner), void *owner)
{
	*timer = (struct timer){fire, owner, 0};
}

static bool is_before(const struct appointment *a, const struct appointment *b)
{
	return a->due_us < b->due_us || (a->due_us == b->due_us && a->order < b->order);
}

static void put(struct agenda *agenda, size_t place, struct appointment appointment)
{
	agenda->heap[place] = appointment;
	appointment.timer->place = place;
}

static void rise(struct agenda *agenda, size_t place, struct appointment appointment)
{
	while (place > 1 && is_before(&appointment, &agenda->heap[place / 2])) {
		put(agenda, place, agenda->heap[place / 2]);
		place /= 2;
	}
	put(agenda, place, appointment);
}

static void sink(struct agenda *agenda, size_t place, struct appointment appointment)
{
	for (;;) {
		size_t child = 2 * place;

		if (child > agenda->count)
			break;
		if (child < agenda->count &&
		    is_before(&agenda->heap[child + 1], &agenda->heap[child]))
			child++;
		if (!is_before(&agenda->heap[child], &appointment))
			break;
		put(agenda, place, agenda->heap[child]);
		place = child;
	}
	put(agenda, place, appointment);
}

void agenda_clear(struct agenda *agenda, struct timer *timer)
{
	size_t place = timer->place;
	struct appointment last;

	if (!place)
		return;
	timer->place = 0;
	last = agenda->heap[agenda->count--];
	if (last.timer == timer)
		return;
	if (place > 1 && is_before(&last, &agenda->heap[place / 2]))
		rise(agenda, place, last);
	else
		sink(agenda, place, last);
}

void agenda_set(struct agenda *agenda, struct timer *timer, uint64_t delay_us)
{
	struct appointment appointment = {agenda->now_us + delay_us, ++agenda->order, timer};

	agenda_clear(agenda, timer);
	if (agenda->count + 1 >= agenda->room) {
		agenda->room = agenda->room ? 2 * agenda->room : 64;
		agenda->heap = realloc(agenda->heap, agenda->room * sizeof *agenda->heap);
		must(agenda->heap, "out of memory");
	}
	rise(agenda, ++agenda->count, appointment);
}

bool agenda_step(struct agenda *agenda)
{
	struct timer *timer;

	if (!agenda->count)
		return false;
	timer = agenda->heap[1].timer;
	agenda->now_us = agenda->heap[1].due_us;
	agenda_clear(agenda, timer);
	timer->fire(timer->owner);
	return true;
}
