/* A message on its way in.
 *
 * A small one is there at once, in its frame. A large one comes in pieces, and is gathered at the
 * place where it stays. If most of it is one bytes field, as in files and images, that
 * place is already the field's own: its bytes are received there, the rest is unpacked
 * around it, and nothing is copied. */

#ifndef HAWSER_RPC_ARRIVAL_H
#define HAWSER_RPC_ARRIVAL_H

#include "util/unpack.h"
#include "wire/frame.h"

struct hawser__loop;

struct hawser__arrival {
	struct hawser__arrival *next; /* in a queue of those that wait to be taken */
	size_t size;                  /* packed, as it was sent */
	size_t received;              /* of that */
	size_t cost;                  /* what it took from the window and was not given back yet */
	const ProtobufCMessageDescriptor *type; /* NULL: is not going to be unpacked */
	struct hawser__loop *loop;              /* where large blocks go; NULL: back to malloc */
	/* The packed message; without the body, in whose place the field is empty. */
	uint8_t *packed;
	size_t length;
	/* The bytes of one large field; NULL: none. */
	uint8_t *body;
	size_t body_length;
	size_t body_begin; /* where it begins in the message … */
	size_t length_at;  /* … behind its length, which begins here … */
	size_t packed_gap; /* … and in `packed`: behind the empty field */
	const ProtobufCFieldDescriptor *field;
	bool is_view; /* of borrowed bytes, and not on the heap: see hawser__arrival_keep() */
	/* A piece that is received where it stays: see connection_io.c. */
	bool is_orphan; /* its call is over, and its memory waits for the receive to end */
	struct hawser__frame frame;
	size_t frame_length;
	uint8_t *at;
	size_t left;
};

/** One of `size` bytes, to be gathered. `type` NULL: it stays packed. `loop`: where its
 * memory goes afterwards (block.h), or NULL. NULL without memory. */
struct hawser__arrival *hawser__arrival_new(struct hawser__loop *loop,
					    const ProtobufCMessageDescriptor *type, size_t size);
/** One that is whole, in the bytes of a frame. */
void hawser__arrival_view(struct hawser__arrival *arrival, const ProtobufCMessageDescriptor *type,
			  const uint8_t *packed, size_t length);
/** The same message on the heap; one that is no view is given as it is. NULL without memory. */
struct hawser__arrival *hawser__arrival_keep(struct hawser__arrival *arrival);
/** NULL is accepted, and so are views, which stay. */
void hawser__arrival_free(struct hawser__arrival *arrival);

static inline bool hawser__arrival_is_whole(const struct hawser__arrival *arrival)
{
	return arrival->received == arrival->size;
}

/** The next bytes of it, no more than are missing. 0 or -ENOMEM. */
int hawser__arrival_add(struct hawser__arrival *arrival, const uint8_t *data, size_t length);
/** Where the next `length` bytes may be received; NULL: nowhere, add them. */
uint8_t *hawser__arrival_place(const struct hawser__arrival *arrival, size_t length);
/** They have been. */
void hawser__arrival_placed(struct hawser__arrival *arrival, size_t length);

/**
 * Unpacks a whole one. In an arena the message borrows from the arrival, which must stay; with NULL
 * it is on its own. NULL and errno as hawser__unpack().
 */
ProtobufCMessage *hawser__arrival_unpack(struct hawser__arrival *arrival,
					 struct hawser__arena *arena);

#endif /* HAWSER_RPC_ARRIVAL_H */
