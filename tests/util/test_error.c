/* Errors: what they say, that they fit, that errno texts read like half a sentence. */

#include "support/suite.h"
#include "util/error.h"
#include <errno.h>
#include <string.h>

START_TEST(error_set_fills_everything_and_returns_the_code)
{
	struct hawser_error error;
	char text[64];

	memset(&error, 0xff, sizeof error);
	errno = 0;
	ck_assert_int_eq(hawser__error_set(&error, -EADDRINUSE, "listen %s: %s", "tcp:[::1]:7070",
					   hawser__errno_text(-EADDRINUSE, text, sizeof text)),
			 -EADDRINUSE);
	ck_assert_int_eq(errno, EADDRINUSE);
	ck_assert_int_eq(error.status, HAWSER_ALREADY_EXISTS);
	ck_assert_int_eq(error.outcome, HAWSER_OUTCOME_NOT_SENT);
	ck_assert_int_eq(error.code, -EADDRINUSE);
	ck_assert_str_eq(error.message, "listen tcp:[::1]:7070: address already in use");
}
END_TEST

START_TEST(error_set_accepts_null)
{
	errno = 0;
	ck_assert_int_eq(hawser__error_set(NULL, -ENOMEM, "no memory for %d", 1), -ENOMEM);
	ck_assert_int_eq(errno, ENOMEM);
	hawser__error_call(NULL, HAWSER_INTERNAL, HAWSER_OUTCOME_UNKNOWN, "nobody listens");
}
END_TEST

START_TEST(error_set_finds_the_status)
{
	static const struct {
		int code;
		enum hawser_status status;
	} expected[] = {
		{-ENOMEM, HAWSER_RESOURCE_EXHAUSTED}, {-EMFILE, HAWSER_RESOURCE_EXHAUSTED},
		{-EINVAL, HAWSER_INVALID_ARGUMENT},   {-EPERM, HAWSER_PERMISSION_DENIED},
		{-EACCES, HAWSER_PERMISSION_DENIED},  {-ECONNREFUSED, HAWSER_UNAVAILABLE},
		{-ECONNRESET, HAWSER_UNAVAILABLE},    {-ETIMEDOUT, HAWSER_UNAVAILABLE},
		{-EHOSTUNREACH, HAWSER_UNAVAILABLE},  {-ENOENT, HAWSER_UNAVAILABLE},
		{-EEXIST, HAWSER_ALREADY_EXISTS},     {-EBUSY, HAWSER_FAILED_PRECONDITION},
		{-EOPNOTSUPP, HAWSER_UNIMPLEMENTED},  {-EPROTO, HAWSER_INTERNAL},
		{-ECANCELED, HAWSER_CANCELLED},       {-4095, HAWSER_UNKNOWN},
	};

	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
		struct hawser_error error;

		hawser__error_set(&error, expected[i].code, "x");
		ck_assert_msg(error.status == expected[i].status, "%d gives %s, not %s",
			      expected[i].code, hawser_status_name(error.status),
			      hawser_status_name(expected[i].status));
	}
}
END_TEST

START_TEST(error_call_has_no_code)
{
	struct hawser_error error;

	memset(&error, 0xff, sizeof error);
	hawser__error_call(&error, HAWSER_NOT_FOUND, HAWSER_OUTCOME_EXECUTED, "no rope %d", 7);
	ck_assert_int_eq(error.status, HAWSER_NOT_FOUND);
	ck_assert_int_eq(error.outcome, HAWSER_OUTCOME_EXECUTED);
	ck_assert_int_eq(error.code, 0);
	ck_assert_str_eq(error.message, "no rope 7");
}
END_TEST

START_TEST(error_may_quote_itself)
{
	struct hawser_error error;

	hawser__error_set(&error, -EINVAL, "port is missing");
	hawser__error_set(&error, -EINVAL, "tcp:localhost: %s", error.message);
	ck_assert_str_eq(error.message, "tcp:localhost: port is missing");
}
END_TEST

