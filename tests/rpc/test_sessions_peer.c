/* A client's session as a server by hand sees it, also one that forgets, lies or stops in the
 * middle. */

#include "raw.h"
#include "relayed.h"
#include "stage.h"
#include "support/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- going on ---- */

static void *resume_twice(void *data)
{
	struct stage *stage = data;
	uint64_t id;
	int fd = stage_enter(stage, 0);

	raw_send_opened(fd, &stage->session);
	id = stage_take_call(fd);
	stage_answer(fd, id);
	id = stage_take_call(fd);
	close(fd);
	/* We have both calls, and the client our first reply. */
	fd = stage_enter(stage, 1);
	stage->session.received = 2;
	raw_send_opened(fd, &stage->session);
	stage_answer(fd, id);
	/* As if the next one never reached us. */
	stage_take_call(fd);
	close(fd);
	fd = stage_enter(stage, 2);
	raw_send_opened(fd, &stage->session);
	stage_serve(fd);
	return NULL;
}

START_TEST(client_tells_what_it_has)
{
	struct stage stage;
	struct result result;

	stage_start(&stage, _i, resume_twice, NULL);
	for (int i = 0; i < 4; i++) {
		stage_call(&stage, &result);
		assert_ok(&result);
	}
	ck_assert_uint_eq(client_stats(&stage.caller).sessions_resumed, 2);
	stage_stop(&stage);
	ck_assert_uint_eq(stage.asked[0].id, 0);
	ck_assert_uint_eq(stage.asked[0].token_length, 0);
	for (unsigned i = 1; i < 3; i++) {
		ck_assert_uint_eq(stage.asked[i].attempt, i);
		ck_assert_uint_eq(stage.asked[i].id, 4711);
		ck_assert_uint_eq(stage.asked[i].token_length, 16);
		ck_assert_uint_eq(stage.asked[i].peer_received, i);
	}
}
END_TEST

/* The end of call 1 with a payload of 1 MiB, of which only the beginning comes. */
static void *stop_in_an_oversized_end(void *data)
{
	static const uint8_t head[40000] = {0, 0x10, 0, 0, 0x52, 2, 8, 1, 0x7a, 0xf7, 0xff, 0x3f};
	struct stage *stage = data;
	int fd = stage_enter(stage, 0);

	raw_send_opened(fd, &stage->session);
	stage_take_call(fd);
	raw_send(fd, head, sizeof head);
	close(fd);
	fd = stage_enter(stage, 1);
	stage->session.received = 1;
	raw_send_opened(fd, &stage->session);
	stage_serve(fd);
	return NULL;
}

START_TEST(half_an_oversized_reply_is_refused_once)
{
	struct hawser_client_options options = relayed_options();
	struct stage stage;
	struct result result;

	options.max_reply_bytes = 100000;
	stage_start(&stage, _i, stop_in_an_oversized_end, &options);
	stage_call(&stage, &result);
	assert_failed(&result, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_EXECUTED,
		      "the limit is 100000");
	stage_call(&stage, &result);
	assert_ok(&result);
	stage_stop(&stage);
	ck_assert_uint_eq(stage.asked[1].peer_received, 1);
}
END_TEST

static void *stop_in_an_end(void *data)
{
	static const uint8_t half[] = {0, 0, 0, 20, 0x52, 2, 8};
	struct stage *stage = data;
	uint64_t id;
	int fd = stage_enter(stage, 0);

	raw_send_opened(fd, &stage->session);
	id = stage_take_call(fd);
	raw_send(fd, half, sizeof half);
	close(fd);
	fd = stage_enter(stage, 1);
	stage->session.received = 1;
	raw_send_opened(fd, &stage->session);
	stage_answer(fd, id);
	stage_serve(fd);
	return NULL;
}

START_TEST(half_a_reply_is_no_reply)
{
	struct stage stage;
	struct result result;

	stage_start(&stage, _i, stop_in_an_end, NULL);
	for (int i = 0; i < 2; i++) {
		stage_call(&stage, &result);
		assert_ok(&result);
	}
	stage_stop(&stage);
	ck_assert_uint_eq(stage.asked[1].peer_received, 0);
}
END_TEST

/* ---- servers that do not know the session ---- */

static void *begin_another(void *data)
{
	struct stage *stage = data;
	int fd = stage_enter(stage, 0);

	raw_send_opened(fd, &stage->session);
	stage_take_call(fd);
	close(fd);
	fd = stage_enter(stage, 1);
	stage->session.id++;
	raw_send_opened(fd, &stage->session);
	stage_serve(fd);
	return NULL;
}

START_TEST(another_session_ends_the_calls_of_the_old_one)
{
	struct stage stage;
	struct result result;

	stage_start(&stage, _i, begin_another, NULL);
	stage_call(&stage, &result);
	assert_failed(&result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "began another");
	stage_call(&stage, &result);
	assert_ok(&result);
	ck_assert_uint_eq(client_stats(&stage.caller).sessions_lost, 1);
	ck_assert_uint_eq(client_stats(&stage.caller).sessions_resumed, 0);
	stage_stop(&stage);
}
END_TEST

