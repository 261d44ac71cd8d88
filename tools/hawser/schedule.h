/* When the calls of an open loop are meant to be sent.
 *
 * Call k is due at start + k / rate, whatever became of the calls before it: a
 * server that stalls does not stop the clock, and the calls that had to wait
 * count from when they were due. Measuring from when they could at last be sent
 * would leave the worst latencies out ("coordinated omission"). */

#ifndef HAWSER_TOOL_SCHEDULE_H
#define HAWSER_TOOL_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

struct schedule {
	uint64_t start_ns, end_ns; /* none is due at the end or later */
	double interval_ns;
	uint64_t taken;
};

static inline void schedule_init(struct schedule *schedule, uint64_t start_ns, uint64_t end_ns,
				 double calls_per_s)
{
	schedule->start_ns = start_ns;
	schedule->end_ns = end_ns;
	schedule->interval_ns = 1e9 / calls_per_s;
	schedule->taken = 0;
}

/** When call number `k` is due. */
static inline uint64_t schedule_due_ns(const struct schedule *schedule, uint64_t k)
{
	return schedule->start_ns + (uint64_t)((double)k * schedule->interval_ns);
}

/** When the next call is due. */
static inline uint64_t schedule_next_ns(const struct schedule *schedule)
{
	return schedule_due_ns(schedule, schedule->taken);
}

/** Takes the next call if it is due at `now_ns`; says when it was. */
static inline bool schedule_take(struct schedule *schedule, uint64_t now_ns, uint64_t *due_ns)
{
	uint64_t next_ns = schedule_next_ns(schedule);

	if (next_ns > now_ns || next_ns >= schedule->end_ns)
		return false;
	schedule->taken++;
	*due_ns = next_ns;
	return true;
}

/** How many calls were due before `now_ns` and have not been taken. */
static inline uint64_t schedule_behind(const struct schedule *schedule, uint64_t now_ns)
{
	uint64_t until_ns = now_ns < schedule->end_ns ? now_ns : schedule->end_ns;
	uint64_t due;

	if (schedule_next_ns(schedule) >= until_ns)
		return 0;
	/* The division may be off by one; the due times decide. */
	due = (uint64_t)((double)(until_ns - schedule->start_ns) / schedule->interval_ns);
	while (schedule_due_ns(schedule, due) < until_ns)
		due++;
	while (due > schedule->taken && schedule_due_ns(schedule, due - 1) >= until_ns)
		due--;
	return due - schedule->taken;
}

#endif /* HAWSER_TOOL_SCHEDULE_H */
