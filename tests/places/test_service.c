/* Nearest, Within and Route, over both transports. */

#include "support/random.h"
#include "support/suite.h"
#include "world.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static double random_degrees(unsigned most)
{
	return (double)random_below(2000001) / 1000000 * most - most;
}

/* The detail that says which number is out of range. */
static void expect_range(const struct hawser_detail *details, size_t n_details, const char *field,
			 double value, double most)
{
	ProtobufCMessage *message =
		hawser_details_unpack(details, n_details, &demo__out_of_range__descriptor);
	const Demo__OutOfRange *range = (const Demo__OutOfRange *)message;

	ck_assert_ptr_nonnull(range);
	ck_assert_str_eq(range->field, field);
	ck_assert(range->value == value || (isnan(range->value) && isnan(value)));
	ck_assert(range->least == -most && range->most == most);
	protobuf_c_message_free_unpacked(message, NULL);
}

/* ---- Nearest ---- */

START_TEST(nearest_place_is_found)
{
	struct world world;
	struct hawser_client *client;

	world_start(&world, _i, NULL);
	client = world_client(&world, 0);
	for (unsigned i = 0; i < 100; i++) {
		struct hawser_context context = HAWSER_CONTEXT_INIT;
		const struct point point = {random_degrees(90), random_degrees(180)};
		Demo__Point request = DEMO__POINT__INIT;
		Demo__NearestReply *reply;
		const struct place *place;
		double km;

		place = places_nearest(&world.places, &point, &km);
		request.latitude = point.latitude;
		request.longitude = point.longitude;
		ck_assert_msg(demo_places_nearest(client, &request, &reply, &context) == HAWSER_OK,
			      "%s", context.error.message);
		ck_assert_str_eq(reply->place->name, place->name);
		ck_assert(reply->place->point->latitude == place->point.latitude);
		ck_assert(reply->place->point->longitude == place->point.longitude);
		ck_assert_uint_eq(reply->place->n_countries, place->n_countries);
		ck_assert_str_eq(reply->place->countries[0], place->countries[0]);
		ck_assert(reply->distance_km == km);
		demo__nearest_reply__free_unpacked(reply, NULL);
		hawser_context_clear(&context);
	}
	hawser_client_free(client);
	world_stop(&world);
}
END_TEST

START_TEST(points_that_are_none_are_told)
{
	static const struct {
		double latitude, longitude, most;
		const char *field, *text;
	} points[] = {
		{90.5, 0, 90, "latitude", "latitude is 90.5; it has to be from -90 to 90"},
		{-91, 181, 90, "latitude", "latitude is -91"},
		{0, 180.5, 180, "longitude", "longitude is 180.5; it has to be from -180 to 180"},
		{90, -181, 180, "longitude", "longitude is -181"},
		{NAN, 0, 90, "latitude", "latitude is nan"},
		{0, INFINITY, 180, "longitude", "longitude is inf"},
	};
	struct world world;
	struct hawser_client *client;

	world_start(&world, _i, NULL);
	client = world_client(&world, 0);
	for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
		struct hawser_context context = HAWSER_CONTEXT_INIT;
		Demo__Point request = DEMO__POINT__INIT;
		Demo__NearestReply *reply = NULL;
		bool is_latitude = points[i].most == 90;

		request.latitude = points[i].latitude;
		request.longitude = points[i].longitude;
		demo_places_nearest(client, &request, &reply, &context);
		ck_assert_ptr_null(reply);
		expect_error(&context.error, HAWSER_INVALID_ARGUMENT, points[i].text);
		ck_assert_int_eq(context.error.outcome, HAWSER_OUTCOME_EXECUTED);
		expect_range(context.details, context.n_details, points[i].field,
			     is_latitude ? points[i].latitude : points[i].longitude,
			     points[i].most);
		hawser_context_clear(&context);
	}
	hawser_client_free(client);
	world_stop(&world);
}
END_TEST

/* ---- Within ---- */

static struct hawser_call *ask_within(struct hawser_client *client, double south, double west,
				      double north, double east)
{
	Demo__Rectangle request = DEMO__RECTANGLE__INIT;
	Demo__Point south_west = DEMO__POINT__INIT, north_east = DEMO__POINT__INIT;
	struct hawser_call *call;

	south_west.latitude = south;
	south_west.longitude = west;
	north_east.latitude = north;
	north_east.longitude = east;
	request.south_west = &south_west;
	request.north_east = &north_east;
	call = demo_places_within(client, &request, NULL);
	ck_assert_ptr_nonnull(call);
	return call;
}

