/* The name that somebody probably meant. */

#ifndef HAWSER_TOOL_SUGGEST_H
#define HAWSER_TOOL_SUGGEST_H

#include <limits.h>

/** The best name so far; start from SUGGESTION_INIT. */
struct suggestion {
	const char *name;
	unsigned distance;
};

#define SUGGESTION_INIT                            \
	{                                          \
		.name = NULL, .distance = UINT_MAX \
	}

/**
 * Considers `candidate` for `typed`: keeps it if it is nearer than what came
 * before and near enough to be a slip of the fingers. `candidate` is borrowed.
 */
void suggestion_consider(struct suggestion *suggestion, const char *typed, const char *candidate);

#endif /* HAWSER_TOOL_SUGGEST_H */
