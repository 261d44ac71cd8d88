/* Comments come as the author typed them, less the marks. To stand in C they
 * must not end or open a comment, and must not upset a compiler: no control or
 * direction-changing character, no broken UTF-8, no Windows line end. */

#include "comments.h"

#include <stdlib.h>
#include <string.h>

static int compare_paths(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b)
{
	for (size_t i = 0; i < n_a && i < n_b; i++)
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	return (n_a > n_b) - (n_a < n_b);
}

static int compare_locations(const void *a, const void *b)
{
	const Location *x = *(const Location *const *)a;
	const Location *y = *(const Location *const *)b;

	return compare_paths(x->path, x->n_path, y->path, y->n_path);
}

void comments_index(struct arena *arena, struct file *file)
{
	const Google__Protobuf__SourceCodeInfo *info = file->proto->source_code_info;

	if (!info || info->n_location == 0)
		return;
	file->n_locations = info->n_location;
	file->locations = arena_alloc(arena, info->n_location * sizeof *file->locations);
	for (size_t i = 0; i < info->n_location; i++)
		file->locations[i] = info->location[i];
	qsort(file->locations, file->n_locations, sizeof *file->locations, compare_locations);
}

const Location *comments_find(const struct file *file, const int32_t *path, size_t length)
{
	size_t low = 0, high = file->n_locations;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const Location *location = file->locations[middle];
		int order = compare_paths(path, length, location->path, location->n_path);

		if (order == 0)
			return location;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

struct place comments_place(const struct file *file, const int32_t *path, size_t length)
{
	for (; length > 0; length--) {
		const Location *location = comments_find(file, path, length);

		if (location && location->n_span > 0 && location->span[0] >= 0 &&
		    location->span[0] < INT32_MAX)
			return (struct place){file->name, location->span[0] + 1};
	}
	return (struct place){file->name, 0};
}

/* The length of the well-formed UTF-8 sequence at `at`, 0 if it is none. */
static size_t utf8_length(const unsigned char *at)
{
	size_t length = at[0] < 0x80   ? 1
			: at[0] < 0xc2 ? 0
			: at[0] < 0xe0 ? 2
			: at[0] < 0xf0 ? 3
				       : 4;

	if (at[0] > 0xf4 || (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
	    (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

/* U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069. */
static bool changes_direction(const unsigned char *at)
{
	return at[0] == 0xe2 && ((at[1] == 0x80 && (at[2] == 0x8e || at[2] == 0x8f)) ||
				 (at[1] == 0x80 && at[2] >= 0xaa && at[2] <= 0xae) ||
				 (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9));
}

/* Appends one line, without the space that authors put behind the marks. */
static void add_line(struct text *out, const char *line, size_t length)
{
	const unsigned char *at = (const unsigned char *)line;
	const unsigned char *end = at + length;
	size_t start = out->length;

	if (at < end && *at == ' ')
		at++;
	while (at < end) {
		size_t n = utf8_length(at);
		char before = out->length > start ? out->bytes[out->length - 1] : ' ';

		if (n == 0 || at + n > end) {
			text_add_char(out, '?');
			at++;
			continue;
		}
		if (n == 1 && (*at == 0x7f || (*at < ' ' && *at != '\t')))
			text_add_char(out, ' ');
		else if ((*at == '/' && before == '*') || (*at == '*' && before == '/'))
			text_printf(out, " %c", *at);
		else if (*at == '/' && before == '?') /* half of a trigraph */
			text_add_string(out, " /");
		else if (!changes_direction(at))
			text_add(out, (const char *)at, n);
		at += n;
	}
	while (out->length > start &&
	       (out->bytes[out->length - 1] == ' ' || out->bytes[out->length - 1] == '\t'))
		out->bytes[--out->length] = '\0';
}

const char *comments_clean(struct arena *arena, const char *raw)
{
	struct text out = {0};
	size_t kept = 0;
	char *clean;

	while (*raw) {
		size_t length = strcspn(raw, "\n");
		size_t before;

		if (out.length > 0)
			text_add_char(&out, '\n');
		before = out.length;
		add_line(&out, raw, length > 0 && raw[length - 1] == '\r' ? length - 1 : length);
		if (out.length > before)
			kept = out.length;
		raw += length;
		raw += *raw == '\n';
	}
	if (kept == 0) {
		text_deinit(&out);
		return NULL;
	}
	clean = arena_strndup(arena, out.bytes, kept);
	text_deinit(&out);
	return clean;
}

const char *comments_text(struct arena *arena, const struct file *file, const int32_t *path,
			  size_t length)
{
	const Location *location = comments_find(file, path, length);
	const char *clean = NULL;

	if (location && location->leading_comments)
		clean = comments_clean(arena, location->leading_comments);
	if (!clean && location && location->trailing_comments)
		clean = comments_clean(arena, location->trailing_comments);
	return clean;
}
