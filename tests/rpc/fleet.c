/* A server with a hub and its remotes; fleet.h gives the idea. */

#include "fleet.h"
#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* ---- what the hub tells ---- */

static void note(struct fleet *fleet, struct hawser_peer *peer, const char *what,
		 atomic_uint *count)
{
	const struct hawser_peer_info info = info_of(peer);
	size_t length;

	pthread_mutex_lock(&fleet->lock);
	snprintf(fleet->last, sizeof fleet->last, "%s", info.name);
	length = strlen(fleet->told);
	snprintf(fleet->told + length, sizeof fleet->told - length, "%s %s;", what, info.name);
	pthread_mutex_unlock(&fleet->lock);
	if (fleet->on_told)
		fleet->on_told(fleet, what, peer);
	atomic_fetch_add(count, 1);
}

#define TOLD(what)                                                  \
	static void on_##what(struct hawser_peer *peer, void *data) \
	{                                                           \
		struct fleet *fleet = data;                         \
                                                                    \
		note(fleet, peer, #what, &fleet->n_##what);         \
	}
TOLD(joined)
TOLD(away)
TOLD(back)
TOLD(changed)
TOLD(gone)

/* ---- what the remotes do ---- */

static void end_call(struct remote *remote)
{
	remote->n_running--;
	remote->fleet->n_running--;
}

static void on_cancel(struct hawser_call *call, void *data)
{
	struct remote *remote = data;

	remote->n_given_up++;
	if (remote->held == call)
		remote->held = NULL;
	hawser_call_fail(call, HAWSER_CANCELLED, NULL);
	end_call(remote);
}

static void serve(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct remote *remote = data;
	struct fleet *fleet = remote->fleet;
	Rpctest__Payload reply = RPCTEST__PAYLOAD__INIT;

	remote->n_served++;
	remote->id = request->id;
	remote->length = request->data.len;
	remote->n_running++;
	if (++fleet->n_running > fleet->n_running_most)
		fleet->n_running_most = fleet->n_running;
	if (fleet->holds) {
		remote->held = call;
		hawser_call_on_cancel(call, on_cancel, remote);
		return;
	}
	if (fleet->serves) {
		fleet->serves(remote, call);
	} else if (request->number < 0) {
		rpctest_tester_echo_fail(call, HAWSER_OUT_OF_RANGE, "%d", (int)request->number);
	} else {
		reply.number = request->number + 1;
		rpctest_tester_echo_reply(call, &reply);
	}
	end_call(remote);
}

static const struct rpctest_tester_service handlers = {.echo = serve};

void remote_answer(struct remote *remote)
{
	Rpctest__Payload reply = RPCTEST__PAYLOAD__INIT;

	ck_assert_ptr_nonnull(remote->held);
	ck_assert_int_eq(rpctest_tester_echo_reply(remote->held, &reply), 0);
	remote->held = NULL;
	end_call(remote);
}

/* The server's own. */
static void answer(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	(void)data;
	rpctest_tester_echo_reply(call, request);
}

static const struct rpctest_tester_service server_handlers = {.echo = answer};

/* ---- life ---- */

struct fleet_setup fleet_setup(void)
{
	const struct hawser_hub_options hub = HAWSER_HUB_OPTIONS_INIT;

	return (struct fleet_setup){.server = tester_options(), .hub = hub};
}

static void *run(void *data)
{
	hawser_server_run(data, NULL);
	return NULL;
}

void fleet_start(struct fleet *fleet, int stamp, const struct fleet_setup *setup)
{
	struct fleet_setup own = setup ? *setup : fleet_setup();
	struct hawser_error error = {.message = ""};
	char address[ADDRESS_SIZE];

	/* Of those that are refused and replaced here there is no need to warn. */
	hawser_log_set_level(HAWSER_LOG_ERROR);
	memset(fleet, 0, sizeof *fleet);
	pthread_mutex_init(&fleet->lock, NULL);
	own.hub.on_joined = on_joined;
	own.hub.on_away = on_away;
	own.hub.on_back = on_back;
	own.hub.on_changed = on_changed;
	own.hub.on_gone = on_gone;
	own.hub.data = fleet;
	fleet->base = event_base_new();
	own.server.base = own.loops ? NULL : fleet->base;
	own.server.loops = own.loops;
	fleet->server = hawser_server_new(&own.server, &error);
	ck_assert_msg(fleet->server, "%s", error.message);
	fleet->hub = hawser_hub_new(fleet->server, &own.hub, &error);
	ck_assert_msg(fleet->hub, "%s", error.message);
	ck_assert_int_eq(rpctest_tester_register(fleet->server, &server_handlers, fleet, &error),
			 0);
	directory_make(fleet->directory, sizeof fleet->directory);
	address_make(address, transport_of(stamp), fleet->directory);
	ck_assert_msg(hawser_server_listen(fleet->server, address, &error) == 0, "%s",
		      error.message);
	snprintf(fleet->address, sizeof fleet->address, "%s",
		 hawser_server_address(fleet->server, 0));
	fleet->has_relay = own.has_relay;
	if (own.has_relay) {
		relay_start(&fleet->relay, transport_of(stamp), fleet->address);
		snprintf(fleet->address, sizeof fleet->address, "%s", fleet->relay.address);
	}
	fleet->has_thread = own.loops > 0;
	if (fleet->has_thread)
		ck_assert_int_eq(pthread_create(&fleet->thread, NULL, run, fleet->server), 0);
}

void fleet_end_server(struct fleet *fleet)
{
	if (fleet->has_thread) {
		hawser_server_stop(fleet->server);
		pthread_join(fleet->thread, NULL);
	}
	hawser_server_free(fleet->server);
	fleet->server = NULL;
	fleet->hub = NULL;
	fleet->has_thread = false;
	/* Whoever has joined has gone. */
	ck_assert_uint_eq(fleet->n_gone, fleet->n_joined);
}

void fleet_stop(struct fleet *fleet)
{
	for (unsigned i = 0; i < fleet->n_remotes; i++) {
		struct remote *remote = &fleet->remotes[i];

		if (remote->held)
			hawser_call_fail(remote->held, HAWSER_CANCELLED, NULL);
		hawser_client_free(remote->client);
	}
	if (fleet->server)
		fleet_end_server(fleet);
	if (fleet->has_relay)
		relay_stop(&fleet->relay);
	event_base_free(fleet->base);
	directory_remove(fleet->directory);
	pthread_mutex_destroy(&fleet->lock);
}

void fleet_turn(struct fleet *fleet)
{
	/* Nothing on the base tells of what happens on other threads. */
	if (fleet->has_thread || fleet->has_relay) {
		event_base_loop(fleet->base, EVLOOP_NONBLOCK);
		poll(NULL, 0, 1);
	} else {
		ck_assert_msg(event_base_loop(fleet->base, EVLOOP_ONCE) == 0,
			      "the base has nothing left to wait for");
	}
}

void fleet_run_until(struct fleet *fleet, const atomic_uint *counter, unsigned value)
{
	fleet_until(fleet, atomic_load(counter) >= value);
}

/* ---- remotes ---- */

struct hawser_client_options remote_options(const char *name)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;

	options.name = name;
	options.max_backoff_ms = 1;
	return options;
}

