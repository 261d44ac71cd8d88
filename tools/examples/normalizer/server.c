/* hawser-normalizer: serves demo.Normalizer.
 *
 * A service as one would deploy it: where it listens and how many threads it
 * uses come from the command line, it tells the address that it is bound to, and
 * SIGTERM lets it finish what it has begun before it goes. */

#include "normalize.h"
#include "normalizer.hawser.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <utf8proc.h>

#define MAX_LISTENERS 16

static void answer(struct hawser_call *call, const Demo__NormalizeRequest *request, void *data)
{
	Demo__NormalizeReply reply = DEMO__NORMALIZE_REPLY__INIT;
	const struct normalize_options options = {
		.form = (enum normal_form)request->form,
		.trim = request->trim,
		.case_fold = request->case_fold,
	};
	size_t offset = 0;
	char *text = NULL;

	switch (normalize(request->text, &options, &text, &offset)) {
	case 0:
		reply.text = text;
		demo_normalizer_normalize_reply(call, &reply);
		free(text);
		break;
	case -EILSEQ:
		demo_normalizer_normalize_fail(call, HAWSER_INVALID_ARGUMENT,
					       "text is not UTF-8: byte %zu (0x%02x) is wrong",
					       offset, (unsigned char)request->text[offset]);
		break;
	case -EINVAL:
		demo_normalizer_normalize_fail(
			call, HAWSER_INVALID_ARGUMENT,
			"form %d is unknown; 0 is NFC, 1 NFD, 2 NFKC, 3 NFKD", (int)request->form);
		break;
	default:
		demo_normalizer_normalize_fail(call, HAWSER_RESOURCE_EXHAUSTED,
					       "not enough memory for this text");
	}
}

static const struct demo_normalizer_service normalizer = {.normalize = answer};

static const char usage[] =
	"Usage: hawser-normalizer [--listen ADDRESS]... [--loops N] [--allow-shutdown]\n"
	"Normalizes names: Unicode forms, trimming, case folding.\n"
	"\n"
	"  -l, --listen ADDRESS   tcp:HOST:PORT (port 0: any free one) or unix:PATH; may be\n"
	"                         repeated; default tcp:127.0.0.1:0\n"
	"      --loops N          threads that serve; default 1\n"
	"      --allow-shutdown   let this user's processes stop the server through a unix socket\n"
	"      --version          print the version and the version of Unicode\n"
	"  -h, --help             print this\n"
	"\n"
	"Once it serves, it prints a line \"listening on ADDRESS\" for each address. SIGTERM\n"
	"and SIGINT make it finish the calls it has begun and end.\n";

enum { OPTION_LOOPS = 256, OPTION_ALLOW_SHUTDOWN, OPTION_VERSION };

static const struct option options[] = {
	{"listen", required_argument, NULL, 'l'},
	{"loops", required_argument, NULL, OPTION_LOOPS},
	{"allow-shutdown", no_argument, NULL, OPTION_ALLOW_SHUTDOWN},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

struct settings {
	struct hawser_server_options server;
	const char *listen[MAX_LISTENERS];
	unsigned n_listen;
};

static void parse_arguments(int argc, char **argv, struct settings *settings)
{
	char *end;
	long loops;
	int option;

	while ((option = getopt_long(argc, argv, "l:h", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			if (settings->n_listen == MAX_LISTENERS) {
				fprintf(stderr, "hawser-normalizer: at most %d --listen\n",
					MAX_LISTENERS);
				exit(2);
			}
			settings->listen[settings->n_listen++] = optarg;
			break;
		case OPTION_LOOPS:
			loops = strtol(optarg, &end, 10);
			if (end == optarg || *end || loops < 1 || loops > 256) {
				fprintf(stderr,
					"hawser-normalizer: --loops %s: give a number from 1 to "
					"256\n",
					optarg);
				exit(2);
			}
			settings->server.loops = (unsigned)loops;
			break;
		case OPTION_ALLOW_SHUTDOWN:
			settings->server.allow_shutdown = true;
			break;
		case OPTION_VERSION:
			printf("hawser-normalizer %s (Unicode %s, utf8proc %s)\n", hawser_version(),
			       utf8proc_unicode_version(), utf8proc_version());
			exit(0);
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs("Try 'hawser-normalizer --help'.\n", stderr);
			exit(2);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "hawser-normalizer: %s: not an option; addresses follow --listen\n",
			argv[optind]);
		exit(2);
	}
	if (settings->n_listen == 0)
		settings->listen[settings->n_listen++] = "tcp:127.0.0.1:0";
}

static int serve(struct hawser_server *server, const struct settings *settings,
		 struct hawser_error *error)
{
	int r = demo_normalizer_register(server, &normalizer, NULL, error);

	for (unsigned i = 0; i < settings->n_listen && r >= 0; i++)
		r = hawser_server_listen(server, settings->listen[i], error);
	if (r < 0)
		return r;

	for (unsigned i = 0; i < settings->n_listen; i++)
		printf("listening on %s\n", hawser_server_address(server, i));
	fflush(stdout);
	return hawser_server_run(server, error);
}

int main(int argc, char **argv)
{
	struct settings settings = {.server = HAWSER_SERVER_OPTIONS_INIT};
	struct hawser_server_stats stats = {.size = sizeof stats};
	struct hawser_error error;
	struct hawser_server *server;
	int r;

	parse_arguments(argc, argv, &settings);
	settings.server.name = "hawser-normalizer";

	server = hawser_server_new(&settings.server, &error);
	r = server ? serve(server, &settings, &error) : -1;
	if (r < 0) {
		fprintf(stderr, "hawser-normalizer: %s\n", error.message);
	} else {
		hawser_server_get_stats(server, &stats);
		printf("served %" PRIu64 " calls, %" PRIu64 " failed, on %" PRIu64
		       " connections; %s\n",
		       stats.calls, stats.calls_failed, stats.connections_accepted,
		       r == 0 ? "all calls finished" : "some calls were cut");
	}
	hawser_server_free(server);
	return r == 0 ? 0 : 1;
}
