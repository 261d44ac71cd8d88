/* Nearest, Within and Route. */

#include "ask.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- failures ---- */

/* What the command line calls a field of a request. */
static const char *argument_of(const char *field)
{
	static const char *const names[][2] = {
		{"latitude", "LATITUDE"},
		{"longitude", "LONGITUDE"},
		{"point.latitude", "the LATITUDE of a STOP"},
		{"point.longitude", "the LONGITUDE of a STOP"},
		{"south_west.latitude", "SOUTH"},
		{"south_west.longitude", "WEST"},
		{"north_east.latitude", "NORTH"},
		{"north_east.longitude", "EAST"},
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (strcmp(field, names[i][0]) == 0)
			return names[i][1];
	}
	return field;
}

int tell_failure(const struct hawser_error *error, const struct hawser_detail *details,
		 size_t n_details)
{
	Demo__OutOfRange *range = (Demo__OutOfRange *)hawser_details_unpack(
		details, n_details, &demo__out_of_range__descriptor);

	if (range) {
		fprintf(stderr, "places-client: %s is %g; give a number from %g to %g\n",
			argument_of(range->field), range->value, range->least, range->most);
		demo__out_of_range__free_unpacked(range, NULL);
		return 2;
	}
	fprintf(stderr, "places-client: %s (%s): %s\n", hawser_status_name(error->status),
		hawser_outcome_name(error->outcome), error->message);
	return 1;
}

int tell_call(const struct hawser_call *call)
{
	const struct hawser_detail *details;
	size_t n_details;

	if (!call) {
		fprintf(stderr, "places-client: the call was not made: %s\n", strerror(errno));
		return 1;
	}
	details = hawser_call_details(call, &n_details);
	return tell_failure(hawser_call_error(call), details, n_details);
}

/* ---- Nearest ---- */

int ask_nearest(struct hawser_client *client, int64_t timeout_ms, const Demo__Point *point)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Demo__NearestReply *reply;
	int status = 0;

	context.timeout_ms = timeout_ms;
	if (demo_places_nearest(client, point, &reply, &context) == HAWSER_OK) {
		printf("%s, %.1f km\n", reply->place ? reply->place->name : "no place",
		       reply->distance_km);
		demo__nearest_reply__free_unpacked(reply, NULL);
	} else {
		status = tell_failure(&context.error, context.details, context.n_details);
	}
	hawser_context_clear(&context);
	return status;
}

/* ---- Within ---- */

static void print_place(const Demo__Place *place)
{
	if (place->point)
		printf("%8.4f %9.4f  %s", place->point->latitude, place->point->longitude,
		       place->name);
	for (size_t i = 0; i < place->n_countries; i++)
		printf(i == 0 ? " (%s" : " %s", place->countries[i]);
	puts(place->n_countries > 0 ? ")" : "");
}

int ask_within(struct hawser_client *client, int64_t timeout_ms, const Demo__Rectangle *rectangle,
	       unsigned long most)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct hawser_call *call;
	Demo__Place *place;
	int status = 0, r = 0;

	context.timeout_ms = timeout_ms;
	call = demo_places_within(client, rectangle, &context);
	while (call && most-- > 0 && (r = demo_places_within_recv(call, &place)) == 1) {
		print_place(place);
		demo__place__free_unpacked(place, NULL);
	}
	if (!call || r < 0)
		status = tell_call(call);
	/* If that was not the end, this cancels the rest. */
	hawser_call_free(call);
	return status;
}

/* ---- Route ---- */

bool parse_degrees(const char *text, double *degrees)
{
	char *end;
	double number = strtod(text, &end);

	if (end == text || *end)
		return false;
	*degrees = number;
	return true;
}

/* "LATITUDE,LONGITUDE" */
static bool parse_point(const char *text, Demo__Point *point)
{
	const char *comma = strchr(text, ',');
	char latitude[64];

	if (!comma)
		return false;
	snprintf(latitude, sizeof latitude, "%.*s", (int)(comma - text), text);
	return parse_degrees(latitude, &point->latitude) &&
	       parse_degrees(comma + 1, &point->longitude);
}

static int send_stop(struct hawser_call *call, char *text)
{
	Demo__Stop stop = DEMO__STOP__INIT;
	Demo__Point point = DEMO__POINT__INIT;

	if (parse_point(text, &point)) {
		stop.where_case = DEMO__STOP__WHERE_POINT;
		stop.point = &point;
	} else {
		stop.where_case = DEMO__STOP__WHERE_PLACE;
		stop.place = text;
	}
	return demo_places_route_send(call, &stop);
}

/* Sends all stops. Returns as hawser_call_send(). */
static int send_stops(struct hawser_call *call, char **stops)
{
	char *line = NULL;
	size_t size = 0;
	int r = 0;

	if (stops) {
		while (r == 0 && *stops)
			r = send_stop(call, *stops++);
		return r;
	}
	while (r == 0 && getline(&line, &size, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		r = send_stop(call, line);
	}
	free(line);
	return r;
}

int ask_route(struct hawser_client *client, int64_t timeout_ms, char **stops)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Demo__RouteReply *reply;
	struct hawser_call *call;
	int status = 0, r = -1;

	context.timeout_ms = timeout_ms;
	call = demo_places_route(client, &context);
	if (call) {
		r = send_stops(call, stops);
		if (r == 0)
			r = hawser_call_end(call);
		/* Whatever kept it from being sent, the call's end tells. */
		if (r < 0)
			hawser_call_cancel(call);
		r = demo_places_route_recv(call, &reply);
	}
	if (r == 1) {
		printf("%u stops, %.1f km\n", reply->stops, reply->length_km);
		demo__route_reply__free_unpacked(reply, NULL);
	} else {
		status = tell_call(call);
	}
	hawser_call_free(call);
	return status;
}
