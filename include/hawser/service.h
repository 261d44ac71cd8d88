/* The contract between generated code and the runtime.
 *
 * protoc-gen-hawser emits, per service, a const table of methods and a few
 * short functions; everything else is here, once. Programs seldom call these
 * functions themselves: the generated ones are typed. Proxies and reflection
 * read the tables. */

#ifndef HAWSER_SERVICE_H
#define HAWSER_SERVICE_H

#include <hawser/call.h>
#include <hawser/common.h>
#include <hawser/status.h>
#include <protobuf-c/protobuf-c.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hawser_client;
struct hawser_server;

/** Bit 0: requests are a stream; bit 1: replies are a stream. */
enum hawser_method_kind {
	HAWSER_UNARY = 0,
	HAWSER_CLIENT_STREAM = 1,
	HAWSER_SERVER_STREAM = 2,
	HAWSER_BIDI = 3,
};

/** What the .proto says of a method; see hawser/options.proto. */
enum hawser_method_flags {
	HAWSER_METHOD_IDEMPOTENT = 1 << 0, /**< may safely run twice */
	HAWSER_METHOD_BLOCKING = 1 << 1,   /**< the handler may block: run it on the worker pool */
	HAWSER_METHOD_EXCLUSIVE = 1 << 2,  /**< only for who holds the lease: its own … */
	HAWSER_METHOD_SERVICE_LEASE = 1 << 3, /**< … or one that it shares with its service */
};

/** Any function pointer; generated code casts back before it calls. */
typedef void hawser_any_fn(void);

/** Calls one handler in `handlers` through its true type. */
typedef void hawser_serve_fn(const void *handlers, struct hawser_call *call,
			     const ProtobufCMessage *message, void *data);

/** Calls one client callback through its true type. */
typedef void hawser_deliver_fn(hawser_any_fn *callback, struct hawser_call *call,
			       const ProtobufCMessage *message, void *data);

struct hawser_service;

/** One method; a row of a generated table. */
struct hawser_method {
	/** hawser_method_id(name), unless the .proto overrides it. Never 0. */
	uint32_t id;
	enum hawser_method_kind kind;
	/** An or of hawser_method_flags. */
	uint32_t flags;
	/** Default deadline; 0: the client's. */
	uint32_t timeout_ms;
	/** Limits on a packed message; 0: the client's and the server's. */
	uint32_t max_request_bytes;
	uint32_t max_reply_bytes;
	/** "demo.Greeter/Hello" */
	const char *name;
	const ProtobufCMessageDescriptor *request;
	const ProtobufCMessageDescriptor *reply;
	hawser_serve_fn *serve;
	hawser_deliver_fn *deliver;
	/** The service whose table this row is in. */
	const struct hawser_service *service;
};

/** A field that never appears in a trace: (hawser.secret) in the .proto. */
struct hawser_secret {
	const ProtobufCMessageDescriptor *message;
	uint32_t field; /**< its number */
};

/** One service: its name and its methods. */
struct hawser_service {
	/** "demo.Greeter" */
	const char *name;
	const struct hawser_method *methods;
	size_t n_methods;
	/** The secret fields of all messages that its methods can carry. */
	const struct hawser_secret *secrets;
	size_t n_secrets;
};

/**
 * The stable id of a method: the 32-bit FNV-1a hash (RFC 9923) of its full name
 * "demo.Greeter/Hello"; a hash of 0 becomes 1. Any thread.
 */
HAWSER_EXPORT uint32_t hawser_method_id(const char *name);

/**
 * Serves `service`. `handlers` is the generated struct of handlers, `data` goes
 * to each of them; all three are borrowed until the server is freed. Before
 * hawser_server_run() or on the thread of the server's base. Returns 0, -EINVAL
 * (an argument is NULL, a method is without id, name or type), -EEXIST (an id or name is
 * taken; the text names both methods), -EBUSY (the server runs) or -ENOMEM.
 */
