/* Filling a struct hawser_error, and errno as a sentence part. */

#ifndef HAWSER_UTIL_ERROR_H
#define HAWSER_UTIL_ERROR_H

#include <hawser/status.h>

/**
 * Fills an error of a set-up function and returns `code`, a negative errno. The
 * status follows from the code (-ENOMEM: RESOURCE_EXHAUSTED, -EINVAL:
 * INVALID_ARGUMENT, connection errors: UNAVAILABLE, -EPERM: PERMISSION_DENIED …), the outcome is
 * OUTCOME_NOT_SENT. Also sets errno. `error` may be NULL. A text that is too
 * long ends in "…".
 */
int hawser__error_set(struct hawser_error *error, int code, const char *format, ...)
	HAWSER_PRINTF(3, 4);

/** Fills an error of a call. `error` may be NULL. */
void hawser__error_call(struct hawser_error *error, enum hawser_status status,
			enum hawser_outcome outcome, const char *format, ...) HAWSER_PRINTF(4, 5);

/** "address already in use" for -EADDRINUSE or EADDRINUSE; lower case, thread-safe, into `buffer`.
 */
const char *hawser__errno_text(int code, char *buffer, size_t size);

#endif /* HAWSER_UTIL_ERROR_H */
