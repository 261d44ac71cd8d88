/* Random numbers that can be repeated.
 *
 * The seed is fixed, so that a failure is there again in the next run;
 * HAWSER_TEST_SEED takes another number, or "random". The suite prints it. */

#ifndef HAWSER_TESTS_RANDOM_H
#define HAWSER_TESTS_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The seed of this run. */
uint64_t random_seed(void);
/** Starts the sequence again; suite_case() does so before each test. */
void random_restart(void);

uint64_t random_next(void);
/** From 0 to below - 1; `below` is not 0. */
uint64_t random_below(uint64_t below);
/** True once in `n` times. */
bool random_one_in(uint64_t n);
void random_fill(void *bytes, size_t length);

#endif /* HAWSER_TESTS_RANDOM_H */
