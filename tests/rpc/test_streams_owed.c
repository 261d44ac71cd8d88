/* Windows that cannot be told for want of memory are told later: whoever waits for one does not
 * wait for ever. */

#include "relayed.h"
#include "rpc/call.h"
#include "rpc/client.h"
#include "stream.h"
#include "support/suite.h"
#include <errno.h>

enum {
	MESSAGES = 6,
	SMALL = 1000,
	LARGE = 150000, /* a piece of it is a whole window */
	WINDOW = 64 * 1024,
	REFUSALS = 3,
	LONG_MS = 60000, /* nobody is to come near it */
};

static uint8_t zeros[LARGE];

/* ---- a carrier without memory for windows ---- */

static struct hawser__carrier_ops poor;
static const struct hawser__carrier_ops *rich;
static atomic_int refusals_left;
static atomic_uint n_refused, n_told;

static int send_window(struct hawser__carrier *carrier, struct hawser_call *call, uint64_t bytes)
{
	int left = atomic_load(&refusals_left);

	if (left > 0) {
		atomic_store(&refusals_left, left - 1);
		atomic_fetch_add(&n_refused, 1);
		return -ENOMEM;
	}
	atomic_fetch_add(&n_told, 1);
	return rich->send_window(carrier, call, bytes);
}

/* On the thread of its loop, or with the client's lock. */
static void impoverish(const struct hawser_call *call, int refusals)
{
	struct hawser__carrier *carrier = hawser__call_of(call)->carrier;

	rich = carrier->ops;
	poor = *rich;
	poor.send_window = send_window;
	carrier->ops = &poor;
	atomic_store(&refusals_left, refusals);
	atomic_store(&n_refused, 0);
	atomic_store(&n_told, 0);
}

static void impoverish_client(struct stream *stream, int refusals)
{
	struct hawser_client *client = stream->caller->client;

	if (!stream->caller->base)
		pthread_mutex_lock(&client->lock);
	impoverish(stream->call, refusals);
	if (!stream->caller->base)
		pthread_mutex_unlock(&client->lock);
}

/* ---- who receives ---- */

static void open_watch(struct stream *stream, struct caller *caller, int64_t number, size_t length)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct hawser_context context = HAWSER_CONTEXT_INIT;

	request.number = number;
	request.data.data = zeros;
	request.data.len = length;
	context.timeout_ms = LONG_MS;
	stream_open(stream, caller, WATCH, &request, &context);
}

static void start(struct pair *pair, int stamp)
{
	struct hawser_server_options server = tester_options();
	struct hawser_client_options client = HAWSER_CLIENT_OPTIONS_INIT;

	server.stream_window_bytes = server.max_stream_window_bytes = WINDOW;
	client.stream_window_bytes = client.max_stream_window_bytes = WINDOW;
	pair_start(pair, stamp, &server, &client);
	caller_echo(&pair->caller);
}

START_TEST(client_tells_a_window_as_soon_as_it_can)
{
	struct stream stream = {.n = 0};
	struct pair pair;

	start(&pair, _i);
	open_watch(&stream, &pair.caller, MESSAGES, LARGE);
	impoverish_client(&stream, REFUSALS);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.n, MESSAGES);
	ck_assert_uint_eq(atomic_load(&n_refused), REFUSALS);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

static void stop_when_refused(struct stream *stream, const Rpctest__Payload *message)
{
	(void)message;
	if (stream->caller->base && atomic_load(&n_refused))
		ck_assert_int_eq(hawser_call_read_stop(stream->call), 0);
}

/* Whoever took the last message may take no other for a long time. */
START_TEST(client_tells_a_window_although_nobody_receives)
{
	struct stream stream = {.then = stop_when_refused};
	struct pair pair;

	start(&pair, _i);
	open_watch(&stream, &pair.caller, 10 * WINDOW / SMALL, SMALL);
	impoverish_client(&stream, 1);
	while (!atomic_load(&n_refused))
		ck_assert(stream_await(&stream, stream.n + 1));
	turn_until(&pair.caller, atomic_load(&n_told) > 0);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

/* ---- a handler ---- */

static void impoverish_at_first(struct hawser_call *call, const Rpctest__Payload *request,
				struct tester *tester)
{
	uint64_t n = atomic_fetch_add(&tester->n_requests, 1);
	Rpctest__Payload reply = RPCTEST__PAYLOAD__INIT;

	if (n == 0)
		impoverish(call, REFUSALS);
	if (request)
		return;
	reply.number = (int64_t)n;
	rpctest_tester_gather_reply(call, &reply);
}

START_TEST(server_tells_a_window_as_soon_as_it_can)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct stream stream = {.n = 0};
	struct pair pair;

	start(&pair, _i);
	atomic_store(&pair.tester.on_stream, impoverish_at_first);
	context.timeout_ms = LONG_MS;
	stream_open(&stream, &pair.caller, GATHER, NULL, &context);
	ck_assert_int_eq(stream_send_samples(&stream, 1, 1), 0);
	for (int i = 0; i < MESSAGES; i++) {
		Rpctest__Payload message = RPCTEST__PAYLOAD__INIT;

		message.data.data = zeros;
		message.data.len = LARGE;
		ck_assert_int_eq(stream_send(&stream, &message), 0);
	}
	ck_assert_int_eq(hawser_call_end(stream.call), 0);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_int_eq(stream.result.number, MESSAGES + 1);
	ck_assert_uint_eq(atomic_load(&n_refused), REFUSALS);
	stream_close(&stream);
	pair_stop(&pair);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/streams/owed");
	TCase *tcase = suite_case(suite, "owed");

	tcase_add_loop_test(tcase, client_tells_a_window_as_soon_as_it_can, 0, STAMPS);
	tcase_add_loop_test(tcase, client_tells_a_window_although_nobody_receives, 0, STAMPS);
	tcase_add_loop_test(tcase, server_tells_a_window_as_soon_as_it_can, 0, STAMPS);
	return suite_run(suite);
}
