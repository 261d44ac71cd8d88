/* A program on an asynchronous client, whose input tells it what to do; service.h says what for. */

#include "../fuzz.h"
#include "content.h"
#include "net/loop.h"
#include "service.h"
#include <errno.h>
#include <string.h>

struct use {
	struct hawser__list link;
	struct hawser_call *call;
	const struct hawser_method *method;
	uint64_t sent, received;
	size_t size;
	char order;
	bool has_ended, is_freed, has_said_last;
};

static struct hawser__list uses = {&uses, &uses};
static unsigned n_uses;

static void check_result(int r)
{
	require(r == 0 || r == -EAGAIN || r == -EPIPE || r == -EALREADY || r == -EMSGSIZE ||
		r == -ENOMEM || r == -EINVAL);
}

static void forget(struct use *use)
{
	hawser__list_unlink(&use->link);
	n_uses--;
	free(use);
}

static void let_go(struct use *use)
{
	use->is_freed = true;
	hawser_call_free(use->call);
}

static void send_one(struct use *use)
{
	int r = hawser_call_send(use->call, use->method,
				 &content_make(use->sent + 1, use->size, "ebc")->base);

	check_result(r);
	require(r != -EINVAL || !streams_requests(use->method));
	use->sent += r == 0;
}

static void say_last(struct use *use)
{
	int r = hawser_call_end(use->call);

	check_result(r);
	use->has_said_last |= r == 0 || r == -EALREADY || r == -EPIPE;
}

static void on_writable(struct hawser_call *call, void *data)
{
	struct use *use = data;

	require(call == use->call && !use->has_ended && !use->is_freed);
	hawser_call_read_start(call);
	send_one(use);
}

static void on_reply(struct hawser_call *call, const ProtobufCMessage *message, void *data)
{
	struct use *use = data;

	require(call == use->call && !use->has_ended && !use->is_freed);
	if (message) {
		use->received++;
		require(service_is_lenient ||
			content_is((const Rpctest__Payload *)(const void *)message, use->received));
	}
	use->has_ended = !message || !streams_replies(use->method);
	require(!use->has_ended || message || streams_replies(use->method) ||
		hawser_call_error(call)->status != HAWSER_OK);
	switch (use->order) {
	case 'f':
		let_go(use);
		break;
	case 'c':
		check_result(hawser_call_cancel(call));
		break;
	case 's':
		check_result(hawser_call_read_stop(call));
		check_result(hawser_call_on_writable(call, on_writable, use));
		break;
	case 'e':
		send_one(use);
		break;
	default:
		break;
	}
}

void application_call(struct hawser_client *client, uint8_t method, uint8_t size, uint8_t order,
		      uint64_t timeout_ms)
{
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct hawser_metadata pair = {"key", "value", 5};
	struct use *use = calloc(1, sizeof *use);
	const char text[] = {"eksfcw"[order % 6], (char)('a' + order / 6 % 16), 'c', 0};

	require(use);
	use->method = method_at(method);
	use->order = "nfcsen"[order % 6];
	use->size = content_size(size);
	context.timeout_ms = timeout_ms ? (int64_t)timeout_ms : HAWSER_NO_DEADLINE;
	if (order & 0x80) {
		context.metadata = &pair;
		context.n_metadata = 1;
	}
	hawser__list_append(&uses, &use->link);
	n_uses++;
	use->call = hawser_client_open(
		client, use->method,
		streams_requests(use->method) ? NULL : &content_make(1, use->size, text)->base,
		(hawser_any_fn *)on_reply, use, &context);
	if (!use->call) {
		require(errno == ENOMEM || errno == ECANCELED);
		forget(use);
	}
}

static struct use *choose(uint8_t which)
{
	struct hawser__list *link;
	unsigned skip = which % (n_uses ? n_uses : 1);

	list_for_each (link, &uses)
		if (skip-- == 0)
			return hawser__container_of(link, struct use, link);
	return NULL;
}

void application_act(uint8_t which, uint8_t action, uint8_t size)
{
	struct use *use = choose(which);

	if (!use)
		return;
	use->size = content_size(size);
	if (use->is_freed) {
		/* Inside its callback. */
		forget(use);
		return;
	}
	switch (action % 10) {
	case 0:
	case 1:
	case 2:
		send_one(use);
		break;
	case 3:
		say_last(use);
		break;
	case 4:
		check_result(hawser_call_cancel(use->call));
		require(use->has_ended);
		break;
	case 5:
		let_go(use);
		forget(use);
		break;
	case 6:
		check_result(hawser_call_read_stop(use->call));
		break;
	case 7:
		check_result(hawser_call_read_start(use->call));
		break;
	case 8:
		if (streams_requests(use->method))
			check_result(hawser_call_on_writable(use->call,
							     size & 1 ? on_writable : NULL, use));
		break;
	default:
		use->order = "nfcsen"[size % 6];
		break;
	}
}

void application_end_all(void)
{
	struct hawser__list *link;

	list_for_each (link, &uses) {
		struct use *use = hawser__container_of(link, struct use, link);

		use->order = 'n';
		if (use->is_freed)
			continue;
		if (streams_replies(use->method))
			check_result(hawser_call_read_start(use->call));
		if (streams_requests(use->method) && !use->has_said_last)
			say_last(use);
	}
}

bool application_is_done(void)
{
	struct hawser__list *link;

	list_for_each (link, &uses) {
		struct use *use = hawser__container_of(link, struct use, link);

		if (!use->has_ended && !use->is_freed)
			return false;
	}
	return true;
}

void application_free_all(void)
{
	while (n_uses) {
		struct use *use = hawser__container_of(uses.next, struct use, link);

		if (!use->is_freed)
			let_go(use);
		forget(use);
	}
}
