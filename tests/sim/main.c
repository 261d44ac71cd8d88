/* session-sim: seed after seed, until enough connections were lost.
 *
 *     session-sim [--disconnections N] [--seed N] [--verbose]
 *
 * Two real sessions and the real store, in a world where everything else is a model: the clock, the
 * network, the callers and the callees. A failure names its seed; `--seed` lives through that
 * one alone, exactly as before, and `--verbose` tells what happens in it. */

#include "report.h"
#include "world.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char usage[] =
	"usage: session-sim [--disconnections N] [--seed N] [--verbose]\n"
	"\n"
	"  --disconnections N  go on with seeds 1, 2, 3 … until so many connections were lost\n"
	"                      (default 100000; HAWSER_TEST_DIVISOR divides it)\n"
	"  --seed N            live through this seed alone\n"
	"  --verbose           tell everything that happens\n";

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t number(const char *option, const char *text)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || value == 0) {
		fprintf(stderr, "session-sim: --%s %s: give a whole number from 1 on\n", option,
			text);
		exit(2);
	}
	return value;
}

/* As suite_rounds() in tests/support, which comes with Check. */
static uint64_t divided(uint64_t count)
{
	const char *value = getenv("HAWSER_TEST_DIVISOR");
	uint64_t divisor = value ? strtoull(value, NULL, 10) : 1;

	return divisor > 1 && count > divisor ? count / divisor : count;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"disconnections", required_argument, NULL, 'd'},
		{"seed", required_argument, NULL, 's'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{NULL},
	};
	uint64_t disconnections = 100000, seed = 0;
	struct tally tally = {0};
	double begun = seconds();
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'd':
			disconnections = number("disconnections", optarg);
			break;
		case 's':
			seed = number("seed", optarg);
			break;
		case 'v':
			report_is_verbose = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "session-sim: %s: takes no arguments besides its options\n%s",
			argv[optind], usage);
		return 2;
	}
	if (seed)
		world_run(seed, &tally);
	else
		for (disconnections = divided(disconnections);
		     tally.disconnections < disconnections;)
			world_run(++seed, &tally);
	printf("%" PRIu64 " seeds, %" PRIu64 " disconnections, %" PRIu64 " attempts, %" PRIu64
	       " calls, %" PRIu64 " messages of %" PRIu64 " bytes, %" PRIu64 " turns, %" PRIu64
	       " loans, %" PRIu64 " restarts, %" PRIu64 " expiries, %" PRIu64
	       " take-overs, %" PRIu64 " ghosts, %.1f s\n",
	       tally.seeds, tally.disconnections, tally.attempts, tally.calls, tally.messages,
	       tally.bytes, tally.turns, tally.loans, tally.restarts, tally.expiries,
	       tally.takeovers, tally.ghosts, seconds() - begun);
	return EXIT_SUCCESS;
}
