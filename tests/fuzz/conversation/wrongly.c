/* Operations of a peer that does not keep to the protocol, or to what is usual. */

#include "program.h"

static void be_rude(void)
{
	fuzz.peer.is_rude = true;
	service_is_lenient = true;
}

static const uint8_t zeros[128 * 1024];

/* What is refused by ending a call, or ignored: not one of these may close the connection. */
void do_odd(void)
{
	struct talk *talk = program_talk();
	uint8_t how = program_next();
	bool is_fresh = talk && program_may_stream(talk) && talk->is_ours && !talk->out.message &&
			talk->out.window > 0;

	switch (how % 8) {
	case 0:
		peer_message(&fuzz.peer, 999999, false, 0, zeros, 10);
		break;
	case 1:
		peer_cancel(&fuzz.peer, 999999);
		break;
	case 2: {
		struct talk nobody = {.id = 999999};

		peer_window(&fuzz.peer, &nobody, 5);
		break;
	}
	case 3:
		/* More than may be. */
		if (is_fresh) {
			talk->out.window = 0;
			peer_message(&fuzz.peer, talk->id, false, 1ull << (how / 8 % 40 + 23),
				     zeros, 10);
			talk->out.is_over = true;
		}
		break;
	case 4:
		/* No message at all. */
		if (is_fresh && talk->method->id < UNARY_RAW) {
			talk->out.window -= 26;
			peer_message(&fuzz.peer, talk->id, false, 0, zeros, 10);
			talk->out.is_over = true;
		}
		break;
	case 5:
		/* A piece of nothing. */
		if (talk && talk->out.message && talk->out.window > 0)
			peer_go_on(&fuzz.peer, talk, 0);
		break;
	case 6:
		if (fuzz.peer.is_open)
			peer_frame(&fuzz.peer, (const uint8_t *)"\x8a\x01\x01x\x70\x01", 6);
		break;
	default:
		fuzz.peer.rides = !fuzz.peer.rides;
		break;
	}
}

void do_wrong(void)
{
	struct talk *talk = program_talk();
	uint8_t how = program_next();
	uint64_t id = talk ? talk->id : how;

	be_rude();
	switch (how % 12) {
	case 0:
		peer_message(&fuzz.peer, id, false, 5, zeros, 10);
		break;
	case 1:
		peer_message(&fuzz.peer, id, false, 0, zeros, 70000);
		break;
	case 2:
		peer_message(&fuzz.peer, id, true, 0, NULL, 0);
		break;
	case 3:
		peer_message(&fuzz.peer, id, true, how / 12, zeros, how / 12);
		break;
	case 4:
		peer_message(&fuzz.peer, id, false, 100, zeros, how / 12);
		break;
	case 5:
		peer_message(&fuzz.peer, id, false, 0, zeros, sizeof zeros);
		break;
	case 6:
		peer_ack(&fuzz.peer, fuzz.peer.n_sent + how / 12);
		break;
	case 7:
		if (talk)
			peer_window(&fuzz.peer, talk, how & 0x80 ? UINT64_MAX : 1ull << 39);
		fuzz.peer.is_blind = true;
		break;
	case 8:
		peer_message(&fuzz.peer, 0, false, 0, NULL, 0);
		break;
	case 9: {
		struct talk other = {.id = id};

		peer_end(&fuzz.peer, &other, how / 12 % 3, NULL, 0);
		break;
	}
	case 10:
		fuzz.peer.next_call += how & 0x80 ? 1 : -2ull;
		break;
	default:
		peer_message(&fuzz.peer, id, false, UINT64_MAX, NULL, 0);
		break;
	}
}

void do_raw(void)
{
	size_t length = program_next(), left = (size_t)(fuzz.input_end - fuzz.input);
	bool is_frame = length & 0x80;

	length &= 0x7f;
	if (length > left)
		length = left;
	be_rude();
	fuzz.peer.is_blind = true;
	if (is_frame)
		peer_frame(&fuzz.peer, fuzz.input, length);
	else
		peer_raw(&fuzz.peer, fuzz.input, length);
	fuzz.input += length;
}
