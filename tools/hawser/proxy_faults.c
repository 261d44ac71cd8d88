/* Drawing plans from faults, and the names of both.
 *
 * "Every MS" means: after a time that is drawn evenly from half of MS to one and a
 * half of it. An exponential distribution would be truer to accidents; but it cuts
 * one connection in ten before a tenth of the time is over, and then what is tested
 * is mostly how connections open. */

#include "proxy_faults.h"
#include <math.h>
#include <string.h>

static const char *const cut_names[] = {
	[CUT_FIN] = "fin", [CUT_RST] = "rst", [CUT_SILENT] = "silent", [CUT_RANDOM] = "random"};

enum { DICE_CUTS, DICE_STALLS };

static uint64_t draw(struct dice *dice, uint64_t every_ms, uint64_t now_ns)
{
	return every_ms ? now_ns + dice_around(dice, every_ms * 1000000u) : FAULTS_NEVER;
}

void plan_init(struct plan *plan, const struct faults *faults, uint64_t number, uint64_t now_ns)
{
	dice_init(&plan->cuts, faults->seed, number, DICE_CUTS);
	dice_init(&plan->stalls, faults->seed, number, DICE_STALLS);
	plan->how = plan_how(plan, faults->cut_how);
	plan_cut(plan, faults, now_ns);
	plan_stall(plan, faults, now_ns);
}

uint64_t plan_next_ns(const struct plan *plan)
{
	return plan->cut_ns < plan->stall_ns ? plan->cut_ns : plan->stall_ns;
}

void plan_cut(struct plan *plan, const struct faults *faults, uint64_t now_ns)
{
	plan->cut_ns = draw(&plan->cuts, faults->cut_every_ms, now_ns);
}

void plan_stall(struct plan *plan, const struct faults *faults, uint64_t now_ns)
{
	plan->stall_ns = draw(&plan->stalls, faults->stall_every_ms, now_ns);
}

enum cut plan_how(struct plan *plan, enum cut wish)
{
	return wish == CUT_RANDOM ? (enum cut)dice_below(&plan->cuts, CUT_KINDS) : wish;
}

/* One throw for each corrupted byte instead of one for each byte: the gaps between events of
 * probability p have a geometric distribution. */
uint64_t faults_corrupt_gap(struct dice *dice, uint64_t ppm)
{
	double gap;

	if (!ppm)
		return UINT64_MAX;
	gap = floor(log(dice_fraction(dice)) / log1p(-(double)ppm / 1e6));
	return gap < 1e18 ? (uint64_t)gap : UINT64_MAX;
}

const char *cut_name(enum cut cut)
{
	return cut_names[cut];
}

bool cut_parse(const char *text, enum cut *cut)
{
	for (unsigned i = 0; i < sizeof cut_names / sizeof cut_names[0]; i++) {
		if (!strcmp(text, cut_names[i])) {
			*cut = (enum cut)i;
			return true;
		}
	}
	return false;
}

static const char *const directions_names[] = {
	[1u << UP] = "up", [1u << DOWN] = "down", [1u << UP | 1u << DOWN] = "both"};

bool directions_parse(const char *text, unsigned *directions)
{
	for (unsigned i = 1; i < sizeof directions_names / sizeof directions_names[0]; i++) {
		if (!strcmp(text, directions_names[i])) {
			*directions = i;
			return true;
		}
	}
	return false;
}

const char *directions_name(unsigned directions)
{
	return directions_names[directions];
}
