/* How a blocking client connects: the thread that needs the connection does it, the others
 * wait for the outcome. A connection that was open once is opened again by the keeper. */

#include "net/socket.h"
#include "rpc/client_wait.h"
#include "rpc/context.h"
#include "util/error.h"
#include <errno.h>
#include <poll.h>
#include <unistd.h>

/* How long a thread may try to connect, and for whom. */
struct patience {
	uint64_t until_ms;
	const struct hawser_context *context; /* may cancel it; NULL: nobody does */
};

/* 0 while there is time; else -ETIMEDOUT or -ECANCELED. */
static int exhausted(const struct hawser_client *client, const struct patience *patience)
{
	if (hawser__context_is_cancelled(patience->context) || atomic_load(&client->is_stopping))
		return -ECANCELED;
	return hawser__now_ms() >= patience->until_ms ? -ETIMEDOUT : 0;
}

/* When to look up from waiting: who can be cancelled does so from time to time. */
static uint64_t slice(const struct patience *patience)
{
	uint64_t soon_ms = hawser__now_ms() + HAWSER__RECEIVE_MS;

	return patience->context && soon_ms < patience->until_ms ? soon_ms : patience->until_ms;
}

struct look_up {
	struct hawser__resolve *resolve;
	bool has_ended;
	struct addrinfo *list;
	struct hawser_error *error;
};

static void on_resolved(void *data, struct addrinfo *list, const struct hawser_error *error)
{
	struct look_up *look_up = data;

	look_up->has_ended = true;
	look_up->list = list;
	if (!list)
		*look_up->error = *error;
}

/* What is posted touches what the lock guards. */
static void run_posts(struct hawser_client *client)
{
	hawser__client_lock(client);
	hawser__loop_run_posts(client->loop);
	hawser__client_unlock(client);
}

/* A client that serves runs its posts on whichever thread has its lock. */
static bool has_ended(struct hawser_client *client, const struct look_up *look_up)
{
	bool has;

	hawser__client_lock(client);
	has = look_up->has_ended;
	hawser__client_unlock(client);
	return has;
}

static int resolve(struct hawser_client *client, const struct patience *patience,
		   struct addrinfo **list, struct hawser_error *error)
{
	struct look_up look_up = {.error = error};
	int r = hawser__resolve_start(client->loop, &client->address, on_resolved, &look_up,
				      &look_up.resolve);

	if (r < 0)
		return hawser__error_set(error, r, "connect %s: the look-up could not be started",
					 client->address.text);
	while (!has_ended(client, &look_up)) {
		r = exhausted(client, patience);
		if (r < 0) {
			hawser__resolve_cancel(look_up.resolve);
			return hawser__error_set(
				error, r, "connect %s: the name was not resolved %s",
				client->address.text,
				r == -ECANCELED ? "before the call was cancelled" : "in time");
		}
		hawser__client_poll(client, -1, false, slice(patience));
		run_posts(client);
	}
	*list = look_up.list;
	return look_up.list ? 0 : error->code;
}

/* A socket that is connected, or the error of the last address. Without the lock. */
static int connect_socket(struct hawser_client *client, const struct patience *patience,
			  struct hawser_error *error)
{
	struct addrinfo *list = NULL;
	char text[128];
	int fd = -1, r = resolve(client, patience, &list, error);

	if (r < 0)
		return r;
	for (const struct addrinfo *at = list; at && fd < 0; at = at->ai_next) {
		bool done = false;

		fd = hawser__socket_connect(at, &done);
		r = fd < 0 ? fd : 0;
		while (fd >= 0 && !done) {
			int found = hawser__client_poll(client, fd, true, slice(patience));

			done = found & (POLLOUT | POLLERR | POLLHUP);
			r = done ? hawser__socket_connect_result(fd) : exhausted(client, patience);
			if (!done && r == 0)
				run_posts(client);
			done = done || r < 0;
		}
		if (r == 0)
			r = hawser__socket_set_blocking(fd, HAWSER__RECEIVE_MS);
		if (r < 0 && fd >= 0) {
			close(fd);
			fd = -1;
		}
	}
	hawser__address_free(list);
	if (fd >= 0)
		return fd;
	return hawser__error_set(error, r, "connect %s: %s", client->address.text,
				 hawser__errno_text(r, text, sizeof text));
}

