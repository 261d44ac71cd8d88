/* The handlers, and the table of methods; service.h says what for. */

#include "service.h"

#include "../fuzz.h"
#include "content.h"
#include "net/loop.h"
#include <errno.h>
#include <string.h>

struct job {
	struct hawser__list link;
	struct hawser_call *call;
	uint64_t received, sent;
	unsigned to_send;
	size_t size; /* of what it sends */
	char order;
	bool has_all; /* its requests */
};

enum { STALE = 16 };

bool service_is_lenient;
static struct hawser__list jobs = {&jobs, &jobs};
static unsigned n_jobs, n_loans;
/* Handles that are kept too long. */
static struct hawser_call *stale[STALE];
static unsigned n_stale;

static void on_writable(struct hawser_call *call, void *data);

static void free_job(void *data)
{
	struct job *job = data;

	stale[n_stale++ % STALE] = job->call;
	hawser__list_unlink(&job->link);
	n_jobs--;
	free(job);
}

static struct job *job_of(struct hawser_call *call)
{
	struct job *job = hawser_call_data(call);

	if (job)
		return job;
	job = calloc(1, sizeof *job);
	require(job);
	job->call = call;
	hawser__list_append(&jobs, &job->link);
	n_jobs++;
	require(hawser_call_set_data(call, job, free_job) == 0);
	return job;
}

/* ---- sending ---- */

static void check_result(int r)
{
	require(r == 0 || r == -EAGAIN || r == -EPIPE || r == -EALREADY || r == -EMSGSIZE ||
		r == -ENOMEM || r == -EINVAL);
}

static void release(void *data)
{
	n_loans--;
	free(data);
}

/* May end the call, and the job with it. */
static int send_one(struct job *job, bool is_raw)
{
	const struct hawser_method *method = hawser_call_method(job->call);
	uint64_t index = job->sent + 1;
	size_t length;
	int r;

	if (is_raw) {
		uint8_t *packed = content_pack(index, job->size, NULL, FILLER_DATA, &length);

		n_loans++;
		r = hawser_call_send_raw(job->call, method, packed, length, release, packed);
	} else {
		r = hawser_call_send(job->call, method,
				     &content_make(index, job->size, NULL)->base);
	}
	check_result(r);
	if (r == 0 && streams_replies(method))
		job->sent++;
	return r;
}

/* The same. */
static void send_some(struct job *job)
{
	const struct hawser_method *method = hawser_call_method(job->call);
	struct hawser_call *call = job->call;

	while (job->to_send) {
		int r = send_one(job, job->to_send & 1);

		if (r == -EAGAIN) {
			check_result(hawser_call_on_writable(call, on_writable, NULL));
			return;
		}
		if (r < 0)
			return;
		job->to_send--;
	}
	if (method->kind == HAWSER_SERVER_STREAM || job->has_all)
		check_result(hawser_call_end(call));
}

static void on_writable(struct hawser_call *call, void *data)
{
	(void)data;
	if (!hawser_call_method(call))
		return;
	hawser_call_read_start(call);
	if (hawser_call_data(call))
		send_some(hawser_call_data(call));
}

/* ---- requests ---- */

static void obey(struct job *job, const char *text)
{
	size_t length = strlen(text);

	if (length >= 1)
		job->order = text[0];
	if (length >= 3) {
		job->size = content_size((uint8_t)text[1]);
		job->to_send = (unsigned)text[2] % 8;
	}
}

/* The requests are all there. */
static void finish(struct job *job)
{
	const struct hawser_method *method = hawser_call_method(job->call);

	job->has_all = true;
	if (job->order == 'k')
		return;
	if (streams_replies(method))
		send_some(job);
	else if (job->order == 'f')
		hawser_call_fail(job->call, HAWSER_ABORTED, "as it was told");
	else
		send_one(job, job->order == 'r');
}

static void on_cancel(struct hawser_call *call, void *data)
{
	(void)data;
	require(hawser_call_cancelled(call));
	hawser_call_fail(call, HAWSER_CANCELLED, NULL);
}

static void on_request(struct hawser_call *call, const Rpctest__Payload *request)
{
	const struct hawser_method *method = hawser_call_method(call);
	struct job *job = job_of(call);

	require(method && !job->has_all);
	if (!request) {
		require(streams_requests(method));
		finish(job);
		return;
	}
	job->received++;
	require(streams_requests(method) || job->received == 1);
	require(service_is_lenient || content_is(request, job->received));
	if (job->received == 1)
		obey(job, request->text);
	if (!streams_requests(method)) {
		finish(job);
		return;
	}
	switch (job->order) {
	case 's':
		require(hawser_call_read_stop(call) == 0);
		break;
	case 'f':
		if (job->received == 3)
			hawser_call_fail(call, HAWSER_ABORTED, "as it was told");
		break;
	case 'c':
		require(hawser_call_on_cancel(call, on_cancel, NULL) == 0);
		break;
	case 'w':
		/* As much comes as goes. */
		if (streams_replies(method)) {
			hawser_call_read_stop(call);
			job->to_send++;
			check_result(hawser_call_on_writable(call, on_writable, NULL));
		}
		break;
	default:
		break;
	}
}

static void serve(const void *handlers, struct hawser_call *call, const ProtobufCMessage *message,
		  void *data)
{
	(void)handlers;
	(void)data;
	on_request(call, (const Rpctest__Payload *)(const void *)message);
}

