/* Forwarding, with everything that can be wrong on the way.
 *
 * In order: bytes are read, corrupted, given the time at which they may leave, and
 * queued. Of the queue goes out what no stall, delay or rate holds back, in pieces
 * no larger than a segment, and not a byte beyond where the connection is to be
 * cut. What a cut finds in the queue is lost, as it would be on a broken line. */

#include "proxy_flow.h"
#include "clock.h"
#include "proxy_relay.h"
#include <errno.h>
#include <sys/socket.h>

enum {
	SENDS_AT_ONCE = 64, /* then it is the others' turn */
	MS_NS = 1000000,
	/* What a limited rate may catch up with, and so the size of its pieces: timers are late. */
	PACE_NS = 10 * MS_NS,
	/* In what is no frame the cut must come some time too. */
	PART_OF_NO_FRAME = 4096,
};

enum { DICE_DELAYS, DICE_CORRUPTION, DICE_POINTS, DICE_OF_FLOW };

static const struct shape *shape_of(const struct flow *flow)
{
	return &flow->relay->proxy->faults.shapes[flow->direction];
}

static void on_wake(evutil_socket_t fd, short what, void *data)
{
	struct flow *flow = data;

	flow_pump(flow);
	relay_settle(flow->relay);
}

void flow_init(struct flow *flow, struct relay *relay, enum direction direction)
{
	uint64_t seed = relay->proxy->faults.seed;
	uint64_t purpose = DICE_FLOW + (uint64_t)direction * DICE_OF_FLOW;

	flow->relay = relay;
	flow->direction = direction;
	flow->from = &relay->ends[direction == UP ? CLIENT : TARGET];
	flow->to = &relay->ends[direction == UP ? TARGET : CLIENT];
	event_assign(&flow->wake, relay->proxy->base, -1, 0, on_wake, flow);
	dice_init(&flow->delays, seed, relay->number, purpose + DICE_DELAYS);
	dice_init(&flow->corruption, seed, relay->number, purpose + DICE_CORRUPTION);
	dice_init(&flow->points, seed, relay->number, purpose + DICE_POINTS);
	flow->corrupt_gap = faults_corrupt_gap(&flow->corruption, shape_of(flow)->corrupt_ppm);
}

void flow_stop(struct flow *flow)
{
	event_del(&flow->wake);
	queue_clear(&flow->queue);
	flow->is_shut = true;
}

/* ---- in ---- */

static void corrupt(struct flow *flow, uint8_t *bytes, size_t size)
{
	size_t at = 0;

	while (flow->corrupt_gap < size - at) {
		at += (size_t)flow->corrupt_gap;
		bytes[at++] ^= (uint8_t)(1 + dice_below(&flow->corruption, 255));
		flow->relay->proxy->statistics.corrupted++;
		flow->corrupt_gap =
			faults_corrupt_gap(&flow->corruption, shape_of(flow)->corrupt_ppm);
	}
	if (flow->corrupt_gap != UINT64_MAX)
		flow->corrupt_gap -= size - at;
}

/* When what is read now may leave. In whole milliseconds, and never before what was read
 * earlier (the queue would not let it), so that a delayed stream of single bytes does not
 * become as many chunks. */
static uint64_t due_ns(struct flow *flow, uint64_t now_ns)
{
	const struct shape *shape = shape_of(flow);
	uint64_t jitter_ns = shape->jitter_ms * MS_NS, delay_ns = shape->delay_ms * MS_NS;
	uint64_t at_ns = 0;

	if (jitter_ns)
		delay_ns += dice_below(&flow->delays, 2 * jitter_ns + 1);
	if (delay_ns > jitter_ns)
		at_ns = (now_ns + delay_ns - jitter_ns + MS_NS - 1) / MS_NS * MS_NS;
	if (flow->due_ns < at_ns || flow->due_ns < now_ns)
		flow->due_ns = at_ns;
	return flow->due_ns;
}

static void end(struct flow *flow, bool by_reset)
{
	flow->has_ended = flow->from->has_ended = true;
	flow->by_reset = by_reset;
	due_ns(flow, clock_now_ns());
	event_del(&flow->from->readable);
	/* There is nobody to be told later. */
	if (by_reset && flow->relay->state == RELAY_CONNECTING)
		relay_part(flow->relay, CUT_RST);
}

void flow_read(struct flow *flow)
{
	struct proxy *proxy = flow->relay->proxy;
	size_t room = proxy->buffer_bytes - flow->queue.bytes;
	ssize_t n;

	n = recv(flow->from->fd, proxy->scratch,
		 room < PROXY_SCRATCH_BYTES ? room : PROXY_SCRATCH_BYTES, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		end(flow, n < 0 || flow->from->is_reset);
	} else {
		corrupt(flow, proxy->scratch, (size_t)n);
		if (queue_append(&flow->queue, due_ns(flow, clock_now_ns()), proxy->scratch,
				 (size_t)n) < 0) {
			proxy_warn(proxy, "out of memory: a connection is reset; a smaller "
					  "--buffer needs less");
			relay_part(flow->relay, CUT_RST);
			return;
		}
		if (flow->queue.bytes >= proxy->buffer_bytes)
			event_del(&flow->from->readable);
	}
	flow_pump(flow);
}

/* ---- out ---- */

/* The receiver has gone. What it sent before that is still on its way to the other end. */
static void lose_receiver(struct flow *flow)
{
	flow->to->is_reset = true;
	flow->has_ended = true;
	event_del(&flow->from->readable);
	flow_stop(flow);
	relay_flow_is_shut(flow->relay);
}

static void pass_end_on(struct flow *flow)
{
	if (flow->by_reset) {
		relay_part(flow->relay, CUT_RST);
		return;
	}
	shutdown(flow->to->fd, SHUT_WR);
	flow_stop(flow);
	relay_flow_is_shut(flow->relay);
}

