/* Calls drawn by lot, and the notes of how they ended.
 *
 * A note, in the machine's byte order: id (8 bytes), method, status, outcome, an or of flags
 * (1 each), milliseconds (4). ledgers.py reads them. */

#include "task.h"
#include "pattern.h"

#include <err.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	SMALL_BYTES = 200,
	LARGE_BYTES = 100000,
	ITEMS_MOST = 300,
	SLOW_ITEMS_MOST = 60,
	ITEM_BYTES = 2000,
	HURRY_MS = 100,
	FAILURES_SHOWN = 20,
};

/* It ended as it had to; it may have ended early; something false came. */
enum flags { RIGHT = 1, HURRIED = 2, WRONG = 4 };

struct note {
	uint64_t id;
	uint8_t method, status, outcome, flags;
	uint32_t ms;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *notes;
static struct tallies tallies;
static unsigned shown;

uint64_t task_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- drawn ---- */

static uint32_t draw_bytes(struct chance *chance)
{
	return (uint32_t)chance_below(chance,
				      chance_percent(chance, 2) ? LARGE_BYTES : SMALL_BYTES);
}

static void hurry(struct task *task, struct chance *chance)
{
	unsigned ms = (unsigned)chance_between(chance, 1, HURRY_MS);

	task->is_hurried = true;
	if (chance_percent(chance, 50))
		task->timeout_ms = ms;
	else
		task->cancel_after_ms = ms;
}

void task_draw(struct task *task, const struct mix *mix, struct chance *chance, uint64_t id)
{
	memset(task, 0, sizeof *task);
	task->id = id;
	task->timeout_ms = mix->timeout_ms;
	task->method = chance_percent(chance, 25) ? REPEAT : ENTER;
	if (chance_percent(chance, mix->streams_percent))
		task->method = LIST;
	if (chance_percent(chance, 30))
		task->how = LEDGER__HOW__LATER;
	else if (chance_percent(chance, 5))
		task->how = LEDGER__HOW__FAIL;
	if (task->method == LIST) {
		task->count = (uint32_t)chance_below(
			chance, task->how == LEDGER__HOW__LATER ? SLOW_ITEMS_MOST : ITEMS_MOST);
		task->reply_bytes = (uint32_t)chance_below(chance, ITEM_BYTES);
	} else {
		task->data_bytes = draw_bytes(chance);
		task->reply_bytes = draw_bytes(chance);
	}
	if (chance_percent(chance, mix->hurried_percent))
		hurry(task, chance);
	task->begun_ms = task_now_ms();
}

void task_entry(const struct task *task, Ledger__Entry *entry)
{
	ledger__entry__init(entry);
	entry->id = task->id;
	entry->how = task->how;
	entry->reply_bytes = task->reply_bytes;
	entry->data.len = task->data_bytes;
	entry->data.data = malloc(task->data_bytes + 1);
	if (!entry->data.data)
		err(1, "an entry");
	pattern_fill(~task->id, entry->data.data, task->data_bytes);
}

void task_order(const struct task *task, Ledger__Order *order)
{
	ledger__order__init(order);
	order->id = task->id;
	order->how = task->how;
	order->count = task->count;
	order->item_bytes = task->reply_bytes;
}

/* ---- checked ---- */

void task_take_receipt(struct task *task, const Ledger__Receipt *receipt)
{
	uint32_t checksum = pattern_checksum(NULL, 0);

	for (uint32_t i = 0; i < task->data_bytes; i++)
		checksum = (checksum ^ pattern_byte(~task->id, i)) * 0x01000193;
	if (task->has_reply || receipt->id != task->id || receipt->checksum != checksum ||
	    receipt->data.len != task->reply_bytes ||
	    !pattern_is(task->id, receipt->data.data, receipt->data.len))
		task->is_wrong = true;
	task->has_reply = true;
}

void task_take_item(struct task *task, const Ledger__Item *item)
{
	if (item->id != task->id || item->index != task->n_items ||
	    item->data.len != task->reply_bytes ||
	    !pattern_is(task->id + item->index, item->data.data, item->data.len)) {
		if (!task->is_wrong)
			warnx("call %" PRIx64 ": item %u of call %" PRIx64
			      " came instead of item %u",
			      task->id, item->index, item->id, task->n_items);
		task->is_wrong = true;
	}
	task->n_items++;
}

static bool is_right(const struct task *task, const struct hawser_error *error)
{
	if (task->is_wrong || (task->method == LIST && task->n_items != task->count))
		return false;
	if (task->how == LEDGER__HOW__FAIL)
		return error->status == HAWSER_ABORTED &&
		       error->outcome == HAWSER_OUTCOME_EXECUTED &&
		       strcmp(error->message, "as asked") == 0 && !task->has_reply;
	return error->status == HAWSER_OK && (task->method == LIST || task->has_reply);
}

/* ---- noted ---- */

void task_end(const struct task *task, const struct hawser_error *error)
{
	uint64_t ms = task_now_ms() - task->begun_ms;
	bool good = is_right(task, error);
	/* A success with wrong or missing contents is as false. */
	bool wrong = task->is_wrong || (error->status == HAWSER_OK && !good);
	struct note note = {
		.id = task->id,
		.method = (uint8_t)task->method,
		.status = (uint8_t)error->status,
		.outcome = (uint8_t)error->outcome,
		.flags = (uint8_t)((good ? RIGHT : 0) | (task->is_hurried ? HURRIED : 0) |
				   (wrong ? WRONG : 0)),
		.ms = (uint32_t)ms,
	};

	pthread_mutex_lock(&lock);
	tallies.ended++;
	tallies.right += good;
	tallies.wrong += wrong;
	tallies.failed += error->status != HAWSER_OK;
	tallies.items += task->n_items;
	if (good && ms > tallies.longest_ms)
		tallies.longest_ms = ms;
	if (fwrite(&note, sizeof note, 1, notes) != 1)
		err(1, "a note could not be written");
	if (!good && (wrong || !task->is_hurried) && shown++ < FAILURES_SHOWN)
		warnx("call %" PRIx64 ", method %d, after %" PRIu64 " ms: %s (%s)%s%s%s", task->id,
		      task->method, ms, hawser_status_name(error->status),
		      hawser_outcome_name(error->outcome), error->status ? ": " : "",
		      error->status ? error->message : "", wrong ? "; what came was wrong" : "");
	pthread_mutex_unlock(&lock);
}

void tasks_note_in(const char *path)
{
	notes = fopen(path, "wbe");
	if (!notes)
		err(1, "%s", path);
}

void tasks_close(void)
{
	if (fclose(notes) != 0)
		err(1, "the notes could not be written");
}

struct tallies tasks_tallies(void)
{
	struct tallies now;

	pthread_mutex_lock(&lock);
	now = tallies;
	pthread_mutex_unlock(&lock);
	return now;
}
