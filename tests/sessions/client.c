/* ledger-client: makes calls of ledger.Ledger for as long as it may, and notes how each
 * of them ended.
 *
 *     ledger-client ADDRESS --notes FILE [--OPTION N]...
 *
 * Prints "warm" when every client has had an answer, "N calls have ended" now and then
 * (--tell-every), and at its end a line of figures. SIGTERM ends it: no more calls are
 * made, and those in flight are waited for. */

#include "arguments.h"
#include "workers.h"

#include <err.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

/* Threads are looked after so often. */
static const struct timeval tick = {0, 20000};

static struct work work = {
	.options = HAWSER_CLIENT_OPTIONS_INIT,
	.mix = {.timeout_ms = 60000},
	.in_flight = 1,
	.pause_ms = 100,
	.seed = 1,
};
static const char *notes_path;
static unsigned tell_every;
static unsigned long told;
static bool is_warm, is_stopping;
static struct chance chance;

void figures_add(struct figures *figures, struct hawser_client *client)
{
	struct hawser_client_stats stats = {.size = sizeof stats};

	hawser_client_get_stats(client, &stats);
	figures->clients++;
	figures->connections += stats.connections;
	figures->resumed += stats.sessions_resumed;
	figures->lost += stats.sessions_lost;
	figures->retried += stats.calls_retried;
	figures->log_bytes += stats.log_bytes;
	figures->connected += stats.is_connected;
	if (stats.calls_in_flight)
		errx(1, "%" PRIu64 " calls are in flight that have all ended",
		     stats.calls_in_flight);
}

static void look(void)
{
	unsigned long ended = tasks_tallies().ended;

	if (!is_warm && looped_is_warm() && threads_are_warm()) {
		is_warm = true;
		puts("warm");
	}
	if (tell_every && ended / tell_every > told) {
		told = ended / tell_every;
		printf("%lu calls have ended\n", ended);
	}
	fflush(stdout);
	if (is_stopping && looped_is_idle() && threads_are_idle())
		event_base_loopbreak(work.base);
}

static void on_tick(evutil_socket_t fd, short what, void *data)
{
	(void)fd;
	(void)what;
	(void)data;
	threads_disturb(&chance);
	look();
}

static void on_signal(evutil_socket_t signal, short what, void *data)
{
	(void)signal;
	(void)what;
	(void)data;
	is_stopping = true;
	looped_stop();
	threads_stop();
	look();
}

static void parse(int argc, char **argv)
{
	struct hawser_client_options *options = &work.options;
	unsigned seed = 1, max_log_kib = 0;
	const struct argument arguments[] = {
		{.name = "notes", .text = &notes_path},
		{"tell-every", &tell_every, 1, 1 << 30, NULL},
		{"looped", &work.looped, 0, 100000, NULL},
		{"in-flight", &work.in_flight, 1, 1000, NULL},
		{"threads", &work.threads, 0, 1000, NULL},
		{"pause", &work.pause_ms, 0, 60000, NULL},
		{"timeout", &work.mix.timeout_ms, 1, 600000, NULL},
		{"streams", &work.mix.streams_percent, 0, 100, NULL},
		{"hurried", &work.mix.hurried_percent, 0, 100, NULL},
		{"seed", &seed, 0, UINT32_MAX, NULL},
		{"first", &work.first, 0, 1 << 24, NULL},
		{"heartbeat", &options->heartbeat_ms, 1, 600000, NULL},
		{"silence", &options->silence_timeout_ms, 1, 600000, NULL},
		{"backoff", &options->max_backoff_ms, 1, 600000, NULL},
		{"connect-timeout", &options->connect_timeout_ms, 1, 600000, NULL},
		{"max-log-kib", &max_log_kib, 1, 1 << 20, NULL},
	};

	work.address = arguments_parse(argc, argv, arguments, sizeof arguments / sizeof *arguments);
	work.seed = chance.state = seed;
	options->max_log_bytes = (size_t)max_log_kib << 10;
	if (!notes_path)
		errx(2, "give --notes FILE, where the ends of calls are noted");
	if (work.looped + work.threads == 0)
		errx(2, "give --looped N or --threads N, who makes the calls");
}

static void print_figures(void)
{
	struct tallies tallies = tasks_tallies();
	struct figures figures = {0};

	looped_free(&figures);
	threads_free(&figures);
	printf("ended calls=%lu right=%lu failed=%lu wrong=%lu items=%lu longest_ms=%lu clients=%lu"
	       " connections=%lu resumed=%lu lost=%lu retried=%lu log_bytes=%lu connected=%lu\n",
	       tallies.ended, tallies.right, tallies.failed, tallies.wrong, tallies.items,
	       tallies.longest_ms, figures.clients, figures.connections, figures.resumed,
	       figures.lost, figures.retried, figures.log_bytes, figures.connected);
}

int main(int argc, char **argv)
{
	struct event *ticks, *end;

	parse(argc, argv);
	tasks_note_in(notes_path);
	work.base = event_base_new();
	if (!work.base)
		errx(1, "no event_base");
	work.ended = look;
	ticks = event_new(work.base, -1, EV_PERSIST, on_tick, NULL);
	end = evsignal_new(work.base, SIGTERM, on_signal, NULL);
	if (!ticks || !end || event_add(ticks, &tick) < 0 || event_add(end, NULL) < 0)
		errx(1, "no event");
	looped_start(&work);
	threads_start(&work);
	event_base_dispatch(work.base);
	print_figures();
	event_free(ticks);
	event_free(end);
	event_base_free(work.base);
	tasks_close();
	return 0;
}