/* When the next bytes, or the end, may leave. */
static uint64_t ready_ns(const struct flow *flow)
{
	uint64_t at_ns = flow->relay->proxy->stalled_until_ns[flow->direction];

	if (at_ns < flow->stalled_until_ns)
		at_ns = flow->stalled_until_ns;
	if (!flow->queue.bytes)
		return at_ns < flow->due_ns ? flow->due_ns : at_ns;
	if (at_ns < flow->paced_until_ns)
		at_ns = flow->paced_until_ns;
	return at_ns < queue_due_ns(&flow->queue) ? queue_due_ns(&flow->queue) : at_ns;
}

static void wake_at(struct flow *flow, uint64_t at_ns, uint64_t now_ns)
{
	uint64_t us = (at_ns - now_ns + 999) / 1000;
	struct timeval after = {.tv_sec = (time_t)(us / 1000000),
				.tv_usec = (suseconds_t)(us % 1000000)};

	if (at_ns == FAULTS_NEVER)
		event_del(&flow->wake);
	else
		event_add(&flow->wake, &after);
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* How many of `size` bytes may pass before the connection is cut inside of a frame. A frame
 * whose length is not known yet is held back. */
static size_t part_of_frame(struct flow *flow, size_t size)
{
	uint8_t head[FRAME_HEAD];
	uint64_t length;

	if (!flow->part_left) {
		if (queue_copy(&flow->queue, head, sizeof head) < sizeof head)
			return flow->has_ended ? size : 0;
		length = frame_length(head);
		if (length >= FRAME_TOO_LONG)
			length = PART_OF_NO_FRAME;
		flow->part_left = 1 + dice_below(&flow->points, FRAME_HEAD + length - 1);
	}
	return (size_t)lesser(flow->part_left, size);
}

/* The bytes to send next: none, if the queue is empty or they are to be held back. */
static size_t next_piece(struct flow *flow, const uint8_t **bytes)
{
	const struct faults *faults = &flow->relay->proxy->faults;
	const struct shape *shape = shape_of(flow);
	uint64_t size = queue_peek(&flow->queue, bytes);

	if (shape->segment_bytes)
		size = lesser(size, shape->segment_bytes);
	if (shape->rate_bytes_per_s)
		size = lesser(size, 1 + shape->rate_bytes_per_s / (1000 * MS_NS / PACE_NS));
	if (flow->relay->is_to_be_cut_inside)
		return size ? part_of_frame(flow, (size_t)size) : 0;
	if (faults->cut_after_bytes)
		size = lesser(size, faults->cut_after_bytes - flow->forwarded);
	return (size_t)size;
}

static void pace(struct flow *flow, size_t size, uint64_t now_ns)
{
	uint64_t rate = shape_of(flow)->rate_bytes_per_s;

	if (!rate)
		return;
	if (flow->paced_until_ns + PACE_NS < now_ns)
		flow->paced_until_ns = now_ns - PACE_NS;
	flow->paced_until_ns += (uint64_t)size * 1000000000u / rate;
}

/* These bytes have left the queue. */
static void passed(struct flow *flow, const uint8_t *bytes, size_t size, uint64_t now_ns)
{
	struct relay *relay = flow->relay;
	const struct faults *faults = &relay->proxy->faults;

	frames_pass(&flow->frames, bytes, size);
	queue_drop(&flow->queue, size);
	flow->forwarded += size;
	relay->proxy->statistics.bytes[flow->direction] += size;
	pace(flow, size, now_ns);
	if (!flow->has_ended)
		event_add(&flow->from->readable, NULL);

	if (flow->part_left) {
		flow->part_left -= size;
	} else if (faults->cut_after_bytes && flow->forwarded >= faults->cut_after_bytes &&
		   !relay->is_to_be_cut_inside) {
		relay_cut_as_planned(relay);
	}
}

/* A frame has begun and its part has passed: that is the place. */
static bool cut_inside(struct flow *flow)
{
	struct relay *relay = flow->relay;

	if (!relay->is_to_be_cut_inside || flow->part_left || !frames_are_inside(&flow->frames))
		return false;
	relay->proxy->statistics.mid_frame++;
	relay_cut(relay, relay->cut_inside_how);
	return true;
}

void flow_pump(struct flow *flow)
{
	for (unsigned i = 0; i < SENDS_AT_ONCE; i++) {
		uint64_t now_ns = clock_now_ns(), at_ns;
		const uint8_t *bytes;
		size_t size;
		ssize_t sent;

		if (flow->relay->state != RELAY_OPEN || flow->is_shut || cut_inside(flow))
			return;
		if (!flow->queue.bytes && !flow->has_ended)
			return;
		at_ns = ready_ns(flow);
		if (at_ns > now_ns) {
			wake_at(flow, at_ns, now_ns);
			return;
		}
		if (!flow->queue.bytes) {
			pass_end_on(flow);
			return;
		}
		size = next_piece(flow, &bytes);
		if (!size)
			return;
		sent = send(flow->to->fd, bytes, size, MSG_NOSIGNAL);
		if (sent < 0 && errno == EAGAIN)
			break;
		if (sent < 0 && errno != EINTR) {
			lose_receiver(flow);
			return;
		}
		if (sent > 0)
			passed(flow, bytes, (size_t)sent, now_ns);
	}
	if (flow->relay->state == RELAY_OPEN)
		event_add(&flow->to->writable, NULL);
}

void flow_reshape(struct flow *flow)
{
	flow->corrupt_gap = faults_corrupt_gap(&flow->corruption, shape_of(flow)->corrupt_ppm);
	flow_pump(flow);
}
