/* Lets every allocation of a scenario fail in turn.
 *
 *     static bool insert_one(void *data)
 *     {
 *             struct hawser__map map = {0};
 *             int r = hawser__map_insert(&map, 1, data);
 *
 *             hawser__map_deinit(&map);
 *             return r == 0;
 *     }
 *
 *     ck_assert_uint_gt(failing_alloc_each(insert_one, &value), 0);
 *
 * The scenario runs again and again, first with its first allocation failing,
 * then with its second, until it comes through without a failure. It must each
 * time clean up after itself: the leak checkers see to that. */

#ifndef HAWSER_TESTS_FAILING_ALLOC_H
#define HAWSER_TESTS_FAILING_ALLOC_H

#include <stdbool.h>

/** Returns whether it succeeded in full; checks whatever else must hold on failure. */
typedef bool scenario_fn(void *data);

/**
 * Runs the scenario with allocation 1, 2, 3 … failing until none did, which must
 * be a success. A run in which one failed may still succeed (the code did
 * without). Returns how many allocations were made to fail. Not for two threads at once.
 */
unsigned failing_alloc_each(scenario_fn *scenario, void *data);

/** Lets the allocation after `passing` more ones fail, once; for tests of one place. */
void failing_alloc_after(unsigned passing);
/** Takes that back; returns whether it was reached. */
bool failing_alloc_stop(void);

#endif /* HAWSER_TESTS_FAILING_ALLOC_H */
