/* The truth about every call, which no end of a real session could know.
 *
 * Both ends write down here what they do, and each entry is checked against what the other
 * end has written: that a call arrives once and runs once, that messages come once and in order,
 * that what the caller is told is what happened. Payloads are made of the call's number, so that
 * each byte can be told from any other call's. */

#ifndef HAWSER_TESTS_SIM_LEDGER_H
#define HAWSER_TESTS_SIM_LEDGER_H

#include "stream.h"
#include "wire/outbox.h"

enum call_kind {
	UNARY = 1,
	DOWN, /* the callee streams */
	UP,   /* the caller streams */
	BOTH, /* at the same time */
};

/** What the callee is to make of it. */
enum call_plan {
	SUCCEED,
	FAIL,     /* after it ran */
	ABORT,    /* in the middle of it */
	REFUSE,   /* instead */
	TOO_LONG, /* the request, so that it is refused */
};

/** What the caller was told. */
enum call_ending {
	NOTHING_YET,
	OK,
	EXECUTED,
	NOT_EXECUTED,
	CANCELLED, /* it did not want to know any more */
	NOT_SENT,
	UNKNOWN, /* the session is gone */
};

struct call {
	uint64_t serial; /* from 1 on, of all clients */
	enum call_kind kind;
	enum call_plan plan;
	bool is_large; /* what it says may need pieces */
	size_t request_bytes;
	unsigned ups, downs; /* messages */
	/* What the caller knows */
	uint64_t id, number; /* of the call, and of its frame in the log */
	uint8_t *frame;      /* there, until it is sent */
	size_t place;        /* among the client's open calls */
	enum call_ending ending;
	struct sender up;
	struct receiver down;
	/* What happened at the callee's */
	unsigned arrived, executed;
};

/** Whether its request comes behind it. */
static inline bool call_is_announced(const struct call *call)
{
	return call->request_bytes > HAWSER__PIECE_BYTES && call->is_large;
}
static inline bool call_streams_up(const struct call *call)
{
	return call->kind == UP || call->kind == BOTH;
}
static inline bool call_streams_down(const struct call *call)
{
	return call->kind == DOWN || call->kind == BOTH;
}

struct ledger {
	struct call **calls;
	size_t count, room;
	uint64_t messages; /* streamed, that arrived */
};

void ledger_deinit(struct ledger *ledger);

struct call *ledger_call(struct ledger *ledger, struct chance *chance, bool has_too_long,
			 bool has_large);

/** The call whose request this is; NULL: it cannot be told. */
struct call *ledger_find(const struct ledger *ledger, const uint8_t *payload, size_t length);
/** It has come, under this id. */
void ledger_arrived(struct call *call, uint64_t id);
void ledger_executed(struct call *call);
void ledger_ended(struct call *call, enum call_ending ending);
/** Nothing happens any more: is everything as the callers were told? */
void ledger_check(const struct ledger *ledger);

#endif /* HAWSER_TESTS_SIM_LEDGER_H */
