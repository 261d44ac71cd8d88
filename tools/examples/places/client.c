/* places-client: a command for each method of demo.Places.
 *
 * Here is the command line; ask.c and ask_notes.c have the calls. Which numbers and names make
 * sense is the server's to say. */

#include "ask.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"Usage: places-client [OPTION]... COMMAND\n"
	"Asks a places-server about the cities of the time zone database.\n"
	"\n"
	"  nearest LATITUDE LONGITUDE           the place next to a point\n"
	"  within SOUTH WEST NORTH EAST [MOST]  places in a rectangle, at most so many\n"
	"  route STOP...                        the length of a route by stops, each a\n"
	"                                       place or LATITUDE,LONGITUDE; \"-\": by\n"
	"                                       those that are lines of stdin\n"
	"  notes                                leave notes, lines \"PLACE TEXT\" of stdin,\n"
	"                                       and print those of others until it ends\n"
	"\n"
	"Degrees north and east are positive.\n"
	"\n"
	"  -a, --address ADDRESS  of the server, tcp:HOST:PORT or unix:PATH; default\n"
	"                         tcp:127.0.0.1:7000\n"
	"  -t, --timeout MS       give up after so long; default 5000 for nearest, 30000\n"
	"                         for within and route, never for notes\n"
	"  -h, --help             print this\n";

static const struct option options[] = {
	{"address", required_argument, NULL, 'a'},
	{"timeout", required_argument, NULL, 't'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static void __attribute__((noreturn)) misused(void)
{
	fputs("Try 'places-client --help'.\n", stderr);
	exit(2);
}

static unsigned long parse_number(const char *name, const char *text, unsigned long most)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end || errno || number < 1 || number > most) {
		fprintf(stderr, "places-client: %s \"%s\": give a whole number from 1 to %lu\n",
			name, text, most);
		exit(2);
	}
	return number;
}

static double degrees(const char *name, const char *text)
{
	double number;

	if (parse_degrees(text, &number))
		return number;
	fprintf(stderr, "places-client: %s \"%s\": give a number of degrees\n", name, text);
	exit(2);
}

/* ---- commands ---- */

static int nearest(struct hawser_client *client, int64_t timeout_ms, char **arguments)
{
	Demo__Point point = DEMO__POINT__INIT;

	point.latitude = degrees("LATITUDE", arguments[0]);
	point.longitude = degrees("LONGITUDE", arguments[1]);
	return ask_nearest(client, timeout_ms, &point);
}

static int within(struct hawser_client *client, int64_t timeout_ms, char **arguments)
{
	Demo__Rectangle rectangle = DEMO__RECTANGLE__INIT;
	Demo__Point south_west = DEMO__POINT__INIT, north_east = DEMO__POINT__INIT;
	unsigned long most = UINT32_MAX;

	south_west.latitude = degrees("SOUTH", arguments[0]);
	south_west.longitude = degrees("WEST", arguments[1]);
	north_east.latitude = degrees("NORTH", arguments[2]);
	north_east.longitude = degrees("EAST", arguments[3]);
	if (arguments[4])
		most = parse_number("MOST", arguments[4], most);
	rectangle.south_west = &south_west;
	rectangle.north_east = &north_east;
	return ask_within(client, timeout_ms, &rectangle, most);
}

static int route(struct hawser_client *client, int64_t timeout_ms, char **arguments)
{
	return ask_route(client, timeout_ms, strcmp(arguments[0], "-") == 0 ? NULL : arguments);
}

static int notes(struct hawser_client *client, int64_t timeout_ms, char **arguments)
{
	return ask_notes(client, timeout_ms);
}

static const struct command {
	const char *name, *arguments;
	int least, most;
	int (*run)(struct hawser_client *client, int64_t timeout_ms, char **arguments);
} commands[] = {
	{"nearest", " LATITUDE LONGITUDE", 2, 2, nearest},
	{"within", " SOUTH WEST NORTH EAST [MOST]", 4, 5, within},
	{"route", " STOP...", 1, INT32_MAX, route},
	{"notes", "", 0, 0, notes},
};

static const struct command *find_command(const char *name, int n_arguments)
{
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		const struct command *command = &commands[i];

		if (strcmp(command->name, name) != 0)
			continue;
		if (n_arguments >= command->least && n_arguments <= command->most)
			return command;
		fprintf(stderr, "places-client: the command is: %s%s\n", command->name,
			command->arguments);
		misused();
	}
	fprintf(stderr, "places-client: \"%s\" is no command\n", name);
	misused();
}

int main(int argc, char **argv)
{
	const char *address = "tcp:127.0.0.1:7000";
	const struct command *command;
	struct hawser_client *client;
	struct hawser_error error;
	int64_t timeout_ms = 0;
	int option, status;

	/* Options end at the command: "-33.9" is a latitude. */
	while ((option = getopt_long(argc, argv, "+a:t:h", options, NULL)) != -1) {
		switch (option) {
		case 'a':
			address = optarg;
			break;
		case 't':
			timeout_ms = (int64_t)parse_number("--timeout", optarg, 86400000);
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			misused();
		}
	}
	if (optind == argc) {
		fprintf(stderr, "places-client: give a command: nearest, within, route or notes\n");
		misused();
	}
	command = find_command(argv[optind], argc - optind - 1);
	/* Each line at once, also into a pipe. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	client = hawser_client_new(address, NULL, &error);
	if (!client) {
		fprintf(stderr, "places-client: %s\n", error.message);
		return error.code == -EINVAL ? 2 : 1;
	}
	status = command->run(client, timeout_ms, argv + optind + 1);
	hawser_client_free(client);
	return status;
}
