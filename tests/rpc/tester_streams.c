/* The handlers that stream; tester.h tells what for. */

#include "samples.h"
#include "tester.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- replies ---- */

struct watch {
	struct tester *tester;
	uint64_t sent, count;
	uint8_t *data;
	size_t length;
	char *text;
};

static void free_watch(struct watch *watch)
{
	struct tester *tester = watch->tester;

	free(watch->data);
	free(watch->text);
	free(watch);
	tester_note_stream(tester, 0, 1);
}

static void on_watch_cancelled(struct hawser_call *call, void *data)
{
	struct watch *watch = data;

	tester_on_cancel(call, watch->tester);
	hawser_call_fail(call, HAWSER_CANCELLED, NULL);
	free_watch(watch);
}

static void fail_watch(struct hawser_call *call, char *text)
{
	Rpctest__Payload failure = RPCTEST__PAYLOAD__INIT;

	failure.number = HAWSER_ABORTED;
	failure.text = text;
	tester_fail(call, &failure);
}

/* As many as the caller and the connection take now, and the rest when they take more. */
static void send_watch(struct hawser_call *call, void *data)
{
	struct watch *watch = data;
	Rpctest__Payload message = RPCTEST__PAYLOAD__INIT;
	int r = 0;

	message.data.data = watch->data;
	message.data.len = watch->length;
	while (watch->sent < watch->count && r == 0) {
		message.id = watch->sent + 1;
		r = rpctest_tester_watch_reply(call, &message);
		watch->sent += r == 0;
		atomic_fetch_add(&watch->tester->n_replies, r == 0);
	}
	if (r == -EAGAIN && hawser_call_on_writable(call, send_watch, watch) == 0)
		return;
	hawser_call_on_cancel(call, NULL, NULL);
	if (r < 0)
		hawser_call_fail(call, HAWSER_INTERNAL, "send: %d", r);
	else if (*watch->text)
		fail_watch(call, watch->text);
	else if (hawser_call_end(call) == -ENOMEM)
		hawser_call_fail(call, HAWSER_RESOURCE_EXHAUSTED, "no memory");
	free_watch(watch);
}

void tester_watch(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct watch *watch = calloc(1, sizeof *watch);
	struct tester *tester = data;

	watch->tester = tester;
	watch->count = (uint64_t)request->number;
	watch->length = request->data.len;
	watch->data = malloc(watch->length + 1);
	if (watch->length)
		memcpy(watch->data, request->data.data, watch->length);
	watch->text = strdup(request->text);
	tester_note_stream(tester, 1, 0);
	tester_reflect(call);
	hawser_call_on_cancel(call, on_watch_cancelled, watch);
	send_watch(call, watch);
}

/* ---- requests, and both ---- */

/* What a stream of requests has come to so far. */
struct conversation {
	struct tester *tester;
	uint64_t count, bytes;
	bool is_disordered;
	ProtobufCMessage *pending; /* a copy of what could not be given back yet */
};

static void free_conversation(void *data)
{
	struct conversation *conversation = data;
	struct tester *tester = conversation->tester;

	if (conversation->pending)
		protobuf_c_message_free_unpacked(conversation->pending, NULL);
	free(conversation);
	tester_note_stream(tester, 0, 1);
}

/* NULL: the call is over. */
static struct conversation *conversation_of(struct hawser_call *call, struct tester *tester)
{
	struct conversation *conversation = hawser_call_data(call);

	if (conversation)
		return conversation;
	conversation = calloc(1, sizeof *conversation);
	if (!conversation)
		abort();
	conversation->tester = tester;
	tester_note_stream(tester, 1, 0);
	if (hawser_call_set_data(call, conversation, free_conversation) < 0) {
		free_conversation(conversation);
		return NULL;
	}
	tester_reflect(call);
	hawser_call_on_cancel(call, tester_on_cancel, tester);
	return conversation;
}

static void count(struct conversation *conversation, const Rpctest__Payload *request)
{
	if (*request->text)
		return;
	conversation->count++;
	conversation->bytes += request->data.len;
	if (request->id != conversation->count || !sample_is_whole(request))
		conversation->is_disordered = true;
}

