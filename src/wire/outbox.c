/* Cutting messages into pieces, and turns; outbox.h says what for. */

#include "wire/outbox.h"

#include "util/alloc.h"
#include <errno.h>
#include <string.h>

/* What a chunk is marked with: a finished frame, or a piece of a message, of which the first tells
 * the size of all. */
#define MARK_FRAME UINT64_MAX
#define MARK_REST 0

_Static_assert(HAWSER__PIECE_BYTES + HAWSER__MESSAGE_HEAD <= HAWSER__PIECE_CHUNK_BYTES,
	       "a piece and its head fit into a chunk");

/* ---- life ---- */

struct hawser__outbox *hawser__outbox_new(struct hawser__session *session, uint64_t id)
{
	struct hawser__outbox *outbox = hawser__calloc(1, sizeof *outbox);

	if (!outbox || hawser__map_insert(&session->outboxes, id, outbox) < 0) {
		free(outbox);
		return NULL;
	}
	outbox->id = id;
	outbox->window = session->peer_window;
	hawser__list_init(&outbox->turn);
	return outbox;
}

void hawser__outbox_drop(struct hawser__session *session, struct hawser__outbox *outbox)
{
	while (outbox->first) {
		struct hawser__chunk *chunk = outbox->first;

		outbox->first = chunk->next;
		hawser__chunk_free(session->log.frames.pool, chunk);
	}
	outbox->last = NULL;
	session->waiting_bytes -= outbox->bytes;
	outbox->bytes = 0;
	hawser__list_unlink(&outbox->turn);
}

void hawser__outbox_free(struct hawser__session *session, struct hawser__outbox *outbox)
{
	if (!outbox)
		return;
	hawser__outbox_drop(session, outbox);
	hawser__map_remove(&session->outboxes, outbox->id);
	free(outbox);
}

void hawser__outbox_leave(struct hawser__session *session, struct hawser__outbox *outbox)
{
	if (!outbox)
		return;
	if (outbox->first)
		outbox->is_left = true;
	else
		hawser__outbox_free(session, outbox);
}

struct hawser__outbox *hawser__outbox_find(const struct hawser__session *session, uint64_t id)
{
	return hawser__map_find(&session->outboxes, id);
}

struct hawser__outbox *hawser__outbox_next(const struct hawser__session *session, size_t *at)
{
	return hawser__map_next(&session->outboxes, at);
}

/* ---- windows ---- */

static bool may_go(const struct hawser__outbox *outbox)
{
	return outbox->first && (outbox->window > 0 || outbox->first->mark == MARK_FRAME);
}

static void take_part(struct hawser__session *session, struct hawser__outbox *outbox)
{
	if (may_go(outbox) && hawser__list_empty(&outbox->turn))
		hawser__list_append(&session->turns, &outbox->turn);
}

int hawser__outbox_open_window(struct hawser__session *session, struct hawser__outbox *outbox,
			       uint64_t bytes)
{
	if (bytes > (uint64_t)(HAWSER__WINDOW_MOST - outbox->window))
		return -EBADMSG;
	outbox->window += (long long)bytes;
	outbox->stuck_ms = 0;
	take_part(session, outbox);
	return 0;
}

void hawser__outbox_set_windows(struct hawser__session *session, size_t window)
{
	long long change = (long long)window - session->peer_window;
	struct hawser__outbox *outbox;
	size_t at = 0;

	session->peer_window = (long long)window;
	while ((outbox = hawser__outbox_next(session, &at))) {
		outbox->window += change;
		take_part(session, outbox);
	}
}

/* ---- putting ---- */

/* Chunks that are to be put, all or none. */
struct parcel {
	struct hawser__pool *pool;
	struct hawser__chunk *first, *last;
	size_t bytes;
	bool has_failed;
};

static void add_chunk(struct parcel *parcel, struct hawser__chunk *chunk)
{
	if (parcel->last)
		parcel->last->next = chunk;
	else
		parcel->first = chunk;
	parcel->last = chunk;
}

