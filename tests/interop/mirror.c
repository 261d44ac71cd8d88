/* A greeter that shows the caller what arrived: it returns the request's metadata and the
 * time that was left, explains a failure with a typed message, and lets the call of a
 * caller named "slow" wait until nobody wants its answer any more. */

#include "greeter.hawser.h"
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void on_cancel(struct hawser_call *call, void *data)
{
	(void)data;
	/* The test waits for this line: nothing on the wire answers a cancel. */
	puts("cancelled");
	fflush(stdout);
	hawser_call_fail(call, HAWSER_CANCELLED, NULL);
}

static void hello(struct hawser_call *call, const Demo__HelloRequest *request, void *data)
{
	Demo__HelloReply reply = DEMO__HELLO_REPLY__INIT;
	char text[128], left[32];
	size_t count;
	const struct hawser_metadata *metadata = hawser_call_metadata(call, &count);
	int length = snprintf(left, sizeof left, "%" PRId64, hawser_call_time_left_ms(call));

	(void)data;
	if (strcmp(request->name, "slow") == 0) {
		hawser_call_on_cancel(call, on_cancel, NULL);
		return;
	}
	hawser_call_add_metadata(call, "time-left-ms", left, (size_t)length);
	for (size_t i = 0; i < count; i++)
		hawser_call_add_metadata(call, metadata[i].key, metadata[i].value,
					 metadata[i].length);
	if (!*request->name) {
		Demo__HelloRequest example = DEMO__HELLO_REQUEST__INIT;

		example.name = (char *)"Ada";
		hawser_call_add_detail(call, &example.base);
		demo_greeter_hello_fail(call, HAWSER_INVALID_ARGUMENT, "a name is needed");
		return;
	}
	snprintf(text, sizeof text, "Hello, %s!", request->name);
	reply.text = text;
	demo_greeter_hello_reply(call, &reply);
}

int main(int argc, char **argv)
{
	static const struct demo_greeter_service service = {.hello = hello};
	struct hawser_server_options options = HAWSER_SERVER_OPTIONS_INIT;
	struct hawser_error error;

	options.name = "mirror";
	options.max_request_bytes = 100 * 1024;
	options.max_connections = 8;
	options.allow_shutdown = true;

	struct hawser_server *server = hawser_server_new(&options, &error);

	if (argc != 2)
		errx(2, "usage: mirror ADDRESS");
	if (!server || demo_greeter_register(server, &service, NULL, &error) < 0 ||
	    hawser_server_listen(server, argv[1], &error) < 0)
		errx(1, "%s", error.message);
	printf("listening on %s\n", hawser_server_address(server, 0));
	fflush(stdout);
	if (hawser_server_run(server, &error) < 0)
		errx(1, "%s", error.message);
	hawser_server_free(server);
}