HAWSER_EXPORT int hawser_server_add(struct hawser_server *server,
				    const struct hawser_service *service, const void *handlers,
				    void *data, struct hawser_error *error);

/**
 * The same for a client: its server may call these methods, on the connection that the client
 * opens. Once it has connected, it stays so: it opens another connection also when nobody calls and
 * however the last one ended. At any time; the server is told. On a base, handlers run on the
 * base's thread; those of a client without one run on threads of a pool, as blocking handlers do.
 * All handlers must have answered before the client is freed. Returns as hawser_server_add(), but
 * for -EBUSY; -EPERM: a peer's client, or in a forked child. Any thread; on a base, the base's.
 */
HAWSER_EXPORT int hawser_client_add(struct hawser_client *client,
				    const struct hawser_service *service, const void *handlers,
				    void *data, struct hawser_error *error);

/**
 * The client does not offer the service any more: new calls fail, those that have begun go on. The
 * server is told. Returns 0, -EINVAL, -ENOENT (it is not offered) or -EPERM. As
 * hawser_client_add().
 */
HAWSER_EXPORT int hawser_client_remove(struct hawser_client *client,
				       const struct hawser_service *service,
				       struct hawser_error *error);

/**
 * Calls a unary method and waits for its reply: what every blocking stub does. The
 * request must stay as it is until this returns: a large one is packed as it leaves.
 * On HAWSER_OK *reply is the caller's, to be freed with
 * protobuf_c_message_free_unpacked(*reply, NULL); otherwise it is untouched and
 * the context, if any, says more. See hawser_client for threads.
 */
HAWSER_EXPORT enum hawser_status hawser_client_call(struct hawser_client *client,
						    const struct hawser_method *method,
						    const ProtobufCMessage *request,
						    ProtobufCMessage **reply,
						    struct hawser_context *context);

/**
 * Opens a call of any kind without waiting: what every other stub does.
 * `request` is NULL where requests are a stream; it is packed before this
 * returns. `callback` (NULL for blocking streams) needs a client on an
 * event_base and is called through method->deliver. A blocking stream waits until its request is on
 * its way. The call is the caller's, to be freed with
 * hawser_call_free(). On failure NULL, and errno is EINVAL (misuse), ECANCELED (the client is being
 * freed) or ENOMEM; any other failure ends the call and reaches the callback.
 */
HAWSER_EXPORT struct hawser_call *hawser_client_open(struct hawser_client *client,
						     const struct hawser_method *method,
						     const ProtobufCMessage *request,
						     hawser_any_fn *callback, void *data,
						     const struct hawser_context *context);

/**
 * Sends a message on a call: a handler's reply, a client's next request of a stream. A
 * unary or client-streaming method's reply also ends the call. `method` must be
 * the call's. The message is packed before this returns, and must stay as it is so long.
 *
 * A handler's call: any thread. An asynchronous client's: the thread of its base. A blocking
 * client's: any thread, one at a time, beside one that receives; it waits for room, within the
 * call's deadline.
 *
 * Returns 0, -EINVAL (wrong method, no stream or NULL), -EALREADY (replied, failed or ended
 * already), -EPIPE (the call is over: it has ended, was cancelled, is past its deadline, or its
 * peer is gone; a client finds why in hawser_call_error(); of a blocking client's large message a
 * part may have been sent before), -EMSGSIZE (over the limit, nothing was
 * sent; a handler's call then failed RESOURCE_EXHAUSTED, from another thread after this has
 * returned 0; a client's did, too), -EAGAIN (a stream's peer has not taken enough yet, or the
 * connection's log is full; see hawser_call_on_writable(); never from a blocking client, nor in a
 * handler that runs on the worker pool: these wait for room, or the end of the call), -EBUSY
 * (another thread is sending on this blocking client's call) or -ENOMEM.
 */
