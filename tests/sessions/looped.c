/* Asynchronous clients, all on one base: each keeps some calls in flight, with pauses
 * between them. */

#include "workers.h"

#include <err.h>
#include <stdlib.h>

struct slot {
	struct member *member;
	struct event *next;  /* begins a call */
	struct event *spoil; /* cancels it */
	struct hawser_call *call;
	struct task task;
};

struct member {
	struct hawser_client *client;
	struct chance chance;
	uint64_t next_id;
	bool had_answer;
	struct slot *slots;
};

static const struct work *work;
static struct member *members;
static unsigned n_warm, n_in_flight;
static bool is_stopping;

static void pause_then_call(struct slot *slot)
{
	unsigned ms = (unsigned)chance_below(&slot->member->chance, 2 * work->pause_ms + 1);
	struct timeval pause = {ms / 1000, ms % 1000 * 1000};

	if (!is_stopping)
		evtimer_add(slot->next, &pause);
}

static void ended(struct slot *slot, const struct hawser_error *error)
{
	struct member *member = slot->member;

	evtimer_del(slot->spoil);
	task_end(&slot->task, error);
	slot->call = NULL;
	n_in_flight--;
	if (!member->had_answer && error->status == HAWSER_OK) {
		member->had_answer = true;
		n_warm++;
	}
	pause_then_call(slot);
	work->ended();
}

static void on_receipt(struct hawser_call *call, const Ledger__Receipt *receipt, void *data)
{
	struct slot *slot = data;

	if (call != slot->call)
		errx(1, "a callback ran for a call that is over, or not yet begun");
	if (receipt)
		task_take_receipt(&slot->task, receipt);
	ended(slot, hawser_call_error(call));
	hawser_call_free(call);
}

static void on_item(struct hawser_call *call, const Ledger__Item *item, void *data)
{
	struct slot *slot = data;

	if (call != slot->call)
		errx(1, "a callback ran for a stream that is over, or not yet begun");
	if (item) {
		task_take_item(&slot->task, item);
		return;
	}
	ended(slot, hawser_call_error(call));
	hawser_call_free(call);
}

static struct hawser_call *begin(struct slot *slot)
{
	const struct task *task = &slot->task;
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct hawser_client *client = slot->member->client;
	struct hawser_call *call;
	Ledger__Order order;
	Ledger__Entry entry;

	context.timeout_ms = task->timeout_ms;
	if (task->method == LIST) {
		task_order(task, &order);
		return ledger_ledger_list_async(client, &order, on_item, slot, &context);
	}
	task_entry(task, &entry);
	if (task->method == REPEAT)
		call = ledger_ledger_repeat_async(client, &entry, on_receipt, slot, &context);
	else
		call = ledger_ledger_enter_async(client, &entry, on_receipt, slot, &context);
	free(entry.data.data);
	return call;
}

static void on_next(evutil_socket_t fd, short what, void *data)
{
	struct slot *slot = data;
	struct member *member = slot->member;
	struct timeval soon = {0};

	(void)fd;
	(void)what;
	task_draw(&slot->task, &work->mix, &member->chance, member->next_id++);
	n_in_flight++;
	slot->call = begin(slot);
	if (!slot->call)
		err(1, "a call could not be made");
	soon.tv_usec = slot->task.cancel_after_ms * 1000;
	if (slot->task.cancel_after_ms)
		evtimer_add(slot->spoil, &soon);
}

static void on_spoil(evutil_socket_t fd, short what, void *data)
{
	static const struct hawser_error dropped = {.status = HAWSER_CANCELLED};
	struct slot *slot = data;

	(void)fd;
	(void)what;
	if (slot->task.id % 2) {
		/* Runs the callback. */
		if (hawser_call_cancel(slot->call) < 0)
			errx(1, "a call that runs could not be cancelled");
		return;
	}
	hawser_call_free(slot->call);
	ended(slot, &dropped);
}

static void add_member(struct member *member, unsigned number)
{
	struct hawser_client_options options = work->options;
	struct hawser_error error;

	options.base = work->base;
	member->client = hawser_client_new(work->address, &options, &error);
	if (!member->client)
		errx(2, "%s", error.message);
	member->chance.state = work->seed ^ chance_mix(number + 1);
	member->next_id = worker_ids(number);
	member->slots = calloc(work->in_flight, sizeof *member->slots);
	for (unsigned i = 0; member->slots && i < work->in_flight; i++) {
		struct slot *slot = &member->slots[i];

		slot->member = member;
		slot->next = evtimer_new(work->base, on_next, slot);
		slot->spoil = evtimer_new(work->base, on_spoil, slot);
		if (!slot->next || !slot->spoil)
			errx(1, "out of memory");
		pause_then_call(slot);
	}
	if (!member->slots)
		errx(1, "out of memory");
}

void looped_start(const struct work *orders)
{
	work = orders;
	members = calloc(work->looped + 1, sizeof *members);
	if (!members)
		errx(1, "out of memory");
	for (unsigned i = 0; i < work->looped; i++)
		add_member(&members[i], work->first + i);
}

void looped_stop(void)
{
	is_stopping = true;
	for (unsigned i = 0; i < work->looped; i++) {
		for (unsigned j = 0; j < work->in_flight; j++)
			evtimer_del(members[i].slots[j].next);
	}
}

bool looped_is_warm(void)
{
	return n_warm == work->looped;
}

bool looped_is_idle(void)
{
	return is_stopping && n_in_flight == 0;
}

void looped_free(struct figures *figures)
{
	for (unsigned i = 0; i < work->looped; i++) {
		figures_add(figures, members[i].client);
		hawser_client_free(members[i].client);
		for (unsigned j = 0; j < work->in_flight; j++) {
			event_free(members[i].slots[j].next);
			event_free(members[i].slots[j].spoil);
		}
		free(members[i].slots);
	}
	free(members);
}
