/* A client in front of a server by hand, whose part is played by a function on another thread. */

#ifndef HAWSER_TESTS_RPC_STAGE_H
#define HAWSER_TESTS_RPC_STAGE_H

#include "caller.h"
#include "raw.h"

struct stage {
	char address[ADDRESS_SIZE], directory[128];
	int listener;
	pthread_t thread;
	struct raw_session session;
	struct caller caller;
	atomic_bool is_prepared; /* by the test, for a part that waits for that */
	/* What the part saw. */
	struct raw_session asked[4];
	unsigned n_overdrawn; /* messages for which there was no window */
};

/** The part is given the stage. `options` may be NULL: relayed_options(). */
void stage_start(struct stage *stage, int stamp, void *(*part)(void *),
		 const struct hawser_client_options *options);
/** The part must have ended, or end once the client is gone. */
void stage_stop(struct stage *stage);
/** The client makes a call and waits for its end. */
void stage_call(struct stage *stage, struct result *result);

/* For parts. */

/** The next connection, whose open is noted as number `n`. */
int stage_enter(struct stage *stage, unsigned n);
/** Waits for a call and returns its id; 0: the client has gone. Other frames are dropped. */
uint64_t stage_take_call(int fd);
void stage_answer(int fd, uint64_t id);
/** Answers whatever is asked until the client goes. */
void stage_serve(int fd);

#endif /* HAWSER_TESTS_RPC_STAGE_H */
