/* Unicode's own test data, through the running normalizer.
 *
 * NormalizationTest.txt holds about 19,000 lines of five columns: a source and its
 * four normal forms. Every column of every line is sent as a call per form, and
 * every reply has to be the column that the file's header demands:
 *
 *     NFC:  c2 for c1 c2 c3, c4 for c4 c5        NFKC: c4 for all
 *     NFD:  c3 for c1 c2 c3, c5 for c4 c5        NFKD: c5 for all
 *
 * The header also demands that every code point that part 1 does not list is its
 * own normal form; and CaseFolding.txt says what each letter folds to.
 *
 * The service can know an older Unicode than the file. Then, and only then, lines
 * with code points that it does not know yet are counted apart. */

#include "normalize.h"
#include "normalizer.hawser.h"
#include "process.h"
#include "support/suite.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { WINDOW = 64, MAX_COLUMN = 256, N_CODE_POINTS = 0x110000, TO_A_CALL = 512 };

/* A client with up to WINDOW calls under way. */
struct pump {
	struct server_process server;
	struct event_base *base;
	struct hawser_client *client;
	unsigned in_flight;
	unsigned long calls;
};

/* One call: what it must answer, and where in the file that stands. */
struct expectation {
	struct pump *pump;
	struct hawser_call *call;
	unsigned long line;
	Demo__Form form;
	char *text, *expected;
};

static void pump_start(struct pump *pump)
{
	const char *const argv[] = {program("NORMALIZER"), "--listen", "tcp:127.0.0.1:0", NULL};
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_error error;

	*pump = (struct pump){.base = event_base_new()};
	ck_assert_ptr_nonnull(pump->base);
	server_start(&pump->server, 1, argv);
	options.base = pump->base;
	pump->client = hawser_client_new(pump->server.addresses[0], &options, &error);
	ck_assert_msg(pump->client, "%s", error.message);
}

static void pump_wait(struct pump *pump, unsigned in_flight)
{
	while (pump->in_flight > in_flight)
		ck_assert_int_eq(event_base_loop(pump->base, EVLOOP_ONCE), 0);
}

static void pump_stop(struct pump *pump)
{
	char rest[256], expected[64];

	pump_wait(pump, 0);
	hawser_client_free(pump->client);
	event_base_free(pump->base);
	ck_assert_int_eq(server_stop(&pump->server, rest, sizeof rest), 0);
	snprintf(expected, sizeof expected, "served %lu calls, 0 failed", pump->calls);
	ck_assert_msg(strncmp(rest, expected, strlen(expected)) == 0, "%s instead of %s", rest,
		      expected);
}

static void compare(struct hawser_call *call, const Demo__NormalizeReply *reply, void *data)
{
	struct expectation *expectation = data;

	ck_assert_msg(reply, "line %lu, form %d, \"%s\": %s", expectation->line,
		      (int)expectation->form, expectation->text, hawser_call_error(call)->message);
	ck_assert_msg(strcmp(reply->text, expectation->expected) == 0,
		      "line %lu, form %d: \"%s\" became \"%s\" instead of \"%s\"",
		      expectation->line, (int)expectation->form, expectation->text, reply->text,
		      expectation->expected);
	expectation->pump->in_flight--;
	free(expectation->text);
	free(expectation->expected);
	hawser_call_free(call);
	free(expectation);
}

static void expect(struct pump *pump, unsigned long line, const char *text, Demo__Form form,
		   bool case_fold, const char *expected)
{
	Demo__NormalizeRequest request = DEMO__NORMALIZE_REQUEST__INIT;
	struct expectation *expectation = malloc(sizeof *expectation);

	ck_assert_ptr_nonnull(expectation);
	*expectation = (struct expectation){
		.pump = pump,
		.line = line,
		.form = form,
		.text = strdup(text),
		.expected = strdup(expected),
	};
	request.text = expectation->text;
	request.form = form;
	request.case_fold = case_fold;
	pump->in_flight++;
	pump->calls++;
	ck_assert_ptr_nonnull(demo_normalizer_normalize_async(pump->client, &request, compare,
							      expectation, NULL));
	pump_wait(pump, WINDOW - 1);
}

/* ---- the files ---- */

static FILE *open_file(const char *variable)
{
	const char *path = getenv(variable);
	FILE *file;

	ck_assert_ptr_nonnull(path);
	file = fopen(path, "r");
	ck_assert_msg(file, "cannot open %s", path);
	return file;
}

