/* What a blocking client can ask besides calls: to connect, a ping, the server's
 * shutdown, its name. */

#include "rpc/client_wait.h"
#include "util/error.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int hawser__client_blocking_connect(struct hawser_client *client, struct hawser_error *error)
{
	struct hawser_error failure = {.status = HAWSER_OK};
	int r;

	hawser__client_lock(client);
	hawser__loop_update_now(client->loop);
	r = hawser__client_ensure_open(
		client, client->loop->now_ms + client->options.connect_timeout_ms, NULL, &failure);
	hawser__client_unlock(client);
	if (r < 0 && error) {
		*error = failure;
		error->outcome = HAWSER_OUTCOME_NOT_SENT;
		error->code = r;
	}
	return r;
}

static int check_blocking(struct hawser_client *client, const char *what,
			  struct hawser_error *error)
{
	int r = hawser__client_check(client, error);

	if (r == 0 && client->peer)
		r = hawser__error_set(error, -EINVAL, "%s: a peer is not asked for that", what);
	if (r == 0 && client->options.base)
		r = hawser__error_set(error, -EINVAL, "%s: only for clients without an event_base",
				      what);
	return r;
}

int hawser_client_ping(struct hawser_client *client, uint64_t *rtt_us, struct hawser_error *error)
{
	struct timespec before, after;
	struct hawser__ping ping = {.has_answer = false};
	uint64_t deadline_ms;
	int r = check_blocking(client, "ping", error);

	if (r < 0)
		return r;
	r = hawser__client_blocking_connect(client, error);
	if (r < 0)
		return r;
	hawser__waiter_init(&ping.waiter);
	hawser__client_lock(client);
	hawser__loop_update_now(client->loop);
	deadline_ms = client->loop->now_ms + client->options.timeout_ms;
	clock_gettime(CLOCK_MONOTONIC, &before);
	ping.number = ++client->next_ping;
	hawser__list_init(&ping.link);
	if (!hawser__client_is_open(client)) {
		r = -ECONNRESET;
	} else if (hawser__connection_put_number(client->connection, HAWSER__FRAME_PING,
						 ping.number) < 0) {
		r = -ENOMEM;
	} else {
		hawser__list_append(&client->pings, &ping.link);
		hawser__connection_flush(client->connection);
		r = hawser__client_wait(client, &ping.waiter, deadline_ms, NULL);
		hawser__list_unlink(&ping.link);
	}
	clock_gettime(CLOCK_MONOTONIC, &after);
	if (r == 0 && !ping.has_answer)
		r = -ECONNRESET;
	if (r == -ETIMEDOUT)
		hawser__error_set(error, r, "ping %s: no pong within %u ms", client->address.text,
				  client->options.timeout_ms);
	else if (r < 0)
		hawser__error_set(error, r, "ping %s: %.200s", client->address.text,
				  r == -ENOMEM ? "out of memory" : client->last_error.message);
	hawser__client_unlock(client);
	hawser__waiter_deinit(&ping.waiter);
	if (r == 0 && rtt_us)
		*rtt_us = (uint64_t)((after.tv_sec - before.tv_sec) * 1000000 +
				     (after.tv_nsec - before.tv_nsec) / 1000);
	return r;
}

int hawser_client_shutdown(struct hawser_client *client, const char *reason,
			   struct hawser_error *error)
{
	struct hawser__shutdown_wait wait = {.result = 1};
	Hawser__Shutdown request = HAWSER__SHUTDOWN__INIT;
	int r = check_blocking(client, "shutdown", error);

	if (r < 0)
		return r;
	r = hawser__client_blocking_connect(client, error);
	if (r < 0)
		return r;
	hawser__waiter_init(&wait.waiter);
	request.text = (char *)(reason ? reason : "");
	hawser__client_lock(client);
	hawser__loop_update_now(client->loop);
	if (client->shutdown_wait) {
		r = -EALREADY;
	} else if (!hawser__client_is_open(client)) {
		r = -ECONNRESET;
	} else if (strlen(request.text) > HAWSER_ERROR_MESSAGE_SIZE) {
		r = -EINVAL;
	} else {
		client->shutdown_wait = &wait;
		r = hawser__connection_put(client->connection, HAWSER__FRAME_SHUTDOWN,
					   &request.base);
		if (r == 0) {
			hawser__connection_flush(client->connection);
			r = hawser__client_wait(client, &wait.waiter,
						client->loop->now_ms + client->options.timeout_ms,
						NULL);
		}
		client->shutdown_wait = NULL;
		if (r == 0)
			r = wait.result == 1 ? -ECONNRESET : wait.result;
	}
	if (r == -EPERM)
		hawser__error_set(error, r, "shutdown %s: %s", client->address.text, wait.text);
	else if (r == -ETIMEDOUT)
		hawser__error_set(error, r, "shutdown %s: no answer within %u ms",
				  client->address.text, client->options.timeout_ms);
	else if (r == -EALREADY)
		hawser__error_set(error, r, "shutdown %s: another thread asks already",
				  client->address.text);
	else if (r == -EINVAL)
		hawser__error_set(error, r, "shutdown %s: the reason has more than %d bytes",
				  client->address.text, HAWSER_ERROR_MESSAGE_SIZE);
	else if (r < 0)
		hawser__error_set(error, r, "shutdown %s: %.200s", client->address.text,
				  client->last_error.message);
	hawser__client_unlock(client);
	hawser__waiter_deinit(&wait.waiter);
	return r;
}

const char *hawser_client_server_name(struct hawser_client *client, char *buffer, size_t size)
{
	if (!buffer || size == 0)
		return "";
	buffer[0] = 0;
	if (hawser__client_check(client, NULL) < 0)
		return buffer;
	hawser__client_lock(client);
	snprintf(buffer, size, "%s", client->server_name);
	hawser__client_unlock(client);
	return buffer;
}
