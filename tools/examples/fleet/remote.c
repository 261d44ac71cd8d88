/* fleet-remote: one remote host or several, which work for a fleet-central.
 *
 * Here are the command line and the process; worker.c has what a remote does. */

#include "program.h"
#include "worker.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
	"Usage: fleet-remote [OPTION]... ADDRESS\n"
	"Connects to the fleet-central at ADDRESS, tcp:HOST:PORT or unix:PATH, and does what\n"
	"it is told: counts words. Connects again when the connection breaks.\n"
	"\n"
	"  --name NAME       what to be called; default HOST-PID\n"
	"  --count N         be so many remotes, NAME-1 to NAME-N; default 1\n"
	"  --label KEY=VALUE told to central; up to 8 of them\n"
	"  --listen ADDRESS  listen as well, and tell central where (port 0: any free one)\n"
	"  --work MS         how long a job takes; default 0\n"
	"  --jobs N          how many to do at a time; default 16\n"
	"  --report MS       how often to report to central; default only at the start\n"
	"  --heartbeat MS    how often to see whether central is there; default 1000\n"
	"  --alone MS        end when nothing was heard of central for so long, to within\n"
	"                    an eighth; default 10000, at least four heartbeats\n"
	"  --help            print this\n"
	"\n"
	"A remote that is told to shut down takes no more jobs, finishes those that run, and\n"
	"ends; SIGTERM and SIGINT tell all of them, a second one ends them at once. Exits\n"
	"0 when all ended so, 3 when one has heard nothing of central for too long, 1 when\n"
	"something failed, and 2 when the command line was wrong.\n";

enum {
	OPTION_NAME = 256,
	OPTION_COUNT,
	OPTION_LABEL,
	OPTION_LISTEN,
	OPTION_WORK,
	OPTION_JOBS,
	OPTION_REPORT,
	OPTION_HEARTBEAT,
	OPTION_ALONE,
	OPTION_HELP,
};

enum { LABELS_MOST = 8, COUNT_MOST = 10000, BEATS_LEAST = 4 };

