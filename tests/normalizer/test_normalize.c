/* normalize(): what it does to a text, without a server. */

#include "normalize.h"
#include "support/random.h"
#include "support/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static const struct normalize_options nfc = {.form = NORMAL_NFC};
static const struct normalize_options trimmed = {.form = NORMAL_NFC, .trim = true};
static const struct normalize_options folded = {.form = NORMAL_NFC, .case_fold = true};

static void becomes(const char *text, const struct normalize_options *options, const char *expected)
{
	char *normal = NULL;
	size_t offset = 0;

	ck_assert_int_eq(normalize(text, options, &normal, &offset), 0);
	ck_assert_str_eq(normal, expected);
	free(normal);
}

static size_t encode(int32_t c, char *text)
{
	utf8proc_ssize_t length = utf8proc_encode_char(c, (utf8proc_uint8_t *)text);

	text[length] = '\0';
	return (size_t)length;
}

START_TEST(each_form_gives_its_own)
{
	/* The ligature fi, and e with acute accent. */
	static const char *const expected[] = {
		[NORMAL_NFC] = "\uFB01 \u00E9",
		[NORMAL_NFD] = "\uFB01 e\u0301",
		[NORMAL_NFKC] = "fi \u00E9",
		[NORMAL_NFKD] = "fi e\u0301",
	};

	for (unsigned form = NORMAL_NFC; form <= NORMAL_NFKD; form++) {
		const struct normalize_options options = {.form = form};

		becomes("\uFB01 \u00E9", &options, expected[form]);
		becomes("\uFB01 e\u0301", &options, expected[form]);
	}
}
END_TEST

START_TEST(nothing_asked_for_beyond_the_form_changes_nothing_else)
{
	becomes("", &nfc, "");
	becomes("  Stra\u00DFe \t", &nfc, "  Stra\u00DFe \t");
}
END_TEST

START_TEST(white_space_of_every_kind_is_trimmed)
{
	/* The property White_Space of Unicode's PropList.txt, less what NFC replaces. */
	static const int32_t white[] = {0x09,   0x0a,   0x0b,   0x0c,   0x0d,   0x20,   0x85,
					0xa0,   0x1680, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006,
					0x2007, 0x2008, 0x2009, 0x200a, 0x2028, 0x2029, 0x202f,
					0x205f, 0x3000, 0x2000, 0x2001};
	/* Zero-width space and joiner, the Mongolian vowel separator, the word joiner. */
	static const int32_t other[] = {0x200b, 0x200d, 0x180e, 0x2060, 0xfeff, 0x1c, 0x1f};
	char text[64], one[8], expected[16];

	for (size_t i = 0; i < sizeof white / sizeof *white; i++) {
		encode(white[i], one);
		snprintf(text, sizeof text, "%s%sa%sb%s%s", one, one, one, one, one);
		/* Two of the 25 are equivalent to others, which NFC puts in their place. */
		encode(white[i] == 0x2000 ? 0x2002 : white[i] == 0x2001 ? 0x2003 : white[i], one);
		snprintf(expected, sizeof expected, "a%sb", one);
		becomes(text, &trimmed, expected);
	}
	for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
		encode(other[i], one);
		snprintf(text, sizeof text, "%sa%s", one, one);
		becomes(text, &trimmed, text);
	}
}
END_TEST

START_TEST(trimming_can_leave_nothing)
{
	becomes("", &trimmed, "");
	becomes(" ", &trimmed, "");
	becomes("\u3000\t\u2003\n", &trimmed, "");
}
END_TEST

START_TEST(a_space_that_carries_a_mark_is_not_trimmed)
{
	static const struct normalize_options nfkc = {.form = NORMAL_NFKC, .trim = true};

	becomes("  \u0301a", &trimmed, " \u0301a");
	becomes("a \u0301 ", &trimmed, "a \u0301");
	becomes("\u00B4", &nfkc, " \u0301");
	/* A tab cannot carry one. */
	becomes("\t\u0301a", &trimmed, "\u0301a");
}
END_TEST

START_TEST(case_folding_is_full)
{
	becomes("Stra\u00DFe STRASSE \u1E9E", &folded, "strasse strasse ss");
	becomes("\u039B\u03AD\u03C3\u03B2\u03BF\u03C2", &folded,
		"\u03BB\u03AD\u03C3\u03B2\u03BF\u03C3");
	becomes("\u0130stanbul", &folded, "i\u0307stanbul");
	becomes("\u0587", &folded, "\u0565\u0582");
	becomes("\u13A0\uAB70", &folded, "\u13A0\u13A0");
}
END_TEST

START_TEST(equivalent_texts_fold_alike)
{
	/* Alpha with iota below and dot below: composed, and apart in both orders. */
	becomes("\u1FB3\u0323", &folded, "\u03B1\u0323\u03B9");
	becomes("\u03B1\u0345\u0323", &folded, "\u03B1\u0323\u03B9");
	becomes("\u03B1\u0323\u0345", &folded, "\u03B1\u0323\u03B9");
}
END_TEST

START_TEST(compatibility_forms_fold_what_they_replace)
{
	static const struct normalize_options nfkc = {.form = NORMAL_NFKC, .case_fold = true};

	/* The sign TEL, and a circled A. */
	becomes("\u2121 \u24B6", &nfkc, "tel a");
	/* A free-standing iota below, with a dot below, which must not move to the iota. */
	becomes("\u037A\u0323", &nfkc, " \u0323\u03B9");
}
END_TEST

