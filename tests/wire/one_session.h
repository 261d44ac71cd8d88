/* One session under test: what it is fed, and what came of it. For suites that include
 * it once; every name is the suite's own. */

#ifndef TESTS_WIRE_ONE_SESSION_H
#define TESTS_WIRE_ONE_SESSION_H

#include "frames.h"
#include "support/suite.h"
#include "wire/session.h"
#include <errno.h>
#include <string.h>

enum { MAX_PAYLOAD = 1000 };

static struct hawser__pool pool;
static struct hawser__session session;
static struct hawser__frame frame;
static struct hawser__problem problem;
static size_t need;

static void start(bool is_server, enum hawser__session_state state)
{
	memset(&pool, 0, sizeof pool);
	hawser__session_init(&session, is_server, MAX_PAYLOAD, &pool);
	ck_assert_int_eq(session.state, HAWSER__SESSION_NEW);
	session.state = state;
}

static void stop(void)
{
	hawser__session_deinit(&session);
	hawser__pool_deinit(&pool);
}

static ptrdiff_t next(const void *data, size_t length)
{
	struct bytes bytes = bytes_copy(data, length);
	ptrdiff_t taken;

	memset(&problem, 0, sizeof problem);
	taken = hawser__session_next(&session, bytes.data, bytes.length, &frame, &need, &problem);
	bytes_free(&bytes);
	return taken;
}

static ptrdiff_t next_frame(Hawser__Frame *message, enum hawser__frame_kind kind, void *body)
{
	struct bytes bytes;
	ptrdiff_t taken;

	message->kind_case = (Hawser__Frame__KindCase)kind;
	message->open = body; /* the oneof's members share their place */
	bytes = frame_pack_prefixed(message);
	taken = next(bytes.data, bytes.length);
	if (taken > 0)
		ck_assert_int_eq(taken, (ptrdiff_t)bytes.length);
	bytes_free(&bytes);
	return taken;
}

#define REFUSED(expression, expected_reason, expected_text)                                 \
	do {                                                                                \
		ck_assert_int_eq(expression, -EBADMSG);                                     \
		ck_assert_int_eq(problem.reason, HAWSER__REASON__REASON_##expected_reason); \
		ck_assert_str_eq(problem.text, expected_text);                              \
	} while (0)

#endif /* TESTS_WIRE_ONE_SESSION_H */
