/* fleet-central: a server with a hub, to which remote hosts connect.
 *
 * Everything is on one event_base: the connections, the calls both ways, and standard input.
 * commands.c has what can be done with the remotes. */

#include "commands.h"
#include "fleet.hawser.h"
#include "program.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char usage[] =
	"Usage: fleet-central [OPTION]... [ADDRESS]...\n"
	"Waits for fleet-remotes, and does with them what lines on standard input say;\n"
	"\"help\" lists what they can say.\n"
	"\n"
	"Each ADDRESS is tcp:HOST:PORT (port 0: any free one) or unix:PATH; default\n"
	"tcp:127.0.0.1:7000.\n"
	"\n"
	"  --timeout MS      how long to wait for a remote's answer; default 10000\n"
	"  --at-once N       calls in flight when all are called; default 64\n"
	"  --window MS       how long a remote may be away; default 30000\n"
	"  --heartbeat MS    how often remotes are asked to say something; default 15000\n"
	"  --replace         a remote of a name that is taken replaces the other one; else\n"
	"                    it is refused, unless the other one is away\n"
	"  --help            print this\n"
	"\n"
	"Once it serves, it prints a line \"listening on ADDRESS\" for each address. SIGTERM\n"
	"and SIGINT do what \"quit\" does: give the calls that run ten seconds to end.\n";

enum {
	OPTION_TIMEOUT = 256,
	OPTION_AT_ONCE,
	OPTION_WINDOW,
	OPTION_HEARTBEAT,
	OPTION_REPLACE,
	OPTION_HELP,
};

static const struct option options[] = {
	{"timeout", required_argument, NULL, OPTION_TIMEOUT},
	{"at-once", required_argument, NULL, OPTION_AT_ONCE},
	{"window", required_argument, NULL, OPTION_WINDOW},
	{"heartbeat", required_argument, NULL, OPTION_HEARTBEAT},
	{"replace", no_argument, NULL, OPTION_REPLACE},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

enum { LINE_MOST = 65536 };

struct settings {
	struct hawser_server_options server;
	struct hawser_hub_options hub;
	unsigned timeout_ms, at_once;
	char **addresses; /* up to a NULL */
};

static void parse_arguments(int argc, char **argv, struct settings *settings)
{
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case OPTION_TIMEOUT:
			settings->timeout_ms = parse_number("--timeout", optarg, 1, DAY_MS);
			break;
		case OPTION_AT_ONCE:
			settings->at_once = parse_number("--at-once", optarg, 1, 100000);
			break;
		case OPTION_WINDOW:
			settings->server.session_window_ms =
				parse_number("--window", optarg, 1, DAY_MS);
			break;
		case OPTION_HEARTBEAT:
			settings->server.heartbeat_ms =
				parse_number("--heartbeat", optarg, 10, DAY_MS);
			break;
		case OPTION_REPLACE:
			settings->hub.duplicates = HAWSER_DUPLICATE_REPLACE;
			break;
		case OPTION_HELP:
			fputs(usage, stdout);
			exit(0);
		default:
			fputs("Try 'fleet-central --help'.\n", stderr);
			exit(2);
		}
	}
	if (optind < argc)
		settings->addresses = argv + optind;
}

/* ---- what the hub and the remotes tell ---- */

static void on_joined(struct hawser_peer *peer, void *data)
{
	tell("joined", peer, "");
}

static void on_away(struct hawser_peer *peer, void *data)
{
	tell("away", peer, "");
}

static void on_back(struct hawser_peer *peer, void *data)
{
	tell("back", peer, "");
}

static void on_gone(struct hawser_peer *peer, void *data)
{
	tell("gone", peer, "");
}

static void report(struct hawser_call *call, const Fleet__Message *message, void *data)
{
	const Fleet__Received received = FLEET__RECEIVED__INIT;
	struct hawser_peer *peer = hawser_call_from(call);

	/* Who offers nothing, and has no label, is nobody. */
	if (peer) {
		tell("report", peer, message->text);
		hawser_peer_unref(peer);
	}
	fleet_central_report_reply(call, &received);
}

