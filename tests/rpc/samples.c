/* Data that is cut out of one pool of random bytes; samples.h tells what for. */

#include "samples.h"
#include <pthread.h>
#include <string.h>

enum { OFFSETS = 4096 };

static uint8_t pool[SAMPLE_MOST + OFFSETS];
static pthread_once_t is_filled = PTHREAD_ONCE_INIT;

static uint64_t hash(uint64_t id)
{
	id = (id ^ id >> 31) * UINT64_C(0x9e3779b97f4a7c15);
	return id ^ id >> 29;
}

static void fill(void)
{
	for (size_t i = 0; i < sizeof pool; i += 8) {
		uint64_t word = hash(i + 1);

		memcpy(pool + i, &word, 8);
	}
}

/* One in eight is empty, one as large as can be. */
size_t sample_length(uint64_t id, size_t most)
{
	switch (hash(id) % 8) {
	case 0:
		return 0;
	case 1:
		return most;
	default:
		return (size_t)(hash(id) / 8 % (most + 1));
	}
}

Rpctest__Payload sample_of(uint64_t id, size_t most)
{
	Rpctest__Payload message = RPCTEST__PAYLOAD__INIT;

	pthread_once(&is_filled, fill);
	message.id = id;
	message.number = (int64_t)most;
	message.data.len = sample_length(id, most);
	message.data.data = pool + id % OFFSETS;
	return message;
}

bool sample_is_whole(const Rpctest__Payload *message)
{
	Rpctest__Payload expected;

	if (message->number < 0 || message->number > SAMPLE_MOST)
		return false;
	expected = sample_of(message->id, (size_t)message->number);
	return message->data.len == expected.data.len &&
	       (message->data.len == 0 ||
		memcmp(message->data.data, expected.data.data, message->data.len) == 0);
}
