/* Any conversation: the whole stack against a peer that the input drives, through streams and
 * pieces, breaks and returns, rightly and wrongly.
 *
 * The input is a program. Its first bytes say which end Hawser is, and what the limits are; each
 * of the others is an operation with a few bytes behind it. What an operation asks for that
 * would be wrong is left out, unless to be wrong is the operation; so most programs mean
 * something. In the end, if nothing was wrong, every call must end. */

#include "conversation/clock.h"
#include "conversation/content.h"
#include "conversation/peer.h"
#include "fuzz.h"
#include "rpc/client.h"
#include "rpc/server.h"
#include "util/alloc.h"
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	WINDOW_MS = 30000,
	/* So much in one conversation takes no longer than it has to. */
	BUDGET_BYTES = 1 << 20,
	OPERATIONS_MOST = 400,
};

static struct event_base *base;
static struct hawser_server *server;
static struct hawser_client *client;
static struct peer peer;
static size_t budget;
static uint8_t settings[6];

/* ---- the input ---- */

static const uint8_t *input, *input_end;

static uint8_t next(void)
{
	return input < input_end ? *input++ : 0;
}

static size_t next_size(void)
{
	size_t size = content_size(next());

	if (size > budget)
		return 100;
	budget -= size;
	return size;
}

static struct talk *next_talk(void)
{
	uint8_t which = next();

	/* The last ones are the most likely. */
	return peer.n_talks ? &peer.talks[peer.n_talks - 1 - which % peer.n_talks] : NULL;
}

/* ---- memory ---- */

static unsigned until_failure;

static bool may_allocate(size_t size)
{
	(void)size;
	return !until_failure || --until_failure;
}

/* ---- connections ---- */

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

static void make_pair(int fds[2])
{
	int small = 4096;

	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	if (settings[0] & 0x80)
		setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
}

static void connect_server(void)
{
	struct hawser__worker *worker = &server->workers[0];
	int fds[2];

	if (worker->is_draining)
		return;
	make_pair(fds);
	peer_connect(&peer, fds[1]);
	atomic_fetch_add(&server->n_connections, 1);
	hawser__server_adopt(worker, fds[0], NULL, 0);
	if (!peer.has_session)
		peer_forget_session(&peer);
	peer_open(&peer);
}

static void connect_client(void)
{
	int fds[2];

	if (!client->connection) {
		hawser_client_connect(client, NULL);
	} else if (client->connection->fd < 0) {
		hawser__list_unlink(&client->attempt.link);
		hawser__client_loop_connect(client);
	}
	/* Without memory there is none; and one that stands need not be made. */
	if (!client->connection || client->connection->fd >= 0)
		return;
	hawser__list_unlink(&client->attempt.link);
	make_pair(fds);
	peer_connect(&peer, fds[1]);
	hawser__loop_set_alarm(client->loop, &client->connection->alarm,
			       client->loop->now_ms + 5000);
	if (hawser__connection_attach(client->connection, fds[0]) == 0)
		hawser__connection_flush(client->connection);
	else
		hawser__connection_lose(client->connection, HAWSER_UNAVAILABLE, 0, "no memory");
}

static void pump(size_t most)
{
	peer_write(&peer, most);
	event_base_loop(base, EVLOOP_NONBLOCK);
	peer_read(&peer);
}

static void answer_open(bool goes_on)
{
	if (peer.is_server && peer.is_asked && !peer.is_open && peer.fd >= 0)
		peer_opened(&peer, goes_on);
}

