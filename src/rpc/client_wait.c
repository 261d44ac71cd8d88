/* client_wait.h says how it works. */

#include "rpc/client_wait.h"

#include "net/socket.h"
#include "rpc/context.h"
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

enum {
	/* The keeper looks this often, at the most, whether callers are quiet. */
	KEEPER_MS = 1000,
};

/* ---- the lock ---- */

void hawser__client_lock(struct hawser_client *client)
{
	if (client->options.base)
		return;
	if (pthread_mutex_trylock(&client->lock) != 0) {
		atomic_fetch_add_explicit(&client->n_locking, 1, memory_order_relaxed);
		pthread_mutex_lock(&client->lock);
		atomic_fetch_sub_explicit(&client->n_locking, 1, memory_order_relaxed);
	}
	hawser__loop_enter(client->loop);
}

void hawser__client_unlock(struct hawser_client *client)
{
	if (client->options.base)
		return;
	hawser__loop_run_deferred(client->loop);
	hawser__loop_leave(client->loop);
	pthread_mutex_unlock(&client->lock);
}

/* ---- waiting ---- */

void hawser__client_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attributes);
	pthread_condattr_destroy(&attributes);
}

void hawser__client_cond_wait(struct hawser_client *client, pthread_cond_t *cond, uint64_t until_ms)
{
	struct timespec until = {(time_t)(until_ms / 1000), (long)(until_ms % 1000 * 1000000)};

	hawser__loop_run_deferred(client->loop);
	hawser__loop_leave(client->loop);
	if (until_ms == UINT64_MAX)
		pthread_cond_wait(cond, &client->lock);
	else
		pthread_cond_timedwait(cond, &client->lock, &until);
	hawser__loop_enter(client->loop);
	hawser__loop_update_now(client->loop);
}

void hawser__waiter_init(struct hawser__waiter *waiter)
{
	hawser__list_init(&waiter->link);
	hawser__client_cond_init(&waiter->wake);
	waiter->is_done = waiter->was_woken = false;
	waiter->n_woken = NULL;
}

void hawser__waiter_deinit(struct hawser__waiter *waiter)
{
	hawser__list_unlink(&waiter->link);
	pthread_cond_destroy(&waiter->wake);
}

void hawser__waiter_finish(struct hawser__waiter *waiter)
{
	waiter->is_done = true;
	if (waiter->n_woken && !waiter->was_woken) {
		waiter->was_woken = true;
		++*waiter->n_woken;
	}
	pthread_cond_signal(&waiter->wake);
}

/* The next thread that waits becomes the reader. */
void hawser__client_hand_over(struct hawser_client *client)
{
	struct hawser__list *link;

	client->reader = HAWSER__READER_NOBODY;
	list_for_each (link, &client->waiters) {
		struct hawser__waiter *waiter =
			hawser__container_of(link, struct hawser__waiter, link);

		/* Those whose reply has come have been woken already. */
		if (!waiter->is_done) {
			pthread_cond_signal(&waiter->wake);
			return;
		}
	}
	/* The server may call at any moment. */
	if (hawser__client_serves(client))
		pthread_cond_signal(&client->keeper_wake);
}

/* ---- receiving ---- */

/* Waits for the socket, and for a wake-up, as long as it takes or until the time. With the
 * lock released. Returns what poll(2) found. */
int hawser__client_poll(struct hawser_client *client, int fd, bool wants_write, uint64_t until_ms)
{
	struct pollfd watched[2] = {
		{.fd = fd, .events = (short)(POLLIN | (wants_write ? POLLOUT : 0))},
		{.fd = client->loop->wake_fd, .events = POLLIN},
	};
	uint64_t now_ms = hawser__now_ms();
	uint64_t wait_ms = until_ms > now_ms ? until_ms - now_ms : 0;

	if (poll(watched, 2, wait_ms > INT32_MAX ? -1 : (int)wait_ms) <= 0)
		return 0;
	return watched[0].revents | (watched[1].revents ? POLLPRI : 0);
}

/* As the reader: one receive, and what came is dealt with. `patiently` watches for
 * wake-ups and for room to write as well. */
