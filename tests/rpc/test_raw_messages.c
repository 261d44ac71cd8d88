/* Messages that are packed already: requests that a handler gets as they came, replies that stay
 * borrowed until nobody wants them any more and are given back exactly once. */

#include "raw.h"
#include "relayed.h"
#include "stream.h"
#include "support/random.h"
#include "support/suite.h"
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	KIBIBYTE = 1024,
	MEBIBYTE = 1 << 20,
	LARGE = 3 * MEBIBYTE, /* stays borrowed */
	SMALL = 1000,         /* is copied */
	PARCELS = 1024,
	MESSAGES = 64,
};

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

/* A packed Payload that was lent to the library. */
struct parcel {
	uint8_t *packed;
	size_t length;
	atomic_uint n_released;
};

static struct parcel parcels[PARCELS];
static unsigned n_parcels;

static void release(void *data)
{
	struct parcel *parcel = data;

	/* Whoever looks at it later is found out. */
	if (atomic_fetch_add(&parcel->n_released, 1) == 0)
		free(parcel->packed);
}

static struct parcel *parcel_new(size_t data_length)
{
	Rpctest__Payload payload = RPCTEST__PAYLOAD__INIT;
	struct parcel *parcel = &parcels[n_parcels++];

	if (n_parcels > PARCELS)
		abort();
	payload.data.len = data_length;
	payload.data.data = calloc(1, data_length + 1);
	parcel->length = rpctest__payload__get_packed_size(&payload);
	parcel->packed = malloc(parcel->length + 1);
	if (!payload.data.data || !parcel->packed)
		abort();
	rpctest__payload__pack(&payload, parcel->packed);
	parcel->n_released = 0;
	free(payload.data.data);
	return parcel;
}

static int send_parcel(struct hawser_call *call, const struct hawser_method *method,
		       struct parcel *parcel)
{
	return hawser_call_send_raw(call, method, parcel->packed, parcel->length, release, parcel);
}

static void assert_all_released(void)
{
	for (unsigned i = 0; i < n_parcels; i++)
		ck_assert_uint_eq(parcels[i].n_released, 1);
}

/* ---- requests ---- */

static struct parcel *parcel_of(const void *packed, size_t length)
{
	struct parcel *parcel = &parcels[n_parcels++];

	if (n_parcels > PARCELS)
		abort();
	parcel->packed = malloc(length + 1);
	if (!parcel->packed)
		abort();
	if (length)
		memcpy(parcel->packed, packed, length);
	parcel->length = length;
	parcel->n_released = 0;
	return parcel;
}

/* What has been refused was given back, so that another copy is needed to try again. */
static void mirror_later(struct hawser_call *call, void *data)
{
	struct parcel *kept = data;
	int r = send_parcel(call, hawser_call_method(call), parcel_of(kept->packed, kept->length));

	if (r == -EAGAIN)
		r = hawser_call_on_writable(call, mirror_later, kept);
	else if (r == 0)
		r = hawser_call_set_data(call, NULL, NULL) + hawser_call_read_start(call);
	if (r < 0)
		hawser_call_fail(call, HAWSER_INTERNAL, "send later: %d", r);
}

static void mirror_raw(struct hawser_call *call, const void *packed, size_t length, void *data)
{
	struct parcel *kept;
	int r;

	(void)data;
	if (!packed) {
		hawser_call_end(call);
		return;
	}
	r = send_parcel(call, hawser_call_method(call), parcel_of(packed, length));
	if (r == -EAGAIN) {
		kept = parcel_of(packed, length);
		hawser_call_set_data(call, kept, release);
		hawser_call_read_stop(call);
		r = hawser_call_on_writable(call, mirror_later, kept);
	}
	if (r < 0)
		hawser_call_fail(call, HAWSER_INTERNAL, "send: %d", r);
}

static void start_raw(struct pair *pair, int stamp, const char *method, hawser_raw_fn *handler)
{
	struct hawser_server_options server = tester_options();

	n_parcels = 0;
	tester_init(&pair->tester, transport_of(stamp), &server);
	ck_assert_int_eq(
		hawser_server_set_raw(pair->tester.server, method, handler, &pair->tester, NULL),
		0);
	tester_run(&pair->tester);
	caller_init(&pair->caller, pair->tester.address, is_async(stamp), NULL);
}

