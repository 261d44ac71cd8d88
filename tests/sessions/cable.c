/* cable: two network namespaces, and between them a network that fails as it is told.
 *
 *     cable SEED
 *
 * Each namespace has one device, a TUN; the near one the address 10.99.0.2, the far one
 * 10.99.0.1. What the one sends is read here, and written to the other: later, in another order,
 * or not at all. So the kernel's own TCP is at work on both sides of a bad network, and
 * nothing is needed for it but the right to make namespaces: neither a queueing
 * discipline that the kernel may not have, nor a name that would be left behind.
 *
 * Prints "ready PID NEAR FAR": the namespaces are /proc/PID/fd/NEAR and FAR. Then it takes
 * commands, one a line, and answers each with "ok":
 *
 *     loss PERCENT          so many packets are lost
 *     delay MS JITTER       packets take so long, more or less
 *     cut near|far|both MS  nothing arrives at that end for so long; then it prints "joined"
 *     down MS               the near device is down for so long; then it prints "up"
 *     address A.B.C.D       the near end has this address from now on
 *
 * Ends with its standard input. Where namespaces cannot be made it says why and
 * ends with 77. */

#include "sim/chance.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NEAR, FAR, ENDS };
enum { PACKET_MOST = 2048, CANNOT = 77 };

struct end {
	int space;     /* its namespace */
	int device;    /* packets, in and out */
	int control;   /* a socket in its namespace, for ioctls */
	unsigned cuts; /* that last: nothing arrives here */
	struct event *readable;
};

struct packet {
	struct end *to;
	size_t length;
	uint8_t data[];
};

static struct end ends[ENDS];
static struct event_base *base;
static struct chance chance;
static unsigned loss_percent, delay_ms, jitter_ms;
static const char device_name[IFNAMSIZ] = "cable";

/* ---- namespaces and devices ---- */

static void set_address(struct end *end, const char *address)
{
	struct ifreq request = {0};
	struct sockaddr_in *in = (struct sockaddr_in *)&request.ifr_addr;

	memcpy(request.ifr_name, device_name, sizeof device_name);
	in->sin_family = AF_INET;
	if (inet_pton(AF_INET, address, &in->sin_addr) != 1)
		errx(2, "address %s: give an IPv4 address", address);
	if (ioctl(end->control, SIOCSIFADDR, &request) < 0)
		err(1, "address %s", address);
	in->sin_addr.s_addr = htonl(0xffffff00);
	if (ioctl(end->control, SIOCSIFNETMASK, &request) < 0)
		err(1, "the network of %s", address);
}

static void set_up(struct end *end, bool is_up)
{
	struct ifreq request = {0};

	memcpy(request.ifr_name, device_name, sizeof device_name);
	if (ioctl(end->control, SIOCGIFFLAGS, &request) < 0)
		err(1, "the device's flags");
	if (is_up)
		request.ifr_flags |= IFF_UP;
	else
		request.ifr_flags &= (short)~IFF_UP;
	if (ioctl(end->control, SIOCSIFFLAGS, &request) < 0)
		err(1, "the device, up or down");
}

static void make(struct end *end, const char *address)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};

	if (unshare(CLONE_NEWNET) < 0)
		err(CANNOT, "a network namespace cannot be made here; run this as root");
	end->space = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	end->device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (end->device < 0)
		err(CANNOT, "/dev/net/tun cannot be opened; run this as root");
	memcpy(request.ifr_name, device_name, sizeof device_name);
	if (ioctl(end->device, TUNSETIFF, &request) < 0)
		err(CANNOT, "a TUN device cannot be made here");
	end->control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (end->space < 0 || end->control < 0)
		err(1, "a network namespace");
	set_address(end, address);
	set_up(end, true);
}

/* ---- packets ---- */

static void deliver(evutil_socket_t fd, short what, void *data)
{
	struct packet *packet = data;

	(void)fd;
	(void)what;
	/* A device that is down, or whose queue is full, loses it; so do networks. */
	if (!packet->to->cuts && write(packet->to->device, packet->data, packet->length) < 0 &&
	    errno != EIO && errno != EAGAIN && errno != ENOBUFS && errno != EINVAL)
		err(1, "a packet could not be delivered");
	free(packet);
}

static void carry(struct end *to, const uint8_t *data, size_t length)
{
	struct packet *packet = malloc(sizeof *packet + length);
	unsigned ms = delay_ms;
	struct timeval after;

	if (!packet)
		err(1, "a packet");
	packet->to = to;
	packet->length = length;
	memcpy(packet->data, data, length);
	if (jitter_ms)
		ms += (unsigned)chance_below(&chance, 2 * jitter_ms + 1) - jitter_ms;
	after = (struct timeval){ms / 1000, ms % 1000 * 1000};
	if (ms == 0)
		deliver(-1, 0, packet);
	else if (event_base_once(base, -1, EV_TIMEOUT, deliver, packet, &after) < 0)
		errx(1, "no event for a packet");
}

