/* Calls in both directions at once: into each other in depth, beside each other, and through
 * connections that break. Each is executed once. */

#include "both.h"
#include "relayed.h"
#include "reversed.h"
#include "samples.h"
#include "support/random.h"
#include "support/suite.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 20 };

/* ---- into each other ---- */

struct dive {
	struct hawser_call *call;
	int64_t number;
};

static void on_surfaced(struct hawser_call *asked, const Rpctest__Payload *reply_or_null,
			void *data)
{
	struct dive *dive = data;
	Rpctest__Payload reply = RPCTEST__PAYLOAD__INIT;

	if (reply_or_null) {
		reply.number = reply_or_null->number + 1;
		rpctest_tester_echo_reply(dive->call, &reply);
	} else {
		hawser_call_fail(dive->call, hawser_call_error(asked)->status, "%s",
				 hawser_call_error(asked)->message);
	}
	hawser_call_free(asked);
	free(dive);
}

/* Asks its caller for one less, holding its own call meanwhile; at 0 it answers. */
static void on_dive(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct side *side = data;
	struct hawser_peer *peer = hawser_call_from(call);
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	Rpctest__Payload deeper = *request, reply = RPCTEST__PAYLOAD__INIT;
	struct dive *dive;

	side->n_served++;
	if (!request->number) {
		rpctest_tester_echo_reply(call, &reply);
		hawser_peer_unref(peer);
		return;
	}
	dive = calloc(1, sizeof *dive);
	dive->call = call;
	deeper.number--;
	context.parent = call;
	if (!rpctest_tester_echo_async(hawser_peer_client(peer), &deeper, on_surfaced, dive,
				       &context)) {
		hawser_call_fail(call, HAWSER_INTERNAL, "errno %d", errno);
		free(dive);
	}
	hawser_peer_unref(peer);
}

static const struct rpctest_tester_service divers = {.echo = on_dive};

START_TEST(ends_call_each_other_in_depth)
{
	struct both_setup setup = {.of_server = &divers, .of_client = &divers};
	struct both both;

	both_start(&both, _i, &setup);
	for (int64_t depth = 0; depth <= DEPTH; depth++) {
		both_call_and_wait(&both, both.client, ECHO, depth, NULL);
		both_assert_ok(&both);
		ck_assert_int_eq(both.number, depth);
	}
	ck_assert_uint_eq(both.at_server.n_served + both.at_client.n_served,
			  (DEPTH + 1) * (DEPTH + 2) / 2);
	both_stop(&both);
}
END_TEST

/* Many at once, with each level's call in flight: DIVES times DEPTH / 2 at each end. */
START_TEST(many_dive_at_once)
{
	enum { DIVES = 50 };
	struct both_setup setup = {.of_server = &divers, .of_client = &divers};
	struct both both;

	both_start(&both, _i, &setup);
	for (unsigned i = 0; i < DIVES; i++)
		both_call(&both, both.client, ECHO, DEPTH, NULL);
	for (unsigned i = 0; i < DIVES; i++) {
		both_until(&both, both.n_done > i);
		both_assert_ok(&both);
		ck_assert_int_eq(both.number, DEPTH);
	}
	ck_assert_uint_eq(both.at_server.n_served + both.at_client.n_served, DIVES * (DEPTH + 1));
	both_stop(&both);
}
END_TEST

/* In the limits of how many calls may be in flight: what is refused at some depth fails all the way
 * up, with that text. */
START_TEST(depth_ends_at_the_limit_of_calls)
{
	struct hawser_client_options options = HAWSER_CLIENT_OPTIONS_INIT;
	struct both_setup setup = {.client = &options, .of_server = &divers, .of_client = &divers};
	struct both both;

	options.max_calls = 5;
	both_start(&both, _i, &setup);
	both_call_and_wait(&both, both.client, ECHO, 10, NULL);
	both_assert_ok(&both);
	both_call_and_wait(&both, both.client, ECHO, DEPTH, NULL);
	both_assert_failed(&both, HAWSER_RESOURCE_EXHAUSTED, HAWSER_OUTCOME_EXECUTED,
			   "the limit is 5");
	both_call_and_wait(&both, both.client, ECHO, 10, NULL);
	both_assert_ok(&both);
	both_stop(&both);
}
END_TEST