START_TEST(handler_gets_requests_as_they_came)
{
	static const size_t sizes[] = {0, 1, SMALL, 64 * KIBIBYTE, LARGE};
	static uint8_t bytes[LARGE];
	struct result result;
	struct pair pair;

	random_fill(bytes, sizeof bytes);
	start_raw(&pair, _i, "rpctest.Tester/Echo", mirror_raw);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;

		request.data.data = bytes;
		request.data.len = sizes[i];
		caller_call(&pair.caller, ECHO, &request, NULL, &result);
		assert_ok(&result);
		ck_assert(result.is_echo);
	}
	/* Its own handler has nothing more to do. */
	ck_assert_uint_eq(tester_executed(&pair.tester), 0);
	pair_stop(&pair);
	assert_all_released();
}
END_TEST

START_TEST(handler_gets_a_stream_of_requests_as_they_came)
{
	struct stream stream = {.n = 0};
	struct pair pair;

	start_raw(&pair, _i, "rpctest.Tester/Chat", mirror_raw);
	stream_open(&stream, &pair.caller, CHAT, NULL, NULL);
	stream_pump(&stream, MESSAGES, SAMPLE_MOST / 4);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.n, MESSAGES);
	stream_close(&stream);
	pair_stop(&pair);
	ck_assert_uint_ge(n_parcels, MESSAGES);
	assert_all_released();
}
END_TEST

static void ignore(struct stream *stream, const Rpctest__Payload *message)
{
	stream->n_wrong += rpctest__payload__get_packed_size(message) != 0;
}

/* One of no bytes is not the end. */
START_TEST(handler_gets_empty_requests)
{
	struct stream stream = {.then = ignore};
	struct pair pair;

	start_raw(&pair, _i, "rpctest.Tester/Chat", mirror_raw);
	stream_open(&stream, &pair.caller, CHAT, NULL, NULL);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(stream_send(&stream, &empty), 0);
	ck_assert_int_eq(hawser_call_end(stream.call), 0);
	stream_finish(&stream, HAWSER_OK);
	ck_assert_uint_eq(stream.n, 10);
	stream_close(&stream);
	pair_stop(&pair);
	assert_all_released();
}
END_TEST

static void count_bytes(struct hawser_call *call, const void *packed, size_t length, void *data)
{
	struct tester *tester = data;
	Rpctest__Payload reply = RPCTEST__PAYLOAD__INIT;

	(void)packed;
	atomic_fetch_add(&tester->n_requests, 1);
	reply.number = (int64_t)length;
	rpctest_tester_echo_reply(call, &reply);
}

/* Bytes that are no message are the handler's to find out. */
START_TEST(handler_gets_what_is_no_message)
{
	uint8_t reply[16] = {0};
	Rpctest__Payload expected = RPCTEST__PAYLOAD__INIT;
	struct pair pair;
	size_t length;
	uint8_t *got;
	int fd;

	start_raw(&pair, _i, "rpctest.Tester/Echo", count_bytes);
	fd = raw_connect(pair.tester.address);
	raw_open(fd);
	ck_assert(raw_call_stream(fd, 1, ECHO, 5));
	ck_assert(raw_message(fd, 1, 0, false, "\xff\xff", 2));
	ck_assert(raw_message(fd, 1, 0, false, "\xff\xff\xff", 3));
	expected.number = 5;
	rpctest__payload__pack(&expected, reply);
	got = raw_expect_reply(fd, 1, &length);
	ck_assert_uint_eq(length, rpctest__payload__get_packed_size(&expected));
	ck_assert_int_eq(memcmp(got, reply, length), 0);
	free(got);
	close(fd);
	pair_stop(&pair);
}
END_TEST

