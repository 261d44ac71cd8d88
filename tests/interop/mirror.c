/* A greeter that shows the caller what arrived: it returns the request's metadata and the
 * time that was left, explains a failure with a typed message, and lets the call of a
 * caller named "slow" wait until nobody wants its answer any more. It says whom it greets, so
 * that a test sees how often a call was executed, and it counts as far as it is let. It adds up
 * what is uploaded, and in a chat says again what it is told. A caller that is a greeter itself it
 * can ask back. */

#include "greeter.hawser.h"
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_cancel(struct hawser_call *call, void *data)
{
	free(data);
	/* The test waits for this line: nothing on the wire answers a cancel. */
	puts("cancelled");
	fflush(stdout);
	hawser_call_fail(call, HAWSER_CANCELLED, NULL);
}

/* ---- asking back ---- */

/* The caller's caller is told what it says, whether that is a greeting or a failure. */
static void on_greeting(struct hawser_call *asked, const Demo__HelloReply *reply_or_null,
			void *data)
{
	struct hawser_call *call = data;
	const struct hawser_error *error = hawser_call_error(asked);

	if (reply_or_null)
		demo_greeter_hello_reply(call, reply_or_null);
	else
		demo_greeter_hello_fail(call, error->status, "%s: %s",
					hawser_outcome_name(error->outcome), error->message);
	hawser_call_free(asked);
}

struct adding {
	struct hawser_call *call;
	uint32_t count, upto;
	uint64_t sum;
};

static void on_number(struct hawser_call *asked, const Demo__CountReply *reply_or_null, void *data)
{
	struct adding *adding = data;
	Demo__HelloReply reply = DEMO__HELLO_REPLY__INIT;
	char text[64];

	if (reply_or_null) {
		adding->count++;
		adding->sum += reply_or_null->n;
		/* Enough of it. */
		if (!adding->upto || adding->count < adding->upto)
			return;
	}
	snprintf(text, sizeof text, "%" PRIu32 " numbers, %" PRIu64 " in all", adding->count,
		 adding->sum);
	reply.text = text;
	if (hawser_call_error(asked)->status)
		demo_greeter_hello_fail(adding->call, HAWSER_ABORTED, "%s",
					hawser_call_error(asked)->message);
	else
		demo_greeter_hello_reply(adding->call, &reply);
	/* One that has not ended is cancelled. */
	hawser_call_free(asked);
	free(adding);
}

/* "ask:Ada" has the caller greet Ada; "count:9" has it count to nine, "count:9:3" as far as
 * three. */
static bool ask_back(struct hawser_call *call, const char *name)
{
	struct hawser_peer *peer = hawser_call_from(call);
	struct hawser_client *caller = hawser_peer_client(peer);
	struct hawser_call *asked = NULL;

	if (!peer || (strncmp(name, "ask:", 4) && strncmp(name, "count:", 6))) {
		hawser_peer_unref(peer);
		return false;
	}
	if (*name == 'a') {
		Demo__HelloRequest request = DEMO__HELLO_REQUEST__INIT;

		request.name = (char *)name + 4;
		asked = demo_greeter_hello_async(caller, &request, on_greeting, call, NULL);
	} else {
		Demo__CountRequest request = DEMO__COUNT_REQUEST__INIT;
		struct adding *adding = calloc(1, sizeof *adding);
		char *end;

		if (!adding)
			err(1, NULL);
		adding->call = call;
		request.upto = (uint32_t)strtoul(name + 6, &end, 10);
		adding->upto = *end ? (uint32_t)strtoul(end + 1, NULL, 10) : 0;
		asked = demo_greeter_count_async(caller, &request, on_number, adding, NULL);
	}
	if (!asked)
		err(1, "the caller cannot be asked");
	hawser_peer_unref(peer);
	return true;
}

