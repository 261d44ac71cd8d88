/* raw-epoll: what the machine allows. The echo of as many bytes as a Hawser call
 * has, over epoll and plain sockets, without protobuf, without RPC.
 *
 * One recv per wake-up, all frames in it answered, one send: the fewest system
 * calls that a single-threaded server can make. measure.h has the command line,
 * tools/bench.sh runs it beside Hawser:
 *
 *     build/tests/bench/raw-epoll server tcp:0 epoll
 *     build/tests/bench/raw-epoll client tcp:PORT W1 epoll --peer raw-epoll
 *
 * A frame is 16 bytes of header (length of the body, a kind, a call number) and
 * a body of {uint64 id, payload}, in the machine's byte order: 88 bytes with a
 * payload of 64, about what Hawser puts on the wire. */

#include "sockets.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char info[] = "raw-epoll epoll epoll tcp,unix W1,W2,W3,W4a,W4b,W6\n";

struct header {
	uint32_t body_bytes, kind;
	uint64_t call;
};

enum {
	HEADER = sizeof(struct header),
	BODY_MAX = 1 << 30,
	INBOX = 64 * 1024,
	KEEP = 512 * 1024, /* a buffer below this is given back when empty */
	MAX_EVENTS = 256,
};

struct buffer {
	uint8_t *data;
	size_t start, end, capacity;
};

struct connection {
	int fd;
	bool waits_to_send;
	struct buffer in, out; /* what did not fit into one recv or send */
	unsigned in_flight;
	uint64_t sent_ns; /* of W1 */
};

struct loop {
	struct bench *bench;
	int epoll_fd, listener; /* no listener: the client */
	unsigned busy;          /* connections of the client with calls in flight */
	uint64_t next_id;
	struct buffer outbox;
	uint8_t inbox[INBOX];
};

static size_t buffer_length(const struct buffer *buffer)
{
	return buffer->end - buffer->start;
}

/* Room for `bytes` at the end. */
static uint8_t *buffer_reserve(struct buffer *buffer, size_t bytes)
{
	size_t length = buffer_length(buffer);

	if (buffer->start && (!length || buffer->capacity - buffer->end < bytes)) {
		memmove(buffer->data, buffer->data + buffer->start, length);
		buffer->start = 0;
		buffer->end = length;
	}
	if (buffer->capacity - buffer->end < bytes) {
		size_t capacity = buffer->capacity ? buffer->capacity : 4096;

		while (capacity - buffer->end < bytes)
			capacity *= 2;
		buffer->data = realloc(buffer->data, capacity);
		if (!buffer->data)
			bench_die("memory");
		buffer->capacity = capacity;
	}
	return buffer->data + buffer->end;
}

static void buffer_append(struct buffer *buffer, const void *data, size_t bytes)
{
	memcpy(buffer_reserve(buffer, bytes), data, bytes);
	buffer->end += bytes;
}

/* An idle connection owns no memory but its struct. */
static void buffer_rest(struct buffer *buffer)
{
	buffer->start = buffer->end = 0;
	if (buffer->capacity >= KEEP)
		return;
	free(buffer->data);
	memset(buffer, 0, sizeof *buffer);
}

static void watch(struct loop *loop, struct connection *connection, int operation)
{
	struct epoll_event event = {
		.events = EPOLLIN | (connection->waits_to_send ? EPOLLOUT : 0),
		.data.ptr = connection,
	};

	if (epoll_ctl(loop->epoll_fd, operation, connection->fd, &event) < 0)
		bench_die("epoll_ctl");
}

static struct connection *add_connection(struct loop *loop, int fd)
{
	struct connection *connection = calloc(1, sizeof *connection);

	if (!connection)
		bench_die("connection");
	connection->fd = fd;
	watch(loop, connection, EPOLL_CTL_ADD);
	return connection;
}

static void free_connection(struct connection *connection)
{
	close(connection->fd);
	free(connection->in.data);
	free(connection->out.data);
	free(connection);
}

static void drop_connection(struct loop *loop, struct connection *connection)
{
	if (loop->listener < 0) {
		fprintf(stderr, "error: the server closed the connection\n");
		exit(3);
	}
	free_connection(connection);
}

