/* Operations of a peer that keeps to the protocol. */

#include "clock.h"
#include "content.h"
#include "program.h"
#include "wire/wire.pb-c.h"
#include <stdlib.h>

void do_call(void)
{
	uint8_t method = program_next(), how = program_next(), order[4] = {0};
	struct peer_call call = {.method = method_at(method)};
	static const char orders[] = "eksfcwnr";

	order[0] = (uint8_t)orders[how % 8];
	order[1] = (uint8_t)('a' + program_next() % 16);
	order[2] = (uint8_t)('a' + how / 8 % 8);
	call.in_pieces = method & 0x80;
	call.is_announced = method & 0x40;
	call.is_by_name = method & 0x20;
	call.has_metadata = method & 0x10;
	call.is_announced_wrong = (method & 0x70) == 0x70;
	call.timeout_ms = how & 0x80 ? 1000 : 0;
	if (!streams_requests(call.method)) {
		size_t size = program_size();

		call.request = content_pack(1, size, (char *)order, (enum filler)(how >> 6 & 1),
					    &call.length);
	}
	if (fuzz.server && fuzz.peer.is_open)
		peer_call(&fuzz.peer, &call);
	else
		free(call.request);
}

bool program_may_stream(const struct talk *talk)
{
	if (!talk || talk->is_over || talk->out.is_over)
		return false;
	return talk->is_ours ? streams_requests(talk->method)
			     : streams_replies(talk->method) || talk->out.count == 0;
}

void do_message(void)
{
	struct talk *talk = program_talk();
	uint8_t how = program_next();
	size_t piece = content_size(how), size, length;
	char order[4] = {"eksfcwnr"[how >> 4 & 7], (char)('a' + how % 16), 'b', 0};
	uint8_t *message;

	/* To send it whole, however large. */
	if (how & 0x80)
		piece = SIZE_MAX;
	if (!talk || talk->is_over || talk->out.window <= 0)
		return;
	if (talk->out.message) {
		peer_go_on(&fuzz.peer, talk, piece);
		return;
	}
	if (!program_may_stream(talk))
		return;
	size = program_size();
	message = content_pack(talk->out.count + 1, size, order,
			       (enum filler)(program_next() % FILLERS), &length);
	/* Beyond the limit the call ends. */
	peer_begin(&fuzz.peer, talk, message, length, piece);
}

void do_last(void)
{
	struct talk *talk = program_talk();

	if (talk && talk->is_ours && program_may_stream(talk) && !talk->out.message)
		peer_last(&fuzz.peer, talk);
}

void do_window(void)
{
	static const uint64_t bytes[] = {0, 1, 1000, 20000, 70000, 1 << 20};
	struct talk *talk = program_talk();
	uint8_t how = program_next();

	if (talk && !talk->is_over)
		peer_window(&fuzz.peer, talk, how & 0x80 ? talk->in.debt : bytes[how % 6]);
}

void do_cancel(void)
{
	struct talk *talk = program_talk();

	if (talk && talk->is_ours)
		peer_cancel(&fuzz.peer, talk->id);
}

void do_end(void)
{
	struct talk *talk = program_talk();
	uint8_t status = program_next() % 20;
	size_t size, length = 0;
	uint8_t *reply = NULL;

	if (!talk || talk->is_ours || talk->is_over)
		return;
	if (talk->out.message && !status)
		status = 1;
	if (!status && !streams_replies(talk->method) && !talk->out.count) {
		size = program_size();
		reply = content_pack(1, size, NULL, FILLER_DATA, &length);
	}
	peer_end(&fuzz.peer, talk, status, reply, length);
}

void do_time(void)
{
	static const uint64_t ms[] = {1, 10, 60, 110, 220, 1100, 5100, 16000, 31000, 46000};

	clock_pass(ms[program_next() % 10]);
	fuzz.peer.has_waited = true;
	ends_pump(SIZE_MAX);
}

void do_close(void)
{
	uint8_t how = program_next();

	switch (how % 4) {
	case 0:
		if (fuzz.server)
			hawser_server_drain(fuzz.server);
		else
			peer_close(&fuzz.peer, HAWSER__REASON__REASON_DRAINING,
				   how & 4 ? fuzz.peer.last_call : 1);
		break;
	case 1:
		/* The peer says it; nothing may follow. */
		peer_close(&fuzz.peer, 1 + how / 4 % 15, fuzz.peer.last_call);
		if (how / 4 % 15 != 1)
			fuzz.peer.is_rude = true;
		break;
	case 2:
		peer_shutdown(&fuzz.peer);
		break;
	default:
		if (how & 0x40)
			peer_hello(&fuzz.peer, how >> 2 & 15);
		else
			peer_ping(&fuzz.peer, how);
		break;
	}
}
