/* hawser-peer: Hawser in the benchmark's command form, through generated stubs.
 *
 * measure.h explains the command line and the workloads. tools/bench.sh runs
 * this beside raw-epoll and raw-stream and prints the ratios; by hand:
 *
 *     build/tests/bench/hawser-peer info
 *     build/tests/bench/hawser-peer server tcp:0 loop          (prints the port)
 *     build/tests/bench/hawser-peer client tcp:PORT W2 async --peer hawser --pid SERVER
 *
 * The server runs one libevent loop; with mode pool its handlers run on the worker pool. The
 * client's modes: block, blocking stubs; async, asynchronous stubs on one event_base. After that
 * may come -plain, the same without a session, to see what that costs; and -up, -down or -down-raw:
 * the payload goes one way only, and with the last the server sends it without packing it each
 * time. All use the defaults that a user gets, but for the limits that W4, W6 and W11 exceed. */

#include "peer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char info[] = "hawser loop block tcp,unix W1,W11\n"
			   "hawser loop async tcp,unix W2,W3,W4a,W4b,W5,W6\n"
			   "hawser-async loop async tcp,unix W1\n"
			   "hawser-pool pool block tcp,unix W1\n"
			   "hawser-pool pool async tcp,unix W2,W3\n"
			   "hawser-plain loop block-plain tcp,unix W1\n"
			   "hawser-plain loop async-plain tcp,unix W2,W5,W6\n"
			   "hawser-up loop block-up tcp,unix W11\n"
			   "hawser-down loop block-down-raw tcp,unix W11\n";

_Noreturn void peer_fail(const char *what, const struct hawser_error *error)
{
	fprintf(stderr, "error: %s: %s (%s)\n", what, error->message,
		hawser_status_name(error->status));
	exit(3);
}

enum peer_way peer_way(const struct bench *bench)
{
	if (strstr(bench->mode, "-up"))
		return PEER_UP;
	if (strstr(bench->mode, "-down-raw"))
		return PEER_DOWN_RAW;
	return strstr(bench->mode, "-down") ? PEER_DOWN : PEER_BOTH_WAYS;
}

struct hawser_client *peer_make_client(const struct bench *bench, struct event_base *base)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_client *client;
	struct hawser_error error;
	char address[320];

	options.base = base;
	options.no_session = strstr(bench->mode, "-plain") != NULL;
	options.max_request_bytes = options.max_reply_bytes = PEER_LARGEST_MESSAGE;
	options.max_log_bytes = PEER_LARGEST_LOG;
	if (bench->path)
		snprintf(address, sizeof address, "unix:%s", bench->path);
	else
		snprintf(address, sizeof address, "tcp:127.0.0.1:%d", bench->port);
	client = hawser_client_new(address, &options, &error);
	if (!client || (!base && hawser_client_connect(client, &error) < 0))
		peer_fail("connect", &error);
	return client;
}

/* Runs the workload, if there is such a mode for it. */
static bool run_client(struct bench *bench)
{
	const char *workload = bench->workload;

	if (!strncmp(bench->mode, "block", 5)) {
		if (!strcmp(workload, "W11"))
			peer_beside(bench);
		else if (!strcmp(workload, "W1") || !strncmp(workload, "W4", 2))
			peer_block(bench);
		else
			return false;
		return true;
	}
	if (strncmp(bench->mode, "async", 5) != 0 || !strcmp(workload, "W11"))
		return false;
	if (!strcmp(workload, "W5"))
		peer_stream(bench);
	else
		peer_async(bench);
	return true;
}

int main(int argc, char **argv)
{
	static struct bench bench;

	bench_parse(&bench, argc, argv, info);
	if (bench.is_server && (!strcmp(bench.mode, "loop") || !strcmp(bench.mode, "pool")))
		return peer_serve(&bench);
	if (bench.is_server || !run_client(&bench)) {
		fprintf(stderr,
			"error: mode \"%s\" is unknown here; a server has loop and pool, a client "
			"async, "
			"and block for W1, W4 and W11\n",
			bench.mode);
		return 2;
	}
	bench_release(&bench);
	return 0;
}
