/* Every allocation behind streams and large messages fails in turn: no crash, no leak, no message
 * twice or out of order, no stream without an end.
 *
 * Both ends live on one base and one thread, so that each run takes the same path. */

#include "lines.h"
#include "samples.h"
#include "support/failing_alloc.h"
#include "support/suite.h"
#include "tester.h"
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
	MESSAGES = 5,
	LARGE = 150000, /* comes in pieces */
	WINDOW = 64 * 1024,
	UNARY = 6, /* the number of a sample that is as large as can be */
	TALKS = 8,
};

struct scene {
	struct tester tester; /* its counters, for the handlers */
	enum transport transport;
	char address[ADDRESS_SIZE];
	struct event_base *base;
	struct hawser_server *server;
	struct hawser_client *client;
	struct talk *talks;
	unsigned n_talks, n_ended, n_ok, n_released, n_lent;
	bool is_wrong; /* something that must not be, whatever fails */
};

/* ---- handlers that take a failure as it comes ---- */

static void on_echo(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	(void)data;
	if (rpctest_tester_echo_reply(call, request) == -ENOMEM)
		hawser_call_fail(call, HAWSER_RESOURCE_EXHAUSTED, "no memory");
}

static uint8_t packed[LARGE + 16];

static void release(void *data)
{
	((struct scene *)data)->n_released++;
}

/* Lends its reply. */
static void on_hold(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct tester *tester = data;
	struct scene *scene = (struct scene *)(void *)tester;
	Rpctest__Payload reply = sample_of(request->id, (size_t)request->number);
	size_t length = rpctest__payload__pack(&reply, packed);
	int r;

	scene->n_lent++;
	r = hawser_call_send_raw(call, method_of(HOLD), packed, length, release, scene);
	if (r == -ENOMEM)
		hawser_call_fail(call, HAWSER_RESOURCE_EXHAUSTED, "no memory");
}

/* ---- the client ---- */

struct talk {
	struct scene *scene;
	enum method method;
	struct hawser_call *call;
	unsigned n_sent, n_came, n_ends;
};

static size_t size_of(unsigned number)
{
	return number == 2 || number == 4 ? LARGE : number == 3 ? 0 : 100;
}

static unsigned expected(const struct talk *talk)
{
	return method_of(talk->method)->kind & HAWSER_SERVER_STREAM ? MESSAGES : 1;
}

static void check(struct talk *talk, const Rpctest__Payload *message)
{
	uint64_t id = talk->method == GATHER                          ? MESSAGES
		      : method_of(talk->method)->kind == HAWSER_UNARY ? UNARY
								      : talk->n_came;

	if (message->id != id || talk->n_came > expected(talk))
		talk->scene->is_wrong = true;
	if (talk->method == GATHER && strcmp(message->text, "in order") != 0)
		talk->scene->is_wrong = true;
	if (talk->method != GATHER && talk->method != WATCH && !sample_is_whole(message))
		talk->scene->is_wrong = true;
}

static void on_message(struct hawser_call *call, const Rpctest__Payload *message, void *data)
{
	struct talk *talk = data;
	const struct hawser_error *error = hawser_call_error(call);

	if (message) {
		talk->n_came++;
		check(talk, message);
	}
	if (message && method_of(talk->method)->kind & HAWSER_SERVER_STREAM)
		return;
	talk->n_ends++;
	talk->scene->n_ended++;
	if (error->status == HAWSER_OK && talk->n_came == expected(talk))
		talk->scene->n_ok++;
	else if (error->status == HAWSER_OK || error->status == HAWSER_DEADLINE_EXCEEDED ||
		 !*error->message || strstr(error->message, "valid"))
		talk->scene->is_wrong = true;
}

/* What could not be sent for want of memory was not sent: it is tried again. */
static int send_one(struct talk *talk)
{
	Rpctest__Payload message = sample_of(talk->n_sent + 1, size_of(talk->n_sent + 1));
	int r = hawser_call_send(talk->call, method_of(talk->method), &message.base);

	if (r == -ENOMEM)
		r = hawser_call_send(talk->call, method_of(talk->method), &message.base);
	talk->n_sent += r == 0;
	return r;
}