/* The deadline of the first holds for all: they inherit it. */
static void on_bottom(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct side *side = data;

	if (request->number)
		on_dive(call, request, data);
	else if (side->n_held < BOTH_HELD_MOST)
		side->held[side->n_held++] = call;
}

static const struct rpctest_tester_service bottom_holders = {.echo = on_bottom};

START_TEST(deadline_reaches_the_bottom)
{
	struct both_setup setup = {.of_server = &bottom_holders, .of_client = &bottom_holders};
	struct hawser_context context = HAWSER_CONTEXT_INIT;
	struct hawser_call *bottom;
	struct both both;

	both_start(&both, _i, &setup);
	context.timeout_ms = patient_ms(300);
	both_call_and_wait(&both, both.client, ECHO, DEPTH, &context);
	both_assert_failed(&both, HAWSER_DEADLINE_EXCEEDED, both.outcome, "deadline");
	ck_assert_uint_eq(both.at_server.n_held + both.at_client.n_held, 1);
	bottom = both.at_server.n_held ? both.at_server.held[0] : both.at_client.held[0];
	both_until(&both, hawser_call_cancelled(bottom));
	both_stop(&both);
}
END_TEST

/* ---- cuts ---- */

/* Cuts every so many bytes, in either direction and in each way, until it is told. */
struct cutter {
	struct relay *relay;
	pthread_t thread;
	atomic_bool is_told, has_stopped;
	unsigned n;
	unsigned bytes;
};

static void *cut_again(void *data)
{
	struct cutter *cutter = data;

	while (!cutter->is_told) {
		relay_wait_cut(cutter->relay);
		cutter->n++;
		relay_cut_after(cutter->relay, (enum relay_end)(cutter->n & 1),
				1 + cutter->n * UINT64_C(1000003) % cutter->bytes,
				(enum relay_cut)(cutter->n % CUT_SERVER));
	}
	cutter->has_stopped = true;
	return NULL;
}

static void cutter_start(struct cutter *cutter, struct relay *relay, unsigned bytes)
{
	memset(cutter, 0, sizeof *cutter);
	cutter->relay = relay;
	cutter->bytes = bytes;
	relay_cut_after(relay, FROM_CLIENT, 100, CUT_ORDERLY);
	ck_assert_int_eq(pthread_create(&cutter->thread, NULL, cut_again, cutter), 0);
}

static void cutter_stop(struct cutter *cutter)
{
	cutter->is_told = true;
	while (!cutter->has_stopped)
		relay_was_cut(cutter->relay);
	pthread_join(cutter->thread, NULL);
	relay_was_cut(cutter->relay);
}

START_TEST(dives_survive_cuts)
{
	enum { DIVES = 30, FEW_CUTS = 5 };
	unsigned dives = 0;
	struct both_setup setup = {.of_server = &divers, .of_client = &divers, .is_relayed = true};
	struct hawser_client_stats stats = {.size = sizeof stats};
	struct cutter cutter;
	struct both both;

	both_start(&both, _i, &setup);
	both_call_and_wait(&both, both.client, ECHO, 1, NULL);
	cutter_start(&cutter, &both.relay, 800);
	while (dives < DIVES || stats.sessions_resumed < FEW_CUTS) {
		both_call_and_wait(&both, both.client, ECHO, DEPTH, NULL);
		both_assert_ok(&both);
		ck_assert_int_eq(both.number, DEPTH);
		dives++;
		hawser_client_get_stats(both.client, &stats);
	}
	cutter_stop(&cutter);
	ck_assert_uint_eq(both.at_server.n_served + both.at_client.n_served,
			  2 + dives * (DEPTH + 1));
	hawser_client_get_stats(both.client, &stats);
	ck_assert_uint_eq(stats.sessions_lost, 0);
	both_stop(&both);
}
END_TEST

/* ---- beside each other ---- */

