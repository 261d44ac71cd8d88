/* Blocking stubs of hawser-peer: one call after the other, on the calling thread. */

#include "bulk.hawser.h"
#include "echo.hawser.h"
#include "peer.h"

static void echo(struct bench *bench, struct hawser_client *client,
		 const Hawser__Bench__EchoMessage *request, struct hawser_context *context)
{
	Hawser__Bench__EchoMessage *reply;

	if (hawser_bench_echo_echo(client, request, &reply, context) != HAWSER_OK)
		peer_fail("call", &context->error);
	bench_call_ended(bench, request->id, reply->id, reply->payload.data, reply->payload.len);
	hawser__bench__echo_message__free_unpacked(reply, NULL);
}

static void put(struct bench *bench, struct hawser_client *client,
		const Hawser__Bench__EchoMessage *request, struct hawser_context *context)
{
	Hawser__Bench__Taken *reply;

	if (hawser_bench_bulk_put(client, request, &reply, context) != HAWSER_OK)
		peer_fail("call", &context->error);
	bench_call_ended(bench, request->id, reply->id, bench->payload, reply->payload_bytes);
	hawser__bench__taken__free_unpacked(reply, NULL);
}

static void get(struct bench *bench, struct hawser_client *client, struct hawser_context *context)
{
	Hawser__Bench__Wanted request = HAWSER__BENCH__WANTED__INIT;
	Hawser__Bench__EchoMessage *reply;

	request.payload_bytes = bench->payload_bytes;
	request.raw = peer_way(bench) == PEER_DOWN_RAW;
	if (hawser_bench_bulk_get(client, &request, &reply, context) != HAWSER_OK)
		peer_fail("call", &context->error);
	bench_call_ended(bench, 0, reply->id, reply->payload.data, reply->payload.len);
	hawser__bench__echo_message__free_unpacked(reply, NULL);
}

void peer_call(struct bench *bench, struct hawser_client *client, uint64_t id,
	       struct hawser_context *context)
{
	Hawser__Bench__EchoMessage request = HAWSER__BENCH__ECHO_MESSAGE__INIT;

	request.id = id;
	request.payload.data = bench->payload;
	request.payload.len = bench->payload_bytes;
	switch (peer_way(bench)) {
	case PEER_BOTH_WAYS:
		echo(bench, client, &request, context);
		break;
	case PEER_UP:
		put(bench, client, &request, context);
		break;
	case PEER_DOWN:
	case PEER_DOWN_RAW:
		get(bench, client, context);
		break;
	}
}

void peer_block(struct bench *bench)
{
	struct hawser_client *client = peer_make_client(bench, NULL);
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	uint64_t then_ns, now_ns, id = 0;

	bench_begin(bench);
	then_ns = bench_now_ns();
	while (bench_wants_call(bench)) {
		peer_call(bench, client, ++id, &context);
		now_ns = bench_now_ns();
		bench_add_latency(bench, now_ns - then_ns);
		then_ns = now_ns;
	}
	bench_end(bench);
	hawser_context_clear(&context);
	hawser_client_free(client);
}
