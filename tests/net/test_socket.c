/* Connections and the bytes on them, one body over every transport. */

#include "net/socket.h"
#include "sockets.h"
#include "support/random.h"
#include "support/suite.h"
#include "util/alloc.h"
#include "util/buffer.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct hawser__pool pool;
static struct hawser__buffer buffer;
/* As much as a chunk holds: with anything before it, it needs a second one. */
static uint8_t block[HAWSER__CHUNK_BYTES];

static void start(void)
{
	folder_make();
	memset(&pool, 0, sizeof pool);
	hawser__buffer_init(&buffer, &pool);
}

static void stop(void)
{
	hawser__buffer_deinit(&buffer);
	hawser__pool_deinit(&pool);
	folder_remove();
}

static void queue(const void *bytes, size_t size)
{
	uint8_t *room = hawser__buffer_reserve(&buffer, size);

	ck_assert_ptr_nonnull(room);
	memcpy(room, bytes, size);
	hawser__buffer_commit(&buffer, size);
}

/* As a connection does: what is queued, in pieces, and what was sent is removed. */
static ssize_t send_buffer(int fd, struct hawser__buffer *from, size_t limit)
{
	struct iovec pieces[64];
	int count = hawser__buffer_peek(from, pieces, 64), used = 0;
	ssize_t n;

	for (; used < count && limit; used++) {
		if (pieces[used].iov_len > limit)
			pieces[used].iov_len = limit;
		limit -= pieces[used].iov_len;
	}
	n = hawser__socket_send(fd, pieces, used);
	if (n > 0)
		hawser__buffer_consume(from, (size_t)n);
	return n;
}

static ssize_t receive_when_there(int fd, void *bytes, size_t size)
{
	wait_for(fd, POLLIN);
	return hawser__socket_receive(fd, bytes, size);
}

#define NEEDS(transport)                        \
	do {                                    \
		if (!have_transport(transport)) \
			return;                 \
	} while (0)

/* ---- connecting ---- */

START_TEST(connection_carries_bytes_both_ways)
{
	struct connection connection;
	char bytes[16];

	NEEDS(_i);
	connection = connection_over(_i);
	ck_assert_int_eq(hawser__socket_receive(connection.server, bytes, sizeof bytes), -EAGAIN);
	queue("ahoy", 4);
	ck_assert_int_eq(send_buffer(connection.client, &buffer, SIZE_MAX), 4);
	ck_assert_uint_eq(buffer.length, 0);
	ck_assert_int_eq(receive_when_there(connection.server, bytes, sizeof bytes), 4);
	ck_assert_mem_eq(bytes, "ahoy", 4);
	queue("aye", 3);
	ck_assert_int_eq(send_buffer(connection.server, &buffer, SIZE_MAX), 3);
	ck_assert_int_eq(receive_when_there(connection.client, bytes, sizeof bytes), 3);
	ck_assert_mem_eq(bytes, "aye", 3);
	close(connection.client);
	ck_assert_int_eq(receive_when_there(connection.server, bytes, sizeof bytes), 0);
	close(connection.server);
}
END_TEST

static void check_flags(int fd, enum transport transport, bool is_listener)
{
	int nodelay = -1;
	socklen_t length = sizeof nodelay;

	ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	if (transport == TRANSPORT_UNIX || is_listener)
		return;
	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &length), 0);
	ck_assert_int_ne(nodelay, 0);
}

START_TEST(sockets_never_block_nor_survive_exec_nor_wait_to_send)
{
	struct connection connection;
	int listener;

	NEEDS(_i);
	listener = listen_over(_i);
	check_flags(listener, _i, true);
	close(listener);
	connection = connection_over(_i);
	check_flags(connection.client, _i, false);
	check_flags(connection.server, _i, false);
	connection_close(&connection);
}
END_TEST

START_TEST(nobody_to_accept_is_eagain)
{
	int listener;

	NEEDS(_i);
	listener = listen_over(_i);
	ck_assert_int_eq(hawser__socket_accept(listener), -EAGAIN);
	close(listener);
	ck_assert_int_eq(hawser__socket_accept(listener), -EBADF);
}
END_TEST

START_TEST(nobody_listening_is_refused)
{
	char text[HAWSER__ADDRESS_MAX];
	int listener;

	NEEDS(_i);
	listener = listen_over(_i);
	address_of(listener, text);
	close(listener);
	ck_assert_int_eq(try_connect(text), -ECONNREFUSED);
}
END_TEST

