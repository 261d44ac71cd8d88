/* The thread that relays, and the orders to it; relay.h tells what for. */

#include "relay.h"
#include "raw.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { PIECE_BYTES = 64 * 1024, POLLED_MAX = 2048, LINE_BYTES = 16 << 20 };

/* What was read from one end and is under way on a long line. */
struct relay_parcel {
	struct relay_parcel *next;
	uint64_t due_ms;
	size_t length;
	uint8_t bytes[];
};

/* One connection: two sockets, and what was read from each and not yet written to the other. */
struct relay_pair {
	struct relay_pair *next;
	int fd[2]; /* -1: none, or none any more */
	bool is_frozen;
	bool has_ended[2]; /* by who will say nothing more */
	size_t length[2];
	uint8_t bytes[2][PIECE_BYTES];
	/* Behind that, if the line is long. */
	struct relay_parcel *first[2], **last[2];
	size_t on_line[2];
};

/* ---- sockets ---- */

static int prepare(int fd)
{
	int on = 1;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	/* Fails on a unix socket, which does not wait anyway. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

static void close_side(struct relay_pair *pair, int end, bool resets)
{
	struct linger at_once = {1, 0};

	if (pair->fd[end] < 0)
		return;
	if (resets)
		setsockopt(pair->fd[end], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(pair->fd[end]);
	pair->fd[end] = -1;
}

/* By hand: the library's own ways allocate, which a test may be making impossible. -1: nobody
 * listens there. */
static int connect_to(const char *target)
{
	struct sockaddr_in tcp = {.sin_family = AF_INET};
	struct sockaddr_un unix_ = {.sun_family = AF_UNIX};
	bool is_unix = strncmp(target, "unix:", 5) == 0;
	const char *port = strrchr(target, ':');
	int fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	tcp.sin_port = htons((uint16_t)atoi(port + 1));
	snprintf(unix_.sun_path, sizeof unix_.sun_path, "%.100s", target + 5);
	r = is_unix ? connect(fd, (struct sockaddr *)&unix_, sizeof unix_)
		    : connect(fd, (struct sockaddr *)&tcp, sizeof tcp);
	if (r == 0)
		return fd;
	close(fd);
	return -1;
}

/* Without a target it is over. */
static void connect_pair(struct relay *relay, struct relay_pair *pair)
{
	int fd = connect_to(relay->target);

	pair->is_frozen = false;
	if (fd >= 0)
		pair->fd[FROM_SERVER] = prepare(fd);
	else
		close_side(pair, FROM_CLIENT, true);
}

static void accept_one(struct relay *relay)
{
	int fd = accept4(relay->listener, NULL, NULL, SOCK_CLOEXEC);
	struct relay_pair *pair;

	if (fd < 0)
		return;
	pair = calloc(1, sizeof *pair);
	if (!pair)
		abort();
	pair->fd[FROM_CLIENT] = prepare(fd);
	pair->fd[FROM_SERVER] = -1;
	for (int end = 0; end < 2; end++)
		pair->last[end] = &pair->first[end];
	pair->next = relay->pairs;
	relay->pairs = pair;
	relay->n_attempts++;
	if (relay->door == DOOR_OPEN)
		connect_pair(relay, pair);
	else if (relay->door == DOOR_SHUT)
		close_side(pair, FROM_CLIENT, true);
	else
		pair->is_frozen = true;
}

/* ---- cutting ---- */

static void cut(struct relay *relay, struct relay_pair *pair, enum relay_cut how)
{
	relay->n_cuts++;
	if (how != CUT_SERVER)
		close_side(pair, FROM_CLIENT, how == CUT_RESET);
	if (how != CUT_CLIENT)
		close_side(pair, FROM_SERVER, how == CUT_RESET);
	/* The side that is left does not hear of it. */
	pair->is_frozen = true;
}

static void cut_all(struct relay *relay)
{
	for (struct relay_pair *pair = relay->pairs; pair; pair = pair->next)
		if (pair->fd[FROM_CLIENT] >= 0 && pair->fd[FROM_SERVER] >= 0)
			cut(relay, pair, relay->how);
}

static void freeze_all(struct relay *relay)
{
	for (struct relay_pair *pair = relay->pairs; pair; pair = pair->next)
		pair->is_frozen = true;
}

static void thaw_all(struct relay *relay)
{
	for (struct relay_pair *pair = relay->pairs; pair; pair = pair->next) {
		if (pair->is_frozen && pair->fd[FROM_CLIENT] >= 0 && pair->fd[FROM_SERVER] < 0)
			connect_pair(relay, pair);
		pair->is_frozen = false;
	}
}

static void do_nothing(struct relay *relay)
{
	(void)relay;
}

/* ---- relaying ---- */

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* What may pass now; time in which nobody had anything to say is lost. */
static void allow(struct relay *relay)
{
	uint64_t passed_ms = now_ms() - relay->allowed_ms;

	if (!relay->bytes_per_ms || !passed_ms)
		return;
	relay->allowed_ms += passed_ms;
	for (int end = 0; end < 2; end++)
		relay->allowance[end] = relay->bytes_per_ms * (passed_ms < 10 ? passed_ms : 10);
}

/* As many of the bytes as may still pass in that direction. */
static size_t allowed(const struct relay *relay, int end, size_t length)
{
	if (relay->bytes_per_ms && relay->allowance[end] < length)
		length = (size_t)relay->allowance[end];
	if (!relay->has_bound || (int)relay->bound_end != end || relay->bound_left >= length)
		return length;
	return (size_t)relay->bound_left;
}

static void write_side(struct relay *relay, struct relay_pair *pair, int end)
{
	size_t part = allowed(relay, end, pair->length[end]);
	ssize_t n = 0;

	if (relay->bytes_per_ms && !relay->allowance[end])
		return;
	if (part)
		n = send(pair->fd[!end], pair->bytes[end], part, MSG_NOSIGNAL);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0) {
		close_side(pair, FROM_CLIENT, true);
		close_side(pair, FROM_SERVER, true);
		return;
	}
	pair->length[end] -= (size_t)n;
	memmove(pair->bytes[end], pair->bytes[end] + n, pair->length[end]);
	relay->n_relayed[end] += (uint64_t)n;
	if (relay->bytes_per_ms)
		relay->allowance[end] -= (uint64_t)n;
	if (relay->has_bound && (int)relay->bound_end == end) {
		relay->bound_left -= (uint64_t)n;
		if (relay->bound_left == 0) {
			relay->has_bound = false;
			cut(relay, pair, relay->how);
		}
	}
}