struct remote *remote_add_with(struct fleet *fleet, struct hawser_client_options options)
{
	struct remote *remote = &fleet->remotes[fleet->n_remotes++];
	struct hawser_error error = {.message = ""};

	ck_assert_uint_le(fleet->n_remotes, REMOTES_MOST);
	remote->fleet = fleet;
	options.base = fleet->base;
	remote->client = hawser_client_new(fleet->address, &options, &error);
	ck_assert_msg(remote->client, "%s", error.message);
	ck_assert_int_eq(rpctest_tester_offer(remote->client, &handlers, remote, NULL), 0);
	ck_assert_int_eq(hawser_client_connect(remote->client, NULL), 0);
	return remote;
}

struct remote *remote_add(struct fleet *fleet, const char *name, const char *site)
{
	struct hawser_client_options options = remote_options(name);
	const struct hawser_label label = {"site", site};

	options.labels = &label;
	options.n_labels = site != NULL;
	return remote_add_with(fleet, options);
}

void remotes_add(struct fleet *fleet, unsigned count)
{
	unsigned before = fleet->n_joined;

	for (unsigned i = 0; i < count; i++) {
		char name[32];

		snprintf(name, sizeof name, "remote-%u", fleet->n_remotes);
		remote_add(fleet, name, fleet->n_remotes % 2 ? "east" : "west");
	}
	fleet_run_until(fleet, &fleet->n_joined, before + count);
}

