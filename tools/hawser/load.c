/* The load generator of load.h.
 *
 * A slot is a call that can be in flight; connections × depth of them wait in
 * one queue, first in, first out, so that the calls spread evenly. pump() takes
 * slots from its head as long as calls are due. A slot whose call failed rests
 * for a moment before it returns to the queue: a dead server must not turn the
 * loop into a spin. */

#include "load.h"
#include "clock.h"
#include "echo.hawser.h"
#include "schedule.h"
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum {
	OPENING_AT_ONCE = 64, /* below every listen backlog */
	REST_MS = 10,
	RECONNECT_MS = 500,
	COMPARE_WHOLE = 4096, /* larger payloads are compared at both ends only */
};

struct slot {
	struct connection *connection;
	struct slot *next; /* in the queue */
	struct hawser_call *call;
	uint64_t since_ns, id;
};

struct queue {
	struct slot *first, **last;
};

struct connection {
	struct load *load;
	struct hawser_client *client;
	struct slot *slots;
};

enum stage { OPENING, RUNNING, FINISHING };

struct load {
	const struct load_options *options;
	struct load_result *result;
	struct event_base *base;
	struct event *ticker, *due, *rest, *end, *interrupt, *terminate;
	enum stage stage;
	struct connection *connections;
	unsigned started, opened; /* connections */
	struct slot *slots;
	struct queue idle, resting;
	struct schedule schedule;
	uint64_t next_id, in_flight;
	uint64_t start_ns, end_ns, tick_ns;
	uint8_t *payload;
	struct hawser_context context;
	struct histogram lately; /* since the last tick */
	bool pumping;
	struct hawser_error error; /* of the first call that failed while OPENING */
};

static void queue_init(struct queue *queue)
{
	queue->first = NULL;
	queue->last = &queue->first;
}

static void queue_push(struct queue *queue, struct slot *slot)
{
	slot->next = NULL;
	*queue->last = slot;
	queue->last = &slot->next;
}

static struct slot *queue_pop(struct queue *queue)
{
	struct slot *slot = queue->first;

	if (slot) {
		queue->first = slot->next;
		if (!queue->first)
			queue->last = &queue->first;
	}
	return slot;
}

static struct timeval after_ns(uint64_t ns)
{
	return (struct timeval){
		.tv_sec = (time_t)(ns / 1000000000u),
		.tv_usec = (suseconds_t)(ns % 1000000000u / 1000),
	};
}

static void start_timer(struct event *event, uint64_t ns)
{
	struct timeval after = after_ns(ns);

	event_add(event, &after);
}

static void fail(struct load *load, enum hawser_status status, const char *text)
{
	struct load_failures *failures = &load->result->failures[status];

	load->result->failed++;
	if (!failures->calls++)
		snprintf(failures->first, sizeof failures->first, "%s", text);
}

static bool same(const struct load *load, const struct slot *slot,
		 const Hawser__Bench__EchoMessage *reply)
{
	size_t size = load->options->size_bytes;

	if (reply->id != slot->id || reply->payload.len != size)
		return false;
	if (size <= COMPARE_WHOLE)
		return !size || !memcmp(reply->payload.data, load->payload, size);
	return !memcmp(reply->payload.data, load->payload, COMPARE_WHOLE / 2) &&
	       !memcmp(reply->payload.data + size - COMPARE_WHOLE / 2,
		       load->payload + size - COMPARE_WHOLE / 2, COMPARE_WHOLE / 2);
}

static hawser_bench_echo_echo_cb finished;

static void send_call(struct slot *slot, uint64_t since_ns)
{
	struct load *load = slot->connection->load;
	Hawser__Bench__EchoMessage request = HAWSER__BENCH__ECHO_MESSAGE__INIT;

	slot->since_ns = since_ns;
	slot->id = load->next_id++;
	request.id = slot->id;
	request.payload.data = load->payload;
	request.payload.len = load->options->size_bytes;
	load->in_flight++;
	slot->call = hawser_bench_echo_echo_async(slot->connection->client, &request, finished,
						  slot, &load->context);
	if (slot->call)
		return;
	load->in_flight--;
	fail(load, HAWSER_RESOURCE_EXHAUSTED, strerror(errno));
	queue_push(&load->resting, slot);
	start_timer(load->rest, REST_MS * 1000000u);
}

/* Sends what is due. Replies that come in on the way do not start a second round. */
static void pump(struct load *load, uint64_t now_ns)
{
	uint64_t since_ns = now_ns, next_ns;

	if (load->pumping || load->stage != RUNNING)
		return;
	load->pumping = true;
	while (load->idle.first) {
		if (load->options->rate > 0 && !schedule_take(&load->schedule, now_ns, &since_ns))
			break;
		send_call(queue_pop(&load->idle), since_ns);
	}
	load->pumping = false;

	/* With no slot left, the next reply pumps. */
	if (load->options->rate > 0 && load->idle.first) {
		next_ns = schedule_next_ns(&load->schedule);
		if (next_ns < load->schedule.end_ns)
			start_timer(load->due, next_ns > now_ns ? next_ns - now_ns : 0);
	}
}

