/* sequence-server: serves demo.Sequence.
 *
 * A stream in its own time, with one event for each call and no thread. The event says when
 * the next number is due. When the client does not keep up, or is away and
 * the log is full, the stream sleeps until there is room. That a connection was
 * lost and another took its place is not to be seen here at all: the session
 * outlives both. */

#include "numbers.h"
#include "program.h"
#include "sequence.hawser.h"

#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* With an interval of 0: as many in one go; then the others' turn. */
#define NUMBERS_AT_ONCE 64

struct service {
	struct event_base *base;
	uint64_t secret; /* at random, so that another start sends other numbers */
	struct timeval interval;
};

/* One call. */
struct stream {
	const struct service *service;
	struct hawser_call *call;
	struct event *due; /* the next number is */
	uint64_t client_id, seed, checksum;
	uint32_t sent, count;
	bool is_complete; /* the checksum is sent, too */
};

static void stream_free(struct stream *stream)
{
	event_free(stream->due);
	free(stream);
}

/* The next number, or after the last one the checksum. Returns as hawser_call_send(). */
static int send_next(struct stream *stream)
{
	Demo__SequenceReply reply = DEMO__SEQUENCE_REPLY__INIT;
	Demo__Number number = DEMO__NUMBER__INIT;
	int r;

	if (stream->sent == stream->count) {
		reply.content_case = DEMO__SEQUENCE_REPLY__CONTENT_CHECKSUM;
		reply.checksum = stream->checksum;
		r = demo_sequence_get_reply(stream->call, &reply);
		stream->is_complete = r == 0;
		return r;
	}
	number.index = stream->sent;
	number.value = numbers_at(stream->seed, stream->sent);
	reply.content_case = DEMO__SEQUENCE_REPLY__CONTENT_NUMBER;
	reply.number = &number;
	r = demo_sequence_get_reply(stream->call, &reply);
	if (r == 0) {
		note(HAWSER_LOG_DEBUG, "client %016" PRIx64 ": number %" PRIu32 " sent",
		     stream->client_id, number.index);
		stream->sent++;
		stream->checksum = checksum_add(stream->checksum, number.value);
	}
	return r;
}

/* What is due now. The checksum does not wait for an interval of its own. */
static int send_due(struct stream *stream)
{
	unsigned left = evutil_timerisset(&stream->service->interval) ? 1 : NUMBERS_AT_ONCE;
	int r = 0;

	while (r == 0 && !stream->is_complete && (left > 0 || stream->sent == stream->count)) {
		r = send_next(stream);
		left -= left > 0;
	}
	return r;
}

/* There is room again, or nobody waits any more: in either case it is the stream's turn. */
static void wake(struct hawser_call *call, void *data)
{
	struct stream *stream = data;

	(void)call;
	event_active(stream->due, EV_TIMEOUT, 0);
}

/* The stream's turn, and the one place where it ends. */
static void on_due(evutil_socket_t fd, short what, void *data)
{
	struct stream *stream = data;
	int r;

	(void)fd;
	(void)what;
	r = hawser_call_cancelled(stream->call) ? -EPIPE : send_due(stream);
	if (r == 0 && !stream->is_complete) {
		event_add(stream->due, &stream->service->interval);
		return;
	}
	if (r == -EAGAIN) {
		note(HAWSER_LOG_DEBUG, "client %016" PRIx64 ": no room after %" PRIu32 " numbers",
		     stream->client_id, stream->sent);
		r = hawser_call_on_writable(stream->call, wake, stream);
		if (r == 0)
			return;
	}
	if (r == 0) {
		note(HAWSER_LOG_INFO, "client %016" PRIx64 ": all %" PRIu32 " numbers sent",
		     stream->client_id, stream->count);
		hawser_call_end(stream->call);
	} else {
		note(HAWSER_LOG_INFO,
		     "client %016" PRIx64 ": given up after %" PRIu32 " of %" PRIu32 " numbers: %s",
		     stream->client_id, stream->sent, stream->count,
		     r == -EPIPE ? "nobody waits for them any more" : strerror(-r));
		/* In any case it frees the call. */
		demo_sequence_get_fail(stream->call, HAWSER_INTERNAL,
				       "number %" PRIu32 " could not be sent: %s", stream->sent,
				       strerror(-r));
	}
	stream_free(stream);
}

