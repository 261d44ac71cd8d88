/* The listeners of a server: binding, accepting, and what to do when there are
 * too many connections or no descriptors left. */

#include "net/socket.h"
#include "rpc/server.h"
#include "util/alloc.h"
#include "util/error.h"
#include "util/log.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	/* Connections taken in one go; then the others' turn. */
	ACCEPT_BATCH = 64,
	/* Before trying again when the process is out of descriptors. */
	ACCEPT_PAUSE_MS = 100,
};

/* ---- accepting ---- */

/* A connection on its way to another worker's thread, and what was read from it already. */
struct hand_out {
	struct hawser__post post;
	struct hawser__worker *worker;
	int fd;
	size_t length;
	uint8_t data[];
};

static void arrive(struct hawser__loop *loop, struct hawser__post *post)
{
	struct hand_out *hand_out = hawser__container_of(post, struct hand_out, post);

	if (loop->closed)
		close(hand_out->fd);
	else
		hawser__server_adopt(hand_out->worker, hand_out->fd, hand_out->data,
				     hand_out->length);
	free(hand_out);
}

bool hawser__server_hand_out(struct hawser__worker *worker, int fd, const uint8_t *data,
			     size_t length)
{
	struct hand_out *hand_out = hawser__malloc(sizeof *hand_out + length);

	if (hand_out) {
		hand_out->post.run = arrive;
		hand_out->worker = worker;
		hand_out->fd = fd;
		hand_out->length = length;
		if (length)
			memcpy(hand_out->data, data, length);
		if (hawser__loop_post(&worker->loop, &hand_out->post) == 0)
			return true;
		free(hand_out);
	}
	atomic_fetch_sub_explicit(&worker->server->n_connections, 1, memory_order_relaxed);
	close(fd);
	return false;
}

static void place(struct hawser_server *server, int fd)
{
	struct hawser__worker *worker = &server->workers[server->next_worker];

	if (atomic_load_explicit(&server->n_connections, memory_order_relaxed) >=
	    server->options.max_connections) {
		hawser__server_refuse(server, fd);
		return;
	}
	atomic_fetch_add_explicit(&server->n_connections, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&server->accepted, 1, memory_order_relaxed);
	server->next_worker = (server->next_worker + 1) % server->n_workers;
	if (worker == server->workers)
		hawser__server_adopt(worker, fd, NULL, 0);
	else
		hawser__server_hand_out(worker, fd, NULL, 0);
}

static void on_accept_again(evutil_socket_t fd, short what, void *data)
{
	struct hawser_server *server = data;

	(void)fd;
	(void)what;
	if (server->phase < HAWSER__SERVER_DRAINING)
		hawser__server_watch_listeners(server, true);
}

static void pause_accepting(struct hawser_server *server, int code)
{
	struct timeval wait = {0, ACCEPT_PAUSE_MS * 1000};
	char text[128];

	hawser__log(HAWSER_LOG_WARNING,
		    "accept: %s; trying again in %d ms (raise the limit on open files, or lower "
		    "max_connections)",
		    hawser__errno_text(code, text, sizeof text), ACCEPT_PAUSE_MS);
	hawser__server_watch_listeners(server, false);
	if (!server->has_accept_pause)
		event_assign(&server->accept_pause, server->workers[0].loop.base, -1, 0,
			     on_accept_again, server);
	server->has_accept_pause = true;
	event_add(&server->accept_pause, &wait);
}

static void on_accept(evutil_socket_t fd, short what, void *data)
{
	struct hawser__listener *listener = data;
	struct hawser_server *server = listener->server;

	(void)what;
	/* A base of the user's is run by whichever thread the user likes. */
	hawser__loop_adopt(&server->workers[0].loop);
	hawser__loop_update_now(&server->workers[0].loop);
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		int accepted = hawser__socket_accept(fd);

		if (accepted >= 0) {
			place(server, accepted);
			continue;
		}
		/* Left in the queue by a peer that has gone: not our trouble (accept(2)). */
		if (accepted == -ECONNABORTED || accepted == -EINTR || accepted == -EPROTO)
			continue;
		if (accepted != -EAGAIN)
			pause_accepting(server, accepted);
		return;
	}
}

