/* Entries and what they must not contradict; ledger.h says what for. */

#include "ledger.h"

#include "report.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void ledger_deinit(struct ledger *ledger)
{
	for (size_t i = 0; i < ledger->count; i++)
		free(ledger->calls[i]);
	free(ledger->calls);
	*ledger = (struct ledger){0};
}

static enum call_plan some_plan(struct chance *chance, bool has_too_long)
{
	unsigned which = (unsigned)chance_below(chance, 100);

	if (which < 3)
		return FAIL;
	if (which < 5)
		return ABORT;
	if (which < 8)
		return REFUSE;
	return has_too_long && which == 8 ? TOO_LONG : SUCCEED;
}

static enum call_kind some_kind(struct chance *chance)
{
	unsigned which = (unsigned)chance_below(chance, 100);

	return which < 55 ? UNARY : which < 77 ? DOWN : which < 92 ? UP : BOTH;
}

static unsigned some_messages(struct chance *chance, const struct call *call)
{
	return (unsigned)chance_scaled(chance, call->is_large ? 12 : 60);
}

/* In one frame, or in pieces. */
static size_t too_long(struct chance *chance, const struct call *call)
{
	return call->is_large ? (size_t)PAYLOAD_MOST + chance_between(chance, 1, 100000)
			      : (size_t)chance_between(chance, 87000, 90000);
}

struct call *ledger_call(struct ledger *ledger, struct chance *chance, bool has_too_long,
			 bool has_large)
{
	struct call *call = calloc(1, sizeof *call);

	if (ledger->count == ledger->room) {
		ledger->room = ledger->room ? 2 * ledger->room : 256;
		ledger->calls = realloc(ledger->calls, ledger->room * sizeof *ledger->calls);
	}
	must(call && ledger->calls, "out of memory");
	ledger->calls[ledger->count++] = call;
	call->serial = ledger->count;
	call->plan = some_plan(chance, has_too_long);
	call->kind = call->plan == TOO_LONG ? UNARY : some_kind(chance);
	call->is_large = has_large && chance_percent(chance, 30);
	if (call_streams_down(call))
		call->downs = some_messages(chance, call);
	if (call_streams_up(call))
		call->ups = some_messages(chance, call);
	if (call->plan == TOO_LONG)
		call->request_bytes = too_long(chance, call);
	else
		call->request_bytes = payload_some_length(chance, call->is_large && !call->ups);
	if (call->request_bytes < REQUEST_LEAST)
		call->request_bytes = REQUEST_LEAST;
	return call;
}

/* ---- entries ---- */

struct call *ledger_find(const struct ledger *ledger, const uint8_t *payload, size_t length)
{
	uint64_t serial;

	if (length < sizeof serial)
		return NULL;
	memcpy(&serial, payload, sizeof serial);
	return serial && serial <= ledger->count ? ledger->calls[serial - 1] : NULL;
}

void ledger_arrived(struct call *call, uint64_t id)
{
	must(call->id == id, "call %" PRIu64 " arrives with id %" PRIu64 ", not %" PRIu64,
	     call->serial, id, call->id);
	must(call->ending != NOT_SENT, "call %" PRIu64 " was not sent, but arrives", call->serial);
	must(++call->arrived == 1, "call %" PRIu64 " arrives a second time", call->serial);
	trace("call %" PRIu64 " (id %" PRIu64 ") arrives", call->serial, id);
}

void ledger_executed(struct call *call)
{
	must(call->arrived == 1, "call %" PRIu64 " is executed and has not come", call->serial);
	must(++call->executed == 1, "call %" PRIu64 " is executed twice", call->serial);
	must(call->ending != NOT_SENT && call->ending != NOT_EXECUTED,
	     "call %" PRIu64 " is executed, its caller was told that it is not", call->serial);
	trace("call %" PRIu64 " is executed", call->serial);
}

static const char *ending_name(enum call_ending ending)
{
	static const char *const names[] = {"nothing yet", "ok",       "executed", "not executed",
					    "cancelled",   "not sent", "unknown"};

	return names[ending];
}

static bool is_true(const struct call *call)
{
	switch (call->ending) {
	case OK:
	case EXECUTED:
		return call->executed == 1;
	case NOT_EXECUTED:
		return call->executed == 0;
	case NOT_SENT:
		return call->arrived == 0;
	case CANCELLED:
	case UNKNOWN:
		return call->executed <= 1;
	default:
		return false;
	}
}

void ledger_ended(struct call *call, enum call_ending ending)
{
	must(call->ending == NOTHING_YET, "call %" PRIu64 " ends as %s, it has ended as %s",
	     call->serial, ending_name(ending), ending_name(call->ending));
	call->ending = ending;
	must(is_true(call), "call %" PRIu64 " ends as %s, but arrived %u and was executed %u times",
	     call->serial, ending_name(ending), call->arrived, call->executed);
	trace("call %" PRIu64 " ends: %s", call->serial, ending_name(ending));
}

void ledger_check(const struct ledger *ledger)
{
	for (size_t i = 0; i < ledger->count; i++) {
		const struct call *call = ledger->calls[i];

		must(is_true(call),
		     "in the end call %" PRIu64 " has ended as %s, arrived %u and was executed %u "
		     "times",
		     call->serial, ending_name(call->ending), call->arrived, call->executed);
	}
}
