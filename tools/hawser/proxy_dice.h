/* Chance that can be had again: the same seed throws the same numbers.
 *
 * The generator is SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom
 * Number Generators", 2014). What makes it right here is that any number will do
 * as a start: each purpose of each connection gets dice of its own, so that how
 * many bytes came, and when, cannot change what another purpose throws. */

#ifndef HAWSER_TOOL_PROXY_DICE_H
#define HAWSER_TOOL_PROXY_DICE_H

#include <stdint.h>

struct dice {
	uint64_t state;
};

static inline uint64_t dice_throw(struct dice *dice)
{
	uint64_t z = dice->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/** Starts the dice of one purpose of one connection. */
static inline void dice_init(struct dice *dice, uint64_t seed, uint64_t connection,
			     uint64_t purpose)
{
	dice->state = seed;
	dice->state = dice_throw(dice) ^ connection;
	dice->state = dice_throw(dice) ^ purpose;
}

/** A number below `n`, which must not be 0. */
static inline uint64_t dice_below(struct dice *dice, uint64_t n)
{
	return dice_throw(dice) % n; /* nobody sees the bias of a modulus so small */
}

/** A number from half of `mean` to one and a half of it, each as likely. */
static inline uint64_t dice_around(struct dice *dice, uint64_t mean)
{
	return mean / 2 + dice_below(dice, mean + 1);
}

/** A fraction above 0, up to 1. */
static inline double dice_fraction(struct dice *dice)
{
	return (double)((dice_throw(dice) >> 11) + 1) / 9007199254740992.0; /* 2^53 */
}

#endif /* HAWSER_TOOL_PROXY_DICE_H */