/* Takes the next place; NULL: there has to be none. */
static void take_place(struct hawser_call *call, const struct place *place)
{
	Demo__Place *reply;
	int r = demo_places_within_recv(call, &reply);

	ck_assert_msg(r >= 0, "%s", hawser_call_error(call)->message);
	ck_assert_int_eq(r, place != NULL);
	if (place) {
		ck_assert_str_eq(reply->name, place->name);
		demo__place__free_unpacked(reply, NULL);
	}
}

START_TEST(rectangles_list_their_places_by_name)
{
	struct world world;
	struct hawser_client *client;

	world_start(&world, _i, NULL);
	client = world_client(&world, 0);
	for (unsigned i = 0; i < 50; i++) {
		struct rectangle rectangle = {{random_degrees(90), random_degrees(180)},
					      {random_degrees(90), random_degrees(180)}};
		double south = rectangle.south_west.latitude;
		struct hawser_call *call;

		/* The 180th meridian is crossed by about half of them. */
		rectangle.south_west.latitude = fmin(south, rectangle.north_east.latitude);
		rectangle.north_east.latitude = fmax(south, rectangle.north_east.latitude);
		call = ask_within(client, rectangle.south_west.latitude,
				  rectangle.south_west.longitude, rectangle.north_east.latitude,
				  rectangle.north_east.longitude);
		for (size_t j = 0; j < world.places.n; j++) {
			if (rectangle_contains(&rectangle, &world.places.places[j].point))
				take_place(call, &world.places.places[j]);
		}
		take_place(call, NULL);
		hawser_call_free(call);
	}
	hawser_client_free(client);
	world_stop(&world);
}
END_TEST

static void expect_no_rectangle(struct hawser_call *call, const char *text)
{
	Demo__Place *reply;

	ck_assert_ptr_nonnull(call);
	ck_assert_int_eq(demo_places_within_recv(call, &reply), -1);
	expect_error(hawser_call_error(call), HAWSER_INVALID_ARGUMENT, text);
}

START_TEST(rectangles_that_are_none_are_told)
{
	Demo__Rectangle nothing = DEMO__RECTANGLE__INIT, half = DEMO__RECTANGLE__INIT;
	Demo__Point point = DEMO__POINT__INIT;
	const struct hawser_detail *details;
	struct hawser_client *client;
	struct hawser_call *call;
	struct world world;
	size_t n_details;

	world_start(&world, _i, NULL);
	client = world_client(&world, 0);
	call = ask_within(client, 50, 0, 40, 10);
	expect_no_rectangle(call, "the south, 50, is north of the north, 40");
	hawser_call_free(call);
	call = ask_within(client, 40, 0, 50, 200);
	expect_no_rectangle(call, "north_east.longitude is 200; it has to be from -180 to 180");
	details = hawser_call_details(call, &n_details);
	expect_range(details, n_details, "north_east.longitude", 200, 180);
	hawser_call_free(call);
	call = demo_places_within(client, &nothing, NULL);
	expect_no_rectangle(call, "south_west is missing");
	hawser_call_free(call);
	half.south_west = &point;
	call = demo_places_within(client, &half, NULL);
	expect_no_rectangle(call, "north_east is missing");
	hawser_call_free(call);
	hawser_client_free(client);
	world_stop(&world);
}
END_TEST

START_TEST(client_that_takes_slowly_gets_all_places)
{
	struct hawser_client *client;
	struct hawser_call *call;
	struct world world;

	world_start(&world, _i, NULL);
	/* Room for one place or two, so the handler has to wait again and again. */
	client = world_client(&world, 100);
	call = ask_within(client, -90, -180, 90, 180);
	for (size_t i = 0; i < world.places.n; i++) {
		world_settle(client);
		take_place(call, &world.places.places[i]);
	}
	take_place(call, NULL);
	hawser_call_free(call);
	hawser_client_free(client);
	world_stop(&world);
}
END_TEST

