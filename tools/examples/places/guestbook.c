/* An array of notes, as large as it may become. */

#include "guestbook.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int guestbook_init(struct guestbook *book, size_t n_places, uint32_t most, uint32_t most_at)
{
	*book = (struct guestbook){.most = most, .most_at = most_at};
	book->notes = calloc(most, sizeof *book->notes);
	book->n_at = calloc(n_places, sizeof *book->n_at);
	if (book->notes && book->n_at)
		return 0;
	guestbook_deinit(book);
	return -ENOMEM;
}

void guestbook_deinit(struct guestbook *book)
{
	for (uint32_t i = 0; i < book->n; i++)
		free(book->notes[i].text);
	free(book->notes);
	free(book->n_at);
	*book = (struct guestbook){0};
}

int guestbook_add(struct guestbook *book, uint32_t place, const char *text)
{
	char *copy;

	if (book->n_at[place] == book->most_at)
		return -EDQUOT;
	if (book->n == book->most)
		return -ENOSPC;
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	book->notes[book->n++] = (struct kept_note){place, copy};
	book->n_at[place]++;
	return 0;
}
