/* How many allocations are alive. The linker hands every malloc() and free() of the program to
 * heap.c (-Wl,--wrap), so that a run which leaves something behind is found by its seed, not by
 * a leak checker at the end of all. */

#ifndef HAWSER_TESTS_SIM_HEAP_H
#define HAWSER_TESTS_SIM_HEAP_H

#include <stdint.h>

int64_t heap_alive(void);

#endif /* HAWSER_TESTS_SIM_HEAP_H */
