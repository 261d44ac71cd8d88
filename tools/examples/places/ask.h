/* The client's questions: a function for each method, with blocking stubs.
 *
 * What is answered goes to stdout; why it is not, to stderr. Each returns the program's exit
 * status: 0, 1 when the call has failed, 2 when the question makes no sense. */

#ifndef ASK_H
#define ASK_H

#include "places.hawser.h"

#include <stdint.h>

/** timeout_ms is a context's. */
int ask_nearest(struct hawser_client *client, int64_t timeout_ms, const Demo__Point *point);

/** Takes at most so many places. */
int ask_within(struct hawser_client *client, int64_t timeout_ms, const Demo__Rectangle *rectangle,
	       unsigned long most);

/** Stops are names of places, or "LATITUDE,LONGITUDE"; NULL: lines of stdin are. */
int ask_route(struct hawser_client *client, int64_t timeout_ms, char **stops);

/** Lines of stdin are "PLACE TEXT", until its end. Without a timeout it takes for ever. */
int ask_notes(struct hawser_client *client, int64_t timeout_ms);

/** The number that all of the text is; false: it is none. */
bool parse_degrees(const char *text, double *degrees);

/** Says why a call has failed. Returns the exit status. */
int tell_failure(const struct hawser_error *error, const struct hawser_detail *details,
		 size_t n_details);

/** The same for a call that was opened; NULL: it could not be. */
int tell_call(const struct hawser_call *call);

#endif /* ASK_H */
