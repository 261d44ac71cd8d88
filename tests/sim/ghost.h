/* An open that comes once more, on a line of its own: late, twice, or from someone who is not the
 * client at all. The server cannot know, and must not come to harm. */

#ifndef HAWSER_TESTS_SIM_GHOST_H
#define HAWSER_TESTS_SIM_GHOST_H

struct world;

void ghost_appear(struct world *world);

#endif /* HAWSER_TESTS_SIM_GHOST_H */