void remote_end(struct remote *remote)
{
	hawser_client_free(remote->client);
	remote->client = NULL;
}

bool remote_is_connected(const struct remote *remote)
{
	struct hawser_client_stats stats = {.size = sizeof stats};

	hawser_client_get_stats(remote->client, &stats);
	return stats.is_connected;
}

static void on_settled(struct hawser_call *call, const Rpctest__Payload *reply_or_null, void *data)
{
	unsigned *n_left = data;

	(void)reply_or_null;
	(*n_left)--;
	hawser_call_free(call);
}

/* What either end of a session says comes in order. */
void fleet_settle(struct fleet *fleet)
{
	const Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	unsigned n_left = 0;

	for (unsigned i = 0; i < fleet->n_remotes; i++) {
		struct hawser_client *client = fleet->remotes[i].client;

		if (client && remote_is_connected(&fleet->remotes[i]) &&
		    rpctest_tester_echo_async(client, &request, on_settled, &n_left, NULL))
			n_left++;
	}
	fleet_until(fleet, n_left == 0);
}

/* ---- members ---- */

struct hawser_peer *member_of(struct fleet *fleet, const char *name)
{
	struct hawser_peer *peer = hawser_hub_find(fleet->hub, name);

	ck_assert_msg(peer, "there is no member %s", name);
	return peer;
}

struct hawser_peer_info info_of(struct hawser_peer *peer)
{
	struct hawser_peer_info info = {.size = sizeof info};

	hawser_peer_get_info(peer, &info);
	return info;
}

/* ---- broadcasts ---- */

static void on_end(struct hawser_peer *peer, const ProtobufCMessage *reply_or_null,
		   const struct hawser_error *error, void *data)
{
	struct fleet *fleet = data;

	pthread_mutex_lock(&fleet->lock);
	if (reply_or_null) {
		fleet->sum += ((const Rpctest__Payload *)reply_or_null)->number;
	} else {
		fleet->status = error->status;
		fleet->outcome = error->outcome;
		snprintf(fleet->text, sizeof fleet->text, "%s", error->message);
	}
	pthread_mutex_unlock(&fleet->lock);
	if (fleet->on_end)
		fleet->on_end(fleet, peer);
	atomic_fetch_add(&fleet->n_ends, 1);
}

static void on_done(size_t n_replies, size_t n_failed, void *data)
{
	struct fleet *fleet = data;

	pthread_mutex_lock(&fleet->lock);
	fleet->n_replies = n_replies;
	fleet->n_failed = n_failed;
	pthread_mutex_unlock(&fleet->lock);
	if (fleet->on_end)
		fleet->on_end(fleet, NULL);
	atomic_fetch_add(&fleet->n_done, 1);
}

int broadcast(struct fleet *fleet, const struct hawser_hub_filter *filter,
	      const Rpctest__Payload *request, const struct hawser_broadcast_options *options)
{
	const Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

	return hawser_hub_broadcast(fleet->hub, filter, method_of(ECHO),
				    request ? &request->base : &empty.base, options, on_end,
				    on_done, fleet, NULL);
}

void broadcast_wait(struct fleet *fleet, unsigned count)
{
	fleet_run_until(fleet, &fleet->n_done, count);
}
