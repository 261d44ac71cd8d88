/* The handlers and the server's life; tester.h tells what for. */

#include "tester.h"

#include "reversed.h"
#include <check.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- handlers ---- */

static void note(struct tester *tester, int sent)
{
	pthread_mutex_lock(&tester->lock);
	tester->n_executed++;
	tester->last_send = sent;
	pthread_cond_broadcast(&tester->changed);
	pthread_mutex_unlock(&tester->lock);
}

static void on_echo(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct tester *tester = data;
	char peer[sizeof tester->peer];

	hawser_call_peer(call, peer, sizeof peer);
	pthread_mutex_lock(&tester->lock);
	memcpy(tester->peer, peer, sizeof peer);
	if (request->id && request->id <= tester->last_id)
		tester->n_disordered++;
	tester->last_id = request->id;
	pthread_mutex_unlock(&tester->lock);
	note(tester, rpctest_tester_echo_reply(call, request));
}

int tester_fail(struct hawser_call *call, const Rpctest__Payload *request)
{
	Rpctest__Why why = RPCTEST__WHY__INIT;

	why.field = (char *)"name";
	why.code = 7;
	hawser_call_add_detail(call, &why.base);
	hawser_call_add_metadata(call, "hint", "why", 3);
	return hawser_call_fail(call, (enum hawser_status)request->number, "%s", request->text);
}

static void on_fail(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	note(data, tester_fail(call, request));
}

void tester_on_cancel(struct hawser_call *call, void *data)
{
	struct tester *tester = data;

	(void)call;
	pthread_mutex_lock(&tester->lock);
	tester->n_cancelled++;
	pthread_cond_broadcast(&tester->changed);
	pthread_mutex_unlock(&tester->lock);
}

void tester_hold(struct tester *tester, struct hawser_call *call)
{
	pthread_mutex_lock(&tester->lock);
	if (tester->n_held < HELD_MAX)
		tester->held[tester->n_held++] = call;
	pthread_cond_broadcast(&tester->changed);
	pthread_mutex_unlock(&tester->lock);
}

static void hold(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct tester *tester = data;

	hawser_call_on_cancel(call, tester_on_cancel, tester);
	tester_hold(tester, call);
	if (strcmp(request->text, "release") != 0)
		return;
	/* This one answers all before it, from the loop. */
	for (unsigned i = 0; i < tester->n_held; i++)
		hawser_call_send(tester->held[i], hawser_call_method(tester->held[i]),
				 &request->base);
}

static void on_limited(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	note(data, rpctest_tester_limited_reply(call, request));
}

static void on_grow(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	Rpctest__Payload reply = RPCTEST__PAYLOAD__INIT;
	int r;

	reply.data.len = (size_t)request->number;
	reply.data.data = calloc(1, reply.data.len + 1);
	r = reply.data.data ? rpctest_tester_grow_reply(call, &reply) : -1;
	free(reply.data.data);
	note(data, r);
}

void tester_reflect(struct hawser_call *call)
{
	size_t n;
	const struct hawser_metadata *metadata = hawser_call_metadata(call, &n);

	for (size_t i = 0; i < n; i++)
		hawser_call_add_metadata(call, metadata[i].key, metadata[i].value,
					 metadata[i].length);
}

static void on_reflect(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	tester_reflect(call);
	note(data, rpctest_tester_reflect_reply(call, request));
}

static void on_time_left(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	Rpctest__Payload reply = RPCTEST__PAYLOAD__INIT;

	(void)request;
	reply.number = hawser_call_time_left_ms(call);
	note(data, rpctest_tester_time_left_reply(call, &reply));
}

static void on_heap(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	Rpctest__Payload reply = RPCTEST__PAYLOAD__INIT;
	struct mallinfo2 info = mallinfo2();

	(void)request;
	reply.number = (int64_t)(info.uordblks + info.hblkhd);
	note(data, rpctest_tester_heap_reply(call, &reply));
}

static void on_order(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct tester *tester = data;
	tester_order_fn *order;
	void *order_data;

	pthread_mutex_lock(&tester->lock);
	order = tester->order;
	order_data = tester->order_data;
	pthread_mutex_unlock(&tester->lock);
	order(tester, order_data);
	rpctest_tester_order_reply(call, request);
}

static void on_toil(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct tester *tester = data;
	tester_stream_fn *toil = atomic_load(&tester->on_toil);

	if (toil)
		toil(call, request, tester);
	else
		note(tester, rpctest_tester_toil_reply(call, request));
}