static void open_more(struct load *load);

/* The first call of a connection shows that it works; it is not measured. */
static void first_finished(struct load *load, struct slot *slot, struct hawser_call *call, bool ok)
{
	if (!ok) {
		load->error = *hawser_call_error(call);
		if (load->error.status == HAWSER_OK) {
			load->error.status = HAWSER_DATA_LOSS;
			snprintf(load->error.message, sizeof load->error.message,
				 "the reply differs from the request");
		}
		event_base_loopbreak(load->base);
		return;
	}
	queue_push(&load->idle, slot);
	load->opened++;
	open_more(load);
}

static void finished(struct hawser_call *call, const Hawser__Bench__EchoMessage *reply, void *data)
{
	struct slot *slot = data;
	struct load *load = slot->connection->load;
	uint64_t now_ns = clock_now_ns();
	bool ok = reply && same(load, slot, reply);

	load->in_flight--;
	if (load->stage == OPENING) {
		first_finished(load, slot, call, ok);
	} else if (ok) {
		histogram_record(&load->lately, now_ns - slot->since_ns);
		queue_push(&load->idle, slot);
	} else {
		if (reply)
			fail(load, HAWSER_DATA_LOSS, "the reply differs from the request");
		else
			fail(load, hawser_call_error(call)->status,
			     hawser_call_error(call)->message);
		queue_push(&load->resting, slot);
		if (!event_pending(load->rest, EV_TIMEOUT, NULL))
			start_timer(load->rest, REST_MS * 1000000u);
	}
	slot->call = NULL;
	hawser_call_free(call);

	if (load->stage == FINISHING && !load->in_flight)
		event_base_loopbreak(load->base);
	else
		pump(load, now_ns);
}

static void on_due(evutil_socket_t fd, short what, void *data)
{
	pump(data, clock_now_ns());
}

static void on_rested(evutil_socket_t fd, short what, void *data)
{
	struct load *load = data;
	struct slot *slot;

	while ((slot = queue_pop(&load->resting)))
		queue_push(&load->idle, slot);
	pump(load, clock_now_ns());
}

static void stop(struct load *load)
{
	uint64_t now_ns = clock_now_ns();

	histogram_merge(&load->result->latency_ns, &load->lately);
	histogram_reset(&load->lately);
	load->stage = FINISHING;
	load->result->elapsed_s = (double)(now_ns - load->start_ns) / 1e9;
	load->result->calls_in_time = load->result->latency_ns.count;
	if (load->options->rate > 0)
		load->result->unsent = schedule_behind(&load->schedule, now_ns);
}

static void on_end(evutil_socket_t fd, short what, void *data)
{
	struct load *load = data;
	uint64_t now_ns = clock_now_ns();

	/* The base's clock is a coarse one, some milliseconds behind. */
	if (now_ns < load->end_ns) {
		start_timer(load->end, load->end_ns - now_ns);
		return;
	}
	stop(load);
	if (!load->in_flight)
		event_base_loopbreak(load->base);
}

static void on_signal(evutil_socket_t fd, short what, void *data)
{
	struct load *load = data;

	load->result->interrupted = true;
	if (load->stage == RUNNING)
		stop(load);
	event_base_loopbreak(load->base);
}

static void on_tick(evutil_socket_t fd, short what, void *data)
{
	struct load *load = data;
	uint64_t now_ns = clock_now_ns();
	struct load_progress progress = {.opened = load->opened, .failed = load->result->failed};

	if (load->stage != OPENING) {
		progress.elapsed_s = (double)(now_ns - load->start_ns) / 1e9;
		progress.calls_per_s =
			(double)load->lately.count * 1e9 / (double)(now_ns - load->tick_ns);
		progress.p99_ns = (double)histogram_percentile(&load->lately, 99);
	}
	load->tick_ns = now_ns;
	histogram_merge(&load->result->latency_ns, &load->lately);
	histogram_reset(&load->lately);
	load->options->progress(&progress, load->options->data);
}

/* All connections work: from here on it counts. */
static void begin(struct load *load)
{
	uint64_t duration_ns = (uint64_t)(load->options->duration_s * 1e9);

	/* Slot by slot across the connections, so that a small load uses all of them. */
	queue_init(&load->idle);
	for (unsigned d = 0; d < load->options->depth; d++)
		for (unsigned c = 0; c < load->options->connections; c++)
			queue_push(&load->idle, &load->connections[c].slots[d]);
	hawser_client_server_name(load->connections[0].client, load->result->server,
				  sizeof load->result->server);

	load->stage = RUNNING;
	load->start_ns = load->tick_ns = clock_now_ns();
	load->end_ns = load->start_ns + duration_ns;
	if (load->options->rate > 0)
		schedule_init(&load->schedule, load->start_ns, load->end_ns, load->options->rate);
	start_timer(load->end, duration_ns);
	if (load->ticker)
		start_timer(load->ticker, 1000000000u);
	pump(load, load->start_ns);
}

