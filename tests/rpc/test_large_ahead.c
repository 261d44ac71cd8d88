/* A blocking client packs large messages as they leave, and whatever happens meanwhile happens in
 * the middle of one. */

#include "lines.h"
#include "raw.h"
#include "stream.h"
#include "support/failing_alloc.h"
#include "support/random.h"
#include "support/suite.h"
#include "util/alloc.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	KIBIBYTE = 1024,
	MEBIBYTE = 1 << 20,
	LARGE = 3 * MEBIBYTE,
	SOME = 200 * KIBIBYTE, /* more than the first window, and far from all */
};

static uint8_t bytes[LARGE];

static Rpctest__Payload payload_of(size_t length)
{
	Rpctest__Payload payload = RPCTEST__PAYLOAD__INIT;

	payload.data.data = bytes;
	payload.data.len = length;
	return payload;
}

/* ---- seen by a server that takes as much as the test says ---- */

struct scene {
	char address[ADDRESS_SIZE], directory[128];
	int listener, fd;
	struct caller caller;
	struct pending call;
	size_t received; /* of its request */
	bool is_cancelled;
};

static void scene_start(struct scene *scene, int i, const Rpctest__Payload *request)
{
	memset(scene, 0, sizeof *scene);
	directory_make(scene->directory, sizeof scene->directory);
	scene->listener = raw_listen(transport_of(i), scene->directory, scene->address);
	caller_init(&scene->caller, scene->address, false, NULL);
	pending_call(&scene->call, &scene->caller, ECHO, request);
	scene->fd = raw_accept(scene->listener);
	raw_opened(scene->fd);
}

static void scene_stop(struct scene *scene, int i)
{
	caller_deinit(&scene->caller);
	close(scene->fd);
	close(scene->listener);
	if (transport_of(i) == OVER_UNIX)
		unlink(scene->address + strlen("unix:"));
	directory_remove(scene->directory);
}

/* Takes that much of the request, and lets the next part come; or all, up to a cancel. */
static void take(struct scene *scene, size_t most)
{
	while (scene->received < most && !scene->is_cancelled) {
		Hawser__Frame *frame = raw_receive(scene->fd);

		ck_assert_ptr_nonnull(frame);
		if (frame->kind_case == HAWSER__FRAME__KIND_MESSAGE) {
			scene->received += frame->payload.len;
			ck_assert(raw_window(scene->fd, 1, frame->payload.len + 16));
		}
		scene->is_cancelled = frame->kind_case == HAWSER__FRAME__KIND_CANCEL;
		hawser__frame__free_unpacked(frame, NULL);
	}
}

/* The connection is as good as before. */
static void check_next_call(struct scene *scene)
{
	Rpctest__Payload small = payload_of(10);
	struct pending next;
	uint64_t id = 0;

	pending_call(&next, &scene->caller, ECHO, &small);
	while (!id) {
		/* What was on its way comes first. */
		Hawser__Frame *frame = raw_receive(scene->fd);

		ck_assert_ptr_nonnull(frame);
		if (frame->kind_case == HAWSER__FRAME__KIND_CALL)
			id = frame->call->id;
		hawser__frame__free_unpacked(frame, NULL);
	}
	ck_assert(raw_end(scene->fd, id, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN, &small));
	pending_wait(&next);
	assert_ok(&next.result);
}

static atomic_size_t allocated;

static bool count_allocated(size_t size)
{
	atomic_fetch_add(&allocated, size);
	return true;
}

START_TEST(no_more_is_packed_than_can_leave_soon)
{
	Rpctest__Payload request = payload_of(LARGE), reply = RPCTEST__PAYLOAD__INIT;
	struct scene scene;

	allocated = 0;
	hawser__alloc_hook = count_allocated;
	scene_start(&scene, _i, &request);
	take(&scene, rpctest__payload__get_packed_size(&request));
	ck_assert(raw_end(scene.fd, 1, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN, &reply));
	pending_wait(&scene.call);
	hawser__alloc_hook = NULL;
	assert_ok(&scene.call.result);
	ck_assert_uint_eq(scene.received, rpctest__payload__get_packed_size(&request));
	ck_assert_uint_lt(allocated, MEBIBYTE);
	scene_stop(&scene, _i);
}
END_TEST

START_TEST(answer_in_the_middle_of_a_request_ends_the_call)
{
	Rpctest__Payload request = payload_of(LARGE);
	struct scene scene;

	scene_start(&scene, _i, &request);
	take(&scene, SOME);
	ck_assert(
		raw_end(scene.fd, 1, HAWSER_PERMISSION_DENIED, HAWSER_OUTCOME_NOT_EXECUTED, NULL));
	pending_wait(&scene.call);
	assert_failed(&scene.call.result, HAWSER_PERMISSION_DENIED, HAWSER_OUTCOME_NOT_EXECUTED,
		      "");
	check_next_call(&scene);
	scene_stop(&scene, _i);
}
END_TEST