void hawser__client_receive(struct hawser_client *client, uint64_t until_ms, bool patiently)
{
	struct hawser__connection *connection = client->connection;
	int fd = connection->fd, found = POLLIN, n_rooms;
	struct iovec rooms[HAWSER__ROOMS];
	bool wants_write;
	ssize_t n = -EAGAIN;

	if (hawser__connection_is_owing(connection)) {
		uint64_t soon_ms = client->loop->now_ms + HAWSER__RECEIVE_MS;

		if (!hawser__connection_flush(connection))
			return;
		/* Still without memory it is tried again soon. */
		if (hawser__connection_is_owing(connection) && until_ms > soon_ms)
			until_ms = soon_ms;
		patiently = true;
	}
	wants_write = hawser__session_unwritten(&connection->session) > 0;
	n_rooms = hawser__connection_room(connection, rooms);
	if (n_rooms < 0) {
		hawser__connection_received(connection, n_rooms);
		return;
	}
	client->is_receiving = connection->has_reader = true;
	hawser__client_unlock(client);
	if (patiently || wants_write)
		found = hawser__client_poll(client, fd, wants_write, until_ms);
	if (found & (POLLIN | POLLHUP | POLLERR))
		n = hawser__socket_receive_into(fd, rooms, n_rooms);
	hawser__client_lock(client);
	client->is_receiving = false;
	hawser__loop_update_now(client->loop);

	if (client->dead) {
		/* Lost while we were away: nobody else could free it. */
		hawser__connection_free(client->dead);
		client->dead = NULL;
		pthread_cond_broadcast(&client->opened);
		return;
	}
	connection->has_reader = false;
	if (found & POLLPRI)
		hawser__loop_run_posts(client->loop);
	if (found & POLLOUT && !hawser__connection_flush(connection))
		return;
	hawser__connection_received(connection, n);
}

static bool can_read(const struct hawser_client *client)
{
	return client->reader == HAWSER__READER_NOBODY && hawser__client_is_open(client);
}

/* Until what is awaited has come, or the part of the reader falls to this thread. */
static void wait_for_reader(struct hawser_client *client, struct hawser__waiter *waiter,
			    uint64_t until_ms)
{
	if (client->reader == HAWSER__READER_KEEPER)
		hawser__loop_wake(client->loop);
	hawser__list_append(&client->waiters, &waiter->link);
	waiter->n_woken = &client->n_woken;
	hawser__client_cond_wait(client, &waiter->wake, until_ms);
	waiter->n_woken = NULL;
	client->n_woken -= waiter->was_woken;
	waiter->was_woken = false;
	hawser__list_unlink(&waiter->link);
}

/* In the middle of a large message: there is more to receive than others should wait for. */
static void give_way(struct hawser_client *client)
{
	if (!client->connection || !client->connection->straight ||
	    !hawser__client_is_wanted(client))
		return;
	hawser__client_unlock(client);
	sched_yield();
	hawser__client_lock(client);
}

/* Waits until the waiter is done, the time is over or the context cancelled: receives if
 * nobody else does. Returns 0, -ETIMEDOUT or -ECANCELED. */
int hawser__client_wait(struct hawser_client *client, struct hawser__waiter *waiter,
			uint64_t deadline_ms, const struct hawser_context *context)
{
	bool patiently = false, is_reader = false;
	int r = 0;

	while (!waiter->is_done) {
		uint64_t now_ms = client->loop->now_ms, until_ms = deadline_ms;

		if (now_ms >= deadline_ms) {
			r = -ETIMEDOUT;
			break;
		}
		if (hawser__context_is_cancelled(context)) {
			r = -ECANCELED;
			break;
		}
		/* Who can be cancelled looks up from time to time. */
		if (context && until_ms > now_ms + HAWSER__RECEIVE_MS)
			until_ms = now_ms + HAWSER__RECEIVE_MS;
		if (!client->connection) {
			/* Lost, and that ended every call: this waiter is done. */
			break;
		}
		if (is_reader && !hawser__client_is_open(client)) {
			/* Nothing to read until the keeper has opened it again. */
			is_reader = false;
			hawser__client_hand_over(client);
		}
		if (is_reader || can_read(client)) {
			is_reader = true;
			client->reader = HAWSER__READER_CALLER;
			hawser__client_receive(client, until_ms,
					       patiently || deadline_ms - now_ms <
								    2 * HAWSER__RECEIVE_MS);
			patiently = true;
			if (!waiter->is_done)
				give_way(client);
			continue;
		}
		wait_for_reader(client, waiter, until_ms);
	}
	/* Also when this thread was woken to be the reader, but needs nothing more. */
	if (is_reader || client->reader == HAWSER__READER_NOBODY)
		hawser__client_hand_over(client);
	return r;
}

