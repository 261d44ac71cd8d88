/* Large messages take turns, and small ones do not wait for them. */

#include "raw.h"
#include "stream.h"
#include "support/random.h"
#include "support/suite.h"
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	KIBIBYTE = 1024,
	MEBIBYTE = 1 << 20,
	PIECE = 64 * KIBIBYTE,
	LARGE = 3 * MEBIBYTE,
	FEW = 8, /* pieces that may be ahead of what is small */
	IDS = 8,
	MESSAGES = 20,
};

static uint8_t zeros[8 * MEBIBYTE];

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

static Rpctest__Payload payload_of(size_t length)
{
	Rpctest__Payload payload = RPCTEST__PAYLOAD__INIT;

	payload.data.data = zeros;
	payload.data.len = length;
	return payload;
}

/* What came of calls 1 and 3, which are large, and of 5, which is small. */
struct order {
	size_t bytes[IDS];
	unsigned n_pieces[IDS];
	unsigned longest_run; /* of one call, while the other had begun and was not done */
	unsigned ahead;       /* pieces before the small one; 0 pieces: it was not there yet */
	bool has_small;
};

static void note(struct order *order, uint64_t id, size_t length)
{
	static unsigned run;
	static uint64_t last;
	uint64_t other = id == 1 ? 3 : 1;

	ck_assert_uint_lt(id, IDS);
	if (id == 5) {
		order->has_small = true;
		order->ahead = order->n_pieces[1] + order->n_pieces[3];
		return;
	}
	ck_assert_uint_le(length, PIECE);
	order->bytes[id] += length;
	order->n_pieces[id]++;
	run = id == last ? run + 1 : 1;
	last = id;
	if (order->bytes[other] && order->bytes[other] < LARGE && run > order->longest_run)
		order->longest_run = run;
}

static void assert_order(const struct order *order)
{
	ck_assert_uint_gt(order->n_pieces[1], LARGE / PIECE);
	ck_assert_uint_gt(order->n_pieces[3], LARGE / PIECE);
	ck_assert_uint_le(order->longest_run, 2);
	ck_assert(order->has_small);
}

/* ---- requests ---- */

struct runner {
	struct caller caller;
	struct async calls[3];
	pthread_t thread;
};

static void *run(void *data)
{
	struct runner *runner = data;

	for (int i = 0; i < 3; i++)
		while (!runner->calls[i].result.n_ends)
			event_base_loop(runner->caller.base, EVLOOP_ONCE);
	return NULL;
}

static bool is_complete(const struct order *order)
{
	return order->bytes[1] >= LARGE && order->bytes[3] >= LARGE && order->has_small;
}

/* As a server sees them that takes everything. */
START_TEST(large_requests_take_turns_and_small_ones_pass)
{
	Rpctest__Payload large = payload_of(LARGE);
	char address[ADDRESS_SIZE], directory[128];
	struct order order = {.ahead = 0};
	struct runner runner;
	int listener, fd;

	directory_make(directory, sizeof directory);
	listener = raw_listen(transport_of(_i), directory, address);
	memset(&runner, 0, sizeof runner);
	caller_init(&runner.caller, address, true, NULL);
	async_open(&runner.calls[0], &runner.caller, ECHO, &large, NULL);
	async_open(&runner.calls[1], &runner.caller, ECHO, &large, NULL);
	async_open(&runner.calls[2], &runner.caller, ECHO, &empty, NULL);
	ck_assert_int_eq(pthread_create(&runner.thread, NULL, run, &runner), 0);
	fd = raw_accept(listener);
	raw_opened(fd);
	while (!is_complete(&order)) {
		Hawser__Frame *frame = raw_receive(fd);

		ck_assert_ptr_nonnull(frame);
		if (frame->kind_case == HAWSER__FRAME__KIND_CALL && !frame->call->size)
			note(&order, frame->call->id, frame->payload.len);
		if (frame->kind_case == HAWSER__FRAME__KIND_MESSAGE) {
			note(&order, frame->message->id, frame->payload.len);
			ck_assert(raw_window(fd, frame->message->id, frame->payload.len + 16));
		}
		hawser__frame__free_unpacked(frame, NULL);
	}
	assert_order(&order);
	ck_assert_uint_le(order.ahead, FEW);
	for (uint64_t id = 1; id <= 5; id += 2)
		ck_assert(raw_end(fd, id, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN, &empty));
	pthread_join(runner.thread, NULL);
	for (int i = 0; i < 3; i++)
		assert_ok(&runner.calls[i].result);
	caller_deinit(&runner.caller);
	close(fd);
	close(listener);
	if (transport_of(_i) == OVER_UNIX)
		unlink(address + strlen("unix:"));
	directory_remove(directory);
}
END_TEST

