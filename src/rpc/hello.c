/* hello.h says what for. */

#include "rpc/hello.h"

#include "util/alloc.h"
#include "util/error.h"
#include "util/log.h"
#include <errno.h>
#include <string.h>

int hawser__labels_copy(const struct hawser_label *labels, size_t n, const char *whose,
			struct hawser_label **copy, struct hawser_error *error)
{
	size_t size = n * sizeof *labels;
	struct hawser_label *made;
	char *at;

	if (!n)
		return 0;
	if (n > HAWSER__LABELS_MOST || !labels)
		return hawser__error_set(error, -EINVAL,
					 "%s options: %zu labels, up to %d are possible", whose, n,
					 HAWSER__LABELS_MOST);
	for (size_t i = 0; i < n; i++) {
		const char *key = labels[i].key, *value = labels[i].value;

		if (!key || !*key || !value || strlen(key) > HAWSER__LABEL_BYTES ||
		    strlen(value) > HAWSER__LABEL_BYTES)
			return hawser__error_set(
				error, -EINVAL,
				"%s options: label %zu has no key or no value, or one "
				"of more than %d bytes",
				whose, i, HAWSER__LABEL_BYTES);
		size += strlen(key) + strlen(value) + 2;
	}
	made = hawser__malloc(size);
	if (!made)
		return hawser__error_set(error, -ENOMEM, "%s options: out of memory", whose);
	at = (char *)(made + n);
	for (size_t i = 0; i < n; i++) {
		made[i].key = at;
		at = stpcpy(at, labels[i].key) + 1;
		made[i].value = at;
		at = stpcpy(at, labels[i].value) + 1;
	}
	*copy = made;
	return 0;
}

static bool make_arrays(Hawser__Hello *hello, const struct hawser__registry *registry,
			const struct hawser_label *labels, size_t n_labels)
{
	size_t n_services = hawser__registry_count(registry), n = 0;
	Hawser__Label *wire;

	hello->services = hawser__calloc(n_services + 1, sizeof *hello->services);
	hello->labels = hawser__malloc(n_labels * (sizeof *hello->labels + sizeof *wire) + 1);
	if (!hello->services || !hello->labels)
		return false;
	hello->n_services =
		hawser__registry_list(registry, (const char **)hello->services, n_services);
	wire = (Hawser__Label *)(void *)(hello->labels + n_labels);
	for (; n < n_labels; n++) {
		hawser__label__init(&wire[n]);
		wire[n].key = (char *)(uintptr_t)labels[n].key;
		wire[n].value = (char *)(uintptr_t)labels[n].value;
		hello->labels[n] = &wire[n];
	}
	hello->n_labels = n;
	return true;
}

bool hawser__hello_make(Hawser__Hello *hello, const struct hawser__registry *registry,
			const struct hawser_label *labels, size_t n_labels, const char *address)
{
	size_t length;

	hawser__hello__init(hello);
	if (!hawser__registry_count(registry) && !n_labels && !address)
		return false;
	if (!make_arrays(hello, registry, labels, n_labels))
		goto fail;
	if (address)
		hello->address = (char *)(uintptr_t)address;
	length = protobuf_c_message_get_packed_size(&hello->base);
	if (length <= HAWSER__HELLO_BYTES)
		return true;
	hawser__log(HAWSER_LOG_WARNING,
		    "the names of %zu services and %zu labels take %zu bytes, a hello up to %d: "
		    "peers are not told of the labels; make them fewer or shorter",
		    hello->n_services, hello->n_labels, length, HAWSER__HELLO_BYTES);
	/* Who is not told of the services does not call them. */
	hello->n_labels = 0;
	if (protobuf_c_message_get_packed_size(&hello->base) <= HAWSER__HELLO_BYTES)
		return true;
fail:
	hawser__hello_unmake(hello);
	return false;
}

void hawser__hello_unmake(Hawser__Hello *hello)
{
	free(hello->services);
	free(hello->labels);
	hawser__hello__init(hello);
}
