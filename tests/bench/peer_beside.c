/* Small calls and pings of hawser-peer, alone on their connection and beside large messages.
 *
 * One thread calls and pings in turn, at a fixed rate. What takes longer than its turn
 * has made others miss theirs: they count as well, each with what it would have had to wait.
 * So a stop of 100 ms is a hundred slow calls, as it would be for a hundred callers, and not the
 * one that happened to be under way. Another thread makes one large call after the other.
 *
 * What is measured is what a program gets that does as README says. Its handlers do not pack 256
 * MiB on their loop (peer_worker.c). Nothing else is arranged: memory is malloc's with its
 * defaults, and with the two CPUs that tools/bench.sh takes, the small calls share one with the
 * thread that packs, receives and frees the large messages, and the server's loop shares one with
 * the thread that packs them there. */

#include "echo.hawser.h"
#include "peer.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	PERIOD_NS = 1000 * 1000, /* a call and a ping */
	SMALL_BYTES = 64,
};

struct series {
	uint32_t *ns;
	size_t n, capacity;
};

/* What was measured, alone or beside. */
struct part {
	struct series calls, pings;
};

struct beside {
	struct bench *bench;
	struct hawser_client *client;
	struct hawser_context context;
	uint64_t next_id;
	/* The large calls. */
	pthread_t thread;
	atomic_bool over;
	double large_secs;
	uint64_t large_calls;
};

/* ---- the small ones ---- */

static void small_call(struct beside *beside)
{
	const struct bench *bench = beside->bench;
	Hawser__Bench__EchoMessage request = HAWSER__BENCH__ECHO_MESSAGE__INIT, *reply;

	request.id = ++beside->next_id;
	request.payload.data = bench->payload;
	request.payload.len =
		bench->payload_bytes < SMALL_BYTES ? bench->payload_bytes : SMALL_BYTES;
	if (hawser_bench_echo_echo(beside->client, &request, &reply, &beside->context) != HAWSER_OK)
		peer_fail("small call", &beside->context.error);
	if (reply->id != request.id || reply->payload.len != request.payload.len ||
	    memcmp(reply->payload.data, request.payload.data, request.payload.len) != 0) {
		fprintf(stderr, "error: wrong reply to a small call\n");
		exit(5);
	}
	hawser__bench__echo_message__free_unpacked(reply, NULL);
}

static void ping(struct beside *beside)
{
	struct hawser_error error;

	if (hawser_client_ping(beside->client, NULL, &error) < 0)
		peer_fail("ping", &error);
}

static void sleep_until(uint64_t ns)
{
	struct timespec until = {.tv_sec = (time_t)(ns / 1000000000),
				 .tv_nsec = (long)(ns % 1000000000)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

static void add(struct series *series, uint64_t ns)
{
	if (series->n == series->capacity) {
		size_t capacity = series->capacity ? series->capacity * 2 : 4096;
		uint32_t *grown = realloc(series->ns, capacity * sizeof *grown);

		if (!grown)
			bench_die("latencies");
		series->ns = grown;
		series->capacity = capacity;
	}
	series->ns[series->n++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

/* Does it now, and adds what it took; that our thread woke up late is not the connection's doing.
 */
static void do_one(struct beside *beside, void (*what)(struct beside *), struct series *series)
{
	uint64_t began_ns = bench_now_ns(), took_ns;

	what(beside);
	took_ns = bench_now_ns() - began_ns;
	add(series, took_ns);
	while (took_ns > PERIOD_NS) {
		took_ns -= PERIOD_NS;
		add(series, took_ns);
	}
}

static void measure(struct beside *beside, struct part *part)
{
	const struct bench *bench = beside->bench;
	uint64_t due_ns = bench_now_ns(), end_ns = due_ns + (uint64_t)(bench->secs * 1e9), now_ns;
	uint64_t rounds = 0;

	do {
		sleep_until(due_ns);
		do_one(beside, small_call, &part->calls);
		sleep_until(due_ns + PERIOD_NS / 2);
		do_one(beside, ping, &part->pings);
		now_ns = bench_now_ns();
		do
			due_ns += PERIOD_NS;
		while (due_ns < now_ns);
	} while (bench->max_calls ? ++rounds < bench->max_calls : now_ns < end_ns);
}

/* ---- the large ones ---- */

static void *call_large(void *data)
{
	struct beside *beside = data;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	uint64_t began_ns = bench_now_ns();

	context.timeout_ms = HAWSER_NO_DEADLINE;
	do {
		peer_call(beside->bench, beside->client, beside->large_calls + 1, &context);
		beside->large_calls++;
	} while (!atomic_load(&beside->over));
	beside->large_secs = (double)(bench_now_ns() - began_ns) / 1e9;
	hawser_context_clear(&context);
	return NULL;
}

/* ---- figures ---- */

/* Returns how many times longer it takes beside. */
static double print_one(const struct bench *bench, const char *what, const char *which, double part,
			const struct series *alone, const struct series *beside)
{
	double a = bench_latency_us(alone->ns, alone->n, part);
	double b = bench_latency_us(beside->ns, beside->n, part);
	char metric[64];

	snprintf(metric, sizeof metric, "%s_%s_alone_us", what, which);
	bench_print(bench, metric, a);
	snprintf(metric, sizeof metric, "%s_%s_beside_us", what, which);
	bench_print(bench, metric, b);
	snprintf(metric, sizeof metric, "%s_%s_ratio", what, which);
	bench_print(bench, metric, b / a);
	return b / a;
}

static double print_both(const struct bench *bench, const char *what, const struct series *alone,
			 const struct series *beside)
{
	double median, tail;

	bench_sort_latencies(alone->ns, alone->n);
	bench_sort_latencies(beside->ns, beside->n);
	median = print_one(bench, what, "p50", 0.5, alone, beside);
	tail = print_one(bench, what, "p99", 0.99, alone, beside);
	return median > tail ? median : tail;
}

void peer_beside(struct bench *bench)
{
	struct beside beside = {.bench = bench, .context = HAWSER_CONTEXT_INIT};
	struct part before = {.calls = {NULL}}, during = {.calls = {NULL}};
	double calls, pings;
	int code;

	beside.client = peer_make_client(bench, NULL);
	peer_call(bench, beside.client, 1, &beside.context); /* all memory has been touched */
	measure(&beside, &before);
	code = pthread_create(&beside.thread, NULL, call_large, &beside);
	if (code != 0) {
		errno = code;
		bench_die("thread");
	}
	measure(&beside, &during);
	atomic_store(&beside.over, true);
	pthread_join(beside.thread, NULL);

	calls = print_both(bench, "call", &before.calls, &during.calls);
	pings = print_both(bench, "ping", &before.pings, &during.pings);
	bench_print(bench, "worst_ratio", calls > pings ? calls : pings);
	bench_print(bench, "large_mib_per_s",
		    (double)beside.large_calls * (double)bench->payload_bytes / (1 << 20) /
			    beside.large_secs);
	for (int i = 0; i < 2; i++) {
		struct part *part = i ? &during : &before;

		free(part->calls.ns);
		free(part->pings.ns);
	}
	hawser_context_clear(&beside.context);
	hawser_client_free(beside.client);
}
