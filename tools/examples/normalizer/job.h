/* The job of the demo: what the coordinator and its workers share.
 *
 * The workers are processes, forked from the coordinator before it has made any
 * client. Names and board lie in memory that all of them see: a worker takes the
 * next few names that nobody has taken yet, and writes about them on the board. */

#ifndef JOB_H
#define JOB_H

#include "names.h"
#include "normalize.h"

#include <stdatomic.h>
#include <stdint.h>

#define MAX_WORKERS 64
#define MAX_SAMPLES 24
#define SAMPLE_SIZE 256

/** What every name goes through. */
static const struct normalize_options job_options = {
	.form = NORMAL_NFC,
	.trim = true,
	.case_fold = true,
};

/** One worker's part of the board. */
struct tally {
	_Atomic uint64_t calls;    /**< answered, right or wrong */
	_Atomic uint64_t changed;  /**< the reply differs from the name */
	_Atomic uint64_t failures; /**< of the calls: no reply, or not the right one */
	char first_failure[512];
};

/** A name whose reply is shown at the end. */
struct sample {
	size_t name; /**< its index */
	char reply[SAMPLE_SIZE];
};

/** Memory that coordinator and workers share. */
struct board {
	_Atomic uint64_t next_call; /**< the first that no worker has taken */
	struct tally tallies[MAX_WORKERS];
	struct sample samples[MAX_SAMPLES];
	uint32_t latencies_ns[]; /**< one per call */
};

struct job {
	const char *address;
	const struct names *names;
	uint64_t calls; /**< call i sends name i % names->n */
	unsigned workers, passes;
	unsigned n_samples;
	struct board *board;
};

/** Nanoseconds of the monotonic clock. */
uint64_t now_ns(void);

/**
 * Makes calls, over one connection, until none is left, and compares each reply with
 * what it should be. Stops at the first failure. Returns 0 if all were right,
 * else 1; the tally of worker `index` says more.
 */
int work(const struct job *job, unsigned index);

/** Chooses names that show something and sets job->n_samples. */
void samples_choose(struct job *job);

/** Prints the samples, what they were and what they became. */
void samples_print(const struct job *job);

#endif /* JOB_H */
