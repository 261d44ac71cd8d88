/* Metadata and details: checked, copied, and turned to and from what the wire has. */

#ifndef HAWSER_RPC_METADATA_H
#define HAWSER_RPC_METADATA_H

#include "util/arena.h"
#include "wire/wire.pb-c.h"
#include <hawser/call.h>

enum {
	HAWSER__METADATA_MAX = 64,
	HAWSER__METADATA_BYTES = 8 * 1024,
	HAWSER__DETAILS_MAX = 16,
	HAWSER__DETAILS_BYTES = 8 * 1024,
};

/** 0; -EINVAL for a key that is empty, longer than 128 bytes, or has other characters; -EMSGSIZE
 * over the limits. */
int hawser__metadata_check(const struct hawser_metadata *metadata, size_t count);

/** What came, as the API shows it, in the arena. Returns 0, -EINVAL (a key), -EMSGSIZE or -ENOMEM.
 */
int hawser__metadata_take(Hawser__Metadata *const *wire, size_t count, struct hawser__arena *arena,
			  const struct hawser_metadata **metadata);
int hawser__details_take(Hawser__Detail *const *wire, size_t count, struct hawser__arena *arena,
			 const struct hawser_detail **details);

/** What goes, as the wire wants it; borrows everything. Arrays of at most the limits above. */
struct hawser__metadata_wire {
	Hawser__Metadata items[HAWSER__METADATA_MAX];
	Hawser__Metadata *pointers[HAWSER__METADATA_MAX];
};
struct hawser__details_wire {
	Hawser__Detail items[HAWSER__DETAILS_MAX];
	Hawser__Detail *pointers[HAWSER__DETAILS_MAX];
};
void hawser__metadata_give(const struct hawser_metadata *metadata, size_t count,
			   struct hawser__metadata_wire *wire);
void hawser__details_give(const struct hawser_detail *details, size_t count,
			  struct hawser__details_wire *wire);

#endif /* HAWSER_RPC_METADATA_H */