/* ---- a long line ---- */

/* What has been read arrives later. */
static void send_parcel(struct relay *relay, struct relay_pair *pair, int end, const uint8_t *bytes,
			size_t length)
{
	struct relay_parcel *parcel = malloc(sizeof *parcel + length);

	if (!parcel)
		abort();
	parcel->next = NULL;
	parcel->due_ms = now_ms() + relay->delay_ms;
	parcel->length = length;
	memcpy(parcel->bytes, bytes, length);
	*pair->last[end] = parcel;
	pair->last[end] = &parcel->next;
	pair->on_line[end] += length;
}

/* Frees the first; it arrives, or is lost. */
static void take_parcel(struct relay_pair *pair, int end)
{
	struct relay_parcel *parcel = pair->first[end];

	pair->first[end] = parcel->next;
	if (!pair->first[end])
		pair->last[end] = &pair->first[end];
	pair->on_line[end] -= parcel->length;
	free(parcel);
}

static void arrive(struct relay_pair *pair, int end)
{
	uint64_t now = now_ms();
	struct relay_parcel *parcel;

	while ((parcel = pair->first[end]) && parcel->due_ms <= now &&
	       parcel->length <= PIECE_BYTES - pair->length[end]) {
		memcpy(pair->bytes[end] + pair->length[end], parcel->bytes, parcel->length);
		pair->length[end] += parcel->length;
		take_parcel(pair, end);
	}
}

static bool has_space(const struct relay *relay, const struct relay_pair *pair, int end)
{
	if (relay->delay_ms || pair->on_line[end])
		return pair->on_line[end] < LINE_BYTES;
	return pair->length[end] < PIECE_BYTES;
}

static void read_side(struct relay *relay, struct relay_pair *pair, int end)
{
	static _Thread_local uint8_t piece[PIECE_BYTES];
	bool is_long = relay->delay_ms || pair->on_line[end];
	ssize_t n = is_long ? recv(pair->fd[end], piece, sizeof piece / 2, 0)
			    : recv(pair->fd[end], pair->bytes[end] + pair->length[end],
				   PIECE_BYTES - pair->length[end], 0);

	if (n > 0 && is_long)
		send_parcel(relay, pair, end, piece, (size_t)n);
	else if (n > 0)
		pair->length[end] += (size_t)n;
	else if (n == 0 || errno != EAGAIN)
		pair->has_ended[end] = true;
}

static void end_side(struct relay_pair *pair, int end)
{
	if (!pair->has_ended[end] || pair->length[end] || pair->on_line[end] || pair->fd[!end] < 0)
		return;
	shutdown(pair->fd[!end], SHUT_WR);
	if (pair->has_ended[!end] && pair->length[!end] == 0 && !pair->on_line[!end]) {
		close_side(pair, FROM_CLIENT, false);
		close_side(pair, FROM_SERVER, false);
	}
}