START_TEST(list_that_nobody_wants_any_more_ends)
{
	struct hawser_client *client;
	struct hawser_call *call;
	struct world world;

	world_start(&world, _i, NULL);
	client = world_client(&world, 100);
	call = ask_within(client, -90, -180, 90, 180);
	take_place(call, &world.places.places[0]);
	ck_assert_uint_eq(world_calls(&world, client), 1);
	hawser_call_free(call);
	ck_assert_uint_eq(world_calls(&world, client), 0);
	/* This one ends with the server. */
	call = ask_within(client, -90, -180, 90, 180);
	take_place(call, &world.places.places[0]);
	world_stop(&world);
	hawser_call_free(call);
	hawser_client_free(client);
}
END_TEST

/* ---- Route ---- */

static struct hawser_call *open_route(struct hawser_client *client)
{
	struct hawser_call *call = demo_places_route(client, NULL);

	ck_assert_ptr_nonnull(call);
	return call;
}

static int send_place(struct hawser_call *call, const char *name)
{
	Demo__Stop stop = DEMO__STOP__INIT;

	stop.where_case = DEMO__STOP__WHERE_PLACE;
	stop.place = (char *)name;
	return demo_places_route_send(call, &stop);
}

static int send_point(struct hawser_call *call, double latitude, double longitude)
{
	Demo__Stop stop = DEMO__STOP__INIT;
	Demo__Point point = DEMO__POINT__INIT;

	point.latitude = latitude;
	point.longitude = longitude;
	stop.where_case = DEMO__STOP__WHERE_POINT;
	stop.point = &point;
	return demo_places_route_send(call, &stop);
}

/* Ends the route, which has to be of that length. */
static void end_route(struct hawser_call *call, unsigned stops, double length_km)
{
	Demo__RouteReply *reply;

	ck_assert_int_eq(hawser_call_end(call), 0);
	ck_assert_msg(demo_places_route_recv(call, &reply) == 1, "%s",
		      hawser_call_error(call)->message);
	ck_assert_uint_eq(reply->stops, stops);
	ck_assert_double_eq_tol(reply->length_km, length_km, 1e-6 + 1e-9 * length_km);
	demo__route_reply__free_unpacked(reply, NULL);
	ck_assert_int_eq(demo_places_route_recv(call, &reply), 0);
	hawser_call_free(call);
}

static void expect_no_route(struct hawser_call *call, enum hawser_status status, const char *text)
{
	Demo__RouteReply *reply;

	ck_assert_int_eq(demo_places_route_recv(call, &reply), -1);
	expect_error(hawser_call_error(call), status, text);
	hawser_call_free(call);
}

START_TEST(routes_have_the_sum_of_their_parts)
{
	struct hawser_client *client;
	struct hawser_call *call;
	struct world world;
	double quarter = 6371.0088 * M_PI / 2;

	world_start(&world, _i, NULL);
	client = world_client(&world, 0);
	end_route(open_route(client), 0, 0);

	call = open_route(client);
	ck_assert_int_eq(send_place(call, "Europe/Zurich"), 0);
	end_route(call, 1, 0);

	call = open_route(client);
	ck_assert_int_eq(send_point(call, 90, 0), 0);
	ck_assert_int_eq(send_point(call, 0, 0), 0);
	ck_assert_int_eq(send_point(call, 0, 90), 0);
	ck_assert_int_eq(send_point(call, 0, 180), 0);
	end_route(call, 4, 3 * quarter);

	call = open_route(client);
	ck_assert_int_eq(send_place(call, "Europe/Zurich"), 0);
	ck_assert_int_eq(send_point(call, 90, 123), 0);
	ck_assert_int_eq(send_place(call, "Europe/Berlin"), 0);
	end_route(call, 3, 2 * quarter - 6371.0088 * (47 + 23 / 60.0 + 52.5) * M_PI / 180);
	hawser_client_free(client);
	world_stop(&world);
}
END_TEST

START_TEST(routes_may_be_long)
{
	unsigned long stops = suite_rounds(100000) + 1;
	struct hawser_client *client;
	struct hawser_call *call;
	struct world world;

	world_start(&world, _i, NULL);
	client = world_client(&world, 0);
	call = open_route(client);
	for (unsigned long i = 0; i < stops; i++)
		ck_assert_int_eq(send_point(call, i % 2 ? 90 : -90, 0), 0);
	end_route(call, (unsigned)stops, (double)(stops - 1) * 6371.0088 * M_PI);
	hawser_client_free(client);
	world_stop(&world);
}
END_TEST

