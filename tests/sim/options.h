/* What the simulators' command lines have in common. */

#ifndef HAWSER_TESTS_SIM_OPTIONS_H
#define HAWSER_TESTS_SIM_OPTIONS_H

#include <stdint.h>

/** The value of --option; ends the program if it is not a whole number from 1 on. */
uint64_t options_number(const char *option, const char *text);
/** `count`, or less when HAWSER_TEST_DIVISOR says that this run is slow. */
uint64_t options_divided(uint64_t count);
/** The real clock. */
double options_seconds(void);

#endif /* HAWSER_TESTS_SIM_OPTIONS_H */
