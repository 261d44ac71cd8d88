/* Peers that speak, or break, the protocol by hand: sockets and frames packed with
 * protobuf-c, apart from the runtime's own codec. */

#ifndef HAWSER_TESTS_RPC_RAW_H
#define HAWSER_TESTS_RPC_RAW_H

#include "tester.h"
#include "wire/wire.pb-c.h"

/** A connected socket; `address` is what hawser_server_address() gave. */
int raw_connect(const char *address);
/** The same; -1 if nobody listens there. */
int raw_try_connect(const char *address);
/** Listens; `address` gets what a client connects to. */
int raw_listen(enum transport transport, const char *directory, char *address);
/** The next connection. */
int raw_accept(int listener);

/** Sends everything; false: the peer has gone. */
bool raw_send(int fd, const void *bytes, size_t length);
bool raw_send_frame(int fd, const Hawser__Frame *frame);
/** The next frame, the caller's to free with hawser__frame__free_unpacked(); NULL: the end. */
Hawser__Frame *raw_receive(int fd);
/** Receives and drops everything up to the end of the connection. */
void raw_drain(int fd);

/** The client's side of the opening. */
void raw_open(int fd);
/** The same with a window for each stream that comes. */
void raw_open_with_window(int fd, uint64_t stream_window_bytes);
/** The server's: takes open, answers opened. */
void raw_opened(int fd);
/** The same, asking for heartbeats. */
void raw_opened_with(int fd, unsigned heartbeat_ms, unsigned silence_timeout_ms);

/** The same with a window for each stream that comes. */
void raw_opened_with_window(int fd, uint64_t stream_window_bytes);

/** What open and opened tell of a session. */
struct raw_session {
	uint64_t id; /* 0: a new one */
	uint8_t token[32];
	size_t token_length;
	uint64_t received;      /* frames that came to this end */
	uint64_t peer_received; /* to the other, as it said last */
	uint32_t window_ms;
	uint32_t attempt;             /* 0: is not counted */
	uint64_t stream_window_bytes; /* in opened; 0: the protocol's */
};

/** Sends open for a new session, or for that one. */
bool raw_send_open(int fd, const struct raw_session *session);
/** Both parts of the client's opening; fills *session. The server must accept. */
void raw_open_session(int fd, struct raw_session *session);
/** The server's side: takes open, and what it asks for goes to *asked; NULL: is dropped. False: the
 * client has gone. */
bool raw_take_open(int fd, struct raw_session *asked);
/** Answers opened, with a session; NULL: without. */
bool raw_send_opened(int fd, const struct raw_session *session);
/** Tells that so many frames have come. */
bool raw_ack(int fd, uint64_t count);
/** The server's other answer. */
bool raw_reject(int fd, Hawser__Reason reason, const char *text);

/** A call of the tester's service. */
bool raw_call(int fd, uint64_t id, enum method method, const Rpctest__Payload *request);
bool raw_call_within(int fd, uint64_t id, enum method method, const Rpctest__Payload *request,
		     uint64_t timeout_ms);
/** Receives the end of call `id` and asserts its status and outcome (unless OK). */
void raw_expect_end(int fd, uint64_t id, enum hawser_status status, enum hawser_outcome outcome);
/** Sends the end of call `id` with that status and reply; NULL: none. */
bool raw_end(int fd, uint64_t id, enum hawser_status status, enum hawser_outcome outcome,
	     const Rpctest__Payload *reply);
bool raw_ping(int fd, uint64_t number);

/** Begins a call whose request comes in messages; `size`: of a unary request in pieces, or 0. */
bool raw_call_stream(int fd, uint64_t id, enum method method, uint64_t size);
/** A message or a piece of one; `size` and `last` as in wire.proto. */
bool raw_message(int fd, uint64_t id, uint64_t size, bool last, const void *payload, size_t length);
/** A whole message of the tester's service. */
bool raw_payload(int fd, uint64_t id, const Rpctest__Payload *message);
bool raw_window(int fd, uint64_t id, uint64_t bytes);
bool raw_cancel(int fd, uint64_t id);
/** Receives the reply to a unary call, which may come in pieces: the caller's to free(). The call
 * must succeed. */
uint8_t *raw_expect_reply(int fd, uint64_t id, size_t *length);
/** Receives up to a frame of that kind, which must be the next that is neither ack nor window.
 */
Hawser__Frame *raw_expect(int fd, Hawser__Frame__KindCase kind);

/** Asserts that close or rejected comes with that reason and part of a text, and then the end. */
void raw_expect_refusal(int fd, Hawser__Reason reason, const char *part);

#endif /* HAWSER_TESTS_RPC_RAW_H */