/* ---- replies ---- */

START_TEST(large_replies_take_turns_and_small_ones_pass)
{
	Rpctest__Payload grow = RPCTEST__PAYLOAD__INIT;
	struct order order = {.ahead = 0};
	unsigned n_ends = 0;
	struct tester tester;
	int fd;

	grow.number = LARGE;
	tester_start(&tester, transport_of(_i), NULL);
	fd = raw_connect(tester.address);
	raw_open(fd);
	ck_assert(raw_call(fd, 1, GROW, &grow));
	ck_assert(raw_call(fd, 3, GROW, &grow));
	ck_assert(raw_call(fd, 5, ECHO, &empty));
	while (n_ends < 3) {
		Hawser__Frame *frame = raw_receive(fd);

		ck_assert_ptr_nonnull(frame);
		if (frame->kind_case == HAWSER__FRAME__KIND_END) {
			ck_assert_uint_eq(frame->end->status, 0);
			n_ends++;
		}
		if (frame->kind_case == HAWSER__FRAME__KIND_MESSAGE) {
			note(&order, frame->message->id, frame->payload.len);
			ck_assert(raw_window(fd, frame->message->id, frame->payload.len + 16));
		} else if (frame->kind_case == HAWSER__FRAME__KIND_END && frame->end->id == 5) {
			note(&order, 5, 0);
		}
		hawser__frame__free_unpacked(frame, NULL);
	}
	assert_order(&order);
	ck_assert_uint_le(order.ahead, 2 * FEW);
	close(fd);
	tester_stop(&tester);
}
END_TEST

/* To a client that has nothing to say meanwhile, neither windows nor acknowledgements. */
START_TEST(handler_goes_on_when_its_message_has_left)
{
	Rpctest__Payload request = payload_of(PIECE + 1000);
	struct tester tester;
	unsigned n = 0;
	bool has_ended = false;
	int fd;

	request.number = MESSAGES;
	tester_start(&tester, transport_of(_i), NULL);
	fd = raw_connect(tester.address);
	raw_open_with_window(fd, 1 << 30);
	ck_assert(raw_call(fd, 1, WATCH, &request));
	while (!has_ended) {
		Hawser__Frame *frame = raw_receive(fd);

		ck_assert_msg(frame, "nothing came behind message %u", n);
		has_ended = frame->kind_case == HAWSER__FRAME__KIND_END;
		n += frame->kind_case == HAWSER__FRAME__KIND_MESSAGE && frame->message->size;
		hawser__frame__free_unpacked(frame, NULL);
	}
	ck_assert_uint_eq(n, MESSAGES);
	close(fd);
	tester_stop(&tester);
}
END_TEST

struct uploader {
	const char *address;
	bool is_async;
	pthread_t thread;
	struct stream stream;
};

static void *upload(void *data)
{
	struct uploader *uploader = data;
	Rpctest__Payload message = payload_of(PIECE + 1000);
	struct caller caller;

	caller_init(&caller, uploader->address, uploader->is_async, NULL);
	stream_open(&uploader->stream, &caller, GATHER, NULL, NULL);
	for (int i = 0; i < MESSAGES; i++)
		stream_send(&uploader->stream, &message);
	hawser_call_end(uploader->stream.call);
	stream_await(&uploader->stream, UINT64_MAX);
	stream_close(&uploader->stream);
	caller_deinit(&caller);
	return NULL;
}

