/* What this end says of itself: its services, labels and address, for open, opened and hello. */

#ifndef HAWSER_RPC_HELLO_H
#define HAWSER_RPC_HELLO_H

#include "rpc/registry.h"
#include "wire/wire.pb-c.h"
#include <hawser/common.h>

struct hawser_label;

/* What is kept of labels, and what a receiver keeps of a hello in all. */
enum {
	HAWSER__LABELS_MOST = 64,
	HAWSER__LABEL_BYTES = 256,
	HAWSER__HELLO_BYTES = 16 * 1024,
};

/** A copy of `n` labels in one piece, for free(). NULL without memory; *copy is untouched for none.
 * 0, -EINVAL with the error, or -ENOMEM. */
int hawser__labels_copy(const struct hawser_label *labels, size_t n, const char *whose,
			struct hawser_label **copy, struct hawser_error *error);

/**
 * Fills a hello, which borrows all but its arrays; without the labels if they are too long. False:
 * there is nothing to say, too much, or no memory; then nothing is to be said, and nothing to be
 * freed.
 */
bool hawser__hello_make(Hawser__Hello *hello, const struct hawser__registry *registry,
			const struct hawser_label *labels, size_t n_labels, const char *address);
/** Frees its arrays. */
void hawser__hello_unmake(Hawser__Hello *hello);

#endif /* HAWSER_RPC_HELLO_H */