/* Whether it is UTF-8; the texts here hold nothing beyond three bytes. */
static bool is_utf8(const char *text)
{
	for (const unsigned char *at = (const unsigned char *)text; *at;) {
		int more = *at < 0x80 ? 0 : *at >= 0xe0 ? 2 : *at >= 0xc2 ? 1 : -1;

		if (more < 0)
			return false;
		for (at++; more; more--, at++)
			if ((*at & 0xc0) != 0x80)
				return false;
	}
	return true;
}

START_TEST(error_text_too_long_ends_in_an_ellipsis)
{
	const size_t most = HAWSER_ERROR_MESSAGE_SIZE - 1;
	char text[2 * HAWSER_ERROR_MESSAGE_SIZE];
	struct hawser_error error;

	memset(text, 'x', sizeof text);
	text[most] = '\0';
	hawser__error_set(&error, -EINVAL, "%s", text);
	ck_assert_str_eq(error.message, text);
	text[most] = 'x';
	text[most + 1] = '\0';
	hawser__error_set(&error, -EINVAL, "%s", text);
	ck_assert_uint_eq(strlen(error.message), most);
	ck_assert_str_eq(error.message + most - strlen("…"), "…");
	/* Whatever part of a character the cut falls on. */
	for (size_t shift = 0; shift < 3; shift++) {
		memset(text, 'x', shift);
		for (size_t at = shift; at + 3 < sizeof text; at += 3)
			memcpy(text + at, "ℋ", sizeof "ℋ");
		hawser__error_set(&error, -EINVAL, "%s", text);
		ck_assert(is_utf8(error.message));
		ck_assert_uint_ge(strlen(error.message), most - 2);
		ck_assert_str_eq(error.message + strlen(error.message) - strlen("…"), "…");
	}
}
END_TEST

START_TEST(errno_text_is_lower_case)
{
	char text[64];

	ck_assert_str_eq(hawser__errno_text(EADDRINUSE, text, sizeof text),
			 "address already in use");
	ck_assert_str_eq(hawser__errno_text(-ENOENT, text, sizeof text),
			 "no such file or directory");
	ck_assert_str_eq(hawser__errno_text(ECONNREFUSED, text, sizeof text), "connection refused");
	for (int code = 1; code < 134; code++) {
		hawser__errno_text(code, text, sizeof text);
		ck_assert_msg(text[0], "errno %d has no text", code);
		ck_assert_msg(!(text[0] >= 'A' && text[0] <= 'Z') ||
				      (text[1] >= 'A' && text[1] <= 'Z'),
			      "errno %d reads \"%s\"", code, text);
	}
}
END_TEST

START_TEST(errno_text_of_a_number_without_name_says_the_number)
{
	char text[64];

	ck_assert_str_eq(hawser__errno_text(-4095, text, sizeof text), "error 4095");
}
END_TEST

START_TEST(errno_text_keeps_to_its_buffer)
{
	char text[8] = "unhurt";

	hawser__errno_text(EADDRINUSE, text, 5);
	ck_assert_mem_eq(text, "addr\0t", 7);
	ck_assert_ptr_eq(hawser__errno_text(EADDRINUSE, text, 0), text);
	ck_assert_str_eq(text, "addr");
	hawser__errno_text(EADDRINUSE, text, 1);
	ck_assert_str_eq(text, "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("util/error");
	TCase *tcase = suite_case(suite, "error");

	tcase_add_test(tcase, error_set_fills_everything_and_returns_the_code);
	tcase_add_test(tcase, error_set_accepts_null);
	tcase_add_test(tcase, error_set_finds_the_status);
	tcase_add_test(tcase, error_call_has_no_code);
	tcase_add_test(tcase, error_may_quote_itself);
	tcase_add_test(tcase, error_text_too_long_ends_in_an_ellipsis);
	tcase_add_test(tcase, errno_text_is_lower_case);
	tcase_add_test(tcase, errno_text_of_a_number_without_name_says_the_number);
	tcase_add_test(tcase, errno_text_keeps_to_its_buffer);
	return suite_run(suite);
}
