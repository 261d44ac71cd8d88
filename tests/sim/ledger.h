/* The truth about every call, which no end of a real session could know.
 *
 * Both ends write down here what they do, and each entry is checked against what the other
 * end has written: that a call arrives once and runs once, that messages come once and in order,
 * that what the caller is told is what happened. Payloads are made of the call's number, so that
 * each byte can be told from any other call's. */

#ifndef HAWSER_TESTS_SIM_LEDGER_H
#define HAWSER_TESTS_SIM_LEDGER_H

#include "chance.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum call_kind {
	UNARY = 1,
	DOWN, /* the callee streams */
	UP,   /* the caller streams */
	CALL_KINDS = UP,
};

/** What the callee is to make of it. */
enum call_plan {
	SUCCEED,
	FAIL,     /* after it ran */
	REFUSE,   /* instead */
	TOO_LONG, /* the request, so that the session refuses it */
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
	size_t request_bytes;
	unsigned messages; /* up or down */
	unsigned window;   /* messages down before more are asked for */
	/* What the caller knows */
	uint64_t id, number; /* of the call, and of its frame in the log */
	uint8_t *frame;      /* there, until it is sent */
	size_t place;        /* among the client's open calls */
	enum call_ending ending;
	unsigned put_up, seen_down, granted;
	/* What happened at the callee's */
	unsigned arrived, executed;
};

struct ledger {
	struct call **calls;
	size_t count, room;
	uint64_t messages; /* streamed, that arrived */
};

void ledger_deinit(struct ledger *ledger);

struct call *ledger_call(struct ledger *ledger, struct chance *chance, bool may_be_large);

/** What a payload is part of. */
enum part { REQUEST = 1, REPLY, MESSAGE_DOWN, MESSAGE_UP };

/** A payload says which call it is of; it has so many bytes at least. */
enum { PAYLOAD_LEAST = 8 };

size_t payload_bytes(const struct call *call, enum part part, unsigned index);
void payload_fill(uint8_t *payload, const struct call *call, enum part part, unsigned index);
/** Fails unless every byte is as it was filled in. */
void payload_check(const uint8_t *payload, size_t length, const struct call *call, enum part part,
		   unsigned index);

/** The call that a request is of. */
struct call *ledger_arrived(struct ledger *ledger, uint64_t id, const uint8_t *payload,
			    size_t length);
void ledger_executed(struct call *call);
void ledger_ended(struct call *call, enum call_ending ending);
/** Nothing happens any more: is everything as the callers were told? */
void ledger_check(const struct ledger *ledger);

#endif /* HAWSER_TESTS_SIM_LEDGER_H */
