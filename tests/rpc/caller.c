/* One face for both kinds of clients; caller.h tells what for. */

#include "caller.h"

#include "reversed.h"
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

void caller_init(struct caller *caller, const char *address, bool async,
		 const struct hawser_client_options *options)
{
	struct hawser_client_options own = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_error error;

	if (options)
		own = *options;
	memset(caller, 0, sizeof *caller);
	if (async) {
		caller->base = event_base_new();
		ck_assert_ptr_nonnull(caller->base);
	}
	own.base = caller->base;
	caller->client = hawser_client_new(address, &own, &error);
	ck_assert_msg(caller->client, "%s", error.message);
}

void caller_deinit(struct caller *caller)
{
	if (caller->reversed) {
		reversed_end_caller(caller);
		return;
	}
	hawser_client_free(caller->client);
	if (caller->base)
		event_base_free(caller->base);
}

void base_run_until(struct event_base *base, const unsigned *counter, unsigned value)
{
	while (*counter < value)
		ck_assert_msg(event_base_loop(base, EVLOOP_ONCE) == 0,
			      "the base has nothing left to wait for");
}

/* ---- results ---- */

static bool equal(const Rpctest__Payload *a, const Rpctest__Payload *b)
{
	return a->id == b->id && a->number == b->number && a->data.len == b->data.len &&
	       (a->data.len == 0 || memcmp(a->data.data, b->data.data, a->data.len) == 0) &&
	       strcmp(a->text, b->text) == 0 && strcmp(a->password, b->password) == 0;
}

static void take_reply(struct result *result, const Rpctest__Payload *request,
		       const Rpctest__Payload *reply)
{
	if (!reply)
		return;
	result->is_echo = equal(request, reply);
	result->id = reply->id;
	result->number = reply->number;
	result->data_length = reply->data.len;
}

static void take_extras(struct result *result, const struct hawser_metadata *metadata,
			size_t n_metadata, const struct hawser_detail *details, size_t n_details)
{
	ProtobufCMessage *message =
		hawser_details_unpack(details, n_details, &rpctest__why__descriptor);
	size_t length = 0;

	result->n_metadata = n_metadata;
	result->n_details = n_details;
	for (size_t i = 0; i < n_metadata && length < sizeof result->metadata; i++)
		length += (size_t)snprintf(
			result->metadata + length, sizeof result->metadata - length, "%s=%.*s;",
			metadata[i].key, (int)metadata[i].length, (const char *)metadata[i].value);
	if (message) {
		const Rpctest__Why *why = (const Rpctest__Why *)message;

		snprintf(result->why, sizeof result->why, "%s:%d", why->field, why->code);
		protobuf_c_message_free_unpacked(message, NULL);
	}
}

void result_take(struct result *result, struct hawser_call *call)
{
	size_t n_metadata, n_details;
	const struct hawser_metadata *metadata = hawser_call_metadata(call, &n_metadata);
	const struct hawser_detail *details = hawser_call_details(call, &n_details);

	result->n_ends++;
	result->error = *hawser_call_error(call);
	result->status = result->error.status;
	take_extras(result, metadata, n_metadata, details, n_details);
}

/* ---- asynchronous ---- */

static void on_end(struct hawser_call *call, const Rpctest__Payload *reply, void *data)
{
	struct async *async = data;
	struct result *result = &async->result;

	result_take(result, call);
	/* A reply comes with success and only then. */
	if ((result->status == HAWSER_OK) != (reply != NULL))
		result->n_ends += 100;
	take_reply(result, async->request, reply);
	if (!async->keeps) {
		hawser_call_free(call);
		async->call = NULL;
	}
	if (async->then)
		async->then(async);
}

void async_open(struct async *async, struct caller *caller, enum method method,
		const Rpctest__Payload *request, const struct hawser_context *context)
{
	rpctest_tester_echo_cb *callback = on_end;

	memset(&async->result, 0, sizeof async->result);
	async->request = request;
	async->call = hawser_client_open(caller->client, method_of(method), &request->base,
					 (hawser_any_fn *)callback, async, context);
	ck_assert_ptr_nonnull(async->call);
}

void async_wait(struct async *async, struct caller *caller)
{
	base_run_until(caller->base, &async->result.n_ends, 1);
}

/* ---- either ---- */

static void call_blocking(struct caller *caller, enum method method,
			  const Rpctest__Payload *request, struct hawser_context *context,
			  struct result *result)
{
	struct hawser_context own = HAWSER_CONTEXT_INIT;
	ProtobufCMessage *reply = NULL;

	if (!context)
		context = &own;
	result->status = hawser_client_call(caller->client, method_of(method), &request->base,
					    &reply, context);
	result->n_ends = 1;
	result->error = context->error;
	ck_assert_int_eq(result->status == HAWSER_OK, reply != NULL);
	take_reply(result, request, (const Rpctest__Payload *)reply);
	take_extras(result, context->reply_metadata, context->n_reply_metadata, context->details,
		    context->n_details);
	if (reply)
		protobuf_c_message_free_unpacked(reply, NULL);
	hawser_context_clear(context);
}

void caller_call(struct caller *caller, enum method method, const Rpctest__Payload *request,
		 struct hawser_context *context, struct result *result)
{
	struct async async = {.then = NULL};

	memset(result, 0, sizeof *result);
	if (!caller->base) {
		call_blocking(caller, method, request, context, result);
		return;
	}
	async_open(&async, caller, method, request, context);
	async_wait(&async, caller);
	*result = async.result;
	ck_assert_uint_eq(result->n_ends, 1);
}

void caller_order(struct caller *caller, struct tester *tester, tester_order_fn *order, void *data)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct result result;

	pthread_mutex_lock(&tester->lock);
	tester->order = order;
	tester->order_data = data;
	pthread_mutex_unlock(&tester->lock);
	caller_call(caller, ORDER, &request, NULL, &result);
	assert_ok(&result);
}

void caller_echo(struct caller *caller)
{
	static uint64_t next_id;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct result result;

	request.id = __atomic_add_fetch(&next_id, 1, __ATOMIC_RELAXED);
	request.text = (char *)"hello";
	caller_call(caller, ECHO, &request, NULL, &result);
	assert_ok(&result);
	ck_assert(result.is_echo);
}

void pair_start(struct pair *pair, int stamp, const struct hawser_server_options *server,
		const struct hawser_client_options *client)
{
	if (is_reversed(stamp)) {
		reversed_start(&pair->tester, &pair->caller, stamp, NULL, server, client);
		return;
	}
	tester_start(&pair->tester, transport_of(stamp), server);
	caller_init(&pair->caller, pair->tester.address, is_async(stamp), client);
}

void pair_stop(struct pair *pair)
{
	caller_deinit(&pair->caller);
	tester_stop(&pair->tester);
}
