/* hawser ping: is the server there, and how far away.
 *
 * Ctrl-C must end it at once with the summary, also in the middle of a ping that
 * nobody answers, which is a blocking call of the library. So signals go to a
 * thread of their own; a lock keeps it from the figures while they change. */

#include "clock.h"
#include "command.h"
#include "server.h"
#include "text.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct settings {
	uint64_t count, interval_ms, timeout_ms;
};

static const struct settings defaults = {.count = 4, .interval_ms = 1000, .timeout_ms = 5000};

static const struct option options[] = {
	{"count", "N", "pings to send; 0: until Ctrl-C (4)", OPTION_COUNT,
	 offsetof(struct settings, count), 0, UINT32_MAX},
	{"interval", "MS", "from one to the next (1000)", OPTION_COUNT,
	 offsetof(struct settings, interval_ms), 0, 86400000},
	{"timeout", "MS", "how long to wait for each answer (5000)", OPTION_COUNT,
	 offsetof(struct settings, timeout_ms), 1, 86400000},
	{.name = NULL},
};

struct pinger {
	const char *address;
	const struct settings *settings;
	pthread_mutex_t lock; /* over all that follows, and over stdout */
	bool over;            /* the figures are printed */
	uint64_t sent, answered;
	uint64_t min_us, max_us, sum_us;
};

/* Prints the figures; returns the exit code. */
static int summarize(const struct pinger *pinger)
{
	printf("\n%s: %llu sent, %llu answered, %llu lost\n", pinger->address,
	       (unsigned long long)pinger->sent, (unsigned long long)pinger->answered,
	       (unsigned long long)(pinger->sent - pinger->answered));
	if (pinger->answered)
		printf("round trip min/avg/max %.3f/%.3f/%.3f ms\n", (double)pinger->min_us / 1e3,
		       (double)pinger->sum_us / (double)pinger->answered / 1e3,
		       (double)pinger->max_us / 1e3);
	return pinger->sent && pinger->sent == pinger->answered ? EXIT_DONE : EXIT_FAILED;
}

static void *wait_for_signal(void *data)
{
	struct pinger *pinger = data;
	sigset_t signals;
	int signal, code = EXIT_FAILED;

	pthread_sigmask(SIG_BLOCK, NULL, &signals);
	while (sigwait(&signals, &signal) != 0)
		;
	pthread_mutex_lock(&pinger->lock);
	if (pinger->over) {
		pthread_mutex_unlock(&pinger->lock);
		return NULL;
	}
	if (pinger->sent)
		code = summarize(pinger);
	fflush(stdout);
	_exit(code);
}

/* Starts the thread before any other, so that the signals can reach no other. */
static int watch_signals(struct pinger *pinger, pthread_t *thread)
{
	sigset_t signals;
	int code;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	code = pthread_create(thread, NULL, wait_for_signal, pinger);
	if (code == 0)
		return EXIT_DONE;
	fprintf(stderr, "hawser ping: cannot start a thread: %s\n", strerror(code));
	return EXIT_FAILED;
}

static void unwatch_signals(struct pinger *pinger, pthread_t thread)
{
	pthread_mutex_lock(&pinger->lock);
	pinger->over = true;
	pthread_mutex_unlock(&pinger->lock);
	pthread_kill(thread, SIGTERM); /* what it waits for */
	pthread_join(thread, NULL);
}

static void note_answer(struct pinger *pinger, uint64_t rtt_us)
{
	pinger->answered++;
	pinger->sum_us += rtt_us;
	if (pinger->answered == 1 || rtt_us < pinger->min_us)
		pinger->min_us = rtt_us;
	if (rtt_us > pinger->max_us)
		pinger->max_us = rtt_us;
	printf("answer %llu from %s: %.3f ms\n", (unsigned long long)pinger->sent, pinger->address,
	       (double)rtt_us / 1e3);
	fflush(stdout);
}

static void ping_once(struct pinger *pinger, struct hawser_client *client)
{
	struct hawser_error error;
	char message[HAWSER_ERROR_MESSAGE_SIZE];
	uint64_t rtt_us;
	int code;

	code = hawser_client_ping(client, &rtt_us, &error);
	pthread_mutex_lock(&pinger->lock);
	pinger->sent++;
	if (code == 0) {
		note_answer(pinger, rtt_us);
	} else {
		fprintf(stderr, "hawser ping: number %llu: ", (unsigned long long)pinger->sent);
		text_clean(message, sizeof message, error.message);
		if (!strstr(message, pinger->address))
			fprintf(stderr, "%s: ", pinger->address);
		fprintf(stderr, "%s\n", message);
	}
	pthread_mutex_unlock(&pinger->lock);
}

/* Pings keep their rhythm however long the answers take. */
static void wait_until(uint64_t time_ns)
{
	struct timespec until = {
		.tv_sec = (time_t)(time_ns / 1000000000u),
		.tv_nsec = (long)(time_ns % 1000000000u),
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

static void ping_all(struct pinger *pinger, struct hawser_client *client)
{
	const struct settings *settings = pinger->settings;
	uint64_t next_ns = clock_now_ns();
	char name[128], clean[128];

	hawser_client_server_name(client, name, sizeof name);
	printf("%s is %s\n", pinger->address, text_clean(clean, sizeof clean, name));
	fflush(stdout);
	for (;;) {
		ping_once(pinger, client);
		if (pinger->sent == settings->count)
			return;
		next_ns += settings->interval_ms * 1000000u;
		wait_until(next_ns);
	}
}

static int ping(const void *data, size_t n_arguments, char **arguments)
{
	const struct settings *settings = data;
	struct pinger pinger = {
		.address = arguments[0],
		.settings = settings,
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	struct hawser_client *client;
	pthread_t thread;
	int code;

	if (watch_signals(&pinger, &thread) != EXIT_DONE)
		return EXIT_FAILED;
	code = server_connect(&command_ping, pinger.address, (unsigned)settings->timeout_ms,
			      &client);
	if (code == EXIT_DONE) {
		ping_all(&pinger, client);
		hawser_client_free(client);
	}
	unwatch_signals(&pinger, thread);
	return code == EXIT_DONE ? summarize(&pinger) : code;
}

const struct command command_ping = {
	.name = "ping",
	.arguments = "ADDR",
	.min_arguments = 1,
	.max_arguments = 1,
	.summary = "see whether a server answers, and how fast",
	.description =
		"Sends pings to the server at ADDR, prints the round trip of each, and a summary.\n"
		"A connection that is lost on the way is opened again by the next ping.\n",
	.notes = "Ctrl-C ends early with the summary. Exits 0 if every ping was answered,\n1 if "
		 "not.\n",
	.options = options,
	.defaults = &defaults,
	.settings_size = sizeof defaults,
	.run = ping,
};
