/* Handlers, users and their calls; guarded.h tells what for. */

#include "guarded.h"
#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the server ---- */

static void enter(struct guarded *guarded)
{
	pthread_mutex_lock(&guarded->tester.lock);
	guarded->n_moved++;
	if (++guarded->n_inside > guarded->n_inside_most)
		guarded->n_inside_most = guarded->n_inside;
	pthread_mutex_unlock(&guarded->tester.lock);
}

static void leave(struct guarded *guarded)
{
	pthread_mutex_lock(&guarded->tester.lock);
	guarded->n_inside--;
	pthread_mutex_unlock(&guarded->tester.lock);
}

static void reply(struct hawser_call *call)
{
	Rpctest__Payload payload = RPCTEST__PAYLOAD__INIT;

	payload.number = (int64_t)hawser_call_fencing(call);
	hawser_call_send(call, hawser_call_method(call), &payload.base);
}

static void on_move(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	(void)request;
	enter(data);
	leave(data);
	reply(call);
}

static void on_look(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	(void)request;
	(void)data;
	reply(call);
}

static void on_cancel(struct hawser_call *call, void *data)
{
	struct guarded *guarded = data;

	(void)call;
	pthread_mutex_lock(&guarded->tester.lock);
	guarded->n_cancelled++;
	pthread_cond_broadcast(&guarded->tester.changed);
	pthread_mutex_unlock(&guarded->tester.lock);
}

static void on_hold(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct guarded *guarded = data;

	(void)request;
	enter(guarded);
	hawser_call_on_cancel(call, on_cancel, guarded);
	pthread_mutex_lock(&guarded->tester.lock);
	if (guarded->n_held < GUARDED_HELD_MAX) {
		guarded->held[guarded->n_held] = call;
		guarded->fencing[guarded->n_held++] = hawser_call_fencing(call);
	}
	pthread_cond_broadcast(&guarded->tester.changed);
	pthread_mutex_unlock(&guarded->tester.lock);
}

static void on_track(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	(void)data;
	if (request)
		reply(call);
	else
		hawser_call_end(call);
}

static const struct rpctest_guarded_service handlers = {
	.move = on_move,
	.hold = on_hold,
	.track = on_track,
	.aim = on_move,
	.look = on_look,
};

void guarded_prepare(struct guarded *guarded, enum transport transport,
		     const struct hawser_server_options *server,
		     const struct hawser_exclusive *exclusive)
{
	struct tester *tester = &guarded->tester;

	memset(guarded, 0, sizeof *guarded);
	tester_init(tester, transport, server);
	ck_assert_int_eq(
		rpctest_guarded_register(tester->server, &handlers, guarded, &tester->error), 0);
	if (exclusive)
		ck_assert_msg(hawser_server_set_exclusive(tester->server, GUARDED, exclusive,
							  &tester->error) == 0,
			      "%s", tester->error.message);
	guarded->base = event_base_new();
	ck_assert_ptr_nonnull(guarded->base);
}

void guarded_run(struct guarded *guarded)
{
	tester_run(&guarded->tester);
}

void guarded_start(struct guarded *guarded, enum transport transport,
		   const struct hawser_server_options *server,
		   const struct hawser_exclusive *exclusive)
{
	guarded_prepare(guarded, transport, server, exclusive);
	guarded_run(guarded);
}

void guarded_stop(struct guarded *guarded)
{
	event_base_free(guarded->base);
	if (guarded->tester.has_thread) {
		hawser_server_stop(guarded->tester.server);
		tester_join(&guarded->tester);
	}
	/* Most have been answered. */
	for (unsigned i = 0; i < guarded->n_held; i++)
		hawser_call_fail(guarded->held[i], HAWSER_ABORTED, "the test is over");
	tester_stop(&guarded->tester);
}

struct hawser_call *guarded_held(struct guarded *guarded, unsigned index)
{
	run_until(guarded, guarded_n_held(guarded) > index);
	return guarded->held[index];
}

void guarded_answer(struct guarded *guarded, unsigned index)
{
	struct hawser_call *call = guarded_held(guarded, index);

	leave(guarded);
	reply(call);
}

static unsigned counted(struct guarded *guarded, const unsigned *counter)
{
	unsigned n;

	pthread_mutex_lock(&guarded->tester.lock);
	n = *counter;
	pthread_mutex_unlock(&guarded->tester.lock);
	return n;
}

unsigned guarded_n_held(struct guarded *guarded)
{
	return counted(guarded, &guarded->n_held);
}

unsigned guarded_n_cancelled(struct guarded *guarded)
{
	return counted(guarded, &guarded->n_cancelled);
}

void guarded_turn(struct guarded *guarded, bool is_done)
{
	event_base_loop(guarded->base, EVLOOP_NONBLOCK);
	if (!is_done)
		poll(NULL, 0, 1);
}

static struct guarded in_child;

static _Noreturn void serve_in_child(int to_parent, enum transport transport, unsigned window_ms)
{
	struct hawser_server_options options = HAWSER_SERVER_OPTIONS_INIT;

	/* Check has handlers of its own, which end the whole group. */
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	options.session_window_ms = window_ms;
	guarded_prepare(&in_child, transport, &options, NULL);
	if (write(to_parent, in_child.tester.directory, sizeof in_child.tester.directory) < 0 ||
	    write(to_parent, in_child.tester.address, sizeof in_child.tester.address) < 0)
		_exit(99);
	close(to_parent);
	hawser_server_run(in_child.tester.server, NULL);
	hawser_server_free(in_child.tester.server);
	_exit(0);
}

