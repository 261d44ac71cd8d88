/* One call to many members of a hub.
 *
 * The request is packed once, and each call borrows it. A few lanes, as many as may be in flight,
 * take one member after the other from the list; what is next is begun when a call ends, on the
 * loop where that happens. The user's functions run with a lock, so never two at a time. */

#include "rpc/client.h"
#include "rpc/hub.h"
#include "rpc/outgoing.h"
#include "rpc/peer_call.h"
#include "rpc/stream.h"
#include "util/alloc.h"
#include "util/buffer.h"
#include "util/error.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { MAX_CONCURRENT = 64 };

struct broadcast;

/* Takes one member after the other. */
struct lane {
	struct broadcast *broadcast;
	struct hawser_peer *peer; /* a reference: of the call under way */
	struct hawser__outgoing outgoing;
	struct hawser__post post;
	struct hawser__alarm alarm;
	bool is_starting; /* the call is being begun: what ends it does so at once */
	bool has_ended;
};

struct broadcast {
	const struct hawser_method *method;
	struct hawser_context context;
	struct hawser__content content;
	uint64_t deadline_ms;
	hawser_broadcast_fn *on_end;
	hawser_broadcast_done_fn *on_done;
	void *data;
	atomic_size_t next;
	/* Of all that ends; the user's functions run with it. */
	pthread_mutex_t lock;
	size_t n_replies, n_failed, n_lanes;
	size_t n_peers;
	struct hawser_peer **peers; /* references */
	struct lane lanes[];
};

static void broadcast_free(struct broadcast *broadcast)
{
	for (size_t i = 0; i < broadcast->n_peers; i++)
		hawser_peer_unref(broadcast->peers[i]);
	free(broadcast->peers);
	hawser__loan_unref(broadcast->content.loan);
	pthread_mutex_destroy(&broadcast->lock);
	free(broadcast);
}

/* ---- one call ---- */

static void report(struct lane *lane)
{
	struct broadcast *broadcast = lane->broadcast;
	struct hawser__outgoing *outgoing = &lane->outgoing;
	bool has_failed;

	if (!outgoing->error.status && !outgoing->reply)
		hawser__outgoing_unpack_reply(outgoing);
	has_failed = outgoing->error.status != HAWSER_OK;
	pthread_mutex_lock(&broadcast->lock);
	broadcast->n_failed += has_failed;
	broadcast->n_replies += !has_failed;
	if (broadcast->on_end)
		broadcast->on_end(lane->peer, has_failed ? NULL : outgoing->reply, &outgoing->error,
				  broadcast->data);
	pthread_mutex_unlock(&broadcast->lock);
	if (outgoing->reply)
		protobuf_c_message_free_unpacked(outgoing->reply, NULL);
	hawser__outgoing_deinit(outgoing);
	lane->peer = NULL;
}

static void go_on(struct lane *lane);

static void on_lane_done(struct hawser__outgoing *outgoing)
{
	struct lane *lane = hawser__container_of(outgoing, struct lane, outgoing);

	hawser__loop_clear_alarm(lane->peer->client->loop, &lane->alarm);
	lane->has_ended = true;
	if (!lane->is_starting) {
		report(lane);
		go_on(lane);
	}
}

static void on_deadline(struct hawser__alarm *alarm)
{
	struct lane *lane = hawser__container_of(alarm, struct lane, alarm);

	hawser__outgoing_abandon(&lane->outgoing, HAWSER_DEADLINE_EXCEEDED,
				 "%s: the deadline passed before the call ended",
				 lane->broadcast->method->name);
}

static const struct hawser__outgoing_ops lane_ops = {.done = on_lane_done};

/* On the peer's loop. */
static void start(struct hawser__loop *loop, struct hawser__post *post)
{
	struct lane *lane = hawser__container_of(post, struct lane, post);
	struct broadcast *broadcast = lane->broadcast;

	lane->is_starting = true;
	lane->has_ended = false;
	if (hawser__peer_start(lane->peer, &lane->outgoing, &broadcast->content,
			       &broadcast->context) < 0)
		lane->has_ended = true;
	else if (!lane->has_ended)
		hawser__loop_set_alarm(loop, &lane->alarm, broadcast->deadline_ms);
	lane->is_starting = false;
	if (lane->has_ended) {
		report(lane);
		go_on(lane);
	}
}

/* Its session is over, and its loop perhaps, too. */
static void fail_here(struct lane *lane)
{
	hawser__error_call(&lane->outgoing.error, HAWSER_UNAVAILABLE, HAWSER_OUTCOME_NOT_SENT,
			   "%s: the peer is gone: its server has ended",
			   lane->broadcast->method->name);
	report(lane);
}

static void end_lane(struct broadcast *broadcast)
{
	bool is_last;

	pthread_mutex_lock(&broadcast->lock);
	is_last = --broadcast->n_lanes == 0;
	if (is_last && broadcast->on_done)
		broadcast->on_done(broadcast->n_replies, broadcast->n_failed, broadcast->data);
	pthread_mutex_unlock(&broadcast->lock);
	if (is_last)
		broadcast_free(broadcast);
}

/* To the next member, or there is none. */
static void go_on(struct lane *lane)
{
	struct broadcast *broadcast = lane->broadcast;

	for (;;) {
		size_t next = atomic_fetch_add(&broadcast->next, 1);

		if (next >= broadcast->n_peers) {
			end_lane(broadcast);
			return;
		}
		lane->peer = broadcast->peers[next];
		hawser__outgoing_init(&lane->outgoing, broadcast->method, &lane_ops);
		lane->outgoing.unpacks_later = true;
		lane->outgoing.call.deadline_ms = broadcast->deadline_ms;
		hawser__alarm_init(&lane->alarm, on_deadline);
		lane->post.run = start;
		if (hawser__peer_post(lane->peer, &lane->post) == 0)
			return;
		fail_here(lane);
	}
}

