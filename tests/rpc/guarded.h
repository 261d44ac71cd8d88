/* A server with something exclusive, and users who compete for it: clients on one event_base, so
 * that a test knows the order in which they come. */

#ifndef HAWSER_TESTS_RPC_GUARDED_H
#define HAWSER_TESTS_RPC_GUARDED_H

#include "relay.h"
#include "tester.h"
#include <event2/event.h>

#define GUARDED "rpctest.Guarded"
#define AIM "rpctest.Guarded/Aim"

enum { GUARDED_HELD_MAX = 64 };

struct guarded {
	struct tester tester;
	struct event_base *base; /* of the users */

	/* Under the tester's lock: calls of Hold that came. */
	struct hawser_call *held[GUARDED_HELD_MAX];
	uint64_t fencing[GUARDED_HELD_MAX];
	unsigned n_held, n_cancelled, n_moved;
	/* Handlers that run at this moment, and ever did together. */
	unsigned n_inside, n_inside_most;
};

/** Any of the options may be NULL; then those of the .proto stay. */
void guarded_prepare(struct guarded *guarded, enum transport transport,
		     const struct hawser_server_options *server,
		     const struct hawser_exclusive *exclusive);
void guarded_run(struct guarded *guarded);
/** Both. */
void guarded_start(struct guarded *guarded, enum transport transport,
		   const struct hawser_server_options *server,
		   const struct hawser_exclusive *exclusive);
void guarded_stop(struct guarded *guarded);
/** The call of Hold that came as number `index`, once it has. */
struct hawser_call *guarded_held(struct guarded *guarded, unsigned index);
/** Answers it. */
void guarded_answer(struct guarded *guarded, unsigned index);
unsigned guarded_n_held(struct guarded *guarded);
unsigned guarded_n_cancelled(struct guarded *guarded);

/** The server in a process of its own. */
struct guarded_child {
	pid_t pid;
	char address[ADDRESS_SIZE];
	char directory[128];
};
/** `window_ms`: for which it keeps sessions; 0: the default. */
void guarded_child_start(struct guarded_child *child, enum transport transport, unsigned window_ms);
void guarded_child_stop(struct guarded_child *child);

/** What a lease has told. */
struct user {
	struct guarded *guarded;
	struct hawser_client *client;
	struct hawser_lease *lease; /* NULL: none */
	unsigned n_told;
	enum hawser_lease_state state;
	unsigned position;
	uint64_t fencing;
	enum hawser_status status; /* when it is over */
	char text[HAWSER_ERROR_MESSAGE_SIZE];
	unsigned positions[16], n_positions; /* all that were told */
};

/** `options` may be NULL; its base and name are set here. */
void user_init(struct user *user, struct guarded *guarded, const char *address, const char *name,
	       const struct hawser_client_options *options);
void user_deinit(struct user *user);
/** Asks, and waits until it was told something. */
void user_ask(struct user *user, const char *resource, const struct hawser_context *context);
/** The same, and is in line at that position (0: holds it). */
void user_ask_for(struct user *user, unsigned position);
void user_free_lease(struct user *user);
/** Gives it back, and waits until that is so. */
void user_release(struct user *user);

/** A call that is under way, or has ended. */
struct visit {
	struct hawser_call *call;
	bool has_ended;
	enum hawser_status status;
	enum hawser_outcome outcome;
	char text[HAWSER_ERROR_MESSAGE_SIZE];
	uint64_t fencing;
	unsigned n_order; /* it ended as this one of all */
};

/** Methods of Guarded. */
enum { GUARDED_MOVE, GUARDED_HOLD, GUARDED_TRACK, GUARDED_AIM, GUARDED_LOOK };

/** Makes a unary call without waiting; `context` may be NULL. */
void visit_start(struct visit *visit, struct user *user, int method,
		 const struct hawser_context *context);
void visit_wait(struct visit *visit, struct user *user);
/** Both. */
void visit_make(struct visit *visit, struct user *user, int method);

/** Runs the base until the condition holds. */
#define run_until(guarded, condition)                         \
	do {                                                  \
		while (!(condition))                          \
			guarded_turn(guarded, !!(condition)); \
	} while (0)
void guarded_turn(struct guarded *guarded, bool is_done);

#define assert_held(user)                                                                    \
	do {                                                                                 \
		run_until((user)->guarded, (user)->state != HAWSER_LEASE_WAITING);           \
		ck_assert_msg((user)->state == HAWSER_LEASE_HELD, "over: %s", (user)->text); \
	} while (0)

#define assert_waits_at(user, expected)                                                    \
	do {                                                                               \
		run_until((user)->guarded, (user)->position == (expected) ||               \
						   (user)->state != HAWSER_LEASE_WAITING); \
		ck_assert_int_eq((user)->state, HAWSER_LEASE_WAITING);                     \
	} while (0)

#define assert_lost(user, expected, part)                                               \
	do {                                                                            \
		run_until((user)->guarded, (user)->state == HAWSER_LEASE_OVER);         \
		ck_assert_msg((user)->status == (expected), "%s: %s",                   \
			      hawser_status_name((user)->status), (user)->text);        \
		ck_assert_msg(strstr((user)->text, part), "\"%s\" does not say \"%s\"", \
			      (user)->text, part);                                      \
	} while (0)

#define assert_refused(visit, expected, expected_outcome, part)                          \
	do {                                                                             \
		ck_assert_msg((visit)->status == (expected), "%s: %s",                   \
			      hawser_status_name((visit)->status), (visit)->text);       \
		ck_assert_int_eq((visit)->outcome, expected_outcome);                    \
		ck_assert_msg(strstr((visit)->text, part), "\"%s\" does not say \"%s\"", \
			      (visit)->text, part);                                      \
	} while (0)

#endif /* HAWSER_TESTS_RPC_GUARDED_H */
