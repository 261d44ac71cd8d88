/* A server on a thread; world.h tells what for. */

#include "world.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *serve(void *data)
{
	struct world *world = data;

	world->result = hawser_server_run(world->server, NULL);
	return NULL;
}

void world_start(struct world *world, enum transport transport, const struct service_limits *limits)
{
	static const struct service_limits usual = SERVICE_LIMITS_INIT;
	struct hawser_server_options options = HAWSER_SERVER_OPTIONS_INIT;
	struct hawser_error error;
	char problem[512];

	memset(world, 0, sizeof *world);
	ck_assert_msg(places_read(&world->places, PLACES_FILE, problem, sizeof problem) == 0, "%s",
		      problem);
	ck_assert_int_eq(service_init(&world->service, &world->places, limits ? limits : &usual),
			 0);
	snprintf(world->address, sizeof world->address, "tcp:127.0.0.1:0");
	if (transport == OVER_UNIX) {
		snprintf(world->directory, sizeof world->directory, "/tmp/hawser-places-XXXXXX");
		ck_assert_ptr_nonnull(mkdtemp(world->directory));
		snprintf(world->address, sizeof world->address, "unix:%s/socket", world->directory);
	}
	options.ignore_signals = true;
	world->server = hawser_server_new(&options, &error);
	ck_assert_msg(world->server, "%s", error.message);
	ck_assert_msg(demo_places_register(world->server, &service_handlers, &world->service,
					   &error) == 0,
		      "%s", error.message);
	ck_assert_msg(hawser_server_listen(world->server, world->address, &error) == 0, "%s",
		      error.message);
	snprintf(world->address, sizeof world->address, "%s",
		 hawser_server_address(world->server, 0));
	ck_assert_int_eq(pthread_create(&world->thread, NULL, serve, world), 0);
}

void world_stop(struct world *world)
{
	hawser_server_stop(world->server);
	pthread_join(world->thread, NULL);
	ck_assert_int_ge(world->result, 0);
	hawser_server_free(world->server);
	/* Each visitor left with its call. */
	ck_assert_uint_eq(world->service.n_visitors, 0);
	ck_assert_ptr_null(world->service.visitors);
	service_deinit(&world->service);
	places_deinit(&world->places);
	if (*world->directory)
		ck_assert_int_eq(rmdir(world->directory), 0);
}

struct hawser_client *world_client(const struct world *world, size_t window_bytes)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_client *client;
	struct hawser_error error;

	options.stream_window_bytes = options.max_stream_window_bytes = window_bytes;
	client = hawser_client_new(world->address, &options, &error);
	ck_assert_msg(client, "%s", error.message);
	return client;
}

void world_settle(struct hawser_client *client)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Demo__Point point = DEMO__POINT__INIT;
	Demo__NearestReply *reply;

	/* The server takes calls in the order in which they were made. */
	ck_assert_msg(demo_places_nearest(client, &point, &reply, &context) == HAWSER_OK, "%s",
		      context.error.message);
	demo__nearest_reply__free_unpacked(reply, NULL);
	hawser_context_clear(&context);
}

unsigned world_calls(struct world *world, struct hawser_client *client)
{
	struct hawser_server_stats stats = {.size = sizeof stats};

	world_settle(client);
	hawser_server_get_stats(world->server, &stats);
	return (unsigned)stats.calls_in_flight;
}

void expect_error(const struct hawser_error *error, enum hawser_status status, const char *part)
{
	ck_assert_str_eq(hawser_status_name(error->status), hawser_status_name(status));
	ck_assert_msg(strstr(error->message, part), "\"%s\" is not in: %s", part, error->message);
}