static const struct fleet_central_service handlers = {.report = report};

/* ---- standard input ---- */

struct input {
	struct central *central;
	struct event *readable;
	struct evbuffer *bytes;
};

/* At the end of the input central serves on: only "quit", or a signal, ends it. */
static void on_readable(evutil_socket_t fd, short what, void *data)
{
	struct input *input = data;
	char *line;

	if (evbuffer_read(input->bytes, fd, -1) <= 0 && errno != EINTR && errno != EAGAIN)
		event_del(input->readable);
	while ((line = evbuffer_readln(input->bytes, NULL, EVBUFFER_EOL_CRLF))) {
		command_run(input->central, line);
		free(line);
	}
	fflush(stdout);
	if (evbuffer_get_length(input->bytes) > LINE_MOST) {
		puts("error: the line is too long");
		evbuffer_drain(input->bytes, evbuffer_get_length(input->bytes));
	}
}

static int input_start(struct input *input, struct event_base *base)
{
	input->bytes = evbuffer_new();
	input->readable = event_new(base, STDIN_FILENO, EV_READ | EV_PERSIST, on_readable, input);
	if (!input->bytes || !input->readable)
		return -ENOMEM;
	/* epoll takes no files, nor /dev/null: then no commands come. */
	event_add(input->readable, NULL);
	return 0;
}

static void input_end(struct input *input)
{
	if (input->readable)
		event_free(input->readable);
	if (input->bytes)
		evbuffer_free(input->bytes);
}

/* ---- the program ---- */

/* A descriptor for each remote: as many as the system lets us have. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int serve(struct central *central, const struct settings *settings,
		 struct hawser_error *error)
{
	int r;

	central->server = hawser_server_new(&settings->server, error);
	if (!central->server)
		return error->code;
	central->hub = hawser_hub_new(central->server, &settings->hub, error);
	if (!central->hub)
		return error->code;
	r = fleet_central_register(central->server, &handlers, central, error);
	for (char **at = settings->addresses; r >= 0 && *at; at++)
		r = hawser_server_listen(central->server, *at, error);
	if (r < 0)
		return r;
	for (unsigned i = 0; hawser_server_address(central->server, i); i++)
		printf("listening on %s\n", hawser_server_address(central->server, i));
	fflush(stdout);
	return hawser_server_run(central->server, error);
}

int main(int argc, char **argv)
{
	static char usual_address[] = "tcp:127.0.0.1:7000";
	char *usual[] = {usual_address, NULL};
	struct settings settings = {
		.server = HAWSER_SERVER_OPTIONS_INIT,
		.hub = HAWSER_HUB_OPTIONS_INIT,
		.timeout_ms = 10000,
		.addresses = usual,
	};
	struct central central = {0};
	struct input input = {.central = &central};
	struct hawser_error error = {.message = "out of memory"};
	int r;

	parse_arguments(argc, argv, &settings);
	setvbuf(stdout, NULL, _IOLBF, 0);
	raise_limit();
	central.timeout_ms = settings.timeout_ms;
	central.at_once = settings.at_once;
	settings.hub.on_joined = on_joined;
	settings.hub.on_away = on_away;
	settings.hub.on_back = on_back;
	settings.hub.on_gone = on_gone;
	settings.server.base = event_base_new();
	r = settings.server.base ? input_start(&input, settings.server.base) : -ENOMEM;
	if (r == 0)
		r = serve(&central, &settings, &error);
	if (r < 0)
		fprintf(stderr, "fleet-central: %s\n", error.message);
	else if (r > 0)
		fputs("fleet-central: ended before every call had\n", stderr);
	hawser_server_free(central.server);
	input_end(&input);
	if (settings.server.base)
		event_base_free(settings.server.base);
	return r == -EINVAL ? 2 : r != 0;
}
