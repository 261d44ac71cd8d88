/* Cutting messages into pieces, and turns; outbox.h says what for. */

#include "wire/outbox.h"

#include "util/alloc.h"
#include <errno.h>
#include <string.h>

/* What a chunk is marked with: a finished frame, or a piece of a message, of which the first tells
 * the size of all. */
#define MARK_FRAME UINT64_MAX
#define MARK_REST 0

/* What is packed is pushed out when so many pieces are full. */
enum { PUSH_PIECES = 2 };

_Static_assert(HAWSER__PIECE_BYTES + HAWSER__MESSAGE_HEAD <= HAWSER__PIECE_CHUNK_BYTES,
	       "a piece and its head fit into a chunk");

static void free_chunks(struct hawser__session *session, struct hawser__chunk *first);

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
	free_chunks(session, outbox->first);
	outbox->first = outbox->last = NULL;
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
	/* Less than lets something go is not a sign of life. */
	if (outbox->window > 0 && outbox->window <= (long long)bytes)
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
		if (may_go(outbox))
			take_part(session, outbox);
		else
			hawser__list_unlink(&outbox->turn);
	}
}

/* ---- putting ---- */

static void append(struct hawser__session *session, struct hawser__outbox *outbox,
		   struct hawser__chunk *chunk)
{
	size_t bytes = chunk->end - chunk->start;

	chunk->next = NULL;
	if (outbox->last)
		outbox->last->next = chunk;
	else
		outbox->first = chunk;
	outbox->last = chunk;
	outbox->bytes += bytes;
	session->waiting_bytes += bytes;
}

static void free_chunks(struct hawser__session *session, struct hawser__chunk *first)
{
	while (first) {
		struct hawser__chunk *chunk = first;

		first = chunk->next;
		hawser__chunk_free(session->log.frames.pool, chunk);
	}
}

struct hawser__chunk *hawser__outbox_reserve(struct hawser__session *session, size_t length)
{
	struct hawser__pool *pool = session->log.frames.pool;
	struct hawser__chunk *first = NULL;

	/* A piece of no bytes is the empty message. */
	do {
		size_t capacity = length ? HAWSER__PIECE_CHUNK_BYTES : HAWSER__SMALL_CHUNK_BYTES;
		struct hawser__chunk *chunk = hawser__chunk_new(pool, capacity);

		if (!chunk) {
			free_chunks(session, first);
			return NULL;
		}
		/* Its head goes before it when its turn comes. */
		chunk->start = chunk->end =
			length ? capacity - HAWSER__PIECE_BYTES : HAWSER__MESSAGE_HEAD;
		chunk->next = first;
		first = chunk;
		length -= length < HAWSER__PIECE_BYTES ? length : HAWSER__PIECE_BYTES;
	} while (length);
	return first;
}

struct hawser__chunk *hawser__outbox_new_piece(struct hawser__pool *pool)
{
	struct hawser__chunk *piece = hawser__chunk_new(pool, HAWSER__PIECE_CHUNK_BYTES);

	/* Its head goes before it when its turn comes. */
	if (piece)
		piece->start = piece->end = piece->capacity - HAWSER__PIECE_BYTES;
	return piece;
}

struct hawser__chunk *hawser__outbox_borrow(struct hawser__session *session,
					    struct hawser__loan *loan, const uint8_t *packed,
					    size_t length)
{
	struct hawser__chunk *first = NULL, **end = &first;

	for (size_t at = 0; at < length; at += HAWSER__PIECE_BYTES) {
		size_t rest = length - at;

		*end = hawser__chunk_borrow(
			loan, packed + at, rest < HAWSER__PIECE_BYTES ? rest : HAWSER__PIECE_BYTES);
		if (!*end) {
			free_chunks(session, first);
			return NULL;
		}
		end = &(*end)->next;
	}
	return first;
}

void hawser__outbox_return(struct hawser__session *session, struct hawser__chunk *reserved)
{
	free_chunks(session, reserved);
}

/* Fills what was reserved, and lets each piece go as soon as it is full. */
struct packer {
	ProtobufCBuffer base;
	struct hawser__session *session;
	struct hawser__outbox *outbox;
	struct hawser__chunk *reserved; /* the first is being filled */
	unsigned n_full;
};

