/* hawser bench: how many calls, and how fast. The load itself is load.c. */

#include "command.h"
#include "load.h"
#include "report.h"
#include "server.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	/* Of an open loop without --depth: below what a server takes by default. */
	OPEN_LOOP_DEPTH = 1000,
	MAX_SLOTS = 10000000,
};

struct settings {
	uint64_t connections, depth, size_bytes, timeout_ms;
	double rate, duration_s;
	bool json, quiet;
};

static const struct settings defaults = {
	.connections = 1,
	.size_bytes = 64,
	.timeout_ms = 10000,
	.duration_s = 10,
};

static const struct option options[] = {
	{"connections", "N", "connections to open (1)", OPTION_COUNT,
	 offsetof(struct settings, connections), 1, 100000},
	{"depth", "N", "calls in flight on each (1; with --rate: at most 1000)", OPTION_COUNT,
	 offsetof(struct settings, depth), 1, 100000},
	{"size", "BYTES", "payload of a call, each way; 4K, 16M (64)", OPTION_BYTES,
	 offsetof(struct settings, size_bytes), 0, 255u << 20},
	{"rate", "CALLS/S", "open loop: send so many calls per second, come what may",
	 OPTION_DECIMAL, offsetof(struct settings, rate), 0, 100000000},
	{"duration", "S", "seconds to run (10)", OPTION_DECIMAL,
	 offsetof(struct settings, duration_s), 0, 1000000},
	{"timeout", "MS", "deadline of each call, and to connect (10000)", OPTION_COUNT,
	 offsetof(struct settings, timeout_ms), 1, 86400000},
	{"json", NULL, "print the result as one JSON object", OPTION_FLAG,
	 offsetof(struct settings, json), 0, 0},
	{"quiet", NULL, "no progress line on the terminal", OPTION_FLAG,
	 offsetof(struct settings, quiet), 0, 0},
	{.name = NULL},
};

static void print_progress(const struct load_progress *progress, void *data)
{
	const struct load_options *load = data;
	char rate[32], p99[32], failed[32];

	fputs("\r\033[K", stderr);
	if (progress->elapsed_s > 0)
		fprintf(stderr, "%4.0f s of %.0f  %s calls/s  p99 %s  %s failed",
			progress->elapsed_s, load->duration_s,
			report_count(rate, sizeof rate, progress->calls_per_s),
			report_duration(p99, sizeof p99, progress->p99_ns),
			report_count(failed, sizeof failed, (double)progress->failed));
	else
		fprintf(stderr, "%u of %u connections are open", progress->opened,
			load->connections);
	fflush(stderr);
}

static int explain(const char *address, const struct hawser_error *error)
{
	int code = command_server_error(&command_bench, address, error);

	if (error->status == HAWSER_UNIMPLEMENTED)
		fprintf(stderr, "This server has no echo service (hawser.bench.Echo); \"hawser "
				"echo ADDR\" runs one that has.\n");
	return code;
}

static int run(const struct load_options *load, bool json)
{
	struct load_result *result = malloc(sizeof *result);
	struct hawser_error error;
	int code = EXIT_DONE;

	if (!result) {
		fprintf(stderr, "hawser bench: out of memory\n");
		return EXIT_FAILED;
	}
	if (load_run(load, result, &error) < 0)
		code = explain(load->address, &error);
	if (load->progress)
		fputs("\r\033[K", stderr);
	if (code == EXIT_DONE) {
		if (json)
			report_json(load, result);
		else
			report_table(load, result);
		if (!result->calls || result->failed)
			code = EXIT_FAILED;
	}
	free(result);
	return code;
}

static int bench(const void *data, size_t n_arguments, char **arguments)
{
	const struct settings *settings = data;
	struct load_options load = {
		.address = arguments[0],
		.connections = (unsigned)settings->connections,
		.depth = (unsigned)settings->depth,
		.size_bytes = settings->size_bytes,
		.rate = settings->rate,
		.duration_s = settings->duration_s,
		.timeout_ms = (unsigned)settings->timeout_ms,
	};
	struct hawser_client *client;
	int code;

	if (!load.depth)
		load.depth = load.rate > 0 ? OPEN_LOOP_DEPTH : 1;
	if ((uint64_t)load.connections * load.depth > MAX_SLOTS)
		return command_usage_error(&command_bench,
					   "--connections %u times --depth %u is more than "
					   "%d calls in flight: lower one of them",
					   load.connections, load.depth, MAX_SLOTS);
	if (!settings->quiet && isatty(STDERR_FILENO)) {
		load.progress = print_progress;
		load.data = &load;
	}

	/* One connection to try: if there is nothing, this says best what is wrong. */
	code = server_connect(&command_bench, load.address, load.timeout_ms, &client);
	if (code != EXIT_DONE)
		return code;
	hawser_client_free(client);
	return run(&load, settings->json);
}

const struct command command_bench = {
	.name = "bench",
	.arguments = "ADDR",
	.min_arguments = 1,
	.max_arguments = 1,
	.summary = "put load on a server's echo service, measure calls and latency",
	.description = "Calls the echo service hawser.bench.Echo at ADDR, such as \"hawser echo\" "
		       "serves,\n"
		       "compares each reply with its request, and prints calls per second and "
		       "latencies.\n",
	.notes =
		"Without --rate each connection keeps --depth calls in flight (closed loop). With\n"
		"--rate calls are sent on schedule and measured from when they were due, so that\n"
		"a stall of the server shows in full. Ctrl-C ends early with the figures so far.\n"
		"Exits 0 if all calls succeeded, 1 if not, 2 after a wrong command line.\n",
	.options = options,
	.defaults = &defaults,
	.settings_size = sizeof defaults,
	.run = bench,
};
