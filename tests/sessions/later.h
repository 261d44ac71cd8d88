/* A thread that does things a little later: it answers calls, and sends the items of a
 * stream, while the loop that the calls came on does something else, or its
 * connection is away. */

#ifndef TESTS_SESSIONS_LATER_H
#define TESTS_SESSIONS_LATER_H

#include <stdint.h>

/** Part of what it is about. Runs on the thread; may add itself again. */
struct later {
	struct later *next;
	uint64_t due_ms;
	void (*run)(struct later *later);
};

/** Everything that is added from now on runs after about `delay_ms`. Ends the program on failure.
 */
void later_start(unsigned delay_ms);
/** Any thread. */
void later_add(struct later *later);
/** Runs what is left, at once, and ends the thread. */
void later_stop(void);

#endif /* TESTS_SESSIONS_LATER_H */