static void reply_sums(struct hawser_call *call, const struct conversation *conversation)
{
	Rpctest__Payload reply = RPCTEST__PAYLOAD__INIT;

	reply.id = conversation->count;
	reply.number = (int64_t)conversation->bytes;
	reply.text = (char *)(conversation->is_disordered ? "in disorder" : "in order");
	/* Without memory the call is the handler's still. */
	if (rpctest_tester_gather_reply(call, &reply) == -ENOMEM)
		hawser_call_fail(call, HAWSER_RESOURCE_EXHAUSTED, "no memory");
}

void tester_gather(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct tester *tester = data;
	tester_stream_fn *on_stream = atomic_load(&tester->on_stream);
	struct conversation *conversation;

	if (on_stream) {
		on_stream(call, request, tester);
		return;
	}
	conversation = conversation_of(call, tester);
	if (!conversation)
		return;
	if (request)
		count(conversation, request);
	if (!request || strcmp(request->text, "reply") == 0) {
		reply_sums(call, conversation);
	} else if (strcmp(request->text, "fail") == 0) {
		tester_fail(call, request);
	} else if (strcmp(request->text, "stop") == 0) {
		hawser_call_read_stop(call);
		tester_hold(tester, call);
	}
	/* It may be answered by who was waiting for this one. */
	if (request)
		atomic_fetch_add(&tester->n_requests, 1);
}

static ProtobufCMessage *copy(const ProtobufCMessage *message)
{
	size_t length = protobuf_c_message_get_packed_size(message);
	uint8_t *packed = malloc(length + 1);
	ProtobufCMessage *copied;

	if (!packed)
		abort();
	protobuf_c_message_pack(message, packed);
	copied = protobuf_c_message_unpack(message->descriptor, NULL, length, packed);
	free(packed);
	return copied;
}

static void send_pending(struct hawser_call *call, void *data)
{
	struct conversation *conversation = data;
	int r = hawser_call_send(call, hawser_call_method(call), conversation->pending);

	atomic_fetch_add(&conversation->tester->n_replies, r == 0);
	if (r == -EAGAIN)
		r = hawser_call_on_writable(call, send_pending, conversation);
	else if (r == 0) {
		protobuf_c_message_free_unpacked(conversation->pending, NULL);
		conversation->pending = NULL;
		r = hawser_call_read_start(call);
	}
	if (r < 0)
		hawser_call_fail(call, HAWSER_INTERNAL, "send later: %d", r);
}

/* What cannot be given back now is kept, and no more is taken until it could. */
static void give_back(struct hawser_call *call, struct conversation *conversation,
		      const ProtobufCMessage *request)
{
	int r = hawser_call_send(call, hawser_call_method(call), request);

	atomic_fetch_add(&conversation->tester->n_replies, r == 0);
	if (r == -EAGAIN) {
		conversation->pending = copy(request);
		r = hawser_call_read_stop(call);
		if (r == 0)
			r = hawser_call_on_writable(call, send_pending, conversation);
	}
	if (r < 0)
		hawser_call_fail(call, HAWSER_INTERNAL, "send: %d", r);
}

void tester_chat(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct tester *tester = data;
	tester_stream_fn *on_stream = atomic_load(&tester->on_stream);
	struct conversation *conversation;

	if (on_stream) {
		on_stream(call, request, tester);
		return;
	}
	conversation = conversation_of(call, tester);
	if (!conversation)
		return;
	if (!request || strcmp(request->text, "end") == 0) {
		if (hawser_call_end(call) == -ENOMEM)
			hawser_call_fail(call, HAWSER_RESOURCE_EXHAUSTED, "no memory");
	} else if (strcmp(request->text, "fail") == 0) {
		tester_fail(call, request);
	} else if (strcmp(request->text, "stop") == 0) {
		hawser_call_read_stop(call);
		tester_hold(tester, call);
	} else {
		give_back(call, conversation, &request->base);
	}
	if (request)
		atomic_fetch_add(&tester->n_requests, 1);
}

/* ---- what is large in other ways ---- */

void tester_mirror(struct hawser_call *call, const Rpctest__Large *request, void *data)
{
	(void)data;
	rpctest_tester_mirror_reply(call, request);
}

void tester_mirrors(struct hawser_call *call, const Rpctest__Large *request, void *data)
{
	struct conversation *conversation = conversation_of(call, data);

	if (conversation && request)
		give_back(call, conversation, &request->base);
	else if (conversation)
		hawser_call_end(call);
}