/* A server of an earlier kind in the place of the first one. */
static void *offer_none(void *data)
{
	struct stage *stage = data;
	int fd = stage_enter(stage, 0);

	raw_send_opened(fd, &stage->session);
	stage_take_call(fd);
	close(fd);
	fd = stage_enter(stage, 1);
	raw_send_opened(fd, NULL);
	stage_answer(fd, stage_take_call(fd));
	stage_take_call(fd);
	close(fd);
	fd = stage_enter(stage, 2);
	raw_send_opened(fd, NULL);
	stage_serve(fd);
	return NULL;
}

START_TEST(server_that_offers_no_session_any_more_is_taken_as_it_is)
{
	struct stage stage;
	struct result result;

	stage_start(&stage, _i, offer_none, NULL);
	stage_call(&stage, &result);
	assert_failed(&result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "session");
	stage_call(&stage, &result);
	assert_ok(&result);
	/* Now a cut is the end of a call. */
	stage_call(&stage, &result);
	ck_assert_int_eq(result.status, HAWSER_UNAVAILABLE);
	ck_assert_int_eq(result.error.outcome, HAWSER_OUTCOME_UNKNOWN);
	stage_call(&stage, &result);
	assert_ok(&result);
	stage_stop(&stage);
	ck_assert_uint_eq(stage.asked[2].id, 0);
}
END_TEST

/* ---- servers that lie ---- */

static void *claim(struct stage *stage, uint64_t received)
{
	int fd = stage_enter(stage, 0);

	raw_send_opened(fd, &stage->session);
	stage_answer(fd, stage_take_call(fd));
	raw_ack(fd, 1);
	stage_take_call(fd);
	close(fd);
	fd = stage_enter(stage, 1);
	stage->session.received = received;
	raw_send_opened(fd, &stage->session);
	raw_drain(fd);
	close(fd);
	fd = stage_enter(stage, 2);
	stage->session.received = 0;
	stage->session.id++;
	raw_send_opened(fd, &stage->session);
	stage_serve(fd);
	return NULL;
}

static void *claim_too_much(void *data)
{
	return claim(data, 3);
}

static void *claim_too_little(void *data)
{
	return claim(data, 0);
}

START_TEST(impossible_count_ends_the_session)
{
	struct stage stage;
	struct result result;

	stage_start(&stage, _i % STAMPS, _i < STAMPS ? claim_too_much : claim_too_little, NULL);
	stage_call(&stage, &result);
	assert_ok(&result);
	stage_call(&stage, &result);
	assert_failed(&result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "the ends disagree");
	stage_call(&stage, &result);
	assert_ok(&result);
	stage_stop(&stage);
	ck_assert_uint_eq(stage.asked[2].id, 0);
}
END_TEST

static void *acknowledge_too_much(void *data)
{
	struct stage *stage = data;
	int fd = stage_enter(stage, 0);

	raw_send_opened(fd, &stage->session);
	stage_take_call(fd);
	raw_ack(fd, 2);
	raw_drain(fd);
	close(fd);
	fd = stage_enter(stage, 1);
	raw_send_opened(fd, &stage->session);
	stage_serve(fd);
	return NULL;
}

START_TEST(ack_of_what_was_never_sent_ends_the_session)
{
	struct stage stage;
	struct result result;

	stage_start(&stage, _i, acknowledge_too_much, NULL);
	stage_call(&stage, &result);
	assert_failed(&result, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_UNKNOWN, "1 were sent");
	stage_call(&stage, &result);
	assert_ok(&result);
	stage_stop(&stage);
	ck_assert_uint_eq(stage.asked[1].id, 0);
}
END_TEST

/* A token that is none cannot be shown again: no session, then. */
static void *give_a_short_token(void *data)
{
	struct stage *stage = data;
	int fd = stage_enter(stage, 0);

	stage->session.token_length = 15;
	raw_send_opened(fd, &stage->session);
	stage_take_call(fd);
	close(fd);
	fd = stage_enter(stage, 1);
	raw_send_opened(fd, NULL);
	stage_serve(fd);
	return NULL;
}

START_TEST(session_without_a_whole_token_is_none)
{
	struct stage stage;
	struct result result;

	stage_start(&stage, _i, give_a_short_token, NULL);
	stage_call(&stage, &result);
	ck_assert_int_eq(result.status, HAWSER_UNAVAILABLE);
	ck_assert_int_eq(result.error.outcome, HAWSER_OUTCOME_UNKNOWN);
	stage_call(&stage, &result);
	assert_ok(&result);
	stage_stop(&stage);
	ck_assert_uint_eq(stage.asked[1].id, 0);
}
END_TEST

