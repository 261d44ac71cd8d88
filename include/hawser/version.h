/* The version of Hawser, for the preprocessor and at run time. */

#ifndef HAWSER_VERSION_H
#define HAWSER_VERSION_H

#include <hawser/common.h>

#define HAWSER_VERSION_MAJOR 0
#define HAWSER_VERSION_MINOR 1
#define HAWSER_VERSION_PATCH 0
#define HAWSER_VERSION "0.1.0"

/** The same as one number that only grows: 0x00MMmmpp. */
#define HAWSER_VERSION_NUMBER 0x000100

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The version of the library that runs, which may be newer than the header
 * that was compiled against: "0.1.0". Static; any thread.
 */
HAWSER_EXPORT const char *hawser_version(void);

#ifdef __cplusplus
}
#endif

#endif /* HAWSER_VERSION_H */
