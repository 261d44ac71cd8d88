/* The commands of central: a table, and the calls that they make.
 *
 * Every call goes to a peer of the hub, through the same stubs that a client calls a server with.
 * None of them waits: its callback prints how it ended. */

#include "commands.h"

#include "fleet.hawser.h"
#include "program.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char service[] = "fleet.Remote";

/* The methods that are called of many at once: their places in fleet.proto. */
enum { RUN = 0, SHUTDOWN = 2 };

/* ---- what is printed ---- */

void tell(const char *what, struct hawser_peer *peer, const char *text)
{
	struct hawser_peer_info info = {.size = sizeof info};
	char name[HAWSER_PEER_NAME_SIZE], line[1024];

	hawser_peer_get_info(peer, &info);
	printf("%s %s%s%s\n", what, clean(name, sizeof name, info.name), *text ? ": " : "",
	       clean(line, sizeof line, text));
}

static void tell_failed(struct hawser_peer *peer, const struct hawser_error *error)
{
	char text[HAWSER_ERROR_MESSAGE_SIZE + 64];

	snprintf(text, sizeof text, "%s (%s): %s", hawser_status_name(error->status),
		 hawser_outcome_name(error->outcome), error->message);
	tell("failed", peer, text);
}

static void tell_result(struct hawser_peer *peer, const Fleet__Result *result)
{
	char text[64];

	snprintf(text, sizeof text, "%" PRIu32 " words, job %" PRIu64, result->words,
		 result->jobs_done);
	tell("result", peer, text);
}

static void tell_shutdown(struct hawser_peer *peer, const Fleet__ShutdownReply *reply)
{
	char text[64];

	snprintf(text, sizeof text, "finishes %" PRIu32 " jobs", reply->jobs_running);
	tell("leaving", peer, text);
}

/* What is wrong with a line; the argument is a part of it. */
static void complain(const char *what, const char *argument)
{
	char text[256];

	printf("error: %s%s\n", what, clean(text, sizeof text, argument));
}

/* ---- lines ---- */

/* Takes the first word off a line; NULL: there is none. What follows is left. */
static char *take_word(char **line)
{
	char *word = *line + strspn(*line, " \t");

	*line = word + strcspn(word, " \t");
	if (**line)
		*(*line)++ = 0;
	*line += strspn(*line, " \t");
	return *word ? word : NULL;
}

/* The remote that the first word names: a reference. NULL: it has been told what is wrong. */
static struct hawser_peer *take_remote(struct central *central, char **line)
{
	const char *name = take_word(line);
	struct hawser_peer *peer = name ? hawser_hub_find(central->hub, name) : NULL;

	if (!name)
		complain("give the name of a remote", "");
	else if (!peer)
		complain("there is no remote ", name);
	return peer;
}

/* ---- to one ---- */

/* A call's callback gets the peer, with the reference that it gives back; one that was not
 * made has none. */
static struct hawser_call *began(struct hawser_call *call, struct hawser_peer *peer)
{
	if (call)
		return call;
	tell("failed", peer, errno == EPIPE ? "it is gone" : strerror(errno));
	hawser_peer_unref(peer);
	return NULL;
}

static void end_call(struct hawser_call *call, struct hawser_peer *peer)
{
	hawser_call_free(call);
	hawser_peer_unref(peer);
}

static struct hawser_context within(const struct central *central)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;

	context.timeout_ms = central->timeout_ms;
	return context;
}

static void on_result(struct hawser_call *call, const Fleet__Result *result_or_null, void *data)
{
	if (result_or_null)
		tell_result(data, result_or_null);
	else
		tell_failed(data, hawser_call_error(call));
	end_call(call, data);
}

/* A remote that is away may be back within the time. */
static void run(struct central *central, char *line)
{
	const struct hawser_context context = within(central);
	struct hawser_peer *peer = take_remote(central, &line);
	Fleet__Job job = FLEET__JOB__INIT;

	job.text = line;
	if (peer)
		began(fleet_remote_run_async(hawser_peer_client(peer), &job, on_result, peer,
					     &context),
		      peer);
}

