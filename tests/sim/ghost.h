/* An open that comes once more, on a line of its own: late, twice, or from someone who is not the
 * client at all. The server cannot know, and must not come to harm. */

#ifndef HAWSER_TESTS_SIM_GHOST_H
#define HAWSER_TESTS_SIM_GHOST_H

#include <stdint.h>

struct client;
struct world;

/** The client has sent this open, which may come again. */
void ghost_remember(struct client *client, const uint8_t *frame);
void ghost_appear(struct world *world);

#endif /* HAWSER_TESTS_SIM_GHOST_H */
