/* What the library says while it works: log lines and the frame trace.
 *
 * Both are per process. The defaults need no call: warnings and errors go to
 * stderr; HAWSER_LOG=debug|info|warning|error|none in the environment sets the
 * level, HAWSER_TRACE=1 switches the trace on. */

#ifndef HAWSER_LOG_H
#define HAWSER_LOG_H

#include <hawser/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How important a log line is. */
enum hawser_log_level {
	HAWSER_LOG_DEBUG = 0,
	HAWSER_LOG_INFO = 1,
	HAWSER_LOG_WARNING = 2,
	HAWSER_LOG_ERROR = 3,
	HAWSER_LOG_NONE = 4, /**< only as a threshold: nothing is logged */
};

/**
 * Receives each log line at or above the level, without a newline; it names
 * the connection it is about ("tcp:10.0.0.7:51200: closed: idle for 60 s").
 * Runs on whichever thread has something to say, never twice at once; `line`
 * is borrowed. It may not call into the library.
 */
typedef void hawser_log_fn(enum hawser_log_level level, const char *line, void *data);

/** Sends log lines to `sink`; NULL: back to stderr. Any thread. `data` must outlive its use. */
HAWSER_EXPORT void hawser_log_set_sink(hawser_log_fn *sink, void *data);

/** Sets the least important level that is still logged; default HAWSER_LOG_WARNING. Any thread. */
HAWSER_EXPORT void hawser_log_set_level(enum hawser_log_level level);

/** "debug", "info", "warning", "error" or "none". Static; any thread. */
HAWSER_EXPORT const char *hawser_log_level_name(enum hawser_log_level level);

/** The level of that name, or -1. Any thread. */
HAWSER_EXPORT int hawser_log_level_parse(const char *name);

/**
 * Switches the trace of frames on or off, for connections opened afterwards.
 * Each frame that either end sends or receives becomes one line on the trace
 * sink: time, direction, peer, call, method, and the message as JSON, cut after
 * `max_message_bytes` (0: the default, 512). Credentials, and fields that the
 * .proto marks with (hawser.secret), are masked. Any thread.
 */
HAWSER_EXPORT void hawser_trace_enable(bool on, size_t max_message_bytes);

/** Receives each trace line, without a newline. Thread and lifetime as for hawser_log_fn. */
typedef void hawser_trace_fn(const char *line, void *data);

/** Sends trace lines to `sink`; NULL: back to stderr. Any thread. */
HAWSER_EXPORT void hawser_trace_set_sink(hawser_trace_fn *sink, void *data);

#ifdef __cplusplus
}
#endif

#endif /* HAWSER_LOG_H */
