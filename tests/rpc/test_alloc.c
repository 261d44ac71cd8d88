/* Every allocation of a server and its client fails in turn: no crash, no leak, no call
 * without an end.
 *
 * Both live on one base and one thread, so that each run takes the same path. */

#include "caller.h"
#include "lines.h"
#include "support/failing_alloc.h"
#include "support/suite.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALLS = 5 };

struct scene {
	enum transport transport;
	char address[ADDRESS_SIZE];
	struct event_base *base;
	struct hawser_server *server;
	struct hawser_client *client;
	struct hawser_call *deferred;
	unsigned n_open, n_ended, n_ok;
	bool is_wrong; /* something that must not be, whatever fails */
};

/* ---- handlers that take a failure as it comes ---- */

static void reply(struct hawser_call *call, const Rpctest__Payload *message)
{
	int r = hawser_call_send(call, hawser_call_method(call), message ? &message->base : NULL);

	/* Without memory the call is the handler's still. */
	if (r == -ENOMEM)
		hawser_call_fail(call, HAWSER_RESOURCE_EXHAUSTED, "no memory");
}

static void on_echo(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	size_t n;
	const struct hawser_metadata *metadata = hawser_call_metadata(call, &n);

	(void)data;
	for (size_t i = 0; i < n; i++)
		hawser_call_add_metadata(call, metadata[i].key, metadata[i].value,
					 metadata[i].length);
	reply(call, request);
}

static void on_fail(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	Rpctest__Why why = RPCTEST__WHY__INIT;

	(void)data;
	why.field = (char *)"field";
	hawser_call_add_detail(call, &why.base);
	hawser_call_fail(call, HAWSER_ABORTED, "%s", request->text);
}

static void forget_deferred(struct hawser_call *call, void *data)
{
	struct scene *scene = data;

	scene->deferred = NULL;
	hawser_call_fail(call, HAWSER_CANCELLED, NULL);
}

static void on_hold(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct scene *scene = data;

	(void)request;
	scene->deferred = call;
	hawser_call_on_cancel(call, forget_deferred, scene);
}

static void on_release(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct scene *scene = data;

	if (scene->deferred)
		reply(scene->deferred, request);
	scene->deferred = NULL;
	reply(call, request);
}

static const struct rpctest_tester_service handlers = {
	.echo = on_echo, .fail = on_fail, .hold = on_hold, .limited = on_release};

/* ---- the client ---- */

static void on_end(struct hawser_call *call, const Rpctest__Payload *message, void *data)
{
	struct scene *scene = data;
	const struct hawser_error *error = hawser_call_error(call);

	scene->n_ended++;
	if ((error->status == HAWSER_OK) != (message != NULL))
		scene->is_wrong = true;
	if (error->status != HAWSER_OK && !*error->message)
		scene->is_wrong = true;
	/* Nobody is to be told that a message was wrong. */
	if (strstr(error->message, "valid"))
		scene->is_wrong = true;
	/* Fail fails, and says what the handler said. */
	if (message || (error->status == HAWSER_ABORTED && strcmp(error->message, "so") == 0))
		scene->n_ok++;
	hawser_call_free(call);
}

static void open_call(struct scene *scene, enum method method, const struct hawser_context *context)
{
	static uint8_t bytes[100000];
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	rpctest_tester_echo_cb *callback = on_end;

	request.text = (char *)"so";
	if (method == ECHO) {
		request.data.data = bytes;
		request.data.len = sizeof bytes;
	}
	if (hawser_client_open(scene->client, method_of(method), &request.base,
			       (hawser_any_fn *)callback, scene, context))
		scene->n_open++;
	else if (errno != ENOMEM)
		scene->is_wrong = true;
}

static void open_calls(struct scene *scene)
{
	struct hawser_metadata metadata[] = {{"key", "value", 5}, {"other", NULL, 0}};
	struct hawser_context context = HAWSER_CONTEXT_INIT;

	context.metadata = metadata;
	context.n_metadata = 2;
	context.timeout_ms = 50;
	open_call(scene, ECHO, &context);
	open_call(scene, FAIL, NULL);
	open_call(scene, HOLD, &context);
	open_call(scene, LIMITED, NULL);
	open_call(scene, MISSING, NULL);
}

static bool set_up(struct scene *scene)
{
	struct hawser_server_options options = tester_options();
	struct hawser_client_options client_options = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_error error = {.status = HAWSER_OK};

	options.base = client_options.base = scene->base;
	client_options.connect_timeout_ms = client_options.timeout_ms = 200;
	client_options.credentials = "x";
	client_options.credentials_length = 1;
	errno = 0;
	scene->server = hawser_server_new(&options, &error);
	if (!scene->server) {
		scene->is_wrong = error.code != -ENOMEM || errno != ENOMEM;
		return false;
	}
	if (rpctest_tester_register(scene->server, &handlers, scene, &error) < 0 ||
	    hawser_server_listen(scene->server, scene->address, &error) < 0) {
		scene->is_wrong = error.code != -ENOMEM;
		return false;
	}
	scene->client =
		hawser_client_new(hawser_server_address(scene->server, 0), &client_options, &error);
	if (!scene->client) {
		scene->is_wrong = error.code != -ENOMEM;
		return false;
	}
	return true;
}

