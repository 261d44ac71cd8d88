/* hawser lease: who holds what on a server and who waits for it; and takes it away. */

#include "command.h"
#include "server.h"
#include "text.h"
#include <stdio.h>
#include <string.h>

struct settings {
	const char *reason;
	uint64_t ticket, timeout_ms;
	bool force;
};

static const struct settings defaults = {.timeout_ms = 5000};

static const struct option options[] = {
	{"force", NULL, "take the leases of RESOURCE away", OPTION_FLAG,
	 offsetof(struct settings, force), 0, 0},
	{"ticket", "N", "with --force: only this one", OPTION_COUNT,
	 offsetof(struct settings, ticket), 1, UINT64_MAX},
	{"reason", "TEXT", "with --force: why, for who loses it", OPTION_TEXT,
	 offsetof(struct settings, reason), 0, 0},
	{"timeout", "MS", "how long to wait for the answer (5000)", OPTION_COUNT,
	 offsetof(struct settings, timeout_ms), 1, 86400000},
	{.name = NULL},
};

static void print_one(const struct hawser_lease_holder *holder, unsigned position)
{
	char name[256], peer[256];

	text_clean(name, sizeof name, holder->name);
	text_clean(peer, sizeof peer, holder->peer);
	if (holder->fencing)
		printf("  held by    ");
	else
		printf("  waits %-5u", position);
	printf("%s %s, ticket %llu, for %.1f s", *name ? name : "a call", peer,
	       (unsigned long long)holder->ticket, (double)holder->age_ms / 1e3);
	if (holder->fencing)
		printf(", fencing number %llu", (unsigned long long)holder->fencing);
	if (holder->calls)
		printf(", %u call%s", holder->calls, holder->calls == 1 ? "" : "s");
	printf("%s%s\n", holder->is_away ? ", disconnected" : "",
	       holder->is_settling ? ", given up" : "");
}

static void print_resource(const struct hawser_lease_resource *resource, void *data)
{
	(void)data;
	printf("%s: %u of %u held, %u wait\n", resource->name, resource->n_holders,
	       resource->max_holders, resource->n_waiting);
	for (unsigned i = 0; i < resource->n_listed_holders; i++)
		print_one(&resource->holders[i], 0);
	for (unsigned i = 0; i < resource->n_listed_waiting; i++)
		print_one(&resource->waiting[i], i + 1);
	if (resource->n_listed_holders + resource->n_listed_waiting <
	    resource->n_holders + resource->n_waiting)
		printf("  … and more\n");
}

static enum hawser_status force(const struct settings *settings, struct hawser_client *client,
				const char *resource, struct hawser_context *context)
{
	enum hawser_status status = hawser_lease_force_release(client, resource, settings->ticket,
							       settings->reason, context);

	if (status == HAWSER_OK)
		printf("%s: taken away\n", resource);
	return status;
}

static int lease(const void *data, size_t n_arguments, char **arguments)
{
	const struct settings *settings = data;
	const char *address = arguments[0], *resource = n_arguments > 1 ? arguments[1] : NULL;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct hawser_client *client;
	enum hawser_status status;
	int code;

	if (settings->force && !resource)
		return command_usage_error(&command_lease,
					   "--force needs to know what: give the RESOURCE, such as "
					   "demo.Telescope");
	if (!settings->force && (settings->ticket || settings->reason))
		return command_usage_error(&command_lease, "--ticket and --reason go with --force");
	code = server_connect(&command_lease, address, (unsigned)settings->timeout_ms, &client);
	if (code != EXIT_DONE)
		return code;
	context.timeout_ms = (int64_t)settings->timeout_ms;
	status = settings->force
			 ? force(settings, client, resource, &context)
			 : hawser_lease_holders(client, resource, print_resource, NULL, &context);
	hawser_client_free(client);
	if (status == HAWSER_UNIMPLEMENTED && !resource) {
		printf("nothing is exclusive on %s\n", address);
		code = EXIT_DONE;
	} else if (status) {
		code = command_server_error(&command_lease, address, &context.error);
	}
	hawser_context_clear(&context);
	return code;
}

const struct command command_lease = {
	.name = "lease",
	.arguments = "ADDR [RESOURCE]",
	.min_arguments = 1,
	.max_arguments = 2,
	.summary = "see who holds what on a server and who waits, or take it away",
	.description =
		"Lists what is exclusive on the server at ADDR, or only RESOURCE: who holds it,\n"
		"who waits in line, for how long. With --force it takes the leases of RESOURCE\n"
		"away, if the server lets; calls that run under them are cancelled, and the next\n"
		"one in line has it.\n",
	.notes = "Exits 0 if that was done, 1 if the server refuses or cannot be reached.\n",
	.options = options,
	.defaults = &defaults,
	.settings_size = sizeof defaults,
	.run = lease,
};
