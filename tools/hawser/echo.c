/* hawser echo: the server that `hawser bench` needs. */

#include "command.h"
#include "echo.hawser.h"
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

struct settings {
	uint64_t loops, max_size_bytes, max_connections;
	bool allow_shutdown;
};

static const struct settings defaults = {
	.loops = 1,
	.max_size_bytes = 64u << 20,
	.max_connections = 100000,
};

static const struct option options[] = {
	{"loops", "N", "threads that serve (1)", OPTION_COUNT, offsetof(struct settings, loops), 1,
	 256},
	{"max-size", "BYTES", "largest payload to take (64M)", OPTION_BYTES,
	 offsetof(struct settings, max_size_bytes), 1, 255u << 20},
	{"max-connections", "N", "connections at a time (100000)", OPTION_COUNT,
	 offsetof(struct settings, max_connections), 1, 1000000},
	{"allow-shutdown", NULL, "let whoever can connect stop it with \"hawser shutdown\"",
	 OPTION_FLAG, offsetof(struct settings, allow_shutdown), 0, 0},
	{.name = NULL},
};

static void answer(struct hawser_call *call, const Hawser__Bench__EchoMessage *request, void *data)
{
	hawser_bench_echo_echo_reply(call, request);
}

static const struct hawser_bench_echo_service service = {.echo = answer};

static int failed(const struct hawser_error *error)
{
	fprintf(stderr, "hawser echo: %s\n", error->message);
	return EXIT_FAILED;
}

static int listen_and_run(struct hawser_server *server, size_t n_addresses, char **addresses)
{
	struct hawser_error error;
	int code;

	if (hawser_bench_echo_register(server, &service, NULL, &error) < 0)
		return failed(&error);
	for (size_t i = 0; i < n_addresses; i++) {
		code = hawser_server_listen(server, addresses[i], &error);
		if (code == -EINVAL)
			return command_server_error(&command_echo, addresses[i], &error);
		if (code < 0)
			return failed(&error);
	}
	for (unsigned i = 0; i < n_addresses; i++)
		printf("listening on %s\n", hawser_server_address(server, i));
	if (isatty(STDOUT_FILENO))
		printf("now try, elsewhere: hawser bench %s\n", hawser_server_address(server, 0));
	if (fflush(stdout) != 0)
		return EXIT_FAILED; /* command_main() says why */

	code = hawser_server_run(server, &error);
	if (code < 0)
		return failed(&error);
	if (code > 0)
		fprintf(stderr, "hawser echo: stopped while calls were in flight\n");
	return code > 0 ? EXIT_FAILED : EXIT_DONE;
}

static int echo(const void *data, size_t n_arguments, char **arguments)
{
	const struct settings *settings = data;
	struct hawser_server_options server_options = HAWSER_SERVER_OPTIONS_INIT;
	struct hawser_server *server;
	struct hawser_error error;
	struct rlimit limit;
	int code;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	server_options.name = "hawser echo";
	server_options.loops = (unsigned)settings->loops;
	server_options.max_connections = (unsigned)settings->max_connections;
	server_options.max_calls = 100000; /* what bench --depth may ask for */
	/* Room for what protobuf puts around the payload. */
	server_options.max_request_bytes = settings->max_size_bytes + 64;
	server_options.max_reply_bytes = settings->max_size_bytes + 64;
	server_options.allow_shutdown_from_anyone = settings->allow_shutdown;

	server = hawser_server_new(&server_options, &error);
	if (!server)
		return failed(&error);
	code = listen_and_run(server, n_arguments, arguments);
	hawser_server_free(server);
	return code;
}

const struct command command_echo = {
	.name = "echo",
	.arguments = "ADDR...",
	.min_arguments = 1,
	.max_arguments = 16,
	.summary = "serve the echo service that bench calls",
	.description =
		"Serves hawser.bench.Echo at each ADDR, for \"hawser bench\", \"hawser ping\" and "
		"to\n"
		"try things out. tcp:127.0.0.1:0 lets the system choose a port, which is "
		"printed.\n",
	.notes =
		"Ctrl-C or SIGTERM finishes the calls in flight and ends it; a second one ends it\n"
		"at once.\n",
	.options = options,
	.defaults = &defaults,
	.settings_size = sizeof defaults,
	.run = echo,
};
