/* places-server: serves demo.Places.
 *
 * One loop, no other thread. What it may hold is bounded, and the bounds can be set. */

#include "data.h"
#include "service.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
	"Usage: places-server [OPTION]... [ADDRESS]\n"
	"Answers questions about the cities of the time zone database, and keeps notes\n"
	"that visitors leave there.\n"
	"\n"
	"ADDRESS is tcp:HOST:PORT (port 0: any free one) or unix:PATH; default\n"
	"tcp:127.0.0.1:7000.\n"
	"\n"
	"  --data FILE         the table of places; default\n"
	"                      " PLACES_FILE "\n"
	"  --notes N           how many notes to keep; default 10000\n"
	"  --notes-at-place N  and how many at each place; default 100\n"
	"  --waiting N         how many may wait for a visitor that takes them slowly, at\n"
	"                      least as many as at a place; default 500\n"
	"  --window N          how many bytes of requests a client may send ahead on each\n"
	"                      call; default 262144\n"
	"  --help              print this\n"
	"\n"
	"Once it serves, it prints a line \"listening on ADDRESS\". SIGTERM and SIGINT give\n"
	"the calls that run a second to end; another one ends them at once.\n";

enum {
	OPTION_DATA = 256,
	OPTION_NOTES,
	OPTION_NOTES_AT_PLACE,
	OPTION_WAITING,
	OPTION_WINDOW,
	OPTION_HELP,
};

static const struct option options[] = {
	{"data", required_argument, NULL, OPTION_DATA},
	{"notes", required_argument, NULL, OPTION_NOTES},
	{"notes-at-place", required_argument, NULL, OPTION_NOTES_AT_PLACE},
	{"waiting", required_argument, NULL, OPTION_WAITING},
	{"window", required_argument, NULL, OPTION_WINDOW},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

struct settings {
	const char *address, *data;
	struct service_limits limits;
	uint32_t window_bytes; /* 0: the library's default */
};

static uint32_t parse_number(const char *name, const char *text)
{
	enum { MOST = 1000000 };
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end || errno || number < 1 || number > MOST) {
		fprintf(stderr, "places-server: %s \"%s\": give a whole number from 1 to %d\n",
			name, text, MOST);
		exit(2);
	}
	return (uint32_t)number;
}

static void parse_arguments(int argc, char **argv, struct settings *settings)
{
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case OPTION_DATA:
			settings->data = optarg;
			break;
		case OPTION_NOTES:
			settings->limits.notes = parse_number("--notes", optarg);
			break;
		case OPTION_NOTES_AT_PLACE:
			settings->limits.notes_at_place = parse_number("--notes-at-place", optarg);
			break;
		case OPTION_WAITING:
			settings->limits.waiting = parse_number("--waiting", optarg);
			break;
		case OPTION_WINDOW:
			settings->window_bytes = parse_number("--window", optarg);
			break;
		case OPTION_HELP:
			fputs(usage, stdout);
			exit(0);
		default:
			fputs("Try 'places-server --help'.\n", stderr);
			exit(2);
		}
	}
	if (optind < argc)
		settings->address = argv[optind++];
	if (optind < argc) {
		fprintf(stderr, "places-server: %s: give at most one address\n", argv[optind]);
		exit(2);
	}
	if (settings->limits.waiting < settings->limits.notes_at_place) {
		fprintf(stderr,
			"places-server: --waiting %u: give %u or more, as many as "
			"--notes-at-place\n",
			settings->limits.waiting, settings->limits.notes_at_place);
		exit(2);
	}
}

static int serve(struct hawser_server *server, struct service *service, const char *address,
		 struct hawser_error *error)
{
	int r = demo_places_register(server, &service_handlers, service, error);

	if (r == 0)
		r = hawser_server_listen(server, address, error);
	if (r < 0)
		return r;
	printf("listening on %s\n", hawser_server_address(server, 0));
	fflush(stdout);
	return hawser_server_run(server, error);
}

/* Returns the program's exit status. */
static int run(const struct settings *settings, struct service *service)
{
	struct hawser_server_options server_options = HAWSER_SERVER_OPTIONS_INIT;
	struct hawser_server *server;
	struct hawser_error error;
	int r;

	/* Visitors stay as long as they like; nothing is gained by waiting for them. */
	server_options.drain_timeout_ms = 1000;
	server_options.stream_window_bytes = settings->window_bytes;
	server_options.max_stream_window_bytes = settings->window_bytes;
	server = hawser_server_new(&server_options, &error);
	r = server ? serve(server, service, settings->address, &error) : error.code;
	if (r < 0)
		fprintf(stderr, "places-server: %s\n", error.message);
	else if (r > 0)
		fprintf(stderr, "places-server: ended before every call had\n");
	hawser_server_free(server);
	return r == -EINVAL ? 2 : r != 0;
}

int main(int argc, char **argv)
{
	struct settings settings = {
		.address = "tcp:127.0.0.1:7000",
		.data = PLACES_FILE,
		.limits = SERVICE_LIMITS_INIT,
	};
	struct service service;
	struct places places;
	char problem[512];
	int status = 1;

	parse_arguments(argc, argv, &settings);
	if (places_read(&places, settings.data, problem, sizeof problem) < 0) {
		fprintf(stderr, "places-server: %s\n", problem);
		return 1;
	}
	if (service_init(&service, &places, &settings.limits) == 0) {
		status = run(&settings, &service);
		service_deinit(&service);
	} else {
		fprintf(stderr, "places-server: out of memory\n");
	}
	places_deinit(&places);
	return status;
}