START_TEST(port_that_is_taken_is_told)
{
	char text[HAWSER__ADDRESS_MAX], expected[HAWSER__ADDRESS_MAX * 2];
	struct hawser_error error;
	int listener;

	NEEDS(_i);
	listener = listen_over(_i);
	address_of(listener, text);
	ck_assert_int_eq(try_listen(text, 0600, &error), -EADDRINUSE);
	snprintf(expected, sizeof expected, "listen %s: address already in use", text);
	ck_assert_str_eq(error.message, expected);
	ck_assert_int_eq(error.code, -EADDRINUSE);
	/* The first one is not disturbed. */
	ck_assert_int_eq(close(try_connect(text)), 0);
	close(listener);
}
END_TEST

/* A server that starts again must not wait for the connections of its former self. */
START_TEST(port_of_connections_just_closed_can_be_listened_on)
{
	char text[HAWSER__ADDRESS_MAX], byte;
	int listener, client, server;

	NEEDS(_i);
	listener = listen_over(_i);
	address_of(listener, text);
	client = try_connect(text);
	ck_assert_int_ge(client, 0);
	wait_for(listener, POLLIN);
	server = hawser__socket_accept(listener);
	ck_assert_int_ge(server, 0);
	/* Whoever closes first keeps the port busy (RFC 9293, TIME-WAIT). */
	close(server);
	close(listener);
	ck_assert_int_eq(receive_when_there(client, &byte, 1), 0);
	close(client);
	close(listen_on(text));
}
END_TEST

/* On every address, because the system asks this only there. */
START_TEST(only_star_takes_ipv4_on_an_ipv6_socket)
{
	static const char *const texts[] = {"tcp:[::]:0", "tcp:*:0"};

	NEEDS(TRANSPORT_TCP6);
	for (int star = 0; star < 2; star++) {
		struct hawser__address address = parse(texts[star]);
		struct addrinfo *where = resolve("tcp:[::]:0", true);
		struct sockaddr_in6 bound;
		socklen_t length = sizeof bound;
		struct hawser_error error;
		char text[HAWSER__ADDRESS_MAX];
		int client, fd = hawser__socket_listen(&address, where, 0, &error);

		ck_assert_msg(fd >= 0, "%s", error.message);
		ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&bound, &length), 0);
		snprintf(text, sizeof text, "tcp:127.0.0.1:%u", ntohs(bound.sin6_port));
		client = try_connect(text);
		if (star)
			ck_assert_int_eq(close(client), 0);
		else
			ck_assert_int_eq(client, -ECONNREFUSED);
		close(fd);
		hawser__address_free(where);
	}
}
END_TEST

START_TEST(without_descriptors_nothing_is_opened_and_it_is_told)
{
	struct addrinfo *where = resolve("tcp:127.0.0.1:0", true);
	struct hawser__address address = parse("tcp:127.0.0.1:0");
	char text[HAWSER__ADDRESS_MAX];
	struct hawser_error error;
	bool done;
	int listener = listen_on("tcp:127.0.0.1:0"), client, r[3];

	client = try_connect(address_of(listener, text));
	ck_assert_int_ge(client, 0);
	wait_for(listener, POLLIN);
	use_up_descriptors(true);
	r[0] = hawser__socket_listen(&address, where, 0, &error);
	r[1] = hawser__socket_connect(where, &done);
	r[2] = hawser__socket_accept(listener);
	use_up_descriptors(false);
	ck_assert_int_eq(r[0], -EMFILE);
	ck_assert_str_eq(error.message, "listen tcp:127.0.0.1:0: too many open files");
	ck_assert_int_eq(r[1], -EMFILE);
	ck_assert_int_eq(r[2], -EMFILE);
	/* With descriptors, the listener goes on. */
	close(client);
	client = try_connect(address_of(listener, text));
	ck_assert_int_ge(client, 0);
	wait_for(listener, POLLIN);
	r[2] = hawser__socket_accept(listener);
	ck_assert_int_ge(r[2], 0);
	close(r[2]);
	close(client);
	close(listener);
	hawser__address_free(where);
}
END_TEST

/* ---- moving bytes ---- */

