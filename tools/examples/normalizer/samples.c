/* Which names to show, and how to show them.
 *
 * A reader wants to see what the service does, in more than one script: so the
 * list is searched for the best example of each kind of change in each script,
 * where best means that something else happens than one capital letter becoming
 * small, and that it fits into a line. */

#include "job.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define MAX_CODE_POINTS 64
#define MAX_WIDTH 26

/* A text as code points. */
struct points {
	int32_t at[MAX_CODE_POINTS];
	unsigned n;
};

enum { TRIMMED = 1, RECOMPOSED = 2, FOLDED = 4, KINDS = 8 };

/* What happened to a letter, when it was more than one letter becoming another. */
enum event_type { NOTHING, JOINED, REPLACED, SPLIT_LETTERS, SPLIT_MARKS, EVENT_TYPES };

struct event {
	enum event_type type;
	unsigned at, n; /* the code points that it happened to */
	struct points to;
};

static const struct script {
	const char *name;
	int32_t first, last;
} scripts[] = {
	{"Latin", 0, 0x24f},          {"Greek", 0x370, 0x3ff},      {"Cyrillic", 0x400, 0x52f},
	{"Armenian", 0x530, 0x58f},   {"Hebrew", 0x590, 0x5ff},     {"Arabic", 0x600, 0x6ff},
	{"Devanagari", 0x900, 0x97f}, {"Bengali", 0x980, 0x9ff},    {"Gurmukhi", 0xa00, 0xa7f},
	{"Gujarati", 0xa80, 0xaff},   {"Oriya", 0xb00, 0xb7f},      {"Tamil", 0xb80, 0xbff},
	{"Telugu", 0xc00, 0xc7f},     {"Kannada", 0xc80, 0xcff},    {"Malayalam", 0xd00, 0xd7f},
	{"Sinhala", 0xd80, 0xdff},    {"Thai", 0xe00, 0xe7f},       {"Tibetan", 0xf00, 0xfff},
	{"Georgian", 0x10a0, 0x10ff}, {"Ethiopic", 0x1200, 0x137f}, {"Cherokee", 0x13a0, 0x13ff},
	{"Khmer", 0x1780, 0x17ff},    {"Greek", 0x1f00, 0x1fff},    {"Kana", 0x3040, 0x30ff},
	{"Han", 0x4e00, 0x9fff},      {"Hangul", 0xac00, 0xd7af},   {"Han", 0xf900, 0xfaff},
};

#define N_SCRIPTS (sizeof scripts / sizeof *scripts)

static bool decode(const char *text, struct points *points)
{
	const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)text;

	points->n = 0;
	while (*bytes) {
		utf8proc_ssize_t length;

		if (points->n == MAX_CODE_POINTS)
			return false;
		length = utf8proc_iterate(bytes, -1, &points->at[points->n++]);
		if (length < 0)
			return false;
		bytes += length;
	}
	return true;
}

/* The result is the caller's to free; NULL: out of memory, or not UTF-8. */
static char *apply(const char *text, bool trim, bool case_fold)
{
	const struct normalize_options options = {
		.form = job_options.form, .trim = trim, .case_fold = case_fold};
	char *normal = NULL;
	size_t offset;

	return normalize(text, &options, &normal, &offset) == 0 ? normal : NULL;
}

static bool changes(const char *text, bool trim, bool case_fold)
{
	char *normal = apply(text, trim, case_fold);
	bool changed = normal && strcmp(text, normal) != 0;

	free(normal);
	return changed;
}

static unsigned kinds_of(const char *text)
{
	bool recomposed = changes(text, false, false);
	char *composed = apply(text, false, false);
	unsigned kinds = 0;

	if (composed) {
		kinds |= changes(composed, true, false) ? TRIMMED : 0;
		kinds |= recomposed ? RECOMPOSED : 0;
		kinds |= changes(composed, false, true) ? FOLDED : 0;
	}
	free(composed);
	return kinds;
}

static bool is_combining(int32_t c)
{
	return utf8proc_category(c) == UTF8PROC_CATEGORY_MN ||
	       utf8proc_category(c) == UTF8PROC_CATEGORY_MC;
}

/* The first row of the script that row i belongs to. */
static unsigned same_script(unsigned i)
{
	unsigned first = 0;

	while (strcmp(scripts[first].name, scripts[i].name) != 0)
		first++;
	return first;
}

static unsigned script_of(int32_t c)
{
	for (unsigned i = 1; i < N_SCRIPTS; i++) {
		if (c >= scripts[i].first && c <= scripts[i].last)
			return same_script(i);
	}
	return 0;
}

/* The script of the first letter that is not Latin. */
static unsigned script_of_all(const struct points *points)
{
	unsigned script = 0;

	for (unsigned i = 0; i < points->n && script == 0; i++)
		script = script_of(points->at[i]);
	return script;
}

/* What becomes of one or two code points on their own. */
static bool transform(const int32_t *from, unsigned n, bool case_fold, struct points *to)
{
	char text[4 * 2 + 1];
	utf8proc_ssize_t length = 0;
	char *normal;
	bool ok;

	for (unsigned i = 0; i < n; i++)
		length += utf8proc_encode_char(from[i], (utf8proc_uint8_t *)text + length);
	text[length] = '\0';
	normal = apply(text, false, case_fold);
	ok = normal && decode(normal, to);
	free(normal);
	return ok;
}

