/* Jobs, one for each call that is not answered yet; jobs.h says what of. */

#include "jobs.h"

#include "report.h"
#include "wire/outbox.h"
#include "world.h"
#include <inttypes.h>
#include <stdlib.h>

struct job {
	struct host *host;
	struct call *call;
	struct sender down;
	struct receiver up;
	bool is_begun; /* what it needs is there */
	bool is_done;  /* executed or refused: to be answered */
	struct timer begin;
	struct hawser__list jobs;
};

/* Text "no". */
static const uint8_t text[] = {0x22, 2, 'n', 'o'};

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
	receiver_close(&job->up);
	sender_free(&job->down);
	hawser__list_unlink(&job->jobs);
	free(job);
}

void jobs_drop(struct host *host)
{
	while (!hawser__list_empty(&host->jobs))
		job_free(job_of(host->jobs.next));
}

struct sender *jobs_sender(struct host *host, uint64_t id)
{
	struct job *job = find(host, id);

	return job && job->down.outbox ? &job->down : NULL;
}

/* ---- answers ---- */

/* `status` and `outcome` as on the wire. */
static void put_failure(struct host *host, uint64_t id, uint32_t status, uint32_t outcome)
{
	must(hawser__session_put_end(&host->end.session, id, status, outcome, text, sizeof text, 0,
				     NULL),
	     "out of memory");
}

/* Failures are said at once, or behind what was said before. */
static void fail(struct job *job, uint32_t status, uint32_t outcome)
{
	struct host *host = job->host;

	if (chance_percent(&host->end.world->chance, 50))
		sender_free(&job->down);
	if (job->down.outbox)
		sender_put_end(&job->down, status, outcome, text, sizeof text);
	else
		put_failure(host, job->call->id, status, outcome);
}

/* A reply without its end must not begin, and both may have to wait. */
static void put_large_reply(struct job *job)
{
	sender_init(&job->down, &job->host->end, job->call, REPLY);
	sender_put(&job->down, false);
	sender_put_end(&job->down, 0, 0, NULL, 0);
}

static void put_reply(struct job *job)
{
	struct call *call = job->call;
	size_t length = payload_bytes(call, REPLY, 0);
	uint8_t *payload;

	if (length > HAWSER__PIECE_BYTES) {
		put_large_reply(job);
		return;
	}
	payload = hawser__session_put_end(&job->host->end.session, call->id, 0, 0, NULL, 0, length,
					  NULL);
	must(payload, "out of memory");
	payload_fill(payload, call, REPLY, 0);
}

static void put_end(struct job *job)
{
	if (job->call->plan == FAIL || job->call->plan == ABORT)
		fail(job, 13, HAWSER__OUTCOME__OUTCOME_EXECUTED);
	else if (job->call->plan == REFUSE)
		fail(job, 14, HAWSER__OUTCOME__OUTCOME_NOT_EXECUTED);
	else if (job->down.outbox)
		sender_put_end(&job->down, 0, 0, NULL, 0);
	else
		put_reply(job);
}

/* Messages that are sent before the call ends. */
static unsigned messages_of(const struct call *call)
{
	if (!call_streams_down(call) || call->plan == FAIL || call->plan == REFUSE)
		return 0;
	return call->plan == ABORT ? (call->downs + 1) / 2 : call->downs;
}

static bool may_end(const struct job *job)
{
	const struct call *call = job->call;

	if (call->plan != SUCCEED || !call_streams_up(call))
		return true;
	return job->up.has_last_come && receiver_is_idle(&job->up);
}