START_TEST(raw_handlers_are_set_before_the_server_runs)
{
	struct hawser_error error = {.message = ""};
	struct tester tester;

	tester_init(&tester, transport_of(_i), NULL);
	ck_assert_int_eq(hawser_server_set_raw(tester.server, "rpctest.Tester/Ech", mirror_raw,
					       NULL, &error),
			 -ENOENT);
	ck_assert_ptr_nonnull(strstr(error.message, "rpctest.Tester/Ech"));
	ck_assert_int_eq(error.code, -ENOENT);
	ck_assert_int_eq(hawser_server_set_raw(NULL, "rpctest.Tester/Echo", mirror_raw, NULL, NULL),
			 -EINVAL);
	ck_assert_int_eq(hawser_server_set_raw(tester.server, NULL, mirror_raw, NULL, NULL),
			 -EINVAL);
	ck_assert_int_eq(
		hawser_server_set_raw(tester.server, "rpctest.Tester/Echo", NULL, NULL, NULL),
		-EINVAL);
	tester_run(&tester);
	{
		struct caller caller;

		caller_init(&caller, tester.address, false, NULL);
		caller_echo(&caller);
		ck_assert_int_eq(hawser_server_set_raw(tester.server, "rpctest.Tester/Echo",
						       mirror_raw, NULL, NULL),
				 -EBUSY);
		caller_deinit(&caller);
	}
	tester_stop(&tester);
}
END_TEST

/* ---- replies ---- */

struct lending {
	unsigned index; /* of the held call */
	struct parcel *parcel;
	int result;
};

static void lend(struct tester *tester, void *data)
{
	struct lending *lending = data;

	lending->result =
		send_parcel(tester->held[lending->index], method_of(HOLD), lending->parcel);
}

static bool is_released(const struct parcel *parcel)
{
	return atomic_load(&parcel->n_released) > 0;
}

/* From the loop, and from another thread. */
START_TEST(reply_is_given_back_when_it_has_come)
{
	size_t length = _i / STAMPS % 2 ? LARGE : SMALL;
	bool is_elsewhere = _i / STAMPS / 2;
	struct relayed relayed;
	struct lending lending;
	struct pending call;

	n_parcels = 0;
	lending = (struct lending){0, parcel_new(length), 1};
	relayed_start(&relayed, _i % STAMPS, NULL, NULL);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	if (is_elsewhere)
		lend(&relayed.tester, &lending);
	else
		caller_order(&relayed.caller, &relayed.tester, lend, &lending);
	ck_assert_int_eq(lending.result, 0);
	pending_wait(&call);
	assert_ok(&call.result);
	ck_assert_uint_eq(call.result.data_length, length);
	turn_until(&relayed.caller, is_released(lending.parcel));
	relayed_stop(&relayed);
	assert_all_released();
}
END_TEST

/* A second answer is refused, and its buffer is given back all the same. */
START_TEST(refused_replies_are_given_back)
{
	size_t length = _i / TRANSPORTS ? LARGE : SMALL;
	struct hawser_call *held;
	struct async async = {.keeps = true}, second = {.keeps = false};
	struct pair pair;

	n_parcels = 0;
	pair_start(&pair, TRANSPORTS + _i % TRANSPORTS, NULL, NULL);
	async_open(&async, &pair.caller, HOLD, &empty, NULL);
	caller_echo(&pair.caller);
	held = tester_held(&pair.tester, 0);
	ck_assert_int_eq(send_parcel(held, method_of(ECHO), parcel_new(length)), -EINVAL);
	ck_assert_int_eq(send_parcel(held, NULL, parcel_new(length)), -EINVAL);
	ck_assert_int_eq(send_parcel(NULL, method_of(HOLD), parcel_new(length)), -EINVAL);
	ck_assert_int_eq(send_parcel(async.call, method_of(HOLD), parcel_new(length)), -EINVAL);
	ck_assert_int_eq(send_parcel(held, method_of(HOLD), parcel_new(length)), 0);
	ck_assert_int_eq(send_parcel(held, method_of(HOLD), parcel_new(length)), -EALREADY);
	base_run_until(pair.caller.base, &async.result.n_ends, 1);
	assert_ok(&async.result);
	ck_assert_int_eq(send_parcel(held, method_of(HOLD), parcel_new(length)), -EALREADY);
	hawser_call_free(async.call);
	/* Cancelled meanwhile. */
	second.keeps = true;
	async_open(&second, &pair.caller, HOLD, &empty, NULL);
	caller_echo(&pair.caller);
	held = tester_held(&pair.tester, 1);
	hawser_call_free(second.call);
	caller_echo(&pair.caller);
	tester_wait_cancelled(&pair.tester, 1);
	ck_assert_int_eq(send_parcel(held, method_of(HOLD), parcel_new(length)), -EPIPE);
	pair_stop(&pair);
	assert_all_released();
}
END_TEST

