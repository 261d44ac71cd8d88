/* What the benchmark programs of this folder share: one command line, one way
 * to measure, one form of output. They differ only in how bytes travel, so that
 * their figures can be divided by each other.
 *
 *     PROGRAM info                        a line per variant: PEER SERVER-MODE CLIENT-MODE
 *                                         TRANSPORTS WORKLOADS (lists with commas)
 *     PROGRAM server ADDR MODE            prints READY and serves until SIGTERM
 *     PROGRAM client ADDR WORKLOAD MODE [--peer NAME] [--pid SERVER] [--secs S] [--warm S]
 *                                       [--calls N] [--payload BYTES] [--conns N] [--depth N]
 *
 * ADDR is tcp:PORT on 127.0.0.1 or unix:PATH. With port 0 the system chooses;
 * the server prints the address after READY. A client prints JSON lines:
 * {"peer","workload","transport","metric","value"}.
 *
 * All workloads carry {uint64 id, payload}. All but W5 echo it, and each reply is compared
 * with its request.
 *
 *     W1   1 connection, 1 call in flight, 64 bytes: latency
 *     W2   1 connection, 64 in flight, 64 bytes (its CPU per call is also printed as W7)
 *     W3   64 connections, 8 in flight each, 64 bytes
 *     W4a  1 connection, 1 in flight, 1 MiB; W4b with 16 MiB
 *     W5   1 connection, 1 stream of messages from the server, 64 bytes each
 *     W6   10,000 idle connections that have made one call each: the server's memory
 *     W11  1 connection: pings and calls of 64 bytes, first alone, then beside calls of
 *          256 MiB, one after the other; their latencies, and how many times longer they
 *          take beside. With mode block both ways; with block-up and block-down-raw the large
 *          message goes to the server or comes from it, and the other way goes a small one.
 *
 * Time is taken by a thread that sleeps, takes a snapshot of the running totals,
 * sleeps, and takes another: the loop under test neither reads a clock nor takes
 * a lock for it (W1 reads one per call, for its latencies). With --calls exactly
 * so many calls are made, for counting instructions or system calls outside. */

#ifndef HAWSER_BENCH_MEASURE_H
#define HAWSER_BENCH_MEASURE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bench_snapshot {
	uint64_t time_ns, calls;
	uint64_t server_cpu_ns, client_cpu_ns;
	uint64_t server_user_ticks, server_system_ticks;
	uint64_t server_switches;
};

struct bench {
	/* From the command line. */
	bool is_server;
	const char *workload, *mode, *peer;
	const char *transport; /* "tcp" or "unix" */
	int port;              /* of tcp */
	const char *path;      /* of unix */
	pid_t server_pid;      /* 0: unknown */
	double secs, warm;
	uint64_t max_calls; /* 0: by time */
	size_t payload_bytes;
	unsigned connections, depth;

	/* While it runs. */
	uint8_t *payload; /* payload_bytes of it, and what each reply has to carry */
	atomic_uint_fast64_t calls;
	uint64_t started;
	atomic_bool measuring, over;
	uint32_t *latencies_ns;
	size_t n_latencies, latencies_capacity;
	struct bench_snapshot before, after;
	pthread_t controller;
};

/** Prints "PROGRAM: what: the errno's text" and exits 3. */
_Noreturn void bench_die(const char *what);

/** Parses the command line; answers `info` and exits; a wrong one exits 2. */
void bench_parse(struct bench *bench, int argc, char **argv, const char *info);

/** Fills a payload with what every reply must have. */
void bench_fill(uint8_t *payload, size_t bytes);

/** Prints READY, and for port 0 the port that was chosen. */
void bench_ready(const struct bench *bench, int port);

/** All is connected: starts the clock. */
void bench_begin(struct bench *bench);

/** Whether to start another call. */
bool bench_wants_call(struct bench *bench);

/** A call has ended, whose reply came with this id and payload. Exits 5 if that is not what was
 * sent. */
void bench_call_ended(struct bench *bench, uint64_t wanted_id, uint64_t id, const void *payload,
		      size_t payload_bytes);

/** How long a call took; W1 only. */
void bench_add_latency(struct bench *bench, uint64_t ns);

/** Prints one figure of the workload. */
void bench_print(const struct bench *bench, const char *metric, double value);

/** Sorts latencies, for bench_latency_us(). */
void bench_sort_latencies(uint32_t *ns, size_t n);

/** What that part of n sorted latencies do not exceed, in microseconds. */
double bench_latency_us(const uint32_t *ns, size_t n, double part);

/** The last call has ended: prints the figures. */
void bench_end(struct bench *bench);

/**
 * W6: a bench opens a twentieth of the connections to warm the server up, calls
 * bench_idle_begin(), opens the others, and calls bench_idle_end() with all of
 * them still open.
 */
struct bench_idle {
	uint64_t rss_bytes, time_ns;
	unsigned connections;
};
unsigned bench_idle_warm_up(const struct bench *bench);
void bench_idle_begin(const struct bench *bench, struct bench_idle *idle, unsigned connections);
void bench_idle_end(const struct bench *bench, const struct bench_idle *idle);

/** Frees what bench_parse() and a run have allocated. */
void bench_release(struct bench *bench);

/** Nanoseconds on a clock that never jumps. */
uint64_t bench_now_ns(void);

#endif /* HAWSER_BENCH_MEASURE_H */