/* ---- all of it ---- */

/* References of the members that are meant, and how many: -ENOMEM. */
static ssize_t gather(struct hawser_hub *hub, const struct hawser_hub_filter *filter,
		      struct hawser_peer ***peers)
{
	size_t n = 0, capacity = 0;
	struct hawser_peer **list = NULL, *peer = NULL;

	while ((peer = hawser_hub_next(hub, filter, peer))) {
		if (n == capacity) {
			struct hawser_peer **grown;

			capacity = capacity ? 2 * capacity : 64;
			grown = hawser__realloc(list, capacity * sizeof *list);
			if (!grown)
				goto no_memory;
			list = grown;
		}
		list[n++] = hawser_peer_ref(peer);
	}
	*peers = list;
	return (ssize_t)n;
no_memory:
	hawser_peer_unref(peer);
	while (n)
		hawser_peer_unref(list[--n]);
	free(list);
	return -ENOMEM;
}

static int check(const struct hawser_hub *hub, const struct hawser_method *method,
		 const ProtobufCMessage *request, const struct hawser_broadcast_options *options,
		 size_t limit, struct hawser_error *error)
{
	size_t length;

	if (!hub || !method || !request)
		return hawser__error_set(error, -EINVAL,
					 "broadcast: the hub, the method or the request is NULL");
	if (method->kind != HAWSER_UNARY)
		return hawser__error_set(error, -EINVAL,
					 "broadcast: %s is a stream; only unary methods can be "
					 "called of many at once",
					 method->name);
	if (request->descriptor != method->request)
		return hawser__error_set(
			error, -EINVAL, "%s: the request is a %s, not a %s; start from its __INIT",
			method->name, request->descriptor ? request->descriptor->name : "nothing",
			method->request->name);
	if (options && (options->size < sizeof options->size || options->size > 4096))
		return hawser__error_set(error, -EINVAL,
					 "broadcast options: size is %zu; start from "
					 "HAWSER_BROADCAST_OPTIONS_INIT",
					 options->size);
	length = protobuf_c_message_get_packed_size(request);
	if (length > limit)
		return hawser__error_set(error, -EMSGSIZE,
					 "%s: the request has %zu bytes, the limit is %zu",
					 method->name, length, limit);
	return 0;
}

static int pack(struct broadcast *broadcast, const ProtobufCMessage *request)
{
	struct hawser__content *content = &broadcast->content;
	uint8_t *packed;

	content->length = protobuf_c_message_get_packed_size(request);
	packed = hawser__malloc(content->length + 1);
	content->loan = packed ? hawser__loan_new(free, packed) : NULL;
	if (!content->loan) {
		free(packed);
		return -ENOMEM;
	}
	protobuf_c_message_pack(request, packed);
	content->packed = packed;
	return 0;
}

int hawser_hub_broadcast(struct hawser_hub *hub, const struct hawser_hub_filter *filter,
			 const struct hawser_method *method, const ProtobufCMessage *request,
			 const struct hawser_broadcast_options *options,
			 hawser_broadcast_fn *on_end, hawser_broadcast_done_fn *on_done, void *data,
			 struct hawser_error *error)
{
	struct hawser_broadcast_options checked = HAWSER_BROADCAST_OPTIONS_INIT;
	const struct hawser_server_options *server = hub ? &hawser__hub_server(hub)->options : NULL;
	struct broadcast *broadcast;
	struct hawser_peer **peers = NULL;
	size_t n_lanes;
	ssize_t n;
	int r = check(hub, method, request, options, server ? server->max_reply_bytes : 0, error);

	if (r < 0)
		return r;
	if (options)
		memcpy(&checked, options,
		       options->size < sizeof checked ? options->size : sizeof checked);
	n = gather(hub, filter, &peers);
	n_lanes = checked.max_concurrent ? checked.max_concurrent : MAX_CONCURRENT;
	if (n >= 0 && n_lanes > (size_t)n)
		n_lanes = (size_t)n;
	broadcast =
		n < 0 ? NULL
		      : hawser__calloc(1, sizeof *broadcast + n_lanes * sizeof *broadcast->lanes);
	if (!broadcast) {
		while (n > 0)
			hawser_peer_unref(peers[--n]);
		free(peers);
		return hawser__error_set(error, -ENOMEM, "%s: out of memory", method->name);
	}
	broadcast->method = method;
	broadcast->context = (struct hawser_context)HAWSER_CONTEXT_INIT;
	broadcast->context.fail_if_away = !checked.waits_for_away;
	broadcast->deadline_ms =
		hawser__now_ms() + (checked.timeout_ms ? checked.timeout_ms : server->timeout_ms);
	broadcast->on_end = on_end;
	broadcast->on_done = on_done;
	broadcast->data = data;
	broadcast->peers = peers;
	broadcast->n_peers = (size_t)n;
	atomic_init(&broadcast->next, 0);
	pthread_mutex_init(&broadcast->lock, NULL);
	if (pack(broadcast, request) < 0) {
		broadcast_free(broadcast);
		return hawser__error_set(error, -ENOMEM, "%s: out of memory", method->name);
	}
	/* One more than there are: it stays until all have begun. */
	broadcast->n_lanes = n_lanes + 1;
	for (size_t i = 0; i < n_lanes; i++) {
		broadcast->lanes[i].broadcast = broadcast;
		go_on(&broadcast->lanes[i]);
	}
	end_lane(broadcast);
	return (int)n;
}