START_TEST(reply_above_the_limit_is_given_back)
{
	struct lending lending;
	struct pending call;
	struct relayed relayed;

	n_parcels = 0;
	lending = (struct lending){0, parcel_new(5 * MEBIBYTE), 1};
	relayed_start(&relayed, _i, NULL, NULL);
	pending_call(&call, &relayed.caller, HOLD, &empty);
	relayed_held(&relayed, 0);
	caller_order(&relayed.caller, &relayed.tester, lend, &lending);
	ck_assert_int_eq(lending.result, -EMSGSIZE);
	pending_wait(&call);
	assert_failed(&call.result, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_EXECUTED, "4194304");
	relayed_stop(&relayed);
	assert_all_released();
}
END_TEST

/* ---- replies that are not wanted any more ---- */

/* A client by hand that holds a call, is sent a large reply and takes nothing of it. */
struct refusal {
	struct tester tester;
	struct raw_session session;
	struct parcel *parcel;
	int fd;
};

static void refusal_start(struct refusal *refusal, int stamp, bool has_session,
			  const struct hawser_server_options *options)
{
	n_parcels = 0;
	memset(&refusal->session, 0, sizeof refusal->session);
	refusal->parcel = parcel_new(LARGE);
	tester_start(&refusal->tester, transport_of(stamp), options);
	refusal->fd = raw_connect(refusal->tester.address);
	if (has_session)
		raw_open_session(refusal->fd, &refusal->session);
	else
		raw_open(refusal->fd);
	ck_assert(raw_call(refusal->fd, 1, HOLD, &empty));
	ck_assert_int_eq(
		send_parcel(tester_held(&refusal->tester, 0), method_of(HOLD), refusal->parcel), 0);
	/* It has begun. */
	hawser__frame__free_unpacked(raw_expect(refusal->fd, HAWSER__FRAME__KIND_MESSAGE), NULL);
	ck_assert(!is_released(refusal->parcel));
}

static void refusal_stop(struct refusal *refusal)
{
	tester_stop(&refusal->tester);
	assert_all_released();
}

static void await_release(const struct parcel *parcel)
{
	while (!is_released(parcel))
		sched_yield();
}

