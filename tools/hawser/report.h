/* What `hawser bench` says in the end: a table for people, JSON for programs. */

#ifndef HAWSER_TOOL_REPORT_H
#define HAWSER_TOOL_REPORT_H

#include "load.h"

/** Writes 1234567 as "1,234,567". Returns `buffer`. */
const char *report_count(char *buffer, size_t size, double count);

/** Writes nanoseconds as "88.2 us", "3.41 ms" or "1.20 s". Returns `buffer`. */
const char *report_duration(char *buffer, size_t size, double ns);

/** Prints the table on stdout. */
void report_table(const struct load_options *options, const struct load_result *result);

/** Prints one JSON object on one line on stdout; its members are listed in hawser-bench(1). */
void report_json(const struct load_options *options, const struct load_result *result);

#endif /* HAWSER_TOOL_REPORT_H */
