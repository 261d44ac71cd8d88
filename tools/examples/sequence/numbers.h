/* The numbers of a sequence, and the checksum over them.
 *
 * Both are standard and small, so that a client in another language is soon
 * written. The numbers are SplitMix64's (Steele, Lea and Flood, "Fast Splittable
 * Pseudorandom Number Generators", OOPSLA 2014), the upper half of each. The
 * checksum is the 64-bit FNV-1a hash (RFC 9923).
 *
 * SplitMix64 is a counter behind a function that mixes it. So any number can be had
 * from its index alone, and a number that could not be sent is simply made again. */

#ifndef NUMBERS_H
#define NUMBERS_H

#include <stdint.h>

/** The most numbers that a sequence can have. */
enum { NUMBERS_MOST = 65535 };

/** The checksum of no numbers. */
#define CHECKSUM_INIT 0xcbf29ce484222325

/** What a client's numbers are made from: another seed for each client. */
uint64_t numbers_seed(uint64_t secret, uint64_t client_id);

/** The number at `index`, from 0 on. */
uint32_t numbers_at(uint64_t seed, uint32_t index);

/** The checksum with one number more. */
uint64_t checksum_add(uint64_t checksum, uint32_t number);

#endif /* NUMBERS_H */
