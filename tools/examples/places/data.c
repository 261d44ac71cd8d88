/* zone1970.tab, which tells in comments what is in it: lines of columns between tabs, of which
 * the first three are countries, coordinates and name.
 *
 * The file is read whole and cut up in place; the places point into it. */

#include "data.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Debian's has 18 KB. */
#define MOST_BYTES (1 << 20)

struct reader {
	const char *path;
	unsigned line; /* 0: it is about the whole file */
	char *error;
	size_t error_size;
};

static int __attribute__((format(printf, 3, 4)))
fail(const struct reader *reader, int code, const char *format, ...)
{
	char where[16] = "", what[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof what, format, arguments);
	va_end(arguments);
	if (reader->line > 0)
		snprintf(where, sizeof where, ":%u", reader->line);
	snprintf(reader->error, reader->error_size, "%s%s: %s", reader->path, where, what);
	return code;
}

/* ---- the file ---- */

/* Reads it to a string. */
static int read_stream(const struct reader *reader, FILE *file, char **text)
{
	char *bytes = malloc(MOST_BYTES + 1), *fitting;
	size_t n;

	if (!bytes)
		return fail(reader, -ENOMEM, "out of memory");
	n = fread(bytes, 1, MOST_BYTES + 1, file);
	if (ferror(file) || n > MOST_BYTES || memchr(bytes, '\0', n)) {
		int code = ferror(file) ? -errno : -EBADMSG;

		fail(reader, code, "%s",
		     ferror(file) ? strerror(errno) : "not a table of time zones");
		free(bytes);
		return code;
	}
	bytes[n] = '\0';
	fitting = realloc(bytes, n + 1);
	*text = fitting ? fitting : bytes;
	return 0;
}

static int read_file(const struct reader *reader, char **text)
{
	FILE *file = fopen(reader->path, "re");
	int r;

	if (!file && errno == ENOENT)
		return fail(reader, -ENOENT, "no such file; Debian's package tzdata has it");
	if (!file)
		return fail(reader, -errno, "%s", strerror(errno));
	r = read_stream(reader, file, text);
	fclose(file);
	return r;
}

/* ---- a line ---- */

/* Sign, degrees, minutes and perhaps seconds, with nothing between them, as degrees; NAN: it is
 * something else. */
static double parse_angle(const char *text, size_t length, size_t degree_digits)
{
	unsigned parts[3] = {0};
	size_t at = 1, end = 1 + degree_digits;
	double angle;

	if (*text != '+' && *text != '-')
		return NAN;
	for (unsigned part = 0; at < length; part++, end += 2) {
		for (; at < end; at++) {
			if (!isdigit((unsigned char)text[at]))
				return NAN;
			parts[part] = 10 * parts[part] + (unsigned)(text[at] - '0');
		}
	}
	if (parts[1] >= 60 || parts[2] >= 60)
		return NAN;
	angle = parts[0] + parts[1] / 60.0 + parts[2] / 3600.0;
	return *text == '-' ? -angle : angle;
}

static int parse_point(const struct reader *reader, const char *text, struct point *point)
{
	size_t length = strlen(text), latitude = length == 15 ? 7 : 5;

	if (length == 11 || length == 15) {
		point->latitude = parse_angle(text, latitude, 2);
		point->longitude = parse_angle(text + latitude, length - latitude, 3);
	} else {
		point->latitude = NAN;
	}
	if (isnan(point->latitude) || isnan(point->longitude))
		return fail(reader, -EBADMSG,
			    "coordinates \"%s\"; they have to be ±DDMM±DDDMM or ±DDMMSS±DDDMMSS",
			    text);
	if (fabs(point->latitude) > 90 || fabs(point->longitude) > 180)
		return fail(reader, -EBADMSG,
			    "coordinates \"%s\"; there are 90 degrees of latitude and 180 of "
			    "longitude",
			    text);
	return 0;
}

