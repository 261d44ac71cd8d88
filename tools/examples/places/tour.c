/* places-tour: how long is the route by all places of a rectangle?
 *
 * Asynchronous stubs: two calls, and one thread that waits for neither. What Within replies goes
 * to Route, a place at a time. When Route has no room, nothing more is taken from Within; so
 * nothing piles up here, however long the list is. */

#include "places.hawser.h"

#include <err.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tour {
	struct event_base *base;
	struct hawser_call *within, *route;
	char *waiting; /* the stop that there is no room for */
	int status;    /* the program's */
};

/* ---- what comes ---- */

static void fail(struct tour *tour, const struct hawser_call *call)
{
	warnx("%s", hawser_call_error(call)->message);
	tour->status = 1;
	event_base_loopbreak(tour->base);
}

/* Room in Route again. */
static void on_room(struct hawser_call *route, void *data);

static void send_stop(struct tour *tour, char *name)
{
	Demo__Stop stop = DEMO__STOP__INIT;
	int r;

	stop.where_case = DEMO__STOP__WHERE_PLACE;
	stop.place = name;
	r = demo_places_route_send(tour->route, &stop);
	if (r == -EAGAIN && (tour->waiting = strdup(name))) {
		hawser_call_read_stop(tour->within);
		hawser_call_on_writable(tour->route, on_room, tour);
	} else if (r < 0) {
		/* Why, on_length() is told; if the call has not failed yet, it does now. */
		hawser_call_cancel(tour->route);
	}
}

static void on_room(struct hawser_call *route, void *data)
{
	struct tour *tour = data;
	char *name = tour->waiting;

	tour->waiting = NULL;
	hawser_call_read_start(tour->within);
	send_stop(tour, name);
	free(name);
}

static void on_place(struct hawser_call *within, const Demo__Place *place_or_null, void *data)
{
	struct tour *tour = data;

	if (place_or_null)
		send_stop(tour, place_or_null->name);
	else if (hawser_call_error(within)->status == HAWSER_OK)
		hawser_call_end(tour->route);
	else
		fail(tour, within);
}

static void on_length(struct hawser_call *route, const Demo__RouteReply *reply_or_null, void *data)
{
	struct tour *tour = data;

	if (reply_or_null) {
		printf("%u stops, %.1f km\n", reply_or_null->stops, reply_or_null->length_km);
		event_base_loopbreak(tour->base);
	} else {
		fail(tour, route);
	}
}

/* ---- what is asked ---- */

static void start(struct tour *tour, struct hawser_client *client, double south, double west,
		  double north, double east)
{
	Demo__Rectangle rectangle = DEMO__RECTANGLE__INIT;
	Demo__Point south_west = DEMO__POINT__INIT, north_east = DEMO__POINT__INIT;

	south_west.latitude = south;
	south_west.longitude = west;
	north_east.latitude = north;
	north_east.longitude = east;
	rectangle.south_west = &south_west;
	rectangle.north_east = &north_east;
	tour->within = demo_places_within_async(client, &rectangle, on_place, tour, NULL);
	tour->route = demo_places_route_async(client, on_length, tour, NULL);
	if (!tour->within || !tour->route)
		err(1, "the calls were not made");
}

static double degrees(const char *text)
{
	char *end;
	double number = strtod(text, &end);

	if (end == text || *end)
		errx(2, "\"%s\" is no number of degrees", text);
	return number;
}

int main(int argc, char **argv)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct tour tour = {.base = event_base_new()};
	struct hawser_client *client;
	struct hawser_error error;

	if (argc != 6)
		errx(2, "usage: places-tour ADDRESS SOUTH WEST NORTH EAST");
	if (!tour.base)
		errx(1, "no event_base");
	options.base = tour.base;
	client = hawser_client_new(argv[1], &options, &error);
	if (!client)
		errx(error.code == -EINVAL ? 2 : 1, "%s", error.message);
	start(&tour, client, degrees(argv[2]), degrees(argv[3]), degrees(argv[4]),
	      degrees(argv[5]));
	event_base_dispatch(tour.base);
	hawser_call_free(tour.within);
	hawser_call_free(tour.route);
	hawser_client_free(client);
	event_base_free(tour.base);
	free(tour.waiting);
	return tour.status;
}
