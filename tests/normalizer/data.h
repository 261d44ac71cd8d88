/* iso-codes in small: a directory with one JSON file and, if wanted, one catalog. */

#ifndef TESTS_NORMALIZER_DATA_H
#define TESTS_NORMALIZER_DATA_H

#include <stdbool.h>
#include <stddef.h>

struct data {
	char dir[64];
	char json[80], json_file[96];     /**< dir/json/iso_1.json */
	char locale[80], language[96];    /**< dir/locale/de */
	char messages[112], catalog[128]; /**< dir/locale/de/LC_MESSAGES/iso_1.mo */
};

/** Makes the directory; the JSON file holds `json`, NULL: there is none. */
void data_make(struct data *data, const char *json);

/** Writes the catalog's bytes. */
void data_write_catalog(const struct data *data, const void *bytes, size_t size);

/** Removes all of it. */
void data_remove(const struct data *data);

#define CATALOG_ROOM 1024

/**
 * Makes a gettext catalog with `n` translations, and its header, an original
 * without translation besides. `swapped`: of the other byte order. Returns its size.
 */
size_t catalog_make(unsigned char bytes[CATALOG_ROOM], bool swapped,
		    const char *const *translations, unsigned n);

#endif /* TESTS_NORMALIZER_DATA_H */
