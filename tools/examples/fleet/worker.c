/* One remote; worker.h gives the idea. */

#include "worker.h"

#include "fleet.hawser.h"
#include "program.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum {
	/* Central is missed after a time, to within so many parts of it. */
	LOOKS = 8,
	/* Between tries to report. */
	AGAIN_MS = 500,
	/* For central to take leave. */
	GOODBYE_MS = 5000,
};

struct worker {
	const struct worker_settings *settings;
	char *name;
	worker_ended_fn *ended;
	void *data;
	struct hawser_client *client;
	struct hawser_server *server; /* of its own, if it listens; else NULL */
	LIST_HEAD(, job) jobs;
	LIST_HEAD(, follower) followers;
	unsigned n_running;
	uint64_t n_done, n_lines;
	struct event *look, *report, *end;
	uint64_t heard_ms; /* when something was heard of central last */
	bool has_complained, is_leaving;
	enum worker_end how;
};

/* A call of Run that is not answered yet. */
struct job {
	LIST_ENTRY(job) link;
	struct worker *worker;
	struct hawser_call *call;
	struct event *done;
	unsigned words;
};

/* A call of Log. */
struct follower {
	LIST_ENTRY(follower) link;
	struct hawser_call *call;
};

static void add_timer(struct event *event, unsigned ms)
{
	const struct timeval delay = {ms / 1000, ms % 1000 * 1000};

	event_add(event, &delay);
}

/* ---- the log, for whoever follows it ---- */

__attribute__((format(printf, 2, 3))) static void note(struct worker *worker, const char *format,
						       ...)
{
	Fleet__LogLine line = FLEET__LOG_LINE__INIT;
	struct follower *follower;
	va_list arguments;
	char text[256];

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	line.number = ++worker->n_lines;
	line.text = text;
	/* Who has no room for a line, for being slow or away, does without it: nobody waits for
	 * a log, and nothing is kept for it. */
	LIST_FOREACH(follower, &worker->followers, link)
	fleet_remote_log_reply(follower->call, &line);
}

static void unfollow(struct hawser_call *call, void *data)
{
	struct follower *follower = data;

	hawser_call_end(call);
	LIST_REMOVE(follower, link);
	free(follower);
}