void hawser__client_wait_slice(struct hawser_client *client, struct hawser__waiter *waiter)
{
	uint64_t until_ms = client->loop->now_ms + HAWSER__RECEIVE_MS;

	if (can_read(client)) {
		client->reader = HAWSER__READER_CALLER;
		hawser__client_receive(client, until_ms, true);
	} else {
		wait_for_reader(client, waiter, until_ms);
		if (client->reader != HAWSER__READER_NOBODY)
			return;
	}
	hawser__client_hand_over(client);
}

/* ---- the keeper ---- */

/* Tells the server what has come, so that it need not keep it, and what it may send. */
static void acknowledge(struct hawser_client *client)
{
	struct hawser__connection *connection = client->connection;
	bool owes_ack = hawser__session_owes_ack(&connection->session);

	if (owes_ack)
		hawser__connection_put_ack(connection);
	if (owes_ack || hawser__connection_is_owing(connection))
		hawser__connection_flush(connection);
}

/* Looks after a server that takes too little. */
static void check_slow(struct hawser_client *client)
{
	if (client->connection)
		hawser__connection_check_slow(client->connection);
}

/* Receives while nobody calls. With the lock. */
static void keep(struct hawser_client *client)
{
	client->reader = HAWSER__READER_KEEPER;
	while (!client->is_stopping && hawser__client_is_open(client) && !client->is_connecting &&
	       hawser__list_empty(&client->waiters)) {
		uint64_t until_ms, other_ms;

		acknowledge(client);
		until_ms = hawser__client_heartbeat(client);
		check_slow(client);
		other_ms = hawser__loop_run_alarms(client->loop);
		hawser__loop_run_deferred(client->loop);
		until_ms = other_ms < until_ms ? other_ms : until_ms;
		if (!hawser__client_is_open(client))
			break;
		other_ms = client->loop->now_ms + hawser__connection_look_ms(client->connection);
		hawser__client_receive(client, other_ms < until_ms ? other_ms : until_ms, true);
	}
	hawser__client_hand_over(client);
}

/* When the keeper is to look again. */
static uint64_t next_look_ms(const struct hawser_client *client, uint64_t tick_ms,
			     uint64_t alarm_ms)
{
	uint64_t look_ms = client->loop->now_ms + tick_ms;

	if (!client->connection)
		look_ms = hawser__client_serves(client) ? client->retreat.next_ms : UINT64_MAX;
	else if (!hawser__client_is_open(client) && !client->is_connecting)
		look_ms = client->retreat.next_ms;
	else if (tick_ms > hawser__connection_look_ms(client->connection))
		look_ms = client->loop->now_ms + hawser__connection_look_ms(client->connection);
	return alarm_ms < look_ms ? alarm_ms : look_ms;
}

/* Whether the keeper is to receive, so that nothing that comes has to wait for a caller. */
static bool is_quiet(const struct hawser_client *client, uint64_t tick_ms)
{
	return client->reader == HAWSER__READER_NOBODY && hawser__client_is_open(client) &&
	       !client->is_connecting && hawser__list_empty(&client->waiters) &&
	       (hawser__client_serves(client) ||
		client->loop->now_ms - client->connection->call_ms >= tick_ms);
}

static void *keeper_main(void *data)
{
	struct hawser_client *client = data;

	hawser__client_lock(client);
	while (!client->is_stopping) {
		uint64_t tick_ms = client->heartbeat_ms / 4 + 1, alarm_ms;

		if (tick_ms > KEEPER_MS)
			tick_ms = KEEPER_MS;
		alarm_ms = hawser__loop_run_alarms(client->loop);
		if (!is_quiet(client, tick_ms))
			hawser__client_cond_wait(client, &client->keeper_wake,
						 next_look_ms(client, tick_ms, alarm_ms));
		if (client->is_stopping || client->is_connecting)
			continue;
		if (!hawser__client_is_open(client)) {
			hawser__client_reconnect(client);
			continue;
		}
		acknowledge(client);
		if (is_quiet(client, tick_ms))
			keep(client);
		else
			/* A caller waits for something long: the heartbeat goes on. */
			hawser__client_heartbeat(client);
		check_slow(client);
	}
	hawser__client_unlock(client);
	return NULL;
}

bool hawser__client_start_keeper(struct hawser_client *client)
{
	sigset_t all, before;

	if (client->has_keeper) {
		pthread_cond_signal(&client->keeper_wake);
		return true;
	}
	/* The program's signals are for the program's threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	/* Without it there are no heartbeats while nobody calls; the server closes the
	 * connection then, and the next call opens another. */
	client->has_keeper = pthread_create(&client->keeper, NULL, keeper_main, client) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return client->has_keeper;
}
