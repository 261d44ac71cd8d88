/* Buckets of histogram.h: the first 128 hold one value each; after them each
 * power of two has 128, numbered by its exponent and the seven bits that follow
 * the leading one. */

#include "histogram.h"
#include <math.h>
#include <string.h>

static unsigned bucket_of(uint64_t value)
{
	unsigned shift;

	if (value < HISTOGRAM_PARTS)
		return (unsigned)value;
	shift = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_PART_BITS;
	/* value >> shift lies in [PARTS, 2 * PARTS). */
	return shift * HISTOGRAM_PARTS + (unsigned)(value >> shift);
}

/* The greatest value that falls into the bucket. */
static uint64_t bucket_end(unsigned bucket)
{
	unsigned shift;
	uint64_t leading;

	if (bucket < HISTOGRAM_PARTS)
		return bucket;
	shift = bucket / HISTOGRAM_PARTS - 1;
	leading = bucket % HISTOGRAM_PARTS + HISTOGRAM_PARTS;
	return (leading << shift) + ((UINT64_C(1) << shift) - 1);
}

void histogram_reset(struct histogram *histogram)
{
	memset(histogram, 0, sizeof *histogram);
	histogram->min = UINT64_MAX;
}

void histogram_record(struct histogram *histogram, uint64_t value)
{
	histogram->buckets[bucket_of(value)]++;
	histogram->count++;
	histogram->sum += (double)value;
	if (value < histogram->min)
		histogram->min = value;
	if (value > histogram->max)
		histogram->max = value;
}

void histogram_merge(struct histogram *histogram, const struct histogram *other)
{
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		histogram->buckets[i] += other->buckets[i];
	histogram->count += other->count;
	histogram->sum += other->sum;
	if (other->min < histogram->min)
		histogram->min = other->min;
	if (other->max > histogram->max)
		histogram->max = other->max;
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent)
{
	uint64_t seen = 0, rank, value;

	if (!histogram->count)
		return 0;
	rank = (uint64_t)ceil(percent / 100 * (double)histogram->count);
	if (rank < 1)
		rank = 1;
	if (rank >= histogram->count)
		return histogram->max;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen < rank)
			continue;
		value = bucket_end(i);
		return value < histogram->max ? value : histogram->max;
	}
	return histogram->max;
}

double histogram_mean(const struct histogram *histogram)
{
	return histogram->count ? histogram->sum / (double)histogram->count : 0;
}
