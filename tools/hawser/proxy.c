/* hawser proxy: stands between clients and a server, and breaks what a network
 * breaks.
 *
 * It knows nothing of the protocol but where frames begin, and so can stand before
 * any server that speaks over TCP or a unix socket. proxy.h lists its parts. */

#include "proxy.h"
#include "clock.h"
#include "command.h"
#include "proxy_control.h"
#include "proxy_relay.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	ACCEPT_AT_ONCE = 64, /* then it is the others' turn */
	ACCEPT_PAUSE_MS = 100,
	/* The listeners, control connections, and what the base needs. */
	OTHER_FILES = 64,
	DAY_MS = 86400000,
};

struct settings {
	uint64_t seed, cut_every_ms, cut_after_bytes, stall_every_ms, stall_for_ms;
	const char *cut_how, *direction, *control;
	uint64_t delay_ms, jitter_ms, rate_bytes_per_s, segment_bytes, corrupt_ppm;
	uint64_t buffer_bytes, max_connections;
	bool cut_mid_frame, black_hole, refuse, quiet, verbose;
};

static const struct settings defaults = {
	.cut_how = "fin",
	.direction = "both",
	.buffer_bytes = 1u << 20,
	.max_connections = 10000,
};

#define AT(member) offsetof(struct settings, member)

static const struct option options[] = {
	{"seed", "N", "of all chance; the same seed, the same faults (random)", OPTION_COUNT,
	 AT(seed), 1, INT64_MAX},
	{"cut-every", "MS", "cut each connection after about so long", OPTION_COUNT,
	 AT(cut_every_ms), 1, DAY_MS},
	{"cut-after", "BYTES", "cut each connection after so many bytes one way", OPTION_BYTES,
	 AT(cut_after_bytes), 1, UINT64_C(1) << 50},
	{"cut-how", "HOW", "fin, rst, silent or random (fin)", OPTION_TEXT, AT(cut_how), 0, 0},
	{"cut-mid-frame", NULL, "cut in the middle of a frame", OPTION_FLAG, AT(cut_mid_frame), 0,
	 0},
	{"stall-every", "MS", "stall each connection about so often", OPTION_COUNT,
	 AT(stall_every_ms), 1, DAY_MS},
	{"stall-for", "MS", "how long such a stall lasts (1000)", OPTION_COUNT, AT(stall_for_ms), 1,
	 DAY_MS},
	{"delay", "MS", "hold bytes back for so long", OPTION_COUNT, AT(delay_ms), 0, DAY_MS},
	{"jitter", "MS", "vary the delay by up to so much, either way", OPTION_COUNT, AT(jitter_ms),
	 0, DAY_MS},
	{"rate", "BYTES/S", "let no more through", OPTION_BYTES, AT(rate_bytes_per_s), 1,
	 UINT64_C(1) << 40},
	{"segment", "BYTES", "send in pieces of at most so many", OPTION_BYTES, AT(segment_bytes),
	 1, 1u << 30},
	{"corrupt", "PPM", "change so many bytes in a million", OPTION_COUNT, AT(corrupt_ppm), 0,
	 1000000},
	{"direction", "DIR", "up, down or both; of stalls and what follows them (both)",
	 OPTION_TEXT, AT(direction), 0, 0},
	{"black-hole", NULL, "take new connections and say nothing", OPTION_FLAG, AT(black_hole), 0,
	 0},
	{"refuse", NULL, "refuse new connections", OPTION_FLAG, AT(refuse), 0, 0},
	{"buffer", "BYTES", "most to hold, one way of a connection (1M)", OPTION_BYTES,
	 AT(buffer_bytes), 4096, 1u << 30},
	{"max-connections", "N", "connections at a time (10000)", OPTION_COUNT, AT(max_connections),
	 1, 1000000},
	{"control", "unix:PATH", "take commands there too", OPTION_TEXT, AT(control), 0, 0},
	{"quiet", NULL, "no figures at the end, no warnings", OPTION_FLAG, AT(quiet), 0, 0},
	{"verbose", NULL, "say on stderr what happens to each connection", OPTION_FLAG, AT(verbose),
	 0, 0},
	{.name = NULL},
};

/* ---- what it says ---- */

void proxy_print_statistics(const struct proxy *proxy, FILE *file)
{
	const struct statistics *s = &proxy->statistics;
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{"seed", proxy->faults.seed},
		{"accepted", s->accepted},
		{"open", proxy->n_relays},
		{"bytes-up", s->bytes[UP]},
		{"bytes-down", s->bytes[DOWN]},
		{"cut-fin", s->cuts[CUT_FIN]},
		{"cut-rst", s->cuts[CUT_RST]},
		{"cut-silent", s->cuts[CUT_SILENT]},
		{"cut-mid-frame", s->mid_frame},
		{"stalls", s->stalls},
		{"corrupted", s->corrupted},
		{"black-holed", s->black_holed},
		{"refused-by-target", s->refused_by_target},
		{"over-limit", s->over_limit},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		fprintf(file, "%s %" PRIu64 "\n", rows[i].name, rows[i].value);
}

