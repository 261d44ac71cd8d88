/* Reaching the server that a subcommand was given. */

#ifndef HAWSER_TOOL_SERVER_H
#define HAWSER_TOOL_SERVER_H

#include "command.h"

/**
 * Connects to `address`, waiting at most `timeout_ms`. Returns EXIT_DONE and a
 * blocking client, the caller's; or the exit code, after saying on stderr what
 * is wrong.
 */
int server_connect(const struct command *command, const char *address, unsigned timeout_ms,
		   struct hawser_client **client);

#endif /* HAWSER_TOOL_SERVER_H */