static bool play(void *data)
{
	struct scene *scene = data;

	scene->server = NULL;
	scene->client = NULL;
	scene->deferred = NULL;
	scene->n_open = scene->n_ended = scene->n_ok = 0;
	/* libevent's own allocations are not ours to fail. */
	scene->base = event_base_new();
	if (set_up(scene)) {
		/* Twice: whoever failed the first time must not fail for ever. */
		for (int round = 0; round < 2; round++) {
			open_calls(scene);
			while (scene->n_ended < scene->n_open &&
			       event_base_loop(scene->base, EVLOOP_ONCE) == 0)
				;
			if (scene->n_ended != scene->n_open)
				scene->is_wrong = true;
		}
	}
	hawser_client_free(scene->client);
	event_base_loop(scene->base, EVLOOP_NONBLOCK);
	hawser_server_free(scene->server);
	event_base_free(scene->base);
	ck_assert_msg(!scene->is_wrong, "something was wrong that memory does not excuse");
	/* Missing fails always. */
	return scene->n_ok == 2 * (CALLS - 1);
}

static void fail_each(struct scene *scene)
{
	char directory[128] = "";

	if (scene->transport == OVER_UNIX)
		directory_make(directory, sizeof directory);
	address_make(scene->address, scene->transport, directory);
	ck_assert_uint_gt(failing_alloc_each(play, scene), 20);
	if (directory[0])
		directory_remove(directory);
}

START_TEST(every_allocation_may_fail)
{
	struct scene scene = {.transport = transport_of(_i)};

	lines_start(HAWSER_LOG_NONE);
	fail_each(&scene);
	lines_stop();
}
END_TEST

START_TEST(every_allocation_may_fail_while_it_is_traced)
{
	struct scene scene = {.transport = transport_of(_i)};

	lines_start(HAWSER_LOG_NONE);
	lines_start_trace(0);
	fail_each(&scene);
	lines_stop();
}
END_TEST

/* ---- a blocking client, whose server's memory is another process's ---- */

struct blocking {
	const char *address;
	unsigned n_wrong;
};

static bool call_once(struct blocking *blocking, struct hawser_client *client, enum method method)
{
	struct hawser_metadata metadata = {"key", "value", 5};
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT, *message = NULL;
	enum hawser_status status;
	bool is_fine;

	request.number = HAWSER_ABORTED;
	request.text = (char *)"so";
	context.metadata = &metadata;
	context.n_metadata = 1;
	context.timeout_ms = 10000;
	status = hawser_client_call(client, method_of(method), &request.base,
				    (ProtobufCMessage **)&message, &context);
	if ((status == HAWSER_OK) != (message != NULL) || context.error.status != status ||
	    status == HAWSER_DEADLINE_EXCEEDED || strstr(context.error.message, "valid"))
		blocking->n_wrong++;
	is_fine = method == FAIL ? status == HAWSER_ABORTED && context.n_details == 1
				 : status == HAWSER_OK && context.n_reply_metadata == 1;
	if (message)
		rpctest__payload__free_unpacked(message, NULL);
	hawser_context_clear(&context);
	return is_fine;
}

static bool play_blocking(void *data)
{
	struct blocking *blocking = data;
	struct hawser_error error;
	struct hawser_client *client = hawser_client_new(blocking->address, NULL, &error);
	bool is_fine;

	if (!client)
		return false;
	is_fine = call_once(blocking, client, REFLECT);
	is_fine &= call_once(blocking, client, FAIL);
	is_fine &= hawser_client_ping(client, NULL, &error) == 0;
	is_fine &= call_once(blocking, client, REFLECT);
	hawser_client_free(client);
	ck_assert_uint_eq(blocking->n_wrong, 0);
	return is_fine;
}

START_TEST(every_allocation_of_a_blocking_client_may_fail)
{
	struct hawser_server_options options = tester_options();
	struct blocking blocking = {.n_wrong = 0};
	struct child_server child;

	options.ignore_signals = false;
	child_server_start(&child, transport_of(_i), &options);
	blocking.address = child.address;
	lines_start(HAWSER_LOG_NONE);
	ck_assert_uint_gt(failing_alloc_each(play_blocking, &blocking), 8);
	lines_stop();
	ck_assert_int_eq(kill(child.pid, SIGTERM), 0);
	ck_assert_int_eq(child_server_wait(&child), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/alloc");
	TCase *tcase = suite_case(suite, "alloc");

	tcase_add_loop_test(tcase, every_allocation_may_fail, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, every_allocation_may_fail_while_it_is_traced, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, every_allocation_of_a_blocking_client_may_fail, 0, TRANSPORTS);
	return suite_run(suite);
}