void proxy_warn(struct proxy *proxy, const char *format, ...)
{
	uint64_t now_ns = clock_now_ns();
	va_list arguments;

	if (proxy->quiet || (proxy->warned_ns && now_ns - proxy->warned_ns < 1000000000u))
		return;
	proxy->warned_ns = now_ns;
	fprintf(stderr, "hawser proxy: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

/* ---- accepting ---- */

static void turn_away(struct proxy *proxy, int fd)
{
	proxy->statistics.over_limit++;
	proxy_warn(proxy, "there are %zu connections and no more are taken; %s",
		   proxy->max_connections,
		   proxy->limit_is_of_files ? "raise the limit on open files (ulimit -n)"
					    : "raise --max-connections");
	close(fd);
}

static void on_accept_again(evutil_socket_t fd, short what, void *data)
{
	struct proxy *proxy = data;

	if (proxy->acceptor)
		event_add(proxy->acceptor, NULL);
}

static void pause_accepting(struct proxy *proxy, int code)
{
	struct timeval pause = {.tv_usec = ACCEPT_PAUSE_MS * 1000};

	proxy_warn(proxy, "accept: %s; trying again soon", strerror(code));
	event_del(proxy->acceptor);
	event_base_once(proxy->base, -1, EV_TIMEOUT, on_accept_again, proxy, &pause);
}

static void on_accept(evutil_socket_t listener, short what, void *data)
{
	struct proxy *proxy = data;

	for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		/* What a peer that has gone leaves in the queue is not our trouble (accept(2)). */
		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EPROTO))
			continue;
		if (fd < 0) {
			if (errno != EAGAIN)
				pause_accepting(proxy, errno);
			return;
		}
		socket_set_nodelay(fd, proxy->listener.address.ss_family);
		if (proxy->n_relays >= proxy->max_connections)
			turn_away(proxy, fd);
		else if (proxy->black_hole)
			relay_start_black_hole(proxy, fd);
		else
			relay_start(proxy, fd);
	}
}

int proxy_refuse(struct proxy *proxy, bool refuse, struct hawser_error *error)
{
	int code;

	if (refuse && proxy->acceptor) {
		event_free(proxy->acceptor);
		proxy->acceptor = NULL;
		listener_stop(&proxy->listener);
	} else if (!refuse && !proxy->acceptor) {
		code = listener_start(&proxy->listener, error);
		if (code < 0)
			return code;
		proxy->acceptor = event_new(proxy->base, proxy->listener.fd, EV_READ | EV_PERSIST,
					    on_accept, proxy);
		event_add(proxy->acceptor, NULL);
	}
	return 0;
}

/* ---- beginning and end ---- */

/* Two sockets for each connection. Where the system allows fewer, the limit is lower. */
static void raise_file_limit(struct proxy *proxy)
{
	struct rlimit limit;
	rlim_t most;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	most = limit.rlim_cur > OTHER_FILES + 2 ? (limit.rlim_cur - OTHER_FILES) / 2 : 1;
	if (most < proxy->max_connections) {
		proxy->max_connections = most;
		proxy->limit_is_of_files = true;
	}
}

static struct event_base *make_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	if (!config)
		return NULL;
	/* epoll waits whole milliseconds; a delay needs better. */
	event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
	base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

static void on_signal(evutil_socket_t fd, short what, void *data)
{
	event_base_loopbreak(data);
}

static int check(const struct settings *settings, struct faults *faults, unsigned *directions)
{
	if (!cut_parse(settings->cut_how, &faults->cut_how))
		return command_usage_error(&command_proxy,
					   "--cut-how \"%.100s\": must be fin, rst, silent or "
					   "random",
					   settings->cut_how);
	if (!directions_parse(settings->direction, directions))
		return command_usage_error(&command_proxy,
					   "--direction \"%.100s\": must be up, down or both",
					   settings->direction);
	if (settings->control && strncmp(settings->control, "unix:", 5))
		return command_usage_error(&command_proxy,
					   "--control \"%.100s\": must be unix:PATH, for whoever "
					   "reaches it commands",
					   settings->control);
	if (settings->stall_for_ms && !settings->stall_every_ms)
		return command_usage_error(&command_proxy,
					   "--stall-for needs --stall-every; the command \"stall\" "
					   "has its own time");
	return EXIT_DONE;
}

