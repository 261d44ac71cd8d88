/* A conversation as it is driven: the input as a program, the two ends, and the operations.
 *
 * One of the ends is Hawser's, a server or an asynchronous client on the fuzzer's own event base;
 * the other is the peer of peer.h. */

#ifndef HAWSER_TESTS_FUZZ_PROGRAM_H
#define HAWSER_TESTS_FUZZ_PROGRAM_H

#include "peer.h"
#include <event2/event.h>

enum { WINDOW_MS = 30000 };

struct fuzz {
	struct event_base *base;
	/* One of them is there. */
	struct hawser_server *server;
	struct hawser_client *client;
	struct peer peer;
	/* The program: how things are, and then operations. */
	uint8_t settings[6];
	const uint8_t *input, *input_end;
	size_t budget;          /* bytes of messages that it may still ask for */
	unsigned until_failure; /* allocations until one fails; 0: none does */
};

extern struct fuzz fuzz;

/* ---- the input ---- */

/** 0 behind its end. */
uint8_t program_next(void);
/** Of a message, as long as there is a budget. */
size_t program_size(void);
/** NULL: none was ever begun. */
struct talk *program_talk(void);

/* ---- ends.c: the two ends ---- */

/** Once in a process. */
void ends_init(void);
void ends_begin(void);
/** Frees Hawser's, in whatever state it is. */
void ends_end(void);
void ends_connect_client(void);
/** The peer writes up to so much, Hawser does what there is to do, the peer reads. Returns whether
 * something came. */
bool ends_pump(size_t most);
/** As a server the peer lets the client in. */
void ends_answer_open(bool goes_on);
/** The connection is gone, in one of many ways, and another one is made. */
void ends_break(uint8_t how);

/* ---- rightly.c: what a peer may do; wrong operands are left out ---- */

/** Whether the peer may send messages on it. */
bool program_may_stream(const struct talk *talk);

void do_call(void);
void do_message(void);
void do_last(void);
void do_window(void);
void do_cancel(void);
void do_end(void);
void do_time(void);
void do_close(void);

/* ---- wrongly.c: what it should not ---- */

void do_odd(void);
void do_wrong(void);
void do_raw(void);

#endif /* HAWSER_TESTS_FUZZ_PROGRAM_H */
