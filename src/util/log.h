/* What the library says: log lines and trace lines (hawser/log.h is the user's side). */

#ifndef HAWSER_UTIL_LOG_H
#define HAWSER_UTIL_LOG_H

#include <hawser/log.h>

/** Formats and emits a line; cheap when the level is below the threshold. Any thread. */
void hawser__log(enum hawser_log_level level, const char *format, ...) HAWSER_PRINTF(2, 3);
/** Whether a line of that level would be emitted. */
bool hawser__log_enabled(enum hawser_log_level level);

/** Whether connections opened now are to be traced. */
bool hawser__trace_enabled(void);
size_t hawser__trace_max_message_bytes(void);
/** Emits a finished trace line. Any thread. */
void hawser__trace_emit(const char *line);

#endif /* HAWSER_UTIL_LOG_H */
