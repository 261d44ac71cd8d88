/* The demo program: right when all is right, and never when something is not. */

#include "data.h"
#include "process.h"
#include "support/suite.h"

#include <stdlib.h>
#include <string.h>

/* Ten names, of which two are as they should be already. */
static const char json[] =
	"{\"1\": [{\"name\": \"World\", \"common_name\": \"\u0395\u03BB\u03BB\u03AC\u03C2\"},"
	" {\"name\": \"Stra\u00DFe\"}, {\"name\": \"\u0130zmir\"},"
	" {\"name\": \"the sea \"}, {\"name\": \"Du\u0303ya\"},"
	" {\"name\": \"plain\"}]}";
static const char *const translations[] = {"Welt", "\u6D77", "\u041C\u043E\u0440\u0435"};

/* Runs the demo against a server; NULL ends `options`. Returns its exit status. */
static int run_demo(const char *address, const char *const *options, char *output, size_t size)
{
	unsigned char catalog[CATALOG_ROOM];
	struct data data;
	int status, n = 5;
	const char *argv[16] = {program("NORMALIZER_DEMO"), "--json", data.json, "--locale",
				data.locale};

	data_make(&data, json);
	data_write_catalog(&data, catalog, catalog_make(catalog, false, translations, 3));
	for (; *options; options++)
		argv[n++] = *options;
	argv[n] = address;
	status = run_program(argv, output, size);
	data_remove(&data);
	return status;
}

static void contains(const char *output, const char *text)
{
	ck_assert_msg(strstr(output, text), "\"%s\" is not in:\n%s", text, output);
}

static void contains_not(const char *output, const char *text)
{
	ck_assert_msg(!strstr(output, text), "\"%s\" is in:\n%s", text, output);
}

START_TEST(all_names_pass_through_a_true_server)
{
	const char *const argv[] = {program("NORMALIZER"), NULL};
	struct server_process server;
	char output[8192], rest[256];

	server_start(&server, 1, argv);
	ck_assert_int_eq(run_demo(server.addresses[0],
				  (const char *const[]){"--workers", "3", "--passes", "5", NULL},
				  output, sizeof output),
			 0);
	ck_assert_int_eq(server_stop(&server, rest, sizeof rest), 0);
	contains(output, "3 worker processes");
	contains(output, "7 names in the JSON files");
	contains(output, "3 translations of them");
	contains(output, "50 calls in ");
	contains(output, "all 10 names normalized, 8 of them changed, 0 errors");
	contains(output, "strasse");
	contains(output, "U+00DF -> U+0073 U+0073");
	contains(output, "p99.9");
	contains(rest, "served 50 calls, 0 failed, on 3 connections");
}
END_TEST

static void is_found_out(const char *how, const char *expected)
{
	const char *const argv[] = {program("LIAR"), how, NULL};
	struct server_process server;
	char output[8192], rest[256];

	server_start(&server, 1, argv);
	ck_assert_int_eq(run_demo(server.addresses[0],
				  (const char *const[]){"--passes", "200", NULL}, output,
				  sizeof output),
			 1);
	ck_assert_int_eq(server_stop(&server, rest, sizeof rest), 0);
	contains(output, expected);
	contains(output, "normalizer-demo: failed");
	contains_not(output, "0 errors");
}

START_TEST(a_wrong_reply_is_found_out)
{
	is_found_out("lie", "wrong reply: wrong");
}
END_TEST

START_TEST(a_reply_to_another_call_is_found_out)
{
	is_found_out("swap", "wrong reply: ");
}
END_TEST

START_TEST(a_refused_call_is_found_out)
{
	is_found_out("fail", "INTERNAL: not today");
}
END_TEST

START_TEST(a_server_that_is_not_there_is_a_failure)
{
	const char *const argv[] = {program("NORMALIZER"), NULL};
	struct server_process server;
	char output[8192], rest[256];

	/* An address that was free a moment ago. */
	server_start(&server, 1, argv);
	ck_assert_int_eq(server_stop(&server, rest, sizeof rest), 0);
	ck_assert_int_eq(
		run_demo(server.addresses[0], (const char *const[]){NULL}, output, sizeof output),
		1);
	contains(output, server.addresses[0]);
	contains(output, "refused");
	contains_not(output, "0 errors");
}
END_TEST

START_TEST(wrong_arguments_are_told_what_is_wrong)
{
	char output[8192];

	ck_assert_int_eq(run_demo("tcp:127.0.0.1:1", (const char *const[]){"-w", "0", NULL}, output,
				  sizeof output),
			 2);
	contains(output, "from 1 to 64");
	ck_assert_int_eq(run_demo(NULL, (const char *const[]){NULL}, output, sizeof output), 2);
	contains(output, "give one address");
	ck_assert_int_eq(run_demo("tcp:127.0.0.1:1",
				  (const char *const[]){"--json", "nowhere", NULL}, output,
				  sizeof output),
			 1);
	contains(output, "iso-codes");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("demo");
	TCase *tcase = suite_case(suite, "demo");

	tcase_add_test(tcase, all_names_pass_through_a_true_server);
	tcase_add_test(tcase, a_wrong_reply_is_found_out);
	tcase_add_test(tcase, a_reply_to_another_call_is_found_out);
	tcase_add_test(tcase, a_refused_call_is_found_out);
	tcase_add_test(tcase, a_server_that_is_not_there_is_a_failure);
	tcase_add_test(tcase, wrong_arguments_are_told_what_is_wrong);
	return suite_run(suite);
}