static int put(struct hawser__session *session, struct hawser__outbox *outbox,
	       struct parcel *parcel, uint64_t mark)
{
	if (parcel->has_failed || !parcel->first) {
		while (parcel->first) {
			struct hawser__chunk *chunk = parcel->first;

			parcel->first = chunk->next;
			hawser__chunk_free(parcel->pool, chunk);
		}
		return -ENOMEM;
	}
	parcel->first->mark = mark;
	if (outbox->last)
		outbox->last->next = parcel->first;
	else
		outbox->first = parcel->first;
	outbox->last = parcel->last;
	outbox->bytes += parcel->bytes;
	session->waiting_bytes += parcel->bytes;
	take_part(session, outbox);
	return 0;
}

/* Copies bytes behind those that the parcel has, in as many pieces as they need. */
static void add_bytes(struct parcel *parcel, const uint8_t *data, size_t length)
{
	while (length && !parcel->has_failed) {
		struct hawser__chunk *last = parcel->last;
		size_t part;

		if (!last || last->end == last->capacity) {
			last = hawser__chunk_new(parcel->pool, HAWSER__PIECE_CHUNK_BYTES);
			if (!last) {
				parcel->has_failed = true;
				return;
			}
			/* Its head goes before it when its turn comes. */
			last->start = last->end = HAWSER__PIECE_CHUNK_BYTES - HAWSER__PIECE_BYTES;
			add_chunk(parcel, last);
		}
		part = last->capacity - last->end;
		if (part > length)
			part = length;
		memcpy(last->data + last->end, data, part);
		last->end += part;
		parcel->bytes += part;
		data += part;
		length -= part;
	}
}

struct packer {
	ProtobufCBuffer base;
	struct parcel *parcel;
};

static void append(ProtobufCBuffer *buffer, size_t length, const uint8_t *data)
{
	add_bytes(((struct packer *)(void *)buffer)->parcel, data, length);
}

int hawser__outbox_put_message(struct hawser__session *session, struct hawser__outbox *outbox,
			       const ProtobufCMessage *message, size_t length, bool is_announced)
{
	struct parcel parcel = {.pool = session->log.frames.pool};
	struct packer packer = {{append}, &parcel};

	if (length == 0)
		return hawser__outbox_put_packed(session, outbox, NULL, 0, is_announced);
	protobuf_c_message_pack_to_buffer(message, &packer.base);
	return put(session, outbox, &parcel,
		   is_announced || length <= HAWSER__PIECE_BYTES ? MARK_REST : length);
}

int hawser__outbox_put_packed(struct hawser__session *session, struct hawser__outbox *outbox,
			      const uint8_t *packed, size_t length, bool is_announced)
{
	struct parcel parcel = {.pool = session->log.frames.pool};

	if (length) {
		add_bytes(&parcel, packed, length);
	} else {
		/* A piece of no bytes is the empty message. */
		parcel.first = parcel.last =
			hawser__chunk_new(parcel.pool, HAWSER__SMALL_CHUNK_BYTES);
		if (parcel.first)
			parcel.first->start = parcel.first->end = HAWSER__MESSAGE_HEAD;
	}
	return put(session, outbox, &parcel,
		   is_announced || length <= HAWSER__PIECE_BYTES ? MARK_REST : length);
}

int hawser__outbox_put_loan(struct hawser__session *session, struct hawser__outbox *outbox,
			    struct hawser__loan *loan, const uint8_t *packed, size_t length,
			    bool is_announced)
{
	struct parcel parcel = {.pool = session->log.frames.pool, .bytes = length};

	for (size_t at = 0; at < length && !parcel.has_failed; at += HAWSER__PIECE_BYTES) {
		size_t rest = length - at;
		struct hawser__chunk *chunk = hawser__chunk_borrow(
			loan, packed + at, rest < HAWSER__PIECE_BYTES ? rest : HAWSER__PIECE_BYTES);

		if (chunk)
			add_chunk(&parcel, chunk);
		else
			parcel.has_failed = true;
	}
	return put(session, outbox, &parcel,
		   is_announced || length <= HAWSER__PIECE_BYTES ? MARK_REST : length);
}

