/* Virtual time: what is to happen, and when.
 *
 * Nothing waits. The clock jumps from one event to the next, so that a silence of thirty
 * seconds costs as much as one of a microsecond. What is due at the same time happens in the
 * order in which it was set, or a seed would not always mean the same run. */

#ifndef HAWSER_TESTS_SIM_AGENDA_H
#define HAWSER_TESTS_SIM_AGENDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Part of whatever waits for it. */
struct timer {
	void (*fire)(void *owner);
	void *owner;
	size_t place; /* 0: not set */
};

struct appointment {
	uint64_t due_us, order;
	struct timer *timer;
};

/** A zeroed struct is an empty agenda at time 0. */
struct agenda {
	struct appointment *heap; /* from 1 on */
	size_t count, room;
	uint64_t now_us, order;
};

void agenda_deinit(struct agenda *agenda);

void timer_init(struct timer *timer, void (*fire)(void *owner), void *owner);
static inline bool timer_is_set(const struct timer *timer)
{
	return timer->place != 0;
}

/** Fires so much later than now; a timer that was set is set anew. */
void agenda_set(struct agenda *agenda, struct timer *timer, uint64_t delay_us);
void agenda_clear(struct agenda *agenda, struct timer *timer);
/** Jumps to the next event and lets it happen; false: there is none. */
bool agenda_step(struct agenda *agenda);

#endif /* HAWSER_TESTS_SIM_AGENDA_H */
