/* One text into one form.
 *
 * Case folding is only right on decomposed text: in the composed form a mark
 * can hide inside a letter (the iota under an alpha), and folding first would
 * leave the other marks on the wrong letter. So text is decomposed, folded, and
 * brought into its form, in this order (the Unicode Standard, D145 and D146).
 *
 * Trimming comes last and works on the result. A space that carries a combining
 * mark is a visible character and stays; else "´" in form NFKC, which is such a
 * space, would lose its base. */

#include "normalize.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static const utf8proc_option_t form_flags[] = {
	[NORMAL_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
	[NORMAL_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
	[NORMAL_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
	[NORMAL_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
};

/* Unicode's property White_Space. */
static bool is_white(utf8proc_int32_t c)
{
	return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
	       c == 0x205f || c == 0x3000;
}

static bool is_mark(utf8proc_int32_t c)
{
	utf8proc_category_t category = utf8proc_category(c);

	return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
	       category == UTF8PROC_CATEGORY_ME;
}

/* Whether the white space c, which `rest` follows, is the base of a visible character. */
static bool carries_mark(utf8proc_int32_t c, const utf8proc_uint8_t *rest)
{
	utf8proc_int32_t next;

	return utf8proc_category(c) == UTF8PROC_CATEGORY_ZS &&
	       utf8proc_iterate(rest, -1, &next) > 0 && is_mark(next);
}

/* In place; text is valid UTF-8. */
static void trim(char *text)
{
	const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)text;
	size_t from = 0, to = 0, at = 0;

	while (bytes[at]) {
		utf8proc_int32_t c;
		size_t next = at + (size_t)utf8proc_iterate(bytes + at, -1, &c);

		if (!is_white(c) || carries_mark(c, bytes + next))
			to = next;
		else if (to == 0)
			from = next;
		at = next;
	}
	if (to == 0)
		from = 0;
	memmove(text, text + from, to - from);
	text[to - from] = '\0';
}

static size_t first_invalid(const char *text)
{
	const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)text;
	utf8proc_ssize_t length;
	utf8proc_int32_t c;
	size_t at = 0;

	while (bytes[at] && (length = utf8proc_iterate(bytes + at, -1, &c)) > 0)
		at += (size_t)length;
	return at;
}

static int map(const char *text, utf8proc_option_t flags, char **mapped, size_t *offset)
{
	utf8proc_uint8_t *out;
	utf8proc_ssize_t length;

	length = utf8proc_map((const utf8proc_uint8_t *)text, 0, &out, UTF8PROC_NULLTERM | flags);
	switch (length) {
	case UTF8PROC_ERROR_INVALIDUTF8:
		*offset = first_invalid(text);
		return -EILSEQ;
	case UTF8PROC_ERROR_OVERFLOW:
		return -EOVERFLOW;
	case UTF8PROC_ERROR_NOMEM:
		return -ENOMEM;
	}
	if (length < 0)
		return -EINVAL;
	*mapped = (char *)out;
	return 0;
}

int normalize(const char *text, const struct normalize_options *options, char **normal,
	      size_t *offset)
{
	utf8proc_option_t flags;
	char *decomposed = NULL, *result;
	int r;

	if ((unsigned)options->form >= sizeof form_flags / sizeof *form_flags)
		return -EINVAL;
	flags = form_flags[options->form];
	if (options->case_fold) {
		r = map(text, form_flags[flags & UTF8PROC_COMPAT ? NORMAL_NFKD : NORMAL_NFD],
			&decomposed, offset);
		if (r < 0)
			return r;
		text = decomposed;
		flags |= UTF8PROC_CASEFOLD;
	}

	r = map(text, flags, &result, offset);
	free(decomposed);
	if (r < 0)
		return r;

	if (options->trim)
		trim(result);
	*normal = result;
	return 0;
}
