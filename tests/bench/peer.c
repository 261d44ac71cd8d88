/* hawser-peer: Hawser in the benchmark's command form, through generated stubs.
 *
 * measure.h explains the command line and the workloads. tools/bench.sh runs
 * this beside raw-epoll and prints the ratios; by hand:
 *
 *     build/tests/bench/hawser-peer info
 *     build/tests/bench/hawser-peer server tcp:0 loop          (prints the port)
 *     build/tests/bench/hawser-peer client tcp:PORT W2 async --peer hawser --pid SERVER
 *
 * The server runs one libevent loop. The client's modes: block, the blocking
 * stub on the calling thread; async, asynchronous stubs on one event_base; and the same
 * without a session, block-plain and async-plain, to see what that costs. All
 * use the defaults that a user gets, but for the limits that W4 and W6 exceed. */

#include "echo.hawser.h"
#include "measure.h"
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char info[] = "hawser loop block tcp,unix W1\n"
			   "hawser loop async tcp,unix W2,W3,W4a,W4b,W6\n"
			   "hawser-async loop async tcp,unix W1\n"
			   "hawser-plain loop block-plain tcp,unix W1\n"
			   "hawser-plain loop async-plain tcp,unix W2,W6\n";

enum { LARGEST_MESSAGE = 64 << 20 };

static _Noreturn void fail(const char *what, const struct hawser_error *error)
{
	fprintf(stderr, "error: %s: %s (%s)\n", what, error->message,
		hawser_status_name(error->status));
	exit(3);
}

/* ---- server ---- */

static void answer(struct hawser_call *call, const Hawser__Bench__EchoMessage *request, void *data)
{
	hawser_bench_echo_echo_reply(call, request);
}

static const struct hawser_bench_echo_service service = {.echo = answer};

static int serve(const struct bench *bench)
{
	struct hawser_server_options options = HAWSER_SERVER_OPTIONS_INIT;
	struct hawser_server *server;
	struct hawser_error error;
	const char *bound;
	char address[320];
	int code;

	options.max_connections = 100000;
	options.max_request_bytes = options.max_reply_bytes = LARGEST_MESSAGE;
	options.max_unsent_bytes = options.max_log_bytes = LARGEST_MESSAGE;
	server = hawser_server_new(&options, &error);
	if (!server)
		fail("server", &error);
	if (bench->path)
		snprintf(address, sizeof address, "unix:%s", bench->path);
	else
		snprintf(address, sizeof address, "tcp:127.0.0.1:%d", bench->port);
	if (hawser_bench_echo_register(server, &service, NULL, &error) < 0 ||
	    hawser_server_listen(server, address, &error) < 0)
		fail("listen", &error);
	bound = hawser_server_address(server, 0);
	bench_ready(bench, bench->path ? 0 : atoi(strrchr(bound, ':') + 1));
	code = hawser_server_run(server, &error);
	if (code < 0)
		fail("serve", &error);
	hawser_server_free(server);
	return 0;
}

/* ---- client ---- */

static struct hawser_client *make_client(const struct bench *bench, struct event_base *base)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_client *client;
	struct hawser_error error;
	char address[320];

	options.base = base;
	options.no_session = strstr(bench->mode, "-plain") != NULL;
	options.max_request_bytes = options.max_reply_bytes = LARGEST_MESSAGE;
	options.max_log_bytes = LARGEST_MESSAGE;
	if (bench->path)
		snprintf(address, sizeof address, "unix:%s", bench->path);
	else
		snprintf(address, sizeof address, "tcp:127.0.0.1:%d", bench->port);
	client = hawser_client_new(address, &options, &error);
	if (!client || (!base && hawser_client_connect(client, &error) < 0))
		fail("connect", &error);
	return client;
}

static void block(struct bench *bench)
{
	struct hawser_client *client = make_client(bench, NULL);
	Hawser__Bench__EchoMessage request = HAWSER__BENCH__ECHO_MESSAGE__INIT, *reply;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	uint64_t then_ns, now_ns;

	request.payload.data = bench->payload;
	request.payload.len = bench->payload_bytes;
	bench_begin(bench);
	then_ns = bench_now_ns();
	while (bench_wants_call(bench)) {
		request.id++;
		if (hawser_bench_echo_echo(client, &request, &reply, &context) != HAWSER_OK)
			fail("call", &context.error);
		bench_call_ended(bench, request.id, reply->id, reply->payload.data,
				 reply->payload.len);
		hawser__bench__echo_message__free_unpacked(reply, NULL);
		now_ns = bench_now_ns();
		bench_add_latency(bench, now_ns - then_ns);
		then_ns = now_ns;
	}
	bench_end(bench);
	hawser_context_clear(&context);
	hawser_client_free(client);
}

/* A call that can be in flight; `next_id` is shared, so that ids are unique. */
struct slot {
	struct async *async;
	struct hawser_client *client;
	uint64_t id, sent_ns; /* sent_ns of W1 */
};

