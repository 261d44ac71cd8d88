/* Log and trace lines, kept so that a test can wait for one. */

#ifndef HAWSER_TESTS_RPC_LINES_H
#define HAWSER_TESTS_RPC_LINES_H

#include <hawser/log.h>

/** Keeps log lines from this level on. */
void lines_start(enum hawser_log_level level);
/** Keeps trace lines. */
void lines_start_trace(size_t max_message_bytes);
/** Back to stderr. */
void lines_stop(void);

/** Waits until a line has that part, since the start. */
void lines_wait(const char *part);
/** The `n`th line (from 0) that has both parts, or NULL. Borrowed until the next start. */
const char *lines_find(const char *part, const char *other, unsigned n);
/** How many lines have that part. */
unsigned lines_count(const char *part);

#endif /* HAWSER_TESTS_RPC_LINES_H */
