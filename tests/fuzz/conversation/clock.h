/* Time and chance of a conversation: both are the input's.
 *
 * The clock stands until it is told that time passes, and what getrandom(2) gives is always the
 * same, so that an input that was once found does the same again. The program's own functions
 * take the place of the C library's, for libevent as well. */

#ifndef HAWSER_TESTS_FUZZ_CLOCK_H
#define HAWSER_TESTS_FUZZ_CLOCK_H

#include <stdint.h>

/** Another conversation begins; chance begins anew, time goes on. */
void clock_begin(void);
void clock_pass(uint64_t ms);

#endif /* HAWSER_TESTS_FUZZ_CLOCK_H */