const struct rpctest_tester_service tester_handlers = {
	.echo = on_echo,
	.fail = on_fail,
	.hold = hold,
	.hold_shortly = hold,
	.hold_again = hold,
	.limited = on_limited,
	.watch = tester_watch,
	.gather = tester_gather,
	.chat = tester_chat,
	.order = on_order,
	.mirror = tester_mirror,
	.mirrors = tester_mirrors,
	.toil = on_toil,
	.grow = on_grow,
	.reflect = on_reflect,
	.time_left = on_time_left,
	.heap = on_heap,
};

/* ---- time ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SLOW_BUILD 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SLOW_BUILD 1
#endif
#endif
#ifndef IS_SLOW_BUILD
#define IS_SLOW_BUILD 0
#endif

bool is_slow_build(void)
{
	return IS_SLOW_BUILD;
}

unsigned patient_ms(unsigned ms)
{
	const char *divisor = getenv("HAWSER_TEST_DIVISOR");

	return IS_SLOW_BUILD || (divisor && atoi(divisor) > 1) ? 5 * ms : ms;
}

bool is_under_valgrind(void)
{
	char line[512];
	bool found = false;
	FILE *maps = fopen("/proc/self/maps", "r");

	while (maps && fgets(line, sizeof line, maps))
		found = found || strstr(line, "vgpreload");
	if (maps)
		fclose(maps);
	return found;
}

/* ---- addresses ---- */

void directory_make(char *path, size_t size)
{
	const char *parent = getenv("TMPDIR");

	snprintf(path, size, "%s/hawser-rpc-XXXXXX", parent && *parent ? parent : P_tmpdir);
	ck_assert_msg(mkdtemp(path), "no directory for a socket could be made");
}

void directory_remove(const char *path)
{
	ck_assert_msg(rmdir(path) == 0, "%s: the socket's directory is not empty", path);
}

void address_make(char *address, enum transport transport, const char *directory)
{
	if (transport == OVER_TCP)
		snprintf(address, ADDRESS_SIZE, "tcp:127.0.0.1:0");
	else
		snprintf(address, ADDRESS_SIZE, "unix:%s/s", directory);
}

/* ---- the server's life ---- */

struct hawser_server_options tester_options(void)
{
	struct hawser_server_options options = HAWSER_SERVER_OPTIONS_INIT;

	options.ignore_signals = true;
	return options;
}

void tester_init(struct tester *tester, enum transport transport,
		 const struct hawser_server_options *options)
{
	struct hawser_server_options defaults = tester_options();
	int r;

	memset(tester, 0, sizeof *tester);
	pthread_mutex_init(&tester->lock, NULL);
	pthread_cond_init(&tester->changed, NULL);
	tester->server = hawser_server_new(options ? options : &defaults, &tester->error);
	ck_assert_msg(tester->server, "%s", tester->error.message);
	r = rpctest_tester_register(tester->server, &tester_handlers, tester, &tester->error);
	ck_assert_msg(r == 0, "%s", tester->error.message);
	if (getenv("HAWSER_TEST_BLOCKING"))
		ck_assert_int_eq(hawser_server_set_blocking(tester->server, "rpctest.Tester", NULL),
				 0);
	if (transport == OVER_UNIX)
		directory_make(tester->directory, sizeof tester->directory);
	address_make(tester->address, transport, tester->directory);
	r = hawser_server_listen(tester->server, tester->address, &tester->error);
	ck_assert_msg(r == 0, "%s", tester->error.message);
	snprintf(tester->address, sizeof tester->address, "%s",
		 hawser_server_address(tester->server, 0));
}

static void *run(void *data)
{
	struct tester *tester = data;

	tester->result = hawser_server_run(tester->server, &tester->error);
	pthread_mutex_lock(&tester->lock);
	tester->has_returned = true;
	pthread_cond_broadcast(&tester->changed);
	pthread_mutex_unlock(&tester->lock);
	return NULL;
}

void tester_run(struct tester *tester)
{
	ck_assert_int_eq(pthread_create(&tester->thread, NULL, run, tester), 0);
	tester->has_thread = true;
}

void tester_start(struct tester *tester, enum transport transport,
		  const struct hawser_server_options *options)
{
	tester_init(tester, transport, options);
	tester_run(tester);
}

int tester_join(struct tester *tester)
{
	ck_assert(tester->has_thread);
	pthread_join(tester->thread, NULL);
	tester->has_thread = false;
	return tester->result;
}

