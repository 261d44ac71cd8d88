/* Frames by hand; raw.h tells what for. */

#include "raw.h"
#include "net/address.h"
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- sockets ---- */

static struct addrinfo *resolve(const char *text, bool for_listening)
{
	struct hawser__address address;
	struct hawser_error error;
	struct addrinfo *list;

	ck_assert_int_eq(hawser__address_parse(&address, text, &error), 0);
	ck_assert_int_eq(hawser__address_resolve(&address, for_listening, true, &list, &error), 0);
	return list;
}

int raw_try_connect(const char *address)
{
	struct addrinfo *list = resolve(address, false);
	int fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	ck_assert_int_ge(fd, 0);
	/* Fails on a unix socket, which does not wait for more anyway. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(fd, list->ai_addr, list->ai_addrlen) < 0) {
		close(fd);
		fd = -1;
	}
	hawser__address_free(list);
	return fd;
}

int raw_connect(const char *address)
{
	int fd = raw_try_connect(address);

	ck_assert_msg(fd >= 0, "connect %s: %s", address, strerror(errno));
	return fd;
}

int raw_listen(enum transport transport, const char *directory, char *address)
{
	struct sockaddr_storage bound;
	socklen_t length = sizeof bound;
	struct addrinfo *list;
	int fd;

	address_make(address, transport, directory);
	list = resolve(address, true);
	fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, list->ai_addr, list->ai_addrlen), 0);
	ck_assert_int_eq(listen(fd, 64), 0);
	hawser__address_free(list);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&bound, &length), 0);
	hawser__address_format((struct sockaddr *)&bound, length, address, ADDRESS_SIZE);
	return fd;
}

int raw_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

bool raw_send(int fd, const void *bytes, size_t length)
{
	const char *at = bytes;

	while (length) {
		ssize_t n = send(fd, at, length, MSG_NOSIGNAL);

		if (n < 0)
			return false;
		at += n;
		length -= (size_t)n;
	}
	return true;
}

static bool receive(int fd, void *buffer, size_t length)
{
	char *at = buffer;

	while (length) {
		ssize_t n = recv(fd, at, length, 0);

		if (n <= 0)
			return false;
		at += n;
		length -= (size_t)n;
	}
	return true;
}

void raw_drain(int fd)
{
	char rest[4096];

	while (recv(fd, rest, sizeof rest, 0) > 0)
		;
}

/* ---- frames ---- */

bool raw_send_frame(int fd, const Hawser__Frame *frame)
{
	size_t length = hawser__frame__get_packed_size(frame);
	uint8_t *bytes = malloc(4 + length);
	bool sent;

	ck_assert_ptr_nonnull(bytes);
	bytes[0] = (uint8_t)(length >> 24);
	bytes[1] = (uint8_t)(length >> 16);
	bytes[2] = (uint8_t)(length >> 8);
	bytes[3] = (uint8_t)length;
	hawser__frame__pack(frame, bytes + 4);
	sent = raw_send(fd, bytes, 4 + length);
	free(bytes);
	return sent;
}

Hawser__Frame *raw_receive(int fd)
{
	Hawser__Frame *frame;
	uint8_t prefix[4], *bytes;
	size_t length;

	if (!receive(fd, prefix, sizeof prefix))
		return NULL;
	length = (size_t)prefix[0] << 24 | (size_t)prefix[1] << 16 | (size_t)prefix[2] << 8 |
		 prefix[3];
	bytes = malloc(length + 1);
	ck_assert_ptr_nonnull(bytes);
	if (!receive(fd, bytes, length)) {
		free(bytes);
		return NULL;
	}
	frame = hawser__frame__unpack(NULL, length, bytes);
	free(bytes);
	ck_assert_msg(frame, "what came is no Frame of wire.proto");
	return frame;
}

void raw_open(int fd)
{
	raw_open_with_window(fd, 0);
}

void raw_open_with_window(int fd, uint64_t stream_window_bytes)
{
	Hawser__Frame frame = HAWSER__FRAME__INIT, *answer;
	Hawser__Open open = HAWSER__OPEN__INIT;

	open.version = 1;
	open.name = (char *)"raw";
	open.stream_window_bytes = stream_window_bytes;
	frame.kind_case = HAWSER__FRAME__KIND_OPEN;
	frame.open = &open;
	ck_assert(raw_send_frame(fd, &frame));
	answer = raw_receive(fd);
	ck_assert_ptr_nonnull(answer);
	ck_assert_int_eq(answer->kind_case, HAWSER__FRAME__KIND_OPENED);
	hawser__frame__free_unpacked(answer, NULL);
}

void raw_opened(int fd)
{
	raw_opened_with(fd, 0, 0);
}

static void answer_open(int fd, Hawser__Opened *opened)
{
	Hawser__Frame frame = HAWSER__FRAME__INIT, *request = raw_receive(fd);

	ck_assert_ptr_nonnull(request);
	ck_assert_int_eq(request->kind_case, HAWSER__FRAME__KIND_OPEN);
	hawser__frame__free_unpacked(request, NULL);
	opened->version = 1;
	opened->name = (char *)"raw";
	frame.kind_case = HAWSER__FRAME__KIND_OPENED;
	frame.opened = opened;
	ck_assert(raw_send_frame(fd, &frame));
}

void raw_opened_with(int fd, unsigned heartbeat_ms, unsigned silence_timeout_ms)
{
	Hawser__Opened opened = HAWSER__OPENED__INIT;

	opened.heartbeat_ms = heartbeat_ms;
	opened.silence_timeout_ms = silence_timeout_ms;
	answer_open(fd, &opened);
}

void raw_opened_with_window(int fd, uint64_t stream_window_bytes)
{
	Hawser__Opened opened = HAWSER__OPENED__INIT;

	opened.stream_window_bytes = stream_window_bytes;
	answer_open(fd, &opened);
}

/* ---- sessions ---- */

static Hawser__Session wire_session(const struct raw_session *session)
{
	Hawser__Session wire = HAWSER__SESSION__INIT;

	wire.id = session->id;
	wire.token.data = (uint8_t *)(uintptr_t)session->token;
	wire.token.len = session->token_length;
	wire.received = session->received;
	wire.window_ms = session->window_ms;
	wire.attempt = session->attempt;
	return wire;
}

static void take_session(struct raw_session *session, const Hawser__Session *wire)
{
	session->id = wire->id;
	session->token_length =
		wire->token.len < sizeof session->token ? wire->token.len : sizeof session->token;
	if (session->token_length)
		memcpy(session->token, wire->token.data, session->token_length);
	session->peer_received = wire->received;
	session->window_ms = wire->window_ms;
	if (wire->attempt)
		session->attempt = wire->attempt;
}

bool raw_send_open(int fd, const struct raw_session *session)
{
	Hawser__Frame frame = HAWSER__FRAME__INIT;
	Hawser__Open open = HAWSER__OPEN__INIT;
	Hawser__Session wire = wire_session(session);

	open.version = 1;
	open.name = (char *)"raw";
	open.session = &wire;
	frame.kind_case = HAWSER__FRAME__KIND_OPEN;
	frame.open = &open;
	return raw_send_frame(fd, &frame);
}

void raw_open_session(int fd, struct raw_session *session)
{
	Hawser__Frame *answer;

	ck_assert(raw_send_open(fd, session));
	answer = raw_receive(fd);
	ck_assert_ptr_nonnull(answer);
	ck_assert_msg(answer->kind_case != HAWSER__FRAME__KIND_REJECTED, "rejected: %s",
		      answer->kind_case == HAWSER__FRAME__KIND_REJECTED ? answer->rejected->text
									: "");
	ck_assert_int_eq(answer->kind_case, HAWSER__FRAME__KIND_OPENED);
	ck_assert_ptr_nonnull(answer->opened->session);
	take_session(session, answer->opened->session);
	hawser__frame__free_unpacked(answer, NULL);
}

bool raw_take_open(int fd, struct raw_session *asked)
{
	Hawser__Frame *request = raw_receive(fd);

	if (!request)
		return false;
	ck_assert_int_eq(request->kind_case, HAWSER__FRAME__KIND_OPEN);
	if (asked) {
		memset(asked, 0, sizeof *asked);
		if (request->open->session)
			take_session(asked, request->open->session);
	}
	hawser__frame__free_unpacked(request, NULL);
	return true;
}

bool raw_send_opened(int fd, const struct raw_session *session)
{
	Hawser__Frame frame = HAWSER__FRAME__INIT;
	Hawser__Opened opened = HAWSER__OPENED__INIT;
	Hawser__Session wire = HAWSER__SESSION__INIT;

	opened.version = 1;
	opened.name = (char *)"raw";
	if (session) {
		wire = wire_session(session);
		opened.session = &wire;
		opened.stream_window_bytes = session->stream_window_bytes;
	}
	frame.kind_case = HAWSER__FRAME__KIND_OPENED;
	frame.opened = &opened;
	return raw_send_frame(fd, &frame);
}

bool raw_reject(int fd, Hawser__Reason reason, const char *text)
{
	Hawser__Frame frame = HAWSER__FRAME__INIT;
	Hawser__Rejected rejected = HAWSER__REJECTED__INIT;

	rejected.reason = reason;
	rejected.text = (char *)text;
	frame.kind_case = HAWSER__FRAME__KIND_REJECTED;
	frame.rejected = &rejected;
	return raw_send_frame(fd, &frame);
}

bool raw_ack(int fd, uint64_t count)
{
	Hawser__Frame frame = HAWSER__FRAME__INIT;

	frame.ack = count;
	frame.ignorable = true;
	return raw_send_frame(fd, &frame);
}

/* ---- calls ---- */

bool raw_call(int fd, uint64_t id, enum method method, const Rpctest__Payload *request)
{
	return raw_call_within(fd, id, method, request, 0);
}

bool raw_call_within(int fd, uint64_t id, enum method method, const Rpctest__Payload *request,
		     uint64_t timeout_ms)
{
	Hawser__Frame frame = HAWSER__FRAME__INIT;
	Hawser__Call call = HAWSER__CALL__INIT;
	bool sent;

	call.id = id;
	call.method = method_of(method)->id;
	call.timeout_ms = timeout_ms;
	frame.kind_case = HAWSER__FRAME__KIND_CALL;
	frame.call = &call;
	frame.payload.len = rpctest__payload__get_packed_size(request);
	frame.payload.data = malloc(frame.payload.len + 1);
	ck_assert_ptr_nonnull(frame.payload.data);
	rpctest__payload__pack(request, frame.payload.data);
	sent = raw_send_frame(fd, &frame);
	free(frame.payload.data);
	return sent;
}

bool raw_end(int fd, uint64_t id, enum hawser_status status, enum hawser_outcome outcome,
	     const Rpctest__Payload *reply)
{
	Hawser__Frame frame = HAWSER__FRAME__INIT;
	Hawser__End end = HAWSER__END__INIT;
	bool sent;

	end.id = id;
	end.status = status;
	end.outcome = (Hawser__Outcome)outcome;
	frame.kind_case = HAWSER__FRAME__KIND_END;
	frame.end = &end;
	if (reply) {
		frame.payload.len = rpctest__payload__get_packed_size(reply);
		frame.payload.data = malloc(frame.payload.len + 1);
		ck_assert_ptr_nonnull(frame.payload.data);
		rpctest__payload__pack(reply, frame.payload.data);
	}
	sent = raw_send_frame(fd, &frame);
	free(frame.payload.data);
	return sent;
}

bool raw_ping(int fd, uint64_t number)
{
	Hawser__Frame frame = HAWSER__FRAME__INIT;
	Hawser__Ping ping = HAWSER__PING__INIT;

	ping.number = number;
	frame.kind_case = HAWSER__FRAME__KIND_PING;
	frame.ping = &ping;
	return raw_send_frame(fd, &frame);
}

/* ---- streams ---- */

bool raw_call_stream(int fd, uint64_t id, enum method method, uint64_t size)
{
	Hawser__Frame frame = HAWSER__FRAME__INIT;
	Hawser__Call call = HAWSER__CALL__INIT;

	call.id = id;
	call.method = method_of(method)->id;
	call.size = size;
	frame.kind_case = HAWSER__FRAME__KIND_CALL;
	frame.call = &call;
	return raw_send_frame(fd, &frame);
}

bool raw_message(int fd, uint64_t id, uint64_t size, bool last, const void *payload, size_t length)
{
	Hawser__Frame frame = HAWSER__FRAME__INIT;
	Hawser__Message message = HAWSER__MESSAGE__INIT;

	message.id = id;
	message.size = size;
	message.last = last;
	frame.kind_case = HAWSER__FRAME__KIND_MESSAGE;
	frame.message = &message;
	frame.payload.data = (uint8_t *)(uintptr_t)payload;
	frame.payload.len = length;
	return raw_send_frame(fd, &frame);
}

bool raw_payload(int fd, uint64_t id, const Rpctest__Payload *message)
{
	size_t length = rpctest__payload__get_packed_size(message);
	uint8_t *packed = malloc(length + 1);
	bool sent;

	ck_assert_ptr_nonnull(packed);
	rpctest__payload__pack(message, packed);
	sent = raw_message(fd, id, 0, false, packed, length);
	free(packed);
	return sent;
}

bool raw_window(int fd, uint64_t id, uint64_t bytes)
{
	Hawser__Frame frame = HAWSER__FRAME__INIT;
	Hawser__Window window = HAWSER__WINDOW__INIT;

	window.id = id;
	window.bytes = bytes;
	frame.kind_case = HAWSER__FRAME__KIND_WINDOW;
	frame.window = &window;
	return raw_send_frame(fd, &frame);
}

bool raw_cancel(int fd, uint64_t id)
{
	Hawser__Frame frame = HAWSER__FRAME__INIT;
	Hawser__Cancel cancel = HAWSER__CANCEL__INIT;

	cancel.id = id;
	frame.kind_case = HAWSER__FRAME__KIND_CANCEL;
	frame.cancel = &cancel;
	return raw_send_frame(fd, &frame);
}

/* ---- what is expected ---- */

/* The next frame that is neither acknowledgement nor window: those come when the server likes. */
static Hawser__Frame *receive_kind(int fd)
{
	Hawser__Frame *frame = raw_receive(fd);

	while (frame && ((frame->kind_case == HAWSER__FRAME__KIND__NOT_SET && frame->ack) ||
			 frame->kind_case == HAWSER__FRAME__KIND_WINDOW)) {
		hawser__frame__free_unpacked(frame, NULL);
		frame = raw_receive(fd);
	}
	return frame;
}

Hawser__Frame *raw_expect(int fd, Hawser__Frame__KindCase kind)
{
	Hawser__Frame *frame = receive_kind(fd);

	ck_assert_msg(frame, "the connection ended instead of a frame of kind %d", (int)kind);
	ck_assert_int_eq(frame->kind_case, kind);
	return frame;
}

uint8_t *raw_expect_reply(int fd, uint64_t id, size_t *length)
{
	uint8_t *reply = NULL;
	uint64_t size = 0;
	bool has_ended = false;

	*length = 0;
	while (!has_ended) {
		Hawser__Frame *frame = receive_kind(fd);

		ck_assert_msg(frame, "the connection ended instead of call %llu",
			      (unsigned long long)id);
		has_ended = frame->kind_case == HAWSER__FRAME__KIND_END;
		if (has_ended) {
			ck_assert_uint_eq(frame->end->id, id);
			ck_assert_msg(frame->end->status == 0, "%s", frame->end->text);
		} else {
			ck_assert_int_eq(frame->kind_case, HAWSER__FRAME__KIND_MESSAGE);
			ck_assert_uint_eq(frame->message->id, id);
			if (frame->message->size)
				size = frame->message->size;
		}
		reply = realloc(reply, *length + frame->payload.len + 1);
		ck_assert_ptr_nonnull(reply);
		if (frame->payload.len)
			memcpy(reply + *length, frame->payload.data, frame->payload.len);
		*length += frame->payload.len;
		hawser__frame__free_unpacked(frame, NULL);
	}
	/* What comes whole names no size. */
	ck_assert(size == 0 || size == *length);
	return reply;
}

void raw_expect_end(int fd, uint64_t id, enum hawser_status status, enum hawser_outcome outcome)
{
	Hawser__Frame *frame = receive_kind(fd);

	ck_assert_msg(frame, "the connection ended instead of call %llu", (unsigned long long)id);
	ck_assert_int_eq(frame->kind_case, HAWSER__FRAME__KIND_END);
	ck_assert_uint_eq(frame->end->id, id);
	ck_assert_msg(frame->end->status == status, "%s instead of %s: %s",
		      hawser_status_name((enum hawser_status)frame->end->status),
		      hawser_status_name(status), frame->end->text);
	if (status != HAWSER_OK)
		ck_assert_int_eq(frame->end->outcome, (Hawser__Outcome)outcome);
	hawser__frame__free_unpacked(frame, NULL);
}

void raw_expect_refusal(int fd, Hawser__Reason reason, const char *part)
{
	Hawser__Frame *frame = receive_kind(fd);
	Hawser__Reason got;
	const char *text;

	ck_assert_msg(frame, "the connection ended without a word of why");
	ck_assert_msg(frame->kind_case == HAWSER__FRAME__KIND_CLOSE ||
			      frame->kind_case == HAWSER__FRAME__KIND_REJECTED,
		      "frame kind %d is neither close nor rejected", (int)frame->kind_case);
	if (frame->kind_case == HAWSER__FRAME__KIND_CLOSE) {
		got = frame->close->reason;
		text = frame->close->text;
	} else {
		got = frame->rejected->reason;
		text = frame->rejected->text;
	}
	ck_assert_msg(got == reason, "reason %d instead of %d: %s", (int)got, (int)reason, text);
	ck_assert_msg(strstr(text, part), "\"%s\" does not say \"%s\"", text, part);
	hawser__frame__free_unpacked(frame, NULL);
	ck_assert_msg(!raw_receive(fd), "something follows the refusal");
}
