/* Latencies by the million in constant memory: a log-linear histogram.
 *
 * The idea is HdrHistogram's (hdrhistogram.org): each power of two is cut into
 * equally many buckets, so that the error is a fixed part of the value wherever
 * it lies. Here that part is 1/128, over all of uint64_t, in 58 KiB. The least,
 * the greatest and the sum are kept exactly. */

#ifndef HAWSER_TOOL_HISTOGRAM_H
#define HAWSER_TOOL_HISTOGRAM_H

#include <stdint.h>

enum {
	HISTOGRAM_PART_BITS = 7,
	HISTOGRAM_PARTS = 1 << HISTOGRAM_PART_BITS, /* buckets per power of two */
	HISTOGRAM_BUCKETS = (64 - HISTOGRAM_PART_BITS + 1) * HISTOGRAM_PARTS,
};

struct histogram {
	uint64_t count, min, max;
	double sum;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

/** Empties it; also needed before first use. */
void histogram_reset(struct histogram *histogram);

/** Adds one value. */
void histogram_record(struct histogram *histogram, uint64_t value);

/** Adds all values of `other`. */
void histogram_merge(struct histogram *histogram, const struct histogram *other);

/**
 * The least value that at least `percent` of all values do not exceed, at most
 * 1/128 above the true one and never above the greatest. 0 when empty.
 */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

/** The arithmetic mean; 0 when empty. */
double histogram_mean(const struct histogram *histogram);

#endif /* HAWSER_TOOL_HISTOGRAM_H */
