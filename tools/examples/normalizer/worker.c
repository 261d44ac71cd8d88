/* One worker of a pipeline: a process with one connection, which sends one name
 * after the other through the blocking stub and waits for each reply. */

#include "job.h"
#include "normalizer.hawser.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What a worker takes from the queue: so much that taking costs nothing, so little
 * that all end together. */
#define CALLS_AT_ONCE 32

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void note_failure(struct tally *tally, const char *name, const char *what, const char *text)
{
	if (tally->failures++ == 0)
		snprintf(tally->first_failure, sizeof tally->first_failure, "\"%s\": %s: %s", name,
			 what, text);
}

static void keep_sample(const struct job *job, size_t name, const char *reply)
{
	for (unsigned i = 0; i < job->n_samples; i++) {
		struct sample *sample = &job->board->samples[i];

		if (sample->name == name)
			snprintf(sample->reply, sizeof sample->reply, "%s", reply);
	}
}

/* The service's own function tells what the reply has to be: so a reply that belongs
 * to another call, or was cut on its way, is found. */
static void check_reply(const struct job *job, struct tally *tally, size_t i, const char *reply)
{
	const char *name = job->names->names[i].text;
	char *expected = NULL;
	size_t offset;

	if (normalize(name, &job_options, &expected, &offset) < 0)
		note_failure(tally, name, "the server replied to what is not UTF-8", reply);
	else if (strcmp(expected, reply) != 0)
		note_failure(tally, name, "wrong reply", reply);
	free(expected);
	if (strcmp(name, reply) != 0)
		tally->changed++;
}

static bool call(const struct job *job, struct hawser_client *client, struct tally *tally,
		 uint64_t index)
{
	Demo__NormalizeRequest request = DEMO__NORMALIZE_REQUEST__INIT;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Demo__NormalizeReply *reply;
	size_t i = index % job->names->n;
	enum hawser_status status;
	uint64_t start, took;

	request.text = job->names->names[i].text;
	request.form = DEMO__FORM__FORM_NFC;
	request.trim = job_options.trim;
	request.case_fold = job_options.case_fold;

	start = now_ns();
	status = demo_normalizer_normalize(client, &request, &reply, &context);
	took = now_ns() - start;
	job->board->latencies_ns[index] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;

	if (status == HAWSER_OK) {
		check_reply(job, tally, i, reply->text);
		keep_sample(job, i, reply->text);
		demo__normalize_reply__free_unpacked(reply, NULL);
	} else {
		note_failure(tally, request.text, hawser_status_name(status),
			     context.error.message);
	}
	hawser_context_clear(&context);
	tally->calls++;
	return tally->failures == 0;
}

int work(const struct job *job, unsigned index)
{
	struct tally *tally = &job->board->tallies[index];
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_client *client;
	struct hawser_error error;
	bool going = true;
	char name[32];

	snprintf(name, sizeof name, "worker %u of %u", index + 1, job->workers);
	options.name = name;
	client = hawser_client_new(job->address, &options, &error);
	if (!client || hawser_client_connect(client, &error) < 0) {
		tally->failures++;
		snprintf(tally->first_failure, sizeof tally->first_failure, "%s", error.message);
		hawser_client_free(client);
		return 1;
	}
	while (going) {
		uint64_t first = atomic_fetch_add(&job->board->next_call, CALLS_AT_ONCE);

		if (first >= job->calls)
			break;
		for (uint64_t i = first; i < first + CALLS_AT_ONCE && i < job->calls && going; i++)
			going = call(job, client, tally, i);
	}
	hawser_client_free(client);
	return tally->failures == 0 ? 0 : 1;
}