START_TEST(the_first_wrong_byte_is_named)
{
	static const struct {
		const char *text;
		size_t offset;
	} wrong[] = {
		{"\xff", 0},
		{"ab\x80", 2},              /* a continuation of nothing */
		{"\u00E9\xc3", 2},          /* cut off */
		{"\u00E9\xe2\x82", 2},      /* cut off later */
		{"a\xc0\xaf", 1},           /* too long a form of '/' */
		{"a\xe0\x80\xaf", 1},       /* and of three bytes */
		{"ab\xed\xa0\x80", 2},      /* a surrogate */
		{"abc\xf4\x90\x80\x80", 3}, /* beyond U+10FFFF */
		{"abcd\xf8\x88\x80\x80\x80", 4},
		{"\xf0\x9f\x98\x80\xfe", 4},
	};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		const struct normalize_options all[] = {
			nfc, trimmed, folded, {NORMAL_NFKD, true, true}};

		for (size_t j = 0; j < sizeof all / sizeof *all; j++) {
			char *normal = NULL;
			size_t offset = 99;

			ck_assert_int_eq(normalize(wrong[i].text, &all[j], &normal, &offset),
					 -EILSEQ);
			ck_assert_uint_eq(offset, wrong[i].offset);
			ck_assert_ptr_null(normal);
		}
	}
}
END_TEST

START_TEST(an_unknown_form_is_refused)
{
	static const int forms[] = {-1, 4, 1000};

	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		const struct normalize_options options = {.form = (enum normal_form)forms[i]};
		char *normal = NULL;
		size_t offset;

		ck_assert_int_eq(normalize("a", &options, &normal, &offset), -EINVAL);
		ck_assert_ptr_null(normal);
	}
}
END_TEST

/* Letters, marks and spaces that interact with each other. */
static int32_t random_code_point(void)
{
	static const int32_t chosen[] = {
		' ',    0xa0,   0x2001, '\t',   'a',    'I',     0x130,  0xdf,   0x1e9e, 0x3b1,
		0x1fb3, 0x3c2,  0x345,  0x37a,  0xb4,   0x301,   0x323,  0x327,  0x307,  0x587,
		0x1100, 0x1161, 0x11a8, 0xac00, 0x9df,  0x9bc,   0x958,  0xfb01, 0xfb2c, 0x5bc,
		0x2121, 0x212b, 0xf900, 0x1f71, 0xfdfa, 0x1d15e, 0xab70, 0x13a0,
	};

	return chosen[random_below(sizeof chosen / sizeof *chosen)];
}

START_TEST(what_is_normal_stays_as_it_is)
{
	for (unsigned long round = suite_rounds(50000); round > 0; round--) {
		const struct normalize_options options = {
			.form = (enum normal_form)random_below(4),
			.trim = random_below(2),
			.case_fold = random_below(2),
		};
		char text[64], *once = NULL, *twice = NULL;
		size_t length = 0, offset;

		for (unsigned n = (unsigned)random_below(8); n > 0; n--)
			length += encode(random_code_point(), text + length);
		text[length] = '\0';

		ck_assert_int_eq(normalize(text, &options, &once, &offset), 0);
		ck_assert_int_eq(normalize(once, &options, &twice, &offset), 0);
		ck_assert_str_eq(once, twice);
		free(once);
		free(twice);
	}
}
END_TEST

START_TEST(canonical_equivalents_become_equal)
{
	for (unsigned long round = suite_rounds(50000); round > 0; round--) {
		const struct normalize_options nfd = {.form = NORMAL_NFD};
		const struct normalize_options options = {
			.form = (enum normal_form)random_below(4),
			.trim = random_below(2),
			.case_fold = random_below(2),
		};
		char text[64], *apart = NULL, *a = NULL, *b = NULL;
		size_t length = 0, offset;

		for (unsigned n = (unsigned)random_below(8); n > 0; n--)
			length += encode(random_code_point(), text + length);
		text[length] = '\0';

		ck_assert_int_eq(normalize(text, &nfd, &apart, &offset), 0);
		ck_assert_int_eq(normalize(text, &options, &a, &offset), 0);
		ck_assert_int_eq(normalize(apart, &options, &b, &offset), 0);
		ck_assert_str_eq(a, b);
		free(apart);
		free(a);
		free(b);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("normalize");
	TCase *tcase = suite_case(suite, "normalize");

	tcase_add_test(tcase, each_form_gives_its_own);
	tcase_add_test(tcase, nothing_asked_for_beyond_the_form_changes_nothing_else);
	tcase_add_test(tcase, white_space_of_every_kind_is_trimmed);
	tcase_add_test(tcase, trimming_can_leave_nothing);
	tcase_add_test(tcase, a_space_that_carries_a_mark_is_not_trimmed);
	tcase_add_test(tcase, case_folding_is_full);
	tcase_add_test(tcase, equivalent_texts_fold_alike);
	tcase_add_test(tcase, compatibility_forms_fold_what_they_replace);
	tcase_add_test(tcase, the_first_wrong_byte_is_named);
	tcase_add_test(tcase, an_unknown_form_is_refused);
	tcase_add_test(tcase, what_is_normal_stays_as_it_is);
	tcase_add_test(tcase, canonical_equivalents_become_equal);
	return suite_run(suite);
}
