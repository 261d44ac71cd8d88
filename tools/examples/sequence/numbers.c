/* SplitMix64, and FNV-1a with 64 bits. */

#include "numbers.h"

#define GOLDEN_GAMMA 0x9e3779b97f4a7c15
#define FNV_PRIME 0x00000100000001b3

/* A permutation: different input, different output. */
static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

uint64_t numbers_seed(uint64_t secret, uint64_t client_id)
{
	return mix(secret ^ client_id);
}

uint32_t numbers_at(uint64_t seed, uint32_t index)
{
	return (uint32_t)(mix(seed + (index + UINT64_C(1)) * GOLDEN_GAMMA) >> 32);
}

uint64_t checksum_add(uint64_t checksum, uint32_t number)
{
	for (unsigned shift = 0; shift < 32; shift += 8)
		checksum = (checksum ^ (number >> shift & 0xff)) * FNV_PRIME;
	return checksum;
}