void tester_stop(struct tester *tester)
{
	if (tester->reversed) {
		reversed_end_tester(tester);
		return;
	}
	if (tester->has_thread) {
		hawser_server_stop(tester->server);
		tester_join(tester);
	}
	/* A server may be freed when its calls have been answered. Most have. */
	for (unsigned i = 0; i < tester->n_held; i++)
		hawser_call_fail(tester->held[i], HAWSER_ABORTED, "the test is over");
	hawser_server_free(tester->server);
	if (tester->directory[0])
		directory_remove(tester->directory);
	pthread_mutex_destroy(&tester->lock);
	pthread_cond_destroy(&tester->changed);
}

struct hawser_call *tester_held(struct tester *tester, unsigned index)
{
	struct hawser_call *call;

	pthread_mutex_lock(&tester->lock);
	while (tester->n_held <= index)
		pthread_cond_wait(&tester->changed, &tester->lock);
	call = tester->held[index];
	pthread_mutex_unlock(&tester->lock);
	return call;
}

void tester_wait_cancelled(struct tester *tester, unsigned count)
{
	pthread_mutex_lock(&tester->lock);
	while (tester->n_cancelled < count)
		pthread_cond_wait(&tester->changed, &tester->lock);
	pthread_mutex_unlock(&tester->lock);
}

void tester_note_stream(struct tester *tester, int began, int ended)
{
	pthread_mutex_lock(&tester->lock);
	tester->n_streams += (unsigned)began;
	tester->n_streamed += (unsigned)ended;
	pthread_cond_broadcast(&tester->changed);
	pthread_mutex_unlock(&tester->lock);
}

static unsigned counted(struct tester *tester, const unsigned *counter)
{
	unsigned n;

	pthread_mutex_lock(&tester->lock);
	n = *counter;
	pthread_mutex_unlock(&tester->lock);
	return n;
}

unsigned tester_streams(struct tester *tester)
{
	return counted(tester, &tester->n_streams);
}

unsigned tester_streamed(struct tester *tester)
{
	return counted(tester, &tester->n_streamed);
}

void tester_wait_streamed(struct tester *tester, unsigned count)
{
	pthread_mutex_lock(&tester->lock);
	while (tester->n_streamed < count)
		pthread_cond_wait(&tester->changed, &tester->lock);
	pthread_mutex_unlock(&tester->lock);
}

unsigned tester_executed(struct tester *tester)
{
	return counted(tester, &tester->n_executed);
}

/* ---- in a process of its own ---- */

static struct tester in_child;

static _Noreturn void serve_in_child(int to_parent, enum transport transport,
				     const struct hawser_server_options *options)
{
	struct hawser_server_options defaults = HAWSER_SERVER_OPTIONS_INIT;
	int r;

	/* Check has handlers of its own, which end the whole group. */
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	tester_init(&in_child, transport, options ? options : &defaults);
	/* The parent cleans up the directory, also if this process is killed. */
	if (write(to_parent, in_child.directory, sizeof in_child.directory) < 0 ||
	    write(to_parent, in_child.address, sizeof in_child.address) < 0)
		_exit(99);
	close(to_parent);
	r = hawser_server_run(in_child.server, &in_child.error);
	for (unsigned i = 0; i < in_child.n_held; i++)
		hawser_call_fail(in_child.held[i], HAWSER_ABORTED, "the test is over");
	hawser_server_free(in_child.server);
	_exit(r < 0 ? 98 : r);
}

void child_server_start(struct child_server *child, enum transport transport,
			const struct hawser_server_options *options)
{
	int pipes[2];
	size_t got = 0;
	char both[sizeof child->directory + sizeof child->address];

	ck_assert_int_eq(pipe(pipes), 0);
	child->pid = fork();
	ck_assert_int_ge(child->pid, 0);
	if (child->pid == 0) {
		close(pipes[0]);
		serve_in_child(pipes[1], transport, options);
	}
	close(pipes[1]);
	while (got < sizeof both) {
		ssize_t n = read(pipes[0], both + got, sizeof both - got);

		ck_assert_msg(n > 0, "the server's process ended before it listened");
		got += (size_t)n;
	}
	close(pipes[0]);
	memcpy(child->directory, both, sizeof child->directory);
	memcpy(child->address, both + sizeof child->directory, sizeof child->address);
}

int child_server_wait(struct child_server *child)
{
	int status;

	ck_assert_int_eq(waitpid(child->pid, &status, 0), child->pid);
	if (child->directory[0]) {
		/* Who is killed leaves its socket file behind. */
		if (WIFSIGNALED(status))
			unlink(child->address + strlen("unix:"));
		directory_remove(child->directory);
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
