/* The haversine formula (R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68, 1984,
 * page 159). Unlike the law of cosines it is exact for neighbours, too.
 *
 * The radius is the mean of the three half axes of the Geodetic Reference System 1980
 * (H. Moritz, Journal of Geodesy 74, 2000, page 128: R1). The earth is flattened, so that
 * true distances differ by up to half a percent. */

#include "sphere.h"

#include <math.h>

#define EARTH_RADIUS_KM 6371.0088

static double radians(double degrees)
{
	return degrees * (M_PI / 180);
}

static double haversine(double angle)
{
	double half = sin(angle / 2);

	return half * half;
}

double distance_km(const struct point *from, const struct point *to)
{
	double from_latitude = radians(from->latitude), to_latitude = radians(to->latitude);
	double h = haversine(to_latitude - from_latitude) +
		   cos(from_latitude) * cos(to_latitude) *
			   haversine(radians(to->longitude - from->longitude));

	/* Rounding may take opposite ends of the earth beyond 1. */
	return 2 * EARTH_RADIUS_KM * asin(sqrt(fmin(h, 1)));
}

bool rectangle_contains(const struct rectangle *rectangle, const struct point *point)
{
	const struct point *south_west = &rectangle->south_west;
	const struct point *north_east = &rectangle->north_east;
	bool is_east = point->longitude >= south_west->longitude;
	bool is_west = point->longitude <= north_east->longitude;

	if (point->latitude < south_west->latitude || point->latitude > north_east->latitude)
		return false;
	return south_west->longitude <= north_east->longitude ? is_east && is_west
							      : is_east || is_west;
}
