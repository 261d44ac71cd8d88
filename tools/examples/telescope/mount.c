/* A mount that is a timer; mount.h says what for. */

#include "mount.h"

#include <errno.h>
#include <event2/event.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>

struct mount {
	struct event *timer;
	unsigned degrees_per_s, took_ms;
	uint64_t fencing; /* the highest that it has seen */
	const struct star *star;
	bool is_moving;
	mount_fn *done;
	void *data;
};

/* Right ascension and declination, J2000 (SIMBAD, https://simbad.cds.unistra.fr). */
static const struct star stars[] = {
	{"Altair", 297.696, 8.868},  {"Arcturus", 213.915, 19.182}, {"Betelgeuse", 88.793, 7.407},
	{"Capella", 79.172, 45.998}, {"Deneb", 310.358, 45.280},    {"Polaris", 37.955, 89.264},
	{"Procyon", 114.825, 5.225}, {"Rigel", 78.634, -8.202},     {"Sirius", 101.287, -16.716},
	{"Vega", 279.235, 38.784},
};

const struct star *mount_find(const char *name)
{
	for (size_t i = 0; i < sizeof stars / sizeof *stars; i++)
		if (strcasecmp(stars[i].name, name) == 0)
			return &stars[i];
	return NULL;
}

static void on_timer(evutil_socket_t fd, short what, void *data)
{
	struct mount *mount = data;

	(void)fd;
	(void)what;
	mount->is_moving = false;
	mount->done(mount->data, mount->took_ms);
}

struct mount *mount_new(struct event_base *base, unsigned degrees_per_s)
{
	struct mount *mount = calloc(1, sizeof *mount);

	if (!mount)
		return NULL;
	mount->degrees_per_s = degrees_per_s;
	mount->timer = evtimer_new(base, on_timer, mount);
	if (!mount->timer) {
		free(mount);
		return NULL;
	}
	return mount;
}

void mount_free(struct mount *mount)
{
	if (!mount)
		return;
	event_free(mount->timer);
	free(mount);
}

/* Both axes turn at the same time, the shorter way around. */
static double degrees_between(const struct star *from, const struct star *to)
{
	double around, up;

	if (!from)
		return 90;
	around = fabs(from->right_ascension_deg - to->right_ascension_deg);
	up = fabs(from->declination_deg - to->declination_deg);
	if (around > 180)
		around = 360 - around;
	return fmax(around, up);
}

int mount_point(struct mount *mount, uint64_t fencing, const struct star *star, mount_fn *done,
		void *data)
{
	struct timeval time;

	if (fencing < mount->fencing)
		return -EPERM;
	mount->fencing = fencing;
	mount->took_ms =
		(unsigned)(degrees_between(mount->star, star) * 1000 / mount->degrees_per_s);
	mount->star = star;
	mount->is_moving = true;
	mount->done = done;
	mount->data = data;
	time = (struct timeval){mount->took_ms / 1000, mount->took_ms % 1000 * 1000};
	evtimer_add(mount->timer, &time);
	return 0;
}

void mount_stop(struct mount *mount)
{
	evtimer_del(mount->timer);
	mount->is_moving = false;
}

const struct star *mount_star(const struct mount *mount, bool *is_moving, uint64_t *fencing)
{
	*is_moving = mount->is_moving;
	*fencing = mount->fencing;
	return mount->star;
}
