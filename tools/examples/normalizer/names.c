/* The names of the world.
 *
 * In the JSON files a name is every string member called "name" or "…_name" of
 * an entry. In a catalog (.mo) it is every translated string; the format is two
 * tables of lengths and offsets, described in gettext's manual, "The Format of
 * GNU MO Files". */

#include "names.h"

#include <byteswap.h>
#include <errno.h>
#include <glob.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MO_MAGIC 0x950412deu

struct reader {
	struct names *names;
	char *error;
	size_t error_size;
};

static int fail(struct reader *reader, int code, const char *path, const char *what)
{
	snprintf(reader->error, reader->error_size, "%s: %s", path, what);
	return code;
}

static int add_name(struct reader *reader, const char *text, const char *language)
{
	struct names *names = reader->names;

	if (names->n == names->room) {
		size_t room = names->room ? 2 * names->room : 1024;
		struct name *grown = reallocarray(names->names, room, sizeof *grown);

		if (!grown)
			return fail(reader, -ENOMEM, text, "out of memory");
		names->names = grown;
		names->room = room;
	}
	names->names[names->n] = (struct name){strdup(text), language};
	if (!names->names[names->n].text)
		return fail(reader, -ENOMEM, text, "out of memory");
	names->n++;
	return 0;
}

/* ---- JSON ---- */

static bool is_name(const char *key)
{
	size_t length = strlen(key);

	return strcmp(key, "name") == 0 || (length > 5 && strcmp(key + length - 5, "_name") == 0);
}

static int read_entries(struct reader *reader, json_t *root)
{
	const char *list_key, *key;
	json_t *list, *entry, *value;
	size_t i;
	int r;

	json_object_foreach(root, list_key, list)
	{
		json_array_foreach(list, i, entry)
		{
			json_object_foreach(entry, key, value)
			{
				if (!is_name(key) || !json_is_string(value))
					continue;
				r = add_name(reader, json_string_value(value), NULL);
				if (r < 0)
					return r;
			}
		}
	}
	return 0;
}

static int add_source(struct reader *reader, const char *path, size_t n_names)
{
	struct names *names = reader->names;
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	struct name_source *grown;

	grown = reallocarray(names->sources, names->n_sources + 1, sizeof *grown);
	if (!grown)
		return fail(reader, -ENOMEM, path, "out of memory");
	names->sources = grown;
	grown[names->n_sources] = (struct name_source){
		.title = strndup(base, strcspn(base, ".")),
		.n_names = n_names,
	};
	if (!grown[names->n_sources].title)
		return fail(reader, -ENOMEM, path, "out of memory");
	names->n_sources++;
	return 0;
}

static int read_json(struct reader *reader, const char *path)
{
	size_t before = reader->names->n;
	json_error_t error;
	json_t *root;
	int r;

	root = json_load_file(path, 0, &error);
	if (!root) {
		snprintf(reader->error, reader->error_size, "%s:%d: %s", path, error.line,
			 error.text);
		return -EBADMSG;
	}
	r = read_entries(reader, root);
	json_decref(root);
	return r < 0 ? r : add_source(reader, path, reader->names->n - before);
}

static int read_all_json(struct reader *reader, const char *json_dir)
{
	char pattern[4096];
	glob_t found;
	int r = 0;

	snprintf(pattern, sizeof pattern, "%s/iso_*.json", json_dir);
	switch (glob(pattern, 0, NULL, &found)) {
	case 0:
		break;
	case GLOB_NOMATCH:
		return fail(reader, -ENOENT, pattern,
			    "no such file; install Debian's package iso-codes");
	default:
		return fail(reader, -EIO, pattern, "cannot be listed");
	}
	for (size_t i = 0; i < found.gl_pathc && r == 0; i++)
		r = read_json(reader, found.gl_pathv[i]);
	globfree(&found);
	reader->names->n_json = reader->names->n;
	return r;
}

/* ---- catalogs ---- */

/* A whole file; the caller frees it. */
static int read_file(struct reader *reader, const char *path, char **data, size_t *size)
{
	FILE *file = fopen(path, "rbe");
	char *bytes = NULL;
	long length;

	if (!file)
		return fail(reader, -errno, path, strerror(errno));
	if (fseek(file, 0, SEEK_END) == 0 && (length = ftell(file)) >= 0) {
		rewind(file);
		bytes = malloc((size_t)length + 1);
		if (bytes && fread(bytes, 1, (size_t)length, file) != (size_t)length) {
			free(bytes);
			bytes = NULL;
		}
	}
	fclose(file);
	if (!bytes)
		return fail(reader, -EIO, path, "cannot be read");
	*data = bytes;
	*size = (size_t)length;
	return 0;
}

struct catalog {
	const char *data;
	size_t size;
	bool swapped; /* written on a machine of the other byte order */
};