enum { EACH_WAY = 2000, IN_FLIGHT = 16, MANY_CUTS_BYTES = 5000 };

/* One direction: so many calls in flight, until all have been made. */
struct way {
	struct both *both;
	struct hawser_client *client;
	struct hawser_peer *peer; /* may be NULL */
	unsigned n_total, n_begun, n_done, n_wrong;
	uint8_t executed[EACH_WAY]; /* how often, by the call's number */
};

struct two_ways {
	struct way to_server, to_client;
};

static void count(struct way *way, struct hawser_call *call, const Rpctest__Payload *request)
{
	if (request->id < EACH_WAY)
		way->executed[request->id]++;
	rpctest_tester_echo_reply(call, request);
}

static void count_at_server(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct side *side = data;
	struct two_ways *ways = side->both->data;

	if (!side->both->peer)
		side->both->peer = hawser_call_from(call);
	if (ways)
		count(&ways->to_server, call, request);
	else
		rpctest_tester_echo_reply(call, request);
}

static void count_at_client(struct hawser_call *call, const Rpctest__Payload *request, void *data)
{
	struct side *side = data;
	struct two_ways *ways = side->both->data;

	count(&ways->to_client, call, request);
}

static const struct rpctest_tester_service server_counts = {.echo = count_at_server};
static const struct rpctest_tester_service client_counts = {.echo = count_at_client};

static void begin_next(struct way *way);

static void on_way_done(struct hawser_call *call, const Rpctest__Payload *reply, void *data)
{
	struct way *way = data;

	way->n_done++;
	if (!reply || !sample_is_whole(reply))
		way->n_wrong++;
	hawser_call_free(call);
	begin_next(way);
}

static void begin_next(struct way *way)
{
	Rpctest__Payload request;

	if (way->n_begun == way->n_total)
		return;
	request = sample_of(way->n_begun, way->n_begun % 50 ? 300 : 100000);
	way->n_begun++;
	if (!rpctest_tester_echo_async(way->client, &request, on_way_done, way, NULL)) {
		way->n_wrong++;
		way->n_done++;
	}
}

static void way_start(struct way *way, struct both *both, struct hawser_client *client,
		      unsigned total)
{
	way->both = both;
	way->client = client;
	way->n_total = total;
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		begin_next(way);
}

static void way_check(const struct way *way)
{
	ck_assert_uint_eq(way->n_wrong, 0);
	for (unsigned i = 0; i < way->n_total; i++)
		ck_assert_msg(way->executed[i] == 1, "call %u was executed %u times", i,
			      way->executed[i]);
}

static void run_both_ways(int stamp, bool is_cut)
{
	struct both_setup setup = {
		.of_server = &server_counts, .of_client = &client_counts, .is_relayed = true};
	unsigned total = (unsigned)suite_rounds(is_cut ? EACH_WAY / 2 : EACH_WAY);
	struct two_ways *ways = calloc(1, sizeof *ways);
	struct hawser_client_stats stats = {.size = sizeof stats};
	struct cutter cutter;
	struct both both;

	both_start(&both, stamp, &setup);
	both_call_and_wait(&both, both.client, ECHO, 0, NULL);
	ck_assert_ptr_nonnull(both.peer);
	both.data = ways;
	if (is_cut)
		cutter_start(&cutter, &both.relay, MANY_CUTS_BYTES);
	way_start(&ways->to_server, &both, both.client, total);
	way_start(&ways->to_client, &both, hawser_peer_client(both.peer), total);
	both_until(&both, ways->to_server.n_done == total && ways->to_client.n_done == total);
	if (is_cut)
		cutter_stop(&cutter);
	way_check(&ways->to_server);
	way_check(&ways->to_client);
	hawser_client_get_stats(both.client, &stats);
	if (is_cut)
		ck_assert_uint_gt(stats.sessions_resumed, 0);
	ck_assert_uint_eq(stats.sessions_lost, 0);
	both_stop(&both);
	free(ways);
}

START_TEST(calls_go_both_ways_at_once)
{
	run_both_ways(_i, false);
}
END_TEST