/* Whether the service knows the Unicode that the file was made for: "# Name-15.0.0.txt". */
static bool same_unicode(FILE *file)
{
	char line[256], *version, *end;

	ck_assert_ptr_nonnull(fgets(line, sizeof line, file));
	version = strchr(line, '-');
	end = strstr(line, ".txt");
	ck_assert_msg(version && end, "not a file of Unicode's character database: %s", line);
	*end = '\0';
	if (strcmp(version + 1, utf8proc_unicode_version()) == 0)
		return true;
	printf("the file is Unicode %s, the service %s\n", version + 1, utf8proc_unicode_version());
	return false;
}

static bool is_assigned(int32_t c)
{
	return utf8proc_category(c) != UTF8PROC_CATEGORY_CN;
}

/* "0044 0307" up to one of `ends`, as UTF-8; *assigned becomes false if the service
 * does not know a code point. Returns what follows; NULL: not such a column. */
static const char *parse_column(const char *from, char end, char *text, bool *assigned,
				int32_t *single)
{
	size_t length = 0;
	unsigned n = 0;

	while (*from && *from != end) {
		char *after;
		long c = strtol(from, &after, 16);

		if (after == from || length + 5 > MAX_COLUMN)
			return NULL;
		length +=
			(size_t)utf8proc_encode_char((int32_t)c, (utf8proc_uint8_t *)text + length);
		*assigned = *assigned && is_assigned((int32_t)c);
		*single = n++ == 0 ? (int32_t)c : -1;
		from = after + strspn(after, " ");
	}
	text[length] = '\0';
	return *from == end && n > 0 ? from + 1 : NULL;
}

static void expect_line(struct pump *pump, unsigned long line, char c[6][MAX_COLUMN])
{
	static const struct {
		Demo__Form form;
		int of_canonical, of_compatible; /* the column for c1 c2 c3, and for c4 c5 */
	} demands[] = {
		{DEMO__FORM__FORM_NFC, 2, 4},
		{DEMO__FORM__FORM_NFD, 3, 5},
		{DEMO__FORM__FORM_NFKC, 4, 4},
		{DEMO__FORM__FORM_NFKD, 5, 5},
	};

	for (size_t i = 0; i < sizeof demands / sizeof *demands; i++) {
		for (int column = 1; column <= 5; column++)
			expect(pump, line, c[column], demands[i].form, false,
			       c[column <= 3 ? demands[i].of_canonical : demands[i].of_compatible]);
	}
}

/* Sends all lines if `pump` is given. Notes the code points of part 1. */
static void read_normalization_test(struct pump *pump, bool *in_part_1)
{
	FILE *file = open_file("NORMALIZATION_TEST");
	bool same = same_unicode(file);
	unsigned long number = 1, lines = 0, unknown = 0;
	char *line = NULL;
	size_t room = 0;
	int part = -1;

	while (getline(&line, &room, file) > 0) {
		char columns[6][MAX_COLUMN];
		const char *at = line;
		bool assigned = true;
		int32_t single = -1, source = -1;

		number++;
		if (sscanf(line, "@Part%d", &part) == 1 || *line == '#' || *line == '\n')
			continue;
		for (int column = 1; column <= 5; column++) {
			at = parse_column(at, ';', columns[column], &assigned, &single);
			ck_assert_msg(at, "line %lu cannot be parsed: %s", number, line);
			if (column == 1)
				source = single;
		}
		lines++;
		if (part == 1 && source >= 0)
			in_part_1[source] = true;
		if (!assigned && !same)
			unknown++;
		else if (pump)
			expect_line(pump, number, columns);
	}
	free(line);
	fclose(file);
	ck_assert_uint_gt(lines, 15000);
	ck_assert_int_ge(part, 3);
	if (pump)
		printf("NormalizationTest: %lu lines, %lu calls; %lu lines not judged, for code "
		       "points newer than the service's Unicode %s\n",
		       lines, pump->calls, unknown, utf8proc_unicode_version());
}

START_TEST(every_line_of_the_normalization_test_holds)
{
	bool *in_part_1 = calloc(N_CODE_POINTS, sizeof *in_part_1);
	struct pump pump;

	pump_start(&pump);
	read_normalization_test(&pump, in_part_1);
	pump_stop(&pump);
	free(in_part_1);
}
END_TEST

/* Sends every assigned code point but the `excluded` ones, many to a call: line
 * feeds keep them from touching each other. Returns how many there were. */
