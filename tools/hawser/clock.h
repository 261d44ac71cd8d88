/* The clock that everything is measured with. */

#ifndef HAWSER_TOOL_CLOCK_H
#define HAWSER_TOOL_CLOCK_H

#include <stdint.h>
#include <time.h>

/** Nanoseconds on a clock that never jumps. */
static inline uint64_t clock_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif /* HAWSER_TOOL_CLOCK_H */