/* What lies behind the data is packed last. */
START_TEST(message_that_is_changed_while_it_is_sent_fails_its_call)
{
	static const char *const texts[] = {"", "longer than before"};
	Rpctest__Payload request = payload_of(LARGE);
	struct scene scene;

	request.text = (char *)"rope";
	scene_start(&scene, _i % TRANSPORTS, &request);
	take(&scene, SOME);
	request.text = (char *)(uintptr_t)texts[_i / TRANSPORTS];
	take(&scene, SIZE_MAX);
	pending_wait(&scene.call);
	assert_failed(&scene.call.result, HAWSER_INVALID_ARGUMENT, HAWSER_OUTCOME_UNKNOWN,
		      "was changed while it was sent");
	/* The peer has got no whole message that nobody meant. */
	ck_assert_uint_lt(scene.received, LARGE);
	check_next_call(&scene);
	scene_stop(&scene, _i % TRANSPORTS);
}
END_TEST

START_TEST(cancelled_in_the_middle_the_rest_is_not_sent)
{
	Rpctest__Payload request = payload_of(LARGE);
	struct scene scene;

	scene_start(&scene, _i, &request);
	take(&scene, SOME);
	pending_cancel(&scene.call);
	pending_wait(&scene.call);
	assert_failed(&scene.call.result, HAWSER_CANCELLED, HAWSER_OUTCOME_UNKNOWN, "");
	take(&scene, SIZE_MAX);
	ck_assert_uint_lt(scene.received, LARGE / 2);
	check_next_call(&scene);
	scene_stop(&scene, _i);
}
END_TEST

/* ---- without memory ---- */

/* Whether all went well. What fails must not take the connection along. */
static bool upload(void *data)
{
	const struct child_server *child = data;
	Rpctest__Payload request = payload_of(LARGE);
	struct caller caller = {.base = NULL};
	struct hawser_error error;
	struct result result;
	bool is_fine;

	caller.client = hawser_client_new(child->address, NULL, &error);
	if (!caller.client)
		return false;
	caller_call(&caller, REFLECT, &request, NULL, &result);
	is_fine = result.status == HAWSER_OK;
	if (!is_fine)
		ck_assert_int_ne(result.status, HAWSER_DEADLINE_EXCEEDED);
	hawser_client_free(caller.client);
	return is_fine;
}

START_TEST(every_allocation_in_the_middle_may_fail)
{
	struct hawser_server_options options = tester_options();
	struct child_server child;

	options.ignore_signals = false;
	child_server_start(&child, transport_of(_i), &options);
	lines_start(HAWSER_LOG_NONE);
	ck_assert_uint_gt(failing_alloc_each(upload, &child), 10);
	lines_stop();
	ck_assert_int_eq(kill(child.pid, SIGTERM), 0);
	/* Sessions whose clients could not say that they went may have had calls. */
	ck_assert_int_le(child_server_wait(&child), 1);
}
END_TEST

/* ---- streams ---- */

struct sending {
	struct stream stream;
	pthread_t thread;
	Rpctest__Payload message;
};

static void *send_one(void *data)
{
	struct sending *sending = data;

	stream_send(&sending->stream, &sending->message);
	return NULL;
}

START_TEST(send_that_is_cut_short_says_so)
{
	struct sending sending = {.message = payload_of(LARGE)};
	struct relayed relayed;

	relayed_start(&relayed, _i, NULL, NULL);
	caller_echo(&relayed.caller);
	relay_set_rate(&relayed.relay, 500);
	stream_open(&sending.stream, &relayed.caller, GATHER, NULL, NULL);
	ck_assert_int_eq(pthread_create(&sending.thread, NULL, send_one, &sending), 0);
	turn_until(&relayed.caller, relay_bytes(&relayed.relay, FROM_CLIENT) > SOME);
	ck_assert_int_eq(hawser_call_cancel(sending.stream.call), 0);
	pthread_join(sending.thread, NULL);
	ck_assert_int_eq(sending.stream.last_send, -EPIPE);
	stream_close(&sending.stream);
	relay_set_rate(&relayed.relay, 0);
	caller_echo(&relayed.caller);
	relayed_stop(&relayed);
}
END_TEST

/* ---- with the session ---- */

/* Another server, which knows nothing of the sessions of the first. */
static void start_other(struct tester *other, struct relayed *relayed, int stamp)
{
	tester_start(other, transport_of(stamp), NULL);
	relay_aim(&relayed->relay, other->address);
}