static void send_all(struct hawser_call *call, void *data)
{
	struct talk *talk = data;
	int r = 0;

	while (talk->n_sent < MESSAGES && r == 0)
		r = send_one(talk);
	if (r == 0 && (r = hawser_call_end(call)) == -ENOMEM)
		r = hawser_call_end(call);
	else if (r == -EAGAIN && (r = hawser_call_on_writable(call, send_all, talk)) == -ENOMEM)
		r = hawser_call_on_writable(call, send_all, talk);
	if (r < 0 && r != -EPIPE)
		talk->scene->is_wrong = true;
}

static void open_talk(struct scene *scene, enum method method)
{
	struct talk *talk = &scene->talks[scene->n_talks];
	Rpctest__Payload request = sample_of(UNARY, LARGE);
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	rpctest_tester_chat_cb *callback = on_message;
	bool streams = method_of(method)->kind & HAWSER_CLIENT_STREAM;

	if (method == WATCH)
		request.number = MESSAGES;
	/* Nothing waits in silence. */
	context.timeout_ms = 10000;
	*talk = (struct talk){.scene = scene, .method = method};
	talk->call =
		hawser_client_open(scene->client, method_of(method), streams ? NULL : &request.base,
				   (hawser_any_fn *)callback, talk, &context);
	if (!talk->call) {
		scene->is_wrong |= errno != ENOMEM;
		return;
	}
	scene->n_talks++;
	if (streams)
		send_all(talk->call, talk);
}

static void close_talks(struct scene *scene)
{
	for (unsigned i = 0; i < scene->n_talks; i++) {
		scene->is_wrong |= scene->talks[i].n_ends != 1;
		hawser_call_free(scene->talks[i].call);
	}
	scene->n_talks = scene->n_ended = 0;
}

/* ---- every allocation ---- */

static bool set_up(struct scene *scene)
{
	static struct rpctest_tester_service handlers;
	struct hawser_server_options options = tester_options();
	struct hawser_client_options client_options = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_error error;

	handlers = tester_handlers;
	handlers.echo = on_echo;
	handlers.hold = on_hold;
	options.base = client_options.base = scene->base;
	options.stream_window_bytes = client_options.stream_window_bytes = WINDOW;
	client_options.connect_timeout_ms = 200;
	scene->server = hawser_server_new(&options, &error);
	if (!scene->server ||
	    rpctest_tester_register(scene->server, &handlers, &scene->tester, &error) < 0 ||
	    hawser_server_listen(scene->server, scene->address, &error) < 0)
		return false;
	scene->client =
		hawser_client_new(hawser_server_address(scene->server, 0), &client_options, &error);
	return scene->client != NULL;
}

static bool play(void *data)
{
	static const enum method methods[] = {CHAT, GATHER, WATCH, ECHO, HOLD};
	struct scene *scene = data;
	struct talk talks[TALKS];

	scene->server = NULL;
	scene->client = NULL;
	scene->talks = talks;
	scene->n_ok = scene->n_released = scene->n_lent = 0;
	scene->tester.n_streams = scene->tester.n_streamed = 0;
	/* libevent's own allocations are not ours to fail. */
	scene->base = event_base_new();
	if (set_up(scene)) {
		/* Twice: whoever failed the first time must not fail for ever. */
		for (int round = 0; round < 2; round++) {
			for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
				open_talk(scene, methods[i]);
			while (scene->n_ended < scene->n_talks &&
			       event_base_loop(scene->base, EVLOOP_ONCE) == 0)
				;
			close_talks(scene);
		}
	}
	hawser_client_free(scene->client);
	event_base_loop(scene->base, EVLOOP_NONBLOCK);
	hawser_server_free(scene->server);
	event_base_free(scene->base);
	if (scene->tester.n_streams != scene->tester.n_streamed ||
	    scene->n_lent != scene->n_released)
		scene->is_wrong = true;
	ck_assert_msg(!scene->is_wrong, "something was wrong that memory does not excuse");
	return scene->n_ok == 2 * sizeof methods / sizeof *methods;
}

static void fail_each(int stamp, bool is_traced)
{
	struct scene scene = {.transport = (enum transport)stamp};
	char directory[128] = "";

	pthread_mutex_init(&scene.tester.lock, NULL);
	pthread_cond_init(&scene.tester.changed, NULL);
	if (scene.transport == OVER_UNIX)
		directory_make(directory, sizeof directory);
	address_make(scene.address, scene.transport, directory);
	lines_start(HAWSER_LOG_NONE);
	if (is_traced)
		lines_start_trace(64);
	ck_assert_uint_gt(failing_alloc_each(play, &scene), 40);
	lines_stop();
	if (directory[0])
		directory_remove(directory);
	pthread_mutex_destroy(&scene.tester.lock);
	pthread_cond_destroy(&scene.tester.changed);
}