static unsigned long expect_unchanged(struct pump *pump, const bool *excluded, Demo__Form form,
				      bool case_fold)
{
	char text[TO_A_CALL * 5 + 1];
	unsigned long judged = 0;
	size_t length = 0;

	for (int32_t c = 1; c < N_CODE_POINTS; c++) {
		bool surrogate = c >= 0xd800 && c < 0xe000;

		if (!surrogate && is_assigned(c) && !excluded[c]) {
			length +=
				(size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)text + length);
			text[length++] = '\n';
			text[length] = '\0';
			judged++;
		}
		if (length + 6 > sizeof text || c == N_CODE_POINTS - 1) {
			expect(pump, 0, text, form, case_fold, text);
			length = 0;
		}
	}
	return judged;
}

START_TEST(code_points_outside_part_1_are_their_own_normal_forms)
{
	bool *in_part_1 = calloc(N_CODE_POINTS, sizeof *in_part_1);
	unsigned long judged = 0;
	struct pump pump;

	read_normalization_test(NULL, in_part_1);
	pump_start(&pump);
	for (int form = DEMO__FORM__FORM_NFC; form <= DEMO__FORM__FORM_NFKD; form++)
		judged = expect_unchanged(&pump, in_part_1, (Demo__Form)form, false);
	pump_stop(&pump);
	printf("%lu code points outside part 1 are their own normal forms\n", judged);
	ck_assert_uint_gt(judged, 200000);
	free(in_part_1);
}
END_TEST

/* Expects the fold of `from`, as its decomposed form: no mapping in the file has to be
 * in a normal form. */
static void expect_fold(struct pump *pump, unsigned long line, const char *from, const char *to)
{
	static const struct normalize_options nfd = {.form = NORMAL_NFD};
	char *expected = NULL;
	size_t offset;

	ck_assert_int_eq(normalize(to, &nfd, &expected, &offset), 0);
	expect(pump, line, from, DEMO__FORM__FORM_NFD, true, expected);
	free(expected);
}

/* Letters with a case that have a decomposition fold through it, whether the file
 * lists them or not: they are no evidence. */
static void exclude_decomposable(bool *excluded)
{
	for (int32_t c = 1; c < N_CODE_POINTS; c++) {
		if (utf8proc_get_property(c)->decomp_seqindex != UINT16_MAX)
			excluded[c] = true;
	}
	/* Hangul syllables decompose by rule. */
	memset(excluded + 0xac00, true, 0xd7a4 - 0xac00);
}

/* Lines "00DF; F; 0073 0073; # name"; C and F together are full case folding, and
 * what is not listed stays as it is. */
START_TEST(every_line_of_the_case_folding_data_holds)
{
	bool *listed = calloc(N_CODE_POINTS, sizeof *listed);
	FILE *file = open_file("CASE_FOLDING");
	bool same = same_unicode(file);
	unsigned long number = 1, lines = 0, unknown = 0, others;
	struct pump pump;
	char *line = NULL;
	size_t room = 0;

	pump_start(&pump);
	while (getline(&line, &room, file) > 0) {
		char from[MAX_COLUMN], to[MAX_COLUMN];
		const char *at = line;
		bool assigned = true;
		int32_t source, ignored;

		number++;
		if (*line == '#' || *line == '\n')
			continue;
		at = parse_column(at, ';', from, &assigned, &source);
		ck_assert_msg(at && source > 0 && strlen(at) > 3, "line %lu: %s", number, line);
		if (at[1] != 'C' && at[1] != 'F')
			continue;
		at = parse_column(at + 3, ';', to, &assigned, &ignored);
		ck_assert_msg(at, "line %lu: %s", number, line);
		listed[source] = true;
		lines++;
		if (assigned || same)
			expect_fold(&pump, number, from, to);
		else
			unknown++;
	}
	exclude_decomposable(listed);
	others = expect_unchanged(&pump, listed, DEMO__FORM__FORM_NFD, true);
	pump_stop(&pump);
	printf("CaseFolding: %lu lines, %lu not judged; %lu other code points stay\n", lines,
	       unknown, others);
	ck_assert_uint_gt(lines, 1000);
	ck_assert_uint_gt(others, 200000);
	free(listed);
	free(line);
	fclose(file);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("unicode");
	TCase *tcase = suite_case(suite, "unicode");

	if (!getenv("NORMALIZATION_TEST")) {
		puts("Skipped: no NormalizationTest.txt; install Debian's package unicode-data and "
		     "configure again.");
		return 77;
	}
	tcase_add_test(tcase, every_line_of_the_normalization_test_holds);
	tcase_add_test(tcase, code_points_outside_part_1_are_their_own_normal_forms);
	tcase_add_test(tcase, every_line_of_the_case_folding_data_holds);
	return suite_run(suite);
}
