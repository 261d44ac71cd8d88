/* Serves a telescope, to one observer at a time.
 *
 *     telescope-server [ADDRESS [DEGREES_PER_SECOND]]
 *
 * That nobody else calls Point meanwhile is the library's business: the service is exclusive in its
 * .proto. What is left to the handler is to give its fencing number to the mount, and to stop that
 * when nobody waits any more. */

#include "mount.h"
#include "telescope.hawser.h"
#include <err.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

struct telescope {
	struct mount *mount;
	struct hawser_call *call; /* for which it turns; NULL: it stands still */
};

static void on_there(void *data, unsigned took_ms)
{
	struct telescope *telescope = data;
	struct hawser_call *call = telescope->call;
	Demo__Pointing pointing = DEMO__POINTING__INIT;
	const struct star *star;
	uint64_t fencing;
	bool is_moving;

	telescope->call = NULL;
	star = mount_star(telescope->mount, &is_moving, &fencing);
	pointing.right_ascension_deg = star->right_ascension_deg;
	pointing.declination_deg = star->declination_deg;
	pointing.took_ms = took_ms;
	printf("points at %s (%llu)\n", star->name, (unsigned long long)fencing);
	if (demo_telescope_point_reply(call, &pointing) < 0)
		demo_telescope_point_fail(call, HAWSER_RESOURCE_EXHAUSTED, "no memory");
}

/* The observer is gone for good, has lost the telescope, or is impatient. */
static void on_cancel(struct hawser_call *call, void *data)
{
	struct telescope *telescope = data;

	if (telescope->call == call) {
		mount_stop(telescope->mount);
		telescope->call = NULL;
		printf("stops\n");
	}
	demo_telescope_point_fail(call, HAWSER_CANCELLED, NULL);
}

static void point(struct hawser_call *call, const Demo__Star *request, void *data)
{
	struct telescope *telescope = data;
	const struct star *star = mount_find(request->name);

	if (!star) {
		demo_telescope_point_fail(call, HAWSER_NOT_FOUND,
					  "\"%s\" is not in the catalogue; try Vega",
					  request->name);
		return;
	}
	if (telescope->call) {
		demo_telescope_point_fail(call, HAWSER_FAILED_PRECONDITION,
					  "it still turns to another star for you; wait for that");
		return;
	}
	if (mount_point(telescope->mount, hawser_call_fencing(call), star, on_there, telescope) <
	    0) {
		demo_telescope_point_fail(call, HAWSER_ABORTED,
					  "somebody else has the telescope by now");
		return;
	}
	telescope->call = call;
	hawser_call_on_cancel(call, on_cancel, telescope);
}

static void look(struct hawser_call *call, const Demo__Glance *request, void *data)
{
	struct telescope *telescope = data;
	Demo__Situation situation = DEMO__SITUATION__INIT;
	bool is_moving;
	const struct star *star = mount_star(telescope->mount, &is_moving, &situation.fencing);

	(void)request;
	if (star)
		situation.star = (char *)star->name;
	situation.is_moving = is_moving;
	demo_telescope_look_reply(call, &situation);
}

int main(int argc, char **argv)
{
	static const struct demo_telescope_service service = {.point = point, .look = look};
	struct hawser_server_options options = HAWSER_SERVER_OPTIONS_INIT;
	struct event_base *base = event_base_new();
	long degrees_per_s = argc > 2 ? atol(argv[2]) : 45;
	struct telescope telescope = {NULL, NULL};
	struct hawser_server *server;
	struct hawser_error error;
	int r;

	if (degrees_per_s < 1 || degrees_per_s > 1000000)
		errx(2, "%s: give the degrees per second, from 1 to 1000000", argv[2]);
	if (!base || !(telescope.mount = mount_new(base, (unsigned)degrees_per_s)))
		errx(1, "no memory");
	setvbuf(stdout, NULL, _IOLBF, 0);
	options.base = base;
	/* An observer whose laptop is shut keeps it for that long. */
	options.session_window_ms = 5000;
	/* Who runs it here may take it away: hawser lease --force. */
	options.allow_force_release = true;
	server = hawser_server_new(&options, &error);
	if (!server || demo_telescope_register(server, &service, &telescope, &error) < 0 ||
	    hawser_server_listen(server, argc > 1 ? argv[1] : "tcp:127.0.0.1:7000", &error) < 0)
		errx(1, "%s", error.message);
	printf("listening on %s\n", hawser_server_address(server, 0));
	r = hawser_server_run(server, &error);
	hawser_server_free(server);
	mount_free(telescope.mount);
	event_base_free(base);
	if (r < 0)
		errx(1, "%s", error.message);
	return r;
}