START_TEST(calls_both_ways_survive_cuts)
{
	run_both_ways(_i, true);
}
END_TEST

/* ---- streams beside them ---- */

/* Each end has a chat with the other: what is said comes back, once and in order. */
struct chat {
	struct hawser_call *call;
	uint64_t n_sent, n, n_total;
	unsigned n_wrong, n_ends;
	enum hawser_status status;
};

static void say_more(struct hawser_call *call, void *data)
{
	struct chat *chat = data;
	int r = 0;

	while (chat->n_sent < chat->n_total && r == 0) {
		Rpctest__Payload message = sample_of(chat->n_sent + 1, 300);

		r = rpctest_tester_chat_send(call, &message);
		chat->n_sent += r == 0;
	}
	if (r == -EAGAIN)
		r = hawser_call_on_writable(call, say_more, chat);
	else if (r == 0)
		r = hawser_call_end(call);
	chat->n_wrong += r != 0;
}

static void on_said(struct hawser_call *call, const Rpctest__Payload *message, void *data)
{
	struct chat *chat = data;

	if (message) {
		chat->n++;
		chat->n_wrong += message->id != chat->n || !sample_is_whole(message);
	} else {
		chat->n_ends++;
		chat->status = hawser_call_error(call)->status;
	}
}

static void chat_start(struct chat *chat, struct hawser_client *client, uint64_t total)
{
	memset(chat, 0, sizeof *chat);
	chat->n_total = total;
	chat->call = rpctest_tester_chat_async(client, on_said, chat, NULL);
	ck_assert_ptr_nonnull(chat->call);
	say_more(chat->call, chat);
}

static void chat_check(struct chat *chat)
{
	ck_assert_uint_eq(chat->n_ends, 1);
	ck_assert_int_eq(chat->status, HAWSER_OK);
	ck_assert_uint_eq(chat->n, chat->n_total);
	ck_assert_uint_eq(chat->n_wrong, 0);
	hawser_call_free(chat->call);
}

/* Takes no more before it was given back. */
static void on_room(struct hawser_call *call, void *data)
{
	(void)data;
	hawser_call_read_start(call);
}

static void echo_chat(struct hawser_call *call, const Rpctest__Payload *message, void *data)
{
	(void)data;
	if (!message) {
		hawser_call_end(call);
		return;
	}
	/* None comes before there is room for its echo. */
	if (rpctest_tester_chat_reply(call, message) < 0)
		hawser_call_fail(call, HAWSER_INTERNAL, "no room");
	else if (hawser_call_on_writable(call, on_room, NULL) == 0)
		hawser_call_read_stop(call);
}

static const struct rpctest_tester_service server_chats = {.echo = count_at_server,
							   .chat = echo_chat};
static const struct rpctest_tester_service client_chats = {.echo = count_at_client,
							   .chat = echo_chat};

static void run_chats(int stamp, bool is_cut)
{
	enum { CHATS = 3, MESSAGES = 1000, WINDOW = 4096 };
	struct hawser_server_options server = tester_options();
	struct hawser_client_options client = HAWSER_CLIENT_OPTIONS_INIT;
	struct both_setup setup = {.server = &server,
				   .client = &client,
				   .of_server = &server_chats,
				   .of_client = &client_chats,
				   .is_relayed = true};
	struct chat chats[2][CHATS];
	struct cutter cutter;
	struct both both;

	server.stream_window_bytes = server.max_stream_window_bytes = WINDOW;
	client.stream_window_bytes = client.max_stream_window_bytes = WINDOW;
	both_start(&both, stamp, &setup);
	both_call_and_wait(&both, both.client, ECHO, 0, NULL);
	if (is_cut)
		cutter_start(&cutter, &both.relay, MANY_CUTS_BYTES);
	for (unsigned i = 0; i < CHATS; i++) {
		chat_start(&chats[0][i], both.client, suite_rounds(MESSAGES));
		chat_start(&chats[1][i], hawser_peer_client(both.peer), suite_rounds(MESSAGES));
	}
	for (unsigned i = 0; i < CHATS; i++)
		both_until(&both, chats[0][i].n_ends && chats[1][i].n_ends);
	if (is_cut)
		cutter_stop(&cutter);
	for (unsigned i = 0; i < CHATS; i++) {
		chat_check(&chats[0][i]);
		chat_check(&chats[1][i]);
	}
	both_stop(&both);
}

