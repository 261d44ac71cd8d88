/* Eight bytes at a time; payload.h says of what. */

#include "payload.h"

#include "ledger.h"
#include "report.h"
#include "wire/outbox.h"
#include <inttypes.h>
#include <string.h>

/* Most are small, some fill a chunk, a few need one of their own; the large ones need pieces, some
 * of which are just full. */
size_t payload_some_length(struct chance *chance, bool is_large)
{
	unsigned which = (unsigned)chance_below(chance, 200);

	if (is_large && which < 80) {
		if (which < 10)
			return (size_t)HAWSER__PIECE_BYTES * chance_between(chance, 1, 3) +
			       chance_below(chance, 3) - 1;
		if (which < 20)
			return chance_between(chance, HAWSER__PIECE_BYTES, PAYLOAD_MOST);
		return chance_between(chance, 0, which < 50 ? 130000 : 20000);
	}
	if (which < 2)
		return which * chance_below(chance, 20000);
	return chance_between(chance, 1, which < 20 ? 700 : 60);
}

size_t payload_bytes(const struct call *call, enum part part, unsigned index)
{
	struct chance chance = {call->serial * 1000003 + part * 1009 + index};

	return part == REQUEST ? call->request_bytes : payload_some_length(&chance, call->is_large);
}

static uint64_t word(const struct call *call, enum part part, unsigned index, size_t at)
{
	if (at == 0)
		return call->serial;
	return chance_mix(call->serial << 32 ^ (uint64_t)part << 24 ^ (uint64_t)index << 40 ^ at);
}

void payload_fill(uint8_t *payload, const struct call *call, enum part part, unsigned index)
{
	size_t length = payload_bytes(call, part, index);

	for (size_t at = 0; at < length; at += sizeof(uint64_t)) {
		uint64_t bytes = word(call, part, index, at);

		memcpy(payload + at, &bytes,
		       length - at < sizeof bytes ? length - at : sizeof bytes);
	}
}

void payload_check(const uint8_t *piece, size_t length, size_t at, const struct call *call,
		   enum part part, unsigned index)
{
	/* As words are told from each other. */
	must(at % sizeof(uint64_t) == 0, "call %" PRIu64 ": a piece begins at byte %zu",
	     call->serial, at);
	for (size_t place = 0; place < length; place += sizeof(uint64_t)) {
		uint64_t bytes = word(call, part, index, at + place);

		must(!memcmp(piece + place, &bytes,
			     length - place < sizeof bytes ? length - place : sizeof bytes),
		     "call %" PRIu64 ": part %d, index %u is another's, or damaged, at byte %zu",
		     call->serial, part, index, at + place);
	}
}
