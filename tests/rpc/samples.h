/* Messages that can be told from wrong ones: what each holds follows from its number in the stream
 * and from the largest size that there may be, and both are in it. */

#ifndef HAWSER_TESTS_RPC_SAMPLES_H
#define HAWSER_TESTS_RPC_SAMPLES_H

#include "test.hawser.h"

enum { SAMPLE_MOST = 1 << 20 };

/** Number `id` of a stream, with up to `most` bytes of data; some have none. Its data is static. */
Rpctest__Payload sample_of(uint64_t id, size_t most);

/** Bytes of its data. */
size_t sample_length(uint64_t id, size_t most);

/** Whether it is what sample_of() makes of its number. */
bool sample_is_whole(const Rpctest__Payload *message);

#endif /* HAWSER_TESTS_RPC_SAMPLES_H */