struct async {
	struct bench *bench;
	struct event_base *base;
	struct hawser_client **clients;
	struct slot *slots;
	unsigned n_slots, busy;
	uint64_t next_id;
	bool timed;
};

static hawser_bench_echo_echo_cb finished;

static void call(struct slot *slot)
{
	struct bench *bench = slot->async->bench;
	Hawser__Bench__EchoMessage request = HAWSER__BENCH__ECHO_MESSAGE__INIT;

	request.id = slot->id = ++slot->async->next_id;
	request.payload.data = bench->payload;
	request.payload.len = bench->payload_bytes;
	if (!hawser_bench_echo_echo_async(slot->client, &request, finished, slot, NULL))
		bench_die("call");
}

static void finished(struct hawser_call *ended, const Hawser__Bench__EchoMessage *reply, void *data)
{
	struct slot *slot = data;
	struct async *async = slot->async;
	uint64_t now_ns;

	if (!reply)
		fail("call", hawser_call_error(ended));
	bench_call_ended(async->bench, slot->id, reply->id, reply->payload.data,
			 reply->payload.len);
	hawser_call_free(ended);
	if (async->timed) {
		now_ns = bench_now_ns();
		bench_add_latency(async->bench, now_ns - slot->sent_ns);
		slot->sent_ns = now_ns;
	}
	if (bench_wants_call(async->bench))
		call(slot);
	else if (--async->busy == 0)
		event_base_loopbreak(async->base);
}

static void start(struct slot *slot)
{
	if (!bench_wants_call(slot->async->bench))
		return;
	slot->async->busy++;
	if (slot->async->timed)
		slot->sent_ns = bench_now_ns();
	call(slot);
}

static void async_init(struct async *async, struct bench *bench)
{
	memset(async, 0, sizeof *async);
	async->bench = bench;
	async->n_slots = bench->connections * bench->depth;
	async->base = event_base_new();
	async->clients = calloc(bench->connections, sizeof(void *));
	async->slots = calloc(async->n_slots, sizeof *async->slots);
	if (!async->base || !async->clients || !async->slots)
		bench_die("memory");
	for (unsigned i = 0; i < async->n_slots; i++)
		async->slots[i].async = async;
}

static void async_deinit(struct async *async)
{
	for (unsigned i = 0; i < async->bench->connections; i++)
		hawser_client_free(async->clients[i]);
	event_base_free(async->base);
	free(async->clients);
	free(async->slots);
}

/* Opens connection number `i` with one call that is not measured. */
static void open_connection(struct async *async, unsigned i)
{
	struct bench *bench = async->bench;
	struct slot *slots = async->slots + (size_t)i * bench->depth;
	uint64_t max_calls = bench->max_calls, started = bench->started;
	bool timed = async->timed;

	async->clients[i] = make_client(bench, async->base);
	for (unsigned d = 0; d < bench->depth; d++)
		slots[d].client = async->clients[i];
	bench->max_calls = 1;
	bench->started = 0;
	async->timed = false;
	start(slots);
	event_base_dispatch(async->base);
	bench->max_calls = max_calls;
	bench->started = started;
	async->timed = timed;
}

static void measure_calls(struct async *async)
{
	struct bench *bench = async->bench;

	async->timed = !strcmp(bench->workload, "W1");
	for (unsigned i = 0; i < bench->connections; i++)
		open_connection(async, i);
	bench_begin(bench);
	for (unsigned i = 0; i < async->n_slots; i++)
		start(&async->slots[i]);
	if (async->busy)
		event_base_dispatch(async->base);
	bench_end(bench);
}

static void measure_idle(struct async *async)
{
	unsigned warm = bench_idle_warm_up(async->bench);
	struct bench_idle idle;

	for (unsigned i = 0; i < async->bench->connections; i++) {
		if (i == warm)
			bench_idle_begin(async->bench, &idle, i);
		open_connection(async, i);
	}
	bench_idle_end(async->bench, &idle);
}

int main(int argc, char **argv)
{
	static struct bench bench;
	struct async async;

	bench_parse(&bench, argc, argv, info);
	if (bench.is_server && !strcmp(bench.mode, "loop"))
		return serve(&bench);
	if (!bench.is_server && !strncmp(bench.mode, "block", 5) && !strcmp(bench.workload, "W1")) {
		block(&bench);
		bench_release(&bench);
		return 0;
	}
	if (bench.is_server || strncmp(bench.mode, "async", 5) != 0) {
		fprintf(stderr,
			"error: mode \"%s\" is unknown here; a server has loop, a client async, "
			"and block for W1\n",
			bench.mode);
		return 2;
	}
	async_init(&async, &bench);
	if (!strcmp(bench.workload, "W6"))
		measure_idle(&async);
	else
		measure_calls(&async);
	async_deinit(&async);
	bench_release(&bench);
	return 0;
}
