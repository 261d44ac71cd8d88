/* What every Check suite of Hawser has in common.
 *
 * Each test starts with the same random numbers, whatever ran before it, and
 * must close every descriptor that it opened. Works forked and, with CK_FORK=no,
 * in one process, as valgrind and the sanitizers want it. */

#ifndef HAWSER_TESTS_SUITE_H
#define HAWSER_TESTS_SUITE_H

#include <check.h>

/**
 * ck_assert() for the inside of long loops: Check notes each of its own in a file,
 * this one nothing until it fails.
 */
#define quick_assert(condition)                                       \
	do {                                                          \
		if (!(condition))                                     \
			ck_abort_msg("%s does not hold", #condition); \
	} while (0)

/** A case whose tests are checked for leaked descriptors; add tests with tcase_add_test(). */
TCase *suite_case(Suite *suite, const char *name);

/** Runs the suite and frees it; returns main's exit status. */
int suite_run(Suite *suite);

/**
 * How often a random test is to be repeated: `rounds`, or less when
 * HAWSER_TEST_DIVISOR says that this run is slow (valgrind). Never 0.
 */
unsigned long suite_rounds(unsigned long rounds);

#endif /* HAWSER_TESTS_SUITE_H */