/* A side that neither has anything to take nor to give is not watched, or its end would be
 * reported for ever. */
static bool watch_side(const struct relay *relay, const struct relay_pair *pair, int end,
		       struct pollfd *watched)
{
	short events = 0;

	if (!pair->has_ended[end] && has_space(relay, pair, end))
		events |= POLLIN;
	if (pair->length[!end] && (!relay->bytes_per_ms || relay->allowance[!end]))
		events |= POLLOUT;
	*watched = (struct pollfd){.fd = pair->fd[end], .events = events};
	return events != 0;
}

static void serve_pair(struct relay *relay, struct relay_pair *pair, const short *found)
{
	for (int end = 0; end < 2; end++)
		if (pair->fd[end] >= 0 && !pair->has_ended[end] && has_space(relay, pair, end) &&
		    found[end] & (POLLIN | POLLERR | POLLHUP))
			read_side(relay, pair, end);
	for (int end = 0; end < 2; end++)
		arrive(pair, end);
	for (int end = 0; end < 2 && !pair->is_frozen; end++)
		if (pair->fd[!end] >= 0 && pair->length[end])
			write_side(relay, pair, end);
	for (int end = 0; end < 2 && !pair->is_frozen; end++)
		end_side(pair, end);
}

static void sweep(struct relay *relay, bool all)
{
	struct relay_pair **at = &relay->pairs;

	while (*at) {
		struct relay_pair *pair = *at;

		if (all) {
			close_side(pair, FROM_CLIENT, false);
			close_side(pair, FROM_SERVER, false);
		}
		if (pair->fd[FROM_CLIENT] >= 0 || pair->fd[FROM_SERVER] >= 0) {
			at = &pair->next;
			continue;
		}
		*at = pair->next;
		for (int end = 0; end < 2; end++)
			while (pair->first[end])
				take_parcel(pair, end);
		free(pair);
	}
}

/* ---- the thread ---- */

static nfds_t watch(const struct relay *relay, struct pollfd *watched)
{
	nfds_t n = 0;

	watched[n++] = (struct pollfd){.fd = relay->wake_fd, .events = POLLIN};
	watched[n++] = (struct pollfd){.fd = relay->listener, .events = POLLIN};
	for (const struct relay_pair *pair = relay->pairs; pair; pair = pair->next)
		for (int end = 0; end < 2 && n < POLLED_MAX; end++)
			if (!pair->is_frozen && pair->fd[end] >= 0 &&
			    watch_side(relay, pair, end, &watched[n]))
				n++;
	return n;
}

static short find(const struct pollfd *watched, nfds_t n, int fd)
{
	for (nfds_t i = 2; i < n && fd >= 0; i++)
		if (watched[i].fd == fd)
			return watched[i].revents;
	return 0;
}

static void serve(struct relay *relay, const struct pollfd *watched, nfds_t n)
{
	uint64_t count;

	allow(relay);
	if (watched[0].revents && read(relay->wake_fd, &count, sizeof count) < 0)
		abort();
	for (struct relay_pair *pair = relay->pairs; pair; pair = pair->next) {
		short found[2] = {find(watched, n, pair->fd[FROM_CLIENT]),
				  find(watched, n, pair->fd[FROM_SERVER])};

		if (!pair->is_frozen)
			serve_pair(relay, pair, found);
	}
	if (watched[1].revents)
		accept_one(relay);
	if (relay->order)
		relay->order(relay);
	relay->order = NULL;
	sweep(relay, false);
}

static void *run(void *data)
{
	struct relay *relay = data;
	static _Thread_local struct pollfd watched[POLLED_MAX];

	pthread_mutex_lock(&relay->lock);
	while (!relay->is_stopping) {
		nfds_t n = watch(relay, watched);
		int wait_ms = relay->bytes_per_ms || relay->delay_ms ? 1 : -1;

		pthread_mutex_unlock(&relay->lock);
		while (poll(watched, n, wait_ms) < 0)
			if (errno != EINTR)
				abort();
		pthread_mutex_lock(&relay->lock);
		serve(relay, watched, n);
		pthread_cond_broadcast(&relay->changed);
	}
	sweep(relay, true);
	pthread_mutex_unlock(&relay->lock);
	return NULL;
}

/* ---- life ---- */

void relay_start(struct relay *relay, enum transport transport, const char *target)
{
	memset(relay, 0, sizeof *relay);
	pthread_mutex_init(&relay->lock, NULL);
	pthread_cond_init(&relay->changed, NULL);
	snprintf(relay->target, sizeof relay->target, "%s", target);
	if (transport == OVER_UNIX)
		directory_make(relay->directory, sizeof relay->directory);
	relay->listener = raw_listen(transport, relay->directory, relay->address);
	fcntl(relay->listener, F_SETFL, O_NONBLOCK);
	relay->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_ge(relay->wake_fd, 0);
	ck_assert_int_eq(pthread_create(&relay->thread, NULL, run, relay), 0);
}

