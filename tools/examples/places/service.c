/* One handler for each kind of method; that of Notes has a file of its own. */

#include "service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int service_init(struct service *service, const struct places *places,
		 const struct service_limits *limits)
{
	*service = (struct service){.places = places, .limits = *limits};
	return guestbook_init(&service->book, places->n, limits->notes, limits->notes_at_place);
}

void service_deinit(struct service *service)
{
	guestbook_deinit(&service->book);
}

/* ---- what may be wrong with a request ---- */

/* Whether the number is in range. If not, the call has failed, and the client is told so in
 * words and in a form that it can take apart. */
static bool check_range(struct hawser_call *call, const char *where, const char *name, double value,
			double most)
{
	Demo__OutOfRange detail = DEMO__OUT_OF_RANGE__INIT;
	char field[64];

	if (value >= -most && value <= most)
		return true;
	snprintf(field, sizeof field, "%s%s%s", where, *where ? "." : "", name);
	detail.field = field;
	detail.value = value;
	detail.least = -most;
	detail.most = most;
	hawser_call_add_detail(call, &detail.base);
	hawser_call_fail(call, HAWSER_INVALID_ARGUMENT, "%s is %g; it has to be from %g to %g",
			 field, value, -most, most);
	return false;
}

/* Takes a point from a request, `where` in it. Returns whether it is one; if not, the call has
 * failed. */
static bool take_point(struct hawser_call *call, const char *where, const Demo__Point *sent,
		       struct point *point)
{
	if (!sent) {
		hawser_call_fail(call, HAWSER_INVALID_ARGUMENT, "%s is missing", where);
		return false;
	}
	*point = (struct point){sent->latitude, sent->longitude};
	return check_range(call, where, "latitude", point->latitude, 90) &&
	       check_range(call, where, "longitude", point->longitude, 180);
}

void service_fail_unknown(struct hawser_call *call, const struct places *places, const char *name)
{
	const struct place *meant = places_suggest(places, name);

	if (meant)
		hawser_call_fail(call, HAWSER_NOT_FOUND, "\"%s\" is no place; is %s meant?", name,
				 meant->name);
	else
		hawser_call_fail(call, HAWSER_NOT_FOUND, "\"%s\" is no place", name);
}

/* What is sent of a place; it borrows from the place. */
static void fill_place(Demo__Place *sent, Demo__Point *point, const struct place *place)
{
	point->latitude = place->point.latitude;
	point->longitude = place->point.longitude;
	sent->point = point;
	sent->name = place->name;
	sent->countries = place->countries;
	sent->n_countries = place->n_countries;
}

/* ---- Nearest: a request, a reply ---- */

static void nearest(struct hawser_call *call, const Demo__Point *request, void *data)
{
	const struct service *service = data;
	Demo__NearestReply reply = DEMO__NEAREST_REPLY__INIT;
	Demo__Place place = DEMO__PLACE__INIT;
	Demo__Point at = DEMO__POINT__INIT;
	struct point point;

	if (!take_point(call, "", request, &point))
		return;
	fill_place(&place, &at, places_nearest(service->places, &point, &reply.distance_km));
	reply.place = &place;
	demo_places_nearest_reply(call, &reply);
}

/* ---- Within: a request, a stream of replies ---- */

/* How far a call of Within has come. */
struct listing {
	const struct places *places;
	struct rectangle rectangle;
	size_t next;
};

static int send_place(struct hawser_call *call, const struct place *place)
{
	Demo__Place reply = DEMO__PLACE__INIT;
	Demo__Point at = DEMO__POINT__INIT;

	fill_place(&reply, &at, place);
	return demo_places_within_reply(call, &reply);
}

/* Nobody waits for the rest. */
static void give_up(struct hawser_call *call, void *data)
{
	hawser_call_fail(call, HAWSER_CANCELLED, NULL);
}

/* Sends what the client takes. If that is not all, it is called again when there is room. */
static void list(struct hawser_call *call, void *data)
{
	struct listing *listing = data;
	int r = 0;

	while (r == 0 && listing->next < listing->places->n) {
		const struct place *place = &listing->places->places[listing->next];

		if (rectangle_contains(&listing->rectangle, &place->point))
			r = send_place(call, place);
		if (r == 0)
			listing->next++;
	}
	if (r == -EAGAIN)
		r = hawser_call_on_writable(call, list, listing);
	else if (r == 0)
		hawser_call_end(call);
	if (r < 0)
		demo_places_within_fail(call, HAWSER_INTERNAL, "a place could not be sent: %s",
					strerror(-r));
}

static void within(struct hawser_call *call, const Demo__Rectangle *request, void *data)
{
	const struct service *service = data;
	struct listing *listing;
	struct rectangle asked;

	if (!take_point(call, "south_west", request->south_west, &asked.south_west) ||
	    !take_point(call, "north_east", request->north_east, &asked.north_east))
		return;
	if (asked.south_west.latitude > asked.north_east.latitude) {
		demo_places_within_fail(call, HAWSER_INVALID_ARGUMENT,
					"the south, %g, is north of the north, %g",
					asked.south_west.latitude, asked.north_east.latitude);
		return;
	}
	listing = malloc(sizeof *listing);
	if (!listing) {
		demo_places_within_fail(call, HAWSER_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	*listing = (struct listing){.places = service->places, .rectangle = asked};
	hawser_call_set_data(call, listing, free);
	list(call, listing);
	/* Without effect if that was all. */
	hawser_call_on_cancel(call, give_up, NULL);
}

/* ---- Route: a stream of requests, a reply ---- */

/* What a call of Route has added up to. */
struct route {
	uint32_t stops;
	double length_km;
	struct point last;
};

/* Where a stop is. Returns whether it is anywhere; if not, the call has failed. */
static bool locate(struct hawser_call *call, const struct service *service, const Demo__Stop *stop,
		   struct point *point)
{
	const struct place *place;

	switch (stop->where_case) {
	case DEMO__STOP__WHERE_POINT:
		return take_point(call, "point", stop->point, point);
	case DEMO__STOP__WHERE_PLACE:
		place = places_find(service->places, stop->place);
		if (place)
			*point = place->point;
		else
			service_fail_unknown(call, service->places, stop->place);
		return place;
	default:
		demo_places_route_fail(call, HAWSER_INVALID_ARGUMENT,
				       "a stop is neither a place nor a point");
		return false;
	}
}

/* The call's own route; made when its first stop, or its end, comes. NULL: the call has failed. */
static struct route *route_of(struct hawser_call *call)
{
	struct route *route = hawser_call_data(call);

	if (route)
		return route;
	route = calloc(1, sizeof *route);
	if (route)
		hawser_call_set_data(call, route, free);
	else
		demo_places_route_fail(call, HAWSER_RESOURCE_EXHAUSTED, "out of memory");
	return route;
}

static void measure(struct hawser_call *call, const Demo__Stop *stop_or_null, void *data)
{
	struct route *route = route_of(call);
	Demo__RouteReply reply = DEMO__ROUTE_REPLY__INIT;
	struct point point;

	if (!route)
		return;
	if (!stop_or_null) {
		reply.stops = route->stops;
		reply.length_km = route->length_km;
		demo_places_route_reply(call, &reply);
		return;
	}
	if (!locate(call, data, stop_or_null, &point))
		return;
	if (route->stops++ > 0)
		route->length_km += distance_km(&route->last, &point);
	route->last = point;
}

const struct demo_places_service service_handlers = {
	.nearest = nearest,
	.within = within,
	.route = measure,
	.notes = service_notes,
};
