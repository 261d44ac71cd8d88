/* Where commands come from: standard input, and a socket if one is wanted.
 *
 * Both take lines and answer each, standard input on standard output. The end of
 * standard input ends nothing but itself. */

#ifndef HAWSER_TOOL_PROXY_CONTROL_H
#define HAWSER_TOOL_PROXY_CONTROL_H

#include "proxy.h"

struct control;

/**
 * Takes commands from standard input, and at `address` unless that is NULL. Returns
 * the caller's, or NULL with the reason.
 */
struct control *control_new(struct proxy *proxy, const char *address, struct hawser_error *error);
void control_free(struct control *control);

/**
 * Runs one command. Writes what it has to say, and as the last line "ok" or
 * "error: " and a reason.
 */
void control_run(struct proxy *proxy, char *line, FILE *out);

#endif /* HAWSER_TOOL_PROXY_CONTROL_H */
