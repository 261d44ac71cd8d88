/* A server's sessions as a client by hand sees them: who may go on with one, from where, and what
 * happens to whoever may not. */

#include "raw.h"
#include "relayed.h"
#include "support/suite.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TOKEN_BYTES = 16 };

static Rpctest__Payload empty = RPCTEST__PAYLOAD__INIT;

/* For what nothing else tells of. */
static void moment(void)
{
	poll(NULL, 0, 1);
}

/* A new session on a new connection. */
static int begin(struct tester *tester, struct raw_session *session)
{
	int fd = raw_connect(tester->address);

	memset(session, 0, sizeof *session);
	raw_open_session(fd, session);
	ck_assert_uint_ne(session->id, 0);
	ck_assert_uint_eq(session->token_length, TOKEN_BYTES);
	ck_assert_uint_eq(session->peer_received, 0);
	return fd;
}

static void echo(int fd, uint64_t id, struct raw_session *session)
{
	ck_assert(raw_call(fd, id, ECHO, &empty));
	raw_expect_end(fd, id, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	session->received++;
}

static void await_sessions(struct tester *tester, unsigned sessions, unsigned away)
{
	while (server_stats(tester).sessions != sessions ||
	       server_stats(tester).sessions_away != away)
		moment();
}

/* Closes the connection and waits until the server knows. */
static void leave(struct tester *tester, int fd)
{
	close(fd);
	await_sessions(tester, 1, 1);
}

static void expect_expired(struct tester *tester, const struct raw_session *session,
			   const char *part)
{
	int fd = raw_connect(tester->address);

	ck_assert(raw_send_open(fd, session));
	raw_expect_refusal(fd, HAWSER__REASON__REASON_SESSION_EXPIRED, part);
	close(fd);
}

/* ---- going on ---- */

START_TEST(session_is_told_in_opened)
{
	struct hawser_server_options options = tester_options();
	struct raw_session first, second;
	struct tester tester;
	int fds[2];

	options.session_window_ms = 12345;
	tester_start(&tester, transport_of(_i), &options);
	fds[0] = begin(&tester, &first);
	fds[1] = begin(&tester, &second);
	ck_assert_uint_eq(first.window_ms, 12345);
	ck_assert_uint_ne(first.id, second.id);
	ck_assert_int_ne(memcmp(first.token, second.token, TOKEN_BYTES), 0);
	ck_assert_uint_eq(server_stats(&tester).sessions, 2);
	close(fds[0]);
	close(fds[1]);
	tester_stop(&tester);
}
END_TEST

START_TEST(client_that_asks_for_none_gets_none)
{
	struct tester tester;
	int fd;

	tester_start(&tester, transport_of(_i), NULL);
	fd = raw_connect(tester.address);
	raw_open(fd);
	ck_assert(raw_call(fd, 1, HOLD, &empty));
	tester_held(&tester, 0);
	ck_assert_uint_eq(server_stats(&tester).sessions, 0);
	close(fd);
	tester_wait_cancelled(&tester, 1);
	tester_stop(&tester);
}
END_TEST

/* What was not received comes once more, in order, and nothing else. */
START_TEST(replies_are_sent_again_from_where_the_client_says)
{
	enum { CALLS = 10 };
	struct raw_session session;
	struct tester tester;
	int fd;

	tester_start(&tester, transport_of(_i), NULL);
	fd = begin(&tester, &session);
	for (unsigned i = 0; i < CALLS; i++)
		ck_assert(raw_call(fd, 2 * i + 1, ECHO, &empty));
	for (unsigned i = 0; i < CALLS; i++)
		raw_expect_end(fd, 2 * i + 1, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	/* We pretend to have lost ever fewer of them. */
	for (unsigned i = 0; i <= CALLS; i++) {
		leave(&tester, fd);
		session.received = i;
		fd = raw_connect(tester.address);
		raw_open_session(fd, &session);
		ck_assert_uint_eq(session.peer_received, CALLS);
		for (unsigned later = i; later < CALLS; later++)
			raw_expect_end(fd, 2 * later + 1, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	}
	echo(fd, 2 * CALLS + 1, &session);
	ck_assert_uint_eq(tester_executed(&tester), CALLS + 1);
	ck_assert_uint_eq(server_stats(&tester).sessions_resumed, CALLS + 1);
	ck_assert_uint_eq(server_stats(&tester).sessions_taken_over, 0);
	close(fd);
	tester_stop(&tester);
}
END_TEST

/* A call of which only a part came is not counted; the client sends it again. */
START_TEST(half_a_call_is_no_call)
{
	static const uint8_t half[] = {0, 0, 0, 100, 0x42, 10, 8, 3, 0x15};
	struct raw_session session;
	struct tester tester;
	int fd;

	tester_start(&tester, transport_of(_i), NULL);
	fd = begin(&tester, &session);
	echo(fd, 1, &session);
	ck_assert(raw_send(fd, half, sizeof half));
	leave(&tester, fd);
	fd = raw_connect(tester.address);
	raw_open_session(fd, &session);
	ck_assert_uint_eq(session.peer_received, 1);
	echo(fd, 3, &session);
	ck_assert_uint_eq(tester_executed(&tester), 2);
	close(fd);
	tester_stop(&tester);
}
END_TEST

/* A call that is too large is refused by its head, and counts although its rest never comes. */
START_TEST(half_an_oversized_call_is_refused_once)
{
	/* A head is looked for in the first 32 KiB. */
	enum { MOST = 100000, SENT = 40000 };
	struct hawser_server_options options = tester_options();
	static const uint8_t head[SENT] = {0, 4, 0, 0, 0x42, 7,    8,    3,  0x15,
					   1, 2, 3, 4, 0x7a, 0xf3, 0xff, 0xf};
	struct raw_session session;
	struct tester tester;
	int fd;

	options.max_request_bytes = MOST;
	tester_start(&tester, transport_of(_i), &options);
	fd = begin(&tester, &session);
	echo(fd, 1, &session);
	ck_assert(raw_send(fd, head, sizeof head));
	raw_expect_end(fd, 3, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_NOT_EXECUTED);
	leave(&tester, fd);
	/* That end is lost on the way. */
	fd = raw_connect(tester.address);
	raw_open_session(fd, &session);
	ck_assert_uint_eq(session.peer_received, 2);
	raw_expect_end(fd, 3, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_NOT_EXECUTED);
	session.received++;
	echo(fd, 5, &session);
	close(fd);
	tester_stop(&tester);
}
END_TEST

/* What follows open in the same segment belongs to the session, too. */
START_TEST(calls_right_behind_open_are_taken)
{
	struct hawser_server_options options = tester_options();
	struct raw_session session;
	struct tester tester;
	int fd;

	/* The connection goes from loop to loop, with all that was sent. */
	options.loops = 3;
	tester_start(&tester, transport_of(_i), &options);
	fd = begin(&tester, &session);
	echo(fd, 1, &session);
	for (unsigned i = 1; i <= 6; i++) {
		Hawser__Frame *opened;

		leave(&tester, fd);
		fd = raw_connect(tester.address);
		ck_assert(raw_send_open(fd, &session));
		ck_assert(raw_call(fd, 4 * i - 1, ECHO, &empty));
		ck_assert(raw_call(fd, 4 * i + 1, ECHO, &empty));
		opened = raw_receive(fd);
		ck_assert_ptr_nonnull(opened);
		ck_assert_int_eq(opened->kind_case, HAWSER__FRAME__KIND_OPENED);
		hawser__frame__free_unpacked(opened, NULL);
		raw_expect_end(fd, 4 * i - 1, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
		raw_expect_end(fd, 4 * i + 1, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
		session.received += 2;
	}
	ck_assert_uint_eq(server_stats(&tester).sessions, 1);
	ck_assert_uint_eq(server_stats(&tester).sessions_resumed, 6);
	close(fd);
	tester_stop(&tester);
}
END_TEST

/* ---- taking over ---- */

START_TEST(right_token_takes_the_session_over)
{
	struct raw_session session;
	struct tester tester;
	int first, second;

	tester_start(&tester, transport_of(_i), NULL);
	first = begin(&tester, &session);
	echo(first, 1, &session);
	ck_assert(raw_call(first, 3, HOLD, &empty));
	tester_held(&tester, 0);
	for (unsigned i = 1; i <= 3; i++) {
		second = raw_connect(tester.address);
		raw_open_session(second, &session);
		ck_assert_uint_eq(session.peer_received, 2);
		raw_expect_refusal(first, HAWSER__REASON__REASON_TAKEN_OVER, "taken over by");
		close(first);
		first = second;
		ck_assert_uint_eq(server_stats(&tester).sessions_taken_over, i);
		ck_assert_uint_eq(server_stats(&tester).sessions_resumed, i);
		ck_assert_uint_eq(server_stats(&tester).connections, 1);
	}
	ck_assert(!hawser_call_cancelled(tester_held(&tester, 0)));
	rpctest_tester_hold_reply(tester_held(&tester, 0), &empty);
	raw_expect_end(first, 3, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	close(first);
	tester_stop(&tester);
}
END_TEST

/* Who comes late must not take anything from who came after him. */
START_TEST(late_attempt_is_refused_and_harmless)
{
	struct raw_session session, late;
	struct tester tester;
	int fd, other;

	tester_start(&tester, transport_of(_i), NULL);
	fd = begin(&tester, &session);
	echo(fd, 1, &session);
	late = session;
	leave(&tester, fd);
	session.attempt = 5;
	fd = raw_connect(tester.address);
	raw_open_session(fd, &session);
	for (late.attempt = 1; late.attempt <= 5; late.attempt++) {
		other = raw_connect(tester.address);
		ck_assert(raw_send_open(other, &late));
		raw_expect_refusal(other, HAWSER__REASON__REASON_TAKEN_OVER, "later attempt");
		close(other);
		echo(fd, 2 * late.attempt + 1, &session);
		/* Nor with a number that would end the session if it were in time. */
		late.received = late.attempt % 2 ? 0 : 1000;
	}
	ck_assert_uint_eq(server_stats(&tester).sessions_taken_over, 0);
	session.attempt = 6;
	other = raw_connect(tester.address);
	raw_open_session(other, &session);
	raw_expect_refusal(fd, HAWSER__REASON__REASON_TAKEN_OVER, "taken over");
	echo(other, 21, &session);
	close(fd);
	close(other);
	tester_stop(&tester);
}
END_TEST

/* ---- who may not ---- */

/* Nothing that a stranger can say harms a session. */
START_TEST(wrong_proof_is_refused_and_harmless)
{
	struct raw_session session, wrong;
	struct tester tester;
	int fd;

	tester_start(&tester, transport_of(_i), NULL);
	fd = begin(&tester, &session);
	echo(fd, 1, &session);
	for (unsigned bit = 0; bit < 8 * TOKEN_BYTES; bit++) {
		wrong = session;
		wrong.token[bit / 8] ^= (uint8_t)(1 << bit % 8);
		expect_expired(&tester, &wrong, "session expired");
	}
	for (size_t length = 0; length <= sizeof wrong.token; length++) {
		wrong = session;
		wrong.token_length = length;
		if (length != TOKEN_BYTES)
			expect_expired(&tester, &wrong, "session expired");
	}
	wrong = session;
	wrong.id++;
	expect_expired(&tester, &wrong, "session expired");
	wrong = session;
	wrong.received = UINT64_MAX;
	wrong.token[0]++;
	expect_expired(&tester, &wrong, "session expired");
	ck_assert_uint_eq(server_stats(&tester).sessions, 1);
	ck_assert_uint_eq(server_stats(&tester).sessions_taken_over, 0);
	echo(fd, 3, &session);
	leave(&tester, fd);
	/* While it is away neither. */
	wrong = session;
	wrong.token[TOKEN_BYTES - 1]++;
	expect_expired(&tester, &wrong, "session expired");
	ck_assert_uint_eq(server_stats(&tester).sessions_away, 1);
	fd = raw_connect(tester.address);
	raw_open_session(fd, &session);
	echo(fd, 5, &session);
	close(fd);
	tester_stop(&tester);
}
END_TEST

/* A session belongs to the user who began it, as far as the system tells who that is. */
START_TEST(another_user_is_refused)
{
	enum { NOBODY = 65534 };
	struct hawser_server_options options = tester_options();
	struct raw_session session;
	struct tester tester;
	int fd, other;

	if (geteuid() != 0)
		return;
	options.unix_mode = 0666;
	tester_start(&tester, OVER_UNIX, &options);
	ck_assert_int_eq(chmod(tester.directory, 0755), 0);
	fd = begin(&tester, &session);
	echo(fd, 1, &session);
	ck_assert_int_eq(seteuid(NOBODY), 0);
	other = raw_try_connect(tester.address);
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_ge(other, 0);
	ck_assert(raw_send_open(other, &session));
	raw_expect_refusal(other, HAWSER__REASON__REASON_SESSION_EXPIRED, "session expired");
	close(other);
	echo(fd, 3, &session);
	close(fd);
	tester_stop(&tester);
}
END_TEST

/* The rightful client with a number that cannot be: the ends would never agree again. */
START_TEST(impossible_count_ends_the_session)
{
	struct raw_session session, wrong;
	struct tester tester;
	int fd;

	tester_start(&tester, transport_of(_i), NULL);
	for (int round = 0; round < 2; round++) {
		fd = begin(&tester, &session);
		ck_assert(raw_call(fd, 1, HOLD, &empty));
		tester_held(&tester, (unsigned)round);
		for (unsigned i = 1; i <= 5; i++)
			echo(fd, 2 * i + 1, &session);
		ck_assert(raw_ack(fd, 3));
		ck_assert(raw_ping(fd, 1));
		hawser__frame__free_unpacked(raw_receive(fd), NULL);
		wrong = session;
		/* More than was sent, or less than was acknowledged. */
		wrong.received = round ? 2 : 6;
		expect_expired(&tester, &wrong, "the ends disagree");
		tester_wait_cancelled(&tester, (unsigned)round + 1);
		expect_expired(&tester, &session, "session expired");
		ck_assert_uint_eq(server_stats(&tester).sessions, 0);
		close(fd);
	}
	/* What it says itself is no secret of the protocol. */
	fd = begin(&tester, &session);
	echo(fd, 1, &session);
	close(fd);
	tester_stop(&tester);
}
END_TEST

START_TEST(ack_of_what_was_never_sent_is_a_protocol_error)
{
	struct raw_session session;
	struct tester tester;
	int fd;

	tester_start(&tester, transport_of(_i), NULL);
	fd = begin(&tester, &session);
	echo(fd, 1, &session);
	ck_assert(raw_ack(fd, 2));
	raw_expect_refusal(fd, HAWSER__REASON__REASON_PROTOCOL_ERROR, "1 were sent");
	close(fd);
	tester_stop(&tester);
}
END_TEST

START_TEST(server_without_sessions_offers_none)
{
	struct hawser_server_options options = tester_options();
	struct raw_session session = {.id = 0};
	struct tester tester;
	Hawser__Frame *answer;
	int fd;

	options.no_sessions = true;
	tester_start(&tester, transport_of(_i), &options);
	fd = raw_connect(tester.address);
	ck_assert(raw_send_open(fd, &session));
	answer = raw_receive(fd);
	ck_assert_ptr_nonnull(answer);
	ck_assert_int_eq(answer->kind_case, HAWSER__FRAME__KIND_OPENED);
	ck_assert_ptr_null(answer->opened->session);
	hawser__frame__free_unpacked(answer, NULL);
	echo(fd, 1, &session);
	/* As if another server had been here before. */
	session.id = 4711;
	session.token_length = TOKEN_BYTES;
	expect_expired(&tester, &session, "session expired");
	close(fd);
	tester_stop(&tester);
}
END_TEST

/* ---- bounds ---- */

/* A client that takes replies and never acknowledges them. */
START_TEST(log_that_nobody_acknowledges_refuses_calls)
{
	enum { LIMIT = 1 << 20, REPLY = 60000 };
	struct hawser_server_options options = tester_options();
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;
	struct raw_session session;
	struct tester tester;
	uint64_t id = 1;
	int fd;

	options.max_log_bytes = LIMIT;
	request.number = REPLY;
	tester_start(&tester, transport_of(_i), &options);
	fd = begin(&tester, &session);
	for (; id < 2 * (LIMIT / REPLY + 1); id += 2) {
		ck_assert(raw_call(fd, id, GROW, &request));
		raw_expect_end(fd, id, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
		session.received++;
	}
	for (int i = 0; i < 3; i++, id += 2) {
		ck_assert(raw_call(fd, id, GROW, &request));
		raw_expect_end(fd, id, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_NOT_EXECUTED);
		session.received++;
	}
	while (server_stats(&tester).log_bytes < LIMIT / 2)
		moment();
	ck_assert(raw_ack(fd, session.received));
	ck_assert(raw_call(fd, id, GROW, &request));
	raw_expect_end(fd, id, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	close(fd);
	tester_stop(&tester);
}
END_TEST

/* The server says so before it lets go of a client that is silent, and keeps its session. */
START_TEST(silent_client_may_come_back)
{
	struct hawser_server_options options = tester_options();
	struct raw_session session;
	struct tester tester;
	int fd;

	options.silence_timeout_ms = patient_ms(60);
	tester_start(&tester, transport_of(_i), &options);
	fd = begin(&tester, &session);
	ck_assert(raw_call(fd, 1, HOLD, &empty));
	tester_held(&tester, 0);
	raw_expect_refusal(fd, HAWSER__REASON__REASON_SILENT, "nothing was heard for");
	await_sessions(&tester, 1, 1);
	ck_assert(!hawser_call_cancelled(tester_held(&tester, 0)));
	close(fd);
	fd = raw_connect(tester.address);
	raw_open_session(fd, &session);
	rpctest_tester_hold_reply(tester_held(&tester, 0), &empty);
	raw_expect_end(fd, 1, HAWSER_OK, HAWSER_OUTCOME_UNKNOWN);
	close(fd);
	tester_stop(&tester);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/sessions/raw");
	TCase *tcase = suite_case(suite, "going on");

	tcase_add_loop_test(tcase, session_is_told_in_opened, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, client_that_asks_for_none_gets_none, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, replies_are_sent_again_from_where_the_client_says, 0,
			    TRANSPORTS);
	tcase_add_loop_test(tcase, half_a_call_is_no_call, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, half_an_oversized_call_is_refused_once, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, calls_right_behind_open_are_taken, 0, TRANSPORTS);

	tcase = suite_case(suite, "taking over");
	tcase_add_loop_test(tcase, right_token_takes_the_session_over, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, late_attempt_is_refused_and_harmless, 0, TRANSPORTS);

	tcase = suite_case(suite, "who may not");
	tcase_add_loop_test(tcase, wrong_proof_is_refused_and_harmless, 0, TRANSPORTS);
	tcase_add_test(tcase, another_user_is_refused);
	tcase_add_loop_test(tcase, impossible_count_ends_the_session, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, ack_of_what_was_never_sent_is_a_protocol_error, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, server_without_sessions_offers_none, 0, TRANSPORTS);

	tcase = suite_case(suite, "bounds");
	tcase_add_loop_test(tcase, log_that_nobody_acknowledges_refuses_calls, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, silent_client_may_come_back, 0, TRANSPORTS);
	return suite_run(suite);
}