static enum event_type event_at(const struct points *points, unsigned i, unsigned n,
				struct points *to)
{
	const int32_t *from = &points->at[i];

	if (n == 2) {
		if (i + 1 < points->n && is_combining(from[1]) && transform(from, 2, true, to) &&
		    to->n == 1)
			return JOINED;
	} else if (from[0] >= 0x80) {
		if (transform(from, 1, true, to) && to->n > 1)
			return is_combining(to->at[1]) ? SPLIT_MARKS : SPLIT_LETTERS;
		if (transform(from, 1, false, to) && to->at[0] != from[0])
			return REPLACED;
	}
	return NOTHING;
}

/* The first event in the text's own script. */
static struct event find_event(const struct points *points)
{
	unsigned script = script_of_all(points);
	struct event event = {NOTHING};

	for (unsigned i = 0; i < points->n; i++) {
		if (script_of(points->at[i]) != script)
			continue;
		for (unsigned n = 2; n >= 1; n--) {
			event.type = event_at(points, i, n, &event.to);
			event.at = i;
			event.n = n;
			if (event.type != NOTHING)
				return event;
		}
	}
	return event;
}

/* Columns on a terminal; control characters are shown as two. */
static int width_of(const struct points *points)
{
	int width = 0;

	for (unsigned i = 0; i < points->n; i++)
		width += points->at[i] < 0x20 ? 2 : utf8proc_charwidth(points->at[i]);
	return width;
}

/* How well a name shows what it went through; 0: not at all. */
static int score_of(const struct points *points, unsigned kinds, enum event_type event)
{
	unsigned distractions = 0, capitals = 0;
	int width = width_of(points);

	for (unsigned i = 0; i < points->n; i++) {
		int32_t c = points->at[i];

		distractions += c > 0x20 && c < 0x41;
		capitals += c >= 0x80 && utf8proc_category(c) == UTF8PROC_CATEGORY_LU;
	}
	if (width < 4 || width > MAX_WIDTH)
		return 0;
	/* Everybody has seen A become a. */
	if (kinds == FOLDED && event == NOTHING && capitals == 0)
		return 0;
	return 100 - abs(width - 11) - 10 * (int)distractions;
}

void samples_choose(struct job *job)
{
	struct {
		int score;
		size_t name;
	} best[N_SCRIPTS][KINDS][EVENT_TYPES] = {0}, *slot;

	for (size_t i = 0; i < job->names->n; i++) {
		const char *text = job->names->names[i].text;
		enum event_type event;
		struct points points;
		unsigned kinds;
		int score;

		if (strlen(text) >= SAMPLE_SIZE / 8 || !decode(text, &points) ||
		    (kinds = kinds_of(text)) == 0)
			continue;
		event = find_event(&points).type;
		score = score_of(&points, kinds, event);
		slot = &best[script_of_all(&points)][kinds][event];
		if (score > slot->score) {
			slot->score = score;
			slot->name = i;
		}
	}

	job->n_samples = 0;
	slot = &best[0][0][0];
	for (size_t i = 0; i < N_SCRIPTS * KINDS * EVENT_TYPES; i++) {
		if (slot[i].score > 0 && job->n_samples < MAX_SAMPLES)
			job->board->samples[job->n_samples++].name = slot[i].name;
	}
}

/* ---- printing ---- */

static void print_padded(const char *text, int columns)
{
	struct points points;
	int width = 0;

	if (!decode(text, &points))
		points.n = 0;
	for (unsigned i = 0; i < points.n; i++) {
		utf8proc_uint8_t bytes[4];

		if (points.at[i] == '\t')
			fputs("\\t", stdout);
		else if (points.at[i] < 0x20)
			fputs("\\?", stdout);
		else
			fwrite(bytes, 1, (size_t)utf8proc_encode_char(points.at[i], bytes), stdout);
	}
	width = width_of(&points);
	printf("%*s", columns > width ? columns - width : 0, "");
}

static void print_points(const int32_t *points, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		printf(" U+%04X", (unsigned)points[i]);
}

static void print_kinds(const char *text)
{
	static const char *const words[] = {"trimmed", "recomposed", "folded"};
	unsigned kinds = kinds_of(text);
	const char *comma = "";
	struct points points;
	struct event event;

	for (unsigned i = 0; i < 3; i++) {
		if (kinds & 1u << i) {
			printf("%s%s", comma, words[i]);
			comma = ", ";
		}
	}
	if (decode(text, &points) && (event = find_event(&points)).type != NOTHING) {
		fputs(":", stdout);
		print_points(points.at + event.at, event.n);
		fputs(" ->", stdout);
		print_points(event.to.at, event.to.n);
	}
	putchar('\n');
}

void samples_print(const struct job *job)
{
	printf("  %-10s %-*s %-*s %s\n", "script", MAX_WIDTH, "before", MAX_WIDTH, "after",
	       "what happened");
	for (unsigned i = 0; i < job->n_samples; i++) {
		const struct sample *sample = &job->board->samples[i];
		const char *text = job->names->names[sample->name].text;
		struct points points;

		if (!decode(text, &points))
			continue;
		printf("  %-10s ", scripts[script_of_all(&points)].name);
		print_padded(text, MAX_WIDTH + 1);
		print_padded(sample->reply, MAX_WIDTH + 1);
		print_kinds(text);
	}
}
