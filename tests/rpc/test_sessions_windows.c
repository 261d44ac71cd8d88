/* The next session may be another server's, whose windows are smaller: what waits in the log is not
 * to overdraw them. */

#include "relayed.h"
#include "stage.h"
#include "stream.h"
#include "support/suite.h"
#include <sched.h>
#include <unistd.h>

enum { WIDE = 1 << 20, NARROW = 64 * 1024, COST = 16, PART = 60 * 1000 };

/* Takes a stream of requests, and everything else that comes before its end. */
static void take_stream(struct stage *stage, int fd)
{
	long long left = 0;
	uint64_t id = 0;
	bool has_ended = false;
	Hawser__Frame *frame;

	while (!has_ended && (frame = raw_receive(fd))) {
		if (frame->kind_case == HAWSER__FRAME__KIND_CALL) {
			id = frame->call->id;
			left = NARROW;
		} else if (frame->kind_case == HAWSER__FRAME__KIND_MESSAGE &&
			   frame->message->id == id) {
			has_ended = frame->message->last;
			stage->n_overdrawn += !has_ended && left <= 0;
			left -= (long long)frame->payload.len + COST;
		}
		hawser__frame__free_unpacked(frame, NULL);
	}
	stage_answer(fd, id);
}

static void *begin_narrower(void *data)
{
	struct stage *stage = data;
	int fd = stage_enter(stage, 0);

	stage->session.stream_window_bytes = WIDE;
	raw_send_opened(fd, &stage->session);
	stage_answer(fd, stage_take_call(fd));
	close(fd);
	while (!atomic_load(&stage->is_prepared))
		sched_yield();
	fd = stage_enter(stage, 1);
	stage->session.id++;
	stage->session.stream_window_bytes = NARROW;
	raw_send_opened(fd, &stage->session);
	take_stream(stage, fd);
	stage_serve(fd);
	return NULL;
}

static void send_parts(struct stream *stream, unsigned n)
{
	static uint8_t zeros[PART];
	Rpctest__Payload part = RPCTEST__PAYLOAD__INIT;

	part.data.data = zeros;
	part.data.len = PART;
	while (n--)
		ck_assert_int_eq(stream_send(stream, &part), 0);
}

/* The last message may overdraw a window, but only that. */
START_TEST(messages_of_calls_that_never_left_do_not_overdraw_the_windows)
{
	struct stream much = {.n = 0}, enough = {.n = 0};
	struct stage stage;
	struct result result;

	stage_start(&stage, _i, begin_narrower, NULL);
	stage_call(&stage, &result);
	assert_ok(&result);
	turn_until(&stage.caller, !client_stats(&stage.caller).is_connected);
	stream_open(&much, &stage.caller, GATHER, NULL, NULL);
	send_parts(&much, 3);
	stream_open(&enough, &stage.caller, GATHER, NULL, NULL);
	send_parts(&enough, 2);
	ck_assert_int_eq(hawser_call_end(enough.call), 0);
	atomic_store(&stage.is_prepared, true);
	stream_finish(&enough, HAWSER_OK);
	stream_finish(&much, HAWSER_UNAVAILABLE);
	assert_failed(&much.result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_NOT_SENT,
		      "takes 65536 at first; make the call again");
	stage_call(&stage, &result);
	assert_ok(&result);
	stream_close(&much);
	stream_close(&enough);
	stage_stop(&stage);
	ck_assert_uint_eq(stage.n_overdrawn, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/sessions/windows");
	TCase *tcase = suite_case(suite, "windows");

	tcase_add_loop_test(tcase, messages_of_calls_that_never_left_do_not_overdraw_the_windows, 0,
			    STAMPS);
	return suite_run(suite);
}
