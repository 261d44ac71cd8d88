/* What every public header needs: visibility and compiler hints. */

#ifndef HAWSER_COMMON_H
#define HAWSER_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define HAWSER_EXPORT __attribute__((visibility("default")))
#define HAWSER_PRINTF(at, first) __attribute__((__format__(__printf__, at, first)))
#define HAWSER_DEPRECATED __attribute__((deprecated))
#else
#define HAWSER_EXPORT
#define HAWSER_PRINTF(at, first)
#define HAWSER_DEPRECATED
#endif

#endif /* HAWSER_COMMON_H */