static int no_answer(struct hawser_client *client, int r)
{
	hawser__connection_break(
		client->connection, r, "connect %s: connected, but no answer to open%s",
		client->address.text,
		r == -ECANCELED ? " before the call was cancelled" : "; is it a Hawser server?");
	return r;
}

static int no_connection(struct hawser_client *client, int r, const struct hawser_error *error)
{
	client->last_error = *error;
	if (client->connection && client->connection->holds)
		hawser__client_try_failed(client, error);
	return r;
}

/* Connects and waits for opened, as the only one. Fills client->last_error on failure. */
static int attempt(struct hawser_client *client, const struct patience *patience)
{
	struct hawser_error failure = {.status = HAWSER_OK};
	int fd, r = 0;

	hawser__client_unlock(client);
	fd = connect_socket(client, patience, &failure);
	hawser__client_lock(client);
	hawser__loop_update_now(client->loop);
	if (fd < 0)
		return no_connection(client, fd, &failure);
	if (hawser__client_prepare(client, &hawser__client_blocking_ops) < 0) {
		close(fd);
		hawser__error_set(&failure, -ENOMEM, "connect %s: out of memory",
				  client->address.text);
		return no_connection(client, -ENOMEM, &failure);
	}
	hawser__connection_attach(client->connection, fd);
	client->reader = HAWSER__READER_CALLER;
	hawser__connection_flush(client->connection);
	while (client->connection && client->connection->fd >= 0 &&
	       !hawser__client_is_open(client)) {
		r = exhausted(client, patience);
		if (r < 0)
			no_answer(client, r);
		else
			hawser__client_receive(client, slice(patience), true);
	}
	hawser__client_hand_over(client);
	if (hawser__client_is_open(client)) {
		/* Without a keeper nobody would open it again. */
		if (!hawser__client_start_keeper(client))
			client->connection->holds = false;
		return 0;
	}
	/* on_lost and on_away have kept the reason. */
	return client->last_error.code ? client->last_error.code : -ECONNRESET;
}

static int attempt_alone(struct hawser_client *client, const struct patience *patience)
{
	int r;

	client->is_connecting = true;
	r = attempt(client, patience);
	client->is_connecting = false;
	client->attempts++;
	pthread_cond_broadcast(&client->opened);
	return r;
}

void hawser__client_reconnect(struct hawser_client *client)
{
	struct patience patience = {client->loop->now_ms + client->options.connect_timeout_ms,
				    NULL};

	if (client->connection)
		hawser__client_check_window(client);
	if (client->loop->now_ms < client->retreat.next_ms)
		return;
	if (client->connection)
		attempt_alone(client, &patience);
	else if (hawser__client_serves(client) && !client->is_receiving &&
		 attempt_alone(client, &patience) < 0 && !client->connection)
		/* Again, after a pause. */
		hawser__client_stays(client);
}

int hawser__client_ensure_open(struct hawser_client *client, uint64_t deadline_ms,
			       const struct hawser_context *context, struct hawser_error *error)
{
	while (!hawser__client_is_open(client)) {
		struct patience patience = {
			client->loop->now_ms + client->options.connect_timeout_ms, context};
		unsigned attempts = client->attempts;
		int r;

		if (hawser__context_is_cancelled(context))
			return hawser__error_set(error, -ECANCELED, "connect %s: cancelled",
						 client->address.text);
		if (patience.until_ms > deadline_ms)
			patience.until_ms = deadline_ms;
		/* Who still receives from a connection that was lost must be back first:
		 * there is one reader, and one buffer to read into. */
		if (!client->is_connecting && !client->connection && !client->is_receiving) {
			r = attempt_alone(client, &patience);
			client->was_cut_short =
				r == -ECANCELED ||
				(r == -ETIMEDOUT && patience.until_ms == deadline_ms);
			if (r < 0) {
				*error = client->last_error;
				return r;
			}
			return 0;
		}
		if (client->loop->now_ms >= deadline_ms)
			return hawser__error_set(error, -ETIMEDOUT,
						 "connect %s: not connected before the deadline",
						 client->address.text);
		patience.until_ms = deadline_ms;
		hawser__client_cond_wait(client, &client->opened, slice(&patience));
		/* That attempt was ours as well, unless its own call's end cut it short. */
		if (client->attempts != attempts && !client->connection && !client->was_cut_short) {
			*error = client->last_error;
			return error->code ? error->code : -ECONNRESET;
		}
	}
	return 0;
}
