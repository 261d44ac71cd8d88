/* The hook that refuses one allocation; failing_alloc.h shows its use. */

#include "support/failing_alloc.h"
#include "util/alloc.h"
#include <check.h>
#include <stdatomic.h>

enum { MOST_ALLOCATIONS = 100000 };

/* Atomic, because a scenario may have threads. */
static atomic_int passing_left;

static bool let_pass(size_t size)
{
	return atomic_fetch_sub(&passing_left, 1) != 0;
}

void failing_alloc_after(unsigned passing)
{
	atomic_store(&passing_left, (int)passing);
	hawser__alloc_hook = let_pass;
}

bool failing_alloc_stop(void)
{
	hawser__alloc_hook = NULL;
	return atomic_load(&passing_left) < 0;
}

unsigned failing_alloc_each(scenario_fn *scenario, void *data)
{
	for (unsigned n = 0; n < MOST_ALLOCATIONS; n++) {
		bool success;

		failing_alloc_after(n);
		success = scenario(data);
		if (!failing_alloc_stop()) {
			ck_assert_msg(success, "the scenario fails although no allocation failed");
			return n;
		}
	}
	ck_abort_msg("the scenario still fails with allocation %d", MOST_ALLOCATIONS);
	return 0;
}