START_TEST(request_that_was_half_sent_when_its_session_was_lost_fails)
{
	Rpctest__Payload request = payload_of(LARGE);
	struct relayed relayed;
	struct tester other;
	struct pending call;

	relayed_start(&relayed, _i, NULL, NULL);
	caller_echo(&relayed.caller);
	relay_set_rate(&relayed.relay, 500);
	pending_call(&call, &relayed.caller, ECHO, &request);
	turn_until(&relayed.caller, relay_bytes(&relayed.relay, FROM_CLIENT) > SOME);
	start_other(&other, &relayed, _i);
	relay_cut(&relayed.relay, CUT_ORDERLY);
	pending_wait(&call);
	assert_failed(&call.result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "");
	relay_set_rate(&relayed.relay, 0);
	caller_echo(&relayed.caller);
	ck_assert_uint_eq(tester_executed(&other), 1);
	ck_assert_uint_eq(client_stats(&relayed.caller).sessions_lost, 1);
	relayed_stop(&relayed);
	tester_stop(&other);
}
END_TEST

/* It waits for a connection with its first pieces packed; the next session gets all of it. */
START_TEST(request_that_never_left_goes_to_the_next_session)
{
	Rpctest__Payload request = payload_of(LARGE);
	struct relayed relayed;
	struct tester other;
	struct pending call;
	unsigned attempts;

	random_fill(bytes, sizeof bytes);
	relayed_start(&relayed, _i, NULL, NULL);
	caller_echo(&relayed.caller);
	relay_set_door(&relayed.relay, DOOR_SHUT);
	attempts = relay_attempts(&relayed.relay);
	relay_cut(&relayed.relay, CUT_ORDERLY);
	relay_wait_attempts(&relayed.relay, attempts + 1);
	pending_call(&call, &relayed.caller, ECHO, &request);
	turn_until(&relayed.caller, client_stats(&relayed.caller).log_bytes > SOME);
	start_other(&other, &relayed, _i);
	relay_set_door(&relayed.relay, DOOR_OPEN);
	pending_wait(&call);
	assert_ok(&call.result);
	ck_assert(call.result.is_echo);
	ck_assert_uint_eq(tester_executed(&other), 1);
	relayed_stop(&relayed);
	tester_stop(&other);
}
END_TEST

/* An idempotent one is kept whole for that. */
START_TEST(idempotent_request_that_was_half_sent_is_made_again)
{
	Rpctest__Payload request = payload_of(LARGE);
	struct relayed relayed;
	struct tester other;
	struct pending call;

	random_fill(bytes, sizeof bytes);
	relayed_start(&relayed, _i, NULL, NULL);
	caller_echo(&relayed.caller);
	relay_set_rate(&relayed.relay, 500);
	pending_call(&call, &relayed.caller, HOLD_AGAIN, &request);
	turn_until(&relayed.caller, relay_bytes(&relayed.relay, FROM_CLIENT) > SOME);
	start_other(&other, &relayed, _i);
	relay_cut(&relayed.relay, CUT_ORDERLY);
	relay_set_rate(&relayed.relay, 0);
	ck_assert_int_eq(
		hawser_call_send(tester_held(&other, 0), method_of(HOLD_AGAIN), &request.base), 0);
	pending_wait(&call);
	assert_ok(&call.result);
	ck_assert(call.result.is_echo);
	ck_assert_uint_eq(client_stats(&relayed.caller).calls_retried, 1);
	relayed_stop(&relayed);
	tester_stop(&other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/large/ahead");
	TCase *tcase = suite_case(suite, "calls");

	tcase_add_loop_test(tcase, no_more_is_packed_than_can_leave_soon, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, answer_in_the_middle_of_a_request_ends_the_call, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, message_that_is_changed_while_it_is_sent_fails_its_call, 0,
			    2 * TRANSPORTS);
	tcase_add_loop_test(tcase, cancelled_in_the_middle_the_rest_is_not_sent, 0, TRANSPORTS);

	tcase = suite_case(suite, "memory");
	tcase_add_loop_test(tcase, every_allocation_in_the_middle_may_fail, 0, TRANSPORTS);

	tcase = suite_case(suite, "streams");
	tcase_add_loop_test(tcase, send_that_is_cut_short_says_so, 0, TRANSPORTS);

	tcase = suite_case(suite, "sessions");
	tcase_add_loop_test(tcase, request_that_was_half_sent_when_its_session_was_lost_fails, 0,
			    TRANSPORTS);
	tcase_add_loop_test(tcase, request_that_never_left_goes_to_the_next_session, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, idempotent_request_that_was_half_sent_is_made_again, 0,
			    TRANSPORTS);
	return suite_run(suite);
}
