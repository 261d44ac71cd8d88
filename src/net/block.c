/* Spare blocks, and the ones that are leaving; block.h says why. */

#include "net/block.h"

#include "util/alloc.h"
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

/* The beginning of a block that is leaving. */
struct leaving {
	struct leaving *next;
	uint8_t *begin, *end; /* whole pages, which are still there */
};

struct hawser__blocks {
	struct hawser__loop *loop;
	struct leaving *first;
	struct hawser__deferred slice;
	struct hawser__alarm alarm; /* a spare of this loop has waited long enough */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The oldest first. */
static struct spare {
	void *block; /* NULL: none, nor behind it */
	struct hawser__blocks *owner;
	uint64_t until_ms;
} spares[HAWSER__SPARES];

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

/* A child must not find it locked by a thread that it does not have. */
static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork, after_fork);
}

/* ---- leaving ---- */

static void on_slice(struct hawser__deferred *deferred)
{
	struct hawser__blocks *blocks =
		hawser__container_of(deferred, struct hawser__blocks, slice);
	struct leaving *leaving = blocks->first;
	size_t rest = (size_t)(leaving->end - leaving->begin);
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

	leaving->begin = (uint8_t *)((begin + page - 1) / page * page);
	leaving->end = (uint8_t *)(end / page * page);
	leaving->next = blocks->first;
	blocks->first = leaving;
	hawser__loop_defer(blocks->loop, &blocks->slice);
}

/* ---- spares; with the lock ---- */

static void *remove_spare(size_t i)
{
	void *block = spares[i].block;

	for (; i + 1 < HAWSER__SPARES; i++)
		spares[i] = spares[i + 1];
	spares[i] = (struct spare){.block = NULL};
	return block;
}

/* One that is large enough, and not so large that it would be wasted on this. */
static void *find_spare(size_t size)
{
	for (size_t i = 0; i < HAWSER__SPARES && spares[i].block; i++) {
		size_t usable = malloc_usable_size(spares[i].block);

		if (usable >= size && usable / 2 <= size)
			return remove_spare(i);
	}
	return NULL;
}

/* Returns the one that has to go for it, or NULL. */
static void *add_spare(struct hawser__blocks *blocks, void *block, uint64_t until_ms)
{
	void *oldest = spares[HAWSER__SPARES - 1].block ? remove_spare(0) : NULL;
	size_t i = 0;

	while (spares[i].block)
		i++;
	spares[i] = (struct spare){block, blocks, until_ms};
	return oldest;
}

/* The next of this loop's whose time is over by then; NULL: none. When to look again is *next_ms:
 * 0 if there is nothing to look for. */
static void *expire_spare(const struct hawser__blocks *blocks, uint64_t now_ms, uint64_t *next_ms)
{
	*next_ms = 0;
	for (size_t i = 0; i < HAWSER__SPARES && spares[i].block; i++) {
		if (spares[i].owner != blocks)
			continue;
		if (spares[i].until_ms <= now_ms)
			return remove_spare(i);
		*next_ms = spares[i].until_ms;
		break;
	}
	return NULL;
}

static void on_alarm(struct hawser__alarm *alarm)
{
	struct hawser__blocks *blocks = hawser__container_of(alarm, struct hawser__blocks, alarm);
	uint64_t next_ms;
	void *block;

	do {
		pthread_mutex_lock(&lock);
		block = expire_spare(blocks, blocks->loop->now_ms, &next_ms);
		pthread_mutex_unlock(&lock);
		if (block)
			leave(blocks, block);
	} while (block);
	if (next_ms)
		hawser__loop_set_alarm(blocks->loop, &blocks->alarm, next_ms);
}

/* ---- what others see ---- */

/* NULL: this thread is not to keep any, or there is no memory. */
static struct hawser__blocks *blocks_of(struct hawser__loop *loop)
{
	struct hawser__blocks *blocks;

	if (!loop || !loop->base || !hawser__loop_is_here(loop))
		return NULL;
	if (loop->blocks)
		return loop->blocks;
	blocks = hawser__calloc(1, sizeof *blocks);
	if (!blocks)
		return NULL;
	pthread_once(&once, watch_forks);
	blocks->loop = loop;
	blocks->slice.run = on_slice;
	hawser__list_init(&blocks->slice.link);
	hawser__alarm_init(&blocks->alarm, on_alarm);
	return loop->blocks = blocks;
}

void *hawser__block_take(size_t size)
{
	void *block = NULL;

	if (size >= HAWSER__LARGE_BYTES) {
		pthread_mutex_lock(&lock);
		block = find_spare(size);
		pthread_mutex_unlock(&lock);
	}
	return block ? block : hawser__malloc(size);
}

void hawser__block_give(struct hawser__loop *loop, void *block)
{
	size_t size = block ? malloc_usable_size(block) : 0;
	struct hawser__blocks *blocks = size >= HAWSER__LARGE_BYTES ? blocks_of(loop) : NULL;
	uint64_t until_ms;

	if (!blocks) {
		free(block);
		return;
	}
	until_ms = loop->now_ms + HAWSER__SPARE_MS;
	pthread_mutex_lock(&lock);
	block = add_spare(blocks, block, until_ms);
	pthread_mutex_unlock(&lock);
	if (!hawser__timer_is_set(&blocks->alarm.timer))
		hawser__loop_set_alarm(loop, &blocks->alarm, until_ms);
	if (block)
		leave(blocks, block);
}

void hawser__blocks_end(struct hawser__loop *loop)
{
	struct hawser__blocks *blocks = loop->blocks;
	uint64_t next_ms;
	void *spare;

	if (!blocks)
		return;
	/* Its entries must not be found any more. */
	pthread_mutex_lock(&lock);
	while ((spare = expire_spare(blocks, UINT64_MAX, &next_ms)))
		free(spare);
	pthread_mutex_unlock(&lock);
	while (blocks->first) {
		struct leaving *leaving = blocks->first;

		blocks->first = leaving->next;
		free(leaving);
	}
	hawser__list_unlink(&blocks->slice.link);
	free(blocks);
	loop->blocks = NULL;
}
