/* What a client does about its session when the connection breaks, comes back, or does not.
 *
 * The pauses between tries grow with full jitter (Marc Brooker, "Exponential Backoff And
 * Jitter", 2015): clients that lost the same server at the same moment do not come back
 * in step. Idempotent calls are made again out of a budget that successes refill (as in gRPC
 * proposal A6), so that a server in trouble is not given twice the work. */

#include "rpc/client.h"
#include "rpc/outgoing.h"
#include "util/log.h"
#include "wire/outbox.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum {
	FIRST_PAUSE_MS = 100,
	DOUBLINGS_MOST = 16,
};

static struct hawser_client *client_of(struct hawser__connection *connection)
{
	return connection->owner;
}

Hawser__Session *hawser__client_ask_session(struct hawser_client *client, Hawser__Session *session)
{
	struct hawser__session *ours = &client->connection->session;

	if (client->options.no_session)
		return NULL;
	hawser__session__init(session);
	if (ours->id) {
		session->id = ours->id;
		session->token.data = ours->token;
		session->token.len = sizeof ours->token;
		session->received = ours->received;
		session->attempt = ++ours->attempt;
	}
	return session;
}

/* Rises with each frame that gets through, in either direction. */
static uint64_t progress(const struct hawser__session *session)
{
	return session->received + session->log.acked;
}

static bool resume(struct hawser__connection *connection, const Hawser__Session *session)
{
	struct hawser_client *client = client_of(connection);
	struct hawser__problem problem;
	uint64_t away_ms = client->loop->now_ms - client->retreat.since_ms;

	if (hawser__session_resume(&connection->session, session->received, &problem) < 0) {
		hawser__connection_close(connection, HAWSER__REASON__REASON_PROTOCOL_ERROR, "%s",
					 problem.text);
		return false;
	}
	client->n_resumed++;
	hawser__log(HAWSER_LOG_INFO,
		    "%s: the session goes on after %llu ms, with %u calls in flight",
		    client->address.text, (unsigned long long)away_ms,
		    hawser__connection_calls(connection));
	return true;
}

/* Of messages to the server. A later connection of the same session has the same. */
static size_t window_of(const Hawser__Opened *opened)
{
	uint64_t bytes = opened->stream_window_bytes ? opened->stream_window_bytes
						     : HAWSER__DEFAULT_WINDOW_BYTES;

	return bytes < HAWSER__WINDOW_MOST ? (size_t)bytes : HAWSER__WINDOW_MOST;
}

bool hawser__client_take_session(struct hawser__connection *connection,
				 const Hawser__Opened *opened)
{
	struct hawser_client *client = client_of(connection);
	const Hawser__Session *session = opened->session;
	struct hawser__session *ours = &connection->session;
	bool is_offered = session && session->id && session->token.len == sizeof ours->token;

	client->n_connections++;
	client->retreat.opened_ms = client->loop->now_ms;
	if (ours->id && is_offered && session->id == ours->id) {
		if (!resume(connection, session))
			return false;
	} else {
		if (ours->id)
			hawser__client_lose_session(connection, "the server began another one");
		if (is_offered && !client->options.no_session) {
			ours->id = session->id;
			memcpy(ours->token, session->token.data, sizeof ours->token);
		}
		hawser__session_begin(ours, ours->id != 0);
		hawser__outbox_set_windows(ours, window_of(opened));
		hawser__outgoing_fail_overdrawn(connection);
	}
	hawser__outgoing_retime(connection);
	connection->holds = ours->id != 0;
	client->retreat.progress = progress(ours);
	client->retreat.window_ms = is_offered ? session->window_ms : 0;
	return true;
}

/* A tenth of a retry for each call that has succeeded since the last time. */
static void refill_budget(struct hawser_client *client)
{
	uint64_t most = (uint64_t)10 * client->options.retry_budget;
	uint64_t tenths = client->retreat.budget_tenths + client->connection->n_succeeded;

	client->connection->n_succeeded = 0;
	client->retreat.budget_tenths = (unsigned)(tenths < most ? tenths : most);
}