static void fill(struct faults *faults, const struct settings *settings, unsigned directions)
{
	const struct shape shape = {
		.delay_ms = settings->delay_ms,
		.jitter_ms = settings->jitter_ms,
		.rate_bytes_per_s = settings->rate_bytes_per_s,
		.segment_bytes = settings->segment_bytes,
		.corrupt_ppm = settings->corrupt_ppm,
		.stalls = true,
	};
	uint32_t seed = 0;

	faults->seed = settings->seed;
	if (!faults->seed) {
		getrandom(&seed, sizeof seed, 0);
		faults->seed = (uint64_t)seed + 1; /* short enough to be typed again */
	}
	faults->cut_every_ms = settings->cut_every_ms;
	faults->cut_after_bytes = settings->cut_after_bytes;
	faults->cut_mid_frame = settings->cut_mid_frame;
	faults->stall_every_ms = settings->stall_every_ms;
	faults->stall_for_ms = settings->stall_for_ms ? settings->stall_for_ms : 1000;
	for (unsigned i = 0; i < DIRECTIONS; i++)
		if (directions & 1u << i)
			faults->shapes[i] = shape;
}

static int out_of_memory(void)
{
	fprintf(stderr, "hawser proxy: out of memory\n");
	return EXIT_FAILED;
}

static int run(struct proxy *proxy)
{
	struct event *interrupt = evsignal_new(proxy->base, SIGINT, on_signal, proxy->base);
	struct event *terminate = evsignal_new(proxy->base, SIGTERM, on_signal, proxy->base);
	int code = EXIT_FAILED;

	if (!interrupt || !terminate || event_add(interrupt, NULL) < 0 ||
	    event_add(terminate, NULL) < 0) {
		code = out_of_memory();
	} else {
		printf("listening on %s\n", proxy->listener.bound);
		if (!proxy->quiet)
			printf("seed %" PRIu64 "\n", proxy->faults.seed);
		if (fflush(stdout) == 0) { /* else command_main() says why */
			event_base_dispatch(proxy->base);
			if (!proxy->quiet)
				proxy_print_statistics(proxy, stdout);
			code = EXIT_DONE;
		}
	}
	if (interrupt)
		event_free(interrupt);
	if (terminate)
		event_free(terminate);
	return code;
}

/* Opens everything that can fail, runs, closes it. */
static int open_and_run(struct proxy *proxy, const char *address, const char *control_address,
			bool refuse)
{
	struct control *control = NULL;
	struct hawser_error error;
	int code;

	code = address_find(proxy->target_text, false, &proxy->target, &error);
	if (code < 0)
		return command_server_error(&command_proxy, proxy->target_text, &error);
	code = listener_open(&proxy->listener, address, &error);
	if (code < 0)
		return command_server_error(&command_proxy, address, &error);
	proxy_refuse(proxy, false, &error); /* it listens already */
	if (refuse)
		proxy_refuse(proxy, true, &error);
	control = control_new(proxy, control_address, &error);
	if (control)
		code = run(proxy);
	else
		code = command_server_error(&command_proxy,
					    control_address ? control_address : "standard input",
					    &error);
	control_free(control);
	relays_free(proxy);
	return code;
}

static int proxy(const void *data, size_t n_arguments, char **arguments)
{
	const struct settings *settings = data;
	struct proxy proxy = {
		.listener = LISTENER_INIT,
		.target_text = arguments[1],
		.buffer_bytes = settings->buffer_bytes,
		.max_connections = settings->max_connections,
		.black_hole = settings->black_hole,
		.quiet = settings->quiet,
		.verbose = settings->verbose,
	};
	unsigned directions;
	int code = check(settings, &proxy.faults, &directions);

	if (code != EXIT_DONE)
		return code;
	fill(&proxy.faults, settings, directions);
	raise_file_limit(&proxy);
	signal(SIGPIPE, SIG_IGN);
	proxy.base = make_base();
	proxy.scratch = malloc(PROXY_SCRATCH_BYTES);
	if (proxy.base && proxy.scratch)
		code = open_and_run(&proxy, arguments[0], settings->control, settings->refuse);
	else
		code = out_of_memory();
	if (proxy.acceptor)
		event_free(proxy.acceptor);
	listener_close(&proxy.listener);
	address_free(proxy.target);
	free(proxy.scratch);
	if (proxy.base)
		event_base_free(proxy.base);
	return code;
}

const struct command command_proxy = {
	.name = "proxy",
	.arguments = "LISTEN TARGET",
	.min_arguments = 2,
	.max_arguments = 2,
	.summary = "relay connections, and break them as a network would",
	.description =
		"Listens at the address LISTEN and relays each connection to TARGET, with the\n"
		"faults that are asked for. tcp:127.0.0.1:0 lets the system choose a port, which\n"
		"is printed.\n",
	.notes = "Commands, one a line, on standard input or at --control; \"help\" lists them:\n"
		 "cut, stall, go, delay, rate, segment, corrupt, blackhole, refuse, cut-every,\n"
		 "stall-every, stats, help, quit.\n"
		 "\n"
		 "Ctrl-C ends it with figures, among them the seed. hawser-proxy(1) tells all.\n",
	.options = options,
	.defaults = &defaults,
	.settings_size = sizeof defaults,
	.run = proxy,
};
