/* The two ends of a conversation, and what connects them: socket pairs, instead of addresses. */

#include "../fuzz.h"
#include "clock.h"
#include "program.h"
#include "rpc/client.h"
#include "rpc/server.h"
#include "util/alloc.h"
#include <sys/socket.h>
#include <unistd.h>

/* ---- what the program has in its hands ---- */

static bool may_allocate(size_t size)
{
	(void)size;
	return !fuzz.until_failure || --fuzz.until_failure;
}

static void silence(enum hawser_log_level level, const char *line, void *data)
{
	(void)level;
	(void)line;
	(void)data;
}

static void ignore_line(const char *line, void *data)
{
	(void)line;
	(void)data;
}

void ends_init(void)
{
	if (fuzz.base)
		return;
	fuzz.base = event_base_new();
	require(fuzz.base);
	/* HAWSER_TRACE=1 shows what an input does. */
	if (!getenv("HAWSER_TRACE")) {
		hawser_log_set_sink(silence, NULL);
		hawser_trace_set_sink(ignore_line, NULL);
	}
	hawser__alloc_hook = may_allocate;
}

/* ---- connections ---- */

static void make_pair(int fds[2])
{
	int small = 4096;

	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	if (fuzz.settings[0] & 0x80)
		setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
}

static void connect_server(void)
{
	struct hawser__worker *worker = &fuzz.server->workers[0];
	int fds[2];

	if (worker->is_draining)
		return;
	make_pair(fds);
	peer_connect(&fuzz.peer, fds[1]);
	atomic_fetch_add(&fuzz.server->n_connections, 1);
	hawser__server_adopt(worker, fds[0], NULL, 0);
	if (!fuzz.peer.has_session)
		peer_forget_session(&fuzz.peer);
	peer_open(&fuzz.peer);
}

void ends_connect_client(void)
{
	int fds[2];

	if (!fuzz.client->connection) {
		hawser_client_connect(fuzz.client, NULL);
	} else if (fuzz.client->connection->fd < 0) {
		hawser__list_unlink(&fuzz.client->attempt.link);
		hawser__client_loop_connect(fuzz.client);
	}
	/* Without memory there is none; and one that stands need not be made. */
	if (!fuzz.client->connection || fuzz.client->connection->fd >= 0)
		return;
	hawser__list_unlink(&fuzz.client->attempt.link);
	make_pair(fds);
	peer_connect(&fuzz.peer, fds[1]);
	hawser__loop_set_alarm(fuzz.client->loop, &fuzz.client->connection->alarm,
			       fuzz.client->loop->now_ms + 5000);
	if (hawser__connection_attach(fuzz.client->connection, fds[0]) == 0)
		hawser__connection_flush(fuzz.client->connection);
	else
		hawser__connection_lose(fuzz.client->connection, HAWSER_UNAVAILABLE, 0,
					"no memory");
}

bool ends_pump(size_t most)
{
	peer_write(&fuzz.peer, most);
	event_base_loop(fuzz.base, EVLOOP_NONBLOCK);
	return peer_read(&fuzz.peer);
}

void ends_answer_open(bool goes_on)
{
	if (fuzz.peer.is_server && fuzz.peer.is_asked && !fuzz.peer.is_open && fuzz.peer.fd >= 0)
		peer_opened(&fuzz.peer, goes_on);
}

void ends_break(uint8_t how)
{
	if (how & 1)
		ends_pump(SIZE_MAX);
	if (how & 2)
		peer_read(&fuzz.peer);
	if (how & 4 && fuzz.peer.fd >= 0) {
		shutdown(fuzz.peer.fd, SHUT_WR);
		fuzz.peer.has_gone = true;
		event_base_loop(fuzz.base, EVLOOP_NONBLOCK);
	}
	if (how & 8)
		peer_connect(&fuzz.peer, -1);
	if (how & 16)
		event_base_loop(fuzz.base, EVLOOP_NONBLOCK);
	if (how & 32)
		return;
	if (fuzz.server)
		connect_server();
	else
		ends_connect_client();
	ends_pump(SIZE_MAX);
	if (!(how & 64))
		ends_answer_open(!(how & 128));
}

/* ---- life ---- */

static const struct hawser_label label = {"site", "here"};

