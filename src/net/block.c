/* The spare block, and the ones that are leaving; block.h says why. */

#include "net/block.h"

#include "util/alloc.h"
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

/* The beginning of a block that is leaving. */
struct leaving {
	struct leaving *next;
	uint8_t *rest, *end; /* whole pages, which are still there */
};

struct hawser__blocks {
	struct hawser__loop *loop;
	void *spare; /* NULL: none */
	struct leaving *first;
	struct hawser__deferred slice;
	struct hawser__alarm alarm; /* the spare has waited long enough */
};

static void on_slice(struct hawser__deferred *deferred)
{
	struct hawser__blocks *blocks =
		hawser__container_of(deferred, struct hawser__blocks, slice);
	struct leaving *leaving = blocks->first;
	size_t rest = (size_t)(leaving->end - leaving->rest);
	size_t part = rest < HAWSER__SLICE_BYTES ? rest : HAWSER__SLICE_BYTES;

	/* From the end: the beginning says how much is left. */
	leaving->end -= part;
	if (part)
		madvise(leaving->end, part, MADV_DONTNEED);
	if (part == rest) {
		blocks->first = leaving->next;
		free(leaving);
	}
	if (blocks->first)
		hawser__loop_defer(blocks->loop, &blocks->slice);
}

static void leave(struct hawser__blocks *blocks, void *block)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t begin = (uintptr_t)block + sizeof(struct leaving);
	uintptr_t end = (uintptr_t)block + malloc_usable_size(block);
	struct leaving *leaving = block;

	leaving->rest = (uint8_t *)((begin + page - 1) / page * page);
	leaving->end = (uint8_t *)(end / page * page);
	leaving->next = blocks->first;
	blocks->first = leaving;
	hawser__loop_defer(blocks->loop, &blocks->slice);
}

static void on_alarm(struct hawser__alarm *alarm)
{
	struct hawser__blocks *blocks = hawser__container_of(alarm, struct hawser__blocks, alarm);

	if (blocks->spare)
		leave(blocks, blocks->spare);
	blocks->spare = NULL;
}

/* NULL: it has none, and is not to. */
static struct hawser__blocks *blocks_of(struct hawser__loop *loop, bool is_wanted)
{
	struct hawser__blocks *blocks;

	if (!loop || !loop->base || !hawser__loop_is_here(loop))
		return NULL;
	if (!loop->blocks && is_wanted) {
		blocks = hawser__calloc(1, sizeof *blocks);
		if (!blocks)
			return NULL;
		blocks->loop = loop;
		blocks->slice.run = on_slice;
		hawser__list_init(&blocks->slice.link);
		hawser__alarm_init(&blocks->alarm, on_alarm);
		loop->blocks = blocks;
	}
	return loop->blocks;
}

void *hawser__block_take(struct hawser__loop *loop, size_t size)
{
	struct hawser__blocks *blocks = size >= HAWSER__LARGE_BYTES ? blocks_of(loop, false) : NULL;
	void *block = blocks ? blocks->spare : NULL;

	/* A much larger one would be wasted on this. */
	if (!block || malloc_usable_size(block) < size || malloc_usable_size(block) / 2 > size)
		return hawser__malloc(size);
	blocks->spare = NULL;
	hawser__loop_clear_alarm(loop, &blocks->alarm);
	return block;
}

void hawser__block_give(struct hawser__loop *loop, void *block)
{
	size_t size = block ? malloc_usable_size(block) : 0;
	struct hawser__blocks *blocks = size >= HAWSER__LARGE_BYTES ? blocks_of(loop, true) : NULL;

	if (!blocks) {
		free(block);
		return;
	}
	if (blocks->spare)
		leave(blocks, blocks->spare);
	blocks->spare = block;
	hawser__loop_set_alarm(loop, &blocks->alarm, loop->now_ms + HAWSER__SPARE_MS);
}

void hawser__blocks_end(struct hawser__loop *loop)
{
	struct hawser__blocks *blocks = loop->blocks;

	if (!blocks)
		return;
	while (blocks->first) {
		struct leaving *leaving = blocks->first;

		blocks->first = leaving->next;
		free(leaving);
	}
	hawser__list_unlink(&blocks->slice.link);
	free(blocks->spare);
	free(blocks);
	loop->blocks = NULL;
}