static struct connection *connect_one(struct loop *loop)
{
	int fd = bench_connect(loop->bench);

	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		bench_die("fcntl");
	return add_connection(loop, fd);
}

static void accept_all(struct loop *loop)
{
	int fd;

	while ((fd = accept4(loop->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		bench_no_delay(loop->bench, fd);
		add_connection(loop, fd);
	}
}

/* Sends what it can of `buffer`; false: the connection is gone. */
static bool send_some(int fd, struct buffer *buffer)
{
	ssize_t sent;

	while (buffer->start < buffer->end) {
		sent = send(fd, buffer->data + buffer->start, buffer_length(buffer), MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN;
		buffer->start += (size_t)sent;
	}
	return true;
}

static bool flush(struct loop *loop, struct connection *connection)
{
	bool waits;

	if (!send_some(connection->fd, &connection->out))
		return false;
	waits = buffer_length(&connection->out) > 0;
	if (!waits)
		buffer_rest(&connection->out);
	if (waits != connection->waits_to_send) {
		connection->waits_to_send = waits;
		watch(loop, connection, EPOLL_CTL_MOD);
	}
	return true;
}

static void append_request(struct loop *loop, struct buffer *out)
{
	const struct bench *bench = loop->bench;
	uint64_t id = ++loop->next_id;
	struct header header = {.body_bytes = (uint32_t)(sizeof id + bench->payload_bytes),
				.call = id};

	buffer_append(out, &header, sizeof header);
	buffer_append(out, &id, sizeof id);
	buffer_append(out, bench->payload, bench->payload_bytes);
}

static void reply_came(struct loop *loop, struct connection *connection,
		       const struct header *header, const uint8_t *body, struct buffer *out)
{
	struct bench *bench = loop->bench;
	uint64_t id = 0, now_ns;

	if (header->body_bytes >= sizeof id)
		memcpy(&id, body, sizeof id);
	bench_call_ended(bench, header->call, id, body + sizeof id, header->body_bytes - sizeof id);
	if (connection->sent_ns) {
		now_ns = bench_now_ns();
		bench_add_latency(bench, now_ns - connection->sent_ns);
		connection->sent_ns = now_ns;
	}
	if (bench_wants_call(bench))
		append_request(loop, out);
	else if (--connection->in_flight == 0)
		loop->busy--;
}

/* Handles the frames that are complete; returns their bytes, or -1 for nonsense. */
static ssize_t take_frames(struct loop *loop, struct connection *connection, const uint8_t *data,
			   size_t bytes, struct buffer *out)
{
	size_t used = 0;
	struct header header;

	while (bytes - used >= HEADER) {
		memcpy(&header, data + used, HEADER);
		if (header.body_bytes > BODY_MAX)
			return -1;
		if (bytes - used < HEADER + (size_t)header.body_bytes)
			break;
		if (loop->listener >= 0)
			buffer_append(out, data + used, HEADER + header.body_bytes);
		else
			reply_came(loop, connection, &header, data + used + HEADER, out);
		used += HEADER + header.body_bytes;
	}
	return (ssize_t)used;
}

/* How much to make room for: all of the frame that has begun, if that is large. */
static size_t bytes_wanted(const struct buffer *in)
{
	size_t have = buffer_length(in), missing = INBOX;
	struct header header;

	if (have < HEADER)
		return missing;
	memcpy(&header, in->data + in->start, HEADER);
	if (HEADER + (size_t)header.body_bytes > have + missing)
		missing = HEADER + header.body_bytes - have;
	return missing;
}

static bool receive(struct loop *loop, struct connection *connection)
{
	struct buffer *in = &connection->in, *out;
	bool part = buffer_length(in) > 0;
	uint8_t *room = part ? buffer_reserve(in, bytes_wanted(in)) : loop->inbox;
	size_t size = part ? in->capacity - in->end : INBOX;
	ssize_t came = recv(connection->fd, room, size, 0), used;

	if (came < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (came <= 0)
		return false;

	out = buffer_length(&connection->out) ? &connection->out : &loop->outbox;
	if (part) {
		in->end += (size_t)came;
		used = take_frames(loop, connection, in->data + in->start, buffer_length(in), out);
		if (used < 0)
			return false;
		in->start += (size_t)used;
		if (!buffer_length(in))
			buffer_rest(in);
	} else {
		used = take_frames(loop, connection, loop->inbox, (size_t)came, out);
		if (used < 0)
			return false;
		if (used < came)
			buffer_append(in, loop->inbox + used, (size_t)(came - used));
	}

	if (out == &loop->outbox) {
		bool alive = send_some(connection->fd, out);

		if (alive && buffer_length(out))
			buffer_append(&connection->out, out->data + out->start, buffer_length(out));
		out->start = out->end = 0;
		if (!alive)
			return false;
	}
	return !buffer_length(&connection->out) || flush(loop, connection);
}

static void turn(struct loop *loop)
{
	struct epoll_event events[MAX_EVENTS];
	int n = epoll_wait(loop->epoll_fd, events, MAX_EVENTS, -1);

	for (int i = 0; i < n; i++) {
		struct connection *connection = events[i].data.ptr;

		if (!connection)
			accept_all(loop);
		else if ((events[i].events & EPOLLOUT) && !flush(loop, connection))
			drop_connection(loop, connection);
		else if ((events[i].events & ~(uint32_t)EPOLLOUT) && !receive(loop, connection))
			drop_connection(loop, connection);
	}
}

static void serve(struct loop *loop)
{
	struct epoll_event event = {.events = EPOLLIN};
	int port;

	loop->listener = bench_listen(loop->bench, &port);
	if (fcntl(loop->listener, F_SETFL, O_NONBLOCK) < 0 ||
	    epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->listener, &event) < 0)
		bench_die("listen");
	bench_ready(loop->bench, port);
	for (;;) /* SIGTERM ends it */
		turn(loop);
}

/* Starts up to `depth` calls on a connection. */
static void fill(struct loop *loop, struct connection *connection)
{
	struct bench *bench = loop->bench;

	while (connection->in_flight < bench->depth && bench_wants_call(bench)) {
		append_request(loop, &connection->out);
		connection->in_flight++;
	}
	if (connection->in_flight)
		loop->busy++;
	if (!flush(loop, connection))
		bench_die("send");
}

static void measure_calls(struct loop *loop, struct connection **connections)
{
	struct bench *bench = loop->bench;

	for (unsigned i = 0; i < bench->connections; i++)
		connections[i] = connect_one(loop);
	bench_begin(bench);
	for (unsigned i = 0; i < bench->connections; i++) {
		if (!strcmp(bench->workload, "W1"))
			connections[i]->sent_ns = bench_now_ns();
		fill(loop, connections[i]);
	}
	while (loop->busy)
		turn(loop);
	bench_end(bench);
}

static void measure_idle(struct loop *loop, struct connection **connections)
{
	struct bench *bench = loop->bench;
	unsigned warm = bench_idle_warm_up(bench);
	struct bench_idle idle;

	bench->max_calls = bench->connections;
	for (unsigned i = 0; i < bench->connections; i++) {
		if (i == warm)
			bench_idle_begin(bench, &idle, i);
		/* One call each, answered by no further one. */
		bench->started = bench->max_calls - 1;
		connections[i] = connect_one(loop);
		fill(loop, connections[i]);
		while (loop->busy)
			turn(loop);
	}
	bench_idle_end(bench, &idle);
}

static void run_client(struct loop *loop)
{
	struct bench *bench = loop->bench;
	struct connection **connections = calloc(bench->connections, sizeof(void *));

	if (!connections)
		bench_die("connections");
	if (!strcmp(bench->workload, "W6"))
		measure_idle(loop, connections);
	else
		measure_calls(loop, connections);
	for (unsigned i = 0; i < bench->connections; i++)
		free_connection(connections[i]);
	free(connections);
	free(loop->outbox.data);
}

int main(int argc, char **argv)
{
	static struct bench bench;
	static struct loop loop = {.listener = -1};

	bench_parse(&bench, argc, argv, info);
	if (strcmp(bench.mode, "epoll")) {
		fprintf(stderr, "error: mode \"%s\" is unknown; there is: epoll\n", bench.mode);
		return 2;
	}
	loop.bench = &bench;
	loop.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop.epoll_fd < 0)
		bench_die("epoll");
	if (bench.is_server)
		serve(&loop);
	else
		run_client(&loop);
	bench_release(&bench);
	return 0;
}
