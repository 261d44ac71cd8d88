/* The places: the table of time zones that Debian's package tzdata brings.
 *
 * Each zone has a principal city, which gives it its name, and the table its coordinates. */

#ifndef DATA_H
#define DATA_H

#include "sphere.h"

#include <stddef.h>

#define PLACES_FILE "/usr/share/zoneinfo/zone1970.tab"

struct place {
	char *name; /**< "Europe/Zurich" */
	struct point point;
	char **countries; /**< "CH", "DE", "LI" */
	size_t n_countries;
};

/** All places, by name. */
struct places {
	struct place *places;
	size_t n;

	/* What the places point into. */
	char *text;
	char **countries;
};

/**
 * Reads the table at `path`. Returns 0 and *places, to be released with places_deinit(), or a
 * negative errno and a sentence in `error`, with file and line: -EBADMSG when the file is no such
 * table, -ENOENT, -ENOMEM and what else reading says.
 */
int places_read(struct places *places, const char *path, char *error, size_t error_size);

void places_deinit(struct places *places);

/** The place with that name, or NULL. */
const struct place *places_find(const struct places *places, const char *name);

/** A place that may be meant by a name that is none: has it as a part, in any case; or NULL. */
const struct place *places_suggest(const struct places *places, const char *name);

/** The place that is next to the point; sets *km to how far it is. */
const struct place *places_nearest(const struct places *places, const struct point *point,
				   double *km);

#endif /* DATA_H */
