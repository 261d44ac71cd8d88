/* The service of test.proto and a server that offers it, on a thread of its own.
 *
 * What happens on the server's thread reaches the test through counters and calls
 * that it can wait for; nothing here sleeps, and nothing asserts on that thread. */

#ifndef HAWSER_TESTS_RPC_TESTER_H
#define HAWSER_TESTS_RPC_TESTER_H

#include "test.hawser.h"
#include <hawser/hawser.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

enum transport { OVER_TCP, OVER_UNIX, TRANSPORTS };

enum { HELD_MAX = 4096, ADDRESS_SIZE = 320 };

/* The rows of the generated table. */
enum method {
	ECHO,
	FAIL,
	HOLD,
	HOLD_SHORTLY,
	LIMITED,
	GROW,
	REFLECT,
	TIME_LEFT,
	HEAP,
	MISSING,
	WATCH,
	GATHER,
	CHAT,
	HOLD_AGAIN,
	ORDER,
	MIRROR,
	MIRRORS,
	TOIL,
};

static inline const struct hawser_method *method_of(enum method method)
{
	return &rpctest_tester_descriptor.methods[method];
}

struct tester;
struct reversed;

/** What a test puts in the place of the handlers of Gather and Chat, or of Toil. */
typedef void tester_stream_fn(struct hawser_call *call, const Rpctest__Payload *request_or_null,
			      struct tester *tester);

/** What a test wants done on the server's loop. */
typedef void tester_order_fn(struct tester *tester, void *data);

struct tester {
	struct hawser_server *server;
	char address[ADDRESS_SIZE];
	char directory[128]; /* of the socket file; empty: none */
	pthread_t thread;
	bool has_thread;
	int result; /* of hawser_server_run */
	struct hawser_error error;

	/* Under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool has_returned; /* hawser_server_run has */
	struct hawser_call *held[HELD_MAX];
	unsigned n_held;      /* calls of Hold, HoldShortly, HoldAgain that came */
	unsigned n_cancelled; /* of those, the ones that were cancelled */
	unsigned n_executed;  /* calls of the other methods */
	unsigned n_streams;   /* calls of Watch, Gather, Chat, Mirrors that came … */
	unsigned n_streamed;  /* … and ended, in whichever way */
	uint64_t last_id; /* of the requests of Echo; they should rise if one thread makes them */
	unsigned n_disordered; /* that did not */
	int last_send;         /* what the last reply of Echo, Grow, Limited returned */
	char peer[128];        /* who called Echo last */
	tester_order_fn *order;
	void *order_data;

	/* NULL: the handlers are a server's. Else there is none here: they are a client's. */
	struct reversed *reversed;

	/* NULL: Gather and Chat do what test.proto says. */
	_Atomic(tester_stream_fn *) on_stream;
	_Atomic(tester_stream_fn *) on_toil;
	atomic_ullong n_requests; /* messages that these took */
	atomic_ullong n_replies;  /* messages that Watch, Chat and Mirrors gave */
};

extern const struct rpctest_tester_service tester_handlers;

/* Those that are in tester_streams.c. */
void tester_watch(struct hawser_call *call, const Rpctest__Payload *request, void *data);
void tester_gather(struct hawser_call *call, const Rpctest__Payload *request, void *data);
void tester_chat(struct hawser_call *call, const Rpctest__Payload *request, void *data);
void tester_mirror(struct hawser_call *call, const Rpctest__Large *request, void *data);
void tester_mirrors(struct hawser_call *call, const Rpctest__Large *request, void *data);

/* For handlers: counts a cancellation; keeps a call for the test; gives back the
 * metadata that came; fails as Fail does. */
void tester_on_cancel(struct hawser_call *call, void *data);
void tester_hold(struct tester *tester, struct hawser_call *call);
void tester_reflect(struct hawser_call *call);
int tester_fail(struct hawser_call *call, const Rpctest__Payload *request);
/** A stream came, or ended. */
void tester_note_stream(struct tester *tester, int began, int ended);

/** A server with the service and one listener, not yet running. `options` may be NULL. */
void tester_init(struct tester *tester, enum transport transport,
		 const struct hawser_server_options *options);
/** Runs it on a thread. */
void tester_run(struct tester *tester);
/** Both. */
void tester_start(struct tester *tester, enum transport transport,
		  const struct hawser_server_options *options);
/** Waits until hawser_server_run() has returned, and gives its result. */
int tester_join(struct tester *tester);
/** Stops it if it runs, answers what is held, frees everything. */
void tester_stop(struct tester *tester);

/** The call that was held as number `index`, once it has come. */
struct hawser_call *tester_held(struct tester *tester, unsigned index);
/** Waits until so many held calls have been cancelled. */
void tester_wait_cancelled(struct tester *tester, unsigned count);
/** Streams that came, and those of them that have ended, in whichever way. */
unsigned tester_streams(struct tester *tester);
unsigned tester_streamed(struct tester *tester);
/** Waits until all that came have ended. */
void tester_wait_streamed(struct tester *tester, unsigned count);
/** How many calls of methods that answer at once have run. */
unsigned tester_executed(struct tester *tester);

/** A time that is short, and long enough where everything is slow (valgrind, sanitizers). */
unsigned patient_ms(unsigned ms);

/** Valgrind has its own ideas of descriptors and of memory. */
bool is_under_valgrind(void);
/** Built with a sanitizer that adds to every allocation. */
bool is_slow_build(void);

/** Options with signals left alone: a test's threads share them. */
struct hawser_server_options tester_options(void);

/** A directory for socket files; removed by directory_remove(). */
void directory_make(char *path, size_t size);
void directory_remove(const char *path);

/** An address to listen on that is free. */
void address_make(char *address, enum transport transport, const char *directory);

/** A server in a process of its own, which forks from this one; its address is written. */
struct child_server {
	pid_t pid;
	char address[ADDRESS_SIZE];
	char directory[128];
};
/** `options` may be NULL. */
void child_server_start(struct child_server *child, enum transport transport,
			const struct hawser_server_options *options);
/** Waits for its end: the exit status, which is what run returned, or 128 + signal. */
int child_server_wait(struct child_server *child);

#endif /* HAWSER_TESTS_RPC_TESTER_H */
