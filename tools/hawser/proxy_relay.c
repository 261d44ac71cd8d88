/* The life of a connection, and what is done to all of them at once. */

#include "proxy_relay.h"
#include "clock.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

/* How long an end that was told goodbye may take to answer. */
enum { PATIENCE_MS = 2000 };

static void start_timer(struct relay *relay, uint64_t after_ns)
{
	struct timeval after = {.tv_sec = (time_t)(after_ns / 1000000000u),
				.tv_usec = (suseconds_t)(after_ns % 1000000000u / 1000)};

	event_add(&relay->timer, &after);
}

void relay_say(const struct relay *relay, const char *format, ...)
{
	va_list arguments;

	if (!relay->proxy->verbose)
		return;
	fprintf(stderr, "connection %llu: ", (unsigned long long)relay->number);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

void relay_settle(struct relay *relay)
{
	if (relay->ends[CLIENT].fd >= 0 || relay->ends[TARGET].fd >= 0)
		return;
	relay_say(relay, "closed");
	for (unsigned i = 0; i < DIRECTIONS; i++)
		flow_stop(&relay->flows[i]);
	event_del(&relay->timer);
	*relay->previous = relay->next;
	if (relay->next)
		relay->next->previous = relay->previous;
	relay->proxy->n_relays--;
	free(relay);
}

/* ---- its end ---- */

void relay_part(struct relay *relay, enum cut how)
{
	/* Who never answered need not be told. */
	if (relay->state == RELAY_CONNECTING && how != CUT_SILENT)
		end_close(&relay->ends[TARGET]);
	relay->state = RELAY_PARTED;
	relay->is_silent = how == CUT_SILENT;
	for (unsigned i = 0; i < DIRECTIONS; i++)
		flow_stop(&relay->flows[i]);
	event_del(&relay->timer);
	for (unsigned i = 0; i < ENDS; i++) {
		if (how == CUT_RST)
			end_reset(&relay->ends[i]);
		else if (how == CUT_SILENT)
			end_silence(&relay->ends[i]);
		else
			end_finish(&relay->ends[i]);
	}
	if (how == CUT_FIN)
		start_timer(relay, PATIENCE_MS * 1000000ull);
}

void relay_flow_is_shut(struct relay *relay)
{
	if (!relay->flows[UP].is_shut || !relay->flows[DOWN].is_shut)
		return;
	relay->state = RELAY_PARTED;
	for (unsigned i = 0; i < ENDS; i++)
		end_close(&relay->ends[i]);
}

void relay_cut(struct relay *relay, enum cut how)
{
	/* What fell silent before can still end otherwise; what is ending cannot. */
	if (relay->state == RELAY_PARTED && (!relay->is_silent || how == CUT_SILENT))
		return;
	relay->proxy->statistics.cuts[how]++;
	relay_say(relay, "cut (%s)", cut_name(how));
	relay_part(relay, how);
}

static void cut_inside(struct relay *relay, enum cut how)
{
	if (relay->state == RELAY_PARTED)
		return;
	relay->is_to_be_cut_inside = true;
	relay->cut_inside_how = how;
	for (unsigned i = 0; i < DIRECTIONS; i++)
		flow_pump(&relay->flows[i]); /* perhaps a frame is half through */
}

void relay_cut_as_planned(struct relay *relay)
{
	if (relay->proxy->faults.cut_mid_frame)
		cut_inside(relay, relay->plan.how);
	else
		relay_cut(relay, relay->plan.how);
}

/* ---- its plan ---- */

static void say_plan(const struct relay *relay)
{
	const struct plan *plan = &relay->plan;

	if (plan->cut_ns != FAULTS_NEVER)
		relay_say(relay, "cut (%s) planned after %.3f ms", cut_name(plan->how),
			  (double)(plan->cut_ns - relay->opened_ns) / 1e6);
	if (plan->stall_ns != FAULTS_NEVER)
		relay_say(relay, "stall planned after %.3f ms",
			  (double)(plan->stall_ns - relay->opened_ns) / 1e6);
}

static void follow_plan(struct relay *relay)
{
	uint64_t next_ns = plan_next_ns(&relay->plan), now_ns = clock_now_ns();

	if (next_ns == FAULTS_NEVER || relay->state == RELAY_PARTED)
		return;
	start_timer(relay, next_ns > now_ns ? next_ns - now_ns + 999 : 0);
}

static void count_stall(struct relay *relay, unsigned directions)
{
	if (relay->state == RELAY_PARTED || !directions)
		return;
	relay->proxy->statistics.stalls++;
	relay_say(relay, "stalled (%s)", directions_name(directions));
}

static void stall_as_planned(struct relay *relay, uint64_t now_ns)
{
	const struct faults *faults = &relay->proxy->faults;
	uint64_t until_ns = now_ns + faults->stall_for_ms * 1000000u;
	unsigned directions = 0;

	for (unsigned i = 0; i < DIRECTIONS; i++) {
		if (!faults->shapes[i].stalls)
			continue;
		directions |= 1u << i;
		relay->flows[i].stalled_until_ns = until_ns;
	}
	count_stall(relay, directions);
	plan_stall(&relay->plan, faults, until_ns);
}

static void on_timer(evutil_socket_t fd, short what, void *data)
{
	struct relay *relay = data;
	uint64_t now_ns = clock_now_ns();

	if (relay->state == RELAY_PARTED) {
		for (unsigned i = 0; i < ENDS; i++)
			end_close(&relay->ends[i]);
	} else if (relay->plan.cut_ns <= now_ns) {
		relay->plan.cut_ns = FAULTS_NEVER;
		relay_cut_as_planned(relay);
	} else if (relay->plan.stall_ns <= now_ns) {
		stall_as_planned(relay, now_ns);
	}
	follow_plan(relay);
	relay_settle(relay);
}

/* ---- its beginning ---- */

static struct relay *relay_new(struct proxy *proxy, int fd)
{
	struct relay *relay = calloc(1, sizeof *relay);

	if (!relay) {
		proxy_warn(proxy, "out of memory: a connection is closed");
		close(fd);
		return NULL;
	}
	relay->proxy = proxy;
	relay->number = ++proxy->statistics.accepted;
	relay->ends[TARGET].fd = -1;
	end_open(&relay->ends[CLIENT], relay, fd);
	event_assign(&relay->timer, proxy->base, -1, 0, on_timer, relay);
	for (unsigned i = 0; i < DIRECTIONS; i++)
		flow_init(&relay->flows[i], relay, (enum direction)i);
	relay->opened_ns = clock_now_ns();
	plan_init(&relay->plan, &proxy->faults, relay->number, relay->opened_ns);

	relay->next = proxy->relays;
	relay->previous = &proxy->relays;
	if (relay->next)
		relay->next->previous = &relay->next;
	proxy->relays = relay;
	proxy->n_relays++;
	return relay;
}

static void open_flows(struct relay *relay)
{
	relay->state = RELAY_OPEN;
	event_add(&relay->ends[TARGET].readable, NULL);
	flow_pump(&relay->flows[UP]);
}

static void give_up(struct relay *relay, int code)
{
	char text[128];

	relay->proxy->statistics.refused_by_target++;
	errno_text(code, text, sizeof text);
	relay_say(relay, "no target: %s", text);
	proxy_warn(relay->proxy, "connect %s: %s; its client's connection is closed",
		   relay->proxy->target_text, text);
	relay_part(relay, CUT_FIN);
}

/* Tries the next address of the target; `code` is what was wrong with the last. */
static void connect_next(struct relay *relay, int code)
{
	for (; relay->untried; relay->untried = relay->untried->ai_next) {
		const struct addrinfo *at = relay->untried;
		int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		bool is_open;

		if (fd < 0) {
			code = errno;
			continue;
		}
		socket_set_nodelay(fd, at->ai_family);
		is_open = connect(fd, at->ai_addr, at->ai_addrlen) == 0;
		if (!is_open && errno != EINPROGRESS) {
			code = errno;
			close(fd);
			continue;
		}
		relay->untried = at->ai_next;
		end_open(&relay->ends[TARGET], relay, fd);
		if (is_open)
			open_flows(relay);
		else
			event_add(&relay->ends[TARGET].writable, NULL);
		return;
	}
	give_up(relay, code);
}

static void connected(struct relay *relay)
{
	int code = 0;
	socklen_t length = sizeof code;

	if (getsockopt(relay->ends[TARGET].fd, SOL_SOCKET, SO_ERROR, &code, &length) < 0)
		code = errno;
	if (!code) {
		open_flows(relay);
		return;
	}
	end_close(&relay->ends[TARGET]);
	connect_next(relay, code);
}

void relay_start(struct proxy *proxy, int fd)
{
	struct relay *relay = relay_new(proxy, fd);

	if (!relay)
		return;
	relay_say(relay, "opened");
	say_plan(relay);
	relay->untried = proxy->target;
	event_add(&relay->ends[CLIENT].readable, NULL);
	connect_next(relay, ECONNREFUSED);
	follow_plan(relay);
	relay_settle(relay);
}

void relay_start_black_hole(struct proxy *proxy, int fd)
{
	struct relay *relay = relay_new(proxy, fd);

	if (!relay)
		return;
	proxy->statistics.black_holed++;
	relay_say(relay, "swallowed by the black hole");
	relay_part(relay, CUT_SILENT);
	relay_settle(relay);
}

void relay_on_readable(evutil_socket_t fd, short what, void *data)
{
	struct end *end = data;
	struct relay *relay = end->relay;

	flow_read(&relay->flows[end == &relay->ends[CLIENT] ? UP : DOWN]);
	relay_settle(relay);
}

void relay_on_writable(evutil_socket_t fd, short what, void *data)
{
	struct end *end = data;
	struct relay *relay = end->relay;

	if (relay->state == RELAY_CONNECTING)
		connected(relay);
	else
		flow_pump(&relay->flows[end == &relay->ends[TARGET] ? UP : DOWN]);
	relay_settle(relay);
}

/* ---- all of them ---- */

void relays_cut(struct proxy *proxy, const enum cut *how, bool inside)
{
	for (struct relay *relay = proxy->relays, *next; relay; relay = next) {
		enum cut one = how ? plan_how(&relay->plan, *how) : relay->plan.how;

		next = relay->next;
		if (inside)
			cut_inside(relay, one);
		else
			relay_cut(relay, one);
		relay_settle(relay);
	}
}

static void pump_all(struct proxy *proxy)
{
	for (struct relay *relay = proxy->relays, *next; relay; relay = next) {
		next = relay->next;
		for (unsigned i = 0; i < DIRECTIONS; i++)
			flow_pump(&relay->flows[i]);
		relay_settle(relay);
	}
}

void relays_stall(struct proxy *proxy, unsigned directions, uint64_t until_ns)
{
	for (unsigned i = 0; i < DIRECTIONS; i++)
		if (directions & 1u << i)
			proxy->stalled_until_ns[i] = until_ns;
	for (struct relay *relay = proxy->relays; relay; relay = relay->next)
		count_stall(relay, directions);
	/* Who waited for the end of a longer stall waits for this one. */
	pump_all(proxy);
}

void relays_go(struct proxy *proxy)
{
	for (unsigned i = 0; i < DIRECTIONS; i++) {
		proxy->stalled_until_ns[i] = 0;
		for (struct relay *relay = proxy->relays; relay; relay = relay->next)
			relay->flows[i].stalled_until_ns = 0;
	}
	pump_all(proxy);
}

void relays_reshape(struct proxy *proxy)
{
	for (struct relay *relay = proxy->relays, *next; relay; relay = next) {
		next = relay->next;
		for (unsigned i = 0; i < DIRECTIONS; i++)
			flow_reshape(&relay->flows[i]);
		relay_settle(relay);
	}
}

void relays_replan_cuts(struct proxy *proxy)
{
	for (struct relay *relay = proxy->relays; relay; relay = relay->next) {
		plan_cut(&relay->plan, &proxy->faults, clock_now_ns());
		follow_plan(relay);
	}
}

void relays_replan_stalls(struct proxy *proxy)
{
	for (struct relay *relay = proxy->relays; relay; relay = relay->next) {
		plan_stall(&relay->plan, &proxy->faults, clock_now_ns());
		follow_plan(relay);
	}
}

void relays_free(struct proxy *proxy)
{
	for (struct relay *relay = proxy->relays, *next; relay; relay = next) {
		next = relay->next;
		for (unsigned i = 0; i < ENDS; i++)
			end_close(&relay->ends[i]);
		relay_settle(relay);
	}
}