/* Puts as much of the answer as there is room and window for. */
static void answer(struct job *job)
{
	struct world *world = job->host->end.world;

	while (job->is_done && !end_is_full(&job->host->end)) {
		if (job->down.put < messages_of(job->call)) {
			/* Mostly it waits until it would go at once. */
			if (!sender_is_open(&job->down) && !chance_percent(&world->chance, 2))
				return;
			sender_put(&job->down, false);
		} else if (may_end(job)) {
			put_end(job);
			job_free(job);
			return;
		} else {
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
	end_grown(&host->end);
}

static void begin(struct job *job)
{
	struct world *world = job->host->end.world;

	job->is_begun = true;
	if (chance_percent(&world->chance, 50))
		execute(job);
	else
		agenda_set(&world->agenda, &job->begin,
			   chance_scaled(&world->chance, world->execution_us));
}

/* Begins when the request is there, or the first of many; for a reply to all of them, when all
 * are. */
static void look(struct job *job)
{
	const struct call *call = job->call;

	if (job->is_done)
		answer(job);
	else if (job->is_begun)
		return;
	else if (call->plan == REFUSE || (call->plan == ABORT && call->kind != UNARY) ||
		 call->kind == BOTH)
		begin(job);
	else if (call_is_announced(call) ? job->up.index > 0
		 : call->kind == UP      ? job->up.has_last_come && receiver_is_idle(&job->up)
					 : true)
		begin(job);
}

static void on_taken(struct receiver *receiver)
{
	look(hawser__container_of(receiver, struct job, up));
}

/* ---- frames ---- */

static struct call *call_of(struct host *host, const struct hawser__frame *frame)
{
	const struct world *world = host->end.world;
	struct call *call = ledger_find(&world->ledger, frame->payload, frame->payload_length);

	/* One whose request comes behind it is known by its client and its id. */
	if (frame->size)
		call = client_call(&world->clients[host->kept.identity - 1], frame->id);
	must(call, "call id %" PRIu64 " of client %" PRIu64 " is none", frame->id,
	     host->kept.identity);
	ledger_arrived(call, frame->id);
	return call;
}

static bool is_too_long(const struct call *call, const struct hawser__frame *frame, size_t too_long)
{
	bool is_so = too_long || frame->size > PAYLOAD_MOST;

	must(is_so == (call->plan == TOO_LONG), "call %" PRIu64 " is too long, or is not",
	     call->serial);
	must(frame->size == (call_is_announced(call) ? call->request_bytes : 0),
	     "call %" PRIu64 " tells a size of %" PRIu64 ", it has %zu bytes", call->serial,
	     frame->size, call->request_bytes);
	return is_so;
}

static void take_call(struct host *host, const struct hawser__frame *frame, size_t too_long)
{
	struct world *world = host->end.world;
	struct call *call = call_of(host, frame);
	struct job *job;

	must(frame->method == call->kind, "call %" PRIu64 " is of method %u, not %d", call->serial,
	     frame->method, call->kind);
	if (is_too_long(call, frame, too_long)) {
		put_failure(host, call->id, 8, HAWSER__OUTCOME__OUTCOME_NOT_EXECUTED);
		return;
	}
	if (!frame->size) {
		must(frame->payload_length == call->request_bytes,
		     "call %" PRIu64 ": a request of %zu bytes, not %zu", call->serial,
		     frame->payload_length, call->request_bytes);
		payload_check(frame->payload, frame->payload_length, 0, call, REQUEST, 0);
	}
	job = calloc(1, sizeof *job);
	must(job, "out of memory");
	job->host = host;
	job->call = call;
	timer_init(&job->begin, on_begin, job);
	receiver_init(&job->up, &host->end, call, call_streams_up(call) ? MESSAGE_UP : REQUEST,
		      world->window_up, !call_streams_up(call));
	job->up.taken = on_taken;
	if (frame->size)
		receiver_announce(&job->up, (size_t)frame->size);
	if (call_streams_down(call))
		sender_init(&job->down, &host->end, call, MESSAGE_DOWN);
	hawser__list_append(&host->jobs, &job->jobs);
	look(job);
}

static void take_message(struct job *job, const struct hawser__frame *frame)
{
	struct call *call = job->call;
	unsigned most = call_streams_up(call) ? call->ups : call_is_announced(call) ? 1 : 0;

	if (frame->last) {
		must(!job->up.is_coming && job->up.index == most && call_streams_up(call) &&
			     !frame->payload_length && !frame->size,
		     "call %" PRIu64 ": its last after %u of %u messages", call->serial,
		     job->up.index, most);
		job->up.has_last_come = true;
	} else {
		must(job->up.index < most, "call %" PRIu64 ": message %u to the server is too much",
		     call->serial, job->up.index + 1);
		receiver_take(&job->up, frame);
	}
	look(job);
}

static void take_window(struct host *host, struct job *job, const struct hawser__frame *frame)
{
	struct hawser__session *session = &host->end.session;
	struct hawser__outbox *outbox = hawser__outbox_find(session, frame->id);

	if (job && job->down.outbox)
		sender_window(&job->down, frame->window);
	else if (outbox)
		/* Its job is done, and what it said is still being sent. */
		must(hawser__outbox_open_window(session, outbox, frame->window) == 0,
		     "call id %" PRIu64 ": a window of %" PRIu64 " is too much", frame->id,
		     frame->window);
}

static void cancel(struct host *host, struct job *job, uint64_t id)
{
	struct hawser__session *session = &host->end.session;

	if (job)
		job_free(job);
	else
		/* Nobody will take what is still to be sent. */
		hawser__outbox_free(session, hawser__outbox_find(session, id));
}

void jobs_frame(struct host *host, const struct hawser__frame *frame, size_t too_long)
{
	/* None: it is answered, was taken back or was never there. */
	struct job *job = frame->kind == HAWSER__FRAME_CALL ? NULL : find(host, frame->id);

	switch (frame->kind) {
	case HAWSER__FRAME_CALL:
		take_call(host, frame, too_long);
		break;
	case HAWSER__FRAME_MESSAGE:
		if (job)
			take_message(job, frame);
		break;
	case HAWSER__FRAME_WINDOW:
		take_window(host, job, frame);
		break;
	case HAWSER__FRAME_CANCEL:
		cancel(host, job, frame->id);
		break;
	default:
		report_failure("server: %s from client", hawser__frame_kind_name(frame->kind));
	}
}
