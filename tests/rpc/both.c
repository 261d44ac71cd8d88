/* The two ends and their handlers; both.h tells what for. */

#include "both.h"
#include <check.h>
#include <stdio.h>
#include <string.h>

/* ---- handlers ---- */

static void on_echo(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct side *side = data;
	Rpctest__Payload reply = *request;

	side->n_served++;
	reply.number++;
	rpctest_tester_echo_reply(call, &reply);
}

static void on_hold(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct side *side = data;

	(void)request;
	side->n_served++;
	if (side->n_held < BOTH_HELD_MOST)
		side->held[side->n_held++] = call;
}

static void on_fail(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct side *side = data;

	side->n_served++;
	rpctest_tester_fail_fail(call, (enum hawser_status)request->number, "as it was told");
}

static void note_peer(struct hawser_call *call, struct side *side)
{
	struct hawser_peer *peer = hawser_call_from(call);

	hawser_peer_unref(side->both->peer);
	side->both->peer = peer;
}

static void server_echo(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	note_peer(call, data);
	on_echo(call, request, data);
}

static void server_hold(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	note_peer(call, data);
	on_hold(call, request, data);
}

const struct rpctest_tester_service both_at_server = {
	.echo = server_echo,
	.hold = server_hold,
	.fail = on_fail,
};

const struct rpctest_tester_service both_at_client = {
	.echo = on_echo,
	.hold = on_hold,
	.fail = on_fail,
};

/* ---- life ---- */

static void start_server(struct both *both, int stamp, const struct both_setup *setup)
{
	struct hawser_server_options options = setup->server ? *setup->server : tester_options();
	struct hawser_error error = {.message = ""};
	char address[ADDRESS_SIZE];

	options.base = both->base;
	if (!options.name)
		options.name = "central";
	both->server = hawser_server_new(&options, &error);
	ck_assert_msg(both->server, "%s", error.message);
	if (transport_of(stamp) == OVER_UNIX)
		directory_make(both->directory, sizeof both->directory);
	address_make(address, transport_of(stamp), both->directory);
	ck_assert_int_eq(
		rpctest_tester_register(both->server,
					setup->of_server ? setup->of_server : &both_at_server,
					&both->at_server, &error),
		0);
	ck_assert_msg(hawser_server_listen(both->server, address, &error) == 0, "%s",
		      error.message);
}

static void start_client(struct both *both, const struct both_setup *setup, const char *address)
{
	static const struct hawser_label labels[] = {{"site", "lab-2"}, {"rack", "7"}};
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_error error = {.message = ""};

	if (setup->client)
		options = *setup->client;
	options.base = both->base;
	if (!options.max_backoff_ms)
		options.max_backoff_ms = 1;
	if (!options.name)
		options.name = "remote-7";
	if (!options.labels) {
		options.labels = labels;
		options.n_labels = 2;
	}
	if (!options.listens)
		options.listens = "tcp:10.0.0.7:7000";
	both->client = hawser_client_new(address, &options, &error);
	ck_assert_msg(both->client, "%s", error.message);
	if (!setup->offers_nothing)
		ck_assert_msg(
			rpctest_tester_offer(both->client,
					     setup->of_client ? setup->of_client : &both_at_client,
					     &both->at_client, &error) == 0,
			"%s", error.message);
}

void both_start(struct both *both, int stamp, const struct both_setup *setup)
{
	static const struct both_setup usual = {.server = NULL};
	const char *address;

	if (!setup)
		setup = &usual;
	memset(both, 0, sizeof *both);
	both->at_server.both = both->at_client.both = both;
	both->base = event_base_new();
	ck_assert_ptr_nonnull(both->base);
	start_server(both, stamp, setup);
	address = hawser_server_address(both->server, 0);
	both->is_relayed = setup->is_relayed;
	if (both->is_relayed) {
		relay_start(&both->relay, transport_of(stamp), address);
		address = both->relay.address;
	}
	start_client(both, setup, address);
}

static void answer_all(struct side *side)
{
	for (unsigned i = 0; i < side->n_held; i++)
		hawser_call_fail(side->held[i], HAWSER_ABORTED, "the test is over");
	side->n_held = 0;
}

void both_free_client(struct both *both)
{
	answer_all(&both->at_client);
	hawser_client_free(both->client);
	both->client = NULL;
}

void both_free_server(struct both *both)
{
	answer_all(&both->at_server);
	hawser_server_free(both->server);
	both->server = NULL;
}

void both_stop(struct both *both)
{
	both_free_client(both);
	both_free_server(both);
	hawser_peer_unref(both->peer);
	if (both->is_relayed)
		relay_stop(&both->relay);
	event_base_free(both->base);
	if (both->directory[0])
		directory_remove(both->directory);
}

/* ---- calls ---- */

void both_turn(struct both *both)
{
	ck_assert_int_eq(event_base_loop(both->base, EVLOOP_ONCE), 0);
}

void both_on_done(struct hawser_call *call, const Rpctest__Payload *reply_or_null, void *data)
{
	struct both *both = data;
	const struct hawser_error *error = hawser_call_error(call);

	both->n_done++;
	both->status = error->status;
	both->outcome = error->outcome;
	snprintf(both->text, sizeof both->text, "%s", error->message);
	both->number = reply_or_null ? reply_or_null->number : 0;
	hawser_call_free(call);
}

void both_call(struct both *both, struct hawser_client *client, enum method method, int64_t number,
	       const struct hawser_context *context)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	rpctest_tester_echo_cb *callback = both_on_done;

	request.number = number;
	ck_assert_ptr_nonnull(hawser_client_open(client, method_of(method), &request.base,
						 (hawser_any_fn *)callback, both, context));
}

void both_call_and_wait(struct both *both, struct hawser_client *client, enum method method,
			int64_t number, const struct hawser_context *context)
{
	unsigned n_done = both->n_done;

	both_call(both, client, method, number, context);
	both_until(both, both->n_done > n_done);
}

struct hawser_peer *both_meet(struct both *both)
{
	both_call_and_wait(both, both->client, ECHO, 100, NULL);
	both_assert_ok(both);
	ck_assert_int_eq(both->number, 101);
	ck_assert_ptr_nonnull(both->peer);
	return both->peer;
}

enum hawser_peer_state peer_state(struct hawser_peer *peer)
{
	struct hawser_peer_info info = {.size = sizeof info};

	hawser_peer_get_info(peer, &info);
	return info.state;
}
