/* Every allocation fails in turn while a session breaks and goes on: no crash, no leak, no call
 * without an end, and a client that recovers.
 *
 * Server and client live on one base; only the relay between them has a thread, which
 * allocates nothing that is made to fail. */

#include "lines.h"
#include "relayed.h"
#include "support/failing_alloc.h"
#include "support/suite.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HELD = 2, MESSAGES = 8 };

struct scene {
	char address[ADDRESS_SIZE]; /* to listen on */
	struct relay *relay;
	struct event_base *base;
	struct hawser_server *server;
	struct hawser_client *client;
	struct hawser_call *held[HELD];
	unsigned n_held, n_sent;
	enum relay_cut how;
	unsigned n_open, n_ended, n_ok, n_messages;
	bool is_wrong; /* something that must not be, whatever fails */
};

/* ---- handlers that take a failure as it comes ---- */

static void reply(struct hawser_call *call, const Rpctest__Payload *message)
{
	/* Without memory the call is the handler's still. */
	if (hawser_call_send(call, hawser_call_method(call), &message->base) == -ENOMEM)
		hawser_call_fail(call, HAWSER_RESOURCE_EXHAUSTED, "no memory");
}

static void on_echo(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	(void)data;
	reply(call, request);
}

static void forget_held(struct hawser_call *call, void *data)
{
	struct scene *scene = data;

	for (unsigned i = 0; i < scene->n_held; i++)
		if (scene->held[i] == call)
			scene->held[i] = NULL;
	hawser_call_fail(call, HAWSER_CANCELLED, NULL);
}

static void on_hold(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct scene *scene = data;

	if (scene->n_held == HELD) {
		reply(call, request);
		return;
	}
	scene->held[scene->n_held++] = call;
	hawser_call_on_cancel(call, forget_held, scene);
}

/* More than the window lets through at once. */
static void send_rest(struct hawser_call *call, void *data)
{
	struct scene *scene = data;
	Rpctest__Payload message = RPCTEST__PAYLOAD__INIT;
	int r = 0;

	message.text = (char *)"a message of some length";
	while (scene->n_sent < MESSAGES && r == 0) {
		r = rpctest_tester_watch_reply(call, &message);
		scene->n_sent += r == 0;
	}
	if (r == -EAGAIN && hawser_call_on_writable(call, send_rest, scene) == 0)
		return;
	hawser_call_on_cancel(call, NULL, NULL);
	if (r < 0)
		hawser_call_fail(call, HAWSER_RESOURCE_EXHAUSTED, "no memory");
	else
		hawser_call_end(call);
}

static void end_watch(struct hawser_call *call, void *data)
{
	(void)data;
	hawser_call_fail(call, HAWSER_CANCELLED, NULL);
}

static void on_watch(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct scene *scene = data;

	(void)request;
	scene->n_sent = 0;
	hawser_call_on_cancel(call, end_watch, scene);
	send_rest(call, scene);
}

static const struct rpctest_tester_service handlers = {
	.echo = on_echo, .hold = on_hold, .hold_again = on_hold, .watch = on_watch};

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
	if (message)
		scene->n_ok++;
	hawser_call_free(call);
}

static void on_message(struct hawser_call *call, const Rpctest__Payload *message, void *data)
{
	struct scene *scene = data;
	const struct hawser_error *error = hawser_call_error(call);

	if (message) {
		scene->n_messages++;
		return;
	}
	scene->n_ended++;
	/* A gap in it would be worse than its failure. */
	if (error->status == HAWSER_OK && scene->n_messages != MESSAGES)
		scene->is_wrong = true;
	if (error->status == HAWSER_OK)
		scene->n_ok++;
	hawser_call_free(call);
}

static void open_call(struct scene *scene, enum method method)
{
	static uint8_t bytes[100000];
	struct hawser_metadata metadata[] = {{"key", "value", 5}};
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	rpctest_tester_echo_cb *callback = method == WATCH ? on_message : on_end;

	context.metadata = metadata;
	context.n_metadata = 1;
	context.timeout_ms = patient_ms(300);
	if (method == ECHO) {
		request.data.data = bytes;
		request.data.len = sizeof bytes;
	}
	if (hawser_client_open(scene->client, method_of(method), &request.base,
			       (hawser_any_fn *)callback, scene, &context))
		scene->n_open++;
	else if (errno != ENOMEM)
		scene->is_wrong = true;
}

static bool set_up(struct scene *scene)
{
	struct hawser_server_options options = tester_options();
	struct hawser_client_options client_options = relayed_options();
	struct hawser_error error = {.status = HAWSER_OK};

	options.base = client_options.base = scene->base;
	client_options.connect_timeout_ms = patient_ms(100);
	client_options.stream_window_bytes = 100;
	scene->server = hawser_server_new(&options, &error);
	if (!scene->server ||
	    rpctest_tester_register(scene->server, &handlers, scene, &error) < 0 ||
	    hawser_server_listen(scene->server, scene->address, &error) < 0) {
		scene->is_wrong = error.code != -ENOMEM;
		return false;
	}
	relay_aim(scene->relay, hawser_server_address(scene->server, 0));
	scene->client = hawser_client_new(scene->relay->address, &client_options, &error);
	if (!scene->client)
		scene->is_wrong = error.code != -ENOMEM;
	return scene->client;
}

