/* normalizer-demo: the coordinator of a pipeline.
 *
 * Reads the names of the world, starts worker processes that send them to a
 * normalizer, shows how they get on, and tells at the end what became of the
 * names and how long each call took. Exits 0 only if every name was answered rightly. */

#include "job.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Below this, the rate would say more about starting than about calling. */
#define CALLS_WANTED 300000

#define BAR_WIDTH 32

static const char usage[] =
	"Usage: normalizer-demo [OPTION]... ADDRESS\n"
	"Sends the names of the world through the normalizer at ADDRESS.\n"
	"\n"
	"  -w, --workers N   worker processes, each with one connection; default 8\n"
	"  -p, --passes N    send every name N times; default: once, or as often as it takes\n"
	"                    to make 300,000 calls\n"
	"      --json DIR    where iso_*.json are; default /usr/share/iso-codes/json\n"
	"      --locale DIR  where LANGUAGE/LC_MESSAGES/iso_*.mo are; default /usr/share/locale\n"
	"  -h, --help        print this\n";

enum { OPTION_JSON = 256, OPTION_LOCALE };

static const struct option options[] = {
	{"workers", required_argument, NULL, 'w'},
	{"passes", required_argument, NULL, 'p'},
	{"json", required_argument, NULL, OPTION_JSON},
	{"locale", required_argument, NULL, OPTION_LOCALE},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

struct settings {
	const char *address, *json_dir, *locale_dir;
	unsigned workers, passes;
};

static unsigned parse_number(const char *option, const char *text, unsigned max)
{
	char *end;
	long number = strtol(text, &end, 10);

	if (end == text || *end || number < 1 || number > (long)max) {
		fprintf(stderr, "normalizer-demo: %s %s: give a number from 1 to %u\n", option,
			text, max);
		exit(2);
	}
	return (unsigned)number;
}

static struct settings parse_arguments(int argc, char **argv)
{
	struct settings settings = {
		.json_dir = "/usr/share/iso-codes/json",
		.locale_dir = "/usr/share/locale",
		.workers = 8,
	};
	int option;

	while ((option = getopt_long(argc, argv, "w:p:h", options, NULL)) != -1) {
		switch (option) {
		case 'w':
			settings.workers = parse_number("--workers", optarg, MAX_WORKERS);
			break;
		case 'p':
			settings.passes = parse_number("--passes", optarg, 1000);
			break;
		case OPTION_JSON:
			settings.json_dir = optarg;
			break;
		case OPTION_LOCALE:
			settings.locale_dir = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs("Try 'normalizer-demo --help'.\n", stderr);
			exit(2);
		}
	}
	if (optind + 1 != argc) {
		fprintf(stderr, "normalizer-demo: give one address, such as tcp:127.0.0.1:7000\n");
		exit(2);
	}
	settings.address = argv[optind];
	return settings;
}

/* "1234567" as "1,234,567"; the four buffers are used in turn. */
static const char *grouped(uint64_t number)
{
	static char buffers[4][32];
	static unsigned turn;
	char *buffer = buffers[turn++ % 4], *end = buffer + 31, *p = end;

	*p = '\0';
	for (unsigned digits = 0; number || digits == 0; digits++, number /= 10) {
		if (digits && digits % 3 == 0)
			*--p = ',';
		*--p = (char)('0' + number % 10);
	}
	return p;
}

static void print_sources(const struct names *names)
{
	static const struct {
		const char *title_prefix, *what;
	} kinds[] = {
		{"iso_3166-1", "countries"},        {"iso_3166-2", "subdivisions"},
		{"iso_3166-3", "former countries"}, {"iso_639-", "languages"},
		{"iso_15924", "scripts"},           {"iso_4217", "currencies"},
	};
	size_t n_translations = names->n - names->n_json;
	const char *separator = ":";

	printf("  %s names in the JSON files of iso-codes", grouped(names->n_json));
	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
		const char *prefix = kinds[k].title_prefix;
		size_t n = 0;

		for (size_t i = 0; i < names->n_sources; i++) {
			if (strncmp(names->sources[i].title, prefix, strlen(prefix)) == 0)
				n += names->sources[i].n_names;
		}
		if (n > 0) {
			printf("%s %s %s", separator, grouped(n), kinds[k].what);
			separator = ",";
		}
	}
	putchar('\n');
	if (n_translations)
		printf("  %s translations of them, from the catalogs of %zu languages\n",
		       grouped(n_translations), names->n_languages);
	else
		printf("  no translations: this system was installed without gettext catalogs\n");
}

/* ---- the workers ---- */

static bool start_workers(const struct job *job, pid_t *pids)
{
	pid_t coordinator = getpid();

	fflush(stdout);
	for (unsigned i = 0; i < job->workers; i++) {
		pids[i] = fork();
		if (pids[i] < 0) {
			perror("normalizer-demo: fork");
			while (i-- > 0)
				kill(pids[i], SIGTERM);
			return false;
		}
		if (pids[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGTERM);
			_exit(getppid() == coordinator ? work(job, i) : 1);
		}
	}
	return true;
}

static uint64_t calls_so_far(const struct job *job)
{
	uint64_t calls = 0;

	for (unsigned i = 0; i < job->workers; i++)
		calls += job->board->tallies[i].calls;
	return calls;
}

/* What was shown last. */
struct progress {
	bool is_terminal;
	uint64_t shown_ns, shown_calls;
};

