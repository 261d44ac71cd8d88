/* Streams of any kind by either kind of client behind one face.
 *
 * A blocking client's messages come while something waits for them; on a base they come whenever
 * it runs. What came is counted, and should be the samples from 1 on. Sending and receiving use
 * different members, so that two threads may do one each. */

#ifndef HAWSER_TESTS_RPC_STREAM_H
#define HAWSER_TESTS_RPC_STREAM_H

#include "relayed.h"
#include "samples.h"

struct stream {
	struct caller *caller;
	enum method method;
	struct hawser_call *call;

	/* What was sent. */
	atomic_ullong n_sent;
	int last_send; /* what the last send returned */
	struct {
		uint64_t until; /* n_sent is that */
		size_t most;
		pthread_t thread;
		atomic_bool is_done;
	} pump;

	/* What came. */
	uint64_t n;
	uint64_t n_wrong; /* that were not the next sample */
	uint64_t bytes;   /* of their data */
	char text[32];    /* of the last one, cut */
	struct result result;
	/** Takes each message instead of the check that it is the next sample; it is counted. */
	void (*then)(struct stream *stream, const Rpctest__Payload *message);
	void *data;
};

/** Opens it; what it is to do with messages is set before. `request` is NULL where they are a
 * stream. */
void stream_open(struct stream *stream, struct caller *caller, enum method method,
		 const Rpctest__Payload *request, const struct hawser_context *context);

/** Sends, with patience: a client on a base runs that until there is room. Returns as
 * hawser_call_send(). */
int stream_send(struct stream *stream, const Rpctest__Payload *message);
/** The next so many samples, up to the first that fails. */
int stream_send_samples(struct stream *stream, uint64_t count, size_t most);
/** One message with an order to the handler: its text, and for "fail" a status. It is no sample. */
int stream_send_order(struct stream *stream, const char *text, int64_t number);

/** Waits until so many messages have come, in all. False: it has ended before. */
bool stream_await(struct stream *stream, uint64_t n);
/** Waits for the end. Replies must have been the samples. */
void stream_finish(struct stream *stream, enum hawser_status status);

/** Sends so many samples and ends, beside whatever else is done: a blocking client's thread does,
 * or callbacks on a base. */
void stream_pump_start(struct stream *stream, uint64_t count, size_t most);
/** Waits until that is done or has failed. */
void stream_pump_join(struct stream *stream);
/** Both, and takes what comes meanwhile, up to the end. */
void stream_pump(struct stream *stream, uint64_t count, size_t most);

/** How many samples a window lets pass behind `ahead` bytes, beginning with number `id`. */
uint64_t samples_in_window(uint64_t window, size_t ahead, uint64_t id, size_t most);
/** Frees the call; one that still runs is cancelled. */
void stream_close(struct stream *stream);

#endif /* HAWSER_TESTS_RPC_STREAM_H */