/* A frame that is complete already: it lies in the one chunk of a buffer. */
static int put_frame(struct hawser__session *session, struct hawser__outbox *outbox,
		     struct hawser__buffer *frame, bool is_made)
{
	struct parcel parcel = {.pool = frame->pool};

	if (is_made) {
		parcel.first = parcel.last = frame->first;
		parcel.bytes = frame->length;
	} else {
		hawser__buffer_deinit(frame);
	}
	return put(session, outbox, &parcel, MARK_FRAME);
}

int hawser__outbox_put_end(struct hawser__session *session, struct hawser__outbox *outbox,
			   uint32_t status, uint32_t outcome, const uint8_t *extra,
			   size_t extra_length)
{
	struct hawser__buffer frame;

	hawser__buffer_init(&frame, session->log.frames.pool);
	return put_frame(session, outbox, &frame,
			 hawser__frame_put_end(&frame, 0, outbox->id, status, outcome, extra,
					       extra_length, 0) != NULL);
}

int hawser__outbox_put_last(struct hawser__session *session, struct hawser__outbox *outbox)
{
	struct hawser__buffer frame;

	hawser__buffer_init(&frame, session->log.frames.pool);
	return put_frame(session, outbox, &frame,
			 hawser__frame_put_message(&frame, 0, outbox->id, true, 0) != NULL);
}

/* ---- turns ---- */

/* The head of a piece: before it in its own chunk, or in the log when its bytes are borrowed. False
 * without memory. */
static bool add_head(struct hawser__session *session, struct hawser__outbox *outbox,
		     struct hawser__chunk *chunk)
{
	struct hawser__buffer *out = &session->log.frames;
	size_t payload = chunk->end - chunk->start, length;
	uint64_t size = chunk->mark, ack = hawser__session_riding_ack(session);
	uint8_t head[HAWSER__MESSAGE_HEAD], *room;

	length = hawser__frame_message_head(head, ack, outbox->id, size, payload);
	if (chunk->loan) {
		room = hawser__buffer_reserve(out, length);
		if (!room)
			return false;
		memcpy(room, head, length);
		hawser__buffer_commit(out, length);
	} else {
		chunk->start -= length;
		memcpy(chunk->data + chunk->start, head, length);
	}
	if (ack)
		hawser__session_told(session);
	if (session->moved)
		session->moved(session, head, length);
	hawser__buffer_link(out, chunk);
	hawser__log_grown(&session->log, length + payload);
	return true;
}

/* One piece, or one frame, goes to the log. False without memory: it is tried again later. */
static bool take_turn(struct hawser__session *session, struct hawser__outbox *outbox)
{
	struct hawser__chunk *chunk = outbox->first, *next = chunk->next;
	size_t bytes = chunk->end - chunk->start;

	if (chunk->mark == MARK_FRAME) {
		if (session->moved)
			session->moved(session, chunk->data + chunk->start, bytes);
		hawser__buffer_link(&session->log.frames, chunk);
		hawser__log_grown(&session->log, bytes);
	} else if (add_head(session, outbox, chunk)) {
		outbox->window -= (long long)bytes + HAWSER__MESSAGE_COST;
	} else {
		return false;
	}
	outbox->first = next;
	if (!next)
		outbox->last = NULL;
	outbox->bytes -= bytes;
	session->waiting_bytes -= bytes;
	return true;
}

void hawser__session_fill_slow(struct hawser__session *session)
{
	if (!session->log_flows)
		return;
	while (!hawser__list_empty(&session->turns) &&
	       (session->log.unwritten < HAWSER__AHEAD_BYTES ||
		session->passed_bytes >= HAWSER__PIECE_BYTES)) {
		struct hawser__outbox *outbox =
			hawser__container_of(session->turns.next, struct hawser__outbox, turn);

		if (!take_turn(session, outbox))
			return;
		session->passed_bytes = 0;
		outbox->stuck_ms = 0;
		if (may_go(outbox))
			hawser__list_move(&session->turns, &outbox->turn);
		else
			hawser__list_unlink(&outbox->turn);
		if (outbox->is_left && !outbox->first)
			hawser__outbox_free(session, outbox);
	}
}