START_TEST(chats_go_both_ways_at_once)
{
	run_chats(_i, false);
}
END_TEST

START_TEST(chats_both_ways_survive_cuts)
{
	run_chats(_i, true);
}
END_TEST

/* ---- by blocking callers ---- */

/* Threads call the client through its peer, and the client's thread calls the server. */
struct thread_caller {
	pthread_t thread;
	struct caller *caller;
	unsigned n_calls, n_wrong;
};

static void *call_often(void *data)
{
	struct thread_caller *self = data;

	for (unsigned i = 0; i < self->n_calls; i++) {
		Rpctest__Payload request = sample_of(i, 300), *reply = NULL;

		if (rpctest_tester_echo(self->caller->client, &request, &reply, NULL) ||
		    !sample_is_whole(reply))
			self->n_wrong++;
		if (reply)
			rpctest__payload__free_unpacked(reply, NULL);
	}
	return NULL;
}

struct other_way {
	struct hawser_client *client;
	atomic_uint n_done, n_wrong;
	unsigned left;
};

static void on_other_way(struct hawser_call *call, const Rpctest__Payload *reply, void *data)
{
	struct other_way *way = data;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;

	way->n_wrong += !reply;
	way->n_done++;
	hawser_call_free(call);
	if (way->left && way->left--)
		rpctest_tester_echo_async(way->client, &request, on_other_way, way, NULL);
}

static void start_other_way(struct hawser_client *client, void *data)
{
	struct other_way *way = data;
	Rpctest__Payload request = RPCTEST__PAYLOAD__INIT;

	way->client = client;
	way->left--;
	rpctest_tester_echo_async(client, &request, on_other_way, way, NULL);
}

START_TEST(threads_call_both_ways_through_cuts)
{
	enum { THREADS = 4 };
	unsigned n_calls = (unsigned)suite_rounds(200);
	struct thread_caller threads[THREADS];
	struct other_way other_way = {.left = THREADS * n_calls};
	struct relayed relayed;
	struct cutter cutter;

	relayed_start(&relayed, blocking_stamp(TRANSPORTS + _i), NULL, NULL);
	cutter_start(&cutter, &relayed.relay, MANY_CUTS_BYTES);
	reversed_do(relayed.caller.reversed, start_other_way, &other_way);
	for (unsigned i = 0; i < THREADS; i++) {
		threads[i] = (struct thread_caller){.caller = &relayed.caller, .n_calls = n_calls};
		ck_assert_int_eq(pthread_create(&threads[i].thread, NULL, call_often, &threads[i]),
				 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i].thread, NULL);
		ck_assert_uint_eq(threads[i].n_wrong, 0);
	}
	turn_until(&relayed.caller, other_way.n_done == THREADS * n_calls);
	cutter_stop(&cutter);
	ck_assert_uint_eq(other_way.n_wrong, 0);
	ck_assert_uint_eq(tester_executed(&relayed.tester), THREADS * n_calls);
	ck_assert_uint_gt(client_stats(&relayed.caller).sessions_resumed, 0);
	relayed_stop(&relayed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rpc/peers/mutual");
	TCase *tcase = suite_case(suite, "into each other");

	tcase_add_loop_test(tcase, ends_call_each_other_in_depth, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, many_dive_at_once, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, depth_ends_at_the_limit_of_calls, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, deadline_reaches_the_bottom, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, dives_survive_cuts, 0, TRANSPORTS);

	tcase = suite_case(suite, "beside each other");
	tcase_add_loop_test(tcase, calls_go_both_ways_at_once, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, calls_both_ways_survive_cuts, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, chats_go_both_ways_at_once, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, chats_both_ways_survive_cuts, 0, TRANSPORTS);
	tcase_add_loop_test(tcase, threads_call_both_ways_through_cuts, 0, TRANSPORTS);
	return suite_run(suite);
}
