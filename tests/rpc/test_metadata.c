/* Metadata both ways, details, and their limits. */

#include "caller.h"
#include "raw.h"
#include "support/suite.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAIRS = 64, BYTES = 8192, DETAILS = 16 };

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;
static char filler[BYTES + 1];

static void reflect(struct pair *pair, const struct hawser_metadata *metadata, size_t n,
		    struct result *result)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;

	context.metadata = metadata;
	context.n_metadata = n;
	caller_call(&pair->caller, REFLECT, &empty, &context, result);
}

START_TEST(metadata_go_and_come_in_order)
{
	static const struct hawser_metadata metadata[] = {{"trace-id", "abc", 3},
							  {"Empty", NULL, 0},
							  {"trace-id", "x=;", 3},
							  {"a_b.C-9", "1", 1}};
	struct result result;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	reflect(&pair, metadata, 4, &result);
	assert_ok(&result);
	ck_assert_uint_eq(result.n_metadata, 4);
	ck_assert_str_eq(result.metadata, "trace-id=abc;Empty=;trace-id=x=;;a_b.C-9=1;");
	reflect(&pair, NULL, 0, &result);
	assert_ok(&result);
	ck_assert_uint_eq(result.n_metadata, 0);
	pair_stop(&pair);
}
END_TEST

START_TEST(blocking_context_gives_any_bytes)
{
	static const char bytes[] = "\0\xff\n\0";
	struct hawser_metadata metadata = {"bytes", bytes, 4};
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Rpctest__Payload *reply;
	struct pair pair;

	pair_start(&pair, _i, NULL, NULL);
	context.metadata = &metadata;
	context.n_metadata = 1;
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(
			rpctest_tester_reflect(pair.caller.client, &empty, &reply, &context),
			HAWSER_OK);
		rpctest__payload__free_unpacked(reply, NULL);
		ck_assert_uint_eq(context.n_reply_metadata, 1);
		ck_assert_uint_eq(context.reply_metadata[0].length, 4);
		ck_assert_mem_eq(context.reply_metadata[0].value, bytes, 4);
		ck_assert_int_eq(context.error.status, HAWSER_OK);
	}
	hawser_context_clear(&context);
	ck_assert_uint_eq(context.n_reply_metadata, 0);
	pair_stop(&pair);
}
END_TEST

START_TEST(limits_of_requests_metadata)
{
	struct hawser_metadata metadata[PAIRS + 1];
	struct result result;
	struct pair pair;

	for (int i = 0; i <= PAIRS; i++)
		metadata[i] = (struct hawser_metadata){"key", "v", 1};
	pair_start(&pair, _i, NULL, NULL);
	reflect(&pair, metadata, PAIRS, &result);
	assert_ok(&result);
	ck_assert_uint_eq(result.n_metadata, PAIRS);
	reflect(&pair, metadata, PAIRS + 1, &result);
	assert_failed(&result, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_NOT_SENT,
		      "64 pairs or 8192 bytes");
	metadata[0] = (struct hawser_metadata){"key", filler, BYTES - 3};
	reflect(&pair, metadata, 1, &result);
	assert_ok(&result);
	metadata[0].length++;
	reflect(&pair, metadata, 1, &result);
	assert_failed(&result, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_NOT_SENT,
		      "64 pairs or 8192 bytes");
	caller_echo(&pair.caller);
	pair_stop(&pair);
}
END_TEST

START_TEST(bad_keys_are_refused)
{
	static const char *const keys[] = {"", "with space", "naïve", "a:b", "a=b", "a\nb", NULL};
	struct hawser_metadata metadata = {"", "v", 1};
	char long_key[130];
	struct result result;
	struct pair pair;

	memset(long_key, 'k', 129);
	long_key[129] = 0;
	pair_start(&pair, _i, NULL, NULL);
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		metadata.key = keys[i];
		reflect(&pair, &metadata, 1, &result);
		assert_failed(&result, HAWSER_INVALID_ARGUMENT, HAWSER_OUTCOME_NOT_SENT,
			      "metadata key");
	}
	metadata.key = long_key;
	reflect(&pair, &metadata, 1, &result);
	assert_failed(&result, HAWSER_INVALID_ARGUMENT, HAWSER_OUTCOME_NOT_SENT, "metadata key");
	long_key[128] = 0;
	reflect(&pair, &metadata, 1, &result);
	assert_ok(&result);
	reflect(&pair, NULL, 1, &result);
	ck_assert_int_eq(result.status, HAWSER_INVALID_ARGUMENT);
	pair_stop(&pair);
}
END_TEST

