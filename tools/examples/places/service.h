/* demo.Places: the four handlers, and what they share.
 *
 * All of it belongs to one thread, the server's only loop, so there is no lock. */

#ifndef SERVICE_H
#define SERVICE_H

#include "data.h"
#include "guestbook.h"
#include "places.hawser.h"

/** The longest text of a note, in bytes. */
#define NOTE_MOST_BYTES 1000

struct service_limits {
	uint32_t notes;          /**< in all */
	uint32_t notes_at_place; /**< at each place */
	uint32_t waiting;        /**< notes that wait for one visitor; notes_at_place at least */
	uint32_t visitors;       /**< calls of Notes at a time */
};

#define SERVICE_LIMITS_INIT                                                             \
	{                                                                               \
		.notes = 10000, .notes_at_place = 100, .waiting = 500, .visitors = 1000 \
	}

struct visitor;

struct service {
	const struct places *places;
	struct service_limits limits;
	struct guestbook book;
	struct visitor *visitors; /* a list */
	uint32_t n_visitors;
};

/** The places are borrowed. Returns 0 or -ENOMEM. */
int service_init(struct service *service, const struct places *places,
		 const struct service_limits *limits);

/** After the server that has it was freed. */
void service_deinit(struct service *service);

/** The handlers; their data is a struct service. */
extern const struct demo_places_service service_handlers;

/** Handles a note, or the end of them; see notes.c. */
void service_notes(struct hawser_call *call, const Demo__Note *note_or_null, void *data);

/** Fails the call with NOT_FOUND, and a hint. */
void service_fail_unknown(struct hawser_call *call, const struct places *places, const char *name);

#endif /* SERVICE_H */