void hawser__server_watch_listeners(struct hawser_server *server, bool on)
{
	for (struct hawser__listener *at = server->listeners; at; at = at->next) {
		if (on && !at->is_watched && at->fd >= 0) {
			event_assign(&at->event, server->workers[0].loop.base, at->fd,
				     EV_READ | EV_PERSIST, on_accept, at);
			at->is_watched = event_add(&at->event, NULL) == 0;
		} else if (!on && at->is_watched) {
			event_del(&at->event);
			at->is_watched = false;
		}
	}
}

/* ---- binding ---- */

static void remember_file(struct hawser__listener *listener)
{
	struct stat status;

	if (listener->address.kind == HAWSER__ADDRESS_UNIX &&
	    stat(listener->address.path, &status) == 0) {
		listener->device = status.st_dev;
		listener->inode = status.st_ino;
	}
}

static void remove_file(const struct hawser__listener *listener)
{
	struct stat status;

	/* Perhaps another server has put its own in the same place since. */
	if (listener->address.kind == HAWSER__ADDRESS_UNIX && listener->inode &&
	    stat(listener->address.path, &status) == 0 && status.st_dev == listener->device &&
	    status.st_ino == listener->inode)
		unlink(listener->address.path);
}

/* For "*" the IPv6 address comes first: its socket takes IPv4 as well. */
static int bind_one(struct hawser__listener *listener, const struct addrinfo *list, unsigned mode,
		    struct hawser_error *error)
{
	int fd = -EADDRNOTAVAIL;

	if (listener->address.kind == HAWSER__ADDRESS_TCP && !listener->address.host[0])
		for (const struct addrinfo *at = list; at && fd < 0; at = at->ai_next)
			if (at->ai_family == AF_INET6)
				fd = hawser__socket_listen(&listener->address, at, mode, NULL);
	for (const struct addrinfo *at = list; at && fd < 0; at = at->ai_next)
		fd = hawser__socket_listen(&listener->address, at, mode, error);
	return fd;
}

int hawser_server_listen(struct hawser_server *server, const char *address,
			 struct hawser_error *error)
{
	struct hawser__listener *listener;
	struct sockaddr_storage bound;
	socklen_t length = sizeof bound;
	struct addrinfo *list = NULL;
	int index = 0, r;

	if (!server)
		return hawser__error_set(error, -EINVAL, "listen: the server is NULL");
	if (server->phase != HAWSER__SERVER_NEW)
		return hawser__error_set(error, -EBUSY,
					 "listen %.200s: the server runs; listen before that",
					 address ? address : "");
	listener = hawser__calloc(1, sizeof *listener);
	if (!listener)
		return hawser__error_set(error, -ENOMEM, "listen %.200s: out of memory",
					 address ? address : "");
	listener->server = server;
	r = hawser__address_parse(&listener->address, address, error);
	if (r == 0)
		r = hawser__address_resolve(&listener->address, true, false, &list, error);
	if (r == 0)
		r = listener->fd = bind_one(listener, list, server->options.unix_mode, error);
	hawser__address_free(list);
	if (r < 0) {
		free(listener);
		return r;
	}
	if (getsockname(listener->fd, (struct sockaddr *)&bound, &length) == 0)
		hawser__address_format((struct sockaddr *)&bound, length, listener->bound,
				       sizeof listener->bound);
	remember_file(listener);
	for (const struct hawser__listener *at = server->listeners; at; at = at->next)
		index++;
	*server->listeners_end = listener;
	server->listeners_end = &listener->next;
	/* On the user's base the server serves as soon as that runs. On its own, who
	 * can see the address can already ask it to end. */
	if (server->options.base)
		hawser__server_watch_listeners(server, true);
	else
		hawser__server_watch_signals(server);
	hawser__log(HAWSER_LOG_INFO, "listening on %s", listener->bound);
	return index;
}

const char *hawser_server_address(const struct hawser_server *server, unsigned index)
{
	const struct hawser__listener *at = server ? server->listeners : NULL;

	while (at && index--)
		at = at->next;
	return at ? at->bound : NULL;
}

void hawser__server_close_listeners(struct hawser_server *server)
{
	hawser__server_watch_listeners(server, false);
	if (server->has_accept_pause)
		event_del(&server->accept_pause);
	for (struct hawser__listener *at = server->listeners; at; at = at->next) {
		if (at->fd < 0)
			continue;
		remove_file(at);
		close(at->fd);
		at->fd = -1;
	}
}
