/* What a run says: the one failure that ends the program, with the command that brings it
 * back, and, if asked for, everything that happens on the way there. */

#ifndef HAWSER_TESTS_SIM_REPORT_H
#define HAWSER_TESTS_SIM_REPORT_H

#include <stdbool.h>
#include <stdint.h>

extern bool report_is_verbose;

/** From now on a run with this seed is reported, by its own clock. */
void report_begin(uint64_t seed, const uint64_t *now_us);

/** Says what is wrong and how to see it again, and ends the program. */
__attribute__((format(printf, 1, 2), noreturn)) void report_failure(const char *format, ...);
__attribute__((format(printf, 1, 2))) void report_line(const char *format, ...);

#define must(condition, ...)                         \
	do {                                         \
		if (!(condition))                    \
			report_failure(__VA_ARGS__); \
	} while (0)

#define trace(...)                                \
	do {                                      \
		if (report_is_verbose)            \
			report_line(__VA_ARGS__); \
	} while (0)

#endif /* HAWSER_TESTS_SIM_REPORT_H */
