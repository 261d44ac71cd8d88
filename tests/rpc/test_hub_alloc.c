/* Every allocation behind a hub, its members and a call to all of them fails in turn: no crash, no
 * leak, whoever has joined is gone in the end, and each call has its end.
 *
 * All is on one base and one thread, so that each run takes the same path. */

#include "caller.h"
#include "lines.h"
#include "support/failing_alloc.h"
#include "support/suite.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { MEMBERS = 3 };

struct scene {
	char address[ADDRESS_SIZE];
	struct event_base *base;
	struct hawser_server *server;
	struct hawser_hub *hub;
	struct hawser_client *clients[MEMBERS];
	size_t length; /* of a request's data */
	unsigned n_joined, n_gone, n_called, n_ends, n_done, n_replies;
	unsigned n_own, n_own_ended, n_own_ok; /* the clients' own calls */
	bool is_wrong;                         /* something that memory does not excuse */
};

static void on_joined(struct hawser_peer *peer, void *data)
{
	struct scene *scene = data;

	(void)peer;
	scene->n_joined++;
}

static void on_gone(struct hawser_peer *peer, void *data)
{
	struct scene *scene = data;

	(void)peer;
	scene->n_gone++;
}

static void answer(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	(void)data;
	if (rpctest_tester_echo_reply(call, request) == -ENOMEM)
		hawser_call_fail(call, HAWSER_RESOURCE_EXHAUSTED, "no memory");
}

static const struct rpctest_tester_service handlers = {.echo = answer};

static void on_end(struct hawser_peer *peer, const ProtobufCMessage *reply_or_null,
		   const struct hawser_error *error, void *data)
{
	struct scene *scene = data;

	(void)peer;
	scene->n_ends++;
	if ((error->status == HAWSER_OK) != (reply_or_null != NULL) ||
	    (error->status != HAWSER_OK && !*error->message) || strstr(error->message, "valid"))
		scene->is_wrong = true;
}

static void on_done(size_t n_replies, size_t n_failed, void *data)
{
	struct scene *scene = data;

	scene->n_done++;
	scene->n_replies += (unsigned)n_replies;
	if (n_replies + n_failed != scene->n_called)
		scene->is_wrong = true;
}

static void on_own_end(struct hawser_call *call, const Rpctest__Payload *reply_or_null, void *data)
{
	struct scene *scene = data;

	scene->n_own_ended++;
	scene->n_own_ok += reply_or_null != NULL;
	hawser_call_free(call);
}

static bool set_up(struct scene *scene)
{
	struct hawser_server_options options = tester_options();
	struct hawser_client_options client_options = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_hub_options hub_options = HAWSER_HUB_OPTIONS_INIT;
	const struct hawser_label label = {"site", "east"};
	struct hawser_error error = {.status = HAWSER_OK};

	options.base = client_options.base = scene->base;
	scene->server = hawser_server_new(&options, &error);
	if (!scene->server)
		goto no_memory;
	hub_options.on_joined = on_joined;
	hub_options.on_gone = on_gone;
	hub_options.data = scene;
	hub_options.service = "rpctest.Tester";
	scene->hub = hawser_hub_new(scene->server, &hub_options, &error);
	if (!scene->hub || rpctest_tester_register(scene->server, &handlers, scene, &error) < 0 ||
	    hawser_server_listen(scene->server, scene->address, &error) < 0)
		goto no_memory;
	client_options.labels = &label;
	client_options.n_labels = 1;
	client_options.listens = "tcp:10.0.0.7:7000";
	client_options.connect_timeout_ms = client_options.timeout_ms = 300;
	client_options.max_backoff_ms = 1;
	for (unsigned i = 0; i < MEMBERS; i++) {
		char name[16];

		snprintf(name, sizeof name, "member-%u", i);
		client_options.name = name;
		scene->clients[i] = hawser_client_new(hawser_server_address(scene->server, 0),
						      &client_options, &error);
		if (!scene->clients[i] ||
		    rpctest_tester_offer(scene->clients[i], &handlers, scene, &error) < 0)
			goto no_memory;
	}
	return true;
no_memory:
	scene->is_wrong = error.code != -ENOMEM;
	return false;
}