/* The same to a server. */
START_TEST(client_goes_on_when_its_message_has_left)
{
	char address[ADDRESS_SIZE], directory[128];
	struct uploader uploader = {.address = address, .is_async = is_async(_i)};
	bool has_ended = false;
	unsigned n = 0;
	int listener, fd;

	directory_make(directory, sizeof directory);
	listener = raw_listen(transport_of(_i), directory, address);
	ck_assert_int_eq(pthread_create(&uploader.thread, NULL, upload, &uploader), 0);
	fd = raw_accept(listener);
	raw_opened_with_window(fd, 1 << 30);
	while (!has_ended) {
		Hawser__Frame *frame = raw_receive(fd);

		ck_assert_msg(frame, "nothing came behind message %u", n);
		if (frame->kind_case == HAWSER__FRAME__KIND_MESSAGE) {
			n += frame->message->size != 0;
			has_ended = frame->message->last;
		}
		hawser__frame__free_unpacked(frame, NULL);
	}
	ck_assert_uint_eq(n, MESSAGES);
	ck_assert(raw_end(fd, 1, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN, &empty));
	pthread_join(uploader.thread, NULL);
	ck_assert_int_eq(uploader.stream.last_send, 0);
	assert_ok(&uploader.stream.result);
	close(fd);
	close(listener);
	if (transport_of(_i) == OVER_UNIX)
		unlink(address + strlen("unix:"));
	directory_remove(directory);
}
END_TEST

/* ---- end to end ---- */

START_TEST(many_sizes_at_once_come_back)
{
	enum { CALLS = 12, ROUNDS = 3 };
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	Rpctest__Payload requests[CALLS];
	struct pending calls[CALLS];
	struct pair pair;

	/* On a base a full log refuses calls. */
	options.max_log_bytes = 64 * MEBIBYTE;
	random_fill(zeros, sizeof zeros);
	pair_start(&pair, _i, NULL, &options);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < CALLS; i++) {
			size_t most = random_one_in(3) ? LARGE : 2 * PIECE;

			requests[i] = payload_of((size_t)random_below(most));
			requests[i].data.data = zeros + random_below(MEBIBYTE);
			pending_call(&calls[i], &pair.caller, ECHO, &requests[i]);
		}
		for (int i = 0; i < CALLS; i++) {
			pending_wait(&calls[i]);
			assert_ok(&calls[i].result);
			ck_assert(calls[i].result.is_echo);
		}
	}
	pair_stop(&pair);
}
END_TEST

/* Whatever lies in sockets between is ahead of them, but not the rest. */
START_TEST(small_calls_pass_a_large_one_on_a_slow_line)
{
	enum { BYTES_PER_MS = 4000 };
	struct hawser_client_options client = relayed_options();
	struct hawser_server_options server = tester_options();
	Rpctest__Payload large = payload_of(sizeof zeros - MEBIBYTE);
	struct relayed relayed;
	struct pending call;
	unsigned n = 0;

	client.max_request_bytes = client.max_reply_bytes = sizeof zeros;
	server.max_request_bytes = server.max_reply_bytes = sizeof zeros;
	relayed_start(&relayed, _i, &server, &client);
	caller_echo(&relayed.caller);
	relay_set_rate(&relayed.relay, BYTES_PER_MS);
	pending_call(&call, &relayed.caller, LIMITED, &empty);
	pending_wait(&call);
	assert_ok(&call.result);
	pending_call(&call, &relayed.caller, ECHO, &large);
	turn_until(&relayed.caller, relay_bytes(&relayed.relay, FROM_CLIENT) > MEBIBYTE / 2);
	while (tester_executed(&relayed.tester) < 2 + n + 1 && n < 3) {
		caller_echo(&relayed.caller);
		n++;
	}
	/* All that have run so far are the two before, and those. */
	ck_assert_uint_eq(tester_executed(&relayed.tester), 2 + n);
	ck_assert_uint_ge(n, 1);
	relay_set_rate(&relayed.relay, 0);
	pending_wait(&call);
	assert_ok(&call.result);
	ck_assert(call.result.is_echo);
	relayed_stop(&relayed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/large/turns");
	TCase *tcase = suite_case(suite, "pieces");

	tcase_add_loop_test(tcase, large_requests_take_turns_and_small_ones_pass, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, large_replies_take_turns_and_small_ones_pass, 0, TRANSPORTS);

	tcase_add_loop_test(tcase, handler_goes_on_when_its_message_has_left, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, client_goes_on_when_its_message_has_left, 0, STAMPS);

	tcase = suite_case(suite, "calls");
	tcase_add_loop_test(tcase, many_sizes_at_once_come_back, 0, STAMPS);
	tcase_add_loop_test(tcase, small_calls_pass_a_large_one_on_a_slow_line, 0, STAMPS);
	return suite_run(suite);
}