static void piece_is_full(struct packer *packer)
{
	struct hawser__session *session = packer->session;
	struct hawser__chunk *chunk = packer->reserved;

	packer->reserved = chunk->next;
	append(session, packer->outbox, chunk);
	take_part(session, packer->outbox);
	/* The peer may begin with it while we go on. */
	if (session->push && packer->reserved && ++packer->n_full % PUSH_PIECES == 0)
		session->push(session);
}

static void add_bytes(struct packer *packer, const uint8_t *data, size_t length)
{
	while (length) {
		struct hawser__chunk *chunk = packer->reserved;
		size_t part = chunk->capacity - chunk->end;

		if (part > length)
			part = length;
		memcpy(chunk->data + chunk->end, data, part);
		chunk->end += part;
		data += part;
		length -= part;
		if (chunk->end == chunk->capacity)
			piece_is_full(packer);
	}
}

static void add_packed(ProtobufCBuffer *buffer, size_t length, const uint8_t *data)
{
	add_bytes((struct packer *)(void *)buffer, data, length);
}

/* What the first piece of a message is marked with. */
static uint64_t mark_of(size_t length, bool is_announced)
{
	return is_announced || length <= HAWSER__PIECE_BYTES ? MARK_REST : length;
}

void hawser__outbox_put(struct hawser__session *session, struct hawser__outbox *outbox,
			struct hawser__chunk *reserved, const ProtobufCMessage *message,
			const uint8_t *packed, size_t length, bool is_announced)
{
	struct packer packer = {{add_packed}, session, outbox, reserved, 0};

	reserved->mark = mark_of(length, is_announced);
	if (message && length)
		protobuf_c_message_pack_to_buffer(message, &packer.base);
	else
		add_bytes(&packer, packed, length);
	if (packer.reserved)
		piece_is_full(&packer);
}

void hawser__outbox_put_piece(struct hawser__session *session, struct hawser__outbox *outbox,
			      struct hawser__chunk *piece, uint64_t size)
{
	piece->mark = size ? size : MARK_REST;
	append(session, outbox, piece);
	take_part(session, outbox);
}

void hawser__outbox_put_borrowed(struct hawser__session *session, struct hawser__outbox *outbox,
				 struct hawser__chunk *borrowed, size_t length, bool is_announced)
{
	borrowed->mark = mark_of(length, is_announced);
	while (borrowed) {
		struct hawser__chunk *next = borrowed->next;

		append(session, outbox, borrowed);
		borrowed = next;
	}
	take_part(session, outbox);
}

/* A frame that is complete already: it lies in the one chunk of a buffer. */
static struct hawser__chunk *frame_of(struct hawser__buffer *buffer, bool is_made)
{
	if (!is_made) {
		hawser__buffer_deinit(buffer);
		return NULL;
	}
	buffer->first->mark = MARK_FRAME;
	return buffer->first;
}

struct hawser__chunk *hawser__outbox_make_end(struct hawser__session *session, uint64_t id,
					      uint32_t status, uint32_t outcome,
					      const uint8_t *extra, size_t extra_length)
{
	struct hawser__buffer buffer;

	hawser__buffer_init(&buffer, session->log.frames.pool);
	return frame_of(&buffer, hawser__frame_put_end(&buffer, 0, id, status, outcome, extra,
						       extra_length, 0) != NULL);
}

struct hawser__chunk *hawser__outbox_make_last(struct hawser__session *session, uint64_t id)
{
	struct hawser__buffer buffer;

	hawser__buffer_init(&buffer, session->log.frames.pool);
	return frame_of(&buffer, hawser__frame_put_message(&buffer, 0, id, true, 0) != NULL);
}

void hawser__outbox_put_frame(struct hawser__session *session, struct hawser__outbox *outbox,
			      struct hawser__chunk *frame)
{
	append(session, outbox, frame);
	take_part(session, outbox);
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
	uint8_t head[HAWSER__MESSAGE_HEAD];
	struct hawser__chunk *before;

	length = hawser__frame_message_head(head, ack, outbox->id, size, payload);
	if (chunk->loan) {
		/* Behind a borrowed piece there is no room, and a large chunk would be too much. */
		before = hawser__chunk_new(out->pool, HAWSER__SMALL_CHUNK_BYTES);
		if (!before)
			return false;
		memcpy(before->data, head, length);
		before->end = length;
		hawser__buffer_link(out, before);
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
		outbox->number = session->log.last;
	} else if (add_head(session, outbox, chunk)) {
		hawser__outbox_spend(outbox, session, bytes);
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
	/* Nothing comes behind close. */
	if (!session->log_flows || session->state == HAWSER__SESSION_OVER)
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
