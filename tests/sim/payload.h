/* What requests, replies and messages consist of: bytes that follow from the call's number and from
 * the place where they belong, so that each can be told from any other. */

#ifndef HAWSER_TESTS_SIM_PAYLOAD_H
#define HAWSER_TESTS_SIM_PAYLOAD_H

#include "chance.h"
#include <stddef.h>
#include <stdint.h>

struct call;

/** What a payload is part of. */
enum part { REQUEST = 1, REPLY, MESSAGE_DOWN, MESSAGE_UP };

enum {
	/* A request says which call it is of. */
	REQUEST_LEAST = 8,
	/* No payload is longer, but for requests that are too long. */
	PAYLOAD_MOST = 400 * 1024,
};

/** A length; `is_large`: perhaps of many pieces. */
size_t payload_some_length(struct chance *chance, bool is_large);

size_t payload_bytes(const struct call *call, enum part part, unsigned index);
void payload_fill(uint8_t *payload, const struct call *call, enum part part, unsigned index);
/** Fails unless every byte of what begins at byte `at` of it is as it was filled in. */
void payload_check(const uint8_t *piece, size_t length, size_t at, const struct call *call,
		   enum part part, unsigned index);

#endif /* HAWSER_TESTS_SIM_PAYLOAD_H */
