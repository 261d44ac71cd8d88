/* Making and checking messages; content.h says which. */

#include "content.h"
#include "../fuzz.h"
#include "wire/outbox.h"
#include <string.h>

/* All data are a part of this, which begins at another place for each index. */
enum { SIZE_MOST = 160000, PLACES = 251 };
static uint8_t pattern[SIZE_MOST + PLACES];
static char filling[SIZE_MOST + 4];

static void init(void)
{
	uint32_t value = 1;

	if (pattern[1])
		return;
	for (size_t i = 0; i < sizeof pattern; i++) {
		/* Numerical Recipes' generator. */
		value = value * 1664525 + 1013904223;
		pattern[i] = (uint8_t)(value >> 24 | 1);
	}
}

static const uint8_t *data_of(uint64_t index)
{
	init();
	return pattern + index % PLACES;
}

size_t content_size(uint8_t byte)
{
	static const size_t sizes[] = {
		0,
		1,
		5,
		20,
		100,
		484,
		1000,
		3000,
		10000,
		4060,
		33000,
		20000,
		HAWSER__PIECE_BYTES - 13,
		HAWSER__PIECE_BYTES,
		70000,
		140000,
	};

	return sizes[byte % (sizeof sizes / sizeof *sizes)];
}

const Rpctest__Payload *content_make(uint64_t index, size_t size, const char *order)
{
	static Rpctest__Payload payload;

	require(size <= SIZE_MOST);
	rpctest__payload__init(&payload);
	payload.id = index;
	payload.number = (int64_t)size;
	payload.data.len = size;
	payload.data.data = (uint8_t *)(uintptr_t)data_of(index);
	if (order)
		payload.text = (char *)(uintptr_t)order;
	return &payload;
}

static uint8_t *pack(const Rpctest__Payload *first, const Rpctest__Payload *second, size_t *length)
{
	size_t n = first ? rpctest__payload__get_packed_size(first) : 0;
	size_t more = second ? rpctest__payload__get_packed_size(second) : 0;
	uint8_t *packed = malloc(n + more + 1);

	require(packed);
	if (first)
		rpctest__payload__pack(first, packed);
	if (second)
		rpctest__payload__pack(second, packed + n);
	*length = n + more;
	return packed;
}

uint8_t *content_pack(uint64_t index, size_t size, const char *order, enum filler filler,
		      size_t *length)
{
	Rpctest__Payload payload = *content_make(index, size, order), second;

	if (filler == FILLER_NONE)
		return pack(NULL, NULL, length);
	if (filler == FILLER_TWICE) {
		second = *content_make(index, size / 3, order);
		return pack(&payload, &second, length);
	}
	if (filler == FILLER_TEXT) {
		memset(filling, 'x', size + 3);
		filling[size + 3] = 0;
		memcpy(filling, order && *order ? order : "aaa", 3);
		payload = *content_make(index, 0, filling);
	}
	return pack(&payload, NULL, length);
}

bool content_is(const Rpctest__Payload *payload, uint64_t index)
{
	/* An empty one says nothing of itself. */
	if (payload->id == 0 && payload->number == 0 && payload->data.len == 0 && !*payload->text)
		return true;
	return payload->id == index && (size_t)payload->number == payload->data.len &&
	       payload->data.len <= SIZE_MOST &&
	       (payload->data.len == 0 ||
		memcmp(payload->data.data, data_of(index), payload->data.len) == 0);
}

bool content_is_packed(const uint8_t *packed, size_t length, uint64_t index)
{
	Rpctest__Payload *payload = rpctest__payload__unpack(NULL, length, packed);
	bool is_right = payload && content_is(payload, index);

	if (payload)
		rpctest__payload__free_unpacked(payload, NULL);
	return is_right;
}
