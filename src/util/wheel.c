/* The timing wheel; wheel.h says what it promises.
 *
 * A timer hangs in the slot of its tick modulo the number of slots, whichever
 * turn of the wheel it is due in. When time passes a slot, the timers there that
 * are due move to the list of what is due, so that a slot is searched once and
 * not once per timer. */

#include "util/wheel.h"

enum { WORD_BITS = 64 };

static uint64_t tick_of(uint64_t ms)
{
	return ms / HAWSER__WHEEL_TICK_MS;
}

static struct hawser__timer *timer_of(struct hawser__list *link)
{
	return hawser__container_of(link, struct hawser__timer, link);
}

static void mark(struct hawser__wheel *wheel, unsigned slot)
{
	wheel->occupied[slot / WORD_BITS] |= UINT64_C(1) << slot % WORD_BITS;
}

static void unmark_if_empty(struct hawser__wheel *wheel, unsigned slot)
{
	if (hawser__list_empty(&wheel->slots[slot]))
		wheel->occupied[slot / WORD_BITS] &= ~(UINT64_C(1) << slot % WORD_BITS);
}

/* How many ticks after `tick` the next slot with timers follows, 0 for its own
 * slot; HAWSER__WHEEL_SLOTS when there is none. */
static unsigned distance_to_occupied(const struct hawser__wheel *wheel, uint64_t tick)
{
	unsigned from = (unsigned)(tick % HAWSER__WHEEL_SLOTS), distance = 0;

	while (distance < HAWSER__WHEEL_SLOTS) {
		unsigned slot = (from + distance) % HAWSER__WHEEL_SLOTS;
		uint64_t word = wheel->occupied[slot / WORD_BITS] >> slot % WORD_BITS;

		if (word) {
			distance += (unsigned)__builtin_ctzll(word);
			break;
		}
		distance += WORD_BITS - slot % WORD_BITS;
	}
	return distance < HAWSER__WHEEL_SLOTS ? distance : HAWSER__WHEEL_SLOTS;
}

void hawser__wheel_init(struct hawser__wheel *wheel, uint64_t now_ms)
{
	*wheel = (struct hawser__wheel){.now_tick = tick_of(now_ms)};
	hawser__list_init(&wheel->due);
	for (unsigned i = 0; i < HAWSER__WHEEL_SLOTS; i++)
		hawser__list_init(&wheel->slots[i]);
}

void hawser__timer_init(struct hawser__timer *timer)
{
	hawser__list_init(&timer->link);
	timer->due_ms = 0;
}

void hawser__wheel_set(struct hawser__wheel *wheel, struct hawser__timer *timer, uint64_t due_ms)
{
	uint64_t first_ms = wheel->now_tick * HAWSER__WHEEL_TICK_MS;
	unsigned slot;

	hawser__wheel_clear(wheel, timer);
	/* The slots behind us are passed only after a turn. */
	timer->due_ms = due_ms > first_ms ? due_ms : first_ms;
	slot = (unsigned)(tick_of(timer->due_ms) % HAWSER__WHEEL_SLOTS);
	hawser__list_append(&wheel->slots[slot], &timer->link);
	mark(wheel, slot);
	wheel->count++;
}

void hawser__wheel_clear(struct hawser__wheel *wheel, struct hawser__timer *timer)
{
	if (!hawser__timer_is_set(timer))
		return;
	hawser__list_unlink(&timer->link);
	unmark_if_empty(wheel, (unsigned)(tick_of(timer->due_ms) % HAWSER__WHEEL_SLOTS));
	wheel->count--;
}

/* Moves what is due in one slot to the list of what is due. */
static void collect(struct hawser__wheel *wheel, unsigned slot, uint64_t now_ms)
{
	struct hawser__list *link, *following;

	list_for_each_safe (link, following, &wheel->slots[slot])
		if (timer_of(link)->due_ms <= now_ms)
			hawser__list_move(&wheel->due, link);
	unmark_if_empty(wheel, slot);
}

struct hawser__timer *hawser__wheel_due(struct hawser__wheel *wheel, uint64_t now_ms)
{
	struct hawser__timer *timer;

	if (hawser__list_empty(&wheel->due)) {
		uint64_t last = tick_of(now_ms), tick = wheel->now_tick;

		if (last < tick)
			return NULL;
		/* More than a turn at once still passes every slot only once. */
		if (last - tick >= HAWSER__WHEEL_SLOTS)
			tick = last - HAWSER__WHEEL_SLOTS + 1;
		for (;;) {
			unsigned distance = distance_to_occupied(wheel, tick);

			if (distance > last - tick)
				break;
			tick += distance;
			collect(wheel, (unsigned)(tick % HAWSER__WHEEL_SLOTS), now_ms);
			if (tick++ == last)
				break;
		}
		wheel->now_tick = last;
		if (hawser__list_empty(&wheel->due))
			return NULL;
	}
	timer = timer_of(wheel->due.next);
	hawser__list_unlink(&timer->link);
	wheel->count--;
	return timer;
}

uint64_t hawser__wheel_next_ms(const struct hawser__wheel *wheel)
{
	uint64_t end = wheel->now_tick + HAWSER__WHEEL_SLOTS, earliest = UINT64_MAX;

	if (!hawser__list_empty(&wheel->due))
		return timer_of(wheel->due.next)->due_ms;
	if (!wheel->count)
		return UINT64_MAX;
	for (uint64_t tick = wheel->now_tick; tick < end; tick++) {
		const struct hawser__list *slot;
		struct hawser__list *link;

		tick += distance_to_occupied(wheel, tick);
		if (tick >= end)
			break;
		slot = &wheel->slots[tick % HAWSER__WHEEL_SLOTS];
		list_for_each (link, slot)
			if (timer_of(link)->due_ms < earliest)
				earliest = timer_of(link)->due_ms;
		/* What is due in this turn comes before all that hangs further on. */
		if (tick_of(earliest) <= tick)
			break;
	}
	return earliest;
}
