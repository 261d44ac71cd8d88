/* What the fuzz targets share.
 *
 * A target is one function that takes any bytes. With clang, libFuzzer drives it
 * (-fsanitize=fuzzer); everywhere, corpus.c runs it over files, so that what was
 * once found stays found. A target checks more than that nothing crashes. */

#ifndef HAWSER_TESTS_FUZZ_H
#define HAWSER_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The name is libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define require(condition)                                                               \
	do {                                                                             \
		if (!(condition)) {                                                      \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, \
				#condition);                                             \
			abort();                                                         \
		}                                                                        \
	} while (0)

#endif /* HAWSER_TESTS_FUZZ_H */
