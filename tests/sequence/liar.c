/* A sequence-server that is wrong in one way: the client has to notice.
 *
 * It sends everything at once, and does to number 5, or to the end, what its argument says. */

#include "numbers.h"
#include "sequence.hawser.h"

#include <err.h>
#include <stdio.h>
#include <string.h>

#define VICTIM 5

static void send_number(struct hawser_call *call, uint32_t index)
{
	Demo__SequenceReply reply = DEMO__SEQUENCE_REPLY__INIT;
	Demo__Number number = DEMO__NUMBER__INIT;

	number.index = index;
	number.value = numbers_at(0, index);
	reply.content_case = DEMO__SEQUENCE_REPLY__CONTENT_NUMBER;
	reply.number = &number;
	if (demo_sequence_get_reply(call, &reply) < 0)
		errx(1, "number %u could not be sent", index);
}

static void send_checksum(struct hawser_call *call, uint64_t checksum)
{
	Demo__SequenceReply reply = DEMO__SEQUENCE_REPLY__INIT;

	reply.content_case = DEMO__SEQUENCE_REPLY__CONTENT_CHECKSUM;
	reply.checksum = checksum;
	if (demo_sequence_get_reply(call, &reply) < 0)
		errx(1, "the checksum could not be sent");
}

static void get(struct hawser_call *call, const Demo__SequenceRequest *request, void *data)
{
	Demo__SequenceReply empty = DEMO__SEQUENCE_REPLY__INIT;
	uint64_t checksum = CHECKSUM_INIT;
	const char *how = data;
	uint32_t count = request->count;

	if (strcmp(how, "short") == 0)
		count = VICTIM;
	for (uint32_t i = 0; i < count; i++) {
		if (i == VICTIM && strcmp(how, "empty") == 0)
			demo_sequence_get_reply(call, &empty);
		if (i == VICTIM && strcmp(how, "fail") == 0) {
			demo_sequence_get_fail(call, HAWSER_DATA_LOSS, "not today");
			return;
		}
		if (i != VICTIM || strcmp(how, "skip") != 0)
			send_number(call, i);
		if (i == VICTIM && strcmp(how, "repeat") == 0)
			send_number(call, i);
		checksum = checksum_add(checksum, numbers_at(0, i));
	}
	if (strcmp(how, "more") == 0)
		send_number(call, count);
	if (strcmp(how, "checksum") == 0)
		checksum ^= 1;
	if (strcmp(how, "unsummed") != 0)
		send_checksum(call, checksum);
	if (strcmp(how, "after") == 0)
		send_number(call, count);
	hawser_call_end(call);
}

int main(int argc, char **argv)
{
	static const struct demo_sequence_service liar = {.get = get};
	struct hawser_error error;
	struct hawser_server *server = hawser_server_new(NULL, &error);

	if (argc != 2)
		errx(2, "give one of honest, short, empty, fail, skip, repeat, more, checksum, "
			"unsummed, after");
	if (!server || demo_sequence_register(server, &liar, argv[1], &error) < 0 ||
	    hawser_server_listen(server, "tcp:127.0.0.1:0", &error) < 0)
		errx(1, "%s", error.message);
	printf("listening on %s\n", hawser_server_address(server, 0));
	fflush(stdout);
	if (hawser_server_run(server, &error) < 0)
		errx(1, "%s", error.message);
	hawser_server_free(server);
	return 0;
}