static void on_raw(struct hawser_call *call, const void *packed, size_t length, void *data)
{
	Rpctest__Payload *payload;

	(void)data;
	if (!packed) {
		require(length == 0);
		on_request(call, NULL);
		return;
	}
	payload = rpctest__payload__unpack(NULL, length, packed);
	require(payload || service_is_lenient);
	if (!payload) {
		hawser_call_fail(call, HAWSER_INVALID_ARGUMENT, NULL);
		return;
	}
	on_request(call, payload);
	rpctest__payload__free_unpacked(payload, NULL);
}

/* ---- told from outside ---- */

static struct hawser_call *choose(uint8_t which)
{
	struct hawser__list *link;
	unsigned skip = which & 0x7f;

	if (which & 0x80 || !n_jobs)
		return stale[which % STALE];
	skip %= n_jobs;
	list_for_each (link, &jobs)
		if (skip-- == 0)
			return hawser__container_of(link, struct job, link)->call;
	return NULL;
}

void service_act(uint8_t which, uint8_t action, uint8_t size)
{
	struct hawser_call *call = choose(which);
	struct job *job = call ? hawser_call_data(call) : NULL;
	char peer[64] = "";

	if (!call)
		return;
	if (job)
		job->size = content_size(size);
	switch (action % 14) {
	case 0:
	case 1:
		if (job)
			send_one(job, action % 14);
		else
			check_result(hawser_call_send(call, method_at(action),
						      &content_make(1, 1, NULL)->base));
		break;
	case 2:
		check_result(hawser_call_fail(call, HAWSER_NOT_FOUND, "told to, %u", size));
		break;
	case 3:
		check_result(hawser_call_end(call));
		break;
	case 4:
		check_result(hawser_call_read_stop(call));
		break;
	case 5:
		check_result(hawser_call_read_start(call));
		break;
	case 6:
		check_result(hawser_call_on_writable(call, on_writable, NULL));
		break;
	case 7:
		check_result(hawser_call_on_writable(call, NULL, NULL));
		break;
	case 8:
		check_result(hawser_call_add_metadata(call, "key", peer, size % sizeof peer));
		break;
	case 9:
		check_result(hawser_call_add_detail(call, &content_make(1, size, NULL)->base));
		break;
	case 10:
		check_result(hawser_call_on_cancel(call, on_cancel, NULL));
		break;
	case 11:
		hawser_call_peer(call, peer, sizeof peer);
		hawser_call_time_left_ms(call);
		break;
	case 12:
		if (job) {
			job->to_send += size % 4;
			job->order = 'e';
			if (streams_replies(hawser_call_method(call)))
				send_some(job);
		}
		break;
	default:
		if (job)
			job->order = "eksfcw"[size % 6];
		break;
	}
}

void service_answer_all(void)
{
	while (n_jobs) {
		unsigned before = n_jobs;

		hawser_call_fail(hawser__container_of(jobs.next, struct job, link)->call,
				 HAWSER_ABORTED, "enough");
		require(n_jobs < before);
	}
}

/* ---- the table ---- */

static void deliver(hawser_any_fn *callback, struct hawser_call *call,
		    const ProtobufCMessage *message, void *data)
{
	((void (*)(struct hawser_call *, const ProtobufCMessage *, void *))callback)(call, message,
										     data);
}

#define METHOD(number, text, what, more)                                                          \
	{                                                                                         \
		.id = number, .kind = what, .name = "fuzz.All/" text,                             \
		.request = &rpctest__payload__descriptor, .reply = &rpctest__payload__descriptor, \
		.serve = serve, .deliver = deliver, .service = &conversation_service, more        \
	}
#define NOTHING_MORE .flags = 0

static const struct hawser_method methods[METHODS] = {
	METHOD(1, "Unary", HAWSER_UNARY, NOTHING_MORE),
	METHOD(2, "ClientStream", HAWSER_CLIENT_STREAM, NOTHING_MORE),
	METHOD(3, "ServerStream", HAWSER_SERVER_STREAM, NOTHING_MORE),
	METHOD(4, "Bidi", HAWSER_BIDI, NOTHING_MORE),
	METHOD(5, "UnaryRaw", HAWSER_UNARY, NOTHING_MORE),
	METHOD(6, "ClientStreamRaw", HAWSER_CLIENT_STREAM, NOTHING_MORE),
	METHOD(7, "BidiRaw", HAWSER_BIDI, NOTHING_MORE),
	{.id = 8,
	 .kind = HAWSER_UNARY,
	 .flags = HAWSER_METHOD_IDEMPOTENT,
	 .max_request_bytes = LIMITED_REQUEST_BYTES,
	 .max_reply_bytes = LIMITED_REPLY_BYTES,
	 .name = "fuzz.All/Limited",
	 .request = &rpctest__payload__descriptor,
	 .reply = &rpctest__payload__descriptor,
	 .serve = serve,
	 .deliver = deliver,
	 .service = &conversation_service},
};

const struct hawser_service conversation_service = {
	.name = "fuzz.All", .methods = methods, .n_methods = METHODS};

void service_register(struct hawser_server *server)
{
	require(hawser_server_add(server, &conversation_service, "", NULL, NULL) == 0);
	for (unsigned i = UNARY_RAW; i <= BIDI_RAW; i++)
		require(hawser_server_set_raw(server, method_at(i)->name, on_raw, NULL, NULL) == 0);
}

void service_begin(void)
{
	service_is_lenient = false;
	memset(stale, 0, sizeof stale);
	n_stale = 0;
}

void service_check_nothing_left(void)
{
	require(n_jobs == 0);
	require(n_loans == 0);
}
