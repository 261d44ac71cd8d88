/* The notes that were left at places: kept for as long as the server runs, and never more than
 * there is room for. A note is known by its number; they count from 0 as they are left. */

#ifndef GUESTBOOK_H
#define GUESTBOOK_H

#include <stddef.h>
#include <stdint.h>

struct kept_note {
	uint32_t place; /**< number of the place */
	char *text;
};

struct guestbook {
	struct kept_note *notes;
	uint32_t n, most;
	uint32_t *n_at;   /**< how many there are at each place … */
	uint32_t most_at; /**< … and may be at most */
};

/** An empty book for so many places. Returns 0 or -ENOMEM. */
int guestbook_init(struct guestbook *book, size_t n_places, uint32_t most, uint32_t most_at);

void guestbook_deinit(struct guestbook *book);

/**
 * Keeps a note; the text is copied. Returns 0, -EDQUOT (no more room at this place), -ENOSPC (none
 * at any) or -ENOMEM.
 */
int guestbook_add(struct guestbook *book, uint32_t place, const char *text);

#endif /* GUESTBOOK_H */
