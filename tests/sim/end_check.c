/* Whether a session is sound: the numbers of its log, the frames in it, its outboxes. */

#include "end.h"

#include "report.h"
#include "wire/outbox.h"
#include "world.h"
#include <inttypes.h>

/* How far into the log the cursor is. */
static size_t cursor_of(const struct hawser__log *log)
{
	size_t place = 0;

	if (!log->chunk)
		return 0;
	for (const struct hawser__chunk *chunk = log->frames.first; chunk != log->chunk;
	     chunk = chunk->next) {
		must(chunk, "the log's cursor is in no chunk of it");
		place += chunk->end - chunk->start;
	}
	must(log->at >= log->chunk->start && log->at <= log->chunk->end,
	     "the log's cursor is not in its chunk");
	return place + log->at - log->chunk->start;
}

/* Counts frame by frame what the log holds. */
static void check_frames(const struct hawser__log *log)
{
	uint64_t number = log->acked;
	size_t length = 0, beyond = 0, cursor = cursor_of(log), written = 0;

	for (const struct hawser__chunk *chunk = log->frames.first; chunk; chunk = chunk->next) {
		size_t at = chunk->start + beyond;

		/* The payload of the last one is all that this chunk holds. */
		must(!beyond || at == chunk->end, "frame %" PRIu64 " of the log is cut off",
		     number);
		for (; at < chunk->end; number++) {
			size_t size = HAWSER__FRAME_PREFIX + hawser__frame_length(chunk->data + at);

			at += size;
			length += size;
			written += number < log->written ? size : 0;
			if (number == log->written && log->partial) {
				must(log->partial < size, "%zu bytes of a frame of %zu are partial",
				     log->partial, size);
				written += size - log->partial;
			}
		}
		beyond = at - chunk->end;
	}
	must(!beyond, "the last frame of the log is cut off");
	must(number == log->last, "the log holds up to %" PRIu64 ", not %" PRIu64, number,
	     log->last);
	must(length == log->frames.length, "the log holds %zu bytes, not %zu", length,
	     log->frames.length);
	must(written == cursor && length - cursor == log->unwritten,
	     "%zu bytes of the log are written, its cursor is at %zu, %zu of %zu are left", written,
	     cursor, log->unwritten, length);
}

/* All that waits is an outbox's; those that may go, and no others, are to have their turn. */
static void check_outboxes(const struct hawser__session *session)
{
	const struct hawser__outbox *outbox;
	size_t bytes = 0, at = 0;

	while ((outbox = hawser__outbox_next(session, &at))) {
		size_t own = 0;
		bool needs_window = outbox->first && outbox->first->mark != UINT64_MAX;

		for (const struct hawser__chunk *chunk = outbox->first; chunk; chunk = chunk->next)
			own += chunk->end - chunk->start;
		must(own == outbox->bytes, "an outbox of %zu bytes says that it has %zu", own,
		     outbox->bytes);
		must(!hawser__list_empty(&outbox->turn) ==
			     (outbox->first && (!needs_window || outbox->window > 0)),
		     "the outbox of call id %" PRIu64 " is in turn, or is not", outbox->id);
		must(!outbox->is_left || outbox->first, "an outbox was left, and stays");
		bytes += own;
	}
	must(bytes == session->waiting_bytes, "%zu bytes wait, not %zu", bytes,
	     session->waiting_bytes);
}

void end_check(const struct end *end)
{
	const struct hawser__session *session = &end->session;
	const struct hawser__log *log = &session->log;
	uint64_t begun = log->written + (log->partial != 0);

	must(log->acked <= log->claimed && log->acked <= log->written && begun <= log->sent &&
		     log->sent <= log->last && log->restarted <= log->acked,
	     "the log's numbers: restarted %" PRIu64 ", acked %" PRIu64 ", claimed %" PRIu64
	     ", written %" PRIu64 ", sent %" PRIu64 ", last %" PRIu64,
	     log->restarted, log->acked, log->claimed, log->written, log->sent, log->last);
	must(log->partial <= log->unwritten && log->unwritten <= log->frames.length,
	     "the log's bytes: partial %zu, unwritten %zu of %zu", log->partial, log->unwritten,
	     log->frames.length);
	must(session->told <= session->received, "%" PRIu64 " frames were told, %" PRIu64 " came",
	     session->told, session->received);
	must(log->frames.length || !log->frames.first, "an empty log owns memory");
	must(end->side || !session->log_flows, "the log flows without a connection");
	if (!chance_percent(&end->world->chance, 5))
		return;
	if (log->is_kept)
		check_frames(log);
	check_outboxes(session);
}