static void hello(struct hawser_call *call, const Demo__HelloRequest *request, void *data)
{
	Demo__HelloReply reply = DEMO__HELLO_REPLY__INIT;
	char left[32], *text;
	size_t count;
	const struct hawser_metadata *metadata = hawser_call_metadata(call, &count);
	int length = snprintf(left, sizeof left, "%" PRId64, hawser_call_time_left_ms(call));

	(void)data;
	printf("greets %.80s\n", request->name);
	fflush(stdout);
	if (strcmp(request->name, "slow") == 0) {
		hawser_call_on_cancel(call, on_cancel, NULL);
		return;
	}
	if (ask_back(call, request->name))
		return;
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
	/* As long as the name, for the sake of replies that come in pieces. */
	if (asprintf(&text, "Hello, %s!", request->name) < 0)
		err(1, NULL);
	reply.text = text;
	demo_greeter_hello_reply(call, &reply);
	free(text);
}

/* ---- counting ---- */

struct counting {
	uint32_t next, upto;
};

static void count_on(struct hawser_call *call, void *data)
{
	struct counting *counting = data;
	Demo__CountReply reply = DEMO__COUNT_REPLY__INIT;
	int r = 0;

	while (r == 0 && counting->next <= counting->upto) {
		reply.n = counting->next;
		r = demo_greeter_count_reply(call, &reply);
		counting->next += r == 0;
	}
	if (r == -EAGAIN) {
		r = hawser_call_on_writable(call, count_on, counting);
		if (r == 0)
			return;
	}
	free(counting);
	if (r == 0)
		hawser_call_end(call);
	else
		demo_greeter_count_fail(call, HAWSER_INTERNAL, "%s", strerror(-r));
}

static void count(struct hawser_call *call, const Demo__CountRequest *request, void *data)
{
	struct counting *counting = malloc(sizeof *counting);

	(void)data;
	if (!counting) {
		demo_greeter_count_fail(call, HAWSER_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	*counting = (struct counting){1, request->upto};
	hawser_call_on_cancel(call, on_cancel, counting);
	count_on(call, counting);
}

/* ---- streams of requests ---- */

static void upload(struct hawser_call *call, const Demo__Chunk *chunk, void *data)
{
	Demo__Summary summary = DEMO__SUMMARY__INIT;
	uint64_t *bytes = hawser_call_data(call);

	(void)data;
	if (!bytes) {
		bytes = calloc(1, sizeof *bytes);
		if (!bytes)
			err(1, NULL);
		hawser_call_set_data(call, bytes, free);
	}
	if (chunk) {
		*bytes += chunk->data.len;
		return;
	}
	summary.bytes = *bytes;
	demo_greeter_upload_reply(call, &summary);
}

static void go_on(struct hawser_call *call, void *data)
{
	(void)data;
	hawser_call_read_start(call);
}

static void chat(struct hawser_call *call, const Demo__ChatMessage *message, void *data)
{
	(void)data;
	if (!message)
		hawser_call_end(call);
	else if (demo_greeter_chat_reply(call, message) == -EAGAIN)
		demo_greeter_chat_fail(call, HAWSER_INTERNAL, "said too much");
	else if (hawser_call_on_writable(call, go_on, NULL) == 0)
		/* The next one is taken when there is room for its echo. */
		hawser_call_read_stop(call);
}

int main(int argc, char **argv)
{
	static const struct demo_greeter_service service = {
		.hello = hello, .count = count, .upload = upload, .chat = chat};
	struct hawser_server_options options = HAWSER_SERVER_OPTIONS_INIT;
	struct hawser_error error;

	options.name = "mirror";
	options.max_request_bytes = 100 * 1024;
	options.max_connections = 8;
	options.allow_shutdown = true;
	if (argc >= 3)
		options.session_window_ms = (unsigned)strtoul(argv[2], NULL, 10);
	if (argc == 4)
		options.max_request_bytes = strtoul(argv[3], NULL, 10);

	struct hawser_server *server = hawser_server_new(&options, &error);

	if (argc < 2 || argc > 4)
		errx(2, "usage: mirror ADDRESS [SESSION_WINDOW_MS [MAX_REQUEST_BYTES]]");
	if (!server || demo_greeter_register(server, &service, NULL, &error) < 0 ||
	    hawser_server_listen(server, argv[1], &error) < 0)
		errx(1, "%s", error.message);
	printf("listening on %s\n", hawser_server_address(server, 0));
	fflush(stdout);
	if (hawser_server_run(server, &error) < 0)
		errx(1, "%s", error.message);
	hawser_server_free(server);
}
