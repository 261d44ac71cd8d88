/* Calls under way and statistics; relayed.h tells what for. */

#include "relayed.h"

#include "reversed.h"
#include <check.h>
#include <poll.h>
#include <string.h>

struct hawser_client_options relayed_options(void)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;

	options.max_backoff_ms = 1;
	/* A blocking client that is not in a call looks up four times as often. */
	options.heartbeat_ms = 100;
	options.silence_timeout_ms = 30000;
	return options;
}

void relayed_start(struct relayed *relayed, int stamp, const struct hawser_server_options *server,
		   const struct hawser_client_options *client)
{
	struct hawser_client_options quick = relayed_options();

	if (is_reversed(stamp)) {
		reversed_start(&relayed->tester, &relayed->caller, stamp, &relayed->relay, server,
			       client ? client : &quick);
		return;
	}
	tester_start(&relayed->tester, transport_of(stamp), server);
	relay_start(&relayed->relay, transport_of(stamp), relayed->tester.address);
	caller_init(&relayed->caller, relayed->relay.address, is_async(stamp),
		    client ? client : &quick);
}

void relayed_stop(struct relayed *relayed)
{
	caller_deinit(&relayed->caller);
	relay_stop(&relayed->relay);
	tester_stop(&relayed->tester);
}

struct hawser_server_stats server_stats(struct tester *tester)
{
	struct hawser_server_stats stats = {.size = sizeof stats};

	if (tester->reversed)
		reversed_get_stats(tester->reversed, &stats);
	else
		hawser_server_get_stats(tester->server, &stats);
	return stats;
}

static void get_stats(struct hawser_client *client, void *data)
{
	hawser_client_get_stats(client, data);
}

struct hawser_client_stats client_stats(struct caller *caller)
{
	struct hawser_client_stats stats = {.size = sizeof stats};

	if (caller->reversed)
		reversed_do(caller->reversed, get_stats, &stats);
	else
		hawser_client_get_stats(caller->client, &stats);
	return stats;
}

uint64_t caller_log_bytes(struct relayed *relayed)
{
	return relayed->caller.reversed ? server_stats(&relayed->tester).log_bytes
					: client_stats(&relayed->caller).log_bytes;
}

uint64_t callee_log_bytes(struct relayed *relayed)
{
	return relayed->caller.reversed ? client_stats(&relayed->caller).log_bytes
					: server_stats(&relayed->tester).log_bytes;
}

static unsigned count_held(struct tester *tester)
{
	unsigned n;

	pthread_mutex_lock(&tester->lock);
	n = tester->n_held;
	pthread_mutex_unlock(&tester->lock);
	return n;
}

struct hawser_call *relayed_held(struct relayed *relayed, unsigned index)
{
	turn_until(&relayed->caller, count_held(&relayed->tester) > index);
	return tester_held(&relayed->tester, index);
}

void caller_turn(struct caller *caller)
{
	if (caller->base)
		event_base_loop(caller->base, EVLOOP_NONBLOCK);
	poll(NULL, 0, 1);
}

/* ---- calls under way ---- */

void pending_init(struct pending *pending, struct caller *caller, enum method method,
		  const Rpctest__Payload *request)
{
	memset(pending, 0, sizeof *pending);
	pending->caller = caller;
	pending->method = method;
	pending->request = request;
	pending->context = (struct hawser_context)HAWSER_CONTEXT_INIT;
}

static void *call(void *data)
{
	struct pending *pending = data;

	caller_call(pending->caller, pending->method, pending->request, &pending->context,
		    &pending->result);
	return NULL;
}

void pending_start(struct pending *pending)
{
	if (pending->caller->base)
		async_open(&pending->async, pending->caller, pending->method, pending->request,
			   &pending->context);
	else
		ck_assert_int_eq(pthread_create(&pending->thread, NULL, call, pending), 0);
}

void pending_call(struct pending *pending, struct caller *caller, enum method method,
		  const Rpctest__Payload *request)
{
	pending_init(pending, caller, method, request);
	pending_start(pending);
}

void pending_cancel(struct pending *pending)
{
	if (pending->caller->base)
		ck_assert_int_eq(hawser_call_cancel(pending->async.call), 0);
	else
		hawser_context_cancel(&pending->context);
}

void pending_wait(struct pending *pending)
{
	if (pending->caller->base) {
		async_wait(&pending->async, pending->caller);
		pending->result = pending->async.result;
	} else {
		pthread_join(pending->thread, NULL);
	}
	ck_assert_uint_eq(pending->result.n_ends, 1);
}