START_TEST(reply_is_given_back_when_it_is_acknowledged)
{
	struct refusal refusal;
	uint64_t n_frames = 1;
	bool has_ended = false;

	refusal_start(&refusal, _i, true, NULL);
	while (!has_ended) {
		Hawser__Frame *frame = raw_receive(refusal.fd);

		ck_assert_ptr_nonnull(frame);
		has_ended = frame->kind_case == HAWSER__FRAME__KIND_END;
		n_frames += has_ended || frame->kind_case == HAWSER__FRAME__KIND_MESSAGE;
		if (frame->kind_case == HAWSER__FRAME__KIND_MESSAGE)
			ck_assert(raw_window(refusal.fd, 1, frame->payload.len + 16));
		hawser__frame__free_unpacked(frame, NULL);
	}
	/* All is there, and the server does not know it. */
	ck_assert(raw_call(refusal.fd, 3, ECHO, &empty));
	raw_expect_end(refusal.fd, 3, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	ck_assert(!is_released(refusal.parcel));
	ck_assert(raw_ack(refusal.fd, n_frames));
	await_release(refusal.parcel);
	close(refusal.fd);
	refusal_stop(&refusal);
}
END_TEST

START_TEST(reply_is_given_back_when_its_call_is_cancelled)
{
	struct refusal refusal;

	refusal_start(&refusal, _i, false, NULL);
	ck_assert(raw_cancel(refusal.fd, 1));
	await_release(refusal.parcel);
	close(refusal.fd);
	refusal_stop(&refusal);
}
END_TEST

static void lend_and_fail(struct tester *tester, void *data)
{
	struct lending *lending = data;

	lending->result = send_parcel(tester->held[0], method_of(CHAT), lending->parcel);
	hawser_call_fail(tester->held[0], HAWSER_ABORTED, NULL);
}

/* One of a stream, which its handler fails when it has hardly begun. */
START_TEST(reply_is_given_back_when_its_call_fails)
{
	Rpctest__Payload stop = RPCTEST__PAYLOAD__INIT;
	struct lending lending;
	struct tester tester;
	struct caller caller;
	Hawser__Frame *frame;
	bool has_ended = false;
	int fd;

	n_parcels = 0;
	lending = (struct lending){0, parcel_new(LARGE), 1};
	stop.text = (char *)"stop";
	tester_start(&tester, transport_of(_i), NULL);
	caller_init(&caller, tester.address, false, NULL);
	fd = raw_connect(tester.address);
	raw_open(fd);
	ck_assert(raw_call_stream(fd, 1, CHAT, 0));
	ck_assert(raw_payload(fd, 1, &stop));
	tester_held(&tester, 0);
	caller_order(&caller, &tester, lend_and_fail, &lending);
	ck_assert_int_eq(lending.result, 0);
	while (!has_ended) {
		frame = raw_receive(fd);
		ck_assert_ptr_nonnull(frame);
		has_ended = frame->kind_case == HAWSER__FRAME__KIND_END;
		if (has_ended)
			ck_assert_uint_eq(frame->end->status, HAWSER_ABORTED);
		else if (frame->kind_case == HAWSER__FRAME__KIND_MESSAGE)
			ck_assert(raw_window(fd, 1, frame->payload.len + 16));
		hawser__frame__free_unpacked(frame, NULL);
	}
	await_release(lending.parcel);
	close(fd);
	caller_deinit(&caller);
	tester_stop(&tester);
	assert_all_released();
}
END_TEST

START_TEST(reply_is_given_back_when_its_connection_is_lost)
{
	struct refusal refusal;

	refusal_start(&refusal, _i, false, NULL);
	close(refusal.fd);
	await_release(refusal.parcel);
	refusal_stop(&refusal);
}
END_TEST

START_TEST(reply_is_given_back_when_its_session_is_over)
{
	struct hawser_server_options options = tester_options();
	struct refusal refusal;

	options.session_window_ms = patient_ms(100);
	refusal_start(&refusal, _i, true, &options);
	close(refusal.fd);
	await_release(refusal.parcel);
	refusal_stop(&refusal);
}
END_TEST

START_TEST(reply_is_given_back_when_its_server_is_freed)
{
	struct refusal refusal;

	refusal_start(&refusal, _i % TRANSPORTS, _i / TRANSPORTS, NULL);
	refusal_stop(&refusal);
	close(refusal.fd);
}
END_TEST

/* Sent from another thread to a server that is about to stop. */
START_TEST(reply_is_given_back_when_its_server_has_stopped)
{
	struct tester tester;
	int fd, r;

	n_parcels = 0;
	tester_start(&tester, transport_of(_i), NULL);
	fd = raw_connect(tester.address);
	raw_open(fd);
	ck_assert(raw_call(fd, 1, HOLD, &empty));
	tester_held(&tester, 0);
	hawser_server_stop(tester.server);
	tester_join(&tester);
	r = send_parcel(tester.held[0], method_of(HOLD), parcel_new(LARGE));
	ck_assert(r == 0 || r == -EPIPE);
	tester_stop(&tester);
	close(fd);
	assert_all_released();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/raw-messages");
	TCase *tcase = suite_case(suite, "requests");

	tcase_add_loop_test(tcase, handler_gets_requests_as_they_came, 0, STAMPS);
	tcase_add_loop_test(tcase, handler_gets_a_stream_of_requests_as_they_came, 0, STAMPS);
	tcase_add_loop_test(tcase, handler_gets_empty_requests, 0, STAMPS);
	tcase_add_loop_test(tcase, handler_gets_what_is_no_message, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, raw_handlers_are_set_before_the_server_runs, 0, TRANSPORTS);

	tcase = suite_case(suite, "replies");
	tcase_add_loop_test(tcase, reply_is_given_back_when_it_has_come, 0, 4 * STAMPS);
	tcase_add_loop_test(tcase, refused_replies_are_given_back, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, reply_above_the_limit_is_given_back, 0, STAMPS);

	tcase = suite_case(suite, "unwanted");
	tcase_add_loop_test(tcase, reply_is_given_back_when_it_is_acknowledged, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, reply_is_given_back_when_its_call_is_cancelled, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, reply_is_given_back_when_its_call_fails, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, reply_is_given_back_when_its_connection_is_lost, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, reply_is_given_back_when_its_session_is_over, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, reply_is_given_back_when_its_server_is_freed, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, reply_is_given_back_when_its_server_has_stopped, 0, TRANSPORTS);
	return suite_run(suite);
}