static void open_more(struct load *load)
{
	if (load->opened == load->options->connections) {
		begin(load);
		return;
	}
	while (load->started < load->options->connections &&
	       load->started - load->opened < OPENING_AT_ONCE)
		send_call(load->connections[load->started++].slots, 0);
}

static struct event_base *make_base(const struct load_options *options)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	if (!config)
		return NULL;
	/* epoll waits whole milliseconds; a schedule needs better. */
	if (options->rate > 0)
		event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
	base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

static int make_clients(struct load *load, struct hawser_error *error)
{
	const struct load_options *options = load->options;
	struct hawser_client_options client = HAWSER_CLIENT_OPTIONS_INIT;

	client.base = load->base;
	client.name = "hawser bench";
	client.connect_timeout_ms = options->timeout_ms;
	/* Room for the payload, and for whatever protobuf puts around it. */
	client.max_request_bytes = client.max_reply_bytes = options->size_bytes + 64;
	/* Never less than what the depth can put there: being slow is not a failure. */
	/* A server that is gone is a result, not something to wait out. */
	client.reconnect_timeout_ms = RECONNECT_MS;
	client.max_log_bytes = options->depth * (options->size_bytes + 256) + (1u << 20);

	for (unsigned c = 0; c < options->connections; c++) {
		struct connection *connection = &load->connections[c];

		connection->client = hawser_client_new(options->address, &client, error);
		if (!connection->client)
			return -errno;
		connection->load = load;
		connection->slots = load->slots + (size_t)c * options->depth;
		for (unsigned d = 0; d < options->depth; d++)
			connection->slots[d].connection = connection;
	}
	return 0;
}

static int prepare(struct load *load, struct hawser_error *error)
{
	const struct load_options *options = load->options;

	load->base = make_base(options);
	load->connections = calloc(options->connections, sizeof *load->connections);
	load->slots = calloc((size_t)options->connections * options->depth, sizeof *load->slots);
	load->payload = malloc(options->size_bytes + 1);
	if (!load->base || !load->connections || !load->slots || !load->payload)
		goto no_memory;
	for (size_t i = 0; i < options->size_bytes; i++)
		load->payload[i] = (uint8_t)(i * 37 + (i >> 8) + 11);

	load->due = evtimer_new(load->base, on_due, load);
	load->rest = evtimer_new(load->base, on_rested, load);
	load->end = evtimer_new(load->base, on_end, load);
	load->interrupt = evsignal_new(load->base, SIGINT, on_signal, load);
	load->terminate = evsignal_new(load->base, SIGTERM, on_signal, load);
	if (!load->due || !load->rest || !load->end || !load->interrupt || !load->terminate)
		goto no_memory;
	if (options->progress) {
		load->ticker = event_new(load->base, -1, EV_PERSIST, on_tick, load);
		if (!load->ticker)
			goto no_memory;
		start_timer(load->ticker, 1000000000u);
	}
	event_add(load->interrupt, NULL);
	event_add(load->terminate, NULL);
	return make_clients(load, error);

no_memory:
	error->status = HAWSER_RESOURCE_EXHAUSTED;
	error->code = -ENOMEM;
	snprintf(error->message, sizeof error->message,
		 "out of memory for %u connections with %u calls in flight each",
		 options->connections, options->depth);
	return -ENOMEM;
}

static void release(struct load *load)
{
	struct event *events[] = {load->ticker, load->due,       load->rest,
				  load->end,    load->interrupt, load->terminate};
	size_t n_slots = (size_t)load->options->connections * load->options->depth;

	/* The calls first: their callbacks do not run any more. */
	for (size_t i = 0; load->slots && i < n_slots; i++)
		hawser_call_free(load->slots[i].call);
	for (unsigned c = 0; load->connections && c < load->options->connections; c++)
		hawser_client_free(load->connections[c].client);
	for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
		if (events[i])
			event_free(events[i]);
	if (load->base)
		event_base_free(load->base);
	free(load->connections);
	free(load->slots);
	free(load->payload);
}

/* A client on a base has two descriptors, its socket and what wakes the base. If the system
 * allows fewer, that shows when they run out. */
static void raise_descriptor_limit(unsigned connections)
{
	struct rlimit limit;
	rlim_t wanted = (rlim_t)connections * 2 + 64;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int load_run(const struct load_options *options, struct load_result *result,
	     struct hawser_error *error)
{
	struct load load = {.options = options, .result = result, .stage = OPENING};
	int code;

	memset(result, 0, sizeof *result);
	histogram_reset(&result->latency_ns);
	histogram_reset(&load.lately);
	queue_init(&load.idle);
	queue_init(&load.resting);
	load.context = (struct hawser_context)HAWSER_CONTEXT_INIT;
	load.context.timeout_ms = options->timeout_ms;
	raise_descriptor_limit(options->connections);

	code = prepare(&load, error);
	if (code == 0) {
		open_more(&load);
		event_base_dispatch(load.base);
		histogram_merge(&result->latency_ns, &load.lately);
		result->calls = result->latency_ns.count;
		if (load.error.status != HAWSER_OK) {
			*error = load.error;
			code = error->code < 0 ? error->code : -EIO;
		}
	}
	release(&load);
	return code;
}
