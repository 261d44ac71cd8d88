/* The server of hawser-peer: answers calls, and streams as much as the client takes. */

#include "bulk.hawser.h"
#include "echo.hawser.h"
#include "peer.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What goes to clients that ask for bytes: as many as one ever asked for. */
struct store {
	uint8_t *payload;
	size_t bytes;
	struct packed *packed;
	/* Of the first store, which is the loop's: who does what takes long, and its own store. */
	struct peer_worker *worker;
	struct store *workers;
};

/* A stream of replies. */
struct stream {
	struct store *store;
	uint64_t id, count;
	size_t payload_bytes;
};

/* A reply that is packed already. The store has one, calls borrow it. */
struct packed {
	unsigned users;
	size_t payload_bytes, length;
	uint8_t bytes[];
};

static bool store_reserve(struct store *store, size_t bytes)
{
	uint8_t *payload;

	if (bytes <= store->bytes)
		return true;
	payload = realloc(store->payload, bytes);
	if (!payload)
		return false;
	bench_fill(payload, bytes);
	store->payload = payload;
	store->bytes = bytes;
	return true;
}

static void packed_release(void *data)
{
	struct packed *packed = data;

	if (packed && --packed->users == 0)
		free(packed);
}

/* The one that was asked for last is kept. */
static struct packed *store_packed(struct store *store, size_t payload_bytes)
{
	Hawser__Bench__EchoMessage message = HAWSER__BENCH__ECHO_MESSAGE__INIT;
	struct packed *packed = store->packed;
	size_t length;

	if (packed && packed->payload_bytes == payload_bytes)
		return packed;
	if (!store_reserve(store, payload_bytes))
		return NULL;
	message.payload.data = store->payload;
	message.payload.len = payload_bytes;
	length = hawser__bench__echo_message__get_packed_size(&message);
	packed = malloc(sizeof *packed + length);
	if (!packed)
		return NULL;
	*packed = (struct packed){1, payload_bytes, length};
	hawser__bench__echo_message__pack(&message, packed->bytes);
	packed_release(store->packed);
	store->packed = packed;
	return packed;
}

static void echo_now(struct hawser_call *call, const void *request, void *data)
{
	hawser_bench_echo_echo_reply(call, request);
}

static void echo(struct hawser_call *call, const Hawser__Bench__EchoMessage *request, void *data)
{
	struct store *store = data;

	if (request->payload.len < PEER_LONG_WORK)
		echo_now(call, request, NULL);
	else
		peer_worker_add(&store->worker, echo_now, call, request, NULL);
}

static void put(struct hawser_call *call, const Hawser__Bench__EchoMessage *request, void *data)
{
	Hawser__Bench__Taken taken = HAWSER__BENCH__TAKEN__INIT;

	taken.id = request->id;
	taken.payload_bytes = request->payload.len;
	hawser_bench_bulk_put_reply(call, &taken);
}

static void get_raw(struct hawser_call *call, struct packed *packed)
{
	packed->users++;
	hawser_call_send_raw(call, hawser_call_method(call), packed->bytes, packed->length,
			     packed_release, packed);
}

static void get_now(struct hawser_call *call, const void *request, void *data)
{
	Hawser__Bench__EchoMessage message = HAWSER__BENCH__ECHO_MESSAGE__INIT;
	const Hawser__Bench__Wanted *wanted = request;
	struct store *store = data;

	if (!store_reserve(store, wanted->payload_bytes)) {
		hawser_bench_bulk_get_fail(call, HAWSER_RESOURCE_EXHAUSTED, NULL);
		return;
	}
	message.payload.data = store->payload;
	message.payload.len = wanted->payload_bytes;
	hawser_bench_bulk_get_reply(call, &message);
}

