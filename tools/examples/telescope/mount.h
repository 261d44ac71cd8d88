/* The mount of a telescope: the device behind the service.
 *
 * It would be a controller at the end of a serial line; here it takes its time and does nothing. As
 * such a device should, it remembers the highest fencing number that it has seen, and does not
 * listen to lower ones: whoever has one held the telescope before, and has not noticed yet that
 * another does. */

#ifndef MOUNT_H
#define MOUNT_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct mount;

struct star {
	const char *name;
	double right_ascension_deg, declination_deg;
};

/** Runs once, when it points there. */
typedef void mount_fn(void *data, unsigned took_ms);

/** NULL: no memory. */
struct mount *mount_new(struct event_base *base, unsigned degrees_per_s);
void mount_free(struct mount *mount);

/** NULL: there is none of that name. Letter case does not count. */
const struct star *mount_find(const char *name);

/**
 * Turns to the star. Whatever it was about is given up, and not told. 0, or -EPERM: the fencing
 * number is an old one.
 */
int mount_point(struct mount *mount, uint64_t fencing, const struct star *star, mount_fn *done,
		void *data);
/** Stands still. */
void mount_stop(struct mount *mount);

/** Where it points or turns to; NULL: it has not moved yet. */
const struct star *mount_star(const struct mount *mount, bool *is_moving, uint64_t *fencing);

#endif /* MOUNT_H */
