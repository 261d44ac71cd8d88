/* The parts of hawser-peer: a server, and a client for each kind of workload. */

#ifndef HAWSER_BENCH_PEER_H
#define HAWSER_BENCH_PEER_H

#include "measure.h"
#include <hawser/hawser.h>

struct event_base;

enum {
	PEER_LARGEST_MESSAGE = 256 << 20,
	/* Such a message and what is beside it. */
	PEER_LARGEST_LOG = 2 * PEER_LARGEST_MESSAGE,
	/* A reply from so many bytes on is made on a thread of its own: all of W11, no other. */
	PEER_LONG_WORK = 32 << 20,
};

/** Which way the payload goes; the other way goes a small message. */
enum peer_way { PEER_BOTH_WAYS, PEER_UP, PEER_DOWN, PEER_DOWN_RAW };

/** What the mode says of it: "block-up" is PEER_UP. */
enum peer_way peer_way(const struct bench *bench);

/** Says what went wrong and exits 3. */
_Noreturn void peer_fail(const char *what, const struct hawser_error *error);

/** hawser-peer server: until SIGTERM. */
int peer_serve(const struct bench *bench);

/** A thread, and what it does, one job after the other. NULL: it has not begun. */
struct peer_worker;
typedef void peer_job_fn(struct hawser_call *call, const void *request, void *data);
/** `request` is the call's, which `run` answers. The first job begins the thread: the C library
 * is faster without, and other workloads have none. */
void peer_worker_add(struct peer_worker **worker, peer_job_fn *run, struct hawser_call *call,
		     const void *request, void *data);
/** When it has done all. NULL is accepted. */
void peer_worker_free(struct peer_worker *worker);

/** A client at the address of the command line; a blocking one, without a base, is connected. */
struct hawser_client *peer_make_client(const struct bench *bench, struct event_base *base);

/** Makes one blocking call whose payload is the bench's, and counts it. */
void peer_call(struct bench *bench, struct hawser_client *client, uint64_t id,
	       struct hawser_context *context);

/** Blocking stubs, one call after the other: W1, W4. */
void peer_block(struct bench *bench);

/** Asynchronous stubs: all workloads but the next two. */
void peer_async(struct bench *bench);

/** An asynchronous stream: W5. */
void peer_stream(struct bench *bench);

/** Blocking stubs on two threads: W11. */
void peer_beside(struct bench *bench);

#endif /* HAWSER_BENCH_PEER_H */