START_TEST(bytes_leave_in_order_and_in_pieces_of_the_limit)
{
	enum { CHUNKS = 150, TOTAL = CHUNKS * HAWSER__CHUNK_BYTES };
	struct connection connection;
	uint8_t *sent, *received;
	size_t taken = 0, arrived = 0;

	NEEDS(_i);
	sent = malloc(TOTAL);
	received = malloc(TOTAL);
	ck_assert(sent && received);
	connection = connection_over(_i);
	random_fill(sent, TOTAL);
	/* More pieces than one system call takes. */
	for (size_t at = 0; at < TOTAL; at += HAWSER__CHUNK_BYTES)
		queue(sent + at, HAWSER__CHUNK_BYTES);
	while (arrived < TOTAL) {
		size_t limit = (size_t)random_below(5) * 10007, before = buffer.length;
		ssize_t n = send_buffer(connection.client, &buffer, limit);

		if (n >= 0) {
			quick_assert((size_t)n <= limit);
			quick_assert(buffer.length == before - (size_t)n);
			taken += (size_t)n;
		} else {
			quick_assert(n == -EAGAIN);
			quick_assert(buffer.length == before);
		}
		n = hawser__socket_receive(connection.server, received + arrived, TOTAL - arrived);
		quick_assert(n > 0 || n == -EAGAIN);
		if (n > 0)
			arrived += (size_t)n;
		quick_assert(arrived <= taken);
	}
	ck_assert_uint_eq(taken, TOTAL);
	ck_assert_uint_eq(buffer.length, 0);
	ck_assert_mem_eq(sent, received, TOTAL);
	free(sent);
	free(received);
	connection_close(&connection);
}
END_TEST

START_TEST(limit_of_zero_and_an_empty_buffer_send_nothing)
{
	struct connection connection;
	char byte;

	NEEDS(_i);
	connection = connection_over(_i);
	ck_assert_int_eq(send_buffer(connection.client, &buffer, SIZE_MAX), 0);
	queue("x", 1);
	ck_assert_int_eq(send_buffer(connection.client, &buffer, 0), 0);
	ck_assert_uint_eq(buffer.length, 1);
	ck_assert_int_eq(hawser__socket_receive(connection.server, &byte, 1), -EAGAIN);
	connection_close(&connection);
}
END_TEST

START_TEST(full_socket_takes_no_more_and_loses_nothing)
{
	struct connection connection;
	size_t taken = 0, arrived = 0;
	ssize_t n;

	NEEDS(_i);
	connection = connection_over(_i);
	do {
		while (buffer.length < 1 << 20)
			queue(block, sizeof block);
		n = send_buffer(connection.client, &buffer, SIZE_MAX);
		if (n > 0)
			taken += (size_t)n;
	} while (n > 0);
	ck_assert_int_eq(n, -EAGAIN);
	close(connection.client);
	while ((n = receive_when_there(connection.server, block, sizeof block)) > 0)
		arrived += (size_t)n;
	ck_assert_int_eq(n, 0);
	ck_assert_uint_eq(arrived, taken);
	close(connection.server);
}
END_TEST

static volatile sig_atomic_t pipe_signals;

static void on_sigpipe(int number)
{
	(void)number;
	pipe_signals++;
}

START_TEST(peer_that_is_gone_is_an_error_and_never_sigpipe)
{
	struct sigaction action = {.sa_handler = on_sigpipe}, before;
	struct connection connection;
	ssize_t n = 0;

	NEEDS(_i);
	connection = connection_over(_i);
	pipe_signals = 0;
	ck_assert_int_eq(sigaction(SIGPIPE, &action, &before), 0);
	close(connection.server);
	/* A stream may take a first piece before it knows. */
	for (unsigned i = 0; i < 1000 && n >= 0; i++) {
		/* One piece, then several: they go by different system calls. */
		queue("x", 1);
		if (i)
			queue(block, sizeof block);
		n = send_buffer(connection.client, &buffer, SIZE_MAX);
		if (n > 0)
			wait_for(connection.client, POLLOUT | POLLHUP);
	}
	ck_assert_msg(n == -EPIPE || n == -ECONNRESET, "the error is %zd", n);
	/* Again, in one piece and in many. */
	for (int i = 0; i < 2; i++) {
		hawser__buffer_consume(&buffer, SIZE_MAX);
		queue("x", 1);
		if (i)
			queue(block, sizeof block);
		ck_assert_int_eq(send_buffer(connection.client, &buffer, SIZE_MAX), -EPIPE);
	}
	ck_assert_int_eq(pipe_signals, 0);
	sigaction(SIGPIPE, &before, NULL);
	close(connection.client);
}
END_TEST

