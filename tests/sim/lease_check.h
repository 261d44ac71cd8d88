/* What must hold of leases, whatever happened to them.
 *
 * It looks at every lease after every operation, and knows of each only when it was asked for and
 * what it was before. Never more than so many hold a place; a free place and somebody present who
 * waits for it never stand side by side; nobody passes somebody who was there before, is present
 * and was not handed the place; fencing numbers rise; nobody loses what they hold without cause;
 * and what everyone was told last is what is. */

#ifndef HAWSER_TESTS_SIM_LEASE_CHECK_H
#define HAWSER_TESTS_SIM_LEASE_CHECK_H

#include "lease_world.h"

/** After an operation that was done to one lease (NULL: none), or to all of a party (NULL: none).
 */
void lease_check(struct lease_world *world, const struct slot *by, const struct actor *party);
/** A piece of news. */
void lease_check_news(struct lease_world *world, struct slot *slot);
/** After all news. */
void lease_check_told(struct lease_world *world);

#endif /* HAWSER_TESTS_SIM_LEASE_CHECK_H */