static void on_status(struct hawser_call *call, const Fleet__StatusReply *status_or_null,
		      void *data)
{
	char text[64];

	if (status_or_null) {
		snprintf(text, sizeof text, "%" PRIu32 " jobs run, %" PRIu64 " are done",
			 status_or_null->jobs_running, status_or_null->jobs_done);
		tell("status", data, text);
	} else {
		tell_failed(data, hawser_call_error(call));
	}
	end_call(call, data);
}

/* How it was is of no use when it is back: whoever asks wants to know at once. */
static void status(struct central *central, char *line)
{
	const Fleet__StatusRequest request = FLEET__STATUS_REQUEST__INIT;
	struct hawser_context context = within(central);
	struct hawser_peer *peer = take_remote(central, &line);

	context.fail_if_away = true;
	if (peer)
		began(fleet_remote_status_async(hawser_peer_client(peer), &request, on_status, peer,
						&context),
		      peer);
}

/* Runs for each line, and at the end once without one. */
static void on_line(struct hawser_call *call, const Fleet__LogLine *line_or_null, void *data)
{
	if (line_or_null) {
		tell("log", data, line_or_null->text);
		return;
	}
	if (hawser_call_error(call)->status == HAWSER_OK)
		tell("log", data, "that was all");
	else
		tell_failed(data, hawser_call_error(call));
	end_call(call, data);
}

static void follow(struct central *central, char *line)
{
	const Fleet__LogRequest request = FLEET__LOG_REQUEST__INIT;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct hawser_peer *peer = take_remote(central, &line);

	context.timeout_ms = HAWSER_NO_DEADLINE;
	if (peer)
		began(fleet_remote_log_async(hawser_peer_client(peer), &request, on_line, peer,
					     &context),
		      peer);
}

static void on_shutdown(struct hawser_call *call, const Fleet__ShutdownReply *reply_or_null,
			void *data)
{
	if (reply_or_null)
		tell_shutdown(data, reply_or_null);
	else
		tell_failed(data, hawser_call_error(call));
	end_call(call, data);
}

static void shut_down_one(struct central *central, char *line)
{
	const Fleet__ShutdownRequest request = FLEET__SHUTDOWN_REQUEST__INIT;
	const struct hawser_context context = within(central);
	struct hawser_peer *peer = take_remote(central, &line);

	if (peer)
		began(fleet_remote_shutdown_async(hawser_peer_client(peer), &request, on_shutdown,
						  peer, &context),
		      peer);
}

/* ---- to many ---- */

static void on_one_end(struct hawser_peer *peer, const ProtobufCMessage *reply_or_null,
		       const struct hawser_error *error, void *data)
{
	if (!reply_or_null)
		tell_failed(peer, error);
	else if (reply_or_null->descriptor == &fleet__result__descriptor)
		tell_result(peer, (const Fleet__Result *)reply_or_null);
	else
		tell_shutdown(peer, (const Fleet__ShutdownReply *)reply_or_null);
}

static void on_all_ended(size_t n_replies, size_t n_failed, void *data)
{
	uint64_t *begun_ms = data;

	printf("done: %zu answered, %zu failed, %" PRIu64 " ms\n", n_replies, n_failed,
	       now_ms() - *begun_ms);
	free(begun_ms);
}

/* Calls all that the filter means; who is away does not count. */
static void call_many(struct central *central, const struct hawser_hub_filter *filter, size_t index,
		      const ProtobufCMessage *request)
{
	const struct hawser_method *method = &fleet_remote_descriptor.methods[index];
	struct hawser_broadcast_options options = HAWSER_BROADCAST_OPTIONS_INIT;
	uint64_t *begun_ms = malloc(sizeof *begun_ms);
	struct hawser_error error = {.message = "out of memory"};

	options.timeout_ms = central->timeout_ms;
	options.max_concurrent = central->at_once;
	if (begun_ms)
		*begun_ms = now_ms();
	if (begun_ms && hawser_hub_broadcast(central->hub, filter, method, request, &options,
					     on_one_end, on_all_ended, begun_ms, &error) >= 0)
		return;
	free(begun_ms);
	complain(error.message, "");
}