static void wake(struct relay *relay)
{
	static const uint64_t one = 1;

	ck_assert_int_eq(write(relay->wake_fd, &one, sizeof one), sizeof one);
}

/* With the lock, which it gives up meanwhile. */
static void carry_out(struct relay *relay, void (*order)(struct relay *relay))
{
	relay->order = order;
	wake(relay);
	while (relay->order)
		pthread_cond_wait(&relay->changed, &relay->lock);
}

void relay_stop(struct relay *relay)
{
	pthread_mutex_lock(&relay->lock);
	relay->is_stopping = true;
	wake(relay);
	pthread_mutex_unlock(&relay->lock);
	pthread_join(relay->thread, NULL);
	close(relay->listener);
	close(relay->wake_fd);
	if (relay->directory[0]) {
		unlink(relay->address + strlen("unix:"));
		directory_remove(relay->directory);
	}
	pthread_mutex_destroy(&relay->lock);
	pthread_cond_destroy(&relay->changed);
}

/* ---- orders ---- */

void relay_aim(struct relay *relay, const char *target)
{
	pthread_mutex_lock(&relay->lock);
	snprintf(relay->target, sizeof relay->target, "%s", target);
	pthread_mutex_unlock(&relay->lock);
}

void relay_set_door(struct relay *relay, enum relay_door door)
{
	pthread_mutex_lock(&relay->lock);
	relay->door = door;
	pthread_mutex_unlock(&relay->lock);
}

void relay_cut(struct relay *relay, enum relay_cut how)
{
	pthread_mutex_lock(&relay->lock);
	relay->how = how;
	carry_out(relay, cut_all);
	pthread_mutex_unlock(&relay->lock);
}

void relay_cut_after(struct relay *relay, enum relay_end end, uint64_t bytes, enum relay_cut how)
{
	pthread_mutex_lock(&relay->lock);
	relay->how = how;
	relay->bound_end = end;
	relay->bound_left = bytes;
	relay->has_bound = true;
	carry_out(relay, do_nothing);
	pthread_mutex_unlock(&relay->lock);
}

bool relay_was_cut(struct relay *relay)
{
	bool was_cut;

	pthread_mutex_lock(&relay->lock);
	was_cut = !relay->has_bound;
	relay->has_bound = false;
	pthread_cond_broadcast(&relay->changed);
	pthread_mutex_unlock(&relay->lock);
	return was_cut;
}

void relay_wait_cut(struct relay *relay)
{
	pthread_mutex_lock(&relay->lock);
	while (relay->has_bound)
		pthread_cond_wait(&relay->changed, &relay->lock);
	pthread_mutex_unlock(&relay->lock);
}

void relay_freeze(struct relay *relay)
{
	pthread_mutex_lock(&relay->lock);
	carry_out(relay, freeze_all);
	pthread_mutex_unlock(&relay->lock);
}

void relay_thaw(struct relay *relay)
{
	pthread_mutex_lock(&relay->lock);
	carry_out(relay, thaw_all);
	pthread_mutex_unlock(&relay->lock);
}

void relay_set_rate(struct relay *relay, unsigned bytes_per_ms)
{
	pthread_mutex_lock(&relay->lock);
	relay->bytes_per_ms = bytes_per_ms;
	relay->allowance[0] = relay->allowance[1] = bytes_per_ms;
	relay->allowed_ms = now_ms();
	carry_out(relay, do_nothing);
	pthread_mutex_unlock(&relay->lock);
}

void relay_set_delay(struct relay *relay, unsigned ms)
{
	pthread_mutex_lock(&relay->lock);
	relay->delay_ms = ms;
	carry_out(relay, do_nothing);
	pthread_mutex_unlock(&relay->lock);
}

/* ---- what happened ---- */

unsigned relay_attempts(struct relay *relay)
{
	unsigned n;

	pthread_mutex_lock(&relay->lock);
	n = relay->n_attempts;
	pthread_mutex_unlock(&relay->lock);
	return n;
}

void relay_wait_attempts(struct relay *relay, unsigned count)
{
	pthread_mutex_lock(&relay->lock);
	while (relay->n_attempts < count)
		pthread_cond_wait(&relay->changed, &relay->lock);
	pthread_mutex_unlock(&relay->lock);
}

uint64_t relay_bytes(struct relay *relay, enum relay_end end)
{
	uint64_t bytes;

	pthread_mutex_lock(&relay->lock);
	bytes = relay->n_relayed[end];
	pthread_mutex_unlock(&relay->lock);
	return bytes;
}
