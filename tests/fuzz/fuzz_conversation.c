/* Any conversation: the whole stack against a peer that the input drives, through streams and
 * pieces, breaks and returns, rightly and wrongly.
 *
 * The input is a program. Its first bytes say which end Hawser is, and what the limits are; each
 * of the others is an operation with a few bytes behind it. What an operation asks for that
 * would be wrong is left out, unless to be wrong is the operation; so most programs mean
 * something. In the end, if nothing was wrong, every call must end. */

#include "conversation/clock.h"
#include "conversation/content.h"
#include "conversation/program.h"
#include "fuzz.h"
#include "rpc/client.h"

enum {
	/* So much in one conversation takes no longer than it has to. */
	BUDGET_BYTES = 1 << 20,
	OPERATIONS_MOST = 400,
	/* A large message takes many rounds through a small socket. When nothing has come in so
	 * many of them, nothing will. */
	QUIET_ROUNDS = 200,
};

struct fuzz fuzz;

/* ---- the input ---- */

uint8_t program_next(void)
{
	return fuzz.input < fuzz.input_end ? *fuzz.input++ : 0;
}

size_t program_size(void)
{
	size_t size = content_size(program_next());

	if (size > fuzz.budget)
		return 100;
	fuzz.budget -= size;
	return size;
}

struct talk *program_talk(void)
{
	uint8_t which = program_next();

	/* The last ones are the most likely. */
	return fuzz.peer.n_talks
		       ? &fuzz.peer.talks[fuzz.peer.n_talks - 1 - which % fuzz.peer.n_talks]
		       : NULL;
}

/* ---- the program ---- */

static void act(void)
{
	uint8_t which = program_next(), action = program_next(), size = program_next();

	if (fuzz.server) {
		service_act(which, action, size);
		return;
	}
	if (which & 0xc0) {
		application_act(which, action, size);
		return;
	}
	if (!fuzz.client->connection)
		ends_connect_client();
	application_call(fuzz.client, which, size, action, action & 0x40 ? 1000 : 0);
}

static void operate(void)
{
	uint8_t operation = program_next();

	switch (operation & 15) {
	case 0:
		ends_pump(operation & 0x80 ? program_next() * 16u : SIZE_MAX);
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
		ends_break(program_next());
		break;
	case 10:
		if (operation & 0x10)
			fuzz.peer.is_deaf = !fuzz.peer.is_deaf;
		else
			do_time();
		break;
	case 11:
		peer_ack(&fuzz.peer, fuzz.peer.received);
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
			fuzz.until_failure = 1 + program_next();
			fuzz.peer.is_weak = true;
		} else {
			ends_answer_open(operation & 0x20);
		}
		break;
	}
	if (operation & 0x40)
		ends_pump(SIZE_MAX);
}

/* ---- the end ---- */

static void finish_talk(struct talk *talk)
{
	struct flow *out = &talk->out;
	size_t length;

	if (talk->is_over)
		return;
	if (talk->in.debt)
		peer_window(&fuzz.peer, talk, talk->in.debt);
	if (out->message) {
		if (out->window > 0)
			peer_go_on(&fuzz.peer, talk, 60000);
	} else if (talk->is_ours) {
		if (program_may_stream(talk))
			peer_last(&fuzz.peer, talk);
	} else if (!streams_replies(talk->method) && !out->count) {
		uint8_t *reply = content_pack(1, 10, NULL, FILLER_DATA, &length);

		peer_end(&fuzz.peer, talk, 0, reply, length);
	} else {
		peer_end(&fuzz.peer, talk, 0, NULL, 0);
	}
}

static bool is_all_over(void)
{
	for (unsigned i = 0; i < fuzz.peer.n_talks; i++)
		if (!fuzz.peer.talks[i].is_over)
			return false;
	return fuzz.server || application_is_done();
}

/* The peer cannot keep more. */
static bool is_full(void)
{
	return fuzz.peer.n_talks == TALKS_MAX || fuzz.peer.n_sent + 2 * TALKS_MAX > KEPT_MAX;
}

/* Nothing was wrong, so everything comes to its end. */
static void finish(void)
{
	fuzz.until_failure = 0;
	fuzz.peer.is_deaf = false;
	if (fuzz.client)
		application_end_all();
	ends_pump(SIZE_MAX);
	require(!fuzz.client || fuzz.client->connection || application_is_done());
	for (unsigned round = 0, quiet = 0; quiet < QUIET_ROUNDS; round++) {
		if (fuzz.peer.is_rude || fuzz.peer.is_weak || fuzz.peer.is_closing ||
		    fuzz.peer.is_over || !fuzz.peer.is_open || is_full())
			return;
		if (fuzz.client)
			application_end_all();
		else if (round >= 20)
			service_answer_all();
		for (unsigned i = 0; i < fuzz.peer.n_talks; i++)
			finish_talk(&fuzz.peer.talks[i]);
		quiet = ends_pump(SIZE_MAX) ? 0 : quiet + 1;
		if (is_all_over())
			return;
	}
	/* Some call has not come to its end. */
	require(is_all_over());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ends_init();
	fuzz.input = data;
	fuzz.input_end = data + size;
	for (size_t i = 0; i < sizeof fuzz.settings; i++)
		fuzz.settings[i] = program_next();
	fuzz.budget = BUDGET_BYTES;
	fuzz.until_failure = 0;
	clock_begin();
	service_begin();
	if (!getenv("HAWSER_TRACE")) {
		hawser_log_set_level(fuzz.settings[3] & 4 ? HAWSER_LOG_DEBUG : HAWSER_LOG_NONE);
		hawser_trace_enable(fuzz.settings[3] & 8, 100);
	}
	ends_begin();
	for (unsigned i = 0; fuzz.input < fuzz.input_end && i < OPERATIONS_MOST; i++)
		operate();
	finish();
	ends_end();
	return 0;
}