static void run_all(struct central *central, char *line)
{
	const struct hawser_hub_filter all = {.service = service};
	Fleet__Job job = FLEET__JOB__INIT;

	job.text = line;
	call_many(central, &all, RUN, &job.base);
}

static void run_where(struct central *central, char *line)
{
	struct hawser_hub_filter filter = {.service = service};
	char *label = take_word(&line), *equals = label ? strchr(label, '=') : NULL;
	Fleet__Job job = FLEET__JOB__INIT;

	if (!equals) {
		complain("give a label of the form KEY=VALUE", "");
		return;
	}
	*equals = 0;
	filter.label = label;
	filter.value = equals + 1;
	job.text = line;
	call_many(central, &filter, RUN, &job.base);
}

static void shut_down(struct central *central, char *line)
{
	const struct hawser_hub_filter all = {.service = service};
	const Fleet__ShutdownRequest request = FLEET__SHUTDOWN_REQUEST__INIT;

	if (strcmp(line, "all") == 0)
		call_many(central, &all, SHUTDOWN, &request.base);
	else
		shut_down_one(central, line);
}

/* ---- to look at ---- */

static void list_one(struct hawser_peer *peer)
{
	struct hawser_peer_info info = {.size = sizeof info};
	char name[HAWSER_PEER_NAME_SIZE], listens[HAWSER_PEER_ADDRESS_SIZE];
	char words[512], labels[512], services[512];

	hawser_peer_get_info(peer, &info);
	/* All of this is the remote's own word, but for its address. */
	printf("%-20s %s %s, %.1f s, rtt %.3f ms, heard %.1f s ago",
	       clean(name, sizeof name, info.name),
	       info.state == HAWSER_PEER_HERE ? "here" : "away", info.address,
	       (double)info.age_ms / 1000, (double)info.rtt_us / 1000,
	       (double)info.quiet_ms / 1000);
	if (*info.listens)
		printf(", listens on %s", clean(listens, sizeof listens, info.listens));
	if (*hawser_peer_labels(peer, words, sizeof words))
		printf(", %s", clean(labels, sizeof labels, words));
	hawser_peer_services(peer, words, sizeof words);
	printf(", offers %s\n", clean(services, sizeof services, *words ? words : "nothing"));
}

static void list(struct central *central, char *line)
{
	const struct hawser_hub_filter all = {.includes_away = true};
	struct hawser_peer *peer = NULL;
	size_t count = 0;

	while ((peer = hawser_hub_next(central->hub, &all, peer))) {
		list_one(peer);
		count++;
	}
	printf("%zu remotes, %zu of them here\n", count, hawser_hub_count(central->hub, NULL));
}

static void quit(struct central *central, char *line)
{
	hawser_server_drain(central->server);
}

/* ---- the table ---- */

static void help(struct central *central, char *line);

static const struct command {
	const char *name, *form, *help;
	void (*run)(struct central *central, char *line);
} commands[] = {
	{"list", "", "who is there", list},
	{"run", " NAME TEXT", "have a remote count the words of a text", run},
	{"run-all", " TEXT", "have all do it", run_all},
	{"run-where", " KEY=VALUE TEXT", "have those do it that have this label", run_where},
	{"status", " NAME", "what a remote does", status},
	{"log", " NAME", "print what a remote logs from now on", follow},
	{"shutdown", " NAME|all", "have a remote, or all, finish their jobs and end", shut_down},
	{"quit", "", "end; the remotes wait for another central", quit},
	{"help", "", "print this", help},
};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void help(struct central *central, char *line)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		char form[40];

		snprintf(form, sizeof form, "%s%s", commands[i].name, commands[i].form);
		printf("%-26s  %s\n", form, commands[i].help);
	}
}

void command_run(struct central *central, char *line)
{
	const char *name = take_word(&line);

	if (!name)
		return;
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(commands[i].name, name) == 0) {
			commands[i].run(central, line);
			return;
		}
	}
	complain("try \"help\"; there is no command ", name);
}
