/* The two programs at Hawser's end of a conversation: handlers behind a server, and an application
 * on an asynchronous client. What they do is told by the input, some of it in the messages.
 *
 * They check what they are given: each message once, in order and whole, an end once and
 * nothing behind it, and that nothing is left when the conversation is over. */

#ifndef HAWSER_TESTS_FUZZ_SERVICE_H
#define HAWSER_TESTS_FUZZ_SERVICE_H

#include <hawser/hawser.h>
#include <stdbool.h>
#include <stdint.h>

enum method {
	UNARY,
	CLIENT_STREAM,
	SERVER_STREAM,
	BIDI,
	UNARY_RAW,
	CLIENT_STREAM_RAW,
	BIDI_RAW,
	LIMITED, /* unary, idempotent */
	METHODS,
};

enum {
	LIMITED_REQUEST_BYTES = 5000,
	LIMITED_REPLY_BYTES = 500,
};

extern const struct hawser_service conversation_service;
static inline const struct hawser_method *method_at(unsigned index)
{
	return &conversation_service.methods[index % METHODS];
}
static inline bool streams_requests(const struct hawser_method *method)
{
	return method->kind & HAWSER_CLIENT_STREAM;
}
static inline bool streams_replies(const struct hawser_method *method)
{
	return method->kind & HAWSER_SERVER_STREAM;
}

/** What comes is the peer's to spoil: it is not checked. */
extern bool service_is_lenient;

void service_begin(void);
void service_register(struct hawser_server *server);
/** Everything that was begun has ended, and everything that was lent has come back. */
void service_check_nothing_left(void);

/* ---- handlers ---- */

/** Does something to one of the calls that the handlers have, or have had. */
void service_act(uint8_t which, uint8_t action, uint8_t size);
/** Answers all of them. */
void service_answer_all(void);

/* ---- the application ---- */

void application_call(struct hawser_client *client, uint8_t method, uint8_t size, uint8_t order,
		      uint64_t timeout_ms);
void application_act(uint8_t which, uint8_t action, uint8_t size);
/** Says its last on all streams. */
void application_end_all(void);
/** Whether each call has ended. */
bool application_is_done(void);
/** Frees all calls. */
void application_free_all(void);

#endif /* HAWSER_TESTS_FUZZ_SERVICE_H */
