/* Servers by hand, and their client; stage.h tells what for. */

#include "stage.h"
#include "relayed.h"
#include <check.h>
#include <string.h>
#include <unistd.h>

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

void stage_start(struct stage *stage, int stamp, void *(*part)(void *),
		 const struct hawser_client_options *options)
{
	struct hawser_client_options quick = relayed_options();

	memset(stage, 0, sizeof *stage);
	stage->session = (struct raw_session){.id = 4711, .token_length = 16, .window_ms = 60000};
	if (transport_of(stamp) == OVER_UNIX)
		directory_make(stage->directory, sizeof stage->directory);
	stage->listener = raw_listen(transport_of(stamp), stage->directory, stage->address);
	ck_assert_int_eq(pthread_create(&stage->thread, NULL, part, stage), 0);
	caller_init(&stage->caller, stage->address, is_async(stamp), options ? options : &quick);
}

void stage_stop(struct stage *stage)
{
	caller_deinit(&stage->caller);
	pthread_join(stage->thread, NULL);
	close(stage->listener);
	if (stage->directory[0]) {
		unlink(stage->address + strlen("unix:"));
		directory_remove(stage->directory);
	}
}

int stage_enter(struct stage *stage, unsigned n)
{
	int fd = raw_accept(stage->listener);

	raw_take_open(fd, &stage->asked[n]);
	return fd;
}

uint64_t stage_take_call(int fd)
{
	Hawser__Frame *frame;
	uint64_t id = 0;

	while (!id && (frame = raw_receive(fd))) {
		if (frame->kind_case == HAWSER__FRAME__KIND_CALL)
			id = frame->call->id;
		hawser__frame__free_unpacked(frame, NULL);
	}
	return id;
}

void stage_answer(int fd, uint64_t id)
{
	raw_end(fd, id, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN, &empty);
}

void stage_serve(int fd)
{
	uint64_t id;

	while ((id = stage_take_call(fd)))
		stage_answer(fd, id);
	close(fd);
}

void stage_call(struct stage *stage, struct result *result)
{
	caller_call(&stage->caller, ECHO, &empty, NULL, result);
}
