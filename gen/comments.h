/* Where things stand in a .proto, and what its author wrote beside them. */

#ifndef GEN_COMMENTS_H
#define GEN_COMMENTS_H

#include "model.h"

/** Sorts the file's locations for look-up. */
void comments_index(struct arena *arena, struct file *file);

/** The location of a path, or NULL: the request came without source info. */
const Location *comments_find(const struct file *file, const int32_t *path, size_t length);

/** The line of a path, or else of the longest beginning of it that is known. */
struct place comments_place(const struct file *file, const int32_t *path, size_t length);

/** The comment at a path, made fit for a C comment: lines joined by \n; NULL without one. */
const char *comments_text(struct arena *arena, const struct file *file, const int32_t *path,
			  size_t length);

/** Makes any string fit for a C comment. */
const char *comments_clean(struct arena *arena, const char *raw);

#endif
