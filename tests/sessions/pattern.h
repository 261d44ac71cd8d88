/* Data that can be told from wrong data: each byte follows from an id and its place.
 *
 * Requests and replies that got mixed up, shifted or cut are found out at once, with
 * nothing kept for comparison. */

#ifndef TESTS_SESSIONS_PATTERN_H
#define TESTS_SESSIONS_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint8_t pattern_byte(uint64_t id, size_t at)
{
	return (uint8_t)((id * UINT64_C(0x9e3779b97f4a7c15) >> 32) + at * 37 + (at >> 8));
}

static inline void pattern_fill(uint64_t id, uint8_t *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
		data[i] = pattern_byte(id, i);
}

static inline bool pattern_is(uint64_t id, const uint8_t *data, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (data[i] != pattern_byte(id, i))
			return false;
	}
	return true;
}

/** The 32-bit FNV-1a hash (RFC 9923). */
static inline uint32_t pattern_checksum(const uint8_t *data, size_t length)
{
	uint32_t hash = 0x811c9dc5;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ data[i]) * 0x01000193;
	return hash;
}

#endif /* TESTS_SESSIONS_PATTERN_H */
