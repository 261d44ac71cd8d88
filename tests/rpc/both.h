/* A server and a client that serves, on one base and if wanted with a relay between them: what
 * happens at either end happens on the test's thread. */

#ifndef HAWSER_TESTS_RPC_BOTH_H
#define HAWSER_TESTS_RPC_BOTH_H

#include "caller.h"
#include "relay.h"

enum { BOTH_HELD_MOST = 64 };

/** One of the two, which is the data of its handlers. */
struct side {
	struct both *both;
	unsigned n_served; /* calls that its handlers took */
	struct hawser_call *held[BOTH_HELD_MOST];
	unsigned n_held;
};

struct both {
	struct event_base *base;
	struct hawser_server *server;
	struct hawser_client *client;
	struct hawser_peer *peer; /* a reference: as the server saw it last */
	struct relay relay;
	bool is_relayed;
	char directory[128];
	struct side at_server, at_client;
	void *data; /* the test's */
	/* Of the last call that ended. */
	unsigned n_done;
	enum hawser_status status;
	enum hawser_outcome outcome;
	char text[HAWSER_ERROR_MESSAGE_SIZE];
	int64_t number;
};

/** How they are; zero means as usual. */
struct both_setup {
	struct hawser_server_options *server; /* the base is set here */
	struct hawser_client_options *client;
	/* What each offers; NULL: what is below. */
	const struct rpctest_tester_service *of_server, *of_client;
	bool is_relayed;
	bool offers_nothing; /* the client, though it says hello */
};

/** Echo of both ends adds one to the number; Hold keeps the call, Fail fails. The server's remember
 * who called: `peer`. */
extern const struct rpctest_tester_service both_at_server, both_at_client;

/** `setup` may be NULL. They do not know each other yet. */
void both_start(struct both *both, int stamp, const struct both_setup *setup);
void both_stop(struct both *both);
/** Each may go before. */
void both_free_client(struct both *both);
void both_free_server(struct both *both);

/** The client calls the server, which gets to know it so; returns the peer, which stays `peer`. */
struct hawser_peer *both_meet(struct both *both);

/** The callback that fills the struct. */
void both_on_done(struct hawser_call *call, const Rpctest__Payload *reply_or_null, void *data);
/** Calls with that, on the client's end or on the peer's; waits for nothing. */
void both_call(struct both *both, struct hawser_client *client, enum method method, int64_t number,
	       const struct hawser_context *context);
/** And waits for its end. */
void both_call_and_wait(struct both *both, struct hawser_client *client, enum method method,
			int64_t number, const struct hawser_context *context);

/** One turn of the base, in which something happens. */
void both_turn(struct both *both);
#define both_until(both, condition)      \
	do {                             \
		while (!(condition))     \
			both_turn(both); \
	} while (0)

enum hawser_peer_state peer_state(struct hawser_peer *peer);

/** ck_assert that the last call failed so. */
#define both_assert_failed(both, expected_status, expected_outcome, part)                         \
	do {                                                                                      \
		ck_assert_msg((both)->status == (expected_status), "status %s instead of %s: %s", \
			      hawser_status_name((both)->status),                                 \
			      hawser_status_name(expected_status), (both)->text);                 \
		ck_assert_msg((both)->outcome == (expected_outcome),                              \
			      "outcome \"%s\" instead of \"%s\": %s",                             \
			      hawser_outcome_name((both)->outcome),                               \
			      hawser_outcome_name(expected_outcome), (both)->text);               \
		ck_assert_msg(strstr((both)->text, part), "\"%s\" does not say \"%s\"",           \
			      (both)->text, part);                                                \
	} while (0)
#define both_assert_ok(both)                                                                     \
	ck_assert_msg((both)->status == HAWSER_OK, "%s: %s", hawser_status_name((both)->status), \
		      (both)->text)

#endif /* HAWSER_TESTS_RPC_BOTH_H */