static void begin_server(void)
{
	struct hawser_server_options options = HAWSER_SERVER_OPTIONS_INIT;

	options.base = fuzz.base;
	options.session_window_ms = WINDOW_MS;
	options.ignore_signals = options.allow_shutdown = true;
	options.max_request_bytes = fuzz.settings[1] & 1 ? 4096 : 200000;
	options.max_reply_bytes = fuzz.settings[1] & 2 ? 4096 : 200000;
	options.stream_window_bytes = fuzz.settings[1] & 4 ? 1000 : 100000;
	if (fuzz.settings[1] & 8)
		options.max_unsent_bytes = 2000;
	if (fuzz.settings[1] & 16)
		options.max_log_bytes = 20000;
	if (fuzz.settings[1] & 32)
		options.max_unread_bytes = 5000;
	if (fuzz.settings[2] % 4 == 1)
		options.slow_peer = HAWSER_SLOW_PEER_FAIL_CALL;
	else if (fuzz.settings[2] % 4 == 2)
		options.slow_peer = HAWSER_SLOW_PEER_CLOSE;
	if (options.slow_peer) {
		options.slow_peer_timeout_ms = 100;
		options.slow_peer_bytes = fuzz.settings[2] & 4 ? 50000 : 0;
	}
	options.max_calls = fuzz.settings[2] & 8 ? 3 : 0;
	options.idle_timeout_ms = fuzz.settings[2] & 16 ? 1000 : 0;
	if (fuzz.settings[4] & 8) {
		options.labels = &label;
		options.n_labels = 1;
	}
	fuzz.server = hawser_server_new(&options, NULL);
	require(fuzz.server);
	service_register(fuzz.server);
	connect_server();
}

static void begin_client(void)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;

	options.base = fuzz.base;
	options.no_session = !(fuzz.settings[0] & 2);
	options.max_request_bytes = fuzz.settings[1] & 1 ? 4096 : 0;
	options.max_reply_bytes = fuzz.settings[1] & 2 ? 4096 : 200000;
	options.stream_window_bytes = fuzz.settings[1] & 4 ? 1000 : 100000;
	if (fuzz.settings[1] & 16)
		options.max_log_bytes = 20000;
	if (fuzz.settings[1] & 32)
		options.max_unread_bytes = 5000;
	if (fuzz.settings[2] % 4 == 1)
		options.slow_peer = HAWSER_SLOW_PEER_FAIL_CALL;
	else if (fuzz.settings[2] % 4 == 2)
		options.slow_peer = HAWSER_SLOW_PEER_CLOSE;
	if (options.slow_peer) {
		options.slow_peer_timeout_ms = 100;
		options.slow_peer_bytes = fuzz.settings[2] & 4 ? 50000 : 0;
	}
	if (fuzz.settings[4] & 8) {
		options.labels = &label;
		options.n_labels = 1;
		options.listens = "tcp:192.0.2.1:7000";
	}
	fuzz.client = hawser_client_new("unix:/nonexistent/hawser", &options, NULL);
	require(fuzz.client);
	ends_connect_client();
}

static void end_server(void)
{
	struct hawser__worker *worker = &fuzz.server->workers[0];

	if (fuzz.settings[3] & 1 && fuzz.peer.fd >= 0 && fuzz.peer.is_open)
		peer_close(&fuzz.peer, 1, 0);
	ends_pump(SIZE_MAX);
	peer_connect(&fuzz.peer, -1);
	event_base_loop(fuzz.base, EVLOOP_NONBLOCK);
	if (fuzz.settings[3] & 2) {
		/* Its sessions are over after their time. */
		clock_pass(WINDOW_MS + 50000);
		event_base_loop(fuzz.base, EVLOOP_NONBLOCK);
		require(hawser__list_empty(&worker->connections));
		require(atomic_load(&fuzz.server->log_bytes) == 0);
	}
	service_answer_all();
	if (fuzz.settings[3] & 2)
		require(atomic_load(&worker->serving.in_flight) == 0);
	hawser_server_free(fuzz.server);
	fuzz.server = NULL;
	service_check_nothing_left();
}

static void end_client(void)
{
	if (fuzz.settings[3] & 1)
		application_free_all();
	hawser_client_free(fuzz.client);
	fuzz.client = NULL;
	application_free_all();
}

void ends_begin(void)
{
	static const uint64_t windows[] = {0, 1, 1000, 1 << 20};

	peer_init(&fuzz.peer, fuzz.settings[0] & 1);
	fuzz.peer.wants_session = fuzz.settings[0] & 2;
	fuzz.peer.window_in = windows[fuzz.settings[0] >> 2 & 3];
	fuzz.peer.rides = fuzz.settings[0] & 0x10;
	fuzz.peer.max_reply_bytes = fuzz.settings[0] & 0x20 ? 5000 : 0;
	fuzz.peer.hello = fuzz.settings[4] & 7;
	if (fuzz.settings[0] & 1)
		begin_client();
	else
		begin_server();
	ends_pump(SIZE_MAX);
	if (!(fuzz.settings[0] & 0x40))
		ends_answer_open(true);
}

void ends_end(void)
{
	fuzz.until_failure = 0;
	if (fuzz.server)
		end_server();
	else
		end_client();
	peer_deinit(&fuzz.peer);
}