/* ---- at the handler ---- */

struct held_call {
	struct pair pair;
	struct async async;
	struct hawser_call *held;
};

/* A call that the callee holds, so that the test itself can be its handler. */
static void hold(struct held_call *held, int i, const struct hawser_context *context)
{
	pair_start(&held->pair, async_stamp(i), NULL, NULL);
	memset(&held->async, 0, sizeof held->async);
	held->async.keeps = true;
	async_open(&held->async, &held->pair.caller, HOLD, &empty, context);
	caller_echo(&held->pair.caller);
	held->held = tester_held(&held->pair.tester, 0);
}

static void let_go(struct held_call *held)
{
	hawser_call_free(held->async.call);
	pair_stop(&held->pair);
}

START_TEST(handler_finds_a_key_in_any_letter_case)
{
	static const struct hawser_metadata metadata[] = {{"Trace-ID", "1", 1},
							  {"trace-id", "2", 1}};
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	const struct hawser_metadata *found;
	struct held_call held;

	context.metadata = metadata;
	context.n_metadata = 2;
	hold(&held, _i, &context);
	found = hawser_call_find_metadata(held.held, "TRACE-id");
	ck_assert_ptr_nonnull(found);
	ck_assert_mem_eq(found->value, "1", 1);
	ck_assert_ptr_null(hawser_call_find_metadata(held.held, "trace"));
	ck_assert_ptr_null(hawser_call_find_metadata(held.held, NULL));
	ck_assert_ptr_null(hawser_call_find_metadata(NULL, "trace"));
	ck_assert_int_eq(hawser_call_fail(held.held, HAWSER_ABORTED, NULL), 0);
	async_wait(&held.async, &held.pair.caller);
	let_go(&held);
}
END_TEST

START_TEST(limits_of_replies_metadata)
{
	struct held_call held;

	hold(&held, _i, NULL);
	for (int i = 0; i < PAIRS; i++)
		ck_assert_int_eq(hawser_call_add_metadata(held.held, "k", "v", 1), 0);
	ck_assert_int_eq(hawser_call_add_metadata(held.held, "k", "v", 1), -EMSGSIZE);
	ck_assert_int_eq(hawser_call_add_metadata(held.held, "b d", "v", 1), -EINVAL);
	ck_assert_int_eq(hawser_call_add_metadata(held.held, NULL, "v", 1), -EINVAL);
	ck_assert_int_eq(hawser_call_add_metadata(held.held, "k", NULL, 1), -EINVAL);
	ck_assert_int_eq(rpctest_tester_hold_reply(held.held, &empty), 0);
	ck_assert_int_lt(hawser_call_add_metadata(held.held, "k", "v", 1), 0);
	async_wait(&held.async, &held.pair.caller);
	assert_ok(&held.async.result);
	ck_assert_uint_eq(held.async.result.n_metadata, PAIRS);
	let_go(&held);

	hold(&held, _i, NULL);
	ck_assert_int_eq(hawser_call_add_metadata(held.held, "k", filler, BYTES), -EMSGSIZE);
	ck_assert_int_eq(hawser_call_add_metadata(held.held, "k", filler, BYTES - 2), 0);
	ck_assert_int_eq(hawser_call_add_metadata(held.held, "k", "", 0), 0);
	ck_assert_int_eq(hawser_call_add_metadata(held.held, "k", "", 0), -EMSGSIZE);
	ck_assert_int_eq(rpctest_tester_hold_reply(held.held, &empty), 0);
	async_wait(&held.async, &held.pair.caller);
	assert_ok(&held.async.result);
	ck_assert_uint_eq(held.async.result.n_metadata, 2);
	let_go(&held);
}
END_TEST