static void get(struct hawser_call *call, const Hawser__Bench__Wanted *wanted, void *data)
{
	struct store *store = data;
	struct packed *packed = wanted->raw ? store_packed(store, wanted->payload_bytes) : NULL;

	if (packed)
		get_raw(call, packed);
	else if (wanted->payload_bytes < PEER_LONG_WORK)
		get_now(call, wanted, store);
	else
		peer_worker_add(&store->worker, get_now, call, wanted, store->workers);
}

/* ---- the stream ---- */

static void send_some(struct hawser_call *call, void *data)
{
	Hawser__Bench__EchoMessage message = HAWSER__BENCH__ECHO_MESSAGE__INIT;
	struct stream *stream = data;
	int code = 0;

	message.payload.data = stream->store->payload;
	message.payload.len = stream->payload_bytes;
	while (code == 0 && (!stream->count || stream->id < stream->count)) {
		message.id = stream->id + 1;
		code = hawser_bench_bulk_stream_reply(call, &message);
		if (code == 0)
			stream->id++;
	}
	if (code == -EAGAIN) {
		hawser_call_on_writable(call, send_some, stream);
		return;
	}
	if (code == 0)
		hawser_call_end(call);
	else
		hawser_bench_bulk_stream_fail(call, HAWSER_RESOURCE_EXHAUSTED, NULL);
	free(stream);
}

static void cancelled(struct hawser_call *call, void *data)
{
	hawser_bench_bulk_stream_fail(call, HAWSER_CANCELLED, NULL);
	free(data);
}

static void stream(struct hawser_call *call, const Hawser__Bench__Wanted *wanted, void *data)
{
	struct store *store = data;
	struct stream *stream = malloc(sizeof *stream);

	if (!stream || !store_reserve(store, wanted->payload_bytes)) {
		free(stream);
		hawser_bench_bulk_stream_fail(call, HAWSER_RESOURCE_EXHAUSTED, NULL);
		return;
	}
	*stream = (struct stream){store, 0, wanted->count, wanted->payload_bytes};
	hawser_call_on_cancel(call, cancelled, stream);
	send_some(call, stream);
}

static const struct hawser_bench_echo_service echo_service = {.echo = echo};
static const struct hawser_bench_bulk_service bulk_service = {
	.stream = stream, .put = put, .get = get};

int peer_serve(const struct bench *bench)
{
	struct hawser_server_options options = HAWSER_SERVER_OPTIONS_INIT;
	struct store workers = {.payload = NULL}, store = {.workers = &workers};
	struct hawser_server *server;
	bool is_pooled = !strcmp(bench->mode, "pool");
	struct hawser_error error;
	const char *bound;
	char address[320];
	int code;

	options.max_connections = 100000;
	options.max_request_bytes = options.max_reply_bytes = PEER_LARGEST_MESSAGE;
	options.max_unsent_bytes = options.max_log_bytes = PEER_LARGEST_LOG;
	server = hawser_server_new(&options, &error);
	if (!server)
		peer_fail("server", &error);
	if (bench->path)
		snprintf(address, sizeof address, "unix:%s", bench->path);
	else
		snprintf(address, sizeof address, "tcp:127.0.0.1:%d", bench->port);
	if (hawser_bench_echo_register(server, &echo_service, &store, &error) < 0 ||
	    hawser_bench_bulk_register(server, &bulk_service, &store, &error) < 0 ||
	    (is_pooled &&
	     hawser_server_set_blocking(server, hawser_bench_echo_descriptor.name, &error) < 0) ||
	    hawser_server_listen(server, address, &error) < 0)
		peer_fail("listen", &error);
	bound = hawser_server_address(server, 0);
	bench_ready(bench, bench->path ? 0 : atoi(strrchr(bound, ':') + 1));
	code = hawser_server_run(server, &error);
	if (code < 0)
		peer_fail("serve", &error);
	peer_worker_free(store.worker);
	hawser_server_free(server);
	packed_release(store.packed);
	free(store.payload);
	free(workers.payload);
	return 0;
}
