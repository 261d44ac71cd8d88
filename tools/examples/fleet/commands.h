/* What central can be told by a line, and how it tells what happens. */

#ifndef COMMANDS_H
#define COMMANDS_H

#include <hawser/hawser.h>

struct central {
	struct hawser_server *server;
	struct hawser_hub *hub;
	unsigned timeout_ms; /* for an answer */
	unsigned at_once;    /* calls in flight when many are called */
};

/** Does what a line says; answers on stdout, at once or later. The line is changed. */
void command_run(struct central *central, char *line);

/** Prints "WHAT NAME: TEXT", or "WHAT NAME" if the text is empty. */
void tell(const char *what, struct hawser_peer *peer, const char *text);

#endif /* COMMANDS_H */