START_TEST(limits_of_details)
{
	Rpctest__Why why = RPCTEST__WHY__INIT;
	struct held_call held;

	hold(&held, _i, NULL);
	for (int i = 0; i < DETAILS; i++) {
		why.code = i;
		ck_assert_int_eq(hawser_call_add_detail(held.held, &why.base), 0);
	}
	ck_assert_int_eq(hawser_call_add_detail(held.held, &why.base), -EMSGSIZE);
	ck_assert_int_eq(rpctest_tester_hold_fail(held.held, HAWSER_ABORTED, "why not"), 0);
	async_wait(&held.async, &held.pair.caller);
	assert_failed(&held.async.result, HAWSER_ABORTED, HAWSER_OUTCOME_EXECUTED, "why not");
	ck_assert_uint_eq(held.async.result.n_details, DETAILS);
	let_go(&held);

	hold(&held, _i, NULL);
	memset(filler, 'x', BYTES);
	why.field = filler;
	ck_assert_int_eq(hawser_call_add_detail(held.held, &why.base), -EMSGSIZE);
	filler[BYTES - 100] = 0;
	ck_assert_int_eq(hawser_call_add_detail(held.held, &why.base), 0);
	ck_assert_int_eq(hawser_call_add_detail(held.held, &why.base), -EMSGSIZE);
	/* Details explain failures: a success leaves them out. */
	ck_assert_int_eq(rpctest_tester_hold_reply(held.held, &empty), 0);
	async_wait(&held.async, &held.pair.caller);
	assert_ok(&held.async.result);
	ck_assert_uint_eq(held.async.result.n_details, 0);
	let_go(&held);
}
END_TEST

START_TEST(details_unpack_by_type)
{
	Rpctest__Why why = RPCTEST__WHY__INIT;
	Rpctest__Other other = RPCTEST__OTHER__INIT;
	const struct hawser_detail *details;
	ProtobufCMessage *message;
	struct held_call held;
	size_t n;

	hold(&held, _i, NULL);
	other.name = (char *)"first";
	why.code = 9;
	ck_assert_int_eq(hawser_call_add_detail(held.held, &other.base), 0);
	ck_assert_int_eq(hawser_call_add_detail(held.held, &why.base), 0);
	ck_assert_int_eq(rpctest_tester_hold_fail(held.held, HAWSER_ABORTED, NULL), 0);
	async_wait(&held.async, &held.pair.caller);
	details = hawser_call_details(held.async.call, &n);
	ck_assert_uint_eq(n, 2);
	ck_assert_str_eq(details[0].type, "rpctest.Other");
	message = hawser_details_unpack(details, n, &rpctest__why__descriptor);
	ck_assert_ptr_nonnull(message);
	ck_assert_int_eq(((Rpctest__Why *)message)->code, 9);
	protobuf_c_message_free_unpacked(message, NULL);
	ck_assert_ptr_null(hawser_details_unpack(details, n, &rpctest__payload__descriptor));
	ck_assert_ptr_null(hawser_details_unpack(details, 1, &rpctest__why__descriptor));
	ck_assert_ptr_null(hawser_details_unpack(NULL, 0, &rpctest__why__descriptor));
	ck_assert_ptr_null(hawser_details_unpack(details, n, NULL));
	let_go(&held);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/metadata");
	TCase *tcase = suite_case(suite, "metadata");

	memset(filler, 'x', BYTES);
	tcase_add_loop_test(tcase, metadata_go_and_come_in_order, 0, BOTH_WAYS);
	add_blocking(tcase, blocking_context_gives_any_bytes);
	tcase_add_loop_test(tcase, limits_of_requests_metadata, 0, BOTH_WAYS);
	tcase_add_loop_test(tcase, bad_keys_are_refused, 0, BOTH_WAYS);

	tcase = suite_case(suite, "handlers");
	tcase_add_loop_test(tcase, handler_finds_a_key_in_any_letter_case, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, limits_of_replies_metadata, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, limits_of_details, 0, 2 * TRANSPORTS);
	tcase_add_loop_test(tcase, details_unpack_by_type, 0, 2 * TRANSPORTS);
	return suite_run(suite);
}
