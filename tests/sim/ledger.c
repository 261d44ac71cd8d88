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

/* Most are small, some fill a chunk, a few need one of their own. */
static size_t some_length(struct chance *chance)
{
	unsigned which = (unsigned)chance_below(chance, 200);

	if (which == 0)
		return chance_between(chance, PAYLOAD_LEAST, 20000);
	return chance_between(chance, PAYLOAD_LEAST, which < 20 ? 700 : 60);
}

static enum call_plan some_plan(struct chance *chance, bool may_be_large)
{
	unsigned which = (unsigned)chance_below(chance, 100);

	if (which < 3)
		return FAIL;
	if (which < 6)
		return REFUSE;
	return may_be_large && which == 6 ? TOO_LONG : SUCCEED;
}

struct call *ledger_call(struct ledger *ledger, struct chance *chance, bool may_be_large)
{
	struct call *call = calloc(1, sizeof *call);

	if (ledger->count == ledger->room) {
		ledger->room = ledger->room ? 2 * ledger->room : 256;
		ledger->calls = realloc(ledger->calls, ledger->room * sizeof *ledger->calls);
	}
	must(call && ledger->calls, "out of memory");
	ledger->calls[ledger->count++] = call;
	call->serial = ledger->count;
	call->plan = some_plan(chance, may_be_large);
	call->kind = chance_percent(chance, 60) ? UNARY : chance_percent(chance, 60) ? DOWN : UP;
	if (call->plan == TOO_LONG)
		call->kind = UNARY;
	if (call->kind != UNARY)
		call->messages = (unsigned)chance_scaled(chance, 60);
	call->window = (unsigned)chance_scaled(chance, 40);
	call->request_bytes =
		call->plan == TOO_LONG ? chance_between(chance, 87000, 90000) : some_length(chance);
	return call;
}

/* ---- payloads ---- */

size_t payload_bytes(const struct call *call, enum part part, unsigned index)
{
	struct chance chance = {call->serial * 1000003 + part * 1009 + index};

	return part == REQUEST ? call->request_bytes : some_length(&chance);
}

static uint64_t word(const struct call *call, enum part part, unsigned index, size_t at)
{
	return chance_mix(call->serial << 32 ^ (uint64_t)part << 24 ^ (uint64_t)index << 40 ^ at);
}

void payload_fill(uint8_t *payload, const struct call *call, enum part part, unsigned index)
{
	size_t length = payload_bytes(call, part, index);

	memcpy(payload, &call->serial, sizeof call->serial);
	for (size_t at = sizeof call->serial; at < length; at += sizeof(uint64_t)) {
		uint64_t bytes = word(call, part, index, at);

		memcpy(payload + at, &bytes,
		       length - at < sizeof bytes ? length - at : sizeof bytes);
	}
}

void payload_check(const uint8_t *payload, size_t length, const struct call *call, enum part part,
		   unsigned index)
{
	must(length == payload_bytes(call, part, index) &&
		     !memcmp(payload, &call->serial, sizeof call->serial),
	     "call %" PRIu64 ": %zu bytes of payload are another's than part %d, index %u",
	     call->serial, length, part, index);
	for (size_t at = sizeof call->serial; at < length; at += sizeof(uint64_t)) {
		uint64_t bytes = word(call, part, index, at);

		must(!memcmp(payload + at, &bytes,
			     length - at < sizeof bytes ? length - at : sizeof bytes),
		     "call %" PRIu64 ": the payload is damaged at byte %zu", call->serial, at);
	}
}

/* ---- entries ---- */

struct call *ledger_arrived(struct ledger *ledger, uint64_t id, const uint8_t *payload,
			    size_t length)
{
	struct call *call;
	uint64_t serial;

	must(length >= sizeof serial, "a request of %zu bytes", length);
	memcpy(&serial, payload, sizeof serial);
	must(serial && serial <= ledger->count, "a request of call %" PRIu64 ", which is none",
	     serial);
	call = ledger->calls[serial - 1];
	must(call->id == id, "call %" PRIu64 " arrives with id %" PRIu64 ", not %" PRIu64, serial,
	     id, call->id);
	must(call->ending != NOT_SENT, "call %" PRIu64 " was not sent, but arrives", serial);
	must(++call->arrived == 1, "call %" PRIu64 " arrives a second time", serial);
	trace("call %" PRIu64 " (id %" PRIu64 ") arrives", serial, id);
	return call;
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