START_TEST(blocking_receive_gives_up_after_its_time)
{
	struct connection connection;
	struct timespec before, after;
	char byte;
	long elapsed_ms;

	NEEDS(_i);
	connection = connection_over(_i);
	ck_assert_int_eq(hawser__socket_set_blocking(connection.client, 30), 0);
	clock_gettime(CLOCK_MONOTONIC, &before);
	ck_assert_int_eq(hawser__socket_receive(connection.client, &byte, 1), -EAGAIN);
	clock_gettime(CLOCK_MONOTONIC, &after);
	elapsed_ms =
		(after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
	ck_assert_int_ge(elapsed_ms, 29);
	/* Sending does not block even so. */
	while (buffer.length < 8 << 20)
		queue(block, sizeof block);
	while (send_buffer(connection.client, &buffer, SIZE_MAX) > 0)
		;
	connection_close(&connection);
	ck_assert_int_eq(hawser__socket_set_blocking(connection.client, 30), -EBADF);
}
END_TEST

START_TEST(finished_direction_ends_and_the_other_goes_on)
{
	struct connection connection;
	char bytes[8];

	NEEDS(_i);
	connection = connection_over(_i);
	queue("last", 4);
	ck_assert_int_eq(send_buffer(connection.client, &buffer, SIZE_MAX), 4);
	hawser__socket_finish(connection.client);
	ck_assert_int_eq(receive_when_there(connection.server, bytes, sizeof bytes), 4);
	ck_assert_int_eq(receive_when_there(connection.server, bytes, sizeof bytes), 0);
	queue("reply", 5);
	ck_assert_int_eq(send_buffer(connection.server, &buffer, SIZE_MAX), 5);
	ck_assert_int_eq(receive_when_there(connection.client, bytes, sizeof bytes), 5);
	connection_close(&connection);
}
END_TEST

/* ---- who is there ---- */

START_TEST(peer_is_named_by_address_or_process)
{
	struct connection connection;
	char name[128], expected[HAWSER__ADDRESS_MAX];

	NEEDS(_i);
	connection = connection_over(_i);
	if (_i == TRANSPORT_UNIX)
		snprintf(expected, sizeof expected, "unix:pid=%d,uid=%u", (int)getpid(),
			 (unsigned)getuid());
	else
		address_of(connection.client, expected);
	ck_assert_str_eq(hawser__socket_peer(connection.server, name, sizeof name), expected);
	connection_close(&connection);
	ck_assert_str_eq(hawser__socket_peer(connection.server, name, sizeof name), "unknown:");
}
END_TEST

START_TEST(same_user_is_known_on_unix_only)
{
	struct connection connection;

	NEEDS(_i);
	connection = connection_over(_i);
	ck_assert_int_eq(hawser__socket_peer_is_same_user(connection.server), _i == TRANSPORT_UNIX);
	ck_assert_int_eq(hawser__socket_peer_is_same_user(connection.client), _i == TRANSPORT_UNIX);
	connection_close(&connection);
	ck_assert(!hawser__socket_peer_is_same_user(connection.server));
	ck_assert(!hawser__socket_peer_is_same_user(STDOUT_FILENO));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net-socket");
	TCase *connecting = suite_case(suite, "connecting"), *moving = suite_case(suite, "moving");
	TCase *peers = suite_case(suite, "peers"), *all[] = {connecting, moving, peers};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		tcase_add_checked_fixture(all[i], start, stop);
	tcase_add_loop_test(connecting, connection_carries_bytes_both_ways, 0, TRANSPORTS);
	tcase_add_loop_test(connecting, sockets_never_block_nor_survive_exec_nor_wait_to_send, 0,
			    TRANSPORTS);
	tcase_add_loop_test(connecting, nobody_to_accept_is_eagain, 0, TRANSPORTS);
	tcase_add_loop_test(connecting, nobody_listening_is_refused, 0, TRANSPORTS);
	tcase_add_loop_test(connecting, port_that_is_taken_is_told, 0, TRANSPORTS);
	tcase_add_loop_test(connecting, port_of_connections_just_closed_can_be_listened_on, 0,
			    TRANSPORTS);
	tcase_add_test(connecting, only_star_takes_ipv4_on_an_ipv6_socket);
	tcase_add_test(connecting, without_descriptors_nothing_is_opened_and_it_is_told);

	tcase_add_loop_test(moving, bytes_leave_in_order_and_in_pieces_of_the_limit, 0, TRANSPORTS);
	tcase_add_loop_test(moving, limit_of_zero_and_an_empty_buffer_send_nothing, 0, TRANSPORTS);
	tcase_add_loop_test(moving, full_socket_takes_no_more_and_loses_nothing, 0, TRANSPORTS);
	tcase_add_loop_test(moving, peer_that_is_gone_is_an_error_and_never_sigpipe, 0, TRANSPORTS);
	tcase_add_loop_test(moving, blocking_receive_gives_up_after_its_time, 0, TRANSPORTS);
	tcase_add_loop_test(moving, finished_direction_ends_and_the_other_goes_on, 0, TRANSPORTS);

	tcase_add_loop_test(peers, peer_is_named_by_address_or_process, 0, TRANSPORTS);
	tcase_add_loop_test(peers, same_user_is_known_on_unix_only, 0, TRANSPORTS);
	return suite_run(suite);
}
