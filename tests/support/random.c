/* SplitMix64 (Steele, Lea and Flood, 2014): one word of state, good enough for tests. */

#include "support/random.h"
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static uint64_t seed, state;
static bool seeded;

uint64_t random_seed(void)
{
	const char *value = getenv("HAWSER_TEST_SEED");

	if (seeded)
		return seed;
	seeded = true;
	seed = 1;
	if (value && !strcmp(value, "random")) {
		if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
			seed = 2;
	} else if (value) {
		seed = strtoull(value, NULL, 0);
	}
	return seed;
}

void random_restart(void)
{
	state = random_seed();
}

uint64_t random_next(void)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t random_below(uint64_t below)
{
	return random_next() % below;
}

bool random_one_in(uint64_t n)
{
	return random_below(n) == 0;
}

void random_fill(void *bytes, size_t length)
{
	uint8_t *at = bytes;

	for (size_t i = 0; i < length; i++)
		at[i] = (uint8_t)random_next();
}
