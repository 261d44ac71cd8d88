/* Every allocation fails in turn while leases are asked for, used and given up: nobody waits for
 * ever, and nothing is left.
 *
 * Server and clients live on one base, without a thread. */

#include "guarded.h"
#include "lines.h"
#include "support/failing_alloc.h"
#include "support/suite.h"
#include <errno.h>
#include <string.h>

enum { CLIENTS = 2 };

struct asker {
	struct hawser_client *client;
	struct hawser_lease *lease;
	enum hawser_lease_state state;
	unsigned n_told;
	bool has_asked;
};

struct scene {
	struct event_base *base;
	struct hawser_server *server;
	struct asker askers[CLIENTS];
	unsigned n_open, n_ended, n_ok;
	bool is_wrong; /* something that must not be, whatever fails */
};

static void on_move(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct scene *scene = data;

	if (!hawser_call_fencing(call))
		scene->is_wrong = true;
	if (rpctest_guarded_move_reply(call, request) == -ENOMEM)
		hawser_call_fail(call, HAWSER_RESOURCE_EXHAUSTED, "no memory");
}

static const struct rpctest_guarded_service handlers = {.move = on_move};

static void on_lease(struct hawser_lease *lease, enum hawser_lease_state state, void *data)
{
	struct asker *asker = data;

	(void)lease;
	asker->n_told++;
	asker->state = state;
}

static void on_end(struct hawser_call *call, const Rpctest__Payload *message, void *data)
{
	struct scene *scene = data;

	scene->n_ended++;
	scene->n_ok += message != NULL;
	if (!message && !hawser_call_error(call)->message[0])
		scene->is_wrong = true;
	hawser_call_free(call);
}

static void turn(struct scene *scene)
{
	event_base_loop(scene->base, EVLOOP_ONCE);
}

static void ask(struct scene *scene, struct asker *asker)
{
	asker->n_told = 0;
	asker->state = HAWSER_LEASE_WAITING;
	asker->lease = hawser_lease_acquire_async(asker->client, GUARDED, on_lease, asker, NULL);
	asker->has_asked = asker->lease;
	if (!asker->lease && errno != ENOMEM)
		scene->is_wrong = true;
	while (asker->has_asked && !asker->n_told)
		turn(scene);
}

static void call(struct scene *scene, struct asker *asker)
{
	static const Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;

	if (rpctest_guarded_move_async(asker->client, &request, on_end, scene, NULL))
		scene->n_open++;
	else if (errno != ENOMEM)
		scene->is_wrong = true;
}

static bool set_up(struct scene *scene, const char *address)
{
	struct hawser_server_options options = tester_options();
	struct hawser_client_options client_options = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_exclusive exclusive = HAWSER_EXCLUSIVE_INIT;
	struct hawser_error error = {.status = HAWSER_OK};

	options.base = client_options.base = scene->base;
	exclusive.policy = HAWSER_EXCLUSIVE_QUEUE;
	scene->server = hawser_server_new(&options, &error);
	if (!scene->server ||
	    rpctest_guarded_register(scene->server, &handlers, scene, &error) < 0 ||
	    hawser_server_set_exclusive(scene->server, GUARDED, &exclusive, &error) < 0 ||
	    hawser_server_listen(scene->server, address, &error) < 0) {
		scene->is_wrong = error.code != -ENOMEM;
		return false;
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		scene->askers[i].client = hawser_client_new(hawser_server_address(scene->server, 0),
							    &client_options, &error);
		if (!scene->askers[i].client) {
			scene->is_wrong = error.code != -ENOMEM;
			return false;
		}
	}
	return true;
}

/* One holds and the other waits, both as a lease and as a call; then the first one gives up. */
static void compete(struct scene *scene)
{
	struct asker *first = &scene->askers[0], *second = &scene->askers[1];

	ask(scene, first);
	call(scene, first);
	call(scene, second);
	ask(scene, second);
	if (first->lease && hawser_lease_release(first->lease, NULL) == HAWSER_OK)
		while (first->state != HAWSER_LEASE_OVER)
			turn(scene);
	hawser_lease_free(first->lease);
	hawser_client_free(first->client);
	first->client = NULL;
	while (scene->n_ended < scene->n_open)
		turn(scene);
	while (second->has_asked && second->state == HAWSER_LEASE_WAITING)
		turn(scene);
	scene->n_ok += second->has_asked && second->state == HAWSER_LEASE_HELD;
	hawser_lease_free(second->lease);
}

static bool play(void *data)
{
	const char *address = data;
	struct scene scene = {.n_ok = 0};

	/* libevent's own allocations are not ours to fail. */
	scene.base = event_base_new();
	if (set_up(&scene, address))
		compete(&scene);
	for (unsigned i = 0; i < CLIENTS; i++)
		hawser_client_free(scene.askers[i].client);
	event_base_loop(scene.base, EVLOOP_NONBLOCK);
	hawser_server_free(scene.server);
	event_base_free(scene.base);
	ck_assert_msg(!scene.is_wrong, "something was wrong that memory does not excuse");
	return scene.n_ok == 3;
}

START_TEST(every_allocation_may_fail)
{
	char directory[128] = "", address[ADDRESS_SIZE];

	if (_i == OVER_UNIX)
		directory_make(directory, sizeof directory);
	address_make(address, (enum transport)_i, directory);
	lines_start(HAWSER_LOG_NONE);
	ck_assert_uint_gt(failing_alloc_each(play, address), 40);
	lines_stop();
	if (directory[0])
		directory_remove(directory);
}
END_TEST

/* ---- a client that waits, against a server in a process of its own ---- */

static void no_one(const struct hawser_lease_resource *resource, void *data)
{
	(void)resource;
	(void)data;
}

static bool play_blocking(void *data)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct hawser_client *client = hawser_client_new(data, NULL, NULL);
	struct hawser_lease *lease = NULL;
	bool is_fine = false;
	enum hawser_status status;

	if (!client)
		return false;
	context.timeout_ms = 10000;
	status = hawser_lease_acquire(client, GUARDED, &lease, &context);
	ck_assert_int_ne(status, HAWSER_DEADLINE_EXCEEDED);
	ck_assert((status == HAWSER_OK) == (lease != NULL));
	if (lease) {
		is_fine = hawser_lease_holders(client, NULL, no_one, NULL, &context) == HAWSER_OK;
		is_fine &= hawser_lease_release(lease, &context) == HAWSER_OK;
		hawser_lease_free(lease);
	}
	hawser_context_clear(&context);
	hawser_client_free(client);
	return is_fine;
}

START_TEST(every_allocation_of_a_blocking_client_may_fail)
{
	struct guarded_child child;

	guarded_child_start(&child, (enum transport)_i, 0);
	lines_start(HAWSER_LOG_NONE);
	ck_assert_uint_gt(failing_alloc_each(play_blocking, child.address), 8);
	lines_stop();
	guarded_child_stop(&child);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/leases/alloc");
	TCase *tcase = suite_case(suite, "alloc");

	tcase_add_loop_test(tcase, every_allocation_may_fail, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, every_allocation_of_a_blocking_client_may_fail, 0, TRANSPORTS);
	return suite_run(suite);
}
