/* An observer: waits for the telescope, and looks at one star after another.
 *
 *     telescope-client ADDRESS NAME STAR... */

#include "telescope.hawser.h"
#include <err.h>
#include <stdio.h>
#include <stdlib.h>

static void say_position(unsigned position, void *data)
{
	printf("%s: number %u in line\n", (const char *)data, position);
}

/* Returns whether that worked. */
static bool observe(struct hawser_client *client, const char *name, char *star)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Demo__Star request = DEMO__STAR__INIT;
	Demo__Pointing *pointing;
	enum hawser_status status;

	request.name = star;
	status = demo_telescope_point(client, &request, &pointing, &context);
	if (status == HAWSER_OK) {
		printf("%s: %s, at %.3f %+.3f\n", name, star, pointing->right_ascension_deg,
		       pointing->declination_deg);
		demo__pointing__free_unpacked(pointing, NULL);
	} else {
		warnx("%s: %s: %s", name, star, context.error.message);
	}
	hawser_context_clear(&context);
	return status == HAWSER_OK;
}

int main(int argc, char **argv)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	const char *name = argc > 3 ? argv[2] : "";
	struct hawser_client *client;
	struct hawser_lease *lease;
	int wrong = 0;

	if (argc < 4)
		errx(2, "usage: telescope-client ADDRESS NAME STAR...");
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* By which the others know who it is. */
	options.name = name;
	client = hawser_client_new(argv[1], &options, &context.error);
	context.timeout_ms = HAWSER_NO_DEADLINE;
	if (!client || hawser_lease_acquire_watched(client, "demo.Telescope", say_position, argv[2],
						    &lease, &context) != HAWSER_OK)
		errx(1, "%s: %s", name, context.error.message);
	printf("%s: has the telescope (%llu)\n", name,
	       (unsigned long long)hawser_lease_fencing(lease));
	for (int i = 3; i < argc && hawser_lease_get_state(lease) == HAWSER_LEASE_HELD; i++)
		wrong += !observe(client, name, argv[i]);
	if (hawser_lease_error(lease)->status != HAWSER_OK) {
		warnx("%s: %s", name, hawser_lease_error(lease)->message);
		wrong++;
	}
	hawser_lease_release(lease, NULL);
	hawser_lease_free(lease);
	hawser_context_clear(&context);
	hawser_client_free(client);
	return wrong ? EXIT_FAILURE : EXIT_SUCCESS;
}
