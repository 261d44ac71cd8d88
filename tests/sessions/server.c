/* ledger-server: serves ledger.Ledger, and leaves a mark of each execution in a file.
 *
 *     ledger-server ADDRESS --record FILE [--OPTION N]...
 *
 * A mark is the eight bytes of the id, appended by one write(2) before the handler
 * answers. So the file is true even if the process is killed at any moment, and
 * whoever made the calls can be held to it. With --die-at it kills itself, where it hurts:
 * at the Nth execution before the mark, after it, or after the answer.
 *
 * Prints "listening on ADDRESS" when it serves, and at its end a line of figures. */

#include "arguments.h"
#include "later.h"
#include "ledger.hawser.h"
#include "listing.h"
#include "pattern.h"

#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of a reply's data; what is asked beyond it is refused. */
enum { REPLY_BYTES_MOST = 1 << 20, LATER_MS = 20 };

enum moment { NEVER, BEFORE_MARK, AFTER_MARK, AFTER_ANSWER };

static const char *const moment_names[] = {"never", "before", "marked", "answered"};

static int record = -1;
static atomic_ulong executions;
static unsigned die_at;
static enum moment die_when;

/* ---- marks, and death ---- */

static void maybe_die(unsigned long execution, enum moment moment)
{
	if (execution == die_at && moment == die_when)
		raise(SIGKILL);
}

/* Returns which execution this is. */
static unsigned long mark(uint64_t id)
{
	unsigned long execution = atomic_fetch_add(&executions, 1) + 1;

	maybe_die(execution, BEFORE_MARK);
	if (write(record, &id, sizeof id) != sizeof id)
		err(1, "a mark could not be written");
	maybe_die(execution, AFTER_MARK);
	return execution;
}

/* ---- Enter and Repeat ---- */

typedef int reply_fn(struct hawser_call *call, const Ledger__Receipt *receipt);

/* An answer that is due. */
struct answer {
	struct later later;
	struct hawser_call *call;
	reply_fn *reply;
	uint64_t id;
	uint32_t checksum;
	size_t bytes;
	uint8_t data[];
};

static void give(struct answer *answer)
{
	Ledger__Receipt receipt = LEDGER__RECEIPT__INIT;

	receipt.id = answer->id;
	receipt.checksum = answer->checksum;
	receipt.data.data = answer->data;
	receipt.data.len = answer->bytes;
	pattern_fill(answer->id, answer->data, answer->bytes);
	answer->reply(answer->call, &receipt);
	free(answer);
}

static void give_later(struct later *later)
{
	give((struct answer *)later);
}

static void enter(struct hawser_call *call, const Ledger__Entry *entry, reply_fn *reply)
{
	unsigned long execution = mark(entry->id);
	struct answer *answer;

	if (entry->reply_bytes > REPLY_BYTES_MOST || entry->how == LEDGER__HOW__FAIL) {
		hawser_call_fail(call, HAWSER_ABORTED, "as asked");
	} else {
		answer = calloc(1, sizeof *answer + entry->reply_bytes);
		if (!answer)
			err(1, "an answer");
		answer->call = call;
		answer->reply = reply;
		answer->id = entry->id;
		answer->checksum = pattern_checksum(entry->data.data, entry->data.len);
		answer->bytes = entry->reply_bytes;
		answer->later.run = give_later;
		if (entry->how == LEDGER__HOW__LATER)
			later_add(&answer->later);
		else
			give(answer);
	}
	maybe_die(execution, AFTER_ANSWER);
}

static void on_enter(struct hawser_call *call, const Ledger__Entry *entry, void *data)
{
	(void)data;
	enter(call, entry, ledger_ledger_enter_reply);
}

static void on_repeat(struct hawser_call *call, const Ledger__Entry *entry, void *data)
{
	(void)data;
	enter(call, entry, ledger_ledger_repeat_reply);
}

/* ---- List ---- */

static void on_list(struct hawser_call *call, const Ledger__Order *order, void *data)
{
	unsigned long execution = mark(order->id);

	(void)data;
	if (order->item_bytes > REPLY_BYTES_MOST)
		ledger_ledger_list_fail(call, HAWSER_INVALID_ARGUMENT, "items are too large");
	else
		listing_start(call, order);
	maybe_die(execution, AFTER_ANSWER);
}

static const struct ledger_ledger_service ledger = {
	.enter = on_enter,
	.repeat = on_repeat,
	.list = on_list,
};

/* ---- life ---- */

struct settings {
	struct hawser_server_options options;
	const char *address, *record, *die_when;
};

static void parse(struct settings *settings, int argc, char **argv)
{
	struct hawser_server_options *options = &settings->options;
	unsigned max_log_kib = 0;
	const struct argument arguments[] = {
		{.name = "record", .text = &settings->record},
		{"loops", &options->loops, 1, 64, NULL},
		{"window", &options->session_window_ms, 1, 600000, NULL},
		{"heartbeat", &options->heartbeat_ms, 1, 600000, NULL},
		{"silence", &options->silence_timeout_ms, 1, 600000, NULL},
		{"max-log-kib", &max_log_kib, 1, 1 << 20, NULL},
		{"die-at", &die_at, 1, 1 << 30, NULL},
		{.name = "die-when", .text = &settings->die_when},
	};

	settings->address =
		arguments_parse(argc, argv, arguments, sizeof arguments / sizeof *arguments);
	options->max_log_bytes = (size_t)max_log_kib << 10;
	if (!settings->record)
		errx(2, "give --record FILE, where marks of executions go");
	for (size_t i = 0; settings->die_when && i <= AFTER_ANSWER; i++) {
		if (strcmp(settings->die_when, moment_names[i]) == 0)
			die_when = (enum moment)i;
	}
	if (settings->die_when && die_when == NEVER)
		errx(2, "--die-when %s: give before, marked or answered", settings->die_when);
}

static void print_figures(struct hawser_server *server, int result)
{
	struct hawser_server_stats stats = {.size = sizeof stats};

	hawser_server_get_stats(server, &stats);
	printf("ended result=%d executions=%lu calls=%" PRIu64 " in_flight=%" PRIu64
	       " accepted=%" PRIu64 " refused=%" PRIu64 " protocol_errors=%" PRIu64
	       " sessions=%" PRIu64 " resumed=%" PRIu64 " taken_over=%" PRIu64 " expired=%" PRIu64
	       " evicted=%" PRIu64 " log_bytes=%" PRIu64 "\n",
	       result, atomic_load(&executions), stats.calls, stats.calls_in_flight,
	       stats.connections_accepted, stats.connections_refused, stats.protocol_errors,
	       stats.sessions, stats.sessions_resumed, stats.sessions_taken_over,
	       stats.sessions_expired, stats.sessions_evicted, stats.log_bytes);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct settings settings = {.options = HAWSER_SERVER_OPTIONS_INIT};
	struct hawser_server *server;
	struct hawser_error error;
	int r;

	parse(&settings, argc, argv);
	record = open(settings.record, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (record < 0)
		err(1, "%s", settings.record);
	later_start(LATER_MS);
	server = hawser_server_new(&settings.options, &error);
	if (!server || ledger_ledger_register(server, &ledger, NULL, &error) < 0 ||
	    hawser_server_listen(server, settings.address, &error) < 0)
		errx(1, "%s", error.message);
	printf("listening on %s\n", hawser_server_address(server, 0));
	fflush(stdout);
	r = hawser_server_run(server, &error);
	if (r < 0)
		errx(1, "%s", error.message);
	print_figures(server, r);
	later_stop();
	hawser_server_free(server);
	close(record);
	return 0;
}