unsigned hawser__client_retry_after(struct hawser_client *client,
				    const struct hawser__outgoing *outgoing)
{
	const struct hawser_error *error = &outgoing->error;
	uint64_t wait_ms = error->retry_after_ms, now_ms = client->loop->now_ms, random;

	if (client->options.no_retry_after || !wait_ms || !client->connection ||
	    error->status != HAWSER_RESOURCE_EXHAUSTED ||
	    error->outcome != HAWSER_OUTCOME_NOT_EXECUTED)
		return 0;
	/* Those that were refused together are not to come back together. */
	if (getrandom(&random, sizeof random, 0) == sizeof random)
		wait_ms += random % (wait_ms / 4 + 1);
	refill_budget(client);
	if (client->retreat.budget_tenths < 10 || wait_ms > UINT_MAX ||
	    outgoing->call.deadline_ms <= now_ms || outgoing->call.deadline_ms - now_ms <= wait_ms)
		return 0;
	client->retreat.budget_tenths -= 10;
	client->n_retried++;
	return (unsigned)wait_ms;
}

void hawser__client_lose_session(struct hawser__connection *connection, const char *why)
{
	struct hawser_client *client = client_of(connection);
	struct hawser_error error = {.status = HAWSER_UNAVAILABLE};
	unsigned retried;

	refill_budget(client);
	client->n_sessions_lost++;
	snprintf(error.message, sizeof error.message, "the session was lost: %.150s", why);
	hawser__log(hawser__connection_calls(connection) ? HAWSER_LOG_WARNING : HAWSER_LOG_INFO,
		    "%s: %s", client->address.text, error.message);
	/* What the server asked for in it has nobody to answer to any more. */
	hawser__incoming_detach_all(connection);
	retried = hawser__outgoing_restart(connection, &error, client->retreat.budget_tenths / 10);
	client->n_retried += retried;
	client->retreat.budget_tenths -= retried * 10;
}

/* ---- trying again ---- */

/* The longest pause after so many tries. Most breaks are short, so the first try is at once. */
static uint64_t longest_pause_ms(const struct hawser_client *client)
{
	unsigned tries = client->retreat.tries;
	uint64_t most;

	if (tries == 0)
		return 0;
	most = (uint64_t)FIRST_PAUSE_MS << (tries < DOUBLINGS_MOST ? tries - 1 : DOUBLINGS_MOST);
	return most < client->options.max_backoff_ms ? most : client->options.max_backoff_ms;
}

/* When the server must have given the session up. It may notice the break later than this end, and
 * only then begins to count. */
static uint64_t window_end_ms(const struct hawser_client *client)
{
	return client->retreat.since_ms + client->retreat.window_ms +
	       client->connection->silence_timeout_ms;
}

static void pause_and_try(struct hawser_client *client)
{
	uint64_t pause_ms = longest_pause_ms(client), now_ms = client->loop->now_ms, random, end_ms;

	if (client->retreat.is_urgent)
		pause_ms = 0;
	client->retreat.is_urgent = false;
	if (pause_ms && getrandom(&random, sizeof random, 0) == sizeof random)
		pause_ms = random % (pause_ms + 1);
	client->retreat.next_ms = now_ms + pause_ms;
	/* Calls that wait in vain are not to wait longer than that. */
	end_ms = client->connection->session.id ? window_end_ms(client) : UINT64_MAX;
	if (end_ms > now_ms && end_ms < client->retreat.next_ms)
		client->retreat.next_ms = end_ms;
	end_ms = client->retreat.since_ms + client->options.reconnect_timeout_ms;
	if (client->options.reconnect_timeout_ms && end_ms > now_ms &&
	    end_ms < client->retreat.next_ms)
		client->retreat.next_ms = end_ms;
	client->retreat.tries++;
}