/* Each calls the server, and is in the hub when it has its answer, or why it has none. */
static void call_server(struct scene *scene)
{
	const Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;

	scene->n_own = scene->n_own_ended = 0;
	for (unsigned i = 0; i < MEMBERS; i++) {
		if (rpctest_tester_echo_async(scene->clients[i], &request, on_own_end, scene, NULL))
			scene->n_own++;
		else if (errno != ENOMEM)
			scene->is_wrong = true;
	}
	while (scene->n_own_ended < scene->n_own && event_base_loop(scene->base, EVLOOP_ONCE) == 0)
		;
}

static void call_members(struct scene *scene)
{
	struct hawser_broadcast_options options = HAWSER_BROADCAST_OPTIONS_INIT;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	const struct hawser_hub_filter filter = {.label = "site", .value = "east"};
	struct hawser_error error = {.code = 0};
	static uint8_t bytes[200000];
	int r;

	options.timeout_ms = 300;
	options.max_concurrent = 2;
	request.data.data = bytes;
	request.data.len = scene->length;
	/* on_done may run before the number is known here. */
	scene->n_called = (unsigned)hawser_hub_count(scene->hub, &filter);
	scene->n_done = 0;
	r = hawser_hub_broadcast(scene->hub, &filter, method_of(ECHO), &request.base, &options,
				 on_end, on_done, scene, &error);
	if (r == -ENOMEM && error.code == -ENOMEM && *error.message)
		return;
	if (r != (int)scene->n_called)
		scene->is_wrong = true;
	while (!scene->n_done && event_base_loop(scene->base, EVLOOP_ONCE) == 0)
		;
	if (scene->n_done != 1)
		scene->is_wrong = true;
}

static bool play(void *data)
{
	struct scene *scene = data;
	bool is_up;

	scene->server = NULL;
	scene->hub = NULL;
	memset(scene->clients, 0, sizeof scene->clients);
	scene->n_joined = scene->n_gone = scene->n_ends = scene->n_replies = scene->n_own_ok = 0;
	/* libevent's own allocations are not ours to fail. */
	scene->base = event_base_new();
	is_up = set_up(scene);
	for (int round = 0; is_up && round < 2; round++) {
		call_server(scene);
		call_members(scene);
	}
	for (unsigned i = 0; i < MEMBERS; i++)
		hawser_client_free(scene->clients[i]);
	event_base_loop(scene->base, EVLOOP_NONBLOCK);
	hawser_server_free(scene->server);
	event_base_free(scene->base);
	ck_assert_msg(!scene->is_wrong, "something was wrong that memory does not excuse");
	ck_assert_uint_eq(scene->n_gone, scene->n_joined);
	return scene->n_replies == 2 * MEMBERS && scene->n_own_ok == 2 * MEMBERS &&
	       scene->n_joined == MEMBERS;
}

START_TEST(every_allocation_may_fail)
{
	struct scene scene = {.length = _i / TRANSPORTS ? 200000 : 10};
	char directory[128] = "";

	lines_start(HAWSER_LOG_NONE);
	if (transport_of(_i) == OVER_UNIX)
		directory_make(directory, sizeof directory);
	address_make(scene.address, transport_of(_i), directory);
	ck_assert_uint_gt(failing_alloc_each(play, &scene), 60);
	if (directory[0])
		directory_remove(directory);
	lines_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/hub-alloc");
	TCase *tcase = suite_case(suite, "alloc");

	tcase_add_loop_test(tcase, every_allocation_may_fail, 0, 2 * TRANSPORTS);
	return suite_run(suite);
}
