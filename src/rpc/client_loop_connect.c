/* How a client on an event_base connects, and what its connection tells it. Names are
 * looked up and sockets connected without ever blocking the base; calls made meanwhile
 * wait in the connection's buffer, behind open. */

#include "net/socket.h"
#include "rpc/client.h"
#include "util/error.h"
#include <errno.h>
#include <unistd.h>

static const struct hawser__connection_ops ops;

static void forget_attempt(struct hawser_client *client)
{
	hawser__list_unlink(&client->attempt.link);
	hawser__resolve_cancel(client->resolve);
	client->resolve = NULL;
	hawser__address_free(client->candidates);
	client->candidates = client->candidate = NULL;
	if (client->connecting_fd >= 0) {
		event_del(&client->connecting_event);
		close(client->connecting_fd);
		client->connecting_fd = -1;
	}
}

static void schedule(struct hawser_client *client)
{
	hawser__loop_set_alarm(client->loop, &client->connection->alarm, client->retreat.next_ms);
}

static void give_up(struct hawser_client *client, const struct hawser_error *why)
{
	struct hawser_error reason = *why;

	forget_attempt(client);
	if (hawser__client_try_failed(client, &reason))
		schedule(client);
}

static bool is_trying(const struct hawser_client *client)
{
	return !hawser__list_empty(&client->attempt.link) || client->resolve ||
	       client->connecting_fd >= 0 || client->connection->fd >= 0;
}

static void connected(struct hawser_client *client, int fd)
{
	if (hawser__connection_attach(client->connection, fd) < 0)
		hawser__connection_lose(client->connection, HAWSER_RESOURCE_EXHAUSTED, -ENOMEM,
					"out of memory");
	else
		hawser__connection_flush(client->connection);
}

static void try_next(struct hawser_client *client);

static void on_connecting(evutil_socket_t fd, short what, void *data)
{
	struct hawser_client *client = data;
	char text[128];
	int r;

	(void)what;
	hawser__loop_update_now(client->loop);
	r = hawser__socket_connect_result(fd);
	client->connecting_fd = -1;
	if (r == 0) {
		connected(client, fd);
		return;
	}
	close(fd);
	hawser__error_set(&client->failure, r, "connect %s: %s", client->address.text,
			  hawser__errno_text(r, text, sizeof text));
	try_next(client);
}

/* The first address that answers; when none does, the last one's error. */
static void try_next(struct hawser_client *client)
{
	char text[128];
	bool done;

	while (client->candidate) {
		int fd = hawser__socket_connect(client->candidate, &done);

		client->candidate = client->candidate->ai_next;
		if (fd < 0) {
			hawser__error_set(&client->failure, fd, "connect %s: %s",
					  client->address.text,
					  hawser__errno_text(fd, text, sizeof text));
			continue;
		}
		if (done) {
			connected(client, fd);
			return;
		}
		event_assign(&client->connecting_event, client->loop->base, fd, EV_WRITE,
			     on_connecting, client);
		if (event_add(&client->connecting_event, NULL) == 0) {
			client->connecting_fd = fd;
			return;
		}
		close(fd);
		hawser__error_set(&client->failure, -ENOMEM, "connect %s: out of memory",
				  client->address.text);
	}
	give_up(client, &client->failure);
}

static void on_resolved(void *data, struct addrinfo *list, const struct hawser_error *error)
{
	struct hawser_client *client = data;

	client->resolve = NULL;
	if (!list) {
		give_up(client, error);
		return;
	}
	client->candidates = client->candidate = list;
	try_next(client);
}

/* Runs from the loop, so that a failure never ends a call before its stub has returned. */
static void start_attempt(struct hawser__deferred *deferred)
{
	struct hawser_client *client =
		hawser__container_of(deferred, struct hawser_client, attempt);
	struct hawser_error error;
	int r;

	hawser__loop_update_now(client->loop);
	hawser__loop_set_alarm(client->loop, &client->connection->alarm,
			       client->loop->now_ms + client->options.connect_timeout_ms);
	r = hawser__resolve_start(client->loop, &client->address, on_resolved, client,
				  &client->resolve);
	if (r < 0) {
		hawser__error_set(&error, r, "connect %s: the look-up could not be started",
				  client->address.text);
		give_up(client, &error);
	}
}

void hawser__client_loop_connect(struct hawser_client *client)
{
	struct hawser_error error;

	if (hawser__client_prepare(client, &ops) == 0) {
		client->attempt.run = start_attempt;
		hawser__loop_defer(client->loop, &client->attempt);
	} else if (client->connection) {
		hawser__error_set(&error, -ENOMEM, "connect %s: out of memory",
				  client->address.text);
		give_up(client, &error);
	}
}

/* ---- what the connection tells ---- */

static void on_opened(struct hawser__connection *connection, const Hawser__Opened *opened)
{
	struct hawser_client *client = connection->owner;

	if (hawser__client_opened(connection, opened)) {
		forget_attempt(client);
		hawser__loop_set_alarm(client->loop, &connection->alarm,
				       client->loop->now_ms + client->heartbeat_ms);
	}
}

static void try_timed_out(struct hawser_client *client)
{
	struct hawser_error error;

	hawser__error_set(&error, -ETIMEDOUT, "connect %s: no answer within %u ms",
			  client->address.text, client->options.connect_timeout_ms);
	error.status = HAWSER_UNAVAILABLE;
	if (client->connection->fd >= 0)
		hawser__connection_break(client->connection, error.code, "%s", error.message);
	else
		give_up(client, &error);
}

static void on_alarm(struct hawser__connection *connection)
{
	struct hawser_client *client = connection->owner;
	uint64_t again_ms;

	if (hawser__connection_is_open(connection)) {
		again_ms = hawser__client_heartbeat(client);
		if (client->connection && hawser__connection_is_open(client->connection))
			hawser__loop_set_alarm(client->loop, &client->connection->alarm, again_ms);
		return;
	}
	if (is_trying(client)) {
		try_timed_out(client);
		return;
	}
	hawser__client_check_window(client);
	if (client->connection)
		hawser__client_loop_connect(client);
}

static void on_away(struct hawser__connection *connection, const struct hawser_error *why)
{
	struct hawser_client *client = connection->owner;

	forget_attempt(client);
	if (hawser__client_away(connection, why))
		schedule(client);
}

static void on_lost(struct hawser__connection *connection, const struct hawser_error *why)
{
	struct hawser_client *client = connection->owner;

	(void)why;
	forget_attempt(client);
	client->connection = NULL;
	hawser__connection_free(connection);
	if (hawser__client_stays(client))
		hawser__loop_set_alarm(client->loop, &client->again_alarm, client->retreat.next_ms);
}

void hawser__client_loop_again(struct hawser__alarm *alarm)
{
	struct hawser_client *client =
		hawser__container_of(alarm, struct hawser_client, again_alarm);

	if (!client->connection)
		hawser__client_loop_connect(client);
}

static const struct hawser__connection_ops ops = {
	.opened = on_opened,
	.rejected = hawser__client_rejected,
	.alarm = on_alarm,
	.calm = hawser__client_calm,
	.hello = hawser__client_hello,
	.close = hawser__client_closed,
	.away = on_away,
	.lost = on_lost,
};
