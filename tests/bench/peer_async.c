/* Asynchronous stubs of hawser-peer, on one event_base: as many connections and calls in flight as
 * the workload says. */

#include "bulk.hawser.h"
#include "echo.hawser.h"
#include "peer.h"
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

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
	enum peer_way way;
	bool timed;
};

static hawser_bench_echo_echo_cb echoed;
static hawser_bench_bulk_put_cb taken;
static hawser_bench_bulk_get_cb got;

static void call(struct slot *slot)
{
	struct bench *bench = slot->async->bench;
	Hawser__Bench__EchoMessage message = HAWSER__BENCH__ECHO_MESSAGE__INIT;
	Hawser__Bench__Wanted wanted = HAWSER__BENCH__WANTED__INIT;
	struct hawser_call *opened = NULL;

	message.id = slot->id = ++slot->async->next_id;
	message.payload.data = bench->payload;
	message.payload.len = wanted.payload_bytes = bench->payload_bytes;
	wanted.raw = slot->async->way == PEER_DOWN_RAW;
	switch (slot->async->way) {
	case PEER_BOTH_WAYS:
		opened = hawser_bench_echo_echo_async(slot->client, &message, echoed, slot, NULL);
		break;
	case PEER_UP:
		opened = hawser_bench_bulk_put_async(slot->client, &message, taken, slot, NULL);
		break;
	case PEER_DOWN:
	case PEER_DOWN_RAW:
		opened = hawser_bench_bulk_get_async(slot->client, &wanted, got, slot, NULL);
		break;
	}
	if (!opened)
		bench_die("call");
}

static void finished(struct slot *slot, struct hawser_call *ended)
{
	struct async *async = slot->async;
	uint64_t now_ns;

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

static void echoed(struct hawser_call *ended, const Hawser__Bench__EchoMessage *reply, void *data)
{
	struct slot *slot = data;

	if (!reply)
		peer_fail("call", hawser_call_error(ended));
	bench_call_ended(slot->async->bench, slot->id, reply->id, reply->payload.data,
			 reply->payload.len);
	finished(slot, ended);
}

static void taken(struct hawser_call *ended, const Hawser__Bench__Taken *reply, void *data)
{
	struct slot *slot = data;
	struct bench *bench = slot->async->bench;

	if (!reply)
		peer_fail("call", hawser_call_error(ended));
	bench_call_ended(bench, slot->id, reply->id, bench->payload, reply->payload_bytes);
	finished(slot, ended);
}

static void got(struct hawser_call *ended, const Hawser__Bench__EchoMessage *reply, void *data)
{
	struct slot *slot = data;

	if (!reply)
		peer_fail("call", hawser_call_error(ended));
	bench_call_ended(slot->async->bench, 0, reply->id, reply->payload.data, reply->payload.len);
	finished(slot, ended);
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
	async->way = peer_way(bench);
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

	async->clients[i] = peer_make_client(bench, async->base);
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

void peer_async(struct bench *bench)
{
	struct async async;

	async_init(&async, bench);
	if (!strcmp(bench->workload, "W6"))
		measure_idle(&async);
	else
		measure_calls(&async);
	async_deinit(&async);
}
