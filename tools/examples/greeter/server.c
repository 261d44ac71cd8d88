/* Says hello to whoever calls. */

#include "greeter.hawser.h"
#include <err.h>
#include <stdio.h>

static void hello(struct hawser_call *call, const Demo__HelloRequest *request, void *data)
{
	Demo__HelloReply reply = DEMO__HELLO_REPLY__INIT;
	char text[128];

	snprintf(text, sizeof text, "%s, %s!", (const char *)data, request->name);
	reply.text = text;
	demo_greeter_hello_reply(call, &reply);
}

int main(int argc, char **argv)
{
	static const struct demo_greeter_service greeter = {.hello = hello};
	struct hawser_error error;
	struct hawser_server *server = hawser_server_new(NULL, &error);

	if (!server || demo_greeter_register(server, &greeter, "Hello", &error) < 0 ||
	    hawser_server_listen(server, argc > 1 ? argv[1] : "tcp:127.0.0.1:7000", &error) < 0 ||
	    hawser_server_run(server, &error) < 0)
		errx(1, "%s", error.message);
	hawser_server_free(server);
}