START_TEST(every_allocation_of_streams_may_fail)
{
	fail_each(_i, false);
}
END_TEST

START_TEST(every_allocation_of_traced_streams_may_fail)
{
	fail_each(_i, true);
}
END_TEST

/* ---- a blocking client, whose server's memory is another process's ---- */

struct blocking {
	const char *address;
	unsigned n_wrong;
};

/* Whether it went well; if not, it must say why. */
static bool finish_blocking(struct blocking *blocking, struct hawser_call *call, unsigned n_came,
			    unsigned n_expected)
{
	const struct hawser_error *error = hawser_call_error(call);
	bool is_fine = error->status == HAWSER_OK && n_came == n_expected;

	if (!is_fine && (error->status == HAWSER_OK || error->status == HAWSER_DEADLINE_EXCEEDED ||
			 !*error->message || strstr(error->message, "valid")))
		blocking->n_wrong++;
	hawser_call_free(call);
	return is_fine;
}

static bool gather_blocking(struct blocking *blocking, struct hawser_client *client)
{
	struct hawser_call *call = rpctest_tester_gather(client, NULL);
	Rpctest__Payload *reply = NULL;
	unsigned n_came = 0;
	int r = 0;

	if (!call)
		return false;
	for (unsigned i = 1; i <= MESSAGES && r == 0; i++) {
		Rpctest__Payload message = sample_of(i, size_of(i));

		r = rpctest_tester_gather_send(call, &message);
		if (r == -ENOMEM)
			r = rpctest_tester_gather_send(call, &message);
	}
	if (r == 0 && hawser_call_end(call) == -ENOMEM)
		hawser_call_end(call);
	while (rpctest_tester_gather_recv(call, &reply) > 0) {
		n_came++;
		if (reply->id != MESSAGES || strcmp(reply->text, "in order") != 0)
			blocking->n_wrong++;
		rpctest__payload__free_unpacked(reply, NULL);
	}
	return finish_blocking(blocking, call, n_came, 1);
}

static bool watch_blocking(struct blocking *blocking, struct hawser_client *client)
{
	Rpctest__Payload request = sample_of(UNARY, LARGE), *reply = NULL;
	struct hawser_call *call;
	unsigned n_came = 0;

	request.number = MESSAGES;
	call = rpctest_tester_watch(client, &request, NULL);
	while (call && rpctest_tester_watch_recv(call, &reply) > 0) {
		if (reply->id != ++n_came || reply->data.len != LARGE)
			blocking->n_wrong++;
		rpctest__payload__free_unpacked(reply, NULL);
	}
	return call && finish_blocking(blocking, call, n_came, MESSAGES);
}

static bool play_blocking(void *data)
{
	struct blocking *blocking = data;
	struct hawser_error error;
	struct hawser_client *client = hawser_client_new(blocking->address, NULL, &error);
	bool is_fine = true;

	if (!client)
		return false;
	for (int round = 0; round < 2; round++) {
		is_fine &= gather_blocking(blocking, client);
		is_fine &= watch_blocking(blocking, client);
	}
	hawser_client_free(client);
	ck_assert_uint_eq(blocking->n_wrong, 0);
	return is_fine;
}

START_TEST(every_allocation_of_a_blocking_clients_streams_may_fail)
{
	struct hawser_server_options options = tester_options();
	struct blocking blocking = {.n_wrong = 0};
	struct child_server child;

	options.ignore_signals = false;
	child_server_start(&child, (enum transport)_i, &options);
	blocking.address = child.address;
	lines_start(HAWSER_LOG_NONE);
	ck_assert_uint_gt(failing_alloc_each(play_blocking, &blocking), 20);
	lines_stop();
	ck_assert_int_eq(kill(child.pid, SIGTERM), 0);
	/* Sessions whose clients could not say that they went may have had calls. */
	ck_assert_int_le(child_server_wait(&child), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/streams/alloc");
	TCase *tcase = suite_case(suite, "alloc");

	tcase_add_loop_test(tcase, every_allocation_of_streams_may_fail, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, every_allocation_of_traced_streams_may_fail, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, every_allocation_of_a_blocking_clients_streams_may_fail, 0,
			    TRANSPORTS);
	return suite_run(suite);
}
