/* The clock that is told the time; clock.h says what for. */

#include "clock.h"
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ms = 1000 * 1000;
static uint64_t state;

void clock_begin(void)
{
	state = 88172645463325252u;
}

void clock_pass(uint64_t ms)
{
	now_ms += ms;
}

/* libFuzzer's time is another one. */
int clock_gettime(clockid_t id, struct timespec *now)
{
	if (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE)
		return (int)syscall(SYS_clock_gettime, id, now);
	now->tv_sec = (time_t)(now_ms / 1000);
	now->tv_nsec = (long)(now_ms % 1000 * 1000000);
	return 0;
}

/* Marsaglia, "Xorshift RNGs" (2003). */
ssize_t getrandom(void *buffer, size_t length, unsigned flags)
{
	uint8_t *at = buffer;

	(void)flags;
	for (size_t i = 0; i < length; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		at[i] = (uint8_t)(state >> 32);
	}
	return (ssize_t)length;
}