static bool is_country(const char *text)
{
	return isupper((unsigned char)text[0]) && isupper((unsigned char)text[1]) && !text[2];
}

/* Codes between commas; they go to the end of `all`. */
static int parse_countries(const struct reader *reader, char *text, struct place *place, char **all)
{
	char *code;

	place->countries = all;
	while ((code = strsep(&text, ","))) {
		if (!is_country(code))
			return fail(reader, -EBADMSG, "\"%s\" is no country; it needs two capitals",
				    code);
		place->countries[place->n_countries++] = code;
	}
	return 0;
}

static int parse_line(const struct reader *reader, char *line, struct place *place,
		      char **countries)
{
	char *codes = strsep(&line, "\t"), *coordinates = strsep(&line, "\t");
	char *name = strsep(&line, "\t");
	int r;

	if (!name || !*name)
		return fail(reader, -EBADMSG,
			    "countries, coordinates and name are needed, with tabs between them");
	*place = (struct place){.name = name};
	r = parse_countries(reader, codes, place, countries);
	return r < 0 ? r : parse_point(reader, coordinates, &place->point);
}

/* ---- the table ---- */

static int compare(const void *one, const void *other)
{
	return strcmp(((const struct place *)one)->name, ((const struct place *)other)->name);
}

static int parse(struct reader *reader, struct places *places)
{
	char *rest = places->text, *line, **countries = places->countries;
	int r;

	while ((line = strsep(&rest, "\n"))) {
		struct place *place = &places->places[places->n];

		reader->line++;
		if (!*line || *line == '#')
			continue;
		r = parse_line(reader, line, place, countries);
		if (r < 0)
			return r;
		countries += place->n_countries;
		places->n++;
	}
	reader->line = 0;
	if (places->n == 0)
		return fail(reader, -EBADMSG, "no place is in it");
	qsort(places->places, places->n, sizeof *places->places, compare);
	for (size_t i = 1; i < places->n; i++) {
		if (compare(&places->places[i - 1], &places->places[i]) == 0)
			return fail(reader, -EBADMSG, "%s is in it twice", places->places[i].name);
	}
	return 0;
}

/* Room for a place in each line, and for a country more than there are commas. */
static bool make_room(struct places *places)
{
	size_t lines = 1, commas = 0;

	for (const char *at = places->text; *at; at++) {
		lines += *at == '\n';
		commas += *at == ',';
	}
	places->places = calloc(lines, sizeof *places->places);
	places->countries = calloc(lines + commas, sizeof *places->countries);
	return places->places && places->countries;
}

int places_read(struct places *places, const char *path, char *error, size_t error_size)
{
	struct reader reader = {.path = path, .error = error, .error_size = error_size};
	struct places read = {0};
	int r;

	r = read_file(&reader, &read.text);
	if (r == 0 && !make_room(&read))
		r = fail(&reader, -ENOMEM, "out of memory");
	if (r == 0)
		r = parse(&reader, &read);
	if (r == 0)
		*places = read;
	else
		places_deinit(&read);
	return r;
}

void places_deinit(struct places *places)
{
	free(places->places);
	free(places->countries);
	free(places->text);
	*places = (struct places){0};
}

/* ---- questions ---- */

const struct place *places_find(const struct places *places, const char *name)
{
	const struct place wanted = {.name = (char *)name};

	return bsearch(&wanted, places->places, places->n, sizeof wanted, compare);
}

const struct place *places_suggest(const struct places *places, const char *name)
{
	for (size_t i = 0; i < places->n && *name; i++) {
		if (strcasestr(places->places[i].name, name))
			return &places->places[i];
	}
	return NULL;
}

const struct place *places_nearest(const struct places *places, const struct point *point,
				   double *km)
{
	const struct place *nearest = NULL;

	*km = INFINITY;
	for (size_t i = 0; i < places->n; i++) {
		double distance = distance_km(point, &places->places[i].point);

		if (distance < *km) {
			*km = distance;
			nearest = &places->places[i];
		}
	}
	return nearest;
}