static void on_packets(evutil_socket_t fd, short what, void *data)
{
	struct end *to = data;
	uint8_t packet[PACKET_MOST];
	ssize_t length;

	(void)what;
	while ((length = read(fd, packet, sizeof packet)) > 0) {
		if (!to->cuts && !chance_percent(&chance, loss_percent))
			carry(to, packet, (size_t)length);
	}
}

/* ---- commands ---- */

static void say(const char *text)
{
	puts(text);
	fflush(stdout);
}

static void on_joined(evutil_socket_t fd, short what, void *data)
{
	struct end *end = data;

	(void)fd;
	(void)what;
	for (int i = 0; i < ENDS; i++) {
		if (!end || end == &ends[i])
			ends[i].cuts--;
	}
	say("joined");
}

static void on_up(evutil_socket_t fd, short what, void *data)
{
	(void)fd;
	(void)what;
	(void)data;
	set_up(&ends[NEAR], true);
	say("up");
}

static void after(unsigned ms, event_callback_fn callback, void *data)
{
	struct timeval later = {ms / 1000, ms % 1000 * 1000};

	if (event_base_once(base, -1, EV_TIMEOUT, callback, data, &later) < 0)
		errx(1, "no event");
}

static void cut(const char *where, unsigned ms)
{
	struct end *end = NULL; /* both */

	if (strcmp(where, "near") == 0)
		end = &ends[NEAR];
	else if (strcmp(where, "far") == 0)
		end = &ends[FAR];
	else if (strcmp(where, "both") != 0)
		errx(2, "cut %s: give near, far or both", where);
	for (int i = 0; i < ENDS; i++) {
		if (!end || end == &ends[i])
			ends[i].cuts++;
	}
	after(ms, on_joined, end);
}

static void obey(const char *line)
{
	unsigned one, two;
	char word[64];

	if (sscanf(line, "loss %u", &one) == 1 && one <= 100) {
		loss_percent = one;
	} else if (sscanf(line, "delay %u %u", &one, &two) == 2 && two <= one) {
		delay_ms = one;
		jitter_ms = two;
	} else if (sscanf(line, "cut %63s %u", word, &one) == 2) {
		cut(word, one);
	} else if (sscanf(line, "down %u", &one) == 1) {
		set_up(&ends[NEAR], false);
		after(one, on_up, NULL);
	} else if (sscanf(line, "address %63s", word) == 1) {
		set_address(&ends[NEAR], word);
	} else {
		errx(2, "%s: no such command; the source tells which there are", line);
	}
	say("ok");
}

static void on_commands(evutil_socket_t fd, short what, void *data)
{
	static char text[4096];
	static size_t length;
	ssize_t n = read(fd, text + length, sizeof text - 1 - length);
	char *line = text, *end;

	(void)what;
	(void)data;
	if (n <= 0) {
		event_base_loopbreak(base);
		return;
	}
	text[length += (size_t)n] = '\0';
	for (; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		obey(line);
	}
	length -= (size_t)(line - text);
	memmove(text, line, length);
}

int main(int argc, char **argv)
{
	struct event *commands;

	if (argc != 2 || !*argv[1])
		errx(2, "give a seed, a number");
	chance.state = strtoull(argv[1], NULL, 10);
	make(&ends[NEAR], "10.99.0.2");
	make(&ends[FAR], "10.99.0.1");
	base = event_base_new();
	if (!base)
		errx(1, "no event_base");
	for (int i = 0; i < ENDS; i++) {
		ends[i].readable = event_new(base, ends[i].device, EV_READ | EV_PERSIST, on_packets,
					     &ends[ENDS - 1 - i]);
		if (!ends[i].readable || event_add(ends[i].readable, NULL) < 0)
			errx(1, "no event");
	}
	commands = event_new(base, STDIN_FILENO, EV_READ | EV_PERSIST, on_commands, NULL);
	if (!commands || event_add(commands, NULL) < 0)
		errx(1, "no event");
	printf("ready %d %d %d\n", getpid(), ends[NEAR].space, ends[FAR].space);
	fflush(stdout);
	event_base_dispatch(base);
	event_free(commands);
	for (int i = 0; i < ENDS; i++)
		event_free(ends[i].readable);
	event_base_free(base);
	return 0;
}
