/* The runtime that generated code is linked with here: it does nothing but note
 * what it was asked, so that each stub is seen to ask for the right thing. */

#ifndef TEST_GEN_RUNTIME_H
#define TEST_GEN_RUNTIME_H

#include <hawser/hawser.h>

/** The last thing that generated code asked of the runtime. */
struct asked {
	const char *function; /**< "hawser_client_call" */
	const void *object;   /**< the call, client or server */
	const struct hawser_method *method;
	const struct hawser_service *service;
	const void *message;
	const void *handlers;
	hawser_any_fn *callback;
	void *data;
	const void *context; /**< or the hawser_error */
	enum hawser_status status;
	char text[64];
};

extern struct asked asked;

/** What the runtime answers: a status, a message, a number. */
extern enum hawser_status answer_status;
extern ProtobufCMessage *answer_message;
extern int answer_number;

#endif
