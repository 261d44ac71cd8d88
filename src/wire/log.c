/* Appending, writing, acknowledging, replaying; log.h says what for. */

#include "wire/log.h"

#include "wire/frame.h"
#include <errno.h>
#include <string.h>

void hawser__log_init(struct hawser__log *log, struct hawser__pool *pool)
{
	memset(log, 0, sizeof *log);
	hawser__buffer_init(&log->frames, pool);
}

void hawser__log_deinit(struct hawser__log *log)
{
	hawser__buffer_deinit(&log->frames);
	log->chunk = NULL;
	log->unwritten = log->partial = 0;
}

uint8_t *hawser__log_appended(struct hawser__log *log, size_t length)
{
	struct hawser__chunk *last = log->frames.last;

	hawser__log_grown(log, length);
	return last->data + last->end - length;
}

/* ---- the front ---- */

/* Removes bytes at the front; the cursor stays where it is, or comes to the new front. */
static void drop(struct hawser__log *log, size_t length)
{
	while (length) {
		const struct hawser__chunk *first = log->frames.first;
		size_t queued = first->end - first->start, part = length < queued ? length : queued;

		if (first == log->chunk && part == queued)
			log->chunk = NULL;
		hawser__buffer_consume(&log->frames, part);
		length -= part;
	}
}

/* Removes the frames up to that number, a chunk at a time. */
static void drop_frames(struct hawser__log *log, uint64_t up_to)
{
	while (log->acked < up_to) {
		const struct hawser__chunk *first = log->frames.first;
		size_t at = first->start;

		for (; log->acked < up_to && at < first->end; log->acked++)
			at += HAWSER__FRAME_PREFIX + hawser__frame_length(first->data + at);
		drop(log, at - first->start);
	}
}

/* What the peer has and the cursor has passed need not be kept. */
static void trim(struct hawser__log *log)
{
	uint64_t up_to = log->claimed < log->written ? log->claimed : log->written;

	if (up_to == log->last && up_to > log->acked) {
		log->acked = up_to;
		drop(log, log->frames.length);
	}
	drop_frames(log, up_to);
}

int hawser__log_ack(struct hawser__log *log, uint64_t count)
{
	uint64_t number = log->restarted + count;

	if (count > log->sent - log->restarted)
		return -EBADMSG;
	if (number <= log->claimed)
		return 0;
	log->claimed = number;
	trim(log);
	return 0;
}

/* ---- the cursor ---- */

int hawser__log_peek(const struct hawser__log *log, struct iovec *iov, int max, size_t limit)
{
	int n = log->chunk ? hawser__buffer_peek_from(log->chunk, log->at, iov, max)
			   : hawser__buffer_peek(&log->frames, iov, max);
	int used = 0;

	for (; used < n && limit; used++) {
		if (iov[used].iov_len > limit)
			iov[used].iov_len = limit;
		limit -= iov[used].iov_len;
	}
	return used;
}

/* Frame by frame, to know which ones are through. */
static void walk(struct hawser__log *log, size_t length)
{
	while (length) {
		size_t part;

		/* A payload may go on in the next chunk. */
		while (log->at == log->chunk->end) {
			log->chunk = log->chunk->next;
			log->at = log->chunk->start;
		}
		if (!log->partial)
			log->partial = HAWSER__FRAME_PREFIX +
				       hawser__frame_length(log->chunk->data + log->at);
		part = length < log->partial ? length : log->partial;
		if (part > log->chunk->end - log->at)
			part = log->chunk->end - log->at;
		log->at += part;
		log->partial -= part;
		length -= part;
		if (!log->partial)
			log->written++;
	}
}

void hawser__log_wrote(struct hawser__log *log, size_t length)
{
	if (length == 0)
		return;
	if (!log->chunk) {
		log->chunk = log->frames.first;
		log->at = log->chunk->start;
	}
	if (length == log->unwritten) {
		log->chunk = log->frames.last;
		log->at = log->chunk->end;
		log->written = log->last;
		log->partial = 0;
	} else {
		walk(log, length);
	}
	log->unwritten -= length;
	if (log->sent < log->written + (log->partial != 0))
		log->sent = log->written + (log->partial != 0);
	if (log->is_kept) {
		if (log->claimed > log->acked)
			trim(log);
		return;
	}
	/* What is gone is gone; the front may then be in the middle of a frame. */
	log->acked = log->claimed = log->written;
	hawser__buffer_consume(&log->frames, log->frames.length - log->unwritten);
	log->chunk = NULL;
}

void hawser__log_rewind(struct hawser__log *log)
{
	if (!log->is_kept && log->partial) {
		/* Half of it is gone already. */
		drop(log, log->partial);
		log->acked = ++log->written;
	}
	log->chunk = NULL;
	log->written = log->claimed = log->acked;
	log->unwritten = log->frames.length;
	log->partial = 0;
}

/* Up to that number they need not be written again. */
static void forget(struct hawser__log *log, uint64_t up_to)
{
	drop_frames(log, up_to);
	hawser__log_rewind(log);
}

int hawser__log_resume(struct hawser__log *log, uint64_t count)
{
	if (count > log->sent - log->restarted || log->restarted + count < log->acked)
		return -EBADMSG;
	forget(log, log->restarted + count);
	return 0;
}

/* What the frames acknowledge came in a session that is over. */
static void clear_acks(struct hawser__log *log)
{
	size_t beyond = 0; /* how far the last frame reaches into this chunk */

	for (struct hawser__chunk *chunk = log->frames.first; chunk; chunk = chunk->next) {
		size_t at = chunk->start + beyond;

		while (at < chunk->end) {
			uint8_t *frame = chunk->data + at;

			at += HAWSER__FRAME_PREFIX + hawser__frame_length(frame);
			hawser__frame_clear_ack(frame);
		}
		beyond = at - chunk->end;
	}
}

void hawser__log_restart(struct hawser__log *log)
{
	forget(log, log->sent);
	log->restarted = log->sent;
	clear_acks(log);
}