static void break_off(uint8_t how)
{
	if (how & 1)
		pump(SIZE_MAX);
	if (how & 2)
		peer_read(&peer);
	if (how & 4 && peer.fd >= 0) {
		shutdown(peer.fd, SHUT_WR);
		peer.is_draining = false;
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	if (how & 8)
		peer_connect(&peer, -1);
	if (how & 16)
		event_base_loop(base, EVLOOP_NONBLOCK);
	if (how & 32)
		return;
	if (server)
		connect_server();
	else
		connect_client();
	pump(SIZE_MAX);
	if (!(how & 64))
		answer_open(!(how & 128));
}

/* ---- operations: rightly ---- */

static void do_call(void)
{
	uint8_t method = next(), how = next(), order[4] = {0};
	struct peer_call call = {.method = method_at(method)};
	static const char orders[] = "eksfcwnr";

	order[0] = (uint8_t)orders[how % 8];
	order[1] = (uint8_t)('a' + next() % 16);
	order[2] = (uint8_t)('a' + how / 8 % 8);
	call.in_pieces = method & 0x80;
	call.is_announced = method & 0x40;
	call.is_by_name = method & 0x20;
	call.has_metadata = method & 0x10;
	call.is_announced_wrong = (method & 0x70) == 0x70;
	call.timeout_ms = how & 0x80 ? 1000 : 0;
	if (!streams_requests(call.method)) {
		size_t size = next_size();

		call.request = content_pack(1, size, (char *)order, (enum filler)(how >> 6 & 1),
					    &call.length);
	}
	if (server && peer.is_open)
		peer_call(&peer, &call);
	else
		free(call.request);
}

/* Whether the peer may send messages on it. */
static bool may_stream(const struct talk *talk)
{
	if (!talk || talk->is_over || talk->out.is_over)
		return false;
	return talk->is_ours ? streams_requests(talk->method)
			     : streams_replies(talk->method) || talk->out.count == 0;
}

static void do_message(void)
{
	struct talk *talk = next_talk();
	uint8_t how = next();
	size_t piece = content_size(how), size, length;
	char order[4] = {"eksfcwnr"[how >> 4 & 7], (char)('a' + how % 16), 'b', 0};
	uint8_t *message;

	/* To send it whole, however large. */
	if (how & 0x80)
		piece = SIZE_MAX;
	if (!talk || talk->is_over || talk->out.window <= 0)
		return;
	if (talk->out.message) {
		peer_go_on(&peer, talk, piece);
		return;
	}
	if (!may_stream(talk))
		return;
	size = next_size();
	message = content_pack(talk->out.count + 1, size, order, (enum filler)(next() % FILLERS),
			       &length);
	/* Beyond the limit the call ends. */
	peer_begin(&peer, talk, message, length, piece);
}

static void do_last(void)
{
	struct talk *talk = next_talk();

	if (talk && talk->is_ours && may_stream(talk) && !talk->out.message)
		peer_last(&peer, talk);
}

static void do_window(void)
{
	static const uint64_t bytes[] = {0, 1, 1000, 20000, 70000, 1 << 20};
	struct talk *talk = next_talk();
	uint8_t how = next();

	if (talk && !talk->is_over)
		peer_window(&peer, talk, how & 0x80 ? talk->in.debt : bytes[how % 6]);
}

static void do_cancel(void)
{
	struct talk *talk = next_talk();

	if (talk && talk->is_ours)
		peer_cancel(&peer, talk->id);
}

static void do_end(void)
{
	struct talk *talk = next_talk();
	uint8_t status = next() % 20;
	size_t size, length = 0;
	uint8_t *reply = NULL;

	if (!talk || talk->is_ours || talk->is_over)
		return;
	if (talk->out.message && !status)
		status = 1;
	if (!status && !streams_replies(talk->method) && !talk->out.count) {
		size = next_size();
		reply = content_pack(1, size, NULL, FILLER_DATA, &length);
	}
	peer_end(&peer, talk, status, reply, length);
}

static void do_time(void)
{
	static const uint64_t ms[] = {1, 10, 60, 110, 220, 1100, 5100, 16000, 31000, 46000};

	clock_pass(ms[next() % 10]);
	peer.has_waited = true;
	pump(SIZE_MAX);
}

static void do_close(void)
{
	uint8_t how = next();

	switch (how % 4) {
	case 0:
		if (server)
			hawser_server_drain(server);
		else
			peer_close(&peer, HAWSER__REASON__REASON_DRAINING,
				   how & 4 ? peer.last_call : 1);
		break;
	case 1:
		/* The peer says it; nothing may follow. */
		peer_close(&peer, 1 + how / 4 % 15, peer.last_call);
		if (how / 4 % 15 != 1)
			peer.is_rude = true;
		break;
	case 2:
		peer_shutdown(&peer);
		break;
	default:
		peer_ping(&peer, how);
		break;
	}
}

/* ---- operations: wrongly ---- */

static void be_rude(void)
{
	peer.is_rude = true;
	service_is_lenient = true;
}

static const uint8_t zeros[128 * 1024];

/* What is refused by ending a call, or ignored: not one of these may close the connection. */
static void do_odd(void)
{
	struct talk *talk = next_talk();
	uint8_t how = next();
	bool is_fresh = talk && may_stream(talk) && talk->is_ours && !talk->out.message &&
			talk->out.window > 0;

	switch (how % 8) {
	case 0:
		peer_message(&peer, 999999, false, 0, zeros, 10);
		break;
	case 1:
		peer_cancel(&peer, 999999);
		break;
	case 2: {
		struct talk nobody = {.id = 999999};

		peer_window(&peer, &nobody, 5);
		break;
	}
	case 3:
		/* More than may be. */
		if (is_fresh) {
			talk->out.window = 0;
			peer_message(&peer, talk->id, false, 1ull << (how / 8 % 40 + 23), zeros,
				     10);
			talk->out.is_over = true;
		}
		break;
	case 4:
		/* No message at all. */
		if (is_fresh && talk->method->id < UNARY_RAW) {
			talk->out.window -= 26;
			peer_message(&peer, talk->id, false, 0, zeros, 10);
			talk->out.is_over = true;
		}
		break;
	case 5:
		/* A piece of nothing. */
		if (talk && talk->out.message && talk->out.window > 0)
			peer_go_on(&peer, talk, 0);
		break;
	case 6:
		if (peer.is_open)
			peer_frame(&peer, (const uint8_t *)"\x82\x01\x01x\x70\x01", 6);
		break;
	default:
		peer.rides = !peer.rides;
		break;
	}
}

static void do_wrong(void)
{
	struct talk *talk = next_talk();
	uint8_t how = next();
	uint64_t id = talk ? talk->id : how;

	be_rude();
	switch (how % 12) {
	case 0:
		peer_message(&peer, id, false, 5, zeros, 10);
		break;
	case 1:
		peer_message(&peer, id, false, 0, zeros, 70000);
		break;
	case 2:
		peer_message(&peer, id, true, 0, NULL, 0);
		break;
	case 3:
		peer_message(&peer, id, true, how / 12, zeros, how / 12);
		break;
	case 4:
		peer_message(&peer, id, false, 100, zeros, how / 12);
		break;
	case 5:
		peer_message(&peer, id, false, 0, zeros, sizeof zeros);
		break;
	case 6:
		peer_ack(&peer, peer.n_sent + how / 12);
		break;
	case 7:
		if (talk)
			peer_window(&peer, talk, how & 0x80 ? UINT64_MAX : 1ull << 39);
		peer.is_blind = true;
		break;
	case 8:
		peer_message(&peer, 0, false, 0, NULL, 0);
		break;
	case 9: {
		struct talk other = {.id = id};

		peer_end(&peer, &other, how / 12 % 3, NULL, 0);
		break;
	}
	case 10:
		peer.next_call += how & 0x80 ? 1 : -2ull;
		break;
	default:
		peer_message(&peer, id, false, UINT64_MAX, NULL, 0);
		break;
	}
}

static void do_raw(void)
{
	size_t length = next(), left = (size_t)(input_end - input);
	bool is_frame = length & 0x80;

	length &= 0x7f;
	if (length > left)
		length = left;
	be_rude();
	peer.is_blind = true;
	if (is_frame)
		peer_frame(&peer, input, length);
	else
		peer_raw(&peer, input, length);
	input += length;
}

/* ---- the program ---- */

static void act(void)
{
	uint8_t which = next(), action = next(), size = next();

	if (server) {
		service_act(which, action, size);
		return;
	}
	if (which & 0xc0) {
		application_act(which, action, size);
		return;
	}
	if (!client->connection)
		connect_client();
	application_call(client, which, size, action, action & 0x40 ? 1000 : 0);
}

static void operate(void)
{
	uint8_t operation = next();

	switch (operation & 15) {
	case 0:
		pump(operation & 0x80 ? next() * 16u : SIZE_MAX);
		break;
	case 1:
		do_call();
		break;
	case 2:
	case 3:
		do_message();
		break;
	case 4:
		do_last();
		break;
	case 5:
		do_window();
		break;
	case 6:
		do_cancel();
		break;
	case 7:
		do_end();
		break;
	case 8:
		act();
		break;
	case 9:
		break_off(next());
		break;
	case 10:
		if (operation & 0x10)
			peer.is_deaf = !peer.is_deaf;
		else
			do_time();
		break;
	case 11:
		peer_ack(&peer, peer.received);
		break;
	case 12:
		do_odd();
		break;
	case 13:
		if (operation & 0x10)
			do_wrong();
		else
			do_raw();
		break;
	case 14:
		do_close();
		break;
	default:
		if (operation & 0x10) {
			until_failure = 1 + next();
			peer.is_weak = true;
		} else {
			answer_open(operation & 0x20);
		}
		break;
	}
	if (operation & 0x40)
		pump(SIZE_MAX);
}

/* ---- the end ---- */

static void finish_talk(struct talk *talk)
{
	struct flow *out = &talk->out;
	size_t length;

	if (talk->is_over)
		return;
	if (talk->in.debt)
		peer_window(&peer, talk, talk->in.debt);
	if (out->message) {
		if (out->window > 0)
			peer_go_on(&peer, talk, 60000);
	} else if (talk->is_ours) {
		if (may_stream(talk))
			peer_last(&peer, talk);
	} else if (!streams_replies(talk->method) && !out->count) {
		uint8_t *reply = content_pack(1, 10, NULL, FILLER_DATA, &length);

		peer_end(&peer, talk, 0, reply, length);
	} else {
		peer_end(&peer, talk, 0, NULL, 0);
	}
}

static bool is_all_over(void)
{
	for (unsigned i = 0; i < peer.n_talks; i++)
		if (!peer.talks[i].is_over)
			return false;
	return server || application_is_done();
}

/* Nothing was wrong, so everything comes to its end. */
static void finish(void)
{
	until_failure = 0;
	peer.is_deaf = false;
	if (client)
		application_end_all();
	pump(SIZE_MAX);
	require(!client || client->connection || application_is_done());
	for (unsigned round = 0; round < 200; round++) {
		if (peer.is_rude || peer.is_weak || peer.is_closing || peer.is_over ||
		    !peer.is_open || peer.n_sent + 2 * TALKS_MAX > KEPT_MAX)
			return;
		if (client)
			application_end_all();
		else if (round == 20)
			service_answer_all();
		for (unsigned i = 0; i < peer.n_talks; i++)
			finish_talk(&peer.talks[i]);
		pump(SIZE_MAX);
		if (is_all_over())
			return;
	}
	/* Some call has not come to its end. */
	require(is_all_over());
}

static void begin_server(void)
{
	struct hawser_server_options options = HAWSER_SERVER_OPTIONS_INIT;

	options.base = base;
	options.session_window_ms = WINDOW_MS;
	options.ignore_signals = options.allow_shutdown = true;
	options.max_request_bytes = settings[1] & 1 ? 4096 : 200000;
	options.max_reply_bytes = settings[1] & 2 ? 4096 : 200000;
	options.stream_window_bytes = settings[1] & 4 ? 1000 : 100000;
	if (settings[1] & 8)
		options.max_unsent_bytes = 2000;
	if (settings[1] & 16)
		options.max_log_bytes = 20000;
	if (settings[1] & 32)
		options.max_unread_bytes = 5000;
	if (settings[2] % 4 == 1)
		options.slow_peer = HAWSER_SLOW_PEER_FAIL_CALL;
	else if (settings[2] % 4 == 2)
		options.slow_peer = HAWSER_SLOW_PEER_CLOSE;
	if (options.slow_peer) {
		options.slow_peer_timeout_ms = 100;
		options.slow_peer_bytes = settings[2] & 4 ? 50000 : 0;
	}
	options.max_calls = settings[2] & 8 ? 3 : 0;
	options.idle_timeout_ms = settings[2] & 16 ? 1000 : 0;
	server = hawser_server_new(&options, NULL);
	require(server);
	service_register(server);
	connect_server();
}

static void begin_client(void)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;

	options.base = base;
	options.no_session = !(settings[0] & 2);
	options.max_request_bytes = settings[1] & 1 ? 4096 : 0;
	options.max_reply_bytes = settings[1] & 2 ? 4096 : 200000;
	options.stream_window_bytes = settings[1] & 4 ? 1000 : 100000;
	if (settings[1] & 16)
		options.max_log_bytes = 20000;
	if (settings[1] & 32)
		options.max_unread_bytes = 5000;
	if (settings[2] % 4 == 1)
		options.slow_peer = HAWSER_SLOW_PEER_FAIL_CALL;
	else if (settings[2] % 4 == 2)
		options.slow_peer = HAWSER_SLOW_PEER_CLOSE;
	if (options.slow_peer) {
		options.slow_peer_timeout_ms = 100;
		options.slow_peer_bytes = settings[2] & 4 ? 50000 : 0;
	}
	client = hawser_client_new("unix:/nonexistent/hawser", &options, NULL);
	require(client);
	connect_client();
}