/* On a terminal a bar that stays in its line, else a line a second. */
static void show_progress(struct progress *progress, const struct job *job)
{
	uint64_t now = now_ns(), calls = calls_so_far(job), since_ns = now - progress->shown_ns;
	unsigned percent = (unsigned)(calls * 100 / job->calls);
	double rate = (double)(calls - progress->shown_calls) * 1e9 / (double)since_ns;

	if (since_ns < (progress->is_terminal ? 100000000u : 1000000000u))
		return;
	if (progress->is_terminal) {
		fputs("\r  [", stdout);
		for (unsigned i = 0; i < BAR_WIDTH; i++)
			putchar(i * 100 < percent * BAR_WIDTH ? '#' : '.');
		putchar(']');
	}
	printf("  %3u %%  %9s calls  %8s calls/s%s", percent, grouped(calls),
	       grouped((uint64_t)rate), progress->is_terminal ? " " : "\n");
	fflush(stdout);
	progress->shown_ns = now;
	progress->shown_calls = calls;
}

/* Wipes the bar away, or sets the lines off from what follows. */
static void end_progress(const struct progress *progress)
{
	fputs(progress->is_terminal ? "\r\033[K" : "\n", stdout);
	fflush(stdout);
}

/* Waits for all workers. Returns how many ended other than with status 0. */
static unsigned watch_workers(const struct job *job, pid_t *pids, uint64_t started_ns)
{
	struct progress progress = {.is_terminal = isatty(STDOUT_FILENO), .shown_ns = started_ns};
	const struct timespec tick = {.tv_nsec = 50000000};
	unsigned running = job->workers, bad = 0;
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	while (running > 0) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid == 0) {
			sigtimedwait(&child, NULL, &tick);
			show_progress(&progress, job);
			continue;
		}
		for (unsigned i = 0; i < job->workers; i++) {
			struct tally *tally = &job->board->tallies[i];

			if (pids[i] != pid)
				continue;
			running--;
			bad += status != 0;
			if (WIFSIGNALED(status) && tally->failures++ == 0)
				snprintf(tally->first_failure, sizeof tally->first_failure,
					 "ended by signal %d, %s", WTERMSIG(status),
					 strsignal(WTERMSIG(status)));
		}
	}
	end_progress(&progress);
	return bad;
}

/* ---- the summary ---- */

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Sorts the latencies. */
static void print_latencies(uint32_t *latencies_ns, size_t n)
{
	static const struct {
		const char *label;
		double share;
	} rows[] = {{"p50", 0.50}, {"p90", 0.90}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1.0}};

	qsort(latencies_ns, n, sizeof *latencies_ns, compare_u32);
	printf("  latency");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t rank = (size_t)(rows[i].share * (double)n);

		printf("  %s %s us", rows[i].label,
		       grouped(latencies_ns[rank < n ? rank : n - 1] / 1000));
	}
	putchar('\n');
}

/* Whether every name was answered rightly, as often as was asked for. */
static bool print_summary(const struct job *job, uint64_t took_ns)
{
	uint64_t total = job->calls;
	uint64_t calls = calls_so_far(job), changed = 0, failures = 0;
	double seconds = (double)took_ns / 1e9;

	for (unsigned i = 0; i < job->workers; i++) {
		const struct tally *tally = &job->board->tallies[i];

		changed += tally->changed;
		failures += tally->failures;
		if (tally->failures > 0)
			fprintf(stderr, "normalizer-demo: worker %u: %s\n", i + 1,
				tally->first_failure);
	}
	if (calls != total || failures > 0) {
		fprintf(stderr, "normalizer-demo: failed: %s of %s calls made, %s of them failed\n",
			grouped(calls), grouped(total), grouped(failures));
		return false;
	}

	samples_print(job);
	printf("\n  %s calls in %.1f s: %s calls/s, each reply compared with what it must be\n",
	       grouped(calls), seconds, grouped((uint64_t)((double)calls / seconds)));
	print_latencies(job->board->latencies_ns, (size_t)total);
	printf("\n  all %s names normalized, %s of them changed, 0 errors\n",
	       grouped(job->names->n), grouped(changed / job->passes));
	return true;
}

static bool run(struct job *job)
{
	size_t size = sizeof(struct board) + job->calls * sizeof *job->board->latencies_ns;
	pid_t pids[MAX_WORKERS];
	uint64_t started_ns;
	bool good = false;
	sigset_t child;

	job->board = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (job->board == MAP_FAILED) {
		perror("normalizer-demo: memory for the results");
		return false;
	}
	samples_choose(job);
	printf("  %u worker processes, one connection each\n\n", job->workers);

	/* Blocked, so that sigtimedwait() does not miss a worker's end. */
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);

	started_ns = now_ns();
	if (start_workers(job, pids)) {
		unsigned bad = watch_workers(job, pids, started_ns);

		good = print_summary(job, now_ns() - started_ns) && bad == 0;
	}
	munmap(job->board, size);
	return good;
}

int main(int argc, char **argv)
{
	struct settings settings = parse_arguments(argc, argv);
	struct names names = NAMES_INIT;
	struct job job = {
		.address = settings.address,
		.names = &names,
		.workers = settings.workers,
		.passes = settings.passes,
	};
	char error[512];
	bool good = false;

	if (names_read(&names, settings.json_dir, settings.locale_dir, error, sizeof error) < 0) {
		fprintf(stderr, "normalizer-demo: %s\n", error);
	} else if (names.n == 0) {
		fprintf(stderr, "normalizer-demo: %s: no names in it\n", settings.json_dir);
	} else {
		print_sources(&names);
		if (job.passes == 0)
			job.passes = (unsigned)((CALLS_WANTED + names.n - 1) / names.n);
		job.calls = (uint64_t)names.n * job.passes;
		good = run(&job);
	}
	names_deinit(&names);
	return good ? 0 : 1;
}