/* ---- servers that refuse ---- */

static void *refuse_first(struct stage *stage, Hawser__Reason reason)
{
	uint64_t id;
	int fd = stage_enter(stage, 0);

	raw_send_opened(fd, &stage->session);
	id = stage_take_call(fd);
	close(fd);
	fd = stage_enter(stage, 1);
	raw_reject(fd, reason, "not now");
	close(fd);
	fd = stage_enter(stage, 2);
	if (stage->asked[2].id) {
		stage->session.received = 1;
		raw_send_opened(fd, &stage->session);
		stage_answer(fd, id);
	} else {
		stage->session.id++;
		raw_send_opened(fd, &stage->session);
	}
	stage_serve(fd);
	return NULL;
}

static void *refuse_for_now(void *data)
{
	return refuse_first(data, HAWSER__REASON__REASON_TOO_MANY_CONNECTIONS);
}

static void *refuse_the_late(void *data)
{
	return refuse_first(data, HAWSER__REASON__REASON_OPEN_TIMEOUT);
}

static void *refuse_the_stranger(void *data)
{
	return refuse_first(data, HAWSER__REASON__REASON_UNAUTHENTICATED);
}

START_TEST(passing_refusal_costs_a_delay)
{
	struct stage stage;
	struct result result;

	stage_start(&stage, _i % STAMPS, _i < STAMPS ? refuse_for_now : refuse_the_late, NULL);
	stage_call(&stage, &result);
	assert_ok(&result);
	ck_assert_uint_eq(client_stats(&stage.caller).sessions_lost, 0);
	stage_stop(&stage);
}
END_TEST

START_TEST(refused_identity_is_the_end)
{
	struct stage stage;
	struct result result;

	stage_start(&stage, _i, refuse_the_stranger, NULL);
	stage_call(&stage, &result);
	assert_failed(&result, HAWSER_UNAUTHENTICATED, HAWSER_OUTCOME_UNKNOWN, "not now");
	stage_call(&stage, &result);
	assert_ok(&result);
	stage_stop(&stage);
}
END_TEST

/* Closed while there is nothing to lose: the next call begins anew. */
static void *close_idle(void *data)
{
	struct stage *stage = data;
	Hawser__Frame frame = HAWSER__FRAME__INIT;
	Hawser__Close closing = HAWSER__CLOSE__INIT;
	uint64_t id;
	int fd = stage_enter(stage, 0);

	raw_send_opened(fd, &stage->session);
	id = stage_take_call(fd);
	stage_answer(fd, id);
	closing.reason = HAWSER__REASON__REASON_IDLE;
	closing.last_call = id;
	frame.kind_case = HAWSER__FRAME__KIND_CLOSE;
	frame.close = &closing;
	raw_send_frame(fd, &frame);
	raw_drain(fd);
	close(fd);
	fd = stage_enter(stage, 1);
	stage->session.id++;
	raw_send_opened(fd, &stage->session);
	stage_serve(fd);
	return NULL;
}

START_TEST(closed_session_is_not_asked_for_again)
{
	struct stage stage;
	struct result result;

	stage_start(&stage, _i, close_idle, NULL);
	stage_call(&stage, &result);
	assert_ok(&result);
	turn_until(&stage.caller, !client_stats(&stage.caller).is_connected);
	stage_call(&stage, &result);
	assert_ok(&result);
	stage_stop(&stage);
	ck_assert_uint_eq(stage.asked[1].id, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/sessions/peer");
	TCase *tcase = suite_case(suite, "going on");

	tcase_add_loop_test(tcase, client_tells_what_it_has, 0, STAMPS);
	tcase_add_loop_test(tcase, half_an_oversized_reply_is_refused_once, 0, STAMPS);
	tcase_add_loop_test(tcase, half_a_reply_is_no_reply, 0, STAMPS);

	tcase = suite_case(suite, "servers that do not know the session");
	tcase_add_loop_test(tcase, another_session_ends_the_calls_of_the_old_one, 0, STAMPS);
	tcase_add_loop_test(tcase, server_that_offers_no_session_any_more_is_taken_as_it_is, 0,
			    STAMPS);

	tcase = suite_case(suite, "servers that lie");
	tcase_add_loop_test(tcase, impossible_count_ends_the_session, 0, 2 * STAMPS);
	tcase_add_loop_test(tcase, ack_of_what_was_never_sent_ends_the_session, 0, STAMPS);
	tcase_add_loop_test(tcase, session_without_a_whole_token_is_none, 0, STAMPS);

	tcase = suite_case(suite, "servers that refuse");
	tcase_add_loop_test(tcase, passing_refusal_costs_a_delay, 0, 2 * STAMPS);
	tcase_add_loop_test(tcase, refused_identity_is_the_end, 0, STAMPS);
	tcase_add_loop_test(tcase, closed_session_is_not_asked_for_again, 0, STAMPS);
	return suite_run(suite);
}
