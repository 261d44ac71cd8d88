/* protoc-gen-hawser: a plugin of protoc. A CodeGeneratorRequest comes on stdin, a
 * CodeGeneratorResponse goes to stdout. What is wrong with a .proto is said in the
 * response, with status 0; what is wrong with the request itself on stderr, with
 * status 1. */

#include "plugin.h"
#include "process.h"

#include <errno.h>
#include <hawser/version.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
	"Usage: protoc --hawser_out=[PARAMETER,...:]DIR FILE.proto...\n"
	"\n"
	"protoc-gen-hawser is a plugin of protoc, which starts it by itself. For each\n"
	"FILE.proto it writes FILE.hawser.h and FILE.hawser.c, the services, and by\n"
	"protoc-gen-c FILE.pb-c.h and FILE.pb-c.c, the messages.\n"
	"\n"
	"Parameters:\n"
	"  messages=on|off    write the messages too (on)\n"
	"  protoc_gen_c=PATH  protobuf-c's generator (protoc-gen-c, found in PATH)\n"
	"\n"
	"Options of the command itself:\n"
	"  --help, --version\n";

static int run(void)
{
	struct text request = {0}, response = {0};
	int r = process_read_all(STDIN_FILENO, &request);
	int status = 1;

	if (r < 0) {
		fprintf(stderr, "protoc-gen-hawser: cannot read the request: %s\n", strerror(-r));
	} else if (!plugin_answer((const uint8_t *)request.bytes, request.length, &response)) {
		fputs("protoc-gen-hawser: stdin holds no valid CodeGeneratorRequest; protoc starts "
		      "this program, see --help\n",
		      stderr);
	} else if (fwrite(response.bytes, 1, response.length, stdout) != response.length ||
		   fflush(stdout) != 0) {
		fprintf(stderr, "protoc-gen-hawser: cannot write the response: %s\n",
			strerror(errno));
	} else {
		status = 0;
	}
	text_deinit(&request);
	text_deinit(&response);
	return status;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts("protoc-gen-hawser " HAWSER_VERSION);
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc > 1 || isatty(STDIN_FILENO)) {
		if (argc > 1)
			fprintf(stderr, "protoc-gen-hawser: unknown argument %s\n", argv[1]);
		fputs(usage, stderr);
		return 1;
	}
	return run();
}
