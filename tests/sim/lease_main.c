/* lease-sim: seed after seed, until enough has been done.
 *
 *     lease-sim [--acts N] [--seed N] [--verbose]
 *
 * The real leases in a world where everything else is a model. A failure names its seed; `--seed`
 * lives through that one alone, exactly as before, and `--verbose` tells what happens in it. */

#include "lease_world.h"
#include "options.h"
#include "report.h"
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
	"usage: lease-sim [--acts N] [--seed N] [--verbose]\n"
	"\n"
	"  --acts N   go on with seeds 1, 2, 3 … until so much was done (default 1000000;\n"
	"             HAWSER_TEST_DIVISOR divides it)\n"
	"  --seed N   live through this seed alone\n"
	"  --verbose  tell everything that happens\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"acts", required_argument, NULL, 'a'},
		{"seed", required_argument, NULL, 's'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{NULL},
	};
	uint64_t acts = 1000000, seed = 0;
	struct lease_tally tally = {0};
	double begun = options_seconds();
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'a':
			acts = options_number("acts", optarg);
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
		fprintf(stderr, "lease-sim: %s: takes no arguments besides its options\n%s",
			argv[optind], usage);
		return 2;
	}
	if (seed)
		lease_world_run(seed, &tally);
	else
		for (acts = options_divided(acts); tally.acts < acts;)
			lease_world_run(++seed, &tally);
	printf("%" PRIu64 " seeds, %" PRIu64 " acts, %" PRIu64 " requests, %" PRIu64
	       " refusals, %" PRIu64 " grants, %" PRIu64 " handed over, %" PRIu64
	       " forced, %" PRIu64 " absences, %" PRIu64 " gone, %" PRIu64 " passed over, %" PRIu64
	       " news, %.1f s\n",
	       tally.seeds, tally.acts, tally.requests, tally.refusals, tally.grants,
	       tally.handed_over, tally.forced, tally.absences, tally.gone, tally.passed,
	       tally.news, options_seconds() - begun);
	return EXIT_SUCCESS;
}
