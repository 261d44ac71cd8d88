/* Both kinds of clients behind one function, so that one body tests them both.
 *
 * A test that is stamped runs for each transport with each kind of client: it is
 * added with tcase_add_loop_test(…, 0, STAMPS) and hands its _i to pair_start(). With BOTH_WAYS
 * instead of STAMPS it runs once more for each of them with a server that calls a client: see
 * reversed.h. */

#ifndef HAWSER_TESTS_RPC_CALLER_H
#define HAWSER_TESTS_RPC_CALLER_H

#include "tester.h"
#include <event2/event.h>

enum { STAMPS = 2 * TRANSPORTS, BOTH_WAYS = 2 * STAMPS };

/** A stamp whose caller blocks, or does not: 0 to 2 * TRANSPORTS, both ways. */
static inline int blocking_stamp(int i)
{
	return i / TRANSPORTS * STAMPS + i % TRANSPORTS;
}
static inline int async_stamp(int i)
{
	return blocking_stamp(i) + TRANSPORTS;
}

/** For those that are about one kind of caller: in both directions. */
#define add_blocking(tcase, test)                                              \
	do {                                                                   \
		tcase_add_loop_test(tcase, test, 0, TRANSPORTS);               \
		tcase_add_loop_test(tcase, test, STAMPS, STAMPS + TRANSPORTS); \
	} while (0)
#define add_async(tcase, test)                                                    \
	do {                                                                      \
		tcase_add_loop_test(tcase, test, TRANSPORTS, STAMPS);             \
		tcase_add_loop_test(tcase, test, STAMPS + TRANSPORTS, BOTH_WAYS); \
	} while (0)

struct caller {
	struct hawser_client *client; /* in the other direction that of a peer */
	struct event_base *base;      /* NULL: it blocks */
	struct reversed *reversed;    /* NULL: a client calls a server */
};

/** How a call ended and what came with it. */
struct result {
	unsigned n_ends; /* how often: 1 */
	enum hawser_status status;
	struct hawser_error error;
	bool is_echo; /* the reply equals the request */
	uint64_t id;
	int64_t number;
	size_t data_length;
	size_t n_metadata, n_details;
	char metadata[512]; /* "key=value;" of each pair, cut */
	char why[64];       /* "field:code" of the detail; empty: none */
};

static inline enum transport transport_of(int stamp)
{
	return (enum transport)(stamp % TRANSPORTS);
}

static inline bool is_async(int stamp)
{
	return stamp / TRANSPORTS & 1;
}

static inline bool is_reversed(int stamp)
{
	return stamp >= STAMPS;
}

/** `options` may be NULL; its base is set here. */
void caller_init(struct caller *caller, const char *address, bool async,
		 const struct hawser_client_options *options);
void caller_deinit(struct caller *caller);

/** Calls a unary method and waits for its end. The context is the options'; `result` has the rest.
 */
void caller_call(struct caller *caller, enum method method, const Rpctest__Payload *request,
		 struct hawser_context *context, struct result *result);

/** What a client's call that has ended says of it, but for its reply. */
void result_take(struct result *result, struct hawser_call *call);

/** Has the server do that on its loop, and waits until it is done. */
void caller_order(struct caller *caller, struct tester *tester, tester_order_fn *order, void *data);

/** An Echo that must succeed. */
void caller_echo(struct caller *caller);

/** Runs the base until the counter has reached the value. */
void base_run_until(struct event_base *base, const unsigned *counter, unsigned value);

/** Both ends of a test. */
struct pair {
	struct tester tester;
	struct caller caller;
};

void pair_start(struct pair *pair, int stamp, const struct hawser_server_options *server,
		const struct hawser_client_options *client);
void pair_stop(struct pair *pair);

/** A call under way on an asynchronous client. */
struct async {
	struct hawser_call *call;
	const Rpctest__Payload *request;
	struct result result;
	/** Runs inside the callback, after the result is filled. May be NULL. */
	void (*then)(struct async *async);
	void *data;
	bool keeps; /* whoever opened it frees it, not the callback */
};

/** Opens it; the result is filled when it ends. */
void async_open(struct async *async, struct caller *caller, enum method method,
		const Rpctest__Payload *request, const struct hawser_context *context);
void async_wait(struct async *async, struct caller *caller);

/** ck_assert that a call failed so, with a text that has `part`. */
#define assert_failed(result, expected_status, expected_outcome, part)                             \
	do {                                                                                       \
		ck_assert_msg((result)->status == (expected_status),                               \
			      "status %s instead of %s: %s", hawser_status_name((result)->status), \
			      hawser_status_name(expected_status), (result)->error.message);       \
		ck_assert_int_eq((result)->error.status, (expected_status));                       \
		ck_assert_msg((result)->error.outcome == (expected_outcome),                       \
			      "outcome \"%s\" instead of \"%s\": %s",                              \
			      hawser_outcome_name((result)->error.outcome),                        \
			      hawser_outcome_name(expected_outcome), (result)->error.message);     \
		ck_assert_msg(strstr((result)->error.message, part), "\"%s\" does not say \"%s\"", \
			      (result)->error.message, part);                                      \
	} while (0)

/** ck_assert that a call succeeded. */
#define assert_ok(result)                                      \
	ck_assert_msg((result)->status == HAWSER_OK, "%s: %s", \
		      hawser_status_name((result)->status), (result)->error.message)

#endif /* HAWSER_TESTS_RPC_CALLER_H */