bool hawser__client_away(struct hawser__connection *connection, const struct hawser_error *why)
{
	struct hawser_client *client = client_of(connection);
	struct hawser__retreat *retreat = &client->retreat;
	uint64_t now_ms = client->loop->now_ms;

	if (!retreat->opened_ms)
		return hawser__client_try_failed(client, why);
	/* A server that lets us in only to drop us again is not to be hammered; a link that
	 * breaks often, but carries something each time, is to be used. */
	if (now_ms - retreat->opened_ms >= longest_pause_ms(client) ||
	    progress(&connection->session) != retreat->progress)
		retreat->tries = 0;
	retreat->opened_ms = 0;
	retreat->since_ms = now_ms;
	hawser__log(HAWSER_LOG_INFO, "%s: %s; connecting again, %u calls are in flight",
		    client->address.text, why->message, hawser__connection_calls(connection));
	pause_and_try(client);
	return true;
}

bool hawser__client_try_failed(struct hawser_client *client, const struct hawser_error *why)
{
	struct hawser__connection *connection = client->connection;
	uint64_t away_ms = client->loop->now_ms - client->retreat.since_ms;
	unsigned bound_ms = client->options.reconnect_timeout_ms;

	if (!connection->holds || (bound_ms && away_ms >= bound_ms)) {
		client->n_sessions_lost += connection->session.id != 0;
		hawser__connection_lose(connection, why->status, why->code, "%s", why->message);
		return false;
	}
	if (hawser__log_enabled(HAWSER_LOG_DEBUG))
		hawser__log(HAWSER_LOG_DEBUG, "%s; try %u", why->message, client->retreat.tries);
	pause_and_try(client);
	return true;
}

bool hawser__client_stays(struct hawser_client *client)
{
	struct hawser__retreat *retreat = &client->retreat;
	uint64_t now_ms = client->loop->now_ms, pause_ms, random;

	if (!hawser__client_serves(client) || !client->n_connections || client->is_doomed ||
	    client->is_replaced ||
	    atomic_load_explicit(&client->is_stopping, memory_order_relaxed)) {
		retreat->next_ms = UINT64_MAX;
		return false;
	}
	if (retreat->opened_ms && now_ms - retreat->opened_ms >= longest_pause_ms(client))
		retreat->tries = 0;
	if (retreat->opened_ms)
		retreat->since_ms = now_ms;
	retreat->opened_ms = 0;
	/* It was told to go: not at once. */
	if (!retreat->tries)
		retreat->tries = 1;
	pause_ms = longest_pause_ms(client);
	if (pause_ms && getrandom(&random, sizeof random, 0) == sizeof random)
		pause_ms = random % (pause_ms + 1);
	retreat->next_ms = now_ms + pause_ms;
	retreat->tries++;
	return true;
}

void hawser__client_check_window(struct hawser_client *client)
{
	struct hawser__connection *connection = client->connection;

	if (!connection->session.id || client->loop->now_ms < window_end_ms(client))
		return;
	hawser__client_lose_session(connection, "session expired: the server could not be reached "
						"within its window");
}

void hawser_client_get_stats(struct hawser_client *client, struct hawser_client_stats *stats)
{
	struct hawser_client_stats now = {.size = sizeof now};
	const struct hawser__connection *connection;

	if (!stats || stats->size < sizeof stats->size || hawser__client_check(client, NULL) < 0)
		return;
	hawser__client_lock(client);
	connection = client->connection;
	now.connections = client->n_connections;
	now.sessions_resumed = client->n_resumed;
	now.sessions_lost = client->n_sessions_lost;
	now.calls_retried = client->n_retried;
	if (connection) {
		now.calls_in_flight = connection->n_outgoing;
		now.log_bytes = hawser__session_backlog(&connection->session);
		now.is_connected = hawser__connection_is_open(connection);
	}
	hawser__client_unlock(client);
	now.size = stats->size < sizeof now ? stats->size : sizeof now;
	memcpy(stats, &now, now.size);
}
