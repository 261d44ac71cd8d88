/* Both ends of a test with a relay between them, and calls that are under way meanwhile. */

#ifndef HAWSER_TESTS_RPC_RELAYED_H
#define HAWSER_TESTS_RPC_RELAYED_H

#include "caller.h"
#include "relay.h"

struct relayed {
	struct tester tester;
	struct relay relay;
	struct caller caller;
};

/** Options of a client that comes back without long pauses. */
struct hawser_client_options relayed_options(void);

/** Any of the options may be NULL; the client's are relayed_options() then. */
void relayed_start(struct relayed *relayed, int stamp, const struct hawser_server_options *server,
		   const struct hawser_client_options *client);
void relayed_stop(struct relayed *relayed);

/** Those of the server and of the client, whichever of them calls; what is said of calls is the
 * callee's. */
struct hawser_server_stats server_stats(struct tester *tester);
struct hawser_client_stats client_stats(struct caller *caller);

/** The call that the server holds as number `index`, once it has come. */
struct hawser_call *relayed_held(struct relayed *relayed, unsigned index);

/** Which way the caller's bytes go, and its callee's. */
static inline enum relay_end from_caller(int stamp)
{
	return is_reversed(stamp) ? FROM_SERVER : FROM_CLIENT;
}
static inline enum relay_end from_callee(int stamp)
{
	return is_reversed(stamp) ? FROM_CLIENT : FROM_SERVER;
}

/** What waits in the caller's log, and in its callee's. */
uint64_t caller_log_bytes(struct relayed *relayed);
uint64_t callee_log_bytes(struct relayed *relayed);

/** A moment in which the client, if it has a base, does what there is to do. */
void caller_turn(struct caller *caller);

/** Lets the client go on until something is so, which nothing else tells of. */
#define turn_until(caller, condition)        \
	do {                                 \
		while (!(condition))         \
			caller_turn(caller); \
	} while (0)

/** A call that is under way while the test does something else, with either kind of client. */
struct pending {
	struct caller *caller;
	enum method method;
	const Rpctest__Payload *request;
	struct hawser_context context; /* to be set between init and start */
	struct result result;
	struct async async;
	pthread_t thread;
};

void pending_init(struct pending *pending, struct caller *caller, enum method method,
		  const Rpctest__Payload *request);
void pending_start(struct pending *pending);
/** All three: an Echo or the like, with the defaults. */
void pending_call(struct pending *pending, struct caller *caller, enum method method,
		  const Rpctest__Payload *request);
/** Cancels it. */
void pending_cancel(struct pending *pending);
/** Waits for its end; the result is filled. */
void pending_wait(struct pending *pending);

#endif /* HAWSER_TESTS_RPC_RELAYED_H */
