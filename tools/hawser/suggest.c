/* Edit distance with swaps (optimal string alignment): one letter too many, too
 * few, another, or two exchanged, count one each. */

#include "suggest.h"
#include <string.h>

enum { LONGEST = 32 };

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;

	return least < c ? least : c;
}

static unsigned distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
	unsigned rows[3][LONGEST + 1];
	unsigned *before = rows[0], *last = rows[1], *now = rows[2], *spare;

	for (size_t j = 0; j <= b_length; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= a_length; i++) {
		now[0] = (unsigned)i;
		for (size_t j = 1; j <= b_length; j++) {
			now[j] = min3(last[j] + 1, now[j - 1] + 1,
				      last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < now[j])
				now[j] = before[j - 2] + 1;
		}
		spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[b_length];
}

void suggestion_consider(struct suggestion *suggestion, const char *typed, const char *candidate)
{
	size_t typed_length = strlen(typed), length = strlen(candidate);
	unsigned d;

	if (!typed_length || typed_length > LONGEST || length > LONGEST)
		return;
	/* The beginning of a name is no slip, but it is clear what was meant. */
	if (!strncmp(typed, candidate, typed_length))
		d = 1;
	else
		d = distance(typed, typed_length, candidate, length);
	if (d > 1 + length / 4 || d >= length || d >= suggestion->distance)
		return;
	suggestion->distance = d;
	suggestion->name = candidate;
}
