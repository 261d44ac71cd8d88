/* One call to be made: drawn by lot, asked for, checked when the answer comes, noted.
 *
 * The same for all clients, whether they wait or not. */

#ifndef TESTS_SESSIONS_TASK_H
#define TESTS_SESSIONS_TASK_H

#include "ledger.hawser.h"
#include "sim/chance.h"

enum task_method { ENTER, REPEAT, LIST };

struct task {
	uint64_t id;
	enum task_method method;
	Ledger__How how;
	uint32_t data_bytes, reply_bytes; /* LIST: reply_bytes each */
	uint32_t count;                   /* of items */
	unsigned timeout_ms;
	bool is_hurried;          /* it may end before its time, by its deadline or us */
	unsigned cancel_after_ms; /* hurried; 0: not */
	uint64_t begun_ms;
	uint32_t n_items; /* that came */
	bool has_reply;
	bool is_wrong; /* something false came */
};

/** Which calls are made. */
struct mix {
	unsigned timeout_ms;
	unsigned streams_percent, hurried_percent;
};

/** The next call of whoever `chance` belongs to. */
void task_draw(struct task *task, const struct mix *mix, struct chance *chance, uint64_t id);

/** What is sent. free() what entry->data.data points to. */
void task_entry(const struct task *task, Ledger__Entry *entry);
void task_order(const struct task *task, Ledger__Order *order);

/** What came. */
void task_take_receipt(struct task *task, const Ledger__Receipt *receipt);
void task_take_item(struct task *task, const Ledger__Item *item);

/** Notes how it ended. Any thread. */
void task_end(const struct task *task, const struct hawser_error *error);

/** Where notes go: 16 bytes each, see task.c. Ends the program on failure. */
void tasks_note_in(const char *path);
/** All is noted. Ends the program if that failed. */
void tasks_close(void);

struct tallies {
	unsigned long ended, right, failed, wrong, longest_ms;
	unsigned long items;
};
struct tallies tasks_tallies(void);

uint64_t task_now_ms(void);

#endif /* TESTS_SESSIONS_TASK_H */
