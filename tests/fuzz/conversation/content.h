/* Messages that tell what they ought to be.
 *
 * Each is a Payload of tests/rpc/test.proto: its id counts the messages of its direction of its
 * call, its number is the length of its data, and the data follow from the id. So whoever takes one
 * sees whether one before was lost or came twice, and whether the pieces were put together rightly.
 * The text begins with three letters that tell a handler what to do. */

#ifndef HAWSER_TESTS_FUZZ_CONTENT_H
#define HAWSER_TESTS_FUZZ_CONTENT_H

#include "test.pb-c.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum filler {
	FILLER_DATA,  /* most of it is the data */
	FILLER_TEXT,  /* the text */
	FILLER_TWICE, /* the data come twice, and count the second time */
	FILLER_NONE,  /* nothing at all, which is a message, too */
	FILLERS,
};

/** Of the sizes that are worth trying, the one that a byte stands for. */
size_t content_size(uint8_t byte);

/** `order` may be NULL. The message borrows, and is good until the next one. */
const Rpctest__Payload *content_make(uint64_t index, size_t size, const char *order);
/** The same packed, about `size` bytes long; to be freed. */
uint8_t *content_pack(uint64_t index, size_t size, const char *order, enum filler filler,
		      size_t *length);

/** Whether it is message `index`. */
bool content_is(const Rpctest__Payload *payload, uint64_t index);
bool content_is_packed(const uint8_t *packed, size_t length, uint64_t index);

#endif /* HAWSER_TESTS_FUZZ_CONTENT_H */