static void follow(struct hawser_call *call, const Fleet__LogRequest *request, void *data)
{
	struct worker *worker = data;
	struct follower *follower = malloc(sizeof *follower);

	if (!follower) {
		fleet_remote_log_fail(call, HAWSER_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	follower->call = call;
	LIST_INSERT_HEAD(&worker->followers, follower, link);
	hawser_call_on_cancel(call, unfollow, follower);
}

/* ---- going ---- */

static void go(struct worker *worker, enum worker_end how)
{
	worker->how = how;
	/* From the loop: not under a handler or a callback of what is to be freed. */
	event_active(worker->end, EV_TIMEOUT, 0);
}

static void on_end(evutil_socket_t fd, short what, void *data)
{
	struct worker *worker = data;

	worker->ended(worker, worker->how, worker->data);
	worker_free(worker);
}

static void on_goodbye(struct hawser_call *call, const Fleet__Received *received_or_null,
		       void *data)
{
	hawser_call_free(call);
	go(data, ENDED_WELL);
}

/* A session keeps the order: once this is answered, central has got all that was said before. */
static void say_goodbye(struct worker *worker)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Fleet__Message message = FLEET__MESSAGE__INIT;
	char text[64];

	snprintf(text, sizeof text, "leaving after %llu jobs", (unsigned long long)worker->n_done);
	message.text = text;
	context.timeout_ms = GOODBYE_MS;
	if (!fleet_central_report_async(worker->client, &message, on_goodbye, worker, &context))
		go(worker, ENDED_WELL);
}

void worker_leave(struct worker *worker)
{
	if (worker->is_leaving)
		return;
	worker->is_leaving = true;
	note(worker, "leaving, with %u jobs to finish", worker->n_running);
	if (!worker->n_running)
		say_goodbye(worker);
}

/* ---- work ---- */

static void job_free(struct job *job)
{
	LIST_REMOVE(job, link);
	job->worker->n_running--;
	event_free(job->done);
	free(job);
}

/* It has been answered. */
static void job_end(struct job *job)
{
	struct worker *worker = job->worker;

	job_free(job);
	if (worker->is_leaving && !worker->n_running)
		say_goodbye(worker);
}

static void on_job_done(evutil_socket_t fd, short what, void *data)
{
	struct job *job = data;
	struct worker *worker = job->worker;
	Fleet__Result result = FLEET__RESULT__INIT;

	result.words = job->words;
	result.jobs_done = ++worker->n_done;
	note(worker, "job %llu is done", (unsigned long long)worker->n_done);
	fleet_remote_run_reply(job->call, &result);
	job_end(job);
}

static void on_job_cancelled(struct hawser_call *call, void *data)
{
	struct job *job = data;

	note(job->worker, "a job was given up: nobody waits for it any more");
	fleet_remote_run_fail(call, HAWSER_CANCELLED, "given up");
	job_end(job);
}

static unsigned count_words(const char *text)
{
	unsigned count = 0;

	for (text += strspn(text, " \t\n"); *text; text += strspn(text, " \t\n")) {
		count++;
		text += strcspn(text, " \t\n");
	}
	return count;
}

static void run(struct hawser_call *call, const Fleet__Job *request, void *data)
{
	struct worker *worker = data;
	struct job *job;

	if (worker->is_leaving) {
		fleet_remote_run_fail(call, HAWSER_UNAVAILABLE, "%s is leaving", worker->name);
		return;
	}
	if (worker->n_running >= worker->settings->jobs_most) {
		fleet_remote_run_fail(call, HAWSER_RESOURCE_EXHAUSTED,
				      "%s has %u jobs already; try again later", worker->name,
				      worker->n_running);
		return;
	}
	job = calloc(1, sizeof *job);
	if (job)
		job->done = event_new(worker->settings->base, -1, 0, on_job_done, job);
	if (!job || !job->done) {
		free(job);
		fleet_remote_run_fail(call, HAWSER_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	job->worker = worker;
	job->call = call;
	/* This is the work; the rest of a job's time is only to have some to take. */
	job->words = count_words(request->text);
	LIST_INSERT_HEAD(&worker->jobs, job, link);
	worker->n_running++;
	note(worker, "a job has come: \"%.100s\"", request->text);
	add_timer(job->done, worker->settings->work_ms);
	hawser_call_on_cancel(call, on_job_cancelled, job);
}

static void status(struct hawser_call *call, const Fleet__StatusRequest *request, void *data)
{
	struct worker *worker = data;
	Fleet__StatusReply reply = FLEET__STATUS_REPLY__INIT;

	reply.jobs_running = worker->n_running;
	reply.jobs_done = worker->n_done;
	fleet_remote_status_reply(call, &reply);
}

static void shut_down(struct hawser_call *call, const Fleet__ShutdownRequest *request, void *data)
{
	struct worker *worker = data;
	Fleet__ShutdownReply reply = FLEET__SHUTDOWN_REPLY__INIT;

	reply.jobs_running = worker->n_running;
	fleet_remote_shutdown_reply(call, &reply);
	worker_leave(worker);
}

static const struct fleet_remote_service remote = {
	.run = run,
	.status = status,
	.shutdown = shut_down,
	.log = follow,
};

/* ---- reports ---- */

static void on_reported(struct hawser_call *call, const Fleet__Received *received_or_null,
			void *data)
{
	struct worker *worker = data;
	const struct hawser_error *error = hawser_call_error(call);

	if (received_or_null) {
		worker->has_complained = false;
		if (worker->settings->report_ms)
			add_timer(worker->report, worker->settings->report_ms);
	} else if (!worker->is_leaving) {
		/* Perhaps central is not there yet, or has another of this name still. */
		if (!worker->has_complained)
			fprintf(stderr, "%s: %s; trying again\n", worker->name, error->message);
		worker->has_complained = true;
		add_timer(worker->report, AGAIN_MS);
	}
	hawser_call_free(call);
}

/* The first one also opens the connection. */
static void on_report(evutil_socket_t fd, short what, void *data)
{
	struct worker *worker = data;
	Fleet__Message message = FLEET__MESSAGE__INIT;
	char text[64];

	if (worker->is_leaving)
		return;
	snprintf(text, sizeof text, "%llu jobs are done, %u run",
		 (unsigned long long)worker->n_done, worker->n_running);
	message.text = text;
	if (!fleet_central_report_async(worker->client, &message, on_reported, worker, NULL))
		add_timer(worker->report, AGAIN_MS);
}

/* ---- alone ---- */

/* Anything that comes from central counts. When nothing else does, it answers a ping for each
 * heartbeat. */
static void listen_for_central(struct worker *worker)
{
	struct hawser_peer *central = hawser_client_peer(worker->client);
	struct hawser_peer_info info = {.size = sizeof info};

	/* Not connected, and nothing kept to go on with. */
	if (!central)
		return;
	hawser_peer_get_info(central, &info);
	worker->heard_ms = now_ms() - info.quiet_ms;
	hawser_peer_unref(central);
}

static void on_look(evutil_socket_t fd, short what, void *data)
{
	struct worker *worker = data;
	unsigned alone_ms = worker->settings->alone_ms;

	listen_for_central(worker);
	if (now_ms() - worker->heard_ms < alone_ms) {
		add_timer(worker->look, alone_ms / LOOKS + 1);
		return;
	}
	fprintf(stderr, "%s: nothing was heard of central for %u ms\n", worker->name, alone_ms);
	go(worker, ENDED_ALONE);
}

/* ---- life ---- */

static int make_client(struct worker *worker, struct hawser_error *error)
{
	const struct worker_settings *settings = worker->settings;
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;

	options.base = settings->base;
	options.name = worker->name;
	options.labels = settings->labels;
	options.n_labels = settings->n_labels;
	options.heartbeat_ms = settings->heartbeat_ms;
	options.max_backoff_ms = settings->alone_ms / LOOKS + 1;
	if (worker->server)
		options.listens = hawser_server_address(worker->server, 0);
	worker->client = hawser_client_new(settings->central, &options, error);
	if (!worker->client)
		return error->code;
	return fleet_remote_offer(worker->client, &remote, worker, error);
}

static int make_server(struct worker *worker, struct hawser_error *error)
{
	struct hawser_server_options options = HAWSER_SERVER_OPTIONS_INIT;
	int r;

	options.base = worker->settings->base;
	options.name = worker->name;
	options.ignore_signals = true;
	worker->server = hawser_server_new(&options, error);
	if (!worker->server)
		return error->code;
	r = fleet_remote_register(worker->server, &remote, worker, error);
	return r < 0 ? r : hawser_server_listen(worker->server, worker->settings->listens, error);
}

static int make_events(struct worker *worker, struct hawser_error *error)
{
	struct event_base *base = worker->settings->base;

	worker->look = event_new(base, -1, 0, on_look, worker);
	worker->report = event_new(base, -1, 0, on_report, worker);
	worker->end = event_new(base, -1, 0, on_end, worker);
	if (worker->look && worker->report && worker->end)
		return 0;
	snprintf(error->message, sizeof error->message, "out of memory");
	return -ENOMEM;
}

struct worker *worker_start(const struct worker_settings *settings, const char *name,
			    worker_ended_fn *ended, void *data, struct hawser_error *error)
{
	struct worker *worker = calloc(1, sizeof *worker);

	if (worker)
		worker->name = strdup(name);
	if (!worker || !worker->name) {
		free(worker);
		error->code = -ENOMEM;
		snprintf(error->message, sizeof error->message, "out of memory");
		return NULL;
	}
	worker->settings = settings;
	worker->ended = ended;
	worker->data = data;
	worker->heard_ms = now_ms();
	LIST_INIT(&worker->jobs);
	LIST_INIT(&worker->followers);
	if ((settings->listens && make_server(worker, error) < 0) ||
	    make_client(worker, error) < 0 || make_events(worker, error) < 0) {
		worker_free(worker);
		return NULL;
	}
	add_timer(worker->look, settings->alone_ms / LOOKS + 1);
	add_timer(worker->report, 0);
	return worker;
}

void worker_free(struct worker *worker)
{
	worker->is_leaving = true;
	while (!LIST_EMPTY(&worker->jobs)) {
		struct job *job = LIST_FIRST(&worker->jobs);

		fleet_remote_run_fail(job->call, HAWSER_UNAVAILABLE, "%s has ended", worker->name);
		job_free(job);
	}
	while (!LIST_EMPTY(&worker->followers))
		unfollow(LIST_FIRST(&worker->followers)->call, LIST_FIRST(&worker->followers));
	hawser_client_free(worker->client);
	hawser_server_free(worker->server);
	if (worker->look)
		event_free(worker->look);
	if (worker->report)
		event_free(worker->report);
	if (worker->end)
		event_free(worker->end);
	free(worker->name);
	free(worker);
}
