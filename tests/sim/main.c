/* session-sim: seed after seed, until enough connections were lost.
 *
 *     session-sim [--disconnections N] [--seed N] [--verbose]
 *
 * Two real sessions and the real store, in a world where everything else is a model: the clock, the
 * network, the callers and the callees. A failure names its seed; `--seed` lives through that
 * one alone, exactly as before, and `--verbose` tells what happens in it. */

#include "options.h"
#include "report.h"
#include "world.h"
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
	"usage: session-sim [--disconnections N] [--seed N] [--verbose]\n"
	"\n"
	"  --disconnections N  go on with seeds 1, 2, 3 … until so many connections were lost\n"
	"                      (default 100000; HAWSER_TEST_DIVISOR divides it)\n"
	"  --seed N            live through this seed alone\n"
	"  --verbose           tell everything that happens\n";

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
	double begun = options_seconds();
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'd':
			disconnections = options_number("disconnections", optarg);
			break;
		case 's':
			seed = options_number("seed", optarg);
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
		for (disconnections = options_divided(disconnections);
		     tally.disconnections < disconnections;)
			world_run(++seed, &tally);
	printf("%" PRIu64 " seeds, %" PRIu64 " disconnections, %" PRIu64 " attempts, %" PRIu64
	       " calls, %" PRIu64 " messages of %" PRIu64 " bytes, %" PRIu64 " turns, %" PRIu64
	       " loans, %" PRIu64 " restarts, %" PRIu64 " expiries, %" PRIu64
	       " take-overs, %" PRIu64 " ghosts, %.1f s\n",
	       tally.seeds, tally.disconnections, tally.attempts, tally.calls, tally.messages,
	       tally.bytes, tally.turns, tally.loans, tally.restarts, tally.expiries,
	       tally.takeovers, tally.ghosts, options_seconds() - begun);
	return EXIT_SUCCESS;
}
