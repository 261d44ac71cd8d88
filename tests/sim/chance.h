/* Random numbers of one run: everything that happens by chance in it comes from here,
 * so that its seed is all that it takes to have it once more. SplitMix64, as in tests/support,
 * but with its state in the run's hands. */

#ifndef HAWSER_TESTS_SIM_CHANCE_H
#define HAWSER_TESTS_SIM_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

struct chance {
	uint64_t state;
};

static inline uint64_t chance_mix(uint64_t z)
{
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static inline uint64_t chance_next(struct chance *chance)
{
	return chance_mix(chance->state += UINT64_C(0x9e3779b97f4a7c15));
}

/** From 0 to below - 1; `below` is not 0 and has at most 32 bits. */
static inline uint64_t chance_below(struct chance *chance, uint64_t below)
{
	return (chance_next(chance) >> 32) * below >> 32;
}

/** From low to high, both included. */
static inline uint64_t chance_between(struct chance *chance, uint64_t low, uint64_t high)
{
	return low + chance_below(chance, high - low + 1);
}

static inline bool chance_percent(struct chance *chance, unsigned percent)
{
	return chance_below(chance, 100) < percent;
}

/** From 1 to `most`: small ones as often as large ones. */
static inline uint64_t chance_scaled(struct chance *chance, uint64_t most)
{
	uint64_t bound = most >> chance_below(chance, 64 - (unsigned)__builtin_clzll(most | 1));

	return 1 + chance_below(chance, bound ? bound : 1);
}

#endif /* HAWSER_TESTS_SIM_CHANCE_H */
