/* A normalizer that is wrong now and then: the demo has to notice.
 *
 * "lie" changes every thousandth reply, "swap" answers it with the text of the
 * request before, "fail" refuses it. */

#include "normalize.h"
#include "normalizer.hawser.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *previous;

static void answer(struct hawser_call *call, const Demo__NormalizeRequest *request, void *data)
{
	Demo__NormalizeReply reply = DEMO__NORMALIZE_REPLY__INIT;
	const struct normalize_options options = {NORMAL_NFC, true, true};
	static unsigned long calls;
	const char *how = data;
	char *text = NULL;
	size_t offset;

	if (normalize(request->text, &options, &text, &offset) < 0)
		errx(1, "the demo sent what is not UTF-8");
	reply.text = text;
	if (++calls % 1000 != 0)
		demo_normalizer_normalize_reply(call, &reply);
	else if (strcmp(how, "fail") == 0)
		demo_normalizer_normalize_fail(call, HAWSER_INTERNAL, "not today");
	else {
		reply.text = strcmp(how, "swap") == 0 ? previous : (char *)"wrong";
		demo_normalizer_normalize_reply(call, &reply);
	}
	free(previous);
	previous = text;
}

int main(int argc, char **argv)
{
	static const struct demo_normalizer_service liar = {.normalize = answer};
	struct hawser_error error;
	struct hawser_server *server = hawser_server_new(NULL, &error);

	if (argc != 2)
		errx(2, "give one of lie, swap, fail");
	if (!server || demo_normalizer_register(server, &liar, argv[1], &error) < 0 ||
	    hawser_server_listen(server, "tcp:127.0.0.1:0", &error) < 0)
		errx(1, "%s", error.message);
	printf("listening on %s\n", hawser_server_address(server, 0));
	fflush(stdout);
	if (hawser_server_run(server, &error) < 0)
		errx(1, "%s", error.message);
	hawser_server_free(server);
	free(previous);
	return 0;
}