static bool turn(struct scene *scene)
{
	return event_base_loop(scene->base, EVLOOP_ONCE) == 0;
}

/* Two calls are held, the connection breaks, one reply is made while it is away, another call as
 * well, and the other reply when it has come back. */
static void break_once(struct scene *scene)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;

	scene->n_held = scene->n_messages = 0;
	open_call(scene, WATCH);
	open_call(scene, ECHO);
	open_call(scene, HOLD);
	open_call(scene, HOLD_AGAIN);
	while (scene->n_held < HELD && scene->n_ended < scene->n_open && turn(scene))
		;
	relay_cut(scene->relay, scene->how);
	if (scene->n_held && scene->held[0])
		reply(scene->held[0], &request);
	open_call(scene, ECHO);
	while (scene->n_ended + 1 < scene->n_open && turn(scene))
		;
	if (scene->n_held > 1 && scene->held[1])
		reply(scene->held[1], &request);
	while (scene->n_ended < scene->n_open && turn(scene))
		;
	if (scene->n_ended != scene->n_open)
		scene->is_wrong = true;
}

static bool play(void *data)
{
	struct scene *scene = data;

	scene->server = NULL;
	scene->client = NULL;
	scene->n_held = scene->n_open = scene->n_ended = scene->n_ok = 0;
	/* libevent's own allocations are not ours to fail. */
	scene->base = event_base_new();
	if (set_up(scene))
		for (int round = 0; round < 2; round++) {
			/* The server hears of the first one, and is taken over in the second. */
			scene->how = round ? CUT_CLIENT : CUT_ORDERLY;
			break_once(scene);
		}
	hawser_client_free(scene->client);
	event_base_loop(scene->base, EVLOOP_NONBLOCK);
	hawser_server_free(scene->server);
	event_base_free(scene->base);
	ck_assert_msg(!scene->is_wrong, "something was wrong that memory does not excuse");
	return scene->n_ok == 2 * 5;
}

START_TEST(every_allocation_of_a_resume_may_fail)
{
	struct scene scene = {.n_held = 0};
	char directory[128] = "";
	struct relay relay;

	if (transport_of(_i) == OVER_UNIX)
		directory_make(directory, sizeof directory);
	address_make(scene.address, transport_of(_i), directory);
	lines_start(HAWSER_LOG_NONE);
	relay_start(&relay, transport_of(_i), "unix:/nowhere");
	scene.relay = &relay;
	ck_assert_uint_gt(failing_alloc_each(play, &scene), 20);
	relay_stop(&relay);
	lines_stop();
	if (directory[0])
		directory_remove(directory);
}
END_TEST

/* ---- the blocking client, against a server in a process of its own ---- */

struct blocking {
	struct relay *relay;
	unsigned n_wrong;
};

static bool call_once(struct blocking *blocking, struct hawser_client *client)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT, *message = NULL;
	enum hawser_status status;

	request.text = (char *)"so";
	context.timeout_ms = 10000;
	status = rpctest_tester_echo(client, &request, &message, &context);
	if ((status == HAWSER_OK) != (message != NULL) || context.error.status != status ||
	    status == HAWSER_DEADLINE_EXCEEDED)
		blocking->n_wrong++;
	if (message)
		rpctest__payload__free_unpacked(message, NULL);
	hawser_context_clear(&context);
	return status == HAWSER_OK;
}

static bool play_blocking(void *data)
{
	struct blocking *blocking = data;
	struct hawser_client_options options = relayed_options();
	struct hawser_error error;
	struct hawser_client *client =
		hawser_client_new(blocking->relay->address, &options, &error);
	bool is_fine;

	if (!client)
		return false;
	is_fine = call_once(blocking, client);
	for (int cuts = 0; cuts < 2; cuts++) {
		relay_cut_after(blocking->relay, cuts ? FROM_SERVER : FROM_CLIENT, 5, CUT_ORDERLY);
		is_fine &= call_once(blocking, client);
		relay_was_cut(blocking->relay);
	}
	is_fine &= call_once(blocking, client);
	hawser_client_free(client);
	ck_assert_uint_eq(blocking->n_wrong, 0);
	return is_fine;
}

START_TEST(every_allocation_of_a_blocking_resume_may_fail)
{
	struct hawser_server_options options = tester_options();
	struct blocking blocking = {.n_wrong = 0};
	struct child_server child;
	struct relay relay;

	options.ignore_signals = false;
	child_server_start(&child, transport_of(_i), &options);
	relay_start(&relay, transport_of(_i), child.address);
	blocking.relay = &relay;
	lines_start(HAWSER_LOG_NONE);
	ck_assert_uint_gt(failing_alloc_each(play_blocking, &blocking), 8);
	lines_stop();
	relay_stop(&relay);
	ck_assert_int_eq(kill(child.pid, SIGTERM), 0);
	ck_assert_int_eq(child_server_wait(&child), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/sessions/alloc");
	TCase *tcase = suite_case(suite, "alloc");

	tcase_add_loop_test(tcase, every_allocation_of_a_resume_may_fail, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, every_allocation_of_a_blocking_resume_may_fail, 0, TRANSPORTS);
	return suite_run(suite);
}
