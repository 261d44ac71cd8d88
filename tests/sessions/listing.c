/* A stream belongs either to its call's loop, which is woken when there is room, or to the
 * later thread, which tries again. Whoever finds out that nobody waits any more
 * ends it. */

#include "listing.h"
#include "later.h"
#include "pattern.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>

struct listing {
	struct later later;
	struct hawser_call *call;
	uint64_t id;
	Ledger__How how;
	uint32_t sent, count;
	size_t item_bytes;
	bool is_sending;
	uint8_t data[];
};

static int send_next(struct listing *listing)
{
	Ledger__Item item = LEDGER__ITEM__INIT;
	int r;

	item.id = listing->id;
	item.index = listing->sent;
	pattern_fill(listing->id + listing->sent, listing->data, listing->item_bytes);
	item.data.data = listing->data;
	item.data.len = listing->item_bytes;
	r = ledger_ledger_list_reply(listing->call, &item);
	if (r == 0)
		listing->sent++;
	return r;
}

static void finish(struct listing *listing, int r)
{
	if (r < 0)
		ledger_ledger_list_fail(listing->call, HAWSER_INTERNAL, "item %u: error %d",
					listing->sent, -r);
	else if (listing->how == LEDGER__HOW__FAIL)
		ledger_ledger_list_fail(listing->call, HAWSER_ABORTED, "as asked");
	else
		hawser_call_end(listing->call);
	free(listing);
}

/* ---- as fast as they are taken ---- */

static void on_writable(struct hawser_call *call, void *data);

static void on_cancel(struct hawser_call *call, void *data)
{
	struct listing *listing = data;

	(void)call;
	/* Else whoever sends is told as well. */
	if (!listing->is_sending)
		finish(listing, -EPIPE);
}

static void send_all(struct listing *listing)
{
	int r = 0;

	listing->is_sending = true;
	while (r == 0 && listing->sent < listing->count)
		r = send_next(listing);
	if (r == -EAGAIN)
		r = hawser_call_on_writable(listing->call, on_writable, listing);
	else if (r == 0)
		r = 1;
	listing->is_sending = false;
	if (r != 0)
		finish(listing, r);
}

static void on_writable(struct hawser_call *call, void *data)
{
	(void)call;
	send_all(data);
}

/* ---- in steps ---- */

static void step(struct later *later)
{
	struct listing *listing = (struct listing *)later;
	int r = listing->sent < listing->count ? send_next(listing) : 1;

	if (r == 0 || r == -EAGAIN)
		later_add(later);
	else
		finish(listing, r);
}

void listing_start(struct hawser_call *call, const Ledger__Order *order)
{
	struct listing *listing = calloc(1, sizeof *listing + order->item_bytes);

	if (!listing)
		err(1, "a listing");
	listing->call = call;
	listing->id = order->id;
	listing->how = order->how;
	listing->count = order->count;
	listing->item_bytes = order->item_bytes;
	if (order->how == LEDGER__HOW__LATER) {
		listing->later.run = step;
		later_add(&listing->later);
		return;
	}
	listing->is_sending = true;
	hawser_call_on_cancel(call, on_cancel, listing);
	send_all(listing);
}