static void receive_all(int fd, void *bytes, size_t length)
{
	for (size_t got = 0; got < length;) {
		ssize_t n = read(fd, (char *)bytes + got, length - got);

		ck_assert_msg(n > 0, "the other process has ended");
		got += (size_t)n;
	}
}

void guarded_child_start(struct guarded_child *child, enum transport transport, unsigned window_ms)
{
	int pipes[2];

	ck_assert_int_eq(pipe(pipes), 0);
	child->pid = fork();
	ck_assert_int_ge(child->pid, 0);
	if (child->pid == 0) {
		close(pipes[0]);
		serve_in_child(pipes[1], transport, window_ms);
	}
	close(pipes[1]);
	receive_all(pipes[0], child->directory, sizeof child->directory);
	receive_all(pipes[0], child->address, sizeof child->address);
	close(pipes[0]);
}

void guarded_child_stop(struct guarded_child *child)
{
	ck_assert_int_eq(kill(child->pid, SIGTERM), 0);
	ck_assert_int_eq(waitpid(child->pid, NULL, 0), child->pid);
	if (child->directory[0])
		directory_remove(child->directory);
}

/* ---- users ---- */

void user_init(struct user *user, struct guarded *guarded, const char *address, const char *name,
	       const struct hawser_client_options *options)
{
	struct hawser_client_options own = HAWSER_CLIENT_OPTIONS_INIT;
	struct hawser_error error;

	memset(user, 0, sizeof *user);
	user->guarded = guarded;
	if (options)
		own = *options;
	own.base = guarded->base;
	own.name = name;
	user->client = hawser_client_new(address ? address : guarded->tester.address, &own, &error);
	ck_assert_msg(user->client, "%s", error.message);
}

void user_deinit(struct user *user)
{
	user_free_lease(user);
	hawser_client_free(user->client);
}

static void on_lease(struct hawser_lease *lease, enum hawser_lease_state state, void *data)
{
	struct user *user = data;

	user->n_told++;
	user->state = state;
	user->position = hawser_lease_position(lease);
	user->fencing = hawser_lease_fencing(lease);
	ck_assert_int_eq(hawser_lease_get_state(lease), state);
	if (state == HAWSER_LEASE_WAITING && user->n_positions < 16)
		user->positions[user->n_positions++] = user->position;
	if (state == HAWSER_LEASE_OVER) {
		const struct hawser_error *error = hawser_lease_error(lease);

		user->status = error->status;
		snprintf(user->text, sizeof user->text, "%s", error->message);
	}
}

void user_ask(struct user *user, const char *resource, const struct hawser_context *context)
{
	user_free_lease(user);
	user->n_told = user->n_positions = 0;
	user->state = HAWSER_LEASE_WAITING;
	user->position = 0;
	user->lease = hawser_lease_acquire_async(user->client, resource, on_lease, user, context);
	ck_assert_ptr_nonnull(user->lease);
	run_until(user->guarded, user->n_told);
}

void user_ask_for(struct user *user, unsigned position)
{
	user_ask(user, GUARDED, NULL);
	ck_assert_msg(user->state == (position ? HAWSER_LEASE_WAITING : HAWSER_LEASE_HELD) &&
			      user->position == position,
		      "at %u instead of %u: %s", user->position, position, user->text);
}

void user_free_lease(struct user *user)
{
	hawser_lease_free(user->lease);
	user->lease = NULL;
}

void user_release(struct user *user)
{
	ck_assert_int_eq(hawser_lease_release(user->lease, NULL), HAWSER_OK);
	run_until(user->guarded, user->state == HAWSER_LEASE_OVER);
	ck_assert_msg(user->status == HAWSER_OK, "%s", user->text);
}

/* ---- calls ---- */

static unsigned n_ended;

static void on_reply(struct hawser_call *call, const Rpctest__Payload *payload, void *data)
{
	struct visit *visit = data;
	const struct hawser_error *error = hawser_call_error(call);

	visit->has_ended = true;
	visit->n_order = ++n_ended;
	visit->status = error->status;
	visit->outcome = error->outcome;
	snprintf(visit->text, sizeof visit->text, "%s", error->message);
	if (payload)
		visit->fencing = (uint64_t)payload->number;
	hawser_call_free(call);
	visit->call = NULL;
}

void visit_start(struct visit *visit, struct user *user, int method,
		 const struct hawser_context *context)
{
	static const Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;

	memset(visit, 0, sizeof *visit);
	visit->call = hawser_client_open(user->client, &rpctest_guarded_descriptor.methods[method],
					 &request.base, (hawser_any_fn *)on_reply, visit, context);
	ck_assert_ptr_nonnull(visit->call);
}

void visit_wait(struct visit *visit, struct user *user)
{
	run_until(user->guarded, visit->has_ended);
}

void visit_make(struct visit *visit, struct user *user, int method)
{
	visit_start(visit, user, method, NULL);
	visit_wait(visit, user);
}
