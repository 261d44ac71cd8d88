/* Jobs, one for each call that is not answered yet; jobs.h says what of. */

#include "jobs.h"

#include "report.h"
#include "world.h"
#include <inttypes.h>
#include <stdlib.h>

struct job {
	struct host *host;
	struct call *call;
	unsigned messages; /* put or taken */
	unsigned granted;
	bool is_done; /* executed or refused: to be answered */
	struct timer begin;
	struct hawser__list jobs;
};

static struct job *job_of(struct hawser__list *link)
{
	return hawser__container_of(link, struct job, jobs);
}

static struct job *find(struct host *host, uint64_t id)
{
	struct hawser__list *link;

	list_for_each (link, &host->jobs)
		if (job_of(link)->call->id == id)
			return job_of(link);
	return NULL;
}

static void job_free(struct job *job)
{
	agenda_clear(&job->host->end.world->agenda, &job->begin);
	hawser__list_unlink(&job->jobs);
	free(job);
}

void jobs_drop(struct host *host)
{
	while (!hawser__list_empty(&host->jobs))
		job_free(job_of(host->jobs.next));
}

/* ---- answers ---- */

static void put_message(struct job *job)
{
	struct call *call = job->call;
	uint8_t *payload =
		hawser__session_put_message(&job->host->end.session, call->id, false,
					    payload_bytes(call, MESSAGE_DOWN, job->messages), NULL);

	must(payload, "out of memory");
	payload_fill(payload, call, MESSAGE_DOWN, job->messages++);
}

/* `status` and `outcome` as on the wire. */
static void put_failure(struct host *host, uint64_t id, uint32_t status, uint32_t outcome)
{
	/* Text "no". */
	static const uint8_t text[] = {0x22, 2, 'n', 'o'};

	must(hawser__session_put_end(&host->end.session, id, status, outcome, text, sizeof text, 0,
				     NULL),
	     "out of memory");
}

static void put_end(struct job *job)
{
	struct call *call = job->call;
	uint8_t *payload;

	if (call->plan == FAIL || call->plan == REFUSE) {
		put_failure(job->host, call->id, call->plan == FAIL ? 13 : 14,
			    call->plan == FAIL ? HAWSER__OUTCOME__OUTCOME_EXECUTED
					       : HAWSER__OUTCOME__OUTCOME_NOT_EXECUTED);
		return;
	}
	payload = hawser__session_put_end(&job->host->end.session, call->id, 0, 0, NULL, 0,
					  payload_bytes(call, REPLY, 0), NULL);
	must(payload, "out of memory");
	payload_fill(payload, call, REPLY, 0);
}

/* Puts as much of the answer as there is room and window for. */
static void answer(struct job *job)
{
	const struct call *call = job->call;
	bool streams = call->kind == DOWN && call->plan == SUCCEED;

	while (job->is_done && !end_is_full(&job->host->end)) {
		if (streams && job->messages < call->messages) {
			if (job->messages == job->granted)
				return;
			put_message(job);
		} else {
			put_end(job);
			job_free(job);
			return;
		}
	}
}

void jobs_go_on(struct host *host)
{
	struct hawser__list *link, *following;

	list_for_each_safe (link, following, &host->jobs)
		answer(job_of(link));
}

/* ---- execution ---- */

static void execute(struct job *job)
{
	struct host *host = job->host;

	if (job->call->plan != REFUSE)
		ledger_executed(job->call);
	job->is_done = true;
	answer(job);
	end_check(&host->end);
}

static void on_begin(void *owner)
{
	struct job *job = owner;
	struct host *host = job->host;

	execute(job);
	server_grown(host);
	end_touch(&host->end);
}

static void begin(struct job *job)
{
	struct world *world = job->host->end.world;

	if (chance_percent(&world->chance, 50))
		execute(job);
	else
		agenda_set(&world->agenda, &job->begin,
			   chance_scaled(&world->chance, world->execution_us));
}

static void take_call(struct host *host, const struct hawser__frame *frame, size_t too_long)
{
	struct world *world = host->end.world;
	struct call *call =
		ledger_arrived(&world->ledger, frame->id, frame->payload, frame->payload_length);
	struct job *job;

	must(frame->method == call->kind, "call %" PRIu64 " is of method %u, not %d", call->serial,
	     frame->method, call->kind);
	must(!too_long == (call->plan != TOO_LONG), "call %" PRIu64 " is too long, or is not",
	     call->serial);
	if (too_long) {
		put_failure(host, call->id, 8, HAWSER__OUTCOME__OUTCOME_NOT_EXECUTED);
		return;
	}
	payload_check(frame->payload, frame->payload_length, call, REQUEST, 0);
	job = calloc(1, sizeof *job);
	must(job, "out of memory");
	job->host = host;
	job->call = call;
	job->granted = call->window;
	timer_init(&job->begin, on_begin, job);
	hawser__list_append(&host->jobs, &job->jobs);
	if (call->kind != UP || call->plan == REFUSE)
		begin(job);
}

static void take_message(struct job *job, const struct hawser__frame *frame)
{
	struct call *call = job->call;

	/* Refused before it was all there. */
	if (call->plan == REFUSE)
		return;
	must(call->kind == UP && job->messages < call->messages,
	     "call %" PRIu64 ": message %u to the server is too much", call->serial,
	     job->messages + 1);
	payload_check(frame->payload, frame->payload_length, call, MESSAGE_UP, job->messages);
	job->messages++;
	job->host->end.world->ledger.messages++;
	must(frame->last == (job->messages == call->messages),
	     "call %" PRIu64 ": message %u is marked wrongly", call->serial, job->messages);
	if (frame->last)
		begin(job);
}

static void take_window(struct job *job, const struct hawser__frame *frame)
{
	job->granted += (unsigned)frame->window;
	must(job->granted <= job->call->granted,
	     "call %" PRIu64 ": a window of %u came, %u was given", job->call->serial, job->granted,
	     job->call->granted);
	answer(job);
}

void jobs_frame(struct host *host, const struct hawser__frame *frame, size_t too_long)
{
	struct job *job;

	if (frame->kind == HAWSER__FRAME_CALL) {
		take_call(host, frame, too_long);
		return;
	}
	/* Of a call that is answered, was taken back or was never there. */
	job = find(host, frame->id);
	if (!job)
		return;
	if (frame->kind == HAWSER__FRAME_MESSAGE)
		take_message(job, frame);
	else if (frame->kind == HAWSER__FRAME_WINDOW)
		take_window(job, frame);
	else if (frame->kind == HAWSER__FRAME_CANCEL)
		job_free(job);
	else
		report_failure("server: %s from client", hawser__frame_kind_name(frame->kind));
}
