/* raw-stream: what the machine allows in one direction. Messages of {uint64 id,
 * payload}, packed and unpacked by protobuf-c and counted by their ids, over blocking
 * sockets: no RPC, no flow control but the socket's own, no event loop.
 *
 *     build/tests/bench/raw-stream server tcp:0 stream
 *     build/tests/bench/raw-stream client tcp:PORT W5 stream --peer raw-stream
 *
 * The client sends a header whose `call` is how many messages it wants (0: for ever)
 * and whose `kind` is how many bytes each is to carry. Messages have the same header,
 * with their length and their number; as many as fit leave in one send. */

#include "echo.pb-c.h"
#include "sockets.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char info[] = "raw-stream stream stream tcp,unix W5\n";

struct header {
	uint32_t body_bytes, kind;
	uint64_t call;
};

enum {
	HEADER = sizeof(struct header),
	SEND_BYTES = 64 * 1024,
	RECEIVE_BYTES = 128 * 1024,
	PAYLOAD_MOST = 32 * 1024,
	/* What protobuf adds to the payload: two tags and two numbers. */
	FIELDS_MOST = 32,
};

/* ---- server ---- */

static bool send_all(int fd, const uint8_t *data, size_t bytes)
{
	while (bytes) {
		ssize_t sent = send(fd, data, bytes, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return false;
		data += sent;
		bytes -= (size_t)sent;
	}
	return true;
}

static size_t pack(uint8_t *room, const Hawser__Bench__EchoMessage *message)
{
	struct header header = {.call = message->id};
	size_t bytes = hawser__bench__echo_message__pack(message, room + HEADER);

	header.body_bytes = (uint32_t)bytes;
	memcpy(room, &header, HEADER);
	return HEADER + bytes;
}

static void stream(int fd, uint64_t count, uint8_t *payload, size_t payload_bytes)
{
	static _Thread_local uint8_t out[SEND_BYTES];
	Hawser__Bench__EchoMessage message = HAWSER__BENCH__ECHO_MESSAGE__INIT;
	size_t most = HEADER + FIELDS_MOST + payload_bytes, length;

	message.payload.data = payload;
	message.payload.len = payload_bytes;
	while (!count || message.id < count) {
		for (length = 0; length + most <= sizeof out && (!count || message.id < count);
		     length += pack(out + length, &message))
			message.id++;
		if (!send_all(fd, out, length))
			return;
	}
}

static void *serve_one(void *data)
{
	static _Thread_local uint8_t payload[PAYLOAD_MOST];
	int fd = (int)(intptr_t)data;
	struct header header;

	if (recv(fd, &header, HEADER, MSG_WAITALL) == HEADER && header.kind <= PAYLOAD_MOST) {
		bench_fill(payload, header.kind);
		stream(fd, header.call, payload, header.kind);
	}
	close(fd);
	return NULL;
}

static _Noreturn void serve(const struct bench *bench)
{
	int port, listener = bench_listen(bench, &port);

	bench_ready(bench, port);
	for (;;) { /* SIGTERM ends it */
		int fd = accept(listener, NULL, NULL);
		pthread_t thread;

		if (fd < 0)
			continue;
		bench_no_delay(bench, fd);
		if (pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd) == 0)
			pthread_detach(thread);
		else
			close(fd);
	}
}

/* ---- client ---- */

static void message_came(struct bench *bench, uint64_t wanted_id, const uint8_t *body, size_t bytes)
{
	Hawser__Bench__EchoMessage *message =
		hawser__bench__echo_message__unpack(NULL, bytes, body);

	bench_call_ended(bench, wanted_id, message ? message->id : 0,
			 message ? message->payload.data : NULL,
			 message ? message->payload.len : 0);
	hawser__bench__echo_message__free_unpacked(message, NULL);
}

/* Takes the messages that are complete, and as many as are wanted; returns their bytes. */
static size_t take(struct bench *bench, uint64_t *id, const uint8_t *data, size_t bytes, bool *more)
{
	size_t used = 0;
	struct header header;

	while (bytes - used >= HEADER) {
		memcpy(&header, data + used, HEADER);
		if (bytes - used - HEADER < header.body_bytes)
			break;
		*more = bench_wants_call(bench);
		if (!*more)
			break;
		message_came(bench, ++*id, data + used + HEADER, header.body_bytes);
		used += HEADER + header.body_bytes;
	}
	return used;
}

static void receive(struct bench *bench)
{
	static uint8_t in[RECEIVE_BYTES];
	struct header wish = {.kind = (uint32_t)bench->payload_bytes, .call = bench->max_calls};
	int fd = bench_connect(bench);
	size_t length = 0, used;
	uint64_t id = 0;
	bool more = true;

	if (!send_all(fd, (const uint8_t *)&wish, sizeof wish))
		bench_die("send");
	bench_begin(bench);
	while (more) {
		ssize_t came = recv(fd, in + length, sizeof in - length, 0);

		/* With a number of messages the server ends; every one of them has come. */
		if (came == 0 && bench->max_calls && id == bench->max_calls)
			break;
		if (came <= 0)
			bench_die("recv");
		length += (size_t)came;
		used = take(bench, &id, in, length, &more);
		length -= used;
		memmove(in, in + used, length);
	}
	bench_end(bench);
	close(fd);
}

int main(int argc, char **argv)
{
	static struct bench bench;

	bench_parse(&bench, argc, argv, info);
	if (strcmp(bench.mode, "stream")) {
		fprintf(stderr, "error: mode \"%s\" is unknown; there is: stream\n", bench.mode);
		return 2;
	}
	if (bench.is_server)
		serve(&bench);
	if (strcmp(bench.workload, "W5") || bench.payload_bytes > PAYLOAD_MOST) {
		fprintf(stderr, "error: mode \"stream\" has W5, with payloads up to %d bytes\n",
			PAYLOAD_MOST);
		return 2;
	}
	receive(&bench);
	bench_release(&bench);
	return 0;
}
