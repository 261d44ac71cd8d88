/* What `hawser proxy` does to connections, and when: the faults that were asked
 * for, and the plan that each connection draws from them.
 *
 * A plan depends on the seed and on the connection's number, and on nothing that
 * happens later. So the same seed and the same order of arrival give the same
 * plans, and a failure that they brought about can be brought about again. */

#ifndef HAWSER_TOOL_PROXY_FAULTS_H
#define HAWSER_TOOL_PROXY_FAULTS_H

#include "proxy_dice.h"
#include <stdbool.h>
#include <stddef.h>

enum direction {
	UP,   /* from whoever connected to the target */
	DOWN, /* and back */
	DIRECTIONS,
};

enum cut {
	CUT_FIN,    /* both ends see an orderly end */
	CUT_RST,    /* both ends see a reset */
	CUT_SILENT, /* neither sees anything, ever again */
	CUT_KINDS,
	CUT_RANDOM = CUT_KINDS, /* as a wish: one of the above */
};

/** What happens to the bytes of one direction. 0 is always: nothing. */
struct shape {
	uint64_t delay_ms, jitter_ms;
	uint64_t rate_bytes_per_s;
	uint64_t segment_bytes;
	uint64_t corrupt_ppm;
	bool stalls; /* as stall_every_ms says */
};

struct faults {
	uint64_t seed;
	uint64_t cut_every_ms;    /* 0: only when told */
	uint64_t cut_after_bytes; /* in either direction; 0: never */
	enum cut cut_how;
	bool cut_mid_frame;
	uint64_t stall_every_ms, stall_for_ms;
	struct shape shapes[DIRECTIONS];
};

/** What is to happen to one connection. Times are of clock_now_ns(), or FAULTS_NEVER. */
struct plan {
	uint64_t cut_ns, stall_ns;
	enum cut how; /* one of the CUT_KINDS */
	struct dice cuts, stalls;
};

#define FAULTS_NEVER UINT64_MAX

/** What dice are for, next to the plan: see dice_init(). */
enum { DICE_FLOW = 16 /* and above, see proxy_flow.c */ };

/** Makes the plan of connection `number`, which opens now. */
void plan_init(struct plan *plan, const struct faults *faults, uint64_t number, uint64_t now_ns);

/** When the next thing is due. */
uint64_t plan_next_ns(const struct plan *plan);

/** Draws when to cut, from `now_ns` on. */
void plan_cut(struct plan *plan, const struct faults *faults, uint64_t now_ns);

/** Draws when to stall, from `now_ns` on. */
void plan_stall(struct plan *plan, const struct faults *faults, uint64_t now_ns);

/** What CUT_RANDOM is this time; the others are what they are. */
enum cut plan_how(struct plan *plan, enum cut wish);

/** How many bytes stay whole until the next one that is corrupted. */
uint64_t faults_corrupt_gap(struct dice *dice, uint64_t ppm);

/** "fin", "rst" and "silent". */
const char *cut_name(enum cut cut);

/** Reads a name of cut_name(), or "random". Returns whether it is one. */
bool cut_parse(const char *text, enum cut *cut);

/** Reads "up", "down" or "both" into the bits 1 << UP and 1 << DOWN. Returns whether it is one. */
bool directions_parse(const char *text, unsigned *directions);

/** "up", "down" and "both". */
const char *directions_name(unsigned directions);

#endif /* HAWSER_TOOL_PROXY_FAULTS_H */
