/* Command line, snapshots and output of measure.h. */

#include "measure.h"
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { COMPARE_WHOLE = 64, PATH_SIZE = 320 };

_Noreturn void bench_die(const char *what)
{
	fprintf(stderr, "error: %s: %s\n", what, strerror(errno));
	exit(3);
}

uint64_t bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void sleep_s(double s)
{
	struct timespec left = {.tv_sec = (time_t)s, .tv_nsec = (long)((s - floor(s)) * 1e9)};

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

/* ---- the command line ---- */

static _Noreturn void usage(const char *program)
{
	fprintf(stderr,
		"usage: %s info | server ADDR MODE | client ADDR WORKLOAD MODE [--peer NAME]\n"
		"  [--pid SERVER] [--secs S] [--warm S] [--calls N] [--payload BYTES] [--conns N]\n"
		"  [--depth N]; ADDR is tcp:PORT (on 127.0.0.1) or unix:PATH\n",
		program);
	exit(2);
}

static bool parse_address(struct bench *bench, const char *address)
{
	char *end;
	long port;

	if (!strncmp(address, "unix:", 5) && address[5]) {
		bench->transport = "unix";
		bench->path = address + 5;
		return true;
	}
	if (strncmp(address, "tcp:", 4))
		return false;
	port = strtol(address + 4, &end, 10);
	bench->transport = "tcp";
	bench->port = (int)port;
	return end != address + 4 && !*end && port >= 0 && port <= 65535;
}

static bool parse_workload(struct bench *bench, const char *name)
{
	bench->workload = name;
	bench->payload_bytes = 64;
	bench->connections = bench->depth = 1;
	if (!strcmp(name, "W1") || !strcmp(name, "W5"))
		return true;
	if (!strcmp(name, "W2"))
		bench->depth = 64;
	else if (!strcmp(name, "W3"))
		bench->connections = 64, bench->depth = 8;
	else if (!strcmp(name, "W4a"))
		bench->payload_bytes = 1u << 20;
	else if (!strcmp(name, "W4b"))
		bench->payload_bytes = 16u << 20;
	else if (!strcmp(name, "W11")) /* with its fields it just fits the largest limit */
		bench->payload_bytes = (256u << 20) - 64;
	else if (!strcmp(name, "W6"))
		bench->connections = 10000;
	else
		return false;
	return true;
}

static bool parse_option(struct bench *bench, const char *name, const char *value)
{
	if (!strcmp(name, "--peer")) {
		bench->peer = value;
	} else if (!strcmp(name, "--secs") || !strcmp(name, "--warm")) {
		*(name[2] == 's' ? &bench->secs : &bench->warm) = strtod(value, NULL);
	} else {
		char *end;
		unsigned long long number = strtoull(value, &end, 10);

		if (end == value || *end)
			return false;
		if (!strcmp(name, "--pid"))
			bench->server_pid = (pid_t)number;
		else if (!strcmp(name, "--calls"))
			bench->max_calls = number;
		else if (!strcmp(name, "--payload"))
			bench->payload_bytes = number;
		else if (!strcmp(name, "--conns") && number > 0 && number <= 1000000)
			bench->connections = (unsigned)number;
		else if (!strcmp(name, "--depth") && number > 0 && number <= 1000000)
			bench->depth = (unsigned)number;
		else
			return false;
	}
	return true;
}

/* W6 has 10,000 connections, of two descriptors each in some programs. Root may go
 * beyond the hard limit. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit, more = {.rlim_cur = 65536, .rlim_max = 65536};

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= more.rlim_cur)
		return;
	if (more.rlim_max < limit.rlim_max)
		more.rlim_max = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &more) == 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

void bench_parse(struct bench *bench, int argc, char **argv, const char *info)
{
	memset(bench, 0, sizeof *bench);
	bench->peer = "?";
	bench->secs = 3;
	bench->warm = 0.5;
	if (argc == 2 && !strcmp(argv[1], "info")) {
		fputs(info, stdout);
		exit(0);
	}
	if (argc < 4 || !parse_address(bench, argv[2]))
		usage(argv[0]);
	raise_descriptor_limit();
	signal(SIGPIPE, SIG_IGN);
	if (!strcmp(argv[1], "server") && argc == 4) {
		bench->is_server = true;
		bench->mode = argv[3];
		return;
	}
	if (strcmp(argv[1], "client") || argc < 5 || argc % 2 == 0 ||
	    !parse_workload(bench, argv[3]))
		usage(argv[0]);
	bench->mode = argv[4];
	for (int i = 5; i + 1 < argc; i += 2)
		if (!parse_option(bench, argv[i], argv[i + 1]))
			usage(argv[0]);
	if (!strcmp(bench->workload, "W6") && bench->connections < 2) {
		fprintf(stderr, "W6 needs at least --conns 2: some warm the server up\n");
		exit(2);
	}
	bench->payload = malloc(bench->payload_bytes + 1);
	if (!bench->payload)
		bench_die("payload");
	bench_fill(bench->payload, bench->payload_bytes);
}

void bench_fill(uint8_t *payload, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		payload[i] = (uint8_t)(i * 29 + 3);
}

void bench_ready(const struct bench *bench, int port)
{
	if (bench->path)
		printf("READY unix:%s\n", bench->path);
	else
		printf("READY tcp:%d\n", port);
	fflush(stdout);
}

/* ---- snapshots ---- */

static uint64_t cpu_ns(clockid_t clock)
{
	struct timespec used;

	if (clock_gettime(clock, &used) < 0)
		return 0;
	return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

static void read_server_ticks(pid_t pid, struct bench_snapshot *snapshot)
{
	char path[64], text[1024], *field;
	unsigned long user, system;
	size_t length;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return;
	length = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[length] = '\0';
	/* After the name, which may hold blanks: state, ten numbers, then these two. */
	field = strrchr(text, ')');
	for (int i = 0; field && i < 12; i++)
		field = strchr(field + 1, ' ');
	if (field && sscanf(field, "%lu %lu", &user, &system) == 2) {
		snapshot->server_user_ticks = user;
		snapshot->server_system_ticks = system;
	}
}

/* Sums the lines that contain `key` in a /proc file. */
static uint64_t sum_lines(const char *path, const char *key)
{
	uint64_t sum = 0;
	char line[256];
	FILE *file = fopen(path, "re");

	if (!file)
		return 0;
	while (fgets(line, sizeof line, file)) {
		const char *at = strstr(line, key);

		if (at)
			sum += strtoull(at + strlen(key), NULL, 10);
	}
	fclose(file);
	return sum;
}

static uint64_t context_switches(pid_t pid)
{
	char path[PATH_SIZE];
	uint64_t switches = 0;
	struct dirent *entry;
	DIR *tasks;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	if (!tasks)
		return 0;
	while ((entry = readdir(tasks))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%s/status", (int)pid, entry->d_name);
		switches += sum_lines(path, "ctxt_switches:");
	}
	closedir(tasks);
	return switches;
}

static uint64_t rss_bytes(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
	return sum_lines(path, "Rss:") * 1024;
}

static void take_snapshot(struct bench *bench, struct bench_snapshot *snapshot)
{
	clockid_t clock;

	memset(snapshot, 0, sizeof *snapshot);
	if (bench->server_pid > 0) {
		read_server_ticks(bench->server_pid, snapshot);
		snapshot->server_switches = context_switches(bench->server_pid);
		if (clock_getcpuclockid(bench->server_pid, &clock) == 0)
			snapshot->server_cpu_ns = cpu_ns(clock);
	}
	snapshot->client_cpu_ns = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
	snapshot->time_ns = bench_now_ns();
	snapshot->calls = atomic_load_explicit(&bench->calls, memory_order_relaxed);
}

static void *control(void *data)
{
	struct bench *bench = data;

	sleep_s(bench->warm);
	take_snapshot(bench, &bench->before);
	atomic_store_explicit(&bench->measuring, true, memory_order_relaxed);
	sleep_s(bench->secs);
	atomic_store_explicit(&bench->measuring, false, memory_order_relaxed);
	take_snapshot(bench, &bench->after);
	atomic_store(&bench->over, true);
	return NULL;
}

/* ---- while it runs ---- */

void bench_begin(struct bench *bench)
{
	int code;

	if (bench->max_calls) {
		take_snapshot(bench, &bench->before);
		atomic_store(&bench->measuring, true);
		return;
	}
	code = pthread_create(&bench->controller, NULL, control, bench);
	if (code != 0) {
		errno = code;
		bench_die("thread");
	}
}

bool bench_wants_call(struct bench *bench)
{
	if (bench->max_calls)
		return bench->started++ < bench->max_calls;
	return !atomic_load_explicit(&bench->over, memory_order_relaxed);
}

void bench_call_ended(struct bench *bench, uint64_t wanted_id, uint64_t id, const void *payload,
		      size_t payload_bytes)
{
	const uint8_t *wanted = bench->payload, *came = payload;
	size_t size = bench->payload_bytes;
	bool right = id == wanted_id && payload_bytes == size;

	/* Comparing megabytes would be measured too: their last byte must do. */
	if (right && size)
		right = size <= COMPARE_WHOLE ? !memcmp(wanted, came, size)
					      : wanted[size - 1] == came[size - 1];
	if (!right) {
		fprintf(stderr,
			"error: wrong reply: id %llu instead of %llu, %zu bytes instead of %zu, "
			"or other bytes\n",
			(unsigned long long)id, (unsigned long long)wanted_id, payload_bytes, size);
		exit(5);
	}
	/* One thread counts, another reads. */
	atomic_store_explicit(&bench->calls,
			      atomic_load_explicit(&bench->calls, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

void bench_add_latency(struct bench *bench, uint64_t ns)
{
	if (!atomic_load_explicit(&bench->measuring, memory_order_relaxed))
		return;
	if (bench->n_latencies == bench->latencies_capacity) {
		size_t capacity =
			bench->latencies_capacity ? bench->latencies_capacity * 2 : (size_t)1 << 20;
		uint32_t *grown = realloc(bench->latencies_ns, capacity * sizeof *grown);

		if (!grown)
			bench_die("latencies");
		bench->latencies_ns = grown;
		bench->latencies_capacity = capacity;
	}
	bench->latencies_ns[bench->n_latencies++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

/* ---- figures ---- */

static void print_of(const struct bench *bench, const char *workload, const char *metric,
		     double value)
{
	printf("{\"peer\":\"%s\",\"workload\":\"%s\",\"transport\":\"%s\",\"metric\":\"%s\","
	       "\"value\":%.3f}\n",
	       bench->peer, workload, bench->transport, metric, value);
}

void bench_print(const struct bench *bench, const char *metric, double value)
{
	print_of(bench, bench->workload, metric, value);
}

static int compare_u32(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

void bench_sort_latencies(uint32_t *ns, size_t n)
{
	if (n)
		qsort(ns, n, sizeof *ns, compare_u32);
}

double bench_latency_us(const uint32_t *ns, size_t n, double part)
{
	return ns[(size_t)((double)n * part)] / 1e3;
}

static void print_latencies(struct bench *bench)
{
	uint32_t *ns = bench->latencies_ns;
	size_t n = bench->n_latencies;

	if (!n)
		return;
	bench_sort_latencies(ns, n);
	bench_print(bench, "p50_us", bench_latency_us(ns, n, 0.5));
	bench_print(bench, "p99_us", bench_latency_us(ns, n, 0.99));
	bench_print(bench, "p999_us", bench_latency_us(ns, n, 0.999));
}

static void print_server(const struct bench *bench, double calls, double client_us)
{
	const struct bench_snapshot *a = &bench->before, *b = &bench->after;
	double us = (double)(b->server_cpu_ns - a->server_cpu_ns) / 1e3 / calls;
	double user = (double)(b->server_user_ticks - a->server_user_ticks);
	double system = (double)(b->server_system_ticks - a->server_system_ticks);

	bench_print(bench, "server_cpu_us_per_call", us);
	if (b->server_switches >= a->server_switches) /* less when a thread has ended */
		bench_print(bench, "server_csw_per_call",
			    (double)(b->server_switches - a->server_switches) / calls);
	if (strcmp(bench->workload, "W2"))
		return;
	print_of(bench, "W7", "server_cpu_us_per_call", us);
	if (user + system > 0) {
		print_of(bench, "W7", "server_user_us_per_call", us * user / (user + system));
		print_of(bench, "W7", "server_sys_us_per_call", us * system / (user + system));
	}
	print_of(bench, "W7", "client_cpu_us_per_call", client_us);
}

void bench_end(struct bench *bench)
{
	const struct bench_snapshot *a = &bench->before, *b = &bench->after;
	double calls, secs, client_us;

	if (bench->max_calls)
		take_snapshot(bench, &bench->after);
	else
		pthread_join(bench->controller, NULL);
	calls = (double)(b->calls - a->calls);
	secs = (double)(b->time_ns - a->time_ns) / 1e9;
	if (calls <= 0) {
		fprintf(stderr, "error: no call ended in %.1f s\n", secs);
		exit(4);
	}
	if (!strcmp(bench->workload, "W1"))
		print_latencies(bench);
	if (!strncmp(bench->workload, "W4", 2))
		bench_print(bench, "mib_per_s",
			    calls * (double)bench->payload_bytes / (1 << 20) / secs);
	else
		bench_print(bench, strcmp(bench->workload, "W5") ? "calls_per_s" : "msgs_per_s",
			    calls / secs);
	client_us = (double)(b->client_cpu_ns - a->client_cpu_ns) / 1e3 / calls;
	bench_print(bench, "client_cpu_us_per_call", client_us);
	if (bench->server_pid > 0)
		print_server(bench, calls, client_us);
	fflush(stdout);
}

unsigned bench_idle_warm_up(const struct bench *bench)
{
	return bench->connections / 20 + 1;
}

void bench_idle_begin(const struct bench *bench, struct bench_idle *idle, unsigned connections)
{
	sleep_s(0.3); /* until the server has come to rest */
	idle->rss_bytes = rss_bytes(bench->server_pid);
	idle->connections = connections;
	idle->time_ns = bench_now_ns();
}

void bench_idle_end(const struct bench *bench, const struct bench_idle *idle)
{
	double secs = (double)(bench_now_ns() - idle->time_ns) / 1e9;
	double connections = (double)bench->connections - idle->connections;

	sleep_s(1);
	if (bench->server_pid > 0)
		bench_print(bench, "rss_bytes_per_conn",
			    ((double)rss_bytes(bench->server_pid) - (double)idle->rss_bytes) /
				    connections);
	bench_print(bench, "conns_per_s", connections / secs);
	bench_print(bench, "conns_open", bench->connections);
	if (bench->server_pid > 0)
		bench_print(bench, "rss_base_mib", (double)idle->rss_bytes / (1 << 20));
	fflush(stdout);
}

void bench_release(struct bench *bench)
{
	free(bench->payload);
	free(bench->latencies_ns);
}