START_TEST(routes_do_not_mix)
{
	struct hawser_call *calls[8];
	struct hawser_client *client;
	struct world world;

	world_start(&world, _i, NULL);
	client = world_client(&world, 0);
	for (unsigned i = 0; i < 8; i++)
		calls[i] = open_route(client);
	for (unsigned stop = 0; stop < 10; stop++) {
		for (unsigned i = 0; i < 8; i++)
			ck_assert_int_eq(send_point(calls[i], 0, stop * i), 0);
	}
	for (unsigned i = 0; i < 8; i++)
		end_route(calls[i], 10, 9 * i * 6371.0088 * M_PI / 180);
	hawser_client_free(client);
	world_stop(&world);
}
END_TEST

START_TEST(stop_that_is_none_ends_the_route_at_once)
{
	Demo__Stop nowhere = DEMO__STOP__INIT;
	const struct hawser_detail *details;
	struct hawser_client *client;
	struct hawser_call *call;
	struct world world;
	size_t n_details;

	world_start(&world, _i, NULL);
	client = world_client(&world, 0);
	call = open_route(client);
	ck_assert_int_eq(send_place(call, "Europe/Zurich"), 0);
	ck_assert_int_eq(send_place(call, "berlin"), 0);
	world_settle(client);
	ck_assert_int_eq(send_place(call, "Europe/Zurich"), -EPIPE);
	ck_assert_int_eq(hawser_call_end(call), -EPIPE);
	expect_no_route(call, HAWSER_NOT_FOUND, "\"berlin\" is no place; is Europe/Berlin meant?");

	call = open_route(client);
	ck_assert_int_eq(send_place(call, "Atlantis"), 0);
	expect_no_route(call, HAWSER_NOT_FOUND, "\"Atlantis\" is no place");

	call = open_route(client);
	ck_assert_int_eq(demo_places_route_send(call, &nowhere), 0);
	expect_no_route(call, HAWSER_INVALID_ARGUMENT, "a stop is neither a place nor a point");

	call = open_route(client);
	ck_assert_int_eq(send_point(call, 0, -200), 0);
	world_settle(client);
	details = hawser_call_details(call, &n_details);
	expect_range(details, n_details, "point.longitude", -200, 180);
	expect_no_route(call, HAWSER_INVALID_ARGUMENT, "point.longitude is -200");
	ck_assert_uint_eq(world_calls(&world, client), 0);
	hawser_client_free(client);
	world_stop(&world);
}
END_TEST

START_TEST(routes_that_are_given_up_end)
{
	struct hawser_client *client;
	struct hawser_call *call;
	struct world world;

	world_start(&world, _i, NULL);
	client = world_client(&world, 0);
	call = open_route(client);
	ck_assert_int_eq(send_place(call, "Europe/Zurich"), 0);
	ck_assert_uint_eq(world_calls(&world, client), 1);
	hawser_call_free(call);
	ck_assert_uint_eq(world_calls(&world, client), 0);
	/* This one ends with the server. */
	call = open_route(client);
	ck_assert_int_eq(send_place(call, "Europe/Zurich"), 0);
	world_settle(client);
	world_stop(&world);
	hawser_call_free(call);
	hawser_client_free(client);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("places service");
	TCase *test_case = suite_case(suite, "service");

	tcase_add_loop_test(test_case, nearest_place_is_found, 0, TRANSPORTS);
	tcase_add_loop_test(test_case, points_that_are_none_are_told, 0, TRANSPORTS);
	tcase_add_loop_test(test_case, rectangles_list_their_places_by_name, 0, TRANSPORTS);
	tcase_add_loop_test(test_case, rectangles_that_are_none_are_told, 0, TRANSPORTS);
	tcase_add_loop_test(test_case, client_that_takes_slowly_gets_all_places, 0, TRANSPORTS);
	tcase_add_loop_test(test_case, list_that_nobody_wants_any_more_ends, 0, TRANSPORTS);
	tcase_add_loop_test(test_case, routes_have_the_sum_of_their_parts, 0, TRANSPORTS);
	tcase_add_loop_test(test_case, routes_may_be_long, 0, TRANSPORTS);
	tcase_add_loop_test(test_case, routes_do_not_mix, 0, TRANSPORTS);
	tcase_add_loop_test(test_case, stop_that_is_none_ends_the_route_at_once, 0, TRANSPORTS);
	tcase_add_loop_test(test_case, routes_that_are_given_up_end, 0, TRANSPORTS);
	return suite_run(suite);
}
