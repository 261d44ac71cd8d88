/* Peers that break the protocol, at either end: each is told why, then let go. */

#include "caller.h"
#include "lines.h"
#include "raw.h"
#include "support/suite.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- raw clients ---- */

/* A connection of someone else's, which must not notice anything. */
struct victim {
	struct tester tester;
	struct caller bystander;
	int fd;
};

static void victim_start(struct victim *victim, int stamp)
{
	lines_start(HAWSER_LOG_WARNING);
	tester_start(&victim->tester, transport_of(stamp), NULL);
	caller_init(&victim->bystander, victim->tester.address, false, NULL);
	caller_echo(&victim->bystander);
	victim->fd = raw_connect(victim->tester.address);
}

static void victim_stop(struct victim *victim, unsigned protocol_errors)
{
	struct hawser_server_stats stats = {.size = sizeof stats};

	close(victim->fd);
	caller_echo(&victim->bystander);
	hawser_server_get_stats(victim->tester.server, &stats);
	ck_assert_uint_eq(stats.protocol_errors, protocol_errors);
	ck_assert_uint_eq(stats.connections_accepted, 2);
	ck_assert_uint_eq(lines_count("closed: "), protocol_errors);
	caller_deinit(&victim->bystander);
	tester_stop(&victim->tester);
	lines_stop();
}

struct first_bytes {
	const char *bytes;
	size_t length;
	Hawser__Reason reason;
	const char *part;
};

#define BYTES(text) text, sizeof text - 1

