/* Points on the earth, taken as a sphere: distances and rectangles. */

#ifndef SPHERE_H
#define SPHERE_H

#include <stdbool.h>

/** Degrees; north and east are positive. */
struct point {
	double latitude, longitude;
};

/** Between two parallels and two meridians; where west > east, across the 180th meridian. */
struct rectangle {
	struct point south_west, north_east;
};

/** Kilometres along the great circle from one to the other. */
double distance_km(const struct point *from, const struct point *to);

/** Whether the point is in the rectangle, or on its edge. */
bool rectangle_contains(const struct rectangle *rectangle, const struct point *point);

#endif /* SPHERE_H */