static void end_server(void)
{
	struct hawser__worker *worker = &server->workers[0];

	if (settings[3] & 1 && peer.fd >= 0 && peer.is_open)
		peer_close(&peer, 1, 0);
	pump(SIZE_MAX);
	peer_connect(&peer, -1);
	event_base_loop(base, EVLOOP_NONBLOCK);
	if (settings[3] & 2) {
		/* Its sessions are over after their time. */
		clock_pass(WINDOW_MS + 50000);
		event_base_loop(base, EVLOOP_NONBLOCK);
		require(hawser__list_empty(&worker->connections));
		require(atomic_load(&server->log_bytes) == 0);
	}
	service_answer_all();
	if (settings[3] & 2)
		require(atomic_load(&worker->serving.in_flight) == 0);
	hawser_server_free(server);
	server = NULL;
	service_check_nothing_left();
}

static void end_client(void)
{
	if (settings[3] & 1)
		application_free_all();
	hawser_client_free(client);
	client = NULL;
	application_free_all();
}

static void init(void)
{
	if (base)
		return;
	base = event_base_new();
	require(base);
	/* HAWSER_TRACE=1 shows what an input does. */
	if (!getenv("HAWSER_TRACE")) {
		hawser_log_set_sink(silence, NULL);
		hawser_trace_set_sink(ignore_line, NULL);
	}
	hawser__alloc_hook = may_allocate;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t windows[] = {0, 1, 1000, 1 << 20};

	init();
	input = data;
	input_end = data + size;
	for (size_t i = 0; i < sizeof settings; i++)
		settings[i] = next();
	budget = BUDGET_BYTES;
	until_failure = 0;
	clock_begin();
	service_begin();
	if (!getenv("HAWSER_TRACE")) {
		hawser_log_set_level(settings[3] & 4 ? HAWSER_LOG_DEBUG : HAWSER_LOG_NONE);
		hawser_trace_enable(settings[3] & 8, 100);
	}
	peer_init(&peer, settings[0] & 1);
	peer.wants_session = settings[0] & 2;
	peer.window_in = windows[settings[0] >> 2 & 3];
	peer.rides = settings[0] & 0x10;
	peer.max_reply_bytes = settings[0] & 0x20 ? 5000 : 0;
	if (settings[0] & 1)
		begin_client();
	else
		begin_server();
	pump(SIZE_MAX);
	if (!(settings[0] & 0x40))
		answer_open(true);
	for (unsigned i = 0; input < input_end && i < OPERATIONS_MOST; i++)
		operate();
	finish();
	until_failure = 0;
	if (server)
		end_server();
	else
		end_client();
	peer_deinit(&peer);
	return 0;
}
