/* Many deadlines, one timer.
 *
 * A hashed timing wheel (Varghese and Lauck, "Hashed and Hierarchical Timing
 * Wheels", SOSP 1987, scheme 6): setting and clearing a deadline is linking and
 * unlinking. Nearly every deadline is cleared before it is due, so there is no
 * timer per call: the owner asks for the earliest time at which something may
 * be due and arms its one timer for that. Holds no clock: the time comes in. */

#ifndef HAWSER_UTIL_WHEEL_H
#define HAWSER_UTIL_WHEEL_H

#include "util/list.h"
#include <stdbool.h>
#include <stdint.h>

enum {
	HAWSER__WHEEL_SLOTS = 512,
	HAWSER__WHEEL_TICK_MS = 4, /* a deadline is served at most this late */
};

struct hawser__timer {
	struct hawser__list link;
	uint64_t due_ms;
};

struct hawser__wheel {
	struct hawser__list slots[HAWSER__WHEEL_SLOTS];
	uint64_t occupied[HAWSER__WHEEL_SLOTS / 64]; /* a bit per slot: whether it has timers */
	struct hawser__list due; /* taken out of their slots, not yet returned by due() */
	uint64_t now_tick;       /* every slot before this tick has been served */
	size_t count;            /* timers that are set */
};

void hawser__wheel_init(struct hawser__wheel *wheel, uint64_t now_ms);
/** Before the first set. */
void hawser__timer_init(struct hawser__timer *timer);
/** Sets or moves a deadline; one in the past is due at once. */
void hawser__wheel_set(struct hawser__wheel *wheel, struct hawser__timer *timer, uint64_t due_ms);
/** Clears it; harmless when it is not set. */
void hawser__wheel_clear(struct hawser__wheel *wheel, struct hawser__timer *timer);
static inline bool hawser__timer_is_set(const struct hawser__timer *timer)
{
	return !hawser__list_empty(&timer->link);
}
/**
 * The next timer that is due at now_ms, cleared; NULL when no more is. Call it
 * until NULL; the timers may be set and cleared in between. Cost: what is due
 * plus the slots passed since the last time (at most one turn).
 */
struct hawser__timer *hawser__wheel_due(struct hawser__wheel *wheel, uint64_t now_ms);
/**
 * When the next timer is due, or a time in the past when one is due already;
 * UINT64_MAX: none is set. Found in at most one turn of the wheel.
 */
uint64_t hawser__wheel_next_ms(const struct hawser__wheel *wheel);

#endif /* HAWSER_UTIL_WHEEL_H */
