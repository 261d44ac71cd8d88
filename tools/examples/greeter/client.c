/* Asks the greeter to say hello. */

#include "greeter.hawser.h"
#include <err.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	const char *address = argc > 2 ? argv[2] : "tcp:127.0.0.1:7000";
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct hawser_client *client = hawser_client_new(address, NULL, &context.error);
	Demo__HelloRequest request = DEMO__HELLO_REQUEST__INIT;
	Demo__HelloReply *reply;

	request.name = argc > 1 ? argv[1] : "world";
	if (!client || demo_greeter_hello(client, &request, &reply, &context) != HAWSER_OK)
		errx(1, "%s", context.error.message);
	puts(reply->text);
	demo__hello_reply__free_unpacked(reply, NULL);
	hawser_context_clear(&context);
	hawser_client_free(client);
}