static const struct option options[] = {
	{"name", required_argument, NULL, OPTION_NAME},
	{"count", required_argument, NULL, OPTION_COUNT},
	{"label", required_argument, NULL, OPTION_LABEL},
	{"listen", required_argument, NULL, OPTION_LISTEN},
	{"work", required_argument, NULL, OPTION_WORK},
	{"jobs", required_argument, NULL, OPTION_JOBS},
	{"report", required_argument, NULL, OPTION_REPORT},
	{"heartbeat", required_argument, NULL, OPTION_HEARTBEAT},
	{"alone", required_argument, NULL, OPTION_ALONE},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

struct process {
	struct worker_settings settings;
	struct hawser_label labels[LABELS_MOST];
	char name[64];
	unsigned count;
	struct worker **workers; /* NULL: has ended */
	unsigned n_left;
	bool was_told; /* by a signal */
	int status;
};

/* ---- the command line ---- */

static void add_label(struct process *process, char *text)
{
	struct hawser_label *label = &process->labels[process->settings.n_labels];
	char *equals = strchr(text, '=');

	if (!equals || equals == text || process->settings.n_labels == LABELS_MOST) {
		fprintf(stderr, "fleet-remote: --label \"%s\": give up to %d of the form %s\n",
			text, LABELS_MOST, "KEY=VALUE");
		exit(2);
	}
	*equals = 0;
	label->key = text;
	label->value = equals + 1;
	process->settings.n_labels++;
}

static void parse_option(struct process *process, int option)
{
	struct worker_settings *settings = &process->settings;

	switch (option) {
	case OPTION_NAME:
		snprintf(process->name, sizeof process->name, "%s", optarg);
		break;
	case OPTION_COUNT:
		process->count = parse_number("--count", optarg, 1, COUNT_MOST);
		break;
	case OPTION_LABEL:
		add_label(process, optarg);
		break;
	case OPTION_LISTEN:
		settings->listens = optarg;
		break;
	case OPTION_WORK:
		settings->work_ms = parse_number("--work", optarg, 0, DAY_MS);
		break;
	case OPTION_JOBS:
		settings->jobs_most = parse_number("--jobs", optarg, 1, 1000);
		break;
	case OPTION_REPORT:
		settings->report_ms = parse_number("--report", optarg, 1, DAY_MS);
		break;
	case OPTION_HEARTBEAT:
		settings->heartbeat_ms = parse_number("--heartbeat", optarg, 10, DAY_MS);
		break;
	case OPTION_ALONE:
		settings->alone_ms = parse_number("--alone", optarg, 1, DAY_MS);
		break;
	case OPTION_HELP:
		fputs(usage, stdout);
		exit(0);
	default:
		fputs("Try 'fleet-remote --help'.\n", stderr);
		exit(2);
	}
}

static void parse_arguments(int argc, char **argv, struct process *process)
{
	const struct worker_settings *settings = &process->settings;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		parse_option(process, option);
	if (optind + 1 != argc) {
		fputs("fleet-remote: give one address, that of a fleet-central\n", stderr);
		exit(2);
	}
	process->settings.central = argv[optind];
	if (settings->alone_ms / BEATS_LEAST < settings->heartbeat_ms) {
		fprintf(stderr,
			"fleet-remote: --alone %u would end it between two heartbeats; give "
			"%u or more, or a shorter --heartbeat\n",
			settings->alone_ms, BEATS_LEAST * settings->heartbeat_ms);
		exit(2);
	}
}

/* ---- the process ---- */

static void on_ended(struct worker *worker, enum worker_end how, void *data)
{
	struct process *process = data;

	for (unsigned i = 0; i < process->count; i++)
		if (process->workers[i] == worker)
			process->workers[i] = NULL;
	if (how != ENDED_WELL)
		process->status = how;
	if (--process->n_left == 0)
		event_base_loopbreak(process->settings.base);
}

static void on_signal(evutil_socket_t number, short what, void *data)
{
	struct process *process = data;

	if (process->was_told) {
		process->status = 1;
		event_base_loopbreak(process->settings.base);
	}
	process->was_told = true;
	for (unsigned i = 0; i < process->count; i++)
		if (process->workers[i])
			worker_leave(process->workers[i]);
}

static bool start_all(struct process *process, struct hawser_error *error)
{
	process->workers = calloc(process->count, sizeof *process->workers);
	if (!process->workers) {
		snprintf(error->message, sizeof error->message, "out of memory");
		return false;
	}
	for (; process->n_left < process->count; process->n_left++) {
		char name[sizeof process->name + 16];

		snprintf(name, sizeof name, "%s", process->name);
		if (process->count > 1)
			snprintf(name, sizeof name, "%s-%u", process->name, process->n_left + 1);
		process->workers[process->n_left] =
			worker_start(&process->settings, name, on_ended, process, error);
		if (!process->workers[process->n_left])
			return false;
	}
	return true;
}

static int run(struct process *process)
{
	struct event_base *base = process->settings.base;
	struct event *terminate = evsignal_new(base, SIGTERM, on_signal, process);
	struct event *interrupt = evsignal_new(base, SIGINT, on_signal, process);
	struct hawser_error error = {.code = 0};

	if (!terminate || event_add(terminate, NULL) < 0 || !interrupt ||
	    event_add(interrupt, NULL) < 0) {
		fputs("fleet-remote: out of memory\n", stderr);
		process->status = 1;
	} else if (!start_all(process, &error)) {
		fprintf(stderr, "fleet-remote: %s\n", error.message);
		process->status = error.code == -EINVAL ? 2 : 1;
	} else {
		event_base_dispatch(base);
	}
	for (unsigned i = 0; process->workers && i < process->count; i++)
		if (process->workers[i])
			worker_free(process->workers[i]);
	free(process->workers);
	if (terminate)
		event_free(terminate);
	if (interrupt)
		event_free(interrupt);
	return process->status;
}

int main(int argc, char **argv)
{
	struct process process = {
		.settings = {.jobs_most = 16, .heartbeat_ms = 1000, .alone_ms = 10000},
		.count = 1,
	};
	char host[48] = "remote";
	int status;

	gethostname(host, sizeof host - 1);
	snprintf(process.name, sizeof process.name, "%s-%ld", host, (long)getpid());
	process.settings.labels = process.labels;
	parse_arguments(argc, argv, &process);
	process.settings.base = event_base_new();
	if (!process.settings.base) {
		fputs("fleet-remote: no event_base\n", stderr);
		return 1;
	}
	status = run(&process);
	event_base_free(process.settings.base);
	return status;
}
