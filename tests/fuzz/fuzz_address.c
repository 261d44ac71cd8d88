/* Any text as an address: taken as it is or refused with a sentence; what resolves can be shown
 * and read again. */

#include "fuzz.h"
#include "net/address.h"
#include <errno.h>
#include <string.h>

static void check_resolved(const struct hawser__address *address)
{
	struct hawser__address again;
	struct hawser_error error = {.message = ""};
	struct addrinfo *list = NULL;
	char shown[HAWSER__ADDRESS_MAX];
	int r = hawser__address_resolve(address, false, true, &list, &error);

	if (r < 0) {
		require(!list);
		require(r == -EAGAIN || *error.message);
		return;
	}
	require(list);
	for (struct addrinfo *at = list; at; at = at->ai_next) {
		hawser__address_format(at->ai_addr, at->ai_addrlen, shown, sizeof shown);
		require(hawser__address_parse(&again, shown, NULL) == 0);
		require(again.kind == address->kind);
	}
	hawser__address_free(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hawser__address address;
	struct hawser_error error = {.message = ""};
	char *text = malloc(size + 1);
	int r;

	require(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	r = hawser__address_parse(&address, text, &error);
	if (r == 0) {
		require(!strcmp(address.text, text));
		require(!*error.message);
		require(address.kind == HAWSER__ADDRESS_UNIX ? *address.path : *address.port);
		check_resolved(&address);
	} else {
		require(r == -EINVAL);
		require(error.code == -EINVAL);
		require(memchr(error.message, 0, sizeof error.message));
		/* It says what to write instead, however long the text was. */
		require(strstr(error.message, "(write tcp:HOST:PORT or unix:PATH)"));
	}
	free(text);
	return 0;
}
