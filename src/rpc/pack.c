/* Packing, in parts; pack.h says why. */

#include "rpc/pack.h"

#include "net/block.h"
#include "util/alloc.h"
#include "wire/outbox.h"
#include <sched.h>
#include <string.h>

enum {
	/* Is packed without a look aside: less than a time slice by far. */
	PART_BYTES = 256 * 1024,
	/* Who keeps the CPU for longer does not want it for a moment only … */
	LONG_US = 2500,
	/* … and gets it so much later again. */
	PAUSE_US = 10 * 1000,
};

struct packer {
	ProtobufCBuffer base;
	uint8_t *at;
	size_t left; /* of the part */
	uint64_t not_before_us;
};

static void give_way(struct packer *packer)
{
	uint64_t before_us = hawser__now_us(), after_us;

	packer->left = PART_BYTES;
	if (before_us < packer->not_before_us)
		return;
	sched_yield();
	after_us = hawser__now_us();
	if (after_us - before_us > LONG_US)
		packer->not_before_us = after_us + PAUSE_US;
}

static void add_packed(ProtobufCBuffer *buffer, size_t length, const uint8_t *data)
{
	struct packer *packer = (struct packer *)(void *)buffer;

	while (length) {
		size_t part = length < packer->left ? length : packer->left;

		memcpy(packer->at, data, part);
		packer->at += part;
		packer->left -= part;
		data += part;
		length -= part;
		if (!packer->left)
			give_way(packer);
	}
}

/* Belongs to whoever has borrowed it. */
struct block {
	struct hawser__loop *loop;
	uint8_t bytes[];
};

static void release(void *data)
{
	struct block *block = data;

	hawser__block_give(block->loop, block);
}

void hawser__content_pack_for(struct hawser__content *content, size_t limit,
			      struct hawser__loop *loop)
{
	struct packer packer = {{add_packed}, NULL, PART_BYTES, 0};
	struct block *block;

	if (content->length <= HAWSER__PIECE_BYTES || content->length > limit || content->loan)
		return;
	block = hawser__block_take(sizeof *block + content->length);
	content->loan = block ? hawser__loan_new(release, block) : NULL;
	if (!content->loan) {
		free(block);
		return;
	}
	block->loop = loop;
	hawser__expect_use(block, sizeof *block + content->length);
	packer.at = block->bytes;
	if (content->message)
		protobuf_c_message_pack_to_buffer(content->message, &packer.base);
	else
		add_packed(&packer.base, content->length, content->packed);
	content->message = NULL;
	content->packed = block->bytes;
}
