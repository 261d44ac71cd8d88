/* A stream of replies, taken by hawser-peer with an asynchronous stub. */

#include "bulk.hawser.h"
#include "peer.h"
#include <event2/event.h>

struct taker {
	struct bench *bench;
	struct event_base *base;
	uint64_t id;
};

static void came(struct hawser_call *call, const Hawser__Bench__EchoMessage *message, void *data)
{
	struct taker *taker = data;

	if (!message && hawser_call_error(call)->status != HAWSER_OK)
		peer_fail("stream", hawser_call_error(call));
	if (message && bench_wants_call(taker->bench)) {
		bench_call_ended(taker->bench, ++taker->id, message->id, message->payload.data,
				 message->payload.len);
		return;
	}
	/* Freed, it tells us of no more. */
	hawser_call_free(call);
	event_base_loopbreak(taker->base);
}

/* Nothing is measured before it is connected. */
static void connected(struct hawser_call *call, const Hawser__Bench__Taken *reply, void *data)
{
	struct taker *taker = data;

	if (!reply)
		peer_fail("connect", hawser_call_error(call));
	hawser_call_free(call);
	event_base_loopbreak(taker->base);
}

void peer_stream(struct bench *bench)
{
	Hawser__Bench__EchoMessage nothing = HAWSER__BENCH__ECHO_MESSAGE__INIT;
	Hawser__Bench__Wanted wanted = HAWSER__BENCH__WANTED__INIT;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct taker taker = {.bench = bench, .base = event_base_new()};
	struct hawser_client *client;

	if (!taker.base)
		bench_die("memory");
	client = peer_make_client(bench, taker.base);
	if (!hawser_bench_bulk_put_async(client, &nothing, connected, &taker, NULL))
		bench_die("call");
	event_base_dispatch(taker.base);

	wanted.count = bench->max_calls;
	wanted.payload_bytes = bench->payload_bytes;
	context.timeout_ms = HAWSER_NO_DEADLINE;
	bench_begin(bench);
	if (!hawser_bench_bulk_stream_async(client, &wanted, came, &taker, &context))
		bench_die("call");
	event_base_dispatch(taker.base);
	bench_end(bench);
	hawser_client_free(client);
	event_base_free(taker.base);
}
