/* The names of the world: Debian's iso-codes, as a list of strings.
 *
 * Its JSON files name countries, subdivisions, languages, scripts and currencies
 * in Latin letters; the gettext catalogs that come with them hold the same names
 * as some 160 languages write them. */

#ifndef NAMES_H
#define NAMES_H

#include <stddef.h>

/** One name; the text is the list's, the language points into `languages`. */
struct name {
	char *text;           /**< UTF-8 */
	const char *language; /**< "de", "zh_TW"; NULL: the JSON file's own */
};

/** What one JSON file gave. */
struct name_source {
	char *title; /**< "iso_3166-2" */
	size_t n_names;
	size_t n_translations;
};

struct names {
	struct name *names;
	size_t n, room;
	size_t n_json; /**< the first n_json are the JSON files' own, the rest translations */
	char **languages;
	size_t n_languages;
	struct name_source *sources;
	size_t n_sources;
};

#define NAMES_INIT \
	{          \
		0  \
	}

/**
 * Reads every name in every iso_*.json of json_dir and, if locale_dir is not NULL, their
 * translations from locale_dir/LANGUAGE/LC_MESSAGES/iso_*.mo. Returns 0, or a
 * negative errno and a sentence in `error`; either way release the list with names_deinit().
 */
int names_read(struct names *names, const char *json_dir, const char *locale_dir, char *error,
	       size_t error_size);

void names_deinit(struct names *names);

#endif /* NAMES_H */