HAWSER_EXPORT int hawser_call_send(struct hawser_call *call, const struct hawser_method *method,
				   const ProtobufCMessage *message);

/** Is given back a buffer that hawser_call_send_raw() has no more use for. */
typedef void hawser_release_fn(void *data);

/**
 * hawser_call_send() for a handler's reply that is packed already, `length` bytes of it. They are
 * not copied if they are many (over 64 KiB): they stay borrowed until `release` (may be NULL) is
 * called with `data`, once, also if this fails: when the peer has acknowledged them, or nobody
 * wants them any more. That is on the call's loop, or here before this returns. Whether the bytes
 * are a valid message is not checked. Returns as hawser_call_send().
 */
HAWSER_EXPORT int hawser_call_send_raw(struct hawser_call *call, const struct hawser_method *method,
				       const void *packed, size_t length,
				       hawser_release_fn *release, void *data);

/** Serves requests of one method as they came. `packed` is NULL when a stream of requests is over;
 * else it is borrowed as an unpacked request would be. */
typedef void hawser_raw_fn(struct hawser_call *call, const void *packed, size_t length, void *data);

/**
 * Gives the requests of a registered method, "demo.Store/Put", to `handler` without unpacking them,
 * instead of to its handler in the service's struct. It replies with the generated functions or
 * with hawser_call_send_raw(). Whether the bytes are a valid request is the handler's to find out.
 * The same threads as hawser_server_add(). Returns 0, -EINVAL (an argument is NULL), -ENOENT (no
 * such method is registered) or -EBUSY (the server runs).
 */
HAWSER_EXPORT int hawser_server_set_raw(struct hawser_server *server, const char *method,
					hawser_raw_fn *handler, void *data,
					struct hawser_error *error);

/**
 * Says that handlers may block: those of all methods of the service "demo.Greeter", or of the
 * method "demo.Greeter/Hello". They run on threads of the server's pool then, up to worker_threads
 * at a time and however many loops there are, and the loops never wait for them. `option
 * (hawser.blocking) = true` in the .proto says the same of a method.
 *
 * Messages of a stream come one after the other, in order, from whichever thread is free. What
 * else is called for a call (on_cancel, on_writable, free_data) runs on its loop, but never while a
 * thread is in its handler: no two things of one call run at once. hawser_call_send() of a stream
 * waits for room there instead of returning -EAGAIN. A call whose deadline passes before a thread
 * is free is not begun.
 *
 * The same threads as hawser_server_add(). Returns 0, -EINVAL (an argument is NULL), -ENOENT (no
 * such service or method is registered) or -EBUSY (the server runs).
 */
HAWSER_EXPORT int hawser_server_set_blocking(struct hawser_server *server, const char *scope,
					     struct hawser_error *error);

/**
 * Waits for the next message of a stream, or for the reply to one of requests: 1 and *message, the
 * caller's to free with protobuf_c_message_free_unpacked(*message, NULL); 0 at the end; -1 if the
 * call failed, see hawser_call_error(), or with errno EINVAL for misuse (no stream of a blocking
 * client, NULL) and EBUSY (another thread receives from it). Any thread, beside one that sends.
 */
HAWSER_EXPORT int hawser_call_recv(struct hawser_call *call, const struct hawser_method *method,
				   ProtobufCMessage **message);

/** What a generated thunk does for a handler left NULL: UNIMPLEMENTED, not executed. */
HAWSER_EXPORT void hawser_call_no_handler(struct hawser_call *call);

/**
 * hawser_call_vfail() for one method: what the generated typed fail does.
 * -EINVAL if `method` is not the call's, else as hawser_call_fail().
 */
HAWSER_EXPORT int hawser_call_fail_method(struct hawser_call *call,
					  const struct hawser_method *method,
					  enum hawser_status status, const char *format, ...)
	HAWSER_PRINTF(4, 5);

#ifdef __cplusplus
}
#endif

#endif /* HAWSER_SERVICE_H */
