/* The ways to part with a socket, each of which looks different to its peer. */

#include "proxy_end.h"
#include "proxy.h"
#include "proxy_relay.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

static void watch(struct end *end, short what, event_callback_fn callback)
{
	event_del(&end->readable);
	event_del(&end->writable);
	event_assign(&end->readable, end->relay->proxy->base, end->fd, what | EV_PERSIST, callback,
		     end);
	if (event_add(&end->readable, NULL) < 0)
		end_close(end);
}

void end_open(struct end *end, struct relay *relay, int fd)
{
	*end = (struct end){.relay = relay, .fd = fd};
	event_assign(&end->readable, relay->proxy->base, fd, EV_READ | EV_PERSIST,
		     relay_on_readable, end);
	event_assign(&end->writable, relay->proxy->base, fd, EV_WRITE, relay_on_writable, end);
}

void end_close(struct end *end)
{
	if (end->fd < 0)
		return;
	event_del(&end->readable);
	event_del(&end->writable);
	close(end->fd);
	end->fd = -1;
}

void end_reset(struct end *end)
{
	struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	if (end->fd >= 0)
		setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	end_close(end);
}

static void on_farewell(evutil_socket_t fd, short what, void *data)
{
	struct end *end = data;
	struct proxy *proxy = end->relay->proxy;
	ssize_t n = recv(fd, proxy->scratch, PROXY_SCRATCH_BYTES, 0);

	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	end_close(end);
	relay_settle(end->relay);
}

/* To close a socket that has unread bytes would be a reset. */
void end_finish(struct end *end)
{
	if (end->fd < 0)
		return;
	shutdown(end->fd, SHUT_WR);
	watch(end, EV_READ, on_farewell);
}

static void on_stir(evutil_socket_t fd, short what, void *data)
{
	struct end *end = data;
	struct pollfd state = {.fd = fd, .events = end->has_ended ? 0 : POLLRDHUP};

	if (poll(&state, 1, 0) <= 0)
		return; /* only bytes, which nobody will read */
	end_close(end);
	relay_settle(end->relay);
}

/* A peer that is gone and whose goodbye did not come through, because what it sent before
 * filled the buffers, or because it had said goodbye already, is found out by its system. */
static void keep_asking(int fd)
{
	int one = 1, after_s = 10, every_s = 10, times = 3;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &after_s, sizeof after_s);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof every_s);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof times);
}

/* Edge-triggered, for what is not read stays readable. Bytes are not read and thrown away:
 * to the sender they would have arrived. */
void end_silence(struct end *end)
{
	if (end->fd < 0)
		return;
	keep_asking(end->fd);
	watch(end, EV_READ | EV_ET, on_stir);
}
