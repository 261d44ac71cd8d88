/* A server for the tests of the command, unlike `hawser echo`: it allows shutdown
 * the way most servers would, and it has no service unless the second argument
 * asks for one that is bad at it:
 *
 *     busy   refuses every second call, with a text that is meant to do harm
 *     liar   answers the first call, then never with what was sent */

#include "echo.hawser.h"
#include <stdio.h>
#include <string.h>

static unsigned calls;

static void answer_or_refuse(struct hawser_call *call, const Hawser__Bench__EchoMessage *request,
			     void *data)
{
	if (calls++ % 2 == 0)
		hawser_bench_echo_echo_reply(call, request);
	else
		hawser_bench_echo_echo_fail(call, HAWSER_RESOURCE_EXHAUSTED,
					    "every \"second\" call\nfits \\ in \033[2J\xff\xc2\x9b"
					    "\xf0\x9f\x9a\xa2");
}

static void answer_or_lie(struct hawser_call *call, const Hawser__Bench__EchoMessage *request,
			  void *data)
{
	Hawser__Bench__EchoMessage reply = *request;
	unsigned n = calls++;

	if (n > 0 && n % 3 == 0)
		reply.id++;
	else if (n > 0 && n % 3 == 1)
		reply.payload.data[reply.payload.len - 1] ^= 1;
	else if (n > 0)
		reply.payload.len--;
	hawser_bench_echo_echo_reply(call, &reply);
}

static const struct hawser_bench_echo_service busy = {.echo = answer_or_refuse},
					      liar = {.echo = answer_or_lie};

int main(int argc, char **argv)
{
	struct hawser_server_options options = HAWSER_SERVER_OPTIONS_INIT;
	const struct hawser_bench_echo_service *service = NULL;
	struct hawser_server *server;
	struct hawser_error error;
	int code = -1;

	if (argc < 2)
		return 2;
	if (argc > 2)
		service = strcmp(argv[2], "liar") ? &busy : &liar;
	options.allow_shutdown = true;
	server = hawser_server_new(&options, &error);
	if (server &&
	    (!service || hawser_bench_echo_register(server, service, NULL, &error) == 0) &&
	    hawser_server_listen(server, argv[1], &error) >= 0) {
		printf("listening on %s\n", hawser_server_address(server, 0));
		fflush(stdout);
		code = hawser_server_run(server, &error);
	}
	if (code < 0)
		fprintf(stderr, "bare-server: %s\n", error.message);
	hawser_server_free(server);
	return code != 0;
}
