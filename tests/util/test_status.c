/* Each status and outcome has a name and a text of its own; the numbers are gRPC's. */

#include "support/suite.h"
#include <hawser/status.h>
#include <hawser/version.h>
#include <stdio.h>
#include <string.h>

/* doc/statuscodes.md of grpc/grpc, written out: the list in the header must agree with it. */
static const char *const grpc_names[] = {
	"OK",
	"CANCELLED",
	"UNKNOWN",
	"INVALID_ARGUMENT",
	"DEADLINE_EXCEEDED",
	"NOT_FOUND",
	"ALREADY_EXISTS",
	"PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED",
	"FAILED_PRECONDITION",
	"ABORTED",
	"OUT_OF_RANGE",
	"UNIMPLEMENTED",
	"INTERNAL",
	"UNAVAILABLE",
	"DATA_LOSS",
	"UNAUTHENTICATED",
};

enum { N_STATUSES = sizeof grpc_names / sizeof *grpc_names };

START_TEST(statuses_are_those_of_grpc)
{
	int count = 0;

#define COUNT(number, name, text)                   \
	ck_assert_int_eq(number, count);            \
	ck_assert_str_eq(#name, grpc_names[count]); \
	count++;
	HAWSER_STATUS_MAP(COUNT)
#undef COUNT
	ck_assert_int_eq(count, N_STATUSES);
}
END_TEST

START_TEST(every_status_has_a_name_and_a_text_of_its_own)
{
	for (int i = 0; i < N_STATUSES; i++) {
		const char *text = hawser_status_text((enum hawser_status)i);

		ck_assert_str_eq(hawser_status_name((enum hawser_status)i), grpc_names[i]);
		ck_assert_uint_gt(strlen(text), 5);
		for (int j = 0; j < i; j++)
			ck_assert_str_ne(text, hawser_status_text((enum hawser_status)j));
	}
}
END_TEST

START_TEST(numbers_that_are_no_status_read_as_unknown)
{
	static const int numbers[] = {-1, N_STATUSES, 1000000};

	for (int i = 0; i < 3; i++) {
		enum hawser_status status = (enum hawser_status)numbers[i];

		ck_assert_str_eq(hawser_status_name(status), "UNKNOWN");
		ck_assert_str_eq(hawser_status_text(status), hawser_status_text(HAWSER_UNKNOWN));
	}
}
END_TEST

START_TEST(every_outcome_has_a_name_of_its_own)
{
	int count = 0;

	ck_assert_str_eq(hawser_outcome_name(HAWSER_OUTCOME_UNKNOWN), "unknown");
	ck_assert_str_eq(hawser_outcome_name(HAWSER_OUTCOME_NOT_SENT), "not sent");
	ck_assert_str_eq(hawser_outcome_name(HAWSER_OUTCOME_NOT_EXECUTED), "not executed");
	ck_assert_str_eq(hawser_outcome_name(HAWSER_OUTCOME_EXECUTED), "executed");
	ck_assert_str_eq(hawser_outcome_name((enum hawser_outcome)99), "unknown");
#define COUNT(number, name, text) count++;
	HAWSER_OUTCOME_MAP(COUNT)
#undef COUNT
	/* An outcome more needs a name above. */
	ck_assert_int_eq(count, 4);
}
END_TEST

START_TEST(version_agrees_with_its_parts)
{
	char text[32];

	snprintf(text, sizeof text, "%d.%d.%d", HAWSER_VERSION_MAJOR, HAWSER_VERSION_MINOR,
		 HAWSER_VERSION_PATCH);
	ck_assert_str_eq(HAWSER_VERSION, text);
	ck_assert_str_eq(hawser_version(), HAWSER_VERSION);
	ck_assert_int_eq(HAWSER_VERSION_NUMBER, HAWSER_VERSION_MAJOR << 16 |
							HAWSER_VERSION_MINOR << 8 |
							HAWSER_VERSION_PATCH);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("util/status");
	TCase *tcase = suite_case(suite, "status");

	tcase_add_test(tcase, statuses_are_those_of_grpc);
	tcase_add_test(tcase, every_status_has_a_name_and_a_text_of_its_own);
	tcase_add_test(tcase, numbers_that_are_no_status_read_as_unknown);
	tcase_add_test(tcase, every_outcome_has_a_name_of_its_own);
	tcase_add_test(tcase, version_agrees_with_its_parts);
	return suite_run(suite);
}