static const struct first_bytes first_bytes[] = {
	{BYTES("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), HAWSER__REASON__REASON_PROTOCOL_ERROR, "HTTP"},
	{BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), HAWSER__REASON__REASON_PROTOCOL_ERROR, "HTTP"},
	{BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
	 HAWSER__REASON__REASON_PROTOCOL_ERROR, "TLS"},
	{BYTES("\xff\xff\xff\xff"), HAWSER__REASON__REASON_PROTOCOL_ERROR, "length"},
	{BYTES("\0\0\x10\x01"), HAWSER__REASON__REASON_TOO_LARGE, "limit is 4096"},
	/* A frame of field 0, of wire type 7, of no kind, of a kind cut short. */
	{BYTES("\0\0\0\1\0"), HAWSER__REASON__REASON_PROTOCOL_ERROR, "not a frame"},
	{BYTES("\0\0\0\2\x0f\0"), HAWSER__REASON__REASON_PROTOCOL_ERROR, "not a frame"},
	{BYTES("\0\0\0\0"), HAWSER__REASON__REASON_PROTOCOL_ERROR, "not a frame"},
	{BYTES("\0\0\0\2\x0a\x05"), HAWSER__REASON__REASON_PROTOCOL_ERROR, "not a frame"},
	/* Field 100, unknown and not ignorable. */
	{BYTES("\0\0\0\3\xa2\x06\0"), HAWSER__REASON__REASON_PROTOCOL_ERROR, "not known"},
	/* Open and ping at once. */
	{BYTES("\0\0\0\4\x0a\0\x22\0"), HAWSER__REASON__REASON_PROTOCOL_ERROR, "two kinds"},
	/* A ping before open. */
	{BYTES("\0\0\0\2\x22\0"), HAWSER__REASON__REASON_PROTOCOL_ERROR, "first frame is ping"},
	/* Open whose name is no UTF-8-free field: a varint where a string belongs. */
	{BYTES("\0\0\0\4\x0a\2\x12\x7f"), HAWSER__REASON__REASON_PROTOCOL_ERROR, "open"},
	{BYTES("\0\0\0\4\x0a\2\x08\x63"), HAWSER__REASON__REASON_VERSION, "version 99"},
};

enum { N_FIRST_BYTES = sizeof first_bytes / sizeof *first_bytes };

START_TEST(first_bytes_that_are_wrong_are_refused)
{
	const struct first_bytes *wrong = &first_bytes[_i / TRANSPORTS];
	bool is_version = wrong->reason == HAWSER__REASON__REASON_VERSION;
	struct hawser_server_stats stats = {.size = sizeof stats};
	struct victim victim;

	victim_start(&victim, _i % TRANSPORTS);
	ck_assert(raw_send(victim.fd, wrong->bytes, wrong->length));
	raw_expect_refusal(victim.fd, wrong->reason, wrong->part);
	hawser_server_get_stats(victim.tester.server, &stats);
	ck_assert_uint_eq(stats.connections_refused, 1);
	victim_stop(&victim, is_version ? 0 : 1);
}
END_TEST

START_TEST(rejected_names_the_versions)
{
	Hawser__Frame frame = HAWSER__FRAME__INIT, *answer;
	Hawser__Open open = HAWSER__OPEN__INIT;
	struct tester tester;
	int fd;

	tester_start(&tester, transport_of(_i), NULL);
	fd = raw_connect(tester.address);
	open.version = 7;
	frame.kind_case = HAWSER__FRAME__KIND_OPEN;
	frame.open = &open;
	ck_assert(raw_send_frame(fd, &frame));
	answer = raw_receive(fd);
	ck_assert_ptr_nonnull(answer);
	ck_assert_int_eq(answer->kind_case, HAWSER__FRAME__KIND_REJECTED);
	ck_assert_uint_eq(answer->rejected->min_version, 1);
	ck_assert_uint_eq(answer->rejected->max_version, 1);
	ck_assert_ptr_nonnull(strstr(answer->rejected->text, "version 7"));
	ck_assert_ptr_nonnull(strstr(answer->rejected->text, "version 1"));
	hawser__frame__free_unpacked(answer, NULL);
	ck_assert_ptr_null(raw_receive(fd));
	close(fd);
	tester_stop(&tester);
}
END_TEST

enum breach {
	OPEN_TWICE,
	OPENED_FROM_A_CLIENT,
	REJECTED_FROM_A_CLIENT,
	ID_OF_THE_OTHER_PARITY,
	ID_ZERO,
	ID_AGAIN,
	ID_FALLING,
	END_OF_NO_CALL,
	CANCEL_OF_CALL_0,
	GARBAGE,
	TOO_LONG_A_PING,
	N_BREACHES,
};

START_TEST(frames_at_the_wrong_time_are_refused)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	Hawser__Frame frame = HAWSER__FRAME__INIT;
	Hawser__Open open = HAWSER__OPEN__INIT;
	Hawser__Opened opened = HAWSER__OPENED__INIT;
	Hawser__Rejected rejected = HAWSER__REJECTED__INIT;
	Hawser__Cancel cancel = HAWSER__CANCEL__INIT;
	Hawser__Reason reason = HAWSER__REASON__REASON_PROTOCOL_ERROR;
	enum breach breach = (enum breach)(_i / TRANSPORTS);
	const char *part = "";
	struct victim victim;

	victim_start(&victim, _i % TRANSPORTS);
	raw_open(victim.fd);
	ck_assert(raw_call(victim.fd, 5, ECHO, &request));
	raw_expect_end(victim.fd, 5, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	open.version = opened.version = 1;
	switch (breach) {
	case OPEN_TWICE:
		frame.kind_case = HAWSER__FRAME__KIND_OPEN;
		frame.open = &open;
		part = "open already";
		break;
	case OPENED_FROM_A_CLIENT:
		frame.kind_case = HAWSER__FRAME__KIND_OPENED;
		frame.opened = &opened;
		part = "opened";
		break;
	case REJECTED_FROM_A_CLIENT:
		frame.kind_case = HAWSER__FRAME__KIND_REJECTED;
		frame.rejected = &rejected;
		part = "rejected";
		break;
	case ID_OF_THE_OTHER_PARITY:
		raw_call(victim.fd, 8, ECHO, &request);
		part = "other end's";
		break;
	case ID_ZERO:
		raw_call(victim.fd, 0, ECHO, &request);
		part = "id";
		break;
	case ID_AGAIN:
		raw_call(victim.fd, 5, ECHO, &request);
		part = "not above";
		break;
	case ID_FALLING:
		raw_call(victim.fd, 3, ECHO, &request);
		part = "not above";
		break;
	case END_OF_NO_CALL:
		raw_end(victim.fd, 0, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN, NULL);
		part = "names no call";
		break;
	case CANCEL_OF_CALL_0:
		frame.kind_case = HAWSER__FRAME__KIND_CANCEL;
		frame.cancel = &cancel;
		part = "names no call";
		break;
	case GARBAGE:
		raw_send(victim.fd, "\x7fgarbage", 8);
		part = "not a frame";
		break;
	case TOO_LONG_A_PING: {
		/* The head says 5 MiB, and not of a payload. */
		static const uint8_t ping[600] = {0, 0x50, 0, 0, 0x22, 0};

		raw_send(victim.fd, ping, sizeof ping);
		reason = HAWSER__REASON__REASON_TOO_LARGE;
		part = "5242880";
		break;
	}
	case N_BREACHES:
		break;
	}
	if (frame.kind_case != HAWSER__FRAME__KIND__NOT_SET)
		ck_assert(raw_send_frame(victim.fd, &frame));
	raw_expect_refusal(victim.fd, reason, part);
	victim_stop(&victim, 1);
}
END_TEST

START_TEST(frames_without_meaning_are_skipped)
{
	/* Field 100 with ignorable set; a frame that is ignorable and nothing else. */
	static const char unknown[] = "\0\0\0\5\xa2\x06\0\x70\1\0\0\0\2\x70\1";
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	Hawser__Frame frame = HAWSER__FRAME__INIT, *answer;
	Hawser__Cancel cancel = HAWSER__CANCEL__INIT;
	Hawser__Window window = HAWSER__WINDOW__INIT;
	struct victim victim;

	victim_start(&victim, _i);
	raw_open(victim.fd);
	ck_assert(raw_send(victim.fd, unknown, sizeof unknown - 1));
	/* A cancel, an end and a window of calls that are not there (any more). */
	cancel.id = 77;
	frame.kind_case = HAWSER__FRAME__KIND_CANCEL;
	frame.cancel = &cancel;
	ck_assert(raw_send_frame(victim.fd, &frame));
	window.id = 79;
	frame.kind_case = HAWSER__FRAME__KIND_WINDOW;
	frame.window = &window;
	ck_assert(raw_send_frame(victim.fd, &frame));
	ck_assert(raw_end(victim.fd, 2, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN, NULL));
	ck_assert(raw_ping(victim.fd, 31));
	answer = raw_receive(victim.fd);
	ck_assert_ptr_nonnull(answer);
	ck_assert_int_eq(answer->kind_case, HAWSER__FRAME__KIND_PONG);
	ck_assert_uint_eq(answer->pong->number, 31);
	hawser__frame__free_unpacked(answer, NULL);
	ck_assert(raw_call(victim.fd, 1, ECHO, &request));
	raw_expect_end(victim.fd, 1, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	victim_stop(&victim, 0);
}
END_TEST

START_TEST(request_that_is_no_message_fails_alone)
{
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	Hawser__Frame frame = HAWSER__FRAME__INIT, *answer;
	Hawser__Call call = HAWSER__CALL__INIT;
	struct victim victim;

	victim_start(&victim, _i);
	raw_open(victim.fd);
	call.id = 1;
	call.method = method_of(ECHO)->id;
	frame.kind_case = HAWSER__FRAME__KIND_CALL;
	frame.call = &call;
	frame.payload.data = (uint8_t *)"\xff\xff\xff";
	frame.payload.len = 3;
	ck_assert(raw_send_frame(victim.fd, &frame));
	answer = raw_receive(victim.fd);
	ck_assert_ptr_nonnull(answer);
	ck_assert_int_eq(answer->kind_case, HAWSER__FRAME__KIND_END);
	ck_assert_uint_eq(answer->end->status, HAWSER_INVALID_ARGUMENT);
	ck_assert_int_eq(answer->end->outcome, HAWSER__OUTCOME__OUTCOME_NOT_EXECUTED);
	ck_assert_ptr_nonnull(strstr(answer->end->text, "rpctest.Payload"));
	hawser__frame__free_unpacked(answer, NULL);
	ck_assert(raw_call(victim.fd, 3, ECHO, &request));
	raw_expect_end(victim.fd, 3, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	victim_stop(&victim, 0);
}
END_TEST

START_TEST(call_by_name_alone_is_found)
{
	Hawser__Frame frame = HAWSER__FRAME__INIT;
	Hawser__Call call = HAWSER__CALL__INIT;
	Hawser__Method method = HAWSER__METHOD__INIT;
	struct victim victim;

	victim_start(&victim, _i);
	raw_open(victim.fd);
	method.name = (char *)"rpctest.Tester/Echo";
	call.id = 1;
	call.announce = &method;
	frame.kind_case = HAWSER__FRAME__KIND_CALL;
	frame.call = &call;
	ck_assert(raw_send_frame(victim.fd, &frame));
	raw_expect_end(victim.fd, 1, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	victim_stop(&victim, 0);
}
END_TEST

START_TEST(methods_told_in_open_are_checked)
{
	Hawser__Frame frame = HAWSER__FRAME__INIT, *answer;
	Hawser__Open open = HAWSER__OPEN__INIT;
	Hawser__Method methods[3] = {HAWSER__METHOD__INIT, HAWSER__METHOD__INIT,
				     HAWSER__METHOD__INIT};
	Hawser__Method *pointers[3] = {&methods[0], &methods[1], &methods[2]};
	struct victim victim;

	victim_start(&victim, _i);
	methods[0].name = (char *)"rpctest.Tester/Echo";
	methods[1].name = (char *)"rpctest.Tester/Ehco";
	methods[2].name = (char *)"rpctest.Tester/Echo";
	methods[2].request = (char *)"other.Type";
	open.version = 1;
	open.methods = pointers;
	open.n_methods = 3;
	frame.kind_case = HAWSER__FRAME__KIND_OPEN;
	frame.open = &open;
	ck_assert(raw_send_frame(victim.fd, &frame));
	answer = raw_receive(victim.fd);
	ck_assert_ptr_nonnull(answer);
	ck_assert_int_eq(answer->kind_case, HAWSER__FRAME__KIND_OPENED);
	ck_assert_uint_eq(answer->opened->n_problems, 2);
	ck_assert_ptr_nonnull(strstr(answer->opened->problems[0], "Ehco: no such method"));
	ck_assert_ptr_nonnull(strstr(answer->opened->problems[1], "other.Type"));
	ck_assert_ptr_nonnull(strstr(answer->opened->problems[1], "rpctest.Payload"));
	hawser__frame__free_unpacked(answer, NULL);
	victim_stop(&victim, 0);
}
END_TEST

/* ---- raw servers ---- */

enum answer {
	ANSWER_GARBAGE,       /* instead of opened */
	ANSWER_VERSION,       /* opened with another version */
	ANSWER_CALL_FIRST,    /* a frame before opened */
	ANSWER_REJECTED,      /* for a reason of its own */
	ANSWER_NOTHING,       /* and closes */
	CALL_THEN_GARBAGE,    /* takes the call, answers garbage, keeps the connection */
	CALL_THEN_BAD_REPLY,  /* a reply that is no message */
	CALL_THEN_BAD_STATUS, /* a status that is none */
	N_ANSWERS,
};

struct raw_server {
	enum answer answer;
	int listener;
	int rounds;
	pthread_t thread;
};

static void serve_wrongly(int fd, enum answer answer)
{
	Hawser__Frame frame = HAWSER__FRAME__INIT, *came;
	Hawser__Opened opened = HAWSER__OPENED__INIT;
	Hawser__Rejected rejected = HAWSER__REJECTED__INIT;
	Hawser__End end = HAWSER__END__INIT;

	switch (answer) {
	case ANSWER_GARBAGE:
		raw_send(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
		break;
	case ANSWER_VERSION:
		opened.version = 99;
		frame.kind_case = HAWSER__FRAME__KIND_OPENED;
		frame.opened = &opened;
		raw_send_frame(fd, &frame);
		break;
	case ANSWER_CALL_FIRST:
		raw_ping(fd, 1);
		break;
	case ANSWER_REJECTED:
		rejected.reason = HAWSER__REASON__REASON_UNAUTHENTICATED;
		rejected.text = (char *)"who are you?";
		frame.kind_case = HAWSER__FRAME__KIND_REJECTED;
		frame.rejected = &rejected;
		raw_send_frame(fd, &frame);
		break;
	case ANSWER_NOTHING:
		shutdown(fd, SHUT_WR);
		break;
	default:
		raw_opened(fd);
		came = raw_receive(fd);
		if (came)
			hawser__frame__free_unpacked(came, NULL);
		if (answer == CALL_THEN_GARBAGE) {
			raw_send(fd, "\x7fgarbage", 8);
			break;
		}
		end.id = 1;
		if (answer == CALL_THEN_BAD_STATUS) {
			end.status = 99;
			end.outcome = HAWSER__OUTCOME__OUTCOME_EXECUTED;
		} else {
			frame.payload.data = (uint8_t *)"\xff\xff\xff";
			frame.payload.len = 3;
		}
		frame.kind_case = HAWSER__FRAME__KIND_END;
		frame.end = &end;
		raw_send_frame(fd, &frame);
		break;
	}
}

static void *raw_server_main(void *data)
{
	struct raw_server *server = data;

	for (int i = 0; i < server->rounds; i++) {
		int fd = raw_accept(server->listener);

		serve_wrongly(fd, server->answer);
		/* It never closes first, nor says why. */
		raw_drain(fd);
		close(fd);
	}
	return NULL;
}

static const struct {
	enum hawser_status status;
	enum hawser_outcome outcome;
	const char *part;
	int connections; /* that two calls take */
} told[N_ANSWERS] = {
	[ANSWER_GARBAGE] = {HAWSER_UNAVAILABLE, HAWSER_OUTCOME_NOT_SENT, "HTTP", 2},
	[ANSWER_VERSION] = {HAWSER_FAILED_PRECONDITION, HAWSER_OUTCOME_NOT_SENT, "version 99", 2},
	[ANSWER_CALL_FIRST] = {HAWSER_UNAVAILABLE, HAWSER_OUTCOME_NOT_SENT, "first frame is ping",
			       2},
	[ANSWER_REJECTED] = {HAWSER_UNAUTHENTICATED, HAWSER_OUTCOME_NOT_SENT, "who are you?", 2},
	[ANSWER_NOTHING] = {HAWSER_UNAVAILABLE, HAWSER_OUTCOME_NOT_SENT, "closed", 2},
	[CALL_THEN_GARBAGE] = {HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "not a frame", 2},
	[CALL_THEN_BAD_REPLY] = {HAWSER_INTERNAL, HAWSER_OUTCOME_EXECUTED,
				 "no valid rpctest.Payload", 1},
	[CALL_THEN_BAD_STATUS] = {HAWSER_UNKNOWN, HAWSER_OUTCOME_EXECUTED, "", 1},
};

/* The client says what is wrong with its server, long before the deadline, and does not
 * cling to the connection. */
START_TEST(server_that_breaks_the_protocol_is_named)
{
	enum answer answer = (enum answer)(_i / STAMPS);
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct raw_server server = {.answer = answer, .rounds = told[answer].connections};
	char directory[128] = "", address[ADDRESS_SIZE];
	struct caller caller;
	struct result result;

	lines_start(HAWSER_LOG_WARNING);
	if (transport_of(_i % STAMPS) == OVER_UNIX)
		directory_make(directory, sizeof directory);
	server.listener = raw_listen(transport_of(_i % STAMPS), directory, address);
	ck_assert_int_eq(pthread_create(&server.thread, NULL, raw_server_main, &server), 0);
	caller_init(&caller, address, is_async(_i % STAMPS), NULL);
	context.timeout_ms = 20000;
	for (int i = 0; i < told[answer].connections; i++) {
		caller_call(&caller, ECHO, &request, &context, &result);
		assert_failed(&result, told[answer].status, told[answer].outcome,
			      told[answer].part);
	}
	caller_deinit(&caller);
	pthread_join(server.thread, NULL);
	close(server.listener);
	if (directory[0]) {
		unlink(address + strlen("unix:"));
		directory_remove(directory);
	}
	lines_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/protocol");
	TCase *tcase = suite_case(suite, "clients");

	tcase_add_loop_test(tcase, first_bytes_that_are_wrong_are_refused, 0,
			    N_FIRST_BYTES * TRANSPORTS);
	tcase_add_loop_test(tcase, rejected_names_the_versions, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, frames_at_the_wrong_time_are_refused, 0,
			    N_BREACHES * TRANSPORTS);
	tcase_add_loop_test(tcase, frames_without_meaning_are_skipped, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, request_that_is_no_message_fails_alone, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, call_by_name_alone_is_found, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, methods_told_in_open_are_checked, 0, TRANSPORTS);

	tcase = suite_case(suite, "servers");
	tcase_add_loop_test(tcase, server_that_breaks_the_protocol_is_named, 0, N_ANSWERS * STAMPS);
	return suite_run(suite);
}