static void get(struct hawser_call *call, const Demo__SequenceRequest *request, void *data)
{
	static const struct timeval now = {0};
	const struct service *service = data;
	struct stream *stream;

	if (request->count < 1 || request->count > NUMBERS_MOST) {
		demo_sequence_get_fail(call, HAWSER_INVALID_ARGUMENT,
				       "the count is %" PRIu32 "; ask for 1 to %d numbers",
				       request->count, NUMBERS_MOST);
		return;
	}
	stream = calloc(1, sizeof *stream);
	if (stream)
		stream->due = event_new(service->base, -1, 0, on_due, stream);
	if (!stream || !stream->due) {
		free(stream);
		demo_sequence_get_fail(call, HAWSER_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	stream->service = service;
	stream->call = call;
	stream->client_id = request->client_id;
	stream->seed = numbers_seed(service->secret, request->client_id);
	stream->checksum = CHECKSUM_INIT;
	stream->count = request->count;
	note(HAWSER_LOG_INFO, "client %016" PRIx64 ": wants %" PRIu32 " numbers", stream->client_id,
	     stream->count);
	event_add(stream->due, &now);
	hawser_call_on_cancel(call, wake, stream);
}

static const struct demo_sequence_service sequence = {.get = get};

/* ---- the command line ---- */

static const char usage[] =
	"Usage: sequence-server [OPTION]... [ADDRESS]\n"
	"Sends each client a sequence of numbers, and a checksum at the end.\n"
	"\n"
	"ADDRESS is tcp:HOST:PORT (port 0: any free one) or unix:PATH; default\n"
	"tcp:127.0.0.1:7000.\n"
	"\n"
	"  --interval MS     from number to number; default 1000; 0: no pause\n"
	"  --window MS       how long a client may be away; default 30000\n"
	"  --heartbeat MS    how often clients are asked to say something; default 15000\n"
	"  --log-level L     debug (each number), info, warning (default), error or none\n"
	"  --log-file FILE   where log lines go; default stderr\n"
	"  --help            print this\n"
	"\n"
	"Once it serves, it prints a line \"listening on ADDRESS\". SIGTERM and SIGINT give\n"
	"the sequences that run ten seconds to end; a second one ends them at once.\n";

enum {
	OPTION_INTERVAL = 256,
	OPTION_WINDOW,
	OPTION_HEARTBEAT,
	OPTION_LOG_LEVEL,
	OPTION_LOG_FILE,
	OPTION_HELP
};

static const struct option options[] = {
	{"interval", required_argument, NULL, OPTION_INTERVAL},
	{"window", required_argument, NULL, OPTION_WINDOW},
	{"heartbeat", required_argument, NULL, OPTION_HEARTBEAT},
	{"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
	{"log-file", required_argument, NULL, OPTION_LOG_FILE},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

struct settings {
	struct hawser_server_options server;
	const char *address, *log_level, *log_file;
	uint32_t interval_ms;
};

static void parse_arguments(int argc, char **argv, struct settings *settings)
{
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case OPTION_INTERVAL:
			settings->interval_ms = parse_number("--interval", optarg, 0, DAY_MS);
			break;
		case OPTION_WINDOW:
			settings->server.session_window_ms =
				parse_number("--window", optarg, 1, DAY_MS);
			break;
		case OPTION_HEARTBEAT:
			settings->server.heartbeat_ms =
				parse_number("--heartbeat", optarg, 1, DAY_MS);
			break;
		case OPTION_LOG_LEVEL:
			settings->log_level = optarg;
			break;
		case OPTION_LOG_FILE:
			settings->log_file = optarg;
			break;
		case OPTION_HELP:
			fputs(usage, stdout);
			exit(0);
		default:
			fputs("Try 'sequence-server --help'.\n", stderr);
			exit(2);
		}
	}
	if (optind < argc)
		settings->address = argv[optind++];
	if (optind < argc) {
		fprintf(stderr, "sequence-server: %s: give at most one address\n", argv[optind]);
		exit(2);
	}
}

static int serve(struct hawser_server *server, struct service *service, const char *address,
		 struct hawser_error *error)
{
	int r = demo_sequence_register(server, &sequence, service, error);

	if (r == 0)
		r = hawser_server_listen(server, address, error);
	if (r < 0)
		return r;
	printf("listening on %s\n", hawser_server_address(server, 0));
	fflush(stdout);
	return hawser_server_run(server, error);
}

int main(int argc, char **argv)
{
	struct settings settings = {
		.server = HAWSER_SERVER_OPTIONS_INIT,
		.address = "tcp:127.0.0.1:7000",
		.interval_ms = 1000,
	};
	struct service service = {0};
	struct hawser_server *server;
	struct hawser_error error;
	int r;

	parse_arguments(argc, argv, &settings);
	log_start(settings.log_level, settings.log_file);
	service.interval.tv_sec = settings.interval_ms / 1000;
	service.interval.tv_usec = settings.interval_ms % 1000 * 1000;
	service.base = event_base_new();
	if (!service.base || getrandom(&service.secret, sizeof service.secret, 0) < 0) {
		perror("sequence-server");
		return 1;
	}
	settings.server.base = service.base;

	server = hawser_server_new(&settings.server, &error);
	r = server ? serve(server, &service, settings.address, &error) : error.code;
	if (r < 0)
		fprintf(stderr, "sequence-server: %s\n", error.message);
	else if (r > 0)
		fprintf(stderr, "sequence-server: ended before every sequence had\n");
	/* Streams that the end has cut were woken; this lets them go. */
	event_base_loop(service.base, EVLOOP_NONBLOCK);
	hawser_server_free(server);
	event_base_free(service.base);
	return r == -EINVAL ? 2 : r != 0;
}
