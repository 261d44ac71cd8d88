/* iso-codes in small. */

#include "data.h"

#include <byteswap.h>
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void write_file(const char *path, const void *bytes, size_t size)
{
	FILE *file = fopen(path, "wb");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
	ck_assert_int_eq(fclose(file), 0);
}

void data_make(struct data *data, const char *json)
{
	snprintf(data->dir, sizeof data->dir, "/tmp/hawser-names-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(data->dir));
	snprintf(data->json, sizeof data->json, "%s/json", data->dir);
	snprintf(data->json_file, sizeof data->json_file, "%s/iso_1.json", data->json);
	snprintf(data->locale, sizeof data->locale, "%s/locale", data->dir);
	snprintf(data->language, sizeof data->language, "%s/de", data->locale);
	snprintf(data->messages, sizeof data->messages, "%s/LC_MESSAGES", data->language);
	snprintf(data->catalog, sizeof data->catalog, "%s/iso_1.mo", data->messages);
	ck_assert_int_eq(mkdir(data->json, 0700), 0);
	ck_assert_int_eq(mkdir(data->locale, 0700), 0);
	ck_assert_int_eq(mkdir(data->language, 0700), 0);
	ck_assert_int_eq(mkdir(data->messages, 0700), 0);
	if (json)
		write_file(data->json_file, json, strlen(json));
}

void data_write_catalog(const struct data *data, const void *bytes, size_t size)
{
	write_file(data->catalog, bytes, size);
}

void data_remove(const struct data *data)
{
	unlink(data->catalog);
	unlink(data->json_file);
	rmdir(data->messages);
	rmdir(data->language);
	rmdir(data->locale);
	rmdir(data->json);
	ck_assert_int_eq(rmdir(data->dir), 0);
}

struct writer {
	unsigned char *bytes;
	size_t tables, strings; /* where the next entry and the next string go */
	bool swapped;
};

static void put_word(struct writer *writer, size_t *at, uint32_t word)
{
	word = writer->swapped ? bswap_32(word) : word;
	memcpy(writer->bytes + *at, &word, sizeof word);
	*at += sizeof word;
}

static void put_string(struct writer *writer, const char *string)
{
	size_t length = strlen(string);

	ck_assert_uint_le(writer->strings + length + 1, CATALOG_ROOM);
	put_word(writer, &writer->tables, (uint32_t)length);
	put_word(writer, &writer->tables, (uint32_t)writer->strings);
	memcpy(writer->bytes + writer->strings, string, length + 1);
	writer->strings += length + 1;
}

size_t catalog_make(unsigned char bytes[CATALOG_ROOM], bool swapped,
		    const char *const *translations, unsigned n)
{
	uint32_t entries = n + 2, originals = 28, table = 8 * entries;
	struct writer writer = {bytes, 0, originals + 2 * table, swapped};
	const uint32_t header[] = {
		0x950412de, 0, entries, originals, originals + table, 0, originals + 2 * table};

	for (size_t i = 0; i < sizeof header / sizeof *header; i++)
		put_word(&writer, &writer.tables, header[i]);
	put_string(&writer, "");
	put_string(&writer, "Not translated");
	for (unsigned i = 0; i < n; i++)
		put_string(&writer, "Original");
	put_string(&writer, "Content-Type: text/plain; charset=UTF-8\n");
	put_string(&writer, "");
	for (unsigned i = 0; i < n; i++)
		put_string(&writer, translations[i]);
	return writer.strings;
}