static bool get_u32(const struct catalog *catalog, size_t offset, uint32_t *value)
{
	if (offset > catalog->size || catalog->size - offset < sizeof *value)
		return false;
	memcpy(value, catalog->data + offset, sizeof *value);
	if (catalog->swapped)
		*value = bswap_32(*value);
	return true;
}

/* Entry i of a table of strings; each string ends with a zero byte. */
static const char *get_string(const struct catalog *catalog, uint32_t table, uint32_t i)
{
	uint32_t length, offset;

	if (!get_u32(catalog, table + 8 * (size_t)i, &length) ||
	    !get_u32(catalog, table + 8 * (size_t)i + 4, &offset))
		return NULL;
	if (offset > catalog->size || catalog->size - offset <= length)
		return NULL;
	return catalog->data[(size_t)offset + length] == '\0' ? catalog->data + offset : NULL;
}

static int read_strings(struct reader *reader, const struct catalog *catalog, const char *path,
			const char *language)
{
	uint32_t n, originals, translations;

	if (!get_u32(catalog, 8, &n) || !get_u32(catalog, 12, &originals) ||
	    !get_u32(catalog, 16, &translations))
		return fail(reader, -EBADMSG, path, "the header is cut off");

	for (uint32_t i = 0; i < n; i++) {
		const char *original = get_string(catalog, originals, i);
		const char *translation = get_string(catalog, translations, i);
		int r;

		if (!original || !translation)
			return fail(reader, -EBADMSG, path, "a string lies outside the file");
		/* The empty original is the catalog's header. */
		if (!*original || !*translation)
			continue;
		r = add_name(reader, translation, language);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_catalog(struct reader *reader, const char *path, const char *language)
{
	struct catalog catalog = {0};
	uint32_t magic;
	char *data = NULL;
	int r;

	r = read_file(reader, path, &data, &catalog.size);
	if (r < 0)
		return r;
	catalog.data = data;

	if (!get_u32(&catalog, 0, &magic) || (magic != MO_MAGIC && magic != bswap_32(MO_MAGIC))) {
		r = fail(reader, -EBADMSG, path, "not a gettext catalog");
	} else {
		catalog.swapped = magic != MO_MAGIC;
		r = read_strings(reader, &catalog, path, language);
	}
	free(data);
	return r;
}

/* The language in ".../LANGUAGE/LC_MESSAGES/iso_x.mo", kept once; NULL: out of memory. */
static const char *language_of(struct names *names, const char *path, size_t locale_length)
{
	const char *start = path + locale_length + 1;
	size_t length = strcspn(start, "/");
	char **grown;

	for (size_t i = 0; i < names->n_languages; i++) {
		if (strncmp(names->languages[i], start, length) == 0 &&
		    !names->languages[i][length])
			return names->languages[i];
	}
	grown = reallocarray(names->languages, names->n_languages + 1, sizeof *grown);
	if (!grown)
		return NULL;
	names->languages = grown;
	grown[names->n_languages] = strndup(start, length);
	return grown[names->n_languages] ? grown[names->n_languages++] : NULL;
}

static int read_catalogs(struct reader *reader, const char *locale_dir, struct name_source *source)
{
	struct names *names = reader->names;
	size_t before = names->n;
	char pattern[4096];
	glob_t found;
	int r = 0;

	snprintf(pattern, sizeof pattern, "%s/*/LC_MESSAGES/%s.mo", locale_dir, source->title);
	switch (glob(pattern, 0, NULL, &found)) {
	case 0:
		break;
	case GLOB_NOMATCH:
		return 0;
	default:
		return fail(reader, -EIO, pattern, "cannot be listed");
	}
	for (size_t i = 0; i < found.gl_pathc && r == 0; i++) {
		const char *path = found.gl_pathv[i];
		const char *language = language_of(names, path, strlen(locale_dir));

		r = language ? read_catalog(reader, path, language)
			     : fail(reader, -ENOMEM, path, "out of memory");
	}
	globfree(&found);
	source->n_translations = names->n - before;
	return r;
}

int names_read(struct names *names, const char *json_dir, const char *locale_dir, char *error,
	       size_t error_size)
{
	struct reader reader = {names, error, error_size};
	int r;

	r = read_all_json(&reader, json_dir);
	for (size_t i = 0; i < names->n_sources && r == 0 && locale_dir; i++)
		r = read_catalogs(&reader, locale_dir, &names->sources[i]);
	return r;
}

void names_deinit(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->names[i].text);
	for (size_t i = 0; i < names->n_languages; i++)
		free(names->languages[i]);
	for (size_t i = 0; i < names->n_sources; i++)
		free(names->sources[i].title);
	free(names->names);
	free(names->languages);
	free(names->sources);
	*names = (struct names)NAMES_INIT;
}
