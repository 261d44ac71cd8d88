/* sequence-client: asks a sequence-server for numbers, and checks that every one
 * came, once and in order.
 *
 * However often the connection breaks meanwhile, nothing of it is to be seen here:
 * the stub waits for the next number, and the session sees to it that it comes. */

#include "numbers.h"
#include "program.h"
#include "sequence.hawser.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct sequence {
	uint32_t numbers[NUMBERS_MOST];
	uint32_t n, wanted;
	bool has_checksum;
	uint64_t checksum; /* the server's */
};

/* Takes the next reply. Returns whether it is the one that had to come; if not, `problem`
 * says why. */
static bool take(struct sequence *sequence, const Demo__SequenceReply *reply, char *problem,
		 size_t size)
{
	const Demo__Number *number = reply->number;

	if (sequence->has_checksum) {
		snprintf(problem, size, "something came after the checksum");
		return false;
	}
	switch (reply->content_case) {
	case DEMO__SEQUENCE_REPLY__CONTENT_CHECKSUM:
		sequence->has_checksum = true;
		sequence->checksum = reply->checksum;
		return true;
	case DEMO__SEQUENCE_REPLY__CONTENT_NUMBER:
		break;
	default:
		snprintf(problem, size, "a reply was neither a number nor the checksum");
		return false;
	}
	if (number->index < sequence->n) {
		snprintf(problem, size, "number %" PRIu32 " came twice", number->index);
		return false;
	}
	if (number->index > sequence->n) {
		snprintf(problem, size, "number %" PRIu32 " came instead of number %" PRIu32,
			 number->index, sequence->n);
		return false;
	}
	if (number->index >= sequence->wanted) {
		snprintf(problem, size, "more than %" PRIu32 " numbers came", sequence->wanted);
		return false;
	}
	note(HAWSER_LOG_DEBUG, "number %" PRIu32 " is %" PRIu32, number->index, number->value);
	sequence->numbers[sequence->n++] = number->value;
	return true;
}

/* The stream has ended well. Was that all, and is it what was sent? */
static bool check(const struct sequence *sequence, char *problem, size_t size)
{
	uint64_t checksum = CHECKSUM_INIT;

	for (uint32_t i = 0; i < sequence->n; i++)
		checksum = checksum_add(checksum, sequence->numbers[i]);
	if (sequence->n < sequence->wanted)
		snprintf(problem, size, "the stream ended too early");
	else if (!sequence->has_checksum)
		snprintf(problem, size, "the stream ended without a checksum");
	else if (checksum != sequence->checksum)
		snprintf(problem, size,
			 "the checksum is %016" PRIx64 ", that of the server %016" PRIx64, checksum,
			 sequence->checksum);
	else
		return true;
	return false;
}

/* Takes all replies of the call. */
static bool receive(struct hawser_call *call, struct sequence *sequence, char *problem, size_t size)
{
	Demo__SequenceReply *reply;
	int r;

	while ((r = demo_sequence_get_recv(call, &reply)) == 1) {
		bool good = take(sequence, reply, problem, size);

		demo__sequence_reply__free_unpacked(reply, NULL);
		if (!good)
			return false;
	}
	if (r == 0)
		return check(sequence, problem, size);
	snprintf(problem, size, "%s: %s", hawser_status_name(hawser_call_error(call)->status),
		 hawser_call_error(call)->message);
	return false;
}

/* ---- the command line ---- */

static const char usage[] =
	"Usage: sequence-client [OPTION]... ADDRESS [COUNT]\n"
	"Asks the sequence-server at ADDRESS for COUNT numbers, 1 to 65535, and checks\n"
	"them; default 10. Exits 0 when all came, once each and in order, and the\n"
	"checksum is right.\n"
	"\n"
	"  --heartbeat MS    say something to the server at least so often; default 15000\n"
	"  --timeout MS      give up after this long; default never\n"
	"  --log-level L     debug (each number), info, warning (default), error or none\n"
	"  --log-file FILE   where log lines go; default stderr\n"
	"  --help            print this\n";

enum { OPTION_HEARTBEAT = 256, OPTION_TIMEOUT, OPTION_LOG_LEVEL, OPTION_LOG_FILE, OPTION_HELP };

static const struct option options[] = {
	{"heartbeat", required_argument, NULL, OPTION_HEARTBEAT},
	{"timeout", required_argument, NULL, OPTION_TIMEOUT},
	{"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
	{"log-file", required_argument, NULL, OPTION_LOG_FILE},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

struct settings {
	struct hawser_client_options client;
	const char *address, *log_level, *log_file;
	int64_t timeout_ms;
	uint32_t count;
};

static void parse_arguments(int argc, char **argv, struct settings *settings)
{
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case OPTION_HEARTBEAT:
			settings->client.heartbeat_ms =
				parse_number("--heartbeat", optarg, 1, DAY_MS);
			break;
		case OPTION_TIMEOUT:
			settings->timeout_ms = parse_number("--timeout", optarg, 1, DAY_MS);
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
			fputs("Try 'sequence-client --help'.\n", stderr);
			exit(2);
		}
	}
	if (optind == argc || optind + 2 < argc) {
		fprintf(stderr, "sequence-client: give one address, such as tcp:127.0.0.1:7000, "
				"and perhaps a count\n");
		exit(2);
	}
	settings->address = argv[optind];
	/* Which counts are possible is the server's to say. */
	if (optind + 1 < argc)
		settings->count = parse_number("COUNT", argv[optind + 1], 0, UINT32_MAX);
}

int main(int argc, char **argv)
{
	struct settings settings = {
		.client = HAWSER_CLIENT_OPTIONS_INIT,
		.timeout_ms = HAWSER_NO_DEADLINE,
		.count = 10,
	};
	static struct sequence sequence;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Demo__SequenceRequest request = DEMO__SEQUENCE_REQUEST__INIT;
	struct hawser_client *client;
	struct hawser_call *call;
	char problem[512];
	bool good = false;

	parse_arguments(argc, argv, &settings);
	log_start(settings.log_level, settings.log_file);
	client = hawser_client_new(settings.address, &settings.client, &context.error);
	if (!client) {
		fprintf(stderr, "sequence-client: %s\n", context.error.message);
		return context.error.code == -EINVAL ? 2 : 1;
	}
	if (getrandom(&request.client_id, sizeof request.client_id, 0) < 0) {
		perror("sequence-client: no random client id");
		return 1;
	}
	request.count = sequence.wanted = settings.count;
	context.timeout_ms = settings.timeout_ms;

	call = demo_sequence_get(client, &request, &context);
	if (call)
		good = receive(call, &sequence, problem, sizeof problem);
	else
		snprintf(problem, sizeof problem, "the call was not made: %s", strerror(errno));
	if (good)
		printf("ok: %" PRIu32 " numbers, checksum %016" PRIx64 "\n", sequence.n,
		       sequence.checksum);
	else
		fprintf(stderr,
			"sequence-client: failed after %" PRIu32 " of %" PRIu32 " numbers: %s\n",
			sequence.n, sequence.wanted, problem);
	hawser_call_free(call);
	hawser_client_free(client);
	return good ? 0 : 1;
}
